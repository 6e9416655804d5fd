"""Measures how often a fix breaks the load that it changes, on public code.

    python benchmarks/broken_fixes.py --code DIR                     the table; DIR has one folder per
    repository
    python benchmarks/broken_fixes.py --code DIR --calls 400         for this many calls, sampled with a fixed
    seed
    python benchmarks/broken_fixes.py --code DIR --keep FOLDER       and keep the files, the parts and their
    outcomes

Each file with findings is fixed in each style (loader and inline, safe and unsafe). For each file:

- the fixed text must compile, and Ruff must not report anything new in it (`--select F,E9`);
- the part of the file around each fixed load (benchmarks/load_parts.py) is run before and after the fix, on
  tiny
  models instead of the real ones (benchmarks/stand_ins.py). The comparison includes errors; the class, dtype,
  placement, attention, generation config and pad token of the loaded object; a forward pass and `generate`
  with
  typical inputs; what `save_pretrained` writes; and the values of the statements after the load.

Differences that the documentation of a fix mentions are allowed; all others are breakages. Exits with 1 if
there is one. The parts are public code: run this in a safe environment (`--as-user` runs them as another
user).
"""

from __future__ import annotations

import argparse
import ast
import json
import os
import random
import re
import subprocess
import sys
import tempfile
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from itertools import repeat
from pathlib import Path
from typing import Any, NamedTuple

import load_parts
from compared_loads import compared, is_run

from telepathy_lint import engine
from telepathy_lint.discovery.vendored import Copies
from telepathy_lint.rules import select
from telepathy_lint.run.lint_file import open_source
from telepathy_lint.settings import Settings
from telepathy_lint.source.text import Source, SourceError

HERE = Path(__file__).resolve().parent
STYLES = {
    f"{style} {safety}": (style, safety == "unsafe")
    for style in ("loader", "inline")
    for safety in ("safe", "unsafe")
}


class File(NamedTuple):
    """A file with fixable findings."""

    repository: str
    path: str
    text: str
    #: Style -> the fixed text, if it differs.
    fixed: dict[str, str]
    #: Index of a load -> style -> the codes that the style fixes there.
    loads: dict[int, dict[str, frozenset[str]]]


class Breakage(NamedTuple):
    kind: str
    where: str
    detail: str


def paths_of(repository: Path) -> Iterator[Path]:
    """The scripts and notebooks in a repository, without copies of libraries."""
    copies = Copies()
    for path in sorted(repository.rglob("*")):
        if (
            path.suffix in (".py", ".ipynb")
            and path.is_file()
            and not copies.above(str(path), str(repository))
        ):
            yield path


def files_of(repository: Path, most: int) -> list[File]:
    """The files with fixable findings, among at most `most` files with loads, sampled with a fixed seed."""
    rules, files = select(), []
    loading = [
        path for path in paths_of(repository) if re.search(rb"from_pretrained|pipeline\(", path.read_bytes())
    ]
    random.Random(20250101).shuffle(loading)
    for path in sorted(loading[:most]):
        data = path.read_bytes()
        name = path.relative_to(repository).as_posix()
        try:
            source = open_source(name, data)
            loads = _loads(source)
            fixed, numbers = {}, defaultdict(dict)
            for style, (fix_style, unsafe) in STYLES.items():
                settings = Settings(strict=True)._replace(fix_style=fix_style)
                done = engine.fix(source, rules, settings, unsafe=unsafe)
                if not done.changed:
                    continue
                fixed[style] = done.text
                for place, codes in _fixed_codes(source, rules, settings, unsafe).items():
                    if place in loads:
                        numbers[loads[place]][style] = codes
        except (SourceError, SyntaxError, RecursionError):
            continue
        if fixed:
            files.append(File(repository.name, name, source.text, fixed, dict(numbers)))
    return files


def _name(file: File) -> str:
    return f"{file.repository}/{file.path}"


def _loads(source: Source) -> dict[tuple[int, int, int], int]:
    """Position of each load -> its index."""
    found = {}
    for number, call in enumerate(load_parts.loads(ast.parse(source.text))):
        span = source.place(source.start_of(call), source.end_of(call))
        found[span.cell, span.line, span.column] = number
    return found


def _fixed_codes(
    source: Source, rules: Sequence[Any], settings: Settings, unsafe: bool
) -> dict[tuple[int, int, int], frozenset[str]]:
    codes: dict[tuple[int, int, int], set[str]] = defaultdict(set)
    for found in engine.lint(source, rules, settings):
        made = ("safe", "unsafe") if unsafe else ("safe",)
        if found.fix is not None and found.site is not None and found.fix.safety in made:
            span = found.site.span
            codes[span.cell, span.line, span.column].add(found.code)
    return {place: frozenset(each) for place, each in codes.items()}


# ---- the texts


def error_of(text: str) -> str | None:
    try:
        compile(text, "<file>", "exec", dont_inherit=True)
    except (SyntaxError, ValueError) as error:
        return str(error)
    return None


def texts_broken(files: Sequence[File]) -> Iterator[Breakage]:
    """Fixed files that do not compile, or in which Ruff reports something new."""
    with tempfile.TemporaryDirectory() as base:
        names: dict[str, tuple[File, str]] = {}
        for index, file in enumerate(files):
            for style, text in {"": file.text, **file.fixed}.items():
                if style and (error := error_of(text)) is not None and error_of(file.text) is None:
                    yield Breakage("does not compile", f"{_name(file)} {style}", error)
                name = f"{index}-{style.replace(' ', '-')}.py"
                (Path(base) / name).write_text(text, encoding="utf-8", errors="surrogatepass")
                names[name] = file, style
        done = subprocess.run(
            ["ruff", "check", "--isolated", "--select", "F,E9", "--output-format", "json", "--no-cache", "."],
            cwd=base,
            capture_output=True,
            text=True,
        )
        found: dict[str, Counter[str]] = defaultdict(Counter)
        for each in json.loads(done.stdout):
            # Without the line numbers in messages.
            message = re.sub(r"\bline \d+", "line", each["message"])
            found[Path(each["filename"]).name][f"{each['code']} {message}"] += 1
        for name, (file, style) in names.items():
            before = found[f"{name.partition('-')[0]}-.py"]
            for message, _ in (found[name] - before).items():
                if message.startswith(("F405", "F821")) and message in before:
                    continue  # the name is only imported once more, from the same place, or read once more
                yield Breakage(f"Ruff finds {message.partition(' ')[0]}", f"{_name(file)} {style}", message)


# ---- the parts


def run_parts(
    jobs: Sequence[dict[str, Any]], folder: Path, processes: int, user: str | None
) -> dict[str, Any]:
    """The outcome of each job, by its id."""
    command = [sys.executable, "-W", "ignore", str(HERE / "run_load_parts.py")]
    if user is not None:
        command = ["setpriv", f"--reuid={user}", f"--regid={user}", "--clear-groups", *command]
    # The runs of one load must follow each other, because they share the models that stand for ids.
    loads = list(dict.fromkeys(job["id"].rpartition(":")[0] for job in jobs))
    share_of = {load: number % processes for number, load in enumerate(loads)}
    waiting = [
        [job for job in jobs if share_of[job["id"].rpartition(":")[0]] == share] for share in range(processes)
    ]
    results: dict[str, Any] = {}
    running = []
    for number, share in enumerate(waiting):
        running.append(_started(command, folder, number, share))
    while running:
        process, number, share, path = running.pop(0)
        process.wait()
        lines = path.read_text(encoding="utf-8").splitlines()
        for line in lines:
            found = json.loads(line)
            results[found["id"]] = found
        if len(lines) < len(share):  # the process died in a job; continue with the others
            died = share[len(lines)]["id"]
            results[died] = {"id": died, "crash": f"exit {process.returncode}"}
            rest = share[len(lines) + 1 :]
            if rest:
                running.append(_started(command, folder, number, rest))
    return results


def _started(command: list[str], folder: Path, number: int, jobs: list[dict[str, Any]]) -> Any:
    given, path = folder / f"jobs-{number}", folder / f"results-{number}"
    given.write_text("".join(json.dumps(job) + "\n" for job in jobs), encoding="utf-8")
    environment = {"HOME": str(folder / f"home-{number}"), "PATH": os.environ["PATH"], "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(
        [*command, str(folder / f"store-{number}"), str(folder / f"work-{number}")],
        stdin=given.open(encoding="utf-8"),
        stdout=path.open("w", encoding="utf-8"),
        stderr=(folder / f"errors-{number}").open("w", encoding="utf-8"),
        cwd=folder,
        env=environment,
    )
    return process, number, jobs, path


def jobs_of(files: Sequence[File], drawn: set[tuple[int, int]]) -> Iterator[dict[str, Any]]:
    """The jobs for the sampled loads (file, index): the parts before the fix and in each style."""
    for index, file in enumerate(files):
        numbers = [number for number in file.loads if (index, number) in drawn]
        trees = {style: ast.parse(text) for style, text in {"": file.text, **file.fixed}.items()}
        names = load_parts.imported(trees[""])
        for number in numbers:
            for style in ("", *file.loads[number]):
                part = load_parts.cut(trees[style], number)
                if part is not None:
                    job = {
                        "id": f"{index}:{number}:{style}",
                        "what": f"{_name(file)} load {number} {style}",
                        "codes": sorted(file.loads[number].get(style, ())),
                        "beside": sorted(
                            {code for each in file.loads.values() for code in each.get(style, ())}
                        ),
                        "statements": part.statements,
                        "imported": names,
                    }
                    yield job


# ---- the whole


def draw(files: Sequence[File], calls: int, each: int) -> set[tuple[int, int]]:
    """Sample loads (file, index) from all repositories in turn, at most `each` per repository, with a fixed seed."""
    chance = random.Random(20250101)
    pools: dict[str, list[tuple[int, int]]] = defaultdict(list)
    for index, file in enumerate(files):
        pools[file.repository] += [(index, number) for number in file.loads]
    for pool in pools.values():
        chance.shuffle(pool)
        del pool[each:]
    drawn: list[tuple[int, int]] = []
    while any(pools.values()) and len(drawn) < calls:
        drawn += [pool.pop() for pool in pools.values() if pool]
    return set(drawn[:calls])


def loads_broken(
    jobs: Sequence[dict[str, Any]], results: dict[str, Any]
) -> tuple[list[Breakage], Counter[str], Counter[str]]:
    """The breakages of the parts, and for each style the number of fixed calls and of those that ran."""
    found: list[Breakage] = []
    fixed, ran = Counter[str](), Counter[str]()
    for job in jobs:
        load, _, style = job["id"].rpartition(":")
        if not style:
            continue
        fixed[style] += 1
        before, after = results.get(f"{load}:"), results.get(job["id"])
        if before is None or after is None or not is_run(before):
            continue
        ran[style] += 1
        kinds = compared(before, after, frozenset(job["codes"]), frozenset(job["beside"]))
        found += [Breakage(kind, job["what"], detail) for kind, detail in kinds]
    return found, fixed, ran


def reported(
    broken: Sequence[Breakage], jobs: Sequence[dict[str, Any]], fixed: Counter[str], ran: Counter[str]
) -> None:
    total = sum(ran.values())
    repositories = {job["what"].partition("/")[0] for job in jobs}
    print(f"{sum(fixed.values())} fixed calls of {len(repositories)} repositories, {total} of them run")
    for style in STYLES:
        print(f"  {style}: {fixed[style]} fixed, {ran[style]} run")
    kinds = Counter(each.kind for each in broken)
    print(
        f"{len(kinds)} kinds of breakage, {1000 * len(kinds) / max(total, 1):.1f} per 1,000 fixed calls that were run"
    )
    for kind, count in kinds.most_common():
        print(f"  {count:5}  {kind}")


def main() -> int:
    parser = argparse.ArgumentParser(
        description="how often a fix breaks the load that it changes, on public code"
    )
    parser.add_argument(
        "--code", type=Path, required=True, help="a folder with one folder for each repository"
    )
    parser.add_argument("--calls", type=int, default=1000, help="loads to run (default: %(default)s)")
    parser.add_argument(
        "--each", type=int, default=40, help="the most of one repository (default: %(default)s)"
    )
    parser.add_argument(
        "--files", type=int, default=60, help="the most files of one repository (default: %(default)s)"
    )
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--keep", type=Path, help="a folder for the parts and what they came to")
    parser.add_argument(
        "--as-user", help="the number of a user without rights, whose name the parts run under (as root)"
    )
    options = parser.parse_args()
    repositories = [path for path in sorted(options.code.iterdir()) if path.is_dir()]
    with ProcessPoolExecutor(options.processes) as pool:
        found = pool.map(files_of, repositories, repeat(options.files))
        files = [file for several in found for file in several]
    broken = list(texts_broken(files))
    jobs = list(jobs_of(files, draw(files, options.calls, options.each)))
    with tempfile.TemporaryDirectory() as base:
        folder = Path(base)
        folder.chmod(0o777)
        results = run_parts(jobs, folder, options.processes, options.as_user)
    found, fixed, ran = loads_broken(jobs, results)
    broken += found
    if options.keep is not None:
        options.keep.mkdir(parents=True, exist_ok=True)
        written(options.keep / "jobs.jsonl", map(json.dumps, jobs))
        written(options.keep / "results.jsonl", map(json.dumps, results.values()))
        written(options.keep / "breakages.txt", (" | ".join(each) for each in broken))
    reported(broken, jobs, fixed, ran)
    return 1 if broken else 0


def written(path: Path, lines: Iterable[str]) -> None:
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
