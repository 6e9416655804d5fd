"""Bytes of quantised weights, from each method's layout: packed values, scales, and weights that are not quantised.

Sources: the packing code of bitsandbytes, GPTQ and AWQ checkpoints, and the layouts that transformers documents for
block-wise fp8 and mxfp4. Any other method is an error that names it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from math import ceil, prod
from typing import Any, NamedTuple

from telepathy_runtime.models.spec import ConfigError, UnknownOptionError


class Matrix(NamedTuple):
    """A parameter: `kind` is "linear", "head" (the output head), "experts" (all experts of a layer) or "other"."""

    name: str
    shape: tuple[int, ...]
    kind: str


def weight_bytes(config: Mapping[str, Any], matrices: Sequence[Matrix], item_size: int) -> int:
    """Bytes of all weights; those that are not quantised take `item_size` bytes per element.

    Raises UnknownOptionError for a method that is not modelled, ConfigError for a setting of another kind.
    """
    name = str(
        config.get("quant_method")
        or ("bitsandbytes" if config.get("load_in_4bit") or config.get("load_in_8bit") else "")
    )
    method = _METHODS.get(name)
    if method is None:
        known = ", ".join(_METHODS)
        raise UnknownOptionError(f"quantisation {name!r} is not modelled; known: {known}")
    kept = _kept(config)
    return sum(
        method(config, m) if _packs(name, m) and not kept(m.name) else prod(m.shape) * item_size
        for m in matrices
    )


def _packs(method: str, matrix: Matrix) -> bool:
    if method == "mxfp4":
        return matrix.kind == "experts"
    return matrix.kind == "linear" or (matrix.kind == "experts" and method == "fp8")


def _kept(config: Mapping[str, Any]) -> Callable[[str], bool]:
    """Whether a parameter belongs to a module that the config leaves unquantised."""
    names = config.get("modules_to_not_convert") or config.get("llm_int8_skip_modules") or ()
    if not isinstance(names, (list, tuple)) or not all(isinstance(name, str) for name in names):
        raise ConfigError(
            f"quantization_config: modules_to_not_convert must be a list of names, not {names!r}"
        )
    patterns = [re.escape(name).replace(r"\*", ".*") for name in names]
    skip = re.compile(rf"(^|.*\.)({'|'.join(patterns)})(\..*|$)") if patterns else None
    return lambda name: skip is not None and skip.match(name) is not None


def _bitsandbytes(config: Mapping[str, Any], matrix: Matrix) -> int:
    size = prod(matrix.shape)
    if not config.get("load_in_4bit"):
        return size + 4 * matrix.shape[0]  # int8 values, and a float32 scale a row
    blocks = ceil(size / 64)
    scales = blocks + 4 * ceil(blocks / 256) + 4 if config.get("bnb_4bit_use_double_quant") else 4 * blocks
    tables = 4 * 16 + (4 * 256 if config.get("bnb_4bit_use_double_quant") else 0)
    return ceil(size / 2) + scales + tables


def _number(config: Mapping[str, Any], names: tuple[str, ...], default: int) -> int:
    for name in names:
        given = config.get(name)
        if given and (not isinstance(given, int) or isinstance(given, bool)):
            raise ConfigError(f"quantization_config: {name} must be an integer, not {given!r}")
        if given:
            return int(given)
    return default


def _packed(config: Mapping[str, Any], matrix: Matrix, indexed: bool) -> int:
    outputs, inputs = matrix.shape[-2:]
    bits = _number(config, ("bits", "w_bit"), 4)
    size = _number(config, ("group_size", "q_group_size"), 128)
    if bits < 1:
        raise ConfigError(f"quantization_config: bits must be a positive integer, not {bits}")
    groups = ceil(inputs / size) if size > 0 else 1
    values = inputs * outputs * bits // 8
    return values + groups * outputs * 2 + groups * outputs * bits // 8 + 4 * inputs * indexed


def _fp8(config: Mapping[str, Any], matrix: Matrix) -> int:
    block = config.get("weight_block_size")
    if not block:
        return prod(matrix.shape) + 4
    if (
        not isinstance(block, (list, tuple))
        or len(block) != 2
        or not all(isinstance(n, int) and n > 0 for n in block)
    ):
        raise ConfigError(
            f"quantization_config: weight_block_size must be two positive integers, not {block!r}"
        )
    tall, wide = int(block[0]), int(block[1])
    scales = ceil(matrix.shape[-2] / tall) * ceil(matrix.shape[-1] / wide)
    return prod(matrix.shape) + 4 * scales * prod(matrix.shape[:-2])


def _mxfp4(config: Mapping[str, Any], matrix: Matrix) -> int:
    return prod(matrix.shape) // 2 + prod(matrix.shape) // 32


_METHODS: dict[str, Callable[[Mapping[str, Any], Matrix], int]] = {
    "bitsandbytes": _bitsandbytes,
    "gptq": lambda config, matrix: _packed(config, matrix, indexed=True),
    "awq": lambda config, matrix: _packed(config, matrix, indexed=False),
    "fp8": _fp8,
    "mxfp4": _mxfp4,
}
