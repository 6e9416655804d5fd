"""JUnit XML, which most continuous-integration services show."""

from __future__ import annotations

import re
from collections.abc import Iterator
from xml.sax.saxutils import escape, quoteattr

from telepathy_lint.findings.result import FAILED_CODE
from telepathy_lint.output import Report
from telepathy_lint.output.places import file_line
from telepathy_lint.output.text import place

# XML 1.0 knows no way at all to write these.
_FORBIDDEN = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def render(report: Report) -> Iterator[str]:
    found = list(report.findings())
    errors = sum(one.code == FAILED_CODE for one in found)
    counts = f'tests="{max(len(found), 1)}" failures="{len(found) - errors}" errors="{errors}"'
    yield '<?xml version="1.0" encoding="UTF-8"?>\n'
    yield f'<testsuites name="telepathy-lint" {counts}>\n'
    if not found:
        yield '    <testsuite name="telepathy-lint" tests="1" failures="0" errors="0">\n'
        yield '        <testcase name="No errors found" classname="telepathy-lint"/>\n'
        yield "    </testsuite>\n"
    for result in report.results:
        if not result.violations:
            continue
        number = len(result.violations)
        failed = sum(one.code == FAILED_CODE for one in result.violations)
        suite = f'tests="{number}" failures="{number - failed}" errors="{failed}"'
        yield f'    <testsuite name={_attribute(result.path)} {suite} package="telepathy-lint">\n'
        for violation in result.violations:
            tag = "error" if violation.code == FAILED_CODE else "failure"
            column = violation.column if violation.cell < 0 else 1
            where = f'line="{file_line(result, violation)}" column="{column}"'
            name, folder = _attribute(f"telepathy-lint.{violation.code}"), _attribute(result.path)
            text = escape(_clean(f"{place(violation)}: {violation.code} {violation.text}"))
            yield f"        <testcase name={name} classname={folder} {where}>\n"
            yield f"            <{tag} message={_attribute(violation.text)}>{text}</{tag}>\n"
            yield "        </testcase>\n"
        yield "    </testsuite>\n"
    yield "</testsuites>\n"


def _clean(text: str) -> str:
    return _FORBIDDEN.sub("\ufffd", text)


def _attribute(text: str) -> str:
    return quoteattr(_clean(text), {"\n": "&#10;", "\r": "&#13;", "\t": "&#9;"})
