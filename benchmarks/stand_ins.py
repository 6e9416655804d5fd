"""Tiny models, and guesses for other values that a load needs, so that loads in public code run on any machine.

`install(folder)` changes the running process: each id that is loaded becomes a folder of that name in the
current one, with a random model of the class that the load needs. Arguments for things that the machine lacks
(GPUs, quantization, FlashAttention) are removed from the calls, both before and after a fix.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

VOCABULARY = 264
SEED = 0
#: Small sizes for configs, by words in the names of their attributes.
_SIZES: tuple[tuple[str, Any], ...] = (
    (r"vocab_size", VOCABULARY),
    (r"head_dim|qk_nope_head_dim|v_head_dim|d_kv", 8),
    (r"num_key_value_heads|num_kv_heads", 2),
    (r"(?:\w+_)?(?:num_)?(?:attention_)?heads|n_heads?|num_heads|\w+_attention_heads", 4),
    (r"num_hidden_layers|n_layers?|num_layers|\w+_layers|depth|num_hidden_groups", 2),
    (
        r"hidden_size|d_model|n_embd|dim|embed_dim|embedding_size|hidden_dim|projection_dim|word_embed_proj_dim",
        32,
    ),
    (r"intermediate_size|ffn_dim|d_ff|n_inner|ffn_hidden_size|\w+_ffn_dim|hidden_dim|mlp_dim", 64),
    (r"max_position_embeddings|n_positions|n_ctx|max_source_positions|max_target_positions", 512),
    (r"num_mel_bins", 80),
    (r"image_size", 32),
    (r"patch_size", 16),
    (r"rotary_dim", 4),
    (r"num_local_experts|num_experts|n_routed_experts", 4),
    (r"hidden_sizes", [8, 16]),
    (r"depths", [1, 1]),
    (r"conv_dim", (32, 32)),
    (r"conv_stride", (5, 2)),
    (r"conv_kernel", (10, 3)),
    (r"num_feat_extract_layers", 2),
    (r"num_conv_pos_embeddings", 16),
    (r"num_conv_pos_embedding_groups", 4),
)
#: Id -> model type, for auto classes.
_BY_ID = (
    (r"t5|ul2|bartpho", "t5"), (r"mbart", "mbart"), (r"pegasus", "pegasus"), (r"bart", "bart"), (r"marian|opus-mt", "marian"),
    (r"distilbert", "distilbert"), (r"roberta", "roberta"), (r"albert", "albert"), (r"electra", "electra"),
    (r"bert|minilm|bge|e5-|gte", "bert"), (r"gpt-?neox|pythia|dolly", "gpt_neox"), (r"gpt-?neo", "gpt_neo"), (r"gpt-?j", "gptj"),
    (r"gpt", "gpt2"), (r"qwen2.*vl", "llava"), (r"qwen3", "qwen3"), (r"qwen", "qwen2"), (r"mixtral", "mixtral"),
    (r"mistral|zephyr", "mistral"), (r"paligemma|smolvlm", "llava"), (r"gemma", "gemma2"), (r"phi-?[12]", "phi"), (r"opt-|galactica", "opt"), (r"bloom", "bloom"),
    (r"falcon", "falcon"), (r"llava|blip|vl\b|vision-instruct|idefics", "llava"), (r"whisper", "whisper"),
    (r"wav2vec|xlsr", "wav2vec2"), (r"hubert", "hubert"), (r"owlv2", "owlv2"), (r"owl-?vit", "owlvit"), (r"clip", "clip"), (r"\bvit|deit", "vit"), (r"dino", "dinov2"),
    (r"resnet", "resnet"), (r"llama|vicuna|alpaca|yi-|deepseek|smollm|tinyllama", "llama"),
)  # fmt: skip
#: Auto class -> model type, if the id does not indicate one that the class can load.
_BY_CLASS = {
    "AutoModelForCausalLM": "llama", "AutoModelForSeq2SeqLM": "t5", "AutoModelForSpeechSeq2Seq": "whisper",
    "AutoModelForCTC": "wav2vec2", "AutoModelForImageClassification": "vit", "AutoModelForImageTextToText": "llava",
    "AutoModelForVision2Seq": "llava", "AutoModelForAudioClassification": "wav2vec2", "AutoModelForZeroShotImageClassification": "clip",
    "AutoModelForMultimodalLM": "llava",
}  # fmt: skip
_DECODERS = ("llama", "qwen2", "qwen3", "mistral", "mixtral", "gemma2", "phi", "falcon", "llava")
_TASKS = {
    "text-generation": "AutoModelForCausalLM", "text2text-generation": "AutoModelForSeq2SeqLM",
    "summarization": "AutoModelForSeq2SeqLM", "sentiment-analysis": "AutoModelForSequenceClassification",
    "text-classification": "AutoModelForSequenceClassification", "zero-shot-classification": "AutoModelForSequenceClassification",
    "fill-mask": "AutoModelForMaskedLM", "ner": "AutoModelForTokenClassification",
    "token-classification": "AutoModelForTokenClassification", "question-answering": "AutoModelForQuestionAnswering",
    "feature-extraction": "AutoModel", "automatic-speech-recognition": "AutoModelForSpeechSeq2Seq",
    "image-classification": "AutoModelForImageClassification", "image-text-to-text": "AutoModelForImageTextToText",
}  # fmt: skip
#: Arguments for things that this machine lacks.
_LEFT_OUT = (
    "load_in_8bit", "load_in_4bit", "quantization_config", "use_flash_attention_2", "revision", "subfolder", "variant",
    "max_memory", "use_safetensors", "gguf_file", "cache_dir", "offload_folder", "offload_state_dict", "token",
    "use_auth_token", "local_files_only", "force_download", "from_tf", "from_flax",
)  # fmt: skip


class Lenient:
    """Stands in for `args`, `self` and configs: each attribute is guessed from its name."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return guess(name)

    def __getitem__(self, name: object) -> Any:
        return guess(str(name))

    def __contains__(self, name: object) -> bool:
        return False

    def get(self, name: str, default: Any = None) -> Any:
        return guess(name) if default is None else default


def guess(name: str) -> Any:
    """A value for a name that is not bound in the part."""
    import torch

    lower = name.lower()
    if lower == "self" or re.fullmatch(
        r"(?:\w*_)?(?:args?|cfg|config|conf|opts?|options|hparams|settings|params|flags)", lower
    ):
        return Lenient()
    if "kwargs" in lower:
        return {}
    if re.fullmatch(r"\w*(?:model|auto)_?(?:class|cls|type)", lower):
        return importlib.import_module("transformers").AutoModelForCausalLM
    if re.fullmatch(r"\w*tokenizer_?(?:class|cls|type)", lower):
        return importlib.import_module("transformers").AutoTokenizer
    for pattern, value in (
        (r".*device.*", "cpu"),
        (r".*dtype|.*precision", torch.float32),
        (r".*(?:cache|token$|auth|revision|peft|lora|adapter|quant|resume|bnb).*", None),
        (r".*(?:len|length|size|num|max|min|seed|steps|epochs|rank).*", 8),
        (r".*(?:prompts|texts|sentences|questions|messages|inputs_text|lines)", ["Hello world", "Hi"]),
        (r".*(?:prompt|text|sentence|question|query|instruction|message|word|content)", "Hello world"),
        (r".*(?:model|path|name|_id|checkpoint|ckpt|repo|dir|tokenizer|base|folder).*", f"guessed/{name}"),
        (r"(?:use_|do_|is_|load_|no_).*", False),
    ):
        if re.fullmatch(pattern, lower):
            return value
    return None


def tiny_config(model_type: str) -> Any:
    """A config of the type that is small enough for a model of a few kilobytes."""
    import transformers

    return shrunk(transformers.AutoConfig.for_model(model_type))


def shrunk(config: Any) -> Any:
    for name, value in list(vars(config).items()):
        if hasattr(value, "to_dict"):
            shrunk(value)
        elif isinstance(value, (int, list, tuple)) and not isinstance(value, bool):
            for pattern, size in _SIZES:
                if re.fullmatch(pattern, name) and isinstance(value, int) == isinstance(size, int):
                    with contextlib.suppress(Exception):
                        setattr(config, name, size)
                    break
    for name in (
        "bos_token_id",
        "eos_token_id",
        "decoder_start_token_id",
        "pad_token_id",
        "image_token_id",
        "image_token_index",
    ):
        value = getattr(config, name, None)
        if isinstance(value, int) and value >= VOCABULARY:
            setattr(config, name, {"bos": 256, "eos": 257, "dec": 256, "ima": 260}.get(name[:3]))
    if (
        getattr(config, "is_encoder_decoder", False)
        and getattr(config, "decoder_start_token_id", None) is None
    ):
        config.decoder_start_token_id = 256
    for name, value in (
        ("suppress_tokens", None),
        ("begin_suppress_tokens", None),
        ("forced_eos_token_id", None),
    ):
        if hasattr(config, name):
            setattr(config, name, value)
    layers = getattr(config, "layer_types", None)
    if isinstance(layers, list):
        config.layer_types = layers[:2]
    if getattr(config, "rope_scaling", None) and config.model_type in ("phi3",):
        config.rope_scaling = None
    if config.model_type == "gpt_neo":
        config.attention_types, config.attention_layers = [[["global", "local"], 1]], ["global", "local"]
    return config


class Models:
    """The folders that stand for ids, created on first use."""

    def __init__(self, store: Path, dtype: Any = None) -> None:
        self.store = store
        #: The dtype of all of them; None for the one that models of each type usually have.
        self.dtype = dtype
        #: Id -> the folder that stands for it, in all runs of one load.
        self.chosen: dict[str, Path] = {}

    def given(self, identity: Any, cls: Any, task: str | None = None) -> Any:
        """The id of a load, with a folder that the class can load."""
        if not isinstance(identity, (str, Path)):
            return identity
        text = str(identity)
        name = (
            re.sub(r"[^\w.-]+", "_", text) if Path(text).is_absolute() or ".." in text or not text else text
        )
        folder = Path(name)
        if folder.exists() and not folder.is_symlink():
            return identity  # the part itself has saved something there
        made = self.chosen.get(text)
        if made is None or (cls is not None and self._is_another(made, cls)):
            # The library asks again with the name that it gets here.
            made = self.chosen[text] = self.chosen[name] = self._model(text, cls, task)
        if folder.is_symlink():
            folder.unlink()
        folder.parent.mkdir(parents=True, exist_ok=True)
        folder.symlink_to(made)
        return name

    def _model(self, text: str, cls: Any, task: str | None) -> Path:
        import transformers

        if task is not None:
            cls = getattr(transformers, _TASKS.get(task, "AutoModelForCausalLM"))
        by_id = next((kind for words, kind in _BY_ID if re.search(words, text.lower())), None)
        if cls is None:
            return self._saved(by_id or "llama", None)
        if not hasattr(cls, "_model_mapping"):
            return self._saved(cls.config_class.model_type, cls)
        if by_id is not None and transformers.CONFIG_MAPPING[by_id] in cls._model_mapping:
            return self._saved(by_id, cls)
        wanted = _BY_CLASS.get(cls.__name__, "bert")
        if transformers.CONFIG_MAPPING[wanted] not in cls._model_mapping:
            wanted = next(iter(cls._model_mapping.keys())).model_type
        return self._saved(wanted, cls)

    @staticmethod
    def _is_another(folder: Path, cls: Any) -> bool:
        """Whether a saved model has a type that the class cannot load."""
        import transformers

        with (folder / "config.json").open(encoding="utf-8") as file:
            model_type = json.load(file)["model_type"]
        if hasattr(cls, "_model_mapping"):
            return transformers.CONFIG_MAPPING[model_type] not in cls._model_mapping
        return bool(model_type != cls.config_class.model_type)

    def _saved(self, model_type: str, cls: Any) -> Path:
        """A saved model of the type: of the class, or of the class that an Auto class selects."""
        import torch
        import transformers

        config = tiny_config(model_type)
        if cls is None:
            mapping = transformers.AutoModelForCausalLM._model_mapping
            cls = (
                mapping[type(config)]
                if type(config) in mapping
                else transformers.AutoModel._model_mapping[type(config)]
            )
        elif hasattr(cls, "_model_mapping"):
            cls = cls._model_mapping[type(config)]
            cls = cls[0] if isinstance(cls, tuple) else cls
        folder = self.store / f"{model_type}-{cls.__name__}"
        if (folder / "done").exists():
            return folder
        shutil.rmtree(folder, ignore_errors=True)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(SEED)
            model = cls(config).eval()
        if model_type in _DECODERS:
            model = model.to(self.dtype or torch.bfloat16)
        model.save_pretrained(folder)
        decoder = model_type in _DECODERS or model_type.startswith(("gpt", "opt", "bloom"))
        shutil.copytree(
            self.store / ("tokenizer" if decoder else "tokenizer-padded"), folder, dirs_exist_ok=True
        )
        save_processors(model_type, folder)
        (folder / "done").touch()
        return folder


def save_tokenizers(store: Path) -> None:
    """Save two byte-level tokenizers: one without a pad token, as for decoders, and one with a pad token."""
    import transformers
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers

    symbols = sorted(pre_tokenizers.ByteLevel.alphabet())
    special = ["<s>", "</s>", "<unk>", "<mask>", "<image>", "<pad>", "<extra>", "<more>"]
    vocabulary = {symbol: index for index, symbol in enumerate([*symbols, *special])}
    plain = Tokenizer(models.BPE(vocabulary, merges=[]))
    plain.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    plain.decoder = decoders.ByteLevel()
    names = {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>"}
    for folder, more in (
        ("tokenizer", {}),
        (
            "tokenizer-padded",
            {"pad_token": "<pad>", "mask_token": "<mask>", "cls_token": "<s>", "sep_token": "</s>"},
        ),
    ):
        tokenizer = transformers.PreTrainedTokenizerFast(
            tokenizer_object=plain, model_input_names=["input_ids", "attention_mask"], **names, **more
        )
        tokenizer.chat_template = "{% for m in messages %}<s>{{ m['content'] }}{% endfor %}"
        tokenizer.model_max_length = 512
        tokenizer.save_pretrained(store / folder)
        # Releases before 4.51 read the template here only.
        template = store / folder / "chat_template.jinja"
        if template.exists():
            config = store / folder / "tokenizer_config.json"
            read = json.loads(config.read_text(encoding="utf-8"))
            config.write_text(
                json.dumps({**read, "chat_template": tokenizer.chat_template}), encoding="utf-8"
            )
            template.unlink()


def save_processors(model_type: str, folder: Path) -> None:
    """Save the feature extractor or image processor of the type."""
    import transformers

    if model_type == "whisper":
        transformers.WhisperFeatureExtractor(chunk_length=2).save_pretrained(folder)
    elif model_type in ("wav2vec2", "hubert"):
        transformers.Wav2Vec2FeatureExtractor().save_pretrained(folder)
    elif model_type in ("vit", "dinov2", "resnet", "deit"):
        size = {"height": 32, "width": 32}
        transformers.ViTImageProcessor(size=size).save_pretrained(folder)
    elif model_type in ("clip", "llava"):
        transformers.CLIPImageProcessor(size={"shortest_edge": 32}, crop_size=32).save_pretrained(folder)


Leave = Callable[[dict[str, Any]], dict[str, Any]]


def install(models: Models, leave: Leave | None = None) -> None:
    """Redirect all loading functions to the stand-ins; `leave` gives the arguments that they get."""
    import torch
    import transformers
    from transformers.models.auto.auto_factory import _BaseAutoModelClass

    import telepathy_runtime

    leave = leave or left_out

    def wrap(owner: Any, loads_models: bool) -> None:
        original = owner.__dict__["from_pretrained"].__func__

        def from_pretrained(cls: Any, *args: Any, **kwargs: Any) -> Any:
            key = "pretrained_model_name_or_path"
            identity = args[0] if args else kwargs.pop(key, None)
            given = models.given(
                identity, cls if loads_models and cls.__name__ != "PreTrainedModel" else None
            )
            torch.manual_seed(SEED)
            return original(cls, given, *args[1:], **leave(kwargs))

        owner.from_pretrained = classmethod(from_pretrained)

    wrap(_BaseAutoModelClass, True)
    wrap(transformers.PreTrainedModel, True)
    for owner in (
        transformers.AutoTokenizer, transformers.PreTrainedTokenizerBase, transformers.AutoConfig, transformers.PretrainedConfig,
        transformers.AutoProcessor, transformers.ProcessorMixin, transformers.AutoImageProcessor, transformers.AutoFeatureExtractor,
        transformers.GenerationConfig,
    ):  # fmt: skip
        if "from_pretrained" in owner.__dict__:
            wrap(owner, False)
    _install_runtime(models, telepathy_runtime, transformers, leave)
    _install_pipeline(models, transformers, leave)
    _install_devices(torch)


def _install_runtime(models: Models, runtime: Any, transformers: Any, leave: Leave) -> None:
    def named(function: Callable[..., Any], default: Any) -> Callable[..., Any]:
        def called(*args: Any, **kwargs: Any) -> Any:
            if not args and "model_id" not in kwargs:
                return function(*args, **leave(kwargs))
            cls = kwargs.get("model_class") or default
            identity = args[0] if args else kwargs.pop("model_id")
            return function(models.given(identity, cls), *args[1:], **leave(kwargs))

        return called

    runtime.load_model = named(runtime.load_model, transformers.AutoModelForCausalLM)
    runtime.load_tokenizer = named(runtime.load_tokenizer, None)
    runtime.resolve_device_map = named(runtime.resolve_device_map, None)
    runtime.resolve_attn_implementation = named(runtime.resolve_attn_implementation, None)


def _install_pipeline(models: Models, transformers: Any, leave: Leave) -> None:
    original = transformers.pipeline

    def pipeline(task: Any = None, model: Any = None, *args: Any, **kwargs: Any) -> Any:
        if model is None or isinstance(model, str):
            model = models.given(model or f"default/{task}", None, str(task) if task else "text-generation")
            kwargs.setdefault("tokenizer", model)
        if isinstance(kwargs.get("model_kwargs"), dict):
            kwargs["model_kwargs"] = leave(kwargs["model_kwargs"])
        return original(task, model, *args, **leave(kwargs))

    transformers.pipeline = pipeline


def left_out(kwargs: dict[str, Any]) -> dict[str, Any]:
    """Remove arguments for things that this machine lacks."""
    kept = {name: value for name, value in kwargs.items() if name not in _LEFT_OUT}
    device_map = kept.get("device_map")
    if device_map is not None and device_map not in ("auto", "cpu"):
        kept["device_map"] = {"": "cpu"}
    if kept.get("attn_implementation") == "flash_attention_2":
        del kept["attn_implementation"]
    device = kept.get("device")
    if device is not None and str(device) not in ("cpu", "-1"):
        kept["device"] = "cpu"
    return kept


def _install_devices(torch: Any) -> None:
    """Make `.cuda()`, `.to("cuda")` and `set_default_device("cuda")` keep tensors on the CPU."""

    def on_cpu(value: Any) -> Any:
        if isinstance(value, str) and re.match(r"cuda|mps", value):
            return "cpu"
        if isinstance(value, torch.device) and value.type in ("cuda", "mps"):
            return torch.device("cpu")
        return value

    for owner in (torch.Tensor, torch.nn.Module):
        original = owner.to

        def to(self: Any, *args: Any, _original: Any = original, **kwargs: Any) -> Any:
            given = ["cpu" if type(each) is int else on_cpu(each) for each in args]
            return _original(self, *given, **{name: on_cpu(value) for name, value in kwargs.items()})

        owner.to = to
        owner.cuda = lambda self, *args, **kwargs: self
    set_default = torch.set_default_device
    torch.set_default_device = lambda device: set_default(on_cpu(device))
