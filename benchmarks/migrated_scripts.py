"""Runs public scripts on transformers 4, and on 5 before and after `migrate --fix`.

    python benchmarks/migrated_scripts.py --code DIR --old 4.57=FOLDER [--old 4.46=FOLDER] --keep OUT
    python benchmarks/migrated_scripts.py --code DIR ... --count 120 --only REPOSITORY/PATH

`--code` is a folder with one folder per repository (may be given several times). `--old` is a folder that
`pip install --target` filled with an older transformers (and trl), found through PYTHONPATH; the installed releases are the new
ones. A seeded sample of the scripts that train, generate, tokenize, or use pipelines is run, statement by statement, on tiny
random models and made-up data (benchmarks/run_whole_script.py).

A statement that ran on one of the old releases and fails on the new one after the migration is a breakage, unless a
finding that the migration left says so, or another statement whose value it uses. The table counts scripts and statements;
`--keep` keeps the scripts, the outcomes and the findings. Exits with 1 if there is a breakage that no finding names. The
scripts are public code: run this in a safe environment.
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
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from telepathy_lint.commands import cli
from telepathy_lint.discovery.vendored import Copies
from telepathy_lint.run.lint_file import open_source
from telepathy_lint.source.text import SourceError

HERE = Path(__file__).resolve().parent
#: What a script does -> how many of those that do it are drawn, of 100.
KINDS = {
    r"(?<!\w)(?:SFT|DPO|ORPO|KTO|Reward|GRPO|CPO|PPO)Trainer\(": 20,
    r"(?<!\w)(?:Seq2Seq)?Trainer\(": 30,
    r"apply_chat_template\(": 12,
    r"(?:batch_)?encode_plus\(|pad_to_max_length": 8,
    r"(?<!\w)pipeline\(": 12,
    r"FeatureExtractor|Processor\.from_pretrained": 8,
    r"\.generate\(": 10,
}
SEED = 20261129
#: How far losses and sums may lie apart, relative to them.
TOLERANCE = 1e-3


class Script(NamedTuple):
    name: str
    text: str
    kind: str


class Outcome(NamedTuple):
    """What one script did in one run: key -> (line, error, values, logged)."""

    version: str
    statements: dict[str, tuple[int, str | None, dict[str, Any], list[Any]]]
    crash: str | None


def scripts(folders: Sequence[Path], count: int, only: str | None) -> list[Script]:
    """The drawn scripts: of each kind its share, and from no repository more than two of a kind."""
    found: dict[str, list[Script]] = {kind: [] for kind in KINDS}
    for folder in folders:
        for repository in sorted(path for path in folder.iterdir() if path.is_dir()):
            copies = Copies()
            for path in sorted(repository.rglob("*")):
                if (
                    path.suffix not in (".py", ".ipynb")
                    or not path.is_file()
                    or copies.above(str(path), str(repository))
                ):
                    continue
                name = f"{repository.name}/{path.relative_to(repository).as_posix()}"
                if (only is not None and only != name) or re.search(r"/tests?/|test_|conftest", name):
                    continue
                script = _read(name, path.read_bytes())
                if script is not None:
                    found[script.kind].append(script)
    if only is not None:
        return [script for each in found.values() for script in each]
    drawn: dict[str, Script] = {}
    for kind, each in found.items():
        random.Random(SEED).shuffle(each)
        taken: Counter[str] = Counter()
        for script in each:
            repository = script.name.partition("/")[0]
            if sum(taken.values()) >= KINDS[kind] * count / 100:
                break
            if taken[repository] < 2 and script.text not in drawn:
                taken[repository] += 1
                drawn[script.text] = script
    return list(drawn.values())


def _read(name: str, data: bytes) -> Script | None:
    """A script that uses transformers by itself, and says so; None for other files."""
    if b"transformers" not in data or len(data) > 2_000_000:
        return None
    try:
        text = open_source(name, data).text
        ast.parse(text)
    except (SourceError, SyntaxError, ValueError, RecursionError):
        return None
    if not re.search(r"(?m)^\s*(?:from|import) (?:transformers|trl)\b", text) or len(text) > 60_000:
        return None
    if re.search(r"(?m)^\s*(?:from|import) (?:unsloth|tensorflow|vllm)\b", text):
        return None
    kind = next((kind for kind in KINDS if re.search(kind, text)), None)
    return Script(name, text, kind) if kind is not None else None


def migrate(folder: Path, drawn: Sequence[Script], to: str, trl: str) -> list[list[dict[str, Any]]]:
    """Write the scripts, migrated, and return the findings that are left in each."""
    for number, script in enumerate(drawn):
        (folder / f"{number}.py").write_text(script.text, encoding="utf-8")
    report = folder / "left.json"
    cli.run(["migrate", "--isolated", "--fix", "--to", to, "--trl", trl, str(folder)])
    config = folder.parent / "left.toml"
    config.write_text(f'select = ["TLP107", "TLP4"]\ntarget-transformers = "{to}"\ntarget-trl = "{trl}"\n')
    command = ["check", "--no-cache", "--config", str(config), "--output-format", "json"]
    cli.run([*command, "--output-file", str(report), str(folder)])
    left: list[list[dict[str, Any]]] = [[] for _ in drawn]
    for finding in json.loads(report.read_text(encoding="utf-8")):
        left[int(Path(finding["path"]).stem)].append(finding)
    return left


def run(texts: Sequence[str], folder: Path, beside: Sequence[str], again: bool) -> list[Outcome]:
    """What each script does, on the transformers that is found beside; read from the last run unless it is to be run again."""
    path = folder / "outcomes.jsonl"
    if again or not path.exists():
        path.write_text(_printed(texts, folder, beside), encoding="utf-8")
    found = []
    for line in path.read_text(encoding="utf-8").splitlines():
        read = json.loads(line)
        statements = {key: tuple(rest) for key, *rest in read.get("statements", ())}
        found.append(Outcome(read["version"], statements, read.get("crash")))  # type: ignore[arg-type]
    if len(found) != len(texts):
        raise SystemExit(f"the run in {folder} ended early; see {folder / 'errors'}")
    return found


def _printed(texts: Sequence[str], folder: Path, beside: Sequence[str]) -> str:
    jobs = "".join(json.dumps({"id": number, "text": text}) + "\n" for number, text in enumerate(texts))
    environment = {
        "HOME": str(folder),
        "PATH": os.environ["PATH"],
        "OMP_NUM_THREADS": "1",
        "PYTHONPATH": os.pathsep.join(beside),
    }
    with (folder / "errors").open("w") as errors:
        done = subprocess.run(
            [sys.executable, "-W", "ignore", str(HERE / "run_whole_script.py"), str(folder.parent / "store"), str(folder)],
            input=jobs, stdout=subprocess.PIPE, stderr=errors, text=True, env=environment, cwd=folder,
        )  # fmt: skip
    return done.stdout


# ---- what came of it


class Compared(NamedTuple):
    """One script: the keys of its statements, by what became of them."""

    #: Those that ran on an old release.
    ran: list[str]
    #: Of these, those that fail on the new release before and after the migration.
    broken_before: list[str]
    broken: list[str]
    #: Of the broken ones, those that no finding is about, and that use nothing of another broken one.
    unnamed: list[str]
    #: Those that compute or log something else.
    differ: list[str]


def compare(
    old: Sequence[Outcome], before: Outcome, after: Outcome, text: str, left: Sequence[dict[str, Any]]
) -> Compared:
    ran = {
        key: each for outcome in reversed(old) for key, each in outcome.statements.items() if each[1] is None
    }
    statements = _statements(text)
    named = {line for finding in left for line in range(finding["line"], finding["end_line"] + 1)}
    #: Names that hold nothing, or something other, because a statement broke; and functions with findings in them.
    spoilt = {
        node.name
        for node in ast.walk(ast.parse(text))
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)) and _lines(node) & named
    }
    found = Compared(list(ran), [], [], [], [])
    for key, now in after.statements.items():
        if key not in ran:
            continue
        if key in before.statements and before.statements[key][1] is not None:
            found.broken_before.append(key)
        if now[1] == "TooLong":
            continue
        node = statements.get(now[0])
        names = _names(node) if node is not None else (set(), set())
        imported = re.search(r" import (\w+) = ", key)
        bound = {imported[1]} if imported is not None else names[0]
        if now[1] is not None:
            found.broken.append(key)
            if not (node is not None and _lines(node) & named) and not names[1] & spoilt:
                found.unnamed.append(key)
            spoilt |= bound
        else:
            spoilt = spoilt | bound if names[1] & spoilt and imported is None else spoilt - bound
            _, _, values, logged = ran[key]
            if not _alike(_computed(values), _computed(now[2])) or not _alike(logged, now[3]):
                found.differ.append(key)
    return found


def _computed(values: dict[str, Any]) -> dict[str, Any]:
    """Of the values that a statement binds, tensors and encodings: the others hold times, paths and addresses."""
    return {
        name: value
        for name, value in values.items()
        if isinstance(value, (list, dict)) and re.search(r'"(?:tensor|array|encoding)"', json.dumps(value))
    }


def _alike(one: Any, other: Any) -> bool:
    """Whether two values are equal, numbers to three digits."""
    if isinstance(one, float) and isinstance(other, (int, float)):
        return abs(one - other) <= TOLERANCE * max(1.0, abs(one))
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(_alike, one, other))
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(_alike(one[name], other[name]) for name in one)
    return bool(one == other)


def _statements(text: str) -> dict[int, ast.stmt]:
    """First line of each statement -> the statement."""
    return {
        node.lineno: node for node in reversed(list(ast.walk(ast.parse(text)))) if isinstance(node, ast.stmt)
    }


def _lines(node: ast.stmt) -> set[int]:
    first = min([node.lineno, *(each.lineno for each in getattr(node, "decorator_list", ()))])
    return set(range(first, (node.end_lineno or node.lineno) + 1))


def _names(node: ast.stmt) -> tuple[set[str], set[str]]:
    """The names that a statement binds, and those that it reads."""
    names = [each for each in ast.walk(node) if isinstance(each, ast.Name)]
    return {each.id for each in names if isinstance(each.ctx, ast.Store)}, {
        each.id for each in names if not isinstance(each.ctx, ast.Store)
    }


def said(drawn: Sequence[Script], compared: Sequence[Compared], old: Sequence[Sequence[Outcome]], before: Sequence[Outcome],
         after: Sequence[Outcome], left: Sequence[Sequence[dict[str, Any]]]) -> Iterator[str]:  # fmt: skip
    for number, script in enumerate(drawn):
        found = compared[number]
        trained = sum(
            bool(each[3]) and each[1] is None
            for outcome in old
            for each in outcome[number].statements.values()
        )
        yield (
            f"\n{number} {script.name}: {len(found.ran)} ran ({trained} trained or generated), {len(found.broken_before)} broken, "
            f"{len(found.broken)} after, {len(found.unnamed)} unnamed, {len(found.differ)} differ, {len(left[number])} left"
        )
        for key in found.broken:
            line, error, *_ = after[number].statements[key]
            yield f"  {'UNNAMED' if key in found.unnamed else 'named  '} {key} line {line}: {error}"
        for key in found.differ:
            previous = next(
                each[number].statements[key]
                for each in old
                if each[number].statements.get(key, (0, 1))[1] is None
            )
            now = after[number].statements[key]
            changes = {
                name: (value, now[2].get(name))
                for name, value in previous[2].items()
                if now[2].get(name) != value
            }
            yield f"  DIFFERS {key} line {now[0]}: {str(changes)[:300]} {str(previous[3])[:150]} -> {str(now[3])[:150]}"


def folder(keep: Path, name: str) -> Path:
    (keep / name).mkdir(parents=True, exist_ok=True)
    return keep / name


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--code", type=Path, action="append", required=True)
    parser.add_argument(
        "--old", action="append", required=True, help="NAME=FOLDER, or folders with : between"
    )
    parser.add_argument("--keep", type=Path, required=True)
    parser.add_argument("--count", type=int, default=100)
    parser.add_argument("--only")
    parser.add_argument(
        "--reuse", action="store_true", help="run only what is migrated again; --keep has the rest"
    )
    parser.add_argument("--to", default="5.24")
    parser.add_argument("--trl", default="1.16")
    options = parser.parse_args()
    keep = options.keep.resolve()
    drawn = scripts(options.code, options.count, options.only)
    migrated = keep / "after"
    migrated.mkdir(parents=True, exist_ok=True)
    (keep / "names.json").write_text(json.dumps([script.name for script in drawn], indent=0))
    for number, script in enumerate(drawn):
        (keep / f"{number}.before.py").write_text(script.text, encoding="utf-8")
    left = migrate(migrated, drawn, options.to, options.trl)
    texts = [script.text for script in drawn]
    new_texts = [(migrated / f"{number}.py").read_text(encoding="utf-8") for number in range(len(drawn))]
    old = []
    for given in options.old:
        name, _, where = given.partition("=")
        old.append(run(texts, folder(keep, f"old-{name}"), where.split(os.pathsep), not options.reuse))
    before = run(texts, folder(keep, "new-before"), [], not options.reuse)
    after = run(new_texts, folder(keep, "new-after"), [], True)
    compared = [
        compare(
            [each[number] for each in old], before[number], after[number], new_texts[number], left[number]
        )
        for number in range(len(drawn))
    ]
    print("\n".join(said(drawn, compared, old, before, after, left)))
    counted = [each for each in compared if each.ran]
    print(
        f"\n{len(drawn)} scripts, {len(counted)} ran on an old release ({sum(len(each.ran) for each in counted)} statements)"
    )
    print(
        f"on the new release without migrating, {sum(not each.broken_before for each in counted)} of these run as far"
    )
    print(
        f"after migrate --fix, {sum(not each.broken for each in counted)}; in {sum(bool(each.broken) and not each.unnamed for each in counted)} "
        f"more a finding names all that fails; in {sum(bool(each.unnamed) for each in counted)} something fails that none names"
    )
    print(f"{sum(bool(each.differ) for each in counted)} compute or log something else")
    return 1 if any(each.unnamed for each in compared) else 0


if __name__ == "__main__":
    raise SystemExit(main())
