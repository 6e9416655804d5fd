"""An old Python keeps transformers at an old release."""

from __future__ import annotations

from pathlib import Path

import pytest

from telepathy_lint.discovery.python_bounds import newest_python
from telepathy_lint.discovery.requirements import declared_in
from telepathy_lint.settings import Settings

FILES = {
    ("environment.yml", "dependencies:\n  - python=3.9\n"): (3, 9),
    ("environment.yml", "  - python=3.8.18=h955ad1f_0\n"): (3, 8),
    ("environment.yml", "  - conda-forge::python>=3.8,<3.10\n"): (3, 9),
    ("environment.yml", "  - python=3\n"): None,
    ("environment.yml", "  - python>=3.8\n"): None,
    ("environment.yml", "  - python\n  - python-dotenv=3.9\n"): None,
    ("pyproject.toml", '[project]\nrequires-python = ">=3.8,<3.11"\n'): (3, 10),
    ("pyproject.toml", '[project]\nrequires-python = ">=3.8"\n'): None,
    ("pyproject.toml", '[tool.poetry.dependencies]\npython = "~3.9"\n'): (3, 9),
    ("pyproject.toml", '[tool.poetry.dependencies]\npython = "^3.9"\n'): (3, 999),
    ("pyproject.toml", '[tool.poetry.dependencies]\npython = "3.9.*"\n'): (3, 9),
    ("pyproject.toml", '[tool.mypy]\npython_version = "3.8"\n'): None,
    ("setup.py", "setup(python_requires='>=3.7,<3.9')"): (3, 8),
    ("setup.cfg", "python_requires = >=3.7\n"): None,
    ("requirements.txt", "python==3.8\n"): None,
    (".python-version", "3.9.7\n"): (3, 9),
    ("runtime.txt", "python-3.8.16\n"): (3, 8),
    (".python-version", "3.8.10\n3.11.4\n"): (3, 11),
    (".python-version", "pypy3.9-7.3.9\n"): None,
    (".python-version", f"3.{'9' * 5000}\n"): None,
    ("requirements-runtime.txt", "3.8\n"): None,
    ("environment.yml", "  - python=3.8|3.9\n"): None,
    ("environment.yml", "  - python  # 3.8\n"): None,
    ("environment.yml", '  - "python=3.9"\n'): (3, 9),
    ("setup.py", "# python_requires='<3.9'\n"): None,
    ("setup.py", "setup(name='a', python_requires='<3.9')\n"): (3, 8),
    ("pyproject.toml", '[tool.hatch.envs.docs]\npython = "3.8"\n'): None,
    ("pyproject.toml", '[tool.pixi.feature.old.dependencies]\npython = "3.8.*"\n'): (3, 8),
}
INSTRUCTIONS = {
    "conda create -n acme python=3.9 -y": (3, 9),
    "mamba create --name acme -c conda-forge python==3.8.10 pip": (3, 8),
    "FROM python:3.9-slim\nRUN pip install transformers": (3, 9),
    "uv venv --python 3.10": (3, 10),
    "virtualenv -p python3.8 env": (3, 8),
    "python3.9 -m venv env": (3, 9),
    "pyenv install 3.8.20\npyenv local 3.10": (3, 10),
    "Needs Python 3.8+ and conda": None,
    "conda create -n acme python\nRun it with Python 3.9": None,
    "FROM nvidia/cuda:12.1-python3.9": None,
    "FROM python:3.9 AS docs\nRUN make\nFROM nvidia/cuda:12.1": None,
    "FROM node:18 AS page\nFROM --platform=linux/amd64 python:3.9-slim as base\nFROM base": (3, 9),
    f"conda create -n acme python=3.{'9' * 5000}": None,
}


@pytest.mark.parametrize(("path", "text"), FILES)
def test_files_that_name_a_python(path: str, text: str) -> None:
    assert newest_python([(f"/x/{path}", text)], ()) == FILES[path, text]


@pytest.mark.parametrize("text", INSTRUCTIONS)
def test_commands_that_make_an_environment(text: str) -> None:
    assert newest_python((), [text]) == INSTRUCTIONS[text]


def test_the_newest_of_several_counts() -> None:
    assert newest_python([("a/environment.yml", "- python=3.8\n")], ["conda create -n a python=3.10"]) == (
        3,
        10,
    )


@pytest.mark.parametrize(
    "other",
    [
        ("/x/pyproject.toml", '[project]\nrequires-python = ">=3.10"\n'),
        ("/x/environment-new.yml", "  - python\n"),
        ("/x/environment-new.yml", "  - python>=3.8\n"),
    ],
)
def test_an_environment_of_something_else_says_nothing(other: tuple[str, str]) -> None:
    old = ("/x/environment.yml", "  - python=3.8\n")
    assert newest_python([old], ["conda create -n old python=3.9"]) == (3, 9)
    assert newest_python([old, other], ["conda create -n old python=3.9"]) is None


def test_a_library_that_takes_an_old_python_may_have_a_newer_environment() -> None:
    library = ("/x/pyproject.toml", '[project]\nrequires-python = ">=3.8"\n')
    assert newest_python([library], ["conda create -n acme python=3.9"]) == (3, 9)


@pytest.mark.parametrize(
    ("python", "listed", "newest", "before_5"),
    [
        ("3.8", "transformers>=4.40", (4, 46), True),
        ("3.9", "transformers", (4, 57), True),
        ("3.9", "transformers==4.40.1", (4, 40), True),
        ("3.9", "transformers>=5.1", None, False),
        ("3.10", "transformers", (5, 20), False),
        ("3.10", "transformers>=4.40", (5, 20), False),
        ("3.11", "transformers>=4.40", None, False),
    ],
)
def test_the_newest_transformers_on_a_python(
    python: str, listed: str, newest: tuple[int, int] | None, before_5: bool, tmp_path: Path
) -> None:
    (tmp_path / "requirements.txt").write_text(f"{listed}\n")
    (tmp_path / "README.md").write_text(f"```\nconda create -n acme python={python}\n```\n")
    declared = declared_in(str(tmp_path))
    target = declared.settled
    settings = declared.within(Settings(target_transformers=target.specifier if target is not None else None))
    assert (settings.newest, settings.is_before_5) == (newest, before_5)
