"""Decides whether code that this Python cannot parse is a mistake of its author, or no finding: it is then only noted."""

from __future__ import annotations

import ast
import os
import re
import sys

from telepathy_lint.facts.out_of_use import is_for_trying, is_kept
from telepathy_lint.sites import Modules
from telepathy_lint.source.notebook_json import code_cells, parsed, was_run
from telepathy_lint.source.text import SourceError

#: Folders of texts that need not be programs: data, what a model wrote, and templates.
_NO_PROGRAMS = r"(?i)data|datasets?|(?:.*[_-])?generated(?:[_-].*)?|(?:.*[_-])?(?:samples|templates?|snippets)|cookiecutter.*|testdata"
#: Words of a sentence, in any language.
_WORDS = r"[^\W\d_]+[,;:]?[ \t]+[^\W\d_]+[,;:]?[ \t]+[^\W\d_]+"
#: A line that may be code with a mistake: it begins like a statement, calls or indexes something, or assigns.
_LIKE_CODE = r"\s*(?:def|class|for|while|if|elif|else|try|except|with|return|from|import)\b|\s*[%!@#]|\s*[A-Za-z_][\w.]*\s*(?:[(\[=]|[-+*/]=)"
#: A place for the reader's code, in an exercise, or for a value that was blanked out.
_TO_FILL = (
    r"(?i)\s*(?:your|insert|fill|write|add|put|enter|complete|replace)\b(?:[ \t]+[\w'`-]+){1,9}[ \t.!:]*$"
    r"|\s*[a-z_][\w.]*[ \t]*=[ \t]*(?:#.*)?$"
)
#: A line that ends after the dot of an attribute (`model = HookedTransformer.`): somebody looked at what the editor offers to complete it.
_UNFINISHED = (
    r"\s*(?:[\w, ]+=|from|import|for\s[\w, ]+\sin|if|while|return)?\s*[A-Za-z_][\w.]*\.[ \t]*[:)]?[ \t]*$"
)
#: A line of a notebook in a script: a command of the shell, or a magic.
_OF_A_NOTEBOOK = r"\s*(?:!|%%?)\s?[A-Za-z]"
#: A command of pip that Colab runs without a mark, and what Colab writes at the top of a notebook that it exports as a script.
_COMMAND = r"\s*(?:pip3?|conda|apt(?:-get)?)[ \t]+(?:-\w+[ \t]+)*(?:install|uninstall)\b"
_FROM_COLAB = b"colab.research.google.com/"
_LINES_OF_THE_HEAD = 12
_PLACEHOLDER = r"\{\{|\}\}|\{%|<%|<<<<<<<|>>>>>>>"
#: Definitions with type parameters and aliases, which Python 3.12 has introduced.
_OF_3_12 = r"\s*(?:type\s+\w+\s*(?:\[.*\])?\s*=|(?:async\s+)?def\s+\w+\[|class\s+\w+\[)"
#: A string literal with a field that its quote or the line's end cuts off: Python 3.12 reads both.
_OPEN_FIELD = r"""\b(?:[fF][rR]?|[rR][fF])(["'])(?:\{\{|\{[^{}]*\}|(?!\1)[^{}])*\{(?:(?!\1)[^{}])*(?:\1|$)"""


def is_no_finding(path: str, data: bytes, error: SourceError, modules: Modules | None) -> bool:
    """Whether a file or cell that cannot be read is no mistake in a program.

    It may be an old version, data or a template. The syntax may be newer than this Python; the file may be the cells of a notebook; and a notebook's cell may
    be a scrap that was never run, or one whose saved output is the error, or in a notebook for trying things (`test.ipynb`).
    """
    if "syntax error" not in error.message:
        return error.cell < 0 and _is_no_program(path, modules)
    line = _line(data, error) if error.cell < 0 else ""
    return (
        (error.cell >= 0 and (is_for_trying(path) or _is_a_scrap(data, error)))
        or _is_newer(error, line)
        or re.search(_PLACEHOLDER, line) is not None
        or (error.cell < 0 and _is_of_a_notebook(line, data))
        or _is_no_program(path, modules)
    )


def _line(data: bytes, error: SourceError) -> str:
    lines = data.decode("utf-8", "replace").splitlines()
    return lines[error.line - 1] if error.line <= len(lines) else ""


def _is_of_a_notebook(line: str, data: bytes) -> bool:
    """Whether a line of a script is a command of the notebook that it was exported from."""
    if re.match(_OF_A_NOTEBOOK, line) is not None:
        return True
    head = data.split(b"\n", _LINES_OF_THE_HEAD)[:_LINES_OF_THE_HEAD]
    return re.match(_COMMAND, line) is not None and any(_FROM_COLAB in each for each in head)


def _is_newer(error: SourceError, line: str) -> bool:
    if sys.version_info >= (3, 12):
        return False
    return (
        "f-string" in error.message
        or ("unterminated string" in error.message and re.search(_OPEN_FIELD, line) is not None)
        or re.match(_OF_3_12, line) is not None
    )


def _is_no_program(path: str, modules: Modules | None) -> bool:
    project = modules.project(path) if modules is not None else None
    if project is None:
        return False
    if is_kept(path, project):
        return True
    folders = os.path.relpath(os.path.abspath(path), project.root).split(os.sep)[:-1]
    return any(re.fullmatch(_NO_PROGRAMS, each) for each in folders)


def _is_prose(text: str) -> bool:
    """Whether no line of a cell is a statement that does something: it holds notes, or what somebody has pasted."""
    if re.search(_WORDS, text) is None:
        return False
    for line in text.splitlines():
        try:
            found = ast.parse(line.strip().rstrip(":"))
        except (SyntaxError, ValueError):
            if re.match(_LIKE_CODE, line) is not None:
                return False
            continue
        if any(not isinstance(each, ast.Expr) or isinstance(each.value, ast.Call) for each in found.body):
            return False
    return True


def _is_to_fill(lines: list[str], at: int) -> bool:
    """Whether a line is a place to fill in; what is indented behind it would be its value."""
    if at >= len(lines) or re.match(_TO_FILL, lines[at]) is None:
        return False
    return at + 1 == len(lines) or lines[at + 1][:1] not in (" ", "\t")


def _is_a_scrap(data: bytes, error: SourceError) -> bool:
    """Whether a cell was never run although others were, failed with this error, or is for a newer Python than this one.

    Or it is an exercise, with a place for the reader's code, or its author stopped in the middle of a name.
    """
    number = error.cell
    notebook = parsed(data)
    metadata = notebook.get("metadata")
    info = metadata.get("language_info") if isinstance(metadata, dict) else None
    version = re.match(r"(\d+)\.(\d+)", str(info.get("version"))) if isinstance(info, dict) else None
    if version is not None and (int(version[1]), int(version[2])) > sys.version_info[:2]:
        return True
    cells = code_cells(data)
    if number >= len(cells):
        return False
    source = cells[number].get("source", "")
    text = "".join(source)
    lines = text.splitlines()
    at = error.line - 1
    if (
        _is_prose(text)
        or _is_to_fill(lines, at)
        or (at < len(lines) and re.match(_UNFINISHED, lines[at]) is not None)
    ):
        return True
    outputs = cells[number].get("outputs")
    errors = (
        [each.get("ename") for each in outputs if isinstance(each, dict)] if isinstance(outputs, list) else []
    )
    if any(each in ("SyntaxError", "IndentationError", "TabError") for each in errors):
        return True
    return not was_run(cells[number]) and any(map(was_run, cells))
