"""A finding whose fix is held back names its evidence in every front end, and an owner can overrule a kind of it."""

from __future__ import annotations

import ast
import io
import json
import shlex
from contextlib import redirect_stdout
from pathlib import Path

import pytest
from libcst import parse_module
from libcst.codemod import CodemodContext

import telepathy_lint
from telepathy_lint.codemod import InlineLoadSettings, UseRuntimeLoader
from telepathy_lint.commands import cli
from telepathy_lint.front_ends.flake8_plugin import Plugin
from telepathy_lint.output import FORMATS
from telepathy_lint.settings import Settings
from tests.lint.front_ends.test_front_ends import hooks

CODE = """\
import torch
from transformers import AutoModelForCausalLM

model = AutoModelForCausalLM.from_pretrained("gpt2", torch_dtype=torch.float16, device_map="cuda:0")
model.lm_head.register_forward_hook(print)
torch.save(model, "model.pt")
"""
#: Code -> what is said of the line that holds its fix back.
REASONS = {
    "TLP101": "line 5 adds a hook to the model, which may introduce tensors of another dtype or device",
    "TLP103": "line 6 saves, merges or reads weights or settings",
    "TLP105": "line 6 pickles the model with the settings of the loader, which only the loader can read",
}
NAME = "script.py"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / NAME).write_text(CODE)
    (tmp_path / "telepathy-lint.toml").write_text('strict = true\nselect = ["TLP101", "TLP103", "TLP105"]\n')
    monkeypatch.chdir(tmp_path)
    return tmp_path


def command(*arguments: str) -> str:
    out = io.StringIO()
    with redirect_stdout(out):
        assert cli.run([*arguments]) == 1
    return out.getvalue()


def all_said(text: str) -> None:
    folded = " ".join(text.split())
    assert [code for code, reason in REASONS.items() if reason not in folded] == [], text


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize(
    "options", [(), ("--fix",), ("--unsafe-fixes",), ("--fix", "--unsafe-fixes")], ids=str
)
def test_every_format_says_why(name: str, options: tuple[str, ...], folder: Path) -> None:
    all_said(command("check", "--no-cache", "--output-format", name, *options, "."))


def test_the_cache_keeps_why(folder: Path) -> None:
    for _ in range(2):
        all_said(command("check", "--output-format", "concise", "."))


def test_a_notebook_names_its_cell(folder: Path) -> None:
    cells = [
        {"cell_type": "code", "metadata": {}, "outputs": [], "execution_count": None, "source": source}
        for source in (CODE.rpartition("model.lm_head")[0], "model.lm_head.register_forward_hook(print)\n")
    ]
    notebook = {"cells": cells, "metadata": {}, "nbformat": 4, "nbformat_minor": 5}
    (folder / "book.ipynb").write_text(json.dumps(notebook))
    assert "line 1 of the 2nd code cell adds a hook" in command("check", "--no-cache", "book.ipynb")


@pytest.mark.parametrize("name", ["telepathy-lint", "telepathy-lint-fix"])
def test_the_hooks_say_why(name: str, folder: Path) -> None:
    _, *arguments = shlex.split(hooks()[name]["entry"])
    all_said(command(*arguments, "--no-cache", NAME))


def test_flake8_says_why(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Plugin, "options", {"strict": True})
    plugin = Plugin(ast.parse(CODE), CODE.splitlines(keepends=True), str(folder / NAME))
    texts = [text for _, _, text, _ in plugin.run()]
    for code, reason in REASONS.items():
        (text,) = [each for each in texts if each.startswith(code)]
        assert text.endswith(f"(not fixed: {reason})")


@pytest.mark.parametrize("codemod", [UseRuntimeLoader, InlineLoadSettings])
def test_the_codemods_say_why(codemod: type, folder: Path) -> None:
    context = CodemodContext(filename=str(folder / NAME))
    codemod(context, unsafe_fixes=True).transform_module(parse_module(CODE))
    all_said("\n".join(context.warnings))


def test_the_language_server_says_why(folder: Path) -> None:
    pytest.importorskip("pygls")
    from lsprotocol import types

    from telepathy_lint.front_ends.lsp.documents import Documents
    from telepathy_lint.front_ends.lsp.findings import Linter, diagnostic
    from telepathy_lint.front_ends.lsp.settings import EditorSettings

    documents, uri = Documents(folder.as_uri()), (folder / NAME).as_uri()
    documents.put_text_document(types.TextDocumentItem(uri, "python", 1, CODE))
    buffer = documents.buffer(uri)
    assert buffer is not None
    found, _ = Linter(EditorSettings()).lint(buffer)
    shown = [diagnostic(buffer, each, types.ClientCapabilities()) for each in found]
    all_said("\n".join(each.message for each in shown))


def test_the_audit_says_why(folder: Path) -> None:
    out = io.StringIO()
    with redirect_stdout(out):
        assert cli.run(["audit", "--format", "json", "--jobs", "1", "."]) in (0, 1)
    audited = json.loads(out.getvalue())
    assert {one["code"]: one["reason"] for one in audited["findings"]} == REASONS
    assert all(one["fix"] is None for one in audited["findings"])


def test_the_python_interface_says_why() -> None:
    found = telepathy_lint.lint(CODE, settings=Settings(strict=True))
    reasons = {
        one.code: one.fix.reason for one in found if one.fix is not None and one.fix.safety == "display"
    }
    assert reasons == REASONS


@pytest.mark.parametrize(
    ("despite", "code"), [(["hooks"], "TLP101"), (["pickling"], "TLP105"), (["saving", "hooks"], "TLP103")]
)
def test_an_owner_overrules_a_kind_in_the_configuration(despite: list[str], code: str, folder: Path) -> None:
    with (folder / "telepathy-lint.toml").open("a") as stream:
        stream.write(f"unsafe-fixes-despite = {json.dumps(despite)}\n")
    found = json.loads(command("check", "--no-cache", "--output-format", "json", "."))
    safeties = {one["code"]: one["fix"]["safety"] for one in found}
    assert safeties[code] == "unsafe"
    assert "display" in safeties.values()
