"""The VS Code extension in a real VS Code, served to a browser by code-server.

TELEPATHY_LINT_CODE_SERVER is the command that starts code-server; the extension is the packaged one
(`npm run package` in editors/vscode writes it).
"""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.browser.conftest import CELLS, cells_of, eventually, free_port, serving

pytestmark = [pytest.mark.slow, pytest.mark.browser]
PACKAGE = Path(__file__).parents[2] / "editors" / "vscode" / "dist" / "telepathy-lint.vsix"
SETTINGS = {
    "telepathy-lint.interpreter": sys.executable,
    "workbench.startupEditor": "none",
    "editor.minimap.enabled": False,
    "files.autoSave": "off",
    "workbench.editorAssociations": {"*.ipynb": "jupyter-notebook"},
}


@pytest.fixture
def opened(project: Path, tmp_path: Path, page: Any) -> Iterator[Path]:
    """VS Code with the extension, in the browser, the project open."""
    pytest.importorskip("pygls")
    code_server = os.environ.get("TELEPATHY_LINT_CODE_SERVER")
    if code_server is None:
        pytest.skip("needs TELEPATHY_LINT_CODE_SERVER, the command of code-server")
    if not PACKAGE.exists():
        pytest.skip("needs the packaged extension: npm ci && npm run package in editors/vscode")
    data = tmp_path / "data"
    (data / "User").mkdir(parents=True)
    (data / "User" / "settings.json").write_text(json.dumps(SETTINGS))
    (tmp_path / "config.yaml").write_text("")
    command = [*shlex.split(code_server), "--config", str(tmp_path / "config.yaml")]
    command += ["--user-data-dir", str(data), "--extensions-dir", str(tmp_path / "extensions")]
    subprocess.run([*command, "--install-extension", str(PACKAGE)], check=True, capture_output=True)
    port = free_port()
    command += ["--auth", "none", "--bind-addr", f"127.0.0.1:{port}", "--disable-telemetry"]
    command += ["--disable-update-check", "--disable-workspace-trust", str(project)]
    with serving(command, f"http://127.0.0.1:{port}/healthz", log=tmp_path / "log"):
        page.goto(f"http://127.0.0.1:{port}/?folder={project}")
        page.wait_for_selector(".explorer-folders-view .monaco-list-row")
        page.wait_for_timeout(6000)
        yield project


def open_file(page: Any, name: str) -> None:
    page.get_by_role("treeitem", name=name).dblclick()


def command(page: Any, title: str) -> None:
    page.keyboard.press("F1")
    page.wait_for_selector(".quick-input-widget input")
    page.keyboard.type(title)
    page.locator(".quick-input-list .monaco-list-row").filter(has_text=title).first.click()


def test_a_file(opened: Path, page: Any, picture: Callable[[str], None]) -> None:
    open_file(page, "load.py")
    page.wait_for_selector(".squiggly-warning")
    page.locator(".view-line").filter(has_text="device_map").get_by_text("device_map").hover()
    page.wait_for_selector(".monaco-hover:not(.hidden) >> text=hardcoded-device-map")
    picture("vscode-hover")
    page.keyboard.press("Escape")

    page.get_by_role("button", name=re.compile("Editor Language Status")).first.hover()
    page.wait_for_selector("text=telepathy-lint 0.")
    picture("vscode-status")

    page.locator(".view-line").first.click()
    command(page, "telepathy-lint: Apply All Fixes in This Document")
    page.wait_for_selector(".squiggly-warning", state="detached")
    picture("vscode-fixed")
    page.keyboard.press("Control+s")
    assert eventually(lambda: "load_model(" in (opened / "load.py").read_text())
    assert (opened / "load.py").read_text().startswith("from telepathy_runtime import load_model\n")


def test_a_notebook(opened: Path, page: Any, picture: Callable[[str], None]) -> None:
    open_file(page, "load.ipynb")
    page.wait_for_selector(".squiggly-warning")
    cell = page.locator(".cell-editor-container").filter(has=page.locator(".squiggly-warning"))
    assert "from_pretrained" in cell.inner_text().replace("\u00a0", " ")
    picture("vscode-notebook")
    cell.locator(".view-line").first.click()
    command(page, "telepathy-lint: Apply All Fixes in This Document")
    page.wait_for_selector(".squiggly-warning", state="detached")
    picture("vscode-notebook-fixed")
    page.keyboard.press("Control+s")
    assert eventually(lambda: cells_of(opened / "load.ipynb") != CELLS)
    found = cells_of(opened / "load.ipynb")
    assert found[:2] == CELLS[:2] and found[4:] == CELLS[4:]
    assert found[2] == "from telepathy_runtime import load_model"
    assert found[3].startswith("model = load_model(")
