"""The errors of a load: one class for each cause.

Each message says what was requested, what was found and what to do. An error that explains an exception of
transformers also has that exception's class, so `except OSError:` around a rewritten call still catches it.
"""

from __future__ import annotations

from typing import Any, TypeVar

Error = TypeVar("Error", bound="LoadError")


class LoadError(Exception):
    """A model or tokenizer could not be loaded as requested.

    `asked`, `found` and `remedy` are the three parts of the message, for programs.
    """

    def __init__(self, asked: str, found: str, remedy: str) -> None:
        self.asked, self.found, self.remedy = asked, found, remedy
        # super() would call the __init__ of the other exception's class, which takes other arguments.
        Exception.__init__(self, f"{asked}: {found}; {remedy}")

    def __str__(self) -> str:
        # The __str__ of OSError and ImportError would misread three arguments.
        return f"{self.asked}: {self.found}; {self.remedy}"

    def __reduce__(self) -> tuple[Any, ...]:
        cls = type(self)
        cause, kinds = getattr(cls, "_cause", cls), getattr(cls, "_kinds", ())
        return _again, (cause, kinds, self.asked, self.found, self.remedy)


class MissingPackageError(LoadError, ImportError):
    """torch, transformers or accelerate is not installed, or transformers does not support its version."""


class MissingAccelerateError(MissingPackageError, ValueError):
    """A device map was chosen or requested, but accelerate is missing or too old."""


class ModelMissingError(LoadError):
    """The repository, revision, folder or file does not exist, or the token has no access to it."""


class GatedModelError(LoadError):
    """The repository exists, but its terms must be accepted first, or another token is needed."""


class OfflineError(LoadError):
    """The files are not in the cache, and the hub cannot be reached or must not be used."""


class ReadOnlyCacheError(LoadError, OSError):
    """Files have to be downloaded, but the cache folder is not writable."""


class DiskFullError(LoadError, OSError):
    """The disk of the cache or of the offload folder is full."""


class CorruptCheckpointError(LoadError):
    """A weight file, index or config is damaged, truncated or missing."""


class ModelClassError(LoadError):
    """The requested class cannot hold this checkpoint."""


class WeightsError(ModelClassError, ValueError):
    """The checkpoint has almost none of the model's weights; with weights="strict", any difference."""


class ArgumentError(LoadError, TypeError):
    """An argument is unknown to the loader and to this version of transformers, or has an invalid value."""


class AttentionError(LoadError, ImportError, ValueError):
    """An attention implementation was requested by name, but the package, GPU, dtype or class does not support it."""


class DeviceMapError(LoadError, ValueError, RuntimeError):
    """A device map was requested, but ZeRO-3 or tensor parallelism places the weights, or the device does not exist."""


class SpillError(LoadError, RuntimeError):
    """Weights were placed on the CPU or disk, and the caller asked for an error in that case."""


class DeviceMemoryError(LoadError, RuntimeError):
    """The device ran out of memory while the weights were being placed."""


class QuantizationError(LoadError, ValueError):
    """The checkpoint or this machine does not support the requested quantisation."""


class NotGenerativeError(LoadError, ValueError):
    """A generation config was requested, but the model cannot generate."""


class LauncherError(LoadError, ValueError):
    """The launcher's environment variables contradict themselves or are not numbers."""


def of_kind(error: Error, *kinds: type[BaseException]) -> Error:
    """Return `error` as an instance of its own class and of `kinds`, so that handlers of either catch it."""
    found: Error = _again(type(error), kinds, error.asked, error.found, error.remedy)
    return found


def explaining(error: Error, raised: Exception) -> Error:
    """Return `error` as an instance of the class of `raised` too, with the attributes of `raised`."""
    found = of_kind(error, type(raised))
    carried = {name: value for name, value in vars(raised).items() if name not in vars(found)}
    for name in (
        "errno",
        "strerror",
        "filename",
        "filename2",
        "name",
        "path",
    ):  # slots of OSError, ImportError
        carried.setdefault(name, getattr(raised, name, None))
    for name, value in carried.items():
        if value is not None and getattr(found, name, None) is None:
            try:
                setattr(found, name, value)
            except (AttributeError, TypeError):  # a read-only property, computed by its class
                continue
    return found


def _again(cause: type[LoadError], kinds: tuple[type[BaseException], ...], *parts: str) -> Any:
    cls = _combined(cause, kinds)
    # The first base may be a class whose __new__ refuses the larger objects of OSError.
    made: Any = OSError.__new__(cls) if issubclass(cls, OSError) else cls.__new__(cls)
    LoadError.__init__(made, *parts)
    return made


def _combined(cause: type[LoadError], kinds: tuple[type[BaseException], ...]) -> type[LoadError]:
    # Of a combined class, the class and the kinds that it was made of: only these can be pickled.
    cause, kinds = getattr(cause, "_cause", cause), (*getattr(cause, "_kinds", ()), *kinds)
    new = tuple(kind for kind in dict.fromkeys(kinds) if not issubclass(cause, kind))
    made = _HEIRS.get((cause, new))
    if made is None:
        try:
            content = {
                "__module__": cause.__module__,
                "__doc__": cause.__doc__,
                "_cause": cause,
                "_kinds": new,
            }
            made = type(cause.__name__, (cause, *new), content) if new else cause
        except TypeError:
            # Two built-in errors with different memory layouts, such as OSError and AttributeError, have no
            # common subclass.
            made = cause
        _HEIRS[cause, new] = made
    return made


# Combined classes, created on first use: transformers and its libraries decide which classes they raise.
_HEIRS: dict[tuple[type[LoadError], tuple[type[BaseException], ...]], type[LoadError]] = {}
