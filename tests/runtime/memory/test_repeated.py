"""Results that are made again: they are what the operators return, and traces are the same with them and without."""

from __future__ import annotations

from typing import Any

import pytest

from telepathy_runtime.memory import Workload

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

from benchmarks.memory_families import SHAPES, config_of  # noqa: E402
from telepathy_runtime.memory.repeated import Repeated  # noqa: E402
from telepathy_runtime.memory.standard_step import attention_for, traced  # noqa: E402

aten = torch.ops.aten
A = torch.empty(6, 4, device="meta", dtype=torch.bfloat16)
WIDE = torch.empty(6, 4, device="meta")
T = WIDE.t()
LOW = torch.empty(6, 4, device="meta", dtype=torch.long)
#: Pairs that look alike in all but what their results depend on.
CALLS: dict[str, list[tuple[Any, tuple[Any, ...], dict[str, Any]]]] = {
    "dtypes": [(aten.add.Tensor, (A, A), {}), (aten.add.Tensor, (A, WIDE), {}), (aten.add.Tensor, (A, LOW), {})],
    "strides": [(aten.relu.default, (T,), {}), (aten.relu.default, (T.contiguous(),), {})],
    "1, 1.0 and True": [(aten.add.Tensor, (LOW, each), {}) for each in (1, 1.0, True)],
    "named arguments": [(aten.sum.default, (A,), {}), (aten.sum.default, (A,), {"dtype": torch.float32})],
    "lists": [(aten.cat.default, ([A, A],), {}), (aten.cat.default, ([A, A], 1), {}), (aten.cat.default, ([A],), {})],
    "several results": [(aten.native_dropout.default, (WIDE, 0.1, True), {}), (aten.max.dim, (A, 0), {})],
    "new tensors": [(aten.zeros.default, ([2, 3],), {"device": torch.device("meta"), "dtype": torch.half})],
    "an expanded tensor": [(aten.add.Tensor, (A[:1].expand(6, 4), A[:1].expand(6, 4)), {})],
}  # fmt: skip


def looks(out: Any) -> Any:
    if not isinstance(out, torch.Tensor):
        return [type(out), *map(looks, out)]
    return (
        out.shape,
        out.stride(),
        out.dtype,
        out.device,
        out.storage_offset(),
        out.untyped_storage().nbytes(),
    )


@pytest.mark.parametrize("name", CALLS)
def test_a_result_is_what_the_operator_returns(name: str) -> None:
    operators = Repeated()
    for _ in range(2):
        for func, args, kwargs in CALLS[name]:
            assert looks(operators.run(func, args, kwargs)) == looks(func(*args, **kwargs))
    assert len(operators._known) == len(CALLS[name])


def test_results_have_a_storage_of_their_own() -> None:
    operators = Repeated()
    outs = [operators.run(aten.add.Tensor, (A, A), {}) for _ in range(3)]
    assert len({out.untyped_storage()._cdata for out in (*outs, A)}) == 4


@pytest.mark.parametrize(
    ("func", "args"),
    [(aten.view.default, ([24],)), (aten._unsafe_view.default, ([24],)), (aten.detach.default, ())],
    ids=str,
)
def test_a_view_shares_the_storage_of_its_tensor(func: Any, args: tuple[Any, ...]) -> None:
    operators = Repeated()
    for _ in range(2):
        other = torch.empty_like(A)
        out = operators.run(func, (other, *args), {})
        assert out.untyped_storage()._cdata == other.untyped_storage()._cdata


def test_what_is_changed_in_place_is_the_same_tensor() -> None:
    operators = Repeated()
    for _ in range(2):
        other = torch.empty_like(A)
        assert operators.run(aten.add_.Tensor, (other, A), {}) is other
    with pytest.raises(RuntimeError):
        operators.run(aten.add_.Tensor, (torch.empty(5, 4, device="meta"), A), {})
    for size in (40, 80):  # the same sizes before, other storages
        other = torch.empty_like(A)
        assert operators.run(aten.resize_.default, (other, [size]), {}).shape == (size,)


LISTS: dict[str, tuple[Any, tuple[Any, ...], dict[str, Any]]] = {
    "two lists": (aten._foreach_add.List, ([A, WIDE, A], [A, WIDE, WIDE]), {"alpha": 2}),
    "a number": (aten._foreach_mul.Scalar, ([A, LOW, T, A], 1.5), {}),
    "a number each": (aten._foreach_mul.ScalarList, ([LOW, LOW], [2, 1.5]), {}),
    "a tensor for all": (aten._foreach_mul.Tensor, ([A, WIDE], torch.empty((), device="meta")), {}),
    "norms": (aten._foreach_norm.Scalar, ([A, WIDE],), {"dtype": torch.float32}),
}


@pytest.mark.parametrize("name", LISTS)
def test_lists_give_what_their_tensors_give(name: str) -> None:
    func, args, kwargs = LISTS[name]
    operators = Repeated()
    for repeated in (args, args, tuple(each[::-1] if isinstance(each, list) else each for each in args)):
        out = operators.run(func, repeated, kwargs)
        assert looks(out) == looks(func(*repeated, **kwargs))
        assert len({each.untyped_storage()._cdata for each in out}) == len(out)


def test_lists_that_do_not_fit_are_refused_each_time() -> None:
    operators = Repeated()
    for _ in range(2):
        assert operators.run(aten._foreach_add_.List, ([WIDE, WIDE], [A, WIDE]), {}) is None
        assert operators.run(aten._foreach_add_.Scalar, ([WIDE, LOW], 1), {}) is None
        for wrong in ([A, torch.empty(5, 4, device="meta")], [A]):
            with pytest.raises(RuntimeError):
                operators.run(aten._foreach_add_.List, ([WIDE, WIDE], wrong), {})


def test_the_default_dtype_matters_and_values_are_computed() -> None:
    operators = Repeated()
    for dtype in (torch.float32, torch.bfloat16, torch.float32):
        before = torch.get_default_dtype()
        torch.set_default_dtype(dtype)
        try:
            assert operators.run(aten.div.Tensor, (LOW, LOW), {}).dtype == dtype
        finally:
            torch.set_default_dtype(before)
    for value in (1, 2):
        real = torch.full((2,), value)
        assert operators.run(aten.add.Tensor, (real, real), {}).tolist() == [2 * value] * 2


JOBS: dict[str, tuple[str, dict[str, Any]]] = {
    "adapters": ("llama", {"regime": "lora", "checkpointing": True, "dora": True, "mixed_precision": True}),
    "experts": ("qwen3_moe", {"regime": "full", "optimizer": "adafactor"}),
    "lists": ("llama", {"regime": "full", "opt_impl": "foreach", "grad_accum": 2}),
    "decoding": ("gemma2", {"new_tokens": 2, "padded": True}),
    "in the backward": ("gpt2", {"regime": "full", "opt_in_backward": True, "opt_impl": "single"}),
}


@pytest.mark.parametrize("name", JOBS)
def test_a_trace_is_the_same_without(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    family, how = JOBS[name]
    if how.get("regime") == "lora":
        pytest.importorskip("peft")
    config = config_of(family, SHAPES[0]._replace(layers=2, vocab=500))
    work = Workload(batch=2, seq_len=48, transformers=transformers.__version__, **how)
    work = work.but(attn=attention_for(config, "sdpa"))
    found = traced(config, work)
    monkeypatch.setattr(Repeated, "run", lambda _, func, args, kwargs: func(*args, **kwargs))
    assert traced(config, work) == found
