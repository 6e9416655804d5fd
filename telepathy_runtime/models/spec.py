"""The dimensions of a transformer model, from which all sizes are computed.

A `ModelSpec` comes from `models.json` or from a model's own `config.json`, without torch, network access or guesses. Its
parameter count equals that of the model that transformers would build.
"""

from __future__ import annotations

from dataclasses import dataclass

from telepathy_runtime.models.towers import Tower

DTYPE_BYTES = {"float32": 4, "bfloat16": 2, "float16": 2}
"""Bytes per element. Quantised dtypes are not included, because their size depends on the packing."""


class ConfigError(ValueError):
    """A config.json lacks a dimension or has a feature that cannot be counted."""


class UnknownOptionError(ValueError):
    """An option, dtype, architecture or GPU is not modelled; the message lists known ones."""


class NotModelledError(UnknownOptionError):
    """The activations of a job have no closed form; the other parts of its memory are known."""


def element_size(dtype: str) -> int:
    """Bytes of one element of `dtype`, which may be written `torch.bfloat16`."""
    name = dtype.removeprefix("torch.")
    if name not in DTYPE_BYTES:
        raise UnknownOptionError(f"dtype {dtype!r} is not modelled; known: {', '.join(DTYPE_BYTES)}")
    return DTYPE_BYTES[name]


@dataclass(frozen=True)
class ModelSpec:
    """Dimensions of one model; counts are exact, sizes in bytes unless a name says otherwise."""

    id: str
    architecture: str  # transformers' `model_type`
    layers: int  # decoder layers
    hidden: int
    intermediate: int
    heads: int
    kv_heads: int
    head_dim: int
    vocab: int
    tied: bool  # the output head shares the input embedding
    max_positions: int
    dtype: str = "bfloat16"  # of the published checkpoint
    family: str = ""
    rope_theta: float = 0.0
    # Differences from Llama; the defaults are Llama's.
    gated_mlp: bool = True  # three matrices instead of two
    qkv_bias: bool = False
    out_bias: bool = False
    mlp_bias: bool = False
    head_bias: bool = False
    norm_bias: bool = False  # LayerNorm; RMSNorm has only a scale
    norm_affine: bool = True
    norms_per_layer: int = 2
    final_norms: int = 1
    qk_norm: bool = False
    learned_positions: int = 0  # rows of a learned position table
    embed_dim: int = 0  # width of the embedding if it is not `hidden` (OPT-350m)
    encoder_layers: int = 0
    relative_buckets: int = 0
    sliding_window: int = 0
    sliding_layers: int = 0
    # Settings that decide what a layer keeps for its backward.
    rotated: float = 0.0  # share of a head that is rotated; 0: the one of the architecture's published models
    activation: str = "silu"
    dropout: bool = False  # of the outputs of attention and feed-forward block, in training
    embedding_dropout: bool = False
    attention_dropout: bool = False
    activation_dropout: bool = False  # inside the feed-forward block
    attention_softcap: bool = False
    logit_softcap: bool = False
    scaled_output: bool = False  # the head reads the last layer's output times a number (T5)
    experts: int = 0  # in each layer, instead of one feed-forward block
    experts_per_token: int = 0
    shared_width: int = 0  # of an expert that reads every token
    text: str = ""  # `model_type` of the text part of a model with several parts; all dimensions are its
    convolved: bool = False  # a convolution of the embeddings beside the first layer (DeBERTa v2)
    # Of an encoder that listens; 0: it reads tokens.
    mel_bins: int = 0
    source_positions: int = 0  # that its convolutions leave of a recording
    vision: Tower | None = (
        None  # what reads images; None: nothing, or another tower than those with a closed form
    )
    # Values without a formula: counted in the model that transformers builds, or in a checkpoint's headers.
    counted: int = 0  # all parameters, tied ones once
    tower: int = 0  # of these, those that only an image reaches: a vision tower's and its projector's
    stored_bytes: int = 0  # of quantised weights, which keep their stored form in any dtype
    cached_layers: int = -1  # layers that keep keys and values; -1: all
    value_dim: int = 0  # of one value head, if it is not `head_dim`
    head_rows: int = -1  # outputs of a head other than a language model's (labels, or 0: no head)

    @property
    def query_dim(self) -> int:
        """Width of all query heads together; `hidden` for most models, not for Gemma or Qwen3."""
        return self.heads * self.head_dim

    @property
    def kv_dim(self) -> int:
        """Width of all key heads together, and of all value heads."""
        return self.kv_heads * self.head_dim

    @property
    def _norm(self) -> int:
        return self.hidden * self.norm_affine * (2 if self.norm_bias else 1)

    @property
    def attention_params(self) -> int:
        """Parameters of one attention block."""
        h, q, kv = self.hidden, self.query_dim, self.kv_dim
        weights = 2 * h * q + 2 * h * kv
        biases = self.qkv_bias * (q + 2 * kv) + self.out_bias * h
        norms = self.qk_norm * 2 * self.head_dim * (2 if self.norm_bias else 1)
        return weights + biases + norms

    @property
    def mlp_params(self) -> int:
        """Parameters of one feed-forward block."""
        wide = 2 if self.gated_mlp else 1
        weights = (wide + 1) * self.hidden * self.intermediate
        if self.experts:
            shared = (wide + 1) * self.hidden * self.shared_width
            return self.experts * (weights + self.hidden) + shared
        return weights + self.mlp_bias * (wide * self.intermediate + self.hidden)

    @property
    def layer_params(self) -> int:
        """Parameters of one decoder layer (with cross-attention in an encoder-decoder)."""
        attentions = 2 if self.encoder_layers else 1
        return attentions * self.attention_params + self.mlp_params + self.norms_per_layer * self._norm

    @property
    def encoder_params(self) -> int:
        """Parameters of the encoder: its layers, its final norm, its relative positions."""
        if not self.encoder_layers:
            return 0
        layer = self.attention_params + self.mlp_params + 2 * self._norm
        return self.encoder_layers * layer + self._norm + self.relative_buckets * self.heads

    @property
    def embedding_params(self) -> int:
        """Parameters of the token embedding, shared with the head if `tied`."""
        return self.vocab * (self.embed_dim or self.hidden)

    @property
    def head_params(self) -> int:
        """Parameters that the output head adds."""
        if self.head_rows >= 0:
            return self.head_rows * (self.embed_dim or self.hidden)
        return (0 if self.tied else self.embedding_params) + self.head_bias * self.vocab

    @property
    def params(self) -> int:
        """All parameters, tied ones once."""
        if self.counted:
            return self.counted
        decoder = self.layers * self.layer_params + self.final_norms * self._norm
        positions = self.learned_positions * self.hidden + self.relative_buckets * self.heads
        projections = 2 * self.embed_dim * self.hidden if self.embed_dim else 0
        return (
            self.embedding_params + positions + projections + self.encoder_params + decoder + self.head_params
        )

    @property
    def trained_params(self) -> int:
        """The parameters that take gradients; an encoder that listens has fixed positions."""
        return self.params - self.source_positions * self.hidden

    @property
    def params_bytes(self) -> int:
        """Bytes of the weights in the published dtype."""
        return self.bytes_in(self.dtype)

    def bytes_in(self, dtype: str) -> int:
        """Bytes of the weights in `dtype`; quantised weights keep their stored size."""
        return self.stored_bytes or self.params * element_size(dtype)

    def kv_bytes(self, batch: int, tokens: int, dtype: str | None = None) -> int:
        """Bytes of the key-value cache of `batch` sequences of `tokens` tokens.

        A layer with a sliding window keeps at most window - 1 tokens between steps, as transformers'
        DynamicCache does. Cross-attention caches of an encoder-decoder depend on the encoder's length and are
        not counted.
        """
        element = element_size(dtype or self.dtype)
        layers = self.layers if self.cached_layers < 0 else self.cached_layers
        full = (layers - self.sliding_layers) * tokens
        slid = self.sliding_layers * min(tokens, max(self.sliding_window - 1, 0))
        both = self.kv_dim + self.kv_heads * (self.value_dim or self.head_dim)
        return batch * (full + slid) * both * element
