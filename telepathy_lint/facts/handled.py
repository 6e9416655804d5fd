"""Finds all uses of a loaded object in a file, following it forwards from the load.

`objects.py` goes from a use back to the load. A rule that must know that *nothing else* is done with an
object needs the other direction, and must know where the object can no longer be followed. Names are followed
regardless of scopes, except on request: a different variable with the same name only adds uses, so that less counts as known.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable

from telepathy_lint.flow import same_object
from telepathy_lint.flow.bindings import dotted, filled_parameter
from telepathy_lint.flow.onward import Step, onward
from telepathy_lint.flow.tree import Tree
from telepathy_lint.hints import Literal, NamedTuple
from telepathy_lint.sites.site import Site

#: Functions that read an object and do not store it.
LOOKERS = frozenset(
    {"print", "len", "isinstance", "hasattr", "id", "type", "repr", "str", "del", "fit_tokenizer"}
)
#: Ways to access a variable without writing its name.
_HIDDEN = ("globals(", "locals(", "vars(", "exec(", "eval(")


#: A name with more reads is not followed, so that the time stays linear in the length of the file.
_MOST_READS = 200


class Use(NamedTuple):
    """A use of an object."""

    how: Literal["call", "method", "attribute", "store", "argument"]
    #: The name of the method or attribute, or the last part of the function's name.
    name: str
    node: ast.expr
    #: The call that uses the object or its method.
    call: ast.Call | None = None

    def keyword(self, name: str) -> ast.expr | None:
        """The value of a keyword argument in the call."""
        given = self.call.keywords if self.call is not None else []
        return next((each.value for each in given if each.arg == name), None)

    @property
    def spreads(self) -> bool:
        """Whether the call spreads keyword arguments."""
        return self.call is not None and any(each.arg is None for each in self.call.keywords)


class _LostError(Exception):
    """The object cannot be followed further, or is used in a way that is not accepted."""


def handled(site: Site, accept: Callable[[Use], bool], scoped: bool = False) -> tuple[Use, ...] | None:
    """All uses of the object that a site loads; None if there may be more, or `accept` refuses one.

    With `scoped`, a variable of a function is only followed in that function.
    """
    follower = _Follower(site.context.scope.tree, accept, scoped)
    try:
        follower.follow(site.call, site.pair)
    except _LostError:
        return None
    return tuple(follower.uses)


def seen(site: Site, scoped: bool = False) -> tuple[Use, ...]:
    """The known uses of the object that a site loads; there may be more. `scoped` is that of `handled`."""
    follower = _Follower(site.context.scope.tree, None, scoped)
    follower.follow(site.call, site.pair)
    return tuple(follower.uses)


class _Follower:
    def __init__(self, tree: Tree, accept: Callable[[Use], bool] | None, scoped: bool = False) -> None:
        self.tree = tree
        self.accept = accept
        self.scoped = scoped
        self.uses: list[Use] = []
        self.names: set[tuple[str, ast.AST | None]] = set()

    def follow(self, call: ast.Call, pair: bool) -> None:
        self.tree.context_of(call)  # sets the parents of the call
        if pair:
            self._placed(call, 0)
        else:
            self._value(call)

    def _use(self, use: Use) -> None:
        if self.accept is not None and not self.accept(use):
            raise _LostError
        self.uses.append(use)

    def _lose(self) -> None:
        if self.accept is not None:
            raise _LostError

    def _value(self, node: ast.expr) -> None:
        """Follow the value of an expression to the node that uses it."""
        if node not in self.tree.parent:
            self.tree.context_of(node)  # sets the parents, which an earlier scan may have dropped
        step = onward(node, self.tree.parent)
        how, holder = step.how, step.holder
        for target in step.targets if how != "looped" else ():
            self._target(target)
        if how in ("method", "attribute", "store"):
            assert isinstance(holder, ast.Attribute)
            self._attribute(holder, step)
        elif how == "called":
            self._use(Use("call", "__call__", node, step.call))
        elif how == "argument":
            assert step.call is not None
            self._argument(step.call, node, step.keyword)
        elif how == "same" and not isinstance(holder, (ast.BoolOp, ast.Await)):
            assert isinstance(holder, ast.expr)
            self._value(holder)
        elif how == "item" and isinstance(holder, ast.Tuple):
            self._unpacked(holder, node)
        elif how == "compared":
            assert isinstance(holder, ast.Compare)
            others = [holder.left, *holder.comparators]
            if not any(isinstance(each, ast.Constant) and each.value is None for each in others):
                self._lose()
        elif how != "bound" and not isinstance(
            holder, (ast.Expr, ast.Delete, ast.FormattedValue, ast.If, ast.IfExp)
        ):
            self._lose()  # returned, stored in a container, iterated ...

    def _attribute(self, node: ast.Attribute, step: Step) -> None:
        if step.how == "store":
            self._use(Use("store", node.attr, node))
        elif step.call is not None:
            if node.attr in same_object.METHODS:
                self._value(step.call)
            else:
                self._use(Use("method", node.attr, node, step.call))
        elif node.attr in same_object.WRAPPED:
            self._value(node)
        else:
            self._use(Use("attribute", node.attr, node))

    def _argument(self, call: ast.Call, node: ast.expr, keyword: str | None) -> None:
        last = (dotted(call.func) or "").rpartition(".")[2]
        function = self._function(call.func)
        if function is not None:
            parameter = filled_parameter(function, call, node)
            if parameter is None:
                self._lose()
            else:
                self._name(parameter, function)
        elif same_object.gives_first(call) and same_object.first_of(call) is node:
            self._use(Use("argument", last, node, call))
            self._value(call)
        elif same_object.is_in_place(call) and keyword is None:
            self._use(Use("argument", last, node, call))
            if len(call.args) > 1:
                self._prepared(call, call.args.index(node))
            else:
                self._value(call)
        elif last or isinstance(call.func, ast.Attribute):
            self._use(Use("argument", last or call.func.attr, node, call))  # type: ignore[attr-defined]
        else:
            self._lose()

    def _prepared(self, call: ast.Call, place: int) -> None:
        """`model, optimizer = accelerator.prepare(model, optimizer)`: returns each object at its own index."""
        holder = self.tree.parent.get(call)
        target = holder.targets[0] if isinstance(holder, ast.Assign) else None
        if isinstance(target, ast.Tuple) and len(target.elts) == len(call.args):
            self._target(target.elts[place])
        else:
            self._lose()

    def _returned(self, stmt: ast.Return, place: int | None) -> None:
        """Follow the return value of a function in a script, alone or in a tuple, to its calls."""
        function = self._around(stmt)
        if function is None or not self.tree.source.once(_is_script):
            self._lose()
            return
        if (function.name, function) in self.names:
            return
        self.names.add((function.name, function))
        for node in _reads(self.tree, function.name) or ():
            call = self.tree.parent.get(node)
            if not isinstance(call, ast.Call) or call.func is not node:
                self._lose()
            elif place is None:
                self._value(call)
            else:
                self._placed(call, place)

    def _placed(self, call: ast.Call, place: int) -> None:
        """Follow one of several objects that a call returns."""
        holder = self.tree.parent.get(call)
        target = holder.targets[0] if isinstance(holder, ast.Assign) else None
        if isinstance(target, ast.Tuple) and place < len(target.elts):
            self._target(target.elts[place])
        else:
            self._lose()

    def _around(self, stmt: ast.stmt) -> ast.FunctionDef | None:
        """The module-level function that contains a statement."""
        node: ast.AST | None = stmt
        while node is not None and not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)):
            node = self.tree.parent.get(node)
        if not isinstance(node, ast.FunctionDef) or node.decorator_list:
            return None
        bound = self.tree.top.bindings.get(node.name, [])
        return node if len(bound) == 1 and bound[0].stmt is node else None

    def _unpacked(self, values: ast.Tuple, node: ast.expr) -> None:
        holder = self.tree.parent.get(values)
        if isinstance(holder, ast.Return):
            self._returned(holder, values.elts.index(node))
            return
        target = holder.targets[0] if isinstance(holder, ast.Assign) and len(holder.targets) == 1 else None
        if isinstance(target, ast.Tuple) and len(target.elts) == len(values.elts):
            self._target(target.elts[values.elts.index(node)])
        else:
            self._lose()

    def _target(self, target: ast.expr) -> None:
        if isinstance(target, ast.Name):
            scope = self.tree.context_of(target).scope
            self._name(target.id, scope.node if scope.is_function else None)
        else:
            self._lose()  # an attribute may be read anywhere

    def _name(self, name: str, function: ast.AST | None) -> None:
        """Follow a name; it is a variable of `function`, or of the module."""
        if not self.scoped:
            function = None
        if (name, function) in self.names:
            return
        self.names.add((name, function))
        if self.tree.source.once(_hides_names) or (
            self.tree.source.path.endswith(".ipynb")
            and re.search(rf"(?m)^\s*(?:[%!?].*\b{name}\b|{name}\?)", self.tree.text)
        ):
            self._lose()  # a notebook's magics may use names
        if name not in self.tree.reads:
            self.tree.reads[name] = _reads(self.tree, name)
        reads = self.tree.reads[name]
        if reads is None or len(reads) > _MOST_READS:
            self._lose()
        for node in (reads or [])[:_MOST_READS]:
            if function is None or _is_in(node, function):
                self._value(node)

    def _function(self, node: ast.expr) -> ast.FunctionDef | None:
        """The function in the file that is certainly called."""
        if not isinstance(node, ast.Name):
            return None
        bound = self.tree.top.bindings.get(node.id, [])
        stmt = bound[0].stmt if len(bound) == 1 else None
        return stmt if isinstance(stmt, ast.FunctionDef) and not stmt.decorator_list else None


def _is_in(node: ast.Name, function: ast.AST) -> bool:
    assert isinstance(function, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda))
    return function.lineno <= node.lineno <= (function.end_lineno or function.lineno)


def _reads(tree: Tree, name: str) -> list[ast.Name] | None:
    """The reads of a name, in any scope; None if a function declares it global or nonlocal."""
    found = []
    for node in tree.visit(tree.lines_with(name)):
        if isinstance(node, ast.Name) and node.id == name and isinstance(node.ctx, ast.Load):
            found.append(node)
        elif isinstance(node, (ast.Global, ast.Nonlocal)) and name in node.names:
            return None
    return found


def _is_script(text: str) -> bool:
    """Whether the file is run as a script, so that no other file gets the results of its functions."""
    return re.search(r"""(?:^|[\r\n])if __name__ == ["']__main__["']""", text) is not None


def _hides_names(text: str) -> bool:
    # Plain searches, because a regular expression for all words takes several times as long. `model.eval()`
    # is not `eval()`.
    for word in _HIDDEN:
        at = text.find(word)
        while at >= 0:
            if not at or not (text[at - 1].isalnum() or text[at - 1] in "_."):
                return True
            at = text.find(word, at + 1)
    return False
