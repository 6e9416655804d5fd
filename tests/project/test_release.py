"""`scripts/release.py`, run in a clone of this checkout: its errors, a dry run and a real run."""

from __future__ import annotations

import importlib.util
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path
from types import ModuleType

import pytest

from tests.project.installing import copy_project

ROOT = Path(__file__).parents[2]
TOOLS = ("build", "twine", "check_wheel_contents", "hatchling", "mkdocs", "material")
CHANGELOG = "# Changelog\n\nWhat changed.\n\n## {head}\n\n- A rule.\n- Another one.\n\n## 0.0.1 (2026-01-01)\n\n- First.\n"

needs_tools = pytest.mark.skipif(
    not all(importlib.util.find_spec(name) for name in TOOLS), reason="needs pip install '.[release]'"
)
pytestmark = pytest.mark.skipif(shutil.which("git") is None, reason="needs git")


def git(*arguments: str, folder: Path) -> str:
    command = ["git", "-c", "user.name=Test", "-c", "user.email=test@example.org", *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True).stdout.strip()


def release(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(folder / "scripts" / "release.py"), *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A repository on main with this checkout's files and a short changelog."""
    folder = tmp_path / "checkout"
    copy_project(folder)
    (folder / "CHANGELOG.md").write_text(CHANGELOG.format(head="Unreleased"), encoding="utf-8")
    git("init", "--quiet", "--initial-branch", "main", folder=folder)
    commit(folder)
    return folder


def commit(folder: Path) -> None:
    git("add", "--all", folder=folder)
    git("commit", "--quiet", "--message", "A change", folder=folder)


def refused(folder: Path, version: str, *arguments: str) -> str:
    done = release(folder, version, "--dry-run", *arguments)
    assert done.returncode == 2 and done.stdout == "", done.stdout
    assert "Traceback" not in done.stderr
    return done.stderr


def current(folder: Path) -> str:
    return (folder / "telepathy_lint" / "_version.py").read_text(encoding="utf-8").split('"')[1]


def test_what_stands_in_the_way_is_said_all_at_once(checkout: Path) -> None:
    git("tag", "v0.3.0", folder=checkout)
    (checkout / "CHANGELOG.md").write_text("# Changelog\n\n## Unreleased\n", encoding="utf-8")
    (checkout / "new.txt").write_text("", encoding="utf-8")
    said = refused(checkout, "0.2.9")
    assert "0.2.9 cannot be released:" in said
    assert "the working tree has changes that are not committed" in said
    assert "0.2.9 is not newer than the last release, 0.3.0" in said
    assert "the section '## Unreleased' of CHANGELOG.md is empty" in said
    assert "the tag v0.3.0 exists: choose a newer version" in refused(checkout, "0.3.0")
    assert "0.3.0rc1 is not newer than the last release, 0.3.0" in refused(checkout, "0.3.0rc1")


def test_versions_and_dates_that_are_none(checkout: Path) -> None:
    assert "'1.0' is no version: write X.Y.Z" in refused(checkout, "1.0")
    assert "'v1.0.0' is no version" in refused(checkout, "v1.0.0")
    assert "--date is 'tomorrow': write YYYY-MM-DD" in refused(checkout, "9.0.0", "--date", "tomorrow")


def test_a_version_below_the_current_one_and_a_finished_changelog(checkout: Path) -> None:
    (checkout / "CHANGELOG.md").write_text(CHANGELOG.format(head="0.0.2 (2026-02-02)"), encoding="utf-8")
    commit(checkout)
    said = refused(checkout, "0.0.2")
    assert f"0.0.2 is older than the {current(checkout)} in telepathy_lint/_version.py" in said
    assert "CHANGELOG.md begins with '## 0.0.2 (2026-02-02)': add a section '## Unreleased'" in said


def test_a_release_is_made_from_main(checkout: Path) -> None:
    git("switch", "--quiet", "--create", "feature", folder=checkout)
    done = release(checkout, "9.0.0")
    assert done.returncode == 2 and "the checkout is on feature: releases are made from main" in done.stderr


def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("release", ROOT / "scripts" / "release.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_versions_are_in_order() -> None:
    ordered = ["0.1.0a1", "0.1.0b1", "0.1.0rc1", "0.1.0rc2", "0.1.0", "0.1.1", "0.9.0", "0.10.0", "1.0.0"]
    assert sorted(set(ordered), key=script().version_key) == ordered


def test_every_file_is_checked_for_the_version(checkout: Path) -> None:
    """The workflow runs `--check` for a tag."""
    script().write(checkout, "0.4.0", "2026-12-01")
    done = release(checkout, "0.4.0", "--check")
    assert (done.returncode, done.stdout) == (0, "all files name 0.4.0\n"), done.stderr
    notes = release(checkout, "0.4.0", "--notes")
    assert (notes.returncode, notes.stdout) == (0, "- A rule.\n- Another one.\n")
    assert release(checkout, "0.0.1", "--notes").stdout == "- First.\n"
    assert "CHANGELOG.md has no section for 0.4.1" in release(checkout, "0.4.1", "--notes").stderr
    other = release(checkout, "0.4.1", "--check")
    assert other.returncode == 2
    for line in (
        "telepathy_lint/_version.py says 0.4.0",
        "CHANGELOG.md begins with '## 0.4.0 (2026-12-01)', not '## 0.4.1 (YYYY-MM-DD)'",
        "CITATION.cff says version: 0.4.0",
    ):
        assert line in other.stderr
    citation = checkout / "CITATION.cff"
    citation.write_text(citation.read_text("utf-8").replace("2026-12-01", "2026-12-02"), encoding="utf-8")
    assert "CITATION.cff says date-released: 2026-12-02, the changelog 2026-12-01" in (
        release(checkout, "0.4.0", "--check").stderr
    )
    script().write(checkout, "0.4.0", "2026-12-03")
    assert citation.read_text("utf-8").count("date-released:") == 1


def contents(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and ".git" not in path.relative_to(folder).parts and "__pycache__" not in path.parts
    }


@pytest.mark.slow
@needs_tools
def test_a_dry_run_shows_everything_and_changes_nothing(checkout: Path) -> None:
    before, commits = contents(checkout), git("log", "--oneline", folder=checkout)
    arguments = ("9.0.0", "--dry-run", "--no-isolation", "--no-vsix", "--date", "2026-12-01")
    done = release(checkout, *arguments)
    assert done.returncode == 0, done.stderr
    for line in (
        '+__version__ = "9.0.0"',
        "-## Unreleased",
        "+## 9.0.0 (2026-12-01)",
        "+version: 9.0.0",
        "+date-released: 2026-12-01",
        "Dry run: nothing outside the temporary clone was written.",
        "  git tag --annotate v9.0.0",
        "  git push origin main v9.0.0",
    ):
        assert line in done.stdout, line
    built = re.findall(r"^  (\S+) +([\d,]+) bytes +sha256 [0-9a-f]{64}$", done.stdout, re.MULTILINE)
    assert [name for name, _ in built] == [
        "telepathy_lint-9.0.0-py3-none-any.whl",
        "telepathy_lint-9.0.0.tar.gz",
    ]
    pages = re.search(r"^  site/ +(\d+) pages$", done.stdout, re.MULTILINE)
    assert pages is not None and int(pages[1]) > 30
    assert contents(checkout) == before and git("log", "--oneline", folder=checkout) == commits
    assert git("tag", folder=checkout) == ""
    # A second dry run builds the same bytes: what was looked at is what is released.
    assert release(checkout, *arguments).stdout == done.stdout


@pytest.mark.slow
@needs_tools
def test_a_real_run_writes_the_files_and_the_packages_and_no_commit(checkout: Path) -> None:
    commits = git("log", "--oneline", folder=checkout)
    done = release(checkout, "9.0.0", "--no-isolation", "--no-vsix")
    assert done.returncode == 0, done.stderr
    changed = git("diff", "--name-only", folder=checkout).splitlines()
    assert {"CHANGELOG.md", "CITATION.cff", "telepathy_lint/_version.py"} <= set(changed)
    assert git("log", "--oneline", folder=checkout) == commits and git("tag", folder=checkout) == ""
    assert release(checkout, "9.0.0", "--check").returncode == 0
    with zipfile.ZipFile(checkout / "dist" / "telepathy_lint-9.0.0-py3-none-any.whl") as wheel:
        assert wheel.read("telepathy_lint/_version.py") == b'__version__ = "9.0.0"\n'
        tops = {name.split("/")[0] for name in wheel.namelist()} - {"telepathy_lint-9.0.0.data"}
        assert tops == {"telepathy_lint", "telepathy_runtime", "telepathy_lint-9.0.0.dist-info"}
    with tarfile.open(checkout / "dist" / "telepathy_lint-9.0.0.tar.gz") as sdist:
        inside = {name.partition("/")[2] for name in sdist.getnames()}
    looked_at = {
        "action.yml",
        "scripts/release.py",
        "templates/telepathy-lint.yml",
        ".github/workflows/ci.yml",
    }
    assert looked_at <= inside and "tests/project/test_release.py" in inside
    assert (checkout / "site" / "index.html").is_file()


@pytest.mark.slow
@needs_tools
@pytest.mark.parametrize(
    ("path", "old", "new", "message"),
    [
        ("README.md", "(docs/precision.md)", "(docs/nothing.md)", "contains a link 'nothing.md'"),
        ("pyproject.toml", '"mkdocs.yml",', '"mkdocs.yml", "nothing.txt",', "the sdist lacks nothing.txt"),
        (
            "CITATION.cff",
            "\nversion: ",
            "\nedition: ",
            "CITATION.cff must have one line that begins with 'version:'",
        ),
        (
            "telepathy_lint/__main__.py",
            "import os\n",
            "import nothing_at_all\n",
            "No module named 'nothing_at_all'",
        ),
    ],
)
def test_what_would_be_broken_is_not_released(
    checkout: Path, path: str, old: str, new: str, message: str
) -> None:
    text = (checkout / path).read_text(encoding="utf-8")
    assert old in text
    (checkout / path).write_text(text.replace(old, new), encoding="utf-8")
    commit(checkout)
    before = contents(checkout)
    done = release(checkout, "9.0.0", "--no-isolation", "--no-vsix")
    assert done.returncode == 2 and message in done.stderr, done.stderr
    assert done.stderr.startswith("release: ") and contents(checkout) == before
