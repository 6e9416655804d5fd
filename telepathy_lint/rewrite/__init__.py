"""From a reported site to the text edits that rewrite it: the call itself, and the imports around it.

`offer` says cheaply whether and how safely a site can be rewritten; `plan` builds the edits for a set of sites
together, because whether an import is still used depends on all of them. Only `plan` needs LibCST.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from telepathy_lint.rewrite.imports import ImportPlan, Placed
from telepathy_lint.rule import Rule
from telepathy_lint.scan import Scan, Site
from telepathy_lint.settings import Settings
from telepathy_lint.violation import Edit, Fix, Safety

_ORDER: tuple[Safety, ...] = ("safe", "unsafe", "display")
#: Setting of the loader -> the argument names by which a script may give it.
SPELLINGS = {
    "dtype": ("dtype", "torch_dtype"),
    "device_map": ("device_map",),
    "attn_implementation": ("attn_implementation", "_attn_implementation"),
    "generation_config": ("generation_config",),
}
#: Words that show a file reading attention weights, which only eager attention returns.
_READS_ATTENTION = ("output_attentions", ".attentions")


@dataclass(frozen=True)
class Rewrite:
    """One site to be rewritten for the rules that reported it."""

    site: Site
    rules: tuple[Rule, ...]

    @property
    def settings(self) -> frozenset[str]:
        return frozenset(rule.meta.setting for rule in self.rules if rule.meta.setting is not None)


class Rewriter:
    """Plans the fixes of one file."""

    def __init__(self, scan: Scan, settings: Settings) -> None:
        self.scan = scan
        self.settings = settings

    def offer(self, site: Site, rules: Sequence[Rule]) -> tuple[Rewrite, Fix] | None:
        """What a rewrite of the site would include, and how safe it is; None where there is none."""
        included = tuple(
            rule for rule in rules if rule.meta.setting is not None and self._can_change(site, rule)
        )
        if not included or not self._can_rewrite(site):
            return None
        rewrite = Rewrite(site, included)
        placed = ImportPlan(self.scan, self.settings).place(site)
        if placed is None:
            return None
        worst = max((self._safety(site, rule) for rule in included), key=_ORDER.index)
        name = (
            self.settings.loader.load_tokenizer
            if site.kind == "tokenizer"
            else self.settings.loader.load_model
        )
        codes = ", ".join(rule.meta.code for rule in included)
        return rewrite, Fix(worst, f"load with {self.settings.loader.module}.{name} ({codes})")

    def _can_rewrite(self, site: Site) -> bool:
        """Whether the call has the shape that the loader's call can take over."""
        call = site.call
        if site.kind == "pipeline" or site.indirect or site.opaque:
            return False
        if not isinstance(call.func, ast.Attribute) or not isinstance(
            call.func.value, (ast.Name, ast.Attribute)
        ):
            return False
        if isinstance(call.func.value, ast.Name) and call.func.value.id == "cls":
            return False
        if any(isinstance(argument, ast.Starred) for argument in call.args):
            return False
        identity = site.argument("pretrained_model_name_or_path")
        if identity is None or identity.how not in ("positional", "keyword"):
            return False
        if "#" in site.source.text[site.start : site.source.end_of(call.func)]:
            return False
        # Before Python 3.12 positions inside f-strings are not to be trusted.
        return site.text.endswith(")") and not _in_formatted_string(site, self.scan)

    def _can_change(self, site: Site, rule: Rule) -> bool:
        """Whether what the rule reported stands in the call itself: a shared dict is not the call's to change."""
        setting = rule.meta.setting
        argument = site.argument(*SPELLINGS.get(setting or "", ()))
        return argument is None or argument.how == "keyword"

    def _safety(self, site: Site, rule: Rule) -> Safety:
        if rule.meta.setting == "attn_implementation" and any(
            w in self.scan.source.text for w in _READS_ATTENTION
        ):
            return "unsafe"
        return rule.meta.fix or "display"

    def plan(self, rewrites: Iterable[Rewrite]) -> list[Edit]:
        """The edits that carry out the rewrites together; a call inside another waits for the next round."""
        from telepathy_lint.rewrite.call import rewritten

        chosen = _innermost(list(rewrites))
        imports = ImportPlan(self.scan, self.settings)
        edits: list[Edit] = []
        source = self.scan.source
        for rewrite in chosen:
            placed = imports.place(rewrite.site)
            if placed is None:
                continue
            text = rewritten(rewrite.site, rewrite.settings, placed.spelled)
            imports.use(placed, rewrite.site, text)
            edits.append(source.edit(rewrite.site.start, rewrite.site.end, text))
        return sorted({*edits, *imports.edits()})


def _innermost(rewrites: list[Rewrite]) -> list[Rewrite]:
    return [
        outer
        for outer in rewrites
        if not any(
            outer is not inner and outer.site.start <= inner.site.start and inner.site.end <= outer.site.end
            for inner in rewrites
        )
    ]


def _in_formatted_string(site: Site, scan: Scan) -> bool:
    if scan.finder is None:
        return True
    node: ast.AST | None = site.call
    while node is not None and not isinstance(node, ast.stmt):
        if isinstance(node, ast.JoinedStr):
            return True
        node = scan.finder.tree.parent.get(node)
    return False


__all__ = ["Placed", "Rewrite", "Rewriter"]
