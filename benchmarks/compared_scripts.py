"""What became of the statements of a script that ran on transformers 4; see benchmarks/migrated_scripts.py."""

from __future__ import annotations

import ast
import difflib
import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import run_whole_script

#: How far losses and sums may lie apart, relative to them.
TOLERANCE = 1e-3


class Did(NamedTuple):
    """What one statement did."""

    line: int
    error: str | None
    values: dict[str, Any]
    logged: list[Any]
    #: The files that it made.
    written: list[str]


class Compared(NamedTuple):
    """One script: the keys of its statements, by what became of them."""

    #: Those that ran on an old release.
    ran: list[str]
    #: Of these, those that fail on the new release before and after the migration.
    broken_before: list[str]
    broken: list[str]
    #: Of the broken ones, those that need what another broken one did not make.
    following: list[str]
    #: The others that no finding is about.
    unnamed: list[str]
    #: Those that compute or log something else, that no finding is about, and that need nothing of a broken one.
    differ: list[str]


def compare(
    old: Sequence[Mapping[str, Did]], before: Mapping[str, Did], after: Mapping[str, Did], text: str, new_text: str,
    left: Sequence[Mapping[str, Any]],
) -> Compared:  # fmt: skip
    """What became of a script's statements; one that no longer ends has none, and all that ran are broken."""
    was = aligned(text, new_text)
    after = {was[key]: did for key, did in after.items() if key in was}
    statements = list(run_whole_script.statements(ast.parse(text)))
    new_statements = [
        (was[key], stmt) for key, stmt in run_whole_script.statements(ast.parse(new_text)) if key in was
    ]
    somewhere = {key for each in (*old, after) for key, did in each.items() if did.error is None}
    ran: dict[str, Did] = {}
    for each in reversed(old):
        failed = {key for key, did in each.items() if did.error is not None and key in somewhere}
        needs = _needs(statements, failed, each, [other for other in old if other is not each], set())
        ran |= {key: did for key, did in each.items() if did.error is None and key not in needs}
    if not after:
        return Compared(list(ran), list(ran), list(ran), [], list(ran), [])
    named = {line for finding in left for line in range(finding["line"], finding["end_line"] + 1)}
    #: Functions and classes with findings in them: what calls them fails.
    spoilt = {
        node.name
        for node in ast.walk(ast.parse(new_text))
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)) and _lines(node) & named
    }
    failed = {key for key, did in after.items() if did.error not in (None, "TooLong") and key in ran}
    needs = _needs(new_statements, failed, after, [*old], spoilt)
    about = {key for key, stmt in new_statements if " parameter " not in key and _lines(stmt) & named}
    broken = [key for key in after if key in failed]
    return Compared(
        list(ran),
        [key for key in ran if not before or (key in before and before[key].error not in (None, "TooLong"))],
        broken,
        [key for key in broken if key in needs and key not in about],
        [key for key in broken if key not in needs and key not in about],
        [
            key
            for key, did in after.items()
            if key in ran
            and did.error is None
            and key not in needs
            and key not in about
            and not _same(ran[key], did)
        ],
    )


def aligned(text: str, new_text: str) -> dict[str, str]:
    """The keys of the migrated script's statements -> those of the statements that they were before."""
    found: dict[str, str] = {}
    old, new = _by_block(text), _by_block(new_text)
    for where, after in new.items():
        before = old.get(where, [])
        same = difflib.SequenceMatcher(None, [code for _, code in before], [code for _, code in after], False)
        for kind, first, last, start, end in same.get_opcodes():
            if kind in ("equal", "replace"):
                found |= dict(_paired(before[first:last], after[start:end]))
    return found


def _by_block(text: str) -> dict[str, list[tuple[str, str]]]:
    """The statements of the top level and of each function, and apart from them their imports: key and code."""
    found: dict[str, list[tuple[str, str]]] = {}
    for key, stmt in run_whole_script.statements(ast.parse(text)):
        where, _, rest = key.partition(" ")
        kind = rest.partition(" ")[0]
        found.setdefault(f"{where} {kind if kind in ('import', 'parameter') else ''}", []).append(
            (key, ast.unparse(stmt))
        )
    return found


def _paired(before: list[tuple[str, str]], after: list[tuple[str, str]]) -> Iterator[tuple[str, str]]:
    """Changed statements with what they were: in their order, each with the one that is most like it."""
    if len(before) == len(after):
        yield from ((key, was) for (key, _), (was, _) in zip(after, before, strict=True))
        return
    first = 0
    for place, (key, code) in enumerate(after):
        rest = max(
            first, len(before) - (len(after) - place - 1)
        )  # the others need one each, if there are enough
        likeness = [
            (_likeness(code, was), -number) for number, (_, was) in enumerate(before[first : rest + 1], first)
        ]
        if likeness and max(likeness)[0] > 0.5:
            number = -max(likeness)[1]
            yield key, before[number][0]
            first = number + 1


def _likeness(one: str, other: str) -> float:
    """The share of the words that two pieces of code have in common."""
    first, second = Counter(re.findall(r"\w+", one)), Counter(re.findall(r"\w+", other))
    return 2 * (first & second).total() / ((first + second).total() or 1)


def _needs(
    statements: Sequence[tuple[str, ast.stmt]], failed: set[str], here: Mapping[str, Did],
    elsewhere: Sequence[Mapping[str, Did]], spoilt: set[str],
) -> set[str]:  # fmt: skip
    """The statements that need what a failed one did not make: a name, or a file that it wrote on another release."""
    needs: set[str] = set()
    files: set[str] = set()
    spoilt = set(spoilt)
    for key, stmt in statements:
        if key not in here:
            continue
        bound, read = _names(stmt)
        error = here[key].error
        text = f"{error} {ast.unparse(stmt)}"
        if read & spoilt or (
            error is not None and any(re.search(rf"(?<!\w){re.escape(name)}(?!\w)", text) for name in files)
        ):
            needs.add(key)
        if key in failed or key in needs:
            # A stand-in for a name that a failed statement should have bound writes nothing, without an error.
            spoilt |= bound
            files |= {
                name
                for each in elsewhere
                if key in each and each[key].error is None
                for path in each[key].written
                for name in (path, path.partition("/")[0])
                if name not in ("home", "nothing")
            }
        else:
            spoilt -= bound
    return needs


def _same(one: Did, other: Did) -> bool:
    return alike(_computed(one.values), _computed(other.values)) and alike(one.logged, other.logged)


def _computed(values: dict[str, Any]) -> dict[str, Any]:
    """Of the values that a statement binds, tensors and encodings: the others hold times, paths and addresses."""
    return {
        name: value
        for name, value in values.items()
        if isinstance(value, (list, dict)) and re.search(r'"(?:tensor|array|encoding)"', json.dumps(value))
    }


def alike(one: Any, other: Any) -> bool:
    """Whether two values are equal, numbers to three digits."""
    if isinstance(one, float) and isinstance(other, (int, float)):
        return abs(one - other) <= TOLERANCE * max(1.0, abs(one))
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(alike, one, other))
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(
            alike(one[name], other[name]) for name in one if not re.search(r"_runtime$|_per_second$", name)
        )
    return bool(one == other)


def _lines(node: ast.stmt) -> set[int]:
    first = min([node.lineno, *(each.lineno for each in getattr(node, "decorator_list", ()))])
    return set(range(first, (node.end_lineno or node.lineno) + 1))


def _names(node: ast.stmt) -> tuple[set[str], set[str]]:
    """The names that a statement binds, and those that it reads."""
    names = [each for each in ast.walk(node) if isinstance(each, ast.Name)]
    defined = (
        {node.name} if isinstance(node, (ast.FunctionDef, ast.ClassDef, ast.AsyncFunctionDef)) else set()
    )
    return defined | {each.id for each in names if isinstance(each.ctx, ast.Store)}, {
        each.id for each in names if not isinstance(each.ctx, ast.Store)
    }
