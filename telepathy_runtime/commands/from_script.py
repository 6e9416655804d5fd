"""`--from-script train.py`: the job that a training script describes, and what had to be assumed.

The linter reads the script; nothing of it is run. Options on the command line come before what the script says.
"""

from __future__ import annotations

import argparse
import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from telepathy_runtime.memory.workload import CHOICES, LORA_TARGETS, SAVED, Workload
from telepathy_runtime.models.spec import UnknownOptionError

if TYPE_CHECKING:
    from telepathy_lint.front_ends.training import Call, Said, Training

#: The Trainer's `optim`, in our names.
OPTIMIZERS: dict[str, dict[str, Any]] = {
    "adamw_torch": {"optimizer": "adamw", "opt_impl": "foreach"},
    "adamw_hf": {"optimizer": "adamw", "opt_impl": "single"},
    "adamw_torch_fused": {"optimizer": "adamw", "opt_impl": "fused"},
    "adamw_bnb_8bit": {"optimizer": "adamw_8bit"},
    "adamw_8bit": {"optimizer": "adamw_8bit"},
    "paged_adamw": {"optimizer": "paged_adamw"},
    "paged_adamw_32bit": {"optimizer": "paged_adamw"},
    "paged_adamw_8bit": {"optimizer": "paged_adamw_8bit"},
    "adafactor": {"optimizer": "adafactor"},
    "lion_32bit": {"optimizer": "lion"},
    "lion_8bit": {"optimizer": "lion_8bit"},
    "sgd": {"optimizer": "sgd"},
}
#: Settings that the estimate does not see.
_UNSEEN = ("fsdp", "deepspeed", "torch_compile", "packing", "neftune_noise_alpha", "parallelism_config")
_BATCH, _LENGTH = 8, 1024
"""What the Trainer, and TRL, take where the script says nothing."""


class Script:
    """The settings of a job that a script gives; `notes` say where each comes from, and what was assumed."""

    def __init__(self, path: str, training: Training) -> None:
        self.path = path
        self.training = training
        self.notes: list[str] = []
        self.settings: dict[str, Any] = {"keep_outputs": False, "use_cache": False}
        self.model: str | None = None
        self._read()

    def _read(self) -> None:
        found = self.training
        if not found.loads and not found.configs:
            raise UnknownOptionError(f"{self.path}: neither loads a model nor trains one")
        config = self._only(found.configs, "training arguments")
        load = self._only(found.loads, "models")
        self.settings["regime"] = "full"
        if load is not None:
            self._model(load)
        if config is not None:
            self._config(config)
        adapter = self._only(found.adapters, "adapters")
        if adapter is not None:
            self._adapter(adapter)
        packed = self._only(found.quantizations, "quantizations")
        if packed is not None:
            self._quantization(packed)

    def _only(self, calls: tuple[Call, ...], what: str) -> Call | None:
        if len(calls) > 1:
            lines = ", ".join(str(call.line) for call in calls)
            self.notes.append(f"assumed: of several {what} (lines {lines}), the first")
        return calls[0] if calls else None

    def _take(self, field: str, value: Any, said: Said, text: str) -> None:
        self.settings[field] = value
        self.notes.append(f"{self.path}:{said.line}: {text}")

    def _value(self, call: Call, name: str, *others: str) -> Said | None:
        """The value of an argument; None where it is not given, or where the file does not decide it, which is noted."""
        for each in (name, *others):
            said = call.arguments.get(each)
            if said is not None and said.known:
                return said
            if said is not None:
                self.notes.append(
                    f"assumed: {each} (line {said.line}) is not decided in the file, so its default"
                )
        return None

    def _model(self, load: Call) -> None:
        self.model = str(load.arguments["model_id"].value)
        self.notes.append(f"{self.path}:{load.line}: model {self.model}")
        dtype = self._value(load, "dtype", "torch_dtype")
        name = str(dtype.value).removeprefix("torch.") if dtype is not None else ""
        name = {"half": "float16", "float": "float32"}.get(name, name)
        if dtype is not None and name in CHOICES["dtype"]:
            self._take("dtype", name, dtype, f"weights in {name}")
        else:
            self.notes.append(f"assumed: weights in {Workload.dtype}")
        attn = self._value(load, "attn_implementation")
        if attn is not None and attn.value in CHOICES["attn"]:
            self._take("attn", attn.value, attn, f"attention {attn.value}")
        for key, how in (("load_in_4bit", "nf4"), ("load_in_8bit", "int8")):
            said = self._value(load, key)
            if said is not None and said.value is True:
                self._take("quantized", how, said, f"base stored as {how}")

    def _config(self, call: Call) -> None:
        batch = self._value(call, "per_device_train_batch_size")
        if batch is not None and type(batch.value) is int:
            self._take("batch", batch.value, batch, f"batch {batch.value}")
        else:
            self.settings["batch"] = _BATCH
            self.notes.append(f"assumed: batch {_BATCH}, the Trainer's default")
        self._length(call)
        steps = self._value(call, "gradient_accumulation_steps")
        if steps is not None and type(steps.value) is int:
            self._take("grad_accum", steps.value, steps, f"{steps.value} accumulated batches")
        self._checkpointing(call)
        optim = self._value(call, "optim")
        if optim is None:
            self.settings |= OPTIMIZERS["adamw_torch_fused"]
            self.notes.append("assumed: optim adamw_torch_fused, the Trainer's default")
        elif str(optim.value) in OPTIMIZERS:
            self.settings |= OPTIMIZERS[str(optim.value)]
            self.notes.append(f"{self.path}:{optim.line}: optimizer {optim.value}")
        else:
            self.notes.append(f"assumed: AdamW; optim {optim.value!r} (line {optim.line}) is not modelled")
        self._precision(call)
        liger = self._value(call, "use_liger_kernel", "use_liger")
        if liger is not None and liger.value is True:
            self.settings["loss"] = "linear"
            self._take("kernels", "liger", liger, "Liger's kernels and loss")
        elif call.name == "SFTConfig":
            self.notes.append(
                "assumed: whole logits; newer TRL computes them in chunks, which is --loss linear"
            )
        for name in _UNSEEN:
            said = call.arguments.get(name)
            if said is not None and said.value not in (None, False, "", 0):
                self.notes.append(f"not counted: {name} (line {said.line})")

    def _length(self, call: Call) -> None:
        length = self._value(call, "max_length", "max_seq_length")
        trainer = next(iter(self.training.trainers), None)
        if length is None and trainer is not None:
            length = self._value(trainer, "max_seq_length")
        if length is not None and type(length.value) is int:
            self._take(
                "seq_len", length.value, length, f"{length.value} tokens, as if every sequence had them"
            )
        else:
            self.settings["seq_len"] = _LENGTH
            self.notes.append(f"assumed: {_LENGTH} tokens a sequence; --seq-len says otherwise")

    def _checkpointing(self, call: Call) -> None:
        said = self._value(call, "gradient_checkpointing")
        if said is not None and isinstance(said.value, bool):
            text = "gradient checkpointing" if said.value else "no gradient checkpointing"
            self._take("checkpointing", said.value, said, text)
        elif call.name not in ("TrainingArguments", "Seq2SeqTrainingArguments"):
            self.settings["checkpointing"] = True
            self.notes.append("assumed: gradient checkpointing, the default of newer TRL")

    def _precision(self, call: Call) -> None:
        for name, dtype in (("bf16", "bfloat16"), ("fp16", "float16")):
            said = self._value(call, name)
            if said is None or said.value is not True:
                continue
            if self.settings.get("dtype") == "float32":
                self.settings["mixed_precision"] = True
                self._take("dtype", dtype, said, f"float32 weights, forward in {dtype}")
            else:
                self._take("autocast", True, said, f"forward under autocast ({name}=True)")

    def _adapter(self, call: Call) -> None:
        self._take("regime", "lora", _at(call), "LoRA")
        rank, targets = self._value(call, "r"), self._value(call, "target_modules")
        self.settings["lora_rank"] = rank.value if rank is not None and type(rank.value) is int else 8
        if rank is None:
            self.notes.append("assumed: rank 8, PEFT's default")
        names = targets.value if targets is not None else None
        if names == "all-linear":
            self._take("lora_targets", ("all-linear",), targets or _at(call), "adapters on all linear layers")
        elif isinstance(names, tuple) and names and set(names) <= set(LORA_TARGETS):
            self._take("lora_targets", names, targets or _at(call), f"adapters on {', '.join(names)}")
        else:
            self.notes.append(f"assumed: adapters on {', '.join(Workload.lora_targets)}")

        dora = self._value(call, "use_dora")
        if dora is not None and dora.value is True:
            self._take("dora", True, dora, "DoRA")
        saved = self._value(call, "modules_to_save")
        if saved is not None and isinstance(saved.value, tuple):
            names = tuple(name for name in saved.value if name in SAVED)
            if names:
                self._take("modules_to_save", names, saved, f"{', '.join(names)} trained as a whole")
            if names != saved.value:
                self.notes.append(
                    f"not counted: modules_to_save (line {saved.line}) other than {', '.join(SAVED)}"
                )

    def _quantization(self, call: Call) -> None:
        four, eight = self._value(call, "load_in_4bit"), self._value(call, "load_in_8bit")
        double = self._value(call, "bnb_4bit_use_double_quant")
        if four is not None and four.value is True:
            how = "nf4_double" if double is not None and double.value is True else "nf4"
            self._take("quantized", how, four, f"base stored as {how}")
        elif eight is not None and eight.value is True:
            self._take("quantized", "int8", eight, "base stored as int8")


def _at(call: Call) -> Said:
    from telepathy_lint.front_ends.training import Said

    return Said(call.name, call.line)


def apply(args: argparse.Namespace) -> list[str]:
    """Set the options of `args` that were left at their defaults to what the script says; the notes say what and why.

    Raises UnknownOptionError for a script that is not Python or does not train, ImportError without the linter.
    """
    if not args.from_script:
        return []
    try:
        from telepathy_lint.front_ends.training import training_of
        from telepathy_lint.source.text import SourceError
    except ImportError as error:
        raise ImportError(f"--from-script needs the linter, which cannot be imported: {error}") from error
    path = args.from_script
    try:
        script = Script(Path(path).name, training_of(Path(path).read_bytes(), path))
    except SourceError as error:
        raise UnknownOptionError(f"{path}: {error}") from error
    if args.model is None:
        if script.model is None:
            raise UnknownOptionError(f"{path}: no model with a constant id is loaded; name it as MODEL")
        args.model = script.model
    given = dict(_given(args))
    for name, value in script.settings.items():
        if name not in given:
            setattr(args, name, ",".join(value) if isinstance(value, tuple) else value)
    return script.notes


def _given(args: argparse.Namespace) -> Iterator[tuple[str, Any]]:
    """The options of a job that were given: those whose value is not the default."""
    for field in dataclasses.fields(Workload):
        default = field.default
        shown = (",".join(default) or None) if isinstance(default, tuple) else default
        if getattr(args, field.name, shown) != shown:
            yield field.name, getattr(args, field.name)
