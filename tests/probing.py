"""Runs a call of transformers and returns what it logs and loads, for tests of claims about the installed library.

transformers is imported in functions, so that collecting the linter's tests does not import it.
"""

from __future__ import annotations

import contextlib
import io
import logging
import warnings
from collections.abc import Iterator
from typing import Any


class Seen:
    """The log messages and warnings of a call."""

    def __init__(self) -> None:
        self.text = ""

    def __contains__(self, words: str) -> bool:
        return words in self.text


@contextlib.contextmanager
def listening() -> Iterator[Seen]:
    from transformers.utils import logging as library

    for name in ("warning_once", "info_once"):
        getattr(getattr(library, name), "cache_clear", lambda: None)()
    seen, stream = Seen(), io.StringIO()
    handler, logger = logging.StreamHandler(stream), logging.getLogger("transformers")
    level, disabled = logger.level, logging.root.manager.disable
    # Whatever ran before may have asked for silence.
    logger.setLevel(logging.WARNING)
    logging.disable(logging.NOTSET)
    logger.addHandler(handler)
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            yield seen
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)
        logging.disable(disabled)
        seen.text = stream.getvalue() + "\n".join(str(one.message) for one in caught)


def described(model: Any) -> Any:
    config = model.config.to_dict()
    generation = model.generation_config.to_dict()
    return str(model.dtype), model.config._attn_implementation, config, generation
