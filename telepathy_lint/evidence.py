"""What a file shows of its models that makes an unsafe fix break the program, or change what the program saves.

Evidence holds a fix back and never makes a finding go: it may be about another object of the file, and then costs a fix that
a person can still make. So it is looked for in the whole file, without following objects.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from telepathy_lint.rule import line_name
from telepathy_lint.scan import Site
from telepathy_lint.scan.bindings import dotted
from telepathy_lint.scan.scopes import Tree

#: What a line of each kind does, or what is so of the load itself. The keys are what `unsafe-fixes-despite` takes.
KINDS = {
    "numpy": "turns a tensor into a NumPy array, which has no bfloat16",
    "float16-amp": "asks for float16 mixed precision, whose scaler fails on bfloat16 weights",
    "training": "trains weights, for which float32 is a decision",
    "saving": "saves, merges or reads out weights or settings",
    "modules": "makes a module or tensor in float32 that may meet the model",
    "other-tensors": "uses the dtype for other tensors as well",
    "sampling": "passes sampling arguments without do_sample, which greedy decoding would turn off",
    "length": "states the length of what is generated, and a config's max_new_tokens wins over it",
    "inputs": "the model's inputs are float32 features, not token ids",
    "quantized": "the checkpoint is quantized with AWQ or GPTQ, whose kernels want float16",
}
#: What holds back each setting's fix.
OF_DTYPE = ("inputs", "quantized", "float16-amp", "training", "saving", "numpy", "modules", "other-tensors")
OF_GENERATION = ("saving", "training", "sampling", "length")
OF_PAD_TOKEN = ("saving",)

#: Text that a line with evidence of a kind has; the lines are then looked at as syntax.
_WORDS = {
    "numpy": (".numpy(",),
    "float16-amp": ("fp16", "GradScaler", "autocast", "precision"),
    "training": ("Trainer(", "Adam", "SGD(", "Adafactor(", "Lion", "Muon(", "RMSprop", "Adagrad"),
    "saving": (
        "save_pretrained", "push_to_hub", "merge_and_unload", "save_model", "save_file", "state_dict", "torch.save",
        "Trainer(",
    ),
    "modules": ("nn.", "Module)", "Module,", "inputs_embeds"),
    "sampling": ("generate(",),
    "length": ("max_length",),
}  # fmt: skip
_SAVES = frozenset(
    {"save_pretrained", "push_to_hub", "merge_and_unload", "save_model", "save_file", "state_dict"}
)
OPTIMIZERS = r"(?:.*\.)?(?:\w*Adam\w*|SGD|Adafactor|Lion|Muon|RMSprop|Adagrad)(?:8bit)?"
#: A tensor that one of these made has a type that NumPy knows.
_CASTS = frozenset(
    {"float", "double", "int", "long", "bool", "argmax", "argmin", "argsort", "numel", "tolist"}
)
_SAMPLING = frozenset({"temperature", "top_p", "top_k", "min_p", "typical_p"})
#: Class names and ids of models that are given features or pixels, which their processors make in float32.
_FEATURES = (
    r"(?i)whisper|wav2vec|hubert|wavlm|speech|audio|ctc|xvector|spectro|waveform|encodec|\bdac|mimi|seamless|musicgen|bark"
    r"|clip|siglip|vit|dino|beit|swin|convnext|resnet|segm|detect|depth|\bsam|image(?!texttotext|-text-to-text)|vision(?!2seq)"
    r"|video|timm|patchtst|timeseries|informer|autoformer|decisiontransformer"
)
_QUANTIZED = r"(?i)awq|gptq"


def withheld(site: Site, kinds: tuple[str, ...], despite: tuple[str, ...] = ()) -> str | None:
    """Why a fix of the site is held back, by the first of the kinds that the file shows; None where none is shown."""
    shown = site.source.remember(_Shown, site.context.scope.tree)
    for kind in kinds:
        if kind in despite:
            continue
        if kind in ("inputs", "quantized"):
            if _by_name(site, kind):
                return KINDS[kind]
        elif kind == "other-tensors":
            line = _other_use(site)
            if line is not None:
                return f"{line_name(site.source, line)} {KINDS[kind]}"
        elif (line := shown.line(kind)) is not None:
            return f"{line_name(site.source, line)} {KINDS[kind]}"
    return None


class _Shown:
    """The line of the first evidence of each kind that was asked for."""

    def __init__(self, tree: Tree) -> None:
        self.tree = tree
        self._lines: dict[str, int | None] = {}

    def line(self, kind: str) -> int | None:
        if kind not in self._lines:
            self._lines[kind] = self._first(kind)
        return self._lines[kind]

    def _first(self, kind: str) -> int | None:
        offsets = (offset for word in _WORDS[kind] for offset in _offsets(self.tree.text, word))
        for line in self.tree.lines_of(offsets):
            for node in self.tree.visit([line]):
                if isinstance(node, (ast.Call, ast.ClassDef, ast.Dict)) and kind in _kinds(node):
                    return node.lineno
        return None


def _offsets(text: str, word: str) -> Iterator[int]:
    """Where the text has the word; many times faster than a regular expression of all words."""
    at = text.find(word)
    while at >= 0:
        yield at
        at = text.find(word, at + 1)


def _kinds(node: ast.Call | ast.ClassDef | ast.Dict) -> Iterator[str]:
    if isinstance(node, ast.ClassDef):
        if any((dotted(base) or "").endswith("Module") for base in node.bases):
            yield "modules"
        return
    if isinstance(node, ast.Dict):
        # DeepSpeed's {"fp16": {"enabled": True}}.
        if any(isinstance(key, ast.Constant) and key.value == "fp16" for key in node.keys):
            yield "float16-amp"
        return
    func = dotted(node.func) or ""
    name = node.func.attr if isinstance(node.func, ast.Attribute) else func
    given = {keyword.arg: keyword.value for keyword in node.keywords if keyword.arg is not None}
    if name == "numpy" and isinstance(node.func, ast.Attribute) and not _is_cast(node.func.value):
        yield "numpy"
    if name in _SAVES or func == "torch.save":
        yield "saving"
    if name.endswith("Trainer"):
        yield from ("training", "saving")
    if re.fullmatch(OPTIMIZERS, func):
        yield "training"
    if name == "GradScaler" or _is_float16_amp(name, node, given):
        yield "float16-amp"
    if re.match(r"(?:torch\.)?nn\.[A-Z]", func) or "inputs_embeds" in given:
        yield "modules"
    if name == "generate" and "do_sample" not in given and not _SAMPLING.isdisjoint(given):
        yield "sampling"
    if "generation_max_length" in given or (name.endswith(("Arguments", "Config")) and "max_length" in given):
        yield "length"


def _is_float16_amp(name: str, call: ast.Call, given: dict[str, ast.expr]) -> bool:
    values = {key: value.value for key, value in given.items() if isinstance(value, ast.Constant)}
    if values.get("fp16") is True or values.get("mixed_precision") == "fp16":
        return True
    if "fp16" in given and "fp16" not in values:
        return True  # decided when the script runs
    if values.get("precision") in (16, "16", "16-mixed"):
        return True
    if name != "autocast":
        return False
    dtype = given.get("dtype")
    # CUDA's autocast computes in float16 where it is not told otherwise.
    return dtype is None or ast.unparse(dtype).rpartition(".")[2] in ("float16", "half")


def _is_cast(node: ast.expr) -> bool:
    """Whether a chain of calls makes a type that NumPy knows."""
    while isinstance(node, (ast.Call, ast.Attribute, ast.Subscript)):
        if isinstance(node, ast.Call):
            func = node.func
            if isinstance(func, ast.Attribute):
                if func.attr in _CASTS:
                    return True
                if func.attr in ("to", "type") and re.search(
                    r"float32|float64|int|bool|double", ast.unparse(node)
                ):
                    return True
            node = func
        else:
            node = node.value
    return False


def _by_name(site: Site, kind: str) -> bool:
    names = [*(name.rpartition(".")[2] for name in site.classes), site.model_id or ""]
    if kind == "quantized":
        return bool(re.search(_QUANTIZED, site.model_id or ""))
    if site.kind == "pipeline":
        task = site.argument("task")
        names += [str(value.data) for value in task.values] if task is not None else []
    return any(re.search(_FEATURES, name) for name in names)


def _other_use(site: Site) -> int | None:
    """The line on which the dtype of the call is used for something that is no load."""
    argument = site.argument("dtype", "torch_dtype")
    if argument is None or not isinstance(argument.node, ast.keyword):
        return None
    text = ast.unparse(argument.node.value)
    if isinstance(argument.node.value, ast.Constant):
        return None  # a string names a dtype for a load only
    tree = site.context.scope.tree
    pattern = re.compile(rf"(?<![\w.]){re.escape(text)}(?!\w)")
    lines = tree.lines_of(match.start() for match in pattern.finditer(site.source.text))
    for node in tree.visit(lines):
        if isinstance(node, (ast.Name, ast.Attribute)) and ast.unparse(node) == text:
            holder = tree.parent.get(node)
            call = tree.parent.get(holder) if isinstance(holder, ast.keyword) else holder
            if isinstance(call, ast.Call) and call.func is not node and not _loads(call):
                return node.lineno
    return None


def _loads(call: ast.Call) -> bool:
    """Whether a call loads a model, or collects arguments for one that does."""
    name = call.func.attr if isinstance(call.func, ast.Attribute) else dotted(call.func) or ""
    return name in ("from_pretrained", "from_config", "pipeline", "load_model", "dict", "update")
