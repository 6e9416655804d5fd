"""Where the resolver replaces `device_map="auto"`, transformers and accelerate would place the model in the same way.

Their own code computes the map for "auto" here, with the memory of simulated machines.
"""

from __future__ import annotations

import importlib.util
import inspect
import sys
from typing import Any

import pytest

pytest.importorskip("torch")
pytest.importorskip("transformers")
accelerate = pytest.importorskip("accelerate")

import torch  # noqa: E402
import transformers  # noqa: E402

from telepathy_runtime.choose.placement import choose_device_map  # noqa: E402
from telepathy_runtime.machine.environment import Device, Machine  # noqa: E402
from tests.runtime.machines import GIB  # noqa: E402

#: Shapes in which the largest layer is much, little, and nearly all of the model.
SHAPES = {
    "deep": {"hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 24, "vocab_size": 64},
    "one layer": {"hidden_size": 64, "intermediate_size": 512, "num_hidden_layers": 1, "vocab_size": 64},
    "vocabulary": {"hidden_size": 64, "intermediate_size": 64, "num_hidden_layers": 2, "vocab_size": 50_000},
    "tied": {
        "hidden_size": 64, "intermediate_size": 64, "num_hidden_layers": 2, "vocab_size": 50_000,
        "tie_word_embeddings": True,
    },
}  # fmt: skip


def model(shape: str) -> Any:
    config = transformers.LlamaConfig(
        num_attention_heads=4, num_key_value_heads=4, max_position_embeddings=64, **SHAPES[shape]
    )
    with torch.device("meta"):
        made = transformers.LlamaForCausalLM(config).to(torch.bfloat16)
    made.tie_weights()
    return made


def bytes_of(made: Any) -> int:
    return sum(parameter.numel() * 2 for parameter in made.parameters())


def placed_by_auto(made: Any, memory: dict[Any, int], monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """The map for "auto" on a machine whose devices have this much free memory."""
    from accelerate.utils import modeling

    for module in (modeling, accelerate.utils, sys.modules.get("transformers.integrations.accelerate")):
        if hasattr(module, "get_max_memory"):
            monkeypatch.setattr(module, "get_max_memory", lambda max_memory=None: dict(max_memory or memory))
    _get_device_map = None
    for name in ("transformers.integrations.accelerate", "transformers.modeling_utils"):
        if importlib.util.find_spec(name) is not None:
            _get_device_map = _get_device_map or getattr(
                importlib.import_module(name), "_get_device_map", None
            )
    if _get_device_map is None:  # transformers 4.46 has these two calls inside from_pretrained
        kinds = {"no_split_module_classes": made._no_split_modules, "dtype": torch.bfloat16}
        room = modeling.get_balanced_memory(made, max_memory=None, **kinds)
        return dict(modeling.infer_auto_device_map(made, max_memory=room, **kinds))
    names = set(inspect.signature(_get_device_map).parameters)
    given = {"model": made, "device_map": "auto", "max_memory": None, "hf_quantizer": None}
    given |= {"torch_dtype": torch.bfloat16, "dtype": torch.bfloat16, "keep_in_fp32_regex": None}
    return dict(_get_device_map(**{name: value for name, value in given.items() if name in names}))


@pytest.mark.parametrize("shape", SHAPES)
def test_a_map_onto_the_one_gpu_is_what_auto_gives_there(shape: str, monkeypatch: pytest.MonkeyPatch) -> None:
    made = model(shape)
    size = bytes_of(made)
    onto_the_gpu = 0
    for percent in range(60, 400, 5):
        free = size * percent // 100
        machine = Machine(accelerator="cuda", devices=(Device("cuda", 0, free_bytes=free),))
        choice = choose_device_map(machine, weight_bytes=size).value
        if choice == "auto":
            continue  # then transformers itself places the model
        onto_the_gpu += 1
        given = placed_by_auto(made, {0: free, "cpu": 64 * GIB}, monkeypatch)
        assert set(given.values()) == {0}, f"free memory {percent} % of the weights: {given}"
    assert onto_the_gpu > 10


def test_auto_moves_layers_out_where_the_resolver_says_auto(monkeypatch: pytest.MonkeyPatch) -> None:
    """The comparison above can fail: with less memory, accelerate offloads."""
    made = model("one layer")
    free = bytes_of(made) * 110 // 100
    machine = Machine(accelerator="cuda", devices=(Device("cuda", 0, free_bytes=free),))
    assert choose_device_map(machine, weight_bytes=bytes_of(made)).value == "auto"
    given = placed_by_auto(made, {0: free, "cpu": 64 * GIB}, monkeypatch)
    assert "cpu" in given.values()


def test_several_gpus_unknown_sizes_and_offload_arguments_stay_auto() -> None:
    one = Machine(accelerator="cuda", devices=(Device("cuda", 0, free_bytes=80 * GIB),))
    four = Machine(
        accelerator="cuda", devices=tuple(Device("cuda", index, free_bytes=80 * GIB) for index in range(4))
    )
    assert choose_device_map(four, weight_bytes=GIB).value == "auto"
    assert choose_device_map(one, weight_bytes=None).value == "auto"
    assert choose_device_map(one, weight_bytes=GIB, offload=True).value == "auto"
    assert choose_device_map(one, weight_bytes=GIB, max_memory={0: "10GiB"}).value == "auto"


def test_auto_on_a_cpu_leaves_everything_there(monkeypatch: pytest.MonkeyPatch) -> None:
    given = placed_by_auto(model("deep"), {"cpu": 64 * GIB}, monkeypatch)
    assert set(map(str, given.values())) == {"cpu"}
    assert choose_device_map(Machine()).value is None


def test_auto_on_a_mac_is_the_one_device(monkeypatch: pytest.MonkeyPatch) -> None:
    given = placed_by_auto(model("deep"), {"mps": 64 * GIB}, monkeypatch)
    assert set(map(str, given.values())) == {"mps"}
    mac = Machine(accelerator="mps", devices=(Device("mps", 0),))
    assert choose_device_map(mac, weight_bytes=GIB).value == {"": "mps"}
