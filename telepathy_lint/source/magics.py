"""Hides IPython syntax in a notebook cell that is not Python: magics, shell lines, help requests."""

from __future__ import annotations

import ast
import re
import warnings

# Cell magics whose body is Python code for this kernel; all other `%%` cells are in another language.
_PYTHON_CELLS = r"%%(?:autopx|capture|debug|ipytest|lprun|memit|mprun|prun|px|scalene|snakeviz|time|timeit)\b"
# Databricks: cells in other languages. `%sql` is not included, because it is also a line magic of IPython.
_OTHER_CELLS = r"%(?:md|r|scala|sh)(?=\s|$)"
_SQL_CELLS = r"%sql(?=\s|$)"
# Magics that work without `%`, and shell aliases, if the line is not valid Python.
_AUTOMAGIC = (
    r"(?:alias|apt|apt-get|autoreload|bash|brew|cat|cd|clear|colors|conda|cp|dirs|env|export|git|less|load_ext|"
    r"ls|man|mamba|matplotlib|micromamba|mkdir|more|mv|nvidia-smi|pip|pip3|pwd|reload_ext|rm|rmdir|run|uv|wget)[ \t]+(?![=,:(\[{]|\.\w)\S"
)
_SUSPECT = rf"(?m)^[ \t]*(?:[%!?,;/]|{_AUTOMAGIC})|\?[ \t]*(?:#[^\n]*)?\r?$|=[ \t]*[!%]"
# All patterns match after the indentation: including it in the pattern would cause backtracking over the
# blanks.
_ESCAPE = r"%|!|\?|[,;/](?=[\w/])"
_HELP = r"[%\w.*\[\]\- =]+\?{1,2}[ \t]*(?:#.*)?$"
_TARGET = r"[\w.,\[\] \t*]+"
#: `x: list = !ls`, `(x) = !ls`, `if y: x = !ls`: a target where Python would take one.
_OTHER_TARGET = r"[\w.,\[\]() \t*:|'\"]+"
_MAGIC_VALUE = r"[ \t]*(?:!|%[a-zA-Z_])"
#: `%time model = load()` binds the name, like the statement without the magic. `%timeit` binds nothing.
_TIMED = r"([ \t]*)%time([ \t]+)(?=[^\s-])"
#: The replacement for `%time`, of the same width, and the mark at the end of its line.
_TIMED_AS, _TIMED_END = "if 1:", "timed"
#: Prompts that IPython removes from each line of a cell, if its first line has one.
_PROMPT = r"\s*(?:>>>(?:[ \t]|\r?$)|In \[\d+\]:[ \t])"
_LEXEME = (
    r"#[^\r\n]*|(?P<triple>\"\"\"|''')|\"(?:\\.|[^\"\\\r\n])*\"|'(?:\\.|[^'\\\r\n])*'"
    r"|(?P<open>[(\[{])|(?P<close>[)\]}])|(?P<continued>\\\r?\n)"
)


def hide_magics(text: str, marker: str, hidden: list[str]) -> str | None:
    """Return the cell as Python; None for a cell in another language or a session that was pasted with its prompts.

    A hidden line becomes one line that ends with `{marker} line N`; its text is stored in `hidden[N]`. `%time
    x = load()` becomes the statement after an `if` of the same width. `show_magics` reverses both.
    """
    if re.match(_PROMPT, text, re.MULTILINE):
        return None
    if not re.search(_SUSPECT, text) or _parses(text):
        return text  # `rm if x else (` may begin a statement of several lines
    lines = re.findall(r"[^\n]*\n|[^\n]+", text)
    # Colab allows comments, such as a form's title, above a cell magic.
    first = next(
        (number for number, line in enumerate(lines) if line.strip() and not line.startswith("#")), 0
    )
    if first < len(lines) and _is_of_another_language(lines[first:]):
        return None
    result: list[str] = []

    def hide(line: str, replacement: str) -> None:
        body = line.rstrip("\r\n")
        result.append(f"{replacement}{marker} line {len(hidden)}{line[len(body) :]}")
        hidden.append(body)

    if lines[first].startswith("%%"):
        if not re.match(_PYTHON_CELLS, lines[first]):
            return None
        result += lines[:first]
        hide(lines[first], "")
        lines[: first + 1] = []
    state = _State()
    for line in lines:
        if state.in_magic:
            hide(line, "")
            state.in_magic = line.rstrip("\r\n").endswith("\\")
        elif state.at_statement and (timed := _timed(line)) is not None:
            body = line.rstrip("\r\n")
            result.append(f"{timed}  {marker} {_TIMED_END}{line[len(body) :]}")
        elif state.at_statement and (replacement := _replacement(line)) is not None:
            hide(line, replacement)
            state.in_magic = line.rstrip("\r\n").endswith("\\")
        else:
            result.append(line)
            state.read(line)
    return "".join(result)


def show_magics(text: str, marker: str, hidden: list[str]) -> str:
    """Undo `hide_magics`, keeping the changes that were made to the Python code."""
    mark = re.escape(marker)
    text = re.sub(rf"[^\r\n]*{mark} line (\d+)", lambda found: hidden[int(found.group(1))], text)
    return re.sub(rf"(?m)^([ \t]*){_TIMED_AS}([^\r\n]*)  {mark} {_TIMED_END}(?=\r?$)", r"\1%time\2", text)


def _timed(line: str) -> str | None:
    """Convert `%time x = load()` to Python of the same width, if the rest is a statement that binds names."""
    body = line.rstrip("\r\n")
    found = re.match(_TIMED, body)
    if found is None or "=" not in body or not _parses(f"{_TIMED_AS} {body[found.end() :]}"):
        return None
    return f"{found[1]}{_TIMED_AS}{body[found.end(1) + len('%time') :]}"


def _is_of_another_language(lines: list[str]) -> bool:
    """Whether a cell of a Databricks notebook is in another language."""
    if re.match(_OTHER_CELLS, lines[0]):
        return True
    rest = "".join(lines[1:])
    return re.match(_SQL_CELLS, lines[0]) is not None and bool(rest.strip()) and not _parses(rest)


def _replacement(line: str) -> str | None:
    """The replacement for a line at the start of a statement that only IPython understands; None for Python."""
    body = line.rstrip("\r\n")
    code = body.lstrip(" \t")
    indent = body[: len(body) - len(code)]
    if re.match(_ESCAPE, code) or (re.match(_HELP, code) and not code.startswith("#")):
        return f"{indent}pass  "
    target, _, value = code.partition("=")
    target = target.rstrip(" \t")
    if re.match(_MAGIC_VALUE, value) and (
        re.fullmatch(_TARGET, target)
        or (re.fullmatch(_OTHER_TARGET, target) and _parses(f"{target.lstrip()} = 0"))
    ):
        # The name stays bound, to an unknown value.
        return f"{indent}{target} = get_ipython()  "
    if re.match(_AUTOMAGIC, body.strip()) and not _parses(body.strip()):
        return f"{indent}pass  "
    return None


def _parses(statement: str) -> bool:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            ast.parse(statement)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    return True


class _State:
    """Tracks whether the next line begins a statement, with a minimal part of Python's lexer."""

    def __init__(self) -> None:
        self.depth = 0
        self.quote = ""
        self.continued = False
        self.in_magic = False

    @property
    def at_statement(self) -> bool:
        return not (self.depth or self.quote or self.continued)

    def read(self, line: str) -> None:
        self.continued = False
        position = 0
        while position < len(line):
            if self.quote:
                position = self._string(line, position)
                continue
            found = re.compile(_LEXEME).search(line, position)
            if found is None:
                return
            position = found.end()
            if found["triple"]:
                self.quote = found["triple"]
            elif found["open"]:
                self.depth += 1
            elif found["close"]:
                self.depth = max(self.depth - 1, 0)
            elif found["continued"]:
                self.continued = True

    def _string(self, line: str, position: int) -> int:
        """The offset after the triple-quoted string, or after the line."""
        end = re.compile(rf"(?:\\.|[^\\])*?{self.quote}", re.DOTALL).match(line, position)
        if end is None:
            return len(line)
        self.quote = ""
        return end.end()
