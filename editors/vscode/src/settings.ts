// What the user's settings mean for the server. Nothing here knows VS Code.
import { homedir } from "node:os";
import * as path from "node:path";

export const SECTION = "telepathy-lint";

/** The settings that the server reads; the others are the extension's own. */
export const SERVER_SETTINGS = [
  "enable",
  "unsafeFixes",
  "configuration",
  "select",
  "ignore",
  "extendSelect",
  "strict",
  "fixStyle",
  "targetTransformers",
  "run",
] as const;

/** Settings that lead to another server, or to a server that is told other things at its start. */
export const RESTARTING_SETTINGS = ["enable", "path", "interpreter"] as const;

/** A path setting with `${workspaceFolder}` and `~` replaced; a relative path starts at the workspace folder. */
export function expand(value: string | null | undefined, workspaceFolder: string | undefined): string | undefined {
  if (!value?.trim()) return undefined;
  let expanded = value.trim();
  if (workspaceFolder) expanded = expanded.replaceAll("${workspaceFolder}", workspaceFolder);
  if (expanded === "~" || expanded.startsWith("~/") || expanded.startsWith("~\\")) {
    expanded = homedir() + expanded.slice(1);
  }
  if (path.isAbsolute(expanded) || !workspaceFolder) return expanded;
  return path.join(workspaceFolder, expanded);
}

/** A program setting: a bare name stays as it is and is looked up on PATH when it is run. */
export function expandProgram(value: string | null | undefined, workspaceFolder: string | undefined): string | undefined {
  const bare = value?.trim();
  return bare && /^[\w.-]+$/.test(bare) ? bare : expand(value, workspaceFolder);
}

/** The settings of a folder as the server takes them. What is not set is left out. */
export function forServer(
  get: (name: string) => unknown,
  workspaceFolder: string | undefined,
): Record<string, unknown> {
  const settings: Record<string, unknown> = {};
  for (const name of SERVER_SETTINGS) {
    const value = name === "configuration" ? expand(get(name) as string | null, workspaceFolder) : get(name);
    if (value !== null && value !== undefined) settings[name] = value;
  }
  return settings;
}
