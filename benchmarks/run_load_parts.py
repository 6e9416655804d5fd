"""Runs load parts (benchmarks/load_parts.py) on stand-ins one after the other, and prints their outcomes.

Jobs are read from standard input, one JSON object per line: `{"id": ..., "statements": [[key, code], ...],
"imported": [...]}`. For each job, a line is written with errors, the loaded objects, the results of a forward
pass and `generate` with typical inputs, and what `save_pretrained` wrote. After a statement that raises an
error, the next one runs.

    python benchmarks/run_load_parts.py STORE WORK <jobs >results
"""

from __future__ import annotations

import builtins
import contextlib
import hashlib
import inspect
import io
import json
import os
import re
import shutil
import signal
import socket
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
#: Timeout for one statement, in seconds.
LONGEST = 20
#: Names that the fixes add; nothing stands in for these.
_OF_THE_FIX = re.compile(
    r"(?:runtime_)?(?:load_model|load_tokenizer|resolve_\w+|apply_generation_config)|telepathy_runtime"
)


class TooLong(BaseException):
    pass


def run(job: dict[str, Any]) -> dict[str, Any]:
    from stand_ins import guess

    recorded: list[Any] = []

    def record(value: Any) -> Any:
        recorded.append(value)
        return value

    namespace: dict[str, Any] = {"__name__": "__part__", "__record__": record}
    fixed = set(job["imported"])
    outcomes: list[list[Any]] = []
    for key, code in job["statements"]:
        try:
            compiled = compile(code, "<part>", "exec")
        except SyntaxError as error:
            outcomes.append([key, f"SyntaxError: {error.msg}", None])
            continue
        for name in read_names(compiled):
            if (
                name not in namespace
                and not hasattr(builtins, name)
                and name not in fixed
                and not _OF_THE_FIX.fullmatch(name)
            ):
                namespace[name] = guess(name)
        error = guarded(lambda compiled=compiled: exec(compiled, namespace))
        outcomes.append([key, error, summary_of(code, namespace) if error is None else None])
    found: dict[str, Any] = {"statements": outcomes, "loaded": None}
    if recorded:
        found["loaded"] = examined(recorded[0])
    return found


def run_in(folder: Path, job: dict[str, Any]) -> dict[str, Any]:
    """The outcome of a job, run in its own folder."""
    import torch

    before = Path.cwd()
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    os.chdir(folder)
    torch.set_grad_enabled(True)
    torch.set_default_dtype(torch.float32)
    torch.set_default_device(None)  # parts of another file may have set it
    try:
        return run(job)
    except BaseException:
        return {"crash": traceback.format_exc()}
    finally:
        os.chdir(before)
        shutil.rmtree(folder, ignore_errors=True)


def read_names(code: Any) -> set[str]:
    names = set(code.co_names)
    for each in code.co_consts:
        if inspect.iscode(each):
            names |= read_names(each)
    return names


def guarded(call: Callable[[], object]) -> str | None:
    """The error of a call as one line; None if there is none."""
    import torch

    def stop(*_: object) -> None:
        raise TooLong("took too long")

    signal.signal(signal.SIGALRM, stop)
    signal.alarm(LONGEST)
    torch.manual_seed(0)
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            call()
    except TooLong:
        return "TooLong"
    except SystemExit as error:
        return f"SystemExit: {error}"
    except Exception as error:
        return f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"
    finally:
        signal.alarm(0)
    return None


def summary_of(code: str, namespace: dict[str, Any]) -> dict[str, Any]:
    """The values of the plain names that the statement binds, after it has run."""
    names = re.findall(r"^(\w+)(?:, (\w+))? = ", code)
    return {
        name: described(namespace.get(name)) for pair in names for name in pair if name and name in namespace
    }


def described(value: Any, depth: int = 0) -> Any:
    import numpy as np
    import torch

    if isinstance(value, torch.Tensor):
        data = value.detach().to(torch.float32) if value.is_floating_point() else value.detach()
        return ["tensor", str(value.dtype), list(value.shape), digest(data.contiguous().numpy().tobytes())]
    if isinstance(value, np.ndarray):
        return ["array", str(value.dtype), list(value.shape), digest(value.tobytes())]
    if isinstance(value, (str, int, float, bool, type(None))):
        return str(value)[:200]
    if isinstance(value, (list, tuple)) and depth < 3:
        return [described(each, depth + 1) for each in list(value)[:8]]
    if isinstance(value, dict) and depth < 3:
        return {str(key): described(each, depth + 1) for key, each in list(value.items())[:8]}
    return type(value).__name__


def digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()[:16]


def examined(loaded: Any) -> dict[str, Any]:
    """The loaded object, and its behaviour."""
    import torch

    loaded = loaded[0] if isinstance(loaded, tuple) else loaded
    if isinstance(loaded, torch.nn.Module):
        return examined_model(loaded)
    model = getattr(loaded, "model", None)
    if isinstance(model, torch.nn.Module):
        return {"kind": "pipeline", "pipeline": type(loaded).__name__} | {
            name: value for name, value in examined_model(model).items() if name != "kind"
        }
    if hasattr(loaded, "pad_token"):
        return {
            "kind": "tokenizer",
            "class": type(loaded).__name__,
            "pad": loaded.pad_token,
            "side": loaded.padding_side,
            "size": len(loaded),
            "ids": described(loaded("Hello world")["input_ids"]),
        }
    return {"kind": "other", "class": type(loaded).__name__}


def examined_model(model: Any) -> dict[str, Any]:
    generation = getattr(model, "generation_config", None)
    found = {
        "kind": "model",
        "class": type(model).__name__,
        "dtypes": sorted({str(each.dtype) for each in model.parameters()}),
        "devices": sorted({str(each.device) for each in model.parameters()}),
        "training": model.training,
        "gradients": any(each.requires_grad for each in model.parameters()),
        "attention": getattr(model.config, "_attn_implementation", None),
        "generation": plain(generation.to_dict()) if generation is not None else None,
    }
    found["forward"] = tried(lambda: forward(model))
    if generation is not None and hasattr(model, "generate"):
        found["generate"] = tried(lambda: generated(model))
    found["saved"] = tried(lambda: saved(model))
    return found


def plain(values: dict[str, Any]) -> dict[str, Any]:
    return {name: described(value) for name, value in values.items() if name != "transformers_version"}


def tried(call: Callable[[], Any]) -> list[Any]:
    """[error or None, the result of the call]"""
    given: list[Any] = []
    error = guarded(lambda: given.append(call()))
    return [error, given[0] if given else None]


def inputs_of(model: Any) -> dict[str, Any]:
    """Inputs that a tokenizer or processor would create for the model: token ids, and float32 features."""
    import torch
    from transformers import PreTrainedModel

    base = model if isinstance(model, PreTrainedModel) else getattr(model, "base_model", model)
    config, name = base.config, getattr(base, "main_input_name", "input_ids")
    taken = inspect.signature(base.forward).parameters
    ids = torch.tensor([[5, 6, 7, 8, 9, 10]])
    given: dict[str, Any] = {}
    if name == "input_ids" or (name not in taken and "input_ids" in taken) or "input_ids" in taken:
        given["input_ids"] = ids
        if "attention_mask" in taken:
            given["attention_mask"] = torch.ones_like(ids)
    vision = getattr(config, "vision_config", config)
    size = getattr(vision, "image_size", None) or 32
    size = size if isinstance(size, int) else size[0]
    if name == "pixel_values" or (config.model_type == "clip" and "pixel_values" in taken):
        given["pixel_values"] = torch.rand(1, getattr(vision, "num_channels", 3), size, size)
    if name == "input_features":
        given["input_features"] = torch.rand(1, config.num_mel_bins, 2 * config.max_source_positions)
    if name == "input_values":
        given["input_values"] = torch.rand(1, 1600)
    if name == "inputs_embeds" and "inputs_embeds" in taken:
        given["inputs_embeds"] = torch.rand(1, 6, 32)
    if "decoder_input_ids" in taken:
        given["decoder_input_ids"] = ids
    if name in ("input_features", "input_values", "pixel_values") and config.model_type != "clip":
        given.pop("input_ids", None)
        given.pop("attention_mask", None)
    return given


def forward(model: Any) -> Any:
    import torch

    was = model.training
    model.eval()
    try:
        with torch.no_grad():
            out = model(**inputs_of(model))
    finally:
        model.train(was)
    return described(
        {name: out[name] for name in list(out)[:3] if name != "past_key_values"}
        if isinstance(out, dict)
        else out
    )


def generated(model: Any) -> Any:
    import torch

    was = model.training
    model.eval()
    given = {name: value for name, value in inputs_of(model).items() if not name.startswith("decoder")}
    try:
        with torch.no_grad():
            return described(model.generate(**given, max_new_tokens=4, do_sample=False))
    finally:
        model.train(was)


def saved(model: Any) -> dict[str, Any]:
    from safetensors.torch import load_file

    folder = Path("saved-by-the-harness")
    shutil.rmtree(folder, ignore_errors=True)
    model.save_pretrained(folder)
    found: dict[str, Any] = {}
    for path in sorted(folder.iterdir()):
        if path.suffix == ".json":
            read = json.loads(path.read_text(encoding="utf-8"))
            read.pop("transformers_version", None)
            read.pop("_name_or_path", None)
            found[path.name] = read
        elif path.suffix == ".safetensors":
            found[path.name] = {name: described(tensor) for name, tensor in load_file(path).items()}
    shutil.rmtree(folder, ignore_errors=True)
    return found


def main() -> None:
    store, work = Path(sys.argv[1]).resolve(), Path(sys.argv[2]).resolve()
    sys.path.insert(0, str(ROOT))
    os.environ.update(
        HF_HUB_OFFLINE="1",
        TRANSFORMERS_VERBOSITY="error",
        TOKENIZERS_PARALLELISM="false",
        CUDA_VISIBLE_DEVICES="",
    )

    def refused(*_: object, **__: object) -> None:
        raise OSError("no network here")

    socket.socket.connect = refused  # type: ignore[method-assign, assignment]
    import logging

    import stand_ins
    import torch

    torch.set_num_threads(1)
    logging.disable(logging.CRITICAL)
    store.mkdir(parents=True, exist_ok=True)
    if not (store / "tokenizer-padded").exists():
        stand_ins.save_tokenizers(store)
    models = stand_ins.Models(store)
    stand_ins.install(models)
    load = ""
    out, sys.stdout = sys.stdout, sys.stderr
    for line in sys.stdin:
        job = json.loads(line)
        if job["id"].rpartition(":")[0] != load:
            load = job["id"].rpartition(":")[0]
            models.chosen.clear()
            chosen = None
            # The model that stands for an id is known when all loads of the part have run once.
            while chosen != models.chosen:
                chosen = dict(models.chosen)
                found = run_in(work / "part", job)
        else:
            found = run_in(work / "part", job)
        print(json.dumps({"id": job["id"], **found}, default=str), file=out, flush=True)


if __name__ == "__main__":
    main()
