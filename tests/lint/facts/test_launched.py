"""Whether a launcher starts a file is asked by itself: a finding of TLP101 alone does not search a project for all its commands."""

from __future__ import annotations

from pathlib import Path

from telepathy_lint.facts.launched import launches_naming, launches_of
from telepathy_lint.facts.started import launching_of, starts_of
from telepathy_lint.flow.project import Modules
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
