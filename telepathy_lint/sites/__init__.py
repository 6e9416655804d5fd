"""The scan: one `ast` parse of a file finds the calls of interest and what every argument can be.

`scan(source)` gives the file's Sites. Nothing is imported or run from the code that is looked at.
"""

from __future__ import annotations

from typing import NamedTuple

from telepathy_lint.flow.evaluate import Value
from telepathy_lint.flow.project import Modules
from telepathy_lint.settings import Settings
from telepathy_lint.sites.loads import SiteFinder
from telepathy_lint.sites.site import Argument, Known, Site
from telepathy_lint.sites.written_ids import wrong_ids
from telepathy_lint.source.prefilter import DECODING_WORD, LOAD_WORDS, CodeWords, may_matter, may_set_cache
from telepathy_lint.source.text import Source

__all__ = ["Argument", "Known", "Modules", "Scan", "Site", "Value", "may_matter", "scan"]


class Scan(NamedTuple):
    """One file's sites, and the finder that knows its names (the fixes ask it)."""

    source: Source
    sites: tuple[Site, ...]
    finder: SiteFinder | None

    def release(self) -> None:
        """Let go of the file's tree; the sites must not be asked anything afterwards."""
        if self.finder is not None:
            self.finder.release()


def scan(source: Source, settings: Settings | None = None, modules: Modules | None = None) -> Scan:
    """Find the sites of one file; a SourceError where it is not Python.

    With `modules`, imports from the project's own modules are followed.
    """
    words = CodeWords(source.code)
    settings = settings or Settings()
    paths = may_set_cache(source.text) and words.has("environ")
    beside = paths or source.once(wrong_ids) or settings.unused_models
    if not beside and not words.has(*LOAD_WORDS, DECODING_WORD, *settings.loading_words):
        return Scan(source, (), None)
    finder = SiteFinder(source, words, settings, modules)
    sites = tuple(finder.find())
    if settings.unused_models:
        from telepathy_lint.sites.unused_ids import entries

        sites += tuple(entries(finder, settings.unused_models))
    return Scan(source, sites, finder)
