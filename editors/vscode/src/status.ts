// The entry of the language status menu: whether the server runs, and which one.
import * as vscode from "vscode";
import { SELECTOR } from "./selector";

export class Status implements vscode.Disposable {
  private readonly item: vscode.LanguageStatusItem;

  constructor() {
    this.item = vscode.languages.createLanguageStatusItem("telepathy-lint", [...SELECTOR]);
    this.item.name = "telepathy-lint";
    this.item.command = { title: "Show Logs", command: "telepathy-lint.showLogs" };
  }

  starting(): void {
    this.show("telepathy-lint", "starting", vscode.LanguageStatusSeverity.Information, true);
  }

  running(version: string, command: string): void {
    this.show(`telepathy-lint ${version}`, `running: ${command}`, vscode.LanguageStatusSeverity.Information);
  }

  failed(reason: string): void {
    this.show("telepathy-lint", reason, vscode.LanguageStatusSeverity.Error);
  }

  stopped(reason: string): void {
    this.show("telepathy-lint", reason, vscode.LanguageStatusSeverity.Warning);
  }

  dispose(): void {
    this.item.dispose();
  }

  private show(text: string, detail: string, severity: vscode.LanguageStatusSeverity, busy = false): void {
    this.item.text = text;
    this.item.detail = detail;
    this.item.severity = severity;
    this.item.busy = busy;
  }
}
