"""What the rules about generating and training say of transformers, tried on it: tiny models, no network.

Each test is one sentence of a rule's documentation, and holds in both majors unless it says otherwise.
"""

from __future__ import annotations

import inspect
import warnings
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

from tests import checkpoints  # noqa: E402

IGNORED = {"temperature": 0.7, "top_p": 0.5, "top_k": 3, "min_p": 0.4, "typical_p": 0.3}
NEUTRAL = {"temperature": 1.0, "top_p": 1.0, "top_k": 50, "typical_p": 1.0}


@pytest.fixture(scope="module")
def chat(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint that ships sampling, as chat models do."""
    return checkpoints.build("llama", tmp_path_factory.mktemp("chat"), dtype="float32")


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint that ships nothing but its special tokens, as base models do."""
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
    """The labels that the collator makes of a text with its end-of-sequence token."""
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
    """Beside the prompt; in the oldest releases supported, with it."""
    inputs = prompt(plain, "a b c")
    assert len(generated(load(plain), inputs, do_sample=False)) in (20, 20 - inputs["input_ids"].shape[1])


# ---- TLP204


@pytest.mark.parametrize("name", IGNORED)
def test_greedy_decoding_ignores(name: str, chat: Path) -> None:
    model, inputs = load(chat), prompt(chat)
    greedy = generated(model, inputs, do_sample=False, max_new_tokens=16)
    assert generated(model, inputs, do_sample=False, max_new_tokens=16, **{name: IGNORED[name]}) == greedy


def complaint(config: Any) -> str:
    """What transformers says against a generation config: an error where `validate` can be strict, else a warning."""
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
    """One backward pass through a model in evaluation mode, from a bridge that feeds it."""
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
