"""The documentation is true: generated pages are current, links work, and the guides show the real output.

A guide's blocks are run in order, in an empty folder. A block after "`name`:" is a file; `console` blocks are commands
with their output; on the Python page each `python` block prints the `text` block after it. `pytest --bless` updates
the outputs.
"""

from __future__ import annotations

import importlib.util
import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import telepathy_lint
from telepathy_lint import output
from telepathy_lint.commands import cli
from telepathy_lint.commands.parser import SUBCOMMANDS
from telepathy_lint.discovery import config
from telepathy_lint.rule import Rule
from telepathy_lint.rules import all_rules

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = sorted([*ROOT.glob("*.md"), *DOCS.glob("**/*.md"), *ROOT.glob("benchmarks/**/*.md")])
SHOWN = ("adopt", "house-loader", "output-formats", "plan-memory", "suppression", "surveys")
#: Packages that the commands of a page need.
NEEDED = {"surveys": ("pyarrow", "jinja2")}
PROGRAMS = {"telepathy-lint": "telepathy_lint", "telepathy-runtime": "telepathy_runtime.commands.cli"}
HAS_LIBRARY = all(importlib.util.find_spec(name) for name in ("torch", "transformers", "accelerate"))


# ---- generated pages


def generator() -> Any:
    spec = importlib.util.spec_from_file_location("generate", DOCS / "generate.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_generated_pages_are_current() -> None:
    pages = {name: page() for name, page in generator().PAGES.items()}
    for name, text in pages.items():
        path = DOCS / name
        assert path.exists() and path.read_text(encoding="utf-8") == text, "run: python docs/generate.py"
    written = {str(path.relative_to(DOCS)) for path in (DOCS / "rules").glob("*.md")}
    assert written <= set(pages), "run: python docs/generate.py"


@pytest.mark.parametrize("rule", all_rules(), ids=lambda rule: rule.meta.code)
def test_every_rule_has_the_page_that_its_findings_name(rule: Rule, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(output, "DOCUMENTATION", "https://example.org/")
    url = output.rule_url(rule.meta.code, rule.meta.name)
    assert url is not None
    page = (DOCS / url.removeprefix("https://example.org/").rstrip("/")).with_suffix(".md")
    assert f"# {rule.meta.code} {rule.meta.name}\n" in page.read_text(encoding="utf-8")
    assert "bad.py:" in page.read_text(encoding="utf-8")


def test_every_page_is_in_the_sites_navigation() -> None:
    text = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    pages = {str(path.relative_to(DOCS)) for path in DOCS.glob("*.md")}
    assert {page for page in pages if f": {page}\n" not in text} == set()
    assert "- Rules: rules/\n" in text


def test_facts_that_stand_twice_agree() -> None:
    site_url = re.search(
        r'^site_url: "(.*)"$', (ROOT / "mkdocs.yml").read_text(encoding="utf-8"), re.MULTILINE
    )
    assert site_url is not None and site_url[1] == output.DOCUMENTATION
    citation = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    assert f"\nversion: {telepathy_lint.__version__}\n" in citation


# ---- links


def anchors(page: Path) -> set[str]:
    headings = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8")):
        if target.startswith(("http:", "https:", "mailto:")):
            continue
        path, _, anchor = target.partition("#")
        other = (page.parent / path) if path else page
        assert other.exists(), f"{page.name} links to {target}"
        if anchor:
            assert anchor in anchors(other), f"{page.name} links to {target}"


# ---- commands and configuration


@dataclass(frozen=True)
class Block:
    """A fenced block of a page, and the text between it and the previous block."""

    language: str
    text: str
    above: str
    start: int
    end: int

    @property
    def file(self) -> str | None:
        """The name of the file in the block, if the text above ends with it."""
        named = re.search(r"`([\w./-]+\.\w+)`:\s*$", self.above)
        return named[1] if named else None


def blocks(page: Path) -> Iterator[Block]:
    text, position = page.read_text(encoding="utf-8"), 0
    for match in re.finditer(r"^```(\w*)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL):
        yield Block(match[1], match[2], text[position : match.start()], match.start(2), match.end(2))
        position = match.end()


def commands(page: Path) -> Iterator[str]:
    """The commands in a page's shell blocks."""
    for block in blocks(page):
        if block.language in ("sh", "console"):
            lines = [line.removeprefix("$ ").split("  #")[0].strip() for line in block.text.splitlines()]
            yield from (part.strip() for line in lines for part in line.split("&&"))


def inline_commands(page: Path) -> Iterator[str]:
    """The commands of this project in a page's sentences."""
    prose = re.sub(r"^```.*?^```$", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    yield from re.findall(r"`(telepathy-(?:lint|runtime) [a-z][^`|]*)`", prose.replace("\n", " "))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_commands_have_the_options_that_are_given(page: Path) -> None:
    for command in (*commands(page), *inline_commands(page)):
        words = re.split(r"[\s=\[\]]+", command) if "[" in command else shlex.split(command, comments=True)
        if words[:1] == ["telepathy-lint"] and len(words) > 1 and words[1] in SUBCOMMANDS:
            known = generator().subparser(words[1])._option_string_actions
        elif words[:1] == ["telepathy-runtime"]:
            known = generator().runtime_parsers()[words[1]][0]._option_string_actions
        else:
            continue
        assert [word for word in words if word.startswith("--") and word not in known] == [], command


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_configuration_that_is_shown_is_accepted(page: Path, tmp_path: Path) -> None:
    for block in blocks(page):
        if block.language == "toml":
            (tmp_path / "pyproject.toml").write_text(block.text, encoding="utf-8")
            config.read(str(tmp_path / "pyproject.toml"))


def test_the_readmes_first_command_finds_what_it_says() -> None:
    (command,) = [each for each in commands(ROOT / "README.md") if each.endswith("fixtures/experiments")]
    done = run(f"{command} --statistics", ROOT)
    assert done.returncode == 1
    for code in ("TLP101", "TLP105"):
        assert code in done.stdout


def test_the_readmes_before_becomes_its_after() -> None:
    before, after = [block.text for block in blocks(ROOT / "README.md") if block.language == "python"][:2]
    assert (before.splitlines()[0], after.splitlines()[0]) == (
        "# before",
        "# after: telepathy-lint check --fix --unsafe-fixes",
    )
    fixed = telepathy_lint.fix(before.partition("\n")[2], unsafe=True)
    assert fixed.source == after.partition("\n")[2] and not fixed.remaining


# ---- LibCST's command lines, as printed


def libcst_commands() -> list[tuple[Path, str]]:
    """All command lines of LibCST in the documentation, in blocks or between backticks."""
    printed = r"python -m libcst\.tool [^`\n]+"
    found = {
        command: page for page in PAGES for command in re.findall(printed, page.read_text(encoding="utf-8"))
    }
    return [(page, command) for command, page in found.items()]


#: Code of which a safe fix changes one call, and in which a formatter would change another line.
UGLY = "sizes = [1,2 ,\n    3]\n"
CHANGED = f"""\
import torch
from transformers import AutoModel
{UGLY}
m = AutoModel.from_pretrained("gpt2", device_map="auto", dtype=torch.bfloat16, attn_implementation="sdpa")
"""


@pytest.mark.parametrize("black", [False, True], ids=["without black", "with black"])
@pytest.mark.parametrize(
    ("page", "command"), [pytest.param(*each, id=f"{each[0].name}: {each[1]}") for each in libcst_commands()]
)
def test_the_codemods_run_as_printed(page: Path, command: str, black: bool, tmp_path: Path) -> None:
    (tmp_path / "src").mkdir()
    script = tmp_path / "src" / "train.py"
    script.write_text(CHANGED)
    for block in blocks(page):
        if block.language == "yaml" and "modules:" in block.text:
            (tmp_path / ".libcst.codemod.yaml").write_text(block.text)
    programs = tmp_path / "programs"
    programs.mkdir()
    if black:
        (programs / "black").write_text("#!/bin/sh\necho reformatted = True\n")
        (programs / "black").chmod(0o755)
    done = run(command, tmp_path, PATH=str(programs))
    assert done.returncode == 0, done.stdout
    if command.endswith(" list"):
        assert "codemod.UseRuntimeLoader" in done.stdout and "codemod.InlineLoadSettings" in done.stdout
        return
    assert "Transformed 1 files successfully" in done.stdout, done.stdout
    text = script.read_text()
    assert UGLY in text and 'device_map="auto"' not in text


def test_a_codemod_runs_the_formatter_that_was_asked_for(tmp_path: Path) -> None:
    (tmp_path / ".libcst.codemod.yaml").write_text(f'formatter: ["{sys.executable}", "-c", "print(2)"]\n')
    (tmp_path / "a.py").write_text(CHANGED)
    done = run(
        "python -m libcst.tool codemod -x telepathy_lint.codemod.UseRuntimeLoader --format a.py", tmp_path
    )
    assert done.returncode == 0 and (tmp_path / "a.py").read_text() == "2\n", done.stdout


# ---- guides


def run(command: str, folder: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    program, *arguments = shlex.split(command, comments=True)
    if program in PROGRAMS:
        arguments = ["-m", PROGRAMS[program], *arguments]
    environment = {
        name: value for name, value in os.environ.items() if name not in ("FORCE_COLOR", "NO_COLOR")
    }
    return subprocess.run(
        ["cat" if program == "cat" else sys.executable, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        encoding="utf-8",
        cwd=folder,
        env={
            **environment,
            "PYTHONPATH": str(ROOT),
            "COLUMNS": "80",
            "PYTHONIOENCODING": "utf-8",
            **variables,
        },
    )


def played(page: Path, folder: Path) -> str:
    """The page with the current output of its commands."""
    text, result, position, printed = page.read_text(encoding="utf-8"), "", 0, None
    for block in blocks(page):
        shown = block.text
        if block.file is not None:
            path = folder / block.file
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(block.text, encoding="utf-8")
        elif block.language == "console":
            shown = ""
            for command in re.findall(r"^\$ (.+)$", block.text, re.MULTILINE):
                done = run(command, folder)
                assert done.returncode in (0, 1), done.stdout
                shown += f"$ {command}\n{done.stdout.rstrip()}\n".replace("\n\n\n", "\n\n")
        elif block.language == "python" and page.stem == "python-api":
            done = subprocess.run(
                [sys.executable, "-c", block.text], capture_output=True, text=True, cwd=ROOT, check=False
            )
            assert done.returncode == 0, done.stderr
            printed = done.stdout.rstrip() + "\n"
        elif block.language == "text" and printed is not None:
            shown, printed = printed, None
        result += text[position : block.start] + shown
        position = block.end
    return result + text[position:]


@pytest.mark.parametrize("name", [*SHOWN, "python-api"])
def test_what_a_page_shows_is_what_happens(name: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    for needed in NEEDED.get(name, ()):
        pytest.importorskip(needed)
    page = DOCS / f"{name}.md"
    now = played(page, tmp_path)
    if request.config.getoption("--bless"):
        page.write_text(now, encoding="utf-8")
    assert page.read_text(encoding="utf-8") == now, (
        "python -m pytest tests/project/test_docs.py --bless, and read the diff"
    )


@pytest.mark.slow
def test_json_is_what_its_schema_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    jsonschema = pytest.importorskip("jsonschema")
    schema = json.loads((DOCS / "findings.schema.json").read_text(encoding="utf-8"))
    jsonschema.Draft202012Validator.check_schema(schema)
    validator = jsonschema.Draft202012Validator(schema)
    (tmp_path / "broken.py").write_text("from_pretrained(\n", encoding="utf-8")
    (tmp_path / "stale.py").write_text("x = 1  # noqa: TLP101\n", encoding="utf-8")
    options = "--isolated --strict --select ALL --report-unused-noqa --output-format json"
    monkeypatch.chdir(ROOT)
    render, reports = output.render, []

    def rendered(name: str, report: output.Report) -> Iterator[str]:
        reports.append(report)
        return render(name, report)

    monkeypatch.setattr(output, "render", rendered)
    assert cli.run(["check", "fixtures", str(tmp_path), *options.split()]) == 2  # broken.py
    found = json.loads(capsys.readouterr().out)
    assert {each["code"] for each in found} >= {"TLP000", "TLP001", "TLP101", "TLP902"}
    assert any(each["cell"] is not None for each in found) and any(each["fix"] for each in found)
    assert list(validator.iter_errors(found)) == []
    (report,) = reports
    lines = "".join(render("json-lines", report)).splitlines()
    assert [json.loads(line) for line in lines] == found
    assert list(validator.iter_errors([{**found[0], "line": 0}]))


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    from tests import checkpoints

    return str(checkpoints.build("llama", tmp_path_factory.mktemp("docs") / "llama", pad="reserved"))


@pytest.mark.slow
@pytest.mark.skipif(not HAS_LIBRARY, reason="needs torch, transformers and accelerate")
def test_the_script_of_the_loaders_guide_runs(tmp_path: Path, model: str) -> None:
    (script,) = [block for block in blocks(DOCS / "one-loader.md") if block.file == "generate.py"]
    (tmp_path / "generate.py").write_text(script.text, encoding="utf-8")
    done = run(f"python generate.py {model}", tmp_path)
    assert done.returncode == 0, done.stdout
    assert "LlamaForCausalLM" in done.stdout and "bfloat16" in done.stdout and "on the left" in done.stdout


@pytest.mark.slow
@pytest.mark.skipif(not HAS_LIBRARY, reason="needs torch, transformers and accelerate")
@pytest.mark.parametrize("which", [0, 1], ids=["around the runtime", "on its own"])
def test_the_house_loaders_of_the_guide_run_what_fixes_write(tmp_path: Path, model: str, which: int) -> None:
    page = list(blocks(DOCS / "house-loader.md"))
    loader = [block for block in page if block.language == "python" and "def load(" in block.text][which]
    for name, text in (
        ("mylab/__init__.py", ""),
        ("mylab/loading.py", loader.text),
        ("mylab/legacy.py", "from mylab.loading import load as fetch\n"),
        ("pyproject.toml", next(block.text for block in page if block.language == "toml")),
        (
            "train.py",
            next(block.text for block in page if block.file == "train.py").replace(
                "meta-llama/Llama-3.1-8B", model
            ),
        ),
    ):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text, encoding="utf-8")
    fixed = run("telepathy-lint check train.py --strict --fix-only --unsafe-fixes", tmp_path)
    assert fixed.returncode == 0, fixed.stdout
    with (tmp_path / "train.py").open("a", encoding="utf-8") as script:
        script.write(
            "print(model.dtype, model.generation_config.do_sample, tokenizer.pad_token is not None)\n"
        )
    done = run("python train.py", tmp_path)
    assert done.stdout.splitlines()[-1] == "torch.bfloat16 False True", done.stdout
