"""The scan: parses a file once with `ast`, and finds the calls of interest and the possible values of their arguments.

`scan(source)` returns the file's sites; each kind is searched for on first use. The scanned code is never
imported or run.
"""

from __future__ import annotations

from collections.abc import Iterable

from telepathy_lint.flow.arguments import Argument
from telepathy_lint.flow.file import File
from telepathy_lint.flow.project import Modules
from telepathy_lint.flow.value import Value
from telepathy_lint.settings import Settings
from telepathy_lint.sites.finders import KINDS, sites_of
from telepathy_lint.sites.site import Kind, Known, Site
from telepathy_lint.sites.written_ids import wrong_ids
from telepathy_lint.source.prefilter import (
    COMPANION,
    DECODING_WORD,
    LOAD_WORDS,
    CodeWords,
    may_matter,
    may_migrate,
    may_set_cache,
)
from telepathy_lint.source.text import Source

__all__ = ["Argument", "File", "Known", "Modules", "Scan", "Site", "Value", "may_matter", "scan"]


class Scan:
    """The sites of a file, and the `File` itself for the fixes (None if the file contains nothing relevant)."""

    __slots__ = ("file", "source")

    def __init__(self, source: Source, file: File | None) -> None:
        self.source = source
        self.file = file

    @property
    def sites(self) -> tuple[Site, ...]:
        """All sites of the file, in reading order."""
        return self.of(KINDS)

    def of(self, kinds: Iterable[Kind]) -> tuple[Site, ...]:
        """The sites of these kinds, in reading order."""
        return sites_of(self.file, frozenset(kinds)) if self.file is not None else ()

    def release(self) -> None:
        """Free the file's tree; the sites must not be used afterwards."""
        if self.file is not None:
            self.file.release()


def scan(source: Source, settings: Settings | None = None, modules: Modules | None = None) -> Scan:
    """Scan one file. Raises SourceError if it is not valid Python.

    With `modules`, imports from the project's modules are followed.
    """
    words = CodeWords(source.code)
    settings = settings or Settings()
    paths = may_set_cache(source.text) and words.has("environ")
    beside = paths or source.once(wrong_ids) or settings.unused_models
    # The loader's module name is searched for, because some of its functions have common names, such as
    # `load`.
    loading = (*LOAD_WORDS, DECODING_WORD, COMPANION, *settings.loading_words)
    if not beside and not words.has(*loading) and not may_migrate(words):
        return Scan(source, None)
    return Scan(source, File(source, settings, modules, words))
