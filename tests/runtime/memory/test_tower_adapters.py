"""Adapters that PEFT adds to a vision tower and its projector, because names of the text's matrices mean theirs, too.

They are there where a step reads no image; `all-linear` means all matrices of both.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from benchmarks.memory_families import spec_of
from telepathy_runtime.memory import Workload, estimate
from telepathy_runtime.memory.fallback import estimate_or_trace
from telepathy_runtime.memory.states import trained
from telepathy_runtime.models.spec import NotModelledError
from tests.sampling import first, only

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")
pytest.importorskip("peft")

from telepathy_runtime.memory.inputs import model_class  # noqa: E402
from telepathy_runtime.memory.peft_adapters import with_lora  # noqa: E402
from telepathy_runtime.memory.standard_step import traced  # noqa: E402
from tests.runtime.memory.test_image_steps import drawn  # noqa: E402
from tests.runtime.memory.test_images import TEXT as SIZES  # noqa: E402

if tuple(map(int, transformers.__version__.split(".")[:2])) < (5, 20):
    pytest.skip("towers are counted as transformers 5.20 and newer run them", allow_module_level=True)

TOWER = {
    "hidden_size": 320, "intermediate_size": 768, "num_hidden_layers": 5, "num_attention_heads": 4, "image_size": 64,
    "patch_size": 16, "vision_use_head": False,
}  # fmt: skip
QWEN = {"depth": 5, "hidden_size": 320, "intermediate_size": 768, "num_heads": 4, "out_hidden_size": 256}
IDS = {"image_token_index": 7, "boi_token_index": 8, "eoi_token_index": 9}
KINDS = ("llava", "llava of SigLIP", "llava of Pixtral", "gemma3", "qwen2_5_vl")
TARGETS = (
    ("q_proj", "v_proj"),
    ("all-linear",),
    ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"),
    ("o_proj",),
    ("gate_proj", "v_proj"),
)
USUAL = ("llava", TARGETS[1])
"""The case that runs always."""


def config_of(kind: str) -> Any:
    model_type, _, tower = kind.partition(" of ")
    if model_type == "qwen2_5_vl":
        text = SIZES | {"rope_parameters": {"rope_type": "default", "mrope_section": [8, 12, 12]}}
        ids = {"image_token_id": 7, "video_token_id": 8, "vision_start_token_id": 9}
        return transformers.AutoConfig.for_model(model_type, text_config=text, vision_config=QWEN, **ids)
    if model_type == "gemma3":
        text = SIZES | {"sliding_window": 512}
        parts = {"text_config": text, "vision_config": TOWER}
        return transformers.AutoConfig.for_model(model_type, **parts, **IDS, mm_tokens_per_image=16)
    name = {"": "clip_vision_model", "SigLIP": "siglip_vision_model", "Pixtral": "pixtral"}[tower]
    text, vision = SIZES | {"model_type": "llama"}, TOWER | {"model_type": name, "head_dim": 80}
    return transformers.AutoConfig.for_model("llava", text_config=text, vision_config=vision, **IDS)


def job(**how: Any) -> Workload:
    given = {"batch": 2, "seq_len": 96, "regime": "lora", "lora_rank": 64, "keep_outputs": False}
    return Workload(**{**given, "use_cache": False, "transformers": transformers.__version__, **how})


def added(config: Any, work: Workload) -> int:
    """Bytes of the adapters that PEFT adds to a model on the meta device."""
    with torch.device("meta"):
        model = with_lora(model_class(config)._from_config(config, dtype=torch.bfloat16), work)
    return sum(each.nbytes for name, each in model.named_parameters() if "lora_" in name)


CASES = [
    (kind, targets, how)
    for kind in KINDS
    if kind != "llava of Pixtral"
    for targets in TARGETS
    for how in ({}, {"tower": "frozen"}, {"dora": True})
    if not (how.get("dora") and kind == "gemma3")
]


@pytest.mark.parametrize(("kind", "targets", "how"), CASES)
def test_weights_are_those_of_peft(kind: str, targets: tuple[str, ...], how: dict[str, Any]) -> None:
    config, work = config_of(kind), job(lora_targets=targets, **how)
    spec = spec_of(config)
    assert estimate(spec, work).after_load - spec.bytes_in("bfloat16") == added(config, work)


@pytest.mark.parametrize(
    "case",
    only([USUAL], [(kind, targets) for kind in KINDS[:2] + KINDS[3:] for targets in TARGETS[:3]]),
)
def test_a_step_of_text(case: tuple[str, tuple[str, ...]]) -> None:
    kind, targets = case
    config, work = config_of(kind), job(lora_targets=targets, lora_rank=256)
    planned, seen = estimate(spec_of(config), work), traced(config, work)
    assert planned.peak_allocated == pytest.approx(seen.peak_allocated, rel=0.002)
    # Between two steps there are the inputs and buffers, too.
    assert planned.steady == pytest.approx(seen.end, rel=0.002)


def test_shards_have_gradients_of_the_towers_adapters_too() -> None:
    """A shard is a part of a whole buffer, which has gradients and states for all that it holds."""
    config, work = config_of("llava"), job(lora_targets=("all-linear",))
    spec = spec_of(config)
    numbers = [trained(spec, work.but(shard=shard, ranks=2)).params for shard in ("none", "fsdp")]
    # The tower's and the projector's, from PEFT: all but those of the text alone.
    without = added(config, work.but(tower="frozen"))
    assert numbers[0] * 4 == without and numbers[1] * 4 == added(config, work)


def test_adapters_on_another_tower_are_traced(tmp_path: Path) -> None:
    config, work = config_of("llava of Pixtral"), job()
    config.save_pretrained(tmp_path)
    spec = spec_of(config)
    with pytest.raises(NotModelledError, match="adapters on llava with this tower have no closed form"):
        estimate(spec, work)
    found = estimate_or_trace(spec, work, tmp_path)
    expected = spec.bytes_in("bfloat16") + added(config, work)
    assert found.whole and found.after_load == pytest.approx(expected, rel=0.001)  # beside buffers
    apart = estimate(spec, work.but(tower="frozen"))
    assert apart.after_load == spec.bytes_in("bfloat16") + added(config, work.but(tower="frozen"))


EVERYWHERE: tuple[dict[str, Any], ...] = (
    {}, {"checkpointing": True}, {"autocast": True}, {"mixed_precision": True, "checkpointing": True},
    {"keep_outputs": True, "use_cache": True}, {"lora_dtype": "bfloat16"}, {"lora_dropout": True},
    {"grad_accum": 2, "checkpointing": True}, {"optimizer": "sgd"},
)  # fmt: skip


@pytest.mark.parametrize("number", first(3, 9, range(36)))
def test_all_linear_layers_with_images(number: int) -> None:
    config, work = drawn(number)
    sizes = {"batch": work.batch, "seq_len": work.seq_len, "image_tokens": work.image_tokens}
    how = EVERYWHERE[number // 3 % len(EVERYWHERE)]
    asked = job(
        attn=work.attn, lora_targets=("all-linear",), lora_rank=(4, 16, 64, 128)[number % 4], **sizes, **how
    )
    planned, seen = estimate(spec_of(config), asked), traced(config, asked)
    assert planned.peak_allocated == pytest.approx(seen.peak_allocated, rel=0.005)


def test_adafactors_states_of_the_towers_adapters_follow_their_shapes() -> None:
    config = config_of("llava")
    work = job(lora_targets=("all-linear",), optimizer="adafactor", image_tokens=16, seq_len=100)
    planned, seen = estimate(spec_of(config), work), traced(config, work)
    assert planned.peak_allocated == pytest.approx(seen.peak_allocated, rel=0.005)


def test_muon_has_one_state_of_the_towers_adapters_where_adamw_has_two() -> None:
    work = job(lora_targets=("all-linear",), image_tokens=16, seq_len=100)
    spec = spec_of(config_of("llava"))
    muon, adamw = (
        estimate(spec, work.but(optimizer=each)).instants[-1].optimizer for each in ("muon", "adamw")
    )
    assert muon * 2 == adamw > 0
