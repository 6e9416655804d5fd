"""Builds the step that a `Workload` describes, with transformers' own model, optimizer and PEFT, for the tracer.

It is four orders of magnitude slower than the closed form but does not use its formulas: it covers every
architecture that transformers builds from a config, and the closed form is tested against it. It downloads
nothing.
"""

from __future__ import annotations

import os
import re
import warnings
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from inspect import signature
from typing import Any

import torch

from telepathy_runtime.memory.estimate import Estimate
from telepathy_runtime.memory.image_step import check_reads
from telepathy_runtime.memory.images import ALWAYS, without_values
from telepathy_runtime.memory.inputs import (
    freeze_tower,
    hidden_of,
    inputs_of,
    lengths_note,
    model_class,
    on_one_device,
)
from telepathy_runtime.memory.instants import Instant
from telepathy_runtime.memory.optimizers import BNB, PAGED
from telepathy_runtime.memory.peft_adapters import with_lora
from telepathy_runtime.memory.traceable import check_traceable
from telepathy_runtime.memory.tracing import Trace, TraceError, trace
from telepathy_runtime.memory.workload import Workload
from telepathy_runtime.models import registry
from telepathy_runtime.models.architectures import VISION
from telepathy_runtime.models.spec import ModelSpec, UnknownOptionError

LLAMA_LIKE = ("llama", "mistral", "qwen2", "qwen3")
"""Architectures whose transformers config can be made from a ModelSpec."""
_IN_A_LAYER = re.compile(r"\.\d+\.")
"""A number in a parameter's name."""
TRACED_FROM = (4, 57)
"""The oldest transformers whose steps the tests trace."""


def trace_workload(model: ModelSpec | str | os.PathLike[str], work: Workload) -> Estimate:
    """Return the traced peak of `work` on a listed model, or on the folder or file of a config.json.

    Raises UnknownOptionError for options that one process cannot reproduce (sharding) and for encoder-decoder
    models, TraceError if the model's code reads tensor values.
    """
    asked, work = work, work if work.objective != "lm" else work.as_run()
    check_traceable(asked)
    if isinstance(model, ModelSpec):
        name, config = model.id, hub_config(model)
    else:
        from transformers import AutoConfig

        name, config = str(model), AutoConfig.from_pretrained(os.fspath(model), local_files_only=True)
    check_reads(name, config.model_type, work)
    try:
        two = lengths_note(config, work.seq_len, work.source_len)
    except ValueError as error:
        raise UnknownOptionError(str(error)) from None
    if two and (work.regime not in ("full", "inference") or work.new_tokens):
        raise UnknownOptionError(
            f"{config.model_type} is traced in the regimes full and inference; trace your own step"
        )
    notes = ["traced, not estimated", *([two] if two else [])]
    if work.version != _version():
        installed = ".".join(map(str, _version()))
        notes.append(f"transformers {installed} was traced, which is installed, not {work.transformers}")
    if config.model_type in ALWAYS:
        notes.append("each sequence reads an image")
    attn = attention_for(config, work.attn)
    if attn != work.attn:
        notes.append(f"{config.model_type} has no {work.attn} in transformers; traced with attn='{attn}'")
        work = work.but(attn=attn)
    seen = traced(config, work)
    peak = Instant(f"traced: {seen.peak_at}", weights=seen.built, transient=seen.peak_allocated - seen.built)
    return Estimate((name,), (asked.but(attn=work.attn),), seen.built, seen.end, (peak,), tuple(notes))


def traced(config: Any, work: Workload) -> Trace:
    """Trace two steps of `work` on a model built from a transformers config.

    Raises TraceError, for any error of the model's code, if it cannot run without values.
    """
    with warnings.catch_warnings(), _quiet(), _without_packed_positions(), without_values(config.model_type):
        warnings.simplefilter("ignore")
        try:
            return trace(build_step(config, work), padded=work.padded)
        except (TraceError, UnknownOptionError, ModuleNotFoundError, MemoryError):
            raise
        except Exception as error:
            old = _version() < TRACED_FROM
            also = (
                f"; traces are tested from transformers {'.'.join(map(str, TRACED_FROM))} on" if old else ""
            )
            raise TraceError(
                f"transformers {'.'.join(map(str, _version()))} cannot run {config.model_type} on the meta device: "
                f"{type(error).__name__}: {error}{also}"
            ) from error


@contextmanager
def _without_packed_positions() -> Iterator[None]:
    """Tell transformers that positions count up in each row; without a mask and a cache, it reads their values (Whisper)."""
    try:
        from transformers import masking_utils
    except ImportError:  # transformers < 4.53
        yield
        return
    shipped = getattr(masking_utils, "find_packed_sequence_indices", None)
    masking_utils.find_packed_sequence_indices = lambda *_: None
    try:
        yield
    finally:
        if shipped is None:
            del masking_utils.find_packed_sequence_indices
        else:
            masking_utils.find_packed_sequence_indices = shipped


@contextmanager
def _quiet() -> Iterator[None]:
    """No advice of transformers about a step that runs for its sizes alone."""
    from transformers.utils import logging

    before = logging.get_verbosity()
    logging.set_verbosity_error()
    try:
        yield
    finally:
        logging.set_verbosity(before)


def attention_for(config: Any, attn: str) -> str:
    """The implementation that transformers uses: eager attention for a model without sdpa, whatever is requested."""
    model = model_class(config)
    return "eager" if attn == "sdpa" and not getattr(model, "_supports_sdpa", True) else attn


def hub_config(spec: ModelSpec) -> Any:
    """Return the transformers config of a listed model, or of another model of the Llama family.

    Raises UnknownOptionError for other families, whose configs have more settings than a ModelSpec.
    """
    if spec.head_rows >= 0 or spec.stored_bytes:
        raise UnknownOptionError(f"{spec.id}: only language models in 16 or 32 bits are traced")
    from transformers import AutoConfig

    if spec.architecture not in LLAMA_LIKE:
        try:
            listed = dict(registry.listed_config(spec.id))
        except registry.UnknownModelError:
            raise UnknownOptionError(
                f"{spec.architecture}: give the folder of its config.json to trace it; "
                f"from dimensions alone only {', '.join(LLAMA_LIKE)} are built"
            ) from None
        return AutoConfig.for_model(listed.pop("model_type"), **listed)

    extra: dict[str, Any] = {}
    if spec.architecture in ("llama", "qwen3"):
        extra["attention_bias"] = spec.qkv_bias
    if spec.architecture == "mistral":
        extra["sliding_window"] = spec.sliding_window or None
    return AutoConfig.for_model(
        spec.architecture,
        hidden_size=spec.hidden,
        intermediate_size=spec.intermediate,
        num_hidden_layers=spec.layers,
        num_attention_heads=spec.heads,
        num_key_value_heads=spec.kv_heads,
        head_dim=spec.head_dim,
        vocab_size=spec.vocab,
        tie_word_embeddings=spec.tied,
        max_position_embeddings=spec.max_positions,
        pad_token_id=0,
        bos_token_id=1,
        eos_token_id=2,
        **extra,
    )


class OnlyStates(torch.optim.Optimizer):  # type: ignore[misc, unused-ignore]
    """An optimizer with states only, for kernels that allocate nothing else and have no meta version."""

    def __init__(self, params: Any, count: int = 2, element: int = 0) -> None:
        super().__init__(params, {})
        self._count, self._element = count, element

    def step(self, closure: Any = None) -> None:  # type: ignore[override, unused-ignore]
        """Create the states of parameters that have a gradient."""
        for group in self.param_groups:
            for param in group["params"]:
                if param.grad is not None and not self.state[param]:
                    self.state[param] = {str(number): self._new(param) for number in range(self._count)}

    def _new(self, param: torch.Tensor) -> list[torch.Tensor]:
        if not self._element:
            return [torch.zeros_like(param)]
        if self._element > 1:
            return [torch.zeros_like(param, dtype=torch.float32)]
        # bitsandbytes has a float32 scale per block of 256.
        return [torch.zeros_like(param, dtype=torch.uint8), torch.zeros(-(-param.numel() // 256))]


def optimizers_of(parameters: Any, work: Workload) -> list[torch.optim.Optimizer]:
    """Create the optimizers that a workload names: one, or Muon for matrices of layers and AdamW for the rest."""
    named = list(parameters)
    params = [parameter for _, parameter in named]
    foreach = work.opt_impl == "foreach"
    if work.optimizer == "adamw":
        if work.opt_impl != "fused":
            return [torch.optim.AdamW(params, foreach=foreach)]
        # The fused kernel has no version for the meta device.
        meta = params[0].device.type == "meta"
        return [OnlyStates(params) if meta else torch.optim.AdamW(params, fused=True)]
    if work.optimizer == "muon":
        inside = [p for name, p in named if p.dim() == 2 and _IN_A_LAYER.search(name)]
        kept = {id(p) for p in inside}
        rest = [p for p in params if id(p) not in kept]
        own = [torch.optim.Muon(inside)] if inside else []
        return [*own, torch.optim.AdamW(rest, foreach=foreach)] if rest else own
    if work.optimizer == "adafactor":
        from transformers.optimization import Adafactor

        return [Adafactor(params, lr=1e-3, scale_parameter=False, relative_step=False)]
    if work.optimizer in BNB:
        return [OnlyStates(params, *BNB[work.optimizer])]
    if work.optimizer in PAGED:
        return [OnlyStates(params, 0)]
    momentum = 0.9 if work.optimizer == "sgd_momentum" else 0.0
    return [torch.optim.SGD(params, lr=0.1, momentum=momentum, foreach=foreach)]


def build_step(
    config: Any, work: Workload, on_model: Callable[[Any], None] | None = None
) -> Callable[[], Callable[[], object]]:
    """Return a function that builds the model and returns one step of `work`, for `trace` or a real device.

    `on_model` is called with the model as soon as it is built.
    """

    def build() -> Callable[[], object]:
        dtype = getattr(torch, work.held_dtype)
        model = model_class(config)._from_config(config, **_dtype(dtype), attn_implementation=work.attn)
        on_one_device(model, dtype)
        if on_model is not None:
            on_model(model)
        shape = (work.batch, work.seq_len)
        parts = {"source": work.source_len, "images": work.image_tokens}
        given = inputs_of(config, *shape, dtype, labels=work.trains, **parts)
        if work.regime == "inference":
            model.eval()
            return lambda: _infer(model, given, work)
        model.train()
        cache = _cache(model, work)
        if work.regime == "frozen_grad":
            model.requires_grad_(False)
        freeze_tower(model, work.tower)
        if work.regime == "lora":
            model = with_lora(model, work)
        if work.checkpoint_every > 1:
            _checkpoint_every(model, work.checkpoint_every, work.reentrant)
        elif work.checkpointing:
            model.gradient_checkpointing_enable({"use_reentrant": work.reentrant})
        trained = [(name, p) for name, p in model.named_parameters() if p.requires_grad]
        optimizers = [] if work.opt_in_backward or not trained else optimizers_of(trained, work)
        if work.opt_in_backward:
            _step_in_backward(trained, work)
        outputs: Any = None
        inputs: dict[str, Any] = {}

        def step() -> None:
            nonlocal outputs, inputs
            for _ in range(work.grad_accum):
                inputs = dict(given)
                if work.regime == "frozen_grad":
                    del inputs["input_ids"]
                    soft = torch.zeros(*shape, hidden_of(config), dtype=dtype)
                    inputs["inputs_embeds"] = soft.requires_grad_(True)
                with _autocast(model, work):
                    outputs = model(**inputs, **cache, output_hidden_states=work.hidden_states)
                    loss = outputs.loss
                if not work.keep_outputs:
                    outputs = None
                loss.backward()
            for optimizer in optimizers:
                optimizer.step()
            for optimizer in optimizers:
                optimizer.zero_grad()

        return step

    return build


def _checkpoint_every(model: Any, number: int, reentrant: bool) -> None:
    """Checkpoint every n-th layer. Raises UnknownOptionError if transformers does not offer it."""
    enable = getattr(model, "activation_checkpointing_enable", None)
    if enable is None or "every_n_layers" not in signature(enable).parameters:
        raise UnknownOptionError(
            "this version of transformers checkpoints all layers or none, so checkpoint_every is not traced"
        )
    enable({"use_reentrant": reentrant}, every_n_layers=number)


def _step_in_backward(trained: list[tuple[str, Any]], work: Workload) -> None:
    """Update each weight with its own optimizer as soon as its gradient is computed, and free the gradient."""
    for named in trained:
        optimizers = optimizers_of([named], work)

        def update(parameter: Any, optimizers: list[torch.optim.Optimizer] = optimizers) -> None:
            for optimizer in optimizers:
                optimizer.step()
            parameter.grad = None

        named[1].register_post_accumulate_grad_hook(update)


def _version() -> tuple[int, int]:
    import transformers

    major, minor = (int(part) for part in transformers.__version__.split(".")[:2])
    return major, minor


def _dtype(dtype: torch.dtype) -> dict[str, torch.dtype]:
    """The keyword for a model's dtype: renamed in transformers 4.56."""
    return {"dtype" if _version() >= (4, 56) else "torch_dtype": dtype}


def _cache(model: Any, work: Workload) -> dict[str, bool]:
    """The argument about the cache, for a model that has one; LLaVA hands it on without naming it."""
    there = "use_cache" in signature(model.forward).parameters or model.config.model_type in VISION
    return {"use_cache": work.use_cache} if there else {}


def _autocast(model: Any, work: Workload) -> AbstractContextManager[Any]:
    """Autocast for a forward, as the Trainer does with bf16=True."""
    if not work.casts:
        return nullcontext()
    device = next(model.parameters()).device.type
    context: AbstractContextManager[Any] = torch.autocast(device, dtype=getattr(torch, work.dtype))
    return context


def _infer(model: Any, given: dict[str, Any], work: Workload) -> None:
    """Run the prefill, and decoding steps with growing length if tokens are generated."""
    last = {"logits_to_keep": 1} if work.logits == "last" else {}
    with torch.no_grad(), _autocast(model, work):
        outputs = model(**given, **_cache(model, work), output_hidden_states=work.hidden_states, **last)
        cache = getattr(outputs, "past_key_values", None)
        for done in range(1, work.new_tokens):
            scores = outputs.logits[:, -1, :].to(torch.float32, copy=True)  # `generate` keeps the same copy
            del outputs
            longer = torch.ones(work.batch, work.seq_len + done, dtype=torch.long)
            outputs = model(
                input_ids=given["input_ids"][:, :1],
                attention_mask=longer,
                past_key_values=cache,
                use_cache=True,
            )
        if work.new_tokens:
            scores = outputs.logits[:, -1, :].to(torch.float32, copy=True)
            del scores
