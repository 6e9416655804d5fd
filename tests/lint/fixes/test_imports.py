"""When an unused import is removed and when it is kept; how names are spelled."""

from __future__ import annotations

import json

import pytest

from telepathy_lint import engine
from telepathy_lint import rules as registry
from telepathy_lint.settings import FixStyle, Settings
from telepathy_lint.source.notebook import Notebook
from telepathy_lint.source.text import Source

LOADER = "from telepathy_runtime import load_model\n"
IMPORT = "from transformers import AutoModelForCausalLM\n"
LOAD = 'm = AutoModelForCausalLM.from_pretrained("x")\n'
LOADED = 'm = load_model("x", device_map=None, attn_implementation=None, generation_config=None)\n'


def fixed(
    code: str,
    path: str = "script.py",
    style: FixStyle = "loader",
    target: str | None = None,
    rule: str = "TLP102",
) -> str:
    settings = Settings(target_transformers=target, fix_style=style)
    return engine.fix(Source(path, code.encode()), registry.select([rule]), settings, unsafe=True).text


@pytest.mark.parametrize(
    "rest",
    [
        "print(globals())\n",
        "print(locals())\n",
        '__all__ = ["AutoModelForCausalLM"]\n',
        's = "# AutoModelForCausalLM"\n',
        "x = []  # type: AutoModelForCausalLM\n",
        "class A:\n    AutoModelForCausalLM = 1\n",
        "def f():\n    return AutoModelForCausalLM\n",
        "f = lambda AutoModelForCausalLM: AutoModelForCausalLM\n",
        "n = 1  # a\nAutoModelForCausalLM\n",
        "# AutoModelForCausalLM\nx = AutoModelForCausalLM\n",
        "s = '#'; x = AutoModelForCausalLM\n",
        "x = AutoModelForCausalLM  # a\n",
        "def f():\n    x = 1\ndef g(y: 'AutoModelForCausalLM'):\n    pass\n",
    ],
)
def test_an_import_stays_where_its_name_may_be_wanted(rest: str) -> None:
    assert fixed(IMPORT + LOAD + rest) == f"{IMPORT}from telepathy_runtime import load_model\n{LOADED}{rest}"


@pytest.mark.parametrize(
    "rest",
    [
        "# AutoModelForCausalLM was here\n",
        "x = 1  # AutoModelForCausalLM\n",
        "x = '#'  # AutoModelForCausalLM\n",
        "def f():\n    AutoModelForCausalLM = 1\n    return AutoModelForCausalLM\n",
        "def f(AutoModelForCausalLM):\n    def g():\n        AutoModelForCausalLM = 2\n    return AutoModelForCausalLM\n",
        "def f():\n    AutoModelForCausalLM = 1\n    return AutoModelForCausalLM\n# AutoModelForCausalLM\n",
        "x = MyAutoModelForCausalLM\n",
    ],
)
def test_an_import_goes_where_nothing_wants_its_name(rest: str) -> None:
    assert fixed(IMPORT + LOAD + rest) == f"from telepathy_runtime import load_model\n{LOADED}{rest}"


@pytest.mark.parametrize(
    "imported",
    [
        "from transformers import AutoModelForCausalLM as AutoModelForCausalLM\n",
        "from transformers import *\n",
        "from transformers import AutoModelForCausalLM  # noqa\n",
        "from transformers import (AutoModel,\n    AutoModelForCausalLM,  # noqa: F401\n)\n",
        "from transformers import (AutoModel,\n    AutoModelForCausalLM,\n)  # noqa: E501,F401\n",
        "from transformers import (AutoModel,  # noqa\n    AutoModelForCausalLM,\n)\n",
        "from transformers import (  # noqa\n    AutoModel,\n    AutoModelForCausalLM,\n)\n",
    ],
)
def test_an_import_stays_that_says_so(imported: str) -> None:
    assert fixed(imported + LOAD) == f"{imported}from telepathy_runtime import load_model\n{LOADED}"


def test_a_name_of_the_scripts_own_is_looked_for() -> None:
    code = "from transformers import AutoModelForCausalLM as AM\nm = AM.from_pretrained('x')\n"
    assert "import AutoModelForCausalLM as AM" not in fixed(code)
    assert "import AutoModelForCausalLM as AM" not in fixed(f"{code}print(AutoModelForCausalLM)\n")
    assert "import AutoModelForCausalLM as AM" in fixed(f"{code}print(AM)\n")


def test_an_import_goes_although_its_neighbours_say_noqa() -> None:
    before, behind = "x = 1  # noqa\n", "y = 1  # noqa\n"
    code = f"{before}from transformers import AutoModel, AutoModelForCausalLM\n{behind}{LOAD}"
    wanted = f"{before}from transformers import AutoModel\nfrom telepathy_runtime import load_model\n{behind}{LOADED}"
    assert fixed(code) == wanted


@pytest.mark.parametrize(
    "code",
    [
        "def f():\n    {}",
        "class A:\n    def f(self):\n        {}",
        "def f():\n    {}if __name__ == '__main__':\n    f()\n",
        "if x:\n    {}",
        "class A:\n    {}",
    ],
)
def test_classes_go_from_a_module_as_from_a_program(code: str) -> None:
    """Ruff would report them, and in 107 public repositories no file imports a transformers class from its own modules."""
    text = fixed(IMPORT + code.format(LOAD))
    assert IMPORT not in text
    assert "load_model('x'" in text.replace('"', "'")


FLOAT16 = "AutoModelForCausalLM.from_pretrained('x', torch_dtype=torch.float16)"


@pytest.mark.parametrize(
    ("code", "stays"),
    [
        (f"import torch\n{IMPORT}m = {FLOAT16}\n", False),
        (f"import torch\n{IMPORT}m = {FLOAT16}\nprint(torch.ones(1))\n", True),
        (f"import torch  # noqa\n{IMPORT}m = {FLOAT16}\n", True),
        # Public modules hand `torch` to others by `from module import *`.
        (f"import torch\n{IMPORT}def f():\n    return {FLOAT16}\n", True),
        (f"{IMPORT}def f():\n    import torch\n    x = 1\n    return {FLOAT16}\n", False),
        (f"import torch.nn\n{IMPORT}m = {FLOAT16}\n", True),
        (f"try:\n    import torch\nexcept ImportError:\n    pass\n{IMPORT}m = {FLOAT16}\n", True),
    ],
)
def test_torch_goes_with_the_dtype(code: str, stays: bool) -> None:
    result = engine.fix(
        Source("x.py", code.encode()), registry.select(["TLP103"]), Settings(strict=True), unsafe=True
    )
    assert ("import torch" in result.text) == stays


@pytest.mark.parametrize(
    ("between", "stays"),
    [
        ("", False),
        ("print(AutoModelForCausalLM)\n", True),
        ("f = lambda: AutoModelForCausalLM\n", True),
    ],
)
def test_an_import_goes_where_a_later_one_brings_the_same(between: str, stays: bool) -> None:
    text = fixed(f"{IMPORT}{LOAD}{between}{IMPORT}print(AutoModelForCausalLM)\n")
    assert text.count(IMPORT) == 1 + stays


@pytest.mark.parametrize(
    ("before", "stays"),
    [("print(AutoModelForCausalLM)\n", False), ("def f():\n    return AutoModelForCausalLM\n", True)],
)
def test_an_import_goes_where_an_earlier_one_served_what_ran(before: str, stays: bool) -> None:
    text = fixed(f"{IMPORT}{before}{IMPORT}{LOAD}")
    assert text.count(IMPORT) == 1 + stays


def test_a_notebook_is_imported_by_nobody() -> None:
    cells = [IMPORT, f"def f():\n    {LOAD}"]
    book = json.dumps({"cells": [{"cell_type": "code", "source": cell} for cell in cells]})
    source = Notebook("x.ipynb", book.encode())
    assert IMPORT not in engine.fix(source, registry.select(["TLP102"]), Settings(), unsafe=True).text


def test_every_cell_of_a_notebook_imports_what_it_needs() -> None:
    """A cell without loads is not reported and does not change."""
    load = "m = AutoModel.from_pretrained('a', load_in_8bit=True)"
    cells = [
        "from transformers import AutoTokenizer\nt = 1",
        *[f"from transformers import AutoModel\n{load}"] * 2,
    ]
    book = json.dumps({"cells": [{"cell_type": "code", "source": cell} for cell in cells]})
    result = engine.fix(
        Notebook("x.ipynb", book.encode()), registry.select(["TLP107"]), Settings(), unsafe=True
    )
    after = result.text.replace(load, "")
    assert after.count("from transformers import AutoModel, BitsAndBytesConfig\n") == 2
    assert "from transformers import AutoTokenizer\nt = 1" in after


def test_a_package_keeps_what_it_offers() -> None:
    assert fixed(IMPORT + LOAD, "pkg/__init__.py").startswith(IMPORT)
    assert not fixed(IMPORT + LOAD, "pkg/init.py").startswith(IMPORT)


@pytest.mark.parametrize(
    ("code", "stays"),
    [
        ("try:\n    {}except ImportError:\n    pass\n", True),
        ("try:\n    import x\nexcept ImportError:\n    {}", False),
        ("try:\n    import x\nfinally:\n    {}", False),
        ("try:\n    import x\nexcept ImportError:\n    pass\nelse:\n    {}", False),
    ],
)
def test_an_import_that_asks_whether_transformers_is_there_stays(code: str, stays: bool) -> None:
    text = fixed(code.format(IMPORT) + LOAD)
    assert (IMPORT in text) == stays
    # A handler of ImportError speaks of transformers, and would hide that the loader is missing.
    assert text.startswith("from telepathy_runtime import load_model\ntry:\n    from transformers") == stays
    assert ("    from telepathy_runtime import load_model\n" in text) != stays
    assert text.endswith(LOADED)


IN_ORDER = "import torch\nfrom peft import PeftModel\nfrom torch import nn\nfrom transformers import AutoModelForCausalLM, T5Model\n"


@pytest.mark.parametrize(
    ("imports", "after"),
    [
        (
            IN_ORDER,
            IN_ORDER.replace("from torch", f"{LOADER}from torch").replace("AutoModelForCausalLM, ", ""),
        ),
        # Another order, another section on the next line, a line between, or no order in sight: behind what it replaces.
        (
            "import torch\nfrom transformers import AutoModelForCausalLM, T5Model\nimport peft\n",
            f"import torch\nfrom transformers import T5Model\n{LOADER}import peft\n",
        ),
        (
            "import os\nimport torch\nfrom transformers import AutoModelForCausalLM, T5Model\n",
            f"import os\nimport torch\nfrom transformers import T5Model\n{LOADER}",
        ),
        (
            "import torch\n\nfrom transformers import AutoModelForCausalLM, T5Model\n",
            f"import torch\n\nfrom transformers import T5Model\n{LOADER}",
        ),
        (
            "import x; import torch\nfrom transformers import AutoModelForCausalLM, T5Model\n",
            f"import x; import torch\n{LOADER}from transformers import T5Model\n",
        ),
        (
            "from accelerate import a\nfrom transformers import AutoModelForCausalLM, T5Model\nfrom trl import b\n",
            f"from accelerate import a\n{LOADER}from transformers import T5Model\nfrom trl import b\n",
        ),
    ],
)
def test_among_sorted_imports_the_loaders_has_its_place(imports: str, after: str) -> None:
    code = imports + "m = AutoModelForCausalLM.from_pretrained('x')\nn = T5Model, PeftModel, torch, nn\n"
    text = fixed(code)
    assert text.partition("m = ")[0] == after


def test_imports_of_functions_are_looked_at_alone() -> None:
    function = f"def {{}}():\n    {IMPORT}    return AutoModelForCausalLM{{}}\n"
    load = '.from_pretrained("x")'
    done = f"def f():\n    from telepathy_runtime import load_model\n    return {LOADED.removeprefix('m = ')}"
    other = function.format("g", "")
    assert fixed(function.format("f", load) + other) == done + other
    assert fixed(other + function.format("f", load)) == other + done
    below = "print(AutoModelForCausalLM)\n"
    assert fixed(IMPORT + function.format("f", load) + below) == IMPORT + done + below


@pytest.mark.parametrize(
    ("argument", "stays"),
    [("AutoModelForCausalLM.__name__", True), (LOAD.removeprefix("m = ").strip(), False)],
)
def test_what_the_rewritten_call_still_says_is_wanted(argument: str, stays: bool) -> None:
    text = fixed(f'{IMPORT}m = AutoModelForCausalLM.from_pretrained("y", revision={argument})\n')
    assert (IMPORT in text) == stays


# ---- what is imported already

PACKAGE = "import telepathy_runtime\n"


@pytest.mark.parametrize(
    ("code", "after"),
    [
        pytest.param(f"{IMPORT}{LOADER}{{}}", f"{LOADER}{{}}", id="before the call"),
        pytest.param(f"{LOADER}{IMPORT}{{}}", f"{LOADER}{{}}", id="first of all"),
        pytest.param(f"{IMPORT}{{}}{LOADER}", f"{LOADER}{{}}{LOADER}", id="behind the call"),
        pytest.param(
            f"{IMPORT}def f():\n    {LOADER}    return 1\n{{}}",
            f"{LOADER}def f():\n    {LOADER}    return 1\n{{}}",
            id="in a function",
        ),
        pytest.param(
            f"if TYPE_CHECKING:\n    {LOADER}{IMPORT}{{}}",
            f"if TYPE_CHECKING:\n    {LOADER}{LOADER}{{}}",
            id="for types",
        ),
        pytest.param(
            f"{IMPORT}if debug:\n    {LOADER}{{}}", f"{LOADER}if debug:\n    {LOADER}{{}}", id="at times"
        ),
        pytest.param(
            f"if a:\n    {IMPORT}    {LOADER}{{}}",
            f"if a:\n    {LOADER}{{}}",
            id="where transformers is",
        ),
        pytest.param(
            f"if a:\n    pass\nelse:\n    {IMPORT}    {LOADER}{{}}",
            f"if a:\n    pass\nelse:\n    {LOADER}{{}}",
            id="where transformers is otherwise",
        ),
        pytest.param(
            f"try:\n    pass\nfinally:\n    {IMPORT}    {LOADER}{{}}",
            f"try:\n    pass\nfinally:\n    {LOADER}{{}}",
            id="where transformers is in the end",
        ),
        pytest.param(
            f"if a:\n    {IMPORT}else:\n    {LOADER}{{}}",
            f"if a:\n    {LOADER}else:\n    {LOADER}{{}}",
            id="where transformers is not",
        ),
        pytest.param(
            f"if TYPE_CHECKING:\n    {LOADER}{LOADER}{IMPORT}{{}}",
            f"if TYPE_CHECKING:\n    {LOADER}{LOADER}{{}}",
            id="for types, and always",
        ),
    ],
)
def test_an_import_counts_that_is_sure_to_have_run(code: str, after: str) -> None:
    assert fixed(code.format(LOAD)) == after.format(LOADED)


@pytest.mark.parametrize(
    "other", ["try:\n    {}except ImportError:\n    load_model = None\n", "{}del load_model\n"]
)
def test_a_loader_that_may_be_gone_is_imported_under_another_name(other: str) -> None:
    text = fixed(IMPORT + other.format(LOADER) + LOAD)
    assert "load_model as runtime_load_model\n" in text
    assert text.endswith(LOADED.replace("load_model", "runtime_load_model"))


@pytest.mark.parametrize(
    ("before", "after"),
    [
        pytest.param(f"import transformers\n{PACKAGE}", f"import transformers\n{PACKAGE}", id="there"),
        pytest.param("import transformers\n", f"import transformers\n{PACKAGE}", id="not there"),
        pytest.param(
            f"import transformers\nif x:\n    {PACKAGE}",
            f"import transformers\n{PACKAGE}if x:\n    {PACKAGE}",
            id="at times",
        ),
        pytest.param(
            "import transformers\nimport telepathy_runtime as t\n",
            f"import transformers\n{PACKAGE}import telepathy_runtime as t\n",
            id="under another name",
        ),
    ],
)
def test_a_package_is_imported_once(before: str, after: str) -> None:
    text = fixed(f"{before}m = transformers.AutoModelForCausalLM.from_pretrained('x')\n")
    assert text.startswith(f"{after}m = telepathy_runtime.load_model(")


@pytest.mark.parametrize(
    "taken", ["load_model = 1", "def load_model(): ...", "from house import load_model", "import load_model"]
)
def test_a_name_that_means_something_else_is_not_taken(taken: str) -> None:
    assert "import load_model as runtime_load_model\n" in fixed(f"{IMPORT}{LOAD}{taken}\n")
    assert "as runtime_load_model_2\n" in fixed(f"{IMPORT}{LOAD}{taken}\nruntime_load_model = 1\n")
    more = "runtime_load_model = runtime_load_model_2 = 1\n"
    assert "as runtime_load_model_3\n" in fixed(f"{IMPORT}{LOAD}{taken}\n{more}")


@pytest.mark.parametrize(
    ("before", "after"),
    [
        pytest.param("from telepathy_runtime import load_tokenizer\n", "from telepathy_runtime import load_tokenizer, load_model\n", id="joined"),
        pytest.param("from telepathy_runtime import *\n", f"from telepathy_runtime import *\n{LOADER}", id="all"),
        pytest.param("from .telepathy_runtime import a\n", f"from .telepathy_runtime import a\n{LOADER}", id="another"),
        pytest.param("if a:\n    from telepathy_runtime import b\n", f"if a:\n    from telepathy_runtime import b\n{LOADER}", id="at times"),
        pytest.param("from . import a\n", f"from . import a\n{LOADER}", id="no module"),
    ],
)  # fmt: skip
def test_a_further_name_joins_an_import_that_is_sure_to_have_run(before: str, after: str) -> None:
    assert fixed(before + IMPORT + LOAD) == after + LOADED


def test_several_names_join_an_import() -> None:
    load = LOAD + "t = AutoTokenizer.from_pretrained('x')\n"
    code = f"from telepathy_runtime import plan\nfrom transformers import AutoModelForCausalLM, AutoTokenizer\n{load}"
    source = Source("script.py", code.encode())
    text = engine.fix(source, registry.select(["TLP102", "TLP201"]), Settings(), unsafe=True).text
    assert text.startswith("from telepathy_runtime import plan, load_model, load_tokenizer\nm = load_model(")


def test_an_import_for_types_is_no_place_for_the_loaders() -> None:
    code = f"if TYPE_CHECKING:\n    {IMPORT}else:\n    {IMPORT}{LOAD}"
    assert fixed(code) == code


@pytest.mark.parametrize(
    "code",
    [
        "if a:\n    {import}    {load}else:\n    {import}    {load}",
        "if a:\n    {import}    {load}elif b:\n    {import}    {load}else:\n    pass\n",
        "for x in y:\n    if a:\n        {import}        {load}        continue\n    {import}    {load}",
        "def f():\n    if a:\n        {import}        {load}    else:\n        {import}        {load}",
    ],
)
def test_every_branch_imports_for_itself(code: str) -> None:
    before = code.replace("{import}", IMPORT).replace("{load}", LOAD)
    lines = []
    for line in before.splitlines(keepends=True):
        indent = line[: len(line) - len(line.lstrip())]
        lines.append(indent + LOADED if line.endswith(LOAD) else line)
        if line.endswith(IMPORT):
            lines.append(indent + LOADER)
    assert fixed(before) == "".join(lines)


@pytest.mark.parametrize(
    "code",
    [
        "if a:\n    {import}else:\n    {import}{load}",
        "try:\n    {import}    x = 1\nexcept ImportError:\n    {import}    x = 2\n{load}",
        "if a:\n    {import}if b:\n    {import}    x = 1\n{load}",
    ],
)
def test_a_load_behind_imports_in_branches_stays(code: str) -> None:
    before = code.replace("{import}", IMPORT).replace("{load}", LOAD)
    assert fixed(before) == before
    above = "from transformers import T5Model\n"
    assert fixed(above + before).startswith(above + LOADER)


T5 = "from transformers import T5Model"
T5_LOAD = "T5Model.from_pretrained('y')"


@pytest.mark.parametrize(
    ("first", "then"),
    [
        (f"    if p:\n        {T5}\n        return {T5_LOAD}\n", f"    {LOAD}"),
        (f"    {LOAD}", f"    {T5}\n    return {T5_LOAD}\n"),
        (f"    def g():\n        {LOAD}", f"    {T5}\n    return {T5_LOAD}, g\n"),
        ("    import transformers\n", f"    {T5}\n    {LOAD}    return transformers.{T5_LOAD}\n"),
    ],
)
def test_no_import_in_a_function_hides_the_modules_from_another_call(first: str, then: str) -> None:
    """A name bound anywhere in a function is local in it, so the other call would find it unbound."""
    text = fixed(f"{IMPORT}def f(p):\n{first}{then}")
    assert "from_pretrained" not in text
    assert text.startswith((LOADER, f"{IMPORT}{LOADER}"))
    assert text.count("import load_model") == 1


def test_a_call_keeps_the_name_that_an_import_would_hide() -> None:
    branch = f"    if p:\n        {T5}\n        return {T5_LOAD}\n"
    for before in (
        f"if a:\n    {LOADER}def f(p):\n{branch}    return load_model('x')\n",
        f"if a:\n    {LOADER}def f(p):\n    def g():\n        return load_model('x')\n{branch}    return g\n",
    ):
        assert fixed(before) == before
    method = f"def f(p, o):\n{branch}    return o.load_model('x')  # not load_model\n"
    assert fixed(method).count(LOADER) == 1


def test_a_call_that_would_find_the_loader_unbound_stays() -> None:
    branch = f"    if p:\n        {LOADER}        return load_model('y')\n"
    for above in (IMPORT, IMPORT + LOADER):
        code = f"{above}def f(p):\n{branch}    {LOAD}"
        assert fixed(code) == code


def test_an_import_for_everybody_from_inside_a_function_is_no_place_for_the_loaders() -> None:
    code = f"def setup():\n    global AutoModelForCausalLM\n    {IMPORT}def f():\n    {LOAD}"
    assert fixed(code) == code


@pytest.mark.parametrize(
    "code",
    [
        "try:\n    {import} M\nexcept ImportError:\n    {other} M\n",
        "if a:\n    {import} M\nelse:\n    {other} M\n",
        "if a:\n    {other} M\nelse:\n    {import} M\n",
        "try:\n    {import} M\nexcept ImportError:\n    try:\n        {other} M\n    except ImportError:\n        M = None\n",
    ],
)
@pytest.mark.parametrize("load", ["m = {}\n", "def f():\n    return {}\n"])
def test_one_of_several_classes_is_loaded_where_an_import_has_run_for_all(code: str, load: str) -> None:
    code = code.replace("{import}", IMPORT.strip() + " as")
    before = code.replace("{other}", f"{T5} as") + load.format("M.from_pretrained('x')")
    assert fixed(before) == before
    above = "from transformers import pipeline\n"
    assert fixed(above + before).startswith(above + LOADER)


def test_a_branch_below_the_modules_import_needs_none() -> None:
    branch = "if a:\n    from transformers import T5Model\n    n = T5Model.from_pretrained('y')\n"
    text = fixed(f"{IMPORT}{branch}{LOAD}")
    assert text.count("import load_model") == 1
    assert text.startswith(LOADER)


def test_no_name_joins_an_import_behind_the_call() -> None:
    behind = "from telepathy_runtime import load_tokenizer\n"
    assert fixed(IMPORT + LOAD + behind) == LOADER + LOADED + behind


def test_calls_before_the_last_import_get_theirs_first() -> None:
    code = f"{IMPORT}{LOAD}from transformers import AutoModel\nn = AutoModel.from_pretrained('y')\n"
    assert fixed(code).startswith(f"{LOADER}{LOADED}from transformers import AutoModel\nn = load_model(")


@pytest.mark.parametrize(
    "between",
    ["import os\n", "from os.path import join\n", "if x:\n    from transformers import T5Model\n", "y = 1\n"],
)
def test_a_class_from_a_variable_uses_transformers_own_import(between: str) -> None:
    code = f"{IMPORT}{between}load = AutoModelForCausalLM\nx = load.from_pretrained('x')\n"
    assert fixed(code).startswith(f"{IMPORT}{LOADER}{between}load = AutoModelForCausalLM\nx = load_model(")


def test_stars_of_other_packages_bring_no_class() -> None:
    stars = "from os.path import *\nfrom transformers import *\n"
    assert fixed(f"{stars}from glob import *\n{LOAD}") == f"{stars}{LOADER}from glob import *\n{LOADED}"


def test_a_function_that_imports_transformers_may_use_the_modules_loader() -> None:
    function = f"def f():\n    {IMPORT}    return {LOAD.removeprefix('m = ')}"
    text = fixed(f"{LOADER}{function}")
    assert text.count(LOADER) == 1
    assert "return load_model(" in text


@pytest.mark.parametrize(("bound", "name"), [("", "transformers"), (" as t", "t")])
def test_what_transformers_itself_has_needs_no_import(bound: str, name: str) -> None:
    code = f"import transformers{bound}\nm = {name}.AutoModel.from_pretrained('x', load_in_8bit=True)\n"
    wanted = code.replace(
        "load_in_8bit=True", f"quantization_config={name}.BitsAndBytesConfig(load_in_8bit=True)"
    )
    text = fixed(code, rule="TLP107")
    assert "".join(text.split()).replace(",)", ")") == "".join(wanted.split())


def test_a_class_from_a_variable_uses_the_last_import_above() -> None:
    code = f"import os\n{IMPORT}load = AutoModelForCausalLM\nx = load.from_pretrained('x')\nfrom transformers import T5Model\n"
    assert fixed(code).startswith(f"import os\n{IMPORT}{LOADER}load = AutoModelForCausalLM\nx = load_model(")


@pytest.mark.parametrize(
    ("before", "after"),
    [
        pytest.param("import a; {}; import b\n", "import a; {}; import b\n", id="semicolons"),
        pytest.param("if a: {}\n", "if a: {}\n", id="one line"),
        pytest.param("{}  # why\n", "{}  # why\n", id="comment"),
    ],
)
def test_an_import_that_shares_its_line_is_replaced(before: str, after: str) -> None:
    assert fixed(before.format(IMPORT.strip()) + LOAD) == after.format(LOADER.strip()) + LOADED


def test_an_import_that_shares_its_line_and_keeps_names() -> None:
    code = f"import a; from transformers import AutoModelForCausalLM, T5Model; import b\n{LOAD}"
    assert fixed(code) == f"import a; from transformers import T5Model; {LOADER.strip()}; import b\n{LOADED}"
    code = f"from transformers import AutoModelForCausalLM, T5Model; import b\n{LOAD}"
    assert fixed(code) == f"from transformers import T5Model; {LOADER.strip()}; import b\n{LOADED}"


@pytest.mark.parametrize(
    ("names", "left"),
    [
        ("(\n    AutoModel,  # a\n    AutoModelForCausalLM,  # b\n    T5Model,  # c\n)", "(\n    AutoModel,  # a\n    # b\n    T5Model,  # c\n)"),
        ("(AutoModel,  # a\n    AutoModelForCausalLM)  # b", "(AutoModel,  # a\n)  # b"),
        ("(AutoModel,  # a\n    AutoModelForCausalLM  # b\n    )", "(AutoModel,  # a  # b\n    )"),
        ("(AutoModelForCausalLM, # a\n    AutoModel)", "(# a\n    AutoModel)"),
        ("AutoModel, \\\n    AutoModelForCausalLM", "AutoModel"),
        ("AutoModelForCausalLM, AutoModel", "AutoModel"),
        ("(AutoModel,\n    AutoModelForCausalLM,\n)", "(AutoModel,\n)"),
    ],
)  # fmt: skip
def test_a_name_is_taken_out_of_an_import(names: str, left: str) -> None:
    assert (
        fixed(f"from transformers import {names}\n{LOAD}")
        == f"from transformers import {left}\n{LOADER}{LOADED}"
    )


# ---- names


@pytest.mark.parametrize(
    ("version", "name"),
    [(None, "torch_dtype"), ("4.9", "torch_dtype"), ("4.55.4", "torch_dtype"), ("4.56", "dtype"), ("4.57", "dtype"), ("5.0", "dtype")],
)  # fmt: skip
def test_dtype_is_spelled_as_the_version_has_it(version: str | None, name: str) -> None:
    assert f', {name}="bfloat16")' in fixed(IMPORT + LOAD, style="inline", target=version)


@pytest.mark.parametrize(
    ("imported", "value"),
    [
        ("import torch\n", "torch.bfloat16"),
        ("import torch.nn\n", "torch.bfloat16"),
        ("", '"bfloat16"'),
        ("import torch as t\n", '"bfloat16"'),
        ("import numpy as torch\n", '"bfloat16"'),
        ("from x import torch\n", '"bfloat16"'),
        ("try:\n    import torch\nexcept ImportError:\n    torch = None\n", '"bfloat16"'),
    ],
)
def test_torch_is_only_named_where_it_is_imported(imported: str, value: str) -> None:
    assert f"torch_dtype={value})" in fixed(imported + IMPORT + LOAD, style="inline")


@pytest.mark.parametrize(
    ("code", "value"),
    [
        (LOAD + "import torch\n", '"bfloat16"'),
        ("if x:\n    import torch\n" + LOAD, '"bfloat16"'),
        (f"class A:\n    {LOAD}import torch\n", '"bfloat16"'),
        (f"def f():\n    {LOAD}import torch\n", "torch.bfloat16"),
        (f"import torch\nclass A:\n    {LOAD}", "torch.bfloat16"),
    ],
)
def test_torch_is_named_only_where_it_is_sure_to_be_imported(code: str, value: str) -> None:
    assert f", torch_dtype={value})" in fixed(IMPORT + code, style="inline")


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("NAME", "NAME"),
        ("cfg.name", "cfg.name"),
        ('"x"', '"x"'),
        ('f"{x}"', ""),
        ("get()", ""),
        ("pretrained_model_name_or_path=NAME", "NAME"),
        ("pretrained_model_name_or_path=get()", ""),
        ("", ""),
    ],
)
def test_the_id_is_said_again_where_that_costs_nothing(given: str, said: str) -> None:
    text = fixed(IMPORT + LOAD.replace('"x"', given), style="inline", rule="TLP104")
    assert f"attn_implementation=resolve_attn_implementation({said})" in text


@pytest.mark.parametrize(
    ("given", "left"),
    [
        ('pretrained_model_name_or_path="x"', '"x", device_map=None'),
        ('pretrained_model_name_or_path="x", revision="r"', '"x", device_map=None, revision="r"'),
        ('device_map="auto", pretrained_model_name_or_path="x"', '"x"'),
        ('revision="r", pretrained_model_name_or_path="x"', 'revision="r", model_id="x", device_map=None'),
    ],
)
def test_the_id_is_positional_where_it_comes_first(given: str, left: str) -> None:
    code = f"{IMPORT}m = AutoModelForCausalLM.from_pretrained({given}, use_cache=True)\n"
    assert fixed(code, rule="TLP1").endswith(f"m = load_model({left}, use_cache=True)\n")


@pytest.mark.parametrize(
    ("fallback", "name"), [("None", "load_model"), ("1", "AutoModelForCausalLM.from_pretrained")]
)
def test_a_class_that_may_be_missing_is_the_same_class(fallback: str, name: str) -> None:
    code = f"try:\n    {IMPORT}except ImportError:\n    AutoModelForCausalLM = {fallback}\n{LOAD}"
    assert f"m = {name}(" in fixed(code)


def test_a_class_in_an_attribute_is_handed_on() -> None:
    code = f"{IMPORT}class A:\n    kind = AutoModelForCausalLM\n    def f(self):\n        return self.kind.from_pretrained('x')\n"
    assert "model_class=self.kind," in fixed(code)


def test_the_loaders_own_call_loses_what_was_reported() -> None:
    code = "from telepathy_runtime import load_model\nm = load_model('x', dtype=None, device_map=None)\n"
    assert fixed(code, style="inline") == code.replace("dtype=None, ", "")


def test_a_cell_that_imports_for_itself_still_does() -> None:
    """Cells are run one by one, so a cell with its own import must not depend on another cell's."""
    load = "from transformers import AutoModel\n\nm = AutoModel.from_pretrained('x')\n"
    cells = [
        {"cell_type": "code", "execution_count": None, "metadata": {}, "outputs": [], "source": load}
        for _ in range(3)
    ]
    document = {"cells": cells, "metadata": {}, "nbformat": 4, "nbformat_minor": 5}
    source = Notebook("n.ipynb", json.dumps(document).encode())
    fixed = engine.fix(source, registry.select(["TLP102", "TLP104"]), Settings(), unsafe=True)
    after = json.loads(source.encode(fixed.text))
    assert ["from telepathy_runtime import load_model" in cell["source"] for cell in after["cells"]] == [
        True
    ] * 3


def test_an_import_for_functions_of_a_notebook_goes_when_none_calls_it() -> None:
    cells = (IMPORT, "def load():\n    return AutoModelForCausalLM.from_pretrained('x')\n")
    book = {"cells": [{"cell_type": "code", "source": cell} for cell in cells]}
    source = Notebook("n.ipynb", json.dumps(book).encode())
    after = engine.fix(source, registry.select(["TLP102"]), Settings(), unsafe=True)
    sources = [cell["source"] for cell in json.loads(source.encode(after.text))["cells"]]
    assert sources[0] == "from telepathy_runtime import load_model\n"
    assert "return load_model('x'" in sources[1]


@pytest.mark.parametrize("rest", [LOAD, f"def f():\n    {LOAD}"])
def test_an_import_for_type_checkers_is_none(rest: str) -> None:
    code = f"from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    {IMPORT}{rest}"
    assert fixed(code) == code


def test_of_several_imports_the_last_before_the_call_has_company() -> None:
    code = f"{IMPORT}import os\n{IMPORT}import sys\n{IMPORT}"
    assert fixed(code + LOAD) == f"import os\nimport sys\n{LOADER}{LOADED}"


def test_every_import_of_the_name_goes_that_nothing_reads() -> None:
    """Found by benchmarks/broken_fixes.py: a later cell has the same import, and its use was in an earlier cell."""
    text = fixed(f"{IMPORT}{LOAD}x = 1\n{IMPORT}y = 2\n")
    assert text == f"from telepathy_runtime import load_model\n{LOADED}x = 1\ny = 2\n"
