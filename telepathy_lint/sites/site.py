"""What a rule sees: one call of interest, with everything that is known about it."""

from __future__ import annotations

import ast
from enum import Enum
from functools import cached_property
from typing import TYPE_CHECKING, Literal, NamedTuple

from telepathy_lint.findings.change import Repair
from telepathy_lint.findings.finding import Finding
from telepathy_lint.flow.arguments import Argument
from telepathy_lint.flow.tree import Context
from telepathy_lint.flow.value import by_identity
from telepathy_lint.source.text import Source

if TYPE_CHECKING:
    import libcst

    from telepathy_lint.flow.file import File

Kind = Literal[
    "model",
    "tokenizer",
    "pipeline",
    "config",
    "processor",
    "generation_config",
    "move",
    "path",
    "generate",
    "decoding",
    "collator",
    "identifier",
    "training",
    "entry",
    "object_pipeline",
    "cast",
    "added_token",
    "mixed_precision",
    "array",
    "training_config",
    "trainer",
    "tokenizer_use",
    "removed_name",
    "pipeline_task",
    "saving",
]
#: What makes an object out of weights or a tokenizer's files; the settings rules look at nothing else.
LOADS: tuple[Kind, ...] = ("model", "tokenizer", "pipeline")
#: What is loaded by a class's `from_pretrained`.
_FROM_PRETRAINED = ("model", "tokenizer", "config", "processor", "generation_config")


class Known(Enum):
    """An answer that may be missing: what cannot be decided is not reported."""

    YES = "yes"
    NO = "no"
    UNDECIDED = "undecided"


class _SiteFields(NamedTuple):
    """What a site is. What becomes of its object is asked when somebody wants to know it (`facts.py`)."""

    kind: Kind
    file: File
    #: The call; the statement or literal where the site is no call.
    node: ast.expr | ast.stmt
    context: Context
    #: Dotted classes the call may load, or "transformers.pipeline"; a local subclass by its own name.
    classes: tuple[str, ...]
    arguments: dict[str, Argument]
    #: Whether the call gets arguments that cannot be seen.
    opaque: bool
    model_id: str | None
    generative: bool = False
    #: Whether the call reaches `from_pretrained` through a function or partial of the file.
    indirect: bool = False
    #: Whether the configuration names the called function as one that loads.
    configured: bool = False
    #: Whether the call is one of the companion loader's, which gives what is absent its own defaults.
    loader: bool = False
    #: What the companion loader's call loads, and whether it gets arguments that cannot be seen: to most rules all its
    #: calls are opaque, for absent arguments get the loader's defaults.
    loads: tuple[str, ...] = ()
    spreads: bool = False
    #: Names of `arguments` that the wrapped function fixes itself; they are reported there.
    inherited: frozenset[str] = frozenset()
    #: The loads whose object the call surely works on: a `generate` call's models, a collator's tokenizers, the model that
    #: is cast, trained or read.
    about: tuple[Site, ...] = ()
    #: The generation config, built in the file, that a `generate` call gets.
    config: Site | None = None


@by_identity
class Site(_SiteFields):
    """A load: of a model, of a tokenizer, or of a pipeline that is given a model id."""

    # ---- what a rule yields

    def at(
        self, place: Argument | ast.AST | tuple[int, int], detail: str = "", fix: Repair | None = None
    ) -> Finding:
        """A finding about something written: an argument, a node of the site, or a range of offsets."""
        if isinstance(place, Argument):
            place = place.node
        start, end = self.range_of(place) if isinstance(place, ast.AST) else place
        return Finding(start, end, detail, fix)

    def at_call(self, detail: str = "", fix: Repair | None = None) -> Finding:
        """A finding about something absent: it stands at what is called."""
        return Finding(self.start, self.source.end_of(self.call.func), detail, fix)

    # ---- what is known of it

    @property
    def call(self) -> ast.Call:
        """The call that the site is; only of kinds that are calls."""
        assert isinstance(self.node, ast.Call), f"a site of kind {self.kind!r} is no call"
        return self.node

    @property
    def source(self) -> Source:
        return self.file.source

    @property
    def callee(self) -> str:
        """The dotted name of what is called, as JSON reports it."""
        loads = self.kind in _FROM_PRETRAINED and not self.loader and not self.configured
        return f"{self.classes[0]}.from_pretrained" if loads else self.classes[0]

    @property
    def loaded(self) -> tuple[str, ...]:
        """The dotted classes that the call may load, also where the companion loader is what is called."""
        return self.loads or self.classes

    @property
    def unseen(self) -> bool:
        """Whether the call gets arguments that cannot be seen, whatever is called."""
        return self.spreads if self.loader else self.opaque

    @property
    def class_name(self) -> str:
        return self.classes[0].rpartition(".")[2]

    @cached_property
    def start(self) -> int:
        return self.source.start_of(self.node)

    @cached_property
    def end(self) -> int:
        return self.source.end_of(self.node)

    @cached_property
    def text(self) -> str:
        return self.source.text[self.start : self.end]

    @cached_property
    def cst(self) -> libcst.Call:
        """The call as concrete syntax; imports LibCST, so asked for only by what needs comments and layout."""
        import libcst

        # In parentheses a chain may go on in the next line, as it does where it stands.
        node = libcst.parse_expression(f"({self.text})")
        assert isinstance(node, libcst.Call)
        return node.with_changes(lpar=node.lpar[1:], rpar=node.rpar[:-1])

    def argument(self, *names: str) -> Argument | None:
        """The first of the named arguments that the call gets."""
        for name in names:
            if (found := self.arguments.get(name)) is not None:
                return found
        return None

    def lacks(self, *names: str) -> bool:
        """Whether the call surely gets none of the arguments, or None, which says as much.

        In the companion loader's call nothing is missing unless None says to leave it to transformers.
        """
        given = self.argument(*names)
        if given is not None:
            return given.how == "keyword" and all(value.is_none for value in given.values)
        return not self.opaque and not self.loader

    @property
    def has_torch(self) -> bool:
        """Whether `torch` is sure to be the module of that name when the call runs."""
        tree, scope = self.context.scope.tree, self.context.scope
        bindings = tree.top.bindings.get("torch", [])
        if not all(each.kind == "import" and each.symbol == "torch" for each in bindings):
            return False
        while scope.is_class and scope.parent is not None:
            scope = scope.parent
        return any(
            # A branch may not have run, nor a cell or line below the call; a function is called later.
            tree.parent.get(each.stmt) is tree.top.node
            and (scope.is_function or each.line < self.call.lineno)
            for each in bindings
        )

    def range_of(self, node: ast.AST) -> tuple[int, int]:
        """Offsets of a part of the call, a keyword's name and a spread's stars included."""
        assert isinstance(node, (ast.expr, ast.keyword, ast.stmt))
        return self.source.start_of(node), self.source.end_of(node)
