"""Random programs that build a dict: the model's contents, compared with running the program on all paths."""

from __future__ import annotations

import ast
import os
import sys
from typing import Any

import pytest
from hypothesis import HealthCheck, assume, example, given, settings
from hypothesis import strategies as st

from telepathy_lint.flow.contents import Change, Effect
from telepathy_lint.flow.evaluate import Evaluator
from telepathy_lint.flow.tree import Context, Tree
from telepathy_lint.flow.value import Value
from telepathy_lint.source.text import Source
from tests.lint.flow.dict_programs import UNSEEN, outcomes

#: More, in a longer campaign: `DICT_EXAMPLES=20000 pytest tests/lint/flow/test_dict_flow.py`.
EXAMPLES = int(os.environ.get("DICT_EXAMPLES", "60"))
KEYS = ("a", "b", "c")
READ = 'AutoModel.from_pretrained("x", **cfg)'

# ---- programs

_keys = st.sampled_from([repr(key) for key in KEYS])
_values = st.sampled_from(["1", "2", "3", "pick()"])
_displays = st.dictionaries(_keys, _values, max_size=3).map(
    lambda items: "{" + ", ".join(f"{key}: {value}" for key, value in items.items()) + "}"
)
#: One statement, and whether what it does is told exactly by joining key by key.
_EXACT = st.one_of(
    st.builds("cfg[{}] = {}".format, _keys, _values),
    st.builds("cfg.pop({}, None)".format, _keys),
    st.builds("cfg.setdefault({}, {})".format, _keys, _values),
    st.builds("cfg.update({})".format, _displays),
    st.builds("cfg |= {}".format, _displays),
    st.builds("cfg = {}".format, _displays),
    st.just("cfg.clear()"),
    st.just("print(cfg)"),
)
_OTHER = st.one_of(
    st.builds("cfg = {{**cfg, **{}}}".format, _displays),
    st.builds("cfg = dict(cfg, a={})".format, _values),
    st.builds("other[{}] = {}".format, _keys, _values),
    st.builds("cfg[name()] = {}".format, _values),
    st.builds("cfg[{} if maybe() else {}] = {}".format, _keys, _keys, _values),
    st.builds("cfg.pop({} if maybe() else {}, None)".format, _keys, _keys),
    st.builds("cfg = {{{} if maybe() else {}: {}}}".format, _keys, _keys, _values),
    st.builds("cfg[{}] = cfg.get({}, {})".format, _keys, _keys, _values),
    st.builds("if {} not in cfg:\n    cfg[{}] = {}".format, _keys, _keys, _values),
    st.builds("(cfg := {})".format, _displays),
    st.sampled_from(
        [
            "cfg.update(hidden())", "cfg |= hidden()", "cfg = hidden()", "cfg = {**hidden(), **cfg}", "cfg = cfg | hidden()",
            "fill(cfg)", "other = cfg", "cfg = other", "cfg = cfg.copy()", "other = dict(cfg)", "other.update(cfg)",
            "risky()", "cfg.popitem()", "del cfg['a']", "for k, v in hidden().items():\n    cfg[k] = v", "look(cfg)", "put(cfg)",
            "cfg = make()", "cfg = {k: v for k, v in cfg.items() if v is not None}", "box = [cfg]", "box[0]['a'] = 1",
            "cfg['b'], rest = 2, 3", "change()", "del cfg", "cfg = None", "cfg = cfg or {}",
        ]
    ),
)  # fmt: skip
_JUMPS = st.sampled_from(["break", "continue", "return", "raise ValueError"])


def _indented(block: list[str]) -> str:
    return "\n".join(f"    {line}" for stmt in block or ["pass"] for line in stmt.split("\n"))


def _compound(simple: st.SearchStrategy[str], jumps: bool) -> st.SearchStrategy[str]:
    def extend(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
        block = st.lists(inner, max_size=3).map(_indented)
        shapes = [
            st.builds("if maybe():\n{}".format, block),
            st.builds("if maybe():\n{}\nelse:\n{}".format, block, block),
            st.builds("if maybe():\n{}\nelif maybe():\n{}\nelse:\n{}".format, block, block, block),
            st.builds(
                "match number():\n    case 0:\n{}\n    case _:\n{}".format,
                block.map(_deeper),
                block.map(_deeper),
            ),
            st.builds("for _ in some():\n{}".format, block),
        ]
        if jumps:
            shapes += [
                st.builds("for _ in some():\n{}\nelse:\n{}".format, block, block),
                st.builds("while few():\n{}\nelse:\n{}".format, block, block),
                st.builds("while True:\n    if not few():\n        break\n{}".format, block),
                st.builds("try:\n{}\nexcept ValueError:\n{}".format, block, block),
                st.builds("try:\n{}\n    risky()\n{}\nexcept ValueError:\n{}".format, block, block, block),
                st.builds(
                    "try:\n{}\nexcept ValueError:\n{}\nelse:\n{}\nfinally:\n{}".format,
                    block,
                    block,
                    block,
                    block,
                ),
                st.builds("try:\n{}\nfinally:\n{}".format, block, block),
            ]
        return st.one_of(shapes)

    return st.recursive(simple, extend, max_leaves=7)


def _deeper(block: str) -> str:
    return "\n".join(f"    {line}" for line in block.split("\n"))


def _program(block: list[str], *, inner: bool = True) -> str:
    helpers = "def look(d):\n    return len(d)\ndef put(d):\n    d['a'] = 3\ndef make():\n    if maybe():\n        return {'a': 1}\n    return {'b': 2}\n"
    start = "    cfg = {'a': 1}\n    other = {'b': 2}\n    box = []\n"
    if inner:
        start += "    def change():\n        cfg['c'] = 1\n"
    return f"{helpers}def run():\n{start}{_indented([*block, READ])}\nrun()\n"


EXACT = st.lists(_compound(_EXACT, jumps=False), min_size=1, max_size=4)
ANY = st.lists(_compound(st.one_of(_EXACT, _OTHER, _JUMPS), jumps=True), min_size=1, max_size=4)


# ---- the model


def content_of(code: str) -> tuple[Effect, Evaluator]:
    """The contents, according to the model, of the dict that the load gets."""
    tree = Tree(Source("x.py", code.encode()))
    lines = [index for index, line in enumerate(code.split("\n"), 1) if "from_pretrained" in line]
    calls = [
        node
        for node in tree.visit(lines)
        if isinstance(node, ast.Call) and getattr(node.func, "attr", "") == "from_pretrained"
    ]
    evaluator = Evaluator(tree)
    call = calls[-1]
    context: Context = tree.context_of(call)
    return evaluator.dicts.content(call.keywords[-1].value, context), evaluator


def possible(change: Change, evaluator: Evaluator) -> set[Any]:
    """The possible values of a key according to the model: constants, `...` for none, UNSEEN for anything else."""
    found = {
        value.data if isinstance(value, Value) and value.kind == "const" else UNSEEN
        for value in evaluator.dicts.values(change)
    }
    return found | ({...} if change.absent else set())


def allowed(block: list[str], *, inner: bool = True) -> str:
    code = _program(block, inner=inner)
    try:
        compile(code, "x.py", "exec")  # a break outside loops, a global after its use
    except SyntaxError:
        assume(False)
    return code


def real(code: str) -> dict[str, set[Any]]:
    """The values of each key over all runs; none if the load is never reached."""
    try:
        saw = outcomes(code, "a", lambda named, _: dict(named))
    except AssertionError:  # too many ways
        assume(False)
    assume(saw)
    return {key: {each.get(key, ...) for each in saw} for key in KEYS}


SLOW = settings(
    max_examples=EXAMPLES,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)


@given(ANY)
@example(["other = cfg\ncfg['a'] = 1\nother['a'] = 2"])
@example(["other = cfg\ncfg['a'] = 2\nother.clear()"])
@example(["cfg = other\ncfg['a'] = 1\nother['a'] = 2"])
@example(
    ["other = cfg\nfor _ in some():\n    if maybe():\n        other['a'] = 2\n    else:\n        cfg.clear()"]
)
@example(
    [
        "for _ in some():\n    if maybe():\n        other['a'] = 2\n    else:\n        other = cfg\n        cfg.clear()"
    ]
)
@SLOW
def test_what_the_model_rules_out_never_happens(block: list[str]) -> None:
    code = allowed(block)
    happened = real(code)
    content, evaluator = content_of(code)
    for key, values in happened.items():
        told = possible(content.under(key), evaluator)
        # An unseen part may be any value; that a key is missing has to be said.
        missed = {each for each in values - told if each is ... or UNSEEN not in told}
        assert not missed, f"{code}\n{key}: the model says {told}, the runs show {values}"


@given(EXACT)
@SLOW
def test_what_branches_and_loops_write_is_told_exactly(block: list[str]) -> None:
    code = allowed(block, inner=False)
    happened = real(code)
    content, evaluator = content_of(code)
    for key, values in happened.items():
        told = possible(content.under(key), evaluator)
        assert told == values, f"{code}\n{key}: the model says {told}, the runs show {values}"


@given(ANY, st.integers(0, 3))
@SLOW
def test_one_more_way_takes_nothing_back(block: list[str], at: int) -> None:
    """If a statement may be skipped, everything that was possible is still possible."""
    code = allowed(block)
    stmt = block[at % len(block)]
    assume(
        not any(
            word in stmt
            for word in ("return", "raise", "break", "continue", "def ", "del cfg", "None", "cfg :=")
        )
    )
    skipped = [*block]
    skipped[at % len(block)] = f"if maybe():\n{_indented([stmt])}"
    before, first = content_of(code)
    after, second = content_of(allowed(skipped))
    for key in KEYS:
        less = possible(before.under(key), first) - possible(after.under(key), second)
        assert UNSEEN in possible(after.under(key), second) or not less - {UNSEEN}, f"{code}\n{key}: {less}"


# ---- cost

_KINDS = {
    "keys of their own": lambda n: "".join(f"    if x{i}:\n        cfg['k{i}'] = {i}\n" for i in range(n)),
    "one key": lambda n: "".join(f"    if x{i}:\n        cfg['k'] = {i}\n" for i in range(n)),
    "elif": lambda n: "    if x:\n        pass\n" + "".join(f"    elif x{i}:\n        cfg['k{i}'] = {i}\n" for i in range(n)),
    "updates": lambda n: "".join(f"    if x{i}:\n        cfg.update(k{i}={i})\n" for i in range(n)),
    "in a try": lambda n: "    try:\n" + "".join(f"        cfg['k{i}'] = f({i})\n" for i in range(n)) + "    except E:\n        pass\n",
    "in a loop": lambda n: "    for x in y:\n" + "".join(f"        if x{i}:\n            cfg['k{i}'] = {i}\n" for i in range(n)),
    "loops": lambda n: "".join(f"    for x in y{i}:\n        cfg['k{i}'] = x\n" for i in range(n)),
    "bindings": lambda n: "".join(f"    if x{i}:\n        cfg = {{'k': {i}}}\n" for i in range(n)),
    "read by one another": lambda n: "".join(f"    if x{i}:\n        cfg['k{i + 1}'] = cfg['k{i}']\n" for i in range(n)),
}  # fmt: skip


def calls(code: str) -> int:
    """The number of functions that the model calls to read the dict: times on busy machines are unreliable."""
    count = 0

    def counted(frame: object, event: str, argument: object) -> None:
        nonlocal count
        count += event in ("call", "c_call")

    sys.setprofile(counted)
    try:
        content_of(code)
    finally:
        sys.setprofile(None)
    return count


@pytest.mark.slow
@pytest.mark.parametrize("kind", _KINDS)
def test_the_cost_of_a_join_does_not_grow_with_the_branches(kind: str) -> None:
    def code(n: int) -> str:
        return f"def run(x, y):\n    cfg = {{'a': 1, 'k0': 0}}\n{_KINDS[kind](n)}    {READ}\n"

    calls(code(4))  # what is imported once
    few, some = calls(code(40)), calls(code(400))
    assert some < 13 * few
    if kind != "elif":  # Python's own parser gives up on so many
        assert calls(code(4000)) < 13 * some


def test_forty_conditional_writes_are_told_exactly() -> None:
    writes = "".join(f"    if x{i}:\n        cfg['k{i}'] = {i}\n" for i in range(40))
    content, evaluator = content_of(f"def run(x):\n    cfg = {{'a': 1}}\n{writes}    {READ}\n")
    assert not content.open
    assert possible(content.under("a"), evaluator) == {1}
    for index in range(40):
        assert possible(content.under(f"k{index}"), evaluator) == {index, ...}
    assert possible(content.under("b"), evaluator) == {...}
