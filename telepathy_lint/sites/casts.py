"""Finds `.half()`, `.float()` and `.to(dtype)` on models that the file certainly loads quantized."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from telepathy_lint.flow.arguments import Argument
from telepathy_lint.flow.file import File
from telepathy_lint.flow.objects import IS_ITSELF
from telepathy_lint.flow.value import Value
from telepathy_lint.knowledge.transformers_names import last
from telepathy_lint.sites.loads import loads, surely
from telepathy_lint.sites.site import Site

_SWITCHES = ("load_in_4bit", "load_in_8bit")
#: Arguments that quantize a model when it is loaded.
QUANTIZING = ("quantization_config", *_SWITCHES)


def find(file: File) -> Iterator[Site]:
    """Yield the casts; the argument that quantizes the model is available as `quantization_config`."""
    quantized = {site: by for site in file.fact(loads) if (by := _quantized_by(site)) is not None}
    if not quantized:
        return
    for node, method in file.uses.method_calls("half", "float", "to"):
        name = method.attr
        if name == "to" and not (node.args or node.keywords):
            continue
        context = file.tree.context_of(node)
        # A wrapper such as PEFT's may be cast, because its own weights are not quantized.
        about = surely(file, method.value, context, "model", policy=IS_ITSELF)
        if not about or not all(each in quantized for each in about):
            continue
        given, opaque = file.arguments.read(node, context, ("device", "dtype"))
        given["quantization_config"] = quantized[about[0]]
        yield Site(
            kind="cast",
            file=file,
            node=node,
            context=context,
            classes=(f"{about[0].class_name}.{name}",),
            arguments=given,
            opaque=opaque,
            model_id=about[0].model_id if len(about) == 1 else None,
            about=about,
        )


def _quantized_by(site: Site) -> Argument | None:
    """The argument that certainly quantizes a model."""
    if site.kind != "model":
        return None
    for name in QUANTIZING:
        argument = site.argument(name)
        if argument is None or argument.optional:
            continue
        quantizes = _is_on if name in _SWITCHES else _is_config
        if all(map(quantizes, argument.values)):
            return argument
    return None


def _is_on(value: Value) -> bool:
    return value.kind == "const" and value.data is True


def _is_config(value: Value) -> bool:
    """Whether the value is a quantization config that is created in the file and turned on."""
    node = value.node
    if value.kind != "call" or not isinstance(node, ast.Call):
        return False
    name = last(str(value.data))
    if name != "BitsAndBytesConfig":
        return name in ("GPTQConfig", "AwqConfig", "HqqConfig", "QuantoConfig", "TorchAoConfig")
    return any(
        keyword.arg in _SWITCHES and isinstance(keyword.value, ast.Constant) and keyword.value.value is True
        for keyword in node.keywords
    )
