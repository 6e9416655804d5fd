"""A load that succeeded is not thrown away: arguments are looked at before it, what fails after it is a warning."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers

from telepathy_runtime import ArgumentError, LoadError, LoadReport, load_model, load_tokenizer
from telepathy_runtime.checkpoint import downloads
from telepathy_runtime.checkpoint.downloads import Download
from telepathy_runtime.errors import ReadOnlyCacheError
from telepathy_runtime.loading import inspection
from telepathy_runtime.machine.caches import Cache
from tests.runtime.conftest import Checkpoints


class Unloadable:
    """A class that shows that nothing was loaded."""

    @staticmethod
    def from_pretrained(*args: Any, **kwargs: Any) -> Any:
        raise AssertionError("loaded in spite of a wrong argument")


@pytest.mark.parametrize(
    ("arguments", "kind", "said"),
    [
        ({"report": 3}, TypeError, "report=3"),
        ({"generation_config": {"do_sample": True}}, TypeError, r"GenerationConfig\(\*\*it\)"),
        ({"generation_config": "greedy"}, ValueError, "generation_config='greedy'"),
        ({"generation_config": 7}, TypeError, "generation_config=7"),
        ({"dtype": "bogus"}, ValueError, "torch has no such dtype"),
        ({"dtype": 16}, TypeError, "dtype=16"),
        ({"device_map": True}, TypeError, "device_map=True"),
        ({"device_map": ["cpu"]}, TypeError, "device_map="),
        ({"attn_implementation": 2}, TypeError, "attn_implementation=2"),
        ({"offload": "maybe"}, ValueError, "offload='maybe'"),
        ({"weights": True}, ValueError, "weights=True"),
        ({"model_id": "  "}, ValueError, "it is empty"),
    ],
)
def test_a_wrong_argument_is_an_error_before_the_load(
    arguments: dict[str, Any], kind: type[Exception], said: str, checkpoints: Checkpoints
) -> None:
    given = {"model_id": checkpoints("llama"), "model_class": Unloadable, **arguments}
    with pytest.raises(ArgumentError, match=said) as caught:
        load_model(**given)
    assert isinstance(caught.value, kind)


def test_the_name_of_a_class_is_no_class(checkpoints: Checkpoints) -> None:
    with pytest.raises(ArgumentError, match="model_class='LlamaForCausalLM'"):
        load_model(checkpoints("llama"), model_class="LlamaForCausalLM")  # type: ignore[call-overload]


def test_a_report_that_cannot_be_written_is_a_warning(
    checkpoints: Checkpoints,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    model = load_model(checkpoints("llama"), report=tmp_path / "no" / "such" / "loads.jsonl")
    assert LoadReport.of(model) is not None
    assert "the report was not written to" in caplog.text
    load_tokenizer(checkpoints("llama"), report=tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    load_model(checkpoints("llama"), report="~/loads.jsonl")
    assert (tmp_path / "loads.jsonl").read_text().count("model_load") == 1


def test_what_a_callable_raises_is_the_callers(checkpoints: Checkpoints) -> None:
    def veto(report: LoadReport) -> None:
        raise KeyError(report.model_id)

    with pytest.raises(KeyError):
        load_model(checkpoints("llama"), report=veto)


def test_an_inspection_that_fails_is_a_warning(
    checkpoints: Checkpoints, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(model: Any) -> Any:
        raise TypeError("'property' object is not iterable")

    monkeypatch.setattr(inspection, "effective_attention", broken)
    report = LoadReport.of(load_model(checkpoints("llama")))
    assert report is not None
    assert report.effective["model_class"] == "LlamaForCausalLM"
    assert any("could not be inspected: TypeError" in warning for warning in report.warnings)
    assert report.to_json()


def test_a_config_that_computes_its_parts(checkpoints: Checkpoints) -> None:
    """25 configs of transformers 4.57 define sub_configs as a property, which their class only shows as one."""

    class Computed(transformers.LlamaConfig):  # type: ignore[misc]
        @property
        def sub_configs(self) -> dict[str, Any]:
            return {"text_config": transformers.LlamaConfig}

    config = transformers.LlamaConfig.from_pretrained(checkpoints("llama"))
    model = load_model(checkpoints("llama"), config=config)
    model.config.__class__ = Computed
    assert inspection.effective_attention(model) == "sdpa"


def test_a_generation_config_that_cannot_be_merged_is_a_warning(
    checkpoints: Checkpoints, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*args: Any, **kwargs: Any) -> Any:
        raise ValueError("num_return_sequences")

    monkeypatch.setattr("telepathy_runtime.choose.generation.merge", broken)
    model = load_model(checkpoints("llama"))
    report = LoadReport.of(model)
    assert report is not None
    assert any("stays as shipped" in warning for warning in report.warnings)
    assert model.generation_config.do_sample is True


def test_a_read_only_cache_is_refused_only_where_something_is_missing(tmp_path: Path) -> None:
    """An adapter that is all there and a silent hub: its size is unknown, and nothing has to be written."""
    cache = Cache(tmp_path, "HF_HOME", exists=True, writable=False, free_bytes=10**9)
    downloads.refuse_hopeless(Download("org/adapter", None, cache, begun=True))
    downloads.refuse_hopeless(Download("org/adapter", 0, cache, total=5, begun=True))
    for size, begun in ((None, False), (5, True), (5, False)):
        with pytest.raises(ReadOnlyCacheError):
            downloads.refuse_hopeless(Download("org/model", size, cache, begun=begun))


def test_a_processor_holds_the_tokenizer(checkpoints: Checkpoints) -> None:
    class Processor:
        def __init__(self, tokenizer: Any) -> None:
            self.tokenizer = tokenizer

        @classmethod
        def from_pretrained(cls, *args: Any, **kwargs: Any) -> Any:
            return cls(transformers.AutoTokenizer.from_pretrained(*args, **kwargs))

    processor = load_tokenizer(checkpoints("llama", pad="reserved"), tokenizer_class=Processor)
    assert type(processor) is Processor
    assert processor.tokenizer.pad_token == "<|finetune_right_pad_id|>"


def test_the_command_line_has_no_traceback(
    checkpoints: Checkpoints, capsys: pytest.CaptureFixture[str]
) -> None:
    from telepathy_runtime.commands import cli

    assert cli.main(["load", str(checkpoints("llama")), "--dtype", "bogus"]) == 1
    assert "torch has no such dtype" in capsys.readouterr().err
    assert issubclass(ArgumentError, LoadError)
    assert torch.get_default_dtype() == torch.float32


def test_loading_says_no_more_than_it_should(
    checkpoints: Checkpoints, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING, logger="telepathy_runtime"):
        load_model(checkpoints("llama"))
    assert not [record for record in caplog.records if record.name == "telepathy_runtime"]


def test_a_failed_load_leaves_the_default_dtype(checkpoints: Checkpoints) -> None:
    """transformers 4.46 leaves that of the failed load behind, and every tensor after it has another dtype."""

    class Failing:
        @staticmethod
        def from_pretrained(*args: Any, **kwargs: Any) -> Any:
            torch.set_default_dtype(torch.float16)
            raise OSError("no weights")

    before = torch.get_default_dtype()
    with pytest.raises(OSError, match="no weights"):
        load_model(checkpoints("llama"), model_class=Failing)
    assert torch.get_default_dtype() == before
