"""transformers' own test mixin for models (tests/test_modeling_common.py of its source distribution) on six tiny models.

`run.py` copies this file next to the mixin; it is not a test of this project.
"""

from __future__ import annotations

import unittest
from typing import Any

import torch
import transformers as t

from . import test_modeling_common as common

_DECODER = {
    "vocab_size": 99,
    "hidden_size": 32,
    "intermediate_size": 37,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 64,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
}
_CONFIGS: dict[str, Any] = {
    "Llama": lambda: t.LlamaConfig(**_DECODER),
    "Qwen2": lambda: t.Qwen2Config(**_DECODER),
    "Mistral": lambda: t.MistralConfig(**_DECODER, head_dim=8),
    "GPT2": lambda: t.GPT2Config(
        vocab_size=99, n_embd=32, n_layer=2, n_head=4, n_inner=37, n_positions=64, bos_token_id=98,
        eos_token_id=98, pad_token_id=98,
    ),
    "T5": lambda: t.T5Config(
        vocab_size=99, d_model=32, d_ff=37, d_kv=8, num_layers=2, num_heads=4, decoder_start_token_id=0,
        pad_token_id=0, eos_token_id=1,
    ),
    "Gemma3": lambda: t.Gemma3TextConfig(**_DECODER, head_dim=8, sliding_window=16, query_pre_attn_scalar=8),
}  # fmt: skip
_CLASSES = {
    "Llama": ("LlamaModel", "LlamaForCausalLM", "LlamaForSequenceClassification"),
    "Qwen2": ("Qwen2Model", "Qwen2ForCausalLM", "Qwen2ForSequenceClassification"),
    "Mistral": ("MistralModel", "MistralForCausalLM", "MistralForSequenceClassification"),
    "GPT2": ("GPT2Model", "GPT2LMHeadModel", "GPT2ForSequenceClassification"),
    "T5": ("T5Model", "T5ForConditionalGeneration"),
    "Gemma3": ("Gemma3TextModel", "Gemma3ForCausalLM"),
}


class Tester:
    batch_size, seq_length, is_training, num_labels = 3, 7, False, 3
    hidden_size, num_hidden_layers, num_attention_heads, vocab_size = 32, 2, 4, 99
    encoder_seq_length = decoder_seq_length = 7

    def __init__(self, family: str) -> None:
        self.family = family

    def get_config(self) -> Any:
        return _CONFIGS[self.family]()

    def prepare_config_and_inputs_for_common(self) -> tuple[Any, dict[str, Any]]:
        config = self.get_config()
        ids = common.ids_tensor([self.batch_size, self.seq_length], 90) + 2
        inputs = {"input_ids": ids, "attention_mask": torch.ones_like(ids)}
        if config.is_encoder_decoder:
            inputs |= {"decoder_input_ids": ids, "decoder_attention_mask": torch.ones_like(ids)}
        return config, inputs

    def prepare_config_and_inputs(self) -> Any:
        return self.prepare_config_and_inputs_for_common()


def _case(family: str) -> Any:
    def set_up(self: Any) -> None:
        self.model_tester = Tester(family)

    return type(
        f"{family}Test",
        (common.ModelTesterMixin, unittest.TestCase),
        {
            "all_model_classes": tuple(getattr(t, name) for name in _CLASSES[family]),
            "is_encoder_decoder": family == "T5",
            "test_pruning": False,
            "test_head_masking": False,
            "setUp": set_up,
        },
    )


for _family in _CONFIGS:
    globals()[f"{_family}Test"] = _case(_family)
