"""Fixtures: a browser, and servers for the editors. If something is missing, the tests that need it are skipped.

Needed: `pip install playwright`, a Chromium (TELEPATHY_LINT_CHROMIUM, or `chromium` on PATH), and the editor, which each
test module names. TELEPATHY_LINT_SCREENSHOTS names a folder in which to keep the screenshots.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import socket
import subprocess
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

FLAGS = ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"]
FLAGS += ["--disable-background-networking", "--disable-component-update", "--disable-sync"]
START_SECONDS = 60


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    playwright = pytest.importorskip("playwright.sync_api", reason="needs: pip install playwright")
    chromium = os.environ.get("TELEPATHY_LINT_CHROMIUM") or shutil.which("chromium")
    if chromium is None:
        pytest.skip("needs chromium on PATH, or TELEPATHY_LINT_CHROMIUM")
    with playwright.sync_playwright() as started:
        running = started.chromium.launch(executable_path=chromium, args=FLAGS)
        yield running
        running.close()


@pytest.fixture
def page(browser: Any) -> Iterator[Any]:
    context = browser.new_context(viewport={"width": 1100, "height": 700}, accept_downloads=False)
    context.set_default_timeout(30_000)
    yield context.new_page()
    context.close()


@pytest.fixture
def picture(page: Any, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Callable[[str], None]]:
    """Take a screenshot under a name; the last one shows the state when a test failed."""
    folder = Path(os.environ.get("TELEPATHY_LINT_SCREENSHOTS") or tmp_path)
    folder.mkdir(parents=True, exist_ok=True)

    def take(name: str) -> None:
        page.screenshot(path=folder / f"{name}.png")

    yield take
    take(f"last-{request.node.name}")


@contextlib.contextmanager
def serving(command: list[str], address: str, **options: Any) -> Iterator[None]:
    """Run a server until the block ends; it must answer at the address first."""
    log = options.pop("log")
    with (
        open(log, "wb") as output,
        subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT, **options) as process,
    ):
        try:
            deadline = time.monotonic() + START_SECONDS
            while True:
                assert process.poll() is None, Path(log).read_text(encoding="utf-8")
                with contextlib.suppress(OSError), urllib.request.urlopen(address, timeout=5):
                    break
                assert time.monotonic() < deadline, Path(log).read_text(encoding="utf-8")
                time.sleep(0.2)
            yield
        finally:
            process.terminate()


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port: int = one.getsockname()[1]
        return port


# ---- the project that every editor opens

LOAD = """\
model = AutoModelForCausalLM.from_pretrained(
    "mistralai/Mistral-7B-v0.3", device_map="auto",
    dtype="bfloat16", attn_implementation="sdpa",
)
model.generation_config.max_length = 256
"""
FILE = f"from transformers import AutoModelForCausalLM\n\n{LOAD}"
#: Cells, the markdown one first. The finding is in one cell and the import in another.
CELLS = [
    "# Load a model",
    "%matplotlib inline\nimport json",
    "from transformers import AutoModelForCausalLM",
    LOAD.rstrip("\n"),
    "print(model.dtype)",
]


@pytest.fixture
def project(tmp_path: Path) -> Path:
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / "pyproject.toml").write_text("[tool.telepathy-lint]\n")
    (folder / "load.py").write_text(FILE)
    write_notebook(folder / "load.ipynb", CELLS)
    return folder


def write_notebook(path: Path, texts: list[str]) -> None:
    """A notebook of a markdown cell and code cells."""
    cells: list[dict[str, Any]] = []
    for number, text in enumerate(texts):
        cell: dict[str, Any] = {"cell_type": "code", "execution_count": None, "outputs": []}
        if number == 0:
            cell = {"cell_type": "markdown"}
        cells.append(
            {**cell, "id": f"cell-{number}", "metadata": {}, "source": text.splitlines(keepends=True)}
        )
    kernel = {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"}
    notebook = {
        "cells": cells,
        "metadata": {"kernelspec": kernel, "language_info": {"name": "python"}},
        "nbformat": 4,
        "nbformat_minor": 5,
    }
    path.write_text(json.dumps(notebook, indent=1) + "\n")


def cells_of(path: Path) -> list[str]:
    return ["".join(cell["source"]) for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]]


def eventually(question: Callable[[], bool], seconds: float = 30) -> bool:
    """Whether the condition becomes true in time."""
    deadline = time.monotonic() + seconds
    while not question():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.1)
    return True
