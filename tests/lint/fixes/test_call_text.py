"""The text of a changed call, for any white space, comments and parentheses between its arguments."""

from __future__ import annotations

import ast
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from telepathy_lint.findings.change import Change
from telepathy_lint.fixes.call_text import changed
from telepathy_lint.flow.file import File
from telepathy_lint.settings import Settings
from telepathy_lint.sites import Site
from telepathy_lint.sites.loads import loads
from telepathy_lint.source.prefilter import CodeWords
from telepathy_lint.source.text import Source

HEAD = "from transformers import AutoModel\n"
GAPS = st.lists(
    st.sampled_from(["", " ", "  ", "\t", "\n", "\n    ", "\\\n ", " # note {}\n", "\n  # (note, {}\n  "]),
    max_size=3,
).map("".join)
VALUES = st.sampled_from(
    ['"auto"', "(1)", "((f)(x))", "[a, b]", "x if (y) else (z)", '"#("', "{'a': (1, 2)}"]
)
POSITIONAL = st.sampled_from(['"x"', '("x")', "( ('x') )", "(\n  name  # id {}\n)", "cfg['(']", "(yes := 1)"])
SPREADS = st.sampled_from(["**kw", "** (kw)", "**{'a': 1}"])


def load(code: str) -> Site:
    source = Source("script.py", (HEAD + code).encode())
    file = File(source, Settings(), None, CodeWords(source.text))
    (site,) = loads(file)
    return site


def call_of(text: str) -> ast.Call:
    node = ast.parse(f"({text})", mode="eval").body
    assert isinstance(node, ast.Call)
    return node


@st.composite
def calls(draw: st.DrawFn) -> tuple[str, list[str]]:
    names = draw(
        st.lists(st.sampled_from(["device_map", "revision", "token", "dtype"]), unique=True, max_size=4)
    )
    parts = [draw(POSITIONAL)]
    parts += [f"{name}{draw(GAPS)}={draw(GAPS)}{draw(VALUES)}" for name in names]
    parts += draw(st.lists(SPREADS, max_size=1))
    text = ",".join(draw(GAPS) + part + draw(GAPS) for part in parts)
    end = draw(st.sampled_from(["", ",", ",\n"]))
    func = draw(
        st.sampled_from(
            ["AutoModel.from_pretrained", "(AutoModel.from_pretrained)", "(AutoModel).from_pretrained "]
        )
    )
    count = iter(range(100))
    whole = re.sub(r"\{\}", lambda _: str(next(count)), f"m = {func}({text}{end})\n")
    return whole, names


def comments(text: str) -> list[str]:
    return re.findall(r"#[ (]+note, \d+|# note \d+|# id \d+", text)


@settings(max_examples=100, deadline=None)
@given(calls(), st.data())
def test_a_change_keeps_all_other_arguments_and_all_comments_between_them(
    call: tuple[str, list[str]], data: st.DataObject
) -> None:
    code, names = call
    site = load(code)
    before = call_of(site.text)
    removed = data.draw(st.lists(st.sampled_from(names), unique=True)) if names else []
    left = [name for name in names if name not in removed]
    replaced = data.draw(st.lists(st.sampled_from(left), unique=True)) if left else []
    change = Change(
        func=data.draw(st.sampled_from([None, "load_model"])),
        removed=tuple(removed),
        replaced=tuple((name, "new(1)") for name in replaced),
        added=(("added", "None"),) if data.draw(st.booleans()) else (),
    )
    text = changed(site, change)
    assert text is not None
    after = call_of(text)
    assert [ast.dump(each) for each in after.args] == [ast.dump(each) for each in before.args]
    expected = {each.arg: ast.unparse(each.value) for each in before.keywords if each.arg not in removed}
    expected.update(dict.fromkeys(replaced, "new(1)"))
    expected.update(dict(change.added))
    assert {each.arg: ast.unparse(each.value) for each in after.keywords} == expected
    assert ast.unparse(after.func) == (change.func or "AutoModel.from_pretrained")
    # Comments inside a removed or replaced argument go with it.
    inside = "".join(
        ast.get_source_segment(f"({site.text})", each) or ""
        for each in before.keywords
        if each.arg in (*removed, *replaced)
    )
    assert [each for each in comments(site.text) if each not in comments(inside)] == [
        each for each in comments(text) if each not in comments(inside)
    ]


@pytest.mark.parametrize("newline", ["\n", "\r\n", "\r"])
def test_other_line_breaks_stay(newline: str) -> None:
    code = 'm = AutoModel.from_pretrained(\n    "x",  # a\n    token=1,\n    device_map="auto",  # b\n)\n'
    source = Source("script.py", (HEAD + code).replace("\n", newline).encode())
    (site,) = loads(File(source, Settings(), None, CodeWords(source.text)))
    text = changed(site, Change(removed=("token",), added=(("revision", '"r"'),)))
    expected = '(\n    "x",  # a\n    revision="r",\n    device_map="auto",  # b\n)'
    assert text == "AutoModel.from_pretrained" + expected.replace("\n", newline)


def test_a_generator_has_the_parentheses_of_its_call() -> None:
    site = load("m = AutoModel.from_pretrained(x for x in names)\n")
    assert changed(site, Change(added=(("revision", "None"),))) is None
