"""A file during the scan: its tree, and its names, values, dicts, calls and objects, each computed on first use."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from functools import cached_property

from telepathy_lint.flow.arguments import Arguments
from telepathy_lint.flow.calls import CallGraph
from telepathy_lint.flow.evaluate import Evaluator
from telepathy_lint.flow.names import Names
from telepathy_lint.flow.objects import Objects
from telepathy_lint.flow.project import Modules
from telepathy_lint.flow.tree import Tree
from telepathy_lint.flow.uses import Index
from telepathy_lint.hints import TYPE_CHECKING, Any, TypeVar
from telepathy_lint.settings import Settings
from telepathy_lint.source.prefilter import CodeWords
from telepathy_lint.source.text import Source

if TYPE_CHECKING:
    from telepathy_lint.flow.dicts import Dicts

Answer = TypeVar("Answer")


class File:
    """A file and everything known about it.

    All parts and sites refer back to the file; `release` breaks these reference cycles.
    """

    def __init__(
        self,
        source: Source,
        settings: Settings,
        modules: Modules | None = None,
        words: CodeWords | None = None,
        imported: Tree | None = None,
    ) -> None:
        """`imported` is the tree of a module that another file imported."""
        self.source = source
        self.settings = settings
        self.modules = modules
        self.words = words if words is not None else CodeWords(source.code)
        if imported is not None:
            self.tree = imported
        else:
            self.tree = modules.tree_of(source) if modules is not None else Tree(source)
        self.values = Evaluator(self.tree)
        self._answers: dict[Hashable, Any] = {}

    @property
    def names(self) -> Names:
        return self.values.names

    @property
    def dicts(self) -> Dicts:
        return self.values.dicts

    @cached_property
    def arguments(self) -> Arguments:
        return Arguments(self.values)

    @cached_property
    def uses(self) -> Index:
        return Index(self.tree, self.words)

    @cached_property
    def calls(self) -> CallGraph:
        return CallGraph(self.uses, self.values)

    @cached_property
    def objects(self) -> Objects:
        return Objects(self.calls)

    def remember(self, key: Hashable, answer: Callable[[], Answer]) -> Answer:
        """The cached answer to a question about the file, computed on first use."""
        if key not in self._answers:
            self._answers[key] = answer()
        return self._answers[key]  # type: ignore[no-any-return]

    def fact(self, make: Callable[[File], Answer]) -> Answer:
        """The cached result of a function of the file, or a class that is instantiated once per file."""
        if make not in self._answers:
            self._answers[make] = make(self)
        return self._answers[make]  # type: ignore[no-any-return]

    def release(self) -> None:
        """Break reference cycles; the garbage collector is off. Do not use the file or its sites afterwards."""
        if self.modules is not None and self.modules.frees_nothing:
            return
        if self.modules is None or not self.modules.keeps(self.tree):
            self.tree.release()
        self.forget()

    def forget(self) -> None:
        """Drop everything that refers back to the file; the tree may be used by another file."""
        self._answers.clear()
        self.values.release()
        for name in ("arguments", "uses", "calls", "objects"):
            self.__dict__.pop(name, None)
