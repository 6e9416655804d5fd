"""Figures that others measured on real GPUs, held against the closed form."""

from __future__ import annotations

import pytest

from telepathy_runtime.memory import Workload, estimate
from telepathy_runtime.memory.oom import parse_oom
from telepathy_runtime.memory.states import states
from telepathy_runtime.memory.units import GIB
from telepathy_runtime.models import registry

# SujeethJinesh/LatentWire, preserved_data/2025-10-10_hpc_embedding_smoke/logs/training.log, lines 14 and 17:
# four H100, Llama-3.1-8B in bfloat16, device_map="auto" with 5, 10, 10 and 7 layers; decimal GB, one digit.
SHARDS = ((5, 3.2), (10, 4.4), (10, 4.4), (7, 4.1))


def test_shards_of_llama_8b_on_four_h100() -> None:
    spec = registry.get("meta-llama/Meta-Llama-3.1-8B-Instruct")
    parts = [layers * spec.layer_params for layers, _ in SHARDS]
    parts[0] += spec.embedding_params
    parts[3] += spec.head_params + spec.hidden
    assert sum(parts) == spec.params
    assert [round(2 * part / 1e9, 1) for part in parts] == [gb for _, gb in SHARDS]
    assert round(spec.params_bytes / 1e9, 1) == 16.1


# huggingface/peft, method_comparison/MetaMathQA results: one L40S, torch 2.13, transformers 5.13.1,
# Llama-3.2-3B in bfloat16, batch 4, at most 768 tokens; allocated between steps, in decimal GB.
# RETAINED is what the loop keeps of the last outputs; taken from a fifth run (trainable tokens), not fitted here.
RETAINED = 353_500_000
PEFT_STEADY = (
    (Workload(regime="lora", lora_rank=32), 6.9276),
    (Workload(regime="lora", lora_rank=64), 7.0742),
    (Workload(regime="full"), 26.0684),
)


@pytest.mark.parametrize(("work", "measured"), PEFT_STEADY, ids=["lora-32", "lora-64", "full"])
def test_peft_benchmark_between_steps(work: Workload, measured: float) -> None:
    held = states(registry.get("meta-llama/Llama-3.2-3B"), work)
    estimated = held.weights + held.gradients + held.optimizer + RETAINED
    assert estimated / (measured * 1e9) == pytest.approx(1, abs=0.001)


@pytest.mark.parametrize(("regime", "reserved"), [("lora", 22.29), ("full", 38.87)], ids=["lora-32", "full"])
def test_peft_benchmark_peak(regime: str, reserved: float) -> None:
    # The longest batch, padded; the run reports memory reserved at most, above what was allocated.
    work = Workload(seq_len=768, batch=4, regime=regime, lora_rank=32, padded=True, use_cache=False)
    peak = estimate(registry.get("meta-llama/Llama-3.2-3B"), work).peak_allocated
    assert peak / (reserved * 1e9) == pytest.approx(1, abs=0.05)


def test_a_public_out_of_memory_message_is_the_logits_in_float32() -> None:
    # The reviewed repository's own: 48 sequences of 259 tokens, 128256 logits in float32.
    message = (
        "CUDA out of memory. Tried to allocate 5.94 GiB. GPU 0 has a total capacity of 79.19 GiB of which "
        "1.22 GiB is free. Including non-PyTorch memory, this process has 77.96 GiB memory in use. Of the "
        "allocated memory 74.02 GiB is allocated by PyTorch, and 3.27 GiB is reserved by PyTorch but unallocated."
    )
    said = parse_oom(message)
    assert said["tried"] == pytest.approx(48 * 259 * 128256 * 4, rel=0.001)
    assert said["total"] == round(79.19 * GIB)
    assert None not in said.values()


def test_the_message_of_older_torch_is_read_too() -> None:
    message = (
        "CUDA out of memory. Tried to allocate 512.00 MiB (GPU 0; 15.77 GiB total capacity; 14.01 GiB already "
        "allocated; 320.12 MiB free; 14.20 GiB reserved in total by PyTorch)"
    )
    said = parse_oom(message)
    assert (said["tried"], said["total"]) == (512 * 2**20, round(15.77 * GIB))
    assert (said["allocated"], said["free"]) == (round(14.01 * GIB), round(320.12 * 2**20))
    assert parse_oom("something else")["tried"] is None
