"""What programs that pass objects around really do: run over every choice that is left open in them.

A program loads objects with `AutoModelForCausalLM` or `AutoTokenizer`, passes them around, and uses one under the name `x`.
`other()` gives an object that was not loaded here, `wrap(x)` may give back `x` or another object, `maybe()` is an unseen
condition, `some()` an unseen number of rounds, `unseen()` an object that nobody knows. `uses` runs a program once for every
way these may turn out, and says of every use of interest whether it was of an object that the program loaded.
"""

from __future__ import annotations

import contextlib
import copy
import functools
import types
from typing import Any

from tests.lint.flow.dict_programs import Choices


class StopError(Exception):
    """The program has run long enough."""


class Thing:
    """A substitute for a model, a tokenizer or a wrapper: `root` is the wrapped object."""

    def __init__(self, seen: list[bool], loaded: bool, root: Thing | None = None) -> None:
        self.__dict__.update(_seen=seen, _loaded=loaded, _root=root)

    @property
    def root(self) -> Thing:
        held: Thing | None = self.__dict__["_root"]
        return self if held is None else held.root

    def note(self) -> None:
        self.__dict__["_seen"].append(self.root.__dict__["_loaded"])

    def part(self) -> Thing:
        return Thing(self.__dict__["_seen"], False)

    def to(self, *given: Any, **named: Any) -> Thing:
        if "cuda" in given or "cuda" in named.values():
            self.note()
        return self

    def cuda(self) -> Thing:
        self.note()
        return self

    def same(self, *given: Any, **named: Any) -> Thing:
        return self

    cpu = eval = train = half = float = bfloat16 = requires_grad_ = apply = share_memory = same

    def inner(self, *given: Any) -> Thing:
        return self.root

    merge_and_unload = unload = get_base_model = inner

    @property
    def module(self) -> Thing:
        return self.root

    _orig_mod = base_model = module

    def generate(self, *given: Any, **named: Any) -> Thing:
        if "temperature" in named:
            self.note()
        return self.part()

    def __call__(self, *given: Any, **named: Any) -> Any:
        if "padding" in named:
            self.note()
            return {"input_ids": 1}
        return self.part()

    def __deepcopy__(self, memo: object) -> Thing:
        return Thing(self.__dict__["_seen"], self.root.__dict__["_loaded"])

    def __enter__(self) -> Thing:
        return self

    def __exit__(self, *given: object) -> None:
        pass

    @property
    def generation_config(self) -> Any:
        return _Noting(self)

    def __setattr__(self, name: str, value: object) -> None:
        if name in ("pad_token", "generation_config"):
            self.note()
        else:
            self.__dict__[name] = value

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return self.part()


class _Noting:
    def __init__(self, owner: Thing) -> None:
        self.__dict__["owner"] = owner

    def __setattr__(self, name: str, value: object) -> None:
        self.__dict__["owner"].note()


def names(choices: Choices, seen: list[bool]) -> dict[str, Any]:
    """The values of the names that a program imports or does not bind."""

    def load(*given: Any, **named: Any) -> Thing:
        return Thing(seen, True)

    def other(*given: Any, **named: Any) -> Thing:
        return Thing(seen, False)

    def wrapped(first: Any = None, *rest: Any, model: Any = None, **named: Any) -> Any:
        return Thing(seen, False, first if first is not None else model)

    def prepare(*given: Any) -> Any:
        return given[0] if len(given) == 1 else given

    def wrap(given: Any) -> Any:
        return [given, Thing(seen, False)][choices.choose(2)]

    model = types.SimpleNamespace(from_pretrained=load, from_config=load)
    peft = types.SimpleNamespace(from_pretrained=wrapped)
    nn = types.SimpleNamespace(DataParallel=wrapped, Linear=other)
    torch = types.SimpleNamespace(
        compile=wrapped, nn=nn, bfloat16="bfloat16", float16="float16", no_grad=lambda: Thing(seen, False)
    )
    return {
        "AutoModelForCausalLM": model,
        "AutoTokenizer": model,
        "PeftModel": peft,
        "get_peft_model": wrapped,
        "torch": torch,
        "accelerator": types.SimpleNamespace(prepare=prepare),
        "copy": copy,
        "functools": functools,
        "other": other,
        "unseen": other,
        "wrap": wrap,
        "maybe": lambda: bool(choices.choose(2)),
        "some": lambda: range(choices.choose(3)),
        "prompts": ["a", "b"],
        "ids": 1,
        "dtype": "bfloat16",
        "print": lambda *given: None,
        "__name__": "program",
    }


def uses(code: str) -> list[list[bool]]:
    """For each path through the program, whether each relevant use was of a loaded object."""
    program = compile(code, "program.py", "exec")
    choices = Choices()
    found: list[list[bool]] = []
    for _ in choices.runs():
        seen: list[bool] = []
        with contextlib.suppress(KeyError, ValueError, IndexError, TypeError, AttributeError, NameError):
            exec(program, names(choices, seen))
        found.append(seen)
    return found
