from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from telepathy_lint.facts.versions_told_apart import depends_on_release
from telepathy_lint.findings.change import Change, Repair
from telepathy_lint.findings.finding import Finding
from telepathy_lint.rule import Meta, Rule
from telepathy_lint.settings import Settings
from telepathy_lint.sites import Site

#: Variables that transformers 4 takes the place of its cache from, and 5 does not look at.
_OLD = ("TRANSFORMERS_CACHE", "PYTORCH_TRANSFORMERS_CACHE", "PYTORCH_PRETRAINED_BERT_CACHE")
#: Variables that both majors look at.
_NEW = ("HF_HUB_CACHE", "HF_HOME", "HUGGINGFACE_HUB_CACHE")


class IgnoredVariable(Rule):
    """An environment variable is set that transformers 5 does not look at.

    `TRANSFORMERS_CACHE` said where models are kept. Transformers 5 ignores it and downloads them again, to `~/.cache/huggingface`:
    the disk that the variable avoided fills up, and jobs without network fail. `HF_HUB_CACHE` names the same folder in
    4 and 5.

    The rule is on by default where the project's requirements allow transformers 5. A file that sets `HF_HUB_CACHE` or `HF_HOME`
    as well is not reported.
    Unless strict, what is in a file of older libraries is left out, as by TLP107.

    Bad:

        import os

        os.environ["TRANSFORMERS_CACHE"] = "models"

    Good:

        import os

        os.environ["HF_HUB_CACHE"] = "models"

    Fix safety: `HF_HUB_CACHE` is the folder of every library that downloads from the Hub, so the fix is unsafe.
    """

    meta = Meta(
        code="TLP408",
        name="ignored-variable",
        message="ignored variable",
        since="0.1.0",
        kinds=("path",),
        fix="unsafe",
        five=("admits", "needs"),
    )

    def check(self, site: Site, settings: Settings) -> Iterator[Finding]:
        if any(f'"{name}"' in site.source.text or f"'{name}'" in site.source.text for name in _NEW):
            return
        for name in _OLD:
            argument = site.arguments.get(name)
            if argument is None or depends_on_release(site):
                continue
            detail = f"transformers 5 does not look at {name}, and downloads models to its default folder: set HF_HUB_CACHE"
            key = _key(site)
            yield site.at(key if key is not None else argument, detail, fix=self.repair(site, key, name))

    def repair(self, site: Site, key: ast.expr | None, name: str) -> Repair | None:
        if not isinstance(key, ast.Constant):
            return None
        if re.search(
            rf"(?:environ(?:\.get)?[\[(]|getenv\()\s*[\"']{name}[\"'](?!\]\s*=[^=])", site.source.text
        ):
            return None  # the file reads it as well
        start, end = site.range_of(key)
        if site.source.text[start + 1 : end - 1] != name:
            return None
        return Repair("unsafe", "set HF_HUB_CACHE", Change(texts=((start + 1, end - 1, "HF_HUB_CACHE"),)))


def _key(site: Site) -> ast.expr | None:
    """The variable's name in `os.environ[NAME] = ...`."""
    target = site.node.targets[0] if isinstance(site.node, ast.Assign) else None
    return target.slice if isinstance(target, ast.Subscript) else None
