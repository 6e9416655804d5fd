"""Calls that generate text, and the generation configs built for them: what decides how a model decodes."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator

from telepathy_lint.flow.arguments import Arguments
from telepathy_lint.flow.bindings import dotted, written
from telepathy_lint.flow.evaluate import Evaluator, Value
from telepathy_lint.flow.identity import Identity
from telepathy_lint.flow.tree import Context, Tree
from telepathy_lint.knowledge import transformers_names as catalog
from telepathy_lint.sites.padding import Tokenizing
from telepathy_lint.sites.site import Argument, Site
from telepathy_lint.source.prefilter import CodeWords

_POSITIONS = ("inputs", "generation_config")
#: Names under which people keep a model of transformers; other things have a `generate` too.
_MODEL_NAME = r"(?i)(?:\w*model\w*|\w*_lm|lm|llm|net|generator|policy\w*|actor\w*|llama|gpt\w*|t5)"
_ENCODERS = r"(?i)tok|processor|feature_extractor|^encode$"
_ENCODING_METHODS = frozenset(
    {"apply_chat_template", "batch_encode_plus", "encode_plus", "pad", "prepare_for_model"}
)
#: What gives an encoding back.
_SAME = frozenset({"to", "cuda", "cpu", "copy", "convert_to_tensors"})
#: Clients that speak of decoding in the same words and mean their server's.
_CLIENTS = ("text_generation", "InferenceClient", "vllm", "ctransformers", "llama_cpp")


class Generation:
    """Makes sites of one file's `generate` calls and of the `GenerationConfig(...)` it builds."""

    def __init__(
        self,
        tree: Tree,
        words: CodeWords,
        evaluator: Evaluator,
        arguments: Arguments,
        identity: Identity,
        loads: Iterable[Site],
    ) -> None:
        self.tree = tree
        self.words = words
        self.evaluator = evaluator
        self.arguments = arguments
        self.identity = identity
        self.loads: dict[ast.AST, Site] = {site.call: site for site in loads}
        self.tokenizing = Tokenizing(tree, words, evaluator, identity, self.loads)
        self.foreign = any(name in tree.text for name in _CLIENTS)
        self._configs: dict[ast.AST, Site] = {}

    def find(self) -> Iterator[Site]:
        offsets = self.words.find("generate", "do_sample", "GenerationConfig")
        calls = [node for node in self.tree.visit(self.tree.lines_of(offsets)) if isinstance(node, ast.Call)]
        for call in calls:
            if (site := self._built(call)) is not None:
                self._configs[call] = site
        yield from self._configs.values()
        yield from self._collators()
        for call in calls:
            site = None
            if isinstance(call.func, ast.Attribute) and call.func.attr == "generate":
                site = self._generate(call, call.func.value)
            elif any(keyword.arg == "do_sample" for keyword in call.keywords):
                site = self._piped(call)
            if site is not None:
                yield site

    def _collators(self) -> Iterator[Site]:
        for call, context, tokenizers in self.tokenizing.collators():
            arguments, opaque = self.arguments.read(call, context, ("tokenizer", "mlm"))
            lines = [self.tokenizing.eos_padded(site) for site in tokenizers]
            yield Site(
                kind="collator",
                source=self.tree.source,
                call=call,
                context=context,
                classes=("transformers.DataCollatorForLanguageModeling",),
                arguments=arguments,
                opaque=opaque,
                model_id=None,
                about=_in_order(tokenizers),
                eos_padded=lines[0] if None not in lines else None,
            )

    def _built(self, call: ast.Call) -> Site | None:
        """A generation config that is written out in the file."""
        if catalog.last(dotted(call.func) or "") != "GenerationConfig":
            return None
        context = self.tree.context_of(call)
        values = self.evaluator.evaluate(call.func, context)
        names = [str(value.data) for value in values if value.kind == "symbol"]
        if len(names) != len(values) or not all(catalog.in_transformers(name) for name in names):
            return None
        arguments, opaque = self.arguments.read(call, context, ())
        return Site("decoding", self.tree.source, call, context, tuple(names), arguments, opaque, None)

    def _generate(self, call: ast.Call, receiver: ast.expr) -> Site | None:
        context = self.tree.context_of(call)
        made_by = self.identity.made_by(receiver, context)
        about = tuple(self.loads[each] for each in made_by if each in self.loads)
        sure = bool(about) and len(about) == len(made_by) and all(site.kind == "model" for site in about)
        if not sure:
            name = catalog.last(dotted(receiver) or "")
            if self.foreign or not re.fullmatch(_MODEL_NAME, name):
                return None
        return self._site(call, context, _in_order(about) if sure else (), f"{written(receiver)}.generate")

    def _piped(self, call: ast.Call) -> Site | None:
        """A call of a pipeline's object, which hands `do_sample` and its like on to `generate`."""
        context = self.tree.context_of(call)
        if not isinstance(call.func, (ast.Name, ast.Attribute)):
            return None
        made_by = self.identity.made_by(call.func, context)
        about = tuple(self.loads[each] for each in made_by if each in self.loads)
        if not about or len(about) < len(made_by) or any(site.kind != "pipeline" for site in about):
            return None
        return self._site(call, context, _in_order(about), written(call.func))

    def _site(self, call: ast.Call, context: Context, about: tuple[Site, ...], callee: str) -> Site:
        positions = _POSITIONS if about and about[0].kind == "model" else ()
        arguments, opaque = self.arguments.read(call, context, positions)
        for keyword in call.keywords:
            # What a dict says may be overridden in it, where not all of it can be seen.
            if keyword.arg is None and self.evaluator.dicts.content(keyword.value, context).open:
                for name, argument in arguments.items():
                    if argument.node is keyword:
                        arguments[name] = argument._replace(optional=True)
        config = arguments.get("generation_config")
        built = [self._configs.get(value.node) for value in config.values] if config is not None else []
        padded = self._right_padded(call, context, about)
        return Site(
            kind="generate",
            source=self.tree.source,
            call=call,
            context=context,
            classes=(callee,),
            arguments=arguments,
            opaque=opaque and self._gets_unseen(call, context),
            model_id=about[0].model_id if len(about) == 1 else None,
            about=about,
            config=built[0] if len(built) == 1 else None,
            right_padded=padded,
        )

    def _gets_unseen(self, call: ast.Call, context: Context) -> bool:
        """Whether the call may get decoding arguments that cannot be seen; a tokenizer's output holds none."""
        if any(isinstance(argument, ast.Starred) for argument in call.args):
            return True
        return any(
            keyword.arg is None
            and self.evaluator.dicts.content(keyword.value, context).open
            and not self._is_encoding(keyword.value, context)
            for keyword in call.keywords
        )

    def _is_encoding(self, node: ast.expr, context: Context, depth: int = 0) -> bool:
        values = self.evaluator.evaluate(node, context)
        return depth < 6 and all(self._encodes(value, depth) for value in values)

    def _encodes(self, value: Value, depth: int) -> bool:
        node = value.node
        if isinstance(node, ast.DictComp):  # {name: tensor.to(device) for name, tensor in inputs.items()}
            over = node.generators[0].iter
            return (
                isinstance(over, ast.Call)
                and isinstance(over.func, ast.Attribute)
                and over.func.attr == "items"
                and self._is_encoding(over.func.value, value.context, depth + 1)
            )
        if not isinstance(node, ast.Call):
            return False
        func = node.func
        if isinstance(func, ast.Attribute) and func.attr in _SAME:
            return self._is_encoding(func.value, value.context, depth + 1)
        name = func.attr if isinstance(func, ast.Attribute) else dotted(func) or ""
        if name in _ENCODING_METHODS or re.search(_ENCODERS, name) is not None:
            return True
        made_by = self.identity.made_by(func, value.context)
        return bool(made_by) and all(
            each in self.loads and self.loads[each].kind in ("tokenizer", "processor") for each in made_by
        )

    def _right_padded(self, call: ast.Call, context: Context, about: tuple[Site, ...]) -> Argument | None:
        """The argument that brings in a batch which the file's tokenizer visibly pads on the right."""
        if not about or about[0].kind != "model":
            return None
        given: list[tuple[ast.AST, ast.expr]] = [(node, node) for node in call.args[:1]]
        given += [(k, k.value) for k in call.keywords if k.arg in (None, "inputs", "input_ids")]
        for node, expression in given:
            if (made := self.tokenizing.right_padded(expression, context)) is not None:
                name = node.arg if isinstance(node, ast.keyword) else "inputs"
                return Argument(name or "**", (made,), "keyword", node)
        return None


def _in_order(sites: Iterable[Site]) -> tuple[Site, ...]:
    return tuple(sorted(sites, key=lambda site: site.start))
