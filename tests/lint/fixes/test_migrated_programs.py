"""Programs for transformers 4, before `migrate --fix` on 4.57 and after it on 5: they compute the same.

`fixtures/migration` holds them. Each leaves `result`: losses and tokens. Where transformers 4 is installed beside a later one
(the `previous` part of `.ci/run`), both forms are run, each on its release; else the old forms must fail and the new ones run.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from telepathy_lint.commands import cli
from tests import checkpoints

if not all(importlib.util.find_spec(name) for name in ("torch", "transformers", "accelerate")):
    pytest.skip("needs torch, transformers and accelerate", allow_module_level=True)

pytestmark = pytest.mark.slow
ROOT = Path(__file__).resolve().parents[3]
FOLDER = ROOT / "fixtures" / "migration"
PROGRAMS = sorted(path.name for path in FOLDER.glob("*.py"))
#: Losses are logged with four digits by transformers 4.
TOLERANCE = 1e-4
HERE = importlib.metadata.version("transformers")
_RUN = """
import json, runpy, sys
import transformers
for path in sys.argv[1:]:
    try:
        found = runpy.run_path(path)["result"]
    except Exception as error:
        found = f"{type(error).__name__}: {error}"
    print("RESULT", json.dumps([path, transformers.__version__, found]), flush=True)
"""


def environment(four: bool) -> dict[str, str]:
    """The environment in which transformers 4, or else a later one, is found."""
    found = {**os.environ, "HF_HUB_OFFLINE": "1", "CUDA_VISIBLE_DEVICES": ""}
    beside = os.environ.get("PYTHONPATH", "") if HERE.startswith("4.") and four else ""
    return {**found, "PYTHONPATH": os.pathsep.join(filter(None, (beside, str(ROOT))))}


@cache
def later() -> str:
    """The transformers that is found without PYTHONPATH."""
    code = "import importlib.metadata as m; print(m.version('transformers'))"
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment(False), capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


def run(folder: Path, four: bool, programs: Sequence[str] = PROGRAMS) -> dict[str, Any]:
    """What every program of a folder leaves."""
    done = subprocess.run(
        [sys.executable, "-c", _RUN, *programs],
        cwd=folder,
        env=environment(four),
        capture_output=True,
        text=True,
    )
    lines = [json.loads(line[7:]) for line in done.stdout.splitlines() if line.startswith("RESULT ")]
    assert len(lines) == len(programs), done.stderr[-2000:]
    assert {version.partition(".")[0] == "4" for _, version, _ in lines} == {four}
    return {name: found for name, _, found in lines}


def made(base: Path, programs: Path, *options: str) -> tuple[Path, Path]:
    """Folders with the programs as they are, and migrated, with the checkpoints that they load beside them."""
    if later().startswith("4."):
        pytest.skip("needs transformers 5")
    before = base / "before"
    shutil.copytree(programs, before)
    # Transformers 5 reads what 4 writes, and not the other way round: 4 writes where it is installed.
    for kind in ("llama", "encoder", "t5"):
        checkpoints.build(kind, before / kind, pad="present", dtype="float32")
    after = before.with_name("after")
    shutil.copytree(before, after)
    cli.run(["migrate", "--fix", "--to", "5.2" if later() < "5.15" else later(), *options, str(after)])
    return before, after


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return made(tmp_path_factory.mktemp("programs"), FOLDER)


@pytest.fixture(scope="module")
def migrated(folders: tuple[Path, Path]) -> dict[str, Any]:
    return run(folders[1], False)


@pytest.fixture(scope="module")
def original(folders: tuple[Path, Path]) -> dict[str, Any]:
    return run(folders[0], HERE.startswith("4."))


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_migrated_program_computes_the_same(
    name: str, original: dict[str, Any], migrated: dict[str, Any]
) -> None:
    before, after = original[name], migrated[name]
    assert isinstance(after, dict), after
    if not HERE.startswith("4."):
        assert isinstance(before, str), "it needs no migration"
        return
    assert isinstance(before, dict), before
    assert before["tokens"] == after["tokens"]
    assert before["losses"] == pytest.approx(after["losses"], rel=TOLERANCE, abs=TOLERANCE)
