"""Quantisation by name: turns "nf4" into a config object of the installed package."""

from __future__ import annotations

import difflib
import importlib
import importlib.util
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from telepathy_runtime.errors import ArgumentError, MissingPackageError, QuantizationError, of_kind
from telepathy_runtime.machine.environment import need


@dataclass(frozen=True)
class Quantization:
    """A quantisation method: import name and distribution of its package, bits per weight, and its config object."""

    package: str
    distribution: str
    bits: int
    config: Callable[[Any], Any]  # compute dtype (a torch.dtype) -> object for quantization_config=


def _bits_and_bytes_4(kind: str) -> Callable[[Any], Any]:
    return lambda dtype: need("transformers").BitsAndBytesConfig(
        load_in_4bit=True, bnb_4bit_quant_type=kind, bnb_4bit_compute_dtype=dtype
    )


def _bits_and_bytes_8(dtype: Any) -> Any:
    return need("transformers").BitsAndBytesConfig(load_in_8bit=True)


def _torchao_8(dtype: Any) -> Any:
    config = need("transformers").TorchAoConfig
    kinds = importlib.import_module("torchao.quantization")
    try:
        return config(kinds.Int8WeightOnlyConfig())
    except (AttributeError, TypeError, ValueError):
        return config("int8_weight_only")  # the interface before transformers 4.49 and torchao 0.7


def _quanto(bits: str) -> Callable[[Any], Any]:
    return lambda dtype: need("transformers").QuantoConfig(weights=bits)


QUANTIZATIONS: Mapping[str, Quantization] = {
    "nf4": Quantization("bitsandbytes", "bitsandbytes", 4, _bits_and_bytes_4("nf4")),
    "fp4": Quantization("bitsandbytes", "bitsandbytes", 4, _bits_and_bytes_4("fp4")),
    "int8": Quantization("bitsandbytes", "bitsandbytes", 8, _bits_and_bytes_8),
    "torchao-int8": Quantization("torchao", "torchao", 8, _torchao_8),
    "quanto-int8": Quantization("optimum.quanto", "optimum-quanto", 8, _quanto("int8")),
    "quanto-int4": Quantization("optimum.quanto", "optimum-quanto", 4, _quanto("int4")),
}


def check(name: Any, keywords: Mapping[str, Any]) -> None:
    """Raise an error for an unknown name, for two quantisations at once, or if the package is missing."""
    asked = f"quantization={name!r}"
    if not isinstance(name, str) or name not in QUANTIZATIONS:
        near = difflib.get_close_matches(str(name), QUANTIZATIONS, n=1, cutoff=0.5)
        shown = f'"{near[0]}"' if near else " or ".join(f'"{known}"' for known in QUANTIZATIONS)
        raise of_kind(
            ArgumentError(asked, "it is not a valid value", f"pass {shown}, or quantization_config="),
            ValueError,
        )
    for other in ("quantization_config", "load_in_8bit", "load_in_4bit"):
        if keywords.get(other):
            raise ArgumentError(
                asked, f"{other} is given as well", f"pass only one of them; {other} is more specific"
            )
    found = QUANTIZATIONS[name]
    if not _installed(found.package):
        raise MissingPackageError(
            asked, f"{found.distribution} is not installed", f"pip install {found.distribution}"
        )


def _installed(package: str) -> bool:
    try:
        return importlib.util.find_spec(package) is not None
    except ModuleNotFoundError:  # the parent package is missing
        return False


def config(name: str, dtype: Any, shipped: Mapping[str, Any] | None) -> Any:
    """Return the object for quantization_config=.

    `dtype` is the compute dtype; `shipped` is the checkpoint's config, if known. Raises QuantizationError if the
    checkpoint is already quantised, MissingPackageError if transformers does not support the package's version.
    """
    own = (shipped or {}).get("quantization_config")
    if own:
        method = own.get("quant_method", "a method of its own") if isinstance(own, Mapping) else "its own"
        raise QuantizationError(
            f"quantization={name!r}",
            f"the checkpoint is already quantised ({method})",
            "omit it, or load the checkpoint that is not quantised",
        )
    found = QUANTIZATIONS[name]
    try:
        return found.config(dtype)
    except ImportError as error:
        raise MissingPackageError(
            f"quantization={name!r}", str(error), f"pip install -U {found.distribution} transformers"
        ) from error


def four_bit(name: str | None) -> bool:
    return name is not None and QUANTIZATIONS[name].bits == 4


def eight_bit(name: str | None) -> bool:
    return name is not None and QUANTIZATIONS[name].bits == 8
