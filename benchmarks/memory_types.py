"""What the planner knows of every model type that the installed transformers has, as a Markdown table.

    python -m benchmarks.memory_types [--steps] [--seconds N] [--record FILE] [--write] [TYPE ...]

For each type, the model of its default config is counted, and compared with the model that transformers builds on the meta
device. With --steps, a training step of each causal language model is estimated too (2 sequences of 64 tokens): in closed form, which is
compared with the trace of transformers' own step, traced, or a lower bound. Each type has a process of its own, which ends after so many
seconds (60): some default configs are of the largest models. --record keeps what was found, so that a later run goes on after it. Needs torch
and transformers, but no GPU; takes minutes, with --steps half an hour. --write puts the table into docs/memory.md.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import sys
import tempfile
import time
import warnings
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from telepathy_runtime.memory import Workload
from telepathy_runtime.memory.fallback import estimate_or_trace
from telepathy_runtime.models.architectures import ConfigError, spec_from_config
from telepathy_runtime.models.counting import count
from telepathy_runtime.models.lookup import from_parsed
from telepathy_runtime.models.spec import UnknownOptionError

DOCS = Path(__file__).resolve().parent.parent / "docs" / "memory.md"
BEGIN, END = "<!-- types: coverage -->\n", "<!-- end types -->"
WORK = Workload(batch=2, seq_len=64, regime="full", keep_outputs=False, use_cache=False)


class Row(NamedTuple):
    """One model type: how its parameters are counted, and how a training step of it is estimated ("" if not asked)."""

    model_type: str
    counted: str
    step: str = ""


def default_config(model_type: str) -> dict[str, Any]:
    """The type's default config, as a config.json holds it, with a class. Raises whatever the config's own code raises."""
    from transformers import AutoConfig
    from transformers.models.auto import modeling_auto

    config: dict[str, Any] = json.loads(AutoConfig.for_model(model_type).to_json_string(use_diff=False))
    causal = modeling_auto.MODEL_FOR_CAUSAL_LM_MAPPING_NAMES
    if not config.get("architectures") and model_type not in causal:
        names = [
            classes[model_type]
            for mapping, classes in sorted(
                vars(modeling_auto).items(), key=lambda each: each[0] == "MODEL_MAPPING_NAMES"
            )
            if mapping.startswith("MODEL_") and mapping.endswith("_NAMES") and model_type in classes
        ]
        config["architectures"] = [each for each in names if isinstance(each, str)][:1]
    return config


def counted(model_type: str) -> str:
    """How the parameters of a type's default config are counted: "closed form", "built", or why not."""
    try:
        config = default_config(model_type)
        built = count(config).params
    except Exception as error:  # a config's or model's own code may raise anything
        return f"not built: {type(error).__name__}"
    try:
        spec = spec_from_config(config, model_type)
    except (UnknownOptionError, ConfigError):
        return "built"
    return "closed form" if spec.params == built else f"differs: {spec.params} instead of {built}"


def step(model_type: str) -> str:
    """How a training step of a type's default config is estimated: "closed form", "traced" or "lower bound"."""
    config = default_config(model_type)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "config.json")
        path.write_text(json.dumps(config), encoding="utf-8")
        work = WORK.but(transformers=version())
        found = estimate_or_trace(from_parsed(config, model_type), work, path)
        if not found.whole:
            return "lower bound"
        if any("was traced" in note for note in found.notes):
            return "traced"
        from telepathy_runtime.memory.standard_step import trace_workload

        try:
            seen = trace_workload(path, work)
        except Exception as error:  # a model's own code may raise anything
            return f"closed form, not traced: {type(error).__name__}"
    off = found.peak_allocated / seen.peak_allocated - 1
    if abs(off) < 0.005:
        return "closed form, within 0.5 % of its trace"
    return f"closed form, more than 0.5 % from its trace: {off:+.2%}"


def version() -> str:
    """The installed transformers."""
    import transformers

    return str(transformers.__version__)


def limited(model_type: str, steps: bool, seconds: float) -> Row:
    """The row of one type, from a process that ends after so many seconds."""
    context = multiprocessing.get_context("fork" if sys.platform == "linux" else "spawn")
    mine, other = context.Pipe(duplex=False)
    process = context.Process(target=_answer, args=(other, model_type, steps))
    process.start()
    other.close()
    until = time.monotonic() + seconds
    answers: list[str] = []
    why = f"not within {seconds:g} s"
    try:
        while len(answers) < 2 and mine.poll(max(until - time.monotonic(), 0)):
            answers.append(mine.recv())
    except EOFError:  # the process ended without an answer
        why = "the process ended"
    finally:
        process.kill()
        process.join()
    return Row(model_type, *answers, *(f"not built: {why}", why)[len(answers) :])


def _answer(pipe: Any, model_type: str, steps: bool) -> None:
    """Send how the parameters are counted, and then how a step is."""
    from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES as CAUSAL

    how = counted(model_type)
    pipe.send(how)
    ask = steps and model_type in CAUSAL and how in ("built", "closed form")
    pipe.send(step(model_type) if ask else "")


def rows(wanted: list[str], steps: bool, seconds: float, record: Path | None) -> Iterator[Row]:
    """The rows of the wanted types, or of all; those that are in the file `record` are read from it."""
    from transformers import CONFIG_MAPPING

    known = {}
    if record is not None and record.exists():
        lines = record.read_text(encoding="utf-8").splitlines()
        known = {found.model_type: found for found in (Row(*json.loads(line)) for line in lines)}
    for model_type in wanted or sorted(CONFIG_MAPPING):
        if model_type in known:
            yield known[model_type]
            continue
        found = limited(model_type, steps, seconds)
        if record is not None:
            with record.open("a", encoding="utf-8") as file:
                file.write(json.dumps(found) + "\n")
        yield found


def table(found: list[Row]) -> str:
    """A Markdown table: how many types, and causal language models, there are of each kind."""
    import transformers

    kinds = Counter(row.counted.partition(":")[0] for row in found)
    steps = Counter(row.step.partition(":")[0] for row in found if row.step)
    what = {
        "closed form": "counted in closed form, equal to the build",
        "built": "counted by building the model on the meta device",
        "differs": "counted in closed form, not equal to the build",
        "not built": "the default config makes no model: parts of other models, and defaults that do not fit together or need another library",
    }
    lines = [
        f"{len(found)} model types of transformers {transformers.__version__}:",
        "",
        "| parameters | types |",
        "|---|---|",
        *(f"| {text} | {kinds[kind]} |" for kind, text in what.items() if kinds[kind]),
    ]
    if steps:
        lines += ["", "| training step of a causal language model | types |", "|---|---|"]
        lines += [f"| {kind} | {number} |" for kind, number in steps.most_common()]
    return "\n".join(lines) + "\n"


def main(arguments: list[str] | None = None) -> int:
    """Print each type and the table; the exit code is 1 if a closed form differs from the build."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.memory_types", description=__doc__)
    parser.add_argument("types", nargs="*", metavar="TYPE", help="only these model types")
    parser.add_argument(
        "--steps", action="store_true", help="also estimate a training step of each causal language model"
    )
    parser.add_argument("--seconds", type=float, default=60, help="end the process of a type after these")
    parser.add_argument(
        "--record", type=Path, metavar="FILE", help="keep what is found here, and go on after it"
    )
    parser.add_argument("--write", action="store_true", help="write the table to docs/memory.md")
    args = parser.parse_args(arguments)
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    import torch
    import transformers  # noqa: F401  # once, for all processes

    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    found = []
    for row in rows(args.types, args.steps, args.seconds, args.record):
        print("\t".join(row), file=sys.stderr, flush=True)
        found.append(row)
    text = table(found)
    print(text)
    if args.write:
        page = DOCS.read_text(encoding="utf-8")
        before, _, rest = page.partition(BEGIN)
        _, _, after = rest.partition(END)
        DOCS.write_text(f"{before}{BEGIN}{text}{END}{after}", encoding="utf-8")
    return int(any(row.counted.startswith("differs") for row in found))


if __name__ == "__main__":
    sys.exit(main())
