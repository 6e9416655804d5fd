"""The house: imports point one way, start-up stays light, and our own code passes our own rules."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
LINT = ROOT / "telepathy_lint"
HEAVY = ("torch", "transformers", "accelerate", "numpy", "flake8", "telepathy_runtime")

#: Lower layers first; a module may import from its own layer and those before it.
LAYERS = (
    ("_version", "streams", "violation", "triggers", "selectors", "settings", "change", "module_files", "task"),
    ("source", "magics"),
    ("notebook_json",),
    ("notebook", "suppress", "scan", "fixes"),
    ("rule",),
    ("rules", "load_arguments", "outdated_arguments", "replaced_arguments", "ineffective_arguments", "spreads", "written_ids", "decoding",
     "evidence", "evidence_lines", "input_casts", "relevance", "weight_sizes"),
    ("registry", "rewrite"),
    ("engine",),
    ("version_specifiers", "config_values", "config", "requirements", "gitignore", "vendored", "files", "writing", "results", "diffs", "noqa_edits", "baseline", "output", "workers"),
    ("cache",),
    ("one_file", "project"),
    ("audit", "cli", "commands", "codemod", "flake8_plugin", "jupyter", "lsp", "language_server", "api", "__main__", "__init__"),
)  # fmt: skip


def imports_of(path: Path) -> Iterator[tuple[str, bool]]:
    """Modules that a file imports, and whether it does so when it is imported itself."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            names = [f"{base}.{alias.name}" for alias in node.names]
        else:
            continue
        top_level = node in tree.body
        yield from ((name, top_level) for name in names)


def part(module: str) -> str:
    return module.split(".")[1] if "." in module else "__init__"


@pytest.mark.parametrize("path", sorted(LINT.rglob("*.py")), ids=lambda path: str(path.relative_to(LINT)))
def test_imports_point_one_way(path: Path) -> None:
    rank = {name: index for index, names in enumerate(LAYERS) for name in names}
    own = path.relative_to(LINT).parts[0].removesuffix(".py")
    assert own in rank, f"{own} has no layer: add it to LAYERS"
    for module, top_level in imports_of(path):
        if module.startswith("telepathy_lint.") and top_level:
            other = part(module)
            if other in rank:
                assert rank[other] <= rank[own], f"{own} imports {other}, which stands above it"


@pytest.mark.parametrize("path", sorted(LINT.rglob("*.py")), ids=lambda path: str(path.relative_to(LINT)))
def test_the_linter_knows_only_the_registry_of_the_runtime(path: Path) -> None:
    for module, _ in imports_of(path):
        if module.startswith("telepathy_runtime"):
            allowed = [f"telepathy_runtime.{name}" for name in ("registry", "families", "gpu_names")]
            if path.parent.name == "audit" or path.name == "tlp305_oversized_batch.py":
                allowed.append(
                    "telepathy_runtime.memory"
                )  # capacities and estimates: arithmetic, without torch
            assert module.startswith(tuple(allowed)), module


@pytest.mark.parametrize("path", sorted((LINT / "rules").glob("tlp*.py")), ids=lambda path: path.stem)
def test_no_rule_imports_another(path: Path) -> None:
    """What two rules need is a module of its own: a rule can be read, and taken out, by itself."""
    assert not [module for module, _ in imports_of(path) if module.startswith("telepathy_lint.rules")]


def loaded_after(code: str) -> set[str]:
    """The modules in memory after running some code in a fresh interpreter."""
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
}  # fmt: skip
LOAD = """\
from transformers import AutoModel
m = AutoModel.from_pretrained("meta-llama/Llama-3.1-8B", device_map="auto")
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
    "module_files", "config", "requirements", "gitignore", "vendored", "files", "writing", "baseline", "cache", "workers", "project",
    "audit", "cli", "commands", "lsp", "language_server", "flake8_plugin", "codemod", "__main__", "registry", "streams",
}  # fmt: skip
OUTSIDE = {
    "open", "os.open", "os.environ", "os.getenv", "os.getcwd", "os.listdir", "os.scandir", "os.walk", "os.stat", "os.lstat",
    "os.access", "os.path.exists", "os.path.lexists", "os.path.isfile", "os.path.isdir", "os.path.islink",
    "os.path.realpath", "os.path.getmtime", "os.path.getsize",
}  # fmt: skip


@pytest.mark.parametrize("path", sorted(LINT.rglob("*.py")), ids=lambda path: str(path.relative_to(LINT)))
def test_findings_rest_on_nothing_that_the_cache_does_not_know(path: Path) -> None:
    if path.relative_to(LINT).parts[0].removesuffix(".py") in LOOKS_OUTSIDE:
        return
    nodes = list(ast.walk(ast.parse(path.read_text(encoding="utf-8"))))
    looked = {ast.unparse(node.func) for node in nodes if isinstance(node, ast.Call)}
    looked |= {ast.unparse(node) for node in nodes if isinstance(node, ast.Attribute)}
    # The one door, through which the cache reads along.
    allowed = {"open"} if path.relative_to(LINT) == Path("scan/modules.py") else set()
    assert looked & OUTSIDE == allowed
    assert not {name.partition(".")[0] for name, _ in imports_of(path)} & {
        "pathlib",
        "glob",
        "time",
        "random",
    }
