/** The documents that the server sees; the cells of notebooks come with their notebook. */
export const SELECTOR = [
  { scheme: "file", language: "python" },
  { scheme: "untitled", language: "python" },
  { scheme: "vscode-notebook", language: "python" },
  { scheme: "vscode-notebook-cell", language: "python" },
] as const;

/** The type of notebooks that are linted. */
export const NOTEBOOK = "jupyter-notebook";
