"""Unusual input: the file is always named, and nothing is lost."""

from __future__ import annotations

import json
import os
import time
import warnings
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from telepathy_lint.discovery.config import ConfigError, from_table, parse_toml
from telepathy_lint.discovery.gitignore import IgnoreFile
from telepathy_lint.discovery.requirements import target_of
from telepathy_lint.findings.result import FileResult
from telepathy_lint.rules import all_rules
from telepathy_lint.run.baseline import Baseline
from telepathy_lint.run.lint_file import lint_file
from telepathy_lint.run.options import Task
from telepathy_lint.run.selection import FilePlan
from telepathy_lint.settings import Loader, Settings
from telepathy_lint.source.notebook import Notebook
from telepathy_lint.source.text import SourceError

LOAD = b'from transformers import AutoModel\nm = AutoModel.from_pretrained("gpt2", device_map="cuda")\n'


def fixed(data: bytes, how: Settings | None = None) -> FileResult:
    return lint_file(FilePlan("x.py", all_rules(), how or Settings(), Task(fix=True, unsafe=True)), data)


@pytest.mark.parametrize(
    ("encoding", "above"),
    [
        ("utf-7", b'x = "~\\n"\n'),
        ("unicode_escape", b""),
        ("iso-2022-jp", b'x = "\x1b$B\x1b(B"\n'),
        ("idna", b""),
    ],
)
def test_what_an_encoding_would_spell_differently_is_not_fixed(encoding: str, above: bytes) -> None:
    result = fixed(b"# coding: " + encoding.encode() + b"\n" + above + LOAD)
    assert result.output is None
    (failure,) = result.failures
    assert "cannot be written back exactly as" in failure.message
    assert len(result.violations) > 1  # what was found is still said


def test_a_name_that_the_encoding_cannot_write_is_not_written() -> None:
    how = Settings(loader=Loader(module="größe"))
    assert fixed(b"# coding: ascii\n" + LOAD, how).output is None
    assert fixed(LOAD, how).output is not None


@pytest.mark.parametrize("encoding", ["undefined", "punycode", "idna", "utf-16", "utf-32"])
def test_encodings_that_fail_in_their_own_way(encoding: str) -> None:
    for data in (b'x = "\xa4"\n', b"x = \x1b\n", b"-", b"\xff\xfe"):
        result = fixed(b"# coding: " + encoding.encode() + b"\n" + data + LOAD)
        assert not any("itself failed" in one.message for one in result.failures)


@pytest.mark.parametrize("raw", ['{"a": ' + "1" * 5000 + "}", '{"cells": ' + "[" * 100_000])
def test_json_that_python_does_not_read(raw: str) -> None:
    with pytest.raises(SourceError, match="not a notebook"):
        Notebook("n.ipynb", raw.encode())


def test_half_a_character_in_a_notebook() -> None:
    cells = [{"cell_type": "code", "source": source} for source in ('x = "\ud800"', "x = 1")]
    (problem,) = Notebook("n.ipynb", json.dumps({"cells": cells}).encode()).problems
    assert (problem.message, problem.cell) == (
        "cell skipped: cannot be parsed: it contains a lone surrogate",
        0,
    )


def test_toml_that_is_nested_too_deeply() -> None:
    with pytest.raises(ConfigError, match="nested too deeply"):
        parse_toml("x.toml", b"a = " + b"[" * 100_000)


_ENTRY = {"path": "a.py", "code": "TLP101", "snippet": "f()", "count": 1}


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{",
        "[" * 100_000,
        '{"version": 1}',
        '{"version": 1, "findings": 1}',
        '{"version": 1, "findings": [[]]}',
        '{"version": 1, "findings": [{"path": "a.py"}]}',
        *(
            json.dumps({"version": 1, "findings": [{**_ENTRY, key: value}]})
            for key, value in [
                ("path", 1),
                ("code", None),
                ("snippet", ["f()"]),
                ("snippet", "\ud800"),
                ("count", float("inf")),
                ("count", "1"),
                ("count", -1),
            ]
        ),
    ],
)
def test_what_is_no_baseline_is_said_to_be_none(tmp_path: Path, text: str) -> None:
    (tmp_path / "b.json").write_text(text)
    with pytest.raises(ConfigError, match="not a baseline"):
        Baseline.read(str(tmp_path / "b.json"))


def test_a_baseline_knows_a_file_whose_name_is_no_text(tmp_path: Path) -> None:
    path = os.path.join(tmp_path, "x\udcff.py")
    result = lint_file(FilePlan(path, all_rules(), Settings(), Task(snippets=True)), LOAD)
    baseline = Baseline(str(tmp_path / "b.json"), Counter())
    assert baseline.write([result], [path]) == len(result.violations) > 0
    assert not Baseline.read(baseline.path).filtered([result], [path]).results[0].violations


def test_versions_of_endless_digits(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="target-transformers"):
        from_table({"target-transformers": "1" * 5000}, "x.toml")
    (tmp_path / "requirements.txt").write_text(f"transformers>={'1' * 5000}\ntransformers>=4.40\n")
    found = target_of(str(tmp_path))
    assert found is not None and found.version == "4.40"


def test_a_call_with_a_deep_argument_is_rewritten() -> None:
    deep = b" + ".join([b'"a"'] * 900)
    data = LOAD.replace(b'"gpt2"', deep)
    fixed = lint_file(FilePlan("x.py", all_rules(), Settings(), Task(fix=True, unsafe=True)), data)
    assert fixed.output is not None and b"load_model" in fixed.output and deep in fixed.output
    shown = lint_file(FilePlan("x.py", all_rules(), Settings(), Task(edits="shown")), data)
    assert "TLP101" in {one.code for one in shown.violations}
    assert not fixed.failures and not shown.failures


@pytest.mark.parametrize(
    "line",
    ["save" * 25_000, "log" * 30_000, "a_dir = " * 10_000, "_dir" + " " * 90_000, "model_" * 20_000],
)
def test_long_words_cost_no_more_than_their_length(line: str) -> None:
    start = time.process_time()
    fixed(f"# {line}\nx = {line.split()[0]!r}\n".encode() + LOAD)
    assert time.process_time() - start < 5


def test_the_cost_of_many_loads_is_in_proportion() -> None:
    start = time.process_time()
    load = LOAD.split(b"\n", 1)
    result = lint_file(FilePlan("x.py", all_rules(), Settings()), load[0] + b"\n" + load[1] * 3000)
    assert len(result.violations) > 3000
    assert time.process_time() - start < 10


_CALL = b'AutoModel.from_pretrained("gpt2", device_map="cuda")'


@pytest.mark.slow
@pytest.mark.parametrize(
    "repeated",
    [
        lambda count: b'x = ["\xc3\xa9", ' + (_CALL + b", ") * count + b"]\n",
        lambda count: (b"# telepathy-lint: disable=TLP101\nm = " + _CALL + b"\n") * count,
        lambda count: (
            (b"# telepathy-lint: disable=TLP101\nm = " + _CALL + b"\n# telepathy-lint: enable=TLP101\n")
            * count
        ),
        lambda count: (b"m = " + _CALL + b"  # noqa: TLP101\n") * count,
        lambda count: (b"from transformers import AutoModel\nm = " + _CALL + b"\n") * count,
    ],
    ids=["one line", "open ranges", "closed ranges", "noqa", "imports"],
)
def test_the_cost_of_what_stands_around_loads_is_in_proportion(repeated: Callable[[int], bytes]) -> None:
    def seconds(count: int) -> float:
        start = time.process_time()
        result = lint_file(FilePlan("x.py", all_rules(), Settings()), LOAD + repeated(count))
        assert len(result.violations) >= count
        return time.process_time() - start

    seconds(10)
    small = min(seconds(300) for _ in range(3))
    # Ten times the input; quadratic is a hundred. Again only if a busy machine slowed the first run down.
    assert any(seconds(3000) < 30 * small + 1 for _ in range(2))


def test_a_comment_in_what_is_not_python_stays() -> None:
    data = b"x = 1  # noqa: TLP101\ndef (:\n"
    for fix in (True, False):
        result = lint_file(FilePlan("x.py", all_rules(), Settings(), Task(fix=fix, unused_noqa=True)), data)
        assert result.output is None
        assert [one.code for one in result.violations] == ["TLP000"]


@pytest.mark.parametrize(
    "pattern",
    ["[z-a].py", "x[!z-a]", "[\\\\-a]", "a[[:alpha:]]", "[a&&b]", "[--a]", "[a--]", "[+--/]", "[x---z]"],
)
def test_patterns_with_odd_classes(pattern: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert IgnoreFile(f"{pattern}\nkept").verdict("kept", "kept", False) is True
        assert IgnoreFile(pattern).verdict("other", "other", False) is None


@pytest.mark.parametrize(
    ("pattern", "path"),
    [
        ("*a" * 40 + "b", "a" * 200),
        ("*" * 60 + "x", "y" * 200),
        ("**/a/" * 30 + "b", "a/" * 60 + "c"),
        ("**/*a*/" * 20 + "b", "aa/" * 40 + "c"),
        ("a*" * 30 + "/" + "*b" * 30 + "/c", "a" * 100 + "/" + "b" * 100 + "/d"),
    ],
)
def test_patterns_full_of_wildcards(pattern: str, path: str) -> None:
    start = time.process_time()
    assert IgnoreFile(pattern).verdict(path, path.rpartition("/")[2], False) is None
    assert time.process_time() - start < 1


@pytest.mark.parametrize("pattern", ["a[!b]c", "a[/]c", "a?c", "a*c"])
def test_no_wildcard_stands_for_a_slash(pattern: str) -> None:
    assert IgnoreFile(f"/{pattern}").verdict("a/c", "c", False) is None


@pytest.mark.parametrize("end", ["", "\n", '"', '"""', '\\"""'])
def test_backslashes_in_a_cells_string_are_read_once(end: str) -> None:
    source = '%pip install x\ny = """a\n' + "\\" * 2001 + end + "\n"
    start = time.process_time()
    Notebook("n.ipynb", json.dumps({"cells": [{"cell_type": "code", "source": source}]}).encode())
    assert time.process_time() - start < 2


def test_a_quote_behind_a_backslash_ends_no_string_of_a_cell() -> None:
    source = 'y = """a\n\\"""\n%x\n"""\n%y\n'
    book = Notebook("n.ipynb", json.dumps({"cells": [{"cell_type": "code", "source": source}]}).encode())
    assert not book.problems
    assert '%x\n"""' in book.text
