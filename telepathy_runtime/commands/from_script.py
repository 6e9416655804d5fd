"""`--from-script train.py`: the job that a training script describes, and what had to be assumed.

The linter reads the script; nothing of it is run. Options on the command line come before what the script says.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from telepathy_runtime.commands.job_options import given
from telepathy_runtime.commands.models import with_classifier
from telepathy_runtime.commands.script_checkpointing import PREPARER, before_training, in_arguments, reentrant
from telepathy_runtime.commands.script_settings import (
    BATCH,
    LENGTH,
    LOOP_OPTIMIZERS,
    OBJECTIVES,
    OPTIMIZERS,
    UNSEEN,
    Settings,
    dtype_named,
)
from telepathy_runtime.memory.targets import EVERY, NAMES
from telepathy_runtime.memory.units import gib
from telepathy_runtime.memory.workload import CHOICES, SAVED, Workload
from telepathy_runtime.models.lookup import Sources, find
from telepathy_runtime.models.spec import ModelSpec, UnknownOptionError, element_size

if TYPE_CHECKING:
    from telepathy_lint.front_ends.training import Call, Training


class Script(Settings):
    """The settings of a job that a script gives; `notes` say where each comes from, and what was assumed."""

    def __init__(
        self,
        path: str,
        training: Training,
        look_up: Callable[[str], ModelSpec | None],
        version: tuple[int, int],
    ) -> None:
        super().__init__(path)
        self.version = version  # of transformers
        self.training = training
        self.look_up = look_up
        self.model: str | None = None
        self.spec: ModelSpec | None = None
        self.labels = 0  # of a classifier's head
        self._read()

    def _read(self) -> None:
        found = self.training
        if not found.loads and not found.configs:
            raise UnknownOptionError(f"{self.path}: neither loads a model nor trains one")
        config = self.only(found.configs, "training arguments")
        known = tuple(load for load in found.loads if load.arguments["model_id"].known)
        load = self.only(known, "models") or self._of_trainer()
        loops = config is None and found.helper("backward") is not None
        if load is not None:
            self._model(load)
        if config is not None:
            self.settings |= {"regime": "full", "keep_outputs": False, "use_cache": False}
            self._config(config)
        elif loops:
            self.settings["regime"] = "full"
            self._loop()
        else:
            text = "inference, as nothing in the script trains; --regime says otherwise"
            self.assume("regime", "inference", text)
            self._length(None)
        before_training(self, found)
        reentrant(self, found, config, self.version)
        adapter = self.only(found.adapters, "adapters")
        if adapter is not None and (loops or config is not None):
            self._adapter(adapter)
        packed = self.only(found.quantizations, "quantizations")
        if packed is not None:
            self._quantization(packed)
        self._upcast()

    def _of_trainer(self) -> Call | None:
        """TRL's trainers load a model that is given by its id, with `model_init_kwargs`."""
        for trainer in self.training.trainers:
            said = trainer.arguments.get("model")
            if said is not None and said.known and isinstance(said.value, str):
                return trainer._replace(arguments={"model_id": said})
        return None

    def _model(self, load: Call) -> None:
        said = load.arguments["model_id"]
        self.model = str(said.value)
        self.spec = self.look_up(self.model)
        self.say(said, f"model {self.model}")
        dtype = self.value(load, "dtype", "torch_dtype")
        name = dtype_named(dtype.value) if dtype is not None else ""
        quantized = bool(self.training.quantizations)
        if load.name.endswith("ForSequenceClassification"):
            labels = self.value(load, "num_labels")
            self.labels = labels.value if labels is not None and type(labels.value) is int else 2
        if dtype is not None and name in CHOICES["dtype"]:
            self.take("dtype", name, dtype, f"weights in {name}")
        elif self.spec is not None and self.spec.dtype in CHOICES["dtype"] and not quantized:
            self.assume("dtype", self.spec.dtype, f"weights in {self.spec.dtype}, as the checkpoint has them")
        else:
            self.assume("dtype", Workload.dtype, f"weights in {Workload.dtype}")
        attn = self.value(load, "attn_implementation")
        if attn is not None and attn.value in CHOICES["attn"]:
            self.take("attn", attn.value, attn, f"attention {attn.value}")
        for key, how in (("load_in_4bit", "nf4"), ("load_in_8bit", "int8")):
            given = self.value(load, key)
            if given is not None and given.value is True:
                self.take("quantized", how, given, f"base stored as {how}")

    def _config(self, call: Call) -> None:
        self._objective(call)
        batch = self.value(call, "per_device_train_batch_size")
        if batch is not None and type(batch.value) is int:
            self.take("batch", batch.value, batch, f"batch {batch.value}")
        else:
            self.assume("batch", BATCH, f"batch {BATCH}, the Trainer's default")
        self._length(call)
        steps = self.value(call, "gradient_accumulation_steps")
        if steps is not None and type(steps.value) is int:
            self.take("grad_accum", steps.value, steps, f"{steps.value} accumulated batches")
        in_arguments(self, call)
        optim = self.value(call, "optim")
        if optim is None:
            self.settings |= OPTIMIZERS["adamw_torch_fused"]
            self.note("assumed: optim adamw_torch_fused, the Trainer's default", "optimizer")
        elif str(optim.value) in OPTIMIZERS:
            self.settings |= OPTIMIZERS[str(optim.value)]
            self.say(optim, f"optimizer {optim.value}", "optimizer")
        else:
            text = f"assumed: AdamW; optim {optim.value!r} (line {optim.line}) is not modelled"
            self.note(text, "optimizer")
        for name, dtype in (("bf16", "bfloat16"), ("fp16", "float16")):
            said = self.value(call, name)
            if said is not None and said.value is True:
                self.casts(dtype, said, f"{name}=True")
        self._kernels(call)
        for name in UNSEEN:
            said = call.arguments.get(name)
            if said is not None and said.value not in (None, False, "", 0):
                self.note(f"not counted: {name} (line {said.line})")

    def _objective(self, call: Call) -> None:
        from telepathy_lint.front_ends.training import Said

        if call.name in OBJECTIVES:
            objective, batch = OBJECTIVES[call.name]
            self.take("objective", objective, Said(call.name, call.line), f"{objective}, a batch is {batch}")
            known = call.arguments.get("precompute_ref_log_probs")
            if known is not None and known.value is True:
                self.take("reference", "none", known, "the reference's log-probabilities are computed before")
        elif call.name in ("RewardConfig", "ORPOConfig", "KTOConfig", "CPOConfig"):
            self.note(f"not counted: what the loss of {call.name} needs beyond a language model's")

    def _kernels(self, call: Call) -> None:
        liger = self.value(call, "use_liger_kernel", "use_liger")
        if liger is not None and liger.value is True:
            self.settings["loss"] = "linear"
            self.take("kernels", "liger", liger, "Liger's kernels and loss")
        elif call.name == "SFTConfig":
            text = "whole logits; newer TRL computes them in chunks, which is --loss linear"
            self.assume("loss", "plain", text)
        for name in ("packing", "padding_free"):
            said = self.value(call, name)
            if said is not None and said.value is True:
                self.take("packed", True, said, f"the batch is one row ({name}=True)")
                return

    def _length(self, call: Call | None) -> None:
        if call is not None and call.name == "GRPOConfig":
            parts = [self.value(call, name) for name in ("max_prompt_length", "max_completion_length")]
            sizes = [
                part.value if part is not None and type(part.value) is int else default
                for part, default in zip(parts, (512, 256), strict=True)
            ]
            text = f"{sizes[0]} tokens of prompt and {sizes[1]} of completion"
            self.take("seq_len", sum(sizes), call.at, text)
            return
        length = self.value(call, "max_length", "max_seq_length") if call is not None else None
        trainer = next(iter(self.training.trainers), None)
        if length is None and trainer is not None:
            length = self.value(trainer, "max_seq_length")
        cut = [each.arguments["max_length"] for each in self.training.lengths]
        cut = [each for each in cut if each.known and type(each.value) is int]
        if length is None and cut:
            length = max(cut, key=lambda said: int(said.value))
        if length is not None and type(length.value) is int:
            self.take(
                "seq_len", length.value, length, f"{length.value} tokens, as if every sequence had them"
            )
        else:
            self.assume("seq_len", LENGTH, f"{LENGTH} tokens a sequence; --seq-len says otherwise")

    def _upcast(self) -> None:
        """What prepare_model_for_kbit_training turns to float32."""
        kbit = self.training.helper(PREPARER)
        if kbit is None:
            return
        more, set_to = "", self.settings.get
        if self.spec is not None:
            each = 4 - element_size(set_to("dtype", Workload.dtype))
            more = f", {gib(each * (self.spec.embedding_params + self.spec.head_params))} more"
        known = set_to("regime") == "lora" and set_to("autocast") and not set_to("dora")
        if known and set_to("quantized", "none") != "none":
            text = f"norms, embedding and head in float32{more} ({kbit.name})"
            self.take("prepared", "all", kbit.at, text)
        else:
            self.note(
                f"not counted: {kbit.name} (line {kbit.line}) holds norms, embedding and head in float32{more}"
            )

    def _loop(self) -> None:
        """A training loop that the script writes out: what the Trainer would decide is said by its own calls."""
        found = self.training
        text = "the loop keeps `outputs` until its next step, and their keys and values"
        self.assume("keep_outputs", True, text)
        loader = found.helper("DataLoader")
        batch = self.value(loader, "batch_size") if loader is not None else None
        if batch is not None and type(batch.value) is int:
            self.take("batch", batch.value, batch, f"batch {batch.value}")
        else:
            self.assume("batch", 1, "batch 1; --batch says otherwise")
        self._length(None)
        optimizer = found.helper(*LOOP_OPTIMIZERS)
        if optimizer is None:
            self.assume("optimizer", "adamw", "AdamW")
        else:
            self.settings |= LOOP_OPTIMIZERS[optimizer.name]
            fused = self.value(optimizer, "fused")
            if fused is not None and fused.value is True:
                self.settings["opt_impl"] = "fused"
            momentum = self.value(optimizer, "momentum")
            if optimizer.name == "SGD" and momentum is not None and momentum.value:
                self.settings["optimizer"] = "sgd_momentum"
            self.say(optimizer.at, f"optimizer {optimizer.name}", "optimizer")
        self._accelerated()

    def _accelerated(self) -> None:
        """Precision and accumulation, from `torch.autocast` or accelerate."""
        casting, accelerator = self.training.helper("autocast"), self.training.helper("Accelerator")
        if casting is not None:
            said = self.value(casting, "dtype")
            name = dtype_named(said.value) if said is not None else "float16"
            if name in ("bfloat16", "float16"):
                self.casts(name, said or casting.at, "autocast")
        if accelerator is None:
            return
        precision = self.value(accelerator, "mixed_precision")
        name = {"bf16": "bfloat16", "fp16": "float16"}.get(str(precision.value) if precision else "", "")
        if precision is not None and name:
            self.casts(name, precision, f"mixed_precision={precision.value}")
        elif precision is None and casting is None:
            self.note("assumed: no mixed precision; accelerate's own configuration may have one")
        steps = self.value(accelerator, "gradient_accumulation_steps")
        if steps is not None and type(steps.value) is int:
            self.take("grad_accum", steps.value, steps, f"{steps.value} accumulated batches")

    def _adapter(self, call: Call) -> None:
        self.take("regime", "lora", call.at, "LoRA")
        rank, targets = self.value(call, "r"), self.value(call, "target_modules")
        if rank is None or type(rank.value) is not int:
            self.assume("lora_rank", 8, "rank 8, PEFT's default")
        elif rank.option:
            self.take("lora_rank", rank.value, rank, f"rank {rank.value}")
        else:
            self.settings["lora_rank"] = rank.value
        names = targets.value if targets is not None else None
        if names == EVERY:
            self.take("lora_targets", (EVERY,), targets or call.at, "adapters on all linear layers")
        elif isinstance(names, tuple) and names and set(names) <= NAMES | {EVERY}:
            self.take("lora_targets", names, targets or call.at, f"adapters on {', '.join(names)}")
        else:
            usual = Workload.lora_targets
            self.assume("lora_targets", usual, f"adapters on {', '.join(usual)}")

        dropout, dora = self.value(call, "lora_dropout"), self.value(call, "use_dora")
        if dropout is not None and isinstance(dropout.value, float) and dropout.value:
            self.take("lora_dropout", True, dropout, "a dropout before the adapters")
        if dora is not None and dora.value is True:
            self.take("dora", True, dora, "DoRA")
        saved = self.value(call, "modules_to_save")
        if saved is not None and isinstance(saved.value, tuple):
            names = tuple(name for name in saved.value if name in SAVED)
            if names:
                self.take("modules_to_save", names, saved, f"{', '.join(names)} trained as a whole")
            if names != saved.value:
                self.note(f"not counted: modules_to_save (line {saved.line}) other than {', '.join(SAVED)}")

    def _quantization(self, call: Call) -> None:
        four, eight = self.value(call, "load_in_4bit"), self.value(call, "load_in_8bit")
        double = self.value(call, "bnb_4bit_use_double_quant")
        if four is not None and four.value is True:
            how = "nf4_double" if double is not None and double.value is True else "nf4"
            self.take("quantized", how, four, f"base stored as {how}")
        elif eight is not None and eight.value is True:
            self.take("quantized", "int8", eight, "base stored as int8")


def apply(args: argparse.Namespace) -> list[str]:
    """Set the options of `args` that were not given to what the script says; the notes say what and why.

    Raises UnknownOptionError for a script that is not Python or does not train, ImportError without the linter.
    """
    if not args.from_script:
        return []
    try:
        from telepathy_lint.front_ends.training import training_of
        from telepathy_lint.source.text import SourceError
    except ImportError as error:
        raise ImportError(f"--from-script needs the linter, which cannot be imported: {error}") from error
    version = Workload(transformers=args.transformers).version
    path, sources = args.from_script, Sources(args.registry, args.online)

    def look_up(model: str) -> ModelSpec | None:
        """The model that is planned; None if it is not known."""
        try:
            return find(args.model or model, sources)
        except (OSError, ValueError, LookupError):
            return None

    try:
        script = Script(Path(path).name, training_of(Path(path).read_bytes(), path), look_up, version)
    except SourceError as error:
        raise UnknownOptionError(f"{path}: {error}") from error
    if args.model is None:
        if script.model is None:
            raise UnknownOptionError(f"{path}: no model with a constant id is loaded; name it as MODEL")
        args.model = script.model
    if script.labels and script.spec is not None:
        text = f"a head of {script.labels} labels"
        try:
            regime = args.regime if "regime" in given(args) else script.settings["regime"]
            if regime not in ("full", "inference"):
                raise UnknownOptionError("adapters")
            args.made = with_classifier(script.spec, script.labels)
            script.note(f"counted with {text}")
        except (UnknownOptionError, ImportError):
            script.note(f"not counted: {text}; with a language model's head instead, which needs more")
    decided = {name: getattr(args, name) for name in given(args)}
    known = script.settings | decided
    # What the command line leaves of the script must fit together.
    decided |= {
        name: None
        for name, (other, value) in _ONLY_WITH.items()
        if name not in decided and known.get(other, value) != value
    }
    for name, value in script.settings.items():
        if name not in decided:
            setattr(args, name, ",".join(value) if isinstance(value, tuple) else value)
    return script.notes(frozenset(decided))


_ONLY_WITH = {
    "reentrant": ("checkpointing", True),
    "lora_dropout": ("regime", "lora"),
    "dora": ("regime", "lora"),
    "modules_to_save": ("regime", "lora"),
}
"""Settings that need another one to be so."""
