"""Decides whether a file only looks at what a model generates: it prints an answer, or measures how long it takes."""

from __future__ import annotations

import ast
import re

from telepathy_lint.facts.generating import Generating
from telepathy_lint.facts.out_of_use import is_bare
from telepathy_lint.flow.bindings import dotted
from telepathy_lint.flow.calls import calls_at
from telepathy_lint.flow.tree import Tree
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
#: Texts that somebody reads the answers to.
_A_FEW = 12
#: Draws of data or settings; a generator is made with a seed, or from one.
_DRAWS = r"\brandom\.(?:choices?|randint|randrange|random|sample|uniform|shuffle)\("
_SEEDS = (
    r"(?i)seed\b|seed_?(?:all|everything)|random_state|default_rng|RandomState|random\.Random|Generator\("
)
_SEEDS_TORCH = r"(?m)^[^#\r\n]*\b(?:set_seed|manual_seed|seed_everything)\("
_ASKS = r"(?<![\w.])input\("


def only_shows(text: str) -> bool:
    """Whether a script prints answers to look at them, and keeps none: another answer of the next run does no harm."""
    return only_answers(text) and not occurs(_HANDS_ON, text)


def only_answers(text: str) -> bool:
    """Whether a script prints answers, also those of its functions or to questions that it asks, and keeps none."""
    return "print(" in text and not keeps_answers(text)


def keeps_answers(text: str) -> bool:
    """Whether a file may collect, save or judge answers."""
    return occurs(_KEEPS, text)


def answers_whoever_asks(text: str) -> bool:
    """Whether a script answers questions that it asks for, and saves and judges no answer."""
    return occurs(_ASKS, text) and ("print(" in text or "Streamer(" in text) and not occurs(_SAVES, text)


def only_measures(text: str) -> bool:
    """Whether a script measures time or memory, and reads no answer: it decodes none."""
    return "decode(" not in text and "pipeline(" not in text and occurs(_MEASURES, text)


def has_run(site: Site) -> bool:
    """Whether a notebook's cell was run, and its output kept: its memory sufficed."""
    number = site.source.place(site.start, site.end).cell
    if number < 0:
        return False
    # It imports json, which a check of scripts does without.
    from telepathy_lint.source.notebook_json import code_cells, was_run

    cells = code_cells(site.source.data)
    return number < len(cells) and was_run(cells[number])


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


def is_only_printed(site: Site, place: Generating) -> bool:
    """Whether a project's script prints what one call generates, outside of loops over more than a few texts of its own, and does nothing else with it."""
    if is_bare(site) or site.source.path.endswith(".ipynb") or "print(" not in site.source.text:
        return False
    tree = site.context.scope.tree
    calls = calls_at(tree, place.offset)
    if not calls:
        return False
    stmt: ast.AST | None = calls[0]
    while stmt is not None and not isinstance(stmt, ast.stmt):
        stmt = tree.parent.get(stmt)
    above = tree.parent.get(stmt) if stmt is not None else None
    while isinstance(above, (ast.If, ast.With, ast.Try)) or _goes_through_a_few(above, site):
        above = tree.parent.get(above) if above is not None else None
    if not isinstance(stmt, ast.Assign) or not isinstance(above, (ast.Module, ast.FunctionDef)):
        return False
    return _ends_in_print(stmt, above, tree)


def _goes_through_a_few(loop: ast.AST | None, site: Site) -> bool:
    """Whether a loop goes through a short list of texts that the code writes out."""
    if not isinstance(loop, ast.For):
        return False
    listed: ast.AST = loop.iter
    if isinstance(listed, ast.Name):
        bindings = site.context.scope.tree.scope_of(listed).bindings.get(listed.id, ())
        stmts = [each.stmt for each in bindings]
        if len(stmts) != 1 or not isinstance(stmts[0], ast.Assign) or len(stmts[0].targets) != 1:
            return False
        listed = stmts[0].value
    return (
        isinstance(listed, (ast.List, ast.Tuple))
        and len(listed.elts) <= _A_FEW
        and all(isinstance(each, (ast.Constant, ast.JoinedStr)) for each in listed.elts)
    )


def _ends_in_print(first: ast.Assign, holder: ast.AST, tree: Tree) -> bool:
    """Whether all that a statement assigns, and what is made of it, is only printed."""
    todo: list[ast.stmt] = [first]
    names: set[str] = set()
    printed = False
    while todo:
        stmt = todo.pop()
        if not isinstance(stmt, ast.Assign) or not all(isinstance(each, ast.Name) for each in stmt.targets):
            return False
        for target in stmt.targets:
            assert isinstance(target, ast.Name)
            if target.id in names:
                continue
            names.add(target.id)
            for node in tree.visit(tree.lines_with(target.id)):
                if not (
                    isinstance(node, ast.Name) and node.id == target.id and isinstance(node.ctx, ast.Load)
                ):
                    continue
                user: ast.AST | None = node
                while user is not None and not isinstance(user, ast.stmt):
                    user = tree.parent.get(user)
                if not _is_inside(node, holder, tree):
                    continue  # another variable of this name
                if isinstance(user, ast.Assign):
                    todo.append(user)
                elif (
                    isinstance(user, ast.Expr)
                    and isinstance(user.value, ast.Call)
                    and dotted(user.value.func) == "print"
                ):
                    printed = True
                else:
                    return False
    return printed


def _is_inside(node: ast.AST, holder: ast.AST, tree: Tree) -> bool:
    """Whether a node belongs to a function; all nodes belong to a module."""
    if isinstance(holder, ast.Module):
        return True
    above: ast.AST | None = node
    while above is not None and above is not holder:
        above = tree.parent.get(above)
    return above is not None


def draws_unseeded(text: str) -> bool:
    """Whether a file draws at random and sets no seed, so that two of its runs differ by intent."""
    return occurs(_DRAWS, text) and not occurs(_SEEDS, text)


def repeats_its_draws(text: str) -> bool:
    """Whether a file sets the seed with which torch samples, so that its runs give the same answers."""
    return occurs(_SEEDS_TORCH, text)


def _works_on_many(text: str) -> bool:
    """Whether a notebook keeps what it generates, or goes through a list of texts."""
    return occurs(rf"\.(?:append|extend|map|apply|progress_apply)\(|{_SAVES}", text)


def is_drawn_anyhow(site: Site) -> bool:
    """Whether a file draws its data without a seed too, or a script sets the seed of its samples."""
    in_order = not site.source.path.endswith(".ipynb")
    return site.source.once(draws_unseeded) or (in_order and site.source.once(repeats_its_draws))
