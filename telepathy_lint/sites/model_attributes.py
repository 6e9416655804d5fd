"""Reads of attributes that models, configs, caches and processors no longer have, and settings of generation in a model's config."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterator

from telepathy_lint.flow.bindings import dotted
from telepathy_lint.flow.file import File
from telepathy_lint.flow.tree import Context
from telepathy_lint.knowledge.model_attributes import (
    CONFIG_ATTRIBUTES,
    FEATURES,
    GENERATION_KEYS,
    METHODS,
    MODEL_ATTRIBUTES,
    STILL_FIELDS,
    has_towers,
)
from telepathy_lint.knowledge.transformers_names import last
from telepathy_lint.sites.loads import loads_of
from telepathy_lint.sites.site import Kind, Site

_NAMED_SO = r"(?:\w*_)?model(?:_\w+)?"


def find(file: File) -> Iterator[Site]:
    """A site for each attribute; the one of `classes` is `transformers.` and what lacks it: model, config or method."""
    tree = file.tree
    if "transformers" not in tree.text and file.settings.loader.module not in tree.text:
        return
    names = (*MODEL_ATTRIBUTES, *METHODS, *CONFIG_ATTRIBUTES, *GENERATION_KEYS)
    for node in tree.visit(tree.lines_of(file.words.find(*names))):
        if not isinstance(node, ast.Attribute) or node.attr not in names:
            continue
        context = tree.context_of(node)
        if isinstance(node.ctx, ast.Store):
            if node.attr in GENERATION_KEYS and _is_set(file, node, context):
                yield _site("config_write", file, node, "config")
        elif isinstance(node.ctx, ast.Load):
            if node.attr in METHODS:
                if isinstance(tree.parent.get(node), ast.Call) and _is_method(file, node, context):
                    yield _site("model_read", file, node, "method")
            elif node.attr in MODEL_ATTRIBUTES and _model_lacks(file, node, context):
                yield _site("model_read", file, node, "model")
            elif node.attr not in MODEL_ATTRIBUTES and _is_config_read(file, node, context):
                yield _site("model_read", file, node, "config")
    for call, func in file.uses.method_calls(*FEATURES):
        loads = loads_of(file, func.value, tree.context_of(call), "model")
        if loads and all(_is(has_towers, symbol) for load in loads for symbol in load.loaded):
            yield _site("model_read", file, call, "features")
    for node in tree.visit(tree.lines_of(file.words.find("past_key_values"))):
        if isinstance(node, ast.Subscript) and isinstance(node.ctx, ast.Load) and _is_cache(file, node):
            yield _site("model_read", file, node, "cache")


def _is_method(file: File, node: ast.Attribute, context: Context) -> bool:
    """Whether a method with an unusual name is that of a cache or processor of transformers."""
    if file.uses.methods(node.attr):
        return False
    if node.attr == "from_legacy_cache":
        values = file.values.evaluate(node.value, context)
        if values and all(
            value.kind == "symbol" and str(value.data).startswith("transformers.") for value in values
        ):
            return True
        makers = file.objects.makers(node.value, context)
        return bool(makers) and all(
            isinstance(maker, ast.Call)
            and last(dotted(maker.func) or "") in ("DynamicCache", "EncoderDecoderCache")
            for maker in makers
        )
    named_so = (
        re.search(r"(?i)cache|past|kv|key_values|processor", last(dotted(node.value) or "")) is not None
    )
    return named_so and not _is_defined_elsewhere(file, node.attr)


def _is_defined_elsewhere(file: File, name: str) -> bool:
    """Whether a class of the project has a method with this name."""
    return file.modules is not None and file.modules.mentions(file.source.path, f"def {name}(".encode())


def _model_lacks(file: File, node: ast.Attribute, context: Context) -> bool:
    """Whether a model that is surely loaded in the file is of classes that lack an attribute."""
    gone = MODEL_ATTRIBUTES[node.attr]
    found = loads_of(file, node.value, context, "model")
    if not gone.classes:
        return bool(found) and all(
            symbol.startswith("transformers.") for site in found for symbol in site.loaded
        )
    return bool(found) and all(
        _is(gone.classes.__contains__, symbol) for site in found for symbol in site.loaded
    )


def _is(among: Callable[[str], bool], symbol: str) -> bool:
    """Whether a class is one of transformers; a project's own one of the same name may have what that one lost."""
    return symbol.startswith("transformers.") and among(last(symbol))


def _is_set(file: File, node: ast.Attribute, context: Context) -> bool:
    """Whether something decides, in the config of a model, how it generates."""
    above = file.tree.parent.get(node)
    if not isinstance(above, ast.Assign) or (
        isinstance(above.value, ast.Constant) and above.value.value is None
    ):
        return False
    if not isinstance(node.value, ast.Attribute) or node.value.attr != "config":
        return False
    if _still_has(file, node.attr):
        return False
    holder = node.value.value
    if loads_of(file, holder, context, "model"):
        return True
    if not re.fullmatch(_NAMED_SO, last(dotted(holder) or "")) or re.search(
        r"\.(?:encoder|decoder)\b", ast.unparse(holder)
    ):
        return False
    makers = [maker for maker in file.objects.makers(holder, context) if isinstance(maker, ast.Call)]
    if makers:
        return all(_is_of_transformers(file, maker) for maker in makers)
    return any(
        symbol.startswith("transformers.") and re.search(r"Model|ForC|ForS|LMHead|Seq2SeqTrainer", symbol)
        for _, symbol in file.uses.imports()
    )


def _is_of_transformers(file: File, call: ast.Call) -> bool:
    """Whether a call makes a model of transformers: `GPT2LMHeadModel(config)`, `VisionEncoderDecoderModel.from_...(...)`."""
    func = call.func
    cls = func.value if isinstance(func, ast.Attribute) and func.attr.startswith("from_") else func
    values = file.values.evaluate(cls, file.tree.context_of(call))
    return bool(values) and all(
        value.kind == "symbol"
        and re.fullmatch(r"transformers\..*(?:Model|LM|Generation)(?:\w*)", str(value.data)) is not None
        for value in values
    )


def _still_has(file: File, name: str) -> bool:
    return any(word in file.tree.text for word in STILL_FIELDS.get(name, ()))


def _is_config_read(file: File, node: ast.Attribute, context: Context) -> bool:
    """Whether what is read is the config of a model that is surely loaded in the file, without code of its own."""
    config = node.value
    if isinstance(config, ast.Attribute) and config.attr == "config":
        found = loads_of(file, config.value, context, "model")
    elif isinstance(config, ast.Name):
        found = loads_of(file, config, context, "config")
    else:
        return False
    if (
        not found
        or _still_has(file, node.attr)
        or any("trust_remote_code" in site.arguments for site in found)
    ):
        return False
    # What the file writes there itself, it may read.
    return not re.search(rf"\.{node.attr}[ \t]*=[^=]|[(,\s]{node.attr}[ \t]*=[^=]", file.tree.text)


def _is_cache(file: File, node: ast.Subscript) -> bool:
    """Whether a subscript reads from the cache that a loaded model gives."""
    given = node.value
    if not isinstance(given, ast.Attribute) or given.attr != "past_key_values":
        return False
    made: ast.expr | None = given.value
    context = file.tree.context_of(node)
    if isinstance(made, ast.Name):
        bound = context.scope.bindings.get(made.id, ())
        if not bound or any(each.path or not isinstance(each.value, ast.Call) for each in bound):
            return False
        calls = [each.value for each in bound]
    else:
        calls = [made]
    for call in calls:
        if not isinstance(call, ast.Call):
            return False
        func = call.func
        model = (
            func.value if isinstance(func, ast.Attribute) and func.attr in ("generate", "forward") else func
        )
        if not loads_of(file, model, file.tree.context_of(call), "model"):
            return False
    return True


def _site(kind: Kind, file: File, node: ast.expr, what: str) -> Site:
    context = file.tree.context_of(node)
    return Site(kind, file, node, context, (f"transformers.{what}",), {}, opaque=False, model_id=None)
