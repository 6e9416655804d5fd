"""Public reports of loading trouble, each tried: what the loader does about it. docs/loading.md lists them by their number."""

from __future__ import annotations

import json
import shutil
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file

from telepathy_runtime import (
    AttentionError,
    CorruptCheckpointError,
    DeviceMapError,
    LoadReport,
    ModelClassError,
    SpillError,
    WeightsError,
    fit_tokenizer,
    load,
    load_model,
)
from telepathy_runtime.choose.attention import ClassTraits, choose_attention
from telepathy_runtime.choose.placement import choose_device_map
from telepathy_runtime.choose.precision import choose_dtype
from telepathy_runtime.machine.launcher import Launcher
from tests.checkpoints import EOS_ID, STOP_IDS, TURN_ID, UNUSED
from tests.runtime.conftest import Checkpoints
from tests.runtime.failures.test_failures import lfs_pointer
from tests.runtime.loading.test_adapters import save_adapter
from tests.runtime.loading.test_together import with_template
from tests.runtime.machines import GIB, cuda

IDS = torch.tensor([[72, 101, 108]])
T4 = cuda(capability=(7, 5), packages=("flash-attn",))


def report_of(model: Any) -> LoadReport:
    found = LoadReport.of(model)
    assert found is not None
    return found


def renamed(folder: Path, copy: Path, rename: Callable[[str], str]) -> Path:
    copy = Path(shutil.copytree(folder, copy))
    file = copy / "model.safetensors"
    weights = {rename(name): tensor for name, tensor in load_file(file).items()}
    save_file(weights, file, metadata={"format": "pt"})
    return copy


def test_transformers_48722_every_weight_random_behind_another_prefix(
    checkpoints: Checkpoints, tmp_path: Path
) -> None:
    folder = renamed(
        checkpoints("llama"),
        tmp_path / "x",
        lambda name: name.replace("model.", "rt_detr.").replace("lm_", "z_"),
    )
    with pytest.raises(WeightsError, match="0 of 21 weights are in the checkpoint"):
        load_model(folder)


def test_nanogpt_325_saved_from_a_compiled_model(checkpoints: Checkpoints, tmp_path: Path) -> None:
    folder = renamed(checkpoints("llama"), tmp_path / "x", lambda name: f"_orig_mod.{name}")
    with pytest.raises(WeightsError, match=r"begin with '_orig_mod\.', saved from torch\.compile"):
        load_model(folder)


def test_transformers_31557_auto_in_distributed_mode() -> None:
    here = cuda(4, launcher=Launcher("torchrun", 4, 3, 3, 4))
    assert choose_device_map(here, weight_bytes=GIB).value == {"": "cuda:3"}
    assert "distributes a whole model" in choose_device_map(here, "auto").warnings[0]


def test_qwen_833_a_device_map_under_zero_3() -> None:
    assert choose_device_map(cuda(4, sharding="zero3")).value is None
    with pytest.raises(DeviceMapError, match="ZeRO-3 shards the weights"):
        choose_device_map(cuda(4, sharding="zero3"), "auto")


def test_minimal_llama_12_auto_for_training() -> None:
    choice = choose_device_map(cuda(2), weight_bytes=GIB, purpose="training")
    assert choice.value == {"": 0}
    assert "start one process for each" in choice.warnings[0]


def test_transformers_34055_no_pad_token_to_classify_with(checkpoints: Checkpoints) -> None:
    cls = transformers.LlamaForSequenceClassification
    model, tokenizer = load(checkpoints("llama", pad="reserved"), model_class=cls)
    batch = tokenizer(["a", "abc"], return_tensors="pt", padding=True, return_token_type_ids=False)
    assert model(**batch).logits.shape[0] == 2


def test_transformers_23165_unscaling_float16_on_a_t4(checkpoints: Checkpoints) -> None:
    assert choose_dtype(T4, purpose="training").value == "float32"
    model = load_model(checkpoints("llama"), purpose="training", dtype="float16")
    assert any("Attempting to unscale FP16 gradients" in text for text in report_of(model).warnings)


def test_peft_1249_adapters_in_the_dtype_of_the_base(checkpoints: Checkpoints) -> None:
    peft = pytest.importorskip("peft")
    model = load_model(checkpoints("llama"), purpose="finetune-adapters", dtype="float16")
    assert any("keep the adapters in float32" in text for text in report_of(model).warnings)
    wrapped = peft.get_peft_model(model, peft.LoraConfig(target_modules=["q_proj"], task_type="CAUSAL_LM"))
    assert {parameter.dtype for parameter in wrapped.parameters() if parameter.requires_grad} == {
        torch.float32
    }


def test_tokenizers_1609_an_id_beyond_the_embeddings(checkpoints: Checkpoints) -> None:
    model, tokenizer = load(checkpoints("llama"))
    tokenizer.add_tokens([f"<new{number}>" for number in range(9)])
    last = torch.tensor([[len(tokenizer) - 1]])
    assert "is an index error" in fit_tokenizer(model, tokenizer).warnings[0]
    fit_tokenizer(model, tokenizer, resize=True)
    assert model(last).logits.shape[1] == 1


def test_axolotl_2257_more_embeddings_than_tokens_stay(checkpoints: Checkpoints) -> None:
    model, tokenizer = load(checkpoints("llama"))
    before = model.get_input_embeddings().num_embeddings
    model.resize_token_embeddings(before + 40)
    assert "embeddings" not in fit_tokenizer(model, tokenizer, resize=True).changed
    assert model.get_input_embeddings().num_embeddings == before + 40


def test_lighteval_1279_shipped_stop_tokens_are_not_replaced(checkpoints: Checkpoints) -> None:
    model, tokenizer = load(checkpoints("llama"))
    assert tokenizer.eos_token_id == EOS_ID
    assert model.generation_config.eos_token_id == list(STOP_IDS)


def test_mlx_vlm_2112_the_tokenizers_stop_token_is_not_dropped(checkpoints: Checkpoints) -> None:
    model, _ = load(checkpoints("llama", stop_ids=(TURN_ID,)))
    assert model.generation_config.eos_token_id == [TURN_ID, EOS_ID]


def test_transformers_32110_a_template_ends_turns_with_another_token(
    checkpoints: Checkpoints, tmp_path: Path
) -> None:
    pytest.importorskip("jinja2", minversion="3.1")  # transformers renders with no older one
    model, tokenizer = load(with_template(checkpoints("llama"), tmp_path, UNUSED))
    assert tokenizer.convert_tokens_to_ids(UNUSED) in model.generation_config.eos_token_id


def test_open_unlearning_178_adapters_are_not_trained_under_checkpointing(checkpoints: Checkpoints) -> None:
    peft = pytest.importorskip("peft")
    model = load_model(checkpoints("llama"), purpose="finetune-adapters")
    wrapped = peft.get_peft_model(model, peft.LoraConfig(target_modules=["q_proj"], task_type="CAUSAL_LM"))
    model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": True})
    wrapped.train()
    wrapped(input_ids=IDS, labels=IDS).loss.backward()
    gradients = [p.grad for name, p in wrapped.named_parameters() if "lora_B" in name]
    assert gradients
    assert all(gradient is not None and gradient.abs().sum() > 0 for gradient in gradients)


def test_transformers_27923_header_too_large(checkpoints: Checkpoints, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(checkpoints("llama"), tmp_path / "x"))
    lfs_pointer(folder)
    with pytest.raises(CorruptCheckpointError, match=r"Git LFS pointer.*git lfs pull"):
        load_model(folder)


def test_transformers_41782_several_threads(checkpoints: Checkpoints) -> None:
    folder, found = checkpoints("llama", dtype="float32"), []

    def one(dtype: Any) -> None:
        try:
            model = load_model(folder, dtype=dtype).to("cpu")
            found.append({tensor.dtype for tensor in model.parameters()} == {dtype})
        except Exception as error:
            found.append(error)

    dtypes = [torch.float32, torch.bfloat16] * 4
    threads = [threading.Thread(target=one, args=(dtype,)) for dtype in dtypes]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [True] * 8


def test_peft_758_target_modules_of_another_base(checkpoints: Checkpoints, tmp_path: Path) -> None:
    pytest.importorskip("peft")
    adapter = save_adapter(checkpoints("llama"), tmp_path / "adapter", target_modules=["gate_proj"])
    with pytest.raises(ModelClassError, match=r"modules that this model does not have.*base model"):
        load_model(checkpoints("gptj"), adapter=adapter)


def test_transformers_29988_a_generation_config_that_cannot_be_saved(
    checkpoints: Checkpoints, tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(checkpoints("llama"), tmp_path / "x"))
    file = folder / "generation_config.json"
    shipped = json.loads(file.read_text()) | {"do_sample": True, "temperature": 0.9, "top_p": 0.6}
    file.write_text(json.dumps(shipped))
    model = load_model(folder)
    model.generate(IDS, max_new_tokens=1)
    model.save_pretrained(tmp_path / "saved")
    saved = json.loads((tmp_path / "saved" / "generation_config.json").read_text())
    assert (saved["temperature"], saved["top_p"]) == (0.9, 0.6)


def test_torchtune_2254_training_bfloat16_weights(checkpoints: Checkpoints) -> None:
    folder = checkpoints("llama")
    assert load_model(folder, purpose="training").dtype is torch.float32
    model = load_model(folder, purpose="training", dtype="bfloat16")
    assert any("steps below 1/256 of a weight are lost" in text for text in report_of(model).warnings)


def test_transformers_28188_flash_attention_on_an_older_gpu() -> None:
    traits = ClassTraits("LlamaForCausalLM")
    chosen = choose_attention(T4, traits=traits, dtype="float16", on_accelerator=True)
    assert chosen.value == "sdpa"
    with pytest.raises(AttentionError, match=r"7\.5"):
        choose_attention(T4, "flash_attention_2", traits=traits, dtype="float16", on_accelerator=True)


def test_trl_3891_a_cache_beside_gradient_checkpointing(checkpoints: Checkpoints) -> None:
    model = load_model(checkpoints("llama"), purpose="training").train()
    model.gradient_checkpointing_enable()
    assert model(IDS, labels=IDS).past_key_values is None
    seen: list[Any] = []
    hook = model.register_forward_pre_hook(
        lambda module, inputs, keywords: seen.append(keywords["use_cache"]), with_kwargs=True
    )
    model.eval().generate(IDS, max_new_tokens=2)
    hook.remove()
    assert all(seen)


def test_llamafactory_4697_weights_on_the_disk_in_silence(checkpoints: Checkpoints, tmp_path: Path) -> None:
    folder = checkpoints("llama")
    blocks = {"model.embed_tokens": "cpu", "model.layers": "cpu", "model.norm": "cpu", "lm_head": "disk"}
    if hasattr(transformers.LlamaForCausalLM.from_pretrained(folder).model, "rotary_emb"):
        blocks["model.rotary_emb"] = "cpu"
    arguments = {"device_map": blocks, "offload_folder": tmp_path}
    assert any("to disk (lm_head)" in text for text in report_of(load_model(folder, **arguments)).warnings)
    with pytest.raises(SpillError):
        load_model(folder, offload="error", **arguments)
