"""The GitHub action: its steps run in order, as on GitHub, in a small project, and the uploads are checked."""

from __future__ import annotations

import importlib.util
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest

from tests.project.installing import offline

yaml = pytest.importorskip("yaml", reason="PyYAML reads action.yml")
pytest.importorskip("hatchling", reason="the action installs its own checkout, which hatchling builds")

ROOT = Path(__file__).parents[2]
ACTION = yaml.safe_load((ROOT / "action.yml").read_text(encoding="utf-8"))
BAD = 'from transformers import AutoModel\n\nmodel = AutoModel.from_pretrained("gpt2", device_map="auto")\n'

pytestmark = pytest.mark.skipif(shutil.which("bash") is None, reason="the steps are written for bash")


@dataclass
class Outcome:
    """The results of a run of the action."""

    code: int
    log: str
    #: The action's outputs.
    outputs: dict[str, str]
    summary: str
    #: The steps that use other actions: their names and inputs, in order.
    used: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    #: Uploaded SARIF reports.
    uploaded: list[dict[str, Any]] = field(default_factory=list)

    def inputs_of(self, name: str) -> list[dict[str, str]]:
        return [given for used, given in self.used if used.partition("@")[0] == name]


class Runner:
    """Runs a composite action with the features that ours uses: expressions, conditions, environment variables, outputs."""

    def __init__(self, workspace: Path, scratch: Path, environment: Mapping[str, str]) -> None:
        self.workspace, self.scratch, self.environment = workspace, scratch, environment
        self.context: dict[str, str] = {
            "runner.os": "Linux",
            "github.job": "lint",
            "github.run_id": "77",
            "github.run_attempt": "1",
        }

    def run(self, **inputs: str) -> Outcome:
        assert set(inputs) <= {name.replace("-", "_") for name in ACTION["inputs"]}
        for name, declared in ACTION["inputs"].items():
            value = inputs.get(name.replace("-", "_"), declared.get("default", ""))
            self.context[f"inputs.{name}"] = value
        summary = self.scratch / "summary.md"
        summary.write_text("", encoding="utf-8")
        outcome = Outcome(0, "", {}, "")
        for step in ACTION["runs"]["steps"]:
            if "if" in step and not self.holds(step["if"]):
                continue
            if "uses" in step:
                self.use(step, outcome)
            else:
                outcome.code = self.shell(step, outcome, summary)
            if outcome.code:
                break
        outcome.summary = summary.read_text(encoding="utf-8")
        outcome.outputs = {name: self.filled(each["value"]) for name, each in ACTION["outputs"].items()}
        return outcome

    def value(self, expression: str) -> str:
        expression = expression.strip()
        if expression.startswith("'"):
            return expression.strip("'")
        kind, _, name = expression.partition(".")
        assert kind in ("inputs", "steps", "runner", "github"), expression
        if kind == "steps":
            step, _, output = name.partition(".outputs.")
            assert any(each.get("id") == step for each in ACTION["runs"]["steps"]) and output, expression
            return self.context.get(expression, "")
        return self.context[expression]

    def holds(self, condition: str) -> bool:
        parts = [re.fullmatch(r"(\S+) (==|!=) (\S+)", part.strip()) for part in condition.split("&&")]
        assert all(parts), condition
        return all(
            (self.value(part[1]) == self.value(part[3])) is (part[2] == "==")
            for part in parts
            if part is not None
        )

    def filled(self, text: str) -> str:
        return re.sub(r"\$\{\{(.*?)\}\}", lambda match: self.value(match[1]), str(text))

    def use(self, step: dict[str, Any], outcome: Outcome) -> None:
        given = {name: self.filled(value) for name, value in step.get("with", {}).items()}
        outcome.used.append((step["uses"], given))
        name = step["uses"].partition("@")[0]
        if name == "actions/setup-python":
            self.context["steps.python.outputs.python-path"] = sys.executable
            self.context["steps.python.outputs.python-version"] = "3.12.1"
        elif name == "github/codeql-action/upload-sarif":
            outcome.uploaded.append(json.loads(Path(given["sarif_file"]).read_text(encoding="utf-8")))
        else:
            assert name == "actions/cache", name

    def shell(self, step: dict[str, Any], outcome: Outcome, summary: Path) -> int:
        assert step["shell"] == "bash" and "${{" not in step["run"], "inputs reach a shell as variables only"
        written = self.scratch / "output.txt"
        written.write_text("", encoding="utf-8")
        environment = {
            **self.environment,
            **{name: self.filled(value) for name, value in step["env"].items()},
            "GITHUB_ACTION_PATH": str(ROOT),
            "GITHUB_WORKSPACE": str(self.workspace),
            "GITHUB_OUTPUT": str(written),
            "GITHUB_STEP_SUMMARY": str(summary),
        }
        # What GitHub runs for `shell: bash`.
        command = ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", step["run"]]
        done = subprocess.run(
            command, env=environment, cwd=self.workspace, capture_output=True, text=True, check=False
        )
        outcome.log += done.stdout + done.stderr
        for line in written.read_text(encoding="utf-8").splitlines():
            name, _, value = line.partition("=")
            self.context[f"steps.{step.get('id')}.outputs.{name}"] = value
        return done.returncode


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """A runner's environment, in which the packages that pip would download are installed."""
    temporary = str(tmp_path_factory.mktemp("runner"))
    return {**offline(tmp_path_factory.mktemp("lent")), "RUNNER_TEMP": temporary}


@pytest.fixture
def runner(tmp_path: Path, environment: dict[str, str]) -> Runner:
    workspace = tmp_path / "work space"
    (workspace / "src").mkdir(parents=True)
    (workspace / "src" / "load.py").write_text(BAD, encoding="utf-8")
    (workspace / "pyproject.toml").write_text(
        '[tool.telepathy-lint]\nselect = ["TLP101"]\n', encoding="utf-8"
    )
    return Runner(workspace, tmp_path, environment)


@pytest.mark.slow
def test_annotations_name_the_line_and_the_step_fails(runner: Runner) -> None:
    ran = runner.run()
    assert (ran.code, ran.outputs["exit-code"], ran.outputs["findings"]) == (1, "1", "1"), ran.log
    (line,) = [line for line in ran.log.splitlines() if line.startswith("::error")]
    assert line == (
        "::error title=telepathy-lint (TLP101),file=src/load.py,line=3,endLine=3,col=43,endColumn=60::"
        "src/load.py:3:43: TLP101 device_map is hard-coded: 'auto'"
    )
    assert Path(ran.outputs["report"]).read_text(encoding="utf-8") == f"{line}\n"
    assert "1 finding." in ran.summary and "| TLP101 | 1 |" in ran.summary
    assert not ran.uploaded


@pytest.mark.slow
def test_nothing_found_passes(runner: Runner) -> None:
    (runner.workspace / "src" / "load.py").write_text("print('fine')\n", encoding="utf-8")
    ran = runner.run()
    assert (ran.code, ran.outputs["exit-code"], ran.outputs["findings"]) == (0, "0", "0"), ran.log
    assert "::error" not in ran.log and "Nothing found." in ran.summary


@pytest.mark.slow
def test_a_sarif_report_is_uploaded_before_the_step_fails(runner: Runner) -> None:
    ran = runner.run(format="sarif")
    assert (ran.code, ran.outputs["findings"]) == (1, "1"), ran.log
    (document,) = ran.uploaded
    check_sarif(document, runner.workspace)
    assert [result["ruleId"] for result in document["runs"][0]["results"]] == ["TLP101"]
    assert "src/load.py:3:43: TLP101 device_map is hard-coded: 'auto'" in ran.log
    assert ran.inputs_of("github/codeql-action/upload-sarif")[0]["category"] == "telepathy-lint"
    (runner.workspace / "src" / "load.py").write_text("print('fine')\n", encoding="utf-8")
    clean = runner.run(format="sarif")
    assert (clean.code, clean.outputs["findings"]) == (0, "0")
    assert clean.uploaded[0]["runs"][0]["results"] == [], "an empty report closes the alerts of the last one"


def check_sarif(document: dict[str, Any], workspace: Path) -> None:
    """The requirements of code scanning for a report."""
    assert document["version"] == "2.1.0" and document["$schema"].endswith("sarif-2.1.0.json")
    for run in document["runs"]:
        rules = run["tool"]["driver"]["rules"]
        assert run["tool"]["driver"]["name"] == "telepathy-lint"
        for result in run["results"]:
            assert rules[result["ruleIndex"]]["id"] == result["ruleId"]
            assert result["message"]["text"] and result["partialFingerprints"]
            for location in result["locations"]:
                place = location["physicalLocation"]
                lines = (
                    (workspace / unquote(place["artifactLocation"]["uri"]))
                    .read_text(encoding="utf-8")
                    .splitlines()
                )
                assert 1 <= place["region"]["startLine"] <= place["region"]["endLine"] <= len(lines)
            for fix in result.get("fixes", ()):
                for change in fix["artifactChanges"]:
                    assert (workspace / unquote(change["artifactLocation"]["uri"])).is_file()


@pytest.mark.slow
@pytest.mark.parametrize("report", ["annotations", "sarif"])
def test_paths_of_a_working_directory_count_from_the_repository(runner: Runner, report: str) -> None:
    """GitHub only knows the files of the repository."""
    folder = runner.workspace / "packages" / "one,two"
    folder.mkdir(parents=True)
    shutil.move(runner.workspace / "src", folder)
    shutil.move(runner.workspace / "pyproject.toml", folder)
    ran = runner.run(working_directory="packages/one,two", src="src", format=report)
    assert (ran.code, ran.outputs["findings"]) == (1, "1"), ran.log
    if report == "sarif":
        check_sarif(ran.uploaded[0], runner.workspace)
        assert "packages/one%2Ctwo/src/load.py:3:43: TLP101" in ran.log
    else:
        assert ",file=packages/one%2Ctwo/src/load.py,line=3" in ran.log
        assert "::packages/one,two/src/load.py:3:43: TLP101" in ran.log


@pytest.mark.slow
@pytest.mark.parametrize(
    ("fail_on", "found", "failed"), [("findings", 1, 2), ("errors", 0, 2), ("never", 0, 0)]
)
def test_fail_on_says_what_fails_the_step(runner: Runner, fail_on: str, found: int, failed: int) -> None:
    ran = runner.run(fail_on=fail_on)
    assert (ran.code, ran.outputs["exit-code"]) == (found, "1"), ran.log
    (runner.workspace / "src" / "broken.py").write_text("model = from_pretrained(\n", encoding="utf-8")
    ran = runner.run(fail_on=fail_on)
    assert (ran.code, ran.outputs["exit-code"], ran.outputs["findings"]) == (failed, "2", "2"), ran.log
    assert "(TLP000),file=src/broken.py" in ran.log and "something could not be processed" in ran.log


@pytest.mark.slow
def test_args_and_config_reach_the_linter_as_words(runner: Runner) -> None:
    (runner.workspace / "my config.toml").write_text('select = ["TLP104"]\nstrict = true\n', encoding="utf-8")
    ran = runner.run(config="my config.toml", src="'src'\n src/load.py")
    assert "TLP104" in ran.log and "TLP101" not in ran.log
    ran = runner.run(args="--strict --select TLP102 --exclude 'a folder; touch hacked'")
    assert "TLP102" in ran.log and ran.outputs["exit-code"] == "1"
    ran = runner.run(args="--select TLP101 $(touch hacked) ; touch hacked")
    assert ran.code == 2 and not (runner.workspace / "hacked").exists()


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ({"format": "html"}, "format is 'html'; write one of annotations, sarif"),
        ({"fail_on": "all"}, "fail-on is 'all'; write one of findings, errors, never"),
        ({"cache": "yes"}, "cache is 'yes'; write one of true, false"),
        ({"version": "main; id"}, "version is 'main; id'; write a version (0.1.0)"),
        ({"version": "--index-url=x"}, "version is '--index-url=x'; write a version (0.1.0)"),
        (
            {"working_directory": "nowhere"},
            "working-directory is 'nowhere', and the repository has no such folder",
        ),
        ({"args": "--select 'TLP1"}, 'args is "--select \'TLP1": a quote is not closed'),
    ],
)
def test_inputs_that_cannot_work_are_named(runner: Runner, inputs: dict[str, str], message: str) -> None:
    ran = runner.run(**inputs)
    assert ran.code == 2 and f"::error title=telepathy-lint::{message}" in ran.log
    assert "Traceback" not in ran.log


def test_options_that_the_linter_refuses_fail_the_step_whatever_fail_on_says_of_findings(
    runner: Runner,
) -> None:
    ran = runner.run(args="--slect TLP1", fail_on="errors", format="sarif")
    assert ran.code == 2 and "did you mean '--select'" in ran.log
    assert (ran.outputs["findings"], ran.outputs["exit-code"], ran.uploaded) == ("", "2", [])


@pytest.mark.slow
def test_the_caches_are_where_the_steps_write(runner: Runner) -> None:
    ran = runner.run()
    pip_cache, results = ran.inputs_of("actions/cache")
    assert Path(results["path"]) == runner.workspace / ".telepathy_lint_cache"
    assert any(Path(results["path"]).iterdir())
    assert results["key"].endswith("-lint-77-1")
    assert all(results["key"].startswith(key) for key in results["restore-keys"].split())
    assert "-3.12.1-" in pip_cache["key"] and Path(pip_cache["path"]).is_absolute()
    shutil.rmtree(results["path"])
    ran = runner.run(cache="false")
    assert ran.inputs_of("actions/cache") == [] and not Path(results["path"]).exists()


@pytest.mark.slow
def test_the_jobs_own_python_stays_as_it_is(runner: Runner, environment: dict[str, str]) -> None:
    ran = runner.run()
    (given,) = ran.inputs_of("actions/setup-python")
    assert given["update-environment"].lower() == "false"
    installed = Path(environment["RUNNER_TEMP"], "telepathy-lint-venv")
    assert list(installed.rglob("telepathy_lint/_version.py")), "the linter is in an environment of its own"


@pytest.mark.slow
def test_another_version_is_installed_anew_and_the_same_one_is_not(runner: Runner) -> None:
    """Two uses in a job install once; for another version, an index without it is asked."""
    runner.run()
    marker = Path(runner.environment["RUNNER_TEMP"], "telepathy-lint-venv", "installed.txt")
    before = marker.stat().st_mtime_ns
    assert runner.run().outputs["findings"] == "1" and marker.stat().st_mtime_ns == before
    ran = runner.run(version="0.0.1")
    assert ran.code == 2 and "::pip could not install telepathy-lint==0.0.1" in ran.log
    assert not marker.exists()


@pytest.mark.parametrize(
    ("version", "wanted"),
    [
        ("", "here"),
        ("latest", "telepathy-lint"),
        ("0.1.0", "telepathy-lint==0.1.0"),
        ("1.0rc1", "telepathy-lint==1.0rc1"),
        (">=0.1, <0.2", "telepathy-lint>=0.1, <0.2"),
    ],
)
def test_versions(version: str, wanted: str) -> None:
    spec = importlib.util.spec_from_file_location("github_action", ROOT / "scripts" / "github_action.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert module.requirement({"INPUT_VERSION": version, "GITHUB_ACTION_PATH": "here"}) == wanted
