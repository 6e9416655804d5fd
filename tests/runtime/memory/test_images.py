"""Models with vision: a step of text leaves the tower without gradients, and a step with images is traced with them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from benchmarks.memory_families import error, spec_of
from telepathy_runtime.memory import Workload, estimate
from telepathy_runtime.memory.fallback import estimate_or_trace
from telepathy_runtime.models import lookup, registry
from telepathy_runtime.models.architectures import VISION, ConfigError, counted_spec
from telepathy_runtime.models.spec import UnknownOptionError
from telepathy_runtime.models.towers import tokens_of, tower_of

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

from telepathy_runtime.memory.images import images_of  # noqa: E402
from telepathy_runtime.memory.inputs import model_class  # noqa: E402
from telepathy_runtime.memory.standard_step import traced  # noqa: E402

if tuple(map(int, transformers.__version__.split(".")[:2])) < (5, 0):
    pytest.skip("transformers' towers read values before 5.0", allow_module_level=True)

TEXT = {
    "hidden_size": 256, "intermediate_size": 640, "num_hidden_layers": 3, "num_attention_heads": 4, "vocab_size": 1000,
    "num_key_value_heads": 2, "head_dim": 64, "max_position_embeddings": 4096, "pad_token_id": 0, "bos_token_id": 1,
    "eos_token_id": 2,
}  # fmt: skip
TOWER = {
    "hidden_size": 192, "intermediate_size": 512, "num_hidden_layers": 3, "num_attention_heads": 4, "image_size": 64,
    "patch_size": 16,
}  # fmt: skip
CONFIGS: dict[str, dict[str, Any]] = {
    "llava": {
        "text_config": {"model_type": "llama"} | TEXT,
        "vision_config": {"model_type": "clip_vision_model"} | TOWER,
        "image_token_index": 7,
    },
    "qwen2_5_vl": {
        "text_config": TEXT | {"rope_parameters": {"rope_type": "default", "mrope_section": [8, 12, 12]}},
        "vision_config": {"depth": 3, "hidden_size": 192, "num_heads": 4, "out_hidden_size": 256},
        "image_token_id": 7, "video_token_id": 8, "vision_start_token_id": 9,
    },
    "gemma3": {
        "text_config": TEXT | {"sliding_window": 512},
        "vision_config": TOWER,
        "mm_tokens_per_image": 16, "image_token_index": 7, "boi_token_index": 8, "eoi_token_index": 9,
    },
}  # fmt: skip
IMAGE = 16
"""Tokens of an image in each of these."""


def config_of(model_type: str) -> Any:
    return transformers.AutoConfig.for_model(model_type, **CONFIGS[model_type])


def job(**how: Any) -> Workload:
    given = {"batch": 2, "seq_len": 96, "regime": "full", "keep_outputs": False, "use_cache": False}
    return Workload(**{**given, "transformers": transformers.__version__, **how})


def trained(config: Any, tokens: int) -> int:
    """The parameters that have a gradient after a step on the CPU, whose images take `tokens` of each sequence."""
    model = model_class(config)._from_config(config, dtype=torch.float32)
    ids = torch.full((2, 96), 5)
    ids[:, 3 : 3 + tokens] = 7
    given = images_of(config, 2, 96, tokens, torch.float32) if tokens else {}
    if "token_type_ids" in given:
        given["token_type_ids"] = (ids == 7).long()
    model(input_ids=ids, attention_mask=torch.ones_like(ids), labels=ids, **given).loss.backward()
    return sum(each.numel() for each in model.parameters() if each.grad is not None)


def test_every_model_with_vision_is_tested() -> None:
    assert set(CONFIGS) == set(VISION)


@pytest.mark.parametrize("model_type", CONFIGS)
@pytest.mark.parametrize(
    "how",
    [
        {},
        {"opt_impl": "single", "checkpointing": True},
        {"optimizer": "sgd", "seq_len": 700},
        {"regime": "frozen_grad"},
    ],
)
def test_a_step_of_text(model_type: str, how: dict[str, Any]) -> None:
    assert abs(error(config_of(model_type), job(**how))) < 0.005


@pytest.mark.parametrize("model_type", CONFIGS)
def test_the_tower_is_what_text_leaves_without_gradients(model_type: str) -> None:
    config = config_of(model_type)
    spec = spec_of(config)
    assert trained(config, 0) == spec.params - spec.tower
    assert spec.tower > 0.1 * spec.params


@pytest.mark.parametrize("model_type", CONFIGS)
def test_a_step_with_images_has_the_states_of_a_real_one(model_type: str) -> None:
    """Between two steps, there are weights, two states of each parameter that images or text reached, and the inputs."""
    config, work = config_of(model_type), job(image_tokens=2 * IMAGE)
    inputs = images_of(config, 2, 96, 2 * IMAGE, torch.bfloat16)
    given = sum(each.nbytes for each in inputs.values()) + 3 * 8 * 2 * 96
    expected = 2 * spec_of(config).params + 2 * 2 * trained(config, 2 * IMAGE) + given
    assert traced(config, work).end == pytest.approx(expected, rel=0.01)


def test_images_of_gemma_need_a_mask_and_those_of_llava_do_not() -> None:
    work = job(image_tokens=IMAGE, seq_len=400)
    for model_type, masked in (("gemma3", True), ("llava", False)):
        config = config_of(model_type)
        plain, padded = (traced(config, work.but(padded=each)).peak_allocated for each in (False, True))
        assert (plain == padded) is masked


def test_images_of_another_tower_are_traced(tmp_path: Path) -> None:
    config = config_of("gemma3")  # with a head on its tower, which published models do not have
    config.save_pretrained(tmp_path)
    spec, work = spec_of(config), job(image_tokens=IMAGE)
    found = estimate_or_trace(spec, work, tmp_path)
    assert found.whole and found.peak_allocated == traced(config, work).peak_allocated
    odd = estimate_or_trace(spec, work.but(image_tokens=IMAGE + 1), tmp_path)
    assert not odd.whole
    assert any("an image of this gemma3 has 16 tokens" in note for note in odd.notes)


def test_tokens_that_are_no_whole_number_of_images(tmp_path: Path) -> None:
    config = config_of("llava")
    config.save_pretrained(tmp_path)
    with pytest.raises(
        UnknownOptionError, match="an image of this llava has 16 tokens, and 17 are no whole number"
    ):
        estimate_or_trace(spec_of(config), job(image_tokens=IMAGE + 1), tmp_path)


def test_images_in_packed_sequences_are_not_counted_as_one(tmp_path: Path) -> None:
    config, work = config_of("llava"), job(image_tokens=IMAGE, packed=True)
    config.save_pretrained(tmp_path)
    found = estimate_or_trace(spec_of(config), work, tmp_path)
    assert not found.whole
    assert any("packed=True with image_tokens=16; known: packed=False" in note for note in found.notes)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"spatial_merge_size": 0}, "spatial_merge_size must be a positive integer, not 0"),
        ({"patch_size": 0}, "patch_size must be a positive integer, not 0"),
        ({"window_size": 0}, "window_size must be a positive integer, not 0"),
        ({"window_size": 27}, "window_size must be at least spatial_merge_size times patch_size, 28, not 27"),
    ],
)
def test_sizes_of_a_tower_are_checked(wrong: dict[str, int], message: str, tmp_path: Path) -> None:
    config = config_of("qwen2_5_vl").to_dict()
    config["vision_config"] |= wrong
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(ConfigError, match=message):
        lookup.find(str(tmp_path))
    config["vision_config"] |= {"spatial_merge_size": 2, "patch_size": 14, "window_size": 28}
    (tmp_path / "config.json").write_text(json.dumps(config))
    tower = lookup.find(str(tmp_path)).vision
    assert tower is not None and tower.window == 1


@pytest.mark.parametrize(
    ("tower", "select"),
    [
        ("clip_vision_model", "default"),
        ("clip_vision_model", "full"),
        ("siglip_vision_model", "default"),
        ("siglip_vision_model", "full"),
        ("pixtral", "full"),
        ("gemma3", "default"),
    ],
)
def test_an_image_has_as_many_tokens_as_features(tower: str, select: str) -> None:
    """The one function that says so, against the features that a real model puts in their places."""
    sizes: dict[str, Any] = {"vision_config": TOWER | {"model_type": tower, "head_dim": 48}}
    if tower == "gemma3":
        config = config_of("gemma3")
    else:
        config = transformers.AutoConfig.for_model(
            "llava", **CONFIGS["llava"] | sizes, vision_feature_select_strategy=select
        )
    model = model_class(config)._from_config(config, dtype=torch.float32)
    given = {} if tower != "pixtral" else {"image_sizes": torch.tensor([[64, 64]])}
    found = model.get_image_features(torch.zeros(1, 3, 64, 64), **given)
    features = getattr(found, "pooler_output", found)
    assert tokens_of(config.to_dict()) == sum(each.shape[-2] for each in features)
    assert images_of(config, 1, 96, 3 * features[0].shape[-2], torch.float32)["pixel_values"].shape[0] == 3


@pytest.mark.parametrize("wrong", [{"patch_size": 0}, {"patch_size": [16, 16]}, {"image_size": [64, 64]}])
def test_a_tower_of_llava_with_other_sizes_is_not_known(wrong: dict[str, Any]) -> None:
    config = config_of("llava").to_dict()
    assert counted_spec(config, "some/llava", 1000).vision is not None
    config["vision_config"] |= wrong
    assert counted_spec(config, "some/llava", 1000).vision is None


def test_images_that_cannot_be() -> None:
    with pytest.raises(UnknownOptionError, match="more than the 96 of seq_len"):
        job(image_tokens=97)
    with pytest.raises(UnknownOptionError, match="reads no images that are modelled"):
        estimate(registry.get("meta-llama/Llama-3.2-1B"), job(image_tokens=16))


def test_a_listed_tower_equals_the_built_one() -> None:
    from telepathy_runtime.models.counting import count

    name = "llava-hf/llava-1.5-7b-hf"
    assert registry.get(name).tower == count(registry.listed_config(name)).tower


def test_one_table_says_which_models_always_read_an_image(monkeypatch: pytest.MonkeyPatch) -> None:
    config = config_of("llava")
    assert images_of(config, 2, 40, 0, torch.bfloat16)["pixel_values"].shape[0] == 0
    monkeypatch.setattr("telepathy_runtime.memory.images.ALWAYS", ("llava",))
    assert images_of(config, 2, 40, 0, torch.bfloat16)["pixel_values"].shape == (2, 3, 64, 64)


@pytest.mark.parametrize(
    ("vision", "layer", "message"),
    [
        ({"image_size": 56, "patch_size": 100}, -2, "patch_size 100 is larger than image_size 56"),
        ({"num_hidden_layers": 2}, -99, "vision_feature_layer -99 is none of the tower's 2 layers"),
    ],
)
def test_a_tower_that_no_image_fits_is_an_error(vision: dict[str, Any], layer: int, message: str) -> None:
    given = {"model_type": "llava", "vision_config": vision, "vision_feature_layer": layer}
    with pytest.raises(ValueError, match=message):
        tower_of(given)
