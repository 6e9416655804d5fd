"""The registry: exact, light, and never guessing."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from telepathy_runtime.models import registry
from telepathy_runtime.models.registry import UnknownModelError

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
        assert spec.params_bytes == 2 * params
        assert registry.published_params(name) == params


def test_models_in_use_are_listed_in_the_order_of_the_file() -> None:
    ids = [spec.id for spec in registry.all_models()]
    assert tuple(ids) == registry.listed_ids()
    assert len(ids) == len(set(ids)) >= 450
    assert len({(s.architecture, s.params) for s in registry.all_models()}) >= 190
    assert ids[0] == "meta-llama/Llama-3.2-1B"


@pytest.mark.parametrize(
    ("old", "present", "params"),
    [
        ("gpt2", "openai-community/gpt2", 124_439_808),
        ("bert-base-uncased", "google-bert/bert-base-uncased", 109_514_298),
        ("t5-small", "google-t5/t5-small", 60_506_624),
        ("CohereForAI/aya-23-8B", "CohereLabs/aya-23-8B", 8_028_033_024),
    ],
)
def test_old_names_lead_to_the_present_ones(old: str, present: str, params: int) -> None:
    assert (registry.get(old).id, registry.get(old).params) == (present, params)
    assert registry.get(present) == registry.get(old) == registry.find(old)


def test_a_model_that_is_not_listed_is_looked_up_without_a_search_for_near_ids(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The search takes 20 ms, and the linter asks for every model that a project loads."""
    monkeypatch.setattr(registry, "nearest_ids", None)
    assert registry.find("meta-llama/Llama-3.2-2B") is None
    with pytest.raises(TypeError):
        registry.get("meta-llama/Llama-3.2-2B")


def test_every_count_is_the_published_one() -> None:
    from telepathy_runtime.models.verification import agrees

    wrong = [s.id for s in registry.all_models() if not agrees(s.params, registry.published_params(s.id))]
    assert wrong == []
    assert not agrees(124_439_809, 124_439_808)
    assert not agrees(6_749_999_999, "6.74B")


#: One of each kind: closed form, experts, mxfp4 (the hub's index says 13,761,264,768 bytes), latent attention, other heads.
SAMPLE = [
    "openai-community/gpt2", "Qwen/Qwen3-30B-A3B", "openai/gpt-oss-20b", "deepseek-ai/DeepSeek-V2-Lite",
    "BAAI/bge-reranker-v2-m3", "openai/whisper-tiny", "openai/clip-vit-base-patch32",
]  # fmt: skip


@pytest.mark.parametrize("model_id", SAMPLE)
def test_a_listed_model_is_what_transformers_builds(model_id: str) -> None:
    pytest.importorskip("transformers")
    from telepathy_runtime.models.verification import difference

    if registry.get(model_id).architecture not in known_types():
        pytest.skip("this transformers does not know the architecture")
    assert difference(model_id) is None


@pytest.mark.slow
@pytest.mark.parametrize(
    "model_id", [ids[0] for ids in registry.entries()], ids=lambda model_id: model_id.partition("/")[2]
)
def test_every_listed_model_is_what_transformers_builds(model_id: str) -> None:
    pytest.importorskip("transformers")
    from telepathy_runtime.models.verification import difference

    if registry.get(model_id).architecture not in known_types():
        pytest.skip("this transformers does not know the architecture")
    assert difference(model_id) is None


VERIFIED = Path(__file__).parent / "verified.json"


def test_all_models_were_built_since_the_registry_changed() -> None:
    """Two minutes of builds, recorded: a changed registry has to be built again."""
    from telepathy_runtime.models.verification import digest

    verified = json.loads(VERIFIED.read_text(encoding="utf-8"))
    again = f"python -m telepathy_runtime.models.verification --record {VERIFIED.relative_to(Path.cwd())}"
    assert verified["registry_sha256"] == digest(), f"run: {again}"
    assert verified["built"] == len(registry.entries())
    assert verified["differ"] == {}


def test_a_model_that_differs_is_named_and_recorded(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("transformers")
    from telepathy_runtime.models import verification

    monkeypatch.setattr(registry, "published_params", lambda model_id: "125M")
    assert verification.main(["openai-community/gpt2-medium"]) == 1
    assert "openai-community/gpt2-medium: 354823168 listed, 125M published" in capsys.readouterr().out
    monkeypatch.setattr(
        registry, "entries", lambda: (("openai-community/gpt2",), ("openai-community/gpt2-medium",))
    )
    monkeypatch.setattr(registry, "published_params", lambda model_id: "124M")
    assert verification.main(["--record", str(tmp_path / "found.json")]) == 1
    found = json.loads((tmp_path / "found.json").read_text())
    assert found["built"] == 2 and list(found["differ"]) == ["openai-community/gpt2-medium"]


def known_types() -> Any:
    import transformers

    return transformers.CONFIG_MAPPING


def test_quantised_weights_take_the_bytes_that_the_hub_states() -> None:
    spec = registry.get("openai/gpt-oss-20b")
    assert (spec.params, spec.params_bytes) == (20_914_757_184, 13_761_264_768)
    assert spec.bytes_in("float32") == spec.params_bytes


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


@pytest.mark.parametrize(
    ("name", "spelled"),
    [
        ("meta-llama/meta-Llama-3.1-8B-Instruct", "meta-llama/Llama-3.1-8B-Instruct"),
        ("qwen/Qwen2.5-3B", "Qwen/Qwen2.5-3B"),
        ("meta-llama/Llama-3.2-8B", None),
    ],
)
def test_the_hub_finds_names_in_other_letter_case(name: str, spelled: str | None) -> None:
    """Old names, too, whose present name it then gives."""
    status = registry.check_id(name)
    assert (status.status, status.spelled) == ("unknown", spelled)


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
        registry.get("meta-llama/Llama-3.2-11B-Vision")
    with pytest.raises(UnknownModelError, match="for any other model give the folder"):
        registry.get("zzz")


def test_every_listed_model_belongs_to_its_family() -> None:
    families = {family.name: family for family in registry.families()}
    for spec in registry.all_models():
        if spec.family in families:
            assert spec.id in families[spec.family].members
        assert registry.check_id(spec.id).status in ("known", "outside")
    for family in registry.families():
        assert all(family.claims(member) for member in family.members)
        assert all(present in family.members for _, present in family.renamed)


def test_it_imports_nothing_heavy() -> None:
    code = (
        "import sys; from telepathy_runtime import registry, memory; registry.get('Qwen/Qwen2.5-3B');"
        "memory.max_batch; import telepathy_runtime.commands.memory;"
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


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[[model]", "not valid TOML"),
        (OWN.replace("vocab = 100", ""), "incomplete or has an unknown key.*vocab"),
        (OWN.replace("vocab = 100", "vocab = 100\nvocabulary = 100"), "unknown key.*vocabulary"),
        (OWN.replace("layers = 2", "layers = -2"), "house/tiny: layers must be a positive integer, not -2"),
        (OWN.replace('pattern = "tiny.*"', ""), "incomplete.*pattern"),
    ],
    ids=["toml", "missing", "unknown", "negative", "family"],
)
def test_a_wrong_own_file_names_what_is_wrong(text: str, message: str, tmp_path: Path) -> None:
    file = tmp_path / "own.toml"
    file.write_text(text)
    with pytest.raises(registry.ConfigError, match=message):
        registry.read_toml(file)
