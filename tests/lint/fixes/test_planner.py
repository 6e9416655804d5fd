"""The rewrite to the loader, case by case."""

from __future__ import annotations

import re

import pytest

from telepathy_lint import engine
from telepathy_lint import rules as registry
from telepathy_lint.settings import FixStyle, Settings
from telepathy_lint.source.text import Source


def fixed(code: str, *select: str) -> str:
    source = Source("script.py", code.encode())
    return engine.fix(source, registry.select(select or None), Settings(strict=True), unsafe=True).text


CASES = {
    "plain": (
        """\
from transformers import AutoModelForCausalLM
m = AutoModelForCausalLM.from_pretrained("x", device_map="auto", torch_dtype=None)
""",
        """\
from telepathy_runtime import load_model
m = load_model("x")
""",
    ),
    "module style": (
        """\
import transformers
m = transformers.AutoModelForCausalLM.from_pretrained("x")
""",
        """\
import transformers
import telepathy_runtime
m = telepathy_runtime.load_model("x", device_map=None)
""",
    ),
    "module alias": (
        """\
import transformers as t
m = t.LlamaForCausalLM.from_pretrained("x")
""",
        """\
import transformers as t
import telepathy_runtime
m = telepathy_runtime.load_model("x", model_class=t.LlamaForCausalLM, device_map=None)
""",
    ),
    "function import": (
        """\
def f():
    from transformers import AutoModelForCausalLM
    return AutoModelForCausalLM.from_pretrained("x")
""",
        """\
def f():
    from telepathy_runtime import load_model
    return load_model("x", device_map=None)
""",
    ),
    "try import": (
        """\
try:
    from transformers import AutoModelForCausalLM
except ImportError:
    AutoModelForCausalLM = None
m = AutoModelForCausalLM.from_pretrained("x")
""",
        """\
from telepathy_runtime import load_model
try:
    from transformers import AutoModelForCausalLM
except ImportError:
    AutoModelForCausalLM = None
m = load_model("x", device_map=None)
""",
    ),
    "multi": (
        """\
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,  # the model
    AutoTokenizer,
)  # all
m = AutoModelForCausalLM.from_pretrained("x")
t = AutoTokenizer.from_pretrained("x")
""",
        """\
from transformers import (
    AutoConfig,
    # the model
)  # all
from telepathy_runtime import load_model, load_tokenizer
m = load_model("x", device_map=None)
t = load_tokenizer("x")
""",
    ),
    "multi last": (
        """\
from transformers import (
    AutoConfig,
    AutoModelForCausalLM
)
m = AutoModelForCausalLM.from_pretrained("x")
print(AutoConfig)
""",
        """\
from transformers import (
    AutoConfig
)
from telepathy_runtime import load_model
m = load_model("x", device_map=None)
print(AutoConfig)
""",
    ),
    "noqa import": (
        """\
from transformers import AutoModelForCausalLM  # noqa: F401
m = AutoModelForCausalLM.from_pretrained("x")
""",
        """\
from transformers import AutoModelForCausalLM  # noqa: F401
from telepathy_runtime import load_model
m = load_model("x", device_map=None)
""",
    ),
    "all": (
        """\
from transformers import AutoModelForCausalLM
__all__ = ["AutoModelForCausalLM"]
m = AutoModelForCausalLM.from_pretrained("x")
""",
        """\
from transformers import AutoModelForCausalLM
from telepathy_runtime import load_model
__all__ = ["AutoModelForCausalLM"]
m = load_model("x", device_map=None)
""",
    ),
    "two imports": (
        """\
from transformers import AutoTokenizer
from transformers import AutoModelForCausalLM
t = AutoTokenizer.from_pretrained("x")
m = AutoModelForCausalLM.from_pretrained("x")
""",
        """\
from telepathy_runtime import load_model, load_tokenizer
t = load_tokenizer("x")
m = load_model("x", device_map=None)
""",
    ),
    "semicolon": (
        """\
import os; from transformers import AutoModelForCausalLM; print(1)
m = AutoModelForCausalLM.from_pretrained("x")
""",
        """\
import os; from telepathy_runtime import load_model; print(1)
m = load_model("x", device_map=None)
""",
    ),
    "one-line if": (
        """\
if True: from transformers import AutoModelForCausalLM, AutoConfig
m = AutoModelForCausalLM.from_pretrained("x")
""",
        """\
if True: from transformers import AutoConfig; from telepathy_runtime import load_model
m = load_model("x", device_map=None)
""",
    ),
    "backslash": (
        """\
from transformers import AutoConfig, \\
    AutoModelForCausalLM
m = AutoModelForCausalLM.from_pretrained("x")
print(AutoConfig)
""",
        """\
from transformers import AutoConfig
from telepathy_runtime import load_model
m = load_model("x", device_map=None)
print(AutoConfig)
""",
    ),
    "no newline": (
        ('from transformers import AutoModelForCausalLM\nAutoModelForCausalLM.from_pretrained("x")'),
        ('from telepathy_runtime import load_model\nload_model("x", device_map=None)'),
    ),
    "crlf": (
        (
            "from transformers import AutoModelForCausalLM\r\n"
            "m = AutoModelForCausalLM.from_pretrained(\r\n"
            '    "x",\r\n'
            "    # c\r\n"
            '    device_map="auto",\r\n'
            ")\r\n"
        ),
        ('from telepathy_runtime import load_model\r\nm = load_model(\r\n    "x",\r\n    # c\r\n)\r\n'),
    ),
    "string annotation": (
        """\
from transformers import AutoModelForCausalLM
def f(m: "AutoModelForCausalLM"): ...
m = AutoModelForCausalLM.from_pretrained("x")
""",
        """\
from transformers import AutoModelForCausalLM
from telepathy_runtime import load_model
def f(m: "AutoModelForCausalLM"): ...
m = load_model("x", device_map=None)
""",
    ),
    "alias": (
        """\
from transformers import AutoModelForCausalLM as AM
m = AM.from_pretrained("x")
""",
        """\
from telepathy_runtime import load_model
m = load_model("x", device_map=None)
""",
    ),
    "star": (
        """\
from transformers import *
m = AutoModelForCausalLM.from_pretrained("x")
""",
        """\
from transformers import *
from telepathy_runtime import load_model
m = load_model("x", device_map=None)
""",
    ),
    "class var": (
        """\
from transformers import AutoModelForCausalLM, LlamaForCausalLM
C = LlamaForCausalLM if 1 else AutoModelForCausalLM
m = C.from_pretrained("x")
""",
        """\
from transformers import AutoModelForCausalLM, LlamaForCausalLM
from telepathy_runtime import load_model
C = LlamaForCausalLM if 1 else AutoModelForCausalLM
m = load_model("x", model_class=C, device_map=None)
""",
    ),
    "already": (
        """\
from telepathy_runtime import load_model
from transformers import AutoModelForCausalLM
m = AutoModelForCausalLM.from_pretrained("x")
n = load_model("y")
""",
        """\
from telepathy_runtime import load_model
m = load_model("x", device_map=None)
n = load_model("y")
""",
    ),
    "clash": (
        """\
from transformers import AutoModelForCausalLM
def load_model(): return AutoModelForCausalLM.from_pretrained("x")
""",
        """\
from telepathy_runtime import load_model as runtime_load_model
def load_model(): return runtime_load_model("x", device_map=None)
""",
    ),
    "kw id": (
        """\
from transformers import AutoModelForCausalLM
m = AutoModelForCausalLM.from_pretrained(pretrained_model_name_or_path="x", device_map="auto")
m = AutoModelForCausalLM.from_pretrained(device_map="auto", pretrained_model_name_or_path="x")
""",
        """\
from telepathy_runtime import load_model
m = load_model("x")
m = load_model("x")
""",
    ),
    "long": (
        """\
from transformers import AutoModelForCausalLM
if True:
    model = AutoModelForCausalLM.from_pretrained("meta-llama/Llama-3.1-8B-Instruct", device_map="auto", revision="0123456789abcdef", cache_dir="x")
""",
        """\
from telepathy_runtime import load_model
if True:
    model = load_model(
        "meta-llama/Llama-3.1-8B-Instruct",
        revision="0123456789abcdef",
        cache_dir="x",
    )
""",
    ),
    "hug": (
        """\
from transformers import AutoModelForCausalLM
m = AutoModelForCausalLM.from_pretrained("x",
                                         torch_dtype="auto", device_map="auto",
                                         revision="main")
""",
        """\
from telepathy_runtime import load_model
m = load_model("x", revision="main")
""",
    ),
    "comment before paren": (
        """\
from transformers import AutoModelForCausalLM
m = AutoModelForCausalLM.from_pretrained(  # here
    "x",
    device_map="auto",  # all
    # last
)
""",
        """\
from telepathy_runtime import load_model
m = load_model(  # here
    "x",
    # all
    # last
)
""",
    ),
    "nested": (
        """\
from transformers import AutoModelForCausalLM, AutoTokenizer
m = AutoModelForCausalLM.from_pretrained("x", pad=size(AutoTokenizer.from_pretrained("y")))
""",
        """\
from telepathy_runtime import load_tokenizer, load_model
m = load_model("x", device_map=None, pad=size(load_tokenizer("y")))
""",
    ),
    "future": (
        (
            '"""doc"""\n'
            "from __future__ import annotations\n"
            "import sys\n"
            'sys.path.insert(0, "src")\n'
            "from transformers import AutoModelForCausalLM\n"
            'm = AutoModelForCausalLM.from_pretrained("x")\n'
        ),
        (
            '"""doc"""\n'
            "from __future__ import annotations\n"
            "import sys\n"
            'sys.path.insert(0, "src")\n'
            "from telepathy_runtime import load_model\n"
            'm = load_model("x", device_map=None)\n'
        ),
    ),
    "tok class": (
        """\
from transformers import LlamaTokenizer, LlamaForCausalLM
t = LlamaTokenizer.from_pretrained("x", use_fast=False)
m = LlamaForCausalLM.from_pretrained("x", torch_dtype="float16")
""",
        """\
from transformers import LlamaTokenizer, LlamaForCausalLM
from telepathy_runtime import load_model, load_tokenizer
t = load_tokenizer("x", tokenizer_class=LlamaTokenizer, use_fast=False)
m = load_model("x", model_class=LlamaForCausalLM, device_map=None)
""",
    ),
    "tabs": (
        (
            "from transformers import AutoModelForCausalLM\n"
            "def f():\n"
            "\tm = AutoModelForCausalLM.from_pretrained(\n"
            '\t\t"x",\n'
            '\t\ttorch_dtype="float16", device_map="auto")\n'
            "\treturn m\n"
        ),
        ('from telepathy_runtime import load_model\ndef f():\n\tm = load_model("x")\n\treturn m\n'),
    ),
    "type checking": (
        """\
from typing import TYPE_CHECKING
if TYPE_CHECKING:
    from transformers import AutoModelForCausalLM
def f():
    from transformers import AutoModelForCausalLM
    return AutoModelForCausalLM.from_pretrained("x")
""",
        """\
from typing import TYPE_CHECKING
if TYPE_CHECKING:
    from transformers import AutoModelForCausalLM
def f():
    from telepathy_runtime import load_model
    return load_model("x", device_map=None)
""",
    ),
    "trailing spaces": (
        (
            "from transformers import AutoModelForCausalLM   \n"
            'm = AutoModelForCausalLM.from_pretrained( "x" , device_map = "auto" )\n'
        ),
        ('from telepathy_runtime import load_model   \nm = load_model( "x" )\n'),
    ),
    "only tok": (
        """\
from transformers import AutoTokenizer, GPT2LMHeadModel
t = AutoTokenizer.from_pretrained("x")
m = GPT2LMHeadModel.from_pretrained("x", generation_config=gc, torch_dtype="bfloat16", attn_implementation="eager")
""",
        """\
from transformers import GPT2LMHeadModel
from telepathy_runtime import load_tokenizer
t = load_tokenizer("x")
m = GPT2LMHeadModel.from_pretrained("x", generation_config=gc, torch_dtype="bfloat16", attn_implementation="eager")
""",
    ),
}


@pytest.mark.parametrize(("before", "after"), CASES.values(), ids=list(CASES))
def test_rewrites(before: str, after: str) -> None:
    assert fixed(before) == after


@pytest.mark.parametrize(("before", "after"), CASES.values(), ids=list(CASES))
def test_settles(before: str, after: str) -> None:
    assert fixed(after) == after


def test_a_rule_alone_changes_nothing_else() -> None:
    code = """\
import torch
from transformers import AutoModelForCausalLM, AutoModel

a = AutoModelForCausalLM.from_pretrained("x", device_map="auto", torch_dtype=torch.float16)
b = AutoModel.from_pretrained("x", device_map={"": 0}, attn_implementation="eager")
"""
    assert (
        fixed(code, "TLP101")
        == """\
import torch
from telepathy_runtime import load_model
from transformers import AutoModel

a = load_model("x", attn_implementation=None, generation_config=None, torch_dtype=torch.float16)
b = load_model(
    "x",
    model_class=AutoModel,
    dtype=None,
    generation_config=None,
    attn_implementation="eager",
)
"""
    )


def test_a_suppressed_rule_is_not_part_of_the_rewrite() -> None:
    code = """\
from transformers import AutoModelForCausalLM

m = AutoModelForCausalLM.from_pretrained("x", device_map="auto")  # noqa: TLP102, TLP105
"""
    assert 'load_model("x", dtype=None, generation_config=None)  # noqa: TLP102, TLP105' in fixed(code)


def test_values_that_come_through_a_shared_dict_are_reported_but_stay() -> None:
    code = """\
import torch
from transformers import AutoModelForCausalLM

SHARED = {"device_map": "auto", "torch_dtype": torch.bfloat16}
m = AutoModelForCausalLM.from_pretrained("x", **SHARED)
"""
    result = engine.fix(
        Source("script.py", code.encode()), registry.select(None), Settings(strict=True), unsafe=True
    )
    assert 'm = load_model("x", **SHARED)' in result.text
    assert 'SHARED = {"device_map": "auto"' in result.text


def test_a_call_with_unseen_arguments_keeps_its_form() -> None:
    code = """\
from transformers import AutoModelForCausalLM

def load(name, **kwargs):
    return AutoModelForCausalLM.from_pretrained(name, device_map="auto", **kwargs)
"""
    assert (
        fixed(code)
        == """\
from transformers import AutoModelForCausalLM
from telepathy_runtime import resolve_device_map

def load(name, **kwargs):
    return AutoModelForCausalLM.from_pretrained(
        name,
        device_map=resolve_device_map(name, dtype=None),
        **kwargs,
    )
"""
    )


def test_inline_style_keeps_the_call() -> None:
    code = """\
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

tokenizer = AutoTokenizer.from_pretrained("x")
model = AutoModelForCausalLM.from_pretrained(
    "x",
    device_map="auto",  # where
    torch_dtype=torch.float16,
)
"""
    settings = Settings(fix_style="inline", strict=True)
    source = Source("script.py", code.encode())
    result = engine.fix(source, registry.select(None), settings, unsafe=True)
    assert (
        result.text
        == """\
import torch
from telepathy_runtime import apply_generation_config, resolve_attn_implementation, resolve_device_map
from transformers import AutoModelForCausalLM, AutoTokenizer

tokenizer = AutoTokenizer.from_pretrained("x")
tokenizer.pad_token = tokenizer.pad_token or tokenizer.eos_token
model = AutoModelForCausalLM.from_pretrained(
    "x",
    attn_implementation=resolve_attn_implementation("x"),
    device_map=resolve_device_map("x"),  # where
    torch_dtype=torch.bfloat16,
)
apply_generation_config(model)
"""
    )
    again = engine.lint(Source("script.py", result.text.encode()), registry.select(None), settings)
    assert again == []


def test_the_safe_part_of_a_call_is_fixed_and_the_rest_is_left_to_transformers() -> None:
    code = """\
import torch
from transformers import AutoModel

a = AutoModel.from_pretrained("x", device_map="auto", torch_dtype=torch.bfloat16)
b = AutoModel.from_pretrained("x", device_map="auto")
"""
    source = Source("script.py", code.encode())
    found = engine.lint(source, registry.select(None), Settings(strict=True))
    assert {(v.line, v.code, v.fix.safety) for v in found if v.fix} == {
        (4, "TLP101", "safe"), (4, "TLP104", "unsafe"),
        (5, "TLP101", "safe"), (5, "TLP102", "unsafe"), (5, "TLP104", "unsafe"),
    }  # fmt: skip
    fixed = engine.fix(source, registry.select(None), Settings(strict=True))
    assert (
        'b = load_model(\n    "x", model_class=AutoModel, dtype=None, attn_implementation=None, generation_config=None\n)'
        in fixed.text.replace(",\n    ", ", ").replace(",\n)", "\n)")
    )
    # What was found is what was fixed and what is left.
    assert [(v.line, v.code) for v in fixed.applied] == [(4, "TLP101"), (5, "TLP101")]
    assert sorted(v.code for v in fixed.remaining) == ["TLP102", "TLP104", "TLP104"]


def test_a_finding_is_counted_once_however_many_rounds_a_fix_takes() -> None:
    code = """\
from transformers import AutoModelForCausalLM

m = AutoModelForCausalLM.from_pretrained("meta-llama/Meta-Llama-3.1-8B", dtype="bfloat16")
"""
    source = Source("script.py", code.encode())
    found = engine.lint(source, registry.select(None), Settings(strict=True))
    fixed = engine.fix(source, registry.select(None), Settings(strict=True), unsafe=True)
    assert sorted(v.code for v in found) == sorted(v.code for v in fixed.applied) and not fixed.remaining


@pytest.mark.parametrize("style", ["loader", "inline"])
def test_a_users_braces_are_no_placeholders(style: FixStyle) -> None:
    text = '"{target} {load_model} {GenerationConfig} {resolve_device_map}"'
    code = f"""\
import torch
from transformers import AutoModelForCausalLM, GenerationConfig

m = AutoModelForCausalLM.from_pretrained("x", generation_config=GenerationConfig(stop={text}), device_map="auto")
"""
    settings = Settings(fix_style=style, strict=True)
    fixed = engine.fix(Source("script.py", code.encode()), registry.select(None), settings, unsafe=True)
    assert text in fixed.text and "m, GenerationConfig(stop=" in fixed.text


def test_an_argument_whose_value_acts_is_taken_out_only_on_request() -> None:
    code = """\
from transformers import AutoModelForCausalLM

a = AutoModelForCausalLM.from_pretrained("x", resume_download=prepare())
b = AutoModelForCausalLM.from_pretrained("x", resume_download=bool(args.resume))
"""
    source = Source("script.py", code.encode())
    found = engine.lint(source, registry.select(["TLP107"]), Settings(strict=True))
    assert [(v.line, v.fix.safety) for v in found if v.fix] == [(3, "unsafe"), (4, "safe")]
    assert "prepare()" in engine.fix(source, registry.select(["TLP107"]), Settings(strict=True)).text


@pytest.mark.parametrize(
    ("device_map", "safety"),
    [
        ('"auto"', "safe"),
        ('{"": 0}', "unsafe"),
        ('{"": 1}', "unsafe"),
        ('"cpu"', "display"),
        ('"cuda" if cuda else "cpu"', "unsafe"),
        ('{"": local_rank}', "unsafe"),
        ('{"": torch.cuda.current_device()}', "unsafe"),
        ('f"cuda:{args.local_rank}"', "unsafe"),
        ('f"cuda:{index}"', "unsafe"),
        ('{"": gpu}', "unsafe"),
        ('{"lm_head": 0}', "unsafe"),
        ('{"": 0, "lm_head": 0}', "unsafe"),
        ('"cuda:0" if x else "cuda:1"', "display"),
        ('None if x else "auto"', "unsafe"),
        ("{layer: 0}", "unsafe"),
        ("dict(lm_head=0)", "unsafe"),
    ],
)
def test_only_auto_is_replaced_safely(device_map: str, safety: str) -> None:
    code = (
        f"from transformers import AutoModel\nm = AutoModel.from_pretrained('x', device_map={device_map})\n"
    )
    (found,) = engine.lint(
        Source("script.py", code.encode()), registry.select(["TLP101"]), Settings(strict=True)
    )
    assert found.fix is not None and found.fix.safety == safety


@pytest.mark.parametrize(
    "evidence",
    [
        "rank = int(os.environ['LOCAL_RANK'])",
        "torch.distributed.init_process_group('nccl')",
        "accelerator = Accelerator()",
        "trainer = Trainer(m)",
    ],
)
def test_auto_is_unsafe_to_replace_where_the_file_may_place_models_otherwise(evidence: str) -> None:
    code = f"from transformers import AutoModel\nm = AutoModel.from_pretrained('x', device_map='auto')\n{evidence}\n"
    (found,) = engine.lint(
        Source("script.py", code.encode()), registry.select(["TLP101"]), Settings(strict=True)
    )
    assert found.fix is not None and found.fix.safety == "unsafe"


@pytest.mark.parametrize("device_map", ["'auto'", "{'': 0}"])
def test_a_map_that_the_file_reads_stays(device_map: str) -> None:
    """Found with transformers 4.57, where only models with a device map have the attribute."""
    code = f"from transformers import AutoModel\nm = AutoModel.from_pretrained('x', device_map={device_map})\nprint(m.hf_device_map)\n"
    (found,) = engine.lint(Source("script.py", code.encode()), registry.select(["TLP101"]), Settings())
    assert found.fix is not None and found.fix.safety == "display"
    assert found.fix.reason is not None and found.fix.reason.startswith("line 3 reads hf_device_map")


def test_two_pins_are_a_layout_that_no_fix_touches() -> None:
    code = """\
from transformers import AutoModel

a = AutoModel.from_pretrained("x", device_map={"": 0})
b = AutoModel.from_pretrained("x", device_map="cuda:1")
c = AutoModel.from_pretrained("x", device_map="auto")
"""
    source = Source("script.py", code.encode())
    found = engine.lint(source, registry.select(["TLP101"]), Settings(strict=True))
    assert [v.fix and v.fix.safety for v in found] == ["display", "display", "safe"]
    assert found[0].fix is not None and found[0].fix.reason is not None
    assert found[0].fix.reason.startswith("line 4 ")
    text = engine.fix(source, registry.select(["TLP101"]), Settings(strict=True), unsafe=True).text
    assert 'device_map={"": 0}' in text and 'device_map="cuda:1"' in text and "c = load_model(" in text


def test_a_move_behind_a_map_is_still_found_when_the_map_is_gone() -> None:
    code = 'from transformers import AutoModel\nm = AutoModel.from_pretrained("x", device_map="auto").eval().cuda()\n'
    source = Source("script.py", code.encode())
    fixed = engine.fix(source, registry.select(["TLP101", "TLP106"]), Settings(strict=True))
    assert [v.code for v in fixed.applied] == ["TLP101"] and [v.code for v in fixed.remaining] == ["TLP106"]
    both = engine.fix(source, registry.select(["TLP101", "TLP106"]), Settings(strict=True), unsafe=True)
    assert ".cuda()" not in both.text and not both.remaining
    for own in ('load_model("x", device_map=None)', "load_model(**options)"):
        script = f"from telepathy_runtime import load_model\nm = {own}.cuda()\n"
        assert not engine.lint(
            Source("script.py", script.encode()), registry.select(["TLP106"]), Settings(strict=True)
        )


def test_attention_weights_make_the_attention_fix_unsafe() -> None:
    code = """\
import torch
from transformers import AutoModel

model = AutoModel.from_pretrained("x", torch_dtype=torch.bfloat16)
weights = model(**batch, output_attentions=True).attentions
"""
    strictly = Settings(strict=True)  # by default the finding is left out
    (violation,) = engine.lint(Source("s.py", code.encode()), registry.select(None), strictly)
    assert violation.code == "TLP104"
    assert violation.fix is not None and violation.fix.safety == "unsafe"


def test_none_in_the_loaders_call_is_still_seen_as_missing() -> None:
    code = """\
from transformers import AutoModelForCausalLM

m = AutoModelForCausalLM.from_pretrained("x", device_map="auto")
"""
    once = fixed(code, "TLP101")
    assert 'load_model("x", dtype=None, attn_implementation=None, generation_config=None)' in once
    assert 'm = load_model("x")' in fixed(once)


def test_a_length_given_at_generate_keeps_the_shipped_generation_config() -> None:
    code = """\
from transformers import AutoModelForCausalLM

m = AutoModelForCausalLM.from_pretrained("x")
m.generate(ids, max_length=20)
"""
    text = fixed(code)
    assert 'm = load_model("x", device_map=None, generation_config=None)' in text
    left = engine.lint(Source("s.py", text.encode()), registry.select(None), Settings())
    assert [violation.code for violation in left] == ["TLP105"]


def test_pipelines_are_changed_in_place() -> None:
    code = """\
import torch
from transformers import pipeline

pipe = pipeline("text-generation", "x", torch_dtype=torch.float16, device_map="auto")
"""
    assert (
        fixed(code)
        == """\
import torch
from telepathy_runtime import apply_generation_config, resolve_device_map
from transformers import pipeline

pipe = pipeline("text-generation", "x", torch_dtype=torch.bfloat16, device_map=resolve_device_map())
apply_generation_config(pipe)
"""
    )


@pytest.mark.parametrize("style", ["inline", "loader"])
def test_a_setting_of_the_loader_is_its_own_to_leave_out(style: FixStyle) -> None:
    code = "from telepathy_runtime import load_model\nuse(load_model('x', generation_config=None))\n"
    rules, settings = registry.select(["TLP105"]), Settings(fix_style=style, strict=True)
    after = engine.fix(Source("x.py", code.encode()), rules, settings, unsafe=True)
    assert after.text == code.replace(", generation_config=None", "")


LEFT_OVER = "import torch\nfrom transformers import AutoModelForCausalLM\n\n"
SHARED_CALL = 'm = AutoModelForCausalLM.from_pretrained("gpt2", torch_dtype=dtype, device_map=where)\n'


@pytest.mark.parametrize(
    ("code", "kept"),
    [
        (f'dtype = torch.float16\nwhere = "auto"\n{SHARED_CALL}', ()),
        (f'dtype = torch.float16  # half\nwhere = "auto"\n{SHARED_CALL}', ("dtype",)),
        (f'dtype = torch.float16\nwhere = "auto"\n{SHARED_CALL}print(where)\n', ("where",)),
        (f'dtype = torch.float16\nwhere = "auto"\n{SHARED_CALL}print("dtype")\n', ("dtype",)),
        (f'dtype = torch.float16\nwhere = "auto"\nif m:\n    where = None\n{SHARED_CALL}', ("where",)),
        (f'dtype = torch.float16\nwhere = "auto"\nif m:\n    where = pick()\n{SHARED_CALL}', ("where",)),
        (f'dtype = torch.float16\nwhere = "auto"\n{SHARED_CALL}print(globals())\n', ("dtype", "where")),
        (f'dtype, where = torch.float16, "auto"\n{SHARED_CALL}', ("dtype",)),
        (
            "DTYPE = torch.float16\n"
            + 'm = AutoModelForCausalLM.from_pretrained("gpt2", torch_dtype=DTYPE)\n',
            ("DTYPE",),
        ),
        (
            "def load():\n    DTYPE = torch.float16\n"
            '    return AutoModelForCausalLM.from_pretrained("gpt2", torch_dtype=DTYPE)\n',
            (),
        ),
    ],
)
def test_a_name_that_only_the_fixed_call_read_goes(code: str, kept: tuple[str, ...]) -> None:
    source = Source("script.py", f"{LEFT_OVER}{code}".encode())
    text = engine.fix(source, registry.select(["TLP101", "TLP103"]), Settings(strict=True), unsafe=True).text
    assert "load_model(" in text
    assert (
        tuple(name for name in ("dtype", "where", "DTYPE") if re.search(rf"(?m)^\s*{name}\b.*= ", text))
        == kept
    )
    compile(text, "script.py", "exec")


IN_A_FUNCTION = """\
import os
from transformers import AutoModelForCausalLM
def load(args):
{}    return AutoModelForCausalLM.from_pretrained("gpt2", device_map=where)
"""


@pytest.mark.parametrize(
    "before",
    [
        '    if args.cpu:\n        where = "cpu"\n    else:\n        where = "auto"\n',
        '    where = "auto"\n    if args.several:\n        print(1)\n        where = {"": int(os.getenv("RANK"))}\n',
        '    if args.ask():\n        where = "cpu"\n    else:\n        where = "auto"\n',
    ],
)
def test_a_name_that_branches_decide_stays(before: str) -> None:
    """Outside the call, a fix only changes plain assignments."""
    source = Source("x.py", IN_A_FUNCTION.format(before).encode())
    text = engine.fix(source, registry.select(["TLP101"]), Settings(), unsafe=True).text
    assert text.partition("def load(args):\n")[2].rpartition("    return ")[0] == before


def test_what_only_a_name_that_went_was_computed_from_goes_too() -> None:
    before = '    rank = int(os.environ.get("RANK", 0))\n    where = {"": rank}\n'
    source = Source("x.py", IN_A_FUNCTION.format(before).encode())
    text = engine.fix(source, registry.select(["TLP101"]), Settings(), unsafe=True).text
    assert text.partition("def load(args):\n")[2].startswith("    return load_model(")


def test_torch_may_be_something_else_behind_a_star() -> None:
    code = "import torch\nfrom helpers import *\nfrom transformers import AutoModel\nm = AutoModel.from_pretrained('x')\n"
    settings = Settings()._replace(fix_style="inline")
    for text, dtype in (
        (code, '"bfloat16"'),
        (code.replace("from helpers import *\n", ""), "torch.bfloat16"),
    ):
        fixed = engine.fix(Source("x.py", text.encode()), registry.select(["TLP102"]), settings, unsafe=True)
        assert f"torch_dtype={dtype}" in fixed.text


@pytest.mark.parametrize("sure", [True, False])
def test_the_loader_does_not_choose_what_a_dict_brings_in_at_times(sure: bool) -> None:
    """Found by benchmarks/broken_fixes.py: if `kw` had no dtype, the loader's was used."""
    code = (
        "from transformers import AutoModelForCausalLM\n"
        "kw = {'attn_implementation': 'sdpa'}\n"
        f"{'' if sure else 'if given: '}kw['torch_dtype'] = dtype\n"
        "m = AutoModelForCausalLM.from_pretrained('x', device_map=None, **kw)\n"
    )
    text = engine.fix(
        Source("x.py", code.encode()), registry.select(["TLP105"]), Settings(), unsafe=True
    ).text
    assert ("= load_model('x', device_map=None, **kw)" in text) == sure
    assert ("apply_generation_config(m)" in text) != sure


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (  # a number sign in a string makes no comment of what stands behind it
            'm = AutoModelForCausalLM.from_pretrained("x")\nprint("#", AutoModelForCausalLM)\n',
            'from telepathy_runtime import load_model\nm = load_model("x", device_map=None)\n'
            'print("#", AutoModelForCausalLM)\n',
        ),
        (  # a variable may hold another class
            'kind = AutoModelForCausalLM\nm = kind.from_pretrained("x")\n',
            "from telepathy_runtime import load_model\nkind = AutoModelForCausalLM\n"
            'm = load_model("x", model_class=kind, device_map=None)\n',
        ),
        (  # the comment would be lost
            'm = (AutoModelForCausalLM  # the one\n     .from_pretrained("x"))\n',
            'm = (AutoModelForCausalLM  # the one\n     .from_pretrained("x"))\n',
        ),
        (  # the stars may bring any argument by position
            'm = AutoModelForCausalLM.from_pretrained(*given, device_map="auto")\n',
            'm = AutoModelForCausalLM.from_pretrained(*given, device_map="auto")\n',
        ),
    ],
)
def test_where_the_class_of_a_call_is_still_needed(before: str, after: str) -> None:
    head = "from transformers import AutoModelForCausalLM\n"
    assert fixed(head + before) == head + after


@pytest.mark.parametrize("comment", ["# causal", "  # causal"])
def test_the_comment_of_an_imported_name_stays(comment: str) -> None:
    head = f"from transformers import (\n    AutoModelForCausalLM,{comment}\n    AutoConfig,\n)\n"
    after = fixed(head + 'm = AutoModelForCausalLM.from_pretrained("x")\nprint(AutoConfig)\n')
    assert after.startswith("from transformers import (\n    # causal\n    AutoConfig,\n)\n")
