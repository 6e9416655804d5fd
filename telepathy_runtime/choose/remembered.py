"""A GenerationConfig that knows which of its settings the loader chose, so that what a caller says always wins.

transformers lets `max_new_tokens` of a model beat a `max_length` that is given to generate(), a pipeline or a trainer, and
writes into saved files whatever a model generates with. So the loader's length is kept beside the fields, as a default
that any stated length replaces, and save_pretrained() writes what the checkpoint shipped with what the caller set since.
"""

from __future__ import annotations

import copy
import functools
from collections.abc import Mapping
from typing import Any

from telepathy_runtime.machine.environment import need

# Read only when sampling; left behind under greedy they make save_pretrained raise.
SAMPLING = ("temperature", "top_p", "top_k", "min_p", "typical_p", "epsilon_cutoff", "eta_cutoff", "top_h")
NAME = "RequestedGenerationConfig"
_MEMORY = ("asked", "stated", "cap", "shown", "shipped")


@functools.cache
def remembering() -> Any:
    """The class, a GenerationConfig; made when transformers is there. generation.py gives it out by its name.

    - asked: the fields of a request, also those with a value that an untouched config has
    - stated: the fields that the caller gave or set
    - cap: max_new_tokens of the loader, where no length was stated
    - shown: whether max_new_tokens reads as the cap. On a model's own config it does not: a trainer pads to what it reads
      there. The copy that generate() makes of it shows the cap, and loses it when generate() is told a length.
    - shipped: of a model's config, what it was before the loader merged into it

    All are slots: in no dict, in no saved file, and copied and pickled with the rest.
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
                return  # its own memory, or an object that is still being made
            object.__setattr__(self, "stated", self.stated | {name})
            if name == "max_length" and value is not None:
                object.__setattr__(self, "cap", None)
            if name == "do_sample" and value:
                self._sample_as_shipped()

        def __deepcopy__(self, memo: dict[int, Any]) -> Any:
            alone = not memo  # not with its model: to generate with
            made = type(self).__new__(type(self))
            made.__dict__.update(copy.deepcopy(self.__dict__, memo))
            for name in _MEMORY:
                if hasattr(self, name):
                    object.__setattr__(made, name, copy.deepcopy(getattr(self, name), memo))
            if alone:
                made.shown = True
            return made

        def _sample_as_shipped(self) -> None:
            """Take back what greedy cleared: whoever samples with this model samples as its authors did."""
            for name, value in sampling(getattr(self, "shipped", None)).items():
                if name not in self.stated and hasattr(self, name):
                    object.__setattr__(self, name, value)

        def update(self, *args: Any, **kwargs: Any) -> Any:
            if not (kwargs.get("defaults_only") or (args and args[0])):
                # Said together with do_sample, before or behind it: stays as said.
                sampled = {name: kwargs[name] for name in SAMPLING if name in kwargs}
                left = super().update(*args, **kwargs)
                for name, value in sampled.items():
                    object.__setattr__(self, name, value)
                return left
            # Filling in defaults states nothing, and the loader's length is no length of the config.
            cap = getattr(self, "cap", None)
            if cap is not None and kwargs.get("max_length") == cap:
                kwargs["max_length"] = base._get_default_generation_params()["max_length"]
            stated: frozenset[str] = getattr(self, "stated", frozenset())
            left = super().update(*args, **kwargs)
            object.__setattr__(self, "stated", stated)
            object.__setattr__(self, "cap", cap)
            return left

        def _get_default_generation_params(self) -> dict[str, Any]:
            """What transformers 5 takes where neither the caller nor the model says anything."""
            defaults: dict[str, Any] = base._get_default_generation_params()
            if getattr(self, "cap", None) is not None:
                defaults["max_length"] = self.cap  # without a stated length it counts new tokens
            return defaults | sampling(getattr(self, "shipped", None))

        def save_pretrained(self, *args: Any, **kwargs: Any) -> Any:
            """Save what the checkpoint shipped, with what the caller set since; of a request all of it."""
            try:
                return self.to_save().save_pretrained(*args, **kwargs)
            except ValueError:
                # What the caller set contradicts what was shipped; merged they agree.
                return self.plain().save_pretrained(*args, **kwargs)

        def to_save(self) -> Any:
            """The config to write, an ordinary one."""
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
    """How many tokens at most `config` asks for, stated or by the loader's default."""
    own: int | None = config.max_new_tokens
    return getattr(config, "cap", None) if own is None else own


def sampling(shipped: Any) -> dict[str, Any]:
    """The sampling fields of what a checkpoint ships."""
    found = {name: getattr(shipped, name, None) for name in SAMPLING}
    return {name: value for name, value in found.items() if value is not None}


def request(fields: Mapping[str, Any], stated: frozenset[str]) -> Any:
    """A config with `fields`, of which the caller gave `stated`; a length among the others is only a default."""
    length = None if "max_new_tokens" in stated else fields.get("max_new_tokens")
    if "max_length" in stated:
        length = None
    config = remembering()(**{k: v for k, v in fields.items() if k != "max_new_tokens" or k in stated})
    config.asked, config.cap, config.shown = frozenset(fields), length, True
    config.stated = stated
    return config


def merged(fields: Mapping[str, Any], *, shipped: Any, stated: frozenset[str], cap: int | None) -> Any:
    """A model's config with `fields`, as dict of attributes, that remembers what was `shipped`."""
    cls = remembering()
    config = cls.__new__(cls)
    config.__dict__.update(fields)
    config.shipped, config.cap, config.shown = shipped, cap, False
    config.stated = stated
    return config


def forgetful(config: Any) -> bool:
    """Whether `config` has a class of its own, which a class of ours cannot stand in for."""
    return type(config) not in (need("transformers").GenerationConfig, remembering())
