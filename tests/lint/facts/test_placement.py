"""When the fix of `device_map="auto"` is safe: neither the file, what imports it, nor the project shows several processes."""

from __future__ import annotations

from pathlib import Path

import pytest

from telepathy_lint import engine
from telepathy_lint.rules import select
from telepathy_lint.run.lint_file import open_source
from telepathy_lint.settings import Settings
from telepathy_lint.sites import Modules

HEAD = "import torch\nfrom transformers import AutoModelForCausalLM\n"
LOAD = 'AutoModelForCausalLM.from_pretrained("gpt2", device_map="auto")'
SCRIPT = f"{HEAD}model = {LOAD}\n"
HELPER = f"{HEAD}def load():\n    return {LOAD}\n"
#: What stands behind the load of a script -> whether its fix is safe.
SCRIPTS = {
    "": True,
    "model(x.to(model.device))": True,
    "model(x.to('cuda'))": False,
    "model(x.cuda())": False,
    # Such a script writes its result once: it runs in one process.
    "json.dump(model(x.cuda()), file)": True,
    "device = torch.device('cuda')\nmodel(x.to(device))": False,
    "rank = int(os.environ['LOCAL_RANK']); model(x.to(model.device))": False,
    "trainer = Trainer(model)": False,
}
#: Another module of the project -> whether the fix of the helper's load is safe.
IMPORTERS = {
    "from helper import load\nmodel = load()\n": True,
    "import os\nfrom helper import load\nmodel = load()\nrank = int(os.environ['LOCAL_RANK'])\n": False,
    "from accelerate import Accelerator\nfrom helper import load\nmodel = Accelerator().prepare(load())\n": False,
    # It mentions a launcher, and never calls the helper.
    "import torch.distributed\n": True,
}


def safety(path: Path, code: str) -> str:
    path.write_text(code)
    source = open_source(str(path), path.read_bytes())
    found = engine.lint(source, select(), Settings(strict=True), project=Modules())
    (one,) = [each for each in found if each.code == "TLP101"]
    assert one.fix is not None
    return one.fix.safety


@pytest.mark.parametrize("line", SCRIPTS)
def test_auto_is_safe_if_the_script_would_run_under_a_launcher_as_well(line: str, tmp_path: Path) -> None:
    assert safety(tmp_path / "script.py", f"{SCRIPT}{line}\n") == ("safe" if SCRIPTS[line] else "unsafe")


@pytest.mark.parametrize("importer", IMPORTERS)
def test_a_module_that_imports_the_load_may_be_launched(importer: str, tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").touch()
    (tmp_path / "train.py").write_text(importer)
    assert safety(tmp_path / "helper.py", HELPER) == ("safe" if IMPORTERS[importer] else "unsafe")


#: Other files of the project -> whether the fix of a script `train.py` is safe.
PROJECTS: dict[str, tuple[dict[str, str], bool]] = {
    "nothing": ({}, True),
    "plain python": ({"README.md": "Run `python train.py`.\n"}, True),
    "plain python behind what starts one process": (
        {"run.sh": "CUDA_VISIBLE_DEVICES=0 nohup nice -n 10 python -u train.py --lr 1\n"}, True,
    ),
    "plain python in a container": ({"Makefile": "train:\n\t@docker run --gpus all image python train.py\n"}, True),
    "a launcher": ({"README.md": "Run `torchrun train.py`.\n"}, False),
    "a launcher of another script": ({"README.md": "Run `torchrun other.py`.\n"}, True),
    "a launcher of a script that is not in sight": ({"run.sh": "torchrun $SCRIPT\n"}, False),
    "the same, beside plain python": ({"run.sh": "torchrun $SCRIPT\npython train.py\n"}, True),
    "settings of a launcher": ({"accelerate.yaml": "num_processes: 4\n"}, False),
    "a launcher that is not known": ({"run.sh": "fleetctl -n 4 train.py\n"}, False),
    "one in front of python": ({"run.sh": "fleetctl -n 4 python train.py\n"}, False),
    "one in the code of a document": ({"README.md": "```sh\nfleetctl train.py\n```\n"}, False),
    "one in a variable": ({"run.sh": "$LAUNCH train.py\n"}, False),
    "one in the settings": ({"job.yaml": "- command: fleetctl train.py\n"}, False),
    "a function of the shell": ({"run.sh": "in_parallel ./train.py\n"}, False),
    "a script that gets the script": ({"run.sh": "python start.py --script train.py\n"}, False),
    "a module that gets the script": ({"run.sh": "python -m fleet train.py\n"}, False),
    "a module that only reads it": ({"run.sh": "python -m black train.py\n"}, True),
    "programs that only read it": ({"run.sh": "cat train.py && if [ -f train.py ]; then cp train.py a/; fi\n"}, True),
    "a comment": ({"run.sh": "# fleetctl train.py\n"}, True),
    "a document that mentions it": ({"README.md": "Train with train.py.\n├── train.py\n"}, True),
    "code that starts it in several processes": (
        {"start.py": "for local_rank in range(4):\n    Popen([sys.executable, 'train.py'])\n"}, False,
    ),
    "code of ranks that does not name it": ({"start.py": "local_rank = 0\n"}, True),
}  # fmt: skip


@pytest.mark.parametrize("case", PROJECTS)
def test_a_project_shows_launchers_even_those_that_are_not_known(case: str, tmp_path: Path) -> None:
    texts, safe = PROJECTS[case]
    (tmp_path / "pyproject.toml").touch()
    for name, text in texts.items():
        (tmp_path / name).write_text(text)
    assert safety(tmp_path / "train.py", SCRIPT) == ("safe" if safe else "unsafe")
