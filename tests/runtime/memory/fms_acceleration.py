"""Peaks that foundation-model-stack/fms-acceleration measured, and the jobs that they were measured on.

From `scripts/benchmarks/refs/a100_80gb.csv` (transformers 4.48.1) and `a100_80gb_liger.csv` (4.45.2): A100-80GB, HF Trainer,
flash attention 2, gradient checkpointing, 4096 tokens a sequence, LoRA of rank 16 on the four attention matrices; the peak
and the end of allocated memory on rank 0, in bytes. All rows of the architectures with a closed form are here, whatever the
result, but the Trainer's `baseline-peft-bnb`, which turns norms, embedding and head to float32.
"""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from telepathy_runtime.memory import Workload
from telepathy_runtime.models import registry
from telepathy_runtime.models.spec import ModelSpec

_IDS = {
    "NousResearch/Llama-2-70b-hf": "meta-llama/Llama-2-70b-hf",
    "TheBloke/Llama-2-70B-GPTQ": "meta-llama/Llama-2-70b-hf",
    "TheBloke/Mistral-7B-v0.1-GPTQ": "mistralai/Mistral-7B-v0.1",
    "TechxGenus/Meta-Llama-3-8B-GPTQ": "meta-llama/Meta-Llama-3-8B",
}
_VERSIONS = {"a100_80gb": "4.48.1", "a100_80gb_liger": "4.45.2"}


class Row(NamedTuple):
    """One measurement."""

    spec: ModelSpec
    work: Workload
    configuration: str
    peak: int
    steady: int
    bf16: bool  # the Trainer's bf16=True


def rows() -> list[Row]:
    """Every measurement, as a job of ours."""
    with open(Path(__file__).with_suffix(".csv"), encoding="utf-8") as file:
        return [_row(entry) for entry in csv.DictReader(file)]


def _row(entry: dict[str, str]) -> Row:
    # 4096 tokens are at Mistral's window, where flash attention keeps the same as below it.
    spec = replace(registry.get(_IDS.get(entry["model"], entry["model"])), sliding_layers=0)
    how, ranks, lora = entry["configuration"], int(entry["gpus"]), entry["trained"] == "lora"
    # foak: fused RMSNorm, rotary embedding and cross entropy; its Liger adds the fused linear loss, for Llama alone.
    linear = "liger" in how and spec.architecture == "llama"
    work = Workload(
        seq_len=4096, batch=int(entry["batch"]), regime="lora" if lora else "full", checkpointing=True,
        # GPTQ's groups of 128 take about as much as nf4 with double quantisation.
        quantized="nf4_double" if "bnb" in how or "gptq" in how else "none",
        # Every run on a quantised base has bf16=True, or fp16=True with GPTQ, over a base in 16 bits: autocast.
        autocast="bnb" in how or "gptq" in how,
        lora_targets=("q_proj", "k_proj", "v_proj", "o_proj"), attn="flash_attention_2",
        # FSDP turns the flat parameters that train to float32 under bf16.
        shard="fsdp" if ranks > 1 else "none", ranks=ranks, mixed_precision=entry["bf16"] == "yes" and not lora and ranks > 1,
        loss="linear" if linear else "fused" if "foak" in how else "plain", kernels="norms" if "foak" in how else "plain",
        keep_outputs=False, use_cache=False, transformers=_VERSIONS[entry["file"]],
    )  # fmt: skip
    return Row(spec, work, how, int(entry["peak_bytes"]), int(entry["steady_bytes"]), entry["bf16"] == "yes")
