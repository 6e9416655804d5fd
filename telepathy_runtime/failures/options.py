"""Explains failures of quantisation by name and of adapters."""

from __future__ import annotations

import re

from telepathy_runtime import errors
from telepathy_runtime.errors import LoadError, MissingPackageError, QuantizationError
from telepathy_runtime.failures.failure import Failure


def quantisation(failure: Failure) -> LoadError | None:
    """The error for a quantised load that this machine does not support."""
    if failure.says("a gpu( or xpu)? is needed for .*quantization", "no gpu( or xpu)? found"):
        return QuantizationError(
            failure.asked,
            f"this quantisation needs a GPU, but there is none: {failure.first_line}",
            "omit the quantisation, or use one that runs here (quanto-int8)",
        )
    if failure.keywords.get("quantization_config") is not None and failure.says(
        "pip install", "requires the"
    ):
        return MissingPackageError(failure.asked, failure.first_line, "install it")
    return None


def adapter(failure: Failure) -> LoadError | None:
    """The error for an adapter that does not exist or does not fit the model."""
    if failure.says("can't find 'adapter_config.json'") and not failure.named("LocalEntryNotFoundError"):
        return errors.ModelMissingError(
            failure.asked, "there is no adapter_config.json", "correct the folder or id of the adapter"
        )
    if failure.says("target modules .* not found in the base model"):
        return errors.ModelClassError(
            failure.asked,
            f"the adapter changes modules that this model does not have: {failure.first_line}",
            "load it on the base model that its adapter_config.json names",
        )
    mismatch = re.search(
        r"size mismatch for (\S+): copying a param with shape (\S.*?) from checkpoint, the shape in current model is (.*?)\.?$",
        failure.text,
        re.MULTILINE,
    )
    if mismatch is not None and failure.says("peftmodel"):
        there, here = (re.sub(r"torch\.Size\((.*)\)", r"\1", text) for text in mismatch.groups()[1:])
        return errors.ModelClassError(
            failure.asked,
            f"{mismatch[1]} is {there} in the adapter and {here} in this model",
            "load it on the base model that its adapter_config.json names",
        )
    return None
