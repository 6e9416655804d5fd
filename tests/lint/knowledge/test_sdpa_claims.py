"""What `knowledge/sdpa.py` says of transformers' classes, asked of the installed release."""

from __future__ import annotations

import pytest

transformers = pytest.importorskip("transformers")

from telepathy_lint.knowledge import sdpa  # noqa: E402


@pytest.mark.parametrize("architecture", sdpa.ARCHITECTURES)
def test_the_classes_of_these_architectures_have_sdpa(architecture: str) -> None:
    names = (f"{architecture}ForCausalLM", f"{architecture}ForConditionalGeneration")
    classes = [found for name in names if (found := getattr(transformers, name, None)) is not None]
    if not classes:
        pytest.skip("not in this release")
    assert all(each._supports_sdpa for each in classes)
    assert all(sdpa.always("", [each.__name__]) for each in classes)


@pytest.mark.parametrize(
    ("model_id", "expected"),
    [
        ("meta-llama/Llama-3.1-8B", True),
        ("Qwen/Qwen2.5-Coder-7B-Instruct", True),
        ("google/gemma-2b-it", True),
        ("google/gemma-2-2b-it", False),
        ("EleutherAI/gpt-j-6b", False),
        ("somebody/Llama-3.1-8B", False),
        ("gpt2", False),
    ],
)
def test_ids_are_known_or_not(model_id: str, expected: bool) -> None:
    assert sdpa.always(model_id, ()) is expected
    if expected:
        assert not sdpa.varies(model_id, ())


def test_releases_differ_for_gemma_2() -> None:
    assert sdpa.varies("google/gemma-2-2b-it", ())
    assert sdpa.varies("", ["transformers.Gemma2ForCausalLM"])
