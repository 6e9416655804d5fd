"""The architecture: imports go in one direction, start-up is light, and our code passes our own rules."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parents[2]
LINT = ROOT / "telepathy_lint"
HEAVY = ("torch", "transformers", "accelerate", "numpy", "flake8", "telepathy_runtime")

#: Every folder and module at the top of the two packages, lower ones first. What stands in one line may not import each other.
LAYERS = {
    "telepathy_lint": (
        ("_version", "hints"),
        ("findings",),
        ("settings", "source"),
        ("knowledge",),
        ("flow",),
        ("sites",),
        ("rule",),
        ("facts",),
        ("fixes",),
        ("rules",),
        ("suppression",),
        ("engine",),
        ("output",),
        ("discovery",),
        ("cache",),
        ("run",),
        ("audit",),
        ("front_ends", "batch"),
        ("commands", "codemod"),
        ("__init__", "__main__"),
    ),
    "telepathy_runtime": (
        ("errors", "publishing"),
        ("machine",),
        ("checkpoint",),
        ("models",),
        ("choose", "registry", "memory"),
        ("failures",),
        ("loading",),
        ("resolvers",),
        ("commands",),
        ("__init__",),
    ),
}
#: Imports that still point up, to be mended; an entry that is no longer needed fails.
POINTING_UP: set[tuple[str, str]] = set()


class Import(NamedTuple):
    """One import in our code: the importing module, the imported one, and whether it runs when the first is imported."""

    user: str
    used: str
    at_once: bool


def module_name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


OURS = sorted(LINT.rglob("*.py"))
MODULES = {module_name(path): path for package in LAYERS for path in sorted((ROOT / package).rglob("*.py"))}


@cache
def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


@cache
def imports_of(path: Path) -> list[tuple[str, bool]]:
    """Names that a file imports, and whether the import runs with the file; includes lazy and type-only imports."""
    tree = parsed(path)
    found: list[tuple[str, bool]] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            names = [f"{base}.{alias.name}" for alias in node.names]
        else:
            continue
        top_level = node in tree.body
        found += [(name, top_level) for name in names]
    return found


def our_imports(name: str) -> Iterator[Import]:
    """The modules of both packages that a module imports."""
    for imported, at_once in imports_of(MODULES[name]):
        used = imported
        while used and used not in MODULES:
            used = used.rpartition(".")[0]
        if used and used != name:
            yield Import(name, used, at_once)


def layer_of(name: str) -> tuple[str, int]:
    """The folder or module at the top of a module's package, and its level."""
    package, _, rest = name.partition(".")
    part = rest.partition(".")[0] or "__init__"
    height = {each: index for index, layer in enumerate(LAYERS[package]) for each in layer}
    assert part in height, f"{package}/{part} has no layer: add it to LAYERS"
    return part, height[part]


def test_imports_point_down() -> None:
    """Imports in functions and for types count too, because they can form circles."""
    up = {}
    for name in MODULES:
        part, height = layer_of(name)
        for each in our_imports(name):
            # The linter's own names and the runtime's stand beside each other; what may cross is another test's.
            if each.used.partition(".")[0] != name.partition(".")[0] or each.used in LAYERS:
                continue
            other, stands = layer_of(each.used)
            if other != part and stands >= height:
                up[part, other] = f"{name} imports {each.used}"
    assert set(up) == POINTING_UP, {edge: up.get(edge, "no longer needed") for edge in set(up) ^ POINTING_UP}


def circles(edges: Mapping[str, set[str]]) -> list[list[str]]:
    """Groups of nodes in which each can be reached from all others."""
    reached: dict[str, set[str]] = {}
    for start in edges:
        found: set[str] = set()
        waiting = [start]
        while waiting:
            waiting += [
                each for each in edges.get(waiting.pop(), ()) if each not in found and not found.add(each)
            ]  # type: ignore[func-returns-value]
        reached[start] = found
    groups = {
        frozenset(other for other in reached[node] if node in reached.get(other, ()))
        for node in edges
        if node in reached[node]
    }
    return sorted(sorted(group) for group in groups)


#: Modules that import each other in a circle, to be opened; an entry that is no longer needed fails.
CIRCLES: list[list[str]] = []


@pytest.mark.parametrize("package", LAYERS)
def test_no_module_leads_back_to_itself(package: str) -> None:
    edges: dict[str, set[str]] = defaultdict(set)
    for name in MODULES:
        for each in our_imports(name):
            # The package itself hands its public names out when they are asked for.
            if name.startswith(package) and each.used != package and name != package:
                edges[name].add(each.used)
    assert circles(edges) == [group for group in CIRCLES if group[0].startswith(package)]


def test_the_linter_knows_only_the_registry_of_the_runtime() -> None:
    for path in OURS:
        allowed = ["telepathy_runtime.models", "telepathy_runtime.machine.gpu_names"]
        if path.parent.name == "audit" or path.name == "tlp305_oversized_batch.py":
            allowed.append("telepathy_runtime.memory")  # capacities and estimates: arithmetic, without torch
        used = {module for module, _ in imports_of(path) if module.startswith("telepathy_runtime")}
        assert not {module for module in used if not module.startswith(tuple(allowed))}, path


@pytest.mark.parametrize("path", sorted((LINT / "rules").glob("tlp*.py")), ids=lambda path: path.stem)
def test_no_rule_imports_another(path: Path) -> None:
    """Code that two rules need is in a separate module, so that a rule can be read and removed alone."""
    assert not [module for module, _ in imports_of(path) if module.startswith("telepathy_lint.rules")]


def loaded_after(code: str) -> set[str]:
    """The loaded modules after running code in a new interpreter."""
    script = f"{code}\nimport json, sys\nprint(json.dumps(sorted(sys.modules)), file=sys.stderr)"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, cwd=ROOT, check=True
    )
    return set(json.loads(done.stderr.splitlines()[-1]))


def test_importing_every_rule_and_the_cli_stays_light() -> None:
    loaded = loaded_after("import telepathy_lint.commands.cli, telepathy_lint.rules as r; r.all_rules()")
    assert not loaded & {*HEAVY, "libcst"}


def test_linting_does_not_import_libcst(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        'from transformers import AutoModel\nm = AutoModel.from_pretrained("x", device_map="auto")\n'
    )
    code = f"from telepathy_lint.commands.cli import run; run(['check', '--output-format', 'concise', {str(script)!r}])"
    loaded = loaded_after(code)
    assert "telepathy_lint.rules.tlp101_hardcoded_device_map" in loaded
    assert not loaded & {*HEAVY, "libcst"}


#: Each takes milliseconds to import, by itself or by what it brings along, and most runs would have no use for it.
SLOW_TO_IMPORT = {
    "copy", "dataclasses", "datetime", "difflib", "dis", "inspect", "json", "subprocess", "tempfile", "tokenize", "tomllib",
    "typing",
}  # fmt: skip
LOAD = """\
from transformers import AutoModelForCausalLM
m = AutoModelForCausalLM.from_pretrained("meta-llama/Llama-3.1-8B", device_map="auto")
"""


@pytest.mark.parametrize("name", ["script.py", "book.ipynb"])
def test_a_check_imports_nothing_slow(name: str, tmp_path: Path) -> None:
    script = tmp_path / name
    cell = {"cell_type": "code", "source": LOAD, "metadata": {}, "outputs": [], "execution_count": None}
    book = json.dumps({"cells": [cell], "metadata": {}, "nbformat": 4, "nbformat_minor": 5})
    script.write_text(LOAD if name == "script.py" else book)
    options = ["--isolated", "--output-format", "concise"]
    kept = ["--cache-dir", str(tmp_path / "kept")]
    for more in (["--no-cache"], kept, kept):  # the last time from the cache
        # A notebook and the cache are JSON.
        slow = SLOW_TO_IMPORT - ({"json"} if more == kept or name == "book.ipynb" else set())
        loaded_after(
            "import sys; before = set(sys.modules)\n"
            f"from telepathy_lint.commands.cli import run; status = run({['check', *options, *more, str(script)]!r})\n"
            f"assert status == 1 and not (found := (set(sys.modules) - before) & {slow!r}), found"
        )


@pytest.mark.parametrize(("options", "wanted"), [([], False), (["--target-transformers", ">=4.50,<6"], True)])
def test_rules_that_are_off_are_not_imported(options: list[str], wanted: bool, tmp_path: Path) -> None:
    """Nor are the tables about transformers 5, which their rules alone ask."""
    script = tmp_path / "script.py"
    script.write_text(LOAD)
    arguments = ["check", "--isolated", "--no-cache", *options, str(script)]
    loaded = loaded_after(f"from telepathy_lint.commands.cli import run; run({arguments!r})")
    of_five = {name for name in loaded if name.startswith("telepathy_lint.rules.tlp4")}
    assert bool(of_five) is wanted
    assert wanted or not {name for name in loaded if name.startswith("telepathy_lint.knowledge.migration")}
    assert not {name for name in loaded if name.startswith("telepathy_lint.rules.tlp9")}


def test_a_file_without_loads_is_not_even_scanned(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text("print('nothing of interest')\n")
    loaded = loaded_after(f"from telepathy_lint.commands.cli import run; run(['check', {str(script)!r}])")
    assert not {name for name in loaded if name.startswith(("telepathy_lint.sites", "telepathy_lint.rules"))}


def test_our_own_code_passes_our_own_rules() -> None:
    command = [
        sys.executable,
        "-m",
        "telepathy_lint",
        "check",
        "telepathy_lint",
        "telepathy_runtime",
        "benchmarks",
    ]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("package", ["telepathy_lint", "telepathy_runtime"])
def test_modules_stay_readable(package: str) -> None:
    long = {
        str(path.relative_to(ROOT)): lines
        for path in (ROOT / package).rglob("*.py")
        if (lines := len(path.read_text(encoding="utf-8").splitlines())) > 400
    }
    assert not long, "split them by meaning"


#: What may look at the disk or the environment. A finding that rested on what anything else saw there would be remembered
#: wrongly: the cache knows a result by its file, its settings and what `Modules` was asked.
LOOKS_OUTSIDE = {
    "flow/import_resolution", "discovery/", "run/atomic_write", "run/baseline", "run/batch", "run/processes", "cache/",
    "audit/", "batch/", "commands/", "front_ends/", "__main__", "rules/__init__", "output/streams",
}  # fmt: skip
OUTSIDE = {
    "open", "os.open", "os.environ", "os.getenv", "os.getcwd", "os.listdir", "os.scandir", "os.walk", "os.stat", "os.lstat",
    "os.access", "os.path.exists", "os.path.lexists", "os.path.isfile", "os.path.isdir", "os.path.islink",
    "os.path.realpath", "os.path.getmtime", "os.path.getsize",
}  # fmt: skip


def test_findings_rest_on_nothing_that_the_cache_does_not_know() -> None:
    for path in OURS:
        if path.relative_to(LINT).with_suffix("").as_posix().startswith(tuple(LOOKS_OUTSIDE)):
            continue
        nodes = list(ast.walk(parsed(path)))
        looked = {ast.unparse(node.func) for node in nodes if isinstance(node, ast.Call)}
        looked |= {ast.unparse(node) for node in nodes if isinstance(node, ast.Attribute)}
        # All other files are read through this module, so that the cache knows about them.
        allowed = {"open"} if path.relative_to(LINT) == Path("flow/project.py") else set()
        assert looked & OUTSIDE == allowed, path
        imported = {name.partition(".")[0] for name, _ in imports_of(path)}
        assert not imported & {"pathlib", "glob", "time", "random"}, path


# ---- one follower of objects, one table of what gives an object back


DEVICES_AND_DTYPES = {"cpu", "cuda", "xpu", "npu", "half", "float", "double", "bfloat16"}
FOLLOWER, ONWARD, TABLE = (LINT / "flow" / f"{name}.py" for name in ("objects", "onward", "same_object"))


def words_together(tree: ast.AST) -> Iterator[tuple[int, set[str]]]:
    """The strings of each literal set, list and tuple, with its line."""
    for node in ast.walk(tree):
        if isinstance(node, (ast.Set, ast.List, ast.Tuple)):
            words = {each.value for each in node.elts if isinstance(each, ast.Constant)}
            yield node.lineno, {each for each in words if isinstance(each, str)}


def tables_of_the_same_object(path: Path) -> list[int]:
    """The lines of a module with a table of methods or functions that return their object."""
    from telepathy_lint.flow import same_object

    found = []
    for line, words in words_together(parsed(path)):
        methods = words & (same_object.METHODS - DEVICES_AND_DTYPES - {"type", "apply"})
        if len(methods) > 1 or len(words & same_object._FUNCTIONS) > 2:
            found.append(line)
    return found


def test_one_table_says_which_calls_give_the_same_object_back() -> None:
    assert [path for path in OURS if tables_of_the_same_object(path)] == [TABLE]


def test_a_second_table_would_be_seen(tmp_path: Path) -> None:
    other = tmp_path / "other.py"
    other.write_text('_SAME = ("eval", "to")\n_WRAPS = {"DDP", "FSDP", "deepcopy"}\n')
    assert tables_of_the_same_object(other) == [1, 2]


def test_one_module_follows_objects_and_one_steps_onward() -> None:
    """Another follower would inspect the parents of nodes or the bindings of names itself."""
    for path in OURS:
        text = path.read_text(encoding="utf-8")
        assert ("class _Follower(Calls)" in text) is (path == FOLLOWER), path
        assert ("Step(" in text) is (path == ONWARD), path
