"""What is written down is true: generated pages are current, links lead somewhere, the README's commands exist."""

from __future__ import annotations

import importlib.util
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from telepathy_lint.registry import all_rules

ROOT = Path(__file__).parents[1]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("benchmarks/**/*.md")])


def generated() -> dict[str, str]:
    spec = importlib.util.spec_from_file_location("generate", ROOT / "docs/generate.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return {name: page() for name, page in module.PAGES.items()}


def test_generated_pages_are_current() -> None:
    for name, text in generated().items():
        assert (ROOT / "docs" / name).read_text(encoding="utf-8") == text, "run: python docs/generate.py"


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


def test_findings_link_to_their_rule() -> None:
    known = anchors(ROOT / "docs/rules.md")
    assert {f"{rule.meta.code}-{rule.meta.name}".lower() for rule in all_rules()} <= known


def commands(page: Path) -> list[str]:
    blocks = re.findall(r"```sh\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)
    lines = [line.split("  #")[0].strip() for block in blocks for line in block.splitlines()]
    return [part.strip() for line in lines for part in line.split("&&")]


def test_the_readmes_options_exist() -> None:
    for command in commands(ROOT / "README.md"):
        words = shlex.split(command)
        if words[:2] != ["telepathy-lint", "check"]:
            continue
        options = [word for word in words if word.startswith("--")]
        text = subprocess.run(
            [sys.executable, "-m", "telepathy_lint", "check", "--help"],
            capture_output=True,
            text=True,
            cwd=ROOT,
            check=True,
        ).stdout
        assert all(option in text for option in options), command


def test_the_readmes_first_command_finds_what_it_says() -> None:
    (command,) = [each for each in commands(ROOT / "README.md") if each.endswith("fixtures/experiments")]
    done = subprocess.run(
        [sys.executable, "-m", "telepathy_lint", *shlex.split(command)[1:], "--statistics"],
        capture_output=True,
        text=True,
        cwd=ROOT,
    )
    assert done.returncode == 1
    for code in ("TLP101", "TLP102", "TLP103", "TLP104", "TLP105", "TLP201"):
        assert code in done.stdout
