"""Checks for the values of the configuration keys. Not imported in runs without any configured value."""

from __future__ import annotations

from collections.abc import Callable

from telepathy_lint._version import __version__
from telepathy_lint.hints import Any
from telepathy_lint.output import FORMATS
from telepathy_lint.settings import Loader


class Problem(str):
    """A description of what is wrong with a value, if it is more specific than the expected type."""


def did_you_mean(word: str, known: list[str]) -> str:
    """The end of an error message: the closest known word, or all of them if none is close."""
    import difflib

    near = difflib.get_close_matches(word.lower().replace("_", "-"), known, 1, 0.6)
    return f"; did you mean {near[0]!r}?" if near else f"; known keys: {', '.join(sorted(known))}"


def _strings(value: Any) -> tuple[str, ...] | None:
    if isinstance(value, (list, tuple)) and all(isinstance(item, str) and item for item in value):
        return tuple(value)
    return None


def _boolean(value: Any) -> bool | None:
    return value if isinstance(value, bool) else None


def _string(value: Any) -> str | None:
    return value if isinstance(value, str) and value else None


def _choice(*known: str) -> tuple[Callable[[Any], str | None], str]:
    return (lambda value: value if value in known else None), f"one of {', '.join(known)}"


def _positive(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else None


def _version(value: Any) -> str | None:
    if not isinstance(value, str):
        return None
    lowest, comma, below = value.replace(" ", "").removeprefix(">=").partition(",<")
    if value.lstrip().startswith(">=") and (not comma or _version(below) is not None):
        return value if _version(lowest) is not None else None
    numbers = value.split(".")
    return (
        value
        if len(numbers) <= 3
        and all(number.isdecimal() and number.isascii() and len(number) < 10 for number in numbers)
        else None
    )


def _patterns(value: Any) -> tuple[tuple[str, tuple[str, ...]], ...] | None:
    if isinstance(value, tuple):  # from the command line, already in shape
        return value
    if not isinstance(value, dict):
        return None
    pairs = [(pattern, _strings(codes)) for pattern, codes in value.items()]
    return (
        tuple((pattern, codes) for pattern, codes in pairs if codes is not None)
        if all(c for _, c in pairs)
        else None
    )


def _loader(value: Any) -> Loader | Problem | None:
    if not isinstance(value, dict) or not all(isinstance(item, str) for item in value.values()):
        return None
    for key, item in value.items():
        if key.replace("-", "_") not in Loader._fields:
            names = [name.replace("_", "-") for name in Loader._fields]
            return Problem(f"unknown key 'loader.{key}'{did_you_mean(key, names)}")
        if not all(part.isidentifier() for part in (item.split(".") if key == "module" else [item])):
            return Problem(f"'loader.{key}' must be a Python name, not {item!r}")
    return Loader(**{key.replace("-", "_"): item for key, item in value.items()})


def _required(value: Any) -> str | Problem | None:
    if not isinstance(value, str):
        return None
    from telepathy_lint.discovery.version_specifiers import SpecifierError, matches

    try:
        fits = matches(value, __version__)
    except SpecifierError as error:
        return Problem(f"'required-version' must be a version specifier such as \">=0.4\": {error}")
    if not fits:
        return Problem(
            f"'required-version' is {value!r}, but this is telepathy-lint {__version__}: install a matching version"
        )
    return value


def _despite(value: Any) -> tuple[str, ...] | Problem | None:
    kinds = _strings(value)
    if kinds is None:
        return None
    from telepathy_lint.facts.evidence import KINDS

    unknown = next((kind for kind in kinds if kind not in KINDS), None)
    return (
        kinds if unknown is None else Problem(f"unknown kind {unknown!r}{did_you_mean(unknown, list(KINDS))}")
    )


def _gpu(value: Any) -> str | Problem | None:
    if not isinstance(value, str) or not value:
        return None
    # Most configurations name no GPU: do not even import the table.
    from telepathy_runtime.machine.gpu_names import DEVICE, canonical, unknown

    known = value if value == DEVICE else canonical(value)
    return known or Problem(f"'gpu': {unknown(value)}")


_FLAG = (_boolean, "true or false")
_PATTERNS = (_patterns, 'a table of patterns and lists of codes, such as {"tests/*" = ["TLP102"]}')
STRINGS: tuple[Callable[[Any], Any], str] = (_strings, "a list of strings")
#: For each key, a function that checks and converts its value, and the expected type in words. Other keys are lists of strings.
CHECKS: dict[str, tuple[Callable[[Any], Any], str]] = {
    "extend": (_string, "the name of a configuration file"),
    "required-version": (_required, 'a version specifier such as ">=0.4"'),
    "per-file-ignores": _PATTERNS,
    "extend-per-file-ignores": _PATTERNS,
    "force-exclude": _FLAG,
    "respect-gitignore": _FLAG,
    "include-vendored": _FLAG,
    "strict": _FLAG,
    "fix": _FLAG,
    "unsafe-fixes": _FLAG,
    "unsafe-fixes-despite": (_despite, "a list of kinds of evidence"),
    "show-fixes": _FLAG,
    "report-unused-noqa": _FLAG,
    "output-format": _choice(*FORMATS),
    "jobs": (_positive, "a whole number above 0"),
    "baseline": (_string, "a file name"),
    "cache-dir": (_string, "the name of a folder"),
    "fix-style": _choice("loader", "inline"),
    "target-transformers": (_version, 'a version such as "4.57", or versions such as ">=4.50,<6"'),
    "target-trl": (_version, 'a version such as "0.20"'),
    "loader": (_loader, 'a table such as {module = "mylab.loading", load-model = "load"}'),
    "gpu": (_gpu, "the name of a GPU"),
    "model-registry": (_string, "the name of a TOML file"),
}
