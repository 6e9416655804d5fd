"""Reads of what training arguments and trainers no longer have: `training_args.no_cuda`, `self.tokenizer` of a trainer."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from telepathy_lint.flow.file import File
from telepathy_lint.flow.tree import Context, Scope
from telepathy_lint.knowledge.migration import CONFIGS, TRAINERS, removed_arguments
from telepathy_lint.sites.site import Kind, Site

_PARSING = ("parse_args_into_dataclasses", "parse_json_file", "parse_yaml_file", "parse_dict")
_PARSERS = ("transformers.HfArgumentParser", "transformers.hf_argparser.HfArgumentParser")
_OF_CONFIGS = "transformers.TrainingArguments"


def find(file: File) -> Iterator[Site]:
    """A site for each attribute; the one of `classes` is the class that lacks it, with `transformers.` before."""
    tree = file.tree
    if not any(f"{name}" in tree.text for name in (*CONFIGS, *TRAINERS)) or "transformers" not in tree.text:
        return
    gone = removed_arguments(_OF_CONFIGS)
    configs = _configs(file) if "ArgumentParser" in tree.text or "TrainingArguments(" in tree.text else {}
    written: set[tuple[Scope, str, str]] = set()
    reads: list[tuple[ast.Attribute, str]] = []
    for node in tree.visit(tree.lines_of(file.words.find(*gone, "tokenizer"))):
        if not isinstance(node, ast.Attribute) or (node.attr not in gone and node.attr != "tokenizer"):
            continue
        if not isinstance(node.ctx, ast.Load):
            written.add((tree.scope_of(node), ast.unparse(node.value), node.attr))
        elif symbol := _lacking(file, node, configs):
            reads.append((node, symbol))
    for node, symbol in reads:
        if (tree.scope_of(node), ast.unparse(node.value), node.attr) not in written:
            context = tree.context_of(node)
            kind: Kind = "trainer_read" if node.attr == "tokenizer" else "training_read"
            yield Site(kind, file, node, context, (symbol,), {}, opaque=False, model_id=None)


#: For each name in its scope, the fields that its class adds to those of TrainingArguments.
_Configs = dict[tuple[Scope, str], frozenset[str]]


def _lacking(file: File, node: ast.Attribute, configs: _Configs) -> str:
    """The class that lacks an attribute; "" where it has it, or the object is something else."""
    scope = file.tree.scope_of(node)
    holder = node.value
    if node.attr == "tokenizer":
        if not isinstance(holder, ast.Name):
            return ""
        if holder.id == "self":
            return _trainer_around(file, scope, "tokenizer")
        bound = scope.bindings.get(holder.id, ())
        made = bound[0].value if len(bound) == 1 and not bound[0].path else None
        if not isinstance(made, ast.Call):
            return ""
        return _trainer(file, made.func, file.tree.context_of(made))
    if isinstance(holder, ast.Name):
        own = configs.get((scope, holder.id))
        return _OF_CONFIGS if own is not None and node.attr not in own else ""
    if isinstance(holder, ast.Attribute) and holder.attr == "args" and isinstance(holder.value, ast.Name):
        declared = f"{node.attr}:" in file.tree.text  # by a class of the file for its own arguments
        return _OF_CONFIGS if not declared and _trainer_around(file, scope, "args") else ""
    return ""


def _trainer_around(file: File, scope: Scope, attribute: str) -> str:
    """The trainer of transformers of whose plain subclass a function is a method; "" where the class has its own attribute."""
    parent = scope.parent
    definition = parent.node if parent is not None and parent.is_class else None
    if not isinstance(definition, ast.ClassDef) or len(definition.bases) != 1:
        return ""
    symbol = _symbol(file, definition.bases[0], file.tree.context_of(definition))
    return symbol if _is_trainer(symbol) and attribute not in _own(definition) else ""


def _trainer(file: File, node: ast.expr, context: Context) -> str:
    """The trainer of transformers that a class is or derives from without a `tokenizer` of its own; "" for others."""
    values = file.values.evaluate(node, context)
    if len(values) != 1:
        return ""
    (value,) = values
    if value.kind == "symbol":
        return str(value.data) if _is_trainer(str(value.data)) else ""
    if value.kind == "class" and isinstance(value.node, ast.ClassDef) and len(value.node.bases) == 1:
        return "" if "tokenizer" in _own(value.node) else _trainer(file, value.node.bases[0], value.context)
    return ""


def _configs(file: File) -> _Configs:
    """The names that are bound to training arguments, made or parsed from the command line."""
    tree = file.tree
    found: _Configs = {}
    spoilt: set[tuple[Scope, str]] = set()
    for node, func in file.uses.method_calls(*_PARSING):
        context = tree.context_of(node)
        own = [_fields(file, each, context) for each in _parsed(file, func.value, context)]
        for index, name in _targets(node, tree.parent):
            fields = own[index] if index < len(own) else None
            key = (context.scope, name)
            if fields is None or found.get(key, fields) != fields:
                spoilt.add(key)
            else:
                found[key] = fields
    for call in tree.visit(tree.lines_of(file.words.find(*CONFIGS))):
        above = tree.parent.get(call)
        if isinstance(call, ast.Call) and isinstance(above, ast.Assign) and len(above.targets) == 1:
            context, target = tree.context_of(call), above.targets[0]
            if isinstance(target, ast.Name) and len(context.scope.bindings.get(target.id, ())) == 1:
                fields = _fields(file, call.func, context)
                if fields is not None:
                    found[context.scope, target.id] = fields
    return {key: fields for key, fields in found.items() if key not in spoilt}


def _parsed(file: File, parser: ast.expr, context: Context) -> list[ast.expr]:
    """The classes whose fields a parser reads, in order."""
    made = parser
    if isinstance(parser, ast.Name):
        bound = context.scope.bindings.get(parser.id, ())
        if len(bound) != 1 or bound[0].value is None or bound[0].path:
            return []
        made = bound[0].value
    if not isinstance(made, ast.Call) or _symbol(file, made.func, context) not in _PARSERS:
        return []
    given = made.args[0] if made.args else next((each.value for each in made.keywords if each.arg), None)
    if isinstance(given, (ast.Tuple, ast.List)):
        return [] if any(isinstance(each, ast.Starred) for each in given.elts) else list(given.elts)
    return [given] if given is not None else []


def _targets(node: ast.expr, parent_of: dict[ast.AST, ast.AST]) -> Iterator[tuple[int, str]]:
    """The names that get what a parser gives, each with the position of its class."""
    above = parent_of.get(node)
    if isinstance(above, ast.Subscript) and isinstance(above.slice, ast.Constant):
        assigned = parent_of.get(above)
        if isinstance(assigned, ast.Assign) and isinstance(above.slice.value, int):
            for target in assigned.targets:
                if isinstance(target, ast.Name) and above.slice.value >= 0:
                    yield above.slice.value, target.id
    elif isinstance(above, ast.Assign):
        for target in above.targets:
            if isinstance(target, (ast.Tuple, ast.List)):
                for index, each in enumerate(target.elts):
                    if isinstance(each, ast.Starred):
                        break
                    if isinstance(each, ast.Name):
                        yield index, each.id


def _fields(file: File, node: ast.expr, context: Context) -> frozenset[str] | None:
    """What a class has beside the arguments of TrainingArguments; None where it is not one of these."""
    values = file.values.evaluate(node, context)
    if len(values) != 1:
        return None
    (value,) = values
    if value.kind == "symbol":
        known = str(value.data).startswith("transformers.") and str(value.data).rpartition(".")[2] in CONFIGS
        return frozenset() if known else None
    if value.kind == "class" and isinstance(value.node, ast.ClassDef) and len(value.node.bases) == 1:
        inherited = _fields(file, value.node.bases[0], value.context)
        return None if inherited is None else inherited | _own(value.node)
    return None


def _own(definition: ast.ClassDef) -> frozenset[str]:
    """The names that a class defines, those that its methods give to `self` among them."""
    names: set[str] = set()
    for node in ast.walk(definition):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            names.add(node.name)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            names.add(node.id)
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            names.add(node.attr)
    return frozenset(names)


def _symbol(file: File, node: ast.expr, context: Context) -> str:
    values = file.values.evaluate(node, context)
    return str(values[0].data) if len(values) == 1 and values[0].kind == "symbol" else ""


def _is_trainer(symbol: str) -> bool:
    return symbol.startswith("transformers.") and symbol.rpartition(".")[2] in TRAINERS
