"""Uses of loaded objects: which files are scanned, how safe fixes are, how far objects are followed."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from telepathy_lint import engine
from telepathy_lint import rules as registry
from telepathy_lint.findings.violation import Violation
from telepathy_lint.settings import Settings, UnusedModel
from telepathy_lint.source.notebook import Notebook
from telepathy_lint.source.prefilter import ID_PREFIXES, may_matter
from telepathy_lint.source.text import Source
from telepathy_runtime.models.registry import families

ROOT = Path(__file__).parents[3]
HEADER = "from transformers import AutoModelForCausalLM, AutoTokenizer, GenerationConfig\n"


def found(code: str, *select: str) -> list[Violation]:
    return engine.lint(Source("script.py", code.encode()), registry.select(select), Settings(strict=True))


STRICT = Settings(strict=True)


def fixed(code: str, *select: str, unsafe: bool = True) -> str:
    return engine.fix(Source("script.py", code.encode()), registry.select(select), STRICT, unsafe=unsafe).text


# ---- which files are looked at


def test_every_family_the_registry_knows_is_looked_for() -> None:
    assert {f"{family.organisation}/" for family in families()} <= set(ID_PREFIXES)


@pytest.mark.parametrize(
    "code",
    [
        b'MODELS = {"llama": "meta-llama/Meta-Llama-3.1-8B"}\n',
        b"model.generate(ids, do_sample=False, temperature=0.7)\n",
    ],
)
def test_files_that_load_nothing_can_matter(code: bytes) -> None:
    assert may_matter(code)
    assert len(engine.lint(Source("x.py", code), registry.select(["TLP2", "TLP3"]), STRICT)) == 1


def test_files_without_any_of_the_words_do_not() -> None:
    assert not may_matter(b"import torch\nmodel.generate(ids)\nllama = 'meta/llama'\n")


def test_the_registry_is_read_only_where_an_id_is_mentioned(tmp_path: Path) -> None:
    (tmp_path / "other.py").write_text(HEADER + 'AutoTokenizer.from_pretrained("gpt2")\n')
    (tmp_path / "id.py").write_text(HEADER + 'AutoTokenizer.from_pretrained("Qwen/Qwen2.5-9B")\n')
    loaded = {}
    for name in ("other", "id"):
        script = (
            "import json, sys\nfrom telepathy_lint.commands.cli import run\n"
            f"run(['check', '--isolated', '--select', 'TLP3', {str(tmp_path / name)!r} + '.py'])\n"
            "print(json.dumps(sorted(sys.modules)), file=sys.stderr)"
        )
        done = subprocess.run(
            [sys.executable, "-c", script], capture_output=True, text=True, cwd=ROOT, check=True
        )
        loaded[name] = set(json.loads(done.stderr.splitlines()[-1]))
    assert "telepathy_runtime.models.families" not in loaded["other"]
    assert "telepathy_runtime.models.families" in loaded["id"]
    assert not loaded["id"] & {"torch", "transformers"}


# ---- how safe a renamed id is to write


@pytest.mark.parametrize(
    "code",
    [
        'AutoTokenizer.from_pretrained("meta-llama/Meta-Llama-3.1-8B")\n',
        'ID = "meta-llama/Meta-Llama-3.1-8B"\nAutoTokenizer.from_pretrained(ID)\n',
        'ID = "meta-llama/Meta-Llama-3.1-8B"\nAutoTokenizer.from_pretrained(ID)\nprint(ID)\n',
        'MODELS = ["meta-llama/Meta-Llama-3.1-8B"]\nAutoTokenizer.from_pretrained(MODELS[0])\n',
        'def f(model="meta-llama/Meta-Llama-3.1-8B"):\n    AutoTokenizer.from_pretrained(model)\n',
    ],
)
def test_a_new_name_is_written_only_on_request_since_an_offline_cache_may_hold_the_old_one(code: str) -> None:
    (one,) = found(HEADER + code, "TLP302")
    assert one.fix is not None
    assert one.fix.safety == "unsafe"
    assert '"meta-llama/Llama-3.1-8B"' in fixed(HEADER + code, "TLP302")


@pytest.mark.parametrize(("parameter", "safety"), [("_", "safe"), ("model", "unsafe")])
def test_what_greedy_ignores_goes_safely_from_a_known_model_only(parameter: str, safety: str) -> None:
    load = 'model = AutoModelForCausalLM.from_pretrained("gpt2")\n'
    code = (
        f"{HEADER}{load}def f(ids, {parameter}=None):\n    model.generate(ids, do_sample=False, top_p=0.5)\n"
    )
    (one,) = found(code, "TLP204")
    assert one.fix is not None
    assert one.fix.safety == safety


def test_a_label_in_a_file_that_loads_nothing_is_let_be() -> None:
    assert not found('model_path = "meta-llama/Meta-Llama-3.1-8B"\n', "TLP302")


def test_quotes_and_prefixes_are_kept() -> None:
    code = HEADER + "AutoTokenizer.from_pretrained(\n    r'meta-llama/Meta-Llama-3.1-8B',  # old\n)\n"
    assert fixed(code, "TLP302") == code.replace("Meta-Llama", "Llama")


# ---- repairs of several rules together


def test_repairs_and_the_loader_s_rewrite_of_one_call() -> None:
    code = (
        HEADER + "import torch\n"
        'model = AutoModelForCausalLM.from_pretrained("meta-llama/Meta-Llama-3.1-8B", device_map="auto").eval()\n'
        "bridge = torch.nn.Linear(16, 4096)\n"
        "optimizer = torch.optim.AdamW(bridge.parameters())\n"
        "model(inputs_embeds=bridge(torch.zeros(1, 4, 16))).logits.mean().backward()\n"
    )
    text = fixed(code, "TLP101", "TLP206", "TLP302")
    assert ".requires_grad_(False).eval()" in text
    assert 'load_model("meta-llama/Llama-3.1-8B"' in "".join(text.split())
    assert "device_map" not in text


def test_two_ids_in_one_table_and_a_load_beside_it() -> None:
    code = HEADER + (
        'MODELS = {"a": "meta-llama/Meta-Llama-3.1-8B", "b": "meta-llama/Meta-Llama-3.1-70B"}\n'
        "for key in MODELS:\n    AutoTokenizer.from_pretrained(MODELS[key])\n"
    )
    assert fixed(code, "TLP302") == code.replace("Meta-Llama", "Llama")


# ---- places in notebooks


def test_a_message_names_the_cell_and_the_line_in_it() -> None:
    cells = [
        HEADER + 'tokenizer = AutoTokenizer.from_pretrained("gpt2")',
        "# padding\ntokenizer.pad_token = tokenizer.eos_token",
        "from transformers import DataCollatorForLanguageModeling\n"
        "DataCollatorForLanguageModeling(tokenizer, mlm=False)",
    ]
    whole = {
        "cells": [
            {"cell_type": "code", "execution_count": None, "metadata": {}, "outputs": [], "source": cell}
            for cell in cells
        ],
        "metadata": {"kernelspec": {"name": "python3"}, "language_info": {"name": "python"}},
        "nbformat": 4,
        "nbformat_minor": 5,
    }
    source = Notebook("n.ipynb", json.dumps(whole).encode())
    (one,) = engine.lint(source, registry.select(["TLP202"]), Settings(strict=True))
    assert one.message.endswith("pad_token is eos_token since line 2 of the 2nd code cell")


# ---- following objects


@pytest.mark.parametrize(
    "receiver",
    [
        "model",
        "model.to('cuda')",
        "torch.compile(model)",
        "copy.deepcopy(model)",
        "torch.nn.DataParallel(model).module",
        "accelerator.prepare(model)",
        "(model if True else model)",
        "{'a': model}['a']",
        "[model][0]",
    ],
)
def test_what_stays_the_same_model(receiver: str) -> None:
    load = 'model = AutoModelForCausalLM.from_pretrained("gpt2").eval()\n'
    code = f"{HEADER}import copy, torch\n{load}({receiver}).generate(ids, max_new_tokens=4)\n"
    assert [one.code for one in found(code, "TLP203")] == ["TLP203"]


@pytest.mark.parametrize(
    "receiver",
    [
        "wrap(model)",
        "model.language_model",
        "(model or other)",
    ],
)
def test_what_may_be_another_model(receiver: str) -> None:
    load = 'def f(other):\n    model = AutoModelForCausalLM.from_pretrained("gpt2")\n'
    code = f"{HEADER}{load}    ({receiver}).generate(ids, max_new_tokens=4)\n"
    assert not found(code, "TLP203")


@pytest.mark.parametrize(("returned", "codes"), [("self.model", ["TLP203"]), ("self.other", [])])
@pytest.mark.parametrize("base", ["", "(Base)"])
def test_a_get_of_the_class_s_own_is_no_container_s(returned: str, codes: list[str], base: str) -> None:
    code = HEADER + (
        f"class Base:\n    def get(self, name):\n        return {returned}\n"
        f"class C{base}:\n"
        "    def __init__(self, other):\n"
        "        self.other = other\n"
        '        self.model = AutoModelForCausalLM.from_pretrained("gpt2")\n'
        "    def answer(self, ids):\n"
        '        return self.get("x").generate(ids, max_new_tokens=4)\n'
    )
    if not base:
        code += f"    def get(self, name):\n        return {returned}\n".replace("Base", "")
        code = code.replace(
            "class Base:\n    def get(self, name):\n", "class Base:\n    def other(self, name):\n"
        )
    assert [one.code for one in found(code, "TLP203")] == codes


def test_a_dict_under_self_holds_what_was_written_into_it_before() -> None:
    code = HEADER + (
        "class C:\n"
        "    def __init__(self, **kwargs):\n"
        "        options = dict(do_sample=False, temperature=0)\n"
        "        options.update(kwargs)\n"
        "        self.options = options\n"
        '        self.model = AutoModelForCausalLM.from_pretrained("gpt2", **self.options)\n'
        "    def answer(self, ids):\n"
        "        return self.model.generate(ids, **self.options)\n"
    )
    assert not found(code, "TLP102", "TLP204")
    assert [one.code for one in found(code.replace("options.update(kwargs)", "pass"), "TLP204")] == ["TLP204"]


# ---- single turns of single rules


def lines(code: str, *select: str) -> list[int]:
    """The reported lines, in the code below the imports."""
    return [violation.line - 1 for violation in found(HEADER + code, *select)]


@pytest.mark.parametrize(
    ("where", "expected"),
    [
        ('"cuda" if fast else "cuda:1"', [3]),
        ('"cuda" if fast else "cpu"', [3]),
        ('"cuda" if fast else given()', []),
        ('"cpu"', []),
    ],
)
def test_a_move_of_a_placed_model_is_one_to_an_accelerator(where: str, expected: list[int]) -> None:
    code = f'model = AutoModelForCausalLM.from_pretrained("gpt2", device_map="auto")\nwhere = {where}\nmodel.to(where)\n'
    assert lines(code, "TLP106") == expected


@pytest.mark.parametrize(
    ("placed", "expected"),
    [
        ("auto", [2]),
        ("balanced", [2]),
        ("balanced_low_0", [2]),
        ("sequential", [2]),
        ("cuda", []),
        ("cpu", []),
    ],
)
def test_maps_that_spread_a_model(placed: str, expected: list[int]) -> None:
    code = f'model = AutoModelForCausalLM.from_pretrained("gpt2", device_map="{placed}")\nmodel.cuda()\n'
    assert lines(code, "TLP106") == expected


def test_every_misleading_argument_is_a_finding() -> None:
    both = found(
        f'{HEADER}AutoTokenizer.from_pretrained("gpt2", dtype="auto", device_map="auto")\n', "TLP108"
    )
    assert [one.message.split()[2] for one in both] == ["dtype", "device_map"]
    assert both[0].column < both[1].column


@pytest.mark.parametrize(
    ("config", "reported"),
    [
        ("GenerationConfig(max_new_tokens=5)", True),
        ("GenerationConfig(max_new_tokens=5) if fast else None", True),
        ("GenerationConfig(max_new_tokens=5) if fast else given()", False),
        ("transformers.pick().GenerationConfig(max_new_tokens=5)", False),
    ],
)
def test_a_config_made_from_scratch(config: str, reported: bool) -> None:
    code = f'import transformers\nAutoModelForCausalLM.from_pretrained("gpt2", generation_config={config})\n'
    assert lines(code, "TLP109") == [2] * reported


@pytest.mark.parametrize(
    ("arguments", "reported"),
    [
        ("tokenizer, mlm=False", True),
        ("tokenizer, mlm=given()", False),
        ("tokenizer, mlm=True", False),
        ("tokenizer, mlm=False, **given()", False),
    ],
)
def test_a_collator_that_surely_takes_labels_from_the_ids(arguments: str, reported: bool) -> None:
    code = (
        'from transformers import DataCollatorForLanguageModeling\ntokenizer = AutoTokenizer.from_pretrained("gpt2")\n'
        f"tokenizer.pad_token = tokenizer.eos_token\nDataCollatorForLanguageModeling({arguments})\n"
    )
    assert lines(code, "TLP202") == [4] * reported


def test_what_greedy_ignores_goes_wherever_do_sample_is_written() -> None:
    load = f'{HEADER}model = AutoModelForCausalLM.from_pretrained("gpt2")\noptions = {{"do_sample": False}}\n'
    assert (
        fixed(load + "model.generate(ids, temperature=0.7, **options)\n", "TLP204", unsafe=False)
        == load + "model.generate(ids, **options)\n"
    )


def test_an_unknown_id_beside_a_known_one() -> None:
    code = 'AutoTokenizer.from_pretrained("Qwen/Qwen2.5-7B" if fast else "Qwen/Qwen2.5-9B")\n'
    assert lines(code, "TLP301") == [1]


@pytest.mark.parametrize(
    ("look", "reported"),
    [
        ("os.environ.get('X')", False),
        ("os.getenv('X')", False),
        ("here.exists()", False),
        ("here.is_dir()", False),
        ("os.path.isdir(here)", False),
        ("socket.gethostname()", False),
        ("sys.platform", False),
        ("os.uname()", False),
        ("node() == 'a'", False),
        ("fast", True),
    ],
)
def test_a_path_behind_a_look_at_the_machine(look: str, reported: bool) -> None:
    code = f'if {look}:\n    AutoTokenizer.from_pretrained("gpt2", cache_dir="/scratch/me/models")\n'
    assert lines(code, "TLP304") == [2] * reported


@pytest.mark.parametrize(
    ("line", "reported"),
    [
        ("resource.getrusage(0)", False),
        ("torch.cuda.memory_allocated()", False),
        ("torch.cuda.mem_get_info()", False),
        ("run('nvidia-smi')", False),
        ("log_gpu()", False),
        ("print_all_ram()", False),
        ("used_gpu()", True),
        ("log()", True),
        ("configure(model, AutoModelForCausalLM)", True),
    ],
)
def test_what_logs_memory(line: str, reported: bool) -> None:
    code = f'model = AutoModelForCausalLM.from_pretrained("gpt2")\n{line}\n'
    assert lines(code, "TLP901") == [1] * reported


def test_the_memory_of_a_configured_function_is_its_own_to_log() -> None:
    source = Source("script.py", b"from house import load\nload('gpt2')\n")
    settings = Settings(wrappers=("house.load",))
    found = engine.lint(source, registry.select(["TLP901", "TLP902"]), settings)
    assert [one.code for one in found] == ["TLP902"]


@pytest.mark.parametrize(
    ("arguments", "detail"),
    [
        ("trust_remote_code=True", ": trust_remote_code without a revision"),
        ('trust_remote_code=True, revision="a"', ""),
        ('trust_remote_code=True, code_revision="a"', ""),
        ("trust_remote_code=False", None),
    ],
)
def test_code_of_the_repository_and_its_revision(arguments: str, detail: str | None) -> None:
    messages = [
        one.message for one in found(f'{HEADER}AutoTokenizer.from_pretrained("a/b", {arguments})\n', "TLP903")
    ]
    assert messages == (
        [] if detail is None else [f"code from the checkpoint's repository is executed{detail}"]
    )


def test_each_model_that_nothing_loads_is_named_with_its_places() -> None:
    llama, qwen = "meta-llama/Meta-Llama-3.1-8B", "Qwen/Qwen2.5-14B"
    code = f'SIZES = {{"{llama}": 8.03, "{qwen}": 14.7}}\n'
    unused = (UnusedModel(llama, ()), UnusedModel(qwen, (("a.py", 2, -1), ("look.ipynb", 1, 0))))
    source = Source("script.py", code.encode())
    messages = [
        one.message
        for one in engine.lint(source, registry.select(["TLP303"]), Settings(unused_models=unused))
    ]
    assert [message.partition(": ")[2] for message in messages] == [
        f"{llama!r}",
        f"{qwen!r}; also named in a.py:2, look.ipynb, line 1 of the 1st code cell",
    ]


_CALLS = {
    "model": "AutoModel.from_pretrained({})",
    "tokenizer": "AutoTokenizer.from_pretrained({})",
    "pipeline": "pipeline('text-generation', {})",
    "config": "AutoConfig.from_pretrained({})",
    "processor": "AutoProcessor.from_pretrained({})",
    "generation_config": "GenerationConfig.from_pretrained({})",
}


@pytest.mark.parametrize(
    ("code", "arguments", "but"),
    [
        ("TLP107", "'a/b', use_auth_token=True", {"pipeline"}),
        ("TLP301", "'Qwen/Qwen2.5-9B'", set()),
        ("TLP302", "'meta-llama/Meta-Llama-3.1-8B'", set()),
        ("TLP304", "'a/b', cache_dir='/scratch/me/models'", set()),
        ("TLP902", "'a/b'", set()),
        ("TLP903", "'a/b', trust_remote_code=True", {"generation_config"}),
    ],
)
def test_rules_that_look_at_every_kind_of_load(code: str, arguments: str, but: set[str]) -> None:
    imports = "from transformers import AutoConfig, AutoModel, AutoProcessor, AutoTokenizer, GenerationConfig, pipeline\n"
    reported = {kind for kind, call in _CALLS.items() if found(f"{imports}{call.format(arguments)}\n", code)}
    assert reported == _CALLS.keys() - but


def test_what_does_not_reach_a_pipelines_model() -> None:
    code = (
        "from transformers import pipeline\npipeline('text-generation', 'a/b', attn_implementation='sdpa')\n"
    )
    (one,) = found(code, "TLP108")
    assert "put it into model_kwargs" in one.message
