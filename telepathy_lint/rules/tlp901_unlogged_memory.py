from __future__ import annotations

import re

from telepathy_lint.rule import Meta, Report, Rule
from telepathy_lint.settings import Settings
from telepathy_lint.sites import Site

#: A call that asks how much memory is in use, by torch, psutil, nvml, or a helper that is named for it.
_ASKS = (
    r"memory_(?:allocated|reserved|summary|stats|info|footprint|usage|snapshot)|\bmem_get_info\b|virtual_memory\b"
    r"|\b(?:nvmlDeviceGetMemoryInfo|getrusage|nvidia[-_]smi)\b|[Mm]emory(?:Tracker|Monitor|Logger|Profiler)"
)
#: Without one of these nothing of the above is there.
_HINTS = ("emory", "mem_get_info", "getrusage", "nvidia")
#: How a helper's name goes on, and what it begins with.
_WHAT, _VERB, _LONGEST = (
    r"_(?:mem|vram|gpu|ram)",
    r"(?:log|print|report|show|track|monitor|get|measure)\w{0,60}\Z",
    70,
)


def _asks(text: str) -> bool:
    if any(hint in text for hint in _HINTS) and re.search(_ASKS, text):
        return True
    return any(
        re.search(_VERB, text[max(match.start() - _LONGEST, 0) : match.start()])
        for match in re.finditer(_WHAT, text)
    )


class UnloggedMemory(Rule):
    """A model is loaded and nothing in the file says how much memory it takes.

    When a run dies of memory, the log of the last load is what tells whether the weights, the cache or the batch was too
    big. The loader logs what a load took; by hand, `model.get_memory_footprint()` and
    `torch.cuda.max_memory_allocated()` do.

    Bad:

        from transformers import AutoModelForCausalLM

        model = AutoModelForCausalLM.from_pretrained("gpt2")

    Good:

        from transformers import AutoModelForCausalLM

        model = AutoModelForCausalLM.from_pretrained("gpt2")
        print(f"{model.get_memory_footprint() / 2**20:.0f} MiB")
    """

    meta = Meta(
        code="TLP901",
        name="unlogged-memory",
        message="nothing logs the memory that the load takes",
        since="0.1.0",
        kinds=("model", "pipeline"),
        default=False,
    )

    def check(self, site: Site, settings: Settings) -> Report | None:
        if site.loader or site.configured:
            return None
        return None if site.source.once(_asks) else self.at_call(site)
