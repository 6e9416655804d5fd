"""Whole programs before and after every style of fixing: what they print, load, place and save.

`fixtures/programs` holds small programs, each with a shape that a fix could break. Every one runs on tiny models
(tests/tiny_models.py) as it is written and after each way of fixing it. The laws:

- a safe fix changes nothing of what is recorded;
- an unsafe fix makes no program fail that ran before, and changes nothing that is saved. Nor what is printed: the programs
  print only what the fix's documentation does not say that it changes (shapes, types, lengths, what was said to the call);
- a fix that is held back says why. A fault that is found enters as a program.

The programs of `fixtures/programs/placed` run on machines that are not here (tests/runtime/pretended.py), and where each
parameter lies is compared as well. A safe fix moves none; after an unsafe fix the program still runs. If a launcher starts
several processes of a program in which none is seen, a safe fix gives each process a GPU and changes nothing else.
"""

from __future__ import annotations

import importlib.util
import os
import pickle
import re
import subprocess
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from telepathy_lint import engine
from telepathy_lint.facts import evidence, placement
from telepathy_lint.rules import select
from telepathy_lint.run.lint_file import open_source
from telepathy_lint.settings import Settings
from tests.conftest import Once
from tests.lint.fixes.test_differential import run_all, transformers_before
from tests.runtime.machines import MACHINES
from tests.tiny_models import build_all

if not all(importlib.util.find_spec(name) for name in ("torch", "transformers", "accelerate")):
    pytest.skip("needs torch, transformers and accelerate", allow_module_level=True)

ROOT = Path(__file__).resolve().parents[3]
PROGRAMS = {path.name: path for path in sorted((ROOT / "fixtures" / "programs").iterdir()) if path.is_file()}
PLACED = {path.name: path for path in sorted((ROOT / "fixtures" / "programs" / "placed").iterdir())}
#: A machine of another kind, on which the exhaustive tests run some of the placed programs first, and those.
QUICK_MACHINES = ("Mac",)
#: The machines that the slow tests run every placed program on; `-m exhaustive` runs the others.
USUAL = ("one GPU", "torchrun")
#: Under ZeRO-3, transformers refuses every device map, so no such program runs before its fix.
LAUNCHED = tuple(
    name for name, machine in MACHINES.items() if machine.launcher.distributed and machine.sharding != "zero3"
)
QUICK_PLACED = ("auto_generate.py", "auto_max_memory.py", "cuda_conditional.py", "cuda_hook.py")
#: Those of the default suite: one of each kind, and what once broke in the most surprising way.
QUICK = (
    "audio_whisper.py", "decode_greedy.py", "embed_numpy.py", "fallback_os_error.py", "head_linear.py",
    "hook_adds_vector.py", "none_with_state_dict.py", "peft_merge.py", "save_plain.py", "soft_prompt.py",
    "train_loop_adamw.py", "vision_vit.py",
)  # fmt: skip
STYLES = {
    f"{style} {safety}": (style, safety == "unsafe")
    for style in ("loader", "inline")
    for safety in ("safe", "unsafe")
}
#: Part of a program's name -> the library without which it does not run.
_NEEDS = {"peft": "peft", "notebook": "IPython"}


#: Programs that a fix is known to break.
KNOWN: dict[str, str] = {}


class Fixed(NamedTuple):
    """Each program's run before and after each fix style that changed it."""

    before: dict[str, dict[str, Any]]
    after: dict[tuple[str, str], dict[str, Any]]
    texts: dict[tuple[str, str], str]


#: An interpreter with another transformers, on which the programs run as well: `TELEPATHY_OTHER_PYTHON=.../bin/python`.
OTHER = os.environ.get("TELEPATHY_OTHER_PYTHON")


def tiny_models(once: Once, python: str | None = None) -> Path:
    """The folder of the tiny models, built once for all programs and machines; each transformers builds its own."""

    def make(folder: Path) -> None:
        if python is None:
            build_all(folder)
            return
        built = subprocess.run(
            [python, "-W", "ignore", "-m", "tests.tiny_models", str(folder)],
            capture_output=True,
            text=True,
            cwd=ROOT,
            timeout=600,
        )
        assert built.returncode == 0, built.stderr[-4000:]

    return once("tiny-models" if python is None else "tiny-models-elsewhere", make)


def run_programs(
    paths: dict[str, Path],
    base: Path,
    models: Path,
    python: str | None = None,
    machine: str | None = None,
) -> Fixed:
    jobs, texts = jobs_of(paths, base, models)
    runs = dict(zip(jobs, run_all(list(jobs.values()), base, python, machine), strict=True))
    before = {name: runs[name, ""] for name in paths}
    return Fixed(before, {key: run for key, run in runs.items() if key[1]}, texts)


def jobs_of(
    paths: dict[str, Path], base: Path, models: Path
) -> tuple[dict[tuple[str, str], dict[str, Any]], dict[tuple[str, str], str]]:
    """The jobs of each program as it is ("") and in each style that changes it, and the fixed texts, written to `base`."""
    jobs: dict[tuple[str, str], dict[str, Any]] = {}
    texts: dict[tuple[str, str], str] = {}

    def job(style: str, path: Path) -> dict[str, Any]:
        work = base / "work" / style.replace(" ", "-") / path.stem
        return {"path": str(path), "model": "gpt2", "work": str(work), "models": str(models)}

    for name, path in paths.items():
        source = open_source(name, path.read_bytes())
        jobs[name, ""] = job("original", path)
        for style, (fix_style, unsafe) in STYLES.items():
            fixed = engine.fix(
                source, select(), Settings(strict=True)._replace(fix_style=fix_style), unsafe=unsafe
            )
            if not fixed.changed:
                continue
            folder = base / "fixed" / style.replace(" ", "-")
            folder.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(source.with_text(fixed.text).data)
            texts[name, style] = fixed.text
            jobs[name, style] = job(style, folder / name)
    return jobs, texts


@pytest.fixture(scope="session")
def quick(once: Once) -> Fixed:
    return _once(once, "programs-quick", QUICK)


@pytest.fixture(scope="session")
def everything(once: Once) -> Fixed:
    return _once(once, "programs", tuple(PROGRAMS))


@pytest.fixture(scope="session")
def elsewhere(once: Once) -> Fixed:
    return _once(once, "programs-elsewhere", tuple(PROGRAMS), OTHER)


def _once(once: Once, name: str, names: tuple[str, ...], python: str | None = None) -> Fixed:
    names = tuple(
        each
        for each in names
        if all(word not in each or _has(module, python) for word, module in _NEEDS.items())
    )

    models = tiny_models(once, python)

    def make(folder: Path) -> None:
        paths = {each: PROGRAMS[each] for each in names}
        (folder / "runs.pickle").write_bytes(pickle.dumps(run_programs(paths, folder, models, python)))

    made: Fixed = pickle.loads((once(name, make) / "runs.pickle").read_bytes())
    return made


def on_machine(machine: str, programs: tuple[str, ...], once: Once, key: str = "placed") -> Fixed:
    """The runs of the placed programs on a machine, once for all test processes.

    On launched machines the key "placed" leaves out those in which no launcher is seen.
    """
    launched = MACHINES[machine].launcher.distributed and key == "placed"
    paths = {
        name: PLACED[name]
        for name in programs
        if ("peft" not in name or _has("peft", None))
        and not (launched and not placement.launches(PLACED[name].read_text(encoding="utf-8")))
    }

    models = tiny_models(once)

    def make(folder: Path) -> None:
        (folder / "runs.pickle").write_bytes(
            pickle.dumps(run_programs(paths, folder, models, machine=machine))
        )

    name = f"{key}-{machine}-{len(programs)}".replace(" ", "-")
    made: Fixed = pickle.loads((once(name, make) / "runs.pickle").read_bytes())
    return made


def broken(name: str, runs: Fixed) -> list[str]:
    """What each fix style broke in a program."""
    before = runs.before[name]
    if before["error"] is not None and transformers_before(4, 56):
        pytest.skip("the program itself needs a newer transformers")
    assert before["error"] is None, before["error"]
    assert before["printed"].strip(), "the program prints nothing"
    wrong = []
    for style, (_, unsafe) in STYLES.items():
        after = runs.after.get((name, style))
        if after is None:
            continue
        if after["error"] is not None:
            wrong.append(f"{style}: {after['error'].strip().splitlines()[-1]}")
            continue
        kept = ("saved",) if unsafe else ("models", "tokenizers", "saved")
        wrong += [f"{style}: {key} differs" for key in kept if after[key] != before[key]]
        if printed(after) != printed(before):
            wrong.append(f"{style}: prints something else")
    return wrong


def printed(run: dict[str, Any]) -> list[str]:
    """The program's own output, without that of a Trainer or magic, which contains times."""
    times = re.compile(r"runtime|CPU times|Wall time|per loop|^\d+ ns")
    return [line for line in run["printed"].splitlines() if not times.search(line)]


@pytest.mark.exhaustive
@pytest.mark.parametrize("machine", QUICK_MACHINES)
def test_fixes_hold_on_another_machine(machine: str, once: Once) -> None:
    runs = on_machine(machine, QUICK_PLACED, once)
    ran = [name for name in runs.before if runs.before[name]["error"] is None]
    assert len(ran) >= 3, {name: run["error"] for name, run in runs.before.items()}
    assert {name: broken(name, runs) for name in ran if broken(name, runs)} == {}


@pytest.mark.parametrize(
    "machine",
    [
        pytest.param(machine, marks=pytest.mark.slow if machine in USUAL else pytest.mark.exhaustive)
        for machine in MACHINES
    ],
)
def test_fixes_hold_on_every_machine(machine: str, once: Once) -> None:
    runs = on_machine(machine, tuple(PLACED), once)
    ran = [name for name in runs.before if runs.before[name]["error"] is None]
    assert {name: broken(name, runs) for name in ran if broken(name, runs)} == {}


@pytest.mark.parametrize(
    "machine",
    [
        pytest.param(machine, marks=pytest.mark.exhaustive if index else pytest.mark.slow)
        for index, machine in enumerate(LAUNCHED)
    ],
)
def test_a_safe_fix_gives_each_process_of_an_unseen_launcher_a_gpu(machine: str, once: Once) -> None:
    """On a launched machine, programs in which no launcher is seen."""
    unaware = tuple(
        name
        for name, path in PLACED.items()
        if "auto" in name and not placement.launches(path.read_text(encoding="utf-8"))
    )
    runs = on_machine(machine, unaware, once, key="unaware")
    fixed = {
        (name, style): run
        for (name, style), run in runs.after.items()
        if style.endswith(" safe") and runs.before[name]["error"] is None
    }
    assert len(fixed) >= 8
    for (name, style), after in fixed.items():
        before = runs.before[name]
        assert after["error"] is None, (name, style, after["error"])
        assert printed(after) == printed(before), (name, style)
        assert after["saved"] == before["saved"], (name, style)
        own = {"cpu"} if MACHINES[machine].sharding else {"cuda:1"}
        loaded = {place for one in after["models"] for place in one["loaded onto"].values()}
        assert loaded == own, (name, style, loaded)


@pytest.mark.exhaustive
def test_every_placed_program_runs_somewhere_and_is_fixed_somewhere(once: Once) -> None:
    """Else the comparison above says nothing of it."""
    runs = [on_machine(machine, tuple(PLACED), once) for machine in MACHINES]
    ran = {name for each in runs for name in each.before if each.before[name]["error"] is None}
    assert set(PLACED) - ran - {name for name in PLACED if "peft" in name} == set()
    devices = [
        device
        for each in runs
        for run in each.before.values()
        for one in run["models"]
        for device in one["devices"]
    ]
    assert {"cpu", "meta", "mps:0", "cuda:0", "cuda:1", "cuda:2"} <= set(devices)
    changed = {name for each in runs for name, _ in each.texts}
    assert len(changed) > len(PLACED) * 3 // 4, set(PLACED) - changed


@pytest.mark.parametrize("name", QUICK)
def test_fixes_hold(name: str, quick: Fixed) -> None:
    if name not in quick.before:
        pytest.skip("needs a library that is not there")
    assert broken(name, quick) == []


@pytest.mark.slow
@pytest.mark.parametrize("name", PROGRAMS)
def test_fixes_of_every_program_hold(name: str, everything: Fixed) -> None:
    if name not in everything.before:
        pytest.skip("needs a library that is not there")
    if name in KNOWN and broken(name, everything):
        pytest.xfail(KNOWN[name])
    assert broken(name, everything) == []


@pytest.mark.slow
@pytest.mark.skipif(
    OTHER is None, reason="TELEPATHY_OTHER_PYTHON names no interpreter with another transformers"
)
@pytest.mark.parametrize("name", PROGRAMS)
def test_fixes_hold_on_another_transformers(name: str, elsewhere: Fixed) -> None:
    if name not in elsewhere.before:
        pytest.skip("needs a library that is not there")
    if elsewhere.before[name]["error"] is not None:
        pytest.skip("the program itself needs another transformers")
    assert broken(name, elsewhere) == []


def _has(module: str, python: str | None) -> bool:
    if python is None:
        return importlib.util.find_spec(module) is not None
    return subprocess.run([python, "-c", f"import {module}"], capture_output=True).returncode == 0


def held(name: str) -> dict[str, str]:
    """The reason of each fix of a program that is held back, by code."""
    source = open_source(name, (PROGRAMS | PLACED)[name].read_bytes())
    return {
        each.code: each.fix.reason or ""
        for each in engine.lint(source, select(), Settings(strict=True))
        if each.fix is not None and each.fix.safety == "display"
    }


@pytest.mark.parametrize("name", PROGRAMS | PLACED)
def test_a_fix_that_is_held_back_names_its_evidence(name: str) -> None:
    source = open_source(name, (PROGRAMS | PLACED)[name].read_bytes()).text.splitlines()
    for code, reason in held(name).items():
        numbers = re.findall(r"^line (\d+) ", reason)
        assert numbers or reason in evidence.KINDS.values() or reason.startswith("max_length"), (code, reason)
        assert all(source[int(number) - 1].strip() for number in numbers), (code, reason)


def test_every_kind_of_evidence_holds_a_program_together() -> None:
    """A kind without a program has never been seen to be needed."""
    reasons = " ".join(reason for name in PROGRAMS | PLACED for reason in held(name).values())
    assert [kind for kind, what in evidence.KINDS.items() if what not in reasons] == []


def test_there_are_enough_programs() -> None:
    assert len(PROGRAMS) >= 100
