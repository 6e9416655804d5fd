"""Tests what TLP106 and TLP108 claim about loaded models, with tiny models and no network; in both major versions."""

from __future__ import annotations

from typing import Any

import pytest

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")
pytest.importorskip("accelerate")

from telepathy_lint.knowledge import load_arguments  # noqa: E402
from tests import checkpoints  # noqa: E402
from tests.probing import described, listening  # noqa: E402

VERSION = tuple(int(part) for part in transformers.__version__.split(".")[:2])
if VERSION < (4, 57):
    pytest.skip("the table begins with transformers 4.57", allow_module_level=True)
FIVE = VERSION >= (5, 0)


@pytest.fixture(scope="module")
def llama(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(checkpoints.build("llama", tmp_path_factory.mktemp("loaded") / "llama", pad="reserved"))


# ---- pipelines that are given a loaded model, or the same thing twice


def text_pipeline(model: Any, path: str, **arguments: Any) -> Any:
    tokenizer = transformers.AutoTokenizer.from_pretrained(path)
    return transformers.pipeline("text-generation", model=model, tokenizer=tokenizer, **arguments)


@pytest.mark.parametrize("name", load_arguments.LOADING_ARGUMENTS)
def test_a_pipeline_with_a_loaded_model_does_not_look_at(name: str, llama: str) -> None:
    value = {"device_map": "auto", "model_kwargs": {"load_in_8bit": True}}.get(name, torch.float16)
    model = transformers.AutoModelForCausalLM.from_pretrained(llama, dtype=torch.float32)
    plain = text_pipeline(model, llama)
    before = described(plain.model), str(plain.device)
    given = text_pipeline(model, llama, **{name: value})
    assert (described(given.model), str(given.device)) == before
    assert not hasattr(given.model, "hf_device_map")
    assert given.model is model


@pytest.mark.parametrize("outer", ["dtype", "torch_dtype"])
@pytest.mark.parametrize("inner", ["dtype", "torch_dtype"])
def test_a_pipeline_raises_where_the_dtype_stands_twice(outer: str, inner: str, llama: str) -> None:
    with pytest.raises(ValueError, match="You cannot use both"):
        text_pipeline(llama, llama, **{outer: torch.bfloat16, "model_kwargs": {inner: torch.bfloat16}})


def test_a_device_beside_a_device_map_raises_in_4_and_wins_in_5(llama: str) -> None:
    with listening() as seen:
        if FIVE:
            text_pipeline(llama, llama, device="cpu", device_map="auto")
        else:
            with pytest.raises(ValueError, match="cannot be moved to a specific device"):
                text_pipeline(llama, llama, device="cpu", device_map="auto")
    assert "`device` will override `device_map`" in seen


def test_a_pipeline_does_not_move_a_model_that_a_device_map_has_placed(llama: str) -> None:
    """transformers 5 sets no map on a model that is on one device, where moving changes nothing."""
    model = transformers.AutoModelForCausalLM.from_pretrained(llama, device_map="auto")
    model.hf_device_map = {"model.embed_tokens": "cpu", "": "disk"}
    with pytest.raises(ValueError, match="cannot be moved to a specific device"):
        text_pipeline(model, llama, device="cpu")


# ---- casts of quantized models


def test_quantized_models_refuse_casts(llama: str) -> None:
    """The methods check only these two attributes."""
    from transformers.utils.quantization_config import QuantizationMethod

    model = transformers.AutoModelForCausalLM.from_pretrained(llama)
    model.is_quantized = True
    for method in ("BITS_AND_BYTES", "GPTQ", "AWQ", "HQQ", "QUANTO", "TORCHAO"):
        model.quantization_method = QuantizationMethod[method]
        for name in ("half", "float"):
            with pytest.raises(ValueError, match="is not supported for quantized model"):
                getattr(model, name)()
    model.quantization_method = QuantizationMethod.BITS_AND_BYTES
    for cast in (lambda: model.to(torch.float16), lambda: model.to(dtype=torch.bfloat16)):
        with pytest.raises(ValueError, match="cannot cast a bitsandbytes model"):
            cast()
    model.bfloat16()  # which is not reported
