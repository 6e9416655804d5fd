"""Plans the text edits that rewrite a reported site: the call itself, and the imports.

`offers` quickly determines whether a site can be changed, and how safely. `plan` builds the edits for several
sites together, because they determine whether an import is still used. Only `plan` needs LibCST.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Sequence
from functools import cached_property
from itertools import pairwise

from telepathy_lint.findings.change import TARGET, Change, slot
from telepathy_lint.findings.violation import Edit, Fix, Safety
from telepathy_lint.fixes.loader_call import OF_THE_LOADER, SPELLINGS, inline_change, loader_change
from telepathy_lint.fixes.other_calls import other_calls
from telepathy_lint.hints import TYPE_CHECKING, NamedTuple
from telepathy_lint.rule import Reported, Rule
from telepathy_lint.settings import Loader, Settings
from telepathy_lint.sites import Scan, Site

if TYPE_CHECKING:
    from telepathy_lint.fixes.import_names import Placed
    from telepathy_lint.fixes.imports import ImportPlan

_ORDER: tuple[Safety, ...] = ("safe", "unsafe", "display")


class Rewrite(NamedTuple):
    """A change of one site, with its safety and the findings that it fixes."""

    site: Site
    answers: tuple[Reported, ...]
    change: Change
    fix: Fix


class Rewriter:
    """Plans the fixes in one file."""

    def __init__(self, scan: Scan, settings: Settings) -> None:
        self.scan = scan
        self.settings = settings
        self._safeties: dict[tuple[Site, Rule], Safety] = {}

    @cached_property
    def imports(self) -> ImportPlan:
        from telepathy_lint.fixes.imports import ImportPlan  # many fixes need no import

        return ImportPlan(self.scan, self.settings)

    def offers(self, site: Site, found: Sequence[Reported]) -> list[Rewrite]:
        """Return the fixes of the findings at a site: the rules' own repairs, then rewrites of the call.

        Rules that share the loader's settings are fixed by rewriting the whole call: a safe rewrite that
        keeps all other settings, and an unsafe one that includes all findings.
        """
        rewrites = self._repairs(site, found)
        safe, whole = self._styled(site, found, unsafe=False), self._styled(site, found, unsafe=True)
        if safe is not None:
            rewrites.append(safe)
        if whole is not None:
            answered = set(safe.answers) if safe is not None else set()
            others = tuple(each for each in whole.answers if each not in answered)
            if others:
                rewrites.append(whole._replace(answers=others))
        return rewrites

    def chosen(self, site: Site, found: Sequence[Reported], unsafe: bool) -> list[Rewrite]:
        """The rewrites to apply to the findings at a site: the safe ones, and with `unsafe` also the others."""
        rewrites = [each for each in self._repairs(site, found) if unsafe or each.fix.safety == "safe"]
        styled = self._styled(site, found, unsafe)
        return rewrites if styled is None else [*rewrites, styled]

    def withheld(self, site: Site, rule: Rule) -> Fix | None:
        """A fix that only displays why a finding is not fixed; None if there is no reason."""
        reason = rule.withheld(site, self.settings)
        return None if reason is None else Fix("display", f"not fixed: {reason}")

    def _repairs(self, site: Site, found: Sequence[Reported]) -> list[Rewrite]:
        """The repairs that rules have built; those of one rule and safety level are combined."""
        rewrites: dict[tuple[str, Safety], Rewrite] = {}
        for each in found:
            rule, repair = each.rule, each.finding.fix
            if repair is None or rule.withheld(site, self.settings) is not None:
                continue
            if not (repair.change.keeps_call or self._is_plain(site)):
                continue
            if self._can_place(site, repair.change):
                safety = self._configured(rule, _lowered(repair.safety, site, repair.change))
                new = Rewrite(site, (each,), repair.change, Fix(safety, repair.message))
                key = rule.meta.code, safety
                rewrites[key] = _together(rewrites[key], new) if key in rewrites else new
        return list(rewrites.values())

    def _styled(self, site: Site, found: Sequence[Reported], unsafe: bool) -> Rewrite | None:
        """A rewrite of the call for the rules with a setting; without `unsafe`, for those with a safe fix."""
        rules = list(dict.fromkeys(each.rule for each in found if each.rule.meta.setting is not None))
        if not unsafe:
            rules = [rule for rule in rules if self._safety(site, rule) == "safe"]
        included = tuple(
            rule for rule in rules if self._can_change(site, rule) and self._safety(site, rule) != "display"
        )
        # The loader cannot create pipelines. With unknown arguments, its call could not pass None for the
        # right ones.
        inline = (
            self.settings.fix_style == "inline"
            or site.opaque
            or site.kind == "pipeline"
            or self._names_nothing(site)
            or _may_lack_settings(site)
        )
        if inline:
            included = tuple(rule for rule in included if self._can_inline(site, rule))
        if not included or not (self._is_plain(site) if inline else self._can_rewrite(site)):
            return None
        reported = frozenset(rule.meta.setting for rule in included if rule.meta.setting is not None)
        purpose = self._purpose(site, included)
        change = (inline_change if inline else loader_change)(site, reported, self.settings, purpose)
        if not self._can_place(site, change):
            return None
        if not unsafe and _lowered("safe", site, change) != "safe":
            return None
        worst = max((self._safety(site, rule) for rule in included), key=_ORDER.index)
        codes = ", ".join(rule.meta.code for rule in included)
        names = ", ".join(dict.fromkeys(need.name for need in change.needs))
        names = names or ("float32" if purpose == "training" else "bfloat16")
        message = f"load with {self.settings.loader.module}: {names} ({codes})"
        answers = tuple(each for each in found if each.rule in included)
        return Rewrite(site, answers, change, Fix(worst, message))

    def _purpose(self, site: Site, rules: Sequence[Rule]) -> str | None:
        """The purpose of the load, if the file shows it and the rewrite leaves the dtype or placement to the loader.

        Not for a fix that keeps the placement, and not for a project's own loader.
        """
        left = any(
            rule.meta.setting in ("dtype", "device_map") and rule.safety(site) == "unsafe" for rule in rules
        )
        if not left or self.settings.loader != Loader():
            return None
        from telepathy_lint.facts import purposes

        return purposes.shown(site)

    # ---- conditions

    def _can_rewrite(self, site: Site) -> bool:
        """Whether the call can be converted to a call of the loader."""
        call = site.call
        if site.kind not in ("model", "tokenizer") or not self._is_plain(site):
            return False
        if not isinstance(call.func, ast.Attribute) or not isinstance(
            call.func.value, (ast.Name, ast.Attribute)
        ):
            return False
        if isinstance(call.func.value, ast.Name) and call.func.value.id == "cls":
            return False
        if not OF_THE_LOADER.isdisjoint(site.arguments):
            return False
        identity = site.argument("pretrained_model_name_or_path")
        return identity is not None and identity.how in ("positional", "keyword")

    @staticmethod
    def _names_nothing(site: Site) -> bool:
        """Whether the call loads from its own config and weights: `from_pretrained(None, config=, state_dict=)`."""
        identity = site.argument("pretrained_model_name_or_path")
        return (
            identity is not None and bool(identity.values) and all(value.is_none for value in identity.values)
        )

    def _is_plain(self, site: Site) -> bool:
        """Whether the call's text can be parsed and rebuilt."""
        if site.indirect or any(isinstance(argument, ast.Starred) for argument in site.call.args):
            return False
        if "#" in site.source.text[site.start : site.source.end_of(site.call.func)]:
            return False
        # Before Python 3.12, positions inside f-strings are unreliable.
        return site.text.endswith(")") and not _in_formatted_string(site, self.scan)

    def _can_change(self, site: Site, rule: Rule) -> bool:
        """Whether the reported argument is in the call itself, not in a dict that other calls may use."""
        argument = site.argument(*SPELLINGS.get(rule.meta.setting or "", ()))
        if argument is None:
            return True
        # Removing a value with a walrus operator would remove its binding.
        return argument.how == "keyword" and not any(
            isinstance(node, ast.NamedExpr) for node in ast.walk(argument.node)
        )

    def _can_inline(self, site: Site, rule: Rule) -> bool:
        """Whether the inline style supports the rule's setting."""
        if site.loader:
            return True
        if rule.meta.setting in ("generation_config", "pad_token"):
            return target_of(site, self.scan) is not None
        # A pipeline passes attention to the model only through `model_kwargs`.
        return not (site.kind == "pipeline" and rule.meta.setting == "attn_implementation")

    def _can_place(self, site: Site, change: Change) -> bool:
        if change.after and target_of(site, self.scan) is None:
            return False
        return len(self._placed(site, change)) == len(change.needs)

    def _placed(self, site: Site, change: Change) -> list[Placed]:
        """The names that a change imports, as the first of the calls that use them can refer to them."""
        others = [other for other, _ in other_calls(site, change, self.scan)] if change.texts else []
        first = min([site, *others], key=lambda each: each.start)
        return [found for need in change.needs if (found := self.imports.place(first, need)) is not None]

    def _safety(self, site: Site, rule: Rule) -> Safety:
        if (site, rule) not in self._safeties:
            self._safeties[site, rule] = self._safety_of(site, rule)
        return self._safeties[site, rule]

    def _safety_of(self, site: Site, rule: Rule) -> Safety:
        if rule.withheld(site, self.settings) is not None:
            return "display"
        safety = rule.safety(site)
        if (
            safety == "safe"
            and site.argument("generation_config") is not None
            and self.settings.fix_style == "loader"
        ):
            # from_pretrained replaces the shipped generation config; the loader merges
            safety = "unsafe"
        return self._configured(rule, safety)

    def _configured(self, rule: Rule, safety: Safety) -> Safety:
        return self.settings.fixing.safety(rule.meta.code, rule.meta.name, safety)

    # ---- edits

    def plan(self, rewrites: Iterable[Rewrite]) -> tuple[list[Edit], list[Rewrite]]:
        """Return the edits of rewrites that can be applied together, and these rewrites.

        The others wait for the next round: a call that contains another one, a loader call at a site with
        repairs, and a call whose import would hide a name of another.
        """
        from telepathy_lint.fixes.call_text import changed
        from telepathy_lint.fixes.leftovers import leftovers
        from telepathy_lint.fixes.name_capture import without_hiding

        imports = self.imports.fresh()
        edits: list[Edit] = []
        source = self.scan.source
        ready: list[tuple[Rewrite, list[Placed]]] = []
        done: list[Rewrite] = []
        rewritten: list[tuple[Site, str]] = []
        for rewrite in _innermost(_merged(rewrites)):
            placed = self._placed(rewrite.site, rewrite.change)
            if len(placed) == len(rewrite.change.needs):
                ready.append((rewrite, placed))
        together = without_hiding([(rewrite.site, placed) for rewrite, placed in ready])
        for (rewrite, placed), goes in zip(ready, together, strict=True):
            if not goes:
                continue
            site, change = rewrite.site, _spelled(rewrite.change, placed)
            text = site.text if change.keeps_call else changed(site, change)
            if text is None:
                continue
            done.append(rewrite)
            edits += [source.edit(start, end, written) for start, end, written in change.texts]
            if change.keeps_call:
                continue
            all_of_it = "\n".join((text, *change.after))
            imports.use(placed, site, all_of_it)
            for other, new in other_calls(site, rewrite.change, self.scan) if change.texts else ():
                imports.use([], other, new)
            if text != site.text:
                edits.append(source.edit(site.start, site.end, text))
                rewritten.append((site, all_of_it))
            edits += [self._statement(site, statement) for statement in change.after]
        edits += leftovers(self.scan, rewritten)
        return sorted({*edits, *imports.edits()}), done

    def _statement(self, site: Site, statement: str) -> Edit:
        """A statement on its own line after the call's statement."""
        assert site.context.stmt is not None and isinstance(site.context.stmt, ast.stmt)
        source = self.scan.source
        start, end = source.start_of(site.context.stmt), source.end_of(site.context.stmt)
        line = source.line_of(end)
        line_end = source.line_starts[line] if line < len(source.line_starts) else len(source.text)
        while source.text[line_end - 1 : line_end] in ("\n", "\r") and line_end > end:
            line_end -= 1
        indent = source.text[source.line_starts[source.line_of(start) - 1] : start]
        text = statement.replace(TARGET, target_of(site, self.scan) or "")
        if source.shows_value(line_end) and isinstance(ast.parse(text).body[0], ast.Expr):
            text += ";"  # Jupyter shows the value of a cell's last expression
        return source.edit(line_end, line_end, f"{source.newline}{indent}{text}")


def _together(one: Rewrite, other: Rewrite) -> Rewrite:
    """Combine two repairs of one rule and their messages: "remove a" and "remove b" become "remove a, b"."""
    words, more = one.fix.message.split(" "), other.fix.message.split(" ")
    same = next((at for at, (a, b) in enumerate(zip(words, more, strict=False)) if a != b), len(more))
    rest = " ".join(more[same:])
    message = one.fix.message if not rest else f"{one.fix.message}{', ' if same else '; '}{rest}"
    fix = one.fix._replace(message=message)
    return one._replace(answers=one.answers + other.answers, change=one.change | other.change, fix=fix)


def _lowered(safety: Safety, site: Site, change: Change) -> Safety:
    """The safety of a change that removes arguments, in case evaluating one of them has side effects."""
    if safety != "safe":
        return safety
    gone = {*change.removed, *(name for name, _ in change.replaced)} - {*change.rebuilt}
    if not gone:
        return safety
    from telepathy_lint.fixes.effects import acts

    values = [keyword.value for keyword in site.call.keywords if keyword.arg in gone]
    # A replaced value may be part of the new text.
    kept = "".join(text for _, text in change.replaced + change.added)
    return "unsafe" if any(acts(value) and ast.unparse(value) not in kept for value in values) else "safe"


def _may_lack_settings(site: Site) -> bool:
    """Whether a spread only sometimes includes a setting; otherwise the loader would choose it."""
    spelled = (site.argument(name) for names in SPELLINGS.values() for name in names)
    return any(argument is not None and argument.optional for argument in spelled)


def target_of(site: Site, scan: Scan) -> str | None:
    """The name that the call's result is assigned to, if the assignment is alone on its lines."""
    stmt, source = site.context.stmt, scan.source
    if not isinstance(stmt, ast.Assign) or stmt.value is not site.call or len(stmt.targets) != 1:
        return None
    if not isinstance(stmt.targets[0], (ast.Name, ast.Attribute)):
        return None
    start, end = source.start_of(stmt), source.end_of(stmt)
    before = source.text[source.line_starts[source.line_of(start) - 1] : start]
    line = source.line_of(end)
    rest = source.text[end : source.line_starts[line] if line < len(source.line_starts) else len(source.text)]
    if before.strip() or (rest.strip() and not rest.strip().startswith("#")):
        return None
    return ast.unparse(stmt.targets[0])


def _spelled(change: Change, placed: Sequence[Placed]) -> Change:
    """Replace the names in a change with their spelling in the file."""

    def spell(text: str) -> str:
        for each in placed:
            text = text.replace(slot(each.name), each.spelled)
        return text

    return change._replace(
        func=spell(change.func) if change.func is not None else None,
        replaced=tuple((name, spell(value)) for name, value in change.replaced),
        added=tuple((name, spell(value)) for name, value in change.added),
        after=tuple(spell(statement) for statement in change.after),
        texts=tuple((start, end, spell(text)) for start, end, text in change.texts),
    )


def _merged(rewrites: Iterable[Rewrite]) -> list[Rewrite]:
    """One rewrite per site: repairs of several rules are combined; a loader call waits until they are done."""
    by_site: dict[int, list[Rewrite]] = {}
    for rewrite in rewrites:
        by_site.setdefault(id(rewrite.site), []).append(rewrite)
    merged: list[Rewrite] = []
    for group in by_site.values():
        repairs = [each for each in group if all(one.rule.meta.setting is None for one in each.answers)]
        first, *others = repairs or group
        for other in others:
            first = first._replace(answers=first.answers + other.answers, change=first.change | other.change)
        merged.append(first)
    return merged


def _innermost(rewrites: list[Rewrite]) -> list[Rewrite]:
    """The rewrites whose calls contain no other. In the order of the text, a nested call directly follows its outer one."""
    ordered = sorted(rewrites, key=lambda rewrite: (rewrite.site.start, -rewrite.site.end))
    holding = {id(outer) for outer, inner in pairwise(ordered) if inner.site.end <= outer.site.end}
    return [rewrite for rewrite in rewrites if id(rewrite) not in holding]


def _in_formatted_string(site: Site, scan: Scan) -> bool:
    if scan.file is None:
        return True
    node: ast.AST | None = site.node
    while node is not None and not isinstance(node, ast.stmt):
        if isinstance(node, ast.JoinedStr):
            return True
        node = scan.file.tree.parent.get(node)
    return False


__all__ = ["Rewrite", "Rewriter"]
