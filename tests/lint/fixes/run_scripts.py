"""Runs many scripts in one process, each as if it were alone, and says what they printed and loaded.

Importing torch and transformers costs more than any of the scripts, so `tests/lint/fixes/test_differential.py` starts this once for
many jobs: JSON on standard input, JSON on standard output.

    {"scripts": [{"path": "...", "model": "folder", "changes": {"0:12": ["TLP102", "TLP105"]}, "work": "folder"}]}

A job with `work` runs in that folder, which is made with links to everything in `models`; what it wrote there is told too.
`"machine": name` beside the scripts runs them all on a machine of tests/runtime/machines.py that is not here, and
`"rank": number` as one of the processes of a launcher that are here (tests/runtime/two_processes.py).

`changes` makes the oracle: the script runs as it is written, and the loads on those lines (cell:line, cell 0 for a plain
script) get by hand what the rules' documentation promises of their fixes. Nothing of telepathy_runtime takes part in that.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import os
import sys
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType
from typing import Any

GREEDY = {"do_sample": False, "num_beams": 1, "repetition_penalty": 1.0, "max_new_tokens": 256}
NEUTRAL = {"temperature": None, "top_p": None, "top_k": None}


def cells(path: Path) -> list[str]:
    """The code of a script or of a notebook's code cells; lines that only IPython understands are blank."""
    text = path.read_text(encoding="utf-8")
    if path.suffix != ".ipynb":
        return [text]
    sources = ["".join(cell["source"]) for cell in json.loads(text)["cells"] if cell["cell_type"] == "code"]
    return ["\n".join("" if line.startswith(("%", "!")) else line for line in s.split("\n")) for s in sources]


class Recorder:
    """Replaces each `from_pretrained` and records what is loaded; with `changes`, alters it first."""

    def __init__(self) -> None:
        self.loaded: list[tuple[Any, str, str, dict[str, str]]] = []
        self.tokenizers: list[Any] = []
        self.changes: dict[str, list[str]] = {}
        self.folder = Path()
        self.depth = 0

    def install(self) -> None:
        import transformers
        from transformers.models.auto.auto_factory import _BaseAutoModelClass

        for owner, finish in (
            (_BaseAutoModelClass, self._model),
            (transformers.PreTrainedModel, self._model),
            (transformers.AutoTokenizer, self._tokenizer),
            (transformers.PreTrainedTokenizerBase, self._tokenizer),
        ):
            self._wrap(owner, finish)

    def _wrap(self, owner: Any, finish: Callable[[Any, list[str]], None]) -> None:
        original = owner.__dict__["from_pretrained"].__func__

        def from_pretrained(cls: Any, *args: Any, **kwargs: Any) -> Any:
            codes = self._codes(sys._getframe(1)) if self.depth == 0 else []
            self.depth += 1
            try:
                loaded = original(cls, *args, **changed(kwargs, codes))
            finally:
                self.depth -= 1
            if self.depth == 0:
                finish(loaded, codes)
            return loaded

        owner.from_pretrained = classmethod(from_pretrained)

    def _codes(self, frame: FrameType | None) -> list[str]:
        """The changes for the line in the script that loads."""
        while frame is not None:
            file, _, cell = frame.f_code.co_filename.partition("#")
            if Path(file).parent == self.folder:
                return self.changes.get(f"{Path(file).name}:{cell or 0}:{frame.f_lineno}", [])
            frame = frame.f_back
        return []

    def _model(self, model: Any, codes: list[str]) -> None:
        model = model[0] if isinstance(model, tuple) else model  # `output_loading_info=True`
        if "TLP105" in codes and model.can_generate():
            decode_greedily(model.generation_config)
        self.loaded.append((model, str(model.dtype), weights(model), placed(model)))

    def _tokenizer(self, tokenizer: Any, codes: list[str]) -> None:
        if "TLP201" in codes and tokenizer.pad_token is None:
            tokenizer.pad_token = tokenizer.eos_token
        self.tokenizers.append(tokenizer)

    def taken(self) -> dict[str, Any]:
        """The loaded objects, in the state in which the script leaves them."""
        models = [
            {
                "class": type(model).__name__,
                "dtype": dtype,
                "weights": digest,
                "attention": model.config._attn_implementation,
                "devices": sorted(set(placed(model).values())),
                "placed": placed(model),
                "loaded onto": place,
                "generation": model.generation_config.to_dict() if model.can_generate() else None,
            }
            for model, dtype, digest, place in self.loaded
        ]
        tokenizers = [
            {"class": type(one).__name__, "pad": one.pad_token, "side": one.padding_side, "size": len(one)}
            for one in self.tokenizers
        ]
        self.loaded, self.tokenizers = [], []
        return {"models": models, "tokenizers": tokenizers}


def changed(kwargs: dict[str, Any], codes: list[str]) -> dict[str, Any]:
    """The arguments according to the documentation of `codes`, on a machine without an accelerator."""
    import torch
    import transformers

    kwargs = dict(kwargs)
    if "TLP101" in codes:
        kwargs.pop("device_map", None)
    if "TLP102" in codes or "TLP103" in codes:
        kwargs.pop("torch_dtype", None)
        kwargs.pop("dtype", None)
        numbers = tuple(int(part) for part in transformers.__version__.split(".")[:2])
        kwargs["dtype" if numbers >= (4, 56) else "torch_dtype"] = torch.bfloat16
    if "TLP104" in codes:
        kwargs["attn_implementation"] = "sdpa"
    return kwargs


def decode_greedily(config: Any) -> None:
    """Greedy, at most 256 new tokens, the shipped stop tokens, and a pad token that is one of them."""
    for name, value in {**GREEDY, **NEUTRAL}.items():
        setattr(config, name, value)
    if config.pad_token_id is None:
        stops = config.eos_token_id
        config.pad_token_id = stops[0] if isinstance(stops, list) else stops


def weights(model: Any) -> str:
    """A digest of all weights as bfloat16, the dtype of the checkpoints: it ignores casts, but not other weights."""
    import torch

    digest = hashlib.sha256()
    for name, tensor in sorted(model.state_dict().items()):
        digest.update(name.encode())
        if tensor.is_meta:  # accelerate holds it elsewhere
            continue
        digest.update(
            tensor.detach().cpu().to(torch.bfloat16).to(torch.float32).contiguous().numpy().tobytes()
        )
    return digest.hexdigest()


def placed(model: Any) -> dict[str, str]:
    """Where each parameter lies."""
    return {name: str(parameter.device) for name, parameter in model.named_parameters()}


@contextlib.contextmanager
def alone(path: Path, model: str) -> Iterator[None]:
    """The environment of a script that is run directly; everything is restored afterwards."""
    import torch

    argv, search, modules = sys.argv, list(sys.path), set(sys.modules)
    environment = dict(os.environ)
    sys.argv = [str(path), "--model", model]
    sys.path.insert(0, str(path.parent))
    os.environ["EXPERIMENT_MODEL"] = model
    torch.manual_seed(0)
    gradients, dtype = torch.is_grad_enabled(), torch.get_default_dtype()
    try:
        yield
    finally:
        torch.set_grad_enabled(gradients)
        torch.set_default_dtype(dtype)
        if torch.cuda.is_available():
            torch.cuda.set_device(0)
        if torch.distributed.is_initialized():
            torch.distributed.destroy_process_group()
        if (state := sys.modules.get("accelerate.state")) is not None:
            state.AcceleratorState._reset_state(True)
        sys.argv, sys.path[:] = argv, search
        os.environ.clear()
        os.environ.update(environment)
        for name in set(sys.modules) - modules:
            file = getattr(sys.modules[name], "__file__", None) or ""
            if Path(file).parent in (path.parent, path.parent.parent):
                del sys.modules[name]


@contextlib.contextmanager
def inside(work: str | None, models: str | None) -> Iterator[None]:
    """The job's own folder, in which the models' ids are folders."""
    if work is None or models is None:
        yield
        return
    before = Path.cwd()
    Path(work).mkdir(parents=True)
    for entry in Path(models).iterdir():
        (Path(work) / entry.name).symlink_to(entry)
    os.chdir(work)
    try:
        yield
    finally:
        os.chdir(before)


def saved(work: Path) -> dict[str, Any]:
    """The contents of the folder that matter to later readers: settings, and digests of weights."""
    found: dict[str, Any] = {}
    for path in sorted(path for path in work.rglob("*") if path.is_file()):
        name = path.relative_to(work).as_posix()
        if any((work / part).is_symlink() for part in (name.partition("/")[0], name)):
            continue
        found[name] = content(path)
    return found


def content(path: Path) -> Any:
    import torch
    from safetensors.torch import load_file

    if path.suffix == ".safetensors":
        return digests(load_file(path))
    if path.suffix == ".json":
        read = json.loads(path.read_text(encoding="utf-8"))
        return {key: value for key, value in read.items() if key != "transformers_version"}
    if path.suffix in (".pt", ".pickle"):
        # A pickled model cannot be compared byte by byte; its weights can.
        torch.serialization.clear_safe_globals()
        if path.suffix == ".pickle":
            import pickle

            with path.open("rb") as file:
                read = pickle.load(file)
        else:
            read = torch.load(path, weights_only=True)
        read = read.state_dict() if isinstance(read, torch.nn.Module) else read
        return digests(read) if isinstance(read, dict) else digests({"": read})
    return None


def digests(tensors: dict[str, Any]) -> dict[str, str]:
    """Type, shape and a digest of the bytes of each tensor."""
    import torch

    return {
        name: f"{tensor.dtype} {tuple(tensor.shape)} "
        + hashlib.sha256(
            tensor.detach().contiguous().flatten().view(torch.uint8).numpy().tobytes()
        ).hexdigest()
        for name, tensor in tensors.items()
        if isinstance(tensor, torch.Tensor)
    }


def run_notebook(path: Path) -> None:
    """Run the cells as Jupyter does, magics included; the first that fails ends the run."""
    from IPython.core.interactiveshell import InteractiveShell

    shell = InteractiveShell(user_ns={"__file__": str(path)})
    shell.history_manager.enabled = False
    for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]:
        if cell["cell_type"] == "code":
            shell.run_cell("".join(cell["source"]), store_history=True).raise_error()


def run(job: dict[str, Any], recorder: Recorder) -> dict[str, Any]:
    path, work = Path(job["path"]), job.get("work")
    recorder.folder, recorder.changes = path.parent, job.get("changes") or {}
    printed = io.StringIO()
    error = None
    with alone(path, job["model"]), inside(work, job.get("models")), contextlib.redirect_stdout(printed):
        os.environ.update(job.get("environment") or {})
        namespace: dict[str, Any] = {"__name__": "__main__", "__file__": str(path)}
        try:
            if path.suffix == ".ipynb" and work is not None:
                run_notebook(path)
            else:
                for number, code in enumerate(cells(path)):
                    filename = f"{path}#{number}" if path.suffix == ".ipynb" else str(path)
                    exec(compile(code, filename, "exec"), namespace)
        except SystemExit as stop:
            error = f"exit {stop.code}" if stop.code else None
        except BaseException:
            error = traceback.format_exc()
    files = saved(Path(work)) if work is not None else {}
    return {"printed": printed.getvalue(), "error": error, "saved": files, **recorder.taken()}


def main() -> None:
    import torch

    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    given = json.load(sys.stdin)
    out = sys.stdout
    sys.stdout = sys.stderr
    with on(given.get("machine")), one_of_several(given.get("rank")):
        recorder = Recorder()
        recorder.install()
        json.dump([run(job, recorder) for job in given["scripts"]], out)


@contextlib.contextmanager
def on(machine: str | None) -> Iterator[None]:
    if machine is None:
        yield
        return
    from telepathy_runtime.machine.environment import probe
    from tests.runtime.machines import MACHINES
    from tests.runtime.pretended import pretend

    meant = MACHINES[machine]
    with pretend(meant):
        seen = probe()
        for field in ("accelerator", "launcher", "sharding", "bfloat16"):
            assert getattr(seen, field) == getattr(meant, field), (
                f"{machine}: {field} is {getattr(seen, field)}"
            )
        assert len(seen.devices) == len(meant.devices), machine
        yield


@contextlib.contextmanager
def one_of_several(rank: int | None) -> Iterator[None]:
    if rank is None:
        yield
        return
    from tests.runtime.two_processes import launched

    with launched(rank):
        yield


if __name__ == "__main__":
    main()
