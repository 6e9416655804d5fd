"""PEFT's adapters on the model of a traced step."""

from __future__ import annotations

from typing import Any

import torch

from telepathy_runtime.memory.targets import EVERY, USUAL, UnknownTargetError
from telepathy_runtime.memory.workload import Workload
from telepathy_runtime.models.counting import TOWERS


def _targets(model: Any, work: Workload) -> Any:
    """The names for PEFT, which finds out itself where all linear layers are, or its usual targets of a family."""
    if EVERY in work.lora_targets:
        return EVERY
    there = {name.rpartition(".")[2] for name, _ in model.named_modules()}
    usual = work.lora_targets == USUAL
    if usual and "q_lin" in there:  # DistilBERT's queries and values; PEFT has no usual targets for it
        return ["q_lin", "v_lin"]
    if usual and not there & set(USUAL):
        return None
    unknown = [name for name in work.lora_targets if name not in there]
    if unknown:
        matrices = [
            name
            for name, module in model.named_modules()
            if isinstance(module, torch.nn.Linear) or type(module).__name__ == "Conv1D"
        ]
        known = {name.rpartition(".")[2] for name in matrices if "." in name}
        raise UnknownTargetError(unknown[0], model.config.model_type, sorted(known))
    return list(work.lora_targets)


def with_lora(model: Any, work: Workload) -> Any:
    """Add PEFT's adapter according to a workload."""
    from peft import LoraConfig, get_peft_model

    # PEFT's class for causal models needs a model that generates, which an encoder does not.
    task = "CAUSAL_LM" if hasattr(model, "prepare_inputs_for_generation") else None
    # Without this, a name stands for the tower's matrices, too.
    apart = {"exclude_modules": f".*\\.({'|'.join(sorted(TOWERS))})\\..*"} if work.tower == "frozen" else {}
    config = LoraConfig(
        r=work.lora_rank, target_modules=_targets(model, work), lora_dropout=0.1 * work.lora_dropout, task_type=task,
        use_dora=work.dora, modules_to_save=list(work.modules_to_save) or None,
        **apart,
    )  # fmt: skip
    adapted = get_peft_model(model, config)
    for name, parameter in adapted.named_parameters():
        if "lora_" in name:  # on other devices, PEFT converts adapters to the base model's dtype
            parameter.data = parameter.data.to(getattr(torch, work.lora_dtype))
    if work.checkpointing:
        adapted.enable_input_require_grads()
    return adapted
