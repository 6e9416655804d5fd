"""Static checks and rewrites for code that loads Hugging Face models.

`lint` and `fix` do for programs what the command does; they and the types they speak in are imported when first asked for.
"""

from telepathy_lint._version import __version__

TYPE_CHECKING = False  # what typing has, without importing it: every run of the command passes here

if TYPE_CHECKING:
    from telepathy_lint.front_ends.api import (
        Edit,
        Fix,
        FixError,
        FixResult,
        Loader,
        RuleError,
        Settings,
        SiteRef,
        SourceError,
        Span,
        Violation,
        fix,
        lint,
    )

__all__ = [
    "Edit",
    "Fix",
    "FixError",
    "FixResult",
    "Loader",
    "RuleError",
    "Settings",
    "SiteRef",
    "SourceError",
    "Span",
    "Violation",
    "__version__",
    "fix",
    "lint",
]


if not TYPE_CHECKING:  # a type checker has the names from above, and shall know no others

    def __getattr__(name: str) -> object:
        if name not in __all__:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        from telepathy_lint.front_ends import api

        return getattr(api, name)


def __dir__() -> list[str]:
    return [*globals(), *__all__]
