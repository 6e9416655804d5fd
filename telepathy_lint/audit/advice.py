"""Recommendations with their commands, a checklist, and next steps."""

from __future__ import annotations

import shlex
from collections.abc import Iterator

from telepathy_lint.audit.actions import RuleCommand
from telepathy_lint.audit.blocks import Block, Check, Command, Statement, counted
from telepathy_lint.audit.consistency import FREE
from telepathy_lint.audit.outcome import Audit
from telepathy_lint.audit.overview import advice


def recommendations(audit: Audit) -> Iterator[Block]:
    where = audit.where
    commands = {one.code: one for one in audit.commands}
    if any(one.safe or one.unsafe for one in audit.commands):
        yield Statement(
            "note",
            "Commands with `--fix` change files: add `--diff` to preview the changes. Fixes that may change what the program "
            "computes need `--unsafe-fixes`.",
        )
    ranked = sorted(audit.rules, key=lambda rule: (-len(audit.found(rule[0])), rule[0]))
    for code, name, _, _ in ranked:
        found = audit.found(code)
        files = len({finding.place.path for finding in found})
        one = commands[code]
        text = f"{advice(code, audit)} ({code} {name}: {counted(len(found), 'finding')} in {counted(files, 'file')}; {_fixable(one)})"
        yield Command(text, one.command, len(found))
    if audit.unused:
        yield Command(
            f"Use or remove the models that nothing in the project can load: {', '.join(sorted(audit.unused))}",
            f"telepathy-lint check --select TLP303 {where}",
            len(audit.unused),
        )
    doubtful = [model.model_id for model in audit.unloaded if model.model_id not in audit.unused]
    if doubtful:
        patterns = " ".join(f"-e {shlex.quote(model_id)}" for model_id in doubtful)
        yield Command(
            f"Look at {counted(len(doubtful), 'configured model')} whose load was not found",
            f"grep -rnF {patterns} {shlex.quote(audit.path)}",
            len(doubtful),
        )
    silent = [load for load in audit.loaders if not load.logs_memory]
    if silent:
        yield Command(
            f"Optional: log the memory that models take when they are loaded (TLP901 unlogged-memory, off by default: "
            f"{counted(len(silent), 'load')})",
            f"telepathy-lint check --select TLP901 {where}",
            len(silent),
        )
    if any(not one.agrees for one in audit.checked):
        yield Command(
            "Use model dimensions from the registry instead of a table in the code",
            "telepathy-runtime models",
        )
    sized = [model for model in audit.models if model.weight_bytes and model.loads]
    if sized:
        largest = max(sized, key=lambda model: model.weight_bytes or 0)
        yield Command(
            "Plan batch sizes from exact memory instead of a table in the code",
            f"telepathy-runtime plan {shlex.quote(largest.canonical or largest.model_id)} --gpu {shlex.quote(audit.gpu.name)}",
        )


def _fixable(one: RuleCommand) -> str:
    if one.safe:
        return f"{one.safe:,} safe to fix" + (
            f", {one.unsafe:,} more with `--unsafe-fixes`" if one.unsafe else ""
        )
    return f"{one.unsafe:,} with an unsafe fix" if one.unsafe else "to fix by hand; the command lists them"


#: The rules about each setting, and the checklist's text. The box is checked only if none of them has a
#: finding.
SETTING_RULES = {
    "dtype": ("TLP102", "TLP103"),
    "device_map": ("TLP101", "TLP106"),
    "attention": ("TLP104",),
    "generation config": ("TLP105", "TLP109"),
    "pad token": ("TLP201",),
}
_RIGHT = {
    "dtype": "Every model load sets its dtype, and loads of one kind agree",
    "device_map": "No model load hard-codes its devices, and loads of one kind agree",
    "attention": "Every model load sets its attention, and loads of one kind agree",
    "generation config": "Every generating model has a generation config",
    "pad token": "Every tokenizer that needs a pad token has one",
}
#: Settings that may be left out.
_OPTIONAL = ("device_map", "pad token")


def checklist(audit: Audit) -> Iterator[Block]:
    """Return a checkbox for everything that can be verified, with its count. Every rule has a box."""
    boxed: set[str] = set()

    def found(*codes: str) -> str:
        """The findings of the rules of a box, as text."""
        boxed.update(codes)
        counts = [(code, len(audit.found(code))) for code in codes]
        return ", ".join(f"{code}: {counted(count, 'finding')}" for code, count in counts if count)

    checked = [model for model in audit.models if model.status != "outside"]
    right = [model for model in checked if model.status == "known"]
    ids = found("TLP301", "TLP302")
    if checked or ids:
        yield Check(
            len(right) == len(checked) and not ids,
            _joined(
                f"Model ids exist under the name as written: {len(right)} of {len(checked)} verified", ids
            ),
        )
    configured = [model for model in audit.models if model.configured]
    unused = found("TLP303")
    if configured:
        loaded = len(configured) - len(audit.unloaded)
        yield Check(
            not audit.unloaded and not unused,
            _joined(f"Configured models are loaded: load found for {loaded} of {len(configured)}", unused),
        )
    sized = [model for model in audit.models if model.weight_bytes]
    if sized:
        fit = [model for model in sized if (model.weight_bytes or 0) <= audit.gpu.usable_bytes]
        yield Check(
            len(fit) == len(sized),
            f"Weights fit one {audit.gpu.name} in bfloat16, each listed model alone: {len(fit)} of {len(sized)}",
        )
    groups = [one for one in audit.together if one.weight_bytes is not None]
    if groups:
        small = [one for one in groups if (one.weight_bytes or 0) <= audit.gpu.usable_bytes]
        yield Check(
            len(small) == len(groups),
            f"Models held together fit one {audit.gpu.name} in bfloat16, their weights: {len(small)} of {len(groups)} combinations",
        )
    for one in audit.consistency:
        if one.setting in FREE:
            continue
        reported = found(*SETTING_RULES[one.setting])
        silent = one.unchosen if one.setting not in _OPTIONAL else 0
        notes = [
            reported,
            f"{one.odd:,} of {counted(one.total, 'load')} unlike the others" if one.odd else "",
            f"{silent:,} do not set it" if silent and not reported else "",
            f"{one.undecided:,} of {one.total:,} decided elsewhere" if one.undecided else "",
        ]
        yield Check(not reported and not one.odd and not silent, _joined(_RIGHT[one.setting], *notes))
    batches = [one for one in audit.checked if one.quantity == "batch size"]
    numbers = [one for one in audit.checked if one.quantity != "batch size"]
    oversized = found("TLP305")
    for group, what, reported in (
        (numbers, "Numbers by model agree with the registry", ""),
        (batches, f"Batch sizes by model fit one {audit.gpu.name}", oversized),
    ):
        if group or reported:
            agreeing = sum(1 for number in group if number.agrees)
            yield Check(
                agreeing == len(group) and not reported,
                _joined(f"{what}: {agreeing} of {len(group)}", reported),
            )
    silent_loads = found("TLP901")
    if audit.loaders:
        logged = sum(1 for load in audit.loaders if load.logs_memory)
        yield Check(
            logged == len(audit.loaders) and not silent_loads,
            f"Memory is queried or logged where models are loaded: {logged:,} of {len(audit.loaders):,} loads",
        )
    absolute = [cache for cache in audit.caches if cache.absolute]
    caches = found("TLP304")
    yield Check(
        not absolute and not caches,
        _joined(f"No machine-specific cache path is hard-coded: {counted(len(absolute), 'place')}", caches),
    )
    others = found(*(code for code, *_ in audit.rules if code not in boxed))
    yield Check(not others, _joined("No other rule reports anything", others))
    yield Check(not audit.problems, f"Every file could be read: {counted(len(audit.problems), 'problem')}")


def _joined(text: str, *notes: str) -> str:
    return "; ".join((text, *(note for note in notes if note)))


def next_steps(audit: Audit) -> Iterator[Block]:
    where = audit.where
    if not audit.findings:
        yield Statement("good", "No rule found anything (0 findings). Keep it that way in CI.")
    else:
        yield Command("See every finding with its line", f"telepathy-lint check {where}")
        yield Command(
            "Accept the remaining findings, so that only new ones are reported",
            f"telepathy-lint check --baseline telepathy-baseline.json --write-baseline {where}",
        )
    yield Command(
        "Keep this audit to compare with", f"telepathy-lint audit --format json --output audit.json {where}"
    )
    yield Command(
        "In CI: fail when something gets worse",
        f"telepathy-lint audit --against audit.json --fail-on-worse --fail-under {int(audit.score)} {where}",
    )
    yield Command("See how this machine would load models", "telepathy-runtime doctor")
