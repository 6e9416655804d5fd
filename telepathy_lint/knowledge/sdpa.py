"""The models for which transformers chooses SDPA by default, in every supported release, and those without attention.

A test checks each class with the installed release. Models of these architectures under other names are not
included.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from telepathy_lint.source.occurs import matches, occurs

#: Architectures whose classes have supported SDPA since their first release, or since transformers 4.38.
ARCHITECTURES = (
    "Llama", "Mistral", "Mixtral", "Qwen2", "Qwen3", "Gemma", "Falcon", "Olmo2", "SmolLM3", "Qwen2VL", "Qwen2_5_VL", "GPTBigCode",
)  # fmt: skip
_CLASS = rf"(?:{'|'.join(ARCHITECTURES)})(?:ForCausalLM|ForConditionalGeneration)"
#: The names of models, by who publishes them.
_NAMES = {
    "meta-llama": r"(?:Meta-)?(?:Llama-[23]|CodeLlama)[\w.-]*",
    "codellama": r"CodeLlama-[\w.-]*",
    "lmsys": r"vicuna-[\w.-]*",
    "mistralai": r"Mi(?:s|x)tral-\d[\w.-]*",
    "Qwen": r"Qwen(?:2|2\.5|3)-(?:Coder-|Math-)?[\d.]+B[\w.-]*|Qwen2(?:\.5)?-VL-[\w.-]*",
    "google": r"(?:code)?gemma-\d+b[\w.-]*",
    "TinyLlama": r"[\w.-]*",
    "HuggingFaceTB": r"SmolLM[23]?-[\w.-]*",
    "deepseek-ai": r"DeepSeek-R1-Distill-[\w.-]*",
    "tiiuae": r"falcon-\d+b[\w.-]*",
    "HuggingFaceH4": r"zephyr-7b-\w+",
    "bigcode": r"starcoderbase[\w.-]*",
    **dict.fromkeys(
        ("unsloth", "NousResearch"),
        r"(?:(?:Meta-)?Llama-[23]|Qwen(?:2|2\.5|3)-|[Mm]istral-7[Bb])[\w.-]*",
    ),
}
#: Models for which the choice differs between releases.
_VARIES = r"(?i)gemma-?2(?!b)|gpt-?j\b|bloom"


#: Architectures without attention, by the beginning of their classes' names.
WITHOUT_ATTENTION = (
    "Mamba", "Mamba2", "FalconMamba", "xLSTM", "FNet", "ConvNext", "ConvNextV2", "ResNet", "Bit", "EfficientNet", "MobileNetV1",
    "MobileNetV2", "PoolFormer", "TextNet",
)  # fmt: skip
_FREE_CLASS = rf"(?:{'|'.join(WITHOUT_ATTENTION)})(?:Model|For[A-Z]\w*|Backbone)"
_FREE_IDS = (
    r"state-spaces/mamba2?-[\w.-]*|tiiuae/falcon-mamba-[\w.-]*|NX-AI/xLSTM-[\w.-]*|google/fnet-[\w.-]*"
    r"|facebook/convnext(?:v2)?-[\w.-]*|microsoft/resnet-[\w.-]*|google/mobilenet_v[12]_[\w.-]*|sail/poolformer_[\w.-]*"
)


def has_no_attention(model_id: str, classes: Iterable[str]) -> bool:
    """Whether a model certainly has no attention, by its id or the classes that may load it."""
    names = [each.rpartition(".")[2] for each in classes]
    return ("/" in model_id and matches(_FREE_IDS, model_id)) or (
        bool(names)
        and all(name.startswith(WITHOUT_ATTENTION) and re.fullmatch(_FREE_CLASS, name) for name in names)
    )


def always(model_id: str, classes: Iterable[str]) -> bool:
    """Whether transformers certainly chooses SDPA for a model, by its id or the classes that may load it."""
    names = [each.rpartition(".")[2] for each in classes]
    publisher, _, name = model_id.partition("/")
    return (publisher in _NAMES and matches(_NAMES[publisher], name)) or (
        bool(names) and all(re.fullmatch(_CLASS, each) for each in names)
    )


def varies(model_id: str, classes: Iterable[str]) -> bool:
    """Whether the choice for a model differs between releases."""
    return any(re.search(_VARIES, name) for name in (model_id, *classes))


#: Models whose attention is soft-capped, which SDPA does not do.
_SOFT_CAPPED = r"(?i)gemma-?2(?!b)"
#: The releases that pick SDPA for them: each from the first, and before the second. 4.42 was the first with Gemma 2.
PICKED = (((4, 42), (4, 45)), ((4, 48), (5, 21)))


def drops_soft_capping(model_id: str, classes: Iterable[str], lowest: tuple[int, int] | None) -> bool:
    """Whether transformers may pick SDPA for a model whose attention is soft-capped, from this release on."""
    if lowest is not None and lowest >= PICKED[-1][1]:
        return False
    return any(occurs(_SOFT_CAPPED, name) for name in (model_id, *classes))


def picks_it(release: tuple[int, int]) -> bool:
    """Whether a release picks SDPA for such a model."""
    release = max(release, PICKED[0][0])
    return any(first <= release < end for first, end in PICKED)


def picking(lowest: tuple[int, int] | None, newest: tuple[int, int] | None) -> str:
    """The releases between two that pick SDPA for such a model, in words: "4.48 to 5.20"; without a lowest, the latest ones."""
    if lowest is None:
        lowest = PICKED[-1][0]
    spans = [
        (first, end) for first, end in PICKED if lowest < end and (newest is None or first <= newest)
    ] or PICKED[-1:]
    return " and ".join(f"{first[0]}.{first[1]} to {major}.{minor - 1}" for first, (major, minor) in spans)


def names_only_such(text: str) -> bool:
    """Whether a text names models for which SDPA is always chosen, and none for which the choice differs."""
    ids = "|".join(f"{publisher}/(?:{names})" for publisher, names in _NAMES.items())
    return re.search(rf"[\"'](?:{ids})[\"']", text) is not None and not occurs(_VARIES, text)
