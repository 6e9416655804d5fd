from __future__ import annotations

from telepathy_lint.findings.change import Repair
from telepathy_lint.fixes.model_ids import id_repair, literal_ids
from telepathy_lint.rule import Meta, Report, Rule, origin
from telepathy_lint.settings import Settings
from telepathy_lint.sites import Site
from telepathy_lint.sites.written_ids import status_of


class RenamedModelId(Rule):
    """A model id that the hub only redirects: the model has another name now.

    Old and new name are two models to the cache (16 GB downloaded twice for an 8B model), to tables that compare results by
    name, and to every tool that does not follow redirects, offline mode among them.

    Bad:

        from transformers import AutoTokenizer

        tokenizer = AutoTokenizer.from_pretrained("meta-llama/Meta-Llama-3.1-8B")

    Good:

        from transformers import AutoTokenizer

        tokenizer = AutoTokenizer.from_pretrained("meta-llama/Llama-3.1-8B")

    Fix safety: the new id gives the same files, but a machine that is offline may have them in its cache under the old id
    only, and results and folders may be named by the old id.
    """

    meta = Meta(
        code="TLP302",
        name="renamed-model-id",
        message="renamed model id",
        since="0.1.0",
        kinds=("model", "tokenizer", "pipeline", "config", "processor", "generation_config", "identifier"),
        fix="unsafe",
    )

    def check(self, site: Site, settings: Settings) -> Report | None:
        for node, value in literal_ids(site):
            if (name := present_name(str(value.data))) is not None:
                return self.at(site, node, f"{value.data!r} is {name!r} now{origin(value, site)}")
        return None

    def repair(self, site: Site, settings: Settings) -> Repair | None:
        return id_repair(site, present_name)


def present_name(model_id: str) -> str | None:
    status = status_of(model_id)
    return status.canonical if status.status == "renamed" else None
