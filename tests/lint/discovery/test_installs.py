"""What commands of pip say of transformers, in documents, notebooks and scripts."""

from __future__ import annotations

from pathlib import Path

import pytest

from telepathy_lint.discovery.config import Config
from telepathy_lint.discovery.requirements import Targets
from telepathy_lint.settings import Settings
from telepathy_lint.settings.installs import (
    asked_in,
    at_its_release,
    checked_out_in,
    listed_in,
    newest_allowed,
)


@pytest.mark.parametrize(
    ("text", "version", "admits_5", "pinned", "newest"),
    [
        ("!pip install -q transformers==4.30.2 peft==0.5.0", "4.30.2", False, True, (4, 30)),
        ("%pip install 'transformers[torch]>=4.40,<5' trl", "4.40", False, True, (4, 999)),
        ("pip3 install -U transformers>=4.40 datasets==2.1", "4.40", True, False, None),
        ("RUN pip install \\\n    torch \\\n    transformers~=4.41\n", "4.41", False, True, (4, 999)),
        ('"!pip install \\"transformers==4.33\\"\\n",', "4.33", False, True, (4, 33)),
        ("run(['pip', 'install', 'transformers==5.1'])", "5.1", True, True, (5, 1)),
        ("python -m pip install git+https://github.com/huggingface/transformers.git@v4.49.0", "4.49.0", False, True, (4, 49)),
        ("!pip install --no-deps /kaggle/input/x/transformers-4.31.0-py3-none-any.whl", "4.31.0", False, True, (4, 31)),
        ("uv pip install transformers>=4.40,<5.3", "4.40", True, True, (5, 2)),
    ],
)  # fmt: skip
def test_a_command_asks_for_a_release(
    text: str, version: str, admits_5: bool, pinned: bool, newest: tuple[int, int] | None
) -> None:
    assert asked_in(text.encode()) == [(version, admits_5, pinned, newest)]


@pytest.mark.parametrize(
    ("clauses", "newest"),
    [
        ("==5.3.0", (5, 3)),
        ("===5.3", (5, 3)),
        ("==5.*", (5, 999)),
        ("==5.3.*", (5, 3)),
        ("=4.44.2=1_0", (4, 44)),
        ("~=5.3", (5, 999)),
        ("~=5.3.1", (5, 3)),
        ("~5.3", (5, 3)),
        ("^5.3", (5, 999)),
        ("^0.12.1", (0, 12)),
        (">=4.40, <5.0.0", (4, 999)),
        (">=4.40,<5.3.2", (5, 3)),
        (">=4.40,<=5.3.2,!=4.50", (5, 3)),
        ("<6,==5.3", (5, 3)),
        (" @ git+https://github.com/huggingface/transformers.git@v4.47.1", (4, 47)),
        (">=4.40", None),
        (">5,!=5.1", None),
        ("", None),
    ],
)
def test_the_newest_release_that_a_requirement_allows(clauses: str, newest: tuple[int, int] | None) -> None:
    assert newest_allowed(clauses) == newest


@pytest.mark.parametrize(
    "text",
    [
        "pip install transformers",
        "pip install transformers datasets==2.11.0",
        "pip install sentence-transformers==2.2",
        "pip install transformers-stream-generator==0.0.4",
        "pip install torch\ntransformers==4.30",
        "pip install torch && echo transformers==4.30",
        "conda list transformers==4.30",
        "raise ImportError('pip install transformers==4.30')",
        "require_version('transformers<=4.42', 'To fix: pip install transformers>=4.41,<=4.42')",
        "pip install transformers<5",
        "pip install git+https://github.com/huggingface/transformers@0dcb46e7a4a9e587",
    ],
)
def test_a_command_says_nothing(text: str) -> None:
    assert asked_in(text.encode()) == []


def test_what_a_file_installs_comes_before_the_project_and_behind_the_configuration() -> None:
    pin = b"!pip install transformers==4.30.2\n!pip install transformers==4.35"
    assert at_its_release(Settings("4.50"), pin, True).target_transformers == ">=4.30.2,<5"
    assert at_its_release(Settings("4.50", target_is_stated=True), pin, True).target_transformers == "4.50"
    assert (
        at_its_release(Settings("4.50"), b"!pip install transformers>=4.30", True).target_transformers
        == "4.50"
    )
    assert (
        at_its_release(Settings("4.50"), b"pip install transformers==1.2", True).target_transformers == "4.50"
    )


@pytest.mark.parametrize(
    ("line", "counts"),
    [
        ("os.system('pip install transformers==4.30')", True),
        ("subprocess.check_call([sys.executable, '-m', 'pip', 'install', 'transformers==4.30'])", True),
        ("# pip install transformers==4.30", True),
        ("    'Install it: pip install transformers==4.30'", False),
    ],
)
def test_a_script_runs_its_commands(line: str, counts: bool) -> None:
    found = at_its_release(Settings("4.50"), f"import x\n{line}\n".encode(), False)
    assert (found.target_transformers == ">=4.30,<5") == counts


@pytest.mark.parametrize(
    ("files", "target"),
    [
        ({"README.md": "pip install transformers==4.28.0"}, ">=4.28.0,<5"),
        ({"scripts/setup_env.sh": "pip install transformers==4.28.0"}, None),
        ({"setup_env.sh": "pip install transformers==4.28.0"}, ">=4.28.0,<5"),
        ({"Dockerfile": "RUN pip install transformers>=4.28.0"}, "4.28.0"),
        ({"NOTES.md": "pip install transformers==4.28.0"}, None),
        ({"README.md": "## Needs\n- `transformers==4.28.0`\n"}, ">=4.28.0,<5"),
        ({"README.md": "## Needs\n* transformers 4.28.0\n"}, ">=4.28.0,<5"),
        ({"README.md": "| transformers | 4.28.0 |\n"}, ">=4.28.0,<5"),
        ({"README.md": "- transformers >= 4.28\n"}, "4.28"),
        ({"README.md": "- transformers are 4.28 times as fast\n- sentence-transformers==2.2\n"}, None),
        ({"env.yaml": "- transformers=4.28.0\n"}, ">=4.28.0,<5"),
        ({"reqs.txt": "transformers==4.28.0\n"}, ">=4.28.0,<5"),
        ({"results_env.csv": "transformers==4.28.0\n"}, None),
        (
            {"README.md": "pip install transformers==4.28.0", "requirements.txt": "transformers"},
            ">=4.28.0,<5",
        ),
        ({"README.md": "pip install transformers==4.28.0", "requirements.txt": "transformers>=4.40"}, "4.40"),
    ],
)
def test_instructions_count_where_no_requirement_file_says_it(
    files: dict[str, str], target: str | None, tmp_path: Path
) -> None:
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    (tmp_path / ".git").mkdir()
    found = Targets().settings(Config(), str(tmp_path / "src"))
    assert found.target_transformers == target


def test_instructions_above_a_folder_count_in_a_repository_only(tmp_path: Path) -> None:
    (tmp_path / "part").mkdir()
    (tmp_path / "README.md").write_text("pip install transformers==4.28.0")
    assert Targets().settings(Config(), str(tmp_path)).target_transformers == ">=4.28.0,<5"
    assert Targets().settings(Config(), str(tmp_path / "part")).target_transformers is None
    (tmp_path / ".git").mkdir()
    assert Targets().settings(Config(), str(tmp_path / "part")).target_transformers == ">=4.28.0,<5"


def test_a_requirement_file_above_comes_before_instructions(tmp_path: Path) -> None:
    (tmp_path / ".git").mkdir()
    (tmp_path / "part").mkdir()
    (tmp_path / "part" / "README.md").write_text("pip install transformers==4.28.0")
    assert Targets().settings(Config(), str(tmp_path / "part")).target_transformers == ">=4.28.0,<5"
    (tmp_path / "requirements.txt").write_text("transformers>=4.40,<5")
    assert Targets().settings(Config(), str(tmp_path / "part")).target_transformers == ">=4.40,<5"


def test_an_old_release_in_the_instructions_of_a_part_comes_before_an_open_requirement_above(
    tmp_path: Path,
) -> None:
    (tmp_path / ".git").mkdir()
    (tmp_path / "part").mkdir()
    (tmp_path / "requirements.txt").write_text("transformers>=4.10")
    (tmp_path / "part" / "README.md").write_text("> code tested on transformers==4.33.0 peft==0.4.0")
    assert Targets().settings(Config(), str(tmp_path / "part")).target_transformers == ">=4.33.0,<5"
    assert Targets().settings(Config(), str(tmp_path)).target_transformers == "4.10"


@pytest.mark.parametrize(
    ("text", "version"),
    [
        ("git clone -b v4.30.1 https://github.com/huggingface/transformers.git", "4.30.1"),
        ("git clone https://github.com/huggingface/transformers --branch v4.30.1 --depth 1", "4.30.1"),
        ("cd transformers\ngit checkout tags/v4.30\n", "4.30"),
        ("cd third_party/transformers && git switch --detach v4.30.1", "4.30.1"),
        ("git -C transformers checkout v4.30.1", "4.30.1"),
        ("cd transformers; cd ../peft; git checkout v0.4.0", None),
        ("cd transformers\npip install -e .\ncd ../peft && git checkout v0.5.0", None),
        ("cd transformers && git checkout main", None),
        ("git clone -b v4.30.1 https://github.com/acme/sentence-transformers.git", None),
    ],
)
def test_a_release_that_git_checks_out(text: str, version: str | None) -> None:
    assert [each.version for each in checked_out_in(text)] == ([version] if version is not None else [])


@pytest.mark.parametrize(
    ("requirement", "below"),
    [
        ("huggingface-hub>=0.19.2,<1.0", True),
        ("huggingface_hub==0.23.1", True),
        ("huggingface-hub>=0.20", False),
        ("huggingface-hub<1.5", False),
        ("huggingface-hub==1.0", False),
        ("tokenizers==0.19.1", True),
        ("tokenizers<0.22", True),
        ("tokenizers>=0.14", False),
        ("tokenizers==0.22.0", False),
        ("torch==2.2.0", True),
        ("torch==2.1.2+cu118", True),
        ("torch<2.4", True),
        ("  - pytorch=2.1.0=py3.10_cuda11.8_cudnn8.7.0_0", True),
        ("  - conda-forge::pytorch=2.1.0", True),
        ("torch==2.4.0", False),
        ("torch<=2.4", False),
        ("torch>=2.0", False),
        ("torch>=2.0,<3", False),
        ("torch==2.10.0", False),
        ("rotary-embedding-torch==0.6.2", False),
        ("torch-geometric==2.3.0", False),
    ],
)
def test_requirements_that_leave_out_transformers_5(requirement: str, below: bool, tmp_path: Path) -> None:
    (tmp_path / "requirements.txt").write_text(f"torch\ntransformers>=4.40\n{requirement}\n")
    wanted = ">=4.40,<5" if below else "4.40"
    assert Targets().settings(Config(), str(tmp_path)).target_transformers == wanted


@pytest.mark.parametrize(
    ("files", "newest"),
    [
        ({"README.md": "Install `torch==2.2.0` and `sentencepiece`"}, (4, 999)),
        ({"README.md": "It runs with torch==2.2.0 and torch==2.5.0"}, None),
        ({"README.md": "It runs with rotary-embedding-torch==0.6.2"}, None),
        ({"README.md": "torchvision==0.17"}, None),
        ({"requirements.txt": "torch==2.2.0\ntransformers\n"}, (4, 999)),
        ({"requirements.txt": "torch==2.2.0\n"}, (4, 999)),
        ({"requirements.txt": "torch>=2.2\n", "README.md": "pip install torch==2.2.0"}, None),
        ({"requirements.txt": "torch\n", "README.md": "pip install torch==2.2.0"}, (4, 999)),
        ({"requirements.txt": "torch==2.2.0\n", "requirements_new.txt": "torch==2.6\n"}, None),
        ({"requirements.txt": "torch==2.2.0\ntransformers>=4.40"}, (4, 999)),
        ({"requirements.txt": "torch==2.0.1\ntransformers\n"}, (4, 51)),
        ({"requirements.txt": "torch==2.1.0\ntransformers\n"}, (4, 999)),
        ({"requirements.txt": "torch==2.2.0\ntransformers==4.40.1"}, (4, 40)),
        ({"requirements.txt": "torch==2.2.0\ntransformers==5.0.0"}, (5, 0)),
        ({"pyproject.toml": '[project]\ndependencies = ["transformers>=4.40", "torch==2.2.0"]\n'}, (4, 999)),
        ({"pyproject.toml": '[tool.poetry.dependencies]\ntorch = "2.2.0"\n'}, (4, 999)),
        ({"pyproject.toml": '[tool.poetry.dependencies]\ntorch = "^2.2.0"\n'}, None),
    ],
)
def test_torch_may_leave_out_transformers_5(
    files: dict[str, str], newest: tuple[int, int] | None, tmp_path: Path
) -> None:
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    (tmp_path / ".git").mkdir()
    for folder in (tmp_path, tmp_path / "src"):
        found = Targets().settings(Config(), str(folder))
        assert found.newest == newest
        assert found.is_before_5 == (newest is not None and newest < (5, 0))


@pytest.mark.parametrize(
    ("requirements", "stage"),
    [
        ("transformers>=4.40\nhuggingface-hub<1.0\n", "others"),
        ("transformers>=4.40\ntorch==2.2.0\n", "others"),
        ("transformers>=4.40\nhuggingface-hub==0.23.1\n", ""),
        ("transformers>=4.40\ntokenizers<0.20\n", ""),
        ("transformers>=4.40,<5\nhuggingface-hub<1.0\n", ""),
        ("transformers>=4.40,<=4.57\nhuggingface-hub<1.0\n", ""),
        ("transformers>=4.40\n", "admits"),
        ("transformers>=5.0\ntorch==2.2.0\n", "needs"),
    ],
)
def test_trl_moves_on_where_only_another_library_leaves_out_transformers_5(
    requirements: str, stage: str, tmp_path: Path
) -> None:
    (tmp_path / "requirements.txt").write_text(requirements)
    found = Targets().settings(Config(), str(tmp_path))
    assert found.stage == stage
    assert found.reaches((0, 13), "trl")
    assert found.reaches((5, 0)) == (stage in ("admits", "needs"))


def test_an_end_of_trl_counts_unless_strict(tmp_path: Path) -> None:
    (tmp_path / "requirements.txt").write_text("transformers>=4.40\ntrl==0.12.1\npeft>=0.9\n")
    found = Targets().settings(Config(), str(tmp_path))
    assert found.reaches((0, 12), "trl")
    assert not found.reaches((0, 13), "trl")
    assert found._replace(strict=True).reaches((0, 13), "trl")
    assert found.reaches((0, 19), "peft")


def test_a_release_or_later_ones() -> None:
    text = "- transformers 4.33+\nWe require Transformers 4.35 or later\nTested with transformers 4.40.\n"
    assert [(each.version, each.pinned) for each in listed_in(text)] == [
        ("4.33", False),
        ("4.35", False),
        ("4.40", True),
    ]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_requirements_in_the_encodings_of_shells(encoding: str, tmp_path: Path) -> None:
    """PowerShell writes `pip freeze > requirements.txt` in UTF-16."""
    frozen = "transformers==4.46.1\r\ntorch==2.5.1\r\n"
    (tmp_path / "requirements.txt").write_bytes(frozen.encode(encoding))
    found = Targets().settings(Config(), str(tmp_path))
    assert (found.target_transformers, found.newest) == (">=4.46.1,<5", (4, 46))
