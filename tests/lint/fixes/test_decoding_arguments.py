"""Decoding arguments that a safe fix takes out have no effect: not in another call, not by reading, not in another `generate`."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

from telepathy_lint import engine
from telepathy_lint.commands import cli
from telepathy_lint.rules import select
from telepathy_lint.settings import Settings
from telepathy_lint.source.text import Source

BEGIN = """from transformers import AutoModel, AutoModelForCausalLM, AutoModelForSpeechSeq2Seq, GenerationConfig, pipeline
model = AutoModelForCausalLM.from_pretrained("gpt2")
"""
CONFIG = "config = GenerationConfig(do_sample=False, temperature=0.7)\n"
LENGTHS = "config = GenerationConfig(max_length=99, max_new_tokens=7)\n"
PIPE = "pipe = pipeline('text-generation', 'gpt2', do_sample=False, temperature=0.7)\n"
CALL = "model.generate(x, do_sample=False, temperature=0.7)\n"
BEAMS = "model.generate(x, do_sample=False, length_penalty=2.0)\n"


def run(code: str, unsafe: bool = False) -> tuple[str, list[str]]:
    """The fixed code, and the codes found."""
    source, how = Source("script.py", (BEGIN + code).encode()), Settings(strict=True)
    rules = select(["TLP204", "TLP207"])
    text = engine.fix(source, rules, how, unsafe=unsafe).text
    return text.removeprefix(BEGIN), [each.code for each in engine.lint(source, rules, how)]


@pytest.mark.parametrize(
    ("code", "safe"),
    [
        (CONFIG + "model.generate(x, generation_config=config)\n", True),
        (
            CONFIG + "def f(x):\n    return model.generate(x, generation_config=config, max_new_tokens=3)\n",
            True,
        ),
        ("model.generate(x, generation_config=GenerationConfig(do_sample=False, temperature=0.7))\n", True),
        (CONFIG + "model.generate(x, generation_config=config, do_sample=flag)\n", False),
        (CONFIG + "model.generate(x, generation_config=config, **settings)\n", False),
        (CONFIG + "model.generate(x, generation_config=config)\nprint(config.temperature)\n", False),
        (CONFIG + "config.save_pretrained('out')\n", False),
        (CONFIG + "model.generation_config = config\n", False),
        (CONFIG + "config.do_sample = flag\nmodel.generate(x, generation_config=config)\n", False),
        (LENGTHS + "model.generate(x, generation_config=config)\n", True),
        (LENGTHS + "model.generate(x, generation_config=config, max_new_tokens=None)\n", False),
        (LENGTHS + "tokenizer(x, max_length=config.max_length)\n", False),
        (PIPE + "pipe('a')\nprint(pipe.tokenizer.eos_token)\n", True),
        (PIPE + "pipe('a', do_sample=flag)\n", False),
        (PIPE + "pipe('a', **settings)\n", False),
        (PIPE + "serve(pipe)\n", False),
        (CALL, True),
        (CALL.replace(")", ", custom_generate='a/b')"), False),
        ("model.generate = own\n" + CALL, False),
        ("setattr(model, 'generate', own)\n" + CALL, False),
        ("model = AutoModelForCausalLM.from_pretrained('a/b', trust_remote_code=True)\n" + CALL, False),
        ("model = AutoModel.from_pretrained('suno/bark')\n" + CALL, False),
    ],
)
def test_what_greedy_decoding_ignores(code: str, safe: bool) -> None:
    fixed, found = run(code)
    assert found
    assert (fixed != code) is safe
    assert run(code, unsafe=True)[0] != code


@pytest.mark.parametrize(
    "code",
    [
        # Whisper samples where it gets a temperature, whatever `do_sample` says.
        "model = AutoModelForSpeechSeq2Seq.from_pretrained('a/b')\n" + CALL,
        "model = AutoModel.from_pretrained('openai/whisper-tiny')\n" + CALL,
        # Contrastive search takes `top_k`.
        "model.generation_config.penalty_alpha = 0.6\nmodel.generate(x, do_sample=False, top_k=4)\n",
        # Beam search takes `length_penalty`.
        "model.config.num_beams = 4\n" + BEAMS,
        "model = AutoModelForCausalLM.from_pretrained('gpt2', num_beams=4)\n" + BEAMS,
        "setattr(model.config, 'num_beams', 4)\n" + BEAMS,
    ],
)
def test_what_has_an_effect_is_not_reported(code: str) -> None:
    assert run(code, unsafe=True) == (code, [])


@pytest.mark.parametrize(("version", "safe"), [(None, True), (">=4.40", True), (">=4.36", False)])
def test_the_shortest_length_yields_since_4_40(version: str | None, safe: bool) -> None:
    code = BEGIN + "model.generate(x, min_length=9, min_new_tokens=3, max_new_tokens=20)\n"
    source, rules = Source("script.py", code.encode()), select(["TLP207"])
    after = code.replace(" min_length=9,", "")
    how = Settings(version, strict=True)
    assert engine.fix(source, rules, how, unsafe=False).text == (after if safe else code)
    assert engine.fix(source, rules, how, unsafe=True).text == after


def test_beams_of_another_call_are_not_those_of_this_one() -> None:
    code = "model.generate(y, num_beams=4)\n" + BEAMS
    assert run(code) == (code.replace(", length_penalty=2.0", ""), ["TLP207"])


@pytest.mark.parametrize(
    ("other", "safe"), [("from main import config\n", False), ("from main import model\n", True)]
)
def test_a_config_that_another_file_gets_is_not_all_in_sight(
    other: str, safe: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code = BEGIN + CONFIG + "model.generate(x, generation_config=config)\n"
    (tmp_path / ".git").mkdir()
    (tmp_path / "main.py").write_text(code)
    (tmp_path / "other.py").write_text(other)
    monkeypatch.chdir(tmp_path)
    cli.run(["check", "-q", "--no-cache", "--strict", "--select", "TLP204", "--fix", "main.py"])
    assert ("temperature" not in (tmp_path / "main.py").read_text()) is safe


@pytest.mark.skipif(importlib.util.find_spec("transformers") is None, reason="needs transformers")
def test_whisper_samples_by_its_temperature() -> None:
    import inspect

    from transformers.models.whisper import generation_whisper

    source = inspect.getsource(generation_whisper)
    assert "generation_config.do_sample = temperature is not None and temperature > 0.0" in source
