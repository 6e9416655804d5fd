"""Traps that fixers of Python code fall into, each as a file of its own, from bytes to bytes.

What is asked of each: is the load reported, is it rewritten, and does the rest of the file stay as it was. Whatever the
answer, the result parses, a second fix changes nothing, and nothing is said of an internal error.
"""

from __future__ import annotations

import ast
import sys
import warnings
from typing import Literal

import pytest

import telepathy_lint
from telepathy_lint import rules as registry
from telepathy_lint.findings.result import FileResult
from telepathy_lint.run.lint_file import lint_file, open_source
from telepathy_lint.run.options import Task
from telepathy_lint.run.selection import FilePlan
from telepathy_lint.settings import Settings

Outcome = Literal["fixed", "reported", "silent", "refused"]
RULES = registry.select(["TLP101"])
CLASSES = "from transformers import AutoModel, AutoModelForCausalLM\n"
CALL = 'AutoModel.from_pretrained("gpt2", device_map="auto")'
LOAD = f"{CLASSES}m = {CALL}\n"


def outcome(data: bytes, path: str = "x.py", style: Literal["loader", "inline"] = "loader") -> Outcome:
    settings = Settings(fix_style=style)
    found = lint_file(FilePlan(path, RULES, settings), data)
    result = lint_file(FilePlan(path, RULES, settings, Task(fix=True, unsafe=True)), data)
    assert not any("itself failed" in one.message for one in (*found.failures, *result.failures))
    if result.output is not None:
        settled(path, data, result)
        return "fixed"
    if any(one.code == "TLP101" for one in found.violations):
        return "reported"
    return "refused" if found.failed else "silent"


def settled(path: str, data: bytes, result: FileResult) -> None:
    """The fixed file parses, and a second fix does not change it."""
    assert result.output is not None and result.output != data
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        ast.parse(open_source(path, result.output).text)
    again = lint_file(FilePlan(path, RULES, Settings(), Task(fix=True, unsafe=True)), result.output)
    assert again.output is None and not again.applied


def encoded(encoding: str, declared: str | None = None) -> bytes:
    return f"# coding: {declared or encoding}\n# Größe\n{LOAD}".encode(encoding)


STORED: dict[str, tuple[bytes, Outcome]] = {
    "empty": (b"", "silent"),
    "comments only": (b"# from_pretrained\n# AutoModel.from_pretrained('x', device_map='auto')\n", "silent"),
    "mixed newlines": (f"{CLASSES}x = 1\r\nm = {CALL}\ny = 2\r\n".encode(), "fixed"),
    "BOM and CRLF": (b"\xef\xbb\xbf" + LOAD.replace("\n", "\r\n").encode(), "fixed"),
    "utf-8 cookie": (encoded("utf-8"), "fixed"),
    "latin-1 cookie": (encoded("latin-1"), "fixed"),
    "cp1252 cookie": (encoded("cp1252"), "fixed"),
    "euc-jp cookie": (f"# coding: euc-jp\n# 日本\n{LOAD}".encode("euc-jp"), "fixed"),
    "unknown cookie": (encoded("utf-8", "klingon"), "refused"),
    "BOM and another name of utf-8": (b"\xef\xbb\xbf" + encoded("utf-8", "utf8"), "refused"),
    "BOM and utf-8 spelled otherwise": (b"\xef\xbb\xbf" + encoded("utf-8", "UTF_8"), "fixed"),
    "BOM against cookie": (b"\xef\xbb\xbf" + encoded("utf-8", "latin-1"), "refused"),
    "invalid UTF-8": (LOAD.encode() + b"# \xe9\n", "refused"),
    "UTF-16": (b"\xff\xfe" + LOAD.encode("utf-16-le"), "refused"),
    "NUL": (LOAD.encode() + b"\0\n", "refused"),
    "form feed in the indentation": (f"{CLASSES}if 1:\n  \x0c  m = {CALL}\n".encode(), "fixed"),
    "form feed before an import": (f"\x0c{LOAD}".encode(), "fixed"),
    "backslash at the end": (f"{LOAD}x = 1 \\".encode(), "refused"),
    "very long line": (f"{LOAD}x = [{'1, ' * 50_000}]\n".encode(), "fixed"),
    "very long line before the call": (f"{CLASSES}x = [{'1, ' * 50_000}]; m = {CALL}\n".encode(), "fixed"),
}

CODE: dict[str, tuple[str, Outcome]] = {
    # ---- syntax
    "Python 2": (f"{LOAD}print 'hello'\n", "refused"),
    "match": (f"match 1:\n    case _:\n        m = {CALL}\n", "fixed"),
    "walrus around": (f"if (m := {CALL}) is not None: pass\n", "fixed"),
    "walrus inside": (CALL.replace('"auto"', '(d := "auto")') + "\n", "reported"),
    "decorator": (f"@register({CALL})\ndef f(): pass\n", "fixed"),
    "default argument": (f"def f(m={CALL}): pass\n", "fixed"),
    "with item": (f"with {CALL} as m: pass\n", "fixed"),
    "await": (f"async def f():\n    return await g({CALL})\n", "fixed"),
    "yield": (f"def f():\n    x = yield {CALL}\n", "fixed"),
    "subscript": (f"x = y[{CALL}]\n", "fixed"),
    "comprehension": (f"x = {{k: {CALL} for k in 'ab'}}\n", "fixed"),
    "one-line if": (f"if 1: m = {CALL}\nelse: m = {CALL}\n", "fixed"),
    "backslashes": (
        'm = AutoModel.\\\n    from_pretrained("gpt2",\\\n    device_map=\\\n    "auto")\n',
        "fixed",
    ),
    "star expression": (f"x = [*{CALL}]\n", "fixed"),
    "in an f-string": ("x = f\"{AutoModel.from_pretrained('gpt2', device_map='auto')}\"\n", "reported"),
    "global statement": (f"def f():\n    global m\n    m = {CALL}\n", "fixed"),
    "a thousand terms": (f"x = {' + '.join(['1'] * 1000)}\nm = {CALL}\n", "fixed"),
    "five hundred elifs": ("if 1: pass\n" + "elif 2: pass\n" * 500 + f"m = {CALL}\n", "fixed"),
    "five hundred calls in a chain": (f"m = {CALL}{'.eval()' * 500}\n", "fixed"),
    "five thousand strings in the call": (CALL.replace('"gpt2"', '"g" ' * 5000) + "\n", "fixed"),
    "five thousand parentheses": (f"{CALL}\nx = {'(' * 5000}{')' * 5000}\n", "refused"),
    "sixty parentheses in the call": (
        CALL.replace('"gpt2"', "(" * 60 + '"gpt2"' + ")" * 60) + "\n",
        "fixed",
    ),
    # ---- shapes of calls
    "positional only": ('AutoModel.from_pretrained("gpt2", cfg)\n', "silent"),
    "starred arguments": ('AutoModel.from_pretrained(*args, device_map="auto")\n', "reported"),
    "dict display": ('AutoModel.from_pretrained("gpt2", **{"device_map": "auto"})\n', "reported"),
    "merged dicts": (
        'A = {"a": 1}\nAutoModel.from_pretrained("gpt2", **(A | {"device_map": "auto"}))\n',
        "reported",
    ),
    "keyword twice": (
        'K = {"device_map": "cuda"}\nAutoModel.from_pretrained("gpt2", device_map="auto", **K)\n',
        "fixed",  # it never ran: TypeError
    ),
    "a load in a load": (
        f'PeftModel.from_pretrained({CALL}, "adapter", device_map="auto")\n',
        "fixed",
    ),
    "two on a line": (f"a, b = {CALL}, {CALL}\n", "fixed"),
    "a partial": (
        'import functools\nf = functools.partial(AutoModel.from_pretrained, device_map="auto")\nm = f("gpt2")\n',
        "reported",
    ),
    "no call": ("f = AutoModel.from_pretrained\n", "silent"),
    "cls": (
        "class M(AutoModelForCausalLM):\n    @classmethod\n    def of(cls):\n"
        '        return cls.from_pretrained("gpt2", device_map="auto")\n',
        "reported",
    ),
    "self's attribute": (
        "class M:\n    kind = AutoModel\n    def load(self):\n"
        '        return self.kind.from_pretrained("gpt2", device_map="auto")\n',
        "fixed",
    ),
    "from a table": (
        'T = {"a": AutoModel}\nm = T["a"].from_pretrained("gpt2", device_map="auto")\n',
        "reported",
    ),
    "super": (
        "class M(AutoModelForCausalLM):\n    @classmethod\n    def from_pretrained(cls, name, **kwargs):\n"
        "        return super().from_pretrained(name, **kwargs)\n",
        "silent",
    ),
    "a docstring": (f'def f():\n    """\n    >>> m = {CALL}\n    """\n', "silent"),
    "a comment": (f"# m = {CALL}\n", "silent"),
    "an empty call": ("AutoModel.from_pretrained()\n", "silent"),
    "a generator": ('AutoModel.from_pretrained(x for x in "ab")\n', "silent"),
    # ---- names
    "deleted": (f"del AutoModel\nm = {CALL}\n", "silent"),
    "defined here": (f"class AutoModel:\n    pass\nm = {CALL}\n", "silent"),
    "shadowed": (f"def f(AutoModel):\n    return {CALL}\n", "silent"),
    "redefined in a branch": (
        f"if x:\n    from mine import AutoModel\nm = {CALL}\n",
        "silent",
    ),
    "imported twice": (f"{CLASSES}m = {CALL}\n", "fixed"),
    "in a loop's target": (f"for AutoModel in models:\n    m = {CALL}\n", "silent"),
    # ---- layout
    "fmt: skip": (f"m = {CALL}  # fmt: skip\n", "fixed"),
    "type: ignore": (f"m = {CALL}  # type: ignore[no-untyped-call]\n", "fixed"),
    "parenthesis on its own": (f"m = ({CALL})\n", "fixed"),
    "tabs": (f"if 1:\n\tif 2:\n\t\tm = {CALL}\n", "fixed"),
}  # fmt: skip


@pytest.mark.parametrize("name", STORED)
def test_however_a_file_is_stored(name: str) -> None:
    data, expected = STORED[name]
    assert outcome(data) == expected


@pytest.mark.parametrize("style", ["loader", "inline"])
@pytest.mark.parametrize("name", CODE)
def test_whatever_the_code_looks_like(name: str, style: Literal["loader", "inline"]) -> None:
    code, expected = CODE[name]
    whole = code if code.startswith(CLASSES) else CLASSES + code
    got = outcome(whole.encode(), style=style)
    # The inline style changes less, so it can do it in more places.
    assert got == expected or (style, got, expected) == ("inline", "fixed", "reported")


def test_syntax_of_a_newer_python_is_said_to_be_that() -> None:
    """Syntax that this interpreter cannot parse; for the newest one, syntax that no release can parse."""
    newest = {
        (3, 10): "try: pass\nexcept* E: pass\n",
        (3, 11): "type X = int\n",
        (3, 12): "class A[T = int]: pass\n",
        (3, 13): 'x = t"{y}"\n',
    }
    code = newest.get(sys.version_info[:2], "x = \N{SNOWMAN}\n")
    (failure,) = lint_file(FilePlan("x.py", RULES, Settings(strict=True)), (LOAD + code).encode()).failures
    assert failure.message.startswith("syntax error: ")
    assert "newer syntax needs a newer interpreter" in failure.message


@pytest.mark.skipif(sys.version_info < (3, 14), reason="t-strings came with Python 3.14")
def test_a_load_in_a_t_string_is_left_alone() -> None:
    assert outcome(f"{CLASSES}x = t\"{{AutoModel.from_pretrained('x', device_map='auto')}}\"\n".encode()) in (
        "reported",
        "silent",
    )


@pytest.mark.parametrize(
    "above",
    [
        'import os\nos.environ["CUDA_VISIBLE_DEVICES"] = "0,1"\n',
        'import sys\nsys.path.insert(0, "src")\nimport mine\n',
        '"""Doc."""\nfrom __future__ import annotations\n',
        '__all__ = ["m"]\n',
        "import os; import sys\n",
        "#!/usr/bin/env python\n# -*- coding: utf-8 -*-\n",
        "if True:\n    import os\n",
    ],
    ids=["environment", "sys.path", "future", "__all__", "semicolon", "shebang", "block"],
)
def test_the_new_import_stands_where_that_of_transformers_stood(above: str) -> None:
    data = f"{above}{LOAD}".encode()
    result = lint_file(FilePlan("x.py", RULES, Settings(), Task(fix=True, unsafe=True)), data)
    assert result.output is not None and result.output.startswith(above.encode() + b"from ")
    settled("x.py", data, result)


def test_a_name_that_is_taken_is_not_shadowed() -> None:
    for taken in ("def load_model(name):\n    return name\n", "load_model = 1\n", "import load_model\n"):
        data = f"{LOAD}{taken}print(load_model)\n".encode()
        result = lint_file(FilePlan("x.py", RULES, Settings(), Task(fix=True, unsafe=True)), data)
        assert result.output is not None
        assert b"import load_model\n" not in result.output.replace(taken.encode(), b"")
        settled("x.py", data, result)


def test_a_noqa_that_the_fix_made_useless_is_said() -> None:
    """The rewrite fixes TLP101; a comment for another finding at the call then suppresses nothing."""
    rules = registry.select(["TLP101", "TLP102"])
    data = (
        f"{CLASSES}m = AutoModel.from_pretrained(  # noqa: TLP103\n    'gpt2', device_map='auto')\n".encode()
    )
    result = lint_file(
        FilePlan(
            "x.py", registry.select(["TLP1"]), Settings(), Task(fix=True, unsafe=True, unused_noqa=True)
        ),
        data,
    )
    assert result.output is not None and b"noqa" not in result.output
    kept = lint_file(FilePlan("x.py", rules, Settings(), Task(fix=True, unsafe=True, unused_noqa=True)), data)
    assert kept.output is not None and b"# noqa: TLP103" in kept.output  # that rule did not run: who knows


@pytest.mark.parametrize(("module", "reported"), [("transformers", True), ("vendored.modeling_llava", False)])
def test_a_class_of_the_project_may_have_what_transformers_removed(module: str, reported: bool) -> None:
    found = telepathy_lint.lint(
        "import transformers\n"
        f"from {module} import LlavaForConditionalGeneration\n"
        "m = LlavaForConditionalGeneration.from_pretrained('x', device_map=pick())\nprint(m.language_model)\n",
        settings=Settings(target_transformers="5.0"),
        select=["TLP410"],
    )
    assert [each.code for each in found] == ["TLP410"] * reported


def test_the_device_that_is_current_is_no_hard_coded_one() -> None:
    load = "m = AutoModelForCausalLM.from_pretrained('x', device_map={'': torch.cuda.current_device()})\n"
    code = f"import torch\nfrom transformers import AutoModelForCausalLM\n{load}torch.distributed.init_process_group()\n"
    assert "TLP101" not in {each.code for each in telepathy_lint.lint(code)}


@pytest.mark.parametrize(("target", "reported"), [("4.37,<5", False), (">=4.40", True), ("5.0", True)])
def test_what_only_breaks_in_5_has_time_where_5_is_not_allowed(target: str, reported: bool) -> None:
    code = "from transformers import AutoModel\nm = AutoModel.from_pretrained('x', load_in_4bit=True)\n"
    found = telepathy_lint.lint(code, settings=Settings(target_transformers=target), select=["TLP107"])
    assert [each.code for each in found] == ["TLP107"] * reported
