"""The matrices of a model's layers, which quantisation packs, and of which some optimizers keep rows and columns."""

from __future__ import annotations

from telepathy_runtime.models.quantized import Matrix, weight_bytes
from telepathy_runtime.models.spec import ModelSpec, UnknownOptionError

METHODS = {
    "nf4": {"load_in_4bit": True},
    "nf4_double": {"load_in_4bit": True, "bnb_4bit_use_double_quant": True},
    "int8": {"load_in_8bit": True},
}
"""How bitsandbytes stores weights that it quantises while loading."""


def layer_matrices(spec: ModelSpec) -> list[tuple[int, int]]:
    """(outputs, inputs) of each matrix in a decoder layer.

    Raises UnknownOptionError for a model of which only the total number of parameters is known.
    """
    if spec.counted or spec.encoder_layers or not spec.layers:
        raise UnknownOptionError(
            f"{spec.id}: the matrices of {spec.architecture} are not known one by one; give a checkpoint that is "
            "quantised, or the folder of its config.json with a quantization_config"
        )
    h, q, kv, wide = spec.hidden, spec.query_dim, spec.kv_dim, spec.intermediate
    return [(q, h), (kv, h), (kv, h), (h, q), *[(wide, h)] * (2 if spec.gated_mlp else 1), (h, wide)]


def quantized_bytes(spec: ModelSpec, how: str, item_size: int) -> int:
    """Bytes of the weights with quantised layer matrices; others take `item_size` bytes per element.

    As in transformers, embeddings, norms and the head are not quantised.
    """
    shapes = layer_matrices(spec)
    packed = weight_bytes(METHODS[how], [Matrix("", shape, "linear") for shape in shapes], item_size)
    plain = sum(outputs * inputs for outputs, inputs in shapes)
    return spec.layers * packed + (spec.params - spec.layers * plain) * item_size


def norm_params(spec: ModelSpec) -> int:
    """Parameters that are neither a layer's matrix, nor the embedding, nor the head: norms and biases."""
    inside = spec.layers * sum(outputs * inputs for outputs, inputs in layer_matrices(spec))
    return spec.params - inside - spec.embedding_params - spec.head_params


def layer_bytes(spec: ModelSpec, how: str, item_size: int) -> int:
    """Bytes of one layer in its stored form."""
    if how == "none":
        return spec.layer_params * item_size
    shapes = layer_matrices(spec)
    packed = weight_bytes(METHODS[how], [Matrix("", shape, "linear") for shape in shapes], item_size)
    return packed + (spec.layer_params - sum(outputs * inputs for outputs, inputs in shapes)) * item_size
