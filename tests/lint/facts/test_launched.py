"""Whether a launcher starts a file is asked by itself: a finding of TLP101 alone does not search a project for all its commands."""

from __future__ import annotations

from pathlib import Path

import pytest

from telepathy_lint.facts import start_commands, started
from telepathy_lint.facts.launched import launches_naming, launches_of
from telepathy_lint.facts.started import (
    launching_of,
    may_launch_others,
    starters_naming,
    starts_naming,
    starts_of,
)
from telepathy_lint.flow import whole_project
from telepathy_lint.flow.project import Modules, read_bytes
from telepathy_lint.flow.questions import name_of
from telepathy_lint.flow.whole_project import Project
from telepathy_lint.rules import select
from telepathy_lint.run.lint_file import lint_file
from telepathy_lint.run.options import PLAIN
from telepathy_lint.run.selection import FilePlan
from telepathy_lint.settings import Settings

CODE = (
    "from transformers import AutoModel\nmodel = AutoModel.from_pretrained('gpt2', device_map={map})\n"
    "model(**inputs)\n"
)


def questions(folder: Path, device_map: str) -> set[str]:
    """The functions that are asked of the project for a file with this map."""
    path = folder / "train.py"
    path.write_text(CODE.format(map=device_map), encoding="utf-8")
    modules = Modules()
    result = lint_file(FilePlan(str(path), select(["TLP101"]), Settings(), PLAIN), path.read_bytes(), modules)
    assert not result.violations
    return {about[-1] for kind, *about in modules.questions(str(path)) if kind in ("once", "about")}


def test_a_map_only_asks_which_commands_name_a_launcher(tmp_path: Path) -> None:
    (tmp_path / ".git").mkdir()
    (tmp_path / "README.md").write_text("```\npython train.py\n```\n", encoding="utf-8")
    asked = questions(tmp_path, "'auto'")
    assert name_of(launches_naming) in asked
    assert asked.isdisjoint({name_of(launches_of), name_of(starts_of), name_of(launching_of)})


def test_a_map_that_the_file_decides_asks_nothing(tmp_path: Path) -> None:
    (tmp_path / ".git").mkdir()
    (tmp_path / "README.md").write_text("```\npython train.py\n```\n", encoding="utf-8")
    assert name_of(launches_naming) not in questions(tmp_path, "'cpu'")


def test_each_launcher_is_found_by_its_words(tmp_path: Path) -> None:
    commands = {
        "torchrun --nproc_per_node 4 a.py": "a.py",
        "accelerate \\\n  launch b.py --x": "b.py",
        "python -m torch.distributed.launch --nproc_per_node=2 c.py": "c.py",
        "mpirun -n 4 python d.py": "d.py",
        "mpiexec -n 4 python e.py": "e.py",
        "horovodrun -np 4 python f.py": "f.py",
        "jsrun -n 4 python g.py": "g.py",
        "colossalai run --nproc_per_node 4 h.py": "h.py",
        "deepspeed i.py": "i.py",
        "composer -n 8 j.py": "j.py",
        "srun -n 4 python k.py": "k.py",
        "python l.py": None,
    }
    for number, command in enumerate(commands):
        (tmp_path / f"run{number:02}.sh").write_text(f"# start\n{command}\n", encoding="utf-8")
    project = Project(str(tmp_path), lambda path: Path(path).read_bytes())
    launched = launches_of(project).launched
    assert set(launched) == {script for script in commands.values() if script is not None}
    assert launched["b.py"].line == 3
    assert launched["b.py"].arguments == (" --x",)


def test_a_name_alone_is_answered_as_after_all_commands_were_read(tmp_path: Path) -> None:
    names = [f"job{number}" for number in range(12)]
    for place, folder in enumerate(("scripts", "other")):
        (tmp_path / f"run{place}.sh").write_text(
            "".join(
                f"{'# ' if number % 3 == place else ''}torchrun --nproc_per_node 4 {folder}/{name}.py --x {place} && srun -n 4 {name}.py\n"
                for number, name in enumerate(names)
            ),
            encoding="utf-8",
        )

    def project() -> Project:
        return Project(str(tmp_path), lambda path: Path(path).read_bytes())

    alone = [project().about(name, launches_naming) for name in names]
    whole = project()
    assert [whole.about(name, launches_naming) for name in names] == alone
    assert whole.names_asked(launches_naming) == len(names)
    assert launches_of in whole._answers  # the last ones were looked up
    assert all(
        each is not None and set(each) > {f"{name}.py"} for name, each in zip(names, alone, strict=True)
    )
    launched = launches_of(project()).launched
    assert sorted(launched.values(), key=lambda each: each.first) == list(launched.values())
    assert len({each.first for each in launched.values()}) == len(launched)


#: A project that starts its scripts in each of the ways that are told apart.
PROJECT = {
    "README.md": "Train with DDP.\n\n```\npython src/plain.py\nrunner -n 4 src/wrapped.py\ntorchrun --nproc_per_node 1 src/alone.py\n```\n",
    "run.sh": "python -m src.module --x\ntorchrun src/launched.py\n",
    "conf/train.yaml": "distributed_type: MULTI_GPU\n",
    "src/start.py": "import subprocess\nsubprocess.run(['python', 'src/by_code.py'])\n",
    "src/spawn.py": "import torch.distributed\nimport os\nos.system('src/spawned.py')\n",
    **{
        f"src/{name}.py": "x = 1\n"
        for name in ("plain", "wrapped", "alone", "module", "launched", "by_code", "spawned")
    },
}
NAMES = ("plain", "wrapped", "alone", "module", "launched", "by_code", "spawned", "spawn", "start", "nothing")


def project_of(folder: Path, files: dict[str, str]) -> Project:
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return Project(str(folder), read_bytes)


def test_a_search_for_one_name_finds_what_all_commands_say_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    few, starts = project_of(tmp_path, PROJECT), project_of(tmp_path, PROJECT).once(starts_of)
    assert starts is not None
    found = {name: few.about(name, starts_naming) for name in NAMES}
    monkeypatch.setattr(started, "_FEW_NAMES", 0)
    many = project_of(tmp_path, PROJECT)
    for name, starting in found.items():
        assert starting is not None
        assert starting == many.about(name, starts_naming)
        assert starting.plain == {each for each in starts.plain if start_commands.has_name(each, name)}
        assert starting.wrapped == {each for each in starts.wrapped if start_commands.has_name(each, name)}
        file = f"{name}.py"
        assert few.about(file, starters_naming) == many.about(file, starters_naming)
    assert {name for name, each in found.items() if each is not None and each.plain} == {
        "plain", "alone", "module", "by_code",
    }  # fmt: skip
    assert {name for name, each in found.items() if each is not None and each.wrapped} == {"wrapped"}
    assert few.about("spawned.py", starters_naming) == {str(tmp_path / "src" / "spawn.py")}


@pytest.mark.parametrize("left", ["README.md", "conf/train.yaml", "run.sh", "src/start.py"])
def test_each_way_to_show_a_launcher_without_its_script_is_enough(left: str, tmp_path: Path) -> None:
    shown = {
        "README.md": "Train with DDP.\n",
        "conf/train.yaml": "distributed_type: MULTI_GPU\n",
        "run.sh": "torchrun $1\n",
        "src/start.py": "subprocess.run(['torchrun', script])\n",
    }
    assert project_of(tmp_path, {left: shown[left]}).once(may_launch_others) is True


def test_nothing_shows_a_launcher(tmp_path: Path) -> None:
    files = {
        "README.md": "Train.\n",
        "run.sh": "python a.py\n",
        "a.py": "local_rank = 0\n",
        "c.yaml": "a: 1\n",
    }
    assert project_of(tmp_path, files).once(may_launch_others) is False


def test_a_project_that_is_too_large_has_no_answers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(whole_project, "_MOST_BYTES", 10)
    project = project_of(tmp_path, PROJECT)
    assert project.about("plain", starts_naming) is None
    assert project.about("plain.py", starters_naming) is None


def test_a_few_scripts_are_searched_for_without_reading_all_commands(tmp_path: Path) -> None:
    """With `strict`, each map of a commit asks whether a launcher may start its file."""
    project_of(tmp_path, PROJECT)
    (tmp_path / ".git").mkdir()
    path = tmp_path / "src" / "plain.py"
    path.write_text(CODE.format(map="'auto'"), encoding="utf-8")
    modules, settings = Modules(), Settings(strict=True)
    task = PLAIN._replace(edits="all")
    result = lint_file(FilePlan(str(path), select(["TLP101"]), settings, task), path.read_bytes(), modules)
    assert [each.code for each in result.violations] == ["TLP101"]
    asked = {about[-1] for kind, *about in modules.questions(str(path)) if kind in ("once", "about")}
    assert {name_of(starts_naming), name_of(starters_naming)} <= asked
    assert asked.isdisjoint({name_of(starts_of), name_of(launching_of)})
