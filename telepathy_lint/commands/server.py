"""`telepathy-lint server`: the language server on standard input and output."""

from __future__ import annotations

import gc
import logging
import os
import sys
from argparse import Namespace
from contextlib import suppress

from telepathy_lint.commands.options import Usage


def server(options: Namespace) -> int:
    """Serve until the client says `exit` or goes away.

    As the protocol has it: 0 where the client asked for the shutdown first, 1 where it did not.
    """
    del options
    try:
        from telepathy_lint.front_ends.language_server import create
    except ModuleNotFoundError as error:
        if error.name not in ("pygls", "lsprotocol"):
            raise
        raise Usage("the language server needs pygls: pip install 'telepathy-lint[server]'") from error
    # A command ends before garbage matters; a server runs for days.
    gc.enable()
    # The protocol has a stream of its own, which pygls closes; what anything prints must not get between its messages.
    protocol = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    sys.stdout = sys.stderr
    # pygls prints a traceback for every request that is answered with an error, also for one that was only too late.
    logging.getLogger("pygls").setLevel(logging.CRITICAL)
    one = create()
    try:
        one.start_io(sys.stdin.buffer, protocol)
    finally:
        with suppress(OSError):  # the client is gone, and so is whoever would read the rest
            protocol.close()
    return 0 if one.asked_to_stop else 1
