"""Generation settings: merges a request into the settings that a checkpoint ships, instead of replacing them.

`from_pretrained(generation_config=...)` replaces the shipped settings, including the stop ids, so a greedy
generation runs to its length limit. Setting only `do_sample=False` keeps the temperature, with which
save_pretrained raises, and a repetition penalty, which changes most greedy outputs. `apply_generation_config`
avoids both.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping
from typing import Any

from telepathy_runtime.choose import remembered
from telepathy_runtime.errors import NotGenerativeError
from telepathy_runtime.machine.environment import need

# Greedy and neutral: the same prompt gives the same text.
DEFAULTS: Mapping[str, Any] = {
    "max_new_tokens": 256,
    "do_sample": False,
    "num_beams": 1,
    "temperature": 1.0,
    "top_p": 1.0,
    "repetition_penalty": 1.0,
}
SAMPLING = remembered.SAMPLING
# do_sample=False does not switch these off.
PENALTIES = (
    "repetition_penalty",
    "encoder_repetition_penalty",
    "no_repeat_ngram_size",
    "encoder_no_repeat_ngram_size",
)
_NEUTRAL_PENALTY = {
    "repetition_penalty": 1.0,
    "encoder_repetition_penalty": 1.0,
    "no_repeat_ngram_size": 0,
    "encoder_no_repeat_ngram_size": 0,
}
_BEAMS = ("early_stopping", "length_penalty", "num_beam_groups", "diversity_penalty")
_LENGTHS = {"max_new_tokens": "max_length", "min_new_tokens": "min_length"}
_TOKENS = ("eos_token_id", "pad_token_id")
_NOT_SETTINGS = ("transformers_version",)


def __getattr__(name: str) -> Any:
    if name == remembered.NAME:  # pickle and deepcopy look the class up by its name
        return remembered.remembering()
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def default_generation_config(tokenizer: Any = None, **overrides: Any) -> Any:
    """Return a GenerationConfig: greedy, at most 256 new tokens, no penalty, one beam, with `overrides` applied.

    With a tokenizer it also has its stop and pad ids. Pass it to load_model(generation_config=...),
    apply_generation_config(model, ...) or generate(generation_config=...). With `do_sample=True` alone,
    temperature and top_p stay unset, and the merge keeps those of the checkpoint.

    The limit of 256 is a default: any length set here, in generate(), in a pipeline or by a trainer replaces
    it.
    """
    fields = dict(DEFAULTS)
    if overrides.get("do_sample"):
        for name in ("temperature", "top_p", "repetition_penalty"):
            fields.pop(name)
    fields |= _token_ids(tokenizer)
    fields |= overrides
    return remembered.request(fields, frozenset(overrides))


def _token_ids(tokenizer: Any) -> dict[str, Any]:
    if tokenizer is None:
        return {}
    found = {"eos_token_id": tokenizer.eos_token_id, "pad_token_id": tokenizer.pad_token_id}
    return {name: value for name, value in found.items() if value is not None}


def apply_generation_config(
    model: Any, config: Any = None, *, tokenizer: Any = None, **overrides: Any
) -> dict[str, Any]:
    """Merge `config` (default: default_generation_config(tokenizer)) and `overrides` into model.generation_config.

    The stop ids are those shipped, those requested and those of the tokenizer. A greedy request clears the
    sampling fields and neutralises inherited penalties. A missing pad id becomes the tokenizer's, else the
    first stop id, as in generate(). Other fields stay as shipped.

    The loader's own choices yield to the caller's: a length passed to generate() replaces the 256 tokens,
    do_sample=True restores the checkpoint's temperature, and save_pretrained() writes the shipped settings
    with the caller's changes.

    `model` may also be a pipeline. It generates with a copy of its model's config, so both are changed.

    Returns the changes as field -> (before, after). Raises NotGenerativeError if the model cannot generate.
    """
    inner = getattr(model, "model", None)
    if not generates(model) and generates(inner):
        if getattr(model, "generation_config", None) is not None:
            wanted = config or default_generation_config(tokenizer, **overrides)
            model.generation_config = merge(
                model.generation_config,
                _asked(wanted) | overrides,
                tokenizer=tokenizer,
                stated=_stated(wanted) | frozenset(overrides),
            )
        return apply_generation_config(inner, config, tokenizer=tokenizer, **overrides)
    if not generates(model):
        raise NotGenerativeError(
            f"a generation config for {type(model).__name__}",
            "this class cannot generate",
            "pass generation_config=None, or load a class such as AutoModelForCausalLM",
        )
    if config is None:
        config = default_generation_config(tokenizer, **overrides)
        overrides = {}
    before = model.generation_config
    stated = _stated(config) | frozenset(overrides)
    merged = merge(before, _asked(config) | overrides, tokenizer=tokenizer, stated=stated)
    merged.validate()
    model.generation_config = merged
    return _changes(before, merged)


def generates(model: Any) -> bool:
    """Whether `model` has a generation config to merge into; unwraps peft and other wrappers."""
    can_generate = getattr(model, "can_generate", None)
    return (
        bool(can_generate is not None and can_generate())
        and getattr(model, "generation_config", None) is not None
    )


def merge(
    shipped: Any, asked: Mapping[str, Any], *, tokenizer: Any = None, stated: frozenset[str] | None = None
) -> Any:
    """Return a new GenerationConfig: `shipped` with the fields of `asked`, made consistent. Changes neither argument.

    `stated` are the fields of `asked` that the caller chose (None: all); the others yield to later settings.
    """
    ours = isinstance(shipped, remembered.remembering())
    merged = shipped.plain() if ours else copy.deepcopy(shipped)
    _merge_into(merged, shipped, asked, tokenizer)
    if remembered.forgetful(merged):
        return merged
    chosen = frozenset(asked) if stated is None else stated
    cap = None
    if asked.get("max_new_tokens") is not None:
        if "max_new_tokens" not in chosen:
            cap = asked["max_new_tokens"]
            merged.max_new_tokens = None
    elif ours and asked.get("max_length") is None:
        cap = shipped.cap
    return remembered.merged(
        vars(merged),
        shipped=shipped.shipped if ours else copy.deepcopy(shipped),
        stated=chosen | (shipped.stated if ours else frozenset()),
        cap=cap,
    )


def _merge_into(merged: Any, shipped: Any, asked: Mapping[str, Any], tokenizer: Any) -> None:
    blank = need("transformers").GenerationConfig()
    for name, value in asked.items():
        if name not in _TOKENS:
            setattr(merged, name, value)
    for name, older in _LENGTHS.items():
        # Keep only the requested one of the two length fields. With both, generate() warns at every call and
        # uses the newer one even if the older one was requested.
        if asked.get(name) is not None and older not in asked:
            setattr(merged, older, getattr(blank, older))
        elif asked.get(older) is not None and name not in asked:
            setattr(merged, name, getattr(blank, name))
    if not merged.do_sample:
        for name in SAMPLING:
            if hasattr(merged, name):
                setattr(merged, name, getattr(blank, name, None))
        for name in PENALTIES:
            if name not in asked and getattr(merged, name, None) not in (None, _NEUTRAL_PENALTY[name]):
                setattr(merged, name, _NEUTRAL_PENALTY[name])
    if (merged.num_beams or 1) == 1:
        for name in _BEAMS:
            if name not in asked and hasattr(merged, name):
                setattr(merged, name, getattr(blank, name, None))
        if not merged.do_sample and "num_return_sequences" not in asked:
            merged.num_return_sequences = blank.num_return_sequences  # one beam returns one sequence
    ids = _token_ids(tokenizer)
    stops = union(shipped.eos_token_id, asked.get("eos_token_id"), ids.get("eos_token_id"))
    merged.eos_token_id = stops
    merged.pad_token_id = _first_known(
        asked.get("pad_token_id"), shipped.pad_token_id, ids.get("pad_token_id"), stops
    )


def _stated(config: Any) -> frozenset[str]:
    """The fields that the caller chose: those recorded in a request, else all that differ from an untouched config."""
    remembers = getattr(config, "stated", None)
    return frozenset(_asked(config)) if remembers is None else remembers


def _asked(config: Any) -> dict[str, Any]:
    """The fields that a GenerationConfig requests: those recorded in it, else those that differ from the defaults."""
    fields = {
        name: value
        for name, value in vars(config).items()
        if not name.startswith("_") and name not in _NOT_SETTINGS
    }
    kept = getattr(config, "asked", None)
    blank = vars(need("transformers").GenerationConfig())
    differing = {name: value for name, value in fields.items() if value != blank.get(name)}
    if kept is None:
        return differing
    return differing | {name: getattr(config, name) for name in kept if name in fields}


def union(*found: Any) -> Any:
    """Combine stop ids in order of first appearance; a single id stays an int, no id stays None."""
    ids: list[int] = []
    for value in found:
        for one in value if isinstance(value, (list, tuple)) else () if value is None else (value,):
            if one not in ids:
                ids.append(int(one))
    return None if not ids else ids[0] if len(ids) == 1 else ids


def _first_known(*candidates: Any) -> int | None:
    for candidate in candidates:
        first = candidate[0] if isinstance(candidate, (list, tuple)) and candidate else candidate
        if isinstance(first, int) and first >= 0:
            return first
    return None


def _changes(before: Any, after: Any) -> dict[str, Any]:
    old, new = (
        _public(vars(config).items()) | {"max_new_tokens": remembered.new_tokens(config)}
        for config in (before, after)
    )
    return {name: (old.get(name), value) for name, value in new.items() if old.get(name) != value}


def _public(items: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    return {name: value for name, value in items if not name.startswith("_") and name not in _NOT_SETTINGS}


def warnings(changed: Mapping[str, Any]) -> tuple[str, ...]:
    """Warnings about changes that greedy decoding does not imply: the beams that the checkpoint ships are dropped."""
    beams = (changed.get("num_beams") or (None, None))[0]
    if not beams or beams == 1:
        return ()
    return (
        f"the checkpoint generates with {beams} beams, the loader's default with one: pass num_beams={beams} to "
        f"generate(), or generation_config=None to the loader",
    )
