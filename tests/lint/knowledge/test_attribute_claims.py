"""What TLP406, TLP409 and TLP410 say of models, configs, caches and overrides, asked of the installed transformers."""

from __future__ import annotations

import importlib.util
import inspect
from typing import Any

import pytest

if not all(importlib.util.find_spec(name) for name in ("torch", "transformers", "accelerate")):
    pytest.skip("needs torch, transformers and accelerate", allow_module_level=True)

import torch
import transformers

from telepathy_lint.knowledge.migration import CHECKPOINT_METRICS, OLD_VALUES, OVERRIDES
from telepathy_lint.knowledge.model_attributes import (
    CONFIG_ATTRIBUTES,
    GENERATION_KEYS,
    METHODS,
    MODEL_ATTRIBUTES,
    STILL_FIELDS,
)

VERSION = tuple(int(part) for part in transformers.__version__.split(".")[:2])
FIVE = VERSION >= (5, 0)


def model() -> Any:
    config = transformers.GPT2Config(
        n_embd=8, n_layer=1, n_head=2, vocab_size=16, bos_token_id=1, eos_token_id=2
    )
    return transformers.GPT2LMHeadModel(config)


@pytest.mark.parametrize("name", MODEL_ATTRIBUTES)
def test_classes_lack_what_is_gone_and_had_it_before(name: str) -> None:
    if not FIVE and VERSION < (4, 52):
        pytest.skip("some of the classes are newer")
    found = [
        getattr(transformers, each, None) for each in MODEL_ATTRIBUTES[name].classes or {"GPT2LMHeadModel"}
    ]
    known = [each for each in found if each is not None]
    # Speech models have one kind of head more or less.
    assert len(known) > len(found) / 2
    for cls in known:
        assert hasattr(cls, name) != FIVE, cls


@pytest.mark.parametrize(
    ("name", "gone"), [(n, g) for n, g in MODEL_ATTRIBUTES.items() if g.new and "." not in g.new]
)
def test_the_new_name_is_there(name: str, gone: Any) -> None:
    known = [cls for each in gone.classes if (cls := getattr(transformers, each, None)) is not None]
    assert all(hasattr(cls, gone.new) for cls in known)


def test_the_parts_of_a_model_are_those_of_its_base() -> None:
    if VERSION < (4, 52):
        pytest.skip("they moved in 4.52")
    text = {
        "hidden_size": 8,
        "intermediate_size": 8,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "vocab_size": 16,
    }
    seen = {key: text[key] for key in text if key != "vocab_size"} | {"image_size": 4, "patch_size": 2}
    config = transformers.LlavaConfig(
        vision_config=transformers.CLIPVisionConfig(**seen),
        text_config=transformers.LlamaConfig(**text),
        image_token_index=3,
    )
    made = transformers.LlavaForConditionalGeneration(config)
    for name in ("vision_tower", "multi_modal_projector", "language_model"):
        assert isinstance(getattr(made.model, name), torch.nn.Module)
        assert hasattr(made, name) != FIVE


def test_caches_are_no_tuples() -> None:
    cache = model()(torch.tensor([[3, 4]])).past_key_values
    for name in METHODS:
        assert (hasattr(transformers.DynamicCache, name) != FIVE) or name == "as_target_processor"
    if FIVE:
        with pytest.raises(TypeError):
            cache[0]
    else:
        assert cache[0][0].shape[2] == 2
    if VERSION >= (4, 57):
        pairs = ((torch.zeros(1, 2, 3, 4), torch.zeros(1, 2, 3, 4)),)
        assert transformers.DynamicCache(pairs).get_seq_length() == 3


@pytest.mark.parametrize("name", sorted({*GENERATION_KEYS, *CONFIG_ATTRIBUTES} - {"rope_theta"}))
def test_configs_lack_settings_of_generation(name: str) -> None:
    assert hasattr(transformers.GPT2Config(), name) != FIVE


def test_a_config_has_no_base_of_its_positions() -> None:
    assert hasattr(transformers.LlamaConfig(), "rope_theta") != FIVE


@pytest.mark.parametrize("name", ["max_length", "num_beams", "no_repeat_ngram_size", "repetition_penalty"])
def test_a_setting_in_the_config_raises_in_5_and_not_in_the_generation_config(
    name: str, tmp_path: Any
) -> None:
    ids = torch.tensor([[3, 4]])
    made = model()
    value = 1.5 if name.endswith("penalty") else 3
    setattr(made.config, name, value)
    if FIVE:
        with pytest.raises(ValueError, match="generation"):
            made.generate(ids, max_new_tokens=2)
        with pytest.raises(ValueError, match="generation"):
            made.save_pretrained(tmp_path)
    else:
        made.save_pretrained(tmp_path)
    made = model()
    setattr(made.generation_config, name, value)
    assert made.generate(ids, max_new_tokens=2, min_new_tokens=2).shape == (1, 4)
    made.save_pretrained(tmp_path)


def test_the_configs_that_still_have_a_setting_are_named() -> None:
    if not FIVE:
        pytest.skip("every config has them in 4")
    from dataclasses import fields, is_dataclass

    for name in dir(transformers):
        cls = getattr(transformers, name) if name.endswith("Config") else None
        if cls is None or not is_dataclass(cls) or not issubclass(cls, transformers.PretrainedConfig):
            continue
        for key in GENERATION_KEYS & {each.name for each in fields(cls)}:
            words = STILL_FIELDS.get(key, ())
            rare = name in ("DecisionConfig", "PPFormulaNetTextConfig", "PLBartConfig")
            assert rare or any(word.lower() in name.lower() for word in words), (name, key)


@pytest.mark.parametrize("name", [name for name, override in OVERRIDES.items() if override.added])
def test_trainer_passes_what_an_override_has_to_take(name: str) -> None:
    taken = inspect.signature(getattr(transformers.Trainer, name)).parameters
    override = OVERRIDES[name]
    assert (override.added in taken) == (override.since <= VERSION)
    assert len(taken) == override.before + (override.since <= VERSION)


def test_checkpoints_are_saved_without_metrics() -> None:
    taken = inspect.signature(transformers.Trainer._save_checkpoint).parameters
    assert ("metrics" in taken) == (VERSION < CHECKPOINT_METRICS)


@pytest.mark.parametrize(("name", "value"), OLD_VALUES)
def test_an_old_value_raises(name: str, value: str, tmp_path: Any) -> None:
    since, new = OLD_VALUES[name, value]
    transformers.TrainingArguments(str(tmp_path), **{name: new})
    if since <= VERSION:
        with pytest.raises(ValueError, match=value):
            transformers.TrainingArguments(str(tmp_path), **{name: value})


def test_a_pipeline_heeds_max_length_in_5_only(tmp_path: Any) -> None:
    if VERSION < (4, 57):
        pytest.skip("earlier releases heeded it, too")
    from tests import checkpoints

    checkpoints.build("llama", tmp_path, pad="present", dtype="float32")
    write = transformers.pipeline("text-generation", model=str(tmp_path))
    given = write("some words", max_length=40, eos_token_id=1, do_sample=False, return_tensors=True)
    assert (len(given[0]["generated_token_ids"]) == 40) == FIVE


def test_features_are_an_output_since_5() -> None:
    text = {
        "hidden_size": 8,
        "intermediate_size": 8,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "vocab_size": 16,
    }
    seen = {key: text[key] for key in text if key != "vocab_size"} | {"image_size": 4, "patch_size": 2}
    made = transformers.CLIPModel(
        transformers.CLIPConfig(text_config=text, vision_config=seen, projection_dim=4)
    )
    given = made.get_image_features(torch.zeros(1, 3, 4, 4))
    assert (given.pooler_output if FIVE else given).shape == (1, 4)
    assert isinstance(given, torch.Tensor) != FIVE
