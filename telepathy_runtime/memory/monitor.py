"""Compares the plan with measurements after the load and after steps, and writes one JSON line per device.

    monitor = Monitor("memory.jsonl", estimate=estimate(spec, work))
    monitor.after_load(model, requested="meta-llama/Meta-Llama-3.1-8B", dtype="bfloat16")
    with monitor.step(model, optimizer):
        ...                                  # forward, backward, optimizer.step(), zero_grad()

Values are never summed over devices; values that were not measured are null. Peaks are relative to the start of a step.
The verdict needs two steps, because the optimizer has no states during the first.
"""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from telepathy_runtime.memory.devices import (
    Measured,
    Sampler,
    device_names,
    measure,
    reset_peaks,
    synchronize,
)
from telepathy_runtime.memory.estimate import Estimate
from telepathy_runtime.memory.findings import (
    Finding,
    device_findings,
    load_findings,
    optimized,
    plan_findings,
    training_findings,
    verdict,
)
from telepathy_runtime.memory.live import Live
from telepathy_runtime.memory.oom import parse_oom
from telepathy_runtime.memory.workload import Workload
from telepathy_runtime.models import registry
from telepathy_runtime.models.spec import UnknownOptionError

SCHEMA = 1
STEPS_BEFORE_VERDICT = 2


class Monitor:
    """Writes memory records to a JSON-lines file, and keeps them in `records`."""

    def __init__(
        self,
        path: str | os.PathLike[str] | None = None,
        *,
        estimate: Estimate | None = None,
        history: int = 0,
        live: bool = False,
    ) -> None:
        """`estimate` is compared with measured peaks; `history` is the number of events kept for an OOM dump.

        `live` shows the last step on one line of the terminal, which each step rewrites; elsewhere it shows nothing.
        """
        self.records: list[dict[str, Any]] = []
        self._path = Path(path) if path is not None else None
        self._estimate = estimate
        self._steps = 0
        self._models: dict[str, dict[str, Any]] = {}
        self._last: dict[str, int] = {}
        self._live = Live() if live else None
        self._sampler = Sampler()
        self._sampler.start()
        self._history = history
        if history:
            self._record_history()
        for measured in self._measure():
            self._last[measured.device] = measured.allocated or 0

    def after_load(
        self,
        model: Any,
        *,
        name: str = "model",
        requested: str | None = None,
        dtype: str | None = None,
        attn: str | None = None,
    ) -> list[dict[str, Any]]:
        """Record where a load put the weights; a second model adds one "pair" line per device for both models.

        The estimate of a load is the exact size of the model's tensors on that device.
        """
        facts = model_facts(model, requested)
        self._models[name] = facts
        found = load_findings(model, dtype=dtype, attn=attn, name=name)
        records = self._record("after_load", facts, found=found, expect="load", label=name)
        if len(self._models) > 1:
            records += self._record("pair", None, expect="pair", label=" + ".join(self._models))
        return records

    @contextmanager
    def step(self, model: Any = None, *optimizers: Any) -> Iterator[None]:
        """Measure one step; record it, or the out-of-memory error that ended it."""
        reset_peaks()
        try:
            yield
        except BaseException as error:
            if is_oom(error):
                self.oom(error)
            raise
        self.stepped()
        self.after_step(model, *optimizers)

    def stepped(self) -> None:
        """Count an optimizer step that is not measured with `step`."""
        self._steps += 1
        if self._live is not None:
            planned = self._estimate.peak_allocated if self._estimate is not None else None
            self._live.show(self._steps, self._measure(), planned)

    def after_step(self, model: Any = None, *optimizers: Any) -> list[dict[str, Any]]:
        """Record all devices after a step; `step` calls this itself."""
        found = training_findings(model, optimizers) if model is not None else []
        work = self.planned()
        if model is not None and work is not None and self._steps <= STEPS_BEFORE_VERDICT:
            found += plan_findings(model, work, optimizers)
        facts = model_facts(model) if model is not None else None
        grads = gradient_facts(model, optimizers) if model is not None else None
        return self._record("after_step", facts, found=found, expect="peak", grads=grads)

    def planned(self) -> Workload | None:
        """The workload of the estimate; None without an estimate, or if there are several models."""
        works = self._estimate.workloads if self._estimate is not None else ()
        return works[0] if len(works) == 1 else None

    def check(self, model: Any, *optimizers: Any) -> list[Finding]:
        """Return findings about a model and its optimizers before the first step."""
        return training_findings(model, optimizers)

    def oom(self, error: BaseException) -> list[dict[str, Any]]:
        """Record an out-of-memory error with the sizes in its message, and dump the allocator's history."""
        extra: dict[str, Any] = {"oom": parse_oom(str(error))}
        if self._history and self._path is not None:
            extra["snapshot"] = self.snapshot().name
        return self._record("oom", None, extra=extra)

    def snapshot(self, path: str | os.PathLike[str] | None = None) -> Path:
        """Write a snapshot of CUDA's allocator for PyTorch's memory viewer; returns its path (default: beside the log).

        It contains the live blocks; the events that led to them, and their places in the code, only with `history`.
        Raises UnknownOptionError without a CUDA device, or if neither a path nor a log is given.
        """
        import torch

        if not torch.cuda.is_available():
            raise UnknownOptionError("a snapshot needs a CUDA device: other allocators keep none")
        if path is None and self._path is None:
            raise UnknownOptionError("a snapshot needs a path, because the monitor writes no log")
        target = Path(path) if path is not None else self._beside()
        torch.cuda.memory._dump_snapshot(str(target))
        return target

    def _beside(self) -> Path:
        assert self._path is not None
        return self._path.with_suffix(f".{os.getpid()}.pickle")

    def end(self) -> list[dict[str, Any]]:
        """Record all devices one last time."""
        self._sampler.stop()
        if self._live is not None:
            self._live.close()
        return self._record("end", None)

    def _measure(self) -> list[Measured]:
        return [measure(device, self._sampler) for device in device_names()]

    def _record(
        self,
        event: str,
        facts: dict[str, Any] | None,
        *,
        found: Sequence[Finding] = (),
        expect: str = "",
        grads: dict[str, dict[str, int]] | None = None,
        label: str = "",
        extra: dict[str, Any] | None = None,
    ) -> list[dict[str, Any]]:
        synchronize()
        measured = self._measure()
        by_device = device_findings(measured)
        records = []
        for index, m in enumerate(measured):
            mine = [finding for device, finding in by_device if device == m.device]
            mine += list(found) if index == 0 else []
            record = self._common(event, m) | {"label": label or None, "model": _on_device(facts, m.device)}
            record |= (grads or {}).get(m.device, _NO_GRADS if grads is None else dict.fromkeys(_NO_GRADS, 0))
            record |= {
                k: v for k, v in asdict(m).items() if k not in ("device", "name", "total_bytes", "free_bytes")
            }
            if m.allocated is not None:
                record["delta_allocated"] = m.allocated - self._last.get(m.device, 0)
                if event != "pair":
                    self._last[m.device] = m.allocated
            record |= self._judge(expect, m, facts, record)
            if record["verdict"] in ("under", "over"):
                mine.append(
                    Finding("estimate-differs", f"{m.device}: estimate is {record['ratio']:.2f} x measured")
                )
            record["findings"] = [finding.as_json() for finding in mine]
            records.append(record | (extra or {}))
        self._write(records)
        return records

    def _judge(
        self, expect: str, m: Measured, facts: dict[str, Any] | None, record: dict[str, Any]
    ) -> dict[str, Any]:
        """Return estimate, ratio and verdict of one record."""
        estimated: dict[str, Any] | None = None
        measured = None
        if expect == "load" and facts is not None:
            here = facts["bytes_by_device"].get(m.device, 0)
            estimated, measured = {"bytes": here, "method": "tensors"}, record.get("delta_allocated")
        elif expect == "pair":
            here = sum(model["bytes_by_device"].get(m.device, 0) for model in self._models.values())
            estimated, measured = {"bytes": here, "method": "tensors"}, m.allocated
        elif expect == "peak" and self._estimate is not None and not _spread(facts):
            peak = self._estimate.peak
            estimated = {
                "bytes": peak.total,
                "instant": peak.name,
                "method": "closed",
                "components": peak.components(),
            }
            measured = m.max_allocated
        ratio, said = verdict(estimated["bytes"] if estimated else None, measured)
        if expect == "peak" and self._steps < STEPS_BEFORE_VERDICT:
            ratio, said = None, "too_early"
        return {"estimate": estimated, "ratio": ratio, "verdict": said}

    def _common(self, event: str, m: Measured) -> dict[str, Any]:
        return {
            "schema": SCHEMA,
            "ts": datetime.now(timezone.utc).isoformat(timespec="milliseconds"),
            "event": event,
            "step": self._steps,
            "host": socket.gethostname(),
            "pid": os.getpid(),
            "rank": int(os.environ.get("RANK", "0")),
            "device": m.device,
            "device_name": m.name,
            "total_bytes": m.total_bytes,
            "free_bytes": m.free_bytes,
            "workload": [asdict(work) for work in self._estimate.workloads] if self._estimate else None,
            "versions": _versions(),
            "alloc_conf": os.environ.get("PYTORCH_ALLOC_CONF") or os.environ.get("PYTORCH_CUDA_ALLOC_CONF"),
        }

    def _write(self, records: list[dict[str, Any]]) -> None:
        self.records += records
        if self._path is not None:
            with self._path.open("a", encoding="utf-8") as file:
                file.writelines(json.dumps(record) + "\n" for record in records)

    def _record_history(self) -> None:
        import torch

        if torch.cuda.is_available():
            torch.cuda.memory._record_memory_history(max_entries=self._history)
        else:
            self._history = 0


_NO_GRADS: dict[str, int | None] = dict.fromkeys(
    ("grad_bytes", "grad_bytes_not_in_optimizer", "opt_state_bytes")
)


def is_oom(error: BaseException) -> bool:
    """Whether an exception reports that a device is out of memory."""
    import torch

    return isinstance(error, torch.cuda.OutOfMemoryError) or "out of memory" in str(error).lower()


def model_facts(model: Any, requested: str | None = None) -> dict[str, Any]:
    """A model's properties and its bytes per device, counting tied parameters once."""
    config = getattr(model, "config", None)
    name = requested or getattr(config, "_name_or_path", None) or None
    dtypes: dict[str, int] = {}
    places: dict[str, int] = {}
    params = trainable = buffers = 0
    for parameter in model.parameters():
        size = parameter.numel() * parameter.element_size()
        params += parameter.numel()
        trainable += parameter.numel() if parameter.requires_grad else 0
        key = str(parameter.dtype).removeprefix("torch.")
        dtypes[key] = dtypes.get(key, 0) + size
        places[_place(parameter)] = places.get(_place(parameter), 0) + size
    params_bytes = sum(dtypes.values())
    for buffer in model.buffers():
        size = buffer.numel() * buffer.element_size()
        buffers += size
        places[_place(buffer)] = places.get(_place(buffer), 0) + size
    return {
        "requested": name,
        "id": (registry.canonical_id(name) or name) if name else None,
        "revision": getattr(config, "_commit_hash", None),
        "params": params,
        "params_bytes": params_bytes,
        "buffer_bytes": buffers,
        "trainable_params": trainable,
        "dtypes": dtypes,
        "tied": getattr(config, "tie_word_embeddings", None),
        "attn": getattr(config, "_attn_implementation", None),
        "device_map": {
            part: str(where) for part, where in (getattr(model, "hf_device_map", None) or {}).items()
        },
        "bytes_by_device": places,
    }


def gradient_facts(model: Any, optimizers: Sequence[Any]) -> dict[str, dict[str, int]]:
    """By device: bytes of gradients, of those no optimizer uses, and of optimizer states."""
    known = optimized(optimizers)
    facts: dict[str, dict[str, int]] = {}

    def add(tensor: Any, key: str) -> None:
        place = facts.setdefault(_place(tensor), dict.fromkeys(_NO_GRADS, 0))
        place[key] += tensor.numel() * tensor.element_size()

    for parameter in model.parameters():
        if parameter.grad is not None:
            add(parameter.grad, "grad_bytes")
            if id(parameter) not in known:
                add(parameter.grad, "grad_bytes_not_in_optimizer")
    for optimizer in optimizers:
        for state in optimizer.state.values():
            for value in state.values():
                if hasattr(value, "element_size"):
                    add(value, "opt_state_bytes")
    return facts


def _spread(facts: dict[str, Any] | None) -> bool:
    """Whether a model is on several devices; an estimate is for one device and cannot be compared with the parts."""
    return facts is not None and len(facts["bytes_by_device"]) > 1


def _place(tensor: Any) -> str:
    """A tensor's device as in `device_names`: with an index only if there can be several."""
    device = tensor.device
    return str(device) if device.type in ("cuda", "xpu") else str(device.type)


def _on_device(facts: dict[str, Any] | None, device: str) -> dict[str, Any] | None:
    if facts is None:
        return None
    rest = {key: value for key, value in facts.items() if key != "bytes_by_device"}
    return rest | {"bytes_on_device": facts["bytes_by_device"].get(device, 0)}


def _versions() -> dict[str, str]:
    from importlib.metadata import PackageNotFoundError, version

    found = {}
    for package in ("torch", "transformers", "accelerate", "peft"):
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found
