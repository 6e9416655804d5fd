"""Cached results: the output is the same as without a cache, whatever has changed in the project or the cache."""

from __future__ import annotations

import json
import os
import random
import shutil
import subprocess
import sys
import time
import zlib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from telepathy_lint.cache import contents, rows, store, versions
from telepathy_lint.commands import cli
from telepathy_lint.findings.result import FileFinding, FileResult, Note
from telepathy_lint.findings.violation import Edit, Fix, SiteRef, Span, Violation
from telepathy_lint.output import FORMATS
from telepathy_lint.run import batch as project
from telepathy_lint.run import lint_file
from tests.sampling import only

ROOT = Path(__file__).parents[3]
IMPORT = "from transformers import AutoModelForCausalLM, AutoTokenizer\n"
GENERATES = "m.generate(1, temperature=0.5)\n"
LOAD = f'{IMPORT}m = AutoModelForCausalLM.from_pretrained("gpt2", device_map="auto")\n'
BY_CONSTANT = (
    f'from common import MAP\n{IMPORT}m = AutoModelForCausalLM.from_pretrained("gpt2", device_map=MAP)\n'
)
CACHE = ".telepathy_lint_cache"


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name in ("NO_COLOR", "FORCE_COLOR", "TELEPATHY_LINT_CACHE_DIR"):
        monkeypatch.delenv(name, raising=False)
    # Other tests, and people, may change our own source meanwhile.
    monkeypatch.setattr(versions, "versions", lambda: "as it is now")
    write("pyproject.toml", "")
    return tmp_path


@pytest.fixture
def lint(capsys: pytest.CaptureFixture[str]) -> Any:
    def call(*arguments: str, command: str = "check") -> tuple[int, str, str]:
        code = cli.run([command, *arguments])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return call


def write(name: str, text: str) -> Path:
    path = Path(name)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def cache_file() -> Path:
    (found,) = Path(CACHE).glob("*.cache")
    return found


def parsed(lint: Any, *arguments: str) -> int:
    """The number of files that a run parses."""
    return int(lint(*arguments, "--verbose")[2].partition(" files: ")[2].split()[0])


# ---- the same as without


@pytest.mark.parametrize("name", only(("full", "json", "sarif"), FORMATS))
def test_every_format_says_the_same(lint: Any, name: str) -> None:
    shutil.copytree(ROOT / "fixtures/experiments", "experiments")
    shutil.copytree(ROOT / "fixtures/rules/TLP101", "rules")
    chosen = ("--select", "ALL", "--ignore", "TLP303")  # what rests on the whole project is not kept
    options = ("--output-format", name, "--show-fixes", *chosen, "--report-unused-noqa")
    without = lint(*options, "--no-cache")
    assert not Path(CACHE).exists()
    assert lint(*options, "--jobs", "2") == without
    assert parsed(lint, *options) == 0
    assert lint(*options) == without
    assert lint(*options, "--statistics") == lint(*options, "--statistics", "--no-cache")
    cache_file_count = len(list(Path(CACHE).glob("*.cache")))
    assert cache_file_count == 2  # what is shown of findings is another task than counting them


def test_paths_are_as_given_this_time(lint: Any, here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write("sub/a.py", LOAD)
    for arguments in ((".",), ("sub",), (str(here),), ("sub/a.py",), ("./sub/../sub/a.py",)):
        assert lint(*arguments) == lint(*arguments, "--no-cache"), arguments
    monkeypatch.chdir(here / "sub")
    assert parsed(lint) == 0
    assert lint() == lint("--no-cache")


def test_names_that_are_no_text(lint: Any, here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = os.fsdecode(bytes(here) + b"/pr\xf6ject")
    os.mkdir(folder)
    monkeypatch.chdir(folder)
    write("pyproject.toml", "")
    write(os.fsdecode(b"m\xe9.py"), LOAD)
    for _ in range(2):
        assert lint("--output-format", "json") == lint("--output-format", "json", "--no-cache")
    assert parsed(lint, "--output-format", "json") == 0


def test_what_cannot_be_parsed_is_remembered(lint: Any) -> None:
    write("a.py", f"{LOAD}def (:\n")
    cells = [{"cell_type": "code", "source": LOAD}, {"cell_type": "code", "source": "x = ("}]
    write("b.ipynb", json.dumps({"cells": cells, "nbformat": 4, "metadata": {}}))
    without = lint("--no-cache")
    assert without[0] == 2
    assert lint() == without
    assert parsed(lint) == 0
    assert lint() == without


def test_a_crash_is_not_remembered(lint: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    write("a.py", LOAD)

    def crash(*_: Any) -> FileResult:
        raise KeyError("once")

    with monkeypatch.context() as broken:
        broken.setattr(lint_file, "_lint_file", crash)
        assert "itself failed" in lint()[1]
    assert "TLP101" in lint()[1]


def test_a_baseline_filters_what_is_remembered(lint: Any) -> None:
    path = write("a.py", LOAD)
    lint("--baseline", "known.json", "--write-baseline")
    assert lint("--baseline", "known.json")[0] == 0
    path.write_text(LOAD + LOAD.partition("\n")[2].replace("gpt2", "gpt2-xl"))
    for _ in range(2):
        code, out, _ = lint("--baseline", "known.json")
        assert code == 1 and "gpt2-xl" in out and '"gpt2"' not in out.partition("gpt2-xl")[0][-20:]


# ---- what findings rest on


def test_an_imported_constant_that_changes_is_seen(lint: Any) -> None:
    write("run.py", BY_CONSTANT)
    write("other.py", LOAD)
    assert "TLP101" not in lint("--select", "TLP101", "run.py")[1]  # there is no common.py: whoever knows
    write("common.py", 'MAP = "auto"\n')
    assert "'auto', from MAP" in lint("run.py")[1]
    assert parsed(lint) == 1  # other.py, which no run looked at before
    write("common.py", 'MAP = "cuda:0"\n')
    assert "'cuda:0', from MAP" in lint()[1]
    write("common.py", "import sys\nMAP = sys.argv[1]\n")
    assert "from MAP" not in lint()[1]
    Path("common.py").unlink()
    write("common/__init__.py", "from .inner import MAP\n")
    write("common/inner.py", 'MAP = "cuda:1"\n')
    assert "'cuda:1', from MAP" in lint()[1]
    write("src/common.py", "MAP = None\n")  # further away than the package: changes nothing
    assert "'cuda:1', from MAP" in lint()[1]
    write("common/inner.py", 'MAP = "mps"\n')
    assert "'mps', from MAP" in lint()[1]
    assert parsed(lint) == 0


def test_a_module_that_comes_to_import_the_file_is_seen(lint: Any) -> None:
    """Whether TLP105 matters rests on the modules that import a helper, none of which the helper names."""
    write("models.py", f"{IMPORT}def load(name):\n    return AutoModelForCausalLM.from_pretrained(name)\n")
    select = ("--select", "TLP105", "models.py")
    assert "TLP105" in lint(*select)[1]
    assert parsed(lint, *select) == 0
    write("train.py", "from models import load\nload('x')(**batch).loss.backward()\n")
    assert "TLP105" not in lint(*select)[1]
    assert parsed(lint, *select) == 0
    write("train.py", "from models import load\nload('x').generate(ids)\n")
    assert "TLP105" in lint(*select)[1]
    Path("train.py").unlink()
    write("elsewhere/train.py", "from models import load\nload('x')(**batch).loss.backward()\n")
    assert "TLP105" not in lint(*select)[1]


def test_what_a_document_or_script_says_of_a_launcher_is_seen(lint: Any) -> None:
    """Whether TLP101 matters rests on how the project starts the script, which no Python file names."""
    write("run.py", f"{LOAD}Trainer(m).train()\n")
    select = ("--select", "TLP101", "run.py")
    assert "TLP101" in lint(*select)[1]
    assert parsed(lint, *select) == 0
    write("README.md", "Run `python run.py`.\n")
    assert "TLP101" not in lint(*select)[1]
    assert parsed(lint, *select) == 0
    write("jobs/run.sh", "torchrun --nproc_per_node=4 \\\n  run.py\n")
    assert "each process of torchrun in run.sh, line 2 would use every GPU" in lint(*select)[1]
    write("jobs/run.sh", "torchrun --nproc_per_node=4 other.py\n")
    assert "TLP101" not in lint(*select)[1]
    Path("README.md").unlink()
    assert "TLP101" not in lint(*select)[1]
    Path("jobs/run.sh").unlink()  # now nothing tells of the project
    assert "TLP101" in lint(*select)[1]


def test_a_module_that_an_importer_uses_is_seen_too(lint: Any) -> None:
    """The model may get to any module that its importers import, also to one that comes to generate later."""
    write("models.py", f"{IMPORT}def load(name):\n    return AutoModelForCausalLM.from_pretrained(name)\n")
    write("train.py", "import answers\nfrom models import load\nanswers.of(load('x'))\n")
    write("answers.py", "def of(model):\n    return model.generate(1, do_sample=False)\n")
    select = ("--select", "TLP105", "models.py")
    assert "TLP105" not in lint(*select)[1]
    assert parsed(lint, *select) == 0
    write("answers.py", "def of(model):\n    return model.generate(1)\n")
    assert "answers.py, line 2 generates without do_sample" in lint(*select)[1]
    assert parsed(lint, *select) == 0
    write("train.py", "from models import load\nload('x')\n")
    assert "TLP105" not in lint(*select)[1]


def test_only_files_that_rest_on_what_changed_are_parsed(lint: Any) -> None:
    """By default, whether a finding matters may rest on all files of the project; strictly, it does not."""
    for number in range(5):
        write(f"own{number}.py", LOAD + GENERATES)
    write("run.py", BY_CONSTANT + GENERATES)
    write("common.py", 'MAP = "auto"\n')
    lint("--strict")
    write("common.py", 'MAP = "cpu"\n')
    assert parsed(lint, "--strict") == 1
    write("own3.py", LOAD + "\n")
    assert parsed(lint, "--strict") == 1
    write("aside.py", "x = 1\n")
    assert parsed(lint, "--strict") == 0


def test_settings_rules_and_targets_have_results_of_their_own(lint: Any) -> None:
    write("a.py", LOAD)
    write("sub/b.py", LOAD)
    steps = [
        ("telepathy-lint.toml", 'ignore = ["TLP104"]\n'),
        ("telepathy-lint.toml", 'target-transformers = "5.0"\n'),
        ("requirements.txt", "transformers>=5.1\n"),
        ("telepathy-lint.toml", 'fix-style = "inline"\n'),
        ("telepathy-lint.toml", ""),
        ("telepathy-lint.toml", '[per-file-ignores]\n"sub/*" = ["TLP101"]\n'),
        ("sub/telepathy-lint.toml", 'select = ["TLP101"]\n'),
        ("requirements.txt", "transformers<5\n"),
        ("telepathy-lint.toml", 'loader = {module = "house", load-model = "fetch"}\n'),
    ]
    seen = set()
    for name, text in steps:
        write(name, text)
        without = lint("--no-cache", "--strict", "--show-fixes", "--unsafe-fixes")
        assert lint("--strict", "--show-fixes", "--unsafe-fixes") == without, (name, text)
        assert lint("--strict", "--show-fixes", "--unsafe-fixes") == without, (name, text)
        seen.add(without)
    assert len(seen) >= 5


def test_runs_with_other_rules_in_turn_know_their_results(lint: Any) -> None:
    write("a.py", LOAD)
    for _ in range(2):
        counts = [
            parsed(lint, *options) for options in ((), ("--select", "TLP101"), ("--fix-style", "inline"))
        ]
    assert counts == [0, 0, 0]


def test_a_configured_function_makes_files_matter_that_did_not(lint: Any) -> None:
    for number in range(100):
        write(f"m{number}.py", 'from house import fetch\nm = fetch("gpt2", device_map="auto")\n')
    assert lint()[0] == 0
    assert lint()[0] == 0
    write("telepathy-lint.toml", 'wrappers = ["house.fetch"]\n')
    assert lint("--select", "TLP101", "--output-format", "concise")[1].count("TLP101") == 100
    assert lint() == lint("--no-cache")
    write("telepathy-lint.toml", "")
    assert lint()[0] == 0


def test_a_wrong_rule_is_refused_and_a_known_one_not_looked_up(lint: Any) -> None:
    write("a.py", LOAD)
    for _ in range(2):
        assert lint("--select", "TLP101")[0] == 1
        code, _, err = lint("--select", "TLP999")
        assert code == 2 and "TLP999" in err


POOL = {
    "run.py": [LOAD, BY_CONSTANT, "x = 1\n", "def (:\nfrom_pretrained\n", LOAD.replace("auto", "cuda"), None],
    "pkg/job.py": [BY_CONSTANT, BY_CONSTANT.replace("from common", "from .common"), LOAD, None],
    "common.py": ['MAP = "auto"\n', 'MAP = "cuda"\n', "from pkg.deep import MAP\n", "from run import MAP\n", None],
    "pkg/common.py": ['MAP = "cpu"\n', "from common import *\n", "from . import deep\nMAP = deep.MAP\n", None],
    "pkg/deep.py": ['MAP = "mps"\n', 'MAP = {"": 0}\n', None],
    "pkg/__init__.py": ["", None],
    "src/common.py": ['MAP = "xpu"\n', None],
    "common/__init__.py": ['MAP = "balanced"\n', None],
    "requirements.txt": ["transformers>=5\n", "transformers>=4.40\n", None],
    "pkg/telepathy-lint.toml": ['ignore = ["TLP102"]\n', 'select = ["TLP1"]\n', None],
    ".git/HEAD": ["", None],
    "pyproject.toml": ["", None],
    ".gitignore": ["pkg/\n", "", None],
}  # fmt: skip
EDITS = st.lists(
    st.one_of(
        *(st.tuples(st.just(name), st.sampled_from(texts)) for name, texts in POOL.items()),
        st.tuples(st.just("swap"), st.sampled_from([("run.py", "pkg/job.py"), ("common.py", "pkg/deep.py")])),
        st.tuples(st.just("fix"), st.sampled_from(["--fix", "--fix-only"])),
    ),
    min_size=3,
    max_size=12,
)
WAYS = [("concise", "."), ("full", "."), ("json", "."), ("full", "run.py"), ("concise", "pkg")]


@pytest.mark.slow
@pytest.mark.parametrize(
    "trusting", [pytest.param(False, id="hashes"), pytest.param(True, id="stamps", marks=pytest.mark.slow)]
)
@settings(
    max_examples=40,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(edits=EDITS, way=st.randoms(use_true_random=False))
def test_any_edit_of_a_project_gives_what_a_run_without_a_cache_gives(
    lint: Any, monkeypatch: pytest.MonkeyPatch, trusting: bool, edits: Any, way: random.Random
) -> None:
    # Files of a second ago are read again, whatever their stamps say: trusted at once, they show what stamps can tell.
    monkeypatch.setattr(contents, "_TICK", 0 if trusting else contents._TICK)
    for entry in list(Path().iterdir()):
        shutil.rmtree(entry) if entry.is_dir() else entry.unlink()
    for name in ("run.py", "pkg/job.py", "common.py", "pkg/deep.py"):
        write(name, POOL[name][0] or "")
    for name, change in edits:
        if trusting:
            time.sleep(0.005)  # the file system's clock ticks
        edit(name, change, lint)
        for output_format, path in way.sample(WAYS, 2):
            arguments = ("--output-format", output_format, path)
            assert lint(*arguments) == lint(*arguments, "--no-cache"), (name, change, arguments)


MODEL = (
    "from transformers import AutoModelForCausalLM\n\n\ndef load():\n"
    '    return AutoModelForCausalLM.from_pretrained("meta-llama/Llama-3.1-8B", device_map="auto")\n'
)
#: Files of which each can change what is worth reporting in others: how the project is started, who uses a load, and what
#: the project chooses elsewhere.
AROUND = {
    "run.py": [MODEL, MODEL + "\n\nif __name__ == '__main__':\n    load().generate(**inputs)\n", None],
    "README.md": ["Run `python use.py`.\n", "```sh\ntorchrun --nproc_per_node 2 use.py\n```\n", "# A project\n", None],
    "train.sh": ["accelerate launch run.py\n", "python run.py\n", None],
    "use.py": [
        "from run import load\n\nmodel = load()\nmodel.generate(inputs, do_sample=False)\n",
        "from run import load\n\nmodel = load()\nmodel.generate(inputs)\n",
        "from run import load\n\nmodel = load().float()\n",
        None,
    ],
    "other.py": [
        MODEL.replace('device_map="auto"', 'attn_implementation="flash_attention_2"'),
        MODEL.replace('device_map="auto"', "torch_dtype=torch.float16"),
        MODEL.replace("meta-llama/Llama-3.1-8B", "acme/llm"),
        None,
    ],
    "settings.yaml": ["model: meta-llama/Llama-3.1-8B\n", "model: gpt2\n", None],
    "job.sbatch": ["srun --ntasks 4 python run.py\n", None],
    "archive/run.py": [MODEL, None],
    "deep/tool.py": ["import torch.distributed\nfrom run import load\n", "import flash_attn\n", None],
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(2))
def test_any_edit_around_a_file_gives_what_a_run_without_a_cache_gives(lint: Any, seed: int) -> None:
    """Results rest on the answers of the project: a changed answer is noticed, whatever file changed it."""
    choose = random.Random(seed)
    write(".git/HEAD", "")
    write("run.py", MODEL)
    seen = set()
    for _ in range(40):
        name = choose.choice(list(AROUND))
        edit(name, choose.choice(AROUND[name]), lint)
        found = lint("--output-format", "concise", ".")
        assert found == lint("--output-format", "concise", ".", "--no-cache"), name
        seen.add(found)
    assert len(seen) >= 4


def edit(name: str, change: Any, lint: Any) -> None:
    if name == "swap":
        one, other = map(Path, change)
        if one.is_file() and other.is_file():
            one.rename("aside")
            other.rename(one)
            Path("aside").rename(other)
    elif name == "fix":
        lint(change, "--unsafe-fixes")
    elif change is None:
        Path(name).unlink(missing_ok=True)
    else:
        write(name, change)


def test_an_edit_that_hides_its_time_and_size_is_seen(lint: Any) -> None:
    path = write("a.py", LOAD)
    old = time.time_ns() - 10**12
    os.utime(path, ns=(old, old))
    lint()
    path.write_text(LOAD.replace("auto", "cuda"))
    os.utime(path, ns=(old, old))
    assert "'cuda'" in lint()[1]


def test_an_edit_within_one_tick_of_the_clock_is_seen(lint: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Some file systems have a resolution of one or two seconds, so an immediate edit does not change the stamp."""

    def coarse(status: os.stat_result) -> contents.Stamp:
        second = 10**9
        return status.st_mtime_ns // second, status.st_ctime_ns // second, status.st_size, status.st_ino

    monkeypatch.setattr(contents, "_stamp_of", lambda status: tuple(each * 10**9 for each in coarse(status)))
    path = write("a.py", LOAD)
    for place in ("cuda", "auto", "cuda"):
        lint()
        path.write_text(LOAD.replace("auto", place))
        assert f"'{place}'" in lint()[1]


def test_a_touched_file_is_known_by_its_content(lint: Any) -> None:
    path = write("a.py", LOAD)
    lint()
    path.touch()
    assert parsed(lint) == 0
    text = path.read_bytes()
    path.unlink()
    path.write_bytes(text)
    assert parsed(lint) == 0


@pytest.mark.parametrize("jobs", ["1", "2"])
def test_what_is_read_again_to_save_memory(lint: Any, monkeypatch: pytest.MonkeyPatch, jobs: str) -> None:
    for number in range(4):
        write(f"file{number}.py", LOAD)
    whole = lint("--no-cache", "--output-format", "json", ".")
    assert whole[0] == 1
    monkeypatch.setattr(project, "_HELD", 2 * len(LOAD))
    for cached in (["--no-cache"], [], []):
        assert lint(*cached, "--jobs", jobs, "--output-format", "json", ".") == whole
    assert lint("--no-cache", "--fix", "--unsafe-fixes", "--jobs", jobs, ".")[0] == 0
    assert all("load_model" in Path(f"file{number}.py").read_text() for number in range(4))


def test_a_file_that_changes_before_it_is_read_again(lint: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its content at the time of linting is linted and cached."""
    for name in ("a.py", "b.py", "c.py"):
        write(name, LOAD)
    monkeypatch.setattr(project, "_HELD", 0)
    run = lint_file.lint_file

    def changing(plan: Any, *rest: Any) -> FileResult:
        if plan.path == "a.py":
            write("b.py", "x = 'from_pretrained'\n")
            os.unlink("c.py")
        return run(plan, *rest)

    monkeypatch.setattr(lint_file, "lint_file", changing)
    code, out, _ = lint("--jobs", "1", "--output-format", "concise", ".")
    assert code == 2
    assert "a.py:2" in out and "b.py:" not in out and "c.py:1:1: TLP000 cannot be read" in out
    monkeypatch.setattr(lint_file, "lint_file", run)
    write("b.py", LOAD)
    assert lint(".") == lint("--no-cache", ".")


def test_fixing_uses_what_is_known_of_files_without_fixes(lint: Any) -> None:
    for number in range(4):
        write(f"clean{number}.py", IMPORT)
    options = ("--select", "TLP101", "--fix", "--unsafe-fixes")
    for _ in range(2):  # the same content again has to be fixed again
        write("a.py", LOAD)
        assert "1 fixed" in lint(*options)[1]
        assert "device_map" not in Path("a.py").read_text()
    assert parsed(lint, *options) == 1  # a.py, which is new
    write("a.py", LOAD)
    assert "1 fixed" in lint(*options)[1]
    assert lint(*options)[1] == "All checks passed!\n"
    assert parsed(lint, *options) == 0


def test_a_changed_linter_forgets_what_an_older_one_found(here: Path) -> None:
    for package in ("telepathy_lint", "telepathy_runtime"):
        shutil.copytree(ROOT / package, here / "site" / package, ignore=shutil.ignore_patterns("__pycache__"))
    write("code/a.py", LOAD)

    def run() -> str:
        command = [
            sys.executable,
            "-m",
            "telepathy_lint",
            "check",
            "code",
            "--strict",
            "--output-format",
            "concise",
        ]
        environment = {**os.environ, "PYTHONPATH": str(here / "site"), "PYTHONDONTWRITEBYTECODE": "1"}
        return subprocess.run(command, capture_output=True, text=True, env=environment).stdout

    assert "device_map is hard-coded" in run()
    assert "device_map is hard-coded" in run()
    rule = here / "site/telepathy_lint/rules/tlp101_hardcoded_device_map.py"
    rule.write_text(rule.read_text().replace("device_map is hard-coded", "device_map is HARD-CODED"))
    assert "device_map is HARD-CODED" in run()


# ---- what a run with nothing new costs


def test_a_run_with_nothing_new_imports_neither_scan_nor_rules() -> None:
    write("a.py", LOAD)
    write("b.py", BY_CONSTANT)
    script = (
        "import sys; from telepathy_lint.commands.cli import run; from telepathy_lint.cache import versions; "
        "versions.versions = lambda: 'as it is now'; sys.stdout = open('/dev/null', 'w'); code = run(sys.argv[1:]); "
        "print(*sys.modules, file=sys.stderr)"
    )
    command = [sys.executable, "-c", script, "check", "--select", "TLP1"]
    first, second = (
        set(subprocess.run(command, capture_output=True, text=True, check=True).stderr.split())
        for _ in range(2)
    )
    heavy = {
        f"telepathy_lint.{name}"
        for name in ("engine", "sites", "rules", "run.lint_file", "source.text", "fixes.planner")
    }
    assert heavy < first
    assert not second & {*heavy, "libcst", "difflib", "tomllib"}


# ---- a cache that is no good


def test_a_torn_file_is_ignored(lint: Any) -> None:
    write("a.py", LOAD)
    without = lint("--no-cache")
    lint()
    whole = cache_file().read_bytes()
    for length in [*range(0, len(whole), 997), 1, 22, 23, 30, 31, len(whole) - 1]:
        cache_file().write_bytes(whole[:length])
        assert lint() == without
    for place in range(0, len(whole), 701):
        cache_file().write_bytes(whole[:place] + bytes([whole[place] ^ 64]) + whole[place + 1 :])
        assert lint() == without
    cache_file().write_bytes(whole + b"x")
    assert lint() == without


@pytest.fixture
def kept(lint: Any) -> tuple[Path, bytes]:
    """The cache of three files that were linted, and its content."""
    write("a.py", LOAD)
    write("b.py", BY_CONSTANT)
    write("common.py", 'MAP = "auto"\n')
    lint()
    return cache_file(), cache_file().read_bytes()


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 10**9))
def test_a_forged_file_breaks_nothing(lint: Any, kept: tuple[Path, bytes], seed: int) -> None:
    """A forged cache may hide findings, but the run must not fail or execute anything."""
    change = random.Random(seed)
    path, data = kept
    size = int.from_bytes(data[23:27], "big")
    index, results = json.loads(data[31 : 31 + size]), data[31 + size :]
    if change.random() < 0.5:
        forge(index, change)
    else:
        entries = list(index["rows"].values())
        _, _, _, _, start, end, _ = row = change.choice(entries)
        result = json.loads(results[start:end] or "[]")
        forge(result, change)
        row[4:6] = len(results), len(results) + len(json.dumps(result))
        results += json.dumps(result).encode()
    head = json.dumps(index).encode()
    numbers = (len(head), zlib.crc32(head + results))
    path.write_bytes(data[:23] + b"".join(each.to_bytes(4, "big") for each in numbers) + head + results)
    assert lint()[0] in (0, 1, 2)


JUNK: list[Any] = [None, True, -1, 10**30, 1.5, "", "x" * 50, "\x1b[31m", "\ud800", [], {}, [[]], {"a": 1}]


def forge(document: Any, change: random.Random) -> None:
    """Replace one value in a document."""
    while True:
        keys = list(document) if isinstance(document, dict) else list(range(len(document)))
        if not keys:
            return
        key = change.choice(keys)
        if key == "purpose":
            continue
        if not isinstance(document[key], (dict, list)) or not document[key] or change.random() < 0.2:
            document[key] = change.choice(JUNK)
            return
        document = document[key]


def test_where_nothing_can_be_written_there_is_no_cache(lint: Any, tmp_path: Path) -> None:
    write("a.py", LOAD)
    without = lint("--no-cache")
    write(CACHE, "a file where the folder should be\n")
    assert lint() == without
    assert Path(CACHE).read_text().startswith("a file")
    assert lint("--cache-dir", "/proc/none/such") == without
    assert lint("--cache-dir", "/dev/null") == without
    outside = tmp_path / "outside"
    outside.mkdir()
    Path(CACHE).unlink()
    Path(CACHE).symlink_to(outside)
    assert lint() == without
    assert list(outside.iterdir()) == []
    write("outside/00000000.cache", "whose?")
    assert lint("clean", command="cache")[0] == 0
    assert list(outside.iterdir()) == [outside / "00000000.cache"]


def test_what_stands_in_for_a_cache_file_is_neither_followed_nor_waited_for(lint: Any) -> None:
    write("a.py", LOAD)
    without = lint("--no-cache")
    lint()
    path = cache_file()
    path.unlink()
    path.symlink_to("/dev/zero")
    assert lint() == without
    path.unlink()
    os.mkfifo(path)
    assert lint() == without
    assert path.is_file() and not path.is_symlink()  # a file of ours stands there again


def test_a_full_disk_leaves_the_older_cache_as_it_was(lint: Any) -> None:
    write("a.py", LOAD)
    lint()
    before = cache_file().read_bytes()
    write("b.py", LOAD * 20)
    script = (
        "import resource, signal, sys; signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))\n"
        "from telepathy_lint.commands.cli import run; sys.exit(run(['check']))"
    )
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert (ran.returncode, ran.stdout, ran.stderr) == lint("--no-cache")
    assert cache_file().read_bytes() == before
    assert set(os.listdir(CACHE)) == {".gitignore", "CACHEDIR.TAG", cache_file().name}


@pytest.mark.slow
def test_runs_at_once_and_killed_ones_leave_a_cache_that_works(lint: Any, here: Path) -> None:
    for number in range(60):
        write(f"m{number}.py", LOAD + f"# {number}\n")
    command = [sys.executable, "-m", "telepathy_lint", "check", "--output-format", "concise"]
    without = lint("--output-format", "concise", "--no-cache")
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    shares = [["."], [f"m{number}.py" for number in range(30)], [f"m{number}.py" for number in range(20, 60)]]
    for turn in range(3):
        runs = [
            subprocess.Popen(
                [*command, *share], stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment
            )
            for share in shares
        ]
        killed = subprocess.Popen([*command, "."], stdout=subprocess.DEVNULL, env=environment)
        time.sleep(0.15 + 0.1 * turn)
        killed.kill()
        outputs = [run.communicate() for run in runs]
        killed.wait()
        assert outputs[0][0].decode() == without[1]
        assert [error for _, error in outputs] == [b"", b"", b""]
        assert lint("--output-format", "concise") == without
        write(f"m{turn}.py", LOAD + "# again\n")
        without = lint("--output-format", "concise", "--no-cache")


# ---- where it lies, and how it stays small


def test_the_folder_by_option_environment_configuration_and_project(
    lint: Any, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write("deep/er/a.py", LOAD)
    monkeypatch.chdir(here / "deep/er")
    asked = lambda *more: lint("dir", *more, command="cache")[1].strip()  # noqa: E731
    assert asked() == str(here / CACHE)  # pyproject.toml stands there
    write("../../telepathy-lint.toml", 'cache-dir = "build/kept"\n')
    assert asked() == str(here / "build/kept")
    monkeypatch.setenv("TELEPATHY_LINT_CACHE_DIR", "by-environment")
    assert asked() == str(here / "deep/er/by-environment")
    assert asked("--cache-dir", "by-option") == str(here / "deep/er/by-option")
    lint("--cache-dir", "by-option")
    assert len(list(Path("by-option").glob("*.cache"))) == 1


def test_git_and_backups_pass_it_over(lint: Any) -> None:
    write("a.py", LOAD)
    subprocess.run(["git", "init", "-q"], check=True)
    lint()
    listed = subprocess.run(["git", "status", "--porcelain"], capture_output=True, text=True, check=True)
    assert CACHE not in listed.stdout
    tag = Path(CACHE, "CACHEDIR.TAG").read_text()
    assert tag.startswith("Signature: 8a477f597d28d172789f06886806bc55\n")


def test_a_folder_that_was_there_is_not_hidden_from_git(lint: Any) -> None:
    write("a.py", LOAD)
    write("mine/notes.txt", "keep\n")
    lint("--cache-dir", "mine")
    assert len(os.listdir("mine")) == 2
    lint("clean", "--cache-dir", "mine", command="cache")
    assert os.listdir("mine") == ["notes.txt"]


def test_cleaning_removes_it_all(lint: Any) -> None:
    write("a.py", LOAD)
    assert lint("clean", command="cache")[0] == 0
    lint()
    code, out, _ = lint("clean", command="cache")
    assert code == 0 and out.startswith("Removed 0.")
    assert not Path(CACHE).exists()


def test_what_lies_unused_goes(lint: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    day = store.today()
    for name in ("a.py", "gone.py"):
        write(name, LOAD)
    lint()
    write(f"{CACHE}/00000000.cache", "long ago")
    write(f"{CACHE}/00000000.cache.0a1b2c3d.tmp", "left by a run that was killed")
    write(f"{CACHE}/else.txt", "not ours")
    for name in ("00000000.cache", "00000000.cache.0a1b2c3d.tmp", "else.txt"):
        os.utime(f"{CACHE}/{name}", (0, 0))
    Path("gone.py").unlink()
    size = cache_file_of("a.py").stat().st_size
    for later in (20, 40):
        monkeypatch.setattr(store, "today", lambda later=later: day + later)
        lint()
    assert cache_file_of("a.py").stat().st_size < size
    assert "else.txt" in os.listdir(CACHE)
    assert not [name for name in os.listdir(CACHE) if name.startswith("00000000")]


def cache_file_of(name: str) -> Path:
    return next(path for path in Path(CACHE).glob("*.cache") if name.encode() in path.read_bytes())


def test_it_does_not_grow_without_bounds(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(store, "MAX_BYTES", 20_000)
    path = str(tmp_path / "x.cache")
    today = store.today()
    entries = {
        f"/p/{number}.py": store.Entry("d" * 32, "key", False, (), b"r" * 100, today - number % 3)
        for number in range(500)
    }
    store.write(path, "purpose", entries, {})
    assert os.path.getsize(path) <= 20_000
    kept = store.read(path, "purpose").rows
    assert kept and {row[-1] for row in kept.values()} == {today}


def test_all_its_files_together_do_not_either(lint: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    write("a.py", LOAD)
    sizes = []
    for number, name in enumerate(("full", "json", "sarif", "concise")):
        lint("--output-format", name)
        (newest,) = set(Path(CACHE).glob("*.cache")) - {path for path, _ in sizes}
        os.utime(newest, (time.time() - 100 + number,) * 2)
        sizes.append((newest, newest.stat().st_size))
    room = min(sizes[0][1], sizes[1][1]) // 2
    monkeypatch.setattr(store, "MAX_TOTAL", sizes[2][1] + sizes[3][1] + room)
    write("a.py", LOAD + "\n")
    lint("--output-format", "concise")
    assert set(Path(CACHE).glob("*.cache")) == {sizes[2][0], sizes[3][0]}


# ---- rows


def test_every_field_of_a_result_survives() -> None:
    span = Span(3, 5, 4, 6, 2)
    fix = Fix("unsafe", "do", (Edit(1, 2, "té\ud800", span),))
    site = SiteRef("model", "x.y", None, Span(1, 2, 3, 4))
    found = Violation("p.py", 2, 3, 5, "TLP101", "name", "message", span, site, fix, 7, 9)
    plain = found._replace(site=None, fix=None)
    result = FileResult(
        "p.py",
        (
            FileFinding(found, "left", "a"),
            FileFinding(plain, "left", "b", "+ x"),
            FileFinding(plain, "fixed"),
        ),
        failed=True,
        lines={(2, 3): "text", (-1, 1): ""},
        file_lines={(2, 3): 17},
        patch="--- x",
        notes=(Note(2, 3, 5, "text"),),
    )
    again = rows.decoded(rows.encoded(result), "p.py")
    for name in FileResult._fields:
        assert getattr(again, name) == getattr(result, name), name
        if name not in ("path", "output", "comments", "passing"):  # these are never kept
            given = getattr(result, name)
            assert given != FileResult._field_defaults[name], f"{name}: give it a value here"
    for one, other in zip(again.findings, result.findings, strict=True):
        assert tuple(one.violation) == tuple(other.violation)
    assert rows.decoded(rows.encoded(FileResult("q")), "q") == FileResult("q")


def test_sources_are_not_kept(lint: Any) -> None:
    """Only the lines that the report shows are stored."""
    write("a.py", f'{LOAD}SECRET = "hunter2"\n' + "\n" * 9 + "TOKEN = 'abc'\n")
    lint("--output-format", "concise")
    assert b"hunter2" not in cache_file().read_bytes()


@pytest.mark.parametrize(
    ("code", "helper", "rule"),
    [
        ("a = TrainingArguments('o', overwrite_output_dir=True)", "a.overwrite_output_dir", "TLP401"),
        ("a = TrainingArguments('o', no_cuda=True)", "a.no_cuda", "TLP401"),
        (
            "a = TrainingArguments('o', logging_dir='x', report_to='none')",
            "TensorBoardCallback()",
            "TLP401",
        ),
        (
            "t = AutoTokenizer.from_pretrained('a/b')\nt.encode_plus('a')",
            "def encode_plus(): ...",
            "TLP403",
        ),
    ],
)
def test_a_cached_fix_is_safe_only_while_no_other_file_needs_the_old_form(
    code: str,
    helper: str,
    rule: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / ".git").mkdir()
    (tmp_path / "main.py").write_text(f"from transformers import AutoTokenizer, TrainingArguments\n{code}\n")
    (tmp_path / "helper.py").write_text("")
    monkeypatch.chdir(tmp_path)
    check = ["check", "-q", "--strict", "--select", rule, "--output-format", "concise", "."]

    def safe() -> bool:
        assert cli.run(check) == 1
        return "[*]" in capsys.readouterr().out

    assert (safe(), safe()) == (True, True)
    (tmp_path / "helper.py").write_text(f"{helper}\n")
    assert (safe(), safe()) == (False, False)
    (tmp_path / "helper.py").write_text("")
    assert safe()
