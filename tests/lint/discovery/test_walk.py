"""File discovery compared with git, and writing files without losing anything."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
from pathlib import Path
from random import Random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from telepathy_lint.discovery.config import Configs
from telepathy_lint.discovery.gitignore import Ignores
from telepathy_lint.discovery.vendored import told
from telepathy_lint.discovery.walk import Discovery
from telepathy_lint.run.atomic_write import WriteRefusedError, write_back
from telepathy_lint.run.batch import check_files
from telepathy_lint.run.options import Task
from telepathy_lint.run.selection import Selection

needs_git = pytest.mark.skipif(shutil.which("git") is None, reason="git says what is right, and is not here")


def make(root: Path, *names: str, text: str = "x = 1\n") -> None:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def found(*paths: str, force_exclude: bool = False) -> list[str]:
    return [one.path for one in Discovery(Configs(), force_exclude).find(paths)]


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_folder_gives_python_files_and_notebooks_sorted(here: Path) -> None:
    make(here, "b.py", "a/z.py", "a/n.ipynb", "a.py", "c.txt", "d.pyc", "e.pyi", "venv/x.py", "a/.git/y.py")
    assert found(".") == ["a.py", "a/n.ipynb", "a/z.py", "b.py"]
    assert found("a") == ["a/n.ipynb", "a/z.py"]
    assert found(str(here / "a")) == [str(here / "a/n.ipynb"), str(here / "a/z.py")]


def test_each_file_comes_once_however_often_it_is_named(here: Path) -> None:
    make(here, "a/b.py")
    assert found("a", "a/b.py", "./a/../a/b.py", ".") == ["a/b.py"]


def test_a_named_file_is_linted_unless_told_otherwise(here: Path) -> None:
    make(here, "build/b.py", "script")
    assert found("build/b.py", "script") == ["build/b.py", "script"]
    assert found("build/b.py", "script", force_exclude=True) == ["script"]
    assert found("build", force_exclude=True) == []


def test_what_cannot_be_read_is_a_problem_of_its_own(here: Path) -> None:
    make(here, "a.py")
    problems = {one.path: one.problem for one in Discovery(Configs()).find(["missing.py", "a.py"])}
    assert problems == {"a.py": None, "missing.py": "cannot be read: No such file or directory"}


def test_links_do_not_loop_or_double(here: Path) -> None:
    make(here, "a/b.py", "other/c.py")
    (here / "a" / "loop").symlink_to(here / "a")
    (here / "a" / "self").symlink_to("self")
    (here / "a" / "same.py").symlink_to("b.py")
    (here / "a" / "elsewhere.py").symlink_to(here / "other" / "c.py")
    (here / "a" / ".#lock.py").symlink_to("user@host.1")
    assert found("a") == ["a/b.py", "a/elsewhere.py"]
    assert found(".") == ["a/b.py", "other/c.py"]
    assert found("a/loop") == ["a/loop/b.py", "a/loop/elsewhere.py"]
    assert found("a/same.py") == ["a/same.py"]


def test_what_is_not_a_regular_file_is_passed_over(here: Path) -> None:
    os.mkfifo(here / "pipe.py")
    make(here, "folder.py/a.py")
    assert found(".") == ["folder.py/a.py"]


def test_excludes_are_names_globs_and_paths(here: Path) -> None:
    (here / "telepathy-lint.toml").write_text(
        'extend-exclude = ["old", "gen_*.py", "pkg/skip/", "./top.py", "a/**/deep"]\n'
    )
    make(
        here, "old/a.py", "x/old/a.py", "gen_1.py", "x/gen_2.py", "pkg/skip/a.py", "x/pkg/skip/a.py", "top.py"
    )
    make(here, "x/top.py")
    make(here, "a/b/deep/c.py", "keep.py", "venv/x.py")
    assert found(".") == ["keep.py", "x/pkg/skip/a.py", "x/top.py"]
    assert found("pkg/skip/a.py", "a/b/deep/c.py", force_exclude=True) == []


def test_an_exclude_with_a_slash_at_its_end_is_for_folders(here: Path) -> None:
    make(here, "out.py/a.py", "pkg/out.py", "pkg/gen/b.py", "sub/gen", "c.py", "deep/skip.py")
    (here / "telepathy-lint.toml").write_text('extend-exclude = ["out.py/", "g*/", "deep/skip.py//"]\n')
    assert found(".") == ["c.py", "deep/skip.py", "pkg/out.py"]
    named = ("out.py/a.py", "pkg/out.py", "pkg/gen/b.py", "sub/gen")
    assert found(*named, force_exclude=True) == ["pkg/out.py", "sub/gen"]
    assert found("out.py", "pkg/gen", force_exclude=True) == []


def test_a_per_file_ignore_with_a_slash_at_its_end_is_for_what_a_folder_holds(here: Path) -> None:
    load = 'from transformers import AutoModel\nm = AutoModel.from_pretrained("x", device_map="auto")\n'
    make(
        here, "tests/a.py", "pkg/tests/deep/b.py", "other/c.py", "other/tests.py/d.py", "tests.py", text=load
    )
    (here / "telepathy-lint.toml").write_text(
        'select = ["TLP101"]\n[per-file-ignores]\n"tests/" = ["TLP101"]\n"tests.py/" = ["ALL"]\n'
    )
    configs = Configs()
    results = check_files(Discovery(configs).find(["."]), Selection(configs), Task())
    assert [result.path for result in results if result.violations] == ["other/c.py", "tests.py"]


def test_excludes_below_a_folder_whose_name_looks_like_a_glob(here: Path) -> None:
    make(here, "[1]*/top.py", "[1]*/keep.py", "[1]*/a/b/x.py", "[1]*/a/c/x.py")
    (here / "[1]*" / "telepathy-lint.toml").write_text(
        'extend-exclude = ["./top.py", "./a/b", "a//c/", "/", "//"]\n'
    )
    assert found("[1]*") == ["[1]*/keep.py"]


def test_the_nearest_configuration_decides_what_is_excluded(here: Path) -> None:
    make(here, "a/x.py", "a/y.py", "x.py")
    (here / "telepathy-lint.toml").write_text('extend-exclude = ["x.py"]\n')
    (here / "a" / "telepathy-lint.toml").write_text('extend-exclude = ["y.py"]\n')
    assert found(".") == ["a/x.py"]


PATTERNS = [
    "*.py", "/top.py", "sub/", "sub", "**/deep", "deep/**", "a/**/b.py", "!a/keep.py\n", "*.py\n!keep.py", "*.py\n!a/*.py",
    "a/*\n!a/keep.py", "a/\n!a/keep.py", "[ab].py", "[!a].py", "?.py", "\\!x.py", "\\#x.py", "# top.py", "top.py ", "top.py\\ ",
    "a/b", "/a/b/", "*.PY", "a*/", "*b*", "keep", "**", "/*\n!/a", "a/**", "**/b.py", "x*.py\n!x2.py\nx2*", "deep/", "/deep",
    "*/b.py", "a/b/*.py", "dir.py/", "dir.py", "*/",
]  # fmt: skip


@needs_git
def test_gitignore_is_read_as_git_reads_it(here: Path) -> None:
    make(
        here,
        "top.py",
        "a.py",
        "b.py",
        "x1.py",
        "x2.py",
        "keep.py",
        "!x.py",
        "#x.py",
        "top.py ",
        "sub/s.py",
        "sub/deep/d.py",
    )
    make(
        here,
        "a/keep.py",
        "a/b.py",
        "a/bb/b.py",
        "a/b2/c/b.py",
        "deep/d.py",
        "deep/e/f.py",
    )
    make(here, "dir.py/g.py", "a/sub/keep.py")
    subprocess.run(["git", "init", "-q"], check=True)
    everything = sorted(str(path.relative_to(here)) for path in here.rglob("*.py*") if path.is_file())
    everything = [path for path in everything if not path.startswith(".git/")]
    wrong = {}
    for pattern in PATTERNS:
        (here / ".gitignore").write_text(pattern + "\n")
        listed = subprocess.run(
            ["git", "ls-files", "-z", "--others", "--exclude-standard"],
            capture_output=True,
            text=True,
            check=True,
        ).stdout.split("\0")
        theirs = sorted(path for path in listed if path in everything)
        ignores = Ignores()
        ours = [
            path
            for path in everything
            if not ignores.ignored(str((here / path).parent), Path(path).name, False)
            and not ignores.ignored_above(str((here / path).parent))
        ]
        if ours != theirs:
            wrong[pattern] = (sorted(set(ours) - set(theirs)), sorted(set(theirs) - set(ours)))
    assert wrong == {}


#: What patterns are made of: all that means something to git, alone and in company, and some that means nothing.
PIECES = [
    "a", "b", "ab", "x", "5", "-", ".", "é", " ", "  ", "\t", "\r", "\x0b", "#", "!", "\\", "\\ ", "\\#", "\\!", "\\a", "\\*", "\\[",
    "\\\\", "a\\", "/", "//", "*", "**", "***", "?", "a*", "*a", "*.b", "**/", "/**", "x**/", "a**", "**b", "a/**/b", "**\\/",
    "[ab]", "[!a]", "[^a]", "[a-b]", "[b-a]", "[a-]", "[]a]", "[!]a]", "[]-a]", "[\\]]", "[\\]", "[a", "[", "[/]", "[!/]", "[ -~]",
    "[[:digit:]a]", "[![:space:]]", "[[:punct:]]", "[[:alpha:]]", "[[:none:]]", "[[:]", "[[:a]",
]  # fmt: skip
NAMES = [
    "a", "b", "ab", "aab", "x", "xa", "5", "-", ".a", ".b", "a.b", "é", "aé", "#", "#a", "a#", "!", "!a", " ", "a ", "b ", "a b",
    "a\t", "\\", "\\a", "a\\", "*", "?", "[", "[a", "]",
]  # fmt: skip


@pytest.fixture(scope="module")
def named_oddly(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository with each odd name at the top and in folders with odd names."""
    top = tmp_path_factory.mktemp("oddly")
    subprocess.run(["git", "init", "-q", str(top)], check=True)
    random = Random(1)
    folders = [top, *(top.joinpath(*random.choices(NAMES, k=random.randint(1, 3))) for _ in range(20))]
    for folder in folders:
        folder.mkdir(parents=True, exist_ok=True)
    for folder in folders:
        for name in random.sample(NAMES, 12):
            if not (folder / name).exists():
                (folder / name).touch()
    return top


@pytest.mark.slow
@needs_git
@settings(
    max_examples=250, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)
@given(lines=st.lists(st.lists(st.sampled_from(PIECES), max_size=4).map("".join), min_size=1, max_size=3))
def test_patterns_of_any_shape_are_read_as_git_reads_them(named_oddly: Path, lines: list[str]) -> None:
    (named_oddly / ".gitignore").write_bytes("\n".join(lines).encode())
    paths = [path for path in sorted(named_oddly.rglob("*")) if ".git" not in path.parts]
    shown = {str(path.relative_to(named_oddly)): path for path in paths if path.name != ".gitignore"}
    asked = subprocess.run(
        ["git", "check-ignore", "-z", "--no-index", "--stdin"],
        cwd=named_oddly,
        input="\0".join(shown).encode(),
        capture_output=True,
    )
    assert asked.returncode in (0, 1), asked.stderr
    ignores = Ignores()
    ours = {
        name
        for name, path in shown.items()
        if ignores.ignored(str(path.parent), path.name, path.is_dir())
        or ignores.ignored_above(str(path.parent))
    }
    assert ours == set(asked.stdout.decode().split("\0")) - {""}


def test_an_ignore_file_with_a_byte_order_mark(here: Path) -> None:
    make(here, "a.py", "b.py")
    (here / ".git").mkdir()
    (here / ".gitignore").write_bytes(b"\xef\xbb\xbfa.py\r\n")
    assert found(".") == ["b.py"]


def test_ignore_files_of_inner_folders_and_of_the_repository(here: Path) -> None:
    make(here, "repo/.git/info/exclude", text="private.py\n")
    make(here, "repo/.gitignore", text="*.py\n!keep*.py\n")
    make(here, "repo/a/.gitignore", text="!again.py\nkeep2.py\n")
    make(
        here,
        "repo/a/x.py",
        "repo/a/again.py",
        "repo/a/keep1.py",
        "repo/a/keep2.py",
        "repo/private.py",
        "out/x.py",
    )
    make(here, "out/.gitignore", text="*.py\n")
    assert found(".") == ["out/x.py", "repo/a/again.py", "repo/a/keep1.py"]
    make(here, "repo/telepathy-lint.toml", text="respect-gitignore = false\n")
    assert "repo/a/x.py" in found("repo")


def test_writing_keeps_mode_and_replaces_in_one_step(here: Path) -> None:
    make(here, "a.py")
    (here / "a.py").chmod(0o751)
    before = (here / "a.py").stat()
    write_back("a.py", b"y = 2\n", b"x = 1\n")
    after = (here / "a.py").stat()
    assert (here / "a.py").read_bytes() == b"y = 2\n"
    assert stat.S_IMODE(after.st_mode) == 0o751
    assert (after.st_uid, after.st_gid) == (before.st_uid, before.st_gid)
    assert after.st_ino != before.st_ino
    assert os.listdir(here) == ["a.py"]


def test_writing_goes_through_symbolic_links(here: Path) -> None:
    make(here, "target.py")
    (here / "link.py").symlink_to("target.py")
    write_back("link.py", b"y = 2\n", b"x = 1\n")
    assert (here / "link.py").is_symlink()
    assert (here / "target.py").read_bytes() == b"y = 2\n"


def test_writing_keeps_hard_links_together(here: Path) -> None:
    make(here, "one.py", text="x = 1  # long\n")
    os.link("one.py", "two.py")
    write_back("one.py", b"y\n", b"x = 1  # long\n")
    assert (here / "two.py").read_bytes() == b"y\n"
    assert (here / "one.py").stat().st_ino == (here / "two.py").stat().st_ino


def test_extended_attributes_stay(here: Path) -> None:
    make(here, "a.py")
    try:
        os.setxattr("a.py", "user.note", b"kept")
    except (OSError, AttributeError):
        pytest.skip("no extended attributes here")
    write_back("a.py", b"y\n", b"x = 1\n")
    assert os.getxattr("a.py", "user.note") == b"kept"


def test_a_file_changed_meanwhile_is_left_alone(here: Path) -> None:
    make(here, "a.py", text="changed\n")
    with pytest.raises(WriteRefusedError, match="changed by another program"):
        write_back("a.py", b"y\n", b"x = 1\n")
    assert (here / "a.py").read_text() == "changed\n"


def test_a_file_that_vanished_is_refused(here: Path) -> None:
    with pytest.raises(WriteRefusedError, match="No such file"):
        write_back("a.py", b"y\n", b"x = 1\n")


def test_a_write_that_fails_leaves_the_old_file_whole(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make(here, "a.py")

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(WriteRefusedError, match="No space left"):
        write_back("a.py", b"y\n", b"x = 1\n")
    assert (here / "a.py").read_text() == "x = 1\n"
    assert os.listdir(here) == ["a.py"]


def test_where_no_file_can_be_made_beside_it_the_old_one_is_written(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make(here, "a.py", text="x = 1  # long\n")
    inode = (here / "a.py").stat().st_ino

    def denied(*_: object, **__: object) -> int:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "open", denied)
    write_back("a.py", b"y\n", b"x = 1  # long\n")
    assert (here / "a.py").read_bytes() == b"y\n"
    assert (here / "a.py").stat().st_ino == inode


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everything")
def test_a_read_only_file_is_refused(here: Path) -> None:
    make(here, "a.py")
    (here / "a.py").chmod(0o444)
    with pytest.raises(WriteRefusedError, match="not writable"):
        write_back("a.py", b"y\n", b"x = 1\n")


# ---- copies of libraries

_DECLARED = 'from setuptools import setup\nsetup(\n    name="transformers",  # expected\n)\n'


def copy(root: Path, at: str, library: str = "transformers", inside: str = "models") -> None:
    make(root, f"{at}/{library}/__init__.py", f"{at}/{library}/{inside}/x.py")


def without(
    *paths: str, configs: Configs | None = None, force: bool = False
) -> tuple[list[str], dict[str, str]]:
    discovery = Discovery(configs or Configs(), force)
    return [one.path for one in discovery.find(paths)], discovery.copies


def test_a_copy_of_a_library_is_left_out_and_named(here: Path) -> None:
    make(here, "a.py", "third_party/mine.py", "third_party/transformers-4.28.1/examples/run.py")
    make(
        here, "third_party/Bridge/src/run.py", "third_party/Bridge/pyproject.toml", "third_party/loose/run.py"
    )
    copy(here, "third_party/transformers-4.28.1/src")
    copy(here, "lib", "peft", "tuners")
    copy(here, ".", "trl", "trainer")
    assert without(".") == (
        ["a.py", "third_party/loose/run.py", "third_party/mine.py"],
        {
            "third_party/transformers-4.28.1": "transformers",
            "third_party/Bridge": "Bridge",
            "lib/peft": "peft",
            "trl": "trl",
        },
    )
    found, copies = without(".", configs=Configs({"include-vendored": True}))
    assert (len(found), copies) == (11, {})


def test_another_project_is_linted_and_named(here: Path) -> None:
    make(
        here,
        "external/bench/README.md",
        "external/bench/run.py",
        "external/loose/run.py",
        "externality/x/README.md",
    )
    make(here, "submodules/old/setup.py", "extern.py")
    discovery = Discovery(Configs())
    assert len(discovery.find(["."])) == 4
    assert sorted(discovery.others) == ["external/bench", "submodules/old"]
    note = "left out what is found in other projects: external/bench, submodules/old; --strict reports it"
    assert told({}, discovery.others) == f"telepathy-lint: {note}"


def test_the_archive_of_another_repository_is_named(here: Path) -> None:
    """GitHub unpacks to `name-main`; where nothing stands around it, it is the project itself."""
    make(here, "bench-main/README.md", "bench-main/run.py", "loose-main/run.py")
    discovery = Discovery(Configs())
    assert len(discovery.find(["."])) == 2
    assert discovery.others == []
    make(here, "README.md")
    discovery = Discovery(Configs())
    discovery.find(["."])
    assert discovery.others == ["bench-main"]


def test_the_repository_around_a_package_goes_with_it_where_it_is_the_librarys_own(here: Path) -> None:
    make(here, "fork/train.py", "mine/train.py")
    make(here, "fork/setup.py", text=_DECLARED)
    copy(here, "fork/src")
    copy(here, "mine/src")
    assert without(".") == (
        ["mine/train.py"], {"fork": "transformers", "mine/src/transformers": "transformers"}
    )  # fmt: skip


def test_the_library_itself_is_looked_at_where_it_is_the_project(here: Path) -> None:
    make(here, "setup.py", text=_DECLARED)
    copy(here, "src")
    everything = ["setup.py", "src/transformers/__init__.py", "src/transformers/models/x.py"]
    assert without(".") == (everything, {})
    assert without("src") == (everything[1:], {})
    assert without("src/transformers") == (everything[1:], {})


def test_folders_that_only_share_the_name_are_no_copies(here: Path) -> None:
    make(here, "transformers/__init__.py", "transformers/vit.py", "trl/trainer/x.py", "src/peft/a.py")
    found, copies = without(".")
    assert (len(found), copies) == (4, {})


def test_a_named_file_of_a_copy_is_linted_unless_excludes_are_forced(here: Path) -> None:
    copy(here, "lib")
    make(here, "lib/b.py")
    named = ["lib/b.py", "lib/transformers/models/x.py"]
    assert without(*named) == (named, {})
    assert without(*named, force=True)[0] == ["lib/b.py"]
