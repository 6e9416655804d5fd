"""Steps of every family in every regime, counted operation by operation: each job equals its trace.

The name of a job says what was missing or too much. Layers are narrow and the vocabulary is small, so that it would be more than 0.5 % of
the peak; jobs that are drawn have any of the settings that a trace can run.
"""

from __future__ import annotations

import random
from typing import Any

import pytest

from benchmarks.memory_families import FAMILIES, Shape, config_of, error, spec_of
from telepathy_runtime.memory import Workload, estimate
from tests.runtime.memory.test_adapted_families import NAMES, QKVO
from tests.runtime.memory.test_drawn_jobs import Drawn
from tests.runtime.memory.test_families import MOE, has
from tests.sampling import first

pytest.importorskip("torch")
pytest.importorskip("peft")
transformers = pytest.importorskip("transformers")

from telepathy_runtime.memory.standard_step import attention_for  # noqa: E402

BARE = {"use_cache": False, "keep_outputs": False}
FROZEN = {"regime": "frozen_grad"}
FULL = {"regime": "full", "opt_impl": "fused"}
LORA = {"regime": "lora", "lora_rank": 4, "opt_impl": "fused"}

JOBS = {
    "hidden states beside positions": Drawn(
        "opt", (2, 576, 1216, 12, 12, 600), 3, 669, "sdpa", FROZEN | {"hidden_states": True}
    ),
    "hidden states beside positions, without gradients": Drawn(
        "opt", (3, 384, 576, 8, 8, 600), 2, 746, "sdpa", {"use_cache": False, "hidden_states": True}
    ),
    "the last hidden state is what the head keeps": Drawn(
        "opt", (3, 768, 1920, 12, 12, 600), 4, 724, "sdpa", FULL | {"use_cache": False, "hidden_states": True}
    ),
    "the caller holds the last hidden state until the end": Drawn(
        "mistral", (2, 640, 2048, 8, 1, 600), 1, 790, "sdpa", FULL | {"hidden_states": True}
    ),
    "the loss keeps the leaf of its graph while gradients accumulate": Drawn(
        "opt", (3, 576, 1664, 12, 12, 600), 2, 298, "sdpa", FROZEN | {"keep_outputs": False, "grad_accum": 2}
    ),
    "keys beside a dropout of the embeddings while gradients accumulate": Drawn(
        "starcoder2", (4, 320, 640, 4, 1, 600), 1, 334, "eager", FROZEN | {"keep_outputs": False, "grad_accum": 2}
    ),
    "the only layer's input is what the caller gave": Drawn(
        "qwen2_moe", (1, 512, 1728, 8, 8, 400), 4, 625, "sdpa", FROZEN | BARE
    ),
    "scores with a sink in the backward": Drawn(
        "gpt_oss", (1, 960, 576, 12, 1, 600), 1, 607, "eager", FROZEN | {"use_cache": False, "checkpointing": True}
    ),
    "what a layer computes again is gone before its gradients are cast": Drawn(
        "mixtral", (3, 576, 640, 12, 6, 600), 4, 217, "eager", LORA | BARE | {"checkpointing": True, "lora_targets": ("q_proj",)}
    ),
    "adapters beside experts": Drawn(
        "olmoe", (2, 640, 1216, 8, 1, 400), 3, 662, "eager", LORA | BARE | {"lora_targets": ("q_proj",)}
    ),
    "a step of all experts in the backward": Drawn(
        "mixtral", (1, 640, 2304, 8, 8, 3000), 1, 265, "sdpa", FULL | {"opt_impl": "foreach", "checkpointing": True, "opt_in_backward": True}
    ),
    "a tied head's gradient waits for the embedding's": Drawn(
        "gpt2", (5, 640, 2560, 8, 8, 1000), 1, 300, "sdpa", FULL | BARE | {"optimizer": "sgd", "opt_in_backward": True}
    ),
    "positions have their gradient first": Drawn(
        "opt", (2, 640, 1024, 8, 8, 600), 2, 217, "sdpa", FULL | BARE | {"checkpointing": True}
    ),
    "the backward of a rotation in float32": Drawn(
        "cohere", (3, 576, 320, 12, 6, 400), 4, 333, "sdpa", FULL | {"checkpointing": True}
    ),
    "keys of layers without rotation are in 16 bits": Drawn(
        "smollm3", (4, 320, 320, 4, 1, 600), 1, 490, "eager",
        LORA | {"keep_outputs": False, "grad_accum": 2, "mixed_precision": True, "lora_targets": ("down_proj",)},
    ),
    "copies of queries and keys are there when a mask becomes a bias": Drawn(
        "qwen2", (3, 192, 384, 4, 4, 600), 2, 690, "sdpa", {"use_cache": False, "padded": True, "mixed_precision": True}
    ),
    "keys of the last layer, which is not rotated, are not yet there": Drawn(
        "cohere2", (4, 512, 448, 8, 4, 600), 4, 223, "sdpa", {"new_tokens": 5}
    ),
    "the batch itself": Drawn("opt", (1, 192, 128, 4, 4, 600), 2, 641, "sdpa", {"use_cache": False, "logits": "last"}),
}  # fmt: skip


@pytest.mark.parametrize("name", JOBS)
def test_a_job_equals_its_trace(name: str) -> None:
    job = JOBS[name]
    has(job.family)
    config = config_of(job.family, Shape(*job.shape))
    attn = attention_for(config, job.attn)
    work = Workload(
        batch=job.batch, seq_len=job.length, attn=attn, transformers=transformers.__version__, **job.how
    )
    assert abs(error(config, work)) < 0.002


CAST = ("llama", "mistral", "qwen2", "qwen3", "granite", "gemma")
SETTINGS: tuple[dict[str, Any], ...] = (
    {}, {"checkpointing": True}, {"hidden_states": True}, {"padded": True}, {"grad_accum": 2}, {"checkpointing": True, "checkpoint_every": 2}
)  # fmt: skip


def drawn(number: int) -> tuple[str, Any, Workload]:
    """A family with its config, and a job; each family comes once in as many numbers as there are."""
    draw = random.Random(f"steps {number}")
    family, heads = sorted(FAMILIES)[number % len(FAMILIES)], draw.choice([4, 8, 12])
    hidden = heads * draw.choice([48, 64, 80])
    wide = 64 * max(int(hidden * draw.uniform(0.5, 4)) // 64, 1)
    few, vocab = draw.choice([heads, heads // 2, 1]), draw.choice([400, 600, 3000])
    config = config_of(family, Shape(draw.randint(1, 5), hidden, wide, heads, few, vocab))
    how: dict[str, Any] = {"use_cache": draw.random() < 0.4, "keep_outputs": draw.random() < 0.4}
    how["regime"] = draw.choice(["inference", "frozen_grad", "full", "full", "lora"])
    if how["regime"] == "inference":
        how |= draw.choice([{}, {"hidden_states": True}, {"padded": True}, {"logits": "last"}])
    else:
        how |= draw.choice(SETTINGS) | {"opt_impl": draw.choice(["fused", "foreach"])}
    if how["regime"] == "lora":
        names = QKVO if family in MOE else NAMES[family]
        how |= {"lora_targets": tuple(draw.sample(names, draw.randint(1, len(names)))), "opt_impl": "fused"}
    if how["regime"] == "full" and how.get("grad_accum", 1) == 1 and draw.random() < 0.2:
        how |= {"opt_in_backward": True}
    if how.get("checkpoint_every", 1) > 1:
        how |= {"use_cache": False} | ({"checkpoint_every": 1} if spec_of(config).sliding_layers else {})
    elif family in CAST and draw.random() < 0.3:
        how |= {"mixed_precision": True}
    work = Workload(
        batch=draw.randint(1, 4), seq_len=draw.randint(100, 800), attn=attention_for(config, draw.choice(["sdpa", "eager"])),
        transformers=transformers.__version__, **how,
    )  # fmt: skip
    return family, config, work


@pytest.mark.parametrize("number", first(28, 84, range(280)))
def test_drawn_jobs(number: int) -> None:
    family, config, work = drawn(number)
    has(family)
    assert abs(error(config, work)) < 0.005


@pytest.mark.parametrize("batch", [1, 8])
def test_the_loss_copies_the_labels(batch: int) -> None:
    config = config_of("opt", Shape(1, 64, 64, 4, 4, 200))
    work = Workload(batch=batch, seq_len=800, transformers=transformers.__version__, **FROZEN)
    assert estimate(spec_of(config), work).peak.name == "loss, forward"
    assert abs(error(config, work)) < 0.001


def test_every_instant_of_a_step_has_the_batch() -> None:
    """Eight bytes for each number of a token, of its mask and, in training, of its label."""
    spec = spec_of(config_of("llama", Shape(3, 256, 512, 4, 4, 600)))
    for work in (Workload(batch=2, seq_len=256), Workload(batch=2, seq_len=256, regime="full")):
        least = 8 * work.tokens * (2 + work.trains)
        assert all(each.activations >= least for each in estimate(spec, work).instants)
        assert min(each.activations for each in estimate(spec, work).instants) == least
