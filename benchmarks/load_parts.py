"""Extracts the part of a file that loads something: the call, what it needs, and what uses the result.

Used by benchmarks/broken_fixes.py on a file before and after the fixes. The code around a load becomes a list
of statements that can run in order, at the top level, without the rest of the file.
"""

from __future__ import annotations

import ast
import builtins
import copy
import re
from collections.abc import Iterator
from typing import NamedTuple

#: Names of loading functions; `from_pretrained` is found as a method.
LOADS = ("pipeline", "load_model", "load_tokenizer", "runtime_load_model", "runtime_load_tokenizer")
#: Statements that a fix adds, each on its own line.
ADDED = r"\n *(?:(?:runtime_)?apply_generation_config\([\w.]+\)|([\w.]+)\.pad_token = \1\.pad_token or \1\.eos_token)(?=\n|$)"
#: The function around the examined load, by which the runner gets the object.
RECORD = "__record__"
#: Maximum numbers of statements after the load, and of module-level statements that it needs.
MOST_BEHIND = 25
MOST_BEFORE = 80
#: Libraries that the statements may import; other names are guessed, or fail both before and after the fix.
LIBRARIES = frozenset(
    [
        "transformers",
        "torch",
        "numpy",
        "peft",
        "accelerate",
        "telepathy_runtime",
        "functools",
        "itertools",
        "math",
        "re",
        "json",
        "random",
        "typing",
        "collections",
        "dataclasses",
        "copy",
        "pathlib",
        "contextlib",
        "string",
        "enum",
        "abc",
        "warnings",
        "logging",
        "datetime",
        "time",
        "os",
    ]
)
#: Names that must not run, because the statements are untrusted.
_REFUSED = frozenset(
    [
        "exec",
        "eval",
        "compile",
        "open",
        "input",
        "exit",
        "quit",
        "breakpoint",
        "__import__",
        "subprocess",
        "shutil",
        "requests",
        "urllib",
        "socket",
        "wandb",
        "gradio",
        "streamlit",
        "importlib",
        "multiprocessing",
        "threading",
        "signal",
        "ctypes",
        "asyncio",
        "sys",
        "load_dataset",
        "datasets",
        "Trainer",
        "snapshot_download",
        "notebook_login",
        "login",
        "hf_hub_download",
    ]
)
_REFUSED_ATTRIBUTES = frozenset(
    [
        "system",
        "popen",
        "remove",
        "unlink",
        "rmdir",
        "removedirs",
        "rename",
        "makedirs",
        "mkdir",
        "chdir",
        "fork",
        "kill",
        "putenv",
        "spawn",
        "push_to_hub",
        "parse_args",
        "init_process_group",
        "sleep",
        "write",
        "write_text",
        "write_bytes",
        "save",
        "login",
        "train",
        "fit",
        "launch",
        "run",
        "serve",
        "set_start_method",
        "save_pretrained",
        "add_argument",
    ]
)


class Part(NamedTuple):
    """The statements around one load, each with a key that is the same before and after a fix."""

    statements: list[tuple[str, str]]
    #: Parameters of the enclosing functions, and other names that nothing in the part binds.
    imported: list[str]


def is_load(node: ast.AST) -> bool:
    if not isinstance(node, ast.Call):
        return False
    if isinstance(node.func, ast.Attribute):
        return node.func.attr == "from_pretrained" or node.func.attr in LOADS
    return isinstance(node.func, ast.Name) and node.func.id in LOADS


def loads(tree: ast.AST) -> list[ast.Call]:
    """The calls that may load something, in the order of the text."""
    found = [node for node in ast.walk(tree) if isinstance(node, ast.Call) and is_load(node)]
    return sorted(found, key=lambda node: (node.end_lineno or 0, node.end_col_offset or 0, -node.col_offset))


def imported(tree: ast.AST) -> list[str]:
    """The names that imports of the libraries bind anywhere in the file; nothing stands in for these."""
    return sorted(
        {
            (alias.asname or alias.name).partition(".")[0]
            for node in ast.walk(tree)
            if isinstance(node, (ast.Import, ast.ImportFrom))
            for alias in node.names
            if (getattr(node, "module", None) or alias.name).partition(".")[0] in LIBRARIES
        }
    )


def cut(tree: ast.Module, number: int) -> Part | None:
    """The part of the `number`th load; None if the call is in no statement that can run separately."""
    call = loads(tree)[number]
    parents = {child: node for node in ast.walk(tree) for child in ast.iter_child_nodes(node)}
    chain: list[ast.AST] = [call]
    while chain[-1] in parents:
        chain.append(parents[chain[-1]])
    chain.reverse()
    own = max(index for index, node in enumerate(chain) if isinstance(node, ast.stmt))
    if any(isinstance(node, (ast.Lambda, ast.comprehension)) for node in chain[own:]):
        return None
    if isinstance(chain[own], (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
        return None  # a default or a decorator
    innermost = max(
        (
            index
            for index, node in enumerate(chain)
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))
        ),
        default=0,
    )
    before: list[ast.stmt] = []
    behind: list[ast.stmt] = []
    for index in range(own):
        node, inner = chain[index], chain[index + 1]
        before += _entered(node)
        block = _block_with(node, inner)
        if block is None:
            continue
        at = block.index(inner)  # type: ignore[arg-type]
        before += block[:at]
        if index >= innermost:
            behind = [*block[at + 1 :], *behind]
    load = chain[own]
    if isinstance(load, (ast.If, ast.While, ast.For, ast.With, ast.Try, ast.Match)):
        return None  # the call is in the header of a compound statement
    assert isinstance(load, ast.stmt)
    recorded = _recorded(load, call)
    behind = _following(_names_bound(load), behind)
    before = _needed(before, [load, *behind])
    statements = [(_key(each), _text(each)) for each in before]
    statements.append(("the load", recorded))
    statements += [(_key(each), _text(each)) for each in behind]
    return Part([each for each in statements if each[1]], imported(tree))


def _block_with(node: ast.AST, inner: ast.AST) -> list[ast.stmt] | None:
    for name in ("body", "orelse", "finalbody"):
        block = getattr(node, name, None)
        if isinstance(block, list) and inner in block:
            return block
    return None


def _entered(node: ast.AST) -> list[ast.stmt]:
    """The bindings from entering a block, as statements."""
    if isinstance(node, (ast.For, ast.AsyncFor)):
        value = ast.parse(f"next(iter({ast.unparse(node.iter)}))", mode="eval").body
        return [ast.Assign([node.target], value, lineno=node.lineno)]
    if isinstance(node, ast.ImportFrom):
        return []
    if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
        arguments = node.args
        named = [*arguments.posonlyargs, *arguments.args]
        pairs = [
            *zip(reversed(named), reversed(arguments.defaults), strict=False),
            *((each, value) for each, value in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True)),
        ]
        return [
            ast.Assign([ast.Name(each.arg, ast.Store())], value, lineno=node.lineno)
            for each, value in pairs
            if value is not None and not (isinstance(value, ast.Constant) and value.value is None)
        ]
    return []


def _recorded(load: ast.stmt, call: ast.Call) -> str:
    """The text of the statement with the call wrapped in RECORD(...)."""
    copied = copy.deepcopy(load)
    target = loads(copied)[loads(load).index(call)]

    class Around(ast.NodeTransformer):
        def visit_Call(self, node: ast.Call) -> ast.AST:
            self.generic_visit(node)
            return ast.Call(ast.Name(RECORD, ast.Load()), [node], []) if node is target else node

    return _text(ast.fix_missing_locations(Around().visit(copied)))


def _text(stmt: ast.stmt) -> str:
    if isinstance(stmt, ast.Return):
        return f"__returned__ = {ast.unparse(stmt.value)}" if stmt.value is not None else ""
    return ast.unparse(stmt)


def _key(stmt: ast.stmt) -> str:
    """The text of the statement without its loads, which is the same before and after a fix."""
    text = _text(stmt)
    for call in loads(stmt):
        text = text.replace(ast.unparse(call), "load()")
    # A fix may add a statement inside this statement.
    return re.sub(ADDED, "", text) if isinstance(stmt, (ast.If, ast.For, ast.With, ast.Try)) else text


def _names_bound(stmt: ast.AST) -> set[str]:
    """Names and attributes that a statement binds; attributes as written."""
    found: set[str] = set()
    for node in ast.walk(stmt):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            found.add(node.id)
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            found.add(ast.unparse(node))
        elif isinstance(node, (ast.Import, ast.ImportFrom)):
            found |= {(alias.asname or alias.name).partition(".")[0] for alias in node.names}
        elif isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            found.add(node.name)
    if isinstance(stmt, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
        return {stmt.name}
    return found


def _names_read(stmt: ast.AST) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(stmt):
        if isinstance(node, ast.Name):
            found.add(node.id)
        elif isinstance(node, ast.Attribute):
            found.add(ast.unparse(node))
    return found


def _following(names: set[str], behind: list[ast.stmt]) -> list[ast.stmt]:
    """The statements that use what was loaded, if they may run."""
    names = set(names)
    kept = []
    for stmt in behind:
        if isinstance(stmt, (ast.Import, ast.ImportFrom)):
            kept += _single_imports(stmt)
            continue
        if not names & _names_read(stmt) or not may_run(stmt):
            continue
        kept.append(stmt)
        if not isinstance(stmt, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            names |= _names_bound(stmt)
        if len(kept) >= MOST_BEHIND:
            break
    return kept


def _needed(before: list[ast.stmt], users: list[ast.stmt]) -> list[ast.stmt]:
    """The statements that bind what others read, including imports."""
    wanted: set[str] = set()
    for user in users:
        wanted |= _names_read(user)
    kept: list[ast.stmt] = []
    for stmt in reversed(before):
        if isinstance(stmt, (ast.Import, ast.ImportFrom)):
            kept += reversed(_single_imports(stmt))
            continue
        bound = _names_bound(stmt)
        touches = isinstance(stmt, ast.Expr) and bool(_roots(stmt) & (wanted - set(dir(builtins))))
        if not (bound & wanted or touches) or not may_run(stmt):
            continue
        kept.append(stmt)
        wanted |= _names_read(stmt)
        if len(kept) > MOST_BEFORE:
            break
    return kept[::-1]


def _roots(stmt: ast.Expr) -> set[str]:
    """The object that a bare call changes: `tokenizer.add_tokens(...)`, `apply_generation_config(model)`."""
    node: ast.AST = stmt.value
    if not isinstance(node, ast.Call):
        return set()
    if isinstance(node.func, ast.Name):
        first = node.args[0] if node.func.id == "apply_generation_config" and node.args else None
        return {first.id} if isinstance(first, ast.Name) else set()
    while isinstance(node, (ast.Call, ast.Attribute, ast.Subscript)):
        node = node.func if isinstance(node, ast.Call) else node.value
    return {node.id} if isinstance(node, ast.Name) else set()


def _single_imports(stmt: ast.Import | ast.ImportFrom) -> list[ast.stmt]:
    """One import per name, so that a missing one does not affect the others."""
    if isinstance(stmt, ast.Import):
        return [ast.Import([alias]) for alias in stmt.names if alias.name.partition(".")[0] in LIBRARIES]
    if stmt.level or (stmt.module or "").partition(".")[0] not in LIBRARIES:
        return []
    return [ast.ImportFrom(stmt.module, [alias], 0) for alias in stmt.names]


def may_run(stmt: ast.stmt) -> bool:
    """Whether a statement can run at the top level, and is allowed to."""
    return not any(_is_refused(node) for node in _reached(stmt))


def _reached(stmt: ast.AST) -> Iterator[ast.AST]:
    yield from ast.walk(stmt)
    if not isinstance(stmt, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Return)) and any(
        isinstance(
            node, (ast.Return, ast.Yield, ast.YieldFrom, ast.Await, ast.Global, ast.Nonlocal, ast.AsyncFor)
        )
        for node in ast.walk(stmt)
    ):
        yield ast.Name("exec", ast.Load())


def _is_refused(node: ast.AST) -> bool:
    if isinstance(node, ast.Name):
        return node.id in _REFUSED or node.id.endswith(("Trainer", "Parser"))
    if isinstance(node, (ast.Break, ast.Continue)):
        return False
    if isinstance(node, ast.Attribute):
        return node.attr in _REFUSED_ATTRIBUTES or node.attr.endswith(("Trainer", "Parser"))
    if isinstance(node, (ast.Import, ast.ImportFrom)):
        names = (
            [getattr(node, "module", None)]
            if isinstance(node, ast.ImportFrom)
            else [a.name for a in node.names]
        )
        return any((name or "").partition(".")[0] not in LIBRARIES for name in names)
    return isinstance(node, (ast.Await, ast.AsyncWith))
