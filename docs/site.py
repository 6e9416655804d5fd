"""Hooks for mkdocs: adds the pages at the repository's root to the site.

README, CHANGELOG and others are at the repository's root, where code hosts look for them. Their links work on GitHub;
the hooks rewrite them to the pages of the site.
"""

from __future__ import annotations

import posixpath
import re
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

ROOT = Path(__file__).parents[1]
#: Files of the repository -> pages of the site.
PAGES = {
    "README.md": "index.md",
    "CONTRIBUTING.md": "contributing.md",
    "CHANGELOG.md": "changelog.md",
    "SECURITY.md": "security.md",
    "RELEASING.md": "releasing.md",
}
_LINK = re.compile(r"\[([^\]]+)\]\(([^)\s]+)\)")


def on_config(config: Any) -> Any:
    """Add all rule pages to the navigation."""
    folder = Path(config.docs_dir) / "rules"
    pages = ["rules/README.md", *sorted(f"rules/{page.name}" for page in folder.glob("tlp*.md"))]
    (reference,) = (section["Reference"] for section in config.nav if "Reference" in section)
    reference[reference.index({"Rules": "rules/"})] = {"Rules": pages}
    return config


def on_files(files: Files, config: Any) -> Files:
    for name, page in PAGES.items():
        files.append(File.generated(config, page, content=(ROOT / name).read_text(encoding="utf-8")))
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    own = page.file.src_uri
    written = {site: name for name, site in PAGES.items()}.get(own) or f"docs/{own}"

    def led(link: re.Match[str]) -> str:
        text, target = link.groups()
        path, _, anchor = target.partition("#")
        if not path or ":" in path:
            return link.group()
        file = posixpath.normpath(posixpath.join(posixpath.dirname(written), path))
        goal = PAGES.get(file) or (file.removeprefix("docs/") if file.startswith("docs/") else None)
        if goal is None:  # a file of the repository that is not a page: show its path
            return f"{text} (`{file}`)"
        relative = posixpath.relpath(goal, posixpath.dirname(own) or ".")
        return f"[{text}]({relative}{'#' + anchor if anchor else ''})"

    return _LINK.sub(led, markdown)
