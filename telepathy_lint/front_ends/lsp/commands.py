"""Commands for clients: apply all fixes, report, debug information."""

from __future__ import annotations

import asyncio
import os
import platform
import sys
from importlib.metadata import version
from typing import Any

from lsprotocol import types
from pygls.exceptions import JsonRpcException
from pygls.uris import to_fs_path

from telepathy_lint._version import __version__
from telepathy_lint.discovery.config import ConfigError
from telepathy_lint.front_ends.lsp.actions import Actions, Unfixable, workspace_edit
from telepathy_lint.front_ends.lsp.settings import EditorSettings, plain

APPLY_ALL = "telepathy-lint.applyAll"
APPLY_ALL_UNSAFE = "telepathy-lint.applyAllUnsafe"
REPORT = "telepathy-lint.report"
DEBUG_INFORMATION = "telepathy-lint.debugInformation"

#: The folder of the running linter.
_PACKAGE = os.path.abspath(os.path.join(os.path.dirname(__file__), "..", ".."))


def refused(message: str) -> JsonRpcException:
    """The error that a client shows for a failed request."""
    return JsonRpcException(message, types.ErrorCodes.InvalidParams)


def document_of(arguments: tuple[Any, ...]) -> tuple[str | None, int | None]:
    """The document of a command, and its version, from `{"uri": ..., "version": ...}` or just the URI.

    Raises:
        JsonRpcException: the argument has another form.
    """
    if not arguments:
        return None, None
    given = plain(arguments[0])
    if isinstance(given, dict):
        inner = given.get("textDocument", given)
        given = inner if isinstance(inner, dict) else {}
        uri, number = given.get("uri"), given.get("version")
        if isinstance(uri, str) and (number is None or isinstance(number, int)):
            return uri, number
    elif isinstance(given, str):
        return given, None
    raise refused('expected the document as {"uri": ..., "version": ...} or its URI')


async def fixes(
    actions: Actions, arguments: tuple[Any, ...], unsafe: bool
) -> tuple[types.WorkspaceEdit | None, int]:
    """The edit that applies all fixes in a document or notebook, and the number of fixes.

    Raises:
        JsonRpcException: the document does not exist, has changed, or cannot be fixed.
    """
    uri, number = document_of(arguments)
    if uri is None:
        raise refused('name the document: {"uri": ..., "version": ...} or its URI')
    present = actions.session.documents.buffer(uri)
    if present is None:
        raise refused(f"{uri}: not open")
    if number is not None and number not in (present.version, *present.versions.values()):
        raise JsonRpcException(
            f"{uri}: it changed since version {number}", types.LSPErrorCodes.ContentModified
        )
    try:
        buffer, edits, count = await actions.all_edits(uri, unsafe)
    except Unfixable as error:
        raise JsonRpcException(f"{present.path}: {error}", types.LSPErrorCodes.RequestFailed) from error
    if buffer is None or not edits:
        return None, 0
    return workspace_edit(buffer, edits, actions.client), count


async def report(actions: Actions, arguments: tuple[Any, ...]) -> str:
    """A report in Markdown: the findings of a document, or the audit of a folder (by default the workspace's first).

    Raises:
        JsonRpcException: the document or folder does not exist, or the audit failed.
    """
    uri, _ = document_of(arguments)
    if uri is not None and (analysis := await actions.session.analysis(uri, now=True)) is not None:
        lines = [f"# {os.path.basename(analysis.buffer.path)}", ""]
        number = len(analysis.found)
        lines += [f"telepathy-lint found {number} {'problem' if number == 1 else 'problems'}.", ""]
        if analysis.found:
            lines += ["| place | rule | finding | fix |", "| --- | --- | --- | --- |"]
        for one in analysis.found:
            place = f"line {one.line}" if one.cell < 0 else f"cell {one.cell + 1}, line {one.line}"
            fix = one.fix.safety if one.fix is not None else "-"
            message = one.text.replace("|", "\\|").replace("\n", " ")
            lines.append(f"| {place} | {one.code} {one.name} | {message} | {fix} |")
        return "\n".join(lines).rstrip("\n") + "\n"
    documents = actions.session.documents
    path = to_fs_path(uri) if uri is not None else next(iter(documents.roots()), os.getcwd())
    if not path or not os.path.isdir(path):
        raise refused(f"{uri}: neither an open document nor a folder")
    await actions.session.wait_for_settings()
    return await _audit(path, actions.session.settings.of(path))


async def _audit(folder: str, settings: EditorSettings) -> str:
    """Run the audit in a separate process: it takes seconds on a large project and must not block typing."""
    options = ["--config", settings.configuration] if settings.configuration is not None else []
    command = [sys.executable, "-m", "telepathy_lint", "audit", *options, "."]
    process = await asyncio.create_subprocess_exec(
        *command,
        cwd=folder,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        output, errors = await process.communicate()
    except asyncio.CancelledError:
        process.kill()
        raise
    if process.returncode != 0:
        said = errors.decode("utf-8", "replace").strip()
        raise JsonRpcException(f"the audit of {folder} failed: {said}", types.LSPErrorCodes.RequestFailed)
    return output.decode("utf-8")


async def debug_information(actions: Actions, arguments: tuple[Any, ...]) -> str:
    """The versions and settings of the server, and of a document if one is given."""
    uri, _ = document_of(arguments)
    session, documents = actions.session, actions.session.documents
    await session.wait_for_settings()
    lines = [
        f"telepathy-lint {__version__} ({_PACKAGE})",
        f"Python {platform.python_version()} ({sys.executable}), pygls {version('pygls')}",
        f"position encoding: {documents.encoding}",
        f"open: {len(documents.open_keys())}",
    ]
    for root in (*documents.roots(), None):
        lines.append(f"settings of {root or 'files outside the workspace'}: {session.settings.of(root)}")
    buffer = documents.buffer(uri) if uri is not None else None
    if uri is not None and buffer is None:
        lines.append(f"document: {uri}: not open")
    if buffer is not None:
        lines.append(f"document: {buffer.uri}, version {buffer.version}, path {buffer.path}")
        linter = session.linter(buffer)
        try:
            config = linter.config(buffer)
            plan = await session.run(lambda: linter.plan(buffer))
            files = config.files
            lines += [
                f"configuration from: {', '.join(files) or 'defaults'}",
                f"excluded: {'yes' if linter.excludes(buffer) else 'no'}",
                f"rules: {', '.join(rule.meta.code for rule in plan.rules)}",
                f"settings of the rules: {plan.settings}",
            ]
        except ConfigError as error:
            lines.append(f"configuration: {error}")
    return "\n".join(lines) + "\n"
