"""Odd input of the planner's commands ends with one line that says what is wrong, and exit code 2."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import pytest

from telepathy_runtime.commands.cli import main

LLAMA: dict[str, Any] = {
    "model_type": "llama", "hidden_size": 256, "intermediate_size": 512, "num_hidden_layers": 2, "num_attention_heads": 4,
    "num_key_value_heads": 2, "vocab_size": 1000, "max_position_embeddings": 128, "dtype": "bfloat16",
    "architectures": ["LlamaForCausalLM"],
}  # fmt: skip
OK = json.dumps(LLAMA)


def refused(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """The one line of an error."""
    assert main(list(arguments)) == 2
    out, err = capsys.readouterr()
    assert not out
    (line,) = err.splitlines()
    assert "Traceback" not in line
    return line


def safetensors(header: object, behind: int = 12) -> bytes:
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + b"\0" * behind


def tensor(shape: object) -> bytes:
    return safetensors({"w": {"dtype": "BF16", "shape": shape, "data_offsets": [0, 12]}})


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("config.json", b"{nope", "not valid JSON"),
        ("config.json", b"", "not valid JSON"),
        ("config.json", b"\xff\xfe\x00", "not valid JSON"),
        ("config.json", b"[" * 100_000, "not valid JSON"),
        ("config.json", json.dumps(LLAMA | {"hidden_size": 10**30}).encode(), "hidden_size must be an integer below 2^31"),
        ("config.json", b"[1]", "must contain a JSON object"),
        ("config.json", b"{}", "config.json has no model_type"),
        ("config.json", json.dumps(LLAMA | {"model_type": ["llama"]}).encode(), "model_type must be a string"),
        ("config.json", json.dumps(LLAMA | {"architectures": [5]}).encode(), "architectures must be a list of strings"),
        ("config.json", json.dumps(LLAMA | {"quantization_config": "nf4"}).encode(), "quantization_config must be an object"),
        ("config.json", json.dumps(LLAMA | {"rope_theta": "big"}).encode(), "rope_theta must be a number"),
        ("config.json", json.dumps(LLAMA | {"hidden_size": 256.0}).encode(), "hidden_size must be a positive integer"),
        ("x.safetensors", b"\x01\x02", "is too short to be a safetensors file"),
        ("x.safetensors", struct.pack("<Q", 2**62) + b"{}", "claims a header of 4611686018427387904 bytes"),
        ("x.safetensors", struct.pack("<Q", 5) + b"{nope", "has a damaged header"),
        ("x.safetensors", safetensors([1]), "has a damaged header: it is no JSON object"),
        ("x.safetensors", struct.pack("<Q", 100_000) + b"[" * 100_000, "has a damaged header"),
        ("x.safetensors", tensor("x"), "has a damaged header: the shape of a tensor is 'x'"),
        ("x.safetensors", tensor([2, -3]), r"has a damaged header: the shape of a tensor is [2, -3]"),
        ("x.safetensors", safetensors({}), "no tensor in the headers"),
        ("x.safetensors", tensor([2, 3]), "a model known by its headers alone have no closed form; give the folder of its config.json"),
        ("x.gguf", b"GGUF", "has a damaged GGUF header: cut short"),
        ("x.gguf", b"GGUF" + struct.pack("<IQQ", 3, 5, 2) + b"\x05", "has a damaged GGUF header: cut short"),
        ("x.gguf", b"NOPE", "is not a GGUF file"),
        ("x.gguf", b"GGUF" + struct.pack("<IQQ", 3, 0, 0), "no tensor in the header"),
    ],
)  # fmt: skip
def test_a_file_that_is_no_model(
    name: str, content: bytes, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("transformers")
    file = tmp_path / name
    file.write_bytes(content)
    assert message in refused(capsys, "plan", str(file))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--target", "{ok}", "--latents", "0"), "--latents must be a whole number of at least 1, not 0"),
        (("--target", "{ok}", "--depth", "-1"), "--depth must be a whole number of at least 0, not -1"),
        (("--target", "{ok}", "--adapter-params", "-1"), "--adapter-params must be a whole number of at least 0, not -1"),
        (("--target", "{ok}", "--target-seq-len", "0"), "--target-seq-len must be a whole number of at least 1, not 0"),
        (("--target-seq-len", "5"), "--target-seq-len needs --target"),
        (("--target-unfrozen",), "--target-unfrozen needs --target"),
        (("--gpu", "0.2GiB"), "GPU '0.2GiB': its memory must be more than 0.6 GiB"),
        (("--shard", "tp", "--ranks", "3"), "4 heads of mine over 3 ranks cannot be divided"),
        (("--regime", "lora", "--lora-targets", ""), "lora_targets (--lora-targets) must be names of matrices"),
        (("--regime", "lora", "--lora-targets", "fc1"), "lora_targets fc1 (--lora-targets): llama has no such matrix"),
    ],
)  # fmt: skip
def test_options_that_describe_no_job(
    options: tuple[str, ...], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "config.json").write_text(OK)
    model = str(tmp_path / "mine")
    given = [model if each == "{ok}" else each for each in options]
    assert message in refused(capsys, "estimate", model, "--seq-len", "64", *given)


def test_an_empty_name_of_a_model_is_none(capsys: pytest.CaptureFixture[str]) -> None:
    for command in ("plan", "estimate"):
        assert "MODEL must not be empty" in refused(capsys, command, "")


def test_what_is_not_traced_announces_no_trace(capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("transformers")
    line = refused(capsys, "plan", "Qwen/Qwen2.5-7B", "--kernels", "adapters", "--regime", "lora")
    assert "and it is not traced: kernels='adapters' has no code that runs on the meta device" in line


OWN = """
number = 5
def returns_a_number():
    return 3
def reads_values():
    import torch
    return lambda: torch.zeros(3).item()
def raises():
    raise KeyError("x")
"""


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("number", "--trace: module own_{0} has no function number"),
        ("nothing", "--trace: module own_{0} has no function nothing"),
        ("returns_a_number", "build must return the step, a function without arguments, not 3"),
        (
            "reads_values",
            "RuntimeError: a Tensor with 3 elements cannot be converted to Scalar (own_{0}.py, line 7)",
        ),
        ("raises", "KeyError: 'x' (own_{0}.py, line 9)"),
    ],
)
def test_own_code_that_cannot_be_traced(
    name: str,
    message: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pytest.importorskip("torch")
    (tmp_path / f"own_{name}.py").write_text(OWN)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    assert message.format(name) in refused(capsys, "plan", "--trace", f"own_{name}:{name}")
    assert "--trace must be MODULE:FUNCTION" in refused(capsys, "plan", "--trace", ":f")


def test_a_script_that_is_no_python_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "train.py").write_text("def (:\n")
    assert "train.py: syntax error" in refused(
        capsys, "estimate", "--from-script", str(tmp_path / "train.py")
    )
