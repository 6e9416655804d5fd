"""Questions about the models that a file names, for loads whose id comes from elsewhere: arguments, configs, callers."""

from __future__ import annotations

from collections.abc import Callable

from telepathy_lint.knowledge.published import ids_in
from telepathy_lint.sites import Site


def are_all(site: Site, ask: Callable[[str], bool]) -> bool:
    """Whether the file names models, and the answer is yes for all of them.

    If it names none, the modules of the project that are connected with it count.
    """
    ids = site.source.once(ids_in)
    modules = site.file.modules
    if not ids and modules is not None:
        found = [modules.told(path, ids_in) for path in modules.connected(site.source.path) or ()]
        ids = tuple(one for each in found for one in each)
    return bool(ids) and all(map(ask, ids))
