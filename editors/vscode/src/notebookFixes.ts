// "Fix on save" of notebooks that begin with text: VS Code asks the first cell alone for the actions of a notebook, and the
// server knows Python cells only. The first Python cell is asked in its place.
import * as vscode from "vscode";
import { CodeActionRequest, CodeActionResolveRequest, type LanguageClient } from "vscode-languageclient/node";
import { NOTEBOOK } from "./selector";

const KIND = vscode.CodeActionKind.Empty.append("notebook.source.fixAll.telepathy-lint");

/** Offer the notebook's fix-all in its text cells. `current` gives the client that is running now. */
export function registerNotebookFixes(current: () => LanguageClient | undefined): vscode.Disposable {
  const textCells = { scheme: "vscode-notebook-cell", language: "markdown", notebookType: NOTEBOOK };
  return vscode.languages.registerCodeActionsProvider(
    textCells,
    {
      async provideCodeActions(document, _range, context, token) {
        const client = current();
        if (!client || !context.only?.contains(KIND)) return [];
        const notebook = vscode.workspace.notebookDocuments.find((one) =>
          one.getCells().some((cell) => cell.document === document),
        );
        const cell = notebook?.getCells().find((one) => one.document.languageId === "python");
        if (!cell) return [];
        const start = { line: 0, character: 0 };
        const textDocument = client.code2ProtocolConverter.asTextDocumentIdentifier(cell.document);
        const asked = { textDocument, range: { start, end: start }, context: { diagnostics: [], only: [KIND.value] } };
        const found = (await client.sendRequest(CodeActionRequest.type, asked, token)) ?? [];
        const complete = await Promise.all(
          found.map((action) =>
            "kind" in action && !action.edit
              ? client.sendRequest(CodeActionResolveRequest.type, action, token)
              : Promise.resolve(action),
          ),
        );
        return client.protocol2CodeConverter.asCodeActionResult(complete, token);
      },
    },
    { providedCodeActionKinds: [KIND] },
  );
}
