"""Decides whether a file runs in a single process, according to what the project shows of how it is started.

READMEs, shell scripts, build files and the texts of Python files are searched for commands. A launcher that a command
names concerns the script that the command starts; one that starts no script in sight concerns all files. Code for several
processes concerns its file, the modules that it imports, and those that import it.
"""

from __future__ import annotations

import ast
import os
import re
from collections.abc import Iterator, Mapping
from functools import partial

from telepathy_lint.facts import start_commands
from telepathy_lint.flow.importers import imported_by
from telepathy_lint.flow.whole_project import Project
from telepathy_lint.hints import NamedTuple
from telepathy_lint.sites import Site
from telepathy_lint.source.occurs import occurs

#: Commands that start several processes of a script.
_LAUNCHER = (
    r"\btorchrun\b|\baccelerate[ \t]+launch\b|\btorch\.distributed\.(?:run|launch)\b|\b(?:mpirun|mpiexec|horovodrun|jsrun)\b"
    r"|\bcolossalai[ \t]+run\b|\b(?:deepspeed|composer)[ \t]+(?=\S{1,200}\.py\b|--?[a-z])|\bsrun\b"
)
_ONE_PROCESS = r"(?:nproc[-_]per[-_]node|num[-_]processes|num[-_]gpus|[ \t]-np?)[= \t]+1(?!\d)"
_SEVERAL_NODES = r"(?:nnodes|num[-_]machines|num[-_]nodes)[= \t]+(?![= \t]|1(?!\d))"
#: Several tasks of a SLURM job; unless told, there is one.
_TASKS = r"(?:--(?:ntasks(?:-per-node)?|nodes)[= \t]+|[ \t]-[nN][= \t]*(?=[\d$]))(?![= \t]|1(?!\d))\S"
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
_DOCUMENTS, _SETTINGS = (".md", ".rst"), (".yaml", ".yml")
_PROGRAM = "__main__"


class Launched(NamedTuple):
    """A command that starts several processes of a script."""

    path: str
    line: int
    launcher: str
    #: What follows the script, in this and all other commands that start it in several processes.
    arguments: tuple[str, ...] = ()


class Starts(NamedTuple):
    """How the scripts of a project are started, according to its texts."""

    #: The scripts ("scripts/train.py") and modules ("package.train") that run as one process, as written.
    plain: frozenset[str]
    #: The same for scripts that a launcher starts.
    launched: Mapping[str, Launched]
    #: The Python files that several processes may run, by their code.
    launching: frozenset[str]
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

    @property
    def launches(self) -> bool:
        """Whether there is any sign of a launcher."""
        return bool(self.launched or self.launching or self.launches_others or self.told)


def runs_as_started(site: Site) -> bool:
    """Whether the project shows that the file runs in a single process: how it is started, and no launcher of it."""
    return site.file.remember("started as one process", partial(_is_one_process, site))


def has_a_project(site: Site) -> bool:
    """Whether a project around the file has a README or another document, or shows how it is started."""
    modules = site.file.modules
    project = modules.project(site.source.path) if modules is not None else None
    starts = project.once(starts_of) if project is not None else None
    return starts is not None and (starts.documented or starts.shown)


def launched_by(site: Site) -> Launched | None:
    """The command that starts several processes of the file, or of a module that imports it; None if there is none."""
    return site.file.remember("launched by", partial(_launched_by, site))


def is_named_by_a_command(site: Site) -> bool:
    """Whether a command of the project may start the file itself."""
    path, modules = os.path.abspath(site.source.path), site.file.modules
    project = modules.project(path) if modules is not None else None
    starts = project.once(starts_of) if project is not None else None
    if starts is None:
        return True
    return any(_may_name(each, path) for each in (*starts.plain, *starts.launched, *starts.wrapped))


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
    starts = project.once(starts_of)
    if starts is None or launched_by(site) is not None:
        return True
    importers = modules.importers(path)
    entries = (path, *importers[1]) if importers is not None else (path,)
    if any(_names(each, entry) for each in starts.wrapped for entry in entries):
        return True
    names = [os.fsencode(os.path.basename(entry)) for entry in entries if entry.endswith(".py")]
    starters = [project.content(each) for each in starts.launching if each not in entries]
    if any(name in code for name in names for code in starters):
        return True  # code that speaks of ranks names the file: it may start it in several processes
    if not (starts.launches_others or starts.told):
        return False
    return not any(_names(each, entry) for each in starts.plain for entry in entries)


def _is_one_process(site: Site) -> bool:
    path, modules = os.path.abspath(site.source.path), site.file.modules
    if _launches_in_code(site.source.text.encode("utf-8", "surrogatepass")):
        return False
    project = modules.project(path) if modules is not None else None
    if project is None or modules is None:
        return any(_names(each, path) for each in _plain_in_code(site.source.data))
    starts = project.once(starts_of)
    if starts is None or launched_by(site) is not None:
        return False
    importers = modules.importers(path)
    if importers is None:
        return starts.shown and not starts.launches  # anything may import the file
    entries = (path, *importers[1])
    if not starts.launching.isdisjoint(entries[1:]) or _imports_one(site, starts.launching):
        return False
    if starts.launches_others:
        return False
    if starts.launched or starts.told:
        return any(_names(each, entry) for each in starts.plain for entry in entries)
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
    if len(entries) == 1 or _PROGRAM in site.source.text:
        return True
    return any(_PROGRAM.encode() in project.content(each) for each in entries[1:])


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
        stmt in above.body and _PROGRAM in ast.unparse(above.test) for above, stmt in _conditions(site)
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
    starts = project.once(starts_of) if project is not None else None
    if starts is None or modules is None or not starts.launched:
        return None
    importers = None if is_in_the_program(site) else modules.importers(path)
    entries = (path, *importers[1]) if importers is not None else (path,)
    option = _option_around(site)
    for written, launched in starts.launched.items():
        if option is not None and not any(_may_set(option, each) for each in launched.arguments):
            continue
        if any(_may_name(written, entry) and _leads_to(site, entry, entries) for entry in entries):
            return launched
    return None


def starts_of(project: Project) -> Starts:
    """How the scripts of a project are started.

    Raises:
        TooLargeError: the project is too large to be searched.
    """
    plain: set[str] = set()
    launched: dict[str, Launched] = {}
    wrapped: dict[str, Launched] = {}
    launching: set[str] = set()
    others = told = shown = documented = False
    for path, data in project.texts():
        name = os.path.basename(path).lower()
        document = name.endswith(_DOCUMENTS) or name.startswith("readme")
        text = data.decode("utf-8", "replace")
        documented = documented or document
        shown = shown or occurs(_INTERACTIVE, text)
        told = told or (document and occurs(_TOLD, text))
        others = others or (name.endswith(_SETTINGS) and re.search(_SET, text) is not None)
        for line, command, in_code in start_commands.commands(text, document):
            found = re.search(_LAUNCHER, command)
            if found is None:
                plain |= set(start_commands.plainly_started(command))
                for script, program in start_commands.given_to_others(command) if in_code else ():
                    wrapped.setdefault(script, Launched(path, line, program))
                continue
            started = start_commands.script_in(
                rest := command[found.end() : found.end() + start_commands.MOST_OF_A_COMMAND]
            )
            options = rest if started is None else rest[: started.start()]
            if _starts_one(found[0], options, text):
                plain |= {start_commands.written(started)} if started is not None else set()
            elif started is not None:
                script = start_commands.written(started)
                known = launched.setdefault(script, Launched(path, line, " ".join(found[0].split())))
                more = (*known.arguments, rest[started.end() :])
                launched[script] = known._replace(arguments=more)
            elif document:
                told = True
            else:
                others = True
    for path, data in project.python():
        plain |= set(_plain_in_code(data))
        if _launches_in_code(data):
            launching.add(path)
            others = others or _runs_a_launcher(data)
    return Starts(
        frozenset(plain),
        launched,
        frozenset(launching),
        wrapped,
        others,
        told,
        shown or bool(plain),
        documented,
    )


def _starts_one(launcher: str, options: str, text: str) -> bool:
    """Whether a launcher starts a single process, by its options, or those of the SLURM job."""
    if launcher == "srun":
        jobs = [line for line in text.splitlines() if line.startswith("#SBATCH")]
        return not any(re.search(_TASKS, each) for each in (options, *jobs))
    return re.search(_ONE_PROCESS, options) is not None and re.search(_SEVERAL_NODES, options) is None


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


def _names(written: str, path: str) -> bool:
    """Whether a command that starts this script or module starts a file (an absolute path)."""
    parts = _parts(written)
    own = _parts_of(path)
    return bool(parts) and own[-len(parts) :] == parts


def _may_name(written: str, path: str) -> bool:
    """The same, also for a file of the same name in another folder."""
    return _parts(written)[-1:] == _parts_of(path)[-1:]


def _parts(written: str) -> list[str]:
    """The folders and the name in a command, without what a variable stands for."""
    if written.endswith(".py"):
        parts = [each for each in re.split(r"[/\\]", written[:-3]) if each not in ("", ".", "..", "~")]
    else:
        parts = written.split(".")
    unknown = [at for at, each in enumerate(parts) if "$" in each or "{" in each]
    if unknown:
        return parts[unknown[-1] + 1 :]
    return parts[-2:] if written.startswith(("/", "~")) else parts  # on another machine


def _parts_of(path: str) -> list[str]:
    parts = os.path.splitext(path)[0].split(os.sep)
    return parts[:-1] if parts[-1] in ("__main__", "__init__") else parts
