"""load_model on real (tiny) checkpoints: what comes out, and that four Nones are from_pretrained and nothing else."""

from __future__ import annotations

import json
import logging
import os
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers

from telepathy_runtime import (
    LoadReport,
    SpillError,
    apply_generation_config,
    load_model,
    plan_load,
    resolve_attn_implementation,
    resolve_device_map,
    resolve_dtype,
)
from telepathy_runtime.machine.environment import dtype_keyword
from tests.checkpoints import CLASSES
from tests.runtime.conftest import Checkpoints

RAW = {"dtype": None, "device_map": None, "attn_implementation": None, "generation_config": None}
AUTO = {"t5": "AutoModelForSeq2SeqLM", "vlm": "AutoModelForImageTextToText", "encoder": "AutoModel"}
KINDS = sorted(CLASSES)


def auto_class(kind: str) -> Any:
    name = AUTO.get(kind, "AutoModelForCausalLM")
    found = getattr(transformers, name, None)
    return found if found is not None else getattr(transformers, CLASSES[kind])


def logits(model: Any) -> Any:
    ids = torch.tensor([[72, 101, 108, 108, 111]])
    extra = {"decoder_input_ids": ids} if model.config.is_encoder_decoder else {}
    with torch.no_grad():
        out = model.eval()(input_ids=ids, **extra)
    return out.logits if hasattr(out, "logits") else out.last_hidden_state


def assert_same(ours: Any, raw: Any) -> None:
    """Bit for bit: class, weights, buffers, config, generation config."""
    assert type(ours) is type(raw)
    mine, theirs = ours.state_dict(), raw.state_dict()
    assert list(mine) == list(theirs)
    for name, tensor in mine.items():
        assert tensor.dtype == theirs[name].dtype, name
        assert tensor.device == theirs[name].device, name
        assert torch.equal(tensor, theirs[name]), name
    assert ours.config.to_dict() == raw.config.to_dict()
    assert getattr(ours.config, "_attn_implementation", None) == getattr(
        raw.config, "_attn_implementation", None
    )
    if raw.can_generate():
        assert ours.generation_config.to_dict() == raw.generation_config.to_dict()
    assert ours.training == raw.training


@pytest.mark.parametrize("kind", KINDS)
def test_four_nones_are_from_pretrained(kind: str, checkpoints: Checkpoints) -> None:
    folder = checkpoints(kind)
    ours = load_model(folder, model_class=auto_class(kind), **RAW)
    raw = auto_class(kind).from_pretrained(folder)
    assert_same(ours, raw)
    if kind != "vlm":  # without an image, 4.46 cannot run it
        assert torch.equal(logits(ours), logits(raw))


@pytest.mark.parametrize(
    "keywords",
    [
        {"torch_dtype": "auto"},
        {"attn_implementation": "eager"},
        {"device_map": "cpu"},
        {"output_attentions": True},
        {"subfolder": "inner"},
        {"use_safetensors": True},
        {"low_cpu_mem_usage": True},
        {"ignore_mismatched_sizes": True, "vocab_size": 300},
    ],
    ids=lambda keywords: next(iter(keywords)),
)
def test_four_nones_with_keywords_are_from_pretrained(
    keywords: dict[str, Any], checkpoints: Checkpoints, tmp_path: Path
) -> None:
    """The four are None except where the keyword under test is one of them, which is then used as given."""
    folder = checkpoints("llama")
    if "subfolder" in keywords:
        (tmp_path / "inner").symlink_to(folder)
        folder = tmp_path
    torch.manual_seed(1)
    raw = transformers.LlamaForCausalLM.from_pretrained(folder, **keywords)
    torch.manual_seed(1)
    ours = load_model(folder, model_class=transformers.LlamaForCausalLM, **(RAW | keywords))
    assert_same(ours, raw)


def best_attention() -> str:
    """Of a Llama without flash attention, in the installed release."""
    return "sdpa" if transformers.LlamaForCausalLM._supports_sdpa else "eager"


class Recorder:
    """A model class that only remembers how it was called."""

    def __init__(self) -> None:
        self.calls: list[tuple[tuple[Any, ...], dict[str, Any]]] = []

    def from_pretrained(self, *args: Any, **kwargs: Any) -> Any:
        self.calls.append((args, kwargs))
        return torch.nn.Linear(1, 1)


EVERY_KEYWORD: dict[str, Any] = {
    "cache_dir": "/nowhere",
    "code_revision": "abc",
    "config": object(),
    "force_download": False,
    "ignore_mismatched_sizes": True,
    "key_mapping": {"a": "b"},
    "local_files_only": True,
    "low_cpu_mem_usage": True,
    "max_memory": {0: "1GiB"},
    "offload_buffers": True,
    "offload_folder": "/nowhere",
    "output_loading_info": False,
    "proxies": {"http": "x"},
    "quantization_config": object(),
    "revision": "abc",
    "state_dict": {},
    "subfolder": "inner",
    "token": "secret",
    "tp_plan": None,
    "trust_remote_code": True,
    "use_safetensors": True,
    "variant": "fp16",
    "weights_only": True,
    "bnb_4bit_compute_dtype": "bfloat16",
    "anything_else": ("kept", "as", "it", "is"),
}


@pytest.mark.parametrize("name", sorted(EVERY_KEYWORD))
def test_every_keyword_passes_through_untouched(name: str) -> None:
    recorder = Recorder()
    value = EVERY_KEYWORD[name]
    load_model("org/name", "positional", model_class=recorder, **RAW, **{name: value})
    load_model("org/name", model_class=recorder, generation_config=None, **{name: value})
    (raw_args, raw), (_, full) = recorder.calls
    assert raw_args == ("org/name", "positional")
    assert list(raw) == [name]
    assert raw[name] is value
    assert full[name] is value


def test_all_keywords_at_once_keep_their_order() -> None:
    recorder = Recorder()
    load_model("org/name", model_class=recorder, **RAW, **EVERY_KEYWORD)
    assert list(recorder.calls[0][1].items()) == list(EVERY_KEYWORD.items())


@pytest.mark.parametrize("kind", KINDS)
def test_defaults_give_bfloat16_and_the_best_attention_of_the_class(
    kind: str, checkpoints: Checkpoints
) -> None:
    model = load_model(checkpoints(kind, dtype="float32"), model_class=auto_class(kind))
    assert {tensor.dtype for tensor in model.parameters()} == {torch.bfloat16}
    # By name, sdpa drops Gemma 2's soft cap in 4.46 and is refused by parts of some composite models.
    expected = auto_class(kind).from_pretrained(checkpoints(kind)).config._attn_implementation
    assert model.config._attn_implementation == expected
    report = LoadReport.of(model)
    assert report is not None
    assert report.effective["dtype"] == "bfloat16"
    assert report.effective["attn_implementation"] == expected
    assert report.effective["device_map"] == "cpu"
    assert report.effective["model_class"] == CLASSES[kind]
    capped = getattr(model.config, "attn_logit_softcapping", None) and expected == "sdpa"
    assert len(report.warnings) == (1 if capped else 0)
    assert all("ignores the soft cap of 50.0" in warning for warning in report.warnings)


@pytest.mark.parametrize("kind", ["llama", "qwen2", "t5"])
def test_sharded_and_single_files_are_the_same_model(kind: str, checkpoints: Checkpoints) -> None:
    single = load_model(checkpoints(kind), model_class=auto_class(kind))
    sharded = load_model(checkpoints(kind, sharded=True), model_class=auto_class(kind))
    assert (checkpoints(kind, sharded=True) / "model.safetensors.index.json").is_file()
    assert torch.equal(logits(single), logits(sharded))


def test_local_relative_and_pathlike(checkpoints: Checkpoints, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = checkpoints("llama")
    monkeypatch.chdir(folder.parent)
    for spelled in (folder, str(folder), folder.name, Path(folder.name), f"./{folder.name}"):
        assert type(load_model(spelled)).__name__ == "LlamaForCausalLM"


def test_a_subfolder_is_planned_for_too(without_sdpa: Path, tmp_path: Path) -> None:
    """The class is read from the config that is loaded, and this one has no sdpa."""
    (tmp_path / "inner").symlink_to(without_sdpa)
    model = load_model(tmp_path, subfolder="inner")
    assert type(model).__name__ == "EagerLlamaForCausalLM"
    assert model.config._attn_implementation == "eager"
    assert plan_load(tmp_path, subfolder="inner").attn_implementation.value == "eager"


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ({"dtype": "float32"}, "float32"),
        ({"dtype": torch.float16}, "float16"),
        ({"torch_dtype": torch.float16}, "float16"),
        ({"torch_dtype": "float32"}, "float32"),
        ({"dtype": None, "torch_dtype": torch.float32}, "float32"),
        ({"dtype": "bf16"}, "bfloat16"),
        ({"dtype": "auto"}, "float16"),  # as saved
        ({"dtype": torch.float16, "torch_dtype": "float16"}, "float16"),
    ],
)
def test_dtype_as_asked_under_either_name(
    asked: dict[str, Any], expected: str, checkpoints: Checkpoints
) -> None:
    model = load_model(checkpoints("llama", dtype="float16"), **asked)
    assert {str(tensor.dtype) for tensor in model.parameters()} == {f"torch.{expected}"}


def test_of_two_different_dtypes_the_newer_name_wins(
    checkpoints: Checkpoints, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level("WARNING", "telepathy_runtime"):
        model = load_model(checkpoints("llama"), dtype="float16", torch_dtype="float32")
    assert model.dtype is torch.float16
    assert "torch_dtype='float32' is also given and differs" in caplog.text


def test_positional_arguments_and_loading_info(checkpoints: Checkpoints) -> None:
    config = transformers.AutoConfig.from_pretrained(checkpoints("llama"))
    model, info = load_model(
        checkpoints("llama"),
        model_class=transformers.LlamaForCausalLM,
        config=config,
        output_loading_info=True,
    )
    assert not info["missing_keys"]
    assert LoadReport.of(model) is not None


def test_an_attention_chosen_elsewhere_is_kept(checkpoints: Checkpoints) -> None:
    config = transformers.AutoConfig.from_pretrained(checkpoints("llama"), attn_implementation="eager")
    assert load_model(checkpoints("llama"), config=config).config._attn_implementation == "eager"


def test_output_attentions_is_eager_and_returns_them(
    checkpoints: Checkpoints, caplog: pytest.LogCaptureFixture
) -> None:
    model = load_model(checkpoints("llama"), output_attentions=True)
    assert model.config._attn_implementation == "eager"
    assert "output_attentions selects eager" in caplog.text
    assert model(torch.tensor([[1, 2, 3]])).attentions[0].shape == (1, 4, 3, 3)


def test_report_as_json_lines_callable_and_log(
    checkpoints: Checkpoints, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder, lines, seen = checkpoints("llama"), tmp_path / "loads.jsonl", []
    with caplog.at_level(logging.INFO, logger="telepathy_runtime"):
        load_model(folder, report=lines)
        model = load_model(folder, report=os.fspath(lines), dtype="float32")
        load_model(folder, report=seen.append)
    first, second = (json.loads(line) for line in lines.read_text().splitlines())
    assert first["event"] == "model_load"
    assert first["requested"] == {
        "dtype": "resolve",
        "attn_implementation": "resolve",
        "device_map": "resolve",
        "model_class": "AutoModelForCausalLM",
        "revision": None,
        "quantization": None,
    }
    parameters = sum(tensor.numel() for tensor in model.parameters())
    assert first["parameters"] == second["parameters"] == parameters
    assert first["parameter_bytes"] == 2 * parameters
    assert second["bytes_by_dtype"] == {"float32": 4 * parameters}
    assert second["bytes_by_device"] == {"cpu": 4 * parameters}
    assert first["seconds"] > 0
    assert first["generation"]["do_sample"] == [True, False]
    assert len(seen) == 1
    assert isinstance(seen[0], LoadReport)
    infos = [record.getMessage() for record in caplog.records if record.name == "telepathy_runtime"]
    assert len(infos) == 3
    assert f"as LlamaForCausalLM: bfloat16, {best_attention()} attention" in infos[0]


def test_the_report_is_not_part_of_the_model(checkpoints: Checkpoints, tmp_path: Path) -> None:
    model = load_model(checkpoints("llama"))
    model.save_pretrained(tmp_path)
    assert LoadReport.of(model) is not None
    for file in tmp_path.glob("*.json"):
        assert "telepathy" not in file.read_text()
    assert "telepathy" not in " ".join(model.state_dict())


def test_a_float32_sub_module_is_reported_with_its_names(
    checkpoints: Checkpoints, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A class may keep some layers in float32 when it is loaded in float16."""
    monkeypatch.setattr(transformers.T5ForConditionalGeneration, "_keep_in_fp32_modules", ["wo"])
    report = LoadReport.of(load_model(checkpoints("t5"), model_class=auto_class("t5"), dtype="float16"))
    assert report is not None
    assert report.bytes_by_dtype.keys() == {"float16", "float32"}
    assert any("wo.weight" in warning and "float32" in warning for warning in report.warnings)


def test_explain_prints_the_plan(checkpoints: Checkpoints, capsys: pytest.CaptureFixture[str]) -> None:
    folder = checkpoints("llama")
    load_model(folder, explain=True, dtype="float32")
    printed = capsys.readouterr().out
    assert f"AutoModelForCausalLM.from_pretrained('{folder}', dtype='float32')\n" in printed
    assert "attn_implementation = 'sdpa': " in printed
    assert "dtype = 'float32': as given" in printed
    assert "device_map = (left to transformers): no accelerator" in printed


@pytest.mark.parametrize("kind", ["llama", "gptj", "t5"])
def test_the_resolvers_inline(
    kind: str, checkpoints: Checkpoints, capsys: pytest.CaptureFixture[str]
) -> None:
    """As rewritten calls in the inline style use them: without arguments, inside from_pretrained."""
    folder = checkpoints(kind, dtype="float32")
    inline = auto_class(kind).from_pretrained(
        folder,
        device_map=resolve_device_map(),
        attn_implementation=resolve_attn_implementation(),
        **{dtype_keyword(): resolve_dtype()},
    )
    apply_generation_config(inline)
    assert_same(inline, load_model(folder, model_class=auto_class(kind)))
    capsys.readouterr()
    named = resolve_attn_implementation(folder, model_class=auto_class(kind), explain=True)
    assert named is None, "transformers takes it by itself; told, it is an error for some composite models"
    expected = "sdpa" if type(inline)._supports_sdpa else "eager"
    assert f"attn_implementation = '{expected}': " in capsys.readouterr().out
    assert resolve_dtype("auto") == "auto"
    assert resolve_dtype(None) is None
    assert resolve_dtype("half") is torch.float16
    assert resolve_dtype(explain=True) is torch.bfloat16
    resolve_device_map(folder, explain=True)
    out = capsys.readouterr().out
    assert "dtype = 'bfloat16': " in out
    assert "device_map = " in out


def test_a_plan_is_what_the_load_does(without_sdpa: Path) -> None:
    recorder = Recorder()
    plan = plan_load(without_sdpa, revision="x")
    load_model(without_sdpa, model_class=recorder, generation_config=None, revision="x")
    called = recorder.calls[0][1]
    assert plan.keywords(dtype_keyword()) | {
        dtype_keyword(): torch.bfloat16,
        "attn_implementation": None,
    } == {
        "attn_implementation": None,
        **called,
    }
    assert plan.attn_implementation.value == "eager"
    assert json.dumps(plan.to_dict())


def test_loading_changes_neither_environment_nor_defaults(checkpoints: Checkpoints) -> None:
    before = dict(os.environ), torch.get_default_dtype(), torch.is_grad_enabled()
    load_model(checkpoints("llama"))
    assert (dict(os.environ), torch.get_default_dtype(), torch.is_grad_enabled()) == before


def test_a_load_that_fails_leaves_the_default_dtype_as_it_was() -> None:
    """transformers 4.46 sets it for the load and, when the load raises, forgets to set it back."""

    class Forgetful:
        def from_pretrained(self, *args: Any, **kwargs: Any) -> Any:
            torch.set_default_dtype(torch.bfloat16)
            raise RuntimeError("no")

    before = torch.get_default_dtype()
    try:
        with pytest.raises(Exception, match="no"):
            load_model("org/name", model_class=Forgetful())
        assert torch.get_default_dtype() == before
    finally:
        torch.set_default_dtype(before)


def test_weights_on_disk_are_reported_and_may_be_refused(checkpoints: Checkpoints, tmp_path: Path) -> None:
    folder = checkpoints("llama")
    blocks = {"model.embed_tokens": "cpu", "model.layers": "cpu", "model.norm": "cpu", "lm_head": "disk"}
    if hasattr(transformers.LlamaForCausalLM.from_pretrained(folder).model, "rotary_emb"):
        blocks["model.rotary_emb"] = "cpu"
    arguments = {"device_map": blocks, "offload_folder": tmp_path}
    report = LoadReport.of(load_model(folder, **arguments))
    assert report is not None
    assert any("1 modules to disk (lm_head)" in warning for warning in report.warnings)
    with pytest.raises(SpillError, match="1 modules on disk"):
        load_model(folder, offload="error", **arguments)


def test_a_class_that_does_not_load_in_bfloat16(checkpoints: Checkpoints) -> None:
    """As Nezha of 4.57: it multiplies by a float32 matrix while it is made. The loader's own choice of dtype gives way."""

    class Multiplying(transformers.LlamaForCausalLM):
        def __init__(self, config: Any) -> None:
            super().__init__(config)
            if torch.get_default_dtype() != torch.float32:
                raise RuntimeError(
                    "expected m1 and m2 to have the same dtype, but got: float != c10::BFloat16"
                )

    folder = checkpoints("llama", dtype="float32")
    raw = Multiplying.from_pretrained(folder)
    report = LoadReport.of(model := load_model(folder, model_class=Multiplying))
    assert report is not None
    assert model.dtype is raw.dtype is torch.float32
    assert "the class does not load in bfloat16" in report.warnings[0]
    assert len(report.warnings) == 1
    with pytest.raises(RuntimeError, match="dtype"):
        load_model(folder, model_class=Multiplying, dtype="bfloat16")


def test_a_part_whose_class_this_release_does_not_have(checkpoints: Checkpoints) -> None:
    """As in voxtral_realtime of 5.24: the mapping names a class that is nowhere, and from_pretrained never asks."""
    from telepathy_runtime.choose import traits

    class Mapping(dict[Any, Any]):
        def __getitem__(self, key: Any) -> Any:
            raise ValueError("Could not find NoSuchModel")

    class Auto:
        _model_mapping = Mapping({transformers.LlamaConfig: None})

    config = transformers.AutoConfig.from_pretrained(checkpoints("llama"))
    assert traits.concrete_class(Auto, config) is None
