"""Finds calls that generate text, and the generation configs created for them."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from telepathy_lint.flow import same_object
from telepathy_lint.flow.bindings import dotted, written
from telepathy_lint.flow.file import File
from telepathy_lint.flow.tree import Context
from telepathy_lint.flow.value import Value
from telepathy_lint.knowledge import transformers_names as catalog
from telepathy_lint.sites.loads import surely
from telepathy_lint.sites.padding import Tokenizing
from telepathy_lint.sites.site import Site
from telepathy_lint.source.prefilter import DECODING_WORD

_POSITIONS = ("inputs", "generation_config")
#: Typical names of variables for transformers models; other objects have a `generate` method too.
_MODEL_NAME = r"(?i)(?:\w*model\w*|\w*_lm|lm|llm|net|generator|policy\w*|actor\w*|llama|gpt\w*|t5)"
_ENCODERS = r"(?i)tok|processor|feature_extractor|^encode$"
_ENCODING_METHODS = frozenset(
    {"apply_chat_template", "batch_encode_plus", "encode_plus", "pad", "prepare_for_model"}
)
#: Methods of an encoding that return an encoding.
_COPIES = frozenset({"copy", "convert_to_tensors"})
#: Client libraries whose decoding arguments have the same names but are sent to a server.
_CLIENTS = ("text_generation", "InferenceClient", "vllm", "ctransformers", "llama_cpp")


_WORDS = ("generate", DECODING_WORD, "GenerationConfig", "DataCollatorForLanguageModeling")


def find(file: File) -> Iterator[Site]:
    """Yield sites for the `generate` calls of a file, its generation configs and collators."""
    if file.words.has(*_WORDS):
        yield from Generation(file).find()


class Generation:
    """Finds the `generate` calls and `GenerationConfig(...)` calls of one file."""

    def __init__(self, file: File) -> None:
        self.file = file
        self.tree = file.tree
        self.words = file.words
        self.values = file.values
        self.foreign = any(name in self.tree.text for name in _CLIENTS)
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
        for call, context, tokenizers in self.file.fact(Tokenizing).collators():
            arguments, opaque = self.file.arguments.read(call, context, ("tokenizer", "mlm"))
            yield Site(
                kind="collator",
                file=self.file,
                node=call,
                context=context,
                classes=("transformers.DataCollatorForLanguageModeling",),
                arguments=arguments,
                opaque=opaque,
                model_id=None,
                about=tokenizers,
            )

    def _built(self, call: ast.Call) -> Site | None:
        """The site of a `GenerationConfig(...)` call."""
        if catalog.last(dotted(call.func) or "") != "GenerationConfig":
            return None
        context = self.tree.context_of(call)
        values = self.values.evaluate(call.func, context)
        names = [str(value.data) for value in values if value.kind == "symbol"]
        if len(names) != len(values) or not all(catalog.in_transformers(name) for name in names):
            return None
        arguments, opaque = self.file.arguments.read(call, context, ())
        return Site("decoding", self.file, call, context, tuple(names), arguments, opaque, None)

    def _generate(self, call: ast.Call, receiver: ast.expr) -> Site | None:
        context = self.tree.context_of(call)
        about = surely(self.file, receiver, context, "model")
        if not about:
            name = catalog.last(dotted(receiver) or "")
            if self.foreign or not re.fullmatch(_MODEL_NAME, name):
                return None
        return self._site(call, context, about, f"{written(receiver)}.generate")

    def _piped(self, call: ast.Call) -> Site | None:
        """The site of a call of a pipeline object, which passes arguments such as `do_sample` on to `generate`."""
        context = self.tree.context_of(call)
        if not isinstance(call.func, (ast.Name, ast.Attribute)):
            return None
        about = surely(self.file, call.func, context, "pipeline")
        return self._site(call, context, about, written(call.func)) if about else None

    def _site(self, call: ast.Call, context: Context, about: tuple[Site, ...], callee: str) -> Site:
        positions = _POSITIONS if about and about[0].kind == "model" else ()
        arguments, opaque = self.file.arguments.read(call, context, positions)
        for keyword in call.keywords:
            # If a dict is not fully known, its unknown entries may override the known ones.
            if keyword.arg is None and self.values.dicts.content(keyword.value, context).open:
                for name, argument in arguments.items():
                    if argument.node is keyword:
                        arguments[name] = argument._replace(optional=True)
        config = arguments.get("generation_config")
        built = [self._configs.get(value.node) for value in config.values] if config is not None else []
        return Site(
            kind="generate",
            file=self.file,
            node=call,
            context=context,
            classes=(callee,),
            arguments=arguments,
            opaque=opaque and self._gets_unseen(call, context),
            model_id=about[0].model_id if len(about) == 1 else None,
            about=about,
            config=built[0] if len(built) == 1 else None,
        )

    def _gets_unseen(self, call: ast.Call, context: Context) -> bool:
        """Whether the call may get unknown decoding arguments; a tokenizer's output contains none."""
        if any(isinstance(argument, ast.Starred) for argument in call.args):
            return True
        return any(
            keyword.arg is None
            and self.values.dicts.content(keyword.value, context).open
            and not self._is_encoding(keyword.value, context)
            for keyword in call.keywords
        )

    def _is_encoding(self, node: ast.expr, context: Context, depth: int = 0) -> bool:
        values = self.values.evaluate(node, context)
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
        if isinstance(func, ast.Attribute) and func.attr in same_object.METHODS | _COPIES:
            return self._is_encoding(func.value, value.context, depth + 1)
        name = func.attr if isinstance(func, ast.Attribute) else dotted(func) or ""
        if name in _ENCODING_METHODS or re.search(_ENCODERS, name) is not None:
            return True
        return bool(surely(self.file, func, value.context, "tokenizer", "processor"))
