"""Drops a setting that the loader chose, if the class does not accept it: the caller did not ask for it."""

from __future__ import annotations

import inspect
import re
from dataclasses import replace
from typing import Any

from telepathy_runtime.choose import precision
from telepathy_runtime.choose.choice import Choice
from telepathy_runtime.choose.plan import LoadPlan

_SETTINGS = ("dtype", "device_map", "attn_implementation")


def without(load_plan: LoadPlan, model_class: Any, keywords: dict[str, Any], error: Exception) -> LoadPlan:
    """Return the plan without the setting that made the load fail with `error`, and remove it from `keywords`.

    Raises `error` if the caller stated the setting, or if the failure has another reason.
    """
    if isinstance(error, TypeError):
        refused = re.search(r"unexpected keyword argument '(\w+)'", str(error))
        name = refused[1] if refused is not None else ""
        if name == "dtype" and name in keywords and _takes(model_class, "torch_dtype"):
            keywords["torch_dtype"] = keywords.pop("dtype")  # a class written for transformers 4
            return load_plan
        reason = f"{_named(model_class)}.from_pretrained does not accept it"
    else:
        # A class may compute while it is built, in a dtype that it expects.
        if not precision.refused(error):
            raise error
        name = next((each for each in precision.KEYWORDS if each in keywords), "")
        reason = f"the class does not load in {load_plan.dtype.value}: {str(error).splitlines()[0]}"
    setting = "dtype" if name in precision.KEYWORDS else name
    if name not in keywords or setting not in _SETTINGS:
        raise error
    if getattr(load_plan.request, setting) != "resolve":
        raise error
    del keywords[name]
    changed: dict[str, Any] = {setting: Choice(None, reason, (f"loaded without {setting}=, {reason}",))}
    return replace(load_plan, **changed)


def _takes(model_class: Any, name: str) -> bool:
    try:
        return name in inspect.signature(model_class.from_pretrained).parameters
    except (TypeError, ValueError):  # no signature, as for functions written in C
        return False


def _named(model_class: Any) -> str:
    return str(getattr(model_class, "__name__", type(model_class).__name__))
