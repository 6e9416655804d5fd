"""The two fix styles: change a call according to the findings of the rules that share a setting.

`loader` calls the loader instead, which chooses the reported settings. `inline` keeps the call and adds the
missing arguments. In both styles, settings that were not reported do not change: the loader's call passes
None for them, the inline style does not touch them.
"""

from __future__ import annotations

import ast

from telepathy_lint.findings.change import TARGET, Change, Name, slot
from telepathy_lint.settings import Settings
from telepathy_lint.sites import Site

#: Setting of the loader -> the argument names with which a script may set it.
SPELLINGS = {
    "dtype": ("dtype", "torch_dtype"),
    "device_map": ("device_map",),
    "attn_implementation": ("attn_implementation", "_attn_implementation"),
    "generation_config": ("generation_config",),
}
#: Parameters of the loader that have another meaning for `from_pretrained`: attributes of a config, arguments
#: of a class.
OF_THE_LOADER = frozenset(
    {
        "model_id",
        "model_class",
        "tokenizer_class",
        "report",
        "offload",
        "explain",
        "weights",
        "purpose",
        "quantization",
        "adapter",
        "adapter_revision",
        "merge_adapter",
    }
)
_IDENTITY = "pretrained_model_name_or_path"
_DEFAULT_CLASSES = {
    "model": ("transformers.AutoModelForCausalLM",),
    "tokenizer": ("transformers.AutoTokenizer",),
}
_CLASS_ARGUMENT = {"model": "model_class", "tokenizer": "tokenizer_class"}


def loader_change(
    site: Site, reported: frozenset[str], settings: Settings, purpose: str | None = None
) -> Change:
    """The call of the loader: it chooses the reported settings; other arguments are kept or None.

    A `purpose` is added if the loader's choices depend on it.
    """
    loader = settings.loader
    name = loader.load_tokenizer if site.kind == "tokenizer" else loader.load_model
    keywords = {keyword.arg for keyword in site.call.keywords}
    removed = tuple(
        spelling
        for setting in SPELLINGS
        for spelling in SPELLINGS[setting]
        if setting in reported and spelling in keywords
    )
    added: list[tuple[str, str]] = []
    assert isinstance(site.call.func, ast.Attribute)
    if site.classes != _DEFAULT_CLASSES[site.kind] or not _is_imported(site.call.func.value, site):
        added.append((_CLASS_ARGUMENT[site.kind], ast.unparse(site.call.func.value)))
    if site.kind == "model":
        added += [
            (setting, "None")
            for setting in SPELLINGS
            if setting not in reported and site.argument(*SPELLINGS[setting]) is None
        ]
    if purpose is not None:
        added.append(("purpose", f'"{purpose}"'))
    renamed: tuple[tuple[str, str], ...] = ()
    if _IDENTITY in keywords:
        first = next(keyword.arg for keyword in site.call.keywords if keyword.arg not in removed) == _IDENTITY
        renamed = ((_IDENTITY, "" if first and not site.call.args else "model_id"),)
    return Change(slot(name), removed, renamed, added=tuple(added), needs=(Name(loader.module, name),))


def inline_change(
    site: Site, reported: frozenset[str], settings: Settings, purpose: str | None = None
) -> Change:
    """The same call with the reported arguments replaced or added; in the loader's own call, they are removed.

    A `purpose` is passed to the resolver of the device map, and weights that are trained are float32, as by the loader.
    """
    if site.loader:
        spellings = [spelling for setting in sorted(reported) for spelling in SPELLINGS.get(setting, ())]
        return Change(removed=tuple(each for each in spellings if each in site.arguments))
    loader = settings.loader
    change = Change()
    if "device_map" in reported:
        arguments = [_weights(site, reported), f'purpose="{purpose}"' if purpose is not None else ""]
        value = f"{slot(loader.resolve_device_map)}({', '.join(filter(None, arguments))})"
        change |= Change(
            replaced=(("device_map", value),), needs=(Name(loader.module, loader.resolve_device_map),)
        )
    if "dtype" in reported:
        version = settings.target_version
        name = "dtype" if version is not None and version >= (4, 56) else "torch_dtype"
        # After `from x import *`, `torch` may be anything.
        torch = site.has_torch and "*" not in site.context.scope.tree.top.bindings
        dtype = "float32" if purpose == "training" else "bfloat16"
        change |= _given(site, "dtype", name, f"torch.{dtype}" if torch else f'"{dtype}"')
    if "attn_implementation" in reported:
        value = f"{slot(loader.resolve_attn_implementation)}({_identity(site)})"
        change |= _given(site, "attn_implementation", "attn_implementation", value)
        change |= Change(needs=(Name(loader.module, loader.resolve_attn_implementation),))
    if "generation_config" in reported:
        statement = f"{slot(loader.apply_generation_config)}({TARGET})"
        change |= Change(after=(statement,), needs=(Name(loader.module, loader.apply_generation_config),))
    if "pad_token" in reported:
        change |= Change(after=(f"{TARGET}.pad_token = {TARGET}.pad_token or {TARGET}.eos_token",))
    return change


def _is_imported(node: ast.expr, site: Site) -> bool:
    """Whether the class is used by its imported name; a variable or `self.model_class` may have another value."""
    while isinstance(node, ast.Attribute):
        node = node.value
    if not isinstance(node, ast.Name):
        return False
    scope = site.context.scope
    while not scope.binds(node.id) and scope.parent is not None:
        scope = scope.parent
    # `except ImportError: AutoModel = None` binds no other class.
    return all(
        binding.kind == "import" or (isinstance(binding.value, ast.Constant) and binding.value.value is None)
        for binding in scope.bindings.get(node.id, ())
    )


def _identity(site: Site) -> str:
    """The id as written in the call, for the resolver to find the class; "" if repeating it may have side effects."""
    given = site.argument(_IDENTITY)
    node = (
        given.node.value
        if given is not None and isinstance(given.node, ast.keyword)
        else given and given.node
    )
    if not isinstance(node, (ast.Name, ast.Attribute, ast.Constant)):
        return ""
    start, end = site.range_of(node)
    return site.source.text[start:end]


def _weights(site: Site, reported: frozenset[str]) -> str:
    """What the resolver needs to tell whether the weights fit on one GPU, as in the call: id, dtype and memory.

    Without an id, the resolver does not know the size and leaves "auto" to transformers.
    """
    parts = [_identity(site)]
    if parts[0] and "dtype" not in reported:  # the resolver assumes bfloat16, which the call gets
        argument = site.argument(*SPELLINGS["dtype"])
        text = "None" if argument is None else _again(argument.node, site)
        if not text:
            return ""
        parts.append(f"dtype={text}")
    for name, argument in site.arguments.items():
        if name == "max_memory" or name.startswith("offload_"):
            text = _again(argument.node, site)
            if not text:
                return ""
            parts.append(f"{name}={text}")
    return ", ".join(filter(None, parts))


def _again(node: ast.AST, site: Site) -> str:
    """The text of a keyword's value; "" if repeating it may have side effects, or it is long."""
    value = node.value if isinstance(node, ast.keyword) and node.arg else None
    plain = (ast.Name, ast.Attribute, ast.Constant, ast.Dict, ast.expr_context)
    if value is None or not all(isinstance(each, plain) for each in ast.walk(value)):
        return ""
    start, end = site.range_of(value)
    text = site.source.text[start:end]
    return "" if "\n" in text else text


def _given(site: Site, setting: str, name: str, value: str) -> Change:
    """Replace the setting's argument, or add it."""
    written = next((spelling for spelling in SPELLINGS[setting] if site.argument(spelling) is not None), None)
    return Change(replaced=((written, value),)) if written is not None else Change(added=((name, value),))
