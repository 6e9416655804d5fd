from __future__ import annotations

import ast
from collections.abc import Iterator

from telepathy_lint.facts.redirected import is_an_alias, is_redirected, only_names_results
from telepathy_lint.findings.change import Repair
from telepathy_lint.findings.finding import Finding
from telepathy_lint.fixes.model_ids import id_repair, literal_ids
from telepathy_lint.rule import Meta, Rule, origin
from telepathy_lint.settings import Settings
from telepathy_lint.sites import Site, Value
from telepathy_lint.sites.written_ids import status_of


class RenamedModelId(Rule):
    """A model was renamed, and the hub only redirects the old id.

    The old and the new name are two different models for the cache (an 8B model is downloaded twice, 16 GB each), for tables
    that compare results by name, and for everything that does not follow redirects, such as offline mode.

    Unless strict, the rule leaves out ids that the project only uses with the hub, which redirects them. It reports them where
    redirects do not help: a file of the project works offline or looks into the cache, or compares or looks up the old name
    while the project also has the new one. An old id in a list of aliases is meant, and so is one beside the present one, in a call or in a dict that no loop goes through.
    In a project's notebook that loads nothing, an id only names results.

    Bad:

        from transformers import AutoTokenizer

        tokenizer = AutoTokenizer.from_pretrained("meta-llama/Meta-Llama-3.1-8B", local_files_only=True)

    Good:

        from transformers import AutoTokenizer

        tokenizer = AutoTokenizer.from_pretrained("meta-llama/Llama-3.1-8B", local_files_only=True)

    Fix safety: the new id gives the same files, but a machine that is offline may have them in its cache only under the old
    id, and results and folders may be named after the old id.
    """

    meta = Meta(
        code="TLP302",
        name="renamed-model-id",
        message="renamed model id",
        since="0.1.0",
        kinds=("model", "tokenizer", "pipeline", "config", "processor", "generation_config", "identifier"),
        fix="unsafe",
    )

    def check(self, site: Site, settings: Settings) -> Iterator[Finding]:
        for node, value, name in _renamed(site):
            detail = f"{value.data!r} is now {name!r}{origin(value, site)}"
            yield site.at(node, detail, fix=self.repair(site, node, value, name))

    def matters(self, site: Site, settings: Settings) -> bool:
        names = [(str(value.data), name) for _, value, name in _renamed(site)]
        if site.kind == "identifier" and (is_an_alias(site, names) or only_names_results(site)):
            return False
        return not is_redirected(site, names)

    def repair(self, site: Site, node: ast.AST, value: Value, name: str) -> Repair | None:
        return id_repair(site, node, value, name)


def _renamed(site: Site) -> Iterator[tuple[ast.AST, Value, str]]:
    """The old ids of a site, each with the node to report and the present name."""
    for node, value in literal_ids(site):
        if (name := present_name(str(value.data))) is not None:
            yield node, value, name


def present_name(model_id: str) -> str | None:
    status = status_of(model_id)
    return status.canonical if status.status == "renamed" else None
