"""The audit of a small project: its contents in each format, and the comparison of two audits."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from telepathy_lint.audit.blocks import Cell, Report, Section, Statement, Table
from telepathy_lint.audit.compare import Change, changes, told
from telepathy_lint.audit.data import Place
from telepathy_lint.audit.facts import audit
from telepathy_lint.audit.html import html
from telepathy_lint.audit.markdown import address, escaped, markdown
from telepathy_lint.audit.outcome import Audit
from telepathy_lint.audit.report import report
from telepathy_lint.commands.cli import run
from telepathy_lint.discovery.config import Configs

TRAIN = """\
import argparse
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

parser = argparse.ArgumentParser()
parser.add_argument("--source_model", default="meta-llama/Meta-Llama-3.1-8B")
parser.add_argument("--target_model", required=True)
args = parser.parse_args()


def load(model_id):
    return AutoModelForCausalLM.from_pretrained(model_id, torch_dtype=torch.float16, device_map={"": 0})


source = AutoModelForCausalLM.from_pretrained(args.source_model, torch_dtype=torch.bfloat16, device_map="auto")
target = AutoModelForCausalLM.from_pretrained(args.target_model, torch_dtype=torch.bfloat16, device_map="auto")
small = load("Qwen/Qwen2.5-1.5B")
tokenizer = AutoTokenizer.from_pretrained(args.source_model)
tokenizer.pad_token = tokenizer.eos_token
"""
TABLES = """\
MODEL_PARAMS = {"Qwen/Qwen2.5-7B": 7.62, "mistralai/Mistral-7B-v0.3": 8.5}
LAYERS = {"Qwen/Qwen2.5-7B": 32}
WRONG = {"a": "meta-llama/Llama-3.2-8B"}
"""
SCRIPT = """\
#!/bin/bash
export HF_HOME=/scratch/me/hf
TARGET="${TARGET:-mistralai/Mistral-7B-Instruct-v0.3}"
echo "not a choice: Qwen/Qwen2.5-3B"
python train.py \\
    --target_model "$TARGET"
"""
CODA = """\
from transformers import AutoModelForCausalLM
import yaml

config = yaml.safe_load(open("settings.yaml"))
model = AutoModelForCausalLM.from_pretrained(config.model_id)
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    root = tmp_path / "lab"
    (root / "coda" / "conf").mkdir(parents=True)
    (root / "train.py").write_text(TRAIN)
    (root / "tables.py").write_text(TABLES)
    (root / "run.sh").write_text(SCRIPT)
    (root / "coda" / "main.py").write_text(CODA)
    (root / "coda" / "conf" / "settings.yaml").write_text("model_id: google/gemma-2-2b\n")
    (root / "results.json").write_text('{"model": "Qwen/Qwen2.5-3B-Instruct"}')
    (root / "broken.py").write_text("from_pretrained(\n")
    return root


def audited(project: Path) -> Audit:
    return audit(str(project), Configs(isolated=True), "H100-80GB", jobs=1)


def loads_of(found: Audit, model_id: str) -> list[str]:
    return [str(place) for model in found.models if model.model_id == model_id for place in model.loads]


def test_ids_are_followed_to_the_loads(project: Path) -> None:
    found = audited(project)
    assert loads_of(found, "meta-llama/Meta-Llama-3.1-8B") == ["train.py:15"]  # an option's default
    assert loads_of(found, "mistralai/Mistral-7B-Instruct-v0.3") == ["train.py:16"]  # a script's variable
    assert "train.py:12" in loads_of(found, "Qwen/Qwen2.5-1.5B")  # a parameter's caller
    assert loads_of(found, "google/gemma-2-2b") == ["coda/main.py:5"]  # a key of a YAML file


def test_what_is_configured_and_not_loaded(project: Path) -> None:
    found = audited(project)
    names = {model.model_id for model in found.unloaded}
    assert names == {"Qwen/Qwen2.5-7B", "mistralai/Mistral-7B-v0.3", "meta-llama/Llama-3.2-8B"}
    # What is only echoed, or stands among results, is not configured.
    assert not any(model.configured for model in found.models if model.model_id.startswith("Qwen/Qwen2.5-3B"))


def test_ids_are_verified(project: Path) -> None:
    (project / "other.py").write_text(
        'from transformers import AutoModel\nAutoModel.from_pretrained("acme/quartz-2b")\n'
    )
    status = {model.model_id: model.status for model in audited(project).models}
    assert status["meta-llama/Meta-Llama-3.1-8B"] == "renamed"
    assert status["meta-llama/Llama-3.2-8B"] == "unknown"
    assert status["Qwen/Qwen2.5-7B"] == "known"
    assert status["acme/quartz-2b"] == "outside"


def test_another_case_is_not_called_missing(project: Path) -> None:
    (project / "case.py").write_text(
        'from transformers import AutoModel\nAutoModel.from_pretrained("qwen/Qwen2.5-3B")\n'
    )
    text = markdown(report(audited(project)))
    assert "`qwen/Qwen2.5-3B` is spelled `Qwen/Qwen2.5-3B` on the hub" in text
    assert "`meta-llama/Llama-3.2-8B` does not exist on the hub; nearest: `" in text


def test_consistency_has_counts_and_the_odd_ones_out(project: Path) -> None:
    (dtype,) = (one for one in audited(project).consistency if one.setting == "dtype")
    assert {name: [str(place) for place in places] for name, places in dtype.groups} == {
        "bfloat16": ["train.py:15", "train.py:16"],
        "float16": ["train.py:12"],
        "not passed": ["coda/main.py:5"],
    }
    assert (dtype.total, dtype.odd) == (4, 2)


def test_numbers_in_the_code_are_checked(project: Path) -> None:
    checked = {(one.number.table, one.number.models): one.agrees for one in audited(project).checked}
    assert checked == {
        ("MODEL_PARAMS", ("Qwen/Qwen2.5-7B",)): True,
        ("MODEL_PARAMS", ("mistralai/Mistral-7B-v0.3",)): False,
        ("LAYERS", ("Qwen/Qwen2.5-7B",)): False,
    }


def test_the_markdown_has_every_section_and_evidence(project: Path) -> None:
    text = markdown(report(audited(project)))
    for title in (
        "What to do first",
        "Models",
        "Precision",
        "Device maps",
        "Load matrix",
        "Recommendations",
        "Next steps",
    ):
        assert f"\n## {title}\n" in text
    assert "dtype is bfloat16 in 2 of 4 loads of generative models, another value in 2" in text
    assert "[`train.py:15`]" in text and "\n[`train.py:15`]: ./train.py#L15\n" in text
    assert "14.185 GiB, 18.1 %" in text
    assert "telepathy-lint check --select TLP101" in text
    assert "A model without a load may still be loaded" in text
    assert "`HF_HOME` is set to `/scratch/me/hf` in 1 place: a machine-specific path" in text
    assert "broken.py" in text


def test_the_result_does_not_depend_on_processes(project: Path) -> None:
    alone = audit(str(project), Configs(isolated=True), "H100-80GB", jobs=1)
    assert alone == audit(str(project), Configs(isolated=True), "H100-80GB", jobs=3)


def schema() -> dict[str, Any]:
    text = (Path(__file__).parents[3] / "docs" / "audit.md").read_text(encoding="utf-8")
    found: dict[str, Any] = json.loads(text.split("```json\n")[1].split("```")[0])
    return found


def test_the_json_keeps_to_the_documented_schema(project: Path, tmp_path: Path) -> None:
    output = tmp_path / "audit.json"
    assert run(["audit", "--isolated", "--format", "json", "--output", str(output), str(project)]) == 0
    document = json.loads(output.read_text(encoding="utf-8"))
    jsonschema.validate(document, schema())
    assert document["root"] == "lab"
    assert str(tmp_path) not in json.dumps({**document, "recommendations": [], "actions": []})


def test_two_audits_compare_and_the_gate_fails(
    project: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    old = str(tmp_path / "old.json")
    command = ["audit", "--isolated", "--output", str(tmp_path / "new.md"), str(project)]
    assert run(["audit", "--isolated", "--format", "json", "--output", old, str(project)]) == 0
    assert run([*command, "--against", old, "--fail-on-worse"]) == 0
    assert "Nothing got better, nothing got worse" in capsys.readouterr().err
    (project / "more.py").write_text(TRAIN.replace("bfloat16", "float32"))
    (project / "broken.py").unlink()
    assert run([*command, "--against", old]) == 0
    assert run([*command, "--against", old, "--fail-on-worse"]) == 1
    said = capsys.readouterr().err
    assert "findings: TLP101: 3 -> 6" in said
    assert "files that could not be read: 1 -> 0" in said
    assert run([*command, "--fail-under", "99"]) == 1
    assert "less than 99 %" in capsys.readouterr().err
    assert run([*command, "--fail-under", "0"]) == 0


def test_a_higher_score_is_better_and_fewer_findings_too() -> None:
    found = changes({"calls without a finding, percent": 50, "findings: TLP101": 3}, {"findings: TLP101": 2})
    assert [change.better for change in found] == [False, True]
    assert told([Change("findings: TLP101", 3, 2)]) == "Better (1):\n  findings: TLP101: 3 -> 2\n"


def test_what_an_earlier_release_did_not_measure_is_not_worse() -> None:
    now = {
        "configured models whose load was not found": 1.0,
        "batch sizes above what fits": 4.0,
        "findings: TLP101": 2.0,
    }
    before = {"configured models whose load was not found": 1.0}
    assert changes(before, now) == [Change("findings: TLP101", 0, 2)]
    assert changes(now, before) == [
        Change("batch sizes above what fits", 4, 0),
        Change("findings: TLP101", 2, 0),
    ]


@pytest.mark.parametrize(
    "options",
    [
        ["--gpu", "H10"],
        ["--against", "missing.json"],
        ["--fail-on-worse"],
        ["--output", "no/such/folder/file"],
    ],
)
def test_what_cannot_be_done_is_said(
    project: Path, options: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["audit", "--isolated", str(project), *options]) == 2
    assert capsys.readouterr().err.startswith("telepathy-lint: error: ")


def test_a_document_that_is_nested_too_deeply_is_no_audit(
    project: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "deep.json").write_text("[" * 100_000)
    assert run(["audit", "--isolated", str(project), "--against", str(tmp_path / "deep.json")]) == 2
    assert "deep.json: not valid JSON" in capsys.readouterr().err


def test_a_template_of_a_script_is_a_problem_of_its_own(project: Path) -> None:
    (project / "template.py").write_text('{% if x %}\nMODEL = "Qwen/Qwen2.5-3B"\n{% endif %}\n')
    assert [path for path, _ in audited(project).problems] == ["broken.py", "template.py"]


def test_datasets_and_models_of_other_libraries(project: Path) -> None:
    (project / "other.py").write_text(
        "from sentence_transformers import SentenceTransformer\n"
        "from datasets import load_dataset\n"
        'encoder = SentenceTransformer("sentence-transformers/all-MiniLM-L6-v2")\n'
        'data = load_dataset("allenai/ai2_arc")\n'
    )
    (project / "task.yaml").write_text("dataset_path: allenai/swag\n")
    found = audited(project)
    assert "sentence-transformers/all-MiniLM-L6-v2" not in {model.model_id for model in found.unloaded}
    assert not any(model.model_id.startswith("allenai/") for model in found.models)


def test_what_looks_like_a_model_and_is_none(project: Path) -> None:
    (project / "configs").mkdir()
    (project / "configs" / "mix.yaml").write_text(
        "model: google/gemma-2-9b\n"
        "train:\n  dataset_mixer:\n    allenai/mix-one: 1.0\n    # allenai/mix-two: 0.5\n"
        "  eval_sets:\n  - allenai/set-three\n"
        "# tokenizer: google/gemma-7b\n"
    )
    (project / ".github" / "workflows").mkdir(parents=True)
    (project / ".github" / "workflows" / "ci.yml").write_text("steps:\n  - uses: allenai/setup-action\n")
    (project / "ask.py").write_text(
        'from openai import OpenAI\nMODELS = ["openai/gpt-9", "meta-llama/llama-3.1-405b"]\n'
    )
    (project / "data.py").write_text(
        'def build(corpus="allenai/c9", mixer=("allenai/m9",)):\n'
        '    EVAL_SETS = [("google/IFEval", "train")]\n'
        '    return load(train_dataset="allenai/d9", settings={"dataset_path": "allenai/p9"}), EVAL_SETS\n'
    )
    found = {model.model_id for model in audited(project).models}
    assert "google/gemma-2-9b" in found
    assert "google/gemma-7b" not in found  # a comment names nothing that is in use
    assert not {
        one for one in found if one.startswith(("allenai/", "openai/", "google/IF", "meta-llama/llama"))
    }
    unloaded = {model.model_id for model in audited(project).unloaded}
    assert "google/gemma-2-9b" in unloaded


def test_what_is_left_to_the_loader_is_not_odd(project: Path) -> None:
    (project / "house.py").write_text(
        "from telepathy_runtime import load_model\na = load_model('acme/q-7b')\nb = load_model('acme/q-7b', dtype='float32')\n"
    )
    settings = {one.setting: one for one in audited(project).consistency if one.kind == "model"}
    groups = {name: len(places) for name, places in settings["dtype"].groups}
    assert groups == {"bfloat16": 2, "the loader's choice": 1, "float32": 1, "float16": 1, "not passed": 1}
    assert (settings["dtype"].undecided, settings["dtype"].odd) == (1, 3)
    assert settings["revision"].groups[0][0] == "not passed" and settings["revision"].odd == 0
    text = markdown(report(audited(project)))
    assert "in 2 of 6 loads of generative models, another value in 3, decided elsewhere in 1" in text


def test_generate_calls_say_how_they_decode(project: Path) -> None:
    with open(project / "train.py", "a") as file:
        file.write("source.generate(x, max_new_tokens=5, do_sample=False)\ntarget.generate(x)\n")
    assert [call.states for call in audited(project).generates] == [("max_new_tokens", "do_sample"), ()]
    text = markdown(report(audited(project)))
    assert "| do\\_sample | 1 of 2 | [`train.py:20`] |" in text


def test_an_empty_folder_has_an_audit(tmp_path: Path) -> None:
    found = audit(str(tmp_path), Configs(isolated=True), "H100-80GB")
    assert found.score == 100.0
    assert "No model id is written in the project" in markdown(report(found))


def test_an_audit_imports_no_torch(project: Path) -> None:
    script = (
        f"import sys; from telepathy_lint.commands.cli import run; code = run(['audit', '--isolated', {str(project)!r}, '-o', "
        f"{str(project / 'a.md')!r}]); assert code == 0; "
        "assert not {'torch', 'transformers', 'numpy', 'jinja2'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", script], check=True, cwd=Path(__file__).parents[3])


# ---- hostile names

HOSTILE = '<script>alert(1)</script>"><img src=x onerror=alert(1)>'


class Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))


def hostile_report() -> Report:
    place = Place(f"javascript:alert(1)/{HOSTILE}.py", 3)
    table = Table((HOSTILE,), ((Cell(HOSTILE, (place,)),), (Cell("a|b", (place, place)),)), HOSTILE)
    return Report(HOSTILE, HOSTILE, (Section("Models", (Statement("bad", f"`{HOSTILE}`", (place,)), table)),))


def test_hostile_names_are_text_in_html() -> None:
    pytest.importorskip("jinja2")
    parser = Tags()
    page = html(hostile_report())
    parser.feed(page)
    tags = [tag for tag, _ in parser.tags]
    assert tags.count("script") == 1  # the page's own
    assert "img" not in tags
    assert not any(name.startswith("on") for _, attributes in parser.tags for name in attributes)
    assert all(str(attributes.get("href", "#")).startswith(("./", "#")) for _, attributes in parser.tags)
    assert not re.search(r"(?:src|href)=[\"']?(?:https?:)?//", page)


def test_hostile_names_are_text_in_markdown() -> None:
    text = markdown(hostile_report())
    outside_code = re.sub(r"`[^`\n]*`", "", text)
    assert not re.search(r"(?<!\\)<", outside_code)
    assert escaped("a|b [x](y) *c*\n# d") == r"a\|b \[x\](y) \*c\*" + "\N{REPLACEMENT CHARACTER}" + r"\# d"
    assert address(Place("a b#(c).py", 2), "../lab") == "../lab/a%20b%23%28c%29.py#L2"


def test_hostile_files_and_ids_reach_the_page_as_text(project: Path, tmp_path: Path) -> None:
    pytest.importorskip("jinja2")
    name = "<img src=x onerror=alert(1)>.py"
    (project / name).write_text(
        'import transformers as t\nm = t.AutoModel.from_pretrained("<b>x</b>" + y, device_map="<i>")\n'
    )
    (project / "sizes.py").write_text(
        'SIZES = {"Qwen/Qwen2.5-3B": {"<img src=y>_gb": 1, "batch_size": 900}}\n'
        'if "3B<b>`x`" in model_name:\n    size_gb = 1\nelif "3B" in model_name:\n    size_gb = 2\n'
    )
    page = tmp_path / "page.html"
    assert run(["audit", "--isolated", "--format", "html", "--output", str(page), str(project)]) == 0
    parser = Tags()
    parser.feed(page.read_text(encoding="utf-8"))
    assert "SIZES.&lt;img src=y&gt;_gb" in page.read_text(encoding="utf-8").replace("<wbr>", "")
    assert not {tag for tag, _ in parser.tags} & {"img", "b"}  # the page has none of its own
    assert "&lt;img src=x" in page.read_text(encoding="utf-8")


def test_without_jinja2_the_way_to_it_is_said(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "jinja2", None)
    assert run(["audit", "--isolated", "--format", "html", str(project)]) == 2
    assert "telepathy-lint[audit]" in capsys.readouterr().err


def test_a_file_that_loads_only_through_a_configured_function_is_read(project: Path) -> None:
    (project / "pyproject.toml").write_text('[tool.telepathy-lint]\nwrappers = ["lab.fetch"]\n')
    (project / "house.py").write_text("import lab\n\nmodel = lab.fetch(lab.NAME)\n")
    found = audit(str(project), Configs(), "H100-80GB", jobs=1)
    assert "house.py" in {load.place.path for load in found.loads}
