"""The data of an audit: immutable facts, each with the places that support it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from telepathy_lint.findings.violation import place_in_words

#: The role of a written model id. "compared", "data", "dataset" and "service" do not select a hub model: an
#: `if`, a results file, a dataset's id, a service's model name.
Role = Literal[
    "load",
    "option",
    "parameter",
    "field",
    "constant",
    "table",
    "other",
    "compared",
    "config",
    "script",
    "data",
    "dataset",
    "service",
]
#: Roles with which a repository configures its models.
CONFIGURING: frozenset[Role] = frozenset(
    {"load", "option", "parameter", "field", "constant", "table", "config", "script"}
)
LoadKind = Literal["model", "tokenizer", "pipeline"]


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """A line of a file, relative to the audited folder; `cell` is a notebook's 0-based code cell, else -1."""

    path: str
    line: int
    cell: int = -1

    def __str__(self) -> str:
        if self.cell >= 0:
            return f"{self.path}, {place_in_words(self.line, self.cell)}"
        return f"{self.path}:{self.line}"


@dataclass(frozen=True, slots=True, order=True)
class Mention:
    """A place that names a model id."""

    model_id: str
    place: Place
    role: Role


@dataclass(frozen=True, slots=True, order=True)
class Chosen:
    """An id that a load may get: where it is written, and how it gets to the load."""

    model_id: str
    place: Place
    via: str
    #: Offset of the innermost table entry that contains the id, 0 outside tables: the ids of an entry belong
    #: together.
    entry: int = 0


@dataclass(frozen=True, slots=True)
class Passed:
    """An id that a command line passes to an option of a Python file, or a configuration file ("") sets for a key."""

    script: str
    option: str
    model_id: str
    place: Place
    entry: int = 0


@dataclass(frozen=True, slots=True, order=True)
class Wanted:
    """A parameter of a function or constructor that other files may call; `position` is -1 for keyword-only ones."""

    path: str
    function: str
    parameter: str
    position: int


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting of a load: as written, and the value under which it is counted."""

    text: str
    group: str


@dataclass(frozen=True, slots=True)
class Load:
    """One call that loads a model, a tokenizer or a pipeline."""

    place: Place
    kind: LoadKind
    callee: str
    ids: tuple[Chosen, ...]
    #: Whether the id may come from elsewhere: a command line, another file, a computed value.
    open: bool
    #: How the call writes the model.
    written: str
    #: The options or fields that contain the id ("source_model"); scripts may set them.
    options: tuple[str, ...]
    #: Those that the file does not declare itself, so that a configuration file may set them.
    keys: tuple[str, ...]
    settings: tuple[tuple[str, Setting], ...]
    generative: bool
    #: A call of a project function that loads; its settings are counted in that function.
    indirect: bool
    #: Whether code near the load logs its memory (TLP901); the loader does.
    logs_memory: bool = True
    #: The parameters through which the id comes.
    wanted: tuple[Wanted, ...] = ()
    #: The task of a pipeline, if it is written.
    task: str = ""

    def setting(self, name: str) -> Setting:
        return dict(self.settings)[name]


@dataclass(frozen=True, slots=True)
class Given:
    """A value that a call in another file passes for a parameter."""

    wanted: Wanted
    path: str
    ids: tuple[Chosen, ...]
    open: bool
    options: tuple[str, ...]
    keys: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Finding:
    """A rule's finding, with the rule's message."""

    code: str
    name: str
    message: str
    place: Place
    #: Safety of this rule's own fix here; None if there is none.
    fix: Literal["safe", "unsafe"] | None = None
    #: What of the file holds the fix back.
    reason: str | None = None


@dataclass(frozen=True, slots=True, order=True)
class Conversion:
    """A file that changes weights or writes loaded weights to disk: other load settings would change its result."""

    place: Place
    why: str


@dataclass(frozen=True, slots=True)
class Number:
    """A number that the code states for a model or a pair: parameters, a dimension, a batch size."""

    table: str
    models: tuple[str, ...]
    value: float
    place: Place
    #: Its condition in an `if` chain.
    when: str = ""
    #: Whether it is only an upper limit: `min(computed, 6)`.
    bound: bool = False
    #: The sequence length assumed by the enclosing function, 0 if there is none.
    tokens: int = 0


@dataclass(frozen=True, slots=True)
class Entry:
    """An id in a table or constant that its own file does not load; other files may get it by one of `names`."""

    mention: Mention
    names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class CachePath:
    """A place that sets the folder for downloaded models."""

    name: str
    value: str
    place: Place
    #: Whether the value is written here rather than passed in.
    literal: bool = True

    @property
    def absolute(self) -> bool:
        """Whether it is an absolute, machine-specific path."""
        return self.literal and self.value.strip("\"'").startswith(("/", "~"))


@dataclass(frozen=True, slots=True)
class Generate:
    """A `generate` call and its decoding arguments; `hidden` if some arguments are unknown."""

    place: Place
    states: tuple[str, ...]
    hidden: bool


@dataclass(frozen=True, slots=True)
class FileFacts:
    """The facts of one file; picklable, because worker processes collect them."""

    path: str
    mentions: tuple[Mention, ...] = ()
    entries: tuple[Entry, ...] = ()
    loads: tuple[Load, ...] = ()
    findings: tuple[Finding, ...] = ()
    numbers: tuple[Number, ...] = ()
    caches: tuple[CachePath, ...] = ()
    generates: tuple[Generate, ...] = ()
    passed: tuple[Passed, ...] = ()
    #: Number of calls that rules check, and of those without a finding.
    calls: int = 0
    clean: int = 0
    #: Places of loads whose models are in memory at the same time.
    together: tuple[tuple[Place, ...], ...] = ()
    #: Values that the file's calls pass to loading functions of other files.
    given: tuple[Given, ...] = ()
    conversion: Conversion | None = None
    problem: str | None = None


@dataclass(frozen=True, slots=True)
class Model:
    """A model id in the whole project."""

    model_id: str
    status: Literal["known", "renamed", "unknown", "outside"]
    canonical: str | None
    nearest: tuple[str, ...]
    mentions: tuple[Mention, ...]
    #: Loads of weights that may get this id.
    loads: tuple[Place, ...]
    tokenizer_loads: tuple[Place, ...]
    parameters: int | None = None
    weight_bytes: int | None = None
    hidden: int | None = None
    layers: int | None = None
    #: (regime of the runtime's estimator, peak bytes of one sequence on one GPU).
    peaks: tuple[tuple[str, int], ...] = ()
    #: The id on the hub that only differs by upper and lower case.
    spelled: str | None = None

    @property
    def loaded(self) -> bool:
        """Whether anything loads it: weights, its tokenizer, or a call of another library."""
        return bool(self.loads or self.tokenizer_loads) or any(one.role == "load" for one in self.mentions)

    @property
    def configured(self) -> bool:
        return any(mention.role in CONFIGURING for mention in self.mentions)


@dataclass(frozen=True, slots=True)
class Gpu:
    """The GPU that memory is compared with, in bytes."""

    name: str
    total_bytes: int
    usable_bytes: int


@dataclass(frozen=True, slots=True)
class Together:
    """Models that a job holds at the same time, over all such jobs; sizes in bytes, None if not listed."""

    models: tuple[str, ...]
    #: Places of the loads, per job.
    jobs: tuple[tuple[Place, ...], ...]
    weight_bytes: int | None
    #: For two models, one reading and one passing gradients on: the larger peak of both assignments.
    peak_bytes: int | None = None
    #: The largest batch for that on the GPU.
    batch: int | None = None


Verdict = Literal["agrees", "differs", "too large", "too large to train", "far below", "depends"]

TOO_LARGE = ("too large", "too large to train")


@dataclass(frozen=True, slots=True)
class Checked:
    """A number in the code, compared with the registry or the planner."""

    number: Number
    quantity: str
    unit: str
    exact: float
    verdict: Verdict
    #: The conditions for the exact number, if there are any.
    basis: str = ""

    @property
    def agrees(self) -> bool:
        return self.verdict not in ("differs", *TOO_LARGE)
