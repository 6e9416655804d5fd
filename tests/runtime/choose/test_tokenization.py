"""Pad tokens that need no new embedding, and the padding side for each use."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers

from telepathy_runtime import TokenizerReport, load_model, load_tokenizer
from tests.checkpoints import EOS, EOS_ID, PAD_ID, PAD_TOKENS
from tests.runtime.conftest import Checkpoints


def load(folder: Path, **arguments: Any) -> tuple[Any, TokenizerReport]:
    seen: list[TokenizerReport] = []
    tokenizer = load_tokenizer(folder, report=seen.append, **arguments)
    return tokenizer, seen[0]


def test_a_shipped_pad_token_is_kept(checkpoints: Checkpoints) -> None:
    tokenizer, report = load(checkpoints("llama", pad="present"))
    assert (tokenizer.pad_token, tokenizer.pad_token_id) == (PAD_TOKENS["present"], PAD_ID)
    assert report.pad_source == "shipped"
    assert not report.warnings


def test_a_reserved_token_is_taken_and_nothing_is_added(checkpoints: Checkpoints) -> None:
    folder = checkpoints("llama", pad="reserved")
    tokenizer, report = load(folder)
    assert (tokenizer.pad_token, tokenizer.pad_token_id) == ("<|finetune_right_pad_id|>", PAD_ID)
    assert report.pad_source == "reserved"
    assert not report.warnings
    assert len(tokenizer) == len(transformers.AutoTokenizer.from_pretrained(folder))


def test_eos_is_the_last_resort_and_said(checkpoints: Checkpoints, caplog: pytest.LogCaptureFixture) -> None:
    tokenizer, report = load(checkpoints("llama", pad="absent"))
    assert (tokenizer.pad_token, tokenizer.pad_token_id) == (EOS, EOS_ID)
    assert report.pad_source == "eos"
    assert "masks the real eos from the loss" in caplog.text


def test_the_warning_about_eos_is_true(checkpoints: Checkpoints) -> None:
    """With eos as the pad token, the language-modelling collator masks a real eos; with a reserved token it does not."""
    labels = {}
    for pad in ("absent", "reserved"):
        tokenizer = load_tokenizer(checkpoints("llama", pad=pad))
        collator = transformers.DataCollatorForLanguageModeling(tokenizer, mlm=False)
        labels[pad] = collator([{"input_ids": [65, 66, EOS_ID]}])["labels"][0].tolist()
    assert labels == {"absent": [65, 66, -100], "reserved": [65, 66, EOS_ID]}


def test_none_leaves_the_tokenizer_alone(checkpoints: Checkpoints) -> None:
    tokenizer, report = load(checkpoints("llama", pad="absent"), pad_token=None)
    assert tokenizer.pad_token is None
    assert (report.pad_source, report.warnings) == ("none", ())


def test_a_given_token_of_the_vocabulary(checkpoints: Checkpoints) -> None:
    tokenizer, report = load(checkpoints("llama", pad="reserved"), pad_token=EOS)
    assert tokenizer.pad_token_id == EOS_ID
    assert report.pad_source == "given"


def test_a_given_token_outside_the_vocabulary_says_what_it_costs(checkpoints: Checkpoints) -> None:
    folder = checkpoints("llama", pad="absent")
    tokenizer, report = load(folder, pad_token="<|new|>")
    assert report.pad_source == "added"
    assert "resize_token_embeddings" in report.warnings[0]
    assert str(tokenizer.pad_token_id) in report.warnings[0]
    raw = transformers.AutoTokenizer.from_pretrained(folder, pad_token="<|new|>")
    assert tokenizer.pad_token_id == raw.pad_token_id


@pytest.mark.parametrize(
    ("kind", "asked", "side"),
    [
        ("llama", None, "right"),  # as shipped
        ("llama", "left", "left"),
        ("llama", "right", "right"),
        ("llama", "generation", "left"),
        ("llama", "training", "right"),
        ("t5", "generation", "right"),  # the encoder reads it all, the decoder starts anew
    ],
)
def test_padding_side(kind: str, asked: str | None, side: str, checkpoints: Checkpoints) -> None:
    tokenizer, report = load(checkpoints(kind, pad="present"), padding_side=asked)
    assert tokenizer.padding_side == report.padding_side == side


def test_an_unknown_side_is_refused(checkpoints: Checkpoints) -> None:
    with pytest.raises(ValueError, match="padding_side='middle'"):
        load_tokenizer(checkpoints("llama"), padding_side="middle")


def test_left_padded_batches_generate_what_single_prompts_do(checkpoints: Checkpoints) -> None:
    folder = checkpoints("llama", pad="reserved")
    model = load_model(folder, dtype="float32")
    tokenizer = load_tokenizer(folder, padding_side="generation")
    prompts = ["a", "hello there"]
    batch = tokenizer(prompts, return_tensors="pt", padding=True, return_token_type_ids=False)
    together = model.generate(**batch, max_new_tokens=6)[:, batch["input_ids"].shape[1] :].tolist()
    for prompt, generated in zip(prompts, together, strict=True):
        alone = tokenizer(prompt, return_tensors="pt", return_token_type_ids=False)
        expected = model.generate(**alone, max_new_tokens=6)[0, alone["input_ids"].shape[1] :].tolist()
        assert generated[: len(expected)] == expected


def test_class_keywords_and_pathlike(checkpoints: Checkpoints) -> None:
    folder = checkpoints("llama", pad="present")
    tokenizer = load_tokenizer(
        folder,
        tokenizer_class=transformers.PreTrainedTokenizerFast,
        model_max_length=17,
        truncation_side="left",
    )
    assert isinstance(tokenizer, transformers.PreTrainedTokenizerFast)
    assert (tokenizer.model_max_length, tokenizer.truncation_side) == (17, "left")


def test_report_as_json_and_log(
    checkpoints: Checkpoints, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    lines = tmp_path / "loads.jsonl"
    with caplog.at_level(logging.INFO, logger="telepathy_runtime"):
        load_tokenizer(checkpoints("llama", pad="reserved"), padding_side="generation", report=lines)
    line = json.loads(lines.read_text())
    assert line["event"] == "tokenizer_load"
    assert (line["pad_source"], line["pad_token_id"], line["padding_side"]) == ("reserved", PAD_ID, "left")
    assert (
        "pads with '<|finetune_right_pad_id|>' (reserved) on the left, as batched generation needs"
        in caplog.text
    )


def test_the_padded_ids_fit_the_embedding(checkpoints: Checkpoints) -> None:
    folder = checkpoints("llama", pad="reserved")
    tokenizer, model = load_tokenizer(folder), load_model(folder)
    batch = tokenizer(["a", "abc"], return_tensors="pt", padding=True, return_token_type_ids=False)
    with torch.no_grad():
        assert model(**batch).logits.shape[:2] == (2, 3)
