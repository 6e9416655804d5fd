"""Calls of training configs and trainers of transformers and trl, whatever they train."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from telepathy_lint.flow.bindings import dotted
from telepathy_lint.flow.file import File
from telepathy_lint.flow.tree import Context
from telepathy_lint.knowledge.transformers_names import last
from telepathy_lint.sites.site import Site

_PACKAGES = ("transformers", "trl")
_PARTIAL = ("partial", "functools.partial")
_ENDINGS = {"transformers": ("TrainingArguments", "Trainer"), "trl": ("Config", "Trainer")}


def find(file: File) -> Iterator[Site]:
    """A site of kind "training_config" or "trainer" for each call of one of these classes, or of a plain subclass of the file's."""
    if not any(package in file.tree.text for package in _PACKAGES):
        return
    names = _names(file)
    tree = file.tree
    for node in tree.visit(tree.lines_of(file.words.find(*names))) if names else ():
        if not isinstance(node, ast.Call) or last(dotted(node.func) or "") not in names:
            continue
        context = tree.context_of(node)
        yield from _site(file, node, context, _symbols(file, node.func, context))
    for node in tree.visit(tree.lines_of(file.words.find("partial"))) if names else ():
        if isinstance(node, ast.Call) and node.args and dotted(node.func) in _PARTIAL:
            context = tree.context_of(node)
            for site in _site(file, node, context, _symbols(file, node.args[0], context)):
                yield site._replace(opaque=True)  # what it is called with later
    for node, func in file.uses.method_calls("__init__") if names else ():
        context = tree.context_of(node)
        yield from _site(file, node, context, _initialized(file, func.value, context))


def _site(file: File, node: ast.Call, context: Context, symbols: set[str]) -> Iterator[Site]:
    """The site of a call, if it is surely of one class."""
    if len(symbols) == 1:
        (symbol,) = symbols
        arguments, opaque = file.arguments.read(node, context, ())
        for name in _own_parameters(file, node.func, context):
            arguments.pop(name, None)
        yield Site(
            kind="trainer" if symbol.endswith("Trainer") else "training_config",
            file=file,
            node=node,
            context=context,
            classes=(symbol,),
            arguments=arguments,
            opaque=opaque,
            model_id=None,
        )


def _names(file: File) -> tuple[str, ...]:
    """The names under which the file may call one of the classes."""
    imported = {name for name, symbol in file.uses.imports() if _is_known(symbol)}
    modules = [
        symbol
        for _, symbol in file.uses.imports()
        if symbol in (*_PACKAGES, *(f"{one}.*" for one in _PACKAGES))
    ]
    if modules:
        imported |= {
            "TrainingArguments",
            "Seq2SeqTrainingArguments",
            "Trainer",
            "Seq2SeqTrainer",
            "SFTConfig",
            "SFTTrainer",
        }
        imported |= {"DPOConfig", "DPOTrainer", "GRPOConfig", "GRPOTrainer", "RewardConfig", "RewardTrainer"}
    bases = {
        definition.name: {last(dotted(base) or "") for base in definition.bases}
        for scope in (file.tree.all_scopes() if imported else ())
        for definition in scope.definitions
        if isinstance(definition, ast.ClassDef)
    }
    names, known = set(imported), 0
    while len(names) > known:
        known = len(names)
        names |= {name for name, of in bases.items() if not names.isdisjoint(of)}
    return tuple(sorted(names))


def _is_known(symbol: str) -> bool:
    """Whether a dotted name is a training config or trainer of one of the packages."""
    endings = _ENDINGS.get(symbol.partition(".")[0])
    return endings is not None and symbol.endswith(endings)


def _symbols(file: File, func: ast.expr, context: Context) -> set[str]:
    """The classes of the two packages that are called, "" among them for anything else."""
    found: set[str] = set()
    for value in file.values.evaluate(func, context):
        symbol = ""
        if value.kind == "symbol":
            symbol = str(value.data)
        elif value.kind == "class" and isinstance(value.node, ast.ClassDef):
            symbol = _base_of(file, value.node, value.context)
        found.add(symbol if _is_known(symbol) else "")
    return found - {""} if "" not in found else set()


def _initialized(file: File, holder: ast.expr, context: Context) -> set[str]:
    """The class whose `__init__` a subclass calls: `super().__init__(...)`, `Trainer.__init__(self, ...)`."""
    if isinstance(holder, ast.Name):
        return _symbols(file, holder, context)
    scope = context.scope.parent
    if not isinstance(holder, ast.Call) or dotted(holder.func) != "super" or scope is None:
        return set()
    definition = scope.node
    if not isinstance(definition, ast.ClassDef) or len(definition.bases) != 1:
        return set()
    return _symbols(file, definition.bases[0], file.tree.context_of(definition))


def _base_of(file: File, definition: ast.ClassDef, context: Context, depth: int = 0) -> str:
    """The class of transformers or trl that gets the arguments of a class of the file, or those left over; "" where there is none."""
    own = {each.name for each in definition.body if isinstance(each, (ast.FunctionDef, ast.AsyncFunctionDef))}
    plain = all(last(dotted(_called(each)) or "") == "dataclass" for each in definition.decorator_list)
    if "__new__" in own or len(definition.bases) != 1 or not plain:
        return ""
    if "__init__" in own and _handing_on(definition) is None:
        return ""
    values = file.values.evaluate(definition.bases[0], context)
    if len(values) != 1:
        return ""
    (value,) = values
    if value.kind == "class" and isinstance(value.node, ast.ClassDef) and depth < 4:
        return _base_of(file, value.node, value.context, depth + 1)
    return str(value.data) if value.kind == "symbol" else ""


def _called(node: ast.expr) -> ast.expr:
    return node.func if isinstance(node, ast.Call) else node


def _handing_on(definition: ast.ClassDef) -> ast.FunctionDef | None:
    """A class's `__init__`, if it hands on the keyword arguments that it does not name, and does nothing else with them."""
    made = next(
        (each for each in definition.body if isinstance(each, ast.FunctionDef) and each.name == "__init__"),
        None,
    )
    rest = made.args.kwarg if made is not None else None
    if made is None or rest is None:
        return None
    uses = [each for each in ast.walk(made) if isinstance(each, ast.Name) and each.id == rest.arg]
    spreads = [
        keyword.value
        for call in ast.walk(made)
        if isinstance(call, ast.Call)
        and isinstance(call.func, ast.Attribute)
        and call.func.attr == "__init__"
        for keyword in call.keywords
        if keyword.arg is None
    ]
    return made if len(uses) == 1 and uses[0] in spreads else None


def _own_parameters(file: File, func: ast.expr, context: Context) -> Iterator[str]:
    """What the `__init__` of a class of the file, and of those it derives from, keeps for itself."""
    for value in file.values.evaluate(func, context):
        for _ in range(5):
            if value.kind != "class" or not isinstance(value.node, ast.ClassDef) or not value.node.bases:
                break
            # The fields of a dataclass are its own arguments.
            for stmt in value.node.body:
                if isinstance(stmt, ast.AnnAssign) and isinstance(stmt.target, ast.Name):
                    yield stmt.target.id
            if (made := _handing_on(value.node)) is not None:
                yield from (each.arg for each in (*made.args.args, *made.args.kwonlyargs))
            bases = file.values.evaluate(value.node.bases[0], value.context)
            if len(bases) != 1:
                break
            (value,) = bases
