"""Runs the rows of the tables about a move on the releases that they are about: the last with the old form, and the first without.

    python benchmarks/migration_rows.py --wheels WHEELS --folders FOLDERS [--beside FOLDER ...] [--only transformers|trl|peft]

benchmarks/migration_facts.py reads the releases; this imports them. Each is unpacked into FOLDERS and imported in a process
of its own, where the call with the old argument is made, the new name is looked up, and removed names and modules are
imported. `--beside` names folders with what older releases need (`pip install --target`: huggingface_hub, tokenizers, and for
trl also a transformers); the first with which a release can be imported is used. Says how many rows hold, which do not,
and which could not be asked and why. Exits with 1 if one does not hold.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import zipfile
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from migration_facts import RELEASES, ROOT, Release, Version, number, releases

from telepathy_lint.knowledge.migration import PEFT_NAMES
from telepathy_lint.knowledge.migration_moves import FROM_MODULES, RENAMED, TRL_MOVED
from telepathy_lint.knowledge.migration_names import MODULES, NAMES
from telepathy_lint.knowledge.migration_table import TRANSFORMERS as OF_TRANSFORMERS
from telepathy_lint.knowledge.migration_trl import TRL as OF_TRL
from telepathy_lint.knowledge.trl_names import TRL_MODULES, TRL_NAMES

VERSIONS: dict[str, list[str]] = json.loads(RELEASES.read_text(encoding="utf-8"))


class Claim(NamedTuple):
    """That a release takes, or has, something; or does not."""

    row: str
    #: The release that is asked.
    release: str
    #: ("takes", owner, argument, value as code) or ("has", dotted name).
    question: tuple[str, ...]
    holds: bool


def claims(package: str) -> Iterator[Claim]:
    """What the rows say of the last release with the old form, and of the first without it."""
    full = VERSIONS[package]
    for owner, name, removed, how, new, since, default in {
        "transformers": OF_TRANSFORMERS,
        "trl": OF_TRL,
    }.get(package, ()):
        row = f"{owner}.{name}"
        before, first = _around(full, removed)
        if before is not None:
            yield Claim(row, before, ("takes", owner, name, default), True)
        yield Claim(row, first, ("takes", owner, name, default), False)
        if how in ("rename", "switch", "config") and since is not None:
            taker = f"{owner.removesuffix('Trainer')}Config" if how == "config" else owner
            asked = next((each for each in full if number(each) >= since), full[-1])
            name, _, value = new.partition("=")
            yield Claim(f"{row} -> {new}", asked, ("takes", taker, name, value), True)
            yield Claim(f"{row} -> {new}", full[-1], ("takes", taker, name, value), True)
    for dotted, removed in _names(package):
        before, first = _around(full, removed)
        if before is not None and dotted.removeprefix("transformers.") not in _ABOUT:
            yield Claim(dotted, before, ("has", dotted), True)
        yield Claim(dotted, first, ("has", dotted), False)
        yield Claim(dotted, full[-1], ("has", dotted), False)
    for dotted in _now(package):
        yield Claim(f"-> {dotted}", full[-1], ("has", dotted), True)


#: What a module no longer has "by the release that removed it or one after it": the release before may lack it.
_ABOUT = frozenset(name for names in FROM_MODULES.values() for name in names.split())


def _around(full: Sequence[str], removed: Version) -> tuple[str | None, str]:
    """The last release before a version, and the first with it."""
    before = [each for each in full if number(each) < removed]
    return before[-1] if before else None, next(each for each in full if number(each) >= removed)


def _names(package: str) -> Iterator[tuple[str, Version]]:
    if package == "transformers":
        for table in (NAMES, MODULES, FROM_MODULES):
            yield from (
                (f"transformers.{name}", version)
                for version, names in table.items()
                for name in names.split()
            )
    elif package == "trl":
        yield from (
            (f"trl.{name}", version) for name, (version, _) in (*TRL_NAMES.items(), *TRL_MOVED.items())
        )
        yield from TRL_MODULES.items()
    else:
        yield from ((f"peft.{name}", version) for name, (version, _) in PEFT_NAMES.items())


def _now(package: str) -> Iterator[str]:
    """What takes the place of names."""
    if package == "transformers":
        yield from (f"transformers.{new}" for new in RENAMED.values())
    elif package == "trl":
        yield from (f"{module}.{name}" for name, (_, module) in TRL_MOVED.items() if module)
    else:
        yield from (f"peft.{new}" for _, new in PEFT_NAMES.values())


_ASKED = """
import importlib, json, logging, os, re, sys, tempfile, warnings
warnings.simplefilter("ignore")
logging.disable(logging.CRITICAL)
out, sys.stdout = sys.stdout, sys.stderr
job = json.load(sys.stdin)
package = importlib.import_module(job["package"])

def found(owner):
    try:
        return getattr(package, owner)
    except Exception:
        for module in job["homes"].get(owner, ()):
            try:
                return getattr(importlib.import_module(module), owner)
            except Exception as error:
                last = error
        raise

def takes(owner, name, value):
    cls = found(owner)
    given = {}
    try:
        given[name] = eval(value, {}) if value else None
    except Exception:
        given[name] = None
    try:
        if owner.endswith("Trainer"):
            cls(**given)
        elif "Arguments" in owner or "Config" in owner:
            cls(**{"output_dir": tempfile.mkdtemp(), **given} if owner != "ModelConfig" else given)
    except TypeError as error:
        if re.search(rf"unexpected keyword argument '{name}'", str(error)):
            return False
    except Exception:
        pass
    return True

def has(dotted):
    module, _, name = dotted.rpartition(".")
    try:
        importlib.import_module(dotted)
        return True
    except ModuleNotFoundError as error:
        if error.name and not (dotted + ".").startswith(error.name + "."):
            return True  # it is there, and needs what is not installed
    except Exception:
        return True
    for home in job["homes"].get(name, ()) if module == "trl" else ():
        if ".experimental" not in home:
            return True  # not at the top, but in the module that has it
    try:
        getattr(importlib.import_module(module), name)
        return True
    except (AttributeError, ModuleNotFoundError, ImportError):
        return False
    except Exception:
        return True

answers = []
for kind, *rest in job["questions"]:
    try:
        answers.append({"takes": takes, "has": has}[kind](*rest))
    except Exception as error:
        answers.append(f"{type(error).__name__}: {error}"[:160])
    except BaseException as error:
        answers.append(f"{type(error).__name__}: {error}"[:160])
print(json.dumps(answers), file=out)
"""


def answers(
    release: Release, folder: Path, questions: Sequence[tuple[str, ...]], beside: Sequence[str]
) -> list[bool | str]:
    """What a release says; texts where it could not be asked."""
    homes: dict[str, list[str]] = defaultdict(list)
    for owner in {question[1] for question in questions}:
        if owner.count(".") > 1 or not owner.rpartition(".")[2][:1].isupper():
            continue
        owner = owner.removeprefix("trl.")
        for module in sorted(release.modules):
            if re.search(rf"^class {owner}\b", release.text(module), re.MULTILINE):
                homes[owner].append(module)
    found: dict[tuple[str, ...], bool | str] = {}
    for each in beside:
        rest = [question for question in questions if isinstance(found.get(question, ""), str)]
        if not rest:
            break
        environment = {
            **os.environ, "PYTHONPATH": os.pathsep.join(filter(None, (str(folder), each))), "HF_HUB_OFFLINE": "1",
            "CUDA_VISIBLE_DEVICES": "", "TRL_EXPERIMENTAL_SILENCE": "1",
        }  # fmt: skip
        job = json.dumps({"package": release.package, "homes": homes, "questions": rest})
        done = subprocess.run(
            [sys.executable, "-c", _ASKED], input=job, capture_output=True, text=True, env=environment
        )
        if done.returncode == 0:
            found |= dict(zip(rest, json.loads(done.stdout.splitlines()[-1]), strict=True))
        else:
            last = (done.stderr.strip().splitlines() or ["ended"])[-1][:160]
            found = {**dict.fromkeys(rest, f"cannot be imported here: {last}"), **found}
    return [found[question] for question in questions]


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--wheels", type=Path, default=Path(".cache") / "wheels")
    parser.add_argument("--folders", type=Path, required=True)
    parser.add_argument(
        "--beside", action="append", default=[], help="folders, with : between those that belong together"
    )
    parser.add_argument("--only", choices=VERSIONS)
    parser.add_argument("--match", default="", help="only rows with this regular expression in them")
    options = parser.parse_args()
    failed = 0
    for package in [options.only] if options.only else VERSIONS:
        asked: dict[str, dict[tuple[str, ...], list[Claim]]] = defaultdict(lambda: defaultdict(list))
        for claim in claims(package):
            if not re.search(options.match, claim.row):
                continue
            asked[claim.release][claim.question].append(claim)
        rows = {claim.row for each in asked.values() for those in each.values() for claim in those}
        wrong: list[str] = []
        unasked: list[str] = []
        count = 0
        for release in releases(
            package, [each for each in VERSIONS[package] if each in asked], options.wheels
        ):
            folder = options.folders / f"{package}-{release.full}"
            if not folder.exists():
                with zipfile.ZipFile(next(options.wheels.glob(f"{package}-{release.full}-*.whl"))) as wheel:
                    wheel.extractall(folder)
            questions = list(asked[release.full])
            print(f"{package} {release.full}: {len(questions)} questions", file=sys.stderr, flush=True)
            for question, answer in zip(
                questions, answers(release, folder, questions, ["", *options.beside]), strict=True
            ):
                for claim in asked[release.full][question]:
                    count += 1
                    if isinstance(answer, str):
                        unasked.append(f"{claim.row} in {release.full}: {answer}")
                    elif answer is not claim.holds:
                        wrong.append(
                            f"{claim.row}: {release.full} {'has' if answer else 'lacks'} {'.'.join(question[1:3])}"
                        )
        print(f"{package}: {len(rows)} rows, {count} claims on {len(asked)} releases: {count - len(wrong) - len(unasked)} hold, "
              f"{len(wrong)} do not, {len(unasked)} could not be asked")  # fmt: skip
        print("".join(f"  {line}\n" for line in (*wrong, *unasked)), end="")
        failed |= bool(wrong)
    return failed


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))
    raise SystemExit(main())
