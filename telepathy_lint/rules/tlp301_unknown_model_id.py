from __future__ import annotations

from telepathy_lint.findings.change import Repair
from telepathy_lint.fixes.model_ids import id_repair, literal_ids
from telepathy_lint.rule import Meta, Report, Rule, origin
from telepathy_lint.settings import Settings
from telepathy_lint.sites import Site
from telepathy_lint.sites.written_ids import status_of


class UnknownModelId(Rule):
    """A model id that does not exist on the hub, in a family whose ids are known completely.

    Sizes and versions are easily mixed up: there is a Llama 3.1 in 8B and a Llama 3.2 in 1B and 3B, but no Llama 3.2 in 8B;
    only Llama 3.0 is called "Meta-Llama" still; there is no Mistral 7B v0.4. The load fails, hours later if the id stands
    in a table of experiments. Known completely: meta-llama's Llama 3.x, mistralai's 7B, Qwen's Qwen2.5. An id in another
    case is reported too: the hub finds the model, but caches a second copy, and a gated one refuses access.

    Bad:

        from transformers import AutoModelForCausalLM

        model = AutoModelForCausalLM.from_pretrained("qwen/Qwen2.5-3B")

    Good:

        from transformers import AutoModelForCausalLM

        model = AutoModelForCausalLM.from_pretrained("Qwen/Qwen2.5-3B")

    Fix safety: only an id in another case is rewritten, to the one way the hub writes it. A machine that is offline may
    have the model in its cache under the old spelling only. What was meant by an id that does not exist is for the author
    to say.
    """

    meta = Meta(
        code="TLP301",
        name="unknown-model-id",
        message="unknown model id",
        since="0.1.0",
        kinds=("model", "tokenizer", "pipeline", "config", "processor", "generation_config", "identifier"),
        fix="unsafe",
    )

    def check(self, site: Site, settings: Settings) -> Report | None:
        for node, value in literal_ids(site):
            status = status_of(str(value.data))
            if status.status != "unknown":
                continue
            if other_case(str(value.data)) is not None:
                detail = f"{value.data!r} is {other_case(str(value.data))!r} in another case"
            elif status.nearest:
                detail = f"{value.data!r} does not exist; nearest: {', '.join(status.nearest[:2])}"
            else:
                detail = f"{value.data!r} does not exist"
            return self.at(site, node, f"{detail}{origin(value, site)}")
        return None

    def repair(self, site: Site, settings: Settings) -> Repair | None:
        return id_repair(site, other_case)


def other_case(model_id: str) -> str | None:
    """The id that exists and differs in nothing but upper and lower case."""
    status = status_of(model_id)
    if status.status != "unknown":
        return None
    return next((name for name in status.nearest if name.casefold() == model_id.casefold()), None)
