from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator

from telepathy_lint.facts import placement
from telepathy_lint.findings.finding import Finding
from telepathy_lint.findings.violation import Safety
from telepathy_lint.rule import Meta, Rule, line_name, origin, shown
from telepathy_lint.settings import Settings
from telepathy_lint.sites import Site, Value

#: With one of these names, the file may run in several processes, or places the weights in another way. Then
#: "auto" would distribute each process over all GPUs, while the resolver gives each process its own GPU.
_SEVERAL_PROCESSES = (
    "RANK", "WORLD_SIZE", "SLURM", "ccelerat", "eepspeed", "eepSpeed", "FSDP", "fsdp", "init_process_group",
    "local_rank", "process_index", "torch.distributed", "torchrun", "Trainer", "DataParallel", "tp_plan", "mpirun",
)  # fmt: skip
#: This attribute only exists on a model that a device map has placed; on a CPU the resolver returns no map.
_READS_THE_MAP = "hf_device_map"
#: GPU numbers in code.
_GPU_NUMBER = r"""cuda:(\d+)|device_map\s*=\s*(?:\{\s*["']{2}\s*:\s*)?(\d+)|\.cuda\(\s*(\d+)\s*\)"""


class HardcodedDeviceMap(Rule):
    """The script hard-codes the devices of the model's weights.

    A device map that is right on one machine is wrong on the next. Under torchrun, `"auto"` makes every process fill
    every GPU, and it silently offloads to CPU or disk if memory is short. `{"": 0}` or `"cuda:0"` puts all ranks
    on one GPU. Under DeepSpeed ZeRO-3, any device map is an error. The right value depends on the platform and the
    launcher; the loader checks both. A value that the caller chooses (a parameter, `args.device_map`, an accelerator's
    attribute, a helper's result) is not reported.

    Unless strict, the rule leaves out maps that change nothing in one process: "auto" or the first GPU in a notebook or in a script
    with cells, with one visible GPU, or in a script without a launcher that moves its inputs to `model.device`, names the
    GPU for its tensors or writes its results to a file. A script that several processes may run (torchrun, accelerate, a
    trainer) is reported, and so is a module that such a script imports.

    Bad:

        from transformers import AutoModelForCausalLM

        model = AutoModelForCausalLM.from_pretrained("gpt2", device_map="auto")

    Good:

        from telepathy_runtime import load_model

        model = load_model("gpt2", dtype=None, attn_implementation=None, generation_config=None)

    Fix safety: the fix is safe for a plain "auto" in a file that shows no launcher, because the resolver chooses the same
    placement as transformers and accelerate do for "auto" (a test compares them on a CPU, one GPU, several GPUs and a Mac).
    For every other value the fix is unsafe, because the script may place its inputs to match. A file that names two GPUs
    has its own layout, so its device maps are not fixed. Neither are those of a file that reads `hf_device_map`: on a CPU
    the resolver gives no map. If the file trains the model, or adapters on it, an unsafe fix adds `purpose="training"` or
    `purpose="finetune-adapters"`, so that the loader does not spread the model over GPUs. Nothing that is saved changes.
    """

    meta = Meta(
        code="TLP101",
        name="hardcoded-device-map",
        message="device_map is hard-coded",
        since="0.1.0",
        kinds=("model", "pipeline"),
        setting="device_map",
        fix="safe",
    )

    def check(self, site: Site, settings: Settings) -> Iterator[Finding]:
        argument = site.argument("device_map")
        if argument is None or "device_map" in site.inherited:
            return
        written = first_written(argument.values)
        if written is None:
            return
        cost = placement.cost_under_a_launcher(site)
        yield site.at(argument, f"{shown(written)}{origin(written, site)}{f': {cost}' if cost else ''}")

    def matters(self, site: Site, settings: Settings) -> bool:
        return not placement.is_placed_alike(site)

    def safety(self, site: Site) -> Safety:
        argument = site.argument("device_map")
        values = argument.values if argument is not None else ()
        plain = bool(values) and all(value.kind == "const" and value.data == "auto" for value in values)
        return "safe" if plain and not site.source.once(_may_be_placed_otherwise) else "unsafe"

    def withheld(self, site: Site, settings: Settings) -> str | None:
        argument = site.argument("device_map")
        read = site.source.once(_map_is_read)
        if read is not None:
            line = line_name(site.source, site.source.line_of(read))
            return f"{line} reads {_READS_THE_MAP}, which only a model with a device map has"
        if argument is None or all(value.data in _SPREADING for value in argument.values):
            return None
        second = site.source.once(_second_gpu)
        if second is None:
            return None
        line = line_name(site.source, site.source.line_of(second))
        return f"{line} names another GPU, so the script places its models itself"


#: Maps that accelerate computes.
_SPREADING = frozenset({"auto", "balanced", "balanced_low_0", "sequential"})


def _may_be_placed_otherwise(text: str) -> bool:
    return any(word in text for word in _SEVERAL_PROCESSES)


def _map_is_read(text: str) -> int | None:
    at = text.find(_READS_THE_MAP)
    return at if at >= 0 else None


def _second_gpu(text: str) -> int | None:
    """The position of a second GPU number in the text."""
    first = None
    for match in re.finditer(_GPU_NUMBER, text):
        number = match[1] or match[2] or match[3]
        if first is not None and number != first:
            return match.start()
        first = number
    return None


def first_written(values: Iterable[Value]) -> Value | None:
    """The first literal value, if all alternatives are literals or None."""
    found: Value | None = None
    for value in values:
        if value.is_none:
            continue
        if value.kind not in ("const", "text", "dict") or _is_filled_later(value):
            return None
        found = found or value
    return found


def _is_filled_later(value: Value) -> bool:
    """Whether the dict is empty at first; entries that are added later are computed."""
    node = value.node
    return (isinstance(node, ast.Dict) and not node.keys) or (
        isinstance(node, ast.Call) and not node.args + node.keywords
    )
