"""Options shared by several commands, the environment variables behind them, and the error for invalid combinations."""

from __future__ import annotations

import os

from telepathy_lint.hints import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Mapping

    from telepathy_lint.discovery.config import Configs

#: Environment variables for options, by the option's name: the same as Ruff's, with our prefix.
VARIABLES = {
    "output-format": "TELEPATHY_LINT_OUTPUT_FORMAT",
    "output-file": "TELEPATHY_LINT_OUTPUT_FILE",
    "cache-dir": "TELEPATHY_LINT_CACHE_DIR",
    "no-cache": "TELEPATHY_LINT_NO_CACHE",
}
#: `argparse.SUPPRESS`: an option that is not in the help. Most runs do not import argparse.
_HIDDEN = "==SUPPRESS=="
_TRUE, _FALSE = ("1", "true", "yes", "on"), ("0", "false", "no", "off")


class Usage(Exception):  # noqa: N818 - not an error of the program, but of its caller
    """Invalid options or an invalid combination of options."""


def columns() -> int:
    """Width of the terminal in columns; 80 without a terminal."""
    try:
        return int(os.environ.get("COLUMNS") or os.get_terminal_size().columns)
    except (OSError, ValueError):
        return 80


def codes(text: str) -> list[str]:
    """Split codes or patterns at commas and spaces."""
    return [code for code in text.replace(",", " ").split() if code]


def per_file(text: str) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """Parse `pattern:CODE,CODE` pairs, as Ruff does."""
    pairs: dict[str, list[str]] = {}
    pattern = ""
    for part in text.replace(",", " ").split():
        before, colon, code = part.rpartition(":")
        pattern = before if colon else pattern
        if not pattern or not code:
            from argparse import ArgumentTypeError

            raise ArgumentTypeError(f"expected pattern:CODE, got {part!r}")
        pairs.setdefault(pattern, []).append(code)
    return tuple((pattern, tuple(codes)) for pattern, codes in pairs.items())


def flag(group: Any, key: str, text: str) -> None:
    """Add an option and its `--no-` opposite; the value is None if neither is given."""
    group.add_argument(f"--{key}", dest=key, action="store_true", default=None, help=text)
    group.add_argument(f"--no-{key}", dest=key, action="store_false", default=None, help=_HIDDEN)


def add_selectors(group: Any) -> None:
    """Add the options that select rules."""
    for key, text in (
        ("select", "rules to enable: comma-separated codes, prefixes, names or ALL"),
        ("ignore", "rules to disable"),
        ("extend-select", "more rules to enable, in addition to select"),
    ):
        group.add_argument(f"--{key}", dest=key, type=codes, action="extend", metavar="CODES", help=text)


def add_cache_dir(group: Any) -> None:
    """Add the option for the cache folder."""
    group.add_argument(
        "--cache-dir",
        dest="cache-dir",
        metavar="FOLDER",
        help=f"folder for cached results ({VARIABLES['cache-dir']})",
    )


def add_where(group: Any) -> None:
    """Add the options that select the configuration."""
    group.add_argument(
        "--config",
        action="append",
        default=[],
        metavar="CONFIG",
        help="a configuration file to use for all files, or a key to set: 'jobs = 2' (can be repeated)",
    )
    group.add_argument("--isolated", action="store_true", help="ignore all configuration files")


def configs_of(options: Namespace, given: Mapping[str, Any], *variables: str) -> Configs:
    """The configurations of a run, from the options `given` (configuration keys), `--config` and the environment.

    `variables` are the keys that the command reads from environment variables.

    Raises:
        Usage, ConfigError: an option, a variable or a file is invalid.
    """
    from telepathy_lint.discovery.config import Configs, inline

    files = [text for text in options.config if os.path.isfile(text) or "=" not in text]
    if len(files) > 1:
        raise Usage(f"--config: only one configuration file is allowed, got {', '.join(files)}")
    if files and options.isolated:
        raise Usage(f"--config {files[0]} cannot be used with --isolated")
    given = {key: _from_here(key, value) for key, value in given.items()}
    environment = [
        (f"{VARIABLES[key]} (environment)", {key: _from_here(key, value)})
        for key in variables
        if (value := variable(key)) is not None
    ]
    texts = [text for text in options.config if text not in files]
    return Configs(given, files[0] if files else None, options.isolated, [*environment, *inline(texts)])


def _from_here(key: str, value: Any) -> Any:
    """Make a folder from the command line or the environment absolute: it is relative to the current folder."""
    return os.path.abspath(value) if key == "cache-dir" and value else value


def variable(option: str) -> str | None:
    """The environment variable for an option; None if it is empty or not set."""
    return os.environ.get(VARIABLES[option]) or None


def variable_flag(option: str) -> bool:
    """The environment variable for an option without a value, as a bool.

    Raises:
        Usage: the variable is neither true nor false.
    """
    text = variable(option)
    if text is not None and text.lower() not in (*_TRUE, *_FALSE):
        raise Usage(f"{VARIABLES[option]} must be true or false, not {text!r}")
    return text is not None and text.lower() in _TRUE
