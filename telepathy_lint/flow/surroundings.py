"""What the findings of a file may ask of the project around it: its importers, its texts, all of its files.

Every question is noted, so that a cached result depends on the answers, and not on every file of the project.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator

from telepathy_lint.flow.import_resolution import ModuleFiles
from telepathy_lint.flow.importers import Importers
from telepathy_lint.flow.questions import (
    EVERYTHING,
    AskedProject,
    Question,
    answer_of,
    as_text,
    function,
    name_of,
)
from telepathy_lint.flow.whole_project import Project
from telepathy_lint.hints import Any, TypeVar
from telepathy_lint.source.text import SourceError

#: How much of a file is read.
MAX_BYTES = 1_000_000
_Told = TypeVar("_Told")


class Surroundings:
    """The projects of the linted files: what is asked of them, and by which file."""

    def __init__(self, read: Callable[[str], bytes]) -> None:
        self._read = read
        self._module_files = ModuleFiles()
        self._absolute: dict[str, str] = {}
        #: The modules that the imports of each file lead to, by name.
        self._asked: dict[str, dict[str, str | None]] = {}
        self._data: dict[str, bytes] = {}
        self._importers: Importers | None = None
        self._told: dict[tuple[str, Callable[[str], Any]], Any] = {}
        #: The file whose findings are looked for.
        self._current = ""
        #: What the findings of a file asked of its project.
        self._questions: dict[str, dict[Question, None]] = {}
        self._answers: dict[Question, str] = {}
        #: The files of the project that the findings of a file read.
        self._read_for: dict[str, dict[str, None]] = {}

    def absolute(self, path: str) -> str:
        """`os.path.abspath`, computed once for each path: the findings of a file ask many questions about it."""
        found = self._absolute.get(path)
        if found is None:
            found = self._absolute[path] = os.path.abspath(path)
        return found

    def importers(self, path: str) -> tuple[tuple[str, ...], tuple[str, ...]] | None:
        """The files that import a file's module directly, and all that depend on it; None if unknown."""
        path = self.absolute(path)
        self._note(path, ("importers", path))
        return self._importers_of(path)

    def _importers_of(self, path: str) -> tuple[tuple[str, ...], tuple[str, ...]] | None:
        around = self._around(path)
        everybody = around.all_of(path) if around is not None else None
        return (around.direct(path), everybody) if around is not None and everybody is not None else None

    def connected(self, path: str) -> tuple[str, ...] | None:
        """The other files of the project that may get what a file makes (`Importers.connected`); None if unknown."""
        path = self.absolute(path)
        self._note(path, ("connected", path))
        return self._connected_with(path)

    def _connected_with(self, path: str) -> tuple[str, ...] | None:
        around = self._around(path)
        return around.connected(path) if around is not None else None

    def is_alone(self, path: str) -> bool:
        """Whether a file is the only Python file of its project, or is in no project."""
        path = self.absolute(path)
        self._note(path, ("is_alone", path))
        return self._is_alone(path)

    def _is_alone(self, path: str) -> bool:
        around = self._around(path)
        return around is None or around.is_alone(path)

    def told(self, path: str, ask: Callable[[str], _Told]) -> _Told:
        """The cached answer to a question about the code of a file in the project; the answer must be plain data."""
        self._note(self._current, ("told", path, name_of(ask)))
        return self._tells(path, ask)

    def _tells(self, path: str, ask: Callable[[str], _Told]) -> _Told:
        if (path, ask) not in self._told:
            self._told[path, ask] = ask(self._code(path))
        answer: _Told = self._told[path, ask]
        return answer

    def mentions(self, path: str, word: bytes) -> bool:
        """Whether a Python file in a file's project contains a word."""
        path = self.absolute(path)
        self._note(path, ("mentions", path, word.decode("latin-1")))
        return self._mentions(path, word)

    def _mentions(self, path: str, word: bytes) -> bool:
        around = self._around(path)
        return around is not None and around.mentions(path, word)

    def project(self, path: str) -> Project | None:
        """The project of a file, to ask about all of its files; None if the file is in no project."""
        path = self.absolute(path)
        self._note(path, ("is_in_a_project", path))
        project = self._project_of(path)
        if project is None:
            return None

        def note(question: Question) -> None:
            self._note(path, question)

        return AskedProject(project, note)

    def _project_of(self, path: str) -> Project | None:
        around = self._around(path)
        root = around.root_of(path) if around is not None else None
        return around.project(root) if around is not None and root is not None else None

    def _around(self, path: str) -> Importers | None:
        """The importers in a file's project; None if the file is in no project."""
        if self._importers is None:
            self._importers = Importers(self._read, self._module_files)
        return self._importers if self._importers.root_of(path) is not None else None

    def _note(self, path: str, question: Question) -> None:
        """Note a question about a file, or its project, for the file that is linted."""
        self._questions.setdefault(self._current, {})[question] = None
        if path != self._current:
            # An imported module keeps what it learns from the answer for the next file that imports it.
            self._questions.setdefault(path, {})[EVERYTHING] = None

    def _note_read(self, path: str) -> None:
        self._read_for.setdefault(self._current, {})[path] = None

    def text(self, path: str) -> str:
        """The text of a file in the project, decoded without its declaration; for a notebook, its JSON."""
        self._note_read(path)
        return self._text(path)

    def _text(self, path: str) -> str:
        return self._bytes(path).decode("utf-8", "replace")

    def _code(self, path: str) -> str:
        """The text of a file in the project; for a notebook, that of its code cells."""
        if path.endswith(".ipynb"):
            from telepathy_lint.source.notebook import Notebook

            try:
                return Notebook(path, self._bytes(path)).text
            except SourceError:
                return ""
        return self._text(path)

    def _bytes(self, path: str) -> bytes:
        if path not in self._data:
            try:
                self._data[path] = self._read(path)[:MAX_BYTES]
            except OSError:
                self._data[path] = b""
        return self._data[path]

    def asked(self, path: str) -> Iterator[tuple[str, str, str | None]]:
        """The imports that the findings in a file depend on, including those of the modules that it imports.

        Yields the importing file, the module name, and the file found; None if there is none.
        """
        for asker in self._askers(path):
            for module, found in self._asked.get(asker, {}).items():
                yield asker, module, found

    def questions(self, path: str) -> Iterator[Question]:
        """What the findings in a file asked of the project, those of the modules that it imports included."""
        for each in self._askers(path):
            yield from self._questions.get(each, ())

    def files_read(self, path: str) -> Iterator[str]:
        """The files of the project that the findings in a file read, beside those that imports lead to."""
        for each in self._askers(path):
            yield from self._read_for.get(each, ())

    def answer(self, folder: str, question: Question) -> str:
        """The answer to a question about the project of a folder, as a text that can be compared.

        Raises:
            ValueError: there is no such question.
            TypeError: the answer is not plain data.
        """
        key = (folder, *question)
        if key not in self._answers:
            self._answers[key] = as_text(self._ask(folder, question))
        return self._answers[key]

    def _ask(self, folder: str, question: Question) -> object:
        kind, *about = question
        if kind == "importers":
            return self._importers_of(about[0])
        if kind == "connected":
            return self._connected_with(about[0])
        if kind == "is_alone":
            return self._is_alone(about[0])
        if kind == "told":
            return self._tells(about[0], function(about[1]))
        if kind == "mentions":
            return self._mentions(about[0], about[1].encode("latin-1"))
        project = self._project_of(os.path.join(folder, "_"))
        if kind == "is_in_a_project":
            return project.root if project is not None else None
        return answer_of(project, question) if project is not None else None

    def _askers(self, path: str) -> Iterator[str]:
        """A file, the modules that it imports and the files that its findings read, and those that these import."""
        seen, pending = set[str](), [os.path.abspath(path)]
        while pending:
            asker = pending.pop()
            if asker not in seen:
                seen.add(asker)
                yield asker
                pending += [each for each in self._asked.get(asker, {}).values() if each is not None]
                pending += self._read_for.get(asker, ())
