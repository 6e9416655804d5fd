"""Counts the exact parameters of any architecture that transformers knows, by building the model on the meta device.

No weight is allocated; a build takes a fifth of a second. Needs torch and transformers.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from telepathy_runtime.models.architectures import VISION, dtype_of
from telepathy_runtime.models.quantized import Matrix, weight_bytes
from telepathy_runtime.models.spec import ConfigError, UnknownOptionError, element_size


class Count(NamedTuple):
    """Number of parameters (tied ones once), and bytes of quantised weights (0 if there are none)."""

    params: int
    stored_bytes: int
    tower: int = 0  # parameters that only an image reaches


TOWERS = frozenset({"vision_tower", "multi_modal_projector", "visual"})
"""The names of the parts of a model of `VISION` that read images."""


def count(config: Mapping[str, Any]) -> Count:
    """Count the parameters of the model in a parsed config.json, with the head that its `architectures` names.

    Raises ModuleNotFoundError without torch or transformers, UnknownOptionError for an architecture that the installed
    transformers cannot build or a quantisation that is not modelled, ConfigError if the config is invalid.
    """
    import torch

    quantised = config.get("quantization_config")
    with warnings.catch_warnings(), torch.device("meta"):
        warnings.simplefilter("ignore")
        model = build(config)
    sizes = {name: parameter.numel() for name, parameter in model.named_parameters()}
    sees = config.get("model_type") in VISION
    tower = sum(size for name, size in sizes.items() if sees and TOWERS & set(name.split(".")))
    if not quantised:
        return Count(sum(sizes.values()), 0, tower)
    stored = weight_bytes(quantised, list(_matrices(model)), element_size(dtype_of(config)))
    return Count(sum(sizes.values()), stored, tower)


def completed(config: Mapping[str, Any]) -> dict[str, Any]:
    """A config.json with the defaults of transformers' config class for what it leaves out.

    Raises ConfigError if the class does not take its values.
    """
    import transformers

    given = {key: value for key, value in config.items() if key != "model_type"}
    try:
        found: dict[str, Any] = transformers.CONFIG_MAPPING[config["model_type"]].from_dict(given).to_dict()
    except Exception as error:  # a config's own code may raise any exception for inconsistent values
        raise ConfigError(f"transformers cannot read this config: {_line(error)}") from error
    return found


def build(config: Mapping[str, Any]) -> Any:
    """Build the model on the current device."""
    import transformers

    name = config.get("model_type")
    if name not in transformers.CONFIG_MAPPING:
        hint = "; it has its own code, which is not run" if config.get("auto_map") else ""
        raise UnknownOptionError(
            f"architecture {name!r} is not known to transformers {transformers.__version__}{hint}"
        )
    given = {k: v for k, v in config.items() if k not in ("model_type", "quantization_config", "auto_map")}
    try:
        parsed = transformers.CONFIG_MAPPING[name].from_dict(given)
        return _class(config, parsed)(parsed)
    except (UnknownOptionError, ModuleNotFoundError, MemoryError):
        raise
    except Exception as error:  # a model's own code may raise any exception for inconsistent values
        raise ConfigError(f"transformers cannot build {name} from this config: {_line(error)}") from error


def _line(error: Exception) -> str:
    """The text of an error on one line, with its type where the text alone says little."""
    text = " ".join(str(error).split())
    return text if " " in text else f"{type(error).__name__}: {text}"


def _class(config: Mapping[str, Any], parsed: Any) -> Any:
    """The class named in `architectures`, else the language model of that type, else the base model."""
    import transformers

    for name in config.get("architectures") or ():
        found = getattr(transformers, name, None)
        if isinstance(found, type):
            return found
    # The class for causal models of an encoder-decoder is its decoder alone.
    two = ("SEQ_TO_SEQ_CAUSAL_LM", "SPEECH_SEQ_2_SEQ") if getattr(parsed, "is_encoder_decoder", False) else ()
    for auto in (*two, "CAUSAL_LM", "SEQ_TO_SEQ_CAUSAL_LM", "IMAGE_TEXT_TO_TEXT"):
        mapping = getattr(transformers, f"MODEL_FOR_{auto}_MAPPING", None)
        if mapping is not None and type(parsed) in mapping:
            return mapping[type(parsed)]
    if type(parsed) in transformers.MODEL_MAPPING:
        return transformers.MODEL_MAPPING[type(parsed)]
    raise UnknownOptionError(f"transformers has no model for {config.get('model_type')!r}")


def _matrices(model: Any) -> Iterator[Matrix]:
    import torch

    linear = {
        f"{name}.weight" for name, module in model.named_modules() if isinstance(module, torch.nn.Linear)
    }
    head = model.get_output_embeddings() if hasattr(model, "get_output_embeddings") else None
    for name, parameter in model.named_parameters():
        kind = "linear" if name in linear else "experts" if parameter.dim() == 3 else "other"
        if head is not None and parameter is getattr(head, "weight", None):
            kind = "head"
        yield Matrix(name, tuple(parameter.shape), kind)
