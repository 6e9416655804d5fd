"""Model families that are publicly known to compute infinities or garbage in float16, unlike in bfloat16.

T5 is not among them: transformers keeps the layers that overflow in float32.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

#: Names of models and classes, with where the family's overflow is documented.
_OVERFLOWS = {
    # vLLM refuses it (`_FLOAT16_NOT_SUPPORTED_MODELS` in vllm/config/model.py); the blog post of its release says so of 27B. Runs of
    # 2B in float16 that repositories of the draws in docs/precision.md published have finite results.
    "gemma2": r"(?:^|[/_-])gemma-?2-(?!b)\d*|^Gemma2[A-Z]",
    # https://github.com/huggingface/transformers/issues/36822, and refused by vLLM.
    "gemma3": r"(?:^|[/_-])gemma-?3-|^Gemma3(?!n)[A-Z]",
    # https://github.com/vllm-project/vllm/issues/17154, and refused by vLLM.
    "glm4": r"(?:^|/)GLM-(?:4|Z1)-(?:Rumination-)?(?:9B|32B)[\w-]*-0414|^Glm4For",
    # Refused by vLLM.
    "plamo2": r"(?:^|/)plamo-2-",
}


def overflows(model_id: str, classes: Iterable[str]) -> bool:
    """Whether a model belongs to such a family, by its id or by all classes that may load it."""
    if re.search(r"(?i)(?:^|[/_-])gemma-?2-2b", model_id) is not None:
        return False
    names = [each.rpartition(".")[2] for each in classes]
    return any(
        re.search(f"(?i){pattern}", model_id) is not None
        or (bool(names) and all(re.search(pattern, name) for name in names))
        for pattern in _OVERFLOWS.values()
    )
