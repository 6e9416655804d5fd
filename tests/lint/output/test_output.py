"""All output formats with the same constructed findings: exact text, valid documents, correct escaping."""

from __future__ import annotations

import json
import re
from typing import Any
from xml.etree import ElementTree

import pytest

from telepathy_lint.findings.result import FAILED_CODE, FileFinding, FileResult, failure
from telepathy_lint.findings.violation import Edit, Fix, SiteRef, Span, Violation
from telepathy_lint.output import FORMATS, Report, render
from telepathy_lint.output.text import outlook, printable, statistics, summary

LINES = ["import a", 'm = load("é", map="auto")', "x = 1"]
ODD = 'odd, <name>: 100%\n"&.py'
MESSAGE = "device_map is hard-coded: 'auto' <&> 50%"


def violation(path: str = "a.py", cell: int = -1, code: str = "TLP101", fix: Fix | None = None) -> Violation:
    span = Span(2, 15, 2, 25, cell)
    site = SiteRef("model", "t.A.from_pretrained", "é", Span(2, 5, 2, 26, cell))
    return Violation(path, cell, 2, 15, code, "hardcoded-device-map", MESSAGE, span, site, fix)


def fix(safety: Any = "safe", cell: int = -1) -> Fix:
    import_ = Edit(8, 8, "\nimport b", Span(1, 9, 1, 9, cell))
    return Fix(safety, "load with b", (import_, Edit(22, 32, "map=b()", Span(2, 15, 2, 25, cell))))


def result(*violations: Violation, path: str = "a.py", diffs: tuple[str, ...] = ()) -> FileResult:
    cell = violations[0].cell if violations else -1
    return FileResult(
        path,
        tuple(
            FileFinding(each, "left", 'load("é", map="auto")', diff)
            for each, diff in zip(violations, diffs or [""] * len(violations), strict=True)
        ),
        lines={(cell, number): line for number, line in enumerate(LINES, 1)},
        file_lines={(cell, number): number + 40 for number in range(1, 4)} if cell >= 0 else {},
    )


SAFE = result(violation(fix=fix()), diffs=("1 - old\n  + new",))
NOTEBOOK = result(violation("n.ipynb", 3, fix=fix("unsafe", 3)), path="n.ipynb")
FAILED = failure("bad.py", "syntax error: '(' was never closed", 3, 5)
STRANGE = result(violation(ODD)._replace(message="first\nsecond\x1b[31m\x00 ]]>"), path=ODD)
ALL = [SAFE, FAILED, NOTEBOOK, STRANGE]


def text(name: str, *results: FileResult, **options: Any) -> str:
    return "".join(render(name, Report(results or ALL, **options)))


def test_concise() -> None:
    assert text("concise", SAFE, FAILED, NOTEBOOK).splitlines() == [
        f"a.py:2:15: TLP101 [*] {MESSAGE}",
        "bad.py:3:5: TLP000 syntax error: '(' was never closed",
        f"n.ipynb:cell 4:2:15: TLP101 {MESSAGE}",
    ]
    assert text("concise", NOTEBOOK, unsafe=True).startswith("n.ipynb:cell 4:2:15: TLP101 [*] ")


def test_grouped() -> None:
    assert text("grouped", result(violation(), violation(code="TLP102")), NOTEBOOK).splitlines() == [
        "a.py:",
        f"  2:15 TLP101 {MESSAGE}",
        f"  2:15 TLP102 {MESSAGE}",
        "",
        "n.ipynb:",
        f"  cell 4:2:15 TLP101 {MESSAGE}",
        "",
    ]


def test_full() -> None:
    assert text("full", SAFE).splitlines() == [
        f"TLP101 [*] {MESSAGE}",
        " --> a.py:2:15",
        "  |",
        "1 | import a",
        '2 | m = load("é", map="auto")',
        "  |               ^^^^^^^^^^",
        "3 | x = 1",
        "  |",
        "help: load with b",
        "1 - old",
        "  + new",
        "",
    ]


def test_full_shows_a_rewrite_once_for_all_that_was_found_at_the_call() -> None:
    both = result(violation(fix=fix()), violation(code="TLP102", fix=fix()), diffs=("1 - old", "1 - old"))
    shown = text("full", both)
    assert (shown.count("1 - old"), shown.count("help: load with b")) == (1, 1)


def test_full_shows_a_call_once_with_a_line_for_each_code() -> None:
    call = Span(2, 5, 2, 26)
    missing = violation(code="TLP104")._replace(column=5, span=Span(2, 5, 2, 9))
    both = result(missing, violation(fix=fix()), diffs=("", "1 - old\n  + new"))
    assert both.violations[0].site is not None and both.violations[0].site.span == call
    assert text("full", both).splitlines() == [
        f"TLP101 [*] {MESSAGE}",
        f"TLP104 {MESSAGE}",
        " --> a.py:2:5",
        "  |",
        "1 | import a",
        '2 | m = load("é", map="auto")',
        "  |     ^^^^ TLP104",
        "  |               ^^^^^^^^^^ TLP101",
        "3 | x = 1",
        "  |",
        "help: load with b",
        "1 - old",
        "  + new",
        "",
    ]


def test_full_says_which_findings_of_a_call_are_not_fixed() -> None:
    held = Fix("display", "not fixed: line 9 saves")
    some = result(
        violation(fix=fix()), violation(code="TLP102", fix=held), violation(code="TLP105", fix=held)
    )
    assert "help: TLP102, TLP105 not fixed: line 9 saves\n" in text("full", some)
    every = result(violation(code="TLP102", fix=held), violation(code="TLP105", fix=held))
    assert text("full", every).count("help: not fixed: line 9 saves\n") == 1


def test_full_shows_only_the_larger_of_two_rewrites_of_a_call() -> None:
    pair = result(
        violation(fix=fix()),
        violation(code="TLP102", fix=fix("unsafe")._replace(message="load with c")),
        diffs=("1 - old", "1 - older"),
    )
    assert "1 - older" in text("full", pair, unsafe=True)
    assert "load with b" not in text("full", pair, unsafe=True)
    assert "load with b" in text("full", pair)
    assert "load with c" not in text("full", pair)


def test_full_leaves_out_the_lines_between_distant_findings_of_a_call() -> None:
    lines = {(-1, number): f"line {number}" for number in (*range(1, 6), *range(28, 33))}
    call = SiteRef("model", "f", None, Span(3, 1, 31, 2))
    near = Violation("a.py", -1, 3, 1, "TLP104", "n-n", "m", Span(3, 1, 3, 5), call)
    far = Violation("a.py", -1, 30, 1, "TLP101", "n-n", "m", Span(30, 1, 30, 5), call)
    shown = text("full", FileResult("a.py", (FileFinding(near), FileFinding(far)), lines=lines)).splitlines()
    assert shown[shown.index(" 5 | line 5") + 1 : shown.index("28 | line 28")] == ["..."]
    assert shown[shown.index("30 | line 30") + 1] == "   | ^^^^ TLP101"


def test_full_hides_unsafe_fixes_until_asked() -> None:
    unsafe = result(violation(fix=fix("unsafe")), diffs=("1 - old",))
    assert "help" not in text("full", unsafe)
    assert "help: load with b\n1 - old\n" in text("full", unsafe, unsafe=True)
    assert "help: load with b\n1 - old\n" in text("full", unsafe, show_fixes=True)


@pytest.mark.parametrize(
    ("line", "column", "end", "caret"),
    [
        ("\tx = load(1)", 6, 13, "\t    ^^^^^^^"),
        ("x = '日本'; load(1)", 11, 18, "            ^^^^^^^"),
        ("x = '日本'", 5, 9, "    ^^^^^^"),
        ("e\u0301 = load()", 6, 12, "    ^^^^^^"),
        ("x\x07 = load()", 6, 12, "        ^^^^^^"),
    ],
    ids=["tab", "wide before", "wide under", "combining", "control"],
)
def test_the_caret_stands_under_the_finding(line: str, column: int, end: int, caret: str) -> None:
    span = Span(1, column, 1, end)
    found = Violation("a.py", -1, 1, column, "TLP101", "n-n", "m", span)
    shown = text("full", FileResult("a.py", (FileFinding(found),), lines={(-1, 1): line})).splitlines()
    assert shown[4] == f"  | {caret}"


def test_a_long_line_is_cut_around_the_finding() -> None:
    line = "x" * 1000 + "LOAD" + "y" * 1000
    found = Violation("a.py", -1, 1, 1001, "TLP101", "n-n", "m", Span(1, 1001, 1, 1005))
    shown = text("full", FileResult("a.py", (FileFinding(found),), lines={(-1, 1): line})).splitlines()
    assert max(map(len, shown)) < 200
    assert shown[3].index("LOAD") == shown[4].index("^^^^")


def test_a_finding_over_lines_is_marked_to_the_end_of_its_first() -> None:
    lines = {(-1, number): f"line {number}" for number in range(1, 30)}
    found = Violation("a.py", -1, 3, 3, "TLP101", "n-n", "m", Span(3, 3, 20, 2))
    shown = text("full", FileResult("a.py", (FileFinding(found),), lines=lines)).splitlines()
    assert " 3 | line 3" in shown
    assert "   |   ^^^^" in shown
    assert len(shown) < 18


def test_colour_only_when_asked_and_undone() -> None:
    for name in ("full", "concise", "grouped"):
        assert "\x1b" not in text(name)
        coloured = text(name, colour=True)
        assert coloured.count("\x1b[0m") == len(re.findall(r"\x1b\[[1-9][0-9;]*m", coloured)) > 0
        assert re.sub(r"\x1b\[[0-9;]*m", "", coloured) == text(name)


@pytest.mark.parametrize("name", ["full", "concise", "grouped"])
def test_a_terminal_is_sent_no_commands(name: str) -> None:
    shown = text(name, STRANGE)
    assert not {one for one in shown if not one.isprintable()} - {"\n"}
    assert "\\x1b[31m" in shown
    assert "\\x0a" in shown


def test_printable_leaves_tabs_and_other_scripts() -> None:
    assert printable("日本\té\u202e") == "日本\té\\x202e"


def test_json_is_the_contract() -> None:
    first, bad, notebook, strange = json.loads(text("json"))
    assert first == {
        "code": "TLP101",
        "name": "hardcoded-device-map",
        "message": MESSAGE,
        "path": "a.py",
        "cell": None,
        "line": 2,
        "column": 15,
        "end_line": 2,
        "end_column": 25,
        "site": {"kind": "model", "callee": "t.A.from_pretrained", "model_id": "é", "line": 2, "column": 5},
        "fix": {
            "safety": "safe",
            "message": "load with b",
            "reason": None,
            "edits": [
                {"start": [1, 9], "end": [1, 9], "text": "\nimport b"},
                {"start": [2, 15], "end": [2, 25], "text": "map=b()"},
            ],
        },
        "url": None,
    }
    assert (bad["code"], bad["site"], bad["fix"], bad["line"], bad["column"]) == (
        FAILED_CODE,
        None,
        None,
        3,
        5,
    )
    assert (notebook["cell"], notebook["fix"]["edits"][0]["cell"]) == (3, 3)
    assert (strange["path"], strange["message"]) == (ODD, "first\nsecond\x1b[31m\x00 ]]>")


def test_addresses_are_given_where_there_is_a_site(monkeypatch: pytest.MonkeyPatch) -> None:
    page = "https://example.org/docs/rules/tlp101-hardcoded-device-map/"

    def addresses() -> tuple[Any, ...]:
        (driver,) = (run["tool"]["driver"] for run in json.loads(text("sarif", SAFE))["runs"])
        (rule,) = (rule for rule in driver["rules"] if rule["id"] == "TLP101")
        rdjson = json.loads(text("rdjson", SAFE))
        return (
            json.loads(text("json", SAFE))[0]["url"],
            rule.get("helpUri"),
            driver.get("informationUri"),
            rdjson["diagnostics"][0]["code"].get("url"),
            rdjson["source"].get("url"),
        )

    monkeypatch.setattr("telepathy_lint.output.DOCUMENTATION", "")
    assert addresses() == (None,) * 5
    monkeypatch.setattr("telepathy_lint.output.DOCUMENTATION", "https://example.org/docs/")
    assert addresses() == (page, page, "https://example.org/docs/", page, "https://example.org/docs/")


def test_json_lines_are_the_same_objects() -> None:
    assert [json.loads(line) for line in text("json-lines").splitlines()] == json.loads(text("json"))


@pytest.mark.parametrize("name", list(FORMATS))
def test_nothing_found_is_still_a_document(name: str) -> None:
    shown = "".join(render(name, Report([])))
    if FORMATS[name].text or name in ("json-lines", "github", "azure", "pylint"):
        assert shown == ""
    elif name == "junit":
        assert ElementTree.fromstring(shown).attrib["tests"] == "1"
    else:
        document = json.loads(shown)
        found = {"sarif": lambda: document["runs"][0]["results"], "rdjson": lambda: document["diagnostics"]}
        assert found.get(name, lambda: document)() == []


@pytest.mark.parametrize("name", list(FORMATS))
def test_a_file_that_failed_is_a_finding_in_every_format(name: str) -> None:
    shown = text(name, FAILED)
    assert "TLP000" in shown and "bad.py" in shown and "never closed" in shown


def test_github_escapes_properties_and_data() -> None:
    safe, failed, notebook, strange = text("github").splitlines()
    assert safe == (
        "::error title=telepathy-lint (TLP101),file=a.py,line=2,endLine=2,col=15,endColumn=25::"
        "a.py:2:15: TLP101 device_map is hard-coded: 'auto' <&> 50%25"
    )
    assert "line=3,endLine=3,col=5" in failed
    assert notebook.startswith(
        "::error title=telepathy-lint (TLP101),file=n.ipynb,line=42,endLine=42::n.ipynb:cell 4:2:15: "
    )
    assert 'file=odd%2C <name>%3A 100%25%0A"&.py,' in strange
    assert "first%0Asecond" in strange


def test_azure_escapes_properties_and_data() -> None:
    safe, failed, notebook, strange = text("azure").splitlines()
    assert safe == (
        "##vso[task.logissue type=error;sourcepath=a.py;linenumber=2;columnnumber=15;code=TLP101;]"
        "device_map is hard-coded: 'auto' <&> 50%AZP25"
    )
    assert "linenumber=3;columnnumber=5;code=TLP000;" in failed
    assert "sourcepath=n.ipynb;linenumber=42;columnnumber=1;" in notebook
    assert notebook.endswith("(column 15 in line 2 of the 4th code cell)")
    assert 'sourcepath=odd, <name>: 100%AZP25%0A"&.py;' in strange
    assert strange.endswith("first%0Asecond\x1b[31m\x00 ]]>")
    odd = result(violation("a];b.py"), path="a];b.py")
    assert "sourcepath=a%5D%3Bb.py;" in text("azure", odd)


def test_pylint() -> None:
    assert text("pylint", SAFE, FAILED, NOTEBOOK).splitlines() == [
        f"a.py:2: [TLP101] {MESSAGE}",
        "bad.py:3: [TLP000] syntax error: '(' was never closed",
        f"n.ipynb:42: [TLP101] {MESSAGE} (column 15 in line 2 of the 4th code cell)",
    ]
    assert len(text("pylint", STRANGE).splitlines()) == 1


def test_gitlab() -> None:
    entries = json.loads(text("gitlab"))
    assert entries[0]["location"] == {
        "path": "a.py",
        "positions": {"begin": {"line": 2, "column": 15}, "end": {"line": 2, "column": 25}},
    }
    assert [entry["severity"] for entry in entries] == ["major", "critical", "major", "major"]
    assert entries[2]["location"]["positions"]["begin"] == {"line": 42, "column": 1}
    assert len({entry["fingerprint"] for entry in entries}) == 4
    assert all(re.fullmatch("[0-9a-f]{64}", entry["fingerprint"]) for entry in entries)


def test_fingerprints_survive_line_shifts_and_tell_equal_code_apart() -> None:
    def prints(*results: FileResult) -> list[str]:
        return [entry["fingerprint"] for entry in json.loads(text("gitlab", *results))]

    shifted = result(violation()._replace(line=90, span=Span(90, 15, 90, 25)))
    assert prints(shifted) == prints(result(violation()))
    twice = prints(result(violation(), violation()))
    assert twice[0] == prints(result(violation()))[0]
    assert twice[0] != twice[1]
    assert prints(result(violation(code="TLP102"))) != prints(result(violation()))


def test_junit_is_xml_whatever_was_found() -> None:
    root = ElementTree.fromstring(text("junit"))
    assert root.attrib == {"name": "telepathy-lint", "tests": "4", "failures": "3", "errors": "1"}
    cases = list(root.iter("testcase"))
    assert [case.attrib["name"] for case in cases].count("telepathy-lint.TLP101") == 3
    strange = cases[-1]
    assert strange.attrib["classname"] == ODD
    assert strange[0].attrib["message"] == "first\nsecond\ufffd[31m\ufffd ]]>"
    assert cases[1][0].tag == "error"


def test_rdjson_counts_bytes() -> None:
    first, bad, notebook, _ = json.loads(text("rdjson"))["diagnostics"]
    assert first["location"]["range"] == {
        "start": {"line": 2, "column": 16},
        "end": {"line": 2, "column": 26},
    }
    assert first["suggestions"][1] == {"range": first["location"]["range"], "text": "map=b()"}
    assert first["code"]["value"] == "TLP101"
    assert bad["severity"] == "ERROR"
    assert notebook["location"]["range"] == {"start": {"line": 42}}


def test_sarif() -> None:
    document = json.loads(text("sarif"))
    (run,) = document["runs"]
    rules = run["tool"]["driver"]["rules"]
    assert document["version"] == "2.1.0"
    assert {"TLP000", "TLP001", "TLP101"} <= {rule["id"] for rule in rules}
    texts = ("shortDescription", "fullDescription", "help")  # code scanning asks for all three
    assert all(rule[one]["text"] for rule in rules for one in texts)
    assert [rules[one["ruleIndex"]]["id"] for one in run["results"]] == [
        one["ruleId"] for one in run["results"]
    ]
    first, bad, notebook, strange = run["results"]
    assert first["locations"][0]["physicalLocation"]["region"] == {
        "startLine": 2,
        "startColumn": 15,
        "endLine": 2,
        "endColumn": 25,
        "snippet": {"text": LINES[1]},
    }
    (change,) = first["fixes"][0]["artifactChanges"]
    assert [one["insertedContent"]["text"] for one in change["replacements"]] == ["\nimport b", "map=b()"]
    assert first["partialFingerprints"].keys() == {"telepathyLint/v1"}
    assert run["columnKind"] == "unicodeCodePoints"
    assert (bad["level"], run["invocations"][0]["executionSuccessful"]) == ("error", False)
    assert notebook["locations"][0]["physicalLocation"]["region"] == {"startLine": 42, "endLine": 42}
    assert strange["locations"][0]["physicalLocation"]["artifactLocation"]["uri"] == (
        "odd%2C%20%3Cname%3E%3A%20100%25%0A%22%26.py"
    )


def test_sarif_names_absolute_paths_as_file_uris() -> None:
    document = json.loads(text("sarif", result(violation("/a b/c.py"), path="/a b/c.py")))
    location = document["runs"][0]["results"][0]["locations"][0]["physicalLocation"]["artifactLocation"]
    assert location == {"uri": "file:///a%20b/c.py"}


@pytest.mark.parametrize(
    ("results", "options", "said"),
    [
        ([], {}, ["All checks passed!"]),
        ([SAFE], {}, ["Found 1 error.", "[*] 1 fixable with the `--fix` option."]),
        (
            [SAFE, NOTEBOOK],
            {},
            [
                "Found 2 errors.",
                "[*] 1 fixable with the `--fix` option (1 hidden fix can be enabled with the `--unsafe-fixes` option).",
            ],
        ),
        (
            [NOTEBOOK],
            {},
            [
                "Found 1 error.",
                "No fixes available (1 hidden fix can be enabled with the `--unsafe-fixes` option).",
            ],
        ),
        ([NOTEBOOK], {"unsafe": True}, ["Found 1 error.", "[*] 1 fixable with the `--fix` option."]),
        ([FAILED], {}, ["Found 1 error.", "1 file could not be linted."]),
        (
            [FileResult("a.py", (FileFinding(violation(), "fixed"),) * 2)],
            {"fixing": True, "show_fixes": True},
            ["a.py:", "    2 × TLP101 (hardcoded-device-map)", "", "Found 2 errors (2 fixed, 0 remaining)."],
        ),
    ],
    ids=["nothing", "safe", "both", "hidden", "unsafe enabled", "failed", "fixed"],
)
def test_summary(results: list[FileResult], options: dict[str, Any], said: list[str]) -> None:
    assert "".join(summary(Report(results, **options))).splitlines() == said


def test_statistics_are_sorted_by_number() -> None:
    found = result(
        violation(code="TLP102"),
        violation(fix=fix()),
        violation(fix=fix()),
        violation(code="TLP102", fix=fix()),
    )
    more = result(violation(code="TLP102"))
    assert "".join(statistics(Report([found, more]))).splitlines() == [
        "3\tTLP102\t[-] hardcoded-device-map",
        "2\tTLP101\t[*] hardcoded-device-map",
    ]


def test_statistics_end_with_calls_fixes_and_the_command_to_try_next() -> None:
    held = Fix("display", "not fixed: line 9 saves")

    def told(*violations: Violation) -> str:
        return "".join(outlook(Report([result(*violations), FAILED]), lambda more: f"check {more} ."))

    both = (
        violation(fix=fix()),
        violation(code="TLP102", fix=fix("unsafe")),
        violation(code="TLP104", fix=held),
    )
    assert told(*both) == (
        "\n3 findings at 1 call: 1 fixable safely, 1 more with --unsafe-fixes.\nTry next: check --select TLP101 --diff .\n"
    )
    assert told(both[1]).endswith("Try next: check --select TLP102 --unsafe-fixes --diff .\n")
    assert told(both[2]) == "\n1 finding at 1 call: 0 fixable safely.\nTry next: check --select TLP104 .\n"
    assert told() == ""
