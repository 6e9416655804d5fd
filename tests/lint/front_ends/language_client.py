"""A minimal client that uses the language server's protocol with a real process."""

from __future__ import annotations

import json
import queue
import re
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

#: Seconds that no answer takes, also on a busy machine.
PATIENCE = 60


class ServerError(Exception):
    """The server answered a request with an error."""

    def __init__(self, error: dict[str, Any]) -> None:
        super().__init__(error["message"])
        self.code = error["code"]


class Client:
    """Sends requests and notifications, records the server's messages, and answers its requests."""

    def __init__(
        self,
        folder: Path,
        options: Any = None,
        capabilities: dict[str, Any] | None = None,
        folders: list[Path] | None = None,
        settings: Callable[[str | None], Any] = lambda scope: None,
    ) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "telepathy_lint", "server"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=folder,
        )
        self.number = 0
        self.diagnostics: dict[str, list[Any]] = {}
        #: What was published, in its order.
        self.published: list[dict[str, Any]] = []
        self.messages: list[str] = []
        self.requested: list[dict[str, Any]] = []
        self.settings = settings
        #: What becomes of an edit that the server wants to be made.
        self.accepts = True
        self._incoming: queue.Queue[dict[str, Any] | None] = queue.Queue()
        threading.Thread(target=self._read, daemon=True).start()
        known: dict[str, Any] = {
            "textDocument": {"publishDiagnostics": {}},
            "notebookDocument": {"synchronization": {}},
        }
        for part, value in (capabilities or {}).items():
            known[part] = {**known.get(part, {}), **value}
        self.started = self.request(
            "initialize",
            {
                "processId": None,
                "rootUri": folder.as_uri(),
                "capabilities": known,
                "initializationOptions": options,
                "workspaceFolders": [
                    {"uri": one.as_uri(), "name": one.name} for one in (folders if folders else [folder])
                ],
            },
        )
        self.notify("initialized", {})

    # ---- messages

    def send(self, message: dict[str, Any]) -> None:
        assert self.process.stdin is not None
        data = json.dumps({"jsonrpc": "2.0", **message}).encode()
        self.process.stdin.write(b"Content-Length: %d\r\n\r\n%s" % (len(data), data))
        self.process.stdin.flush()

    def _read(self) -> None:
        assert self.process.stdout is not None
        length = 0
        for line in iter(self.process.stdout.readline, b""):
            if line.lower().startswith(b"content-length:"):
                length = int(line.split(b":")[1])
            elif not line.strip() and length:
                self._incoming.put(json.loads(self.process.stdout.read(length)))
                length = 0
        self._incoming.put(None)

    def receive(self, patience: float = PATIENCE) -> dict[str, Any]:
        """The next message; raises `queue.Empty` if none arrives in time."""
        message = self._incoming.get(timeout=patience)
        assert message is not None, (
            f"the server ended: {self.process.stderr and self.process.stderr.read()!r}"
        )
        method, params = message.get("method"), message.get("params")
        if method == "textDocument/publishDiagnostics":
            self.diagnostics[params["uri"]] = params["diagnostics"]
            self.published.append(params)
        elif method in ("window/showMessage", "window/logMessage"):
            self.messages.append(params["message"])
        elif method is not None and "id" in message:
            self.requested.append(message)
            self.send({"id": message["id"], "result": self._answer(method, params)})
        return message

    def _answer(self, method: str, params: Any) -> Any:
        if method == "workspace/configuration":
            assert all(item["section"] == "telepathy-lint" for item in params["items"])
            return [self.settings(item.get("scopeUri")) for item in params["items"]]
        return {"applied": self.accepts} if method == "workspace/applyEdit" else None

    def request(self, method: str, params: Any) -> Any:
        return self.answer(self.begin(method, params))

    def begin(self, method: str, params: Any) -> int:
        """Send a request without waiting for its answer."""
        self.number += 1
        self.send({"id": self.number, "method": method, "params": params})
        return self.number

    def answer(self, number: int) -> Any:
        while (message := self.receive()).get("id") != number or "method" in message:
            pass
        if "error" in message:
            raise ServerError(message["error"])
        return message["result"]

    def notify(self, method: str, params: Any) -> None:
        self.send({"method": method, "params": params})

    def settle(self) -> None:
        """Receive the server's messages until there is none for a second."""
        while True:
            try:
                self.receive(1.0)
            except queue.Empty:
                return

    # ---- documents

    def open(self, uri: str, text: str, wait: bool = True) -> list[Any]:
        document = {"uri": uri, "languageId": "python", "version": 1, "text": text}
        self.notify("textDocument/didOpen", {"textDocument": document})
        return self.wait(uri) if wait else []

    def change(self, uri: str, version: int, *changes: dict[str, Any]) -> None:
        identifier = {"uri": uri, "version": version}
        self.notify("textDocument/didChange", {"textDocument": identifier, "contentChanges": list(changes)})

    def save(self, uri: str) -> None:
        self.notify("textDocument/didSave", {"textDocument": {"uri": uri}})

    def wait(self, uri: str) -> list[Any]:
        """The next published diagnostics of a document."""
        self.diagnostics.pop(uri, None)
        while uri not in self.diagnostics:
            self.receive()
        return self.diagnostics[uri]

    def pull(self, uri: str, previous: str | None = None) -> Any:
        params: dict[str, Any] = {"textDocument": {"uri": uri}, "identifier": "telepathy-lint"}
        if previous is not None:
            params["previousResultId"] = previous
        return self.request("textDocument/diagnostic", params)

    def actions(self, uri: str, line: int, character: int, only: list[str] | None = None) -> list[Any]:
        here = {"line": line, "character": character}
        context: dict[str, Any] = {"diagnostics": []} if only is None else {"diagnostics": [], "only": only}
        params = {"textDocument": {"uri": uri}, "range": {"start": here, "end": here}, "context": context}
        found: list[Any] = self.request("textDocument/codeAction", params)
        return found

    def command(self, name: str, *arguments: Any) -> Any:
        params = {"command": f"telepathy-lint.{name}", "arguments": list(arguments)}
        return self.request("workspace/executeCommand", params)

    def open_notebook(self, uri: str, cells: dict[str, tuple[str, str]], version: int = 1) -> None:
        """Open a notebook; `cells` maps URIs to language and text."""
        kinds = [{"kind": 1 if cells[name][0] == "markdown" else 2, "document": name} for name in cells]
        notebook = {"uri": uri, "notebookType": "jupyter-notebook", "version": version, "cells": kinds}
        documents = [
            {"uri": name, "languageId": language, "version": 1, "text": text}
            for name, (language, text) in cells.items()
        ]
        self.notify(
            "notebookDocument/didOpen", {"notebookDocument": notebook, "cellTextDocuments": documents}
        )

    def change_cell(self, notebook: str, cell: str, version: int, text: str) -> None:
        content = [{"document": {"uri": cell, "version": version}, "changes": [{"text": text}]}]
        change = {
            "notebookDocument": {"uri": notebook, "version": version},
            "change": {"cells": {"textContent": content}},
        }
        self.notify("notebookDocument/didChange", change)

    # ---- the end

    def close(self) -> int:
        """Shut the server down and return its exit code."""
        self.request("shutdown", None)
        self.notify("exit", None)
        return self.process.wait(timeout=PATIENCE)

    def errors(self) -> str:
        assert self.process.stderr is not None
        return self.process.stderr.read().decode()


def applied(text: str, edits: list[Any], encoding: str = "utf-16") -> str:
    """Apply the protocol's edits to the text; positions count units of the encoding."""
    lines = re.findall(r"[^\r\n]*(?:\r\n|\r|\n)|[^\r\n]+", text)
    codec, size = {"utf-8": ("utf-8", 1), "utf-16": ("utf-16-le", 2), "utf-32": ("utf-32-le", 4)}[encoding]

    def offset(position: dict[str, int]) -> int:
        before = lines[position["line"]] if position["line"] < len(lines) else ""
        units = before.encode(codec)[: size * position["character"]].decode(codec)
        return sum(map(len, lines[: position["line"]])) + len(units)

    for edit in sorted(edits, key=lambda one: offset(one["range"]["start"]), reverse=True):
        start, end = (offset(edit["range"][which]) for which in ("start", "end"))
        text = text[:start] + edit["newText"] + text[end:]
    return text
