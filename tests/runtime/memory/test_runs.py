"""What transformers cannot run has no figure, and what changed between its releases is counted for the release that is planned for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from benchmarks.memory_families import Shape, config_of, spec_of
from telepathy_runtime.memory import Workload, estimate, max_tokens
from telepathy_runtime.memory.fallback import estimate_or_trace
from telepathy_runtime.memory.pair import Adapter, estimate_pair
from telepathy_runtime.memory.runs import longest
from telepathy_runtime.memory.workload import NEWEST
from telepathy_runtime.models import registry
from telepathy_runtime.models.lookup import from_parsed
from telepathy_runtime.models.spec import UnknownOptionError

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

from telepathy_runtime.memory.standard_step import attention_for, trace_workload, traced  # noqa: E402

ROOT = Path(__file__).resolve().parents[3]
VERSION = tuple(map(int, transformers.__version__.split(".")[:2]))
SMALL = Shape(2, 64, 96, 4, 4, 100)
ENCODER = {
    "hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 1, "num_attention_heads": 4, "vocab_size": 100,
    "max_position_embeddings": 18, "pad_token_id": 1,
}  # fmt: skip
TABLES: dict[str, dict[str, Any]] = {
    "gpt2": {"n_embd": 64, "n_layer": 1, "n_head": 4, "vocab_size": 100, "n_positions": 18},
    "gptj": {"n_embd": 64, "n_layer": 1, "n_head": 4, "vocab_size": 100, "n_positions": 18, "rotary_dim": 8},
    "opt": {"hidden_size": 64, "ffn_dim": 96, "num_hidden_layers": 1, "num_attention_heads": 4, "vocab_size": 100,
            "max_position_embeddings": 18, "word_embed_proj_dim": 64},
    **dict.fromkeys(("bert", "roberta", "xlm-roberta", "electra"), ENCODER),
    "distilbert": {"dim": 64, "hidden_dim": 96, "n_layers": 1, "n_heads": 4, "vocab_size": 100, "max_position_embeddings": 18},
}  # fmt: skip


@pytest.mark.parametrize("model_type", TABLES)
def test_no_token_is_behind_the_end_of_a_table_of_positions(model_type: str) -> None:
    config = transformers.AutoConfig.for_model(model_type, **TABLES[model_type])
    model = transformers.AutoModel.from_config(config).eval()
    raw = config.to_dict() | {"architectures": ["BertForMaskedLM"] if config.model_type == "bert" else []}
    spec = from_parsed(raw, "m")
    most = longest(spec)
    model(input_ids=torch.full((1, most), 5))
    with pytest.raises((IndexError, RuntimeError)):
        model(input_ids=torch.full((1, most + 1), 5))
    assert estimate(spec, Workload(seq_len=most)).peak_allocated
    for work in (Workload(seq_len=most + 1), Workload(seq_len=most, new_tokens=2)):
        with pytest.raises(
            UnknownOptionError, match=f"{most + 1} tokens are more than the {most} positions of m"
        ):
            estimate(spec, work)


def test_the_longest_context_ends_with_the_table() -> None:
    fit = max_tokens(registry.get("openai-community/gpt2"), Workload())
    assert (fit.batch, fit.limited, fit.above) == (1024, True, None)
    fit = max_tokens(registry.get("openai-community/gpt2"), Workload(new_tokens=25))
    assert fit.batch == 1000
    assert longest(registry.get("Qwen/Qwen2.5-1.5B")) == 0


@pytest.mark.parametrize("regime", ["inference", "full", "lora"])
def test_the_table_of_positions_of_gptj_is_there_after_the_load(regime: str) -> None:
    if VERSION < (5, 0):
        pytest.skip("the table is no buffer")
    if regime == "lora":
        pytest.importorskip("peft")
    config = config_of("gptj", SMALL)
    work = Workload(
        batch=2, seq_len=50, regime=regime, transformers=transformers.__version__, keep_outputs=False
    )
    work = work.but(attn=attention_for(config, "sdpa"))
    found, seen = estimate(spec_of(config), work), traced(config, work)
    inputs = 3 * 8 * work.tokens
    assert found.after_load == pytest.approx(seen.built - inputs, abs=40 * 512)
    assert found.after_load > seen.built - 100_000  # the table has 262,144 bytes
    if regime == "inference":
        model = transformers.AutoModelForCausalLM.from_config(config, dtype=torch.bfloat16)
        assert found.after_load == sum(each.nbytes for each in (*model.parameters(), *model.buffers()))


def test_an_older_gptj_has_a_table_in_each_layer_and_no_sdpa() -> None:
    spec = registry.get("EleutherAI/gpt-j-6b")
    table = 2048 * 64 * 4
    for regime in ("inference", "full"):
        work = Workload(seq_len=100, regime=regime)
        new, old, oldest = (
            estimate(spec, work.but(transformers=each, attn="eager")) for each in (NEWEST, "5.23.0", "4.57.6")
        )
        assert new.after_load == spec.bytes_in("bfloat16") + table
        assert old.after_load - new.after_load == 27 * table
        assert oldest.after_load == spec.bytes_in("bfloat16")
        assert oldest.steady == old.steady == new.steady + 27 * table
        asked = estimate(spec, work.but(transformers="5.23.0"))
        assert asked.peak_allocated == old.peak_allocated
        assert "transformers 5.23.0 has no sdpa for gptj: counted with eager attention" in asked.notes
        assert not any("sdpa" in note for note in estimate(spec, work).notes)
    whole = estimate_or_trace(spec, Workload(seq_len=100, dtype="float32", shard="fsdp"))
    assert not whole.whole and whole.after_load == spec.bytes_in("float32") + table


@pytest.mark.parametrize("batch", [1, 3])
def test_a_prefill_of_gptj_is_counted_for_the_release_that_is_installed(batch: int) -> None:
    config = config_of("gptj", Shape(3, 512, 2048, 8, 8, 300))
    work = Workload(batch=batch, seq_len=500, transformers=transformers.__version__)
    peak = traced(config, work.but(attn=attention_for(config, "sdpa"))).peak_allocated
    assert estimate(spec_of(config), work).peak_allocated == pytest.approx(peak, rel=0.005)


@pytest.mark.parametrize("model_type", ["llama", "gemma3_text", "olmo2"])
def test_a_share_that_is_not_read_changes_nothing(model_type: str) -> None:
    if VERSION < (5, 0):
        pytest.skip("older releases fail with it")
    raw = {
        key: value
        for key, value in config_of(model_type, SMALL).to_dict().items()
        if key != "rope_parameters"
    }
    plain, shared = (
        from_parsed(raw | more, "m") for more in ({}, {"partial_rotary_factor": 0.25, "rotary_pct": 0.5})
    )
    work = Workload(seq_len=500, regime="full")
    assert estimate(plain, work).instants == estimate(shared, work).instants
    with pytest.raises(
        UnknownOptionError, match=r"partial_rotary_factor 0\.25: .* transformers 4\.57\.6 fails"
    ):
        estimate(shared, work.but(transformers="4.57.6"))
    assert estimate(plain, work.but(transformers="4.57.6")).peak_allocated


@pytest.mark.parametrize(
    ("model_type", "change"),
    [("phi3", {"partial_rotary_factor": 0.4}), ("glm4", {"partial_rotary_factor": 0.4}), ("gpt_neox", {"rotary_pct": 0.4}),
     ("gpt_neox", {"partial_rotary_factor": 0.9}), ("stablelm", {"partial_rotary_factor": 0.5})],
)  # fmt: skip
def test_sines_and_cosines_are_as_wide_as_the_part_that_is_rotated(
    model_type: str, change: dict[str, Any]
) -> None:
    from telepathy_runtime.memory.rotary import rotary_tables

    if VERSION < (5, 0):
        pytest.skip("the settings have other names")
    config = config_of(model_type, SMALL).to_dict()
    raw = {key: value for key, value in config.items() if key not in ("rope_parameters", "head_dim")}
    given = {key: value for key, value in (raw | change).items() if key != "model_type"}
    model = transformers.AutoModel.from_config(transformers.CONFIG_MAPPING[model_type].from_dict(given))
    (rotary,) = (each for name, each in model.named_modules() if name.endswith("rotary_emb"))
    sines = sum(each[0].numel() for each in rotary(torch.zeros(1, 30, 64), torch.arange(30)[None]))
    assert rotary_tables(from_parsed(raw | change, "m"), Workload(seq_len=30)) == 2 * sines


def test_a_pair_runs_with_the_attention_that_its_models_have() -> None:
    spec, bridge = registry.get("google/gemma-2-2b"), Adapter(1000)
    read, write = Workload(seq_len=500, hidden_states=True), Workload(seq_len=500, regime="frozen_grad")
    asked = estimate_pair(spec, spec, read, write, bridge)
    eager = estimate_pair(spec, spec, read.but(attn="eager"), write.but(attn="eager"), bridge)
    assert asked.instants == eager.instants
    gptj = registry.get("EleutherAI/gpt-j-6b")
    both = estimate_pair(gptj, gptj, read, write, bridge, share_weights=True)
    assert both.instants[0].weights == gptj.bytes_in("bfloat16") + 2000 + 2048 * 64 * 4
    with pytest.raises(UnknownOptionError, match="2049 tokens are more than the 2048 positions"):
        estimate_pair(gptj, spec, read.but(seq_len=2049), write, bridge)


def test_the_default_release_is_that_of_the_tested_set() -> None:
    tested = (ROOT / "constraints" / "tests.txt").read_text().splitlines()
    pins = [line.partition(" ")[0] for line in tested if line.startswith("transformers==")]
    assert f"transformers=={NEWEST}" in pins
    assert Workload().transformers == NEWEST
    note = f"transformers 99.0 is newer than {NEWEST}, the newest that is modelled"
    spec = registry.get("Qwen/Qwen2.5-1.5B")
    assert note in estimate(spec, Workload(transformers="99.0")).notes
    assert not any("newest" in each for each in estimate(spec, Workload()).notes)


def test_a_trace_says_where_it_ran_another_release(tmp_path: Path) -> None:
    config_of("llama", SMALL).save_pretrained(tmp_path)
    own = transformers.__version__
    for release, other in ((own, False), ("4.48.0", True)):
        notes = trace_workload(tmp_path, Workload(seq_len=16, transformers=release)).notes
        assert any("was traced, which is installed, not 4.48.0" in each for each in notes) == other
