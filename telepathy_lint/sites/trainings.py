"""Finds training runs whose batch, model and sequence length are all in the file, so that their memory can be estimated.

A site is created only if a single model is certainly trained, all of it, on one device. Anything that may
change the memory of a step (adapters, sharding, checkpointing, other losses) is searched for as a word
anywhere in the file, because a missed alarm is cheaper than a false alarm.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator

from telepathy_lint.flow.arguments import Argument
from telepathy_lint.flow.bindings import dotted
from telepathy_lint.flow.file import File
from telepathy_lint.flow.objects import SURELY_IS
from telepathy_lint.flow.value import Value
from telepathy_lint.knowledge import transformers_names as catalog
from telepathy_lint.sites.loads import with_companions
from telepathy_lint.sites.site import Site
from telepathy_lint.source.occurs import occurs

BATCH = "per_device_train_batch_size"
_CONFIGS = ("TrainingArguments", "Seq2SeqTrainingArguments", "SFTConfig")
_TRAINERS = ("Trainer", "Seq2SeqTrainer", "SFTTrainer")
#: The name of the length argument in TRL's trainer up to 0.19. Later versions (`max_length`) use
#: checkpointing and a chunked loss by default, depending on the version, so their memory is not estimated.
_TRL_LENGTH = "max_seq_length"
#: Words of code whose step needs other memory than training all weights in 16 bits.
_OTHERWISE = (
    r"(?i)peft|lora|adapter|prompt_tuning|bitsandbytes|bnb|load_in_|quant|gptq|awq|unsloth|deepspeed|fsdp|zero3|megatron"
    r"|gradient_checkpointing|liger|packing|padding_free|flattening|offload|parallel(?!ism)|colossal|split_batches"
    r"|auto_find_batch_size|torch_compile|torch\.compile|galore|lomo|badam|adafactor|apollo|freez|requires_grad|optimizers"
    r"|create_optimizer|compute_loss|loss_type|chunked|logits_to_keep|block_size|group_texts|num_hidden_layers|from_config"
    r"|no_cuda|use_cpu|torch_xla|torch_tpu|neuron|optimum|model_init|prune|collate|stage3|mixture"
)


def find(file: File) -> Iterator[Site]:
    """Yield sites for the training runs of a file for which everything is known."""
    if BATCH in file.tree.text:
        yield from file.fact(Batches).find()


def length_of(site: Site) -> Value | None:
    """The sequence length of a training run, in tokens."""
    return site.file.fact(Batches).length


class Batches:
    """Finds the training runs of one file."""

    def __init__(self, file: File) -> None:
        self.file = file
        self.tree = file.tree
        self.words = file.words
        self.values = file.values
        self.loads = file.fact(with_companions)
        self.length: Value | None = None

    def find(self) -> Iterator[Site]:
        """Yield the training arguments of the file's only training run, with its model and sequence length."""
        model = self._only_model()
        if model is None:
            return
        configs = list(self._calls(_CONFIGS))
        trainers = list(self._calls(_TRAINERS))
        if len(configs) != 1 or len(trainers) != 1:
            return
        (config, name), (trainer, trained_by) = configs[0], trainers[0]
        if not name or not trained_by:
            return
        given = {keyword.arg: keyword.value for keyword in trainer.keywords}
        if None in given or "model" not in given or "args" not in given:
            return
        context = self.tree.context_of(trainer)
        if self.file.objects.makers(given["model"], context, SURELY_IS) != {model.call}:
            return
        if self.file.objects.makers(given["args"], context, SURELY_IS) != {config}:
            return
        arguments, opaque = self.file.arguments.read(config, self.tree.context_of(config), ())
        # The only positional argument is the output folder.
        if opaque or len(config.args) > 1 or any(isinstance(each, ast.Starred) for each in config.args):
            return
        sft = catalog.last(trained_by) == "SFTTrainer"
        length = self._trl_length(trainer, arguments) if sft else self._padded_length()
        if length is None:
            return
        self.length = length
        yield Site(
            kind="training",
            file=self.file,
            node=config,
            context=self.tree.context_of(config),
            classes=(name,),
            arguments=arguments,
            opaque=opaque,
            model_id=model.model_id,
            about=(model,),
        )

    def _only_model(self) -> Site | None:
        """The model load of a file that has exactly one, and no unknown loads."""
        models = [site for site in self.loads if site.kind in ("model", "pipeline")]
        if len(models) != 1 or models[0].unseen or models[0].indirect or models[0].model_id is None:
            return None
        if not models[0].generative or occurs(_OTHERWISE, self.tree.text):
            return None
        known = {site.node for site in self.loads}
        for node in self.tree.visit(self.tree.lines_of(self.words.find("from_pretrained"))):
            named = isinstance(node, ast.Attribute) and node.attr == "from_pretrained"
            if named and self.tree.parent.get(node) not in known:
                return None
        return models[0]

    def _calls(self, names: tuple[str, ...]) -> Iterator[tuple[ast.Call, str]]:
        """The calls with these names, each with its transformers or TRL class, "" for any other."""
        for node in self.tree.visit(self.tree.lines_of(self.words.find(*names))):
            if isinstance(node, ast.Call) and catalog.last(dotted(node.func) or "") in names:
                values = self.values.evaluate(node.func, self.tree.context_of(node))
                symbol = str(values[0].data) if len(values) == 1 and values[0].kind == "symbol" else ""
                root = symbol.partition(".")[0]
                yield node, symbol if root in ("transformers", "trl") else ""

    def _trl_length(self, trainer: ast.Call, arguments: dict[str, Argument]) -> Value | None:
        """The length to which TRL truncates sequences, from the trainer's call or its arguments."""
        given, _ = self.file.arguments.read(trainer, self.tree.context_of(trainer), ())
        found = [each[_TRL_LENGTH] for each in (given, arguments) if _TRL_LENGTH in each]
        return _number(found[0].values) if len(found) == 1 and not found[0].optional else None

    def _padded_length(self) -> Value | None:
        """The length to which the file's only tokenizer call pads all sequences."""
        calls: dict[ast.Call, ast.expr] = {}
        for node in self.tree.visit(
            self.tree.lines_of(self.words.find("padding", "max_length", "truncation"))
        ):
            keyword = node if isinstance(node, ast.keyword) else None
            call = self.tree.parent.get(node) if keyword is not None else None
            if keyword is None or keyword.arg not in ("padding", "max_length", "truncation"):
                continue
            if not isinstance(call, ast.Call):
                return None
            if not (isinstance(call.func, ast.Attribute) and call.func.attr == "generate"):
                calls[call] = call.func
        if len(calls) != 1:
            return None
        (call, func), *_ = calls.items()
        context = self.tree.context_of(call)
        made_by = self.file.objects.makers(func, context, SURELY_IS)
        tokenizers = {site.call for site in self.loads if site.kind == "tokenizer"}
        if not made_by or not made_by <= tokenizers:
            return None
        arguments, opaque = self.file.arguments.read(call, context, ())
        padding, length = arguments.get("padding"), arguments.get("max_length")
        if opaque or padding is None or length is None:
            return None
        if [value.data for value in padding.values if value.kind == "const"] != ["max_length"]:
            return None
        return _number(length.values)


def _number(values: tuple[Value, ...]) -> Value | None:
    """The integer that all alternatives agree on."""
    if len(values) != 1 or values[0].kind != "const" or type(values[0].data) is not int:
        return None
    return values[0] if values[0].data > 0 else None
