from __future__ import annotations

import ast
from collections.abc import Iterable

from telepathy_lint.rule import Meta, Report, Rule, origin, shown
from telepathy_lint.scan import Site, Value
from telepathy_lint.settings import Settings


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

    Fix safety: the resolver gives the same placement wherever the script's own choice worked.
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
