"""Jobs like those that random draws found to be counted wrong (`benchmarks/memory_sample.py`): each equals its trace.

The name of a job says what was missing or too much. Dimensions are such that it would be more than 0.5 % of the peak.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import pytest

from benchmarks.memory_families import Shape, config_of, error
from telepathy_runtime.memory import Workload
from tests.runtime.memory.test_families import has

pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

from telepathy_runtime.memory.standard_step import attention_for  # noqa: E402

CHECKPOINTED = {"checkpointing": True, "keep_outputs": False, "use_cache": False}
FULL = {"regime": "full", **CHECKPOINTED}
ADAPTERS = {"regime": "lora", "lora_dtype": "bfloat16", **CHECKPOINTED}
FROZEN = {"regime": "frozen_grad", "keep_outputs": False, "use_cache": False}
LORA = {"regime": "lora", "keep_outputs": False, "use_cache": False}


class Drawn(NamedTuple):
    """A job: a family, layers, hidden, intermediate, heads, key heads, vocabulary; batch, length, attention, the rest."""

    family: str
    shape: tuple[int, int, int, int, int, int]
    batch: int
    length: int
    attn: str
    how: dict[str, Any]


JOBS = {
    "a mask is kept until the first layer's backward": Drawn(
        "opt", (2, 768, 1536, 12, 12, 1701), 4, 955, "eager", FULL
    ),
    "of two masks, the first layer's": Drawn("gemma2", (2, 576, 1856, 12, 6, 1699), 5, 744, "eager", FULL),
    "a mask that no layer reads is not kept": Drawn(
        "gemma3_text", (2, 768, 768, 12, 12, 2434), 4, 1352, "eager", ADAPTERS
    ),
    "a mask is as wide as the stream": Drawn(
        "llama", (2, 512, 640, 8, 8, 1000), 2, 1100, "eager", {**FULL, "mixed_precision": True}
    ),
    "no second mask without layers for it": Drawn(
        "qwen2_moe", (2, 512, 704, 8, 4, 9711), 1, 1376, "eager", ADAPTERS
    ),
    "a narrow block ends in a dropout": Drawn(
        "gpt2", (2, 1280, 640, 16, 16, 1058), 3, 323, "sdpa", FROZEN | CHECKPOINTED
    ),
    "a block ends in the matrix before its dropout": Drawn(
        "starcoder2", (2, 1024, 1600, 16, 4, 1143), 1, 1126, "sdpa", ADAPTERS
    ),
    "the mask of the last dropout is freed first": Drawn(
        "starcoder2", (2, 1024, 3072, 16, 4, 1143), 1, 1126, "sdpa", ADAPTERS
    ),
    "a dropout on the embeddings has a mask": Drawn(
        "starcoder2", (4, 960, 1344, 12, 3, 1099), 5, 463, "eager", FULL
    ),
    "adapters keep the embeddings": Drawn("opt", (2, 640, 1112, 8, 8, 4478), 1, 1241, "sdpa", ADAPTERS),
    "scaled embeddings are another tensor": Drawn(
        "granite", (2, 640, 1112, 8, 8, 4478), 1, 1241, "sdpa", ADAPTERS
    ),
    "a norm in one kernel keeps the given embeddings": Drawn(
        "gpt_neox", (2, 1280, 768, 16, 16, 2095), 2, 1270, "sdpa", FROZEN
    ),
    "matrices that read the stream keep the stored input": Drawn(
        "olmo2", (2, 640, 1792, 8, 8, 1111), 4, 864, "eager", FULL
    ),
    "the norm of a block's output is done": Drawn("olmo2", (4, 576, 3840, 12, 12, 1543), 4, 106, "sdpa", LORA),
    "a norm inside a layer is beside the stream's gradient": Drawn(
        "olmo3", (4, 1024, 1792, 16, 4, 1403), 5, 450, "sdpa", ADAPTERS
    ),
    "no matrix keeps the output of a norm inside a layer": Drawn(
        "gemma2", (2, 960, 1664, 12, 12, 1541), 4, 369, "eager", FULL
    ),
    "sines and cosines are kept": Drawn("qwen3", (2, 384, 2240, 8, 2, 858), 1, 1314, "sdpa", LORA),
    "sines of all positions are a buffer": Drawn(
        "gptj", (2, 768, 1856, 12, 12, 1921), 4, 150, "sdpa", {"padded": True}
    ),
    "what reads no gradient keeps no float32 copy": Drawn(
        "gptj", (2, 960, 768, 12, 12, 1062), 3, 526, "eager", LORA
    ),
    "joined heads": Drawn("glm", (2, 768, 640, 16, 16, 2730), 4, 892, "sdpa", {"logits": "last"}),
    "gradients of all weights of the experts": Drawn(
        "qwen2_moe", (2, 1280, 704, 16, 8, 4761), 2, 302, "sdpa", FULL | {"checkpointing": False, "opt_impl": "fused"}
    ),
    "experts have no output yet where they clamp": Drawn(
        "gpt_oss", (2, 576, 2688, 12, 3, 2082), 2, 553, "eager", FROZEN
    ),
    "the output's gradient is there where they clamp again": Drawn(
        "gpt_oss", (2, 768, 1584, 12, 3, 1147), 4, 534, "eager", FULL
    ),
    "experts that train keep what they read": Drawn("olmoe", (2, 768, 2304, 16, 8, 3149), 3, 896, "eager", FULL),
    "scores with a sink are there three times": Drawn(
        "gpt_oss", (2, 960, 768, 12, 3, 1708), 2, 1371, "eager", {"padded": True}
    ),
    "a norm inside a layer with a narrow block": Drawn("mistral", (2, 1024, 896, 16, 4, 961), 4, 696, "sdpa", FULL),
    "gradients accumulate": Drawn(
        "mistral", (2, 768, 960, 12, 3, 1551), 4, 793, "eager", FULL | {"grad_accum": 2}
    ),
    "the gradient of a tied head waits for the embedding's": Drawn(
        "smollm3", (2, 960, 1176, 12, 12, 10114), 2, 874, "eager", FULL | {"grad_accum": 2}
    ),
    "copies of weights are freed in the backward": Drawn(
        "gemma", (2, 576, 2944, 12, 12, 1950), 4, 579, "eager", ADAPTERS | {"mixed_precision": True, "lora_dtype": "float32"}
    ),
    "what values were a view of is freed": Drawn(
        "gpt_neox", (2, 1024, 1504, 16, 16, 1024), 1, 824, "eager", FULL
    ),
    "adapters behind attention are done": Drawn(
        "qwen2", (2, 512, 1152, 8, 2, 1024), 1, 1176, "eager", LORA | CHECKPOINTED | {"lora_targets": ("all-linear",)}
    ),
    "the norm of the keys works beside little else": Drawn(
        "qwen3", (2, 768, 704, 12, 12, 1153), 4, 188, "sdpa", FULL | {"padded": True, "optimizer": "sgd"}
    ),
    "hidden states that the loop drops": Drawn(
        "phi3", (3, 576, 2560, 12, 3, 3026), 2, 432, "sdpa", FROZEN | CHECKPOINTED | {"hidden_states": True}
    ),
    "queries and keys are rotated again in float32": Drawn(
        "cohere", (2, 512, 768, 8, 8, 600), 4, 271, "sdpa", FROZEN | CHECKPOINTED
    ),
    "no rotation in the last layer": Drawn(
        "cohere2", (4, 768, 960, 12, 12, 600), 3, 412, "sdpa", FROZEN | CHECKPOINTED
    ),
    "the backward of a rotation in float32": Drawn("cohere2", (3, 384, 448, 8, 2, 600), 2, 427, "sdpa", FULL),
    "a norm in steps has no output any more": Drawn(
        "cohere", (4, 576, 640, 12, 6, 600), 3, 168, "eager", FULL | {"checkpointing": False}
    ),
    "the last matrix of parallel blocks reads beside both outputs": Drawn(
        "gpt_neox", (3, 1024, 1216, 16, 16, 600), 3, 199, "sdpa", FROZEN | CHECKPOINTED
    ),
    "the first norm works beside all gradients of its layer": Drawn(
        "granite", (2, 768, 1024, 16, 4, 600), 1, 103, "sdpa", FULL | {"opt_impl": "fused"}
    ),
    "the first norm, where the heads are wide": Drawn(
        "gemma", (2, 1024, 3392, 16, 8, 600), 1, 317, "sdpa", FULL | {"checkpointing": False, "opt_impl": "fused"}
    ),
    "tokens are there unsorted and sorted at the experts' last product": Drawn(
        "olmoe", (3, 768, 1280, 12, 6, 600), 4, 587, "sdpa", FROZEN | CHECKPOINTED
    ),
    "a block in the layer's own code holds nothing else": Drawn(
        "opt", (4, 1280, 1728, 16, 4, 600), 4, 861, "sdpa", FROZEN | CHECKPOINTED
    ),
    "the norms of queries and keys, where no other norm comes before a block": Drawn(
        "olmo2", (4, 512, 768, 8, 8, 600), 1, 111, "sdpa", FULL | {"opt_impl": "fused"}
    ),
    "one matrix of queries, keys and values has all gradients of its layer beside it": Drawn(
        "gpt_neox", (2, 384, 576, 8, 4, 600), 1, 152, "sdpa", FULL | {"checkpointing": False, "opt_impl": "fused"}
    ),
    "gradients of all weights of clamped experts": Drawn(
        "gpt_oss", (4, 960, 2368, 12, 3, 600), 2, 173, "eager", FULL | {"checkpointing": False, "opt_impl": "fused"}
    ),
    "clamped experts end beside the bias of each row": Drawn(
        "gpt_oss", (2, 1024, 1152, 16, 8, 600), 3, 400, "eager", FULL | {"checkpointing": False}
    ),
    "the embeddings are the only layer's input": Drawn(
        "gpt_oss", (1, 384, 768, 12, 12, 600), 4, 562, "eager", FROZEN
    ),
    "sines of all positions are there in the optimizer's step": Drawn(
        "gptj", (2, 384, 1408, 8, 1, 600), 3, 81, "eager", FULL | {"checkpointing": False}
    ),
    "queries and keys in float32 are copied for several sequences": Drawn(
        "gptj", (1, 384, 448, 12, 1, 5000), 3, 66, "eager", {"use_cache": False, "logits": "last"}
    ),
    "another share of each head is rotated": Drawn("gptj", (3, 128, 704, 4, 2, 600), 2, 321, "eager", {}),
    "an expert for all tokens has two gradients of the stream": Drawn(
        "qwen2_moe", (1, 320, 1024, 4, 1, 600), 1, 579, "eager", FROZEN | CHECKPOINTED
    ),
    "the gradient of outputs that are weighted in float32": Drawn(
        "mixtral", (4, 256, 576, 8, 1, 600), 2, 273, "sdpa", FROZEN | CHECKPOINTED
    ),
    "no other embeddings beside the only layer's input": Drawn(
        "olmo3", (1, 384, 1088, 12, 1, 600), 2, 629, "sdpa", {"logits": "last"}
    ),
    "one key head is a view, of which nothing is held": Drawn(
        "mixtral", (2, 256, 576, 8, 1, 600), 3, 600, "eager", {"logits": "last"}
    ),
    "with a mask, attention's output is not copied for its matrix": Drawn(
        "gpt_neox", (5, 384, 1408, 12, 6, 5000), 2, 666, "sdpa", FULL | {"checkpointing": False, "padded": True}
    ),
    "a mask is gone before attention's last matrix": Drawn(
        "gpt_neox", (3, 576, 576, 12, 12, 600), 3, 522, "sdpa", {"logits": "last", "use_cache": False, "padded": True}
    ),
    "the cache holds keys in float32 beside their copies": Drawn(
        "llama", (3, 384, 1088, 8, 8, 600), 2, 229, "sdpa", {"regime": "frozen_grad", "mixed_precision": True}
    ),
    "keys that were repeated go with the outputs": Drawn(
        "mistral", (5, 576, 3136, 12, 6, 600), 3, 196, "eager", {"regime": "full", "keep_outputs": False}
    ),
    "experts are weighted in float32": Drawn("mixtral", (2, 1280, 1344, 16, 16, 5313), 2, 472, "sdpa", {}),
}  # fmt: skip


LATER = (
    "a norm in steps has no output any more",
    "the first norm, where the heads are wide",
    "the norms of queries and keys, where no other norm comes before a block",
    "gradients of all weights of clamped experts",
)
"""Jobs that are left to the exhaustive tests, for time."""


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.exhaustive) if name in LATER else name for name in JOBS]
)
def test_a_drawn_job_equals_its_trace(name: str) -> None:
    drawn = JOBS[name]
    has(drawn.family)
    if drawn.how.get("regime") == "lora":
        pytest.importorskip("peft")
    config = config_of(drawn.family, Shape(*drawn.shape))
    work = Workload(
        batch=drawn.batch,
        seq_len=drawn.length,
        attn=attention_for(config, drawn.attn),
        transformers=transformers.__version__,
        **drawn.how,
    )
    assert abs(error(config, work)) < 0.003
