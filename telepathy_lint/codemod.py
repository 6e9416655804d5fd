"""The codemods under the name for `python -m libcst.tool codemod -x telepathy_lint.codemod.NAME`."""

from telepathy_lint.front_ends.codemod import InlineLoadSettings, UseRuntimeLoader

__all__ = ["InlineLoadSettings", "UseRuntimeLoader"]
