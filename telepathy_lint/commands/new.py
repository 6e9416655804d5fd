"""`telepathy-lint new`: a rule that runs, with fixtures, as the beginning of another one."""

from __future__ import annotations

import re
from argparse import ArgumentParser, Namespace
from pathlib import Path

from telepathy_lint import __version__
from telepathy_lint.commands.options import Usage
from telepathy_lint.rule import Meta

_RULE = '''\
from __future__ import annotations

from telepathy_lint.rule import Meta, Report, Rule, origin, shown
from telepathy_lint.scan import Site
from telepathy_lint.settings import Settings


class {class_name}(Rule):
    """The script itself fixes {argument}.

    Why that hurts, in two or three sentences: what happens, to whom, in which versions. What is not reported, and why.

    Bad:

        from transformers import AutoModelForCausalLM

        model = AutoModelForCausalLM.from_pretrained("gpt2", {argument}="x")

    Good:

        from transformers import AutoModelForCausalLM

        model = AutoModelForCausalLM.from_pretrained("gpt2")
    """

    meta = Meta(
        code="{code}",
        name="{name}",
        message="{argument} is fixed",
        since="{version}",
        kinds=("model",),{default}
    )

    def check(self, site: Site, settings: Settings) -> Report | None:
        argument = site.argument("{argument}")
        if argument is None or not all(value.kind == "const" for value in argument.values):
            return None
        value = argument.values[0]
        return self.at(site, argument.node, f"{{shown(value)}}{{origin(value, site)}}")
'''
_BAD = """\
from transformers import AutoModelForCausalLM

model = AutoModelForCausalLM.from_pretrained("gpt2", {argument}="x")  # {code}: {column}
"""
_GOOD = """\
from transformers import AutoModelForCausalLM


def whose_choice({argument}):
    return AutoModelForCausalLM.from_pretrained("gpt2", {argument}={argument})


absent = AutoModelForCausalLM.from_pretrained("gpt2")
"""
_LEFT = """\
wrote {rule}
wrote {fixtures}/bad_written.py and good_absent.py

It runs already:
    telepathy-lint rule {code}
    python -m pytest tests/test_rules.py -k {code}

What is left to do (docs/write-a-rule.md says how):
  1. In the rule: the docstring, `meta` (kinds, fix, setting), `check`; `repair`
     where there is a fix.
  2. In the fixtures: at least eight findings in bad_*.py, with the column beside
     the line, and eight loads in good_*.py that look alike and are fine.
  3. python -m pytest tests/test_rules.py -k {code} --bless
     writes bad_*.fixed.py; read the diff.
  4. telepathy-lint check --select {code} ~/src
     on code you did not write; read every finding.
  5. A test against the library for what the docstring says of it, beside those
     in tests/test_*claims.py.
  6. python docs/generate.py
     writes the rule's page; a line in CHANGELOG.md.
"""


def add_options(sub: ArgumentParser) -> None:
    sub.add_argument("code", metavar="CODE", help="TLP110, or TLP1xx for the first free one")
    sub.add_argument("name", metavar="NAME", help="what is found; reads after 'allow': hardcoded-device-map")
    sub.add_argument(
        "--argument", metavar="NAME", help="the argument it looks at (default: the name's last word)"
    )


def new(options: Namespace) -> int:
    root = _checkout()
    code = _free_code(options.code)
    argument = options.argument or options.name.rpartition("-")[2]
    if not argument.isidentifier():
        raise Usage(f"{argument!r} is no name of an argument: give one with --argument")
    try:
        Meta(
            code=code,
            name=options.name,
            message="",
            since=__version__,
            kinds=("model",),
            default=code[3] != "9",
        ).check()
    except ValueError as error:
        raise Usage(str(error)) from error
    names = {
        "code": code,
        "name": options.name,
        "argument": argument,
        "class_name": "".join(word.capitalize() for word in options.name.split("-")),
        "version": __version__,
        "default": "\n        default=False," if code[3] == "9" else "",
        "column": len('model = AutoModelForCausalLM.from_pretrained("gpt2", ') + 1,
    }
    rule = root / "telepathy_lint" / "rules" / f"{code.lower()}_{options.name.replace('-', '_')}.py"
    fixtures = root / "fixtures" / "rules" / code
    if fixtures.exists():
        raise Usage(f"{fixtures} is there already, without a rule to it")
    fixtures.mkdir(parents=True)
    for path, template in (
        (rule, _RULE),
        (fixtures / "bad_written.py", _BAD),
        (fixtures / "bad_written.fixed.py", _BAD.partition("  #")[0] + "\n"),
        (fixtures / "good_absent.py", _GOOD),
    ):
        path.write_text(template.format(**names), encoding="utf-8")
    print(_LEFT.format(rule=rule.relative_to(root), fixtures=fixtures.relative_to(root), code=code), end="")
    return 0


def _checkout() -> Path:
    """The checkout that the command stands in: an installed package is nobody's to add rules to."""
    for folder in (here := Path.cwd(), *here.parents):
        if (folder / "telepathy_lint" / "rules").is_dir() and (folder / "fixtures" / "rules").is_dir():
            return folder
    raise Usage("run this in a checkout of telepathy-lint: there is no telepathy_lint/rules here or above")


def _free_code(wanted: str) -> str:
    """The code, or the first free one of its hundred for `TLP1xx`; taken ones are refused."""
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
