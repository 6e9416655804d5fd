"""DPO and GRPO: the closed form against a traced step with the loss that TRL computes in tiles of the logits."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

from benchmarks.memory_families import Shape, config_of, spec_of  # noqa: E402
from telepathy_runtime.memory import Workload, estimate  # noqa: E402
from telepathy_runtime.memory.gpus import gpu  # noqa: E402
from telepathy_runtime.memory.losses import TILE  # noqa: E402
from telepathy_runtime.memory.peft_adapters import with_lora  # noqa: E402
from telepathy_runtime.memory.tracing import trace  # noqa: E402
from telepathy_runtime.models import registry  # noqa: E402
from telepathy_runtime.models.spec import UnknownOptionError  # noqa: E402


class TiledLogProbs(torch.autograd.Function):  # type: ignore[misc, unused-ignore]
    """Allocates what TRL's kernels allocate: one tile of logits, and gradients in float32. It has no values."""

    @staticmethod
    def forward(ctx: Any, hidden: Any, weight: Any) -> Any:
        tile = torch.empty(min(len(hidden), TILE[0]), TILE[1], dtype=hidden.dtype, device=hidden.device)
        ctx.save_for_backward(hidden, weight)
        del tile
        return torch.zeros(len(hidden), dtype=torch.float32)

    @staticmethod
    def backward(ctx: Any, gradient: Any) -> Any:
        hidden, weight = ctx.saved_tensors
        into = torch.zeros(hidden.shape, dtype=torch.float32, device=hidden.device)
        of_weight = (
            torch.zeros(weight.shape, dtype=torch.float32, device=hidden.device)
            if ctx.needs_input_grad[1]
            else None
        )
        tile = torch.empty(min(len(hidden), TILE[0]), TILE[1], dtype=hidden.dtype, device=hidden.device)
        both = into.to(hidden.dtype), None if of_weight is None else of_weight.to(weight.dtype)
        del tile
        return both


def log_probabilities(model: Any, ids: Any) -> Any:
    """Those of all sequences; the mask of the completions picks all tokens, which makes a copy."""
    causal = model.get_base_model() if hasattr(model, "get_base_model") else model
    states = causal.model(input_ids=ids, attention_mask=torch.ones_like(ids), use_cache=False)[0]
    flat = states.reshape(-1, states.shape[-1])
    picked = flat[torch.zeros(len(flat), dtype=torch.long)]
    return TiledLogProbs.apply(picked, causal.lm_head.weight).view(ids.shape).sum(1)


def step_of(config: Any, work: Workload) -> Callable[[], Callable[[], None]]:
    def build() -> Callable[[], None]:
        def new() -> Any:
            return transformers.AutoModelForCausalLM.from_config(
                config, dtype=torch.bfloat16, attn_implementation=work.attn
            ).train()

        model: Any = new()
        other = new().requires_grad_(False) if work.copies_model else None
        if work.regime == "lora":
            model = with_lora(model, work)
        if work.checkpointing:
            model.gradient_checkpointing_enable({"use_reentrant": False})
        optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], foreach=True)
        pairs = 2 if work.objective == "dpo" else 1
        ids = torch.zeros(pairs * work.batch, work.seq_len, dtype=torch.long)

        def step() -> None:
            own = log_probabilities(model, ids)
            if work.objective == "dpo":
                with torch.no_grad():
                    if other is not None:
                        fixed = log_probabilities(other, ids)
                    else:
                        with model.disable_adapter():
                            fixed = log_probabilities(model, ids)
                own = own - fixed
            torch.nn.functional.softplus(-own).mean().backward()
            optimizer.step()
            optimizer.zero_grad()

        return step

    return build


@pytest.mark.parametrize(
    ("vocab", "how"),
    [
        (32000, {"objective": "dpo", "regime": "full"}),
        (1000, {"objective": "dpo", "regime": "full", "checkpointing": True}),
        (32000, {"objective": "dpo", "regime": "lora"}),
        (32000, {"objective": "grpo", "regime": "full"}),
        (32000, {"objective": "grpo", "regime": "full", "reference": "copy", "checkpointing": True}),
    ],
    ids=["dpo", "dpo-checkpointing", "dpo-lora", "grpo", "grpo-reference"],
)
def test_the_closed_form_equals_a_traced_step(vocab: int, how: dict[str, Any]) -> None:
    if how["regime"] == "lora":
        pytest.importorskip("peft")
    config = config_of("llama", Shape(4, 512, 1408, 8, 4, vocab))
    work = Workload(batch=2, seq_len=700, transformers=transformers.__version__, **how)
    traced, planned = trace(step_of(config, work)), estimate(spec_of(config), work)
    assert planned.after_load == pytest.approx(traced.built, rel=0.001)
    assert planned.peak_allocated == pytest.approx(traced.peak_allocated, rel=0.005)


def test_a_reference_costs_a_copy_of_the_weights_once() -> None:
    spec = registry.get("meta-llama/Llama-3.2-1B")
    loaded = {
        (objective, reference, regime): estimate(
            spec, Workload(objective=objective, reference=reference, regime=regime, lora_rank=1)
        ).after_load
        for objective in ("dpo", "grpo")
        for reference in ("auto", "none", "copy")
        for regime in ("full", "lora")
    }
    copies = {key for key, size in loaded.items() if size > 1.5 * spec.params_bytes}
    assert copies == {key for key in loaded if key[1] == "copy"} | {("dpo", "auto", "full")}


def test_a_colocated_engine_takes_its_share_of_the_whole_card() -> None:
    card = gpu("H100-80GB")
    assert card.budget(0) - card.beside(0.3).budget(0) == int(0.3 * card.total_bytes)


@pytest.mark.parametrize(
    "wrong",
    [
        {"objective": "dpo"},
        {"objective": "dpo", "regime": "full", "packed": True},
        {"objective": "grpo", "regime": "full", "mixed_precision": True},
        {"reference": "copy", "regime": "full"},
    ],
)
def test_what_is_not_modelled_is_an_error(wrong: dict[str, Any]) -> None:
    with pytest.raises(UnknownOptionError, match="objective"):
        Workload(**wrong)
