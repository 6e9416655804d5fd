"""Workflows and templates are valid, and their jobs and hooks work as documented."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import venv
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import telepathy_lint
from telepathy_lint.commands.parser import parser
from tests.project.installing import copy_project, offline

yaml = pytest.importorskip("yaml", reason="PyYAML reads workflows and templates")

ROOT = Path(__file__).parents[2]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
SCHEMAS = {
    "action.yml": "vendor.github-actions",
    ".github/dependabot.yml": "vendor.dependabot",
    "CITATION.cff": "vendor.citation-file-format",
    **{str(path.relative_to(ROOT)): "vendor.github-workflows" for path in WORKFLOWS},
}
BAD = 'from transformers import AutoModel\n\nmodel = AutoModel.from_pretrained("gpt2", device_map="auto")\n'


def module(*command: str, folder: Path = ROOT, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", *command],
        cwd=folder,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )


def valid(schema: str, *paths: Path) -> None:
    pytest.importorskip("check_jsonschema", reason="it has the schemas: pip install '.[release]'")
    done = module("check_jsonschema", "--builtin-schema", schema, *map(str, paths))
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("name", SCHEMAS)
def test_files_keep_to_their_schemas(name: str) -> None:
    valid(SCHEMAS[name], ROOT / name)


# ---- GitHub


def uses(path: Path) -> Iterator[str]:
    yield from re.findall(r"^\s*(?:- )?uses: (\S+)$", path.read_text(encoding="utf-8"), re.MULTILINE)


@pytest.mark.parametrize("path", [ROOT / "action.yml", *WORKFLOWS], ids=lambda path: path.name)
def test_actions_of_others_are_pinned(path: Path) -> None:
    """Pinned to a major version or commit, because a branch may change. PyPI's own action has a release branch."""
    used = [name for name in uses(path) if not name.startswith("./")]
    assert used
    pinned = re.compile(r"[\w-]+/[\w/-]+@(v\d+|[0-9a-f]{40}|release/v\d+)")
    assert [name for name in used if not pinned.fullmatch(name)] == []


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_workflows_ask_for_no_more_than_they_need(path: Path) -> None:
    workflow = yaml.safe_load(path.read_text(encoding="utf-8"))
    assert workflow["permissions"] == {"contents": "read"}
    assert "concurrency" in workflow
    more = {name: job["permissions"] for name, job in workflow["jobs"].items() if "permissions" in job}
    assert more == (
        {"publish": {"id-token": "write"}, "github": {"contents": "write"}} if path.stem == "release" else {}
    )
    assert all("timeout-minutes" in job or "uses" in job for job in workflow["jobs"].values())


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_no_expression_reaches_a_shell(path: Path) -> None:
    """Names of branches and tags are untrusted, so they are passed in variables. The matrix is ours."""
    workflow = yaml.safe_load(path.read_text(encoding="utf-8"))
    lines = [
        step["run"] for job in workflow["jobs"].values() for step in job.get("steps", ()) if "run" in step
    ]
    assert lines
    expressions = [each for line in lines for each in re.findall(r"\$\{\{ *(.*?) *\}\}", line)]
    assert [each for each in expressions if not each.startswith("matrix.")] == []


def parts() -> dict[str, str]:
    """The parts of `.ci/run` that the workflow runs, with their Python versions."""
    workflow = yaml.safe_load((ROOT / ".github" / "workflows" / "ci.yml").read_text(encoding="utf-8"))
    matrix = workflow["jobs"]["parts"]["strategy"]["matrix"]
    (python,) = matrix["python"]
    return {
        **dict.fromkeys(matrix["part"], python),
        **{each["part"]: each["python"] for each in matrix["include"]},
    }


def test_every_python_that_the_package_names_is_run() -> None:
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    named = re.findall(r'"Programming Language :: Python :: (3\.\d+)"', project)
    assert named and set(named) <= set(parts().values())
    assert all(part == f"python{python}" for part, python in parts().items() if part.startswith("python"))


def test_the_workflow_runs_every_part_of_the_local_checks() -> None:
    path = ROOT / ".ci" / "run"
    listed = path.exists() and re.search(
        r"^parts=\((.*?)\)\nfurther=\((.*?)\)", path.read_text("utf-8"), re.MULTILINE | re.DOTALL
    )
    if not listed:
        pytest.skip("no .ci/run with parts here")
    assert {*parts(), "newest"} == {*listed[1].split(), *listed[2].split()}


def shown(page: str, key: str) -> list[dict[str, Any]]:
    """The YAML blocks on a page that have a key at the top level."""
    text = (ROOT / page).read_text(encoding="utf-8")
    found = re.findall(r"^```yaml\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    loaded = [yaml.safe_load(block) for block in found if re.search(rf"^{key}:", block, re.MULTILINE)]
    assert loaded, f"{page} shows no YAML with '{key}:'"
    # YAML 1.1 reads the key `on` as True.
    return [{("on" if name is True else name): value for name, value in each.items()} for each in loaded]


def test_workflows_that_the_guide_shows_are_valid_and_use_what_the_action_has(tmp_path: Path) -> None:
    action = yaml.safe_load((ROOT / "action.yml").read_text(encoding="utf-8"))
    outputs = set()
    for number, workflow in enumerate(shown("docs/integrations.md", "jobs")):
        path = tmp_path / f"{number}.yml"
        path.write_text(yaml.safe_dump(workflow), encoding="utf-8")
        valid("vendor.github-workflows", path)
        (job,) = workflow["jobs"].values()
        (ours,) = [
            step for step in job["steps"] if step.get("uses", "").startswith("<owner>/telepathy-lint@")
        ]
        assert ours["with"].keys() <= action["inputs"].keys()
        outputs |= set(re.findall(r"outputs\.([\w-]+)", path.read_text(encoding="utf-8")))
        needs_more = ours["with"].get("format") == "sarif"
        assert ("security-events" in workflow["permissions"]) is needs_more
    assert outputs == {"findings"} and outputs <= action["outputs"].keys()


def test_the_guide_names_the_actions_inputs_with_their_defaults() -> None:
    action = yaml.safe_load((ROOT / "action.yml").read_text(encoding="utf-8"))
    text = (ROOT / "docs" / "integrations.md").read_text(encoding="utf-8")
    section = text.partition("\n## GitHub\n")[2].partition("\n## ")[0]
    rows = dict(re.findall(r"^\| `([\w-]+)` \| (.*?) *\|", section, re.MULTILINE))
    defaults = {name: each["default"] for name, each in action["inputs"].items()}
    assert rows.pop("version") == "the action's own" and defaults.pop("version") == ""
    assert {name: value.strip("`") for name, value in rows.items()} == defaults
    for name in action["outputs"]:
        assert f"`{name}`" in section.partition("The outputs are ")[2]


# ---- GitLab


def component(**inputs: str) -> dict[str, Any]:
    """The template's jobs with the inputs inserted, as in GitLab."""
    head, body = (ROOT / "templates" / "telepathy-lint.yml").read_text(encoding="utf-8").split("\n---\n")
    declared = yaml.safe_load(head)["spec"]["inputs"]
    assert set(inputs) <= {name.replace("-", "_") for name in declared}
    values = {name: inputs.get(name.replace("-", "_"), each["default"]) for name, each in declared.items()}
    for name, each in declared.items():
        assert values[name] in each.get("options", [values[name]])
    filled = re.sub(r"\$\[\[ inputs\.([\w-]+) \]\]", lambda match: values[match[1]], body)
    assert "$[[" not in filled
    jobs: dict[str, Any] = yaml.safe_load(filled)
    return jobs


def test_the_gitlab_job_keeps_to_gitlabs_schema(tmp_path: Path) -> None:
    jobs = component(job_name="loads", stage="lint", args="--select TLP1")
    assert list(jobs) == ["loads"] and jobs["loads"]["stage"] == "lint"
    (tmp_path / ".gitlab-ci.yml").write_text(yaml.safe_dump(jobs), encoding="utf-8")
    valid("vendor.gitlab-ci", tmp_path / ".gitlab-ci.yml")


def test_the_include_that_the_guide_shows_gives_inputs_that_there_are(tmp_path: Path) -> None:
    (example,) = shown("docs/integrations.md", "include")
    (tmp_path / ".gitlab-ci.yml").write_text(yaml.safe_dump(example), encoding="utf-8")
    valid("vendor.gitlab-ci", tmp_path / ".gitlab-ci.yml")
    (included,) = example["include"]
    project, _, name = included["component"].partition("@")[0].rpartition("/")
    assert project and (ROOT / "templates" / f"{name}.yml").is_file()
    (job,) = component(**included["inputs"]).values()
    assert included["inputs"]["args"] in job["variables"].values()


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The environment of the job's image: its own Python, first on the path."""
    pytest.importorskip("hatchling", reason="pip builds this checkout with it")
    folder = tmp_path_factory.mktemp("image")
    venv.create(folder, with_pip=True)
    environment = offline(tmp_path_factory.mktemp("lent"))
    return {**environment, "PATH": f"{folder / 'bin'}{os.pathsep}{environment['PATH']}"}


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="the job's image is a Linux")
@pytest.mark.parametrize("shell", ["sh", "bash"])
def test_the_gitlab_job_reports_and_fails_as_asked(shell: str, tmp_path: Path, image: dict[str, str]) -> None:
    if shutil.which(shell) is None:
        pytest.skip(f"no {shell} here")
    (tmp_path / "src").mkdir()
    script = tmp_path / "src" / "load.py"

    def ran(**inputs: str) -> subprocess.CompletedProcess[str]:
        installed = list(Path(image["PATH"].partition(os.pathsep)[0]).glob("telepathy-lint"))
        package = "telepathy-lint" if installed else str(ROOT)  # the second time pip has nothing to do
        (job,) = component(src="src", package=package, **inputs).values()
        given = {
            name: str(value).replace("$CI_PROJECT_DIR", str(tmp_path))
            for name, value in job["variables"].items()
        }
        return subprocess.run(
            [shell, "-e", "-c", "\n".join(job["script"])],
            cwd=tmp_path,
            env={**image, **given},
            capture_output=True,
            text=True,
            check=False,
        )

    report = tmp_path / "gl-code-quality-report.json"
    script.write_text(BAD, encoding="utf-8")
    found = ran(args="--select TLP101 --exclude */nothing/*")
    assert found.returncode == 1, found.stderr
    (entry,) = json.loads(report.read_text(encoding="utf-8"))
    assert (entry["check_name"], entry["severity"], entry["location"]["path"]) == (
        "TLP101",
        "major",
        "src/load.py",
    )
    assert entry["location"]["positions"]["begin"] == {"line": 3, "column": 43} and entry["fingerprint"]
    assert "src/load.py:3:43: TLP101" in found.stdout
    assert (tmp_path / ".telepathy_lint_cache").is_dir()
    assert ran(args="--select TLP101", fail_on="errors").returncode == 0
    script.write_text("model = from_pretrained(\n", encoding="utf-8")
    assert [ran(fail_on=each).returncode for each in ("findings", "errors", "never")] == [2, 2, 0]
    assert json.loads(report.read_text(encoding="utf-8"))[0]["severity"] == "critical"
    script.write_text("print('fine')\n", encoding="utf-8")
    assert ran().returncode == 0 and json.loads(report.read_text(encoding="utf-8")) == []


# ---- pre-commit


def manifest() -> dict[str, Any]:
    hooks = yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text(encoding="utf-8"))
    return {hook["id"]: hook for hook in hooks}


def test_the_hooks_are_what_pre_commit_takes() -> None:
    pytest.importorskip("pre_commit", reason="pip install '.[release]'")
    done = module("pre_commit", "validate-manifest", str(ROOT / ".pre-commit-hooks.yaml"))
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("page", ["README.md", "docs/integrations.md"])
def test_pre_commit_configurations_that_pages_show_work(page: str, tmp_path: Path) -> None:
    pytest.importorskip("pre_commit", reason="pip install '.[release]'")
    for number, example in enumerate(shown(page, "repos")):
        path = tmp_path / f"{number}.yaml"
        path.write_text(yaml.safe_dump(example), encoding="utf-8")
        done = module("pre_commit", "validate-config", str(path))
        assert done.returncode == 0, done.stdout
        for hook in (hook for repo in example["repos"] for hook in repo["hooks"]):
            entry = manifest()[hook["id"]]["entry"].split()
            options = parser("check").parse_args([*entry[1:], *hook.get("args", []), "a.py"])
            assert options.paths == ["a.py"]


def git(*arguments: str, folder: Path) -> str:
    command = ["git", "-c", "user.name=Test", "-c", "user.email=test@example.org", *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True).stdout


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A user's repository with one load; pip needs a package index, because hooks are built from it."""
    pytest.importorskip("pre_commit", reason="pip install '.[release]'")
    reachable = module("pip", "download", "--quiet", "--no-deps", "--dest", str(tmp_path / "x"), "hatchling")
    if reachable.returncode:
        pytest.skip("pip reaches no package index, which the hook's environment is built from")
    folder = tmp_path / "project"
    folder.mkdir()
    git("init", "--quiet", folder=folder)
    (folder / "load.py").write_text(BAD, encoding="utf-8")
    (folder / "text.md").write_text("no code\n", encoding="utf-8")
    (folder / "telepathy-lint.toml").write_text("strict = true\n", encoding="utf-8")
    return folder


def publish(folder: Path) -> None:
    git("init", "--quiet", folder=folder)
    git("add", "--all", folder=folder)
    git("commit", "--quiet", "--message", "Release", folder=folder)
    git("tag", "v0.1.0", folder=folder)


def configure(project: Path, repository: Path) -> None:
    """The configuration shown in the guide, for this repository."""
    (example,) = shown("docs/integrations.md", "repos")
    (repo,) = example["repos"]
    repo.update(repo=str(repository), rev="v0.1.0")
    (project / ".pre-commit-config.yaml").write_text(yaml.safe_dump(example), encoding="utf-8")
    git("add", "--all", folder=project)


@pytest.mark.slow
def test_pre_commit_builds_and_runs_the_hooks_of_a_tag(tmp_path: Path, project: Path) -> None:
    """As users run it: a repository with a tag, and an environment that pre-commit builds from the package index."""
    published = tmp_path / "published"
    copy_project(published)
    publish(published)
    configure(project, published)
    home = {"PRE_COMMIT_HOME": str(tmp_path / "home")}

    report = module("pre_commit", "run", "telepathy-lint", "--all-files", folder=project, **home)
    assert report.returncode == 1 and "load.py:3:9" in report.stdout, report.stdout + report.stderr
    assert "exit code: 1" in report.stdout and "text.md" not in report.stdout
    assert (project / "load.py").read_text(encoding="utf-8") == BAD
    fix = module("pre_commit", "run", "telepathy-lint-fix", "--all-files", folder=project, **home)
    assert "files were modified by this hook" in fix.stdout, fix.stdout + fix.stderr
    assert "load_model" in (project / "load.py").read_text(encoding="utf-8")
    packages = [path.name for path in (tmp_path / "home").rglob("site-packages/*")]
    assert "libcst" in packages and not {"torch", "transformers"} & set(packages)

    trial = module("pre_commit", "try-repo", str(published), "telepathy-lint", "--ref", "v0.1.0", "--all-files",
                   folder=project, **home)  # fmt: skip
    assert trial.returncode in (0, 1) and "telepathy-lint....." in trial.stdout, trial.stdout + trial.stderr


@pytest.mark.slow
def test_a_mirror_as_the_release_notes_describe_it_works(tmp_path: Path, project: Path) -> None:
    """Two files and a tag; the wheel comes from an index, here from a folder."""
    wheels, mirror = tmp_path / "wheels", tmp_path / "mirror"
    built = module("pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", str(wheels), str(ROOT))
    assert built.returncode == 0, built.stderr
    mirror.mkdir()
    text = (ROOT / "RELEASING.md").read_text(encoding="utf-8")
    (described,) = re.findall(r"^```toml\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    described = described.replace("telepathy-lint==0.1.0", f"telepathy-lint=={telepathy_lint.__version__}")
    (mirror / "pyproject.toml").write_text(described, encoding="utf-8")
    shutil.copyfile(ROOT / ".pre-commit-hooks.yaml", mirror / ".pre-commit-hooks.yaml")
    publish(mirror)
    configure(project, mirror)
    links = f"{os.environ.get('PIP_FIND_LINKS', '')} {wheels}".strip()
    environment = {"PRE_COMMIT_HOME": str(tmp_path / "home"), "PIP_FIND_LINKS": links}
    report = module("pre_commit", "run", "telepathy-lint", "--all-files", folder=project, **environment)
    assert report.returncode == 1 and "load.py:3:9" in report.stdout, report.stdout + report.stderr
