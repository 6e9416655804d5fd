"""Where a file places its models: whether another device map would change anything."""

from __future__ import annotations

import ast
import re

from telepathy_lint.flow.value import Value
from telepathy_lint.knowledge.load_arguments import SPREADING_MAPS
from telepathy_lint.rule import literal
from telepathy_lint.sites import Site

#: Signs that several processes may run the script, or that more than one GPU is meant.
_LAUNCHES = (
    r"(?i)torchrun|accelerator|accelerate launch|deepspeed|fsdp|mp\.spawn|local_rank|process_index|world_size|slurm"
    r"|torch\.distributed|Trainer\(|DataParallel"
)
_SEVERAL_GPUS = r"hf_device_map|max_memory|offload|cuda:[1-9]|device_count|notebook_launcher|DataParallel"
_RANKS = r"local_rank|LOCAL_RANK|process_index|LOCAL_PROCESS"
_FIRST = ("cuda", "cuda:0")
#: Tensors, or a default for them, on a GPU that the script names.
_BY_HAND = r"""\.cuda\(\)|\.to\(\s*["']cuda(?::0)?["']|(?<!_map)(?<!_map )=\s*["']cuda(?::0)?["']|torch\.device\(["']cuda|set_default_device\("""


def is_placed_alike(site: Site) -> bool:
    """Whether another map would change nothing in the one process that the file shows.

    Such are a plain CPU, and "auto" or the first GPU in a script without a launcher that also puts its tensors on that GPU
    by hand.
    """
    argument = site.argument("device_map")
    if argument is None or argument.optional:
        return False
    if is_on_the_cpu(site):
        return True  # where nothing has to find room
    if all(map(_is_own_gpu, argument.values)):
        return True  # as the loader places each process of a launcher
    if site.source.once(_means_several_gpus) or not all(map(_is_one_place, argument.values)):
        return False
    return not site.source.once(launches) and bool(site.source.once(_places_by_hand))


def is_spread(site: Site) -> bool:
    """Whether accelerate computes the map, so that the model lies on several GPUs as it is."""
    argument = site.argument("device_map")
    values = argument.values if argument is not None else ()
    return all(value.is_none or value.data in SPREADING_MAPS for value in values)


def cost_under_a_launcher(site: Site) -> str | None:
    """What the map does in each process of a launcher that the file shows; None where it shows none, or several maps."""
    argument = site.argument("device_map")
    if argument is None or len(argument.values) != 1 or not site.source.once(launches):
        return None
    value = argument.values[0]
    if value.kind == "const" and value.data in SPREADING_MAPS:
        return "each process of a launcher would use every GPU"
    if value.kind == "const" and str(value.data).startswith("cuda:"):
        return f"all processes of a launcher would share GPU {str(value.data)[5:]}"
    if isinstance(value.node, ast.Dict) and len(value.node.values) == 1:
        place = value.node.values[0]
        if isinstance(place, ast.Constant) and type(place.value) is int:
            return f"all processes of a launcher would share GPU {place.value}"
    return None


def _means_several_gpus(text: str) -> bool:
    return re.search(_SEVERAL_GPUS, text) is not None


def _is_own_gpu(value: Value) -> bool:
    """Whether a map puts all of the model on the GPU of its process: `{"": local_rank}`."""
    node = value.node
    if not isinstance(node, ast.Dict) or len(node.keys) != 1 or len(node.values) != 1:
        return False
    found = re.findall(r"[A-Za-z_]\w*", ast.unparse(node.values[0]))
    text = value.context.scope.tree.text
    return any(
        re.search(_RANKS, name) or re.search(rf"\b{re.escape(name)}\s*=[^=\n]*(?:{_RANKS})", text)
        for name in found
    )


def _is_one_place(value: Value) -> bool:
    """Whether a map is "auto", None or the first GPU."""
    if isinstance(value.node, ast.Dict):
        places = value.node.values
        return len(places) == 1 and isinstance(places[0], ast.Constant) and places[0].value in (0, *_FIRST)
    return value.kind == "const" and value.data in ("auto", None, 0, *_FIRST)


def _places_by_hand(text: str) -> bool:
    return re.search(_BY_HAND, text) is not None


def launches(text: str) -> bool:
    """Whether a file shows signs that several processes may run it."""
    return re.search(_LAUNCHES, text) is not None


def is_on_the_cpu(site: Site) -> bool:
    argument = site.argument("device_map")
    if argument is None and site.kind == "pipeline":
        argument = site.argument("device")
    if argument is None or argument.optional or len(argument.values) != 1:
        return False
    value = argument.values[0]
    if isinstance(value.node, ast.Dict):
        places = value.node.values
        return bool(places) and all(isinstance(each, ast.Constant) and each.value == "cpu" for each in places)
    return literal(argument) == "cpu"
