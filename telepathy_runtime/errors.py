"""What can go wrong in a load, one class a cause.

Every message says what was asked, what was found and what to do. An error that explains an exception of transformers is
also of that exception's own class, so `except OSError:` around a rewritten call keeps catching what it caught.
"""

from __future__ import annotations

from typing import Any, TypeVar

Error = TypeVar("Error", bound="LoadError")


class LoadError(Exception):
    """A model or tokenizer could not be loaded as asked.

    `asked`, `found` and `remedy` are the three parts of the message, for programs.
    """

    def __init__(self, asked: str, found: str, remedy: str) -> None:
        self.asked, self.found, self.remedy = asked, found, remedy
        # Not super(): beside another exception's class that would be its __init__, with arguments of its own.
        Exception.__init__(self, f"{asked}: {found}; {remedy}")

    def __str__(self) -> str:
        # OSError and ImportError have a __str__ of their own, which three arguments would confuse.
        return f"{self.asked}: {self.found}; {self.remedy}"

    def __reduce__(self) -> tuple[Any, ...]:
        cls = type(self)
        cause, kinds = getattr(cls, "_cause", cls), getattr(cls, "_kinds", ())
        return _again, (cause, kinds, self.asked, self.found, self.remedy)


class MissingPackageError(LoadError, ImportError):
    """torch, transformers or accelerate is not installed, or outside the window that transformers accepts."""


class MissingAccelerateError(MissingPackageError, ValueError):
    """A device map was chosen or asked for, and accelerate is missing or too old."""


class ModelMissingError(LoadError):
    """No such repository, revision, folder or file, or one that the token cannot see."""


class GatedModelError(LoadError):
    """The repository exists and asks for its terms to be accepted, or for another token."""


class OfflineError(LoadError):
    """The hub cannot be reached, or must not be, and the files are not in the cache."""


class ReadOnlyCacheError(LoadError, OSError):
    """Files have to be downloaded and the cache folder does not accept them."""


class DiskFullError(LoadError, OSError):
    """The disk of the cache, or of the offload folder, has no room for the files."""


class CorruptCheckpointError(LoadError):
    """A weight file, index or config is damaged, cut short or missing from its set."""


class ModelClassError(LoadError):
    """The class asked for cannot hold this checkpoint."""


class WeightsError(ModelClassError, ValueError):
    """Hardly any weight of the model is in the checkpoint, or with weights="strict" not exactly its weights are."""


class ArgumentError(LoadError, TypeError):
    """An argument that neither the loader nor this version of transformers knows, or a value that it cannot take."""


class AttentionError(LoadError, ImportError, ValueError):
    """An attention implementation was asked for by name, and package, capability, dtype or class refuse it."""


class DeviceMapError(LoadError, ValueError, RuntimeError):
    """A device map was asked for that cannot be: ZeRO-3 or tensor parallelism places the weights, or no such device."""


class SpillError(LoadError, RuntimeError):
    """Weights landed on CPU or disk, and the caller asked for that to be an error."""


class DeviceMemoryError(LoadError, RuntimeError):
    """The device ran out of memory while the weights were being placed."""


class QuantizationError(LoadError, ValueError):
    """A quantisation was asked for that the checkpoint or this machine does not allow."""


class NotGenerativeError(LoadError, ValueError):
    """A generation config was asked for, and the model cannot generate."""


class LauncherError(LoadError, ValueError):
    """The launcher's environment variables contradict themselves or are not numbers."""


def of_kind(error: Error, *kinds: type[BaseException]) -> Error:
    """`error` as an instance of its own class and of `kinds` too, so that handlers of either catch it."""
    found: Error = _again(type(error), kinds, error.asked, error.found, error.remedy)
    return found


def explaining(error: Error, raised: Exception) -> Error:
    """`error` as an instance of the class of `raised` too, with what `raised` carries beside its message."""
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
            except (AttributeError, TypeError):  # a read-only property: its class computes it
                continue
    return found


def _again(cause: type[LoadError], kinds: tuple[type[BaseException], ...], *parts: str) -> Any:
    cls = _combined(cause, kinds)
    made = cls.__new__(cls)
    LoadError.__init__(made, *parts)
    return made


def _combined(cause: type[LoadError], kinds: tuple[type[BaseException], ...]) -> type[LoadError]:
    new = tuple(kind for kind in kinds if not issubclass(cause, kind))
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
            # Two built-in errors that keep their data in C, such as OSError and AttributeError, have no common heir.
            made = cause
        _HEIRS[cause, new] = made
    return made


# Made when first met: the classes that transformers and its libraries raise are theirs to name.
_HEIRS: dict[tuple[type[LoadError], tuple[type[BaseException], ...]], type[LoadError]] = {}
