from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from functools import partial

from telepathy_lint.facts import placement
from telepathy_lint.facts.in_tests import is_of_a_test
from telepathy_lint.facts.out_of_use import is_bare
from telepathy_lint.facts.reach import reach_of
from telepathy_lint.findings.finding import Finding
from telepathy_lint.findings.violation import Safety
from telepathy_lint.rule import Meta, Rule, origin, shown
from telepathy_lint.settings import Settings
from telepathy_lint.sites import Site, Value

#: With one of these names, the file may run in several processes, or places the weights in another way. Then
#: "auto" would distribute each process over all GPUs, while the resolver gives each process its own GPU.
_SEVERAL_PROCESSES = (
    "RANK", "WORLD_SIZE", "SLURM", "ccelerat", "eepspeed", "eepSpeed", "FSDP", "fsdp", "init_process_group",
    "local_rank", "process_index", "torch.distributed", "torchrun", "Trainer", "DataParallel", "tp_plan", "mpirun",
)  # fmt: skip


class HardcodedDeviceMap(Rule):
    """The script hard-codes the devices of the model's weights.

    A device map that is right on one machine is wrong on the next. Under torchrun, `"auto"` makes every process fill
    every GPU, and it silently offloads to CPU or disk if memory is short. `{"": 0}` or `"cuda:0"` puts all ranks
    on one GPU. Under DeepSpeed ZeRO-3, any device map is an error. The right value depends on the platform and the
    launcher; the loader checks both. A value that the caller chooses (a parameter, `args.device_map`, an accelerator's
    attribute, a helper's result) is not reported. A dict is reported whatever it holds: `{"": local_rank}` and
    `{"": accelerator.process_index}` are right under one kind of launcher only.

    Unless strict, the rule only reports files that a launcher of the project starts (torchrun, accelerate, srun with several tasks),
    modules that they import, and scripts that are alone, with no project around them. Of these, it leaves out maps that change nothing in one
    process, and maps in which the caller has a say. The caller has a say in `{"": device}` with a parameter or an option, also as one of several
    values. "auto" with `max_memory` says what each GPU may hold. A script with a launcher that leaves the map out in some runs
    has decided, and tests are left out. A launcher does not reach what stands under `if __name__ == "__main__"` of a module
    that its script imports, nor what only a command in a script's comment names, nor a function or class that the script and its modules do not name, nor a branch of an option that no command of the launcher sets (`if args.offline:`), or that its only command sets to another text (`if args.model == "big":`). In a project, a map that only some runs pass, by a dict that gets it under a condition, is left out. In a project, `"cuda"` is the GPU that
    is current, which code for several processes sets. A script that ends all processes but that of rank 0 is left out. In one process, "auto" and the first GPU change nothing: in a notebook, with one visible
    GPU, and in a script without a launcher that moves its inputs to `model.device`, names the GPU for its tensors or writes
    its results to a file. In a repository with more files of code, a map is only reported where something starts several processes.

    Bad:

        from transformers import AutoModelForCausalLM

        model = AutoModelForCausalLM.from_pretrained("gpt2", device_map="auto")

    Good:

        from telepathy_runtime import load_model

        model = load_model("gpt2", dtype=None, attn_implementation=None, generation_config=None)

    Fix safety: the fix is safe for a plain "auto" if nothing shows a launcher,
    because the resolver chooses the same placement as transformers and accelerate do for "auto" (a test compares them on a
    CPU, one GPU, several GPUs and a Mac). The file, the modules that import it, and the project's documents, scripts and
    settings are searched. A launcher need not be known: a command that gives the script to a program that is not known
    to start one process (`fleet -n 4 train.py`, `$LAUNCH train.py`, `python start.py train.py`) counts, as does code of ranks that names
    the script. If something else starts several processes of such a script all the same, each of
    them gets a GPU of its own, where "auto" used every GPU. So the fix is unsafe if the script also puts tensors on
    "cuda", unless it shows that it runs in one process.
    For every other value the fix is unsafe, because the script may place its inputs to match. There is no fix if the file
    names two GPUs (it has its own layout), reads `hf_device_map` (on a CPU the resolver gives no map), or moves a model
    that was on one GPU while a hook or a weight that the script reads stays there. Nor is there one if the script puts
    tensors on a device of its own choice and a launcher, or a Mac, would have the model on another one. The same holds if the
    model is kept on the CPU and nothing moves the inputs to its device, or if the caller chooses the device. Under FSDP the
    weights stay on the CPU until FSDP wraps the model. If the file trains the model, or adapters on it, an unsafe fix adds
    `purpose="training"` or `purpose="finetune-adapters"`, so that the loader does not spread the model over GPUs. For adapters,
    the loaded weights are then frozen, as peft freezes them. The inline style passes the purpose to `resolve_device_map`. In one
    process on several GPUs, a Trainer of transformers copies a model that is on one GPU to all of them, so its batch becomes
    as many times as large as there are GPUs; the loader warns of it.
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
        yield site.at(argument, partial(_detail, written, site, settings))

    def matters(self, site: Site, settings: Settings) -> bool:
        argument = site.argument("device_map")
        if argument is not None and argument.optional and not is_bare(site):
            return False
        if placement.is_decided_by_the_file(site):
            return False  # otherwise, the project is searched for launchers
        return placement.is_in_danger(site) and not (placement.is_placed_alike(site) or is_of_a_test(site))

    def safety(self, site: Site) -> Safety:
        argument = site.argument("device_map")
        values = argument.values if argument is not None else ()
        plain = bool(values) and all(value.kind == "const" and value.data == "auto" for value in values)
        if not plain or site.source.once(_may_be_placed_otherwise):
            return "unsafe"
        reach = reach_of(site)  # the script that a launcher starts may be another one
        if reach is not None and any(map(_may_be_placed_otherwise, reach.texts)):
            return "unsafe"
        from telepathy_lint.facts.by_hand import device_named
        from telepathy_lint.facts.started import may_be_launched

        if may_be_launched(site):
            return "unsafe"
        # An unseen launcher would give each process its own GPU: tensors on "cuda" would be on another one.
        runs_anyway = device_named(site) is None or placement.runs_as_one_process(site)
        return "safe" if runs_anyway else "unsafe"

    def withheld(self, site: Site, settings: Settings) -> str | None:
        from telepathy_lint.facts import evidence

        kinds = evidence.OF_DEVICE_MAP
        if placement.is_spread(site):
            # accelerate may already have distributed the model over several GPUs
            kinds = tuple(kind for kind in kinds if kind not in evidence.OF_ONE_GPU)
        return evidence.withheld(site, kinds, settings.unsafe_fixes_despite)


def _detail(value: Value, site: Site, settings: Settings) -> str:
    cost = placement.cost_under_a_launcher(site, settings.strict)
    return f"{shown(value)}{origin(value, site)}{f': {cost}' if cost else ''}"


def _may_be_placed_otherwise(text: str) -> bool:
    return any(word in text for word in _SEVERAL_PROCESSES)


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
