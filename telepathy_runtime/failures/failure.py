"""A failed load as data: the request, and the exception with its causes."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from telepathy_runtime.checkpoint import files as checkpoint
from telepathy_runtime.choose.plan import LoadPlan
from telepathy_runtime.choose.tokenization import TokenizerRequest
from telepathy_runtime.machine import caches


@dataclass(frozen=True)
class Failure:
    """A failed load: the request, and the exception with its causes, outermost first."""

    asked: str
    model_id: str
    keywords: Mapping[str, Any]
    chain: tuple[BaseException, ...]
    tokenizer: bool = False
    class_name: str = ""  # of the model, as in transformers

    @property
    def text(self) -> str:
        return "\n".join(str(error) for error in self.chain)

    @property
    def first_line(self) -> str:
        """The first line of the outermost exception's message, shortened."""
        lines = [line.strip() for line in str(self.chain[0]).splitlines() if line.strip()]
        return lines[0] if lines else type(self.chain[0]).__name__

    def named(self, *names: str) -> bool:
        return any(cls.__name__ in names for error in self.chain for cls in type(error).__mro__)

    def says(self, *patterns: str) -> bool:
        return any(re.search(pattern, self.text, re.IGNORECASE) for pattern in patterns)

    def numbered(self, *numbers: int) -> OSError | None:
        for error in self.chain:
            if isinstance(error, OSError) and error.errno in numbers:
                return error
        return None

    def cache(self) -> caches.Cache:
        return caches.hub_cache(cache_dir=self.keywords.get("cache_dir"))

    def folder(self) -> Path | None:
        """The folder of the checkpoint, if it is on this machine."""
        return checkpoint.located(self.model_id, self.keywords)


def failure_of(asked: LoadPlan | TokenizerRequest, error: BaseException) -> Failure:
    if isinstance(asked, TokenizerRequest):
        what, model_id, keywords = (
            f"loading the tokenizer of {asked.model_id!r}",
            asked.model_id,
            asked.keywords,
        )
    else:
        request = asked.request
        what, model_id = request.asked, request.model_id
        keywords = asked.keywords()
    chain, seen = [], set()
    following: BaseException | None = error
    while following is not None and id(following) not in seen:
        seen.add(id(following))
        chain.append(following)
        following = following.__cause__ or following.__context__
    class_name = "" if isinstance(asked, TokenizerRequest) else asked.request.class_name
    return Failure(what, model_id, keywords, tuple(chain), isinstance(asked, TokenizerRequest), class_name)
