"""The tensors of a decoder's layers, one by one: optimizers keep rows and columns of them, and step them in this order."""

from __future__ import annotations

from telepathy_runtime.memory.families import FAMILIES, form
from telepathy_runtime.models.spec import ModelSpec

Shape = tuple[int, ...]
"""Of a parameter: the numbers of its dimensions. A vector is (), because it is small beside all others, or (n,) if it is not."""

_LLAMA = "q k v o gate up down . ."
_NORMED = "q k v o . . gate up down . ."
_BIASED = "q . k . v . o gate up down . ."
_GLM = "q . k . v . o gate_up down . ."
_TWO = "q . k . v . o . up . down . . ."
ORDERS = {
    **dict.fromkeys(
        ("llama", "mistral", "gemma", "gemma2", "smollm3", "granite", "cohere", "cohere2", "stablelm"), _LLAMA
    ),
    **dict.fromkeys(("qwen3", "gemma3_text", "olmo2", "olmo3"), _NORMED),
    **dict.fromkeys(("qwen2", "qwen2_5_vl", "qwen2_5_vl_text"), _BIASED),
    **dict.fromkeys(("glm", "glm4"), _GLM),
    **dict.fromkeys(("phi", "starcoder2"), _TWO),
    "phi3": "o qkv gate_up down . .",
    "gpt2": ". . qkv . o . . . up . down .",
    "gptj": ". . k v q o up . down .",
    "gpt_neox": ". . . . qkv . o . up . down .",
    "opt": "k . v . q . o . . . up . down . . .",
    "mixtral": "q k v o router gate_up down . .",
    "qwen3_moe": "q k v o . . gate_up down router . .",
    "qwen2_moe": "q . k . v . o router gate_up down shared_gate shared_up shared_down shared_router . .",
    "olmoe": "q k v o . . router gate_up down . .",
    "gpt_oss": ". q . k . v . o . router . gate_up gate_up_bias down down_bias . .",
}
"""The parameters of a layer in the order of transformers' modules; a dot is one vector or several."""


def matrices(spec: ModelSpec) -> dict[str, tuple[int, int]]:
    """(inputs, outputs) of each matrix of a layer. Experts have none of their own."""
    h, q, kv, wide = spec.hidden, spec.query_dim, spec.kv_dim, spec.intermediate
    how = FAMILIES.get(form(spec))  # without a closed form, the adapters are counted by Llama's names
    fused_qkv, fused_gate = (how.fused_qkv, how.fused_gate) if how is not None else (False, False)
    shapes = {"qkv": (h, q + 2 * kv)} if fused_qkv else {"q": (h, q), "k": (h, kv), "v": (h, kv)}
    shapes["o"] = (q, h)
    if spec.experts:
        return shapes
    if spec.gated_mlp:
        shapes |= {"gate_up": (h, 2 * wide)} if fused_gate else {"gate": (h, wide), "up": (h, wide)}
    else:
        shapes["up"] = (h, wide)
    return shapes | {"down": (wide, h)}


def layer_tensors(spec: ModelSpec) -> list[Shape]:
    """The shapes of a layer's parameters in order; none if they are not known."""
    order = ORDERS.get(form(spec))
    if order is None or ("router" in order) != bool(spec.experts):
        return []
    shapes: dict[str, Shape] = {name: (rows, columns) for name, (columns, rows) in matrices(spec).items()}
    if spec.experts:
        shapes |= _experts(spec)
    return [shapes.get(name, ()) for name in order.split()]


def _experts(spec: ModelSpec) -> dict[str, Shape]:
    """All experts' matrices are one tensor."""
    number, h, wide, shared = spec.experts, spec.hidden, spec.intermediate, spec.shared_width
    return {
        "router": (number, h),
        "gate_up": (number, 2 * wide, h),
        "gate_up_bias": (number, 2 * wide),
        "down": (number, h, wide),
        "down_bias": (number, h),
        "shared_gate": (shared, h),
        "shared_up": (shared, h),
        "shared_down": (h, shared),
        "shared_router": (1, h),
    }


def first_tables(spec: ModelSpec) -> list[Shape]:
    """The tables before the layers: of tokens, of positions, and OPT's projections between two widths."""
    width = spec.embed_dim or spec.hidden
    positions: list[Shape] = [(spec.learned_positions, spec.hidden)] if spec.learned_positions else []
    between: list[Shape] = [(width, spec.hidden)] * 2 if spec.embed_dim and not spec.counted else []
    return [(spec.vocab, width), *positions, *between]
