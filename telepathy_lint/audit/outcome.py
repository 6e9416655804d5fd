"""The outcome of an audit: what the renderers show."""

from __future__ import annotations

from dataclasses import dataclass

from telepathy_lint.audit.actions import Action, RuleCommand
from telepathy_lint.audit.consistency import Consistency
from telepathy_lint.audit.data import (
    CachePath,
    Checked,
    Conversion,
    Finding,
    Generate,
    Gpu,
    Load,
    Model,
    Together,
)
from telepathy_lint.audit.host import Host


@dataclass(frozen=True, slots=True)
class Audit:
    """Everything, for the renderers."""

    root: str
    version: str
    python_files: int
    other_files: int
    models: tuple[Model, ...]
    #: The ids of models that are configured and that nothing in the project can load.
    unused: frozenset[str]
    loads: tuple[Load, ...]
    consistency: tuple[Consistency, ...]
    findings: tuple[Finding, ...]
    together: tuple[Together, ...]
    checked: tuple[Checked, ...]
    caches: tuple[CachePath, ...]
    generates: tuple[Generate, ...]
    problems: tuple[tuple[str, str], ...]
    gpu: Gpu
    calls: int
    clean: int
    #: Whether each code's fix is safe, unsafe or missing, and the rule's first line.
    rules: tuple[tuple[str, str, str, str], ...]
    conversions: tuple[Conversion, ...] = ()
    #: The commands that change most, each tried in memory.
    actions: tuple[Action, ...] = ()
    #: For each rule with findings.
    commands: tuple[RuleCommand, ...] = ()
    #: The end of every command line: the options that chose the configuration, and the path.
    where: str = "."
    #: What was audited, as the command line named it.
    path: str = "."
    #: Where the repository can be read on the web.
    host: Host | None = None
    #: The copies of libraries that were left out, by folder from the current one, and what each is a copy of.
    copies: tuple[tuple[str, str], ...] = ()

    @property
    def score(self) -> float:
        """Percentage of the calls without a finding."""
        return 100.0 * self.clean / self.calls if self.calls else 100.0

    @property
    def unloaded(self) -> tuple[Model, ...]:
        """Configured models for which no load was found under any of their names."""
        loaded = {model.canonical or model.model_id for model in self.models if model.loaded}
        return tuple(
            model
            for model in self.models
            if model.configured and (model.canonical or model.model_id) not in loaded
        )

    @property
    def loaders(self) -> tuple[Load, ...]:
        """The calls that load weights themselves, not through a function of the project."""
        return tuple(load for load in self.loads if load.kind != "tokenizer" and not load.indirect)

    @property
    def open_loads(self) -> tuple[Load, ...]:
        """Loads of weights whose model can come from sources that were not followed."""
        return tuple(load for load in self.loads if load.kind != "tokenizer" and load.open)

    def found(self, *codes: str) -> tuple[Finding, ...]:
        return tuple(finding for finding in self.findings if finding.code in codes)
