"""What a file does with what it loads: which files are looked at, how safe the fixes are, what is followed how far."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from telepathy_lint import engine, registry
from telepathy_lint.notebook import Notebook
from telepathy_lint.settings import Settings
from telepathy_lint.source import Source
from telepathy_lint.triggers import ID_PREFIXES, may_matter
from telepathy_lint.violation import Violation
from telepathy_runtime.registry import families

ROOT = Path(__file__).parents[1]
HEADER = "from transformers import AutoModelForCausalLM, AutoTokenizer, GenerationConfig\n"


def found(code: str, *select: str) -> list[Violation]:
    return engine.lint(Source("script.py", code.encode()), registry.select(select), Settings())


def fixed(code: str, *select: str, unsafe: bool = True) -> str:
    return engine.fix(
        Source("script.py", code.encode()), registry.select(select), Settings(), unsafe=unsafe
    ).text


# ---- which files are looked at


def test_every_family_the_registry_knows_is_looked_for() -> None:
    assert {f"{family.organisation}/" for family in families()} <= set(ID_PREFIXES)


@pytest.mark.parametrize(
    "code",
    [
        b'MODELS = {"llama": "meta-llama/Meta-Llama-3.1-8B"}\n',
        b"model.generate(ids, do_sample=False, temperature=0.7)\n",
    ],
)
def test_files_that_load_nothing_can_matter(code: bytes) -> None:
    assert may_matter(code)
    assert len(engine.lint(Source("x.py", code), registry.select(["TLP2", "TLP3"]), Settings())) == 1


def test_files_without_any_of_the_words_do_not() -> None:
    assert not may_matter(b"import torch\nmodel.generate(ids)\nllama = 'meta/llama'\n")


def test_the_registry_is_read_only_where_an_id_is_mentioned(tmp_path: Path) -> None:
    (tmp_path / "other.py").write_text(HEADER + 'AutoTokenizer.from_pretrained("gpt2")\n')
    (tmp_path / "id.py").write_text(HEADER + 'AutoTokenizer.from_pretrained("Qwen/Qwen2.5-9B")\n')
    loaded = {}
    for name in ("other", "id"):
        script = (
            "import json, sys\nfrom telepathy_lint.cli import run\n"
            f"run(['check', '--isolated', '--select', 'TLP3', {str(tmp_path / name)!r} + '.py'])\n"
            "print(json.dumps(sorted(sys.modules)), file=sys.stderr)"
        )
        done = subprocess.run(
            [sys.executable, "-c", script], capture_output=True, text=True, cwd=ROOT, check=True
        )
        loaded[name] = set(json.loads(done.stderr.splitlines()[-1]))
    assert "telepathy_runtime.families" not in loaded["other"]
    assert "telepathy_runtime.families" in loaded["id"]
    assert not loaded["id"] & {"torch", "transformers"}


# ---- how safe a renamed id is to write


@pytest.mark.parametrize(
    ("code", "safety"),
    [
        ('AutoTokenizer.from_pretrained("meta-llama/Meta-Llama-3.1-8B")\n', "safe"),
        ('ID = "meta-llama/Meta-Llama-3.1-8B"\nAutoTokenizer.from_pretrained(ID)\n', "safe"),
        ('ID = "meta-llama/Meta-Llama-3.1-8B"\nAutoTokenizer.from_pretrained(ID)\nprint(ID)\n', "unsafe"),
        ('MODELS = ["meta-llama/Meta-Llama-3.1-8B"]\nAutoTokenizer.from_pretrained(MODELS[0])\n', "unsafe"),
        (
            'def f(model="meta-llama/Meta-Llama-3.1-8B"):\n    AutoTokenizer.from_pretrained(model)\n',
            "unsafe",
        ),
    ],
)
def test_a_new_name_is_safe_where_nothing_but_a_load_sees_it(code: str, safety: str) -> None:
    (one,) = found(HEADER + code, "TLP302")
    assert one.fix is not None
    assert one.fix.safety == safety
    assert '"meta-llama/Llama-3.1-8B"' in fixed(HEADER + code, "TLP302")


@pytest.mark.parametrize(("parameter", "safety"), [("_", "safe"), ("model", "unsafe")])
def test_what_greedy_ignores_goes_safely_from_a_known_model_only(parameter: str, safety: str) -> None:
    load = 'model = AutoModelForCausalLM.from_pretrained("gpt2")\n'
    code = (
        f"{HEADER}{load}def f(ids, {parameter}=None):\n    model.generate(ids, do_sample=False, top_p=0.5)\n"
    )
    (one,) = found(code, "TLP204")
    assert one.fix is not None
    assert one.fix.safety == safety


def test_a_label_in_a_file_that_loads_nothing_is_let_be() -> None:
    assert not found('model_path = "meta-llama/Meta-Llama-3.1-8B"\n', "TLP302")


def test_quotes_and_prefixes_are_kept() -> None:
    code = HEADER + "AutoTokenizer.from_pretrained(\n    r'meta-llama/Meta-Llama-3.1-8B',  # old\n)\n"
    assert fixed(code, "TLP302") == code.replace("Meta-Llama", "Llama")


# ---- repairs of several rules together


def test_repairs_and_the_loader_s_rewrite_of_one_call() -> None:
    code = (
        HEADER + "import torch\n"
        'model = AutoModelForCausalLM.from_pretrained("meta-llama/Meta-Llama-3.1-8B", device_map="auto").eval()\n'
        "bridge = torch.nn.Linear(16, 4096)\n"
        "optimizer = torch.optim.AdamW(bridge.parameters())\n"
        "model(inputs_embeds=bridge(torch.zeros(1, 4, 16))).logits.mean().backward()\n"
    )
    text = fixed(code, "TLP101", "TLP206", "TLP302")
    assert ".requires_grad_(False).eval()" in text
    assert 'load_model("meta-llama/Llama-3.1-8B"' in "".join(text.split())
    assert "device_map" not in text


def test_two_ids_in_one_table_and_a_load_beside_it() -> None:
    code = HEADER + (
        'MODELS = {"a": "meta-llama/Meta-Llama-3.1-8B", "b": "meta-llama/Meta-Llama-3.1-70B"}\n'
        "for key in MODELS:\n    AutoTokenizer.from_pretrained(MODELS[key])\n"
    )
    assert fixed(code, "TLP302") == code.replace("Meta-Llama", "Llama")


# ---- places in notebooks


def test_a_message_names_the_cell_and_the_line_in_it() -> None:
    cells = [
        HEADER + 'tokenizer = AutoTokenizer.from_pretrained("gpt2")',
        "# padding\ntokenizer.pad_token = tokenizer.eos_token",
        "from transformers import DataCollatorForLanguageModeling\n"
        "DataCollatorForLanguageModeling(tokenizer, mlm=False)",
    ]
    whole = {
        "cells": [
            {"cell_type": "code", "execution_count": None, "metadata": {}, "outputs": [], "source": cell}
            for cell in cells
        ],
        "metadata": {"kernelspec": {"name": "python3"}, "language_info": {"name": "python"}},
        "nbformat": 4,
        "nbformat_minor": 5,
    }
    source = Notebook("n.ipynb", json.dumps(whole).encode())
    (one,) = engine.lint(source, registry.select(["TLP202"]), Settings())
    assert one.message.endswith("pad_token is eos_token since cell 2, line 2")


# ---- following objects


@pytest.mark.parametrize(
    "receiver",
    [
        "model",
        "model.to('cuda')",
        "torch.compile(model)",
        "copy.deepcopy(model)",
        "torch.nn.DataParallel(model).module",
        "accelerator.prepare(model)",
        "(model if True else model)",
        "{'a': model}['a']",
        "[model][0]",
    ],
)
def test_what_stays_the_same_model(receiver: str) -> None:
    load = 'model = AutoModelForCausalLM.from_pretrained("gpt2").eval()\n'
    code = f"{HEADER}import copy, torch\n{load}({receiver}).generate(ids, max_new_tokens=4)\n"
    assert [one.code for one in found(code, "TLP203")] == ["TLP203"]


@pytest.mark.parametrize(
    "receiver",
    [
        "wrap(model)",
        "model.language_model",
        "get_peft_model(model, config)",
        "(model or other)",
        "PeftModel.from_pretrained(model, 'x')",
        "model.merge_and_unload()",
    ],
)
def test_what_may_be_another_model(receiver: str) -> None:
    load = 'def f(other):\n    model = AutoModelForCausalLM.from_pretrained("gpt2")\n'
    code = f"{HEADER}{load}    ({receiver}).generate(ids, max_new_tokens=4)\n"
    assert not found(code, "TLP203")


def test_a_dict_under_self_holds_what_was_written_into_it_before() -> None:
    code = HEADER + (
        "class C:\n"
        "    def __init__(self, **kwargs):\n"
        "        options = dict(do_sample=False, temperature=0)\n"
        "        options.update(kwargs)\n"
        "        self.options = options\n"
        '        self.model = AutoModelForCausalLM.from_pretrained("gpt2", **self.options)\n'
        "    def answer(self, ids):\n"
        "        return self.model.generate(ids, **self.options)\n"
    )
    assert not found(code, "TLP102", "TLP204")
    assert [one.code for one in found(code.replace("options.update(kwargs)", "pass"), "TLP204")] == ["TLP204"]
