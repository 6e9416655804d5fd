"""All files of a project, for questions whose answers no import leads to: how it is started, what it chooses elsewhere.

Nothing is parsed. A question is asked once for each project, and only if a finding depends on it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cached_property, partial

from telepathy_lint.flow.import_resolution import Listing, project_files
from telepathy_lint.hints import Any, TypeVar

Answer = TypeVar("Answer")

#: How much of a Python file, and of a document or script, is read.
_MOST_OF_A_FILE, _MOST_OF_A_TEXT = 1_000_000, 200_000
#: Projects with more source, or with more documents and scripts, are not searched.
_MOST_BYTES, _MOST_TEXT_BYTES = 30_000_000, 8_000_000
#: How much is kept in memory, for the next question.
_MOST_KEPT = 6_000_000


class TooLargeError(Exception):
    """The project has more files, or more text, than is searched."""


class Project:
    """The files of one project, read when a question needs them."""

    def __init__(self, root: str, read: Callable[[str], bytes]) -> None:
        self.root = root
        self._read = read
        self._answers: dict[object, Any] = {}
        self._names_asked: dict[object, int] = {}
        self._kept: dict[str, bytes] = {}
        self._may_keep = _MOST_KEPT

    @cached_property
    def _listing(self) -> Listing:
        return project_files(self.root)

    @property
    def python_paths(self) -> tuple[str, ...] | None:
        """The Python files and notebooks; None if there are too many."""
        return self._listing.python

    def is_only(self, path: str) -> bool:
        """Whether a file is all that the project has, beside its settings."""
        python, texts, _ = self._listing
        return python in ((), (path,)) and texts is not None and all(each.endswith(".toml") for each in texts)

    @cached_property
    def is_told_of(self) -> bool:
        """Whether there is a README, another document, or a script that shows how the project is used.

        A repository with more than one file of code shows it by these.
        """
        python, texts, is_repository = self._listing
        if texts is None or python is None or (is_repository and len(python) > 1):
            return True
        return any(not each.endswith((".toml", ".yaml", ".yml")) for each in texts)

    def holds(self, path: str) -> bool:
        """Whether a file is one of the listed ones, or there are too many to list them."""
        python, texts, _ = self._listing
        return python is None or path in python or path in (texts or ())

    def once(self, ask: Callable[[Project], Answer]) -> Answer | None:
        """The cached answer to a question about the files; None if the project is too large."""
        return self._answered(ask, partial(ask, self))

    def about(self, name: str, ask: Callable[[Project, str], Answer]) -> Answer | None:
        """The cached answer to a question about a name in the files; None if the project is too large."""
        if (ask, name) not in self._answers:
            self._names_asked[ask] = self.names_asked(ask) + 1
        return self._answered((ask, name), partial(ask, self, name))

    def names_asked(self, ask: Callable[[Project, str], object]) -> int:
        """The number of names that a question was asked about."""
        return self._names_asked.get(ask, 0)

    def _answered(self, key: object, ask: Callable[[], Answer]) -> Answer | None:
        if key not in self._answers:
            try:
                self._answers[key] = ask()
            except TooLargeError:
                self._answers[key] = None
        answer: Answer | None = self._answers[key]
        return answer

    def mentions_beside(self, path: str, word: bytes) -> bool | None:
        """Whether another file than this one contains a word; None if the project is too large."""
        try:
            return any(
                word in data for files in (self.python, self.texts) for each, data in files() if each != path
            )
        except TooLargeError:
            return None

    def content(self, path: str) -> bytes:
        """The content of a file; empty if it cannot be read."""
        if path in self._kept:
            return self._kept[path]
        try:
            data = self._read(path)[:_MOST_OF_A_FILE]
        except OSError:
            data = b""
        if len(data) <= self._may_keep:
            self._may_keep -= len(data)
            self._kept[path] = data
        return data

    def python(self) -> Iterator[tuple[str, bytes]]:
        """The path and content of each Python file and notebook.

        Raises:
            TooLargeError: the project has too much of them.
        """
        return self._contents(self._listing.python, _MOST_OF_A_FILE, _MOST_BYTES)

    def texts(self) -> Iterator[tuple[str, bytes]]:
        """The path and content of each file that shows how the project is used: documents, scripts, settings.

        Raises:
            TooLargeError: the project has too much of them.
        """
        return self._contents(self._listing.texts, _MOST_OF_A_TEXT, _MOST_TEXT_BYTES)

    def _contents(
        self, paths: tuple[str, ...] | None, most_of_each: int, most: int
    ) -> Iterator[tuple[str, bytes]]:
        if paths is None:
            raise TooLargeError
        total = 0
        for path in paths:
            data = self.content(path)[:most_of_each]
            total += len(data)
            if total > most:
                raise TooLargeError
            yield path, data
