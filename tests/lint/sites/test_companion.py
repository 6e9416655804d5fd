"""`load`, `load_processor` and `fit_tokenizer` of the companion loader: whoever adopts them loses no finding."""

from __future__ import annotations

import pytest

from telepathy_lint import engine
from telepathy_lint.rules import select
from telepathy_lint.settings import Loader, Settings
from telepathy_lint.sites import scan
from telepathy_lint.source.prefilter import may_matter
from telepathy_lint.source.text import Source

USES = """model.to("cuda")
tokenizer.add_special_tokens({"additional_special_tokens": ["<sep>"]})
batch = tokenizer(["Once", "Once upon a time"], padding=True, return_tensors="pt")
model.generate(**batch, do_sample=False, temperature=0.5, max_new_tokens=40)
"""


def found(code: str, *codes: str, settings: Settings | None = None) -> list[str]:
    source = Source("s.py", code.encode())
    return [each.code for each in engine.lint(source, select(codes or ("TLP",)), settings or Settings())]


@pytest.mark.parametrize(
    "call",
    [
        "from telepathy_runtime import load\nmodel, tokenizer = load({})\n",
        "from telepathy_runtime import load as bring\nmodel, tokenizer = bring({})\n",
        "import telepathy_runtime\nmodel, tokenizer = telepathy_runtime.load({})\n",
        "import telepathy_runtime as t\npair = t.load({})\nmodel = pair[0]\ntokenizer = pair[1]\n",
    ],
)
def test_a_pair_loses_no_finding(call: str) -> None:
    arguments = '"gpt2", device_map="auto", load_in_8bit=True, padding_side="right"'
    apart = (
        "from telepathy_runtime import load_model, load_tokenizer\n"
        'model = load_model("gpt2", device_map="auto", load_in_8bit=True)\n'
        'tokenizer = load_tokenizer("gpt2", padding_side="right")\n'
    )
    wanted = found(apart + USES)
    assert {"TLP106", "TLP107", "TLP204", "TLP205", "TLP208"} <= set(wanted)
    # Its id stands there once, not twice.
    once = [code for code in wanted if code != "TLP902"] + ["TLP902"]
    assert sorted(found(call.format(arguments) + USES)) == sorted(once)


def test_a_pair_pads_on_the_side_that_its_purpose_wants() -> None:
    call = 'from telepathy_runtime import load\nmodel, tokenizer = load("gpt2"{})\n'
    assert "TLP205" not in found(call.format("") + USES)
    assert "TLP205" not in found(call.format(', purpose="inference"') + USES)
    assert "TLP205" in found(call.format(', purpose="training"') + USES)


def test_what_a_pair_gives_is_followed_forward() -> None:
    code = (
        'from telepathy_runtime import load\nmodel, tokenizer = load("acme/llm", device_map="auto", {})\n{}'
    )
    strict = Settings(strict=True)
    assert found(code.format("generation_config=None", "model.generate(x)"), "TLP105") == ["TLP105"]
    assert found(code.format("generation_config=None", "model(x).loss.backward()"), "TLP105") == []
    assert found(code.format("generation_config=None", "model(x).loss.backward()"), "TLP105", settings=strict)


def test_fit_tokenizer_is_no_use_that_hides_what_a_model_is_for() -> None:
    code = (
        "from telepathy_runtime import load_model, fit_tokenizer\n"
        'model = load_model("gpt2", generation_config=None)\n{}print(model(ids).logits)\n'
    )
    assert found(code.format(""), "TLP105") == found(
        code.format("fit_tokenizer(model, tokenizer)\n"), "TLP105"
    )
    resized = "from telepathy_runtime import load\nmodel, tokenizer = load('gpt2', resize=True)\n"
    assert "TLP208" not in found(resized + USES)


def test_a_processor_is_loaded_from_where_its_call_says() -> None:
    code = 'from telepathy_runtime import load_processor\np = load_processor("openai/whisper-small", cache_dir="/a/b")\n'
    assert found(code) == ["TLP902", "TLP304"] or found(code) == ["TLP304", "TLP902"]
    (site,) = [site for site in scan(Source("s.py", code.encode())).sites if site.kind == "processor"]
    assert site.model_id == "openai/whisper-small"
    assert site.callee == "telepathy_runtime.load_processor"


@pytest.mark.parametrize(
    "code",
    [
        "import torch\nfrom telepathy_runtime import estimate\nmodel, tokenizer = torch.load('gpt2', device_map='auto')\n",
        "from telepathy_runtime import estimate\nfrom mylab import load\nmodel, tokenizer = load('gpt2')\n",
        "from telepathy_runtime import estimate\ndef load(x):\n    return build(x)\nmodel, tokenizer = load('gpt2')\n",
    ],
)
def test_other_functions_of_the_name_load_nothing(code: str) -> None:
    assert found(code) == []


def test_a_house_loader_has_its_own_load() -> None:
    code = "from mylab.loading import load\nmodel = load('gpt2', load_in_8bit=True)\nmodel.half()\n"
    settings = Settings(loader=Loader(module="mylab.loading", load_model="load"))
    assert "TLP107" in found(code, settings=settings)


def test_a_file_with_nothing_but_a_pair_is_looked_at() -> None:
    assert may_matter(b"from telepathy_runtime import load\nm, t = load('x')\n")
    assert not may_matter(b"from telepathy_runtime import estimate\n")
