"""Recommends commands to run first. Each is tried in memory to count its fixes, files and remaining findings."""

from __future__ import annotations

import os
import shlex
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from telepathy_lint.audit.data import Conversion, Finding
from telepathy_lint.discovery.config import Configs
from telepathy_lint.discovery.walk import Found, Patterns
from telepathy_lint.engine import trial
from telepathy_lint.hints import NamedTuple
from telepathy_lint.rule import Rule
from telepathy_lint.run.lint_file import open_source
from telepathy_lint.run.selection import Selection
from telepathy_lint.settings import Settings
from telepathy_lint.sites import Modules

#: The number of commands to try and show.
MOST = 3
#: Rules for code that fails or ignores arguments; their commands come before those about consistency.
_URGENT = ("TLP301", "TLP106", "TLP107", "TLP108", "TLP109", "TLP204", "TLP205")

_OPTIONS: dict[Literal["safe", "unsafe"], tuple[str, ...]] = {
    "safe": ("--fix",),
    "unsafe": ("--fix", "--unsafe-fixes"),
}


@dataclass(frozen=True, slots=True)
class Action:
    """A command, and its effect when it was tried; nothing was written."""

    codes: tuple[str, ...]
    safety: Literal["safe", "unsafe"]
    command: str
    #: Number of findings that it fixes.
    fixes: int
    files: int
    #: Number of findings of these rules that it does not fix.
    left: int
    #: Files excluded from the command, because they change or write weights.
    spared: tuple[Conversion, ...] = ()


@dataclass(frozen=True, slots=True)
class RuleCommand:
    """The command for one rule, with the number of its findings that have a safe or an unsafe fix."""

    code: str
    command: str
    safe: int
    unsafe: int


@dataclass(frozen=True, slots=True)
class _Plan:
    """A command before it is tried."""

    codes: tuple[str, ...]
    safety: Literal["safe", "unsafe"]
    #: The files that it changes, as shown by the audit.
    paths: tuple[str, ...]
    spared: tuple[Conversion, ...]
    #: Number of findings with a fix.
    offered: int


class Planner:
    """Chooses commands by the fixes that the rules offer, then tries them."""

    def __init__(
        self,
        path: str,
        configs: Configs,
        findings: Sequence[Finding],
        conversions: Iterable[Conversion],
        given: Sequence[str] = (),
    ) -> None:
        self.path = path
        self.configs = configs
        self.findings = findings
        self.conversions = {one.place.path: one for one in conversions}
        self.given = given
        root = os.path.abspath(path if os.path.isdir(path) else os.path.dirname(path) or ".")
        self.root = root
        self.top = configs.of(root).root
        self.where = shlex.join([*given, path])

    def actions(
        self, files: Mapping[str, tuple[Found, bytes]], jobs: int | None = None
    ) -> tuple[Action, ...]:
        """Return the commands, safe ones first; `files` are keyed by the path that the audit shows."""
        found: list[Action] = []
        waiting = list(self._plans())
        while waiting and len(found) < MOST:
            batch, waiting = waiting[: MOST - len(found)], waiting[MOST - len(found) :]
            found += [one for one in self._tried(batch, files, jobs) if one.fixes]
        return tuple(found)

    # ---- choosing

    def _plans(self) -> Iterable[_Plan]:
        """All safe fixes with one command, then the unsafe ones rule by rule."""
        safe = tuple(sorted({one.code for one in self.findings if one.fix == "safe"}))
        if safe and (plan := self._plan(safe, "safe")) is not None:
            yield plan
        counts = Counter(one.code for one in self._changeable() if one.fix == "unsafe")
        ranked = sorted(
            counts.items(), key=lambda item: (item[0] not in _URGENT, item[0] in safe, -item[1], item[0])
        )
        for code, _ in ranked:
            if (plan := self._plan((code,), "unsafe")) is not None:
                yield plan

    def _changeable(self) -> Iterable[Finding]:
        return (one for one in self.findings if one.place.path not in self.conversions)

    def _plan(self, codes: tuple[str, ...], safety: Literal["safe", "unsafe"]) -> _Plan | None:
        fixes = ("safe",) if safety == "safe" else ("safe", "unsafe")
        meant = [one for one in self.findings if one.code in codes and one.fix in fixes]
        spared = tuple(
            sorted({self.conversions[path] for one in meant if (path := one.place.path) in self.conversions})
        )
        changed = [one.place.path for one in meant if one.place.path not in self.conversions]
        return _Plan(codes, safety, tuple(sorted(set(changed))), spared, len(changed)) if changed else None

    def rule_command(self, code: str) -> RuleCommand:
        """The command for one rule: for its safe fixes if there are any, else the unsafe ones, else to list the findings."""
        offered: dict[str, int] = {}
        command = self.command((code,), ())
        for safety in reversed(_OPTIONS):
            if (plan := self._plan((code,), safety)) is not None:
                command = self.command((code,), _OPTIONS[safety], plan.spared)
                offered[safety] = plan.offered
        safe = offered.get("safe", 0)
        return RuleCommand(code, command, safe, offered.get("unsafe", 0) - safe)

    def command(self, codes: Sequence[str], options: Sequence[str], spared: Iterable[Conversion] = ()) -> str:
        """A command line that excludes some files."""
        left_out = [self._pattern(one.place.path) for one in spared]
        parts = [
            "telepathy-lint", "check", "--select", ",".join(codes), *options,
            *(("--extend-exclude", ",".join(left_out)) if left_out else ()), *self.given, self.path,
        ]  # fmt: skip
        return shlex.join(parts)

    def _pattern(self, path: str) -> str:
        """A glob for one file; spaces and commas would split it."""
        full = os.path.join(self.root, *path.split("/"))
        inside = os.path.relpath(full, self.top).replace(os.sep, "/")
        name = f"./{inside}" if not inside.startswith("../") else full
        special = {**dict.fromkeys(" ,\t\n", "?"), "[": "[[]", "*": "[*]", "?": "[?]"}
        return "".join(special.get(character, character) for character in name)

    # ---- trying

    def _tried(
        self, plans: Sequence[_Plan], files: Mapping[str, tuple[Found, bytes]], jobs: int | None
    ) -> list[Action]:
        """Try the plans; each file is read and scanned once for all commands that change it."""
        selections = [Selection(self.configs.with_options({"select": list(plan.codes)})) for plan in plans]
        left_out = [
            Patterns([self._pattern(one.place.path) for one in plan.spared], self.top) for plan in plans
        ]
        work: list[_Work] = []
        for path in sorted({path for plan in plans for path in plan.paths}):
            found, data = files[path]
            tried: list[tuple[int, tuple[Rule, ...], bool]] = []
            for index, plan in enumerate(plans):
                if path in plan.paths and not left_out[index].match_file(
                    found.folder, os.path.basename(found.path)
                ):
                    chosen = selections[index].plan(found.path, found.folder)
                    tried.append((index, chosen.rules, plan.safety == "unsafe"))
            if tried:
                work.append(_Work(found.path, data, chosen.settings, tuple(tried)))
        made: dict[int, list[int]] = defaultdict(list)
        for counts in _run(work, jobs):
            for index, number in counts:
                made[index].append(number)
        return [self._action(plan, made[index]) for index, plan in enumerate(plans)]

    def _action(self, plan: _Plan, made: Sequence[int]) -> Action:
        fixes = sum(made)
        total = sum(1 for one in self.findings if one.code in plan.codes)
        return Action(
            codes=plan.codes,
            safety=plan.safety,
            command=self.command(plan.codes, _OPTIONS[plan.safety], plan.spared),
            fixes=fixes,
            files=sum(1 for number in made if number),
            left=total - fixes,
            spared=plan.spared,
        )


class _Work(NamedTuple):
    """A file and the commands to try on it, with their rules and whether they apply unsafe fixes."""

    path: str
    data: bytes
    settings: Settings
    tried: tuple[tuple[int, tuple[Rule, ...], bool], ...]


def _run(work: Sequence[_Work], jobs: int | None) -> list[list[tuple[int, int]]]:
    """Return, for each file, the commands and the number of fixes that each makes there."""
    from telepathy_lint.run.processes import Pool, processes

    modules = Modules()
    sizes = [len(each.data) for each in work]
    count = processes(jobs, len(work), sum(sizes))
    if count < 2:
        return [_try(each, modules) for each in work]
    pool: Pool[_Work, list[tuple[int, int]]] = Pool(lambda each: _try(each, modules), lambda each, how: [])
    return pool.run(work, sizes, count)


def _try(work: _Work, modules: Modules) -> list[tuple[int, int]]:
    """Try the commands on one file. A file that cannot be processed has no fixes; a finding reports the problem."""
    try:
        source = open_source(work.path, work.data)
        made = trial(
            source, [(rules, unsafe) for _, rules, unsafe in work.tried], work.settings, project=modules
        )
    except Exception:
        return []
    return [(index, number) for (index, _, _), number in zip(work.tried, made, strict=True)]
