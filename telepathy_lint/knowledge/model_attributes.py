"""Attributes of models, their configs, caches and processors that transformers 5 no longer has.

The classes are those of transformers 4.57 that had the attribute, and lack it in 5; tests/lint/knowledge/test_migration_claims.py
asks the installed release.
"""

from __future__ import annotations

from telepathy_lint.hints import NamedTuple

_PARTS = (
    "Aria AyaVision Cohere2Vision Florence2 Gemma3 Gemma3n GotOcr2 InternVL Lfm2Vl Llava LlavaNext LlavaNextVideo LlavaOnevision "
    "Mistral3 Ovis2 PaliGemma VipLlava"
)
_SPEECH = "Data2VecAudio Hubert SEW SEWD UniSpeech UniSpeechSat Wav2Vec2 WavLM"


class Gone(NamedTuple):
    """An attribute that models no longer have."""

    #: The classes that had it; none for every model.
    classes: frozenset[str]
    #: What to write instead of `model.name`, after `model.`; "" where that is no matter of a name.
    new: str
    advice: str
    #: The first release with the new form.
    since: tuple[int, int] | None


def _generating(names: str) -> frozenset[str]:
    return frozenset(f"{name}ForConditionalGeneration" for name in names.split())


def _part(name: str, classes: frozenset[str]) -> Gone:
    return Gone(classes, f"model.{name}", f"it is model.model.{name}", (4, 52))


_VISUAL = _generating("Glm4v Glm4vMoe Qwen2VL Qwen2_5_VL Qwen3VL Qwen3VLMoe")
_PARALLEL = frozenset(
    [
        "GPT2DoubleHeadsModel",
        "GPT2LMHeadModel",
        "GPT2Model",
        "GPTJForCausalLM",
        "GPTJModel",
        "MT5EncoderModel",
        "MT5ForConditionalGeneration",
        "MT5Model",
        "T5EncoderModel",
        "T5ForConditionalGeneration",
        "T5Model",
    ]
)
_BETTER = Gone(frozenset(), "", "models use sdpa themselves, leave it out", None)
#: Attributes of models -> who had them, and what took their place.
MODEL_ATTRIBUTES = {
    "freeze_feature_extractor": Gone(
        frozenset(
            f"{name}{kind}"
            for name in _SPEECH.split()
            for kind in ("ForCTC", "ForSequenceClassification", "ForAudioFrameClassification", "ForXVector")
        ),
        "freeze_feature_encoder",
        "the name is freeze_feature_encoder",
        (4, 46),
    ),
    "vision_tower": _part("vision_tower", _generating(_PARTS)),
    "multi_modal_projector": _part("multi_modal_projector", _generating(f"{_PARTS} VideoLlava")),
    "language_model": _part("language_model", _generating(f"{_PARTS} VideoLlava Mllama") | _VISUAL),
    "visual": _part("visual", _VISUAL),
    "parallelize": Gone(_PARALLEL, "", 'load the model with device_map="auto"', None),
    "deparallelize": Gone(_PARALLEL, "", "load the model on one device", None),
    "to_bettertransformer": _BETTER,
    "reverse_bettertransformer": _BETTER,
}
#: Methods of caches and processors, whose names nothing else has -> what to do.
METHODS = {
    "from_legacy_cache": "caches are made of tuples by DynamicCache(...)",
    "to_legacy_cache": "read keys and values of each of cache.layers",
    "as_target_processor": "call the processor with text=...",
}
#: Methods of models with two towers that gave a tensor, and give an output with a `pooler_output` since 5.0.
FEATURES = ("get_text_features", "get_image_features", "get_audio_features")
#: Words in the names of the classes that have them; "Auto" for those that may be one of these.
_TOWERS = ("CLIP", "Clip", "Siglip", "SigLip", "Align", "Clap", "AutoModel")


def has_towers(name: str) -> bool:
    """Whether a class is a model of texts and images, or sounds, with one space for both."""
    return name.endswith("Model") and any(word in name for word in _TOWERS)


#: The first release whose DynamicCache takes tuples.
CACHE_OF_TUPLES = (4, 57)
#: What decided how a model generates, when it stood in its config.
GENERATION_KEYS = frozenset(
    [
        "bad_words_ids",
        "diversity_penalty",
        "do_sample",
        "early_stopping",
        "encoder_no_repeat_ngram_size",
        "exponential_decay_length_penalty",
        "forced_bos_token_id",
        "forced_eos_token_id",
        "length_penalty",
        "max_length",
        "min_length",
        "no_repeat_ngram_size",
        "num_beam_groups",
        "num_beams",
        "num_return_sequences",
        "repetition_penalty",
        "suppress_tokens",
        "begin_suppress_tokens",
        "temperature",
        "top_k",
        "top_p",
        "typical_p",
    ]
)
#: Of these, what is None unless somebody asks for it.
UNSET_BY_DEFAULT = frozenset(
    [
        "bad_words_ids",
        "begin_suppress_tokens",
        "exponential_decay_length_penalty",
        "forced_bos_token_id",
        "forced_eos_token_id",
        "suppress_tokens",
    ]
)
#: Of these, what configs still have: any of the models named in the file may be one of these.
STILL_FIELDS = {
    "max_length": ("ASTConfig", "FSMT"), "forced_eos_token_id": ("Bart", "Blenderbot", "FSMT", "Marian", "Pegasus", "bart", "marian"),
    "encoder_no_repeat_ngram_size": ("Blenderbot",), "temperature": ("Tapas",), "num_beams": ("FSMT",), "length_penalty": ("FSMT",),
    "early_stopping": ("FSMT",), "suppress_tokens": ("Whisper", "whisper"), "begin_suppress_tokens": ("Whisper", "whisper"),
}  # fmt: skip
#: What configs had in 4, whatever their model.
CONFIG_ATTRIBUTES = {
    "task_specific_params": "read generation_config",
    "torchscript": "models are traced without it",
    "pruned_heads": "heads are pruned no more",
    "rope_theta": 'read config.rope_parameters["rope_theta"]',
}
