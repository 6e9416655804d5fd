"""One JSON object per line, the same objects as in `json`."""

from __future__ import annotations

import json
from collections.abc import Iterator

from telepathy_lint.output import Report
from telepathy_lint.output.json_list import as_dict


def render(report: Report) -> Iterator[str]:
    for violation in report.findings():
        yield json.dumps(as_dict(violation)) + "\n"
