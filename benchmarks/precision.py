"""Measures precision and recall of the linter on hand-labelled calls in public code.

    python benchmarks/precision.py --code DIR              table for all label files in corpus/
    python benchmarks/precision.py --code DIR --fetch      clone missing repositories first (public git,
    pinned commits)
    python benchmarks/precision.py --code DIR --errors     also list all disagreements
    python benchmarks/precision.py --code DIR --save F     save all findings in the code folder
    python benchmarks/precision.py --code DIR --against F  what a change of the linter adds and removes

DIR has one folder per repository, `<owner>+<name>`. Nothing is downloaded without --fetch. See
corpus/README.md.
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, TextIO

RULES = ("TLP101", "TLP102", "TLP103", "TLP104", "TLP105", "TLP201")
KINDS = ("model", "tokenizer", "pipeline", "other")
CORPUS = Path(__file__).resolve().parent / "corpus"
PATTERNS = ("*.py", "*.ipynb", "*.toml", "*.txt", "*.cfg", "*.yml", "*.yaml", "*.lock")
HOST = "https://github.com"
TARGET = "4.57"  # the labels judge the code alone, not the release that its requirements pin
CHUNK = 500  # files named on one command line


class CorpusError(Exception):
    """An error that the caller has to correct; the message describes it."""


@dataclass(frozen=True)
class Place:
    """The start of a call: file relative to the code folder, code cell of a notebook, 1-based line and column."""

    path: str
    cell: int | None
    line: int
    column: int

    def order(self) -> tuple[str, int, int, int]:
        return self.path, -1 if self.cell is None else self.cell, self.line, self.column

    def __str__(self) -> str:
        cell = "" if self.cell is None else f":cell {self.cell}"
        return f"{self.path}{cell}:{self.line}:{self.column}"


@dataclass(frozen=True)
class Label:
    """One labelled call."""

    source: str
    repo: str
    commit: str
    place: Place
    kind: str
    codes: frozenset[str]
    unsure: frozenset[str]
    why: str


@dataclass(frozen=True)
class Finding:
    """A finding of the linter: its position, and the call that it is about (None: no call)."""

    code: str
    at: Place
    site: Place | None
    message: str

    def order(self) -> tuple[tuple[str, int, int, int], str]:
        return self.at.order(), self.code


@dataclass
class Count:
    """The agreement of findings and labels for one rule."""

    agreed: int = 0
    false_alarms: int = 0
    missed: int = 0
    unsure: int = 0

    def __iadd__(self, other: Count) -> Count:
        self.agreed += other.agreed
        self.false_alarms += other.false_alarms
        self.missed += other.missed
        self.unsure += other.unsure
        return self

    @property
    def precision(self) -> float | None:
        found = self.agreed + self.false_alarms
        return self.agreed / found if found else None

    @property
    def recall(self) -> float | None:
        labelled = self.agreed + self.missed
        return self.agreed / labelled if labelled else None

    def as_json(self) -> dict[str, Any]:
        return {
            "agreed": self.agreed,
            "false_alarms": self.false_alarms,
            "missed": self.missed,
            "unsure": self.unsure,
            "precision": self.precision,
            "recall": self.recall,
        }


@dataclass(frozen=True)
class Disagreement:
    """A code that only the linter or only the label assigns to a call."""

    code: str
    missed: bool
    label: Label
    message: str

    def as_json(self) -> dict[str, Any]:
        place = self.label.place
        return {
            "code": self.code,
            "kind": "missed" if self.missed else "false alarm",
            "path": place.path,
            "cell": place.cell,
            "line": place.line,
            "column": place.column,
            "label": {"kind": self.label.kind, "codes": sorted(self.label.codes), "why": self.label.why},
            "message": self.message,
        }


def folder_of(repo: str) -> str:
    """The folder of a repository in the code folder."""
    return repo.replace("/", "+", 1)


# ---- labels


def parse_label(text: str, source: str) -> Label:
    """Parse one line of a label file."""
    row = json.loads(text)
    codes, unsure = frozenset(row["codes"]), frozenset(row["unsure"])
    unknown = sorted((codes | unsure) - set(RULES))
    if unknown or row["kind"] not in KINDS or codes & unsure or (row["kind"] == "other" and codes):
        raise CorpusError(f"{source}: not a label: {text.strip()}")
    path = str(PurePosixPath(folder_of(row["repo"])) / row["path"])
    place = Place(path, row.get("cell"), row["line"], row["column"])
    return Label(source, row["repo"], row["commit"], place, row["kind"], codes, unsure, row["why"])


def read_labels(files: Iterable[Path]) -> list[Label]:
    """All labels in these files; a call may be labelled only once."""
    labels: list[Label] = []
    seen: set[Place] = set()
    for file in files:
        for text in file.read_text(encoding="utf-8").splitlines():
            if not text.strip():
                continue
            label = parse_label(text, file.stem)
            if label.place in seen:
                raise CorpusError(f"{file.name}: labelled twice: {label.place}")
            seen.add(label.place)
            labels.append(label)
    return labels


def commits_of(labels: Iterable[Label]) -> dict[str, str]:
    """The commit at which each repository was labelled."""
    commits: dict[str, str] = {}
    for label in labels:
        if commits.setdefault(label.repo, label.commit) != label.commit:
            raise CorpusError(f"{label.repo}: labelled at two commits")
    return dict(sorted(commits.items(), key=lambda item: item[0].lower()))


# ---- code


def git(*arguments: str, cwd: Path) -> None:
    environment = os.environ | {"GIT_LFS_SKIP_SMUDGE": "1", "GIT_TERMINAL_PROMPT": "0"}
    subprocess.run(["git", *arguments], cwd=cwd, env=environment, check=True, stdout=subprocess.DEVNULL)


def fetch(commits: dict[str, str], code: Path) -> None:
    """Check out missing repositories: one commit deep, only the file types that the linter reads."""
    for repo, commit in commits.items():
        folder = code / folder_of(repo)
        if folder.exists():
            continue
        print(f"fetching {repo} at {commit[:12]}", file=sys.stderr)
        partial = folder.with_name(folder.name + ".partial")
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
        try:
            git("init", "--quiet", cwd=partial)
            git("remote", "add", "origin", f"{HOST}/{repo}.git", cwd=partial)
            git("sparse-checkout", "set", "--no-cone", *PATTERNS, cwd=partial)
            git("fetch", "--quiet", "--depth=1", "--filter=blob:none", "origin", commit, cwd=partial)
            git("checkout", "--quiet", "--detach", "FETCH_HEAD", cwd=partial)
        except subprocess.CalledProcessError as error:
            print(f"could not fetch {repo}: git ended with {error.returncode}", file=sys.stderr)
            shutil.rmtree(partial, ignore_errors=True)
            continue
        partial.rename(folder)


def commit_of(folder: Path) -> str | None:
    """The commit of a checkout; None if it is unknown (a plain copy)."""
    if not (folder / ".git").exists():
        return None
    done = subprocess.run(
        ["git", "rev-parse", "HEAD"], cwd=folder, capture_output=True, text=True, check=False
    )
    return done.stdout.strip() or None


def present(labels: Sequence[Label], code: Path) -> list[Label]:
    """The labels whose files exist at the labelled commit; prints what is left out."""
    elsewhere: set[str] = set()
    for repo, commit in commits_of(labels).items():
        actual = commit_of(code / folder_of(repo))
        if actual not in (None, commit):
            elsewhere.add(repo)
            print(f"{repo} is at {actual}, labelled at {commit}: left out", file=sys.stderr)
    kept = [label for label in labels if label.repo not in elsewhere and (code / label.place.path).is_file()]
    if len(kept) < len(labels):
        print(f"{len(labels) - len(kept)} of {len(labels)} labelled calls have no code here", file=sys.stderr)
    return kept


# ---- the linter


def linter_command(given: str | None) -> list[str]:
    if given:
        return shlex.split(given)
    installed = shutil.which("telepathy-lint")
    return [installed] if installed else [sys.executable, "-m", "telepathy_lint"]


def place_below(code: Path, path: str, cell: int | None, line: int, column: int) -> Place:
    """A place with its path relative to the code folder, in whatever form the linter printed it."""
    below = Path(os.path.relpath(code / path, code)).as_posix()
    return Place(below, cell, line, column)


def parse_findings(text: str, code: Path) -> list[Finding]:
    """The linter's JSON output."""
    findings: list[Finding] = []
    for row in json.loads(text):
        if row["code"] not in RULES:
            continue  # TLP000: an unreadable file
        path, cell, site = row["path"], row["cell"], row["site"]
        at = place_below(code, path, cell, row["line"], row["column"])
        call = None if site is None else place_below(code, path, cell, site["line"], site["column"])
        findings.append(Finding(row["code"], at, call, row["message"]))
    return findings


def lint(command: Sequence[str], code: Path, paths: Sequence[str]) -> list[Finding]:
    """The findings in these paths of the code folder."""
    options = [
        "check",
        "--output-format",
        "json",
        "--no-cache",
        "--isolated",
        "--strict",
        "--include-vendored",
        "--target-transformers",
        TARGET,
        "--select",
        ",".join(RULES),
    ]
    done = subprocess.run([*command, *options, *paths], cwd=code, capture_output=True, text=True, check=False)
    if done.returncode == 2 and done.stdout.strip():
        print(
            "some files could not be linted (old syntax is common in such code); the rest counts",
            file=sys.stderr,
        )
    elif done.returncode not in (0, 1):
        raise CorpusError(f"the linter ended with {done.returncode}:\n{done.stderr.strip()[-2000:]}")
    try:
        return parse_findings(done.stdout, code)
    except (ValueError, KeyError, TypeError) as error:
        raise CorpusError(f"the linter's output is not the documented JSON: {error!r}") from error


def lint_labelled(command: Sequence[str], code: Path, labels: Iterable[Label]) -> list[Finding]:
    """The findings in the labelled files only."""
    files = sorted({label.place.path for label in labels})
    parts = [files[start : start + CHUNK] for start in range(0, len(files), CHUNK)]
    return [finding for part in parts for finding in lint(command, code, part)]


# ---- comparison


def compare(
    labels: Iterable[Label], findings: Iterable[Finding]
) -> tuple[dict[str, Count], list[Disagreement]]:
    """Counts for each rule, and all disagreements. Findings at calls without a label are ignored."""
    found: dict[Place, dict[str, str]] = {}
    for finding in findings:
        if finding.site is not None:
            found.setdefault(finding.site, {})[finding.code] = finding.message
    counts = {code: Count() for code in RULES}
    disagreements: list[Disagreement] = []
    for label in labels:
        reported = found.get(label.place, {})
        for code in RULES:
            count = counts[code]
            if code in label.unsure:
                count.unsure += 1
            elif code in reported and code in label.codes:
                count.agreed += 1
            elif code in reported:
                count.false_alarms += 1
                disagreements.append(Disagreement(code, False, label, reported[code]))
            elif code in label.codes:
                count.missed += 1
                disagreements.append(Disagreement(code, True, label, ""))
    disagreements.sort(key=lambda one: (one.code, one.missed, one.label.place.order()))
    return counts, disagreements


def misplaced(labels: Iterable[Label], findings: Iterable[Finding]) -> int:
    """Findings on the line of a labelled call but at another column, which indicates a different way of counting."""
    places = {label.place for label in labels}
    lines = {(place.path, place.cell, place.line) for place in places}
    return sum(
        finding.site not in places and (finding.site.path, finding.site.cell, finding.site.line) in lines
        for finding in findings
        if finding.site is not None
    )


def total(counts: dict[str, Count]) -> Count:
    whole = Count()
    for count in counts.values():
        whole += count
    return whole


# ---- output


def percent(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:.1f}%"


def print_table(counts: dict[str, Count], out: TextIO) -> None:
    print(
        f"{'rule':<8}{'labelled':>10}{'found':>8}{'agreed':>8}{'false alarms':>14}{'missed':>8}"
        f"{'precision':>11}{'recall':>9}{'unsure':>8}",
        file=out,
    )
    for name, count in [*counts.items(), ("overall", total(counts))]:
        print(
            f"{name:<8}{count.agreed + count.missed:>10}{count.agreed + count.false_alarms:>8}{count.agreed:>8}"
            f"{count.false_alarms:>14}{count.missed:>8}{percent(count.precision):>11}{percent(count.recall):>9}"
            f"{count.unsure:>8}",
            file=out,
        )


def print_disagreements(disagreements: Iterable[Disagreement], out: TextIO) -> None:
    for one in disagreements:
        label = one.label
        print(f"{one.code} {'missed' if one.missed else 'false alarm'}: {label.place}", file=out)
        codes = " ".join(sorted(label.codes)) or "nothing"
        print(f"    labelled {label.kind}, {codes}" + (f": {label.why}" if label.why else ""), file=out)
        if one.message:
            print(f"    linter: {one.message}", file=out)


def print_repositories(labels: Sequence[Label], out: TextIO) -> None:
    """The table of corpus/README.md."""
    print("| set | repository | commit | calls |\n| --- | --- | --- | --- |", file=out)
    for source in sorted({label.source for label in labels}):
        own = [label for label in labels if label.source == source]
        calls = Counter(label.repo for label in own)
        for repo, commit in commits_of(own).items():
            print(f"| {source} | {repo} | `{commit}` | {calls[repo]} |", file=out)


# ---- corpus diff


def save(findings: Iterable[Finding], file: Path) -> None:
    """Save findings, one JSON object per line."""
    with file.open("w", encoding="utf-8") as out:
        for finding in sorted(findings, key=Finding.order):
            at = finding.at
            row = {
                "code": finding.code,
                "path": at.path,
                "cell": at.cell,
                "line": at.line,
                "column": at.column,
                "message": finding.message,
            }
            out.write(json.dumps(row, ensure_ascii=False) + "\n")


def load(file: Path) -> list[Finding]:
    """Load findings saved by `save`."""
    findings: list[Finding] = []
    for text in file.read_text(encoding="utf-8").splitlines():
        row = json.loads(text)
        at = Place(row["path"], row["cell"], row["line"], row["column"])
        findings.append(Finding(row["code"], at, None, row["message"]))
    return findings


def print_difference(before: Iterable[Finding], after: Iterable[Finding], as_json: bool, out: TextIO) -> None:
    """Print the findings that were added and removed."""
    old = {(one.code, one.at): one for one in before}
    new = {(one.code, one.at): one for one in after}
    added = sorted((new[key] for key in new.keys() - old.keys()), key=Finding.order)
    removed = sorted((old[key] for key in old.keys() - new.keys()), key=Finding.order)
    if as_json:
        rows = {
            name: [{"code": one.code, "at": str(one.at), "message": one.message} for one in ones]
            for name, ones in (("added", added), ("removed", removed))
        }
        json.dump(rows | {"unchanged": len(new.keys() & old.keys())}, out, indent=2, ensure_ascii=False)
        print(file=out)
        return
    for sign, ones in (("+", added), ("-", removed)):
        for one in ones:
            print(f"{sign} {one.code} {one.at}  {one.message}", file=out)
    print(f"{len(added)} added, {len(removed)} removed, {len(new.keys() & old.keys())} unchanged", file=out)
    for code in RULES:
        plus, minus = sum(one.code == code for one in added), sum(one.code == code for one in removed)
        if plus or minus:
            print(f"  {code}: +{plus} -{minus}", file=out)


# ---- command line


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    made.add_argument("--code", type=Path, metavar="DIR", help="folder with <owner>+<name>/ checkouts")
    made.add_argument(
        "--fetch", action="store_true", help="clone the repositories that DIR lacks, at their commits"
    )
    made.add_argument(
        "--labels", nargs="+", type=Path, metavar="FILE", help="label files (default: all in corpus/)"
    )
    made.add_argument("--linter", metavar="COMMAND", help="how to start the linter (default: telepathy-lint)")
    made.add_argument(
        "--labelled-only", action="store_true", help="lint the labelled files, not the whole folder"
    )
    made.add_argument("--errors", action="store_true", help="list every disagreement")
    made.add_argument("--json", action="store_true", help="print JSON")
    made.add_argument("--save", type=Path, metavar="FILE", help="keep all findings over the code folder")
    made.add_argument("--against", type=Path, metavar="FILE", help="print what changed since --save")
    made.add_argument("--repositories", action="store_true", help="print the labelled repositories and stop")
    return made


def run(options: argparse.Namespace, out: TextIO) -> None:
    files: list[Path] = options.labels or sorted(CORPUS.glob("*.jsonl"))
    labels = read_labels(files)
    if options.repositories:
        print_repositories(labels, out)
        return
    if options.code is None:
        raise CorpusError("--code DIR is needed")
    code: Path = options.code.resolve()
    if options.fetch:
        fetch(commits_of(labels), code)
    if not code.is_dir():
        raise CorpusError(f"no folder {options.code}")
    command = linter_command(options.linter)
    if options.save or options.against:
        findings = lint(command, code, ["."])
        if options.against:
            print_difference(load(options.against), findings, options.json, out)
        if options.save:
            save(findings, options.save)
        return
    labels = present(labels, code)
    findings = lint_labelled(command, code, labels) if options.labelled_only else lint(command, code, ["."])
    counts, disagreements = compare(labels, findings)
    shifted = misplaced(labels, findings)
    if options.json:
        result = {
            "calls": len(labels),
            "rules": {code_: count.as_json() for code_, count in counts.items()},
            "overall": total(counts).as_json(),
            "misplaced": shifted,
            "disagreements": [one.as_json() for one in disagreements],
        }
        json.dump(result, out, indent=2, ensure_ascii=False)
        print(file=out)
        return
    if options.errors:
        print_disagreements(disagreements, out)
    kinds = Counter(label.kind for label in labels)
    print(f"{len(labels)} labelled calls: " + ", ".join(f"{kinds[kind]} {kind}" for kind in KINDS), file=out)
    print_table(counts, out)
    if shifted:
        print(f"{shifted} findings are on the line of a labelled call, at another column", file=sys.stderr)


def main(arguments: Sequence[str] | None = None) -> int:
    try:
        run(parser().parse_args(arguments), sys.stdout)
    except BrokenPipeError:
        os.dup2(
            os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno()
        )  # the reader has closed the pipe; discard the rest
    except (CorpusError, OSError) as error:
        print(f"precision.py: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
