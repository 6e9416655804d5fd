"""`telepathy-lint cache`: print the location of the cache, or remove it."""

from __future__ import annotations

import os
import sys
from argparse import ArgumentParser, Namespace

from telepathy_lint.cache import place
from telepathy_lint.commands.options import add_cache_dir, add_where, configs_of


def add_options(sub: ArgumentParser) -> None:
    sub.add_argument("action", choices=("clean", "dir"), help="remove the cache, or print its location")
    add_cache_dir(sub)
    add_where(sub)


def cache(options: Namespace) -> int:
    given = getattr(options, "cache-dir")
    configs = configs_of(options, {"cache-dir": given} if given is not None else {}, "cache-dir")
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
