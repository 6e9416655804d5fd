"""The dimensions of the part of a model that reads images: a vision tower, and the projector behind it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from math import isqrt
from typing import Any

CLIP, SIGLIP, WINDOWED = "clip", "siglip", "windowed"
"""Kinds of towers whose activations have a closed form; the last is that of Qwen2.5-VL."""

_MOST_OBLONG = 200
"""The most that an image's longer side may be of its shorter one; Qwen2.5-VL's processor refuses others."""
_TRIED = 2**20
"""How many numbers are tried as a side: all of them, for images of up to a million by a million tokens."""
_SIDE = 224
"""The side of an image in pixels, where a config leaves it out."""
_PATCH = {"clip_vision_model": 32, "siglip_vision_model": 16}
"""That of a patch."""


@dataclass(frozen=True)
class Tower:
    """A vision tower and its projector. Sizes are in pixels, widths in numbers."""

    kind: str
    layers: int
    hidden: int
    intermediate: int
    heads: int
    patch: int  # side of a patch
    channels: int
    activation: str
    attention_dropout: bool = False
    image: int = 0  # side of an image; 0: of any size
    tokens: int = 0  # that an image takes of a sequence; 0: as its size says
    # Of LLaVA: it reads the output of an earlier layer than the last.
    skipped: int = 0  # layers behind that one
    projector_bias: bool = True
    projector_activation: str = "gelu"
    # Of Qwen2.5-VL.
    frames: int = 1  # that a patch covers in time
    merge: int = 1  # sides of the patches that become one token
    window: int = 0  # side of a window of patches, in tokens
    whole: tuple[int, ...] = ()  # the layers whose attention has no windows

    @property
    def patches(self) -> int:
        """Patches of an image whose size is fixed."""
        return (self.image // self.patch) ** 2


def tower_of(config: Mapping[str, Any]) -> Tower | None:
    """The tower in the config.json of LLaVA, Qwen2.5-VL or Gemma 3; None if it is another or has other settings than known.

    What the config leaves out has the default of transformers' config class. Raises ValueError for sizes that no image can be cut into.
    """
    vision = config.get("vision_config")
    reader = _READERS.get(str(config.get("model_type")))
    if reader is None or not isinstance(vision, Mapping):
        return None
    found = reader(config, vision)
    sizes = ("layers", "hidden", "intermediate", "heads", "patch", "channels")
    if found is None or not all(_whole(getattr(found, name)) for name in sizes):
        return None
    fixed = found.kind != WINDOWED
    if fixed and not (_whole(found.image) and _whole(found.tokens)):
        return None
    return found


def images_in(tokens: int, each: int, model: str) -> int:
    """How many images of a size that is fixed, of `each` tokens, take so many tokens.

    Raises ValueError, which names the kind of `model`, for tokens that are no whole number of images.
    """
    if tokens % each:
        lower = tokens // each * each
        usable = f"{lower} or {lower + each}" if lower else f"{each}"
        raise ValueError(
            f"image_tokens (--image-tokens): an image of this {model} has {each} tokens, and {tokens} are no whole number of images; "
            f"{usable} can be used"
        )
    return tokens // each


def tokens_of(config: Mapping[str, Any]) -> int:
    """The tokens that each image of LLaVA or Gemma 3 takes of a sequence. A config with another tower than CLIP's or SigLIP's has to be complete.

    LLaVA's are those of its patches, with the class token that CLIP has, and without the first where the default way selects features. Raises
    ValueError for sizes that are no positive integers.
    """
    vision: Mapping[str, Any] = config["vision_config"]
    if config["model_type"] == "gemma3":
        return int(config.get("mm_tokens_per_image", 256))
    tower = str(vision.get("model_type", "clip_vision_model"))
    image = _divisor(vision, "image_size", _SIDE)
    patches: int = (image // _divisor(vision, "patch_size", _PATCH.get(tower, 16))) ** 2
    select = str(config.get("vision_feature_select_strategy", "default"))
    return patches + (tower == "clip_vision_model") - (select == "default")


def sides_of(tokens: int, merge: int) -> tuple[int, int]:
    """Rows and columns of patches of an image of any size that takes so many tokens, as square as it can be.

    Raises ValueError, with a number that can be used, for tokens whose sides would differ by more than a factor of 200.
    """
    high = _shorter(tokens)
    return high * merge, tokens // high * merge


@lru_cache(maxsize=256)
def _shorter(tokens: int) -> int:
    """The shorter side of such an image, in tokens."""
    root = isqrt(tokens)
    for high in range(root, max(root - _TRIED, 0), -1):
        if tokens > _MOST_OBLONG * high**2:
            break
        if tokens % high == 0:
            return high
    raise ValueError(
        f"image_tokens (--image-tokens): no image of {tokens} tokens is known whose longer side is at most {_MOST_OBLONG} times the "
        f"shorter; {root * (tokens // root)} can be used"
    )


def windows_of(tokens: int, merge: int, window: int) -> dict[int, int]:
    """The windows of such an image, each of `window` tokens by as many: how many there are of each number of patches."""
    rows, columns = sides_of(tokens, 1)
    found: dict[int, int] = {}
    for high, several in _cut(rows, window):
        for wide, more in _cut(columns, window):
            size = high * wide * merge**2
            found[size] = found.get(size, 0) + several * more
    return found


def _cut(length: int, step: int) -> list[tuple[int, int]]:
    """The pieces of a length: (size, how many)."""
    return [(size, many) for size, many in ((step, length // step), (length % step, 1)) if size and many]


def _whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value > 0


def _divisor(vision: Mapping[str, Any], name: str, default: int) -> int:
    """A size that others are divided by. Raises ValueError if it is no positive integer."""
    value = vision.get(name, default)
    if not _whole(value):
        raise ValueError(f"config.json: vision_config.{name} must be a positive integer, not {value!r}")
    return int(value)


def _fixed(vision: Mapping[str, Any], clip: bool) -> dict[str, Any]:
    """The fields of CLIP's tower, or of SigLIP's."""
    return {
        "kind": CLIP if clip else SIGLIP,
        "layers": vision.get("num_hidden_layers", 12),
        "hidden": vision.get("hidden_size", 768),
        "intermediate": vision.get("intermediate_size", 3072),
        "heads": vision.get("num_attention_heads", 12),
        "patch": vision.get("patch_size", _PATCH["clip_vision_model" if clip else "siglip_vision_model"]),
        "channels": vision.get("num_channels", 3),
        "activation": vision.get("hidden_act", "quick_gelu" if clip else "gelu_pytorch_tanh"),
        "attention_dropout": bool(vision.get("attention_dropout", 0)),
        "image": vision.get("image_size", _SIDE),
    }


def _llava(config: Mapping[str, Any], vision: Mapping[str, Any]) -> Tower | None:
    kind = vision.get("model_type", "clip_vision_model")
    layer, select = (
        config.get("vision_feature_layer", -2),
        config.get("vision_feature_select_strategy", "default"),
    )
    if kind not in ("clip_vision_model", "siglip_vision_model") or not isinstance(layer, int):
        return None
    fields = _fixed(vision, clip=kind == "clip_vision_model")
    if fields["kind"] == SIGLIP and vision.get("vision_use_head", True):
        return None
    if not (_whole(fields["image"]) and _whole(fields["patch"])):
        return None
    if fields["patch"] > fields["image"]:
        raise ValueError(
            f"config.json: vision_config.patch_size {fields['patch']} is larger than image_size {fields['image']}"
        )
    if not _whole(fields["layers"]) or select not in ("default", "full"):
        return None
    skipped = -layer - 1 if layer < 0 else fields["layers"] - layer
    if not 0 <= skipped <= fields["layers"]:
        raise ValueError(
            f"config.json: vision_feature_layer {layer} is none of the tower's {fields['layers']} layers"
        )
    if skipped == fields["layers"]:  # the embeddings themselves
        return None
    return Tower(
        **fields,
        tokens=tokens_of(config),
        skipped=skipped,
        projector_bias=bool(config.get("multimodal_projector_bias", True)),
        projector_activation=config.get("projector_hidden_act", "gelu"),
    )


def _gemma3(config: Mapping[str, Any], vision: Mapping[str, Any]) -> Tower | None:
    if vision.get("model_type", "siglip_vision_model") != "siglip_vision_model":
        return None
    if vision.get("vision_use_head", True):  # published towers have none
        return None
    return Tower(**_fixed(vision, clip=False), tokens=tokens_of(config))


def _qwen2_5_vl(config: Mapping[str, Any], vision: Mapping[str, Any]) -> Tower | None:
    patch, merge = _divisor(vision, "patch_size", 14), _divisor(vision, "spatial_merge_size", 2)
    window = _divisor(vision, "window_size", 112)
    if window < merge * patch:
        raise ValueError(
            f"config.json: vision_config.window_size must be at least spatial_merge_size times patch_size, {merge * patch}, not {window}"
        )
    return Tower(
        kind=WINDOWED,
        layers=vision.get("depth", 32),
        hidden=vision.get("hidden_size", 3584),
        intermediate=vision.get("intermediate_size", 3420),
        heads=vision.get("num_heads", 16),
        patch=patch,
        channels=vision.get("in_channels", 3),
        activation=vision.get("hidden_act", "silu"),
        frames=vision.get("temporal_patch_size", 2),
        merge=merge,
        window=window // merge // patch,
        whole=tuple(vision.get("fullatt_block_indexes", (7, 15, 23, 31))),
    )


_READERS = {"llava": _llava, "gemma3": _gemma3, "qwen2_5_vl": _qwen2_5_vl}
