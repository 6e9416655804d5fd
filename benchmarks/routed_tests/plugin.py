"""A pytest plugin that routes all `from_pretrained` calls of models through load_model: `-p
benchmarks.routed_tests.plugin`.

Settings in the test are passed on; the others are None, so that the call is equivalent. Without
TELEPATHY_ROUTE=1 in the environment, it only counts, so that both runs are alike. The number of loads is
written to the file in TELEPATHY_ROUTED.
"""

from __future__ import annotations

import functools
import os
import threading
import time
import types
from pathlib import Path
from typing import Any

_INSIDE = threading.local()
_LOADS = [0]
_NONE = {"device_map": None, "attn_implementation": None, "generation_config": None}


def _routed(own: Any) -> Any:
    @functools.wraps(own)
    def from_pretrained(cls: Any, model_id: Any = None, *args: Any, **keywords: Any) -> Any:
        if getattr(_INSIDE, "load", False):
            return own(cls, model_id, *args, **keywords)
        if "pretrained_model_name_or_path" in keywords:
            model_id = keywords.pop("pretrained_model_name_or_path")
        _LOADS[0] += 1
        if os.environ.get("TELEPATHY_ROUTE") != "1":
            return own(cls, model_id, *args, **keywords)
        from telepathy_runtime import load_model

        stated = {**_NONE, **({} if "torch_dtype" in keywords else {"dtype": None}), **keywords}
        _INSIDE.load = True
        try:
            return load_model(model_id, *args, model_class=cls, **stated)
        finally:
            _INSIDE.load = False

    return classmethod(from_pretrained)


def _do_not_wait() -> None:
    """There is no network, and peft's tests ask it all the same: the hub's client is not to wait between its attempts."""
    from huggingface_hub.utils import _http

    _http.time = types.SimpleNamespace(**{**vars(time), "sleep": lambda seconds: None})  # type: ignore[attr-defined]


def pytest_configure(config: Any) -> None:
    _do_not_wait()
    import transformers
    from transformers.models.auto import modeling_auto

    classes = [transformers.PreTrainedModel]
    classes += [
        value
        for name, value in vars(modeling_auto).items()
        if name.startswith("AutoModel") and "from_pretrained" in vars(value)
    ]
    for cls in classes:
        cls.from_pretrained = _routed(vars(cls)["from_pretrained"].__func__)


def pytest_sessionfinish(session: Any) -> None:
    where = os.environ.get("TELEPATHY_ROUTED")
    if where:
        Path(where).write_text(str(_LOADS[0]), encoding="utf-8")
