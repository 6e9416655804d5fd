"""Which files of a folder are read for what the project needs."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from telepathy_lint.discovery.requirements import declared_in


def test_a_folder_that_cannot_be_read_says_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "requirements").mkdir()
    (tmp_path / "requirements" / "base.txt").write_text("transformers==4.1\n")
    (tmp_path / "requirements.txt").write_text("transformers==4.40.1\n")
    listed = os.listdir

    def refuses(path: str) -> list[str]:
        if os.path.basename(path) == "requirements":
            raise PermissionError(13, "Permission denied", path)
        return listed(path)

    before = declared_in(str(tmp_path)).target
    monkeypatch.setattr(os, "listdir", refuses)
    after = declared_in(str(tmp_path)).target
    assert before is not None and before.version == "4.1"
    assert after is not None and after.version == "4.40.1"
