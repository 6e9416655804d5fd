"""Compares the public memory estimators with this one on the same models, as Markdown tables.

    pip install accelerate hf-mem deepspeed        # the column of a missing tool stays empty
    python benchmarks/memory_peers.py

Runs without the hub: each tool's own code gets what it would have downloaded, which is a folder with the
model's config.json for accelerate (its request for the model's page is answered here), the safetensors header
for hf-mem, and the parameter count and largest layer for DeepSpeed. The reference is not an estimate: the
published bytes of the weights, and the traced peak of a real transformers training step on the meta device
(batch 1, 1536 tokens, bfloat16, AdamW).
"""

from __future__ import annotations

import sys
import tempfile
import time
import warnings
from contextlib import redirect_stdout
from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as installed
from pathlib import Path
from types import SimpleNamespace
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import torch
import transformers

from benchmarks.memory_review import MEMORY
from telepathy_runtime.memory import Workload, estimate
from telepathy_runtime.memory.standard_step import hub_config, traced
from telepathy_runtime.models import registry
from telepathy_runtime.models.spec import ModelSpec

GIB = 2**30
TRAIN = Workload(seq_len=1536, regime="full", transformers=transformers.__version__)


def accelerate_bytes(config: Any) -> tuple[float, float] | None:
    """(weights in float16, "training using Adam" in float16) of `accelerate estimate-memory`."""
    try:
        from accelerate.commands import estimate as tool
    except ImportError:
        return None
    # The tool first requests the model's page from the hub, but only reads its `config`.
    tool.verify_on_hub = lambda repo, token=None: SimpleNamespace(config={}, library_name="transformers")
    with tempfile.TemporaryDirectory() as folder:
        config.save_pretrained(folder)
        args = SimpleNamespace(model_name=folder, library_name="transformers", trust_remote_code=False)
        args.dtypes = ["float16"]
        with redirect_stdout(sys.stderr):
            ((_, _, size, training),) = tool.gather_data(args)
    return float(size), float(max(training.values()))


def header(config: Any) -> dict[str, Any]:
    """The safetensors header of the model's checkpoint: every tensor, without a tied head."""
    with torch.device("meta"):
        model = transformers.AutoModelForCausalLM.from_config(config, dtype=torch.bfloat16)
    return {name: {"dtype": "BF16", "shape": list(p.shape)} for name, p in model.named_parameters()}


def hf_mem_bytes(config: Any) -> tuple[int, int] | None:
    """(weights, KV cache of 1536 tokens) of hf-mem."""
    try:
        from hf_mem.safetensors.kv_cache import compute_safetensors_kv_cache_size
        from hf_mem.safetensors.metadata import parse_safetensors_metadata
    except ImportError:
        return None
    weights = parse_safetensors_metadata(raw_metadata={"Transformer": header(config)}).bytes_count
    fields = config.to_dict()
    cache = compute_safetensors_kv_cache_size(
        config=fields, cache_dtype="BF16", max_model_len=1536, batch_size=1
    )
    return weights, cache


def deepspeed_bytes(spec: ModelSpec) -> tuple[int, int] | None:
    """(ZeRO-2, ZeRO-3) bytes on one GPU without offload."""
    try:
        from deepspeed.runtime.zero.stage3 import estimate_zero3_model_states_mem_needs as zero3
        from deepspeed.runtime.zero.stage_1_and_2 import estimate_zero2_model_states_mem_needs as zero2
    except ImportError:
        return None
    _, two = zero2(spec.params, 1, 1, cpu_offload=False)
    _, three, _ = zero3(spec.params, spec.embedding_params, 1, 1, cpu_offload=False, cpu_offload_params=False)
    return two, three


def off(size: float | None, truth: float) -> str:
    """A size in GiB, and its error."""
    return "not installed" if size is None else f"{size / GIB:.3f} ({size / truth - 1:+.2%})"


def first(pair: tuple[Any, Any] | None, index: int) -> Any:
    return None if pair is None else pair[index]


def main() -> None:
    warnings.simplefilter("ignore")
    transformers.logging.set_verbosity_error()
    started = time.monotonic()
    weights, training = [], []
    for spec in [registry.get(row[0]) for row in MEMORY]:
        config = hub_config(spec)
        config.architectures = [type_name(config)]
        acc, mem, speed = accelerate_bytes(config), hf_mem_bytes(config), deepspeed_bytes(spec)
        true = 2 * registry.published_params(spec.id)
        cache = spec.kv_bytes(1, 1536)
        name = spec.id.partition("/")[2]
        weights.append(
            (name, f"{true / GIB:.3f}", off(spec.params_bytes, true), off(first(acc, 0), true),
             off(first(mem, 0), true), f"{cache / 2**20:.1f}",
             "not installed" if mem is None else f"{mem[1] / 2**20:.1f}")
        )  # fmt: skip
        peak = traced(hub_config(spec), TRAIN).peak_allocated
        training.append(
            (name, f"{peak / GIB:.2f}", off(estimate(spec, TRAIN).peak_allocated, peak), off(first(acc, 1), peak),
             off(first(speed, 0), peak), off(first(speed, 1), peak))
        )  # fmt: skip
    show(
        "Weights (GiB) and KV cache of 1536 tokens (MiB)",
        ("model", "published", "telepathy", "accelerate", "hf-mem", "KV telepathy", "KV hf-mem"),
        weights,
    )
    show(
        "Full training, batch 1, 1536 tokens, bfloat16, AdamW: peak (GiB)",
        ("model", "traced", "telepathy", "accelerate", "DeepSpeed ZeRO-2", "DeepSpeed ZeRO-3"),
        training,
    )
    names = ("torch", "transformers", "accelerate", "hf-mem", "deepspeed")
    print(", ".join(f"{name} {version_of(name)}" for name in names) + f"; {time.monotonic() - started:.0f} s")


def type_name(config: Any) -> str:
    """The class named in this config."""
    return str(transformers.AutoModelForCausalLM._model_mapping[type(config)].__name__)


def show(title: str, head: tuple[str, ...], rows: list[tuple[str, ...]]) -> None:
    print(f"**{title}**\n")
    for line in (head, ("---",) * len(head), *rows):
        print("| " + " | ".join(line) + " |")
    print()


def version_of(name: str) -> str:
    try:
        return installed(name)
    except PackageNotFoundError:
        return "not installed"


if __name__ == "__main__":
    main()
