"""Tests whether other projects' loading tests have the same outcomes when their loads are routed through load_model.

    python -m benchmarks.routed_tests.run SDIST [SDIST ...] [--python INTERPRETER ...] [-k EXPRESSION]
    python -m benchmarks.routed_tests.run FOLDER --files tests/test_auto.py tests/test_helpers.py --stub datasets diffusers -k test
    python -m benchmarks.routed_tests.run FOLDER --source transformers --stub datasets --files tests/models/llama/test_modeling_llama.py ...

SDIST is a source distribution of transformers (`pip download --no-deps --no-binary transformers
transformers==5.24.0`), one per interpreter, of the version that it imports. Its
`tests/test_modeling_common.py` is run on six tiny models (cases.py), once unchanged and once with plugin.py,
and the outcomes of all tests are compared. For a folder instead of a distribution, such as a checkout of
peft or of transformers, the tests in `--files` are run. transformers' tests of single models are only in its
repository: check out `tests`, `utils`, `conftest.py` and `pyproject.toml` of the tag of the release that the
interpreter imports. Needs pytest and parameterized. Keeps no files. Exits with 1 if an
outcome differs.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections import Counter
from pathlib import Path
from xml.etree import ElementTree

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
#: Words in the names of tests that load.
LOADING = (
    "load or save or tied or missing or mismatch or offload or dtype or attn_implementation or resize or init"
)
#: Modules that the mixin imports and the distribution does not contain.
STUBS = {
    "generation/test_utils.py": "class GenerationTesterMixin: ...\n",
    "exporters/test_export.py": "class ExportTesterMixin: ...\n",
}


def prepare(sdist: Path, folder: Path) -> None:
    """Prepare the distribution's tests, our cases next to them, and stubs for missing modules."""
    with tarfile.open(sdist) as archive:
        for member in archive.getmembers():
            parts = Path(member.name).parts
            if member.isfile() and len(parts) == 3 and parts[1] == "tests" and member.name.endswith(".py"):
                source = archive.extractfile(member)
                assert source is not None
                (folder / "tests").mkdir(exist_ok=True)
                (folder / "tests" / parts[2]).write_bytes(source.read())
    for name, text in STUBS.items():
        file = folder / "tests" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        (file.parent / "__init__.py").touch()
        file.write_text(text, encoding="utf-8")
    (folder / "tests" / "__init__.py").touch()
    shutil.copy(HERE / "cases.py", folder / "tests" / "test_cases.py")


def stub(folder: Path, names: list[str]) -> None:
    """Create packages that the tests import but do not need; each name in them is an empty class."""
    for name in names:
        (folder / "stubs" / name).mkdir(parents=True)
        (folder / "stubs" / name / "__init__.py").write_text(
            "__version__ = '0'\n\n\ndef __getattr__(name):\n    if name.startswith('__'):\n"
            "        raise AttributeError(name)\n    return type(name, (), {})\n",
            encoding="utf-8",
        )


def link(folder: Path, interpreter: str, packages: list[str]) -> None:
    """Put the interpreter's own packages under `src`, where the tests of a checkout look for them."""
    (folder / "src").mkdir(exist_ok=True)
    for name in packages:
        code = f"import importlib.util as u; print(u.find_spec({name!r}).submodule_search_locations[0])"
        done = subprocess.run([interpreter, "-c", code], capture_output=True, text=True, check=True)
        (folder / "src" / name).symlink_to(done.stdout.strip())


def outcomes(
    interpreter: str, folder: Path, routed: bool, expression: str, files: list[str]
) -> tuple[dict[str, str], int]:
    """Test -> outcome, and the number of loads."""
    counted, written = folder / "loads", folder / f"results-{routed}.xml"
    environ = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(
            (str(ROOT), str(folder / "stubs"), *filter(None, [os.environ.get("PYTHONPATH")]))
        ),
        "TELEPATHY_ROUTE": "1" if routed else "0",
        "TELEPATHY_ROUTED": str(counted),
        "HF_HUB_OFFLINE": "1",
        "HF_ENDPOINT": "http://127.0.0.1:9",  # refuses at once where a test turns offline mode off
        "OMP_NUM_THREADS": "1",
    }
    command = [
        interpreter,
        "-m",
        "pytest",
        "-p",
        "benchmarks.routed_tests.plugin",
        "-p",
        "no:cacheprovider",
        "-q",
    ]
    command += [
        "-o",
        "addopts=",
        "-W",
        "ignore",
        f"--junitxml={written}",
        "-k",
        expression,
        *files,
    ]
    done = subprocess.run(command, cwd=folder, env=environ, capture_output=True, text=True)
    found: dict[str, str] = {}
    for case in ElementTree.parse(written).iter("testcase") if written.exists() else ():
        name = f"{case.get('classname')}::{case.get('name')}"
        kinds = {child.tag for child in case} & {"failure", "error", "skipped"}
        # A test with a failed subtest is listed several times.
        found[name] = "failed" if kinds - {"skipped"} else found.get(name, "skipped" if kinds else "passed")
    if not found:
        raise RuntimeError(f"no test ran:\n{done.stdout[-3000:]}{done.stderr[-1000:]}")
    return found, int(counted.read_text(encoding="utf-8")) if counted.exists() else 0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("sdist", nargs="+", type=Path)
    parser.add_argument("--python", nargs="+", default=[sys.executable], metavar="INTERPRETER")
    parser.add_argument("--files", nargs="+", default=["tests/test_cases.py"], help="which files of a FOLDER")
    parser.add_argument("--stub", nargs="+", default=[], help="packages to put an empty one in place of")
    parser.add_argument("--source", nargs="+", default=[], help="packages that the tests look for under src/")
    parser.add_argument("-k", default=LOADING, metavar="EXPRESSION", help="which tests, as pytest's -k")
    arguments = parser.parse_args()
    if len(arguments.sdist) != len(arguments.python):
        parser.error("one SDIST for each interpreter")
    print("| distribution | tests | loads | passed, plain | passed, routed | other outcome |")
    print("| --- | --- | --- | --- | --- | --- |")
    differing: list[str] = []
    for sdist, interpreter in zip(arguments.sdist, arguments.python, strict=True):
        with tempfile.TemporaryDirectory() as folder:
            if sdist.is_dir():
                shutil.copytree(
                    sdist, folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns(".git", "src")
                )
                for each in arguments.files:  # a source distribution may be without it
                    (Path(folder) / each).with_name("__init__.py").touch()
            else:
                prepare(sdist, Path(folder))
            stub(Path(folder), arguments.stub)
            link(Path(folder), interpreter, arguments.source)
            plain, loads = outcomes(interpreter, Path(folder), False, arguments.k, arguments.files)
            routed, _ = outcomes(interpreter, Path(folder), True, arguments.k, arguments.files)
        other = [name for name in sorted({*plain, *routed}) if plain.get(name) != routed.get(name)]
        differing += [f"{sdist.name} {name}: {plain.get(name)}, routed {routed.get(name)}" for name in other]
        passed = [Counter(results.values())["passed"] for results in (plain, routed)]
        name = sdist.name.removesuffix(".tar.gz")
        print(f"| {name} | {len(plain)} | {loads} | {passed[0]} | {passed[1]} | {len(other)} |", flush=True)
    for line in differing:
        print(line)
    return 1 if differing else 0


if __name__ == "__main__":
    raise SystemExit(main())
