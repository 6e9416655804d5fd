"""Optimizers that keep or step tensors one by one: the tensors of each architecture, and their steps against the trace."""

from __future__ import annotations

from dataclasses import replace
from math import prod
from typing import Any

import pytest

from benchmarks.memory_families import FAMILIES, Shape, config_of, error, spec_of
from telepathy_runtime.memory import Workload, estimate
from telepathy_runtime.memory.held import held
from telepathy_runtime.memory.shapes import ORDERS, first_tables, layer_tensors
from telepathy_runtime.memory.states import states
from telepathy_runtime.models import registry
from telepathy_runtime.models.architectures import VISION

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

from telepathy_runtime.memory.inputs import model_class  # noqa: E402
from telepathy_runtime.memory.standard_step import attention_for  # noqa: E402
from tests.runtime.memory import test_programs  # noqa: E402

SMALL = Shape(3, 512, 1408, 8, 4, 1000)
NAMES = [*FAMILIES, *VISION]
QUICK = ("gpt2", "granite", "glm4", "qwen3_moe", "gpt_oss", *VISION)
HOWS: tuple[dict[str, Any], ...] = ({"optimizer": "adafactor"}, {"optimizer": "muon"}, {"opt_impl": "single"})


def small(model_type: str) -> Any:
    if model_type not in VISION:
        # GPT-J's model holds sines and cosines of all positions, which are not counted.
        return config_of(model_type, SMALL, **({"n_positions": 256} if model_type == "gptj" else {}))
    if tuple(map(int, transformers.__version__.split(".")[:2])) < (5, 0):
        pytest.skip("transformers' towers read values before 5.0")
    from tests.runtime.memory import test_images

    return test_images.config_of(model_type)


def job(config: Any, **how: Any) -> Workload:
    given = {"regime": "full", "batch": 2, "seq_len": 40, "keep_outputs": False, "use_cache": False}
    work = Workload(**{**given, "transformers": transformers.__version__, **how})
    return work.but(attn=attention_for(config, "sdpa"))


def test_every_architecture_with_layers_in_closed_form_has_its_tensors() -> None:
    from telepathy_runtime.memory.families import FAMILIES as CLOSED

    assert set(ORDERS) == set(CLOSED)


@pytest.mark.parametrize("model_type", NAMES)
def test_the_tensors_of_a_layer_are_those_of_the_model(model_type: str) -> None:
    """In their order; vectors in one place are counted once, and a matrix may be stored the other way round."""
    config = small(model_type)
    with torch.device("meta"):
        model = model_class(config)(config)
    spec = spec_of(config)
    named = [(name, tuple(each.shape)) for name, each in model.named_parameters()]
    parts = ("vision", "visual", "projector")
    text = [(name, shape) for name, shape in named if not any(part in name for part in parts)]
    inside = [shape if len(shape) > 1 else () for name, shape in text if ".1." in name]
    expected, found = _without_repeated_vectors(inside), _without_repeated_vectors(layer_tensors(spec))
    assert [sorted(shape) for shape in found] == [sorted(shape) for shape in expected]
    tables = [shape for name, shape in text if ".1." not in name and ".0." not in name and len(shape) > 1]
    assert [sorted(shape) for shape in first_tables(spec)] == [
        sorted(shape) for shape in tables[: len(first_tables(spec))]
    ]


def _without_repeated_vectors(shapes: list[Any]) -> list[Any]:
    return [shape for before, shape in zip([None, *shapes], shapes, strict=False) if shape or before != ()]


@pytest.mark.parametrize("how", HOWS, ids=str)
@pytest.mark.parametrize(
    "model_type",
    [
        pytest.param(
            name,
            marks=[] if name in QUICK else pytest.mark.slow if index % 2 else pytest.mark.exhaustive,
        )
        for index, name in enumerate(NAMES)
    ],
)
def test_a_step_against_its_trace(model_type: str, how: dict[str, Any]) -> None:
    if how.get("optimizer") == "muon" and not hasattr(torch.optim, "Muon"):
        pytest.skip("this torch has no Muon")
    config = small(model_type)
    assert abs(error(config, job(config, **how))) < 0.005


@pytest.mark.parametrize("dtype", ["bfloat16", "float32"])
@pytest.mark.parametrize("model_type", ["bert", "electra"])
def test_an_encoder_steps_one_tensor_at_a_time(model_type: str, dtype: str) -> None:
    config = test_programs.encoder(model_type, 2, 8, 64, 4096, 300)
    work = job(config, opt_impl="single", dtype=dtype, seq_len=16)
    assert abs(test_programs.error(config, work)) < 0.005


def test_adafactor_of_experts_keeps_rows_and_columns() -> None:
    spec = registry.get("mistralai/Mixtral-8x7B-v0.1")
    work = Workload(regime="full", optimizer="adafactor", keep_outputs=False)
    found = estimate(spec, work)
    assert found.steady - found.after_load < 0.001 * found.after_load


def test_a_lower_bound_takes_unknown_tensors_for_nothing() -> None:
    """A model of which only the number of parameters is known has at least the means of its tables."""
    spec = replace(registry.get("mistralai/Mixtral-8x7B-v0.1"), architecture="other")
    for optimizer, kept in (("adafactor", 0.0), ("muon", 1.0)):
        work = Workload(regime="full", optimizer=optimizer)
        found = held(spec, work, "of a test")
        tables = 2 * prod(first_tables(spec)[0]) * 2
        rest = (found.steady - found.after_load) - (2 * tables if optimizer == "muon" else 0)
        assert rest / (found.after_load - tables) == pytest.approx(kept, abs=0.001)


@pytest.mark.parametrize("shard", ["ddp", "zero2", "fsdp"])
def test_adafactor_keeps_rows_and_columns_of_a_tower(shard: str) -> None:
    """Shards have states for the vision tower, too, which is made of matrices."""
    spec = registry.get("llava-hf/llava-1.5-7b-hf")
    assert spec.tower > 10**8
    work = Workload(regime="full", optimizer="adafactor")
    alone, shared = states(spec, work), states(spec, work.but(shard=shard, ranks=2))
    ranks = 1 if shard == "ddp" else 2
    assert alone.optimizer <= ranks * shared.optimizer < alone.optimizer + 0.05 * spec.tower
    adamw = work.but(optimizer="adamw", shard=shard, ranks=2)
    assert ranks * states(spec, adamw).optimizer == 2 * 2 * spec.trained_params
