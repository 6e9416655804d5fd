"""The codemods under the name that `python -m libcst.tool codemod -x telepathy_lint.codemod.NAME` takes."""

from telepathy_lint.front_ends.codemod import InlineLoadSettings, UseRuntimeLoader

__all__ = ["InlineLoadSettings", "UseRuntimeLoader"]
