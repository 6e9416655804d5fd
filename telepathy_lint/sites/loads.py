"""All loads of a file, and look-ups of loads by their call or by an object."""

from __future__ import annotations

import ast

from telepathy_lint.flow.file import File
from telepathy_lint.flow.objects import SURELY_IS, Policy
from telepathy_lint.flow.tree import Context
from telepathy_lint.sites import configs_and_processors
from telepathy_lint.sites.direct_loads import Loads
from telepathy_lint.sites.site import LOADS, Kind, Site
from telepathy_lint.sites.wrappers import Wrappers


def loads(file: File) -> tuple[Site, ...]:
    """All loads of a file in reading order, including those through project functions."""
    found = {site.call: site for site in file.fact(Loads).direct.sites}
    for site in Wrappers(file).find():
        found.setdefault(site.call, site)
    file.objects.loading = frozenset(found)
    file.objects.pairs = {site.call: _second(file, site.call) for site in found.values() if site.pair}
    return tuple(sorted(found.values(), key=lambda site: site.start))


def _second(file: File, call: ast.Call) -> ast.Call:
    """The stand-in for the call that creates the second object, for a call that returns two."""
    made = ast.copy_location(ast.Call(call.func, call.args, call.keywords), call)
    file.tree.parent[made] = file.tree.parent[call]
    return made


def find(file: File) -> tuple[Site, ...]:
    """The same, as a finder."""
    return file.fact(loads)


def with_companions(file: File) -> tuple[Site, ...]:
    """Everything that a file loads: models, tokenizers, pipelines, and their configs and processors."""
    return (*file.fact(loads), *configs_and_processors.find(file))


def _by_call(file: File) -> dict[ast.AST, Site]:
    found: dict[ast.AST, Site] = {site.call: site for site in file.fact(loads)}
    for call, second in file.objects.pairs.items():
        # Not a separate load for the rules: findings about the call are reported for the model.
        found[second] = found[call]._replace(
            kind="tokenizer", node=second, loads=("transformers.AutoTokenizer",), generative=False
        )
    return found


def _all_by_call(file: File) -> dict[ast.AST, Site]:
    return {**file.fact(_by_call), **{site.call: site for site in file.fact(with_companions)}}


def surely(
    file: File, node: ast.expr, context: Context, *kinds: Kind, policy: Policy = SURELY_IS
) -> tuple[Site, ...]:
    """The loads of the given kinds that an object certainly comes from; none if it may come from elsewhere."""
    made_by = file.objects.makers(node, context, policy)
    known = file.fact(_by_call if set(LOADS).issuperset(kinds) else _all_by_call)
    found = [known[each] for each in made_by if each in known]
    if len(found) < len(made_by) or any(site.kind not in kinds for site in found):
        return ()
    return tuple(sorted(found, key=lambda site: site.start))
