"""Tiny random checkpoints, saved as real ones are, for tests that load for real without a network.

`build("llama", directory)` writes weights, config, generation config and a working fast tokenizer, and returns the
directory. The seed is fixed, so two builds are equal bit for bit. From the command line:

    python -m tests.checkpoints llama DIR [--pad reserved] [--sharded] [--dtype float32]

torch and transformers are imported inside the functions: collecting the tests of the linter must not pay for them.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal

Pad = Literal["present", "reserved", "absent"]

BYTES = 256  # one token a byte: any text can be encoded, nothing has to be trained or downloaded
BOS, EOS, TURN, EXTRA_STOP, UNUSED = "<s>", "</s>", "<|eot_id|>", "<|eom_id|>", "<image>"
SPECIAL = (BOS, EOS, TURN, EXTRA_STOP, UNUSED)
BOS_ID, EOS_ID, TURN_ID, EXTRA_STOP_ID, IMAGE_ID = range(BYTES, BYTES + len(SPECIAL))
STOP_IDS = (
    EOS_ID,
    TURN_ID,
    EXTRA_STOP_ID,
)  # several, as chat checkpoints ship them; the tokenizer knows only EOS
PAD_ID = BYTES + len(SPECIAL)
PAD_TOKENS: dict[Pad, str] = {
    "present": "<pad>",
    "reserved": "<|finetune_right_pad_id|>",
    "absent": "<|unused|>",
}
VOCABULARY = 264

# What a chat checkpoint ships: sampling on, and a penalty that survives `do_sample=False`.
SHIPPED: dict[str, Any] = {
    "do_sample": True,
    "temperature": 0.6,
    "top_p": 0.9,
    "top_k": 20,
    "repetition_penalty": 1.05,
}
SEED = 20240917


def _decoder() -> dict[str, Any]:
    return {
        "vocab_size": VOCABULARY,
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "max_position_embeddings": 256,
        # Wide enough that greedy decoding does not repeat one token for ever.
        "initializer_range": 0.3,
        "bos_token_id": BOS_ID,
        "eos_token_id": EOS_ID,
        "pad_token_id": None,
        "tie_word_embeddings": False,
    }


def _llama(t: Any) -> Any:
    return t.LlamaForCausalLM(t.LlamaConfig(**_decoder()))


def _mistral(t: Any) -> Any:
    return t.MistralForCausalLM(t.MistralConfig(**_decoder(), sliding_window=None))


def _qwen2(t: Any) -> Any:
    return t.Qwen2ForCausalLM(t.Qwen2Config(**_decoder(), use_sliding_window=False))


def _gemma2(t: Any) -> Any:
    shape = _decoder() | {"tie_word_embeddings": True, "pad_token_id": 0}
    return t.Gemma2ForCausalLM(
        t.Gemma2Config(**shape, head_dim=8, query_pre_attn_scalar=8, sliding_window=64)
    )


def _gptj(t: Any) -> Any:
    return t.GPTJForCausalLM(
        t.GPTJConfig(
            vocab_size=VOCABULARY,
            n_positions=256,
            n_embd=32,
            n_layer=2,
            n_head=4,
            rotary_dim=4,
            initializer_range=0.3,
            bos_token_id=BOS_ID,
            eos_token_id=EOS_ID,
            tie_word_embeddings=False,
        )
    )


def _gpt_oss(t: Any) -> Any:
    return t.GptOssForCausalLM(
        t.GptOssConfig(
            **_decoder(), head_dim=8, num_local_experts=2, num_experts_per_tok=1, sliding_window=64
        )
    )


def _t5(t: Any) -> Any:
    return t.T5ForConditionalGeneration(
        t.T5Config(
            vocab_size=VOCABULARY,
            d_model=32,
            d_kv=8,
            d_ff=64,
            num_layers=2,
            num_heads=4,
            pad_token_id=PAD_ID,
            eos_token_id=EOS_ID,
            decoder_start_token_id=PAD_ID,
        )
    )


def _vlm(t: Any) -> Any:
    vision = t.CLIPVisionConfig(
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        image_size=16,
        patch_size=8,
        projection_dim=32,
    )
    return t.LlavaForConditionalGeneration(
        t.LlavaConfig(
            vision_config=vision.to_dict(),
            text_config={**t.LlamaConfig(**_decoder()).to_dict()},
            image_token_index=IMAGE_ID,
        )
    )


def _encoder(t: Any) -> Any:
    return t.BertModel(
        t.BertConfig(
            vocab_size=VOCABULARY,
            hidden_size=32,
            intermediate_size=64,
            num_hidden_layers=2,
            num_attention_heads=4,
            max_position_embeddings=64,
        )
    )


# One line a kind. `encoder` is the one that cannot generate.
KINDS: dict[str, Callable[[Any], Any]] = {
    "llama": _llama,
    "mistral": _mistral,
    "qwen2": _qwen2,
    "gemma2": _gemma2,
    "gptj": _gptj,
    "gpt_oss": _gpt_oss,
    "t5": _t5,
    "vlm": _vlm,
    "encoder": _encoder,
}

# The class each is loaded with, by the name in transformers.
CLASSES = {
    "llama": "LlamaForCausalLM",
    "mistral": "MistralForCausalLM",
    "qwen2": "Qwen2ForCausalLM",
    "gemma2": "Gemma2ForCausalLM",
    "gptj": "GPTJForCausalLM",
    "gpt_oss": "GptOssForCausalLM",
    "t5": "T5ForConditionalGeneration",
    "vlm": "LlavaForConditionalGeneration",
    "encoder": "BertModel",
}


def build(
    kind: str,
    directory: str | Path,
    *,
    sharded: bool = False,
    dtype: str = "bfloat16",
    pad: Pad = "absent",
    stop_ids: Sequence[int] = STOP_IDS,
    shipped: dict[str, Any] | None = None,
    generation: bool = True,
    tokenizer: bool = True,
    safe: bool = True,
) -> Path:
    """Save a tiny random model of `kind` (see KINDS) to `directory` and return it.

    `sharded` splits the weights into several files with an index. `pad`: the tokenizer has a pad token ("present"), only
    an unused reserved token for it ("reserved"), or neither ("absent"). `stop_ids` and `shipped` are written to
    generation_config.json, which `generation=False` leaves out. `safe=False` saves pickled `.bin` weights if the installed
    transformers still can.
    """
    import torch
    import transformers

    directory = Path(directory)
    directory.mkdir(parents=True, exist_ok=True)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(SEED)
        model = KINDS[kind](transformers)
    model = model.to(getattr(torch, dtype)).eval()
    options: dict[str, Any] = {} if safe else {"safe_serialization": False}
    if sharded:
        options["max_shard_size"] = "20KB"
    if model.can_generate():
        model.generation_config = _generation_config(transformers, kind, pad, stop_ids, shipped)
    model.save_pretrained(directory, **options)
    if not generation:
        (directory / "generation_config.json").unlink(missing_ok=True)
    if tokenizer:
        _tokenizer(transformers, pad).save_pretrained(directory)
    return directory


def _generation_config(
    t: Any, kind: str, pad: Pad, stop_ids: Sequence[int], shipped: dict[str, Any] | None
) -> Any:
    fields = dict(SHIPPED if shipped is None else shipped)
    if kind == "t5":
        fields["decoder_start_token_id"] = PAD_ID
    if pad == "present" or kind == "t5":
        fields["pad_token_id"] = PAD_ID
    return t.GenerationConfig(bos_token_id=BOS_ID, eos_token_id=list(stop_ids), **fields)


def _tokenizer(t: Any, pad: Pad) -> Any:
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers

    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {symbol: index for index, symbol in enumerate(alphabet)}
    backend = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    backend.add_special_tokens([AddedToken(token, special=True) for token in (*SPECIAL, PAD_TOKENS[pad])])
    # As Llama, Mistral and Qwen2 ship it: without it 4.x adds token_type_ids, which generate() refuses.
    named: dict[str, Any] = {
        "bos_token": BOS,
        "eos_token": EOS,
        "model_input_names": ["input_ids", "attention_mask"],
    }
    if pad == "present":
        named["pad_token"] = PAD_TOKENS[pad]
    return t.PreTrainedTokenizerFast(
        tokenizer_object=backend, padding_side="right", model_max_length=256, **named
    )


def main() -> None:
    parser = argparse.ArgumentParser(description="save a tiny random checkpoint")
    parser.add_argument("kind", choices=sorted(KINDS))
    parser.add_argument("directory", type=Path)
    parser.add_argument("--pad", choices=sorted(PAD_TOKENS), default="absent")
    parser.add_argument("--dtype", default="bfloat16")
    parser.add_argument("--sharded", action="store_true")
    arguments = parser.parse_args()
    print(
        build(
            arguments.kind,
            arguments.directory,
            sharded=arguments.sharded,
            dtype=arguments.dtype,
            pad=arguments.pad,
        )
    )


if __name__ == "__main__":
    main()
