"""Loads at once: the dtype and the way modules are made are settings of the whole process while transformers loads."""

from __future__ import annotations

import threading
from typing import Any

import torch
import transformers

from telepathy_runtime import load_model
from tests.runtime.conftest import Checkpoints

THREADS, LOADS = 8, 6


def test_eight_threads_get_the_dtypes_they_asked_for(checkpoints: Checkpoints) -> None:
    """Without the lock some of these are wrong in most runs, and the default dtype of the process stays changed."""
    folder = checkpoints("llama", dtype="float32")
    transformers.AutoModelForCausalLM.from_pretrained(folder)  # imports what is lazy
    start = threading.Barrier(THREADS)
    wrong: list[Any] = []

    def load(dtype: Any) -> None:
        start.wait()
        for _ in range(LOADS):
            try:
                model = load_model(folder, dtype=dtype)
            except Exception as error:
                wrong.append(error)
                continue
            found = {tensor.dtype for tensor in model.parameters()}
            if found != {dtype}:
                wrong.append((dtype, found))

    dtypes = [torch.float32, torch.bfloat16, torch.float16, torch.float64] * (THREADS // 4)
    threads = [threading.Thread(target=load, args=(dtype,)) for dtype in dtypes]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
    assert torch.get_default_dtype() == torch.float32
