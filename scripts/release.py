"""Prepares a release: `python scripts/release.py 0.1.0 --dry-run`, then the same without `--dry-run`.

Everything is written, built and checked in a temporary clone of the last commit. A dry run prints the result and throws
it away; a real run then copies the changed files into the checkout and the packages into `dist/`. Neither commits,
tags or pushes: the commands for that are printed.
"""

from __future__ import annotations

import argparse
import datetime
import hashlib
import importlib.util
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[1]
VERSION_FILE = "telepathy_lint/_version.py"
EXTENSION = "editors/vscode"
#: Module -> the distribution that has it. All are in the extra `release`.
TOOLS = {
    "build": "build",
    "twine": "twine",
    "check_wheel_contents": "check-wheel-contents",
    "hatchling": "hatchling",
    "mkdocs": "mkdocs",
    "material": "mkdocs-material",
}
_VERSION = re.compile(r"(\d+)\.(\d+)\.(\d+)(?:(a|b|rc)(\d+))?")
_UNRELEASED = re.compile(r"^## (?:(.*) \(unreleased\)|\[?Unreleased\]?)$", re.IGNORECASE)


class ReleaseError(Exception):
    """Why the release cannot be prepared, and what to do about it."""


class Section(NamedTuple):
    """A section of the changelog."""

    head: str
    body: str


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="prepare a release; nothing is committed, tagged or pushed")
    parser.add_argument("version", help="the version to release, for example 0.1.0")
    mode = parser.add_mutually_exclusive_group()
    mode.add_argument(
        "--dry-run", action="store_true", help="do everything in a temporary clone, then remove it"
    )
    mode.add_argument("--check", action="store_true", help="only check that all files name this version")
    mode.add_argument(
        "--notes", action="store_true", help="only print this version's section of the changelog"
    )
    parser.add_argument("--date", help="the date of the release, YYYY-MM-DD (default: today, UTC)")
    parser.add_argument("--no-isolation", action="store_true", help="build with the installed hatchling")
    parser.add_argument("--no-vsix", action="store_true", help="leave the VS Code extension out")
    options = parser.parse_args(arguments)
    try:
        version_key(options.version)
        if options.notes:
            print(section_of(ROOT, options.version).body)
        elif options.check:
            check_names(ROOT, options.version)
            print(f"all files name {options.version}")
        else:
            date = options.date or datetime.datetime.now(datetime.timezone.utc).date().isoformat()
            prepare(options.version, checked_date(date), options)
    except ReleaseError as error:
        print(f"release: {error}", file=sys.stderr)
        return 2
    return 0


def prepare(version: str, date: str, options: argparse.Namespace) -> None:
    problems = [*refusals(version, real=not options.dry_run), *missing_tools()]
    if problems:
        raise ReleaseError("\n  - ".join([f"{version} cannot be released:", *problems]))
    with tempfile.TemporaryDirectory(prefix="release-") as temporary:
        clone, built = Path(temporary, "checkout"), Path(temporary, "dist")
        step("write", "version, date, changelog, generated pages")
        git("clone", "--quiet", "--no-hardlinks", str(ROOT), str(clone), folder=ROOT)
        write(clone, version, date)
        python("docs/generate.py", folder=clone, environment={"PYTHONPATH": str(clone)})
        check_names(clone, version)
        git("add", "--intent-to-add", ".", folder=clone)  # a generated page may be new
        changed = git("diff", "--name-only", folder=clone).splitlines()
        print(git("diff", "--unified=0", "--", ".", f":!{EXTENSION}/package-lock.json", folder=clone))
        step("build", "wheel and sdist")
        isolation = ["--no-isolation"] if options.no_isolation else []
        python("-m", "build", *isolation, "--outdir", str(built), ".", folder=clone)
        check_packages(clone, built, version)
        step("site", "every link leads somewhere")
        site = Path(temporary, "site")
        # Without --quiet: with it mkdocs counts no warnings, and --strict lets everything pass.
        python(
            *("-m", "mkdocs", "build", "--strict", "--site-dir", str(site)),
            folder=clone,
            environment={"NO_MKDOCS_2_WARNING": "1", "PYTHONPATH": str(clone)},
        )
        if (clone / EXTENSION / "package.json").exists() and not options.no_vsix:
            step("extension", "VS Code")
            build_extension(clone, built, version)
        print()
        for name, size, digest in artefacts(built):
            print(f"  {name:45} {size:>9,} bytes  sha256 {digest}")
        print(f"  {'site/':45} {len(list(site.rglob('*.html'))):>9,} pages")
        if options.dry_run:
            print("\nDry run: nothing outside the temporary clone was written.")
        else:
            for name in changed:
                (ROOT / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(clone / name, ROOT / name)
            for source, name in ((built, "dist"), (site, "site")):
                shutil.rmtree(ROOT / name, ignore_errors=True)
                shutil.copytree(source, ROOT / name)
            print(
                "\nWritten: " + ", ".join([*changed, "dist/", "site/"]) + ". `git restore .` takes it back."
            )
    print_next(version)


# ---- reasons to refuse


def refusals(version: str, *, real: bool) -> Iterator[str]:
    """Why this version cannot be released from this checkout."""
    if git("status", "--porcelain", folder=ROOT):
        yield "the working tree has changes that are not committed: commit or stash them (git status)"
    branch = git("branch", "--show-current", folder=ROOT)
    if real and branch != "main":
        yield f"the checkout is on {branch or 'no branch'}: releases are made from main (git switch main)"
    tags = [tag.removeprefix("v") for tag in git("tag", "--list", "v*", folder=ROOT).split()]
    released = [tag for tag in tags if _VERSION.fullmatch(tag)]
    newest = max(released, key=version_key, default=None)
    current = current_version(ROOT)
    if version in released:
        yield f"the tag v{version} exists: choose a newer version"
    elif newest is not None and version_key(version) <= version_key(newest):
        yield f"{version} is not newer than the last release, {newest}"
    elif version_key(version) < version_key(current):
        yield f"{version} is older than the {current} in {VERSION_FILE}"
    try:
        section = sections(ROOT)[0]
    except ReleaseError as error:
        yield str(error)
        return
    if _UNRELEASED.match(section.head) is None:
        yield f"CHANGELOG.md begins with '{section.head}': add a section '## Unreleased' that says what changed"
    elif not re.search(r"^[-*] \S", section.body, re.MULTILINE):
        yield f"the section '{section.head}' of CHANGELOG.md is empty: say what changed"


def missing_tools() -> Iterator[str]:
    missing = [name for module, name in TOOLS.items() if importlib.util.find_spec(module) is None]
    if missing:
        yield f"{', '.join(missing)} not installed: python -m pip install -e '.[release]'"


def version_key(version: str) -> tuple[int, int, int, str, int]:
    """A key to sort versions by; a pre-release comes before its release.

    Raises:
        ReleaseError: this is no version that we give.
    """
    match = _VERSION.fullmatch(version)
    if match is None:
        raise ReleaseError(f"{version!r} is no version: write X.Y.Z, or X.Y.ZrcN for a pre-release")
    major, minor, patch, kind, number = match.groups()
    return int(major), int(minor), int(patch), kind or "~", int(number or 0)


def checked_date(date: str) -> str:
    try:
        return datetime.date.fromisoformat(date).isoformat()
    except ValueError:
        raise ReleaseError(f"--date is {date!r}: write YYYY-MM-DD") from None


# ---- the files that name the version


def current_version(folder: Path) -> str:
    text = (folder / VERSION_FILE).read_text(encoding="utf-8")
    match = re.fullmatch(r'__version__ = "(.+)"\n', text)
    if match is None:
        raise ReleaseError(f'{VERSION_FILE} must be one line, __version__ = "X.Y.Z"')
    return match[1]


def sections(folder: Path) -> list[Section]:
    """The changelog's sections, newest first."""
    text = (folder / "CHANGELOG.md").read_text(encoding="utf-8")
    parts = re.split(r"^(## .*)$", text, flags=re.MULTILINE)[1:]
    if not parts:
        raise ReleaseError("CHANGELOG.md has no section: add '## Unreleased' with what changed")
    return [Section(head, body.strip()) for head, body in zip(parts[::2], parts[1::2], strict=True)]


def section_of(folder: Path, version: str) -> Section:
    for section in sections(folder):
        if re.match(rf"## {re.escape(version)} ", section.head):
            return section
    raise ReleaseError(f"CHANGELOG.md has no section for {version}")


def write(folder: Path, version: str, date: str) -> None:
    """Set the version, and the date where a file has one."""
    (folder / VERSION_FILE).write_text(f'__version__ = "{version}"\n', encoding="utf-8")
    changelog = folder / "CHANGELOG.md"
    text = changelog.read_text(encoding="utf-8")
    head = sections(folder)[0].head
    changelog.write_text(text.replace(head, f"## {version} ({date})", 1), encoding="utf-8")
    citation = folder / "CITATION.cff"
    text = re.sub(r"^date-released: .*\n", "", citation.read_text(encoding="utf-8"), flags=re.MULTILINE)
    text, found = re.subn(
        r"^version: .*$", f"version: {version}\ndate-released: {date}", text, flags=re.MULTILINE
    )
    if found != 1:
        raise ReleaseError("CITATION.cff must have one line that begins with 'version:'")
    citation.write_text(text, encoding="utf-8")
    for path in (folder / EXTENSION / name for name in ("package.json", "package-lock.json")):
        if path.exists():
            document = json.loads(path.read_text(encoding="utf-8"))
            document["version"] = version
            if "packages" in document:
                document["packages"][""]["version"] = version
            path.write_text(json.dumps(document, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def check_names(folder: Path, version: str) -> None:
    """Refuse a checkout whose files do not all name this version.

    Raises:
        ReleaseError: says which file names what.
    """
    problems = []
    if current_version(folder) != version:
        problems.append(f"{VERSION_FILE} says {current_version(folder)}")
    head = sections(folder)[0].head
    dated = re.fullmatch(rf"## {re.escape(version)} \((\d{{4}}-\d\d-\d\d)\)", head)
    if dated is None:
        problems.append(f"CHANGELOG.md begins with '{head}', not '## {version} (YYYY-MM-DD)'")
    citation = dict(
        re.findall(r"^([\w-]+): (.*)$", (folder / "CITATION.cff").read_text("utf-8"), re.MULTILINE)
    )
    if citation.get("version") != version:
        problems.append(f"CITATION.cff says version: {citation.get('version')}")
    if dated is not None and citation.get("date-released") != dated[1]:
        problems.append(
            f"CITATION.cff says date-released: {citation.get('date-released')}, the changelog {dated[1]}"
        )
    package = folder / EXTENSION / "package.json"
    if package.exists():
        named = json.loads(package.read_text(encoding="utf-8"))["version"]
        if named != version:
            problems.append(f"{EXTENSION}/package.json says {named}")
    if problems:
        raise ReleaseError("\n  - ".join([f"the files do not agree on {version}:", *problems]))


# ---- what was built


def check_packages(clone: Path, built: Path, version: str) -> None:
    """Refuse packages that are not what they should be, or that do not work."""
    wheel = built / f"telepathy_lint-{version}-py3-none-any.whl"
    sdist = built / f"telepathy_lint-{version}.tar.gz"
    if sorted(path.name for path in built.iterdir()) != sorted([wheel.name, sdist.name]):
        raise ReleaseError(f"the build gave {sorted(path.name for path in built.iterdir())}")
    python("-m", "twine", "check", "--strict", str(wheel), str(sdist), folder=clone)
    python("-m", "check_wheel_contents", str(wheel), folder=clone)
    with tarfile.open(sdist) as archive:
        inside = {name.partition("/")[2] for name in archive.getnames()}
    project = (clone / "pyproject.toml").read_text(encoding="utf-8")
    listed = re.search(
        r"^\[tool\.hatch\.build\.targets\.sdist\]$.*?^include = \[(.*?)^\]$", project, re.S | re.M
    )
    if listed is None:
        raise ReleaseError("pyproject.toml says nothing of what the sdist includes")
    wanted = re.findall(r'"([^"]+)"', listed[1])
    lost = [
        name for name in wanted if not any(each == name or each.startswith(f"{name}/") for each in inside)
    ]
    if lost:
        raise ReleaseError(f"the sdist lacks {', '.join(lost)}, which pyproject.toml includes")
    unpacked = built.parent / "unpacked"
    with zipfile.ZipFile(wheel) as archive_:
        archive_.extractall(unpacked)
    alone = {"PYTHONPATH": str(unpacked)}
    code = "import telepathy_lint as it; print(it.__version__, it.__file__)"
    said = python("-c", code, folder=built, environment=alone)
    if said != f"{version} {unpacked / 'telepathy_lint' / '__init__.py'}":
        raise ReleaseError(f"the wheel's own package says {said}")
    experiments = str(clone / "fixtures" / "experiments")
    command = (
        "-m",
        "telepathy_lint",
        "check",
        "--strict",
        "--no-cache",
        "--exit-zero",
        "--output-format",
        "concise",
    )
    found = python(*command, experiments, folder=built, environment=alone)
    if "TLP101" not in found:
        raise ReleaseError(f"the wheel's linter does not find what it should in {experiments}")


def build_extension(clone: Path, built: Path, version: str) -> None:
    npm = shutil.which("npm")
    if npm is None:
        raise ReleaseError(
            "npm is not installed, and the VS Code extension needs it; leave it out with --no-vsix"
        )
    folder = clone / EXTENSION
    run([npm, "ci", "--no-audit", "--no-fund"], folder)
    run([npm, "run", "package"], folder)
    packed = list((folder / "dist").glob("*.vsix"))
    if len(packed) != 1:
        raise ReleaseError(f"`npm run package` made {len(packed)} .vsix files in {EXTENSION}/dist, not one")
    shutil.copyfile(packed[0], built / f"telepathy-lint-{version}.vsix")


def artefacts(built: Path) -> Iterator[tuple[str, int, str]]:
    for path in sorted(built.iterdir()):
        data = path.read_bytes()
        yield path.name, len(data), hashlib.sha256(data).hexdigest()


def print_next(version: str) -> None:
    """What a person does next."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    by_hand = []
    if "There is no release yet" in readme:
        by_hand.append("README.md says that there is no release yet: change it before the commit")
    if 'DOCUMENTATION = ""' in (ROOT / "telepathy_lint/output/__init__.py").read_text(encoding="utf-8"):
        by_hand.append('the site has no address: findings carry none (RELEASING.md, "The site")')
    if by_hand:
        print("\nBy hand:")
        print("".join(f"  - {line}\n" for line in by_hand), end="")
    print(f"""
Next, on main:
  git add --all && git commit --message "Release {version}"
  git tag --annotate v{version} --message "telepathy-lint {version}"
  git push origin main v{version}

The tag starts .github/workflows/release.yml, which builds again and publishes. Without GitHub:
  python -m twine upload dist/*.whl dist/*.tar.gz""")


# ---- processes


def step(name: str, what: str) -> None:
    print(f"\n== {name}: {what}", flush=True)


def git(*arguments: str, folder: Path) -> str:
    return run(["git", *arguments], folder)


def python(*arguments: str, folder: Path, environment: dict[str, str] | None = None) -> str:
    return run([sys.executable, *arguments], folder, environment)


def run(command: list[str], folder: Path, environment: dict[str, str] | None = None) -> str:
    """What a command prints on stdout.

    Raises:
        ReleaseError: it did not return 0; the message has what it printed.
    """
    done = subprocess.run(
        command,
        cwd=folder,
        env={**os.environ, **(environment or {})},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        said = (done.stdout + done.stderr).strip()[-4000:]
        raise ReleaseError(f"`{shlex.join(command)}` returned {done.returncode}:\n{said}")
    return done.stdout.strip()


if __name__ == "__main__":
    raise SystemExit(main())
