from __future__ import annotations

import re
from collections.abc import Iterator

from telepathy_lint.findings.finding import Finding
from telepathy_lint.rule import Meta, Rule
from telepathy_lint.settings import Settings
from telepathy_lint.sites import Site

#: Calls that query memory usage: of torch, psutil, nvml, or a helper with such a name.
_ASKS = (
    r"memory_(?:allocated|reserved|summary|stats|info|footprint|usage|snapshot)|\bmem_get_info\b|virtual_memory\b"
    r"|\b(?:nvmlDeviceGetMemoryInfo|getrusage|nvidia[-_]smi)\b|[Mm]emory(?:Tracker|Monitor|Logger|Profiler)"
)
#: A file without these words has none of these calls.
_HINTS = ("emory", "mem_get_info", "getrusage", "nvidia")
#: The parts of a helper's name.
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
    """A model is loaded, and the file does not log how much memory it takes.

    When a run is out of memory, the log of the last load shows whether the weights, the cache or the batch was too
    large. The loader logs the memory of each load. Without the loader, log `model.get_memory_footprint()` and
    `torch.cuda.max_memory_allocated()`.

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
        message="the memory of the load is not logged",
        since="0.1.0",
        kinds=("model", "pipeline"),
        default=False,
    )

    def check(self, site: Site, settings: Settings) -> Iterator[Finding]:
        if not (site.loader or site.configured or site.source.once(_asks)):
            yield site.at_call()
