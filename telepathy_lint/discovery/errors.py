"""What is raised for a configuration that cannot be used."""

from __future__ import annotations


class ConfigError(Exception):
    """The configuration is invalid; the message says where, what is wrong and what to do."""
