"""The result of an audit, as used by the renderers."""

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
    """The result of an audit."""

    root: str
    version: str
    python_files: int
    other_files: int
    models: tuple[Model, ...]
    #: Ids of configured models that nothing in the project can load.
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
    #: For each rule: the safety of its fix, and its first line.
    rules: tuple[tuple[str, str, str, str], ...]
    conversions: tuple[Conversion, ...] = ()
    #: The commands with the most fixes, each tried in memory.
    actions: tuple[Action, ...] = ()
    #: For each rule with findings.
    commands: tuple[RuleCommand, ...] = ()
    #: The end of each command line: the options that selected the configuration, and the path.
    where: str = "."
    #: The audited path, as on the command line.
    path: str = "."
    #: The repository's web page.
    host: Host | None = None
    #: Excluded copies of libraries: the folder, relative to the current one, and the library.
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
        """The calls that load weights directly, not through a project function."""
        return tuple(load for load in self.loads if load.kind != "tokenizer" and not load.indirect)

    @property
    def open_loads(self) -> tuple[Load, ...]:
        """Loads of weights whose model can come from sources that were not followed."""
        return tuple(load for load in self.loads if load.kind != "tokenizer" and load.open)

    def found(self, *codes: str) -> tuple[Finding, ...]:
        return tuple(finding for finding in self.findings if finding.code in codes)
