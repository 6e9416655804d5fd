"""Reads the header of a GGUF file: the model's metadata, and the stored size of every tensor. Standard library only."""

from __future__ import annotations

import struct
from math import prod
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from telepathy_runtime.checkpoint.files import UnreadableError

#: Tensor type number of the GGUF format -> (elements per block, bytes per block).
_BLOCKS = {
    0: (1, 4), 1: (1, 2), 2: (32, 18), 3: (32, 20), 6: (32, 22), 7: (32, 24), 8: (32, 34), 9: (32, 36),
    10: (256, 84), 11: (256, 110), 12: (256, 144), 13: (256, 176), 14: (256, 210), 15: (256, 292), 16: (256, 66),
    17: (256, 74), 18: (256, 98), 19: (256, 50), 20: (32, 18), 21: (256, 110), 22: (256, 82), 23: (256, 136),
    24: (1, 1), 25: (1, 2), 26: (1, 4), 27: (1, 8), 28: (1, 8), 29: (256, 56), 30: (1, 2), 34: (256, 54), 35: (256, 66),
    39: (32, 17),
}  # fmt: skip
#: Type number of a metadata value -> its struct letter; 8 is a string, 9 a list.
_SCALARS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
_STRING, _LIST = 8, 9
_MOST = 100_000_000  # entries, or bytes of one value; more means that the file is damaged


class Header(NamedTuple):
    """Metadata by key (for lists, only the length), number of parameters, and stored bytes."""

    metadata: dict[str, Any]
    parameters: int
    stored_bytes: int


def header(file: Path) -> Header:
    """Read the header. Raises UnreadableError if the file is not a GGUF file, is truncated, or has an unknown tensor type."""
    with file.open("rb") as stream:
        try:
            return _header(stream, file)
        except (struct.error, UnicodeDecodeError, KeyError, OverflowError) as error:
            raise UnreadableError(f"{file} has a damaged GGUF header: {error}") from error


def _header(stream: BinaryIO, file: Path) -> Header:
    if stream.read(4) != b"GGUF":
        raise UnreadableError(f"{file} is not a GGUF file")
    version = _read(stream, "I")
    if version not in (2, 3):
        raise UnreadableError(f"{file} is of GGUF version {version}; known: 2 and 3")
    tensors, entries = _read(stream, "Q"), _read(stream, "Q")
    if max(tensors, entries) > _MOST:
        raise UnreadableError(f"{file} claims {tensors} tensors and {entries} entries")
    metadata = {}
    for _ in range(entries):
        key = _text(stream)
        metadata[key] = _value(stream, _read(stream, "I"))
    parameters = stored = 0
    for _ in range(tensors):
        name = _text(stream)
        shape = [_read(stream, "Q") for _ in range(_read(stream, "I"))]
        kind, _offset = _read(stream, "I"), _read(stream, "Q")
        if kind not in _BLOCKS:
            raise UnreadableError(f"{file}: tensor {name} is of type {kind}, which is not known")
        elements, size = _BLOCKS[kind]
        parameters += prod(shape)
        stored += prod(shape) // elements * size
    return Header(metadata, parameters, stored)


def _read(stream: BinaryIO, letter: str) -> Any:
    size = struct.calcsize("<" + letter)
    read = stream.read(size)
    if len(read) < size:
        raise struct.error("cut short")
    return struct.unpack("<" + letter, read)[0]


def _text(stream: BinaryIO) -> str:
    length = _read(stream, "Q")
    if length > _MOST:
        raise struct.error(f"a text of {length} bytes")
    read = stream.read(length)
    if len(read) < length:
        raise struct.error("cut short")
    return read.decode("utf-8")


def _value(stream: BinaryIO, kind: int) -> Any:
    if kind == _STRING:
        return _text(stream)
    if kind != _LIST:
        return _read(stream, _SCALARS[kind])
    item, length = _read(stream, "I"), _read(stream, "Q")
    if length > _MOST:
        raise struct.error(f"a list of {length} entries")
    if item in _SCALARS:
        size = struct.calcsize("<" + _SCALARS[item]) * length
        if len(stream.read(size)) < size:
            raise struct.error("cut short")
    else:
        for _ in range(length):
            _value(stream, item)
    return length


def config_of(found: Header) -> dict[str, Any]:
    """The dimensions in a header, under the names used in config.json."""
    metadata = found.metadata
    kind = metadata.get("general.architecture", "")
    names = {
        "num_hidden_layers": "block_count",
        "hidden_size": "embedding_length",
        "intermediate_size": "feed_forward_length",
        "num_attention_heads": "attention.head_count",
        "num_key_value_heads": "attention.head_count_kv",
        "head_dim": "attention.key_length",
        "max_position_embeddings": "context_length",
        "vocab_size": "vocab_size",
    }
    config = {ours: metadata.get(f"{kind}.{theirs}") for ours, theirs in names.items()}
    config["vocab_size"] = config["vocab_size"] or metadata.get("tokenizer.ggml.tokens")
    return config | {"model_type": kind, "dtype": "float16"}
