"""Classifies a piece of syntax as evidence (evidence.py searches whole files)."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Set

from telepathy_lint.flow.bindings import dotted

#: Text on a line with evidence of a kind: words, or a regular expression, which is much slower. The lines are
#: then parsed. No pattern may match the rest of a word, because that takes quadratic time for long words.
WORDS: dict[str, tuple[str, ...] | str] = {
    "numpy": (".numpy(", "np.", "numpy."),
    "float16-amp": ("fp16", "GradScaler", "autocast", "precision"),
    "training": (
        "Trainer(", "optim.", "torch.optim", "import optim", "Adam", "SGD(", "Adafactor", "Lion", "Muon(", "RMSprop",
        "Adagrad",
    ),
    "saving": (
        "save_pretrained", "push_to_hub", "merge_and_unload", "save_model", "save_file", "state_dict", "torch.save",
        "jit.save", "onnx.export", "export.save", "ickle.dump", "joblib.dump", "dill.dump", "Trainer(",
    ),
    "modules": r"nn\.|torch\.nn|Module\b|inputs_embeds|load_state_dict|torch\.(?:rand\w*|normal|from_numpy|FloatTensor|load)\(",
    "hooks": ("hook",),
    "products": (
        r" @=? |mm\(|matmul\(|einsum\(|tensordot\(|\.linear\(|\.bilinear\(|\.conv|attention\(|dot\(|\.mv\(|outer\(|inner\("
        r"|cdist\(|index_|scatter"
    ),
    "floats-only": r"linalg|quantile\(|svd|lowrank|qr\(|geqrf|hist|\.fft|stft|cholesky|lobpcg|inverse\(|logdet|\bdet\(|\.det\(|eig",
    "checks": (".dtype",),
    "sampling": ("temperature", "top_p", "top_k", "min_p", "typical_p", "num_return_sequences"),
    "length": ("max_length",),
}  # fmt: skip
#: Text of files with evidence of a kind whose words are in most files: tokenizers get a max_length, too.
SIGNS = {
    "length": r"""generation_max_length|"max_length"|'max_length'|\bdict\(|Arguments\(|Config\(""",
}

_SAVES = frozenset(
    {"save_pretrained", "push_to_hub", "merge_and_unload", "save_model", "save_file", "state_dict"}
)
PICKLERS = r"torch\.save|(?:c?[Pp]ickle|joblib|dill|cloudpickle)\.dumps?"
_WRITERS = rf"{PICKLERS}|torch\.jit\.save|torch\.onnx\.export|torch\.export\.save"
OPTIMIZERS = (
    r"(?:.*\.)?(?:\w*Adam\w*|SGD|Adafactor|Lion|Muon|RMSprop|Adagrad)(?:8bit)?|(?:torch\.)?optim\.[A-Z]\w*"
)
#: These calls return tensors or numbers of types that NumPy supports, as are Python's own numbers.
_CASTS = frozenset(
    {
        "float", "double", "int", "long", "bool", "argmax", "argmin", "argsort", "numel", "tolist", "item", "numpy", "size",
        "len", "str", "range", "round", "encode", "split",
    }
)  # fmt: skip
_SAMPLING = frozenset({"temperature", "top_p", "top_k", "min_p", "typical_p", "num_return_sequences"})
#: NumPy functions that convert their argument to an array.
_ARRAYS = (
    r"(?:np|numpy)\.(?:array|asarray|asanyarray|ascontiguousarray|asfarray|stack|[vhd]stack|column_stack|concatenate|save\w*"
    r"|copy|ravel|squeeze|dot|matmul|float32|float64|linalg\.\w+|testing\.\w+|allclose)"
)
#: Functions whose tensors must have the same dtype; sums and comparisons accept any two.
_PRODUCTS = (
    r"(?:.*\.)?(?:matmul|mm|bmm|mv|addmm|baddbmm|addbmm|einsum|tensordot|cdist|outer|index_(?:add|copy|put)_?|(?:masked_)?scatter(?:_add|_reduce)?_?)"
    r"|(?:torch\.)?(?:dot|inner|vdot|chain_matmul)|(?:.*\.)?(?:F|functional)\.(?:linear|bilinear|conv\w+|scaled_dot_product_attention)"
)
#: Operations that PyTorch only supports in float32 and float64.
_FLOATS_ONLY = (
    r"(?:.*\.)?linalg\.(?!norm|vector_norm|multi_dot|vecdot|matmul|cross|diagonal)\w+|(?:.*\.)?(?:svd_lowrank|pca_lowrank|lobpcg)"
    r"|(?:torch\.|\w+\.)?(?:nan)?quantile|torch\.(?:svd|qr|geqrf|histc|histogram|cholesky\w*|inverse|pinverse|slogdet|logdet|det|eig\w*)"
    r"|torch\.(?:fft\.\w+|stft)"
)
#: Functions and classes that create float32 tensors and modules by default.
_MAKERS = r"(?:torch\.)?nn\.[A-Z]\w*|torch\.(?:randn?|normal|from_numpy|FloatTensor|load)"


#: The kinds of nodes that can be evidence.
CLASSES = frozenset({ast.Call, ast.ClassDef, ast.Dict, ast.Constant, ast.ImportFrom, ast.BinOp, ast.Compare})


def is_of(node: ast.AST, kind: str) -> bool:
    """Whether a node is evidence of a kind, without its children."""
    return _call_is_of(node, kind) if isinstance(node, ast.Call) else kind in _kinds_of(node)


def _kinds_of(node: ast.AST) -> Iterator[str]:
    """The kinds of evidence that a node other than a call is."""
    if isinstance(node, ast.ClassDef):
        if any((dotted(base) or "").endswith("Module") for base in node.bases):
            yield "modules"
    elif isinstance(node, ast.Dict):
        keys = {key.value for key in node.keys if isinstance(key, ast.Constant)}
        # DeepSpeed's {"fp16": {"enabled": True}}
        if "fp16" in keys:
            yield "float16-amp"
        yield from _kinds_of_settings(keys)
    elif isinstance(node, ast.Constant):
        if node.value == "inputs_embeds":
            yield "modules"
        elif isinstance(node.value, str) and node.value in _SAVES:
            yield "saving"
    elif isinstance(node, ast.ImportFrom):
        names = [alias.name for alias in node.names]
        if node.module == "torch.nn" and any(name[:1].isupper() for name in names):
            yield "modules"
        if node.module == "torch.optim" or (node.module == "torch" and "optim" in names):
            yield "training"
    elif isinstance(node, ast.BinOp):
        if isinstance(node.op, ast.MatMult) and _may_differ([node.left, node.right]):
            yield "products"
    elif isinstance(node, ast.Compare) and any(
        isinstance(each, ast.Attribute) and each.attr == "dtype" for each in (node.left, *node.comparators)
    ):
        yield "checks"


def _call_is_of(call: ast.Call, kind: str) -> bool:
    """Whether a call is evidence of a kind; only what the kind needs is looked at."""
    func = dotted(call.func) or ""
    name = call.func.attr if isinstance(call.func, ast.Attribute) else func
    if kind == "numpy":
        if name == "numpy" and isinstance(call.func, ast.Attribute) and not _is_cast(call.func.value):
            return True
        return _is_one(_ARRAYS, func) and any(_may_be_tensor(argument) for argument in call.args)
    if kind == "saving":
        return name in _SAVES or name.endswith("Trainer") or _is_one(_WRITERS, func)
    if kind == "training":
        return (
            name.endswith("Trainer")
            or _is_one(OPTIMIZERS, func)
            or any(dotted(argument) == "torch.optim" for argument in call.args)
        )
    if kind == "hooks":
        return _is_one(r"register_\w*hook", name)
    if kind == "products":
        return _is_one(_PRODUCTS, func or name) and _may_differ(_operands(call))
    if kind == "floats-only":
        return _is_one(_FLOATS_ONLY, func or f".{name}") and not all(
            _is_cast(each) for each in _operands(call)[:1]
        )
    given = {keyword.arg: keyword.value for keyword in call.keywords if keyword.arg is not None}
    if func == "dict" and kind in _kinds_of_settings(set(given)):
        return True
    if kind == "float16-amp":
        return name == "GradScaler" or _is_float16_amp(name, call, given)
    if kind == "modules":
        made = _is_one(_MAKERS, func) and "dtype" not in given
        return made or "inputs_embeds" in given or name == "load_state_dict"
    if kind == "sampling":
        # Beam search may return several sequences; greedy decoding returns one.
        asked = (_SAMPLING & given.keys()) - ({"num_return_sequences"} if "num_beams" in given else set())
        return name == "generate" and bool(asked) and "do_sample" not in given
    if kind == "length":
        of_config = name.endswith(("Arguments", "Config"))
        return "generation_max_length" in given or (of_config and "max_length" in given)
    return False


def _is_one(names: str, name: str) -> bool:
    return re.fullmatch(names, name) is not None


def _kinds_of_settings(keys: Set[object]) -> Iterator[str]:
    """The evidence in a dict that may be passed to `generate`."""
    if _SAMPLING & keys and "do_sample" not in keys:
        yield "sampling"
    if "max_length" in keys and not keys & {"truncation", "padding", "return_tensors", "add_special_tokens"}:
        yield "length"


def _operands(call: ast.Call) -> list[ast.expr]:
    """The operands of a function or method."""
    plain = [argument for argument in call.args if not isinstance(argument, ast.Constant)]
    if isinstance(call.func, ast.Attribute) and not re.match(
        r"(?:torch|np|numpy|F|nn|functional)\b", dotted(call.func) or ""
    ):
        return [call.func.value, *plain]
    return plain


def _may_differ(operands: list[ast.expr]) -> bool:
    """Whether tensors may have different dtypes: not if they come from one object, or are all cast."""
    roots = {_root(each) for each in operands}
    return len(roots) > 1 and not all(_is_cast(each) for each in operands)


def _root(node: ast.expr) -> str:
    while isinstance(node, (ast.Call, ast.Attribute, ast.Subscript)):
        node = node.func if isinstance(node, ast.Call) else node.value
    return node.id if isinstance(node, ast.Name) else ast.unparse(node)


def _may_be_tensor(node: ast.expr) -> bool:
    """Whether an expression may be or contain a tensor of unknown dtype."""
    if isinstance(node, (ast.Constant, ast.Dict, ast.JoinedStr, ast.Compare, ast.BoolOp)):
        return False
    if isinstance(node, (ast.List, ast.Tuple, ast.Set)):
        return any(_may_be_tensor(element) for element in node.elts)
    if isinstance(node, (ast.ListComp, ast.GeneratorExp, ast.SetComp)):
        return _may_be_tensor(node.elt)
    if isinstance(node, ast.BinOp):
        return _may_be_tensor(node.left) or _may_be_tensor(node.right)
    if isinstance(node, ast.Call) and (dotted(node.func) or "").startswith(("np.", "numpy.")):
        return False
    return not _is_cast(node)


def _is_float16_amp(name: str, call: ast.Call, given: dict[str, ast.expr]) -> bool:
    values = {key: value.value for key, value in given.items() if isinstance(value, ast.Constant)}
    if values.get("fp16") is True or values.get("mixed_precision") == "fp16":
        return True
    if "fp16" in given and "fp16" not in values:
        return True  # decided at run time
    if values.get("precision") in (16, "16", "16-mixed"):
        return True
    if name != "autocast":
        return False
    dtype = given.get("dtype")
    # CUDA's autocast uses float16 by default.
    return dtype is None or ast.unparse(dtype).rpartition(".")[2] in ("float16", "half")


def _is_cast(node: ast.expr) -> bool:
    """Whether a chain of calls returns a type that NumPy supports."""
    while isinstance(node, (ast.Call, ast.Attribute, ast.Subscript)):
        if isinstance(node, ast.Call):
            func = node.func
            name = (
                func.attr
                if isinstance(func, ast.Attribute)
                else func.id
                if isinstance(func, ast.Name)
                else ""
            )
            if name in _CASTS:
                return True
            if name in ("to", "type") and re.search(r"float32|float64|int|bool|double", ast.unparse(node)):
                return True
            node = func
        else:
            node = node.value
    return False
