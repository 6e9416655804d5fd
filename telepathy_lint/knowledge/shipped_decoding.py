"""The decoding settings that checkpoints ship, for the few families whose `generation_config.json` is known.

From the published files of the Llama 3 family (base and instruction-tuned models) and of Qwen2.5's larger
instruction-tuned models; the smaller ones have a different penalty and are left out.
"""

from __future__ import annotations

import re

_SHIPPED: tuple[tuple[str, str], ...] = (
    (
        r"meta-llama/(?:Meta-)?Llama-3(?:\.1|\.2|\.3)?-\d+B(?:-Instruct)?",
        "do_sample=True, temperature 0.6 and top_p 0.9",
    ),
    (
        r"Qwen/Qwen2\.5-(?:7B|14B|32B|72B)-Instruct",
        "do_sample=True, temperature 0.7, top_p 0.8, top_k 20 and repetition_penalty 1.05",
    ),
)


def shipped_decoding(model_id: str) -> str | None:
    """Describe the checkpoint's own settings; None if unknown."""
    return next((words for family, words in _SHIPPED if re.fullmatch(family, model_id)), None)


#: Checkpoints without settings for sampling, beams or penalties; the length is transformers' default.
_GREEDY = (
    r"EleutherAI/pythia-[\w.-]+|facebook/opt-[\d.]+[bm]|mistralai/Mistral-7B(?:-Instruct)?-v0\.\d|google/gemma-[27]b(?:-it)?"
    r"|HuggingFaceH4/zephyr-7b-(?:alpha|beta)|HuggingFaceTB/SmolVLM-(?:Base|Instruct)|microsoft/phi-2"
)


def ships_greedy(model_id: str) -> bool:
    """Whether the checkpoint is known to decode greedily by default."""
    return re.fullmatch(_GREEDY, model_id) is not None
