import assert from "node:assert/strict";
import { chmodSync, mkdirSync, mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import * as path from "node:path";
import { test } from "node:test";
import { discover, type Finished, type Places, shellLine, which } from "../src/discovery";
import { executeIn } from "../src/process";

const VERSION: Finished = { code: 0, stdout: "telepathy-lint 1.2.3\n", stderr: "" };
const STARTED: Finished = { code: 0, stdout: "", stderr: "" };
const NO_EXTRA: Finished = { code: 2, stdout: "", stderr: "telepathy-lint: the language server needs pygls: pip install ...\n" };
const NO_PACKAGE: Finished = { code: 1, stdout: "", stderr: "Traceback\nImportError: No module named telepathy_lint\n" };
const NO_PROGRAM: Finished = { code: null, stdout: "", stderr: "spawn ENOENT" };

/** Answers for each program: to the question for its version, and to the question for its server. */
function machine(programs: Record<string, [Finished, Finished]>) {
  const asked: string[] = [];
  const execute = async (command: string, args: readonly string[]): Promise<Finished> => {
    asked.push(command);
    const [version, server] = programs[command] ?? [NO_PROGRAM, NO_PROGRAM];
    return args.includes("--version") ? version : server;
  };
  return { asked, execute };
}

function folderWithProgram(): string {
  const folder = mkdtempSync(path.join(tmpdir(), "on-path-"));
  writeFileSync(path.join(folder, "telepathy-lint"), "");
  return folder;
}

const ON_PATH = folderWithProgram();
const PROGRAM = path.join(ON_PATH, "telepathy-lint");
const ALL: Places = {
  path: "/set/telepathy-lint",
  interpreter: "/set/python",
  environment: "/selected/python",
  searchPath: [ON_PATH],
  platform: "linux",
};
const GOOD: Record<string, [Finished, Finished]> = Object.fromEntries(
  ["/set/telepathy-lint", "/set/python", "/selected/python", PROGRAM].map((name) => [name, [VERSION, STARTED]]),
);

test("the places are tried in order: path, interpreter, selected environment, PATH", async () => {
  const expected = [
    ["path", "/set/telepathy-lint", ALL],
    ["interpreter", "/set/python", { ...ALL, path: undefined }],
    ["environment", "/selected/python", { ...ALL, path: undefined, interpreter: undefined }],
    ["PATH", PROGRAM, { searchPath: ALL.searchPath, platform: "linux" }],
  ] as const;
  for (const [origin, command, places] of expected) {
    const { execute, asked } = machine(GOOD);
    const found = await discover(places, execute);
    assert.equal(found.kind, "server");
    assert.deepEqual([found.origin, found.command, found.version, found.args.at(-1)], [origin, command, "1.2.3", "server"]);
    assert.deepEqual(new Set(asked), new Set([command]), "no other program was run");
  }
});

test("a setting that leads nowhere is reported and nothing else is used in its place", async () => {
  const { execute } = machine({ ...GOOD, "/set/telepathy-lint": [NO_PROGRAM, NO_PROGRAM] });
  const found = await discover(ALL, execute);
  assert.equal(found.kind, "missing");
  assert.match(found.reason, /telepathy-lint\.path \(\/set\/telepathy-lint\).*ENOENT/);
  assert.equal(found.install, undefined);
});

test("an interpreter without the package says how to install it there", async () => {
  const { execute } = machine({ ...GOOD, "/set/python": [NO_PACKAGE, NO_PACKAGE] });
  const found = await discover({ ...ALL, path: undefined }, execute);
  assert.equal(found.kind, "missing");
  assert.match(found.reason, /not installed in telepathy-lint\.interpreter \(\/set\/python\)/);
  assert.deepEqual(found.install, ["/set/python", "-m", "pip", "install", "telepathy-lint[server]"]);
});

test("an interpreter with the package but without the extra says so", async () => {
  const { execute } = machine({ "/selected/python": [VERSION, NO_PACKAGE] });
  const found = await discover({ environment: "/selected/python", searchPath: [] }, execute);
  assert.equal(found.kind, "missing");
  assert.match(found.reason, /telepathy-lint 1\.2\.3 without its language server/);
  assert.ok(found.install);
});

test("a selected environment without telepathy-lint leaves PATH to be used", async () => {
  const { execute } = machine({ ...GOOD, "/selected/python": [NO_PACKAGE, NO_PACKAGE] });
  const found = await discover({ environment: "/selected/python", searchPath: [ON_PATH], platform: "linux" }, execute);
  assert.ok(found.kind === "server" && found.origin === "PATH");
});

test("where PATH does not help either, the message is about the selected environment", async () => {
  const { execute } = machine({ [PROGRAM]: [VERSION, NO_EXTRA], "/selected/python": [NO_PACKAGE, NO_PACKAGE] });
  const found = await discover({ environment: "/selected/python", searchPath: [ON_PATH], platform: "linux" }, execute);
  assert.ok(found.kind === "missing" && found.reason.includes("/selected/python") && found.install);
});

test("a program without the extra passes on what it says", async () => {
  const { execute } = machine({ [PROGRAM]: [VERSION, NO_EXTRA] });
  const found = await discover({ searchPath: [ON_PATH], platform: "linux" }, execute);
  assert.ok(found.kind === "missing");
  assert.match(found.reason, /the language server needs pygls/);
});

test("another program of that name is not run as a server", async () => {
  const { execute, asked } = machine({ [PROGRAM]: [{ code: 0, stdout: "something 1.0", stderr: "" }, STARTED] });
  const found = await discover({ searchPath: [ON_PATH], platform: "linux" }, execute);
  assert.equal(found.kind, "missing");
  assert.deepEqual(asked, [PROGRAM]);
});

test("nothing anywhere is one sentence", async () => {
  const found = await discover({ searchPath: [] }, machine({}).execute);
  assert.ok(found.kind === "missing");
  assert.match(found.reason, /was not found/);
});

test("PATH is searched in order, with the platform's file names", () => {
  const files = ["C:\\b\\telepathy-lint.exe", "C:\\c\\telepathy-lint.exe"];
  const exists = (file: string) => files.includes(file);
  assert.equal(which("telepathy-lint", ["C:\\a", "C:\\b", "C:\\c"], "win32", exists), files[0]);
  assert.equal(which("telepathy-lint", ["", "/none"], "linux", exists), undefined);
});

test("the install command can be pasted into a terminal", () => {
  const words = ["/my env/python", "-m", "pip", "install", "telepathy-lint[server]"];
  assert.equal(shellLine(words, "linux"), "'/my env/python' -m pip install 'telepathy-lint[server]'");
  assert.equal(
    shellLine(["C:\\my env\\python.exe", "-m", "pip", "install", "telepathy-lint[server]"], "win32"),
    '& "C:\\my env\\python.exe" -m pip install "telepathy-lint[server]"',
  );
});

test("a program is run to its end, and one that cannot be started is no crash", async () => {
  const folder = mkdtempSync(path.join(tmpdir(), "programs-"));
  mkdirSync(path.join(folder, "work"));
  const script = path.join(folder, "says");
  writeFileSync(script, '#!/bin/sh\necho "$1 in $(basename "$PWD")"; echo problem >&2; exit 3\n');
  chmodSync(script, 0o755);
  const execute = executeIn(path.join(folder, "work"));
  assert.deepEqual(await execute(script, ["word"]), { code: 3, stdout: "word in work\n", stderr: "problem\n" });
  const failed = await execute(path.join(folder, "absent"), []);
  assert.equal(failed.code, null);
  assert.match(failed.stderr, /ENOENT/);
});
