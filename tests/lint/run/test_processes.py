"""Work in several processes: a result for each item, in order, even if processes die."""

from __future__ import annotations

import gc
import os
import time
from contextlib import suppress
from pathlib import Path

import pytest

from telepathy_lint.run import processes as workers
from telepathy_lint.run.processes import WORTH_FORKING, Collector, Pool, processes

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs processes that fork")
LARGE = 100 * WORTH_FORKING


@pytest.mark.parametrize(
    ("wanted", "items", "size", "expected"),
    [
        (None, 0, LARGE, 1),
        (None, 1, LARGE, 1),
        (4, 1, LARGE, 1),
        (4, 2, 0, 2),
        (4, 4, 0, 4),
        (4, 9, 0, 4),
        (1, 9, LARGE, 1),
        (None, 9, WORTH_FORKING - 1, 1),
        (None, 9, WORTH_FORKING, 2),
        (None, 9, 2 * WORTH_FORKING, 4),
        (None, 3, LARGE, 3),
        (None, 999, LARGE, 8),
    ],
)
def test_how_many(
    wanted: int | None, items: int, size: int, expected: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: set(range(8)), raising=False)
    assert processes(wanted, items, size) == expected


def test_how_many_where_nothing_is_known_of_the_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: 3)
    assert processes(None, 99, LARGE) == 3
    monkeypatch.setattr(os, "cpu_count", lambda: None)
    assert processes(None, 99, LARGE) == 1
    monkeypatch.delattr(os, "fork")
    assert processes(4, 99, LARGE) == 1


def double(item: int) -> int:
    return 2 * item


def wait_for(path: Path) -> None:
    """Wait until another process has created the file."""
    for _ in range(20_000):
        if path.exists():
            return
        time.sleep(0.001)
    raise AssertionError(f"{path} never came")


def lost(item: int, how: str) -> object:
    return item, how


@pytest.mark.parametrize("count", [1, 2, 5])
@pytest.mark.parametrize(
    "sizes",
    [[], [0], [0] * 7, [1] * 300, [1000, *[1] * 200, 5000], [3, 1, 4, 1, 5] * 40, [0, 0, 90, 0, 90]],
    ids=len,
)
def test_every_item_has_its_result_in_its_place(sizes: list[int], count: int) -> None:
    said: list[int] = []
    pool = Pool(double, lost, said.append)
    assert pool.run(range(len(sizes)), sizes, count) == [2 * index for index in range(len(sizes))]
    assert said == sorted(said)
    assert said[-1:] == [len(sizes)][: len(sizes)]


def test_large_items_are_begun_first_and_small_ones_stay_with_their_neighbours() -> None:
    done: list[int] = []
    sizes = [1, 1, 70, 1, 1, 900, 1, 1, 80]
    Pool(done.append, lost).run(range(9), sizes, 1)
    assert done == [5, 8, 2, 0, 1, 3, 4, 6, 7]
    shares = workers._shares([10] * 640, 2)
    assert [index for share in shares for index in share] == list(range(640))
    assert {len(share) for share in shares} == {10}
    many = workers._shares([1] * 100_000, 1000)
    assert len(many) <= workers._MOST_SHARES, "their numbers fit into a pipe"


@pytest.mark.parametrize(
    ("status", "how"), [(3, "exit status 3"), (0, "exit status 0"), (-9, "signal 9"), (-15, "signal 15")]
)
@pytest.mark.parametrize("items", [3, 300])
def test_what_a_process_dies_of_is_said_of_the_item_it_was_at(
    items: int, status: int, how: str, tmp_path: Path
) -> None:
    parent, dead = os.getpid(), tmp_path / "dead"

    def work(item: int) -> object:
        if os.getpid() != parent:
            with suppress(FileExistsError), open(dead, "x") as file:  # of several at once, one dies
                file.write(str(item))
                file.flush()
                if status < 0:
                    os.kill(os.getpid(), -status)
                os._exit(status)
        wait_for(dead)
        return item

    found = Pool(work, lost).run(range(items), [1] * items, 3)
    fatal = int(dead.read_text())
    assert found == [(item, how) if item == fatal else item for item in range(items)]


def test_an_item_that_kills_every_process_but_ours_is_lost_and_nothing_else(tmp_path: Path) -> None:
    parent = os.getpid()

    def work(item: int) -> object:
        if item == 0 and os.getpid() == parent:
            wait_for(tmp_path / "begun")
        if os.getpid() != parent:
            (tmp_path / "begun").touch()
            os._exit(1)
        return item

    found = Pool(work, lost).run(range(4), [1] * 4, 2)
    assert {each if isinstance(each, int) else each[0] for each in found} == {0, 1, 2, 3}  # type: ignore[index]
    assert [each for each in found if not isinstance(each, int)] != []


def test_no_process_and_no_pipe_is_left(tmp_path: Path) -> None:
    before = sorted(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else []
    Pool(double, lost).run(range(50), [1] * 50, 4)
    with pytest.raises(ChildProcessError):
        os.waitpid(-1, os.WNOHANG)
    gc.collect()
    assert not before or sorted(os.listdir("/proc/self/fd")) == before


def test_rubbish_is_collected_now_and_then(monkeypatch: pytest.MonkeyPatch) -> None:
    times: list[str] = []
    monkeypatch.setattr(gc, "collect", lambda: times.append("collect"))
    monkeypatch.setattr(gc, "freeze", lambda: times.append("freeze"))
    collector = Collector()
    for expected in ([], ["collect", "freeze"], ["collect", "freeze"], ["collect", "freeze"] * 2):
        collector.add(Collector.STEP // 2)
        assert times == expected
