"""Finds the file in the project that an import refers to, by names on disk; reads no files."""

from __future__ import annotations

import os

from telepathy_lint.hints import NamedTuple

#: Files and folders in the root of a project.
ROOT_MARKERS = ("pyproject.toml", "setup.py", "setup.cfg", ".git", ".hg")
_MAX_ROOTS = 12
#: Files and folders in the root of a repository, and in that of a project outside a repository.
_REPOSITORY = (".git", ".hg")
_PROJECT = ("pyproject.toml", "setup.py", "setup.cfg", "requirements.txt", "environment.yml")
_SKIPPED = frozenset(
    {"node_modules", "site-packages", "build", "dist", "venv", "env", "__pycache__", "wandb", "mlruns"}
)
#: Projects with more files are not searched.
_MOST_FILES = 3_000
_MOST_TEXTS = 1_000
#: The names of files that show how a project is used: scripts and settings, documents beside code, and others by
#: the beginning of their names.
_SCRIPTS = frozenset({
    ".sh", ".bash", ".slurm", ".sbatch", ".sub", ".pbs", ".job", ".ps1", ".bat", ".mk", ".yaml", ".yml", ".toml",
})  # fmt: skip
_PYTHON, _DOCUMENTS = frozenset({".py", ".ipynb"}), frozenset({".md", ".rst"})
_CODE = _PYTHON | {".sh"}
_NAMED = (
    "README", "readme", "Readme", "INSTALL", "Makefile", "makefile", "justfile", "Justfile", "Dockerfile", "Procfile",
)  # fmt: skip


class ModuleFiles:
    """Finds modules from a folder: relative to it, next to it, or below one of its parents.

    All results and folder listings are cached, so a run sees a consistent state of the disk.
    """

    def __init__(self) -> None:
        self._found: dict[tuple[str, str], str | None] = {}
        self._roots: dict[str, tuple[str, ...]] = {}
        self._names: dict[str, frozenset[str] | None] = {}

    def find(self, module: str, folder: str) -> str | None:
        """The file of a dotted module (".sibling", "package.module"); None if the project has no such module."""
        key = (module, folder)
        if key not in self._found:
            self._found[key] = self._find(module, folder)
        return self._found[key]

    def _find(self, module: str, folder: str) -> str | None:
        level = len(module) - len(module.lstrip("."))
        parts = [part for part in module[level:].split(".") if part]
        if level:
            for _ in range(level - 1):
                folder = os.path.dirname(folder)
            return _module_at(folder, parts)
        for root in self._roots_of(folder):
            if parts and self._may_hold(root, parts[0]) and (found := _module_at(root, parts)) is not None:
                return found
        return None

    def _may_hold(self, root: str, name: str) -> bool:
        """Whether the folder has a file or folder with this name; answers most imports without accessing the disk."""
        if root not in self._names:
            try:
                self._names[root] = frozenset(os.listdir(root))
            except (FileNotFoundError, NotADirectoryError):
                self._names[root] = frozenset()
            except OSError:
                self._names[root] = None  # the folder cannot be listed, but its files may be readable
        names = self._names[root]
        return names is None or name in names or f"{name}.py" in names

    def _roots_of(self, folder: str) -> tuple[str, ...]:
        """Folders where absolute imports may start: the folder itself and its parents up to the project's root."""
        if folder not in self._roots:
            roots: list[str] = []
            current = folder
            for _ in range(_MAX_ROOTS):
                roots.append(current)
                if any(os.path.exists(os.path.join(current, marker)) for marker in ROOT_MARKERS):
                    roots.append(os.path.join(current, "src"))
                    break
                parent = os.path.dirname(current)
                if parent == current:
                    break
                current = parent
            else:
                roots = roots[:1]
            if not any(os.path.exists(os.path.join(roots[-1], marker)) for marker in ROOT_MARKERS):
                # Without a project root, only use folders that Python itself would use for a script.
                roots = roots[: 1 + 2] if not roots[-1].endswith("src") else roots
            self._roots[folder] = tuple(roots)
        return self._roots[folder]


def _module_at(root: str, parts: list[str]) -> str | None:
    base = os.path.join(root, *parts)
    for path in (f"{base}.py", os.path.join(base, "__init__.py")):
        if os.path.isfile(path):
            return path
    return None


class Listing(NamedTuple):
    """The files of a project that findings may depend on, each kind sorted; None if there are too many."""

    #: The Python files and notebooks.
    python: tuple[str, ...] | None
    #: The files that show how the project is used: READMEs and other documents, scripts, build and settings files.
    texts: tuple[str, ...] | None
    #: Whether the root is that of a repository, and not only of a package or a folder.
    is_repository: bool = False


def project_files(root: str) -> Listing:
    """The files below the root of a project."""
    python: list[str] = []
    texts: list[str] = []
    pending = [root]
    is_repository = os.path.lexists(os.path.join(root, ".git"))
    while pending:
        folder = pending.pop()
        try:
            with os.scandir(folder) as found:
                entries = list(found)  # `os.walk` takes twice as long
        except OSError:
            continue
        documents: list[str] = []
        about = folder == root or "doc" in folder[len(root) :]
        for entry in entries:
            name = entry.name
            if _is_folder(entry):
                if name not in _SKIPPED and not name.startswith(".") and not entry.is_symlink():
                    pending.append(entry.path)
                continue
            ending = name[name.rfind(".") :]
            about = about or ending in _CODE
            if ending in _PYTHON:
                python.append(entry.path)
            if ending in _SCRIPTS or name.startswith(_NAMED):
                texts.append(entry.path)
            elif ending in _DOCUMENTS:
                documents.append(entry.path)
        if about:  # other documents are the project's data
            texts += documents
        if len(python) > _MOST_FILES:
            return Listing(None, None, is_repository)
    some = tuple(sorted(texts)) if len(texts) <= _MOST_TEXTS else None
    return Listing(tuple(sorted(python)), some, is_repository)


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:
        return False  # a link to itself


def project_root(folder: str) -> str | None:
    """The root of the project that contains a folder (absolute): its repository, else the folder of its requirements."""
    project: str | None = None
    current = folder
    for _ in range(_MAX_ROOTS):
        if any(os.path.lexists(os.path.join(current, each)) for each in _REPOSITORY):
            return current
        if project is None and any(os.path.exists(os.path.join(current, each)) for each in _PROJECT):
            project = current
        parent = os.path.dirname(current)
        if parent == current:
            break
        current = parent
    return project
