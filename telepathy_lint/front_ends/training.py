"""What a training script says of its job, for the memory planner: model, batch, length, precision, adapters, checkpointing.

Nothing is imported or run from the script. Only values that stand in the file are given, each with its line; what a
parameter or a command line decides is named as not known.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import Any

from telepathy_lint.flow.arguments import Argument
from telepathy_lint.flow.bindings import dotted
from telepathy_lint.flow.file import File
from telepathy_lint.hints import NamedTuple
from telepathy_lint.knowledge.transformers_names import last
from telepathy_lint.run.lint_file import open_source
from telepathy_lint.sites import Site, scan

#: Calls whose arguments describe a training, by the names that others are derived from or stand for.
CONFIGS = (
    "TrainingArguments", "Seq2SeqTrainingArguments", "SFTConfig", "DPOConfig", "RewardConfig", "ORPOConfig", "KTOConfig",
)  # fmt: skip
ADAPTERS = ("LoraConfig",)
QUANTIZATIONS = ("BitsAndBytesConfig",)
TRAINERS = ("Trainer", "Seq2SeqTrainer", "SFTTrainer", "DPOTrainer", "RewardTrainer")


class Said(NamedTuple):
    """A value that stands in the script; `known` is False where something outside of the file decides it."""

    value: Any
    line: int
    known: bool = True


class Call(NamedTuple):
    """A call that describes the training: its class without the package, and its arguments."""

    name: str
    line: int
    arguments: dict[str, Said]


class Training(NamedTuple):
    """What a script says; `loads` are the calls that load models."""

    loads: tuple[Call, ...]
    configs: tuple[Call, ...]
    adapters: tuple[Call, ...]
    quantizations: tuple[Call, ...]
    trainers: tuple[Call, ...]


def training_of(data: bytes, path: str) -> Training:
    """What the script or notebook with this content says.

    Raises SourceError where it is not Python.
    """
    found = scan(open_source(path, data))
    if found.file is None:
        return Training((), (), (), (), ())
    loads = tuple(_load(site) for site in found.of(("model",)) if site.model_id is not None)
    groups = (CONFIGS, ADAPTERS, QUANTIZATIONS, TRAINERS)
    return Training(loads, *(tuple(_calls(found.file, names)) for names in groups))


def _load(site: Site) -> Call:
    arguments = {name: _said(argument) for name, argument in site.arguments.items()}
    arguments["model_id"] = Said(site.model_id, site.node.lineno)
    return Call("from_pretrained", site.node.lineno, arguments)


def _calls(file: File, names: tuple[str, ...]) -> Iterator[Call]:
    for node in file.tree.visit(file.tree.lines_of(file.words.find(*names))):
        if isinstance(node, ast.Call) and last(dotted(node.func) or "") in names:
            given, _ = file.arguments.read(node, file.tree.context_of(node), ())
            arguments = {name: _said(argument) for name, argument in given.items()}
            yield Call(last(dotted(node.func) or ""), node.lineno, arguments)


def _said(argument: Argument) -> Said:
    line = getattr(argument.node, "lineno", 0)
    if len(argument.values) != 1 or argument.optional:
        return Said(None, line, known=False)
    (value,) = argument.values
    if value.kind in ("const", "symbol"):
        return Said(value.data, line)
    if value.kind == "sequence":
        try:
            return Said(tuple(ast.literal_eval(value.node)), line)
        except (ValueError, TypeError):
            pass
    return Said(None, line, known=False)
