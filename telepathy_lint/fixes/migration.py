"""What to write instead of what transformers 5 or trl removed; imported where something was reported."""

from __future__ import annotations

import ast
import re

from telepathy_lint.facts.config_reads import (
    is_in_project,
    is_read_beside,
    is_read_by_old_name,
    is_read_in,
    mentions,
)
from telepathy_lint.facts.removed import passed
from telepathy_lint.findings.change import Change, Name, Repair, slot
from telepathy_lint.flow.objects import SURELY_IS
from telepathy_lint.knowledge.migration import CONFIGS, Removed, removed_arguments
from telepathy_lint.rule import value_text, written
from telepathy_lint.settings import Settings
from telepathy_lint.sites import Argument, Site


def argument_repair(site: Site, argument: Argument, removed: Removed, settings: Settings) -> Repair | None:
    """What replaces a removed argument; None where that is for a person to decide, or another release lacks the new form."""
    if argument.how != "keyword":
        return None
    change = _change(site, argument, removed, settings)
    if change is None:
        return None
    if removed.name == "logging_dir":
        safe = not site.opaque and _logs_elsewhere(site, settings) and not is_read_beside(site, removed.name)
        return Repair("safe" if safe else "unsafe", "leave logging_dir out", change)
    if removed.how == "drop" and is_read_beside(site, removed.name):
        return Repair("unsafe", f"leave {removed.name} out", change)
    lowest = settings.target_version
    ran = removed.package == "transformers" and (lowest is None or lowest < removed.version)
    renames = bool(change.renamed) and ran and removed.owner == CONFIGS[0]
    if renames and is_read_by_old_name(site, removed.name, argument.node):
        return Repair("unsafe", f"replace {removed.name}", change)
    # What the call gets unseen may hold the new name already.
    safe = not site.opaque or not (change.renamed or change.texts)
    if removed.name == "warmup_ratio":
        # From 1 on, the new argument means steps.
        value = written(argument)
        safe = safe and isinstance(value, (int, float)) and value < 1
    return Repair("safe" if safe else "unsafe", f"replace {removed.name}", change)


#: Attributes that mean the same under the new name; the others have another default or type.
_READ_ALIKE = ("evaluation_strategy", "no_cuda", "push_to_hub_token", "tokenizer")


def read_repair(site: Site, node: ast.Attribute, removed: Removed, settings: Settings) -> Repair | None:
    """The new name where an attribute of training arguments or a trainer is read; None where it does not mean the same."""
    if removed.name not in _READ_ALIKE or not _runs_everywhere(removed, settings):
        return None
    end = site.source.end_of(node)
    start = end - len(removed.name)
    if site.source.text[start:end] != removed.name:
        return None
    lowest = settings.target_version
    # Up to 4.50 it is None unless it was passed, where the new one is "no".
    passed_here = re.search(rf"[(,]\s*{removed.name}\s*=(?!=)", site.source.text) is not None
    same = removed.name != "evaluation_strategy" or (lowest is not None and lowest >= removed.version)
    same = same or passed_here
    change = Change(texts=((start, end, removed.new),))
    return Repair("safe" if same else "unsafe", f"read {removed.new}", change)


def _change(site: Site, argument: Argument, removed: Removed, settings: Settings) -> Change | None:
    value = written(argument)
    if value is not ... and removed.default and repr(value) == removed.default:
        return Change(removed=(removed.name,))  # it said what holds without it
    if removed.how == "drop" or removed.name == "logging_dir":
        # Somebody may read the setting from the config.
        return Change(removed=(removed.name,)) if not is_read_in(site.source.text, removed.name) else None
    if removed.how == "switch" and value is False:
        return Change(removed=(removed.name,))
    if not _runs_everywhere(removed, settings):
        return None
    if removed.how == "rename" and removed.new not in site.arguments:
        return Change(renamed=((removed.name, removed.new),))
    if removed.how == "switch" and value is True:
        name, _, text = removed.new.partition("=")
        if name not in site.arguments:
            return Change(renamed=((removed.name, name),), replaced=((removed.name, text),))
    if removed.how == "config":
        return _moved(site, argument, removed, settings)
    return None


def _logs_elsewhere(site: Site, settings: Settings) -> bool:
    """Whether a training surely logs nothing to TensorBoard, which `logging_dir` is for."""
    if "TensorBoardCallback" in site.source.text or is_in_project(site, "TensorBoardCallback", mentions):
        return False
    report_to = site.argument("report_to")
    if report_to is None:
        # Without it, transformers 5 logs to nothing.
        return settings.target_version is not None and settings.target_version >= (5, 0)
    if report_to.optional or len(report_to.values) != 1:
        return False
    given = report_to.node.value if isinstance(report_to.node, ast.keyword) else report_to.node
    names = given.elts if isinstance(given, (ast.List, ast.Tuple)) else [given]
    # None means all trackers in transformers 4.
    known = [each.value for each in names if isinstance(each, ast.Constant) and isinstance(each.value, str)]
    return len(known) == len(names) and not {"tensorboard", "all"} & set(known)


def _runs_everywhere(removed: Removed, settings: Settings) -> bool:
    """Whether every release that the project allows has the new form."""
    lowest = settings.target_version if removed.package == "transformers" else settings.lowest_trl
    first = (4, 46) if removed.package == "transformers" else (0, 12)
    if removed.since is None:
        return False
    if lowest is not None:
        return lowest >= removed.since
    # The oldest releases that were compared: whoever runs older ones has said so.
    return removed.since <= first


def _is_for_one(site: Site, given: ast.expr, config: ast.Call) -> bool:
    """Whether a config is built for this call alone, before it, under a name that no other call gets."""
    tree = site.file.tree
    made = tree.parent.get(config)
    if not isinstance(given, ast.Name) or not isinstance(made, (ast.Assign, ast.AnnAssign)):
        return False
    targets = made.targets if isinstance(made, ast.Assign) else [made.target]
    if [target.id for target in targets if isinstance(target, ast.Name)] != [given.id]:
        return False
    for use in tree.visit(tree.lines_of(site.file.words.find(given.id))):
        if not isinstance(use, ast.Name) or use.id != given.id or use is given:
            continue
        if isinstance(use.ctx, ast.Load) and not isinstance(tree.parent.get(use), ast.Attribute):
            return False
    return True


def _means_the_same_at(site: Site, value: ast.expr, config: ast.Call) -> bool:
    """Whether a value is a literal, or a name that was given its only value before the config is made."""
    try:
        ast.literal_eval(value)
    except ValueError:
        pass
    else:
        return True
    tree = site.file.tree
    context = tree.context_of(config)
    if _only_reads(value) and _follows(site, config, context.stmt):
        return True
    if not isinstance(value, ast.Name):
        return False
    bindings = context.scope.bindings.get(value.id, ())
    if context.scope is not site.context.scope or len(bindings) != 1:
        return False
    (bound,) = bindings
    if bound.kind == "param":
        return True
    before = isinstance(bound.stmt, ast.stmt) and (bound.stmt.end_lineno or 0) < config.lineno
    return (
        before and context.stmt is not None and tree.parent.get(bound.stmt) is tree.parent.get(context.stmt)
    )


#: What `TrainingArguments` has by default, and `SFTConfig` has not, in some release from trl 0.12 on.
OWN_DEFAULTS = {
    "learning_rate": "5e-05",
    "logging_steps": "500",
    "gradient_checkpointing": "False",
    "bf16": "False",
}


#: Functions that only turn a value into another one.
_CONVERTERS = ("int", "float", "str", "bool", "len")


def _only_reads(value: ast.expr) -> bool:
    """Whether an expression reads names, their attributes and items, and computes with them."""
    for node in ast.walk(value):
        if isinstance(node, ast.Call):
            if not isinstance(node.func, ast.Name) or node.func.id not in _CONVERTERS or node.keywords:
                return False
        elif not isinstance(
            node,
            (ast.Name, ast.Attribute, ast.Subscript, ast.Constant, ast.BinOp, ast.operator, ast.expr_context),
        ):
            return False
    return True


def _follows(site: Site, config: ast.Call, stmt: ast.AST | None) -> bool:
    """Whether the call's statement is the config's, or the next one: nothing happens between them."""
    here = site.context.stmt
    if here is stmt:
        return True
    parent = site.file.tree.parent.get(here) if here is not None else None
    for body in (getattr(parent, name, None) for name in ("body", "orelse", "finalbody")):
        if isinstance(body, list) and here in body and stmt in body:
            return body.index(here) == body.index(stmt) + 1
    return False


def _moved(site: Site, argument: Argument, removed: Removed, settings: Settings) -> Change | None:
    """The argument taken out here and written into the config that the trainer surely gets."""
    given = site.argument("args")
    if given is None or not isinstance(given.node, ast.keyword):
        return None
    makers = site.file.objects.makers(given.node.value, site.context, SURELY_IS)
    config = next(iter(makers)) if len(makers) == 1 else None
    if not isinstance(config, ast.Call) or not isinstance(argument.node, ast.keyword):
        return None
    here = config is given.node.value
    if not here and not _is_for_one(site, given.node.value, config):
        return None
    context = site.file.tree.context_of(config)
    called = {
        str(value.data) for value in site.file.values.evaluate(config.func, context) if value.kind == "symbol"
    }
    wanted = f"{removed.owner.removesuffix('Trainer')}Config"
    plain = called == {"transformers.TrainingArguments"} and wanted == "SFTConfig"
    if not plain and {each.rpartition(".")[2] for each in called} != {wanted}:
        return None
    names = {keyword.arg for keyword in config.keywords}
    old = {name for symbol in called for name in removed_arguments(symbol)}
    # A config with removed arguments of its own is rewritten first; one with a spread may have this one already.
    if None in names or removed.new in names or names & old or (plain and len(config.args) > 1):
        return None
    if not _means_the_same_at(site, argument.node.value, config):
        return None
    parts: list[ast.expr | ast.keyword] = [*config.args, *config.keywords]
    if not parts:
        return None
    # What holds without them is another thing in the config of trl, which is what the trainer makes of these arguments.
    kept = {name: text for name, text in OWN_DEFAULTS.items() if name not in names} if plain else {}
    if kept and any(_is_true(keyword, "fp16") for keyword in config.keywords):
        kept.pop("bf16", None)  # it is off then
    needs = (Name("trl", wanted),) if plain else ()
    start, after = site.source.start_of(config.func), site.source.end_of(config.func)
    end = max(site.source.end_of(part) for part in parts)
    end, before, behind = _added_at(site, config, end)
    if not here:
        texts = [(start, after, slot(wanted))] if plain else []
        if kept:
            texts.append((end, end, "".join(f"{before}{name}={text}{behind}" for name, text in kept.items())))
        texts.append((end, end, f"{before}{removed.new}={value_text(site, argument)}{behind}"))
        return Change(removed=(removed.name,), texts=tuple(texts), needs=needs, rebuilt=(removed.name,))
    # The config is written in this call: all that moves into it is written at once.
    moving = [
        (other, gone)
        for other, gone in passed(site, settings)
        if gone.how == "config"
        and isinstance(other.node, ast.keyword)
        and gone.new not in names
        and repr(written(other)) != gone.default
        and _runs_everywhere(gone, settings)
        and _means_the_same_at(site, other.node.value, config)
    ]
    for other, gone in moving:
        kept[gone.new] = value_text(site, other)
    text = site.source.text
    config_start, config_end = site.source.start_of(config), site.source.end_of(config)
    new = "".join(
        (
            text[config_start:start],
            slot(wanted) if plain else text[start:after],
            text[after:end],
            *(f"{before}{name}={value}{behind}" for name, value in kept.items()),
            text[end:config_end],
        )
    )
    gone_names = tuple(other.name for other, _ in moving)
    return Change(removed=gone_names, replaced=(("args", new),), rebuilt=("args", *gone_names), needs=needs)


def _is_true(keyword: ast.keyword, name: str) -> bool:
    return keyword.arg == name and isinstance(keyword.value, ast.Constant) and keyword.value.value is True


def _added_at(site: Site, config: ast.Call, end: int) -> tuple[int, str, str]:
    """Where to add arguments after the last one, and what stands before and behind each: a line of its own where the others have one."""
    source = site.source
    line = source.line_of(end)
    if line == source.line_of(source.start_of(config)):
        return end, ", ", ""
    begin = source.line_starts[line - 1]
    indent = re.match(r"[ \t]*", source.text[begin:end])
    start = f"{source.newline}{indent[0] if indent is not None else ''}"
    rest = re.match(r"[ \t]*,[ \t]*(?:#[^\r\n]*)?(?=[\r\n])", source.text[end:])
    return (end, f",{start}", "") if rest is None else (end + rest.end(), start, ",")
