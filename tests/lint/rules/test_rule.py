"""The interface of rules: malformed definitions are refused with a clear message; findings are separate."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest

from telepathy_lint import engine, rules
from telepathy_lint.findings.change import Change, Repair
from telepathy_lint.findings.finding import Finding
from telepathy_lint.findings.violation import Fix
from telepathy_lint.rule import Meta, Rule
from telepathy_lint.rules import all_rules, select, select_by
from telepathy_lint.settings import Five, Settings
from telepathy_lint.settings.selectors import Layer
from telepathy_lint.sites import Argument, Site
from telepathy_lint.source.text import Source

EXAMPLES = "Something.\n\nBad:\n\n    a\n\nGood:\n\n    b\n"
PROSE = f"{EXAMPLES}\nFix safety: it changes numbers.\n"


def meta(**fields: Any) -> Meta:
    """A valid `Meta`, except for the given fields."""
    whole: dict[str, Any] = {
        "code": "TLP999", "name": "loud-thing", "message": "too loud", "since": "0.1.0", "kinds": ("model",), "default": False,
        **fields,
    }  # fmt: skip
    return Meta(**whole)


def yields(self: Rule, site: Site, settings: Settings) -> Iterator[Finding]:
    yield site.at_call()


def repairs(self: Rule) -> Repair:
    return Repair("safe", "remove it", Change())


def define(**body: Any) -> type[Rule]:
    """A rule with this body, in addition to the required parts."""
    return type("Loud", (Rule,), {"__doc__": EXAMPLES, "meta": meta(), "check": yields, **body})


def test_a_whole_definition_is_accepted() -> None:
    define()
    define(meta=meta(fix="safe"), repair=repairs)
    define(meta=meta(fix="unsafe", setting="dtype"), __doc__=PROSE)


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"code": "TLP777"}, "'TLP777' is not a rule code"),
        ({"code": "TLP99"}, "'TLP99' is not a rule code"),
        ({"name": "no-thing"}, "must read well after 'allow'"),
        ({"only_bare": ("path",)}, "only_bare has 'path', which is not among its kinds"),
        ({"name": "Loud-Thing"}, "must read well after 'allow'"),
        ({"message": ""}, "message '' must not be empty"),
        (
            {"message": "too loud:"},
            "message 'too loud:' must not be empty, or begin or end with a space, full stop or colon",
        ),
        ({"since": "soon"}, "since 'soon' is not a version"),
        ({"kinds": ()}, "at least one kind"),
        ({"kinds": "model"}, "kinds must be a tuple"),
        ({"kinds": ("model", "modle")}, "unknown kind 'modle'; the kinds are model, tokenizer"),
        ({"kinds": ("model", "model")}, "kind 'model' is listed twice"),
        ({"fix": "display"}, "unknown fix 'display'"),
        ({"fix": "sure"}, "unknown fix 'sure'"),
        ({"setting": "dtype"}, "setting 'dtype' needs a fix"),
        ({"setting": "nonsense", "fix": "safe"}, "unknown setting 'nonsense'; settings are device_map"),
        ({"setting": "dtype", "fix": "safe", "kinds": ("model", "generate")}, "rewrites loads"),
        ({"default": True}, "off by default"),
        ({"code": "TLP199", "default": False}, "off by default"),
        ({"code": "TLP199", "project": True, "default": True}, "off by default"),
        ({"five": ("needs",)}, "exactly the 400s depend"),
        ({"code": "TLP499", "default": True}, "exactly the 400s depend"),
        ({"covered_by": "TLP999"}, "covered_by 'TLP999' is not the code of another rule"),
        ({"covered_by": "loads"}, "covered_by 'loads' is not the code"),
    ],
)
def test_a_malformed_description_is_refused(fields: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=re.escape(said)):
        define(meta=meta(**fields), __doc__=PROSE, repair=repairs)


def returns(self: Rule, site: Site, settings: Settings) -> list[Finding]:
    return []


def takes_less(self: Rule, site: Site) -> Iterator[Finding]:
    yield site.at_call()


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({"meta": None}, "has no `meta`"),
        ({"check": None}, "has no `check`"),
        ({"check": returns}, "must yield its findings"),
        ({"check": takes_less}, "must take (self, site, settings)"),
        ({"__doc__": None}, "no 'Bad:' example"),
        ({"__doc__": "Something.\n\nBad:\n\n    a\n"}, "no 'Good:' example"),
        ({"meta": meta(fix="safe")}, "fix='safe' needs a method `repair` or a `setting`"),
        ({"meta": meta(fix="unsafe"), "repair": repairs}, "needs a 'Fix safety:' paragraph"),
        ({"repair": repairs}, "has `repair`, but its `meta` has no `fix`"),
        ({"safety": lambda self, site: "safe"}, "has `safety`, but its `meta` has no `fix`"),
        ({"withheld": lambda self, site, settings: None}, "has `withheld`, but its `meta` has no `fix`"),
        ({"meta": meta(fix="safe", setting="dtype"), "repair": repairs}, "not by `repair`"),
    ],
)
def test_a_malformed_rule_is_refused(body: dict[str, Any], said: str) -> None:
    with pytest.raises(TypeError, match=re.escape(said)):
        define(**body)


@pytest.mark.parametrize("five", ["", "admits", "needs"])
def test_the_selected_rules_are_those_that_are_on(five: Five) -> None:
    """Although the modules of those that are off are not imported to ask them."""
    assert select_by([], five) == tuple(rule for rule in all_rules() if rule.meta.is_on(five))
    every = Layer(more=("ALL",))
    assert select_by([every], five) == all_rules()
    assert [rule.meta.code for rule in select_by([Layer(("TLP903", "removed-name"))], five)] == [
        "TLP404",
        "TLP903",
    ]


def test_a_module_that_is_not_named_after_its_rule_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    module = "tlp101_hardcoded_device_map"
    monkeypatch.setattr(rules, "_modules", lambda: {module: ("TLP101", "device-map")})
    with pytest.raises(ImportError, match="must be the code and the name"):
        rules._rule.__wrapped__(module)


@pytest.mark.parametrize("rule", all_rules(), ids=lambda rule: rule.meta.code)
def test_what_covers_a_rule_is_a_rule(rule: Rule) -> None:
    assert rule.meta.covered_by in (None, *(each.meta.code for each in all_rules()))


# ---- what a rule yields

CALL = """\
from transformers import AutoModelForCausalLM

model = AutoModelForCausalLM.from_pretrained(
    "gpt2",
    loud=True,
    noisy=True,
)
"""


class LoudArgument(Rule):
    """Something.

    Bad:

        a

    Good:

        b
    """

    meta = meta(fix="safe")

    def check(self, site: Site, settings: Settings) -> Iterator[Finding]:
        for name in ("loud", "noisy"):
            if (argument := site.argument(name)) is not None:
                yield site.at(argument, name, fix=self.repair(argument))

    def repair(self, argument: Argument) -> Repair:
        return Repair("safe", f"remove {argument.name}", Change(removed=(argument.name,)))


def found(text: str, **options: Any) -> list[tuple[int, int, str, Fix | None]]:
    violations = engine.lint(Source("a.py", text.encode()), [LoudArgument()], Settings(), **options)
    return [(one.line, one.column, one.message, one.fix) for one in violations]


def test_each_finding_has_its_place_and_its_fix() -> None:
    fix = Fix("safe", "remove loud, noisy")
    assert found(CALL) == [(5, 5, "too loud: loud", fix), (6, 5, "too loud: noisy", fix)]


def test_a_comment_silences_one_finding_and_its_fix() -> None:
    silenced = CALL.replace("loud=True,", "loud=True,  # noqa: TLP999")
    assert found(silenced) == [(6, 5, "too loud: noisy", Fix("safe", "remove noisy"))]
    fixed = engine.fix(Source("a.py", silenced.encode()), [LoudArgument()], Settings())
    assert "loud=True,  # noqa: TLP999\n" in fixed.text
    assert "noisy" not in fixed.text


def test_where_no_fix_is_offered_none_is_said() -> None:
    assert [fix for *_, fix in found(CALL, offers=False)] == [None, None]


def test_a_fix_of_several_findings_is_made_once() -> None:
    fixed = engine.fix(Source("a.py", CALL.encode()), [LoudArgument()], Settings())
    assert len(fixed.applied) == 2
    assert fixed.text.endswith('from_pretrained("gpt2")\n')


def test_a_place_that_is_no_call_is_what_stands_there() -> None:
    text = b'import os\n\nos.environ["HF_HOME"] = "/home/me/models"\n'
    (one,) = engine.lint(Source("a.py", text), select(["TLP304"]), Settings())
    assert one.site is not None
    assert (one.column, one.site.span.column, one.site.span.end_column) == (25, 1, 42)


def test_what_two_fixes_say_is_said_once() -> None:
    one = Change(removed=("loud",), added=(("quiet", "True"),), after=("hush()",))
    assert one | one == one
    assert one | Change(removed=("noisy",)) == one._replace(removed=("loud", "noisy"))
