"""Decides whether a true finding matters, according to the file; `strict` also reports those that do not.

Evidence removes a finding; lack of evidence never does. An answer is only yes if it is certain: an object
that leaves the file, or that is used in a way not listed here, may be used for anything.
"""

from __future__ import annotations

import ast
import re
from functools import partial

from telepathy_lint.facts import evidence, evidence_lines
from telepathy_lint.facts.decoding import does_one_task
from telepathy_lint.facts.handled import LOOKERS, Use, handled, seen
from telepathy_lint.facts.placement import is_at_work
from telepathy_lint.facts.reach import reach_of, trees
from telepathy_lint.flow import same_object
from telepathy_lint.flow.bindings import dotted
from telepathy_lint.flow.tree import Tree
from telepathy_lint.knowledge.shipped_decoding import ships_greedy
from telepathy_lint.rule import literal
from telepathy_lint.sites import Site
from telepathy_lint.source.occurs import occurs

# ---- decoding

#: Code that generates text, or passes the model to something that may.
_GENERATES = (
    r"generate\b(?!d)\s*[,)=]|text-generation|text2text|(?<![A-Za-z_])pipeline\(|lm_eval|simple_evaluate|\.chat\("
    r"|PPOTrainer|GRPOTrainer|RLOOTrainer|OnlineDPOTrainer|NashMDTrainer|XPOTrainer|GKDTrainer"
)
#: Trainers that only compute losses, without options such as `predict_with_generate` (searched for in the
#: text).
_LOSS_TRAINERS = frozenset(
    {"Trainer", "SFTTrainer", "DPOTrainer", "KTOTrainer", "ORPOTrainer", "CPOTrainer", "RewardTrainer"}
)
#: Methods of a model that do not generate.
_PLAIN_METHODS = frozenset({
    "parameters", "named_parameters", "modules", "named_modules", "buffers", "state_dict", "load_state_dict", "zero_grad",
    "save_pretrained", "push_to_hub", "save_checkpoint", "resize_token_embeddings", "forward", "tie_weights",
    "get_input_embeddings", "get_output_embeddings", "num_parameters", "print_trainable_parameters", "enable_input_require_grads",
    "gradient_checkpointing_enable", "gradient_checkpointing_disable", "get_nb_trainable_parameters", "get_memory_footprint",
    "register_forward_hook", "named_children", "children", "set_input_embeddings", "get_submodule",
})  # fmt: skip
_PLAIN_ATTRIBUTES = frozenset({
    "config", "device", "dtype", "training", "hf_device_map", "is_parallelizable", "model_parallel", "lm_head", "model",
    "transformer", "layers", "embed_tokens", "gpt_neox", "h", "norm", "name_or_path", "is_quantized", "supports_gradient_checkpointing",
})  # fmt: skip
#: Parts of a model that code accesses for their weights or to add hooks.
_PARTS = frozenset({"lm_head", "transformer", "layers", "embed_tokens", "gpt_neox", "h", "norm"})
#: Options with which a trainer generates with its model.
_GENERATES_ELSEWHERE = (
    r"predict_with_generate|generate_during_eval|rainer\.(?:generate|predict)"
    r"|rainer\.model\b(?!\.(?:save_pretrained|push_to_hub|config|state_dict|parameters|named_parameters|eval|train)\b)"
)
_LENGTHS = ("max_new_tokens", "max_length")
#: Code that uses a model without generating: losses, gradients, hidden states, probabilities.
_COMPUTES = r"\.backward\(|output_hidden_states|\.hidden_states\b|\.logits\b|\.loss\b|requires_grad|\.grad\b|register_forward_(?:pre_)?hook|Trainer\(|log_softmax|last_hidden_state|pooler_output|merge_and_unload"
#: Code that sets in a dict how to decode.
_SAMPLES_IN_A_DICT = r"""(?<=["'])do_sample["']\s*(?::|\]\s*=)|(?<![\w.])dict\([^)]*do_sample"""
#: Code that generates without calling the model's `generate`.
_OTHER_WAYS = r"text-generation|text2text|(?<![A-Za-z_])pipeline\(|lm_eval|simple_evaluate|\.chat\("


def decoding_is_settled(site: Site) -> bool:
    """Whether the loaded model certainly never generates, or each call that generates sets how it decodes."""
    if site.kind == "model" and site.model_id is not None and ships_greedy(site.model_id):
        tree = site.context.scope.tree
        if site.source.remember("lengths", partial(_every_call_states_a_length, tree)):
            return True
    return _is_settled_here(site) or (site.kind == "model" and _is_settled_in_the_project(site))


def _is_settled_in_the_project(site: Site) -> bool:
    """The same for a model that other modules of the project get, according to these modules."""
    reach = reach_of(site)
    if reach is None:
        return False
    texts = (site.source.text, *reach.texts)
    if not any(map(_may_generate, texts)):
        return any(map(_computes, reach.users))
    if any(occurs(_OTHER_WAYS, text) or _generates_elsewhere(text) for text in texts):
        return False
    generating = trees(site, reach, ".generate(")
    if generating is None:
        return False
    if ".generate(" in site.source.text:
        generating.append(site.context.scope.tree)
    return bool(generating) and all(map(_every_call_states_decoding, generating))


def _is_settled_here(site: Site) -> bool:
    generates = site.source.once(_may_generate)
    if not generates and (site.source.once(_computes) or _is_a_notebook_at_work(site)):
        return True
    if site.source.remember("decoding", partial(_every_call_states_decoding, site.context.scope.tree)):
        return True
    if generates and site.source.once(_generates_elsewhere):
        return False
    if site.kind == "pipeline":
        uses = handled(site, lambda use: use.how == "call" and _states_decoding(use))
        return bool(uses)
    uses = handled(site, partial(_leaves_decoding_settled, site))
    if not uses:
        return False
    if any(use.name in ("generate", "pipeline") for use in uses):
        return True
    if generates and any(use.how == "argument" and use.name not in LOOKERS for use in uses):
        return False  # the model may be passed to code that generates
    return any(_tells_a_purpose(use) or _is_computed_with(site, use) for use in uses)


def _is_a_notebook_at_work(site: Site) -> bool:
    """Whether a notebook uses a model: nothing imports a notebook, so that it shows all uses."""
    return site.source.path.endswith(".ipynb") and bool(site.source.once(is_at_work))


def _computes(text: str) -> bool:
    return occurs(_COMPUTES, text)


def _generate_calls(tree: Tree) -> list[Use]:
    lines = tree.lines_of(match.start() for match in re.finditer(r"\.generate\(", tree.text))
    return [
        Use("method", "generate", node.func, node)
        for node in tree.visit(lines)
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr == "generate"
    ]


def _every_call_states_a_length(tree: Tree) -> bool:
    """Whether the file only generates with `.generate(...)`, and each call sets a length."""
    if occurs(_OTHER_WAYS, tree.text) or _generates_elsewhere(tree.text):
        return False
    calls = _generate_calls(tree)
    return bool(calls) and all(any(map(use.keyword, _LENGTHS)) for use in calls)


def _every_call_states_decoding(tree: Tree) -> bool:
    """Whether the file only generates with `.generate(...)`, and each call sets how it decodes."""
    text = tree.text
    if "do_sample" not in text or occurs(_OTHER_WAYS, text) or _generates_elsewhere(text):
        return False
    calls = _generate_calls(tree)
    in_a_dict = occurs(_SAMPLES_IN_A_DICT, text)
    return bool(calls) and all(
        _states_decoding(use)
        or (use.spreads and in_a_dict)
        or use.keyword("sampling_params") is not None  # of vLLM
        for use in calls
    )


def _leaves_decoding_settled(site: Site, use: Use) -> bool:
    if use.name == ("generate" if use.how == "method" else "pipeline") and use.how in ("method", "argument"):
        return _states_decoding(use)
    return _is_plain(use) or _is_computed_with(site, use)


def _is_computed_with(site: Site, use: Use) -> bool:
    """Whether a function in another module of the project gets the model, and nothing in that module generates."""
    modules = site.file.modules
    if use.how != "argument" or use.call is None or modules is None:
        return False
    root, _, rest = (dotted(use.call.func) or "").partition(".")
    bound = site.context.scope.tree.top.bindings.get(root, [])
    if len(bound) != 1 or bound[0].kind != "import" or not bound[0].symbol:
        return False
    symbol = f"{bound[0].symbol}.{rest}" if rest else bound[0].symbol
    texts = [modules.text(path) for path in modules.files(symbol, site.source.path)]
    return bool(texts) and not any(map(_may_generate, texts)) and any(map(_computes, texts))


def _states_decoding(use: Use) -> bool:
    sampling = use.keyword("do_sample")
    return (
        sampling is not None
        and not (isinstance(sampling, ast.Constant) and sampling.value is None)
        and any(use.keyword(name) is not None for name in _LENGTHS)
    )


def _is_plain(use: Use) -> bool:
    if use.how == "argument":
        return use.name in _LOSS_TRAINERS | LOOKERS or (
            use.call is not None and same_object.gives_back(use.call)
        )
    if use.how == "method":
        return use.name in _PLAIN_METHODS
    return use.how in ("call", "store") or use.name in _PLAIN_ATTRIBUTES


def _tells_a_purpose(use: Use) -> bool:
    """Whether the use shows the purpose of the model, rather than its preparation."""
    if use.how == "argument":
        return use.name in _LOSS_TRAINERS
    if use.how == "attribute":
        return use.name in _PARTS
    return use.how == "call" or (use.how == "method" and use.name in _PLAIN_METHODS)


def _generates_elsewhere(text: str) -> bool:
    return occurs(_GENERATES_ELSEWHERE, text)


def _may_generate(text: str) -> bool:
    """Whether something in a file may generate text. A function of the file is not a sign by its name: its body is."""
    if occurs(_GENERATES, text):
        return True
    names = set(re.findall(r"(\w{0,80}generate\w{0,80})\(", text)) if "generate" in text else set()
    return any(name == "generate" or f"def {name}(" not in text for name in names)


def ships_what_fits(site: Site) -> bool:
    """Whether the checkpoint's decoding belongs to the model: encoder-decoders ship beams and do not sample."""
    names = (*site.loaded, site.model_id or "")
    task = site.argument("task")
    tasks = [str(value.data) for value in task.values] if task is not None else []
    return (
        any(map(does_one_task, names))
        or all(re.search(_WRITES_FROM_AN_ENCODER, name) for name in site.loaded)
        or (bool(tasks) and all(re.fullmatch(_ONE_TASK_PIPELINES, each) for each in tasks))
    )


_WRITES_FROM_AN_ENCODER = r"Seq2SeqLM$|SpeechSeq2Seq$|(?:T5|UMT5|Blip|Git)For\w+$"
_ONE_TASK_PIPELINES = (
    r"summarization|translation\w*|text2text-generation|image-to-text|automatic-speech-recognition"
)


# ---- precision

#: Ids whose names show that the model is small: at most 0.4 GB in bfloat16.
_SMALL = (
    r"(?i)(?:^|[/_-])(?:(?:distil|tiny|mobile)?(?:bert|roberta)|distilgpt2|electra|albert|mpnet|minilm|bge|e5|gte|longformer"
    r"|xlnet|deberta|bigbird|camembert)\b"
    r"(?:.*[-_](?:tiny|mini|small|base|l6|l12)\b.*|.*v2$)"
)
#: Classes whose published checkpoints are that small, or encoder-decoders with at most 1.6 billion
#: parameters.
_SMALL_CLASSES = (
    r"For(?:TokenClassification|MaskedLM|QuestionAnswering)$|\.(?:VisionEncoderDecoder|ConditionalDetr|DeformableDetr|Detr"
    r"|Bert|Roberta|XLMRoberta(?!XL)|Camembert|Electra|MPNet|ViT|DeiT|Beit|Swin|ConvNext|ResNet|Segformer"
    r"|TableTransformer|Yolos|DistilBert|MobileBert|MobileNetV[12]|MobileViT|M?Bart|Whisper|Marian|Pegasus|LED)[A-Z]\w*"
)
_TRAINS_A_PART = r"(?i)peft|lora|requires_grad"


def trains_its_weights(site: Site) -> bool:
    """Whether the file certainly trains the loaded weights, so that float32 is a deliberate choice."""
    if site.kind != "model" or site.source.once(_trains_a_part):
        return False
    tree = site.context.scope.tree
    return any(trains(use, tree) for use in seen(site))


def _trains_a_part(text: str) -> bool:
    return occurs(_TRAINS_A_PART, text)


def trains(use: Use, tree: Tree) -> bool:
    """Whether a use of a model passes its weights to code that trains them."""
    if use.how == "argument" and use.name.endswith("Trainer") and use.call is not None:
        first = bool(use.call.args) and use.call.args[0] is use.node
        return (first or use.keyword("model") is use.node) and ".train(" in tree.text
    return use.how == "method" and use.name in ("parameters", "named_parameters") and _optimized(use, tree)


def _optimized(use: Use, tree: Tree) -> bool:
    """Whether parameters are passed to an optimizer, directly or through one name."""
    node: ast.AST | None = use.node
    while node is not None and not isinstance(node, ast.stmt):
        if isinstance(node, ast.Call) and _is_optimizer(node):
            return True
        node = tree.parent.get(node)
    if not isinstance(node, ast.Assign) or not isinstance(node.targets[0], ast.Name):
        return False
    name = node.targets[0].id
    return any(
        isinstance(each, ast.Call)
        and _is_optimizer(each)
        and any(
            isinstance(one, ast.Name) and one.id == name for given in each.args for one in ast.walk(given)
        )
        for each in tree.visit(tree.lines_with(name))
    )


def _is_optimizer(call: ast.Call) -> bool:
    return re.fullmatch(evidence_lines.OPTIMIZERS, dotted(call.func) or "") is not None


def is_small(site: Site) -> bool:
    """Whether the id names a small encoder, or the class only has models that are small in any dtype."""
    if all(re.search(_SMALL_CLASSES, name) for name in site.loaded):
        return True
    return not site.generative and site.model_id is not None and re.search(_SMALL, site.model_id) is not None


def is_quantized(site: Site) -> bool:
    """Whether most weights are certainly quantized, so that the dtype only applies to the others."""
    config = site.argument("quantization_config")
    if config is not None and not config.optional:
        return all(value.kind == "call" and str(value.data).endswith("Config") for value in config.values)
    return any(
        (given := site.argument(name)) is not None and literal(given) is True
        for name in ("load_in_4bit", "load_in_8bit")
    )


def wants_float16(site: Site) -> bool:
    """Whether the checkpoint's kernels need float16, or another rule reports the dtype."""
    return is_quantized(site) or evidence.withheld(site, ("quantized", "inputs", "float16-amp")) is not None


# ---- texts

#: Code that adds the end-of-sequence token to training texts, by its name or text.
_EOS = (
    r"eos_token\b|add_eos_token\s*=\s*True|</s>|<\|endoftext\|>|<\|im_end\|>|<\|eot_id\|>|<\|end_of_text\|>"
)
#: Code where the token is used as padding or to stop generation, not as the end of a text.
_NO_END = r"pad_token(?:_id)?[\"']?\s*[=:].*|eos_token(?:_id)?\s*=.*|\bif\b.*|(?:warn|print|log)\w*\(.*"


def has_real_ends(text: str) -> bool:
    """Whether the text shows that training texts end with the end-of-sequence token."""
    for line in text.splitlines():
        code = line.partition("#")[0]
        if re.search(_EOS, code) and re.search(_EOS, re.sub(_NO_END, "", code)):
            return True
    return False
