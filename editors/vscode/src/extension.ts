// Starts the language server of the workspace's Python environment, and starts it anew when that changes.
import * as path from "node:path";
import * as vscode from "vscode";
import { type LanguageClient, State } from "vscode-languageclient/node";
import { createClient } from "./client";
import { fixDocument, openAnswer } from "./commands";
import { discover, type Missing, shellLine } from "./discovery";
import { executeIn } from "./process";
import { onSelectedInterpreter, selectedInterpreter } from "./python";
import { expandProgram, RESTARTING_SETTINGS, SECTION } from "./settings";
import { Status } from "./status";

let extension: Extension | undefined;

export async function activate(context: vscode.ExtensionContext): Promise<void> {
  extension = new Extension();
  context.subscriptions.push(extension);
  await extension.begin();
}

export async function deactivate(): Promise<void> {
  await extension?.stop();
}

class Extension implements vscode.Disposable {
  private readonly logs = vscode.window.createOutputChannel("telepathy-lint", { log: true });
  private readonly trace = vscode.window.createOutputChannel("telepathy-lint Trace");
  private readonly status = new Status();
  private readonly disposables: vscode.Disposable[] = [this.logs, this.trace, this.status];
  private client: LanguageClient | undefined;
  /** Starts run one after the other: settings and environments may change while one is under way. */
  private turn: Promise<void> = Promise.resolve();
  private told: string | undefined;

  async begin(): Promise<void> {
    const command = (name: string, run: () => unknown): void => {
      this.disposables.push(vscode.commands.registerCommand(`${SECTION}.${name}`, run));
    };
    command("restart", () => this.restart(true));
    command("showLogs", () => this.logs.show());
    command("fixDocument", () => this.withClient((client) => fixDocument(client, "telepathy-lint.applyAll")));
    command("fixDocumentUnsafe", () =>
      this.withClient((client) => fixDocument(client, "telepathy-lint.applyAllUnsafe")),
    );
    command("openReport", () => this.withClient((client) => openAnswer(client, "telepathy-lint.report")));
    command("showDebugInformation", () =>
      this.withClient((client) => openAnswer(client, "telepathy-lint.debugInformation")),
    );
    this.disposables.push(
      vscode.workspace.onDidChangeConfiguration((event) => {
        if (RESTARTING_SETTINGS.some((name) => event.affectsConfiguration(`${SECTION}.${name}`))) {
          void this.restart();
        }
      }),
    );
    const changes = await onSelectedInterpreter(() => void this.restart());
    if (changes) this.disposables.push(changes);
    await this.restart();
  }

  /** Find a server and start it. `asked`: the user wants it, so a failure is shown again. */
  restart(asked = false): Promise<void> {
    if (asked) this.told = undefined;
    this.turn = this.turn.then(() => this.start()).catch((error: unknown) => this.fail(String(error)));
    return this.turn;
  }

  async stop(): Promise<void> {
    const client = this.client;
    this.client = undefined;
    // A server that is gone already cannot be stopped; that is no failure.
    await client?.dispose().catch(() => undefined);
  }

  dispose(): void {
    for (const one of this.disposables) one.dispose();
  }

  private async start(): Promise<void> {
    await this.stop();
    const folder = vscode.workspace.workspaceFolders?.[0];
    const configuration = vscode.workspace.getConfiguration(SECTION, folder?.uri);
    if (!configuration.get<boolean>("enable", true)) {
      this.status.stopped("off: telepathy-lint.enable is false");
      return;
    }
    this.status.starting();
    const root = folder?.uri.fsPath;
    const found = await discover(
      {
        path: expandProgram(configuration.get<string | null>("path"), root),
        interpreter: expandProgram(configuration.get<string | null>("interpreter"), root),
        environment: await selectedInterpreter(folder?.uri),
        searchPath: (process.env["PATH"] ?? "").split(path.delimiter),
      },
      executeIn(root),
    );
    if (found.kind === "missing") {
      this.fail(found.reason, found);
      return;
    }
    this.told = undefined;
    this.logs.info(`telepathy-lint ${found.version}, from ${found.origin}: ${found.command}`);
    const client = createClient(found, root, this.logs, this.trace);
    client.onDidChangeState(({ newState }) => {
      if (client !== this.client) return; // stopped by us
      if (newState === State.Running) this.status.running(found.version, found.command);
      if (newState === State.Starting) this.status.starting();
      if (newState === State.Stopped) this.status.failed("the server stopped; see the logs");
    });
    this.client = client;
    await client.start();
  }

  private fail(reason: string, missing?: Missing): void {
    this.status.failed(reason);
    this.logs.error(reason);
    if (this.told === reason) return;
    this.told = reason;
    void this.offerHelp(reason, missing);
  }

  private async offerHelp(reason: string, missing: Missing | undefined): Promise<void> {
    const install = missing?.install;
    const select = vscode.extensions.getExtension("ms-python.python") ? ["Select Interpreter"] : [];
    const hint = install ? ` To install it: ${shellLine(install)}` : ' To install it: pip install "telepathy-lint[server]"';
    const choice = await vscode.window.showErrorMessage(
      missing ? `${reason}${hint}` : `telepathy-lint: ${reason}`,
      ...(install ? ["Install"] : []),
      ...(missing ? [...select, "Open Settings"] : []),
      "Show Logs",
    );
    if (choice === "Install" && install) {
      const terminal = vscode.window.createTerminal("telepathy-lint");
      terminal.show();
      // The command is typed but not run: the user sees what it changes and where.
      terminal.sendText(shellLine(install), false);
      void vscode.window.showInformationMessage(
        "Run the command in the terminal, then run telepathy-lint: Restart Server.",
      );
    } else if (choice === "Select Interpreter") {
      await vscode.commands.executeCommand("python.setInterpreter");
    } else if (choice === "Open Settings") {
      await vscode.commands.executeCommand("workbench.action.openSettings", SECTION);
    } else if (choice === "Show Logs") {
      this.logs.show();
    }
  }

  private async withClient(run: (client: LanguageClient) => Promise<void>): Promise<void> {
    if (this.client?.state !== State.Running) {
      void vscode.window.showErrorMessage("telepathy-lint: the server is not running.", "Show Logs").then((choice) => {
        if (choice) this.logs.show();
      });
      return;
    }
    await run(this.client);
  }
}
