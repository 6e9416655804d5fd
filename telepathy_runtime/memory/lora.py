"""Adapters on the matrices of a layer: their sizes, and what PEFT keeps for their backward.

T = batch * seq_len tokens, e = bytes per element. A target's name stands for one or two sites of a layer; which sites there
are follows from the family.
"""

from __future__ import annotations

from typing import NamedTuple

from telepathy_runtime.memory.layers import (
    ACTIVATIONS,
    FAMILIES,
    attention_kept,
    autocast,
    dropout_kept,
    family,
    form,
    has_mask,
    mlp_kept,
    norm_kept,
)
from telepathy_runtime.memory.workload import SITES, Workload, sites_of
from telepathy_runtime.models.spec import ModelSpec, UnknownOptionError, element_size

_USUAL = ("q_proj", "v_proj")


class Target(NamedTuple):
    """A matrix with an adapter."""

    site: str
    inputs: int
    outputs: int


def targets(spec: ModelSpec, work: Workload) -> list[Target]:
    """The matrices of one layer that have adapters, each once.

    Raises UnknownOptionError for a name that this architecture does not have.
    """
    shapes = _shapes(spec)
    # PEFT's own default for one matrix of queries, keys and values is that matrix.
    names = ("qkv_proj",) if work.lora_targets == _USUAL and "qkv" in shapes else work.lora_targets
    found: dict[str, Target] = {}
    for name in names:
        there = [site for site in sites_of(name, spec.architecture) if site in shapes]
        if not there:
            known = ", ".join(each for each, its in SITES.items() if set(its) & set(shapes))
            raise UnknownOptionError(
                f"lora_targets {name}: {spec.architecture} has no such matrix in its layers; known: {known}"
            )
        found |= {site: Target(site, *shapes[site]) for site in there}
    return list(found.values())


def _shapes(spec: ModelSpec) -> dict[str, tuple[int, int]]:
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


FEED_FORWARD = frozenset({"gate", "up", "gate_up", "down"})
"""The sites of the feed-forward block."""


def adapters_kept(spec: ModelSpec, work: Workload, sites: frozenset[str] | None = None) -> int:
    """Bytes that the adapters of one layer keep: each target's input in the adapter's dtype, and the first product.

    With `sites`, only what those there, behind attention, do not share with others. Autocast converts the input to 16 bits for each target, and the two matrices. DoRA also keeps both of its products.
    """
    if work.regime != "lora":
        return 0
    e, adapter = element_size(work.dtype), element_size(work.lora_dtype)
    size = e if work.casts else adapter
    total = 0
    seen = {"o"} | (
        {"down"} if ACTIVATIONS.get(spec.activation, (1, False))[1] and not spec.gated_mlp else set()
    )
    for target in targets(spec, work):
        if sites is not None and target.site not in sites:
            continue
        total += size * work.tokens * work.lora_rank
        total += ((size + e) * work.tokens + 3 * adapter) * target.outputs * work.dora
        if work.casts and adapter != e:
            total += e * work.lora_rank * (target.inputs + target.outputs)
        source = _source(spec, target)
        if adapter != e or (work.casts and _read_in_float(spec, work, source)):
            total += size * work.tokens * target.inputs  # a copy for each target
        elif source not in seen and (
            sites is None or source != "attention"
        ):  # attention keeps its own output, and so do some activations
            total += e * work.tokens * target.inputs
            seen.add(source)
    return total


def _source(spec: ModelSpec, target: Target) -> str:
    """What a target reads: targets of one source share it."""
    if target.site in ("o", "down"):
        return target.site
    one = family(spec).before == 1 or target.site in ("q", "k", "v", "qkv")
    return "attention" if one else "mlp"


def _read_in_float(spec: ModelSpec, work: Workload, source: str) -> bool:
    """Whether autocast's norms leave the input in float32."""
    return source in ("attention", "mlp") and (work.mixed_precision or family(spec).norm == "layer")


def unsaved_first(spec: ModelSpec, work: Workload) -> int:
    """Bytes that the first layer does not keep, because its input needs no gradient: what comes before the adapters."""
    if work.regime != "lora" or "embed_tokens" in work.modules_to_save:
        return 0
    how, e = family(spec), element_size(work.dtype)
    there = {target.site for target in targets(spec, work)}
    read = there & {"q", "k", "v", "qkv"}
    total = norm_kept(spec, work) if how.before else 0
    if how.parallel and not there & {"gate", "up", "gate_up"}:
        total += mlp_kept(spec, work) * ("down" not in there) + dropout_kept(spec, work) // 2
        total += norm_kept(spec, work) * (how.before - 1) * (how.norm != "layer")
    if autocast(work):  # copies of the weights
        total += e * spec.hidden * (spec.query_dim + 2 * spec.kv_dim)
    if not read:
        return total + attention_kept(spec, work, has_mask(work))
    if "k" not in there and "qkv" not in there:
        if work.attn == "eager":
            total += (4 if how.float_scores else e) * work.tokens * spec.query_dim
        if how.head_norms:
            heads = spec.kv_heads if how.head_norms == "head" else 1
            total += 4 * work.tokens * (spec.kv_dim + heads)
    return total


def lora_params(spec: ModelSpec, work: Workload) -> int:
    """Parameters of the adapters on every layer; DoRA has a magnitude for each output."""
    return spec.layers * sum(
        work.lora_rank * (target.inputs + target.outputs) + work.dora * target.outputs
        for target in targets(spec, work)
    )


def adapters_work(spec: ModelSpec, work: Workload) -> int:
    """Bytes inside a layer's forward where adapters of the feed-forward block run, in addition to all that it keeps.

    An adapter has its output, and the scaled one, beside that of the base; DoRA has three of that size, or four of the
    weight's. Under autocast, the input is float32 for a moment. What the layer keeps later is not there yet. Checkpointing
    repeats this in the backward, up to the last tensor that is kept, beside the gradients that are there by then.
    """
    there = {each.site: each for each in targets(spec, work)} if work.regime == "lora" else {}
    if not there.keys() & FEED_FORWARD:
        return 0
    e, adapter, tokens = element_size(work.dtype), element_size(work.lora_dtype), work.tokens
    size, other, again = (e if work.casts else adapter), adapter != e, work.checkpointing
    down, most, later, rows = there.get("down"), 0, 0, 2 * e + (e if again else 2 * e)
    if down is not None:
        later = size * tokens * (down.inputs * (other or spec.gated_mlp) + work.lora_rank)
        later += (size + e) * tokens * down.outputs * work.dora
        most = tokens * down.inputs * other * (e + 4 * work.casts)
        if work.dora:
            most += (1 if again else 3) * adapter * tokens * down.outputs + _dora_weights(work, down)
            rows += (e + 2 * adapter * other) * again
        else:
            most += tokens * down.outputs * (e + 2 * size * (not again))
            rows += (size + e * (other and not work.casts)) * again
    for site in ("gate", "up", "gate_up"):
        if site not in there or (site == "gate" and "up" in there):
            continue
        each = there[site]
        if work.dora:
            weights = _dora_weights(work, each)
            while_normed = weights + 2 * adapter * each.inputs * each.outputs - size * tokens * each.outputs
            at_site = max(3 * adapter * tokens * each.outputs + weights, while_normed)
            at_site -= e * tokens * each.outputs  # its output
        else:
            at_site = 2 * size * tokens * each.outputs
        at_site += 4 * tokens * each.inputs * other * work.casts
        most = max(most, at_site - later)
    return most + rows * tokens * spec.hidden


def _dora_weights(work: Workload, target: Target) -> int:
    """What DoRA holds of a weight's size until its forward returns: an identity matrix, the adapter's product, the weight."""
    adapter, other = element_size(work.lora_dtype), work.lora_dtype != work.dtype
    size = element_size(work.dtype) if work.casts else adapter
    return size * target.inputs**2 + (1 + other) * adapter * target.inputs * target.outputs
