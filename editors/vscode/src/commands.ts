// The commands that the server carries out, for the document that is open.
import * as vscode from "vscode";
import { ExecuteCommandRequest, type LanguageClient } from "vscode-languageclient/node";
import { NOTEBOOK } from "./selector";

/** The notebook or the Python file in the active editor, as the server's commands take it. */
function activeDocument(): { uri: string; version: number } | undefined {
  const notebook = vscode.window.activeNotebookEditor?.notebook;
  if (notebook?.notebookType === NOTEBOOK) return { uri: notebook.uri.toString(), version: notebook.version };
  const document = vscode.window.activeTextEditor?.document;
  return document?.languageId === "python" ? { uri: document.uri.toString(), version: document.version } : undefined;
}

async function ask(client: LanguageClient, command: string, args: unknown[]): Promise<unknown> {
  const offered = client.initializeResult?.capabilities.executeCommandProvider?.commands ?? [];
  if (!offered.includes(command)) {
    const version = client.initializeResult?.serverInfo?.version ?? "";
    void vscode.window.showErrorMessage(
      `telepathy-lint ${version} does not have the command ${command}. Install a newer version.`,
    );
    return undefined;
  }
  try {
    return await client.sendRequest(ExecuteCommandRequest.type, { command, arguments: args });
  } catch (error) {
    void vscode.window.showErrorMessage(`telepathy-lint: ${error instanceof Error ? error.message : String(error)}`);
    return undefined;
  }
}

/** Apply all fixes in the active document by a command of the server, which sends the edit. */
export async function fixDocument(client: LanguageClient, command: string): Promise<void> {
  const document = activeDocument();
  if (!document) {
    void vscode.window.showInformationMessage("telepathy-lint: open a Python file or a notebook first.");
    return;
  }
  await ask(client, command, [document]);
}

/** Open what a command of the server answers with, as a new document. */
export async function openAnswer(client: LanguageClient, command: string): Promise<void> {
  const document = activeDocument();
  const answer = await ask(client, command, document ? [document] : []);
  if (answer === undefined || answer === null) return;
  const text = typeof answer === "string" ? answer : JSON.stringify(answer, undefined, 2);
  const language = typeof answer === "string" ? "markdown" : "json";
  await vscode.window.showTextDocument(await vscode.workspace.openTextDocument({ content: text, language }));
}
