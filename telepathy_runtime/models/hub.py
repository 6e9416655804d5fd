"""Fetches only `config.json` from the hub, for `--online`. Standard library only; nothing is stored."""

from __future__ import annotations

import json
import os
import re
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

from telepathy_runtime.machine import caches
from telepathy_runtime.models.registry import UnknownModelError

_TIMEOUT = 20  # seconds
_LONGEST = 10_000_000  # bytes; a config.json has a few thousand
_ID = re.compile(r"[\w.-]+(/[\w.-]+)?")


def fetch_config(model_id: str) -> dict[str, Any]:
    """The parsed config.json of a model on the hub (`HF_ENDPOINT`), using the token from `HF_TOKEN` or a login.

    Raises UnknownModelError with what to do: offline, gated, no such model, no config.json, no connection.
    """
    if not _ID.fullmatch(model_id):
        raise UnknownModelError(f"{model_id!r} is neither a path that exists nor an id of the hub")
    variable = caches.offline()
    if variable:
        raise UnknownModelError(f"{variable} is set, so the hub is not asked for {model_id!r}; unset it")
    endpoint = os.environ.get("HF_ENDPOINT", "https://huggingface.co").rstrip("/")
    token = _token()
    address = f"{endpoint}/{model_id}/resolve/main/config.json"
    request = Request(address, headers={"User-Agent": "telepathy-runtime"})
    if token:  # not sent to a host that the hub redirects to
        request.add_unredirected_header("Authorization", f"Bearer {token}")
    try:
        with urlopen(request, timeout=_TIMEOUT) as answer:
            config = json.loads(answer.read(_LONGEST))
    except HTTPError as error:
        raise UnknownModelError(_refused(model_id, endpoint, error, bool(token))) from error
    except (URLError, OSError) as error:
        reason = getattr(error, "reason", error)
        raise UnknownModelError(
            f"{endpoint} cannot be reached: {reason}; try again without --online"
        ) from error
    except (ValueError, RecursionError) as error:
        raise UnknownModelError(f"{address} holds no JSON: {error}") from error
    if not isinstance(config, dict):
        raise UnknownModelError(f"{address} does not contain a JSON object")
    return config


def _refused(model_id: str, endpoint: str, error: HTTPError, has_token: bool) -> str:
    kind = error.headers.get("X-Error-Code", "") if error.headers else ""
    if kind == "GatedRepo" or error.code == 403:
        what = "is gated: ask for access"
        also = "" if has_token else ", then set HF_TOKEN or log in"
        return f"{model_id!r} {what} at {endpoint}/{model_id}{also}"
    if kind == "EntryNotFound":
        return f"{model_id!r} has no config.json on the hub"
    if error.code in (401, 404):
        return f"{endpoint} knows no model {model_id!r}, or it is private; check the id, or set HF_TOKEN"
    return f"{endpoint} answered {error.code} for {model_id!r}; try again later"


def _token() -> str | None:
    given = os.environ.get("HF_TOKEN", "").strip()
    if given:
        return given
    home = os.environ.get("HF_HOME") or os.path.join(os.path.expanduser("~"), ".cache", "huggingface")
    try:
        with open(os.environ.get("HF_TOKEN_PATH") or os.path.join(home, "token"), encoding="utf-8") as file:
            return file.read().strip() or None
    except OSError:
        return None
