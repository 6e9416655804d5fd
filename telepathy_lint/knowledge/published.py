"""Finds the ids of models that a text names, by their publishers."""

from __future__ import annotations

import re

#: The publishers of most models, and the models that had none.
_ID = (
    r"((?:meta-llama|Qwen|mistralai|google|google-bert|google-t5|openai|openai-community|distilbert|FacebookAI"
    r"|EleutherAI|facebook|microsoft|deepseek-ai|tiiuae|bigscience|bigcode|BAAI|intfloat|thenlper|sentence-transformers|cross-encoder"
    r"|HuggingFaceTB|HuggingFaceH4|allenai|state-spaces|Snowflake|nomic-ai|jinaai|mixedbread-ai|TinyLlama|unsloth|NousResearch|lmsys"
    r"|codellama|Salesforce|stabilityai|01-ai|THUDM|zai-org|ibm-granite|CohereForAI|CohereLabs|nvidia|internlm|mosaicml|VietAI"
    r"|doc2query|cardiffnlp)/[\w.-]+"
    r"|(?:distil)?gpt2(?:-\w+)?|(?:distil)?bert-[\w-]+|(?:distil|xlm-)?roberta-[\w-]+|(?:flan-)?t5-[\w-]+)"
)
_WRITTEN = rf"(?<!load_dataset\()[\"']{_ID}[\"']"
#: Without quotes, as in YAML and on command lines.
_BARE = rf"(?:^|[\s:=\"']){_ID}(?:$|[\s,\"'])"


def hub_id(model_id: str) -> str:
    """The id that a folder is named after: `org/name` in a path, `models--org--name` in the hub's cache."""
    cached = re.search(r"models--([\w.-]+?)--([\w.-]+)", model_id)
    if cached is not None:
        return f"{cached[1]}/{cached[2]}"
    return "/".join(model_id.rstrip("/").split("/")[-2:])


def ids_in(text: str) -> tuple[str, ...]:
    """The ids in the string literals of a text, without those of data sets that are loaded there."""
    return tuple(dict.fromkeys(re.findall(_WRITTEN, text))) if "'" in text or '"' in text else ()


def bare_ids_in(text: str) -> tuple[str, ...]:
    """The ids in settings or a command, where they may stand without quotes."""
    return tuple(dict.fromkeys(re.findall(_BARE, text)))
