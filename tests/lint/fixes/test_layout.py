"""The layout of a rewritten call: comments, blank lines, alignment, long lines."""

from __future__ import annotations

import pytest

from telepathy_lint import engine
from telepathy_lint import rules as registry
from telepathy_lint.settings import FixStyle, Settings
from telepathy_lint.source.text import Source

IMPORT = "from transformers import AutoModelForCausalLM\n"
NAME = "AutoModelForCausalLM.from_pretrained"
DEVICES = '    device_map="auto",\n'


def fixed(code: str, style: FixStyle = "loader") -> str:
    """The text below the imports after a fix."""
    source = Source("script.py", (IMPORT + code).encode())
    text = engine.fix(source, registry.select(None), Settings(fix_style=style), unsafe=True).text
    return "".join(line for line in text.splitlines(keepends=True) if not line.startswith("from "))


LAYOUTS = {
    "comments before commas": (
        'm = {}("x"  # id\n    , device_map="auto"  # where\n    # below\n    , revision="r" # rev\n)\n',
        'm = {}("x",  # id\n    # where\n    # below\n    revision="r" # rev\n)\n',
    ),
    "comments and blank lines": (
        """m = {}(

    # first
    "x",  # id

    # about the map
    device_map="auto",  # where

    # rev
    revision="r",
    # end
)
""",
        """m = {}(

    # first
    "x",  # id
    # about the map
    # where
    # rev
    revision="r",
    # end
)
""",
    ),
    "blank lines without comments": (
        'm = {}(\n\n    "x",\n\n    device_map="auto",\n\n    revision="r",\n\n    # end\n)\n',
        'm = {}(\n\n    "x",\n    revision="r",\n\n    # end\n)\n',
    ),
    "a comment behind the last argument": (
        'm = {}("x", revision="r",\n    device_map="auto"  # where\n    )\n',
        'm = {}("x", revision="r"\n    # where\n    )\n',
    ),
    "a comment behind an argument on the call's line": (
        'm = {}("x", device_map="auto",  # where\n    revision="r")\n',
        'm = {}("x",  # where\n    revision="r")\n',
    ),
    "a comment before the first argument": (
        'm = {}(  # why\n    device_map="auto",\n    pretrained_model_name_or_path="x",\n)\n',
        'm = {}(  # why\n    "x",\n)\n',
    ),
    "all on one line with a comma": ('m = {}("x", device_map="auto",)\n', 'm = {}("x")\n'),
    "a string of several lines": ('m = {}("""a\nb""", device_map="auto")\n', 'm = {}("""a\nb""")\n'),
    "a string of several lines, and a line break that goes": (
        'm = {}("""a\nb""",\n    device_map="auto")\n',
        'm = {}("""a\nb""")\n',
    ),
    "a string of several lines beside others": (
        'm = {}(\n    """a\nb""", revision="r",\n    device_map="auto"\n)\n',
        'm = {}(\n    """a\nb""", revision="r"\n)\n',
    ),
    "line breaks before commas": (
        'm = {}("""a\nb"""\n    , revision="r"\n    , device_map="auto")\n',
        'm = {}("""a\nb""", revision="r")\n',
    ),
    "a comment behind what stays, in the last gap": (
        'm = {}("x",  # id\n    device_map="auto")\n',
        'm = {}("x"  # id\n    )\n',
    ),
    "a comment above what goes, in the last gap": (
        'm = {}("x",\n    # why\n    device_map="auto")\n',
        'm = {}("x"\n    # why\n    )\n',
    ),
    "the end of the file": (
        'm = {}(\n    "x", revision="r",\n    device_map="auto"\n)',
        'm = {}("x", revision="r")',
    ),
    "aligned": (
        'm = {}("x",\n{space}device_map="auto",\n{space}# a\n{space}revision="r",\n   # b\n{space}use_cache=True)\n',
        'm = {}("x",\n{space}# a\n{space}revision="r",\n   # b\n{space}use_cache=True)\n',
    ),
    "one argument left": ('m = {}(\n    "x",\n    device_map="auto"\n)\n', 'm = {}("x")\n'),
    "one argument left, with a comma": ('m = {}(\n    "x",\n    device_map="auto",\n)\n', 'm = {}("x")\n'),
    "two arguments left": (
        'm = {}(\n    "x", revision="r",\n    device_map="auto"\n).to(y)\n',
        'm = {}("x", revision="r").to(y)\n',
    ),
    "two arguments left, with a comma": (
        'm = {}(\n    "x", revision="r",\n    device_map="auto",\n)\n',
        'm = {}(\n    "x", revision="r",\n)\n',
    ),
}


@pytest.mark.parametrize(("before", "after"), LAYOUTS.values(), ids=list(LAYOUTS))
def test_layout_is_kept(before: str, after: str) -> None:
    old, new = (
        text.replace("{}", name).replace("{space}", " " * (5 + len(name)))
        for text, name in ((before, NAME), (after, "load_model"))
    )
    assert fixed(old) == new
    assert fixed(new) == new


def test_newlines_of_comments_are_kept() -> None:
    code = f'm = {NAME}("x",\r\n    device_map="auto", # a\r\n    # b\r\n    revision="r")\r\n'
    source = Source("script.py", (IMPORT.replace("\n", "\r\n") + code).encode())
    text = engine.fix(source, registry.select(None), Settings(), unsafe=True).text
    assert text.endswith('m = load_model("x",\r\n    # a\r\n    # b\r\n    revision="r")\r\n')


def test_a_chain_over_several_lines_is_one_call() -> None:
    code = """\
m = (AutoModelForCausalLM
     .from_pretrained("x",
                      device_map="auto",
                      # why
                      revision="r",
                      use_cache=True)
     .eval())
"""
    assert (
        fixed(code)
        == """\
m = (load_model("x",
                # why
                revision="r",
                use_cache=True)
     .eval())
"""
    )
    inline = fixed(code.replace('device_map="auto"', "load_in_8bit=False"), "inline")
    assert inline.startswith(
        'm = (AutoModelForCausalLM\n     .from_pretrained("x",\n                      torch_dtype='
    )


def wide(before: str, argument: str, behind: str, width: int) -> str:
    """A result of one line that is so many characters wide."""
    return argument * (width - len(f'{before}load_model("", revision="r"){behind}'))


@pytest.mark.parametrize("behind", ["", ".to(device)", "; y = 1"])
@pytest.mark.parametrize("before", ["m = ", "    return "])
def test_arguments_are_joined_up_to_what_formatters_allow(before: str, behind: str) -> None:
    head = "def f():\n" if before.startswith(" ") else ""
    for width, joined in ((87, True), (88, True), (89, False)):
        name = wide(before, "x", behind, width)
        code = f'{head}{before}{NAME}(\n    "{name}",\n    device_map="auto",\n    revision="r"\n){behind}\nz = 1\n'
        text = fixed(code)
        assert text.startswith(f'{head}{before}load_model("{name}", revision="r")') == joined, width
        assert len(text.splitlines()) == len(head.splitlines()) + (2 if joined else 5)


def test_one_argument_may_fill_a_line() -> None:
    for width, joined in ((99, True), (100, True), (101, False)):
        name = "x" * (width - len('m = load_model("")'))
        text = fixed(f'm = {NAME}(\n    "{name}",\n    device_map="auto",\n)\n')
        assert text == (f'm = load_model("{name}")\n' if joined else f'm = load_model(\n    "{name}",\n)\n')


@pytest.mark.parametrize(
    ("indent", "step"), [("", "    "), ("    ", "    "), ("\t", "\t"), ("\f    ", "    ")]
)
def test_a_call_is_broken_up_where_its_line_gets_too_long(indent: str, step: str) -> None:
    head = "if x:\n" if indent else ""
    inner = indent.lstrip("\f")
    for width, broken in ((99, False), (100, False), (101, True)):
        name = "x" * (width - len(f'{indent}m = load_model("", device_map=None, revision="r")'))
        one_line = f'{head}{indent}m = load_model("{name}", device_map=None, revision="r")\n'
        lines = (
            f'{head}{indent}m = load_model(\n{inner}{step}"{name}",\n{inner}{step}device_map=None,\n'
            f'{inner}{step}revision="r",\n{inner})\n'
        )
        assert fixed(f'{head}{indent}m = {NAME}("{name}", revision="r")\n') == (lines if broken else one_line)


def test_every_line_of_a_call_counts() -> None:
    name = "x" * 70
    wanted = f'm = load_model(\n    "{name}",\n    device_map=None,\n    revision="r",\n)\n'
    assert fixed(f'm = {NAME}(\n    "{name}", revision="r")\n') == wanted


def test_a_call_of_one_argument_is_not_broken_up() -> None:
    name = "x" * 110
    assert fixed(f'm = {NAME}("{name}", device_map="auto")\n') == f'm = load_model("{name}")\n'


def test_a_line_that_was_too_long_before_stays() -> None:
    name = "x" * 90
    code = f'm = {NAME}("{name}", revision="r", use_auth_token=True)\n'
    source = Source("script.py", (IMPORT + code).encode())
    text = engine.fix(source, registry.select(["TLP107"]), Settings(), unsafe=True).text
    assert text == IMPORT + code.replace("use_auth_token", "token")


@pytest.mark.parametrize(
    ("given", "after"),
    [
        ("()", '(torch_dtype="bfloat16")'),
        ('("x")', '("x", torch_dtype="bfloat16")'),
        ('("x",)', '("x", torch_dtype="bfloat16")'),
        ('("x", revision="r")', '("x", torch_dtype="bfloat16", revision="r")'),
        ('(revision="r", config=c)', '(revision="r", torch_dtype="bfloat16", config=c)'),
        ('("x", c, revision="r")', '("x", c, torch_dtype="bfloat16", revision="r")'),
        ('("x", **common())', '("x", **common())'),
        ('(\n    "x"  # id\n)', '(\n    "x",  # id\n    torch_dtype="bfloat16"\n)'),
        ('(\n    "x",  # id\n)', '(\n    "x",  # id\n    torch_dtype="bfloat16",\n)'),
        ('(\n    "x",\n    # end\n)', '(\n    "x",\n    # end\n    torch_dtype="bfloat16",\n)'),
        ('("x"  # id\n)', '("x",  # id\ntorch_dtype="bfloat16"\n)'),
        ('("x",\n  revision="r")', '("x",\n  torch_dtype="bfloat16",\n  revision="r")'),
        ('("x",  # id\n\n  # rev\n  revision="r")', '("x",  # id\n  torch_dtype="bfloat16",\n\n  # rev\n  revision="r")'),
        ('(\n    "x", revision="r",\n    use_cache=True)', '(\n    "x", torch_dtype="bfloat16", revision="r",\n    use_cache=True)'),
    ],
)  # fmt: skip
def test_arguments_are_added_as_their_neighbours_are(given: str, after: str) -> None:
    source = Source("script.py", f"{IMPORT}m = {NAME}{given}\n".encode())
    text = engine.fix(source, registry.select(["TLP102"]), Settings(fix_style="inline"), unsafe=True).text
    assert text == f"{IMPORT}m = {NAME}{after}\n"
