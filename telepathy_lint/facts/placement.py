"""Where a file places its models: whether another device map would change anything."""

from __future__ import annotations

import ast
import re

from telepathy_lint.facts.reach import reach_of
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
#: What accelerate and the training arguments of transformers give each process.
_OWN_DEVICE = r"(?i)\b\w*(?:args|accelerator|state)(?:\(\))?\.device\b"
_FIRST = ("cuda", "cuda:0")
#: What starts processes from a notebook; its kernel is one process, whatever trains in it.
_STARTS = r"(?i)notebook_launcher|mp\.spawn|init_process_group|DataParallel|local_rank"
_STARTING_LINE = rb"[!%][^\n\"]*(?:torchrun|accelerate launch|deepspeed|srun|mpirun|torch\.distributed)"
#: A model at work, beside its load.
_USES = (
    r"\.generate\(|Trainer\(|\(\*\*|\.device\b|backward\(|[tT]okenizer\(|logits|hidden_states|\.eval\(\)|peft"
)
#: Results that are kept: the processes of a launcher would all write the same file.
_KEEPS_RESULTS = (
    r"json\.dump\(|pickle\.dump\(|torch\.save\(|np\.savez?\w*\(|savefig\(|csv\.(?:Dict)?[wW]riter\("
    r"|\.(?:to_(?:csv|json|parquet|excel|pickle)|write|writelines|writerows?|write_text|write_jsonl|save_to_disk)\("
)
#: Tensors that go to where the map put the model.
_FOLLOWS_THE_MODEL = r"(?:\.to\(|device\s*=)\s*(?:next\()?(?:\w+\.)*\w*(?:model|llm|lm|net)\w*(?:\.parameters\(\)\))?\.device\b"
_ONE_VISIBLE_GPU = r"""CUDA_VISIBLE_DEVICES["']\]\s*=\s*["']\d+["']"""
#: Tensors, or a default for them, on a GPU that the script names.
_BY_HAND = r"""\.cuda\(\)|\.to\(\s*["']cuda(?::0)?["']|(?<!_map)(?<!_map )=\s*["']cuda(?::0)?["']|torch\.device\(["']cuda|set_default_device\("""


def is_placed_alike(site: Site) -> bool:
    """Whether another map would change nothing in the one process that the file shows.

    Such are a plain CPU, and "auto" or the first GPU where one process is all that runs: in a notebook, with one visible
    GPU, and in a script without a launcher that puts its tensors where the model is or keeps what it computes.
    """
    argument = site.argument("device_map")
    if argument is None:
        return False
    if is_on_the_cpu(site):
        return True  # where nothing has to find room
    if all(map(_is_own_gpu, argument.values)):
        return True  # as the loader places each process of a launcher
    if not all(map(_is_one_place, argument.values)):
        return False
    if runs_as_one_process(site):
        return True
    if site.source.once(_means_several_gpus) or site.source.once(_launches):
        return False
    return bool(site.source.once(_places_by_hand))


def runs_as_one_process(site: Site) -> bool:
    """Whether the file surely is, or is a part of, one process that has its GPUs to itself."""
    source = site.source
    if source.once(_shows_one_gpu):
        return True
    if source.path.endswith(".ipynb") or source.once(_is_in_cells):
        return (
            bool(source.once(is_at_work))
            and not source.once(_starts_processes)
            and re.search(_STARTING_LINE, source.data) is None
        )
    if source.once(_launches):
        return False
    reach = reach_of(site)
    if reach is not None and any(map(_launches, reach.texts)):
        return False
    if source.once(_is_a_program_of_one):
        return True
    return reach is not None and all(map(_is_a_program_of_one, reach.users))


def cost_under_a_launcher(site: Site) -> str | None:
    """What the map does in each process of a launcher that the file shows; None where it shows none, or several maps."""
    argument = site.argument("device_map")
    if argument is None or len(argument.values) != 1 or not site.source.once(_launches):
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


def _shows_one_gpu(text: str) -> bool:
    return re.search(_ONE_VISIBLE_GPU, text) is not None


def is_at_work(text: str) -> bool:
    """Whether a file does something with a model, beside loading it."""
    return re.search(_USES, text) is not None


def _is_in_cells(text: str) -> bool:
    """Whether a script is in cells, as editors send them to a kernel."""
    return re.search(r"(?m)^# ?%%", text) is not None


def _starts_processes(text: str) -> bool:
    return re.search(_STARTS, text) is not None


def _is_a_program_of_one(text: str) -> bool:
    return re.search(_FOLLOWS_THE_MODEL, text) is not None or re.search(_KEEPS_RESULTS, text) is not None


def _means_several_gpus(text: str) -> bool:
    return re.search(_SEVERAL_GPUS, text) is not None


def _is_own_gpu(value: Value) -> bool:
    """Whether a map puts all of the model on the GPU of its process: `{"": local_rank}`."""
    node = value.node
    if not isinstance(node, ast.Dict) or len(node.keys) != 1 or len(node.values) != 1:
        return False
    given = ast.unparse(node.values[0])
    if re.search(_OWN_DEVICE, given):
        return True
    found = re.findall(r"[A-Za-z_]\w*", given)
    text = value.context.scope.tree.text
    return any(
        re.search(_RANKS, name) or re.search(rf"\b{re.escape(name)}\s*=[^=\n]*(?:{_RANKS})", text)
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
    return re.search(_BY_HAND, text) is not None


def _launches(text: str) -> bool:
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
