"""Explains failures of arguments: quantisation by name, adapters, and values that transformers refuses."""

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


#: What transformers says -> the error's class, and what to do.
_REFUSED: tuple[tuple[str, type[LoadError], str], ...] = (
    (
        "`?state_dict`? cannot be passed together with a model name",
        errors.ArgumentError,
        "pass None as the id, with config= and state_dict=",
    ),
    (
        "the value needs to be a device name",
        errors.DeviceMapError,
        'pass "resolve", "auto", a device such as "cuda:0", a dict of devices, or None',
    ),
    (
        "doesn't have any device set",
        errors.DeviceMapError,
        'give every part of the model a device; the key "" in the map stands for the rest',
    ),
    (
        "path should be string, bytes, os.PathLike or integer, not (?!NoneType)",
        errors.ArgumentError,
        "pass a hub id, a folder or a path",
    ),
    (
        "not a floating[- ]point dtype",
        errors.ArgumentError,
        'pass a floating-point dtype; for 8-bit integers pass quantization="int8"',
    ),
    (
        r"initialize torch\.distributed",
        errors.LauncherError,
        "start the script with torchrun, or leave tp_plan= out",
    ),
    (
        "state dictionary of the model you are trying to load is corrupted",
        errors.ModelClassError,
        "pass the model_class and config= that it was saved with",
    ),
)


def argument(failure: Failure) -> LoadError | None:
    """The error for an argument that transformers refuses, or that contradicts another."""
    for pattern, kind, remedy in _REFUSED:
        if failure.says(pattern):
            return kind(failure.asked, failure.first_line, remedy)
    twice = re.search(r"multiple values for (?:keyword )?argument '(\w+)'", failure.text)
    if twice is not None and twice[1] in failure.keywords:
        return errors.ArgumentError(
            failure.asked, f"transformers sets {twice[1]}= itself", f"leave {twice[1]} out"
        )
    given = failure.keywords.get("state_dict") is not None and not failure.model_id
    if given and failure.class_name.startswith("Auto") and failure.says("NoneType"):
        return errors.ArgumentError(
            failure.asked,
            "an Auto class finds the model class by the id, and there is none",
            "pass model_class= of the model itself, such as LlamaForCausalLM",
        )
    missing = failure.chain[0]
    if isinstance(missing, ModuleNotFoundError) and missing.name:
        return MissingPackageError(
            failure.asked, f"the module {missing.name} is not installed", "install the package that has it"
        )
    return None
