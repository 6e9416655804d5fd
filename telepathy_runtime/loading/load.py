"""load_model and load_tokenizer: make a plan and carry it out. Only this module calls from_pretrained."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal, TypeVar, overload

from telepathy_runtime.checkpoint import downloads
from telepathy_runtime.choose import generation, tokenization
from telepathy_runtime.choose import purpose as purposes
from telepathy_runtime.choose.plan import LoadPlan
from telepathy_runtime.errors import SpillError
from telepathy_runtime.failures import causes
from telepathy_runtime.loading import adapters, arguments, arrival, giving_way, inspection, planning
from telepathy_runtime.loading.report import Target
from telepathy_runtime.machine import environment

if TYPE_CHECKING:
    from transformers import PreTrainedModel
    from transformers.models.auto.auto_factory import _BaseAutoModelClass

    from telepathy_runtime.choose.purpose import Purpose

M = TypeVar("M")

# While transformers loads, it changes settings of the whole process (the default dtype, the device of new
# modules), so two loads at once would mix them up. Reentrant, because a class may load another model in its
# from_pretrained.
_LOADING = threading.RLock()


def _unlock_in_child() -> None:
    global _LOADING
    _LOADING = threading.RLock()  # the old lock may belong to a thread that the child process does not have


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_unlock_in_child)


# An Auto class is not a base class of its result, so type checkers see a PreTrainedModel.
@overload
def load_model(
    model_id: str | os.PathLike[str] | None,
    *model_args: Any,
    model_class: type[_BaseAutoModelClass] | None = None,
    dtype: Any = "resolve",
    device_map: Any = "resolve",
    attn_implementation: Any = "resolve",
    generation_config: Any = "default",
    purpose: Purpose | None = None,
    quantization: str | None = None,
    adapter: str | os.PathLike[str] | None = None,
    adapter_revision: str | None = None,
    merge_adapter: bool = False,
    report: Target = None,
    offload: Literal["warn", "error"] = "warn",
    weights: Literal["most", "partial", "strict"] = "most",
    explain: bool = False,
    **from_pretrained_kwargs: Any,
) -> PreTrainedModel: ...
@overload
def load_model(
    model_id: str | os.PathLike[str] | None,
    *model_args: Any,
    model_class: type[M],
    dtype: Any = "resolve",
    device_map: Any = "resolve",
    attn_implementation: Any = "resolve",
    generation_config: Any = "default",
    purpose: Purpose | None = None,
    quantization: str | None = None,
    adapter: str | os.PathLike[str] | None = None,
    adapter_revision: str | None = None,
    merge_adapter: bool = False,
    report: Target = None,
    offload: Literal["warn", "error"] = "warn",
    weights: Literal["most", "partial", "strict"] = "most",
    explain: bool = False,
    **from_pretrained_kwargs: Any,
) -> M: ...
def load_model(
    model_id: str | os.PathLike[str] | None,
    *model_args: Any,
    model_class: Any = None,
    dtype: Any = "resolve",
    device_map: Any = "resolve",
    attn_implementation: Any = "resolve",
    generation_config: Any = "default",
    purpose: Purpose | None = None,
    quantization: str | None = None,
    adapter: str | os.PathLike[str] | None = None,
    adapter_revision: str | None = None,
    merge_adapter: bool = False,
    report: Target = None,
    offload: Literal["warn", "error"] = "warn",
    weights: Literal["most", "partial", "strict"] = "most",
    explain: bool = False,
    **from_pretrained_kwargs: Any,
) -> Any:
    """Load a model as `model_class.from_pretrained` does, with settings that fit this machine.

    `model_id` is a hub id, a local folder or a path; None with `config=` and `state_dict=`. `model_class` is
    any class with from_pretrained (default, also for None: AutoModelForCausalLM). For `dtype`, `device_map`,
    `attn_implementation` and `generation_config`, None leaves the setting to transformers and any other value
    is used as given; if all four are None, this is exactly `model_class.from_pretrained(model_id,
    *model_args, **from_pretrained_kwargs)`.

    - dtype: "resolve" is bfloat16, or float32 for training. "bfloat16" falls back to another dtype with a
      warning if the hardware lacks it; a torch.dtype is used as it is. `torch_dtype` is a synonym.
    - device_map: "resolve" chooses by launcher, devices and size; see resolve_device_map.
    - attn_implementation: "resolve" chooses by package, GPU, dtype and class; see
      resolve_attn_implementation.
    - generation_config: "default" merges default_generation_config() into the shipped settings (skipped for
      models that cannot generate); a GenerationConfig is merged the same way. See apply_generation_config.

    `purpose` says what the model is for; explicit arguments take precedence. "inference" is the same as None.
    "training" keeps the weights in float32, uses one device per process and turns the key-value cache off.
    "finetune-adapters" also freezes the weights, uses bfloat16, and lets gradients pass through the
    embeddings, which gradient checkpointing needs. Both warn about weights that training would not change, or
    that a GradScaler refuses.

    `quantization` names a method: "nf4", "fp4" or "int8" (bitsandbytes), "torchao-int8", "quanto-int8" or
    "quanto-int4". It becomes the quantization_config of that package, which must be installed.

    `adapter` is the id or folder of a PEFT adapter, at `adapter_revision`, to load onto the model. The result
    is a PeftModel, or with `merge_adapter=True` the model with the adapter merged into its weights. With
    `merge_adapter=True` alone, `model_id` is the adapter, which names its base model.

    `report` receives the LoadReport: a path to which a JSON line is appended, or a callable. The report is
    also logged to "telepathy_runtime" at INFO, its warnings at WARNING, and LoadReport.of(model) returns it.
    With `offload="error"`, weights that do not fit on the accelerator raise an error instead of a warning.
    `explain=True` prints the plan first.

    `weights`: "most" raises an error if almost no weights of the model are in the checkpoint (a warning if
    all four settings are None), and warns if some are not; "partial" never raises; "strict" raises unless the
    checkpoint has exactly the weights of the model.

    Returns what from_pretrained returns. Raises a LoadError that says what was requested, what was found and
    what to do; the original exception is its cause, and the error also has that exception's class. Arguments
    are checked before anything is loaded. Safe to call from several threads: the loads run one after the
    other.
    """
    environment.need("torch")  # before transformers, which would only have placeholders without torch
    if model_class is None:
        model_class = environment.need("transformers").AutoModelForCausalLM
    dtype, from_pretrained_kwargs = planning.dtype_argument(dtype, from_pretrained_kwargs)
    model_id, put_on, base_keywords = adapters.asked(
        model_id, adapter, adapter_revision, merge_adapter, from_pretrained_kwargs
    )
    arguments.check(
        model_id=model_id,
        model_class=model_class,
        dtype=dtype,
        device_map=device_map,
        attn_implementation=attn_implementation,
        generation_config=generation_config,
        report=report,
        offload=offload,
        weights=weights,
        purpose=purpose,
        raw=all(value is None for value in (dtype, device_map, attn_implementation, generation_config)),
    )
    load_plan = planning.plan_load(
        model_id,
        model_class=model_class,
        dtype=dtype,
        device_map=device_map,
        attn_implementation=attn_implementation,
        generation_config=generation_config,
        purpose=purpose,
        quantization=quantization,
        **base_keywords,
    )
    if explain:
        print(load_plan.describe())
    downloads.refuse_hopeless(load_plan.download)
    dtype_keyword = environment.dtype_keyword()
    keywords = load_plan.keywords(dtype_keyword)
    if dtype_keyword in keywords:
        keywords[dtype_keyword] = planning.torch_dtype(keywords[dtype_keyword])
    asked_for_info = arrival.asks(model_class, load_plan)
    if asked_for_info:
        keywords["output_loading_info"] = True
    begun = time.perf_counter()
    with causes.explained(load_plan), _LOADING:
        while True:
            try:
                loaded = _load(model_class, model_id, model_args, keywords)
                break
            except (RuntimeError, TypeError) as error:
                load_plan = giving_way.without(load_plan, model_class, keywords, error)
    # With output_loading_info=True the result is a pair; the caller gets what the caller requested.
    model, info = loaded if isinstance(loaded, tuple) and len(loaded) == 2 else (loaded, None)
    arrived = None
    if isinstance(info, Mapping):
        arrived = arrival.arrival(model, info)
        arrival.refuse(arrived, load_plan, weights)
    changed, warnings = _apply_generation(model, load_plan)
    prepared: dict[str, Any] = {}
    try:
        purposes.prepare(model, purpose, prepared)
    except Exception as error:  # the model is loaded and can be prepared by hand
        warnings = (*warnings, f"the model was not prepared for {purpose}: {error}")
    returned = model if asked_for_info else loaded
    facts: Mapping[str, Any] = {}
    if put_on is not None:
        trainable = purpose in purposes.TRAINS
        with causes.explained(adapters.plan_of(put_on, load_plan)), _LOADING:
            model, facts, more = adapters.attach(
                model, put_on, load_plan, trainable=trainable, weights=weights
            )
        returned, warnings = model, (*warnings, *more)
    finished = inspection.inspect(
        model,
        load_plan,
        seconds=time.perf_counter() - begun,
        generation=changed,
        arrived=arrived,
        prepared=prepared,
        adapter=facts,
        warnings=warnings,
    )
    finished.attach(model)
    finished.publish(report)
    if offload == "error" and (spilled := inspection.spilled(model)):
        raise SpillError(
            f"{load_plan.request.asked}, offload='error'",
            "; ".join(f"{len(modules)} modules on {device}" for device, modules in spilled.items()),
            "free the device, quantise, use more devices, or allow it with offload='warn'",
        )
    return returned


def _load(model_class: Any, model_id: Any, model_args: tuple[Any, ...], keywords: dict[str, Any]) -> Any:
    torch = environment.need("torch")
    default = torch.get_default_dtype()
    try:
        return model_class.from_pretrained(model_id, *model_args, **keywords)
    except BaseException:
        # If a load fails, transformers 4 does not restore the default dtype.
        if torch.get_default_dtype() != default:
            torch.set_default_dtype(default)
        raise


def _apply_generation(model: Any, load_plan: LoadPlan) -> tuple[dict[str, Any], tuple[str, ...]]:
    """Merge the request into the model's generation config; return the changes and warnings."""
    asked = load_plan.request.generation_config
    if asked is None:
        return {}, ()
    if isinstance(asked, str):
        if not generation.generates(model):
            return {}, ()
        try:
            changed = generation.apply_generation_config(model)
            return changed, generation.warnings(changed)
        except Exception as error:  # the model is loaded and usable with its shipped settings
            return {}, (f"the generation config stays as shipped, it could not be made greedy: {error}",)
    if not generation.generates(model):
        return {}, (f"the generation config is not used, {type(model).__name__} cannot generate",)
    return generation.apply_generation_config(model, asked), ()


def load_tokenizer(
    model_id: str | os.PathLike[str],
    *tokenizer_args: Any,
    padding_side: str | None = None,
    pad_token: Any = "resolve",
    purpose: Purpose | None = None,
    tokenizer_class: Any = None,
    report: Any = None,
    **kwargs: Any,
) -> Any:
    """Load a tokenizer as AutoTokenizer.from_pretrained does, with a pad token.

    `pad_token`: "resolve" keeps a shipped one, else uses a reserved token of the vocabulary, else eos with a
    warning (a collator that masks pad tokens then also masks the real eos); None leaves it to transformers; a
    token is used as given. `padding_side`: None keeps the shipped side; "left" and "right" are used as given;
    "generation" is left (right for encoder-decoder models), "training" is right. `purpose` chooses the side
    if `padding_side` is None.

    The choices are logged and passed to `report` as in load_model. Raises LoadError as load_model does.
    """
    if tokenizer_class is None:
        tokenizer_class = environment.need("transformers").AutoTokenizer
    if purpose is not None:
        arguments.one_of("purpose", purpose, purposes.PURPOSES)
        padding_side = padding_side or ("training" if purpose in purposes.TRAINS else "generation")
    arguments.identity(model_id)
    request = tokenization.request(model_id, padding_side, pad_token, kwargs)
    with causes.explained(request):
        tokenizer = tokenizer_class.from_pretrained(model_id, *tokenizer_args, **request.keywords)
    # For a processor, the pad token is set on its tokenizer.
    inner = getattr(tokenizer, "tokenizer", None)
    finished = tokenization.finish(inner if hasattr(inner, "pad_token") else tokenizer, request)
    finished.publish(report)
    return tokenizer
