"""Differences between clients: shutdown, diagnostics, action edits, notebooks, commands."""

from __future__ import annotations

import fnmatch
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("pygls")

from telepathy_lint import lint
from telepathy_lint.discovery.python_bounds import is_version_file
from telepathy_lint.discovery.requirement_paths import gives_instructions, requirement_paths
from telepathy_lint.front_ends.language_server import WATCHED
from tests.lint.front_ends.language_client import PATIENCE, Client, ServerError, applied

IMPORT = "from transformers import AutoModelForCausalLM\n"
CALL = 'AutoModelForCausalLM.from_pretrained("acme", device_map="auto", torch_dtype="bfloat16", attn_implementation="sdpa")'
#: One finding, with a safe fix.
TEXT = f"{IMPORT}m = {CALL}\nm.generation_config.max_length = 9\n"
PULLS: dict[str, Any] = {"textDocument": {"diagnostic": {}}}
RESOLVES: dict[str, Any] = {
    "textDocument": {"codeAction": {"dataSupport": True, "resolveSupport": {"properties": ["edit"]}}}
}
VERSIONED: dict[str, Any] = {"workspace": {"workspaceEdit": {"documentChanges": True}, "applyEdit": True}}
CELLS = {
    "vscode-notebook-cell:/n.ipynb#W0": ("python", "%matplotlib inline\n" + IMPORT),
    "vscode-notebook-cell:/n.ipynb#W1": ("markdown", "Some *text*, no code."),
    "vscode-notebook-cell:/n.ipynb#W2": ("python", f"m = {CALL}\nm.generation_config.max_length = 9"),
    "vscode-notebook-cell:/n.ipynb#W3": ("python", f"n = {CALL}\n!ls\nn.generation_config.max_length = 9\n"),
}
FIRST, PROSE, SECOND, THIRD = CELLS


def fixed_by_the_command_line(path: Path, text: str, *options: str) -> str:
    path.write_text(text)
    command = [sys.executable, "-m", "telepathy_lint", "check", "--fix", "-q", *options, str(path)]
    subprocess.run(command, check=False)
    fixed = path.read_text()
    assert fixed != text
    return fixed


# ---- the end


def test_exit_codes(tmp_path: Path) -> None:
    client = Client(tmp_path)
    client.open((tmp_path / "a.py").as_uri(), TEXT)
    assert (client.close(), client.errors()) == (0, "")
    client = Client(tmp_path)
    client.notify("exit", None)
    assert (client.process.wait(PATIENCE), client.errors()) == (1, "")


@pytest.mark.parametrize("asked, code", [(True, 0), (False, 1)])
def test_a_client_that_only_closes_the_stream(asked: bool, code: int, tmp_path: Path) -> None:
    client = Client(tmp_path)
    client.open((tmp_path / "a.py").as_uri(), TEXT)
    if asked:
        client.request("shutdown", None)
    assert client.process.stdin is not None
    client.process.stdin.close()
    assert (client.process.wait(PATIENCE), client.errors()) == (code, "")


# ---- diagnostics on request


def test_diagnostics_on_request(tmp_path: Path) -> None:
    refresh = {"workspace": {"diagnostics": {"refreshSupport": True}}}
    client = Client(tmp_path, None, PULLS | refresh)
    provider = client.started["capabilities"]["diagnosticProvider"]
    assert (provider["interFileDependencies"], provider["workspaceDiagnostics"]) == (True, False)
    uri = (tmp_path / "a.py").as_uri()
    client.open(uri, TEXT, wait=False)
    report = client.pull(uri)
    assert (report["kind"], [each["code"] for each in report["items"]]) == ("full", ["TLP101"])
    same = client.pull(uri, report["resultId"])
    assert same == {"kind": "unchanged", "resultId": report["resultId"]}
    # Another text with the same findings is nothing new either; one with others is.
    client.change(uri, 2, {"text": TEXT + "x = 1\n"})
    assert client.pull(uri, report["resultId"])["kind"] == "unchanged"
    client.change(uri, 3, {"text": "\n" + TEXT})
    moved = client.pull(uri, report["resultId"])
    assert moved["items"][0]["range"]["start"]["line"] == 2
    # What the findings rest on changed on the disk.
    (tmp_path / "telepathy-lint.toml").write_text('ignore = ["TLP101"]\n')
    client.requested.clear()
    client.save(uri)
    assert client.pull(uri, moved["resultId"])["items"] == []
    assert "workspace/diagnostic/refresh" in [message["method"] for message in client.requested]
    client.notify("textDocument/didClose", {"textDocument": {"uri": uri}})
    assert client.pull(uri)["items"] == []
    client.settle()
    assert client.published == []  # not both ways
    client.close()


@pytest.mark.parametrize(
    "name",
    [
        "README", "readme.txt", "INSTALL.txt", "install.md", "Dockerfile.gpu", "Containerfile", "setup.sh", "setup.cfg", "pyproject.toml",
        "requirements-dev.txt", "deps.txt", "req.txt", "environment.yml", "conda.yaml", ".python-version", "runtime.txt", "uv.lock", "poetry.lock",
        "pdm.lock", "Pipfile.lock",
    ],
)  # fmt: skip
def test_files_that_tell_releases_are_watched(name: str) -> None:
    assert names_a_release(name)
    assert any(
        fnmatch.fnmatchcase(f"acme/{name}", each) for glob in WATCHED for each in braces_expanded(glob)
    )


def names_a_release(name: str) -> bool:
    return is_version_file(name) or gives_instructions(name) or bool([*requirement_paths("", [name])])


def braces_expanded(glob: str) -> list[str]:
    before, brace, rest = glob.partition("{")
    if not brace:
        return [glob]
    inside, _, after = rest.partition("}")
    return [full for each in inside.split(",") for full in braces_expanded(before + each + after)]


def test_files_beside_the_document_are_watched(tmp_path: Path) -> None:
    workspace = {
        "didChangeWatchedFiles": {"dynamicRegistration": True},
        "diagnostics": {"refreshSupport": True},
    }
    client = Client(tmp_path, None, {**PULLS, "workspace": workspace})
    uri = (tmp_path / "a.py").as_uri()
    client.open(
        uri,
        f"{IMPORT}from house import KWARGS\nm = AutoModelForCausalLM.from_pretrained('acme', **KWARGS)\n",
        False,
    )
    codes = {each["code"] for each in client.pull(uri)["items"]}
    asked = [message for message in client.requested if message["method"] == "client/registerCapability"]
    (registered,) = [each for message in asked for each in message["params"]["registrations"]]
    globs = [each["globPattern"] for each in registered["registerOptions"]["watchers"]]
    assert {"**/pyproject.toml", "**/telepathy-lint.toml", "**/*.py"} <= set(globs)
    (tmp_path / "house.py").write_text("KWARGS = {'device_map': 'auto'}\n")
    client.requested.clear()
    change = {"changes": [{"uri": (tmp_path / "house.py").as_uri(), "type": 1}]}
    client.notify("workspace/didChangeWatchedFiles", change)
    assert "TLP101" in {each["code"] for each in client.pull(uri)["items"]} - codes
    assert [message["method"] for message in client.requested] == ["workspace/diagnostic/refresh"]
    client.close()


def test_a_request_that_is_cancelled_is_answered_and_the_next_one_too(tmp_path: Path) -> None:
    client = Client(tmp_path, None, PULLS)
    uri = (tmp_path / "a.py").as_uri()
    client.open(uri, TEXT * 200, wait=False)
    number = client.begin("textDocument/diagnostic", {"textDocument": {"uri": uri}})
    client.notify("$/cancelRequest", {"id": number})
    with pytest.raises(ServerError) as error:
        client.answer(number)
    assert error.value.code == -32800
    assert len(client.pull(uri)["items"]) == 200
    client.close()


def test_what_was_typed_over_is_not_linted(tmp_path: Path) -> None:
    client = Client(tmp_path)
    uri = (tmp_path / "a.py").as_uri()
    client.open(uri, TEXT)
    client.published.clear()
    for version in range(2, 102):
        client.change(uri, version, {"text": f"{TEXT}# {version}\n{TEXT}"})
    while not client.published or client.published[-1]["version"] != 101:
        client.receive()
    assert len(client.published) < 20  # of 100 changes
    versions = [each["version"] for each in client.published]
    assert versions == sorted(versions)
    client.close()


# ---- code actions


def test_edits_are_made_when_an_action_is_chosen(tmp_path: Path) -> None:
    client = Client(tmp_path, None, RESOLVES | VERSIONED)
    assert client.started["capabilities"]["codeActionProvider"]["resolveProvider"] is True
    uri = (tmp_path / "a.py").as_uri()
    (found,) = client.open(uri, TEXT)
    column = found["range"]["start"]["character"]
    listed = client.actions(uri, 1, column)
    assert [each["title"].split()[0] for each in listed] == ["load", "Disable", "telepathy-lint:"]
    assert all("edit" not in each for each in listed)
    expected = fixed_by_the_command_line(tmp_path / "b.py", TEXT)
    silenced = TEXT.replace('"sdpa")\n', '"sdpa")  # noqa: TLP101\n')
    for action, text in zip(listed, (expected, silenced, expected), strict=True):
        (change,) = client.request("codeAction/resolve", action)["edit"]["documentChanges"]
        assert change["textDocument"] == {"uri": uri, "version": 1}
        assert applied(TEXT, change["edits"]) == text
    # An edit of another text would destroy it.
    client.change(uri, 2, {"text": "# above\n" + TEXT})
    with pytest.raises(ServerError, match="changed since") as error:
        client.request("codeAction/resolve", listed[0])
    assert error.value.code == -32801
    client.close()


def test_every_fix_that_is_offered_has_edits() -> None:
    """If edits are computed later, only the title is sent at first; an action without edits would do nothing."""
    fixtures = sorted((Path(__file__).parents[3] / "fixtures" / "rules").rglob("bad*.py"))
    offered = [
        (fixture.name, violation)
        for fixture in fixtures
        for violation in lint(fixture.read_bytes(), path=str(fixture), select=["ALL"], edits=True)
        if violation.fix is not None and violation.fix.safety != "display"
    ]
    assert len(offered) > 100
    assert [(name, violation) for name, violation in offered if not violation.fix.edits] == []  # type: ignore[union-attr]


# ---- notebooks


@pytest.fixture
def notebook(tmp_path: Path) -> str:
    return (tmp_path / "n.ipynb").as_uri()


def test_notebooks_cell_by_cell(tmp_path: Path, notebook: str) -> None:
    client = Client(tmp_path, None, VERSIONED)
    client.open_notebook(notebook, CELLS)
    (found,) = client.wait(SECOND)
    assert (found["code"], found["range"]["start"]["line"]) == ("TLP101", 0)
    assert client.diagnostics[FIRST] == [] and PROSE not in client.diagnostics
    column = found["range"]["start"]["character"]
    fix, disable, everything = client.actions(SECOND, 0, column)
    assert everything["kind"] == "notebook.source.fixAll.telepathy-lint"
    changes = {each["textDocument"]["uri"]: each["edits"] for each in fix["edit"]["documentChanges"]}
    # The third cell still needs the old import.
    assert sorted(applied(CELLS[FIRST][1], changes[FIRST]).splitlines()) == sorted(
        [*CELLS[FIRST][1].splitlines(), "from telepathy_runtime import load_model"]
    )
    assert "load_model(" in applied(CELLS[SECOND][1], changes[SECOND])
    assert THIRD not in changes
    # All cells at once, for the kind that notebook editors ask for on saving, and magics stay.
    for only in ("notebook.source.fixAll", "notebook.source.fixAll.telepathy-lint", "notebook"):
        (everything,) = client.actions(FIRST, 0, 0, [only])
        changes = {
            each["textDocument"]["uri"]: each["edits"] for each in everything["edit"]["documentChanges"]
        }
        fixed = {uri: applied(CELLS[uri][1], edits) for uri, edits in changes.items()}
        assert fixed.keys() == {FIRST, SECOND, THIRD}
        assert fixed[FIRST] == "%matplotlib inline\nfrom telepathy_runtime import load_model\n"
        assert "\n!ls\n" in fixed[THIRD] and "load_model(" in fixed[THIRD]
    # Editors ask for this kind once a cell: the same edits would be made three times.
    assert client.actions(FIRST, 0, 0, ["source.fixAll"]) == []
    assert (
        applied(CELLS[SECOND][1], disable["edit"]["documentChanges"][0]["edits"]).count("# noqa: TLP101") == 1
    )
    # A cell that does not parse keeps its findings; the others are linted all the same.
    client.change_cell(notebook, SECOND, 2, f"def f(\n{CELLS[SECOND][1]}")
    failed, kept = client.wait(SECOND)
    assert (failed["code"], kept["code"], kept["range"]["start"]["line"]) == ("TLP000", "TLP101", 1)
    assert [each["code"] for each in client.diagnostics[THIRD]] == ["TLP101"]
    # A closed notebook leaves nothing behind.
    cells = [{"uri": uri} for uri in CELLS]
    client.diagnostics.clear()
    client.notify(
        "notebookDocument/didClose", {"notebookDocument": {"uri": notebook}, "cellTextDocuments": cells}
    )
    while client.diagnostics.keys() != CELLS.keys() or any(client.diagnostics.values()):
        client.receive()
    assert client.close() == 0


def test_cells_that_come_and_go(tmp_path: Path, notebook: str) -> None:
    client = Client(tmp_path)
    client.open_notebook(notebook, CELLS)
    assert len(client.wait(THIRD)) == 1
    structure = {
        "array": {"start": 2, "deleteCount": 1, "cells": []},
        "didClose": [{"uri": SECOND}],
    }
    change = {
        "notebookDocument": {"uri": notebook, "version": 2},
        "change": {"cells": {"structure": structure}},
    }
    client.notify("notebookDocument/didChange", change)
    assert client.wait(SECOND) == []
    assert len(client.diagnostics[THIRD]) == 1
    client.close()


def test_notebooks_are_sent_until_the_client_asks_for_a_cell(tmp_path: Path, notebook: str) -> None:
    """Up to version 9, VS Code's library claims to pull diagnostics, but only does so for text documents."""
    client = Client(tmp_path, None, PULLS)
    client.open_notebook(notebook, CELLS)
    assert len(client.wait(SECOND)) == 1
    report = client.pull(SECOND)
    assert [each["code"] for each in report["items"]] == ["TLP101"]
    assert client.pull(SECOND, report["resultId"])["kind"] == "unchanged"
    client.settle()
    assert client.diagnostics[SECOND] == []
    client.published.clear()
    client.change_cell(notebook, SECOND, 2, "x = 1\n")
    assert client.pull(SECOND)["items"] == []
    assert [each["code"] for each in client.pull(THIRD)["items"]] == ["TLP101"]
    client.settle()
    assert client.published == []
    client.close()


# ---- commands


def test_all_fixes_by_command(tmp_path: Path, notebook: str) -> None:
    client = Client(tmp_path, None, VERSIONED)
    assert client.started["capabilities"]["executeCommandProvider"]["commands"] == [
        f"telepathy-lint.{name}" for name in ("applyAll", "applyAllUnsafe", "report", "debugInformation")
    ]
    text = f"{TEXT}n = AutoModelForCausalLM.from_pretrained('acme', attn_implementation='sdpa')\nn.generation_config.max_length = 9\n"
    uri = (tmp_path / "a.py").as_uri()
    client.open(uri, text)
    safe = fixed_by_the_command_line(tmp_path / "b.py", text)
    unsafe = fixed_by_the_command_line(tmp_path / "b.py", text, "--unsafe-fixes")
    assert safe != unsafe
    for name, expected in (("applyAll", safe), ("applyAllUnsafe", unsafe)):
        client.requested.clear()
        done = client.command(name, {"uri": uri, "version": 1})
        assert done["applied"] and done["fixes"] > 0
        (asked,) = client.requested
        (change,) = asked["params"]["edit"]["documentChanges"]
        assert change["textDocument"] == {"uri": uri, "version": 1}
        assert applied(text, change["edits"]) == expected
    client.change(uri, 2, {"text": "x = 1\n"})
    with pytest.raises(ServerError, match="changed since version 1"):
        client.command("applyAll", {"uri": uri, "version": 1})
    assert client.command("applyAll", uri) == {"applied": False, "fixes": 0}
    client.change(uri, 3, {"text": "from_pretrained(\n"})
    with pytest.raises(ServerError, match="syntax error"):
        client.command("applyAll", uri)
    for wrong in ((), (3,), ({"path": "a.py"},), ("file:///nothing.py",)):
        with pytest.raises(ServerError, match=r"document|not open"):
            client.command("applyAll", *wrong)
    client.open_notebook(notebook, CELLS)
    client.requested.clear()
    client.accepts = False
    assert client.command("applyAll", {"uri": notebook}) == {"applied": False, "fixes": 0}
    assert {change["textDocument"]["uri"] for change in client.requested[0]["params"]["edit"]["documentChanges"]} == {
        FIRST, SECOND, THIRD
    }  # fmt: skip
    assert any("not applied" in message for message in client.messages)
    client.close()


def test_reports_by_command(tmp_path: Path, notebook: str) -> None:
    client = Client(tmp_path)
    (tmp_path / "a.py").write_text(TEXT)
    uri = (tmp_path / "b.py").as_uri()
    client.open(uri, TEXT)
    text = client.command("report", {"uri": uri})
    assert "found 1 problem." in text
    assert "| line 2 | TLP101 hardcoded-device-map | device_map is hard-coded: 'auto' | safe |" in text
    client.open_notebook(notebook, CELLS)
    assert "| cell 2, line 1 | TLP101" in client.command("report", notebook)
    audit = subprocess.run(
        [sys.executable, "-m", "telepathy_lint", "audit", "."], cwd=tmp_path, capture_output=True, text=True
    )
    assert client.command("report") == audit.stdout != ""
    with pytest.raises(ServerError, match="neither an open document nor a folder"):
        client.command("report", "file:///nothing.py")
    client.close()


def test_debug_information_by_command(tmp_path: Path) -> None:
    (tmp_path / "telepathy-lint.toml").write_text('select = ["TLP101"]\n')
    client = Client(tmp_path, {"unsafeFixes": True})
    uri = (tmp_path / "a.py").as_uri()
    client.open(uri, TEXT)
    text = client.command("debugInformation", {"textDocument": {"uri": uri}})
    for part in (
        sys.executable,
        str(tmp_path / "telepathy-lint.toml"),
        "rules: TLP101\n",
        "unsafe_fixes=True",
        "utf-16",
    ):
        assert part in text
    assert text in client.messages
    client.close()


@pytest.mark.slow
def test_typing_is_not_kept_waiting(tmp_path: Path) -> None:
    """A request that needs no linting is answered while a large file is linted."""
    client = Client(tmp_path)
    uri = (tmp_path / "a.py").as_uri()
    client.open((tmp_path / "warm.py").as_uri(), TEXT)
    client.open(uri, TEXT * 2000, wait=False)
    time.sleep(0.3)  # it is being linted now
    begin = time.perf_counter()
    with pytest.raises(ServerError, match="name the document"):
        client.command("applyAll")
    waited = time.perf_counter() - begin
    begin = time.perf_counter()
    assert len(client.wait(uri)) == 2000
    assert waited < 0.5 * (time.perf_counter() - begin)
    client.close()
