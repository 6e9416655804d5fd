from __future__ import annotations

import ast
import re

from telepathy_lint.rule import Meta, Report, Rule, origin, shown
from telepathy_lint.settings import Settings
from telepathy_lint.sites import Argument, Site, Value
from telepathy_lint.source.prefilter import CACHE_VARIABLES

_ABSOLUTE = r"/(?!/)|[A-Za-z]:[\\/]|\\\\\w"
#: Folders that every machine, or every machine of a hosted platform or a container, has in the same place.
_EVERYWHERE = r"/(?:tmp|var/tmp|dev/shm|run|content|kaggle|opt/ml|databricks|dbfs|app|cache|root/\.cache|workspace|code)(?:/|$)"
#: A condition with one of these words looks at the machine before it decides.
_LOOKS = ("environ", "getenv", "exists", "is_dir", "isdir", "hostname", "platform", "uname", "node()")


class HardcodedCachePath(Rule):
    """Models are cached under a path that exists on one machine only.

    `cache_dir="/home/me/models"` or `os.environ["HF_HOME"] = "/scratch/me"` fails, or fills another disk with a second
    copy of every checkpoint, wherever the script runs next, and overrules what the user of that machine has set. The
    place belongs into the environment: `HF_HOME`, set outside. Temporary folders, the fixed folders of hosted platforms
    and containers, and paths that are chosen after a look at the machine are not reported.

    Bad:

        from transformers import AutoModelForCausalLM

        model = AutoModelForCausalLM.from_pretrained("gpt2", cache_dir="/home/me/models")

    Good:

        from transformers import AutoModelForCausalLM

        model = AutoModelForCausalLM.from_pretrained("gpt2")
    """

    meta = Meta(
        code="TLP304",
        name="hardcoded-cache-path",
        message="the cache lies under a path of one machine",
        since="0.1.0",
        kinds=("model", "tokenizer", "pipeline", "config", "processor", "generation_config", "path"),
    )

    def check(self, site: Site, settings: Settings) -> Report | None:
        for name in CACHE_VARIABLES if site.kind == "path" else ("cache_dir",):
            argument = site.argument(name)
            if argument is None or name in site.inherited or argument.optional:
                continue
            path = _path_of_one_machine(argument)
            if path is not None and not _is_guarded(site):
                return self.at(site, argument.node, f"{shown(path)}{origin(path, site)}")
        return None


def _path_of_one_machine(argument: Argument) -> Value | None:
    """The first of the values, where all of them are such paths."""
    if not all(_is_path_of_one_machine(value) for value in argument.values):
        return None
    return argument.values[0]


def _is_path_of_one_machine(value: Value) -> bool:
    text = value.data if value.kind == "const" else None
    if value.kind == "text":
        first = value.node
        while isinstance(first, ast.BinOp):
            first = first.left
        if isinstance(first, ast.JoinedStr):
            first = first.values[0] if first.values else first
        text = first.value if isinstance(first, ast.Constant) else None
    return (
        isinstance(text, str)
        and len(text) > 1
        and re.match(_ABSOLUTE, text) is not None
        and re.match(_EVERYWHERE, text) is None
    )


def _is_guarded(site: Site) -> bool:
    parents = site.context.scope.tree.parent
    node: ast.AST | None = site.call
    while node is not None:
        if isinstance(node, (ast.If, ast.IfExp)) and any(word in ast.unparse(node.test) for word in _LOOKS):
            return True
        node = parents.get(node)
    return False
