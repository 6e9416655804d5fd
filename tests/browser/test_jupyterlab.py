"""JupyterLab finds the language server by itself, shows what it finds in the right cell, and applies its fixes.

TELEPATHY_LINT_JUPYTER is a Python interpreter that has jupyterlab, jupyterlab-lsp and telepathy-lint[server], installed
as users install it (not editable), in an environment of its own.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.browser.conftest import CELLS, cells_of, eventually, free_port, serving

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
    settings = tmp_path / "config" / "lab" / "user-settings" / "@jupyterlab" / "apputils-extension"
    settings.mkdir(parents=True)
    (settings / "notification.jupyterlab-settings").write_text(
        '{"fetchNews": "false", "checkForUpdates": false}'
    )
    address = f"http://127.0.0.1:{port}"
    with serving(command, f"{address}/api", log=tmp_path / "log", env=environment, cwd=tmp_path):
        yield address


def command(page: Any, title: str) -> None:
    page.keyboard.press("Control+Shift+C")
    page.wait_for_selector(".jp-ModalCommandPalette:not(.lm-mod-hidden)")
    page.keyboard.type(title)
    page.locator(".lm-CommandPalette-item").filter(has_text=title).first.click()


def choose_kernel(page: Any) -> None:
    dialog = page.locator(".jp-Dialog").filter(has_text="Select Kernel")
    if dialog.count():
        dialog.get_by_role("button", name="No Kernel").click()


def test_a_notebook(served: str, project: Path, page: Any, picture: Callable[[str], None]) -> None:
    page.goto(f"{served}/lab/tree/load.ipynb")
    page.wait_for_selector(".jp-Notebook .jp-CodeCell .cm-line")
    choose_kernel(page)
    page.wait_for_selector(MARK)
    marked = page.locator(".jp-CodeCell").filter(has=page.locator(MARK))
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
    command(page, "telepathy-lint: Apply All Safe Fixes")
    page.wait_for_selector(MARK, state="detached")
    picture("jupyterlab-fixed")
    page.keyboard.press("Control+s")
    assert eventually(lambda: cells_of(project / "load.ipynb") != CELLS)
    found = cells_of(project / "load.ipynb")
    assert found[:2] == CELLS[:2] and found[4:] == CELLS[4:]
    assert found[2] == "from telepathy_runtime import load_model"
    assert found[3].startswith("model = load_model(")
