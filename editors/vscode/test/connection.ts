// A client of a few lines: starts the server that discovery finds and speaks the protocol to it.
import { type ChildProcessWithoutNullStreams, spawn } from "node:child_process";
import { once } from "node:events";
import { pathToFileURL } from "node:url";
import {
  type ApplyWorkspaceEditParams,
  ApplyWorkspaceEditRequest,
  type ClientCapabilities,
  ConfigurationRequest,
  createProtocolConnection,
  type Diagnostic,
  DidChangeTextDocumentNotification,
  DidOpenTextDocumentNotification,
  ExitNotification,
  InitializedNotification,
  InitializeRequest,
  type InitializeResult,
  type ProtocolConnection,
  PublishDiagnosticsNotification,
  RegistrationRequest,
  ShutdownRequest,
  StreamMessageReader,
  StreamMessageWriter,
  type TextEdit,
  type WorkspaceEdit,
} from "vscode-languageserver-protocol/node";
import { TextDocument } from "vscode-languageserver-textdocument";
import type { Server } from "../src/discovery";

export class Session {
  readonly documents = new Map<string, TextDocument>();
  private static readonly running = new Set<ChildProcessWithoutNullStreams>();
  private readonly published = new Map<string, Diagnostic[]>();
  private readonly waiting = new Map<string, (found: Diagnostic[]) => void>();
  readonly applied: WorkspaceEdit[] = [];

  private constructor(
    private readonly child: ChildProcessWithoutNullStreams,
    readonly connection: ProtocolConnection,
    readonly initialized: InitializeResult,
  ) {}

  static async start(
    server: Server,
    folder: string,
    settings: Record<string, unknown>,
    capabilities: ClientCapabilities,
  ): Promise<Session> {
    const child = spawn(server.command, server.args, { cwd: folder, stdio: "pipe" });
    Session.running.add(child);
    child.once("exit", () => Session.running.delete(child));
    child.stderr.pipe(process.stderr);
    const connection = createProtocolConnection(
      new StreamMessageReader(child.stdout),
      new StreamMessageWriter(child.stdin),
    );
    connection.onRequest(ConfigurationRequest.type, ({ items }) => items.map(() => settings));
    connection.onRequest(RegistrationRequest.type, () => undefined);
    connection.listen();
    const result = await connection.sendRequest(InitializeRequest.type, {
      processId: process.pid,
      rootUri: pathToFileURL(folder).toString(),
      workspaceFolders: [{ uri: pathToFileURL(folder).toString(), name: "work" }],
      initializationOptions: settings,
      capabilities,
    });
    const session = new Session(child, connection, result);
    connection.onNotification(PublishDiagnosticsNotification.type, ({ uri, diagnostics }) => {
      session.published.set(uri, diagnostics);
      session.waiting.get(uri)?.(diagnostics);
      session.waiting.delete(uri);
    });
    connection.onRequest(ApplyWorkspaceEditRequest.type, ({ edit }: ApplyWorkspaceEditParams) => {
      session.applied.push(edit);
      return { applied: true };
    });
    await connection.sendNotification(InitializedNotification.type, {});
    return session;
  }

  static killAll(): void {
    for (const child of Session.running) child.kill("SIGKILL");
  }

  /** Keep a document as the editor does; the server is told by the caller. */
  remember(uri: string, text: string, version = 1): TextDocument {
    const document = TextDocument.create(uri, "python", version, text);
    this.documents.set(uri, document);
    return document;
  }

  async open(uri: string, text: string): Promise<void> {
    this.remember(uri, text);
    await this.connection.sendNotification(DidOpenTextDocumentNotification.type, {
      textDocument: { uri, languageId: "python", version: 1, text },
    });
  }

  /** The next findings that the server publishes for a document, or those it has published already. */
  async pushed(uri: string): Promise<Diagnostic[]> {
    return this.published.get(uri) ?? new Promise((resolve) => this.waiting.set(uri, resolve));
  }

  hasPushed(uri: string): boolean {
    return this.published.has(uri);
  }

  /** Make an edit in the documents that it names, and send what they are now. Returns their texts. */
  async apply(edit: WorkspaceEdit): Promise<Map<string, string>> {
    const changed = new Map<string, TextEdit[]>(Object.entries(edit.changes ?? {}));
    for (const change of edit.documentChanges ?? []) {
      if (!("textDocument" in change)) throw new Error("the server creates or deletes files");
      changed.set(change.textDocument.uri, change.edits as TextEdit[]);
    }
    const texts = new Map<string, string>();
    for (const [uri, edits] of changed) {
      const before = this.documents.get(uri);
      if (!before) throw new Error(`the server edits ${uri}, which is not open`);
      const text = TextDocument.applyEdits(before, edits);
      const after = this.remember(uri, text, before.version + 1);
      texts.set(uri, text);
      this.published.delete(uri);
      if (!uri.startsWith("vscode-notebook-cell:")) {
        await this.connection.sendNotification(DidChangeTextDocumentNotification.type, {
          textDocument: { uri, version: after.version },
          contentChanges: [{ text }],
        });
      }
    }
    return texts;
  }

  /** Shut down as an editor does; the exit code of the server. */
  async close(): Promise<number | null> {
    await this.connection.sendRequest(ShutdownRequest.type);
    const ended = once(this.child, "exit");
    await this.connection.sendNotification(ExitNotification.type);
    const late = setTimeout(() => this.child.kill("SIGKILL"), 10_000);
    const [code] = (await ended) as [number | null];
    clearTimeout(late);
    this.connection.dispose();
    return code;
  }
}
