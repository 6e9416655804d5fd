"""Writes the generated documentation: `python docs/generate.py`; a test fails when it is stale.

What stands in the code (rules, options, configuration keys) is documented from there and nowhere else.
"""

from __future__ import annotations

import argparse
import importlib
import io
import json
import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

from telepathy_lint.cache.place import NAME as CACHE
from telepathy_lint.commands import cli
from telepathy_lint.commands.rule import CODES_WITHOUT_RULE, markdown
from telepathy_lint.discovery import config, config_values
from telepathy_lint.facts import evidence
from telepathy_lint.rule import Rule
from telepathy_lint.rules import all_rules
from telepathy_lint.settings import Loader, Settings
from telepathy_runtime.commands import cli as runtime_cli

FOLDER = Path(__file__).parent
WRITTEN = "<!-- Written by docs/generate.py: change {source} instead. -->"

RULES_HEAD = """\
# Rules

{written}

Codes in the 100s concern loading, in the 200s generation and tokenizers, in the 300s models, paths and projects; the 900s,
and what needs a look at the whole project, are off unless selected. What cannot be decided from the project's own files is not reported. A *safe* fix keeps the
program's meaning; an *unsafe* one changes numbers or decoding and needs `--unsafe-fixes`.

Every example below was run when these pages were written, and the tests run them again: the bad one is reported, fixing it
gives the good one. What is said of transformers is run too, on 4.57 and on 5.x (`tests/test_claims.py` and
`tests/test_generation_claims.py`).
"""

#: What the command line's help does not say of a configuration key, or says of an option only.
KEYS = {
    "respect-gitignore": "leave out what git ignores",
    "strict": "report by the letter of the rules, also what the file itself shows not to matter ([below](#what-is-worth-reading))",
    "include-vendored": "lint copies of transformers, peft and trl in the project, too (they are left out and named otherwise)",
    "fix": "apply safe fixes on every run of `check`",
    "unsafe-fixes": "count fixes that change numbers or decoding as safe",
    "unsafe-fixes-despite": "kinds of evidence that hold no unsafe fix back ([below](#what-holds-an-unsafe-fix-back))",
    "target-transformers": "lowest transformers version to support; without it, what `pyproject.toml`, `setup.cfg`, "
    "requirement and lock files say",
    "baseline": "the baseline file; paths count from the configuration's folder",
    "loader": "the house loader that fixes rewrite to ([guide](house-loader.md))",
    "wrappers": "dotted names of functions that load a model and pass keyword arguments on to `from_pretrained`: their "
    "calls are linted like loads",
    "gpu": "the GPU that batches and the audit's figures are compared with; `telepathy-runtime plan --help` lists the names. "
    "`device` asks this machine: in the audit only, and it needs torch",
    "extend-safe-fixes": "rules whose unsafe fixes count as safe",
    "extend-unsafe-fixes": "rules whose safe fixes count as unsafe; it wins over `extend-safe-fixes` where both are equally specific",
    "extend": "the configuration file that this one builds on (below)",
    "required-version": "refuse to run where another version of telepathy-lint is installed; a bare version means that one",
    "cache-dir": "where results are kept between runs; counts from the configuration's folder",
    "output-format": "as `--output-format`: [formats](output-formats.md)",
}

#: What the default leaves out, by rule.
WORTH = {
    "TLP102": "the loaded weights themselves are trained, or the id names an encoder of a small size",
    "TLP103": "float32 weights are trained, or float16 is what an AWQ or GPTQ checkpoint or mixed precision wants",
    "TLP104": "no other implementation could be used: float32, a CPU, attention that is read or replaced",
    "TLP105": "the model never generates, or every call that generates states `do_sample` and a length",
    "TLP201": "nothing pads with the tokenizer",
    "TLP202": "nothing adds an end-of-sequence token to the texts",
    "TLP203": "TLP105 is reported for the same model",
}

CONFIGURATION_HEAD = """\
# Configuration

{written}

The nearest `pyproject.toml` with a `[tool.telepathy-lint]` section counts, or `telepathy-lint.toml` with the same keys at its
top level, which goes before a `pyproject.toml` beside it. `--config FILE` names one file for everything, `--isolated` reads
none. An unknown key is an error that names the nearest one there is; so is a section whose name is nearly right, such as
`[tool.telepathy_lint]`.

```toml
[tool.telepathy-lint]
extend-select = ["TLP902"]
target-transformers = "4.57"
extend-exclude = ["third_party"]
unfixable = ["TLP105"]

[tool.telepathy-lint.per-file-ignores]
"tests/*" = ["TLP102", "TLP104"]
```

## What goes before what

1. The options of the command line; among them `--config "key = value"` (TOML, may be given several times) goes after the
   option that is made for the key.
2. The environment: `TELEPATHY_LINT_OUTPUT_FORMAT`, `TELEPATHY_LINT_OUTPUT_FILE`, `TELEPATHY_LINT_CACHE_DIR` and
   `TELEPATHY_LINT_NO_CACHE` (`true` or `false`). An empty variable says nothing.
3. The configuration file.
4. The file that it names with `extend`, and so on. Paths and patterns count from the folder of the file that they stand in.
5. The default.

A value replaces the one that goes after it, with the exceptions that Ruff makes. `ignore`, `unfixable` and all keys that begin
with `extend-` are added to what is there. `select` begins anew: what goes after it neither selects nor ignores rules any more;
`fixable` does the same for fixes. Where one place says both yes and no of a rule, the more specific selector counts: a code
goes before a prefix, a prefix before `ALL`; where both are equally specific, the rule is left out, or not fixed.

Files of different folders are not merged: without `extend`, the nearest one counts alone. `telepathy-lint config [PATH]`
prints what a run over the path would use, with the place of every value, the rules that are left and what is made of their
fixes. `telepathy-lint check --show-settings` does the same with the other options of `check`.

## Keys

"""

CLI_HEAD = """\
# Command line

{written}

`telepathy-lint` needs nothing but the linter; `telepathy-runtime` plans without torch and loads with it. Exit codes of
`telepathy-lint check`: 0 nothing found, 1 something found, 2 something could not be done (the rest still was). In every
command of both, output that cannot be written (a full disk) is one line on standard error and exit code 2. A reader that
stops early (`| head`) changes neither what the command does nor its exit code.
"""


def rule_page(rule: Rule) -> str:
    """docs/rules/<code>-<name>.md."""
    meta = rule.meta
    title, *rest = markdown(rule)
    source = f"telepathy_lint/rules/{type(rule).__module__.rpartition('.')[2]}.py"
    found = reported(rule)
    lines = [
        f"{each['path']}:{each['line']}:{each['column']}: {each['code']} {each['message']}" for each in found
    ]
    safety = found[0]["fix"] and found[0]["fix"]["safety"]
    said = ["", "## What is reported", "", "The bad example gives:", "", "```text", *lines, "```", ""]
    if safety in ("safe", "unsafe"):
        option = "" if safety == "safe" else " --unsafe-fixes"
        said += [f"`--fix{option}` makes it the good one.", ""]
    switch = (
        f'`ignore = ["{meta.code}"]` switches it off'
        if meta.default
        else f'It is off by default: `extend-select = ["{meta.code}"]` switches it on'
    )
    said += [
        f"A comment `# noqa: {meta.code}` at the line's end silences it ([suppression](../suppression.md)). {switch}"
        " ([configuration](../configuration.md)).",
        "",
    ]
    return "\n".join([title, "", WRITTEN.format(source=source), *rest, *said])


def reported(rule: Rule) -> list[dict[str, Any]]:
    """What the command says of the bad example, in a project that holds nothing else."""
    before, printed = os.getcwd(), io.StringIO()
    with tempfile.TemporaryDirectory() as folder, redirect_stdout(printed):
        os.chdir(folder)
        try:
            Path("bad.py").write_text(rule.example("Bad"), encoding="utf-8")
            options = ["--isolated", "--no-cache", "--select", rule.meta.code, "--output-format", "json"]
            assert cli.run(["check", *options, "."]) == 1, f"{rule.meta.code} does not report its bad example"
        finally:
            os.chdir(before)
    found: list[dict[str, Any]] = json.loads(printed.getvalue())
    return found


def rules_index() -> str:
    """docs/rules/README.md: a table of the rules."""
    table = ["| code | name | finds | fix |", "| --- | --- | --- | --- |"]
    for rule in all_rules():
        meta = rule.meta
        off = "" if meta.default else " *(off by default)*"
        table.append(
            f"| [{meta.code}]({page_name(rule)}) | {meta.name} | {rule.summary()}{off} | {meta.fix or ''} |"
        )
    others = ["", "Two codes are no rules:", "", "| code | name | says |", "| --- | --- | --- |"]
    others += [f"| {code} | {name} | {text} |" for code, (name, text) in CODES_WITHOUT_RULE.items()]
    head = RULES_HEAD.format(written=WRITTEN.format(source="the rules' docstrings"))
    return "\n".join([head, *table, *others, ""])


def page_name(rule: Rule) -> str:
    return f"{rule.meta.code.lower()}-{rule.meta.name}.md"


def configuration() -> str:
    """docs/configuration.md: every key of the configuration."""
    options = {action.dest: action for action in actions(subparser("check"))}
    defaults = config.Config()
    rows = ["| key | value | default | what it does |", "| --- | --- | --- | --- |"]
    for key in config.keys():  # noqa: SIM118 - a function of ours, no dict
        value = getattr(defaults, key.replace("-", "_"))
        text = KEYS.get(key) or options[key].help
        _, expected = config_values.CHECKS.get(key, config_values.STRINGS)
        rows.append(f"| `{key}` | {escaped(expected)} | {default_of(key, value)} | {escaped(str(text))} |")
    loader = [
        "",
        "## Keys of `loader`",
        "",
        "| key | default |",
        "| --- | --- |",
        *(f"| `{name.replace('_', '-')}` | `{usual}` |" for name, usual in Loader()._asdict().items()),
    ]
    held = [
        "",
        "## What holds an unsafe fix back",
        "",
        "An unsafe fix is not made where the file shows that it would break the program or change what it saves. The finding",
        "stays and names the line. Evidence counts for the whole file, whatever object it is about. A kind that is listed in",
        "`unsafe-fixes-despite` holds nothing back.",
        "",
        "| kind | a line that, or what is so of the load | holds back the fixes of |",
        "| --- | --- | --- |",
        *(
            f"| `{kind}` | {what} | {', '.join(held_back_by(kind))} |"
            for kind, what in evidence.KINDS.items()
        ),
    ]
    worth = [
        "",
        "## What is worth reading",
        "",
        "A finding that is true can be of no use. By default, what the file itself shows not to matter is left out; `strict`",
        "reports it too. Evidence silences a finding, the lack of evidence never does: a script that loads a model and shows",
        "nothing else gets every finding, and so does a model that leaves the file.",
        "",
        "| rule | is left out where the file shows that |",
        "| --- | --- |",
        *(f"| {code} | {what} |" for code, what in WORTH.items()),
    ]
    excluded = [
        "",
        "## What is left out by default",
        "",
        ", ".join(f"`{name}`" for name in config.DEFAULT_EXCLUDE),
        "",
    ]
    head = CONFIGURATION_HEAD.format(
        written=WRITTEN.format(
            source="telepathy_lint/discovery/config.py, commands/ or the texts in docs/generate.py"
        )
    )
    return "\n".join([head.rstrip("\n"), "", *rows, *loader, *worth, *held, *excluded])


def held_back_by(kind: str) -> list[str]:
    """The rules whose fixes evidence of a kind holds back."""
    by_rule = {
        "TLP102": evidence.OF_DTYPE, "TLP103": evidence.OF_DTYPE, "TLP105": evidence.OF_GENERATION,
        "TLP201": evidence.OF_PAD_TOKEN,
    }  # fmt: skip
    return [code for code, kinds in by_rule.items() if kind in kinds]


def default_of(key: str, value: Any) -> str:
    if key == "exclude":
        return "[below](#what-is-left-out-by-default)"
    if key == "loader":
        return "[`telepathy_runtime`](#keys-of-loader)"
    if key == "select":
        return "rules that are on by default"
    if key == "fixable":
        return '`["ALL"]`'
    if key.endswith("per-file-ignores"):
        return "`{}`"
    if key == "cache-dir":
        return f"`{CACHE}` beside the configuration"
    if key == "gpu":
        return f'`"{Settings().gpu}"`'
    if value is None:
        return "none"
    return (
        f"`{str(value).lower()}`"
        if isinstance(value, bool)
        else f"`{list(value) if isinstance(value, tuple) else value}`"
    )


def command_line() -> str:
    """docs/cli.md: every subcommand and option of both commands."""
    sections: list[str] = []
    for name in cli.SUBCOMMANDS:
        sections += section(f"telepathy-lint {name}", subparser(name))
    for name, (parser, text) in runtime_parsers().items():
        sections += section(f"telepathy-runtime {name}", parser, text)
    head = CLI_HEAD.format(
        written=WRITTEN.format(source="the parsers (telepathy_lint/commands/, telepathy_runtime/)")
    )
    return "\n".join([head, *sections])


def subparser(name: str) -> argparse.ArgumentParser:
    """The parser of one of telepathy-lint's subcommands."""
    top = cli.parser(name)
    (found,) = (each for each in top._actions if isinstance(each, argparse._SubParsersAction))
    parser: argparse.ArgumentParser = found.choices[name]
    return parser


def runtime_parsers() -> dict[str, tuple[argparse.ArgumentParser, str]]:
    """telepathy-runtime's subcommands: the parser and what is said of it."""
    found: dict[str, tuple[argparse.ArgumentParser, str]] = {}
    for module, names in runtime_cli.COMMANDS.items():
        subparsers = argparse.ArgumentParser().add_subparsers()
        importlib.import_module(module).add_parsers(subparsers)
        found |= {name: (subparsers.choices[name], described(subparsers, name)) for name in names}
    return found


def described(subparsers: Any, name: str) -> str:
    return next(str(each.help) for each in subparsers._choices_actions if each.dest == name)


def section(title: str, parser: argparse.ArgumentParser, text: str | None = None) -> Iterator[str]:
    yield from (f"## {title}", "", f"{capital(text or parser.description or '')}.", "")
    rows = list(actions(parser))
    if not rows:
        yield from ("It has no options.", "")
        return
    yield from ("| argument | what it does |", "| --- | --- |")
    for action in rows:
        choices = (
            ""
            if not action.choices or action.metavar
            else "one of " + ", ".join(f"`{each}`" for each in action.choices)
        )
        # Python 3.10 adds to the help of a flag that can be negated what later versions leave to the formatter.
        text = escaped(
            (action.help or "").removesuffix(" (default: %(default)s)") % {"default": action.default}
        )
        default = f"default: {default_text(action)}" if shows_default(action) else ""
        yield f"| {spelled(action)} | {'; '.join(part for part in (text, choices, default) if part)} |"
    yield ""


def actions(parser: argparse.ArgumentParser) -> Iterator[argparse.Action]:
    for action in parser._actions:
        if action.help != argparse.SUPPRESS and not isinstance(action, argparse._HelpAction):
            yield action


def default_text(action: argparse.Action) -> str:
    if isinstance(action.default, bool):
        return "on" if action.default else "off"
    return f"`{' '.join(action.default) if isinstance(action.default, list) else action.default}`"


def shows_default(action: argparse.Action) -> bool:
    if isinstance(action, argparse.BooleanOptionalAction):
        return True
    given = action.default not in (None, False, argparse.SUPPRESS) and action.nargs != 0
    return given and not (action.help and "default" in action.help)


def spelled(action: argparse.Action) -> str:
    metavar = action.metavar if isinstance(action.metavar, str) else action.dest.upper()
    if not action.option_strings:
        return f"`{metavar}`"
    value = "" if action.nargs == 0 or (action.choices and not action.metavar) else f" {metavar}"
    return ", ".join(f"`{each}{value}`" for each in action.option_strings)


def capital(text: str) -> str:
    return text[:1].upper() + text[1:].rstrip(".")


def escaped(text: str) -> str:
    return text.replace("|", "\\|")


PAGES: dict[str, Callable[[], str]] = {
    "rules/README.md": rules_index,
    **{f"rules/{page_name(rule)}": lambda rule=rule: rule_page(rule) for rule in all_rules()},  # type: ignore[misc]
    "configuration.md": configuration,
    "cli.md": command_line,
}


def main() -> None:
    for stale in set((FOLDER / "rules").glob("*.md")) - {FOLDER / name for name in PAGES}:
        stale.unlink()
    for name, page in PAGES.items():
        (FOLDER / name).parent.mkdir(exist_ok=True)
        (FOLDER / name).write_text(page(), encoding="utf-8")


if __name__ == "__main__":
    main()
