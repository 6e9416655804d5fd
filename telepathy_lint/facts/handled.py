"""What a file does with a loaded object, where that can be seen: followed forward, from the load to each use.

`objects.py` goes from a use back to the load. A rule that wants to know that *nothing else* is done with an
object has to go the other way, and to know where it loses sight of it. Names are followed without their scopes: a name that
means something else in another function only adds uses, so that less counts as known.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable
from typing import Literal

from telepathy_lint.flow import same_object
from telepathy_lint.flow.bindings import dotted, filled_parameter
from telepathy_lint.flow.onward import Step, onward
from telepathy_lint.flow.tree import Tree
from telepathy_lint.named_tuple import NamedTuple
from telepathy_lint.sites.site import Site

#: Functions that look at an object and keep nothing of it.
LOOKERS = frozenset({"print", "len", "isinstance", "hasattr", "id", "type", "repr", "str", "del"})
#: Ways to reach a name without writing it.
_HIDDEN = ("globals(", "locals(", "vars(", "exec(", "eval(")


#: A name that is read more often is not followed: what is said of a file must not grow with the square of its length.
_MOST_READS = 200


class Use(NamedTuple):
    """One thing that is done with an object."""

    how: Literal["call", "method", "attribute", "store", "argument"]
    #: The method's or attribute's name, or the last part of the called function's.
    name: str
    node: ast.expr
    #: The call that the object, or its method, is used in.
    call: ast.Call | None = None

    def keyword(self, name: str) -> ast.expr | None:
        """What the call gives for a keyword."""
        given = self.call.keywords if self.call is not None else []
        return next((each.value for each in given if each.arg == name), None)

    @property
    def spreads(self) -> bool:
        """Whether the call gets keywords that are not written in it."""
        return self.call is not None and any(each.arg is None for each in self.call.keywords)


class _LostError(Exception):
    """The object goes where it cannot be followed, or is used in a way that was not asked for."""


def handled(site: Site, accept: Callable[[Use], bool]) -> tuple[Use, ...] | None:
    """All that is done with the object that a site loads; None where there may be more, or something `accept` refuses."""
    follower = _Follower(site.context.scope.tree, accept)
    try:
        follower.follow(site.call)
    except _LostError:
        return None
    return tuple(follower.uses)


def seen(site: Site) -> tuple[Use, ...]:
    """What is seen to be done with the object that a site loads, whatever else may be."""
    follower = _Follower(site.context.scope.tree, None)
    follower.follow(site.call)
    return tuple(follower.uses)


class _Follower:
    def __init__(self, tree: Tree, accept: Callable[[Use], bool] | None) -> None:
        self.tree = tree
        self.accept = accept
        self.uses: list[Use] = []
        self.names: set[str] = set()

    def follow(self, call: ast.Call) -> None:
        self.tree.context_of(call)  # its parents are known from here on
        self._value(call)

    def _use(self, use: Use) -> None:
        if self.accept is not None and not self.accept(use):
            raise _LostError
        self.uses.append(use)

    def _lose(self) -> None:
        if self.accept is not None:
            raise _LostError

    def _value(self, node: ast.expr) -> None:
        """Follow the value of an expression to what holds it."""
        if node not in self.tree.parent:
            self.tree.context_of(node)  # remembered from an earlier scan of the file
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
            self._lose()  # returned, kept in a container, looped over ...

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
                self._name(parameter)
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
        """`model, optimizer = accelerator.prepare(model, optimizer)`: each object comes back in its place."""
        holder = self.tree.parent.get(call)
        target = holder.targets[0] if isinstance(holder, ast.Assign) else None
        if isinstance(target, ast.Tuple) and len(target.elts) == len(call.args):
            self._target(target.elts[place])
        else:
            self._lose()

    def _returned(self, stmt: ast.Return, place: int | None) -> None:
        """Follow what a function of a script gives back, alone or at a place of a tuple, to where it is called."""
        function = self._around(stmt)
        if function is None or not self.tree.source.once(_is_script):
            self._lose()
            return
        if f"{function.name}()" in self.names:
            return
        self.names.add(f"{function.name}()")
        for node in _reads(self.tree, function.name) or ():
            call = self.tree.parent.get(node)
            if not isinstance(call, ast.Call) or call.func is not node:
                self._lose()
            elif place is None:
                self._value(call)
            else:
                holder = self.tree.parent.get(call)
                target = holder.targets[0] if isinstance(holder, ast.Assign) else None
                if isinstance(target, ast.Tuple) and place < len(target.elts):
                    self._target(target.elts[place])
                else:
                    self._lose()

    def _around(self, stmt: ast.stmt) -> ast.FunctionDef | None:
        """The function of the module itself that a statement stands in."""
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
            self._name(target.id)
        else:
            self._lose()  # an attribute can be read anywhere

    def _name(self, name: str) -> None:
        if name in self.names:
            return
        self.names.add(name)
        if self.tree.source.once(_hides_names) or (
            self.tree.source.path.endswith(".ipynb")
            and re.search(rf"(?m)^\s*(?:[%!?].*\b{name}\b|{name}\?)", self.tree.text)
        ):
            self._lose()  # a notebook's magics use names, too
        if name not in self.tree.reads:
            self.tree.reads[name] = _reads(self.tree, name)
        reads = self.tree.reads[name]
        if reads is None or len(reads) > _MOST_READS:
            self._lose()
        for node in (reads or [])[:_MOST_READS]:
            self._value(node)

    def _function(self, node: ast.expr) -> ast.FunctionDef | None:
        """The function of the file that is called, where it is sure to be the one."""
        if not isinstance(node, ast.Name):
            return None
        bound = self.tree.top.bindings.get(node.id, [])
        stmt = bound[0].stmt if len(bound) == 1 else None
        return stmt if isinstance(stmt, ast.FunctionDef) and not stmt.decorator_list else None


def _reads(tree: Tree, name: str) -> list[ast.Name] | None:
    """Where a name is read, in any scope; None where a function declares it as another's."""
    found = []
    for node in tree.visit(tree.lines_with(name)):
        if isinstance(node, ast.Name) and node.id == name and isinstance(node.ctx, ast.Load):
            found.append(node)
        elif isinstance(node, (ast.Global, ast.Nonlocal)) and name in node.names:
            return None
    return found


def _is_script(text: str) -> bool:
    """Whether the file is run, so that nothing else has what its functions give back."""
    return re.search(r"""(?:^|[\r\n])if __name__ == ["']__main__["']""", text) is not None


def _hides_names(text: str) -> bool:
    # Plain searches: one expression for all words takes several times as long. `model.eval()` is another function.
    for word in _HIDDEN:
        at = text.find(word)
        while at >= 0:
            if not at or not (text[at - 1].isalnum() or text[at - 1] in "_."):
                return True
            at = text.find(word, at + 1)
    return False
