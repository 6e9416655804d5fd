"""The language server: diagnostics as you type, rule documentation on hover, quick fixes, fix-all, notebooks, commands.

It translates between the protocol, which pygls implements, and the engine. The parts are in
`telepathy_lint.front_ends.lsp`; this module connects them to the protocol's methods.
"""

from __future__ import annotations

import asyncio
from typing import Any

from lsprotocol import types
from pygls.exceptions import FeatureRequestError, JsonRpcException, JsonRpcInternalError
from pygls.lsp.server import LanguageServer
from pygls.uris import to_fs_path

from telepathy_lint import rules as registry
from telepathy_lint._version import __version__
from telepathy_lint.front_ends.lsp import commands
from telepathy_lint.front_ends.lsp.actions import KINDS, Actions, touched
from telepathy_lint.front_ends.lsp.documents import Documents
from telepathy_lint.front_ends.lsp.findings import Analysis, result_id
from telepathy_lint.front_ends.lsp.session import Session
from telepathy_lint.front_ends.lsp.settings import SECTION, Store
from telepathy_lint.output.rule_page import markdown

#: Files that affect findings besides the open ones: configuration, requirements, other modules, and how they are started.
WATCHED = (
    "**/pyproject.toml", "**/telepathy-lint.toml", "**/setup.cfg", "**/*requirements*.{txt,in}",
    "**/requirements/*.{txt,in}", "**/environment*.{yml,yaml}", "**/{uv,poetry,pdm,Pipfile}.lock", "**/*.py", "**/*.ipynb",
    "**/*.{md,rst,sh,bash,slurm,sbatch,yaml,yml,toml,mk}", "**/{README,Makefile,Dockerfile}*",
    "**/{req,reqs,requirement,env,environment,dependencies,deps,runtime}.txt", "**/.python-version",
    "**/{readme,INSTALL,install,Install,SETUP,setup,Setup,Containerfile,dockerfile}*",
)  # fmt: skip
_NOTEBOOKS = types.NotebookDocumentSyncOptions(
    notebook_selector=[
        types.NotebookDocumentFilterWithCells(
            notebook="jupyter-notebook", cells=[types.NotebookCellLanguage(language="python")]
        )
    ],
    save=True,
)


class Server(LanguageServer):
    """pygls's server with a session, which begins when the client has sent its capabilities."""

    session: Session
    actions: Actions

    def __init__(self) -> None:
        super().__init__("telepathy-lint", __version__, notebook_document_sync=_NOTEBOOKS)
        #: Whether the client requested the shutdown; exiting without it is an error in the protocol.
        self.asked_to_stop = False
        self._pulls_cells = False

    def begin(self, params: types.InitializeParams) -> None:
        """Set up our own workspace, and the settings from the first message."""
        known = self.protocol.workspace
        documents = Documents(
            known.root_uri,
            workspace_folders=params.workspace_folders,
            position_encoding=known.position_encoding,
        )
        self.protocol._workspace = documents
        self.session = Session(documents, Store(params.initialization_options))
        self.actions = Actions(self.session, params.capabilities)

    def report_server_error(self, error: Exception, source: Any) -> None:
        """Log unexpected errors in the client. Expected errors are the answer to the request."""
        if source is not FeatureRequestError or isinstance(error, JsonRpcInternalError):
            self.log(f"{type(error).__name__}: {error}", types.MessageType.Error)

    def log(self, text: str, kind: types.MessageType = types.MessageType.Info) -> None:
        self.window_log_message(types.LogMessageParams(type=kind, message=text))

    def tell(self, text: str, kind: types.MessageType = types.MessageType.Warning) -> None:
        self.window_show_message(types.ShowMessageParams(type=kind, message=text))

    # ---- what the client can do

    @property
    def pulls(self) -> bool:
        """Whether the client pulls the diagnostics of text documents; if so, none are pushed."""
        return self.can("text_document", "diagnostic")

    def pulls_of(self, key: str) -> bool:
        """Whether the client pulls the diagnostics of this buffer.

        There is no capability for the cells of a notebook, and clients differ: VS Code's library pulls them from version
        10 on. Diagnostics are pushed until the client pulls some.
        """
        return self._pulls_cells if key in self.workspace.notebook_documents else self.pulls

    def asked_for(self, analysis: Analysis) -> None:
        """The client pulled diagnostics. If it did so for a cell, clear the pushed diagnostics of notebooks."""
        if not analysis.buffer.is_notebook or self._pulls_cells:
            return
        self._pulls_cells = True
        for key in self.workspace.notebook_documents:
            state = self.session.state(key)
            self.session.stop(state)
            self.clear(state.published)
            state.published = set()

    def can(self, *path: str) -> bool:
        """Whether the client has a capability, given by its path."""
        value: Any = self.client_capabilities
        for name in path:
            value = getattr(value, name, None)
        return bool(value)

    # ---- settings

    async def ask_for_settings(self) -> None:
        """Request the settings of every folder. If the client does not support this, its initial settings apply."""
        if self.can("workspace", "configuration"):
            folders = {
                path: folder.uri
                for folder in self.workspace.folders.values()
                if (path := to_fs_path(folder.uri))
            }
            items = [types.ConfigurationItem(section=SECTION)]
            items += [types.ConfigurationItem(scope_uri=uri, section=SECTION) for uri in folders.values()]
            try:
                first, *rest = await self.workspace_configuration_async(types.ConfigurationParams(items))
                self.session.settings.put(first, dict(zip(folders, rest, strict=False)))
            except (JsonRpcException, ValueError) as error:
                self.log(f"no settings from the client: {error}", types.MessageType.Warning)
        self.settings_changed()

    def settings_changed(self) -> None:
        for text in self.session.settings.new_warnings(self.session.documents.roots()):
            self.tell(text)
        self.session.settled.set()
        self.read_anew()

    async def register(self) -> None:
        """Register for changes of settings and files, if the client supports it."""
        wanted = []
        if self.can("workspace", "did_change_configuration", "dynamic_registration"):
            options: Any = types.DidChangeConfigurationRegistrationOptions(section=SECTION)
            wanted.append(
                types.Registration(
                    "telepathy-lint-settings", types.WORKSPACE_DID_CHANGE_CONFIGURATION, options
                )
            )
        if self.can("workspace", "did_change_watched_files", "dynamic_registration"):
            watchers = [types.FileSystemWatcher(glob_pattern=pattern) for pattern in WATCHED]
            options = types.DidChangeWatchedFilesRegistrationOptions(watchers)
            wanted.append(
                types.Registration("telepathy-lint-files", types.WORKSPACE_DID_CHANGE_WATCHED_FILES, options)
            )
        if wanted:
            try:
                await self.client_register_capability_async(types.RegistrationParams(wanted))
            except JsonRpcException as error:
                self.log(f"the client refused a registration: {error}", types.MessageType.Warning)

    # ---- diagnostics

    def changed(self, uri: str, due: bool) -> None:
        """A buffer was opened, edited or saved. With `due`, it is linted whatever the settings."""
        key = self.session.documents.key_of(uri)
        if key is not None:
            self.session.state(key).due = due
            if not self.pulls_of(key):
                self.session.schedule(key, self.publish)

    def read_anew(self) -> None:
        """Something other than the buffers changed: lint all open buffers again."""
        self.session.renew()
        for key in self.session.documents.open_keys():
            if not self.pulls_of(key):
                self.session.schedule(key, self.publish)
        if self.pulls and self.can("workspace", "diagnostics", "refresh_support"):
            self.workspace_diagnostic_refresh(None)

    def publish(self, key: str) -> None:
        """Push the diagnostics of a buffer as soon as they are known; each buffer has one run at a time."""
        state = self.session.state(key)
        if state.task is None or state.task.done():
            state.task = asyncio.ensure_future(self._publish(key))

    async def _publish(self, key: str) -> None:
        analysis = await self.session.analysis(key)
        if analysis is None or key not in self.session.states or self.pulls_of(key):
            return
        state = self.session.state(key)
        shown = analysis.diagnostics(self.client_capabilities)
        # Includes cells that no longer exist.
        for uri in state.published - shown.keys():
            shown[uri] = []
        state.published = set(analysis.buffer.uris.values())
        for uri, diagnostics in shown.items():
            version = analysis.buffer.versions.get(uri)
            self.text_document_publish_diagnostics(types.PublishDiagnosticsParams(uri, diagnostics, version))

    def closed(self, key: str, uris: set[str]) -> None:
        """Clear the diagnostics of closed documents."""
        published = self.session.forget(key).published
        self.clear(published if self.pulls else published | uris)

    def clear(self, uris: set[str]) -> None:
        for uri in sorted(uris):
            self.text_document_publish_diagnostics(types.PublishDiagnosticsParams(uri, []))


def hover(analysis: Analysis, uri: str, position: types.Position) -> types.Hover | None:
    """The documentation of the rules with findings at the position."""
    found = touched(analysis, uri, types.Range(position, position))
    codes = dict.fromkeys(one.code for one in found)
    texts = ["\n".join(markdown(rule)) for rule in registry.all_rules() if rule.meta.code in codes]
    if not texts:
        return None
    content = types.MarkupContent(types.MarkupKind.Markdown, "\n\n---\n\n".join(texts))
    return types.Hover(content, analysis.buffer.range(found[0].span))


def create() -> Server:
    """Create a server with all its features."""
    server = Server()
    _lifecycle(server)
    _documents(server)
    _requests(server)
    _commands(server)
    return server


def _lifecycle(server: Server) -> None:
    @server.feature(types.INITIALIZE)
    def initialize(params: types.InitializeParams) -> None:
        server.begin(params)

    @server.feature(types.INITIALIZED)
    async def initialized(params: types.InitializedParams) -> None:
        del params
        await server.register()
        await server.ask_for_settings()

    @server.feature(types.SHUTDOWN)
    def shutdown(params: None) -> None:
        del params
        server.asked_to_stop = True
        server.session.close()

    @server.feature(types.WORKSPACE_DID_CHANGE_CONFIGURATION)
    async def configured(params: types.DidChangeConfigurationParams) -> None:
        if server.can("workspace", "configuration"):
            await server.ask_for_settings()
        else:
            server.session.settings.put(params.settings)
            server.settings_changed()

    @server.feature(types.WORKSPACE_DID_CHANGE_WORKSPACE_FOLDERS)
    async def folders_changed(params: types.DidChangeWorkspaceFoldersParams) -> None:
        del params
        await server.ask_for_settings()

    @server.feature(types.WORKSPACE_DID_CHANGE_WATCHED_FILES)
    def files_changed(params: types.DidChangeWatchedFilesParams) -> None:
        del params
        server.read_anew()


def _documents(server: Server) -> None:
    @server.feature(types.TEXT_DOCUMENT_DID_OPEN)
    def opened(params: types.DidOpenTextDocumentParams) -> None:
        server.session.renew()
        server.changed(params.text_document.uri, True)

    @server.feature(types.TEXT_DOCUMENT_DID_CHANGE)
    def changed(params: types.DidChangeTextDocumentParams) -> None:
        server.changed(params.text_document.uri, False)

    @server.feature(types.TEXT_DOCUMENT_DID_SAVE)
    def saved(params: types.DidSaveTextDocumentParams) -> None:
        server.changed(params.text_document.uri, True)
        server.read_anew()

    @server.feature(types.TEXT_DOCUMENT_DID_CLOSE)
    def closed(params: types.DidCloseTextDocumentParams) -> None:
        uri = params.text_document.uri
        server.closed(server.session.documents.normal(uri), {uri})

    @server.feature(types.NOTEBOOK_DOCUMENT_DID_OPEN)
    def notebook_opened(params: types.DidOpenNotebookDocumentParams) -> None:
        server.session.renew()
        server.changed(params.notebook_document.uri, True)

    @server.feature(types.NOTEBOOK_DOCUMENT_DID_CHANGE)
    def notebook_changed(params: types.DidChangeNotebookDocumentParams) -> None:
        server.changed(params.notebook_document.uri, False)

    @server.feature(types.NOTEBOOK_DOCUMENT_DID_SAVE)
    def notebook_saved(params: types.DidSaveNotebookDocumentParams) -> None:
        server.changed(params.notebook_document.uri, True)
        server.read_anew()

    @server.feature(types.NOTEBOOK_DOCUMENT_DID_CLOSE)
    def notebook_closed(params: types.DidCloseNotebookDocumentParams) -> None:
        cells = {cell.uri for cell in params.cell_text_documents}
        server.closed(server.session.documents.normal(params.notebook_document.uri), cells)


def _requests(server: Server) -> None:
    kinds = types.DiagnosticOptions(
        inter_file_dependencies=True, workspace_diagnostics=False, identifier="telepathy-lint"
    )

    @server.feature(types.TEXT_DOCUMENT_DIAGNOSTIC, kinds)
    async def diagnostics(params: types.DocumentDiagnosticParams) -> types.DocumentDiagnosticReport:
        analysis = await server.session.analysis(params.text_document.uri)
        found: list[types.Diagnostic] = []
        if analysis is not None and (cell := analysis.buffer.cell_of(params.text_document.uri)) is not None:
            server.asked_for(analysis)
            found = analysis.diagnostics(server.client_capabilities)[analysis.buffer.uris[cell]]
        name = result_id(found)
        if name == params.previous_result_id:
            return types.RelatedUnchangedDocumentDiagnosticReport(name)
        return types.RelatedFullDocumentDiagnosticReport(found, result_id=name)

    options = types.CodeActionOptions(code_action_kinds=KINDS, resolve_provider=True)

    @server.feature(types.TEXT_DOCUMENT_CODE_ACTION, options)
    async def code_action(params: types.CodeActionParams) -> list[types.CodeAction]:
        return await server.actions.offered(params)

    @server.feature(types.CODE_ACTION_RESOLVE)
    async def resolve(action: types.CodeAction) -> types.CodeAction:
        return await server.actions.resolve(action)

    @server.feature(types.TEXT_DOCUMENT_HOVER)
    async def hovered(params: types.HoverParams) -> types.Hover | None:
        analysis = await server.session.analysis(params.text_document.uri, now=True)
        return hover(analysis, params.text_document.uri, params.position) if analysis is not None else None


def _commands(server: Server) -> None:
    async def apply(arguments: tuple[Any, ...], unsafe: bool) -> dict[str, Any]:
        edit, count = await commands.fixes(server.actions, arguments, unsafe)
        if edit is None:
            return {"applied": False, "fixes": 0}
        if not server.can("workspace", "apply_edit"):
            raise commands.refused("this client does not apply edits from the server")
        params = types.ApplyWorkspaceEditParams(edit, "telepathy-lint: fix all")
        done = await server.workspace_apply_edit_async(params)
        if not done.applied:
            server.tell(f"the fixes were not applied: {done.failure_reason or 'the client refused them'}")
        return {"applied": done.applied, "fixes": count if done.applied else 0}

    # pygls compares the annotation with its server class; `Any` is not a class before Python 3.11, and
    # `object` would match. Arguments from a client may have any type, so they are checked.
    @server.command(commands.APPLY_ALL)
    async def apply_all(*arguments: str) -> dict[str, Any]:
        return await apply(arguments, False)

    @server.command(commands.APPLY_ALL_UNSAFE)
    async def apply_all_unsafe(*arguments: str) -> dict[str, Any]:
        return await apply(arguments, True)

    @server.command(commands.REPORT)
    async def report(*arguments: str) -> str:
        return await commands.report(server.actions, arguments)

    @server.command(commands.DEBUG_INFORMATION)
    async def debug_information(*arguments: str) -> str:
        text = await commands.debug_information(server.actions, arguments)
        server.log(text)
        return text
