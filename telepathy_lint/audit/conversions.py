"""Finds scripts that produce weights: they merge, add, subtract, convert or upload loaded weights.

Their result depends on the settings of the loads, so commands that would change those are not recommended.
"""

from __future__ import annotations

import re

from telepathy_lint.audit.data import Conversion, Place
from telepathy_lint.source.prefilter import CodeWords
from telepathy_lint.source.text import Source

#: Counts only if the file also saves the result: a merge may be for a single run.
_MERGES = re.compile(r"\.(?:merge_and_unload|merge_adapter|add_weighted_adapter)\s*\(")
#: `param.data += base[name]`, `state_dict[name] -= base`, `delta[name] = a[name] - b[name]`.
_ARITHMETIC = re.compile(
    r"\.data\s*[-+]=\s*[^\n]*\[|(?:state_dict|weights|delta|merged|params?)\w*\[[^\]\n]+\]\s*"
    r"(?:[-+*/]=|=[^=\n]*\w\[[^\]\n]+\][^\n]*[-+*/]\s*[^\n]*\w\[)"
)
_STATES = ("state_dict", "named_parameters")
_SAVES = re.compile(r"\.(?:save_pretrained|push_to_hub)\s*\(|\bsave_file\s*\(|\btorch\.save\s*\(")
_SAVING = ("save_pretrained", "push_to_hub", "save_file", "torch.save")
_RECEIVER = re.compile(r"\w*$")
#: Names of other things that are saved with the same method.
_NO_WEIGHTS = re.compile(r"(?i)token|processor|config|extractor|dataset|^ds$|^data$|repo")
#: A script that saves loaded weights without training writes them unchanged or converted.
_TRAINS = re.compile(r"\.backward\s*\(|Trainer\b|\.train\s*\(|optimizer\b|\.fit\s*\(|\btrain_step\b")
_DEFINITION = re.compile(r"^([ \t]*)(?:async[ \t]+)?def\b", re.MULTILINE)


def conversion(source: Source, words: CodeWords, path: str) -> Conversion | None:
    """Return the place that shows that a file converts weights; None if it does not."""
    text = source.text

    def first(pattern: re.Pattern[str]) -> re.Match[str] | None:
        return next((match for match in pattern.finditer(text) if words.in_code(match.start())), None)

    saves = (
        [match for match in _SAVES.finditer(text) if _saves_weights(match, text, words)]
        if any(word in text for word in _SAVING)
        else []
    )
    computes = first(_ARITHMETIC) if any(word in text for word in _STATES) else None
    merges = first(_MERGES) if saves else None
    if computes is not None:
        found, why = computes, "computes with weights"
    elif merges is not None:
        found, why = merges, "merges an adapter into the weights and saves them"
    elif saves and _TRAINS.search(text) is None and "torch.save" not in saves[0].group():
        found, why = saves[0], "saves the weights it loaded"
    else:
        return None
    span = source.place(found.start(), found.start())
    return Conversion(Place(path, span.line, span.cell), why)


def _saves_weights(match: re.Match[str], text: str, words: CodeWords) -> bool:
    """Whether a script saves weights at this match; `self.save_pretrained` in a class does not count."""
    start = text.rfind("\n", 0, match.start()) + 1
    before = text[start : match.start()]
    receiver = _RECEIVER.search(before)
    if not words.in_code(match.start()) or (receiver is not None and _NO_WEIGHTS.search(receiver.group())):
        return False
    indent = len(before.expandtabs()) - len(before.expandtabs().lstrip())
    around = [
        len(definition.group(1).expandtabs())
        for definition in _DEFINITION.finditer(text, 0, match.start())
        if len(definition.group(1).expandtabs()) < indent
    ]
    return not around or around[-1] == 0
