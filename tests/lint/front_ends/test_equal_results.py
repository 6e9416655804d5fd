"""The numbers of found, fixed and remaining findings agree in all front-ends, for each fixture of a rule and each program.

In each mode (default and strict; safe fixes, and unsafe ones too):

- the findings before, plus those that a fix makes possible (APPEARS), are the fixed and the remaining ones;
- a finding that disappears with the fix of another counts as fixed, and only those in TOGETHER do;
- a second run reports the remaining findings of the first, and changes nothing;
- the Python API, the command, the pre-commit hooks, flake8, the codemod, the language server and the audit agree.
"""

from __future__ import annotations

import io
import json
import re
import shlex
import subprocess
import sys
from collections import Counter
from contextlib import redirect_stdout
from functools import cache
from itertools import product
from pathlib import Path
from typing import NamedTuple

import pytest
from libcst import parse_module
from libcst.codemod import CodemodContext

import telepathy_lint
from telepathy_lint import engine
from telepathy_lint.codemod import UseRuntimeLoader
from telepathy_lint.commands import cli
from telepathy_lint.rules import all_rules, select
from telepathy_lint.settings import Settings
from telepathy_lint.source.text import Source
from tests.lint.front_ends.test_front_ends import hooks

FIXTURES = Path(__file__).resolve().parents[3] / "fixtures"
FILES = {
    f"{path.parent.name}_{path.name}": path.read_bytes()
    for path in (*sorted(FIXTURES.glob("rules/*/bad*.py")), *sorted(FIXTURES.glob("programs/*.py")))
    if not path.name.endswith(".fixed.py")
}
ON = frozenset(rule.meta.code for rule in all_rules() if rule.meta.default)

#: What a fix makes room for: the code, the rule whose fix does it, and why the finding is true only then.
APPEARS = {
    (
        "TLP104",
        "TLP107",
    ): "use_flash_attention_2=False says nothing of attention, and TLP107 spoke of it before",
}
#: What goes away with the fix of another rule: the code, that rule, and why this is a fix.
TOGETHER = {
    ("TLP104", "TLP107"): "use_flash_attention_2=True becomes an attn_implementation",
    ("TLP104", "TLP108"): "output_attentions=True gets attn_implementation='eager'",
    ("TLP108", "TLP103"): "FlashAttention beside float32, or a dtype that is no dtype: the new dtype fits",
    (
        "TLP109",
        "TLP102",
    ): "the loader merges the generation config that from_pretrained would have put in its place",
    ("TLP104", "TLP102"): "by default, attention is only reported of a load that states no dtype",
    ("TLP108", "TLP101"): "the device_map that the pipeline ignores is taken out",
    ("TLP203", "TLP207"): "an argument that raises goes, and what is left states how the call decodes",
    ("TLP203", "TLP105"): "the loader's generation config says how every `generate` call decodes",
    ("TLP203", "TLP204"): "an impossible do_sample is corrected, which states how the call decodes",
}

Place = tuple[int, int, str, str]
_MODES = {
    "default-plain": (False, False), "default-unsafe": (False, True),
    "strict-plain": (True, False), "strict-unsafe": (True, True),
}  # fmt: skip


def modes(*quick: str) -> pytest.MarkDecorator:
    """All modes; some of them are tested in every run, the two that differ in everything by the slow tests."""
    marks = {"default-plain": pytest.mark.slow, "strict-unsafe": pytest.mark.slow}
    return pytest.mark.parametrize(
        ("strict", "unsafe"),
        [
            pytest.param(
                *mode, id=name, marks=() if name in quick else marks.get(name, pytest.mark.exhaustive)
            )
            for name, mode in _MODES.items()
        ],
    )


class Outcome(NamedTuple):
    """The results of one front-end for one file."""

    before: list[Place]
    fixed: Counter[str]
    left: list[Place]
    after: bytes


@cache
def results(
    strict: bool, unsafe: bool
) -> dict[str, tuple[list[telepathy_lint.Violation], telepathy_lint.FixResult[bytes]]]:
    settings = Settings(strict=strict)
    return {
        name: (
            telepathy_lint.lint(data, path=name, settings=settings),
            telepathy_lint.fix(data, path=name, settings=settings, unsafe=unsafe),
        )
        for name, data in FILES.items()
    }


def places(found: object) -> list[Place]:
    return sorted((one.line, one.column, one.code, one.message) for one in found)  # type: ignore[attr-defined]


@cache
def expected(strict: bool, unsafe: bool) -> dict[str, Outcome]:
    """The results of the Python API, with which all others are compared."""
    return {
        name: Outcome(
            places(before), Counter(one.code for one in fixed.applied), places(fixed.remaining), fixed.source
        )
        for name, (before, fixed) in results(strict, unsafe).items()
    }


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name, data in FILES.items():
        (tmp_path / name).write_bytes(data)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def configured(folder: Path, strict: bool) -> None:
    (folder / "telepathy-lint.toml").write_text(f"strict = {str(strict).lower()}\n")


def contents(folder: Path) -> dict[str, bytes]:
    return {name: (folder / name).read_bytes() for name in FILES}


def command(*arguments: str) -> str:
    out = io.StringIO()
    with redirect_stdout(out):
        assert cli.run([*arguments]) in (0, 1)
    return out.getvalue()


def by_file(text: str) -> dict[str, list[Place]]:
    found: dict[str, list[Place]] = {name: [] for name in FILES}
    for one in json.loads(text):
        found[one["path"]].append((one["line"], one["column"], one["code"], one["message"]))
    return {name: sorted(each) for name, each in found.items()}


def fixed_in_text(text: str) -> dict[str, Counter[str]]:
    """Parse the output of `--show-fixes`: a line with the path, then a line for each rule."""
    found: dict[str, Counter[str]] = {name: Counter() for name in FILES}
    path = ""
    for line in text.splitlines():
        if line.endswith(":") and line[:-1] in FILES:
            path = line[:-1]
        elif counted := re.fullmatch(r" +(\d+) × (TLP\d+) \(.*\)", line):
            found[path][counted[2]] += int(counted[1])
    return found


# ---- the numbers themselves


@modes("default-plain", "strict-unsafe")
def test_before_is_fixed_and_left(strict: bool, unsafe: bool) -> None:
    seen = 0
    for name, one in expected(strict, unsafe).items():
        before = Counter(code for _, _, code, _ in one.before)
        after = one.fixed + Counter(code for _, _, code, _ in one.left)
        assert not before - after, f"{name}: found, and neither fixed nor left"
        for code in after - before:
            causes = {cause for appearing, cause in APPEARS if appearing == code}
            assert causes & one.fixed.keys(), f"{name}: {code} was not there before"
        seen += one.fixed.total()
    assert seen > 100


@modes("default-plain", "strict-unsafe")
def test_what_is_fixed_together_with_another_is_known(strict: bool, unsafe: bool) -> None:
    for name, (_, fixed) in results(strict, unsafe).items():
        for one in fixed.applied:
            assert one.fix is not None
            with_codes = re.fullmatch(r"fixed together with (TLP\d+(?:, TLP\d+)*)", one.fix.message)
            if with_codes:
                causes = with_codes[1].split(", ")
                assert any((one.code, cause) in TOGETHER for cause in causes), (
                    f"{name}: {one.code} by {causes}"
                )
                assert one.fix.safety == "safe" or unsafe


@pytest.mark.slow
def test_no_reason_is_out_of_date() -> None:
    """Each row in both tables occurs in a file."""
    appeared, together = set(), set()
    for strict, unsafe in product((False, True), repeat=2):
        for name, one in expected(strict, unsafe).items():
            new = one.fixed + Counter(code for _, _, code, _ in one.left)
            new -= Counter(code for _, _, code, _ in one.before)
            appeared |= {(code, cause) for code, cause in APPEARS if code in new and cause in one.fixed}
            for each in results(strict, unsafe)[name][1].applied:
                assert each.fix is not None
                if each.fix.message.startswith("fixed together with "):
                    together |= {(each.code, cause) for cause in re.findall(r"TLP\d+", each.fix.message)}
    assert appeared == set(APPEARS)
    assert together >= set(TOGETHER)


@modes("default-plain", "strict-unsafe")
def test_a_second_run_reports_what_is_left(strict: bool, unsafe: bool) -> None:
    settings = Settings(strict=strict)
    for name, one in expected(strict, unsafe).items():
        again = telepathy_lint.fix(one.after, path=name, settings=settings, unsafe=unsafe)
        assert (again.changed, again.applied) == (False, ()), name
        assert places(again.remaining) == one.left, name
        assert places(telepathy_lint.lint(one.after, path=name, settings=settings)) == one.left, name


@modes("default-plain")
def test_the_fix_of_one_rule_makes_no_room_for_another(strict: bool, unsafe: bool) -> None:
    """A rewritten call is followed like the original: what is relevant stays relevant, and nothing else becomes relevant."""
    settings = Settings(strict=strict)
    rules = select()
    for name, data in FILES.items():
        before = Counter(one.code for one in results(strict, unsafe)[name][0])
        for code in before:
            fixed = engine.fix(Source(name, data), select([code]), settings, unsafe=unsafe)
            if not fixed.changed:
                continue
            after = Counter(
                one.code for one in engine.lint(Source(name, fixed.text.encode()), rules, settings)
            )
            new = {each for each in after - before if (each, code) not in APPEARS}
            assert not new, f"{name}: the fix of {code}"


def test_a_source_gives_the_same_when_it_is_looked_at_twice() -> None:
    """Values cached with a source must not contain nodes of a tree that was dropped."""
    rules, settings = select(), Settings()
    for name, data in FILES.items():
        source = Source(name, data)
        first = engine.lint(source, rules, settings)
        assert places(engine.lint(source, rules, settings)) == places(first), name


# ---- the front ends


@modes("default-plain")
def test_the_command_says_the_same(folder: Path, strict: bool, unsafe: bool) -> None:
    wanted = expected(strict, unsafe)
    configured(folder, strict)
    options = ["--fix", *(["--unsafe-fixes"] if unsafe else [])]
    before = by_file(command("check", "--no-cache", "--output-format", "json", "."))
    assert before == {name: one.before for name, one in wanted.items()}
    diff = command("check", "--no-cache", "--diff", *options[1:], ".")
    assert contents(folder) == FILES and ("+++" in diff)
    text = command("check", "--no-cache", "--show-fixes", "--output-format", "concise", *options, ".")
    assert fixed_in_text(text) == {name: one.fixed for name, one in wanted.items()}
    assert contents(folder) == {name: one.after for name, one in wanted.items()}
    fixed = sum(one.fixed.total() for one in wanted.values())
    left = sum(len(one.left) for one in wanted.values())
    assert f"Found {fixed + left} errors ({fixed} fixed, {left} remaining)." in text
    after = by_file(command("check", "--no-cache", "--output-format", "json", "."))
    assert after == {name: one.left for name, one in wanted.items()}


@modes()
def test_the_hooks_say_the_same(folder: Path, strict: bool, unsafe: bool) -> None:
    wanted = expected(strict, unsafe)
    configured(folder, strict)
    check, fix = (
        shlex.split(hooks()[name]["entry"])[1:] for name in ("telepathy-lint", "telepathy-lint-fix")
    )
    more = ["--no-cache", "--output-format", "json", *FILES]
    assert by_file(command(*check, *more)) == {name: one.before for name, one in wanted.items()}
    unsafe_too = ["--unsafe-fixes"] if unsafe else []
    assert by_file(command(*fix, *unsafe_too, *more)) == {name: one.left for name, one in wanted.items()}
    assert contents(folder) == {name: one.after for name, one in wanted.items()}


@modes()
def test_flake8_says_the_same(folder: Path, strict: bool, unsafe: bool) -> None:
    pytest.importorskip("flake8")
    wanted = expected(strict, unsafe)

    def found() -> dict[str, list[Place]]:
        """With all our rules, which is faster than with flake8's; rules that are off by default are filtered out here."""
        options = [
            "--isolated",
            "--select",
            "TLP",
            "--format",
            "%(path)s\t%(row)d\t%(col)d\t%(code)s\t%(text)s",
        ]
        line = [sys.executable, "-m", "flake8", *options, *(["--telepathy-strict"] if strict else []), "."]
        ran = subprocess.run(line, capture_output=True, text=True)
        assert ran.stderr == ""
        places: dict[str, list[Place]] = {name: [] for name in FILES}
        for path, row, column, code, text in (each.split("\t") for each in ran.stdout.splitlines()):
            if code in ON:
                message = text.partition(" (not fixed: ")[
                    0
                ]  # why is said in tests/lint/front_ends/test_reasons.py
                places[path.removeprefix("./")].append((int(row), int(column), code, message))
        return {name: sorted(each) for name, each in places.items()}

    if not unsafe:  # what is found before does not depend on it
        assert found() == {name: one.before for name, one in wanted.items()}
    for name, one in wanted.items():
        (folder / name).write_bytes(one.after)
    assert found() == {name: one.left for name, one in wanted.items()}


@modes()
def test_the_codemod_says_the_same(folder: Path, strict: bool, unsafe: bool) -> None:
    configured(folder, strict)
    for name, one in expected(strict, unsafe).items():
        context = CodemodContext(filename=str(folder / name))
        changed = UseRuntimeLoader(context, unsafe_fixes=unsafe).transform_module(parse_module(FILES[name]))
        assert changed.bytes == one.after, name
        warned = [re.fullmatch(r".*?:(\d+):(\d+): (TLP\d+) .*", each) for each in context.warnings]
        rows = [(int(each[1]), int(each[2]), each[3]) for each in warned if each is not None]
        assert sorted(rows) == [row[:3] for row in one.left], name


@modes("default-plain")
def test_the_language_server_says_the_same(folder: Path, strict: bool, unsafe: bool) -> None:
    pytest.importorskip("pygls")
    from lsprotocol import types

    from telepathy_lint.front_ends.lsp.documents import Documents
    from telepathy_lint.front_ends.lsp.findings import Linter
    from telepathy_lint.front_ends.lsp.settings import EditorSettings

    linter = Linter(EditorSettings(options=(("strict", strict),)))
    documents = Documents(folder.as_uri())

    def opened(name: str, data: bytes) -> object:
        uri = (folder / name).as_uri()
        documents.put_text_document(types.TextDocumentItem(uri, "python", 1, data.decode()))
        return documents.buffer(uri)

    for name, one in expected(strict, unsafe).items():
        buffer = opened(name, FILES[name])
        found, broken = linter.lint(buffer)  # type: ignore[arg-type]
        assert (places(found), broken) == (one.before, frozenset()), name
        fixed = linter.fix(buffer, unsafe)  # type: ignore[arg-type]
        assert (fixed is None) == (not one.fixed), name
        if fixed is not None:
            assert (fixed[0].text.encode(), fixed[1]) == (one.after, one.fixed.total()), name
        again, _ = linter.lint(opened(name, one.after))  # type: ignore[arg-type]
        assert places(again) == one.left, name


@pytest.mark.slow
@pytest.mark.parametrize("strict", [False, True], ids=["default", "strict"])
def test_the_audit_says_the_same(folder: Path, strict: bool) -> None:
    configured(folder, strict)
    wanted = expected(strict, False)
    audited = json.loads(command("audit", "--format", "json", "--jobs", "1", "."))
    found: dict[str, list[tuple[int, str, str]]] = {name: [] for name in FILES}
    for one in audited["findings"]:
        found[one["place"]["path"]].append((one["place"]["line"], one["code"], one["message"]))
    assert {name: sorted(each) for name, each in found.items()} == {
        name: sorted((line, code, message) for line, _, code, message in one.before)
        for name, one in wanted.items()
    }
    assert {one["safety"] for one in audited["actions"]} == {"safe", "unsafe"}
    for action in audited["actions"]:
        counted = Counter(code for each in found.values() for _, code, _ in each)
        assert action["fixes"] + action["left"] == sum(counted[code] for code in action["codes"])
        text = _tried(action["command"])
        changed = [name for name, data in contents(folder).items() if data != FILES[name]]
        for name in changed:
            (folder / name).write_bytes(FILES[name])
        apart = sum(code in action["codes"] for name in action["left_out"] for _, code, _ in found[name])
        left = action["left"] - apart
        assert len(changed) == action["files"]
        assert f"({action['fixes']} fixed, {left} remaining)." in text, action["command"]


def _tried(line: str) -> str:
    program, *arguments = shlex.split(line)
    assert program == "telepathy-lint"
    return command(*arguments, "--no-cache")
