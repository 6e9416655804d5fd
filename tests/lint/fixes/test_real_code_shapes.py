"""Properties of the fix that hold whatever the code looks like.

The sources are the fixtures and programs that hypothesis composes of the shapes seen in real experiment code: every way to
import, to call, to lay out and to place a load. The main property is metamorphic: with T a change of how the text is
stored or laid out (CRLF, a byte order mark, another encoding ...), `fix(T(source)) == T(fix(source))`.
"""

from __future__ import annotations

import ast
import itertools
import re
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from telepathy_lint import engine
from telepathy_lint.rule import Rule
from telepathy_lint.rules import all_rules, select
from telepathy_lint.settings import Settings
from telepathy_lint.source.text import Source

FIXTURES = Path(__file__).resolve().parents[3] / "fixtures"
FILES = sorted(
    path
    for path in [*FIXTURES.glob("experiments/**/*.py"), *FIXTURES.glob("rules/*/*.py")]
    if not path.name.endswith(".fixed.py")
)
#: A fix there takes out a name that only the fixed call read, which tests/lint/fixes/test_planner.py is about.
WITH_LEFTOVERS = {"rules/TLP101/bad_names.py"}
ALONE = [path for path in FILES if path.relative_to(FIXTURES).as_posix() not in WITH_LEFTOVERS]
#: The rules whose fix is the rewrite of the load; others may change what stands around it, and have tests of their own.
LOADS = tuple(rule for rule in all_rules() if rule.meta.setting is not None)
EXAMPLES = settings(
    max_examples=60, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow]
)


LOADER, INLINE = Settings(fix_style="loader"), Settings(fix_style="inline")
STYLES = st.sampled_from([LOADER, INLINE])


def fix(
    data: bytes,
    rules: tuple[Rule, ...] | None = None,
    unsafe: bool = True,
    how: Settings = LOADER,
) -> bytes:
    source = Source("script.py", data)
    fixed = engine.fix(source, rules if rules is not None else all_rules(), how, unsafe=unsafe)
    return source.with_text(fixed.text).data


@cache
def fix_as_stored(data: bytes) -> bytes:
    """`fix(data)`, once for all ways to store it."""
    return fix(data)


# ---- how a text can be stored and laid out


def crlf(data: bytes) -> bytes:
    return data.replace(b"\n", b"\r\n")


def carriage_returns(data: bytes) -> bytes:
    return data.replace(b"\n", b"\r")


def byte_order_mark(data: bytes) -> bytes:
    return b"\xef\xbb\xbf" + data


def latin_1(data: bytes) -> bytes:
    text = data.decode("utf-8").encode("latin-1", "replace").decode("latin-1")
    return f"# -*- coding: latin-1 -*-\n# Größe, café\n{text}".encode("latin-1")


def no_final_newline(data: bytes) -> bytes:
    return data.rstrip(b"\n")


def form_feed_lines(data: bytes) -> bytes:
    return re.sub(rb"^(?=def |class )", b"\x0c\n", data, flags=re.MULTILINE)


def glued_form_feeds(data: bytes) -> bytes:
    return re.sub(rb"^(?=def |class )", b"\x0c", data, flags=re.MULTILINE)


def odd_line_separators(data: bytes) -> bytes:
    """Characters that str.splitlines takes for line ends and Python does not."""
    return "# \x85 \u2028 \u2029 \x1c \x0b 🤗\nODD = '\x85 \u2028'\n".encode() + data


def trailing_blanks(data: bytes) -> bytes:
    return re.sub(rb"^(def .*|class .*|[a-z]\w* = \d+)$", rb"\1  \t", data, flags=re.MULTILINE)


def many_blank_lines(data: bytes) -> bytes:
    return b"\n \n\t\n" + data + b"\n\n   \n"


TRANSFORMATIONS: dict[str, Callable[[bytes], bytes]] = {
    each.__name__: each
    for each in (
        crlf,
        carriage_returns,
        byte_order_mark,
        latin_1,
        no_final_newline,
        form_feed_lines,
        glued_form_feeds,
        odd_line_separators,
        trailing_blanks,
        many_blank_lines,
    )
}


def ways(paths: list[Path]) -> list[Any]:
    """Each file with each way to store it. Of the files that slow tests read, each has half of the ways, in turn."""
    found = []
    for index, path in enumerate(paths):
        for number, name in enumerate(TRANSFORMATIONS):
            # In pairs, because a rule's good and bad files often stand in turn.
            rest = pytest.mark.exhaustive if (index + index // 2 + number) % 2 else pytest.mark.slow
            found.append(
                pytest.param(
                    path, name, id=f"{path.relative_to(FIXTURES)}-{name}", marks=rest if index % 8 else ()
                )
            )
    return found


@pytest.mark.parametrize(("path", "name"), ways(FILES))
def test_files_are_fixed_alike_however_they_are_stored(path: Path, name: str) -> None:
    data = path.read_bytes()
    transform = TRANSFORMATIONS[name]
    if name == "latin_1":
        data = data.decode("utf-8").encode("ascii", "replace")
    if name == "carriage_returns" and re.search(rb"^\s*#.*coding", data, re.MULTILINE):
        pytest.skip("a cookie in a file of one line as Python's cookie reader sees it")
    assert fix(transform(data)) == transform(fix_as_stored(data))


# ---- programs

IMPORTS = (
    "from transformers import AutoModelForCausalLM, AutoTokenizer, AutoModel, LlamaForCausalLM",
    "from transformers import (\n    AutoModel,\n    AutoModelForCausalLM,  # the model\n    AutoTokenizer,\n    LlamaForCausalLM,\n)",
    "import transformers\nfrom transformers import AutoModel, AutoTokenizer, LlamaForCausalLM, AutoModelForCausalLM",
    "try:\n    from transformers import AutoModel, AutoModelForCausalLM, AutoTokenizer, LlamaForCausalLM\nexcept ImportError:\n    raise",
    "import os\nos.environ['CUDA_VISIBLE_DEVICES'] = '0'\nfrom transformers import AutoModelForCausalLM, AutoModel\n"
    "from transformers import AutoTokenizer, LlamaForCausalLM  # noqa: E402",
    "import transformers as AutoModels\nAutoModel = AutoModels.AutoModel\nAutoModelForCausalLM = AutoModels.AutoModelForCausalLM\n"
    "from transformers import AutoTokenizer, LlamaForCausalLM",
)
CLASSES = ("AutoModelForCausalLM", "AutoModel", "LlamaForCausalLM", "AutoTokenizer", "peft.PeftModel")
IDS = (
    '"gpt2"',
    "NAME",
    "pretrained_model_name_or_path=NAME",
    'f"{NAME}"',
    '("meta-llama/"\n     "Llama-3.2-1B")',
)
ARGUMENTS = (
    'device_map="auto"',
    "device_map={'': 0}",
    "device_map = None",
    "torch_dtype=torch.float16",
    "torch_dtype=torch.bfloat16",
    "dtype='auto'",
    "attn_implementation='sdpa'",
    "trust_remote_code=True",
    "max_memory={0: '10GiB',\n      'cpu': '20GiB'}",
    "**COMMON",
    "**make()",
    "revision=('ma' 'in')",
    "use_cache=(lambda: True)()",
)
COMMENTS = ("", "  # kept", "  # é ünï 🤗", "  # noqa: E501", "  # type: ignore")
LAYOUTS = ("one line", "hanging", "hanging without comma", "aligned", "own lines of comments")
PLACES = (
    "{name} = {call}",
    "{name} = {call}.eval()",
    "{name} = [{call} for _ in range(2)]",
    "{name}, other = {call}, 1",
    "if NAME: {name} = {call}",
    "x = 1; {name} = {call}; y = 2",
    "def f_{name}():\n    return {call}",
    "class C_{name}:\n    def __init__(self):\n        self.{name} = {call}",
    "def g_{name}(model={call}):\n\tyield model",
    "{name} = lambda: {call}",
    "print('ü 🤗', {call}, sep='')",
    "with torch.no_grad():\n\t{name} = {call}",
    "{name} = peft.PeftModel.from_pretrained({call}, 'adapter')",
    "async def h_{name}():\n    return await run({call})",
    "assert {call} is not None, 'ß'",
    "{name}: object = {call}",
    "try:\n    {name} = {call}\nfinally:\n    pass",
)


@st.composite
def calls(draw: Any) -> str:
    callee = draw(st.sampled_from(CLASSES))
    arguments = [draw(st.sampled_from(IDS))]
    arguments += draw(
        st.lists(st.sampled_from(ARGUMENTS), max_size=4, unique_by=lambda one: one.split("=")[0].strip())
    )
    names = [one.partition("=")[0].strip() for one in arguments]
    if "dtype" in names and "torch_dtype" in names:
        arguments.pop(names.index("dtype"))
    arguments.sort(key=lambda one: one.startswith("**"))
    comments = [draw(st.sampled_from(COMMENTS)) for _ in arguments]
    layout = draw(st.sampled_from(LAYOUTS))
    if layout == "one line":
        return f"{callee}.from_pretrained({', '.join(arguments)})"
    if layout == "aligned":
        return f"{callee}.from_pretrained({(',' + chr(10) + '            ').join(arguments)})"
    lines = []
    for index, (argument, comment) in enumerate(zip(arguments, comments, strict=True)):
        if layout == "own lines of comments":
            lines.append(f"        # about {index}")
        last = index + 1 == len(arguments)
        comma = "" if last and layout == "hanging without comma" else ","
        lines.append(f"        {argument}{comma}{comment}")
    return f"{callee}.from_pretrained(\n" + "\n".join(lines) + "\n    )"


@st.composite
def programs(draw: Any) -> bytes:
    parts = ['"""A script."""', "import torch, peft", draw(st.sampled_from(IMPORTS)), "", "NAME = 'gpt2'"]
    parts += ["COMMON = {'device_map': 'auto'}", "make = run = dict", ""]
    for index in range(draw(st.integers(1, 4))):
        place = draw(st.sampled_from(PLACES))
        parts.append(place.format(name=f"v{index}", call=draw(calls())))
        parts += [""] * draw(st.integers(0, 2))
    text = "\n".join(parts) + "\n"
    ast.parse(text)
    return text.encode()


@EXAMPLES
@given(
    programs(),
    st.lists(
        st.sampled_from(sorted(set(TRANSFORMATIONS) - {"latin_1"})), min_size=1, max_size=3, unique=True
    ),
    STYLES,
)
def test_programs_are_fixed_alike_however_they_are_stored(
    data: bytes, names: list[str], how: Settings
) -> None:
    # Newlines and the mark come last: the other changes are written for plain text.
    order = ("crlf", "carriage_returns", "byte_order_mark")
    chosen = [name for name in names if name not in order] + [name for name in order if name in names]
    if "crlf" in chosen and "carriage_returns" in chosen:
        chosen.remove("carriage_returns")

    def transform(one: bytes) -> bytes:
        for name in chosen:
            one = TRANSFORMATIONS[name](one)
        return one

    assert fix(transform(data), how=how) == transform(fix(data, how=how))


@EXAMPLES
@given(programs(), STYLES)
def test_a_second_fix_changes_nothing(data: bytes, how: Settings) -> None:
    for unsafe in (False, True):
        once = fix(data, unsafe=unsafe, how=how)
        assert fix(once, unsafe=unsafe, how=how) == once
    ast.parse(once.decode())


@EXAMPLES
@given(programs(), st.randoms(use_true_random=False))
def test_the_order_of_the_rules_does_not_matter(data: bytes, random: Any) -> None:
    shuffled = list(all_rules())
    random.shuffle(shuffled)
    assert fix(data, tuple(shuffled)) == fix(data)
    source = Source("script.py", data)
    assert engine.lint(source, shuffled, Settings()) == engine.lint(source, all_rules(), Settings())


@EXAMPLES
@given(programs(), st.sets(st.sampled_from([rule.meta.code for rule in LOADS]), min_size=1), STYLES)
def test_nothing_outside_the_reported_calls_and_imports_changes(
    data: bytes, codes: set[str], how: Settings
) -> None:
    check_surroundings(data, select(sorted(codes)), how)


@pytest.mark.parametrize("path", ALONE, ids=lambda path: str(path.relative_to(FIXTURES)))
def test_nothing_outside_the_reported_calls_and_imports_changes_in(path: Path) -> None:
    check_surroundings(path.read_bytes(), LOADS)
    for rule in LOADS:
        check_surroundings(path.read_bytes(), (rule,))


def check_surroundings(data: bytes, rules: tuple[Rule, ...], how: Settings = LOADER) -> None:
    """The text between reported calls and transformers' imports stands in the result, byte for byte and in order."""
    source = Source("script.py", data)
    after = fix(data, rules, how=how).decode()
    if (
        "telepathy_runtime" not in source.text
    ):  # the import of the loader stands in front of a try that imports transformers, or of a sorted import
        after = re.sub(
            r"(?m)^[ \t]*from telepathy_runtime import [^\n]*\n(?=[ \t]*try:|(?:from|import) (?!transformers|torch\b))",
            "",
            after,
        )
    spans = []
    for found in engine.lint(source, rules, how):
        if found.site is not None and found.fix is not None:
            span, starts = found.site.span, source.line_starts
            spans.append(
                (starts[span.line - 1] + span.column - 1, starts[span.end_line - 1] + span.end_column - 1)
            )
    if not spans:
        assert after == source.text
        return
    for node in ast.walk(source.tree):
        if isinstance(node, (ast.Import, ast.ImportFrom)) and Masked.IMPORTED.search(ast.unparse(node)):
            spans.append((source.start_of(node), source.end_of(node)))
    for stmt in leftovers(Masked().visit(ast.parse(source.text))):  # with their lines, where they go
        spans.append((source.line_starts[stmt.lineno - 1], source.end_of(stmt) + 1))
    pieces, position = [], 0
    for start, end in sorted(spans):
        if start >= position:
            pieces.append(source.text[position:start])
        position = max(position, end)
    pieces.append(source.text[position:])
    assert after.startswith(pieces[0])
    assert len(after) - len(after.rstrip("\n")) == len(source.text) - len(source.text.rstrip("\n"))
    cursor = len(pieces[0])
    for piece in pieces[1:]:
        cursor = behind(after, piece, cursor)
    assert after.endswith(pieces[-1]) or after.endswith(pieces[-1].partition("\n")[2])  # noqa: PIE810


def behind(after: str, piece: str, cursor: int) -> int:
    """Where `piece` ends in the result, at or behind `cursor`.

    A line may have been added behind the line on which it begins, and where a whole import went, so did its newline.
    """
    first, newline, rest = piece.partition("\n")
    found = after.find(piece, cursor)
    if found >= 0:
        return found + len(piece)
    if first or not newline:
        found = after.find(first + newline, cursor)
        assert found >= 0, piece
        cursor = found + len(first + newline)
    found = after.find(rest, cursor)
    assert found >= 0, piece
    return found + len(rest)


class Masked(ast.NodeTransformer):
    """Puts a mark in the place of every load, and drops what the fixes import and add."""

    LOADERS = re.compile(
        r"(?:.*\.)?(?:from_pretrained|(?:runtime_)?load_(?:model|tokenizer)(?:_\d)?|pipeline)$"
    )
    #: What the fixes import, and what they no longer read: its import goes where nothing else reads it.
    MODULES = ("transformers", "telepathy_runtime", "torch", "os")
    IMPORTED = re.compile(r"\b(?:transformers|telepathy_runtime|torch|os)\b")

    def visit_Call(self, node: ast.Call) -> ast.AST:
        if self.LOADERS.match(ast.unparse(node.func).replace("\n", "")):
            return ast.copy_location(ast.Name("LOAD", ast.Load()), node)
        return self.generic_visit(node)

    def visit_Import(self, node: ast.Import) -> ast.AST | None:
        return None if node.names[0].name in self.MODULES else node

    def visit_ImportFrom(self, node: ast.ImportFrom) -> ast.AST | None:
        return None if node.module in self.MODULES else node

    def visit_Assign(self, node: ast.Assign) -> ast.AST | None:
        return None if ".pad_token = " in ast.unparse(node) else self.generic_visit(node)

    def visit_Expr(self, node: ast.Expr) -> ast.AST | None:
        return None if ast.unparse(node).startswith("apply_generation_config(") else self.generic_visit(node)


def leftovers(tree: ast.AST) -> list[ast.Assign]:
    """The assignments of one name each that nothing but loads reads, or other such assignments: they may go with the call."""
    found: list[ast.Assign] = []
    while True:
        gone = {id(node) for stmt in found for node in ast.walk(stmt)}
        read = {
            node.id
            for node in ast.walk(tree)
            if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load) and id(node) not in gone
        }
        more = [
            node
            for node in ast.walk(tree)
            if isinstance(node, ast.Assign)
            and id(node) not in gone
            and len(node.targets) == 1
            and isinstance(node.targets[0], ast.Name)
            and node.targets[0].id not in read
            and not any(isinstance(each, ast.Name) and each.id == "LOAD" for each in ast.walk(node.value))
        ]
        if not more:
            return found
        found += more


class WithoutLeftovers(ast.NodeTransformer):
    def __init__(self, gone: list[ast.Assign]) -> None:
        self.gone = {id(stmt) for stmt in gone}

    def visit_Assign(self, node: ast.Assign) -> ast.AST | None:
        return None if id(node) in self.gone else node


def masked(data: bytes) -> str:
    tree = Masked().visit(ast.parse(data))
    return ast.dump(WithoutLeftovers(leftovers(tree)).visit(tree))


@EXAMPLES
@given(programs(), STYLES)
def test_the_tree_outside_the_loads_stays_the_same(data: bytes, how: Settings) -> None:
    assert masked(fix(data, LOADS, how=how)) == masked(data)


@pytest.mark.parametrize("path", ALONE, ids=lambda path: str(path.relative_to(FIXTURES)))
def test_the_tree_outside_the_loads_stays_the_same_in(path: Path) -> None:
    assert masked(fix(path.read_bytes(), LOADS)) == masked(path.read_bytes())


@EXAMPLES
@given(programs(), st.integers(1, 5))
def test_lines_above_move_findings_and_nothing_else(data: bytes, lines: int) -> None:
    before = engine.lint(Source("script.py", data), all_rules(), Settings())
    after = engine.lint(Source("script.py", b"# \xc3\xa9\n" * lines + data), all_rules(), Settings())
    assert [(one.line + lines, one.column, one.code) for one in before] == [
        (one.line, one.column, one.code) for one in after
    ]


def test_no_finding_no_change() -> None:
    """Without a finding the bytes are the same, whatever they are."""
    for piece, transform in itertools.product(
        (b"x = 1\n", b"", b"# only a comment"), TRANSFORMATIONS.values()
    ):
        data = transform(piece)
        assert fix(data) == data
