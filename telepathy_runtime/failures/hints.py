"""Advice for common mistakes: ids that are not ids, arguments of other releases, models that need more arguments."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

from telepathy_runtime import errors
from telepathy_runtime.errors import LoadError
from telepathy_runtime.failures.failure import Failure

_REPLACED = {
    "load_in_8bit": 'pass quantization="int8" or quantization_config=BitsAndBytesConfig(load_in_8bit=True); without it the full model is loaded',
    "load_in_4bit": 'pass quantization="nf4" or quantization_config=BitsAndBytesConfig(load_in_4bit=True); without it the full model is loaded',
    "use_auth_token": "pass token=",
    "use_flash_attention_2": 'pass attn_implementation="flash_attention_2"',
    "device": "pass device_map=",
    "gradient_checkpointing": "call model.gradient_checkpointing_enable() after loading",
    "rope_theta": "pass rope_parameters={...}",
    "rope_scaling": "pass rope_parameters={...}",
    "max_length": "pass it to generate(), or in generation_config=",
    "max_new_tokens": "pass it to generate(), or in generation_config=",
    "temperature": "pass it to generate(), or in generation_config=",
    "do_sample": "pass it to generate(), or in generation_config=",
    "top_p": "pass it to generate(), or in generation_config=",
}


def replacement(name: str) -> str:
    """What to do about an argument that this version of transformers does not accept."""
    return _REPLACED.get(name, f"remove {name}")


def no_id(failure: Failure) -> LoadError | None:
    """The error for a file, a URL or a path with ~ that was passed as an id or folder."""
    given = failure.model_id
    url = re.match(r"https?://[^/]+/([^/?#]+(?:/[^/?#]+)?)", given)
    if url is not None:
        return errors.ModelMissingError(failure.asked, "it is a URL", f"pass the id alone: {url[1]!r}")
    if given.startswith("~"):
        return errors.ModelMissingError(
            failure.asked, "~ is not expanded in an id", "pass os.path.expanduser(...), or the whole path"
        )
    if given and os.path.isfile(given):
        cure = f"pass its folder, {str(Path(given).parent)!r}"
        if given.endswith(".gguf"):
            cure += f", and gguf_file={Path(given).name!r}"
        return errors.ModelMissingError(failure.asked, "it is a file, but a folder is needed", cure)
    return None


def own_code(failure: Failure) -> LoadError | None:
    """The error for a repository that has its own model code."""
    if not failure.says("trust_remote_code=True"):
        return None
    return errors.ModelClassError(
        failure.asked,
        "the checkpoint has its own code, which is not run by default",
        "read that code, then pass trust_remote_code=True and pin it with revision=",
    )


def unknown_architecture(failure: Failure) -> LoadError | None:
    """The error for a config with a model_type that transformers does not know, or with invalid values."""
    kind = re.search(r"model type `?([\w.-]+)`? but Transformers does not recognize", failure.text)
    if kind is not None:
        return errors.ModelClassError(
            failure.asked,
            f"this version of transformers does not support model_type {kind[1]!r}",
            "update transformers, correct model_type in config.json, or pass config=",
        )
    if failure.named("StrictDataclassError"):
        lines = [line.strip() for line in failure.text.splitlines() if line.strip()]
        return errors.CorruptCheckpointError(
            failure.asked,
            f"the config has an invalid value: {' '.join(lines[:2])}",
            "correct config.json",
        )
    return None


def of_an_adapter(failure: Failure, found: LoadError) -> LoadError:
    """For an adapter: add its base model to the error, in case that is what is missing."""
    folder = failure.folder()
    file = folder / "adapter_config.json" if folder is not None else None
    if file is None or not file.is_file():
        return found
    try:
        base = json.loads(file.read_text(encoding="utf-8")).get("base_model_name_or_path")
    except (OSError, ValueError, AttributeError, RecursionError):
        return found
    if not isinstance(base, str) or isinstance(found, errors.ArgumentError):
        return found
    return type(found)(
        found.asked,
        f"{found.found} (it is an adapter, its base model is {base!r})",
        f"{found.remedy}; see that {base!r} can be loaded, or correct base_model_name_or_path in {file}",
    )
