from __future__ import annotations

import ast
import os
import re
from collections.abc import Iterator

from telepathy_lint.facts.versions_told_apart import depends_on_release
from telepathy_lint.findings.change import Change, Repair
from telepathy_lint.findings.finding import Finding
from telepathy_lint.knowledge.load_arguments import OLD_CLASSES
from telepathy_lint.knowledge.migration import (
    IMPORT_STRUCTURE,
    MOVED,
    OLD_VALUES,
    PEFT_NAMES,
    Version,
    instead_in_trl,
    is_of_another_framework,
    moved_in_trl,
    named,
    removed_since,
    renamed_class,
)
from telepathy_lint.rule import Meta, Rule
from telepathy_lint.settings import Settings
from telepathy_lint.sites import Site


class RemovedName(Rule):
    """A class, function or module is imported that transformers, trl or peft no longer have.

    The import raises an ImportError, an attribute of the package an AttributeError. Gone are the classes for TensorFlow and
    Flax (`TF...`, `Flax...`), feature extractors that are image processors now, `AdamW` (since 4.50), the agents, old caches,
    the datasets and metrics of the examples, and modules that moved. The tables list every public name that transformers 4.46
    or later had and the newest release lacks.

    The rule is on by default where the project's requirements allow transformers 5. A name that a release removed which the
    project leaves out (`transformers<5.3`) is not reported, and unless strict none that is newer than an exact version
    (`transformers==5.2.0`). An import is not reported if the code asks
    for the release around it, or catches the ImportError. Loads of `AutoModelForVision2Seq` are TLP107's.
    Unless strict, what is in a file of older libraries is left out, as by TLP107; what trl and peft removed is not.
    Where only another requirement leaves out transformers 5 (`huggingface-hub<1.0`), what transformers 4, trl and peft removed is reported
    still, up to the release that the requirements allow (`trl==0.12.0`).

    Bad:

        from transformers import AutoModelForCausalLM, LayoutLMv3FeatureExtractor

        extractor = LayoutLMv3FeatureExtractor()

    Good:

        from transformers import AutoModelForCausalLM, LayoutLMv3ImageProcessor

        extractor = LayoutLMv3ImageProcessor()

    Fix safety: a class is not renamed where a string, `globals()`, another module or a test has it from the file by its old name.
    """

    meta = Meta(
        code="TLP404",
        name="removed-name",
        message="removed name",
        since="0.1.0",
        kinds=("removed_name",),
        fix="safe",
        five=("others", "admits", "needs"),
    )

    def check(self, site: Site, settings: Settings) -> Iterator[Finding]:
        if depends_on_release(site) or _is_for_types(site):
            return
        for symbol in site.classes:
            name = symbol.rpartition(".")[2]
            if name in OLD_CLASSES and f"{name}.from_" in site.source.text:
                continue  # its loads are reported, and with them the import goes
            if not settings.reaches(*_gone_since(symbol, name)):
                continue
            where: ast.AST = site.node
            if isinstance(site.node, (ast.Import, ast.ImportFrom)):
                where = next(
                    (each for each in site.node.names if f".{symbol}".endswith(f".{each.name}")), site.node
                )
            start = site.source.start_of(where)  # type: ignore[arg-type]
            end = site.source.end_of(where)  # type: ignore[arg-type]
            yield site.at((start, end), _said(symbol, name), fix=self.repair(site, symbol, settings))

    def repair(self, site: Site, symbol: str, settings: Settings) -> Repair | None:
        """The new name wherever the file has the old one, where it means nothing else."""
        name = symbol.rpartition(".")[2]
        new = renamed_class(name)
        texts: list[tuple[int, int, str]] = []
        source = site.source
        if not isinstance(site.node, ast.ImportFrom):
            return None
        if symbol.startswith("trl."):
            return _imported_from(site, site.node, settings)
        if new is None:
            module = MOVED.get(site.node.module or "")
            if module is None:
                return None
            start = source.text.find(site.node.module or "", source.start_of(site.node))
            texts = [(start, start + len(site.node.module or ""), module)]
            return Repair("safe", f"import from {module}", Change(texts=tuple(texts)))
        alias = next((each for each in site.node.names if each.name == name), None)
        if alias is None or site.file.words.find(new):
            return None
        if name == "prepare_model_for_int8_training" and re.search(
            "layer_norm_names|output_embedding_layer", source.text
        ):
            return None  # what it took besides
        if alias.asname is None and (
            len(site.file.tree.top.bindings.get(name, ())) != 1 or site.context.scope.is_function
        ):
            return None
        if alias.asname is None and (_is_bound_again(site, name) or _is_known_by_name(site, name)):
            return None
        uses = [*([] if alias.asname else site.file.uses.of(name)), alias]
        for use in uses:
            if isinstance(use, ast.Attribute):
                continue
            start = source.start_of(use)  # type: ignore[arg-type]
            texts.append((start, start + len(name), new))
        return Repair("safe", f"use {new}", Change(texts=tuple(texts)))


#: A string that holds a name, as `__all__`, annotations and look-ups do, and prose does not.
_IN_A_STRING = r"[\"'](?:[^\"'\s]|(?<=[,|])\s|\s(?=\|))*\b{}\b(?:[^\"'\s]|(?<=[,|])\s|\s(?=\|))*[\"']"


def _is_bound_again(site: Site, name: str) -> bool:
    """Whether a function or class of the file has a name of its own that is the same."""
    tree = site.file.tree
    return any(scope is not tree.top and scope.binds(name) for scope in tree.all_scopes())


def _is_known_by_name(site: Site, name: str) -> bool:
    """Whether something may get the name in another way than by code of this file: another module, a string, a namespace."""
    from telepathy_lint.facts.replaced import is_replaced, is_taken
    from telepathy_lint.fixes.unused_imports import reads_namespaces

    path, text = os.path.abspath(site.source.path), site.source.text
    return (
        os.path.basename(path) == "__init__.py"
        or site.source.once(reads_namespaces)
        or re.search(_IN_A_STRING.format(name), text) is not None
        or is_taken(site.file, path, name)
        or is_replaced(site.file, path, name)
    )


def _gone_since(symbol: str, name: str) -> tuple[Version, str]:
    """The release that lacks a name, and its package."""
    package = symbol.partition(".")[0]
    if package == "peft":
        return PEFT_NAMES[name][0], package
    if package == "trl":
        moved = moved_in_trl(symbol)
        assert moved is not None
        return moved[0], package
    if ".OptimizerNames." in symbol:
        return OLD_VALUES["optim", name.lower()][0], package
    since = IMPORT_STRUCTURE if name == "_import_structure" else removed_since(symbol)
    assert since is not None
    return since, package


def _said(symbol: str, name: str) -> str:
    """What became of a name."""
    version, package = _gone_since(symbol, name)
    if package == "peft":
        _, new_name = PEFT_NAMES[name]
        return f"peft {named(version)} and later have no {name}: the name is {new_name}"
    if package == "trl":
        moved = moved_in_trl(symbol)
        assert moved is not None
        module = moved[1]
        said = f"trl {named(version)} and later have no {name}"
        advice = f"it is in {module}" if module else instead_in_trl(name)
        return f"{said}: {advice or 'nothing in trl takes its place'}"
    if ".OptimizerNames." in symbol:
        nearest = OLD_VALUES["optim", name.lower()][1]
        return f"transformers {named(version)} and later have no OptimizerNames.{name}: the nearest is {nearest.upper()}"
    if name == "_import_structure":
        return f"transformers._import_structure lists no models since {named(version)}, and raises a KeyError: leave the check out"
    said = f"transformers {named(version)} and later have no {symbol.removeprefix('transformers.')}"
    if is_of_another_framework(name):
        return f"{said}: {'TensorFlow' if name.startswith('TF') else 'Flax'} is no longer supported"
    if name == "AdamW":
        return f"{said}: use torch.optim.AdamW, whose weight_decay is 0.01 by default where this one's is 0"
    new = renamed_class(name)
    return f"{said}: the name is {new}" if new else said


def _imported_from(site: Site, node: ast.ImportFrom, settings: Settings) -> Repair | None:
    """The names of trl that moved, imported from where they are, if every trl that the project allows has them there."""
    source, names = site.source, node.names
    homes: dict[int, str] = {}
    for index, each in enumerate(names):
        moved = moved_in_trl(f"{node.module}.{each.name}")
        if (
            moved is not None
            and moved[1]
            and settings.lowest_trl is not None
            and settings.lowest_trl >= moved[0]
        ):
            homes[index] = moved[1]
    if not homes:
        return None
    start, end = source.start_of(node), source.end_of(node)
    indent = source.text[source.text.rfind("\n", 0, start) + 1 : start]
    if indent.strip():
        return None
    lines = []
    for module in dict.fromkeys(homes.values()):
        written = [
            names[index].name + (f" as {names[index].asname}" if names[index].asname else "")
            for index, home in homes.items()
            if home == module
        ]
        lines.append(f"from {module} import {', '.join(written)}")
    others = [index for index in range(len(names)) if index not in homes]
    between = f"{source.newline}{indent}"
    if not others:
        taken = [(start, end)]
        texts = [(start, end, between.join(lines))]
    else:
        taken = [
            (source.start_of(names[index]), source.start_of(names[index + 1]))
            if index < others[-1]
            else (source.end_of(names[index - 1]), source.end_of(names[index]))
            for index in homes
        ]
        texts = [*((*each, "") for each in taken), (end, end, between + between.join(lines))]
    if any("#" in source.text[slice(*each)] for each in taken):
        return None
    return Repair("safe", "import from where it is", Change(texts=tuple(texts)))


def _is_for_types(site: Site) -> bool:
    """Whether an import is for type checkers only."""
    tree = site.context.scope.tree
    above = tree.parent.get(site.node)
    return isinstance(above, ast.If) and "TYPE_CHECKING" in ast.unparse(above.test)
