"""Training arguments in files that are no Python: shell scripts, JSON and YAML, as `HfArgumentParser` reads them."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from telepathy_lint.knowledge.migration import Removed, removed_arguments

#: Files with settings -> how they write a name with its value.
_WRITTEN = {
    ".sh": r"(?<![\w-])--(?P<name>{names})(?=[=\s\\]|$)",
    ".bash": r"(?<![\w-])--(?P<name>{names})(?=[=\s\\]|$)",
    ".slurm": r"(?<![\w-])--(?P<name>{names})(?=[=\s\\]|$)",
    ".sbatch": r"(?<![\w-])--(?P<name>{names})(?=[=\s\\]|$)",
    ".json": r"\"(?P<name>{names})\"[ \t]*:",
    ".yaml": r"(?m)^[ \t]*(?:-[ \t]+)?[\"']?(?P<name>{names})[\"']?[ \t]*:",
    ".yml": r"(?m)^[ \t]*(?:-[ \t]+)?[\"']?(?P<name>{names})[\"']?[ \t]*:",
}
SUFFIXES = tuple(_WRITTEN)
#: Arguments that show what a file is about; two of them have to stand in it.
_TELLING = (
    "per_device_train_batch_size|per_device_eval_batch_size|num_train_epochs|gradient_accumulation_steps|save_strategy|save_steps"
    "|save_total_limit|eval_strategy|eval_steps|lr_scheduler_type|logging_steps|report_to|load_best_model_at_end|weight_decay"
    "|max_grad_norm|learning_rate|output_dir|do_train|do_eval|fp16|bf16|warmup_steps|gradient_checkpointing|optim"
)
#: Larger files are data.
_MOST = 500_000


class OldSetting(NamedTuple):
    """A removed argument of `TrainingArguments` in a file."""

    path: str
    line: int
    removed: Removed

    @property
    def message(self) -> str:
        said = f"TrainingArguments has no {self.removed.name} since {self.removed.release}"
        return f"{said}: {self.removed.advice}" if self.removed.advice else said


def old_settings(paths: Sequence[str], code: Sequence[str]) -> Iterator[OldSetting]:
    """The removed arguments that files pass on to training, for a project whose Python files are `code`."""
    gone = removed_arguments("transformers.TrainingArguments")
    own: frozenset[str] | None = None
    for path in paths:
        pattern = _WRITTEN.get(os.path.splitext(path)[1])
        text = _read(path) if pattern is not None else ""
        if pattern is None or not text:
            continue
        found = list(re.finditer(pattern.format(names="|".join(sorted(gone))), text))
        if not found or len({each["name"] for each in re.finditer(pattern.format(names=_TELLING), text)}) < 2:
            continue
        own = own if own is not None else frozenset(_declared(code, gone))
        for each in found:
            start = text.rfind("\n", 0, each.start("name")) + 1
            if each["name"] in own or text[start : each.start("name")].lstrip().startswith("#"):
                continue
            yield OldSetting(path, text.count("\n", 0, each.start("name")) + 1, gone[each["name"]])


def _declared(code: Sequence[str], names: dict[str, Removed]) -> Iterator[str]:
    """The names that the project's own code declares: options of a parser, fields of a dataclass."""
    pattern = re.compile(
        rf"[\"']--({'|'.join(names)})[\"']|^[ \t]+({'|'.join(names)})[ \t]*:[^=\n]*=", re.MULTILINE
    )
    for path in code:
        for found in pattern.finditer(_read(path)):
            yield found[1] or found[2]


def _read(path: str) -> str:
    """A file's text; "" where it cannot be read or is large."""
    try:
        if os.path.getsize(path) > _MOST:
            return ""
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read()
    except OSError:
        return ""
