"""Runs the tiny models of transformers' own tests with float32 features and bfloat16 weights; used by input_casts.py.

The tests of a model know what no rule can guess: a config that is small and consistent, and inputs that fit
it. A model's parts are judged by what they are given in it. The tests are only in transformers' repository, so a checkout of its `tests` folder is needed.
"""

from __future__ import annotations

import copy
import importlib
import re
import signal
import sys
import unittest
from collections.abc import Iterator, Set
from pathlib import Path
from types import ModuleType
from typing import Any

LONGEST = 60  # seconds for one class
#: Raised by an operation whose tensors have different dtypes, or that does not exist in bfloat16.
DTYPE_ERRORS = (RuntimeError, NotImplementedError, ValueError, TypeError)


def modules(folder: Path, packages: set[str]) -> Iterator[tuple[str, ModuleType | str]]:
    """(package, its test module, or why it cannot be imported) for those of `packages` that have tests."""
    sys.path.insert(0, str(folder))
    for path in sorted(folder.glob("tests/models/*/test_modeling_*.py")):
        package = path.parent.name
        if package in packages and not path.stem.startswith(("test_modeling_tf_", "test_modeling_flax_")):
            try:
                yield package, imported(f"tests.models.{package}.{path.stem}")
            except Exception as error:
                yield package, _short(error)


def imported(name: str) -> ModuleType:
    """The module; what it imports and the installed release does not have, is None.

    The tests can be those of an older release than the one installed.
    """
    for _ in range(20):
        try:
            return importlib.import_module(name)
        except ImportError as error:
            gone = re.match(r"cannot import name '(\w+)' from '(transformers[\w.]*)'", str(error))
            if gone is None:
                raise
            setattr(importlib.import_module(gone[2]), gone[1], None)
    raise ImportError(f"{name} imports too many names that are gone")


def cases(module: ModuleType) -> Iterator[Any]:
    """The test cases in the module that describe model classes, set up."""
    for value in vars(module).values():
        own = isinstance(value, type) and value.__module__ == module.__name__
        if own and issubclass(value, unittest.TestCase) and hasattr(value, "all_model_classes"):
            case = value()
            try:
                case.setUp()
            except Exception as error:
                print(f"{value.__name__}: {_short(error)}", file=sys.stderr)
                continue
            if case.all_model_classes and hasattr(case, "model_tester"):
                yield case


def has_features(inputs: Any) -> bool:
    """Whether there is a tensor of floats in the inputs."""
    import torch

    if isinstance(inputs, torch.Tensor):
        return inputs.is_floating_point()
    if isinstance(inputs, dict):
        return any(has_features(each) for each in inputs.values())
    return isinstance(inputs, (list, tuple)) and any(has_features(each) for each in inputs)


def judged(case: Any, cls: Any, wanted: Set[str]) -> dict[str, str]:
    """The answers of a class and of the parts of its model that are in `wanted`: "casts", "fails" or "unknown: ..."."""
    import torch

    tester = case.model_tester
    if hasattr(tester, "prepare_config_and_inputs_for_model_class"):
        config, inputs = tester.prepare_config_and_inputs_for_model_class(cls)
    else:
        config, inputs = tester.prepare_config_and_inputs_for_common()
    inputs = case._prepare_for_class(copy.deepcopy(inputs), cls)
    torch.manual_seed(0)
    model = cls(config).float().eval()
    given: dict[str, tuple[Any, Any]] = {}

    def note(part: Any, positional: Any, named: Any) -> None:
        if named.get("inputs_embeds") is None:  # another part made them, and would make bfloat16
            given.setdefault(type(part).__name__, (part, (copy.deepcopy(positional), copy.deepcopy(named))))

    for part in model.modules():
        if part is not model and type(part).__name__ in wanted:
            part.register_forward_pre_hook(note, with_kwargs=True)
    found = {cls.__name__: answer(model, (), inputs)}
    for name, (part, (positional, named)) in given.items():
        part.float()._forward_pre_hooks.clear()
        found[name] = answer(part, positional, named)
    return found


def answer(model: Any, positional: Any, named: Any) -> str:
    """What a float32 model does with these inputs once its weights are bfloat16."""
    import torch

    if not has_features((positional, named)):
        return "unknown: transformers' test gives it no features"
    try:
        with torch.no_grad():
            model(*copy.deepcopy(positional), **copy.deepcopy(named))
    except Exception as error:
        return f"unknown: {_short(error)}"
    try:
        with torch.no_grad():
            model.to(torch.bfloat16)(*positional, **named)
    except DTYPE_ERRORS:
        return "fails"
    return "casts"


def answers(folder: Path, wanted: dict[str, str], parts: Set[str]) -> dict[str, str]:
    """Class name -> its answer, for the classes in `wanted` (class name -> package) that the tests run.

    Those in `parts` are also judged as a part of another model.
    """
    found: dict[str, str] = {}

    def stop(*_: object) -> None:
        raise TimeoutError("took too long")

    signal.signal(signal.SIGALRM, stop)
    for package, module in modules(folder, set(wanted.values())):
        if isinstance(module, str):
            print(f"tests of {package}: {module}", file=sys.stderr, flush=True)
            continue
        for case in cases(module):
            for cls in case.all_model_classes:
                left = {name for name in wanted if found.get(name, "unknown").startswith("unknown")}
                signal.alarm(LONGEST)
                try:
                    more = judged(case, cls, left & parts)
                except (Exception, TimeoutError) as error:
                    more = {cls.__name__: f"unknown: {_short(error)}"}
                finally:
                    signal.alarm(0)
                for name in more.keys() & left:
                    found[name] = more[name]
                    print(f"tests of {package}: {name}: {more[name]}", file=sys.stderr, flush=True)
    return found


def _short(error: BaseException) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())[:80]}"
