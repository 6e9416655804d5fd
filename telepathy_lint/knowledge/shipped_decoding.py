"""The decoding settings that checkpoints ship, for the few families whose `generation_config.json` is known.

From the published files of the Llama 2 and 3 families (base and instruction-tuned models), of Gemma 3's instruction-tuned models, of
DeepSeek's distilled models, and of the instruction-tuned models of Qwen2 and Qwen2.5 (the penalties of the smaller ones differ).
"""

from __future__ import annotations

from telepathy_lint.source.occurs import matches, occurs

_SHIPPED: tuple[tuple[str, str], ...] = (
    (r"meta-llama/Llama-2-(?:7|13|70)b(?:-chat)?-hf", "do_sample=True, temperature 0.6 and top_p 0.9"),
    (r"google/gemma-3-(?:1|4|12|27)b-it", "do_sample=True, top_k 64 and top_p 0.95"),
    (
        r"meta-llama/(?:Meta-)?Llama-3(?:\.1|\.2|\.3)?-(?:1|3|8|70|405)B(?:-Instruct)?",
        "do_sample=True, temperature 0.6 and top_p 0.9",
    ),
    (
        r"deepseek-ai/DeepSeek-R1-Distill-(?:Llama|Qwen)-[\d.]+B",
        "do_sample=True, temperature 0.6 and top_p 0.95",
    ),
    (
        r"Qwen/Qwen2\.5-(?:7B|14B|32B|72B)-Instruct",
        "do_sample=True, temperature 0.7, top_p 0.8, top_k 20 and repetition_penalty 1.05",
    ),
    (r"Qwen/Qwen2(?:\.5)?-(?:Coder-)?[\d.]+B-Instruct", "do_sample=True"),
)
#: Models that think before they answer: their publishers ask for sampling.
_THINKING = r"(?i)deepseek-r1|qwq|thinking|reasoning"


def shipped_decoding(model_id: str) -> str | None:
    """Describe the checkpoint's own settings; None if unknown."""
    return next((words for family, words in _SHIPPED if matches(family, model_id)), None)


def samples_unasked(model_id: str) -> bool:
    """Whether the checkpoint is known to sample by default, although greedy decoding works as well with it."""
    return shipped_decoding(model_id) is not None and not occurs(_THINKING, model_id)


#: Checkpoints that ship a repetition penalty, which is in effect in greedy decoding too.
_PENALTY = r"Qwen/Qwen2(?:\.5)?-[\d.]+B-Instruct"
#: Checkpoints without settings for sampling, beams or penalties; the length is transformers' default.
_GREEDY = (
    r"EleutherAI/pythia-[\w.-]+|facebook/opt-[\d.]+[bm]|mistralai/Mistral-7B(?:-Instruct)?-v0\.\d|google/gemma-(?:2-)?\d+b(?:-it)?"
    r"|HuggingFaceH4/zephyr-7b-(?:alpha|beta)|HuggingFaceTB/SmolVLM-(?:Base|Instruct)|microsoft/phi-2"
    r"|Salesforce/blip2-[\w.-]+|microsoft/kosmos-2-patch14-224"
)
#: The same, with settings for sampling in their configs that only pipelines follow.
_SIZES = r"gpt2(?:-medium|-large|-xl)?"
_GREEDY_UNLESS_PIPED = (
    rf"openai-community/(?:distil)?{_SIZES}|distilbert/(?:distil)?{_SIZES}|distil{_SIZES}|{_SIZES}"
    r"|EleutherAI/gpt-(?:neo-[\w.]+|j-6[bB])"
)


def ships_greedy(model_id: str, piped: bool = False) -> bool:
    """Whether the checkpoint is known to decode greedily by default; `piped` if a pipeline may generate with it."""
    return matches(_GREEDY, model_id) or (not piped and matches(_GREEDY_UNLESS_PIPED, model_id))


def ships_penalty(model_id: str) -> bool:
    """Whether the checkpoint is known to ship a repetition penalty."""
    return matches(_PENALTY, model_id)
