"""The limits of the rewrite: calls that do not change, statements that cannot be added, the messages of fixes."""

from __future__ import annotations

from inspect import signature

import pytest

import telepathy_runtime
from telepathy_lint import engine
from telepathy_lint import rules as registry
from telepathy_lint.fixes.loader_call import OF_THE_LOADER
from telepathy_lint.settings import FixStyle, Settings
from telepathy_lint.source.text import Source

HEAD = "import torch\nfrom transformers import AutoModel, AutoModelForCausalLM, AutoTokenizer, LlamaForCausalLM\n"
BFLOAT16 = 'torch_dtype=torch.bfloat16, attn_implementation="sdpa"'
WITH_ATTENTION = """AutoModelForCausalLM.from_pretrained(
    "x",
    torch_dtype=torch.bfloat16,
    attn_implementation=resolve_attn_implementation("x"),
)"""


def fixed(code: str, style: FixStyle = "loader", *, unsafe: bool = True) -> str:
    """The text below the imports after a fix."""
    source = Source("script.py", (HEAD + code).encode())
    settings = Settings(fix_style=style, strict=True)
    text = engine.fix(source, registry.select(None), settings, unsafe=unsafe).text
    lines = text.splitlines(keepends=True)
    return "".join(line for line in lines if not line.startswith(("import ", "from ")))


@pytest.mark.parametrize(
    "code",
    [
        'C = {"a": AutoModel}\nm = C["a"].from_pretrained("x", device_map="auto")\n',
        "class M(LlamaForCausalLM):\n    @classmethod\n    def load(cls, x):\n"
        '        return cls.from_pretrained(x, device_map="auto")\n',
        'm = AutoModel.from_pretrained(**{"pretrained_model_name_or_path": "x"}, device_map="auto")\n',
        'm = AutoModel.from_pretrained(*a, device_map="auto")\n',
        'm = AutoModel.from_pretrained("x", device_map="auto", offload=True)\n',
        'm = AutoModel.from_pretrained("x", device_map="auto", **{"model_id": 1})\n',
        'm = AutoModel.from_pretrained(device_map="auto")\n',
        'm = (AutoModel  # which\n    .from_pretrained("x", device_map="auto"))\n',
        "print(f\"{AutoModel.from_pretrained('x', device_map='auto')}\")\n",
        "print(f\"{AutoModel.from_pretrained('x', use_auth_token=True)}\")\n",
        "m = AutoModel.from_pretrained(*a, use_auth_token=True)\n",
        'load = AutoModel.from_pretrained\nm = load("x", device_map="auto")\n',
    ],
)
def test_calls_that_stay_as_they_are(code: str) -> None:
    assert fixed(code) == code


@pytest.mark.parametrize(
    ("before", "after"),
    [
        pytest.param("m = {} # why\ny = 1\n", "m = {} # why\napply_generation_config(m)\ny = 1\n", id="behind a comment"),
        pytest.param("m = {}", "m = {}\napply_generation_config(m)", id="at the end"),
        pytest.param("self.m = {}\n", "self.m = {}\napply_generation_config(self.m)\n", id="attribute"),
        pytest.param("a = b = {}\n", "a = b = {}\n", id="two names"),
        pytest.param("a[0] = {}\n", "a[0] = {}\n", id="no name"),
        pytest.param("use({})\n", "use({})\n", id="handed on"),
        pytest.param("m = {}.eval()\n", "m = {}.eval()\n", id="not the load itself"),
        pytest.param("x = 1; m = {}\n", "x = 1; m = {}\n", id="behind a statement"),
        pytest.param("m = {}; y = 2\n", "m = {}; y = 2\n", id="before a statement"),
    ],
)  # fmt: skip
def test_a_statement_is_added_where_the_load_has_its_lines_to_itself(before: str, after: str) -> None:
    load = 'AutoModelForCausalLM.from_pretrained("x")'
    assert fixed(before.format(load), "inline") == after.format(WITH_ATTENTION)


def test_added_statements_keep_newlines_and_indentation() -> None:
    code = f'if x:\n\tm = AutoModelForCausalLM.from_pretrained("x", {BFLOAT16})  # why\n\ny = 1\n'
    wanted = code.replace("why\n", "why\n\tapply_generation_config(m)\n")
    for newline in ("\n", "\r\n", "\r"):
        source = Source("script.py", (HEAD + code).replace("\n", newline).encode())
        text = engine.fix(source, registry.select(["TLP105"]), Settings(fix_style="inline"), unsafe=True).text
        assert text.endswith(wanted.replace("\n", newline))


def test_a_tokenizer_that_is_handed_on_gets_no_pad_token() -> None:
    code = f'use(AutoTokenizer.from_pretrained("x"))\nAutoModelForCausalLM.from_pretrained("x", {BFLOAT16}, generation_config=c)\n'
    assert fixed(code, "inline") == code


def test_the_loader_merges_a_generation_config_so_no_fix_to_it_is_safe() -> None:
    code = (
        f'm = AutoModelForCausalLM.from_pretrained("x", device_map="auto", generation_config=c, {BFLOAT16})\n'
    )
    assert fixed(code, "loader", unsafe=False) == code
    assert 'device_map=resolve_device_map("x", dtype=torch.bfloat16),' in fixed(code, "inline", unsafe=False)
    assert 'm = load_model("x", generation_config=c,' in fixed(code, "loader")


@pytest.mark.parametrize(
    ("arguments", "style", "message"),
    [
        ('device_map="cuda"', "loader", "load with telepathy_runtime: load_model (TLP101, TLP102, TLP104)"),
        (BFLOAT16.replace("bfloat", "float"), "inline", "load with telepathy_runtime: bfloat16 (TLP103)"),
        (
            f'device_map="cuda", {BFLOAT16.partition(",")[0]}',
            "inline",
            "load with telepathy_runtime: resolve_device_map, resolve_attn_implementation (TLP101, TLP104)",
        ),
    ],
)
def test_a_fix_says_what_it_does(arguments: str, style: FixStyle, message: str) -> None:
    source = Source("script.py", f'{HEAD}m = AutoModel.from_pretrained("x", {arguments})\n'.encode())
    found = engine.lint(source, registry.select(None), Settings(fix_style=style, strict=True))
    assert {one.fix.message for one in found if one.fix is not None} == {message}


def test_what_is_the_loaders_own_is_known() -> None:
    parameters = {*signature(telepathy_runtime.load_model).parameters.values()}
    parameters |= {*signature(telepathy_runtime.load_tokenizer).parameters.values()}
    named = {each.name for each in parameters if each.kind not in (each.VAR_KEYWORD, each.VAR_POSITIONAL)}
    settings = {
        "dtype",
        "device_map",
        "attn_implementation",
        "generation_config",
        "pad_token",
        "padding_side",
    }
    assert named - settings == OF_THE_LOADER
