"""Small shapes, each of which decides one way through the flow: where a device map comes from, or what is loaded."""

from __future__ import annotations

import pytest

import telepathy_lint

HEAD = "from transformers import AutoModel\n"
#: A program, and the lines (behind the head) at which its device map is reported.
SHAPES: dict[str, tuple[str, set[int]]] = {
    "an item behind items that are not seen": (
        "maps = [*others, 'auto']\nAutoModel.from_pretrained('x', device_map=maps[1])\n",
        set(),
    ),
    "a dict behind dicts that are not seen": (
        "cfgs = [*others, {'device_map': 'auto'}]\nAutoModel.from_pretrained('x', **cfgs[1])\n",
        set(),
    ),
    "a class by position beside a parameter that is only a keyword": (
        "def prepare(cls, *, revision):\n"
        "    return cls.from_pretrained('x', revision=revision, device_map='auto')\n"
        "prepare(AutoModel, revision='r')\n",
        {2},
    ),
    "a class that is only a keyword": (
        "def prepare(*, name, cls):\n"
        "    return cls.from_pretrained(name, device_map='auto')\n"
        "prepare(name='x', cls=AutoModel)\n",
        {2},
    ),
    "a dict that an earlier argument of the call writes": (
        "cfg = {}\nAutoModel.from_pretrained('x', revision=cfg.setdefault('device_map', 'auto'), **cfg)\n",
        {2},
    ),
    "an attribute of another object": (
        "box.cfg = {'device_map': 'auto'}\nbox = other()\nAutoModel.from_pretrained('x', **box.cfg)\n",
        set(),
    ),
    "an attribute of the same object": (
        "box.cfg = {'device_map': 'auto'}\nAutoModel.from_pretrained('x', **box.cfg)\n",
        {2},
    ),
    "a dict of another class": (
        "class A:\n    KW = {'device_map': 'auto'}\n"
        "class B:\n    def load(self):\n        AutoModel.from_pretrained('x', **A.KW)\n",
        {5},
    ),
    "an annotated dict of the constructor": (
        "class A:\n    def __init__(self):\n        self.kw: dict = {'device_map': 'auto'}\n"
        "    def load(self):\n        AutoModel.from_pretrained('x', **self.kw)\n",
        {5},
    ),
    "an annotated dict of the class is a field: the constructor's choice": (
        "class A:\n    kw: dict = {'device_map': 'auto'}\n"
        "    def load(self):\n        AutoModel.from_pretrained('x', **self.kw)\n",
        set(),
    ),
    "a dict written as an item of another dict": (
        "cfg = {'device_map': 'auto'}\nwhole = {'a': cfg}\nwhole['a']['device_map'] = pick()\n"
        "AutoModel.from_pretrained('x', **cfg)\n",
        set(),
    ),
    "a dict by a name whose module the project has not": (
        "import settings\nAutoModel.from_pretrained('x', **settings.LOAD)\n",
        set(),
    ),
    "a global that a function writes": (
        "cfg = {}\ndef setup():\n    global cfg\n    cfg = {'device_map': 'auto'}\nsetup()\n"
        "AutoModel.from_pretrained('x', **cfg)\n",
        {6},
    ),
    "a local of the same name": (
        "cfg = {}\ndef setup():\n    cfg = {'device_map': 'auto'}\nsetup()\n"
        "AutoModel.from_pretrained('x', **cfg)\n",
        set(),
    ),
    "an item that is written from the end": (
        "cfgs = [{'device_map': 'auto'}, {}]\ncfgs[-2] = pick()\nAutoModel.from_pretrained('x', **cfgs[0])\n",
        set(),
    ),
    "another item than the one that is written": (
        "cfgs = [{'device_map': 'auto'}, {}]\ncfgs[1] = pick()\nAutoModel.from_pretrained('x', **cfgs[0])\n",
        {3},
    ),
    "a dict that a with statement gives": (
        "with build() as cfg:\n    AutoModel.from_pretrained('x', **cfg)\n",
        set(),
    ),
    "a name that an error took from its dict": (
        "try:\n    cfg = {'device_map': 'auto'}\nexcept Error as cfg:\n    pass\nAutoModel.from_pretrained('x', **cfg)\n",
        set(),
    ),
    "a function that writes over what its caller passes": (
        "def get(name, **kw):\n    kw['device_map'] = pick()\n    return AutoModel.from_pretrained(name, **kw)\n"
        "get('x', device_map='auto')\n",
        set(),
    ),
    "a function that may write over what its caller passes": (
        "def get(name, **kw):\n    if maybe():\n        kw['device_map'] = pick()\n"
        "    return AutoModel.from_pretrained(name, **kw)\nget('x', device_map='auto')\n",
        set(),
    ),
    "a function that may write another map": (
        "def get(name, **kw):\n    if maybe():\n        kw['device_map'] = 'balanced'\n"
        "    return AutoModel.from_pretrained(name, **kw)\nget('x', device_map='auto')\nget('x')\n",
        {5},
    ),
    "a function that may take out what its caller passes": (
        "def get(name, **kw):\n    if maybe():\n        kw.pop('device_map')\n"
        "    return AutoModel.from_pretrained(name, **kw)\nget('x', device_map='auto')\n",
        set(),
    ),
    "a function that may add another argument": (
        "def get(name, small, **kw):\n    if small:\n        return AutoModel.from_pretrained(name, **kw)\n"
        "    if maybe():\n        kw['trust_remote_code'] = True\n"
        "    return AutoModel.from_pretrained(name, **kw)\nget('x', True, device_map='auto')\n",
        {7},
    ),
    "the default of a class that is only a keyword": (
        "def prepare(*, name, cls=AutoModel):\n"
        "    return cls.from_pretrained(name, device_map='auto')\n"
        "prepare(name='x')\n",
        {2},
    ),
    "a method of a dict as an object": (
        "cfg = {'a': {'device_map': 'auto'}}\nget = cfg.get\neach = cfg.values\n"
        "AutoModel.from_pretrained('x', **get('a'))\nAutoModel.from_pretrained('x', **cfg['a'])\n",
        {5},
    ),
    "a default that gives way to a dict with None": (
        "cfg = None or {'device_map': 'auto'}\nAutoModel.from_pretrained('x', **cfg)\n",
        {2},
    ),
    "each dict of a list": (
        "for cfg in [{'device_map': 'auto'}, {'revision': 'a'}]:\n    AutoModel.from_pretrained('x', **cfg)\n",
        {2},
    ),
    "a dict in a branch that leaves the loop": (
        "for x in xs:\n    cfg = {'device_map': pick()}\n    if x:\n        cfg = {'device_map': 'auto'}\n"
        "        break\nelse:\n    cfg = {'device_map': 'auto'}\nAutoModel.from_pretrained('x', **cfg)\n",
        {8},
    ),
}


@pytest.mark.parametrize("name", SHAPES)
def test_what_a_shape_says_of_its_device_map(name: str) -> None:
    code, lines = SHAPES[name]
    found = telepathy_lint.lint(HEAD + code)
    reported = [each for each in found if each.code == "TLP101"]
    assert {each.span.line - 1 for each in reported} == lines
    assert not any("None" in each.message for each in reported)


LOADED = "from transformers import AutoModel\nm = AutoModel.from_pretrained('x', device_map='auto')\n"
#: What is done with a placed model, and the lines (behind the load) at which it is moved.
MOVES: dict[str, tuple[str, set[int]]] = {
    "items with their numbers": ("for i, each in enumerate([m]):\n    each.to('cuda')\n", {2}),
    "numbers are no items": ("for each, i in enumerate([m]):\n    each.to('cuda')\n", set()),
    "the second of what a call gives is unknown": (
        "for name, each in chosen([m]):\n    each.to('cuda')\n",
        set(),
    ),
    "the second of two lists": ("for n, each in zip(names, [m]):\n    each.to('cuda')\n", {2}),
    "names that change places in a loop": (
        "n = m\nwhile more():\n    m, n = n, m\nm.to('cuda')\n",
        {4},
    ),
    "a name that holds itself": ("while more():\n    m = m.eval()\nm.to('cuda')\n", {3}),
    "a list that holds its own item": ("ms = [m]\nwhile more():\n    ms = [ms[0]]\nms[0].to('cuda')\n", {4}),
}


@pytest.mark.parametrize("name", MOVES)
def test_which_objects_a_shape_moves(name: str) -> None:
    code, lines = MOVES[name]
    found = telepathy_lint.lint(LOADED + code)
    assert {each.span.line - 2 for each in found if each.code == "TLP106"} == lines


@pytest.mark.parametrize(
    ("helper", "call", "sets"),
    [
        ("def prepare(tok):", "prepare(tok)", True),
        ("def prepare(tok):", "prepare(tok=tok)", True),
        ("def prepare(*, tok):", "prepare(tok=tok)", True),
        ("def prepare(other, tok=None):", "prepare(tok)", False),
        ("def prepare(other=None, tok=None):", "prepare(other=tok)", False),
        ("def prepare(other=None, *, tok=None):", "prepare(tok, tok=more)", False),
    ],
)
def test_which_parameter_an_argument_fills(helper: str, call: str, sets: bool) -> None:
    found = telepathy_lint.lint(
        "from transformers import AutoModelForCausalLM, AutoTokenizer\n"
        f"{helper}\n    tok.pad_token = tok.eos_token\n"
        "AutoModelForCausalLM.from_pretrained('x')\n"
        f"tok = AutoTokenizer.from_pretrained('x')\n{call}\ntok(texts, padding=True)\n"
    )
    assert ("TLP201" not in {each.code for each in found}) == sets


@pytest.mark.parametrize("decorator", ["", "@torch.no_grad()\n"])
def test_a_function_without_gradients_trains_nothing(decorator: str) -> None:
    found = telepathy_lint.lint(
        "import torch\nfrom transformers import AutoModel\nm = AutoModel.from_pretrained('x')\n"
        f"{decorator}def run(given):\n    return m(inputs_embeds=given).last_hidden_state\n"
        "m.eval()\nbridge = torch.nn.Linear(3, 3)\noptimizer = torch.optim.Adam(bridge.parameters())\n"
        "for batch in data:\n    run(bridge(batch)).sum().backward()\n    optimizer.step()\n"
    )
    assert ("TLP206" in {each.code for each in found}) == (not decorator)
