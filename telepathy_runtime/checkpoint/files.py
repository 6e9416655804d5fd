"""Reads a checkpoint on disk: its files, and the dtype and shape of every tensor. Standard library only.

A safetensors file begins with the length of its header (8 bytes, little endian) and the header as JSON. So a
few kilobytes are enough to know exact sizes, without torch.
"""

from __future__ import annotations

import json
import os
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

from telepathy_runtime.machine import caches

# Names as in safetensors. Floats are converted to the requested dtype; integers are not.
_FLOATS = {"F64": 8, "F32": 4, "F16": 2, "BF16": 2, "F8_E4M3": 1, "F8_E5M2": 1}
_ITEM_SIZE = _FLOATS | {
    "I64": 8,
    "I32": 4,
    "I16": 2,
    "I8": 1,
    "U8": 1,
    "U16": 2,
    "U32": 4,
    "U64": 8,
    "BOOL": 1,
}
_POINTER = b"version https://git-lfs.github.com/spec/"
_LONGEST_HEADER = 100_000_000  # safetensors' own limit


class UnreadableError(ValueError):
    """A header or index is damaged; the message names the file."""


@dataclass(frozen=True)
class Tensor:
    dtype: str  # as safetensors writes it: "BF16"
    shape: tuple[int, ...]

    @property
    def parameters(self) -> int:
        return prod(self.shape)

    @property
    def stored_bytes(self) -> int:
        return self.parameters * _ITEM_SIZE.get(self.dtype, 1)


@dataclass(frozen=True)
class Checkpoint:
    """`tensors` is None if only the size of the files is known (pickled weights, shards that are not downloaded yet)."""

    directory: Path
    files: tuple[Path, ...]
    stored_bytes: int
    tensors: Mapping[str, Tensor] | None = None

    def bytes_in(self, item_size: int | None, *, four_bit: bool = False, eight_bit: bool = False) -> int:
        """Bytes of the weights once loaded: floats in `item_size` bytes each (None: as stored), or quantised.

        bitsandbytes quantises the matrices of the layers and leaves embeddings, heads and norms alone.
        """
        if self.tensors is None:
            return self.stored_bytes
        total = 0
        for name, tensor in self.tensors.items():
            if (four_bit or eight_bit) and _quantised(name, tensor):
                total += tensor.parameters // (2 if four_bit else 1)
            elif item_size is not None and tensor.dtype in _FLOATS:
                total += tensor.parameters * item_size
            else:
                total += tensor.stored_bytes
        return total


def _quantised(name: str, tensor: Tensor) -> bool:
    return len(tensor.shape) == 2 and not any(part in name for part in ("embed", "lm_head", "wte", "wpe"))


def locate(
    model_id: str | os.PathLike[str],
    *,
    revision: str | None = None,
    cache_dir: str | os.PathLike[str] | None = None,
    subfolder: str = "",
) -> Path | None:
    """The folder with the files of `model_id`: the folder itself, or its snapshot in the hub cache. None if not found."""
    if not os.fspath(model_id):
        return None  # the weights are passed as objects; Path("") would be the working directory
    folder: Path | None = Path(model_id).expanduser() if isinstance(model_id, os.PathLike) else Path(model_id)
    # os.path, because Path raises for a name that is too long for a file.
    if folder is not None and not os.path.isdir(folder):
        folder = caches.snapshot(os.fspath(model_id), revision=revision, cache_dir=cache_dir)
    if folder is not None and subfolder:
        folder = folder / subfolder
    return folder if folder is not None and os.path.isdir(folder) else None


def located(model_id: str | os.PathLike[str], keywords: Mapping[str, Any]) -> Path | None:
    """`locate`, with the location from the keywords of from_pretrained."""
    return locate(
        model_id,
        revision=keywords.get("revision"),
        cache_dir=keywords.get("cache_dir"),
        subfolder=keywords.get("subfolder") or "",
    )


def read(directory: Path, *, variant: str | None = None) -> Checkpoint | None:
    """The weights in `directory`, from the files that transformers prefers; None if there are none.

    Raises UnreadableError if an index or header is damaged.
    """
    infix = f".{variant}" if variant else ""
    single = directory / f"model{infix}.safetensors"
    if single.is_file():
        return _safetensors(directory, (single,))
    index = directory / f"model.safetensors.index{infix}.json"
    if index.is_file():
        return _indexed(directory, index)
    pickled = directory / f"pytorch_model{infix}.bin"
    if pickled.is_file():
        _refuse_pointer(pickled)
        return Checkpoint(directory, (pickled,), pickled.stat().st_size)
    index = directory / f"pytorch_model.bin.index{infix}.json"
    return _indexed(directory, index) if index.is_file() else None


def _indexed(directory: Path, index: Path) -> Checkpoint:
    content = _json(index)
    weight_map = content.get("weight_map")
    if not isinstance(weight_map, dict):
        raise UnreadableError(f"{index} has no weight_map")
    files = tuple(directory / name for name in sorted(set(weight_map.values())))
    if all(file.is_file() for file in files) and index.name.startswith("model.safetensors"):
        return _safetensors(directory, files)
    total = content.get("metadata", {}).get("total_size")
    if not isinstance(total, (int, float)):
        total = sum(file.stat().st_size for file in files if file.is_file())
    return Checkpoint(directory, files, int(total))


def _safetensors(directory: Path, files: tuple[Path, ...]) -> Checkpoint:
    tensors: dict[str, Tensor] = {}
    for file in files:
        tensors.update(header(file))
    return Checkpoint(directory, files, sum(tensor.stored_bytes for tensor in tensors.values()), tensors)


def header(file: Path) -> dict[str, Tensor]:
    """Return the dtype and shape of each tensor of a safetensors file, by name. Raises UnreadableError if damaged."""
    with file.open("rb") as stream:
        start = stream.read(8)
        if start == _POINTER[:8]:
            _refuse_pointer(file)
        if len(start) < 8:
            raise UnreadableError(f"{file} is too short to be a safetensors file")
        length = struct.unpack("<Q", start)[0]
        size = file.stat().st_size
        if length > min(_LONGEST_HEADER, size - 8):
            raise UnreadableError(f"{file} claims a header of {length} bytes in a file of {size}")
        text = stream.read(length)
    try:
        content = json.loads(text)
        if not isinstance(content, dict):
            raise ValueError("it is no JSON object")
        found = {
            name: Tensor(entry["dtype"], _shape(entry["shape"]))
            for name, entry in content.items()
            if name != "__metadata__"
        }
        end = max(
            (entry["data_offsets"][1] for name, entry in content.items() if name != "__metadata__"), default=0
        )
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise UnreadableError(f"{file} has a damaged header: {error}") from error
    if 8 + length + end > size:
        raise UnreadableError(f"{file} is truncated: it has {size} of {8 + length + end} bytes")
    return found


def _shape(given: Any) -> tuple[int, ...]:
    """A tensor's dimensions. Raises ValueError for what is none."""
    if not isinstance(given, list) or not all(type(length) is int and length >= 0 for length in given):
        raise ValueError(f"the shape of a tensor is {given!r}")
    return tuple(given)


def _refuse_pointer(file: Path) -> None:
    with file.open("rb") as stream:
        if stream.read(len(_POINTER)) == _POINTER:
            raise UnreadableError(
                f"{file} is a Git LFS pointer; run `git lfs pull` in its folder to fetch the file"
            )


def tokenizer_files(directory: Path) -> None:
    """Raise UnreadableError for the first file of a tokenizer that is not valid JSON."""
    for name in ("tokenizer_config.json", "tokenizer.json", "special_tokens_map.json", "added_tokens.json"):
        if (directory / name).is_file():
            _json(directory / name)


def config(directory: Path) -> dict[str, Any] | None:
    """config.json as a dict; None if there is none. Raises UnreadableError if it is damaged."""
    file = directory / "config.json"
    return _json(file) if file.is_file() else None


def _json(file: Path) -> dict[str, Any]:
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise UnreadableError(f"{file} is not JSON: {error}") from error
    if not isinstance(content, dict):
        raise UnreadableError(f"{file} does not contain a JSON object")
    return content
