"""A batch of sources: every type of batch gives the same columns, and a bad row costs only itself."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import telepathy_lint
from telepathy_lint.batch import lint_batch, schema

LOAD = """import torch
from transformers import AutoModelForCausalLM, AutoTokenizer
model = AutoModelForCausalLM.from_pretrained("gpt2", torch_dtype=torch.float16, device_map="auto")
tokenizer = AutoTokenizer.from_pretrained("gpt2", padding_side="left")
model.generate(**tokenizer("a", return_tensors="pt"), do_sample=False)
"""
NOTEBOOK = json.dumps(
    {
        "cells": [
            {"cell_type": "code", "metadata": {}, "outputs": [], "execution_count": None, "source": LOAD}
        ],
        "metadata": {},
        "nbformat": 4,
        "nbformat_minor": 5,
    }
)
SOURCES = {
    "a.py": LOAD,
    "b.py": "print(1)\n",
    "c.ipynb": NOTEBOOK,
    "d.py": LOAD + "x = (\n",
    "e.py": LOAD.encode(),
    "f.py": None,
}
BATCH: dict[str, list[Any]] = {
    "path": list(SOURCES),
    "content": list(SOURCES.values()),
    "year": [2020 + index for index in range(len(SOURCES))],
}


def by_path(found: Any) -> dict[str, dict[str, Any]]:
    columns = {name: list(found[name]) for name in found}
    return {
        path: {name: values[index] for name, values in columns.items()}
        for index, path in enumerate(columns["path"])
    }


def test_the_facts_of_a_load() -> None:
    model, tokenizer = by_path(lint_batch(BATCH))["a.py"]["loads"]
    assert (model["kind"], model["class"], model["library"]) == (
        "model",
        "AutoModelForCausalLM",
        "transformers",
    )
    assert (model["line"], model["column"], model["cell"]) == (3, 9, None)
    assert model["model_id"] == "gpt2"
    assert model["dtype"] == {"set": True, "value": "float16"}
    assert model["device_map"] == {"set": True, "value": "'auto'"}
    assert model["attention"] == {"set": False, "value": None}
    assert model["generation_config"] == {"set": False, "value": None}
    assert model["pad_token"] == {"set": None, "value": None}  # a setting of tokenizers
    assert tokenizer["padding_side"] == {"set": True, "value": "'left'"}
    assert tokenizer["dtype"] == {"set": None, "value": None}


@pytest.mark.parametrize(
    ("call", "setting", "expected"),
    [
        ("(m, torch_dtype=None)", "dtype", {"set": False, "value": None}),
        ("(m, torch_dtype=d)", "dtype", {"set": True, "value": "make(...)"}),
        ("(m, **options)", "dtype", {"set": None, "value": None}),
        (
            "(m, device_map='auto' if a else None)",
            "device_map",
            {"set": None, "value": "'auto' or not passed"},
        ),
        ("(m, revision='abc')", "revision", {"set": True, "value": "pinned"}),
    ],
)
def test_whether_a_setting_is_set(call: str, setting: str, expected: dict[str, Any]) -> None:
    source = (
        "from transformers import AutoModelForCausalLM\nfrom unknown import m, a, options, make\nd = make()\n"
        f"AutoModelForCausalLM.from_pretrained{call}\n"
    )
    (row,) = lint_batch({"path": ["a.py"], "content": [source]})["loads"]
    assert row[0][setting] == expected


def test_the_loader_keeps_what_its_calls_say() -> None:
    source = "from telepathy_runtime import load_model\nload_model('gpt2', dtype='float16')\n"
    (row,) = lint_batch({"path": ["a.py"], "content": [source]})["loads"]
    assert row[0]["dtype"] == {"set": True, "value": "float16"}
    assert row[0]["device_map"] == {"set": True, "value": "the loader's choice"}
    assert row[0]["revision"] == {"set": False, "value": None}


def test_a_class_of_the_file_has_no_library() -> None:
    source = "import transformers\nclass Own(transformers.LlamaForCausalLM):\n    pass\nOwn.from_pretrained('gpt2')\n"
    (row,) = lint_batch({"path": ["a.py"], "content": [source]})["loads"]
    assert (row[0]["library"], row[0]["class"]) == (None, "Own")


def test_decoding_arguments() -> None:
    (call,) = by_path(lint_batch(BATCH))["a.py"]["generates"]
    assert (call["line"], call["states"]) == (5, ["do_sample"])


def test_findings_are_those_of_lint() -> None:
    rows = by_path(lint_batch(BATCH))
    for path, source in SOURCES.items():
        if rows[path]["error"] is not None:
            assert path in ("d.py", "f.py")
            continue
        assert source is not None
        expected = telepathy_lint.lint(source, path=path)
        assert [
            (one["code"], one["line"], one["column"], one["message"], one["cell"])
            for one in rows[path]["findings"]
        ] == [
            (one.code, one.line, one.column, one.message, one.cell if one.cell >= 0 else None)
            for one in expected
        ]
    assert rows["a.py"]["findings"]
    assert rows["c.ipynb"]["findings"][0]["cell"] == 0


def test_edits_are_those_of_fixes() -> None:
    found = lint_batch({"path": ["a.py"], "content": [LOAD]}, select=["TLP901", "TLP101"], edits=True)
    texts = [edit["text"] for one in found["findings"][0] for edit in one["edits"]]
    expected = telepathy_lint.lint(LOAD, select=["TLP901", "TLP101"], edits=True)
    assert texts == [edit.text for one in expected if one.fix for edit in one.fix.edits]
    assert any("load_model" in text for text in texts)


def test_a_bad_row_costs_itself() -> None:
    rows = by_path(lint_batch(BATCH))
    assert rows["d.py"]["error"].startswith("line 6: ")
    assert rows["f.py"]["error"] == "the content is not text or bytes but NoneType"
    assert rows["d.py"]["loads"] == rows["f.py"]["findings"] == []
    assert rows["e.py"] == rows["a.py"] | {"path": "e.py"}


def test_columns() -> None:
    renamed = {"file": BATCH["path"], "code": BATCH["content"], "year": BATCH["year"]}
    found = lint_batch(renamed, path="file", content="code", keep=["year"])
    assert list(found) == ["file", "year", "loads", "generates", "findings", "error"]
    assert found["year"] == BATCH["year"]
    with pytest.raises(KeyError, match=r"no column 'content'; it has 'file', 'code', 'year'"):
        lint_batch(renamed, path="file")
    with pytest.raises(ValueError, match="TLP999"):
        lint_batch(BATCH, select=["TLP999"])


def test_an_arrow_table() -> None:
    pa = pytest.importorskip("pyarrow")
    content = [source.decode() if isinstance(source, bytes) else source for source in BATCH["content"]]
    plain = lint_batch(BATCH, keep=["year"], edits=True)
    for kind in (pa.Table, pa.RecordBatch):
        batch = kind.from_pydict({**BATCH, "content": content})
        found = lint_batch(batch, keep=["year"], edits=True)
        assert isinstance(found, kind)
        assert found.schema.names == list(plain)
        assert found.schema.field("loads") == schema().field("loads")
        assert found.to_pydict() == plain


def test_a_data_frame() -> None:
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(BATCH, index=range(10, 10 + len(SOURCES)))
    found = lint_batch(frame, keep=["year"])
    assert list(found.index) == list(frame.index)
    plain = lint_batch(BATCH, keep=["year"])
    assert list(found["findings"]) == plain["findings"]
    assert list(found["loads"]) == plain["loads"]


def test_importing_it_imports_neither_arrow_nor_pandas() -> None:
    import subprocess
    import sys

    script = "import sys, telepathy_lint.batch; print(*({'pyarrow', 'pandas', 'libcst', 'ray'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == "\n"


@given(st.lists(st.sampled_from(list(SOURCES)), max_size=6), st.integers(0, 6))
def test_rows_do_not_depend_on_each_other(paths: list[str], cut: int) -> None:
    def found(some: list[str]) -> dict[str, list[Any]]:
        return dict(lint_batch({"path": some, "content": [SOURCES[path] for path in some]}))

    first, second, whole = found(paths[:cut]), found(paths[cut:]), found(paths)
    assert {name: first[name] + second[name] for name in whole} == whole
