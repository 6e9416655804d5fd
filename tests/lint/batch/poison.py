"""A rule that harms the process that runs it, as a fault of Python itself or of the system could."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator

from telepathy_lint.findings.finding import Finding
from telepathy_lint.rule import Meta, Rule
from telepathy_lint.settings import Settings
from telepathy_lint.sites import Site


class Poison(Rule):
    """The model id says what happens.

    Bad:
        AutoModel.from_pretrained("hangs")

    Good:
        AutoModel.from_pretrained("gpt2")
    """

    meta = Meta(
        code="TLP999", name="poisoned-load", message="poison", since="0.1.0", kinds=("model",), default=False
    )

    def check(self, site: Site, settings: Settings) -> Iterator[Finding]:
        if site.model_id == "dies":
            os.kill(os.getpid(), signal.SIGKILL)
        if site.model_id == "exits":
            os._exit(3)
        while site.model_id == "hangs":
            pass
        if site.model_id == "grows":
            bytearray(1 << 42)
        if site.model_id == "prints":
            os.write(1, b"noise")
        yield site.at_call()
