// The environment that is selected in the Python extension. Only the part of its interface that is used is declared.
import * as vscode from "vscode";

interface PythonExtension {
  readonly environments?: {
    getActiveEnvironmentPath(resource?: vscode.Uri): { readonly path: string };
    resolveEnvironment(
      environment: { readonly path: string },
    ): Promise<{ readonly executable: { readonly uri?: vscode.Uri } } | undefined>;
    readonly onDidChangeActiveEnvironmentPath: vscode.Event<unknown>;
  };
}

async function environments(): Promise<PythonExtension["environments"]> {
  const extension = vscode.extensions.getExtension<PythonExtension>("ms-python.python");
  if (!extension) return undefined;
  // The Python extension may fail on its own; the server may still be found elsewhere.
  try {
    return (await extension.activate())?.environments;
  } catch {
    return undefined;
  }
}

/** The selected interpreter, or undefined without the Python extension or without a working environment. */
export async function selectedInterpreter(resource: vscode.Uri | undefined): Promise<string | undefined> {
  const api = await environments();
  if (!api) return undefined;
  const environment = await api.resolveEnvironment(api.getActiveEnvironmentPath(resource));
  return environment?.executable.uri?.fsPath;
}

/** Call back when another environment is selected. */
export async function onSelectedInterpreter(callback: () => void): Promise<vscode.Disposable | undefined> {
  return (await environments())?.onDidChangeActiveEnvironmentPath(callback);
}
