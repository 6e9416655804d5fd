"""Arguments of `generate` that raise or that nothing looks at, in transformers 4.57 and 5: plain data, in one place.

The rule reports from it and `tests/lint/knowledge/test_generation_claims.py` holds every entry against the installed library.
"""

from __future__ import annotations

#: Names that `generate` does not have -> the name that is meant, "" where no argument of `generate` does the same.
#: A call with one raises: "The following `model_kwargs` are not used by the model".
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
#: Lengths that are counted with the prompt -> those counted without, which win.
LENGTHS = {"max_length": "max_new_tokens", "min_length": "min_new_tokens"}
#: What only beam search looks at -> the values that are the defaults.
BEAMS: dict[str, tuple[object, ...]] = {"early_stopping": (False, None), "length_penalty": (1, None)}
#: What is computed and then dropped, unless `return_dict_in_generate=True` asks for more than the tokens.
OUTPUTS = ("output_scores", "output_logits", "output_attentions", "output_hidden_states")
#: Other ways to decode, which have their own rules about sequences.
OTHER_MODES = (
    "penalty_alpha", "num_beam_groups", "force_words_ids", "constraints", "assistant_model", "prompt_lookup_num_tokens",
    "dola_layers", "custom_generate",
)  # fmt: skip
