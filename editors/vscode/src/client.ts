// The connection to a server that was found.
import * as vscode from "vscode";
import { LanguageClient, RevealOutputChannelOn, type ServerOptions } from "vscode-languageclient/node";
import type { Server } from "./discovery";
import { SELECTOR } from "./selector";
import { forServer, SECTION } from "./settings";

/** The settings of a resource as the server takes them. */
function settingsOf(resource: vscode.Uri | undefined): Record<string, unknown> {
  const configuration = vscode.workspace.getConfiguration(SECTION, resource);
  const folder = resource ? vscode.workspace.getWorkspaceFolder(resource) : undefined;
  const root = folder ?? vscode.workspace.workspaceFolders?.[0];
  return forServer((name) => configuration.get(name), root?.uri.fsPath);
}

/** A client that is not started yet. */
export function createClient(
  server: Server,
  folder: string | undefined,
  logs: vscode.OutputChannel,
  trace: vscode.OutputChannel,
): LanguageClient {
  const run: ServerOptions = {
    command: server.command,
    args: server.args,
    options: { ...(folder ? { cwd: folder } : {}), env: { ...process.env, PYTHONUTF8: "1" } },
  };
  return new LanguageClient(SECTION, "telepathy-lint", run, {
    documentSelector: [...SELECTOR],
    outputChannel: logs,
    traceOutputChannel: trace,
    revealOutputChannelOn: RevealOutputChannelOn.Never,
    initializationOptions: settingsOf(undefined),
    middleware: {
      workspace: {
        // The settings are sent as the server takes them: paths complete, the extension's own settings left out.
        configuration: (params) =>
          params.items.map((item) =>
            item.section === SECTION
              ? settingsOf(item.scopeUri ? vscode.Uri.parse(item.scopeUri) : undefined)
              : null,
          ),
      },
    },
  });
}
