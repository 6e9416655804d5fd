from __future__ import annotations

from collections.abc import Iterator

from telepathy_lint import facts
from telepathy_lint.findings.finding import Finding
from telepathy_lint.hints import Any
from telepathy_lint.rule import Meta, Rule, literal, origin
from telepathy_lint.settings import Settings
from telepathy_lint.sites import Argument, Site

_DTYPES = {"torch.bfloat16": "bfloat16", "torch.float16": "float16", "torch.half": "float16"}
_ATTENTION = ("sdpa", "flash_attention_2", "eager")
_OPTIMIZERS = ("adamw_torch", "adamw_torch_fused", "adamw_hf")
#: Arguments of the load that do not affect what is trained, or where; device maps are checked separately.
_HARMLESS = frozenset(
    {
        "pretrained_model_name_or_path", "dtype", "torch_dtype", "attn_implementation", "device_map", "revision", "token",
        "trust_remote_code", "cache_dir", "low_cpu_mem_usage", "use_cache", "generation_config", "use_safetensors",
        "local_files_only", "use_auth_token", "model_class", "purpose",
    }
)  # fmt: skip


class OversizedBatch(Rule):
    """The batch is larger than the planner considers safe for the model, its sequences and the GPU.

    The job fails with an out-of-memory error, immediately or at the first long batch. The rule reports a batch only if the
    file contains everything needed for the estimate: one model that is listed, in the registry or in the project's own
    (`model-registry`), loaded in 16 bits and fully trained with AdamW, and
    sequences padded to a fixed length (`padding="max_length"`) or truncated to one (`max_seq_length` of TRL up to 0.19,
    counted as filled). It does not report what is not modelled: adapters, quantization, sharding, checkpointing, other
    losses and optimizers, a device map that may split the model, or a model that does not fit with even one sequence. It
    cannot see sharding that is only set in a launcher's configuration. The GPU is the configuration's `gpu`, H100-80GB by
    default, with a tenth reserved for fragmentation. For details, run
    `telepathy-runtime plan ID --regime full --seq-len N --gpu NAME`.

    Bad:

        import torch
        from transformers import AutoModelForCausalLM, AutoTokenizer, Trainer, TrainingArguments

        tokenizer = AutoTokenizer.from_pretrained("Qwen/Qwen2.5-7B")
        model = AutoModelForCausalLM.from_pretrained("Qwen/Qwen2.5-7B", dtype=torch.bfloat16)
        data = texts.map(lambda row: tokenizer(row["text"], padding="max_length", truncation=True, max_length=2048))
        arguments = TrainingArguments("out", per_device_train_batch_size=8)
        Trainer(model=model, args=arguments, train_dataset=data).train()

    Good:

        import torch
        from transformers import AutoModelForCausalLM, AutoTokenizer, Trainer, TrainingArguments

        tokenizer = AutoTokenizer.from_pretrained("Qwen/Qwen2.5-7B")
        model = AutoModelForCausalLM.from_pretrained("Qwen/Qwen2.5-7B", dtype=torch.bfloat16)
        data = texts.map(lambda row: tokenizer(row["text"], padding="max_length", truncation=True, max_length=2048))
        arguments = TrainingArguments("out", per_device_train_batch_size=1, gradient_accumulation_steps=8)
        Trainer(model=model, args=arguments, train_dataset=data).train()
    """

    meta = Meta(
        code="TLP305",
        name="oversized-batch",
        message="the batch is larger than the memory-safe size",
        since="0.1.0",
        kinds=("training",),
    )

    def check(self, site: Site, settings: Settings) -> Iterator[Finding]:
        argument = site.argument("per_device_train_batch_size")
        length = facts.sequence_length(site)
        if argument is None or length is None:
            return
        batch, options = literal(argument), _options(site)
        if type(batch) is not int or batch < 1 or options is None:
            return
        # Not imported at the top, because most files train nothing and start-up must be fast.
        from telepathy_runtime.memory import GPUS, UnknownOptionError, Workload, estimate, max_batch
        from telepathy_runtime.models import registry

        # Only names in the table: "device" would query this machine, which needs torch.
        card = {name.casefold(): gpu for name, gpu in GPUS.items()}.get(settings.gpu.casefold())
        if card is None or site.model_id is None:
            return
        try:
            own = {spec.id: spec for spec in settings.models}
            spec = own.get(site.model_id) or registry.find(site.model_id)
            if spec is None:
                return
            work = Workload(seq_len=length.data, regime="full", **options)
            fit = max_batch(spec, work, device=card)
            needed = estimate(spec, work.but(batch=batch)).peak_allocated
        except UnknownOptionError:
            return
        if length.data > spec.max_positions or not 0 < fit.batch < batch:
            return
        yield site.at(
            argument,
            f"{batch}{origin(argument.values[0], site)}; training {spec.id} with {length.data} tokens per sequence needs"
            f" {needed / 2**30:.1f} GiB, {card.name} has {fit.budget_bytes / 2**30:.1f} to plan with; {fit.batch} is safe",
        )


def _options(site: Site) -> dict[str, Any] | None:
    """The assumptions for the planner; None if they are uncertain. If versions differ, the lower memory is assumed."""
    (model,) = site.about
    if set(model.arguments) - _HARMLESS or not all(name.endswith("ForCausalLM") for name in model.loaded):
        return None
    from telepathy_lint.facts import purposes

    given = model.argument("dtype", "torch_dtype")
    resolved = model.loader and given is None and not purposes.trains(model)  # float32 for training
    dtype = "bfloat16" if resolved else _dtype(given)
    attention = model.argument("attn_implementation")
    attn = "sdpa" if attention is None or model.lacks("attn_implementation") else literal(attention)
    if dtype is None or attn not in _ATTENTION or not _stays_whole(model.argument("device_map")):
        return None
    optimizer = site.argument("optim")
    if optimizer is not None and literal(optimizer) not in _OPTIMIZERS:
        return None
    return {"dtype": dtype, "attn": attn, "use_cache": False, "keep_outputs": False, "opt_impl": "fused"}


def _dtype(argument: Argument | None) -> str | None:
    if argument is None or len(argument.values) != 1 or argument.optional:
        return None
    value = argument.values[0]
    if value.kind == "symbol":
        return _DTYPES.get(str(value.data))
    return str(value.data) if value.kind == "const" and value.data in ("bfloat16", "float16") else None


def _stays_whole(argument: Argument | None) -> bool:
    """Whether the model is certainly on one device: without a device map, or with one that names the GPU."""
    return argument is None or literal(argument) in (None, "cuda", "cuda:0", 0)
