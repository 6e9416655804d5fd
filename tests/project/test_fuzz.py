"""Real files with random changes, linted and fixed.

A seed gives the same programs on every machine. `-m exhaustive` runs many more, and hypothesmith's programs if it is
installed.
"""

from __future__ import annotations

import ast
import io
import random
import re
import tokenize
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings

from telepathy_lint.rules import all_rules
from telepathy_lint.run.lint_file import lint_file
from telepathy_lint.run.options import Task
from telepathy_lint.run.selection import FilePlan
from telepathy_lint.settings import Settings
from tests.lint.fixes.test_real_code_shapes import INLINE, LOADER, LOADS, check_surroundings, masked

FIXTURES = Path(__file__).resolve().parents[2] / "fixtures"
FILES = sorted(
    path
    for path in [*FIXTURES.glob("experiments/**/*.py"), *FIXTURES.glob("rules/*/*.py")]
    if not path.name.endswith(".fixed.py")
)
_WORD = re.compile(r"\b[a-z_]\w{2,}\b")


# ---- changes; each takes a text and gives one that may no longer be Python


def _tokens(text: str) -> list[tuple[int, int]]:
    """The positions of the text's tokens, as far as possible."""
    starts = [0]
    for line in io.StringIO(text, newline=""):
        starts.append(starts[-1] + len(line))
    found = []
    try:
        for token in tokenize.generate_tokens(io.StringIO(text, newline="").readline):
            if token.string.strip():
                first, last = token.start, token.end
                found.append((starts[first[0] - 1] + first[1], starts[last[0] - 1] + last[1]))
    except (tokenize.TokenError, SyntaxError, IndexError):
        pass
    return found or [(0, len(text))]


def drop_token(text: str, chance: random.Random) -> str:
    start, end = chance.choice(_tokens(text))
    return text[:start] + text[end:]


def double_token(text: str, chance: random.Random) -> str:
    start, end = chance.choice(_tokens(text))
    return f"{text[:end]} {text[start:]}"


def swap_tokens(text: str, chance: random.Random) -> str:
    tokens = _tokens(text)
    (a, b), (c, d) = sorted((chance.choice(tokens), chance.choice(tokens)))
    return text if b > c else text[:a] + text[c:d] + text[b:c] + text[a:b] + text[d:]


def _calls(text: str) -> list[ast.Call]:
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError):
        return []
    return [node for node in ast.walk(tree) if isinstance(node, ast.Call) and text.isascii()]


def _offset(text: str, line: int, column: int) -> int:
    return sum(len(each) for each in re.split(r"(?<=\n)|(?<=\r)(?!\n)", text)[: line - 1]) + column


ARGUMENTS = (
    "*args", "**kwargs", "**{'dtype': 'auto', **more}", "device_map='auto'", "device_map={'': 0}", "dtype=torch.float16",
    "torch_dtype=None", "attn_implementation=x if x else 'eager'", "generation_config=config", "config=config",
    "model_id", "'gpt2'", "pretrained_model_name_or_path='gpt2'", "load_in_8bit=True", "pad_token='<pad>'",
    "do_sample=False", "(y := 1)", "lambda: 0", "use_auth_token=(True)", "f'{x!r:>{y}}'", "trust_remote_code=True",
    "AutoModel.from_pretrained('é')", "revision=AutoTokenizer.from_pretrained('gpt2', use_fast=False).name", "(x for x in y)", "device_map=(\n\n # c\n 'auto'\n)", "revision='main' # c\n", "low_cpu_mem_usage=True,",
)  # fmt: skip


def splice_argument(text: str, chance: random.Random) -> str:
    calls = _calls(text)
    if not calls:
        return text
    call = chance.choice([each for each in calls if "pretrained" in ast.unparse(each.func)] or calls)
    assert call.end_lineno is not None and call.end_col_offset is not None
    given = [*call.args, *(keyword.value for keyword in call.keywords)]
    place = _offset(text, call.end_lineno, call.end_col_offset) - 1
    if given and chance.random() < 0.5:
        node = chance.choice(given)
        place = _offset(text, node.lineno, node.col_offset)
        while place and text[place - 1] not in ",(":
            place -= 1
        return f"{text[:place]}{chance.choice(ARGUMENTS)}, {text[place:]}"
    comma = ", " if given and not text[:place].rstrip().endswith(",") else ""
    return f"{text[:place]}{comma}{chance.choice(ARGUMENTS)}{text[place:]}"


WRAPPERS = ("'🤗é', {}", "é = {}, AutoModel.from_pretrained('x', device_map='auto')", "({})", "[{}][0]", "{}.eval()", "lambda: {}", "f'{{{}}}'", "await {}", "(z := {})", "{} if z else None",
            "*{}", "not {}", "{}[0]", "x.y({}, z={})", "(yield {})", "{{**{}}}", "print({}); 1", "{} # noqa: TLP102\n")  # fmt: skip


def wrap_call(text: str, chance: random.Random) -> str:
    calls = _calls(text)
    if not calls:
        return text
    call = chance.choice(calls)
    assert call.end_lineno is not None and call.end_col_offset is not None
    start = _offset(text, call.lineno, call.col_offset)
    end = _offset(text, call.end_lineno, call.end_col_offset)
    return text[:start] + chance.choice(WRAPPERS).replace("{}", text[start:end]) + text[end:]


def rename_word(text: str, chance: random.Random) -> str:
    words = sorted(set(_WORD.findall(text)))
    if not words:
        return text
    old, new = chance.choice(words), chance.choice(words)
    if chance.random() < 0.5:
        return re.sub(rf"\b{old}\b", new, text)
    place = chance.choice([match.span() for match in re.finditer(rf"\b{old}\b", text)])
    return text[: place[0]] + new + text[place[1] :]


def move_line(text: str, chance: random.Random) -> str:
    lines = text.splitlines(keepends=True) or [""]
    line = lines.pop(chance.randrange(len(lines)))
    lines.insert(chance.randrange(len(lines) + 1), line)
    return "".join(lines)


def shift_block(text: str, chance: random.Random) -> str:
    """Move some lines into a block."""
    lines = text.splitlines(keepends=True) or [""]
    first = chance.randrange(len(lines))
    last = min(len(lines), first + chance.randint(1, 12))
    step = chance.choice(("    ", "\t", " ", "  \f"))
    indent = lines[first][: len(lines[first]) - len(lines[first].lstrip())]
    head = chance.choice(
        ("if z:", "try:", "with z:", "def z():", "class Z:", "for z in z:", "async def z():", "while z:")
    )
    tail = f"{indent}finally: pass\n" if head == "try:" else ""
    block = "".join(step + line for line in lines[first:last])
    return "".join([*lines[:first], f"{indent}{head}\n{block}{tail}", *lines[last:]])


ODD = ("\f", "\t", "\r", "\r\n", "\\\n", "\\\r\n", "\x0b", "\x85", "\u2028", "\ufeff", "# noqa\n", "# noqa: TLP101,TLP1",
       "# telepathy-lint: disable=TLP102\n", "# telepathy-lint: enable\n", "# flake8: noqa: TLP104\n", "é", "🤗", "'''", '"', ";",
       "# type: ignore", "from transformers import *\n", "import telepathy_runtime\n", "load_model = 1\n", "\0", "del transformers\n",
       "from __future__ import annotations\n", "global model\n", "match z:\n case AutoModel(): pass\n", "type X = int\n")  # fmt: skip


def put_odd(text: str, chance: random.Random) -> str:
    start, end = chance.choice(_tokens(text))
    place = chance.choice((start, end))
    if chance.random() < 0.5:
        place = text.rfind("\n", 0, place) + 1
    return text[:place] + chance.choice(ODD) + text[place:]


def newlines(text: str, chance: random.Random) -> str:
    return text.replace("\n", chance.choice(("\r\n", "\r", "\n\n", "\n\f")))


CHANGES: tuple[Callable[[str, random.Random], str], ...] = (
    drop_token, double_token, swap_tokens, splice_argument, splice_argument, splice_argument, wrap_call, wrap_call,
    rename_word, move_line, shift_block, put_odd, put_odd, newlines,
)  # fmt: skip
COOKIES = (b"", b"", b"", b"# coding: latin-1\n", b"# -*- coding: cp1252 -*-\n", b"\xef\xbb\xbf", b"# coding: utf-16\n",
           b"#!/usr/bin/env python\n# vim: set fileencoding=utf-8 :\n", b"# coding: shift_jis\n", b"# coding: what\n")  # fmt: skip


def program(seed: int, files: list[Path] = FILES) -> bytes:
    """A real file after one to five changes, preferably ones after which it is valid Python."""
    chance = random.Random(seed)
    text = chance.choice(files).read_text(encoding="utf-8", errors="replace")[:20_000]
    for _ in range(chance.randint(1, 5)):
        for _ in range(4):
            changed = chance.choice(CHANGES)(text, chance)
            if is_python(changed.encode("utf-8", "replace")):
                break
        text = changed
    cookie = chance.choice(COOKIES)
    return cookie + text.encode("latin-1" if b"latin" in cookie else "utf-8", "replace")


def is_python(data: bytes) -> bool:
    try:
        ast.parse(data)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    return True


# ---- what holds for all of them


def check(data: bytes) -> None:
    for style in (LOADER, INLINE):
        linted = lint_file(
            FilePlan("x.py", all_rules(), style, Task(edits="all", unused_noqa=True, lines=True)), data
        )
        for task in (Task(fix=True), Task(fix=True, unsafe=True, unused_noqa=True)):
            fixed = lint_file(FilePlan("x.py", all_rules(), style, task), data)
            # A file that only our reading of a NUL or of its encoding refuses is said to be that.
            for failure in (*linted.failures, *fixed.failures):
                assert not re.search("itself failed|crashed|would break|did not settle", failure.message), (
                    failure
                )
            if fixed.output is None:
                continue
            assert is_python(fixed.output) or not is_python(data)
            again = lint_file(FilePlan("x.py", all_rules(), style, task), fixed.output)
            assert again.output is None or again.output == fixed.output
    check_the_rest(data)


def check_the_rest(data: bytes) -> None:
    """Everything outside the loads and their imports is unchanged, as bytes and as a tree."""
    result = lint_file(FilePlan("x.py", LOADS, Settings(), Task(fix=True, unsafe=True)), data)
    if result.output is None or re.search(rb"^[^\n]*\n?[^\n]*coding", data) or data.startswith(b"\xef"):
        return
    assert masked(result.output) == masked(data)
    if b"\r" not in data:
        check_surroundings(data, LOADS)


@pytest.mark.parametrize("first", range(0, 100, 10))
def test_changed_files(first: int) -> None:
    for seed in range(first, first + 10):
        check(program(seed))


@pytest.mark.exhaustive
@pytest.mark.parametrize("first", range(1_000, 11_000, 100))
def test_many_changed_files(first: int) -> None:
    for seed in range(first, first + 100):
        check(program(seed))


@pytest.mark.exhaustive
def test_programs_of_hypothesmith() -> None:
    hypothesmith = pytest.importorskip("hypothesmith")
    head = "from transformers import AutoModel\nm = AutoModel.from_pretrained('gpt2', device_map='auto')\n"

    @settings(max_examples=500, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
    @given(hypothesmith.from_node())
    def holds(code: str) -> None:
        check(code.encode("utf-8", "replace"))
        check((head + code).encode("utf-8", "replace"))

    holds()
