"""How JupyterLab finds the linter: the server's description, and the extension that applies fixes."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import pytest

from telepathy_lint.front_ends import jupyter

ROOT = Path(__file__).parents[3]
EXTENSION = ROOT / "editors" / "jupyter" / "labextension"
GROUP = "jupyter_lsp_spec_v1"


def description() -> dict[str, Any]:
    (server,) = jupyter.spec(None).values()
    return server


def test_the_server_is_announced_under_the_name_that_the_extension_asks_for() -> None:
    found = [point for point in entry_points(group=GROUP) if point.name == "telepathy-lint"]
    assert [point.load() for point in found] == [jupyter.spec]
    script = (EXTENSION / "static" / "extension.js").read_text(encoding="utf-8")
    (name,) = jupyter.spec(None)
    assert f'const NAME = "{name}";' in script and name == "telepathy-lint"


def test_looking_for_the_server_imports_nothing_of_it() -> None:
    code = (
        "import sys\nfrom telepathy_lint.front_ends.jupyter import spec\nspec.is_installed(None), spec(None)\n"
        "print({'pygls', 'lsprotocol', 'jupyter_lsp', 'libcst', 'ast'} & set(sys.modules))"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout == "set()\n"


def test_without_the_server_extra_there_is_no_server(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jupyter, "find_spec", lambda name: None if name == "pygls" else object())
    assert jupyter.spec.is_installed(None) is False
    monkeypatch.setattr(jupyter, "find_spec", lambda name: object())
    assert jupyter.spec.is_installed(None) is True


@pytest.mark.skipif(sys.version_info < (3, 11), reason="python -P is there from Python 3.11 on")
def test_the_server_starts_beside_modules_of_the_users_own(tmp_path: Path) -> None:
    pytest.importorskip("pygls")
    for name in ("json", "typing", "telepathy_lint"):
        (tmp_path / f"{name}.py").write_text(
            "raise SystemExit('imported from the folder of the notebooks')\n"
        )
    command = description()["argv"]
    run = subprocess.run(
        command, cwd=tmp_path, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60
    )
    assert "imported from" not in run.stderr and run.returncode in (0, 1), run.stderr


def test_the_description_keeps_to_the_schema_of_jupyter_lsp() -> None:
    schema = pytest.importorskip("jupyter_lsp.schema", reason="needs: pip install jupyter-lsp")
    errors = list(schema.LANGUAGE_SERVER_SPEC_MAP.iter_errors(jupyter.spec(None)))
    assert not errors


def test_the_settings_are_those_of_the_extension_for_vs_code() -> None:
    manifest = ROOT / "editors" / "vscode" / "package.json"
    if not manifest.exists():
        pytest.skip("a source distribution has no extension for VS Code")
    theirs = json.loads(manifest.read_text(encoding="utf-8"))["contributes"]["configuration"]["properties"]
    own = {"telepathy-lint.path", "telepathy-lint.interpreter", "telepathy-lint.trace.server"}
    ours = description()["config_schema"]["properties"]
    assert set(ours) == set(theirs) - own
    for name, value in ours.items():
        types = theirs[name]["type"]
        assert value["type"] in types
        assert value.get("default") == theirs[name]["default"], name


def test_the_extension_names_the_file_that_it_has() -> None:
    build = json.loads((EXTENSION / "package.json").read_text(encoding="utf-8"))["jupyterlab"]["_build"]
    assert (EXTENSION / build["load"]).is_file()
