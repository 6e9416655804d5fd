"""What can go wrong in a load, one class a cause.

Every message says what was asked, what was found and what to do. A class also derives from the built-in error that
transformers raises for the same cause, so `except OSError:` around a rewritten call keeps catching what it caught.
"""

from __future__ import annotations


class LoadError(Exception):
    """A model or tokenizer could not be loaded as asked.

    `asked`, `found` and `remedy` are the three parts of the message, for programs.
    """

    def __init__(self, asked: str, found: str, remedy: str) -> None:
        self.asked, self.found, self.remedy = asked, found, remedy
        super().__init__(f"{asked}: {found}; {remedy}")

    def __str__(self) -> str:
        # OSError and ImportError have a __str__ of their own, which three arguments would confuse.
        return f"{self.asked}: {self.found}; {self.remedy}"

    def __reduce__(self) -> tuple[type[LoadError], tuple[str, str, str]]:
        return type(self), (self.asked, self.found, self.remedy)


class MissingPackageError(LoadError, ImportError):
    """torch, transformers or accelerate is not installed, or outside the window that transformers accepts."""


class MissingAccelerateError(MissingPackageError, ValueError):
    """A device map was chosen or asked for, and accelerate is missing or too old."""


class ModelMissingError(LoadError, OSError, ValueError):
    """No such repository, revision, folder or file, or one that the token cannot see."""


class GatedModelError(LoadError, OSError):
    """The repository exists and asks for its terms to be accepted, or for another token."""


class OfflineError(LoadError, OSError):
    """The hub cannot be reached, or must not be, and the files are not in the cache."""


class ReadOnlyCacheError(LoadError, OSError):
    """Files have to be downloaded and the cache folder does not accept them."""


class DiskFullError(LoadError, OSError):
    """The disk of the cache, or of the offload folder, has no room for the files."""


class CorruptCheckpointError(LoadError, OSError, ValueError):
    """A weight file, index or config is damaged, cut short or missing from its set."""


class ModelClassError(LoadError, ValueError):
    """The class asked for cannot hold this checkpoint."""


class ArgumentError(LoadError, TypeError):
    """A keyword that neither the loader nor this version of transformers knows."""


class AttentionError(LoadError, ImportError, ValueError):
    """An attention implementation was asked for by name, and package, capability, dtype or class refuse it."""


class DeviceMapError(LoadError, ValueError, RuntimeError):
    """A device map was asked for that cannot be: ZeRO-3 or tensor parallelism places the weights, or no such device."""


class SpillError(LoadError, RuntimeError):
    """Weights landed on CPU or disk, and the caller asked for that to be an error."""


class DeviceMemoryError(LoadError, RuntimeError):
    """The device ran out of memory while the weights were being placed."""


class NotGenerativeError(LoadError, ValueError):
    """A generation config was asked for, and the model cannot generate."""


class LauncherError(LoadError, ValueError):
    """The launcher's environment variables contradict themselves or are not numbers."""
