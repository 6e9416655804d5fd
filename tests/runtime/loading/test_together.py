"""A model and its tokenizer together: pad id, vocabulary against embeddings, stop ids, chat template."""

from __future__ import annotations

import json
import logging
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers

from telepathy_runtime import (
    FitReport,
    LoadReport,
    ModelMissingError,
    TokenizerReport,
    fit_tokenizer,
    load,
    load_model,
    load_processor,
    load_tokenizer,
)
from tests.checkpoints import EOS_ID, PAD_ID, STOP_IDS, TURN_ID, UNUSED, VOCABULARY
from tests.runtime.conftest import Checkpoints

TEMPLATE = "{% for m in messages %}{{ m['role'] }}:{{ m['content'] }}TURN{% endfor %}"
RENDERING = "3.1"  # of jinja2: transformers renders a chat template with no older one


def loaded(folder: Path, **arguments: Any) -> tuple[Any, Any, FitReport]:
    seen: list[Any] = []
    model, tokenizer = load(folder, report=seen.append, **arguments)
    assert [type(report) for report in seen] == [TokenizerReport, LoadReport, FitReport]
    return model, tokenizer, seen[2]


def with_template(folder: Path, tmp_path: Path, turn: str) -> Path:
    copy = Path(shutil.copytree(folder, tmp_path / "chat"))
    file = copy / "tokenizer_config.json"
    content = json.loads(file.read_text()) | {"chat_template": TEMPLATE.replace("TURN", turn)}
    file.write_text(json.dumps(content))
    return copy


def test_the_pad_id_is_on_the_model(checkpoints: Checkpoints) -> None:
    model, tokenizer, report = loaded(checkpoints("llama", pad="reserved"))
    assert (
        tokenizer.pad_token_id == PAD_ID == model.config.pad_token_id == model.generation_config.pad_token_id
    )
    assert report.changed["pad_token_id"] == [None, PAD_ID]
    assert tokenizer.padding_side == "left"
    assert report.warnings == ()


def test_a_batch_can_be_classified(checkpoints: Checkpoints) -> None:
    folder, cls = checkpoints("llama", pad="reserved"), transformers.LlamaForSequenceClassification
    alone, tokenizer = load_model(folder, model_class=cls), load_tokenizer(folder)
    batch = tokenizer(["a", "abc"], return_tensors="pt", padding=True, return_token_type_ids=False)
    with pytest.raises(ValueError, match="pad"):
        alone(**batch)
    model, tokenizer, _ = loaded(folder, model_class=cls, purpose="training")
    assert isinstance(model, cls)
    assert tokenizer.padding_side == "right"
    assert model(**batch).logits.shape[0] == 2


def test_more_tokens_than_embeddings_are_said_and_rows_are_offered(checkpoints: Checkpoints) -> None:
    folder = checkpoints("llama", pad="absent")
    model, tokenizer, report = loaded(folder, pad_token="<|new|>")
    length = len(tokenizer)
    assert (report.vocabulary, report.embeddings) == (length, VOCABULARY)
    tokenizer.add_tokens([f"<|more{number}|>" for number in range(8)])
    report = fit_tokenizer(model, tokenizer)
    assert report.vocabulary > VOCABULARY == report.embeddings
    (warning,) = report.warnings
    assert "<|more" in warning
    assert "resize=True" in warning
    with pytest.raises(IndexError):
        model(torch.tensor([[report.vocabulary - 1]]))
    resized = fit_tokenizer(model, tokenizer, resize=True)
    assert resized.changed["embeddings"] == [VOCABULARY, report.vocabulary]
    assert "with untrained values" in resized.warnings[0]
    assert model(torch.tensor([[report.vocabulary - 1]])).logits.shape[-1] == report.vocabulary
    assert fit_tokenizer(model, tokenizer).warnings == ()


def test_more_embeddings_than_tokens_are_usual(checkpoints: Checkpoints) -> None:
    model, _, report = loaded(checkpoints("llama", pad="present"), resize=True)
    assert report.vocabulary <= VOCABULARY == model.get_input_embeddings().num_embeddings
    assert "embeddings" not in report.changed


def test_stop_ids_are_those_of_both(checkpoints: Checkpoints) -> None:
    folder = checkpoints("llama", stop_ids=(TURN_ID,))
    model, _, report = loaded(folder)
    assert model.generation_config.eos_token_id == [TURN_ID, EOS_ID]
    assert report.changed["generation_config.eos_token_id"] == [TURN_ID, [TURN_ID, EOS_ID]]
    untouched, _, report = loaded(folder, generation_config=None)
    assert untouched.generation_config.eos_token_id in (TURN_ID, [TURN_ID])
    assert not any(name.startswith("generation_config") for name in report.changed)


def test_what_was_found_is_not_shipped(checkpoints: Checkpoints, tmp_path: Path) -> None:
    folder = checkpoints("llama", stop_ids=(TURN_ID,), pad="reserved")
    model, _ = load(folder)
    model.save_pretrained(tmp_path)
    saved = json.loads((tmp_path / "generation_config.json").read_text())
    shipped = json.loads((folder / "generation_config.json").read_text())
    assert (saved["eos_token_id"], saved.get("pad_token_id")) == (shipped["eos_token_id"], None)


@pytest.mark.parametrize(("turn", "added"), [("<|eot_id|>", False), (UNUSED, True), ("", False)])
def test_the_chat_template_is_noticed(
    turn: str, added: bool, checkpoints: Checkpoints, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    pytest.importorskip("jinja2", minversion=RENDERING)
    folder = with_template(checkpoints("llama"), tmp_path, turn)
    model, tokenizer, report = loaded(folder)
    assert report.chat_template
    stops = model.generation_config.eos_token_id
    assert (tokenizer.convert_tokens_to_ids(UNUSED) in stops) is added
    assert (f"ends a turn with {turn!r}" in caplog.text) is added
    assert set(STOP_IDS) <= set(stops)


def test_a_template_that_refuses_does_no_harm(checkpoints: Checkpoints, tmp_path: Path) -> None:
    pytest.importorskip("jinja2", minversion=RENDERING)
    folder = with_template(checkpoints("llama"), tmp_path, "{{ raise_exception('no') }}")
    _, _, report = loaded(folder)
    assert report.chat_template
    assert report.warnings == loaded(checkpoints("llama"))[2].warnings


def test_a_template_that_cannot_be_rendered_is_said(
    checkpoints: Checkpoints, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_: Any, **__: Any) -> str:
        raise ImportError("apply_chat_template requires jinja2>=3.1.0")

    folder = with_template(checkpoints("llama"), tmp_path, UNUSED)
    monkeypatch.setattr(transformers.PreTrainedTokenizerBase, "apply_chat_template", refused)
    _, _, report = loaded(folder)
    assert any("requires jinja2" in warning for warning in report.warnings)


def test_an_encoder_decoder_keeps_the_pad_id_it_was_trained_with(checkpoints: Checkpoints) -> None:
    cls = transformers.T5ForConditionalGeneration
    model, tokenizer, report = loaded(checkpoints("t5", pad="present"), model_class=cls)
    assert (tokenizer.pad_token_id, model.config.pad_token_id, report.warnings) == (PAD_ID, PAD_ID, ())
    model, tokenizer, report = loaded(checkpoints("t5", pad="absent"), model_class=cls)
    assert model.config.pad_token_id == PAD_ID != tokenizer.pad_token_id
    assert "the model pads with id" in report.warnings[0]


def test_an_encoder_without_generation(checkpoints: Checkpoints) -> None:
    model, _, report = loaded(checkpoints("encoder", pad="present"), model_class=transformers.BertModel)
    assert isinstance(model, transformers.BertModel)
    assert report.embeddings == VOCABULARY


def test_the_tokenizer_of_another_place(checkpoints: Checkpoints, tmp_path: Path) -> None:
    bare = checkpoints("llama", tokenizer=False)
    with pytest.raises(Exception, match="tokenizer"):
        load(bare)
    model, tokenizer = load(bare, tokenizer_id=checkpoints("llama", pad="reserved"), dtype="float32")
    assert model.dtype is torch.float32
    assert tokenizer.pad_token_id == model.config.pad_token_id == PAD_ID
    shutil.copytree(checkpoints("llama"), tmp_path / "inner")
    model, _ = load(tmp_path, subfolder="inner", tokenizer_arguments={"model_max_length": 17})
    assert model.config.model_type == "llama"


def test_a_missing_tokenizer_costs_no_load(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from telepathy_runtime.loading import load as loading

    monkeypatch.setattr(loading, "load_model", lambda *_, **__: pytest.fail("the model was loaded"))
    with pytest.raises(ModelMissingError):
        load(tmp_path / "gone")


def test_the_fit_is_a_line_of_json_and_of_the_log(
    checkpoints: Checkpoints, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    lines = tmp_path / "loads.jsonl"
    with caplog.at_level(logging.INFO, logger="telepathy_runtime"):
        load(checkpoints("llama", pad="reserved"), report=lines)
    events = [json.loads(line) for line in lines.read_text().splitlines()]
    assert [event["event"] for event in events] == ["tokenizer_load", "model_load", "tokenizer_fit"]
    assert f"pad_token_id None -> {PAD_ID}" in caplog.text


def test_a_processor_has_a_padded_tokenizer(checkpoints: Checkpoints, tmp_path: Path) -> None:
    tokenizer = transformers.AutoTokenizer.from_pretrained(checkpoints("llama", pad="reserved"))
    features = transformers.WhisperFeatureExtractor(feature_size=8)
    try:
        transformers.ClapProcessor(features, tokenizer).save_pretrained(tmp_path)
    except (TypeError, ValueError) as error:
        pytest.skip(f"this release wants other parts: {error}")
    processor = load_processor(tmp_path, processor_class=transformers.ClapProcessor, purpose="inference")
    assert (processor.tokenizer.pad_token_id, processor.tokenizer.padding_side) == (PAD_ID, "left")


def test_a_processor_without_a_tokenizer_and_a_checkpoint_without_a_processor(
    checkpoints: Checkpoints, tmp_path: Path
) -> None:
    transformers.WhisperFeatureExtractor(feature_size=8).save_pretrained(tmp_path)
    seen: list[Any] = []
    found = load_processor(
        tmp_path,
        processor_class=transformers.WhisperFeatureExtractor,
        purpose="inference",
        report=seen.append,
    )
    assert (found.feature_size, seen[0].pad_source, seen[0].warnings) == (8, "none", ())
    assert load_processor(checkpoints("llama", pad="reserved")).pad_token_id == PAD_ID
