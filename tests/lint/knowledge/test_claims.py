"""Tests what the rules claim about transformers with the installed version.

`telepathy_lint/knowledge/load_arguments.py` has a column for 4.57 and one for 5. Each test uses the column of the
installed version, so the suite runs in an environment for each major version.
"""

from __future__ import annotations

import contextlib
import importlib.metadata
import importlib.util
import inspect
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from telepathy_lint.knowledge import load_arguments
from telepathy_lint.knowledge.load_arguments import OLD, Old, Outcome, Place
from tests import checkpoints
from tests.probing import described, listening

if not all(importlib.util.find_spec(name) for name in ("torch", "transformers", "accelerate")):
    pytest.skip("needs torch, transformers and accelerate", allow_module_level=True)

VERSION = tuple(int(part) for part in importlib.metadata.version("transformers").split(".")[:2])
if VERSION < (4, 57):
    pytest.skip("the table begins with transformers 4.57", allow_module_level=True)
FIVE = VERSION >= (5, 0)

#: A value that shows whether anything looks at the argument.
SAMPLES: dict[str, Any] = {
    "torch_dtype": "float16",
    "load_in_8bit": True,
    "load_in_4bit": True,
    "use_auth_token": "hf_token",
    "use_flash_attention_2": True,
    "resume_download": True,
    "mirror": "tuna",
    "low_cpu_mem_usage": True,
    "_fast_init": False,
    "offload_state_dict": True,
    "from_tf": True,
    "from_flax": True,
    "torchscript": True,
    "use_fast": False,
    "do_sample": True,
    "max_length": 30,
    "num_beams": 2,
    "repetition_penalty": 1.3,
    "temperature": 0.5,
    "top_k": 5,
    "top_p": 0.5,
}


@pytest.fixture(scope="module", autouse=True)
def _offline() -> Iterator[None]:
    before = os.environ.get("HF_HUB_OFFLINE")
    os.environ["HF_HUB_OFFLINE"] = "1"
    yield
    if before is None:
        del os.environ["HF_HUB_OFFLINE"]
    else:
        os.environ["HF_HUB_OFFLINE"] = before


@pytest.fixture(scope="module")
def llama(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(checkpoints.build("llama", tmp_path_factory.mktemp("claims") / "llama", pad="reserved"))


@pytest.fixture(scope="module")
def bert_tokenizer(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A tokenizer with a slow and a fast version."""
    folder = tmp_path_factory.mktemp("bert")
    (folder / "vocab.txt").write_text("\n".join(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "b"]))
    (folder / "tokenizer_config.json").write_text('{"tokenizer_class": "BertTokenizer"}')
    (folder / "config.json").write_text('{"model_type": "bert"}')
    return str(folder)


def outcome(load: Callable[..., Any], name: str, value: Any) -> Outcome:
    """The outcome of an argument, compared with the same call without it."""
    plain = load()
    changed: Any = None
    with listening() as seen:
        try:
            changed = load(**{name: value})
        except (ImportError, importlib.metadata.PackageNotFoundError):
            changed = "what it asks for is not installed, so it was looked at"
        except Exception as error:
            assert isinstance(error, (TypeError, ValueError)), repr(error)
            assert name in str(error)
            return "error"
    if "deprecated" in seen and name in seen:
        return "warns"
    return "ignored" if changed == plain else "works"


def loads(place: Place, llama: str, bert_tokenizer: str) -> Callable[..., Any]:
    import transformers as t

    def model(**kwargs: Any) -> Any:
        return described(t.AutoModelForCausalLM.from_pretrained(llama, **kwargs))

    def tokenizer(**kwargs: Any) -> Any:
        return type(t.AutoTokenizer.from_pretrained(bert_tokenizer, **kwargs)).__name__

    def other(**kwargs: Any) -> Any:
        config = t.AutoConfig.from_pretrained(llama, **kwargs)
        return (
            type(config).__name__,
            config.hidden_size,
            type(t.GenerationConfig.from_pretrained(llama, **kwargs)),
        )

    def pipeline(**kwargs: Any) -> Any:
        ask = t.pipeline("text-generation", model=llama, **kwargs)
        ask("ab", max_new_tokens=2)
        return described(ask.model)

    return {"model": model, "tokenizer": tokenizer, "other": other, "pipeline": pipeline}[place]


@pytest.mark.parametrize(
    ("old", "place", "expected"),
    [
        pytest.param(old, place, outcomes[FIVE], id=f"{old.name}-{place}")
        for old in OLD
        for place, *outcomes in old.outcomes
        if old.name != "framework"  # its effect needs TensorFlow
    ],
)
def test_what_became_of_an_argument(
    old: Old,
    place: Place,
    expected: Outcome,
    llama: str,
    bert_tokenizer: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    version = importlib.metadata.version
    # The quantization config asks for the package's version before the library warns.
    monkeypatch.setattr(
        importlib.metadata, "version", lambda name: "0.46.0" if name == "bitsandbytes" else version(name)
    )
    assert outcome(loads(place, llama, bert_tokenizer), old.name, SAMPLES[old.name]) == expected


def test_pipelines_lost_the_choice_of_a_framework(llama: str) -> None:
    import transformers as t

    assert ("framework" in inspect.signature(t.pipeline).parameters) == (not FIVE)
    ask = t.pipeline("text-generation", model=llama, framework="pt")
    if FIVE:
        with pytest.raises(ValueError, match="framework"):
            ask("ab", max_new_tokens=2)
    else:
        assert ask("ab", max_new_tokens=2)


@pytest.mark.parametrize("flag", ["load_in_8bit", "load_in_4bit", "use_flash_attention_2"])
def test_even_false_is_refused(flag: str, llama: str) -> None:
    load = loads("model", llama, "")
    if FIVE or flag == "use_flash_attention_2":
        with pytest.raises(TypeError, match=flag):
            load(**{flag: False})
    else:
        assert load(**{flag: False}) == load()


def test_a_tokenizer_of_5_sends_no_use_auth_token(llama: str, monkeypatch: pytest.MonkeyPatch) -> None:
    import transformers as t
    from transformers.utils import hub

    sent: set[Any] = set()
    original = hub.cached_files

    def noting(*args: Any, **kwargs: Any) -> Any:
        sent.add(kwargs.get("token"))
        return original(*args, **kwargs)

    monkeypatch.setattr(hub, "cached_files", noting)
    t.AutoTokenizer.from_pretrained(llama, use_auth_token="hf_token")
    assert ("hf_token" in sent) == (not FIVE)
    t.AutoTokenizer.from_pretrained(llama, token="hf_token")
    assert "hf_token" in sent


def test_classes_and_tasks() -> None:
    import transformers as t
    from transformers.pipelines import check_task

    for name, (new, _) in load_arguments.OLD_CLASSES.items():
        assert hasattr(t, name) == (not FIVE)
        assert not new or hasattr(t, new)
    for task in [*load_arguments.REMOVED_TASKS, "translation_en_to_fr"]:
        if FIVE:
            with pytest.raises(KeyError, match="removed"):
                check_task(task)
        else:
            assert check_task(task)


# ---- ineffective


@pytest.mark.parametrize("name", load_arguments.MODEL_ARGUMENTS)
def test_a_tokenizer_ignores_a_models_argument(name: str, llama: str) -> None:
    import transformers as t

    values = {"max_memory": {0: "1GB"}, "torch_dtype": "float16", "dtype": "float16", "device_map": "auto"}
    plain = t.AutoTokenizer.from_pretrained(llama)
    given = t.AutoTokenizer.from_pretrained(llama, **{name: values.get(name, "flash_attention_2")})
    assert type(given) is type(plain)
    assert given.get_vocab() == plain.get_vocab()
    assert given("some text") == plain("some text")
    assert given.special_tokens_map == plain.special_tokens_map


@pytest.mark.parametrize("name", load_arguments.PIPELINE_ARGUMENTS)
def test_a_pipeline_keeps_a_models_argument(name: str, llama: str) -> None:
    import transformers as t

    plain = t.pipeline("text-generation", model=llama)
    value = "eager" if name == "attn_implementation" else True
    given = t.pipeline("text-generation", model=llama, **{name: value})
    assert described(given.model) == described(plain.model)
    with pytest.raises(ValueError, match=name):
        given("ab", max_new_tokens=2)


def test_model_kwargs_reach_the_model(llama: str) -> None:
    import transformers as t

    ask = t.pipeline(
        "text-generation", model=llama, model_kwargs={"attn_implementation": "eager"}, token=None
    )
    assert ask.model.config._attn_implementation == "eager"
    assert ask("ab", max_new_tokens=2)


@pytest.mark.parametrize("name", load_arguments.DTYPE_NAMES)
def test_dtypes_that_torch_does_not_have(name: str, llama: str) -> None:
    load = loads("model", llama, "")
    with pytest.raises((AttributeError, ValueError)):
        load(dtype=name)
    assert load(dtype=load_arguments.DTYPE_NAMES[name])


@pytest.mark.parametrize("name", load_arguments.ATTENTION_NAMES)
def test_attention_that_nobody_knows(name: str, llama: str) -> None:
    load = loads("model", llama, "")
    with pytest.raises(ValueError, match="is not supported"):
        load(attn_implementation=name)
    meant = load_arguments.ATTENTION_NAMES[name]
    if meant:
        with contextlib.suppress(ImportError):  # known, only not installed
            load(attn_implementation=meant)


def test_output_attentions_selects_eager_attention(llama: str) -> None:
    from transformers import LlamaForCausalLM

    load = loads("model", llama, "")
    assert load()[1] == ("sdpa" if LlamaForCausalLM._supports_sdpa else "eager")
    assert load(output_attentions=True)[1] == "eager"
    assert load(output_attentions=True) == load(output_attentions=True, attn_implementation="eager")
    with pytest.raises(Exception, match="output_attentions"):
        load(output_attentions=True, attn_implementation="sdpa")


def test_max_memory_alone_means_nothing(llama: str) -> None:
    load = loads("model", llama, "")
    assert load(max_memory={"cpu": "1KB"}) == load()


def test_flash_attention_has_no_float32(llama: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The library's own check, with the package reported as installed."""
    import transformers as t
    from transformers import modeling_utils

    def complains(dtype: str) -> bool:
        model = t.AutoModelForCausalLM.from_pretrained(llama, dtype=dtype)
        with listening() as seen:
            if FIVE:
                monkeypatch.setattr(type(model), "_flash_attn_import_error", lambda self, **kwargs: None)
                model._flash_attn_can_dispatch(2, is_init_check=True)
            else:
                monkeypatch.setattr(modeling_utils, "is_flash_attn_2_available", lambda: True)
                model._flash_attn_2_can_dispatch(is_init_check=True)
        return "only supports torch.float16 and torch.bfloat16" in seen

    assert complains("float32")
    assert not complains("bfloat16")


# ---- moves and generation configs


def test_a_placed_model_does_not_move(llama: str, tmp_path: Path) -> None:
    import transformers as t

    parts = {"model.embed_tokens": "cpu", "model.layers": "disk", "model.norm": "cpu", "lm_head": "cpu"}
    parts["model.rotary_emb"] = "cpu"
    model = t.AutoModelForCausalLM.from_pretrained(llama, device_map=parts, offload_folder=str(tmp_path))
    with pytest.raises(RuntimeError, match="offloaded"):
        model.to("cpu")
    t.AutoModelForCausalLM.from_pretrained(llama, device_map={"": "cpu"}).to("cpu")


def test_a_passed_generation_config_replaces_the_shipped_one(llama: str) -> None:
    import torch
    import transformers as t

    from telepathy_runtime import apply_generation_config

    greedy = t.GenerationConfig(do_sample=False, max_new_tokens=48)
    shipped = t.AutoModelForCausalLM.from_pretrained(llama)
    assert shipped.generation_config.eos_token_id == list(checkpoints.STOP_IDS)
    replaced = t.AutoModelForCausalLM.from_pretrained(llama, generation_config=greedy)
    assert replaced.generation_config.eos_token_id is None
    assert replaced.generation_config.bos_token_id is None
    with pytest.raises(AttributeError, match="to_dict"):
        t.AutoModelForCausalLM.from_pretrained(llama, generation_config={"do_sample": False})
    apply_generation_config(shipped, greedy)
    assert set(checkpoints.STOP_IDS) <= set(shipped.generation_config.eos_token_id)
    # Without stop ids nothing ends a generation before its cap.
    prompt = torch.tensor([[1, 2, 3]])
    assert replaced.generate(prompt).shape[1] == 3 + 48
