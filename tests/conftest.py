"""Options of the whole suite, the number of processes, and a fixture for files that all of them share."""

from __future__ import annotations

import gc
import os
from collections.abc import Callable, Generator
from pathlib import Path

import pytest

# Tiny models gain nothing from threads, and several processes with a thread a core each get in each other's way.
os.environ.setdefault("OMP_NUM_THREADS", "1")

MOST_WORKERS = 8  # each imports torch, 0.5 GB


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--bless",
        action="store_true",
        help="write what is found and fixed to fixtures/rules, what commands print to docs/; read the diff",
    )


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """`-n auto`: one process for named files, so that print and breakpoint work there; all cores for folders."""
    named = [Path(argument.split("::")[0]) for argument in config.args]
    if config.getoption("bless") or not any((config.invocation_params.dir / path).is_dir() for path in named):
        config.option.dist = "no"
        return 0
    return min(os.cpu_count() or 1, MOST_WORKERS)


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Modules and test items stay until the end: no search for garbage has to look at them, a third of the time here."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


Once = Callable[[str, Callable[[Path], object]], Path]


@pytest.fixture(scope="session")
def once(tmp_path_factory: pytest.TempPathFactory) -> Once:
    """`once(name, make)` returns a folder filled by `make(folder)`, which only one of the processes of a run calls.

    The others wait. No test may write to it.
    """
    import filelock  # a requirement of torch: the linter's tests, which do without, share nothing

    base = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        base = base.parent  # of the run; xdist gives each process a folder in it

    def get(name: str, make: Callable[[Path], object]) -> Path:
        folder, made = base / "once" / name, base / "once" / f"{name}.made"
        folder.parent.mkdir(exist_ok=True)
        with filelock.FileLock(f"{folder}.lock"):
            if not made.exists():
                if folder.exists():
                    pytest.fail(f"an earlier attempt to make {name} failed: see the first error about it")
                folder.mkdir()
                make(folder)
                made.touch()
        return folder

    return get
