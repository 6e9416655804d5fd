"""The VS Code extension in a real VS Code, served to a browser by code-server.

TELEPATHY_LINT_CODE_SERVER is the command that starts code-server; the extension is the packaged one
(`npm run package` in editors/vscode writes it). TELEPATHY_LINT_PYTHON is the interpreter that has the language server; by
default the one that runs the tests.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shlex
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.browser.conftest import CELLS, cells_of, eventually, free_port, serving

pytestmark = [pytest.mark.slow, pytest.mark.browser]
PACKAGE = Path(__file__).parents[2] / "editors" / "vscode" / "dist" / "telepathy-lint.vsix"
PYTHON = os.environ.get("TELEPATHY_LINT_PYTHON", sys.executable)
SETTINGS = {
    "workbench.startupEditor": "none",
    "editor.minimap.enabled": False,
    "files.autoSave": "off",
    "workbench.editorAssociations": {"*.ipynb": "jupyter-notebook"},
}
Open = Callable[..., None]


@pytest.fixture
def opened(project: Path, tmp_path: Path, page: Any) -> Iterator[Open]:
    """Opens the project in VS Code with our extension, other extensions and settings, in the browser."""
    pytest.importorskip("pygls")
    code_server = os.environ.get("TELEPATHY_LINT_CODE_SERVER")
    if code_server is None:
        pytest.skip("needs TELEPATHY_LINT_CODE_SERVER, the command of code-server")
    if not PACKAGE.exists():
        pytest.skip("needs the packaged extension: npm ci && npm run package in editors/vscode")
    with contextlib.ExitStack() as stack:

        def start(*extensions: Path, editor: dict[str, Any] | None = None, **settings: Any) -> None:
            data = tmp_path / "data"
            (data / "User").mkdir(parents=True)
            ours = {f"telepathy-lint.{name}": value for name, value in settings.items()}
            (data / "User" / "settings.json").write_text(json.dumps(SETTINGS | ours | (editor or {})))
            (tmp_path / "config.yaml").write_text("")
            command = [*shlex.split(code_server), "--config", str(tmp_path / "config.yaml")]
            command += ["--user-data-dir", str(data), "--extensions-dir", str(tmp_path / "extensions")]
            for extension in (PACKAGE, *extensions):
                subprocess.run(
                    [*command, "--install-extension", str(extension)], check=True, capture_output=True
                )
            port = free_port()
            command += ["--auth", "none", "--bind-addr", f"127.0.0.1:{port}", "--disable-telemetry"]
            command += ["--disable-update-check", "--disable-workspace-trust", str(project)]
            address = f"http://127.0.0.1:{port}"
            stack.enter_context(serving(command, f"{address}/healthz", log=tmp_path / "log"))
            page.goto(f"{address}/?folder={project}")
            page.wait_for_selector(".explorer-folders-view .monaco-list-row")

        yield start


def python_extension(folder: Path, python: str) -> Path:
    """A substitute for the Python extension: the part of its interface that ours uses, with one selected environment."""
    manifest = {
        "name": "python",
        "publisher": "ms-python",
        "version": "2000.1.0",
        "engines": {"vscode": "^1.82.0"},
        "main": "./main.js",
        "extensionKind": ["workspace"],
        "activationEvents": ["onLanguage:python"],
    }
    main = f"""
        const vscode = require("vscode");
        const selected = {{ path: {json.dumps(str(Path(python).parent))} }};
        exports.activate = () => ({{
          environments: {{
            getActiveEnvironmentPath: () => selected,
            resolveEnvironment: async (one) =>
              one === selected ? {{ executable: {{ uri: vscode.Uri.file({json.dumps(python)}) }} }} : undefined,
            onDidChangeActiveEnvironmentPath: new vscode.EventEmitter().event,
          }},
        }});
    """
    types = (
        '<?xml version="1.0"?><Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types">'
        '<Default Extension="json" ContentType="application/json"/>'
        '<Default Extension="js" ContentType="application/javascript"/>'
        '<Default Extension="vsixmanifest" ContentType="text/xml"/></Types>'
    )
    package = folder / "python.vsix"
    with zipfile.ZipFile(package, "w") as archive:
        archive.writestr("[Content_Types].xml", types)
        archive.writestr("extension/package.json", json.dumps(manifest))
        archive.writestr("extension/main.js", main)
    return package


def open_file(page: Any, name: str) -> None:
    page.get_by_role("treeitem", name=name).dblclick()


def open_notebook(page: Any) -> None:
    # Opened before VS Code knows its own notebook extension, the file is shown as JSON.
    for _ in range(10):
        open_file(page, "load.ipynb")
        page.wait_for_selector(".notebook-editor, .monaco-editor .view-line", state="attached")
        if page.locator(".notebook-editor").count():
            break
        command(page, "View: Close Editor")


def command(page: Any, title: str) -> None:
    page.keyboard.press("F1")
    page.wait_for_selector(".quick-input-widget input")
    page.keyboard.type(title)
    page.locator(".quick-input-list .monaco-list-row").filter(has_text=title).first.click()


def test_a_file_with_the_server_of_the_selected_environment(
    opened: Open, project: Path, tmp_path: Path, page: Any, picture: Callable[[str], None]
) -> None:
    opened(python_extension(tmp_path, PYTHON))
    open_file(page, "load.py")
    page.wait_for_selector(".squiggly-warning")
    page.locator(".view-line").filter(has_text="device_map").get_by_text("device_map").hover()
    page.wait_for_selector(".monaco-hover:not(.hidden) >> text=hardcoded-device-map")
    picture("vscode-hover")
    page.keyboard.press("Escape")

    page.get_by_role("button", name=re.compile("Editor Language Status")).first.hover()
    page.wait_for_selector(f"text=running: {PYTHON}")
    picture("vscode-status")

    page.locator(".view-line").first.click()
    command(page, "telepathy-lint: Apply All Fixes in This Document")
    page.wait_for_selector(".squiggly-warning", state="detached")
    picture("vscode-fixed")
    page.keyboard.press("Control+s")
    assert eventually(lambda: "load_model(" in (project / "load.py").read_text())
    assert (project / "load.py").read_text().startswith("from telepathy_runtime import load_model\n")


def test_a_notebook(opened: Open, project: Path, page: Any, picture: Callable[[str], None]) -> None:
    opened(interpreter=PYTHON)
    open_notebook(page)
    page.wait_for_selector(".squiggly-warning")
    cell = page.locator(".cell-editor-container").filter(has=page.locator(".squiggly-warning"))
    assert "from_pretrained" in cell.inner_text().replace("\u00a0", " ")
    picture("vscode-notebook")
    cell.locator(".view-line").first.click()
    command(page, "telepathy-lint: Apply All Fixes in This Document")
    page.wait_for_selector(".squiggly-warning", state="detached")
    picture("vscode-notebook-fixed")
    page.keyboard.press("Control+s")
    assert eventually(lambda: cells_of(project / "load.ipynb") != CELLS)
    found = cells_of(project / "load.ipynb")
    assert found[:2] == CELLS[:2] and found[4:] == CELLS[4:]
    assert found[2] == "from telepathy_runtime import load_model"
    assert found[3].startswith("model = load_model(")


def test_an_environment_without_the_linter_says_how_to_install_it(
    opened: Open, tmp_path: Path, page: Any, picture: Callable[[str], None]
) -> None:
    bare = tmp_path / "bare"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(bare)], check=True)
    opened(interpreter=str(bare / "bin" / "python"))
    open_file(page, "load.py")
    message = page.locator(".notification-toast").filter(has_text="is not installed in")
    message.wait_for()
    assert f"{bare}/bin/python -m pip install 'telepathy-lint[server]'" in message.inner_text()
    picture("vscode-missing")
    message.get_by_role("button", name="Install").click()
    page.wait_for_selector(".terminal-wrapper.active")


def test_fixes_are_applied_on_save(opened: Open, project: Path, page: Any) -> None:
    """With the settings that docs/editors.md shows."""
    text = (Path(__file__).parents[2] / "docs" / "editors.md").read_text(encoding="utf-8")
    (shown,) = re.findall(r"Fix on save:\n\n```json\n(.*?)```", text, re.DOTALL)
    # VS Code asks the first cell alone, so a notebook that begins with prose would not be fixed.
    notebook = json.loads((project / "load.ipynb").read_text())
    del notebook["cells"][0]
    (project / "load.ipynb").write_text(json.dumps(notebook))
    opened(interpreter=PYTHON, editor=json.loads(shown))
    for name in ("load.py", "load.ipynb"):
        if name == "load.py":
            open_file(page, name)
        else:
            open_notebook(page)
        page.wait_for_selector(".squiggly-warning")
        page.locator(".view-line").filter(has_text="max_length").last.click()
        page.keyboard.press("End")
        page.keyboard.type("  # kept")
        page.keyboard.press("Control+s")
        assert eventually(lambda: "# kept" in (project / name).read_text())  # noqa: B023
        assert "load_model(" in (project / name).read_text()
        page.wait_for_selector(".squiggly-warning", state="detached")
        command(page, "View: Close Editor")
    assert cells_of(project / "load.ipynb")[1] == "from telepathy_runtime import load_model"
