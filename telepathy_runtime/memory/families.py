"""How the decoder layers of each model family differ: a table of facts.

Derived from transformers' modelling code and compared with meta-device traces (`benchmarks/memory_families.py`). An architecture without a
row here has no closed form.
"""

from __future__ import annotations

from typing import NamedTuple

from telepathy_runtime.models.architectures import VISION
from telepathy_runtime.models.spec import ModelSpec


class Family(NamedTuple):
    """How the layers of an architecture differ from Llama's."""

    norm: str = "rms"  # rms; rms32: the scale is applied in float32; layer: torch's kernel; cohere: LayerNorm in steps
    norm_held: bool = (
        False  # a norm's code holds its unweighted output to the end, and weights it with 16-bit numbers
    )
    before: int = 2  # norms whose output a matrix reads
    after: int = 0  # norms of a block's output, which is added to the stream
    parallel: bool = False  # attention and MLP read the layer's input, so all norms have one input
    head_norms: str = ""  # norms of queries and keys: "head" each head, "whole" all heads together
    fused_qkv: bool = False  # one matrix; values are a view of its whole output
    rotary: bool = True
    joined: bool = False  # rotated parts are joined to others; attention's output is then copied for o_proj
    tables: tuple[int, float] = (
        0,
        0.0,
    )  # sines and cosines that a layer makes, and for which share of a head
    float_scores: bool = False  # eager attention converts queries and keys to float32
    half_softmax: bool = False  # eager attention's softmax in the weights' dtype instead of float32
    sinks: bool = False  # eager attention joins a column to the scores, and subtracts the largest of each row
    sdpa: bool = True  # False: transformers runs it with eager attention instead
    sdpa_since: tuple[int, int] = (0, 0)  # the first transformers that has sdpa
    fused_gate: bool = False  # gate and up are one matrix
    inline: bool = False  # a layer's own code has the feed-forward block, and holds nothing else for it
    held: int = 0  # further tensors of the stream's size that a layer holds while its MLP runs; -1: one less
    rotates_in_float: bool = False  # rotated queries and keys are float32 before they are converted
    rotated: float = 1.0  # share of a head that is rotated, where the rest stays a view of the projection
    two_masks: bool = False  # a mask with a window is built even where no layer needs it
    tables_of_each: bool = False  # each sequence has its own positions
    two_tables: bool = False  # layers with a window are rotated by other frequencies
    experts: str = ""  # how an expert gates: "gated", or "clamped" as in gpt-oss
    float_routes: bool = False  # the experts' outputs are weighted in float32
    scales_embeddings: bool = False  # in the model, not in the embedding's own module
    holds_parts: bool = False  # attention's own code rotates parts of heads, and holds both parts
    inner_dropout: bool = False  # of a block's output: in the block's own code, not the layer's
    logit_steps: int = 0  # tensors of the logits' size that are computed from the head's output


FAMILIES = {
    "llama": Family(),
    "mistral": Family(),
    "qwen2": Family(),
    "qwen3": Family(head_norms="head"),
    "qwen2_5_vl": Family(tables_of_each=True),
    "qwen2_5_vl_text": Family(tables_of_each=True),
    "smollm3": Family(),
    "granite": Family(logit_steps=1, scales_embeddings=True),
    "olmo2": Family(
        "rms32", norm_held=True, held=-1, before=0, after=2, head_norms="whole", rotates_in_float=True
    ),
    "olmo3": Family(
        "rms32",
        norm_held=True,
        held=-1,
        before=0,
        after=2,
        head_norms="whole",
        rotates_in_float=True,
        two_masks=True,
        two_tables=True,
    ),
    "gemma": Family("rms32"),
    "gemma2": Family("rms32", after=2, sdpa=False, two_masks=True),
    "gemma3_text": Family("rms32", after=2, head_norms="head", two_masks=True, two_tables=True),
    "phi3": Family(fused_gate=True, fused_qkv=True, joined=True),
    "glm": Family(fused_gate=True, joined=True, tables=(2, 0.5)),
    "glm4": Family(fused_gate=True, after=2, joined=True, tables=(2, 0.5)),
    "cohere": Family("cohere", before=1, parallel=True, logit_steps=1, rotates_in_float=True),
    "cohere2": Family(
        "cohere", before=1, parallel=True, logit_steps=1, rotates_in_float=True, two_masks=True
    ),
    "starcoder2": Family("layer", inner_dropout=True),
    "stablelm": Family("layer", held=2, joined=True, rotated=0.25, holds_parts=True),
    "gpt2": Family(
        "layer",
        held=1,
        fused_qkv=True,
        rotary=False,
        half_softmax=True,
        inner_dropout=True,
    ),
    "gptj": Family(
        "layer",
        before=1,
        parallel=True,
        tables=(4, 0.25),
        float_scores=True,
        sdpa_since=(5, 24),
        holds_parts=True,
        inner_dropout=True,
    ),
    "gpt_neox": Family("layer", parallel=True, fused_qkv=True, joined=True, rotated=0.25),
    "phi": Family("layer", before=1, parallel=True, joined=True, rotated=0.5, holds_parts=True),
    "opt": Family("layer", rotary=False, inline=True),
    "mixtral": Family(experts="gated", float_routes=True),
    "qwen2_moe": Family(experts="gated", two_masks=True),
    "qwen3_moe": Family(head_norms="head", experts="gated"),
    "olmoe": Family(head_norms="whole", experts="gated"),
    "gpt_oss": Family(
        "rms32", norm_held=True, half_softmax=True, sinks=True, sdpa=False, experts="clamped", two_masks=True
    ),
}

#: Elements that an activation keeps for each element of its input, and whether its output is one of them. Those not here
#: are one kernel.
ACTIVATIONS = {"gelu_new": (4, False), "quick_gelu": (2, False), "relu": (1, True)}
ONE_KERNEL = frozenset(("gelu", "gelu_pytorch_tanh", "silu", "swish", "relu6", "leaky_relu", "hardswish"))
"""Activations that are one kernel, which keeps its input. Those in neither table were not compared with traces."""


def knows_activation(spec: ModelSpec) -> bool:
    """Whether the formulas of a decoder's feed-forward block hold for its activation."""
    return spec.activation in ONE_KERNEL | {
        "gelu_new",
        *(("quick_gelu", "relu2") if spec.gated_mlp else ("relu",)),
    }


def family(spec: ModelSpec) -> Family:
    """The facts of a model's architecture, or of its text part. Raises KeyError if it has no closed form."""
    return FAMILIES[form(spec)]


def projects_first(how: Family) -> bool:
    """Whether keys and values are projected before the norm of the queries' heads: in Gemma 3."""
    return how.head_norms == "head" and how.norm == "rms32"


def form(spec: ModelSpec) -> str:
    """The name under which a model's layers are in the table, if they are."""
    return spec.text if spec.text and spec.architecture in VISION else spec.architecture
