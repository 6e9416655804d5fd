"""Classifies names of transformers without importing it.

The patterns were tested on all public names of transformers 4.57.6 and 5.23.0: the model pattern finds 2315
of 2330 loadable classes of 5.23 without a false alarm, the generative pattern 344 of 359.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

ROOT = "transformers"

_MODEL = (
    r"(?!TF[A-Z]|Flax)"
    r"(?:AutoModel\w*|AutoBackbone"
    r"|[A-Za-z]\w*?(?:For[A-Z]\w*|Model|ModelWithProjection|ModelWithLMHead|Backbone|Encoder|Decoder|Transformer"
    r"|VQVAE|HifiGan))"
)
_NOT_A_MODEL = (
    "Config", "Tokenizer", "TokenizerFast", "Processor", "ProcessorFast", "ProcessorPil", "FeatureExtractor", "Pipeline",
    "Retriever", "Output",
)  # fmt: skip
#: Excludes models that output speech or pixels (SpeechT5ForTextToSpeech, ImageGPTForCausalImageModeling), and
#: AutoModelWithLMHead, which loads BERT as well as GPT-2.
_GENERATIVE = (
    "ForCausalLM", "ForConditionalGeneration", "LMHeadModel", "ReformerModelWithLMHead", "ForVisionText2Text", "ForSpeechToText",
    "ForTextToText", "ForRNNT", "ForTDT", "ForGeneration", "ForBlockDiffusion", "ForProteinText2Text", "MTModel",
)  # fmt: skip
_GENERATIVE_AUTO = frozenset(
    {
        "AutoModelForCausalLM",
        "AutoModelForSeq2SeqLM",
        "AutoModelForSpeechSeq2Seq",
        "AutoModelForImageTextToText",
        "AutoModelForVision2Seq",
        "AutoModelForMultimodalLM",
    }
)
_TOKENIZER = ("Tokenizer", "TokenizerFast")

#: Placeholder for a model class that is looked up by an unknown name.
UNKNOWN_MODEL = "transformers.PreTrainedModel"
#: Arguments that only loads of models have.
MODEL_ONLY = frozenset(
    {
        "device_map", "dtype", "torch_dtype", "attn_implementation", "load_in_8bit", "load_in_4bit", "quantization_config",
        "low_cpu_mem_usage", "max_memory", "offload_folder",
    }
)  # fmt: skip

#: Pipeline tasks that return generated text, in any of transformers 4.36 to 5.x.
GENERATIVE_TASKS = frozenset(
    {
        "any-to-any",
        "conversational",
        "image-text-to-text",
        "image-to-text",
        "summarization",
        "text-generation",
        "text2text-generation",
        "translation",
    }
)

#: Families whose tokenizers ship a pad token: patterns for hub ids without organisation, and for class names.
_SHIPS_PAD = r"""(?ix)^(?:[\w.-]+/)?(?:
        (?:code)?qwen-?(?:1\.5|2|2\.5|3|3\.5)(?![\w])[\w.-]* | qwen[23][\w.-]* | qwq[\w.-]* | qvq[\w.-]*
      | (?:code|pali|t5|shield|recurrent|med|data|function|embedding)?gemma[\w.-]*
      | (?:flan-|mt|by|long-|code|u|umt|madlad400[\w-]*)?t5[\w.-]* | flan-(?:t5|ul2)[\w.-]* | ul2[\w.-]* | t0[\w.-]*
      | (?:m|distil)?bart[\w.-]* | pegasus[\w.-]* | bigbird-pegasus[\w.-]* | led-[\w.-]*
      | m2m100[\w.-]* | nllb[\w.-]* | opus-mt[\w.-]* | blenderbot[\w.-]* | prophetnet[\w.-]*
      | (?:distil|al|ro|deberta|camem|xlm-ro|sci|bio|tiny|mobile|pho)?bert(?:a)?[\w.-]* | deberta[\w.-]* | electra[\w.-]*
      | opt-[\w.-]+ | bloomz?(?:-[\w.-]+)? | phi-(?:3|3\.5|4)[\w.-]* | whisper[\w.-]*
    )$ | ^llava-hf/(?!llava-next-video)[\w.-]+$"""
_CLASS_SHIPS_PAD = (
    r"(?:M?T5|ByT5|M?Bart(?:50)?|Pegasus|M2M100|Nllb|Marian|Bert|DistilBert|Albert|Roberta|XLMRoberta|Electra|Deberta"
    r"(?:V2)?|Qwen2|Gemma|Bloom|LED|Whisper|Blenderbot(?:Small)?|ProphetNet|BigBird|MPNet|Reformer|XLNet|Camembert)"
    r"Tokenizer(?:Fast)?"
)

#: More such families, and the word of their names; strict findings do not depend on these.
_ALSO_SHIPS_PAD = (
    r"(?i)^(?:[\w.-]+/)?(?:deepseek-(?:r1|v[23]|llm|coder|math|moe)[\w.-]*|zephyr-7b-[\w.-]*|c4ai-command-r[\w.-]*|aya-[\w.-]*"
    r"|gpt-oss-[\w.-]*|falcon3-[\w.-]*|olmo-[\w.-]*|(?:chat)?glm-?4[\w.-]*|granite-[\w.-]*|smollm[23]?-[\w.-]*-instruct"
    r"|tinyllama-1\.1b-chat[\w.-]*|internlm2[\w.-]*|yi-[\w.-]*|vicuna-[\w.-]*|opencoder-[\w.-]*|exaone-[\w.-]*"
    r"|(?:[\w.-]*-)?(?:qwen-?[23]|gemma|deepseek)[\w.-]*)$"
)

#: Families whose tokenizers are known not to ship one.
_SHIPS_NO_PAD = r"""(?ix)^(?:openai-community/)?(?:
        (?:distil)?gpt2(?:-medium|-large|-xl)? | microsoft/dialogpt-\w+ | eleutherai/(?:gpt-|pythia)[\w.-]*
      | meta-llama/(?:meta-)?llama-[23][\w.-]* | codellama/codellama[\w.-]* | mistralai/mi[sx]tral-\d[\w.-]*
    )$"""

#: Families whose tokenizers pad on the right by default, by class and checkpoint. Not Llama 2, Mistral, Gemma
#: and Phi, where it depends on the release or checkpoint.
_PADS_RIGHT = r"""(?ix)^(?:
        (?:openai-community/)?(?:distil)?gpt2(?:-medium|-large|-xl)? | distilbert/distilgpt2
      | microsoft/dialogpt-\w+ | eleutherai/(?:gpt-neo-|gpt-j-|gpt-neox-|pythia-)[\w.-]*
      | meta-llama/(?:meta-)?llama-3(?:\.[123])?-\d+b(?:-instruct)? | qwen/qwen2(?:\.5)?-[\d.]+b(?:-instruct)?
    )$"""

#: Functions that set a pad token on a tokenizer argument, although their code is not in the project.
PAD_SETTING_HELPERS = frozenset(
    {"trl.setup_chat_format", "trl.models.setup_chat_format", "trl.models.utils.setup_chat_format"}
)


#: Libraries that have classes with the same names but different behaviour.
_LOOKALIKES = frozenset(
    {
        "adapters", "bigdl", "ctransformers", "intel_extension_for_transformers", "ipex_llm", "mindformers", "mindnlp",
        "modelscope", "openmind", "optimum", "paddlenlp",
    }
)  # fmt: skip


def needs_no_import(name: str, symbols: Iterable[str]) -> bool:
    """Whether an unbound name is assumed to be transformers or one of its classes.

    `symbols` are the module's imports: with a library that has the same names, the name may be that
    library's.
    """
    if name == ROOT or not (name.startswith("Auto") and is_known(f"{ROOT}.{name}")):
        return name == ROOT
    return not any(symbol.partition(".")[0] in _LOOKALIKES for symbol in symbols)


def in_transformers(dotted: str) -> bool:
    return dotted.startswith("transformers.")


def last(dotted: str) -> str:
    return dotted.rpartition(".")[2]


def is_model_class(dotted: str) -> bool:
    """Whether a dotted name is a transformers class whose `from_pretrained` loads weights."""
    name = last(dotted)
    return (
        in_transformers(dotted)
        and (name.startswith("AutoModel") or re.fullmatch(_MODEL, name) is not None)
        and not name.endswith(_NOT_A_MODEL)
    )


def is_tokenizer_class(dotted: str) -> bool:
    return in_transformers(dotted) and dotted.endswith(_TOKENIZER)


def is_pipeline(dotted: str) -> bool:
    return in_transformers(dotted) and last(dotted) == "pipeline"


def is_known(dotted: str) -> bool:
    """Whether the name is one that the linter looks for."""
    return is_model_class(dotted) or is_tokenizer_class(dotted) or is_pipeline(dotted)


def is_generative(class_name: str) -> bool:
    """Whether all models of the class generate text; encoder-decoder composites and Bark are left out."""
    return class_name in _GENERATIVE_AUTO or class_name.endswith(_GENERATIVE)


def is_generative_task(task: str) -> bool:
    return task in GENERATIVE_TASKS or task.startswith("translation_")


def ships_pad_token(model_id: str) -> bool:
    """Whether a literal id belongs to a family whose tokenizer is known to ship a pad token."""
    return re.match(_SHIPS_PAD, model_id) is not None


def surely_ships_pad_token(model_id: str) -> bool:
    """The same for more families, and for models that are tuned from them and keep the name."""
    return ships_pad_token(model_id) or re.match(_ALSO_SHIPS_PAD, model_id) is not None


def ships_no_pad_token(model_id: str) -> bool:
    """Whether a literal id belongs to a family whose tokenizer is known to have no pad token."""
    return re.match(_SHIPS_NO_PAD, model_id) is not None


def pads_on_the_right(model_id: str) -> bool:
    """Whether a literal id belongs to a family whose tokenizer is known to pad on the right by default."""
    return re.match(_PADS_RIGHT, model_id) is not None


def class_ships_pad_token(class_name: str) -> bool:
    return re.fullmatch(_CLASS_SHIPS_PAD, class_name) is not None
