"""What the findings of a file asked of its project, beside its imports: plain data, so that a later run can ask again.

A question is a tuple of texts: its kind, and what it is about. An answer is compared as text.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module
from types import FunctionType

from telepathy_lint.flow.whole_project import Answer, Project
from telepathy_lint.hints import Any

Question = tuple[str, ...]

#: The question of code that looks at the files itself: its answer changes with any of them.
EVERYTHING: Question = ("everything",)
#: The packages whose functions may be asked; their answers depend on the text or the project that they are given.
_ASKED = ("telepathy_lint.facts.", "telepathy_lint.knowledge.")


class AskedProject(Project):
    """A project as the findings of one file see it: every question is noted."""

    def __init__(self, project: Project, note: Callable[[Question], None]) -> None:
        super().__init__(project.root, project.content)
        self._project = project
        self._note = note

    @property
    def _listing(self) -> Any:
        self._note(EVERYTHING)  # by a method that is not below
        return self._project._listing

    def once(self, ask: Callable[[Project], Answer]) -> Answer | None:
        self._note(("once", name_of(ask)))
        return self._project.once(ask)

    def about(self, name: str, ask: Callable[[Project, str], Answer]) -> Answer | None:
        self._note(("about", name, name_of(ask)))
        return self._project.about(name, ask)

    def is_only(self, path: str) -> bool:
        self._note(("is_only", path))
        return self._project.is_only(path)

    @property
    def is_told_of(self) -> bool:
        self._note(("is_told_of",))
        return self._project.is_told_of

    def holds(self, path: str) -> bool:
        self._note(("holds", path))
        return self._project.holds(path)

    def mentions_beside(self, path: str, word: bytes) -> bool | None:
        self._note(("mentions_beside", path, word.decode("latin-1")))
        return self._project.mentions_beside(path, word)

    def content(self, path: str) -> bytes:
        self._note(("content", path))
        return self._project.content(path)


def answer_of(project: Project, question: Question) -> object:
    """Ask a project again.

    Raises:
        ValueError: there is no such question.
    """
    kind, *about = question
    if kind == "once":
        return project.once(function(about[0]))
    if kind == "about":
        return project.about(about[0], function(about[1]))
    if kind == "is_told_of":
        return project.is_told_of
    if kind == "is_only":
        return project.is_only(about[0])
    if kind == "holds":
        return project.holds(about[0])
    if kind == "content":
        return project.content(about[0])
    if kind == "mentions_beside":
        return project.mentions_beside(about[0], about[1].encode("latin-1"))
    raise ValueError(f"no question: {kind}")


def name_of(ask: Callable[..., object]) -> str:
    """The name of a function in a module, by which another process finds it."""
    assert ask.__module__.startswith(_ASKED), f"the cache cannot ask {ask.__module__}"
    return f"{ask.__module__}:{ask.__qualname__}"


def function(name: str) -> Callable[..., Any]:
    """The function with this name.

    Raises:
        ValueError: it is none that may be asked, because names also come from the cache's files.
    """
    module, _, function = name.partition(":")
    if not module.startswith(_ASKED):
        raise ValueError(f"not to be asked: {name}")
    try:
        found = getattr(import_module(module), function)
    except (ImportError, AttributeError) as error:
        raise ValueError(f"no such function: {name}") from error
    if type(found) is not FunctionType or found.__module__ != module:
        raise ValueError(f"no function of that module: {name}")
    return found


def as_text(answer: object) -> str:
    """An answer as a text that is the same for equal answers in any process.

    Raises:
        TypeError: the answer is not plain data.
    """
    if isinstance(answer, (set, frozenset)):
        return f"{{{','.join(sorted(map(as_text, answer)))}}}"
    if isinstance(answer, Mapping):
        return f"{{{','.join(sorted(f'{as_text(key)}:{as_text(value)}' for key, value in answer.items()))}}}"
    if isinstance(answer, (tuple, list)):
        return f"({','.join(map(as_text, answer))})"
    if answer is None or isinstance(answer, (bool, int, float, str, bytes)):
        return repr(answer)
    raise TypeError(f"not plain data: {type(answer).__name__}")
