"""The text and tree of a script."""

from __future__ import annotations

import ast

import pytest

from telepathy_lint.source.text import Source, SourceError


def test_magics_of_a_script_with_cells_are_read_as_comments() -> None:
    code = (
        "# %%\n%cd /data\n!pip install peft\nimport os\n#%%\nif os.sep:\n    %time x = 1\n    y = 2\n%%bash\n"
    )
    source = Source("script.py", code.encode())
    assert [type(each).__name__ for each in source.tree.body] == ["Import", "If"]
    assert len(source.code) == len(code) and source.text == code
    with pytest.raises(SourceError):
        Source("script.py", b"import os\n%cd /data\n").tree  # noqa: B018
    given = Source("script.py", b"x = 1\n")
    given.tree = ast.parse("x = 1\n")
    assert given.code == given.text
