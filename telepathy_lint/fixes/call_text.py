"""Applies a change to a call as a concrete syntax tree, keeping the order, comments and layout of the rest."""

from __future__ import annotations

import re
from dataclasses import dataclass

import libcst as cst

from telepathy_lint.findings.change import Change
from telepathy_lint.sites import Site
from telepathy_lint.source.text import Source

_LONG_LINE = 100
#: Arguments on separate lines are joined if the result is not longer than the default limit of formatters.
_JOINED_LINE = 88

#: Keywords of the argument that names the loaded model.
_LOADED = frozenset({"task", "model", "pretrained_model_name_or_path", "model_id"})

Gap = cst.BaseParenthesizableWhitespace


@dataclass
class _Item:
    """An argument with the whitespace and comments before it."""

    gap: Gap
    arg: cst.Arg


def changed(site: Site, change: Change) -> str | None:
    """Return the source of the call after a change; the rest of the call keeps its order and comments.

    Returns None if LibCST cannot parse what Python can, such as thousands of adjacent strings.
    """
    try:
        call = site.cst
    except cst.ParserSyntaxError:
        return None
    items, tail = _taken_apart(call)
    kept, tail = _without(items, set(change.removed), tail)
    renamed, replaced = dict(change.renamed), dict(change.replaced)
    kept = [
        _Item(item.gap, _altered(item.arg, renamed, replaced, index == 0)) for index, item in enumerate(kept)
    ]
    for index, value in change.positional:
        arg = kept[index].arg.with_changes(value=cst.parse_expression(value))
        kept[index] = _Item(kept[index].gap, arg)
    if change.added:
        added = [_keyword(name, cst.parse_expression(value)) for name, value in change.added]
        kept, tail = _with_added(kept, added, tail)
    first_newline = re.search(r"\r\n|\r|\n", site.text)
    # Only a module has LibCST's default newline, which is the first one in the source.
    printer = cst.Module([], default_newline=first_newline.group() if first_newline else site.source.newline)
    func = cst.parse_expression(change.func) if change.func is not None else call.func
    if change.func is not None:
        kept = [_Item(_realigned(item.gap, site, printer.code_for_node(func)), item.arg) for item in kept]
    return _Layout(site, printer, func, kept, tail, change.func is None).text(_has_trailing_comma(call))


def _altered(arg: cst.Arg, renamed: dict[str, str], replaced: dict[str, str], first: bool) -> cst.Arg:
    if arg.keyword is None:
        return arg
    name = arg.keyword.value
    if name in replaced:
        arg = arg.with_changes(value=cst.parse_expression(replaced[name]))
    if name not in renamed:
        return arg
    if not renamed[name] and first:
        return arg.with_changes(keyword=None, equal=cst.MaybeSentinel.DEFAULT)
    return arg.with_changes(keyword=cst.Name(renamed[name] or name))


def _realigned(gap: Gap, site: Site, func: str) -> Gap:
    """Shift a gap whose arguments are aligned with the opening parenthesis."""
    source = site.source
    column = _column(source, source.end_of(site.call.func)) + 1
    if not isinstance(gap, cst.ParenthesizedWhitespace) or len(gap.last_line.value) != column:
        return gap
    moved = cst.SimpleWhitespace(" " * (_column(source, site.start) + len(func) + 1))
    lines = [
        line.with_changes(whitespace=moved) if len(line.whitespace.value) == column else line
        for line in gap.empty_lines
    ]
    return gap.with_changes(last_line=moved, empty_lines=lines)


def _column(source: Source, offset: int) -> int:
    return offset - source.line_starts[source.line_of(offset) - 1]


def _keyword(name: str, value: cst.BaseExpression) -> cst.Arg:
    return cst.Arg(
        keyword=cst.Name(name),
        value=value,
        equal=cst.AssignEqual(cst.SimpleWhitespace(""), cst.SimpleWhitespace("")),
    )


# ---- splitting and joining the argument list


def _taken_apart(call: cst.Call) -> tuple[list[_Item], Gap]:
    """Return the arguments, each with the gap before it, and the gap before the closing parenthesis."""
    gap: Gap = call.whitespace_before_args
    items: list[_Item] = []
    for arg in call.args:
        items.append(
            _Item(
                gap,
                arg.with_changes(
                    comma=cst.MaybeSentinel.DEFAULT, whitespace_after_arg=cst.SimpleWhitespace("")
                ),
            )
        )
        if isinstance(arg.comma, cst.Comma):
            gap = _joined(arg.comma.whitespace_before, arg.comma.whitespace_after)
        else:
            gap = arg.whitespace_after_arg
    return items, gap


def _has_trailing_comma(call: cst.Call) -> bool:
    return bool(call.args) and isinstance(call.args[-1].comma, cst.Comma)


def _without(items: list[_Item], removed: set[str], tail: Gap) -> tuple[list[_Item], Gap]:
    """Return the remaining items; comments around removed ones move to the remaining gaps."""
    kept: list[_Item] = []
    pending: Gap | None = None
    for item in items:
        gap = item.gap if pending is None else _closed_up(pending, item.gap)
        if item.arg.keyword is not None and item.arg.keyword.value in removed:
            pending = gap
            continue
        kept.append(_Item(gap, item.arg))
        pending = None
    if pending is not None:
        tail = _closed_up(pending, tail, last=True)
    return kept, tail


def _closed_up(before: Gap, after: Gap, last: bool = False) -> Gap:
    """Combine two gaps after the text between them was removed: all comments, and a line break if either had one."""
    layout = after if last or isinstance(after, cst.ParenthesizedWhitespace) else before
    if not isinstance(before, cst.ParenthesizedWhitespace):
        return after if isinstance(after, cst.ParenthesizedWhitespace) or last else before
    lines = [line for line in before.empty_lines if line.comment is not None]
    first = before.first_line
    if isinstance(after, cst.ParenthesizedWhitespace):
        if after.first_line.comment is not None:
            lines.append(cst.EmptyLine(before.indent, before.last_line, after.first_line.comment))
        lines += [line for line in after.empty_lines if line.comment is not None]
    if not isinstance(layout, cst.ParenthesizedWhitespace):
        if first.comment is None and not lines:
            return layout
        layout = before
    return layout.with_changes(first_line=first, empty_lines=lines)


def _joined(before: Gap, after: Gap) -> Gap:
    """Combine the gaps before and after a comma; the former is rare and only kept if it contains comments."""
    if isinstance(before, cst.ParenthesizedWhitespace) and _comments(before):
        return _closed_up(before, after)
    return after


def _with_added(kept: list[_Item], added: list[cst.Arg], tail: Gap) -> tuple[list[_Item], Gap]:
    """Add new arguments after the one that names the model, in the layout of the neighbouring arguments."""
    position = sum(1 for item in kept if item.arg.keyword is None and not item.arg.star)
    position = max(position, 1) if kept else 0
    while position < len(kept) and (name := kept[position].arg.keyword) is not None and name.value in _LOADED:
        position += 1
    following = kept[position].gap if position < len(kept) else None
    model = following if following is not None else _sibling_gap(kept, tail)
    plain: Gap
    if isinstance(model, cst.ParenthesizedWhitespace):
        plain = model.with_changes(
            first_line=cst.TrailingWhitespace(newline=model.first_line.newline), empty_lines=[]
        )
    else:
        plain = cst.SimpleWhitespace(" ")
    result = kept[:position]
    # A comment after the previous argument stays there: it is part of the next gap.
    if following is not None:
        gaps = [following] + [plain] * len(added)
        if isinstance(following, cst.ParenthesizedWhitespace):
            # Comment lines above the next argument belong to it.
            gaps[0] = following.with_changes(empty_lines=[])
            gaps[-1] = plain.with_changes(empty_lines=following.empty_lines)
        result += [_Item(gap, arg) for gap, arg in zip(gaps, added, strict=False)]
        result.append(_Item(gaps[len(added)], kept[position].arg))
        return result + kept[position + 1 :], tail
    first = plain if kept else cst.SimpleWhitespace("")
    if isinstance(tail, cst.ParenthesizedWhitespace) and _comments(tail):
        indented = plain if isinstance(plain, cst.ParenthesizedWhitespace) else tail
        first = indented.with_changes(first_line=tail.first_line, empty_lines=tail.empty_lines)
        tail = tail.with_changes(
            first_line=cst.TrailingWhitespace(newline=tail.first_line.newline), empty_lines=[]
        )
    result += [_Item(first if index == 0 else plain, arg) for index, arg in enumerate(added)]
    return result, tail


def _sibling_gap(kept: list[_Item], tail: Gap) -> Gap:
    for item in reversed(kept):
        if isinstance(item.gap, cst.ParenthesizedWhitespace):
            return item.gap
    return cst.SimpleWhitespace(" ")


@dataclass(frozen=True)
class _Layout:
    """The layout of a rewritten call."""

    site: Site
    printer: cst.Module
    func: cst.BaseExpression
    items: list[_Item]
    tail: Gap
    #: Whether the call keeps its function; then a line that was too long before may stay so.
    same: bool

    def text(self, trailing_comma: bool) -> str:
        """Lay out the call as before, unless it now fits on one line, or no longer fits on its line."""
        text = self._as_it_was(trailing_comma)
        gaps = [*(item.gap for item in self.items), self.tail]
        codes = [self.printer.code_for_node(item.arg) for item in self.items]
        whole = f"{self.printer.code_for_node(self.func)}({', '.join(codes)})"
        if any(_comments(gap) for gap in gaps) or _lines(whole) != [whole]:
            return text
        if any(isinstance(gap, cst.ParenthesizedWhitespace) for gap in gaps):
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
        args = []
        for index, item in enumerate(self.items):
            last = index + 1 == len(self.items)
            after = self.tail if last else self.items[index + 1].gap
            if not last or (trailing_comma and isinstance(self.tail, cst.ParenthesizedWhitespace)):
                args.append(item.arg.with_changes(comma=cst.Comma(whitespace_after=after)))
            else:
                args.append(item.arg.with_changes(whitespace_after_arg=after))
        before = self.items[0].gap if self.items else cst.SimpleWhitespace("")
        return self.printer.code_for_node(cst.Call(func=self.func, args=args, whitespace_before_args=before))

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
        return f"{self.printer.code_for_node(self.func)}({newline}{inner}{indent})"


def _lines(text: str) -> list[str]:
    return re.split(r"[\r\n]", text)  # splitting CR LF gives an additional empty line, which is harmless


def _comments(gap: Gap) -> list[str]:
    if not isinstance(gap, cst.ParenthesizedWhitespace):
        return []
    lines = [gap.first_line.comment, *(line.comment for line in gap.empty_lines)]
    return [comment.value for comment in lines if comment is not None]
