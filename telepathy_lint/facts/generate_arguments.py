"""Finds arguments of a `generate` call that have no effect or make the call raise."""

from __future__ import annotations

import re
from collections.abc import Iterator

from telepathy_lint.facts.decoding import is_always, ships_no_beams
from telepathy_lint.facts.decoding_reach import has_effect_in_sight, may_use_beams, runs_as_known
from telepathy_lint.facts.out_of_use import is_bare
from telepathy_lint.findings.change import Change
from telepathy_lint.findings.violation import Safety
from telepathy_lint.flow.whole_project import Project
from telepathy_lint.hints import NamedTuple
from telepathy_lint.knowledge import generate_arguments as table
from telepathy_lint.rule import literal, shown
from telepathy_lint.sites import Argument, Site

_TAKEN_OUT = rb"\.pop\(\s*[\"'](\w+)[\"']|\bdel [\w.]+\[[\"'](\w+)[\"']\]"


class Problem(NamedTuple):
    """An argument that does not work, and the changes of its fix."""

    argument: Argument
    detail: str
    change: Change | None = None
    safety: Safety = "safe"


def problems_of(site: Site) -> list[Problem]:
    """All problems of a call, in reading order."""
    if site.kind == "decoding":
        return [*_lengths(site)]
    if not runs_as_known(site):
        return []
    found = [*_lengths(site), *_unknown(site), *_sequences(site), *_beams(site), *_outputs(site)]
    return sorted(found, key=lambda problem: site.range_of(problem.argument.node))


def says_the_same(site: Site, problem: Problem) -> bool:
    """Whether an argument without effect changes nothing that its author counts on.

    A length is the one that takes effect, or in a project asks for more tokens than that, or is taken out of its dict; beam search ends
    where there is one beam.
    """
    if problem.argument.name == "early_stopping" or _is_taken_out(problem.argument.name, site):
        return True
    winner = site.argument(table.LENGTHS.get(problem.argument.name, ""))
    if winner is None:
        return False
    asked, given = literal(problem.argument), literal(winner)
    if asked == given is not None:
        return True
    numbers = type(asked) is int and type(given) is int and asked > given
    return numbers and problem.argument.name == "max_length" and not is_bare(site)


def _is_taken_out(name: str, site: Site) -> bool:
    """Whether code of the project takes a setting out of the dicts that hold it, so that its author knows of both."""
    if name.encode() in _taken_out(site.source.data):
        return True
    modules = site.file.modules
    project = modules.project(site.source.path) if modules is not None else None
    if project is None or site.kind != "decoding":
        return False
    return name.encode() in (project.once(_taken_out_in) or ())


def _taken_out_in(project: Project) -> frozenset[bytes]:
    return frozenset(name for _, data in project.python() for name in _taken_out(data))


def _taken_out(code: bytes) -> list[bytes]:
    """The settings that code takes out of dicts."""
    return [one or other for one, other in re.findall(_TAKEN_OUT, code)]


def _unknown(site: Site) -> Iterator[Problem]:
    for name, meant in table.UNKNOWN.items():
        argument = site.argument(name)
        if argument is None or argument.optional or any(load.kind != "model" for load in site.about):
            continue
        renamed = Change(renamed=((name, meant),)) if meant and site.argument(meant) is None else None
        detail = f"generate() has no argument {name} and raises an error"
        yield Problem(argument, f"{detail}; use {meant}" if meant else detail, renamed, "unsafe")


def _lengths(site: Site) -> Iterator[Problem]:
    for name, winner in table.LENGTHS.items():
        argument, wins = site.argument(name), site.argument(winner)
        if argument is None or wins is None or argument.optional or wins.optional:
            continue
        if not _is_number(wins) or any(value.is_none for value in argument.values):
            continue
        detail = f"{name}={shown(argument.values[0])} has no effect: {winner} takes precedence"
        seen = has_effect_in_sight(site, winner) if site.kind == "decoding" else True
        yield Problem(argument, detail, Change(removed=(name,)), "safe" if seen else "unsafe")


def _sequences(site: Site) -> Iterator[Problem]:
    argument = site.argument("num_return_sequences")
    if argument is None or argument.optional or not _is_number(argument) or site.argument(*table.OTHER_MODES):
        return
    wanted = min(value.data for value in argument.values)
    if wanted < 2 or not is_always(site.argument("do_sample"), False):
        return
    beams = _beams_of(site)
    if beams is not None and wanted > beams:
        text = f"num_return_sequences={shown(argument.values[0])} is an error"
        if beams == 1:
            detail = f"{text}: greedy decoding returns one sequence; set do_sample=True or num_beams"
        else:
            detail = f"{text}: {beams} beams return at most {beams} sequences"
        yield Problem(argument, detail)


def _beams(site: Site) -> Iterator[Problem]:
    if site.argument(*table.BEAMS) is None or _beams_of(site) != 1 or site.argument(*table.OTHER_MODES):
        return
    for name, defaults in table.BEAMS.items():
        argument = site.argument(name)
        if argument is None or argument.optional:
            continue
        if all(value.kind == "const" and value.data not in defaults for value in argument.values):
            where = "num_beams is 1" if site.argument("num_beams") is not None else "num_beams is not set"
            detail = f"{name} has no effect: only beam search uses it, and {where}"
            yield Problem(argument, detail, Change(removed=(name,)))


def _outputs(site: Site) -> Iterator[Problem]:
    asked = [each for each in map(site.argument, table.OUTPUTS) if each is not None and is_always(each, True)]
    text = site.source.text
    # The forward gets the argument, and its hooks what it asks for.
    if (
        not asked
        or "return_dict_in_generate" in text
        or "register_forward" in text
        or not _decided_in_sight(site)
    ):
        return
    for argument in asked:
        yield Problem(argument, f"{argument.name} has no effect without return_dict_in_generate=True")


def _beams_of(site: Site) -> int | None:
    """The number of beams that the call certainly uses; None if unknown."""
    argument = site.argument("num_beams")
    if argument is not None:
        numbers = {value.data for value in argument.values if value.kind == "const"}
        sure = len(numbers) == len(argument.values) == 1 and not argument.optional
        only = next(iter(numbers), None)
        return only if sure and type(only) is int else None
    return 1 if _decided_in_sight(site) else None


def _decided_in_sight(site: Site) -> bool:
    """Whether only the call sets how it decodes: decoders ship neither beams nor return_dict_in_generate."""
    return (
        not site.opaque
        and site.argument("generation_config") is None
        and all(map(ships_no_beams, site.about))
        and not any(map(may_use_beams, site.about))
    )


def _is_number(argument: Argument) -> bool:
    return all(value.kind == "const" and type(value.data) is int for value in argument.values)
