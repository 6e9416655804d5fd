"""Evidence in the modules that get what a helper loads: it prevents the fix in the helper, and names the module."""

from __future__ import annotations

from pathlib import Path

import pytest

from telepathy_lint import engine
from telepathy_lint.facts import evidence
from telepathy_lint.flow.project import Modules
from telepathy_lint.flow.tree import Tree
from telepathy_lint.rules import select
from telepathy_lint.run.lint_file import open_source
from telepathy_lint.settings import Settings

HELPER = """\
from transformers import AutoModelForCausalLM, AutoTokenizer

def load(name):
    tokenizer = AutoTokenizer.from_pretrained(name)
    return AutoModelForCausalLM.from_pretrained(name), tokenizer
"""
START = "from lib.helper import load\nmodel, tokenizer = load('gpt2')\n"
#: What a module that calls the helper does on its third line -> the kind of evidence, and the codes that it holds back.
USES = {
    "arguments = TrainingArguments('out', fp16=config['fp16'])": ("float16-amp", "102"),
    "optimizer = torch.optim.AdamW(model.parameters())": ("training", "102"),
    "rows = model(x).last_hidden_state.numpy()": ("numpy", "102"),
    "tokenizer.save_pretrained('out')": ("saving", "102 201"),
    "model.generate(x, temperature=0.7)": ("sampling", "105"),
    "arguments = Seq2SeqTrainingArguments('out', generation_max_length=225)": ("length", "105"),
    "settings = dict(temperature=0.7)": ("sampling", "105"),
    "config = GenerationConfig(max_length=20)": ("length", "105"),
    "settings = {'max_length': 20}": ("length", "105"),
    'settings = {"max_length": 20}': ("length", "105"),
    "settings = dict(max_length=20)": ("length", "105"),
    "import numpy as N; rows = N.array(model(x))": ("numpy", "102"),
    "torch.onnx.export(model, x, 'a.onnx')": ("saving", "102 201"),
    "pickle.dump(tokenizer, file)": ("saving", "102 201"),
    "print(model.generate(x))": (None, ""),
    "rows = tokenizer(x, max_length=20)": (None, ""),
    "json.dump(settings, file)": (None, ""),
}
CODES = ("TLP102", "TLP105", "TLP201")


def reasons(folder: Path, **files: str) -> dict[str, str | None]:
    """Code -> why its fix in the helper is held back, None if it is not."""
    (folder / "lib").mkdir()
    (folder / "pyproject.toml").touch()
    for name, text in files.items():
        (folder / f"{name}.py").write_text(text)
    path = folder / "lib" / "helper.py"
    path.write_text(HELPER)
    found = engine.lint(
        open_source(str(path), path.read_bytes()), select(CODES), Settings(strict=True), project=Modules()
    )
    assert {each.code for each in found} == set(CODES)
    return {each.code: each.fix.reason for each in found if each.fix is not None}


@pytest.mark.parametrize("use", USES)
def test_a_module_that_calls_the_helper_holds_fixes_back(use: str, tmp_path: Path) -> None:
    kind, codes = USES[use]
    held = {f"TLP{code}" for code in codes.split()}
    found = reasons(tmp_path, train=f"{START}{use}\n")
    assert {code for code, reason in found.items() if reason is not None} == held
    for code in held:
        assert found[code] == f"line 3 of train.py {evidence.KINDS[str(kind)]}"


def test_so_does_one_that_gets_the_object_from_there(tmp_path: Path) -> None:
    between = "from lib.helper import load\n\ndef both(name):\n    return load(name)\n"
    last = "from between import both\nmodel, _ = both('gpt2')\nmodel.generate(x, temperature=0.7)\n"
    assert reasons(tmp_path, between=between, last=last)["TLP105"] is not None


def test_a_module_that_does_not_get_the_object_does_not(tmp_path: Path) -> None:
    found = reasons(
        tmp_path,
        alone="optimizer = torch.optim.AdamW(model.parameters())\nmodel.generate(x, temperature=0.7)\n",
        other="from lib.helper import VERSION\nmodel.generate(x, temperature=0.7)\n",
    )
    assert set(found.values()) == {None}


def test_an_owner_can_overrule_it(tmp_path: Path) -> None:
    reasons(tmp_path, train=f"{START}model.generate(x, temperature=0.7)\n")
    path = tmp_path / "lib" / "helper.py"
    settings = Settings(strict=True, unsafe_fixes_despite=("sampling",))
    (one,) = engine.lint(
        open_source(str(path), path.read_bytes()), select(["TLP105"]), settings, project=Modules()
    )
    assert one.fix is not None and one.fix.safety == "unsafe"


def test_only_modules_with_a_word_of_evidence_are_parsed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    parsed = []
    tree = Modules.tree

    def noted(modules: Modules, path: str) -> Tree | None:
        parsed.append(Path(path).name)
        return tree(modules, path)

    monkeypatch.setattr(Modules, "tree", noted)
    monkeypatch.setattr(f"{__name__}.CODES", ("TLP105",))
    words = "rows = tokenizer(x, max_length=20)\nprint(model.generate(rows))\n"
    assert reasons(tmp_path, plain=f"{START}{words}", other=f"{START}model.temperature = 1\n") == {
        "TLP105": None
    }
    assert parsed == ["other.py"]
