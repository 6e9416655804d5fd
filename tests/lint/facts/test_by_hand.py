"""Which devices a script chooses itself."""

from __future__ import annotations

import re

import pytest

from telepathy_lint.facts.by_hand import _written_origins

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
    line = rf"(?m)^[ \t]*{re.escape(name)}[ \t]*(?::[^=\n]*)?=(?!=)[ \t]*([^\n]*[^,\s])[ \t]*$"
    assert list(_written_origins(name, TEXT)) == re.findall(line, TEXT)
    assert name != "device" or len(re.findall(line, TEXT)) == 4
