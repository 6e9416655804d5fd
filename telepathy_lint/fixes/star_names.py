"""Whether `import *` brings a name into a file, or takes it to another one: a fix that binds the name would change which is meant."""

from __future__ import annotations

import os
import re
import sys

from telepathy_lint.facts.replaced import stem_of
from telepathy_lint.flow.file import File
from telepathy_lint.source.occurs import occurs
from telepathy_lint.source.prefilter import find_words

#: Packages whose `import *` binds none of the names that fixes import.
_HARMLESS = frozenset({"transformers", "torch", "numpy", "peft", "trl", "datasets", "accelerate"})
_EXEC = r"(?<![.\w])exec\("
_STAR = r"(?m)^[ \t]*from[ \t]+([.\w]+)[ \t]+import[ \t]*\*"


def may_come_with_star(file: File, path: str, name: str, own_module: str) -> bool:
    """Whether an `import *` of the file may bind a name, other than the one of the module that the fix imports it from.

    So may a script that a notebook runs with `%run`, and code that `exec` runs.
    """
    source = file.tree.source
    if any("%run" in text for text in source.unread) or occurs(_EXEC, source.text):
        return True
    seen = {os.path.abspath(path)}
    stars = {binding.symbol.removesuffix(".*") for binding in file.tree.top.bindings.get("*", ())}
    return any(_may_have(file, path, star, name, seen) for star in stars - {own_module})


def goes_with_star(file: File, path: str, name: str) -> bool:
    """Whether a module that gets all names of this one speaks of a name: it has one of its own."""
    modules = file.modules
    if modules is None or path.endswith(".ipynb") or modules.project(path) is None:
        return False
    importers = modules.importers(os.path.abspath(path))
    if importers is None:
        return True  # too many to tell
    texts = map(modules.text, importers[0])
    return any(find_words(text, name) and stem_of(path) in _modules_in_full(text) for text in texts)


def _modules_in_full(text: str) -> set[str]:
    """The last names of the modules whose names a text gets with `import *`."""
    return {found.rpartition(".")[2] for found in re.findall(_STAR, text)} if "*" in text else set()


def _may_have(file: File, path: str, module: str, name: str, seen: set[str]) -> bool:
    """Whether a module may have a name; `seen` has the files that were read before, and lack it."""
    root = module.partition(".")[0]
    if root in _HARMLESS or root in sys.stdlib_module_names:
        return False
    modules = file.modules
    files = modules.files(f"{module}.{name}", path) if modules is not None else []
    if modules is None or not files:
        return True  # a package that is not read
    for each in set(files) - seen:
        seen.add(each)
        text = modules.text(each)
        if find_words(text, name):
            return True
        further = re.findall(_STAR, text) if "*" in text else []
        if any(_may_have(file, each, star, name, seen) for star in further):
            return True
    return False
