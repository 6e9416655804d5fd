"""Suppression comments: flake8's reading of `noqa` compared with flake8 itself, and the forms that are ours."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from telepathy_lint.source import Source
from telepathy_lint.suppress import unsuppressed
from telepathy_lint.violation import SiteRef, Violation

MARK = "LOAD"


def findings(source: Source, code: str = "TLP101", name: str = "hardcoded-device-map") -> list[Violation]:
    """A violation at every mark, without a call around it."""
    found, start = [], -1
    while (start := source.text.find(MARK, start + 1)) >= 0:
        end = start + len(MARK)
        span = source.place(start, end)
        found.append(
            Violation(
                source.path, span.cell, span.line, span.column, code, name, "m", span, start=start, end=end
            )
        )
    return found


def left(text: str, code: str = "TLP101") -> list[int]:
    """Lines whose violation is still reported."""
    source = Source.from_text("x.py", text)
    return [violation.line for violation in unsuppressed(source, findings(source, code))]


# Each text uses the name LOAD once or more; flake8 reports F821 (undefined name) there, we report our code.
AS_FLAKE8 = {
    "bare": "LOAD  # noqa\nLOAD\n",
    "code": "LOAD  # noqa: CODE\n",
    "no blank": "LOAD  # noqa:CODE\n",
    "upper case": "LOAD  # NOQA:CODE\n",
    "mixed case": "LOAD  # NoQa: CODE\n",
    "other code": "LOAD  # noqa: E501\n",
    "list": "LOAD  # noqa: E501,CODE\n",
    "list with blanks": "LOAD  # noqa: E501, W1 CODE\n",
    "no separator": "LOAD  # noqa: E501CODE\n",
    "prose behind": "LOAD  # noqa: CODE because it is a demo\n",
    "prose behind another code": "LOAD  # noqa: E501 because CODE\n",
    "blank before the colon": "LOAD  # noqa : E501\n",
    "two blanks": "LOAD  # noqa:  E501\n",
    "no blank after the hash": "LOAD  #noqa\n",
    "two blanks after the hash": "LOAD  #  noqa\n",
    "behind another comment": "LOAD  # type: ignore # noqa\n",
    "inside a word": "LOAD  # noqality\n",
    "a letter alone": "LOAD  # noqa: F\n",
    "prefix": "LOAD  # noqa: PREFIX\n",
    "lower-case code": "LOAD  # noqa: lower\n",
    "longer code": "LOAD  # noqa: CODE1\n",
    "in a string": "x = LOAD, '# noqa'\n",
    "next line": "LOAD\n# noqa\n",
    "previous line": "# noqa\nLOAD\n",
    "bracket, own line": "x = [\n    LOAD,  # noqa\n    LOAD,\n]\n",
    "bracket, first line": "x = [  # noqa\n    LOAD,\n]\n",
    "bracket, last line": "x = [\n    LOAD,\n]  # noqa\n",
    "backslash": "x = LOAD + \\\n    LOAD + \\\n    1  # noqa\nLOAD\n",
    "backslash in a bracket": "x = [LOAD, \\\n    1,  # noqa\n    LOAD]\n",
    "multi-line string": "x = (LOAD, '''a\nb''')  # noqa\nLOAD\n",
    "multi-line string in a bracket": "x = (\n    LOAD, '''a\n    b''',  # noqa\n    LOAD)\n",
    "first match wins": "x = (LOAD, '''a # noqa: E501\nb''')  # noqa: CODE\n",
    "first match wins, ours": "x = (LOAD, '''a # noqa: CODE\nb''')  # noqa: E501\n",
    "two comments": "LOAD  # noqa: E501  # noqa: CODE\n",
    "docstring before": '"""doc\n\nmore # noqa\n"""\nLOAD\n',
    "form feed": "\x0cLOAD  # noqa\n\x0c\nLOAD\n",
    "separators in strings": "x = '\x1c\x85\u2028'\nLOAD  # noqa\nLOAD\n",
    "CRLF": "x = [\r\n    LOAD,  # noqa\r\n    LOAD]\r\n",
    "CR": "x = [\r    LOAD,  # noqa\r    LOAD]\r",
    "no final newline": "LOAD\nLOAD  # noqa",
    "whole file": "x = 1\n# flake8: noqa\nLOAD\n",
    "whole file, equals sign": "# flake8=noqa\nLOAD\n",
    "whole file, indented": "if 1:\n    # FLAKE8: NOQA\n    LOAD\n",
    "whole file, behind code": "x = 1  # flake8: noqa\nLOAD\n",
    "whole file, no blank": "#flake8: noqa\nLOAD\n",
    "nothing": "LOAD\n",
}


def filled(text: str, code: str) -> str:
    return text.replace("CODE", code).replace("PREFIX", code[:-1]).replace("lower", code.lower())


def test_noqa_is_read_as_flake8_reads_it(tmp_path: Path) -> None:
    """One flake8 process for all cases: a file each."""
    for number, text in enumerate(AS_FLAKE8.values()):
        (tmp_path / f"case{number:02}.py").write_bytes(filled(text, "F821").encode())
    run = subprocess.run(
        [sys.executable, "-m", "flake8", "--isolated", "--select=F821", "--format=%(path)s %(row)d", "."],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
    )
    assert run.stderr.replace("flake8.processor", "").count("Traceback") == 0
    theirs: dict[str, list[int]] = {name: [] for name in AS_FLAKE8}
    names = list(AS_FLAKE8)
    for line in run.stdout.splitlines():
        path, row = line.split()
        theirs[names[int(path[-5:-3])]].append(int(row))
    ours = {name: left(filled(text, "TLP101")) for name, text in AS_FLAKE8.items()}
    assert {name: sorted(set(rows)) for name, rows in theirs.items()} == {
        name: sorted(set(rows)) for name, rows in ours.items()
    }
    assert any(theirs.values()) and not all(theirs.values())


def test_noqa_counts_on_the_first_and_last_line_of_the_call() -> None:
    def reported(text: str) -> bool:
        source = Source.from_text("x.py", text)
        call = source.place(text.index("load("), text.rindex(")") + 1)
        (found,) = findings(source)
        with_site = replace(found, site=SiteRef("model", "load", None, call))
        return bool(unsuppressed(source, [with_site]))

    lines = ["x = load(", "    1,", "    LOAD,", "    2,", ")", "y = 1"]
    silenced = [
        number
        for number in range(len(lines))
        if not reported(
            "\n".join([*lines[:number], lines[number] + "  # noqa: TLP101", *lines[number + 1 :]])
        )
    ]
    assert silenced == [0, 2, 4]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("# flake8: noqa: TLP101\nLOAD\n", [], id="file, this code"),
        pytest.param("# flake8: noqa: TLP102, E501\nLOAD\n", [2], id="file, other codes"),
        pytest.param("# flake8: noqa:E501,TLP1\nLOAD\n", [], id="file, prefix"),
        pytest.param("LOAD\n# telepathy-lint: disable-file=TLP101\n", [], id="own file form"),
        pytest.param("LOAD\n# telepathy-lint: disable-file\n", [], id="own file form, everything"),
        pytest.param("LOAD\n# telepathy-lint: disable-file=TLP102\n", [1], id="own file form, other code"),
        pytest.param(
            "LOAD\n# telepathy-lint: disable=TLP101\nLOAD\n# telepathy-lint: enable=TLP101\nLOAD\n",
            [1, 5],
            id="range",
        ),
        pytest.param(
            "# telepathy-lint: disable=hardcoded-device-map\nLOAD\n", [], id="range by name, to the end"
        ),
        pytest.param(
            "# telepathy-lint: disable\nLOAD\n# telepathy-lint: enable\nLOAD\n", [4], id="range of everything"
        ),
        pytest.param(
            "# telepathy-lint: disable=TLP102,TLP101\n# telepathy-lint: enable=TLP102\nLOAD\n",
            [],
            id="ended in part",
        ),
        pytest.param(
            "# telepathy-lint: disable=TLP102,TLP101\n# telepathy-lint: enable=TLP101\nLOAD\n",
            [3],
            id="ended in the other part",
        ),
        pytest.param("# telepathy-lint: enable=TLP101\nLOAD\n", [2], id="end without begin"),
        pytest.param("LOAD  # telepathy-lint: disable=TLP101\nLOAD\n", [2], id="behind code: that line only"),
        pytest.param("x = '''\n# telepathy-lint: disable=TLP101\n'''\nLOAD\n", [4], id="not in a string"),
    ],
)
def test_forms_of_our_own(text: str, expected: list[int]) -> None:
    assert left(text) == expected


def test_a_file_that_does_not_tokenize_is_read_line_by_line() -> None:
    assert left("LOAD  # noqa\nLOAD\nx = (\n") == [2]
