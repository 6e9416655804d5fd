"""What imports of transformers tell of an old release: names and modules that 4.50 did not have any more, and those of forks."""

from __future__ import annotations

import re

#: Modules beside those of today: `modeling_bert` became `models.bert.modeling_bert` in 4.0.
_OLD_MODULE = r"(?:modeling|configuration|tokenization|generation)_(?!(?:tf_|flax_)?(?:utils|outputs|attn|flash|rope|gguf|layers|mistral|python|pytorch)\w*\Z)\w+\Z"
_OF_LLAMA = "models.llama.modeling_llama"
_OF_DEBERTA = ("models.deberta.modeling_deberta", "models.deberta_v2.modeling_deberta_v2")
#: The names and modules, below `transformers`. AdamW went in 4.50, the classes for one attention each in 4.48.
LONG_GONE = frozenset(
    f"transformers.{name}"
    for name in (
        # modules
        "adapters", "benchmark", "deepspeed", "tools", "generation_utils",
        # names of the package
        "AdamW", "is_torch_tpu_available", "top_k_top_p_filtering", "Conversation", "ConversationalPipeline", "LogitsWarper",
        "PyTorchBenchmark", "PyTorchBenchmarkArguments", "WarmupLinearSchedule", "LLaMATokenizer", "LLaMAForCausalLM",
        # names of adapter-transformers, a fork
        "AdapterTrainer", "Seq2SeqAdapterTrainer", "AutoAdapterModel", "AutoModelWithHeads", "BertAdapterModel", "RobertaAdapterModel",
        # names of modules
        "optimization.AdamW",
        "file_utils.add_start_docstrings_to_callable", "file_utils.cached_path", "file_utils.hf_bucket_url",
        "file_utils.is_torch_tpu_available", "file_utils.torch_required", "utils.cached_path", "utils.hf_bucket_url",
        "generation.utils.top_k_top_p_filtering", "integrations.is_fairscale_available", "trainer_utils.ShardedDDPOption",
        "modeling_utils.shard_checkpoint", "pytorch_utils.torch_int_div", "pytorch_utils.is_torch_less_than_1_11",
        "pytorch_utils.is_torch_greater_or_equal_than_1_10", "pytorch_utils.is_torch_greater_or_equal_than_1_11",
        *(f"{module}.{each}" for module in _OF_DEBERTA for each in ("StableDropout", "XSoftmax", "XDropout")),
        *(f"models.{each}.modeling_{each}._expand_mask" for each in ("bart", "mbart", "opt", "bloom", "clip", "llama")),
        *(f"models.{each}.modeling_{each}._make_causal_mask" for each in ("bart", "mbart", "opt", "bloom", "clip", "llama")),
        f"{_OF_LLAMA}.LlamaFlashAttention2", f"{_OF_LLAMA}.LlamaSdpaAttention", f"{_OF_LLAMA}.LLAMA_ATTENTION_CLASSES",
        f"{_OF_LLAMA}.LlamaLinearScalingRotaryEmbedding", f"{_OF_LLAMA}.LlamaDynamicNTKScalingRotaryEmbedding",
        "models.mistral.modeling_mistral.MistralFlashAttention2", "models.mistral.modeling_mistral.MistralSdpaAttention",
        "models.qwen2.modeling_qwen2.Qwen2FlashAttention2", "models.qwen2.modeling_qwen2.Qwen2SdpaAttention",
    )
)  # fmt: skip


def is_long_gone(symbol: str) -> bool:
    """Whether no release of transformers since 4.50 has a dotted name: who imports it has an older one, or a fork."""
    if symbol in LONG_GONE:
        return True
    _, _, below = symbol.partition(".")
    module = below.partition(".")[0]
    return f"transformers.{module}" in LONG_GONE or re.match(_OLD_MODULE, module) is not None
