"""A survey of a dataset: the same result in any number of processes, and after an interruption."""

from __future__ import annotations

import gzip
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import telepathy_lint
from telepathy_lint.batch import shards as sharding
from telepathy_lint.batch import survey
from telepathy_lint.batch.page import html, tables
from telepathy_lint.batch.records import Plan
from telepathy_lint.batch.shards import Broken, Shard, rows, shards_of
from telepathy_lint.batch.summary import summarize
from telepathy_lint.batch.worker import Worker
from telepathy_lint.commands.cli import run
from telepathy_lint.rules import select
from telepathy_lint.settings import Settings
from tests.lint.batch.poison import Poison
from tests.lint.batch.test_columns import LOAD

pa = pytest.importorskip("pyarrow")
pq = pytest.importorskip("pyarrow.parquet")

POISON = Plan((Poison(),), Settings())


def loading(model_id: str) -> str:
    return (
        f"from transformers import AutoModelForCausalLM\nAutoModelForCausalLM.from_pretrained({model_id!r})\n"
    )


def parquet(path: Path, contents: list[str], group: int = 2) -> Path:
    table = pa.table(
        {
            "path": [f"{index}.py" for index in range(len(contents))],
            "content": contents,
            "created": [f"{2022 + index % 3}-05-01" for index in range(len(contents))],
        }
    )
    pq.write_table(table, path, row_group_size=group)
    return path


def parts(output: Path) -> list[dict[str, Any]]:
    return [row for path in sorted((output / "parts").iterdir()) for row in pq.read_table(path).to_pylist()]


def surveyed(data: Path, output: Path, *more: str) -> int:
    return run(["survey", str(data), "-o", str(output), "--engine", "local", "--isolated", *more])


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return parquet(tmp_path / "data.parquet", [LOAD, "print(1)\n", loading("gpt2"), "x = (\n" + LOAD, LOAD])


# ---- processes


@pytest.mark.parametrize(
    ("model_id", "error"),
    [
        ("dies", "it ended the process that examined it (SIGKILL)"),
        ("exits", "it ended the process that examined it (exit status 3)"),
        ("hangs", "it took longer than 2 s"),
        ("grows", "TLP999 crashed on line 2: MemoryError: "),
        ("prints", None),
    ],
)
def test_a_poisoned_record_costs_itself(model_id: str, error: str | None) -> None:
    with Worker(POISON, timeout=2) as worker:
        before = worker.examine("a.py", loading("gpt2"))
        assert worker.examine("a.py", loading(model_id)).error == error
        assert worker.examine("a.py", loading("gpt2")) == before
        assert before.loads


def test_a_module_in_the_current_folder_is_not_imported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "pickle.py").write_text("raise SystemExit('imported')\n")
    monkeypatch.chdir(tmp_path)
    with Worker(POISON) as worker:
        assert worker.examine("a.py", loading("gpt2")).error is None


# ---- shards


LINES = st.lists(st.text(max_size=12), max_size=12)


@given(LINES, st.integers(1, 40), st.booleans())
def test_every_line_is_in_one_shard(tmp_path_factory: Any, texts: list[str], size: int, ends: bool) -> None:
    path = tmp_path_factory.mktemp("lines") / "a.jsonl"
    lines = [json.dumps({"path": "a.py", "content": text}) for text in texts]
    path.write_text("\n".join(lines) + ("\n" if ends else ""), encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sharding, "JSON_SHARD", size)
        found = [row for shard in shards_of([str(path)], ()) for row in rows(shard, ("path", "content"))]
    assert found == [json.loads(line) for line in lines]


def test_compressed_lines(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl.gz"
    path.write_bytes(gzip.compress(b'{"path": "a.py", "content": "1"}\n[]\n{"path": "b.py"}\n{\n'))
    (shard,) = shards_of([str(path)], ())
    first, *others = rows(shard, ("path", "content"))
    assert first == {"path": "a.py", "content": "1"}
    assert [one.why.partition(":")[0] for one in others if isinstance(one, Broken)] == [
        "not an object but list",
        "no column 'content'",
        "not JSON",
    ]


def test_a_damaged_row_group_costs_itself(tmp_path: Path) -> None:
    path = parquet(tmp_path / "a.parquet", [f"x = {index}{'#' * 200}\n" for index in range(4)])
    content = bytearray(path.read_bytes())
    content[40:120] = b"\xff" * 80
    path.write_bytes(content)
    first, second = (list(rows(shard, ("path", "content"))) for shard in shards_of([str(path)], ("path",)))
    assert any(isinstance(row, Broken) and "row group 0" in row.where for row in first)
    assert [row["path"] for row in second if isinstance(row, dict)] == ["2.py", "3.py"]


def test_text_that_is_not_utf8(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    column = pa.array([b"x = 1\n", b"# \xff\n"]).cast(pa.binary())
    broken = pa.StringArray.from_buffers(2, column.buffers()[1], column.buffers()[2])
    pq.write_table(pa.table({"path": ["a.py", "b.py"], "content": broken}), path)
    (shard,) = shards_of([str(path)], ())
    assert [row["content"] for row in rows(shard, ("path", "content"))] == ["x = 1\n", b"# \xff\n"]  # type: ignore[index]


# ---- whole surveys


def test_findings_are_those_of_lint(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert surveyed(data, tmp_path / "out") == 0
    found = {row["path"]: row for row in parts(tmp_path / "out")}
    assert list(found) == ["0.py", "2.py", "3.py", "4.py"]  # 1.py loads nothing
    assert [one["code"] for one in found["0.py"]["findings"]] == [
        one.code for one in telepathy_lint.lint(LOAD)
    ]
    assert found["3.py"]["error"]
    assert "5 sources, 5 loads, " in capsys.readouterr().out


def test_the_result_does_not_depend_on_the_processes(data: Path, tmp_path: Path) -> None:
    for jobs in (1, 3):
        surveyed(data, tmp_path / str(jobs), "--jobs", str(jobs))
    names = [path.relative_to(tmp_path / "1") for path in (tmp_path / "1").rglob("*") if path.is_file()]
    assert len(names) == 5
    for name in names:
        assert (tmp_path / "1" / name).read_bytes() == (tmp_path / "3" / name).read_bytes()


@pytest.mark.slow
def test_it_continues_where_it_stopped(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    surveyed(data, tmp_path / "whole")
    real = survey.process

    def interrupted(job: Any, shard: Shard, worker: Worker) -> int:
        if shard.number == 1:
            raise KeyboardInterrupt
        return real(job, shard, worker)

    monkeypatch.setattr(survey, "process", interrupted)
    assert surveyed(data, tmp_path / "out", "--jobs", "1") == 130
    done = {path.name: path.stat().st_mtime_ns for path in (tmp_path / "out" / "parts").iterdir()}
    assert list(done) == ["part-00000.parquet"]
    monkeypatch.setattr(survey, "process", real)
    capsys.readouterr()
    assert surveyed(data, tmp_path / "out") == 0
    assert "1 of 3 parts are done already" in capsys.readouterr().err
    assert (tmp_path / "out" / "parts" / "part-00000.parquet").stat().st_mtime_ns == done[
        "part-00000.parquet"
    ]
    assert parts(tmp_path / "out") == parts(tmp_path / "whole")


def test_another_survey_is_not_mixed_in(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    surveyed(data, tmp_path / "out")
    assert surveyed(data, tmp_path / "out", "--select", "TLP101") == 2
    assert "has a survey of other data or settings" in capsys.readouterr().err
    os.utime(data, (1, 1))
    assert surveyed(data, tmp_path / "out") == 2


def test_a_large_record_is_not_examined(tmp_path: Path) -> None:
    path = parquet(tmp_path / "a.parquet", [LOAD, "#" * 500 + LOAD])
    surveyed(path, tmp_path / "out", "--max-bytes", "400")
    assert [row["error"] for row in parts(tmp_path / "out")] == [None, "it is larger than 400 bytes"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["missing.parquet"], "missing.parquet: no such file or folder"),
        (["a.txt"], "a.txt: not a Parquet or JSON Lines file"),
        (["empty"], "empty: no Parquet or JSON Lines files"),
        (["data.parquet", "--content-column", "text"], "no column 'text'; it has path, content, created"),
        (["bad.parquet"], "bad.parquet: "),
        (["data.parquet", "--jobs", "0"], "--jobs must be at least 1, not 0"),
        (["data.parquet", "--select", "TLP999"], "TLP999"),
    ],
)
def test_bad_input(
    options: list[str],
    message: str,
    data: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.txt").touch()
    (tmp_path / "bad.parquet").write_bytes(b"PAR1 no")
    (tmp_path / "empty").mkdir()
    assert run(["survey", *options, "-o", "out", "--engine", "local", "--isolated"]) == 2
    assert message in capsys.readouterr().err


def test_without_its_packages(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    assert surveyed(data, tmp_path / "out") == 2
    assert "pip install 'telepathy-lint[survey]'" in capsys.readouterr().err


# ---- the page


def test_shares(data: Path, tmp_path: Path) -> None:
    surveyed(data, tmp_path / "out", "--year-column", "created")
    summary = summarize(str(tmp_path / "out"), "created")
    assert (summary.rows, summary.rows_with_loads, summary.errors) == (5, 3, 1)
    dtype = summary.models.settings["dtype"]
    assert (dtype.set, dtype.unset, dtype.undecided) == (2, 1, 0)
    assert {year: group.loads for year, group in summary.by_year.items()} == {"2022": 1, "2023": 1, "2024": 1}
    assert summary.values["dtype"] == {"float16": 2}
    by_title = {table.title: table for table in tables(summary)}
    (line,) = by_title["All loads of models"].lines
    assert dict(zip(by_title["All loads of models"].columns, line.cells, strict=True))["dtype"][:2] == (
        pytest.approx(66.7, abs=0.1),
        "67 %",
    )
    page = (tmp_path / "out" / "index.html").read_text()
    assert page == html(summary, f"Survey of {data}")
    assert "By year" in page
    assert "2 set, 1 not set, 0 undecided" in page


def test_text_of_the_data_is_escaped(tmp_path: Path) -> None:
    source = "import torch\nfrom transformers import AutoModel\nAutoModel.from_pretrained('a', device_map='<script>')\n"
    surveyed(parquet(tmp_path / "a.parquet", [source]), tmp_path / "out")
    page = (tmp_path / "out" / "index.html").read_text()
    assert "&lt;script&gt;" in page
    assert "<script" not in page


# ---- Ray


@pytest.mark.slow
def test_a_ray_cluster_of_several_nodes_gives_the_same(data: Path, tmp_path: Path) -> None:
    pytest.importorskip("ray")
    from ray.cluster_utils import Cluster

    surveyed(data, tmp_path / "local", "--jobs", "1")
    cluster = Cluster(initialize_head=True, connect=True, head_node_args={"num_cpus": 1})
    try:
        cluster.add_node(num_cpus=1)
        arguments = ["survey", str(data), "-o", str(tmp_path / "ray"), "--engine", "ray", "--isolated"]
        assert run(arguments) == 0
    finally:
        import ray

        ray.shutdown()
        cluster.shutdown()
    for path in (tmp_path / "local").rglob("*.parquet"):
        same = tmp_path / "ray" / path.relative_to(tmp_path / "local")
        assert same.read_bytes() == path.read_bytes()
    assert (tmp_path / "ray" / "index.html").read_bytes() == (tmp_path / "local" / "index.html").read_bytes()


def test_the_plan_can_be_sent() -> None:
    import pickle

    plan = Plan(select(None, (), ()), Settings())
    assert [rule.meta.code for rule in pickle.loads(pickle.dumps(plan)).rules] == [
        rule.meta.code for rule in plan.rules
    ]


# ---- other tools


def documented(tool: str) -> tuple[str, str]:
    """The example of a tool in the guide, and the data of its first example."""
    guide = (Path(__file__).parents[3] / "docs" / "surveys.md").read_text(encoding="utf-8")
    example = guide.partition(f"<!-- {tool} -->\n```python\n")[2].partition("```")[0]
    return example, guide.partition("```json\n")[2].partition("```")[0]


@pytest.mark.slow
@pytest.mark.parametrize("tool", ["ray", "datasets", "dask", "spark"])
def test_other_tools_as_the_guide_shows(tool: str, tmp_path: Path) -> None:
    pytest.importorskip({"spark": "pyspark"}.get(tool, tool))
    example, data = documented(tool)
    (tmp_path / "sources.jsonl").write_text(data, encoding="utf-8")
    (tmp_path / "example.py").write_text(example, encoding="utf-8")
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path / "home")}
    done = subprocess.run(
        [sys.executable, "example.py"], cwd=tmp_path, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    error = "line 2: syntax error: '(' was never closed"
    if tool == "dask":
        assert done.stdout.startswith(f'["{error}')
        return
    found = [row for path in sorted(tmp_path.glob("found*")) for row in pq.read_table(path).to_pylist()]
    assert [(row["error"] or "").partition(" (read")[0] for row in found] == ["", "", error, ""]
    assert found[0]["loads"][0]["dtype"] == {"set": True, "value": "float16"}
