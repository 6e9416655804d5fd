"""`telepathy-runtime place | serve`: the GPU of each layer, and the size of a server's cache.

Exit codes: 0 it fits, 1 it does not, 2 invalid input.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from typing import Any

from telepathy_runtime.commands import models
from telepathy_runtime.commands.guard import guarded
from telepathy_runtime.memory import render, serving
from telepathy_runtime.memory.device_map import CPU, Placed, place
from telepathy_runtime.memory.gpus import DEFAULT_GPU, Gpu, gpu
from telepathy_runtime.memory.units import gib
from telepathy_runtime.memory.workload import CHOICES
from telepathy_runtime.models.spec import ModelSpec, UnknownOptionError


def add_parsers(subparsers: Any) -> None:
    """Register both commands; each parser's `run` takes the parsed arguments and returns the exit code."""
    where = subparsers.add_parser("place", help="show where device_map='auto' puts each layer")
    where.usage = "telepathy-runtime place [OPTIONS] MODEL"
    where.add_argument("model", help="model id, or a folder or file with a config.json")
    _gpu_option(where, "the GPUs in their order")
    where.add_argument("--dtype", choices=CHOICES["dtype"], default="bfloat16", help="dtype of the weights")
    where.add_argument("--batch", type=int, default=1, help="sequences in the cache")
    where.add_argument("--seq-len", type=int, default=1024, help="tokens of each sequence in the cache")
    models.add_source_options(where)
    where.add_argument("--json", action="store_true", help="print JSON, with all sizes in bytes")
    where.set_defaults(run=guarded(_place))

    server = subparsers.add_parser("serve", help="show how many tokens the cache of a vLLM server holds")
    server.usage = "telepathy-runtime serve [OPTIONS] MODEL"
    server.add_argument("model", help="model id, or a folder or file with a config.json")
    _gpu_option(server, "the GPU; 2x48GiB: two, which share the model")
    server.add_argument("--tensor-parallel", type=int, help="number of GPUs that share the model")
    server.add_argument(
        "--utilization",
        type=float,
        default=serving.UTILIZATION,
        help="share of the GPU that the server takes",
    )
    server.add_argument(
        "--max-len", type=int, default=0, help="tokens of a sequence at most; default: the model's"
    )
    server.add_argument("--dtype", choices=CHOICES["dtype"], default="bfloat16", help="dtype of the weights")
    server.add_argument("--cache-dtype", choices=("fp8", *CHOICES["dtype"]), help="dtype of the cache")
    server.add_argument(
        "--quantized",
        choices=CHOICES["quantized"],
        default="none",
        help="how bitsandbytes stores the weights",
    )
    server.add_argument("--block-size", type=int, default=serving.BLOCK_SIZE, help="tokens in a block")
    server.add_argument(
        "--scheduled", type=int, default=0, help="tokens of a forward at most; default: vLLM's for the GPU"
    )
    server.add_argument(
        "--sequences", type=int, default=0, help="sequences of a forward at most; default: vLLM's for the GPU"
    )
    models.add_source_options(server)
    server.add_argument("--json", action="store_true", help="print JSON, with all sizes in bytes")
    server.set_defaults(run=guarded(_serve))


def _gpu_option(parser: argparse.ArgumentParser, text: str) -> None:
    parser.add_argument("--gpu", action="append", help=f"{text}: names or sizes (default {DEFAULT_GPU})")


def _place(args: argparse.Namespace) -> int:
    spec = models.find(args, args.model)
    cards = [card for name in args.gpu or [DEFAULT_GPU] for card in [gpu(name)] * gpu(name).count]
    placed = place(spec, [card.usable_bytes for card in cards], args.dtype)
    cache = spec.kv_bytes(args.batch, args.seq_len, args.dtype)
    kept = [cache * each.layers // spec.layers for each in placed]
    if args.json:
        print(json.dumps(_placed_json(spec, placed, kept, cards), indent=2))
    else:
        rows = [
            (
                f"{each.device} {'' if each.device == CPU else cards[int(each.device)].name}".rstrip(),
                _names(each),
                gib(each.bytes),
                gib(size),
                "-" if each.device == CPU else gib(cards[int(each.device)].usable_bytes - each.bytes - size),
            )
            for each, size in zip(placed, kept, strict=True)
        ]
        print(f"{spec.id}, {args.dtype}: device_map='auto'")
        print(render.table(("device", "parts", "weights", "cache", "free"), rows, left=2))
    spills = placed[-1].device == CPU
    full = any(
        each.bytes + size > cards[int(each.device)].usable_bytes
        for each, size in zip(placed, kept, strict=True)
        if each.device != CPU
    )
    return int(spills or full)


def _names(each: Placed) -> str:
    """The parts on a device, abbreviated: "embed_tokens, layers 0-7"."""
    numbers = [int(part.name.rpartition(".")[2]) for part in each.parts if part.layers]
    others = [part.name.rpartition(".")[2] for part in each.parts if not part.layers and part.bytes]
    layers = f"layers {numbers[0]}-{numbers[-1]}" if numbers else ""
    first = [name for name in others if name == "embed_tokens"]
    rest = [name for name in others if name != "embed_tokens" and name != "rotary_emb"]
    return ", ".join(part for part in (*first, layers, *rest) if part) or "nothing"


def _placed_json(
    spec: ModelSpec, placed: Sequence[Placed], kept: Sequence[int], cards: Sequence[Gpu]
) -> dict[str, Any]:
    return {
        "schema": render.SCHEMA,
        "model": spec.id,
        "devices": [
            {
                "device": each.device,
                "gpu": None if each.device == CPU else cards[int(each.device)].name,
                "usable_bytes": None if each.device == CPU else cards[int(each.device)].usable_bytes,
                "limit_bytes": None if each.device == CPU else each.limit,
                "weights_bytes": each.bytes,
                "cache_bytes": size,
                "layers": each.layers,
            }
            for each, size in zip(placed, kept, strict=True)
        ],
        "device_map": {part.name: each.device for each in placed for part in each.parts},
    }


def _serve(args: argparse.Namespace) -> int:
    spec = models.find(args, args.model)
    names = args.gpu or [DEFAULT_GPU]
    if len(names) > 1:
        raise UnknownOptionError("serve takes one --gpu; several equal ones are 2x48GiB or --tensor-parallel")
    card = gpu(names[0])
    ranks = args.tensor_parallel or card.count
    if card.count not in (1, ranks):
        raise UnknownOptionError(f"--gpu has {card.count} cards, but --tensor-parallel is {ranks}")
    found = serving.serve(
        spec, card, tensor_parallel=ranks, utilization=args.utilization, max_len=args.max_len, dtype=args.dtype,
        cache_dtype=args.cache_dtype or "", quantized=args.quantized, block_size=args.block_size,
        scheduled=args.scheduled, sequences=args.sequences,
    )  # fmt: skip
    if args.json:
        shown = {
            "schema": render.SCHEMA, "model": spec.id, "gpu": card.name, "tensor_parallel": ranks,
            "budget_bytes": found.budget, "weights_bytes": found.weights, "forward_bytes": found.forward,
            "other_bytes": found.other, "block_bytes": found.block, "blocks": found.blocks,
            "cache_bytes": found.cache, "tokens": found.tokens, "max_len": found.max_len,
            "concurrency": found.concurrency,
        }  # fmt: skip
        print(json.dumps(shown, indent=2))
    else:
        rows = [
            (f"{args.utilization:.0%} of {card.name}", gib(found.budget)),
            ("weights", gib(found.weights)),
            ("a forward at most", gib(found.forward)),
            ("outside PyTorch", gib(found.other)),
            ("cache", gib(found.cache)),
        ]
        print(f"{spec.id}, {args.dtype}, {ranks} GPU{'s' if ranks > 1 else ''}: each holds")
        print(render.table(("part", "bytes"), rows))
        print(
            f"{found.blocks:,} blocks of {found.block_size} tokens: {found.tokens:,} tokens, "
            f"{found.concurrency:.2f} sequences of {found.max_len:,}"
        )
        if found.concurrency < 1:
            print("not even one sequence of that length fits: lower --max-len, or use more GPUs")
    return int(found.concurrency < 1)
