"""The closed form beside the trace for every family of models, as a Markdown table.

    python -m benchmarks.memory_families [--write] [FAMILY ...]

Three shapes, two lengths, sdpa and eager attention, in inference and full training with and without checkpointing, for each
family. Needs torch and transformers, but no GPU; takes some minutes. --write puts the table into docs/memory.md.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from telepathy_runtime.memory import Workload, estimate
from telepathy_runtime.models.lookup import from_parsed
from telepathy_runtime.models.spec import ModelSpec

DOCS = Path(__file__).resolve().parent.parent / "docs" / "memory.md"
BEGIN, END = "<!-- families: accuracy -->\n", "<!-- end families -->"
HEADER = (
    "| family | traces | inference | all weights | checkpointing | largest error |\n|---|---|---|---|---|---|"
)
LENGTHS = ((1, 1024), (3, 500))
TRAINING = {"regime": "full", "keep_outputs": False, "use_cache": False}
REGIMES: dict[str, dict[str, Any]] = {
    "inference": {},
    "all weights": TRAINING,
    "checkpointing": TRAINING | {"checkpointing": True},
}


class Shape(NamedTuple):
    """Dimensions of a model; a small vocabulary lets layers rule the peak."""

    layers: int
    hidden: int
    intermediate: int
    heads: int
    kv_heads: int
    vocab: int


SHAPES = (
    Shape(4, 1024, 2816, 16, 4, 50304),
    Shape(4, 2048, 5504, 32, 8, 1024),
    Shape(4, 768, 3072, 12, 12, 32000),
)
_GPT2 = {
    "hidden": "n_embd", "intermediate": "n_inner", "layers": "n_layer", "heads": "n_head", "vocab": "vocab_size",
    "max_positions": "n_positions",
}  # fmt: skip
_LLAMA = {
    "hidden": "hidden_size", "intermediate": "intermediate_size", "layers": "num_hidden_layers",
    "heads": "num_attention_heads", "kv_heads": "num_key_value_heads", "vocab": "vocab_size",
    "max_positions": "max_position_embeddings",
}  # fmt: skip
#: For each model type, the names of the dimensions, and other settings as in the published models.
FAMILIES: dict[str, tuple[dict[str, str], dict[str, Any]]] = {
    "llama": (_LLAMA, {}),
    "mistral": (_LLAMA, {"sliding_window": 300}),
    "qwen2": (_LLAMA, {}),
    "qwen3": (_LLAMA, {"head_dim": 128}),
    "gpt2": (_GPT2, {}),
    "gptj": (_GPT2, {"rotary_dim": 16}),
    "gpt_neox": (_LLAMA, {}),
    "opt": (_LLAMA | {"intermediate": "ffn_dim"}, {"word_embed_proj_dim": None}),
    "gemma": (_LLAMA, {"head_dim": 128}),
    "gemma2": (_LLAMA, {"head_dim": 128, "sliding_window": 4096}),
    "gemma3_text": (_LLAMA, {"head_dim": 128, "sliding_window": 512}),
    "phi": (_LLAMA, {"resid_pdrop": 0.1}),
    "phi3": (_LLAMA, {}),
    "olmo2": (_LLAMA, {}),
    "olmo3": (_LLAMA, {"sliding_window": 4096}),
    "smollm3": (_LLAMA, {}),
    "granite": (_LLAMA, {}),
    "glm4": (_LLAMA, {"head_dim": 64}),
    "cohere": (_LLAMA, {}),
    "cohere2": (_LLAMA, {"sliding_window": 4096}),
    "starcoder2": (_LLAMA, {"sliding_window": None, "residual_dropout": 0.1, "embedding_dropout": 0.1}),
    "stablelm": (_LLAMA, {}),
    "mixtral": (_LLAMA, {"num_local_experts": 8, "num_experts_per_tok": 2, "sliding_window": None}),
    "qwen3_moe": (
        _LLAMA,
        {"head_dim": 128, "num_experts": 16, "num_experts_per_tok": 4, "moe_intermediate_size": 704},
    ),
    "glm": (_LLAMA, {"head_dim": 64}),
    "qwen2_moe": (
        _LLAMA,
        {
            "num_experts": 16,
            "num_experts_per_tok": 4,
            "moe_intermediate_size": 704,
            "shared_expert_intermediate_size": 1408,
        },
    ),
    "olmoe": (_LLAMA, {"num_experts": 8, "num_experts_per_tok": 4}),
    "gpt_oss": (_LLAMA, {"head_dim": 64, "num_local_experts": 8, "num_experts_per_tok": 4}),
}


def config_of(model_type: str, shape: Shape, **settings: Any) -> Any:
    """transformers' config of a family with the dimensions of `shape`."""
    from transformers import AutoConfig

    names, given = FAMILIES[model_type]
    sizes = {names[field]: value for field, value in shape._asdict().items() if field in names}
    more = {"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2, names["max_positions"]: 4096}
    config = AutoConfig.for_model(model_type, **more | sizes | given | settings)
    if model_type == "opt":
        config.word_embed_proj_dim = config.hidden_size
    return config


def spec_of(config: Any) -> ModelSpec:
    """The dimensions that a model's config.json gives."""
    return from_parsed(config.to_dict(), config.model_type)


def jobs(model_type: str, shapes: tuple[Shape, ...] = SHAPES) -> Iterator[tuple[str, Any, Workload]]:
    """The regime, the config and the job of each trace of a family."""
    import transformers

    from telepathy_runtime.memory.standard_step import attention_for

    for shape in shapes:
        config = config_of(model_type, shape)
        for attn in ("sdpa", "eager"):
            if attention_for(config, attn) != attn:
                continue
            for batch, length in LENGTHS:
                for name, how in REGIMES.items():
                    work = Workload(
                        batch=batch, seq_len=length, attn=attn, transformers=transformers.__version__, **how
                    )
                    yield name, config, work


def error(config: Any, work: Workload) -> float:
    """Estimate over trace, less one."""
    from telepathy_runtime.memory.standard_step import traced

    return estimate(spec_of(config), work).peak_allocated / traced(config, work).peak_allocated - 1


def row(model_type: str) -> str:
    """The errors of a family, largest by regime."""
    found: dict[str, list[float]] = {name: [] for name in REGIMES}
    for name, config, work in jobs(model_type):
        found[name].append(error(config, work))
    every = [each for errors in found.values() for each in errors]
    cells = [f"{max(errors, key=abs):+.2%}" for errors in found.values()]
    return f"| {model_type} | {len(every)} | {' | '.join(cells)} | {max(map(abs, every)):.2%} |"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("family", nargs="*", choices=[*FAMILIES, []], help="only these model types")
    parser.add_argument("--write", action="store_true", help="put the table into docs/memory.md")
    args = parser.parse_args()
    started, lines = time.monotonic(), [HEADER]
    print(HEADER)
    for model_type in args.family or FAMILIES:
        lines.append(row(model_type))
        print(lines[-1], flush=True)
    print(f"\n{time.monotonic() - started:.0f} s", file=sys.stderr)
    if args.write:
        text = DOCS.read_text(encoding="utf-8")
        before, after = text.split(BEGIN)[0], text.split(END)[1]
        DOCS.write_text(f"{before}{BEGIN}" + "\n".join(lines) + f"\n{END}{after}", encoding="utf-8")


if __name__ == "__main__":
    main()
