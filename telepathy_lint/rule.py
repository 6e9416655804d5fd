"""The interface of a rule: `Meta` and `Rule`, and functions for messages."""

from __future__ import annotations

import ast
import os
from collections.abc import Iterator, Mapping, Sequence

from telepathy_lint.findings.finding import Finding
from telepathy_lint.findings.violation import Safety, place_in_words
from telepathy_lint.flow.value import by_identity
from telepathy_lint.hints import ClassVar, Literal, NamedTuple, get_args
from telepathy_lint.settings import Settings, Stage
from telepathy_lint.sites import Argument, Site, Value
from telepathy_lint.sites.site import LOADS, Kind
from telepathy_lint.source.text import Source

_OF_NAMES = frozenset("abcdefghijklmnopqrstuvwxyz0123456789-")
#: The value of `inspect.CO_GENERATOR`; importing inspect takes longer than importing all rules.
_GENERATOR = 0x20

Setting = Literal["device_map", "dtype", "attn_implementation", "generation_config", "pad_token"]


def _is_code(text: str) -> bool:
    return len(text) == 6 and text.startswith("TLP") and text[3] in "12349" and text[4:].isdecimal()


class Meta(NamedTuple):
    """Static information about a rule."""

    code: str
    #: A name that reads well after "allow": `allow hardcoded-device-map`.
    name: str
    #: The message; a finding's detail is appended to it.
    message: str
    #: First release with the rule.
    since: str
    #: The kinds of site that the rule checks.
    kinds: tuple[Kind, ...]
    #: Those of them at which a finding only matters, without `strict`, where nothing is known around the file (`is_bare`).
    only_bare: tuple[Kind, ...] = ()
    #: The loader setting that a rewrite changes for this rule's findings; such a rule has no `repair`.
    setting: Setting | None = None
    #: Whether the fix preserves the program's behaviour; None if there is no fix.
    fix: Literal["safe", "unsafe"] | None = None
    #: Whether the rule is on by default.
    default: bool = True
    #: Whether the rule needs the whole project to be read first.
    project: bool = False
    #: What the project must say about transformers 5 for the rule to be on by default; () if it does not matter.
    five: tuple[Stage, ...] = ()
    #: The code of a rule whose finding at the same load makes this rule's finding redundant.
    covered_by: str | None = None

    def is_on(self, five: Stage) -> bool:
        """Whether the rule is on unless told otherwise, in a project that says this of transformers 5."""
        return self.default and (not self.five or five in self.five)

    def check(self) -> None:
        """Raise ValueError with an explanation if the values are invalid."""
        if not _is_code(self.code):
            raise ValueError(
                f"{self.code!r} is not a rule code: TLP and three digits, the first of which is 1, 2, 3, 4 or 9"
            )
        first, *others = self.name.split("-")
        well = others and "" not in (first, *others) and _OF_NAMES.issuperset(self.name)
        if not well or first in ("no", "avoid"):
            raise ValueError(f"{self.name!r} does not name what is found: it must read well after 'allow'")
        if not self.message or self.message != self.message.strip(" .:\n"):
            raise ValueError(
                f"{self.code}: message {self.message!r} must not be empty, or begin or end with a space, full stop or colon"
            )
        numbers = self.since.split(".")
        if len(numbers) != 3 or not all(map(str.isdecimal, numbers)):
            raise ValueError(f"{self.code}: since {self.since!r} is not a version such as 0.1.0")
        self._check_kinds()
        self._check_fix()
        if self.default == (self.code.startswith("TLP9") or self.project):
            raise ValueError(
                f"{self.code}: exactly the 900s and the rules that need the whole project must be off by default"
            )
        if bool(self.five) != self.code.startswith("TLP4"):
            raise ValueError(
                f"{self.code}: exactly the 400s depend on what the project says about transformers 5 (`five`)"
            )
        if self.covered_by is not None and (self.covered_by == self.code or not _is_code(self.covered_by)):
            raise ValueError(f"{self.code}: covered_by {self.covered_by!r} is not the code of another rule")

    def _check_kinds(self) -> None:
        if not isinstance(self.kinds, tuple) or not self.kinds:
            raise ValueError(f"{self.code}: kinds must be a tuple with at least one kind of site")
        known = get_args(Kind)
        for number, kind in enumerate(self.kinds):
            if kind not in known:
                raise ValueError(f"{self.code}: unknown kind {kind!r}; the kinds are {', '.join(known)}")
            if kind in self.kinds[:number]:
                raise ValueError(f"{self.code}: kind {kind!r} is listed twice")
        if other := [kind for kind in self.only_bare if kind not in self.kinds]:
            raise ValueError(f"{self.code}: only_bare has {other[0]!r}, which is not among its kinds")

    def _check_fix(self) -> None:
        if self.fix not in (None, "safe", "unsafe"):
            raise ValueError(f"{self.code}: unknown fix {self.fix!r}; a fix is 'safe' or 'unsafe'")
        if self.setting is None:
            return
        known = get_args(Setting)
        if self.setting not in known:
            raise ValueError(
                f"{self.code}: unknown setting {self.setting!r}; settings are {', '.join(known)}"
            )
        if self.fix is None:
            raise ValueError(
                f"{self.code}: setting {self.setting!r} needs a fix: set `fix`, or remove `setting`"
            )
        if other := [kind for kind in self.kinds if kind not in LOADS]:
            raise ValueError(
                f"{self.code}: setting {self.setting!r} rewrites loads ({', '.join(LOADS)}), not {other[0]!r}"
            )


class Rule:
    """A rule checks one site at a time and yields findings; it has no side effects.

    The class's docstring is its documentation: a summary line, an explanation of the problem, a `Bad:` and a
    `Good:` example (the tests run both), and a `Fix safety:` paragraph if the fix is unsafe.

    `check` yields `site.at(argument, detail)` for something that is written and `site.at_call(detail)` for
    something that is missing. A rule with its own fix builds it in a method `repair`, with any parameters,
    and yields it with the finding: `site.at(argument, detail, fix=self.repair(argument))`. Fixes of one call
    are applied together.
    """

    meta: ClassVar[Meta]

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        own = cls.__dict__
        if not isinstance(own.get("meta"), Meta):
            raise TypeError(f"{cls.__name__} has no `meta`")
        cls.meta.check()
        _check_method(cls)
        documentation = own.get("__doc__") or ""
        for part in ("Bad:", "Good:"):
            if f"{part}\n" not in documentation:
                raise TypeError(f"{cls.__name__}: the docstring has no {part!r} example")
        _check_fix(cls, own, documentation)

    def check(self, site: Site, settings: Settings) -> Iterator[Finding]:
        """Yield the findings at a site; only called for the kinds in `meta`."""
        raise NotImplementedError

    def matters(self, site: Site, settings: Settings) -> bool:
        """Whether a finding at a site matters; False if the file or its project shows that it does not.

        Only called for sites with findings, and not with `strict`. If in doubt, return True.
        """
        return True

    def safety(self, site: Site) -> Safety:
        """How safe the shared rewrite is for this site, from this rule's point of view."""
        return self.meta.fix or "display"

    def withheld(self, site: Site, settings: Settings) -> str | None:
        """The evidence in the file that the fix would break the program or change what it saves; None if there is none.

        The finding is still reported, with this reason and its line: "line 41 saves the model".
        """
        return None

    @classmethod
    def documentation(cls) -> str:
        import inspect  # importing it takes longer than importing all rules

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


def _check_method(cls: type[Rule]) -> None:
    """Check that `check` can be called and yields findings."""
    code = getattr(cls.__dict__.get("check"), "__code__", None)
    if code is None:
        raise TypeError(f"{cls.__name__} has no `check`")
    if code.co_argcount != 3:
        raise TypeError(f"{cls.__name__}.check must take (self, site, settings)")
    if not code.co_flags & _GENERATOR:
        raise TypeError(f"{cls.__name__}.check must yield its findings: `yield site.at(argument, detail)`")


def _check_fix(cls: type[Rule], own: Mapping[str, object], documentation: str) -> None:
    """Check that a declared fix is implemented, and that an implemented fix is declared."""
    name, meta, repairs = cls.__name__, cls.meta, "repair" in own
    if meta.fix is None and (extra := [each for each in ("repair", "safety", "withheld") if each in own]):
        raise TypeError(f"{name} has `{extra[0]}`, but its `meta` has no `fix`")
    if meta.fix is not None and meta.setting is None and not repairs:
        raise TypeError(f"{name}: fix={meta.fix!r} needs a method `repair` or a `setting` of the loader")
    if meta.setting is not None and repairs:
        raise TypeError(f"{name}: a rule with a `setting` is fixed by the loader's rewrite, not by `repair`")
    if meta.fix == "unsafe" and "Fix safety: " not in documentation:
        raise TypeError(f"{name}: an unsafe fix needs a 'Fix safety:' paragraph")


@by_identity
class Reported(NamedTuple):
    """A rule's finding at a site."""

    site: Site
    rule: Rule
    finding: Finding

    @property
    def message(self) -> str:
        message, detail = self.rule.meta.message, self.finding.told
        return self.finding.message or (f"{message}: {detail}" if detail else message)


def on_at(rules: Sequence[Rule], stated: Stage, installed: Stage) -> Sequence[Rule]:
    """The rules without those of transformers 5, where a file installs another release than its project states."""
    if installed == stated:
        return rules
    return [each for each in rules if not each.meta.five or installed in each.meta.five]


def origin(value: Value, site: Site) -> str:
    """Return `, from NAME, line 12` for a value that is not written in the call; names the file if it is another one."""
    if value.via is None:
        return ""
    name, line = value.via
    source = value.context.scope.tree.source
    # An imported file is read by its absolute path, and may be the call's own file.
    elsewhere = os.path.abspath(source.path) != os.path.abspath(site.source.path)
    file = f" in {os.path.basename(source.path)}" if elsewhere else ""
    return f", from {name}{file}, {line_name(source, line)}"


def line_name(source: Source, line: int) -> str:
    """A line as users see it: `line 12`, or `line 2 of the 3rd code cell` in a notebook."""
    if line > len(source.line_starts):
        return f"line {line}"  # the name is bound in this file, the value comes from a shorter one
    start = source.line_starts[line - 1]
    span = source.place(start, start)
    return place_in_words(span.line, span.cell)


def literal(argument: Argument) -> object:
    """Return the constant value of an argument; `...` if it is not certain to be one constant."""
    if len(argument.values) != 1 or argument.values[0].kind != "const" or argument.optional:
        return ...
    return argument.values[0].data


def written(argument: Argument) -> object:
    """Return the constant written in the call itself; `...` if it is passed through a name, which is easy to change."""
    value = argument.node.value if isinstance(argument.node, ast.keyword) else argument.node
    return value.value if argument.how == "keyword" and isinstance(value, ast.Constant) else ...


def value_text(site: Site, argument: Argument) -> str:
    """Return the source text of a keyword argument's value."""
    assert isinstance(argument.node, ast.keyword)
    start, end = site.range_of(argument.node.value)
    return site.source.text[start:end]


def shown(value: Value) -> str:
    """Return the value as written in the script, shortened."""
    text = ast.unparse(value.node) if isinstance(value.node, ast.expr) else str(value.data)
    text = " ".join(text.split())
    return text if len(text) <= 48 else f"{text[:45]}..."
