"""The names that transformers gives to the matrices of a layer, which are those of PEFT's `target_modules`."""

from __future__ import annotations

from collections.abc import Iterable

from telepathy_runtime.models.spec import UnknownOptionError

_LLAMA = {
    "q": "q_proj", "k": "k_proj", "v": "v_proj", "qkv": "qkv_proj", "o": "o_proj",
    "gate": "gate_proj", "up": "up_proj", "gate_up": "gate_up_proj", "down": "down_proj",
}  # fmt: skip
_OPT = {"o": "out_proj", "up": "fc1", "down": "fc2"}
_ENCODER = {"q": "query", "k": "key", "v": "value", "o": "dense", "up": "dense", "down": "dense"}
_OTHER: dict[str, dict[str, str]] = {
    "starcoder2": {"up": "c_fc", "down": "c_proj"},
    "gpt2": {"qkv": "c_attn", "o": "c_proj", "up": "c_fc", "down": "c_proj"},
    "gptj": {"o": "out_proj", "up": "fc_in", "down": "fc_out"},
    "gpt_neox": {"qkv": "query_key_value", "o": "dense", "up": "dense_h_to_4h", "down": "dense_4h_to_h"},
    "phi": _OPT | {"o": "dense"},
    "opt": _OPT,
    **dict.fromkeys(("bert", "roberta", "xlm-roberta", "electra"), _ENCODER),
    "deberta-v2": _ENCODER | {"q": "query_proj", "k": "key_proj", "v": "value_proj"},
    "distilbert": {"q": "q_lin", "k": "k_lin", "v": "v_lin", "o": "out_lin", "up": "lin1", "down": "lin2"},
}
"""Of each model type, the matrices that are not named as Llama's, by their sites in a layer."""
EVERY = "all-linear"
"""What stands for all linear layers."""
USUAL = ("q_proj", "v_proj")
"""The default: queries and values, or the one matrix of queries, keys and values, whatever the model calls them."""
NAMES = frozenset(name for names in (_LLAMA, *_OTHER.values()) for name in names.values())
"""All names of these matrices."""


class UnknownTargetError(UnknownOptionError):
    """A model has no matrix of a name; the message lists the names of those it has."""

    def __init__(
        self, name: str, model: str, known: Iterable[str], why: str = "no such matrix in its layers"
    ) -> None:
        listed = ", ".join(dict.fromkeys((*known, EVERY)))
        super().__init__(f"lora_targets {name} (--lora-targets): {model} has {why}; known: {listed}")


def names_of(model_type: str, sites: Iterable[str]) -> dict[str, str]:
    """The name of the matrix at each of the sites of a layer."""
    names = _LLAMA | _OTHER.get(model_type, {})
    return {site: names[site] for site in sites}


def sites_of(targets: tuple[str, ...], model_type: str, sites: Iterable[str]) -> list[str]:
    """Those of a layer's `sites` whose matrices have adapters, in the order of the targets.

    Raises UnknownTargetError for a name that none of them has.
    """
    names = names_of(model_type, sites)
    if targets == USUAL:
        return ["qkv"] if "qkv" in names else ["q", "v"]
    found: dict[str, None] = {}
    for target in targets:
        there = [site for site, name in names.items() if target in (name, EVERY)]
        if not there:
            raise UnknownTargetError(target, model_type, names.values())
        found |= dict.fromkeys(there)
    return list(found)
