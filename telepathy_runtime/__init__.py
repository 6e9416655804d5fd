"""Load Hugging Face models the same way everywhere: placement, precision, attention, generation, memory.

Importing this package imports nothing heavy: each public name is imported on first use, torch and
transformers only when a model is loaded.
"""

from __future__ import annotations

from telepathy_lint._version import __version__
from telepathy_lint.hints import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from telepathy_runtime.choose.generation import apply_generation_config, default_generation_config
    from telepathy_runtime.choose.tokenization import TokenizerReport
    from telepathy_runtime.errors import (
        ArgumentError,
        AttentionError,
        CorruptCheckpointError,
        DeviceMapError,
        DeviceMemoryError,
        DiskFullError,
        GatedModelError,
        LauncherError,
        LoadError,
        MissingAccelerateError,
        MissingPackageError,
        ModelClassError,
        ModelMissingError,
        NotGenerativeError,
        OfflineError,
        QuantizationError,
        ReadOnlyCacheError,
        SpillError,
        WeightsError,
    )
    from telepathy_runtime.loading.fitting import FitReport, fit_tokenizer
    from telepathy_runtime.loading.load import load_model, load_tokenizer
    from telepathy_runtime.loading.planning import plan_load
    from telepathy_runtime.loading.report import LoadReport
    from telepathy_runtime.loading.together import load, load_processor
    from telepathy_runtime.memory import (
        Monitor,
        PerceiverBridge,
        Workload,
        estimate,
        estimate_pair,
        max_batch,
    )

# Public name -> module that defines it.
_HOME = {
    "load_model": "loading.load",
    "load_tokenizer": "loading.load",
    "load": "loading.together",
    "load_processor": "loading.together",
    "fit_tokenizer": "loading.fitting",
    "FitReport": "loading.fitting",
    "plan_load": "loading.planning",
    "resolve_device_map": "resolvers",
    "resolve_attn_implementation": "resolvers",
    "resolve_dtype": "resolvers",
    "default_generation_config": "choose.generation",
    "apply_generation_config": "choose.generation",
    "Workload": "memory",
    "estimate": "memory",
    "estimate_pair": "memory",
    "max_batch": "memory",
    "Monitor": "memory",
    "PerceiverBridge": "memory",
    "LoadReport": "loading.report",
    "TokenizerReport": "choose.tokenization",
    "LoadError": "errors",
    "AttentionError": "errors",
    "ReadOnlyCacheError": "errors",
    "CorruptCheckpointError": "errors",
    "DeviceMapError": "errors",
    "DeviceMemoryError": "errors",
    "DiskFullError": "errors",
    "GatedModelError": "errors",
    "LauncherError": "errors",
    "MissingAccelerateError": "errors",
    "MissingPackageError": "errors",
    "ModelMissingError": "errors",
    "NotGenerativeError": "errors",
    "OfflineError": "errors",
    "QuantizationError": "errors",
    "SpillError": "errors",
    "ArgumentError": "errors",
    "ModelClassError": "errors",
    "WeightsError": "errors",
}

__all__ = [
    "ArgumentError",
    "AttentionError",
    "CorruptCheckpointError",
    "DeviceMapError",
    "DeviceMemoryError",
    "DiskFullError",
    "FitReport",
    "GatedModelError",
    "LauncherError",
    "LoadError",
    "LoadReport",
    "MissingAccelerateError",
    "MissingPackageError",
    "ModelClassError",
    "ModelMissingError",
    "Monitor",
    "NotGenerativeError",
    "OfflineError",
    "PerceiverBridge",
    "QuantizationError",
    "ReadOnlyCacheError",
    "SpillError",
    "TokenizerReport",
    "WeightsError",
    "Workload",
    "__version__",
    "apply_generation_config",
    "default_generation_config",
    "estimate",
    "estimate_pair",
    "fit_tokenizer",
    "load",
    "load_model",
    "load_processor",
    "load_tokenizer",
    "max_batch",
    "plan_load",
    "resolve_attn_implementation",
    "resolve_device_map",
    "resolve_dtype",
]


def __getattr__(name: str) -> Any:
    home = _HOME.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    found = getattr(import_module(f"{__name__}.{home}"), name)
    globals()[name] = found  # the next access is an ordinary one
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
