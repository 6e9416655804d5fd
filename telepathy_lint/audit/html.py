"""A report as one self-contained HTML page, without network access or other files."""

from __future__ import annotations

from importlib import resources
from typing import Any

from telepathy_lint.audit.blocks import Report
from telepathy_lint.audit.data import Place
from telepathy_lint.audit.markdown import address, numeric_columns


class NoTemplatesError(ValueError):
    """jinja2 is not installed."""


def html(report: Report, base: str = "") -> str:
    """The page; its links lead to the repository's web page if it is known, else to the files, relative to `base`.

    Raises:
        NoTemplatesError: jinja2 is not installed.
    """
    try:
        import jinja2
    except ImportError as error:
        raise NoTemplatesError(
            "an HTML audit needs jinja2: `pip install 'telepathy-lint[audit]'`; markdown and json work without it"
        ) from error
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    template = environment.from_string(
        resources.files(__package__).joinpath("page.html.jinja").read_text(encoding="utf-8")
    )

    def link(place: Place) -> dict[str, Any]:
        url = report.host.address(place) if report.host is not None else address(place, base)
        return {"text": str(place), "url": url}

    def breakable(text: str) -> Any:
        """Text with line-break opportunities at slashes, underscores and lines, for long paths and ids in narrow columns."""
        markup = jinja2.utils.markupsafe.Markup
        broken = markup.escape(text)
        for sign, place in (("/", "/<wbr>"), ("_", "_<wbr>"), (":", "<wbr>:")):
            broken = markup(place).join(broken.split(sign))
        return broken

    page = template.render(
        report=report,
        link=link,
        kind=lambda block: type(block).__name__,
        breakable=breakable,
        numeric=numeric_columns,
    )
    return f"{page}\n"
