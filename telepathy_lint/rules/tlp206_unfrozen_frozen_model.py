from __future__ import annotations

from telepathy_lint.findings.change import Change, Repair
from telepathy_lint.rule import Meta, Report, Rule, line_name
from telepathy_lint.settings import Settings
from telepathy_lint.sites import Site


def _adds_parameters(text: str) -> bool:
    """Whether an optimizer of the file may get more parameters later than it was made with."""
    return "param_group" in text


class UnfrozenFrozenModel(Rule):
    """A model that only passes gradients on collects gradients of its own, which nobody uses.

    `.eval()` switches dropout off and nothing else: the first backward pass through the model allocates a gradient for
    every parameter, as much memory again as the weights (14.5 GB for a 7B model in bfloat16), and keeps it. Reported where
    the file shows all of it: the model is put in evaluation mode, trained modules feed it, a backward pass goes through
    it, nothing sets `requires_grad`, and the optimizers get other parameters.

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

    Fix safety: a frozen model cannot be trained. Where code outside the file hands its parameters to an optimizer (a later
    phase, a callback, a subclass), that training does nothing from then on, without an error.
    """

    meta = Meta(
        code="TLP206",
        name="unfrozen-frozen-model",
        message="gradients of its weights are allocated and never used",
        since="0.1.0",
        kinds=("model",),
        fix="unsafe",
    )

    def check(self, site: Site, settings: Settings) -> Report | None:
        through = site.trained_through
        if through is None or site.source.once(_adds_parameters):
            return None
        line = line_name(site.source, through.lineno)
        detail = f"in eval(), trained through on {line}, in no optimizer; requires_grad_(False) frees them"
        return self.at_call(site, detail)

    def repair(self, site: Site, settings: Settings) -> Repair | None:
        return Repair(
            "unsafe", "freeze the model", Change(texts=((site.end, site.end, ".requires_grad_(False)"),))
        )
