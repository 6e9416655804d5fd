"""Reads the dimensions from any `config.json`, whatever their names, for models without a closed form.

The parameters of such a model are counted, not computed; the dimensions are used for the size of its cache and in tables.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from telepathy_runtime.models.consistency import SHARES, rotations
from telepathy_runtime.models.spec import ConfigError
from telepathy_runtime.models.towers import tower_of

#: The names of each dimension in transformers' config classes, the most common first.
_NAMES = {
    "layers": ("decoder_layers", "num_hidden_layers", "n_layer", "num_layers", "n_layers"),
    "hidden": ("hidden_size", "n_embd", "d_model", "dim", "n_embed"),
    "intermediate": ("intermediate_size", "n_inner", "d_ff", "ffn_dim", "hidden_dim", "decoder_ffn_dim"),
    "heads": ("decoder_attention_heads", "num_attention_heads", "n_head", "num_heads", "n_heads"),
    "kv_heads": ("num_key_value_heads", "num_kv_heads"),
    "head_dim": ("head_dim", "d_kv", "attention_head_dim"),
    "vocab": ("vocab_size",),
    "max_positions": (
        "max_position_embeddings",
        "n_positions",
        "max_seq_len",
        "max_target_positions",
        "n_ctx",
    ),
    "sliding_window": ("sliding_window",),
    "encoder_layers": ("encoder_layers",),
    "experts": ("num_local_experts", "num_experts", "n_routed_experts"),
    "experts_per_token": ("num_experts_per_tok",),
    "shared_width": ("shared_expert_intermediate_size",),
}
#: Values of `layer_types` for layers that cache the whole sequence or a window.
_FULL, _SLIDING = "full_attention", "sliding_attention"
#: Suffixes of class names of models that generate with a cache.
_GENERATES = ("ForCausalLM", "LMHeadModel", "ForConditionalGeneration")


def dimensions(config: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of a ModelSpec from `config`; 0 if a field is not given.

    For a model with several parts, such as vision and text, these are the dimensions of the text part.
    """
    text = text_of(config)
    found = {field: _count(text, names) for field, names in _NAMES.items()}
    window = found.pop("sliding_window")
    if text.get("decoder_sparse_step", 1) != 1 or text.get("mlp_only_layers"):
        found["experts"] = 0  # only some layers have experts, which no dimension here says
    if found["experts"]:
        found["intermediate"] = _count(text, ("moe_intermediate_size",)) or found["intermediate"]
    heads = found["heads"]
    found["kv_heads"] = found["kv_heads"] or (1 if text.get("multi_query") else heads)
    found["head_dim"] = found["head_dim"] or (found["hidden"] // heads if heads else 0)
    kind = str(text.get("model_type") or config.get("model_type"))
    tied = config.get("tie_word_embeddings")
    fields: dict[str, Any] = found | {"tied": kind in _TIED if tied is None else bool(tied)}
    if text is not config:
        fields["text"] = kind
    if text.get("kv_lora_rank"):  # latent attention: transformers caches the keys and values it projects to
        fields["head_dim"] = _count(text, ("qk_nope_head_dim",)) + _count(text, ("qk_rope_head_dim",))
        fields["value_dim"] = _count(text, ("v_head_dim",))
    if kind == "electra":
        width = _count(text, ("embedding_size",)) or 128
        fields["embed_dim"] = 0 if width == found["hidden"] else width
    if kind == "deberta-v2":
        fields |= _distances(text)
    fields["gated_mlp"] = text.get("model_type") not in _PLAIN_MLP
    fields |= _recording(config) | {"vision": tower_of(config)}
    return fields | settings(config) | _cache(config, text, window, found["layers"])


def _distances(config: Mapping[str, Any]) -> dict[str, Any]:
    """How DeBERTa's attention reads distances; nothing if that, or the activation, is not as in the published models."""
    ways = config.get("pos_att_type") or ()
    names = {each.strip() for each in (ways.lower().split("|") if isinstance(ways, str) else ways)}
    published = (
        *(config.get(name) for name in ("relative_attention", "share_att_key")),
        names == {"p2c", "c2p"},
        config.get("norm_rel_ebd") == "layer_norm",
        config.get("position_biased_input") is False,
        not config.get("type_vocab_size"),
        config.get("legacy", True),
        config.get("conv_kernel_size", 0) in (0, 3),
        not config.get("conv_kernel_size") or config.get("conv_act") == "gelu",
        config.get("conv_groups", 1) == 1,
        config.get("embedding_size", config.get("hidden_size")) == config.get("hidden_size"),
        config.get("hidden_act", "gelu") == "gelu",
    )
    if not all(published):
        return {}
    buckets = _count(config, ("position_buckets", "max_relative_positions", "max_position_embeddings"))
    return {"relative_buckets": buckets, "convolved": bool(config.get("conv_kernel_size"))}


def _recording(config: Mapping[str, Any]) -> dict[str, int]:
    """What an encoder that listens reads (Whisper); nothing if its layers are of another shape than the decoder's."""
    same = all(
        config.get(f"encoder_{name}") == config.get(f"decoder_{name}")
        for name in ("attention_heads", "ffn_dim")
    )
    other = ("encoder_layerdrop", "decoder_layerdrop", "apply_spec_augment")
    if config.get("model_type") != "whisper" or not same or any(config.get(name) for name in other):
        return {}
    return {
        "mel_bins": _count(config, ("num_mel_bins",)),
        "source_positions": _count(config, ("max_source_positions",)),
    }


#: Architectures whose head is the embedding if the config does not say otherwise.
_TIED = (
    *("gemma", "gemma2", "gemma3_text", "smollm3", "cohere", "cohere2", "starcoder2", "bloom", "gpt_bigcode"),
    *(
        "falcon",
        "bert",
        "roberta",
        "xlm-roberta",
        "distilbert",
        "electra",
        "deberta-v2",
        "mpnet",
        "whisper",
        "bart",
        "mbart",
        "pegasus",
    ),
)
#: Architectures whose feed-forward block has no gate.
_PLAIN_MLP = (
    "starcoder2",
    "gpt_bigcode",
    "bloom",
    "falcon",
    "bert",
    "roberta",
    "xlm-roberta",
    "distilbert",
    "electra",
    "deberta-v2",
    "mpnet",
)
#: Settings of a config that decide what a layer keeps for its backward, and their names, the most common first.
_RATES = {
    "dropout": (
        "resid_pdrop",
        "residual_dropout",
        "hidden_dropout",
        "dropout",
        "hidden_dropout_prob",
        "dropout_rate",
    ),
    "embedding_dropout": ("embd_pdrop", "embedding_dropout"),
    "attention_dropout": ("attn_pdrop", "attention_dropout", "attention_probs_dropout_prob"),
    "activation_dropout": ("activation_dropout",),
    "attention_softcap": ("attn_logit_softcapping",),
    "logit_softcap": ("final_logit_softcapping",),
}
#: Model types that read one of these from another setting.
_OTHER_RATES = {"gpt_neox": {"embedding_dropout": ("hidden_dropout",)}}
_ACTIVATION = ("hidden_activation", "activation_function", "hidden_act", "activation")
#: The defaults of transformers' config classes that are not none.
_GPT2 = {"activation": "gelu_new", "dropout": 0.1, "embedding_dropout": 0.1, "attention_dropout": 0.1}
_BERT = {"activation": "gelu", "dropout": 0.1, "attention_dropout": 0.1}
_T5 = {"activation": "relu", "dropout": 0.1}
_DEFAULTS: dict[str, dict[str, Any]] = {
    "bert": _BERT,
    "roberta": _BERT,
    "xlm-roberta": _BERT,
    "distilbert": _BERT,
    "electra": _BERT,
    "deberta-v2": _BERT,
    "gpt2": _GPT2,
    "gpt_bigcode": _GPT2 | {"activation": "gelu_pytorch_tanh"},
    "gptj": {"activation": "gelu_new"},
    "phi": {"activation": "gelu_new"},
    "opt": {"activation": "relu", "dropout": 0.1},
    "t5": _T5,
    "whisper": {"activation": "gelu"},
    "gemma2": {"attention_softcap": 50.0, "logit_softcap": 30.0},
}


_FEED_FORWARD = {"gated-gelu": "gelu_new"}


def settings(config: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of a ModelSpec that do not change its size, but what its layers keep for the backward pass."""
    text = text_of(config)
    defaults = _DEFAULTS.get(str(text.get("model_type")), {})
    found: dict[str, Any] = {
        "activation": next(
            (str(text[name]) for name in _ACTIVATION if text.get(name)), defaults.get("activation", "silu")
        )
    }
    if text.get(
        "feed_forward_proj"
    ):  # of T5: the activation behind "gated-", whose gelu is the one in single operations
        found["activation"] = _FEED_FORWARD.get(
            name := str(text["feed_forward_proj"]), name.rpartition("-")[2]
        )
        untied = text.get("tie_word_embeddings", True) is False
        found["scaled_output"] = bool(text.get("scale_decoder_outputs", not untied))
    found["rotated"] = _rotated(text)
    for field, names in (_RATES | _OTHER_RATES.get(str(text.get("model_type")), {})).items():
        name, given = next(
            ((name, text[name]) for name in names if name in text), ("", defaults.get(field, 0))
        )
        number = isinstance(given, (int, float)) and not isinstance(given, bool)
        if (
            given is not None
            and given is not False
            and not (number and given >= 0 and (given <= 1 or "cap" in field))
        ):
            what = "a number of at least 0" + (" and at most 1" if "cap" not in field else "")
            raise ConfigError(f"config.json: {name} must be {what}, not {given!r}")
        found[field] = bool(given)
    return found


def _rotated(text: Mapping[str, Any]) -> float:
    """The share of a head that is rotated; 0 if the config does not say it.

    Raises ConfigError for a value that is no such share.
    """
    kind = text.get("model_type")
    if kind == "gptj":
        width = _count(text, ("n_embd",)) // max(_count(text, ("n_head",)), 1)
        turned = text.get("rotary_dim", 64)  # the default of its config class
        if not isinstance(turned, int) or isinstance(turned, bool) or not 0 < turned <= width:
            raise ConfigError(
                f"config.json: rotary_dim must be an integer from 1 to {width}, the width of a head, not {turned!r}"
            )
        return turned / width
    # GPT-NeoX has a name of its own for it outside the rotation's settings.
    outside = "rotary_pct" if kind == "gpt_neox" else "partial_rotary_factor"
    shares = [_share(rope, "partial_rotary_factor", kind in SHARES) for rope in rotations(text)]
    shares.append(_share(text, outside, kind in SHARES))
    for name in ("partial_rotary_factor", "rotary_pct"):
        _share(text, name, False)  # also what is not read has to be a share
    return next((share for share in shares if share), 0.0)


def _share(place: Mapping[str, Any], name: str, read: bool) -> float:
    """A share of a head; 0 if it is not given, or not `read` and 0. Raises ConfigError for a value that is none."""
    share = place.get(name)
    if share is None or (share == 0 and not read):
        return 0.0
    if not isinstance(share, (int, float)) or isinstance(share, bool) or not 0 < share <= 1:
        raise ConfigError(f"config.json: {name} must be a number above 0 and at most 1, not {share!r}")
    return float(share)


def _cache(config: Mapping[str, Any], text: Mapping[str, Any], window: int, layers: int) -> dict[str, int]:
    """The number of layers that keep keys and values, and how many of these use a sliding window."""
    name = next(iter(config.get("architectures") or ()), "")
    kinds = list(text.get("layer_types") or ())
    if name and not name.endswith(_GENERATES):
        return {"cached_layers": 0}
    if kinds:
        sliding = kinds.count(_SLIDING) if window else 0
        kept = kinds.count(_FULL) + kinds.count(_SLIDING)
        return {"cached_layers": kept, "sliding_layers": sliding, "sliding_window": window}
    if (
        window and text.get("model_type") == "gemma3_text"
    ):  # the default of its config class: one layer of six has no window
        full = layers // (_count(text, ("sliding_window_pattern",)) or 6)
        return {"cached_layers": layers, "sliding_layers": layers - full, "sliding_window": window}
    every = window and config.get("model_type") in _ALL_SLIDE and text.get("use_sliding_window", True)
    return {"cached_layers": layers, "sliding_layers": layers, "sliding_window": window} if every else {}


#: Architectures that use a sliding window in every layer if their config has a window and no `layer_types`.
_ALL_SLIDE = ("mixtral", "starcoder2", "phimoe")


def text_of(config: Mapping[str, Any]) -> Mapping[str, Any]:
    """The text part of a model with several parts, or all of the config."""
    for name in ("text_config", "language_config", "llm_config", "decoder", "thinker_config"):
        part = config.get(name)
        if isinstance(part, Mapping):
            return text_of(part)
    return config


def _count(config: Mapping[str, Any], names: tuple[str, ...]) -> int:
    for name in names:
        value = config.get(name)
        if isinstance(value, int) and not isinstance(value, bool) and value > 0:
            return value
    return 0
