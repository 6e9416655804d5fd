"""Changes in the libraries that whole scripts use, so that they run on any machine; see benchmarks/run_whole_script.py.

Ids become tiny models, datasets are made up, trainings end after two steps, texts after a few tokens, and what this machine
lacks is left out of the calls. Arguments that a release refuses stay.
"""

from __future__ import annotations

import argparse
import contextlib
import re
import shutil
from pathlib import Path
from typing import Any

import stand_ins
from script_values import LOGGED, Nothing, frame, load_dataset, raw_splits, tokenized_splits


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

    def save_pretrained(self, folder: Any, **_: Any) -> Any:
        return self.tokenizer.save_pretrained(folder)

    def __repr__(self) -> str:
        return "Both()"

    def apply_chat_template(self, *args: Any, tokenize: bool = False, **kwargs: Any) -> Any:
        return self.tokenizer.apply_chat_template(*args, tokenize=tokenize, **kwargs)


class _Models(stand_ins.Models):
    """The tiny models, one of them for an id that the script was to be given."""

    def given(self, identity: Any, cls: Any, task: str | None = None) -> Any:
        return super().given(_identity(identity), cls, task)


def _identity(identity: Any) -> Any:
    return "guessed/model" if identity is None or isinstance(identity, Nothing) else identity


#: Ids of models that read images or sound.
_SEES = r"(?i)whisper|wav2vec|hubert|audio|speech|clip|blip|vi?lt|vit|vl\b|vision|llava|idefics|gemma-?3|pali|smolvlm|trocr|donut|git|layoutlm|dino|florence|guessed"


def install(store: Path) -> None:
    import datasets
    import torch
    import torch.distributed.tensor
    import transformers

    store.mkdir(parents=True, exist_ok=True)
    if not (store / "tokenizer-padded").exists():
        stand_ins.save_tokenizers(store)
        # Whether a pad token is set is no matter of the move.
        shutil.copytree(store / "tokenizer-padded", store / "tokenizer", dirs_exist_ok=True)
    stand_ins.install(_Models(store, dtype=torch.float32), leave=_left_out)
    datasets.load_dataset = datasets.load_from_disk = load_dataset
    _install_training(transformers)
    _install_generation(transformers)
    _install_arguments()
    _install_tokenizers(transformers)
    _install_features(transformers)
    _install_adapters()
    _install_tables()
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
        # The classes of models that scripts say it for heed it in every release, and this one in 5 only.
        kwargs.pop("add_eos_token", None)
        kwargs.pop("add_bos_token", None)
        return fast.from_pretrained(*map(_identity, args[:1]), *args[1:], **kwargs)

    # Pipelines ask whether it is a processor of transformers.
    both = type("Both", (Both, transformers.ProcessorMixin), {})

    def processor(cls: Any, *args: Any, **kwargs: Any) -> Any:
        tokenizer = fast.from_pretrained(*map(_identity, args[:1]), *args[1:])
        if cls.__name__ == "AutoProcessor" and not re.search(_SEES, str(args[:1])):
            return tokenizer
        seen = re.search(r"(?i)whisper|wav2vec|hubert|audio", f"{cls.__name__} {args}") is None
        return both(
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


def _install_features(transformers: Any) -> None:
    """Extractors of features with their defaults, small where they can be: what is saved beside a model is no matter of the move."""

    def image_processor(cls: Any, *_: Any, **__: Any) -> Any:
        made = cls if cls.__name__ != "AutoImageProcessor" else transformers.ViTImageProcessor
        for size in ({"height": 32, "width": 32}, {"shortest_edge": 32}):
            with contextlib.suppress(Exception):
                return made(size=size)
        return made()

    def feature_extractor(cls: Any, identity: Any = "", *_: Any, **__: Any) -> Any:
        if cls.__name__ != "AutoFeatureExtractor":
            made = cls
        elif re.search(r"(?i)whisper", str(identity)):
            made = transformers.WhisperFeatureExtractor
        elif re.search(r"(?i)vit|clip|dino|resnet|conv|image|swin|beit|deit|segformer|detr", str(identity)):
            return image_processor(transformers.AutoImageProcessor)
        else:
            made = transformers.Wav2Vec2FeatureExtractor
        return made(chunk_length=2) if made is transformers.WhisperFeatureExtractor else made()

    for name in dir(transformers):
        made = {"ImageProcessor": image_processor, "FeatureExtractor": feature_extractor}.get(
            (re.search(r"(?:ImageProcessor|FeatureExtractor)$", name) or [""])[0]
        )
        if made is not None and re.match(r"[A-Z]", name):
            with contextlib.suppress(Exception):
                owner = getattr(transformers, name)
                if name.startswith("Auto") or "from_pretrained" in dir(owner):
                    owner.from_pretrained = classmethod(made)


def _install_adapters() -> None:
    """Adapters are for all linear layers: the layers that a script names are those of its own model."""
    import peft

    made = peft.LoraConfig.__post_init__

    def post_init(self: Any) -> None:
        self.target_modules, self.modules_to_save, self.layers_to_transform = "all-linear", None, None
        self.r = self.r if isinstance(self.r, int) and self.r > 0 else 8
        self.lora_alpha = self.lora_alpha if isinstance(self.lora_alpha, (int, float)) else 8
        self.lora_dropout = 0.0
        made(self)

    peft.LoraConfig.__post_init__ = post_init
    peft.PeftModel.push_to_hub = lambda *_, **__: None


def _install_tables() -> None:
    """Tables that are not there are made up."""
    import pandas

    def reading(original: Any) -> Any:
        def read(file: Any, *args: Any, **kwargs: Any) -> Any:
            missing = isinstance(file, Nothing) or (isinstance(file, (str, Path)) and not Path(file).exists())
            return frame() if missing else original(file, *args, **kwargs)

        return read

    for name in ("read_csv", "read_json", "read_parquet", "read_excel", "read_table"):
        setattr(pandas, name, reading(getattr(pandas, name)))


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
            ("fsdp_config", None), ("use_vllm", False), ("dataset_num_proc", None), ("warmup_steps", 0), ("data_seed", 42),
        ):  # fmt: skip
            if hasattr(self, name):
                setattr(self, name, small)
        defaults = type(self).__dataclass_fields__
        for name, given in list(vars(self).items()):
            unset = given is None and isinstance(
                getattr(defaults.get(name), "default", None), (str, int, float)
            )
            if name in defaults and (isinstance(given, Nothing) or unset):
                setattr(self, name, defaults[name].default)
        if re.search("bit|paged|bnb|galore|fused|apex", str(getattr(self, "optim", ""))):
            self.optim = "adamw_torch"
        made(self)

    transformers.TrainingArguments.__post_init__ = post_init
    training = transformers.Trainer.train

    def train(self: Any, *args: Any, **kwargs: Any) -> Any:
        # What the loss is divided by differs from release to release; so, it is the model's own mean.
        self.model_accepts_loss_kwargs = False
        kwargs.pop("resume_from_checkpoint", None)
        _leave_out_dropout(self.model)
        done = training(self)
        LOGGED.append([round(each["loss"], 4) for each in self.state.log_history if "loss" in each])
        return done

    transformers.Trainer.train = train
    for owner in (transformers.Trainer, *_trainers_of_trl()):
        _complete(owner, transformers)


def _leave_out_dropout(model: Any) -> None:
    """Nothing is dropped: random numbers are drawn in another order from release to release."""
    for module in model.modules():
        for name, value in list(vars(module).items()):
            if isinstance(value, float) and (
                "drop" in name or (name == "p" and "Dropout" in type(module).__name__)
            ):
                setattr(module, name, 0.0)


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
        given = args[1] if len(args) > 1 else kwargs.get("args")
        if len(args) < 2 and given is not None and not isinstance(given, transformers.TrainingArguments):
            kwargs["args"] = _config_of(owner, transformers)("out")
        if len(args) < 4 and not kwargs.get("train_dataset"):
            kwargs["train_dataset"] = (raw_splits() if raw else tokenized_splits())["train"]
        if kwargs.get("callbacks"):
            kwargs["callbacks"] = [each for each in kwargs["callbacks"] if not isinstance(each, Nothing)]
        made(self, *args, **kwargs)

    owner.__init__ = complete


def _config_of(owner: Any, transformers: Any) -> Any:
    """The class of a trainer's arguments."""
    import importlib

    name = owner.__name__.replace("Trainer", "Config")
    of_trl = importlib.import_module("trl") if owner is not transformers.Trainer else None
    return getattr(of_trl, name, None) or transformers.Seq2SeqTrainingArguments


def _install_generation(transformers: Any) -> None:
    from transformers.generation import GenerationMixin

    original = GenerationMixin.generate

    def generate(self: Any, *args: Any, **kwargs: Any) -> Any:
        for name, most in (("max_new_tokens", 8), ("max_length", 128)):
            if isinstance(kwargs.get(name), int):
                kwargs[name] = min(kwargs[name], most)
        if "max_length" not in kwargs:
            kwargs.setdefault("max_new_tokens", 8)
        if kwargs.get("do_sample"):
            kwargs["do_sample"] = False  # random numbers are drawn in another order from release to release
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
