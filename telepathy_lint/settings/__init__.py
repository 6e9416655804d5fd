"""The settings of rules and fixes: immutable, picklable, and independent of the source of the configuration."""

from __future__ import annotations

from telepathy_lint.hints import Any, Literal, NamedTuple
from telepathy_lint.settings.selectors import Fixing

#: Stands for the last release of transformers 4.
LAST_OF_4 = (4, 999)
#: Stands for the release of a commit, which its name does not tell.
UNKNOWN_RELEASE = (0, 0)

FixStyle = Literal["loader", "inline"]
Five = Literal["", "admits", "needs"]
Stage = Literal["", "others", "admits", "needs"]


class Loader(NamedTuple):
    """The loader that fixes use: a module and the names of its functions."""

    module: str = "telepathy_runtime"
    load_model: str = "load_model"
    load_tokenizer: str = "load_tokenizer"
    resolve_device_map: str = "resolve_device_map"
    resolve_dtype: str = "resolve_dtype"
    resolve_attn_implementation: str = "resolve_attn_implementation"
    apply_generation_config: str = "apply_generation_config"


class UnusedModel(NamedTuple):
    """A model that is configured in a file but cannot be loaded by the project, by its id as written there."""

    model_id: str
    #: The other places that name it: path from the project's root, line, and a notebook's cell or -1.
    references: tuple[tuple[str, int, int], ...]


class Settings(NamedTuple):
    #: Lowest transformers version to support ("4.57"), or all versions to support (">=4.50,<6"); None if the
    #: project does not specify one.
    target_transformers: str | None = None
    fix_style: FixStyle = "loader"
    loader: Loader = Loader()
    #: Dotted names of functions that load a model and pass keyword arguments on to `from_pretrained`.
    wrappers: tuple[str, ...] = ()
    #: The GPU that memory is compared with, by its name in the planner's table.
    gpu: str = "H100-80GB"
    #: The project's own models (`telepathy_runtime.models.spec.ModelSpec`), which come before the built-in registry's.
    models: tuple[Any, ...] = ()
    #: Kinds of evidence (`telepathy_lint.facts.evidence.KINDS`) that do not block unsafe fixes.
    unsafe_fixes_despite: tuple[str, ...] = ()
    #: Whether to report findings that do not matter according to the file.
    strict: bool = False
    #: Whether the project's requirements mention FlashAttention; None if they do not list transformers, or do
    #: not exist.
    flash_attention: bool | None = None
    #: Unused models in this file, found in the whole project; empty if they were not computed.
    unused_models: tuple[UnusedModel, ...] = ()
    #: Which rules may be fixed, and overrides of the safety of their fixes.
    fixing: Fixing = Fixing()
    #: Whether the configuration states `target_transformers`, so that what a file installs does not count.
    target_is_stated: bool = False
    #: Lowest trl version the code must run on ("0.20"), None where nobody says.
    target_trl: str | None = None
    #: The newest transformers release that the project's requirements allow, as (major, minor); None if they leave out none, UNKNOWN_RELEASE for a commit.
    newest: tuple[int, int] | None = None
    #: Whether a lock file beside the requirements says so.
    locked: bool = False
    #: The same of other libraries ("trl"), for those with an end.
    newest_others: tuple[tuple[str, tuple[int, int]], ...] = ()
    #: Whether only other requirements (`huggingface-hub<1.0`) leave out transformers 5, so that trl, peft and transformers 4 may be new all the same.
    others_move: bool = False

    @property
    def lowest_trl(self) -> tuple[int, int] | None:
        """`target_trl` as (major, minor)."""
        if self.target_trl is None:
            return None
        numbers = ([*self.target_trl.split("."), "0"])[:2]
        return int(numbers[0]), int(numbers[1])

    @property
    def loading_words(self) -> tuple[str, ...]:
        """The names of other loading functions than transformers': the loader's and configured wrappers."""
        own = (self.loader.load_model, self.loader.load_tokenizer)
        return (*own, *(wrapper.rpartition(".")[2] for wrapper in self.wrappers))

    @property
    def target_version(self) -> tuple[int, int] | None:
        """The lowest version of `target_transformers` as (major, minor)."""
        lowest = (self.target_transformers or "").partition("<")[0].strip(">=, ")
        if not lowest:
            return None
        numbers = ([*lowest.split("."), "0"])[:2]
        return int(numbers[0]), int(numbers[1])

    @property
    def five(self) -> Five:
        """What the project says of transformers 5: that it may run on it, that it needs it, or nothing ("")."""
        lowest = self.target_version
        if lowest is None:
            return ""
        if lowest >= (5, 0):
            return "needs"
        end = self.end
        return "admits" if end is None or end > (5, 0) else ""

    @property
    def stage(self) -> Stage:
        """What the project may newly get: transformers 5, only newer releases of trl and peft, or neither."""
        return self.five or ("others" if self.others_move else "")

    @property
    def is_before_5(self) -> bool:
        """Whether the project says what it runs on, and leaves out transformers 5."""
        if self.newest is not None and self.newest < (5, 0) and not self.is_of_a_commit:
            return True
        return self.target_version is not None and not self.five

    @property
    def end(self) -> tuple[int, int] | None:
        """The first release of `target_transformers`, as (major, minor), that the project leaves out; None if there is none."""
        below = (self.target_transformers or "").partition("<")[2]
        if not below:
            return None
        major, minor = ([*below.strip("= ").split("."), "0"])[:2]
        return int(major), int(minor) + below.startswith("=")

    @property
    def unpinned(self) -> bool:
        """Whether the requirements list transformers without a release, so that a new installation gets the newest."""
        states = self.is_before_5 or self.is_of_a_commit
        return self.flash_attention is not None and self.target_transformers is None and not states

    @property
    def is_of_a_commit(self) -> bool:
        """Whether the requirements take transformers from a commit, which does not tell its release."""
        return self.newest == UNKNOWN_RELEASE

    @property
    def is_pinned(self) -> bool:
        """Whether the requirements or a lock file keep the project to one minor release, or to a commit, from which all its results come."""
        return self.newest is not None and (
            self.locked or self.is_of_a_commit or self.newest == self.target_version
        )

    def is_below(self, version: tuple[int, int]) -> bool:
        """Whether every release that the project allows is older than this one, or, unless strict, is not known to be newer."""
        if self.is_of_a_commit:
            return not self.strict
        return (self.end is not None and self.end <= version) or (
            self.newest is not None and self.newest < version
        )

    def reaches(self, since: tuple[int, int], package: str = "transformers") -> bool:
        """Whether the project may get this release or a newer one.

        An exact version of transformers 5 is where the project is today: what is removed later is only reported strictly. One of
        transformers 4 turns the rules off, and who turns them on asks about 5.
        """
        if package != "transformers":
            newest = dict(self.newest_others).get(package)
            return self.strict or newest is None or newest >= since
        if not self.strict and self.stage == "others" and since >= (5, 0):
            return False
        if not self.strict and self.is_of_a_commit:
            return False
        if not self.strict and self.newest is not None and (5, 0) <= self.newest < since:
            return False
        return self.end is None or since < self.end
