"""What a training script says of its job, for the memory planner: model, batch, length, precision, adapters, checkpointing.

Nothing is imported or run from the script. Only values that stand in the file are given, each with its line: constants, and
the defaults of the script's own options, which are marked. What a parameter decides is named as not known.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import Any

from telepathy_lint.flow.arguments import Argument
from telepathy_lint.flow.bindings import dotted
from telepathy_lint.flow.file import File
from telepathy_lint.front_ends.option_defaults import Default, defaults_of, option_of
from telepathy_lint.hints import NamedTuple
from telepathy_lint.knowledge.transformers_names import last
from telepathy_lint.run.lint_file import open_source
from telepathy_lint.sites import Site, scan
from telepathy_lint.source.text import parse

#: Calls whose arguments describe a training, by the names that others are derived from or stand for.
CONFIGS = (
    "TrainingArguments", "Seq2SeqTrainingArguments", "SFTConfig", "DPOConfig", "RewardConfig", "ORPOConfig", "KTOConfig",
    "GRPOConfig", "CPOConfig",
)  # fmt: skip
ADAPTERS = ("LoraConfig",)
QUANTIZATIONS = ("BitsAndBytesConfig",)
TRAINERS = (
    "Trainer", "Seq2SeqTrainer", "SFTTrainer", "DPOTrainer", "RewardTrainer", "ORPOTrainer", "KTOTrainer", "GRPOTrainer",
    "CPOTrainer",
)  # fmt: skip
OPTIMIZERS = (
    "AdamW", "Adam", "SGD", "AdamW8bit", "Adam8bit", "PagedAdamW", "PagedAdamW8bit", "PagedAdamW32bit", "Adafactor", "Lion",
    "Lion8bit", "Muon",
)  # fmt: skip
HELPERS = (
    "DataLoader", "Accelerator", "autocast", "backward", "gradient_checkpointing_enable",
    "activation_checkpointing_enable", "prepare_model_for_kbit_training", *OPTIMIZERS,
)  # fmt: skip
"""Calls of a loop that someone wrote, and what is done to a model before its training."""


class Said(NamedTuple):
    """A value that stands in the script; `known` is False where something outside of the file decides it."""

    value: Any
    line: int
    known: bool = True
    option: str = ""  # whose default this is


class Call(NamedTuple):
    """A call that describes the training: its class without the package, and its arguments."""

    name: str
    line: int
    arguments: dict[str, Said]

    @property
    def at(self) -> Said:
        """Its place, as that of a value."""
        return Said(self.name, self.line)


class Training(NamedTuple):
    """What a script says; `loads` are the calls that load models, `lengths` those of tokenizers that cut to a length."""

    loads: tuple[Call, ...]
    configs: tuple[Call, ...]
    adapters: tuple[Call, ...]
    quantizations: tuple[Call, ...]
    trainers: tuple[Call, ...]
    helpers: tuple[Call, ...]
    lengths: tuple[Call, ...]

    def helper(self, *names: str) -> Call | None:
        """The first call of one of these helpers."""
        return next((call for call in self.helpers if call.name in names), None)


def training_of(data: bytes, path: str) -> Training:
    """What the script or notebook with this content says.

    Raises SourceError where it is not Python.
    """
    source = open_source(path, data)
    found = scan(source)
    file = found.file
    if file is None:
        parse(source.text)  # nothing in it is a load, also if it is Python
        return Training((), (), (), (), (), (), ())
    options = defaults_of(file.tree.module)
    loads = tuple(_load(site, options) for site in found.of(("model",)))
    lengths = tuple(call for call in _with(file, "max_length", options) if _CUTS & call.arguments.keys())

    def calls(names: tuple[str, ...]) -> tuple[Call, ...]:
        return tuple(_calls(file, names, options))

    return Training(
        loads,
        calls(CONFIGS),
        calls(ADAPTERS),
        calls(QUANTIZATIONS),
        calls(TRAINERS),
        calls(HELPERS),
        lengths,
    )


#: Arguments of a tokenizer's call; generation has a max_length, too.
_CUTS = {"truncation", "padding", "return_tensors", "add_special_tokens"}
#: The first arguments of calls that are read by position.
_POSITIONS = {
    "autocast": ("device_type", "dtype"),
    "gradient_checkpointing_enable": ("gradient_checkpointing_kwargs",),
    "prepare_model_for_kbit_training": (
        "model",
        "use_gradient_checkpointing",
        "gradient_checkpointing_kwargs",
    ),
} | dict.fromkeys(TRAINERS, ("model", "args"))


def _load(site: Site, options: dict[str, Default]) -> Call:
    arguments = {name: _said(argument, options) for name, argument in site.arguments.items()}
    line = site.node.lineno
    said = arguments.get("pretrained_model_name_or_path")
    if site.model_id is not None:
        said = Said(site.model_id, line)
    elif said is None or not said.option or not isinstance(said.value, str):
        said = Said(None, line, known=False)
    return Call(site.class_name, line, arguments | {"model_id": said})


def _calls(file: File, names: tuple[str, ...], options: dict[str, Default]) -> Iterator[Call]:
    for node in file.tree.visit(file.tree.lines_of(file.words.find(*names))):
        if isinstance(node, ast.Call) and last(_name(node)) in names:
            yield _call(file, node, options)


def _with(file: File, argument: str, options: dict[str, Default]) -> Iterator[Call]:
    """The calls that pass an argument of this name."""
    for node in file.tree.visit(file.tree.lines_of(file.words.find(argument))):
        if isinstance(node, ast.Call) and any(each.arg == argument for each in node.keywords):
            yield _call(file, node, options)


def _name(node: ast.Call) -> str:
    """The dotted name of what is called; of a method of another call's result, the method's."""
    return dotted(node.func) or (node.func.attr if isinstance(node.func, ast.Attribute) else "")


def _call(file: File, node: ast.Call, options: dict[str, Default]) -> Call:
    name = last(_name(node))
    given, _ = file.arguments.read(node, file.tree.context_of(node), _POSITIONS.get(name, ()))
    return Call(name, node.lineno, {key: _said(argument, options) for key, argument in given.items()})


def _said(argument: Argument, options: dict[str, Default]) -> Said:
    line = getattr(argument.node, "lineno", 0)
    default = option_of(argument.node, options)
    if default is not None:
        return Said(default.value, line, option=default.option)
    if len(argument.values) != 1 or argument.optional:
        return Said(None, line, known=False)
    (value,) = argument.values
    if value.kind in ("const", "symbol"):
        return Said(value.data, line)
    if value.kind == "sequence" or isinstance(value.node, ast.Dict):
        try:
            literal = ast.literal_eval(value.node)
            return Said(literal if isinstance(literal, dict) else tuple(literal), line)
        except (ValueError, TypeError):
            pass
    return Said(None, line, known=False)
