"""The description of a job: lengths, regime, and every option that affects memory."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from telepathy_runtime.memory.targets import USUAL
from telepathy_runtime.models.spec import UnknownOptionError

CHOICES: dict[str, tuple[str, ...]] = {
    "regime": ("inference", "frozen_grad", "lora", "full"),
    "dtype": ("bfloat16", "float16", "float32"),
    "attn": ("sdpa", "flash_attention_2", "eager"),
    "optimizer": (
        "adamw", "adamw_32bit", "adamw_8bit", "paged_adamw", "paged_adamw_8bit", "adafactor", "lion", "lion_8bit", "muon",
        "sgd", "sgd_momentum",
    ),
    "opt_impl": ("foreach", "fused", "single"),
    "logits": ("all", "last"),
    "objective": ("lm", "dpo", "grpo"),
    "reference": ("auto", "none", "copy"),
    "loss": ("plain", "fused", "linear"),
    "kernels": ("plain", "norms", "liger", "adapters"),
    "quantized": ("none", "nf4", "nf4_double", "int8"),
    "prepared": ("none", "norms", "all"),
    "lora_dtype": ("float32", "bfloat16", "float16"),
    "tower": ("trained", "projector", "frozen"),
    "shard": ("none", "ddp", "zero1", "zero2", "zero3", "fsdp", "tp"),
}  # fmt: skip
OFFLOADED = ("optimizer", "weights", "activations")
"""What can lie in the machine's memory instead of the device's."""
SAVED = ("embed_tokens", "lm_head")
"""Modules that PEFT can train as a whole beside the adapters."""
OLDEST = (4, 45)
NEWEST = "5.24.0"
"""The newest transformers whose steps are modelled and traced: that of the tested set."""
GQA_IN_SDPA = (4, 54)
GQA_IN_FLASH = (4, 48)


@dataclass(frozen=True)
class Workload:
    """One process's job on one device. Every field affects memory; an unknown value is an error.

    Regimes: `inference` (no gradients), `frozen_grad` (frozen weights, gradients pass through them to a soft
    prompt or a bridge), `lora` (PEFT adapters), `full` (all weights are trained, states in the weights'
    dtype).
    """

    seq_len: int = 1024  # tokens per sequence, including padding
    source_len: int = (
        0  # tokens that an encoder-decoder's encoder reads; 0: seq_len; seq_len is its decoder's
    )
    image_tokens: int = 0  # of seq_len, those that images take; a vision tower reads these images
    tower: str = "trained"  # as the regime says; projector: of the part that reads images, the projector alone; frozen: nothing
    batch: int = 1  # sequences on this device per forward pass
    regime: str = "inference"
    dtype: str = "bfloat16"
    mixed_precision: bool = False  # float32 weights, gradients and states; the forward pass runs in `dtype`
    autocast: bool = False  # the forward runs under autocast, over weights that are in 16 bits or quantised
    attn: str = "sdpa"
    padded: bool = False  # attention_mask has a zero: transformers then builds a 4-D mask
    packed: bool = (
        False  # sequences of seq_len tokens joined to one row of the batch's length, without padding
    )
    checkpointing: bool = False  # gradient checkpointing
    reentrant: bool = False  # with use_reentrant=True, transformers' default before 5
    checkpoint_every: int = 1  # checkpoint only every n-th layer, from the first on
    quantized: str = (
        "none"  # bitsandbytes' storage of the layers' matrices: QLoRA is regime "lora" with "nf4_double"
    )
    prepared: str = "none"  # in float32 beside a quantised base, as prepare_model_for_kbit_training leaves it
    optimizer: str = "adamw"
    opt_impl: str = "foreach"  # PyTorch's default on CUDA
    opt_in_backward: bool = False  # each weight is updated, and its gradient freed, as soon as it is computed
    offload: tuple[str, ...] = ()  # what is in host memory: optimizer, weights, activations
    grad_accum: int = 1
    use_cache: bool = True  # transformers' default, in a plain forward too
    logits: str = "all"  # `generate` keeps the last position only
    loss: str = (
        "plain"  # fused: the kernel overwrites the logits; linear: in chunks, without all logits at once
    )
    objective: str = "lm"  # dpo: a batch is pairs, and each pair two sequences; grpo: a batch is completions
    reference: str = (
        "auto"  # frozen model of dpo and grpo; auto: a copy for dpo with regime full, adapters off with lora
    )
    kernels: str = (
        "plain"  # norms: a fused RMSNorm; liger: RMSNorm and SwiGLU; adapters: RMSNorm, and attention's LoRA
    )
    hidden_states: bool = False  # output_hidden_states=True
    new_tokens: int = 0  # generated after seq_len
    keep_outputs: bool = True  # the caller's `outputs` stays alive during backward; Trainer drops it
    lora_rank: int = 16
    lora_targets: tuple[str, ...] = USUAL
    lora_dtype: str = "float32"  # PEFT's autocast_adapter_dtype default
    lora_dropout: bool = False  # a dropout before each adapter
    dora: bool = False  # use_dora: a magnitude for each output, beside the adapters
    modules_to_save: tuple[str, ...] = ()  # trained as a whole beside the adapters, as copies
    shard: str = "none"
    ranks: int = 1  # devices that share the job
    transformers: str = NEWEST

    def __post_init__(self) -> None:
        for name, known in CHOICES.items():
            if getattr(self, name) not in known:
                raise UnknownOptionError(
                    f"{name}={getattr(self, name)!r} is not modelled; known: {', '.join(known)}"
                )
        for name in ("seq_len", "batch", "grad_accum", "ranks", "lora_rank", "checkpoint_every"):
            _at_least(name, getattr(self, name), 1)
        if not isinstance(self.lora_dropout, bool):
            raise UnknownOptionError(
                f"lora_dropout says whether there is one: True or False, not {self.lora_dropout!r}"
            )
        for name in ("new_tokens", "source_len", "image_tokens"):
            _at_least(name, getattr(self, name), 0)
        if not self.lora_targets or not all(isinstance(each, str) and each for each in self.lora_targets):
            raise UnknownOptionError(
                f"lora_targets (--lora-targets) must be names of matrices, such as {', '.join(USUAL)}, not {self.lora_targets!r}"
            )
        unknown = [name for name in self.modules_to_save if name not in SAVED]
        if unknown:
            raise UnknownOptionError(
                f"modules_to_save {', '.join(unknown)}: not modelled; known: {', '.join(SAVED)}"
            )
        if self.regime != "lora" and (self.dora or self.modules_to_save or self.lora_dropout):
            raise UnknownOptionError("dora, lora_dropout and modules_to_save need regime='lora'")
        if self.version < OLDEST:
            raise UnknownOptionError(
                f"transformers {self.transformers} is not modelled; known: 4.45 and newer"
            )
        _check_states(self)
        _check_objective(self)
        if self.image_tokens > self.seq_len:
            raise UnknownOptionError(
                f"image_tokens={self.image_tokens} (--image-tokens) are more than the {self.seq_len} of seq_len, of which they are a "
                f"part: use at most {self.seq_len}, or a longer seq_len (--seq-len)"
            )
        if self.tower == "projector" and self.regime != "full":
            raise UnknownOptionError(
                "--tower projector needs --regime full; with adapters use --tower trained or frozen (tower='projector' needs regime='full')"
            )
        if self.new_tokens and self.regime != "inference":
            raise UnknownOptionError("new_tokens needs regime='inference'")
        if self.new_tokens and not self.use_cache:
            raise UnknownOptionError("generation without a cache is not modelled; use_cache=True")
        if self.mixed_precision and self.dtype == "float32":
            raise UnknownOptionError(
                "mixed_precision needs dtype='bfloat16' or 'float16', that of the forward"
            )
        if self.autocast and self.dtype == "float32":
            raise UnknownOptionError("autocast needs dtype='bfloat16' or 'float16', that of the forward")
        if self.mixed_precision and self.shard.startswith("zero"):
            raise UnknownOptionError(
                "mixed_precision with DeepSpeed's ZeRO is not modelled; known: shard none, ddp, fsdp"
            )
        if self.checkpointing and self.regime == "inference":
            raise UnknownOptionError("checkpointing needs a training regime")
        if self.reentrant and not self.checkpointing:
            raise UnknownOptionError("reentrant needs checkpointing")
        if self.checkpoint_every > 1 and (
            not self.checkpointing or self.use_cache or self.mixed_precision or "activations" in self.offload
        ):
            raise UnknownOptionError(
                "checkpoint_every needs checkpointing and use_cache=False; with mixed_precision or offloaded activations it "
                "is not modelled"
            )
        if self.packed and (self.padded or not self.trains):
            raise UnknownOptionError("packed needs a training regime, and leaves no padding: padded=False")
        if self.padded and self.attn == "flash_attention_2":
            raise UnknownOptionError(
                "padded=True with flash_attention_2 is not modelled: unpadded tokens are not known beforehand"
            )

    @property
    def tokens(self) -> int:
        """Tokens in one forward: batch times length."""
        return self.batch * self.seq_len

    @property
    def casts(self) -> bool:
        """Whether the forward runs under autocast; FSDP casts its float32 shards itself and does not need it."""
        return self.autocast or (self.mixed_precision and self.shard != "fsdp")

    @property
    def held_dtype(self) -> str:
        """The dtype of weights, gradients and states; of a quantised base, of the weights that are not."""
        return "float32" if self.mixed_precision or self.prepared == "all" else self.dtype

    @property
    def trains(self) -> bool:
        """Whether there is a backward pass."""
        return self.regime != "inference"

    @property
    def version(self) -> tuple[int, int]:
        """The (major, minor) version of transformers."""
        try:
            major, minor = self.transformers.split(".")[:2]
            return int(major), int(minor)
        except ValueError:
            raise UnknownOptionError(
                f"transformers={self.transformers!r} is not a version such as {NEWEST}"
            ) from None

    @property
    def copies_model(self) -> bool:
        """Whether a frozen copy of the weights is in memory as a reference."""
        own = self.objective == "dpo" and self.regime == "full"
        return self.reference == "copy" or (self.reference == "auto" and own)

    def plain_at_end(self, layers: int) -> int:
        """How many of the last layers checkpointing leaves alone; 0 without checkpointing."""
        return (layers - 1) % self.checkpoint_every if self.checkpointing else 0

    def as_run(self) -> Workload:
        """The job as the model sees it: a packed batch is one row, whose mask keeps its sequences apart.

        Flash attention gets the sequences' bounds instead of a mask. TRL joins the chosen and the rejected sequences, keeps no
        cache and no outputs, and computes log-probabilities in chunks.
        """
        if self.objective != "lm":
            both = 2 if self.objective == "dpo" else 1
            return self.but(batch=both * self.batch, loss="linear", keep_outputs=False, use_cache=False)
        if not self.packed:
            return self
        masked = self.attn == "sdpa"
        return self.but(packed=False, batch=1, seq_len=self.tokens, padded=masked)

    def but(self, **changes: Any) -> Workload:
        """The same job with other settings."""
        return replace(self, **changes)


def _check_objective(work: Workload) -> None:
    """Raise UnknownOptionError if the objective excludes other settings."""
    if work.objective == "lm":
        if work.reference == "copy":
            raise UnknownOptionError("reference='copy' needs objective='dpo' or 'grpo'")
        return
    if work.regime not in ("full", "lora") or work.packed or work.mixed_precision or work.hidden_states:
        raise UnknownOptionError(
            f"objective={work.objective!r} is modelled in the regimes full and lora, without packed, mixed_precision and "
            "hidden_states"
        )


def _check_states(work: Workload) -> None:
    """Raise UnknownOptionError if settings of the optimizer, the quantisation and offloading exclude each other."""
    unknown = [part for part in work.offload if part not in OFFLOADED]
    if unknown:
        raise UnknownOptionError(f"offload {', '.join(unknown)}: not modelled; known: {', '.join(OFFLOADED)}")
    if "weights" in work.offload and work.shard not in ("zero3", "fsdp"):
        raise UnknownOptionError(
            "offload weights is what FSDP and ZeRO-3 do: it needs shard='fsdp' or 'zero3'"
        )
    if ("optimizer" in work.offload or "activations" in work.offload) and not work.trains:
        raise UnknownOptionError("offload optimizer and activations need a training regime")
    if work.opt_in_backward and (work.grad_accum > 1 or work.shard != "none" or not work.trains):
        raise UnknownOptionError("opt_in_backward needs a training regime, grad_accum=1 and shard='none'")
    if work.quantized != "none" and (work.regime == "full" or work.mixed_precision):
        raise UnknownOptionError(
            "quantized weights take no gradients; known: regime lora, frozen_grad, inference"
        )
    if work.prepared != "none" and (
        work.quantized == "none" or work.regime != "lora" or not work.autocast or work.dora
    ):
        raise UnknownOptionError(
            f"prepared={work.prepared!r} is modelled for LoRA on quantised weights under autocast, without DoRA"
        )
    if work.kernels == "adapters" and (work.regime != "lora" or work.dora or work.prepared != "none"):
        raise UnknownOptionError("kernels='adapters' is modelled for LoRA without DoRA, with prepared='none'")
    if work.quantized != "none" and work.shard == "tp":
        raise UnknownOptionError("quantized weights under shard='tp' are not modelled")
    if work.loss != "plain" and work.keep_outputs and work.trains:
        raise UnknownOptionError(f"loss={work.loss!r} leaves no logits to keep: it needs keep_outputs=False")


def _at_least(name: str, value: object, least: int) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or value < least:
        raise UnknownOptionError(f"{name} must be a whole number of at least {least}, not {value!r}")


NEWEST_VERSION = Workload().version
"""(major, minor) of `NEWEST`."""
