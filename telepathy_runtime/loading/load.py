"""load_model and load_tokenizer: a plan, carried out. The only place that calls from_pretrained."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal, TypeVar, overload

from telepathy_runtime.checkpoint import downloads
from telepathy_runtime.choose import generation, tokenization
from telepathy_runtime.choose.plan import LoadPlan
from telepathy_runtime.errors import NotGenerativeError, SpillError
from telepathy_runtime.failures import causes
from telepathy_runtime.loading import arguments, arrival, inspection, planning
from telepathy_runtime.loading.report import Target
from telepathy_runtime.machine import environment

if TYPE_CHECKING:
    from transformers import PreTrainedModel
    from transformers.models.auto.auto_factory import _BaseAutoModelClass

M = TypeVar("M")

# The default dtype and the places where modules are made are settings of the whole process while transformers loads: two
# loads at once give each other's. Reentrant, since a class may load another model inside its own from_pretrained.
_LOADING = threading.RLock()


def _unlock_in_child() -> None:
    global _LOADING
    _LOADING = threading.RLock()  # of a thread that the child process does not have


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_unlock_in_child)


# An Auto class is no base of what it returns: to a type checker its result is a PreTrainedModel.
@overload
def load_model(
    model_id: str | os.PathLike[str] | None,
    *model_args: Any,
    model_class: type[_BaseAutoModelClass] | None = None,
    dtype: Any = "bfloat16",
    device_map: Any = "resolve",
    attn_implementation: Any = "resolve",
    generation_config: Any = "default",
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
    dtype: Any = "bfloat16",
    device_map: Any = "resolve",
    attn_implementation: Any = "resolve",
    generation_config: Any = "default",
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
    dtype: Any = "bfloat16",
    device_map: Any = "resolve",
    attn_implementation: Any = "resolve",
    generation_config: Any = "default",
    report: Target = None,
    offload: Literal["warn", "error"] = "warn",
    weights: Literal["most", "partial", "strict"] = "most",
    explain: bool = False,
    **from_pretrained_kwargs: Any,
) -> Any:
    """Load a model as `model_class.from_pretrained` does, with settings that fit this machine.

    `model_id` is a hub id, a local folder or a path; None with `config=` and `state_dict=`. `model_class` is any class with from_pretrained (default, also for
    None: AutoModelForCausalLM). For `dtype`, `device_map`, `attn_implementation` and `generation_config`, None leaves the
    setting to transformers and any other value is used as given; with None for all four this is
    `model_class.from_pretrained(model_id, *model_args, **from_pretrained_kwargs)` and nothing else.

    - dtype: "bfloat16" means bfloat16 where the hardware computes in it, else another with a warning; a torch.dtype is
      taken literally. `torch_dtype` is a synonym.
    - device_map: "resolve" chooses by launcher, devices and size, see resolve_device_map.
    - attn_implementation: "resolve" chooses by package, capability, dtype and class, see resolve_attn_implementation.
    - generation_config: "default" merges default_generation_config() into what the checkpoint ships (skipped for models
      that cannot generate); a GenerationConfig is merged the same way. See apply_generation_config.

    `report` receives the LoadReport: a path to which a JSON line is appended, or a callable. The report is also logged to
    "telepathy_runtime" at INFO, its warnings at WARNING, and LoadReport.of(model) returns it. `offload="error"` makes
    weights that did not fit on the accelerator an error instead of a warning. `explain=True` prints the plan first.

    `weights`: "most" is an error when hardly any weight of the model is in the checkpoint (only a warning with all four
    None) and a warning when some are not; "partial" never an error; "strict" an error unless the checkpoint holds exactly
    the weights of the model.

    Returns what from_pretrained returns. Raises a LoadError that says what was asked, what was found and what to do; the
    original exception is its cause, and the error is of the original's class too. Arguments are looked at before
    anything is loaded. Safe to call from several threads: the loads themselves run one after the other.
    """
    environment.need("torch")  # before transformers, which would only offer placeholders without it
    if model_class is None:
        model_class = environment.need("transformers").AutoModelForCausalLM
    dtype, from_pretrained_kwargs = planning.dtype_argument(dtype, from_pretrained_kwargs)
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
        raw=all(value is None for value in (dtype, device_map, attn_implementation, generation_config)),
    )
    load_plan = planning.plan_load(
        model_id,
        model_class=model_class,
        dtype=dtype,
        device_map=device_map,
        attn_implementation=attn_implementation,
        generation_config=generation_config,
        **from_pretrained_kwargs,
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
        loaded = _load(model_class, model_id, model_args, keywords)
    # output_loading_info=True makes it a pair; the caller gets back what the caller's own call would have given.
    model, info = loaded if isinstance(loaded, tuple) and len(loaded) == 2 else (loaded, None)
    arrived = None
    if isinstance(info, Mapping):
        arrived = arrival.arrival(model, info)
        arrival.refuse(arrived, load_plan, weights)
    changed, warnings = _apply_generation(model, load_plan)
    finished = inspection.inspect(
        model,
        load_plan,
        seconds=time.perf_counter() - begun,
        generation=changed,
        arrived=arrived,
        warnings=warnings,
    )
    finished.attach(model)
    finished.publish(report)
    if offload == "error" and (spilled := inspection.spilled(model)):
        raise SpillError(
            f"{load_plan.request.asked}, offload='error'",
            "; ".join(f"{len(modules)} modules on {device}" for device, modules in spilled.items()),
            "free the device, quantise, take more devices, or allow it with offload='warn'",
        )
    return model if asked_for_info else loaded


def _load(model_class: Any, model_id: Any, model_args: tuple[Any, ...], keywords: dict[str, Any]) -> Any:
    torch = environment.need("torch")
    default = torch.get_default_dtype()
    try:
        return model_class.from_pretrained(model_id, *model_args, **keywords)
    except BaseException:
        # transformers 4 leaves the default dtype of the load behind when the load fails.
        if torch.get_default_dtype() != default:
            torch.set_default_dtype(default)
        raise


def _apply_generation(model: Any, load_plan: LoadPlan) -> tuple[dict[str, Any], tuple[str, ...]]:
    """Merge what was asked for into the model's generation config: what changed, and warnings."""
    asked = load_plan.request.generation_config
    if asked is None:
        return {}, ()
    if isinstance(asked, str):
        if not generation.generates(model):
            return {}, ()
        try:
            changed = generation.apply_generation_config(model)
            return changed, generation.warnings(changed)
        except Exception as error:  # the model is loaded, and what it ships is no reason to throw it away
            return {}, (f"the generation config stays as shipped, it could not be made greedy: {error}",)
    if not generation.generates(model):
        raise NotGenerativeError(
            f"{load_plan.request.asked} and a generation config",
            f"{type(model).__name__} cannot generate",
            "pass generation_config=None, or another model_class",
        )
    return generation.apply_generation_config(model, asked), ()


def load_tokenizer(
    model_id: str | os.PathLike[str],
    *tokenizer_args: Any,
    padding_side: str | None = None,
    pad_token: Any = "resolve",
    tokenizer_class: Any = None,
    report: Any = None,
    **kwargs: Any,
) -> Any:
    """Load a tokenizer as AutoTokenizer.from_pretrained does, with a pad token.

    `pad_token`: "resolve" keeps a shipped one, else takes a reserved token of the vocabulary, else eos with a warning (a
    collator that masks pad also masks the real eos); None leaves it to transformers; a token is used as given.
    `padding_side`: None leaves it as shipped; "left" or "right" as given; "generation" is left (right for
    encoder-decoder models), "training" is right.

    What was chosen is logged and handed to `report` as in load_model. Raises LoadError as load_model does.
    """
    if tokenizer_class is None:
        tokenizer_class = environment.need("transformers").AutoTokenizer
    request = tokenization.request(model_id, padding_side, pad_token, kwargs)
    with causes.explained(request):
        tokenizer = tokenizer_class.from_pretrained(model_id, *tokenizer_args, **request.keywords)
    # A processor holds its tokenizer, and the pad token is that one's.
    inner = getattr(tokenizer, "tokenizer", None)
    finished = tokenization.finish(inner if hasattr(inner, "pad_token") else tokenizer, request)
    finished.publish(report)
    return tokenizer
