"""Notebooks: joined cells, hidden magics, positions in cells, and writing only changed lines."""

from __future__ import annotations

import ast
import json
import time
from collections.abc import Callable
from typing import Any

import pytest

from telepathy_lint import engine
from telepathy_lint.rules import all_rules, select
from telepathy_lint.run.lint_file import lint_file
from telepathy_lint.run.options import Task
from telepathy_lint.run.selection import FilePlan
from telepathy_lint.settings import Settings
from telepathy_lint.source.magics import hide_magics
from telepathy_lint.source.notebook import Notebook
from telepathy_lint.source.text import SourceError

LOAD = 'm = A.from_pretrained("x")'


def notebook(*cells: Any, **changes: Any) -> dict[str, Any]:
    """A notebook of nbformat 4; a cell is its source or the whole cell."""
    whole = [
        cell
        if isinstance(cell, dict)
        else {"cell_type": "code", "execution_count": 1, "metadata": {}, "outputs": [], "source": cell}
        for cell in cells
    ]
    metadata = {"kernelspec": {"name": "python3"}, "language_info": {"name": "python"}}
    return {"cells": whole, "metadata": metadata, "nbformat": 4, "nbformat_minor": 5, **changes}


def opened(*cells: Any, **changes: Any) -> Notebook:
    return Notebook("n.ipynb", json.dumps(notebook(*cells, **changes), indent=1).encode())


def lines_of(text: str) -> list[str]:
    return text.splitlines(keepends=True)


def replaced(source: Notebook, old: str, new: str) -> bytes:
    assert source.text.count(old) == 1
    return source.encode(source.text.replace(old, new))


def places(source: Notebook, text: str) -> list[tuple[int, int, int]]:
    found, at = [], -1
    while (at := source.text.find(text, at + 1)) >= 0:
        span = source.place(at, at + len(text))
        found.append((span.cell, span.line, span.column))
    return found


def test_places_count_lines_inside_the_cell_and_code_cells_only() -> None:
    markdown = {"cell_type": "markdown", "metadata": {}, "source": ["LOAD"]}
    source = opened(
        ["a = 1\n", "LOAD"], markdown, "", "b = 2\n\n  LOAD\n", {**markdown, "cell_type": "raw"}, ["é; LOAD"]
    )
    assert places(source, "LOAD") == [(0, 2, 1), (2, 3, 3), (3, 1, 4)]


def test_an_end_is_placed_in_the_cell_of_its_start() -> None:
    source = opened("x = 1", "call(\n  1,\n)\ny")
    start = source.text.index("call")
    span = source.place(start, source.text.index(")") + 1)
    assert (span.cell, span.line, span.column, span.end_line, span.end_column) == (1, 1, 1, 3, 2)


HIDDEN = {
    "line magic": "%matplotlib inline",
    "indented magic": "if x:\n    %timeit f()",
    "shell": "!pip install -q transformers",
    "shell, two marks": "!!ls",
    "shell over lines": "!pip install \\\n    transformers \\\n    torch",
    "magic over lines": "%env A=1 \\\n  B",
    "help": "?len",
    "help behind": "np.array?",
    "source behind": "model.generate??  # how",
    "help on a magic": "%timeit?",
    "assigned from a shell": "files = !ls *.py",
    "assigned from a magic": "a, b = %sx ls",
    "assigned from a shell, annotated": "files: list = !ls",
    "assigned from a magic, annotated": "x: object = %time 1",
    "assigned from a shell, in parentheses": "(x) = !ls",
    "assigned from a shell, behind a colon": "if True: x = !ls",
    "one line of SQL": "%sql select * from t",
    "a Databricks cell in Python": "%python\ny = 1",
    "auto-call": "/print 1",
    "auto-quote": ",print a b",
    "automagic": "pip install transformers>=4.40",
    "automagic, indented": "if x:\n    cd ../data",
    "python cell magic": "%%time\ny = 1",
    "python cell magic below a comment": "#@title Load\n%%time\ny = 1",
    "python cell magic below blank lines": "\n\n%%capture out\ny = 1",
}


@pytest.mark.parametrize("cell", [pytest.param(text, id=name) for name, text in HIDDEN.items()])
@pytest.mark.parametrize("newline", ["\n", "\r\n"], ids=["LF", "CRLF"])
def test_what_only_ipython_reads_is_hidden_and_shifts_nothing(cell: str, newline: str) -> None:
    text = f"{cell}\n{LOAD}\n".replace("\n", newline)
    source = opened(lines_of(text))
    assert ast.dump(source.tree).count("from_pretrained") == 1
    assert places(source, LOAD) == [(0, text.count("\n", 0, text.index(LOAD)) + 1, 1)]
    data = json.loads(replaced(source, LOAD, "m = load()"))
    assert data["cells"][0]["source"] == lines_of(text.replace(LOAD, "m = load()"))


KEPT = {
    "modulo over lines": "x = (a\n% b)",
    "modulo behind a backslash": "x = a \\\n    % b",
    "question in a comment": "x = 1  # really?",
    "question in a string": "x = 'what?'",
    "question in a docstring": '"""\nwhat?\n!ls\n%time\n"""',
    "mark in a string": "x = '''\n!ls\n'''",
    "quotes in a comment": "# isn't it\ny = '\"\"\"'",
    "formatting": 'x["a = %s" % b] = 1',
    "subtraction": "ls -la",
    "name of a magic, call over lines": "run = start(\n    1,\n)\nconfig = {\n    1: 2}",
    "indented cell": "  x = 1\n  if x:\n    y = 2",
    "names of magics": "cd = 1\nrun(ls)\ncat, less = 1, 2",
    "comparison": "x != y",
    "trailing semicolon": "plt.show();",
    "await": "await f()\nasync for a in b: pass\nasync with c: pass",
    "unclosed bracket in a comment": "# (\nx = 1",
    "statement over lines that begins like a magic": "cat if x else (\n    1\n)",
}


@pytest.mark.parametrize("cell", [pytest.param(text, id=name) for name, text in KEPT.items()])
def test_python_is_left_alone(cell: str) -> None:
    source = opened(cell)
    assert source.hidden == []
    assert source.text[source.cell_starts[0] :].startswith(cell + "\n")
    changed = source.with_text(source.text.replace(cell, cell + "  # more"))
    assert json.loads(changed.data)["cells"][0]["source"] == cell + "  # more"
    assert isinstance(source.tree, ast.Module)


@pytest.mark.parametrize(
    "magic",
    [
        "%%bash",
        "%%html",
        "%%writefile a.py",
        "%%javascript",
        "%% x",
        "%%python2",
        "%r",
        "%scala",
        "%sql\nselect 1",
        "%md # it's",
        "%sh",
    ],
)
def test_a_cell_of_another_language_is_hidden_whole(magic: str) -> None:
    source = opened(f"{magic}\n{LOAD}", LOAD)
    assert places(source, LOAD) == [(1, 1, 1)]


@pytest.mark.parametrize(
    "cell",
    [
        ">>> " + LOAD,
        "\n>>> a = 1\n>>> " + LOAD,
        ">>>\n>>> a",
        "In [3]: " + LOAD,
        ">>> for a in b:\n...     a",
    ],
)
def test_a_session_pasted_with_its_prompts_is_passed_over(cell: str) -> None:
    """IPython removes the prompts, so such a cell runs."""
    source = opened("a = 1\n", cell, "b = 2\n")
    assert source.problems == () and len(source.tree.body) == 2


def test_a_hidden_cell_survives_a_change_elsewhere() -> None:
    source = opened("%%bash\necho é", LOAD)
    data = json.loads(replaced(source, LOAD, "m = 1"))
    assert [cell["source"] for cell in data["cells"]] == ["%%bash\necho é", "m = 1"]


@pytest.mark.parametrize(
    "metadata",
    [{"language_info": {"name": "julia"}}, {"kernelspec": {"name": "ir", "language": "R"}}],
    ids=["language", "kernel"],
)
def test_other_kernels_have_no_python(metadata: dict[str, Any]) -> None:
    source = opened("x <- 1", metadata=metadata)
    assert source.text == ""
    assert source.tree.body == []


def test_a_cell_may_have_a_language_of_its_own() -> None:
    shell = {
        "cell_type": "code",
        "metadata": {"vscode": {"languageId": "shellscript"}},
        "source": "ls -la ]",
        "outputs": [],
    }
    assert places(opened(shell, LOAD), LOAD) == [(1, 1, 1)]


def test_a_cell_that_does_not_parse_is_said_and_the_others_are_read() -> None:
    source = opened("x = 1\n", "y = 2\nz = (\n", "w = 3")
    names = [node.id for node in ast.walk(source.tree) if isinstance(node, ast.Name)]
    assert names == ["x", "w"]
    (problem,) = source.problems
    assert (problem.cell, problem.line) == (1, 2)


@pytest.mark.parametrize("add_noqa", [True, False])
def test_a_cell_that_ends_in_a_backslash_is_no_python(add_noqa: bool) -> None:
    load = 'AutoModel.from_pretrained("acme", device_map="auto")'
    cells = ("from transformers import AutoModel", f"m = {load}\\", f"n = {load}")
    data = json.dumps(notebook(*cells)).encode()
    result = lint_file(FilePlan("n.ipynb", all_rules(), Settings(), Task(add_noqa=add_noqa)), data)
    assert {(one.cell, one.code) for one in result.violations if one.cell == 1} == {(1, "TLP000")}
    if add_noqa:
        assert result.output is not None
        sources = [cell["source"] for cell in json.loads(result.output)["cells"]]
        assert sources[:2] == [*cells[:2]]
        assert "# noqa: TLP101" in sources[2]


@pytest.mark.parametrize(
    ("above", "below"),
    [
        ("x = '''", "# noqa\nx = '''"),
        ("x = '''", "# noqa\nx = '''''''''"),
        ("x = f(", ")"),
        ("if x:\n    pass", "else:\n    pass"),
        ("@f", "@f"),
    ],
)
def test_what_two_cells_leave_open_holds_no_cell_between_them(above: str, below: str) -> None:
    load = 'm = AutoModel.from_pretrained("acme", device_map="auto")'
    cells = (
        "from transformers import AutoModel",
        above,
        load,
        below,
        "def g(): ...",
        f"{load}  # noqa: TLP9",
    )
    data = json.dumps(notebook(*cells)).encode()
    result = lint_file(FilePlan("n.ipynb", all_rules(), Settings(), Task(unused_noqa=True)), data)
    found = {(one.cell, one.code) for one in result.violations}
    assert (2, "TLP101") in found
    assert (3, "TLP000") in found
    assert (5, "TLP101") in found
    assert (5, "TLP902") not in found


def test_a_comment_in_a_cell_that_is_not_python_stays() -> None:
    data = json.dumps(notebook("def (:  # noqa: TLP101", "x = 1  # noqa: TLP101")).encode()
    result = lint_file(FilePlan("n.ipynb", all_rules(), Settings(), Task(unused_noqa=True)), data)
    assert [(one.cell, one.code) for one in result.violations] == [(0, "TLP000"), (1, "TLP001")]


def test_a_notebook_that_parses_has_no_problems() -> None:
    assert opened("x = 1\n", "%matplotlib inline\ny = 2").problems == ()


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", "{}", '{"cells": [{"cell_type": "code"}]}', '{"cells": [{"source": [1], "cell_type": "code"}]}',
     '{"cells": []} x', "[" * 100_000, '{"a": ' * 100_000],
    ids=["empty", "cut", "list", "no cells", "no source", "number", "trailing", "deep list", "deep object"],
)  # fmt: skip
def test_what_is_no_notebook_is_said_to_be_none(text: str) -> None:
    with pytest.raises(SourceError, match="not a notebook"):
        Notebook("n.ipynb", text.encode())


def test_an_edit_must_not_cross_cells() -> None:
    source = opened("a", "b")
    with pytest.raises(ValueError, match="cross"):
        source.edit(source.text.index("a"), source.text.index("b") + 1, "")
    with pytest.raises(ValueError, match="cell boundary"):
        source.encode(source.text.replace(source.marker, ""))
    assert source.edit(0, 1, "c").span.cell == 0


@pytest.mark.parametrize("cut", [str, list])
def test_a_cell_that_holds_the_marker_is_no_trouble(cut: Callable[[str], Any]) -> None:
    first = opened("a")
    text = f"x = 1  {first.marker} 0 ends\n{first.marker} line 0\n%time y\n"
    source = opened(cut(text), LOAD)
    data = json.loads(replaced(source, LOAD, "m = 1"))
    assert data["cells"][1]["source"] == "m = 1"
    assert data["cells"][0]["source"] == cut(text)


def byte_cases() -> dict[str, bytes]:
    cells = ["import x\n", '# ünï \u2028 "q" \\ \t\n', LOAD + "\n", "done = 'é😀'"]
    outputs = [{"data": {"image/png": "A" * 10_000}, "output_type": "display_data", "metadata": {}}]
    code: dict[str, Any] = {
        "cell_type": "code",
        "metadata": {},
        "outputs": outputs,
        "source": cells,
        "execution_count": None,
    }
    plain = notebook("a = 1\n", code)
    v3 = {
        "metadata": {"name": ""},
        "nbformat": 3,
        "nbformat_minor": 0,
        "worksheets": [{"cells": [{"cell_type": "code", "collapsed": False, "input": cells, "language": "python", "outputs": []}]}],
    }  # fmt: skip
    one_string = notebook({**code, "source": "".join(cells)})
    irregular = notebook({**code, "source": [cells[0] + cells[1], LOAD + "\n" + cells[3]]})

    def dumped(value: object, **how: Any) -> bytes:
        return json.dumps(value, **{"indent": 1, "ensure_ascii": False, **how}).encode()

    return {
        "as nbformat writes": dumped(plain) + b"\n",
        "no final newline": dumped(plain),
        "escaped": dumped(plain, ensure_ascii=True),
        "wide indent": dumped(plain, indent=4),
        "tabs": dumped(plain, indent="\t"),
        "one line": dumped(plain, indent=None),
        "compact": dumped(plain, indent=None, separators=(",", ":")),
        "CRLF between": dumped(plain).replace(b"\n", b"\r\n"),
        "byte order mark": b"\xef\xbb\xbf" + dumped(plain),
        "nbformat 3": dumped(v3),
        "one string": dumped(one_string),
        "one string, escaped": dumped(one_string, ensure_ascii=True),
        "irregular items": dumped(irregular),
        "odd escapes": dumped(plain)
        .replace(b"import x", b"\\u0069mport\\/x")
        .replace(b"done", b"\\u0064one"),
        "metadata last and repeated": dumped({**plain, "zzz": [1.0, 1e400, -0.0, {"source": ["no"]}]}),
    }


@pytest.mark.parametrize("data", [pytest.param(data, id=name) for name, data in byte_cases().items()])
def test_writing_back_changes_the_changed_line_only(data: bytes) -> None:
    source = Notebook("n.ipynb", data)
    assert source.encode(source.text) == data
    new = LOAD.replace('"x"', '"y"')
    # The same line spelled in JSON differs in that one letter: every other byte must be as it was.
    assert replaced(source, LOAD, new) == data.replace(b'\\"x\\"', b'\\"y\\"')
    assert source.with_text(source.text.replace(LOAD, new)).text == source.text.replace(LOAD, new)


@pytest.mark.parametrize("data", [pytest.param(data, id=name) for name, data in byte_cases().items()])
def test_lines_may_be_added_and_taken_away(data: bytes) -> None:
    source = Notebook("n.ipynb", data)
    longer = source.text.replace(LOAD, f"from r import ä\n{LOAD}\n# end")
    grown = source.with_text(longer)
    assert grown.text == longer
    assert (b"\\u00e4" in grown.data) == data.isascii() and (("ä".encode() in grown.data) != data.isascii())
    assert grown.encode(source.text) == data
    shorter = source.text.replace(LOAD + "\n", "")
    assert source.with_text(shorter).text == shorter


def test_a_cell_without_final_newline_stays_without() -> None:
    source = opened(["a = 1\n", LOAD])
    data = json.loads(source.encode(source.text.replace("a = 1", "a = 2").replace(LOAD, "b\nc")))
    assert data["cells"][0]["source"] == ["a = 2\n", "b\n", "c"]


def test_blanks_around_what_may_be_a_magic_cost_no_more_than_their_number() -> None:
    blanks = " " * 20_000
    for line in (f"{blanks}a{blanks}b", f"{blanks}= !x", f"a{blanks}= x", f"a?{blanks}(", f"{blanks}a?"):
        start = time.process_time()
        hide_magics(f"%time x\n{line}\n", "#", [])
        assert time.process_time() - start < 2, line.strip()[:3]


USES = [
    "%timeit AutoModel.from_pretrained('x')",
    "%time other = AutoModel",
    "AutoModel?",
    "AutoModel??",
    "!echo {AutoModel}",
    "names = !echo {AutoModel}",
    "%%bash\necho {AutoModel}",
]


@pytest.mark.parametrize("use", USES)
def test_a_name_that_only_ipython_reads_keeps_its_import(use: str) -> None:
    cells = ("from transformers import AutoModel\n", "model = AutoModel.from_pretrained('acme')\n")
    fixed = engine.fix(opened(*cells, use), select(["TLP102"]), Settings(), unsafe=True)
    assert "import AutoModel\n" in fixed.text and "load_model(" in fixed.text
    # Where the class is the default one, its name goes with the call; in the loader's call it stays as an argument.
    cells = (
        "from transformers import AutoModelForCausalLM\n",
        "m = AutoModelForCausalLM.from_pretrained('acme')\n",
    )
    named = use.replace("AutoModel", "AutoModelForCausalLM")
    assert (
        "import AutoModelForCausalLM\n"
        in engine.fix(opened(*cells, named), select(["TLP102"]), Settings(), unsafe=True).text
    )
    assert (
        "import AutoModelForCausalLM\n"
        not in engine.fix(opened(*cells, "!echo {name}"), select(["TLP102"]), Settings(), unsafe=True).text
    )


TIMED = [
    "from transformers import AutoModelForCausalLM",
    "%time  model = AutoModelForCausalLM.from_pretrained('x', device_map='auto')  # slow\n%timeit model = 1\nx = 1",
]


def _notebook(cells: list[str]) -> Notebook:
    book = {"cells": [{"cell_type": "code", "source": cell.splitlines(keepends=True)} for cell in cells]}
    return Notebook("x.ipynb", json.dumps(book).encode())


def test_a_load_behind_time_is_a_load() -> None:
    source = _notebook(TIMED)
    (found,) = engine.lint(source, select(["TLP101"]), Settings())
    assert (found.cell, found.line, found.column) == (1, 1, 1 + TIMED[1].index("device_map"))
    assert source.line(source.line_of(found.start)).startswith("%time  model")
    fixed = engine.fix(source, select(["TLP101"]), Settings())
    cells = ["".join(cell["source"]) for cell in json.loads(source.with_text(fixed.text).data)["cells"]]
    assert cells == [
        "from telepathy_runtime import load_model",
        "%time  model = load_model('x', dtype=None, attn_implementation=None, generation_config=None)  # slow\n"
        "%timeit model = 1\nx = 1",
    ]


def test_a_timed_call_stays_on_its_line() -> None:
    name = "a" * 90
    source = _notebook(
        [TIMED[0], f"%time model = AutoModelForCausalLM.from_pretrained('{name}', device_map='auto')"]
    )
    fixed = engine.fix(source, select(["TLP101"]), Settings())
    assert fixed.changed
    assert json.loads(source.with_text(fixed.text).data)["cells"][1]["source"] == [
        f"%time model = load_model('{name}', dtype=None, attn_implementation=None, generation_config=None)"
    ]


@pytest.mark.parametrize(
    "line", ["%time for x in y: z = x", "%time x = (", "%time -o x = 1", "%time x", "%times x = 1"]
)
def test_what_is_no_timed_assignment_is_hidden(line: str) -> None:
    source = _notebook([f"{line}\ny = 1"])
    assert source.hidden == [line]
    assert source.with_text(source.text).data == source.data


def test_a_cell_shows_nothing_new() -> None:
    """Found by running the programs in IPython: the result of `apply_generation_config` became the cell's value."""
    load = "model = AutoModelForCausalLM.from_pretrained('x', torch_dtype='bfloat16')"
    source = _notebook([TIMED[0], f"{load}\n", f"{load}\nx = 1"])
    fixed = engine.fix(source, select(["TLP105"]), Settings()._replace(fix_style="inline"), unsafe=True)
    cells = ["".join(cell["source"]) for cell in json.loads(source.with_text(fixed.text).data)["cells"]]
    assert cells[1] == f"{load}\napply_generation_config(model);\n"
    assert cells[2] == f"{load}\napply_generation_config(model)\nx = 1"
