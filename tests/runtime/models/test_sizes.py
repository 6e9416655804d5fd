"""The table of sizes says what the registry says."""

from __future__ import annotations

import pytest

from telepathy_runtime.models import registry, sizes


def test_the_table_is_current() -> None:
    with open(sizes.FILE, encoding="utf-8") as file:
        assert file.read() == sizes.written(), "run: python docs/generate.py"


@pytest.mark.parametrize("model_id", [*registry.listed_ids()[:5], "gpt2", "meta-llama/Meta-Llama-3.1-8B"])
def test_a_listed_model_has_the_size_of_the_registry(model_id: str) -> None:
    spec = registry.get(model_id)
    assert sizes.size_of(model_id) == (spec.params, spec.params_bytes, spec.dtype)


@pytest.mark.parametrize(
    "model_id", ["", "gpt", "Llama-3.2-1B", "meta-llama/Llama-3.2-1", "gpt2 124439808", "x\ngpt2"]
)
def test_a_part_of_an_id_is_no_id(model_id: str) -> None:
    assert registry.find(model_id) is None
    assert sizes.size_of(model_id) is None
