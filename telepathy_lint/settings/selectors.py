"""Selectors of rules (codes, prefixes, names, ALL), and how selectors from several sources are combined."""

from __future__ import annotations

from collections.abc import Iterable

from telepathy_lint.hints import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from telepathy_lint.findings.violation import Fix, Safety

#: The code and name of the rules that need the whole project, so that they need not be imported to find out.
PROJECT_RULES = ("TLP303", "unused-model-config")


class Layer(NamedTuple):
    """The selectors of one source (a configuration file, the command line)."""

    #: Selectors that replace the selection of earlier layers; None keeps it.
    only: tuple[str, ...] | None = None
    more: tuple[str, ...] = ()
    less: tuple[str, ...] = ()


def specificity(selector: str, code: str, name: str) -> int | None:
    """How precisely a selector names a rule (higher is more precise); None if it does not match."""
    if selector == "ALL":
        return 0
    if selector == name:
        return len(code)
    return len(selector) if selector.startswith("T") and code.startswith(selector) else None


def chosen(layers: Iterable[Layer], code: str, name: str, default: bool) -> bool:
    """Whether a rule is selected. In a layer, the most specific selector wins; later layers override earlier ones.

    If two selectors in one layer are equally specific, the rule is not selected.
    """
    wanted = default
    for layer in layers:
        strongest = 0
        if layer.only is not None:
            wanted = False
        for selectors, says in ((layer.only or (), True), (layer.more, True), (layer.less, False)):
            for selector in selectors:
                strength = specificity(selector, code, name)
                if strength is not None and strength >= strongest:
                    strongest, wanted = strength, says
    return wanted


class Fixing(NamedTuple):
    """Which rules may be fixed, and how safe their fixes are considered."""

    layers: tuple[Layer, ...] = ()
    #: Rules whose unsafe fixes count as safe, and rules whose safe fixes count as unsafe.
    safe: tuple[str, ...] = ()
    unsafe: tuple[str, ...] = ()

    def allows(self, code: str, name: str) -> bool:
        """Whether fixes of the rule are offered."""
        return chosen(self.layers, code, name, True)

    def safety(self, code: str, name: str, given: Safety) -> Safety:
        """The safety of a fix; a fix that is only displayed is never applied, whatever the configuration."""
        if given == "display" or not (self.safe or self.unsafe):
            return given
        safer = _strongest(self.safe, code, name)
        riskier = _strongest(self.unsafe, code, name)
        if safer == riskier == -1:
            return given
        return "unsafe" if riskier >= safer else "safe"

    def of(self, code: str, name: str, fix: Fix) -> Fix | None:
        """The fix of a finding, adjusted to the configuration; None if it is not allowed."""
        return fix._replace(safety=self.safety(code, name, fix.safety)) if self.allows(code, name) else None

    @property
    def selectors(self) -> tuple[str, ...]:
        """All selectors, for a check that each matches a rule."""
        given = [each for layer in self.layers for each in ((layer.only or ()), layer.more, layer.less)]
        return tuple(selector for group in (*given, self.safe, self.unsafe) for selector in group)


def _strongest(selectors: Iterable[str], code: str, name: str) -> int:
    found = (specificity(selector, code, name) for selector in selectors)
    return max((each for each in found if each is not None), default=-1)
