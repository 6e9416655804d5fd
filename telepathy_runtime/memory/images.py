"""The images that a model with vision reads in a traced step, and how its code runs where no tensor has values."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import Any

import torch

from telepathy_runtime.models.architectures import VISION
from telepathy_runtime.models.towers import images_in, sides_of, tokens_of

ALWAYS = ("git",)
"""Model types that read an image beside each sequence, whose tokens are none of the sequence's."""


def images_of(config: Any, batch: int, length: int, tokens: int, dtype: torch.dtype) -> dict[str, Any]:
    """The inputs beside the text: images of `tokens` tokens in each of `batch` sequences of `length` tokens.

    Raises ValueError for a model whose images are not known here, and for tokens that are no whole number of its images.
    """
    kind = config.model_type
    vision: Any = getattr(config, "vision_config", None)
    if kind in ALWAYS and not tokens:
        return {"pixel_values": torch.zeros(batch, 3, vision.image_size, vision.image_size, dtype=dtype)}
    if kind not in VISION:
        raise ValueError(f"the images of {kind} are not known; known: {', '.join(VISION)}")
    if kind == "qwen2_5_vl":
        # One image a sequence, as square as it can be; the tower joins several patches of it to each token.
        rows, columns = sides_of(tokens, vision.spatial_merge_size)
        numbers = vision.in_channels * vision.temporal_patch_size * vision.patch_size**2
        return {
            "pixel_values": torch.zeros(batch * rows * columns, numbers, dtype=dtype),
            # Sizes, whose values the model reads.
            "image_grid_thw": torch.tensor([[1, rows, columns]] * batch, device="cpu"),
            "position_ids": torch.zeros(3, batch, length, dtype=torch.long),
        }
    shape = (
        batch * images_in(tokens, tokens_of(config.to_dict()), kind),
        3,
        vision.image_size,
        vision.image_size,
    )
    # Gemma 3 masks text and images in another way.
    kinds = {"token_type_ids": torch.zeros(batch, length, dtype=torch.long)} if kind == "gemma3" else {}
    return {"pixel_values": torch.zeros(shape, dtype=dtype), **kinds}


_SIZES = ("get_vision_window_index", "get_vision_position_ids")
"""What Qwen2.5-VL computes from the sizes of its images: an index for each patch, and more."""


@contextmanager
def without_values(kind: str) -> Iterator[None]:
    """Let a model of type `kind` run whose code reads values: that of image tokens is not compared with that of features.

    A tower that needs the sizes of its images computes with these.
    """
    places: list[tuple[Any, str, Any]] = []
    shipped = getattr(torch, "_check_tensor_all_with", None)

    def check(kind: Any, condition: torch.Tensor, message: Any = None) -> None:
        if condition.device.type != "meta" and shipped is not None:
            shipped(kind, condition, message)

    if shipped is not None:
        places.append((torch, "_check_tensor_all_with", check))
    if kind in ("xlm", "flaubert"):  # the longest sequence, which they compare with the batch's length
        item = torch.Tensor.item
        places.append((torch.Tensor, "item", lambda each: 0 if each.device.type == "meta" else item(each)))
    if kind == "qwen2_5_vl":
        modeling = import_module("transformers.models.qwen2_5_vl.modeling_qwen2_5_vl")
        places += [
            (modeling, name, _real(getattr(modeling, name))) for name in _SIZES if hasattr(modeling, name)
        ]
    before = [(module, name, getattr(module, name)) for module, name, _ in places]
    for place in places:
        setattr(*place)
    try:
        yield
    finally:
        for place in before:
            setattr(*place)


def _real(compute: Callable[..., Any]) -> Callable[..., Any]:
    """The same function, run on the CPU, where sizes have values; what it returns first has none."""

    def run(*args: Any, **kwargs: Any) -> Any:
        with torch.device("cpu"):
            found = compute(*args, **kwargs)
        return (found[0].to("meta"), *found[1:]) if isinstance(found, tuple) else found.to("meta")

    return run
