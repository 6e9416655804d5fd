"""Applies a change to the text of a call, keeping the order, comments and layout of the rest.

The text is split at the positions of the arguments in the tree. No parser is needed: only white space, comments,
commas and parentheses can stand between arguments.
"""

from __future__ import annotations

import ast
import re

from telepathy_lint.findings.change import Change
from telepathy_lint.hints import NamedTuple
from telepathy_lint.sites import Site
from telepathy_lint.source.text import Source

_LONG_LINE = 100
#: Arguments on separate lines are joined if the result is not longer than the default limit of formatters.
_JOINED_LINE = 88

#: Keywords of the argument that names the loaded model.
_LOADED = frozenset({"task", "model", "pretrained_model_name_or_path", "model_id"})

_NEWLINE = r"\r\n|\r|\n"
#: What can stand between two tokens inside parentheses.
_BLANK = re.compile(r"(?:[ \t\f\r\n]|\\(?:\r\n|\r|\n)|#[^\r\n]*)*")
#: A line break, unless a backslash joins the lines.
_BREAK = re.compile(rf"\\(?:{_NEWLINE})|({_NEWLINE})")
_LAST_BREAK = re.compile(rf"(?:{_NEWLINE})\Z")
_KEYWORD = re.compile(r"(\w+)((?:\s|\\|#[^\r\n]*)*=(?:\s|\\|#[^\r\n]*)*)")


class _Gap(NamedTuple):
    """The white space and comments between two arguments."""

    #: The rest of the line of the argument before, with its comment and the line break; empty if there is no break.
    first: str = ""
    #: The lines between, which are empty or only have a comment, with their line breaks.
    lines: tuple[str, ...] = ()
    #: The white space before the next argument on its line.
    last: str = ""

    @property
    def breaks(self) -> bool:
        return bool(self.first)

    @property
    def text(self) -> str:
        return "".join((self.first, *self.lines, self.last))

    @property
    def newline(self) -> str:
        """The line break of the first line."""
        found = _LAST_BREAK.search(self.first)
        return found[0] if found is not None else ""

    @property
    def comments(self) -> tuple[str, ...]:
        return tuple(line for line in (self.first, *self.lines) if _is_comment(line))


class _Item(NamedTuple):
    """An argument with the gap before it."""

    gap: _Gap
    code: str
    #: The name of a keyword argument; None for one by position, `*` or `**`.
    keyword: str | None


class _Taken(NamedTuple):
    """A call that is split at its arguments."""

    func: str
    items: list[_Item]
    #: The gap before the closing parenthesis.
    tail: _Gap
    trailing_comma: bool


def changed(site: Site, change: Change) -> str | None:
    """Return the source of the call after a change; the rest of the call keeps its order and comments.

    Returns None if the call's parentheses are those of a generator expression.
    """
    call = _taken_apart(site)
    if call is None:
        return None
    found = re.search(_NEWLINE, site.text)
    newline = found[0] if found is not None else site.source.newline
    kept, tail = _without(call.items, set(change.removed), call.tail, newline)
    renamed, replaced = dict(change.renamed), dict(change.replaced)
    kept = [_altered(item, renamed, replaced, index == 0) for index, item in enumerate(kept)]
    for index, value in change.positional:
        kept[index] = kept[index]._replace(code=value)
    if change.added:
        kept, tail = _with_added(kept, change.added, tail)
    func = change.func if change.func is not None else call.func
    if change.func is not None:
        kept = [item._replace(gap=_realigned(item.gap, site, func)) for item in kept]
    return _Layout(site, func, kept, tail, change.func is None).text(call.trailing_comma)


def _altered(item: _Item, renamed: dict[str, str], replaced: dict[str, str], first: bool) -> _Item:
    if item.keyword is None or not (item.keyword in replaced or item.keyword in renamed):
        return item
    parts = _KEYWORD.match(item.code)
    assert parts is not None
    value = replaced.get(item.keyword, item.code[parts.end() :])
    new = renamed.get(item.keyword)
    if new == "" and first:
        return item._replace(code=value, keyword=None)
    name = new or parts[1]
    return item._replace(code=f"{name}{parts[2]}{value}", keyword=name)


def _realigned(gap: _Gap, site: Site, func: str) -> _Gap:
    """Shift a gap whose arguments are aligned with the opening parenthesis."""
    source = site.source
    column = _column(source, source.end_of(site.call.func)) + 1
    if not gap.breaks or len(gap.last) != column:
        return gap
    moved = " " * (_column(source, site.start) + len(func) + 1)
    lines = tuple(moved + line[column:] if _indentation(line) == column else line for line in gap.lines)
    return gap._replace(lines=lines, last=moved)


def _column(source: Source, offset: int) -> int:
    return offset - source.line_starts[source.line_of(offset) - 1]


def _indentation(line: str) -> int:
    code = line.rstrip("\r\n")
    return len(code) - len(code.lstrip(" \t\f"))


def _is_comment(line: str) -> bool:
    """Whether a line between arguments has a comment."""
    return "#" in line


# ---- splitting and joining the argument list


def _taken_apart(site: Site) -> _Taken | None:
    """The call, split at its arguments; None if an argument has no text of its own."""
    source, text = site.source, site.source.text
    opened = text[site.start : source.start_of(site.call.func)].count("(")
    func_end = _behind_parentheses(text, source.end_of(site.call.func), opened)
    place = _behind(text, func_end) + 1  # behind the opening parenthesis
    items: list[_Item] = []
    before, comma = _Gap(), False
    arguments: list[ast.expr | ast.keyword] = [*site.call.args, *site.call.keywords]
    for node in sorted(arguments, key=source.start_of):
        begin, end = source.start_of(node), source.end_of(node)
        if begin < place:
            return None
        first = _behind(text, place)
        end = _behind_parentheses(text, end, text[first:begin].count("("))
        gap = _joined(before, _gap(text[place:first]))
        items.append(_Item(gap, text[first:end], node.arg if isinstance(node, ast.keyword) else None))
        place = _behind(text, end)
        before, comma = _gap(text[end:place]), text[place] == ","
        place += comma
    close = _behind(text, place)
    tail = _joined(before, _gap(text[place:close])) if comma or not items else before
    return _Taken(text[site.start : func_end], items, tail, comma)


def _behind(text: str, place: int) -> int:
    """The offset behind white space and comments."""
    found = _BLANK.match(text, place)
    assert found is not None
    return found.end()


def _behind_parentheses(text: str, place: int, count: int) -> int:
    """The offset behind a number of closing parentheses."""
    for _ in range(count):
        place = _behind(text, place) + 1
    return place


def _gap(text: str) -> _Gap:
    breaks = [found.end() for found in _BREAK.finditer(text) if found[1] is not None]
    if not breaks:
        return _Gap(last=text)
    lines = [text[start:end] for start, end in zip([0, *breaks], breaks, strict=False)]
    return _Gap(lines[0], tuple(lines[1:]), text[breaks[-1] :])


def _without(items: list[_Item], removed: set[str], tail: _Gap, newline: str) -> tuple[list[_Item], _Gap]:
    """Return the remaining items; comments around removed ones move to the remaining gaps."""
    kept: list[_Item] = []
    pending: _Gap | None = None
    for item in items:
        gap = item.gap if pending is None else _closed_up(pending, item.gap, newline)
        if item.keyword in removed:
            pending = gap
            continue
        kept.append(item._replace(gap=gap))
        pending = None
    if pending is not None:
        tail = _closed_up(pending, tail, newline, last=True)
    return kept, tail


def _closed_up(before: _Gap, after: _Gap, newline: str, last: bool = False) -> _Gap:
    """Combine two gaps after the text between them was removed: all comments, and a line break if either had one."""
    layout = after if last or after.breaks else before
    if not before.breaks:
        return after if after.breaks or last else before
    lines = [line for line in before.lines if _is_comment(line)]
    if after.breaks:
        if _is_comment(after.first):
            comment = after.first[after.first.index("#") :].rstrip("\r\n")
            lines.append(f"{before.last}{comment}{newline}")
        lines += [line for line in after.lines if _is_comment(line)]
    if not layout.breaks:
        if not _is_comment(before.first) and not lines:
            return layout
        layout = before
    return layout._replace(first=before.first, lines=tuple(lines))


def _joined(before: _Gap, after: _Gap) -> _Gap:
    """Combine the gaps before and after a comma; the former is rare and only kept if it contains comments."""
    return _closed_up(before, after, before.newline) if before.comments else after


def _with_added(
    kept: list[_Item], added: tuple[tuple[str, str], ...], tail: _Gap
) -> tuple[list[_Item], _Gap]:
    """Add new arguments after the one that names the model, in the layout of the neighbouring arguments."""
    position = sum(1 for item in kept if item.keyword is None and not item.code.startswith("*"))
    position = max(position, 1) if kept else 0
    while position < len(kept) and kept[position].keyword in _LOADED:
        position += 1
    following = kept[position].gap if position < len(kept) else None
    model = following if following is not None else _sibling_gap(kept)
    plain = _Gap(model.newline, (), model.last) if model.breaks else _Gap(last=" ")
    new = [_Item(plain, f"{name}={value}", name) for name, value in added]
    # A comment after the previous argument stays there: it is part of the next gap.
    if following is not None:
        gaps = [following] + [plain] * len(new)
        if following.breaks:
            # Comment lines above the next argument belong to it.
            gaps[0] = following._replace(lines=())
            gaps[-1] = plain._replace(lines=following.lines)
        both = [*new, kept[position]]
        both = [item._replace(gap=gap) for item, gap in zip(both, gaps, strict=True)]
        return [*kept[:position], *both, *kept[position + 1 :]], tail
    if not kept:
        new[0] = new[0]._replace(gap=_Gap())
    if tail.comments:
        indented = plain if plain.breaks else tail
        new[0] = new[0]._replace(gap=indented._replace(first=tail.first, lines=tail.lines))
        tail = tail._replace(first=tail.newline, lines=())
    return [*kept, *new], tail


def _sibling_gap(kept: list[_Item]) -> _Gap:
    for item in reversed(kept):
        if item.gap.breaks:
            return item.gap
    return _Gap(last=" ")


class _Layout(NamedTuple):
    """The layout of a rewritten call."""

    site: Site
    func: str
    items: list[_Item]
    tail: _Gap
    #: Whether the call keeps its function; then a line that was too long before may stay so.
    same: bool

    def text(self, trailing_comma: bool) -> str:
        """Lay out the call as before, unless it now fits on one line, or no longer fits on its line."""
        text = self._as_it_was(trailing_comma)
        gaps = [*(item.gap for item in self.items), self.tail]
        codes = [item.code for item in self.items]
        whole = f"{self.func}({', '.join(codes)})"
        if any(gap.comments for gap in gaps) or _lines(whole) != [whole]:
            return text
        if any(gap.breaks for gap in gaps):
            width = len(self._before()) + len(whole) + len(self._behind())
            # A trailing comma after several arguments asks formatters for one argument per line.
            if len(codes) == 1 and width <= _LONG_LINE:
                return whole
            if not trailing_comma and not self.same and width <= _JOINED_LINE:
                return whole
        return self._broken_up(codes) if len(codes) > 1 and self._may_be_broken_up(text) else text

    def _may_be_broken_up(self, text: str) -> bool:
        # A magic cannot span several lines.
        timed = self.site.source.line(self.site.call.lineno).lstrip().startswith("%")
        return self._is_too_long(text) and not timed

    def _is_too_long(self, text: str) -> bool:
        """Whether a line is too long and was not before."""
        return self._width(text) > max(_LONG_LINE, self._width(self.site.text) if self.same else 0)

    def _width(self, call: str) -> int:
        first, *others = _lines(call)
        return max([len(self._before()) + len(first), *map(len, others)])

    def _behind(self) -> str:
        """The text after the call on its line."""
        source = self.site.source
        line = source.line_of(self.site.end)
        end = source.line_starts[line] if line < len(source.line_starts) else len(source.text)
        return source.text[self.site.end : end].rstrip()

    def _as_it_was(self, trailing_comma: bool) -> str:
        arguments = ",".join([item.gap.text + item.code for item in self.items])
        comma = "," if self.items and trailing_comma and self.tail.breaks else ""
        return f"{self.func}({arguments}{comma}{self.tail.text if self.items else ''})"

    def _before(self) -> str:
        """The text before the call on its line."""
        source = self.site.source
        return source.text[source.line_starts[source.line_of(self.site.start) - 1] : self.site.start]

    def _broken_up(self, codes: list[str]) -> str:
        before = self._before()
        # A form feed in the indentation resets the column; it must not be repeated on the next lines.
        indent = before[: len(before) - len(before.lstrip())].rpartition("\f")[2]
        step = "\t" if indent.startswith("\t") else "    "
        newline = self.site.source.newline
        inner = "".join(f"{indent}{step}{code},{newline}" for code in codes)
        return f"{self.func}({newline}{inner}{indent})"


def _lines(text: str) -> list[str]:
    return re.split(r"[\r\n]", text)  # splitting CR LF gives an additional empty line, which is harmless
