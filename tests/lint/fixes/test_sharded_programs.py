"""Programs under FSDP before and after every style of fixing, in two real processes that shard and gather between them.

`fixtures/programs/sharded` holds them: accelerate's plugin in both versions, what `accelerate launch` announces, a
Trainer's arguments, and PyTorch's own wrappers. The laws are those of test_programs.py, for each process.
"""

from __future__ import annotations

import importlib.util
import pickle
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Once
from tests.lint.fixes.test_differential import run_beside
from tests.lint.fixes.test_programs import ROOT, STYLES, Fixed, broken, jobs_of, tiny_models
from tests.runtime.two_processes import SIZE

SHARDED = {path.name: path for path in sorted((ROOT / "fixtures" / "programs" / "sharded").iterdir())}
QUICK = ("accelerator_trains.py", "launched_accelerate.py")
#: What `accelerate launch --use_fsdp --fsdp_version 2` puts into the environment. Only the first process reads the weights.
ANNOUNCED = {
    "ACCELERATE_USE_FSDP": "true",
    "ACCELERATE_MIXED_PRECISION": "no",
    "FSDP_VERSION": "2",
    "FSDP_AUTO_WRAP_POLICY": "TRANSFORMER_BASED_WRAP",
    "FSDP_TRANSFORMER_CLS_TO_WRAP": "LlamaDecoderLayer",
    "FSDP_STATE_DICT_TYPE": "FULL_STATE_DICT",
    "FSDP_CPU_RAM_EFFICIENT_LOADING": "true",
}

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="gloo's processes on the CPU")


def run_sharded(names: tuple[str, ...], base: Path, models: Path) -> list[Fixed]:
    """The runs of each process."""
    jobs, texts = jobs_of({name: SHARDED[name] for name in names}, base, models)
    given = []
    for rank in range(SIZE):
        scripts = [
            job
            | {
                "work": f"{job['work']}-{rank}",
                "environment": {"MEETING_FILE": str(base / f"meeting-{number}")}
                | (ANNOUNCED if name.startswith("launched_") else {}),
            }
            for number, ((name, _), job) in enumerate(jobs.items())
        ]
        given.append({"scripts": scripts, "rank": rank})
    found = []
    for results in run_beside(given, base):
        runs = dict(zip(jobs, results, strict=True))
        before = {name: runs[name, ""] for name in names}
        found.append(Fixed(before, {key: run for key, run in runs.items() if key[1]}, texts))
    return found


def sharded(once: Once, names: tuple[str, ...]) -> list[Fixed]:
    names = tuple(name for name in names if "peft" not in name or importlib.util.find_spec("peft"))
    models = tiny_models(once)

    def make(folder: Path) -> None:
        (folder / "runs.pickle").write_bytes(pickle.dumps(run_sharded(names, folder, models)))

    made: list[Fixed] = pickle.loads((once(f"sharded-{len(names)}", make) / "runs.pickle").read_bytes())
    return made


def is_sharded(run: dict[str, Any]) -> bool:
    return "FSDP" in run["printed"] or "FullyShardedDataParallel" in run["printed"]


@pytest.mark.slow
@pytest.mark.parametrize("name", QUICK)
def test_fixes_hold_under_fsdp(name: str, once: Once) -> None:
    for rank, runs in enumerate(sharded(once, QUICK)):
        assert broken(name, runs) == [], rank


@pytest.mark.exhaustive
@pytest.mark.parametrize("name", SHARDED)
def test_fixes_of_every_program_hold_under_fsdp(name: str, once: Once) -> None:
    for rank, runs in enumerate(sharded(once, tuple(SHARDED))):
        if name not in runs.before:
            pytest.skip("needs a library that is not there")
        assert broken(name, runs) == [], rank


@pytest.mark.exhaustive
def test_the_programs_are_sharded_and_fixed(once: Once) -> None:
    """Else the comparison above says nothing of FSDP."""
    runs = sharded(once, tuple(SHARDED))[0]
    assert [name for name, run in runs.before.items() if not is_sharded(run) and "torch_" not in name] == []
    changed = {name for name, _ in runs.texts}
    assert len(changed) >= len(runs.before) * 3 // 4, set(runs.before) - changed
    assert {style for _, style in runs.texts} >= {style for style, (_, unsafe) in STYLES.items() if unsafe}
