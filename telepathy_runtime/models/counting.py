"""What a model holds by transformers' own build on the meta device: exact parameters of every architecture it knows.

No weight is allocated; a build takes a fifth of a second. Needs torch and transformers.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from telepathy_runtime.models.architectures import ConfigError, dtype_of
from telepathy_runtime.models.quantized import Matrix, weight_bytes
from telepathy_runtime.models.spec import UnknownOptionError, element_size


class Count(NamedTuple):
    """Parameters, tied ones once, and the bytes of quantised weights (0: none are)."""

    params: int
    stored_bytes: int


def count(config: Mapping[str, Any]) -> Count:
    """Parameters of the model that a parsed config.json describes, with the head that its `architectures` names.

    Raises ModuleNotFoundError without torch or transformers, UnknownOptionError for an architecture that the installed
    transformers does not build or a quantisation that is not modelled, ConfigError where the config is not one.
    """
    import torch

    quantised = config.get("quantization_config")
    with warnings.catch_warnings(), torch.device("meta"):
        warnings.simplefilter("ignore")
        model = build(config)
    params = sum(parameter.numel() for parameter in model.parameters())
    if not quantised:
        return Count(params, 0)
    return Count(params, weight_bytes(quantised, list(_matrices(model)), element_size(dtype_of(config))))


def build(config: Mapping[str, Any]) -> Any:
    """The model, on the device that is current."""
    import transformers

    name = config.get("model_type")
    if name not in transformers.CONFIG_MAPPING:
        hint = "; it has code of its own, which is not run" if config.get("auto_map") else ""
        raise UnknownOptionError(
            f"architecture {name!r} is not known to transformers {transformers.__version__}{hint}"
        )
    given = {k: v for k, v in config.items() if k not in ("model_type", "quantization_config", "auto_map")}
    try:
        parsed = transformers.CONFIG_MAPPING[name].from_dict(given)
        return _class(config, parsed)(parsed)
    except (UnknownOptionError, ModuleNotFoundError, MemoryError):
        raise
    except Exception as error:  # a model's own code may raise anything on values that do not go together
        raise ConfigError(f"transformers cannot build {name} from this config: {error}") from error


def _class(config: Mapping[str, Any], parsed: Any) -> Any:
    """The class that `architectures` names, else the language model of that type, else the bare one."""
    import transformers

    for name in config.get("architectures") or ():
        found = getattr(transformers, name, None)
        if isinstance(found, type):
            return found
    for auto in ("CAUSAL_LM", "SEQ_TO_SEQ_CAUSAL_LM", "IMAGE_TEXT_TO_TEXT"):
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


def main() -> int:
    """Builds every listed model and holds its count against the registry; `python -m ...counting [TEXT]`."""
    import sys

    from telepathy_runtime.models import registry

    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    wrong = 0
    wanted = sys.argv[1] if len(sys.argv) > 1 else ""
    for model_id in registry.listed_ids():
        if wanted in model_id:
            said = difference(model_id)
            wrong += said is not None
            if said:
                print(f"{model_id}: {said}")
    print(f"{wrong} of {len(registry.listed_ids())} models differ")
    return int(wrong > 0)


def difference(model_id: str) -> str | None:
    """How a listed model differs from the build, or from what was published; None where all agree."""
    from telepathy_runtime.models import registry

    spec, published = registry.get(model_id), registry.published_params(model_id)
    built = count(registry.listed_config(model_id))
    if (built.params, built.stored_bytes) != (spec.params, spec.stored_bytes):
        return f"{built} built, {spec.params} parameters and {spec.stored_bytes} stored bytes listed"
    if not agrees(spec.params, published):
        return f"{spec.params} listed, {published} published"
    return None


def agrees(params: int, published: int | str) -> bool:
    """Whether a count is the published one, to the digits that were published ("6.74B")."""
    if isinstance(published, int):
        return params == published
    digits = len(published[:-1].partition(".")[2])
    return f"{params / {'B': 1e9, 'M': 1e6}[published[-1]]:.{digits}f}" == published[:-1]


if __name__ == "__main__":
    raise SystemExit(main())
