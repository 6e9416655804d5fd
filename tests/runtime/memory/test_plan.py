"""The search, the cards, and the review's tables computed again."""

from __future__ import annotations

from typing import Any

import pytest

from benchmarks import memory_review as review
from benchmarks import memory_review_text as review_text
from telepathy_runtime.memory import (
    GPUS,
    Gpu,
    PerceiverBridge,
    Workload,
    estimate,
    gpu,
    max_batch,
    max_batch_pair,
    max_tokens,
)
from telepathy_runtime.memory.estimate import Estimate
from telepathy_runtime.memory.plan import search_few
from telepathy_runtime.memory.units import GIB, gib, parse
from telepathy_runtime.models import registry
from telepathy_runtime.models.spec import UnknownOptionError

LLAMA_8B = "meta-llama/Llama-3.1-8B"
FULL = Workload(seq_len=1536, regime="full")


@pytest.mark.parametrize("spec", [registry.get(row[0]) for row in review.MEMORY], ids=lambda spec: spec.id)
@pytest.mark.parametrize("name", ["H100-80GB", "A100-40GB", "T4"])
def test_the_batch_fits_and_the_next_does_not(spec: registry.ModelSpec, name: str) -> None:
    work = Workload(seq_len=700, regime="frozen_grad")
    fit = max_batch(spec, work, device=name)
    budget = gpu(name).budget()
    assert fit.above.peak_allocated > budget
    assert fit.above.workloads[0].batch == fit.batch + 1
    if fit.batch:
        assert fit.at is not None and fit.at.peak_allocated <= budget
        assert fit.headroom == budget - fit.at.peak_allocated >= 0
    else:
        assert fit.at is None


def test_nothing_fits_where_the_states_do_not() -> None:
    fit = max_batch(registry.get(LLAMA_8B), FULL)
    assert (fit.batch, fit.at, fit.headroom) == (0, None, fit.budget_bytes)


def test_a_longer_context_stops_at_the_models_positions() -> None:
    spec = registry.get("Qwen/Qwen2.5-7B-Instruct")
    work = Workload(logits="last")
    assert max_tokens(spec, work).batch == spec.max_positions
    assert max_tokens(spec, work).limited
    small = max_tokens(spec, work, device="RTX-4090", reserve=0.2)
    assert 0 < small.batch < spec.max_positions and not small.limited
    assert estimate(spec, work.but(seq_len=small.batch + 1)).peak_allocated > small.budget_bytes


def test_pairs_are_searched_with_both_sides() -> None:
    source, target = registry.get("meta-llama/Llama-3.2-1B"), registry.get("Qwen/Qwen2.5-1.5B")
    read = Workload(seq_len=1536, hidden_states=True)
    write = Workload(seq_len=1536, regime="frozen_grad", grad_accum=2, keep_outputs=False)
    fit = max_batch_pair(source, target, read, write, PerceiverBridge(source.hidden, target.hidden))
    assert fit.batch == 11
    assert [work.batch for work in fit.above.workloads] == [12, 12]


def test_a_card_keeps_room_for_context_and_fragments() -> None:
    card = Gpu("test", 100 * GIB, GIB)
    assert card.usable_bytes == 99 * GIB
    assert card.budget(0.1) == int(99 * GIB * 0.9)
    with pytest.raises(UnknownOptionError, match="reserve must be at least 0 and below 1"):
        card.budget(1.0)


def test_names_of_cards_are_found_in_any_case_and_else_named() -> None:
    assert gpu("h100-80gb") is GPUS["H100-80GB"]
    with pytest.raises(UnknownOptionError, match="GPU 'H100'; nearest: H100-80GB"):
        gpu("H100")
    assert all(
        card.total_bytes < int(name_gb(name) * 1e9 * 1.08) for name, card in GPUS.items() if "GB" in name
    )


def name_gb(name: str) -> float:
    return float(name.rpartition("-")[2].removesuffix("GB"))


def test_the_reviews_batch_table_and_its_three_errors() -> None:
    rows = {row.label: row for row in review.batch_table()}
    assert [(row.label, row.batch, row.grad_accum) for row in rows.values()] == [
        r[:1] + r[3:] for r in review.BATCHES
    ]
    wrong = {label: row.judged[0].verdict for label, row in rows.items() if row.batch > row.judged[0].safe}
    assert wrong == {
        "Llama-1B + Qwen-1.5B": "no margin",
        "Single Llama-8B": "does not fit",
        "Single Llama-3B": "does not fit",
    }
    # Traced peaks of the research this project starts from, with the experiments' own bridge (GiB).
    traced = {
        "Llama-8B + Mistral-7B": (52.6, 59.5, 43.8),
        "Llama-3B + Mistral-7B": (51.4, 55.2, 38.4),
        "Llama-3B + Qwen-3B": (60.8, 45.6, 34.9),
        "Llama-1B + Qwen-1.5B": (75.1, 46.0, 37.0),
        "Single Llama-8B": (79.6, 69.6, 48.5),
        "Single Mistral-7B": (68.3, 62.9, 42.6),
        "Single Llama-3B": (87.8, 60.2, 45.9),
    }
    for label, peaks in traced.items():
        mine = [judged.peak_allocated / GIB for judged in rows[label].judged]
        assert mine == pytest.approx(peaks, rel=0.005)
    assert len(review_text.errors(tuple(rows.values()))) == 3


def test_the_reviews_memory_table_against_the_exact_bytes() -> None:
    rows = {row.spec.id: row for row in review.memory_table()}
    mistral, qwen = rows["mistralai/Mistral-7B-v0.3"], rows["Qwen/Qwen2.5-7B"]
    assert mistral.params_error == pytest.approx(-0.0011, abs=0.0001)
    assert qwen.params_error is None and qwen.spec.params_bytes == 15_231_233_024
    # Decimal GB of the research's traces: layers in full training, with gradient through, KV.
    expected = {
        "meta-llama/Llama-3.2-1B": (2.67, 1.87, 0.050),
        LLAMA_8B: (9.87, 6.85, 0.201),
        "Qwen/Qwen2.5-3B": (7.20, 5.07, 0.057),
    }
    for model_id, (full, frozen, cache) in expected.items():
        row = rows[model_id]
        assert row.layers_full / 1e9 == pytest.approx(full, abs=0.006)
        assert row.layers_frozen / 1e9 == pytest.approx(frozen, abs=0.006)
        assert row.kv_cache / 1e9 == pytest.approx(cache, abs=0.0006)


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (0, "0 B"),
        (1023, "1023 B"),
        (1536, "1.5 KiB"),
        (5 * 2**20, "5.0 MiB"),
        (2**30, "1.00 GiB"),
        (-(2**31), "-2.00 GiB"),
    ],
)
def test_bytes_as_text(size: int, text: str) -> None:
    assert gib(size) == text


def test_text_as_bytes() -> None:
    assert parse("79.19 GiB") == round(79.19 * GIB)
    assert parse("20.00 MiB") == 20 * 2**20
    with pytest.raises(ValueError, match="binary unit"):
        parse("5 GB")


@pytest.mark.parametrize(
    "how", [{}, {"regime": "full"}, {"regime": "full", "seq_len": 300}, {"attn": "eager"}], ids=str
)
@pytest.mark.parametrize("device", ["RTX-4090", "A100-40GB", "H200"])
def test_a_search_with_few_estimates_finds_the_same(how: dict[str, Any], device: str) -> None:
    spec = registry.get("meta-llama/Llama-3.2-1B")
    work, asked = Workload(**how), []

    def at(batch: int) -> Estimate:
        asked.append(batch)
        return estimate(spec, work.but(batch=batch))

    few = search_few(at, device=device)
    whole = max_batch(spec, work, device=device)
    assert (few.batch, few.above.peak_allocated) == (whole.batch, whole.above.peak_allocated)
    assert few.at is not None and whole.at is not None
    assert few.at.peak_allocated == whole.at.peak_allocated
    assert len(asked) <= 9 and len(set(asked)) == len(asked)


def test_a_search_with_few_estimates_at_its_ends() -> None:
    spec = registry.get("meta-llama/Llama-3.2-1B")
    none = search_few(lambda n: estimate(spec, Workload(regime="full", batch=n)), device="T4", limit=8)
    some = search_few(lambda n: estimate(spec, Workload(batch=n)), device="H200", limit=3)
    expected = max_batch(spec, Workload(regime="full"), device="T4")
    assert (none.batch, none.at is None) == (expected.batch, expected.at is None)
    assert (some.batch, some.limited) == (3, True)
