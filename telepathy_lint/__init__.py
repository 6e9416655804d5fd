"""Static checks and rewrites for code that loads Hugging Face models.

`lint` and `fix` are the API of the command; they and their types are imported on first use.
"""

from telepathy_lint._version import __version__

TYPE_CHECKING = False  # like typing's, without importing typing in every run of the command

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


if not TYPE_CHECKING:  # type checkers must only know the names above

    def __getattr__(name: str) -> object:
        if name not in __all__:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        from telepathy_lint.front_ends import api

        return getattr(api, name)


def __dir__() -> list[str]:
    return [*globals(), *__all__]
