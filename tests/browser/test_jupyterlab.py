"""JupyterLab finds the language server, shows findings in the right cell, and applies fixes.

TELEPATHY_LINT_JUPYTER is a Python interpreter with jupyterlab, jupyterlab-lsp and telepathy-lint[server], installed as
users do (not editable) in its own environment.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.browser.conftest import CELLS, LOAD, cells_of, eventually, free_port, serving, write_notebook

pytestmark = [pytest.mark.slow, pytest.mark.browser]
MARK = ".cm-lintRange"


@pytest.fixture
def served(project: Path, tmp_path: Path) -> Iterator[str]:
    """The address of a JupyterLab that has the project open."""
    python = os.environ.get("TELEPATHY_LINT_JUPYTER")
    if python is None:
        pytest.skip(
            "needs TELEPATHY_LINT_JUPYTER, a Python with jupyterlab, jupyterlab-lsp and telepathy-lint[server]"
        )
    has = subprocess.run(
        [python, "-c", "import jupyterlab, jupyterlab_lsp, pygls, telepathy_lint"], cwd=tmp_path
    )
    assert has.returncode == 0, f"TELEPATHY_LINT_JUPYTER={python}: something is missing there"
    # A module of the user's own must not be imported by the server in place of the standard one.
    (project / "json.py").write_text("raise SystemExit('the server imported a file of the project')\n")
    homes = {"JUPYTER_CONFIG_DIR": "config", "JUPYTER_DATA_DIR": "data", "JUPYTER_RUNTIME_DIR": "runtime"}
    environment = {**os.environ, **{name: str(tmp_path / folder) for name, folder in homes.items()}}
    environment["HOME"] = str(tmp_path)
    port = free_port()
    command = [python, "-m", "jupyterlab", "--no-browser", "--allow-root", "--ip=127.0.0.1"]
    command += [f"--port={port}", "--IdentityProvider.token=", f"--ServerApp.root_dir={project}"]
    news = user_settings(tmp_path, "@jupyterlab/apputils-extension/notification")
    news.write_text('{"fetchNews": "false", "checkForUpdates": false}')
    address = f"http://127.0.0.1:{port}"
    with serving(command, f"{address}/api", log=tmp_path / "log", env=environment, cwd=tmp_path):
        yield address


def user_settings(folder: Path, plugin: str) -> Path:
    """The file of a plugin's settings, in the configuration of the JupyterLab that `served` starts."""
    path = folder / "config" / "lab" / "user-settings" / f"{plugin}.jupyterlab-settings"
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


def command(page: Any, title: str) -> None:
    page.keyboard.press("Control+Shift+C")
    page.wait_for_selector(".jp-ModalCommandPalette:not(.lm-mod-hidden)")
    page.keyboard.type(title)
    page.locator(".lm-CommandPalette-item").filter(has_text=title).first.click()


def choose_kernel(page: Any) -> None:
    dialog = page.locator(".jp-Dialog").filter(has_text="Select Kernel")
    if dialog.count():
        dialog.get_by_role("button", name="No Kernel").click()


def open_notebook(page: Any, address: str) -> Any:
    """The cell with findings, once they are shown."""
    page.goto(f"{address}/lab/tree/load.ipynb")
    page.wait_for_selector(".jp-Notebook .jp-CodeCell .cm-line")
    choose_kernel(page)
    page.wait_for_selector(MARK)
    return page.locator(".jp-CodeCell").filter(has=page.locator(MARK))


def saved(page: Any, path: Path) -> list[str]:
    """The notebook's cells after the change was saved."""
    before = cells_of(path)
    page.keyboard.press("Control+s")
    assert eventually(lambda: cells_of(path) != before)
    return cells_of(path)


def test_a_notebook(served: str, project: Path, page: Any, picture: Callable[[str], None]) -> None:
    marked = open_notebook(page, served)
    assert marked.count() == 1
    assert marked.inner_text().lstrip("[ ]:\n").startswith("model = AutoModelForCausalLM")
    mark = page.locator(MARK).first
    assert mark.inner_text() == 'device_map="auto"'

    mark.hover()
    page.keyboard.down("Control")  # jupyterlab-lsp shows hovers while Ctrl is held
    mark.hover(position={"x": 20, "y": 6})
    page.wait_for_selector(".jp-RenderedMarkdown >> text=hardcoded-device-map")
    picture("jupyterlab-hover")
    page.keyboard.up("Control")

    marked.locator(".cm-line").first.click()
    command(page, "telepathy-lint: Apply All Fixes")
    page.wait_for_selector(MARK, state="detached")
    picture("jupyterlab-fixed")
    found = saved(page, project / "load.ipynb")
    assert found[:2] == CELLS[:2] and found[4:] == CELLS[4:]
    assert found[2] == "from telepathy_runtime import load_model"
    assert found[3].startswith("model = load_model(")


def test_a_quick_fix_adds_its_import_to_the_cell_of_the_imports(
    served: str, project: Path, page: Any, picture: Callable[[str], None]
) -> None:
    """The import is on the last line of its cell, which has no newline, and after a magic."""
    cells = [
        "# Load a model",
        "%matplotlib inline\nimport json\nimport transformers",
        "print(transformers.__version__)",
        LOAD.replace("AutoModelForCausalLM", "transformers.AutoModelForCausalLM").rstrip("\n"),
        "print(model.dtype)",
    ]
    write_notebook(project / "load.ipynb", cells)
    open_notebook(page, served)
    page.locator(MARK).first.click()
    command(page, "telepathy-lint: Quick Fix...")
    dialog = page.locator(".jp-Dialog").filter(has_text="telepathy-lint: Quick Fix")
    assert "load_model" in dialog.locator("select option").first.inner_text()
    picture("jupyterlab-quick-fix")
    dialog.get_by_role("button", name="Ok").click()
    page.wait_for_selector(MARK, state="detached")
    found = saved(page, project / "load.ipynb")
    assert found[1] == cells[1] + "\nimport telepathy_runtime"
    assert found[3].startswith("model = telepathy_runtime.load_model(")
    assert [found[number] for number in (0, 2, 4)] == [cells[number] for number in (0, 2, 4)]


def test_a_file(served: str, project: Path, page: Any) -> None:
    page.goto(f"{served}/lab/tree/load.py")
    page.wait_for_selector(MARK)
    page.locator(".cm-line").first.click()
    command(page, "telepathy-lint: Apply All Fixes")
    page.wait_for_selector(MARK, state="detached")
    page.keyboard.press("Control+s")
    assert eventually(lambda: "load_model(" in (project / "load.py").read_text())
    assert (project / "load.py").read_text().startswith("from telepathy_runtime import load_model\n")


@pytest.fixture
def configured(tmp_path: Path) -> None:
    """Another Python server, whose name comes before ours, and the settings that docs/editors.md shows."""
    (tmp_path / "config").mkdir()
    other = {
        "version": 2,
        "argv": [sys.executable, "-c", "import time; time.sleep(600)"],
        "languages": ["python"],
    }
    servers = {"a-python-server": {**other, "mime_types": ["text/x-python", "text/x-ipython"]}}
    config = {"LanguageServerManager": {"language_servers": servers}}
    (tmp_path / "config" / "jupyter_server_config.json").write_text(json.dumps(config))
    ours = {"priority": 100, "serverSettings": {"telepathy-lint.select": ["TLP101"]}}
    user_settings(tmp_path, "@jupyter-lsp/jupyterlab-lsp/plugin").write_text(
        json.dumps({"language_servers": {"telepathy-lint": ours}})
    )


def test_priority_and_settings(configured: None, served: str, project: Path, page: Any) -> None:
    """Without the priority nothing is reported here, and without the settings TLP105 is reported too."""
    del configured
    load = 'model = AutoModelForCausalLM.from_pretrained("gpt2", device_map="auto", dtype="bfloat16")'
    write_notebook(project / "load.ipynb", [*CELLS[:3], load])
    open_notebook(page, served)
    assert eventually(lambda: page.locator(MARK).all_inner_texts() == ['device_map="auto"'])
