import assert from "node:assert/strict";
import { homedir } from "node:os";
import { test } from "node:test";
import manifest from "../package.json";
import { expand, expandProgram, forServer, RESTARTING_SETTINGS, SECTION, SERVER_SETTINGS } from "../src/settings";

const contributed: Record<string, unknown> = manifest.contributes.configuration.properties;

test("the manifest contributes the server's settings and the extension's own, and no others", () => {
  const own = ["path", "interpreter", "trace.server"];
  const expected = [...SERVER_SETTINGS, ...own].map((name) => `${SECTION}.${name}`);
  assert.deepEqual(Object.keys(contributed).sort(), expected.sort());
  for (const name of RESTARTING_SETTINGS) assert.ok(`${SECTION}.${name}` in contributed);
});

test("every command of the manifest is in the palette under the extension's name", () => {
  for (const { command, category } of manifest.contributes.commands) {
    assert.ok(command.startsWith(`${SECTION}.`));
    assert.equal(category, "telepathy-lint");
  }
});

test("paths are completed", () => {
  assert.equal(expand("${workspaceFolder}/lint.toml", "/project"), "/project/lint.toml");
  assert.equal(expand("lint.toml", "/project"), "/project/lint.toml");
  assert.equal(expand("lint.toml", undefined), "lint.toml");
  assert.equal(expand("~/lint.toml", "/project"), `${homedir()}/lint.toml`);
  assert.equal(expand("/etc/lint.toml", "/project"), "/etc/lint.toml");
  assert.equal(expand("  ", "/project"), undefined);
  assert.equal(expand(null, "/project"), undefined);
});

test("a bare program name is left to PATH", () => {
  assert.equal(expandProgram("telepathy-lint", "/project"), "telepathy-lint");
  assert.equal(expandProgram("bin/telepathy-lint", "/project"), "/project/bin/telepathy-lint");
  assert.equal(expandProgram(null, "/project"), undefined);
});

test("the server gets what is set, with complete paths, and nothing of the extension's own", () => {
  const set: Record<string, unknown> = {
    enable: true,
    unsafeFixes: false,
    configuration: "lint.toml",
    select: ["TLP1"],
    ignore: null,
    path: "/bin/telepathy-lint",
  };
  assert.deepEqual(forServer((name) => set[name], "/project"), {
    enable: true,
    unsafeFixes: false,
    configuration: "/project/lint.toml",
    select: ["TLP1"],
  });
});
