"""The ids that the audit finds for a load: from loops, function results, callers in other files, commands in Python code."""

from __future__ import annotations

from pathlib import Path

import pytest

from telepathy_lint.audit.facts import audit
from telepathy_lint.audit.outcome import Audit
from telepathy_lint.discovery.config import Configs

HEAD = "import os\nfrom transformers import AutoModel\n"
A, B = "Qwen/Qwen2.5-3B", "Qwen/Qwen2.5-7B"


def audited(folder: Path, files: dict[str, str]) -> Audit:
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    return audit(str(folder), Configs(isolated=True), "H100-80GB", jobs=1)


def ids_of(found: Audit, path: str) -> set[str]:
    return {one.model_id for load in found.loads if load.place.path == path for one in load.ids}


@pytest.mark.parametrize(
    "body",
    [
        'MODELS = {"a": A, "b": B}\nfor name, model in MODELS.items():\n    AutoModel.from_pretrained(model)',
        'MODELS = {"a": A, "b": B}\nfor model in MODELS.values():\n    AutoModel.from_pretrained(model)',
        "MODELS = {A: 3.1, B: 7.6}\nfor model in sorted(MODELS):\n    AutoModel.from_pretrained(model)",
        "for index, model in enumerate([A, B]):\n    AutoModel.from_pretrained(model)",
        "for index, (model, size) in enumerate([(A, 1), (B, 2)]):\n    AutoModel.from_pretrained(model)",
        "for model, size in zip([A, B], [1, 2]):\n    AutoModel.from_pretrained(model)",
        "models = [AutoModel.from_pretrained(model) for model in (A, B)]",
        'TABLE = {"x": {"id": A}, "y": {"id": B}}\nfor name, row in TABLE.items():\n    AutoModel.from_pretrained(row["id"])',
        'def pick(kind):\n    if kind:\n        return A\n    return B\nAutoModel.from_pretrained(pick(2))',
        'def row(kind):\n    rows = {"x": {"id": A}, "y": {"id": B}}\n    return rows[kind]\nchosen = row(2)\nAutoModel.from_pretrained(chosen["id"])',
        'def load(model):\n    return AutoModel.from_pretrained(model)\nTABLE = {"a": A, "b": B}\nfor name, each in TABLE.items():\n    load(each)',
        'AutoModel.from_pretrained(os.environ.get("MODEL", A if small else B))',
        'AutoModel.from_pretrained(settings.get("model", [A, B][size]))',
    ],
)  # fmt: skip
def test_ids_that_code_walks_over_or_gives_back(tmp_path: Path, body: str) -> None:
    found = audited(tmp_path, {"run.py": f'{HEAD}A, B = "{A}", "{B}"\n{body}\n'})
    assert ids_of(found, "run.py") == {A, B}


def test_a_loop_elsewhere_says_nothing_of_this_one(tmp_path: Path) -> None:
    body = f'for model in ["{A}"]:\n    AutoModel.from_pretrained(model)\nfor model in ["{B}"]:\n    print(model)\n'
    assert ids_of(audited(tmp_path, {"run.py": HEAD + body}), "run.py") == {A}


LOADER = """\
from dataclasses import dataclass
from transformers import AutoModel

@dataclass
class Config:
    size: int
    model_id: str

class Wrapper:
    def __init__(self, config: Config):
        self.model = AutoModel.from_pretrained(config.model_id)
"""


@pytest.mark.parametrize(
    ("loader", "caller"),
    [
        ("def load(name, size=1):\n    return AutoModel.from_pretrained(name)", "from lab.loader import load\nload(A)"),
        ("def load(size, name=None):\n    return AutoModel.from_pretrained(name)", "from lab import loader\nloader.load(1, name=A)"),
        ("def load(size, *, name):\n    return AutoModel.from_pretrained(name)", "from lab.loader import load as get\nget(1, name=A)"),
        ("class Net:\n    def __init__(self, name):\n        self.net = AutoModel.from_pretrained(name)", "import lab.loader as l\nl.Net(A)"),
        (LOADER, "from lab.loader import Config, Wrapper\nWrapper(Config(size=1, model_id=A))"),
        (LOADER, "from lab.loader import Config\nConfig(1, A)"),
        (LOADER, "import argparse\nfrom lab.loader import Config\nparser = argparse.ArgumentParser()\nparser.add_argument('--model', default=A)\n"
                 "args = parser.parse_args()\nConfig(1, args.model)"),
    ],
)  # fmt: skip
def test_calls_in_other_files_give_ids(tmp_path: Path, loader: str, caller: str) -> None:
    files = {"lab/__init__.py": "", "lab/loader.py": HEAD + loader + "\n", "run.py": f'A = "{A}"\n{caller}\n'}
    found = audited(tmp_path, files)
    assert ids_of(found, "lab/loader.py") == {A}
    (chosen,) = (one for load in found.loads for one in load.ids)
    assert chosen.place.path == "run.py"
    assert chosen.via.endswith("from run.py")


def test_a_script_reaches_a_load_through_two_files(tmp_path: Path) -> None:
    caller = f"""
import argparse
from lab.loader import load
parser = argparse.ArgumentParser()
parser.add_argument("--model", default="{A}")
load(parser.parse_args().model)
args = parser.parse_args()
load(args.model)
"""
    files = {
        "lab/__init__.py": "",
        "lab/loader.py": HEAD + "def load(name):\n    return AutoModel.from_pretrained(name)\n",
        "run.py": caller,
        "go.sh": f"python run.py --model {B}\n",
    }
    assert ids_of(audited(tmp_path, files), "lab/loader.py") == {A, B}


def test_a_function_of_the_same_name_elsewhere_is_another(tmp_path: Path) -> None:
    files = {
        "lab/__init__.py": "",
        "lab/loader.py": HEAD + "def load(name):\n    return AutoModel.from_pretrained(name)\n",
        "run.py": f'from json import load\nload("{A}")\n',
    }
    assert ids_of(audited(tmp_path, files), "lab/loader.py") == set()


TRAIN = """
import argparse
parser = argparse.ArgumentParser()
parser.add_argument("--model")
args = parser.parse_args()
AutoModel.from_pretrained(args.model)
"""


@pytest.mark.parametrize(
    "body",
    [
        'for name in NAMES:\n    run(f"python train.py --model {name} --steps 3")',
        'for name in NAMES:\n    subprocess.run([sys.executable, "train.py", "--steps", "3", "--model", name])',
        f'run("python train.py --model {A}")\nrun("python lab/train.py --model={B}")',
        'for label, name in [("a", NAMES[0]), ("b", NAMES[1])]:\n    cmd = f"""torchrun train.py \\\\\n        --model "{name}" """',
    ],
)
def test_commands_that_python_puts_together_pass_ids(tmp_path: Path, body: str) -> None:
    files = {"train.py": HEAD + TRAIN, "sweep.py": f'NAMES = ["{A}", "{B}"]\n{body}\n'}
    if "lab/" in body:
        files["lab/train.py"] = HEAD + TRAIN
    found = audited(tmp_path, files)
    assert {one.model_id for load in found.loads for one in load.ids} == {A, B}
    assert found.unloaded == ()


def test_a_broken_caller_is_said_once_to_be_broken(tmp_path: Path) -> None:
    files = {
        "lab/__init__.py": "",
        "lab/loader.py": HEAD + "def load(name):\n    return AutoModel.from_pretrained(name)\n",
        "run.py": "from lab.loader import load\nload(from_pretrained(\n",
    }
    ((path, problem),) = audited(tmp_path, files).problems
    assert path == "run.py"
    assert "telepathy-lint itself" not in problem


def test_many_methods_that_call_each_other_are_asked_once(tmp_path: Path) -> None:
    """As in a file with eighty adapter classes, each of which loads through `super().load`, with very many paths."""
    classes = "\n".join(
        f"class Adapter{number}(Base):\n"
        f"    def load(self, path, options):\n        return super().load(path, options)\n"
        for number in range(80)
    )
    body = f"""
class Base:
    def load(self, path, options):
        return AutoModel.from_pretrained(path)
{classes}
Adapter3().load("{A}", {{}})
"""
    assert ids_of(audited(tmp_path, {"run.py": HEAD + body}), "run.py") == {A}
