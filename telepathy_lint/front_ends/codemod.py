"""LibCST codemods: `python -m libcst.tool codemod -x telepathy_lint.codemod.UseRuntimeLoader PATH`.

The engine edits the text itself. Changes that LibCST makes on its own, such as to a form feed before a statement, only
occur in files that are fixed.
"""

from __future__ import annotations

import argparse
from abc import ABC
from collections.abc import Sequence
from typing import ClassVar

import libcst
from libcst.codemod import CodemodCommand, CodemodContext

from telepathy_lint import engine
from telepathy_lint.discovery.config import Configs
from telepathy_lint.run.selection import Selection
from telepathy_lint.settings import FixStyle
from telepathy_lint.sites import Modules
from telepathy_lint.source.prefilter import may_matter
from telepathy_lint.source.text import Source, SourceError


class _FixCommand(CodemodCommand, ABC):
    """The base of both codemods, which differ in the fix style."""

    style: ClassVar[FixStyle]

    def __init__(
        self,
        context: CodemodContext,
        select: Sequence[str] | None = None,
        ignore: Sequence[str] | None = None,
        unfixable: Sequence[str] | None = None,
        unsafe_fixes: bool = False,
        target_transformers: str | None = None,
    ) -> None:
        super().__init__(context)
        options = {
            "select": select,
            "ignore": ignore,
            "unfixable": unfixable,
            "target-transformers": target_transformers,
        }
        given = {key: value for key, value in options.items() if value is not None}
        self.unsafe = unsafe_fixes
        self.selection = Selection(Configs(given))

    @staticmethod
    def add_args(arg_parser: argparse.ArgumentParser) -> None:
        codes = {"type": _codes, "default": None, "metavar": "CODES"}
        arg_parser.add_argument("--select", help="rules to fix (codes, prefixes, names)", **codes)  # type: ignore[arg-type]
        arg_parser.add_argument("--ignore", help="rules to disable", **codes)  # type: ignore[arg-type]
        arg_parser.add_argument("--unfixable", help="rules to report but never fix", **codes)  # type: ignore[arg-type]
        arg_parser.add_argument(
            "--unsafe-fixes", action="store_true", help="also fixes that change numbers or decoding"
        )
        arg_parser.add_argument("--target-transformers", metavar="VERSION", help="lowest version to support")
        # LibCST's default formatter, black, fails where it is not installed and reformats whole files where it is.
        arg_parser.set_defaults(no_format=True)
        arg_parser.add_argument(
            "--format", dest="no_format", action="store_false", help="run LibCST's formatter on changed files"
        )

    def transform_module_impl(self, tree: libcst.Module) -> libcst.Module:
        path = self.context.filename or "<string>"
        data = tree.bytes
        plan = self.selection.plan(path)
        if not may_matter(data, plan.settings.loading_words):
            return tree
        source = Source(path, data)
        settings = plan.settings._replace(fix_style=self.style)
        try:
            fixed = engine.fix(source, plan.rules, settings, unsafe=self.unsafe, project=Modules())
        except (SourceError, engine.RuleError, engine.FixError) as error:
            self.warn(f"{path}: TLP000 {error}")
            return tree
        for violation in fixed.remaining:
            self.warn(f"{path}:{violation.line}:{violation.column}: {violation.code} {violation.text}")
        return libcst.parse_module(source.encode(fixed.text)) if fixed.changed else tree


def _codes(text: str) -> list[str]:
    return [code for code in text.replace(",", " ").split() if code]


class UseRuntimeLoader(_FixCommand):
    """Rewrites model and tokenizer loads to telepathy_runtime's loader."""

    DESCRIPTION = "Rewrites Hugging Face model and tokenizer loads to telepathy_runtime's load_model and load_tokenizer."
    style = "loader"


class InlineLoadSettings(_FixCommand):
    """Keeps `from_pretrained` and writes the missing or hard-coded arguments into the call."""

    DESCRIPTION = (
        "Keeps from_pretrained calls and adds or replaces their placement, dtype and attention arguments."
    )
    style = "inline"
