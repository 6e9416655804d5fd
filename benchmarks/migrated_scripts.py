"""Runs public scripts on transformers 4, and on 5 before and after `migrate --fix`.

    python benchmarks/migrated_scripts.py --code DIR --old 4.57=FOLDER [--old 4.46=FOLDER] --keep OUT
    python benchmarks/migrated_scripts.py --code DIR ... --count 120 --only REPOSITORY/PATH

`--code` is a folder with one folder per repository (may be given several times). `--old` is a folder that
`pip install --target` filled with an older transformers (and trl), found through PYTHONPATH; the installed releases are the new
ones. A seeded sample of the scripts that train, generate, tokenize, or use pipelines is run, statement by statement, on tiny
random models and made-up data (benchmarks/run_whole_script.py).

A statement that ran on one of the old releases and fails on the new one after the migration is a breakage, unless a
finding that the migration left says so, or it needs a name or a file that such a statement makes. The table counts scripts and
statements; `--keep` keeps the scripts, the outcomes and the findings. Exits with 1 if there is a breakage that no finding names.
The scripts are public code: run this in a safe environment.
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
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from compared_scripts import Compared, Did, aligned, compare

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


class Script(NamedTuple):
    name: str
    text: str
    kind: str


class Outcome(NamedTuple):
    """What one script did in one run, statement by statement."""

    version: str
    statements: dict[str, Did]
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


def run(texts: Sequence[str], folder: Path, beside: Sequence[str], again: Collection[int]) -> list[Outcome]:
    """What each script does, on the transformers that is found beside; read from the last run if it is not to be run again."""
    path = folder / "outcomes.jsonl"
    known = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    wanted = sorted(again) if len(known) == len(texts) else range(len(texts))
    if wanted:
        _run([texts[number] for number in wanted], folder, beside, path)
        fresh = dict(zip(wanted, path.read_text(encoding="utf-8").splitlines(), strict=False))
        lines = [
            fresh.get(number, known[number] if number < len(known) else "") for number in range(len(texts))
        ]
        path.write_text("\n".join(filter(None, lines)) + "\n", encoding="utf-8")
    found = []
    for line in path.read_text(encoding="utf-8").splitlines():
        read = json.loads(line)
        statements = {key: Did(*rest) for key, *rest in read.get("statements", ())}
        found.append(Outcome(read["version"], statements, read.get("crash")))
    if len(found) != len(texts):
        raise SystemExit(f"the run in {folder} ended early; see {folder / 'errors'}")
    return found


def _run(texts: Sequence[str], folder: Path, beside: Sequence[str], path: Path) -> None:
    jobs = "".join(json.dumps({"id": number, "text": text}) + "\n" for number, text in enumerate(texts))
    environment = {
        "HOME": str(folder),
        "PATH": os.environ["PATH"],
        "OMP_NUM_THREADS": "1",
        "PYTHONHASHSEED": "0",
        "PYTHONPATH": os.pathsep.join(beside),
    }
    part = path.with_suffix(".part")
    with (folder / "errors").open("w") as errors, part.open("w") as out:
        subprocess.run(
            [sys.executable, "-W", "ignore", str(HERE / "run_whole_script.py"), str(folder.parent / "store"), str(folder)],
            input=jobs, stdout=out, stderr=errors, text=True, env=environment, cwd=folder,
        )  # fmt: skip
    part.replace(path)


# ---- what came of it


def said(drawn: Sequence[Script], compared: Sequence[Compared], old: Sequence[Sequence[Outcome]],
         after: Sequence[Mapping[str, Did]], left: Sequence[Sequence[dict[str, Any]]]) -> Iterator[str]:  # fmt: skip
    """What became of each script, and of each statement that fails or does something else."""
    for number, script in enumerate(drawn):
        found = compared[number]
        before = [each[number].statements for each in old]
        trained = sum(
            bool(did.logged)
            for each in before
            for key, did in each.items()
            if key in found.ran and did.error is None
        )
        yield (
            f"\n{number} {script.name}: {len(found.ran)} ran ({trained} trained or generated), {len(found.broken_before)} broken, "
            f"{len(found.broken)} after, {len(found.unnamed)} unnamed, {len(found.differ)} differ, {len(left[number])} left"
        )
        if not after[number]:
            yield "  UNNAMED: it does not end, or ends the interpreter"
        for key in found.broken if after[number] else ():
            kind = "UNNAMED" if key in found.unnamed else "follows" if key in found.following else "named  "
            yield f"  {kind} {key} line {after[number][key].line}: {after[number][key].error}"
        for key in found.differ:
            was = next(each[key] for each in before if key in each and each[key].error is None)
            now = after[number][key]
            changes = {
                name: (value, now.values.get(name))
                for name, value in was.values.items()
                if now.values.get(name) != value
            }
            yield f"  DIFFERS {key} line {now.line}: {str(changes)[:300]} {str(was.logged)[:150]} -> {str(now.logged)[:150]}"


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
    parser.add_argument(
        "--again",
        default="",
        help="numbers of scripts with , between: run only these again; --keep has the rest",
    )
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
    everything = range(len(drawn))
    again = list(map(int, options.again.split(","))) if options.again else () if options.reuse else everything
    for given in options.old:
        name, _, where = given.partition("=")
        old.append(run(texts, folder(keep, f"old-{name}"), where.split(os.pathsep), again))
    before = run(texts, folder(keep, "new-before"), [], again)
    after = run(new_texts, folder(keep, "new-after"), [], again or everything)
    compared = [
        compare(
            [each[number].statements for each in old], before[number].statements, after[number].statements, texts[number],
            new_texts[number], left[number],
        )
        for number in range(len(drawn))
    ]  # fmt: skip
    by_old_key = []
    for number, outcome in enumerate(after):
        was = aligned(texts[number], new_texts[number])
        by_old_key.append({was.get(key, f"{key} new"): did for key, did in outcome.statements.items()})
    print("\n".join(said(drawn, compared, old, by_old_key, left)))
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
