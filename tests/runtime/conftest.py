"""Checkpoints that are built once per session, and an environment without launchers, caches and the network."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Once

# Before huggingface_hub is imported by anything: it reads these once.
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")

Checkpoints = Callable[..., Path]

# The linter alone is installed without torch: then what loads for real is not collected, the pure decisions are.
if not all(importlib.util.find_spec(name) for name in ("torch", "transformers")):
    collect_ignore = [
        "test_loading.py",
        "test_purpose.py",
        "test_together.py",
        "test_adapters.py",
        "test_quantization.py",
        "test_reports.py",
        "test_generation.py",
        "test_tokenization.py",
        "test_failures.py",
        "test_hints.py",
        "test_arrival.py",
        "test_same_errors.py",
        "test_threads.py",
        "test_after_the_load.py",
        "test_hub.py",
        "test_processes.py",
        "test_sharding.py",
        "test_doctor.py",
        "test_gpu.py",
    ]


@pytest.fixture(scope="session")
def checkpoints(once: Once) -> Checkpoints:
    """`checkpoints("llama", sharded=True)` returns a folder, built on first use and shared: tests must not write to it."""
    import transformers

    from tests.checkpoints import CLASSES, build

    def get(kind: str, **options: Any) -> Path:
        if not hasattr(transformers, CLASSES[kind]):
            pytest.skip(f"transformers {transformers.__version__} has no {CLASSES[kind]}")
        asked = repr(sorted(options.items())).encode()
        name = f"{kind}-{hashlib.sha256(asked).hexdigest()[:12]}" if options else kind
        return once(name, lambda folder: build(kind, folder, **options))

    return get


@pytest.fixture(scope="session")
def without_sdpa(checkpoints: Checkpoints, once: Once) -> Path:
    """A checkpoint of a class of our own, `EagerLlamaForCausalLM`, that has no sdpa.

    Which of their own classes lack it differs between releases of transformers.
    """
    import transformers

    class EagerLlamaConfig(transformers.LlamaConfig):
        model_type = "eager_llama"

    class EagerLlamaForCausalLM(transformers.LlamaForCausalLM):
        config_class = EagerLlamaConfig
        _supports_sdpa = False

    transformers.AutoConfig.register("eager_llama", EagerLlamaConfig)
    transformers.AutoModelForCausalLM.register(EagerLlamaConfig, EagerLlamaForCausalLM)

    def make(folder: Path) -> None:
        shutil.copytree(checkpoints("llama"), folder, dirs_exist_ok=True)
        content = json.loads((folder / "config.json").read_text())
        content |= {"model_type": "eager_llama", "architectures": ["EagerLlamaForCausalLM"]}
        (folder / "config.json").write_text(json.dumps(content))

    return once("without_sdpa", make)


@pytest.fixture(autouse=True)
def no_launcher(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Tests set the launcher's variables themselves."""
    for name in list(os.environ):
        if name.startswith(("SLURM_", "OMPI_", "PMI_", "MPI_", "MV2_", "ACCELERATE_", "TORCHELASTIC_")):
            monkeypatch.delenv(name)
    for name in ("WORLD_SIZE", "RANK", "LOCAL_RANK", "LOCAL_WORLD_SIZE"):
        monkeypatch.delenv(name, raising=False)
    yield
