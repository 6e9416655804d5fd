"""What the rules of the migration say of transformers, asked of the transformers that is installed.

`telepathy_lint/knowledge/migration_table.py` and `migration_names.py` name the release that removed a thing: where a later one is
installed it must be gone, and the new form must work; where an earlier one is installed the old form must work.
The rows of trl are compared with its wheels by benchmarks/migration_facts.py: trl is no requirement of the tests.
"""

from __future__ import annotations

import copy
import importlib
import importlib.metadata
import importlib.util
import inspect
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from telepathy_lint.knowledge import migration
from telepathy_lint.knowledge.load_arguments import REMOVED_TASKS, TASKS_REMOVED_LATER
from telepathy_lint.knowledge.long_gone import LONG_GONE
from telepathy_lint.knowledge.migration_moves import FROM_MODULES, RENAMED
from telepathy_lint.knowledge.migration_names import MODULES, NAMES
from telepathy_lint.knowledge.migration_table import METHODS
from tests import checkpoints

if not all(importlib.util.find_spec(name) for name in ("torch", "transformers", "accelerate")):
    pytest.skip("needs torch, transformers and accelerate", allow_module_level=True)

VERSION = tuple(int(part) for part in importlib.metadata.version("transformers").split(".")[:2])
if VERSION < (4, 57):
    pytest.skip("the tables are compared with transformers 4.57 and later", allow_module_level=True)
FIVE = VERSION >= (5, 0)
ARGUMENTS = list(migration.removed_arguments("transformers.TrainingArguments").values())
#: A value that an argument takes.
SAMPLES: dict[str, Any] = {
    "evaluation_strategy": "no",
    "per_gpu_train_batch_size": 2,
    "per_gpu_eval_batch_size": 2,
    "warmup_ratio": 0.1,
    "optim": "adafactor",
    "train_sampling_strategy": "group_by_length",
    "include_for_metrics": ["inputs"],
    "push_to_hub_token": "hf_x",
    "push_to_hub_model_id": None,
    "past_index": 1,
    "fp16_opt_level": "O2",
    "fp16_backend": "auto",
    "half_precision_backend": "auto",
    "logging_dir": "logs",
    "mp_parameters": "",
    "ray_scope": "last",
    "fsdp_min_num_params": 0,
    "fsdp_transformer_layer_cls_to_wrap": None,
    "push_to_hub_organization": None,
    "torchdynamo": None,
    "tpu_num_cores": 1,
}


@pytest.fixture(scope="module")
def llama(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(checkpoints.build("llama", tmp_path_factory.mktemp("migration") / "llama", pad="reserved"))


@pytest.fixture(scope="module")
def tokenizer(llama: str) -> Any:
    from transformers import AutoTokenizer

    loaded = AutoTokenizer.from_pretrained(llama)
    loaded.pad_token = loaded.eos_token
    loaded.chat_template = "{% for message in messages %}{{ message['content'] }}{% endfor %}"
    return loaded


@pytest.fixture(scope="module")
def model(llama: str) -> Any:
    from transformers import AutoModelForCausalLM

    return AutoModelForCausalLM.from_pretrained(llama)


@pytest.mark.parametrize("removed", ARGUMENTS, ids=lambda each: each.name)
def test_training_arguments(removed: migration.Removed, tmp_path: Path) -> None:
    from transformers import TrainingArguments

    def make(**given: Any) -> Any:
        return TrainingArguments(str(tmp_path), report_to="none", use_cpu=True, **given)

    if removed.version <= VERSION:
        with pytest.raises(TypeError, match=removed.name):
            make(**{removed.name: SAMPLES.get(removed.name, False)})
    elif removed.name not in ("no_cuda",):  # that one and use_cpu are both given otherwise
        make(**{removed.name: SAMPLES.get(removed.name, False)})
    new = removed.new.partition("=")[0]
    if removed.how in ("rename", "switch") and removed.since is not None and removed.since <= VERSION:
        value = SAMPLES.get(new, SAMPLES.get(removed.name, False))
        assert getattr(make(**({new: value} if new != "use_cpu" else {})), new) is not None


def test_the_share_of_warmup_steps_means_the_same_under_its_new_name(tmp_path: Path) -> None:
    from transformers import TrainingArguments

    (row,) = [each for each in ARGUMENTS if each.name == "warmup_ratio"]
    if row.since is None or row.since > VERSION:
        pytest.skip("warmup_steps takes no share here")
    assert TrainingArguments(str(tmp_path), use_cpu=True, warmup_steps=0.1).get_warmup_steps(200) == 20


@pytest.mark.parametrize("name", migration.TRAINERS)
def test_trainers(name: str) -> None:
    import transformers

    trainer = getattr(transformers, name)
    for removed in migration.removed_arguments(f"transformers.{name}").values():
        assert removed.new in inspect.signature(trainer.__init__).parameters
        if removed.version <= VERSION:
            with pytest.raises(TypeError, match=removed.name):
                trainer(**{removed.name: None})
        else:
            # A decorator takes the old name, which the signature does not show.
            with pytest.raises(RuntimeError, match="model"):
                trainer(**{removed.name: None})


def test_attributes_of_tokenizers(tokenizer: Any) -> None:
    for name, advice in migration.TOKENIZER_ATTRIBUTES.items():
        assert hasattr(tokenizer, name) is not FIVE
        if FIVE:
            assert hasattr(tokenizer, advice.removeprefix("read "))


def test_tokenizers(tokenizer: Any) -> None:
    assert METHODS
    for method in METHODS & migration.TOKENIZER_METHODS.keys():
        assert hasattr(tokenizer, method) is not FIVE, method


def test_a_chat_template_gives_ids_only_where_asked(tokenizer: Any) -> None:
    chat = [{"role": "user", "content": "a b"}]
    plain = tokenizer.apply_chat_template(chat, return_tensors="pt")
    assert hasattr(plain, "keys") is FIVE
    asked = tokenizer.apply_chat_template(chat, return_dict=False, return_tensors="pt")
    assert asked.shape[0] == 1
    assert (asked == (plain["input_ids"] if FIVE else plain)).all()


@pytest.mark.parametrize(
    "name", ["PreTrainedTokenizerFast", "Qwen2Tokenizer", "GPT2Tokenizer", "LlamaTokenizerFast"]
)
def test_which_tokenizers_end_each_text(name: str, llama: str, tmp_path: Path) -> None:
    import json
    import shutil

    from transformers import AutoTokenizer

    shutil.copytree(llama, tmp_path / "own")
    config = tmp_path / "own" / "tokenizer_config.json"
    config.write_text(json.dumps(json.loads(config.read_text()) | {"tokenizer_class": name}))
    loaded = AutoTokenizer.from_pretrained(tmp_path / "own", add_eos_token=True)
    ends = loaded("a")["input_ids"][-1] == loaded.eos_token_id
    assert ends is (FIVE or name == "LlamaTokenizerFast")


def test_padding_by_the_old_name(tokenizer: Any) -> None:
    assert len(tokenizer("a", padding="max_length", max_length=9)["input_ids"]) == 9
    if FIVE:
        assert len(tokenizer("a", pad_to_max_length=True, max_length=9)["input_ids"]) == 1
    else:
        with pytest.raises(TypeError, match="pad_to_max_length"):
            tokenizer("a", pad_to_max_length=True, max_length=9)


def test_truncation_by_the_old_name(tokenizer: Any) -> None:
    with pytest.raises(TypeError, match="truncation_strategy"):
        tokenizer("a", truncation_strategy="longest_first")


@pytest.mark.skipif(FIVE, reason="the old form is gone")
def test_the_old_methods_gave_what_the_tokenizer_gives(tokenizer: Any) -> None:
    assert tokenizer.encode_plus("a b", max_length=2, truncation=True) == tokenizer(
        "a b", max_length=2, truncation=True
    )
    assert tokenizer.batch_encode_plus(["a b", "c"], padding=True) == tokenizer(["a b", "c"], padding=True)


def test_names() -> None:
    import transformers

    for version, names in NAMES.items():
        found = [name for name in names.split() if hasattr(transformers, name)]
        if version <= VERSION:
            assert not found
    assert not any(hasattr(transformers, name) for name in RENAMED) or not FIVE
    assert all(hasattr(transformers, name) for name in RENAMED.values())


@pytest.mark.slow
def test_modules() -> None:
    """In an interpreter of its own: other tests may have left stand-ins for modules in this one."""
    gone = [name for version, names in MODULES.items() if version <= VERSION for name in names.split()]
    script = (
        "import importlib, sys\nfor name in sys.argv[1:]:\n    try:\n        importlib.import_module(f'transformers.{name}')\n"
        "    except ModuleNotFoundError as error:\n"
        "        if f'transformers.{name}.'.startswith(f'{error.name}.'):\n            continue\n    print(name)\n"
    )
    done = subprocess.run([sys.executable, "-c", script, *gone], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


def test_parts_of_modules() -> None:
    for version, names in FROM_MODULES.items():
        if version <= VERSION:
            for name in names.split():
                module, _, part = name.rpartition(".")
                assert not hasattr(importlib.import_module(f"transformers.{module}"), part), name


def test_what_moved_is_there() -> None:
    for old, new in migration.MOVED.items():
        importlib.import_module(new)
        if FIVE:
            with pytest.raises(ModuleNotFoundError):
                importlib.import_module(old)


@pytest.mark.skipif(not FIVE, reason="the tasks are still there")
@pytest.mark.parametrize("task", sorted(REMOVED_TASKS))
def test_tasks(task: str) -> None:
    from transformers import pipeline

    if task in TASKS_REMOVED_LATER and VERSION < (5, 3):
        pytest.skip("the task is still there")
    with pytest.raises(KeyError):
        pipeline(task)


@pytest.mark.skipif(not FIVE, reason="they are still there")
@pytest.mark.parametrize("name", [*migration.REMOTE_DECODING, *migration.GENERATE_ARGUMENTS])
def test_ways_to_decode(name: str, model: Any) -> None:
    import torch

    values: dict[str, Any] = {
        "num_beam_groups": 2,
        "constraints": [],
        "force_words_ids": [[1]],
        "dola_layers": "low",
        "penalty_alpha": 0.6,
    }
    beams: dict[str, Any] = {} if name == "dola_layers" else {"num_beams": 4}
    if name == "penalty_alpha":
        beams = {"top_k": 4, "do_sample": False}
    with pytest.raises(ValueError, match=r"trust_remote_code|not used by the model"):
        model.generate(torch.tensor([[3, 4]]), max_new_tokens=2, **beams, **{name: values.get(name, True)})


def test_the_dtype_of_a_load_that_names_none(model: Any, tmp_path: Path) -> None:
    import torch
    from transformers import AutoModelForCausalLM

    model.to(torch.bfloat16).save_pretrained(tmp_path)
    model.float()
    loaded = AutoModelForCausalLM.from_pretrained(tmp_path)
    assert loaded.dtype == (torch.bfloat16 if FIVE else torch.float32)


def test_where_training_reports_to_by_default() -> None:
    import dataclasses

    from transformers import TrainingArguments

    (field,) = [each for each in dataclasses.fields(TrainingArguments) if each.name == "report_to"]
    assert field.default == ("none" if FIVE else None)  # None means every tracker that is installed


def test_what_is_saved_without_safe_serialization(model: Any, tmp_path: Path) -> None:
    model.save_pretrained(tmp_path, safe_serialization=False)
    assert (tmp_path / "model.safetensors").exists() is FIVE
    assert (tmp_path / "pytorch_model.bin").exists() is not FIVE


def test_the_variable_of_the_cache(tmp_path: Path) -> None:
    import os
    import subprocess
    import sys

    asked = (
        "import transformers.utils.hub as hub, huggingface_hub.constants as constants; "
        "print(getattr(hub, 'TRANSFORMERS_CACHE', constants.HF_HUB_CACHE))"
    )
    for name, looked_at in (("TRANSFORMERS_CACHE", not FIVE), ("HF_HUB_CACHE", True)):
        environment = {
            key: value for key, value in os.environ.items() if key not in ("HF_HOME", "HF_HUB_CACHE")
        }
        done = subprocess.run(
            [sys.executable, "-c", asked],
            env={**environment, name: str(tmp_path)},
            capture_output=True,
            text=True,
            check=True,
        )
        assert (done.stdout.strip() == str(tmp_path)) is looked_at, name


@pytest.mark.slow
@pytest.mark.parametrize("name", ["SFTTrainer", "DPOTrainer", "GRPOTrainer"])
def test_a_trainer_of_trl_takes_no_adapters_for_a_model_that_has_some(
    name: str, model: Any, tokenizer: Any, tmp_path: Path
) -> None:
    trl, peft = pytest.importorskip("trl"), pytest.importorskip("peft")
    from datasets import Dataset

    version = tuple(int(part) for part in trl.__version__.split(".")[:2])
    config = getattr(trl, name.replace("Trainer", "Config"))
    adapted = peft.get_peft_model(copy.deepcopy(model), peft.LoraConfig(task_type="CAUSAL_LM"))
    rows = [
        {"text": "a b"} if name == "SFTTrainer" else {"prompt": "a", "chosen": " b", "rejected": " c"}
    ] * 8

    def make(model: Any, **more: Any) -> Any:
        if name == "GRPOTrainer":
            more["reward_funcs"] = lambda completions, **_: [0.0] * len(completions)
        args = config(str(tmp_path), report_to="none", use_cpu=True, bf16=False)
        data = Dataset.from_list(rows)
        return getattr(trl, name)(
            model=model, args=args, processing_class=tokenizer, train_dataset=data, **more
        )

    make(adapted)
    make(copy.deepcopy(model), peft_config=peft.LoraConfig(task_type="CAUSAL_LM"))
    if version >= migration.ADAPTED_TWICE:
        with pytest.raises(ValueError, match="`PeftModel` instance together with a `peft_config`"):
            make(adapted, peft_config=peft.LoraConfig(task_type="CAUSAL_LM"))
    else:
        make(adapted, peft_config=peft.LoraConfig(task_type="CAUSAL_LM"))


def test_what_the_config_of_trl_has_by_another_default() -> None:
    """`TrainingArguments` that become `SFTConfig` say these, so that they mean what they did."""
    pytest.importorskip("trl")
    import dataclasses

    from transformers import TrainingArguments
    from trl import SFTConfig

    from telepathy_lint.fixes.migration import OWN_DEFAULTS

    plain, own = (
        {field.name: field.default for field in dataclasses.fields(each) if field.init}
        for each in (TrainingArguments, SFTConfig)
    )
    other = {
        name for name, value in plain.items() if own[name] != value and own[name] is not dataclasses.MISSING
    }
    assert other - {"output_dir"} <= OWN_DEFAULTS.keys()
    for name, text in OWN_DEFAULTS.items():
        assert eval(text) == (plain[name] or False), name


@pytest.mark.parametrize("symbol", sorted(LONG_GONE))
def test_what_was_gone_before_5_is_gone(symbol: str) -> None:
    module, _, name = symbol.rpartition(".")
    with pytest.raises(ImportError):
        exec(f"from {module} import {name}", {})
    if module == "transformers":  # others have no modules in them
        assert importlib.util.find_spec(symbol) is None


def test_what_peft_lacked_before_5_is_gone() -> None:
    peft = pytest.importorskip("peft")
    assert not hasattr(peft, "prepare_model_for_int8_training")
    assert hasattr(peft, "prepare_model_for_kbit_training")


@pytest.mark.parametrize(
    ("symbol", "gone"),
    [
        ("transformers.is_torch_tpu_available", True),
        ("transformers.utils.is_torch_tpu_available", False),
        ("transformers.modeling_bert.BertModel", True),
        ("transformers.models.bert.modeling_bert.BertModel", False),
        ("transformers.modeling_albert.AlbertModel", True),
        ("transformers.configuration_albert", True),
        ("transformers.adapters.composition.Stack", True),
        ("transformers.deepspeed.HfDeepSpeedConfig", True),
        ("transformers.models.deberta_v2.modeling_deberta_v2.StableDropout", True),
        ("transformers.models.deberta_v2.modeling_deberta_v2.ContextPooler", False),
        ("transformers.modeling_outputs.CausalLMOutput", False),
        ("transformers.modeling_tf_utils.TFPreTrainedModel", False),
        ("transformers.modeling_attn_mask_utils.AttentionMaskConverter", False),
        ("transformers.tokenization_utils_base.BatchEncoding", False),
        ("transformers.tokenization_utils.PreTrainedTokenizer", False),
        ("transformers.AutoModelForVision2Seq", False),
        ("peft.prepare_model_for_int8_training", True),
        ("peft.BoneConfig", False),
        ("trl.DataCollatorForCompletionOnlyLM", True),
        ("trl.core.LengthSampler", True),
        ("trl.AutoModelForCausalLMWithValueHead", False),
        ("trl.SFTTrainer", False),
        ("accelerate.Accelerator", False),
    ],
)
def test_names_that_were_gone_before_5(symbol: str, gone: bool) -> None:
    assert migration.was_gone_before_5(symbol) == gone


def test_the_old_padding_also_cut_texts(tokenizer: Any) -> None:
    text = "a b c d e f a b c d"
    assert len(tokenizer(text, max_length=4)["input_ids"]) == 4
    assert len(tokenizer(text, max_length=4, padding="max_length")["input_ids"]) > 4
    assert len(tokenizer(text, max_length=4, padding="max_length", truncation=True)["input_ids"]) == 4


def test_a_tokenizer_takes_no_array(tokenizer: Any) -> None:
    import numpy

    texts = numpy.array(["a", "b"])
    with pytest.raises(ValueError, match="must be of type"):
        tokenizer(texts)
    assert tokenizer(list(texts))["input_ids"] == tokenizer(["a", "b"])["input_ids"]
