"""A GenerationConfig that records which settings the loader chose, so that the caller's settings take precedence.

In transformers, `max_new_tokens` of a model overrides a `max_length` given to generate(), a pipeline or a
trainer, and save_pretrained() writes every setting of the model. So this class keeps the loader's length
outside the fields, as a default that any other length replaces, and save_pretrained() writes the shipped
settings with the caller's changes.
"""

from __future__ import annotations

import copy
import functools
from collections.abc import Mapping
from typing import Any

from telepathy_runtime.machine.environment import need

# Only used for sampling; save_pretrained raises if a greedy config has them.
SAMPLING = ("temperature", "top_p", "top_k", "min_p", "typical_p", "epsilon_cutoff", "eta_cutoff", "top_h")
NAME = "RequestedGenerationConfig"
_MEMORY = ("asked", "stated", "cap", "shown", "shipped")


@functools.cache
def remembering() -> Any:
    """Return the class, a subclass of GenerationConfig, creating it on first use. generation.py exports it.

    - asked: the fields of a request, including those equal to the defaults
    - stated: the fields that the caller gave or set
    - cap: the loader's max_new_tokens, used if no length is set
    - shown: whether max_new_tokens returns the cap. Not on a model's own config, because a trainer pads to
      it. The copy that generate() makes of the config returns the cap, until a length is passed to
      generate().
    - shipped: for a model's config, the config before the loader changed it

    All are slots, so they are not in `__dict__` and not in saved files, but are copied and pickled.
    """
    base = need("transformers").GenerationConfig

    class RequestedGenerationConfig(base):  # type: ignore[misc,valid-type]
        __slots__ = _MEMORY
        __module__ = "telepathy_runtime.choose.generation"
        __qualname__ = NAME

        @property
        def max_new_tokens(self) -> Any:
            own = self.__dict__.get("max_new_tokens")
            return getattr(self, "cap", None) if own is None and getattr(self, "shown", False) else own

        @max_new_tokens.setter
        def max_new_tokens(self, value: Any) -> None:
            self.__dict__["max_new_tokens"] = value
            object.__setattr__(self, "cap", None)

        def __setattr__(self, name: str, value: Any) -> None:
            object.__setattr__(self, name, value)
            if name in _MEMORY or name.startswith("_") or not hasattr(self, "stated"):
                return  # an attribute of this class, or an object under construction
            object.__setattr__(self, "stated", self.stated | {name})
            if name == "max_length" and value is not None:
                object.__setattr__(self, "cap", None)
            if name == "do_sample" and value:
                self._sample_as_shipped()

        def __deepcopy__(self, memo: dict[int, Any]) -> Any:
            alone = not memo  # copied without its model: a copy to generate with
            made = type(self).__new__(type(self))
            made.__dict__.update(copy.deepcopy(self.__dict__, memo))
            for name in _MEMORY:
                if hasattr(self, name):
                    object.__setattr__(made, name, copy.deepcopy(getattr(self, name), memo))
            if alone:
                made.shown = True
            return made

        def _sample_as_shipped(self) -> None:
            """Restore the sampling fields that a greedy request cleared, to sample with the checkpoint's settings."""
            for name, value in sampling(getattr(self, "shipped", None)).items():
                if name not in self.stated and hasattr(self, name):
                    object.__setattr__(self, name, value)

        def update(self, *args: Any, **kwargs: Any) -> Any:
            if not (kwargs.get("defaults_only") or (args and args[0])):
                # Keep the values that were passed together with do_sample, in any order.
                sampled = {name: kwargs[name] for name in SAMPLING if name in kwargs}
                left = super().update(*args, **kwargs)
                for name, value in sampled.items():
                    object.__setattr__(self, name, value)
                return left
            # Filled-in defaults do not count as the caller's, and the loader's length is not a field.
            cap = getattr(self, "cap", None)
            if cap is not None and kwargs.get("max_length") == cap:
                kwargs["max_length"] = base._get_default_generation_params()["max_length"]
            stated: frozenset[str] = getattr(self, "stated", frozenset())
            left = super().update(*args, **kwargs)
            object.__setattr__(self, "stated", stated)
            object.__setattr__(self, "cap", cap)
            return left

        def _get_default_generation_params(self) -> dict[str, Any]:
            """The defaults of transformers 5, where neither the caller nor the model sets a value."""
            defaults: dict[str, Any] = base._get_default_generation_params()
            if getattr(self, "cap", None) is not None:
                defaults["max_length"] = self.cap  # here it counts new tokens
            return defaults | sampling(getattr(self, "shipped", None))

        def save_pretrained(self, *args: Any, **kwargs: Any) -> Any:
            """Save the shipped settings with the caller's changes; for a request, all of its settings."""
            try:
                return self.to_save().save_pretrained(*args, **kwargs)
            except ValueError:
                # The caller's changes contradict the shipped settings; the merged settings are consistent.
                return self.plain().save_pretrained(*args, **kwargs)

        def to_save(self) -> Any:
            """The config to write, as an ordinary GenerationConfig."""
            shipped = getattr(self, "shipped", None)
            if shipped is None:
                return self.plain()
            saved = copy.deepcopy(shipped)
            for name in self.stated:
                if hasattr(self, name):
                    setattr(saved, name, copy.deepcopy(getattr(self, name)))
            return saved

        def plain(self) -> Any:
            """The same settings as an ordinary GenerationConfig."""
            made = base.__new__(base)
            made.__dict__.update(copy.deepcopy(self.__dict__))
            if getattr(self, "shipped", None) is None:
                made.max_new_tokens = new_tokens(self)
            return made

    return RequestedGenerationConfig


def new_tokens(config: Any) -> int | None:
    """The maximum number of new tokens: set in `config`, or the loader's default."""
    own: int | None = config.max_new_tokens
    return getattr(config, "cap", None) if own is None else own


def sampling(shipped: Any) -> dict[str, Any]:
    """The sampling fields that a checkpoint ships."""
    found = {name: getattr(shipped, name, None) for name in SAMPLING}
    return {name: value for name, value in found.items() if value is not None}


def request(fields: Mapping[str, Any], stated: frozenset[str]) -> Any:
    """Return a config with `fields`; the caller gave those in `stated`. A length not in `stated` is only a default."""
    length = None if "max_new_tokens" in stated else fields.get("max_new_tokens")
    if "max_length" in stated:
        length = None
    config = remembering()(**{k: v for k, v in fields.items() if k != "max_new_tokens" or k in stated})
    config.asked, config.cap, config.shown = frozenset(fields), length, True
    config.stated = stated
    return config


def merged(fields: Mapping[str, Any], *, shipped: Any, stated: frozenset[str], cap: int | None) -> Any:
    """Return a model's config with the attributes `fields`; it records `shipped`."""
    cls = remembering()
    config = cls.__new__(cls)
    config.__dict__.update(fields)
    config.shipped, config.cap, config.shown = shipped, cap, False
    config.stated = stated
    return config


def forgetful(config: Any) -> bool:
    """Whether `config` is of another class than transformers' GenerationConfig or ours; it cannot be replaced then."""
    return type(config) not in (need("transformers").GenerationConfig, remembering())
