"""Parses the sizes in out-of-memory messages."""

from __future__ import annotations

import re

from telepathy_runtime.memory.units import parse

_SIZE = r"(\d+(?:\.\d+)? (?:[KMG]iB|bytes))"
_PATTERNS = {
    "tried": rf"Tried to allocate {_SIZE}",
    "total": rf"(?:total capacity of {_SIZE}|{_SIZE} total capacity)",
    "free": rf"(?:of which {_SIZE} is free|{_SIZE} free)",
    "in_use": rf"has {_SIZE} memory in use",
    "allocated": rf"(?:{_SIZE} is allocated by PyTorch|{_SIZE} already allocated)",
    "reserved_unallocated": rf"{_SIZE} is reserved by PyTorch but unallocated",
}


def parse_oom(message: str) -> dict[str, int | None]:
    """The bytes in an out-of-memory message of PyTorch 1.x or 2.x; None for values that it does not contain."""
    found: dict[str, int | None] = {}
    for name, pattern in _PATTERNS.items():
        match = re.search(pattern, message)
        found[name] = parse(next(group for group in match.groups() if group)) if match else None
    return found
