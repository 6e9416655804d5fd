"""What programs that make dicts really do: run over every choice that is left open in them.

A program makes a dict called `cfg` out of constants and of what nobody can see: `pick()` gives an unseen value, `hidden()` an
unseen dict, `fill(d)` may do anything to a dict, `maybe()` is an unseen condition, `few()` one that is false in the end, `some()` an unseen number of rounds,
`risky()` may raise, `name()` is an unseen key. `outcomes` runs it once for every way these may turn out.
"""

from __future__ import annotations

import copy
import sys
import types
from collections import OrderedDict
from collections.abc import Callable, Iterator
from typing import Any

MAX_RUNS = 800


class Unseen:
    """An unknown value."""

    def __repr__(self) -> str:
        return "<unseen>"

    def __add__(self, other: object) -> Unseen:
        return self

    __radd__ = __add__


UNSEEN = Unseen()


class Choices:
    """Takes all paths through a program, one after the other."""

    def __init__(self) -> None:
        self.taken: list[list[int]] = []
        self.at = 0

    def choose(self, count: int) -> int:
        if self.at == len(self.taken):
            self.taken.append([0, count])
        self.at += 1
        return self.taken[self.at - 1][0]

    def runs(self) -> Iterator[None]:
        for _ in range(MAX_RUNS):
            self.at = 0
            yield
            del self.taken[self.at :]
            while self.taken and self.taken[-1][0] + 1 == self.taken[-1][1]:
                self.taken.pop()
            if not self.taken:
                return
            self.taken[-1][0] += 1
        raise AssertionError("too many ways through this program")


class StoppedError(Exception):
    """The program has read its dict; the rest is irrelevant."""


def names(choices: Choices, key: str) -> dict[str, Any]:
    """The values of the names that a program does not bind."""

    asked: list[None] = []

    def hidden() -> dict[str, Any]:
        return [{}, {key: UNSEEN}, {"other": UNSEEN}][choices.choose(3)]

    def fill(given: Any) -> None:
        done = choices.choose(4)
        if done == 1:
            given[key] = UNSEEN
        elif done == 2:
            given.pop(key, None)
        elif done == 3:
            given.clear()

    def few() -> bool:
        """An unknown condition that is false after three calls, so that loops end."""
        asked.append(None)
        return len(asked) < 4 and bool(choices.choose(2))

    def risky() -> None:
        if choices.choose(2):
            raise ValueError

    return {
        "pick": lambda *given: UNSEEN,
        "hidden": hidden,
        "fill": fill,
        "maybe": lambda: bool(choices.choose(2)),
        "some": lambda: range(choices.choose(3)),
        "number": lambda: choices.choose(3),
        "risky": risky,
        "few": few,
        "name": lambda: [key, "other"][choices.choose(2)],
        "copy": copy,
        "OrderedDict": OrderedDict,
        "torch": types.SimpleNamespace(float16="float16", bfloat16="bfloat16"),
        "args": types.SimpleNamespace(**hidden()) if key.isidentifier() else None,
        "print": lambda *given: None,
    }


def outcomes(
    code: str,
    key: str,
    read: Callable[[dict[str, Any], dict[str, Any]], object],
    modules: dict[str, str] | None = None,
) -> list[Any]:
    """What `read` returned for the keyword arguments of the program's loads, over all paths.

    `read` gets the arguments of a load and the program's names; paths that end before a load have no result.
    """
    found: list[Any] = []
    choices = Choices()
    compiled = {
        name: compile(text, f"{name}.py", "exec") for name, text in {**(modules or {}), "": code}.items()
    }
    for _ in choices.runs():
        seen: list[Any] = []

        class Model:
            @staticmethod
            def from_pretrained(*given: Any, **named: Any) -> None:
                seen.append(named)  # noqa: B023
                raise StoppedError

        given = names(choices, key)
        given["AutoModel"] = Model
        try:
            for name, program in compiled.items():
                if name:
                    module = types.ModuleType(name)
                    vars(module).update(given)
                    sys.modules[name] = module
                    exec(program, vars(module))
                else:
                    exec(program, given)
        except StoppedError:
            found.append(read(seen[0], given))
        except (KeyError, ValueError, IndexError, TypeError, AttributeError, NameError):
            pass
        finally:
            for name in compiled:
                if name:
                    sys.modules.pop(name, None)
    return found
