from __future__ import annotations

import ast
from collections.abc import Iterator

from telepathy_lint.facts.in_tests import is_of_a_test
from telepathy_lint.facts.out_of_use import is_bare
from telepathy_lint.facts.redirected import is_only_looked_up
from telepathy_lint.findings.change import Repair
from telepathy_lint.findings.finding import Finding
from telepathy_lint.fixes.model_ids import id_repair, literal_ids
from telepathy_lint.rule import Meta, Rule, origin
from telepathy_lint.settings import Settings
from telepathy_lint.sites import Site, Value
from telepathy_lint.sites.written_ids import status_of


class UnknownModelId(Rule):
    """A model id does not exist on the hub, in a family whose ids are all known.

    Sizes and versions are easily mixed up: there is a Llama 3.1 with 8B and a Llama 3.2 with 1B and 3B, but no Llama 3.2 with
    8B; only Llama 3.0 is still called "Meta-Llama"; there is no Mistral 7B v0.4. The load fails, possibly hours later if the
    id is in a table of experiments. All ids are known for meta-llama's Llama 3.x, mistralai's 7B and Qwen's Qwen2.5. An id
    with different capitalization is reported too: the hub finds the model, but it is cached a second time, and a gated model
    denies access.

    Unless strict, the rule leaves out tests, which often make names up, and, in a project, ids in other letter
    case, which the hub finds, and keys of a dict of numbers that no loop goes through.

    Bad:

        from transformers import AutoModelForCausalLM

        model = AutoModelForCausalLM.from_pretrained("qwen/Qwen2.5-3B")

    Good:

        from transformers import AutoModelForCausalLM

        model = AutoModelForCausalLM.from_pretrained("Qwen/Qwen2.5-3B")

    Fix safety: only the capitalization of an id is fixed, to the hub's spelling. A machine that is offline may have the
    model in its cache only under the old spelling. An id that does not exist is not fixed, because only the author knows what
    was meant.
    """

    meta = Meta(
        code="TLP301",
        name="unknown-model-id",
        message="unknown model id",
        since="0.1.0",
        kinds=("model", "tokenizer", "pipeline", "config", "processor", "generation_config", "identifier"),
        fix="unsafe",
    )

    def check(self, site: Site, settings: Settings) -> Iterator[Finding]:
        for node, value in literal_ids(site):
            status = status_of(str(value.data))
            if status.status != "unknown":
                continue
            if status.spelled is not None:
                detail = f"{value.data!r} is spelled {status.spelled!r} on the hub"
            elif status.nearest:
                detail = f"{value.data!r} does not exist; nearest: {', '.join(status.nearest[:2])}"
            else:
                detail = f"{value.data!r} does not exist"
            yield site.at(node, f"{detail}{origin(value, site)}", fix=self.repair(site, node, value))

    def matters(self, site: Site, settings: Settings) -> bool:
        if site.kind == "identifier" and not is_bare(site) and _is_looked_up(site):
            return False
        found = [status_of(str(value.data)) for _, value in literal_ids(site)]
        gone = any(each.status == "unknown" and each.spelled is None for each in found)
        return (gone or is_bare(site)) and not is_of_a_test(site)  # tests often make names up

    def repair(self, site: Site, node: ast.AST, value: Value) -> Repair | None:
        name = status_of(str(value.data)).spelled
        return id_repair(site, node, value, name) if name is not None else None


def _is_looked_up(site: Site) -> bool:
    """Whether an id is a key of a dict of numbers, whose keys nothing goes through."""
    holder = site.context.scope.tree.parent.get(site.node)
    return (
        isinstance(holder, ast.Dict)
        and all(isinstance(each, ast.Constant) and not isinstance(each.value, str) for each in holder.values)
        and is_only_looked_up(holder, site)
    )
