"""Reads datasets of sources in shards: row groups of Parquet files, and parts of JSON Lines files."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from typing import Any

from telepathy_lint.hints import NamedTuple

#: Bytes of JSON Lines in a shard.
JSON_SHARD = 64 << 20
#: Bytes of a Parquet row group that are decoded at once.
_DECODED = 16 << 20
_PARQUET = (".parquet", ".pq")
_JSON = (".jsonl", ".ndjson", ".json")
_PACKED = (".gz", ".bz2", ".xz")


class DataError(ValueError):
    """The data cannot be read; the text is for the user."""


class Shard(NamedTuple):
    """A part of one input file: a row group of Parquet, or the lines that begin in a range of bytes."""

    number: int
    path: str
    first: int
    #: End of the byte range; -1 for a whole file. Not used for Parquet.
    end: int = -1


class Broken(NamedTuple):
    """A part of the data that could not be read."""

    where: str
    why: str


def files_of(paths: Sequence[str]) -> list[str]:
    """The data files at these paths; folders are searched.

    Raises:
        DataError: a path does not exist, or there is no data file.
    """
    found: list[str] = []
    for path in paths:
        if os.path.isdir(path):
            inside = [
                os.path.join(folder, name)
                for folder, _, names in os.walk(path)
                for name in names
                if _is_data(name)
            ]
            if not inside:
                raise DataError(f"{path}: no Parquet or JSON Lines files ({', '.join((*_PARQUET, *_JSON))})")
            found += sorted(inside)
        elif not os.path.exists(path):
            raise DataError(f"{path}: no such file or folder")
        elif not _is_data(path):
            raise DataError(f"{path}: not a Parquet or JSON Lines file ({', '.join((*_PARQUET, *_JSON))})")
        else:
            found.append(path)
    return list(dict.fromkeys(found))


def _is_data(name: str) -> bool:
    return name.lower().endswith(_PARQUET) or _unpacked(name).endswith(_JSON)


def _unpacked(name: str) -> str:
    lower = name.lower()
    return next((lower.removesuffix(end) for end in _PACKED if lower.endswith(end)), lower)


def shards_of(files: Sequence[str], columns: Sequence[str]) -> list[Shard]:
    """The shards of the files, in order.

    Raises:
        DataError: a file cannot be opened, or does not have one of the columns.
    """
    shards: list[Shard] = []
    for path in files:
        if path.lower().endswith(_PARQUET):
            ranges = [(group, -1) for group in range(_row_groups(path, columns))]
        elif _unpacked(path) != path.lower():
            ranges = [(0, -1)]
        else:
            size = os.path.getsize(path)
            ranges = [(start, min(start + JSON_SHARD, size)) for start in range(0, size, JSON_SHARD)]
        shards += [Shard(len(shards) + index, path, first, end) for index, (first, end) in enumerate(ranges)]
    return shards


def _row_groups(path: str, columns: Sequence[str]) -> int:
    parquet = _parquet()
    try:
        with parquet.ParquetFile(path) as file:
            present = file.schema_arrow.names
            for name in columns:
                if name not in present:
                    raise DataError(f"{path}: no column {name!r}; it has {', '.join(present)}")
            return int(file.num_row_groups)
    except (OSError, ValueError) as error:
        if isinstance(error, DataError):
            raise
        raise DataError(f"{path}: {error}") from error


def rows(shard: Shard, columns: Sequence[str]) -> Iterator[dict[str, Any] | Broken]:
    """The rows of a shard, with these columns; a row or row group that cannot be read is `Broken`."""
    if shard.path.lower().endswith(_PARQUET):
        yield from _parquet_rows(shard, columns)
    else:
        yield from _json_rows(shard, columns)


def _parquet() -> Any:
    try:
        import pyarrow.parquet
    except ImportError as error:
        raise DataError("Parquet needs pyarrow: `pip install 'telepathy-lint[survey]'`") from error
    return pyarrow.parquet


def _parquet_rows(shard: Shard, columns: Sequence[str]) -> Iterator[dict[str, Any] | Broken]:
    wanted = list(dict.fromkeys(columns))
    try:
        with _parquet().ParquetFile(shard.path) as file:
            group = file.metadata.row_group(shard.first)
            each = max(group.total_byte_size // max(group.num_rows, 1), 1)
            size = min(max(_DECODED // each, 1), 1024)
            for batch in file.iter_batches(size, row_groups=[shard.first], columns=wanted):
                yield from _of_batch(batch)
    except (OSError, ValueError) as error:
        yield Broken(f"{shard.path}, row group {shard.first}", str(error))


def _of_batch(batch: Any) -> Iterator[dict[str, Any] | Broken]:
    """The rows of an Arrow batch; text that is not UTF-8 comes as bytes."""
    values = []
    for column in batch.columns:
        try:
            values.append(column.to_pylist())
        except UnicodeDecodeError:
            values.append([_decoded(value) for value in column])
    for row in zip(*values, strict=True):
        yield dict(zip(batch.schema.names, row, strict=True))


def _decoded(value: Any) -> Any:
    try:
        return value.as_py()
    except UnicodeDecodeError:
        return bytes(value.as_buffer())


def _json_rows(shard: Shard, columns: Sequence[str]) -> Iterator[dict[str, Any] | Broken]:
    try:
        with _open(shard.path) as file:
            position = shard.first
            if position:
                file.seek(position - 1)
                position += len(file.readline()) - 1  # a line belongs to the shard in which it begins
            while shard.end < 0 or position < shard.end:
                line = file.readline()
                if not line:
                    return
                yield from _row(line, f"{shard.path}, byte {position}", columns)
                position += len(line)
    except (OSError, EOFError) as error:
        yield Broken(shard.path, str(error))


def _row(line: bytes, where: str, columns: Sequence[str]) -> Iterator[dict[str, Any] | Broken]:
    if not line.strip():
        return
    try:
        row = json.loads(line)
    except (ValueError, RecursionError) as error:
        yield Broken(where, f"not JSON: {error}")
        return
    if not isinstance(row, dict):
        yield Broken(where, f"not an object but {type(row).__name__}")
        return
    missing = [name for name in columns if name not in row]
    if missing:
        yield Broken(where, f"no column {', '.join(map(repr, missing))}")
        return
    yield {name: row[name] for name in columns}


def _open(path: str) -> Any:
    if path.lower().endswith(".gz"):
        import gzip

        return gzip.open(path)
    if path.lower().endswith(".bz2"):
        import bz2

        return bz2.open(path)
    if path.lower().endswith(".xz"):
        import lzma

        return lzma.open(path)
    return open(path, "rb")
