"""Finds wrong and renamed model ids anywhere in a file: in defaults, tables and constants, not only in loads.

Only families whose ids are all known to the registry are checked. Without such an id, the tree is not
visited.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator
from functools import cache, cached_property

from telepathy_lint.flow.bindings import dotted, written
from telepathy_lint.flow.evaluate import Value
from telepathy_lint.flow.file import File
from telepathy_lint.hints import TYPE_CHECKING
from telepathy_lint.knowledge import transformers_names as catalog
from telepathy_lint.sites.loads import with_companions
from telepathy_lint.sites.site import Site
from telepathy_lint.source.occurs import occurs
from telepathy_lint.source.prefilter import ID_PREFIXES, ids_in

if TYPE_CHECKING:
    from telepathy_runtime.models.families import IdStatus

#: The hub's naming scheme for these families; services with the same models use other names.
_PLAIN = (
    r"meta-llama/(?:Meta-)?Llama-3(?:\.\d+)?-\d+B(?:-Instruct)?|mistralai/Mistral-7B(?:-Instruct)?-v\d\.\d"
    r"|Qwen/Qwen2\.5-[\d.]+B(?:-Instruct)?"
)
#: The rest of a literal that begins like an id of a family, and the part of it that looks like an id.
_WRITTEN = re.compile(r"[^\"'\n\\]*")
_ID = re.compile(r"[\w./-]+")
_MODEL_NAME = r"(?i)model|llm|checkpoint|ckpt|backbone|repo|hf_|hub|tokenizer|pretrained|(?:^|_)id$"
#: Client libraries of services with their own model names.
SERVICES = (
    b"openai", b"together", b"litellm", b"openrouter", b"groq", b"anthropic", b"deepinfra", b"fireworks", b"replicate", b"bedrock",
    b"inferenceclient", b"hfapi", b"base_url", b"api_key",
)  # fmt: skip
_LOADING = frozenset(
    {"from_pretrained", "snapshot_download", "hf_hub_download", "SentenceTransformer", "LLM"}
)


@cache
def status_of(model_id: str) -> IdStatus:
    """The runtime's information about an id; imported when a file first mentions one."""
    from telepathy_runtime.models.families import check_id

    return check_id(model_id)


def wrong_ids(text: str) -> list[int]:
    """Offsets in a text where a relevant id may be written; only then is the file worth parsing."""
    return [
        start
        for start in ids_in(text)
        if any(
            match is not None and status_of(match[0]).status in ("unknown", "renamed")
            for match in (_WRITTEN.match(text, start), _ID.match(text, start))
        )
    ]


def find(file: File) -> Iterator[Site]:
    """Yield sites for wrong and outdated ids outside loading calls."""
    if file.source.once(wrong_ids):
        yield from Identifiers(file).find()


class Identifiers:
    """Finds wrong and outdated ids of one file outside loading calls."""

    def __init__(self, file: File) -> None:
        self.file = file
        self.tree = file.tree
        self.loads = file.fact(with_companions)

    def find(self) -> Iterator[Site]:
        offsets = self.tree.source.once(wrong_ids)
        found = [
            (node, status)
            for node in self.tree.visit(self.tree.lines_of(offsets))
            if isinstance(node, ast.Constant)
            and isinstance(node.value, str)
            and node.value.startswith(ID_PREFIXES)
            if (status := status_of(node.value)).status in ("unknown", "renamed")
        ]
        if not found:
            return
        direct = {id(value.node) for site in self.loads if not site.indirect for value in _identity(site)}
        loaded = {id(value.node) for site in self.loads for value in self._opened(_identity(site))}
        for node, status in found:
            if id(node) in direct and self._is_argument(node):
                continue  # the load's own site is checked
            if id(node) in loaded or self._is_loaded(node):
                sure = True
            else:
                plain = status.status == "renamed" or re.fullmatch(_PLAIN, str(node.value)) is not None
                sure = plain and self._names_a_model(node) and not self._speaks_to_services
            if sure:
                yield self._site(node)

    @cached_property
    def _speaks_to_services(self) -> bool:
        text = self.tree.source.folded
        return any(name in text for name in SERVICES)

    def _site(self, node: ast.Constant) -> Site:
        context = self.tree.context_of(node)
        return Site(
            "identifier",
            self.file,
            node,
            context,
            ("",),
            {},
            False,
            str(node.value),
            indirect=True,
        )

    def _opened(self, values: Iterable[Value]) -> Iterator[Value]:
        """The alternatives of an id, including items of tables."""
        for value in values:
            if value.kind == "choice" and isinstance(value.data, Value):
                yield from self.file.dicts.items(value.data)
            yield value

    def _is_argument(self, node: ast.AST) -> bool:
        parent = self.tree.parent.get(node)
        while isinstance(parent, (ast.keyword, ast.IfExp, ast.BoolOp)):
            parent = self.tree.parent.get(parent)
        return isinstance(parent, ast.Call)

    def _is_loaded(self, node: ast.AST) -> bool:
        """Whether the literal is an argument of a hub function, of any library."""
        parent = self.tree.parent.get(node)
        if isinstance(parent, ast.keyword):
            parent = self.tree.parent.get(parent)
        if not isinstance(parent, ast.Call):
            return False
        func = parent.func
        name = func.attr if isinstance(func, ast.Attribute) else dotted(func) or ""
        return name in _LOADING

    def _names_a_model(self, node: ast.AST) -> bool:
        """Whether the literal is where a model is chosen: a variable's value, a default, an entry of a table."""
        child, parent = node, self.tree.parent.get(node)
        while parent is not None:
            if isinstance(parent, (ast.Assign, ast.AnnAssign)):
                targets = parent.targets if isinstance(parent, ast.Assign) else [parent.target]
                if child is node and not self.loads and isinstance(parent, ast.Assign):
                    return False  # without loads and tables, it may be a label or a folder
                return child is parent.value and any(
                    occurs(_MODEL_NAME, written(target)) for target in targets
                )
            if isinstance(parent, ast.Dict):
                if child in parent.values:
                    key = parent.keys[parent.values.index(child)]
                    if isinstance(key, ast.Constant) and occurs(_MODEL_NAME, str(key.value)):
                        return True
            elif isinstance(parent, ast.arguments):
                return _default_name(parent, child) is not None
            elif isinstance(parent, ast.keyword):
                call = self.tree.parent.get(parent)
                if not isinstance(call, ast.Call):
                    return False
                if _is_option(call):
                    return parent.arg in ("default", "choices")
                return parent.arg is not None and occurs(_MODEL_NAME, parent.arg)
            elif isinstance(parent, ast.Call):
                return _is_fallback(parent, child)
            elif isinstance(parent, (ast.For, ast.AsyncFor)):
                return child is parent.iter
            elif not isinstance(parent, (ast.Tuple, ast.List, ast.Set, ast.IfExp, ast.BoolOp)):
                return False
            child, parent = parent, self.tree.parent.get(parent)
        return False


def _identity(site: Site) -> tuple[Value, ...]:
    argument = site.argument("pretrained_model_name_or_path", "model")
    return argument.values if argument is not None else ()


def _is_option(call: ast.Call) -> bool:
    """Whether the call declares a command-line option that names a model."""
    if catalog.last(dotted(call.func) or "") not in ("add_argument", "option"):
        return False
    return any(isinstance(each, ast.Constant) and occurs(_MODEL_NAME, str(each.value)) for each in call.args)


def _is_fallback(call: ast.Call, node: ast.AST) -> bool:
    """Whether the call looks up a model's name and uses the literal as the default."""
    func = call.func
    name = func.attr if isinstance(func, ast.Attribute) else dotted(func)
    key = call.args[0] if len(call.args) == 2 else None
    return (
        name in ("get", "getenv", "setdefault")
        and isinstance(key, ast.Constant)
        and node is call.args[1]
        and occurs(_MODEL_NAME, str(key.value))
    )


def _default_name(arguments: ast.arguments, default: ast.AST) -> str | None:
    """The parameter with this default, if its name indicates a model."""
    positional = [*arguments.posonlyargs, *arguments.args]
    pairs = list(
        zip(positional[len(positional) - len(arguments.defaults) :], arguments.defaults, strict=True)
    )
    pairs += [
        (arg, value) for arg, value in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True) if value
    ]
    return next((arg.arg for arg, value in pairs if value is default and occurs(_MODEL_NAME, arg.arg)), None)
