"""In which dtype: bfloat16 where the hardware computes in it, and something that the model survives elsewhere."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from telepathy_runtime.choose.choice import Choice
from telepathy_runtime.machine.environment import Machine

if TYPE_CHECKING:
    import os

DEFAULT = "bfloat16"
ITEM_SIZE = {"float64": 8, "float32": 4, "bfloat16": 2, "float16": 2, "float8_e4m3fn": 1, "float8_e5m2": 1}
# transformers only takes the names that torch has as attributes; scripts write these as well.
_ALIASES = {"bf16": "bfloat16", "fp16": "float16", "half": "float16", "fp32": "float32", "float": "float32"}
# Trained in bfloat16 with activations beyond float16's 65504: in float16 they overflow to inf and nan.
_OVERFLOWS_IN_FLOAT16 = ("t5", "mt5", "umt5", "longt5", "gemma2", "gemma3", "gemma3_text", "gemma3n")


def dtype_name(asked: Any) -> Any:
    """ "torch.bfloat16", torch.bfloat16, "bf16" -> "bfloat16"; "auto", None and dicts as they are."""
    if asked is None or isinstance(asked, dict):
        return asked
    name = str(asked).removeprefix("torch.")
    return _ALIASES.get(name, name)


def choose_dtype(machine: Machine, asked: Any = DEFAULT, *, model_type: str | None = None) -> Choice[Any]:
    """Decide the dtype, as a name. Pure.

    The *name* "bfloat16" (the default) is a wish: without hardware for it another dtype is chosen, with a warning. A
    torch.dtype is an order and stays what it is.
    """
    if asked is None:
        return Choice(None, "asked to leave it to transformers")
    name = dtype_name(asked)
    if isinstance(asked, dict) or name == "auto":
        return Choice(name, "as given")
    if name != "bfloat16":
        return Choice(name, "as given")
    if machine.bfloat16:
        return Choice(name, f"{machine.accelerator} computes in it")
    lacking = _lacking(machine)
    if not isinstance(asked, str):
        return Choice(
            name, "as given", (f"{lacking}: torch.bfloat16 was asked for and is emulated or refused",)
        )
    if model_type in _OVERFLOWS_IN_FLOAT16:
        because = f"{lacking}, and {model_type} overflows in float16"
        return Choice("float32", because, (f"float32 instead of bfloat16, twice the memory: {because}",))
    return Choice("float16", lacking, (f"float16 instead of bfloat16: {lacking}; watch for overflow",))


def _lacking(machine: Machine) -> str:
    old = [
        device for device in machine.devices if device.capability is not None and device.capability < (8, 0)
    ]
    if old:
        major, minor = old[0].capability or (0, 0)
        return f"{old[0].name or 'the GPU'} has compute capability {major}.{minor}, bfloat16 needs 8.0"
    return f"{machine.accelerator} here has no bfloat16"


def resolve_dtype(
    asked: Any = DEFAULT,
    *,
    model_id: str | os.PathLike[str] | None = None,
    explain: bool = False,
    **keywords: Any,
) -> Any:
    """The dtype for this machine as a torch.dtype, for `from_pretrained(dtype=resolve_dtype())`.

    bfloat16 where the hardware computes in it (CUDA capability 8.0, macOS 14, every CPU), else float16, or float32 for
    models that overflow in float16 (known when `model_id` is given). "auto", None and dicts come back as they are.
    """
    from telepathy_runtime.loading.planning import decide_dtype

    return decide_dtype(asked, model_id=model_id, keywords=keywords, explain=explain)
