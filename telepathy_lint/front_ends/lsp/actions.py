"""Code actions: quick fixes for the findings in a range, suppressing them, and fixing everything."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from functools import partial
from typing import Any

from lsprotocol import types
from pygls.exceptions import JsonRpcException

from telepathy_lint import engine
from telepathy_lint.discovery.config import ConfigError
from telepathy_lint.findings.result import FAILED_CODE
from telepathy_lint.findings.violation import Violation
from telepathy_lint.front_ends.lsp.documents import Buffer
from telepathy_lint.front_ends.lsp.findings import Analysis, diagnostic
from telepathy_lint.front_ends.lsp.session import Session
from telepathy_lint.source.text import SourceError
from telepathy_lint.suppression.edits import added

FIX_ALL = "source.fixAll.telepathy-lint"
NOTEBOOK_FIX_ALL = "notebook.source.fixAll.telepathy-lint"
KINDS = [types.CodeActionKind.QuickFix, FIX_ALL, NOTEBOOK_FIX_ALL]
#: Errors that prevent a buffer from being fixed.
Unfixable = (SourceError, engine.FixError, engine.RuleError, ConfigError)


def asks_for(only: Sequence[str | types.CodeActionKind] | None, kind: str) -> bool:
    """Whether a client requests this kind; kinds are hierarchical, separated by dots."""
    if only is None:
        return True
    wanted = [str(getattr(each, "value", each)) for each in only]
    return any(kind == each or kind.startswith(f"{each}.") or not each for each in wanted)


def resolves_edits(client: types.ClientCapabilities) -> bool:
    """Whether the client can request an action's edit later."""
    action = client.text_document.code_action if client.text_document is not None else None
    support = action.resolve_support if action is not None else None
    return support is not None and "edit" in support.properties


def workspace_edit(
    buffer: Buffer, edits: Iterable[tuple[int, types.TextEdit]], client: types.ClientCapabilities
) -> types.WorkspaceEdit:
    """Edits by cell as one workspace edit; document versions, if the client supports them, let it reject outdated edits."""
    changes: dict[str, list[types.TextEdit]] = {}
    for cell, edit in edits:
        changes.setdefault(buffer.uris[cell], []).append(edit)
    support = client.workspace.workspace_edit if client.workspace is not None else None
    if support is None or not support.document_changes:
        return types.WorkspaceEdit(changes=changes)
    documents = [
        types.TextDocumentEdit(
            types.OptionalVersionedTextDocumentIdentifier(uri=uri, version=buffer.versions[uri]), each
        )
        for uri, each in changes.items()
    ]
    return types.WorkspaceEdit(document_changes=documents)


def _touches(outer: types.Range, inner: types.Range) -> bool:
    def key(position: types.Position) -> tuple[int, int]:
        return position.line, position.character

    return key(outer.start) <= key(inner.end) and key(inner.start) <= key(outer.end)


def touched(analysis: Analysis, uri: str, wanted: types.Range) -> list[Violation]:
    """The findings of the current text in a range of one document."""
    cell = analysis.buffer.cell_of(uri)
    return [
        one
        for one in analysis.found
        if one.cell == cell and _touches(wanted, analysis.buffer.range(one.span))
    ]


class Actions:
    """Lists the actions for a range, and computes their edits when they are requested."""

    def __init__(self, session: Session, client: types.ClientCapabilities) -> None:
        self.session = session
        self.client = client

    async def offered(self, params: types.CodeActionParams) -> list[types.CodeAction]:
        """The actions for a range, without their edits if the client requests these when an action is chosen."""
        uri, only = params.text_document.uri, params.context.only
        analysis = await self.session.analysis(uri, now=True)
        if analysis is None:
            return []
        found: list[types.CodeAction] = []
        if asks_for(only, types.CodeActionKind.QuickFix.value):
            found += self._quick_fixes(analysis, uri, params.range)
        found += self._fix_all(analysis, uri, only)
        if resolves_edits(self.client):
            return found
        for action in found:
            with suppress(JsonRpcException):  # actions that cannot be computed are left out
                await self.resolve(action)
        return [action for action in found if action.edit is not None]

    def _quick_fixes(self, analysis: Analysis, uri: str, wanted: types.Range) -> Iterator[types.CodeAction]:
        buffer = analysis.buffer
        known: set[tuple[Any, ...]] = set()
        for violation in touched(analysis, uri, wanted):
            if violation.code == FAILED_CODE:
                continue
            shown = diagnostic(buffer, violation, self.client)
            fix = violation.fix
            # One rewrite fixes all findings at a call.
            if fix is not None and (key := (fix.message, fix.safety, violation.site)) not in known:
                known.add(key)
                yield types.CodeAction(
                    title=f"{fix.message}{' (unsafe)' if fix.safety == 'unsafe' else ''}",
                    kind=types.CodeActionKind.QuickFix,
                    diagnostics=[shown],
                    is_preferred=fix.safety == "safe",
                    data=_data(buffer, uri, "fix", violation),
                )
            yield types.CodeAction(
                title=f"Disable {violation.code} for this line",
                kind=types.CodeActionKind.QuickFix,
                diagnostics=[shown],
                data=_data(buffer, uri, "disable", violation),
            )

    def _fix_all(
        self, analysis: Analysis, uri: str, only: Sequence[str | types.CodeActionKind] | None
    ) -> Iterator[types.CodeAction]:
        # Editors request `source.fixAll` once per cell, which would apply a notebook's fixes several times.
        kind = NOTEBOOK_FIX_ALL if analysis.buffer.is_notebook else FIX_ALL
        unsafe = analysis.linter.settings.unsafe_fixes
        if asks_for(only, kind) and any(_applies(each, unsafe) for each in analysis.found):
            yield types.CodeAction(
                title="telepathy-lint: fix all", kind=kind, data=_data(analysis.buffer, uri, "all")
            )

    async def resolve(self, action: types.CodeAction) -> types.CodeAction:
        """The action with its edit.

        Raises:
            JsonRpcException: the document has changed since the action was listed, or cannot be fixed.
        """
        data: dict[str, Any] = action.data if isinstance(action.data, dict) else {}
        documents = self.session.documents
        buffer = documents.buffer(str(data.get("uri", "")))
        if buffer is None or buffer.version != data.get("version"):
            raise _changed()
        try:
            edits = await self._edits(data)
        except Unfixable as error:
            raise JsonRpcException(str(error), types.LSPErrorCodes.RequestFailed) from error
        if not documents.are_at(buffer):
            raise _changed()
        if edits:
            action.edit = workspace_edit(buffer, edits, self.client)
        return action

    async def _edits(self, data: dict[str, Any]) -> list[tuple[int, types.TextEdit]]:
        uri = str(data["uri"])
        if data["what"] == "all":
            return (await self.all_edits(uri))[1]
        analysis = await self.session.analysis(uri, now=True)
        if analysis is None:
            return []
        buffer = analysis.buffer
        wanted = buffer.cell_of(uri), data["line"], data["column"], data["code"]
        for one in analysis.found:
            if (one.cell, one.line, one.column, one.code) == wanted:
                if data["what"] == "disable":
                    return await self.session.run(partial(_silenced, buffer, one))
                edits = await self.session.edits_of(analysis, one)
                return [
                    (each.span.cell, types.TextEdit(buffer.range(each.span), each.text)) for each in edits
                ]
        return []

    async def all_edits(
        self, uri: str, unsafe: bool = False
    ) -> tuple[Buffer | None, list[tuple[int, types.TextEdit]], int]:
        """The edits of all fixes in the current text, and the number of fixes.

        Raises:
            SourceError, FixError, RuleError, ConfigError: the text cannot be fixed.
        """
        await self.session.wait_for_settings()
        buffer = self.session.documents.buffer(uri)
        if buffer is None:
            return None, [], 0
        linter = self.session.linter(buffer)

        def work() -> tuple[list[tuple[int, types.TextEdit]], int]:
            fixed = linter.fix(buffer, unsafe or linter.settings.unsafe_fixes)
            return (list(buffer.edits(fixed[0])), fixed[1]) if fixed is not None else ([], 0)

        return (buffer, *await self.session.run(work))


def _changed() -> JsonRpcException:
    return JsonRpcException(
        "the document changed since the action was offered", types.LSPErrorCodes.ContentModified
    )


def _applies(violation: Violation, unsafe: bool) -> bool:
    fix = violation.fix
    return fix is not None and (fix.safety == "safe" or (fix.safety == "unsafe" and unsafe))


def _data(buffer: Buffer, uri: str, what: str, violation: Violation | None = None) -> dict[str, Any]:
    """Data that identifies an action, in the same state of the same document."""
    data: dict[str, Any] = {"uri": uri, "version": buffer.version, "what": what}
    if violation is not None:
        data |= {"line": violation.line, "column": violation.column, "code": violation.code}
    return data


def _silenced(buffer: Buffer, violation: Violation) -> list[tuple[int, types.TextEdit]]:
    source = buffer.source()
    return list(buffer.edits(source.with_text(added(source, [violation])[0])))
