"""A report as one HTML page that needs nothing else: no network, no files beside it."""

from __future__ import annotations

from importlib import resources
from typing import Any

from telepathy_lint.audit.blocks import Report
from telepathy_lint.audit.data import Place
from telepathy_lint.audit.markdown import address


class NoTemplatesError(ValueError):
    """jinja2 is not installed."""


def html(report: Report, base: str = "") -> str:
    """The page; `base` leads from where it is read to the audited folder.

    Raises:
        NoTemplatesError: jinja2 is not installed.
    """
    try:
        import jinja2
    except ImportError as error:
        raise NoTemplatesError(
            "an HTML audit needs jinja2: `pip install 'telepathy-lint[audit]'`; markdown and json need nothing"
        ) from error
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    template = environment.from_string(
        resources.files(__package__).joinpath("page.html.jinja").read_text(encoding="utf-8")
    )

    def link(place: Place) -> dict[str, Any]:
        return {"text": str(place), "url": address(place, base)}

    return f"{template.render(report=report, link=link, kind=lambda block: type(block).__name__)}\n"
