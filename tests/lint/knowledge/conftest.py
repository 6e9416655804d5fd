from __future__ import annotations

import importlib.util

import pytest


@pytest.fixture(scope="session", autouse=True)
def without_datasets_for_another_hub() -> None:
    """datasets 5 needs huggingface_hub 1, and transformers 4 an earlier one: beside it, datasets counts as not installed.

    Trainer imports datasets wherever it finds it.
    """
    if importlib.util.find_spec("datasets") is None or importlib.util.find_spec("transformers") is None:
        return
    from transformers.utils import import_utils

    try:
        importlib.import_module("datasets")
    except ImportError:
        if getattr(import_utils, "_datasets_available", False):
            import_utils._datasets_available = False
