"""`telepathy-lint server`: the language server on standard input and output."""

from __future__ import annotations

from argparse import Namespace

from telepathy_lint.commands.options import Usage


def server(options: Namespace) -> int:
    del options
    try:
        from telepathy_lint.language_server import create
    except ModuleNotFoundError as error:
        if error.name not in ("pygls", "lsprotocol"):
            raise
        raise Usage("the language server needs pygls: pip install 'telepathy-lint[server]'") from error
    create().start_io()
    return 0
