"""Decides whether the project keeps a call without running it: in an archive, in the code of others, in a function that nothing calls."""

from __future__ import annotations

import ast
import os
import re
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import pairwise

from telepathy_lint.facts import not_reached
from telepathy_lint.facts.said_to_be_old import is_said_to_be_old
from telepathy_lint.flow.bindings import dotted
from telepathy_lint.flow.whole_project import Project, TooLargeError
from telepathy_lint.knowledge.other_projects import BEGINNINGS, OF_ARCHIVES, OF_OTHERS
from telepathy_lint.rule import Rule
from telepathy_lint.settings import Settings
from telepathy_lint.sites import File, Site
from telepathy_lint.sites.site import Kind

#: How the names of folders of code that is kept, not run, begin and end: old versions.
_KEPT_BEGIN = frozenset({
    "archive", "archived", "archives", "old", "deprecated", "obsolete", "backup", "backups", "bak", "trash", "attic",
    "graveyard", "unused", "legacy", "tmp", "temp", "scratch", "scratchpad", "rough",
})  # fmt: skip
_KEPT_END = frozenset({
    "archive", "archived", "deprecated", "obsolete", "backup", "backups", "bak", "back", "old", "unused", "legacy",
})  # fmt: skip
#: Folders with copies that a run has written beside its results.
_OF_RESULTS = frozenset({
    "output", "outputs", "result", "results", "runs", "log", "logs", "record", "records", "wandb", ".ipynb_checkpoints", "checkpoint",
    "checkpoints",
})  # fmt: skip
#: Folders of data as it came, with the scripts of those who made it.
_OF_DATA = (("data", "raw"), ("data", "external"), ("datasets", "raw"))
_YEAR = r"(?<!\d)20[12]\d(?!\d)"
#: How the names of files that are kept begin or end, without the suffix.
_OLD = frozenset({
    "old", "archive", "archived", "deprecated", "obsolete", "backup", "bak", "unused", "legacy",
})  # fmt: skip
_COPY = r".*(?: copy(?: ?\d+)?|-copy\d+| \(\d+\))"
_SEPARATORS = str.maketrans(" .-", "___")
#: Where a word of a name in mixed case begins, without a separator.
_NEW_WORD = r"(?<=[a-z])(?=[A-Z])"
#: Notebooks in which somebody tries things.
_SCRATCH = r"(?i)(?:.*[_ .-])?(?:tests?|scratch(?:pad)?|untitled\d*|te?mp|sandbox|playground|debug|draft|try)(?:[_ .-]?\d+)?"
#: Packages of frameworks that projects copy and extend; in the framework's own repository, they are the project.
_FRAMEWORKS = (
    "verl", "diffusers", "transformers", "peft", "trl", "trlx", "accelerate", "fastchat", "llamafactory", "llmtuner", "openrlhf",
    "fairseq", "axolotl", "human_eval", "humaneval", "alpaca_eval", "bigcode_eval", "minigpt4", "lavis", "opencompass", "deepspeed",
    "megatron", "vllm", "sglang", "gptqmodel", "auto_gptq", "awq", "sentence_transformers", "unsloth", "vlmeval", "lmms_eval",
    "swift", "easyeditor", "textattack", "llama_recipes", "llama_cookbook",
)  # fmt: skip
#: The same for those whose names may go on: `llava_next`.
_KINDS_OF_FRAMEWORKS = ("llava", "lm_eval", "open_clip", "mplug_owl", "internvl")
#: What follows the name of a framework in that of a copy: `fairseq-py`, `verl-main`, `trl-0.8.1`.
_OF_A_VERSION = r"(?:_(?:py|main|master|dev|v?\d[\d._]*))?"
#: The address of a repository, in the files of a distribution.
_REPOSITORY = rb"github\.com[/:]([\w.-]+)/([\w.-]+?)(?:\.git)?(?=[\"'\s/#,)]|\Z)"
#: Files of a package, or of the distribution around it.
_OF_A_PACKAGE = ("__init__.py", "pyproject.toml", "setup.py")
#: Code that calls functions by names which it does not write.
_CALLS_BY_NAME = r"\bfire\.Fire\(\s*\)|\bglobals\(\)|\bgetattr\(\s*(?:sys\.modules|__import__|importlib)"
_ENTRIES = frozenset({"main"})

Definition = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef


def is_bare(site: Site) -> bool:
    """Whether nothing is known around a file: it is in no project, or in one without documents and scripts that say what it is for."""
    return site.file.fact(_is_bare)


def _is_bare(file: File) -> bool:
    project = _project_around(file)
    return project is None or not project.is_told_of


def is_alone(site: Site) -> bool:
    """Whether nothing of a project is known beside the file."""
    project = _project_of(site)
    return project is None or project.is_only(os.path.abspath(site.source.path))


def kinds_that_matter(file: File | None, rules: Sequence[Rule], settings: Settings) -> frozenset[Kind]:
    """The kinds of sites in a file at which findings of the rules may matter; no others need to be found."""
    kinds = frozenset([kind for rule in rules for kind in rule.meta.kinds])
    if (
        settings.strict
        or file is None
        or not any(rule.meta.only_bare for rule in rules)
        or file.fact(_is_bare)
    ):
        return kinds
    return frozenset([kind for rule in rules for kind in rule.meta.kinds if kind not in rule.meta.only_bare])


def is_out_of_use(site: Site, about_releases: bool = False) -> bool:
    """Whether a project keeps the file as an old version, mentions the function around the call nowhere else, or never gets to the call.

    What is told about the next release (`about_releases`) does not matter either, in a file that fails in every one, or that is one of
    older libraries.
    """
    if is_bare(site):
        return False
    if site.file.remember("kept", partial(_is_kept, site)) or _is_uncalled(site) or _is_not_reached(site):
        return True
    if not about_releases:
        return False
    from telepathy_lint.facts.old_libraries import is_of_old_libraries
    from telepathy_lint.facts.undefined_names import fails_before

    return fails_anyway(site) or is_of_old_libraries(site) or fails_before(site)


def _is_not_reached(site: Site) -> bool:
    project = _project_of(site)
    assert project is not None
    if not_reached.is_in_an_untaken_branch(site, project):
        return True
    if _asked(not_reached.is_left_over, site, project):
        return True
    unused = partial(_asked, not_reached.is_in_an_unused_module, site, project)
    return not_reached.is_defined(site) and site.file.remember("unused module", unused)


def _asked(question: Callable[[Site, Project], bool], site: Site, project: Project) -> bool:
    try:
        return question(site, project)
    except TooLargeError:
        return False


def is_for_trying_out(site: Site) -> bool:
    """Whether a project names the scripts that it is about, and not this one."""
    project = _project_of(site)
    if project is None or is_bare(site):
        return False
    ask = partial(_asked, not_reached.is_beside_what_is_named, site, project)
    return site.file.remember("beside what is named", ask)


def is_not_read(site: Site) -> bool:
    """Whether a project's module only loads a model, where the project loads and uses models elsewhere."""
    project = _project_of(site)
    return project is not None and not is_bare(site) and _asked(not_reached.is_not_read, site, project)


def fails_anyway(site: Site) -> bool:
    """Whether a project's file fails in every release, because a module that it imports is gone."""
    project = _project_of(site)
    if project is None or is_bare(site):
        return False
    return site.file.remember(
        "imports what is gone", partial(not_reached.imports_what_is_gone, site, project)
    )


def _project_of(site: Site) -> Project | None:
    return _project_around(site.file)


def _project_around(file: File) -> Project | None:
    return file.modules.project(file.source.path) if file.modules is not None else None


def _is_kept(site: Site) -> bool:
    project = _project_of(site)
    assert project is not None
    return is_kept(site.source.path, project)


def is_kept(path: str, project: Project) -> bool:
    """Whether a project keeps a file as an old version, as a copy beside results, or of another project."""
    *folders, name = os.path.relpath(os.path.abspath(path), project.root).split(os.sep)
    return (
        _is_of_a_copy(folders, project)
        or _is_of_others(folders, project)
        or any(_is_from_elsewhere(folders[:at], project) for at in range(1, len(folders) + 1))
        or any(map(_is_kept_folder, folders))
        or _is_of_an_earlier_year(folders, project)
        or any(pair in _OF_DATA for pair in pairwise(folders))
        or _is_kept_file(os.path.splitext(name)[0])
        or is_for_trying(path)
        or is_said_to_be_old(os.path.abspath(path), project)
    )


def is_for_trying(path: str) -> bool:
    """Whether a notebook is one in which somebody tries things, by its name."""
    name, suffix = os.path.splitext(os.path.basename(path))
    return suffix == ".ipynb" and re.fullmatch(_SCRATCH, name) is not None


def _is_kept_folder(name: str) -> bool:
    # A name that goes on after "back" is rarely that of a copy: `back_translation`, `BackEnd`.
    return (
        name.lower() in _OF_RESULTS
        or name.lower().lstrip("._-") == "back"
        or any(
            words[0] in _KEPT_BEGIN or (len(words) > 1 and words[-1] in _KEPT_END)
            for words in _words(name.lstrip("._-"))
        )
    )


def _words(name: str) -> Iterator[list[str]]:
    """The words of a name in lower case, with and without those in mixed case apart: `OldNotebooks` has two, `BackUp` is one."""
    for each in (name, re.sub(_NEW_WORD, "_", name)):
        yield each.translate(_SEPARATORS).lower().split("_")


def _is_kept_file(name: str) -> bool:
    if any(len(words) > 1 and (words[0] in _OLD or words[-1] in _OLD) for words in _words(name)):
        return True
    name = name.lower()
    if name.endswith(("-back", "back-up")):
        return True
    return ("copy" in name or name.endswith(")")) and re.fullmatch(_COPY, name) is not None


def _is_of_an_earlier_year(folders: list[str], project: Project) -> bool:
    """Whether a folder is named for a year, and another beside it for a later one, in the same words."""
    if not any(re.search(_YEAR, each) for each in folders):
        return False
    kinds = project.once(_latest_years) or {}
    return any(
        re.search(_YEAR, name) and kinds.get(_kind_of(at, name, folders), "") > max(re.findall(_YEAR, name))
        for at, name in enumerate(folders)
    )


def _kind_of(at: int, name: str, folders: list[str]) -> str:
    """The folder around a folder, and its name without numbers."""
    return os.sep.join([*folders[:at], re.sub(r"\d+", "#", name)])


def _latest_years(project: Project) -> dict[str, str]:
    """The latest year in the names of folders that differ by numbers."""
    found: dict[str, str] = {}
    for path in project.python_paths or ():
        folders = os.path.relpath(os.path.dirname(path), project.root).split(os.sep)
        for at, name in enumerate(folders):
            for year in re.findall(_YEAR, name):
                kind = _kind_of(at, name, folders)
                found[kind] = max(found.get(kind, ""), year)
    return found


def _is_of_a_copy(folders: list[str], project: Project) -> bool:
    """Whether a file belongs to the package or distribution of a framework that another project has copied."""
    for at, name in enumerate(folders):
        if not _is_of_a_framework(name.lower().replace("-", "_")):
            continue
        folder = os.path.join(project.root, *folders[: at + 1])
        if any(project.holds(os.path.join(folder, each)) for each in _OF_A_PACKAGE):
            return not _declares(project, name)
    return False


def _is_of_a_framework(name: str) -> bool:
    """Whether a folder, in lower case, has the name of a framework or of a version of one."""
    begins = [each for each in _FRAMEWORKS if name.startswith(each)]
    if any(re.fullmatch(_OF_A_VERSION, name[len(each) :]) is not None for each in begins):
        return True
    begins = [each for each in _KINDS_OF_FRAMEWORKS if name.startswith(each)]
    return any(re.fullmatch(rf"\w*{_OF_A_VERSION}", name[len(each) :]) is not None for each in begins)


def _is_of_others(folders: list[str], project: Project) -> bool:
    """Whether a file belongs to a project of its own, with a README or a distribution, in a folder for the code of others.

    The archive of a repository, unpacked beside the README of another one, is such a folder itself (`safe-rlhf-main`).
    """
    return any(
        (at > 0 and re.fullmatch(OF_OTHERS, folders[at - 1]) and _begins(folders[: at + 1], project))
        or (
            name.lower().endswith(OF_ARCHIVES)
            and _begins(folders[: at + 1], project)
            and _begins([], project)
        )
        for at, name in enumerate(folders)
    )


def _begins(folders: list[str], project: Project) -> bool:
    """Whether a folder has a file with which a project begins."""
    return any(project.holds(os.path.join(project.root, *folders, each)) for each in BEGINNINGS)


def _is_from_elsewhere(folders: list[str], project: Project) -> bool:
    """Whether a folder holds a distribution whose files name other repositories than the project's own."""
    folder = os.path.join(project.root, *folders)
    named = _repositories(folder, _OF_A_PACKAGE[1:], project)
    if not named:
        return False
    remotes = {name for _, name in _repositories(project.root, (".git/config",), project)}
    own = os.path.basename(project.root).lower()
    # Of a checkout, the remote tells the name: `hqq-experiments` is not `hqq`.
    if any(name in remotes if remotes else name in own for _, name in named):
        return False
    around = _repositories(project.root, (".git/config", *BEGINNINGS), project)
    # Without a word about its own repository, the project may be the one that is named.
    return bool(around) and not any(owner in {each for each, _ in around} for owner, _ in named)


def _repositories(folder: str, names: tuple[str, ...], project: Project) -> set[tuple[str, str]]:
    """The owners and names of the repositories that files of a folder name."""
    texts = [
        project.content(path)
        for name in names
        if project.holds(path := os.path.join(folder, name)) or name.startswith(".git")
    ]
    found = {pair for text in texts for pair in re.findall(_REPOSITORY, text)}
    return {(owner.decode().lower(), name.decode().lower()) for owner, name in found}


def _declares(project: Project, name: str) -> bool:
    """Whether the project's own distribution has this name."""
    declared = rf"""(?mi)^\s*name\s*=\s*["']?{re.escape(name)}["']?\s*,?\s*(?:#.*)?$"""
    paths = [os.path.join(project.root, each) for each in _OF_A_PACKAGE[1:]]
    texts = [project.content(each).decode("utf-8", "replace") for each in paths if project.holds(each)]
    return any(re.search(declared, each) for each in texts)


def _is_uncalled(site: Site) -> bool:
    """Whether the call is in a function, method or class that nothing calls, by its name."""
    for each in _definitions_around(site):
        if isinstance(each, ast.ClassDef):
            if each.bases or each.keywords:
                return False  # a registry of its base may find it, and the base may call its methods
        elif each.name in _ENTRIES or each.name.startswith("test"):
            return False
        if each.decorator_list and not all(map(_keeps_the_name, each.decorator_list)):
            return False
        if not each.name.startswith("_") and site.file.remember(
            ("uncalled", each.name, each.lineno), partial(_is_never_named, site, each)
        ):
            return True
    return False


def _keeps_the_name(decorator: ast.expr) -> bool:
    """Whether a decorator hands its function or class to nobody."""
    name = dotted(decorator.func if isinstance(decorator, ast.Call) else decorator) or ""
    return name.rpartition(".")[2] in not_reached.PLAIN_DECORATORS


def _definitions_around(site: Site) -> list[Definition]:
    """The functions and classes around the call, outer before inner."""
    parents = site.context.scope.tree.parent
    found: list[Definition] = []
    node: ast.AST | None = site.node
    while node is not None:
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            found.insert(0, node)
        node = parents.get(node)
    return found


def is_never_named(site: Site, name: str) -> bool:
    """Whether a project's module has a function or class of its own of this name, and nothing in the project uses it."""
    if is_bare(site) or name in _ENTRIES or name.startswith("test"):
        return False
    body = site.context.scope.tree.module.body
    found = [each for each in body if isinstance(each, Definition) and each.name == name]
    if len(found) != 1 or found[0].decorator_list:
        return False
    kept = ("uncalled", name, found[0].lineno)
    return site.file.remember(kept, partial(_is_never_named, site, found[0]))


def _is_never_named(site: Site, definition: Definition) -> bool:
    """Whether only its own definition mentions a name; an attribute or text is no mention of a function of the module."""
    text, name = site.source.text, definition.name
    if re.search(_CALLS_BY_NAME, text):
        return False
    project, tree = _project_of(site), site.context.scope.tree
    assert project is not None
    if len(re.findall(rf"\b{re.escape(name)}\b", text)) == 1:
        path = os.path.abspath(site.source.path)
        if project.mentions_beside(path, name.encode()) is False:
            return True
    if isinstance(definition, ast.ClassDef) or definition not in tree.module.body:
        return False
    read = any(isinstance(each, ast.Name) and each.id == name for each in tree.visit(tree.lines_with(name)))
    return not read and _asked(partial(not_reached.is_imported_nowhere, name), site, project)
