"""What a file asks of its project is noted, and a later run that asks again notices every edit that changes an answer."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from telepathy_lint.facts.generating import generating
from telepathy_lint.facts.launched import launches_naming
from telepathy_lint.facts.started import starts_of
from telepathy_lint.flow.project import Modules
from telepathy_lint.flow.questions import EVERYTHING, as_text, function, name_of
from telepathy_lint.flow.whole_project import Project
from telepathy_lint.source.text import Source


def write(folder: Path, name: str, text: str) -> str:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return str(path)


def project_of(modules: Modules, path: str) -> Project:
    project = modules.project(path)
    assert project is not None
    return project


def beside(folder: Path) -> str:
    return str(folder / "use.py")


#: What is asked for `run.py`, and a file with two contents that are answered differently.
ASKED: dict[str, tuple[Callable[[Modules, str, Path], object], str, str, str]] = {
    "importers": (lambda m, path, _: m.importers(path), "use.py", "import run\n", "import sys\n"),
    "connected": (lambda m, path, _: m.connected(path), "use.py", "import run\n", "import sys\n"),
    "is_alone": (lambda m, path, _: m.is_alone(path), "use.py", "x = 1\n", ""),
    "mentions": (lambda m, path, _: m.mentions(path, b"gpt2"), "use.py", "x = 'gpt2'\n", "x = 1\n"),
    "told": (
        lambda m, _, folder: m.told(beside(folder), generating),
        "use.py",
        "model.generate(ids)\n",
        "model.generate(ids, do_sample=False)\n",
    ),
    "once": (
        lambda m, path, _: project_of(m, path).once(starts_of),
        "README.md",
        "```\npython run.py\n```\n",
        "```\ntorchrun run.py\n```\n",
    ),
    "about": (
        lambda m, path, _: project_of(m, path).about("run", launches_naming),
        "README.md",
        "```\npython run.py\n```\n",
        "```\ntorchrun run.py\n```\n",
    ),
    "is_only": (lambda m, path, _: project_of(m, path).is_only(path), "use.py", "x = 1\n", ""),
    "is_told_of": (lambda m, path, _: project_of(m, path).is_told_of, "README.md", "# A\n", ""),
    "holds": (
        lambda m, path, folder: project_of(m, path).holds(str(folder / "setup.py")),
        "setup.py",
        "x\n",
        "",
    ),
    "mentions_beside": (
        lambda m, path, _: project_of(m, path).mentions_beside(path, b"load"),
        "use.py",
        "load()\n",
        "pass\n",
    ),
    "content": (
        lambda m, _, folder: project_of(m, str(folder / "run.py")).content(beside(folder)),
        "use.py",
        "a",
        "b",
    ),
}


@pytest.mark.parametrize("kind", ASKED)
def test_a_changed_answer_is_noticed(tmp_path: Path, kind: str) -> None:
    ask, name, one, other = ASKED[kind]
    write(tmp_path, ".git/HEAD", "")
    path = write(tmp_path, "run.py", "def load():\n    pass\n")
    answers = []
    for text in (one, other):
        if text:
            write(tmp_path, name, text)
        else:
            (tmp_path / name).unlink()
        modules = Modules()
        modules.tree_of(Source(path, Path(path).read_bytes()))
        ask(modules, path, tmp_path)
        asked = {question[0]: question for question in modules.questions(path)}
        assert kind in asked
        answers.append(Modules().answer(str(tmp_path), asked[kind]))
        assert answers[-1] == modules.answer(str(tmp_path), asked[kind])
    assert answers[0] != answers[1]


def test_files_that_are_read_are_noted(tmp_path: Path) -> None:
    write(tmp_path, ".git/HEAD", "")
    path, other = write(tmp_path, "run.py", "x = 1\n"), write(tmp_path, "use.py", "import run\nimport deep\n")
    deep = write(tmp_path, "deep.py", "y = 2\n")
    modules = Modules()
    modules.tree_of(Source(path, b"x = 1\n"))
    modules.text(other)
    modules.imported("deep.y", other)
    assert list(modules.files_read(path)) == [other]
    assert (other, "deep", deep) in modules.asked(path)  # what the file that was read imports counts too


def test_a_question_of_its_own_depends_on_everything(tmp_path: Path) -> None:
    write(tmp_path, ".git/HEAD", "")
    path = write(tmp_path, "run.py", "x = 1\n")
    modules = Modules()
    modules.tree_of(Source(path, b"x = 1\n"))
    assert list(project_of(modules, path).python()) == [(path, b"x = 1\n")]
    assert EVERYTHING in modules.questions(path)


def test_the_next_file_inherits_what_a_module_learned(tmp_path: Path) -> None:
    """A module that is imported keeps its facts, so a file depends on what was asked for them earlier."""
    write(tmp_path, ".git/HEAD", "")
    common = write(tmp_path, "common.py", "x = 1\n")
    one, two = write(tmp_path, "one.py", "import common\n"), write(tmp_path, "two.py", "import common\n")
    modules = Modules()
    for path in (one, two):
        modules.tree_of(Source(path, b"import common\n"))
        modules.imported("common.x", path)
        if path == one:
            modules.importers(common)
    assert EVERYTHING in modules.questions(two)


def test_answers_are_equal_texts_in_any_process() -> None:
    assert as_text({"b": frozenset({2, 1}), "a": (None, b"x")}) == as_text(
        {"a": (None, b"x"), "b": frozenset({1, 2})}
    )
    assert as_text((1, 2)) != as_text((2, 1)) and as_text("1") != as_text(1)
    with pytest.raises(TypeError, match="not plain data: object"):
        as_text(object())


@pytest.mark.parametrize(
    "name",
    [
        "os:getcwd",
        "telepathy_lint.cache.place:remove",
        "telepathy_lint.facts.started:os",
        "telepathy_lint.facts.none:x",
        "x",
        "",
    ],
)
def test_a_forged_name_is_refused(name: str) -> None:
    with pytest.raises(ValueError):
        function(name)


def test_a_function_is_found_by_its_name() -> None:
    assert function(name_of(generating)) is generating


def test_a_question_that_the_cache_could_not_ask_again_is_refused_at_once() -> None:
    from telepathy_lint.flow.questions import name_of

    def ask(project: object) -> bool:
        return project is None

    with pytest.raises(AssertionError, match="the cache cannot ask"):
        name_of(ask)
