"""Runs whole scripts, statement by statement, on tiny random models and made-up data, and prints what each statement does.

Jobs are read from standard input, one JSON object per line: `{"id": ..., "text": ...}`. For each, a line is written:
`{"id": ..., "version": ..., "statements": [[key, line, error, values, logged, written], ...]}`; the last are the files that
the statement wrote. Used by
benchmarks/migrated_scripts.py; the scripts are public code: run this in a safe environment.

    python benchmarks/run_whole_script.py STORE WORK <jobs >results

The top level of a script runs first, then the body of each function that trains, generates or uses a tokenizer, with
values guessed for its parameters. A name that is not bound is guessed as well, and a file that is missing is made up, so that
neither ends the run. Libraries that are not installed are stand-ins that do nothing.
"""

from __future__ import annotations

import argparse
import ast
import builtins
import contextlib
import importlib
import importlib.util
import io
import json
import os
import random
import re
import shutil
import signal
import socket
import sys
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
#: Limits in seconds: for a statement, and for a script.
LONGEST, ALTOGETHER = 60, 300
#: What is imported as it is; of the standard library everything but REFUSED.
LIBRARIES = {
    "transformers", "torch", "trl", "peft", "accelerate", "tokenizers", "datasets", "numpy", "pandas", "PIL", "yaml", "tqdm",
    "safetensors", "regex",
}  # fmt: skip
REFUSED = {
    "subprocess", "shutil", "socket", "requests", "urllib", "http", "multiprocessing", "threading", "ctypes", "webbrowser",
    "smtplib", "ftplib", "telnetlib", "pty", "signal", "asyncio", "tkinter", "turtle", "antigravity",
}  # fmt: skip
#: Functions with one of these in them are run on their own.
INTERESTING = re.compile(
    r"Trainer\(|TrainingArguments\(|from_pretrained\(|pipeline\(|\.generate\(|apply_chat_template|encode_plus|tokenizer\(|Config\("
)
MOST_FUNCTIONS = 14


class TooLong(BaseException):
    pass


class Returned(Exception):  # noqa: N818
    """A `return` inside a compound statement of a function whose body runs at the top level."""


class Names(dict):  # type: ignore[type-arg]
    """The builtins, and a guess for every other name that nothing binds."""

    def __missing__(self, name: str) -> Any:
        if name.startswith("__"):
            raise KeyError(name)
        import script_values

        self[name] = script_values.value(name)
        return self[name]


# ---- a script as statements


class Rewritten(ast.NodeTransformer):
    """Imports become calls that give a stand-in for a library that is not installed; a stand-in is as many values as are asked."""

    def visit_Assign(self, node: ast.Assign) -> Any:
        self.generic_visit(node)
        (target, *more) = node.targets
        if (
            isinstance(target, ast.Tuple)
            and not more
            and not any(isinstance(each, ast.Starred) for each in target.elts)
        ):
            call = ast.Call(
                ast.Name("__unpacked__", ast.Load()), [node.value, ast.Constant(len(target.elts))], []
            )
            node.value = ast.copy_location(call, node.value)
        return node

    def visit_Import(self, node: ast.Import) -> Any:
        return [
            _assigned(each.asname or each.name.partition(".")[0], each.name, "", each.asname is None, node)
            for each in node.names
        ]

    def visit_ImportFrom(self, node: ast.ImportFrom) -> Any:
        if node.module == "__future__":
            return ast.copy_location(ast.Pass(), node)
        if any(each.name == "*" for each in node.names):
            return (
                node
                if (node.module or "").partition(".")[0] in LIBRARIES
                else ast.copy_location(ast.Pass(), node)
            )
        module = "." * node.level + (node.module or "")
        return [_assigned(each.asname or each.name, module, each.name, False, node) for each in node.names]


def _assigned(name: str, module: str, attribute: str, top: bool, node: ast.stmt) -> ast.stmt:
    text = f"{name} = __imported__({module!r}, {attribute!r}, {top!r})"
    made = ast.parse(text).body[0]
    for each in ast.walk(made):
        ast.copy_location(each, node)
    return made


def imported(module: str, attribute: str, top: bool) -> Any:
    first = module.partition(".")[0]
    known = first in LIBRARIES or (first in sys.stdlib_module_names and first not in REFUSED)
    if not known or importlib.util.find_spec(first) is None:
        import script_values

        return script_values.Nothing()
    found = importlib.import_module(module)
    if not attribute:
        return sys.modules[first] if top else found
    try:
        return getattr(found, attribute)
    except AttributeError:
        try:
            return importlib.import_module(f"{module}.{attribute}")
        except ModuleNotFoundError:
            raise ImportError(f"cannot import name {attribute!r} from {module!r}") from None


def unpacked(value: Any, count: int) -> Any:
    import script_values

    return [script_values.Nothing()] * count if isinstance(value, script_values.Nothing) else value


def statements(tree: ast.Module) -> Iterator[tuple[str, ast.stmt]]:
    """The statements to run, each with a key that is the same before and after a migration."""
    for where, given, body in _blocks(tree):
        for stmt in given:
            yield f"{where} parameter {ast.unparse(stmt).partition(' ')[0]}", stmt
        number = 0
        for stmt in body:
            if isinstance(stmt, (ast.Import, ast.ImportFrom)):
                made = Rewritten().visit(stmt)
                for one in made if isinstance(made, list) else [made]:
                    yield f"{where} import {ast.unparse(one)[:60]}", one
                continue
            number += 1
            yield f"{where} {number}", ast.fix_missing_locations(Rewritten().visit(stmt))


def _blocks(tree: ast.Module) -> Iterator[tuple[str, list[ast.stmt], list[ast.stmt]]]:
    """What runs on its own: its name, the statements that bind its parameters, and its own."""
    top: list[ast.stmt] = []
    for stmt in tree.body:
        if isinstance(stmt, ast.If) and "__name__" in ast.unparse(stmt.test):
            top += stmt.body
        else:
            top.append(stmt)
    yield "top", [], top
    functions = [
        (prefix, each)
        for prefix, holder in _holders(tree)
        for each in holder.body
        if isinstance(each, ast.FunctionDef) and INTERESTING.search(ast.unparse(each))
    ]
    for prefix, function in functions[:MOST_FUNCTIONS]:
        inner = [each for stmt in function.body for each in _own(stmt)]
        if any(isinstance(each, (ast.Yield, ast.YieldFrom, ast.Await, ast.Nonlocal)) for each in inner):
            continue
        yield f"{prefix}{function.name}", _parameters(function), list(map(_without_return, function.body))


def _holders(tree: ast.Module) -> Iterator[tuple[str, Any]]:
    yield "", tree
    for stmt in tree.body:
        if isinstance(stmt, ast.ClassDef) and not any("Trainer" in ast.unparse(base) for base in stmt.bases):
            yield f"{stmt.name}.", stmt


def _own(stmt: ast.AST) -> Iterator[ast.AST]:
    """The nodes of a statement outside functions and classes in it."""
    yield stmt
    if not isinstance(stmt, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda)):
        for child in ast.iter_child_nodes(stmt):
            yield from _own(child)


def _parameters(function: ast.FunctionDef) -> list[ast.stmt]:
    """Parameters bound to their defaults, or to guesses for this call."""
    given = function.args
    named = [*given.posonlyargs, *given.args, *given.kwonlyargs]
    defaults = [None] * (len(given.posonlyargs) + len(given.args) - len(given.defaults)) + list(
        given.defaults
    )
    lines = []
    for each, default in zip(named, [*defaults, *given.kw_defaults], strict=True):
        noted = ast.unparse(each.annotation) if each.annotation is not None else ""
        known = default is not None and not (isinstance(default, ast.Constant) and default.value is None)
        lines.append(
            f"{each.arg} = {ast.unparse(default) if known else f'__guess__({each.arg!r}, {noted!r})'}"
        )  # type: ignore[arg-type]
    for rest, value in ((given.vararg, "()"), (given.kwarg, "{}")):
        if rest is not None:
            lines.append(f"{rest.arg} = {value}")
    return ast.parse("\n".join(lines)).body


def _without_return(stmt: ast.stmt) -> ast.stmt:
    class Raising(ast.NodeTransformer):
        def visit_FunctionDef(self, node: ast.FunctionDef) -> Any:
            return node

        visit_AsyncFunctionDef = visit_ClassDef = visit_Lambda = visit_FunctionDef  # type: ignore[assignment]  # noqa: N815

        def visit_Return(self, node: ast.Return) -> Any:
            value = node.value or ast.Constant(None)
            if node is stmt:
                return ast.copy_location(ast.Assign([ast.Name("__given__", ast.Store())], value), node)
            return ast.copy_location(
                ast.Raise(ast.Call(ast.Name("__Returned__", ast.Load()), [value], [])), node
            )

    return ast.fix_missing_locations(Raising().visit(stmt))


# ---- running


def run(text: str) -> list[list[Any]]:
    import script_values

    script_values.begin(text)
    names = Names(vars(builtins))
    for refused in ("input", "exit", "quit", "breakpoint"):
        names[refused] = script_values.Nothing()
    names.update(
        __imported__=imported, __guess__=script_values.parameter, __Returned__=Returned, __unpacked__=unpacked
    )
    names["open"] = script_values.opened
    module = types.ModuleType("__main__")
    sys.modules["__main__"] = module  # where classes are looked up that a script defines
    space = vars(module)
    space.update({"__file__": "script.py", "__builtins__": names})
    found = []
    here: set[str] = set()
    for key, stmt in statements(ast.parse(text)):
        script_values.LOGGED.clear()
        error = guarded(stmt, space)
        before, here = here, {str(path) for path in Path().glob("**/*") if not path.is_symlink()}
        bound = {
            each.id for each in _own(stmt) if isinstance(each, ast.Name) and isinstance(each.ctx, ast.Store)
        }
        values = {
            name: script_values.described(space[name])
            for name in sorted(bound)
            if error is None and name in space
        }
        written = sorted(here - before)[:100]
        found.append([key, getattr(stmt, "lineno", 0), error, values, list(script_values.LOGGED), written])
    return found


def guarded(stmt: ast.stmt, space: dict[str, Any]) -> str | None:
    """The error of a statement as one line; None if there is none."""
    import numpy as np
    import torch

    def stop(*_: object) -> None:
        raise TooLong

    signal.signal(signal.SIGALRM, stop)
    signal.alarm(LONGEST)
    torch.manual_seed(0)
    np.random.seed(0)
    random.seed(0)
    try:
        out, errors = io.TextIOWrapper(io.BytesIO()), io.TextIOWrapper(io.BytesIO())
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(errors):
            exec(compile(ast.Module([stmt], []), "<script>", "exec"), space)
    except TooLong:
        return "TooLong"
    except Returned:
        return None
    except SystemExit as error:
        return f"SystemExit: {error}"
    except BaseException as error:
        return f"{type(error).__name__}: {' '.join(str(error).split())[:400]}"
    finally:
        signal.alarm(0)
    return None


def in_child(job: dict[str, Any], work: Path) -> dict[str, Any]:
    """The outcome of a script, run in a process of its own."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        folder = work / "here"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        os.chdir(folder)
        try:
            found = run(job["text"])
            answer = json.dumps({"statements": found}, default=str)
        except BaseException as error:
            import traceback

            answer = json.dumps(
                {"crash": f"{type(error).__name__}: {error}", "trace": traceback.format_exc()}
            )
        with os.fdopen(writing, "w") as out:
            out.write(answer)
        os._exit(0)
    os.close(writing)
    # A script that hangs in native code is ended from here.
    signal.signal(signal.SIGALRM, lambda *_: os.kill(child, signal.SIGKILL))
    signal.alarm(ALTOGETHER)
    with os.fdopen(reading) as given:
        answer = given.read()
    os.waitpid(child, 0)
    signal.alarm(0)
    return json.loads(answer) if answer else {"crash": "ended"}  # type: ignore[no-any-return]


def main() -> None:
    store, work = Path(sys.argv[1]).resolve(), Path(sys.argv[2]).resolve()
    sys.path.insert(0, str(ROOT))
    os.environ.update(
        HF_HUB_OFFLINE="1", TRANSFORMERS_VERBOSITY="error", TOKENIZERS_PARALLELISM="false", CUDA_VISIBLE_DEVICES="",
        WANDB_DISABLED="true", HF_HOME=str(work / "home"), ACCELERATE_USE_CPU="true",
    )  # fmt: skip

    def refused(*_: object, **__: object) -> Any:
        raise OSError("not here")

    socket.socket.connect = refused  # type: ignore[method-assign, assignment]
    import logging
    import warnings

    import script_libraries
    import torch
    import transformers

    os.system = os.popen = refused  # type: ignore[assignment]
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    logging.disable(logging.CRITICAL)
    script_libraries.install(store)
    sys.argv = ["script.py"]
    argparse.ArgumentParser.exit = lambda *_, **__: None  # type: ignore[method-assign, assignment]
    out, sys.stdout = sys.stdout, sys.stderr
    for line in sys.stdin:
        job = json.loads(line)
        found = in_child(job, work)
        print(
            json.dumps({"id": job["id"], "version": transformers.__version__, **found}), file=out, flush=True
        )


if __name__ == "__main__":
    main()
