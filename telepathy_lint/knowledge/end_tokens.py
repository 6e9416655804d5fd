"""Which tokens end the texts of which models, as their tokenizers' configs on the hub say."""

from __future__ import annotations

import re
from collections.abc import Collection

#: Each token with the ids of models that end texts with it, or with it in one of their variants (base, chat).
_ENDS = {
    "</s>": r"tiny-?llama|llama-?2|llama-[17]|mistral|mixtral|vicuna|alpaca|opt-|bloom|zephyr|t5|xglm",
    "<|endoftext|>": r"gpt|pythia|falcon|phi|qwen|starcoder|codegen|dolly|mpt-|olmo|stablelm|smollm|redpajama|polyglot",
    "<|im_end|>": r"qwen|smollm|yi-|internlm",
    "<|eot_id|>": r"llama-?3",
    "<|end_of_text|>": r"llama-?3|granite",
}
#: The same of models that end texts with another token than those from which they were made, or for which they are named. The tokenizer of the
#: first Qwen models names none.
_TUNED = {
    "<|im_end|>": r"(?:open-?|nous-?)?hermes|dolphin|(?:open-?)?orca",
    "": r"deepseek-r1-distill|(?<!\w-)qwen-(?:vl|audio|1[_.]8b|7b|14b|72b)",
}


def end_tokens(ids: Collection[str]) -> list[str]:
    """The tokens that end the texts of one of these models; another model's token is text like any other.

    An id may be any text that names models.
    """
    return [token for token in _ENDS if any(_ends_with(token, each) for each in ids)]


def _ends_with(token: str, model_id: str) -> bool:
    for other, models in _TUNED.items():
        if re.search(rf"(?i)(?<![a-z])(?:{models})", model_id) is not None:
            return token == other
    return re.search(rf"(?i)(?<![a-z])(?:{_ENDS[token]})", model_id) is not None
