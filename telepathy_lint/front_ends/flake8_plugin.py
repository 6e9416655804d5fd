"""The flake8 plugin: takes flake8's tree and lines, and returns flake8's tuples.

flake8 handles the selection of codes and `noqa`. The settings of the rules come from `[tool.telepathy-lint]` and the
requirement files, as on the command line, unless flake8's own options override them.
"""

from __future__ import annotations

import ast
import gc
import os
from argparse import Namespace
from collections.abc import Iterator
from typing import Any, ClassVar

from telepathy_lint._version import __version__

#: Line, 0-based column, text, and a class that flake8 ignores.
Finding = tuple[int, int, str, type[Any]]
#: Bytes of imported modules whose trees are kept. More trees make flake8's garbage collections slower.
_MAX_KEPT = 60_000


class Plugin:
    """The plugin; flake8 creates one instance per file."""

    name = "telepathy-lint"
    version = __version__
    options: ClassVar[dict[str, Any]] = {}
    #: flake8's style guide decider, which knows the codes to report.
    decider: ClassVar[Any] = None

    def __init__(self, tree: ast.Module, lines: list[str], filename: str = "stdin") -> None:
        self.tree = tree
        self.lines = lines
        self.filename = filename

    @staticmethod
    def add_options(manager: Any) -> None:
        manager.add_option(
            "--telepathy-target-transformers",
            parse_from_config=True,
            metavar="VERSION",
            help="lowest transformers version to support (default: read from requirement files)",
        )
        manager.add_option(
            "--telepathy-wrappers",
            parse_from_config=True,
            comma_separated_list=True,
            metavar="NAMES",
            help="dotted names of functions known to load a model",
        )
        manager.add_option(
            "--telepathy-strict",
            parse_from_config=True,
            action="store_true",
            help="also report findings that do not matter according to the code itself",
        )
        manager.extend_default_ignore(["TLP303", "TLP9"])

    @classmethod
    def parse_options(cls, options: Namespace) -> None:
        given = {
            "target-transformers": options.telepathy_target_transformers,
            "wrappers": options.telepathy_wrappers,
            "strict": options.telepathy_strict,
        }
        cls.options = {key: value for key, value in given.items() if value}
        from telepathy_lint.discovery.config import ConfigError, from_table

        try:
            from_table(cls.options, "flake8's telepathy- options")
        except ConfigError as error:
            raise SystemExit(str(error)) from error
        _prepared.clear()
        from flake8.style_guide import DecisionEngine

        cls.decider = DecisionEngine(options)
        if any(os.path.isdir(path) for path in options.filenames):
            # With many files, load what all workers need before flake8 forks them.
            from telepathy_lint.rules import all_rules
            from telepathy_runtime.models.families import families

            all_rules()
            families()
            # flake8 runs with garbage collection: exclude permanent objects from it.
            gc.collect()
            gc.freeze()

    def run(self) -> Iterator[Finding]:
        from telepathy_lint.source.prefilter import may_matter

        text, folder = "".join(self.lines), os.path.dirname(os.path.abspath(self.filename))
        from telepathy_lint.discovery.config import ConfigError

        try:
            words = _configs(self.options).of(folder).loading_words
        except ConfigError as error:
            yield 1, 0, f"TLP000 cannot be linted: {error}", type(self)
            return
        if not may_matter(text.encode("utf-8", "surrogatepass"), words):
            return
        from telepathy_lint import engine
        from telepathy_lint.source.text import Source, SourceError, without_collections

        source = Source.from_text(self.filename, text)
        source.tree = self.tree
        try:
            rules, settings = self._prepare(folder)
            with without_collections():
                found = engine.lint(
                    source,
                    rules,
                    settings,
                    noqa=False,
                    offers=False,
                    reasons=True,
                    project=_prepared["modules"],
                )
        except (SourceError, engine.RuleError, RecursionError) as error:
            # An exception would stop flake8 for every file and plugin.
            yield 1, 0, f"TLP000 cannot be linted: {error}", type(self)
            return
        for violation in found:
            yield violation.line, violation.column - 1, f"{violation.code} {violation.text}", type(self)

    def _prepare(self, folder: str) -> tuple[Any, Any]:
        """The rules whose findings flake8 would report, and the settings for the file in a folder."""
        if "targets" not in _prepared:
            from telepathy_lint.discovery.requirements import Targets
            from telepathy_lint.sites import Modules

            _prepared.update(targets=Targets(), modules=Modules(most_kept=_MAX_KEPT))
        targets: Targets = _prepared["targets"]
        part = targets.part(folder, self.filename)
        if (folder, part) not in _prepared:
            from telepathy_lint.rules import all_rules

            settings = targets.settings(_configs(self.options).of(folder), folder, part)
            rules = tuple(
                rule
                for rule in all_rules()
                if self._wants(rule.meta.code) and (not rule.meta.five or settings.stage in rule.meta.five)
            )
            _prepared[folder, part] = rules, settings
        rules, settings = _prepared[folder, part]
        return rules, settings

    def _wants(self, code: str) -> bool:
        return self.decider is None or self.decider.decision_for(code).name == "Selected"


_prepared: dict[Any, Any] = {}


def _configs(options: dict[str, Any]) -> Any:
    if "configs" not in _prepared:
        from telepathy_lint.discovery.config import Configs

        _prepared["configs"] = Configs(options)
    return _prepared["configs"]
