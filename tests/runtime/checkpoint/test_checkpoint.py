"""Reading checkpoints without torch: exact sizes from headers, and clear errors for damage."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from telepathy_runtime.checkpoint import files as checkpoint
from telepathy_runtime.checkpoint.files import Tensor, UnreadableError
from telepathy_runtime.choose.plan import Facts, Request, make_plan
from telepathy_runtime.loading.planning import weight_bytes
from telepathy_runtime.machine import caches
from tests.runtime.machines import GIB, cuda


def write(file: Path, tensors: dict[str, tuple[str, list[int]]], *, data: bool = True) -> Path:
    """A safetensors file with zeros."""
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    end = 0
    for name, (dtype, shape) in tensors.items():
        size = Tensor(dtype, tuple(shape)).stored_bytes
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [end, end + size]}
        end += size
    text = json.dumps(header).encode()
    file.write_bytes(struct.pack("<Q", len(text)) + text + (bytes(end) if data else b""))
    return file


TENSORS = {
    "model.embed_tokens.weight": ("BF16", [100, 8]),
    "model.layers.0.q.weight": ("BF16", [8, 8]),
    "model.norm.weight": ("F32", [8]),
    "scale": ("I32", [2]),
}


def test_sizes_by_dtype_and_quantisation(tmp_path: Path) -> None:
    write(tmp_path / "model.safetensors", TENSORS)
    found = checkpoint.read(tmp_path)
    assert found is not None
    assert found.stored_bytes == 1600 + 128 + 32 + 8
    assert found.bytes_in(None) == found.stored_bytes
    assert found.bytes_in(2) == 2 * (800 + 64 + 8) + 8
    assert found.bytes_in(4) == 4 * (800 + 64 + 8) + 8
    assert found.bytes_in(2, four_bit=True) == 1600 + 32 + 16 + 8  # only the layer's matrix is quantised
    assert found.bytes_in(2, eight_bit=True) == 1600 + 64 + 16 + 8


def test_index_and_missing_shards(tmp_path: Path) -> None:
    write(tmp_path / "a.safetensors", {"a": ("F32", [3])})
    write(tmp_path / "b.safetensors", {"b": ("F32", [5])})
    index = {"metadata": {"total_size": 999}, "weight_map": {"a": "a.safetensors", "b": "b.safetensors"}}
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps(index))
    whole = checkpoint.read(tmp_path)
    assert whole is not None
    assert whole.stored_bytes == 32  # the headers are exact, the index only claims
    (tmp_path / "b.safetensors").unlink()
    partial = checkpoint.read(tmp_path)
    assert partial is not None
    assert (partial.stored_bytes, partial.tensors) == (999, None)


def test_the_files_transformers_prefers(tmp_path: Path) -> None:
    assert checkpoint.read(tmp_path) is None
    (tmp_path / "pytorch_model.bin").write_bytes(b"x" * 70)
    pickled = checkpoint.read(tmp_path)
    assert pickled is not None
    assert (pickled.stored_bytes, pickled.tensors) == (70, None)
    write(tmp_path / "model.safetensors", {"a": ("F32", [1])})
    write(tmp_path / "model.fp16.safetensors", {"a": ("F16", [1])})
    plain, variant = checkpoint.read(tmp_path), checkpoint.read(tmp_path, variant="fp16")
    assert plain is not None
    assert variant is not None
    assert (plain.stored_bytes, variant.stored_bytes) == (4, 2)


def test_damage_is_named(tmp_path: Path) -> None:
    file = write(tmp_path / "model.safetensors", TENSORS, data=False)
    with pytest.raises(UnreadableError, match=r"model\.safetensors is truncated"):
        checkpoint.read(tmp_path)
    file.write_bytes(b"1234")
    with pytest.raises(UnreadableError, match="too short"):
        checkpoint.read(tmp_path)
    file.write_bytes(struct.pack("<Q", 10**12) + b"{}")
    with pytest.raises(UnreadableError, match="claims a header of 1000000000000 bytes in a file of 10"):
        checkpoint.read(tmp_path)
    (tmp_path / "config.json").write_text("[1]")
    with pytest.raises(UnreadableError, match="does not contain a JSON object"):
        checkpoint.config(tmp_path)


@given(st.binary(max_size=300), st.booleans())
def test_any_bytes_are_read_or_refused(
    tmp_path_factory: pytest.TempPathFactory, content: bytes, framed: bool
) -> None:
    """For any content, the result is a header or UnreadableError, never another exception."""
    file = tmp_path_factory.getbasetemp() / "any.safetensors"
    file.write_bytes(struct.pack("<Q", len(content)) + content if framed else content)
    try:
        found = checkpoint.header(file)
    except UnreadableError:
        return
    assert isinstance(found, dict)


def test_locate_in_the_hub_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    commit = tmp_path / "models--org--name" / "snapshots" / "abc123"
    (commit / "inner").mkdir(parents=True)
    refs = tmp_path / "models--org--name" / "refs"
    refs.mkdir()
    (refs / "main").write_text("abc123")
    assert checkpoint.locate("org/name", cache_dir=tmp_path) == commit
    assert checkpoint.locate("org/name", cache_dir=tmp_path, revision="abc123") == commit
    assert checkpoint.locate("org/name", cache_dir=tmp_path, subfolder="inner") == commit / "inner"
    assert checkpoint.locate("org/name", cache_dir=tmp_path, revision="v2") is None
    assert checkpoint.locate("org/other", cache_dir=tmp_path) is None
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    monkeypatch.delenv("TRANSFORMERS_CACHE", raising=False)
    assert checkpoint.locate("org/name") == commit
    assert caches.offline({"HF_HUB_OFFLINE": "0"}) is None
    assert caches.offline({"TRANSFORMERS_OFFLINE": "yes"}) == "TRANSFORMERS_OFFLINE"


@pytest.mark.parametrize(
    ("dtype", "keywords", "expected"),
    [
        ("bfloat16", {}, 2 * (800 + 64 + 8) + 8),
        ("float32", {}, 4 * (800 + 64 + 8) + 8),
        ("auto", {}, 1768),
        (None, {}, 4 * (800 + 64 + 8) + 8),  # transformers 4 loads float32
        ("bfloat16", {"quantization_config": {"load_in_4bit": True}}, 1600 + 32 + 16 + 8),
        ("bfloat16", {"revision": "nowhere", "cache_dir": "/nowhere"}, 2 * (800 + 64 + 8) + 8),
    ],
)
def test_bytes_on_the_device(tmp_path: Path, dtype: Any, keywords: dict[str, Any], expected: int) -> None:
    write(tmp_path / "model.safetensors", TENSORS)
    assert weight_bytes(Request(str(tmp_path), dtype=dtype, keywords=keywords), cuda()) == expected


def test_a_plan_from_headers_alone(tmp_path: Path) -> None:
    """17 GB of missing weights: the header is enough to see that they do not fit in 16 GB."""
    write(tmp_path / "model.safetensors", {"a": ("BF16", [8_500_000_000])}, data=False)
    file = tmp_path / "model.safetensors"
    with file.open("r+b") as stream:
        stream.truncate(file.stat().st_size + 17_000_000_000)  # sparse
    request = Request(str(tmp_path))
    small, large = cuda(free=16 * GIB), cuda(free=80 * GIB)
    spilled = make_plan(request, small, Facts(weight_bytes=weight_bytes(request, small)))
    assert spilled.device_map.value == "auto"
    assert "15.83 GiB" in spilled.device_map.warnings[0]
    assert make_plan(request, large, Facts(weight_bytes=weight_bytes(request, large))).device_map.value == {
        "": 0
    }
