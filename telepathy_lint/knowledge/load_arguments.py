"""What became of the arguments of loading calls between transformers 4.36 and 5: plain data, in one place.

The rules report from it and the tests hold it against the library: `tests/lint/knowledge/test_claims.py` runs every entry on the
installed transformers and compares the outcome with the column of that version.
"""

from __future__ import annotations

from typing import Literal

from telepathy_lint.named_tuple import NamedTuple

Version = tuple[int, int]
#: What happens to an argument: it works, it works with a deprecation warning, nothing looks at it, the call raises.
Outcome = Literal["works", "warns", "ignored", "error"]
#: Where a call's arguments go: a model's class, a tokenizer's, that of something else (a config, a processor), `pipeline`.
Place = Literal["model", "tokenizer", "other", "pipeline"]
#: How a fix replaces it: under another name, not at all, by a quantization config, by an attention implementation.
How = Literal["rename", "remove", "remove-false", "quantization", "attention", "by hand"]


class Old(NamedTuple):
    """An argument that transformers renamed, removed or no longer looks at."""

    name: str
    #: For each place that knows it: the outcome in 4.57, and in 5.
    outcomes: tuple[tuple[Place, Outcome, Outcome], ...]
    #: What to do about it: see `advice_for`.
    advice: str
    how: How
    #: The lowest version that a project must allow for the finding to be right; None where it always is.
    since: Version | None = None
    #: The new name, for "rename".
    new: str = ""
    #: Whether another class than those of transformers, or one that comes with the checkpoint, may know it.
    known_elsewhere: bool = False
    #: Whether only models that generate text have (had) it.
    generative: bool = False

    def advice_for(self, value: object) -> str:
        """What to do about it where the call gives it this value: a switch that is off has nothing to take its place."""
        return _NO_EFFECT if value is False and self.how in _SWITCHES else self.advice

    def outcome(self, place: Place) -> tuple[Outcome, Outcome] | None:
        """The outcomes in 4.57 and 5 at a place, None where the argument is none of its own."""
        fitting = (place, "other") if place == "tokenizer" else (place,)
        return next(((four, five) for where, four, five in self.outcomes if where in fitting), None)


def _model(four: Outcome, five: Outcome) -> tuple[tuple[Place, Outcome, Outcome], ...]:
    return (("model", four, five),)


_QUANTIZATION = "pass quantization_config=BitsAndBytesConfig(...)"
_NO_EFFECT = "leave it out"
_SWITCHES = ("remove-false", "quantization", "attention")

OLD = (
    Old(
        "torch_dtype",
        (("model", "warns", "warns"), ("pipeline", "warns", "warns")),
        "the name is dtype since 4.56",
        "rename",
        since=(4, 56),
        new="dtype",
    ),
    Old("load_in_8bit", _model("warns", "error"), _QUANTIZATION, "quantization"),
    Old("load_in_4bit", _model("warns", "error"), _QUANTIZATION, "quantization"),
    Old(
        "use_auth_token",
        (("model", "warns", "error"), ("other", "warns", "ignored")),
        "the name is token",
        "rename",
        new="token",
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
        "downloads always resume: leave it out",
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
        "there are only fast tokenizers: leave it out",
        "remove",
        since=(5, 0),
    ),
    Old(
        "framework",
        (("pipeline", "works", "error"),),
        "PyTorch is the only framework: leave it out",
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

#: What `load_in_8bit` and `load_in_4bit` take with them into the quantization config.
QUANTIZATION_PREFIXES = ("bnb_4bit_", "llm_int8_")

#: Class of transformers 4 -> the class to take instead ("" where the checkpoint decides), and since when it exists.
OLD_CLASSES: dict[str, tuple[str, Version]] = {
    "AutoModelForVision2Seq": ("AutoModelForImageTextToText", (4, 46)),
    "AutoModelWithLMHead": ("", (4, 0)),
}
#: Tasks of `pipeline` that transformers 5 no longer has.
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

# ---- accepted and then ignored, or failing later, in both majors

#: Arguments of models that a tokenizer takes without a word and does nothing with.
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
#: Arguments of models that `pipeline` does not hand on, with what has to be done: its first call raises where the model
#: generates text. "model_kwargs": that is where they belong.
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
#: Arguments of a pipeline that say how to load, which nothing looks at where it is given a loaded model.
LOADING_ARGUMENTS = ("device_map", "dtype", "torch_dtype", "model_kwargs")
#: Maps by which accelerate spreads a model.
SPREADING_MAPS = frozenset({"auto", "balanced", "balanced_low_0", "sequential"})
#: Names of dtypes that torch does not have -> the one that is meant.
DTYPE_NAMES = {
    "bf16": "bfloat16",
    "fp16": "float16",
    "f16": "float16",
    "fp32": "float32",
    "f32": "float32",
    **{f"torch.{name}": name for name in ("bfloat16", "float16", "half", "float32", "float", "float64")},
}
#: Attention implementations that no version knows -> the one that is meant, "" where that cannot be told.
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
    """Where an argument of a site ends up."""
    if kind == "model" or how == "model_kwargs":
        return "model"
    if kind == "pipeline":
        return "pipeline"
    return "tokenizer" if kind == "tokenizer" else "other"


def fits(old: Old, target: Version | None) -> bool:
    """Whether a finding about the argument is right for every version that the project allows."""
    return old.since is None or (target is not None and target >= old.since)
