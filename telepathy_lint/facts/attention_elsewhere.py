"""Finds where a project chooses an attention implementation, beside the load that does not."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from functools import partial

from telepathy_lint.facts.out_of_use import is_bare
from telepathy_lint.flow.whole_project import Project, TooLargeError
from telepathy_lint.hints import NamedTuple
from telepathy_lint.settings import Settings
from telepathy_lint.sites import Site

#: An implementation that a call or a dict sets, perhaps as a literal; the quotes of a notebook's JSON are escaped.
_ASKED = (
    rb"(?<![\w.])(?:attn_implementation\\?(?:[\"']\]?|)\s*[=:](?!=)\s*(?:\\?[\"'](?P<name>[\w./-]+)\\?[\"'](?=\s*(?:[,)\]}#;\\]|if\b|else\b|$))|(?!None\b|Optional|str\b)\w)"
    rb"|use_flash_att(?:n|ention_2)\\?(?:[\"']\]?|)\s*[=:](?!=)\s*(?:(?P<flag>True\b)|(?!None\b|False\b|bool\b)\w))"
)
_IMPORTED = rb"(?:^|(?<=[\r\n]))[ \t\"]*(?:import|from)[ \t]+flash_attn(?:_interface)?\b"
_INSTALLED = rb"(?i)install[^\r\n]{0,300}flash[-_]attn"
_QUOTED = rb"[\"']([A-Za-z0-9_./-]{3,90})\\?[\"']"
_WORDS = (b"attn_implementation", b"use_flash_att")
#: One of these is in each file with a choice.
_IN_CHOICES = (b"attn_implementation", b"flash_att")
_OWN_SWITCH = (b"use_flash_attn",)
_INSTALLS = "installs"
_FAST = ("flash", "kernels", "flex")


class Choice(NamedTuple):
    """A place in a project that chooses attention."""

    path: str
    line: int
    #: The implementation; "" if it is not a literal, "own" for a switch of a checkpoint's code, "installs" if
    #: FlashAttention is imported or installed.
    name: str

    #: What the file names in quotes, model ids among it.
    named: frozenset[str]

    def in_words(self, asker: str) -> str:
        """The choice, for a reader of another file: `train.py, line 12 asks for flash_attention_2`."""
        name = os.path.basename(self.path)
        if self.name == _INSTALLS:
            how = "imports" if name.endswith((".py", ".ipynb")) else "installs"
            return f"{name} {how} FlashAttention, and no load asks for it"
        asks = f"asks for {self.name}" if self.name else "sets it for the same model"
        if name.endswith(".ipynb"):
            return f"another load {asks}"  # the lines are those of the JSON
        where = f"line {self.line}" if self.path == asker else f"{name}, line {self.line}"
        return f"{where} {asks}"


def chosen_elsewhere(site: Site, settings: Settings) -> str | None:
    """What else in the project chooses attention, if it concerns the model of a load; None if nothing does.

    In a project, only a choice that changes results counts: eager attention, SDPA and FlashAttention compute the same.

    This is another load in the file that asks for FlashAttention, another place that sets attention for the same
    model, and FlashAttention that is required or installed while no load asks for any attention.
    """
    bare = is_bare(site)
    if not bare and site.model_id is None:
        return None  # each of the choices below would have to name the model
    own = os.path.abspath(site.source.path)
    here = site.source.remember("attention chosen", partial(_all_in, own, site.source.data))
    for choice in here:
        fast = choice.name.startswith(_FAST)
        if (fast and bare) or (
            not fast and (bare or _differs(choice)) and _is_stated(choice) and _repeats_its_id(site)
        ):
            return choice.in_words(own)
    modules = site.file.modules
    project = modules.project(own) if modules is not None else None
    choices: tuple[Choice, ...] = ()
    if project is not None:
        named = (
            project.about(site.model_id, choices_naming) if not bare and site.model_id is not None else None
        )
        choices = (project.once(_choices) if bare else named) or ()
    stated = [each for each in choices if each.path != own and _is_stated(each)]
    for choice in stated:
        if _is_of_the_same_model(choice, site) and (bare or _differs(choice)):
            return choice.in_words(own)
    if stated or not bare or any(map(_is_stated, here)):
        return None
    installs = (project.once(_installs) if project is not None else None) or ()
    if (
        installed := next((each for each in (*here, *choices, *installs) if each.name == _INSTALLS), None)
    ) is not None:
        return installed.in_words(own)
    if project is None or not settings.flash_attention:
        return None
    return "the requirements list FlashAttention, and no load asks for it"


def _is_of_the_same_model(choice: Choice, site: Site) -> bool:
    """Whether a module or script that chooses attention names the model of a load; each notebook stands for itself."""
    return site.model_id in choice.named and choice.name != "own" and not choice.path.endswith(".ipynb")


def _is_stated(choice: Choice) -> bool:
    return choice.name != _INSTALLS


def _differs(choice: Choice) -> bool:
    """Whether a project's choice is an implementation of its own: eager, SDPA and FlashAttention compute the same."""
    return choice.name != "" and not choice.name.startswith((*_FAST, "sdpa", "eager"))


def _repeats_its_id(site: Site) -> bool:
    """Whether the file names the model of a load a second time."""
    return site.model_id is not None and site.source.text.count(site.model_id) > 1


def _choices(project: Project) -> tuple[Choice, ...]:
    """The places in a project's code that choose attention.

    Raises:
        TooLargeError: the project is too large to be searched.
    """
    return tuple(each for path in _with_choices(project) for each in _found_in(path, project.content(path)))


def choices_naming(project: Project, model_id: str) -> tuple[Choice, ...]:
    """The same, in the files that name a model.

    Raises:
        TooLargeError: the project is too large to be searched.
    """
    paths, word = project.once(_with_choices), model_id.encode("utf-8", "surrogatepass")
    if paths is None:
        raise TooLargeError
    return tuple(
        each
        for path in paths
        if word in (data := project.content(path))
        for each in _found_in(path, data)
        if model_id in each.named
    )


def _with_choices(project: Project) -> tuple[str, ...]:
    """The Python files that may choose attention: few of a project do.

    Raises:
        TooLargeError: the project is too large to be searched.
    """
    return tuple(path for path, data in project.python() if any(word in data for word in _IN_CHOICES))


def _installs(project: Project) -> tuple[Choice, ...]:
    """The scripts and documents of a project that install FlashAttention.

    Raises:
        TooLargeError: the project is too large to be searched.
    """
    return tuple(
        Choice(path, _line(data, found.start()), _INSTALLS, frozenset())
        for path, data in project.texts()
        if b"flash" in data.lower() and (found := re.search(_INSTALLED, data)) is not None
    )


def _all_in(path: str, data: bytes) -> tuple[Choice, ...]:
    return tuple(_found_in(path, data)) if any(word in data for word in _IN_CHOICES) else ()


def _line(data: bytes, offset: int) -> int:
    """The number of the line at an offset; lines end at LF, CR or CRLF."""
    breaks = data.count(b"\n", 0, offset) + data.count(b"\r", 0, offset) - data.count(b"\r\n", 0, offset)
    return breaks + 1


def _places_of(data: bytes) -> Iterator[int]:
    """Where an argument for attention may be set; `re` alone would take many times as long."""
    for word in _WORDS:
        at = data.find(word)
        while at >= 0:
            yield at
            at = data.find(word, at + 1)


def _found_in(path: str, data: bytes) -> Iterator[Choice]:
    asked = re.compile(_ASKED)
    named: frozenset[str] | None = None
    for at in sorted(_places_of(data)):
        match = asked.match(data, at)
        if match is None or b"#" in data[max(data.rfind(b"\n", 0, at), data.rfind(b"\r", 0, at)) + 1 : at]:
            continue
        name = (match["name"] or (b"flash_attention_2" if match["flag"] else b"")).decode("ascii", "replace")
        if match[0].startswith(_OWN_SWITCH):
            name = "own"
        if named is None:
            named = frozenset(each.decode() for each in re.findall(_QUOTED, data))
        yield Choice(path, _line(data, match.start()), name, named)
    if b"flash_attn" in data and (imported := re.search(_IMPORTED, data)) is not None:
        yield Choice(path, _line(data, imported.start()), _INSTALLS, frozenset())
