"""When the fix of `device_map="auto"` is safe: neither the file nor what imports it may run in several processes."""

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
