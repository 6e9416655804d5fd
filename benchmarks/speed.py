"""Measures the speed of the linter and its peers on the same files, in one run.

    python benchmarks/speed.py --code DIR [--code DIR ...] [--rounds 5] [--peers FOLDER] [--skip
    torchfix,fixit]

Each tool is installed into its own virtual environment in FOLDER (created if it does not exist). The tools
run in turn, so that changes in the machine's speed affect all of them. The results are medians: wall and
processor seconds of the whole process tree, the memory of the largest process, and the wall time as a
multiple of `ruff check --no-cache`. Semgrep, ast-grep and Fixit run three rules that are equivalent to ours
(benchmarks/peers/); the others have no such rules and run their own. Exit statuses are ignored, because
findings are expected.

For each DIR there are two tables: all tools on all files without a cache, and the linter and Ruff as people
run them (again with a cache, after a change, on the files of a commit), on one core and on all. For the first
DIR there is a third table for several copies of it, whose time should grow with their number.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent


@dataclass(frozen=True)
class Tool:
    """A peer: its packages and command; `{bin}` is the bin folder of its environment, `{code}` the files."""

    name: str
    packages: tuple[str, ...]
    command: tuple[str, ...]
    #: Whether to run it only once, because it takes minutes on a large tree.
    slow: bool = False


#: All files, as the other tools read them: without the option, copies of peft and trl would be skipped.
OURS = ("{bin}/telepathy-lint", "check", "--isolated", "--include-vendored", "--output-format", "concise")
RUFF = ("{bin}/ruff", "check", "-q", "--isolated")
TOOLS = (
    Tool("ruff check --no-cache", ("ruff",), (*RUFF, "--no-cache", "{code}")),
    Tool("telepathy-lint --no-cache", (str(ROOT),), (*OURS, "--no-cache", "{code}")),
    Tool("telepathy-lint --no-cache --jobs 1", (str(ROOT),), (*OURS, "--no-cache", "--jobs", "1", "{code}")),
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
    Tool("flake8 + telepathy-lint", ("flake8", str(ROOT)), ("{bin}/flake8", "--isolated", "-q", "{code}"), slow=True),
    Tool("flake8 + torchfix", ("flake8", "torchfix"), ("{bin}/flake8", "--isolated", "-q", "{code}"), slow=True),
    Tool("flake8 + flake8-async", ("flake8", "flake8-async"), ("{bin}/flake8", "--isolated", "-q", "{code}"), slow=True),
    Tool(
        "fixit, 3 rules",
        ("fixit",),
        ("env", f"PYTHONPATH={HERE / 'peers'}", "{bin}/fixit", "--rules", "fixit_rules", "lint", "{code}"),
        slow=True,
    ),
    Tool("fixit, its own rules", ("fixit",), ("{bin}/fixit", "lint", "{code}"), slow=True),
    Tool("torchfix", ("torchfix",), ("{bin}/torchfix", "{code}"), slow=True),
)  # fmt: skip
RUFF_TOOL, OUR_TOOL = TOOLS[0], TOOLS[1]
COPIES = (1, 3, 10)


@dataclass(frozen=True)
class Run:
    """One run of a process tree: wall seconds, processor seconds, MiB."""

    wall: float
    cpu: float
    peak: float


def median(runs: Iterable[Run]) -> Run:
    runs = list(runs)
    return Run(*(statistics.median(getattr(run, field) for run in runs) for field in ("wall", "cpu", "peak")))


def installed(tool: Tool, folder: Path) -> Path:
    """The bin folder of the tool's environment, created if it does not exist."""
    name = "".join(each if each.isalnum() else "-" for each in " ".join(tool.packages) or "system")[-60:]
    environment = folder / name
    pip = [str(environment / "bin/python"), "-m", "pip", "install", "-q"]
    if tool.packages and not (environment / "ready").exists():
        shutil.rmtree(environment, ignore_errors=True)
        subprocess.run([sys.executable, "-m", "venv", str(environment)], check=True)
        subprocess.run([*pip, *tool.packages], check=True)
        (environment / "ready").touch()
    elif str(ROOT) in tool.packages:  # measure the current code
        subprocess.run([*pip, "--force-reinstall", "--no-deps", str(ROOT)], check=True)
    return environment / "bin"


#: The shell's settings for Python itself, such as not to write bytecode, must not affect the tools.
_ENVIRONMENT = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}


def timed(command: Sequence[str], cores: int | None = None, folder: Path | None = None) -> Run:
    """Run a command, and get the resources used by it and its children from the operating system."""

    def narrow() -> None:
        if cores is not None:
            os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:cores])

    with open(os.devnull, "wb") as nothing:
        before = time.perf_counter()
        process = subprocess.Popen(
            command,
            stdout=nothing,
            stderr=nothing,
            cwd=folder,
            env=_ENVIRONMENT,
            preexec_fn=narrow if cores else None,
        )
        _, _, usage = os.wait4(process.pid, 0)
        wall = time.perf_counter() - before
        process.returncode = 0  # already reaped
    kilobyte = 1024 if sys.platform != "darwin" else 1
    return Run(wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * kilobyte / 2**20)


def row(name: str, run: Run, ruff: float) -> str:
    return f"| {name} | {run.wall:.3f} | {run.wall / ruff:.1f} | {run.cpu:.3f} | {run.peak:.0f} |"


HEAD = ["| | wall s | x ruff | cpu s | peak MiB |", "| --- | --- | --- | --- | --- |"]


# ---- all tools, all files


def measure(code: Path, tools: Sequence[tuple[Tool, Path]], rounds: int) -> dict[str, list[Run]]:
    """Run all tools in turn, for several rounds; an additional first round does not count."""
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
    ruff = median(runs[RUFF_TOOL.name]).wall
    rows = [f"{code.name}: {len(files)} files, {lines} lines", "", *HEAD]
    rows += [row(name, median(measured), ruff) for name, measured in runs.items() if measured]
    return "\n".join(rows) + "\n"


# ---- typical uses


@dataclass(frozen=True)
class Way:
    """A command, and the change to the files before each run."""

    name: str
    command: tuple[str, ...]
    prepare: Callable[[], object] = lambda: None


def loading_files(code: Path) -> list[Path]:
    """Files that load models, those of typical length first (445 lines, the median of our first users' files)."""
    found = []
    for path in code.rglob("*.py"):
        data = path.read_bytes()
        if b".from_pretrained(" in data and b"transformers" in data:
            found.append((abs(data.count(b"\n") - 445), path))
    return [path for _, path in sorted(found)]


def ways(code: Path, ours: Path, ruff: Path) -> list[Way]:
    """The typical uses. `code` is a copy, because files in it are changed and caches are written."""
    files = [str(path) for path in loading_files(code)]
    caches = [code / ".telepathy_lint_cache", code / ".ruff_cache"]
    our_command = tuple(part.format(bin=ours) for part in OURS)
    ruff_command = tuple(part.format(bin=ruff) for part in RUFF)

    def forget() -> None:
        for cache in caches:
            shutil.rmtree(cache, ignore_errors=True)

    def change() -> None:
        with open(files[0], "a", encoding="utf-8") as file:
            file.write("# changed\n")

    found: list[Way] = []
    for name, command in (("telepathy-lint", our_command), ("ruff", ruff_command)):
        found += [
            Way(f"{name}, no cache", (*command, "--no-cache", ".")),
            Way(f"{name}, first run with a cache", (*command, "."), forget),
            Way(f"{name}, nothing changed", (*command, ".")),
            Way(f"{name}, one file changed", (*command, "."), change),
        ]
        if files:
            found.append(
                Way(f"{name}, one file of {length(files[0])} lines", (*command, "--no-cache", files[0]))
            )
        if len(files) > 2:
            found.append(Way(f"{name}, a commit of three", (*command, "--no-cache", *files[:3])))
    if len(files) > 2:  # the default output shows fixes, for which it imports LibCST
        full = (*our_command, "--output-format", "full", "--no-cache")
        found += [
            Way("telepathy-lint, that file, fixes shown", (*full, files[0])),
            Way("telepathy-lint, that commit, fixes shown", (*full, *files[:3])),
        ]
    return found


def length(path: str) -> int:
    return Path(path).read_bytes().count(b"\n")


def measured_ways(
    code: Path, ours: Path, ruff: Path, rounds: int, cores: int | None
) -> tuple[dict[str, Run], float]:
    """Medians of each use on this many cores, and Ruff's wall time without a cache."""
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder, code.name)
        shutil.copytree(code, copy, symlinks=True, ignore=shutil.ignore_patterns(".git", ".*_cache"))
        runs: dict[str, list[Run]] = {}
        found = ways(copy, ours, ruff)
        time.sleep(2.1)  # files changed within this second are read again in spite of the cache
        for number in range(rounds + 1):
            for way in found:
                way.prepare()
                run = timed(way.command, cores, copy)
                if number:
                    runs.setdefault(way.name, []).append(run)
        medians = {name: median(each) for name, each in runs.items()}
        return medians, medians["ruff, no cache"].wall


# ---- growth


def growth(code: Path, ours: Path, ruff: Path, rounds: int) -> str:
    """The time for several copies of a tree, and as a multiple of the time for one."""
    rows = [
        f"{code.name}, copies of it beside one another",
        "",
        "| copies | telepathy-lint s | x one copy | its cpu s | x one copy | ruff s | x one copy |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    first: tuple[float, ...] = ()
    for copies in COPIES:
        with tempfile.TemporaryDirectory() as folder:
            for number in range(copies):
                target = Path(folder, f"copy{number}")
                shutil.copytree(
                    code, target, symlinks=True, ignore=shutil.ignore_patterns(".git", ".*_cache")
                )
            commands = [
                [part.format(bin=bin_folder, code=folder) for part in tool.command]
                for tool, bin_folder in ((OUR_TOOL, ours), (RUFF_TOOL, ruff))
            ]
            runs: list[list[Run]] = [[], []]
            for number in range(rounds + 1):
                for index, command in enumerate(commands):
                    run = timed(command)
                    if number:
                        runs[index].append(run)
        mine, theirs = map(median, runs)
        seconds = mine.wall, mine.cpu, theirs.wall
        first = first or seconds
        cells = [f"{now:.3f} | {now / one:.1f}" for now, one in zip(seconds, first, strict=True)]
        rows.append(f"| {copies} | {' | '.join(cells)} |")
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
    ours, ruff = (next(folder for each, folder in tools if each is tool) for tool in (OUR_TOOL, RUFF_TOOL))
    everything: dict[str, object] = {}
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else None
    for code in (each.resolve() for each in options.code):
        runs = measure(code, tools, options.rounds)
        print(table(code, runs), flush=True)
        everything[code.name] = {name: [vars(run) for run in each] for name, each in runs.items()}
        for number in sorted({1, cores}) if cores is not None else [None]:
            medians, measure_of_all = measured_ways(code, ours, ruff, options.rounds, number)
            told = f"{number} core{'s' if number != 1 else ''}" if number is not None else "all cores"
            rows = [row(name, run, measure_of_all) for name, run in medians.items()]
            print("\n".join([f"{code.name}, {told}", "", *HEAD, *rows, ""]), flush=True)
            everything[f"{code.name}, {told}"] = {name: vars(run) for name, run in medians.items()}
    print(growth(options.code[0].resolve(), ours, ruff, min(options.rounds, 3)), flush=True)
    if options.json:
        options.json.write_text(json.dumps(everything, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
