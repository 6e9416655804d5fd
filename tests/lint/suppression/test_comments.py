"""Suppression comments: `noqa` compared with flake8 itself, and our own comments."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from telepathy_lint import engine
from telepathy_lint import rules as registry
from telepathy_lint.findings.violation import SiteRef, Violation
from telepathy_lint.fixes.apply import apply
from telepathy_lint.run.lint_file import lint_file
from telepathy_lint.run.options import Task
from telepathy_lint.run.selection import FilePlan
from telepathy_lint.settings import Settings
from telepathy_lint.source.notebook import Notebook
from telepathy_lint.source.text import Source
from telepathy_lint.suppression import unsuppressed
from telepathy_lint.suppression.edits import added, unused

MARK = "LOAD"


def findings(source: Source, code: str = "TLP101", name: str = "hardcoded-device-map") -> list[Violation]:
    """A violation at each mark, without a call around it."""
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
    """The lines whose violation is still reported."""
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
    "form feed above lines that are joined": "\x0c\nLOAD\nx = (LOAD, '''a\nb''')  # noqa\nLOAD\n",
    "form feed in a string": "x = '\x0c'\nLOAD\nx = LOAD + \\\n  1  # noqa\nLOAD\n",
    "separator above lines that are joined": "x = '\u2028'\nLOAD\nx = LOAD + \\\n  1  # noqa\nLOAD\n",
    "separators in strings": "x = '\x1c\x85\u2028'\nLOAD  # noqa\nLOAD\n",
    "CRLF": "x = [\r\n    LOAD,  # noqa\r\n    LOAD]\r\n",
    "CR": "x = [\r    LOAD,  # noqa\r    LOAD]\r",
    "CRLF in a multi-line string": "x = (LOAD, '''a\r\nb''')  # noqa\r\nLOAD\r\n",
    "CR in a multi-line string": "LOAD\rx = (LOAD, '''a\rb''')  # noqa\rLOAD\r",
    "CR and a backslash": "LOAD\rx = LOAD + \\\r  1  # noqa\rLOAD\r",
    "deeper lines": "if LOAD:\n  if LOAD:\n    x = LOAD, '''a\nb'''  # noqa\n  LOAD\nx = LOAD, '''a\nb'''  # noqa\nLOAD\n",
    "joined lines one after the other": "x = LOAD, '''a\nb'''\ny = LOAD, '''a\nb'''  # noqa\nLOAD\n",
    "no final newline": "LOAD\nLOAD  # noqa",
    "whole file": "x = 1\n# flake8: noqa\nLOAD\n",
    "whole file, at its end": "LOAD\n# flake8: noqa\n",
    "whole file, equals sign": "# flake8=noqa\nLOAD\n",
    "whole file, indented": "if 1:\n    # FLAKE8: NOQA\n    LOAD\n",
    "whole file, behind code": "x = 1  # flake8: noqa\nLOAD\n",
    "whole file, no blank": "#flake8: noqa\nLOAD\n",
    "nothing": "LOAD\n",
}


def filled(text: str, code: str) -> str:
    return text.replace("CODE", code).replace("PREFIX", code[:-1]).replace("lower", code.lower())


def test_noqa_is_read_as_flake8_reads_it(tmp_path: Path) -> None:
    """A single flake8 process for all cases, with a file for each."""
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


@pytest.mark.parametrize("comment", ["# noqa: TLP101", "# telepathy-lint: disable=TLP101"])
def test_comments_count_on_the_first_and_last_line_of_the_call(comment: str) -> None:
    def reported(text: str) -> bool:
        source = Source.from_text("x.py", text)
        call = source.place(text.index("load("), text.rindex(")") + 1)
        (found,) = findings(source)
        with_site = found._replace(site=SiteRef("model", "load", None, call))
        return bool(unsuppressed(source, [with_site]))

    lines = ["x = load(", "    1,", "    LOAD,", "    2,", ")", "y = 1"]
    silenced = [
        number
        for number in range(len(lines))
        if not reported("\n".join([*lines[:number], f"{lines[number]}  {comment}", *lines[number + 1 :]]))
    ]
    assert silenced == [0, 2, 4]


def test_comments_count_on_the_lines_of_a_call_in_a_later_cell() -> None:
    def reported(line: int) -> list[str]:
        call = [
            "x = AutoModel.from_pretrained(\n",
            "    'gpt2',\n",
            "    device_map='auto',\n",
            "    revision='a',\n",
            ")",
        ]
        call[line] = call[line].rstrip("\n") + "  # noqa: TLP101\n"
        cells = ["from transformers import AutoModel\n", "y = 1\n" * 7, "".join(call), "z = 1\n" * 7]
        book = {"cells": [{"cell_type": "code", "source": cell} for cell in cells]}
        source = Notebook("x.ipynb", json.dumps(book).encode())
        return [found.code for found in engine.lint(source, registry.select(["TLP101"]), Settings())]

    assert [line for line in range(5) if not reported(line)] == [0, 2, 4]


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
        pytest.param(
            "# telepathy-lint: disable=TLP101\n# telepathy-lint: enable=TLP102\nLOAD\n",
            [],
            id="another ended",
        ),
        pytest.param(
            "# telepathy-lint: disable\n# telepathy-lint: enable=TLP101\nLOAD\n",
            [],
            id="a part of everything",
        ),
        pytest.param(
            "# telepathy-lint: disable=TLP101\n# telepathy-lint: disable=TLP102\n"
            "# telepathy-lint: enable\nLOAD\n",
            [4],
            id="two ended at once",
        ),
        pytest.param(
            "# telepathy-lint: disable=TLP101,TLP102\nLOAD\n# telepathy-lint: enable=TLP101\nLOAD\n",
            [4],
            id="silenced before the part ended",
        ),
        pytest.param("# telepathy-lint: disable=ALL\nLOAD\n", [], id="all by name"),
        pytest.param("LOAD  # noqa: ALL\n", [], id="everything: flake8 reads no code in it"),
        pytest.param("# why # telepathy-lint: disable=TLP101\nx\nLOAD\n", [], id="range behind a comment"),
        pytest.param("LOAD  # why # telepathy-lint: disable\nLOAD\n", [2], id="line behind a comment"),
        pytest.param("# telepathy-lint: enable=TLP101\nLOAD\n", [2], id="end without begin"),
        pytest.param("LOAD  # telepathy-lint: disable=TLP101\nLOAD\n", [2], id="behind code: that line only"),
        pytest.param("x = '''\n# telepathy-lint: disable=TLP101\n'''\nLOAD\n", [4], id="not in a string"),
        pytest.param(
            "# a\nx = '''\n# telepathy-lint: disable=TLP101\n'''\n# b\nLOAD\n",
            [6],
            id="not in a string between comments",
        ),
        pytest.param("LOAD\n# flake8: noqa: TLP101\n", [], id="file, at its end"),
        pytest.param("x\r# flake8: noqa: TLP101\rLOAD\r", [], id="file, lines that end in CR"),
        pytest.param("# flake8: noqa: TLP102,\nTLP101 = 1\nLOAD\n", [3], id="file, code on the next line"),
        pytest.param(
            "# telepathy-lint: disable=TLP102,\nTLP101 = 1\nLOAD\n", [3], id="range, code on the next line"
        ),
    ],
)
def test_forms_of_our_own(text: str, expected: list[int]) -> None:
    assert left(text) == expected


def test_a_file_that_does_not_tokenize_is_read_line_by_line() -> None:
    assert left("LOAD  # noqa\nLOAD\nx = (\n") == [2]


def unused_of(text: str, *codes: str) -> list[tuple[int, int, str, str | None]]:
    """Line, column and codes of unused comments, and the text after their removal (None: cannot be removed)."""
    source = Source.from_text("x.py", text)
    rules = registry.select(codes or ("TLP1",))
    result: list[tuple[int, int, str, str | None]] = []
    for found in unused(source, findings(source), rules):
        after = apply(text, found.fix.edits) if found.fix is not None else None
        result.append((found.line, found.column, found.message.rpartition(": ")[2], after))
    return result


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("LOAD  # noqa: TLP101\n", [], id="used"),
        pytest.param("x  # noqa: TLP101\n", [(1, 12, "TLP101", "x\n")], id="unused"),
        pytest.param("x  # noqa: TLP102 why\n", [(1, 12, "TLP102", "x  # why\n")], id="prose stays"),
        pytest.param("x  # noqa: TLP102 # more\n", [(1, 12, "TLP102", "x  # more\n")], id="comment stays"),
        pytest.param("x  # a # noqa: TLP102\n", [(1, 16, "TLP102", "x  # a\n")], id="comment before stays"),
        pytest.param(
            "LOAD  # noqa: TLP101, TLP102\n", [(1, 23, "TLP102", "LOAD  # noqa: TLP101\n")], id="last of two"
        ),
        pytest.param(
            "LOAD  # noqa: TLP102, TLP101\n", [(1, 15, "TLP102", "LOAD  # noqa: TLP101\n")], id="first of two"
        ),
        pytest.param(
            "x  # noqa: E501,TLP102,F401\n", [(1, 17, "TLP102", "x  # noqa: E501,F401\n")], id="others' stay"
        ),
        pytest.param(
            "x  # noqa: TLP101,TLP102,F401\n",
            [(1, 12, "TLP101, TLP102", "x  # noqa: F401\n")],
            id="two of three",
        ),
        pytest.param("x  # noqa\n# flake8: noqa\n", [], id="bare is for whoever"),
        pytest.param("x  # noqa: F401\n", [], id="not ours"),
        pytest.param("x  # noqa: TLP201\n", [], id="did not run"),
        pytest.param(
            "x  # noqa: TLP1013, E501\n",
            [(1, 12, "TLP1013 (no such rule, did you mean TLP103?)", "x  # noqa: E501\n")],
            id="no rule",
        ),
        pytest.param(
            "# telepathy-lint: disable=E501\nx  # noqa: E501\n",
            [(1, 27, "E501 (no such rule)", None)],
            id="another's, in a comment of our own",
        ),
        pytest.param("# flake8: noqa: TLP101\nx\n", [(1, 17, "TLP101", "x\n")], id="file"),
        pytest.param(
            "a\n# telepathy-lint: disable-file=TLP101\nx", [(2, 32, "TLP101", "a\nx")], id="own file form"
        ),
        pytest.param("# telepathy-lint: disable=TLP101\nx\n", [(1, 27, "TLP101", None)], id="range"),
        pytest.param(
            "# telepathy-lint: disable\nx\n", [(1, 1, "everything", None)], id="range of everything"
        ),
        pytest.param("# telepathy-lint: disable=TLP101\nLOAD\n", [], id="range used"),
        pytest.param(
            "# telepathy-lint: disable=TLP101,TLP102\n# telepathy-lint: enable=TLP102\nLOAD\n",
            [(1, 34, "TLP102", None)],
            id="the part that ended unused",
        ),
        pytest.param(
            "LOAD  # telepathy-lint: disable=TLP102\nx\n",
            [(1, 33, "TLP102", "LOAD\nx\n")],
            id="behind code: unused",
        ),
        pytest.param(
            "x\n# flake8: noqa: TLP101,TLP102\nLOAD\n",
            [(2, 24, "TLP102", "x\n# flake8: noqa: TLP101\nLOAD\n")],
            id="file, in part",
        ),
        pytest.param("x = '# noqa: TLP101'\n", [], id="in a string"),
        pytest.param(
            "# flake8: noqa: TLP101\nx1 = 5\n", [(1, 17, "TLP101", "x1 = 5\n")], id="code on the next line"
        ),
        pytest.param(
            "# telepathy-lint: disable-file=TLP101,\nTLP102 = 1\n",
            [(1, 32, "TLP101", "# ,\nTLP102 = 1\n")],
            id="a comma at the end",
        ),
        pytest.param(
            "LOAD  # noqa: TLP102 # noqa: TLP101\n", [(1, 15, "TLP102", None)], id="another would count then"
        ),
        pytest.param(
            "x # noqa: TLP101 # flake8: noqa: TLP101\n",
            [(1, 11, "TLP101", None)],
            id="a file's would count then",
        ),
    ],
)
def test_unused_comments(text: str, expected: list[tuple[int, int, str, str | None]]) -> None:
    assert unused_of(text) == expected


def test_unused_comments_behind_one_another_all_go() -> None:
    comment = b"# telepathy-lint: disable-file=TLP101"
    data = b"x = 1  " + b" ".join([comment] * 3) + b"\ny = 2\n" + comment + b" " + comment + b"\n"
    result = lint_file(
        FilePlan("x.py", registry.select(["TLP101"]), Settings(), Task(fix=True, unused_noqa=True)), data
    )
    assert (result.output, result.violations) == (b"x = 1\ny = 2\n", ())
    assert len(result.applied) == 5


@pytest.mark.parametrize(
    ("text", "expected", "number"),
    [
        pytest.param("LOAD\n", "LOAD  # noqa: TLP101\n", 1, id="plain"),
        pytest.param("LOAD  # why  \n", "LOAD  # why  # noqa: TLP101  \n", 1, id="behind a comment"),
        pytest.param("LOAD  # noqa: E501\n", "LOAD  # noqa: E501, TLP101\n", 1, id="into a comment"),
        pytest.param("LOAD; LOAD\n", "LOAD; LOAD  # noqa: TLP101\n", 1, id="two on a line"),
        pytest.param("LOAD\r\nx", "LOAD  # noqa: TLP101\r\nx", 1, id="CRLF"),
        pytest.param("x = LOAD", "x = LOAD  # noqa: TLP101", 1, id="no newline"),
        pytest.param("x = LOAD + \\\n  1\n", "x = LOAD + \\\n  1  # noqa: TLP101\n", 1, id="backslash"),
        pytest.param("x = (LOAD, '''a\nb''')\n", "x = (LOAD, '''a\nb''')  # noqa: TLP101\n", 1, id="string"),
        pytest.param("LOAD\ny\nLOAD\n", "LOAD  # noqa: TLP101\ny\nLOAD  # noqa: TLP101\n", 2, id="two lines"),
        pytest.param("x\n", "x\n", 0, id="none"),
    ],
)
def test_comments_are_added_where_they_work(text: str, expected: str, number: int) -> None:
    source = Source.from_text("x.py", text)
    assert added(source, findings(source)) == (expected, number)
    assert left(expected) == []
