"""What an audit knows: plain frozen facts, each with the places that show it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from telepathy_lint.findings.violation import place_in_words

#: Where a model id is written. "compared", "data", "dataset" and "service" choose no model of the hub: an `if`, a results file,
#: a dataset's id, what a service calls what it sells.
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
#: Roles by which a repository says which models it means to use.
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
    """A model id as it is written somewhere."""

    model_id: str
    place: Place
    role: Role


@dataclass(frozen=True, slots=True, order=True)
class Chosen:
    """An id that a load can get, where it is written, and what leads from there to the load."""

    model_id: str
    place: Place
    via: str
    #: Where in its file the table's innermost entry begins that holds the id, 0 outside tables: ids of one entry belong
    #: together.
    entry: int = 0


@dataclass(frozen=True, slots=True)
class Passed:
    """An id that a command line gives to an option of a Python file, as written, or a configuration file ("") to a key."""

    script: str
    option: str
    model_id: str
    place: Place
    entry: int = 0


@dataclass(frozen=True, slots=True, order=True)
class Wanted:
    """A parameter of a function or constructor that other files may call; `position` is -1 where only its name will do."""

    path: str
    function: str
    parameter: str
    position: int


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting of a load: as written, and the kind of value that is counted."""

    text: str
    group: str


@dataclass(frozen=True, slots=True)
class Load:
    """One call that loads a model, a tokenizer or a pipeline."""

    place: Place
    kind: LoadKind
    callee: str
    ids: tuple[Chosen, ...]
    #: Whether the id can come from outside what was followed: a command line, another file, a computed value.
    open: bool
    #: How the call names the model.
    written: str
    #: The option or field that the id is read from ("source_model"), which scripts can set.
    options: tuple[str, ...]
    #: Those of them that the file does not declare itself: a configuration file may set them.
    keys: tuple[str, ...]
    settings: tuple[tuple[str, Setting], ...]
    generative: bool
    #: A call of a function of the project that loads: its settings are counted where that function loads.
    indirect: bool
    #: Whether something near the load says how much memory it takes (TLP901); the loader does.
    logs_memory: bool = True
    #: The parameters that the id comes through.
    wanted: tuple[Wanted, ...] = ()
    #: The task of a pipeline, where it is written.
    task: str = ""

    def setting(self, name: str) -> Setting:
        return dict(self.settings)[name]


@dataclass(frozen=True, slots=True)
class Given:
    """What a call in another file gives for a parameter."""

    wanted: Wanted
    path: str
    ids: tuple[Chosen, ...]
    open: bool
    options: tuple[str, ...]
    keys: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Finding:
    """What a rule found; the message is the rule's."""

    code: str
    name: str
    message: str
    place: Place
    #: How safe the fix is that this rule alone would make here; None where it makes none.
    fix: Literal["safe", "unsafe"] | None = None
    #: What of the file holds the fix back.
    reason: str | None = None


@dataclass(frozen=True, slots=True, order=True)
class Conversion:
    """A file that changes weights or writes loaded weights to disk: other load settings would change what it writes."""

    place: Place
    why: str


@dataclass(frozen=True, slots=True)
class Number:
    """A number that the code gives for a model, or for two together: parameters, a dimension, a batch size."""

    table: str
    models: tuple[str, ...]
    value: float
    place: Place
    #: The condition under which an `if` chain gives it.
    when: str = ""
    #: Whether the code takes a smaller one where it computes one: `min(computed, 6)`.
    bound: bool = False
    #: The sequence length that the function around assumes, 0 where it says none.
    tokens: int = 0


@dataclass(frozen=True, slots=True)
class Entry:
    """An id in a table or constant that its file takes nowhere it could be loaded; `names` lead to it from other files."""

    mention: Mention
    names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class CachePath:
    """A place that says where downloaded models are kept."""

    name: str
    value: str
    place: Place
    #: Whether the value is written here, not handed on from somewhere else.
    literal: bool = True

    @property
    def absolute(self) -> bool:
        """Whether it is a path of one machine."""
        return self.literal and self.value.strip("\"'").startswith(("/", "~"))


@dataclass(frozen=True, slots=True)
class Generate:
    """A `generate` call and the decoding it states; `hidden` where it gets arguments that cannot be seen."""

    place: Place
    states: tuple[str, ...]
    hidden: bool


@dataclass(frozen=True, slots=True)
class FileFacts:
    """What one file shows; picklable, since files are looked at in several processes."""

    path: str
    mentions: tuple[Mention, ...] = ()
    entries: tuple[Entry, ...] = ()
    loads: tuple[Load, ...] = ()
    findings: tuple[Finding, ...] = ()
    numbers: tuple[Number, ...] = ()
    caches: tuple[CachePath, ...] = ()
    generates: tuple[Generate, ...] = ()
    passed: tuple[Passed, ...] = ()
    #: Calls that rules look at, and how many of them no rule finds fault with.
    calls: int = 0
    clean: int = 0
    #: The places of loads whose models are in memory at the same time.
    together: tuple[tuple[Place, ...], ...] = ()
    #: What the file's calls give to functions of other files that load.
    given: tuple[Given, ...] = ()
    conversion: Conversion | None = None
    problem: str | None = None


@dataclass(frozen=True, slots=True)
class Model:
    """One model id over the whole project."""

    model_id: str
    status: Literal["known", "renamed", "unknown", "outside"]
    canonical: str | None
    nearest: tuple[str, ...]
    mentions: tuple[Mention, ...]
    #: Loads of weights that can get this id.
    loads: tuple[Place, ...]
    tokenizer_loads: tuple[Place, ...]
    parameters: int | None = None
    weight_bytes: int | None = None
    hidden: int | None = None
    layers: int | None = None
    #: (regime of the runtime's estimator, peak bytes of one sequence on one GPU).
    peaks: tuple[tuple[str, int], ...] = ()

    @property
    def loaded(self) -> bool:
        """Whether something loads it: weights, its tokenizer, or a loading call of another library."""
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
    """Models that one job holds at the same time, over all such jobs; sizes in bytes, None where not listed."""

    models: tuple[str, ...]
    #: The places of the loads, by job.
    jobs: tuple[tuple[Place, ...], ...]
    weight_bytes: int | None
    #: Two models, the one reading, the other passing gradients on: the larger peak of the two ways round.
    peak_bytes: int | None = None
    #: The largest batch of that on the GPU.
    batch: int | None = None


Verdict = Literal["agrees", "differs", "too large", "too large to train", "far below", "depends"]

TOO_LARGE = ("too large", "too large to train")


@dataclass(frozen=True, slots=True)
class Checked:
    """A number of the project's own beside what the registry or the planner says."""

    number: Number
    quantity: str
    unit: str
    exact: float
    verdict: Verdict
    #: What the exact number holds for, where that needs saying.
    basis: str = ""

    @property
    def agrees(self) -> bool:
        return self.verdict not in ("differs", *TOO_LARGE)
