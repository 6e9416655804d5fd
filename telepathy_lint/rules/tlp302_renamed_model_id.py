from __future__ import annotations

import ast
from collections.abc import Callable, Iterator

from telepathy_lint.change import Change, Repair
from telepathy_lint.rule import Meta, Report, Rule, origin
from telepathy_lint.scan import Site, Value
from telepathy_lint.scan.identifiers import status_of
from telepathy_lint.settings import Settings
from telepathy_lint.triggers import ID_PREFIXES
from telepathy_lint.violation import Safety

_ARGUMENTS = ("pretrained_model_name_or_path", "model")


class RenamedModelId(Rule):
    """A model id that the hub only redirects: the model has another name now.

    Old and new name are two models to the cache (16 GB downloaded twice for an 8B model), to tables that compare results by
    name, and to every tool that does not follow redirects, offline mode among them.

    Bad:

        from transformers import AutoTokenizer

        tokenizer = AutoTokenizer.from_pretrained("meta-llama/Meta-Llama-3.1-8B")

    Good:

        from transformers import AutoTokenizer

        tokenizer = AutoTokenizer.from_pretrained("meta-llama/Llama-3.1-8B")

    Fix safety: in the call that loads, and in a name that goes nowhere else, the new id gives the same files. In a default
    or a table the fix is unsafe: results and folders may go by the old id.
    """

    meta = Meta(
        code="TLP302",
        name="renamed-model-id",
        message="renamed model id",
        since="0.1.0",
        kinds=("model", "tokenizer", "pipeline", "config", "processor", "generation_config", "identifier"),
        fix="safe",
    )

    def check(self, site: Site, settings: Settings) -> Report | None:
        for node, value in literal_ids(site):
            if (name := present_name(str(value.data))) is not None:
                return self.at(site, node, f"{value.data!r} is {name!r} now{origin(value, site)}")
        return None

    def repair(self, site: Site, settings: Settings) -> Repair | None:
        return id_repair(site, present_name)


def present_name(model_id: str) -> str | None:
    status = status_of(model_id)
    return status.canonical if status.status == "renamed" else None


def literal_ids(site: Site) -> Iterator[tuple[ast.AST, Value]]:
    """The ids written in a load's own call, or the one that the site is, with where to point."""
    if site.kind == "identifier":
        literal = site.call.func
        assert isinstance(literal, ast.Constant)
        yield literal, Value("const", literal.value, literal, site.context)
        return
    argument = site.argument(*_ARGUMENTS)
    if argument is None or site.indirect or argument.how not in ("positional", "keyword"):
        return
    inside = set(ast.walk(argument.node))
    for value in argument.values:
        if value.node in inside and isinstance(value.data, str) and value.data.startswith(ID_PREFIXES):
            yield argument.node, value


def id_repair(site: Site, renamed: Callable[[str], str | None]) -> Repair | None:
    """Writes the id that `renamed` gives in place of the literal."""
    for argument, value in literal_ids(site):
        old = str(value.data)
        name = renamed(old)
        if name is None:
            continue
        assert isinstance(value.node, ast.Constant)
        start, end = site.range_of(value.node)
        text = site.source.text[start:end]
        if text.count(old) != 1:
            return None
        written = text.replace(old, name)
        safety: Safety = "unsafe" if site.kind == "identifier" and not site.only_loaded else "safe"
        if site.kind == "identifier":
            change = Change(texts=((start, end, written),))
        elif isinstance(argument, ast.keyword) and argument.value is value.node and argument.arg is not None:
            change = Change(replaced=((argument.arg, written),))
        elif argument is value.node:
            change = Change(positional=((site.call.args.index(value.node), written),))
        else:
            return None
        return Repair(safety, f"write {name!r}", change)
    return None
