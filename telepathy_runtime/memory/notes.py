"""What an estimate's notes say: what was counted otherwise than asked, and what was not compared with a trace."""

from __future__ import annotations

from telepathy_runtime.memory.families import FAMILIES, form
from telepathy_runtime.memory.image_step import note_of
from telepathy_runtime.memory.optimizers import PAGED
from telepathy_runtime.memory.workload import NEWEST, NEWEST_VERSION, Workload
from telepathy_runtime.models.architectures import VISION
from telepathy_runtime.models.spec import ModelSpec


def dtype_note(spec: ModelSpec, work: Workload) -> list[str]:
    """A note that a float32 checkpoint is planned in 16 bits, which requires loading with `dtype`."""
    if spec.dtype != "float32" or work.held_dtype == "float32":
        return []
    return [f"the checkpoint is float32: without dtype={work.held_dtype} the weights may load as twice this"]


def notes_of(spec: ModelSpec, work: Workload, run: Workload) -> tuple[str, ...]:
    """The notes on a job; `run`: as the model runs it."""
    notes = dtype_note(spec, work)
    if work.version > NEWEST_VERSION:
        notes.append(f"transformers {work.transformers} is newer than {NEWEST}, the newest that is modelled")
    if run.attn != work.attn:
        since = FAMILIES[form(spec)].sdpa_since if form(spec) in FAMILIES else (0, 0)
        release = f" {work.transformers}" if work.version < since else ""
        notes.append(
            f"transformers{release} has no sdpa for {spec.architecture}: counted with eager attention"
        )
    if spec.architecture in VISION:
        notes.append(
            note_of(spec, work)
            if work.image_tokens
            else "text alone, which gives the vision tower no gradients"
        )
    if spec.encoder_layers:
        read, unit = f"{work.source_len or work.seq_len} tokens", ""
        if spec.source_positions:
            read, unit = "a whole recording", " tokens"
        notes.append(f"the encoder reads {read}, the decoder {work.seq_len}{unit}")
        notes.append(f"counted as transformers 5.15 and newer run {spec.architecture}")
    length = work.seq_len + work.new_tokens
    if length > spec.max_positions > 0:
        notes.append(f"{length} tokens are more than the {spec.max_positions} that {spec.id} was made for")
    if work.shard != "none" and work.ranks > 1:
        notes.append(
            f"{work.shard} over {work.ranks} ranks is arithmetic, not traced; activations are not divided"
        )
    if work.optimizer in PAGED and work.trains:
        notes.append(
            "paged states are moved by the driver and not counted: the step slows down where they do not fit"
        )
    if work.prepared != "none":
        notes.append(
            "float32 norms make the stream of a layer float32; bitsandbytes' layers are counted from their code, not traced"
        )
    if work.offload:
        notes.append(
            f"offload of {', '.join(work.offload)} is arithmetic, not traced; the transfers need a little more"
        )
    if work.objective != "lm":
        notes.append(
            f"{work.objective} as in trl 1.16, which computes log-probabilities in chunks; all tokens are counted as completions"
        )
    if work.attn == "flash_attention_2":
        notes.append("flash_attention_2 is counted as PyTorch's own flash kernel: the same tensors are saved")
    return tuple(notes)
