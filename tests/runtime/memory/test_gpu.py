"""On a real GPU: bytes after load, peaks after two steps, and the findings of a run. `pytest -m gpu`."""

from __future__ import annotations

from typing import Any

import pytest

from telepathy_runtime.memory import Monitor, Workload, estimate
from telepathy_runtime.models.spec import ModelSpec

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
]

# Llama's shape at a size that any card holds, with random weights: nothing is downloaded.
SPEC = ModelSpec(
    "random/llama", "llama", layers=12, hidden=2048, intermediate=8192, heads=32, kv_heads=8, head_dim=64,
    vocab=128256, tied=True, max_positions=4096,
)  # fmt: skip


def build(work: Workload) -> Any:
    from telepathy_runtime.memory.standard_step import hub_config

    config = hub_config(SPEC)
    with torch.device("cuda"):
        return transformers.AutoModelForCausalLM.from_config(
            config, dtype=torch.bfloat16, attn_implementation=work.attn
        )


def test_bytes_after_load() -> None:
    torch.cuda.empty_cache()
    before = torch.cuda.memory_allocated()
    model = build(Workload())
    assert SPEC.params_bytes / (torch.cuda.memory_allocated() - before) == pytest.approx(1, abs=0.005)
    del model


@pytest.mark.parametrize(
    "work",
    [
        Workload(seq_len=1024, batch=2, regime="full"),
        Workload(seq_len=1024, batch=2, regime="full", opt_impl="fused", checkpointing=True),
        Workload(seq_len=1024, batch=4, regime="frozen_grad"),
        Workload(seq_len=512, batch=2, regime="frozen_grad", attn="eager"),
    ],
    ids=["full", "fused-checkpointing", "frozen", "eager"],
)
def test_peak_after_two_steps(work: Workload) -> None:
    work = work.but(transformers=transformers.__version__)
    torch.cuda.empty_cache()
    model = build(work).train()
    if work.regime == "frozen_grad":
        model.requires_grad_(False)
    if work.checkpointing:
        model.gradient_checkpointing_enable({"use_reentrant": False})
    trained = [p for p in model.parameters() if p.requires_grad]
    optimizers = [torch.optim.AdamW(trained, fused=work.opt_impl == "fused")] if trained else []
    ids = torch.ones(work.batch, work.seq_len, dtype=torch.long, device="cuda")
    monitor = Monitor(estimate=estimate(SPEC, work))
    outputs: Any = None
    for _ in range(3):
        with monitor.step(model, *optimizers):
            given: dict[str, Any] = {"input_ids": ids}
            if not trained:
                soft = torch.zeros(
                    *ids.shape, SPEC.hidden, dtype=torch.bfloat16, device="cuda", requires_grad=True
                )
                given = {"inputs_embeds": soft}
            outputs = model(**given, attention_mask=torch.ones_like(ids), labels=ids)
            outputs.loss.backward()
            for optimizer in optimizers:
                optimizer.step()
                optimizer.zero_grad()
    last = monitor.records[-1]
    assert last["ratio"] == pytest.approx(1, abs=0.03)
    assert not [f for f in last["findings"] if f["code"] in ("unoptimized-gradients", "estimate-differs")]
