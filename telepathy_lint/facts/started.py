"""Decides whether a file runs in a single process, according to what the project shows of how it is started.

READMEs, shell scripts, build files and the texts of Python files are searched for commands. A launcher that a command
names concerns the script that the command starts (`launched.py`); one that starts no script in sight concerns all files.
Code for several processes concerns its file, the modules that it imports, and those that import it.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping
from functools import partial

from telepathy_lint.facts import start_commands
from telepathy_lint.facts.launched import Launched, launched_by, launcher_in, launches_in, launches_of
from telepathy_lint.facts.start_commands import PROGRAM, has_name, last_name, may_name, names
from telepathy_lint.flow.importers import imported_by
from telepathy_lint.flow.whole_project import Project, TooLargeError
from telepathy_lint.hints import NamedTuple
from telepathy_lint.sites import Site
from telepathy_lint.source.occurs import occurs

#: Words of a document about a launcher, and settings that turn one on.
_TOLD = r"\bFSDP\b|\bDeepSpeed\b|\bDDP\b|DistributedDataParallel|\bZeRO-?[123]\b|\btorch\.distributed\b|\bHorovod\b"
_SET = (
    r"(?m)distributed_type:[ \t]*[\"']?(?!['\"]?NO\b)\w"
    r"|^[ \t]*(?:deepspeed|fsdp)\w*:(?:[ \t]*(?!null|~|false|no\b|none\b|\[\]|''|\"\"|#|\s)\S|[ \t]*\r?\n[ \t]+(?!desc:|value:)\w)"
    r"|num_processes:[ \t]*(?!1(?!\d))\d|nproc_per_node|strategy:[ \t]*[\"']?(?:ddp|fsdp|deepspeed)"
)
_INTERACTIVE = r"\bjupyter[ \t-](?:lab|notebook|execute|nbconvert)|\bpapermill[ \t]|colab\.research\.google"
#: A command in the text of a Python file, or in the list of its parts.
_COMMANDS = (b"python", b"sys.executable", b"streamlit run", b"uv run")
_IN_CODE = (
    rb"\b(?:python[\d.]*|sys\.executable|streamlit run|uv run)[\"',\\ \t\[]+(?:-[uOBW]+[\"', \t]+)*"
    rb"(?:-m[\"', \t]+(?P<module>[\w.]+)|(?P<script>[\w./{}-]+\.py)\b)"
)
#: Code of a file that several processes run, or that starts them.
_LAUNCHES_IN_CODE = (
    b"torchrun", b"accelerate launch", b"deepspeed", b"DeepSpeed", b"deepSpeed", b"fsdp", b"FSDP", b"mp.spawn", b"local_rank",
    b"LOCAL_RANK", b"process_index", b"world_size", b"WORLD_SIZE", b"SLURM_PROCID", b"SLURM_LOCALID", b"SLURM_NTASKS",
    b"SLURM_NPROCS", b"SLURM_NNODES", b"torch.distributed", b"DistributedDataParallel", b"DDP(", b"notebook_launcher",
    b"Accelerator(",
)  # fmt: skip
#: A launcher among the parts of a command that code runs.
_LAUNCHER_IN_CODE = (
    rb"[\"']torchrun[\"']|[\"']accelerate[\"'],\s*[\"']launch|[\"']torch\.distributed\.(?:run|launch)[\"']"
    rb"|\[\s*[\"']deepspeed[\"']\s*,\s*[\"'](?:-|[\w./]+\.py)"
)
#: A part of each of them, behind its quote.
_LAUNCHER_WORDS = tuple(
    quote + word
    for word in (b"torchrun", b"accelerate", b"torch.distributed.", b"deepspeed")
    for quote in (b"'", b'"')
)
_SETTINGS = (".yaml", ".yml")
#: This many names are searched for one by one, as for a commit of a few files. After that, all commands are read once, which
#: takes as long as forty searches in a project of two hundred files.
_FEW_NAMES = 20


class Starts(NamedTuple):
    """How the scripts of a project are started, according to its texts."""

    #: The scripts ("scripts/train.py") and modules ("package.train") that run as one process, as written.
    plain: frozenset[str]
    #: The same for scripts that a launcher starts.
    launched: Mapping[str, Launched]
    #: Scripts that are given to a program that may be a launcher which is not known here; as in `launched`.
    wrapped: Mapping[str, Launched]
    #: Whether a script or the settings name a launcher without what it starts.
    launches_others: bool
    #: Whether a document speaks of a launcher without what it starts.
    told: bool
    #: Whether a command starts anything as one process.
    shown: bool
    #: Whether there is a README or another document.
    documented: bool


class Starting(NamedTuple):
    """The commands of a project that name a file, in part of what `Starts` has."""

    plain: frozenset[str]
    wrapped: frozenset[str]


class Launching(NamedTuple):
    """The Python files of a project that several processes may run, by their code."""

    paths: frozenset[str]
    #: Whether one of them runs a launcher.
    launches_others: bool


def runs_as_started(site: Site) -> bool:
    """Whether the project shows that the file runs in a single process: how it is started, and no launcher of it."""
    return site.file.remember("started as one process", partial(_is_one_process, site))


def has_a_project(site: Site) -> bool:
    """Whether a project around the file has a README or another document, or shows how it is started."""
    modules = site.file.modules
    project = modules.project(site.source.path) if modules is not None else None
    starts = project.once(starts_of) if project is not None else None
    return starts is not None and (starts.documented or starts.shown)


def is_named_by_a_command(site: Site) -> bool:
    """Whether a command of the project may start the file itself."""
    path, modules = os.path.abspath(site.source.path), site.file.modules
    project = modules.project(path) if modules is not None else None
    starts = project.once(starts_of) if project is not None else None
    if starts is None:
        return True
    return any(may_name(each, path) for each in (*starts.plain, *starts.launched, *starts.wrapped))


def may_be_launched(site: Site) -> bool:
    """Whether the project shows a launcher that may start the file, be it one that is not known here.

    Where a launcher starts what is not in sight, only a command that starts the file as one process says otherwise.
    """
    return site.file.remember("may be launched", partial(_may_be_launched, site))


def _may_be_launched(site: Site) -> bool:
    path, modules = os.path.abspath(site.source.path), site.file.modules
    project = modules.project(path) if modules is not None else None
    if project is None or modules is None or path.endswith(".ipynb"):
        return False  # nothing is known of a file alone; a notebook has one kernel
    if launched_by(site) is not None:
        return True
    importers = modules.importers(path)
    entries = (path, *importers[1]) if importers is not None else (path,)
    plain: set[str] = set()
    wrapped: set[str] = set()
    for name in dict.fromkeys(map(last_name, entries)):
        starting = project.about(name, starts_naming)
        if starting is None:
            return True
        plain |= starting.plain
        wrapped |= starting.wrapped
    if any(names(each, entry) for each in wrapped for entry in entries):
        return True
    for file in dict.fromkeys(os.path.basename(entry) for entry in entries if entry.endswith(".py")):
        starters = project.about(file, starters_naming)
        if starters is None or not starters <= set(entries):
            return True  # code that speaks of ranks names the file: it may start it in several processes
    if any(names(each, entry) for each in plain for entry in entries):
        return False
    return project.once(may_launch_others) is not False


def _is_one_process(site: Site) -> bool:
    path, modules = os.path.abspath(site.source.path), site.file.modules
    if _launches_in_code(site.source.text.encode("utf-8", "surrogatepass")):
        return False
    project = modules.project(path) if modules is not None else None
    if project is None or modules is None:
        return any(names(each, path) for each in _plain_in_code(site.source.data))
    if launched_by(site) is not None:
        return False
    starts, launching = project.once(starts_of), project.once(launching_of)
    if starts is None or launching is None or starts.launches_others or launching.launches_others:
        return False
    importers = modules.importers(path)
    if importers is None:  # anything may import the file
        return starts.shown and not (starts.launched or launching.paths or starts.told)
    entries = (path, *importers[1])
    if not launching.paths.isdisjoint(entries[1:]) or _imports_one(site, launching.paths):
        return False
    if starts.launched or starts.told:
        return any(names(each, entry) for each in starts.plain for entry in entries)
    return starts.shown or (starts.documented and _is_a_program(site, project, entries))


def _imports_one(site: Site, launching: frozenset[str]) -> bool:
    """Whether a file imports one of the modules that several processes run."""
    modules = site.file.modules
    if modules is None or not launching:
        return False
    imported = imported_by(site.source.text.encode("utf-8", "surrogatepass"))
    return any(found in launching for each in imported for found in modules.files(each, site.source.path))


def _is_a_program(site: Site, project: Project, entries: tuple[str, ...]) -> bool:
    """Whether the file, or one that imports it, is started itself; nothing else starts a file that is not imported."""
    if len(entries) == 1 or PROGRAM in site.source.text:
        return True
    return any(PROGRAM.encode() in project.content(each) for each in entries[1:])


def starts_of(project: Project) -> Starts:
    """How the scripts of a project are started.

    Raises:
        TooLargeError: the project is too large to be searched.
    """
    launches, told = project.once(launches_of), project.once(is_told_of_launchers)
    if launches is None or told is None:
        raise TooLargeError
    plain, wrapped = _started_by(project.texts(), project.python())
    plain |= launches.alone
    documented = any(start_commands.is_document(path) for path, _ in project.texts())
    interactive = any(occurs(_INTERACTIVE, data.decode("utf-8", "replace")) for _, data in project.texts())
    return Starts(
        frozenset(plain),
        launches.launched,
        wrapped,
        launches.of_others or _is_set(project),
        launches.told or told,
        interactive or bool(plain),
        documented,
    )


def starts_naming(project: Project, name: str) -> Starting:
    """The scripts and modules with this name in the commands of a project.

    Raises:
        TooLargeError: the project is too large to be searched.
    """
    plain: Iterable[str]
    wrapped: Iterable[str]
    if project.names_asked(starts_naming) > _FEW_NAMES:
        starts = project.once(starts_of)
        if starts is None:
            raise TooLargeError
        plain, wrapped = starts.plain, starts.wrapped
    else:
        word = os.fsencode(name)
        texts = [(path, data) for path, data in project.texts() if word in data]
        plain, wrapped = _started_by(texts, ((path, data) for path, data in project.python() if word in data))
        plain |= launches_in(texts).alone
    return Starting(
        frozenset([each for each in plain if has_name(each, name)]),
        frozenset([each for each in wrapped if has_name(each, name)]),
    )


def _started_by(
    texts: Iterable[tuple[str, bytes]], python: Iterable[tuple[str, bytes]]
) -> tuple[set[str], dict[str, Launched]]:
    """The scripts and modules that commands start as one process, and those that are given to another program."""
    plain: set[str] = set()
    wrapped: dict[str, Launched] = {}
    for path, data in texts:
        document = start_commands.is_document(path)
        for line, command, in_code in start_commands.commands(data.decode("utf-8", "replace"), document):
            if launcher_in(command) is not None:
                continue
            plain |= set(start_commands.plainly_started(command))
            for script, program in start_commands.given_to_others(command) if in_code else ():
                wrapped.setdefault(script, Launched(path, line, program))
    for _, data in python:
        plain |= set(_plain_in_code(data))
    return plain, wrapped


def may_launch_others(project: Project) -> bool:
    """Whether a project shows a launcher without what it starts: in a document, the settings, a script or code.

    Raises:
        TooLargeError: the project is too large to be searched.
    """
    if project.once(is_told_of_launchers) or _is_set(project):
        return True
    launches = project.once(launches_of)
    if launches is None or launches.of_others or launches.told:
        return True
    return any(_runs_a_launcher(data) and _launches_in_code(data) for _, data in project.python())


def is_told_of_launchers(project: Project) -> bool:
    """Whether a document speaks of training in several processes.

    Raises:
        TooLargeError: the project is too large to be searched.
    """
    return any(
        start_commands.is_document(path) and occurs(_TOLD, data.decode("utf-8", "replace"))
        for path, data in project.texts()
    )


def _is_set(project: Project) -> bool:
    """Whether a file of settings turns on a launcher."""
    return any(
        path.lower().endswith(_SETTINGS) and re.search(_SET, data.decode("utf-8", "replace")) is not None
        for path, data in project.texts()
    )


def starters_naming(project: Project, file: str) -> frozenset[str]:
    """The Python files that name a file, and that several processes run, or that start them.

    Raises:
        TooLargeError: the project is too large to be searched.
    """
    word = os.fsencode(file)
    if project.names_asked(starters_naming) > _FEW_NAMES:
        launching = project.once(launching_of)
        if launching is None:
            raise TooLargeError
        return frozenset([path for path in launching.paths if word in project.content(path)])
    return frozenset([path for path, data in project.python() if word in data and _launches_in_code(data)])


def launching_of(project: Project) -> Launching:
    """The Python files of a project that several processes may run, or that start them.

    Raises:
        TooLargeError: the project is too large to be searched.
    """
    paths: set[str] = set()
    launches_others = False
    for path, data in project.python():
        if _launches_in_code(data):
            paths.add(path)
            launches_others = launches_others or _runs_a_launcher(data)
    return Launching(frozenset(paths), launches_others)


def _launches_in_code(data: bytes) -> bool:
    return any(word in data for word in _LAUNCHES_IN_CODE)


def _runs_a_launcher(data: bytes) -> bool:
    """Whether code runs a launcher's command; the words are tried first, because `re` alone takes many times as long."""
    return any(word in data for word in _LAUNCHER_WORDS) and re.search(_LAUNCHER_IN_CODE, data) is not None


def _plain_in_code(data: bytes) -> Iterator[str]:
    """The scripts and modules that the text of a Python file starts as one process."""
    command = re.compile(_IN_CODE)
    for found in (command.match(data, at) for word in _COMMANDS for at in _places(word, data)):
        if found is None:
            continue
        written = (found["module"] or found["script"]).decode("utf-8", "replace")
        if not re.fullmatch(start_commands.TOOLS, written):
            yield written


def _places(word: bytes, data: bytes) -> Iterator[int]:
    """Where a word stands; `re` alone takes many times as long."""
    at = data.find(word)
    while at >= 0:
        yield at
        at = data.find(word, at + 1)
