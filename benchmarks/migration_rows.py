"""Asks the real libraries about every row of the tables about a move, in each release of benchmarks/migration_releases.json.

    python benchmarks/migration_rows.py --wheels WHEELS --folders FOLDERS [--beside FOLDER ...] [--only transformers|trl|peft]

benchmarks/migration_facts.py reads the releases; this imports them. Each is unpacked into FOLDERS and imported in a process
of its own, where calls with the old and the new arguments are made, names are looked up, removed modules are imported, and
trainers get what they refuse. `--beside` names folders with what older releases need (`pip install --target`:
huggingface_hub, tokenizers, and for trl also a transformers); the first with which a question can be asked is used. Where
none is, or --releases leaves a release out, signatures and names are read from the release's source.

The old form has to be there in the last release before the one that removed it, and in none since; the new form in each release
from its first on. A release may be older than the class or the argument. Says how many rows hold, in how many pairs of a row and a release;
which do not; and which could not be asked and why. Exits with 1 if one does not hold.
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
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from migration_facts import RELEASES, ROOT, Release, Version, number, releases

from telepathy_lint.knowledge.load_arguments import REMOVED_TASKS, TASKS_REMOVED_LATER
from telepathy_lint.knowledge.migration import (
    ADAPTED_TWICE,
    CHECKPOINT_METRICS,
    OLD_VALUES,
    OVERRIDES,
    PEFT_NAMES,
    TOKENIZER_ATTRIBUTES,
    TOKENIZER_METHODS,
)
from telepathy_lint.knowledge.migration_moves import FROM_MODULES, RENAMED, TRL_MOVED
from telepathy_lint.knowledge.migration_names import MODULES, NAMES
from telepathy_lint.knowledge.migration_table import TRANSFORMERS as OF_TRANSFORMERS
from telepathy_lint.knowledge.migration_trl import TRL as OF_TRL
from telepathy_lint.knowledge.trl_names import TRL_MODULES, TRL_NAMES

VERSIONS: dict[str, list[str]] = json.loads(RELEASES.read_text(encoding="utf-8"))


class Row(NamedTuple):
    """A row, as a question to each release; the answer is whether the release takes, has or does something."""

    name: str
    #: The kind of question, and what it is about.
    question: tuple[str, ...]
    #: The release since which the answer is no.
    gone: Version | None = None
    #: The release since which the answer is yes.
    since: Version | None = None
    #: Whether it changes in this very release, so that the one before answers otherwise.
    exact: bool = True


def rows(package: str) -> Iterator[Row]:
    """The rows about a package."""
    tables = {"transformers": OF_TRANSFORMERS, "trl": OF_TRL}
    for owner, name, removed, how, new, since, default in tables.get(package, ()):
        row = f"{owner}.{name}"
        yield Row(row, ("takes", owner, name, default), gone=removed)
        if how in ("rename", "switch", "config") and since is not None:
            taker = f"{owner.removesuffix('Trainer')}Config" if how == "config" else owner
            name, _, value = new.partition("=")
            yield Row(f"{row} -> {new}", ("takes", taker, name, value), since=since, exact=False)
    for dotted, removed in _names(package):
        about = dotted.removeprefix("transformers.") in _ABOUT
        yield Row(dotted, ("has", dotted), gone=removed, exact=not about)
    newest = number(VERSIONS[package][-1])
    for dotted in _now(package):
        yield Row(f"-> {dotted}", ("has", dotted), since=newest, exact=False)
    if package == "trl":
        for owner in (
            "SFTTrainer",
            "DPOTrainer",
            "RewardTrainer",
            "GRPOTrainer",
            "KTOTrainer",
            "ORPOTrainer",
        ):
            yield Row(f"{owner}: an adapter and peft_config", ("refuses", owner), since=ADAPTED_TWICE)
    if package == "transformers":
        yield from _of_transformers()


def _of_transformers() -> Iterator[Row]:
    """The rows about other things than arguments and names."""
    for (name, value), (removed, _) in OLD_VALUES.items():
        yield Row(f"{name}={value!r}", ("value", name, value), gone=removed)
    for method, override in OVERRIDES.items():
        if override.added:
            asked = ("parameter", method, override.added)
            yield Row(f"Trainer.{method}: {override.added}", asked, since=override.since)
    metrics = ("parameter", "_save_checkpoint", "metrics")
    yield Row("Trainer._save_checkpoint: metrics", metrics, gone=CHECKPOINT_METRICS)
    for name in (*TOKENIZER_METHODS, *TOKENIZER_ATTRIBUTES):
        yield Row(f"tokenizer.{name}", ("tokenizer", name), gone=(5, 0))
    for task in sorted(REMOVED_TASKS):
        gone = (5, 3) if task in TASKS_REMOVED_LATER else (5, 0)
        yield Row(f"pipeline({task!r})", ("task", task), gone=gone)


#: What a module no longer has "by the release that removed it or one after it": the release before may lack it.
_ABOUT = frozenset(name for names in FROM_MODULES.values() for name in names.split())

#: True, False, None where the release has no such class, or why it could not be asked.
Answer = bool | str | None


class Judged(NamedTuple):
    """What the answers say of a row."""

    held: int
    #: Releases that are older or newer than the class.
    none: int
    wrong: list[str]
    unasked: list[str]


def judged(row: Row, answers: Mapping[str, Answer]) -> Judged:
    """Whether a row holds in the releases, which are in their order."""
    held, none, wrong, unasked = 0, 0, [], []
    had = False
    change = row.gone or row.since
    assert change is not None
    before = [release for release in answers if number(release) < change]
    for release, answer in answers.items():
        if isinstance(answer, str):
            unasked.append(f"{row.name} in {release}: {answer}")
            continue
        later = number(release) >= change
        if answer is None:
            right: bool | None = None
        elif row.gone is not None:
            right = not answer if later else answer or not (row.exact and release == before[-1])
            had = had or answer
        elif later:
            right = answer
        else:
            right = not answer if row.exact else None
        held += right is True
        none += right is None
        if right is False:
            wrong.append(f"{row.name}: {release} {'has' if answer else 'lacks'} it")
    if row.gone is not None and before and not had and not unasked:
        wrong.append(f"{row.name}: no release had it")
    return Judged(held, none, wrong, unasked)


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
import importlib, inspect, json, logging, os, re, sys, tempfile, warnings
warnings.simplefilter("ignore")
logging.disable(logging.CRITICAL)
out, sys.stdout = sys.stdout, sys.stderr
job = json.load(sys.stdin)
package = importlib.import_module(job["package"])

def found(owner):
    try:
        return getattr(package, owner)
    except Exception as error:
        last = error
    for module in job["homes"].get(owner, ()):
        try:
            return getattr(importlib.import_module(module), owner)
        except Exception as error:
            last = error
    if job["homes"].get(owner):
        raise last
    return None

def takes(owner, name, value):
    cls = found(owner)
    if cls is None:
        return None
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

def value(name, given):
    try:
        package.TrainingArguments(tempfile.mkdtemp(), **{name: given})
    except ValueError:
        return False
    return True

def parameter(method, name):
    return name in inspect.signature(getattr(package.Trainer, method)).parameters

def of_words():
    from tokenizers import Tokenizer, models, pre_tokenizers
    made = Tokenizer(models.WordLevel({"<pad>": 0, "a": 1, "b": 2, "</s>": 3}, unk_token="a"))
    made.pre_tokenizer = pre_tokenizers.Whitespace()
    import transformers
    return transformers.PreTrainedTokenizerFast(tokenizer_object=made, pad_token="<pad>", eos_token="</s>", unk_token="a")

def tokenizer(name):
    return hasattr(of_words(), name)

def task(name):
    from transformers.pipelines import check_task
    try:
        check_task(name)
    except KeyError:
        return False
    return True

ROWS = {
    "SFT": {"text": "a b"}, "GRPO": {"prompt": "a"}, "KTO": {"prompt": "a", "completion": "b", "label": True},
}

def refuses(owner):
    cls = found(owner)
    if cls is None:
        return None
    import datasets, peft, transformers
    kind = owner.removesuffix("Trainer")
    size = dict(vocab_size=4, hidden_size=8, intermediate_size=8, num_hidden_layers=1, num_attention_heads=2, pad_token_id=0)
    config = transformers.LlamaConfig(num_key_value_heads=2, bos_token_id=3, eos_token_id=3, num_labels=1, **size)
    made = transformers.LlamaForSequenceClassification if kind == "Reward" else transformers.LlamaForCausalLM
    lora = dict(target_modules=["q_proj"], task_type="SEQ_CLS" if kind == "Reward" else "CAUSAL_LM")
    model = peft.get_peft_model(made(config), peft.LoraConfig(**lora))
    data = [ROWS.get(kind, {"prompt": "a", "chosen": "a b", "rejected": "b"})] * 8
    if kind == "Reward":
        data = [{"chosen": "a b", "rejected": "b"}] * 8
    more = {"reward_funcs": lambda completions, **_: [0.0] * len(completions)} if kind == "GRPO" else {}
    settings = found(kind + "Config")(tempfile.mkdtemp(), report_to="none", use_cpu=True, bf16=False, per_device_train_batch_size=8)
    try:
        cls(
            model=model, args=settings, processing_class=of_words(), train_dataset=datasets.Dataset.from_list(data),
            peft_config=peft.LoraConfig(**lora), **more
        )
    except ValueError as error:
        if "`PeftModel` instance together with a `peft_config`" in str(error):
            return True
        raise
    return False

answers = []
for kind, *rest in job["questions"]:
    try:
        answers.append(globals()[kind](*rest))
    except Exception as error:
        answers.append(f"{type(error).__name__}: {error}"[:160])
    except BaseException as error:
        answers.append(f"{type(error).__name__}: {error}"[:160])
print(json.dumps(answers), file=out)
"""


def _owners(question: tuple[str, ...]) -> tuple[str, ...]:
    """The classes that a question is about, which may be in any module."""
    kind, owner, *_ = question
    if kind == "has":
        package, _, name = owner.partition(".")
        return (name,) if package == "trl" and "." not in name else ()
    if kind == "refuses":
        return owner, f"{owner.removesuffix('Trainer')}Config"
    return (owner,) if kind == "takes" else ()


def answers(
    release: Release, folder: Path, questions: Sequence[tuple[str, ...]], beside: list[str]
) -> list[Answer]:
    """What a release says; the folders that it was asked beside come first afterwards."""
    owners = {name for question in questions for name in _owners(question)}
    homes: dict[str, list[str]] = defaultdict(list)
    for module in sorted(release.modules) if owners else ():
        for owner in owners.intersection(re.findall(r"(?m)^class (\w+)", release.text(module))):
            homes[owner].append(module)
    found: dict[tuple[str, ...], Answer] = {}
    for each in list(beside):
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
            if sum(not isinstance(found[question], str) for question in rest) > len(questions) / 2:
                beside.remove(each)
                beside.insert(0, each)  # the next release is likely to need the same
        else:
            last = (done.stderr.strip().splitlines() or ["ended"])[-1][:160]
            found = {**dict.fromkeys(rest, f"cannot be imported here: {last}"), **found}
    return [found[question] for question in questions]


def from_source(release: Release, question: tuple[str, ...], settings: set[str]) -> Answer:
    """What the source of a release says; a text where it says nothing. `settings` is what TrainingArguments take."""
    kind, owner, *rest = question
    if kind == "takes":
        if owner not in release.classes:
            return None
        fields = (
            release.parameters(owner) if owner.endswith("Trainer") else [*release.fields(owner), *settings]
        )
        return fields is not None and rest[0] in fields
    if kind == "parameter":
        return rest[0] in (release.parameters("Trainer", owner) or ())
    if kind == "has":
        module, _, name = owner.rpartition(".")
        if owner in release.modules:
            return True
        if module == release.package:
            if release.package == "transformers":
                return name in release.public
            named = re.search(rf"\b{name}\b", release.text(module)) is not None
            return named or name in release.public_classes
        return module in release.modules and name in release.defines(module)
    if kind == "refuses":
        texts = [release.text(module) for module in release.modules]
        own = [text for text in texts if re.search(rf"(?m)^class _?{owner}\b", text)]
        return any(re.search(r"`?PeftModel`? instance together with a `peft_config`", text) for text in own)
    return "cannot be read"


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
    parser.add_argument("--known", type=Path, help="a file for the answers: what it has is not asked again")
    parser.add_argument(
        "--releases", default="", help="import only these, with , between; the source of the others is read"
    )
    parser.add_argument("--match", default="", help="only rows with this regular expression in them")
    options = parser.parse_args()
    known: dict[tuple[str, str], dict[tuple[str, ...], Answer]] = {}
    if options.known is not None and options.known.exists():
        for line in options.known.read_text(encoding="utf-8").splitlines():
            package, full, items = json.loads(line)
            known[package, full] = {tuple(question): answer for question, answer in items}
    failed = 0
    for package in [options.only] if options.only else VERSIONS:
        asked = [row for row in rows(package) if re.search(options.match, row.name)]
        questions = list(dict.fromkeys(row.question for row in asked))
        said: dict[tuple[str, ...], dict[str, Answer]] = defaultdict(dict)
        read = 0
        beside = ["", *options.beside]
        (newest,) = releases("transformers", VERSIONS["transformers"][-1:], options.wheels)
        settings = set(newest.fields("TrainingArguments")) if package == "trl" else set()
        for release in releases(package, VERSIONS[package], options.wheels) if questions else ():
            folder = options.folders / f"{package}-{release.full}"
            if not folder.exists():
                with zipfile.ZipFile(next(options.wheels.glob(f"{package}-{release.full}-*.whl"))) as wheel:
                    wheel.extractall(folder)
            known_here = known.get((package, release.full), {})
            rest = [each for each in questions if each not in known_here]
            if rest and (not options.releases or release.full in options.releases.split(",")):
                known_here |= dict(zip(rest, answers(release, folder, rest, beside), strict=True))
                if options.known is not None:
                    with options.known.open("a", encoding="utf-8") as out:
                        print(json.dumps([package, release.full, list(known_here.items())]), file=out)
            given = [known_here.get(question, "not asked yet") for question in questions]
            for question, answer in zip(questions, given, strict=True):
                source = from_source(release, question, settings) if isinstance(answer, str) else answer
                read += isinstance(answer, str) and not isinstance(source, str)
                said[question][release.full] = answer if isinstance(source, str) else source
            reasons = sum(isinstance(answer, str) for answer in given)
            print(
                f"{package} {release.full}: {reasons} of {len(given)} not asked", file=sys.stderr, flush=True
            )
        found = [judged(row, said[row.question]) for row in asked]
        pairs = sum(each.held for each in found)
        wrong = [line for each in found for line in each.wrong]
        unasked = [line for each in found for line in each.unasked]
        print(
            f"{package}: {len(asked)} rows, {len(VERSIONS[package])} releases: {pairs} pairs hold ({read} of the answers read from the source), "
            f"{sum(each.none for each in found)} are of releases without the class or before the new form, {len(wrong)} do not hold, {len(unasked)} could not be asked"
        )
        print("".join(f"  {line}\n" for line in (*wrong, *unasked)), end="")
        failed |= bool(wrong)
    return failed


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))
    raise SystemExit(main())
