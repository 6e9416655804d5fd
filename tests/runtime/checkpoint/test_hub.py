"""Loads from a hub by id: downloaded, gated, missing, offline, with a full disk, with a read-only cache.

The hub is a server on localhost. huggingface_hub reads its variables once, so the loads run in two separate
processes: one with the network and one without.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import telepathy_runtime
from telepathy_runtime.machine import caches
from tests.runtime.checkpoint.hub import COMMIT, serve
from tests.runtime.conftest import Checkpoints

ROOT = Path(telepathy_runtime.__file__).parent.parent
NONES = dict.fromkeys(("dtype", "device_map", "attn_implementation", "generation_config"))
PROGRAM = """
import json, sys
import telepathy_runtime as t
for key, name, arguments in json.loads(sys.argv[1]):
    kind = arguments.pop("kind", "load_model")
    try:
        loaded = getattr(t, kind)(name, **arguments)
    except t.LoadError as error:
        out = {"error": type(error).__name__, "text": str(error)}
    else:
        report = t.LoadReport.of(loaded)
        out = {"class": type(loaded).__name__, "revision": report and report.effective["revision"]}
        if kind == "plan_load":
            out["text"] = loaded.describe()
    print("OUTCOME", json.dumps([key, out]))
"""
Step = tuple[str, str, dict[str, Any]]


def start(steps: list[Step], environ: dict[str, str]) -> subprocess.Popen[str]:
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("HF_", "TRANSFORMERS_"))}
    return subprocess.Popen(
        [sys.executable, "-c", PROGRAM, json.dumps(steps)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env={**kept, "TRANSFORMERS_VERBOSITY": "error", "HF_HUB_DISABLE_XET": "1", **environ},
    )


def outcomes(process: subprocess.Popen[str]) -> dict[str, Any]:
    """What became of each step, by its key."""
    out, errors = process.communicate(timeout=300)
    assert process.returncode == 0, errors[-3000:]
    lines = [line.removeprefix("OUTCOME ") for line in out.splitlines() if line.startswith("OUTCOME ")]
    return dict(json.loads(line) for line in lines)


def run(steps: list[Step], environ: dict[str, str]) -> dict[str, Any]:
    with start(steps, environ) as process:
        try:
            return outcomes(process)
        finally:
            process.kill()


def mount(folder: Path, *options: str) -> bool:
    folder.mkdir(exist_ok=True)
    return subprocess.run(["mount", *options, str(folder)], capture_output=True).returncode == 0


@pytest.fixture(scope="module")
def mounts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Path]]:
    """A disk of 64 KB, smaller than the weights, and a cache that a test can remount read-only. Empty without root."""
    root = tmp_path_factory.mktemp("mounts")
    made = {}
    for name in ("small", "smaller"):
        if mount(root / name, "-t", "tmpfs", "-o", "size=64k", "tmpfs"):
            made[name] = root / name
    try:
        yield made
    finally:
        for folder in made.values():
            subprocess.run(["umount", "-l", str(folder)], check=True)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="module")
def unreachable(tmp_path_factory: pytest.TempPathFactory) -> Iterator[subprocess.Popen[str]]:
    """A load from a hub that does not answer. It mostly waits, for about a minute: it runs beside the other loads."""
    environ = {"HF_HOME": str(tmp_path_factory.mktemp("unreachable")), "HF_ENDPOINT": "http://127.0.0.1:9"}
    with start([("load", "org/tiny", {})], environ) as process:
        yield process
        process.kill()


@pytest.fixture(scope="module")
def online(
    unreachable: object, checkpoints: Checkpoints, mounts: dict[str, Path], home: Path
) -> dict[str, Any]:
    """The results of the loads in a process with the network."""
    repositories: dict[str, Path | str] = {
        "org/tiny": checkpoints("llama", pad="present"),
        "org/partial": checkpoints("llama", pad="reserved"),
        "org/gated": "GatedRepo",
    }
    steps: list[Step] = [
        ("plan before", "org/tiny", {"kind": "plan_load"}),
        ("download", "org/tiny", {}),
        ("plan after", "org/tiny", {"kind": "plan_load"}),
        ("again", "org/tiny", {"revision": COMMIT}),
        ("partial", "org/partial", {}),
        ("gated", "org/gated", {}),
        ("gated with token", "org/gated", {"token": "hf_secret"}),
        ("gated tokenizer", "org/gated", {"kind": "load_tokenizer"}),
        ("missing", "org/nothing", {}),
        ("missing tokenizer", "org/nothing", {"kind": "load_tokenizer"}),
        ("revision", "org/tiny", {"revision": "v9"}),
    ]
    if mounts:
        steps += [
            ("small disk", "org/tiny", {"cache_dir": str(mounts["small"])}),
            ("small disk, four Nones", "org/tiny", {"cache_dir": str(mounts["smaller"]), **NONES}),
        ]
    with serve(repositories) as endpoint:
        return run(steps, {"HF_HOME": str(home), "HF_ENDPOINT": endpoint})


@pytest.fixture(scope="module")
def offline(online: dict[str, Any], home: Path) -> dict[str, Any]:
    """The results of the loads in a process without the network, with the cache of `online`, now read-only."""
    for weights in (home / "hub" / "models--org--partial" / "snapshots" / COMMIT).glob("*.safetensors"):
        weights.unlink()
    steps: list[Step] = [
        ("cached", "org/tiny", {}),
        ("partial", "org/partial", {}),
        ("absent", "org/other", {}),
    ]
    return run(steps, {"HF_HOME": str(home), "HF_HUB_OFFLINE": "1"})


@pytest.mark.slow
def test_downloaded_and_reported(online: dict[str, Any], home: Path) -> None:
    assert f"download = 0.00 GiB into {home / 'hub'} (from HF_HOME, " in online["plan before"]["text"]
    assert online["download"] == {"class": "LlamaForCausalLM", "revision": COMMIT}
    assert "download" not in online["plan after"]["text"]
    assert online["again"]["revision"] == COMMIT


@pytest.mark.slow
def test_gated(online: dict[str, Any]) -> None:
    for key in ("gated", "gated tokenizer"):
        assert online[key]["error"] == "GatedModelError"
        assert "no token was given" in online[key]["text"]
        assert "huggingface.co/org/gated" in online[key]["text"]
    assert "this token has no access" in online["gated with token"]["text"]
    assert "hf_secret" not in online["gated with token"]["text"]


@pytest.mark.slow
def test_missing_repository_and_revision(online: dict[str, Any]) -> None:
    for key in ("missing", "missing tokenizer"):
        assert online[key]["error"] == "ModelMissingError"
        assert "set HF_TOKEN or pass token=" in online[key]["text"]
    assert online["revision"]["error"] == "ModelMissingError"
    assert "v9" in online["revision"]["text"]


@pytest.mark.slow
def test_a_disk_too_small_is_seen_before_the_download(
    online: dict[str, Any], mounts: dict[str, Path]
) -> None:
    if not mounts:
        pytest.skip("mounting a small file system needs root")
    error = online["small disk"]
    assert error["error"] == "DiskFullError"
    assert f"and the disk of {mounts['small']} (from cache_dir) has 0.00 GiB free" in error["text"]
    assert "point HF_HOME or cache_dir=" in error["text"]
    assert not list(mounts["small"].rglob("*.safetensors"))


@pytest.mark.slow
def test_a_disk_that_fills_up_during_the_download(online: dict[str, Any], mounts: dict[str, Path]) -> None:
    """With four None nothing is checked before; the download itself fills the disk."""
    if not mounts:
        pytest.skip("mounting a small file system needs root")
    error = online["small disk, four Nones"]
    assert error["error"] == "DiskFullError"
    assert "no space left on the disk" in error["text"]


@pytest.mark.slow
def test_offline_with_and_without_cache(offline: dict[str, Any], home: Path) -> None:
    assert offline["cached"] == {"class": "LlamaForCausalLM", "revision": COMMIT}
    for key, state in (("partial", "only some of the files are"), ("absent", "none of the files are")):
        assert offline[key]["error"] == "OfflineError"
        assert (
            f"HF_HUB_OFFLINE forbids the network and {state} in the cache {home / 'hub'}"
            in offline[key]["text"]
        )
        assert "hf download org/" in offline[key]["text"]


@pytest.mark.slow
def test_a_read_only_cache(online: dict[str, Any], checkpoints: Checkpoints, home: Path) -> None:
    """A read-only mount, which also applies to root. Cached files load; others are refused by name."""
    if not hasattr(os, "geteuid") or os.geteuid() != 0 or not mount(home, "--bind", str(home)):
        pytest.skip("mounting read-only needs root")
    steps: list[Step] = [
        ("cached", "org/tiny", {}),
        ("new", "org/sharded", {}),
        ("new, four Nones", "org/sharded", {**NONES}),
        ("new tokenizer", "org/sharded", {"kind": "load_tokenizer"}),
    ]
    try:
        subprocess.run(["mount", "-o", "remount,ro,bind", str(home)], check=True)
        repositories: dict[str, Path | str] = {
            "org/tiny": checkpoints("llama", pad="present"),
            "org/sharded": checkpoints("llama", sharded=True),
        }
        with serve(repositories) as endpoint:
            found = run(steps, {"HF_HOME": str(home), "HF_ENDPOINT": endpoint})
    finally:
        subprocess.run(["umount", "-l", str(home)], check=True)
    assert found["cached"]["class"] == "LlamaForCausalLM"
    for key in ("new", "new, four Nones", "new tokenizer"):
        assert found[key]["error"] == "ReadOnlyCacheError", found[key]
        assert f"the cache {home / 'hub'} (from HF_HOME) is not writable" in found[key]["text"]


@pytest.mark.slow
def test_a_hub_that_cannot_be_reached(unreachable: subprocess.Popen[str]) -> None:
    """transformers itself retries for about a minute; the loader adds no retries."""
    outcome = outcomes(unreachable)
    assert outcome["load"]["error"] == "OfflineError"
    assert "the hub cannot be reached and none of the files are in the cache" in outcome["load"]["text"]


@pytest.mark.parametrize(
    ("environ", "cache_dir", "path", "chosen_by"),
    [
        ({"HF_HOME": "/a"}, None, "/a/hub", "HF_HOME"),
        ({"HF_HOME": "/a", "HF_HUB_CACHE": "/b"}, None, "/b", "HF_HUB_CACHE"),
        ({"HF_HOME": "/a", "HUGGINGFACE_HUB_CACHE": "/c"}, None, "/c", "HUGGINGFACE_HUB_CACHE"),
        ({"XDG_CACHE_HOME": "/x"}, None, "/x/huggingface/hub", "XDG_CACHE_HOME"),
        ({"HF_HOME": "/a"}, "/d", "/d", "cache_dir"),
        ({}, None, str(Path.home() / ".cache/huggingface/hub"), "default"),
    ],
)
def test_which_cache(environ: dict[str, str], cache_dir: str | None, path: str, chosen_by: str) -> None:
    cache = caches.hub_cache(environ, cache_dir)
    assert (str(cache.path), cache.chosen_by) == (path, chosen_by)


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_without_permission_is_not_writable(tmp_path: Path) -> None:
    tmp_path.chmod(0o555)
    assert not caches.hub_cache({"HF_HOME": str(tmp_path)}).writable
