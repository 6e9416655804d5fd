"""A hub on localhost that gives enough of huggingface.co's answers for downloads, refusals and failures."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@contextmanager
def serve(repositories: dict[str, Path | str]) -> Iterator[str]:
    """Serve folders as repositories; a string instead of a folder is the X-Error-Code of a refusal. Yields the endpoint."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_HEAD(self) -> None:
            self.answer(body=False)

        def do_GET(self) -> None:
            self.answer(body=True)

        def answer(self, *, body: bool) -> None:
            parts = urlsplit(self.path).path.strip("/").split("/")
            if parts[:2] == ["api", "models"]:
                self.about("/".join(parts[2:4]), revision=parts[5] if len(parts) > 5 else "main", body=body)
            elif len(parts) > 4 and parts[2] == "resolve":
                self.file("/".join(parts[:2]), parts[3], "/".join(parts[4:]), body=body)
            else:
                self.refuse(404, "RepoNotFound")

        def folder(self, name: str, revision: str) -> Path | None:
            found = repositories.get(name)
            if isinstance(found, str):
                self.refuse(403 if found == "GatedRepo" else 401, found)
                return None
            if found is None:
                self.refuse(401, "RepoNotFound")
                return None
            if revision not in ("main", COMMIT):
                self.refuse(404, "RevisionNotFound")
                return None
            return found

        def about(self, name: str, *, revision: str, body: bool) -> None:
            folder = self.folder(name, revision)
            if folder is None:
                return
            files = [
                {"rfilename": file.name, "size": file.stat().st_size} for file in sorted(folder.iterdir())
            ]
            about = {
                "id": name,
                "modelId": name,
                "sha": COMMIT,
                "siblings": files,
                "tags": [],
                "private": False,
            }
            self.send(json.dumps(about).encode(), "application/json", body)

        def file(self, name: str, revision: str, path: str, *, body: bool) -> None:
            folder = self.folder(name, revision)
            if folder is None:
                return
            if not (folder / path).is_file():
                self.refuse(404, "EntryNotFound")
                return
            self.send((folder / path).read_bytes(), "application/octet-stream", body)

        def send(self, content: bytes, kind: str, body: bool) -> None:
            self.send_response(200)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(content)))
            self.send_header("ETag", f'"{hashlib.sha1(content, usedforsecurity=False).hexdigest()}"')
            self.send_header("X-Repo-Commit", COMMIT)
            self.end_headers()
            if body:
                self.wfile.write(content)

        def refuse(self, status: int, code: str) -> None:
            self.send_response(status)
            self.send_header("X-Error-Code", code)
            self.send_header("X-Error-Message", f"refused: {code}")
            self.send_header("X-Repo-Commit", COMMIT)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
