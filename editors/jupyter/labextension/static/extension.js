// Fixes in JupyterLab. jupyterlab-lsp shows the findings of a language server but does not offer its code actions;
// this asks the same server for them and makes the edits in the cells. It is what JupyterLab loads: nothing is built.
(() => {
  "use strict";

  const NAME = "telepathy-lint";
  const FIX_ALL = "source.fixAll.telepathy-lint";
  const QUICK_FIX = "quickfix";
  let shared;

  /** A package that JupyterLab shares with its extensions. */
  async function load(name) {
    const versions = Object.values(shared[name] ?? {});
    const entry = versions.find((one) => one.loaded) ?? versions[0];
    if (!entry) throw new Error(`${NAME}: this JupyterLab has no ${name}`);
    return (await entry.get())();
  }

  /** The positions of a text in which the server counts: lines, and UTF-16 units in a line, both from 0. */
  const before = (one, other) => one.line < other.line || (one.line === other.line && one.character < other.character);

  /**
   * An edit of the whole document as an edit of one cell.
   *
   * The server sees the cells as one text with blank lines between them. The last line of a cell has no line break of
   * its own, so an edit of whole lines at the end of a cell ends, or stands, on the first blank line behind it.
   */
  function inCell(document, edit) {
    const at = ({ line, character }) => {
      const position = { line, ch: character, isVirtual: true };
      const found = document.transformVirtualToEditor(position);
      return found && { cell: document.getEditorAtVirtualLine(position), line: found.line, column: found.ch };
    };
    const endOf = (line) => {
      const characters = document.value.split("\n")[line].length;
      return at({ line, character: characters });
    };
    let { start, end } = edit.range;
    let text = edit.newText;
    let first = at(start);
    let last = at(end);
    if (!first && start.character === 0 && start.line > 0) {
      first = last = endOf(start.line - 1);
      text = "\n" + text.replace(/\n$/, "");
      if (before(start, end)) return null;
    } else if (first && before(start, end) && end.character === 0 && last?.cell !== first.cell) {
      last = endOf(end.line - 1);
      text = text.replace(/\n$/, "");
    }
    if (!first || !last || first.cell !== last.cell) return null;
    return { cell: first.cell, first, last, text };
  }

  /** Make edits of the document in its cells; a cell is left alone where its text is not what the server saw. */
  async function apply(document, edits) {
    const cells = new Map();
    const lines = document.value.split("\n");
    for (const edit of edits) {
      const one = inCell(document, edit);
      if (!one) throw new Error("a fix reaches over the end of a cell; nothing was changed");
      const editor = one.cell.getEditor() ?? (await one.cell.reveal());
      const shift = edit.range.start.line - one.first.line;
      for (let line = one.first.line; line <= one.last.line; line += 1) {
        // Magics are sent as calls, and what was typed a moment ago is not sent yet.
        const seen = lines[one.first === one.last ? edit.range.start.line - 1 : line + shift];
        if (editor.getLine(line) !== seen) throw new Error("the text changed or is a magic; nothing was changed");
      }
      const made = {
        start: editor.getOffsetAt({ line: one.first.line, column: one.first.column }),
        end: editor.getOffsetAt({ line: one.last.line, column: one.last.column }),
        text: one.text,
      };
      cells.set(editor, [...(cells.get(editor) ?? []), made]);
    }
    for (const [editor, made] of cells) {
      // Each edit is about the text as it was: the last one first.
      made.sort((one, other) => other.start - one.start || other.end - one.end);
      editor.model.sharedModel.transact(() => {
        for (const { start, end, text } of made) editor.model.sharedModel.updateSource(start, end, text);
      });
    }
  }

  function plugin({ ILSPDocumentConnectionManager }, { ICommandPalette, InputDialog, Notification }) {
    return {
      id: `${NAME}:fixes`,
      autoStart: true,
      requires: [ILSPDocumentConnectionManager],
      optional: [ICommandPalette],
      activate: (app, manager, palette) => {
        const present = () => {
          const widget = app.shell.currentWidget;
          const adapter = [...manager.adapters.values()].find((one) => one.widget === widget);
          const document = adapter?.virtualDocument;
          const connection = document && manager.connections.get(document.uri);
          return connection?.serverIdentifier === NAME ? { adapter, document, connection } : undefined;
        };
        const actionsOf = async ({ document, connection }, range, kind) => {
          const found = await connection.clientRequests["textDocument/codeAction"].request({
            textDocument: { uri: document.documentInfo.uri },
            range,
            context: { diagnostics: [], only: [kind] },
          });
          return (found ?? []).filter((action) => action.edit);
        };
        const make = async ({ document }, action) => {
          const changes = Object.values(action.edit.changes ?? {}).flat();
          const versioned = (action.edit.documentChanges ?? []).flatMap((change) => change.edits ?? []);
          await apply(document, [...changes, ...versioned]);
        };
        const add = (id, label, execute) => {
          app.commands.addCommand(`${NAME}:${id}`, {
            label,
            isEnabled: () => Boolean(present()),
            isVisible: () => Boolean(present()),
            execute: async () => {
              const here = present();
              if (!here) return;
              try {
                await here.adapter.updateFinished;
                await execute(here);
              } catch (error) {
                Notification.error(`telepathy-lint: ${error.message ?? error}`);
              }
            },
          });
          palette?.addItem({ command: `${NAME}:${id}`, category: NAME });
          for (const selector of [".jp-Notebook .jp-CodeCell", ".jp-FileEditor"]) {
            app.contextMenu.addItem({ command: `${NAME}:${id}`, selector, rank: 50 });
          }
        };

        add("fix-all", "telepathy-lint: Apply All Fixes", async (here) => {
          const start = { line: 0, character: 0 };
          const end = { line: here.document.value.split("\n").length, character: 0 };
          const [action] = await actionsOf(here, { start, end }, FIX_ALL);
          if (!action) Notification.info("telepathy-lint: there is nothing to fix", { autoClose: 3000 });
          else await make(here, action);
        });
        add("quick-fix", "telepathy-lint: Quick Fix...", async (here) => {
          const editor = here.adapter.activeEditor?.getEditor();
          if (!editor) return;
          const { line, column } = editor.getCursorPosition();
          const root = here.adapter.activeEditor;
          const source = here.document.transformFromEditorToRoot(root, { line, ch: column, isEditor: true });
          const { line: sent, ch } = here.document.virtualPositionAtDocument(source);
          const place = { line: sent, character: ch };
          const actions = await actionsOf(here, { start: place, end: place }, QUICK_FIX);
          if (!actions.length) {
            Notification.info("telepathy-lint: no fix at the cursor", { autoClose: 3000 });
            return;
          }
          const items = actions.map((action) => action.title);
          const { value } = await InputDialog.getItem({ title: "telepathy-lint: Quick Fix", items });
          const chosen = actions[items.indexOf(value)];
          if (chosen) await make(here, chosen);
        });
      },
    };
  }

  (window._JUPYTERLAB ??= {})[NAME] = {
    init: (scope) => {
      shared = scope;
    },
    get: async () => {
      const parts = await Promise.all([load("@jupyterlab/lsp"), load("@jupyterlab/apputils")]);
      return () => ({ __esModule: true, default: plugin(...parts) });
    },
  };
})();
