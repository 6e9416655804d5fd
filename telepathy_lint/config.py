"""`[tool.telepathy-lint]` of the nearest pyproject.toml, or telepathy-lint.toml, as one frozen Config.

An unknown key or a wrong value is an error that names the file and the nearest key there is.
"""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from telepathy_lint.output import FORMATS
from telepathy_lint.settings import FixStyle, Loader, Settings

DEFAULT_EXCLUDE = (
    ".bzr", ".direnv", ".eggs", ".git", ".git-rewrite", ".hg", ".ipynb_checkpoints", ".mypy_cache", ".nox", ".pants.d",
    ".pyenv", ".pytest_cache", ".pytype", ".ruff_cache", ".svn", ".telepathy_lint_cache", ".tox", ".venv", ".vscode",
    "__pycache__", "__pypackages__", "_build", "buck-out", "build", "dist", "node_modules", "site-packages", "venv",
)  # fmt: skip
_NAMES = ("telepathy-lint.toml", "pyproject.toml")


class ConfigError(Exception):
    """The configuration cannot be used; the message says where, what and what to do."""


class Config(NamedTuple):
    """Everything that can be configured, and where each value came from."""

    #: The folder that relative patterns and paths count from.
    root: str = "."
    #: None for the rules that are on by default.
    select: tuple[str, ...] | None = None
    ignore: tuple[str, ...] = ()
    extend_select: tuple[str, ...] = ()
    per_file_ignores: tuple[tuple[str, tuple[str, ...]], ...] = ()
    exclude: tuple[str, ...] = DEFAULT_EXCLUDE
    extend_exclude: tuple[str, ...] = ()
    force_exclude: bool = False
    respect_gitignore: bool = True
    fix: bool = False
    unsafe_fixes: bool = False
    show_fixes: bool = False
    report_unused_noqa: bool = False
    output_format: str = "full"
    jobs: int | None = None
    baseline: str | None = None
    cache_dir: str | None = None
    fix_style: FixStyle = "loader"
    target_transformers: str | None = None
    loader: Loader = Loader()
    wrappers: tuple[str, ...] = ()
    gpu: str | None = None
    #: Key as written -> file or option; a key that is missing here has its default.
    origins: Mapping[str, str] = {}

    def settings(self, target: str | None) -> Settings:
        """What rules and fixes may ask; `target` is what the project's requirements say."""
        settings = Settings(self.target_transformers or target, self.fix_style, self.loader, self.wrappers)
        return settings._replace(gpu=self.gpu) if self.gpu is not None else settings

    @property
    def loading_words(self) -> tuple[str, ...]:
        """Names of configured functions that load: a file that has one matters, whatever else it lacks."""
        house = (self.loader.load_model,) if self.loader != Loader() else ()
        return (*house, *(wrapper.rpartition(".")[2] for wrapper in self.wrappers))

    def with_options(self, options: Mapping[str, Any]) -> Config:
        """The same with values given on the command line (keys as written)."""
        if not options:
            return self
        values = {_attribute(key): _checked(key, value, f"--{key}") for key, value in options.items()}
        origins = {**self.origins, **{key: f"--{key}" for key in options}}
        return self._replace(**values, origins=origins)


def keys() -> list[str]:
    """Every key as users write it."""
    return [name.replace("_", "-") for name in Config._fields if name not in ("root", "origins")]


def _attribute(key: str) -> str:
    return key.replace("-", "_")


class Configs:
    """The configuration of each folder: the nearest file wins, options given to the run win over files."""

    def __init__(
        self, options: Mapping[str, Any] | None = None, file: str | None = None, isolated: bool = False
    ) -> None:
        self.options = dict(options or {})
        self._found: dict[str, Config] = {}
        self._fixed: Config | None = None
        if file is not None:
            loaded = read(file, must_have=True)
            assert loaded is not None
            self._fixed = loaded.with_options(self.options)
        elif isolated:
            self._fixed = Config(os.getcwd()).with_options(self.options)

    def with_options(self, options: Mapping[str, Any]) -> Configs:
        """The same files with more options given to the run."""
        more = Configs({**self.options, **options})
        more._fixed = self._fixed.with_options(more.options) if self._fixed is not None else None
        return more

    def of(self, folder: str) -> Config:
        """The configuration for files in `folder` (an absolute path)."""
        if self._fixed is not None:
            return self._fixed
        known = self._found.get(folder)
        if known is None:
            known = self._found[folder] = self._look(folder)
        return known

    def _look(self, folder: str) -> Config:
        for name in _NAMES:
            found = read(os.path.join(folder, name))
            if found is not None:
                return found.with_options(self.options)
        parent = os.path.dirname(folder)
        return self.of(parent) if parent != folder else Config(os.getcwd()).with_options(self.options)


def read(path: str, must_have: bool = False) -> Config | None:
    """The Config of one file; None where there is no such file or it has no section of ours."""
    try:
        with open(path, "rb") as file:
            data = file.read()
    except (FileNotFoundError, NotADirectoryError) as error:
        if must_have:
            raise ConfigError(f"{path}: no such configuration file") from error
        return None
    except OSError as error:
        if not must_have and not os.access(os.path.dirname(path), os.X_OK):
            return None  # nothing in the folder can be read: whoever lists it says so
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from error
    ours = os.path.basename(path) != "pyproject.toml"
    if (
        not ours and b"telepathy-lint" not in data
    ):  # most are not about us: the TOML parser is not even imported
        if must_have:
            raise ConfigError(f"{path}: has no [tool.telepathy-lint] section")
        return None
    document = parse_toml(path, data)
    section: Any = document
    if not ours:
        tool = document.get("tool")
        section = tool.get("telepathy-lint") if isinstance(tool, dict) else None
    if section is None:
        return None
    if not isinstance(section, dict):
        raise ConfigError(f"{path}: [tool.telepathy-lint] must be a table")
    return from_table(section, path)


def parse_toml(path: str, data: bytes) -> dict[str, Any]:
    toml = importlib.import_module("tomllib" if sys.version_info >= (3, 11) else "tomli")
    try:
        document: dict[str, Any] = toml.loads(data.decode("utf-8"))
    except ValueError as error:  # TOMLDecodeError and UnicodeDecodeError are both
        raise ConfigError(f"{path}: not valid TOML: {error}") from error
    except RecursionError as error:
        raise ConfigError(f"{path}: not valid TOML: nested too deeply") from error
    return document


def from_table(table: Mapping[str, Any], path: str) -> Config:
    """A Config from a TOML table; every key is checked."""
    allowed = keys()
    values: dict[str, Any] = {}
    for key, value in table.items():
        if key not in allowed:
            raise ConfigError(f"{path}: unknown key {key!r}{did_you_mean(key, allowed)}")
        values[_attribute(key)] = _checked(key, value, path)
    return Config(os.path.dirname(os.path.abspath(path)), **values, origins=dict.fromkeys(table, path))


def did_you_mean(word: str, known: list[str]) -> str:
    import difflib

    near = difflib.get_close_matches(word.lower().replace("_", "-"), known, 1, 0.6)
    return f"; did you mean {near[0]!r}?" if near else f"; known keys: {', '.join(sorted(known))}"


def _checked(key: str, value: Any, where: str) -> Any:
    check, expected = _CHECKS.get(key, (_strings, "a list of strings"))
    result = check(value)
    if result is None:
        what = where if where == f"--{key}" else f"{where}: {key!r}"
        raise ConfigError(f"{what} must be {expected}, not {value!r}")
    if isinstance(result, ConfigError):
        raise ConfigError(f"{where}: {result}")
    return result


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


def _loader(value: Any) -> Loader | ConfigError | None:
    if not isinstance(value, dict) or not all(isinstance(item, str) for item in value.values()):
        return None
    for key, item in value.items():
        if key.replace("-", "_") not in Loader._fields:
            names = [name.replace("_", "-") for name in Loader._fields]
            return ConfigError(f"unknown key 'loader.{key}'{did_you_mean(key, names)}")
        if not all(part.isidentifier() for part in (item.split(".") if key == "module" else [item])):
            return ConfigError(f"'loader.{key}' must be a Python name, not {item!r}")
    return Loader(**{key.replace("-", "_"): item for key, item in value.items()})


_FLAG = (_boolean, "true or false")
_CHECKS: dict[str, tuple[Callable[[Any], Any], str]] = {
    "per-file-ignores": (
        _patterns,
        'a table of patterns and lists of codes, such as {"tests/*" = ["TLP102"]}',
    ),
    "force-exclude": _FLAG,
    "respect-gitignore": _FLAG,
    "fix": _FLAG,
    "unsafe-fixes": _FLAG,
    "show-fixes": _FLAG,
    "report-unused-noqa": _FLAG,
    "output-format": _choice(*FORMATS),
    "jobs": (_positive, "a whole number above 0"),
    "baseline": (_string, "a file name"),
    "cache-dir": (_string, "the name of a folder"),
    "fix-style": _choice("loader", "inline"),
    "target-transformers": (_version, 'a version such as "4.57"'),
    "loader": (_loader, 'a table such as {module = "house.loading", load-model = "load"}'),
    "gpu": (_string, "the name of a GPU"),
}
