"""The files that import a module: a few modules are searched for, many are looked up in a table, with the same result."""

from __future__ import annotations

from pathlib import Path

import pytest

from telepathy_lint.flow import importers
from telepathy_lint.flow.import_resolution import ModuleFiles

FILES = {
    "common.py": "import os\n",
    "pack/__init__.py": "from .inner import load\n",
    "pack/inner.py": "from ..common import x\nfrom . import other\n",
    "pack/other.py": "",
    "train.py": "import common, pack.inner as inner\n",
    "evaluate.py": "def f():\n    from pack import (\n        inner,\n        other as o,\n    )\n",
    "notes.ipynb": '{"cells": [{"cell_type": "code", "source": ["import common\\n", "from pack.other import y"]}]}',
    "apart.py": "# import common\ntext = 'common, inner'\n",
}
EXPECTED = {
    "common.py": {"notes.ipynb", "pack/inner.py", "train.py"},
    "pack/__init__.py": {"evaluate.py"},
    "pack/inner.py": {"evaluate.py", "pack/__init__.py", "train.py"},
    "pack/other.py": {"evaluate.py", "notes.ipynb", "pack/inner.py"},
    "train.py": set(),
    "evaluate.py": set(),
}


@pytest.mark.parametrize("few", [0, 2, 100])
def test_searched_or_looked_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, few: int) -> None:
    monkeypatch.setattr(importers, "_FEW_MODULES", few)
    (tmp_path / "pyproject.toml").touch()
    for name, text in FILES.items():
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    for order in (list(EXPECTED), list(reversed(EXPECTED))):
        found = importers.Importers(lambda path: Path(path).read_bytes(), ModuleFiles())
        assert {
            name: {Path(each).relative_to(tmp_path).as_posix() for each in found.direct(str(tmp_path / name))}
            for name in order
        } == EXPECTED
