from __future__ import annotations

import ast
from collections.abc import Iterator

from telepathy_lint.facts.tensor_use import used_as_tensor
from telepathy_lint.facts.versions_told_apart import depends_on_release
from telepathy_lint.findings.change import Change, Repair
from telepathy_lint.findings.finding import Finding
from telepathy_lint.knowledge.model_attributes import (
    CACHE_OF_TUPLES,
    CONFIG_ATTRIBUTES,
    METHODS,
    MODEL_ATTRIBUTES,
)
from telepathy_lint.rule import Meta, Rule
from telepathy_lint.settings import Settings
from telepathy_lint.sites import Site


class RemovedAttribute(Rule):
    """A model, config, cache or processor is asked for an attribute that transformers 5 removed.

    An AttributeError, some hours into a job at worst. The parts of vision-language models are those of `model.model`
    (`vision_tower`, `language_model`, `visual`). `freeze_feature_extractor` is `freeze_feature_encoder`. Configs have no settings of generation and
    no `rope_theta`. `get_text_features` and `get_image_features` of CLIP and its like give an output where they gave a tensor. Caches are no tuples: `past_key_values[0]` raises a TypeError, and `to_legacy_cache` is gone.

    The rule is on by default where the project's requirements allow transformers 5. An attribute of a model or its config is
    reported only if the file loads the model, with a class that is known to lack it.
    Unless strict, what is in a file of older libraries is left out, as by TLP107, and so is what an expression only reads in
    one of its cases (`given if given is not None else model.config.max_length`), and a cache that is made under `isinstance(x, tuple)`.

    Bad:

        from transformers import Wav2Vec2ForCTC

        model = Wav2Vec2ForCTC.from_pretrained("facebook/wav2vec2-base", dtype="auto")
        model.freeze_feature_extractor()

    Good:

        from transformers import Wav2Vec2ForCTC

        model = Wav2Vec2ForCTC.from_pretrained("facebook/wav2vec2-base", dtype="auto")
        model.freeze_feature_encoder()
    """

    meta = Meta(
        code="TLP410",
        name="removed-attribute",
        message="removed attribute",
        since="0.1.0",
        kinds=("model_read",),
        fix="safe",
        five=("admits", "needs"),
    )

    def check(self, site: Site, settings: Settings) -> Iterator[Finding]:
        if depends_on_release(site):
            return
        what, node = site.classes[0].rpartition(".")[2], site.node
        if isinstance(node, ast.Subscript):
            detail = "caches cannot be indexed since 5.0, and raise a TypeError: read keys and values of each of past_key_values.layers"
            yield site.at(node, detail)
            return
        if isinstance(node, ast.Call):
            if used_as_tensor(site):
                assert isinstance(node.func, ast.Attribute)
                detail = f"{node.func.attr} gives an output since 5.0, and the code uses it as a tensor: read its pooler_output"
                yield site.at(node.func, detail)
            return
        assert isinstance(node, ast.Attribute)
        name = node.attr
        if what == "model":
            gone = MODEL_ATTRIBUTES[name]
            detail = f"models have no {name} since 5.0, and raise an AttributeError: {gone.advice}"
        elif what == "config":
            advice = CONFIG_ATTRIBUTES.get(name, f"read generation_config.{name}")
            detail = f"configs have no {name} since 5.0, and raise an AttributeError: {advice}"
        else:
            detail = f"{name} is gone since 5.0, and raises an AttributeError: {METHODS[name]}"
        yield site.at(node, detail, fix=self.repair(site, node, settings))

    def matters(self, site: Site, settings: Settings) -> bool:
        return not (_is_one_case(site) or _is_for_tuples(site))

    def repair(self, site: Site, node: ast.Attribute, settings: Settings) -> Repair | None:
        source, lowest = site.source, settings.target_version
        end = source.end_of(node)
        start = end - len(node.attr)
        if source.text[start:end] != node.attr:
            return None
        if node.attr == "from_legacy_cache":
            call = site.file.tree.parent.get(node)
            if (
                lowest is None
                or lowest < CACHE_OF_TUPLES
                or not isinstance(call, ast.Call)
                or len(call.args) != 1
            ):
                return None
            if not isinstance(node.value, ast.Name) or node.value.id != "DynamicCache" or call.keywords:
                return None
            change = Change(texts=((source.end_of(node.value), end, ""),))
            return Repair("safe", "make the cache of tuples", change)
        gone = MODEL_ATTRIBUTES.get(node.attr) if site.classes[0].endswith(".model") else None
        if (
            gone is None
            or gone.since is None
            or (gone.since > (4, 46) and (lowest is None or lowest < gone.since))
        ):
            return None
        if "." in gone.new and not _is_itself(site, node):
            return None  # the `model` of an adapter's model is the whole one
        return Repair("safe", f"read {gone.new}", Change(texts=((start, end, gone.new),)))


def _is_one_case(site: Site) -> bool:
    """Whether the read is in a case of a conditional expression, or behind `or` or `and`."""
    node: ast.AST = site.node
    while (above := site.file.tree.parent.get(node)) is not None and not isinstance(node, ast.stmt):
        if isinstance(above, ast.IfExp) and node is not above.test:
            return True
        if isinstance(above, ast.BoolOp) and node is not above.values[0]:
            return True
        node = above
    return False


def _is_for_tuples(site: Site) -> bool:
    """Whether a cache is made of what the code has found to be a tuple, which no model of transformers 5 gives."""
    parents = site.file.tree.parent
    call = parents.get(site.node)
    named = isinstance(site.node, ast.Attribute) and site.node.attr == "from_legacy_cache"
    if not named or not isinstance(call, ast.Call) or not call.args:
        return False
    given = ast.dump(call.args[0])
    node: ast.AST = call
    while (above := parents.get(node)) is not None and not isinstance(
        above, (ast.FunctionDef, ast.AsyncFunctionDef)
    ):
        if isinstance(above, ast.If) and node in above.body and _asks_for_a_tuple(above.test, given):
            return True
        node = above
    return False


def _asks_for_a_tuple(test: ast.expr, given: str) -> bool:
    return (
        isinstance(test, ast.Call)
        and isinstance(test.func, ast.Name)
        and test.func.id == "isinstance"
        and len(test.args) == 2
        and ast.dump(test.args[0]) == given
        and isinstance(test.args[1], ast.Name)
        and test.args[1].id == "tuple"
    )


def _is_itself(site: Site, node: ast.Attribute) -> bool:
    """Whether an object is what was loaded, and nothing around it."""
    from telepathy_lint.flow.objects import IS_ITSELF
    from telepathy_lint.sites.loads import loads_of

    return bool(loads_of(site.file, node.value, site.context, "model", policy=IS_ITSELF))
