"""Requirement files of every form: what a move to transformers 5 makes of them, and what stays as it is."""

from __future__ import annotations

from pathlib import Path

import pytest

from telepathy_lint.commands.requirement_bounds import bounds_in, moved, write_bounds

#: File name, its text before and after `--to 5.0`.
FILES = {
    "pip": (
        "requirements.txt",
        "# transformers==4.1\ntransformers [torch] >= 4.40 , < 5   # note\nTransformers==4.46; python_version < '3.12'\n"
        "sentence-transformers==2.2\ntransformers>4.40,\ntransformers(>=4.40)\ntransformers",
        "# transformers==4.1\ntransformers [torch] >=5.0   # note\nTransformers>=5.0; python_version < '3.12'\n"
        "sentence-transformers==2.2\ntransformers>=5.0,\ntransformers(>=5.0)\ntransformers>=5.0",
    ),
    "windows": (
        "requirements.txt",
        "\ufefftransformers==4.46\r\ntorch\r\n",
        "\ufefftransformers>=5.0\r\ntorch\r\n",
    ),
    "conda": (
        "environment.yml",
        "dependencies:\n  - conda-forge::transformers=4.46\n  - transformers=4.46.3=py310_0\n  - pip:\n    - 'transformers<5'\n",
        "dependencies:\n  - conda-forge::transformers>=5.0\n  - transformers>=5.0\n  - pip:\n    - 'transformers>=5.0'\n",
    ),
    "poetry": (
        "pyproject.toml",
        '[tool.poetry.dependencies]\ntransformers = "^4.40" # caret\n[tool.poetry.group.dev.dependencies]\n'
        'transformers = {version = "^4.40", extras = ["torch"]}\n[tool.other]\ntransformers = "^4.40"\n',
        '[tool.poetry.dependencies]\ntransformers = ">=5.0" # caret\n[tool.poetry.group.dev.dependencies]\n'
        'transformers = {version = ">=5.0", extras = ["torch"]}\n[tool.other]\ntransformers = "^4.40"\n',
    ),
    "names that are no requirements": (
        "pyproject.toml",
        '[project]\nname = "transformers"\nkeywords = ["transformers"]\ndependencies = [\n  "transformers; os_name == \'nt\'",\n]\n'
        "[project.optional-dependencies]\ntransformers = ['transformers<5']\n[tool.mypy]\nmodule = [\"transformers\"]\n",
        '[project]\nname = "transformers"\nkeywords = ["transformers"]\ndependencies = [\n  "transformers>=5.0; os_name == \'nt\'",\n]\n'
        "[project.optional-dependencies]\ntransformers = ['transformers>=5.0']\n[tool.mypy]\nmodule = [\"transformers\"]\n",
    ),
    "setup.cfg": (
        "setup.cfg",
        "[options]\ninstall_requires =\n    torch\n    transformers<5\nkeywords =\n    transformers\n",
        "[options]\ninstall_requires =\n    torch\n    transformers>=5.0\nkeywords =\n    transformers\n",
    ),
    "setup.py": (
        "setup.py",
        'NAME = "transformers"\ndeps = ["é", "transformers<5", "transformers"]\n'
        'setup(name="transformers-x", install_requires=deps, extras_require={"transformers": ["x"]}, keywords=["transformers"])\n',
        'NAME = "transformers"\ndeps = ["é", "transformers>=5.0", "transformers>=5.0"]\n'
        'setup(name="transformers-x", install_requires=deps, extras_require={"transformers": ["x"]}, keywords=["transformers"])\n',
    ),
}


@pytest.mark.parametrize("name", FILES)
def test_a_file_is_changed_where_it_requires_and_nowhere_else(name: str, tmp_path: Path) -> None:
    file, before, after = FILES[name]
    (tmp_path / file).write_bytes(before.encode())
    write_bounds(list(bounds_in(str(tmp_path), "5.0")))
    assert (tmp_path / file).read_bytes().decode() == after
    assert not list(bounds_in(str(tmp_path), "5.0"))


def test_included_files_and_constraints_are_changed_as_well(tmp_path: Path) -> None:
    (tmp_path / "requirements.txt").write_text("-r more/base.txt\n-c pins.txt\n-r nowhere.txt\n")
    (tmp_path / "more").mkdir()
    for name in ("more/base.txt", "pins.txt"):
        (tmp_path / name).write_text("transformers==4.46\n-r ../requirements.txt\n")
    write_bounds(list(bounds_in(str(tmp_path), "5.0")))
    for name in ("more/base.txt", "pins.txt"):
        assert (tmp_path / name).read_text().startswith("transformers>=5.0\n")


def test_sources_and_hashes_are_left_to_people(tmp_path: Path) -> None:
    text = "transformers==4.46 \\\n    --hash=sha256:aa\ntransformers @ git+https://x/y\ngit+https://x/transformers.git@v4.46.0\n"
    (tmp_path / "requirements.txt").write_text(text)
    found = list(bounds_in(str(tmp_path), "5.0"))
    assert [(each.line, each.new) for each in found] == [(1, ""), (3, ""), (4, "")]
    write_bounds(found)
    assert (tmp_path / "requirements.txt").read_text() == text


def test_a_file_in_another_encoding_keeps_it(tmp_path: Path) -> None:
    path = tmp_path / "requirements.txt"
    path.write_bytes(b"# tr\xe9s\ntransformers<5\n")
    write_bounds(list(bounds_in(str(tmp_path), "5.0")))
    assert path.read_bytes() == b"# tr\xe9s\ntransformers>=5.0\n"


@pytest.mark.parametrize(
    ("old", "to", "new"),
    [
        (">=4.46,<6", "5.0", ">=5.0,<6"),
        ("<6", "5", ">=5,<6"),
        ("!=5.3,>=4", "5.2", ">=5.2,!=5.3"),
        ("==5.10.0", "5.2.1", "==5.10.0"),
        ("==5.1", "5.2.1", ">=5.2.1"),
        (">=5", "5.0", ">=5"),
        ("~=5.0", "5", "~=5.0"),
        ("<=4.57", "5.0", ">=5.0"),
        (">=4.46", ">=4.50, <6", ">=4.50,<6"),
        ("", "5.0", ">=5.0"),
    ],
)
def test_bounds(old: str, to: str, new: str) -> None:
    assert moved(old, to) == new
