"""The tracer, which is the oracle of the closed form, held against PyTorch's own allocator."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

from telepathy_runtime.memory import TraceError, trace  # noqa: E402
from telepathy_runtime.memory.autocasting import autocast_on_meta  # noqa: E402
from telepathy_runtime.memory.tracing import BLOCK, Counter, _masks  # noqa: E402


def tiny_step(checkpointing: bool = False) -> Callable[[], None]:
    """A training step of a tiny Llama on whatever device is current."""
    config = transformers.LlamaConfig(
        hidden_size=128, intermediate_size=352, num_hidden_layers=4, num_attention_heads=4, num_key_value_heads=2,
        vocab_size=1000, max_position_embeddings=256, pad_token_id=0,
    )  # fmt: skip
    model = transformers.AutoModelForCausalLM.from_config(
        config, dtype=torch.float32, attn_implementation="eager"
    )
    model.train()
    if checkpointing:
        model.gradient_checkpointing_enable({"use_reentrant": False})
    optimizer = torch.optim.AdamW(model.parameters(), foreach=True)
    ids = torch.zeros(4, 96, dtype=torch.long)

    def step() -> None:
        outputs = model(input_ids=ids, labels=ids, attention_mask=torch.ones_like(ids))
        outputs.loss.backward()
        optimizer.step()
        optimizer.zero_grad()

    return step


def allocator_peak(step: Callable[[], None]) -> int:
    """Peak of the CPU allocator over a step, above what lived before, from the profiler's memory events."""
    with torch.profiler.profile(
        activities=[torch.profiler.ProfilerActivity.CPU], profile_memory=True
    ) as profile:
        step()
    events = [e for e in profile.profiler.kineto_results.events() if e.name() == "[memory]"]
    live = peak = 0
    for event in sorted(events, key=lambda event: event.start_ns()):
        live += event.nbytes()
        peak = max(peak, live)
    return peak


@pytest.mark.parametrize("checkpointing", [False, True], ids=["plain", "checkpointing"])
def test_tracer_equals_the_real_allocator(checkpointing: bool) -> None:
    step = tiny_step(checkpointing)
    step()  # the optimizer's states
    real = allocator_peak(step)
    with torch.device("meta"), _masks(padded=False), autocast_on_meta(), Counter(block=1) as counter:
        traced_step = tiny_step(checkpointing)
        traced_step()
        before = counter.current
        counter.reset_peak()
        traced_step()
    assert (counter.peak - before) / real == pytest.approx(1, abs=0.001)


def test_a_freed_tensor_is_forgotten_and_a_view_costs_nothing() -> None:
    with Counter() as counter, torch.device("meta"):
        x = torch.zeros(1000)
        assert counter.current == -(-4000 // BLOCK) * BLOCK
        y = x.view(10, 100)[2:]
        assert counter.current == 4096
        z = x + 1
        del x, y
        assert counter.current == 4096
        del z
    assert (counter.current, counter.peak) == (0, 8192)


def test_attention_costs_no_square_on_the_meta_device() -> None:
    def build() -> Callable[[], object]:
        q = torch.zeros(1, 8, 4096, 64, dtype=torch.bfloat16, requires_grad=True)
        return lambda: torch.nn.functional.scaled_dot_product_attention(q, q, q, is_causal=True)

    assert trace(build).peak_allocated < 8 * 4096**2  # a bf16 score matrix alone would be twice that


def test_the_step_sees_shipped_attention_again_afterwards() -> None:
    shipped = torch.nn.functional.scaled_dot_product_attention
    trace(lambda: lambda: torch.zeros(3))
    assert torch.nn.functional.scaled_dot_product_attention is shipped


def test_reading_a_value_cannot_be_traced() -> None:
    def build() -> Callable[[], object]:
        return lambda: torch.zeros(3).sum().item()

    with pytest.raises(TraceError, match=r"cannot run on the meta device.*use the closed form"):
        trace(build)


def test_autocast_acts_on_the_meta_device_and_ends_with_the_trace() -> None:
    seen: list[Any] = []

    def build() -> Callable[[], object]:
        weight, inputs = torch.zeros(64, 64, requires_grad=True), torch.zeros(64, 64)

        def step() -> None:
            with torch.autocast("cuda", dtype=torch.bfloat16):
                product = inputs @ weight
                with torch.autocast("cuda", enabled=False):
                    outside = inputs @ weight
                seen.extend((product, product.softmax(-1), product.pow(2), outside, inputs + weight))
            seen.append(inputs @ weight)

        return step

    shipped = torch.autocast, torch.matmul, torch.Tensor.__matmul__, torch.nn.functional.linear
    trace(build, steps=1)
    half, full = torch.bfloat16, torch.float32
    assert [each.dtype for each in seen] == [half, full, full, full, full, full]
    assert (torch.autocast, torch.matmul, torch.Tensor.__matmul__, torch.nn.functional.linear) == shipped
    assert (torch.zeros(2, 2) @ torch.zeros(2, 2)).dtype == full


def test_an_error_of_the_step_itself_comes_through() -> None:
    def build() -> Callable[[], Any]:
        return lambda: torch.zeros(3) @ torch.zeros(4)

    with pytest.raises(RuntimeError) as caught:
        trace(build)
    assert not isinstance(caught.value, TraceError)


def test_two_steps_show_the_optimizers_states() -> None:
    def build() -> Callable[[], object]:
        layer = torch.nn.Linear(1000, 1000, bias=False)
        optimizer = torch.optim.AdamW(layer.parameters(), foreach=True)

        def step() -> None:
            layer(torch.zeros(1, 1000)).sum().backward()
            optimizer.step()
            optimizer.zero_grad()

        return step

    one, two = trace(build, steps=1), trace(build, steps=2)
    assert one.built == two.built == pytest.approx(4_000_000, rel=0.001)
    assert two.end == pytest.approx(3 * 4_000_000, rel=0.001)
    assert len(two.step_peaks) == 2
