"""Finds the commands with which a project starts several processes of a file: launchers in documents, scripts and settings."""

from __future__ import annotations

import ast
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from functools import partial

from telepathy_lint.facts import start_commands
from telepathy_lint.facts.branches import must_hold
from telepathy_lint.facts.start_commands import may_name
from telepathy_lint.flow.importers import imported_by
from telepathy_lint.flow.whole_project import Project, TooLargeError
from telepathy_lint.hints import NamedTuple
from telepathy_lint.sites import Site

#: Commands that start several processes of a script, each by a word in it; "srun" is in "jsrun" as well.
_LAUNCHERS = {
    "torchrun": r"\btorchrun\b",
    "accelerate": r"\baccelerate[ \t]+launch\b",
    "torch.distributed.": r"\btorch\.distributed\.(?:run|launch)\b",
    **{word: rf"\b{word}\b" for word in ("mpirun", "mpiexec", "horovodrun")},
    "colossalai": r"\bcolossalai[ \t]+run\b",
    **{word: rf"\b{word}[ \t]+(?=\S{{1,200}}\.py\b|--?[a-z])" for word in ("deepspeed", "composer")},
    "srun": r"\bj?srun\b",
}
_ONE_PROCESS = r"(?:nproc[-_]per[-_]node|num[-_]processes|num[-_]gpus|[ \t]-np?)[= \t]+1(?!\d)"
_SEVERAL_NODES = r"(?:nnodes|num[-_]machines|num[-_]nodes)[= \t]+(?![= \t]|1(?!\d))"
#: This many names are searched for one by one, as for a commit of a few files. After that, all commands are read once.
_FEW_NAMES = 3
#: Several tasks of a SLURM job; unless told, there is one.
_TASKS = r"(?:--(?:ntasks(?:-per-node)?|nodes)[= \t]+|[ \t]-[nN][= \t]*(?=[\d$]))(?![= \t]|1(?!\d))\S"
#: The number of tasks, which the options of `srun` set for themselves, whatever the job says.
_NUMBER_OF_TASKS = r"--ntasks(?:-per-node)?[= \t]|[ \t]-n[= \t]*[\d$]"
#: One task for each node, which has the GPUs of its node for itself.
_ONE_OF_A_NODE = r"--ntasks-per-node[= \t]+1(?!\d)"
#: An option behind a script, and code that reads options.
_OPTION = r"(?<!\S)--[a-zA-Z]"
_READS_OPTIONS = rb"argv|argparse|ArgumentParser|ArgParser|\bfire\b|\bclick\b|\btyper\b|hydra|absl|tyro|OmegaConf|docopt|parse_args|\bargs\.\w"


#: What parsers of command lines give, and a text that is neither a variable nor a place to fill in (`<MODEL>`, `MODEL_NAME`).
_PARSED = r"(?i)\w*(?:args|argv|opts?|options|flags)"
_WRITTEN = r"(?=.*[a-z\d])[\w./:-]+"


class Launched(NamedTuple):
    """A command that starts several processes of a script."""

    path: str
    line: int
    launcher: str
    #: What follows the script, in this and all other commands that start it in several processes.
    arguments: tuple[str, ...] = ()
    #: Whether all of these commands stand in comments of scripts: they show a launcher, but none that is used now.
    commented: bool = False
    #: The document or script that starts it first, and the number of the command there.
    first: tuple[str, int] = ("", 0)


class Launches(NamedTuple):
    """The commands of a project's documents, scripts and settings that name a launcher."""

    #: The scripts ("scripts/train.py") and modules ("package.train") that a launcher starts in several processes, as written.
    launched: Mapping[str, Launched]
    #: The same for scripts that a launcher starts as one process.
    alone: frozenset[str]
    #: Whether a script or the settings name a launcher without what it starts.
    of_others: bool
    #: Whether a document does.
    told: bool


def launched_by(site: Site) -> Launched | None:
    """The command that starts several processes of the file, or of a module that imports it; None if there is none."""
    return site.file.remember("launched by", partial(_launched_by, site))


def started_by(site: Site) -> Launched | None:
    """The same, without commands that are commented out."""
    launched = launched_by(site)
    return launched if launched is not None and not launched.commented else None


def launches_of(project: Project) -> Launches:
    """The commands of a project that name a launcher. It has few of them, and no other command is read.

    Raises:
        TooLargeError: the project is too large to be searched.
    """
    return launches_in(project.texts())


def launches_naming(project: Project, name: str) -> Mapping[str, Launched]:
    """The scripts and modules with this name that a launcher starts in several processes, as written.

    Raises:
        TooLargeError: the project is too large to be searched.
    """
    launches: Launches | None
    if project.names_asked(launches_naming) > _FEW_NAMES:
        launches = project.once(launches_of)
    else:
        word = os.fsencode(name)
        launches = launches_in((path, data) for path, data in project.texts() if word in data)
    if launches is None:
        raise TooLargeError
    return {
        written: each for written, each in launches.launched.items() if start_commands.has_name(written, name)
    }


def launches_in(texts: Iterable[tuple[str, bytes]]) -> Launches:
    """The commands of some of these texts, each with its path, that name a launcher."""
    launched: dict[str, Launched] = {}
    alone: set[str] = set()
    of_others = told = False
    words = [(each.encode(), re.escape(each)) for each in _LAUNCHERS]
    for path, data in texts:
        there = [pattern for word, pattern in words if word in data]
        if not there:
            continue
        document = start_commands.is_document(path)
        text = data.decode("utf-8", "replace")
        commands = start_commands.commands(text, document, "|".join(there))
        for number, (line, command, _) in enumerate(commands):
            found = launcher_in(command)
            if found is None:
                continue
            rest = command[found.end() : found.end() + start_commands.MOST_OF_A_COMMAND]
            started = start_commands.script_in(rest)
            options = rest if started is None else rest[: started.start()]
            if _starts_one(found[0], options, text):
                alone |= {start_commands.written(started)} if started is not None else set()
            elif started is not None:
                script = start_commands.written(started)
                commented = not document and command.lstrip().startswith("#")
                launcher = " ".join(found[0].split())
                new = Launched(path, line, launcher, commented=commented, first=(path, number))
                known = launched.setdefault(script, new)
                if known.commented and not commented:
                    known = new._replace(arguments=known.arguments, first=known.first)
                more = (*known.arguments, rest[started.end() :])
                launched[script] = known._replace(arguments=more)
            elif document:
                told = True
            else:
                of_others = True
    return Launches(launched, frozenset(alone), of_others, told)


def launcher_in(command: str) -> re.Match[str] | None:
    """The launcher that a command names; the words are tried first, because `re` alone takes many times as long."""
    named = [pattern for word, pattern in _LAUNCHERS.items() if word in command]
    return re.search("|".join(named), command) if named else None


def _starts_one(launcher: str, options: str, text: str) -> bool:
    """Whether a launcher starts a single process, by its options, or those of the SLURM job."""
    if launcher == "srun":
        jobs = [line for line in text.splitlines() if line.startswith("#SBATCH")]
        deciding = (options,) if re.search(_NUMBER_OF_TASKS, options) is not None else jobs
        if any(re.search(_ONE_OF_A_NODE, each) for each in deciding) and launcher_in(options) is None:
            return True
        return not any(re.search(_TASKS, each) for each in (options, *jobs))
    return re.search(_ONE_PROCESS, options) is not None and re.search(_SEVERAL_NODES, options) is None


def _leads_to(site: Site, start: str, importers: tuple[str, ...]) -> bool:
    """Whether a script that is started, or a module that it imports, names the function or class around the call.

    A package that imports all of its modules does not show what is used of them.
    """
    parents, modules = site.context.scope.tree.parent, site.file.modules
    around, node = None, parents.get(site.node)
    while node is not None:
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            around = node.name
        node = parents.get(node)
    if start == importers[0] or around is None or modules is None:
        return True
    for each in importers[1:]:
        if os.path.basename(each) == "__init__.py" or re.search(rf"\b{around}\b", modules.text(each)) is None:
            continue
        if each == start or ((beyond := modules.importers(each)) is not None and start in beyond[1]):
            return True
    return False


def is_in_the_program(site: Site) -> bool:
    """Whether the call only runs if its file is started itself: it stands under `if __name__ == "__main__"`."""
    return any(
        stmt in above.body and start_commands.PROGRAM in ast.unparse(above.test)
        for above, stmt in _conditions(site)
    )


def _option_around(site: Site) -> str | None:
    """The option of the command line that must be given for the call to run: `if args.offline:`."""
    for above, stmt in _conditions(site):
        if stmt in above.body and isinstance(above.test, ast.Attribute):
            return above.test.attr
    return None


def _conditions(site: Site) -> Iterator[tuple[ast.If, ast.AST]]:
    """The conditions around a call, each with its part that leads to the call."""
    parents = site.context.scope.tree.parent
    node: ast.AST | None = site.node
    while node is not None:
        above = parents.get(node)
        if isinstance(above, ast.If):
            yield above, node
        node = above


def _may_set(option: str, arguments: str) -> bool:
    """Whether the arguments of a command set an option, or may: by a variable, or in a file of settings."""
    given = arguments.replace("-", "_")
    return (
        option in given
        or re.search(r"\$(?:[@*]|\{?[A-Za-z_]*(?i:args|opt))|\.(?:ya?ml|json)\b", arguments) is not None
    )


def _launched_by(site: Site) -> Launched | None:
    path, modules = os.path.abspath(site.source.path), site.file.modules
    project = modules.project(path) if modules is not None else None
    if project is None or modules is None:
        return None
    importers = None if is_in_the_program(site) else modules.importers(path)
    entries = (path, *importers[1]) if importers is not None else (path,)
    found: dict[str, Launched] = {}
    for name in dict.fromkeys(map(start_commands.last_name, entries)):
        found |= project.about(name, launches_naming) or {}
    option = _option_around(site)
    compared = dict(_compared_options(site))
    for written, launched in sorted(found.items(), key=lambda each: (each[1].commented, each[1].first)):
        if option is not None and not any(_may_set(option, each) for each in launched.arguments):
            continue
        if _gives_other_names(compared, launched, project):
            continue
        if any(
            _starts(written, launched, entry, project)
            and _leads_to(site, entry, entries)
            and _may_take(entry, launched, project)
            for entry in entries
        ):
            return launched
    return None


def _starts(written: str, launched: Launched, entry: str, project: Project) -> bool:
    """Whether a command starts a file, and not one of the same name in another folder.

    Of several, it is the only one with the folders that the command names, or the one that they lead to from the folder of the script or the root.
    """
    if not may_name(written, entry):
        return False
    same = {entry, *(project.once(_files_by_name) or {}).get(start_commands.last_name(entry), ())}
    if len(same) == 1:
        return True
    if not start_commands.names(written, entry):
        return False
    if sum(start_commands.names(written, each) for each in same) == 1:
        return True
    file = written if written.endswith(".py") else written.replace(".", os.sep) + ".py"
    for folder in (os.path.dirname(launched.path), project.root):
        there = os.path.normpath(os.path.join(folder, file))
        if there in same:
            return there == entry
    return False


def _files_by_name(project: Project) -> dict[str, tuple[str, ...]]:
    """The Python files of a project for each name by which a command may start several of them."""
    found: dict[str, tuple[str, ...]] = {}
    for path in project.python_paths or ():
        name = start_commands.last_name(path)
        found[name] = (*found.get(name, ()), path)
    return {name: paths for name, paths in found.items() if len(paths) > 1}


def _compared_options(site: Site) -> Iterator[tuple[str, str]]:
    """The options of the command line that conditions around a call compare, each with the text that it has to be: `if args.model == "a/b":`."""
    for above, stmt in _conditions(site):
        for each in must_hold(above.test) if stmt in above.body else ():
            if (
                isinstance(each, ast.Compare)
                and isinstance(each.ops[0], ast.Eq)
                and isinstance(each.left, ast.Attribute)
                and isinstance(each.left.value, ast.Name)
                and re.fullmatch(_PARSED, each.left.value.id) is not None
                and isinstance(each.comparators[0], ast.Constant)
            ):
                yield each.left.attr, str(each.comparators[0].value)


def _gives_other_names(compared: Mapping[str, str], launched: Launched, project: Project) -> bool:
    """Whether the only command gives an option another text than the call needs: a written one, or a variable's, which its script writes."""
    if len(launched.arguments) != 1:
        return False
    for option, text in compared.items():
        name = re.escape(option).replace("_", "[-_]")
        given = re.search(rf"(?<!\S)--{name}[= \t]+[\"']?(\S{{1,200}})", launched.arguments[0])
        if given is None:
            continue
        value = given[1].strip("\"'")
        held = re.fullmatch(r"\$\{?(\w+)\}?", value)
        values = [value]
        if held is not None:
            # Once assigned, and neither by a loop nor by another script.
            script = project.content(launched.path).decode("utf-8", "replace")
            values = re.findall(rf"(?m)^[ \t]*(?:export[ \t]+)?{held[1]}=[\"']?([^\s\"';&|]*)", script)
            if len(values) != 1 or re.search(
                rf"\b{held[1]}\b[ \t]+in\b|\bread\b|^[ \t]*(?:source|\.)[ \t]", script, re.MULTILINE
            ):
                continue
        if all(re.fullmatch(_WRITTEN, each) is not None and each != text for each in values):
            return True
    return False


def _may_take(entry: str, launched: Launched, project: Project) -> bool:
    """Whether a script may be the one that a document starts, which may speak of one in another repository that takes the options."""
    given = launched.arguments
    if not start_commands.is_document(launched.path) or not all(re.search(_OPTION, each) for each in given):
        return True
    code = project.content(entry)
    if re.search(_READS_OPTIONS, code) is not None:
        return True
    imported = {each.partition(".")[0] for each in imported_by(code)}
    beside = (os.path.dirname(entry), project.root)
    return any(
        project.holds(os.path.join(folder, each, "__init__.py"))
        or project.holds(os.path.join(folder, f"{each}.py"))
        for folder in beside
        for each in imported
    )
