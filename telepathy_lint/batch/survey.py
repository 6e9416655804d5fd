"""Runs a survey over a dataset: one output file for each shard, so that an interrupted run continues where it stopped.

A shard's output depends only on the shard, so the result is the same with one process, many, or a Ray cluster.
"""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from telepathy_lint._version import __version__
from telepathy_lint.batch.columns import in_columns, schema
from telepathy_lint.batch.records import Examined, Plan, failed
from telepathy_lint.batch.shards import Broken, DataError, Shard, rows
from telepathy_lint.batch.worker import TIMEOUT, Worker
from telepathy_lint.hints import NamedTuple

#: Bytes above which a record is not examined.
MAX_BYTES = 4 << 20
PARTS, MANIFEST = "parts", "survey.json"
#: The key of a part's own numbers in the metadata of its Parquet file.
NUMBERS = b"telepathy_lint"


class Job(NamedTuple):
    """A survey's inputs, apart from the data; picklable."""

    plan: Plan
    #: Absolute path of the output folder; on a cluster, all nodes must see it.
    output: str
    path: str = "path"
    content: str = "content"
    #: Other columns to copy into the output, as text.
    keep: tuple[str, ...] = ()
    max_bytes: int = MAX_BYTES
    timeout: float = TIMEOUT

    @property
    def columns(self) -> tuple[str, ...]:
        return (self.path, self.content, *self.keep)

    def worker(self) -> Worker:
        return Worker(self.plan, self.timeout)

    def part(self, shard: Shard) -> str:
        return os.path.join(self.output, PARTS, f"part-{shard.number:05}.parquet")


def process(job: Job, shard: Shard, worker: Worker) -> int:
    """Examine the rows of a shard and write its part. Returns the number of rows."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    kept: list[tuple[str | None, ...]] = []
    found: list[Examined] = []
    count = 0
    for row in rows(shard, job.columns):
        count += 1
        name: str | None
        values: tuple[str | None, ...]
        if isinstance(row, Broken):
            name, values, examined = row.where, (None,) * len(job.keep), failed(row.why)
        else:
            name = _text(row[job.path])
            values = tuple(_text(row[column]) for column in job.keep)
            examined = _examined(job, row, worker)
        # Most rows of a dataset load no model: they are only counted.
        if not examined.empty:
            kept.append((name, *values))
            found.append(examined)
    names = ("path", *job.keep)
    columns = {name: [row[index] for row in kept] for index, name in enumerate(names)} | in_columns(found)
    numbers = json.dumps({"rows": count})
    types = pa.schema([*((name, pa.string()) for name in names), *schema()], metadata={NUMBERS: numbers})
    _write(job.part(shard), lambda path: pq.write_table(pa.table(columns, schema=types), path))
    return count


def _examined(job: Job, row: dict[str, Any], worker: Worker) -> Examined:
    content = row[job.content]
    if isinstance(content, str | bytes) and len(content) > job.max_bytes:
        return failed(f"it is larger than {job.max_bytes} bytes")
    return worker.examine(row[job.path], content)


def _text(value: Any) -> str | None:
    return None if value is None else value if isinstance(value, str) else str(value)


def _write(path: str, write: Callable[[str], None]) -> None:
    """Write a file so that it is either complete or absent."""
    temporary = f"{path}.{os.getpid()}-{threading.get_ident()}.tmp"
    try:
        write(temporary)
        os.replace(temporary, path)
    finally:
        if os.path.exists(temporary):
            os.remove(temporary)


def prepare(job: Job, shards: Sequence[Shard]) -> list[Shard]:
    """Create the output folder, or check that it belongs to the same survey. Returns the shards that are not done.

    Raises:
        DataError: the folder contains a survey of other data or settings.
    """
    os.makedirs(os.path.join(job.output, PARTS), exist_ok=True)
    manifest = os.path.join(job.output, MANIFEST)
    described = json.dumps(_described(job, shards), indent=2) + "\n"
    try:
        with open(manifest, encoding="utf-8") as file:
            before = file.read()
    except FileNotFoundError:
        before = None
    if before is None:
        if os.listdir(os.path.join(job.output, PARTS)):
            raise DataError(f"{job.output}: has parts, but no {MANIFEST}; choose another folder")
        _write(manifest, lambda path: _write_text(path, described))
    elif before != described:
        raise DataError(
            f"{job.output}: has a survey of other data or settings (see {MANIFEST}); choose another folder"
        )
    return [shard for shard in shards if not os.path.exists(job.part(shard))]


def _described(job: Job, shards: Iterable[Shard]) -> dict[str, Any]:
    files = {}
    for shard in shards:
        state = os.stat(shard.path)
        files[shard.path] = [state.st_size, state.st_mtime_ns]
    return {
        "version": __version__,
        "rules": [rule.meta.code for rule in job.plan.rules],
        "settings": repr(job.plan.settings),
        "edits": job.plan.edits,
        "columns": job.columns,
        "limits": [job.max_bytes, job.timeout],
        "files": files,
    }


def _write_text(path: str, text: str) -> None:
    with open(path, "w", encoding="utf-8", newline="\n") as file:
        file.write(text)


def run_locally(job: Job, shards: Sequence[Shard], jobs: int, done: Callable[[int], None]) -> None:
    """Process the shards in `jobs` processes; `done` gets the number of rows of each finished shard."""
    left = iter(shards)
    lock = threading.Lock()
    stopped = threading.Event()

    def work() -> None:
        with job.worker() as worker:
            while not stopped.is_set():
                with lock:
                    shard = next(left, None)
                if shard is None:
                    return
                count = process(job, shard, worker)
                with lock:
                    done(count)

    with ThreadPoolExecutor(jobs) as pool:
        running = [pool.submit(work) for _ in range(jobs)]
        try:
            for each in running:
                each.result()
        finally:
            stopped.set()


class _OnRay:
    """What each Ray actor does: processes shards with one worker."""

    def __init__(self, job: Job) -> None:
        self.job = job
        self.worker = job.worker()

    def __call__(self, batch: dict[str, Any]) -> dict[str, Any]:
        counts = [
            process(self.job, Shard(int(number), str(path), int(first), int(end)), self.worker)
            for number, path, first, end in zip(*(batch[name] for name in Shard._fields), strict=True)
        ]
        return {"rows": counts}


def run_on_ray(job: Job, shards: Sequence[Shard], jobs: int | None, done: Callable[[int], None]) -> None:
    """Process the shards with Ray Data, on the cluster at `RAY_ADDRESS` or on this machine.

    All nodes must have telepathy-lint, and see the data and the output folder at the same paths.
    """
    import ray

    if not ray.is_initialized():
        ray.init(log_to_driver=False)
    size = jobs or max(int(ray.cluster_resources().get("CPU", 1)), 1)
    data = ray.data.from_items([shard._asdict() for shard in shards], override_num_blocks=len(shards))
    counted = data.map_batches(
        _OnRay, fn_constructor_args=(job,), batch_size=1, concurrency=min(size, len(shards))
    )
    for row in counted.iter_rows():
        done(int(row["rows"]))
