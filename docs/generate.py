"""Writes the generated documentation: `python docs/generate.py`; a test fails when it is stale."""

from __future__ import annotations

from pathlib import Path

from telepathy_lint.commands.rule import markdown
from telepathy_lint.registry import all_rules

HEAD = """\
# Rules

<!-- Written by docs/generate.py from the rules' docstrings: change those. -->

Codes in the 100s concern loading, in the 200s generation and tokenizers, in the 300s models, paths and projects; the 900s
are off unless selected. What cannot be decided from the project's own files is not reported. A *safe* fix keeps the
program's meaning; an *unsafe* one changes numbers or decoding and needs `--unsafe-fixes`.
"""


def rules() -> str:
    """docs/rules.md: a table of the rules and a section for each."""
    table = ["| code | name | finds | fix |", "| --- | --- | --- | --- |"]
    for rule in all_rules():
        meta = rule.meta
        anchor = f"{meta.code}-{meta.name}".lower()
        off = "" if meta.default else " *(off by default)*"
        table.append(f"| [{meta.code}](#{anchor}) | {meta.name} | {rule.summary()}{off} | {meta.fix or ''} |")
    sections = ("\n".join(markdown(rule)) for rule in all_rules())
    return "\n".join([HEAD, *table, "", "\n\n".join(sections), ""])


PAGES = {"rules.md": rules}


def main() -> None:
    for name, page in PAGES.items():
        (Path(__file__).parent / name).write_text(page(), encoding="utf-8")


if __name__ == "__main__":
    main()
