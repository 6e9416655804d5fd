"""Reads the usual command lines of `check` without argparse: importing it and building parsers takes a tenth of a cached run.

Whatever is not plainly correct, such as an unknown option or a request for help, is left to argparse.
"""

from __future__ import annotations

from collections.abc import Sequence
from types import SimpleNamespace

from telepathy_lint.commands.check_options import add_options
from telepathy_lint.hints import Any, NamedTuple

_FLAGS = {"store_true": True, "store_false": False}


class _Option(NamedTuple):
    """What argparse would be told about an option."""

    name: str
    action: str
    type: Any
    choices: Any


class _Unclear(Exception):  # noqa: N818 - not an error: argparse decides
    """The command line is left to argparse."""


class _Options:
    """Takes the definitions that are meant for an argparse parser or one of its groups."""

    def __init__(self) -> None:
        self.known: dict[str, _Option] = {}
        self.values: dict[str, Any] = {}
        #: Where the arguments that are no options go.
        self.rest = ""

    def add_argument_group(self, title: str) -> _Options:
        return self

    def add_argument(
        self,
        *flags: str,
        dest: str = "",
        action: str = "store",
        type: Any = str,
        choices: Any = None,
        default: Any = ...,
        **_: Any,
    ) -> None:
        name = dest or flags[0].lstrip("-").replace("-", "_")
        if not flags[0].startswith("-"):
            self.rest = name
        if default is ...:
            default = not _FLAGS[action] if action in _FLAGS else None
        self.values[name] = default
        self.known.update(dict.fromkeys(flags, _Option(name, action, type, choices)))

    def read(self, arguments: Sequence[str]) -> None:
        """Set the values that are given.

        Raises:
            _Unclear: something about an argument is unusual.
        """
        rest: list[str] = []
        ended, waiting = False, iter(arguments)
        for argument in waiting:
            if not argument.startswith("-") or argument == "-":
                if ended:
                    raise _Unclear  # paths, an option, and paths again
                rest.append(argument)
                continue
            ended = bool(rest)
            if argument.startswith("--"):
                flag, equals, value = argument.partition("=")
                attached = bool(equals)
            else:
                flag, value = argument[:2], argument[2:]
                attached = bool(value)
            option = self.known.get(flag)
            if option is None or (value.startswith("=") and not flag.startswith("--")):
                raise _Unclear
            if option.action not in _FLAGS:
                self._store(option, value if attached else next(waiting, "-"))
            elif attached:
                raise _Unclear
            else:
                self.values[option.name] = _FLAGS[option.action]
        if rest:
            self.values[self.rest] = rest

    def _store(self, option: _Option, given: str) -> None:
        if given.startswith("-"):
            raise _Unclear
        try:
            value = option.type(given)
        except Exception as error:
            raise _Unclear from error  # argparse says what is wrong with it
        if option.choices is not None and value not in option.choices:
            raise _Unclear
        if option.action != "store":
            value = [*(self.values[option.name] or ()), *(value if option.action == "extend" else (value,))]
        self.values[option.name] = value


def plainly_given(arguments: Sequence[str]) -> Any:
    """The options of `check`; None for another command and for what argparse has to decide or to explain."""
    if arguments[:1] != ["check"]:
        return None
    options = _Options()
    add_options(options)
    try:
        options.read(arguments[1:])
    except _Unclear:
        return None
    return SimpleNamespace(command="check", **options.values)
