from __future__ import annotations

import ast
from collections.abc import Iterator

from telepathy_lint.findings.change import Change, Repair
from telepathy_lint.findings.finding import Finding
from telepathy_lint.knowledge.transformers_names import last
from telepathy_lint.rule import Meta, Rule, line_name, shown
from telepathy_lint.settings import Settings
from telepathy_lint.sites import Argument, Site, Value

#: Maps that distribute a model over devices, and to CPU or disk if there is not enough memory; includes the
#: loader's.
_SPREADING = frozenset({"auto", "balanced", "balanced_low_0", "sequential", "resolve"})
_DTYPES = frozenset(
    f"torch.{name}" for name in ("float16", "half", "bfloat16", "float32", "float", "float64")
)
#: Words in conditions that take the device map into account.
_KNOWING = ("device_map", "load_in", "quant", "4bit", "8bit", "offload")


class MovedAfterDeviceMap(Rule):
    """A model that a device map has placed is moved, or a quantized model is cast.

    With `device_map="auto"` (or another map with several devices), accelerate decides where each part goes.
    If a part is offloaded to CPU or disk, the move raises `You can't move a model that has some modules
    offloaded`. If all parts are on GPUs, it gathers them on one GPU, which the map was meant to avoid. A map
    with a single device is not reported, because moving the model there changes nothing.

    The dtype of a quantized model cannot be changed: `.half()` and `.float()` raise an error, and so does
    `.to(dtype)` with bitsandbytes. Pass the compute dtype to `from_pretrained` instead.

    Unless strict, moves are only reported in scripts that are alone: in a project, one GPU usually holds the model, and the move
    changes nothing.

    Bad:

        from transformers import AutoModelForCausalLM

        model = AutoModelForCausalLM.from_pretrained("gpt2", device_map="auto")
        model.to("cuda")

    Good:

        from transformers import AutoModelForCausalLM

        model = AutoModelForCausalLM.from_pretrained("gpt2", device_map="auto")

    Fix safety: the fix removes the move if it is a statement of its own or a method call on the load. The
    parts then stay where the map has placed them, and a script that raised an error runs. Code that expects
    the whole model on one device may fail.
    """

    meta = Meta(
        code="TLP106",
        name="moved-after-device-map",
        message="the model cannot be moved or cast",
        since="0.1.0",
        kinds=("move", "cast"),
        only_bare=("move",),
        fix="unsafe",
    )

    def check(self, site: Site, settings: Settings) -> Iterator[Finding]:
        if site.kind == "cast":
            yield from self._cast(site)
            return
        argument = site.argument("device_map")
        if argument is None or argument.optional or not all(_spreads(value) for value in argument.values):
            return
        if not _to_an_accelerator(site) or _is_guarded(site):
            return
        assert isinstance(site.call.func, ast.Attribute)
        dot = site.source.end_of(site.call.func) - len(site.call.func.attr) - 1
        detail = f"device_map={shown(argument.values[0])} has placed it"
        yield site.at((dot, site.end), detail, fix=self.repair(site))

    def _cast(self, site: Site) -> Iterator[Finding]:
        assert isinstance(site.call.func, ast.Attribute)
        name, given = site.call.func.attr, site.argument("quantization_config")
        if given is None or _is_guarded(site) or (name == "to" and not _to_a_dtype(site, given)):
            return
        dot = site.source.end_of(site.call.func) - len(name) - 1
        line = line_name(site.about[0].source, site.about[0].call.lineno)
        detail = f"{line} loads it quantized, and .{name}({'dtype' if name == 'to' else ''}) raises an error"
        yield site.at((dot, site.end), detail, fix=self.repair(site))

    def repair(self, site: Site) -> Repair | None:
        assert isinstance(site.call.func, ast.Attribute)
        source, moved = site.source, site.call.func.value
        if len(site.call.args) + len(site.call.keywords) > 1:
            return None  # `.to("cuda", torch.bfloat16)` also casts
        if isinstance(moved, ast.Call):
            start, end = source.end_of(moved), site.end
        else:
            parents = site.context.scope.tree.parent
            stmt = parents.get(site.call)
            if not isinstance(stmt, ast.Expr) or not _has_company(stmt, parents.get(stmt)):
                return None
            start = source.line_starts[source.line_of(site.start) - 1]
            last = source.line_of(site.end)
            end = source.line_starts[last] if last < len(source.line_starts) else len(source.text)
            if source.text[start:end].strip() != site.text:
                return None
        if "#" in source.text[start:end]:
            return None
        stays = "in its quantized form" if site.kind == "cast" else "where the device map has put it"
        return Repair("unsafe", f"leave the model {stays}", Change(texts=((start, end, ""),)))


def _to_a_dtype(site: Site, given: Argument) -> bool:
    """Whether `.to(...)` passes a dtype to a model quantized with bitsandbytes; other methods allow it."""
    bits = given.name != "quantization_config" or any(
        last(str(value.data)) == "BitsAndBytesConfig" for value in given.values
    )
    asked = site.argument("dtype") or site.argument("device")
    return (
        bits
        and asked is not None
        and all(value.kind == "symbol" and value.data in _DTYPES for value in asked.values)
    )


def _has_company(stmt: ast.stmt, block: ast.AST | None) -> bool:
    """Whether the block contains other statements."""
    bodies = (getattr(block, name, None) for name in ("body", "orelse", "finalbody"))
    return any(isinstance(body, list) and stmt in body and len(body) > 1 for body in bodies)


def _spreads(value: Value) -> bool:
    if isinstance(value.node, ast.Dict):
        return len(value.node.keys) > 1
    return value.kind == "const" and value.data in _SPREADING


def _to_an_accelerator(site: Site) -> bool:
    """Whether the move is to a device other than the CPU; `.to(torch.float16)` is not a move."""
    assert isinstance(site.call.func, ast.Attribute)
    if site.call.func.attr == "cuda":
        return True
    argument = site.argument("device")
    if argument is None:
        return False
    others = [value for value in argument.values if value.data != "cpu"]
    return bool(others) and all(_is_accelerator(value) for value in others)


def _is_accelerator(value: Value) -> bool:
    if value.kind == "const":
        text = str(value.data)
        return isinstance(value.data, int) or text.partition(":")[0] in ("cuda", "mps", "xpu", "npu")
    if value.kind == "text":
        return "cuda" in ast.unparse(value.node)
    if isinstance(value.node, ast.Call) and value.data in ("torch.device", "device"):
        return bool(value.node.args) and "cuda" in ast.unparse(value.node.args[0])
    return False


def _is_guarded(site: Site) -> bool:
    """Whether the move is under a condition that considers the map, or the error of the cast may be caught."""
    parents = site.context.scope.tree.parent
    node: ast.AST | None = site.call
    while node is not None and not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
        if isinstance(node, (ast.If, ast.IfExp)) and any(word in ast.unparse(node.test) for word in _KNOWING):
            return True
        if isinstance(node, ast.Try) and site.kind == "cast":
            return True
        node = parents.get(node)
    return False
