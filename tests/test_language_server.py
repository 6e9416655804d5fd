"""The language server, spoken to over its own protocol by a client of a few lines."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("pygls")

IMPORT = "from transformers import AutoModelForCausalLM\n"
CALL = 'AutoModelForCausalLM.from_pretrained("gpt2", device_map="auto", torch_dtype="bfloat16", attn_implementation="sdpa")'
TEXT = f'{IMPORT}x = "😀"; m = {CALL}\nm.generation_config.max_length = 9\n'


class Client:
    """Frames, requests and notifications; remembers the diagnostics of each document."""

    def __init__(self, folder: Path, options: Any = None) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "telepathy_lint", "server"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=folder,
        )
        self.number = 0
        self.diagnostics: dict[str, list[Any]] = {}
        capabilities: dict[str, Any] = {
            "textDocument": {"publishDiagnostics": {}},
            "notebookDocument": {"synchronization": {}},
        }
        self.request(
            "initialize",
            {
                "processId": None,
                "rootUri": folder.as_uri(),
                "capabilities": capabilities,
                "initializationOptions": options,
            },
        )
        self.notify("initialized", {})

    def send(self, message: dict[str, Any]) -> None:
        assert self.process.stdin is not None
        data = json.dumps({"jsonrpc": "2.0", **message}).encode()
        self.process.stdin.write(b"Content-Length: %d\r\n\r\n%s" % (len(data), data))
        self.process.stdin.flush()

    def receive(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        length = 0
        while (line := self.process.stdout.readline().strip()) or not length:
            assert line or self.process.poll() is None, "the server ended"
            if line.lower().startswith(b"content-length:"):
                length = int(line.split(b":")[1])
        message: dict[str, Any] = json.loads(self.process.stdout.read(length))
        if message.get("method") == "textDocument/publishDiagnostics":
            self.diagnostics[message["params"]["uri"]] = message["params"]["diagnostics"]
        return message

    def request(self, method: str, params: Any) -> Any:
        self.number += 1
        self.send({"id": self.number, "method": method, "params": params})
        while (message := self.receive()).get("id") != self.number or "method" in message:
            pass
        assert "error" not in message, message
        return message["result"]

    def notify(self, method: str, params: Any) -> None:
        self.send({"method": method, "params": params})

    def open(self, uri: str, text: str) -> list[Any]:
        document = {"uri": uri, "languageId": "python", "version": 1, "text": text}
        self.notify("textDocument/didOpen", {"textDocument": document})
        return self.wait(uri)

    def wait(self, uri: str) -> list[Any]:
        self.diagnostics.pop(uri, None)
        while uri not in self.diagnostics:
            self.receive()
        return self.diagnostics[uri]

    def actions(self, uri: str, line: int, character: int, only: list[str] | None = None) -> list[Any]:
        here = {"line": line, "character": character}
        context: dict[str, Any] = {"diagnostics": []} if only is None else {"diagnostics": [], "only": only}
        params = {"textDocument": {"uri": uri}, "range": {"start": here, "end": here}, "context": context}
        found: list[Any] = self.request("textDocument/codeAction", params)
        return found

    def close(self) -> None:
        self.request("shutdown", None)
        self.notify("exit", None)
        self.process.communicate(timeout=10)


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    """One server for all tests: what it is told of a document stays with that document."""
    one = Client(tmp_path_factory.mktemp("workspace"))
    yield one
    one.close()


def applied(text: str, edits: list[Any]) -> str:
    """The text with LSP edits made; positions count UTF-16 units."""
    lines = text.splitlines(keepends=True)

    def offset(position: dict[str, int]) -> int:
        before = lines[position["line"]] if position["line"] < len(lines) else ""
        units = before.encode("utf-16-le")[: 2 * position["character"]].decode("utf-16-le")
        return sum(map(len, lines[: position["line"]])) + len(units)

    for edit in sorted(edits, key=lambda one: offset(one["range"]["start"]), reverse=True):
        start, end = (offset(edit["range"][which]) for which in ("start", "end"))
        text = text[:start] + edit["newText"] + text[end:]
    return text


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
    assert [one["kind"] for one in client.actions(uri, 0, 0, ["source.fixAll"])] == [
        "source.fixAll.telepathy-lint"
    ]
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
    text = TEXT.replace(', torch_dtype="bfloat16"', "")
    uri = (tmp_path / "a.py").as_uri()
    for options, number in ((None, 0), ({"unsafeFixes": True}, 1)):
        client = Client(tmp_path, options)
        client.open(uri, text)
        assert len(client.actions(uri, 0, 0, ["source.fixAll"])) == number
        client.close()


def test_notebooks_cell_by_cell(client: Client, tmp_path: Path) -> None:
    texts = {
        "c1": "%matplotlib inline\n" + IMPORT,
        "c2": "# markdown",
        "c3": f"m = {CALL}\nm.generation_config.max_length = 9",
    }
    uris = {name: f"vscode-notebook-cell:/n.ipynb#{name}" for name in texts}
    cells = [{"kind": 1 if name == "c2" else 2, "document": uris[name]} for name in texts]
    notebook = {
        "uri": (tmp_path / "n.ipynb").as_uri(),
        "notebookType": "jupyter-notebook",
        "version": 1,
        "cells": cells,
    }
    documents = [
        {
            "uri": uris[name],
            "languageId": "markdown" if name == "c2" else "python",
            "version": 1,
            "text": text,
        }
        for name, text in texts.items()
    ]
    client.notify("notebookDocument/didOpen", {"notebookDocument": notebook, "cellTextDocuments": documents})
    (found,) = client.wait(uris["c3"])
    assert (found["code"], found["range"]["start"]["line"]) == ("TLP101", 0)
    assert client.diagnostics[uris["c1"]] == []
    fix, *_ = client.actions(uris["c3"], 0, found["range"]["start"]["character"])
    changes = fix["edit"]["changes"]
    assert (
        applied(texts["c1"], changes[uris["c1"]])
        == "%matplotlib inline\nfrom telepathy_runtime import load_model\n"
    )
    assert "load_model(" in applied(texts["c3"], changes[uris["c3"]])
