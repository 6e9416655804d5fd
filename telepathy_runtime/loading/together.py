"""load: loads a model and its tokenizer and makes them consistent. load_processor: load_tokenizer for processors."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeVar, overload

from telepathy_runtime.loading import fitting, planning
from telepathy_runtime.loading import load as loading
from telepathy_runtime.machine.environment import need

if TYPE_CHECKING:
    from transformers import PreTrainedModel
    from transformers.models.auto.auto_factory import _BaseAutoModelClass

    from telepathy_runtime.choose.purpose import Purpose

M = TypeVar("M")

# Keywords that say where a checkpoint is; they are used for its tokenizer too.
_SHARED = (
    "revision",
    "token",
    "cache_dir",
    "subfolder",
    "local_files_only",
    "force_download",
    "proxies",
    "trust_remote_code",
    "code_revision",
    "gguf_file",
)


@overload
def load(
    model_id: str | os.PathLike[str],
    *,
    model_class: type[_BaseAutoModelClass] | None = None,
    tokenizer_id: str | os.PathLike[str] | None = None,
    tokenizer_class: Any = None,
    tokenizer_arguments: Mapping[str, Any] | None = None,
    padding_side: str | None = None,
    pad_token: Any = "resolve",
    resize: bool = False,
    purpose: Purpose | None = None,
    report: Any = None,
    **load_model_arguments: Any,
) -> tuple[PreTrainedModel, Any]: ...
@overload
def load(
    model_id: str | os.PathLike[str],
    *,
    model_class: type[M],
    tokenizer_id: str | os.PathLike[str] | None = None,
    tokenizer_class: Any = None,
    tokenizer_arguments: Mapping[str, Any] | None = None,
    padding_side: str | None = None,
    pad_token: Any = "resolve",
    resize: bool = False,
    purpose: Purpose | None = None,
    report: Any = None,
    **load_model_arguments: Any,
) -> tuple[M, Any]: ...
def load(
    model_id: str | os.PathLike[str],
    *,
    model_class: Any = None,
    tokenizer_id: str | os.PathLike[str] | None = None,
    tokenizer_class: Any = None,
    tokenizer_arguments: Mapping[str, Any] | None = None,
    padding_side: str | None = None,
    pad_token: Any = "resolve",
    resize: bool = False,
    purpose: Purpose | None = None,
    report: Any = None,
    **load_model_arguments: Any,
) -> tuple[Any, Any]:
    """Load a model and its tokenizer, and make them consistent: `model, tokenizer = load("org/name")`.

    The model is loaded as by load_model, with `load_model_arguments`; the tokenizer as by load_tokenizer,
    from `tokenizer_id` or the same place. The tokenizer pads on the left for generation and on the right for
    training, unless `padding_side` is given. `tokenizer_class=AutoProcessor` loads a processor instead.

    Then, as in fit_tokenizer: the model gets the pad id; stop ids are those of the model, the tokenizer and
    the chat template; a vocabulary larger than the embeddings gives a warning, or more rows with
    `resize=True`. generation_config=None leaves the generation config unchanged.

    `report` receives a TokenizerReport, a LoadReport and a FitReport. The tokenizer is loaded first, so a
    missing one is reported before the model is loaded. Raises LoadError as load_model does.
    """
    where = {name: load_model_arguments[name] for name in _SHARED if name in load_model_arguments}
    own = dict(tokenizer_arguments or {})
    if tokenizer_id is not None:
        # With another tokenizer_id, the folder, file and revisions of the model do not apply.
        own_place = ("revision", "code_revision", "subfolder", "gguf_file")
        where = {name: value for name, value in where.items() if name not in own_place}
    tokenizer = loading.load_tokenizer(
        model_id if tokenizer_id is None else tokenizer_id,
        padding_side=padding_side,
        pad_token=pad_token,
        purpose=purpose or "inference",
        tokenizer_class=tokenizer_class,
        report=report,
        **(where | own),
    )
    model = loading.load_model(
        model_id, model_class=model_class, purpose=purpose, report=report, **load_model_arguments
    )
    asked = load_model_arguments.get("generation_config", "default")
    fitting.fit_tokenizer(
        model,
        tokenizer,
        resize=resize,
        generates=asked is not None,
        model_id=planning.identifier(model_id),
        report=report,
    )
    return model, tokenizer


def load_processor(
    model_id: str | os.PathLike[str],
    *processor_args: Any,
    padding_side: str | None = None,
    pad_token: Any = "resolve",
    purpose: Purpose | None = None,
    processor_class: Any = None,
    report: Any = None,
    **kwargs: Any,
) -> Any:
    """Load a processor as AutoProcessor.from_pretrained does; its tokenizer gets a pad token as by load_tokenizer.

    For a checkpoint without a processor, AutoProcessor returns its tokenizer, image processor or feature
    extractor. Arguments and errors are those of load_tokenizer.
    """
    return loading.load_tokenizer(
        model_id,
        *processor_args,
        padding_side=padding_side,
        pad_token=pad_token,
        purpose=purpose,
        tokenizer_class=need("transformers").AutoProcessor if processor_class is None else processor_class,
        report=report,
        **kwargs,
    )
