"""The model class that transformers has for a config, and the inputs of one step of it, for the tracer.

A model with vision is given text alone, or images too. An encoder-decoder has two lengths, one for each part; a speech model reads a whole
recording of its length.
"""

from __future__ import annotations

from typing import Any

import torch

from telepathy_runtime.memory.images import ALWAYS, images_of
from telepathy_runtime.models.counting import TOWERS

#: Auto classes, the first that knows a config is taken.
_CLASSES = ("CausalLM", "MaskedLM", "Seq2SeqLM", "SpeechSeq2Seq", "ImageTextToText")


def model_class(config: Any) -> Any:
    """The class with a language model's head for a config. Raises ValueError if transformers has none."""
    import transformers

    # An encoder's class for causal models exists, but only for its use as a decoder.
    encoder = not getattr(config, "is_decoder", True) and not getattr(config, "is_encoder_decoder", False)
    if getattr(config, "is_encoder_decoder", False):
        names: tuple[str, ...] = _CLASSES[2:]
    else:
        names = ("MaskedLM", *_CLASSES) if encoder else _CLASSES
    for name in names:
        found = getattr(transformers, f"AutoModelFor{name}", None)
        model = found._model_mapping.get(type(config), None) if found is not None else None
        if model is not None:
            return model[0] if isinstance(model, (list, tuple)) else model
    raise ValueError(f"transformers has no language model for {config.model_type}")


def on_one_device(model: Any, dtype: torch.dtype) -> None:
    """Put parameters where the others are that a model's code makes on the CPU and in float32, as a load does (XLNet, DiffLlama)."""
    if torch.get_default_device().type != "meta":
        return
    for module in model.modules():
        for name, parameter in list(module.named_parameters(recurse=False)):
            if parameter.device.type != "meta":
                own = torch.empty(parameter.shape, dtype=dtype, device="meta")
                setattr(module, name, torch.nn.Parameter(own, requires_grad=parameter.requires_grad))


_PROJECTORS = frozenset({"multi_modal_projector", "merger"})
"""The names of the parts that turn what a tower has seen to embeddings."""


def freeze_tower(model: Any, tower: str) -> None:
    """Freeze the tower and its projector, or the tower alone, as a job's `tower` says."""
    for name, parameter in model.named_parameters():
        parts = set(name.split("."))
        if tower != "trained" and parts & TOWERS and (tower == "frozen" or not parts & _PROJECTORS):
            parameter.requires_grad_(False)


def hidden_of(config: Any) -> int:
    """The width of the embeddings of a model's text part."""
    text = config.get_text_config(decoder=True)
    size: int = (
        getattr(text, "embedding_size", None) or text.hidden_size
    )  # ELECTRA's are narrower than its layers
    return size


def inputs_of(
    config: Any,
    batch: int,
    length: int,
    dtype: torch.dtype,
    *,
    labels: bool,
    source: int = 0,
    images: int = 0,
) -> dict[str, Any]:
    """The inputs of a forward pass; with `labels`, those of a step of training.

    `source` is the length of an encoder's tokens; `images` are the tokens that images take. Raises ValueError for images that the
    model does not read.
    """
    ids = torch.zeros((batch, length), dtype=torch.long)
    target = {"labels": ids} if labels else {}
    more = images_of(config, batch, length, images, dtype) if images or config.model_type in ALWAYS else {}
    if not getattr(config, "is_encoder_decoder", False):
        return {"input_ids": ids, "attention_mask": torch.ones_like(ids), **more, **target}
    for name in ("decoder_start_token_id", "pad_token_id"):
        if getattr(config, name, None) is None:
            setattr(config, name, 0)  # only the value is missing, which no tensor has here
    if not labels:
        target = {"decoder_input_ids": ids}
    bins = getattr(config, "num_mel_bins", 0)
    if bins:
        frames = 2 * config.max_source_positions
        return {"input_features": torch.zeros(batch, bins, frames, dtype=dtype), **target}
    read = torch.zeros((batch, source or length), dtype=torch.long)
    return {"input_ids": read, "attention_mask": torch.ones_like(read), **target}


def lengths_note(config: Any, length: int, source: int = 0) -> str:
    """What the lengths of a model with two stand for; empty for others.

    Raises ValueError if `source` is given and the model has no encoder that reads tokens.
    """
    two = getattr(config, "is_encoder_decoder", False)
    if source and (not two or getattr(config, "num_mel_bins", 0)):
        raise ValueError(
            f"source_len is for encoder-decoders that read tokens, and {config.model_type} is none"
        )
    if not two:
        return ""
    if getattr(config, "num_mel_bins", 0):
        return f"the encoder reads a whole recording, the decoder {length} tokens"
    return f"the encoder reads {source or length} tokens, the decoder {length}"
