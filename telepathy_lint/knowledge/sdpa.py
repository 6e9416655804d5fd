"""Which models transformers gives SDPA, by themselves, in every release that this project supports.

A test asks the installed release for each class. Models of these architectures under other names are not known here.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

#: Their classes have had SDPA since their first release, or since transformers 4.38.
ARCHITECTURES = (
    "Llama", "Mistral", "Mixtral", "Qwen2", "Qwen3", "Gemma", "Falcon", "Olmo2", "SmolLM3", "Qwen2VL", "Qwen2_5_VL", "GPTBigCode",
)  # fmt: skip
_CLASS = rf"(?:{'|'.join(ARCHITECTURES)})(?:ForCausalLM|ForConditionalGeneration)"
_IDS = (
    r"meta-llama/(?:Meta-)?(?:Llama-[23]|CodeLlama)[\w.-]*|codellama/CodeLlama-[\w.-]*|lmsys/vicuna-[\w.-]*"
    r"|mistralai/Mi(?:s|x)tral-\d[\w.-]*|Qwen/Qwen(?:2|2\.5|3)-(?:Coder-|Math-)?[\d.]+B[\w.-]*|google/(?:code)?gemma-\d+b[\w.-]*"
    r"|TinyLlama/[\w.-]*|HuggingFaceTB/SmolLM[23]?-[\w.-]*|deepseek-ai/DeepSeek-R1-Distill-[\w.-]*|tiiuae/falcon-\d+b[\w.-]*"
    r"|HuggingFaceH4/zephyr-7b-\w+|bigcode/starcoderbase[\w.-]*|Qwen/Qwen2(?:\.5)?-VL-[\w.-]*|(?:unsloth|NousResearch)/(?:(?:Meta-)?Llama-[23]|Qwen(?:2|2\.5|3)-|[Mm]istral-7[Bb])[\w.-]*"
)
#: The choice for these differs between releases.
_VARIES = r"(?i)gemma-?2(?!b)|gpt-?j\b|bloom"


def always(model_id: str, classes: Iterable[str]) -> bool:
    """Whether transformers surely picks SDPA for a model, by its id or by the classes that may load it."""
    names = [each.rpartition(".")[2] for each in classes]
    return re.fullmatch(_IDS, model_id) is not None or (
        bool(names) and all(re.fullmatch(_CLASS, name) for name in names)
    )


def varies(model_id: str, classes: Iterable[str]) -> bool:
    """Whether releases differ in what they pick."""
    return any(re.search(_VARIES, name) for name in (model_id, *classes))


def names_only_such(text: str) -> bool:
    """Whether a text names models for which SDPA is always picked, and none for which releases differ."""
    return re.search(rf"[\"']({_IDS})[\"']", text) is not None and re.search(_VARIES, text) is None
