"""Evidence in a file that an unsafe fix would break the program, or change what the program saves.

Evidence prevents a fix but never removes a finding. It may concern another object in the file; then only a
fix is lost, which a person can still make. So the whole file is searched, without following objects, and so are
the modules of the project that get what the function or class around the load makes.
"""

from __future__ import annotations

import ast
import os
import re
from collections.abc import Callable, Iterator
from functools import partial

from telepathy_lint.facts import by_hand, own_names, placement
from telepathy_lint.facts.evidence_lines import CLASSES, PICKLERS, SIGNS, WORDS, is_of
from telepathy_lint.facts.reach import Reach, reach_of
from telepathy_lint.facts.replaced import replacement_of
from telepathy_lint.flow.bindings import dotted
from telepathy_lint.flow.tree import Tree
from telepathy_lint.rule import line_name
from telepathy_lint.sites import Site
from telepathy_lint.source.occurs import LINE_START, occurs

#: A description of each kind: what a line does, or a property of the load. The keys are the values for
#: `unsafe-fixes-despite`.
KINDS = {
    "numpy": "converts a tensor to a NumPy array, which does not support bfloat16",
    "float16-amp": "uses float16 mixed precision, whose scaler fails on bfloat16 weights",
    "training": "trains weights, for which float32 can be intended",
    "saving": "saves, merges or reads weights or settings",
    "modules": "creates a float32 module or tensor that may be used with the model",
    "hooks": "adds a hook to the model, which may introduce tensors of another dtype or device",
    "products": "multiplies tensors, which must have the same dtype",
    "floats-only": "computes something that PyTorch does not support in bfloat16",
    "checks": "compares a dtype",
    "other-tensors": "uses the dtype for other tensors as well",
    "sampling": "passes sampling arguments without do_sample, which greedy decoding would turn off",
    "length": "sets the length of the output, which a config's max_new_tokens would override",
    "inputs": "the model's inputs are float32 features, not token ids",
    "quantized": "the checkpoint is quantized with AWQ, GPTQ or another method whose kernels need float16",
    "pickling": "pickles the model with the settings of the loader, which only the loader can read",
    "map-read": f"reads {by_hand.READS_THE_MAP}, which a model has only where a device map placed it",
    "layout": "names another GPU, so the script places its models itself",
    "weights": "reads a weight of a module, which may come to lie on another GPU",
    "devices": "puts tensors on a device of its own choice, where the model may not lie afterwards",
    "on-cpu": "the model is kept on the CPU, where the script's tensors are",
    "callers-device": "the caller chooses the device, and may put tensors there",
    "patched": "replaces the class, or transformers, and so expects this call",
}
#: The kinds of evidence that prevent the fix of each setting.
OF_DTYPE = (
    "inputs", "quantized", "float16-amp", "training", "saving", "numpy", "modules", "hooks", "products", "floats-only",
    "checks", "other-tensors", "patched",
)  # fmt: skip
#: `save_pretrained`, and what calls it, write what the checkpoint shipped: the loader's config remembers it.
OF_GENERATION = ("pickling", "sampling", "length", "patched")
OF_PAD_TOKEN = ("saving", "patched")
OF_ATTENTION: tuple[str, ...] = ("patched",)
OF_DEVICE_MAP: tuple[str, ...] = (
    "map-read", "layout", "on-cpu", "callers-device", "hooks", "weights", "devices", "patched",
)  # fmt: skip
#: Those that only matter if the fix may distribute a model over GPUs that was on one.
OF_ONE_GPU = ("layout", "hooks", "weights")
#: Evidence that depends on the site, not only on the file.
_OF_SITES: dict[str, Callable[[Site], int | None]] = {
    "map-read": by_hand.map_is_read,
    "layout": by_hand.second_gpu,
    "weights": by_hand.weights_reached,
    "devices": by_hand.own_device,
    "pickling": lambda site: _pickled(site),
    "other-tensors": lambda site: _other_use(site),
}

#: Kinds that are a property of the load.
_OF_LOADS: dict[str, Callable[[Site], bool]] = {
    "inputs": lambda site: _by_name(site, "inputs"),
    "quantized": lambda site: _by_name(site, "quantized"),
    "on-cpu": placement.is_kept_with_its_inputs,
    "callers-device": placement.is_where_the_caller_says,
}

#: Text of lines that may pickle a model, or write its generation config.
_PICKLES = ("torch.save", "ickle.dump", "joblib.dump", "dill.dump", "generation_config.to_")
_WRITES_OUT = frozenset({"to_dict", "to_diff_dict", "to_json_string", "to_json_file"})
_MODEL_NAMES = (
    r"(?i)model|net(?:work)?$|^l?lm$|llm|gpt|llama|encoder|decoder|policy|agent|teacher|student|merged|pipe"
)
#: Auto classes whose models are given token ids.
_TOKEN_TASKS = (
    "CausalLM", "Seq2SeqLM", "MaskedLM", "SequenceClassification", "TokenClassification", "QuestionAnswering",
    "MultipleChoice", "NextSentencePrediction", "TextEncoding",
)  # fmt: skip
#: Auto classes whose models may get either; nearly all for images and text cast their inputs.
_ANY_TASKS = ("", "PreTraining", "ImageTextToText", "Vision2Seq", "MultimodalLM")
#: Pipelines that convert their input to token ids.
_TOKEN_PIPELINES = (
    r"text-generation|text2text-generation|summarization|translation\w*|fill-mask|text-classification|sentiment-analysis"
    r"|token-classification|ner|question-answering|zero-shot-classification|feature-extraction|table-question-answering"
    r"|conversational|image-text-to-text|any-to-any"
)
#: Code that creates features or pixels.
_MAKES_FEATURES = (
    r"\bpixel_values\b|\binput_values\b|\binput_features\b|\bpast_values\b|FeatureExtractor\b|ImageProcessor"
    r"|\btorchaudio\b|\blibrosa\b|\bsoundfile\b"
)
#: Ids of models that get features or pixels.
_FEATURES = (
    r"(?i)whisper|wav2vec|hubert|wavlm|speech|audio|ctc|xvector|spectro|waveform|encodec|\bdac\b|mimi|seamless|musicgen|bark"
    r"|\bclip|siglip|\bvit|dino|beit|swin|convnext|resnet|segm|detect|depth|\bsam\b|video|timm|patchtst|timeseries|informer|autoformer"
)
_QUANTIZED = r"(?i)awq|gptq|aqlm|spqr|eetq|vptq"
#: A tensor of PyTorch's default type, by its name.
_FLOAT_TENSOR = (
    LINE_START + r"[ \t]*([A-Za-z_][\w.]*)[ \t]*=[ \t]*torch\.(?:zeros|empty|ones)\((?![^\r\n]*dtype)"
)


def withheld(site: Site, kinds: tuple[str, ...], despite: tuple[str, ...] = ()) -> str | None:
    """The reason why a fix of the site is prevented: the first kind of evidence; None if there is none.

    The file is searched first, and then the modules of the project that may get the object.
    """
    found = in_the_file(site, kinds, despite) or _in_users(site, kinds, despite)
    return found or (_in_tests(site) if "patched" in kinds and "patched" not in despite else None)


def in_the_file(site: Site, kinds: tuple[str, ...], despite: tuple[str, ...] = ()) -> str | None:
    """The first kind of evidence in the file itself."""
    tree = site.context.scope.tree
    for kind in kinds:
        if kind in despite or kind == "patched":
            continue
        if kind in _OF_LOADS:
            if _OF_LOADS[kind](site):
                return KINDS[kind]
        elif kind == "numpy" and _answers_through_numpy(site):
            return f"the pipeline {KINDS[kind]}"
        elif kind in _OF_SITES:
            if (line := _OF_SITES[kind](site)) is not None:
                return f"{line_name(site.source, line)} {KINDS[kind]}"
        else:
            line = site.source.remember(("evidence", kind), partial(_first, tree, kind))
            if line is None and kind == "products":
                line = site.source.remember("filled", partial(_filled, tree))
            if line is not None:
                return f"{line_name(site.source, line)} {KINDS[kind]}"
    return None


def _in_users(site: Site, kinds: tuple[str, ...], despite: tuple[str, ...]) -> str | None:
    """The first kind of evidence in the modules that may get the object."""
    reach = reach_of(site)
    if reach is None:
        return None
    for kind in kinds:
        if kind in WORDS and kind not in _OF_SITES and kind not in despite:
            found = site.file.remember(("evidence", kind, reach.paths), partial(_first_of, site, reach, kind))
            if found is not None:
                return f"{found} {KINDS[kind]}"
    return None


def _first_of(site: Site, reach: Reach, kind: str) -> str | None:
    """The line and module with the first evidence of a kind; notebooks are not searched."""
    modules = site.file.modules
    assert modules is not None
    for path in reach.paths:
        # Most modules have none of the words; only an import under another name needs the tree.
        sought = path.endswith(".py") and (kind in own_names.KINDS or _may_have(modules.text(path), kind))
        tree = modules.tree(path) if sought else None
        line = (
            tree.source.remember(("evidence", kind), partial(_first, tree, kind))
            if tree is not None
            else None
        )
        if line is not None:
            return _place(site, path, line)
    return None


def _in_tests(site: Site) -> str | None:
    """The place where the project replaces the class of the load."""
    found = replacement_of(site)
    return f"{_place(site, found.path, found.line)} {KINDS['patched']}" if found is not None else None


def _place(site: Site, path: str, line: int) -> str:
    """A line of another module, for a reader of the project."""
    modules = site.file.modules
    project = modules.project(site.source.path) if modules is not None else None
    shown = os.path.relpath(path, project.root) if project is not None else os.path.basename(path)
    return f"line {line} of {shown.replace(os.sep, '/')}"


def _first(tree: Tree, kind: str) -> int | None:
    """The line of the first evidence of a kind."""
    if kind in SIGNS and not _may_have(tree.text, kind):
        return None
    names = own_names.own_names(tree) if kind in own_names.KINDS else {}
    words: tuple[str, ...] | str = rf"\b(?:{'|'.join(map(re.escape, names))})\b"
    offsets = [*_offsets(tree.text, WORDS[kind]), *(_offsets(tree.text, words) if names else ())]
    for line in tree.lines_of(offsets):
        for node in tree.visit([line]):
            if type(node) in CLASSES and is_of(own_names.read_as_usual(node, names) if names else node, kind):
                return getattr(node, "lineno", line)
    return None


def _may_have(text: str, kind: str) -> bool:
    """Whether a text has words of a kind of evidence."""
    return any(True for _ in _offsets(text, WORDS[kind])) and (kind not in SIGNS or occurs(SIGNS[kind], text))


def _filled(tree: Tree) -> int | None:
    """The line that writes into places of a float32 tensor of the script, which must have the type of what is written.

    Places that an index tensor names: what is written into a slice is converted.
    """
    made = set(re.findall(_FLOAT_TENSOR, tree.text))
    if not made:
        return None
    for node in tree.visit(tree.lines_of(_offsets(tree.text, r"\]\s*="))):
        if not isinstance(node, ast.Assign) or not isinstance(target := node.targets[0], ast.Subscript):
            continue
        parts = target.slice.elts if isinstance(target.slice, ast.Tuple) else [target.slice]
        by_index = (ast.Name, ast.Call, ast.List, ast.Compare, ast.Attribute)
        if ast.unparse(target.value) in made and any(isinstance(each, by_index) for each in parts):
            return node.lineno
    return None


def _offsets(text: str, words: tuple[str, ...] | str) -> Iterator[int]:
    """The offsets of the words, or of the matches of a regular expression."""
    if isinstance(words, str):
        yield from (match.start() for match in re.finditer(words, text))
        return
    for word in words:
        at = text.find(word)
        while at >= 0:
            yield at
            at = text.find(word, at + 1)


def _by_name(site: Site, kind: str) -> bool:
    if kind == "quantized":
        return bool(re.search(_QUANTIZED, site.model_id or ""))
    if site.kind == "pipeline":
        task = site.argument("task")
        tasks = [str(value.data) for value in task.values] if task is not None else []
        return not all(re.fullmatch(_TOKEN_PIPELINES, each) for each in tasks) or _is_of_features(site)
    return any(_takes_features(name.rpartition(".")[2], site) for name in site.loaded)


def _answers_through_numpy(site: Site) -> bool:
    """Whether a pipeline turns what the model gives into NumPy arrays without a cast, as one did before transformers 4.50."""
    task = site.argument("task") if site.kind == "pipeline" else None
    return task is not None and any(value.data == "question-answering" for value in task.values)


def _takes_features(name: str, site: Site) -> bool:
    """Whether the models of a class get features or pixels that they do not cast."""
    from telepathy_lint.knowledge import input_casts as table  # only needed if a dtype is reported

    if name in table.CASTING:
        return False
    if name in table.FAILING or name in table.UNKNOWN:
        return True
    if not name.startswith("AutoModel"):
        return False  # the table has all transformers classes that do not get token ids
    task = name.removeprefix("AutoModel").removeprefix("For")
    if task in _TOKEN_TASKS:
        return False
    if task in _ANY_TASKS:
        return _is_of_features(site) or (not task and bool(site.source.once(_makes_features)))
    return True


def _is_of_features(site: Site) -> bool:
    return re.search(_FEATURES, site.model_id or "") is not None


def _makes_features(text: str) -> bool:
    return occurs(_MAKES_FEATURES, text)


def _other_use(site: Site) -> int | None:
    """The line where the call's dtype is used for something other than a load."""
    argument = site.argument("dtype", "torch_dtype")
    if argument is None or not isinstance(argument.node, ast.keyword):
        return None
    text = ast.unparse(argument.node.value)
    if isinstance(argument.node.value, ast.Constant):
        return None  # a string can only be the dtype of a load
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


def _pickled(site: Site) -> int | None:
    """The line that pickles a model, or writes out its generation config by other means than `save_pretrained`."""
    pickles = site.source.remember("pickles", partial(_pickles, site.context.scope.tree))
    names = _targets(site) if pickles else set()
    for line, held in pickles:
        if held is None or any(_may_be_model(each, names) for each in held):
            return line
    return None


def _pickles(tree: Tree) -> list[tuple[int, list[str] | None]]:
    """The lines that pickle names, with these, or that write out a generation config, with None."""
    found: list[tuple[int, list[str] | None]] = []
    for node in tree.visit(tree.lines_of(_offsets(tree.text, _PICKLES))):
        written = node.value if isinstance(node, ast.Attribute) and node.attr in _WRITES_OUT else None
        if written is not None and ast.unparse(written).endswith("generation_config"):
            found.append((written.lineno, None))
        if isinstance(node, ast.Call) and re.fullmatch(PICKLERS, dotted(node.func) or "") and node.args:
            given = node.args[0]
            held = given.values if isinstance(given, ast.Dict) else [given]
            named = [ast.unparse(each) for each in held if isinstance(each, (ast.Name, ast.Attribute))]
            found.append((node.lineno, named))
    return found


def _may_be_model(text: str, names: set[str]) -> bool:
    return text in names or re.search(_MODEL_NAMES, text.rpartition(".")[2]) is not None


def _targets(site: Site) -> set[str]:
    """The names that the load is assigned to, also behind calls such as `.eval()`."""
    tree = site.context.scope.tree
    parent = tree.parent.get(site.call)
    while isinstance(parent, (ast.Attribute, ast.Call, ast.Await)):
        parent = tree.parent.get(parent)
    return {ast.unparse(each) for each in parent.targets} if isinstance(parent, ast.Assign) else set()


def _loads(call: ast.Call) -> bool:
    """Whether a call loads a model, or collects arguments for a load."""
    name = call.func.attr if isinstance(call.func, ast.Attribute) else dotted(call.func) or ""
    return name in ("from_pretrained", "from_config", "pipeline", "load_model", "dict", "update")
