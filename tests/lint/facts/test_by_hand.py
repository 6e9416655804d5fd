"""Which devices a script chooses itself."""

from __future__ import annotations

import re
from types import SimpleNamespace

import pytest

from telepathy_lint.facts.by_hand import _origins
from telepathy_lint.source.occurs import LINE_END, LINE_START

TEXT = """\
device = "cuda"
my_device = 1; device = 2
    device : str = model.device
self.device = device
device == other
device =
    device2 = 1
\tdevice\t=\tlast
if x: device = 3
f(device=4,
  device=5,
  device=6)
device: int
"""


@pytest.mark.parametrize("name", ["device", "self.device", "other"])
def test_what_lines_assign_is_what_an_expression_for_whole_lines_finds(name: str) -> None:
    assigned = rf"[ \t]*{re.escape(name)}[ \t]*(?::[^=\r\n]*)?=(?!=)[ \t]*([^\r\n]*[^,\s])[ \t]*"
    line = f"{LINE_START}{assigned}{LINE_END}"
    for text in (TEXT, TEXT.replace("\n", "\r"), TEXT.replace("\n", "\r\n")):
        found = re.findall(line, text)
        assert list(_origins(name, SimpleNamespace(text=text))) == found  # type: ignore[arg-type]
        assert name != "device" or len(found) == 4
