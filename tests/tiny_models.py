"""Tiny random models under the ids that `fixtures/programs` load, of every kind that the programs work with.

`build_all(folder)` makes a folder in which `from_pretrained("openai/whisper-tiny")` finds a folder of that name. Every
checkpoint is float32, as most of these kinds are on the hub, but for the decoders, which are bfloat16.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.checkpoints import EOS_ID, PAD_ID, SEED, VOCABULARY, build

_TEXT: dict[str, Any] = {
    "vocab_size": VOCABULARY,
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "max_position_embeddings": 64,
    "pad_token_id": PAD_ID,
}
_PIXELS: dict[str, Any] = {
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "image_size": 16,
    "patch_size": 8,
}
_SPEECH: dict[str, Any] = {
    "vocab_size": 32,
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "conv_dim": (32, 32),
    "conv_stride": (5, 2),
    "conv_kernel": (10, 3),
    "num_feat_extract_layers": 2,
    "num_conv_pos_embeddings": 16,
    "num_conv_pos_embedding_groups": 4,
}


def _whisper(t: Any) -> Any:
    return t.WhisperForConditionalGeneration(
        t.WhisperConfig(
            vocab_size=VOCABULARY, d_model=32, encoder_layers=2, decoder_layers=2, encoder_attention_heads=4,
            decoder_attention_heads=4, encoder_ffn_dim=64, decoder_ffn_dim=64, num_mel_bins=8, max_source_positions=16,
            max_target_positions=32, pad_token_id=PAD_ID, bos_token_id=EOS_ID, eos_token_id=EOS_ID,
            decoder_start_token_id=1, suppress_tokens=None, begin_suppress_tokens=None,
        )
    )  # fmt: skip


def _clip(t: Any) -> Any:
    text = {**_TEXT, "projection_dim": 16, "eos_token_id": EOS_ID}
    return t.CLIPModel(t.CLIPConfig(text_config=text, vision_config=_PIXELS, projection_dim=16))


#: Id -> how the model is made.
MODELS: dict[str, Callable[[Any], Any]] = {
    "bert-base-uncased": lambda t: t.BertForMaskedLM(t.BertConfig(**_TEXT)),
    "acme/sentiment": lambda t: t.BertForSequenceClassification(t.BertConfig(**_TEXT, num_labels=3)),
    "roberta-base": lambda t: t.RobertaForMaskedLM(
        t.RobertaConfig(**{**_TEXT, "max_position_embeddings": 300})
    ),
    "openai/whisper-tiny": _whisper,
    "facebook/wav2vec2-base": lambda t: t.Wav2Vec2ForCTC(t.Wav2Vec2Config(**_SPEECH)),
    "facebook/hubert-base": lambda t: t.HubertModel(t.HubertConfig(**_SPEECH)),
    "google/vit-base": lambda t: t.ViTForImageClassification(t.ViTConfig(**_PIXELS, num_labels=5)),
    "facebook/dinov2-small": lambda t: t.Dinov2Model(t.Dinov2Config(**_PIXELS)),
    "microsoft/resnet-18": lambda t: t.ResNetForImageClassification(
        t.ResNetConfig(embedding_size=8, hidden_sizes=[8, 16], depths=[1, 1], num_labels=5)
    ),
    "openai/clip-vit-base": _clip,
    "ibm/patchtst": lambda t: t.PatchTSTForPrediction(
        t.PatchTSTConfig(
            num_input_channels=2,
            context_length=16,
            patch_length=4,
            patch_stride=4,
            prediction_length=4,
            d_model=16,
            num_hidden_layers=1,
            num_attention_heads=2,
            ffn_dim=32,
        )
    ),
}
#: Id -> kind of tests/checkpoints.py; these have a tokenizer.
DECODERS = {
    "gpt2": "llama",
    "Qwen/Qwen2.5-0.5B-Instruct": "qwen2",
    "Qwen/Qwen2.5-7B-Instruct-AWQ": "qwen2",
    "meta-llama/Llama-3.2-1B": "llama",
    "t5-small": "t5",
    "llava-hf/llava-tiny": "vlm",
}


def build_all(folder: Path) -> None:
    """Save every model below `folder`."""
    import torch
    import transformers

    for name, kind in DECODERS.items():
        build(kind, folder / name, pad="present" if kind == "t5" else "absent")
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder / "t5-small")
    tokenizer.model_input_names = ["input_ids", "attention_mask"]
    for name, make in MODELS.items():
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(SEED)
            model = make(transformers).eval()
        model.save_pretrained(folder / name)
        if "vocab_size" in model.config.to_dict():
            tokenizer.save_pretrained(folder / name)


if __name__ == "__main__":
    build_all(Path(sys.argv[1]))
