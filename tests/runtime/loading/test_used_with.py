"""Loaded models where other libraries take them: ray, Lightning, torch.compile, Trainer with PEFT, other processes."""

from __future__ import annotations

import importlib.util
import multiprocessing
import pickle
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers

import telepathy_runtime
from telepathy_runtime import LoadError, LoadReport, ModelMissingError, load, load_model
from tests.runtime.conftest import Checkpoints

ROOT = Path(telepathy_runtime.__file__).parent.parent
IDS = torch.tensor([[72, 101, 108]])


def needs(*packages: str) -> pytest.MarkDecorator:
    missing = [name for name in packages if importlib.util.find_spec(name) is None]
    return pytest.mark.skipif(bool(missing), reason=f"needs pip install {' '.join(missing)}")


def kinds_of(error: BaseException) -> list[str]:
    return [cls.__name__ for cls in type(error).__mro__]


# ---- pickled


def test_a_model_and_its_report_survive_pickling(checkpoints: Checkpoints) -> None:
    model = load_model(checkpoints("llama"))
    again = pickle.loads(pickle.dumps(model))
    assert torch.equal(again.generate(IDS, max_new_tokens=4), model.generate(IDS, max_new_tokens=4))
    report, before = LoadReport.of(again), LoadReport.of(model)
    assert report is not None and before is not None
    assert report.to_json() == before.to_json()


@pytest.mark.parametrize("arguments", [{}, {"dtype": "bogus"}, {"report": 7}, {"model_class": 3}])
def test_an_error_survives_pickling(arguments: dict[str, Any], tmp_path: Path) -> None:
    """A pool or a cluster hands errors from one process to another."""
    with pytest.raises(LoadError) as caught:
        load_model(tmp_path / "nothing", **arguments)
    again = pickle.loads(pickle.dumps(caught.value))
    assert str(again) == str(caught.value)
    assert kinds_of(again) == kinds_of(caught.value)
    assert again.__dict__ == caught.value.__dict__


def _load_and_generate(folder: str) -> list[int]:
    return load_model(folder).generate(IDS, max_new_tokens=4)[0].tolist()  # type: ignore[no-any-return]


@pytest.mark.slow
@pytest.mark.parametrize("method", ["spawn", "fork"])
def test_processes_of_a_pool_load(method: str, checkpoints: Checkpoints) -> None:
    folder = str(checkpoints("llama"))
    expected = _load_and_generate(folder)
    with multiprocessing.get_context(method).Pool(2) as pool:
        assert pool.map(_load_and_generate, [folder, folder]) == [expected, expected]
        with pytest.raises(ModelMissingError):
            pool.apply(_load_and_generate, (f"{folder}-nothing",))


# ---- compiled


@pytest.mark.slow
@pytest.mark.parametrize("purpose", ["inference", "training", "finetune-adapters"])
def test_torch_compile(purpose: Any, checkpoints: Checkpoints) -> None:
    torch._dynamo.reset()
    model = load_model(checkpoints("llama"), purpose=purpose)
    plain = model(IDS, labels=IDS)
    compiled = torch.compile(model, backend="aot_eager")
    made = compiled(IDS, labels=IDS)
    torch.testing.assert_close(made.loss, plain.loss)
    assert (made.past_key_values is None) == (plain.past_key_values is None)
    if purpose == "training":
        made.loss.backward()
        assert all(parameter.grad is not None for parameter in model.parameters())
    assert compiled.generate(IDS, max_new_tokens=3).shape == (1, 6)


# ---- Lightning


@pytest.mark.slow
@needs("lightning")
def test_lightning(checkpoints: Checkpoints, tmp_path: Path) -> None:
    import lightning

    folder = checkpoints("llama")

    class Module(lightning.LightningModule):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.model = load_model(folder, purpose="training")

        def training_step(self, batch: Any, index: int) -> Any:
            found = self.model(batch, labels=batch)
            assert found.past_key_values is None
            return found.loss

        def configure_optimizers(self) -> Any:
            return torch.optim.AdamW(self.parameters(), lr=1e-3)

    module = Module()
    before = {name: weight.clone() for name, weight in module.state_dict().items()}
    data = torch.utils.data.DataLoader([IDS[0], IDS[0]], batch_size=2)
    trainer = lightning.Trainer(
        max_steps=2, accelerator="cpu", logger=False, default_root_dir=tmp_path, precision="bf16-mixed",
        enable_progress_bar=False, enable_model_summary=False, enable_checkpointing=False,
    )  # fmt: skip
    trainer.fit(module, data)
    trainer.save_checkpoint(tmp_path / "last.ckpt")
    assert all(not torch.equal(weight, before[name]) for name, weight in module.state_dict().items())
    again = Module.load_from_checkpoint(tmp_path / "last.ckpt", weights_only=False)
    assert all(torch.equal(weight, again.state_dict()[name]) for name, weight in module.state_dict().items())
    module.model.save_pretrained(tmp_path / "saved")
    loaded = load_model(tmp_path / "saved", dtype="float32")
    torch.testing.assert_close(loaded(IDS).logits, module.model.eval()(IDS).logits)


# ---- Trainer and PEFT


@pytest.mark.slow
@needs("peft", "accelerate")
@pytest.mark.parametrize("checkpointing", [False, True])
def test_trainer_with_adapters(checkpointing: bool, checkpoints: Checkpoints, tmp_path: Path) -> None:
    import peft

    folder = checkpoints("llama")
    base, tokenizer = load(folder, purpose="finetune-adapters")
    assert tokenizer.padding_side == "right"
    model: Any = peft.get_peft_model(base, peft.LoraConfig(task_type="CAUSAL_LM", target_modules=["q_proj"]))
    rows = [{"input_ids": IDS[0].tolist(), "labels": IDS[0].tolist()}] * 4
    arguments = transformers.TrainingArguments(
        str(tmp_path / "out"), max_steps=3, report_to=[], use_cpu=True, save_strategy="no", learning_rate=1e-2,
        gradient_checkpointing=checkpointing, disable_tqdm=True,
    )  # fmt: skip
    transformers.Trainer(model, arguments, train_dataset=rows).train()
    lora = [weight for name, weight in model.named_parameters() if "lora_B" in name]
    assert lora and all(bool(weight.abs().sum() > 0) for weight in lora)
    model.save_pretrained(tmp_path / "adapter")
    again = load_model(folder, adapter=tmp_path / "adapter", purpose="inference")
    torch.testing.assert_close(again(IDS).logits, model.eval()(IDS).logits)
    merged = load_model(tmp_path / "adapter", merge_adapter=True)
    assert merged.generate(IDS, max_new_tokens=2).shape[1] <= 5


# ---- ray


@pytest.fixture
def cluster() -> Iterator[Any]:
    ray = pytest.importorskip("ray", reason="needs pip install ray")
    ray.init(
        num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level="ERROR",
        runtime_env={"env_vars": {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}},
    )  # fmt: skip
    yield ray
    ray.shutdown()


class _Actor:
    def __init__(self, folder: str, **arguments: Any) -> None:
        self.model = load_model(folder, **arguments)

    def report(self) -> LoadReport | None:
        return LoadReport.of(self.model)

    def generate(self) -> Any:
        return self.model.generate(IDS, max_new_tokens=4)

    def give(self) -> Any:
        return self.model


@pytest.mark.slow
@needs("ray")
def test_actors_of_ray_load_and_hand_over(cluster: Any, checkpoints: Checkpoints) -> None:
    folder = str(checkpoints("llama"))
    here = load_model(folder)
    remote = cluster.remote(_Actor)
    actors = [remote.remote(folder), remote.remote(folder, purpose="training")]
    reports = cluster.get([actor.report.remote() for actor in actors])
    assert [report.effective["dtype"] for report in reports] == ["bfloat16", "float32"]
    assert torch.equal(cluster.get(actors[0].generate.remote()), here.generate(IDS, max_new_tokens=4))
    given = cluster.get(actors[1].give.remote())
    assert given(IDS).past_key_values is None
    shared = cluster.get(cluster.put(here))
    assert torch.equal(shared.generate(IDS, max_new_tokens=4), here.generate(IDS, max_new_tokens=4))


@pytest.mark.slow
@needs("ray")
def test_an_error_in_a_task_of_ray_is_the_loaders(cluster: Any, tmp_path: Path) -> None:
    task = cluster.remote(_load_and_generate)
    with pytest.raises(ModelMissingError):
        cluster.get(task.remote(str(tmp_path / "nothing")))
