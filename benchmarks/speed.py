"""How long the linter takes beside its peers, on the same files, in one run.

    python benchmarks/speed.py --code DIR [--code DIR ...] [--rounds 5] [--peers FOLDER] [--skip torchfix,fixit]

Every tool is installed into a virtual environment of its own below FOLDER (made where it is missing) and run in turn, so
that a machine whose speed drifts is unfair to none. What is printed are medians: wall and processor seconds of the whole
process tree, the largest process's memory, and the wall time as a multiple of `ruff check --no-cache`. Semgrep and ast-grep
run three rules equivalent to ours (benchmarks/peers/); TorchFix, flake8 and Ruff have no such rules and run their own.
Each tool's exit status is not looked at: findings are expected.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent


@dataclass(frozen=True)
class Tool:
    """A peer: what to install and how to call it; `{bin}` is its environment's bin folder, `{code}` the files."""

    name: str
    packages: tuple[str, ...]
    command: tuple[str, ...]
    #: Runs once only: minutes on a large tree.
    slow: bool = False


OURS = ("{bin}/telepathy-lint", "check", "--isolated", "--output-format", "concise")
TOOLS = (
    Tool("ruff check --no-cache", ("ruff",), ("{bin}/ruff", "check", "--no-cache", "-q", "--isolated", "{code}")),
    Tool("telepathy-lint", (str(ROOT),), (*OURS, "{code}")),
    Tool("telepathy-lint --jobs 1", (str(ROOT),), (*OURS, "--jobs", "1", "{code}")),
    Tool("grep -rl from_pretrained", (), ("grep", "-rl", "--include=*.py", "from_pretrained", "{code}")),
    Tool("ast-grep, 3 rules", ("ast-grep-cli",), ("{bin}/ast-grep", "scan", "-r", str(HERE / "peers/ast-grep.yaml"), "{code}")),
    Tool(
        "semgrep, 3 rules",
        ("semgrep", "setuptools<81"),
        (
            "{bin}/semgrep", "scan", "--metrics=off", "--disable-version-check", "-q", "--no-git-ignore",
            "--x-ignore-semgrepignore-files", "--config", str(HERE / "peers/semgrep.yaml"), "{code}",
        ),
    ),
    Tool("flake8", ("flake8",), ("{bin}/flake8", "--isolated", "-q", "{code}"), slow=True),
    Tool(
        "flake8 + telepathy-lint",
        ("flake8", str(ROOT)),
        ("{bin}/flake8", "--isolated", "-q", "{code}"),
        slow=True,
    ),
    Tool("fixit, its own rules", ("fixit",), ("{bin}/fixit", "lint", "{code}"), slow=True),
    Tool("torchfix", ("torchfix",), ("{bin}/torchfix", "{code}"), slow=True),
)  # fmt: skip


@dataclass(frozen=True)
class Run:
    """One run of a whole process tree: seconds, seconds, MiB."""

    wall: float
    cpu: float
    peak: float


def installed(tool: Tool, folder: Path) -> Path:
    """The bin folder of the tool's environment, made where it is missing."""
    name = "".join(each if each.isalnum() else "-" for each in " ".join(tool.packages) or "system")[-60:]
    environment = folder / name
    if tool.packages and not (environment / "ready").exists():
        shutil.rmtree(environment, ignore_errors=True)
        subprocess.run([sys.executable, "-m", "venv", str(environment)], check=True)
        pip = [str(environment / "bin/python"), "-m", "pip", "install", "-q", *tool.packages]
        subprocess.run(pip, check=True)
        (environment / "ready").touch()
    elif str(ROOT) in tool.packages:  # what is measured is the code as it is now
        pip = [
            str(environment / "bin/python"),
            "-m",
            "pip",
            "install",
            "-q",
            "--force-reinstall",
            "--no-deps",
        ]
        subprocess.run([*pip, str(ROOT)], check=True)
    return environment / "bin"


def timed(command: Sequence[str]) -> Run:
    """Run a command and ask the operating system what it and its children took."""
    with open(os.devnull, "wb") as nothing:
        before = time.perf_counter()
        process = subprocess.Popen(command, stdout=nothing, stderr=nothing)
        _, _, usage = os.wait4(process.pid, 0)
        wall = time.perf_counter() - before
        process.returncode = 0  # already reaped
    kilobyte = 1024 if sys.platform != "darwin" else 1
    return Run(wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * kilobyte / 2**20)


def measure(code: Path, tools: Sequence[tuple[Tool, Path]], rounds: int) -> dict[str, list[Run]]:
    """Every tool in turn, round after round; one round more, first, that does not count."""
    runs: dict[str, list[Run]] = {tool.name: [] for tool, _ in tools}
    for number in range(rounds + 1):
        for tool, bin_folder in tools:
            if tool.slow and number > 1:
                continue
            command = [part.format(bin=bin_folder, code=code) for part in tool.command]
            run = timed(command)
            if number or (tool.slow and run.wall > 60):
                runs[tool.name].append(run)
    return runs


def table(code: Path, runs: dict[str, list[Run]]) -> str:
    files = [path for path in code.rglob("*.py") if path.is_file()]
    lines = sum(path.read_bytes().count(b"\n") for path in files)
    ruff = statistics.median(run.wall for run in runs[TOOLS[0].name])
    rows = [
        f"{code.name}: {len(files)} files, {lines} lines",
        "",
        "| | wall s | x ruff | cpu s | peak MiB |",
        "| --- | --- | --- | --- | --- |",
    ]
    for name, measured in runs.items():
        if measured:
            wall, cpu, peak = (
                statistics.median(getattr(run, field) for run in measured)
                for field in ("wall", "cpu", "peak")
            )
            rows.append(f"| {name} | {wall:.3f} | {wall / ruff:.1f} | {cpu:.3f} | {peak:.0f} |")
    return "\n".join(rows) + "\n"


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--code",
        action="append",
        type=Path,
        required=True,
        help="a folder of Python files; may be given again",
    )
    parser.add_argument("--rounds", type=int, default=5, help="counted runs of each fast tool (default 5)")
    parser.add_argument(
        "--peers",
        type=Path,
        default=Path.home() / ".cache/telepathy-lint-peers",
        help="where the tools' environments are kept",
    )
    parser.add_argument(
        "--skip", default="", help="tools to leave out, by the beginning of their names, with commas between"
    )
    parser.add_argument("--json", type=Path, help="write every single run to this file")
    options = parser.parse_args()
    skipped = tuple(name for name in options.skip.split(",") if name)
    chosen = [tool for tool in TOOLS if not (skipped and tool.name.startswith(skipped))]
    tools = [(tool, installed(tool, options.peers)) for tool in chosen]
    everything = {}
    for code in options.code:
        runs = measure(code.resolve(), tools, options.rounds)
        print(table(code.resolve(), runs), flush=True)
        everything[code.name] = {name: [vars(run) for run in each] for name, each in runs.items()}
    if options.json:
        options.json.write_text(json.dumps(everything, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
