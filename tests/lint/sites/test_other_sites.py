"""Sites that do not load weights: configs and processors, moves of placed models, cache paths."""

from __future__ import annotations

import pytest

from telepathy_lint import engine
from telepathy_lint import rules as registry
from telepathy_lint.rule import Rule
from telepathy_lint.settings import Settings
from telepathy_lint.sites import scan
from telepathy_lint.source.prefilter import may_matter
from telepathy_lint.source.text import Source

SETTINGS_RULES = ("TLP101", "TLP102", "TLP103", "TLP104", "TLP105", "TLP201")


def found(code: str) -> list[tuple[str, str]]:
    return [(site.kind, site.callee) for site in scan(Source("s.py", code.encode())).sites]


@pytest.mark.parametrize(
    ("line", "kind"),
    [
        ("t.AutoConfig.from_pretrained('gpt2')", "config"),
        ("t.LlamaConfig.from_pretrained('gpt2')", "config"),
        ("t.GenerationConfig.from_pretrained('gpt2')", "generation_config"),
        ("t.AutoProcessor.from_pretrained('gpt2')", "processor"),
        ("t.AutoImageProcessor.from_pretrained('gpt2')", "processor"),
        ("t.AutoFeatureExtractor.from_pretrained('gpt2')", "processor"),
    ],
)
def test_companions_have_kinds_of_their_own(line: str, kind: str) -> None:
    callee = line.partition("(")[0].replace("t.", "transformers.", 1)
    assert found(f"import transformers as t\n{line}\n") == [(kind, callee)]


@pytest.mark.parametrize(
    "line",
    [
        "t.trainer.from_pretrained('gpt2')",
        "peft.LoraConfig.from_pretrained('gpt2')",
        "unknown.AutoConfig.from_pretrained('gpt2')",
        "(t.AutoConfig if x else t.AutoProcessor).from_pretrained('gpt2')",
    ],
)
def test_what_is_none(line: str) -> None:
    assert found(f"import transformers as t\nimport peft\n{line}\n") == []


def test_a_move_belongs_to_the_loads_it_follows() -> None:
    code = """\
from transformers import AutoModel
model = AutoModel.from_pretrained("gpt2", device_map="auto")
model.to("cuda")
other.to("cuda")
"""
    sites = scan(Source("s.py", code.encode())).sites
    assert [(site.kind, site.callee) for site in sites] == [
        ("model", "transformers.AutoModel.from_pretrained"),
        ("move", "AutoModel.to"),
    ]
    move = sites[1]
    assert move.model_id == "gpt2"
    device_map = move.argument("device_map")
    assert device_map is not None
    assert [value.data for value in device_map.values] == ["auto"]


def test_the_settings_rules_see_nothing_but_loads() -> None:
    code = """\
import os
from transformers import AutoConfig, AutoModelForCausalLM, AutoProcessor
os.environ["HF_HOME"] = "/home/me"
config = AutoConfig.from_pretrained("gpt2", device_map="auto", torch_dtype="float16")
processor = AutoProcessor.from_pretrained("gpt2", device_map="auto")
"""
    assert not engine.lint(Source("s.py", code.encode()), registry.select(SETTINGS_RULES), Settings())
    rules: tuple[Rule, ...] = tuple(rule for rule in registry.all_rules() if rule.meta.setting is not None)
    assert all(set(rule.meta.kinds) <= {"model", "tokenizer", "pipeline"} for rule in rules)


@pytest.mark.parametrize(
    ("code", "matters"),
    [
        ('os.environ["HF_HOME"] = "/home/me"', True),
        ('environ.update(TRANSFORMERS_CACHE="x")', True),
        ('os.environ["HOME"] = "/home/me"', False),
        ('HF_HOME = "/home/me"', False),
    ],
)
def test_files_with_cache_paths_are_let_through(code: str, matters: bool) -> None:
    assert may_matter(code.encode()) == matters


def test_a_file_that_only_sets_a_path_is_looked_at() -> None:
    code = 'import os\nos.environ["HF_HOME"] = "/home/me/hf"\n'
    (violation,) = engine.lint(Source("s.py", code.encode()), registry.select(["TLP304"]), Settings())
    assert (violation.line, violation.column) == (2, 25)
    assert violation.site is not None
    assert (violation.site.kind, violation.site.span.column) == ("path", 1)


def test_a_name_that_only_a_statement_after_the_call_uses_stays_imported() -> None:
    code = """\
from transformers import AutoModel
from transformers import GenerationConfig
model = AutoModel.from_pretrained("gpt2", load_in_8bit=True, generation_config=GenerationConfig(num_beams=2))
"""
    rules = registry.select(["TLP107", "TLP109"])
    fixed = engine.fix(Source("s.py", code.encode()), rules, Settings(), unsafe=True).text
    assert "apply_generation_config(model, GenerationConfig(num_beams=2))" in fixed
    assert "from transformers import GenerationConfig\n" in fixed


def test_a_value_that_only_a_statement_after_the_call_reads_stays() -> None:
    code = """\
from transformers import AutoModel, GenerationConfig
BEAMS = GenerationConfig(num_beams=2)

def load(name):
    chosen = BEAMS
    model = AutoModel.from_pretrained(name, generation_config=chosen)
    return model
"""
    fixed = engine.fix(
        Source("s.py", code.encode()), registry.select(["TLP109"]), Settings(), unsafe=True
    ).text
    assert "    chosen = BEAMS\n" in fixed and "apply_generation_config(model, chosen)" in fixed


def test_two_modules_behind_one_import() -> None:
    """Additional names in the import itself are added before the line after it."""
    code = """\
from transformers import AutoModel, GenerationConfig
model = AutoModel.from_pretrained("gpt2", load_in_8bit=True, generation_config=GenerationConfig(num_beams=2))
"""
    rules = registry.select(["TLP107", "TLP109"])
    assert (
        engine.fix(Source("s.py", code.encode()), rules, Settings(), unsafe=True).text
        == """\
from transformers import AutoModel, GenerationConfig, BitsAndBytesConfig
from telepathy_runtime import apply_generation_config
model = AutoModel.from_pretrained("gpt2", quantization_config=BitsAndBytesConfig(load_in_8bit=True))
apply_generation_config(model, GenerationConfig(num_beams=2))
"""
    )


def test_a_line_that_was_long_before_is_left_alone() -> None:
    long = "x" * 100
    code = f'from transformers import AutoModel\nmodel = AutoModel.from_pretrained("{long}", use_auth_token=True)\n'
    text = engine.fix(Source("s.py", code.encode()), registry.select(["TLP107"]), Settings()).text
    assert text == code.replace("use_auth_token", "token")


def test_a_removed_class_leaves_the_loaders_call_for_the_next_round() -> None:
    code = """\
from transformers import AutoModelForVision2Seq
model = AutoModelForVision2Seq.from_pretrained("HuggingFaceM4/idefics2-8b", device_map="auto")
"""
    rules, settings = registry.select(["TLP101", "TLP107"]), Settings("4.57")
    fixed = engine.fix(Source("s.py", code.encode()), rules, settings, unsafe=True)
    assert "model_class=AutoModelForImageTextToText" in fixed.text
    assert "AutoModelForVision2Seq" not in fixed.text
