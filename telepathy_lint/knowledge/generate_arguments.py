"""Arguments of `generate` that raise or have no effect in transformers 4.57 and 5, as plain data.

The rule uses this table; `tests/lint/knowledge/test_generation_claims.py` checks each entry with the
installed library.
"""

from __future__ import annotations

#: Unknown names -> the correct name, "" if `generate` has no equivalent. A call with one raises "The
#: following `model_kwargs` are not used by the model".
UNKNOWN: dict[str, str] = {
    "max_tokens": "max_new_tokens",
    "max_new_token": "max_new_tokens",
    "max_token": "max_new_tokens",
    "max_output_tokens": "max_new_tokens",
    "max_gen_len": "max_new_tokens",
    "max_gen_tokens": "max_new_tokens",
    "max_tokens_to_sample": "max_new_tokens",
    "max_generation_length": "max_new_tokens",
    "min_tokens": "min_new_tokens",
    "beam_size": "num_beams",
    "num_beam": "num_beams",
    "n": "num_return_sequences",
    "num_return_sequence": "num_return_sequences",
    "repeat_penalty": "repetition_penalty",
    "stop": "",
    "stop_sequences": "",
    "stop_token_ids": "",
    "best_of": "",
    "frequency_penalty": "",
    "presence_penalty": "",
    "logprobs": "",
    "top_logprobs": "",
    "skip_special_tokens": "",
    "clean_up_tokenization_spaces": "",
    "return_full_text": "",
    "truncation": "",
    "padding": "",
    "echo": "",
}
#: Lengths that include the prompt -> the corresponding lengths without it, which take precedence.
LENGTHS = {"max_length": "max_new_tokens", "min_length": "min_new_tokens"}
#: The release since which `min_new_tokens` replaces `min_length`; before, both hold.
MIN_LENGTH_YIELDS = (4, 40)
#: Arguments that only affect beam search -> their default values.
BEAMS: dict[str, tuple[object, ...]] = {"early_stopping": (False, None), "length_penalty": (1, None)}
#: Outputs that are computed but dropped unless `return_dict_in_generate=True`.
OUTPUTS = ("output_scores", "output_logits", "output_attentions", "output_hidden_states")
#: Other decoding methods, with their own rules for the number of sequences.
OTHER_MODES = (
    "penalty_alpha", "num_beam_groups", "force_words_ids", "constraints", "assistant_model", "prompt_lookup_num_tokens",
    "dola_layers", "custom_generate",
)  # fmt: skip
