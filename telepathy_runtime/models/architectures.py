"""Converts a model's `config.json` to a `ModelSpec`: one small reader per architecture.

Every reader handles what is specific to its architecture. If a config lacks a value, the default documented in
transformers' config class is used, but the dimensions themselves are required. Anything else that
would change a count (experts, quantised storage, cross-attention in GPT-2) is an error that names it.
Each reader is tested against transformers' own meta-device build in `tests/runtime/memory`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from telepathy_runtime.models.any_config import dimensions, settings, text_of
from telepathy_runtime.models.consistency import check_model, check_no_experts
from telepathy_runtime.models.spec import ConfigError, ModelSpec, UnknownOptionError, element_size

Config = Mapping[str, Any]
Fields = dict[str, Any]


#: Suffixes of the class names of models with a language model's head.
_LANGUAGE = ("ForCausalLM", "LMHeadModel", "ForConditionalGeneration", "ForMaskedLM", "ForPreTraining")
#: Architectures that read text and images, and generate text.
VISION = ("llava", "qwen2_5_vl", "gemma3")


def spec_from_config(config: Config, model_id: str = "") -> ModelSpec:
    """The dimensions in a parsed `config.json`.

    Raises ConfigError if a dimension is missing or a feature would make the count wrong,
    UnknownOptionError if the architecture or dtype is not modelled.
    """
    name = config.get("model_type")
    if name not in READERS:
        known = ", ".join(sorted(READERS))
        raise UnknownOptionError(f"architecture {name!r} is not modelled; known model_type values: {known}")
    if config.get("quantization_config"):
        raise ConfigError("quantization_config: the bytes of quantised weights are not modelled")
    check_no_experts(config)
    fields = READERS[name](_Strict(config))
    rows = _head_rows(config)
    if rows is not None:
        fields |= {"head_rows": rows, "head_bias": False}
    fields |= settings(config)
    check_model(config, fields)
    return ModelSpec(id=model_id, architecture=name, dtype=dtype_of(config), **fields)


def counted_spec(
    config: Config, model_id: str, params: int, stored_bytes: int = 0, tower: int = 0
) -> ModelSpec:
    """The dimensions of a model whose `params`, and those of its `tower`, were counted elsewhere; values that its config lacks are 0.

    Raises UnknownOptionError for a dtype that is not modelled, ConfigError for a vision tower that no image fits.
    """
    try:
        fields = dimensions(config)
    except ValueError as error:
        raise ConfigError(str(error)) from error
    check_model(text_of(config), fields)
    name = next(iter(config.get("architectures") or ()), "")
    if name and not name.endswith(_LANGUAGE):
        fields["head_rows"] = 0
    return ModelSpec(
        id=model_id,
        architecture=str(config.get("model_type") or ""),
        dtype=dtype_of(config),
        counted=params,
        stored_bytes=stored_bytes,
        tower=tower,
        **fields,
    )


def dtype_of(config: Config) -> str:
    """The dtype of a checkpoint's weights. Raises UnknownOptionError for one that is not modelled."""
    dtype = str(config.get("dtype") or config.get("torch_dtype") or "float32").removeprefix("torch.")
    element_size(dtype)
    return dtype


def _head_rows(config: Config) -> int | None:
    """Outputs of the head named in `architectures`: None for a language model's head, 0 for no head.

    Raises UnknownOptionError for any other head, such as that of question answering.
    """
    name = next(iter(config.get("architectures") or ()), "")
    if not name or name.endswith(("ForCausalLM", "LMHeadModel", "T5ForConditionalGeneration")):
        return None
    if name.endswith("Model") and config.get("model_type") != "t5":
        return 0
    # All of these have a single matrix without a bias; its width is the number of labels.
    if name.endswith("ForSequenceClassification") and config.get("model_type") not in ("t5", "gptj"):
        labels = config.get("id2label") or range(config.get("num_labels") or 2)
        return len(labels)
    raise UnknownOptionError(f"architectures: the head of {name} is not modelled")


_TOO_LARGE = 2**31
"""No dimension of a tensor is so large; a product of a few would be more than PyTorch can count."""


class _Strict:
    """Reads keys of a config; a missing dimension is an error that names it."""

    def __init__(self, config: Config) -> None:
        self._config = config

    def count(self, key: str, least: int = 1) -> int:
        """A dimension: present, an integer, and at least `least`."""
        value = self._config.get(key)
        if not isinstance(value, int) or isinstance(value, bool) or not least <= value < _TOO_LARGE:
            wanted = "a positive integer" if least else "an integer of at least 0"
            if isinstance(value, int) and value >= _TOO_LARGE:
                wanted = "an integer below 2^31"
            raise ConfigError(f"config.json: {key} must be {wanted}, not {value!r}")
        return value

    def count_or(self, key: str, default: int, least: int = 1, absent: int | None = None) -> int:
        """A dimension that transformers computes if the config omits it or sets it to null; `absent`: if it omits it."""
        if absent is not None and key not in self._config:
            return absent
        return default if self._config.get(key) is None else self.count(key, least)

    def same(self, key: str, other: str) -> None:
        """Check that a second name for a dimension, which transformers prefers, has the same value."""
        if other in self._config and self._config[other] != self._config.get(key):
            given = f"{key} is {self._config.get(key)!r} and {other}, another name for it, is {self._config[other]!r}"
            raise ConfigError(f"config.json: {given}; leave one of them out")

    def flag(self, key: str, default: bool) -> bool:
        """A boolean; null and absent mean the documented default."""
        value = self._config.get(key)
        if value is not None and not isinstance(value, bool):
            raise ConfigError(f"config.json: {key} must be true or false, not {value!r}")
        return default if value is None else value

    def text(self, key: str, default: str) -> str:
        """A string; null and absent mean the documented default."""
        value = self._config.get(key)
        return default if value is None else str(value)

    def values(self, key: str) -> list[Any]:
        """A list; null and absent mean empty."""
        value = self._config.get(key)
        return list(value) if value else []

    def theta(self) -> float:
        """The base of the rotary embedding; transformers 5 puts it under rope_parameters."""
        nested = self._config.get("rope_parameters") or {}
        value = self._config.get(
            "rope_theta", nested.get("rope_theta") if isinstance(nested, Mapping) else None
        )
        return float(value or 0.0)


def _llama(c: _Strict) -> Fields:
    heads, hidden = c.count("num_attention_heads"), c.count("hidden_size")
    bias = c.flag("attention_bias", False)
    return {
        "layers": c.count("num_hidden_layers"),
        "hidden": hidden,
        "intermediate": c.count("intermediate_size"),
        "heads": heads,
        "kv_heads": c.count_or("num_key_value_heads", heads),
        "head_dim": c.count_or("head_dim", hidden // heads),
        "vocab": c.count("vocab_size"),
        "tied": c.flag("tie_word_embeddings", False),
        "max_positions": c.count("max_position_embeddings"),
        "rope_theta": c.theta(),
        "qkv_bias": bias,
        "out_bias": bias,
        "mlp_bias": c.flag("mlp_bias", False),
    }


_WINDOW = 4096
"""The default of `sliding_window` in the config classes that have one."""


def _sliding(c: _Strict, layers: int, default: int = _WINDOW) -> Fields:
    """The layers with a sliding window: from `layer_types` if the config has it, else so many `layers`."""
    kinds = c.values("layer_types")
    sliding = kinds.count("sliding_attention") if kinds else layers
    window = c.count_or("sliding_window", 0, absent=default) if sliding else 0
    return {"sliding_window": window, "sliding_layers": sliding if window else 0}


def _groups(c: _Strict, default: int) -> Fields:
    """The key heads of a config class that has a number for them."""
    return {"kv_heads": c.count_or("num_key_value_heads", c.count("num_attention_heads"), absent=default)}


def _mistral(c: _Strict) -> Fields:
    fields = _llama(c) | {"qkv_bias": False, "out_bias": False, "mlp_bias": False} | _groups(c, 8)
    return fields | _sliding(c, fields["layers"])


def _qwen2(c: _Strict) -> Fields:
    fields = _llama(c) | {"qkv_bias": True, "out_bias": False, "mlp_bias": False} | _groups(c, 32)
    if not c.flag("use_sliding_window", False):
        return fields
    # Without layer_types, layers from max_window_layers on use a sliding window (Qwen2Config).
    slid = max(fields["layers"] - c.count_or("max_window_layers", 28, least=0), 0)
    return fields | _sliding(c, slid)


def _qwen3(c: _Strict) -> Fields:
    bias = c.flag("attention_bias", False)
    fields = _qwen2(c) | {"qkv_bias": bias, "out_bias": bias, "qk_norm": True}
    return fields | {"head_dim": c.count_or("head_dim", 128)}


def _gemma(c: _Strict, groups: int = 16) -> Fields:
    return (
        _llama(c)
        | _groups(c, groups)
        | {
            "head_dim": c.count_or("head_dim", 256),
            "tied": c.flag("tie_word_embeddings", True),
            "mlp_bias": False,
        }
    )


def _gemma2(c: _Strict) -> Fields:
    fields = _gemma(c, 4) | {"norms_per_layer": 4}
    # Every other layer uses a sliding window, beginning with the first (Gemma2Config).
    return fields | _sliding(c, (fields["layers"] + 1) // 2)


def _gemma3(c: _Strict) -> Fields:
    fields = _gemma(c, 4) | {"norms_per_layer": 4, "qk_norm": True}
    every = c.count_or("sliding_window_pattern", 6)
    return fields | _sliding(c, fields["layers"] - fields["layers"] // every)


def _phi(c: _Strict) -> Fields:
    return _llama(c) | {
        "gated_mlp": False,
        "qkv_bias": True,
        "out_bias": True,
        "mlp_bias": True,
        "head_bias": True,
        "norm_bias": True,
        "norms_per_layer": 1,
        "qk_norm": c.flag("qk_layernorm", False),
    }


def _phi3(c: _Strict) -> Fields:
    fields = _llama(c) | {"qkv_bias": False, "out_bias": False, "mlp_bias": False}
    return fields | _sliding(c, fields["layers"], default=0)


#: The dimensions of GPT-2 and GPT-J, and other names for them, which transformers takes as well.
_ALSO_OF_GPT2 = {
    "n_embd": "hidden_size",
    "n_head": "num_attention_heads",
    "n_layer": "num_hidden_layers",
    "n_positions": "max_position_embeddings",
}


def _gpt2(c: _Strict) -> Fields:
    if c.flag("add_cross_attention", False):
        raise ConfigError("config.json: add_cross_attention is not modelled")
    for name, other in _ALSO_OF_GPT2.items():
        c.same(name, other)
    heads, hidden = c.count("n_head"), c.count("n_embd")
    positions = c.count("n_positions")
    return {
        "layers": c.count("n_layer"),
        "hidden": hidden,
        "intermediate": c.count_or("n_inner", 4 * hidden),
        "heads": heads,
        "kv_heads": heads,
        "head_dim": hidden // heads,
        "vocab": c.count("vocab_size"),
        "tied": c.flag("tie_word_embeddings", True),
        "max_positions": positions,
        "learned_positions": positions,
        "gated_mlp": False,
        "qkv_bias": True,
        "out_bias": True,
        "mlp_bias": True,
        "norm_bias": True,
    }


def _gptj(c: _Strict) -> Fields:
    return _gpt2(c) | {
        "tied": c.flag("tie_word_embeddings", False),
        "learned_positions": 0,
        "qkv_bias": False,
        "out_bias": False,
        "head_bias": True,
        "norms_per_layer": 1,
    }


def _gpt_neox(c: _Strict) -> Fields:
    fields = _llama(c)
    bias = c.flag("attention_bias", True)
    return fields | {
        "kv_heads": fields["heads"],
        "gated_mlp": False,
        "qkv_bias": bias,
        "out_bias": bias,
        "mlp_bias": True,
        "norm_bias": True,
    }


def _opt(c: _Strict) -> Fields:
    hidden, heads = c.count("hidden_size"), c.count("num_attention_heads")
    bias = c.flag("enable_bias", True)
    width = c.count_or("word_embed_proj_dim", hidden)
    # OPT-350m normalises after the block and has no norm at the end.
    final = c.flag("do_layer_norm_before", True) and not c.flag("_remove_final_layer_norm", False)
    positions = c.count("max_position_embeddings")
    return {
        "layers": c.count("num_hidden_layers"),
        "hidden": hidden,
        "intermediate": c.count("ffn_dim"),
        "heads": heads,
        "kv_heads": heads,
        "head_dim": hidden // heads,
        "vocab": c.count("vocab_size"),
        "tied": c.flag("tie_word_embeddings", True),
        "max_positions": positions,
        "learned_positions": positions + 2,  # OPT numbers positions from 2
        "embed_dim": 0 if width == hidden else width,
        "gated_mlp": False,
        "qkv_bias": bias,
        "out_bias": bias,
        "mlp_bias": bias,
        "norm_bias": True,
        "norm_affine": c.flag("layer_norm_elementwise_affine", True),
        "final_norms": int(final),
    }


def _t5(c: _Strict) -> Fields:
    layers, heads = c.count("num_layers"), c.count("num_heads")
    return {
        "layers": c.count_or("num_decoder_layers", layers),
        "encoder_layers": layers,
        "hidden": c.count("d_model"),
        "intermediate": c.count("d_ff"),
        "heads": heads,
        "kv_heads": heads,
        "head_dim": c.count("d_kv"),
        "vocab": c.count("vocab_size"),
        "tied": c.flag("tie_word_embeddings", True),
        "max_positions": c.count_or("n_positions", 512),
        "gated_mlp": c.text("feed_forward_proj", "relu").startswith("gated-"),
        "norms_per_layer": 3,
        "relative_buckets": c.count_or("relative_attention_num_buckets", 32),
    }


READERS: dict[str, Callable[[_Strict], Fields]] = {
    "llama": _llama,
    "mistral": _mistral,
    "qwen2": _qwen2,
    "qwen3": _qwen3,
    "gemma": _gemma,
    "gemma2": _gemma2,
    "gemma3_text": _gemma3,
    "phi": _phi,
    "phi3": _phi3,
    "gpt2": _gpt2,
    "gptj": _gptj,
    "gpt_neox": _gpt_neox,
    "opt": _opt,
    "t5": _t5,
}
