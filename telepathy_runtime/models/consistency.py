"""Settings of a config.json with which transformers cannot build a decoder, or cannot run it: each is an error that names the setting.

The closed forms would give a figure for most of them. What each family needs was tried with transformers' own models
(`tests/runtime/models/test_consistency.py`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from telepathy_runtime.models.spec import ConfigError

WHOLE = (
    "llama", "mistral", "qwen2", "qwen3", "qwen2_5_vl", "qwen2_5_vl_text", "smollm3", "granite", "olmo2", "olmo3", "gemma",
    "gemma2", "gemma3_text", "cohere", "cohere2", "starcoder2", "mixtral", "qwen2_moe", "qwen3_moe", "olmoe", "gpt_oss",
)  # fmt: skip
"""Decoders that rotate whole heads."""
SHARES = {"phi": 0.5, "phi3": 1.0, "glm": 0.5, "glm4": 0.5, "stablelm": 0.25, "gpt_neox": 0.25}
"""Decoders that rotate a share of each head, which their config says, and the defaults of their config classes."""
DECODERS = (*WHOLE, *SHARES, "gpt2", "gptj", "opt")
"""The types of the decoders whose layers have closed forms."""
OTHERS = ("bert", "roberta", "xlm-roberta", "electra", "distilbert", "deberta-v2", "t5", "whisper")
"""The types of the other models with closed forms."""
_OF_OTHERS = (
    "hidden_size", "dim", "d_model", "num_attention_heads", "n_heads", "num_heads", "encoder_attention_heads",
    "decoder_attention_heads", "num_hidden_layers", "n_layers", "num_layers", "num_decoder_layers", "encoder_layers",
    "decoder_layers", "intermediate_size", "hidden_dim", "d_ff", "encoder_ffn_dim", "decoder_ffn_dim", "d_kv", "vocab_size",
    "max_position_embeddings", "max_source_positions", "max_target_positions", "num_mel_bins",
)  # fmt: skip
"""The names of their sizes."""
_EVEN = ("phi", "stablelm")
"""Those whose share must be an even number of a head's; the others round up."""
_OWN_WIDTH = ("stablelm", "gpt_neox")
"""Those whose heads always share the hidden size, whatever width of a head the config gives."""
_ONE_WIDTH = ("llama", "gemma2", "gemma3_text", "gpt_neox", "gpt2", "gptj", "opt", "stablelm")
"""Those whose heads must divide the hidden size, also where the config gives the width of a head."""
_LAYER_TYPES = (
    "full_attention", "sliding_attention", "chunked_attention", "window_attention", "indexed_attention",
    "compressed_sparse_attention", "heavily_compressed_attention", "minimax_m3_sparse", "conv", "moe", "hybrid",
    "hybrid_sliding", "reference_sliding_attention", "linear_attention", "sparse", "dense",
)  # fmt: skip
"""Kinds of layers that transformers knows."""
_KINDS_OF_LAYERS = ("full_attention", "sliding_attention")
"""Those that these decoders have."""
ACTIVATIONS = frozenset(
    (
        "gelu", "gelu_10", "gelu_accurate", "gelu_fast", "gelu_new", "gelu_python", "gelu_python_tanh", "gelu_pytorch_tanh",
        "hardswish", "laplace", "leaky_relu", "linear", "mish", "prelu", "quick_gelu", "relu", "relu2", "relu6", "sigmoid",
        "silu", "sqrtsoftplus", "swish", "tanh", "xielu",
    )
)  # fmt: skip
"""The names of transformers' activations."""
_ROTATIONS: dict[str, tuple[str, ...]] = {
    "default": (), "mrope": (), "proportional": (), "linear": ("factor",), "dynamic": ("factor",), "yarn": ("factor",),
    "llama3": ("factor", "low_freq_factor", "high_freq_factor"), "longrope": ("short_factor", "long_factor"),
    "su": ("short_factor", "long_factor"),
}  # fmt: skip
"""Kinds of rotation, and what each needs."""
_OF_PHI3 = ("default", "longrope", "su", "yarn")
_MROPE = ("qwen2_5_vl", "qwen2_5_vl_text", "olmo3", "gemma3_text")
"""Those that rotate by three positions, or read `mrope` as the default rotation."""


_KINDS: dict[str, tuple[type | tuple[type, ...], str]] = {
    "model_type": (str, "a string"),
    "dtype": (str, "a string"),
    "torch_dtype": (str, "a string"),
    "architectures": (list, "a list of strings"),
    "id2label": (dict, "an object"),
    "num_labels": (int, "an integer"),
    "quantization_config": (dict, "an object"),
    "rope_theta": ((int, float), "a number"),
    **dict.fromkeys(("text_config", "vision_config", "rope_parameters", "rope_scaling"), (dict, "an object")),
}  # fmt: skip
"""Of what kind a value is, if it is there."""


def check_kinds(config: Mapping[str, Any]) -> None:
    """Check the values that are read before a model is built. Raises ConfigError that names the first of another kind."""
    for name, (kind, words) in _KINDS.items():
        given = config.get(name)
        if given is not None and (not isinstance(given, kind) or isinstance(given, bool)):
            raise ConfigError(f"config.json: {name} must be {words}, not {given!r}")
    if not all(isinstance(each, str) for each in config.get("architectures") or ()):
        raise ConfigError(
            f"config.json: architectures must be a list of strings, not {config['architectures']!r}"
        )


def rotations(text: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The settings of the rotation, or those of each kind of layers. Raises ConfigError for what is no object."""
    place = "rope_scaling" if text.get("rope_scaling") else "rope_parameters"
    rope: Mapping[str, Any] = text.get(place) or {}
    if not isinstance(rope, Mapping):
        raise ConfigError(f"config.json: {place} must be an object, not {rope!r}")
    nested = [part for name, part in rope.items() if name in _LAYER_TYPES and part is not None]
    for part in nested:
        if not isinstance(part, Mapping):
            raise ConfigError(
                f"config.json: {place} must have an object for each kind of layers, not {part!r}"
            )
    return nested or [rope]


def check_model(text: Mapping[str, Any], fields: Mapping[str, Any], where: str = "config.json") -> None:
    """Check the config of a language model, or of the text part of a model with several parts, against the `fields` that were read of it.

    `where` begins the message.

    Raises ConfigError for what transformers cannot build or run. Other models than `DECODERS` and `OTHERS` are not looked at.
    """
    kind = str(text.get("model_type"))
    problems: Iterator[str] = iter(())
    if kind in OTHERS:
        problems = _of_others(kind, text)
    elif kind in DECODERS:
        if kind not in _WITH_EXPERTS:
            check_no_experts(text, where)
        problems = _of_decoders(kind, text, fields)
    for problem in problems:
        raise ConfigError(f"{where}: {problem}; transformers cannot run {kind} with it")


_WITH_EXPERTS = ("mixtral", "qwen2_moe", "qwen3_moe", "olmoe", "gpt_oss")
_EXPERTS = ("num_local_experts", "num_experts", "n_routed_experts", "moe_num_experts")
"""Keys for the number of experts. transformers silently builds a dense model from such a config."""


def check_no_experts(text: Mapping[str, Any], where: str = "config.json") -> None:
    """Check that the config of a dense model names no experts. Raises ConfigError that names the setting."""
    for name in _EXPERTS:
        if isinstance(text.get(name), int) and text[name] > 1:
            raise ConfigError(
                f"{where}: {name} is {text[name]}, but model_type {text.get('model_type')!r} has no experts in transformers, which "
                "would ignore it; give the model_type of the architecture with experts"
            )


def _of_decoders(kind: str, text: Mapping[str, Any], fields: Mapping[str, Any]) -> Iterator[str]:
    """The problems of a decoder."""
    yield from _sizes(kind, text)
    yield from _heads(kind, fields)
    yield from _layers(kind, text, fields)
    yield from _experts(text, fields)
    yield from _rotation(kind, text, fields)
    yield from _activation(text)


_SIZES = (
    *(("num_hidden_layers", "n_layer"), ("hidden_size", "n_embd"), ("num_attention_heads", "n_head")),
    *(("num_key_value_heads",), ("head_dim",), ("vocab_size",)),
    ("moe_intermediate_size", "intermediate_size", "ffn_dim", "n_inner"),
)


_NO_NULL = {
    "head_dim": ("gemma", "gemma2", "gemma3_text", "qwen2", "qwen3", "phi", "phi3"),
    "num_key_value_heads": ("mistral", "gemma", "gemma2", "gemma3_text"),
    "attention_dropout": (*WHOLE, *SHARES, "opt"),
    "layer_norm_eps": ("cohere", "cohere2"),
    "logit_scale": ("cohere", "cohere2"),
}
"""Those in which a number may be left out, but not be null."""


def _sizes(kind: str, text: Mapping[str, Any]) -> Iterator[str]:
    for name, kinds in _NO_NULL.items():
        if kind in kinds and name in text and text[name] is None:
            yield f"{name} must not be null; leave it out for its default"
    scale = text.get("query_pre_attn_scalar", 1)
    if kind in ("gemma2", "gemma3_text") and isinstance(scale, (int, float)) and scale <= 0:
        yield f"query_pre_attn_scalar must be a positive integer, not {scale!r}"
    for names in _SIZES:
        bad = [each for each in names if isinstance(text.get(each), int) and text[each] < 1]
        if bad:
            yield f"{bad[0]} must be a positive integer, not {text[bad[0]]!r}"


def _of_others(kind: str, text: Mapping[str, Any]) -> Iterator[str]:
    """The problems of encoders and encoder-decoders."""
    tables = ("type_vocab_size",) if kind in ("bert", "roberta", "xlm-roberta", "electra") else ()
    for name in (*_OF_OTHERS, *tables):
        if isinstance(text.get(name), int) and text[name] < 1:
            yield f"{name} must be a positive integer, not {text[name]!r}"
    hidden, heads = text.get("hidden_size"), text.get("num_attention_heads")
    if kind == "electra" and isinstance(hidden, int) and isinstance(heads, int) and hidden % heads:
        yield f"the hidden size {hidden} must be a multiple of the number of heads {heads}"
    given = text.get("feed_forward_proj", "relu")
    if kind == "t5" and str(given).removeprefix("gated-") not in ACTIVATIONS:
        yield f"feed_forward_proj {given!r} is no activation, alone or behind gated-"
    yield from _activation(text)


def _heads(kind: str, fields: Mapping[str, Any]) -> Iterator[str]:
    heads, kv, hidden = fields["heads"], fields["kv_heads"], fields["hidden"]
    if kv and heads % kv:
        yield f"num_attention_heads {heads} must be a multiple of num_key_value_heads {kv}"
    if kind in _ONE_WIDTH and heads and hidden % heads:
        yield f"the hidden size {hidden} must be a multiple of the number of heads {heads}"
    if heads and hidden < heads and not fields["head_dim"]:
        yield f"the hidden size {hidden} must be at least the number of heads {heads}"
    if kind in _OWN_WIDTH and heads and fields["head_dim"] != hidden // heads:
        yield f"head_dim must be {hidden // heads}, the hidden size for each head, not {fields['head_dim']}"
    if kind == "olmoe" and heads * fields["head_dim"] != hidden:
        yield f"the hidden size {hidden} must be that of all heads together, {heads * fields['head_dim']}"


def _layers(kind: str, text: Mapping[str, Any], fields: Mapping[str, Any]) -> Iterator[str]:
    kinds, layers = text.get("layer_types"), fields["layers"]
    if kinds is not None:
        if not isinstance(kinds, (list, tuple)):
            yield f"layer_types must be a list of names, not {kinds!r}"
            return
        odd = [each for each in kinds if each not in _LAYER_TYPES]
        other = [each for each in kinds if each not in _KINDS_OF_LAYERS]
        if other and not odd:
            yield f"layer_types: {kind} has no layers of the kind {other[0]!r}; it has {' and '.join(_KINDS_OF_LAYERS)}"
        if odd:
            yield f"layer_types: {odd[0]!r} is no kind of layer; known: {', '.join(_LAYER_TYPES[:2])} and others"
        if kinds and layers and len(kinds) != layers:
            yield f"layer_types has {len(kinds)} entries for {layers} layers"
    window = text.get("sliding_window")
    if kind in _SWITCHED and not text.get("use_sliding_window", False):
        window = None
    slides = "sliding_attention" in kinds if kinds else kind in _SLIDING and "sliding_window" in text
    if slides and (not isinstance(window, int) or isinstance(window, bool)):
        yield f"sliding_window must be a positive integer where layers have a window, not {window!r}" + (
            " (without use_sliding_window)" if kind in _SWITCHED else ""
        )
    elif type(window) is int and window < 1 and (slides or kind in (*_SWITCHED, *_ALL)):
        yield f"sliding_window must be a positive integer or null, not {window!r}"


_SWITCHED = ("qwen2", "qwen3", "qwen3_moe", "qwen2_moe")
"""Those whose window is on only with use_sliding_window."""
_SLIDING = ("gemma2", "gemma3_text", "olmo3", "cohere2", "gpt_oss")
"""Those with layers that have a window, where the config does not list the layers' kinds."""
_ALL = ("mistral", "mixtral", "starcoder2", "phi3")
"""Those whose layers all have a window, if the config has one."""


def _experts(text: Mapping[str, Any], fields: Mapping[str, Any]) -> Iterator[str]:
    for name in ("num_local_experts", "num_experts"):
        if isinstance(text.get(name), int) and text[name] < 1:
            yield f"{name} must be a positive integer, not {text[name]!r}"
    experts, each = fields.get("experts", 0), fields.get("experts_per_token", 0)
    if experts and not 0 < each <= experts:
        yield f"num_experts_per_tok must be from 1 to {experts}, the number of experts, not {each}"


def _rotation(kind: str, text: Mapping[str, Any], fields: Mapping[str, Any]) -> Iterator[str]:
    width = fields["head_dim"]
    if kind == "gptj":
        turned = round(width * (fields.get("rotated") or 1))
        if turned % 2:
            yield f"rotary_dim must be even, not {turned}"
    if kind not in (*WHOLE, *SHARES):
        # They do not rotate, but their config classes check what they are given.
        for rope in rotations(text):
            yield from _needs(_kind_of(rope), rope)
        return
    for name in _SHARE_OF.get(kind, ()):
        if name in text and text[name] is None:
            yield f"{name} must not be null; leave it out for its default"
    share = fields.get("rotated") or SHARES.get(kind, 1.0)
    turned = int(width * share) if kind in SHARES else width
    for rope in rotations(text):
        yield from _one_rotation(kind, rope, text, turned)
    # A single number takes part by broadcasting.
    if turned % 2 and (turned == width or (kind in _EVEN and turned > 1)):
        yield f"the rotated part of a head must be an even number, not {turned} of {width}"


_SHARE_OF = {
    "phi": ("partial_rotary_factor",),
    "phi3": ("partial_rotary_factor",),
    "gpt_neox": ("rotary_pct",),
}
"""Those in which the share may be left out, but not be null."""


def _kind_of(rope: Mapping[str, Any]) -> Any:
    return rope.get("rope_type", rope.get("type", "default"))


def _one_rotation(kind: str, rope: Mapping[str, Any], text: Mapping[str, Any], turned: int) -> Iterator[str]:
    """The problems of one rotation of `turned` numbers of a head."""
    name = _kind_of(rope)
    known = (
        _OF_PHI3
        if kind == "phi3"
        else tuple(each for each in _ROTATIONS if each != "mrope" or kind in _MROPE)
    )
    if name not in known:
        yield f"{name!r} is no kind of rotation of {kind}; known: {', '.join(known)}"
        return
    if (kind, name) == ("phi3", "yarn"):
        name = "longrope"  # as its config class reads it
    yield from _needs(name, rope)
    theta = rope.get("rope_theta", text.get("rope_theta", 1))
    if type(theta) not in (int, float):
        yield f"rope_theta must be a number, not {theta!r}; leave it out for its default"
    given = rope.get("partial_rotary_factor", text.get("partial_rotary_factor"))
    if kind in WHOLE and given not in (None, 1) and name not in ("default", "mrope", "proportional"):
        yield f"partial_rotary_factor {given} with the rotation {name!r}: its heads are rotated whole"
    if name == "dynamic" and turned == 2:
        yield "the rotation 'dynamic' needs more than two rotated numbers of a head"
    for factors in ("short_factor", "long_factor"):
        each = rope.get(factors)
        if name in ("longrope", "su") and isinstance(each, list) and len(each) != turned // 2:
            yield f"{factors} must have {turned // 2} numbers, half of those that are rotated, not {len(each)}"


def _needs(name: Any, rope: Mapping[str, Any]) -> Iterator[str]:
    """What a rotation of this kind lacks, or has in another form than numbers."""
    wanted = _ROTATIONS.get(name, ()) if isinstance(name, str) else ()
    lacks = [key for key in wanted if rope.get(key) is None]
    if lacks:
        yield f"the rotation {name!r} needs {' and '.join(lacks)}"
    for key in wanted:
        if key.endswith("_factor") and key.startswith(("short", "long")):
            continue
        if type(rope.get(key, 1)) not in (int, float):
            yield f"the rotation {name!r} needs a number as {key}, not {rope[key]!r}"
    before = rope.get("original_max_position_embeddings", 1)
    if name == "yarn" and (type(before) is not int or before < 1):
        yield f"original_max_position_embeddings must be a positive integer, not {before!r}"


def _activation(text: Mapping[str, Any]) -> Iterator[str]:
    for name in ("hidden_activation", "activation_function", "hidden_act"):
        given = text.get(name)
        if given is not None and (not isinstance(given, str) or given not in ACTIVATIONS):
            yield f"{name} {given!r} is no activation; known: {', '.join(sorted(ACTIVATIONS))}"
