"""The closed form of activations: the bytes that one layer keeps for its backward pass.

T = batch * seq_len tokens, e = bytes per element, h hidden, i intermediate, q and kv the widths of all query
and all key heads, a heads. Derived from transformers' modelling code (RMSNorm computes in float32, SwiGLU
keeps gate, silu(gate) and up) and compared with meta-device traces. The formulas of Korthikanti et al. (arXiv
2205.05198) have the same form, but their constants are for another family of models.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from telepathy_runtime.memory.workload import GQA_IN_SDPA, Workload
from telepathy_runtime.models.spec import ModelSpec, NotModelledError, UnknownOptionError, element_size

ARCHITECTURES = ("llama", "mistral", "qwen2", "qwen3")
"""Architectures whose activations have a closed form; others can be traced."""


@dataclass(frozen=True)
class Block:
    """Bytes of one decoder layer."""

    saved: int  # kept from its forward to its backward
    unsaved_first: int  # what the first layer does not keep, because its input needs no gradient
    working: int  # maximum in addition to the saved tensors, inside its forward or backward
    infer: int  # maximum inside its forward without gradient, without the cache
    stored_input: int  # kept instead of `saved` with checkpointing
    mask: int  # the batch's attention mask, kept while layers run; with checkpointing, until their backward


def block(spec: ModelSpec, work: Workload) -> Block:
    """Return the bytes of one layer of `spec` under `work`.

    Raises NotModelledError if the model's activations have no closed form.
    """
    what = _unmodelled(spec, work)
    if what:
        raise NotModelledError(
            f"activations of {what} have no closed form; known: {', '.join(ARCHITECTURES)} below their sliding "
            "window, in 16 bits; `--traced` measures what transformers builds"
        )
    spec = divided(spec, work)
    e, tokens = element_size(work.dtype), work.tokens
    h, wide, q, kv = spec.hidden, spec.intermediate, spec.query_dim, spec.kv_dim
    full = work.regime == "full"
    norm = norm_saved(spec, work)
    norms = 2 * norm
    if spec.qk_norm:
        rows = spec.heads + spec.kv_heads
        norms += 4 * tokens * (q + kv) + 4 * tokens * rows + full * e * tokens * (q + kv)
    # Gate, its activation, and up; Liger's kernel recomputes the activation.
    mlp = (2 if work.kernels == "liger" else 3) * e * tokens * wide + full * e * tokens * wide
    lora = _lora(spec, work)
    return Block(
        saved=norms + _attention(spec, work) + mlp + lora,
        unsaved_first=norm if work.regime == "lora" else 0,
        # The gradients of product, gate, up, the residual stream and down_proj; by then, the product is
        # freed.
        working=e * tokens * ((2 if full else 3) * wide + h) + full * e * h * wide,
        infer=_infer(spec, work),
        stored_input=e * tokens * h,
        mask=work.batch * work.seq_len**2 * (1 if work.attn != "eager" else e) if has_mask(work) else 0,
    )


def _unmodelled(spec: ModelSpec, work: Workload) -> str:
    """The properties of a model or a job without a closed form; empty if there are none."""
    if work.dtype == "float32":
        return "float32 weights"
    if work.mixed_precision and work.shard != "fsdp":
        return "autocast over float32 weights"
    if spec.stored_bytes and work.regime == "full":
        return "quantised weights, which take no gradients,"
    if spec.head_rows >= 0:
        return f"{spec.architecture} with another head than a language model's"
    if spec.counted or spec.architecture not in ARCHITECTURES:
        return spec.architecture or "a model known by its headers alone"
    # Below the window every layer sees all tokens, as without a window.
    if spec.sliding_layers and work.seq_len + work.new_tokens >= spec.sliding_window:
        return f"{spec.architecture} at or beyond its sliding window of {spec.sliding_window} tokens"
    return ""


def norm_saved(spec: ModelSpec, work: Workload) -> int:
    """Bytes that one RMSNorm keeps: its input in float32, and what the gradient of its scale needs.

    A fused kernel keeps the input in its dtype, and one number per row; both keep the output if weights are
    trained.
    """
    e, row, full = element_size(work.dtype), work.tokens * spec.hidden, work.regime == "full"
    if work.kernels != "plain":
        return e * row + 4 * work.tokens + full * e * row
    return 4 * row + 4 * work.tokens + full * 2 * e * row


def norm_working(spec: ModelSpec, work: Workload) -> int:
    """Additional bytes inside an RMSNorm's backward: four float32 copies of its input, minus what is freed by then."""
    e, row, full = element_size(work.dtype), work.tokens * spec.hidden, work.regime == "full"
    return 2 * e * row if work.kernels != "plain" else 16 * row + 2 * e * row - full * 2 * e * row


def divided(spec: ModelSpec, work: Workload) -> ModelSpec:
    """The part of a model whose activations one rank of tensor parallelism computes: heads and widths are divided.

    Raises UnknownOptionError if they are not divisible.
    """
    if work.shard != "tp" or work.ranks == 1:
        return spec
    for name in ("heads", "kv_heads", "intermediate"):
        if getattr(spec, name) % work.ranks:
            raise UnknownOptionError(
                f"shard='tp': {getattr(spec, name)} {name} of {spec.id} over {work.ranks} ranks"
            )
    return replace(
        spec,
        heads=spec.heads // work.ranks,
        kv_heads=spec.kv_heads // work.ranks,
        intermediate=spec.intermediate // work.ranks,
    )


def has_mask(work: Workload) -> bool:
    """Whether transformers builds a 4-D mask: for a padded batch, and always for eager attention."""
    return work.padded or work.attn == "eager"


def repeats_keys(work: Workload) -> bool:
    """Whether keys and values are copied to every query head before attention."""
    return has_mask(work) or (work.attn == "sdpa" and work.version < GQA_IN_SDPA)


def _attention(spec: ModelSpec, work: Workload) -> int:
    e, tokens = element_size(work.dtype), work.tokens
    q, kv = spec.query_dim, spec.kv_dim
    repeated = repeats_keys(work) and kv != q
    keys = 2 * e * tokens * (q if repeated else kv)
    if repeated and work.use_cache and not work.checkpointing:
        keys += 2 * e * tokens * kv  # the cache holds the originals, attention the copies
    pairs = work.batch * spec.heads * work.seq_len**2
    if work.attn == "eager":
        # float32 softmax and the probabilities in the model's dtype; the output is saved only for o_proj.
        trained_out = work.regime == "full" or (work.regime == "lora" and "o_proj" in work.lora_targets)
        return pairs * (4 + e) + keys + e * tokens * q + trained_out * e * tokens * q
    mask = work.batch * work.seq_len * _up_to_8(work.seq_len) * e if work.padded else 0
    return keys + 2 * e * tokens * q + 4 * tokens * spec.heads + mask


def _lora(spec: ModelSpec, work: Workload) -> int:
    """PEFT keeps each target's input in the adapter's dtype, and the product of the first adapter matrix."""
    if work.regime != "lora":
        return 0
    e, adapter = element_size(work.dtype), element_size(work.lora_dtype)
    total = 0
    inputs_seen: set[str] = set()
    for target in work.lora_targets:
        width, _ = lora_shape(spec, target)
        total += adapter * work.tokens * work.lora_rank
        if adapter != e:
            total += adapter * work.tokens * width  # one cast copy per target
        elif target == "o_proj":
            pass  # attention already keeps its output
        else:
            source = {"gate_proj": "mlp", "up_proj": "mlp", "down_proj": "product"}.get(target, "attention")
            total += 0 if source in inputs_seen else e * work.tokens * width
            inputs_seen.add(source)
    return total


def lora_shape(spec: ModelSpec, target: str) -> tuple[int, int]:
    """(inputs, outputs) of a target's matrix."""
    h, wide = spec.hidden, spec.intermediate
    return {
        "q_proj": (h, spec.query_dim),
        "k_proj": (h, spec.kv_dim),
        "v_proj": (h, spec.kv_dim),
        "o_proj": (spec.query_dim, h),
        "gate_proj": (h, wide),
        "up_proj": (h, wide),
        "down_proj": (wide, h),
    }[target]


def lora_params(spec: ModelSpec, work: Workload) -> int:
    """Parameters of the adapters on every layer."""
    shapes = [lora_shape(spec, target) for target in work.lora_targets]
    return spec.layers * sum(work.lora_rank * (inputs + outputs) for inputs, outputs in shapes)


def _infer(spec: ModelSpec, work: Workload) -> int:
    e, tokens = element_size(work.dtype), work.tokens
    h, q, kv = spec.hidden, spec.query_dim, spec.kv_dim
    mlp = e * tokens * (3 * spec.intermediate + 4 * h)
    norm = tokens * (2 * e * h + 8 * h)
    attention = e * tokens * (2 * h + 2 * q + 2 * kv)
    if repeats_keys(work):
        attention += 2 * e * tokens * (q - kv)
    if work.attn == "eager":
        attention += work.batch * spec.heads * work.seq_len**2 * (8 + e)
    return max(mlp, norm, attention)


def _up_to_8(length: int) -> int:
    return -(-length // 8) * 8
