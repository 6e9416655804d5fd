"""Adapters on the layers of every family, counted operation by operation: each job equals its trace.

The name of a job says what was missing or too much. Layers are narrow and the vocabulary is small, so that it would be more than 0.3 % of
the peak; jobs that are drawn have any targets, with and without a cache, kept outputs and checkpointing.
"""

from __future__ import annotations

import random
from typing import Any

import pytest

from benchmarks.memory_families import Shape, config_of, error, spec_of
from telepathy_runtime.memory import Workload, estimate
from tests.runtime.memory.test_drawn_jobs import Drawn
from tests.runtime.memory.test_families import has
from tests.sampling import first

pytest.importorskip("torch")
pytest.importorskip("peft")
transformers = pytest.importorskip("transformers")

from telepathy_runtime.memory.standard_step import attention_for  # noqa: E402

BARE = {"use_cache": False, "keep_outputs": False}
QKVO = ("q_proj", "k_proj", "v_proj", "o_proj")
GATED = ("gate_proj", "up_proj", "down_proj")
JOINED = ("qkv_proj", "o_proj", "gate_up_proj", "down_proj")
NAMES = {
    **dict.fromkeys(
        (
            *("llama", "mistral", "qwen2", "qwen3", "gemma", "gemma2", "gemma3_text", "olmo2", "olmo3"),
            *("granite", "cohere", "cohere2", "smollm3", "stablelm"),
        ),
        (*QKVO, *GATED),
    ),
    "phi3": JOINED,
    **dict.fromkeys(("glm", "glm4"), (*QKVO, *JOINED[2:])),
    "gpt2": ("c_attn", "c_fc", "c_proj"),
    "gpt_neox": ("query_key_value", "dense", "dense_h_to_4h", "dense_4h_to_h"),
    "gptj": (*QKVO[:3], "out_proj", "fc_in", "fc_out"),
    "phi": (*QKVO[:3], "dense", "fc1", "fc2"),
    "opt": (*QKVO[:3], "out_proj", "fc1", "fc2"),
    "starcoder2": (*QKVO, "c_fc", "c_proj"),
}
"""The matrices of a layer of each family without experts."""

JOBS = {
    "the last step's cache and logits are there in the forward: GPT-J": Drawn(
        "gptj", (3, 320, 960, 4, 2, 600), 3, 479, "eager", {"lora_rank": 4, "lora_targets": ("q_proj", "k_proj", "v_proj", "out_proj")}
    ),
    "the last step's cache and logits are there in the forward: GPT-2": Drawn(
        "gpt2", (3, 640, 2496, 8, 4, 600), 2, 377, "eager", {"lora_rank": 4, "lora_targets": ("c_attn",), "lora_dtype": "bfloat16"}
    ),
    "the last step's cache and logits are there in the forward: Phi": Drawn(
        "phi", (3, 256, 384, 4, 4, 600), 2, 675, "eager", {"lora_rank": 4, "lora_dtype": "bfloat16"}
    ),
    "the last step's cache and logits are there in the forward: GPT-NeoX": Drawn(
        "gpt_neox", (3, 640, 1856, 8, 2, 600), 1, 462, "sdpa", {"lora_rank": 4, "lora_targets": ("query_key_value",)}
    ),
    "the last step's cache and logits are there in the forward of the last norm": Drawn(
        "llama", (3, 640, 1920, 8, 8, 600), 3, 663, "sdpa", {"lora_rank": 4}
    ),
    "the last layer's forward beside the last step's logits": Drawn(
        "llama", (1, 320, 1024, 4, 4, 600), 1, 259, "eager", {"use_cache": False, "lora_rank": 4, "lora_targets": GATED}
    ),
    "nothing before the adapters of a single layer takes a gradient: GPT-J": Drawn(
        "gptj", (1, 512, 1856, 8, 2, 600), 1, 555, "eager", {"use_cache": False, "lora_targets": ("fc_in", "fc_out"), "lora_dtype": "bfloat16"}
    ),
    "nothing before the adapters of a single layer takes a gradient: Phi": Drawn(
        "phi", (1, 384, 1472, 8, 2, 600), 2, 526, "sdpa", {**BARE, "lora_targets": ("q_proj", "k_proj", "v_proj", "dense")}
    ),
    "what only the cache holds goes with it": Drawn(
        "qwen3", (3, 512, 1408, 8, 4, 600), 3, 207, "eager", {"keep_outputs": False, "lora_rank": 4, "lora_targets": QKVO, "lora_dtype": "bfloat16"}
    ),
    "keys of the first layer are in the cache and its graph": Drawn(
        "gemma", (1, 640, 2176, 8, 8, 600), 2, 674, "sdpa", {"lora_rank": 4, "lora_targets": QKVO, "lora_dtype": "bfloat16"}
    ),
    "values stay in the cache where the softmax has its gradient": Drawn(
        "gemma", (1, 384, 576, 8, 8, 600), 3, 603, "eager", {"lora_rank": 4}
    ),
    "no cache beside checkpointed layers": Drawn(
        "gemma3_text", (3, 640, 1024, 8, 4, 600), 1, 413, "eager", {"checkpointing": True, "lora_targets": GATED, "lora_dtype": "bfloat16"}
    ),
    "attention holds the output of one matrix to its end": Drawn(
        "phi3", (1, 256, 448, 4, 4, 600), 2, 464, "eager", {"keep_outputs": False, "lora_rank": 4, "lora_targets": ("gate_up_proj", "down_proj"), "lora_dtype": "bfloat16"}
    ),
    "queries that were joined are in the order of the heads": Drawn(
        "phi3", (3, 640, 640, 8, 8, 600), 2, 610, "eager", {"lora_rank": 4, "lora_targets": ("qkv_proj",), "lora_dtype": "bfloat16"}
    ),
    "a softcap of the scores": Drawn(
        "gemma2", (3, 512, 832, 8, 2, 600), 3, 287, "eager", {**BARE, "lora_targets": GATED, "lora_dtype": "bfloat16"}
    ),
    "matrices without a norm before them keep the stream": Drawn(
        "olmo2", (3, 320, 448, 4, 1, 600), 3, 477, "sdpa", {**BARE, "lora_targets": QKVO, "lora_dtype": "bfloat16"}
    ),
    "a norm's code holds its unweighted output": Drawn(
        "olmo3", (1, 640, 2496, 8, 8, 600), 3, 249, "eager", {"keep_outputs": False, "lora_rank": 4, "lora_targets": GATED, "lora_dtype": "bfloat16"}
    ),
    "positions and embeddings are beside the layers": Drawn(
        "opt", (1, 320, 384, 4, 2, 600), 3, 359, "eager", {"use_cache": False, "lora_rank": 4, "lora_targets": ("fc1", "fc2")}
    ),
    "the leaf of the last step's graph has a gradient": Drawn(
        "opt", (1, 640, 640, 8, 8, 600), 3, 357, "sdpa", {"checkpointing": True, "lora_targets": ("fc1", "fc2"), "lora_dtype": "bfloat16"}
    ),
    "a checkpointed layer's input is stored once": Drawn(
        "gpt_neox", (3, 384, 1408, 8, 4, 600), 2, 430, "sdpa", {"checkpointing": True, "lora_targets": ("query_key_value",)}
    ),
    "layers keep sines and cosines of their own": Drawn(
        "glm", (1, 320, 768, 4, 4, 600), 1, 507, "sdpa", {"keep_outputs": False, "lora_targets": ("all-linear",), "lora_dtype": "bfloat16"}
    ),
    "adapters of a norm in one kernel": Drawn(
        "starcoder2", (3, 384, 704, 8, 8, 600), 1, 597, "sdpa", {"checkpointing": True, **BARE, "lora_rank": 4, "lora_targets": ("c_fc", "c_proj"), "lora_dtype": "bfloat16"}
    ),
    "parts of heads": Drawn(
        "stablelm", (1, 384, 1472, 8, 4, 600), 3, 167, "eager", {"checkpointing": True, **BARE, "lora_rank": 4, "lora_targets": ("all-linear",), "lora_dtype": "bfloat16"}
    ),
    "blocks side by side": Drawn(
        "cohere", (3, 320, 896, 4, 4, 600), 2, 587, "sdpa", {"checkpointing": True, **BARE, "lora_rank": 4, "lora_targets": GATED, "lora_dtype": "bfloat16"}
    ),
    "four norms around joined heads": Drawn(
        "glm4", (1, 640, 1920, 8, 4, 600), 2, 238, "sdpa", {**BARE, "lora_targets": ("gate_up_proj", "down_proj")}
    ),
    "hidden states beside the last layer": Drawn(
        "gpt_neox", (3, 512, 768, 8, 4, 400), 4, 161, "eager", {"hidden_states": True, "lora_targets": ("dense_h_to_4h",), "lora_dtype": "bfloat16"}
    ),
    "hidden states beside the last norm": Drawn(
        "mistral", (4, 640, 320, 8, 1, 600), 4, 750, "sdpa", {"hidden_states": True, "lora_targets": ("k_proj",), "lora_dtype": "bfloat16"}
    ),
    "the last hidden state is what the head reads": Drawn(
        "cohere2", (1, 384, 128, 8, 4, 400), 3, 607, "sdpa", {"hidden_states": True, "lora_rank": 4, "lora_targets": ("q_proj", "up_proj", "gate_proj", "o_proj", "v_proj"), "lora_dtype": "bfloat16"}
    ),
    "a trained head keeps what it reads": Drawn(
        "phi3", (1, 384, 576, 8, 8, 600), 4, 754, "sdpa", {"lora_targets": ("down_proj",), "lora_dtype": "bfloat16", "modules_to_save": ("lm_head",)}
    ),
    "what the trained head read is freed at the last norm": Drawn(
        "phi3", (1, 512, 1088, 8, 1, 600), 2, 333, "eager", {**BARE, "lora_rank": 4, "lora_targets": ("qkv_proj",), "modules_to_save": ("lm_head",)}
    ),
    "an adapter's first product is freed first": Drawn(
        "gpt_neox", (2, 512, 1344, 8, 8, 600), 1, 622, "sdpa", {"checkpointing": True, "grad_accum": 2, "use_cache": False, "lora_rank": 64, "lora_targets": ("query_key_value",)}
    ),
    "keys in 32 bits are in the cache alone": Drawn(
        "qwen2", (3, 640, 640, 8, 8, 400), 4, 168, "eager", {"mixed_precision": True, "keep_outputs": False, "lora_rank": 4, "lora_targets": ("gate_proj",)}
    ),
    "a single layer keeps no copies before its adapters": Drawn(
        "qwen3", (1, 512, 1856, 8, 1, 400), 1, 564, "sdpa", {"mixed_precision": True, "keep_outputs": False, "lora_targets": ("o_proj", "gate_proj")}
    ),
    "a block in the layer's own code holds nothing of its input": Drawn(
        "opt", (4, 384, 448, 8, 4, 400), 1, 573, "sdpa", {"checkpointing": True, "keep_outputs": False, "lora_rank": 4, "lora_targets": ("all-linear",)}
    ),
    "no rotation in the last layer": Drawn(
        "cohere2", (4, 768, 960, 12, 12, 600), 3, 412, "sdpa", {**BARE, "checkpointing": True, "lora_targets": ("o_proj",)}
    ),
    "queries and keys are in 32 bits before they are rotated": Drawn(
        "cohere2", (3, 320, 320, 4, 4, 600), 3, 700, "sdpa", {"checkpointing": True, **BARE, "lora_dtype": "bfloat16"}
    ),
    "sines and cosines go with the forward": Drawn(
        "gemma", (1, 192, 576, 4, 1, 600), 1, 257, "eager", {**BARE, "lora_targets": GATED, "lora_dtype": "bfloat16"}
    ),
}  # fmt: skip


def adapted(config: Any, batch: int, length: int, attn: str, **how: Any) -> Workload:
    """A job with adapters; its optimizer has no step counter for each matrix on the meta device."""
    return Workload(
        batch=batch, seq_len=length, attn=attention_for(config, attn), regime="lora", opt_impl="fused",
        transformers=transformers.__version__, **how,
    )  # fmt: skip


@pytest.mark.parametrize("name", JOBS)
def test_a_job_equals_its_trace(name: str) -> None:
    job = JOBS[name]
    has(job.family)
    config = config_of(job.family, Shape(*job.shape))
    work = adapted(config, job.batch, job.length, job.attn, **job.how)
    assert abs(error(config, work)) < 0.003


def drawn(number: int) -> tuple[str, Any, Workload]:
    """A family with its config, and a job; each family comes once in as many numbers as there are."""
    draw = random.Random(f"families {number}")
    family, heads = list(NAMES)[number % len(NAMES)], draw.choice([4, 8])
    hidden, names = heads * draw.choice([48, 64, 80]), NAMES[family]
    shape = Shape(
        layers=draw.randint(1, 4),
        hidden=hidden,
        intermediate=64 * max(int(hidden * draw.uniform(0.5, 4)) // 64, 1),
        heads=heads,
        kv_heads=draw.choice([heads, heads // 2, 1]),
        vocab=draw.choice([400, 600, 3000]),
    )
    config = config_of(family, shape)
    some = tuple(draw.sample(names, draw.randint(1, len(names))))
    how: dict[str, Any] = draw.choice(
        [{}, {"checkpointing": True}, {"grad_accum": 2}, {"hidden_states": True}, {"padded": True}]
    )
    work = adapted(
        config, draw.randint(1, 4), draw.randint(200, 800), draw.choice(["sdpa", "eager"]),
        lora_targets=draw.choice([some, some[:1], ("all-linear",)]), lora_rank=draw.choice([4, 16, 64]),
        lora_dtype=draw.choice(["float32", "bfloat16"]), use_cache=draw.random() < 0.6,
        keep_outputs=draw.random() < 0.5, **how,
    )  # fmt: skip
    return family, config, work


@pytest.mark.parametrize("number", first(23, 46, range(230)))
def test_drawn_jobs(number: int) -> None:
    family, config, work = drawn(number)
    has(family)
    assert abs(error(config, work)) < 0.005


@pytest.mark.parametrize("regime", ["full", "frozen_grad", "lora"])
@pytest.mark.parametrize("checkpointing", [False, True])
def test_a_dropout_of_gpt_neox_is_also_one_of_its_embeddings(regime: str, checkpointing: bool) -> None:
    has("gpt_neox")
    config = config_of("gpt_neox", Shape(1, 512, 1024, 8, 8, 600), hidden_dropout=0.1)
    work = Workload(
        batch=2, seq_len=400, regime=regime, checkpointing=checkpointing, lora_targets=("query_key_value",), opt_impl="fused",
        transformers=transformers.__version__, **BARE,
    )  # fmt: skip
    assert abs(error(config, work)) < 0.003


@pytest.mark.parametrize("checkpointing", [False, True])
def test_hidden_states_that_the_caller_keeps_stay_to_the_end_of_the_backward(checkpointing: bool) -> None:
    spec = spec_of(config_of("gpt_neox", Shape(3, 256, 512, 4, 4, 600)))
    work = Workload(
        batch=2, seq_len=256, regime="lora", lora_targets=("query_key_value",), use_cache=False, checkpointing=checkpointing
    )  # fmt: skip

    def at(hidden: bool, name: str) -> int:
        instants = estimate(spec, work.but(hidden_states=hidden)).instants
        return next(each.total for each in instants if each.name == name)

    # With checkpointing, the first is a leaf of the graph, or the stored input of the layer.
    for name in ("first layer, backward", "embedding, backward", "optimizer step"):
        assert at(True, name) - at(False, name) == (4 - checkpointing) * 2 * work.tokens * spec.hidden


@pytest.mark.parametrize(("targets", "shared"), [(QKVO, True), (GATED, False)])
def test_keys_that_attention_and_the_cache_both_hold_are_counted_once(
    targets: tuple[str, ...], shared: bool
) -> None:
    spec = spec_of(config_of("llama", Shape(3, 256, 512, 4, 4, 600)))
    work = Workload(batch=2, seq_len=256, regime="lora", lora_targets=targets)
    found = {each.name: each for each in estimate(spec, work).instants}
    # Without adapters before the feed-forward block, the first layer's attention keeps nothing.
    one = 2 * 2 * work.tokens * spec.kv_dim
    assert found["optimizer step"].kv_cache == 3 * one
    assert found["first layer, backward"].kv_cache == (3 - shared) * one
