"""Decides whether a file only looks at what a model generates: it prints an answer, or measures how long it takes."""

from __future__ import annotations

import re

from telepathy_lint.facts.generating import Generating
from telepathy_lint.facts.out_of_use import is_bare
from telepathy_lint.sites import Site
from telepathy_lint.source.occurs import LINE_START, occurs

#: What saves or judges answers.
_SAVES = r"\.write|dump\(|save\w*\(|to_csv|to_json|wandb|accuracy|metric|score|evaluate"
#: What a file does with answers beside printing them: it collects, saves or scores them.
_KEEPS = rf"\.append\(|\.extend\(|\byield\b|\[[\w\s,]*\bfor\b|\.map\(|{_SAVES}"
#: What may hand answers on, or answer whoever asks.
_HANDS_ON = r"\breturn\b|\bawait\b|launch\(|input\("
#: Measures of time and memory.
_MEASURES = r"perf_counter|\btime\.time\(|cuda\.Event\(|max_memory_allocated|\btimeit\b"
#: What a notebook's cell does with more than one answer, or with one that it keeps.
_GOES_ON = rf"\bfor\b|\bwhile\b|\.(?:append|extend|map|apply)\(|{_SAVES}"


def only_shows(text: str) -> bool:
    """Whether a script prints answers to look at them, and keeps none: another answer of the next run does no harm."""
    return only_answers(text) and not occurs(_HANDS_ON, text)


def only_answers(text: str) -> bool:
    """Whether a script prints answers, also those of its functions or to questions that it asks, and keeps none."""
    return "print(" in text and not keeps_answers(text)


def keeps_answers(text: str) -> bool:
    """Whether a file may collect, save or judge answers."""
    return occurs(_KEEPS, text)


def only_measures(text: str) -> bool:
    """Whether a script measures time or memory, and reads no answer: it decodes none."""
    return "decode(" not in text and "pipeline(" not in text and occurs(_MEASURES, text)


def has_run(site: Site) -> bool:
    """Whether a notebook's cell was run, and its output kept: its memory sufficed."""
    number = site.source.place(site.start, site.end).cell
    if number < 0:
        return False
    # It imports json, which a check of scripts does without.
    from telepathy_lint.source.notebook_json import code_cells, count_of

    cells = code_cells(site.source.data)
    return number < len(cells) and (count_of(cells[number]) is not None or bool(cells[number].get("outputs")))


def is_a_look(site: Site, place: Generating) -> bool:
    """Whether a cell of a project's notebook generates a single answer to look at.

    So does a function there, if nothing in the notebook keeps answers or works on many.
    """
    span = site.source.place(place.offset, place.offset)
    if span.cell < 0 or is_bare(site):
        return False
    first = site.source.line_of(place.offset) - span.line
    text = site.source.text[site.source.line_starts[first] :]
    end = re.search(rf"{LINE_START}# telepathy-lint cell-* \d+ ends", text)
    cell = text[: end.start()] if end is not None else text
    if re.search(r"\bdef\b", cell) is not None and site.source.once(_works_on_many):
        return False
    return re.search(_GOES_ON, cell) is None


def _works_on_many(text: str) -> bool:
    """Whether a notebook keeps what it generates, or goes through a list of texts."""
    return occurs(rf"\.(?:append|extend|map|apply|progress_apply)\(|{_SAVES}", text)
