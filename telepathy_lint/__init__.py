"""Static checks and rewrites for code that loads Hugging Face models."""

from telepathy_lint._version import __version__

__all__ = ["__version__"]
