"""Importing the package is cheap and pulls in nothing heavy; the public names are what they say; modules stay small."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from pathlib import Path

import pytest

import telepathy_runtime

PACKAGE = Path(telepathy_runtime.__file__).parent
HEAVY = ("torch", "transformers", "accelerate", "numpy", "safetensors", "huggingface_hub", "tokenizers")
# Everything up to the call of from_pretrained is decided by these, and has to work where there is no torch.
PURE = (
    "checkpoint.files",
    "choose.attention",
    "choose.choice",
    "choose.placement",
    "choose.plan",
    "choose.precision",
    "errors",
    "loading.report",
    "machine.caches",
    "machine.launcher",
)


def run(code: str, *flags: str) -> str:
    done = subprocess.run(
        [sys.executable, *flags, "-c", code], capture_output=True, text=True, cwd=PACKAGE.parent, timeout=300
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def loaded_after(code: str) -> set[str]:
    report = (
        f"{code}\nimport sys, json\nprint(json.dumps(sorted({{name.split('.')[0] for name in sys.modules}})))"
    )
    return set(json.loads(run(report).splitlines()[-1]))


def test_importing_the_package_loads_nothing_heavy() -> None:
    assert not loaded_after("import telepathy_runtime") & set(HEAVY)


@pytest.mark.parametrize("module", PURE)
def test_pure_modules_load_nothing_heavy(module: str) -> None:
    assert not loaded_after(f"import telepathy_runtime.{module}") & set(HEAVY)


def test_every_public_name_is_found_without_torch() -> None:
    """Reaching for a loader is not using it: a script may import it where no model is ever loaded."""
    code = "import telepathy_runtime as t; [getattr(t, name) for name in t.__all__]"
    assert not loaded_after(code) & set(HEAVY)


def test_import_takes_under_fifty_milliseconds() -> None:
    code = "import time; t = time.process_time(); import telepathy_runtime; print(time.process_time() - t)"
    assert min(float(run(code)) for _ in range(5)) < 0.050


def test_public_names_and_version() -> None:
    from telepathy_lint._version import __version__

    assert telepathy_runtime.__version__ == __version__
    assert set(telepathy_runtime.__all__) <= set(dir(telepathy_runtime))
    assert {name for name in telepathy_runtime.__all__ if name != "__version__"} == set(
        telepathy_runtime._HOME
    )
    for name in telepathy_runtime.__all__:
        assert getattr(telepathy_runtime, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'load_modle'"):
        telepathy_runtime.load_modle  # noqa: B018


def test_errors_are_load_errors_and_survive_pickling() -> None:
    import pickle

    for name in telepathy_runtime.__all__:
        if name.endswith("Error"):
            cls = getattr(telepathy_runtime, name)
            assert issubclass(cls, telepathy_runtime.LoadError), name
            error = cls("loading x", "found y", "do z")
            again = pickle.loads(pickle.dumps(error))
            assert type(again) is cls
            assert str(again) == str(error) == "loading x: found y; do z"


@pytest.mark.parametrize("path", sorted(PACKAGE.glob("*.py")), ids=lambda path: path.stem)
def test_modules_stay_readable(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert len(text.splitlines()) < 400
    tree = ast.parse(text)
    assert ast.get_docstring(tree), "a module says what it is for"


#: The version, the names of `typing` for what the linter imports too, how a command's output may end, and, inside functions
#: of one command, how scripts are read.
SHARED = {
    "telepathy_lint._version.__version__",
    "telepathy_lint.output.streams",
    "telepathy_lint.source.text.SourceError",
    *(f"telepathy_lint.hints.{name}" for name in ("TYPE_CHECKING", "Any", "Literal", "NamedTuple")),
    *(f"telepathy_lint.front_ends.training.{name}" for name in ("Call", "Said", "Training", "training_of")),
}


def test_the_linter_is_not_imported() -> None:
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("telepathy_lint"):
                names = {f"{node.module}.{name.name}" for name in node.names}
                assert names <= SHARED, path
            if isinstance(node, ast.Import):
                assert not any(name.name.startswith("telepathy_lint") for name in node.names), path


TYPED = """
from transformers import AutoModelForSeq2SeqLM, LlamaForCausalLM
from telepathy_runtime import load_model
reveal_type(load_model("x"))
reveal_type(load_model("x", model_class=LlamaForCausalLM))
reveal_type(load_model("x", model_class=AutoModelForSeq2SeqLM, dtype=None, revision="main"))
load_model("x", offload="sometimes")
"""
STUBS = {
    "transformers/__init__.pyi": (
        "from transformers.models.auto.auto_factory import _BaseAutoModelClass\n"
        "class PreTrainedModel: ...\n"
        "class LlamaForCausalLM(PreTrainedModel): ...\n"
        "class AutoModelForSeq2SeqLM(_BaseAutoModelClass): ...\n"
    ),
    "transformers/models/__init__.pyi": "",
    "transformers/models/auto/__init__.pyi": "",
    "transformers/models/auto/auto_factory.pyi": "class _BaseAutoModelClass: ...\n",
}


@pytest.mark.slow
def test_load_model_is_typed_by_its_class(tmp_path: Path) -> None:
    """With transformers' types in sight (stubs of the four names used here: following the real ones takes minutes)."""
    pytest.importorskip("mypy")
    for name, text in STUBS.items():
        file = tmp_path / "stubs" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
    (tmp_path / "user.py").write_text(TYPED, encoding="utf-8")
    (tmp_path / "mypy.ini").write_text(
        f"[mypy]\nmypy_path = {tmp_path / 'stubs'}:{PACKAGE.parent}\n[mypy-torch.*]\nignore_missing_imports = true\n"
        "follow_imports = skip\n",
        encoding="utf-8",
    )
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--config-file", "mypy.ini", "user.py"],
        capture_output=True,
        text=True,
        cwd=tmp_path,
    )
    revealed = [line.split('"')[1] for line in done.stdout.splitlines() if "Revealed type" in line]
    assert revealed == [
        "transformers.PreTrainedModel",
        "transformers.LlamaForCausalLM",
        "transformers.PreTrainedModel",
    ]
    assert 'No overload variant of "load_model" matches' in done.stdout
