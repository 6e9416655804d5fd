"""Finds `.to(...)` and `.cuda()` on models that the file loads with a device map."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from telepathy_lint.flow.arguments import Argument, merged_values
from telepathy_lint.flow.file import File
from telepathy_lint.flow.value import Value
from telepathy_lint.sites.loads import loads, surely
from telepathy_lint.sites.site import Site

_MOVES = ("to", "cuda")


def find(file: File) -> Iterator[Site]:
    """Yield the moves of such models; the loads' maps are available as `device_map`."""
    models = (site for site in file.fact(loads) if site.kind == "model")
    mapped = {site: found for site in models if (found := _map_of(site)) is not None}
    if not mapped:
        return
    for node, method in file.uses.method_calls(*_MOVES):
        context = file.tree.context_of(node)
        about = surely(file, method.value, context, "model")
        if not about or not all(each in mapped for each in about):
            continue
        given, opaque = file.arguments.read(node, context, ("device", "dtype"))
        maps = [mapped[each] for each in about]
        values = merged_values(each.values for each in maps)
        optional = any(each.optional for each in maps)
        given["device_map"] = Argument("device_map", values, "wrapper", node, optional)
        first = about[0]
        yield first._replace(
            kind="move",
            node=node,
            context=context,
            classes=(f"{first.class_name}.{method.attr}",),
            arguments=given,
            opaque=opaque,
            generative=False,
            indirect=True,
        )


def _map_of(site: Site) -> Argument | None:
    """The device map of a load; for the companion loader, its own choice if the call has none."""
    given = site.arguments.get("device_map")
    spread = any(keyword.arg is None for keyword in site.call.keywords)
    if given is not None or not site.loader or spread:
        return given
    default = ast.Constant("resolve")
    return Argument("device_map", (Value("const", "resolve", default, site.context),), "wrapper", site.call)
