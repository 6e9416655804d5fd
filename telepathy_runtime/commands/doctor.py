"""`telepathy-runtime doctor [MODEL]`: shows what this machine has, what a load can use, and what it would choose."""

from __future__ import annotations

import argparse
import json
import os
import platform
from importlib import metadata
from typing import Any

from telepathy_runtime.choose.attention import flash_obstacle
from telepathy_runtime.choose.placement import gib
from telepathy_runtime.commands import load as load_command
from telepathy_runtime.errors import LoadError
from telepathy_runtime.machine import caches
from telepathy_runtime.machine.environment import (
    ATTENTION_DISTRIBUTIONS,
    LIBRARY_DISTRIBUTIONS,
    Machine,
    installed_versions,
    probe,
    release,
)

# The supported versions of torch and transformers; those of other packages are in transformers' metadata.
_WINDOWS = {"torch": ((2, 4), None), "transformers": ((4, 46), (6,))}
_LABEL = 16  # columns
_FLASH = ("flash_attention_2", "flash_attention_3", "flash_attention_4")


def add_parsers(subparsers: Any) -> None:
    parser = subparsers.add_parser(
        "doctor", help="print what this machine has and what load_model would choose"
    )
    parser.add_argument("model", nargs="?", help="hub id or folder to plan a load for")
    load_command.add_load_arguments(parser)
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    found = examine(arguments)
    # Continuation lines are indented to the longest label.
    print(json.dumps(found, indent=2) if arguments.json else load_command.folded(text(found), indent=_LABEL))
    return 1 if "error" in (found.get("plan") or {}) else 0


def examine(arguments: argparse.Namespace) -> dict[str, Any]:
    """Return everything that doctor prints, as plain values. Bytes are integers."""
    machine = probe()
    found: dict[str, Any] = {
        "platform": {
            "system": platform.platform(),
            "python": platform.python_version(),
            "cpus": os.cpu_count(),
        },
        "packages": _packages(),
        "launcher": {"description": machine.launcher.describe(), "sharding": machine.sharding},
        "accelerator": machine.accelerator,
        "devices": [
            {
                "device": f"{device.kind}:{device.index}",
                "name": device.name,
                "capability": list(device.capability) if device.capability else None,
                "free_bytes": device.free_bytes,
                "total_bytes": device.total_bytes,
            }
            for device in machine.devices
        ],
        "bfloat16": machine.bfloat16,
        "attention": _attention(machine),
        "cache": _cache(),
        "plan": None,
    }
    if arguments.model is not None:
        found["plan"] = _plan(arguments)
    return found


def _packages() -> list[dict[str, Any]]:
    windows, versions = _requirements(), installed_versions()
    rows = []
    for name in LIBRARY_DISTRIBUTIONS:
        version = versions.get(name)
        row: dict[str, Any] = {"name": name, "version": version, "window": windows.get(name)}
        lowest, beyond = _WINDOWS.get(name, (None, None))
        if lowest is not None:
            row["window"] = ">=" + ".".join(map(str, lowest)) + (f",<{beyond[0]}" if beyond else "")
        if version is not None and lowest is not None:
            row["supported"] = release(version) >= lowest and (beyond is None or release(version) < beyond)
        rows.append(row)
    return rows


def _requirements() -> dict[str, str]:
    """The versions that the installed transformers requires: "accelerate" -> ">=1.1.0"."""
    try:
        wanted = metadata.requires("transformers") or []
    except metadata.PackageNotFoundError:
        return {}
    found: dict[str, str] = {}
    for line in wanted:
        head = line.split(";")[0].strip()
        name = head.split("[")[0].rstrip("0123456789.,<>=!~ ")
        if name in LIBRARY_DISTRIBUTIONS and name not in found and head != name:
            found[name] = head[len(name) :].strip()
    return found


def _attention(machine: Machine) -> list[dict[str, Any]]:
    """Each attention implementation, and why this machine cannot use it; the model class is not considered."""
    rows: list[dict[str, Any]] = []
    for name in _FLASH:
        obstacle = flash_obstacle(name, machine, None, "bfloat16" if machine.bfloat16 else "float16")
        rows.append(
            {
                "name": name,
                "usable": obstacle is None,
                "because": obstacle or "package, capability and dtype fit",
            }
        )
    kernels = installed_versions(ATTENTION_DISTRIBUTIONS).get("kernels")
    rows.append(
        {
            "name": "hub kernels",
            "usable": kernels is not None,
            "because": f"kernels {kernels}, used only when asked for by name"
            if kernels
            else "kernels is not installed",
        }
    )
    rows.append({"name": "sdpa", "usable": True, "because": "part of torch"})
    rows.append({"name": "eager", "usable": True, "because": "part of transformers"})
    return rows


def _cache() -> dict[str, Any]:
    cache = caches.hub_cache()
    return {
        "path": str(cache.path),
        "chosen_by": cache.chosen_by,
        "exists": cache.exists,
        "writable": cache.writable,
        "free_bytes": cache.free_bytes,
        "offline": caches.offline(),
        "variables": {name: os.environ[name] for name in caches.VARIABLES if name in os.environ},
        "token": "set" if os.environ.get("HF_TOKEN") else "not in HF_TOKEN",
    }


def _plan(arguments: argparse.Namespace) -> dict[str, Any]:
    from telepathy_runtime.loading import prospects

    try:
        plan = load_command.planned(arguments)
    except LoadError as error:
        return {"error": type(error).__name__, "text": str(error)}
    found = {**plan.to_dict(), "text": plan.describe()}
    try:
        prospects.refuse_hopeless(plan, load_command.load_arguments(arguments).get("model_class"))
    except LoadError as error:
        found |= {"error": type(error).__name__, "text": f"{found['text']}\nThis load cannot work: {error}"}
    return found


def text(found: dict[str, Any]) -> str:
    """Format the findings for people."""
    here, cache = found["platform"], found["cache"]
    lines = [f"platform        {here['system']}, Python {here['python']}, {here['cpus']} CPUs"]
    for row in found["packages"]:
        window = f" (needs {row['window']})" if row["window"] else ""
        outside = "" if row.get("supported", True) else "  outside the supported range"
        lines.append(f"{row['name']:<15} {row['version'] or 'not installed'}{window}{outside}")
    launcher = found["launcher"]
    lines.append(
        f"launcher        {launcher['description']}{', ' + launcher['sharding'] if launcher['sharding'] else ''}"
    )
    if not found["devices"]:
        lines.append(f"accelerator     {found['accelerator']}")
    for device in found["devices"]:
        capability = ".".join(map(str, device["capability"])) if device["capability"] else "unknown"
        total = gib(device["total_bytes"]) if device["total_bytes"] else "unknown memory"
        free = f", {gib(device['free_bytes'])} free" if device["free_bytes"] else ""
        lines.append(
            f"device          {device['device']} {device['name']}, capability {capability}, {total}{free}"
        )
    lines.append(
        f"bfloat16        {'yes' if found['bfloat16'] else 'no: float16 or float32 is chosen instead'}"
    )
    for row in found["attention"]:
        lines.append(
            f"attention       {row['name']}: {'usable' if row['usable'] else 'not usable'}, {row['because']}"
        )
    state = "writable" if cache["writable"] else "NOT WRITABLE"
    free = gib(cache["free_bytes"]) + " free" if cache["free_bytes"] is not None else "free space unknown"
    lines.append(f"cache           {cache['path']} (from {cache['chosen_by']}), {state}, {free}")
    lines.append(
        f"network         {'forbidden by ' + cache['offline'] if cache['offline'] else 'allowed'}, token {cache['token']}"
    )
    if found["plan"] is not None:
        lines += ["", found["plan"]["text"]]
    return "\n".join(lines)
