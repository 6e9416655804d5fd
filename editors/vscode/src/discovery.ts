// Finds the command that starts the language server. Nothing here knows VS Code, so that it can be tested without it.
import { existsSync } from "node:fs";
import * as path from "node:path";

/** What a finished process said. `code` is null when it was killed or could not be started. */
export interface Finished {
  code: number | null;
  stdout: string;
  stderr: string;
}

export type Execute = (command: string, args: readonly string[]) => Promise<Finished>;

/** Where the server may be, in the order in which the places are tried. */
export interface Places {
  /** Setting `telepathy-lint.path`. */
  path?: string | undefined;
  /** Setting `telepathy-lint.interpreter`. */
  interpreter?: string | undefined;
  /** The interpreter that is selected in the Python extension. */
  environment?: string | undefined;
  /** The folders of PATH. */
  searchPath: readonly string[];
  platform?: NodeJS.Platform;
}

export type Origin = "path" | "interpreter" | "environment" | "PATH";

export interface Server {
  kind: "server";
  command: string;
  args: string[];
  version: string;
  origin: Origin;
}

/** No usable server: `reason` says why, `install` is the command that would help, as separate arguments. */
export interface Missing {
  kind: "missing";
  reason: string;
  install: string[] | undefined;
}

const REQUIREMENT = "telepathy-lint[server]";

// The working folder is the workspace, whose modules may have the name of a module that the server imports:
// Python must not look there. (`python -P` does the same, but only from Python 3.11 on.)
const WITHOUT_WORKING_FOLDER = "import sys; sys.path[:] = [entry for entry in sys.path if entry]; ";
const RUN_MODULE =
  WITHOUT_WORKING_FOLDER +
  "import runpy; runpy.run_module('telepathy_lint', run_name='__main__', alter_sys=True)";
const PROBE_SERVER = WITHOUT_WORKING_FOLDER + "import lsprotocol, pygls";

/** Arguments of a Python interpreter that run telepathy-lint, as `python -m telepathy_lint` does. */
export function moduleArguments(...args: string[]): string[] {
  return ["-c", RUN_MODULE, ...args];
}

/** The first place that has a server. A setting that leads nowhere is an error: the user meant it. */
export async function discover(places: Places, execute: Execute): Promise<Server | Missing> {
  if (places.path) return program(places.path, "path", execute);
  if (places.interpreter) return interpreter(places.interpreter, "interpreter", execute);
  const selected = places.environment ? await interpreter(places.environment, "environment", execute) : undefined;
  if (selected?.kind === "server") return selected;
  const onPath = which("telepathy-lint", places.searchPath, places.platform);
  const found = onPath ? await program(onPath, "PATH", execute) : undefined;
  if (found?.kind === "server") return found;
  return (
    selected ??
    found ?? {
      kind: "missing",
      reason: "telepathy-lint was not found. No Python environment is selected and it is not on PATH.",
      install: undefined,
    }
  );
}

async function program(command: string, origin: "path" | "PATH", execute: Execute): Promise<Server | Missing> {
  const name = origin === "path" ? `telepathy-lint.path (${command})` : command;
  const said = await execute(command, ["--version"]);
  const version = versionOf(said);
  if (version === undefined) {
    return missing(`${name} is not telepathy-lint${ending(said)}`);
  }
  // With its input closed the server stops at once; without pygls it never starts.
  const started = await execute(command, ["server"]);
  if (started.code === 2) {
    return missing(`${name} has telepathy-lint ${version} but cannot run its language server${ending(started)}`);
  }
  return { kind: "server", command, args: ["server"], version, origin };
}

async function interpreter(
  command: string,
  origin: "interpreter" | "environment",
  execute: Execute,
): Promise<Server | Missing> {
  const name = origin === "interpreter" ? `telepathy-lint.interpreter (${command})` : command;
  const install = [command, "-m", "pip", "install", REQUIREMENT];
  const said = await execute(command, moduleArguments("--version"));
  const version = versionOf(said);
  if (version === undefined) {
    if (said.stderr.includes("No module named telepathy_lint") || said.stderr.includes("No module named 'telepathy_lint'")) {
      return missing(`telepathy-lint is not installed in ${name}.`, install);
    }
    return missing(`${name} does not run telepathy-lint${ending(said)}`);
  }
  const server = await execute(command, ["-c", PROBE_SERVER]);
  if (server.code !== 0) {
    return missing(`${name} has telepathy-lint ${version} without its language server.`, install);
  }
  return { kind: "server", command, args: moduleArguments("server"), version, origin };
}

function missing(reason: string, install?: string[]): Missing {
  return { kind: "missing", reason, install };
}

function versionOf(said: Finished): string | undefined {
  return said.code === 0 ? /^telepathy-lint (\d\S*)/m.exec(said.stdout)?.[1] : undefined;
}

/** The last line of an error, which is where Python and most programs say what is wrong. */
function ending(said: Finished): string {
  const last = said.stderr.trim().split(/\r?\n/).at(-1);
  return last ? `: ${last}` : ".";
}

/** The path of a program, looked up in the folders of PATH. */
export function which(
  name: string,
  folders: readonly string[],
  platform: NodeJS.Platform = process.platform,
  exists: (file: string) => boolean = existsSync,
): string | undefined {
  const windows = platform === "win32";
  const join = windows ? path.win32.join : path.posix.join;
  return folders
    .filter((folder) => folder !== "")
    .map((folder) => join(folder, windows ? `${name}.exe` : name))
    .find((file) => exists(file));
}

/** A command line for a terminal. */
export function shellLine(words: readonly string[], platform: NodeJS.Platform = process.platform): string {
  const line = words
    .map((word) => (/^[\w@%+=:,./\\-]+$/.test(word) ? word : platform === "win32" ? `"${word}"` : `'${word.replaceAll("'", "'\\''")}'`))
    .join(" ");
  // PowerShell, the default terminal on Windows, takes a quoted first word for a string.
  return platform === "win32" && line.startsWith('"') ? `& ${line}` : line;
}
