"""Recognises model ids in Python and other files."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from telepathy_lint.audit.data import Mention, Place, Role
from telepathy_lint.flow.bindings import dotted
from telepathy_lint.flow.tree import Tree
from telepathy_lint.source.prefilter import CodeWords

#: Organisations whose name before a slash always begins a model id.
_ORGANISATIONS = (
    "01-ai", "allenai", "BAAI", "bigcode", "bigscience", "bert-base", "codellama", "CohereForAI", "databricks",
    "deepseek-ai", "distilbert", "EleutherAI", "facebook", "FacebookAI", "google", "google-bert", "google-t5",
    "HuggingFaceH4", "HuggingFaceTB", "huggyllama", "ibm-granite", "intfloat", "lmsys", "meta-llama", "microsoft",
    "mistralai", "mosaicml", "NousResearch", "nvidia", "openai-community", "openchat", "princeton-nlp", "Qwen",
    "Salesforce", "sentence-transformers", "stabilityai", "teknium", "THUDM", "tiiuae", "TinyLlama", "togethercomputer",
    "unsloth", "upstage", "xai-org", "zai-org", "openai", "qwen", "Mistralai", "Meta-Llama",
)  # fmt: skip
_ID = re.compile(
    r"(?<![\w./~@])(?<![^:]-)(?:"
    + "|".join(map(re.escape, _ORGANISATIONS))
    + r")/[A-Za-z0-9][\w.-]*[A-Za-z0-9](?![\w/]|\.\w)"
)
#: Names of datasets and of services' models, which may begin with the same organisations.
_NO_MODEL = re.compile(
    r"(?i)dataset|\.(?:py|git|json|md|sh|txt|ya?ml)$|^(?:openai|google|microsoft|facebook)/(?:api|docs)"
)
#: An id of any organisation, after a key or option for models: `model_name_or_path: org/name`.
_NAMED = re.compile(
    r"(?:model|tokenizer|backbone|pretrained)(?:[_-](?:id|name|path|or|repo))*[\"']?(?:[ \t]*[:=][ \t]*|[ \t]+)[\"']?"
    r"([A-Za-z0-9][\w-]*/[A-Za-z0-9][\w.-]*[A-Za-z0-9])(?=[\"'\s,}\\;)]|$)",
    re.IGNORECASE,
)
#: Values of such keys that are folders.
_FOLDER = re.compile(
    r"(?i)(?:out(?:puts?)?|checkpoints?|ckpts?|models?|data|datasets?|results?|runs?|exps?|experiments?|logs?|tmp|saves?|saved\w*|"
    r"weights?|pretrained\w*|work_dirs?|paths?|dir|home|src|scripts?|configs?|local|my|your|user|org|username|assets|trained\w*|"
    r"finetuned?\w*|pytorch|application)/"
)
_NO_ID = re.compile(
    r"(?i)\.(?:pt|pth|bin|ckpt|onnx|gguf|safetensors|ya?ml|json|toml|csv|sh|py|txt|tar|gz|zip|model)$"
)
#: The last letters of these organisations.
_ENDS = frozenset(name[-2:] for name in _ORGANISATIONS)
#: Names of bundles in torchaudio and other libraries.
_SYMBOL = re.compile(r"[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+")
_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*(?:/[A-Za-z0-9][\w.-]*)?")
_LOADING = frozenset({"from_pretrained", "pipeline", "snapshot_download", "SentenceTransformer", "LLM"})


#: Names of variables and keys for datasets.
_DATA = re.compile(
    r"(?i)dataset|corpus|corpora|benchmark|mixer|eval_?sets?\b|data_?(?:path|name|dir|file|source)"
)


#: Files that use services, whose models have their own names.
_SERVICE = re.compile(
    r"(?i)openrouter|litellm|api\.together|deepinfra|fireworks\.ai|InferenceClient|\bOpenAI\("
    r"|(?:^|\n)\s*(?:import|from)\s+(?:openai|together|groq|anthropic|replicate)\b"
)


#: One of these is in each of them.
_SERVICES = (
    "openrouter", "litellm", "api.together", "deepinfra", "fireworks.ai", "inferenceclient", "openai", "together", "groq",
    "anthropic", "replicate",
)  # fmt: skip


def names_services(text: str) -> bool:
    """Whether the ids in a file are probably a service's model names; not if it uses transformers."""
    if "from_pretrained" in text:
        return False
    lowered = text.lower()  # trying the pattern at each letter takes many times as long
    return any(word in lowered for word in _SERVICES) and _SERVICE.search(text) is not None


_MODELS = re.compile(r"(?i)model|llm|ckpt|checkpoint|backbone|tokenizer")


def names_data(name: str) -> bool:
    """Whether a variable or key with this name is for datasets."""
    return _DATA.search(name) is not None and not names_models(name)


def names_models(name: str) -> bool:
    """Whether a variable or key with this name is for models or their ids."""
    return _MODELS.search(name) is not None


def looks_like_an_id(text: str) -> bool:
    """Whether a string passed to a load may be a hub id: `gpt2` or `org/name`, but not a path."""
    return (
        _HUB_ID.fullmatch(text) is not None
        and not text.endswith((".pt", ".bin", ".safetensors", ".json"))
        and _SYMBOL.fullmatch(text) is None
    )


def has_ids(text: str) -> bool:
    return next(_organisations_in(text), None) is not None


def _organisations_in(text: str) -> Iterator[int]:
    """The offsets of organisations before a slash; `re`, which tries each at each letter, takes many times as long."""
    at = text.find("/")
    while at >= 0:
        if text[max(at - 2, 0) : at] in _ENDS:
            yield from (at - len(name) for name in _ORGANISATIONS if text.endswith(name, 0, at))
        at = text.find("/", at + 1)


def ids_in(text: str) -> Iterator[tuple[str, int]]:
    """Yield the ids in any text, with their offsets."""
    for start in _organisations_in(text):
        match = _ID.match(text, start)
        if match is not None and _NO_MODEL.search(match.group()) is None:
            yield match.group(), start


def ids_written(text: str) -> Iterator[tuple[str, int]]:
    """Yield the ids in a script or configuration file with their offsets, in order.

    These are ids of known organisations, and any ids after a key or option for models.
    """
    found = {offset: model_id for model_id, offset in ids_in(text)}
    for match in _NAMED.finditer(text):
        if is_other_id(match.group(1)):
            found.setdefault(match.start(1), match.group(1))
    yield from ((model_id, offset) for offset, model_id in sorted(found.items()))


def is_other_id(text: str) -> bool:
    """Whether a value that names a model may be an id of any organisation, and is not a path."""
    return (
        "/" in text
        and _HUB_ID.fullmatch(text) is not None
        and not (_FOLDER.match(text) or _NO_ID.search(text) or _NO_MODEL.search(text))
    )


def may_have_ids(text: str) -> bool:
    """Whether `ids_written` may find something."""
    return has_ids(text) or _NAMED.search(text) is not None


def in_python(tree: Tree, words: CodeWords, path: str) -> Iterator[tuple[ast.Constant, Mention]]:
    """Yield the ids that are whole string literals of a file, with their roles."""
    services = names_services(tree.text)
    offsets = [start for start in _organisations_in(tree.text) if words.in_string(start)]
    for node in tree.visit(tree.lines_of(offsets)):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            if not is_id(node.value):
                continue
            role = _role(node, tree)
            if role is not None:
                role = "service" if services and role != "load" else role
                yield node, Mention(node.value, place_of(tree, node, path), role)


def is_id(value: object) -> bool:
    """Whether a literal's value is exactly a model id."""
    return isinstance(value, str) and _ID.fullmatch(value) is not None and _NO_MODEL.search(value) is None


def place_of(tree: Tree, node: ast.AST, path: str) -> Place:
    assert isinstance(node, (ast.expr, ast.stmt, ast.keyword))
    start = tree.source.start_of(node)
    span = tree.source.place(start, start)
    return Place(path, span.line, span.cell)


def _role(node: ast.AST, tree: Tree) -> Role | None:
    """The role of a literal id, from the code around it; None for a docstring."""
    if _is_dataset(node, tree):
        return "dataset"
    parent = tree.parent.get(node)
    while parent is not None:
        if isinstance(parent, ast.Call):
            name = parent.func.attr if isinstance(parent.func, ast.Attribute) else dotted(parent.func) or ""
            if name in _LOADING:
                return "load"
            if "dataset" in name.lower() or any(
                keyword.arg == "repo_type" and getattr(keyword.value, "value", None) == "dataset"
                for keyword in parent.keywords
            ):
                return "dataset"
            if name == "push_to_hub" and "from_pretrained" not in tree.text and "datasets" in tree.text:
                return "dataset"
            if name in ("add_argument", "option", "Option"):
                return "option"
            if name in ("get", "getenv", "setdefault"):
                return "option"
            if name in ("field", "Field"):
                return "field"
            if name in ("print", "replace", "startswith", "endswith", "split", "index", "count"):
                return "compared"
            return "other"
        if isinstance(parent, (ast.Dict, ast.List, ast.Tuple, ast.Set)):
            if isinstance(tree.parent.get(parent), ast.Compare):
                return "compared"
            return "table"
        if isinstance(parent, ast.Compare):
            return "compared"
        if isinstance(parent, ast.arguments):
            return "parameter"
        if isinstance(parent, ast.AnnAssign):
            return "field" if isinstance(tree.parent.get(parent), ast.ClassDef) else "constant"
        if isinstance(parent, ast.Assign):
            return "constant"
        if isinstance(parent, ast.Expr):
            return None
        if isinstance(parent, ast.stmt):
            return "other"
        parent = tree.parent.get(parent)
    return "other"


def _is_dataset(node: ast.AST, tree: Tree) -> bool:
    """Whether the code around an id, up to its statement, indicates a list of datasets."""
    child, parent = node, tree.parent.get(node)
    while parent is not None:
        names: list[str | None] = []
        if isinstance(parent, ast.Dict):
            keys = {key.value for key in parent.keys if isinstance(key, ast.Constant)}
            if (
                keys & {"dataset", "dataset_name", "hf_dataset", "split", "hf_path"}
                and "model_id" not in keys
            ):
                return True
            names = [
                str(key.value)
                for key, value in zip(parent.keys, parent.values, strict=True)
                if value is child and isinstance(key, ast.Constant)
            ]
        elif isinstance(parent, ast.keyword):
            names = [parent.arg]
        elif isinstance(parent, ast.arguments):
            names = [_parameter_with(parent, child)]
        elif isinstance(parent, ast.Assign):
            names = [dotted(target) for target in parent.targets]
        elif isinstance(parent, (ast.AnnAssign, ast.For)):
            names = [dotted(parent.target)]
        if any(name is not None and names_data(name) for name in names):
            return True
        if isinstance(parent, ast.stmt):
            return False
        child, parent = parent, tree.parent.get(parent)
    return False


def _parameter_with(arguments: ast.arguments, default: ast.AST) -> str | None:
    """The name of the parameter with this default."""
    positional = [*arguments.posonlyargs, *arguments.args]
    start = len(positional) - len(arguments.defaults)
    pairs = [*zip(positional[start:], arguments.defaults, strict=True)]
    pairs += [
        (name, given)
        for name, given in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True)
        if given is not None
    ]
    return next((name.arg for name, given in pairs if given is default), None)
