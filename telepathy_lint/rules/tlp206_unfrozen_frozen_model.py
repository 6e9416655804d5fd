from __future__ import annotations

from collections.abc import Iterator

from telepathy_lint import facts
from telepathy_lint.findings.change import Change, Repair
from telepathy_lint.findings.finding import Finding
from telepathy_lint.rule import Meta, Rule, line_name
from telepathy_lint.settings import Settings
from telepathy_lint.sites import Site


def _adds_parameters(text: str) -> bool:
    """Whether an optimizer in the file may get more parameters after it is created."""
    return "param_group" in text


class UnfrozenFrozenModel(Rule):
    """A model that only passes gradients on also collects its own gradients, which are never used.

    `.eval()` only turns off dropout. The first backward pass through the model allocates a gradient for every parameter,
    which takes as much memory as the weights (14.5 GB for a 7B model in bfloat16), and keeps it. The rule reports a model if
    the file shows all of the following: the model is in evaluation mode, trained modules feed it, a backward pass goes
    through it, nothing sets `requires_grad`, and the optimizers get other parameters.

    Bad:

        import torch
        from transformers import AutoModelForCausalLM

        model = AutoModelForCausalLM.from_pretrained("gpt2").eval()
        bridge = torch.nn.Linear(16, 768)
        optimizer = torch.optim.AdamW(bridge.parameters())
        for batch in [torch.zeros(1, 4, 16)]:
            loss = model(inputs_embeds=bridge(batch)).logits.mean()
            loss.backward()
            optimizer.step()

    Good:

        import torch
        from transformers import AutoModelForCausalLM

        model = AutoModelForCausalLM.from_pretrained("gpt2").requires_grad_(False).eval()
        bridge = torch.nn.Linear(16, 768)
        optimizer = torch.optim.AdamW(bridge.parameters())
        for batch in [torch.zeros(1, 4, 16)]:
            loss = model(inputs_embeds=bridge(batch)).logits.mean()
            loss.backward()
            optimizer.step()

    Fix safety: a frozen model cannot be trained. If code outside the file passes its parameters to an optimizer (in a later
    phase, a callback or a subclass), that training silently stops working.
    """

    meta = Meta(
        code="TLP206",
        name="unfrozen-frozen-model",
        message="gradients of the model's weights are allocated but never used",
        since="0.1.0",
        kinds=("model",),
        fix="unsafe",
    )

    def check(self, site: Site, settings: Settings) -> Iterator[Finding]:
        if site.source.once(_adds_parameters):
            return
        through = facts.trained_through(site)
        if through is None:
            return
        line = line_name(site.source, through.lineno)
        detail = (
            f"it is in eval() and in no optimizer, but trained through on {line}; use requires_grad_(False)"
        )
        yield site.at_call(detail, fix=self.repair(site))

    def repair(self, site: Site) -> Repair:
        return Repair(
            "unsafe", "freeze the model", Change(texts=((site.end, site.end, ".requires_grad_(False)"),))
        )
