"""What happened to arguments of loading calls between transformers 4.36 and 5, as plain data.

The rules use this table; `tests/lint/knowledge/test_claims.py` runs each entry with the installed
transformers and compares the outcome with the column of that version.
"""

from __future__ import annotations

from telepathy_lint.hints import Literal, NamedTuple

Version = tuple[int, int]
#: The oldest release that the table speaks of.
OLDEST = (4, 36)
#: The outcome of an argument: it works, it works with a deprecation warning, it has no effect, or the call
#: raises.
Outcome = Literal["works", "warns", "ignored", "error"]
#: The receiver of the arguments: a model class, a tokenizer class, another class (config, processor), or
#: `pipeline`.
Place = Literal["model", "tokenizer", "other", "pipeline"]
#: How a fix replaces it: by another name, by removing it, by a quantization config, by an attention
#: implementation.
How = Literal["rename", "remove", "remove-false", "quantization", "attention", "by hand"]


class Old(NamedTuple):
    """An argument that transformers renamed, removed or ignores."""

    name: str
    #: For each place that accepts it: the outcome in 4.57 and in 5.
    outcomes: tuple[tuple[Place, Outcome, Outcome], ...]
    #: The recommendation; see `advice_for`.
    advice: str
    how: How
    #: The finding applies if the project's lowest version is at least this; None if it always applies.
    since: Version | None = None
    #: The new name, for "rename".
    new: str = ""
    #: The release that knows the new name; in a project that is pinned below it, the old one is right.
    known_since: Version | None = None
    #: Whether a class outside transformers, or one in the checkpoint, may accept it.
    known_elsewhere: bool = False
    #: Whether only models that generate text accept(ed) it.
    generative: bool = False

    def advice_for(self, value: object) -> str:
        """Return the recommendation for this value; a switch that is off needs no replacement."""
        return _NO_EFFECT if value is False and self.how in _SWITCHES else self.advice

    def outcome(self, place: Place) -> tuple[Outcome, Outcome] | None:
        """Return the outcomes in 4.57 and 5 at a place; None if the place never accepted the argument."""
        fitting = (place, "other") if place == "tokenizer" else (place,)
        return next(((four, five) for where, four, five in self.outcomes if where in fitting), None)


def _model(four: Outcome, five: Outcome) -> tuple[tuple[Place, Outcome, Outcome], ...]:
    return (("model", four, five),)


_QUANTIZATION = "pass quantization_config=BitsAndBytesConfig(...)"
_NO_EFFECT = "remove it"
_SWITCHES = ("remove-false", "quantization", "attention")

OLD = (
    Old(
        "torch_dtype",
        (("model", "warns", "warns"), ("pipeline", "warns", "warns")),
        "use dtype (since 4.56)",
        "rename",
        since=(4, 56),
        new="dtype",
    ),
    Old("load_in_8bit", _model("warns", "error"), _QUANTIZATION, "quantization"),
    Old("load_in_4bit", _model("warns", "error"), _QUANTIZATION, "quantization"),
    Old(
        "use_auth_token",
        (("model", "warns", "error"), ("other", "warns", "ignored")),
        "use token",
        "rename",
        new="token",
        known_since=(4, 31),
    ),
    Old(
        "use_flash_attention_2",
        _model("error", "error"),
        'pass attn_implementation="flash_attention_2"',
        "attention",
        known_elsewhere=True,
    ),
    Old(
        "resume_download",
        (("model", "ignored", "error"), ("other", "ignored", "ignored")),
        "downloads always resume; remove it",
        "remove",
    ),
    Old("mirror", (("model", "ignored", "ignored"), ("other", "ignored", "ignored")), _NO_EFFECT, "remove"),
    Old("low_cpu_mem_usage", _model("ignored", "ignored"), _NO_EFFECT, "remove", since=(4, 51)),
    Old("_fast_init", _model("ignored", "ignored"), _NO_EFFECT, "remove", since=(4, 51)),
    Old("offload_state_dict", _model("ignored", "ignored"), _NO_EFFECT, "remove", since=(4, 57)),
    Old(
        "from_tf",
        _model("works", "ignored"),
        "convert the checkpoint with transformers 4 first",
        "remove-false",
        since=(5, 0),
    ),
    Old(
        "from_flax",
        _model("works", "ignored"),
        "convert the checkpoint with transformers 4 first",
        "remove-false",
        since=(5, 0),
    ),
    Old(
        "torchscript",
        _model("works", "error"),
        "trace with torch.export instead",
        "remove-false",
        since=(5, 0),
        known_elsewhere=True,
    ),
    Old(
        "use_fast",
        (("tokenizer", "works", "ignored"),),
        "all tokenizers are fast; remove it",
        "remove",
        since=(5, 0),
    ),
    Old(
        "framework",
        (("pipeline", "works", "error"),),
        "PyTorch is the only framework; remove it",
        "remove",
        since=(5, 0),
    ),
    *(
        Old(
            name,
            _model("works", "error"),
            "pass it to generate() or set it on the model's generation_config",
            "by hand",
            since=(5, 0),
            known_elsewhere=True,
            generative=True,
        )
        for name in (
            "do_sample",
            "max_length",
            "num_beams",
            "repetition_penalty",
            "temperature",
            "top_k",
            "top_p",
        )
    ),
)

#: Prefixes of arguments that move into the quantization config with `load_in_8bit` and `load_in_4bit`.
QUANTIZATION_PREFIXES = ("bnb_4bit_", "llm_int8_")

#: Class of transformers 4 -> the replacement ("" if it depends on the checkpoint), and the version that added
#: it.
OLD_CLASSES: dict[str, tuple[str, Version]] = {
    "AutoModelForVision2Seq": ("AutoModelForImageTextToText", (4, 46)),
    "AutoModelWithLMHead": ("", (4, 0)),
}
#: Tasks of `pipeline` that went with this release; the other removed ones went with 5.0.
TASKS_REMOVED_LATER_IN = (5, 3)
TASKS_REMOVED_LATER = ("image-to-image", "question-answering", "visual-question-answering", "vqa")
#: Tasks of `pipeline` that transformers 5 removed.
REMOVED_TASKS = frozenset(
    {
        "image-to-image",
        "question-answering",
        "summarization",
        "text2text-generation",
        "translation",
        "visual-question-answering",
        "vqa",
    }
)

# ---- ignored, or failing later, in both major versions

#: Arguments of models that a tokenizer accepts and ignores.
MODEL_ARGUMENTS = (
    "device_map",
    "device",
    "torch_dtype",
    "dtype",
    "attn_implementation",
    "use_flash_attention_2",
    "load_in_8bit",
    "load_in_4bit",
    "quantization_config",
    "low_cpu_mem_usage",
    "max_memory",
    "offload_folder",
)
#: Arguments of models that `pipeline` does not pass on, and how to fix it: if the model generates text, the
#: first call of the pipeline raises. "model_kwargs": move it there.
PIPELINE_ARGUMENTS: dict[str, How | Literal["model_kwargs"]] = {
    "attn_implementation": "model_kwargs",
    "cache_dir": "model_kwargs",
    "load_in_4bit": "quantization",
    "load_in_8bit": "quantization",
    "low_cpu_mem_usage": "remove",
    "max_memory": "model_kwargs",
    "quantization_config": "model_kwargs",
    "resume_download": "remove",
    "use_auth_token": "rename",
    "use_flash_attention_2": "attention",
}
#: Loading arguments that a pipeline ignores if it gets a loaded model.
LOADING_ARGUMENTS = ("device_map", "dtype", "torch_dtype", "model_kwargs")
#: Device maps with which accelerate distributes a model.
SPREADING_MAPS = frozenset({"auto", "balanced", "balanced_low_0", "sequential"})
#: Invalid dtype names -> the intended one.
DTYPE_NAMES = {
    "bf16": "bfloat16",
    "fp16": "float16",
    "f16": "float16",
    "fp32": "float32",
    "f32": "float32",
    **{f"torch.{name}": name for name in ("bfloat16", "float16", "half", "float32", "float", "float64")},
}
#: Unknown attention implementations -> the intended one, "" if that is unclear.
ATTENTION_NAMES = {
    "flash_attention": "flash_attention_2",
    "flash_attn": "flash_attention_2",
    "flash_attn_2": "flash_attention_2",
    "flash_attn2": "flash_attention_2",
    "flash_attention2": "flash_attention_2",
    "flash-attention": "flash_attention_2",
    "flash-attention-2": "flash_attention_2",
    "flash-attn": "flash_attention_2",
    "flash": "flash_attention_2",
    "fa2": "flash_attention_2",
    "flash_attn_3": "flash_attention_3",
    "fa3": "flash_attention_3",
    "flex": "flex_attention",
    "flex_attn": "flex_attention",
    "xformers": "",
    "auto": "",
    "default": "",
    "none": "",
    "math": "",
    "mem_efficient": "",
}


def place_of(kind: str, how: str) -> Place:
    """The receiver of a site's arguments."""
    if kind == "model" or how == "model_kwargs":
        return "model"
    if kind == "pipeline":
        return "pipeline"
    return "tokenizer" if kind == "tokenizer" else "other"


def fits(old: Old, target: Version | None) -> bool:
    """Whether a finding about the argument applies to all versions that the project allows."""
    return old.since is None or (target is not None and target >= old.since)
