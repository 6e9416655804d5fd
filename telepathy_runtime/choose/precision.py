"""Chooses the dtype: bfloat16 if the hardware supports it, else float16 or float32."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from telepathy_runtime.choose.choice import Choice
from telepathy_runtime.machine.environment import Machine

if TYPE_CHECKING:
    pass


DEFAULT = "bfloat16"
RESOLVE = "resolve"
ITEM_SIZE = {"float64": 8, "float32": 4, "bfloat16": 2, "float16": 2, "float8_e4m3fn": 1, "float8_e5m2": 1}
# transformers only accepts the names of attributes of torch; scripts also use these.
_ALIASES = {"bf16": "bfloat16", "fp16": "float16", "half": "float16", "fp32": "float32", "float": "float32"}
# Trained in bfloat16 with activations above 65504, the maximum of float16: they overflow to inf and nan.
_OVERFLOWS_IN_FLOAT16 = ("t5", "mt5", "umt5", "longt5", "gemma2", "gemma3", "gemma3_text", "gemma3n")


def dtype_name(asked: Any) -> Any:
    """ "torch.bfloat16", torch.bfloat16, "bf16" -> "bfloat16"; "auto", None and dicts are returned unchanged."""
    if asked is None or isinstance(asked, dict):
        return asked
    name = str(asked).removeprefix("torch.")
    return _ALIASES.get(name, name)


def choose_dtype(
    machine: Machine, asked: Any = RESOLVE, *, model_type: str | None = None, purpose: str | None = None
) -> Choice[Any]:
    """Decide the dtype, as a name; a pure function.

    "resolve" gives float32 for training, because the optimizer needs small differences, and bfloat16
    otherwise. The *name* "bfloat16" is a preference: if the hardware lacks it, another dtype is chosen, with
    a warning. A torch.dtype is never replaced.
    """
    if asked is None:
        return Choice(None, "left to transformers as requested")
    if isinstance(asked, str) and asked == RESOLVE:
        if purpose == "training":
            return Choice("float32", "the weights are trained; bf16=True or autocast computes in bfloat16")
        asked = DEFAULT
    name = dtype_name(asked)
    if isinstance(asked, dict) or name == "auto":
        return Choice(name, "as given")
    if name != "bfloat16":
        return Choice(name, "as given")
    if machine.bfloat16:
        return Choice(name, f"{machine.accelerator} supports it")
    lacking = _lacking(machine)
    if not isinstance(asked, str):
        return Choice(
            name, "as given", (f"{lacking}: torch.bfloat16 was requested and is emulated or fails",)
        )
    if model_type in _OVERFLOWS_IN_FLOAT16:
        because = f"{lacking}, and {model_type} overflows in float16"
        return Choice("float32", because, (f"float32 instead of bfloat16, twice the memory: {because}",))
    return Choice("float16", lacking, (f"float16 instead of bfloat16: {lacking}; watch for overflow",))


#: The names of the setting among the arguments of from_pretrained.
KEYWORDS = ("dtype", "torch_dtype")


def refused(error: Exception) -> bool:
    """Whether a load failed because the class needs another dtype."""
    said = str(error).lower()
    return any(words in said for words in ("same dtype", "expected scalar type", "not implemented for '"))


def _lacking(machine: Machine) -> str:
    old = [
        device for device in machine.devices if device.capability is not None and device.capability < (8, 0)
    ]
    if old:
        major, minor = old[0].capability or (0, 0)
        return f"{old[0].name or 'the GPU'} has compute capability {major}.{minor}, bfloat16 needs 8.0"
    return f"{machine.accelerator} here has no bfloat16"
