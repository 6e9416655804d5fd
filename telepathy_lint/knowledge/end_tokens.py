"""Which tokens end the texts of which models, as their tokenizers' configs on the hub say."""

from __future__ import annotations

import re
from collections.abc import Iterable

#: Each token with the ids of models that end texts with it, or with it in one of their variants (base, chat).
_ENDS = {
    "</s>": r"llama-?2|llama-[17]|mistral|mixtral|vicuna|alpaca|opt-|bloom|zephyr|t5|xglm",
    "<|endoftext|>": r"gpt|pythia|falcon|phi|qwen|starcoder|codegen|dolly|mpt-|olmo|stablelm|smollm|redpajama|polyglot",
    "<|im_end|>": r"qwen|smollm|hermes|yi-|internlm|dolphin|orca|danube",
    "<|eot_id|>": r"llama-?3",
    "<|end_of_text|>": r"llama-?3|granite",
}
#: Models that are named for those from which they were distilled, and end texts with tokens of their own.
_OTHERS = r"(?i)deepseek-r1-distill"


def end_tokens(ids: Iterable[str]) -> list[str]:
    """The tokens that end the texts of one of these models; another model's token is text like any other.

    An id may be any text that names models.
    """
    own = [each for each in ids if re.search(_OTHERS, each) is None]
    return [
        token for token, models in _ENDS.items() if any(re.search(rf"(?i){models}", each) for each in own)
    ]
