"""Decides which rules and settings apply to a file, before anything is parsed."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence

from telepathy_lint.discovery.config import Config, ConfigError, Configs
from telepathy_lint.discovery.walk import Found, Patterns
from telepathy_lint.hints import TYPE_CHECKING, NamedTuple
from telepathy_lint.run.options import PLAIN, Task
from telepathy_lint.settings.selectors import PROJECT_RULES

if TYPE_CHECKING:
    from telepathy_lint.discovery.requirements import Targets
    from telepathy_lint.rule import Rule
    from telepathy_lint.settings import Settings, Stage, UnusedModel
    from telepathy_lint.settings.selectors import Layer

_FIXING = ("fixable", "unfixable", "extend-fixable", "extend-safe-fixes", "extend-unsafe-fixes")


class FilePlan(NamedTuple):
    """All inputs of `lint_file` except the file's content."""

    path: str
    rules: tuple[Rule, ...]
    settings: Settings
    task: Task = PLAIN
    #: Only the file's suppression comments may be relevant.
    comments_only: bool = False


class Selection:
    """The rules and settings of each folder's configuration; intermediate results are cached."""

    def __init__(self, configs: Configs, unused: Mapping[str, tuple[UnusedModel, ...]] | None = None) -> None:
        self.configs = configs
        #: Unused models in the whole project, by absolute path; empty if they were not computed.
        self.unused = unused or {}
        self._targets: Targets | None = None
        self._of_folder: dict[tuple[int, str, str], Settings] = {}
        self._rules: dict[tuple[int, tuple[str, ...], Stage], tuple[Rule, ...]] = {}
        self._patterns: dict[int, list[tuple[Patterns, tuple[str, ...]]]] = {}
        self._keys: dict[tuple[object, ...], str] = {}

    def plan(self, path: str, folder: str | None = None, task: Task = PLAIN) -> FilePlan:
        """Return the plan for a file. `folder`, by default the file's own, determines the configuration.

        Raises:
            ConfigError: the configuration is invalid.
        """
        folder = os.path.dirname(os.path.abspath(path)) if folder is None else folder
        config = self.configs.of(folder)
        settings = self._settings(config, folder, path)
        if self.unused and (unused := self.unused.get(os.path.abspath(path))):
            settings = settings._replace(unused_models=unused)
        return FilePlan(path, self.rules(folder, path), settings, task)

    def rules(self, folder: str, path: str = "") -> tuple[Rule, ...]:
        """The rules selected in a folder, without those that its configuration ignores for the file."""
        config = self.configs.of(folder)
        more = self._ignored(config, folder, path)
        five = self._settings(config, folder, path).stage
        key = (id(config), more, five)
        if key not in self._rules:
            self._rules[key] = _selected(config, more, five)
        return self._rules[key]

    def needs_project(self, files: Iterable[Found]) -> bool:
        """Whether a rule that needs the whole project is selected; rules are imported only if necessary."""
        for found in files:
            selectors = _selectors(self.configs.of(found.folder).rule_layers, ignored=False)
            if any(
                selector == "ALL" or name.startswith(selector)
                for selector in selectors
                for name in PROJECT_RULES
            ) and any(rule.meta.project for rule in self.rules(found.folder, found.path)):
                return True
        return False

    def key(self, path: str, folder: str, idle: bool) -> str:
        """The cache key of a result: all configuration that may change it, but not the file and its dependencies.

        For an irrelevant file (`idle`), the key depends on fewer settings.
        """
        config = self.configs.of(folder)
        if idle:
            return repr(config.loading_words)
        more, settings = self._ignored(config, folder, path), self._settings(config, folder, path)
        ends = (settings.newest, settings.locked, settings.newest_others, settings.others_move)
        known = (id(config), more, settings.target_transformers, ends, settings.flash_attention)
        if known not in self._keys:
            self._keys[known] = f"{selection(config)}{more!r}\n{settings!r}"
        return self._keys[known]

    def _settings(self, config: Config, folder: str, path: str) -> Settings:
        """The settings of a file in a folder, combined with the project's requirements for it."""
        if self._targets is None:
            from telepathy_lint.discovery.requirements import Targets

            self._targets = Targets()
        part = self._targets.part(folder, path)
        known = (id(config), folder, part)
        if known not in self._of_folder:
            self._of_folder[known] = self._targets.settings(config, folder, part)
        return self._of_folder[known]

    def _ignored(self, config: Config, folder: str, path: str) -> tuple[str, ...]:
        """The selectors of rules that per-file-ignores disables for a file."""
        ignores = self._patterns.get(id(config))
        if ignores is None:
            ignores = [(Patterns([pattern], config.root), codes) for pattern, codes in config.ignored]
            self._patterns[id(config)] = ignores
        name = os.path.basename(path)
        return tuple(
            code for patterns, codes in ignores if patterns.match_file(folder, name) for code in codes
        )


def selection(config: Config) -> str:
    """The selected and fixable rules of a configuration: the beginning of a cache key."""
    fixing = config.settings(None).fixing
    return f"{config.rule_layers!r} {fixing!r}\n"


def _selected(config: Config, more: tuple[str, ...], five: Stage) -> tuple[Rule, ...]:
    from telepathy_lint import rules as registry

    refuse_unknown_rules(config)
    ignored = {rule.meta.code for rule in registry.select(more)} if more else set()
    return tuple(
        rule for rule in registry.select_by(config.rule_layers, five) if rule.meta.code not in ignored
    )


def refuse_unknown_rules(config: Config) -> None:
    """Check that all rule selectors in a configuration match a rule.

    Raises:
        ConfigError: the message names the place and suggests a similar rule.
    """
    from telepathy_lint import rules as registry

    ignored = [code for _, codes in config.ignored for code in codes]
    groups: tuple[tuple[tuple[str, ...], Sequence[str]], ...] = (
        (("select", "ignore", "extend-select"), _selectors(config.rule_layers)),
        (("per-file-ignores", "extend-per-file-ignores"), ignored),
        (_FIXING, config.settings(None).fixing.selectors),
    )
    for keys, selectors in groups:
        more: tuple[tuple[str, str], ...] = ()
        if keys is _FIXING and selectors:
            from telepathy_lint.suppression.edits import UNUSED_CODE, UNUSED_NAME

            # Unused suppression comments can be fixed, although no rule reports them.
            more = ((UNUSED_CODE, UNUSED_NAME),)
        try:
            registry.check(selectors, more)
        except ValueError as error:
            given = [config.origins[key] for key in keys if key in config.origins]
            raise ConfigError(f"{', '.join(dict.fromkeys(given))}: {error}") from error


def _selectors(layers: Iterable[Layer], ignored: bool = True) -> list[str]:
    """The selectors in layers, with or without those that disable rules."""
    return [
        each
        for layer in layers
        for each in (*(layer.only or ()), *layer.more, *(layer.less if ignored else ()))
    ]
