"""The findings in a buffer, and their form in the protocol."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Sequence

from lsprotocol import types

from telepathy_lint import engine
from telepathy_lint.discovery.config import Config, ConfigError, Configs
from telepathy_lint.discovery.walk import Patterns
from telepathy_lint.findings.result import FAILED_CODE, failure
from telepathy_lint.findings.violation import ORDER, Edit, Violation
from telepathy_lint.front_ends.lsp.documents import NO_CELL, Buffer, lines_of
from telepathy_lint.front_ends.lsp.settings import EditorSettings
from telepathy_lint.hints import NamedTuple
from telepathy_lint.output import rule_url
from telepathy_lint.run.lint_file import crashed, unreadable
from telepathy_lint.run.selection import FilePlan, Selection
from telepathy_lint.sites import Modules
from telepathy_lint.source.prefilter import may_matter
from telepathy_lint.source.text import Source, SourceError

#: Rules whose findings editors show in a special style: struck through or faded.
TAGS = {"TLP107": types.DiagnosticTag.Deprecated, "TLP108": types.DiagnosticTag.Unnecessary}
#: With more changed lines than this, findings are not moved to the new positions of their lines.
_MOST_CHANGED = 2_000


class Linter:
    """Lints and fixes the buffers of one folder; it reads configuration and imported modules once.

    The session creates a new one when files were saved or changed on disk.
    """

    def __init__(self, settings: EditorSettings) -> None:
        self.settings = settings
        self.modules = Modules()
        self._selection: Selection | None = None

    @property
    def selection(self) -> Selection:
        """Raises ConfigError if the configuration file set in the editor is invalid."""
        if self._selection is None:
            self._selection = Selection(Configs(dict(self.settings.options), self.settings.configuration))
        return self._selection

    def plan(self, buffer: Buffer) -> FilePlan:
        """The rules and settings for a buffer. Raises ConfigError if the configuration is invalid."""
        return self.selection.plan(buffer.path)

    def config(self, buffer: Buffer) -> Config:
        """The configuration of the buffer's folder. Raises ConfigError if it is invalid."""
        return self.selection.configs.of(os.path.dirname(os.path.abspath(buffer.path)))

    def excludes(self, buffer: Buffer) -> bool:
        """Whether `exclude` matches the file, or a folder between it and the workspace folder."""
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

    def lint(self, buffer: Buffer) -> tuple[list[Violation], frozenset[int]]:
        """The findings, and the cells that could not be parsed. A file that cannot be linted is reported as a finding."""
        try:
            if not self.settings.enable or self.excludes(buffer):
                return [], frozenset()
            plan = self.plan(buffer)
            if not may_matter(buffer.data, plan.settings.loading_words):
                return [], frozenset()
            source = buffer.source()
            found = engine.lint(source, plan.rules, plan.settings, project=self.modules)
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
        except Exception as error:  # a fault in the linter must not stop diagnostics for other files
            text = f"telepathy-lint itself failed: {type(error).__name__}: {error} (please report it)"
            return list(failure(buffer.path, text).violations), frozenset()

    def edits_of(self, buffer: Buffer, violation: Violation) -> tuple[Edit, ...]:
        """Return the edits of a finding's fix; none if it can no longer be applied."""
        try:
            plan = self.plan(buffer)
            with engine.Linted(buffer.source(), plan.rules, plan.settings, self.modules) as linted:
                return linted.edits_of(violation)
        except Exception:  # `lint` has reported the problem
            return ()

    def fix(self, buffer: Buffer, unsafe: bool) -> tuple[Source, int] | None:
        """The source with all fixes applied, and the number of fixes; None if nothing changes.

        Raises:
            SourceError, FixError, RuleError, ConfigError: the buffer cannot be fixed.
        """
        if not self.settings.enable or self.excludes(buffer):
            return None
        plan = self.plan(buffer)
        if not may_matter(buffer.data, plan.settings.loading_words):
            return None
        source = buffer.source()
        try:
            fixed = engine.fix(source, plan.rules, plan.settings, unsafe=unsafe, project=self.modules)
        except RecursionError as error:
            raise engine.FixError("nested too deeply to be fixed; nothing was changed") from error
        return (source.with_text(fixed.text), len(fixed.applied)) if fixed.changed else None


class Kept(NamedTuple):
    """The last state of a document that could be parsed, with its findings."""

    text: str
    violations: tuple[Violation, ...]


class Analysis(NamedTuple):
    """The findings of one state of a buffer."""

    buffer: Buffer
    linter: Linter
    found: tuple[Violation, ...]
    #: Findings of an earlier state in lines that still exist, for text that cannot be parsed now or is not
    #: linted yet.
    carried: tuple[Violation, ...]
    #: The last state of each document that could be parsed, by URI.
    kept: dict[str, Kept]
    #: Whether the current text was linted.
    linted: bool = True

    def diagnostics(self, client: types.ClientCapabilities) -> dict[str, list[types.Diagnostic]]:
        """The diagnostics of each document of the buffer, including documents without any."""
        shown: dict[int, list[types.Diagnostic]] = {cell: [] for cell in self.buffer.uris}
        for violation in sorted((*self.found, *self.carried), key=ORDER):
            cell = violation.cell if violation.cell in shown else min(shown, default=NO_CELL)
            if cell in shown:
                shown[cell].append(diagnostic(self.buffer, violation, client))
        return {self.buffer.uris[cell]: each for cell, each in shown.items()}


def analyse(buffer: Buffer, linter: Linter, before: Analysis | None, wait: bool = False) -> Analysis:
    """The findings of a buffer; `before` is the last analysis of an earlier state of it.

    With `wait`, it is not linted; the earlier findings are moved to the current position of their lines.
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
    """The findings of an earlier text whose lines still exist, moved to their current position."""
    if kept is None or not kept.violations:
        return
    places = _new_lines(lines_of(kept.text), buffer.lines(cell))
    for violation in kept.violations:
        span = violation.span
        lines = [places.get(number) for number in range(span.line, span.end_line + 1)]
        first = lines[0]
        # The lines of a multi-line finding must still be consecutive.
        if first is not None and lines == list(range(first, first + len(lines))):
            new = span._replace(line=first, end_line=first + len(lines) - 1, cell=cell)
            yield violation._replace(cell=cell, line=first, span=new, fix=None)


def _new_lines(old: Sequence[str], new: Sequence[str]) -> dict[int, int]:
    """The positions of the lines of a text (counted from 1) in a later text, for lines that still exist."""
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
    """A finding as a diagnostic, limited to the features that the client supports."""
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
    """An id of the diagnostics of a document; equal diagnostics have equal ids."""
    text = repr(diagnostics).encode("utf-8", "backslashreplace")
    return hashlib.blake2b(text, digest_size=8).hexdigest()
