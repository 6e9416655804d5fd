"""The table of classes that cast their inputs, against models that run: a sample of them. The weekly workflow makes all of it."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

from telepathy_lint.knowledge import input_casts

pytest.importorskip("torch")
pytest.importorskip("transformers")

SCRIPT = Path(__file__).resolve().parents[3] / "benchmarks" / "input_casts.py"
#: Modules whose models are small, of both kinds: images, speech, both with text.
SAMPLE = ("clip", "deit", "hubert", "resnet", "vit", "whisper")


@pytest.fixture(scope="module")
def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("input_casts_script", SCRIPT)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.slow
def test_the_table_says_what_models_do() -> None:
    done = subprocess.run(
        [sys.executable, "-W", "ignore", str(SCRIPT), *SAMPLE], capture_output=True, text=True, timeout=600
    )
    assert done.returncode == 0, done.stderr[-4000:]
    made: dict[str, frozenset[str]] = {}
    exec(done.stdout, made)
    assert len(made["CASTING"]) > 10 and len(made["FAILING"]) > 5
    # A class that another machine had no time for is in neither.
    assert made["CASTING"] - input_casts.CASTING - input_casts.UNKNOWN == set()
    assert made["FAILING"] - input_casts.FAILING - input_casts.UNKNOWN == set()
    assert not made["CASTING"] & input_casts.FAILING
    assert not made["FAILING"] & input_casts.CASTING


def test_a_class_without_an_answer_keeps_the_one_of_the_same_transformers(script: ModuleType) -> None:
    earlier = script.table({"A": "casts", "B": "fails", "C": "casts", "D": "unknown: took too long"}, "5.1.0")
    now = {"A": "unknown: not run", "B": "casts", "C": "unknown: no input is known", "D": "unknown: not run"}
    assert script.with_earlier(now, earlier, "5.1.0") == {**now, "A": "casts", "C": "casts"}
    assert script.with_earlier(now, earlier, "5.2.0") == now


def test_the_table_says_why_a_class_has_no_answer(script: ModuleType) -> None:
    assert script.by_cause(
        {"A": "casts", "B": "unknown: 517 million parameters", "C": "unknown: x", "D": "unknown: y"}
    ) == {
        script._NO_INPUT: ["C", "D"],
        "too large for the time that the script takes": ["B"],
    }
