"""Reads the commands in documents, scripts and settings: which script each starts, and by which program."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from itertools import islice

from telepathy_lint.source.occurs import places

#: Commands that start a script or an application as one process.
_PLAIN = (
    r"(?<![\w.-])(?:python[\d.]*|ipython3?|\$\{?PYTHON\}?|\$\(PYTHON\)|(?:uv|poetry|pipenv|pdm|hatch|conda)[ \t]+run"
    r"|streamlit[ \t]+run|chainlit[ \t]+run|modal[ \t]+run|gradio|uvicorn|gunicorn)[ \t]"
)
#: What a command starts, behind its options: a module, a script, or a variable with one.
_STARTED = r"[ \t]-m[ \t]+(?P<module>[\w.]+)|(?P<script>[\w./\\${}()~-]{1,200}\.py\b)"
#: One of these is in each line that may hold a command: a script, or a part of the name of a program that starts one.
_IN_COMMANDS = r"\.py|run|python|PYTHON|launch|deepspeed|composer|mpiexec|gradio|icorn"
#: Characters behind the first word of a command in which its script is looked for.
MOST_OF_A_COMMAND = 600
#: Commands that are read in one part of a line.
_MOST_COMMANDS = 20
_VARIABLE = r"[ \t]*[\"']?\$[{(]?\w+"
#: Modules of other packages, and scripts that install.
TOOLS = (
    r"(?:pip|venv|virtualenv|pytest|unittest|build|twine|ipykernel|spacy|nltk|http|pdb|json|black|flake8|isort|mypy|coverage|ruff"
    r"|ensurepip|sphinx|playwright|pre_commit|bitsandbytes|torch|cProfile|timeit|compileall|setup\.py)\b.*"
)
#: What stands before a command: a prompt, a key of a settings file, a variable, or a program that starts one process.
_BEFORE = (
    r"(?:[>@%!-]+[ \t]*|[$(](?![\w({])[ \t]*|[\w./-]+:(?=[ \t])|[A-Za-z_]\w*=(?:\"[^\"]*\"|'[^']*'|\S*)"
    r"|(?:env|nohup|time|sudo|exec|command|then|do|else|if|while|CMD|RUN|ENTRYPOINT|nice|ionice|timeout|stdbuf|taskset|xvfb-run"
    r"|(?:ba|z|da)?sh[ \t]+-\w*c|(?:docker|podman)[ \t]+(?:run|exec)\b.*?(?=[ \t]python)|screen|tmux|caffeinate|numactl)\b(?:[ \t]+-\S+(?:[= \t]\d\S*)?)*(?:[ \t]+\d+\w?\b)?)"
    r"[ \t]*[\"']?"
)
#: Programs that are given a script and do not run it.
_READERS = (
    r"(?:cat|less|more|head|tail|vim?|nano|emacs|code|open|cp|mv|rm|ls|ln|cd|chmod|touch|git|diff|wc|grep|rg|sed|awk|find|curl|wget|echo"
    r"|printf|mkdir|tar|zip|unzip|scp|rsync|tee|tree|stat|file|test|export|source|COPY|ADD|pytest|ruff|black|flake8|isort|mypy|pyright"
    r"|pylint|autopep8|autoflake|yapf|bandit|coverage|pre-commit|jupytext|dos2unix|telepathy-lint|telepathy-runtime)\b|\["
)
#: Not a branch of a drawn tree, and not the first word of a sentence.
_PROGRAM_NAME = r"(?a:(?![A-Z][a-z]*\Z)[\"'$({./~]*[A-Za-z][\w./${}()\"'+-]*)"
#: The text of a condition around what only runs if its file is started itself.
PROGRAM = "__main__"
_DOCUMENTS = (".md", ".rst")
_SCRIPT = r"[\w./\\${}()~-]{1,200}\.py\b"


def is_document(path: str) -> bool:
    """Whether a file is a README or another document, in which commands stand between sentences."""
    name = os.path.basename(path).lower()
    return name.endswith(_DOCUMENTS) or name.startswith("readme")


def commands(text: str, document: bool, words: str = _IN_COMMANDS) -> Iterator[tuple[int, str, bool]]:
    """The number and text of each line with one of the words, in parts; lines that continue are joined.

    The third says whether the part is surely code, as in a script, or between the backticks of a document.
    """
    if "\r" in text:
        text = text.replace("\r\n", "\n").replace("\r", "\n")
    text = text.rstrip("\\\n")  # a backslash at the end continues nothing
    found = sorted(places(words, text))
    if not found:
        return
    fences = [*_fences(text), len(text)] if document else [len(text)]
    fence, number, done = 0, 1, 0
    for at in found:
        if at < done:
            continue
        begin, end = _whole_line(text, at)
        number += text.count("\n", done, end)
        done = end
        while fences[fence] < end:
            fence += 1
        whole = text[begin:end].replace("\\\n", " ")
        of_code = not document or fence % 2 == 1 or whole.startswith(("    ", "\t", "$ "))
        # A list of the parts of a command: CMD ["python", "app.py"]
        whole = re.sub(r"[\"'],[ \t]*[\"']", " ", whole)
        for odd, quoted in enumerate(whole.split("`")):
            for part in re.split(r"&&|;|\|", quoted):
                if part.strip():
                    yield number, part, of_code or odd % 2 == 1


def _whole_line(text: str, at: int) -> tuple[int, int]:
    """Where the line around an offset begins and ends, with the lines that a backslash joins to it."""
    begin = text.rfind("\n", 0, at) + 1
    while begin > 0 and text.endswith("\\", 0, begin - 1):
        begin = text.rfind("\n", 0, begin - 1) + 1
    end = text.find("\n", at)
    while end > 0 and text[end - 1] == "\\":
        end = text.find("\n", end + 1)
    return begin, end if end >= 0 else len(text)


def _fences(text: str) -> list[int]:
    """The offsets at which a block of code in a document begins or ends."""
    return [
        at for at in sorted(places("```|~~~", text)) if not text[text.rfind("\n", 0, at) + 1 : at].strip()
    ]


def given_to_others(command: str) -> Iterator[tuple[str, str]]:
    """The scripts in a command that a program other than Python gets, each with the program: `runner -n 4 train.py`.

    A script that another script gets is among them: `python launch.py train.py`.
    """
    if ".py" not in command or command.lstrip().startswith(("#", "//")):
        return
    bare = re.sub(rf"\A[ \t]*(?:{_BEFORE}[ \t]*)*", "", command)[:MOST_OF_A_COMMAND]
    if re.match(_READERS, bare) is not None:
        return
    scripts = list(islice(re.finditer(_SCRIPT, bare), _MOST_COMMANDS))
    plain = re.match(_PLAIN, bare)
    if plain is None:
        scripts = [each for each in scripts if each.start() > 0]  # itself a program: ./train.py
    elif scripts:
        module = re.match(
            r"(?:[ \t]*-[^m\s]\S*)*[ \t]+-m[ \t]+(\S+)", bare[plain.end() - 1 : scripts[0].start()]
        )
        if module is None:
            scripts = scripts[1:]
        elif re.fullmatch(TOOLS, module[1]):
            return
    program = bare.split(None, 1)[0] if scripts else ""
    if re.fullmatch(_PROGRAM_NAME, program):
        for each in scripts:
            yield each[0], program


def script_in(rest: str) -> re.Match[str] | None:
    return re.search(_STARTED, rest)


def written(started: re.Match[str]) -> str:
    return str(started["module"] or started["script"])


def plainly_started(command: str) -> Iterator[str]:
    """The script or module that a command starts as one process."""
    for found in islice(re.finditer(_PLAIN, command), _MOST_COMMANDS):
        rest = command[found.end() - 1 : found.end() + MOST_OF_A_COMMAND]
        started = script_in(rest)
        if started is not None:
            if not re.fullmatch(TOOLS, written(started)):
                yield written(started)
        elif (variable := re.match(_VARIABLE, rest)) is not None:
            yield variable[0].strip(" \t\"'")


def names(written: str, path: str) -> bool:
    """Whether a command that starts this script or module starts a file (an absolute path)."""
    parts = _parts(written)
    own = _parts_of(path)
    return bool(parts) and own[-len(parts) :] == parts


def may_name(written: str, path: str) -> bool:
    """The same, also for a file of the same name in another folder."""
    return has_name(written, last_name(path))


def has_name(written: str, name: str) -> bool:
    """Whether the last part of a script or module in a command is a name."""
    return _parts(written)[-1:] == [name]


def last_name(path: str) -> str:
    """The name by which a command starts a file: that of the module, or that of the folder of a package."""
    return "".join(_parts_of(path)[-1:])


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
