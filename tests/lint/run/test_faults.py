"""Everything that can go wrong in a run: killed while writing, no space, no permission, concurrent changes."""

from __future__ import annotations

import os
import resource
import shutil
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

from telepathy_lint.commands import cli
from telepathy_lint.run import atomic_write as writing
from telepathy_lint.run import lint_file
from tests.sampling import only

ROOT = Path(__file__).parents[3]
LOAD = 'from transformers import AutoModel\nm = AutoModel.from_pretrained("gpt2", device_map="auto", torch_dtype=1)\n'
FIX = ("check", "--select", "TLP101", "--fix", "--unsafe-fixes", "--output-format", "concise", "--no-cache")


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write(name: str, text: str = LOAD) -> Path:
    path = Path(name)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def fixed(text: str = LOAD) -> str:
    """The fixed text of a file."""
    path = write("aside/to_be_fixed.py", text)
    assert quietly(FIX, "aside") in (0, 1)
    after = path.read_text()
    assert after != text
    shutil.rmtree("aside")
    return after


def quietly(arguments: tuple[str, ...], *more: str) -> int:
    """Run in a separate process; returns its exit code, or minus the signal that ended it."""
    return waited(child(lambda: cli.run([*arguments, *more])))


def child(work: Callable[[], int]) -> int:
    """Fork, which is faster than starting Python; returns the process id."""
    pid = os.fork()
    if not pid:
        code = 99
        try:
            nothing = os.open(os.devnull, os.O_WRONLY)
            for descriptor in (1, 2):
                os.dup2(nothing, descriptor)
            code = work()
        finally:
            os._exit(code)
    return pid


def waited(pid: int) -> int:
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def unprivileged() -> list[str]:
    """A command prefix with which file permissions apply even to root."""
    if os.geteuid() != 0:
        return []
    command = ["setpriv", "--bounding-set", "-dac_override,-dac_read_search"]
    if shutil.which("setpriv") is None or subprocess.run([*command, "true"], capture_output=True).returncode:
        pytest.skip("root may do everything here, and cannot be kept from it")
    return command


def run(*arguments: str, before: tuple[str, ...] = (), **options: Any) -> subprocess.CompletedProcess[str]:
    command = [*before, sys.executable, "-m", "telepathy_lint", *arguments]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run(command, capture_output=True, text=True, env=environment, **options)


# ---- killed while writing


def at_step(step: int, sent: signal.Signals, work: Callable[[], Any]) -> int:
    """Run `work`; this process gets a signal at the `step`th line of the code that writes files."""
    seen = 0
    original = writing.write_back

    def trace(frame: FrameType, event: str, _: Any) -> Any:
        nonlocal seen
        if frame.f_code.co_filename != writing.__file__:
            return None
        seen += event == "line"
        if event == "line" and seen == step:
            os.kill(os.getpid(), sent)
        return trace

    def write_back(path: str, data: bytes, expected: bytes) -> None:
        sys.settrace(trace)
        try:
            original(path, data, expected)
        finally:
            sys.settrace(None)

    writing.write_back = write_back
    return int(work() or 0)


def killed(step: int, work: Callable[[], Any]) -> int:
    """Run work that is killed at a step, in a separate process; returns its exit code."""
    code = waited(child(lambda: at_step(step, signal.SIGKILL, work)))
    assert code in (0, 1, -signal.SIGKILL)
    return code


def stopped(step: int, work: Callable[[], Any]) -> int:
    """Start work that stops at a step until it is continued; returns the process id."""
    return child(lambda: at_step(step, signal.SIGSTOP, work))


@pytest.mark.parametrize("linked", only((False,), [False, True]), ids=["replaced", "in place"])
@pytest.mark.parametrize(
    ("old", "new"), [("short\n", "a long line\n" * 99), ("a long line\n" * 99, "short\n")]
)
def test_killed_at_any_step_of_writing_no_content_is_lost(old: str, new: str, linked: bool) -> None:
    for step in range(1, 1000):
        path = write("one.py", old)
        path.chmod(0o640)
        if linked and step == 1:
            os.link("one.py", "two.py")
        code = killed(step, lambda: writing.write_back("one.py", new.encode(), old.encode()))
        copies = list(Path().glob(".telepathy-lint-*.old"))
        if path.read_text() not in (old, new):
            # A file with other names cannot be replaced: what was in it lies next to it.
            assert linked and [copy.read_text() for copy in copies] == [old]
        assert stat.S_IMODE(path.stat().st_mode) == 0o640
        if code >= 0:
            break
        writing.remove_leftovers(["one.py"])
        assert sorted(Path().glob(".telepathy-lint-*")) == sorted(
            copies
        )  # of the new content nothing is left
        for copy in copies:
            copy.unlink()
    assert 15 < step < 999
    assert path.read_text() == new
    assert sorted(os.listdir()) == ["one.py", *["two.py"] * linked]
    assert not linked or Path("two.py").read_text() == new


def test_after_a_killed_run_the_next_one_fixes_the_rest() -> None:
    before = {"folder/a.py": LOAD, "linked.py": LOAD.replace("gpt2", "gpt2-xl"), "z.py": LOAD}
    after = {name: fixed(text) for name, text in before.items()}
    states = set()
    for step in (1, 12, 24, 36, 48, 60, 72, 84, 96, 108):
        shutil.rmtree("tree", ignore_errors=True)
        for name, text in before.items():
            write(f"tree/{name}", text)
        os.link("tree/linked.py", "tree/other name")
        assert killed(step, lambda: cli.run([*FIX, "tree"])) < 0
        contents = {name: Path("tree", name).read_text() for name in before}
        assert all(text in (before[name], after[name]) for name, text in contents.items())
        states.add(sum(contents[name] == after[name] for name in before))
        assert quietly(FIX, "tree") == 0
        assert {name: Path("tree", name).read_text() for name in before} == after
        assert Path("tree/other name").samefile("tree/linked.py")
    assert states >= {0, 1, 2}


def test_what_a_killed_run_left_is_not_taken_for_code() -> None:
    write(".telepathy-lint-0123456789ab.tmp")
    write(".telepathy-lint-0123456789ab.old")
    assert run("check", "--show-files", ".").stdout == ""


def test_what_a_killed_run_left_goes_when_the_next_one_writes_there() -> None:
    for name in ("a.py", "folder/b.py", "other/c.py"):
        write(name, "x = 1\n" if name.startswith("other") else LOAD)
        write(f"{os.path.dirname(name) or '.'}/.telepathy-lint-0123456789ab.tmp")
    kept = [
        write(".telepathy-lint-0123456789ab.old"),
        write(".telepathy-lint-notes.tmp"),
        write("other/.telepathy-lint-0123456789ab.tmp"),  # nothing is written there
        write("theirs.tmp"),
    ]
    os.mkfifo(".telepathy-lint-0123456789ff.tmp")
    os.symlink("theirs.tmp", ".telepathy-lint-0123456789fe.tmp")
    assert quietly((*FIX, "--diff"), ".") == 1
    assert Path(".telepathy-lint-0123456789ab.tmp").exists()  # a run that writes nothing removes nothing
    assert quietly(FIX, ".") == 0
    assert Path("a.py").read_text() == fixed()
    assert all(path.exists() for path in kept)
    assert sorted(name for name in os.listdir() if name.endswith("tmp")) == [
        ".telepathy-lint-0123456789fe.tmp", ".telepathy-lint-0123456789ff.tmp",
        ".telepathy-lint-notes.tmp", "theirs.tmp",
    ]  # fmt: skip
    assert os.listdir("folder") == ["b.py"]


def test_what_a_living_run_writes_is_left_to_it() -> None:
    """A run is stopped at each step of writing while another one cleans up; then it continues normally."""
    for step in range(1, 1000):
        write("one.py", "old\n")
        pid = stopped(step, lambda: writing.write_back("one.py", b"new\n", b"old\n"))
        ended = os.WIFEXITED(os.waitpid(pid, os.WUNTRACED)[1])
        if not ended:
            writing.remove_leftovers(["one.py"])
            os.kill(pid, signal.SIGCONT)
            assert waited(pid) == 0
        assert Path("one.py").read_text() == "new\n"
        assert os.listdir() == ["one.py"]
        if ended:
            break
    assert 15 < step < 999


# ---- no room


@pytest.fixture
def small_disk(here: Path) -> Iterator[Path]:
    disk = here / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(disk)]
    if shutil.which("mount") is None or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("no file system may be mounted here")
    yield disk
    subprocess.run(["umount", "-l", str(disk)], check=True)


def test_on_a_full_disk_files_stay_as_they_are(small_disk: Path) -> None:
    text = LOAD.replace('"auto"', '"cuda:0"') + "# ballast\n" * 300
    write("disk/a.py", text)
    write("disk/b.py", text)
    os.link("disk/b.py", "disk/b too")
    with open("disk/ballast", "wb", buffering=0) as ballast, pytest.raises(OSError, match="No space left"):
        while True:
            ballast.write(b"x" * 1024)
    ran = run(*FIX, "disk")
    assert ran.returncode == 2
    assert ran.stdout.count("No space left on device") == 2
    assert Path("disk/a.py").read_text() == Path("disk/b.py").read_text() == text
    assert sorted(os.listdir("disk")) == ["a.py", "b too", "b.py", "ballast"]
    Path("disk/ballast").unlink()
    assert run(*FIX, "disk").returncode == 0
    assert Path("disk/a.py").read_text() == Path("disk/b too").read_text() != text


def test_where_a_file_may_not_grow_it_stays_as_it_was() -> None:
    """A limit stops the write halfway, in a new file and in one that is overwritten."""
    text = LOAD + "# ballast\n" * 100
    for name in ("a.py", "b.py"):
        write(name, text)
    os.link("b.py", "b too")

    def limited() -> int:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (600, 600))
        return cli.run([*FIX, "."])

    assert waited(child(limited)) == 2
    assert Path("a.py").read_text() == Path("b.py").read_text() == text
    assert sorted(os.listdir()) == ["a.py", "b too", "b.py"]


def test_a_write_that_fails_halfway_in_place_is_taken_back(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write("a.py", "old content\n")
    os.link("a.py", "b.py")
    original, calls = writing._write, []

    def failing(file: Any, data: bytes) -> None:
        calls.append(data)
        if len(calls) == 2:  # the first is the copy
            file.write(data[:5])
            raise OSError(28, "No space left on device")
        original(file, data)

    monkeypatch.setattr(writing, "_write", failing)
    with pytest.raises(writing.WriteRefusedError, match="No space left"):
        writing.write_back("a.py", b"the new one\n", b"old content\n")
    assert Path("b.py").read_text() == "old content\n"
    assert sorted(os.listdir()) == ["a.py", "b.py"]


# ---- no permission


def test_a_read_only_disk_is_linted_and_refuses_fixes(small_disk: Path) -> None:
    write("disk/a.py")
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    ran = run("check", "--select", "TLP101", "disk")
    assert (ran.returncode, ran.stderr) == (1, "")
    ran = run(*FIX, "disk")
    assert ran.returncode == 2
    assert "TLP101" in ran.stdout and "TLP000 not fixed: " in ran.stdout
    assert Path("disk/a.py").read_text() == LOAD
    ran = run("check", "--select", "TLP101", ".", cwd=small_disk)  # no cache can be written
    assert (ran.returncode, ran.stderr) == (1, "")


def test_a_file_that_may_not_be_written_is_refused_and_the_others_are_fixed() -> None:
    command = unprivileged()
    write("a.py").chmod(0o444)
    write("b.py")
    ran = run(*FIX, ".", before=tuple(command))
    assert ran.returncode == 2
    assert "a.py:1:1: TLP000 not fixed: the file is not writable" in ran.stdout
    assert Path("a.py").read_text() == LOAD
    assert Path("b.py").read_text() == fixed()


def test_in_a_folder_that_may_not_be_written_the_file_itself_is() -> None:
    command = unprivileged()
    after = fixed()
    inode = write("folder/a.py").stat().st_ino
    Path("folder").chmod(0o555)
    try:
        assert run(*FIX, "folder", before=tuple(command)).returncode == 0
    finally:
        Path("folder").chmod(0o755)
    assert Path("folder/a.py").read_text() == after
    assert Path("folder/a.py").stat().st_ino == inode
    assert os.listdir("folder") == ["a.py"]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_a_file_of_somebody_else_stays_theirs() -> None:
    os.chown(write("a.py"), 65534, 65534)
    Path("a.py").chmod(0o604)
    assert quietly(FIX, "a.py") == 0
    found = Path("a.py").stat()
    assert (found.st_uid, found.st_gid, stat.S_IMODE(found.st_mode)) == (65534, 65534, 0o604)
    assert Path("a.py").read_text() == fixed()


@pytest.mark.slow
def test_ten_thousand_files_some_of_which_cannot_be_read() -> None:
    command = unprivileged()
    for number in range(10_000):
        path = write(f"p{number % 100}/m{number}.py", "x = 1\n" if number % 10 else LOAD)
        if number % 20 == 0:
            path.chmod(0)
    Path("p3").chmod(0)  # a whole folder of them
    start = time.perf_counter()
    try:
        ran = run("check", "--select", "TLP101", "--output-format", "concise", before=tuple(command))
        again = run("check", "--select", "TLP101", "--output-format", "concise", before=tuple(command))
    finally:
        Path("p3").chmod(0o755)
    assert time.perf_counter() - start < 60
    lines = ran.stdout.splitlines()
    denied = [line for line in lines if line.endswith("TLP000 cannot be read: Permission denied")]
    assert ran.returncode == 2
    assert len(denied) == 500 + 1  # none of the files in p3 is one of the 500
    assert "p3:1:1: TLP000 cannot be read: Permission denied" in denied
    assert sum(" TLP101 " in line for line in lines) == 500
    assert (again.returncode, again.stdout) == (ran.returncode, ran.stdout)


# ---- others at the same files


def test_a_file_changed_while_it_is_fixed_is_left_alone_and_said(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("a.py", "b.py", "c.py"):
        write(name)
    original = lint_file._lint_file

    def meanwhile(plan: Any, data: Any, modules: Any) -> Any:
        result = original(plan, data, modules)
        if plan.task.fix and plan.path == "a.py":
            write("a.py", LOAD + "# by an editor\n")
            Path("b.py").unlink()
        return result

    monkeypatch.setattr(lint_file, "_lint_file", meanwhile)
    assert cli.run([*FIX, "--jobs", "1", "."]) == 2
    out = capsys.readouterr().out
    assert "a.py:1:1: TLP000 not fixed: the file was changed by another program" in out
    assert "b.py:1:1: TLP000 not fixed: the file cannot be written: No such file" in out
    assert Path("a.py").read_text() == LOAD + "# by an editor\n"
    assert not Path("b.py").exists()
    assert Path("c.py").read_text() == fixed()


@pytest.mark.slow
def test_two_runs_that_fix_the_same_files() -> None:
    names = [f"m{number}.py" for number in range(80)]
    for turn in range(4):
        for name in names:
            write(name)
        pids = [child(lambda: cli.run([*FIX, "."])) for _ in range(3)]
        # A run that comes second finds a file changed: fixed already, and it says so.
        assert {waited(pid) for pid in pids} <= {0, 2}, turn
        assert quietly(FIX, ".") == 0
        assert {Path(name).read_text() for name in names} == {fixed()}
        assert sorted(os.listdir()) == sorted(names)


def test_links_lead_to_the_file_and_stay() -> None:
    after = fixed()
    write("real/a.py")
    os.link("real/a.py", "real/twin.py")
    Path("code").mkdir()
    Path("code/soft.py").symlink_to("../real/a.py")
    Path("code/far.py").symlink_to(Path("code/soft.py").absolute())
    Path("code/gone.py").symlink_to("nowhere.py")
    Path("code/self.py").symlink_to("self.py")
    assert quietly(FIX, "code") == 0
    assert Path("real/a.py").read_text() == Path("real/twin.py").read_text() == after
    assert Path("real/a.py").samefile("real/twin.py")
    assert all(Path("code", name).is_symlink() for name in os.listdir("code"))


def test_a_pipe_is_read_once_and_never_waited_for_again() -> None:
    os.mkfifo("pipe.py")
    write("real.py")
    concise = ("check", "--select", "TLP101", "--output-format", "concise")
    assert run(*concise, ".", timeout=20).stdout.count("TLP101") == 1  # passed over
    feeding = child(lambda: Path("pipe.py").write_text(LOAD) and 0)
    ran = run(*concise, "pipe.py", timeout=20)
    assert waited(feeding) == 0
    assert "pipe.py:2:39: TLP101" in ran.stdout
