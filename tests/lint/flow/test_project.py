"""Settings from other modules of the project, and configured loading functions."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from telepathy_lint import engine
from telepathy_lint import rules as registry
from telepathy_lint.flow.project import _from_outside
from telepathy_lint.flow.tree import Context, Tree
from telepathy_lint.flow.value import Value
from telepathy_lint.settings import Settings
from telepathy_lint.sites import Modules
from telepathy_lint.source.text import Source

RULES = registry.select(["TLP101", "TLP102", "TLP103", "TLP104", "TLP105", "TLP201"])

COMMON = """\
import torch
from transformers import AutoModelForCausalLM

DEVICE_MAP = "auto"
CHOSEN = None
LOAD = {"device_map": DEVICE_MAP, "torch_dtype": torch.float16}


def load(name, **kwargs):
    kwargs.setdefault("trust_remote_code", True)
    return AutoModelForCausalLM.from_pretrained(name, **kwargs)


def prepare(tokenizer):
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token


def count(tokenizer):
    return tokenizer.pad_token_id
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "pyproject.toml").touch()
    (tmp_path / "pkg").mkdir()
    (tmp_path / "pkg/__init__.py").touch()
    (tmp_path / "pkg/common.py").write_text(COMMON)
    return tmp_path


def found(folder: Path, code: str, name: str = "run.py", settings: Settings | None = None) -> dict[str, str]:
    path = folder / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(code)
    source = Source(str(path), path.read_bytes())
    settings = (settings or Settings())._replace(strict=True)
    violations = engine.lint(source, RULES, settings, project=Modules())
    return {f"{each.site.span.line}:{each.code}": each.message for each in violations if each.site}


def test_a_constant_of_another_module_is_written_in_the_project(project: Path) -> None:
    for imported in ("from pkg.common import DEVICE_MAP as D", "import pkg.common as c\nD = c.DEVICE_MAP"):
        code = f"{imported}\nfrom transformers import AutoModel\nm = AutoModel.from_pretrained('x', device_map=D)\n"
        messages = [text for key, text in found(project, code).items() if key.endswith("TLP101")]
        assert messages == ["device_map is hard-coded: 'auto', from DEVICE_MAP in common.py, line 4"]


def test_relative_imports_and_star_imports(project: Path) -> None:
    for imported in ("from .common import LOAD", "from .common import *"):
        code = f"{imported}\nfrom transformers import AutoModel\nm = AutoModel.from_pretrained('x', **LOAD)\n"
        assert set(found(project, code, "pkg/run.py")) == {"3:TLP101", "3:TLP103", "3:TLP104"}


def test_a_name_that_a_module_has_by_a_star_import(project: Path) -> None:
    (project / "pkg/stars.py").write_text("from pkg.common import *\n")
    code = "from pkg.stars import DEVICE_MAP\nfrom transformers import AutoModel\nm = AutoModel.from_pretrained('x', device_map=DEVICE_MAP)\n"
    assert set(found(project, code)) == {"3:TLP101", "3:TLP102", "3:TLP104"}


def test_a_dict_of_an_unknown_module_may_hold_anything(project: Path) -> None:
    code = "from elsewhere import LOAD\nfrom transformers import AutoModel\nm = AutoModel.from_pretrained('x', **LOAD)\n"
    assert found(project, code) == {}


def test_a_wrapper_is_a_load_where_it_is_called(project: Path) -> None:
    code = """\
# from_pretrained
from pkg.common import load
import pkg.common as common

a = load("acme", device_map="cuda:0")
b = common.load("acme", torch_dtype="bfloat16", attn_implementation="sdpa", generation_config=config)
"""
    code = code.replace(
        "# from_pretrained", "from transformers import AutoTokenizer\nAutoTokenizer.from_pretrained"
    )
    assert set(found(project, code)) == {"6:TLP101", "6:TLP102", "6:TLP104", "6:TLP105"}
    assert found(project, COMMON, "pkg/common.py") == {}


def test_a_wrapper_of_a_module_that_is_imported_whole(project: Path) -> None:
    code = """\
import transformers
import pkg.common as common
common.load("acme", device_map="cuda:0")
transformers.AutoTokenizer.from_pretrained("acme")
"""
    assert "3:TLP101" in found(project, code)


def test_a_helper_of_the_project_that_sets_the_pad_token(project: Path) -> None:
    code = """\
from transformers import AutoModelForCausalLM, AutoTokenizer
from pkg.common import count, prepare

a = AutoTokenizer.from_pretrained("acme")
prepare(a)
b = AutoTokenizer.from_pretrained("acme")
count(b)
m = AutoModelForCausalLM.from_pretrained("acme")
"""
    assert {key for key in found(project, code) if key.endswith("TLP201")} == {"6:TLP201"}


_SETS = "tokenizer.pad_token = tokenizer.eos_token"


@pytest.mark.parametrize(
    ("helpers", "sets"),
    [
        (f"async def prepare(tokenizer):\n    def log(): ...\n    {_SETS}\n", True),
        (f"def prepare(tokenizer):\n    class Log:\n        pass\n    {_SETS}\n", True),
        (f"try:\n    def prepare(tokenizer):\n        {_SETS}\nexcept ImportError:\n    pass\n", True),
        (f"def prepare(tokenizer):\n    pass\ndef prepare(tokenizer):\n    {_SETS}\n", True),
        (f"def prepare_all(tokenizer):\n    {_SETS}\nprepare = prepare_all\n", True),
        (f"from pkg.deeper import prepare\n\nPAD = 'pad_token'  # {_SETS}\n", True),
        (f"def prepare(tokenizer):\n    pass\ndef prepare_all(tokenizer):\n    {_SETS}\n", False),
        (f"def prepare(tokenizer):\n    pass\nclass Kit:\n    def prepare(self, tokenizer):\n        {_SETS}\n", False),
        (f"class prepare:\n    def __init__(self, tokenizer):\n        {_SETS}\n", False),
    ],
)  # fmt: skip
def test_a_helper_is_known_by_its_own_lines(project: Path, helpers: str, sets: bool) -> None:
    (project / "pkg/helpers.py").write_text(helpers)
    (project / "pkg/deeper.py").write_text(f"def prepare(tokenizer):\n    {_SETS}\n")
    load = "a = AutoTokenizer.from_pretrained('acme')\n"
    code = "from transformers import AutoModelForCausalLM, AutoTokenizer\n{}\n" + load + "{}(a)\n"
    code += "m = AutoModelForCausalLM.from_pretrained('acme')\n"
    for imported, called in (
        ("from pkg.helpers import prepare", "prepare"),
        ("from pkg.helpers import prepare as ready", "ready"),
        ("from pkg import helpers", "helpers.prepare"),
        ("import pkg.helpers as h", "h.prepare"),
    ):
        reported = "3:TLP201" in found(project, code.format(imported, called))
        assert reported is not sets, (imported, called)


def test_a_class_of_another_module_that_derives_from_transformers_loads_like_one_of_the_file(
    project: Path,
) -> None:
    (project / "pkg/models.py").write_text(
        "from transformers import LlamaForCausalLM\nclass Mine(LlamaForCausalLM): ...\n"
    )
    code = "from pkg.models import Mine\nm = Mine.from_pretrained('x')\n"
    assert set(found(project, code)) == {"2:TLP102", "2:TLP104", "2:TLP105"}
    (project / "pkg/models.py").write_text("class Mine:\n    pass\n")
    assert found(project, code) == {}


@pytest.mark.parametrize(
    "code",
    [
        "import own\nown.models.Own.from_pretrained('x')",
        "import own.models\nown.models.Own.from_pretrained('x')",
        "import own.models as m\nm.Own.from_pretrained('x')",
        "from own import models\nmodels.Own.from_pretrained('x')",
        "import own.models.sub.made\nown.models.sub.made.Own.from_pretrained('x')",
        "from own import made\nmade.Own.from_pretrained('x')",
    ],
)
def test_a_class_behind_the_modules_that_a_package_imports_itself(project: Path, code: str) -> None:
    """`from . import models` names a module beside the package that says so, not one beside the script."""
    (project / "own/models/sub").mkdir(parents=True)
    (project / "own/__init__.py").write_text("from . import models\nfrom .models.sub import made\n")
    (project / "own/models/__init__.py").write_text("from .sub import Own\n")
    (project / "own/models/sub/__init__.py").write_text("from .made import Own\nfrom . import made\n")
    made = "from transformers import PreTrainedModel\nfrom ... import made\nclass Own(PreTrainedModel): ...\n"
    (project / "own/models/sub/made.py").write_text(made)
    assert set(found(project, code)) == {"2:TLP102", "2:TLP104"}
    (project / "scripts").mkdir()
    (project / "scripts/models.py").write_text("Own = None")  # is another module
    assert set(found(project, code, "scripts/run.py")) == {"2:TLP102", "2:TLP104"}


@pytest.mark.parametrize(
    ("symbol", "module", "path", "right"),
    [
        (".x", "a.b", "a/b.py", "a.x"),
        ("..x", "a.b", "a/b.py", "x"),
        (".x", "a.b", "a/b/__init__.py", "a.b.x"),
        ("..x.y", "a.b", "a/b/__init__.py", "a.x.y"),
        (".x", ".b", "b.py", ".x"),
        ("..x", ".b", "b.py", "..x"),
        ("...x", "..b", "b/__init__.py", "...x"),
        (".x", ".", "__init__.py", ".x"),
        ("...x", "a.b", "a/b.py", None),
        ("torch.x", "a.b", "a/b.py", "torch.x"),
    ],
)
def test_how_a_relative_import_is_named_from_outside(
    symbol: str, module: str, path: str, right: str | None
) -> None:
    node = ast.Name("x", ast.Load())
    value = Value("symbol", symbol, node, Context(Tree(Source("x.py", b"")).top, None))
    seen = _from_outside(value, module, path)
    assert (seen.kind, seen.data) == (("other", None) if right is None else ("symbol", right))


def test_names_passed_on_from_transformers(project: Path) -> None:
    (project / "pkg/hf.py").write_text("from transformers import AutoModel\n")
    code = "from pkg.hf import AutoModel\nm = AutoModel.from_pretrained('x')\n"
    assert set(found(project, code)) == {"2:TLP102", "2:TLP104"}


def test_imports_in_a_circle_end(project: Path) -> None:
    (project / "pkg/one.py").write_text("from pkg.two import NAME\n")
    (project / "pkg/two.py").write_text("from pkg.one import NAME\n")
    code = "from pkg.one import NAME\nfrom transformers import AutoModel\nAutoModel.from_pretrained('x', device_map=NAME)\n"
    assert set(found(project, code)) == {"3:TLP102", "3:TLP104"}


def test_a_module_that_cannot_be_read_tells_nothing(project: Path) -> None:
    (project / "pkg/broken.py").write_text("DEVICE_MAP = (\n")
    code = "from pkg.broken import DEVICE_MAP\nfrom transformers import AutoModel\nAutoModel.from_pretrained('x', device_map=DEVICE_MAP)\n"
    assert set(found(project, code)) == {"3:TLP102", "3:TLP104"}


def test_the_projects_modules_are_never_run(project: Path) -> None:
    (project / "pkg/trap.py").write_text("raise SystemExit('run')\nDEVICE_MAP = 'auto'\n")
    code = "from pkg.trap import DEVICE_MAP\nfrom transformers import AutoModel\nAutoModel.from_pretrained('x', device_map=DEVICE_MAP)\n"
    assert "3:TLP102" in found(project, code)


def test_configured_wrappers(project: Path) -> None:
    code = "from lab.models import get\n\nm = get('x', device_map='auto')\nn = get('y', dtype='bfloat16', attn_implementation='sdpa')\n"
    settings = Settings(wrappers=("lab.models.get",))
    assert found(project, code) == {}
    assert set(found(project, code, settings=settings)) == {"3:TLP101", "3:TLP102", "3:TLP104"}
    settings = Settings(wrappers=("m.get",))  # as the code writes it
    code = "import lab.models as m\n\nn = m.get('x', device_map='auto')\n"
    assert set(found(project, code, settings=settings)) == {"3:TLP101", "3:TLP102", "3:TLP104"}


def test_a_function_that_may_be_imported_or_not(project: Path) -> None:
    code = """\
import transformers as t
try:
    from pkg.common import load
except ImportError:
    def load(name, **kwargs):
        return None
load("x", device_map="auto")
t.AutoModel.from_pretrained("x")
"""
    assert set(found(project, code)) == {"8:TLP102", "8:TLP104"}


def test_what_is_said_does_not_depend_on_who_was_linted_before(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file may be linted by its relative path after it was read by its absolute path for an import."""
    load = "from transformers import AutoModel\nm = AutoModel.from_pretrained('x', device_map=MAP)\n"
    (project / "first.py").write_text("from second import MAP\n" + load)
    (project / "second.py").write_text("MAP = 'auto'\n" + load)
    monkeypatch.chdir(project)

    def said(*names: str) -> list[str]:
        modules = Modules()
        found = [
            engine.lint(Source(name, Path(name).read_bytes()), RULES, Settings(), project=modules)
            for name in names
        ]
        return [each.message for each in found[-1]]

    assert said("first.py", "second.py") == said("second.py")


@pytest.mark.parametrize(
    "name", ["transformers", "torch", "numpy", "accelerate", "peft", "datasets", "os", "sys", "typing"]
)
def test_a_file_beside_the_script_never_stands_for_an_installed_package(project: Path, name: str) -> None:
    (project / f"{name}.py").write_text("DEVICE_MAP = 'auto'\n")
    for code in (f"from {name} import DEVICE_MAP\n", f"from {name} import *\n"):
        code += "import transformers as t\nm = t.AutoModel.from_pretrained('x', device_map=DEVICE_MAP)\n"
        assert set(found(project, code)) == {"3:TLP102", "3:TLP104"}


def test_which_parameter_a_helper_of_the_project_writes(project: Path) -> None:
    (project / "pkg/pads.py").write_text(
        "def second(first, tokenizer):\n"
        "    first_of(things).pad_token = tokenizer.pad_token = '<pad>'\n"
        "def config(tokenizer, model):\n"
        "    tokenizer.config.pad_token = '<pad>'\n"
    )
    code = """\
from transformers import AutoModelForCausalLM, AutoTokenizer
from pkg.pads import config, second
m = AutoModelForCausalLM.from_pretrained("acme")
a = AutoTokenizer.from_pretrained("acme")
b = AutoTokenizer.from_pretrained("acme")
c = AutoTokenizer.from_pretrained("acme")
d = AutoTokenizer.from_pretrained("acme")
e = AutoTokenizer.from_pretrained("acme")
second(a, b)
second(tokenizer=c, first=d)
config(e, m)
"""
    assert {key for key in found(project, code) if key.endswith("TLP201")} == {
        "4:TLP201",
        "7:TLP201",
        "8:TLP201",
    }


def test_what_the_findings_of_imports_in_a_circle_rest_on(project: Path) -> None:
    (project / "pkg/one.py").write_text("from pkg.two import NAME\n")
    (project / "pkg/two.py").write_text("from pkg.one import NAME\n")
    path = project / "run.py"
    path.write_text(
        "from pkg.one import NAME\nfrom transformers import AutoModel\nAutoModel.from_pretrained('x', device_map=NAME)\n"
    )
    modules = Modules()
    engine.lint(Source(str(path), path.read_bytes()), RULES, Settings(), project=modules)
    led_to = {(Path(asker).name, module) for asker, module, file in modules.asked(str(path)) if file}
    assert led_to == {("run.py", "pkg.one"), ("one.py", "pkg.two"), ("two.py", "pkg.one")}


def test_what_was_forgotten_is_read_again(project: Path) -> None:
    code = "from pkg.common import DEVICE_MAP\nfrom transformers import AutoModel\nAutoModel.from_pretrained('x', device_map=DEVICE_MAP)\n"
    path = project / "run.py"
    path.write_text(code)
    read: list[str] = []

    def reading(name: str) -> bytes:
        read.append(Path(name).name)
        return Path(name).read_bytes()

    for most_kept, times in ((10, 2), (1_000_000, 1)):
        read.clear()
        modules = Modules(reading, most_kept)
        said = [
            [
                each.message
                for each in engine.lint(source, RULES, Settings(strict=True), project=modules, offers=False)
            ]
            for source in [Source(str(path), path.read_bytes()) for _ in range(2)]
        ]
        assert said[0] == said[1] != []
        assert read.count("common.py") == times
