"""Figures that others measured on real GPUs, held against the closed form."""

from __future__ import annotations

from typing import Any

import pytest

from telepathy_runtime.memory import Workload, estimate
from telepathy_runtime.memory.gpus import Gpu
from telepathy_runtime.memory.oom import parse_oom
from telepathy_runtime.memory.serving import serve
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


#: The peak of reserved memory of every run whose adapter is plain LoRA, and of full training, in decimal GB.
PEFT_PEAKS = (
    ("full", {"regime": "full"}, 38.869),
    (
        "rank 10, feed-forward",
        {"lora_rank": 10, "lora_targets": ("gate_proj", "up_proj", "down_proj")},
        24.698,
    ),
    (
        "rank 14, feed-forward, BD-LoRA",
        {"lora_rank": 14, "lora_targets": ("gate_proj", "up_proj", "down_proj")},
        24.686,
    ),
    ("rank 32, MiCA", {"lora_rank": 32}, 22.244),
    ("rank 32, LoRA-FA", {"lora_rank": 32}, 22.240),
    ("rank 32", {"lora_rank": 32}, 22.293),
    ("rank 64, rsLoRA", {"lora_rank": 64}, 22.561),
    ("rank 64", {"lora_rank": 64}, 22.553),
)


@pytest.mark.parametrize(("name", "how", "reserved"), PEFT_PEAKS, ids=[name for name, _, _ in PEFT_PEAKS])
def test_peft_benchmark_peak(name: str, how: dict[str, Any], reserved: float) -> None:
    # The longest batch, padded; the run reports memory reserved at most, above what was allocated.
    work = Workload(
        **{"seq_len": 768, "batch": 4, "regime": "lora", "padded": True, "use_cache": False, **how}
    )
    peak = estimate(registry.get("meta-llama/Llama-3.2-3B"), work).peak_allocated
    assert peak / (reserved * 1e9) == pytest.approx(1, abs=0.05)


#: llm-d-incubation/llm-d-planner, docs/empirical-vllm-memory-results.md: one or two H100 (79.18 GiB), vLLM 0.11, blocks of 128
#: tokens, utilization 0.9, at most 16,000 tokens. GiB of weights, of the forward, and of the cache; the last number is ours
#: over the measured cache. vLLM pads the experts of gpt-oss, which the checkpoint's size does not show.
VLLM = (
    ("meta-llama/Llama-3.1-8B", 1, 14.99, 4.76, 51.38, 1.000),
    ("Qwen/Qwen3-0.6B", 1, 1.12, 5.56, 64.45, 1.000),
    ("Qwen/Qwen3-32B", 1, 61.03, 5.64, 4.45, 0.997),
    ("Qwen/Qwen3-32B", 2, 30.59, 5.64, 34.49, 1.001),
    ("openai/gpt-oss-20b", 1, 13.47, 7.38, 50.28, 1.013),
    ("openai/gpt-oss-120b", 1, 64.38, 7.38, 3.33, 0.897),
)


@pytest.mark.parametrize(
    ("model_id", "ranks", "weights", "forward", "cache", "ratio"),
    VLLM,
    ids=[f"{row[0]}-{row[1]}" for row in VLLM],
)
def test_the_cache_of_a_server(
    model_id: str, ranks: int, weights: float, forward: float, cache: float, ratio: float
) -> None:
    card = Gpu("H100", int(79.18 * GIB))
    found = serve(registry.get(model_id), card, tensor_parallel=ranks, max_len=16000, block_size=128)
    padded = 0.06 if "gpt-oss" in model_id else 0.01
    assert found.weights / GIB == pytest.approx(weights, rel=padded)
    assert found.forward / GIB == pytest.approx(forward, rel=0.005)
    assert found.cache / GIB / cache == pytest.approx(ratio, abs=0.002)


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
