"""Tests what the rules about generation and training claim about transformers, with tiny models and no network.

Each test is one sentence of a rule's documentation, and holds in both major versions unless it says otherwise.
"""

from __future__ import annotations

import inspect
import warnings
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

from telepathy_lint.knowledge import generate_arguments as table  # noqa: E402
from telepathy_runtime.machine.environment import dtype_keyword  # noqa: E402
from tests import checkpoints  # noqa: E402
from tests.probing import listening  # noqa: E402

IGNORED = {"temperature": 0.7, "top_p": 0.5, "top_k": 3, "min_p": 0.4, "typical_p": 0.3}
NEUTRAL = {"temperature": 1.0, "top_p": 1.0, "top_k": 50, "typical_p": 1.0}


@pytest.fixture(scope="module")
def chat(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint with sampling settings, like chat models."""
    return checkpoints.build("llama", tmp_path_factory.mktemp("chat"), dtype="float32")


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint with special tokens and no other settings, like base models."""
    return checkpoints.build(
        "llama", tmp_path_factory.mktemp("plain"), dtype="float32", shipped={}, stop_ids=[]
    )


def load(path: Path) -> Any:
    return transformers.AutoModelForCausalLM.from_pretrained(path)


def prompt(path: Path, text: str = "Once upon a time") -> Any:
    return transformers.AutoTokenizer.from_pretrained(path)(text, return_tensors="pt")


def generated(model: Any, inputs: Any, seed: int = 0, **arguments: Any) -> list[int]:
    torch.manual_seed(seed)
    out = model.generate(**inputs, pad_token_id=checkpoints.EOS_ID, **arguments)
    return list(out[0, inputs["input_ids"].shape[1] :].tolist())


# ---- TLP202


def masked(path: Path, pad: str) -> list[int]:
    """The collator's labels for a text with its end-of-sequence token."""
    tokenizer = transformers.AutoTokenizer.from_pretrained(path)
    tokenizer.pad_token = pad
    collator = transformers.DataCollatorForLanguageModeling(tokenizer, mlm=False)
    texts = [tokenizer(text + checkpoints.EOS) for text in ("a longer text", "a text")]
    return [int(row[length - 1]) for row, length in zip(collator(texts)["labels"], (14, 7), strict=True)]


def test_the_collator_masks_the_real_end_where_it_is_the_padding(plain: Path) -> None:
    assert masked(plain, checkpoints.EOS) == [-100, -100]


def test_the_collator_keeps_the_real_end_where_the_padding_is_another_token(plain: Path) -> None:
    assert masked(plain, checkpoints.UNUSED) == [checkpoints.EOS_ID, checkpoints.EOS_ID]


# ---- TLP203


def test_without_do_sample_the_checkpoint_decides_whether_it_samples(chat: Path, plain: Path) -> None:
    model, inputs = load(chat), prompt(chat)
    assert len({tuple(generated(model, inputs, seed, max_new_tokens=12)) for seed in range(5)}) > 1
    model, inputs = load(plain), prompt(plain)
    assert len({tuple(generated(model, inputs, seed, max_new_tokens=12)) for seed in range(5)}) == 1


def test_without_a_length_it_stops_after_twenty_tokens(plain: Path) -> None:
    """Without counting the prompt; in the oldest supported releases, including it."""
    inputs = prompt(plain, "a b c")
    assert len(generated(load(plain), inputs, do_sample=False)) in (20, 20 - inputs["input_ids"].shape[1])


# ---- TLP204


@pytest.mark.parametrize("name", IGNORED)
def test_greedy_decoding_ignores(name: str, chat: Path) -> None:
    model, inputs = load(chat), prompt(chat)
    greedy = generated(model, inputs, do_sample=False, max_new_tokens=16)
    assert generated(model, inputs, do_sample=False, max_new_tokens=16, **{name: IGNORED[name]}) == greedy


def complaint(config: Any) -> str:
    """transformers' complaint about a generation config: an error if `validate` can be strict, else a warning."""
    strict = {"strict": True} if "strict" in inspect.signature(config.validate).parameters else {}
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            config.validate(**strict)
        except ValueError as error:
            return str(error)
    return "" if strict else "\n".join(str(warning.message) for warning in caught)


@pytest.mark.parametrize("name", IGNORED)
def test_transformers_itself_calls_it_a_mistake(name: str) -> None:
    assert name in complaint(transformers.GenerationConfig(do_sample=False, **{name: IGNORED[name]}))


@pytest.mark.parametrize("name", NEUTRAL)
def test_what_is_not_reported_is_no_mistake_to_transformers(name: str) -> None:
    assert not complaint(transformers.GenerationConfig(do_sample=False, **{name: NEUTRAL[name]}))


def test_no_temperature_raises_with_sampling(plain: Path) -> None:
    with pytest.raises(ValueError, match="temperature"):
        generated(load(plain), prompt(plain), do_sample=True, temperature=0.0, max_new_tokens=4)


def test_no_temperature_raises_where_the_checkpoint_samples_and_is_ignored_elsewhere(
    chat: Path, plain: Path
) -> None:
    with pytest.raises(ValueError, match="temperature"):
        generated(load(chat), prompt(chat), temperature=0.0, max_new_tokens=4)
    model, inputs = load(plain), prompt(plain)
    greedy = generated(model, inputs, do_sample=False, max_new_tokens=8)
    assert generated(model, inputs, temperature=0.0, max_new_tokens=8) == greedy


def test_a_sampling_config_keeps_its_repetition_penalty_when_greedy(plain: Path) -> None:
    model, inputs = load(plain), prompt(plain, "aaaaaaaa")
    greedy = generated(model, inputs, do_sample=False, max_new_tokens=24)
    config = transformers.GenerationConfig(
        do_sample=True, temperature=0.7, repetition_penalty=1.3, max_new_tokens=24
    )
    assert generated(model, inputs, generation_config=config, do_sample=False) != greedy
    again = generated(model, inputs, generation_config=config, do_sample=False, repetition_penalty=1.0)
    assert again == greedy


def test_with_a_penalty_alpha_top_k_is_part_of_another_way_to_decode() -> None:
    modes = [
        transformers.GenerationConfig(
            do_sample=False, top_k=4, num_beams=1, penalty_alpha=alpha
        ).get_generation_mode()
        for alpha in (None, 0.6)
    ]
    assert [str(mode.value) for mode in modes] == ["greedy_search", "contrastive_search"]


# ---- TLP205


def test_right_padding_changes_what_the_shorter_text_is_continued_with(plain: Path) -> None:
    model = load(plain)
    tokenizer = transformers.AutoTokenizer.from_pretrained(plain, pad_token=checkpoints.EOS)
    texts = ["Once", "Once upon a time there was"]
    alone = generated(model, tokenizer(texts[0], return_tensors="pt"), do_sample=False, max_new_tokens=12)
    continued = {}
    for side in ("left", "right"):
        tokenizer.padding_side = side
        batch = tokenizer(texts, padding=True, return_tensors="pt")
        continued[side] = generated(model, batch, do_sample=False, max_new_tokens=12)
    assert continued["left"] == alone
    assert continued["right"] != alone


# ---- TLP206


def step(path: Path, frozen: bool) -> tuple[Any, Any]:
    """One backward pass through a model in evaluation mode, with inputs from a bridge."""
    model = load(path).eval()
    if frozen:
        model.requires_grad_(False)
    torch.manual_seed(0)
    bridge = torch.nn.Linear(16, model.config.hidden_size)
    torch.optim.AdamW(bridge.parameters()).zero_grad()
    model(inputs_embeds=bridge(torch.ones(1, 4, 16))).logits.float().mean().backward()
    return model, bridge


def test_eval_does_not_keep_gradients_from_being_allocated(plain: Path) -> None:
    model, _ = step(plain, frozen=False)
    # Everything but the embeddings, which `inputs_embeds` goes around.
    reached = [each for name, each in model.named_parameters() if "embed_tokens" not in name]
    assert all(each.grad is not None and each.grad.nbytes == each.nbytes for each in reached)


def test_freezing_saves_them_and_changes_no_other_gradient(plain: Path) -> None:
    unfrozen, frozen = step(plain, frozen=False), step(plain, frozen=True)
    assert all(each.grad is None for each in frozen[0].parameters())
    assert torch.equal(unfrozen[1].weight.grad, frozen[1].weight.grad)
    assert frozen[1].weight.grad.abs().sum() > 0


@pytest.mark.parametrize(
    "name", ["GPT2TokenizerFast", "GPTNeoXTokenizerFast", "Qwen2TokenizerFast", "PreTrainedTokenizerFast"]
)
def test_the_tokenizers_of_these_families_pad_on_the_right_by_default(name: str) -> None:
    """Llama 3's is a `PreTrainedTokenizerFast`."""
    assert getattr(transformers, name).padding_side == "right"


# ---- TLP207


@pytest.mark.parametrize("name", table.UNKNOWN)
def test_generate_has_no_argument_of_a_servers_api(name: str, plain: Path) -> None:
    with pytest.raises(ValueError, match=f"not used by the model: \\['{name}'\\]"):
        generated(load(plain), prompt(plain), do_sample=False, max_new_tokens=3, **{name: 1})


def test_the_names_that_are_meant_exist() -> None:
    config = transformers.GenerationConfig()
    assert all(hasattr(config, meant) for meant in table.UNKNOWN.values() if meant)


def test_several_sequences_raise_with_greedy_decoding_and_beyond_the_beams(plain: Path) -> None:
    model, inputs = load(plain), prompt(plain)
    for beams in ({}, {"num_beams": 1}):
        with pytest.raises(ValueError, match="num_return_sequences"):
            generated(model, inputs, do_sample=False, max_new_tokens=3, num_return_sequences=3, **beams)
    with pytest.raises(ValueError, match="num_return_sequences"):
        generated(model, inputs, do_sample=False, max_new_tokens=3, num_beams=2, num_return_sequences=3)
    generated(model, inputs, do_sample=False, max_new_tokens=3, num_beams=3, num_return_sequences=3)


@pytest.mark.parametrize("name", table.LENGTHS)
def test_a_length_with_the_prompt_does_nothing_beside_one_without(name: str, plain: Path) -> None:
    model, inputs = load(plain), prompt(plain)
    given = {"max_new_tokens": 6, table.LENGTHS[name]: 6}
    for length in (1, 200):
        assert len(generated(model, inputs, do_sample=False, **given, **{name: length})) == 6


@pytest.mark.parametrize("name", table.BEAMS)
def test_without_beams_nothing_looks_at(name: str, plain: Path) -> None:
    model, inputs = load(plain), prompt(plain)
    value = {"early_stopping": True, "length_penalty": 9.0}[name]
    for how in ({"do_sample": False}, {"do_sample": True}, {"do_sample": False, "num_beams": 1}):
        before = generated(model, inputs, max_new_tokens=12, **how)
        with listening() as seen:
            assert generated(model, inputs, max_new_tokens=12, **how, **{name: value}) == before
        assert name in seen


@pytest.mark.parametrize("name", table.OUTPUTS)
def test_outputs_are_dropped_without_a_dictionary_to_hold_them(name: str, plain: Path) -> None:
    # Attention weights are given by eager attention alone.
    model = transformers.AutoModelForCausalLM.from_pretrained(plain, attn_implementation="eager")
    inputs = prompt(plain)
    given = {"do_sample": False, "max_new_tokens": 3, "pad_token_id": checkpoints.EOS_ID, name: True}
    assert isinstance(model.generate(**inputs, **given), torch.Tensor)
    kept = model.generate(**inputs, **given, return_dict_in_generate=True)
    # The models call attentions and hidden states of the decoder by these names.
    assert kept[name.removeprefix("output_")] is not None


# ---- TLP208


def test_a_token_beyond_the_embeddings_raises_until_they_are_resized(tmp_path: Path) -> None:
    folder = checkpoints.build("llama", tmp_path / "exact", dtype="float32")
    model, tokenizer = load(folder), transformers.AutoTokenizer.from_pretrained(folder)
    model.resize_token_embeddings(len(tokenizer))
    tokenizer.add_special_tokens({"pad_token": "[PAD]"})
    batch = tokenizer(["Once", "Once upon a time"], padding=True, return_tensors="pt")
    with pytest.raises(IndexError):
        model(**batch)
    model.resize_token_embeddings(len(tokenizer))
    model(**batch)


# ---- TLP209


@pytest.mark.parametrize("dtype", ["float16", "float32"])
def test_the_scaler_refuses_gradients_of_float16_weights(dtype: str, plain: Path) -> None:
    model = transformers.AutoModelForCausalLM.from_pretrained(plain, **{dtype_keyword(): dtype})
    optimizer = torch.optim.SGD(model.parameters(), 1e-3)
    scaler = torch.amp.GradScaler("cpu")
    with torch.autocast("cpu", torch.float16):
        loss = model(**prompt(plain), labels=prompt(plain)["input_ids"]).loss
    scaler.scale(loss).backward()
    if dtype == "float32":
        scaler.unscale_(optimizer)
        return
    with pytest.raises(ValueError, match="Attempting to unscale FP16 gradients"):
        scaler.unscale_(optimizer)


def test_fp16_gives_the_trainer_a_scaler() -> None:
    source = inspect.getsource(pytest.importorskip("accelerate").Accelerator.__init__)
    assert "get_grad_scaler" in source
    assert 'mixed_precision == "fp16"' in source


def test_adapters_of_a_float16_model_are_float32(plain: Path) -> None:
    peft = pytest.importorskip("peft")
    model = transformers.AutoModelForCausalLM.from_pretrained(plain, **{dtype_keyword(): "float16"})
    adapted = peft.get_peft_model(model, peft.LoraConfig(target_modules=["q_proj"]))
    trained = [each for each in adapted.parameters() if each.requires_grad]
    assert trained
    assert all(each.dtype == torch.float32 for each in trained)


# ---- TLP210


def test_numpy_has_no_bfloat16(plain: Path) -> None:
    model = transformers.AutoModel.from_pretrained(plain, **{dtype_keyword(): "bfloat16"})
    with torch.no_grad():
        output = model(**prompt(plain), output_hidden_states=True)
    for states in (
        output.last_hidden_state,
        output.hidden_states[-1],
        output.last_hidden_state.mean(1).cpu(),
    ):
        with pytest.raises(TypeError, match="BFloat16"):
            states.numpy()
        states.float().numpy()
