"""`telepathy-lint server`: run the language server on standard input and output."""

from __future__ import annotations

import gc
import logging
import os
import sys
from argparse import Namespace
from contextlib import suppress

from telepathy_lint.commands.options import Usage


def server(options: Namespace) -> int:
    """Serve until the client sends `exit` or disconnects.

    As the protocol requires, return 0 if the client requested the shutdown first, and 1 otherwise.
    """
    del options
    try:
        from telepathy_lint.front_ends.language_server import create
    except ModuleNotFoundError as error:
        if error.name not in ("pygls", "lsprotocol"):
            raise
        raise Usage("the language server needs pygls: pip install 'telepathy-lint[server]'") from error
    # Commands run without garbage collection, but a server runs for days.
    gc.enable()
    # The protocol uses its own stream, which pygls closes, so that printed output cannot get between the messages.
    protocol = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    sys.stdout = sys.stderr
    # pygls prints a traceback for every request that is answered with an error, even if it merely came too late.
    logging.getLogger("pygls").setLevel(logging.CRITICAL)
    one = create()
    try:
        one.start_io(sys.stdin.buffer, protocol)
    finally:
        with suppress(OSError):  # the client is gone
            protocol.close()
    return 0 if one.asked_to_stop else 1
