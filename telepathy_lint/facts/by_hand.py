"""Finds code that places tensors or accesses weights explicitly, which a different device map may break."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterator

from telepathy_lint.flow.bindings import dotted
from telepathy_lint.flow.tree import Tree
from telepathy_lint.flow.value import Value
from telepathy_lint.sites import Argument, Site
from telepathy_lint.source.occurs import LINE_END, occurs, places

#: This attribute only exists on a model that a device map has placed; on a CPU the resolver returns no map.
READS_THE_MAP = "hf_device_map"
#: GPU numbers in code.
_GPU_NUMBER = r"""cuda:(\d+)|device_map\s*=\s*(?:\{\s*["']{2}\s*:\s*)?(\d+)|\.cuda\(\s*(\d+)\s*\)"""
#: Signs of a launcher that does not set the device itself, unlike a Trainer or an Accelerator.
_RANKS = r"(?i)local_?rank|\brank\b|torchrun|init_process_group|world_size|process_index|slurm_|mp\.spawn|deepspeed"
_SETS_THE_DEVICE = r"set_device\(|\bAccelerator\(|\bPartialState\(|TrainingArguments\("
#: The number of a process, and devices that follow from it.
_NUMBER = r"(?i:rank\b|process_index|localid\b)"
_DEVICE_OF_THE_PROCESS = r"(?i:current_device\(|(?:args|accelerator|state)(?:\(\))?\.device\b)"
#: Code that may place tensors, or access weights.
_PUTS = r"\.cuda\(|\.to\(|\bdevice\s*="
_REACHES = r"\.weight\b|\.bias\b"
#: Code that computes with the tensors of two state dicts, each of which may lie on another GPU.
_STATES = r"\.state_dict\("
_COMPUTES_WITH_STATES = r"\[\w+\]\s*(?:\.(?:add|sub|mul|lerp)_?\(|[-+*/]=?\s*\w)|\b(?:torch\.)?lerp\("
#: Modules of a model that may lie on any GPU.
_INNER = r"lm_head|embed_out|get_output_embeddings|\blayers?\b|\bblocks?\b|\.h\["


def map_is_read(site: Site) -> int | None:
    """The line that reads the map of the model."""
    at = site.source.once(_read_of_the_map)
    return None if at is None else site.source.line_of(at)


def second_gpu(site: Site) -> int | None:
    """The line with a second GPU number."""
    at = site.source.once(_second_gpu)
    return None if at is None else site.source.line_of(at)


def weights_reached(site: Site) -> int | None:
    """The line that accesses a weight of a module. A call moves its arguments to the module's GPU, but this does not."""
    return site.source.remember("weights reached", lambda: _reach(site))


def own_device(site: Site) -> int | None:
    """The line that places tensors on a device that the script chooses, if the model may be on a different one.

    That is possible if a launcher starts several processes, or if the script uses the CPU because the
    machine's GPU is none of those that it checks for. A script that computes the GPU of its process reads the
    variables of one launcher. The loader reads those of the launcher that is there (SLURM does not set
    LOCAL_RANK), and leaves the model on the CPU for FSDP.
    """
    argument = site.argument("device_map")
    if argument is not None and any(_is_of_the_process(value, site) for value in argument.values):
        return site.source.remember("device of the process", lambda: _put(site, _is_own_or_of_the_process))
    rest = site.source.once(_has_ranks)
    if not rest and not _may_stay_on_the_cpu(argument):
        return None
    by_number_only = not _may_stay_on_the_cpu(argument) and bool(site.source.once(_device_is_set))
    if by_number_only:
        return site.source.remember("numbered device", lambda: _put(site, _is_numbered))
    return device_named(site)


def device_named(site: Site) -> int | None:
    """The line that places tensors on a device that the script chooses."""
    return site.source.remember("own device", lambda: _put(site, _is_own))


def _is_of_the_process(value: Value, site: Site) -> bool:
    """Whether a map is a GPU that the script computes for each process."""
    node = value.node
    places = node.values if isinstance(node, ast.Dict) else [node] if isinstance(node, ast.JoinedStr) else []
    if not places:
        return False
    text = value.context.scope.tree.text
    pattern = _NUMBER
    if site.source.once(_has_ranks) or site.source.once(_device_is_set):
        pattern += f"|{_DEVICE_OF_THE_PROCESS}"
    for place in map(ast.unparse, places):
        names = "|".join(re.findall(r"[A-Za-z_]\w*", place))
        if re.search(pattern, place) or (
            names and re.search(rf"\b(?:{names})\s*=[^=\n][^\n]*(?:{pattern})", text)
        ):
            return True
    return False


def _may_stay_on_the_cpu(argument: Argument | None) -> bool:
    """Whether one of several values keeps the model on the CPU."""
    values = argument.values if argument is not None else ()
    return len(values) > 1 and any(_is_cpu(value) for value in values)


def _is_cpu(value: Value) -> bool:
    if isinstance(value.node, ast.Dict):
        return any(isinstance(each, ast.Constant) and each.value == "cpu" for each in value.node.values)
    return value.is_none or value.data == "cpu"


def _read_of_the_map(text: str) -> int | None:
    at = text.find(READS_THE_MAP)
    return at if at >= 0 else None


def _second_gpu(text: str) -> int | None:
    first = None
    for match in re.finditer(_GPU_NUMBER, text):
        number = match[1] or match[2] or match[3]
        if first is not None and number != first:
            return match.start()
        first = number
    return None


def _has_ranks(text: str) -> bool:
    return occurs(_RANKS, text)


def _device_is_set(text: str) -> bool:
    return occurs(_SETS_THE_DEVICE, text)


def _reach(site: Site) -> int | None:
    tree = site.context.scope.tree
    for node in _nodes(tree, _REACHES):
        # The first GPU has the input embeddings, whatever spreads the rest.
        if not isinstance(node, ast.Attribute) or node.attr not in ("weight", "bias"):
            continue
        if re.search(_INNER, ast.unparse(node.value)):
            return node.lineno
    read = [node.lineno for node in _nodes(tree, _STATES) if _is_state(node) and isinstance(node, ast.Call)]
    return read[0] if len(read) > 1 and occurs(_COMPUTES_WITH_STATES, tree.text) else None


def _is_state(node: ast.AST) -> bool:
    return (
        isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "state_dict"
    )


def _put(site: Site, is_own: Callable[[ast.expr, Tree], bool]) -> int | None:
    tree = site.context.scope.tree
    for node in _nodes(tree, _PUTS):
        if not isinstance(node, ast.Call):
            continue
        device = _device_of(node)
        if device is not None and is_own(device, tree):
            return node.lineno
    return None


def _nodes(tree: Tree, pattern: str) -> Iterator[ast.AST]:
    yield from tree.visit(tree.lines_of(places(pattern, tree.text)))


def _device_of(call: ast.Call) -> ast.expr | None:
    """The device on which a call places something; `.cuda()` alone is "cuda"."""
    name = call.func.attr if isinstance(call.func, ast.Attribute) else dotted(call.func) or ""
    given = next((each.value for each in call.keywords if each.arg == "device"), None)
    if name in ("pipeline", "from_pretrained", "load_model") or _moves_what_it_loads(call):
        return None
    if name == "cuda" and isinstance(call.func, ast.Attribute):
        return call.args[0] if call.args else given or ast.Constant("cuda")
    if name == "to" and call.args:
        return call.args[0]
    return given


def _moves_what_it_loads(call: ast.Call) -> bool:
    """Whether the call moves a model in the expression that loads it: `from_pretrained(...).eval().cuda()`."""
    node: ast.AST = call.func
    while isinstance(node, (ast.Attribute, ast.Call)):
        if isinstance(node, ast.Attribute) and node.attr == "from_pretrained":
            return True
        node = node.value if isinstance(node, ast.Attribute) else node.func
    return isinstance(node, ast.Name) and node.id.endswith("load_model")


def _is_numbered(device: ast.expr, tree: Tree) -> bool:
    """Whether the script chooses the device, where "cuda" is the one that was set for the process."""
    if isinstance(device, ast.Constant) and isinstance(device.value, str):
        return re.fullmatch(r"cuda:\d+", device.value) is not None
    return _is_own(device, tree)


def _is_own(device: ast.expr, tree: Tree) -> bool:
    """Whether the script chooses the device, rather than the model, an accelerator or another tensor."""
    if isinstance(device, ast.Constant):
        if isinstance(device.value, str):
            return re.fullmatch(r"cpu|cuda(?::\d+)?|mps|xpu(?::\d+)?", device.value) is not None
        return type(device.value) is int
    if isinstance(device, ast.JoinedStr):
        return True
    name = device.id if isinstance(device, ast.Name) else dotted(device) or ""
    if not name or "device" not in name.lower():
        return isinstance(device, ast.Name) and "rank" in name.lower()
    return any(not re.search(r"\.device\b(?!\()", each) for each in _origins(name, tree))


def _is_own_or_of_the_process(device: ast.expr, tree: Tree) -> bool:
    """Whether the device is the script's own choice or that of its process, rather than the model's."""
    text = ast.unparse(device)
    return _is_own(device, tree) or any(
        re.search(_DEVICE_OF_THE_PROCESS, each) for each in (text, *_origins(text, tree))
    )


def _origins(name: str, tree: Tree) -> Iterator[str]:
    """What lines assign to a name, as text; the name is found first, because trying each line takes ten times as long."""
    rest = re.compile(rf"[ \t]*(?::[^=\r\n]*)?=(?!=)[ \t]*([^\r\n]*[^,\s])[ \t]*{LINE_END}")
    text = tree.text
    at = text.find(name)
    while at >= 0:
        line = max(text.rfind("\n", 0, at), text.rfind("\r", 0, at)) + 1
        if not text[line:at].strip(" \t") and (match := rest.match(text, at + len(name))) is not None:
            yield match[1]
        at = text.find(name, at + 1)
