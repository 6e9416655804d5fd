"""Decides whether a true finding matters, according to the file; `strict` also reports those that do not.

Evidence removes a finding; lack of evidence never does. An answer is only yes if it is certain: an object
that leaves the file, or that is used in a way not listed here, may be used for anything.
"""

from __future__ import annotations

import ast
import re

from telepathy_lint.facts.handled import Use, seen
from telepathy_lint.flow.bindings import dotted
from telepathy_lint.flow.tree import Tree
from telepathy_lint.knowledge.end_tokens import end_tokens
from telepathy_lint.knowledge.published import ids_in
from telepathy_lint.rule import literal
from telepathy_lint.sites import Site
from telepathy_lint.source.occurs import occurs

# ---- precision

#: Float16 mixed precision of a Trainer, of torch and of accelerate.
_SCALES = r"\bfp16\s*=\s*True|GradScaler\(|mixed_precision\s*=\s*[\"']fp16"
_TRAINS_A_PART = r"(?i)peft|lora|requires_grad"


def trains_its_weights(site: Site, scoped: bool = False) -> bool:
    """Whether the file certainly trains the loaded weights, so that float32 is a deliberate choice.

    `scoped` asks for more certainty: variables of other functions with the same name do not count.
    """
    if site.kind != "model" or site.source.once(_trains_a_part):
        return False
    tree = site.context.scope.tree
    return any(trains(use, tree) for use in seen(site, scoped))


def trains_under_a_scaler(site: Site) -> bool:
    """Whether the file trains in float16 mixed precision, whose scaler refuses the gradients of float16 weights."""
    return site.source.once(_scales)


def _scales(text: str) -> bool:
    return occurs(_SCALES, text)


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
    from telepathy_lint.facts import evidence_lines

    return re.fullmatch(evidence_lines.OPTIMIZERS, dotted(call.func) or "") is not None


def is_quantized(site: Site) -> bool:
    """Whether most weights are certainly quantized, so that the dtype only applies to the others."""
    config = site.argument("quantization_config")
    if config is not None and not config.optional:
        return all(value.kind == "call" and str(value.data).endswith("Config") for value in config.values)
    return any(
        (given := site.argument(name)) is not None and literal(given) is True
        for name in ("load_in_4bit", "load_in_8bit")
    )


def may_be_quantized(site: Site) -> bool:
    """Whether the load gets a quantization config that is not certainly None, or may be told to quantize."""
    config = site.argument("quantization_config")
    if config is not None and not all(value.is_none for value in config.values):
        return True
    return any(
        (given := site.argument(name)) is not None
        and not all(value.kind == "const" and not value.data for value in given.values)
        for name in ("load_in_4bit", "load_in_8bit")
    )


def wants_float16(site: Site) -> bool:
    """Whether the checkpoint's kernels need float16, or another rule reports the dtype."""
    from telepathy_lint.facts import evidence

    return (
        is_quantized(site) or evidence.in_the_file(site, ("quantized", "inputs", "float16-amp")) is not None
    )


# ---- texts

#: Code that adds the end-of-sequence token to training texts, by its name.
_EOS = r"eos_token\b|add_eos_token\s*=\s*True"
#: Code where the token is used as padding or to stop generation, not as the end of a text.
_NO_END = r"pad_token(?:_id)?[\"']?\s*[=:].*|eos_token(?:_id)?\s*=.*|\bif\b.*|(?:warn|print|log)\w*\(.*"


#: Code that drops the added tokens of a vocabulary, or the end of a text, from its ids.
_DROPS_ENDS = r"\bif\b[^\r\n]{0,60}<=?\s*[\w.]*vocab_size\b[^\r\n]{0,20}\]|\bif\b[^\r\n]{0,60}!=\s*[\w.]*eos_token(?:_id)?\b[^\r\n]{0,20}\]"
#: A tokenizer's call that cuts texts, with their most tokens.
_CUTS = r"\bmax_length\s*=\s*([\w.]{1,80})\s*,[^()]{0,200}\btruncation\s*=\s*True|\btruncation\s*=\s*True\s*,[^()]{0,200}\bmax_length\s*=\s*([\w.]{1,80})"
_FEW_TOKENS = 64
#: Code that keeps or uses what was trained.
_KEEPS_A_MODEL = r"save_pretrained|save_model|push_to_hub|save_strategy|save_steps|state_dict|merge_and_unload|\.generate\(|parse_args|evaluate\("


def keeps_what_it_trains(text: str) -> bool:
    """Whether a file saves or uses a model after its training, or may be told to."""
    return occurs(_KEEPS_A_MODEL, text)


def cuts_ends(text: str) -> bool:
    """Whether a file cuts all texts to so few tokens that their ends are lost."""
    if "truncation" not in text:
        return False
    found = re.findall(_CUTS, re.sub(r"#[^\r\n]*", "", text))
    lengths = [before or behind for before, behind in found]
    return bool(lengths) and all(each.isdigit() and int(each) <= _FEW_TOKENS for each in lengths)


#: So many characters of a call are looked through for its end.
_LONGEST_CALL = 2000
#: The name that holds what an entry of an example gets: `"labels": name.input_ids`.
_GIVES = r"[\"']{}[\"']\]?[ \t]*[:=](?!=)[ \t]*(\w+)"


def has_real_ends(text: str) -> bool:
    """Whether the text shows that training texts end with the end-of-sequence token."""
    if occurs(_DROPS_ENDS, text):
        return False
    ends = "|".join([_EOS, *map(re.escape, end_tokens(ids_in(text) or (text,)))])
    for line in _without_labels_apart(text).splitlines():
        code = line.partition("#")[0]
        if re.search(ends, code) and re.search(ends, re.sub(_NO_END, "", code)):
            return True
    return False


def _without_labels_apart(text: str) -> str:
    """A text without the calls that only make labels: the collator replaces them by the inputs, so what ends them is not trained on."""
    if '"labels"' not in text and "'labels'" not in text:
        return text
    inputs, labels = (set(re.findall(_GIVES.format(key), text)) for key in ("input_ids", "labels"))
    if not inputs or not labels or inputs & labels:
        return text
    names = "|".join(sorted(map(re.escape, labels)))
    found = re.finditer(rf"\b(?:{names})[ \t]*=[ \t]*[\w.]{{1,100}}\(", text)
    kept, at = [], 0
    for each in found:
        if each.end() >= at:
            kept.append(text[at : each.end()])
            at = _end_of_call(text, each.end())
    return "".join([*kept, text[at:]])


def _end_of_call(text: str, start: int) -> int:
    """Where the call ends whose first argument starts here; the start itself where its end is not near."""
    depth = 1
    for at in range(start, min(len(text), start + _LONGEST_CALL)):
        depth += (text[at] == "(") - (text[at] == ")")
        if depth == 0:
            return at
    return start
