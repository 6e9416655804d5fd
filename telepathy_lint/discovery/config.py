"""Reads `[tool.telepathy-lint]` of the nearest pyproject.toml, or telepathy-lint.toml, into an immutable Config.

The command line overrides the environment, the environment the file, and the file the one that it extends. An unknown key
or an invalid value is an error that names the file and the closest known key.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence

from telepathy_lint.discovery.sections import SECTION, may_be_misnamed, refuse_misnamed
from telepathy_lint.discovery.sections import ConfigError as ConfigError
from telepathy_lint.discovery.sections import parse_toml as parse_toml
from telepathy_lint.hints import Any, NamedTuple
from telepathy_lint.settings import FixStyle, Loader, Settings
from telepathy_lint.settings.selectors import Fixing, Layer

DEFAULT_EXCLUDE = (
    ".bzr", ".direnv", ".eggs", ".git", ".git-rewrite", ".hg", ".ipynb_checkpoints", ".mypy_cache", ".nox", ".pants.d",
    ".pyenv", ".pytest_cache", ".pytype", ".ruff_cache", ".svn", ".telepathy_lint_cache", ".tox", ".venv", ".virtual_documents", ".vscode",
    "__pycache__", "__pypackages__", "_build", "buck-out", "build", "dist", "node_modules", "site-packages",
    "unsloth_compiled_cache", "venv",
)  # fmt: skip
_NAMES = ("telepathy-lint.toml", "pyproject.toml")
#: Fields that are not keys.
_INTERNAL = ("root", "origins", "files", "rule_layers", "fix_layers")
#: Keys whose values are added to those of lower precedence.
_ADDED = (
    "ignore", "extend-select", "unfixable", "extend-fixable", "extend-safe-fixes", "extend-unsafe-fixes",
    "extend-per-file-ignores", "extend-exclude",
)  # fmt: skip
#: Keys that replace a selection, and the keys that modify it.
_RULES, _FIXES = ("select", "extend-select", "ignore"), ("fixable", "extend-fixable", "unfixable")


class Config(NamedTuple):
    """All settings, and where each value comes from."""

    #: The folder that patterns and paths are relative to.
    root: str = "."
    #: None for the rules that are on by default.
    select: tuple[str, ...] | None = None
    ignore: tuple[str, ...] = ()
    extend_select: tuple[str, ...] = ()
    #: None for all rules.
    fixable: tuple[str, ...] | None = None
    unfixable: tuple[str, ...] = ()
    extend_fixable: tuple[str, ...] = ()
    extend_safe_fixes: tuple[str, ...] = ()
    extend_unsafe_fixes: tuple[str, ...] = ()
    per_file_ignores: tuple[tuple[str, tuple[str, ...]], ...] = ()
    extend_per_file_ignores: tuple[tuple[str, tuple[str, ...]], ...] = ()
    exclude: tuple[str, ...] = DEFAULT_EXCLUDE
    extend_exclude: tuple[str, ...] = ()
    force_exclude: bool = False
    respect_gitignore: bool = True
    include_vendored: bool = False
    strict: bool = False
    fix: bool = False
    unsafe_fixes: bool = False
    unsafe_fixes_despite: tuple[str, ...] = ()
    show_fixes: bool = False
    report_unused_noqa: bool = False
    output_format: str = "full"
    jobs: int | None = None
    baseline: str | None = None
    cache_dir: str | None = None
    fix_style: FixStyle = "loader"
    target_transformers: str | None = None
    target_trl: str | None = None
    loader: Loader = Loader()
    wrappers: tuple[str, ...] = ()
    gpu: str | None = None
    model_registry: str | None = None
    extend: str | None = None
    required_version: str | None = None
    #: Key as written -> the files, variables or options that set it; a key that is missing here has its default.
    origins: Mapping[str, str] = {}
    #: The configuration files that were read, nearest first.
    files: tuple[str, ...] = ()
    #: The rule selections, and the fix selections, of each source; later ones take precedence.
    rule_layers: tuple[Layer, ...] = ()
    fix_layers: tuple[Layer, ...] = ()

    def settings(self, target: str | None) -> Settings:
        """The settings for rules and fixes; `target` is the transformers version from the project's requirements."""
        settings = Settings(self.target_transformers or target, self.fix_style, self.loader, self.wrappers)
        fixing = Fixing(self.fix_layers, self.extend_safe_fixes, self.extend_unsafe_fixes)
        settings = settings._replace(fixing=fixing, gpu=self.gpu or settings.gpu, strict=self.strict)
        return settings._replace(
            unsafe_fixes_despite=self.unsafe_fixes_despite,
            models=self.models,
            target_trl=self.target_trl,
            target_is_stated=self.target_transformers is not None,
        )

    @property
    def models(self) -> tuple[Any, ...]:
        """The models of the project's own registry; a ConfigError where its file is missing or invalid."""
        if self.model_registry is None:
            return ()
        from telepathy_lint.discovery.own_models import own_models

        return own_models(self.root, self.model_registry, self.origins.get("model-registry", ""))

    @property
    def ignored(self) -> tuple[tuple[str, tuple[str, ...]], ...]:
        """File patterns, and the rules that are disabled there."""
        return (*self.per_file_ignores, *self.extend_per_file_ignores)

    @property
    def loading_words(self) -> tuple[str, ...]:
        """Names of configured loading functions: a file that contains one of them has to be scanned."""
        own = (self.loader.load_model, self.loader.load_tokenizer) if self.loader != Loader() else ()
        return (*own, *(wrapper.rpartition(".")[2] for wrapper in self.wrappers))

    def with_options(self, options: Mapping[str, Any]) -> Config:
        """A copy with values from the command line (keys as written); a ConfigError where one is invalid."""
        return self.with_values(options)

    def with_values(self, values: Mapping[str, Any], where: str | None = None) -> Config:
        """A copy with values of higher precedence (keys as written).

        `where` is the source of the values; without it, each value comes from its own option.

        Raises:
            ConfigError: a key is unknown or has an invalid value.
        """
        if not values:
            return self
        places = {key: where or f"--{key}" for key in values}
        refuse_unknown(values, where or "")
        given = {key: checked(key, value, places[key]) for key, value in values.items()}
        origins, before = dict(self.origins), self
        layers: list[tuple[Layer, ...]] = []
        for (only, more, less), known in ((_RULES, self.rule_layers), (_FIXES, self.fix_layers)):
            if only in given:
                known = ()
                started: dict[str, Any] = {_attribute(key): () for key in (more, less)}
                before = before._replace(**started)
                origins = {key: origin for key, origin in origins.items() if key not in (more, less)}
            if any(key in given for key in (only, more, less)):
                known = (*known, Layer(given.get(only), given.get(more, ()), given.get(less, ())))
            layers.append(known)
        for key, place in places.items():
            if key in _ADDED and key in origins:
                given[key] = (*getattr(before, _attribute(key)), *given[key])
                place = f"{origins[key]}, {place}" if place not in origins[key].split(", ") else origins[key]
            origins[key] = place
        fields = {_attribute(key): value for key, value in given.items()}
        return before._replace(**fields, origins=origins, rule_layers=layers[0], fix_layers=layers[1])


def keys() -> list[str]:
    """Every key as users write it."""
    return [name.replace("_", "-") for name in Config._fields if name not in _INTERNAL]


def _attribute(key: str) -> str:
    return key.replace("-", "_")


class Configs:
    """The configuration of each folder: the nearest file, overridden by the options of the run."""

    def __init__(
        self,
        options: Mapping[str, Any] | None = None,
        file: str | None = None,
        isolated: bool = False,
        more: Sequence[tuple[str, Mapping[str, Any]]] = (),
    ) -> None:
        """`more` are values that override files but not options, each with its source; later ones take precedence.

        Raises:
            ConfigError: the file, or a value, is invalid.
        """
        self.options = dict(options or {})
        self.more = tuple(more)
        self._found: dict[str, Config] = {}
        self._fixed: Config | None = None
        if file is not None:
            loaded = read(file, must_have=True)
            assert loaded is not None
            self._fixed = self._with_given(loaded)
        elif isolated:
            self._fixed = self._with_given(Config(os.getcwd()))

    def _with_given(self, config: Config) -> Config:
        for where, values in self.more:
            config = config.with_values(values, where)
        return config.with_options(self.options)

    def with_options(self, options: Mapping[str, Any]) -> Configs:
        """A copy with more options."""
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
                return self._with_given(found)
        parent = os.path.dirname(folder)
        return self.of(parent) if parent != folder else self._with_given(Config(os.getcwd()))


def read(path: str, must_have: bool = False, extending: tuple[str, ...] = ()) -> Config | None:
    """The Config of one file; None if the file does not exist or has no telepathy-lint section.

    `must_have` is true if the file was named explicitly. `extending` is the chain of files whose `extend` led here.

    Raises:
        ConfigError: the file is invalid, or it does not exist although it `must_have`.
    """
    try:
        with open(path, "rb") as file:
            data = file.read()
    except (FileNotFoundError, NotADirectoryError) as error:
        if must_have:
            raise ConfigError(f"{path}: no such configuration file{_extended_by(extending)}") from error
        return None
    except OSError as error:
        if not must_have and not os.access(os.path.dirname(path), os.X_OK):
            return None  # the folder is not readable, which is reported when it is listed
        raise ConfigError(f"{path}: cannot be read: {error.strerror}{_extended_by(extending)}") from error
    ours = os.path.basename(path) != "pyproject.toml"
    section: Any = None
    # Most files have no section for us: do not even import the TOML parser.
    if ours or SECTION.encode() in data or may_be_misnamed(data):
        document = parse_toml(path, data)
        if ours:
            section = document
        else:
            tool = document.get("tool")
            tool = tool if isinstance(tool, dict) else {}
            refuse_misnamed(path, document, tool)
            section = tool.get(SECTION)
    if section is None:
        if must_have:
            raise ConfigError(f"{path}: no [tool.{SECTION}] section{_extended_by(extending)}")
        return None
    if not isinstance(section, dict):
        raise ConfigError(f"{path}: [tool.{SECTION}] must be a table")
    return from_table(section, path, extending)


def _extended_by(extending: tuple[str, ...]) -> str:
    return f" ({extending[-1]} extends it)" if extending else ""


def from_table(table: Mapping[str, Any], path: str, extending: tuple[str, ...] = ()) -> Config:
    """A Config from a TOML table and the file that it extends; every key is checked.

    Raises:
        ConfigError: a key is unknown or has an invalid value; the message names the key and the file.
    """
    # Check this first: another version may know other keys.
    if "required-version" in table:
        checked("required-version", table["required-version"], path)
    root = os.path.dirname(os.path.abspath(path))
    config = Config(root)
    if "extend" in table:
        config = _moved(_extended(checked("extend", table["extend"], path), path, extending), root)
    return config.with_values(table, path)._replace(root=root, files=(path, *config.files))


def checked(key: str, value: Any, where: str) -> Any:
    """The value, converted to the type of the Config field.

    Raises:
        ConfigError: the value is invalid; the message names its source, `where`.
    """
    from telepathy_lint.discovery.config_values import CHECKS, STRINGS, Problem

    check, expected = CHECKS.get(key, STRINGS)
    result = check(value)
    if result is None:
        what = where if where == f"--{key}" else f"{where}: {key!r}"
        raise ConfigError(f"{what} must be {expected}, not {value!r}")
    if isinstance(result, Problem):
        raise ConfigError(f"{where}: {result}")
    return result


def _extended(name: str, path: str, extending: tuple[str, ...]) -> Config:
    """The configuration that a file extends."""
    chain = (*extending, os.path.abspath(path))
    target = os.path.expandvars(os.path.expanduser(name))
    target = os.path.normpath(os.path.join(os.path.dirname(chain[-1]), target))
    if target in chain:
        circle = " extends ".join((*chain[chain.index(target) :], target))
        raise ConfigError(f"{path}: circular extend: {circle}")
    base = read(target, must_have=True, extending=chain)
    assert base is not None
    return base


def _moved(config: Config, root: str) -> Config:
    """A copy for a file in another folder: patterns and paths stay relative to the folder of their own file."""
    if config.root == root:
        return config
    from glob import escape

    def moved(pattern: str) -> str:
        if "/" not in pattern.rstrip("/") or pattern.startswith(("/", "*")):
            return pattern
        return f"{escape(config.root)}/{pattern.removeprefix('./')}"

    def paired(pairs: Iterable[tuple[str, tuple[str, ...]]]) -> tuple[tuple[str, tuple[str, ...]], ...]:
        return tuple((moved(pattern), codes) for pattern, codes in pairs)

    def joined(name: str | None) -> str | None:
        return os.path.join(config.root, name) if name is not None else None

    return config._replace(
        exclude=tuple(map(moved, config.exclude)),
        extend_exclude=tuple(map(moved, config.extend_exclude)),
        per_file_ignores=paired(config.per_file_ignores),
        extend_per_file_ignores=paired(config.extend_per_file_ignores),
        baseline=joined(config.baseline),
        model_registry=joined(config.model_registry),
        cache_dir=joined(config.cache_dir),
    )


def refuse_unknown(names: Iterable[str], where: str) -> None:
    """Raise ConfigError for an unknown key, with the closest known one."""
    allowed = keys()
    for name in names:
        if name in allowed:
            continue
        if name == "tool" and where.endswith(".toml"):
            raise ConfigError(
                f"{where}: write the keys at the top level of this file, without [tool.{SECTION}]"
            )
        from telepathy_lint.discovery.config_values import did_you_mean

        raise ConfigError(f"{where}: unknown key {name!r}{did_you_mean(name, allowed)}")


def inline(texts: Iterable[str]) -> list[tuple[str, dict[str, Any]]]:
    """The values of `--config "key = value"` options, each with its source.

    Raises:
        ConfigError: a text is not valid TOML, or sets a key that only a file can have.
    """
    found = []
    for text in texts:
        where = f"--config {text!r}"
        values = parse_toml(where, text.encode("utf-8", "surrogateescape"))
        if "extend" in values:
            raise ConfigError(f"{where}: only a configuration file can extend another")
        found.append((where, values))
    return found
