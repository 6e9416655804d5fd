"""Runs each line of the shell blocks in the README and guides as printed, or gives the reason why not.

A line runs in a copy of the example experiments, with placeholder names replaced. Installations run in the parts of
`.ci/run` instead.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.project.test_docs import HAS_LIBRARY, PAGES, ROOT, blocks, commands

MODEL = "mistralai/Mistral-7B-Instruct-v0.3"
OWN = f"""\
from transformers import AutoModelForCausalLM

model = AutoModelForCausalLM.from_pretrained("{MODEL}", device_map="auto")
"""
#: Programs of this project, and how to run them from the checkout.
PROGRAMS = {
    "telepathy-lint": [sys.executable, "-m", "telepathy_lint"],
    "telepathy-runtime": [sys.executable, "-m", "telepathy_runtime.commands.cli"],
    "python": [sys.executable],
    "python3": [sys.executable],
}
#: The start of a line -> why no test runs it here.
ELSEWHERE = {
    "python -m pip install": "`.ci/run` runs it",
    "pip install": "it installs a release, or needs one",
    "git clone <your fork>": "it is the contributor's own",
    "cd ": "it goes with the line below",
    "python -m venv": "`.ci/run` makes its environments so",
    ". .venv/bin/activate": "`.ci/run` makes its environments so",
    "python -m pytest": "this suite",
    "constraints/update": "it asks the index for the newest releases; tests/project/test_constraints.py holds the result",
    "python scripts/release.py": "tests/project/test_release.py",
    "npm ": "the part `editors` of .ci/run",
    "code --install-extension": "it needs VS Code",
    "srun": "it needs a SLURM cluster; tests/runtime/machine/test_launcher.py has its variables",
    "torchrun": "tests/runtime/machine/test_processes.py",
    "python benchmarks/broken_fixes.py": "it runs public code for an hour",
    "python benchmarks/precision.py": "it fetches public repositories",
    "python benchmarks/speed.py": "it measures for minutes",
    "python -m libcst.tool": "tests/project/test_docs.py runs these lines, with and without black",
    "telepathy-lint new": "tests/lint/commands/test_new.py",
    "telepathy-runtime compare": "tests/runtime/memory/test_commands.py",
    "python generate.py": "tests/project/test_docs.py runs the guide's script",
}
#: Lines that end with 1: the experiments have findings.
FOUND = r"telepathy-lint check (?!.*(?:--fix\b|--exit-zero))"

LINES = sorted(
    {
        (str(page.relative_to(ROOT)), command)
        for page in PAGES
        if page.parent.name != "rules" and any(block.language == "sh" for block in blocks(page))
        for block in blocks(page)
        if block.language == "sh"
        for command in commands(page)
        if command and command in block.text
    }
)


def reason(command: str) -> str | None:
    return next((why for start, why in ELSEWHERE.items() if command.startswith(start)), None)


RUN = [(page, command) for page, command in LINES if reason(command) is None]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The reader's working folder: a checkout's experiments, and their own next to them."""
    ignored = shutil.ignore_patterns("__pycache__", "good")
    shutil.copytree(ROOT / "fixtures" / "experiments", tmp_path / "path/to/experiments", ignore=ignored)
    # The defaults report what surely makes a difference: a script of its own, started on several GPUs.
    (tmp_path / "path/to/experiments/own.py").write_text(OWN, encoding="utf-8")
    (tmp_path / "path/to/experiments/README.md").write_text("    torchrun own.py\n", encoding="utf-8")
    (tmp_path / "fixtures").mkdir()
    (tmp_path / "fixtures" / "experiments").symlink_to(tmp_path / "path/to/experiments")
    return tmp_path


@pytest.mark.slow
@pytest.mark.parametrize(("page", "command"), RUN, ids=[f"{page}: {command}" for page, command in RUN])
def test_a_printed_line_works(page: str, command: str, folder: Path) -> None:
    program, *arguments = shlex.split(command, comments=True)
    if program == "telepathy-runtime" and arguments[0] == "doctor" and not HAS_LIBRARY:
        pytest.skip("needs torch and transformers")
    environment = {
        name: value for name, value in os.environ.items() if name not in ("FORCE_COLOR", "NO_COLOR")
    }
    environment |= {"PYTHONPATH": str(ROOT), "HF_HUB_OFFLINE": "1", "HF_HOME": str(folder / "hub")}
    done = subprocess.run(
        [*PROGRAMS[program], *arguments],
        capture_output=True, text=True, encoding="utf-8", cwd=folder, env=environment, timeout=120,
    )  # fmt: skip
    assert done.returncode in ((1,) if re.match(FOUND, command) else (0, 1)), done.stdout + done.stderr
    assert "Traceback" not in done.stderr and "error:" not in done.stderr, done.stderr
    assert done.stdout or "-o " in command or "--output" in command


def test_no_reason_outlives_its_line() -> None:
    assert [start for start in ELSEWHERE if not any(command.startswith(start) for _, command in LINES)] == []


def test_there_are_lines_to_run() -> None:
    assert len(RUN) >= 8
    assert {"README.md", "docs/one-loader.md"} <= {page for page, _ in RUN}
