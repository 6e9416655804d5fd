"""Tests of a project that replace a class: they hold back the fix of its load, and keep its import."""

from __future__ import annotations

from pathlib import Path

import pytest

from telepathy_lint import engine
from telepathy_lint.facts import evidence
from telepathy_lint.flow.project import Modules
from telepathy_lint.rules import select
from telepathy_lint.run.lint_file import open_source
from telepathy_lint.settings import Settings

MODEL = """\
import transformers
from transformers import AutoModelForCausalLM, AutoTokenizer as AT

def load(name):
    return AutoModelForCausalLM.from_pretrained(name, device_map="auto"), AT.from_pretrained(name)

def vision(name):
    return transformers.AutoModelForImageTextToText.from_pretrained(name)
"""
CODES = ("TLP101", "TLP102", "TLP104", "TLP105", "TLP201")
CAUSAL, TOKENIZER, VISION, EVERY = {5: 4}, {5: 1}, {8: 3}, {5: 5, 8: 3}
#: The last line of a test -> for each line of the module, how many fixes it holds back.
HOLDING = {
    '@mock.patch("pkg.model.AutoModelForCausalLM")': CAUSAL,
    '@patch("pkg.model.AutoModelForCausalLM.from_pretrained", return_value=1)': CAUSAL,
    '@patch("transformers.AutoModelForCausalLM.from_pretrained")': CAUSAL,
    '@patch("transformers.PreTrainedModel.from_pretrained")': EVERY,
    'monkeypatch.setattr(model, "AutoModelForCausalLM", Fake)': CAUSAL,
    'monkeypatch.setattr("pkg.model.AutoModelForCausalLM", Fake)': CAUSAL,
    'monkeypatch.setattr(AutoModelForCausalLM, "from_pretrained", fake)': CAUSAL,
    "mocker.patch(f'{MODULE}.AutoModelForCausalLM')": CAUSAL,
    'mocker.patch.object(model.AutoModelForCausalLM, "from_pretrained")': CAUSAL,
    'mock.patch.multiple("pkg.model", AutoModelForCausalLM=DEFAULT, load=DEFAULT)': CAUSAL,
    "model.AutoModelForCausalLM = Fake": CAUSAL,
    "AutoModelForCausalLM.from_pretrained = classmethod(lambda cls, name: None)": CAUSAL,
    '@mock.patch("pkg.model.AT")': TOKENIZER,
    '@mock.patch("pkg.model.transformers")': VISION,
    '@mock.patch("pkg.model.transformers.AutoModelForImageTextToText")': VISION,
    'sys.modules["transformers"] = Mock()': EVERY,
    'monkeypatch.setitem(sys.modules, "transformers", Fake())': EVERY,
    'patch.dict("sys.modules", {"torch": Mock(), "transformers": Mock()})': EVERY,
    'for name in ["torch", "transformers"]: sys.modules[name] = Mock()': EVERY,
    'sys.modules.update({"transformers": Mock()})': EVERY,
    # others
    '@mock.patch("pkg.other.AutoModelForCausalLM")': {},
    '@mock.patch("pkg.model.load")': {},
    '@mock.patch("pkg.model.AutoConfig")': {},
    '@mock.patch("transformers.AutoConfig.from_pretrained")': {},
    'importlib.reload(sys.modules["transformers"])': {},
    'assert "transformers" in sys.modules': {},
    'sys.modules["torch"] = Mock()': {},
    'print("pkg.model.AutoModelForCausalLM")': {},
}


def project(folder: Path, test: str, module: str = MODEL) -> Path:
    for name, text in {
        "pyproject.toml": "",
        "pkg/__init__.py": "",
        "pkg/model.py": module,
        "tests/test_model.py": f"from unittest import mock\nfrom pkg import model\nfrom pkg.model import load\n{test}\n",
    }.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(text)
    return folder / "pkg" / "model.py"


def settings(**values: object) -> Settings:
    return Settings(strict=True)._replace(**values)


def reasons(path: Path, **values: object) -> dict[int, list[str]]:
    """Line -> why its fixes are held back."""
    source = open_source(str(path), path.read_bytes())
    found = engine.lint(source, select(CODES), settings(**values), project=Modules())
    assert len(found) == 8
    held: dict[int, list[str]] = {}
    for each in found:
        if each.fix is not None and each.fix.reason is not None:
            held.setdefault(each.line, []).append(each.fix.reason)
    return held


def fixed(path: Path, **values: object) -> str:
    source = open_source(str(path), path.read_bytes())
    return engine.fix(source, select(CODES), settings(**values), unsafe=True, project=Modules()).text


@pytest.mark.parametrize("test", HOLDING)
def test_a_test_that_replaces_the_class_holds_its_fixes_back(test: str, tmp_path: Path) -> None:
    path = project(tmp_path, test)
    held = reasons(path)
    assert {line: len(each) for line, each in held.items()} == HOLDING[test]
    words = {f"line 4 of tests/test_model.py {evidence.KINDS['patched']}"}
    assert {reason for each in held.values() for reason in each} <= words


def test_a_conftest_does_too(tmp_path: Path) -> None:
    path = project(tmp_path, "")
    assert reasons(path) == {}
    (tmp_path / "conftest.py").write_text('import sys\nsys.modules["transformers"] = object()\n')
    assert reasons(path)[8][0].startswith("line 2 of conftest.py ")


def test_the_call_stays_in_both_styles_and_an_owner_can_overrule_it(tmp_path: Path) -> None:
    path = project(tmp_path, '@mock.patch("pkg.model.AutoModelForCausalLM")')
    for style in ("loader", "inline"):
        text = fixed(path, fix_style=style)
        assert 'AutoModelForCausalLM.from_pretrained(name, device_map="auto")' in text
        assert text != MODEL
    assert reasons(path, unsafe_fixes_despite=("patched",)) == {}
    assert "AutoModelForCausalLM.from_pretrained" not in fixed(path, unsafe_fixes_despite=("patched",))


ONE = """\
from transformers import AutoModelForCausalLM

def load(name):
    return AutoModelForCausalLM.from_pretrained(name)
"""


@pytest.mark.parametrize(
    ("other", "kept"),
    [
        ("from pkg.model import AutoModelForCausalLM, load", True),
        ("from pkg.model import (\n    load,\n    AutoModelForCausalLM as Causal,\n)", True),
        ("from pkg.model import *\nprint(AutoModelForCausalLM)", True),
        ("import pkg.model as m\nprint(m.AutoModelForCausalLM)", True),
        ('@mock.patch("pkg.model.AutoModelForCausalLM")', True),
        ("from pkg.model import load", False),
        ("from pkg.model import load\nfrom transformers import AutoModelForCausalLM", False),
        ("from pkg.model import load\nimport transformers\nprint(transformers.AutoModelForCausalLM)", False),
        ("from pkg.model import *\nfrom transformers import AutoModelForCausalLM", False),
    ],
)
def test_an_import_that_others_use_stays(other: str, kept: bool, tmp_path: Path) -> None:
    text = fixed(project(tmp_path, other, ONE), unsafe_fixes_despite=("patched",))
    assert "load_model(" in text
    assert ("AutoModelForCausalLM" in text) is kept
