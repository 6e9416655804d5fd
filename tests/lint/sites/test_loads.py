"""Properties of sites that no rule's finding shows: ids, argument lists, the objects of calls."""

from __future__ import annotations

import pytest

from telepathy_lint import engine, facts
from telepathy_lint import rules as registry
from telepathy_lint.settings import Settings
from telepathy_lint.sites import Site, scan
from telepathy_lint.source.text import Source

IMPORTS = "from transformers import AutoModelForCausalLM as M, AutoProcessor, AutoTokenizer, GenerationConfig, pipeline\n"


def sites(code: str, *kinds: str) -> list[Site]:
    found = scan(Source("s.py", (IMPORTS + code).encode())).sites
    return [site for site in found if not kinds or site.kind in kinds]


def kept(code: str, *select: str) -> list[int]:
    """The lines, in the code alone, that the rules report with `strict`."""
    found = engine.lint(
        Source("s.py", (IMPORTS + code).encode()), registry.select(select), Settings(strict=True)
    )
    return [violation.line - IMPORTS.count("\n") for violation in found]


# ---- ids


@pytest.mark.parametrize(
    ("code", "ids"),
    [
        ("def load(name, **k):\n    return M.from_pretrained(name, **k)\nload('a', x=1)", [None, "a"]),
        ("def load(name, **k):\n    return M.from_pretrained(name, **k)\nload(x='b', name='a')", [None, "a"]),
        ("def load(n, name, **k):\n    return M.from_pretrained(name, **k)\nload('b', 'a')", [None, "a"]),
        ("def load(n, name, **k):\n    return M.from_pretrained(name, **k)\nload('b')", [None, None]),
        ("def load(**k):\n    return M.from_pretrained('a', **k)\nload(x='b')", ["a", "a"]),
        ("def load(cls, name, **k):\n    return M.from_pretrained(name, **k)\nload('b', 'a')", [None, "a"]),
        (
            "class L:\n    def load(self, name, **k):\n        return M.from_pretrained(name, **k)\nL().load('a', 'b')",
            [None, "a"],
        ),
        (
            "class L:\n    @classmethod\n    def load(cls, name, **k):\n        return M.from_pretrained(name, **k)\nL.load('a', 'b')",
            [None, "a"],
        ),
        (
            "class L:\n    @staticmethod\n    def load(name, **k):\n        return M.from_pretrained(name, **k)\nL.load('a', 'b')",
            [None, "a"],
        ),
        ("from functools import partial\nload = partial(M.from_pretrained, 'a')\nload('b')", ["a"]),
        ("from functools import partial\nload = partial(M.from_pretrained, token='b')\nload('a')", ["a"]),
        ("M.from_pretrained(*names)", [None]),
        ("M.from_pretrained('a' if x else 'b')", [None]),
    ],
)
def test_the_id_a_load_gets(code: str, ids: list[str | None]) -> None:
    assert [site.model_id for site in sites(code)] == ids


@pytest.mark.parametrize(
    ("code", "indirect"),
    [
        ("M.from_pretrained('a')", [False]),
        ("load = M.from_pretrained\nload('a')", [True]),
        ("from functools import partial\nload = partial(M.from_pretrained, token='b')\nload('a')", [True]),
        ("def load(**k):\n    return M.from_pretrained('a', **k)\nload()", [False, True]),
    ],
)
def test_what_is_called_under_another_name_is_indirect(code: str, indirect: list[bool]) -> None:
    assert [site.indirect for site in sites(code)] == indirect


def test_a_configured_function_is_known_as_one() -> None:
    source = Source("s.py", b"from lab import get\nget('a')\n")
    (site,) = scan(source, Settings(wrappers=("lab.get",))).sites
    assert site.configured
    assert site.indirect
    assert site.callee == "get"


# ---- argument lists


@pytest.mark.parametrize(
    ("call", "opaque", "names"),
    [
        ("pipeline('text-generation', 'gpt2', *rest)", True, {"task", "model"}),
        ("pipeline('text-generation', 'gpt2', None, None, None, None, None, None, *rest)", False, None),
        ("pipeline(*rest, model='gpt2')", True, {"model"}),
        ("M.from_pretrained(*rest)", False, set()),
        ("M.from_pretrained('gpt2', *rest)", False, {"pretrained_model_name_or_path"}),
        (
            "M.from_pretrained('gpt2', **hidden, **{'token': 1})",
            True,
            {"pretrained_model_name_or_path", "token"},
        ),
    ],
)
def test_what_stands_behind_a_star_is_not_seen(call: str, opaque: bool, names: set[str] | None) -> None:
    (site,) = sites(call)
    assert site.opaque is opaque
    assert names is None or set(site.arguments) == names


def test_what_only_one_of_two_dicts_brings_in_is_optional() -> None:
    (site,) = sites(
        "M.from_pretrained('gpt2', **({'token': 1, 'revision': 'a'} if x else {'revision': 'b'}))"
    )
    assert site.arguments["token"].optional
    assert not site.arguments["revision"].optional


def test_a_default_for_what_cannot_be_seen_may_not_be_what_is_passed() -> None:
    code = "def load(**k):\n    k.setdefault('token', 1)\n    return M.from_pretrained('gpt2', **k)\n"
    (site,) = sites(code)
    assert [value.kind for value in site.arguments["token"].values] == ["param", "const"]
    assert site.opaque


# ---- moves

MAPPED = "model = M.from_pretrained('gpt2', device_map='auto')\n"


@pytest.mark.parametrize(
    ("code", "moves"),
    [
        (MAPPED + "net = model\nnet.to('cuda')", 1),
        (MAPPED + "net: object = model\nnet.cuda()", 1),
        (MAPPED + "net = model.eval().float()\nnet.to('cuda').eval()", 1),
        (MAPPED + "net = model if x else model\nnet.to('cuda')", 1),
        ("if (net := M.from_pretrained('gpt2', device_map='auto')):\n    pass\nnet.to('cuda')", 1),
        ("M.from_pretrained('gpt2', device_map='auto').eval().to('cuda')", 1),
        (MAPPED + "part = model.lm_head\npart.to('cuda')", 0),
        (MAPPED + "out = model.generate(x)\nout.to('cuda')", 0),
        (MAPPED + "net = model if x else other\nnet.to('cuda')", 0),
        ("model = M.from_pretrained('gpt2')\nmodel.to('cuda')", 0),
    ],
)
def test_moves_follow_the_model(code: str, moves: int) -> None:
    assert [site.callee.rpartition(".")[2] in ("to", "cuda") for site in sites(code, "move")] == [
        True
    ] * moves


def test_what_a_move_is_given() -> None:
    (site,) = sites(MAPPED + "model.to('cuda', 'float16', *rest)", "move")
    assert set(site.arguments) == {"device", "dtype", "device_map"}
    assert not site.opaque
    (site,) = sites(MAPPED + "model.to('cuda', *rest)", "move")
    assert set(site.arguments) == {"device", "device_map"}
    assert site.opaque
    (site,) = sites(MAPPED + "model.to(*rest, 'float16')", "move")
    assert set(site.arguments) == {"device_map"}
    assert site.opaque


# ---- whose `generate` it is


@pytest.mark.parametrize(
    "made",
    [
        *(
            f"net = model.{name}()"
            for name in ("to", "cuda", "cpu", "eval", "train", "half", "float", "bfloat16")
        ),
        "net = model.requires_grad_(False)",
        "model.tie_weights()\nnet = model",
        "net = None\nif x:\n    net = model",
        "net = torch.compile(model)",
        *(
            f"net = {name}(model).module"
            for name in ("DataParallel", "DistributedDataParallel", "DDP", "FSDP", "FullyShardedDataParallel")
        ),
        "net = copy.deepcopy(model)",
        "class A:\n    net: M\n    def __init__(self):\n        self.net = model\nnet = A().net",
        "net, optimizer = accelerator.prepare(model, optimizer)",
        "net = accelerator.prepare(model)",
        "nets = {'a': model}\nnet = nets.get('a')",
        "class A:\n    def fetch(self):\n        return model\n    def __init__(self):\n        self.net = self.fetch()\nnet = A().net",
        "with model as net:\n    pass",
        "for name, net in {'a': model}.items():\n    pass",
    ],
)
def test_it_is_the_loaded_model(made: str) -> None:
    (site,) = sites(f"model = M.from_pretrained('gpt2')\n{made}\nnet.generate(ids)\n", "generate")
    assert [each.model_id for each in site.about] == ["gpt2"]


@pytest.mark.parametrize(
    "made",
    [
        "net = model if x else other",
        "net = wrap(model)",
        "net = factory()(model)",
        "net = model + 1",
        "net = 1 if x else -model",
        "net = model.lm_head",
        "from helpers import other\nnet = model if x else other",
        "from helpers import optimizer\noptimizer, net = accelerator.prepare(model, optimizer)",
        "def run(net):\n    global model\n    model = net",
    ],
)
def test_it_may_be_another_object(made: str) -> None:
    found = sites(f"model = M.from_pretrained('gpt2')\n{made}\nnet.generate(ids)\n", "generate")
    assert [each.about for each in found] == [()]


@pytest.mark.parametrize("own", ["self", "cls"])
def test_an_attribute_is_that_of_its_own_class(own: str) -> None:
    code = f"""\
class A:
    def set({own}):
        {own}.net = M.from_pretrained('a')
    def run({own}):
        {own}.net.generate(ids)
class B:
    def set({own}):
        {own}.net = M.from_pretrained('b')
"""
    (site,) = sites(code, "generate")
    assert [each.model_id for each in site.about] == ["a"]


@pytest.mark.parametrize(
    ("call", "said"),
    [
        ("model.generate(ids, max_length=3)", True),
        ("model.generate(**{'max_length': 3})", True),
        ("model = M.from_pretrained('gpt2', max_length=3)", True),
        ("model.generate(**{'top_k': 3})", False),
        ("model.generate(ids, max_new_tokens=3)\nmax_length = 3", False),
        ("tokenizer(text, max_length=3)\nmodel.generate(ids)", False),
        ("Thread(target=model.generate, kwargs={'max_length': 3})", True),
        ("partial(model.generate, max_length=3)", True),
        ("Thread(target=model.generate, kwargs={'top_k': 3}).start(max_length=3)", False),
    ],
)
def test_whether_a_length_is_said_at_generate(call: str, said: bool) -> None:
    *_, site = sites(f"model = M.from_pretrained('gpt2')\n{call}\n", "model")
    assert facts.max_length_at_generate(site) is said


@pytest.mark.parametrize(
    ("given", "call", "said"),
    [
        ("", "pipe(text, max_length=3)", True),
        ("", "pipe(text, **{'max_length': 3})", True),
        ("", "pipe(image, generate_kwargs={'max_length': 3})", True),
        ("", "length = {'max_length': 3}\npipe(text, **length)", True),
        ("", "length = {'max_length': 3}\npipe(image, generate_kwargs=length)", True),
        ("", "class A:\n    p = pipe\n    def run(self):\n        self.p(text, max_length=3)", True),
        (", max_length=3", "pipe(text)", True),
        (", **{'max_length': 3}", "pipe(text)", True),
        ("", "pipe.tokenizer.encode(text)\ntokenizer(text, max_length=3)\npipe(text)", False),
        ("", "other = pipeline('text-generation', model='b')\nother(text, max_length=3)\npipe(text)", False),
        ("", "max_length = 3\npipe(text, max_new_tokens=max_length)", False),
    ],
)
def test_whether_a_length_is_said_to_a_pipeline(given: str, call: str, said: bool) -> None:
    code = (
        f"from transformers import pipeline\npipe = pipeline('text-generation', model='a'{given})\n{call}\n"
    )
    site = next(each for each in sites(code, "pipeline") if each.model_id == "a")
    assert facts.max_length_at_generate(site) is said


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("pipe = pipeline('text-generation', model=model, max_length=3)", True),
        ("pipe = pipeline('text-generation', model, max_length=3)", True),
        ("pipe = TextGenerationPipeline(model=model, tokenizer=tokenizer, max_length=3)", True),
        ("pipe = pipeline('text-generation', model=model)\npipe(text, max_length=3)", True),
        ("pipe = pipeline('text-generation', model=other, max_length=3)", False),
        ("pipe = pipeline('text-generation', model=model)\ntokenizer(text, max_length=3)", False),
        (
            "pack = Collator(model)\npack(texts, max_length=3)\npipe = pipeline('text-generation', model=model)",
            False,
        ),
    ],
)
def test_whether_a_length_is_said_to_a_pipeline_of_the_model(code: str, said: bool) -> None:
    head = (
        "from transformers import AutoTokenizer, TextGenerationPipeline, pipeline\n"
        "tokenizer = AutoTokenizer.from_pretrained('gpt2')\nother = M.from_pretrained('b')\n"
        "model = M.from_pretrained('a')\n"
    )
    site = next(each for each in sites(f"{head}{code}\n", "model") if each.model_id == "a")
    assert facts.max_length_at_generate(site) is said


@pytest.mark.parametrize(
    ("given", "opaque"),
    [
        ("**tokenizer('a')", False),
        ("**tokenizer('a').to('cuda')", False),
        *(
            (f"**t.{name}('a')", False)
            for name in ("apply_chat_template", "batch_encode_plus", "encode_plus")
        ),
        ("**t.pad(batch)", False),
        ("**t.prepare_for_model(ids)", False),
        ("**prep('a')", False),
        ("**{k: v.cuda() for k, v in tokenizer('a').items()}", False),
        ("**{k: v for k, v in items()}", True),
        ("**{k: v for k, v in options.items()}", True),
        ("**{k: v for k, v in tokenizer('a').keys()}", True),
        ("**options", True),
        ("*options", True),
    ],
)
def test_what_a_tokenizer_gives_says_nothing_of_decoding(given: str, opaque: bool) -> None:
    code = "prep = AutoProcessor.from_pretrained('gpt2')\nmodel = M.from_pretrained('gpt2')\n"
    (site,) = sites(f"{code}model.generate({given})\n", "generate")
    assert site.opaque is opaque


def test_what_a_dict_that_is_not_all_seen_says_of_decoding_is_optional() -> None:
    model = "model = M.from_pretrained('gpt2')\n"
    for given, optional in (
        ("**{'top_k': 1}", False),
        ("**{'top_k': 1, **hidden}", True),
        ("**({'top_k': 1} if x else {'top_k': 2, **hidden})", True),
    ):
        (site,) = sites(f"{model}model.generate({given})\n", "generate")
        assert site.arguments["top_k"].optional is optional


def test_a_config_is_the_second_argument_of_a_models_generate_alone() -> None:
    code = (
        "config = GenerationConfig(top_k=1)\nmodel = M.from_pretrained('gpt2')\nmodel.generate(ids, config)\n"
    )
    config, call = sites(code, "decoding", "generate")
    assert config.kind == "decoding"
    assert call.config is config
    code = "pipe = pipeline('text-generation', model='gpt2')\npipe('a', 'b', do_sample=True)\n"
    (call,) = sites(code, "generate")
    assert set(call.arguments) == {"do_sample"}


# ---- ids written apart from the loads

WRONG = "Qwen/Qwen2.5-9B"


@pytest.mark.parametrize(
    ("code", "lines"),
    [
        (f"for name in ['{WRONG}']:\n    load(name)", [1]),
        (f"for name in load(['{WRONG}']):\n    pass", []),
        (f"LIST = {{'model': '{WRONG}'}}", [1]),
        (f"LIST = {{'label': '{WRONG}'}}", []),
        (f"LIST = {{3: '{WRONG}'}}", []),
        (f"LIST = {{name: '{WRONG}'}}", []),
        (f"MODELS = {{**more, 3: '{WRONG}'}}", [1]),
        (f"def load(model='{WRONG}'): ...", [1]),
        (f"def load(a, b, model='{WRONG}'): ...", [1]),
        (f"def load(model, label='{WRONG}'): ...", []),
        (f"def load(*, fast, model='{WRONG}'): ...", [1]),
        (f"def load(*, model, label='{WRONG}'): ...", []),
        (f"parser.add_argument('--model', default='{WRONG}')", [1]),
        (f"parser.add_argument('--model', choices=['{WRONG}'])", [1]),
        (f"parser.add_argument('--model', help='{WRONG}')", []),
        (f"parser.add_argument('--label', default='{WRONG}')", []),
        (f"run(model='{WRONG}')", [1]),
        (f"run(label='{WRONG}')", []),
        (f"run(**{{'model': '{WRONG}'}})", [1]),
        (f"name = config.get('model', '{WRONG}')", [1]),
        (f"name = config.get('label', '{WRONG}')", []),
        (f"name = config.get('{WRONG}', 'model')", []),
        (f"SentenceTransformer('{WRONG}')", [1]),
        (f"hub.snapshot_download(repo_id='{WRONG}')", [1]),
        (f"return_to('{WRONG}')", []),
    ],
)
def test_where_an_id_names_a_model(code: str, lines: list[int]) -> None:
    assert kept(f"{code}\nM.from_pretrained('gpt2', revision='main')\n", "TLP301") == lines


@pytest.mark.parametrize(
    "service",
    ["openai", "together", "litellm", "openrouter", "groq", "anthropic", "deepinfra", "fireworks", "replicate",
     "bedrock", "InferenceClient", "HfApi", "base_url", "api_key"],
)  # fmt: skip
def test_services_have_names_of_their_own(service: str) -> None:
    assert kept(f"MODELS = ['{WRONG}']\n", "TLP301") == [1]
    assert kept(f"MODELS = ['{WRONG}']\nx = {service}\n", "TLP301") == []


# ---- frozen models through which others are trained

TRAINING = """\
import torch
def run(ids):
    model = M.from_pretrained("gpt2").eval()
    bridge = torch.nn.Linear(16, 768)
    optimizer = torch.optim.AdamW(bridge.parameters())
    {between}
    {forward}.logits.mean().backward()
"""
FORWARD = "model(inputs_embeds=bridge(ids))"


@pytest.mark.parametrize(
    "between",
    [
        "pass",
        *(
            f"{name}(model)"
            for name in ("print", "len", "isinstance", "hasattr", "getattr", "id", "type", "str")
        ),
        "torch.compile(model)",
        "next(model.parameters())",
        "extra = torch.autograd.grad(x, ids)",
        "extra = torch.grad(x, ids)",
        "other(ids).backward(inputs=[ids])",
        "backward(ids)",
        "retain(loss.backward)",
        "second = torch.optim.SGD(params=bridge.parameters())",
        "second = torch.optim.SGD(lr=0.1, params=bridge.parameters())",
        "with torch.no_grad():\n        extra = model(ids)",
        "print(model.lm_head.requires_grad)",
    ],
)
def test_what_leaves_a_frozen_model_as_it_is(between: str) -> None:
    assert kept(TRAINING.format(between=between, forward=FORWARD), "TLP206") == [3]


@pytest.mark.parametrize(
    "between",
    [
        "helper(model)",
        "helper(3, *[model])",
        "helper(net={'a': (model,)})",
        "holder.model = model",
        "net = model\n    helper(net)",
        "def inner(net):\n        helper(net)\n    inner(model)",
        "model.train()",
        "unseen.train()",
        "model.lm_head.weight.requires_grad = False",
        "model.requires_grad_(False)",
        "extra = model.lm_head.weight.grad",
        "second = torch.optim.SGD()",
        "second = torch.optim.SGD(lr=0.1)",
        "second = torch.optim.SGD(unseen)",
        "second = torch.optim.SGD(lr=0.1, params=model.parameters())",
    ],
)
def test_what_may_freeze_or_train_a_model(between: str) -> None:
    assert kept(TRAINING.format(between=between, forward=FORWARD), "TLP206") == []


@pytest.mark.parametrize(
    ("forward", "lines"),
    [
        ("model.forward(inputs_embeds=bridge(ids))", [3]),
        ("model(bridge(ids))", [3]),
        ("model(bridge(ids) + 1)", [3]),
        ("model(-bridge(ids))", [3]),
        ("model(bridge(ids).detach())", []),
        ("model(bridge(ids).argmax())", []),
        ("model(bridge(ids).item())", []),
        ("model(bridge(ids).tolist())", []),
        ("model(bridge(ids).numpy())", []),
        ("model(bridge(ids).size())", []),
        ("model(bridge(ids).numel())", []),
        ("model(bridge(ids).data)", []),
        ("model(bridge.weight.shape)", []),
        ("bridge(model(ids))", []),
        ("other(bridge(ids))", []),
    ],
)
def test_what_a_backward_pass_goes_through(forward: str, lines: list[int]) -> None:
    assert kept(TRAINING.format(between="pass", forward=forward), "TLP206") == lines


@pytest.mark.parametrize(
    ("encode", "lines"),
    [
        ("def encode(ids):\n        return bridge(ids)", [3]),
        ("@cached\n    def encode(ids):\n        return bridge(ids)", [3]),
        ("@torch.no_grad()\n    def encode(ids):\n        return bridge(ids)", []),
        ("@torch.inference_mode()\n    def encode(ids):\n        return bridge(ids)", []),
        ("def encode(ids):\n        with torch.no_grad():\n            return bridge(ids)", []),
        ("def encode(ids):\n        with torch.autocast('cuda'):\n            return bridge(ids)", [3]),
    ],
)
def test_a_function_that_keeps_no_gradients(encode: str, lines: list[int]) -> None:
    code = TRAINING.format(between=encode, forward="model(inputs_embeds=encode(ids))")
    assert kept(code, "TLP206") == lines


# ---- what may have happened to a load, which a rule then says nothing of


@pytest.mark.parametrize(
    ("code", "lines"),
    [
        (
            "models = []\nif fast:\n    models = given()\nmodels.append(M.from_pretrained('x'))\n"
            "for model in models:\n    model.generation_config{}",
            [4],
        ),
        (
            "class Lab:\n    def __init__(self, fast):\n        self.models = []\n        if fast:\n"
            "            self.models = given()\n        self.models.append(M.from_pretrained('x'))\n"
            "    def greedy(self):\n        for model in self.models:\n            model.generation_config{}",
            [6],
        ),
        (
            "from house import Own\nbase = M.from_pretrained('x')\nmodel = (M if fast else Own).from_pretrained(base)\n"
            "model.generation_config{}",
            [2],
        ),
        (
            "import transformers\nbase = M.from_pretrained('x')\n"
            "model = transformers.pick('y').from_pretrained(base)\nmodel.generation_config{}",
            [2],
        ),
    ],
    ids=[
        "a list or another",
        "an attribute or another",
        "a class or another",
        "a class that a function gives",
    ],
)
def test_a_config_written_through_what_may_hold_the_model(code: str, lines: list[int]) -> None:
    assert kept(code.format(""), "TLP105") == lines
    assert kept(code.format(".do_sample = False"), "TLP105") == []


@pytest.mark.parametrize("called", ["type(model)", "model.base()", "model.parts[0]"])
def test_a_config_for_the_load_of_another_model_is_not_this_models(called: str) -> None:
    code = f"model = M.from_pretrained('x')\n{called}.from_pretrained('y', generation_config=config)"
    assert kept(code, "TLP105") == [1]


def test_what_a_function_writes_arrives_beside_the_last_binding_alone() -> None:
    code = (
        "where = given()\ndef change():\n    global where\n    where = {}\n"
        "where = 'cuda'\nchange()\nM.from_pretrained('x', device_map=where)"
    )
    assert kept(code.format("'auto'"), "TLP101") == [7]
    assert kept(code.format("given()"), "TLP101") == []


def test_a_binding_on_a_path_that_returned_does_not_arrive() -> None:
    (load,) = sites(
        "def load(kind, fast):\n    if kind:\n        name = given()\n        return name\n"
        "    if fast:\n        name = 'a'\n    return M.from_pretrained(name)"
    )
    assert load.model_id == "a"


def test_a_dict_that_is_written_at_the_top_and_by_a_function() -> None:
    (load,) = sites(
        "options = {'dtype': 'auto'}\noptions['device_map'] = 'auto'\n"
        "def change():\n    global options\n    options = {'device_map': 'cuda'}\n"
        "def load():\n    return M.from_pretrained('x', **options)"
    )
    argument = load.argument("device_map")
    assert argument is not None
    assert [value.data for value in argument.values] == ["cuda", "auto"]


def test_a_function_may_run_before_the_last_binding_at_the_top() -> None:
    code = (
        "where = given()\ndef load():\n    return M.from_pretrained('x', device_map=where)\n"
        "load()\nwhere = 'auto'"
    )
    assert kept(code, "TLP101") == []


@pytest.mark.parametrize(
    ("arguments", "reported"),
    [
        ("ids, max_new_tokens=5", True),
        ("ids, max_new_tokens=5, **given()", False),
        ("ids, **given()", False),
        ("ids, *more, max_new_tokens=5", False),
        ("ids, **options", False),
        ("**tokenizer(texts), max_new_tokens=5", True),
    ],
)
def test_generate_may_get_what_cannot_be_seen(arguments: str, reported: bool) -> None:
    code = (
        "tokenizer = AutoTokenizer.from_pretrained('x')\nmodel = M.from_pretrained('x')\n"
        "options = {'max_new_tokens': 5}\nif fast:\n    options = given()\n"
        f"model.generate({arguments})"
    )
    assert kept(code, "TLP203") == ([6] if reported else [])


@pytest.mark.parametrize(
    "spread",
    [
        "{**kwargs, **{'revision': 'main'}}",
        "{**{'revision': 'main'}, **kwargs}",
        "dict(kwargs, **{'revision': 'main'})",
        "kwargs | {'revision': 'main'}",
    ],
)
def test_keywords_that_are_handed_on_in_a_merged_dict(spread: str) -> None:
    code = (
        f"def load(name, **kwargs):\n    return M.from_pretrained(name, **{spread})\n"
        "load('x', device_map='auto')"
    )
    assert kept(code, "TLP101") == [3]
    (*_, site) = sites(code)
    assert not site.opaque


@pytest.mark.parametrize("arguments", ["", "AutoModel", "'gpt2', AutoModel", "*names"])
@pytest.mark.parametrize(("base", "loads"), [("LlamaForCausalLM", 1), ("object", 0)])
def test_the_class_of_a_class_method_is_what_stands_before_the_dot(
    base: str, loads: int, arguments: str
) -> None:
    code = (
        "from transformers import AutoModel, LlamaForCausalLM\nfrom elsewhere import names\n"
        f"class Own({base}):\n    @classmethod\n    def load(cls, *given):\n"
        "        return cls.from_pretrained('gpt2', device_map='auto')\n"
        f"Own.load({arguments})\n"
    )
    assert len([site for site in sites(code, "model") if not site.indirect]) == loads


LAZY = """\
_library = None
def library():
    global _library
    if _library is None:
        import transformers
        _library = transformers
    return _library
"""


@pytest.mark.parametrize(
    ("code", "classes"),
    [
        (f"{LAZY}t = library()\nt.AutoModel.from_pretrained(x)", ["AutoModel"]),
        (f"{LAZY}library().AutoTokenizer.from_pretrained(x)", ["AutoTokenizer"]),
        (f"{LAZY}library().from_pretrained(x)", []),
        (f"{LAZY.replace('None', 'object()')}library().AutoModel.from_pretrained(x)", []),
        ("def library():\n    return other\nlibrary().AutoModel.from_pretrained(x)", []),
        ("def f(library):\n    library().AutoModel.from_pretrained(x)", []),
        (
            "import importlib\nt = importlib.import_module('transformers')\nt.AutoModel.from_pretrained(x)",
            ["AutoModel"],
        ),
        ("__import__('transformers').AutoModel.from_pretrained(x)", ["AutoModel"]),
        ("__import__('diffusers').AutoModel.from_pretrained(x)", []),
        ("__import__(name).AutoModel.from_pretrained(x)", []),
        (
            "from importlib import import_module\nimport_module('.models', 'transformers').AutoModel.from_pretrained(x)",
            [],
        ),
        ("__import__(3).AutoModel.from_pretrained(x)", []),
    ],
)
def test_transformers_imported_when_it_is_needed(code: str, classes: list[str]) -> None:
    assert [site.classes[0].rpartition(".")[2] for site in sites(code)] == classes


@pytest.mark.parametrize(
    ("maker", "loads"),
    [
        ("ModelConfig.from_dict(values)", True),
        ("ModelArguments(**values)", True),
        ("parse_model_args(values)", True),
        ("build_model(values)", False),
        ("ModelForScoring(values)", False),
    ],
)
def test_a_pipeline_whose_model_is_named_by_a_configuration(maker: str, loads: bool) -> None:
    code = f"class E:\n    def __init__(self, values):\n        self.config = {maker}\n"
    code += "        self.model_name = self.config.model_name\n        pipeline('fill-mask', model=self.model_name)\n"
    assert bool(sites(code, "pipeline")) == loads


@pytest.mark.parametrize(
    ("body", "loads"),
    [
        ("model_name = config.get('model_name', DEFAULT)\n    options = {'model': model_name}", True),
        ("options = {}\n    options['model'] = config.get('model_name')\n    options['model_id'] = 1", False),
        ("options = dict(model=args.model)", True),
        (
            "options = dict(model=args.model)\n    if 'device' in config:\n        options['device'] = config['device']",
            True,
        ),
        ("options = dict(model=config['model'], revision='main')", True),
        ("options = dict(model=config['model'])", False),
        ("classifier = make(config)\n    options = {'model': classifier}", False),
        ("model_name = make(config)\n    options = {'model': model_name}", True),
        ("options = {'model': AutoModelForCausalLM.from_pretrained('gpt2')}", False),
    ],
)
def test_a_pipeline_whose_dict_names_its_model(body: str, loads: bool) -> None:
    code = f"def f(config, args):\n    {body}\n    pipeline('fill-mask', **options)\n"
    assert bool(sites(code, "pipeline")) == loads


@pytest.mark.parametrize(
    ("body", "loads"),
    [
        ("t = AutoTokenizer.from_pretrained(base)\n    pipeline('fill-mask', base)", True),
        ("if 'gpt' in base:\n        return\n    pipeline('fill-mask', base)", True),
        ("if base == 'gpt2':\n        pipeline('fill-mask', model=base)", True),
        ("print(base.split('/')[-1])\n    pipeline('fill-mask', base)", True),
        ("if 'gpt' in base.config.model_type:\n        return\n    pipeline('fill-mask', base)", False),
        ("if base in models:\n        return\n    pipeline('fill-mask', base)", False),
        ("base.to('cuda')\n    pipeline('fill-mask', base)", False),
        ("base = build(base)\n    print(base.lower())\n    pipeline('fill-mask', base)", False),
    ],
)
def test_a_parameter_that_a_function_uses_as_text_is_an_id(body: str, loads: bool) -> None:
    assert bool(sites(f"def f(base, models):\n    {body}\n", "pipeline")) == loads
