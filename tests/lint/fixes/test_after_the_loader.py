"""After a fix to the loader, no finding is lost: all rules treat `load_model(...)` and `load_tokenizer(...)` as loads."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from telepathy_lint import engine
from telepathy_lint.commands import cli
from telepathy_lint.rules import all_rules, select
from telepathy_lint.run.lint_file import open_source
from telepathy_lint.settings import Settings

RULES = Path(__file__).resolve().parents[3] / "fixtures" / "rules"
BAD = sorted(path for path in RULES.glob("*/bad*.py") if not path.name.endswith(".fixed.py"))
#: Rules whose fix is the loader's call.
SHARED = [rule.meta.code for rule in all_rules() if rule.meta.setting is not None]
#: The loader logs the memory itself, which is what TLP901 asks for, and merges a generation config (TLP109).
EVERY = [
    rule.meta.code
    for rule in all_rules()
    if not rule.meta.project and rule.meta.code not in ("TLP109", "TLP901")
]
#: What a fix of one rule settles for another as well: the loader's decoding is greedy, its dtype fits FlashAttention.
ANSWERED = {"TLP105": ("TLP203",), "TLP103": ("TLP108",)}

#: A model whose `name_or_path` is given to another load: the loader's call counts as one that may set anything on it.
#: A map that the loader chooses is no longer one beside which a pipeline's `device` surely loses.
HANDED_ON = {"bad_from_4_57.py": ("TLP105",), "bad_object.py": ("TLP108",)}


def counts(source: object) -> Counter[str]:
    """With `strict`, because the default depends on what the call states, and a fix states more."""
    found = engine.lint(source, select(EVERY), Settings(strict=True))  # type: ignore[arg-type]
    return Counter(each.code for each in found)


@pytest.mark.parametrize("path", BAD, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_the_loaders_call_keeps_what_was_not_fixed(path: Path) -> None:
    source = open_source(path.name, path.read_bytes())
    before = counts(source)
    for code in SHARED:
        if code not in before:
            continue
        fixed = engine.fix(source, select([code]), Settings(strict=True), unsafe=True)
        if fixed.changed:
            after = counts(source.with_text(fixed.text))
            lost = before - after
            for answered in (code, *ANSWERED.get(code, ()), *HANDED_ON.get(path.name, ())):
                del lost[answered]
            assert not lost, f"after the fix of {code}"


MODEL = "AutoModelForCausalLM.from_pretrained('mistralai/Mistral-7B-v0.3'"
IMPORTS = "import torch\nfrom transformers import AutoModelForCausalLM\n"
#: Projects in which a load is evidence about another one; the fix makes the first a call of the loader.
PROJECTS = {
    "the other arm states a dtype": (
        "TLP102",
        f"def load(big):\n    if big:\n        model = {MODEL}, torch_dtype=torch.bfloat16, device_map='auto')\n"
        f"    else:\n        model = {MODEL})\n    return model\n",
    ),
    "the attempt states a dtype": (
        "TLP102",
        f"def load():\n    try:\n        return {MODEL}, torch_dtype=torch.bfloat16, device_map='auto')\n"
        f"    except ValueError:\n        return {MODEL})\n",
    ),
}


@pytest.mark.parametrize("name", PROJECTS)
def test_a_fixed_load_is_evidence_still(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    code, text = PROJECTS[name]
    (tmp_path / ".git").mkdir()
    (tmp_path / "load.py").write_text(IMPORTS + text)
    (tmp_path / "main.py").write_text("from load import load\nload(1)\n")
    monkeypatch.chdir(tmp_path)
    check = ["check", "-q", "--no-cache", "--output-format", "concise", "--select"]

    def found() -> str:
        cli.run([*check, code, "."])
        return capsys.readouterr().out

    assert found() == ""
    cli.run([*check, "TLP101", "--strict", "--fix", "."])
    capsys.readouterr()
    assert "load_model(" in (tmp_path / "load.py").read_text()
    assert found() == ""
    # Without the evidence, the rule speaks.
    fixed = (tmp_path / "load.py").read_text()
    (tmp_path / "load.py").write_text(fixed.replace("torch_dtype=torch.bfloat16", "dtype=None"))
    assert code in found()
