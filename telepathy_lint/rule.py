"""The whole contract of a rule."""

from __future__ import annotations

import ast
import os
import re
from typing import ClassVar, Literal, NamedTuple

from telepathy_lint.findings.change import Repair
from telepathy_lint.findings.violation import Safety, place_in_words
from telepathy_lint.settings import Settings
from telepathy_lint.sites import Argument, Site, Value
from telepathy_lint.sites.site import Kind
from telepathy_lint.source.text import Source


class Meta(NamedTuple):
    """What is known of a rule without running it."""

    code: str
    #: Reads after "allow": `allow hardcoded-device-map`.
    name: str
    #: The finding in short; what a particular call shows is appended by the rule.
    message: str
    #: First release with the rule.
    since: str
    #: The kinds of Site that the rule looks at.
    kinds: tuple[Kind, ...]
    #: What a rewrite to the loader changes when this rule reported it.
    setting: (
        Literal["device_map", "dtype", "attn_implementation", "generation_config", "pad_token"] | None
    ) = None
    #: Whether the fix keeps the program's meaning; None where there is none.
    fix: Safety | None = None
    #: Whether the rule is on unless told otherwise.
    default: bool = True
    #: Whether the rule needs a look at the whole project first.
    project: bool = False
    #: The code of a rule whose finding at the load says the same; this one is then left out.
    covered_by: str | None = None

    def check(self) -> None:
        """Raise a ValueError where this describes no rule there can be."""
        if not re.fullmatch(r"TLP[1239]\d\d", self.code):
            raise ValueError(
                f"{self.code!r} is no rule code: TLP and three digits, the first of them 1, 2, 3 or 9"
            )
        if not re.fullmatch(r"[a-z0-9]+(?:-[a-z0-9]+)+", self.name) or self.name.startswith(
            ("no-", "avoid-")
        ):
            raise ValueError(f"{self.name!r} does not name the thing found: it must read after 'allow'")
        if self.default == (self.code.startswith("TLP9") or self.project):
            raise ValueError(
                f"{self.code}: the 900s and what needs the whole project are off by default, and only they"
            )


class Report(NamedTuple):
    """A rule's answer: where in the source (offsets) and what is wrong."""

    start: int
    end: int
    message: str


class Rule:
    """A rule looks at one Site and reports at most once; it touches nothing else.

    The class's docstring is its documentation: a summary line, why it hurts, a `Bad:` and a `Good:` example (the tests
    run both), and a `Fix safety:` paragraph where the fix is unsafe.
    """

    meta: ClassVar[Meta]

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        documentation = cls.__dict__.get("__doc__") or ""
        if not isinstance(cls.__dict__.get("meta"), Meta):
            raise TypeError(f"{cls.__name__} has no `meta`")
        cls.meta.check()
        if "check" not in cls.__dict__:
            raise TypeError(f"{cls.__name__} has no `check`")
        for part in ("Bad:", "Good:"):
            if f"{part}\n" not in documentation:
                raise TypeError(f"{cls.__name__}: the docstring has no {part!r} example")
        if cls.meta.fix == "unsafe" and "Fix safety: " not in documentation:
            raise TypeError(f"{cls.__name__}: an unsafe fix demands a 'Fix safety:' paragraph")

    def check(self, site: Site, settings: Settings) -> Report | None:
        """What is wrong with the site, or None; never called for kinds the rule did not name."""
        raise NotImplementedError

    def matters(self, site: Site, settings: Settings) -> bool:
        """Whether a site that `check` reports is worth reading: not where the file itself shows that it does not matter.

        Asked only of what would be reported, and not under `strict`. What cannot be decided matters.
        """
        return True

    def safety(self, site: Site) -> Safety:
        """How sure the shared rewrite is to keep this site's meaning, as far as this rule goes."""
        return self.meta.fix or "display"

    def withheld(self, site: Site, settings: Settings) -> str | None:
        """What in the file shows that the fix would break the program or change what it saves; None where nothing does.

        The finding stays and names this reason, with the line that shows it: "line 41 saves the model".
        """
        return None

    def repair(self, site: Site, settings: Settings) -> Repair | None:
        """The rule's own fix of a site it reported; rules with a `setting` share the loader's rewrite instead."""
        return None

    @classmethod
    def documentation(cls) -> str:
        import inspect  # takes longer to import than all rules

        return inspect.cleandoc(cls.__doc__ or "")

    @classmethod
    def summary(cls) -> str:
        return cls.documentation().partition("\n")[0]

    @classmethod
    def example(cls, which: Literal["Bad", "Good"]) -> str:
        """The code of an example."""
        _, _, rest = cls.documentation().partition(f"\n{which}:\n")
        lines = []
        for line in rest.lstrip("\n").split("\n"):
            if line and not line.startswith("    "):
                break
            lines.append(line[4:])
        return "\n".join(lines).strip("\n") + "\n"

    # ---- for the rules

    def at_call(self, site: Site, detail: str = "") -> Report:
        """A report about something absent: it stands at the call's first character."""
        return Report(site.start, site.source.end_of(site.call.func), self._message(detail))

    def at(self, site: Site, node: ast.AST, detail: str = "") -> Report:
        """A report about something written in the call."""
        start, end = site.range_of(node)
        return Report(start, end, self._message(detail))

    def _message(self, detail: str) -> str:
        return f"{self.meta.message}: {detail}" if detail else self.meta.message


def origin(value: Value, site: Site) -> str:
    """`, from NAME, line 12` where the value is not written in the call itself; with the file where it is another."""
    if value.via is None:
        return ""
    name, line = value.via
    source = value.context.scope.tree.source
    # A file that another one imports is read under its whole path, and may be the very file of the call.
    elsewhere = os.path.abspath(source.path) != os.path.abspath(site.source.path)
    file = f" in {os.path.basename(source.path)}" if elsewhere else ""
    return f", from {name}{file}, {line_name(source, line)}"


def line_name(source: Source, line: int) -> str:
    """A line as users see it: `line 12`, or `line 2 of the 3rd code cell` in a notebook."""
    if line > len(source.line_starts):
        return f"line {line}"  # a name of this file for a value of a shorter one
    start = source.line_starts[line - 1]
    span = source.place(start, start)
    return place_in_words(span.line, span.cell)


def literal(argument: Argument) -> object:
    """The constant that an argument is sure to be, `...` where it is not one (or may be several)."""
    if len(argument.values) != 1 or argument.values[0].kind != "const" or argument.optional:
        return ...
    return argument.values[0].data


def written(argument: Argument) -> object:
    """The constant that stands in the call itself, `...` where it comes in through a name (which is there to be changed)."""
    value = argument.node.value if isinstance(argument.node, ast.keyword) else argument.node
    return value.value if argument.how == "keyword" and isinstance(value, ast.Constant) else ...


def value_text(site: Site, argument: Argument) -> str:
    """What a keyword argument is given, as the call has it."""
    assert isinstance(argument.node, ast.keyword)
    start, end = site.range_of(argument.node.value)
    return site.source.text[start:end]


def shown(value: Value) -> str:
    """The value as the script has it, shortened."""
    text = ast.unparse(value.node) if isinstance(value.node, ast.expr) else str(value.data)
    text = " ".join(text.split())
    return text if len(text) <= 48 else f"{text[:45]}..."
