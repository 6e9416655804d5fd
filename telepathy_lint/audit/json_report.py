"""Converts an audit to JSON, in the schema described in docs/audit.md."""

from __future__ import annotations

import json
from typing import Any

from telepathy_lint.audit.blocks import Command
from telepathy_lint.audit.compare import measures
from telepathy_lint.audit.consistency import Groups
from telepathy_lint.audit.data import Load, Model, Place
from telepathy_lint.audit.outcome import Audit
from telepathy_lint.audit.report import report

SCHEMA = 1


def as_json(audit: Audit) -> str:
    return json.dumps(document(audit), indent=2, ensure_ascii=False) + "\n"


def document(audit: Audit) -> dict[str, Any]:
    sections = {section.title: section.blocks for section in report(audit).sections}
    return {
        "schema": SCHEMA,
        "telepathy_lint": audit.version,
        "root": audit.root,
        "files": {"python": audit.python_files, "other": audit.other_files},
        "calls": audit.calls,
        "clean_calls": audit.clean,
        "score_percent": round(audit.score, 2),
        "gpu": {
            "name": audit.gpu.name,
            "total_bytes": audit.gpu.total_bytes,
            "usable_bytes": audit.gpu.usable_bytes,
        },
        "models": [_model(model) for model in audit.models],
        "loads": [_load(load) for load in audit.loads],
        "consistency": [
            {
                "setting": one.setting,
                "kind": one.kind,
                "loads": one.total,
                "odd": one.odd,
                "groups": _groups(one.groups),
                "alike": [
                    {
                        "purpose": like.purpose or None,
                        "size": like.size or None,
                        "loads": like.total,
                        "common": like.common,
                        "odd": sum(len(places) for _, places in like.odd),
                        "undecided": like.undecided,
                        "groups": _groups(like.groups),
                    }
                    for like in one.alike
                ],
            }
            for one in audit.consistency
        ],
        "not_loaded": [model.model_id for model in audit.unloaded],
        "unused": sorted(audit.unused),
        "open_loads": _places(load.place for load in audit.open_loads),
        "together": [
            {
                "models": list(one.models),
                "jobs": [_places(job) for job in one.jobs],
                "weight_bytes_bfloat16": one.weight_bytes,
                "pair_peak_bytes_one_sequence": one.peak_bytes,
                "pair_largest_batch": one.batch,
            }
            for one in audit.together
        ],
        "numbers": [
            {
                "table": one.number.table,
                "model": " + ".join(one.number.models),
                "when": one.number.when or None,
                "quantity": one.quantity,
                "unit": one.unit,
                "written": one.number.value,
                "at_most": one.number.bound,
                "exact": one.exact,
                "verdict": one.verdict,
                "basis": one.basis or None,
                "agrees": one.agrees,
                "place": _place(one.number.place),
            }
            for one in audit.checked
        ],
        "cache_paths": [
            {"name": one.name, "value": one.value, "place": _place(one.place), "literal": one.literal}
            for one in audit.caches
        ],
        "generate_calls": [
            {"place": _place(one.place), "states": list(one.states), "hidden_arguments": one.hidden}
            for one in audit.generates
        ],
        "findings": [
            {
                "code": one.code,
                "name": one.name,
                "message": one.message,
                "place": _place(one.place),
                "fix": one.fix,
                "reason": one.reason,
            }
            for one in audit.findings
        ],
        "actions": [
            {
                "codes": list(one.codes),
                "safety": one.safety,
                "command": one.command,
                "fixes": one.fixes,
                "files": one.files,
                "left": one.left,
                "left_out": [place.place.path for place in one.spared],
            }
            for one in audit.actions
        ],
        "conversions": [{"why": one.why, "place": _place(one.place)} for one in audit.conversions],
        "repository": {"url": audit.host.url, "commit": audit.host.commit, "folder": audit.host.prefix}
        if audit.host is not None
        else None,
        "recommendations": [
            {"text": block.text, "command": block.command, "count": block.count}
            for block in sections.get("Recommendations", ())
            if isinstance(block, Command)
        ],
        "problems": [{"path": where, "message": problem} for where, problem in audit.problems],
        "measures": measures(audit),
    }


def _groups(groups: Groups) -> list[dict[str, Any]]:
    return [{"value": value, "places": _places(places)} for value, places in groups]


def _place(place: Place) -> dict[str, Any]:
    return {"path": place.path, "line": place.line, "cell": place.cell if place.cell >= 0 else None}


def _places(places: Any) -> list[dict[str, Any]]:
    return [_place(place) for place in places]


def _model(model: Model) -> dict[str, Any]:
    return {
        "id": model.model_id,
        "status": model.status,
        "canonical": model.canonical,
        "nearest": list(model.nearest),
        "configured": model.configured,
        "parameters": model.parameters,
        "weight_bytes_bfloat16": model.weight_bytes,
        "peak_bytes_one_sequence": dict(model.peaks),
        "layers": model.layers,
        "hidden_size": model.hidden,
        "mentions": [{"role": one.role, "place": _place(one.place)} for one in model.mentions],
        "model_loads": _places(model.loads),
        "tokenizer_loads": _places(model.tokenizer_loads),
    }


def _load(load: Load) -> dict[str, Any]:
    return {
        "place": _place(load.place),
        "kind": load.kind,
        "callee": load.callee,
        "ids": [{"id": one.model_id, "via": one.via, "place": _place(one.place)} for one in load.ids],
        "open": load.open,
        "written": load.written,
        "generative": load.generative,
        "indirect": load.indirect,
        "logs_memory": load.logs_memory,
        "settings": {name: {"text": one.text, "group": one.group} for name, one in load.settings},
    }
