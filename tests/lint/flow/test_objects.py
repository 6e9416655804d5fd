"""All rules follow the same object, however it is passed on; expectations come from running the code."""

from __future__ import annotations

import textwrap
from typing import Any, NamedTuple

import pytest

from telepathy_lint import engine
from telepathy_lint import rules as registry
from telepathy_lint.flow.tree import Tree
from telepathy_lint.settings import Settings
from telepathy_lint.source.text import Source
from tests.lint.flow.object_programs import uses

IMPORTS = """\
import copy
import functools
import torch
from peft import PeftModel, get_peft_model
from transformers import AutoModelForCausalLM, AutoTokenizer
"""

#: How the object gets to be called `x`. M() is the load.
SHAPES = {
    "name": "x = M()",
    "two names": "y = M()\nx = y",
    "two names at once": "x = y = M()",
    "unpacked": "x, n = M(), 1",
    "walrus": "if (x := M()):\n    pass",
    "evaluation mode": "x = M().eval()",
    "frozen": "x = M()\nx = x.requires_grad_(False)",
    "cast": "x = M().to(torch.bfloat16)",
    "cast and cast again": "x = M().to(dtype).half()",
    "on the CPU": 'x = M().cpu().to("cpu")',
    "compiled": "x = torch.compile(M())",
    "compiled in place": "x = M()\nx = torch.compile(x)",
    "prepared": "x = accelerator.prepare(M())",
    "prepared beside another": "n = other()\nx = M()\nx, n = accelerator.prepare(x, n)",
    "prepared, and the other": "n = other()\nm = M()\nm, x = accelerator.prepare(m, n)",
    "wrapped": "x = torch.nn.DataParallel(M())",
    "wrapped, then unwrapped": "x = torch.nn.DataParallel(M()).module",
    "adapter": 'x = PeftModel.from_pretrained(M(), "adapter")',
    "adapter by keyword": 'x = PeftModel.from_pretrained(model=M(), model_id="adapter")',
    "new adapter": "x = get_peft_model(M(), ids)",
    "merged": 'x = PeftModel.from_pretrained(M(), "adapter").merge_and_unload()',
    "copied": "x = copy.deepcopy(M())",
    "both arms": "x = M() if maybe() else M()",
    "one arm": "x = M() if maybe() else other()",
    "or": "x = None or M()",
    "both branches": "if maybe():\n    x = M()\nelse:\n    x = M().eval()",
    "one branch": "if maybe():\n    x = M()\nelse:\n    x = other()",
    "bound anew": "x = M()\nx = other()",
    "bound before": "x = other()\nx = M()",
    "bound anew under a condition": "x = M()\nif maybe():\n    x = other()",
    "bound anew in a loop": "x = M()\nfor _ in some():\n    x = other()",
    "try": "try:\n    x = M()\nexcept ValueError:\n    x = M()",
    "try, else another": "x = other()\nif maybe():\n    try:\n        x = M()\n    except ValueError:\n        x = other()",
    "result": "def load():\n    return M()\nx = load()",
    "result by a name": "def load(name):\n    made = M()\n    made.eval()\n    return made\nx = load(ids)",
    "result of a result": "def load():\n    return M()\ndef get():\n    return load().eval()\nx = get()",
    "result of either return": "def load():\n    if maybe():\n        return M()\n    return M()\nx = load()",
    "result of one return": "def load():\n    if maybe():\n        return M()\n    return other()\nx = load()",
    "one of two results": "def load():\n    return M(), other()\nx, y = load()",
    "the other of two results": "def load():\n    return M(), other()\ny, x = load()",
    "result that hands its argument on": "def same(given):\n    given.eval()\n    return given\nx = same(M())",
    "result of an unseen function": "x = wrap(M())",
    "another function's result": "y = M()\nx = other()",
    "an unseen object": "y = M()\nx = unseen()",
    "in a list": "held = [M()]\nx = held[0]",
    "in a list beside another": "held = [M(), other()]\nx = held[0]",
    "the other in a list": "held = [M(), other()]\nx = held[1]",
    "put into a list": "held = []\nheld.append(M())\nx = held[0]",
    "in a dict": 'held = {"a": M()}\nx = held["a"]',
    "in a dict, by get": 'held = {"a": M()}\nx = held.get("a")',
    "in a dict beside another": 'held = {"a": M(), "b": other()}\nx = held[("a", "b")[maybe()]]',
    "put into a dict": 'held = {}\nheld["a"] = M()\nx = held["a"]',
    "a loop's": "for x in [M(), M()]:\n    pass",
    "a loop's among others": "for x in (M(), other()):\n    if maybe():\n        break",
    "of a comprehension": "x = [M() for _ in range(1)][0]",
    "attribute, bound anew": "class Holder:\n    def get(self):\n        self.m = M()\n        self.m = other()\n        return self.m\nx = Holder().get()",
    "attribute, bound before": "class Holder:\n    def get(self):\n        self.m = other()\n        self.m = M()\n        return self.m\nx = Holder().get()",
    "attribute, of the other branch": (
        "class Holder:\n    def get(self):\n        if maybe():\n            self.m = M()\n            return other()\n"
        "        self.m = other()\n        return self.m\nx = Holder().get()"
    ),
    "attribute, of its branch": (
        "class Holder:\n    def get(self):\n        if maybe():\n            self.m = M()\n            return self.m\n"
        "        self.m = other()\n        return M()\nx = Holder().get()"
    ),
    "attribute that another method binds anew": (
        "class Holder:\n    def swap(self):\n        self.m = other()\n    def get(self):\n        self.m = M()\n"
        "        if maybe():\n            self.swap()\n        return self.m\nx = Holder().get()"
    ),
    "a part": "x = M().lm_head",
    "what it answers": "x = M()(ids)",
    "an attribute": "class Box:\n    pass\nbox = Box()\nbox.held = M()\nx = box.held",
    "an attribute of a class": "class Box:\n    held = M()\nx = Box.held",
    "of self": "class Lab:\n    def __init__(self):\n        self.held = M()\n    def get(self):\n        return self.held\nx = Lab().get()",
    "of an object": "class Lab:\n    def __init__(self):\n        self.held = M()\nlab = Lab()\nx = lab.held",
    "of another object": "class Lab:\n    def __init__(self):\n        self.held = M()\nlab = Lab()\nx = unseen().held",
    "of self, bound anew": (
        "class Lab:\n    def __init__(self):\n        self.held = M()\n    def change(self):\n        self.held = other()\n"
        "lab = Lab()\nif maybe():\n    lab.change()\nx = lab.held"
    ),
    "given to a class": "class Lab:\n    def __init__(self, held):\n        self.held = held\nx = Lab(M()).held",
    "a property": "class Lab:\n    def __init__(self):\n        self._held = M()\n    @property\n    def held(self):\n        return self._held\nx = Lab().held",
    "its class's own `to`": "class Lab:\n    def __init__(self):\n        self.held = M()\n    def to(self, where):\n        return other()\nx = Lab().to(ids)",
    "global": "x = None\ndef start():\n    global x\n    x = M()\nstart()",
    "partial": "load = functools.partial(M0, A)\nx = load()",
    "by another name": "load = M0\nx = load(A)",
    "through a `with`": "with M() as x:\n    pass",
}  # fmt: skip
#: How the use stands to it.
PLACES = {
    "here": "{made}\n{read}",
    "in a function": "def run():\n{made4}\n{read4}\nrun()",
    "in a function below": "{made}\ndef run():\n{read4}\nrun()",
    "given to a helper": "def use(x):\n{read4}\n{made}\nuse(x)",
    "given by its name": "def use(n, *, x=None):\n{read4}\n{made}\nuse(1, x=x)",
    "given on": "def deep(x):\n{read4}\ndef use(x):\n    deep(x)\n{made}\nuse(x)",
    "given beside another": "def use(x):\n{read4}\n{made}\nuse(x)\nuse(other())",
    "given to a function that is handed on": "def use(x):\n{read4}\n{made}\nuse(x)\nprint(map(use, ids))",
    "on self": "class Job:\n    def __init__(self):\n{made8}\n        self.x = x\n    def run(self):\n{self8}\nJob().run()",
}


class Asked(NamedTuple):
    """A rule, the load and the use of `x` that it examines, and the expected answer."""

    load: str
    read: str
    #: Whether the rule reports only what is surely the object; else it is silent about what might be.
    surely: bool


_MODEL = 'AutoModelForCausalLM.from_pretrained("gpt2"{more})'
_TOKENIZER = 'AutoTokenizer.from_pretrained("gpt2"{more})'
ASKED = {
    "TLP106": Asked(_MODEL.format(more=', device_map="auto"'), 'x.to("cuda")', True),
    "TLP204": Asked(_MODEL.format(more=""), "x.generate(ids, do_sample=False, temperature=0.7)", True),
    "TLP205": Asked(
        _TOKENIZER.format(more=', padding_side="right"'), "net.generate(**x(prompts, padding=True))", True
    ),
    "TLP105": Asked(_MODEL.format(more=""), "x.generation_config.max_new_tokens = 5", False),
    "TLP201": Asked(_TOKENIZER.format(more=""), 'x.pad_token = "<pad>"', False),
}
_BESIDE = 'net = AutoModelForCausalLM.from_pretrained("gpt2", generation_config=ids)\n'


def program(shape: str, place: str, asked: Asked) -> str:
    name, _, given = asked.load.partition("(")
    made = SHAPES[shape].replace("M()", asked.load).replace("M0", name)
    made, read = made.replace("A)", given), asked.read
    return (
        PLACES[place].format(
            made=made,
            read=read,
            made4=textwrap.indent(made, " " * 4),
            read4=textwrap.indent(read, " " * 4),
            made8=textwrap.indent(made, " " * 8),
            self8=textwrap.indent(read.replace("x.", "self.x.").replace("x(", "self.x("), " " * 8),
        )
        + "\n"
    )


def reported(code: str, rule: str) -> bool:
    source = Source("script.py", (IMPORTS + code).encode())
    return bool(engine.lint(source, registry.select([rule]), Settings(strict=True)))


def cases() -> list[Any]:
    return [
        pytest.param(place, shape, id=f"{place}: {shape}")
        for place in PLACES
        for shape in SHAPES
        if not (shape == "global" and place in ("in a function", "on self"))
    ]


#: Shapes of a model only: a tokenizer is not cast, compiled or wrapped.
_OF_MODELS = ("torch.", ".eval()", ".half()", "eft", "prepare", "lm_head", "requires_grad")


@pytest.mark.parametrize(("place", "shape"), cases())
def test_every_rule_sees_the_object_that_the_program_uses(place: str, shape: str) -> None:
    wrong = []
    for rule, asked in ASKED.items():
        if "Tokenizer" in asked.load and any(word in SHAPES[shape] for word in _OF_MODELS):
            continue
        code = program(shape, place, asked)
        beside = _BESIDE if "Tokenizer" in asked.load else ""
        runs = uses(beside + code)
        used = [each for run in runs for each in run]
        found = reported(beside + code, rule)
        if asked.surely:
            expected = bool(used) and all(used) and not is_open(place)
            missed = expected and not found and is_either(shape, place)
        else:
            expected = not any(used)
            missed = expected and not found and might_be(shape, place)
        if found != expected and not missed:
            wrong.append(f"{rule}: reported {found}, the runs used a loaded object: {runs}\n{beside + code}")
    assert not wrong, "\n".join(wrong)


#: Shapes of which the follower says that they might be the object, although no run shows it.
MIGHT_BE = {
    "a part": "the owner of an attribute counts",
    "what it answers": "what a call answers may be what was called",
    "of another object": "attributes are told apart by their names",
}


def might_be(shape: str, place: str) -> bool:
    return shape in MIGHT_BE or is_either(shape, place) or is_open(place)


def is_either(shape: str, place: str) -> bool:
    """Whether a function reads a module-level name that was rebound: it may have any of the values."""
    return place == "in a function below" and shape in ("bound anew", "bound before")


def is_open(place: str) -> bool:
    """Whether other files may call the function with other objects."""
    return place == "given to a function that is handed on"


# ---- what is a load


_PIPELINE = 'pipeline("text-generation", model={})'


@pytest.mark.parametrize(
    ("before", "given", "is_load"),
    [
        ("from awq import AutoAWQForCausalLM\nm = AutoAWQForCausalLM.from_quantized(path)", "m", False),
        ("m = torch.load(path)", "m", False),
        ("from lib import load\nm, t = load(path)", "m, tokenizer=t", False),
        ("from lib import load\nm, t = load(path)", 'm, tokenizer=t, device_map="auto"', False),
        ("from lib import build_model", "build_model()", False),
        ("from lib import build_model\nm = build_model()", "m", False),
        ("m = M()", "m", False),
        ("m = M()", 'm, device_map="auto"', False),
        ("", "config.model", False),
        ("", "config.model, torch_dtype=dtype", True),
        ("", 'config.model, device_map="auto"', True),
        ("", 'config.model, device_map="auto", tokenizer=config.tokenizer_name', True),
        ("t = AutoTokenizer.from_pretrained(path)", 'config.model, device_map="auto", tokenizer=t', False),
        ("", 'cfg["model"], device_map="auto"', True),
        ("", 'lab.model, device_map="auto"', False),
        ("", "args.model", True),
        ("", "config.model_name", True),
        ("", '"gpt2"', True),
        ("t = AutoTokenizer.from_pretrained(path)", '"gpt2", tokenizer=t', True),
    ],
)
def test_a_pipeline_loads_what_it_is_given_by_an_id(before: str, given: str, is_load: bool) -> None:
    model = _MODEL.format(more=', attn_implementation="sdpa"')
    code = f"from transformers import pipeline\n{before.replace('M()', model)}\npipe = {_PIPELINE.format(given)}\n"
    assert reported(code, "TLP104") is is_load


@pytest.mark.parametrize(
    ("parameter", "is_load"), [("model", False), ("model: str", True), ("model_id", True)]
)
def test_a_parameter_of_a_pipeline_is_an_id_by_its_name_or_type(parameter: str, is_load: bool) -> None:
    name = parameter.partition(":")[0]
    code = f"from transformers import pipeline\ndef make({parameter}, tokenizer):\n    return {_PIPELINE.format(name)}\n"
    assert reported(code, "TLP104") is is_load


_TABLE = 'CLASSES = {"a": AutoModelForCausalLM, "b": AutoModel}\n'
_PREPARE = 'def prepare(args, cls):\n    return cls.from_pretrained(args.path, device_map="auto")\n'


@pytest.mark.parametrize(
    ("code", "is_load"),
    [
        ("def pick(n):\n    return AutoModel\npick(n).from_pretrained(n, device_map='auto')", True),
        ("def pick(n):\n    if n:\n        return AutoModel\n    return other\npick(n).from_pretrained(n, device_map='auto')", False),
        ("def pick(n):\n    return TABLE[n]\npick(n).from_pretrained(n, device_map='auto')", False),
        (f"{_TABLE}def pick(n):\n    return CLASSES[n]\nc = pick(n)\nc.from_pretrained(n, device_map='auto')", True),
        (f"{_TABLE}{_PREPARE}prepare(args, CLASSES[kind])", True),
        (f"{_TABLE}{_PREPARE}prepare(args, cls=CLASSES[kind])", True),
        (f"{_PREPARE}prepare(args, AutoModel)\nprepare(args, AutoModelForCausalLM)", True),
        (f"{_PREPARE}prepare(args, AutoModel)\nprepare(args, other)", False),
        (f"{_PREPARE}prepare(args, AutoModel)\nmap(prepare, everything)", False),
        (_PREPARE, False),
        ("getattr(transformers, name).from_pretrained(path, device_map='auto')", True),
        ("c = getattr(transformers, f'{n}ForCausalLM')\nc.from_pretrained(path, device_map='auto')", True),
        ("getattr(other, name).from_pretrained(path, device_map='auto')", False),
        ("c = getattr(transformers, name)\nc.from_pretrained(path, padding_side='left')", False),
    ],
)  # fmt: skip
def test_classes_that_arrive_by_functions_and_tables(code: str, is_load: bool) -> None:
    code = f"import transformers\nfrom transformers import AutoModel\n{code}\n"
    assert reported(code, "TLP104") is is_load
    assert reported(code, "TLP101") is is_load


@pytest.mark.parametrize(
    ("body", "is_load"),
    [
        ("return AutoModel.from_pretrained(name, **more)", True),
        ("if maybe():\n        return AutoModel.from_pretrained(name, **more)\n    return other(name)", False),
        ("if maybe():\n        m = AutoModel.from_pretrained(name, **more)\n    else:\n        m = other()\n    return m", False),
        (
            "if maybe():\n        m = AutoModel.from_pretrained(name, **more)\n    else:\n"
            "        m = AutoModelForCausalLM.from_pretrained(name, **more)\n    return m", True,
        ),
        ("if maybe():\n        return AutoModel.from_pretrained(name, **more)\n    return AutoModel.from_pretrained(name, **more)", True),
        ("if maybe():\n        raise ValueError\n    return AutoModel.from_pretrained(name, **more)", True),
        ("if maybe():\n        return None\n    return AutoModel.from_pretrained(name, **more)", False),
        ("try:\n        return AutoModel.from_pretrained(name, **more)\n    except OSError:\n        raise", True),
        ("return AutoModel.from_pretrained(name, **more) if maybe() else other()", False),
        ("with torch.no_grad():\n        m = AutoModel.from_pretrained(name, **more)\n    return m", True),
        ("for _ in some():\n        m = AutoModel.from_pretrained(name, **more)\n    return m", False),
    ],
)  # fmt: skip
def test_a_function_is_a_load_where_it_surely_passes_its_arguments_on(body: str, is_load: bool) -> None:
    code = f'from transformers import AutoModel\ndef load(name, **more):\n    {body}\nx = load("gpt2", device_map="auto")\n'
    assert reported(code, "TLP101") is is_load


@pytest.mark.parametrize(
    ("event", "rule", "load"),
    [
        ("model.generation_config = cfg", "TLP105", _MODEL.format(more="")),
        ("model.pad_token = model.eos_token", "TLP201", _TOKENIZER.format(more="")),
    ],
)
@pytest.mark.parametrize(
    ("rest", "is_reported"),
    [
        ("x = {load}\nprint(x)", True),
        ("x = {load}\nother.Trainer(x)", True),
        ("x = {load}\nx.run()\nx(1)", True),
        ("x = {load}\ntune(x, 1)", False),
        ("x = {load}\nlater(tune)", False),
        ("def load():\n    return {load}", False),
        ("class Lab:\n    def __init__(self):\n        self.x = {load}", False),
        ("class Lab:\n    def __init__(self, x):\n        self.x = x\nLab({load})", False),
        ("x = {load}\nall_of_them.append(x)", False),
    ],
)
def test_what_happens_in_a_function_that_nothing_calls(
    event: str, rule: str, load: str, rest: str, is_reported: bool
) -> None:
    code = f"import other\ndef tune(model, cfg):\n    {event}\n{rest.format(load=load)}\n"
    assert reported(_BESIDE + code, rule) is is_reported


def test_marimo_s_cells_get_what_other_cells_import() -> None:
    cell = '@app.cell\ndef _(AutoModel):\n    model = AutoModel.from_pretrained("gpt2", device_map="auto")\n    return (model,)\n'
    made = "@app.cell\ndef _():\n    from {} import AutoModel\n    return (AutoModel,)\n"
    head = "import marimo\napp = marimo.App()\n"
    plain = Source("nb.py", (head + made.format("transformers") + cell).encode())
    found = engine.lint(plain, registry.select(["TLP101", "TLP104"]), Settings(strict=True))
    assert [(each.code, each.line) for each in found] == [("TLP104", 9), ("TLP101", 9)]
    assert not any(each.fix is not None and each.fix.edits for each in found)
    for other in (head + made.format("elsewhere") + cell, head + cell):
        assert not engine.lint(Source("nb.py", other.encode()), registry.select(["TLP101"]), Settings())


@pytest.mark.parametrize(
    ("library", "is_reported"),
    [("import torch", True), ("from optimum.intel import OVModelForCausalLM", False)],
)
def test_a_name_that_nothing_binds_beside_a_library_that_has_it_too(library: str, is_reported: bool) -> None:
    code = f'{library}\nm = AutoModelForCausalLM.from_pretrained("gpt2", use_auth_token=True)\n'
    found = engine.lint(Source("a.py", code.encode()), registry.select(["TLP107"]), Settings())
    assert bool(found) is is_reported


_TRAINING = """\
model = AutoModelForCausalLM.from_pretrained("gpt2").eval()
bridge = torch.nn.Linear(16, 768)
opt = torch.optim.AdamW(bridge.parameters())
for batch in [torch.zeros(1, 4, 16)]:
    model(inputs_embeds=bridge(batch)).logits.mean().backward()
    opt.step()
"""


@pytest.mark.parametrize(
    ("later", "is_reported"),
    [
        ("", True),
        ('opt.add_param_group({"params": model.parameters()})', False),
        ('later = opt.add_param_group\nlater({"params": model.parameters()})', False),
        ("peft_model = get_peft_model(model, ids)", False),
        ("model.train()", False),
        ("torch.compile(model).train()", False),
    ],
)
def test_a_model_that_is_trained_later_is_not_frozen(later: str, is_reported: bool) -> None:
    assert reported(f"{_TRAINING}{later}\n", "TLP206") is is_reported


GRADIENTS = """\
model = AutoModelForCausalLM.from_pretrained("gpt2").eval()
bridge = torch.nn.Linear(16, 768)
optimizer = torch.optim.AdamW(bridge.parameters())
for batch in batches():
    x = bridge(batch)
{steps}
    loss = model(inputs_embeds=x).logits.mean()
    loss.backward()
    optimizer.step()
"""


def test_gradients_are_followed_without_searching_each_statement(monkeypatch: pytest.MonkeyPatch) -> None:
    visit, visits = Tree.visit, 0

    def counted(tree: Tree, lines: Any) -> Any:
        nonlocal visits
        visits += 1
        return visit(tree, lines)

    def visits_for(count: int) -> int:
        nonlocal visits
        visits = 0
        steps = "\n".join(f"    x = torch.relu(x + {each})" for each in range(count))
        source = Source("x.py", (IMPORTS + GRADIENTS.format(steps=steps)).encode())
        found = engine.lint(source, registry.select(["TLP206"]), Settings())
        assert [each.code for each in found] == ["TLP206"]
        return visits

    monkeypatch.setattr(Tree, "visit", counted)
    assert visits_for(100) == visits_for(5)
