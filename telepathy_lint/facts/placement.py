"""Decides whether another device map would make a difference in this file."""

from __future__ import annotations

import ast
import re

from telepathy_lint.facts.reach import reach_of
from telepathy_lint.flow.value import Value
from telepathy_lint.knowledge.load_arguments import SPREADING_MAPS
from telepathy_lint.rule import literal
from telepathy_lint.sites import Site
from telepathy_lint.source.occurs import LINE_START, occurs

#: Signs that the script may run in several processes, or is written for several GPUs.
_LAUNCHES = (
    r"(?i)torchrun|accelerator|accelerate launch|deepspeed|fsdp|mp\.spawn|local_rank|process_index|world_size|slurm"
    r"|torch\.distributed|Trainer\(|DataParallel"
)
_SEVERAL_GPUS = r"hf_device_map|max_memory|offload|cuda:[1-9]|device_count|notebook_launcher|DataParallel"
_RANKS = r"local_rank|LOCAL_RANK|process_index|LOCAL_PROCESS"
#: The device of the process, from accelerate or the training arguments of transformers.
_OWN_DEVICE = r"(?i)\b\w*(?:args|accelerator|state)(?:\(\))?\.device\b"
_FIRST = ("cuda", "cuda:0")
#: Code that starts processes from a notebook; otherwise its kernel is a single process.
_STARTS = r"(?i)notebook_launcher|mp\.spawn|init_process_group|DataParallel|local_rank"
_STARTING_LINE = rb"[!%][^\n\"]*(?:torchrun|accelerate launch|deepspeed|srun|mpirun|torch\.distributed)"
#: Code that uses a model, beside its load.
_USES = r"\.generate\(|Trainer\(|\(\*\*|\.device\b|backward\(|(?<!load_)[tT]okenizer\(|logits|hidden_states|\.eval\(\)|peft"
#: Code that saves results; in a launcher, all processes would write the same file.
_KEEPS_RESULTS = (
    r"json\.dump\(|pickle\.dump\(|torch\.save\(|np\.savez?\w*\(|savefig\(|csv\.(?:Dict)?[wW]riter\("
    r"|\.(?:to_(?:csv|json|parquet|excel|pickle)|write|writelines|writerows?|write_text|write_jsonl|save_to_disk)\("
)
#: Code that moves tensors to the device of the model.
_OF_THE_MODEL = r"\s*(?:next\()?(?:\w+\.)*\w*(?:model|llm|lm|net)\w*(?:\.parameters\(\)\))?\.device\b"
_FOLLOWS_THE_MODEL = rf"\.to\({_OF_THE_MODEL}|device\s*={_OF_THE_MODEL}"
_ONE_VISIBLE_GPU = r"""CUDA_VISIBLE_DEVICES["']\]\s*=\s*["']\d+["']"""
#: Code that places tensors, or sets the default, on a GPU by name.
_BY_HAND = r"""\.cuda\(\)|\.to\(\s*["']cuda(?::0)?["']|(?<!_map)(?<!_map )=\s*["']cuda(?::0)?["']|torch\.device\(["']cuda|set_default_device\("""


def is_placed_alike(site: Site) -> bool:
    """Whether another device map would make no difference in a single process.

    This holds for the CPU, and for "auto" or the first GPU if there is only one process: in a notebook, with
    one visible GPU, and in a script without a launcher that moves its tensors to the model's device or saves
    results.
    """
    argument = site.argument("device_map")
    if argument is None:
        return False
    if is_on_the_cpu(site):
        return True  # there, placement does not depend on free memory
    if all(map(_is_own_gpu, argument.values)):
        return True  # the loader would place each process of a launcher in the same way
    if not all(map(_is_one_place, argument.values)):
        return False
    if runs_as_one_process(site):
        return True
    if site.source.once(_means_several_gpus) or site.source.once(launches):
        return False
    return bool(site.source.once(_places_by_hand))


def runs_as_one_process(site: Site) -> bool:
    """Whether the file certainly runs in a single process that has its GPUs to itself."""
    source = site.source
    if source.once(_shows_one_gpu):
        return True
    if source.path.endswith(".ipynb") or source.once(_is_in_cells):
        return (
            bool(source.once(is_at_work))
            and not source.once(_starts_processes)
            and re.search(_STARTING_LINE, source.data) is None
        )
    if source.once(launches):
        return False
    reach = reach_of(site)
    if reach is not None and any(map(launches, reach.texts)):
        return False
    if source.once(_is_a_program_of_one):
        return True
    return reach is not None and all(map(_is_a_program_of_one, reach.users))


def is_spread(site: Site) -> bool:
    """Whether accelerate computes the map, so that the model may already be on several GPUs."""
    argument = site.argument("device_map")
    values = argument.values if argument is not None else ()
    return all(value.is_none or value.data in SPREADING_MAPS for value in values)


def cost_under_a_launcher(site: Site) -> str | None:
    """The effect of the map in each process of a launcher in the file; None if there is no launcher, or several maps."""
    argument = site.argument("device_map")
    if argument is None or len(argument.values) != 1 or not site.source.once(launches):
        return None
    value = argument.values[0]
    if value.kind == "const" and value.data in SPREADING_MAPS:
        if site.argument("max_memory") is not None:
            return None  # which may leave one GPU
        return "each process of a launcher would use every GPU"
    if value.kind == "const" and str(value.data).startswith("cuda:"):
        return f"all processes of a launcher would share GPU {str(value.data)[5:]}"
    if isinstance(value.node, ast.Dict) and len(value.node.values) == 1:
        place = value.node.values[0]
        if isinstance(place, ast.Constant) and type(place.value) is int:
            return f"all processes of a launcher would share GPU {place.value}"
    return None


def _shows_one_gpu(text: str) -> bool:
    return occurs(_ONE_VISIBLE_GPU, text)


def is_at_work(text: str) -> bool:
    """Whether a file does something with a model, beside loading it."""
    return re.search(_USES, text) is not None


def _is_in_cells(text: str) -> bool:
    """Whether a script has cells, which editors send to a kernel."""
    return "%%" in text and re.search(f"{LINE_START}# ?%%", text) is not None


def _starts_processes(text: str) -> bool:
    return occurs(_STARTS, text)


def _is_a_program_of_one(text: str) -> bool:
    return occurs(_FOLLOWS_THE_MODEL, text) or occurs(_KEEPS_RESULTS, text)


def _means_several_gpus(text: str) -> bool:
    return occurs(_SEVERAL_GPUS, text)


def _is_own_gpu(value: Value) -> bool:
    """Whether a map puts the whole model on the GPU of its process: `{"": local_rank}`."""
    node = value.node
    if not isinstance(node, ast.Dict) or len(node.keys) != 1 or len(node.values) != 1:
        return False
    given = ast.unparse(node.values[0])
    if re.search(_OWN_DEVICE, given):
        return True
    found = re.findall(r"[A-Za-z_]\w*", given)
    text = value.context.scope.tree.text
    return any(
        re.search(_RANKS, name)
        or (occurs(_RANKS, text) and re.search(rf"\b{re.escape(name)}\s*=[^=\r\n]*(?:{_RANKS})", text))
        for name in found
    )


def _is_one_place(value: Value) -> bool:
    """Whether a map is "auto", None, the first GPU or, where there is none, the CPU."""
    node = value.node
    if not isinstance(node, ast.Dict):
        return value.kind == "const" and value.data in ("auto", None, 0, "cpu", *_FIRST)
    if len(node.values) != 1:
        return False
    place = node.values[0]
    if isinstance(place, ast.Name):
        assigned = rf"\b{place.id}\s*=\s*(?:torch\.device\(\s*)?[\"']cuda(?::0)?[\"']"
        return re.search(assigned, value.context.scope.tree.text) is not None
    return isinstance(place, ast.Constant) and place.value in (0, *_FIRST)


def _places_by_hand(text: str) -> bool:
    return occurs(_BY_HAND, text)


def launches(text: str) -> bool:
    """Whether the file shows that several processes may run it."""
    return occurs(_LAUNCHES, text)


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
