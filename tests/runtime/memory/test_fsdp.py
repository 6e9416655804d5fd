"""What FSDP keeps of frozen layers that checkpointing runs again, seen in a real backward, and what is planned for it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from telepathy_runtime.memory import Workload, estimate
from telepathy_runtime.memory.states import states
from telepathy_runtime.models import registry

LLAMA = registry.get("meta-llama/Llama-3.1-8B")
JOB = Workload(
    regime="lora", checkpointing=True, seq_len=4096, batch=4, shard="fsdp", ranks=4, keep_outputs=False, use_cache=False
)  # fmt: skip
LAYERS, ROWS, WIDTH = 5, 3001, 64


def kept_in_a_backward(folder: Path, reentrant: bool) -> list[int]:
    """How many tensors of the stream's size there are at each layer's input in the backward, from the last layer to the first."""
    torch = pytest.importorskip("torch")
    distributed = torch.distributed
    if not distributed.is_available() or not distributed.is_gloo_available():
        pytest.skip("this torch has no gloo")
    from torch.distributed.fsdp import FullyShardedDataParallel
    from torch.utils.checkpoint import checkpoint

    from telepathy_runtime.memory.tracing import Counter

    counter, found = Counter(), []
    size = 4 * ROWS * WIDTH

    class Mark(torch.autograd.Function):  # type: ignore[misc, name-defined, unused-ignore]
        @staticmethod
        def forward(ctx: Any, x: Any) -> Any:
            return x.view_as(x)

        @staticmethod
        def backward(ctx: Any, gradient: Any) -> Any:
            found.append(round((counter.current - before) / size))
            return gradient

    class Whole(torch.nn.Module):  # type: ignore[misc, name-defined, unused-ignore]
        def __init__(self) -> None:
            super().__init__()
            made = (torch.nn.Linear(WIDTH, WIDTH).requires_grad_(False) for _ in range(LAYERS))
            self.layers = torch.nn.ModuleList(FullyShardedDataParallel(each, **cpu) for each in made)

        def forward(self, x: Any) -> Any:
            for layer in self.layers:
                x = checkpoint(layer, Mark.apply(x), use_reentrant=reentrant)
            return x

    cpu: dict[str, Any] = {"device_id": torch.device("cpu")}
    distributed.init_process_group("gloo", init_method=f"file://{folder / 'store'}", rank=0, world_size=1)
    try:
        model = FullyShardedDataParallel(Whole(), **cpu)
        with counter:
            x = torch.zeros(ROWS, WIDTH, requires_grad=True)
            before = counter.current
            model(x).sum().backward()
    finally:
        distributed.destroy_process_group()
    return found


@pytest.mark.filterwarnings("ignore")
def test_inputs_of_frozen_layers_and_their_gradients_stay_with_use_reentrant(tmp_path: Path) -> None:
    for name in ("plain", "reentrant"):
        (tmp_path / name).mkdir()
    # At a layer: the inputs of those before it (the first is the caller's), and the gradient.
    before = [number - 1 for number in range(LAYERS, 0, -1)]
    plain = kept_in_a_backward(tmp_path / "plain", reentrant=False)
    assert plain == [max(number, 1) for number in before]
    # All inputs stay, and the gradients of all inputs so far.
    held = kept_in_a_backward(tmp_path / "reentrant", reentrant=True)
    assert held == [LAYERS - 1 + done for done in range(1, LAYERS + 1)]


def test_what_stays_is_planned() -> None:
    """At the first layer: inputs of all layers, and the gradients of all but the first; the last is counted with its backward."""

    def activations(work: Workload) -> int:
        (first,) = (each for each in estimate(LLAMA, work).instants if each.name == "first layer, backward")
        return first.activations

    row = 2 * JOB.tokens * LLAMA.hidden
    more = activations(JOB.but(reentrant=True)) - activations(JOB)
    assert more == (LLAMA.layers - 1 + LLAMA.layers - 2) * row
    one = activations(JOB.but(reentrant=True, shard="none", ranks=1))
    assert one == activations(JOB.but(shard="none", ranks=1)) == activations(JOB)


def test_the_next_layer_is_gathered_before_its_turn_only_without_use_reentrant() -> None:
    def last(work: Workload) -> int:
        (found,) = (each for each in estimate(LLAMA, work).instants if each.name == "last layer, backward")
        return found.transient

    alone = JOB.but(shard="none", ranks=1)
    gathered = [last(JOB.but(reentrant=how)) - last(alone.but(reentrant=how)) for how in (False, True)]
    assert gathered[0] - gathered[1] == 2 * LLAMA.layer_params


def test_adapters_of_fused_functions_are_whole_on_each_rank() -> None:
    work = JOB.but(quantized="nf4_double", lora_targets=("q_proj", "k_proj", "v_proj", "o_proj"))
    alone = states(LLAMA, work.but(shard="none", ranks=1))
    plain, fused = states(LLAMA, work), states(LLAMA, work.but(kernels="adapters"))
    assert fused.gradients == alone.gradients == 4 * plain.gradients
    assert fused.optimizer == alone.optimizer == 4 * plain.optimizer
    assert fused.weights - plain.weights == pytest.approx(fused.gradients * 3 / 4, abs=4)
    assert (fused.unit, fused.root) == (plain.unit, plain.root)
