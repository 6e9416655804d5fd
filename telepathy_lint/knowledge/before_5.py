"""Libraries of which some releases, or all, cannot be installed beside transformers 5, by the metadata of their distributions (November 2026)."""

from __future__ import annotations

from collections.abc import Mapping

#: Stands for a release that does not exist yet.
NEVER = (9999, 0)
#: Distribution -> the first release, as (major, minor), whose metadata leaves out transformers 5, huggingface-hub 1 or torch 2.4, and the first later one that
#: allows them.
LIMITED: Mapping[str, tuple[tuple[int, int], tuple[int, int]]] = {
    "datasets": ((0, 0), (2, 15)),
    "sentence-transformers": ((0, 0), (5, 2)),
    "sae-lens": ((0, 0), (6, 37)),
    "llama-index-llms-huggingface": ((0, 0), (0, 8)),
    "openrlhf": ((0, 3), (0, 9)),
    "optimum": ((1, 18), (1, 23)),
    "transformer-lens": ((2, 16), (3, 0)),
    "vllm": ((0, 11), (0, 19)),
    "gradio": ((5, 39), (5, 47)),
    "langchain-huggingface": ((1, 0), (1, 2)),
    "unbabel-comet": ((2, 0), NEVER),
    "flair": ((0, 13), NEVER),
    "adapters": ((0, 1), NEVER),
    "pyreft": ((0, 0), NEVER),
    "petals": ((1, 0), NEVER),
    "whisperx": ((3, 3), NEVER),
    "steering-vectors": ((0, 0), NEVER),
    "spacy-transformers": ((0, 0), NEVER),
    "transformer-smaller-training-vocab": ((0, 0), NEVER),
    "text-generation": ((0, 0), NEVER),
    "circuit-tracer": ((0, 5), NEVER),
    "allennlp": ((0, 0), NEVER),
    "llamagym": ((0, 0), NEVER),
    "rewardbench": ((0, 1), NEVER),
    "span-marker": ((1, 8), NEVER),
    "opennmt-py": ((3, 5), NEVER),
    "demucs": ((4, 1), NEVER),
    "facenet-pytorch": ((2, 6), NEVER),
    "green-score": ((0, 0), NEVER),
    "summac": ((0, 0), NEVER),
}
#: Modules of other names than their distributions.
_MODULES = {"unbabel-comet": "comet", "opennmt-py": "onmt"}
#: The modules of those of which even the newest release leaves it out, and their distributions.
MODULES_BEFORE_5 = {
    _MODULES.get(name, name.replace("-", "_")): name for name, (_, until) in LIMITED.items() if until == NEVER
}
#: Python -> the newest release of transformers that can be installed on it (`Requires-Python`); newer ones take all releases.
NEWEST_ON_PYTHON: Mapping[tuple[int, int], tuple[int, int]] = {
    (3, 6): (4, 18),
    (3, 7): (4, 30),
    (3, 8): (4, 46),
    (3, 9): (4, 57),
    (3, 10): (5, 20),
}
#: torch -> the newest release of transformers that runs with older ones; later releases then switch off all of their models.
NEWEST_WITH_TORCH: Mapping[tuple[int, int], tuple[int, int]] = {(2, 1): (4, 51)}
