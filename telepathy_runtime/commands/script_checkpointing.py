"""Which calls of a script turn gradient checkpointing on, and whether a layer that runs again is reentrant."""

from __future__ import annotations

from typing import TYPE_CHECKING

from telepathy_runtime.commands.script_settings import Settings

if TYPE_CHECKING:
    from telepathy_lint.front_ends.training import Call, Said, Training

ENABLERS = ("gradient_checkpointing_enable", "activation_checkpointing_enable")
PREPARER = "prepare_model_for_kbit_training"
OF_TRANSFORMERS = ("TrainingArguments", "Seq2SeqTrainingArguments")
"""Training arguments whose trainer leaves use_reentrant to transformers; TRL's have their own default."""
NOT_REENTRANT = (5, 0)
"""The release of transformers whose default is use_reentrant=False."""


def in_arguments(script: Settings, call: Call) -> None:
    """What training arguments say of checkpointing."""
    said = script.value(call, "gradient_checkpointing")
    if said is not None and isinstance(said.value, bool):
        text = "gradient checkpointing" if said.value else "no gradient checkpointing"
        script.take("checkpointing", said.value, said, text)
    elif call.name not in OF_TRANSFORMERS:
        script.assume("checkpointing", True, "gradient checkpointing, the default of newer TRL")


def before_training(script: Settings, training: Training) -> None:
    """Checkpointing that is turned on between the model's load and its training."""
    enabled = training.helper(*ENABLERS)
    if enabled is not None and script.settings["regime"] != "inference":
        script.take("checkpointing", True, enabled.at, "gradient checkpointing")
    kbit = _preparing(script, training)
    if kbit is not None and not script.settings.get("checkpointing"):
        script.take("checkpointing", True, kbit.at, f"gradient checkpointing ({kbit.name})")


def _preparing(script: Settings, training: Training) -> Call | None:
    """PEFT's call that prepares a quantised model, if it turns checkpointing on."""
    call = training.helper(PREPARER)
    said = script.value(call, "use_gradient_checkpointing") if call is not None else None
    return None if said is not None and said.value is False else call


def reentrant(script: Settings, training: Training, config: Call | None, version: tuple[int, int]) -> None:
    """Whether use_reentrant is on: the last call that turns checkpointing on decides, which is the trainer's if it does."""
    if not script.settings.get("checkpointing") or script.settings["regime"] == "inference":
        return
    said = _set_to(script, config, "gradient_checkpointing_kwargs") if config is not None else None
    stated = config.arguments.get("gradient_checkpointing") if config is not None else None
    trainer = said is not None or (stated is not None and stated.value is True)
    # A model is prepared before it is enabled again.
    prepared, enabled = _preparing(script, training), training.helper(*ENABLERS)
    last = None if trainer else enabled or prepared
    if last is not None:
        said = _set_to(script, last, "gradient_checkpointing_kwargs", empty=True)
    own = config is None or config.name in OF_TRANSFORMERS  # TRL's trainer turns it on itself
    if said is not None:
        if said.value is True:
            script.take("reentrant", True, said, "use_reentrant=True")
    elif last is not None and last is prepared and own:
        # Without kwargs, it passes empty ones on, and not None, for which transformers has a default.
        script.assume("reentrant", True, f"use_reentrant=True, PyTorch's default, which {PREPARER} leaves")
    elif version < NOT_REENTRANT and own:
        script.assume("reentrant", True, "use_reentrant=True, the default of transformers before 5")
    elif version < NOT_REENTRANT:
        text = "use_reentrant=False, the default of TRL 0.27 and newer; --reentrant says otherwise"
        script.assume("reentrant", False, text)


def _set_to(script: Settings, call: Call, name: str, empty: bool = False) -> Said | None:
    """What these arguments of checkpointing say of use_reentrant; None if nothing.

    With `empty`, a dict without it leaves PyTorch's default, which is True.
    """
    how = script.value(call, name)
    if how is None or not isinstance(how.value, dict):
        return None
    value = how.value.get("use_reentrant", True if empty else None)
    return how._replace(value=value) if isinstance(value, bool) else None
