from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from telepathy_lint.findings.finding import Finding
from telepathy_lint.rule import Meta, Rule, origin, shown
from telepathy_lint.settings import Settings
from telepathy_lint.sites import Argument, Site, Value
from telepathy_lint.sites.site import Kind
from telepathy_lint.source.prefilter import CACHE_VARIABLES

_ABSOLUTE = r"/(?!/)|[A-Za-z]:[\\/]|\\\\\w"
#: Folders that exist in the same place on every machine, or on every machine of a hosted platform or
#: container.
_EVERYWHERE = r"/(?:tmp|var/tmp|dev/shm|run|content|kaggle|opt/ml|databricks|dbfs|app|cache|root/\.cache|workspace|code)(?:/|$)"
#: All of these are reported only where nothing is known around the file.
_KINDS: tuple[Kind, ...] = (
    "model", "tokenizer", "pipeline", "config", "processor", "generation_config", "path",
)  # fmt: skip
#: Words in conditions that check the machine.
_LOOKS = ("environ", "getenv", "exists", "is_dir", "isdir", "hostname", "platform", "uname", "node()")


class HardcodedCachePath(Rule):
    """Models are cached under a machine-specific path.

    On another machine, `cache_dir="/home/me/models"` or `os.environ["HF_HOME"] = "/scratch/me"` fails, or fills another disk
    with a second copy of every checkpoint, and it overrides the settings of that machine's user. Set `HF_HOME` in the
    environment, outside the script. Temporary folders, the fixed folders of hosted platforms and containers, and paths that
    are chosen after a check of the machine are not reported. Unless strict, the rule only reports scripts that are
    alone, with no project around them, and leaves out files with other machine-specific paths.

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
        message="machine-specific cache path",
        since="0.1.0",
        kinds=_KINDS,
        only_bare=_KINDS,
    )

    def check(self, site: Site, settings: Settings) -> Iterator[Finding]:
        for name in CACHE_VARIABLES if site.kind == "path" else ("cache_dir",):
            argument = site.argument(name)
            if argument is None or name in site.inherited or argument.optional:
                continue
            path = _path_of_one_machine(argument)
            if path is not None and not _is_guarded(site):
                yield site.at(argument, f"{shown(path)}{origin(path, site)}")

    def matters(self, site: Site, settings: Settings) -> bool:
        return len(site.source.once(_paths_of_one_machine)) < 2


def _paths_of_one_machine(text: str) -> frozenset[str]:
    """The machine-specific paths in a file's strings; one that names several is bound to its machine anyway."""
    found = re.findall(r"[\"'](/\w[\w.-]*/[^\"'\r\n]*)", text)
    return frozenset(path for path in found if re.match(_EVERYWHERE, path) is None)


def _path_of_one_machine(argument: Argument) -> Value | None:
    """The first value, if all values are machine-specific paths."""
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
    node: ast.AST | None = site.node
    while node is not None:
        if isinstance(node, (ast.If, ast.IfExp)) and any(word in ast.unparse(node.test) for word in _LOOKS):
            return True
        node = parents.get(node)
    return False
