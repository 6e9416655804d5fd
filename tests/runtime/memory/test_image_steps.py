"""Steps that read images, in closed form: the estimate equals the trace of transformers' own step."""

from __future__ import annotations

import random
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from benchmarks.memory_families import spec_of
from telepathy_runtime.memory import Workload, estimate
from telepathy_runtime.memory.fallback import estimate_or_trace
from telepathy_runtime.models import registry
from telepathy_runtime.models.spec import NotModelledError, UnknownOptionError
from telepathy_runtime.models.towers import sides_of, windows_of

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

from telepathy_runtime.memory.standard_step import traced  # noqa: E402

if tuple(map(int, transformers.__version__.split(".")[:2])) < (5, 20):
    pytest.skip("towers are counted as transformers 5.20 and newer run them", allow_module_level=True)

TRAINER: dict[str, Any] = {"regime": "full", "keep_outputs": False, "use_cache": False}
LORA = TRAINER | {"regime": "lora"}
CHECKPOINTED = {"checkpointing": True}
FROZEN = {"tower": "frozen"}
EVERYWHERE = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")
REGIMES: tuple[dict[str, Any], ...] = (
    {}, TRAINER, LORA | CHECKPOINTED | FROZEN, TRAINER | CHECKPOINTED, LORA | FROZEN, TRAINER | FROZEN,
    TRAINER | {"tower": "projector"}, {"new_tokens": 3, "logits": "last"}, TRAINER | FROZEN | CHECKPOINTED,
    {"use_cache": False}, {"logits": "last"}, {"regime": "full"}, {"regime": "full"} | CHECKPOINTED,
    TRAINER | {"tower": "projector"} | CHECKPOINTED, LORA, LORA | CHECKPOINTED, {"regime": "lora"}, {"regime": "lora"} | CHECKPOINTED,
    LORA | {"lora_targets": EVERYWHERE}, LORA | CHECKPOINTED | FROZEN | {"lora_targets": ("all-linear",)},
    LORA | {"lora_dtype": "bfloat16", "lora_dropout": True}, LORA | {"modules_to_save": ("embed_tokens",)},
    {"regime": "frozen_grad"}, {"regime": "frozen_grad"} | CHECKPOINTED, TRAINER | {"regime": "frozen_grad"},
    TRAINER | {"grad_accum": 2}, TRAINER | {"grad_accum": 2} | CHECKPOINTED, LORA | {"grad_accum": 2} | CHECKPOINTED,
    TRAINER | {"padded": True}, TRAINER | {"optimizer": "adafactor"}, TRAINER | {"opt_impl": "single"},
    TRAINER | {"opt_impl": "fused"}, TRAINER | {"optimizer": "sgd"}, TRAINER | {"mixed_precision": True},
    TRAINER | {"mixed_precision": True} | CHECKPOINTED, LORA | {"mixed_precision": True}, LORA | {"autocast": True} | CHECKPOINTED,
)  # fmt: skip
KINDS = ("llava", "gemma3", "qwen2_5_vl")
QUICK = 6
"""The jobs that every run draws: each kind of model, and each of the usual ways to train it."""


def config_of(kind: str, text: dict[str, Any], tower: dict[str, Any], **top: Any) -> Any:
    """A model of three kinds with these dimensions."""
    text = text | {"max_position_embeddings": 8192, "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2}
    names = {"image_token_index": 7}
    if kind == "llava":
        text, tower = {"model_type": "llama"} | text, {"model_type": "clip_vision_model"} | tower
    elif kind == "gemma3":
        tower = {"vision_use_head": False} | tower
        names |= {"boi_token_index": 8, "eoi_token_index": 9}
    else:
        half = text["head_dim"] // 2
        sections = [half - 2 * (half // 3), half // 3, half // 3]
        text = text | {"rope_parameters": {"rope_type": "default", "mrope_section": sections}}
        names = {"image_token_id": 7, "video_token_id": 8, "vision_start_token_id": 9}
    return transformers.AutoConfig.for_model(kind, text_config=text, vision_config=tower, **names, **top)


def drawn(number: int) -> tuple[Any, Workload]:
    """A model and a job."""
    draw = random.Random(f"images {number}")
    kind = KINDS[number % 3]
    how = REGIMES[(number // 3 if number < QUICK else draw.randrange(len(REGIMES))) % len(REGIMES)]
    if kind == "gemma3" and how.get("regime") == "full" and "mixed_precision" in how:
        how = {}  # its text has no closed form of it
    width, few = draw.choice([32, 64, 128]), draw.choice([2, 4])
    heads = few * draw.choice([1, 2, 4])
    text = {
        "num_hidden_layers": draw.randint(2, 5), "head_dim": width, "num_attention_heads": heads, "num_key_value_heads": few,
        "hidden_size": 64 * draw.randint(3, 16) if kind == "gemma3" else width * heads,
        "intermediate_size": 64 * draw.randint(4, 40), "vocab_size": draw.choice([1000, 3000, 30000]),
    }  # fmt: skip
    some, layers, wide = draw.choice([2, 4, 8]), draw.randint(2, 6), 64 * draw.randint(4, 40)
    sizes = {"hidden_size": some * draw.choice([32, 64, 80]), "intermediate_size": wide}
    if kind == "qwen2_5_vl":
        tokens = draw.choice([draw.randint(1, 30) * draw.randint(1, 30), draw.randint(1, 10) ** 2])
        whole = draw.sample(range(layers), draw.randint(0, layers))
        more = {"depth": layers, "num_heads": some, "out_hidden_size": text["hidden_size"]}
        config = config_of(kind, text, sizes | more | {"fullatt_block_indexes": whole})
    else:
        patch, side = draw.choice([14, 16, 28]), draw.choice([4, 8, 12, 16, 24])
        more = {"num_hidden_layers": layers, "num_attention_heads": some, "patch_size": patch}
        more |= {"image_size": patch * side}
        select = draw.choice(["default", "full"])
        each, top = (side // draw.choice([1, 2, 4])) ** 2, {}
        if kind == "gemma3":
            text["sliding_window"] = draw.choice([16, 512, 4096])
            top = {"mm_tokens_per_image": each}
        else:
            each = side**2 + (select == "full")
            top = {"vision_feature_layer": draw.choice([-1, -2]), "vision_feature_select_strategy": select}
        tokens = each * draw.randint(1, 3)
        config = config_of(kind, text, sizes | more, **top)
    work = Workload(
        batch=draw.randint(1, 3), seq_len=tokens + draw.randint(1, 400), image_tokens=tokens, attn=draw.choice(["sdpa", "sdpa", "eager"]),
        transformers=transformers.__version__, **how,
    )  # fmt: skip
    return config, work


def off(config: Any, work: Workload) -> float:
    """The estimate's share of the trace, less one."""
    return estimate(spec_of(config), work).peak_allocated / traced(config, work).peak_allocated - 1


@pytest.mark.parametrize(
    "number",
    [
        pytest.param(
            each, marks=[] if each < QUICK else pytest.mark.slow if each % 4 == 0 else pytest.mark.exhaustive
        )
        for each in range(90)
    ],
)
def test_drawn_jobs(number: int) -> None:
    if number >= QUICK or REGIMES[number // 3].get("regime") == "lora":
        pytest.importorskip("peft")
    assert abs(off(*drawn(number))) < 0.005


def _qwen(hidden: int, layers: int, heads: int, few: int, wide: int, vocab: int, tied: bool) -> Any:
    text = {
        "hidden_size": hidden, "num_hidden_layers": layers, "num_attention_heads": heads, "num_key_value_heads": few, "head_dim": 128,
        "intermediate_size": wide, "vocab_size": vocab, "tie_word_embeddings": tied,
    }  # fmt: skip
    tower = {
        "depth": 32,
        "hidden_size": 1280,
        "intermediate_size": 3420,
        "num_heads": 16,
        "out_hidden_size": hidden,
    }
    return config_of("qwen2_5_vl", text, tower, tie_word_embeddings=tied)


def published(name: str) -> Any:
    """The config of a published model."""
    if name == "LLaVA-1.5-7B":
        listed = dict(registry.listed_config("llava-hf/llava-1.5-7b-hf"))
        return transformers.AutoConfig.for_model(listed.pop("model_type"), **listed)
    if name == "Qwen2.5-VL-3B":
        return _qwen(2048, 36, 16, 2, 11008, 151936, tied=True)
    if name == "Qwen2.5-VL-7B":
        return _qwen(3584, 28, 28, 4, 18944, 152064, tied=False)
    text = {
        "hidden_size": 2560, "num_hidden_layers": 34, "num_attention_heads": 8, "num_key_value_heads": 4, "head_dim": 256,
        "intermediate_size": 10240, "vocab_size": 262208, "sliding_window": 1024,
    }  # fmt: skip
    tower = {
        "hidden_size": 1152, "image_size": 896, "intermediate_size": 4304, "num_attention_heads": 16, "num_hidden_layers": 27,
        "patch_size": 14,
    }  # fmt: skip
    return config_of("gemma3", text, tower, mm_tokens_per_image=256)


TOKENS = {"LLaVA-1.5-7B": 576, "Qwen2.5-VL-3B": 391, "Qwen2.5-VL-7B": 324, "Gemma-3-4B": 256}


@pytest.mark.exhaustive
@pytest.mark.parametrize("how", REGIMES[:9], ids=str)
@pytest.mark.parametrize("name", TOKENS)
def test_published_shapes(name: str, how: dict[str, Any]) -> None:
    pytest.importorskip("peft")
    tokens = TOKENS[name]
    work = Workload(
        batch=2, seq_len=tokens + 300, image_tokens=tokens, transformers=transformers.__version__, **how
    )
    assert abs(off(published(name), work)) < 0.001


def test_estimates_with_images_need_no_torch() -> None:
    code = (
        "import sys; sys.modules['torch'] = sys.modules['transformers'] = None\n"
        "from telepathy_runtime import registry\n"
        "from telepathy_runtime.memory import Workload, estimate\n"
        "spec = registry.get('llava-hf/llava-1.5-7b-hf')\n"
        "found = estimate(spec, Workload(seq_len=1024, image_tokens=576, regime='full'))\n"
        "assert found.whole and 'images, layers, backward' in {each.name for each in found.instants}\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_frozen_tower_has_no_states() -> None:
    spec = registry.get("llava-hf/llava-1.5-7b-hf")
    work = Workload(seq_len=1024, image_tokens=576, **TRAINER)
    tower, projector = 303_507_456, 20_979_712
    steady = {
        each: estimate(spec, work.but(tower=each)).steady for each in ("trained", "projector", "frozen")
    }
    assert steady["projector"] - steady["frozen"] == 2 * 2 * projector
    # Behind the last layer that LLaVA reads there is another one and a norm, without gradients.
    assert tower + projector == spec.tower
    unread = (4 * 1024**2 + 4 * 1024) + (2 * 1024 * 4096 + 4096 + 1024) + 4 * 1024 + 2 * 1024
    assert steady["trained"] - steady["projector"] == 2 * 2 * (tower - unread)


def test_a_name_of_adapters_means_the_towers_matrices_too() -> None:
    spec = registry.get("llava-hf/llava-1.5-7b-hf")
    work = Workload(seq_len=1024, image_tokens=576, **LORA)
    both = [estimate(spec, work.but(tower=each)).after_load for each in ("trained", "frozen")]
    assert both[0] - both[1] == 24 * 2 * 16 * 2 * 1024 * 4


@pytest.mark.parametrize("name", ["fc1", "fc2", "out_proj"])
def test_names_of_the_towers_matrices_are_not_taken_for_the_texts(name: str) -> None:
    spec = registry.get("llava-hf/llava-1.5-7b-hf")
    work = Workload(seq_len=1024, image_tokens=576, lora_targets=("q_proj", name), **LORA)
    with pytest.raises(
        NotModelledError, match=f"adapters on {name} of the tower of llava have no closed form"
    ):
        estimate(spec, work)
    for how in (FROZEN, {"image_tokens": 0}, {"lora_targets": ("dense",)}):
        with pytest.raises(UnknownOptionError, match=r"^lora_targets .*known: q_proj, .*down_proj") as seen:
            estimate(spec, work.but(**how))
        assert not isinstance(seen.value, NotModelledError)


def test_adapters_on_a_towers_own_matrices_are_traced(tmp_path: Path) -> None:
    pytest.importorskip("peft")
    sizes = {"hidden_size": 128, "intermediate_size": 256, "num_hidden_layers": 2, "num_attention_heads": 2}
    text = sizes | {"num_key_value_heads": 2, "head_dim": 64, "vocab_size": 300}
    config = config_of("llava", text, sizes | {"image_size": 64, "patch_size": 16})
    config.save_pretrained(tmp_path)
    names = ("q_proj", "v_proj", "fc1", "fc2", "out_proj")
    work = Workload(
        seq_len=64, image_tokens=16, lora_targets=names, transformers=transformers.__version__, **LORA
    )
    found = estimate_or_trace(spec_of(config), work, tmp_path)
    assert found.whole and found.peak_allocated == traced(config, work).peak_allocated


def test_checkpointing_sends_a_gradient_through_a_frozen_tower() -> None:
    spec = registry.get("llava-hf/llava-1.5-7b-hf")
    work = Workload(seq_len=1024, image_tokens=576, **TRAINER | FROZEN)
    names = [
        {each.name for each in estimate(spec, work.but(checkpointing=each)).instants}
        for each in (False, True)
    ]
    assert "images, layers, backward" in names[1] - names[0]


@pytest.mark.parametrize(
    ("rows", "columns", "expected"),
    [(8, 8, {64: 4}), (3, 5, {48: 1, 12: 1}), (9, 10, {64: 4, 32: 2, 16: 2, 8: 1})],
)
def test_windows(rows: int, columns: int, expected: dict[int, int]) -> None:
    assert windows_of(rows * columns, merge=2, window=4) == expected
    assert sum(size * many for size, many in expected.items()) == rows * columns * 4


@pytest.mark.parametrize("version", ["5.20.0", "5.24.0"])
def test_a_note_names_the_version_that_is_counted(version: str) -> None:
    spec = registry.get("llava-hf/llava-1.5-7b-hf")
    found = estimate(spec, Workload(image_tokens=576, transformers=version))
    expected = (
        f"each sequence reads 1 image of 336 by 336 pixels; counted as transformers {version} runs llava"
    )
    assert expected in found.notes


def test_errors_about_tokens_name_a_number_that_can_be_used() -> None:
    spec = registry.get("llava-hf/llava-1.5-7b-hf")
    for tokens, usable in ((500, "576"), (600, "576 or 1152")):
        with pytest.raises(
            UnknownOptionError, match=f"--image-tokens.*no whole number.*; {usable} can be used$"
        ):
            estimate(spec, Workload(seq_len=2000, image_tokens=tokens))
    with pytest.raises(UnknownOptionError, match=r"--image-tokens.*use at most 500, or a longer seq_len"):
        Workload(seq_len=500, image_tokens=576)


def test_images_are_as_square_as_they_can_be() -> None:
    for tokens in range(1, 3000):
        high = max(each for each in range(1, int(tokens**0.5) + 1) if tokens % each == 0)
        if tokens <= 200 * high**2:
            assert sides_of(tokens, merge=2) == (2 * high, 2 * tokens // high)
        else:
            with pytest.raises(ValueError, match="can be used") as seen:
                sides_of(tokens, merge=2)
            usable = int(str(seen.value).split("; ")[1].split()[0])
            rows, columns = sides_of(usable, merge=2)
            assert tokens - 60 < usable < tokens and columns <= 200 * rows


def test_huge_images_take_no_longer() -> None:
    started = time.monotonic()
    assert sides_of(10**18, merge=1) == (10**9, 10**9)
    spec = spec_of(published("Qwen2.5-VL-3B"))
    work = Workload(seq_len=10**18 + 9, image_tokens=10**18 + 9)  # a prime number
    with pytest.raises(UnknownOptionError, match=r"--image-tokens.*; 1000000000000000000 can be used"):
        estimate(spec, work)
    assert estimate(spec, work.but(image_tokens=10**18)).peak_allocated > 10**18
    assert time.monotonic() - started < 30


def test_towers_and_jobs_without_a_closed_form() -> None:
    sizes = {"hidden_size": 128, "intermediate_size": 256, "num_hidden_layers": 2, "num_attention_heads": 2}
    text = sizes | {"num_key_value_heads": 2, "head_dim": 64, "vocab_size": 300}
    tower = sizes | {"image_size": 64, "patch_size": 16}
    spec = spec_of(config_of("gemma3", text, tower | {"vision_use_head": True}, mm_tokens_per_image=16))
    work = Workload(seq_len=64, image_tokens=16, **TRAINER)
    with pytest.raises(NotModelledError, match="gemma3 with this tower"):
        estimate(spec, work)
    spec = spec_of(config_of("llava", text, tower))
    for how, what in (
        ({"optimizer": "muon"}, "optimizer='muon'"),
        ({"hidden_states": True}, "hidden_states=True"),
        ({"transformers": "5.19.0"}, "before transformers 5.20"),
        ({"shard": "fsdp", "ranks": 2}, "shard='fsdp'"),
        ({"packed": True}, "packed=True"),
        ({"offload": ("optimizer",)}, "offload=optimizer"),
        ({"kernels": "liger"}, "kernels='liger'"),
        ({"objective": "grpo"}, "objective='grpo'"),
    ):
        with pytest.raises(NotModelledError, match=f"llava with images (and )?{what} have no closed form"):
            estimate(spec, work.but(**how))
    with pytest.raises(NotModelledError, match="activations of DoRA on the tower"):
        estimate(spec, work.but(regime="lora", lora_targets=("all-linear",), dora=True))
    with pytest.raises(UnknownOptionError, match="tower='projector' needs regime='full'"):
        work.but(regime="lora", tower="projector")
    gemma = spec_of(config_of("gemma3", text, tower, mm_tokens_per_image=16))
    with pytest.raises(UnknownOptionError, match="no flash_attention_2 for images of gemma3"):
        estimate(gemma, work.but(attn="flash_attention_2"))


def test_the_projector_alone_with_adapters_names_what_to_use() -> None:
    says = "--tower projector needs --regime full; with adapters use --tower trained or frozen"
    with pytest.raises(UnknownOptionError, match=says):
        Workload(regime="lora", tower="projector")
