from __future__ import annotations

import ast
import re
from collections.abc import Iterable

from telepathy_lint.rule import Meta, Report, Rule, origin, shown
from telepathy_lint.scan import Site, Value
from telepathy_lint.settings import Settings
from telepathy_lint.violation import Safety

#: What the number of the process's own GPU is called, or asked for.
_OWN_DEVICE = r"(?i)rank|process_index|current_device|accelerator"
#: Values, and the device of `{"": device}`, for which the resolver's answer comes to the same.
_ALIKE = frozenset({"auto", "balanced", "cuda", "cuda:0", 0, "mps", "mps:0", "local"})


class HardcodedDeviceMap(Rule):
    """The script itself says on which devices the model's weights go.

    A device map that is right on one machine is wrong on the next: `"auto"` under torchrun makes every process fill
    every GPU, and spills to CPU or disk without an error where memory is short; `{"": 0}` or `"cuda:0"` puts all ranks
    on one GPU; any map at all is an error under DeepSpeed ZeRO-3. What belongs there depends on the platform and the
    launcher, which the loader looks at. A value the caller chooses (a parameter, `args.device_map`, an accelerator's
    attribute, a helper's result) is not reported.

    Bad:

        from transformers import AutoModelForCausalLM

        model = AutoModelForCausalLM.from_pretrained("gpt2", device_map="auto")

    Good:

        from telepathy_runtime import load_model

        model = load_model("gpt2", dtype=None, attn_implementation=None, generation_config=None)

    Fix safety: the resolver gives the same placement where the script's own choice worked, so "auto", the first GPU, the
    local rank's, "mps" and conditionals of these are replaced safely. A script that pins the CPU, another GPU, a computed
    one or single modules may rely on it elsewhere: there the fix counts as unsafe.
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

    def check(self, site: Site, settings: Settings) -> Report | None:
        argument = site.argument("device_map")
        if argument is None or "device_map" in site.inherited:
            return None
        written = first_written(argument.values)
        if written is None:
            return None
        return self.at(site, argument.node, f"{shown(written)}{origin(written, site)}")

    def safety(self, site: Site) -> Safety:
        argument = site.argument("device_map")
        values = argument.values if argument is not None else ()
        return "safe" if _resolves_alike(values) else "unsafe"


def _resolves_alike(values: Iterable[Value]) -> bool:
    """Whether the resolver puts the model where these values put it, on the machines where they work."""
    named = [_device(value) for value in values if not value.is_none]
    # "cpu" is what the resolver takes where there is no GPU: fine as one arm of a conditional, not alone.
    return all(name in _ALIKE or name == "cpu" for name in named) and any(name in _ALIKE for name in named)


def _device(value: Value) -> object:
    """The device of a plain map, "local" where it is the process's own, None for another or a map of single modules."""
    node = value.node
    if value.kind == "const":
        return value.data
    if value.kind == "text":
        return _own(node)  # f"cuda:{local_rank}"
    if not isinstance(node, ast.Dict) or len(node.keys) != 1:
        return None
    key, device = node.keys[0], node.values[0]
    if not isinstance(key, ast.Constant) or key.value != "":
        return None
    return device.value if isinstance(device, ast.Constant) else _own(device)


def _own(node: ast.AST | None) -> str | None:
    """ "local" for a computed device that names the process; an index of a loop may be any."""
    return "local" if isinstance(node, ast.expr) and re.search(_OWN_DEVICE, ast.unparse(node)) else None


def first_written(values: Iterable[Value]) -> Value | None:
    """The first value that the script writes out, when all alternatives are such values or None."""
    found: Value | None = None
    for value in values:
        if value.is_none:
            continue
        if value.kind not in ("const", "text", "dict") or _is_filled_later(value):
            return None
        found = found or value
    return found


def _is_filled_later(value: Value) -> bool:
    """Whether the dict starts out empty: what code then puts into it was computed, not written."""
    node = value.node
    return (isinstance(node, ast.Dict) and not node.keys) or (
        isinstance(node, ast.Call) and not node.args + node.keywords
    )
