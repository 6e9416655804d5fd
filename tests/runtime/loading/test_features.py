"""Models that get float32 features and do not cast them: the report names the cure, and it helps."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

from telepathy_runtime import LoadReport, load_model  # noqa: E402

SPEECH = {"vocab_size": 64, "d_model": 16, "encoder_layers": 1, "decoder_layers": 1, "encoder_attention_heads": 2, "decoder_attention_heads": 2, "encoder_ffn_dim": 16, "decoder_ffn_dim": 16, "num_mel_bins": 8, "max_source_positions": 16, "max_target_positions": 16, "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2, "decoder_start_token_id": 1}  # fmt: skip
IMAGES = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16, "image_size": 16, "patch_size": 8}  # fmt: skip


def loaded(model: Any, folder: Path, dtype: str) -> tuple[Any, list[str]]:
    model.save_pretrained(folder)
    reports: list[LoadReport] = []
    made = load_model(folder, model_class=type(model), dtype=dtype, report=reports.append)
    return made, [each for each in reports[0].warnings if "inputs.to(model.dtype)" in each]


def test_a_class_that_does_not_cast_is_named_with_a_cure_that_helps(tmp_path: Path) -> None:
    model, said = loaded(
        transformers.WhisperForConditionalGeneration(transformers.WhisperConfig(**SPEECH)),
        tmp_path,
        "bfloat16",
    )
    assert len(said) == 1 and said[0].startswith(
        "WhisperForConditionalGeneration computes input_features as given"
    )
    inputs, start = torch.rand(1, 8, 32), torch.ones(1, 1, dtype=torch.long)
    with pytest.raises(RuntimeError) as raised:
        model(input_features=inputs, decoder_input_ids=start)
    assert str(raised.value) in said[0]
    model(input_features=inputs.to(model.dtype), decoder_input_ids=start)


def test_float32_weights_take_what_processors_make(tmp_path: Path) -> None:
    model = transformers.WhisperForConditionalGeneration(transformers.WhisperConfig(**SPEECH))
    assert loaded(model, tmp_path, "float32")[1] == []


def test_a_class_that_casts_is_not_named(tmp_path: Path) -> None:
    built = transformers.CLIPVisionModel(transformers.CLIPVisionConfig(**IMAGES))
    model, said = loaded(built, tmp_path, "bfloat16")
    assert said == []
    model(pixel_values=torch.rand(1, 3, 16, 16))
