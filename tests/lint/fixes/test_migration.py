"""The migration to transformers 5: the documented example, and fixed scripts run with the installed version."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import re
import shlex
from pathlib import Path
from typing import Any

import pytest

from telepathy_lint import engine
from telepathy_lint import rules as registry
from telepathy_lint.commands import cli
from telepathy_lint.settings import Settings
from telepathy_lint.source.text import Source
from tests import checkpoints
from tests.probing import described, listening

GUIDE = Path(__file__).resolve().parents[3] / "docs" / "migrate-to-transformers-5.md"
HAS_LIBRARY = all(importlib.util.find_spec(name) for name in ("torch", "transformers", "accelerate"))
VERSION = (Settings(importlib.metadata.version("transformers")).target_version if HAS_LIBRARY else None) or (
    0,
    0,
)
FIVE = VERSION >= (5, 0)


def blocks(language: str) -> list[str]:
    return re.findall(
        rf"^```{language}\n(.*?)^```", GUIDE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL
    )


def test_the_guide_does_what_it_shows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    before, after = blocks("python")
    _, console = blocks("console")
    command, _, output = console.partition("\n")
    monkeypatch.chdir(tmp_path)
    Path("load.py").write_text(before)
    assert cli.run(shlex.split(command.removeprefix("$ telepathy-lint "))) == 1
    assert capsys.readouterr().out == output
    assert Path("load.py").read_text() == after


def test_the_first_command_is_one_that_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    command = blocks("console")[0].removeprefix("$ telepathy-lint ")
    monkeypatch.chdir(tmp_path)
    before, _ = blocks("python")
    Path("load.py").write_text(before)
    assert cli.run(shlex.split(command)) == 1
    assert "use_auth_token" not in Path("load.py").read_text()


def test_the_table_names_what_the_rule_knows() -> None:
    from telepathy_lint.knowledge.load_arguments import OLD, OLD_CLASSES

    text = GUIDE.read_text(encoding="utf-8")
    named = [old.name for old in OLD if not old.generative] + list(OLD_CLASSES)
    assert not [name for name in named if f"`{name}" not in text]


# ---- fixed scripts


@pytest.fixture(scope="module")
def llama(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(checkpoints.build("llama", tmp_path_factory.mktemp("migration") / "llama", pad="reserved"))


SCRIPTS = {
    "whatever the version": (
        None,
        """\
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer, GenerationConfig
EIGHT = FOUR = FLASH = False
config = AutoConfig.from_pretrained(PATH, use_auth_token=None)
tokenizer = AutoTokenizer.from_pretrained(PATH, use_auth_token=None, resume_download=True)
generation = GenerationConfig.from_pretrained(PATH, mirror="tuna")
model = AutoModelForCausalLM.from_pretrained(
    PATH, use_auth_token=None, resume_download=True, load_in_8bit=EIGHT, load_in_4bit=FOUR, torch_dtype="float16"
)
""",
    ),
    "flags that are off": (
        None,
        """\
from transformers import AutoModelForCausalLM
model = AutoModelForCausalLM.from_pretrained(PATH, load_in_8bit=False, load_in_4bit=False, torch_dtype="float16")
""",
    ),
    "from 4.57": (
        "4.57",
        """\
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, pipeline
model = AutoModelForCausalLM.from_pretrained(
    PATH,
    torch_dtype=torch.float16,  # half
    low_cpu_mem_usage=True,
    _fast_init=False,
)
tokenizer = AutoTokenizer.from_pretrained(PATH, device_map="auto")
ask = pipeline("text-generation", model=PATH, tokenizer=tokenizer, torch_dtype=torch.float16)
text = ask("ab", max_new_tokens=4, do_sample=False)
""",
    ),
}


@pytest.mark.skipif(not HAS_LIBRARY, reason="needs torch, transformers and accelerate")
@pytest.mark.parametrize("name", SCRIPTS)
def test_fixed_scripts_load_the_same(name: str, llama: str) -> None:
    target, script = SCRIPTS[name]
    if target is not None and (Settings(target).target_version or VERSION) > VERSION:
        pytest.skip(f"for projects that run on {target} and later")
    script = f"PATH = {llama!r}\n{script}"
    rules, settings = registry.select(["TLP107", "TLP108"]), Settings(target)
    fixed = engine.fix(Source("script.py", script.encode()), rules, settings, unsafe=False)
    assert fixed.changed
    assert not engine.lint(Source("script.py", fixed.text.encode()), rules, settings)

    def run(text: str) -> dict[str, Any]:
        names: dict[str, Any] = {}
        exec(compile(text, "script.py", "exec"), names)
        return names

    with listening() as seen:
        after = run(fixed.text)
    assert str(after["model"].dtype) == "torch.float16"
    # Only `torch_dtype` is left to a project that may run on versions without `dtype`.
    rest = seen.text.replace("`torch_dtype` is deprecated", "") if target is None else seen.text
    assert "deprecated" not in rest
    if not FIVE or target is not None:
        before = run(script)
        assert described(before["model"]) == described(after["model"])
        assert before.get("text") == after.get("text")
    else:
        with pytest.raises(TypeError, match="unexpected keyword argument"):
            run(script)
