"""What to do about it: recommendations with the command that carries each out, a checklist, next steps."""

from __future__ import annotations

import shlex
from collections.abc import Iterator

from telepathy_lint.audit.blocks import Block, Check, Command, Statement, counted
from telepathy_lint.audit.data import FREE, UNCHOSEN, Audit

_FIX = {"safe": "--fix", "unsafe": "--fix --unsafe-fixes"}
#: What a rule's findings ask for; the rule's own first line stands for the others.
_ADVICE = {
    "TLP101": "Let the platform choose the device map",
    "TLP102": "Choose the dtype of every load",
    "TLP103": "Load in bfloat16 where the hardware has it",
    "TLP104": "Choose the attention implementation of every load",
    "TLP105": "Give every generating model an explicit generation config",
    "TLP201": "Set a pad token on every tokenizer",
    "TLP206": "Freeze the models that no optimizer trains",
    "TLP301": "Correct the ids that do not exist",
    "TLP302": "Write the present names of renamed models",
    "TLP304": "Take cache paths out of the code",
}


def recommendations(audit: Audit, path: str) -> Iterator[Block]:
    where = shlex.quote(path)
    if any(fix in _FIX for _, _, fix, _ in audit.rules):
        yield Statement(
            "note",
            "Commands with `--fix` change files: add `--diff` to see what they would do. A fix that its place makes unsafe "
            "is left alone without `--unsafe-fixes`.",
        )
    ranked = sorted(audit.rules, key=lambda rule: (-len(audit.found(rule[0])), rule[0]))
    for code, name, fix, summary in ranked:
        found = audit.found(code)
        files = len({finding.place.path for finding in found})
        advice = _ADVICE.get(code, summary.rstrip("."))
        text = f"{advice} ({code} {name}: {counted(len(found), 'finding')} in {counted(files, 'file')})"
        options = _FIX.get(fix)
        if options is None:
            yield Command(text, f"telepathy-lint check --select {code} {where}", len(found))
        else:
            yield Command(text, f"telepathy-lint check --select {code} {options} {where}", len(found))
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
            f"grep -rnF {patterns} {where}",
            len(doubtful),
        )
    silent = [load for load in audit.loaders if not load.logs_memory]
    if silent:
        yield Command(
            f"Log what models take when they are loaded (TLP901 unlogged-memory: {counted(len(silent), 'load')})",
            f"telepathy-lint check --select TLP901 {where}",
            len(silent),
        )
    if any(not one.agrees for one in audit.checked):
        yield Command(
            "Take model dimensions from the registry instead of a table in the code",
            "telepathy-runtime models",
        )
    sized = [model for model in audit.models if model.weight_bytes and model.loads]
    if sized:
        largest = max(sized, key=lambda model: model.weight_bytes or 0)
        yield Command(
            "Plan batch sizes from exact memory instead of a table in the code",
            f"telepathy-runtime plan {shlex.quote(largest.canonical or largest.model_id)} --gpu {shlex.quote(audit.gpu.name)}",
        )


def checklist(audit: Audit) -> Iterator[Block]:
    """A box for everything that can be told, with its count."""
    checked = [model for model in audit.models if model.status != "outside"]
    right = [model for model in checked if model.status == "known"]
    if checked:
        yield Check(
            len(right) == len(checked),
            f"Model ids exist under the name written: {len(right)} of {len(checked)} verified",
        )
    configured = [model for model in audit.models if model.configured]
    if configured:
        found = len(configured) - len(audit.unloaded)
        yield Check(
            not audit.unloaded, f"Configured models are loaded: load found for {found} of {len(configured)}"
        )
    sized = [model for model in audit.models if model.weight_bytes]
    if sized:
        fit = [model for model in sized if (model.weight_bytes or 0) <= audit.gpu.usable_bytes]
        yield Check(
            len(fit) == len(sized),
            f"Weights fit one {audit.gpu.name} in bfloat16, each model alone: {len(fit)} of {len(sized)}",
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
        value, places = one.groups[0]
        yield Check(
            not one.odd and not one.hidden and value not in UNCHOSEN,
            f"One {one.setting} is set in all {one.kind} loads: {value} in {len(places):,} of {one.total:,}",
        )
    batches = [one for one in audit.checked if one.quantity == "batch size"]
    numbers = [one for one in audit.checked if one.quantity != "batch size"]
    for group, what in (
        (numbers, "Numbers by model agree with the registry"),
        (batches, f"Batch sizes by model fit one {audit.gpu.name}"),
    ):
        if group:
            agreeing = sum(1 for one in group if one.agrees)
            yield Check(agreeing == len(group), f"{what}: {agreeing} of {len(group)}")
    if audit.loaders:
        logged = sum(1 for load in audit.loaders if load.logs_memory)
        yield Check(
            logged == len(audit.loaders),
            f"Memory is asked for or logged where models are loaded: {logged:,} of {len(audit.loaders):,} loads",
        )
    absolute = [cache for cache in audit.caches if cache.value.strip("\"'").startswith(("/", "~"))]
    yield Check(
        not absolute, f"No cache path of one machine is written down: {counted(len(absolute), 'place')}"
    )
    yield Check(not audit.problems, f"Every file could be read: {counted(len(audit.problems), 'problem')}")


def next_steps(audit: Audit, path: str) -> Iterator[Block]:
    where = shlex.quote(path)
    if not audit.findings:
        yield Statement("good", "No rule found anything (0 findings): keep it so in CI.")
    else:
        yield Command(
            "Make the safe fixes, after a look at them", f"telepathy-lint check --fix --diff {where}"
        )
        yield Command(
            "Look at the fixes that need judgement",
            f"telepathy-lint check --fix --unsafe-fixes --diff {where}",
        )
        yield Command(
            "Keep what is left out of the way, so that only new findings are reported",
            f"telepathy-lint check --baseline telepathy-baseline.json --write-baseline {where}",
        )
    yield Command(
        "Keep this audit to compare with", f"telepathy-lint audit --format json --output audit.json {where}"
    )
    yield Command(
        "In CI: fail when it gets worse",
        f"telepathy-lint audit --against audit.json --fail-on-worse --fail-under {int(audit.score)} {where}",
    )
    yield Command("See how a machine would load", "telepathy-runtime doctor")
