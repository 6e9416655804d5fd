"""The options of `estimate` and `plan` that describe a job and the GPUs for it."""

from __future__ import annotations

import argparse
import dataclasses
from collections.abc import Sequence
from typing import Any

from telepathy_runtime.commands import models
from telepathy_runtime.memory.gpus import DEFAULT_GPU, GPUS, RESERVE, Gpu, gpu
from telepathy_runtime.memory.workload import CHOICES, Workload
from telepathy_runtime.models.spec import UnknownOptionError

HELP = {
    "seq_len": "tokens per sequence, including padding",
    "source_len": "tokens that the encoder of an encoder-decoder reads (default: as many as --seq-len, its decoder's)",
    "image_tokens": "of --seq-len, the tokens that images take (LLaVA, Qwen2.5-VL, Gemma 3)",
    "tower": "what of the part that reads images is trained: as much as the regime says, its projector alone, or nothing",
    "batch": "sequences per device and forward pass",
    "regime": "what is trained: nothing, something behind frozen weights, LoRA adapters, or all weights",
    "dtype": "dtype of the weights",
    "mixed_precision": "float32 weights, gradients and states, forward pass in dtype (Trainer's bf16=True)",
    "autocast": "forward pass under autocast over 16-bit or quantised weights (Trainer's bf16=True on such a model)",
    "attn": "attention implementation",
    "padded": "some sequences are padded",
    "packed": "sequences are joined to one row, without padding (SFT's packing)",
    "checkpointing": "gradient checkpointing",
    "reentrant": "checkpointing with use_reentrant=True, transformers' default before 5",
    "checkpoint_every": "checkpoint only every n-th layer (transformers' every_n_layers)",
    "optimizer": "optimizer; the names with a number of bits are those of bitsandbytes",
    "opt_impl": "implementation of the optimizer's step",
    "quantized": "how bitsandbytes stores the layers' matrices",
    "prepared": "what is float32 beside a quantised base after PEFT's prepare_model_for_kbit_training: all that is not"
    " quantised, or norms alone (TRL with bf16=True)",
    "opt_in_backward": "update each weight, and free its gradient, as soon as the gradient is there",
    "offload": "comma-separated parts kept in the machine's memory: optimizer, weights, activations",
    "objective": "what the loss is; dpo: a batch is pairs of sequences; grpo: a batch is completions (TRL)",
    "reference": "frozen model of dpo and grpo; auto: for dpo, a copy, or the model without its adapters",
    "loss": "fused: a kernel that overwrites the logits; linear: in chunks, without all logits (Liger, TRL)",
    "kernels": "fused kernels: norms (RMSNorm), liger (RMSNorm and SwiGLU), or adapters (RMSNorm and attention's LoRA)",
    "grad_accum": "forward and backward passes per optimizer step",
    "use_cache": "the forward pass keeps keys and values",
    "logits": "positions for which logits are computed",
    "hidden_states": "keep the output of every layer",
    "keep_outputs": "the outputs stay alive during backward (Trainer drops them)",
    "new_tokens": "tokens to generate after seq_len",
    "ranks": "number of devices that share the job",
    "lora_rank": "rank of the adapters",
    "lora_targets": "comma-separated names of the matrices with adapters",
    "lora_dtype": "dtype of the adapters",
    "lora_dropout": "a dropout before each adapter (PEFT's lora_dropout, whose size does not matter; 0: none)",
    "dora": "adapters with a magnitude for each output (PEFT's use_dora)",
    "modules_to_save": "comma-separated modules that are trained as a whole beside the adapters: embed_tokens, lm_head",
    "shard": "sharding scheme: what is divided among the ranks",
    "transformers": "transformers version to model",
}


class Given(argparse.Action):
    """Store a value, and that its option was given, which a value that equals the default does not show."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: Any,
        option_string: str | None = None,
    ) -> None:
        setattr(namespace, self.dest, values)
        _note(namespace, self.dest)


class GivenSwitch(argparse.BooleanOptionalAction):
    """The same for `--name` and `--no-name`."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: Any,
        option_string: str | None = None,
    ) -> None:
        super().__call__(parser, namespace, values, option_string)
        _note(namespace, self.dest)


class GivenRate(Given):
    """A switch that also takes a rate: `--name` and `--name 0.1` turn it on, `--name 0` and `--no-name` off."""

    def __init__(self, option_strings: Sequence[str], dest: str, **more: Any) -> None:
        both = [*option_strings, *(f"--no-{name.removeprefix('--')}" for name in option_strings)]
        super().__init__(both, dest, nargs="?", metavar="RATE", **more)

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: Any,
        option_string: str | None = None,
    ) -> None:
        off = (option_string or "").startswith("--no-")
        try:
            rate = 1.0 if values is None else float(values)
        except ValueError:
            text = f"must be a number from 0 to 1, not {values!r}; a model's name goes before this option"
            raise argparse.ArgumentError(self, text) from None
        if not 0 <= rate <= 1 or (off and values is not None):
            text = "takes no value" if off else f"must be a number from 0 to 1, not {values!r}"
            raise argparse.ArgumentError(self, text)
        super().__call__(parser, namespace, rate > 0 and not off, option_string)


def _note(namespace: argparse.Namespace, name: str) -> None:
    namespace.given = given(namespace) | {name}


def given(args: argparse.Namespace) -> frozenset[str]:
    """The names of the options of a job that the command line has."""
    return frozenset(getattr(args, "given", ()))


def job_options(parser: argparse.ArgumentParser, batch: bool = True) -> None:
    """Add an option for each field of a Workload, and the options for GPUs."""
    for field in dataclasses.fields(Workload):
        name = field.name
        if name == "batch" and not batch:
            continue
        flag, text = "--" + name.replace("_", "-"), HELP.get(name)
        if name == "lora_dropout":
            parser.add_argument(flag, action=GivenRate, default=field.default, help=text)
        elif isinstance(field.default, bool):
            parser.add_argument(flag, action=GivenSwitch, default=field.default, help=text)
        elif isinstance(field.default, tuple):
            parser.add_argument(flag, action=Given, default=",".join(field.default) or None, help=text)
        elif name in CHOICES:
            parser.add_argument(flag, action=Given, choices=CHOICES[name], default=field.default, help=text)
        else:
            parser.add_argument(
                flag, action=Given, type=type(field.default), default=field.default, help=text
            )
    parser.add_argument(
        "--gpu",
        action="append",
        help=f"{', '.join(GPUS)}, a size (24GiB, 2x48GiB), device or all (default {DEFAULT_GPU});"
        " can be repeated",
    )
    parser.add_argument(
        "--from-script",
        metavar="FILE",
        help="take the job from a training script; options given here come before it",
    )
    models.add_source_options(parser)
    parser.add_argument(
        "--colocated",
        type=float,
        default=0.0,
        metavar="SHARE",
        help="share of each GPU that a vLLM in the same process keeps (GRPO's vllm_gpu_memory_utilization; not with its"
        " sleep mode)",
    )
    parser.add_argument("--reserve", type=float, default=RESERVE, help="share to reserve for fragmentation")
    parser.add_argument("--json", action="store_true", help="print JSON, with all sizes in bytes")
    parser.add_argument("--plot", metavar="FILE", help="draw a bar chart as .svg or .png (needs matplotlib)")


def traced_option(parser: argparse.ArgumentParser) -> None:
    """Add --traced."""
    text = "trace transformers' own model instead of the closed form: for any architecture, takes seconds (needs torch)"
    parser.add_argument("--traced", action="store_true", help=text)


def pair_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of a pair of models."""
    group = parser.add_argument_group("a pair of models joined by a trained bridge")
    group.add_argument("--target", help="model that generates; MODEL is the source, which only reads")
    group.add_argument("--target-seq-len", type=int, help="tokens of the target, including soft tokens")
    group.add_argument("--target-unfrozen", action="store_true", help="the target still has requires_grad on")
    group.add_argument("--latents", type=int, default=128, help="soft tokens of the Perceiver bridge")
    group.add_argument("--depth", type=int, default=4, help="number of layers of the Perceiver bridge")
    group.add_argument("--adapter-params", type=int, help="number of parameters of another kind of bridge")


def workload(args: argparse.Namespace) -> Workload:
    """The job described by the options. Raises UnknownOptionError."""
    if args.model == "":
        raise UnknownOptionError("MODEL must not be empty: give an id, or the path of a config.json")
    alone = [
        flag for flag in ("target_seq_len", "target_unfrozen", "adapter_params") if getattr(args, flag, None)
    ]
    if alone and not args.target:
        raise UnknownOptionError(f"--{alone[0].replace('_', '-')} needs --target, the model that it is about")
    values = {field.name: getattr(args, field.name) for field in dataclasses.fields(Workload)}
    for name in ("lora_targets", "modules_to_save", "offload"):
        values[name] = tuple(part.strip() for part in (values[name] or "").split(",") if part.strip())
    if args.ranks > 1 and args.shard == "none":
        raise UnknownOptionError(
            f"--ranks {args.ranks} needs --shard: without it, every rank holds everything"
        )
    counts = {card.count for card in cards_of(args)}
    if counts != {1}:
        values["ranks"] = _ranks(args, counts)
    return Workload(**values)


def _ranks(args: argparse.Namespace, counts: set[int]) -> int:
    """The number of cards in `--gpu 2x48GiB`; checks that the options say how they share the job."""
    if len(counts) > 1:
        raise UnknownOptionError("--gpu: all values must have the same number of cards")
    (count,) = counts
    if args.shard == "none":
        raise UnknownOptionError(f"--gpu with {count} cards needs --shard, which says how they share the job")
    if args.ranks not in (1, count):
        raise UnknownOptionError(f"--gpu has {count} cards, but --ranks is {args.ranks}")
    return count


def cards_of(args: argparse.Namespace) -> list[Gpu]:
    """The GPUs in the options, or the default one. Raises UnknownOptionError."""
    names: Sequence[str] = args.gpu or [DEFAULT_GPU]
    share = args.colocated
    if not 0 <= share < 1:
        raise UnknownOptionError(f"--colocated must be at least 0 and below 1, not {share!r}")
    cards = [gpu(name) for name in (GPUS if "all" in names else names)]
    return [card.beside(share) for card in cards] if share else cards


def exit_code(size: int, cards: Sequence[Gpu], reserve: float) -> int:
    """The exit code: 0 if `size` bytes fit on every card."""
    return 0 if all(size <= card.budget(reserve) for card in cards) else 1
