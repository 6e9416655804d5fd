"""Output formats: a table of formats, and one module per format with a function `render(report)` that yields text."""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Sequence

from telepathy_lint.hints import TYPE_CHECKING, Literal, NamedTuple

if TYPE_CHECKING:
    from telepathy_lint.findings.result import FileResult
    from telepathy_lint.findings.violation import Violation


class Format(NamedTuple):
    """The data that a format needs. Computing fixes imports LibCST, so only formats that show them request them."""

    module: str
    edits: Literal["none", "shown", "all"] = "none"
    lines: bool = False
    snippets: bool = False
    #: Whether the format is for people: a summary follows, and statistics can be added.
    text: bool = False


FORMATS = {
    "full": Format("full", edits="shown", lines=True, text=True),
    "concise": Format("concise", text=True),
    "grouped": Format("grouped", text=True),
    "json": Format("json_list", edits="all"),
    "json-lines": Format("json_lines", edits="all"),
    "sarif": Format("sarif", edits="all", lines=True, snippets=True),
    "github": Format("github", lines=True),
    "gitlab": Format("gitlab", lines=True, snippets=True),
    "azure": Format("azure", lines=True),
    "pylint": Format("pylint", lines=True),
    "junit": Format("junit", lines=True),
    "rdjson": Format("rdjson", edits="all", lines=True),
}


class Report(NamedTuple):
    """The input of a format."""

    results: Sequence[FileResult]
    colour: bool = False
    #: Unsafe fixes are enabled: they are shown and counted like safe ones.
    unsafe: bool = False
    fixing: bool = False
    show_fixes: bool = False

    def findings(self) -> Iterator[Violation]:
        for result in self.results:
            yield from result.violations

    def is_fixable(self, violation: Violation) -> bool:
        fix = violation.fix
        return fix is not None and (fix.safety == "safe" or (fix.safety == "unsafe" and self.unsafe))


def render(name: str, report: Report) -> Iterator[str]:
    """The report in the named format, in pieces."""
    module = importlib.import_module(f"telepathy_lint.output.{FORMATS[name].module}")
    pieces: Iterator[str] = module.render(report)
    return pieces


#: The URL of the documentation site with a final slash; "" if there is none. The output contains URLs once it
#: is set; `site_url` in mkdocs.yml must be the same.
DOCUMENTATION = ""


def page_url(page: str = "") -> str | None:
    """The URL of a page; None while there is no site, because a relative path would be useless in other folders."""
    return f"{DOCUMENTATION}{page}" if DOCUMENTATION else None


def rule_url(code: str, name: str) -> str | None:
    """The URL of a rule's page."""
    return page_url(f"rules/{code.lower()}-{name}/")
