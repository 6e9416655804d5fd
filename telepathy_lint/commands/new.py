"""`telepathy-lint new`: create the skeleton of a rule that already works, with fixtures."""

from __future__ import annotations

import re
from argparse import ArgumentParser, Namespace
from pathlib import Path
from textwrap import indent

from telepathy_lint import __version__
from telepathy_lint.commands.new_shapes import CALLS, PLACES
from telepathy_lint.commands.options import Usage
from telepathy_lint.rule import Meta

_RULE = '''\
from __future__ import annotations

from collections.abc import Iterator

from telepathy_lint.findings.finding import Finding
from telepathy_lint.rule import Meta, Rule{helpers}
from telepathy_lint.settings import Settings
from telepathy_lint.sites import Site


class {class_name}(Rule):
    """{summary}

    Explain in two or three sentences why this is a problem: what happens, to whom, in which versions. Say what is not
    reported, and why.

    Bad:

{bad}

    Good:

{good}
    """

    meta = Meta(
        code="{code}",
        name="{name}",
        message="{message}",
        since="{version}",
        kinds=("{kind}",),{default}
    )

    def check(self, site: Site, settings: Settings) -> Iterator[Finding]:
{check}
'''
#: When a rule is on, by the first digit of its code.
_ONLY = {"9": "\n        default=False,", "4": '\n        five=("admits", "needs"),'}
_CHECK_ARGUMENT = """\
        argument = site.argument("{argument}")
        if argument is not None and all(value.kind == "const" for value in argument.values):
            value = argument.values[0]
            yield site.at(argument, f"{{shown(value)}}{{origin(value, site)}}")
"""
_CHECK_VARIABLES = """\
        for argument in site.arguments.values():
            if all(value.kind == "const" for value in argument.values):
                value = argument.values[0]
                yield site.at(argument, f"{{argument.name}} is {{shown(value)}}{{origin(value, site)}}")
"""
_CHECK_LITERAL = """\
        yield site.at(site.node, repr(site.model_id))
"""
_LEFT = """\
wrote {rule}
wrote {fixtures}/bad_written.py and good_absent.py

The rule already works:
    telepathy-lint rule {code}
    python -m pytest tests/lint/rules/test_rules.py -k {code}

Next steps (see docs/write-a-rule.md):
  1. In the rule, write the docstring, `meta` (kinds, fix, setting) and `check`;
     add `repair` if the rule has its own fix.
  2. In the fixtures, write at least eight findings in bad_*.py, and eight
     similar loads that are fine in good_*.py.
  3. Run: python -m pytest tests/lint/rules/test_rules.py -k {code} --bless
     It writes the expectations and bad_*.fixed.py. Read the diff.
  4. Run: telepathy-lint check --select {code} ~/src
     on code you did not write. Read every finding.
  5. Add a test to tests/lint/knowledge/test_*claims.py for what the docstring says about the
     library.
  6. Run: python docs/generate.py
     It writes the rule's page. Add a line to CHANGELOG.md.
"""


def add_options(sub: ArgumentParser) -> None:
    sub.add_argument("code", metavar="CODE", help="TLP110, or TLP1xx for the first free code")
    sub.add_argument("name", metavar="NAME", help="what is found; reads after 'allow': hardcoded-device-map")
    sub.add_argument(
        "--kind",
        choices=(*CALLS, *PLACES),
        default="model",
        metavar="KIND",
        help=f"the kind of site the rule looks at: {', '.join((*CALLS, *PLACES))} (default: model)",
    )
    sub.add_argument(
        "--argument", metavar="NAME", help="the argument the rule looks at (default: the last word of NAME)"
    )


def new(options: Namespace) -> int:
    root = _checkout()
    code = _free_code(options.code)
    argument = options.argument or options.name.rpartition("-")[2]
    if options.kind in PLACES and options.argument is not None:
        raise Usage(f"--argument cannot be used with --kind {options.kind}, which is not a call")
    if options.kind in CALLS and not argument.isidentifier():
        raise Usage(f"{argument!r} is not a valid argument name: pass one with --argument")
    texts = _texts(code, options.kind, argument)
    try:
        Meta(
            code=code,
            name=options.name,
            message=texts["message"],
            since=__version__,
            kinds=(options.kind,),
            default=code[3] != "9",
            five=("admits", "needs") if code[3] == "4" else (),
        ).check()
    except ValueError as error:
        raise Usage(str(error)) from error
    names = {
        **texts,
        "code": code,
        "name": options.name,
        "kind": options.kind,
        "class_name": "".join(word.capitalize() for word in options.name.split("-")),
        "version": __version__,
        "default": _ONLY.get(code[3], ""),
        "bad": indent(texts["bad"], "    " * 2).rstrip(),
        "good": indent(texts["good"], "    " * 2).rstrip(),
    }
    rule = root / "telepathy_lint" / "rules" / f"{code.lower()}_{options.name.replace('-', '_')}.py"
    fixtures = root / "fixtures" / "rules" / code
    if fixtures.exists():
        raise Usage(f"{fixtures} already exists, but its rule does not")
    fixtures.mkdir(parents=True)
    for path, text in (
        (rule, _RULE.format(**names).rstrip() + "\n"),
        (fixtures / "bad_written.py", texts["expected"]),
        (fixtures / "bad_written.fixed.py", texts["bad"]),
        (fixtures / "good_absent.py", texts["fine"]),
    ):
        path.write_text(text, encoding="utf-8")
    print(_LEFT.format(rule=rule.relative_to(root), fixtures=fixtures.relative_to(root), code=code), end="")
    return 0


def _texts(code: str, kind: str, argument: str) -> dict[str, str]:
    """The parts of the rule and of its fixtures that depend on the kind of site."""
    if kind in PLACES:
        shape, good_line = PLACES[kind]
        bad_line, fine = shape.line.format(), f"{shape.before}{good_line}\n"
        good, message = fine, "found here"
        check, at = (
            (_CHECK_VARIABLES.format(), bad_line.index('"x"'))
            if kind == "path"
            else (_CHECK_LITERAL, bad_line.index('"meta'))
        )
        summary = "The script hard-codes this place."
    else:
        shape = CALLS[kind]
        bad_line = shape.line.format(more=f', {argument}="x"')
        good = f"{shape.before}{shape.line.format(more='')}\n{shape.after}"
        passed = shape.line.format(more=f", {argument}={argument}")
        chosen = f"{shape.before}def whose_choice({argument}):\n    {passed}\n"
        fine = f"{chosen}\n\n{shape.line.format(more='')}\n{shape.after}".replace("\n\ndef", "\n\n\ndef")
        message, check = f"{argument} is fixed", _CHECK_ARGUMENT.format(argument=argument)
        at = bad_line.index(f'{argument}="x"')
        summary = f"The script hard-codes {argument}."
    return {
        "bad": f"{shape.before}{bad_line}\n{shape.after}",
        "expected": f"{shape.before}{bad_line}  # {code}: {at + 1}\n{shape.after}",
        "good": good,
        "fine": fine,
        "message": message,
        "check": check,
        "helpers": ", origin, shown" if "shown" in check else "",
        "summary": summary,
    }


def _checkout() -> Path:
    """The checkout that contains the current folder; rules cannot be added to an installed package."""
    for folder in (here := Path.cwd(), *here.parents):
        if (folder / "telepathy_lint" / "rules").is_dir() and (folder / "fixtures" / "rules").is_dir():
            return folder
    raise Usage(
        "run this in a checkout of telepathy-lint: telepathy_lint/rules is not in this folder or above"
    )


def _free_code(wanted: str) -> str:
    """The code, or for `TLP1xx` the first free code from 100 on.

    Raises:
        Usage: the code is taken.
    """
    from telepathy_lint.rules import all_rules

    taken = {rule.meta.code: rule.meta.name for rule in all_rules()}
    code = wanted.upper()
    if re.fullmatch(r"TLP\dXX", code):
        hundred = int(code[3]) * 100
        return next(
            free for number in range(hundred + 1, hundred + 100) if (free := f"TLP{number}") not in taken
        )
    if code in taken:
        raise Usage(f"{code} is taken: {taken[code]}")
    return code
