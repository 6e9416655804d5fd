"""Which rules and settings hold for a file, decided once, before anything is parsed."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

from telepathy_lint.discovery.config import Config, ConfigError, Configs
from telepathy_lint.discovery.walk import Found, Patterns
from telepathy_lint.run.options import PLAIN, Task

if TYPE_CHECKING:
    from telepathy_lint.discovery.requirements import Targets
    from telepathy_lint.rule import Rule
    from telepathy_lint.settings import Five, Settings, UnusedModel
    from telepathy_lint.settings.selectors import Layer

#: The rules that need a look at the whole project first, by code and name: known without loading them.
PROJECT_RULES = ("TLP303", "unused-model-config")
_FIXING = ("fixable", "unfixable", "extend-fixable", "extend-safe-fixes", "extend-unsafe-fixes")


class FilePlan(NamedTuple):
    """What is to be done with one file: everything that `lint_file` needs, but for the file's content."""

    path: str
    rules: tuple[Rule, ...]
    settings: Settings
    task: Task = PLAIN
    #: Nothing but the file's suppression comments may be of interest.
    comments_only: bool = False


class Selection:
    """The rules and settings of each folder's configuration; what it prepares for one file it keeps for the next."""

    def __init__(self, configs: Configs, unused: Mapping[str, tuple[UnusedModel, ...]] | None = None) -> None:
        self.configs = configs
        #: What a look at the whole project found, by absolute path; empty where nobody looked.
        self.unused = unused or {}
        self._targets: Targets | None = None
        self._rules: dict[tuple[int, tuple[str, ...], Five], tuple[Rule, ...]] = {}
        self._patterns: dict[int, list[tuple[Patterns, tuple[str, ...]]]] = {}
        self._keys: dict[tuple[int, tuple[str, ...], str | None], str] = {}

    def plan(self, path: str, folder: str | None = None, task: Task = PLAIN) -> FilePlan:
        """The plan for a file; `folder`, its own by default, says whose configuration holds.

        Raises:
            ConfigError: the configuration cannot be used.
        """
        folder = os.path.dirname(os.path.abspath(path)) if folder is None else folder
        config = self.configs.of(folder)
        settings = config.settings(self._target(config, folder))
        if self.unused and (unused := self.unused.get(os.path.abspath(path))):
            settings = settings._replace(unused_models=unused)
        return FilePlan(path, self.rules(folder, path), settings, task)

    def rules(self, folder: str, path: str = "") -> tuple[Rule, ...]:
        """The rules selected in a folder, without those that its configuration ignores for the file."""
        config = self.configs.of(folder)
        more = self._ignored(config, folder, path)
        five = config.settings(self._target(config, folder)).five
        key = (id(config), more, five)
        if key not in self._rules:
            self._rules[key] = _selected(config, more, five)
        return self._rules[key]

    def needs_project(self, files: Iterable[Found]) -> bool:
        """Whether a rule that needs the whole project is selected; rules are loaded only where that may be."""
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
        """What a cached result is known by, beside the file and what it rests on: everything configured that could change it.

        That a file cannot matter (`idle`) depends on fewer things.
        """
        config = self.configs.of(folder)
        if idle:
            return repr(config.loading_words)
        more, target = self._ignored(config, folder, path), self._target(config, folder)
        known = (id(config), more, target)
        if known not in self._keys:
            self._keys[known] = f"{selection(config)}{more!r}\n{config.settings(target)!r}"
        return self._keys[known]

    def _target(self, config: Config, folder: str) -> str | None:
        if config.target_transformers is not None:
            return None
        if self._targets is None:
            from telepathy_lint.discovery.requirements import Targets

            self._targets = Targets()
        found = self._targets.of(folder)
        return found.specifier if found is not None else None

    def _ignored(self, config: Config, folder: str, path: str) -> tuple[str, ...]:
        """What per-file-ignores takes away from a file's rules."""
        ignores = self._patterns.get(id(config))
        if ignores is None:
            ignores = [(Patterns([pattern], config.root), codes) for pattern, codes in config.ignored]
            self._patterns[id(config)] = ignores
        name = os.path.basename(path)
        return tuple(
            code for patterns, codes in ignores if patterns.match_file(folder, name) for code in codes
        )


def selection(config: Config) -> str:
    """The rules that a configuration chooses, and may fix, as a cached result's key begins."""
    fixing = config.settings(None).fixing
    return f"{config.rule_layers!r} {fixing!r}\n"


def _selected(config: Config, more: tuple[str, ...], five: Five) -> tuple[Rule, ...]:
    from telepathy_lint import rules as registry

    refuse_unknown_rules(config)
    ignored = {rule.meta.code for rule in registry.select(more)} if more else set()
    return tuple(
        rule for rule in registry.select_by(config.rule_layers, five) if rule.meta.code not in ignored
    )


def refuse_unknown_rules(config: Config) -> None:
    """Refuse a configuration in which a selector of rules fits none.

    Raises:
        ConfigError: says where, and which rule is near.
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

            # Unused suppression comments are found by no rule, but can be fixed.
            more = ((UNUSED_CODE, UNUSED_NAME),)
        try:
            registry.check(selectors, more)
        except ValueError as error:
            given = [config.origins[key] for key in keys if key in config.origins]
            raise ConfigError(f"{', '.join(dict.fromkeys(given))}: {error}") from error


def _selectors(layers: Iterable[Layer], ignored: bool = True) -> list[str]:
    """What layers name to select, and to ignore where that is asked for."""
    return [
        each
        for layer in layers
        for each in (*(layer.only or ()), *layer.more, *(layer.less if ignored else ()))
    ]
