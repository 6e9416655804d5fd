"""The GPUs that are known by name. The linter checks its configuration against them: this module imports nothing heavy."""

from __future__ import annotations

#: GiB that the driver reports, at the low end of what public out-of-memory messages say for each name.
GIB_TOTALS = {
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
#: The name that stands for the GPU of this machine.
DEVICE = "device"


def canonical(name: str) -> str | None:
    """The name as the table has it, in whatever case it was written; None for one that is not there."""
    return {known.casefold(): known for known in GIB_TOTALS}.get(name.casefold())


def unknown(name: str) -> str:
    """What to say about a name that is not in the table: the nearest ones."""
    import difflib

    by_lower = {known.casefold(): known for known in GIB_TOTALS}
    begin = [known for known in by_lower if known.startswith(name.casefold())] if name else []
    near = begin or difflib.get_close_matches(name.casefold(), list(by_lower), n=3, cutoff=0.4)
    names = ", ".join(by_lower[each] for each in near) if near else ", ".join(GIB_TOTALS)
    return f"no capacity known for GPU {name!r}; nearest: {names}; or {DEVICE!r} to ask this one"
