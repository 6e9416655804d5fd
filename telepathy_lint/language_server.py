"""The language server: diagnostics as you type, rule documentation on hover, quick fixes, fix-all, notebooks.

It translates between the protocol and the engine, like every other front-end; pygls speaks the protocol.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from lsprotocol import types
from pygls.lsp.server import LanguageServer
from pygls.uris import to_fs_path

from telepathy_lint import __version__, engine, registry
from telepathy_lint.commands.rule import markdown
from telepathy_lint.config import ConfigError, Configs
from telepathy_lint.files import Found
from telepathy_lint.noqa_edits import added
from telepathy_lint.notebook import Notebook
from telepathy_lint.one_file import Job
from telepathy_lint.output import rule_url
from telepathy_lint.project import Project
from telepathy_lint.results import crashed, failure, unreadable
from telepathy_lint.scan import Modules
from telepathy_lint.source import Source, SourceError
from telepathy_lint.triggers import may_matter
from telepathy_lint.violation import Edit, Span, Violation

FIX_ALL = "source.fixAll.telepathy-lint"
_LINE = re.compile(r"[^\r\n]*(?:\r\n|\r|\n)|[^\r\n]+")


@dataclass(frozen=True, slots=True)
class Buffer:
    """What an editor has open: one text document, or the code cells of a notebook, each a document of its own."""

    path: str
    data: bytes
    #: The document of each cell; for a text document its own URI, under the cell -1.
    uris: dict[int, str]
    texts: dict[int, str]

    def source(self) -> Source:
        if -1 in self.uris:
            return Source.from_text(self.path, self.texts[-1])
        return Notebook(self.path, self.data)

    def range(self, span: Span) -> types.Range:
        return types.Range(
            self._position(span.cell, span.line, span.column),
            self._position(span.cell, span.end_line, span.end_column),
        )

    def _position(self, cell: int, line: int, column: int) -> types.Position:
        """The protocol counts UTF-16 units from 0."""
        lines = _LINE.findall(self.texts.get(cell, ""))
        before = lines[line - 1][: column - 1] if line <= len(lines) else ""
        return types.Position(line - 1, len(before.encode("utf-16-le", "surrogatepass")) // 2)


class Server(LanguageServer):
    """pygls's server, with what the client asked for at its start."""

    def __init__(self) -> None:
        notebooks = types.NotebookDocumentSyncOptions(
            notebook_selector=[
                types.NotebookDocumentFilterWithCells(
                    notebook="jupyter-notebook", cells=[types.NotebookCellLanguage(language="python")]
                )
            ],
            save=True,
        )
        super().__init__("telepathy-lint", __version__, notebook_document_sync=notebooks)
        self.unsafe = False

    def buffer_of(self, uri: str) -> Buffer | None:
        """The buffer that a document belongs to."""
        notebook = self.workspace.get_notebook_document(cell_uri=uri)
        if notebook is not None:
            return self.buffer_of_notebook(notebook)
        document = self.workspace.get_text_document(uri)
        return Buffer(
            document.path or uri,
            document.source.encode("utf-8", "surrogatepass"),
            {-1: uri},
            {-1: document.source},
        )

    def buffer_of_notebook(self, notebook: types.NotebookDocument) -> Buffer:
        uris: dict[int, str] = {}
        texts: dict[int, str] = {}
        for cell in notebook.cells:
            if cell.kind == types.NotebookCellKind.Code:
                uris[len(uris)] = cell.document
                texts[len(texts)] = self.workspace.get_text_document(cell.document).source
        cells = [{"cell_type": "code", "source": texts[number]} for number in sorted(texts)]
        path = to_fs_path(notebook.uri) or notebook.uri
        return Buffer(path, json.dumps({"cells": cells}).encode(), uris, texts)

    def publish(self, buffer: Buffer) -> None:
        """Send the diagnostics of every document of the buffer, also of those that have none any more."""
        found: dict[int, list[types.Diagnostic]] = {cell: [] for cell in buffer.uris}
        for violation in lint(buffer):
            cell = violation.cell if violation.cell in found else min(found, default=-1)
            if cell in found:
                found[cell].append(_diagnostic(buffer, violation))
        for cell, diagnostics in found.items():
            self.text_document_publish_diagnostics(
                types.PublishDiagnosticsParams(buffer.uris[cell], diagnostics)
            )


def _job(buffer: Buffer) -> Job:
    """Configuration and requirements are read anew: they are small, and may be what was just edited."""
    return Project(Configs()).job(
        Found(buffer.path, os.path.dirname(os.path.abspath(buffer.path))), buffer.data
    )


def lint(buffer: Buffer, edits: bool = False) -> list[Violation]:
    """The findings; a file that cannot be linted is one too."""
    try:
        job = _job(buffer)
        if not may_matter(buffer.data, job.settings.loading_words):
            return []
        source = buffer.source()
        found = engine.lint(source, job.rules, job.settings, edits=edits, project=Modules())
        return found + [
            one for problem in source.problems for one in unreadable(buffer.path, problem).violations
        ]
    except SourceError as error:
        return list(unreadable(buffer.path, error).violations)
    except engine.RuleError as error:
        return list(crashed(buffer.path, error).violations)
    except (ConfigError, RecursionError) as error:
        return list(failure(buffer.path, str(error)).violations)


def _diagnostic(buffer: Buffer, violation: Violation) -> types.Diagnostic:
    failed, url = violation.code == "TLP000", rule_url(violation.code, violation.name)
    return types.Diagnostic(
        range=buffer.range(violation.span),
        message=violation.message,
        severity=types.DiagnosticSeverity.Error if failed else types.DiagnosticSeverity.Warning,
        code=violation.code,
        source="telepathy-lint",
        code_description=types.CodeDescription(url) if url else None,
        data={"name": violation.name},
    )


def _touches(outer: types.Range, inner: types.Range) -> bool:
    def key(position: types.Position) -> tuple[int, int]:
        return position.line, position.character

    return key(outer.start) <= key(inner.end) and key(inner.start) <= key(outer.end)


def _workspace_edit(buffer: Buffer, edits: Sequence[Edit]) -> types.WorkspaceEdit:
    changes: dict[str, list[types.TextEdit]] = {}
    for edit in edits:
        changes.setdefault(buffer.uris[edit.span.cell], []).append(
            types.TextEdit(buffer.range(edit.span), edit.text)
        )
    return types.WorkspaceEdit(changes=changes)


def _rewritten(source: Source, text: str) -> list[Edit]:
    """The edits from a source's text to another, line by line, so that the cursor stays where it was."""
    import difflib

    old, new = _LINE.findall(source.text), _LINE.findall(text)
    edits: list[Edit] = []
    for tag, first, last, new_first, new_last in difflib.SequenceMatcher(
        None, old, new, autojunk=False
    ).get_opcodes():
        if tag != "equal":
            start = sum(map(len, old[:first]))
            end = start + sum(map(len, old[first:last]))
            edits.append(source.edit(start, end, "".join(new[new_first:new_last])))
    return edits


def actions(buffer: Buffer, uri: str, wanted: types.Range, unsafe: bool) -> Iterator[types.CodeAction]:
    """Quick fixes for what stands in a range, a way to silence it, and fixing everything."""
    source = buffer.source()
    offered: set[tuple[Edit, ...]] = set()
    found = lint(buffer, edits=True)
    for violation in found:
        if buffer.uris.get(violation.cell) != uri or not _touches(wanted, buffer.range(violation.span)):
            continue
        diagnostic = _diagnostic(buffer, violation)
        fix = violation.fix
        if fix is not None and fix.edits and fix.edits not in offered:
            offered.add(fix.edits)
            yield types.CodeAction(
                title=f"{fix.message}{' (unsafe)' if fix.safety == 'unsafe' else ''}",
                kind=types.CodeActionKind.QuickFix,
                diagnostics=[diagnostic],
                is_preferred=fix.safety == "safe",
                edit=_workspace_edit(buffer, fix.edits),
            )
        if violation.code != "TLP000":
            yield types.CodeAction(
                title=f"Disable {violation.code} for this line",
                kind=types.CodeActionKind.QuickFix,
                diagnostics=[diagnostic],
                edit=_workspace_edit(buffer, _rewritten(source, added(source, [violation])[0])),
            )
    if any(one.fix is not None for one in found):
        job = _job(buffer)
        try:
            fixed = engine.fix(source, job.rules, job.settings, unsafe=unsafe, project=Modules())
        except (engine.FixError, engine.RuleError):
            return
        if fixed.changed:
            yield types.CodeAction(
                title="telepathy-lint: fix all",
                kind=FIX_ALL,
                edit=_workspace_edit(buffer, _rewritten(source, fixed.text)),
            )


def hover(buffer: Buffer, uri: str, position: types.Position) -> types.Hover | None:
    """The documentation of the rules that report the place."""
    here = types.Range(position, position)
    touched = [
        one
        for one in lint(buffer)
        if buffer.uris.get(one.cell) == uri and _touches(buffer.range(one.span), here)
    ]
    codes = dict.fromkeys(one.code for one in touched)
    texts = ["\n".join(markdown(rule)) for rule in registry.all_rules() if rule.meta.code in codes]
    if not texts:
        return None
    content = types.MarkupContent(types.MarkupKind.Markdown, "\n\n---\n\n".join(texts))
    return types.Hover(content, buffer.range(touched[0].span))


def create() -> Server:
    """A server with all its features."""
    server = Server()

    @server.feature(types.INITIALIZED)
    def initialized(params: types.InitializedParams) -> None:
        del params

    @server.feature(types.INITIALIZE)
    def initialize(params: types.InitializeParams) -> None:
        options: Any = params.initialization_options or {}
        given = (
            options.get("unsafeFixes") if isinstance(options, dict) else getattr(options, "unsafeFixes", None)
        )
        server.unsafe = given is True

    @server.feature(types.TEXT_DOCUMENT_DID_OPEN)
    @server.feature(types.TEXT_DOCUMENT_DID_CHANGE)
    @server.feature(types.TEXT_DOCUMENT_DID_SAVE)
    def changed(params: Any) -> None:
        buffer = server.buffer_of(params.text_document.uri)
        if buffer is not None:
            server.publish(buffer)

    @server.feature(types.TEXT_DOCUMENT_DID_CLOSE)
    def closed(params: types.DidCloseTextDocumentParams) -> None:
        server.text_document_publish_diagnostics(types.PublishDiagnosticsParams(params.text_document.uri, []))

    @server.feature(types.NOTEBOOK_DOCUMENT_DID_OPEN)
    @server.feature(types.NOTEBOOK_DOCUMENT_DID_CHANGE)
    @server.feature(types.NOTEBOOK_DOCUMENT_DID_SAVE)
    def notebook_changed(params: Any) -> None:
        notebook = server.workspace.get_notebook_document(notebook_uri=params.notebook_document.uri)
        if notebook is not None:
            server.publish(server.buffer_of_notebook(notebook))

    kinds = types.CodeActionOptions(code_action_kinds=[types.CodeActionKind.QuickFix, FIX_ALL])

    @server.feature(types.TEXT_DOCUMENT_CODE_ACTION, kinds)
    def code_action(params: types.CodeActionParams) -> list[types.CodeAction]:
        uri = params.text_document.uri
        buffer = server.buffer_of(uri)
        if buffer is None:
            return []
        only = params.context.only
        return [
            action
            for action in actions(buffer, uri, params.range, server.unsafe)
            if only is None
            or any(str(action.kind or "").startswith(getattr(kind, "value", kind)) for kind in only)
        ]

    @server.feature(types.TEXT_DOCUMENT_HOVER)
    def hovered(params: types.HoverParams) -> types.Hover | None:
        buffer = server.buffer_of(params.text_document.uri)
        return hover(buffer, params.text_document.uri, params.position) if buffer is not None else None

    return server
