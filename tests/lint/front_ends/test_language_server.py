"""The language server, tested through its protocol with a minimal client."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.lint.front_ends.language_client import Client, applied

pytest.importorskip("pygls")

IMPORT = "from transformers import AutoModelForCausalLM\n"
CALL = 'AutoModelForCausalLM.from_pretrained("gpt2", device_map="auto", torch_dtype="bfloat16", attn_implementation="sdpa")'
TEXT = f'{IMPORT}x = "😀"; m = {CALL}\nm.generation_config.max_length = 9\n'
#: What a client says that asks for diagnostics instead of being sent them.
PULLS = {"textDocument": {"publishDiagnostics": {}, "diagnostic": {"dynamicRegistration": False}}}


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    """One server for all tests; each test has its own documents."""
    one = Client(tmp_path_factory.mktemp("workspace"))
    yield one
    one.close()


def test_diagnostics_follow_the_typing(client: Client, tmp_path: Path) -> None:
    uri = (tmp_path / "a.py").as_uri()
    (found,) = client.open(uri, TEXT)
    assert (found["code"], found["source"], found["severity"]) == ("TLP101", "telepathy-lint", 2)
    column = len((TEXT.splitlines()[1].partition("device_map")[0]).encode("utf-16-le")) // 2
    assert found["range"]["start"] == {"line": 1, "character": column}
    change = {"textDocument": {"uri": uri, "version": 2}, "contentChanges": [{"text": "x = 1\n"}]}
    client.notify("textDocument/didChange", change)
    assert client.wait(uri) == []
    change = {"textDocument": {"uri": uri, "version": 3}, "contentChanges": [{"text": "from_pretrained(\n"}]}
    client.notify("textDocument/didChange", change)
    (failed,) = client.wait(uri)
    assert (failed["code"], failed["severity"]) == ("TLP000", 1)
    assert client.actions(uri, 0, 0) == []
    client.notify("textDocument/didClose", {"textDocument": {"uri": uri}})
    assert client.wait(uri) == []


def test_quick_fixes_write_what_the_command_line_writes(client: Client, tmp_path: Path) -> None:
    path = tmp_path / "a.py"
    uri = path.as_uri()
    (found,) = client.open(uri, TEXT)
    start = found["range"]["start"]
    fix, disable, everything = client.actions(uri, start["line"], start["character"])
    assert (fix["kind"], fix["isPreferred"], disable["title"]) == (
        "quickfix",
        True,
        "Disable TLP101 for this line",
    )
    path.write_text(TEXT, encoding="utf-8")
    subprocess.run([sys.executable, "-m", "telepathy_lint", "check", "--fix", "-q", str(path)], check=True)
    expected = path.read_text(encoding="utf-8")
    assert expected != TEXT
    assert applied(TEXT, fix["edit"]["changes"][uri]) == expected
    assert applied(TEXT, everything["edit"]["changes"][uri]) == expected
    assert applied(TEXT, disable["edit"]["changes"][uri]) == TEXT.replace(
        '"sdpa")\n', '"sdpa")  # noqa: TLP101\n'
    )
    for only in ("source.fixAll.telepathy-lint", "source.fixAll", "source"):
        assert [one["kind"] for one in client.actions(uri, 0, 0, [only])] == ["source.fixAll.telepathy-lint"]
    for only in ("source.fix", "source.fixAll.ruff", "source.organizeImports", "notebook.source.fixAll"):
        assert client.actions(uri, 0, 0, [only]) == []
    assert client.actions(uri, 0, 0, ["quickfix"]) == []


def test_hover_shows_the_rule(client: Client, tmp_path: Path) -> None:
    uri = (tmp_path / "a.py").as_uri()
    (found,) = client.open(uri, TEXT)
    shown = client.request(
        "textDocument/hover", {"textDocument": {"uri": uri}, "position": found["range"]["start"]}
    )
    heading, _, text = shown["contents"]["value"].partition("\n")
    assert heading.startswith("#") and "hardcoded-device-map" in heading and "```python" in text
    nothing = {"textDocument": {"uri": uri}, "position": {"line": 0, "character": 0}}
    assert client.request("textDocument/hover", nothing) is None


def test_configuration_is_read_anew(client: Client, tmp_path: Path) -> None:
    uri = (tmp_path / "a.py").as_uri()
    assert len(client.open(uri, TEXT)) == 1
    (tmp_path / "telepathy-lint.toml").write_text('ignore = ["TLP101"]\n')
    client.notify("textDocument/didSave", {"textDocument": {"uri": uri}})
    assert client.wait(uri) == []
    (tmp_path / "telepathy-lint.toml").write_text("ignoer = []\n")
    client.notify("textDocument/didSave", {"textDocument": {"uri": uri}})
    assert "did you mean 'ignore'?" in client.wait(uri)[0]["message"]


def test_unsafe_fixes_are_part_of_fix_all_where_the_client_says_so(tmp_path: Path) -> None:
    text = TEXT.replace('device_map="auto"', 'device_map="mps"')
    uri = (tmp_path / "a.py").as_uri()
    for options, number in ((None, 0), ({"unsafeFixes": True}, 1)):
        client = Client(tmp_path, options)
        client.open(uri, text)
        assert len(client.actions(uri, 0, 0, ["source.fixAll"])) == number
        client.close()


def test_unusable_settings_are_named_and_the_rest_holds(tmp_path: Path) -> None:
    given = {
        "unsafeFixes": "yes",
        "fixStyle": "inlined",
        "ignore": ["TLP10", "TLP999"],
        "targetTransformers": "latest",
        "run": "always",
        "configuration": "missing.toml",
        "select": ["TLP101"],
        "interpreter": ["an extension's own"],
    }
    client = Client(tmp_path, given)
    (found,) = client.open((tmp_path / "a.py").as_uri(), TEXT.replace(', torch_dtype="bfloat16"', ""))
    assert found["code"] == "TLP101"  # TLP102 is not selected
    named = sorted(message.split()[0].rstrip(":") for message in client.messages)
    assert named == [
        f"telepathy-lint.{name}"
        for name in ("configuration", "fixStyle", "ignore", "run", "targetTransformers", "unsafeFixes")
    ]
    assert all("Traceback" not in message and "--" not in message for message in client.messages)
    assert client.close() == 0


def test_settings_are_asked_for_by_folder_and_asked_again(tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    one.mkdir()
    two.mkdir()
    (two / "own.toml").write_text('ignore = ["TLP101"]\n')
    answers: dict[str | None, object] = {
        None: {"enable": True},
        one.as_uri(): {"enable": False},
        two.as_uri(): {"configuration": "own.toml", "select": [], "unsafeFixes": None},
    }
    workspace = {"configuration": True, "didChangeConfiguration": {"dynamicRegistration": True}}
    client = Client(
        tmp_path,
        {"unsafeFixes": True},
        {"workspace": workspace},
        folders=[one, two],
        settings=lambda scope: answers[scope],
    )
    (asked,) = [
        each
        for message in client.requested or [client.receive()]
        for each in message["params"]["registrations"]
    ]
    assert asked["method"] == "workspace/didChangeConfiguration"
    three = tmp_path / "three.py"
    assert client.open((one / "a.py").as_uri(), TEXT) == []
    assert client.open((two / "a.py").as_uri(), TEXT) == []
    assert [each["code"] for each in client.open(three.as_uri(), TEXT)] == ["TLP101"]
    answers[one.as_uri()] = None
    answers[None] = {"ignore": ["TLP101"], "extendSelect": ["TLP902"]}
    client.notify("workspace/didChangeConfiguration", {"settings": None})
    assert [each["code"] for each in client.wait((one / "a.py").as_uri())] == ["TLP902"]
    assert client.close() == 0


def test_settings_that_are_pushed(tmp_path: Path) -> None:
    """As JupyterLab and older clients do."""
    client = Client(tmp_path)
    uri = (tmp_path / "a.py").as_uri()
    assert len(client.open(uri, TEXT)) == 1
    client.notify(
        "workspace/didChangeConfiguration", {"settings": {"telepathy-lint": {"ignore": ["TLP101"]}}}
    )
    assert client.wait(uri) == []
    client.notify("workspace/didChangeConfiguration", {"settings": {"enable": False}})
    client.wait(uri)
    assert client.actions(uri, 1, 60) == []
    client.close()


def test_linting_on_save_only(tmp_path: Path) -> None:
    client = Client(tmp_path, {"run": "onSave"}, PULLS)
    uri = (tmp_path / "a.py").as_uri()
    client.open(uri, TEXT, wait=False)
    first = client.pull(uri)
    (found,) = first["items"]
    # What is found in the new line waits; what was found before moves along.
    client.change(uri, 2, {"text": f"{IMPORT}n = {CALL}\n{TEXT}"})
    (moved,) = client.pull(uri)["items"]
    assert moved["range"]["start"] == {**found["range"]["start"], "line": found["range"]["start"]["line"] + 2}
    client.save(uri)
    assert len(client.pull(uri)["items"]) > 1
    client.close()


def test_a_file_that_does_not_parse_keeps_its_last_findings(client: Client, tmp_path: Path) -> None:
    uri = (tmp_path / "a.py").as_uri()
    text = f"{TEXT}n = AutoModelForCausalLM.from_pretrained(\n    'gpt2',\n    device_map='auto',\n)\n"
    before = client.open(uri, text)
    assert {"TLP101"} < {each["code"] for each in before}
    client.change(uri, 2, {"text": f"import (\n\n{text}"})
    failed, *after = client.wait(uri)
    assert failed["code"] == "TLP000"

    def places(found: list[dict[str, object]], lines: int = 0) -> list[object]:
        return sorted((each["code"], each["range"]["start"]["line"] + lines) for each in found)  # type: ignore[index]

    assert places(after) == places(before, 2)
    assert client.actions(uri, 3, 60) == []  # no fix of what may not be so any more
    # A line that was changed has lost its finding; the others keep theirs, also those in front of the change.
    client.change(uri, 3, {"text": f"import (\n\n{text}".replace("device_map='auto'", "device_map='mps'")})
    failed, *after = client.wait(uri)
    gone = [each for each in before if each["range"]["start"]["line"] == 5]
    assert gone and places(after) == places([each for each in before if each not in gone], 2)
    client.change(uri, 4, {"text": text})
    assert places(client.wait(uri)) == places(before)


@pytest.mark.parametrize(
    "offered, used", [(None, "utf-16"), (["utf-8"], "utf-8"), (["utf-32", "utf-16"], "utf-32")]
)
def test_positions_count_what_was_agreed(offered: list[str] | None, used: str, tmp_path: Path) -> None:
    capabilities = {"general": {"positionEncodings": offered}} if offered else {}
    client = Client(tmp_path, None, capabilities)
    assert client.started["capabilities"]["positionEncoding"] == used
    path = tmp_path / "a.py"
    uri = path.as_uri()
    # A form feed and a line separator end no line, neither for the protocol nor for Python.
    above = 'y = "\u2028é😀"\n\x0c\n'
    (found,) = client.open(uri, above + TEXT)
    line = TEXT.splitlines()[1]
    unit = {"utf-8": len("😀".encode()), "utf-16": 2, "utf-32": 1}[used]
    column = line.index("device_map") - 1 + unit
    assert found["range"]["start"] == {"line": 3, "character": column}
    # A change behind a surrogate pair, on a line below the odd ones: `auto` becomes `mps`.
    start = column + len('device_map="')
    place = {"start": {"line": 3, "character": start}, "end": {"line": 3, "character": start + len("auto")}}
    client.change(
        uri,
        2,
        {"range": place, "text": "mps"},
        {
            "range": {"start": {"line": 0, "character": 0}, "end": {"line": 0, "character": 0}},
            "text": "# 😀\r\n",
        },
    )
    (found,) = client.wait(uri)
    assert "'mps'" in found["message"] and found["range"]["start"]["line"] == 4
    place = {"start": {"line": 4, "character": start}, "end": {"line": 4, "character": start + len("mps")}}
    client.change(uri, 3, {"range": place, "text": "auto"})
    changed = "# 😀\r\n" + above + TEXT
    (everything,) = client.actions(uri, 0, 0, ["source.fixAll"])
    fixed = applied(changed, everything["edit"]["changes"][uri], used)
    expected = tmp_path / "a.py"
    expected.write_bytes(changed.encode())
    subprocess.run(
        [sys.executable, "-m", "telepathy_lint", "check", "--fix", "-q", str(expected)], check=True
    )
    assert fixed == expected.read_bytes().decode() != changed
    client.close()


def test_names_that_are_spelled_in_several_ways(client: Client, tmp_path: Path) -> None:
    folder = tmp_path / "a b+ü#1"
    folder.mkdir()
    (folder / "telepathy-lint.toml").write_text('ignore = ["TLP101"]\n')
    assert client.open((folder / "a%b.py").as_uri(), TEXT) == []
    # Not on this machine, but a file all the same: a share, a drive, a buffer without a file, another editor's scheme.
    for uri in (
        "file://server/share/a.py",
        "file:///c%3A/work/a.py",
        "untitled:Untitled-1",
        "inmemory://model/1",
    ):
        assert [each["code"] for each in client.open(uri, TEXT)] == ["TLP101"], uri
        client.notify("textDocument/didClose", {"textDocument": {"uri": uri}})
    # Opened with one spelling, changed with another.
    uri = (tmp_path / "ü.py").as_uri()
    assert len(client.open(uri, TEXT)) == 1
    client.change(f"{tmp_path.as_uri()}/ü.py", 2, {"text": "x = 1\n"})
    assert client.wait(uri) == []


def test_a_buffer_without_a_file_has_the_configuration_of_the_folder(tmp_path: Path) -> None:
    (tmp_path / "telepathy-lint.toml").write_text('ignore = ["TLP101"]\n')
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "telepathy-lint.toml").write_text("")
    client = Client(elsewhere, folders=[tmp_path])
    assert client.open("untitled:Untitled-1", TEXT) == []
    client.close()


def test_excluded_files_are_left_alone(client: Client, tmp_path: Path) -> None:
    (tmp_path / "telepathy-lint.toml").write_text('extend-exclude = ["generated/*.py"]\n')
    for name in ("venv/lib/a.py", "generated/a.py"):
        uri = (tmp_path / name).as_uri()
        assert client.open(uri, TEXT) == []
        assert client.actions(uri, 1, 60) == []
    assert len(client.open((tmp_path / "written" / "a.py").as_uri(), TEXT)) == 1


def test_a_project_in_a_folder_with_an_excluded_name_is_linted(tmp_path: Path) -> None:
    project = tmp_path / "build" / "project"
    project.mkdir(parents=True)
    client = Client(project)
    assert len(client.open((project / "a.py").as_uri(), TEXT)) == 1
    client.close()


def test_tags_where_the_client_knows_them(tmp_path: Path) -> None:
    (tmp_path / "requirements.txt").write_text("transformers>=4.57\n")
    text = f"{IMPORT}m = {CALL}\n"
    for tags in ([1, 2], None):
        support: dict[str, object] = {"tagSupport": {"valueSet": tags}} if tags else {}
        client = Client(tmp_path, None, {"textDocument": {"publishDiagnostics": support}})
        found = {each["code"]: each for each in client.open((tmp_path / "a.py").as_uri(), text)}
        assert found["TLP107"].get("tags") == ([2] if tags else None)
        assert "tags" not in found["TLP101"]
        client.close()
