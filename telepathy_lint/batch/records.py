"""Examines one source: its loads, its `generate` calls and its findings, as plain values for the columns of a table."""

from __future__ import annotations

from typing import Any

from telepathy_lint.audit.collect import DECODING
from telepathy_lint.audit.consistency import HIDDEN, OR, UNCHOSEN
from telepathy_lint.audit.data import Setting
from telepathy_lint.audit.loads import settings_of
from telepathy_lint.engine import EVERY_FIX, Linted, RuleError
from telepathy_lint.findings.violation import Violation, place_in_words
from telepathy_lint.hints import NamedTuple
from telepathy_lint.rule import Rule
from telepathy_lint.run.lint_file import open_source
from telepathy_lint.settings import Settings
from telepathy_lint.sites import Site
from telepathy_lint.source.text import SourceError

#: The settings of a load, by the name of their column.
SETTINGS = {
    "dtype": "dtype",
    "device_map": "device_map",
    "attention": "attention",
    "generation_config": "generation config",
    "quantization": "quantization",
    "revision": "revision",
    "pad_token": "pad token",
    "padding_side": "padding side",
}
_BYTE_ORDER_MARK = "\ufeff"
_NOT_APPLICABLE = "does not generate"

Row = dict[str, Any]


class Plan(NamedTuple):
    """What to look for in every source; picklable."""

    rules: tuple[Rule, ...]
    settings: Settings
    #: Whether findings include the edits of their fixes, which imports LibCST.
    edits: bool = False


class Examined(NamedTuple):
    """What one source contains. With an `error`, the lists are empty, except for a notebook with invalid cells."""

    loads: list[Row]
    generates: list[Row]
    findings: list[Row]
    error: str | None = None

    @property
    def empty(self) -> bool:
        return not (self.loads or self.generates or self.findings or self.error)


def failed(error: str) -> Examined:
    return Examined([], [], [], error)


def examine(path: object, content: object, plan: Plan) -> Examined:
    """Examine one source. Never raises for its contents: a problem is the result's `error`.

    Imports from other modules of the project are not followed, because a row has only its own source.
    """
    if not isinstance(path, str):
        return failed(f"the path is not text but {type(path).__name__}")
    if not isinstance(content, str | bytes):
        return failed(f"the content is not text or bytes but {type(content).__name__}")
    if isinstance(content, str):
        content = content.removeprefix(_BYTE_ORDER_MARK)
    try:
        return _examine(path, content, plan)
    except SourceError as error:
        return failed(f"{place_in_words(error.line, error.cell)}: {error.message}")
    except RuleError as error:
        return failed(str(error))
    except RecursionError:
        return failed("nested too deeply to be linted")
    except MemoryError:
        return failed("not enough memory")
    except Exception as error:
        return failed(f"telepathy-lint itself failed: {type(error).__name__}: {error}; please report it")


def _examine(path: str, content: str | bytes, plan: Plan) -> Examined:
    source = open_source(path, content)
    with Linted(source, plan.rules, plan.settings) as linted:
        findings = [
            _finding(each, plan.edits)
            for each in linted.violations(edits=EVERY_FIX if plan.edits else (), offers=True)
        ]
        sites = linted.sites(("model", "tokenizer", "pipeline", "generate"))
        loads = [_load(site) for site in sites if site.kind != "generate"]
        generates = [_generate(site) for site in sites if site.kind == "generate"]
    problems = [f"{place_in_words(each.line, each.cell)}: {each.message}" for each in source.problems]
    return Examined(loads, generates, findings, "; ".join(problems) or None)


def _place(site: Site) -> Row:
    span = site.source.place(site.start, site.start)
    return {"cell": span.cell if span.cell >= 0 else None, "line": span.line, "column": span.column}


def _load(site: Site) -> Row:
    if site.loader:  # rules treat every call of the loader as one with unknown arguments
        site = site._replace(opaque=site.unseen)
    settings = dict(settings_of(site))
    return {
        **_place(site),
        "kind": site.kind,
        "callee": site.callee,
        "library": _library_of(site),
        "class": _class_of(site),
        "model_id": site.model_id,
        "indirect": site.indirect,
        **{column: _setting(settings.get(name)) for column, name in SETTINGS.items()},
    }


def _library_of(site: Site) -> str | None:
    """The package of the called class or function; None for a class that the file defines itself."""
    package, dot, _ = (site.callee.removesuffix(".from_pretrained")).partition(".")
    return package if dot else None


def _class_of(site: Site) -> str | None:
    """The name of the loaded class, "pipeline" for a pipeline; None if it is one of several."""
    names = {name.rpartition(".")[2] for name in site.loaded}
    return names.pop() if len(names) == 1 else None


def _setting(setting: Setting | None) -> Row:
    if setting is None or setting.group == _NOT_APPLICABLE:
        return {"set": None, "value": None}
    parts = setting.group.split(OR)
    known = {part not in UNCHOSEN for part in parts}
    decided = setting.group != HIDDEN and len(known) == 1
    value = None if setting.group in (HIDDEN, *UNCHOSEN) else setting.group
    return {"set": known.pop() if decided else None, "value": value}


def _generate(site: Site) -> Row:
    stated = [name for name in DECODING if name in site.arguments]
    return {**_place(site), "states": stated, "opaque": site.opaque}


def _finding(violation: Violation, edits: bool) -> Row:
    fix = violation.fix
    return {
        "cell": violation.cell if violation.cell >= 0 else None,
        "line": violation.line,
        "column": violation.column,
        "end_line": violation.span.end_line,
        "end_column": violation.span.end_column,
        "code": violation.code,
        "name": violation.name,
        "message": violation.message,
        "fix": fix.safety if fix is not None else None,
        "fix_message": fix.message if fix is not None else None,
        "edits": [
            {
                "cell": edit.span.cell if edit.span.cell >= 0 else None,
                "line": edit.span.line,
                "column": edit.span.column,
                "end_line": edit.span.end_line,
                "end_column": edit.span.end_column,
                "text": edit.text,
            }
            for edit in (fix.edits if fix is not None and edits else ())
        ],
    }
