"""`telepathy-lint cache`: where results are kept between runs, and away with them."""

from __future__ import annotations

import os
import sys
from argparse import Namespace

from telepathy_lint.cache import place
from telepathy_lint.config import Configs


def cache(options: Namespace) -> int:
    given = getattr(options, "cache-dir")
    configs = Configs({"cache-dir": given} if given is not None else {}, options.config, options.isolated)
    folder = place.folder_of(configs.of(os.getcwd()))
    if options.action == "dir":
        print(folder)
        return 0
    try:
        freed = place.clean(folder)
    except OSError as error:
        print(f"telepathy-lint: error: {folder}: cannot be removed: {error.strerror}", file=sys.stderr)
        return 2
    print(f"Removed {freed / 2**20:.1f} MiB from {folder}.")
    return 0
