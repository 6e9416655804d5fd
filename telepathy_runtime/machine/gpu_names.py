"""The GPUs known by name. The linter uses this module to check its configuration, so it imports nothing heavy."""

from __future__ import annotations

#: GiB reported by the driver: the low end of the values in public out-of-memory messages for each name.
_SEEN = {
    "H200": 139.72,
    "H100-80GB": 79.10,
    "A100-80GB": 79.10,
    "A100-40GB": 39.25,
    "L40S": 44.34,
    "L40": 44.34,
    "A40": 44.34,
    "RTX-4090": 23.64,
    "V100-16GB": 15.77,
    "T4": 14.75,
}
#: GiB from the data sheet, for cards without a known value from the driver.
_SHEETS = {
    "A10": 24, "A10G": 24, "A30": 24, "A16": 16, "A2": 16, "L4": 24, "V100-32GB": 32, "P100-16GB": 16, "P40": 24,
    "RTX-A4000": 16, "RTX-A4500": 20, "RTX-A5000": 24, "RTX-A5500": 24, "RTX-A6000": 48, "RTX-4000-Ada": 20,
    "RTX-5000-Ada": 32, "RTX-6000-Ada": 48, "RTX-2080-Ti": 11, "RTX-3060-12GB": 12, "RTX-3070": 8, "RTX-3080-10GB": 10,
    "RTX-3080-12GB": 12, "RTX-3090": 24, "RTX-3090-Ti": 24, "RTX-4060": 8, "RTX-4060-Ti-16GB": 16, "RTX-4070": 12,
    "RTX-4070-Ti-Super": 16, "RTX-4080": 16, "RTX-5070": 12, "RTX-5070-Ti": 16, "RTX-5080": 16, "RTX-5090": 32,
    "TITAN-RTX": 24, "MI210": 64, "MI300X": 192,
}  # fmt: skip
#: The share of the data sheet's value that the driver reports: 0.92 on T4, L40S and A40 with ECC, 0.99 on
#: others. Rounded down.
_LEFT = 0.91
GIB_TOTALS = _SEEN | {name: size * _LEFT for name, size in _SHEETS.items()}
#: The name for the GPU of this machine.
DEVICE = "device"


def canonical(name: str) -> str | None:
    """Return the name as written in the table, ignoring case; None if it is unknown."""
    return {known.casefold(): known for known in GIB_TOTALS}.get(name.casefold())


def sized(name: str) -> tuple[int, int] | None:
    """(number of cards, bytes of each) for "24GiB" or "2x48GiB"; None for other text."""
    import re

    match = re.fullmatch(r"(?:([1-9]\d{0,3})x)?(\d{1,5}(?:\.\d+)?)(GiB|GB|G)", name, re.IGNORECASE)
    if match is None:
        return None
    unit = 10**9 if match[3].casefold() == "gb" else 2**30
    size = int(float(match[2]) * unit)
    return (int(match[1] or 1), size) if size else None


def unknown(name: str) -> str:
    """The error message for an unknown name, with the closest known ones."""
    import difflib

    by_lower = {known.casefold(): known for known in GIB_TOTALS}
    begin = [known for known in by_lower if known.startswith(name.casefold())] if name else []
    near = begin or difflib.get_close_matches(name.casefold(), list(by_lower), n=3, cutoff=0.4)
    names = ", ".join(by_lower[each] for each in near) if near else ", ".join(GIB_TOTALS)
    return f"no capacity known for GPU {name!r}; nearest: {names}; or {DEVICE!r} to ask this one"
