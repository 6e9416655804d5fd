"""Where a model is looked up: a path, the project's own file, the registry, the hub cache, the hub."""

from __future__ import annotations

import http.server
import json
import struct
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from telepathy_runtime.checkpoint import files as checkpoint
from telepathy_runtime.checkpoint import gguf
from telepathy_runtime.commands import memory
from telepathy_runtime.commands.cli import main
from telepathy_runtime.memory import Workload, estimate
from telepathy_runtime.memory.lora import lora_params
from telepathy_runtime.models import registry
from telepathy_runtime.models.lookup import Sources, find, read_path, search
from telepathy_runtime.models.registry import ConfigError, UnknownModelError
from telepathy_runtime.models.spec import ModelSpec, NotModelledError, UnknownOptionError
from tests.runtime.models.test_registry import OWN

LLAMA = {
    "model_type": "llama",
    "architectures": ["LlamaForCausalLM"],
    "dtype": "bfloat16",
    "hidden_size": 48,
    "intermediate_size": 80,
    "num_hidden_layers": 3,
    "num_attention_heads": 6,
    "num_key_value_heads": 2,
    "vocab_size": 101,
    "max_position_embeddings": 64,
}
MIXTRAL = LLAMA | {"model_type": "mixtral", "architectures": ["MixtralForCausalLM"], "num_local_experts": 4}


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("TRANSFORMERS_CACHE", "HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HF_HOME", str(tmp_path / "home"))
    return tmp_path / "home" / "hub"


def put(cache: Path, model_id: str, config: dict[str, Any]) -> None:
    repository = cache / ("models--" + model_id.replace("/", "--"))
    (repository / "refs").mkdir(parents=True)
    (repository / "refs" / "main").write_text("abc")
    (repository / "snapshots" / "abc").mkdir(parents=True)
    (repository / "snapshots" / "abc" / "config.json").write_text(json.dumps(config))


def test_the_hub_cache_knows_what_the_registry_does_not(cache: Path) -> None:
    with pytest.raises(UnknownModelError, match="not in the hub cache either; --online"):
        find("house/model")
    put(cache, "house/model", LLAMA)
    assert (find("house/model").id, find("house/model").layers) == ("house/model", 3)
    put(cache, "openai-community/gpt2", LLAMA)  # a listed model stays what the registry says
    assert find("openai-community/gpt2").layers == 12


def test_a_path_comes_first_and_the_projects_own_file_before_the_registry(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = tmp_path / "own.toml"
    own.write_text(OWN.replace('"house/tiny"', '"house/tiny", "gpt2"'))
    assert find("gpt2", Sources(str(own))).hidden == 64
    assert find("gpt2").hidden == 768
    with pytest.raises(UnknownModelError, match=r"own\.toml: house/tiny"):
        find("house/tinny", Sources(str(own)))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "gpt2").mkdir()
    (tmp_path / "gpt2" / "config.json").write_text(json.dumps(LLAMA))
    assert find("gpt2", Sources(str(own))).hidden == 48


def test_the_options_reach_the_commands(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    own = tmp_path / "own.toml"
    own.write_text(OWN)
    assert main(["estimate", "house/tiny", "--registry", str(own)]) == 0
    assert "house/tiny: inference" in capsys.readouterr().out
    assert main(["models", "--registry", str(own), "--search", "TINY house", "--json"]) == 0
    assert [one["id"] for one in json.loads(capsys.readouterr().out)] == ["house/tiny"]
    assert main(["models", "--search", "no such"]) == 2
    assert "no known model has 'no such'" in capsys.readouterr().err
    assert main(["models", "--registry", str(tmp_path / "absent.toml")]) == 2
    assert "absent.toml" in capsys.readouterr().err


def test_a_search_looks_at_ids_families_and_architectures() -> None:
    found = [spec.id for spec in search("qwen3 MOE", registry.all_models())]
    assert "Qwen/Qwen3-235B-A22B" in found
    assert all("Qwen3" in model_id for model_id in found)


def test_without_a_closed_form_and_torch_the_weights_are_exact_and_the_rest_is_said_to_be_missing(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "telepathy_runtime.memory.standard_step", None)
    bloom = "bigscience/bloom-560m"
    assert main(["estimate", bloom]) == 0
    out = capsys.readouterr().out
    assert "at least 1.14 GiB" in out
    assert "fits" not in out
    assert "activations and logits are not counted: activations of bloom have no closed form" in out
    assert main(["estimate", bloom, "--regime", "full", "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert (shown["fits"], shown["whole"]) == (None, False)
    assert shown["peak_bytes"] == 5 * 2 * 559_214_592  # weights, gradients, two states, the step's transient
    assert main(["estimate", "openai/gpt-oss-120b", "--gpu", "A100-40GB", "--json"]) == 1
    assert json.loads(capsys.readouterr().out)["fits"] is False
    assert main(["estimate", "openai/gpt-oss-20b", "--regime", "full"]) == 2
    assert "quantised weights take no gradients" in capsys.readouterr().err
    monkeypatch.setattr(memory, "find_spec", lambda name: None)
    assert main(["plan", bloom]) == 2
    assert "activations of bloom have no closed form" in capsys.readouterr().err


def test_any_architecture_is_counted_in_transformers_own_build(tmp_path: Path) -> None:
    transformers = pytest.importorskip("transformers")
    torch = pytest.importorskip("torch")
    (tmp_path / "config.json").write_text(json.dumps(MIXTRAL))
    with torch.device("meta"):
        model = transformers.AutoModelForCausalLM.from_config(
            transformers.AutoConfig.from_pretrained(tmp_path)
        )
    spec = read_path(tmp_path)
    assert spec.params == sum(parameter.numel() for parameter in model.parameters())
    assert spec.kv_bytes(2, 10) == 2 * 2 * 3 * 10 * 2 * 8 * 2


@pytest.mark.parametrize(
    "kind", ["LlamaModel", "LlamaForSequenceClassification", "LlamaForTokenClassification"]
)
def test_the_head_is_the_one_that_architectures_names(kind: str, tmp_path: Path) -> None:
    transformers = pytest.importorskip("transformers")
    torch = pytest.importorskip("torch")
    (tmp_path / "config.json").write_text(
        json.dumps(LLAMA | {"architectures": [kind], "id2label": {0: "a", 1: "b", 2: "c"}})
    )
    with torch.device("meta"):
        model = getattr(transformers, kind)(transformers.AutoConfig.from_pretrained(tmp_path))
    assert read_path(tmp_path).params == sum(parameter.numel() for parameter in model.parameters())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"model_type": "no-such"}, "'no-such' is not known to transformers"),
        ({"model_type": "no-such", "auto_map": {"AutoModel": "x.Y"}}, "its own code, which is not run"),
        (
            {"quantization_config": {"quant_method": "aqlm"}},
            "quantisation 'aqlm' is not modelled; known: bitsandbytes",
        ),
        ({"model_type": "mixtral", "hidden_size": 0}, "transformers cannot build mixtral|hidden_size"),
    ],
)
def test_what_cannot_be_counted_is_an_error(change: dict[str, Any], message: str, tmp_path: Path) -> None:
    pytest.importorskip("transformers")
    (tmp_path / "config.json").write_text(json.dumps(LLAMA | {"architectures": None} | change))
    with pytest.raises((UnknownOptionError, ConfigError), match=message):
        read_path(tmp_path)


LINEARS = 3 * (2 * 48 * 48 + 2 * 16 * 48 + 3 * 48 * 80)  # q, o; k, v; gate, up, down
REST = (2 * 101 * 48 + 7 * 48) * 2  # embeddings, head and norms in bfloat16


@pytest.mark.parametrize(
    ("quantised", "stored"),
    [
        ({"load_in_4bit": True, "quant_method": "bitsandbytes"}, LINEARS // 2 + 4 * LINEARS // 64 + 64 * 21),
        (
            {"load_in_8bit": True, "quant_method": "bitsandbytes"},
            LINEARS + 4 * 3 * (48 + 48 + 16 + 16 + 80 + 80 + 48),
        ),
        ({"quant_method": "fp8", "weight_block_size": None}, LINEARS + 4 * 21),
    ],
    ids=["4-bit", "8-bit", "fp8"],
)
def test_quantised_weights_are_counted_by_their_layout(
    quantised: dict[str, Any], stored: int, tmp_path: Path
) -> None:
    pytest.importorskip("transformers")
    (tmp_path / "config.json").write_text(json.dumps(LLAMA | {"quantization_config": quantised}))
    spec = read_path(tmp_path)
    assert spec.params_bytes == stored + REST
    assert spec.params == LINEARS + REST // 2
    # With all dimensions, so that a job on it has a closed form; its weights stay as they are stored.
    job = Workload(regime="lora", seq_len=64)
    assert estimate(spec, job).after_load == held_weights(spec, job)
    with pytest.raises(NotModelledError, match="quantised weights, which take no gradients"):
        estimate(spec, Workload(regime="full"))


def held_weights(spec: ModelSpec, job: Workload) -> int:
    return spec.stored_bytes + 4 * lora_params(spec, job)


def write_safetensors(file: Path, shapes: dict[str, tuple[str, list[int]]]) -> int:
    sizes, header, end = {"BF16": 2, "F32": 4, "U8": 1}, {}, 0
    for name, (dtype, shape) in shapes.items():
        size = sizes[dtype]
        for side in shape:
            size *= side
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [end, end + size]}
        end += size
    text = json.dumps(header).encode()
    file.write_bytes(struct.pack("<Q", len(text)) + text + bytes(end))
    return end


def test_headers_of_a_quantised_checkpoint_are_truer_than_its_layout(tmp_path: Path) -> None:
    pytest.importorskip("transformers")
    end = write_safetensors(tmp_path / "model.safetensors", {"a": ("U8", [70, 10]), "b": ("BF16", [30])})
    (tmp_path / "config.json").write_text(json.dumps(LLAMA | {"quantization_config": {"load_in_4bit": True}}))
    assert read_path(tmp_path).params_bytes == end == 760


def test_where_only_weights_are_their_headers_say_the_size(tmp_path: Path) -> None:
    write_safetensors(tmp_path / "model.safetensors", {"a": ("BF16", [7, 10]), "b": ("BF16", [30])})
    for path in (tmp_path, tmp_path / "model.safetensors"):
        spec = read_path(path)
        assert (spec.params, spec.params_bytes, spec.dtype) == (100, 200, "bfloat16")
    write_safetensors(tmp_path / "model.safetensors", {"a": ("BF16", [7, 10]), "b": ("F32", [30])})
    assert read_path(tmp_path).params_bytes == 260


def write_gguf(file: Path, tensors: list[tuple[str, list[int], int]]) -> None:
    def text(value: str) -> bytes:
        return struct.pack("<Q", len(value)) + value.encode()

    numbers = {
        "block_count": 3,
        "embedding_length": 64,
        "attention.head_count": 4,
        "attention.head_count_kv": 2,
    }
    body = b"GGUF" + struct.pack("<IQQ", 3, len(tensors), len(numbers) + 2)
    body += text("general.architecture") + struct.pack("<I", 8) + text("llama")
    body += text("tokenizer.ggml.tokens") + struct.pack("<IIQ", 9, 8, 2) + text("a") + text("b")
    for name, value in numbers.items():
        body += text(f"llama.{name}") + struct.pack("<II", 4, value)
    for name, shape, kind in tensors:
        body += text(name) + struct.pack(f"<I{len(shape)}QIQ", len(shape), *shape, kind, 0)
    file.write_bytes(body)


def test_a_gguf_file_says_its_sizes_in_its_header(tmp_path: Path) -> None:
    file = tmp_path / "tiny-Q4_K.gguf"
    write_gguf(file, [("a", [256, 4], 12), ("b", [64], 0)])
    for path in (file, tmp_path):
        spec = read_path(path)
        assert (spec.params, spec.params_bytes) == (256 * 4 + 64, 4 * 144 + 64 * 4)
        assert (spec.layers, spec.kv_heads, spec.head_dim, spec.vocab) == (3, 2, 16, 2)
    write_gguf(tmp_path / "other.gguf", [])
    with pytest.raises(ConfigError, match="contains 2 GGUF files"):
        read_path(tmp_path)
    file.write_bytes(file.read_bytes()[:80])
    with pytest.raises(checkpoint.UnreadableError, match="damaged GGUF header"):
        gguf.header(file)
    write_gguf(file, [("a", [32], 99)])
    with pytest.raises(checkpoint.UnreadableError, match="type 99"):
        gguf.header(file)


class Hub(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        code, kind, body = 404, "RepoNotFound", b""
        if self.path == "/house/open/resolve/main/config.json":
            code, kind, body = 200, "", json.dumps(LLAMA).encode()
        elif "/house/gated/" in self.path:
            allowed = self.headers["Authorization"] == "Bearer secret"
            code, kind = (200, "") if allowed else (401, "GatedRepo")
            body = json.dumps(LLAMA).encode() if allowed else b""
        elif "/house/bare/" in self.path:
            kind = "EntryNotFound"
        elif "/house/broken/" in self.path:
            code, kind, body = 200, "", b"<html>"
        self.send_response(code)
        self.send_header("X-Error-Code", kind)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Nothing on the terminal."""


@pytest.fixture
def hub(cache: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    server = http.server.HTTPServer(("127.0.0.1", 0), Hub)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{server.server_port}")
    for name in (
        "HF_HUB_OFFLINE",
        "TRANSFORMERS_OFFLINE",
        "HF_TOKEN",
        "HF_TOKEN_PATH",
        "http_proxy",
        "HTTP_PROXY",
    ):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    yield
    server.shutdown()
    server.server_close()


ONLINE = Sources(online=True)


def test_the_hub_is_asked_only_when_told(hub: None, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UnknownModelError, match="--online asks the hub"):
        find("house/open")
    assert find("house/open", ONLINE).layers == 3
    with pytest.raises(
        UnknownModelError, match=r"'house/gated' is gated: ask for access at .*, then set HF_TOKEN"
    ):
        find("house/gated", ONLINE)
    monkeypatch.setenv("HF_TOKEN", "secret")
    assert find("house/gated", ONLINE).layers == 3


@pytest.mark.parametrize(
    ("model_id", "message"),
    [
        ("house/absent", "knows no model 'house/absent', or it is private"),
        ("house/bare", "has no config.json"),
        ("house/broken", "holds no JSON"),
        ("a/b/c", "neither a path that exists nor an id"),
    ],
)
def test_what_the_hub_refuses_is_said(hub: None, model_id: str, message: str) -> None:
    with pytest.raises(UnknownModelError, match=message):
        find(model_id, ONLINE)


def test_offline_the_hub_is_not_asked(hub: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(UnknownModelError, match="HF_HUB_OFFLINE is set"):
        find("house/open", ONLINE)
    monkeypatch.delenv("HF_HUB_OFFLINE")
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:1")
    with pytest.raises(UnknownModelError, match="cannot be reached"):
        find("house/open", ONLINE)
