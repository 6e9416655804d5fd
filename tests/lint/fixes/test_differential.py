"""Original and rewritten scripts give the same results, or those that the rules' documentation promises.

Every script of `fixtures/experiments`, the notebook included, runs on tiny saved models:

- after the safe fixes (`--fix`): the same output, bit for bit; tensors are compared by fingerprints;
- after the safe rules alone (`--fix --select TLP101,TLP104`), which reach more loads: the same;
- after `--fix --unsafe-fixes`: what the *original* prints once the documented change is made to its loads by hand
  (tests/lint/fixes/run_scripts.py), so the documented change and nothing else.
"""

from __future__ import annotations

import contextlib
import importlib.metadata
import importlib.util
import json
import os
import pickle
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from telepathy_lint import engine
from telepathy_lint.rules import select
from telepathy_lint.run.lint_file import open_source
from telepathy_lint.settings import Settings
from tests.checkpoints import STOP_IDS, build
from tests.conftest import Once

if not all(importlib.util.find_spec(name) for name in ("torch", "transformers", "accelerate")):
    pytest.skip("needs torch, transformers and accelerate", allow_module_level=True)

ROOT = Path(__file__).resolve().parents[3]
EXPERIMENTS = ROOT / "fixtures" / "experiments"
HELPERS = {"reporting.py", "memory_configs.py", "model_utils.py"}
SCRIPTS = sorted(
    path.name
    for path in EXPERIMENTS.iterdir()
    if path.suffix in (".py", ".ipynb") and path.name not in HELPERS
)
GOOD = sorted(f"good/{path.name}" for path in (EXPERIMENTS / "good").glob("*.py") if path.name not in HELPERS)
KINDS = ("llama", "mistral", "qwen2")
#: The default suite runs the scripts with models of the first kind.
EACH_KIND = pytest.mark.parametrize(
    "kind",
    [
        KINDS[0],
        pytest.param("mistral", marks=pytest.mark.exhaustive),
        pytest.param("qwen2", marks=pytest.mark.slow),
    ],
)


@dataclass(frozen=True)
class Variant:
    """A way to fix the tree: the rules, and whether to apply unsafe fixes."""

    select: tuple[str, ...] | None
    unsafe: bool


VARIANTS = {
    "safe": Variant(None, unsafe=False),
    "unsafe": Variant(None, unsafe=True),
}


@dataclass(frozen=True)
class Outcomes:
    """The results of all runs by (variant, script, kind); rewritten texts by (variant, script)."""

    runs: dict[tuple[str, str, str], dict[str, Any]]
    changed: dict[tuple[str, str], bool]
    fixed: dict[str, dict[str, list[str]]]


def fix_tree(folder: Path, variant: Variant) -> dict[str, bool]:
    """Fix a copy of the experiments in place; whether each script, or a module it imports, was changed."""
    changed = {}
    for path in sorted(folder.glob("*.py")) + sorted(folder.glob("*.ipynb")):
        source = open_source(path.name, path.read_bytes())
        fixed = engine.fix(source, select(variant.select), Settings(strict=True), unsafe=variant.unsafe)
        path.write_bytes(source.with_text(fixed.text).data)
        changed[path.name] = fixed.changed
    if changed["model_utils.py"]:
        changed["relay_with_utils.py"] = True
    return changed


def fixed_codes(folder: Path) -> dict[str, list[str]]:
    """`file:cell:line` of every load that `--unsafe-fixes` rewrites, with the codes that it is rewritten for."""
    places: dict[str, list[str]] = {}
    for path in sorted(folder.glob("*.py")) + sorted(folder.glob("*.ipynb")):
        for found in engine.lint(open_source(path.name, path.read_bytes()), select(), Settings(strict=True)):
            if found.fix is not None and found.fix.safety != "display" and found.site is not None:
                span = found.site.span
                places.setdefault(f"{path.name}:{max(span.cell, 0)}:{span.line}", []).append(found.code)
    return places


def run_all(
    jobs: Sequence[dict[str, Any]], folder: Path, python: str | None = None, machine: str | None = None
) -> list[dict[str, Any]]:
    """All jobs in one process, of this interpreter or of another one, on a machine of tests/runtime/machines.py."""
    (results,) = run_beside([{"scripts": list(jobs), "machine": machine}], folder, python)
    return results


def run_beside(
    given: Sequence[dict[str, Any]], folder: Path, python: str | None = None
) -> list[list[dict[str, Any]]]:
    """What each of several processes, which run at the same time, makes of its jobs."""
    environment = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("LOCAL_", "RANK", "WORLD_SIZE", "SLURM_", "OMPI_", "ACCELERATE_", "HF_"))
    }
    environment |= {
        "PYTHONPATH": str(ROOT),
        "PYTHONDONTWRITEBYTECODE": "1",
        "HF_HUB_OFFLINE": "1",
        "TRANSFORMERS_VERBOSITY": "error",
        "OMP_NUM_THREADS": "1",
        "CUDA_VISIBLE_DEVICES": "",
    }
    command = [python or sys.executable, "-W", "ignore", "-m", "tests.lint.fixes.run_scripts"]
    with tempfile.TemporaryDirectory() as base, contextlib.ExitStack() as started:
        running = []
        for number, each in enumerate(given):
            jobs, out, errors = (Path(base) / f"{name}-{number}" for name in ("jobs", "results", "errors"))
            jobs.write_text(json.dumps(each), encoding="utf-8")
            with jobs.open() as stdin, out.open("w") as stdout, errors.open("w") as stderr:
                process = subprocess.Popen(
                    command, stdin=stdin, stdout=stdout, stderr=stderr, cwd=folder, env=environment
                )
            started.callback(process.kill)
            running.append((process, out, errors))
        for process, _, errors in running:
            assert process.wait(timeout=600) == 0, errors.read_text(encoding="utf-8")[-4000:]
        return [json.loads(out.read_text(encoding="utf-8")) for _, out, _ in running]


@pytest.fixture(scope="session")
def outcomes_of(once: Once) -> Callable[[str], Outcomes]:
    """All runs with models of one kind, once for all test processes."""

    @cache
    def of(kind: str) -> Outcomes:
        def make(folder: Path) -> None:
            (folder / "outcomes.pickle").write_bytes(pickle.dumps(run_everything(folder, kind)))

        made: Outcomes = pickle.loads((once(f"differential-{kind}", make) / "outcomes.pickle").read_bytes())
        return made

    return of


@pytest.fixture
def outcomes(request: pytest.FixtureRequest, outcomes_of: Callable[[str], Outcomes]) -> Outcomes:
    """The runs for a test's kind of model."""
    return outcomes_of(
        request.node.callspec.params.get("kind", KINDS[0]) if hasattr(request.node, "callspec") else KINDS[0]
    )


def run_everything(base: Path, kind: str) -> Outcomes:
    build(kind, base / "models" / kind)

    folders = {"original": EXPERIMENTS}
    changed: dict[tuple[str, str], bool] = {}
    for name, variant in VARIANTS.items():
        folders[name] = base / name
        shutil.copytree(EXPERIMENTS, folders[name], ignore=shutil.ignore_patterns("__pycache__"))
        for script, did in fix_tree(folders[name], variant).items():
            changed[name, script] = did

    places = fixed_codes(EXPERIMENTS)
    jobs: dict[tuple[str, str, str], dict[str, Any]] = {}
    model = str(base / "models" / kind)
    for script in SCRIPTS:
        path = str(EXPERIMENTS / script)
        jobs["original", script, kind] = {"path": path, "model": model}
        jobs["oracle", script, kind] = {"path": path, "model": model, "changes": places}
        for name in VARIANTS:
            if changed[name, script]:  # an unchanged text is the original
                jobs[name, script, kind] = {"path": str(folders[name] / script), "model": model}
    if kind == KINDS[0]:
        for script in GOOD:
            jobs["good", script, kind] = {"path": str(EXPERIMENTS / script), "model": model}

    runs = dict(zip(jobs, run_all(list(jobs.values()), base), strict=True))
    return Outcomes(runs, changed, {"unsafe": places})


def transformers_before(*version: int) -> bool:
    """Whether the installed transformers is older: some scripts use what it does not have yet."""
    installed = importlib.metadata.version("transformers").split(".")
    return tuple(map(int, installed[:2])) < version


def result(run: dict[str, Any]) -> str:
    """The output of a run, or its traceback."""
    assert run["error"] is None, run["error"]
    assert run["printed"].strip(), "the script printed nothing"
    return str(run["printed"])


@EACH_KIND
@pytest.mark.parametrize("script", SCRIPTS)
def test_safe_fixes_keep_every_bit(outcomes: Outcomes, script: str, kind: str) -> None:
    before = outcomes.runs["original", script, kind]
    if outcomes.changed["safe", script]:
        after = outcomes.runs["safe", script, kind]
        assert result(after) == result(before)
        assert after["models"] == before["models"]
        assert after["tokenizers"] == before["tokenizers"]


@EACH_KIND
@pytest.mark.parametrize("script", SCRIPTS)
def test_unsafe_fixes_change_what_they_document_and_nothing_else(
    outcomes: Outcomes, script: str, kind: str
) -> None:
    if not outcomes.changed["unsafe", script]:
        assert result(outcomes.runs["original", script, kind])
        return
    after, oracle = outcomes.runs["unsafe", script, kind], outcomes.runs["oracle", script, kind]
    assert result(after) == result(oracle)
    assert after["tokenizers"] == oracle["tokenizers"]
    for rewritten, expected in zip(after["models"], oracle["models"], strict=True):
        for key in ("class", "dtype", "weights", "attention", "devices"):
            assert rewritten[key] == expected[key], key


@EACH_KIND
def test_what_unsafe_fixes_promise(outcomes: Outcomes, kind: str) -> None:
    """The reference is also our code, so this test checks the loaded models against the documentation."""
    before = outcomes.runs["original", "class_table.py", kind]
    after = outcomes.runs["unsafe", "class_table.py", kind]
    (old,), (new,) = before["models"], after["models"]
    assert (old["dtype"], new["dtype"]) == ("torch.float16", "torch.bfloat16")
    assert old["class"] == new["class"]
    assert old["generation"]["do_sample"]
    assert old["generation"]["repetition_penalty"] != 1.0
    assert not new["generation"].get("do_sample")
    # The 256 new tokens are a default beside the config: any length that is stated wins over them.
    assert new["generation"]["max_new_tokens"] is None
    assert new["generation"].get("repetition_penalty", 1.0) == 1.0
    assert new["generation"]["eos_token_id"] == list(STOP_IDS) == old["generation"]["eos_token_id"]
    assert old["devices"] == new["devices"] == ["cpu"]
    (old_tokenizer,), (new_tokenizer,) = before["tokenizers"], after["tokenizers"]
    # transformers 5 makes a Qwen2Tokenizer of any tokenizer beside a Qwen2 config, which brings a pad token of its own.
    assert old_tokenizer["pad"] is None or kind == "qwen2"
    assert new_tokenizer["pad"] is not None
    assert old_tokenizer["pad"] in (None, new_tokenizer["pad"])
    assert new_tokenizer["size"] == old_tokenizer["size"]


@EACH_KIND
def test_a_change_of_precision_loads_the_same_weights(outcomes: Outcomes, kind: str) -> None:
    (old,) = outcomes.runs["original", "eval_perplexity.py", kind]["models"]
    (new,) = outcomes.runs["unsafe", "eval_perplexity.py", kind]["models"]
    assert (old["dtype"], new["dtype"]) == ("torch.float32", "torch.bfloat16")
    assert old["weights"] == new["weights"]


@EACH_KIND
def test_a_length_said_at_the_call_still_holds(outcomes: Outcomes, kind: str) -> None:
    """mac_probe.py has `generate(max_length=48)`, which the default of 256 new tokens must not override."""
    if outcomes.runs["original", "mac_probe.py", kind]["error"] and transformers_before(4, 56):
        pytest.skip("the script says dtype=, which transformers takes from 4.56 on")
    for name in ("original", "unsafe"):
        assert len(json.loads(result(outcomes.runs[name, "mac_probe.py", kind]))["text"]) <= 48, name


def test_enough_is_compared(outcomes: Outcomes) -> None:
    """The comparisons above are not vacuous."""
    compared = {name: sum(outcomes.changed[name, script] for script in SCRIPTS) for name in VARIANTS}
    assert compared["safe"] >= 8
    assert compared["unsafe"] >= 14


@pytest.mark.parametrize("script", GOOD)
def test_the_good_counterparts_run(outcomes: Outcomes, script: str) -> None:
    assert result(outcomes.runs["good", script, KINDS[0]])


def test_the_linter_is_silent_on_the_good_counterparts() -> None:
    for path in sorted((EXPERIMENTS / "good").glob("*.py")):
        assert not engine.lint(open_source(path.name, path.read_bytes()), select(), Settings()), path.name
