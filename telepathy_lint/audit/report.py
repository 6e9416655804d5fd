"""Converts an Audit to a report with sections, in the order of a review: what there is, what is wrong, what to do."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from telepathy_lint.audit.advice import SETTING_RULES, checklist, next_steps, recommendations
from telepathy_lint.audit.blocks import (
    Block,
    Cell,
    Mark,
    Report,
    Section,
    Statement,
    Table,
    counted,
    places_cell,
    where_chosen,
)
from telepathy_lint.audit.collect import DECODING
from telepathy_lint.audit.consistency import FREE, MODEL_SETTINGS, UNCHOSEN, Consistency, Like
from telepathy_lint.audit.data import CachePath, Load, Model, Place
from telepathy_lint.audit.memory import held_together, memory, written_batches, written_dimensions
from telepathy_lint.audit.outcome import Audit
from telepathy_lint.audit.overview import TITLE, loads_of, overview

#: Models named per load; the table of models has all of them.
_IN_MATRIX = 3


def report(audit: Audit) -> Report:
    """The report: one screen with what to do first, then the details."""
    sections = (
        (TITLE, overview(audit)),
        ("Models", _models(audit)),
        ("Precision", _setting(audit, "model", "dtype")),
        ("Device maps", _setting(audit, "model", "device_map")),
        ("Attention", _setting(audit, "model", "attention")),
        ("Quantization", _setting(audit, "model", "quantization")),
        ("Model ids verified", _ids(audit)),
        ("Models configured whose load was not found", _unloaded(audit)),
        (
            "Tokenizers and pad tokens",
            [*_setting(audit, "tokenizer", "pad token"), *_setting(audit, "tokenizer", "padding side")],
        ),
        ("Generation configs", [*_setting(audit, "model", "generation config"), *_decoding(audit)]),
        ("Revisions", _setting(audit, "model", "revision")),
        ("Memory", memory(audit)),
        ("Models loaded together", held_together(audit)),
        ("Memory and batch sizes written in the code", written_batches(audit)),
        ("Model dimensions written in the code", written_dimensions(audit)),
        ("Cache paths", _caches(audit)),
        ("Load matrix", _matrix(audit)),
        ("Findings by rule", _findings(audit)),
        ("Files that could not be read", _problems(audit)),
        ("Recommendations", recommendations(audit)),
        ("Validation checklist", checklist(audit)),
        ("Next steps", next_steps(audit)),
    )
    loads = [load for load in audit.loads if not load.indirect]
    models = sum(1 for load in loads if load.kind != "tokenizer")
    summary = (
        f"{counted(audit.python_files, 'Python file')} and {counted(audit.other_files, 'other file')} read "
        f"(scripts, YAML, TOML, JSON): {counted(models, 'load')} of models, "
        f"{counted(len(loads) - models, 'load')} of tokenizers, {counted(len(audit.models), 'model id')}."
    )
    return Report(
        f"Model configuration of {audit.root}",
        summary,
        tuple(Section(title, found) for title, blocks in sections if (found := tuple(blocks))),
        audit.score if audit.calls else None,
        audit.host,
    )


# ---- models


def _models(audit: Audit) -> Iterator[Block]:
    if not audit.models:
        opened = (
            f": {counted(len(audit.open_loads), 'load')} get the model from options or callers"
            if audit.open_loads
            else ""
        )
        yield Statement("note", f"No model id is written in the project{opened}")
        return
    listed = any(model.parameters for model in audit.models)
    yield Table(
        ("model", *(_DIMENSIONS if listed else ()), "written in", "model loads", "tokenizer loads"),
        tuple(
            (
                Cell(model.model_id),
                *(_dimensions(model) if listed else ()),
                places_cell(tuple(mention.place for mention in model.mentions)),
                places_cell(model.loads),
                places_cell(model.tokenizer_loads),
            )
            for model in audit.models
        ),
        "Where every model id is written, and the loads that were found to get it"
        + ("" if listed else "; the registry lists none of these models, so their sizes are not known"),
    )


_DIMENSIONS = ("parameters", "layers", "hidden size")


def _dimensions(model: Model) -> tuple[Cell, ...]:
    return (
        Cell(f"{model.parameters:,}" if model.parameters else "not listed", sort=model.parameters or 0),
        Cell(f"{model.layers}" if model.layers else "", sort=model.layers or 0),
        Cell(f"{model.hidden:,}" if model.hidden else "", sort=model.hidden or 0),
    )


def _ids(audit: Audit) -> Iterator[Block]:
    groups: dict[str, list[Model]] = {}
    for model in audit.models:
        groups.setdefault(model.status, []).append(model)
    known = groups.get("known", [])
    checked = sum(len(groups.get(status, [])) for status in ("known", "renamed", "unknown"))
    if checked:
        yield Statement(
            "good" if len(known) == checked else "note",
            f"{len(known)} of {counted(checked, 'id')} in completely known families exist under the name as written",
        )
    for model in groups.get("renamed", []):
        yield Statement(
            "bad",
            f"`{model.model_id}` is a redirect: the model is now `{model.canonical}` "
            f"({counted(len(model.mentions), 'place')})",
            where_chosen(model),
        )
    for model in groups.get("unknown", []):
        nearest = ", ".join(f"`{name}`" for name in model.nearest)
        if model.spelled is not None:
            text = f"is spelled `{model.spelled}` on the hub: the wrong case is cached as a second copy, and denied for a gated model"
        else:
            text = f"does not exist on the hub{f'; nearest: {nearest}' if nearest else ''}"
        yield Statement("bad", f"`{model.model_id}` {text}", where_chosen(model))
    outside = groups.get("outside", [])
    if outside:
        names = ", ".join(f"`{model.model_id}`" for model in outside)
        yield Statement(
            "note",
            f"{counted(len(outside), 'id')} outside the registry, not verified: {names}",
            tuple(place for model in outside for place in where_chosen(model)[:1]),
        )


def _unloaded(audit: Audit) -> Iterator[Block]:
    unloaded = audit.unloaded
    configured = sum(1 for model in audit.models if model.configured)
    if not configured:
        return
    yield Statement(
        "bad" if audit.unused else "note" if unloaded else "good",
        f"A load was found for {configured - len(unloaded)} of {counted(configured, 'configured model')}",
    )
    for model in unloaded:
        if model.model_id in audit.unused:
            yield Statement(
                "bad",
                f"`{model.model_id}`: nothing in the project can load it (TLP303)",
                where_chosen(model),
            )
    doubtful = [model for model in unloaded if model.model_id not in audit.unused]
    if doubtful:
        yield Table(
            ("model", "written as", "where"),
            tuple(
                (
                    Cell(model.model_id),
                    Cell(", ".join(sorted({mention.role for mention in model.mentions}))),
                    places_cell(where_chosen(model)),
                )
                for model in doubtful
            ),
            f"No load was found for {counted(len(doubtful), 'configured model')}, but something might load "
            f"{'it' if len(doubtful) == 1 else 'them'}",
        )
    if audit.open_loads:
        yield Statement(
            "note",
            f"A model without a load may still be loaded: {counted(len(audit.open_loads), 'load')} can get the model from sources that were "
            "not followed (command lines typed by hand, other files, computed values), and loads by other libraries are not seen",
            tuple(load.place for load in audit.open_loads),
        )


# ---- settings


def _setting(audit: Audit, kind: str, name: str) -> Iterator[Block]:
    for one in audit.consistency:
        if one.kind == kind and one.setting == name:
            yield from _agreement(one, audit)


def _agreement(one: Consistency, audit: Audit) -> Iterator[Block]:
    codes = [code for code in SETTING_RULES.get(one.setting, ()) if audit.found(code)]
    for like in one.alike:
        yield _about(one, like, bool(codes))
    if codes:
        counts = ", ".join(f"{code} reports {counted(len(audit.found(code)), 'place')}" for code in codes)
        yield Statement("bad", counts, tuple(finding.place for finding in audit.found(*codes)))
    if len(one.groups) > 1:
        several = len(one.alike) > 1
        yield Table(
            (one.setting, *(("of",) if several else ()), "loads", "where"),
            tuple(
                (
                    Cell(value),
                    *((Cell(loads_of(like, one.kind, 2)),) if several else ()),
                    Cell(f"{len(found):,}", sort=len(found), share=len(found) / one.total),
                    places_cell(found),
                )
                for like in one.alike
                for value, found in like.groups
            ),
        )


def _about(one: Consistency, like: Like, reported: bool) -> Statement:
    """One sentence about loads of a similar kind."""
    what = loads_of(like, one.kind)
    groups = like.groups
    if like.total == 1:
        value, places = groups[0]
        return Statement(
            "note", f"{one.setting} is {value} in the only {what}".replace("is cannot", "cannot"), places
        )
    mark: Mark = "good"
    if like.odd and one.setting not in FREE:
        mark = "bad"
    elif reported or like.undecided or like.common in UNCHOSEN:
        mark = "note"
    if like.common is None:
        return Statement(
            "note", f"{one.setting} is decided elsewhere in all {like.total:,} {what}", _all(groups)
        )
    most = like.decided[0][1]
    if len(most) == like.total:
        return Statement(mark, f"{one.setting} is {like.common} in all {like.total:,} {what}", most)
    odd = sum(len(places) for _, places in like.odd)
    rest = like.total - like.undecided - len(most) - odd
    other = "chosen" if like.common in UNCHOSEN else "one or the other"
    parts = [
        f"{one.setting} is {like.common} in {len(most):,} of {like.total:,} {what}",
        *([f"another value in {odd:,}"] if odd else []),
        *([f"{other} in {rest:,}"] if rest else []),
        *([f"decided elsewhere in {like.undecided:,}"] if like.undecided else []),
    ]
    return Statement(mark, ", ".join(parts), tuple(place for _, places in like.odd for place in places))


def _all(groups: Iterable[tuple[str, tuple[Place, ...]]]) -> tuple[Place, ...]:
    return tuple(sorted(place for _, places in groups for place in places))


def _decoding(audit: Audit) -> Iterator[Block]:
    """The decoding arguments of the `generate` calls."""
    total = len(audit.generates)
    if not total:
        return
    rows = []
    for name in DECODING:
        found = tuple(call.place for call in audit.generates if name in call.states)
        rows.append(
            (
                Cell(name),
                Cell(f"{len(found):,} of {total:,}", sort=len(found), share=len(found) / total),
                places_cell(found),
            )
        )
    nothing = tuple(call.place for call in audit.generates if not call.states and not call.hidden)
    rows.append(
        (
            Cell("none of these"),
            Cell(f"{len(nothing):,} of {total:,}", sort=len(nothing), share=len(nothing) / total),
            places_cell(nothing),
        )
    )
    yield Table(
        ("argument", "generate calls that pass it", "where"),
        tuple(rows),
        f"{counted(total, 'generate call')} and the decoding arguments they set",
    )


# ---- caches


def _caches(audit: Audit) -> Iterator[Block]:
    written = [cache for cache in audit.caches if cache.literal]
    if not written:
        yield Statement("good", "No cache path is written in code or scripts (0 places)")
    groups: dict[tuple[str, str], list[CachePath]] = {}
    for cache in written:
        groups.setdefault((cache.name, cache.value), []).append(cache)
    for (name, value), found in sorted(
        groups.items(), key=lambda item: (not item[1][0].absolute, -len(item[1]))
    ):
        absolute = found[0].absolute
        yield Statement(
            "bad" if absolute else "note",
            f"`{name}` is set to `{value}` in {counted(len(found), 'place')}"
            + (": a machine-specific path" if absolute else ""),
            tuple(cache.place for cache in found),
        )
    handed = tuple(cache.place for cache in audit.caches if not cache.literal)
    if handed:
        yield Statement(
            "note", f"A caller or a setting sets the cache path in {counted(len(handed), 'place')}", handed
        )


# ---- the matrix and the findings


def _matrix(audit: Audit) -> Iterator[Block]:
    loads = [load for load in audit.loads if load.kind != "tokenizer" and not load.indirect]
    if not loads:
        return
    yield Table(
        ("model", "file", *MODEL_SETTINGS[:4]),
        tuple(
            (
                Cell(_names(load), tuple(dict.fromkeys(chosen.place for chosen in load.ids))),
                Cell(str(load.place), (load.place,)),
                *(Cell(load.setting(name).text) for name in MODEL_SETTINGS[:4]),
            )
            for load in loads
        ),
        f"{counted(len(loads), 'load')} of models; a model in brackets is named by the call and was not followed",
    )


def _names(load: Load) -> str:
    names = list(dict.fromkeys(chosen.model_id for chosen in load.ids))
    if len(names) > _IN_MATRIX:
        names = [*names[:_IN_MATRIX], f"{len(names) - _IN_MATRIX} more"]
    if load.open:
        names.append(f"({load.written})")
    return ", ".join(names) or f"({load.written})"


def _findings(audit: Audit) -> Iterator[Block]:
    rows = []
    for code, name, fix, summary in audit.rules:
        places = tuple(finding.place for finding in audit.found(code))
        rows.append(
            (
                Cell(code),
                Cell(name),
                Cell(f"{len(places):,}", sort=len(places)),
                Cell(fix),
                Cell(summary),
                places_cell(places),
            )
        )
    if rows:
        yield Table(("rule", "name", "findings", "fix", "what", "where"), tuple(rows))


def _problems(audit: Audit) -> Iterator[Block]:
    for path, problem in audit.problems:
        yield Statement("bad", f"{path}: {problem}", (Place(path, 1),))
