"""Peaks that foundation-model-stack/fms-acceleration measured, and the jobs that they were measured on.

From `scripts/benchmarks/refs/a100_80gb.csv` (at 24bdadb; transformers 4.48.1) and `a100_80gb_liger.csv` (at 733992a; 4.45.2):
A100-80GB, HF Trainer, flash attention 2, 4096 packed tokens a sequence, LoRA of rank 16 on the four attention matrices with a
dropout of 0.1 (`scenarios.yaml`); the peak and the end of allocated memory on rank 0, in bytes. All rows of the architectures
with a closed form are here, whatever the result, but the Trainer's `baseline-peft-bnb`, of which `test_prepared.py` has six.

What each row ran follows from its columns and from the code at these commits, with peft 0.13.2 and trl 0.13.0 or 0.11.4:

- `gradient_checkpointing` without kwargs is use_reentrant=True, in the Trainer and where the plugins prepare a quantised model.
- bf16=True is autocast, and so is fp16=True, which every row of GPTQ has.
- `foak` has fused norms, a fused cross entropy and a rotation in place; on a quantised base also functions that compute
  attention's products and their adapters at once, and FSDP then leaves the adapters out of its shards.
- `liger` has the fused linear loss instead, for Llama and for Mistral. Two of its configurations misspell the option of the fused
  norms, but its rows have them: without, a traced step of that code needs 402 MB more than was measured at 4 sequences.
"""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from telepathy_runtime.memory import Workload
from telepathy_runtime.models import registry
from telepathy_runtime.models.matrices import layer_matrices
from telepathy_runtime.models.quantized import Matrix, weight_bytes
from telepathy_runtime.models.spec import ModelSpec

_IDS = {
    "NousResearch/Llama-2-70b-hf": "meta-llama/Llama-2-70b-hf",
    "TheBloke/Llama-2-70B-GPTQ": "meta-llama/Llama-2-70b-hf",
    "TheBloke/Mistral-7B-v0.1-GPTQ": "mistralai/Mistral-7B-v0.1",
    "TechxGenus/Meta-Llama-3-8B-GPTQ": "meta-llama/Meta-Llama-3-8B",
}
_VERSIONS = {"a100_80gb": "4.48.1", "a100_80gb_liger": "4.45.2"}
_GROUPS = {"TheBloke/Llama-2-70B-GPTQ": -1}
"""Of a GPTQ checkpoint: how many inputs share a scale, if not 128; -1 is all of them."""


class Row(NamedTuple):
    """One measurement."""

    spec: ModelSpec
    work: Workload
    configuration: str
    peak: int
    steady: int


def rows() -> list[Row]:
    """Every measurement, as a job of ours."""
    with open(Path(__file__).with_suffix(".csv"), encoding="utf-8") as file:
        return [_row(entry) for entry in csv.DictReader(file)]


def _row(entry: dict[str, str]) -> Row:
    # 4096 tokens are at Mistral's window, where flash attention keeps the same as below it.
    spec = replace(registry.get(_IDS.get(entry["model"], entry["model"])), sliding_layers=0)
    how, ranks, lora = entry["configuration"], int(entry["gpus"]), entry["trained"] == "lora"
    if "gptq" in how:
        spec = replace(spec, stored_bytes=_gptq_bytes(spec, _GROUPS.get(entry["model"], 128)))
    quantized, fused = "bnb" in how or "gptq" in how, "foak" in how
    work = Workload(
        seq_len=4096, batch=int(entry["batch"]), regime="lora" if lora else "full", checkpointing=True, reentrant=True,
        dtype="float16" if "gptq" in how else "bfloat16", quantized="nf4_double" if "bnb" in how else "none",
        autocast=lora and (entry["bf16"] == "yes" or "gptq" in how),
        lora_targets=("q_proj", "k_proj", "v_proj", "o_proj"), lora_dropout=lora, attn="flash_attention_2",
        # FSDP turns the flat parameters that train to float32 under bf16.
        shard="fsdp" if ranks > 1 else "none", ranks=ranks, mixed_precision=entry["bf16"] == "yes" and not lora and ranks > 1,
        loss="linear" if "liger" in how else "fused" if fused else "plain",
        kernels="adapters" if fused and quantized else "norms" if fused else "plain",
        keep_outputs=False, use_cache=False, transformers=_VERSIONS[entry["file"]],
    )  # fmt: skip
    return Row(spec, work, how, int(entry["peak_bytes"]), int(entry["steady_bytes"]))


def _gptq_bytes(spec: ModelSpec, group: int) -> int:
    """Bytes of a checkpoint with matrices in 4 bits, as its config says."""
    config = {"quant_method": "gptq", "bits": 4, "group_size": group}
    shapes = layer_matrices(spec)
    packed = weight_bytes(config, [Matrix("", shape, "linear") for shape in shapes], 2)
    plain = sum(outputs * inputs for outputs, inputs in shapes)
    return spec.layers * packed + 2 * (spec.params - spec.layers * plain)
