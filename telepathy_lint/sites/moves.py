"""Moves and casts, `.to(...)`, `.cuda()`, `.half()`, of models that the file loads with a device map or quantized."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from telepathy_lint.flow.file import File
from telepathy_lint.flow.objects import IS_ITSELF
from telepathy_lint.flow.value import Value
from telepathy_lint.sites.loads import loads, surely
from telepathy_lint.sites.site import Argument, Site, merged_values

_MOVES = ("to", "cuda")
#: What transformers refuses for every quantized model.
_CASTS = ("half", "float")


def find(file: File) -> Iterator[Site]:
    """Sites of the moves of what surely is one of these loads; each has the loads' maps as its `device_map`."""
    models = [site for site in file.fact(loads) if site.kind == "model"]
    mapped = {site: found for site in models if (found := _map_of(site)) is not None}
    quantized = {site for site in models if _is_quantized(site)}
    names = (*(_MOVES if mapped or quantized else ()), *(_CASTS if quantized else ()))
    if not names:
        return
    tree = file.tree
    for node in tree.visit(tree.lines_of(file.words.find(*(f".{name}(" for name in names), whole=False))):
        if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
            continue
        if node.func.attr not in names:
            continue
        context = tree.context_of(node)
        about = surely(file, node.func.value, context, "model")
        is_mapped = bool(about) and all(each in mapped for each in about)
        casts = bool(about) and all(each in quantized for each in about)
        casts = casts and surely(file, node.func.value, context, "model", policy=IS_ITSELF) == about
        if not is_mapped and not casts:
            continue
        given, opaque = file.arguments.read(node, context, ("device", "dtype"))
        if is_mapped:
            maps = [mapped[each] for each in about]
            values = merged_values(each.values for each in maps)
            optional = any(each.optional for each in maps)
            given["device_map"] = Argument("device_map", values, "wrapper", node, optional)
        first = about[0]
        yield first._replace(
            kind="move",
            call=node,
            context=context,
            classes=(f"{first.class_name}.{node.func.attr}",),
            arguments=given,
            opaque=opaque,
            generative=False,
            indirect=True,
            quantized=casts,
        )


def _is_quantized(site: Site) -> bool:
    """Whether the load surely gives a model that bitsandbytes has quantized."""
    for name in ("load_in_8bit", "load_in_4bit"):
        given = site.arguments.get(name)
        if given is not None and not given.optional and _is_true(given.values):
            return True
    config = site.arguments.get("quantization_config")
    return config is not None and not config.optional and all(map(_quantizes, config.values))


def _is_true(values: tuple[Value, ...]) -> bool:
    return all(value.kind == "const" and value.data is True for value in values)


def _quantizes(value: Value) -> bool:
    call = value.node
    return (
        isinstance(call, ast.Call)
        and str(value.data).rpartition(".")[2] == "BitsAndBytesConfig"
        and any(
            keyword.arg in ("load_in_8bit", "load_in_4bit")
            and isinstance(keyword.value, ast.Constant)
            and keyword.value.value is True
            for keyword in call.keywords
        )
    )


def _map_of(site: Site) -> Argument | None:
    """The device map that a load gets; the companion loader's own choice where its call gives none."""
    given = site.arguments.get("device_map")
    spread = any(keyword.arg is None for keyword in site.call.keywords)
    if given is not None or not site.loader or spread:
        return given
    default = ast.Constant("resolve")
    return Argument("device_map", (Value("const", "resolve", default, site.context),), "wrapper", site.call)
