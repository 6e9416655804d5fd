"""Decides whether a call cannot run, or does not: its file imports modules that are gone, or no caller takes its branch."""

from __future__ import annotations

import ast
import os
import re
from collections.abc import Iterator
from functools import partial

from telepathy_lint.flow.bindings import dotted
from telepathy_lint.flow.whole_project import Project
from telepathy_lint.sites import Site

#: Modules that tools write when a package is built.
_BUILT = r"_?version(?:_info)?|.*_pb2(?:_grpc)?|.*_generated"
_BUILDING = ("setup.py", "pyproject.toml", "CMakeLists.txt")
#: Packages that no library installs: a file that imports from one is of another project, or the package was not published.
_OF_PROJECTS = ("utils", "util", "helpers")
_FROM_ELSEWHERE = rb"PYTHONPATH|submodule|\b(?:wget|curl)[ \t]"
#: Parameters before this one are given by their place as often as by their name.
_FIRST_BY_NAME = 2
_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)


def imports_what_is_gone(site: Site, project: Project) -> bool:
    """Whether a file imports, at its top level, a module that a package of the project does not have, or that only projects have."""
    tree = site.context.scope.tree
    names = list(_imported_at_the_top(tree.module.body))
    if any(_is_gone(name, project) for name in names):
        return True
    own = [first for name in names if (first := name.partition(".")[0]) in _OF_PROJECTS and first != name]
    if not own or site.source.path.endswith(".ipynb") or "sys.path" in tree.text:
        return False  # a notebook may fetch them
    known = project.once(names_of_modules) or frozenset()
    return (
        bool(known)
        and any(name not in known for name in own)
        and project.once(_takes_code_from_elsewhere) is False
    )


def _takes_code_from_elsewhere(project: Project) -> bool:
    """Whether a script or document of a project fetches code, or says where else Python finds some."""
    return any(re.search(_FROM_ELSEWHERE, data) for _, data in project.texts())


def names_of_modules(project: Project) -> frozenset[str]:
    """The names of all Python files and folders of a project; none if there are too many."""
    files = [os.path.splitext(os.path.basename(path))[0] for path in project.python_paths or ()]
    return frozenset([*files, *map(os.path.basename, folders_of(project))])


def _imported_at_the_top(body: list[ast.stmt]) -> Iterator[str]:
    for stmt in body:
        if isinstance(stmt, ast.Import):
            yield from (each.name for each in stmt.names)
        elif isinstance(stmt, ast.ImportFrom) and stmt.level == 0 and stmt.module is not None:
            yield stmt.module


def _is_gone(module: str, project: Project) -> bool:
    first, *parts = module.split(".")
    folders = project.once(folders_of) if parts else None
    if not folders:
        return False
    for root in (project.root, os.path.join(project.root, "src")):
        folder = os.path.join(root, first)
        if not project.holds(os.path.join(folder, "__init__.py")):
            continue
        for part in parts:
            if project.holds(os.path.join(folder, f"{part}.py")):
                return False
            below = os.path.join(folder, part)
            if below not in folders:
                return re.fullmatch(_BUILT, part) is None and not _may_make(folder, part, project)
            folder = below
        return False
    return False


def _may_make(folder: str, part: str, project: Project) -> bool:
    """Whether a package may have a module that is no file of Python: an extension, or one that its own code makes."""
    makers = (os.path.join(folder, "__init__.py"), *(os.path.join(project.root, each) for each in _BUILDING))
    return any(part.encode() in project.content(each) for each in makers if project.holds(each))


def folders_of(project: Project) -> frozenset[str]:
    """All folders of a project with Python files in or below them; none if there are too many files."""
    found: set[str] = set()
    for path in project.python_paths or ():
        folder = os.path.dirname(path)
        while folder not in found and len(folder) >= len(project.root):
            found.add(folder)
            folder = os.path.dirname(folder)
    return frozenset(found)


def is_in_an_untaken_branch(site: Site, project: Project) -> bool:
    """Whether the call runs only for a parameter of its function that is off by default, and that nothing in the project names."""
    parents = site.context.scope.tree.parent
    tested: set[str] = set()
    node: ast.AST | None = site.node
    while node is not None:
        above = parents.get(node)
        if isinstance(above, ast.If) and node in above.body and isinstance(above.test, ast.Name):
            tested.add(above.test.id)
        if isinstance(above, _FUNCTIONS):
            return any(_is_never_on(name, above, site, project) for name in tested)
        node = above
    return False


def is_not_read(site: Site, project: Project) -> bool:
    """Whether a module gives what it loads to a name that nothing reads, in a project that loads and uses models elsewhere.

    The code that would use it is not written yet, or stands in another file now.

    Raises:
        TooLargeError: the project is too large to be searched.
    """
    tree = site.context.scope.tree
    above = tree.parent.get(site.node)
    if site.kind not in ("model", "pipeline") or site.context.scope.is_function:
        return False
    if not isinstance(above, ast.Assign) or len(above.targets) != 1:
        return False
    if site.source.path.endswith(".ipynb") or not isinstance(tree.parent.get(above), ast.Module):
        return False  # an attribute of a class, or a name that a magic may read
    target = above.targets[0]
    if not isinstance(target, ast.Name) or re.search(_READS_BY_NAME, tree.text) is not None:
        return False
    if any(
        isinstance(each, ast.Name) and each.id == target.id and not isinstance(each.ctx, ast.Store)
        for each in tree.visit(tree.lines_with(target.id))
    ):
        return False
    path = os.path.abspath(site.source.path)
    if not any(project.mentions_beside(path, load) for load in (b".from_pretrained(", b"load_model(")):
        return False
    return not _is_imported(path, project)


def _is_imported(path: str, project: Project) -> bool:
    """Whether another file may import a module, by its name, or its folder's for `from . import name`."""
    folder, file = os.path.split(path)
    stem = os.path.splitext(file)[0]
    name = re.escape(os.path.basename(folder) if stem.startswith("__") else stem).encode()
    imports = (
        rb"\b(?:from|import)\b[^\r\n;#]{0,300}\b%b\b|\bimport\s*\([^)]{0,2000}\b%b\b|import\w*\([^)\r\n]{0,200}\b%b\b"
        % (name, name, name)
    )
    return any(re.search(imports, data) for each, data in project.python() if each != path)


def _is_never_on(
    name: str, function: ast.FunctionDef | ast.AsyncFunctionDef, site: Site, project: Project
) -> bool:
    default = _default_of(name, function.args)
    if not isinstance(default, ast.Constant) or default.value not in (False, None):
        return False
    own = site.source.text
    start, end = site.range_of(function)
    word = re.escape(name)
    # A variable of this name may be handed on that is off itself.
    rest = re.sub(
        rf"(?<![\w.]){word}\s*=\s*(?:{word}|False|None)\b(?![ \t]+\w|[ \t]*[.(\[|&])",
        "",
        own[:start] + own[end:],
    )
    if re.search(rf"\b{word}\b", rest) is not None:
        return False
    if any(
        isinstance(each, ast.Name) and each.id == name and isinstance(each.ctx, ast.Store)
        for each in ast.walk(function)
    ):
        return False
    return project.mentions_beside(os.path.abspath(site.source.path), name.encode()) is False


def _default_of(name: str, arguments: ast.arguments) -> ast.expr | None:
    """The default of a parameter that callers give by its name."""
    for each, default in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True):
        if each.arg == name:
            return default
    plain = [*arguments.posonlyargs, *arguments.args]
    for at, each in enumerate(plain):
        before = len(plain) - len(arguments.defaults)
        if each.arg == name and at >= max(before, _FIRST_BY_NAME):
            return arguments.defaults[at - before]
    return None


#: What stands at the top of a module that only defines: started by itself, it does nothing.
_ONLY_DEFINES = (
    ast.Import, ast.ImportFrom, ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Assign, ast.AnnAssign,
)  # fmt: skip
#: Decorators that hand what they get to nobody.
PLAIN_DECORATORS = frozenset({
    "dataclass", "total_ordering", "final", "override", "runtime_checkable", "staticmethod", "classmethod", "no_grad", "enable_grad",
    "inference_mode", "cache", "lru_cache", "wraps", "jit", "script", "compile", "contextmanager",
})  # fmt: skip
#: Modules that a server or a tool is given by habit: `uvicorn main:app`.
_PROGRAMS = ("main", "app", "server", "api", "cli", "run", "train", "predict", "handler", "inference")
#: Code that imports modules, or calls functions, by names which it does not write.
_BY_NAME = rb"import_module|__import__|pkgutil|spec_from_file_location|runpy|_target_|fire\.Fire|iter_modules"

#: Code that reads variables by names which it does not write, or lists those that it gives.
_READS_BY_NAME = r"\b(?:locals|globals|vars|eval|exec|getattr)\(|\b__all__\b"
#: A line of a drawing of folders, which shows what there is, not what is used.
_OF_A_TREE = rb"(?m)^[^\r\n]{0,40}(?:\xe2\x94[\x9c\x94]|\|--|`--)[^\r\n]*"
#: The name before `.py`.
_SCRIPT = rb"[\w-]{1,200}\Z"
#: So many scripts that a project names show that it names those which are meant to be run.
_SOME = 2
#: With so many, the others are left over.
_MANY = 10


def is_in_an_unused_module(site: Site, project: Project) -> bool:
    """Whether a file only defines functions and classes, and no other file of the project imports it or names its path."""
    path = os.path.abspath(site.source.path)
    stem, suffix = os.path.splitext(os.path.basename(path))
    if suffix != ".py" or stem.startswith("__") or stem in _PROGRAMS:
        return False
    for stmt in site.context.scope.tree.module.body:
        is_text = isinstance(stmt, ast.Expr) and isinstance(stmt.value, ast.Constant)
        if not (isinstance(stmt, _ONLY_DEFINES) or is_text):
            return False
        if not all(map(_keeps_no_list, getattr(stmt, "decorator_list", ()))):
            return False  # a decorator may register what it is given
    return not (project.once(_imports_by_name) or is_named_elsewhere(path, project))


def _keeps_no_list(decorator: ast.expr) -> bool:
    """Whether a decorator is known to register nothing."""
    name = dotted(decorator.func if isinstance(decorator, ast.Call) else decorator) or ""
    last = name.rpartition(".")[2]
    return "docstring" in last or last in PLAIN_DECORATORS


#: What is read before a word, and what stands before and behind the name of a module: an import, quotes of a path, nothing.
_MOST_BEFORE = 310
_IMPORTED = rb"\b(?:from|import)\b[^\r\n;]{0,300}\Z"
_QUOTE_BEFORE, _QUOTE_BEHIND = rb"[\"'][\w./\\-]{0,200}\Z", rb"(?:\.py)?\\?[\"']"
_ALONE = rb"(?:[ \t]+as[ \t]+\w+)?,?[ \t]{0,200}(?:#.*)?\Z"


def is_defined(site: Site) -> bool:
    """Whether a call is in a function, or what is reported is an import or the head of a definition."""
    if site.context.scope.is_function:
        return True
    parents = site.context.scope.tree.parent
    node: ast.AST = site.node
    while (above := parents.get(node)) is not None and not isinstance(above, ast.Module):
        node = above
    return isinstance(node, (ast.Import, ast.ImportFrom, *_FUNCTIONS, ast.ClassDef))


def _imports_by_name(project: Project) -> bool:
    """Whether code of the project imports modules, or calls functions, by names which it does not write."""
    return any(re.search(_BY_NAME, data) for files in (project.python, project.texts) for _, data in files())


def is_named_elsewhere(path: str, project: Project, in_trees: bool = False) -> bool:
    """Whether another file of the project imports a module, or names its path; `in_trees` counts drawings of the folders.

    Raises:
        TooLargeError: the project is too large to be searched.
    """
    word = os.path.splitext(os.path.basename(path))[0].encode()
    if b" " in word and _is_found(word.replace(b" ", b"%20"), path, project, in_trees):
        return True  # in a link
    return _is_found(word, path, project, in_trees)


def _is_found(word: bytes, path: str, project: Project, in_trees: bool) -> bool:
    """Whether another file has the name of a module where modules are named."""
    for files in (project.texts, project.python):
        for each, data in files():
            if word not in data or each == path:
                continue
            text = data if in_trees or files == project.python else re.sub(_OF_A_TREE, b"", data)
            if any(_is_a_module(text, at, at + len(word)) for at in _places(word, text)):
                return True
    return False


def _places(word: bytes, data: bytes) -> Iterator[int]:
    """The offsets of a whole word."""
    at = data.find(word)
    while at >= 0:
        end = at + len(word)
        if not (_is_of_a_word(data[at - 1 : at]) or _is_of_a_word(data[end : end + 1])):
            yield at
        at = data.find(word, at + 1)


def _is_of_a_word(character: bytes) -> bool:
    return character == b"_" or character.isalnum()


def _is_a_module(text: bytes, start: int, end: int) -> bool:
    """Whether a word stands where code and documents name modules and their files: after `import`, in quotes, with an attribute."""
    line, line_end = text.rfind(b"\n", 0, start) + 1, text.find(b"\n", end)
    # Bounded, because a notebook may be a single line of megabytes.
    before = text[max(line, start - _MOST_BEFORE) : start]
    behind = text[end : line_end if line_end >= 0 else len(text)]
    return (
        before.endswith(b".")
        or (behind[:1] == b"." and (_is_of_a_word(behind[1:2])))
        or (re.match(_QUOTE_BEHIND, behind) is not None and re.search(_QUOTE_BEFORE, before) is not None)
        or re.search(_IMPORTED, before) is not None
        or (
            start - line <= _MOST_BEFORE
            and not before.strip(b' \t"')
            and re.match(_ALONE, behind) is not None
        )
    )


def is_imported_nowhere(name: str, site: Site, project: Project) -> bool:
    """Whether no document mentions a function, no other file it and its module, and no code calls by names that it does not write.

    Raises:
        TooLargeError: the project is too large to be searched.
    """
    path = os.path.abspath(site.source.path)
    folder, file = os.path.split(path)
    stem = os.path.splitext(file)[0]
    module = os.path.basename(folder) if stem.startswith("__") else stem
    word, owner = (re.escape(each).encode() for each in (name, module))
    if project.once(_imports_by_name):
        return False
    # A document may use a word like `train` as one of its language, and code as a string or a method of objects.
    told = (
        rb"[`.:]%b\b|\b%b[`(]|import[^\r\n]{0,200}\b%b\b" % (word, word, word)
        if name.isalpha()
        else rb"\b%b\b" % word
    )
    if any(re.search(told, data) for each, data in project.texts() if each != path):
        return False
    used = (
        rb"import\b[^\r\n#]{0,300}\b%b\b|^[ \t\"]{0,200}%b,?[ \t]*(?:\\n|[#)]|$)|\b%b\.%b\b|import[ \t]+\*|\b%b[ \t]+as\b"
        % (word, word, owner, word, owner)
    )
    return not any(
        re.search(rb"\b%b\b" % owner, data)
        and (re.search(used, data, re.MULTILINE) or (b"getattr(" in data and name.encode() in data))
        for each, data in project.python()
        if each != path
    )


def is_beside_what_is_named(site: Site, project: Project) -> bool:
    """Whether the project's documents and commands name its scripts, and neither they nor its code name this one."""
    path = os.path.abspath(site.source.path)
    if not path.endswith(".py") or os.path.basename(path).startswith("__"):
        return False
    if (project.once(_named_scripts) or 0) < _SOME or project.once(_imports_by_name):
        return False
    return not _is_named(path, site, project)


def _is_named(path: str, site: Site, project: Project) -> bool:
    """Whether another file of the project names the site's file, in a drawing of the folders too."""
    ask = partial(is_named_elsewhere, path, project, in_trees=True)
    return site.file.remember("named elsewhere", ask)


def is_left_over(site: Site, project: Project) -> bool:
    """Whether the project's documents and commands name many of its scripts, and nothing names this one, or this notebook.

    What code may import by its name, and then calls, is not one of them.
    """
    path = os.path.abspath(site.source.path)
    stem = os.path.splitext(os.path.basename(path))[0]
    if stem.startswith(("__", "test", "conftest")) or stem in _PROGRAMS:
        return False
    # Asked first, because most files are named, and the search ends there.
    if _is_named(path, site, project) or (project.once(_named_scripts) or 0) < _MANY:
        return False
    return not (is_defined(site) and "__main__" not in site.source.text and project.once(_imports_by_name))


def _named_in_texts(project: Project) -> frozenset[str]:
    """The names of scripts in the project's documents, scripts and settings."""
    found = set()
    for _, data in project.texts():
        for before in data.split(b".py")[:-1]:
            if (name := re.search(_SCRIPT, before[-200:])) is not None:
                found.add(f"{name.group().decode('latin-1')}.py")
    return frozenset(found)


def _named_scripts(project: Project) -> int:
    """How many of the project's Python files its documents, scripts and settings name."""
    own = {os.path.basename(each) for each in project.python_paths or ()}
    return len(own & (project.once(_named_in_texts) or frozenset()))
