"""The same three rules as for Semgrep and ast-grep, for Fixit."""

import libcst as cst
import libcst.matchers as m
from fixit import LintRule


def _loads(node: cst.Call) -> bool:
    return m.matches(node, m.Call(func=m.Attribute(attr=m.Name("from_pretrained"))))


def _argument(node: cst.Call, *names: str) -> cst.Arg | None:
    return next((arg for arg in node.args if arg.keyword is not None and arg.keyword.value in names), None)


class MissingAttnImplementation(LintRule):
    MESSAGE = "no attn_implementation is given"

    def visit_Call(self, node: cst.Call) -> None:
        if _loads(node) and _argument(node, "attn_implementation") is None:
            self.report(node)


class HardcodedDeviceMap(LintRule):
    MESSAGE = "device_map is hard-coded"

    def visit_Call(self, node: cst.Call) -> None:
        found = _argument(node, "device_map") if _loads(node) else None
        if found is not None and isinstance(found.value, (cst.SimpleString, cst.ConcatenatedString)):
            self.report(node)


class MissingDtype(LintRule):
    MESSAGE = "no dtype is given"

    def visit_Call(self, node: cst.Call) -> None:
        if _loads(node) and _argument(node, "dtype", "torch_dtype") is None:
            self.report(node)
