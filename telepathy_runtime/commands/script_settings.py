"""The settings that a script gives, with the notes that say where each comes from, and tables of names."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from telepathy_lint.front_ends.training import Call, Said

#: The Trainer's `optim`, in our names.
OPTIMIZERS: dict[str, dict[str, Any]] = {
    "adamw_torch": {"optimizer": "adamw", "opt_impl": "foreach"},
    "adamw_hf": {"optimizer": "adamw", "opt_impl": "single"},
    "adamw_torch_fused": {"optimizer": "adamw", "opt_impl": "fused"},
    "adamw_bnb_8bit": {"optimizer": "adamw_8bit"},
    "adamw_8bit": {"optimizer": "adamw_8bit"},
    "paged_adamw": {"optimizer": "paged_adamw"},
    "paged_adamw_32bit": {"optimizer": "paged_adamw"},
    "paged_adamw_8bit": {"optimizer": "paged_adamw_8bit"},
    "adafactor": {"optimizer": "adafactor"},
    "lion_32bit": {"optimizer": "lion"},
    "lion_8bit": {"optimizer": "lion_8bit"},
    "sgd": {"optimizer": "sgd"},
}
#: Optimizers that a loop creates, in our names; Adam has AdamW's states.
LOOP_OPTIMIZERS: dict[str, dict[str, Any]] = {
    "AdamW": {"optimizer": "adamw"},
    "Adam": {"optimizer": "adamw"},
    "SGD": {"optimizer": "sgd"},
    "AdamW8bit": {"optimizer": "adamw_8bit"},
    "Adam8bit": {"optimizer": "adamw_8bit"},
    "PagedAdamW": {"optimizer": "paged_adamw"},
    "PagedAdamW32bit": {"optimizer": "paged_adamw"},
    "PagedAdamW8bit": {"optimizer": "paged_adamw_8bit"},
    "Adafactor": {"optimizer": "adafactor"},
    "Lion": {"optimizer": "lion"},
    "Lion8bit": {"optimizer": "lion_8bit"},
    "Muon": {"optimizer": "muon"},
}
#: The objective of a class of arguments, and what its batch consists of.
OBJECTIVES = {"DPOConfig": ("dpo", "pairs of sequences"), "GRPOConfig": ("grpo", "completions")}
#: Fields of a Workload whose argument has another name in a script.
FIELDS = {
    "per_device_train_batch_size": "batch", "batch_size": "batch", "max_length": "seq_len", "max_seq_length": "seq_len",
    "gradient_accumulation_steps": "grad_accum", "gradient_checkpointing": "checkpointing", "optim": "optimizer",
    "torch_dtype": "dtype", "attn_implementation": "attn", "r": "lora_rank", "target_modules": "lora_targets",
    "use_dora": "dora", "gradient_checkpointing_kwargs": "reentrant",
}  # fmt: skip
UNSEEN = (
    "fsdp", "deepspeed", "torch_compile", "neftune_noise_alpha", "parallelism_config", "use_vllm", "optim_target_modules",
)  # fmt: skip
"""Settings that the estimate does not see."""
BATCH, LENGTH = 8, 1024
"""What the Trainer, and TRL, take where the script says nothing."""


def dtype_named(value: Any) -> str:
    """The name of a dtype that a script writes: `torch.half` is float16."""
    name = str(value).removeprefix("torch.")
    return {"half": "float16", "float": "float32"}.get(name, name)


class Settings:
    """Settings by the names of a Workload's fields, and notes."""

    def __init__(self, path: str) -> None:
        self.path = path
        self._notes: list[tuple[str, str]] = []  # with the field that each is about, if it is one
        self.settings: dict[str, Any] = {}

    def note(self, text: str, field: str = "") -> None:
        """Say something, about the value of a field if one is named."""
        self._notes.append((field, text))

    def notes(self, given: frozenset[str] = frozenset()) -> list[str]:
        """The notes, without those about fields that were given otherwise."""
        return [text for field, text in self._notes if field not in given]

    def assume(self, field: str, value: Any, text: str) -> None:
        """Set a field that the script does not decide, and note what was assumed."""
        self.settings[field] = value
        self.note(f"assumed: {text}", field)

    def only(self, calls: tuple[Call, ...], what: str) -> Call | None:
        """The first call of a kind, with a note if there are others."""
        if len(calls) > 1:
            lines = ", ".join(str(call.line) for call in calls)
            self.note(f"assumed: of several {what} (lines {lines}), the first")
        return calls[0] if calls else None

    def say(self, said: Said, text: str, field: str = "") -> None:
        """Note where a value comes from."""
        default = f", the default of {said.option}" if said.option else ""
        self.note(f"{self.path}:{said.line}: {text}{default}", field)

    def take(self, field: str, value: Any, said: Said, text: str) -> None:
        """Set a field, and note where its value comes from."""
        self.settings[field] = value
        self.say(said, text, field)

    def value(self, call: Call, name: str, *others: str) -> Said | None:
        """The value of an argument; None where it is not given, or where the file does not decide it, which is noted."""
        for each in (name, *others):
            said = call.arguments.get(each)
            if said is not None and said.known:
                return said
            if said is not None:
                text = f"assumed: {each} (line {said.line}) is not decided in the file, so its default"
                self.note(text, FIELDS.get(each, each))
        return None

    def casts(self, dtype: str, said: Said, why: str) -> None:
        """The forward runs in 16 bits, over float32 weights or others."""
        if self.settings.get("dtype") == "float32":
            self.settings["mixed_precision"] = True
            self.take("dtype", dtype, said, f"float32 weights, forward in {dtype} ({why})")
        else:
            self.take("autocast", True, said, f"forward under autocast ({why})")
