"""JupyterLab finds the language server through this: an entry point of `jupyter-lsp`, which is not imported here."""

from __future__ import annotations

import sys
from importlib.util import find_spec
from typing import Any

# The server starts in the folder of the notebooks, whose modules may have the name of one that the server imports.
_SAFE_PATH = ["-P"] if sys.version_info >= (3, 11) else []


class ServerSpec:
    """What `jupyter-lsp` asks an entry point: whether the server can run, and how it is started."""

    def is_installed(self, manager: Any) -> bool:
        """Whether the `server` extra is there."""
        del manager
        return all(find_spec(name) is not None for name in ("pygls", "lsprotocol"))

    def __call__(self, manager: Any) -> dict[str, dict[str, Any]]:
        """The server's description, version 2 of the schema of `jupyter-lsp`, under its name."""
        del manager
        return {
            "telepathy-lint": {
                "version": 2,
                "display_name": "telepathy-lint",
                "argv": [sys.executable, *_SAFE_PATH, "-m", "telepathy_lint", "server"],
                "languages": ["python"],
                "mime_types": ["text/x-python", "text/python", "text/x-ipython"],
                "install": {"pip": 'pip install "telepathy-lint[server]"'},
                "config_schema": {
                    "title": "telepathy-lint",
                    "type": "object",
                    "properties": {f"telepathy-lint.{name}": value for name, value in _SETTINGS.items()},
                },
            }
        }


_CODES = {"type": "array", "items": {"type": "string"}}
_SETTINGS: dict[str, dict[str, Any]] = {
    "enable": {"type": "boolean", "default": True, "description": "Report findings and offer fixes."},
    "unsafeFixes": {
        "type": "boolean",
        "default": False,
        "description": "Let fix-all apply unsafe fixes too. They can change numbers or generated text.",
    },
    "configuration": {"type": "string", "description": "Configuration file to use instead of the nearest."},
    "select": {**_CODES, "description": "Codes or prefixes of the rules to run."},
    "ignore": {**_CODES, "description": "Codes or prefixes of the rules to leave out."},
    "extendSelect": {**_CODES, "description": "Codes or prefixes of rules to run in addition."},
    "strict": {
        "type": "boolean",
        "description": "Report findings also where the file shows that they do not matter.",
    },
    "fixStyle": {
        "type": "string",
        "enum": ["loader", "inline"],
        "description": "What fixes rewrite a load to.",
    },
    "targetTransformers": {"type": "string", "description": "The transformers release the code runs on."},
    "run": {
        "type": "string",
        "enum": ["onType", "onSave"],
        "default": "onType",
        "description": "When the findings are updated.",
    },
}

spec = ServerSpec()
