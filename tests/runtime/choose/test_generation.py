"""Merging generation settings: stop ids are kept, decoding is greedy, saved files are valid, generate() takes precedence."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers

from telepathy_runtime import (
    LoadReport,
    NotGenerativeError,
    apply_generation_config,
    default_generation_config,
    load_model,
    load_tokenizer,
)
from tests.checkpoints import BOS_ID, EOS_ID, PAD_ID, STOP_IDS
from tests.runtime.conftest import Checkpoints

GenerationConfig = transformers.GenerationConfig
PROMPTS = [[72, 101, 108], [1, 2, 3, 4], [200, 13, 77]]


def generate(model: Any, prompt: list[int], **arguments: Any) -> list[int]:
    ids = torch.tensor([prompt])
    out = model.generate(ids, attention_mask=torch.ones_like(ids), **arguments)
    return out[0, ids.shape[1] :].tolist()


def greedy_by_hand(model: Any, prompt: list[int], length: int, stops: tuple[int, ...] = ()) -> list[int]:
    """Argmax for each token: greedy decoding without penalties."""
    ids = list(prompt)
    for _ in range(length):
        with torch.no_grad():
            ids.append(int(model(torch.tensor([ids])).logits[0, -1].argmax()))
        if ids[-1] in stops:
            break
    return ids[len(prompt) :]


@pytest.fixture
def model(checkpoints: Checkpoints) -> Any:
    return load_model(checkpoints("llama"), dtype="float32")


def test_shipped_stops_are_kept_and_greedy_is_set(model: Any) -> None:
    config = model.generation_config
    assert config.eos_token_id == list(STOP_IDS)
    assert config.bos_token_id == BOS_ID
    assert config.pad_token_id == STOP_IDS[0]
    assert config.do_sample is False
    assert config.repetition_penalty == 1.0
    report = LoadReport.of(model)
    assert report is not None
    assert report.generation["max_new_tokens"] == [None, 256]
    assert config.max_new_tokens is None, "a default, and no length of the model: see the lengths below"
    assert default_generation_config().max_new_tokens == 256


@pytest.mark.parametrize("prompt", PROMPTS)
def test_greedy_is_argmax_without_penalty(model: Any, prompt: list[int]) -> None:
    """With the shipped penalty of 1.05 and temperature, most outputs would differ."""
    expected = greedy_by_hand(model, prompt, 24, STOP_IDS)
    for seed in range(3):
        torch.manual_seed(seed)
        assert generate(model, prompt, max_new_tokens=24) == expected


def test_the_shipped_settings_would_have_sampled(checkpoints: Checkpoints) -> None:
    """Without the merge, the same calls give different texts."""
    raw = load_model(checkpoints("llama"), dtype="float32", generation_config=None)
    texts = set()
    for seed in range(4):
        torch.manual_seed(seed)
        texts.add(tuple(generate(raw, PROMPTS[0], max_new_tokens=24)))
    assert len(texts) > 1


def test_the_shipped_penalty_would_have_changed_greedy(checkpoints: Checkpoints) -> None:
    """A strong penalty changes the result of do_sample=False."""
    folder = checkpoints("llama", shipped={"do_sample": True, "temperature": 0.6, "repetition_penalty": 5.0})
    raw = load_model(folder, dtype="float32", generation_config=None)
    ours = load_model(folder, dtype="float32")
    different = 0
    for prompt in PROMPTS:
        expected = greedy_by_hand(ours, prompt, 24, STOP_IDS)
        assert generate(ours, prompt, max_new_tokens=24) == expected
        different += generate(raw, prompt, do_sample=False, max_new_tokens=24) != expected
    assert different


def test_generation_stops_at_every_shipped_stop(checkpoints: Checkpoints) -> None:
    """A token that greedy decoding reaches is made a stop id in generation_config.json only."""
    plain = load_model(checkpoints("llama"), dtype="float32")
    text = greedy_by_hand(plain, PROMPTS[1], 12)
    stop = text[5]
    folder = checkpoints("llama", stop_ids=(EOS_ID, stop))
    stopped = generate(load_model(folder, dtype="float32"), PROMPTS[1], max_new_tokens=12)
    assert stopped == text[: text.index(stop) + 1]
    # What from_pretrained does with the same request: the stop is gone.
    config = GenerationConfig(do_sample=False, max_new_tokens=12)
    replaced = transformers.AutoModelForCausalLM.from_pretrained(folder, generation_config=config)
    assert replaced.generation_config.eos_token_id != [EOS_ID, stop]


def test_what_the_loader_chose_is_not_shipped(model: Any, checkpoints: Checkpoints, tmp_path: Path) -> None:
    """Greedy decoding and 256 tokens are this program's choices, and must not be in saved files."""
    model.save_pretrained(tmp_path)
    shipped = GenerationConfig.from_pretrained(checkpoints("llama"))
    assert GenerationConfig.from_pretrained(tmp_path).to_dict() == shipped.to_dict()


def test_what_the_caller_set_is_saved(checkpoints: Checkpoints, tmp_path: Path) -> None:
    request = default_generation_config(max_new_tokens=64)
    model = load_model(checkpoints("llama"), generation_config=request)
    model.generation_config.suppress_tokens = [7]
    model.save_pretrained(tmp_path)
    again = GenerationConfig.from_pretrained(tmp_path)
    assert (again.max_new_tokens, again.suppress_tokens) == (64, [7])
    assert (again.do_sample, again.temperature) == (True, 0.6), "as shipped"


def test_greedy_that_the_caller_asked_for_is_saved_and_valid(model: Any, tmp_path: Path) -> None:
    """With the shipped temperature it would be refused, so the merged settings are written."""
    model.generation_config.do_sample = False
    model.save_pretrained(tmp_path)
    again = GenerationConfig.from_pretrained(tmp_path)
    assert again.do_sample is False
    assert again.eos_token_id == list(STOP_IDS)


def total(model: Any, **arguments: Any) -> int:
    """The number of tokens after generate, including 3 of the prompt; only a length stops it."""
    return len(PROMPTS[0]) + len(generate(model, PROMPTS[0], eos_token_id=None, **arguments))


def copied(model: Any) -> Any:
    return copy.deepcopy(model)


def pickled(model: Any) -> Any:
    return pickle.loads(pickle.dumps(model))


def with_peft(model: Any) -> Any:
    peft = pytest.importorskip("peft")
    return peft.get_peft_model(model, peft.LoraConfig(task_type="CAUSAL_LM"))


@pytest.mark.parametrize(
    "through", [lambda model: model, copied, pickled, with_peft], ids=lambda f: f.__name__
)
def test_a_length_that_the_caller_states_wins(model: Any, through: Callable[[Any], Any]) -> None:
    """Set on the model, max_new_tokens overrides a max_length given to generate(): 17 became 259."""
    model = through(model)
    assert total(model, max_length=17) == 17
    assert total(model, max_new_tokens=5) == 8
    assert total(model, generation_config=GenerationConfig(max_length=17)) == 17
    assert total(model, generation_config=GenerationConfig(max_new_tokens=5)) == 8
    assert total(model, generation_config=default_generation_config(), max_length=17) == 17


@pytest.mark.filterwarnings("ignore:Using the model-agnostic")
def test_without_a_stated_length_it_is_256_new_tokens(checkpoints: Checkpoints) -> None:
    folder = checkpoints("t5", shipped={"max_length": 4000})
    model = load_model(folder, model_class=transformers.AutoModelForSeq2SeqLM, dtype="float32")
    ids = torch.tensor([PROMPTS[0]])
    assert model.generate(ids, eos_token_id=None).shape[1] == 1 + 256
    assert (
        model.generate(ids, eos_token_id=None, generation_config=default_generation_config()).shape[1] == 257
    )
    assert model.generate(ids, eos_token_id=None, max_length=9).shape[1] == 9


def test_a_length_set_on_the_config_wins(model: Any) -> None:
    model.generation_config.max_length = 17
    assert model.generation_config.max_new_tokens is None
    assert total(model) == 17
    model.generation_config.max_new_tokens = 4
    assert total(model) == 7


def test_a_pipeline_and_a_trainer_state_lengths(checkpoints: Checkpoints, tmp_path: Path) -> None:
    from transformers import pipeline

    folder = checkpoints("llama", stop_ids=(262,))
    model = load_model(folder, dtype="float32")
    generator = pipeline("text-generation", model=model, tokenizer=load_tokenizer(folder))
    if not transformers.__version__.startswith("4.5"):  # there a pipeline sets 256 of its own, which win
        said = {"max_length": 17, "return_tensors": True}
        assert len(generator("hello", **said)[0]["generated_token_ids"]) <= 17

    seq2seq = load_model(
        checkpoints("t5", stop_ids=(262,)), model_class=transformers.AutoModelForSeq2SeqLM, dtype="float32"
    )
    arguments = transformers.Seq2SeqTrainingArguments(
        output_dir=str(tmp_path),
        predict_with_generate=True,
        generation_max_length=30,
        use_cpu=True,
        report_to=[],
    )
    trainer = transformers.Seq2SeqTrainer(seq2seq, arguments)
    rows = [{"input_ids": PROMPTS[0], "attention_mask": [1, 1, 1], "labels": [5, 6, 7]}] * 2
    assert trainer.predict(rows).predictions.shape == (2, 30)


def test_asked_to_sample_it_samples_as_its_authors_did(checkpoints: Checkpoints) -> None:
    """With do_sample=True alone, the shipped temperature and top_k apply, although greedy decoding had cleared them."""
    folder = checkpoints("llama", shipped={"do_sample": True, "temperature": 0.05, "top_k": 1})
    model = load_model(folder, dtype="float32")
    greedy = greedy_by_hand(model, PROMPTS[0], 24, STOP_IDS)
    for seed in range(3):
        torch.manual_seed(seed)
        assert generate(model, PROMPTS[0], max_new_tokens=24, do_sample=True) == greedy
    texts = set()
    for seed in range(4):
        torch.manual_seed(seed)
        said = {"temperature": 5.0, "top_k": 0}
        texts.add(tuple(generate(model, PROMPTS[0], max_new_tokens=24, do_sample=True, **said)))
    assert len(texts) > 1, "what the caller says beside it wins"
    model.generation_config.do_sample = True
    assert generate(model, PROMPTS[0], max_new_tokens=24) == greedy


def test_several_sequences_and_beams_that_are_shipped(
    checkpoints: Checkpoints, caplog: pytest.LogCaptureFixture
) -> None:
    """A greedy beam gives one sequence; several were an error after the load, and fewer beams were not reported."""
    shipped = {"num_beams": 4, "num_return_sequences": 3}
    model = load_model(checkpoints("llama", shipped=shipped), dtype="float32")
    assert generate(model, PROMPTS[0], max_new_tokens=4)
    assert "the checkpoint generates with 4 beams" in caplog.text


def test_flipping_do_sample_by_hand_would_not_save(checkpoints: Checkpoints, tmp_path: Path) -> None:
    """The reason for clearing the sampling fields: scripts do this, and transformers refuses to save it."""
    raw = load_model(checkpoints("llama"), generation_config=None)
    raw.generation_config.do_sample = False
    with pytest.raises(ValueError, match="is invalid"):
        raw.save_pretrained(tmp_path)


def test_sampled_on_request_with_the_checkpoints_own_settings(checkpoints: Checkpoints) -> None:
    for request in (GenerationConfig(do_sample=True), default_generation_config(do_sample=True)):
        config = load_model(checkpoints("llama"), generation_config=request).generation_config
        assert (config.do_sample, config.temperature, config.top_p, config.top_k) == (True, 0.6, 0.9, 20)
        assert config.repetition_penalty == 1.05
        assert config.eos_token_id == list(STOP_IDS)


def test_sampled_on_request_with_settings_of_the_request(checkpoints: Checkpoints) -> None:
    request = default_generation_config(do_sample=True, temperature=1.0, top_p=0.5)
    model = load_model(checkpoints("llama"), generation_config=request)
    # 1.0 is transformers 4's idea of "never set": asked for, it has to be kept all the same.
    assert model.generation_config.temperature == 1.0
    assert model.generation_config.top_p == 0.5
    assert model.generation_config.top_k == 20
    texts = set()
    for seed in range(4):
        torch.manual_seed(seed)
        texts.add(tuple(generate(model, PROMPTS[0], max_new_tokens=24)))
    assert len(texts) > 1


def test_generate_arguments_win(model: Any) -> None:
    assert len(generate(model, PROMPTS[1], max_new_tokens=3, eos_token_id=None)) == 3
    texts = set()
    for seed in range(4):
        torch.manual_seed(seed)
        texts.add(tuple(generate(model, PROMPTS[0], max_new_tokens=24, do_sample=True, temperature=2.0)))
    assert len(texts) > 1


def test_a_config_given_to_generate_is_greedy_too(model: Any) -> None:
    """4.50 to 4.57 overwrite an explicit do_sample=False with the checkpoint's True; after the merge they do not."""
    expected = greedy_by_hand(model, PROMPTS[0], 24, STOP_IDS)
    for seed in range(3):
        torch.manual_seed(seed)
        given = GenerationConfig(
            do_sample=False, max_new_tokens=24, eos_token_id=list(STOP_IDS), pad_token_id=EOS_ID
        )
        assert generate(model, PROMPTS[0], generation_config=given) == expected
        default = default_generation_config(
            max_new_tokens=24, eos_token_id=list(STOP_IDS), pad_token_id=EOS_ID
        )
        assert generate(model, PROMPTS[0], generation_config=default) == expected


def test_tokenizer_stops_and_pad_join(checkpoints: Checkpoints) -> None:
    folder = checkpoints("llama", pad="present", stop_ids=(STOP_IDS[1],))
    raw = load_model(folder, generation_config=None)
    tokenizer = load_tokenizer(folder)
    apply_generation_config(raw, tokenizer=tokenizer)
    assert raw.generation_config.eos_token_id == [STOP_IDS[1], EOS_ID]  # shipped first, then the tokenizer's
    assert raw.generation_config.pad_token_id == PAD_ID
    by_config = load_model(folder, generation_config=default_generation_config(tokenizer))
    assert by_config.generation_config.eos_token_id == [STOP_IDS[1], EOS_ID]


def test_overrides_win_over_the_config(model: Any) -> None:
    apply_generation_config(model, GenerationConfig(max_new_tokens=10), max_new_tokens=7, min_new_tokens=2)
    assert model.generation_config.max_new_tokens == 7
    assert model.generation_config.min_new_tokens == 2
    assert model.generation_config.do_sample is False


def test_the_older_length_replaces_the_newer_when_asked_for(model: Any) -> None:
    apply_generation_config(model, GenerationConfig(max_length=9))
    assert model.generation_config.max_new_tokens is None
    assert len(generate(model, PROMPTS[0], eos_token_id=None)) == 9 - len(PROMPTS[0])


def test_unmentioned_fields_stay(checkpoints: Checkpoints) -> None:
    folder = checkpoints(
        "llama", shipped={"suppress_tokens": [5, 6], "use_cache": False, "renormalize_logits": True}
    )
    config = load_model(folder).generation_config
    assert config.suppress_tokens == [5, 6]
    assert config.use_cache is False
    assert config.renormalize_logits is True


def test_beams_of_a_summariser_become_greedy(checkpoints: Checkpoints, tmp_path: Path) -> None:
    shipped = {
        "num_beams": 4,
        "early_stopping": True,
        "length_penalty": 2.0,
        "no_repeat_ngram_size": 3,
        "max_length": 142,
    }
    model = load_model(checkpoints("t5", shipped=shipped), model_class=transformers.AutoModelForSeq2SeqLM)
    assert model.generation_config.num_beams == 1
    assert not model.generation_config.no_repeat_ngram_size
    model.save_pretrained(tmp_path)


def test_applying_twice_changes_nothing_more(model: Any) -> None:
    assert apply_generation_config(model) == {}


def test_changes_are_returned(checkpoints: Checkpoints) -> None:
    raw = load_model(checkpoints("llama"), generation_config=None)
    changed = apply_generation_config(raw)
    assert changed["do_sample"] == (True, False)
    assert changed["repetition_penalty"] == (1.05, 1.0)
    assert "eos_token_id" not in changed


def test_what_cannot_generate(checkpoints: Checkpoints) -> None:
    encoder = load_model(
        checkpoints("encoder"), model_class=transformers.AutoModel
    )  # "default": nothing to do
    asked = load_model(
        checkpoints("encoder"),
        model_class=transformers.AutoModel,
        generation_config=default_generation_config(),
    )
    report = LoadReport.of(asked)
    assert report is not None
    assert "the generation config is not used, BertModel cannot generate" in report.warnings
    with pytest.raises(NotGenerativeError, match="BertModel"):
        apply_generation_config(encoder)


def test_a_checkpoint_without_generation_config(checkpoints: Checkpoints) -> None:
    config = load_model(checkpoints("llama", generation=False)).generation_config
    assert config.eos_token_id == EOS_ID  # from config.json
    assert config.do_sample is False


def test_the_request_is_an_ordinary_config(tmp_path: Path) -> None:
    request = default_generation_config(temperature=1.0)
    assert isinstance(request, GenerationConfig)
    for twin in (copy.deepcopy(request), pickle.loads(pickle.dumps(request))):
        assert twin.to_dict() == request.to_dict()
        assert twin.asked == request.asked
    request.save_pretrained(tmp_path)
    assert "asked" not in (tmp_path / "generation_config.json").read_text()


def test_a_pipeline_generates_with_what_was_applied(checkpoints: Checkpoints) -> None:
    from transformers import pipeline

    generator = pipeline("text-generation", model=str(checkpoints("qwen2")))
    shipped = list(generator.model.generation_config.eos_token_id)
    apply_generation_config(generator)
    # Until transformers 4.57 a pipeline generates with a copy of its model's config, made when it was built.
    for config in (generator.model.generation_config, getattr(generator, "generation_config", None)):
        if config is not None:
            assert (config.do_sample, config.repetition_penalty) == (False, 1.0)
            assert list(config.eos_token_id) == shipped
    first, second = (generator("a cat", max_new_tokens=6)[0]["generated_text"] for _ in range(2))
    assert first == second
