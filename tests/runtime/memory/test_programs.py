"""Models that are counted operation by operation: the estimate equals the trace of transformers' own step."""

from __future__ import annotations

import random
import sys
from typing import Any

import pytest

from benchmarks.memory_families import spec_of
from telepathy_runtime.memory import Workload, estimate
from telepathy_runtime.memory.t5 import SINCE
from telepathy_runtime.memory.taped import PROGRAMS
from telepathy_runtime.models import registry
from telepathy_runtime.models.architectures import counted_spec
from telepathy_runtime.models.lookup import from_parsed
from telepathy_runtime.models.spec import NotModelledError, UnknownOptionError

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

from telepathy_runtime.memory.standard_step import build_step, traced  # noqa: E402
from telepathy_runtime.memory.tracing import trace  # noqa: E402
from tests.sampling import first  # noqa: E402

TRAINER = {"regime": "full", "keep_outputs": False, "use_cache": False}
REGIMES: dict[str, dict[str, Any]] = {
    "inference": {"use_cache": False},
    "full": TRAINER,
    "checkpointing": TRAINER | {"checkpointing": True},
    "outputs kept": TRAINER | {"keep_outputs": True},
    "accumulating": TRAINER | {"grad_accum": 2, "opt_impl": "fused"},
    "padded": TRAINER | {"padded": True},
}
TWO = REGIMES | {"cached": {}, "cached, padded": {"padded": True}, "all kept": {"regime": "full"}}
"""Regimes of models with a decoder, which has a cache."""
ENCODERS = ("bert", "roberta", "xlm-roberta", "distilbert", "electra")


def only_since(version: tuple[int, int], why: str) -> None:
    if tuple(int(part) for part in transformers.__version__.split(".")[:2]) < version:
        pytest.skip(f"transformers {transformers.__version__}: {why}")


def encoder(model_type: str, layers: int, heads: int, width: int, wide: int, vocab: int) -> Any:
    only_since((5, 0), "an encoder reads the values of its mask, which a trace does not have")
    if model_type == "distilbert":
        names = {"dim": heads * width, "n_layers": layers, "n_heads": heads, "hidden_dim": wide}
        names |= {"architectures": ["DistilBertForMaskedLM"], "max_position_embeddings": 2048}
        return transformers.AutoConfig.for_model(model_type, vocab_size=vocab, **names)
    narrow = {"embedding_size": 64} if model_type == "electra" else {}
    return transformers.AutoConfig.for_model(
        model_type,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        hidden_size=heads * width,
        intermediate_size=wide,
        vocab_size=vocab,
        max_position_embeddings=2048,
        **narrow,
    )


def t5(
    layers: int, deeper: int, heads: int, width: int, hidden: int, wide: int, vocab: int, **more: Any
) -> Any:
    only_since(SINCE, "T5 runs in another way")
    return transformers.AutoConfig.for_model(
        "t5",
        num_layers=layers,
        num_decoder_layers=deeper,
        num_heads=heads,
        d_kv=width,
        d_model=hidden,
        d_ff=wide,
        vocab_size=vocab,
        **more,
    )


def whisper(
    layers: int, deeper: int, heads: int, width: int, wide: int, vocab: int, heard: int, **more: Any
) -> Any:
    only_since((5, 23), "Whisper draws a number for each layer, which a trace does not have")
    return transformers.AutoConfig.for_model(
        "whisper",
        encoder_layers=layers,
        decoder_layers=deeper,
        encoder_attention_heads=heads,
        decoder_attention_heads=heads,
        d_model=heads * width,
        encoder_ffn_dim=wide,
        decoder_ffn_dim=wide,
        vocab_size=vocab,
        max_source_positions=heard,
        **dict.fromkeys(("pad_token_id", "bos_token_id", "eos_token_id", "decoder_start_token_id"), 0),
        **more,
    )


def error(config: Any, work: Workload) -> float:
    work = work.but(transformers=transformers.__version__)
    return estimate(spec_of(config), work).peak_allocated / traced(config, work).peak_allocated - 1


def test_a_program_frees_and_keeps_what_the_code_does() -> None:
    config = encoder("bert", 2, 8, 64, 1536, 5000)
    assert abs(error(config, Workload(batch=3, seq_len=333, **REGIMES["checkpointing"]))) < 0.001


@pytest.mark.slow
@pytest.mark.parametrize("regime", REGIMES)
@pytest.mark.parametrize("attn", ["sdpa", "eager"])
def test_regimes_of_an_encoder(attn: str, regime: str) -> None:
    config = encoder("bert", 3, 8, 64, 1536, 2000)
    for dtype in ("bfloat16", "float32"):
        assert abs(error(config, Workload(seq_len=500, attn=attn, dtype=dtype, **REGIMES[regime]))) < 0.002


def held_out() -> list[Any]:
    """Shapes and jobs drawn once, by a seed that nothing was tuned with."""
    draw = random.Random(20261130)
    cases = []
    for model_type in ENCODERS * 4:
        sizes = (draw.randint(2, 9), draw.choice([4, 8, 12]), draw.choice([32, 64]), 64 * draw.randint(8, 60))
        work = Workload(
            batch=draw.randint(1, 6),
            seq_len=draw.randint(17, 1200),
            attn=draw.choice(["sdpa", "eager"]),
            dtype=draw.choice(["bfloat16", "float32"]),
            **draw.choice(list(REGIMES.values())),
        )
        name = f"{model_type}-{work.attn}-{work.regime}-{work.batch}x{work.seq_len}"
        cases.append(pytest.param(model_type, (*sizes, draw.randint(300, 60000)), work, id=name))
    return cases


@pytest.mark.parametrize(("model_type", "sizes", "work"), first(0, 2 * len(ENCODERS), held_out()))
def test_held_out_encoders(model_type: str, sizes: tuple[int, ...], work: Workload) -> None:
    assert abs(error(encoder(model_type, *sizes), work)) < 0.005


@pytest.mark.parametrize("regime", ["cached", "checkpointing"])
def test_biases_and_tables_of_an_encoder_and_a_decoder(regime: str) -> None:
    """Biases that layers share, one table in three places, and the zeros that take a gradient under checkpointing."""
    config = t5(2, 1, 8, 32, 192, 640, 3000)
    work = Workload(batch=2, seq_len=77, source_len=203, attn="sdpa", dtype="float32", **TWO[regime])
    assert abs(error(config, work)) < 0.001


@pytest.mark.slow
@pytest.mark.parametrize("regime", TWO)
@pytest.mark.parametrize("attn", ["sdpa", "eager"])
@pytest.mark.parametrize("feed_forward", ["relu", "gated-gelu"])
def test_regimes_of_t5(feed_forward: str, attn: str, regime: str) -> None:
    config = t5(3, 2, 8, 32, 256, 1024, 1000, feed_forward_proj=feed_forward)
    for dtype in ("bfloat16", "float32"):
        work = Workload(batch=3, seq_len=200, source_len=300, attn=attn, dtype=dtype, **TWO[regime])
        assert abs(error(config, work)) < 0.001


@pytest.mark.slow
def test_a_checkpointed_layer_runs_again_up_to_what_it_keeps() -> None:
    """Without dropout its last product is not made again, at which the peak would be."""
    config = t5(3, 2, 12, 32, 640, 1344, 1708, feed_forward_proj="gated-silu", dropout_rate=0.0)
    work = Workload(batch=2, seq_len=343, attn="eager", **TRAINER, checkpointing=True, opt_impl="fused")
    assert abs(error(config, work)) < 0.001


def drawn_t5() -> list[Any]:
    """Shapes and jobs drawn once, by a seed that nothing was tuned with."""
    draw = random.Random(20261203)
    cases = []
    for _ in range(12):
        sizes = (
            draw.randint(1, 6),
            draw.randint(1, 6),
            draw.choice([4, 6, 12]),
            draw.choice([16, 32, 64, 128]),
        )
        wide = 64 * draw.randint(3, 10), 64 * draw.randint(3, 40), draw.randint(300, 40000)
        work = Workload(
            batch=draw.choice([1, 2, 3, 6]),
            seq_len=draw.choice([1, draw.randint(2, 700), draw.randint(2, 700)]),
            source_len=draw.choice([0, draw.randint(1, 900)]),
            attn=draw.choice(["sdpa", "eager"]),
            dtype=draw.choice(["bfloat16", "float32"]),
            **draw.choice(list(TWO.values())),
        )
        kind = draw.choice(["relu", "gated-gelu", "gated-silu"])
        name = f"{kind}-{work.attn}-{work.regime}-{work.batch}x{work.source_len}x{work.seq_len}"
        cases.append(pytest.param((*sizes, *wide), kind, work, id=name))
    return cases


@pytest.mark.parametrize(("sizes", "kind", "work"), first(0, 6, drawn_t5()))
def test_drawn_t5(sizes: tuple[int, ...], kind: str, work: Workload) -> None:
    assert abs(error(t5(*sizes, feed_forward_proj=kind), work)) < 0.005


@pytest.mark.slow
def test_a_head_of_its_own() -> None:
    """A checkpoint such as flan-t5 has another head than its table, and its config says so."""
    config = t5(2, 2, 4, 32, 128, 512, 20000, feed_forward_proj="gated-gelu", tie_word_embeddings=False)
    spec = from_parsed(config.to_dict() | {"tie_word_embeddings": False}, "t5")
    work = Workload(seq_len=200, transformers=transformers.__version__, **TRAINER)

    def untie(model: Any) -> None:
        model.lm_head.weight = torch.nn.Parameter(torch.empty_like(model.shared.weight))

    seen = trace(build_step(config, work, untie)).peak_allocated
    assert estimate(spec, work).peak_allocated == pytest.approx(seen, rel=0.001)


@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_convolutions_and_fixed_positions_of_whisper(dtype: str) -> None:
    """A kernel for each dtype, gradients that are copied back, and the clamp of float16."""
    config = whisper(2, 1, 4, 64, 1024, 3000, 150)
    assert abs(error(config, Workload(batch=2, seq_len=77, dtype=dtype, **TRAINER, opt_impl="fused"))) < 0.001


def test_the_fixed_positions_of_whisper_take_no_gradient() -> None:
    """The peak of this job is at its end, when all gradients are there: one more would be 0.9 % of it."""
    config = whisper(1, 1, 4, 64, 64, 171, 100)
    work = Workload(
        seq_len=94, dtype="float16", optimizer="sgd", opt_impl="fused", checkpointing=True, **TRAINER
    )
    assert estimate(spec_of(config), work).peak.name == "encoder, embedding, backward"
    assert abs(error(config, work)) < 0.002


@pytest.mark.slow
@pytest.mark.parametrize("regime", TWO)
@pytest.mark.parametrize("attn", ["sdpa", "eager"])
def test_regimes_of_whisper(attn: str, regime: str) -> None:
    config = whisper(3, 2, 4, 64, 1024, 3000, 200)
    for dtype in ("bfloat16", "float16", "float32"):
        assert (
            abs(error(config, Workload(batch=3, seq_len=90, attn=attn, dtype=dtype, **TWO[regime]))) < 0.002
        )


def drawn_whisper() -> list[Any]:
    """Shapes and jobs drawn once, by a seed that nothing was tuned with."""
    draw = random.Random(20261204)
    cases = []
    for _ in range(12):
        sizes = (draw.randint(1, 6), draw.randint(1, 6), draw.choice([4, 6, 8]), draw.choice([32, 64]))
        more = 64 * draw.randint(4, 40), draw.randint(300, 52000), draw.choice([1500, draw.randint(50, 900)])
        rates = {
            name: draw.choice([0.0, 0.1]) for name in ("dropout", "activation_dropout", "attention_dropout")
        }
        work = Workload(
            batch=draw.choice([1, 2, 3, 6]),
            seq_len=draw.choice([1, draw.randint(2, 448), draw.randint(2, 448)]),
            attn=draw.choice(["sdpa", "eager"]),
            dtype=draw.choice(["bfloat16", "float16", "float32"]),
            **draw.choice(list(TWO.values())),
        )
        name = f"{work.dtype}-{work.attn}-{work.regime}-{work.batch}x{work.seq_len}"
        cases.append(pytest.param((*sizes, *more), rates, work, id=name))
    return cases


@pytest.mark.parametrize(("sizes", "rates", "work"), first(0, 6, drawn_whisper()))
def test_drawn_whisper(sizes: tuple[int, ...], rates: dict[str, float], work: Workload) -> None:
    assert abs(error(whisper(*sizes, **rates), work)) < 0.005


@pytest.mark.slow
def test_a_classifier_of_sequences() -> None:
    config = encoder("bert", 3, 8, 64, 1536, 5000)
    config.architectures = ["BertForSequenceClassification"]
    work = Workload(batch=4, seq_len=300, dtype="float32", regime="full", keep_outputs=False, use_cache=False)

    def build() -> Any:
        model = transformers.BertForSequenceClassification._from_config(
            config, attn_implementation="sdpa", dtype=torch.float32
        ).train()
        optimizer = torch.optim.AdamW(model.parameters(), foreach=True)
        ids = torch.zeros(4, 300, dtype=torch.long)
        labels = torch.zeros(4, dtype=torch.long)

        def step() -> None:
            model(input_ids=ids, attention_mask=torch.ones_like(ids), labels=labels).loss.backward()
            optimizer.step()
            optimizer.zero_grad()

        return step

    assert estimate(spec_of(config), work).peak_allocated == pytest.approx(
        trace(build).peak_allocated, rel=0.002
    )


def test_a_registered_encoder_needs_no_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    for name in ("google-bert/bert-base-uncased", "FacebookAI/roberta-base", "FacebookAI/xlm-roberta-base"):
        spec = registry.get(name)
        assert spec.architecture in PROGRAMS
        work = Workload(batch=8, seq_len=512, regime="full", dtype="float32", keep_outputs=False)
        found = estimate(spec, work)
        assert found.whole and found.peak_allocated > 16 * spec.params
        assert found.after_load == 4 * spec.params
        assert found.peak.total == sum(found.peak.components().values())


def test_a_registered_t5_needs_no_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    spec = registry.get("google-t5/t5-base")
    work = Workload(batch=8, seq_len=128, source_len=512, regime="full", dtype="float32", keep_outputs=False)
    found = estimate(spec, work)
    assert found.whole and found.peak_allocated > 16 * spec.params
    assert "the encoder reads 512 tokens, the decoder 128" in found.notes
    assert "counted as transformers 5.15 and newer run t5" in found.notes
    for how in (
        {"dtype": "float16"},
        {"attn": "flash_attention_2"},
        {"packed": True},
        {"transformers": "4.57.6"},
        {"new_tokens": 8, "regime": "inference"},
    ):
        with pytest.raises(NotModelledError, match="activations"):
            estimate(spec, work.but(**how))


def test_a_registered_whisper_needs_no_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    spec = registry.get("distil-whisper/distil-large-v3")
    work = Workload(batch=8, seq_len=128, regime="full", dtype="float32", keep_outputs=False)
    found = estimate(spec, work)
    assert found.whole and found.peak_allocated > 16 * spec.trained_params
    assert spec.trained_params == spec.params - 1500 * 1280  # the encoder's positions take no gradient
    assert "the encoder reads a whole recording, the decoder 128 tokens" in found.notes
    with pytest.raises(UnknownOptionError, match="source_len"):
        estimate(spec, work.but(source_len=64))
    config = registry.listed_config("openai/whisper-tiny") | {"encoder_attention_heads": 3}
    other = counted_spec(config, "mine", registry.get("openai/whisper-tiny").params)
    with pytest.raises(NotModelledError, match="activations of mine"):
        estimate(other, work)


def test_what_no_program_knows_is_said() -> None:
    spec = registry.get("google-bert/bert-base-uncased")
    for how in (
        {"regime": "lora", "lora_targets": ("all-linear",)},
        {"regime": "lora", "optimizer": "adafactor"},
        {"regime": "full", "optimizer": "muon"},
        {"autocast": True},
        {"shard": "fsdp", "ranks": 2},
        {"hidden_states": True},
    ):
        with pytest.raises(NotModelledError, match="of bert"):
            estimate(spec, Workload(seq_len=64, **how))
    with pytest.raises(NotModelledError, match="of t5 in the regime lora"):
        estimate(registry.get("google-t5/t5-base"), Workload(seq_len=64, regime="lora"))
    with pytest.raises(UnknownOptionError, match="source_len"):
        estimate(spec, Workload(seq_len=64, source_len=64))
