"""An Audit said in sections, in the order of a review: what there is, what is wrong, what to do."""

from __future__ import annotations

from collections.abc import Iterator

from telepathy_lint.audit.advice import checklist, next_steps, recommendations
from telepathy_lint.audit.blocks import (
    Block,
    Cell,
    Report,
    Section,
    Statement,
    Table,
    counted,
    places_cell,
    where_chosen,
)
from telepathy_lint.audit.collect import DECODING
from telepathy_lint.audit.data import HIDDEN, LOADER, UNCHOSEN, Audit, Consistency, Load, Model, Place
from telepathy_lint.audit.loads import MODEL_SETTINGS
from telepathy_lint.audit.memory import held_together, memory, written_batches, written_dimensions


def report(audit: Audit, path: str = ".") -> Report:
    """The report; `path` is how commands name what was audited."""
    sections = (
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
        ("Recommendations", recommendations(audit, path)),
        ("Validation checklist", checklist(audit)),
        ("Next steps", next_steps(audit, path)),
    )
    loads = [load for load in audit.loads if not load.indirect]
    models = sum(1 for load in loads if load.kind != "tokenizer")
    summary = (
        f"{counted(audit.python_files, 'Python file')} and {counted(audit.other_files, 'other file')} read "
        f"(scripts, YAML, TOML, JSON): {counted(models, 'load')} of models, "
        f"{counted(len(loads) - models, 'load')} of tokenizers, {counted(len(audit.models), 'model id')}. "
        f"{audit.clean:,} of {counted(audit.calls, 'call')} are without a finding ({audit.score:.1f} %)."
    )
    return Report(
        f"Model configuration of {audit.root}",
        summary,
        tuple(Section(title, found) for title, blocks in sections if (found := tuple(blocks))),
    )


# ---- models


def _models(audit: Audit) -> Iterator[Block]:
    if not audit.models:
        yield Statement("note", "No model id was found.")
        return
    yield Table(
        ("model", "parameters", "layers", "hidden size", "written in", "model loads", "tokenizer loads"),
        tuple(
            (
                Cell(model.model_id),
                Cell(
                    f"{model.parameters:,}" if model.parameters else "not listed",
                    sort=model.parameters or 0,
                ),
                Cell(f"{model.layers}" if model.layers else "", sort=model.layers or 0),
                Cell(f"{model.hidden:,}" if model.hidden else "", sort=model.hidden or 0),
                places_cell(tuple(mention.place for mention in model.mentions)),
                places_cell(model.loads),
                places_cell(model.tokenizer_loads),
            )
            for model in audit.models
        ),
        "Where every model id is written, and the loads that were found to get it",
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
            f"{len(known)} of {counted(checked, 'id')} of families that are known completely exist under the name written",
        )
    for model in groups.get("renamed", []):
        yield Statement(
            "bad",
            f"`{model.model_id}` is a redirect: the model is `{model.canonical}` now "
            f"({counted(len(model.mentions), 'place')})",
            where_chosen(model),
        )
    for model in groups.get("unknown", []):
        same = [name for name in model.nearest if name.casefold() == model.model_id.casefold()]
        nearest = ", ".join(f"`{name}`" for name in model.nearest)
        if same:
            text = f"is `{same[0]}` in another case: the hub finds it, caches a second copy, and refuses it where it is gated"
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
            f"{counted(len(doubtful), 'configured model')} of which no load was found, though something might load "
            f"{'it' if len(doubtful) == 1 else 'them'}",
        )
    if audit.open_loads:
        yield Statement(
            "note",
            f"Not found is not never: {counted(len(audit.open_loads), 'load')} can get the model from outside what was "
            "followed (command lines typed by hand, other files, computed values), and loads by other libraries are not seen",
            tuple(load.place for load in audit.open_loads),
        )


# ---- settings


def _setting(audit: Audit, kind: str, name: str) -> Iterator[Block]:
    for one in audit.consistency:
        if one.kind == kind and one.setting == name:
            yield from _agreement(one)


def _agreement(one: Consistency) -> Iterator[Block]:
    majority, places = one.groups[0]
    what = f"{one.kind} {'load' if one.total == 1 else 'loads'}"
    name = one.setting
    if len(one.groups) == 1:
        yield Statement(
            "note" if majority in (*UNCHOSEN, HIDDEN) else "good",
            f"Consistent: {name} is {majority} in all {one.total:,} {what}",
            places,
        )
        return
    parts = [
        f"{name} is {majority} in {len(places):,} of {one.total:,} {what}",
        *([f"{LOADER} in {one.left:,}"] if one.left else []),
        *([f"it {HIDDEN} in {one.hidden:,}"] if one.hidden else []),
        *([f"something else in {one.odd:,}"] if one.odd else []),
    ]
    yield Statement(
        "bad" if one.odd else "note" if majority in UNCHOSEN else "good",
        f"{'Inconsistent' if one.odd else 'Consistent'}: {', '.join(parts)}",
    )
    yield Table(
        (name, "loads", "where"),
        tuple(
            (
                Cell(group),
                Cell(f"{len(found):,}", sort=len(found), share=len(found) / one.total),
                places_cell(found),
            )
            for group, found in one.groups
        ),
    )


def _decoding(audit: Audit) -> Iterator[Block]:
    """What the `generate` calls themselves say."""
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
        f"{counted(total, 'generate call')} and the decoding they state",
    )


# ---- caches


def _caches(audit: Audit) -> Iterator[Block]:
    if not audit.caches:
        yield Statement("good", "No cache path is written in code or scripts (0 places)")
        return
    for cache in audit.caches:
        absolute = cache.value.strip("\"'").startswith(("/", "~"))
        yield Statement(
            "bad" if absolute else "note",
            f"`{cache.name}` is set to `{cache.value}`" + (": a path of one machine" if absolute else ""),
            (cache.place,),
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
                Cell(_names(load), tuple(chosen.place for chosen in load.ids)),
                Cell(str(load.place), (load.place,)),
                *(Cell(load.setting(name).text) for name in MODEL_SETTINGS[:4]),
            )
            for load in loads
        ),
        f"{counted(len(loads), 'load')} of models; a model in brackets is named by the call and was not followed",
    )


def _names(load: Load) -> str:
    names = list(dict.fromkeys(chosen.model_id for chosen in load.ids))
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
