"""A pair of models joined by a trained bridge, as the reviewed experiments run it: the oracle for pairs.

The source reads its text without gradient and keeps all hidden states; a Perceiver turns one of them into
soft tokens; the target reads those and the answer, with gradient through to the bridge.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from telepathy_runtime.memory.pair import PerceiverBridge
from telepathy_runtime.memory.standard_step import hub_config, optimizers_of
from telepathy_runtime.memory.tracing import Trace, trace
from telepathy_runtime.memory.workload import Workload
from telepathy_runtime.models.spec import ModelSpec


class Layer(nn.Module):
    """Latents look at the source, at each other, and through a feed-forward block."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.cross = nn.MultiheadAttention(width, heads, batch_first=True)
        self.own = nn.MultiheadAttention(width, heads, batch_first=True)
        self.norms = nn.ModuleList([nn.LayerNorm(width) for _ in range(3)])
        self.mlp = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))

    def forward(self, x: torch.Tensor, keys: torch.Tensor, ignored: torch.Tensor | None) -> torch.Tensor:
        near = self.norms[0](x)
        x = x + self.cross(near, keys, keys, key_padding_mask=ignored, need_weights=False)[0]
        near = self.norms[1](x)
        x = x + self.own(near, near, near, need_weights=False)[0]
        return x + self.mlp(self.norms[2](x))


class Perceiver(nn.Module):
    """From hidden states of the source to soft tokens of the target."""

    def __init__(self, bridge: PerceiverBridge) -> None:
        super().__init__()
        width = bridge.target_width
        self.latents = nn.Parameter(torch.randn(bridge.latents, width))
        same = bridge.source_width == width
        self.project = nn.Identity() if same else nn.Linear(bridge.source_width, width)
        self.layers = nn.ModuleList([Layer(width, bridge.heads) for _ in range(bridge.depth)])
        self.scale = nn.Parameter(torch.tensor(1.0))

    def forward(self, hidden: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        keys = self.project((hidden.float() / 1.0).to(hidden.dtype))
        x = self.latents.unsqueeze(0).expand(hidden.shape[0], -1, -1).to(keys.dtype)
        for layer in self.layers:
            x = layer(x, keys, ~mask.bool())
        rms = torch.sqrt((x**2).mean(dim=-1, keepdim=True) + 1e-8)
        return x / rms * self.scale


def build_pair(
    source: ModelSpec,
    target: ModelSpec,
    read: Workload,
    write: Workload,
    bridge: PerceiverBridge,
    frozen: bool,
) -> Callable[[], Callable[[], object]]:
    """Two steps' worth of the experiments' training loop, without data or tokenizers."""

    def build() -> Callable[[], object]:
        from transformers import AutoModelForCausalLM

        kind = {"dtype": torch.bfloat16, "attn_implementation": write.attn}
        one = AutoModelForCausalLM.from_config(hub_config(source), **kind).eval()
        # One copy in memory where one model plays both roles.
        two = one if source == target else AutoModelForCausalLM.from_config(hub_config(target), **kind).eval()
        if frozen:
            two.requires_grad_(False)
        if write.checkpointing:
            two.train().gradient_checkpointing_enable({"use_reentrant": False})  # eval mode switches it off
        perceiver = Perceiver(bridge).bfloat16()
        (optimizer,) = optimizers_of(perceiver.named_parameters(), write)
        ids = torch.zeros(read.batch, read.seq_len, dtype=torch.long)
        answer = torch.zeros(write.batch, write.seq_len - bridge.latents, dtype=torch.long)
        labels = torch.zeros(write.batch, write.seq_len, dtype=torch.long)
        full_mask = torch.ones(write.batch, write.seq_len, dtype=torch.long)

        seen: Any = None
        outputs: Any = None

        def loss_of() -> Any:
            nonlocal seen, outputs
            mask = torch.ones(read.batch, read.seq_len, dtype=torch.long)
            with torch.no_grad():
                seen = one(input_ids=ids, attention_mask=mask, output_hidden_states=True)
                hidden = seen.hidden_states[len(seen.hidden_states) // 2].bfloat16()
            soft = perceiver(hidden, mask)
            with torch.no_grad():
                words = two.get_input_embeddings()(answer)
            inputs = torch.cat([soft, words], dim=1)
            outputs = two(inputs_embeds=inputs, attention_mask=full_mask, labels=labels)
            loss = outputs.loss
            if not write.keep_outputs:  # a step function that returns only its loss
                seen = outputs = None
            return loss

        def step() -> None:
            optimizer.zero_grad()
            for _ in range(write.grad_accum):
                (loss_of() / write.grad_accum).backward()
            optimizer.step()

        return step

    return build


def traced_pair(
    source: ModelSpec,
    target: ModelSpec,
    read: Workload,
    write: Workload,
    bridge: PerceiverBridge,
    frozen: bool,
) -> Trace:
    """The traced bytes of a pair."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return trace(build_pair(source, target, read, write, bridge, frozen))
