"""The same findings and fixes in the command line, flake8, LibCST codemod, pre-commit hook and notebooks."""

from __future__ import annotations

import io
import json
import re
import shlex
import shutil
import subprocess
import sys
from contextlib import redirect_stdout
from pathlib import Path
from typing import ClassVar

import pytest
from libcst import parse_module
from libcst.codemod import CodemodContext

from telepathy_lint.codemod import InlineLoadSettings, UseRuntimeLoader
from telepathy_lint.commands import cli
from telepathy_lint.commands.parser import parser
from telepathy_lint.front_ends.flake8_plugin import Plugin
from telepathy_lint.rules import all_rules

ROOT = Path(__file__).parents[3]
Finding = tuple[str, int, int, str, str]

CORPUS = {
    "train.py": """\
        import os
        os.environ["CUDA_VISIBLE_DEVICES"] = "0"
        import torch
        from transformers import AutoModelForCausalLM, AutoTokenizer

        KWARGS = {"torch_dtype": torch.float16, "device_map": {"": 0}}


        def load(name, device_map="auto"):
            tokenizer = AutoTokenizer.from_pretrained(name)
            return tokenizer, AutoModelForCausalLM.from_pretrained(name, device_map=device_map)


        model = AutoModelForCausalLM.from_pretrained(
            "acme",  # the id
            device_map="auto",
            # a comment
            trust_remote_code=True)
        other = AutoModelForCausalLM.from_pretrained("acme", **KWARGS).eval()
        """,
    "wide.py": """\
        from transformers import AutoModelForCausalLM as A; x = "日本é"; m = A.from_pretrained(x, device_map="auto")
        \tif_tab = 1
        """.replace("\tif_tab", "if_tab"),
    "silenced.py": """\
        from transformers import AutoModelForCausalLM
        a = AutoModelForCausalLM.from_pretrained("acme", device_map="auto")  # noqa
        b = AutoModelForCausalLM.from_pretrained("acme", device_map="auto")  # noqa: TLP101, TLP102
        c = AutoModelForCausalLM.from_pretrained("acme", device_map="auto")  # noqa: E501
        """,
    "whole.py": """\
        # flake8: noqa
        from transformers import AutoModelForCausalLM
        a = AutoModelForCausalLM.from_pretrained("acme", device_map="auto")
        """,
    "clean.py": "print('from_pretrained')\n",
    "off.py": """\
        from transformers import AutoModel
        a = AutoModel.from_pretrained("acme")
        """,
}


def dedent(text: str) -> str:
    return re.sub(r"^ {8}", "", text, flags=re.MULTILINE)


@pytest.fixture
def corpus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "corpus"
    folder.mkdir()
    for name, text in CORPUS.items():
        (folder / name).write_text(dedent(text), encoding="utf-8")
    (folder / "crlf.py").write_bytes(dedent(CORPUS["train.py"]).replace("\n", "\r\n").encode())
    (folder / "requirements.txt").write_text("transformers==4.45.2\n")
    monkeypatch.chdir(folder)
    return folder


def run(*command: str, check: bool = False) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", *command], capture_output=True, text=True, check=check)


def by_command_line(*arguments: str) -> list[Finding]:
    out = io.StringIO()
    with redirect_stdout(out):
        assert cli.run(["check", "--output-format", "json", *arguments]) in (0, 1)
    return sorted(
        (one["path"], one["line"], one["column"], one["code"], one["message"])
        for one in json.loads(out.getvalue())
    )


def by_flake8(*arguments: str) -> list[Finding]:
    """Without --select, which would enable rules that are off by default."""
    ran = run(
        "flake8", "--isolated", "--format", "%(path)s\t%(row)d\t%(col)d\t%(code)s\t%(text)s", *arguments
    )
    assert ran.stderr == ""
    rows = [line.split("\t") for line in ran.stdout.splitlines()]
    return sorted(
        (path.removeprefix("./"), int(row), int(column), code, text)
        for path, row, column, code, text in rows
        if code.startswith("TLP")
    )


def files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.glob("*.py"))}


@pytest.mark.parametrize("strict", [False, True])
def test_flake8_finds_what_the_command_line_finds(corpus: Path, strict: bool) -> None:
    (corpus / "telepathy-lint.toml").write_text(f"strict = {str(strict).lower()}\n")
    ours = by_command_line()
    assert len(ours) > (15 if strict else 8)
    assert {path for path, *_ in ours} == {"train.py", "crlf.py", "wide.py", "silenced.py", "off.py"}
    assert by_flake8(".") == ours
    assert by_flake8("-j", "3", ".") == ours
    assert by_flake8("--extend-select", "TLP9", "--ignore", "E,W", ".") == by_command_line(
        "--extend-select", "TLP9"
    )


def test_flake8_takes_its_own_options(corpus: Path) -> None:
    (corpus / "setup.cfg").write_text("[flake8]\ntelepathy-target-transformers = 5.1\n")
    ran = run("flake8", "off.py")
    ours = by_command_line("--target-transformers", "5.1", "off.py")
    theirs = re.findall(r"(?m)^(.*?):(\d+):(\d+): (TLP\d+) (.*)$", ran.stdout)
    assert [(path, int(row), int(column), code, text) for path, row, column, code, text in theirs] == ours
    assert ours != by_command_line("off.py")
    wrong = run("flake8", "--telepathy-target-transformers", "new", "off.py")
    assert wrong.returncode != 0
    assert "'target-transformers' must be a version" in wrong.stderr


def test_flake8_leaves_off_by_default_rules_off() -> None:
    """Options have the same prefix as on the command line, so reading them imports no rule."""

    class Manager:
        ignored: ClassVar[list[str]] = []

        def add_option(self, *names: str, **how: object) -> None:
            assert names[0].startswith("--telepathy-") and how["parse_from_config"]

        def extend_default_ignore(self, codes: list[str]) -> None:
            self.ignored.extend(codes)

    Plugin.add_options(Manager())
    off = [rule.meta.code for rule in all_rules() if not rule.meta.default]
    on = [rule.meta.code for rule in all_rules() if rule.meta.default]
    assert all(code.startswith(tuple(Manager.ignored)) for code in off)
    assert not any(code.startswith(tuple(Manager.ignored)) for code in on)


def test_flake8_runs_the_rules_that_are_asked_for(tmp_path: Path) -> None:
    """Rules that flake8 would not report do not run, but any way to enable one must have an effect."""
    script = tmp_path / "load.py"
    script.write_text(
        "from transformers import AutoModel\n\nm = AutoModel.from_pretrained('x', device_map='auto')\n"
    )

    def codes(*options: str) -> set[str]:
        command = [sys.executable, "-m", "flake8", "--isolated", *options, str(tmp_path)]
        done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
        return {line.split()[1] for line in done.stdout.splitlines()}

    assert codes() == {"TLP101", "TLP102", "TLP104"}
    assert codes("--select", "TLP901") == codes("--select", "TLP9") == {"TLP901"}
    assert codes("--extend-select", "TLP901") == {"TLP101", "TLP102", "TLP104", "TLP901"}
    assert codes("--extend-ignore", "TLP10") == set()
    assert codes("--ignore", "TLP101,TLP9") == {"TLP102", "TLP104"}


def test_flake8_reports_a_file_that_cannot_be_linted(corpus: Path) -> None:
    (corpus / "telepathy-lint.toml").write_text("selct = []\n")
    assert [(row, code) for _, row, _, code, _ in by_flake8("off.py")] == [(1, "TLP000")]


def test_a_file_that_only_calls_a_configured_function_is_found_by_every_front_end(corpus: Path) -> None:
    (corpus / "telepathy-lint.toml").write_text(
        'wrappers = ["house.models.fetch"]\nloader = {module = "house.loading", load-model = "open_model"}\n'
    )
    (corpus / "caller.py").write_text(
        'from house.models import fetch\n\nmodel = fetch("acme", device_map="auto")\n'
    )
    ours = by_command_line("caller.py")
    assert "TLP101" in [code for _, _, _, code, _ in ours]
    assert by_flake8("caller.py") == ours
    on_stdin = subprocess.run(
        [sys.executable, "-m", "telepathy_lint", "check", "--stdin-filename", "caller.py", "-"],
        input=(corpus / "caller.py").read_text(),
        capture_output=True,
        text=True,
    )
    assert "TLP101" in on_stdin.stdout
    code, warnings = codemodded(UseRuntimeLoader, corpus / "caller.py")
    assert [warning for warning in warnings if "TLP101" in warning]
    assert code == (corpus / "caller.py").read_bytes()


def codemodded(
    kind: type[UseRuntimeLoader] | type[InlineLoadSettings], path: Path
) -> tuple[bytes, list[str]]:
    context = CodemodContext(filename=str(path))
    code = kind(context, unsafe_fixes=True).transform_module(parse_module(path.read_bytes()))
    return code.bytes, context.warnings


@pytest.mark.parametrize(("kind", "style"), [(UseRuntimeLoader, "loader"), (InlineLoadSettings, "inline")])
def test_the_codemod_writes_what_the_command_line_writes(
    corpus: Path, kind: type[UseRuntimeLoader] | type[InlineLoadSettings], style: str
) -> None:
    before = files(corpus)
    results = {name: codemodded(kind, corpus / name) for name in before}
    assert files(corpus) == before
    left = by_command_line("--fix", "--unsafe-fixes", "--fix-style", style)
    after = files(corpus)
    assert {name: code for name, (code, _) in results.items()} == after
    assert after["train.py"] != before["train.py"]
    assert after["crlf.py"] == after["train.py"].replace(b"\n", b"\r\n")
    warned = sorted(
        (Path(path).name, int(row), int(column), code, text)
        for _, warnings in results.values()
        for warning in warnings
        for path, row, column, code, text in re.findall(r"^(.*?):(\d+):(\d+): (\w+) (.*)$", warning)
    )
    assert warned == left


def test_the_codemod_runs_under_libcst_with_its_options(corpus: Path) -> None:
    shutil.copytree(corpus, corpus.parent / "expected")
    (corpus / ".libcst.codemod.yaml").write_text(
        'formatter: ["cat"]\nmodules: ["telepathy_lint"]\nrepo_root: "."\n'
    )
    listed = run("libcst.tool", "list", check=True).stdout
    assert re.findall(r"^codemod\.(\w+) - ", listed, re.MULTILINE) == [
        "InlineLoadSettings",
        "UseRuntimeLoader",
    ]
    options = ("--unsafe-fixes", "--select", "TLP101,TLP102", "--no-format", "--jobs", "2")
    run("libcst.tool", "codemod", "-x", "telepathy_lint.codemod.UseRuntimeLoader", *options, ".", check=True)
    changed = files(corpus)
    run(
        "telepathy_lint",
        "check",
        "--fix-only",
        "--unsafe-fixes",
        "--select",
        "TLP101,TLP102",
        "../expected",
        check=True,
    )
    assert changed == files(corpus.parent / "expected")
    assert changed["train.py"] != dedent(CORPUS["train.py"]).encode()


def test_a_codemod_warns_about_what_it_cannot_do(corpus: Path) -> None:
    code, warnings = codemodded(UseRuntimeLoader, corpus / "off.py")
    assert b"load_model" in code
    context = CodemodContext(filename=str(corpus / "off.py"))
    plain = UseRuntimeLoader(context, select=["TLP102"]).transform_module(
        parse_module((corpus / "off.py").read_bytes())
    )
    assert plain.bytes == (corpus / "off.py").read_bytes()
    assert [warning.split(" ")[1] for warning in context.warnings] == ["TLP102"]
    assert all("TLP102" not in warning for warning in warnings)


def hooks() -> dict[str, dict[str, str]]:
    """The hooks by id; the file is simple enough to be read without a YAML library."""
    text = (ROOT / ".pre-commit-hooks.yaml").read_text()
    parts = re.split(r"^- ", text, flags=re.MULTILINE)[1:]
    read = [dict(re.findall(r"^ *(\w+): (.*)$", part, re.MULTILINE)) for part in parts]
    return {hook["id"]: hook for hook in read}


def test_the_hooks_are_commands_that_the_command_line_takes(corpus: Path) -> None:
    assert set(hooks()) == {"telepathy-lint", "telepathy-lint-fix"}
    for hook in hooks().values():
        program, *arguments = shlex.split(hook["entry"])
        assert program == "telepathy-lint"
        assert parser(arguments[0]).parse_args([*arguments, "a.py"]).paths == ["a.py"]
        assert hook["types_or"] == "[python, jupyter]"


def test_the_hooks_find_and_fix_the_same(corpus: Path) -> None:
    names = sorted(files(corpus))
    shutil.copytree(corpus, corpus.parent / "expected")
    check = shlex.split(hooks()["telepathy-lint"]["entry"])[2:]
    assert by_command_line(*check, *names) == by_command_line()
    fix = shlex.split(hooks()["telepathy-lint-fix"]["entry"])[2:]
    assert run("telepathy_lint", "check", *fix, "--unsafe-fixes", *names).returncode == 1
    run("telepathy_lint", "check", "--fix", "--unsafe-fixes", "../expected")
    assert files(corpus) == files(corpus.parent / "expected")
    assert run("telepathy_lint", "check", *fix, "--unsafe-fixes", *names).returncode == (
        1 if by_command_line() else 0
    )


def test_a_notebook_gives_what_its_code_gives_as_a_file(corpus: Path) -> None:
    """The same statements in cells have the same findings, and the same text after fixing."""
    text = dedent(CORPUS["train.py"])
    parts = re.split(r"(?<=\n)(?=import torch|KWARGS|model =|other =)", text)
    assert len(parts) == 5
    cells: list[dict[str, object]] = [
        {
            "cell_type": "code",
            "metadata": {},
            "outputs": [],
            "execution_count": None,
            "source": part.splitlines(True),
        }
        for part in parts
    ]
    document = {"cells": cells, "metadata": {}, "nbformat": 4, "nbformat_minor": 5}
    Path("nb.ipynb").write_text(json.dumps(document, indent=1), encoding="utf-8")
    out = io.StringIO()
    with redirect_stdout(out):
        cli.run(["check", "--strict", "--output-format", "json", "nb.ipynb"])  # a notebook is one process
    above = [sum(part.count("\n") for part in parts[:number]) for number in range(len(parts))]
    found = sorted(
        (
            "train.py",
            one["line"] + above[one["cell"]],
            one["column"],
            one["code"],
            re.sub(
                r"line (\d+) of the (\d+)(?:st|nd|rd|th) code cell",
                lambda place: f"line {int(place[1]) + above[int(place[2]) - 1]}",
                one["message"],
            ),
        )
        for one in json.loads(out.getvalue())
    )
    assert found == by_command_line("--strict", "train.py")
    run("telepathy_lint", "check", "--strict", "--fix", "--unsafe-fixes", "nb.ipynb", "train.py")
    after = json.loads(Path("nb.ipynb").read_text(encoding="utf-8"))
    assert "".join("".join(cell["source"]) for cell in after["cells"]) == Path("train.py").read_text(
        encoding="utf-8"
    )


def test_nbqa_sees_notebooks_through_the_command_line_too(corpus: Path) -> None:
    if shutil.which("nbqa", path=str(Path(sys.executable).parent)) is None:
        pytest.skip("nbQA is not installed")
    cell: dict[str, object] = {
        "cell_type": "code",
        "metadata": {},
        "outputs": [],
        "execution_count": None,
        "source": dedent(CORPUS["off.py"]),
    }
    document = {"cells": [cell], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}
    Path("nb.ipynb").write_text(json.dumps(document), encoding="utf-8")
    ran = run("nbqa", "telepathy_lint check --output-format concise -q", "nb.ipynb")
    assert re.findall(r"TLP\d+", ran.stdout) == [code for *_, code, _ in by_command_line("off.py")]
