"""The first screen: what to run, what to do by hand, which loads are unusual, and what fits on the GPU."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from telepathy_lint.audit.actions import Action
from telepathy_lint.audit.blocks import Block, Command, Statement, counted
from telepathy_lint.audit.consistency import ABSENT, FREE, UNCHOSEN, Consistency, Like
from telepathy_lint.audit.data import Model
from telepathy_lint.audit.outcome import Audit
from telepathy_lint.audit.purposes import CONVERSION

TITLE = "What to do first"
GIB = 2**30
#: The advice for each rule; for other rules, it is the rule's first line.
ADVICE = {
    "TLP101": "Let the platform choose the device map",
    "TLP102": "Choose the dtype of every load",
    "TLP103": "Load in bfloat16 where the hardware has it",
    "TLP104": "Choose the attention implementation of every load",
    "TLP105": "Give every generating model an explicit generation config",
    "TLP106": "Do not move models that a device map placed",
    "TLP107": "Replace arguments that transformers renamed or removed",
    "TLP108": "Remove arguments that are ignored or fail",
    "TLP109": "Keep the stop tokens that models ship",
    "TLP201": "Set a pad token for every tokenizer",
    "TLP202": "Keep the end-of-sequence token in the labels",
    "TLP203": "Set the decoding arguments of `generate`",
    "TLP204": "Resolve contradictory decoding arguments",
    "TLP205": "Pad on the left for generation",
    "TLP206": "Freeze the models that no optimizer trains",
    "TLP207": "Correct arguments that `generate` does not take or look at",
    "TLP208": "Resize the embeddings after adding tokens",
    "TLP209": "Load float32 or bfloat16 for mixed precision",
    "TLP210": "Cast bfloat16 to float32 before NumPy",
    "TLP301": "Correct the ids that do not exist",
    "TLP302": "Use the new names of renamed models",
    "TLP303": "Use or remove the models that nothing loads",
    "TLP304": "Remove cache paths from the code",
    "TLP305": "Reduce batch sizes that do not fit the GPU",
    "TLP401": "Replace training arguments that a release removed",
    "TLP402": "Replace arguments of trainers that a release removed",
    "TLP403": "Use tokenizers as transformers 5 has them",
    "TLP404": "Replace names that transformers or trl removed",
    "TLP405": "Replace pipelines whose task is gone",
    "TLP406": "Replace ways to decode that `generate` no longer has",
    "TLP407": "Write down what was left to defaults that transformers 5 changed",
    "TLP408": "Set the variables that transformers 5 looks at",
    "TLP409": "Let overrides take what Trainer passes",
    "TLP410": "Replace attributes that transformers 5 removed",
}
#: Lines per kind on the first screen; the tables have all of them.
_LINES = 5
_NAMES = 4


def advice(code: str, audit: Audit) -> str:
    """The advice for a rule's findings."""
    summary = next((summary for known, _, _, summary in audit.rules if known == code), code)
    return ADVICE.get(code, summary.rstrip("."))


def overview(audit: Audit) -> Iterator[Block]:
    yield Statement("good" if audit.clean == audit.calls else "note", _score(audit))
    yield from _actions(audit)
    yield from _by_hand(audit)
    yield from _odd_ones(audit)
    yield from _memory(audit)


def _score(audit: Audit) -> str:
    if not audit.calls:
        return "No calls were found that load a model, load a tokenizer or generate"
    calls = counted(audit.calls, "call")
    if audit.clean == audit.calls:
        return f"Score {audit.score:.1f} %: no rule reports any of the {calls} that load or generate"
    files = len({finding.place.path for finding in audit.findings})
    return (
        f"Score {audit.score:.1f} %: {audit.clean:,} of the {calls} that load or generate are without a finding; "
        f"{counted(len(audit.findings), 'finding')} in {counted(files, 'file')}"
    )


# ---- commands


def _actions(audit: Audit) -> Iterator[Block]:
    for action in audit.actions:
        yield Command(
            _told(action, audit), action.command, action.fixes, action.safety, tuple(_details(action, audit))
        )
    if audit.actions:
        yield Statement(
            "note",
            "Each command was tried in memory, by itself; nothing was written. Add `--diff` to see its changes. Safe fixes "
            "do not change what the program does; unsafe fixes change numbers, decoding or memory, so review them.",
        )
    elif audit.findings:
        yield Statement("note", "No command can fix the findings; fix them by hand")


def _told(action: Action, audit: Audit) -> str:
    names = {code: name for code, name, _, _ in audit.rules}
    if len(action.codes) > 1:
        what = f"Apply the safe fixes of {', '.join(f'{code} {names[code]}' for code in action.codes)}"
    else:
        (code,) = action.codes
        what = f"{advice(code, audit)} ({code} {names[code]})"
    return f"{what}: fixes {counted(action.fixes, 'finding')} in {counted(action.files, 'file')}"


def _details(action: Action, audit: Audit) -> Iterator[str]:
    spared = {one.place.path for one in action.spared}
    apart = sum(1 for one in audit.findings if one.code in action.codes and one.place.path in spared)
    if apart:
        scripts = counted(
            len(spared), "script that changes or writes weights", "scripts that change or write weights"
        )
        yield f"Leaves out {scripts} (below), with {counted(apart, 'finding')}."
    if action.left > apart:
        yield f"Leaves {counted(action.left - apart, 'finding')} that {'need' if action.left - apart != 1 else 'needs'} {_more(action)}."


def _more(action: Action) -> str:
    return "an unsafe fix or a decision" if action.safety == "safe" else "a decision"


def _by_hand(audit: Audit) -> Iterator[Block]:
    """Findings that no command fixes, and files that no command should."""
    spared = {one.place.path for one in audit.conversions}
    left = [one for one in audit.findings if one.fix is None and one.place.path not in spared]
    if left:
        counts = Counter(one.code for one in left)
        parts = ", ".join(
            f"{advice(code, audit)[:1].lower()}{advice(code, audit)[1:]} ({code}: {number:,})"
            for code, number in sorted(counts.items(), key=lambda item: (-item[1], item[0]))
        )
        yield Statement(
            "bad",
            f"{counted(len(left), 'finding')} to fix by hand: {parts}",
            tuple(one.place for one in left),
        )
    apart = [one for one in audit.findings if one.place.path in spared]
    if apart:
        scripts = [
            one for one in audit.conversions if any(each.place.path == one.place.path for each in apart)
        ]
        names = ", ".join(f"`{one.place.path}` {one.why}" for one in scripts[:_NAMES])
        more = f"; {len(scripts) - _NAMES:,} more" if len(scripts) > _NAMES else ""
        yield Statement(
            "note",
            f"{counted(len(apart), 'finding')} to decide by hand, in "
            f"{counted(len(scripts), 'script that changes or writes weights', 'scripts that change or write weights')}: other load "
            f"settings would change the result ({names}{more})",
            tuple(one.place for one in scripts),
        )


# ---- the odd ones out


def loads_of(like: Like, kind: str, number: int | None = None) -> str:
    """`loads of generative models`, `tokenizer loads`."""
    word = "load" if (like.total if number is None else number) == 1 else "loads"
    if not like.purpose:
        return f"{kind} {word}"
    size = f"{like.size} " if like.size else ""
    if like.purpose == CONVERSION:
        return f"{word} in scripts that change or write weights"
    return f"{word} of {size}{like.purpose} models"


def _odd_ones(audit: Audit) -> Iterator[Block]:
    found = [
        (one, like)
        for one in audit.consistency
        # A device map should be removed rather than made consistent.
        if one.setting not in (*FREE, "device_map")
        for like in one.alike
        if like.stands_out and like.odd and like.purpose != CONVERSION
    ]
    for one, like in found[:_LINES]:
        yield Statement(
            "bad", odd_text(one, like), tuple(place for _, places in like.odd for place in places)
        )
    if not found and any(one.total > 1 for one in audit.consistency):
        yield Statement("note", "No load differs from a choice that most loads of its kind make")


def odd_text(one: Consistency, like: Like) -> str:
    """The text about unusual loads of one kind."""
    value, places = like.decided[0]
    odd = ", ".join(f"{len(found):,} {_verb(value, len(found))}" for value, found in like.odd)
    return f"Odd ones out: {one.setting} is {value} in {len(places):,} of {like.total:,} {loads_of(like, one.kind)}, but {odd}"


def _verb(value: str, number: int) -> str:
    one = number == 1
    if value in UNCHOSEN:
        return f"{'does' if one else 'do'} not {'pass' if value == ABSENT else 'set'} it"
    return f"{'has' if one else 'have'} {value}"


# ---- memory


def _memory(audit: Audit) -> Iterator[Block]:
    sized = [model for model in audit.models if model.weight_bytes]
    card = audit.gpu
    if sized:
        largest = max(sized, key=lambda model: model.weight_bytes or 0)
        weights = largest.weight_bytes or 0
        large = sum(1 for model in sized if (model.weight_bytes or 0) > card.usable_bytes)
        training = dict(largest.peaks).get("full")
        size = f"{weights / GIB:.1f} GiB of {card.usable_bytes / GIB:.1f}"
        name = f"`{largest.canonical or largest.model_id}`"
        if len(sized) == 1:
            text = (
                f"Memory on one {card.name}: the weights of {name} {'do not fit' if large else 'fit'}, {size}"
            )
        elif large:
            text = (
                f"Memory on one {card.name}: the weights of {large:,} of {len(sized):,} listed models do not fit; "
                f"the largest is {name}, {size}"
            )
        else:
            text = (
                f"Memory on one {card.name}: the weights of all {len(sized):,} listed models fit, one at a time; "
                f"the largest is {name}, {size}"
            )
        if training is not None:
            fits = "fits" if training <= card.usable_bytes else "does not fit"
            text += (
                f"; training all of its weights with AdamW takes about {training / GIB:.0f} GiB and {fits}"
            )
        yield Statement("bad" if large else "good", text)
    groups = [one for one in audit.together if (one.weight_bytes or 0) > card.usable_bytes]
    if groups:
        yield Statement(
            "bad",
            f"{counted(len(groups), 'combination')} of models that one job holds together "
            f"{'does' if len(groups) == 1 else 'do'} not fit one {card.name}",
            tuple(dict.fromkeys(job[0] for one in groups for job in one.jobs)),
        )
    if unlisted := unlisted_of(audit):
        names = ", ".join(f"`{model.model_id}`" for model in unlisted[:_NAMES])
        more = f" and {len(unlisted) - _NAMES:,} more (all under Memory)" if len(unlisted) > _NAMES else ""
        yield Statement("note", f"Size not listed, so memory is not known: {names}{more}")


def unlisted_of(audit: Audit) -> list[Model]:
    """The models whose size is not in the registry."""
    return [model for model in audit.models if not model.weight_bytes]
