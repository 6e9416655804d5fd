"""Which layer lies on which GPU, held against transformers' own device map; and a server's cache, against its arithmetic."""

from __future__ import annotations

import json
import random

import pytest

from telepathy_runtime.commands.placing import add_parsers
from telepathy_runtime.memory.device_map import CPU, parts_of, place
from telepathy_runtime.memory.gpus import Gpu, gpu
from telepathy_runtime.memory.serving import serve
from telepathy_runtime.models import registry

LLAMA = registry.get("meta-llama/Llama-3.1-8B")
MODELS = (
    "meta-llama/Llama-3.1-8B", "meta-llama/Llama-3.2-1B", "meta-llama/Llama-3.1-70B", "Qwen/Qwen2.5-1.5B", "Qwen/Qwen2.5-7B",
    "Qwen/Qwen3-8B", "mistralai/Mistral-7B-v0.3",
)  # fmt: skip


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str]:
    import argparse

    parser = argparse.ArgumentParser(prog="telepathy-runtime")
    add_parsers(parser.add_subparsers(required=True))
    args = parser.parse_args(arguments)
    code: int = args.run(args)
    out, err = capsys.readouterr()
    return code, out + err


@pytest.mark.parametrize("model_id", MODELS)
def test_every_part_lies_where_transformers_puts_it(model_id: str) -> None:
    """GPUs of sizes drawn at random, from a tenth of the model to more than the whole; some of it on the CPU."""
    torch = pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers")
    own = pytest.importorskip("transformers.integrations.accelerate")
    if not hasattr(own, "_get_device_map"):
        pytest.skip("this release asks accelerate for its map")
    from telepathy_runtime.memory.standard_step import hub_config

    spec = registry.get(model_id)
    with torch.device("meta"):
        model = transformers.AutoModelForCausalLM.from_config(hub_config(spec), dtype=torch.bfloat16)
    model.tie_weights()
    draw = random.Random(model_id)
    for _ in range(15):
        room = [int(spec.params_bytes * draw.uniform(0.1, 1.2)) for _ in range(draw.randint(1, 5))]
        allowed = dict(enumerate(room)) | {CPU: 10**15}
        if len(room) == 1:
            allowed[0] = int(
                allowed[0] * 0.9
            )  # what it takes off itself where the sizes are the machine's own
        shipped = own._get_device_map(model, "auto", allowed, None)
        ours = {part.name: each.device for each in place(spec, room) for part in each.parts}
        for name, device in ours.items():
            while name not in shipped and name:
                name = name.rpartition(".")[0]
            assert shipped[name] == device, (room, name)


def test_the_parts_are_the_whole() -> None:
    for model_id in MODELS:
        spec = registry.get(model_id)
        placed = place(spec, [10**10, 2 * 10**10])
        sizes = sum(each.bytes for each in placed)
        assert sizes == spec.params_bytes + 4 * spec.head_dim  # and the rotary frequencies
        assert sum(each.layers for each in placed) == spec.layers
        assert [part.name for each in placed for part in each.parts] == [
            part.name for part in parts_of(spec) if part.name != "lm_head" or not spec.tied
        ]


def test_place_prints_layers_and_what_is_free(capsys: pytest.CaptureFixture[str]) -> None:
    code, out = run(capsys, "place", LLAMA.id, "--gpu", "T4", "--gpu", "RTX-3060-12GB", "--seq-len", "8192")
    assert code == 0
    assert "embed_tokens, layers 0-" in out and "norm, lm_head" in out
    assert all(len(line) <= 80 for line in out.splitlines())
    code, out = run(capsys, "place", LLAMA.id, "--gpu", "2x8GiB", "--json")
    data = json.loads(out)
    assert code == 1 and data["devices"][-1]["device"] == "cpu"
    assert data["device_map"]["model.layers.0"] == 0 and data["device_map"]["lm_head"] == "cpu"
    assert run(capsys, "place", "google-bert/bert-base-uncased")[0] == 2


def test_a_cache_is_what_the_rest_leaves() -> None:
    card = Gpu("test", 80 * 2**30, 2**30)
    found = serve(LLAMA, card, max_len=8192)
    assert found.block == LLAMA.kv_bytes(1, 16)
    used = found.weights + found.forward + found.other + found.cache
    assert found.budget - found.block < used <= found.budget == int(80 * 2**30 * 0.9)
    assert found.tokens == found.blocks * 16 and found.concurrency == found.tokens / 8192
    half = serve(LLAMA, card, max_len=8192, cache_dtype="fp8")
    assert half.block * 2 == found.block and half.cache == pytest.approx(found.cache, abs=found.block)


def test_ranks_divide_weights_and_heads() -> None:
    card = gpu("A100-80GB")
    one, two, sixteen = (serve(LLAMA, card, tensor_parallel=ranks) for ranks in (1, 2, 16))
    assert two.weights == one.weights // 2 and two.block == one.block // 2
    assert sixteen.block == one.block // 8  # no less than one key head a rank
    assert two.tokens > 2 * one.tokens


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--utilization", "1.5"), "utilization must be above 0 and at most 1"),
        (("--tensor-parallel", "3"), "does not divide the 32 heads"),
        (("--max-len", "200000"), "was made for 131072 tokens"),
        (("--block-size", "0"), "block_size must be at least 1"),
        (("--gpu", "T4", "--gpu", "L4"), "serve takes one --gpu"),
        (("--gpu", "2x24GiB", "--tensor-parallel", "4"), "--gpu has 2 cards, but --tensor-parallel is 4"),
    ],
    ids=str,
)
def test_a_server_that_cannot_be(
    options: tuple[str, ...], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out = run(capsys, "serve", LLAMA.id, *options)
    assert code == 2 and message in out


def test_serve_says_how_many_sequences(capsys: pytest.CaptureFixture[str]) -> None:
    code, out = run(capsys, "serve", LLAMA.id, "--max-len", "32768")
    assert code == 0 and "sequences of 32,768" in out
    code, out = run(capsys, "serve", "Qwen/Qwen2.5-14B", "--gpu", "L40S")
    assert code == 1 and "not even one sequence" in out
    assert json.loads(run(capsys, "serve", LLAMA.id, "--json")[1])["blocks"] > 20_000
