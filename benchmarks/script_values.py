"""What whole scripts get in place of models, datasets and unbound names; see benchmarks/run_whole_script.py.

Models are those of benchmarks/stand_ins.py, in float32: transformers 4 and 5 differ in the dtype that they choose for others,
which is no matter of a rename. Trainings end after two steps.
"""

from __future__ import annotations

import argparse
import contextlib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import stand_ins

#: Losses and tokens since the last statement began.
LOGGED: list[Any] = []
_STATE: dict[str, Any] = {}
_NOT_COLUMNS = {
    "input_ids", "attention_mask", "labels", "token_type_ids", "loss", "logits", "generated_text", "train", "test",
    "validation", "eval", "dev", "accuracy", "f1", "precision", "recall", "role", "content", "pixel_values", "input_features",
    "epoch", "score", "rouge1", "rouge2", "rougeL", "bleu", "path", "array", "sampling_rate", "start", "end", "offset_mapping",
    "overflow_to_sample_mapping", "value", "from", "num_train_epochs", "length",
}  # fmt: skip


class Nothing:
    """Stands for everything of a library that is not installed."""

    def __init__(self, *_: Any, **__: Any) -> None:
        pass

    def __getattr__(self, name: str) -> Any:
        if name.startswith(("__", "_hf")):
            raise AttributeError(name)
        return Nothing()

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        # As a decorator it gives back what it decorates.
        if len(args) == 1 and not kwargs and callable(args[0]) and not isinstance(args[0], Nothing):
            return args[0]
        return Nothing()

    def __getitem__(self, _: Any) -> Any:
        return Nothing()

    def __setitem__(self, *_: Any) -> None:
        pass

    def __iter__(self) -> Iterator[Any]:
        return iter(())

    def __len__(self) -> int:
        return 0

    def __contains__(self, _: Any) -> bool:
        return False

    def __enter__(self) -> Any:
        return self

    def __exit__(self, *_: Any) -> None:
        pass

    def __float__(self) -> float:
        return 0.5

    def __int__(self) -> int:
        return 1


def begin(text: str) -> None:
    """Say which script comes next."""
    _STATE.clear()
    columns = dict.fromkeys(re.findall(r"\w\[\s*[\"']([A-Za-z]\w{1,30})[\"']\s*\]", text))
    columns |= dict.fromkeys(re.findall(r"(?:text_field|_column(?:_name)?)\s*=\s*[\"'](\w+)[\"']", text))
    columns |= dict.fromkeys(re.findall(r"rename_columns?\(\s*\{?\s*[\"'](\w+)[\"']", text))
    _STATE["columns"] = [name for name in columns if name not in _NOT_COLUMNS and not name.isupper()][:20]
    kinds = re.findall(
        r"\bAutoModelFor\w+|\b\w+For(?:ConditionalGeneration|SequenceClassification|CTC)\b", text
    )
    _STATE["kind"] = kinds[0] if kinds else "AutoModelForCausalLM"
    _STATE["dpo"] = "DPO" in text or "ORPO" in text


def value(name: str) -> Any:
    """A value for a name that nothing binds; the same in every run of a script."""
    import transformers

    lower = name.lower()
    if re.fullmatch(r"(?:\w*_)?(?:tokenizer|tok|processor|feature_extractor|image_processor)", lower):
        return transformers.AutoTokenizer.from_pretrained("guessed/bert-tokenizer")
    if re.fullmatch(r"(?:\w*_)?(?:model|network|llm)", lower):
        cls = getattr(transformers, _STATE["kind"], transformers.AutoModelForCausalLM)
        return cls.from_pretrained("guessed/model")
    if lower == "self":
        return Self()
    if re.fullmatch(r"\w*trainer", lower):
        return Nothing()
    if re.fullmatch(r"(?:data_)?(?:collator|collate_fn)|callbacks?|compute_metrics", name):
        return None
    if re.fullmatch(
        r"(?:\w+_)?(?:train|test|val|valid|validation|eval|dev)(?:_?(?:data|dataset|ds|set|split))?", name
    ):
        return tokenized_splits()["train"]
    if re.fullmatch(r"\w*(?:datasets?|data|ds|dd)", name):
        return tokenized_splits()
    if re.fullmatch(r"(?:examples|batch|samples)", lower):
        return {column: [_cell(column)] * 2 for column in _columns()}
    if re.fullmatch(r"(?:ex|example|sample|item|row|entry|data_point|datapoint)", lower):
        return {column: _cell(column) for column in _columns()}
    if re.fullmatch(r"\w*(?:messages|conversations?|chat|dialog\w*|history)", lower):
        return _CHAT
    found = stand_ins.guess(name)
    unset = re.search(r"cache|token$|auth|revision|peft|lora|adapter|quant|resume|bnb", lower)
    return Nothing() if found is None and not unset else found


class Self(stand_ins.Lenient):
    """Stands for the object of a method."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        found = value(name)
        setattr(self, name, found)
        return found


class Both:
    """A processor: a tokenizer, and what makes features of images or sound."""

    def __init__(self, tokenizer: Any, features: Any) -> None:
        self.tokenizer, self.image_processor, self.feature_extractor = tokenizer, features, features

    def __call__(self, text: Any = None, images: Any = None, audio: Any = None, **kwargs: Any) -> Any:
        if images is None and audio is None and text is not None and not isinstance(text, (str, list)):
            images, text = text, None
        found = self.tokenizer(text, **kwargs) if text is not None else {}
        for given in (images, audio):
            if given is not None:
                kept = {"return_tensors": kwargs.get("return_tensors", "pt")}
                found = {**found, **self.image_processor(given, **kept)}
        return type(self.tokenizer("a"))(dict(found))

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return (
            getattr(self.tokenizer, name)
            if hasattr(self.tokenizer, name)
            else getattr(self.image_processor, name)
        )


_SPLITS = ("validation", "test", "val", "dev", "eval", "valid")
_CHAT = [{"role": "user", "content": "Hello"}, {"role": "assistant", "content": "Hi there"}]


def _columns() -> list[str]:
    found = list(_STATE["columns"])
    if _STATE["dpo"]:
        found = ["prompt", "chosen", "rejected"]
    if "SequenceClassification" in _STATE["kind"] and "label" not in found:
        found.append("label")
    return found or ["text", "label"]


def _cell(column: str, row: int = 0) -> Any:
    lower = column.lower()
    if lower in ("label", "target", "rating", "stars", "id", "idx") or lower.endswith(("_id", "_label")):
        return row % 2
    if re.search(r"messages|conversation|chat$", lower):
        return _CHAT
    if lower == "audio":
        import numpy as np

        return {"array": np.zeros(1600, dtype="float32"), "sampling_rate": 16000, "path": "a.wav"}
    if re.search(r"^(?:image|img|pixel)", lower):
        from PIL import Image

        return Image.new("RGB", (32, 32))
    if lower == "answers":
        return {"text": ["Hello"], "answer_start": [0]}
    if lower == "tokens":
        return ["Hello", "world"]
    if lower.endswith("_tags"):
        return [0, 1]
    if lower == "translation":
        return dict.fromkeys(("en", "fr", "de", "ro", "hi", "zh"), "Hello")
    return f"Hello {column} {row}"


def raw_splits() -> Any:
    import datasets

    def split(count: int) -> Any:
        return datasets.Dataset.from_list(
            [{column: _cell(column, row) for column in _columns()} for row in range(count)]
        )

    return datasets.DatasetDict({"train": split(8), **{name: split(4) for name in _SPLITS}})


def tokenized_splits() -> Any:
    """Rows of ids and labels, as scripts make them before they train."""
    import datasets

    single = "Sequence" in _STATE["kind"]
    rows = [
        {
            "input_ids": [5 + row, 6, 7, 8],
            "attention_mask": [1, 1, 1, 1],
            "labels": row % 2 if single else [5, 6, 7, 8],
        }
        for row in range(8)
    ]
    made = datasets.Dataset.from_list(rows)
    return datasets.DatasetDict({"train": made, **dict.fromkeys(_SPLITS, made)})


def load_dataset(*_: Any, split: Any = None, streaming: bool = False, **__: Any) -> Any:
    found = raw_splits()
    if split is None:
        return found
    if isinstance(split, (list, tuple)):
        return [found["train"] for _ in split]
    name = re.match(r"\w+", str(split))
    return found[name.group() if name is not None and name.group() in found else "train"]


# ---- what is changed in the libraries


def install(store: Path) -> None:
    import datasets
    import torch
    import transformers

    store.mkdir(parents=True, exist_ok=True)
    if not (store / "tokenizer-padded").exists():
        stand_ins.save_tokenizers(store)
    stand_ins.install(stand_ins.Models(store, dtype=torch.float32), leave=_left_out)
    datasets.load_dataset = datasets.load_from_disk = load_dataset
    _install_training(transformers)
    _install_generation(transformers)
    _install_arguments()
    _install_tokenizers(transformers)
    transformers.BitsAndBytesConfig.post_init = lambda self: None
    for owner in (datasets.Dataset, datasets.DatasetDict, transformers.Trainer, transformers.PreTrainedModel):
        owner.push_to_hub = lambda *_, **__: None
    torch.cuda.get_device_properties = lambda *_, **__: Nothing()
    torch.cuda.is_bf16_supported = lambda *_, **__: False
    torch.cuda.get_device_capability = lambda *_, **__: (7, 0)


def _left_out(kwargs: dict[str, Any]) -> dict[str, Any]:
    """What this machine lacks, for a machine that has it: arguments that a release refuses stay."""
    kept = stand_ins.left_out(kwargs)
    refused = ("use_auth_token", "from_tf", "from_flax", "token", "force_download", "local_files_only")
    kept |= {name: kwargs[name] for name in refused if name in kwargs}
    import transformers

    if not transformers.__version__.startswith("4."):
        kept |= {name: kwargs[name] for name in ("load_in_8bit", "load_in_4bit") if name in kwargs}
        kept |= {
            name: kwargs[name] for name in ("use_flash_attention_2", "offload_state_dict") if name in kwargs
        }
    return kept


def _install_tokenizers(transformers: Any) -> None:
    """Every class of tokenizers reads the one that the models have: classes of models would make another of it in 5."""
    fast = transformers.PreTrainedTokenizerFast

    def from_pretrained(cls: Any, *args: Any, **kwargs: Any) -> Any:
        kwargs.pop("use_fast", None) if transformers.__version__.startswith("4.") else None
        return fast.from_pretrained(*args, **kwargs)

    def processor(cls: Any, *args: Any, **kwargs: Any) -> Any:
        tokenizer = fast.from_pretrained(*args)
        seen = re.search(r"(?i)whisper|wav2vec|hubert|audio", f"{cls.__name__} {args}") is None
        return Both(
            tokenizer,
            transformers.CLIPImageProcessor(size={"shortest_edge": 32}, crop_size=32)
            if seen
            else transformers.WhisperFeatureExtractor(chunk_length=2),
        )

    for name in dir(transformers):
        if re.fullmatch(
            r"(?:Auto|Whisper|Wav2Vec2|PaliGemma|Idefics\d?|Llava\w*|Qwen\w+|CLIP|Blip\d?|TrOCR)Processor",
            name,
        ):
            with contextlib.suppress(Exception):
                getattr(transformers, name).from_pretrained = classmethod(processor)
    named = [name for name in dir(transformers) if re.fullmatch(r"[A-Z]\w+Tokenizer(?:Fast)?", name)]
    for name in named:
        with contextlib.suppress(Exception):
            owner = getattr(transformers, name)
            if owner is not fast:
                owner.from_pretrained = classmethod(from_pretrained)


def _install_training(transformers: Any) -> None:
    made = transformers.TrainingArguments.__post_init__

    def post_init(self: Any) -> None:
        for name, small in (
            ("max_steps", 2), ("use_cpu", True), ("bf16", False), ("fp16", False), ("bf16_full_eval", False),
            ("fp16_full_eval", False), ("tf32", None), ("report_to", "none"), ("push_to_hub", False), ("deepspeed", None),
            ("dataloader_num_workers", 0), ("dataloader_prefetch_factor", None), ("dataloader_persistent_workers", False),
            ("logging_steps", 1), ("logging_strategy", "steps"), ("gradient_accumulation_steps", 1), ("torch_compile", False),
            ("per_device_train_batch_size", 2), ("per_device_eval_batch_size", 2), ("use_liger_kernel", False), ("fsdp", ""),
            ("num_generations", 2), ("max_completion_length", 8), ("generation_batch_size", None), ("steps_per_generation", None),
            ("fsdp_config", None), ("use_vllm", False), ("dataset_num_proc", None), ("warmup_steps", 0),
        ):  # fmt: skip
            if hasattr(self, name):
                setattr(self, name, small)
        defaults = type(self).__dataclass_fields__
        for name, given in list(vars(self).items()):
            if isinstance(given, Nothing) and name in defaults:
                setattr(self, name, defaults[name].default)
        if re.search("bit|paged|bnb|galore|fused|apex", str(getattr(self, "optim", ""))):
            self.optim = "adamw_torch"
        made(self)

    transformers.TrainingArguments.__post_init__ = post_init
    training = transformers.Trainer.train

    def train(self: Any, *args: Any, **kwargs: Any) -> Any:
        # Since 5.10 the loss of causal models is divided by one token less for each text: not a matter of a rename.
        self._loss_shifts_labels = False
        kwargs.pop("resume_from_checkpoint", None)
        done = training(self)
        LOGGED.append([round(each["loss"], 4) for each in self.state.log_history if "loss" in each])
        return done

    transformers.Trainer.train = train
    for owner in (transformers.Trainer, *_trainers_of_trl()):
        _complete(owner, transformers)


def _trainers_of_trl() -> list[Any]:
    try:
        import trl

        return [
            owner
            for name in (
                "SFTTrainer",
                "DPOTrainer",
                "RewardTrainer",
                "KTOTrainer",
                "GRPOTrainer",
                "ORPOTrainer",
            )
            if "__init__" in vars(owner := getattr(trl, name, None) or Nothing)
        ]
    except Exception:
        return []


def _complete(owner: Any, transformers: Any) -> None:
    """Let a trainer train although what it gets could not be read."""
    made = owner.__init__
    raw = owner is not transformers.Trainer

    def complete(self: Any, *args: Any, **kwargs: Any) -> None:
        args = tuple(None if isinstance(each, Nothing) else each for each in args)
        kwargs = {name: None if isinstance(given, Nothing) else given for name, given in kwargs.items()}
        if len(args) < 4 and not kwargs.get("train_dataset"):
            kwargs["train_dataset"] = (raw_splits() if raw else tokenized_splits())["train"]
        if kwargs.get("callbacks"):
            kwargs["callbacks"] = [each for each in kwargs["callbacks"] if not isinstance(each, Nothing)]
        made(self, *args, **kwargs)

    owner.__init__ = complete


def _install_generation(transformers: Any) -> None:
    from transformers.generation import GenerationMixin

    original = GenerationMixin.generate

    def generate(self: Any, *args: Any, **kwargs: Any) -> Any:
        for name, most in (("max_new_tokens", 8), ("max_length", 128)):
            if isinstance(kwargs.get(name), int):
                kwargs[name] = min(kwargs[name], most)
        if "max_length" not in kwargs:
            kwargs.setdefault("max_new_tokens", 8)
        given = original(self, *args, **kwargs)
        with contextlib.suppress(Exception):
            ids = given if hasattr(given, "tolist") else given.sequences
            LOGGED.append(ids.tolist())
        return given

    GenerationMixin.generate = generate


def _install_arguments() -> None:
    """A parser takes a guess for what a script has to be given."""
    parse = argparse.ArgumentParser.parse_known_args

    def parse_known_args(self: Any, args: Any = None, namespace: Any = None) -> Any:
        for action in self._actions:
            if action.required:
                action.required = False
                if not action.option_strings:
                    action.nargs = "?"
                if action.default is None:
                    action.default = (
                        action.choices[0]
                        if isinstance(action.choices, list)
                        else stand_ins.guess(action.dest)
                    )
        given = [] if args is None else list(args)
        return parse(self, given, namespace)

    argparse.ArgumentParser.parse_known_args = parse_known_args  # type: ignore[method-assign]
    argparse.ArgumentParser.parse_args = lambda self, args=None, namespace=None: parse_known_args(
        self, args, namespace
    )[0]  # type: ignore[method-assign, assignment]


def described(thing: Any, depth: int = 0) -> Any:
    """What can be compared of a value, to three digits."""
    import numpy as np
    import torch

    if isinstance(thing, Nothing):
        return "nothing"
    if isinstance(thing, torch.Tensor):
        thing = thing.detach().to("cpu")
        if thing.is_floating_point():
            return ["tensor", str(thing.dtype), list(thing.shape), round(float(thing.float().sum()), 2)]
        return ["tensor", str(thing.dtype), list(thing.shape), int(thing.long().sum())]
    if isinstance(thing, np.ndarray):
        return ["array", str(thing.dtype), list(thing.shape)]
    if isinstance(thing, float):
        return round(thing, 3)
    if isinstance(thing, (str, int, bool, type(None))):
        return str(thing)[:200]
    if isinstance(thing, (list, tuple)) and depth < 3:
        return [described(each, depth + 1) for each in list(thing)[:8]]
    if isinstance(thing, dict) and depth < 3:
        return {str(key): described(each, depth + 1) for key, each in sorted(thing.items(), key=str)[:8]}
    if isinstance(thing, type):
        return "class"
    if hasattr(thing, "convert_tokens_to_ids"):
        return "tokenizer"
    if hasattr(thing, "input_ids") and hasattr(thing, "keys") and depth < 3:
        return {"encoding": {str(key): described(thing[key], depth + 1) for key in sorted(thing.keys())}}
    return type(thing).__name__
