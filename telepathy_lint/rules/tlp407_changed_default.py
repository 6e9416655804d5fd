from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from telepathy_lint.facts.out_of_use import is_bare
from telepathy_lint.facts.versions_told_apart import depends_on_release
from telepathy_lint.facts.weight_sizes import ships_bfloat16
from telepathy_lint.findings.finding import Finding
from telepathy_lint.flow.file import File
from telepathy_lint.rule import Meta, Rule, line_name, literal
from telepathy_lint.settings import Settings
from telepathy_lint.sites import Site
from telepathy_lint.source.occurs import LINE_START

#: Arguments of the PPOConfig of trl before 0.12.
_OF_OLD_TRL = ("log_with", "tracker_kwargs", "model_name")
_TRACKERS = (
    LINE_START
    + r"[ \t]*(?:import|from)[ \t]+(?:wandb|mlflow|comet_ml|tensorboard|tensorboardX|clearml|neptune|swanlab|trackio)\b"
)
#: Models whose tokenizers ignore `add_eos_token` in transformers 4; those of Llama 2, Gemma, Cohere and GPT-NeoX heed it.
_WITHOUT_END = r"(?i)(?:^|/)(?:Qwen[\d._-]|(?:Meta-)?Llama-3|gpt2|bloom)"
_LOADED_AS = (
    "AutoTokenizer",
    "Qwen2Tokenizer",
    "Qwen2TokenizerFast",
    "GPT2TokenizerFast",
    "BloomTokenizerFast",
)
_QUANTIZED = ("quantization_config", "load_in_4bit", "load_in_8bit")


class ChangedDefault(Rule):
    """A default that transformers 5 changed decides what the script computes, logs or saves.

    Nothing raises. Without `dtype`, a model is loaded in float32 by transformers 4 and in the checkpoint's dtype by 5, so that a
    training without mixed precision updates bfloat16 weights. Without `report_to`, transformers 4 logs to every tracker that
    is installed and 5 to none. `save_pretrained(safe_serialization=False)` writes `pytorch_model.bin` in 4 and
    `model.safetensors` in 5. A text-generation pipeline that gets `max_length` as it is called generates 256 tokens all the same in 4.57;
    5 counts the prompt as well, and cuts a prompt that is longer. `add_eos_token=True` ends no text in 4 with the fast tokenizers of Qwen, Llama 3,
    GPT-2 and Bloom, and each in 5.

    The rule is on by default where the project's requirements allow both 4 and 5. It speaks of a dtype only where the script
    trains the model, and of `report_to` only where the file imports a tracker. It changes nothing: what is meant is for you
    to say. Unless strict, it speaks of a dtype in a project only for checkpoints that are known to be in bfloat16: others are often float32.
    Unless strict, what is in a file of older libraries is left out, as by TLP107.

    Bad:

        from transformers import AutoModelForCausalLM, Trainer

        model = AutoModelForCausalLM.from_pretrained("gpt2")
        Trainer(model=model, train_dataset=data).train()

    Good:

        import torch
        from transformers import AutoModelForCausalLM, Trainer

        model = AutoModelForCausalLM.from_pretrained("gpt2", dtype=torch.float32)
        Trainer(model=model, train_dataset=data).train()
    """

    meta = Meta(
        code="TLP407",
        name="changed-default",
        message="other default in transformers 5",
        since="0.1.0",
        kinds=("trainer", "training_config", "saving", "pipeline_call", "tokenizer"),
        five=("admits",),
    )

    def check(self, site: Site, settings: Settings) -> Iterator[Finding]:
        if depends_on_release(site):
            return
        if site.kind == "trainer":
            yield from self._trained(site)
        elif site.kind == "pipeline_call":
            yield from self._piped(site)
        elif site.kind == "tokenizer":
            ends = site.argument("add_eos_token")
            if ends is not None and literal(ends) is True and _ignored_the_end(site):
                detail = "this tokenizer ignores add_eos_token in transformers 4, and 5 ends each text with the end-of-text token"
                yield site.at(ends, f"{detail}: leave it out, or add the token to the text")
        elif site.kind == "training_config":
            own = any(
                name in site.arguments for name in _OF_OLD_TRL
            )  # it was no TrainingArguments, and asked for its trackers
            if not site.opaque and "report_to" not in site.arguments and not own and _tracks(site):
                detail = "without report_to, transformers 4 logs to every tracker that is installed and 5 to none: pass report_to"
                yield site.at_call(detail)
        else:
            safe = site.argument("safe_serialization")
            if safe is not None and not safe.optional and literal(safe) is False:
                detail = (
                    "safe_serialization=False writes pytorch_model.bin in transformers 4 and is ignored by 5"
                )
                yield site.at(safe, f"{detail}, which writes model.safetensors")

    def matters(self, site: Site, settings: Settings) -> bool:
        return site.kind != "trainer" or is_bare(site) or any(map(ships_bfloat16, _models(site)))

    def _piped(self, site: Site) -> Iterator[Finding]:
        """The `max_length` of a call of a text-generation pipeline."""
        length = site.argument("max_length")
        if length is None or length.optional or site.opaque or not site.about:
            return
        tasks = [load.argument("task") for load in site.about if load.kind == "pipeline"]
        if len(tasks) != len(site.about) or not all(
            task is not None and literal(task) == "text-generation" for task in tasks
        ):
            return
        if site.argument("max_new_tokens", "generation_config") is None:
            detail = "pipelines ignore max_length in transformers 4.57, and 5 ends the text there and cuts the prompt to it: pass max_new_tokens"
            yield site.at(length, detail)

    def _trained(self, site: Site) -> Iterator[Finding]:
        """The loads without a dtype whose weights the trainer updates."""
        if re.search(r"(?i)\bpeft|lora", site.source.text):
            return
        for load in _models(site):
            if (
                load.indirect
                or not load.lacks("dtype", "torch_dtype")
                or load.argument(*_QUANTIZED) is not None
            ):
                continue
            if site.file.fact(_trainers).get(load.node) is not site.node:
                continue  # said of the first trainer that gets it
            where = line_name(site.source, site.call.lineno)
            detail = f"without dtype, transformers 4 loads float32 and 5 the checkpoint's dtype, in which {where} trains: pass dtype"
            yield site.at(load.call.func, detail)


def _ignored_the_end(site: Site) -> bool:
    """Whether the tokenizer certainly is one that ignores `add_eos_token` in transformers 4."""
    fast = site.argument("use_fast")
    if site.indirect or site.model_id is None or (fast is not None and literal(fast) is not True):
        return False
    known = all(each.rpartition(".")[2] in _LOADED_AS for each in site.classes)
    return known and re.search(_WITHOUT_END, site.model_id) is not None


def _tracks(site: Site) -> bool:
    """Whether the file imports something that training logs go to."""
    return re.search(_TRACKERS, site.source.text) is not None


def _models(site: Site) -> list[Site]:
    """The loads whose model a trainer may get."""
    from telepathy_lint.sites.loads import loads_of

    given = site.call.args[0] if site.call.args else None
    for keyword in site.call.keywords:
        given = keyword.value if keyword.arg == "model" else given
    if given is None or isinstance(given, ast.Starred):
        return []
    return list(loads_of(site.file, given, site.context, "model"))


def _trainers(file: File) -> dict[ast.AST, ast.AST]:
    """For each load, the first trainer in the file that gets its model."""
    from telepathy_lint.sites.training_calls import find

    found: dict[ast.AST, ast.AST] = {}
    trainers = [site for site in find(file) if site.kind == "trainer"]
    for site in sorted(trainers, key=lambda each: each.call.lineno):
        for load in _models(site):
            found.setdefault(load.node, site.node)
    return found
