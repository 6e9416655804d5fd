"""How transformers runs a job; a job that it cannot run is an error, because the formulas would give a figure for it."""

from __future__ import annotations

from telepathy_runtime.memory.families import FAMILIES, form
from telepathy_runtime.memory.taped import EAGER
from telepathy_runtime.memory.workload import Workload
from telepathy_runtime.models.consistency import WHOLE
from telepathy_runtime.models.spec import ModelSpec, UnknownOptionError

_TABLES = ("gpt2", "gptj", "opt", "bert", "roberta", "xlm-roberta", "distilbert", "electra", "whisper")
"""Architectures that look positions up in a table, so that none is behind its end."""
_FROM_TWO = ("roberta", "xlm-roberta")
"""Those whose first token has position 2."""
_IGNORED_SINCE = (5, 0)
"""The first transformers whose heads that are rotated whole do not read the share in a config."""


def longest(spec: ModelSpec) -> int:
    """The most tokens of a sequence that the model reads; 0 if there is no bound."""
    if spec.architecture not in _TABLES:
        return 0
    return spec.max_positions - 2 * (spec.architecture in _FROM_TWO)


def check_runs(spec: ModelSpec, work: Workload) -> None:
    """Raise UnknownOptionError for a job with which the model's own code fails."""
    length, most = work.seq_len + max(work.new_tokens - 1, 0), longest(spec)
    if 0 < most < length:
        raise UnknownOptionError(
            f"seq_len and new_tokens (--seq-len, --new-tokens): {length} tokens are more than the {most} positions of {spec.id}, "
            "which has no others"
        )
    share = spec.rotated
    if form(spec) in WHOLE and share not in (0, 1) and work.version < _IGNORED_SINCE:
        raise UnknownOptionError(
            f"config.json: partial_rotary_factor {share}: {form(spec)} rotates whole heads, and transformers {work.transformers} fails "
            "with it; leave it out, or plan for transformers 5 (--transformers 5.0), which ignores it"
        )


def as_run(spec: ModelSpec, work: Workload) -> Workload:
    """The job as the model runs it: a packed batch is one row, with the attention that transformers has.

    Raises UnknownOptionError for flash attention where a model's only attention is eager.
    """
    return with_attention(spec, work.as_run())


def with_attention(spec: ModelSpec, work: Workload) -> Workload:
    """The job with eager attention, where transformers has no sdpa for the model.

    Raises UnknownOptionError for flash attention where a model's only attention is eager.
    """
    how = FAMILIES.get(form(spec))
    if spec.architecture in EAGER and work.attn == "flash_attention_2":
        raise UnknownOptionError(
            f"transformers has no flash_attention_2 for {spec.architecture}; known: eager"
        )
    lacks = how is not None and (not how.sdpa or work.version < how.sdpa_since)
    return work.but(attn="eager") if work.attn == "sdpa" and (spec.architecture in EAGER or lacks) else work
