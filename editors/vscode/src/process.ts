// Runs a program to its end, for discovery.
import { spawn } from "node:child_process";
import type { Execute, Finished } from "./discovery";

const LONGEST_MS = 20_000;

/** Run programs in a folder, with closed input. A program that cannot be started or does not end has code null. */
export function executeIn(folder: string | undefined): Execute {
  return (command, args) =>
    new Promise<Finished>((resolve) => {
      const child = spawn(command, args, { cwd: folder, stdio: ["ignore", "pipe", "pipe"] });
      const limit = setTimeout(() => child.kill(), LONGEST_MS);
      let stdout = "";
      let stderr = "";
      const finish = (code: number | null): void => {
        clearTimeout(limit);
        resolve({ code, stdout, stderr });
      };
      child.stdout.setEncoding("utf8").on("data", (text: string) => (stdout += text));
      child.stderr.setEncoding("utf8").on("data", (text: string) => (stderr += text));
      child.once("error", (error) => {
        stderr ||= error.message;
        finish(null);
      });
      child.once("close", finish);
    });
}
