"""What transformers 5 and trl removed, as questions to the tables that benchmarks/migration_facts.py writes.

The tables are read when a file has a call or import that they may be about. How the new form of what is not an argument
looks is written here, and run by tests/lint/knowledge/test_migration_claims.py.
"""

from __future__ import annotations

from functools import cache

from telepathy_lint.hints import NamedTuple
from telepathy_lint.knowledge.migration_table import METHODS, TRANSFORMERS
from telepathy_lint.knowledge.migration_trl import TRL

Version = tuple[int, int]


class Removed(NamedTuple):
    """An argument that its class no longer takes: a call with it raises a TypeError."""

    owner: str
    name: str
    version: Version
    #: "rename", "switch" (True becomes the new form, False goes), "config" (it moved into the config), "drop", "" (by hand).
    how: str
    #: The new name, the new argument with its value, or what to do in words.
    new: str
    #: The first release with the new form.
    since: Version | None
    #: What it was by default, as code.
    default: str
    package: str

    @property
    def release(self) -> str:
        """The release that removed it, in words."""
        return f"{self.package} {named(self.version)}"

    @property
    def advice(self) -> str:
        """What to do about it; "" where nothing takes its place."""
        if self.how == "rename":
            return f"the name is {self.new}"
        if self.how == "config":
            return f"pass {self.new} to the config"
        return f"pass {self.new}" if self.how == "switch" else self.new


#: Configs that take what TrainingArguments takes, and trainers that take what Trainer takes.
CONFIGS = ("TrainingArguments", "Seq2SeqTrainingArguments")
TRAINERS = ("Trainer", "Seq2SeqTrainer")
#: What a call of one of these names may be about; trl's other configs and trainers end likewise.
ENDINGS = ("TrainingArguments", "Config", "Trainer")


@cache
def _rows() -> dict[str, dict[str, Removed]]:
    found: dict[str, dict[str, Removed]] = {}
    for package, rows in (("transformers", TRANSFORMERS), ("trl", TRL)):
        for row in rows:
            removed = Removed(*row, package)
            found.setdefault(removed.owner, {})[removed.name] = removed
    return found


def removed_arguments(symbol: str) -> dict[str, Removed]:
    """The arguments that a class, by its dotted name, no longer takes."""
    package, name = symbol.partition(".")[0], symbol.rpartition(".")[2]
    rows = _rows()
    if package == "transformers":
        if name in CONFIGS:
            return rows["TrainingArguments"]
        return rows[name] if name in TRAINERS else {}
    if package != "trl":
        return {}
    own = rows.get(name, {})
    if name.endswith("Config") and name not in ("ModelConfig", "DatasetMixtureConfig"):
        return {**rows["TrainingArguments"], **own}
    return own


def moved_in_trl(symbol: str) -> tuple[Version, str] | None:
    """For a name or module that trl no longer has: the release, and the module of a trainer or config now ("" where it is gone)."""
    from telepathy_lint.knowledge.migration_moves import TRL_MOVED
    from telepathy_lint.knowledge.trl_names import TRL_MODULES, TRL_NAMES

    package, name = symbol.partition(".")[0], symbol.rpartition(".")[2]
    if package != "trl" or ".experimental" in symbol:
        return None
    if name in TRL_NAMES:
        return TRL_NAMES[name][0], ""
    for module, version in TRL_MODULES.items():
        if symbol == module or symbol.startswith(f"{module}."):
            return version, ""
    return TRL_MOVED.get(name)


#: Names of peft that are gone -> the release that lacks them (0.10 or one that was read after it), and the name now.
PEFT_NAMES = {
    "prepare_model_for_int8_training": ((0, 10), "prepare_model_for_kbit_training"),
    "BoneConfig": ((0, 19), "MissConfig"),
    "BoneModel": ((0, 19), "MissModel"),
}


#: What datasets 3.0 removed (September 2024).
GONE_FROM_DATASETS = ("datasets.load_metric", "datasets.list_metrics")
#: The last releases of peft and trl that count as older than transformers 5: what they lack, nobody imports beside 5.
_BEFORE_5 = {"peft": (0, 10), "trl": (0, 26)}


def was_gone_before_5(symbol: str) -> bool:
    """Whether a dotted name of transformers, trl, peft or datasets was gone for good before transformers 5 came."""
    package = symbol.partition(".")[0]
    if package == "datasets":
        return symbol in GONE_FROM_DATASETS
    if package == "transformers":
        from telepathy_lint.knowledge.long_gone import is_long_gone

        return is_long_gone(symbol)
    if package == "peft":
        name = symbol.rpartition(".")[2]
        return name in PEFT_NAMES and PEFT_NAMES[name][0] <= _BEFORE_5["peft"]
    gone = moved_in_trl(symbol)
    return gone is not None and not gone[1] and gone[0] <= _BEFORE_5["trl"]


def instead_in_trl(name: str) -> str:
    """What to do where trl no longer has a name; "" where nothing takes its place."""
    from telepathy_lint.knowledge.trl_names import TRL_NAMES

    return TRL_NAMES[name][1] if name in TRL_NAMES else ""


@cache
def removed_names() -> dict[str, Version]:
    """Public names and modules of transformers that are gone, and functions of modules, by their dotted name below it."""
    from telepathy_lint.knowledge.migration_moves import FROM_MODULES
    from telepathy_lint.knowledge.migration_names import MODULES, NAMES

    return {
        name: version
        for table in (NAMES, MODULES, FROM_MODULES)
        for version, names in table.items()
        for name in names.split()
    }


def renamed_class(name: str) -> str | None:
    """The class that takes the place of a removed one and does the same."""
    from telepathy_lint.knowledge.migration_moves import RENAMED

    return PEFT_NAMES[name][1] if name == "prepare_model_for_int8_training" else RENAMED.get(name)


def removed_since(dotted: str) -> Version | None:
    """The release that removed a dotted name of transformers (`transformers.AdamW`, `transformers.onnx.export`)."""
    name = dotted.removeprefix("transformers.")
    if "." not in name and is_of_another_framework(name):
        return (5, 0)
    names = removed_names()
    if (version := names.get(name)) is not None:
        return version
    while "." in name:
        name = name.rpartition(".")[0]
        if "." in name or name in _PACKAGES:
            version = names.get(name)
            if version is not None:
                return version
    return (5, 0) if ".modeling_tf_" in dotted or ".modeling_flax_" in dotted else None


def is_of_another_framework(name: str) -> bool:
    """Whether a class of transformers is one for TensorFlow or Flax."""
    return any(name.startswith(prefix) and name[len(prefix) :][:1].isupper() for prefix in ("TF", "Flax"))


#: Modules at the top of transformers that are gone, and no public name of its own.
_PACKAGES = frozenset({"onnx", "agents", "benchmark", "sagemaker", "commands", "kernels"})

#: Methods of tokenizers -> how they are written now ("" where that depends on the code).
TOKENIZER_METHODS = {
    "encode_plus": "call the tokenizer itself",
    "batch_encode_plus": "call the tokenizer itself",
    "prepare_seq2seq_batch": "call the tokenizer with text and text_target",
    "as_target_tokenizer": "call the tokenizer with text_target",
    "build_inputs_with_special_tokens": "call the tokenizer with add_special_tokens=True",
    "prepare_for_model": "call the tokenizer on text",
    "truncate_sequences": "call the tokenizer with truncation=True",
    "create_token_type_ids_from_sequences": "call the tokenizer with return_token_type_ids=True",
    "sanitize_special_tokens": "leave it out",
}
#: Those that tokenizers without a fast implementation have in 5 as well.
KEPT_BY_SLOW_TOKENIZERS = frozenset(
    {
        "build_inputs_with_special_tokens",
        "create_token_type_ids_from_sequences",
        "prepare_for_model",
        "truncate_sequences",
    }
)
#: Attributes of tokenizers -> what to read instead.
TOKENIZER_ATTRIBUTES = {
    "additional_special_tokens": "read extra_special_tokens",
    "additional_special_tokens_ids": "read extra_special_tokens_ids",
    "all_special_tokens_extended": "read all_special_tokens",
    "special_tokens_map_extended": "read special_tokens_map",
}
assert TOKENIZER_METHODS.keys() | TOKENIZER_ATTRIBUTES.keys() <= METHODS
#: Arguments of a tokenizer's call: outcome in 5, what to pass.
TOKENIZER_ARGUMENTS = {
    "pad_to_max_length": (
        "is ignored by transformers 5, which pads nothing, and an error in 4.57",
        'pass padding="max_length" and truncation=True',
    ),
    "truncation_strategy": ("raises a TypeError", "pass truncation"),
}
#: Ways to decode that transformers 5 loads from the Hub and runs with `trust_remote_code=True` only, else a ValueError.
REMOTE_DECODING = {
    "num_beam_groups": "group beam search",
    "constraints": "constrained beam search",
    "force_words_ids": "constrained beam search",
    "dola_layers": "DoLa",
    "penalty_alpha": "contrastive search",
}
#: Arguments of `generate` that raise a ValueError in 5.
GENERATE_ARGUMENTS = ("return_legacy_cache", "use_model_defaults")


def named(version: Version) -> str:
    """A version in words."""
    return f"{version[0]}.{version[1]}"


#: The release of trl whose trainers refuse `peft_config` together with a model that has an adapter: a ValueError.
ADAPTED_TWICE = (0, 27)

#: Values of arguments of training configs that raise a ValueError: the release, and the value that is nearest.
OLD_VALUES = {
    ("optim", "adamw_hf"): ((4, 50), "adamw_torch"),
    ("optim", "adamw_apex_fused"): ((5, 8), "adamw_torch_fused"),
}


class Override(NamedTuple):
    """A method of `Trainer` that it passes more to than it did."""

    #: What it passes as well; "" where it passes less.
    added: str
    since: Version
    #: How many parameters the method had, with `self`.
    before: int
    #: Whether it is passed by name.
    by_name: bool
    #: The methods that call it: who replaces one of them passes what they like.
    callers: tuple[str, ...]


#: Methods that subclasses replace.
OVERRIDES = {
    "compute_loss": Override(
        "num_items_in_batch", (4, 46), 4, True, ("training_step", "_inner_training_loop", "train")
    ),
    "training_step": Override(
        "num_items_in_batch", (4, 46), 3, False, ("_inner_training_loop", "_run_epoch", "train")
    ),
    "log": Override("start_time", (4, 47), 2, False, ("_maybe_log_save_evaluate",)),
    "_get_train_sampler": Override("train_dataset", (4, 52), 1, False, ("get_train_dataloader",)),
    "_save_checkpoint": Override("", (4, 47), 4, False, ()),
}
#: The release since which `_save_checkpoint` takes no metrics.
CHECKPOINT_METRICS = (4, 47)

#: The release since which `transformers._import_structure` lists no models.
IMPORT_STRUCTURE = (4, 52)

#: Modules of transformers that are gone -> where each of their names that people import is since 4.46.
MOVED = {"transformers.deepspeed": "transformers.integrations"}
