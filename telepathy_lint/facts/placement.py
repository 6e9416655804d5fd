"""Decides whether another device map would make a difference in this file."""

from __future__ import annotations

import ast
import os
import re
from collections.abc import Iterator

from telepathy_lint.facts.launched import started_by
from telepathy_lint.facts.out_of_use import is_alone, is_bare
from telepathy_lint.facts.reach import reach_of
from telepathy_lint.flow.evaluate import Evaluator
from telepathy_lint.flow.value import Value
from telepathy_lint.knowledge.load_arguments import SPREADING_MAPS
from telepathy_lint.rule import literal
from telepathy_lint.sites import Argument, Site
from telepathy_lint.source.occurs import LINE_START, occurs

#: Signs that the script may run in several processes, or is written for several GPUs.
_LAUNCHES = (
    r"(?i)torchrun|accelerator|accelerate launch|deepspeed|fsdp|mp\.spawn|local_rank|process_index|world_size|slurm"
    r"|torch\.distributed|DataParallel"
)
#: Trainers run in as many processes as a launcher starts.
_TRAINER = r"Trainer\("
_SEVERAL_GPUS = r"hf_device_map|max_memory|offload|cuda:[1-9]|device_count|notebook_launcher|DataParallel"
_RANKS = r"local_rank|LOCAL_RANK|process_index|LOCAL_PROCESS"
#: Code that ends the processes of a launcher whose rank is not 0.
_ENDS_OTHER_RANKS = (
    r"rank\w*(?:\(\))?\s*(?:!=|>)\s*0\s*:\s*(?:#[^\n\r]*\s+){0,3}(?:sys\.|os\._)?(?:exit|quit)\("
)
#: The device of the process, from accelerate or the training arguments of transformers.
_OWN_DEVICE = r"(?i)\b\w*(?:args|accelerator|state)(?:\(\))?\.device\b|\bcurrent_device\(\)"
_FIRST = ("cuda", "cuda:0")
#: What the command line, or the caller's configuration, gives.
_OPTIONS = r"(?:\w+\.)*\w*(?:args|opts?|options|cfg|conf|config|settings|params|FLAGS)"
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
#: The device of a process of a launcher, which the loader finds as well.
_OF_A_RANK = r"(?i)rank|accelerator|state|process_index|training_arg\w*\.device\b"
_ONE_VISIBLE_GPU = r"""CUDA_VISIBLE_DEVICES["']\]\s*=\s*["']\d+["']"""
#: Code that places tensors, or sets the default, on a GPU by name.
_BY_HAND = r"""\.cuda\(\)|\.to\(\s*["']cuda(?::0)?["']|(?<!_map)(?<!_map )=\s*["']cuda(?::0)?["']|torch\.device\(["']cuda|set_default_device\("""


def is_in_danger(site: Site) -> bool:
    """Whether the project starts several processes of the file, or nothing is known of a project."""
    return started_by(site) is not None or is_bare(site) or is_alone(site)


def is_decided_by_the_file(site: Site) -> bool:
    """Whether another device map would make no difference in any number of processes, or the caller has a say in it.

    This holds for the CPU, for a map whose GPU or use the caller chooses, and for "auto" within `max_memory`. It asks
    nothing of the project.
    """
    argument = site.argument("device_map")
    if argument is None:
        return False
    if is_on_the_cpu(site):
        return True  # there, placement does not depend on free memory
    if not is_bare(site) and all(value.kind == "const" and value.data == "cuda" for value in argument.values):
        return True  # the GPU that is current, which code for several processes sets
    if any(map(_is_of_the_caller, argument.values)):
        return True
    if site.source.once(_ends_all_but_one):
        return True
    if any(value.is_none for value in argument.values) and site.source.once(launches):
        return True  # the script leaves the map out in some runs, such as those under a launcher
    if is_spread(site) and site.argument("max_memory") is not None:
        return True  # the script says what each GPU may hold
    # The loader would place each process of a launcher in the same way.
    return any(map(_is_own_gpu, argument.values)) and all(
        _is_one_place(value) or _is_own_gpu(value) for value in argument.values
    )


def is_placed_alike(site: Site) -> bool:
    """Whether another device map would make no difference to a file that several processes do not run.

    This holds for "auto" or the first GPU if there is only one process: in a notebook, with one visible GPU, in a
    script without a launcher that moves its tensors to the model's device or saves results, and where the project
    shows that it is started as one process. There, a layout that the script makes itself is its own decision as well.
    """
    argument = site.argument("device_map")
    if argument is None:
        return False
    if not all(map(_is_one_place, argument.values)):
        from telepathy_lint.facts.by_hand import second_gpu

        return (_is_laid_out(argument) or second_gpu(site) is not None) and _is_started_alone(site)
    if runs_as_one_process(site) or _is_started_alone(site):
        return True
    if site.source.once(_means_several_gpus) or site.source.once(launches):
        return False
    return bool(site.source.once(_places_by_hand))


def _ends_all_but_one(text: str) -> bool:
    """Whether the file ends each process whose rank is not 0."""
    return ("exit(" in text or "quit(" in text) and occurs(_ENDS_OTHER_RANKS, text)


def runs_as_one_process(site: Site) -> bool:
    """Whether the file certainly runs in a single process that has its GPUs to itself."""
    source = site.source
    if source.once(_shows_one_gpu):
        return True
    if source.path.endswith(".ipynb") or source.once(_is_in_cells):
        return bool(source.once(is_at_work)) and _starts_no_processes(site)
    if source.once(launches):
        return False
    reach = reach_of(site)
    if reach is not None and any(map(launches, reach.texts)):
        return False
    if source.once(_is_a_program_of_one):
        return True
    return reach is not None and all(map(_is_a_program_of_one, reach.users))


def _starts_no_processes(site: Site) -> bool:
    """Whether nothing in a notebook starts processes: then its kernel is the only one."""
    return not site.source.once(_starts_processes) and re.search(_STARTING_LINE, site.source.data) is None


def _is_started_alone(site: Site) -> bool:
    """Whether the project shows that the file runs in a single process, as each of its notebooks does."""
    from telepathy_lint.facts import started  # few loads get so far

    if site.source.path.endswith(".ipynb"):
        return started.has_a_project(site) and _starts_no_processes(site)
    return started.runs_as_started(site)


def is_spread(site: Site) -> bool:
    """Whether accelerate computes the map, so that the model may already be on several GPUs."""
    argument = site.argument("device_map")
    values = argument.values if argument is not None else ()
    return all(value.is_none or value.data in SPREADING_MAPS for value in values)


def cost_under_a_launcher(site: Site, in_the_file: bool) -> str | None:
    """The effect of the map in each process of a launcher; None if there is no launcher, or several maps.

    The launcher is one in the file or, unless only the file counts, one with which the project starts it.
    """
    argument = site.argument("device_map")
    if argument is None or len(argument.values) != 1:
        return None
    value, shared = argument.values[0], None
    if value.kind == "const" and value.data in SPREADING_MAPS:
        if site.argument("max_memory") is not None:
            return None  # which may leave one GPU
    elif value.kind == "const" and str(value.data).startswith("cuda:"):
        shared = str(value.data)[5:]
    elif isinstance(value.node, ast.Dict) and len(value.node.values) == 1:
        place = value.node.values[0]
        shared = str(place.value) if isinstance(place, ast.Constant) and type(place.value) is int else ""
    else:
        return None
    if shared == "":
        return None
    launched = started_by(site) if not in_the_file else None
    if launched is not None:
        processes = f"{launched.launcher} in {os.path.basename(launched.path)}, line {launched.line}"
    elif site.source.once(_starts_or_waits_for_processes):
        processes = "a launcher"
    else:
        return None
    if shared is None:
        return f"each process of {processes} would use every GPU"
    return f"all processes of {processes} would share GPU {shared}"


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
    """Whether a map puts the whole model on the GPU of its process: `{"": local_rank}`, `f"cuda:{local_rank}"`."""
    node = value.node
    if (number := _number_of_a_gpu(node)) is not None:
        given = ast.unparse(number)
    elif isinstance(node, ast.Dict) and len(node.keys) == len(node.values) == 1:
        given = ast.unparse(node.values[0])
    else:
        return False
    if "device" in given.lower() and re.search(_OWN_DEVICE, given):
        return True
    found = re.findall(r"[A-Za-z_]\w*", given)
    text = value.context.scope.tree.text
    return any(
        occurs(_RANKS, name)
        or (occurs(_RANKS, text) and re.search(rf"\b{re.escape(name)}\s*=[^=\r\n]*(?:{_RANKS})", text))
        for name in found
    )


def _number_of_a_gpu(node: ast.AST) -> ast.expr | None:
    """The name that a text has as the number of a GPU: `f"cuda:{rank}"`, `"cuda:{}".format(rank)`; None for others, also computed ones."""
    found: ast.expr | None = None
    if isinstance(node, ast.JoinedStr) and len(node.values) == 2:
        start, field = node.values
        if (
            isinstance(start, ast.Constant)
            and start.value == "cuda:"
            and isinstance(field, ast.FormattedValue)
        ):
            found = field.value
    elif (
        isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr == "format"
        and isinstance(node.func.value, ast.Constant)
        and node.func.value.value == "cuda:{}"
        and len(node.args) == 1
    ):
        found = node.args[0]
    return found if isinstance(found, (ast.Name, ast.Attribute)) else None


def _is_of_the_caller(value: Value) -> bool:
    """Whether a map puts the whole model on a device that the caller gives, or where another model is.

    `{"": device}` and `f"cuda:{args.gpu}"`, with a parameter or an option of the command line.
    """
    node = value.node
    if isinstance(node, ast.Dict):
        if len(node.values) != 1:
            return False
        node = node.values[0]
    elif value.kind != "text":
        return False
    tree = value.context.scope.tree
    return any(
        _is_given(each, tree.text)
        for name in _names_in(node)
        for each in Evaluator(tree).evaluate(name, value.context)
    )


def _names_in(node: ast.AST) -> Iterator[ast.expr]:
    """The names and attributes that an expression reads, without what is called."""
    if isinstance(node, (ast.Name, ast.Attribute)):
        yield node
        return
    if isinstance(node, ast.Call):
        if isinstance(node.func, ast.Attribute):
            yield from _names_in(node.func.value)
        for each in (*node.args, *(keyword.value for keyword in node.keywords)):
            yield from _names_in(each)
        return
    for child in ast.iter_child_nodes(node):
        yield from _names_in(child)


def _is_given(place: Value, text: str) -> bool:
    """Whether a value is a parameter, an option of the command line, or an attribute that holds a parameter."""
    if place.kind == "param":
        return True
    if place.kind in ("call", "text", "other") and isinstance(place.node, ast.expr):
        names = [each for each in _names_in(place.node) if each is not place.node]
        given = Evaluator(place.context.scope.tree).evaluate
        return any(_is_option(each, text) for name in names for each in given(name, place.context))
    return _is_option(place, text)


def _is_option(place: Value, text: str) -> bool:
    if place.kind == "param":
        return True
    if place.kind != "attribute":
        return False
    owner, _, name = str(place.data).rpartition(".")
    if owner == "self":
        return re.search(rf"\bself\.{re.escape(name)}\s*=\s*{re.escape(name)}\b", text) is not None
    return name == "device" or re.fullmatch(_OPTIONS, owner) is not None


def _is_laid_out(argument: Argument) -> bool:
    """Whether the map names a GPU for each of several modules, or how accelerate balances them."""
    return all(
        (isinstance(value.node, ast.Dict) and len(value.node.values) > 1)
        or (value.kind == "const" and value.data in SPREADING_MAPS)
        for value in argument.values
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
        text = value.context.scope.tree.text
        return occurs(rf"\b{place.id}\s*=\s*(?:torch\.device\(\s*)?[\"']cuda(?::0)?[\"']", text)
    return isinstance(place, ast.Constant) and place.value in (0, *_FIRST)


def _places_by_hand(text: str) -> bool:
    return occurs(_BY_HAND, text)


def _starts_or_waits_for_processes(text: str) -> bool:
    """Whether the file shows that several processes run it. A trainer is no sign, because it also runs in one."""
    return occurs(_LAUNCHES, text)


def launches(text: str) -> bool:
    """The same, or may run it."""
    return occurs(rf"{_LAUNCHES}|{_TRAINER}", text)


def is_kept_with_its_inputs(site: Site) -> bool:
    """Whether a map keeps a model on the CPU, where tensors are that nothing moves; a pipeline moves its own."""
    if site.kind == "pipeline" or not is_on_the_cpu(site):
        return False
    from telepathy_lint.facts.by_hand import device_named

    return not site.source.once(_follows_the_model) or device_named(site) is not None


def is_where_the_caller_says(site: Site) -> bool:
    """Whether a map is a device that the caller gives, and that is not the device of a rank, which the loader finds."""
    argument = site.argument("device_map") if site.kind != "pipeline" else None
    return argument is not None and any(
        _is_of_the_caller(value) and not re.search(_OF_A_RANK, ast.unparse(value.node))
        for value in argument.values
    )


def _follows_the_model(text: str) -> bool:
    return occurs(_FOLLOWS_THE_MODEL, text)


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
