"""Programs for trl 0.12, which `migrate --fix --trl` moves to the installed trl.

`fixtures/migration_trl` holds them. The old forms must fail on the installed trl, and the new ones run. Where transformers 4 and an
old trl stand first on PYTHONPATH, the old forms are run there.
"""

from __future__ import annotations

import math
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("trl")

from tests.lint.fixes.test_migrated_programs import HERE, ROOT, made, run

pytestmark = pytest.mark.slow
FOLDER = ROOT / "fixtures" / "migration_trl"
PROGRAMS = sorted(path.name for path in FOLDER.glob("*.py"))
#: Their trainers compute the same in 0.12 and now. SFT and reward models now end each text, KTO estimates its KL on other pairs.
ALIKE = ("dpo.py", "orpo.py")


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    version = metadata.version("trl") if not HERE.startswith("4.") else "1.16"
    return made(tmp_path_factory.mktemp("programs"), FOLDER, "--trl", ".".join(version.split(".")[:2]))


@pytest.fixture(scope="module")
def migrated(folders: tuple[Path, Path]) -> dict[str, Any]:
    return run(folders[1], False, PROGRAMS)


@pytest.fixture(scope="module")
def original(folders: tuple[Path, Path]) -> dict[str, Any]:
    return run(folders[0], HERE.startswith("4."), PROGRAMS)


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_migrated_program_trains(name: str, original: dict[str, Any], migrated: dict[str, Any]) -> None:
    before, after = original[name], migrated[name]
    assert isinstance(after, dict), after
    assert len(after["losses"]) == 2
    assert all(map(math.isfinite, after["losses"]))
    if not HERE.startswith("4."):
        assert isinstance(before, str), "it needs no migration"
    elif name in ALIKE:
        assert before["losses"] == pytest.approx(after["losses"], rel=1e-3)
