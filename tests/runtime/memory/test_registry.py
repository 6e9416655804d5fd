"""The registry: exact, light, and never guessing."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from telepathy_runtime import registry
from telepathy_runtime.registry import UnknownModelError

SEED_IDS = {
    "meta-llama/Llama-3.2-1B": 1_235_814_400,
    "meta-llama/Llama-3.2-3B": 3_212_749_824,
    "meta-llama/Meta-Llama-3.1-8B": 8_030_261_248,
    "mistralai/Mistral-7B-v0.3": 7_248_023_552,
    "Qwen/Qwen2.5-1.5B": 1_543_714_304,
    "Qwen/Qwen2.5-3B": 3_085_938_688,
    "Qwen/Qwen2.5-7B": 7_615_616_512,
}


def instruct(model_id: str) -> str:
    return model_id.replace("-v0.3", "-Instruct-v0.3") if "Mistral" in model_id else f"{model_id}-Instruct"


@pytest.mark.parametrize(("model_id", "params"), list(SEED_IDS.items()), ids=str)
def test_the_reviewed_models_have_their_exact_counts(model_id: str, params: int) -> None:
    for name in (model_id, instruct(model_id)):
        spec = registry.get(name)
        assert spec.params == params
        assert spec.params_bytes == 2 * params == registry.published_bytes(name)


def test_fourteen_models_in_the_order_of_the_file() -> None:
    ids = [spec.id for spec in registry.all_models()]
    assert len(ids) == len(set(ids)) == 14
    assert ids[0] == "meta-llama/Llama-3.2-1B"


def test_base_and_instruct_differ_in_positions_only() -> None:
    assert registry.get("Qwen/Qwen2.5-7B").max_positions == 131072
    assert registry.get("Qwen/Qwen2.5-7B-Instruct").max_positions == 32768
    assert registry.get("Qwen/Qwen2.5-3B-Instruct").max_positions == 32768
    assert registry.get("meta-llama/Llama-3.1-8B-Instruct").max_positions == 131072


@pytest.mark.parametrize(
    ("spec_id", "kib"),
    list(zip(SEED_IDS, (32, 112, 128, 128, 28, 36, 56), strict=True)),
    ids=list(SEED_IDS),
)
def test_cache_of_one_token(spec_id: str, kib: int) -> None:
    assert registry.get(spec_id).kv_bytes(1, 1) == kib * 1024


def test_llama_31_was_renamed() -> None:
    assert registry.get("meta-llama/Meta-Llama-3.1-8B").id == "meta-llama/Llama-3.1-8B"
    status = registry.check_id("meta-llama/Meta-Llama-3.1-70B-Instruct")
    assert (status.status, status.canonical) == ("renamed", "meta-llama/Llama-3.1-70B-Instruct")


def test_llama_30_was_not_renamed() -> None:
    assert registry.check_id("meta-llama/Meta-Llama-3-8B").status == "known"
    assert registry.check_id("meta-llama/Llama-3-8B").status == "unknown"
    assert registry.check_id("meta-llama/Meta-Llama-3.2-1B").status == "unknown"


@pytest.mark.parametrize(
    ("model_id", "nearest"),
    [
        ("meta-llama/Meta-Llama-3.2-8B", "meta-llama/Llama-3.1-8B"),
        ("mistralai/Mistral-7B-v0.4", "mistralai/Mistral-7B-v0.3"),
        ("mistralai/Mistral-7B-v0.2", "mistralai/Mistral-7B-v0.3"),
        ("qwen/Qwen2.5-3B", "Qwen/Qwen2.5-3B"),
        ("Qwen/Qwen2.5-4B-Instruct", "Qwen/Qwen2.5-14B-Instruct"),
    ],
)
def test_an_id_that_does_not_exist_is_unknown_with_the_nearest(model_id: str, nearest: str) -> None:
    status = registry.check_id(model_id)
    assert (status.status, status.canonical) == ("unknown", None)
    assert nearest in status.nearest
    assert all(registry.check_id(near).status == "known" for near in status.nearest)


@pytest.mark.parametrize(
    "model_id",
    [
        "google/gemma-2-2b",
        "meta-llama/Llama-2-7b-hf",
        "meta-llama/Llama-Guard-3-8B",
        "Qwen/Qwen2.5-Coder-7B",
        "Qwen/Qwen2.5-VL-7B-Instruct",
        "mistralai/Mixtral-8x7B-v0.1",
        "somebody/Llama-3.2-8B",
        "gpt2",
    ],
)
def test_outside_the_families_nothing_is_claimed(model_id: str) -> None:
    assert registry.check_id(model_id).status == "outside"


def test_an_unknown_model_is_an_error_with_the_nearest_names() -> None:
    with pytest.raises(
        UnknownModelError, match=r"'Qwen/Qwen2.5-8B'; nearest: Qwen/Qwen2.5-\S+B.*config\.json"
    ):
        registry.get("Qwen/Qwen2.5-8B")
    with pytest.raises(UnknownModelError, match=r"\(the model exists, its dimensions are not listed\)"):
        registry.get("meta-llama/Llama-3.1-70B")
    with pytest.raises(UnknownModelError, match="for any other model give the folder"):
        registry.get("zzz")


def test_every_listed_model_belongs_to_its_family() -> None:
    families = {family.name: family for family in registry.families()}
    for spec in registry.all_models():
        assert spec.id in families[spec.family].members
    for family in registry.families():
        assert all(family.claims(member) for member in family.members)
        assert all(present in family.members for _, present in family.renamed)


def test_it_imports_nothing_heavy() -> None:
    code = (
        "import sys; from telepathy_runtime import registry, memory; registry.get('Qwen/Qwen2.5-3B');"
        "memory.max_batch; import telepathy_runtime.memory.commands;"
        "heavy = {'torch', 'transformers', 'accelerate', 'numpy', 'matplotlib'} & set(sys.modules); sys.exit(str(heavy) if heavy else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


OWN = """
[[model]]
ids = ["house/tiny"]
architecture = "llama"
layers = 2
hidden = 64
intermediate = 128
heads = 4
kv_heads = 2
head_dim = 16
vocab = 100
tied = true
max_positions = 32

[[family]]
name = "house"
organisation = "house"
pattern = "tiny.*"
members = ["tiny", "tiny-chat"]
"""


def test_a_projects_own_models_are_read_beside_the_shipped(tmp_path: Path) -> None:
    file = tmp_path / "own.toml"
    file.write_text(OWN)
    (spec,), families = registry.read_toml(file)
    assert (spec.id, spec.params) == (
        "house/tiny",
        100 * 64 + 64 + 2 * (2 * 64 + 2 * 64 * 64 + 2 * 64 * 32 + 3 * 64 * 128),
    )
    assert registry.check_id("house/tiny-chta", families).nearest[0] == "house/tiny-chat"
    assert registry.check_id("house/tiny-chat", families).status == "known"
    assert registry.check_id("house/tiny-chta").status == "outside"
    assert registry.read_toml(Path(registry.__file__).with_name("models.toml"))[0] == registry.all_models()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[[model]", "not valid TOML"),
        (OWN.replace("vocab = 100", ""), "incomplete or has an unknown key.*vocab"),
        (OWN.replace("vocab = 100", "vocab = 100\nvocabulary = 100"), "unknown key.*vocabulary"),
        (OWN.replace('pattern = "tiny.*"', ""), "incomplete.*pattern"),
    ],
    ids=["toml", "missing", "unknown", "family"],
)
def test_a_wrong_own_file_names_what_is_wrong(text: str, message: str, tmp_path: Path) -> None:
    file = tmp_path / "own.toml"
    file.write_text(text)
    with pytest.raises(registry.ConfigError, match=message):
        registry.read_toml(file)
