"""The table of classes that cast their inputs, against models that run: a sample of them. The weekly workflow makes all of it."""

from __future__ import annotations

import importlib.util
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest

from benchmarks import casts_by_tests
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
    assert script.with_earlier(now, earlier, "5.1.0") == {
        "A": "casts",
        "B": "casts",
        "C": "casts",
        "D": "unknown: too large for the time that the script takes",
    }
    assert script.with_earlier(now, earlier, "5.2.0") == now


def test_the_table_says_why_a_class_has_no_answer(script: ModuleType) -> None:
    assert script.by_cause(
        {"A": "casts", "B": "unknown: 517 million parameters", "C": "unknown: x", "D": "unknown: y"}
    ) == {
        script._NO_INPUT: ["C", "D"],
        "too large for the time that the script takes": ["B"],
    }


def test_the_models_of_other_tests_are_judged_and_so_are_their_parts() -> None:
    import torch

    class Reads(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = torch.nn.Linear(2, 2)

        def forward(self, pixels: torch.Tensor, inputs_embeds: torch.Tensor | None = None) -> torch.Tensor:
            return self.layer(pixels)  # type: ignore[no-any-return]

    class ReadsEmbeddings(Reads): ...

    class Whole(torch.nn.Module):
        def __init__(self, config: object) -> None:
            super().__init__()
            self.scale = torch.nn.Parameter(torch.ones(1))
            self.reads, self.other = Reads(), ReadsEmbeddings()

        def forward(self, pixels: torch.Tensor) -> torch.Tensor:
            cast = pixels.to(self.scale.dtype)
            return self.reads(cast) + self.other(cast, inputs_embeds=cast)  # type: ignore[no-any-return]

    class OfTokens(Whole): ...

    def case(inputs: dict[str, torch.Tensor]) -> SimpleNamespace:
        tester = SimpleNamespace(prepare_config_and_inputs_for_common=lambda: (None, inputs))
        return SimpleNamespace(model_tester=tester, _prepare_for_class=lambda given, cls: given)

    wanted = {"Reads", "ReadsEmbeddings"}
    # The whole casts; the part does not; what another part made says nothing of a class.
    found = casts_by_tests.judged(case({"pixels": torch.ones(1, 2)}), Whole, wanted)
    assert found == {"Whole": "casts", "Reads": "fails"}
    found = casts_by_tests.judged(case({"pixels": torch.ones(1, 2)}), with_config(Reads), set())
    assert list(found.values()) == ["fails"]
    found = casts_by_tests.judged(case({"pixels": torch.ones(1, 2, dtype=torch.long)}), OfTokens, set())
    assert found["OfTokens"].startswith("unknown: transformers' test gives it no features")


def with_config(cls: type) -> type:
    """The class as one that is made with a config."""
    return type(cls.__name__, (cls,), {"__init__": lambda self, config: cls.__init__(self)})  # type: ignore[misc]


def test_a_class_without_an_answer_keeps_its_earlier_answer_or_cause(script: ModuleType) -> None:
    """A run that has less time, or fewer libraries, must not change the table: its diff shows answers."""
    text = script.TABLE.read_text(encoding="utf-8")
    (version,) = re.findall(r"on transformers ([\d.]+)\. Do not edit", text)
    earlier: dict[str, frozenset[str]] = {}
    exec(text, earlier)
    everything = earlier["CASTING"] | earlier["FAILING"] | earlier["UNKNOWN"]
    nothing = dict.fromkeys(everything, "unknown: not run")
    assert script.table(script.with_earlier(nothing, text, version), version) == text
    (one, *_) = sorted(earlier["UNKNOWN"])
    found = script.with_earlier(nothing | {one: "fails"}, text, version)
    assert found[one] == "fails"
    assert script.with_earlier(nothing, text, "0.0.0") == nothing
