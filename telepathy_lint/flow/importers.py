"""Finds the files in a project that import a module: the reverse of the imports that `project.py` follows.

Nothing is parsed: import statements are searched for in the text. A file is only read if a finding depends on
it.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator

from telepathy_lint.flow.import_resolution import ModuleFiles, project_root
from telepathy_lint.flow.whole_project import Project, TooLargeError

#: A module that more files depend on, directly or indirectly, is treated as used by unknown code.
_MOST_IMPORTERS = 60
#: This many modules of a project are searched for one by one, as for a commit of a few files; each search reads the
#: project. After that, all import statements of the project are read once.
_FEW_MODULES = 6
#: The beginning of a line up to `import`; lines of a notebook begin behind a quote, or behind an escape sequence.
_BEFORE = rb"(?s:(.*(?:\\n|\"))?)[ \t]*(?:from[ \t]+([.\w]+)[ \t]+)?"
_MOST_BEFORE = 300
#: What `from module import` and `import` are followed by.
_NAMES = rb"import[ \t]+(\([^)]{0,4000}\)|[^\n#;\\\"]*)"
_MODULES = rb"import[ \t]+([\w., \t]+)"
#: A name between commas, in front of what it is called.
_NAME = rb"\w+(?=[ \t]*(?:,|\)|$|[ \t]as\b|\r?\n))"


class Importers:
    """The importers of each module, for each project that was asked about."""

    def __init__(self, read: Callable[[str], bytes], module_files: ModuleFiles) -> None:
        self._read = read
        self._module_files = module_files
        self._roots: dict[str, str | None] = {}
        self._found: dict[str, tuple[str, ...]] = {}
        self._projects: dict[str, Project] = {}
        self._connected: dict[str, tuple[str, ...] | None] = {}
        self._imports: dict[str, frozenset[str]] = {}
        self._mentioned: dict[tuple[str, bytes], bool] = {}
        self._searched: dict[str, int] = {}

    def root_of(self, path: str) -> str | None:
        """The root of the project that contains a file (an absolute path); None if there is none."""
        folder = os.path.dirname(path)
        if folder not in self._roots:
            self._roots[folder] = project_root(folder)
        return self._roots[folder]

    def direct(self, path: str) -> tuple[str, ...]:
        """The files that import a module directly."""
        if path not in self._found:
            self._found[path] = tuple(sorted(self._direct(path)))
        return self._found[path]

    def all_of(self, path: str) -> tuple[str, ...] | None:
        """The files that import a module directly or indirectly; None if there are too many."""
        seen, pending = {path}, [path]
        while pending:
            for each in self.direct(pending.pop()):
                if each not in seen:
                    seen.add(each)
                    pending.append(each)
            if len(seen) > _MOST_IMPORTERS:
                return None
        return tuple(sorted(seen - {path}))

    def connected(self, path: str) -> tuple[str, ...] | None:
        """The other files that may get what a module makes: its importers, and all modules that these or it import.

        The project's other files if a module has too many importers; None if they are not known.
        """
        if path not in self._connected:
            self._connected[path] = self._all_connected(path)
        return self._connected[path]

    def _all_connected(self, path: str) -> tuple[str, ...] | None:
        root = self.root_of(path)
        files = self._files(root) if root is not None else None
        if root is None or files is None:
            return None
        importers = self.all_of(path)
        if importers is None:
            return tuple([each for each in files if each != path])
        content, within = self.project(root).content, frozenset(files)
        seen, pending = {path, *importers}, [path, *importers]
        while pending:
            asker = pending.pop()
            for module in self._imported_by(asker, content):
                found = self._module_files.find(module, os.path.dirname(asker))
                if found is not None and found in within and found not in seen:
                    seen.add(found)
                    pending.append(found)
        return tuple(sorted(seen - {path}))

    def _imported_by(self, path: str, content: Callable[[str], bytes]) -> frozenset[str]:
        if path not in self._imports:
            self._imports[path] = frozenset(imported_by(content(path)))
        return self._imports[path]

    def is_alone(self, path: str) -> bool:
        """Whether a file is known to be the only Python file of its project, or is in none."""
        root = self.root_of(path)
        return root is None or self._files(root) in ((), (path,))

    def mentions(self, path: str, word: bytes) -> bool:
        """Whether a Python file in the project of `path` contains a word."""
        root = self.root_of(path)
        if root is None:
            return False
        if (root, word) not in self._mentioned:
            content = self.project(root).content
            self._mentioned[root, word] = any(word in content(each) for each in self._files(root) or ())
        return self._mentioned[root, word]

    def project(self, root: str) -> Project:
        """The project with this root."""
        if root not in self._projects:
            self._projects[root] = Project(root, self._read)
        return self._projects[root]

    def _files(self, root: str) -> tuple[str, ...] | None:
        return self.project(root).python_paths

    def _direct(self, path: str) -> Iterator[str]:
        root = self.root_of(path)
        if root is None:
            return
        stem = os.path.splitext(os.path.basename(path))[0]
        if stem == "__init__":
            stem = os.path.basename(os.path.dirname(path))
        for asker, module in self._importing(root, stem):
            if asker != path and self._leads_to(module, asker, path):
                yield asker

    def _importing(self, root: str, name: str) -> set[tuple[str, str]]:
        """The files that import a name, from any module, each with the dotted name; empty if the project is too large."""
        project, word = self.project(root), os.fsencode(name)
        self._searched[root] = self._searched.get(root, 0) + 1
        if self._searched[root] > _FEW_MODULES:
            return (project.once(_imported_names) or {}).get(name, set())
        try:
            return {
                (path, module)
                for path, data in project.python()
                if word in data
                for module in imported_by(data)
                if module.rpartition(".")[2] == name
            }
        except TooLargeError:
            return set()

    def _leads_to(self, module: str, asker: str, path: str) -> bool:
        found = self._module_files.find(module, os.path.dirname(asker))
        if found is not None:
            return found == path
        # A script that adds a folder to `sys.path` uses only a part of the module's path.
        parts = module.strip(".").split(".")
        return os.path.splitext(path)[0].split(os.sep)[-len(parts) :] == parts


def _imported_names(project: Project) -> dict[str, set[tuple[str, str]]]:
    """The last part of each imported name -> the importing files, each with the dotted name."""
    named: dict[str, set[tuple[str, str]]] = {}
    for path, data in project.python():
        for module in imported_by(data):
            named.setdefault(module.rpartition(".")[2], set()).add((path, module))
    return named


def imported_by(data: bytes) -> Iterator[str]:
    """The dotted names of modules that a file may import, according to its text."""
    from_start, names_in, modules_in = map(re.compile, (_BEFORE, _NAMES, _MODULES))
    behind = 0
    while (at := data.find(b"import", behind)) >= 0:
        behind = at + len(b"import")
        far = max(at - _MOST_BEFORE, 0)
        line = data.rfind(b"\n", far, at) + 1
        before = from_start.fullmatch(data, line or far, at)
        if before is None or (far and not line and before[1] is None):
            continue  # more stands before it
        names = (names_in if before[2] is not None else modules_in).match(data, at)
        if names is None:
            continue
        behind = names.end()
        if before[2] is None:
            for part in names[1].split(b","):
                name = part.split(b" as ")[0].strip().decode("ascii", "replace")
                if name:
                    yield name
            continue
        module = before[2].decode("ascii", "replace")
        if module.strip("."):
            yield module
        for part in re.findall(_NAME, names[1]):
            name = part.decode("ascii", "replace")
            yield f"{module}{name}" if module.endswith(".") else f"{module}.{name}"
