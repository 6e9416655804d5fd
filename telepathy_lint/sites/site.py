"""A site: a call of interest with everything that rules need to know about it."""

from __future__ import annotations

import ast
from enum import Enum
from functools import cached_property

from telepathy_lint.findings.change import Repair
from telepathy_lint.findings.finding import Detail, Finding
from telepathy_lint.flow.arguments import Argument
from telepathy_lint.flow.tree import Context
from telepathy_lint.flow.value import by_identity
from telepathy_lint.hints import TYPE_CHECKING, Literal, NamedTuple
from telepathy_lint.source.text import Source

if TYPE_CHECKING:
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
    "training_read",
    "trainer_read",
    "trainer_override",
    "model_read",
    "config_write",
    "tokenizer_use",
    "removed_name",
    "pipeline_task",
    "pipeline_call",
    "saving",
]
#: Kinds that load weights or a tokenizer; the rules about settings check only these.
LOADS: tuple[Kind, ...] = ("model", "tokenizer", "pipeline")
#: Kinds that a class's `from_pretrained` loads.
_FROM_PRETRAINED = ("model", "tokenizer", "config", "processor", "generation_config")


class Known(Enum):
    """An answer that may be unknown; undecided cases are not reported."""

    YES = "yes"
    NO = "no"
    UNDECIDED = "undecided"


class _SiteFields(NamedTuple):
    """The data of a site. Questions about what happens to its object later are in `facts`."""

    kind: Kind
    file: File
    #: The call; for a site that is not a call, the statement or literal.
    node: ast.expr | ast.stmt
    context: Context
    #: Dotted names of the classes that the call may load, or "transformers.pipeline"; a local subclass has
    #: its own name.
    classes: tuple[str, ...]
    arguments: dict[str, Argument]
    #: Whether the call gets unknown arguments.
    opaque: bool
    model_id: str | None
    generative: bool = False
    #: Whether the call reaches `from_pretrained` through a function or partial in the file.
    indirect: bool = False
    #: Whether the function is configured as a loading function.
    configured: bool = False
    #: Whether the call is one of the companion loader, which has its own defaults for missing arguments.
    loader: bool = False
    #: For the companion loader, the loaded classes, and whether the call gets unknown arguments. Most rules
    #: treat all its calls as opaque, because missing arguments have the loader's defaults.
    loads: tuple[str, ...] = ()
    spreads: bool = False
    #: Whether the call returns a model and its tokenizer, in this order.
    pair: bool = False
    #: Names of `arguments` that the wrapped function sets itself; they are reported there.
    inherited: frozenset[str] = frozenset()
    #: The loads of the objects that the call certainly uses: the models of a `generate` call, the tokenizers
    #: of a collator, the model that is cast, trained or read.
    about: tuple[Site, ...] = ()
    #: The generation config, created in the file, that a `generate` call gets.
    config: Site | None = None


@by_identity
class Site(_SiteFields):
    """A load of a model, a tokenizer, or a pipeline with a model id; or another place that rules check."""

    # ---- findings

    def at(
        self, place: Argument | ast.AST | tuple[int, int], detail: Detail = "", fix: Repair | None = None
    ) -> Finding:
        """Create a finding about something that is written: an argument, a node in the site, or a range of offsets."""
        if isinstance(place, Argument):
            place = place.node
        start, end = self.range_of(place) if isinstance(place, ast.AST) else place
        return Finding(start, end, detail, fix)

    def at_call(self, detail: Detail = "", fix: Repair | None = None) -> Finding:
        """Create a finding about something that is missing; it points to the called function."""
        return Finding(self.start, self.source.end_of(self.call.func), detail, fix)

    # ---- questions

    @property
    def call(self) -> ast.Call:
        """The call; only for kinds that are calls."""
        assert isinstance(self.node, ast.Call), f"a site of kind {self.kind!r} is no call"
        return self.node

    @property
    def source(self) -> Source:
        return self.file.source

    @property
    def callee(self) -> str:
        """The dotted name of the called function, as in the JSON output."""
        loads = self.kind in _FROM_PRETRAINED and not self.loader and not self.configured
        return f"{self.classes[0]}.from_pretrained" if loads else self.classes[0]

    @property
    def loaded(self) -> tuple[str, ...]:
        """The dotted classes that the call may load, including those of the companion loader."""
        return self.loads or self.classes

    @property
    def unseen(self) -> bool:
        """Whether the call gets unknown arguments, also for the companion loader."""
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

    def argument(self, *names: str) -> Argument | None:
        """The first of the named arguments that the call gets."""
        for name in names:
            if (found := self.arguments.get(name)) is not None:
                return found
        return None

    def lacks(self, *names: str) -> bool:
        """Whether the call certainly has none of the arguments, or passes None, which means the same.

        For the companion loader, an argument is missing only if it is None, which leaves the setting to
        transformers.
        """
        given = self.argument(*names)
        if given is not None:
            return given.how == "keyword" and all(value.is_none for value in given.values)
        return not self.opaque and not self.loader

    @property
    def has_torch(self) -> bool:
        """Whether the name `torch` is certainly the module when the call runs."""
        tree, scope = self.context.scope.tree, self.context.scope
        bindings = tree.top.bindings.get("torch", [])
        if not all(each.kind == "import" and each.symbol == "torch" for each in bindings):
            return False
        while scope.is_class and scope.parent is not None:
            scope = scope.parent
        return any(
            # An import in a branch, a later cell or a later line may not have run; a function runs later than
            # its definition.
            tree.parent.get(each.stmt) is tree.top.node
            and (scope.is_function or each.line < self.call.lineno)
            for each in bindings
        )

    def range_of(self, node: ast.AST) -> tuple[int, int]:
        """Offsets of a part of the call, including a keyword's name or the stars of a spread argument."""
        assert isinstance(node, (ast.expr, ast.keyword, ast.stmt))
        return self.source.start_of(node), self.source.end_of(node)
