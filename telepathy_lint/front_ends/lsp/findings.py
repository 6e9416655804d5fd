"""What is found in a buffer, and how the protocol says it."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from lsprotocol import types

from telepathy_lint import engine
from telepathy_lint.discovery.config import Config, ConfigError, Configs
from telepathy_lint.discovery.walk import Found, Patterns
from telepathy_lint.findings.result import FAILED_CODE, crashed, failure, unreadable
from telepathy_lint.findings.violation import ORDER, Fix, Violation
from telepathy_lint.front_ends.lsp.documents import NO_CELL, Buffer, lines_of
from telepathy_lint.front_ends.lsp.settings import EditorSettings
from telepathy_lint.output import rule_url
from telepathy_lint.run.batch import Project
from telepathy_lint.run.lint_file import Job
from telepathy_lint.sites import Modules
from telepathy_lint.source.prefilter import may_matter
from telepathy_lint.source.text import Source, SourceError

#: How editors show what is more than a warning: crossed out, or greyed.
TAGS = {"TLP107": types.DiagnosticTag.Deprecated, "TLP108": types.DiagnosticTag.Unnecessary}
#: Where more lines than this changed since the last findings, no line is looked for at a new place.
_MOST_CHANGED = 2_000


class Linter:
    """Lints and fixes the buffers of one folder; it reads configuration and imported modules once.

    The session makes a new one when something was saved or changed on the disk.
    """

    def __init__(self, settings: EditorSettings) -> None:
        self.settings = settings
        self.modules = Modules()
        self._project: Project | None = None

    @property
    def project(self) -> Project:
        """Raises a ConfigError where the configuration file that the editor names cannot be used."""
        if self._project is None:
            self._project = Project(Configs(dict(self.settings.options), self.settings.configuration))
        return self._project

    def job(self, buffer: Buffer) -> Job:
        """The rules and settings for a buffer; a ConfigError says what is wrong with the configuration."""
        return self.project.job(_found(buffer), buffer.data)

    def config(self, buffer: Buffer) -> Config:
        """The configuration of the buffer's folder; a ConfigError says what is wrong with it."""
        return self.project.configs.of(_found(buffer).folder)

    def excludes(self, buffer: Buffer) -> bool:
        """Whether `exclude` leaves the file out: its name, or a folder between it and the workspace's."""
        config = self.config(buffer)
        patterns = Patterns((*config.exclude, *config.extend_exclude), config.root)
        path, is_folder = os.path.abspath(buffer.path), False
        while path != buffer.root:
            folder, name = os.path.split(path)
            if folder == path:
                break
            if patterns.match(folder, name, is_folder):
                return True
            path, is_folder = folder, True
        return False

    def lint(
        self, buffer: Buffer, edits: bool | Callable[[Fix], bool] = False
    ) -> tuple[list[Violation], frozenset[int]]:
        """The findings, and the cells that could not be parsed; a file that cannot be linted is a finding too."""
        try:
            if not self.settings.enable or self.excludes(buffer):
                return [], frozenset()
            job = self.job(buffer)
            if not may_matter(buffer.data, job.settings.loading_words):
                return [], frozenset()
            source = buffer.source()
            found = engine.lint(source, job.rules, job.settings, edits=edits, project=self.modules)
            for problem in source.problems:
                found += unreadable(buffer.path, problem).violations
            return sorted(found, key=ORDER), frozenset(problem.cell for problem in source.problems)
        except SourceError as error:
            return list(unreadable(buffer.path, error).violations), frozenset(buffer.uris)
        except engine.RuleError as error:
            return list(crashed(buffer.path, error).violations), frozenset()
        except ConfigError as error:
            return list(failure(buffer.path, str(error)).violations), frozenset()
        except RecursionError:
            return list(failure(buffer.path, "nested too deeply to be linted").violations), frozenset()
        except Exception as error:  # a fault of ours must not end the diagnostics of all other files
            text = f"telepathy-lint itself failed: {type(error).__name__}: {error} (please report it)"
            return list(failure(buffer.path, text).violations), frozenset()

    def fix(self, buffer: Buffer, unsafe: bool) -> tuple[Source, int] | None:
        """The source with all its fixes, and how many there were; None where nothing changes.

        Raises:
            SourceError, FixError, RuleError, ConfigError: the buffer cannot be fixed.
        """
        if not self.settings.enable or self.excludes(buffer):
            return None
        job = self.job(buffer)
        if not may_matter(buffer.data, job.settings.loading_words):
            return None
        source = buffer.source()
        try:
            fixed = engine.fix(source, job.rules, job.settings, unsafe=unsafe, project=self.modules)
        except RecursionError as error:
            raise engine.FixError("nested too deeply to be fixed; nothing was changed") from error
        return (source.with_text(fixed.text), len(fixed.applied)) if fixed.changed else None


def _found(buffer: Buffer) -> Found:
    return Found(buffer.path, os.path.dirname(os.path.abspath(buffer.path)))


class Kept(NamedTuple):
    """A document as it was when it could be parsed last, with what was found in it."""

    text: str
    violations: tuple[Violation, ...]


class Analysis(NamedTuple):
    """The findings of one state of a buffer."""

    buffer: Buffer
    linter: Linter
    found: tuple[Violation, ...]
    #: Findings of an earlier state in lines that are still there: of what cannot be parsed now, or is not to be linted yet.
    carried: tuple[Violation, ...]
    #: By the document's URI.
    kept: dict[str, Kept]
    #: Whether the present text was linted.
    linted: bool = True

    def diagnostics(self, client: types.ClientCapabilities) -> dict[str, list[types.Diagnostic]]:
        """What to show in each document of the buffer, also in those where there is nothing."""
        shown: dict[int, list[types.Diagnostic]] = {cell: [] for cell in self.buffer.uris}
        for violation in sorted((*self.found, *self.carried), key=ORDER):
            cell = violation.cell if violation.cell in shown else min(shown, default=NO_CELL)
            if cell in shown:
                shown[cell].append(diagnostic(self.buffer, violation, client))
        return {self.buffer.uris[cell]: each for cell, each in shown.items()}


def analyse(buffer: Buffer, linter: Linter, before: Analysis | None, wait: bool = False) -> Analysis:
    """The findings of a buffer; `before` is the last analysis of an earlier state of it.

    With `wait` it is not linted: the findings from before are shown where their lines are now.
    """
    known = before.kept if before is not None else {}
    if wait:
        moved = [each for cell, uri in buffer.uris.items() for each in _moved(known.get(uri), buffer, cell)]
        return Analysis(buffer, linter, (), tuple(moved), known, linted=False)
    found, broken = linter.lint(buffer)
    kept: dict[str, Kept] = {}
    carried: list[Violation] = []
    for cell, uri in buffer.uris.items():
        if cell not in broken:
            own = tuple(each for each in found if each.cell == cell and each.code != FAILED_CODE)
            kept[uri] = Kept(buffer.texts[cell], own)
        elif uri in known:
            kept[uri] = known[uri]
            carried += _moved(known[uri], buffer, cell)
    return Analysis(buffer, linter, tuple(found), tuple(carried), kept)


def _moved(kept: Kept | None, buffer: Buffer, cell: int) -> Iterator[Violation]:
    """The findings of an earlier text whose lines are still there, at the place where these stand now."""
    if kept is None or not kept.violations:
        return
    places = _new_lines(lines_of(kept.text), buffer.lines(cell))
    for violation in kept.violations:
        span = violation.span
        lines = [places.get(number) for number in range(span.line, span.end_line + 1)]
        first = lines[0]
        # A finding of several lines has to have them in one piece.
        if first is not None and lines == list(range(first, first + len(lines))):
            new = span._replace(line=first, end_line=first + len(lines) - 1, cell=cell)
            yield violation._replace(cell=cell, line=first, span=new, fix=None)


def _new_lines(old: Sequence[str], new: Sequence[str]) -> dict[int, int]:
    """Where the lines of a text (counted from 1) stand in a later one, as far as they are in it."""
    shorter = min(len(old), len(new))
    head = next((number for number in range(shorter) if old[number] != new[number]), shorter)
    rest = shorter - head
    tail = next((number for number in range(rest) if old[-1 - number] != new[-1 - number]), rest)
    places = {number + 1: number + 1 for number in range(head)}
    places |= {len(old) - number: len(new) - number for number in range(tail)}
    between_old, between_new = old[head : len(old) - tail], new[head : len(new) - tail]
    if between_old and between_new and max(len(between_old), len(between_new)) <= _MOST_CHANGED:
        import difflib

        matcher = difflib.SequenceMatcher(None, between_old, between_new, autojunk=False)
        for block in matcher.get_matching_blocks():
            for number in range(block.size):
                places[head + block.a + number + 1] = head + block.b + number + 1
    return places


def diagnostic(buffer: Buffer, violation: Violation, client: types.ClientCapabilities) -> types.Diagnostic:
    """A finding as the protocol says it, with no more than the client understands."""
    failed, url = violation.code == FAILED_CODE, rule_url(violation.code, violation.name)
    shown = client.text_document.publish_diagnostics if client.text_document is not None else None
    tag = TAGS.get(violation.code)
    known_tags = shown.tag_support.value_set if shown is not None and shown.tag_support is not None else ()
    return types.Diagnostic(
        range=buffer.range(violation.span),
        message=violation.text,
        severity=types.DiagnosticSeverity.Error if failed else types.DiagnosticSeverity.Warning,
        code=violation.code,
        source="telepathy-lint",
        code_description=types.CodeDescription(url) if url else None,
        tags=[tag] if tag is not None and tag in known_tags else None,
        data={"name": violation.name},
    )


def result_id(diagnostics: Sequence[types.Diagnostic]) -> str:
    """Names what is shown in a document: two states with the same diagnostics have the same."""
    text = repr(diagnostics).encode("utf-8", "backslashreplace")
    return hashlib.blake2b(text, digest_size=8).hexdigest()
