"""Creates a hub cache with tiny random models under the ids in peft's tests, so that they run without a network.

    python -m benchmarks.routed_tests.hub CACHE      # then HF_HUB_CACHE=CACHE python -m
    benchmarks.routed_tests.run ...

Random weights are sufficient, because the tests compare inputs and outputs, not the quality of the text.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

COMMIT = "0" * 40
_DECODER: dict[str, Any] = {
    "vocab_size": 128,
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "max_position_embeddings": 64,
}
_OPT: dict[str, Any] = {**_DECODER, "ffn_dim": 64, "word_embed_proj_dim": 32}
_BERT: dict[str, Any] = {**_DECODER, "intermediate_size": 64}
_T5: dict[str, Any] = {
    "vocab_size": 128,
    "d_model": 32,
    "d_kv": 8,
    "d_ff": 64,
    "num_layers": 2,
    "num_heads": 4,
    "decoder_start_token_id": 0,
}
_GPT2: dict[str, Any] = {"vocab_size": 128, "n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 64}
_WHISPER: dict[str, Any] = {
    "vocab_size": 128, "d_model": 32, "encoder_layers": 2, "decoder_layers": 2, "encoder_attention_heads": 4,
    "decoder_attention_heads": 4, "encoder_ffn_dim": 64, "decoder_ffn_dim": 64, "num_mel_bins": 8,
    "max_source_positions": 16, "max_target_positions": 32, "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2,
    "decoder_start_token_id": 1, "suppress_tokens": None, "begin_suppress_tokens": None,
}  # fmt: skip
_OWN = "peft-internal-testing"

#: Id -> class, config class and its arguments, as transformers calls them.
MODELS: dict[str, tuple[str, str, dict[str, Any]]] = {
    f"{_OWN}/tiny-random-OPTForCausalLM": ("OPTForCausalLM", "OPTConfig", _OPT),
    f"{_OWN}/opt-125m": ("OPTForCausalLM", "OPTConfig", _OPT),
    f"{_OWN}/tiny-random-BertModel": ("BertModel", "BertConfig", _BERT),
    f"{_OWN}/tiny-random-BertForSequenceClassification": (
        "BertForSequenceClassification",
        "BertConfig",
        _BERT,
    ),
    f"{_OWN}/tiny-random-RobertaForSequenceClassification": (
        "RobertaForSequenceClassification",
        "RobertaConfig",
        _BERT,
    ),
    f"{_OWN}/tiny-random-LlamaForCausalLM": ("LlamaForCausalLM", "LlamaConfig", _BERT),
    "trl-internal-testing/tiny-random-LlamaForCausalLM": ("LlamaForCausalLM", "LlamaConfig", _BERT),
    "trl-internal-testing/tiny-LlamaForSequenceClassification-3.2": (
        "LlamaForSequenceClassification",
        "LlamaConfig",
        {**_BERT, "pad_token_id": 0},
    ),
    f"{_OWN}/tiny-random-t5": ("T5ForConditionalGeneration", "T5Config", _T5),
    f"{_OWN}/tiny-random-T5ForConditionalGeneration": ("T5ForConditionalGeneration", "T5Config", _T5),
    f"{_OWN}/tiny-random-BloomForCausalLM": (
        "BloomForCausalLM",
        "BloomConfig",
        {"vocab_size": 128, "hidden_size": 32, "n_layer": 2, "n_head": 4},
    ),
    f"{_OWN}/tiny-random-GPTNeoXForCausalLM": ("GPTNeoXForCausalLM", "GPTNeoXConfig", _BERT),
    "hf-internal-testing/tiny-random-gpt2": ("GPT2LMHeadModel", "GPT2Config", _GPT2),
    "hf-internal-testing/tiny-random-Gemma3ForCausalLM": (
        "Gemma3ForCausalLM",
        "Gemma3TextConfig",
        {**_BERT, "num_key_value_heads": 2, "head_dim": 8},
    ),
}
#: Id of an adapter -> class, config class, arguments, task.
ADAPTERS: dict[str, tuple[str, str, dict[str, Any], str]] = {
    f"{_OWN}/tiny-OPTForCausalLM-lora": ("OPTForCausalLM", "OPTConfig", _OPT, "CAUSAL_LM"),
    f"{_OWN}/tiny_OPTForSequenceClassification-lora": (
        "OPTForSequenceClassification", "OPTConfig", {**_OPT, "pad_token_id": 1}, "SEQ_CLS",
    ),
    f"{_OWN}/tiny_OPTForQuestionAnswering-lora": ("OPTForQuestionAnswering", "OPTConfig", _OPT, "QUESTION_ANS"),
    f"{_OWN}/tiny_OPTForFeatureExtraction-lora": ("OPTModel", "OPTConfig", _OPT, "FEATURE_EXTRACTION"),
    f"{_OWN}/tiny_GPT2ForTokenClassification-lora": ("GPT2ForTokenClassification", "GPT2Config", _GPT2, "TOKEN_CLS"),
    f"{_OWN}/tiny_T5ForSeq2SeqLM-lora": ("T5ForConditionalGeneration", "T5Config", _T5, "SEQ_2_SEQ_LM"),
    f"{_OWN}/tiny_WhisperForConditionalGeneration-lora": ("WhisperForConditionalGeneration", "WhisperConfig", _WHISPER, ""),
}  # fmt: skip


def place(cache: Path, model_id: str, save: Callable[[Path], object]) -> None:
    """Save into the snapshot of `model_id` in a hub cache."""
    folder = cache / f"models--{model_id.replace('/', '--')}"
    (folder / "refs").mkdir(parents=True, exist_ok=True)
    (folder / "refs" / "main").write_text(COMMIT, encoding="utf-8")
    save(folder / "snapshots" / COMMIT)


def main() -> None:
    import peft
    import torch
    import transformers

    cache = Path(sys.argv[1])
    torch.manual_seed(0)
    for model_id, (name, config, arguments) in MODELS.items():
        model = getattr(transformers, name)(getattr(transformers, config)(**arguments))
        place(cache, model_id, model.save_pretrained)
    for model_id, (name, config, arguments, task) in ADAPTERS.items():
        base = f"{model_id}-base"
        model = getattr(transformers, name)(getattr(transformers, config)(**arguments))
        place(cache, base, model.save_pretrained)
        model.config._name_or_path = model.name_or_path = base
        targets = ["c_attn"] if "GPT2" in name else ["q", "v"] if "T5" in name else ["q_proj", "v_proj"]
        lora = peft.LoraConfig(task_type=task or None, target_modules=targets, base_model_name_or_path=base)
        place(cache, model_id, peft.get_peft_model(model, lora).save_pretrained)


if __name__ == "__main__":
    main()
