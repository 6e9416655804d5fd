"""Attention: all combinations of package, capability, dtype and class, compared with an independent rule."""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import Any

import pytest

from telepathy_runtime.choose.attention import ClassTraits, choose_attention
from telepathy_runtime.errors import AttentionError
from telepathy_runtime.machine.environment import Device, Machine
from telepathy_runtime.machine.launcher import Launcher
from tests.runtime.machines import CPU, FLASH, cuda

LLAMA = ClassTraits("LlamaForCausalLM")
GEMMA2 = ClassTraits("Gemma2ForCausalLM", sdpa=False)  # 5.23: softcapping
GPTJ = ClassTraits("GPTJForCausalLM", sdpa=False, flex=False)
BLOOM = ClassTraits("BloomForCausalLM", sdpa=False, flash=False, flex=False)
SDPA_ONLY = ClassTraits("SdpaOnly", flash=False, flex=False)
CLASSES = (LLAMA, GEMMA2, GPTJ, BLOOM, SDPA_ONLY)
CAPABILITIES = ((7, 0), (7, 5), (8, 0), (8, 9), (9, 0), (10, 0), (12, 0))
DTYPES = ("bfloat16", "float16", "float32", None)
PACKAGES = tuple(
    combination
    for size in range(4)
    for combination in itertools.combinations(("flash-attn", "flash-attn-3", "flash-attn-4"), size)
)


def expected(
    packages: tuple[str, ...], capability: tuple[int, int], dtype: str | None, traits: ClassTraits
) -> str:
    """The intended rule: FA4 (capability 10, 9 allowed), FA3 (9), FA2 (8 and above), 16-bit dtypes, then sdpa, then eager."""
    if traits.flash and dtype in ("bfloat16", "float16"):
        major = capability[0]
        if major == 9 and "flash-attn-3" in packages:
            return "flash_attention_3"
        if major >= 9 and "flash-attn-4" in packages:
            return "flash_attention_4"
        if major >= 8 and "flash-attn" in packages:
            return "flash_attention_2"
    return "sdpa" if traits.sdpa else "eager"


@pytest.mark.parametrize("traits", CLASSES, ids=lambda traits: traits.name)
@pytest.mark.parametrize("capability", CAPABILITIES, ids=lambda pair: f"cc{pair[0]}.{pair[1]}")
def test_matrix(capability: tuple[int, int], traits: ClassTraits) -> None:
    for packages, dtype in itertools.product(PACKAGES, DTYPES):
        choice = choose_attention(cuda(capability=capability, packages=packages), traits=traits, dtype=dtype)
        assert choice.value == expected(packages, capability, dtype, traits), (packages, dtype, choice)
        assert choice.because


def test_flex_only_where_it_compiles_and_sdpa_is_missing() -> None:
    with_triton = cuda(packages=("triton",))
    assert choose_attention(with_triton, traits=GEMMA2).value == "flex_attention"
    assert choose_attention(with_triton, traits=LLAMA).value == "sdpa"
    assert choose_attention(with_triton, traits=GPTJ).value == "eager"
    assert choose_attention(cuda(), traits=GEMMA2).value == "eager"
    assert choose_attention(CPU, traits=GEMMA2).value == "eager"


def test_the_distribution_counts_not_the_import_name() -> None:
    """FA4's wheel is also imported as flash_attn; with it alone, FlashAttention 2 is not installed."""
    machine = cuda(capability=(8, 0), packages=("flash-attn-4",))
    assert choose_attention(machine, traits=LLAMA).value == "sdpa"
    with pytest.raises(AttentionError, match="package flash-attn is not installed"):
        choose_attention(machine, "flash_attention_2", traits=LLAMA)


@pytest.mark.parametrize("name", FLASH)
def test_a_name_this_transformers_does_not_know_is_not_chosen(name: str) -> None:
    full = cuda(capability=(9, 0), packages=(FLASH[name],))
    assert choose_attention(full, traits=LLAMA).value == name
    old = replace(full, known_attention=frozenset({"sdpa", "eager"}))
    assert choose_attention(old, traits=LLAMA).value == "sdpa"
    with pytest.raises(AttentionError, match="does not support it"):
        choose_attention(old, name, traits=LLAMA)


def test_a_package_that_transformers_rejects_is_not_chosen() -> None:
    machine = replace(cuda(packages=("flash-attn",)), packaged_attention=frozenset({"sdpa", "eager"}))
    choice = choose_attention(machine, traits=LLAMA)
    assert choice.value == "sdpa"
    assert "does not accept flash-attn 2.8.3" in choice.because


def test_every_gpu_that_will_be_used_counts() -> None:
    devices = (Device("cuda", 0, "new", (9, 0)), Device("cuda", 1, "old", (7, 5)))
    machine = replace(cuda(packages=("flash-attn",)), devices=devices)
    assert choose_attention(machine, traits=LLAMA).value == "sdpa"
    first = replace(machine, launcher=Launcher("torchrun", 2, 0, 0, 2))
    second = replace(machine, launcher=Launcher("torchrun", 2, 1, 1, 2))
    assert choose_attention(first, traits=LLAMA).value == "flash_attention_2"
    assert choose_attention(second, traits=LLAMA).value == "sdpa"


def test_parts_of_a_composite_model_count() -> None:
    machine = cuda(packages=("flash-attn",))
    vision = ClassTraits("Vision", flash=False)
    odd = ClassTraits("Odd", sdpa=False, flash=False)
    assert choose_attention(machine, traits=ClassTraits("Vlm", parts=(LLAMA,))).value == "flash_attention_2"
    assert choose_attention(machine, traits=ClassTraits("Vlm", parts=(LLAMA, vision))).value == "sdpa"
    mixed = choose_attention(machine, traits=ClassTraits("Vlm", parts=(LLAMA, odd)))
    assert mixed.value is None  # one name for all would be refused by one of them
    assert "each part" in mixed.because


def test_kernels_that_would_be_downloaded_are_not_chosen() -> None:
    """gpt-oss uses a single flash kernel from the hub, and replaces any other request by it."""
    gpt_oss = ClassTraits("GptOssForCausalLM", sdpa=False, only_flash=("kernels-community/vllm-flash-attn3",))
    assert choose_attention(cuda(packages=("flash-attn", "flash-attn-3")), traits=gpt_oss).value == "eager"


def test_heads_too_large_for_the_kernels() -> None:
    machine = cuda(packages=("flash-attn",))
    assert choose_attention(machine, traits=ClassTraits("M", head_size=256)).value == "flash_attention_2"
    assert choose_attention(machine, traits=ClassTraits("M", head_size=512)).value == "sdpa"


def test_weights_that_stay_on_the_cpu_get_no_flash_attention() -> None:
    machine = cuda(packages=("flash-attn",))
    assert choose_attention(machine, traits=LLAMA, on_accelerator=False).value == "sdpa"


def test_wanted_attentions_are_eager_and_said() -> None:
    choice = choose_attention(cuda(packages=("flash-attn",)), traits=LLAMA, wants_attentions=True)
    assert choice.value == "eager"
    assert "output_attentions" in choice.warnings[0]


def test_unknown_class_is_left_to_transformers() -> None:
    assert choose_attention(cuda(packages=("flash-attn",)), traits=None).value is None


def test_rocm_is_judged_by_its_package() -> None:
    machine = replace(cuda(capability=(9, 4), packages=("flash-attn",)), rocm=True)
    assert choose_attention(machine, traits=LLAMA).value == "flash_attention_2"


EXPLICIT: dict[str, tuple[Machine, str, ClassTraits | None, str | None, str]] = {
    "cpu": (CPU, "flash_attention_2", LLAMA, "bfloat16", "runs on CUDA devices, not on cpu"),
    "package": (cuda(), "flash_attention_2", LLAMA, "bfloat16", "package flash-attn is not installed"),
    "capability 7.0": (
        cuda(capability=(7, 0), packages=("flash-attn",)),
        "flash_attention_2",
        LLAMA,
        "float16",
        "needs compute capability at least 8.0, found 7.0",
    ),
    "FA3 off Hopper": (
        cuda(capability=(10, 0), packages=("flash-attn-3",)),
        "flash_attention_3",
        LLAMA,
        "bfloat16",
        "needs compute capability 9.x, found 10.0",
    ),
    "dtype": (
        cuda(packages=("flash-attn",)),
        "flash_attention_2",
        LLAMA,
        "float32",
        "needs float16 or bfloat16, not float32",
    ),
    "class": (
        cuda(packages=("flash-attn",)),
        "flash_attention_2",
        BLOOM,
        "bfloat16",
        "BloomForCausalLM does not support it",
    ),
    "sdpa": (CPU, "sdpa", GPTJ, "bfloat16", "GPTJForCausalLM does not support it"),
}


@pytest.mark.parametrize(("machine", "name", "traits", "dtype", "said"), EXPLICIT.values(), ids=EXPLICIT)
def test_a_name_that_cannot_work_is_an_error_that_says_which_of_them(
    machine: Machine, name: str, traits: ClassTraits, dtype: str, said: str
) -> None:
    with pytest.raises(AttentionError) as caught:
        choose_attention(machine, name, traits=traits, dtype=dtype)
    assert said in str(caught.value)
    assert name in str(caught.value)


def test_a_missing_package_is_transformers_business_where_kernels_can_bring_it() -> None:
    """The hub's kernel is the same, so a request by name is met; transformers decides about the download."""
    choice = choose_attention(cuda(packages=("kernels",)), "flash_attention_2", traits=LLAMA)
    assert choice.value == "flash_attention_2"
    with pytest.raises(AttentionError, match="float32"):
        choose_attention(cuda(packages=("kernels",)), "flash_attention_2", traits=LLAMA, dtype="float32")


@pytest.mark.parametrize(
    "asked", ["eager", "sdpa", "flex_attention", "org/kernel", {"text_config": "eager"}, None]
)
def test_other_values_are_used_as_given(asked: Any) -> None:
    assert choose_attention(CPU, asked, traits=LLAMA).value == asked
