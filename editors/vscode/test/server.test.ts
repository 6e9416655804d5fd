// The protocol, spoken to the real server. TELEPATHY_LINT_PYTHON names an interpreter that has telepathy-lint[server].
import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import * as path from "node:path";
import { after, before, test } from "node:test";
import { pathToFileURL } from "node:url";
import {
  type ClientCapabilities,
  type CodeAction,
  CodeActionRequest,
  CodeActionResolveRequest,
  type Diagnostic,
  DidOpenNotebookDocumentNotification,
  DocumentDiagnosticRequest,
  ExecuteCommandRequest,
  HoverRequest,
  type MarkupContent,
  NotebookCellKind,
} from "vscode-languageserver-protocol/node";
import { discover, moduleArguments, type Server } from "../src/discovery";
import { executeIn } from "../src/process";
import { Session } from "./connection";

const PYTHON = process.env["TELEPATHY_LINT_PYTHON"];
const IMPORT = "from transformers import AutoModelForCausalLM\n";
const LOAD = `model = AutoModelForCausalLM.from_pretrained(
    "gpt2", device_map="auto", dtype="bfloat16", attn_implementation="sdpa"
)
model.generation_config.max_length = 9
`;
const PUSH: ClientCapabilities = {
  workspace: { applyEdit: true, configuration: true, workspaceFolders: true, workspaceEdit: { documentChanges: true } },
  textDocument: {
    synchronization: { didSave: true },
    publishDiagnostics: { relatedInformation: true },
    hover: { contentFormat: ["markdown"] },
    codeAction: {
      codeActionLiteralSupport: { codeActionKind: { valueSet: ["quickfix", "source", "source.fixAll", "notebook"] } },
      isPreferredSupport: true,
      dataSupport: true,
      resolveSupport: { properties: ["edit"] },
    },
  },
  notebookDocument: { synchronization: { dynamicRegistration: true, executionSummarySupport: true } },
};
const PULL: ClientCapabilities = {
  ...PUSH,
  textDocument: { ...PUSH.textDocument, diagnostic: { dynamicRegistration: true, relatedDocumentSupport: false } },
};

const options = { skip: PYTHON ? false : "set TELEPATHY_LINT_PYTHON to a Python that has telepathy-lint[server]" };
const folder = mkdtempSync(path.join(tmpdir(), "workspace-"));
let server: Server;

before(async () => {
  if (!PYTHON) return;
  const found = await discover({ interpreter: PYTHON, searchPath: [] }, executeIn(folder));
  assert.ok(found.kind === "server", found.kind === "missing" ? found.reason : "");
  server = found;
});

// A test that failed left its server running.
after(() => Session.killAll());

function start(capabilities: ClientCapabilities, settings: Record<string, unknown> = {}): Promise<Session> {
  return Session.start(server, folder, settings, capabilities);
}

function uriOf(name: string): string {
  return pathToFileURL(path.join(folder, name)).toString();
}

async function actions(session: Session, uri: string, diagnostic: Diagnostic, only?: string[]): Promise<CodeAction[]> {
  const answer = await session.connection.sendRequest(CodeActionRequest.type, {
    textDocument: { uri },
    range: diagnostic.range,
    context: { diagnostics: [diagnostic], ...(only ? { only } : {}) },
  });
  return (answer ?? []) as CodeAction[];
}

/** The only action of a kind, with its edit, which the server may leave for later. */
async function action(session: Session, uri: string, diagnostic: Diagnostic, kind: string): Promise<CodeAction> {
  const offered = await actions(session, uri, diagnostic, [kind]);
  assert.deepEqual(offered.map((one) => one.kind), [kind]);
  const [first] = offered as [CodeAction];
  return first.edit ? first : session.connection.sendRequest(CodeActionResolveRequest.type, first);
}

async function openNotebook(session: Session, name: string, cells: string[]): Promise<string[]> {
  const uri = uriOf(name);
  const uris = cells.map((_, number) => `vscode-notebook-cell:${uri.slice("file:".length)}#W${number}`);
  uris.forEach((cell, number) => session.remember(cell, cells[number] as string));
  await session.connection.sendNotification(DidOpenNotebookDocumentNotification.type, {
    notebookDocument: {
      uri,
      notebookType: "jupyter-notebook",
      version: 1,
      cells: uris.map((document) => ({ kind: NotebookCellKind.Code, document })),
    },
    cellTextDocuments: uris.map((document, number) => ({
      uri: document,
      languageId: "python",
      version: 1,
      text: cells[number] as string,
    })),
  });
  return uris;
}

test("discovery finds the server in a real interpreter and does not import the workspace's modules", options, async () => {
  const trap = mkdtempSync(path.join(tmpdir(), "trap-"));
  for (const name of ["telepathy_lint", "pygls", "runpy", "json"]) {
    mkdirSync(path.join(trap, name));
    writeFileSync(path.join(trap, name, "__init__.py"), 'raise SystemExit("imported from the workspace")\n');
  }
  const found = await discover({ interpreter: PYTHON, searchPath: [] }, executeIn(trap));
  assert.ok(found.kind === "server", found.kind === "missing" ? found.reason : "");
  assert.match(found.version, /^\d+\.\d+/);
  const session = await Session.start(found, trap, {}, PUSH);
  assert.equal(await session.close(), 0);
});

test("discovery knows that a real interpreter lacks telepathy-lint", options, async () => {
  // -S hides what is installed, as in an environment that was just made.
  const bare = async (command: string, args: readonly string[]) => executeIn(folder)(command, ["-I", "-S", ...args]);
  const found = await discover({ interpreter: PYTHON, searchPath: [] }, bare);
  assert.ok(found.kind === "missing");
  assert.match(found.reason, /not installed in/);
  assert.deepEqual(moduleArguments("server").at(-1), "server");
});

test("a file: findings are pushed, the hover explains, fix-all is resolved and applied, exit code 0", options, async () => {
  const session = await start(PUSH);
  assert.equal(session.initialized.serverInfo?.name, "telepathy-lint");
  const uri = uriOf("load.py");
  await session.open(uri, IMPORT + LOAD);
  const [finding, ...others] = await session.pushed(uri);
  assert.ok(finding);
  assert.deepEqual([finding.code, finding.source, others.length], ["TLP101", "telepathy-lint", 0]);
  assert.deepEqual(finding.range.start, { line: 2, character: 12 });

  const hover = await session.connection.sendRequest(HoverRequest.type, {
    textDocument: { uri },
    position: finding.range.start,
  });
  assert.match((hover?.contents as MarkupContent).value, /TLP101/);

  const quick = await actions(session, uri, finding, ["quickfix"]);
  assert.deepEqual(new Set(quick.map((one) => one.kind)), new Set(["quickfix"]));
  assert.ok(quick.some((one) => one.isPreferred), "the fix is preferred to silencing the finding");

  const fixAll = await action(session, uri, finding, "source.fixAll.telepathy-lint");
  assert.ok(fixAll.edit);
  const text = (await session.apply(fixAll.edit)).get(uri) ?? "";
  assert.match(text, /^from telepathy_runtime import load_model$/m);
  assert.match(text, /^model = load_model\($/m);
  assert.doesNotMatch(text, /device_map="auto"/);
  assert.deepEqual(await session.pushed(uri), []);
  assert.equal(await session.close(), 0);
});

test("a client that pulls gets the same findings by asking, and none are pushed to it", options, async () => {
  const session = await start(PULL);
  assert.ok(session.initialized.capabilities.diagnosticProvider, "the server offers pull diagnostics");
  const uri = uriOf("pulled.py");
  await session.open(uri, IMPORT + LOAD);
  const report = await session.connection.sendRequest(DocumentDiagnosticRequest.type, { textDocument: { uri } });
  assert.ok(report.kind === "full");
  assert.deepEqual(report.items.map((one) => one.code), ["TLP101"]);
  assert.deepEqual(session.hasPushed(uri), false);
  assert.equal(await session.close(), 0);
});

test("a notebook: the finding is in its cell, and fix-all puts the import where the old one was", options, async () => {
  const session = await start(PUSH);
  const cells = ["import torch\n", IMPORT, LOAD, "print(model)\n"];
  const uris = await openNotebook(session, "work.ipynb", cells);
  const found = await Promise.all(uris.map((uri) => session.pushed(uri)));
  assert.deepEqual(found.map((one) => one.map((finding) => finding.code)), [[], [], ["TLP101"], []]);
  const [finding] = found[2] as [Diagnostic];
  assert.deepEqual(finding.range.start, { line: 1, character: 12 });
  const fixAll = await action(session, uris[2] as string, finding, "notebook.source.fixAll.telepathy-lint");
  assert.ok(fixAll.edit);
  await session.apply(fixAll.edit);
  const texts = uris.map((uri) => session.documents.get(uri)?.getText());
  assert.deepEqual([texts[0], texts[3]], [cells[0], cells[3]]);
  assert.equal(texts[1], "from telepathy_runtime import load_model\n");
  assert.match(texts[2] ?? "", /^model = load_model\(/);
  assert.equal(await session.close(), 0);
});

test("settings reach the server: rules that are ignored are not reported", options, async () => {
  const session = await start(PUSH, { ignore: ["TLP101"] });
  const uri = uriOf("ignored.py");
  await session.open(uri, IMPORT + LOAD);
  assert.deepEqual(await session.pushed(uri), []);
  assert.equal(await session.close(), 0);
});

test("the commands: all fixes are sent as an edit, the report and the debug information are texts", options, async () => {
  const session = await start(PUSH);
  const uri = uriOf("command.py");
  await session.open(uri, IMPORT + LOAD);
  await session.pushed(uri);
  const run = (command: string) =>
    session.connection.sendRequest(ExecuteCommandRequest.type, { command, arguments: [{ uri, version: 1 }] });
  await run("telepathy-lint.applyAll");
  const [edit] = session.applied;
  assert.ok(edit);
  const report = await run("telepathy-lint.report");
  assert.match(JSON.stringify(report), /TLP101/);
  assert.match((await session.apply(edit)).get(uri) ?? "", /^model = load_model\(/m);
  assert.ok(JSON.stringify(await run("telepathy-lint.debugInformation")).includes(server.version));
  assert.equal(await session.close(), 0);
});
