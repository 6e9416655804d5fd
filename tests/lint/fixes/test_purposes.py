"""The loader's call says what the load is for, where the file shows it and the loader's own choice depends on it."""

from __future__ import annotations

import ast

import pytest

from telepathy_lint import engine
from telepathy_lint.rules import select
from telepathy_lint.settings import Loader, Settings
from telepathy_lint.source.text import Source

#: Only those that a program uses: a file that imports peft may train parts.
IMPORTS = {
    "torch": "import torch",
    "LoraConfig": "from peft import LoraConfig, get_peft_model",
    "AutoModel": "from transformers import AutoModelForCausalLM",
    " Trainer(": "from transformers import Trainer",
    "SFTTrainer": "from trl import SFTTrainer",
}
LOAD = 'model = AutoModelForCausalLM.from_pretrained("gpt2", device_map={})\n'
PINNED = LOAD.format('"cuda:0"')


def written(code: str, *codes: str, unsafe: bool = True, **settings: object) -> str:
    """The load after a fix."""
    imports = [line for word, line in IMPORTS.items() if word in code.replace("\n", " ")]
    source = Source("s.py", "\n".join([*imports, code]).encode())
    fixed = engine.fix(source, select(codes or ("TLP101",)), Settings()._replace(**settings), unsafe=unsafe)  # type: ignore[arg-type]
    calls = [node for node in ast.walk(ast.parse(fixed.text)) if isinstance(node, ast.Call)]
    texts = [ast.unparse(node) for node in calls]
    return next(text for text in texts if text.startswith(("load_model(", "AutoModelForCausalLM.")))


@pytest.mark.parametrize(
    ("code", "purpose"),
    [
        (PINNED + "Trainer(model, arguments).train()", "training"),
        (PINNED + "trainer = Trainer(model=model)\ntrainer.train()", "training"),
        (PINNED + "optimizer = torch.optim.AdamW(model.parameters())", "training"),
        (PINNED + "parameters = model.parameters()\noptimizer = torch.optim.SGD(parameters, lr=1)", "training"),
        (LOAD.format('"auto"') + "Trainer(model, arguments).train()", "training"),
        (
            PINNED + "lora = get_peft_model(model, LoraConfig())\nTrainer(lora, arguments).train()",
            "finetune-adapters",
        ),
        (PINNED + "SFTTrainer(model, peft_config=LoraConfig()).train()", "finetune-adapters"),
        (PINNED + "lora = get_peft_model(model, LoraConfig())\nlora.save_pretrained('a')", None),
        (PINNED + "model.generate(ids)", None),
        (PINNED + "with torch.no_grad():\n    model(ids)", None),
        (PINNED + "other = build()\nTrainer(other, arguments).train()", None),
        # What the loader would change for a training is read, or chosen, in the file.
        (PINNED + "Trainer(model, arguments).train()\nprint(model(ids).past_key_values)", None),
        (
            PINNED + "lora = get_peft_model(model, LoraConfig(modules_to_save=['lm_head']))\nTrainer(lora).train()",
            None,
        ),
    ],
)  # fmt: skip
def test_the_purpose_is_what_the_file_shows(code: str, purpose: str | None) -> None:
    line = written(code)
    assert "load_model(" in line
    assert (f"purpose='{purpose}')" in line) if purpose else ("purpose" not in line)


def test_a_fix_that_keeps_the_placement_says_nothing_of_it() -> None:
    code = LOAD.format('"auto"') + "optimizer = torch.optim.AdamW(model.parameters())"
    for unsafe in (False, True):
        assert written(code, unsafe=unsafe) == "load_model('gpt2', dtype=None, attn_implementation=None, generation_config=None)"  # fmt: skip


def test_nothing_is_left_to_the_loader_that_depends_on_it() -> None:
    code = 'model = AutoModelForCausalLM.from_pretrained("gpt2")\nTrainer(model).train()'
    assert "purpose" not in written(code, "TLP104")


def test_a_dtype_that_is_left_to_the_loader_is_that_of_a_training() -> None:
    code = 'model = AutoModelForCausalLM.from_pretrained("gpt2")\nTrainer(model).train()'
    despite = {"unsafe_fixes_despite": ("training", "saving"), "strict": True}
    assert written(code, "TLP102", **despite).endswith("generation_config=None, purpose='training')")


def test_a_house_loader_knows_no_purpose() -> None:
    code = PINNED + "Trainer(model).train()"
    assert "purpose" not in written(code, loader=Loader(module="mylab.loading"))
    assert "purpose" not in written(code, loader=Loader(module="mylab.loading"), fix_style="inline")


@pytest.mark.parametrize(
    ("trained", "purpose"),
    [
        ("Trainer(model).train()", "training"),
        ("Trainer(get_peft_model(model, LoraConfig())).train()", "finetune-adapters"),
        ("model.generate(ids)", None),
    ],
)
def test_the_inline_style_passes_the_purpose_to_the_resolver(trained: str, purpose: str | None) -> None:
    said = f", purpose='{purpose}'" if purpose else ""
    line = written(PINNED + trained, fix_style="inline")
    assert (
        line
        == f"AutoModelForCausalLM.from_pretrained('gpt2', device_map=resolve_device_map('gpt2', dtype=None{said}))"
    )


def test_the_inline_style_writes_the_dtype_of_a_training() -> None:
    despite = {"unsafe_fixes_despite": ("training", "saving"), "strict": True, "fix_style": "inline"}
    load = 'model = AutoModelForCausalLM.from_pretrained("gpt2")\n'
    assert "torch_dtype='float32'" in written(load + "Trainer(model).train()", "TLP102", **despite)
    assert "torch_dtype='bfloat16'" in written(load + "model.generate(ids)", "TLP102", **despite)
