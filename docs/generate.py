"""Writes the generated documentation: `python docs/generate.py`. A test fails when it is stale.

The documentation of rules, options and configuration keys comes from the code and nowhere else. The table of the models'
sizes (`telepathy_runtime/models/sizes.txt`) is written too.
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
from telepathy_lint.commands.parser import SUBCOMMANDS, parser
from telepathy_lint.commands.rule import CODES_WITHOUT_RULE
from telepathy_lint.discovery import config, config_values
from telepathy_lint.facts import evidence
from telepathy_lint.output.rule_page import markdown
from telepathy_lint.rule import Rule
from telepathy_lint.rules import all_rules
from telepathy_lint.settings import Loader, Settings
from telepathy_runtime.commands import cli as runtime_cli
from telepathy_runtime.models import sizes

FOLDER = Path(__file__).parent
WRITTEN = "<!-- Written by docs/generate.py: change {source} instead. -->"

RULES_HEAD = """\
# Rules

{written}

Codes in the 100s are about loading, in the 200s about generation and tokenizers, in the 300s about models, paths and projects, in
the 400s about the move to transformers 5 (on by default where the project's requirements allow 5). Rules in the 900s, and rules that look at the whole project, are off unless selected. The rules report only what can be decided from the
project's own files. A *safe* fix keeps the program's meaning; an *unsafe* fix changes numbers or decoding and needs `--unsafe-fixes`.

Every example below was run when these pages were written, and the tests run them again: the bad example is reported, and fixing it
gives the good one. Statements about transformers are tested too, on 4.57 and on 5.x (`tests/lint/knowledge/test_claims.py` and
`tests/lint/knowledge/test_generation_claims.py`).
"""

#: Descriptions of configuration keys that the command line's help lacks or that differ from it.
KEYS = {
    "respect-gitignore": "skip files that git ignores",
    "strict": "also report findings that do not matter according to the code ([below](#findings-that-do-not-matter))",
    "include-vendored": "also lint copies of transformers, peft and trl in the project, and the distributions in folders such as `third_party` (otherwise they are skipped, with a note)",
    "fix": "apply safe fixes on every run of `check`",
    "unsafe-fixes": "include unsafe fixes: fixes that change numbers or decoding",
    "unsafe-fixes-despite": "kinds of evidence that do not block unsafe fixes ([below](#what-blocks-an-unsafe-fix))",
    "target-transformers": "lowest transformers version to support, or all of them; by default, read from `pyproject.toml`, `setup.cfg`, "
    "requirement and lock files",
    "target-trl": "lowest trl version to support, which decides what fixes of trl's arguments may write",
    "baseline": "the baseline file, relative to the configuration's folder",
    "loader": "the loader that fixes use ([guide](house-loader.md))",
    "wrappers": "dotted names of functions that load a model and pass keyword arguments on to `from_pretrained`; their "
    "calls are linted like loads",
    "gpu": "the GPU to compare batch sizes and the audit's figures with; `telepathy-runtime plan --help` lists the names. "
    "`device` queries this machine; it works only in the audit and needs torch",
    "model-registry": "a TOML file with your own models, for TLP305 and the audit, relative to the configuration's folder "
    "([format](memory.md#models))",
    "extend-safe-fixes": "rules whose unsafe fixes count as safe",
    "extend-unsafe-fixes": "rules whose safe fixes count as unsafe; takes precedence over `extend-safe-fixes` if both are equally specific",
    "extend": "a configuration file to build on (see above)",
    "required-version": "fail if another version of telepathy-lint is installed; a bare version means exactly that version",
    "cache-dir": "folder for cached results, relative to the configuration's folder",
    "output-format": "the [output format](output-formats.md), like `--output-format`",
}

#: When the default settings drop findings, by rule.
WORTH = {
    "TLP101": "one process runs the file (the project starts it with plain python, or has no launcher), or the caller gives the device",
    "TLP102": "the loaded weights are trained, the id names a small encoder, a notebook's cell was run, or a new installation gets transformers 5",
    "TLP103": "float32 weights are trained, or an AWQ or GPTQ checkpoint or mixed precision requires float16",
    "TLP104": "the project does not choose attention elsewhere and transformers picks what the model needs, or no other "
    "implementation could be used: float32, a CPU, attention that is read or replaced",
    "TLP105": "the model never generates, answers are only printed, or every call that generates sets `do_sample` and a length",
    "TLP106": "the move considers the device map",
    "TLP107": "the argument changes nothing in any release that the project allows, and what it asks for happens anyway",
    "TLP108": "the model already has what the argument asks for",
    "TLP201": "the tokenizer is never used for padding",
    "TLP202": "no end-of-sequence token is added to the texts",
    "TLP203": "TLP105 is reported for the same model",
    "TLP204": "the call states `do_sample=False`, which is then what it does",
    "TLP302": "the hub redirects the old id, and neither offline use nor a comparison of names needs the new one",
    "TLP304": "the file names other paths of its machine",
}
#: What has to be known in a project, beside what the next table says.
IN_A_PROJECT = {
    "TLP101": "a launcher starts the file",
    "TLP102": "the model has at least three billion parameters",
    "TLP104": "another implementation changes results in the release that the project names",
    "TLP105": "the checkpoint is known to sample, and the file generates with it",
    "TLP106": "a quantized model is cast",
    "TLP107": "every run passes the argument",
    "TLP201": "(never)",
    "TLP203": "(never)",
    "TLP304": "(never)",
}

CONFIGURATION_HEAD = """\
# Configuration

{written}

Settings are read from the nearest `pyproject.toml` with a `[tool.telepathy-lint]` section, or from `telepathy-lint.toml` with the same
keys at its top level. If a folder has both, `telepathy-lint.toml` is used. `--config FILE` uses one file for everything, and
`--isolated` ignores all files. An unknown key is an error that suggests the closest known key. A misspelled section such as
`[tool.telepathy_lint]` is also an error.

```toml
[tool.telepathy-lint]
extend-select = ["TLP902"]
target-transformers = "4.57"
extend-exclude = ["third_party"]
unfixable = ["TLP105"]

[tool.telepathy-lint.per-file-ignores]
"tests/*" = ["TLP102", "TLP104"]
```

## Precedence

From highest to lowest:

1. Command-line options. `--config "key = value"` (TOML, can be repeated) comes after the option with the same name as the key.
2. Environment variables: `TELEPATHY_LINT_OUTPUT_FORMAT`, `TELEPATHY_LINT_OUTPUT_FILE`, `TELEPATHY_LINT_CACHE_DIR` and
   `TELEPATHY_LINT_NO_CACHE` (`true` or `false`). Empty variables are ignored.
3. The configuration file.
4. The file that it names with `extend`, and so on. Paths and patterns are relative to the folder of the file that contains them.
5. The default.

A value replaces values of lower precedence, with the same exceptions as in Ruff. `ignore`, `unfixable` and all keys that begin
with `extend-` are added instead. `select` discards the `select`, `extend-select` and `ignore` of lower precedence; `fixable` does the
same for fixes. If one source both enables and disables a rule, the more specific selector wins: a code wins over a prefix, and a
prefix over `ALL`. If both are equally specific, the rule is disabled, or not fixed.

Files in different folders are not merged. Without `extend`, only the nearest file is used. `telepathy-lint config [PATH]`
prints the settings for the path, the source of each value, the enabled rules, and how their fixes are treated.
`telepathy-lint check --show-settings` does the same and respects the other options of `check`.

## Keys

"""

CLI_HEAD = """\
# Command line

{written}

`telepathy-lint` needs only the linter. `telepathy-runtime` needs torch for loading, but not for planning. The exit code of
`telepathy-lint check` is 0 if nothing was found, 1 if something was found, and 2 if something could not be processed (the rest still
is). If output cannot be written (for example, on a full disk), all commands print one line to standard error and exit with 2. A reader
that stops early (`| head`) changes neither what a command does nor its exit code.
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
        said += [f"`--fix{option}` turns it into the good example.", ""]
    switch = (
        f'To turn off the rule, set `ignore = ["{meta.code}"]`'
        if meta.default
        else f'The rule is off by default. To turn it on, set `extend-select = ["{meta.code}"]`'
    )
    said += [
        f"To suppress a finding, add `# noqa: {meta.code}` at the end of the line ([suppression](../suppression.md)). {switch}"
        " ([configuration](../configuration.md)).",
        "",
    ]
    return "\n".join([title, "", WRITTEN.format(source=source), *rest, *said])


def reported(rule: Rule) -> list[dict[str, Any]]:
    """The findings in the bad example, in a project without other files."""
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
    others = ["", "Two codes are not rules:", "", "| code | name | meaning |", "| --- | --- | --- |"]
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
        "## What blocks an unsafe fix",
        "",
        "An unsafe fix is not applied if the code shows that it would break the program or change what it saves. The finding",
        "is still reported and names the line. Evidence applies to the whole file, whatever object it is about, and to the modules",
        "of the project that get what a function or class of the file loads (not of device maps). `patched` is looked for in all",
        "modules of the project, and then the import of the class stays as well. To ignore a kind of evidence, list it in",
        "`unsafe-fixes-despite`.",
        "",
        "| kind | a line that ... (or a fact about the load) | blocks the fixes of |",
        "| --- | --- | --- |",
        *(
            f"| `{kind}` | {what} | {', '.join(held_back_by(kind))} |"
            for kind, what in evidence.KINDS.items()
        ),
    ]
    worth = [
        "",
        "## Findings that do not matter",
        "",
        "A finding can be true and still not matter. By default, a finding is dropped if the code shows that it does not",
        "matter; `strict` reports it anyway. Evidence comes from the call, the file, and the project around it: its Python files,",
        "READMEs, scripts and settings. A script with no project around it, that is without a document or a script that tells of",
        "it, and in no repository with more files of code, gets every finding that its own code does not answer. In a project,",
        "settings must be known to make a difference.",
        "",
        "| rule | reported in a project only if | dropped if the code shows that |",
        "| --- | --- | --- |",
        *(f"| {code} | {IN_A_PROJECT.get(code, '')} | {what} |" for code, what in WORTH.items()),
        "",
        "Code that a project keeps and does not run is left out for all rules: files in folders such as `archive`, `old`, `tmp`, `outputs`",
        "and `results` or with such names (`train_old.py`), copies of frameworks, projects with a README",
        "or a distribution of their own in folders such as `external`, distributions that name another repository than the project's, functions and classes that no other code and no document of the project mentions,",
        "modules that only define and that no other file imports or names, scripts that nothing names where the documents and commands name ten or more others, and notebooks for trying things",
        "(`test.ipynb`, `llama_playground.ipynb`). What transformers 5 changed (TLP401 to TLP410) is also left out where a script certainly fails before, at a name that nothing defines.",
        "Syntax errors (TLP000) are only noted on standard error there, in data and templates, in exercises, in scripts that hold a notebook's cells, in a notebook's cells that were never run or whose saved output is that error, and where the syntax is",
        "newer than the Python that runs the linter.",
    ]
    excluded = [
        "",
        "## Default excludes",
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
    """The rules whose fixes are blocked by a kind of evidence."""
    by_rule = {
        "TLP101": evidence.OF_DEVICE_MAP, "TLP102": evidence.OF_DTYPE, "TLP103": evidence.OF_DTYPE, "TLP104": evidence.OF_ATTENTION,
        "TLP105": evidence.OF_GENERATION, "TLP201": evidence.OF_PAD_TOKEN,
    }  # fmt: skip
    return [code for code, kinds in by_rule.items() if kind in kinds]


def default_of(key: str, value: Any) -> str:
    if key == "exclude":
        return "[below](#default-excludes)"
    if key == "loader":
        return "[`telepathy_runtime`](#keys-of-loader)"
    if key == "select":
        return "rules that are on by default"
    if key == "fixable":
        return '`["ALL"]`'
    if key.endswith("per-file-ignores"):
        return "`{}`"
    if key == "cache-dir":
        return f"`{CACHE}` next to the configuration"
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
    for name in SUBCOMMANDS:
        sections += section(f"telepathy-lint {name}", subparser(name))
    for name, (given, text) in runtime_parsers().items():
        sections += section(f"telepathy-runtime {name}", given, text)
    head = CLI_HEAD.format(
        written=WRITTEN.format(source="the parsers (telepathy_lint/commands/, telepathy_runtime/)")
    )
    return "\n".join([head, *sections])


def subparser(name: str) -> argparse.ArgumentParser:
    """The parser of one of telepathy-lint's subcommands."""
    top = parser(name)
    (found,) = (each for each in top._actions if isinstance(each, argparse._SubParsersAction))
    sub: argparse.ArgumentParser = found.choices[name]
    return sub


def runtime_parsers() -> dict[str, tuple[argparse.ArgumentParser, str]]:
    """telepathy-runtime's subcommands: the parser and its description."""
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
        # Python 3.10 appends the default to the help of a negatable flag; later versions leave it to the formatter.
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
    if action.nargs == argparse.OPTIONAL:
        value = f" [{metavar}]"
    negative = "--no-" + action.dest.replace("_", "-")
    return ", ".join(f"`{each}{value * (each != negative)}`" for each in action.option_strings)


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
    Path(sizes.FILE).write_text(sizes.written(), encoding="utf-8")


if __name__ == "__main__":
    main()
