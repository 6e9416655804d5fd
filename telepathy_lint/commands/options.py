"""What the commands share: their options, what these say together with the environment, and the error for wrong ones."""

from __future__ import annotations

import argparse
import os
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from telepathy_lint.discovery.config import Configs

#: Environment variables that stand for options, by the option's name: what Ruff has, with our prefix.
VARIABLES = {
    "output-format": "TELEPATHY_LINT_OUTPUT_FORMAT",
    "output-file": "TELEPATHY_LINT_OUTPUT_FILE",
    "cache-dir": "TELEPATHY_LINT_CACHE_DIR",
    "no-cache": "TELEPATHY_LINT_NO_CACHE",
}
_TRUE, _FALSE = ("1", "true", "yes", "on"), ("0", "false", "no", "off")


class Usage(Exception):  # noqa: N818 - not an error of the program but of how it was called
    """A combination of options that cannot be honoured."""


def columns() -> int:
    """How wide the terminal is; 80 where there is none."""
    try:
        return int(os.environ.get("COLUMNS") or os.get_terminal_size().columns)
    except (OSError, ValueError):
        return 80


def codes(text: str) -> list[str]:
    """Codes or patterns with commas or blanks between them."""
    return [code for code in text.replace(",", " ").split() if code]


def per_file(text: str) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """`pattern:CODE,CODE` pairs, as Ruff takes them."""
    pairs: dict[str, list[str]] = {}
    pattern = ""
    for part in text.replace(",", " ").split():
        before, colon, code = part.rpartition(":")
        pattern = before if colon else pattern
        if not pattern or not code:
            raise argparse.ArgumentTypeError(f"expected pattern:CODE, got {part!r}")
        pairs.setdefault(pattern, []).append(code)
    return tuple((pattern, tuple(codes)) for pattern, codes in pairs.items())


def flag(group: Any, key: str, text: str) -> None:
    """An option and its opposite, None where neither is given."""
    group.add_argument(f"--{key}", dest=key, action="store_true", default=None, help=text)
    group.add_argument(f"--no-{key}", dest=key, action="store_false", default=None, help=argparse.SUPPRESS)


def add_cache_dir(group: Any) -> None:
    """The option for the cache's folder."""
    group.add_argument(
        "--cache-dir",
        dest="cache-dir",
        metavar="FOLDER",
        help=f"where results are kept between runs ({VARIABLES['cache-dir']})",
    )


def add_where(group: Any) -> None:
    """The options that say which configuration counts."""
    group.add_argument(
        "--config",
        action="append",
        default=[],
        metavar="CONFIG",
        help="use this configuration file for everything, or set one key: 'jobs = 2' (may be given several times)",
    )
    group.add_argument("--isolated", action="store_true", help="read no configuration file")


def configs_of(options: argparse.Namespace, given: Mapping[str, Any], *variables: str) -> Configs:
    """The configurations of a run: of the options `given` (keys of the configuration), `--config`, and the environment.

    `variables` are the keys that an environment variable may say, where the command has them.

    Raises:
        Usage, ConfigError: something of it cannot be used.
    """
    from telepathy_lint.discovery.config import Configs, inline

    files = [text for text in options.config if os.path.isfile(text) or "=" not in text]
    if len(files) > 1:
        raise Usage(f"--config names more than one configuration file: {', '.join(files)}")
    if files and options.isolated:
        raise Usage(f"--config {files[0]} and --isolated contradict each other")
    given = {key: _from_here(key, value) for key, value in given.items()}
    environment = [
        (f"{VARIABLES[key]} (environment)", {key: _from_here(key, value)})
        for key in variables
        if (value := variable(key)) is not None
    ]
    texts = [text for text in options.config if text not in files]
    return Configs(given, files[0] if files else None, options.isolated, [*environment, *inline(texts)])


def _from_here(key: str, value: Any) -> Any:
    """A folder that the command line or the environment names counts from the current one."""
    return os.path.abspath(value) if key == "cache-dir" and value else value


def variable(option: str) -> str | None:
    """What the environment says for an option; an empty variable says nothing."""
    return os.environ.get(VARIABLES[option]) or None


def variable_flag(option: str) -> bool:
    """What the environment says for an option without a value.

    Raises:
        Usage: the variable says neither yes nor no.
    """
    text = variable(option)
    if text is not None and text.lower() not in (*_TRUE, *_FALSE):
        raise Usage(f"{VARIABLES[option]} must be true or false, not {text!r}")
    return text is not None and text.lower() in _TRUE
