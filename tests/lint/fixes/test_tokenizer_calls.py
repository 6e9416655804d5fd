"""What a safe fix of an old use of a tokenizer must keep: what is cut, what is padded, and what slow tokenizers took."""

from __future__ import annotations

from pathlib import Path

import pytest

from telepathy_lint import engine
from telepathy_lint.commands import cli
from telepathy_lint.rules import select
from telepathy_lint.settings import Settings
from telepathy_lint.source.text import Source

BEGIN = "from transformers import BertTokenizer\ntokenizer = BertTokenizer.from_pretrained('a/b')\n"


def fixed(call: str, version: str = ">=4.46", unsafe: bool = False) -> str:
    source = Source("script.py", (BEGIN + call + "\n").encode())
    text = engine.fix(source, select(["TLP403"]), Settings(version, strict=True), unsafe=unsafe).text
    assert text.startswith(BEGIN)
    return text.removeprefix(BEGIN).removesuffix("\n")


@pytest.mark.parametrize(
    ("before", "after"),
    [
        # It cut texts to `max_length`, which padding="max_length" alone does not.
        (
            "tokenizer(x, pad_to_max_length=True, max_length=5)",
            'tokenizer(x, truncation=True, padding="max_length", max_length=5)',
        ),
        (
            "tokenizer(x, pad_to_max_length=True, max_length=5, truncation=False)",
            'tokenizer(x, padding="max_length", max_length=5, truncation=False)',
        ),
        # Without a length it padded to the longest text, not to the model's length.
        ("tokenizer(x, pad_to_max_length=True)", "tokenizer(x, padding=True)"),
        (
            "tokenizer(x, pad_to_max_length=True, max_length=None)",
            "tokenizer(x, padding=True, max_length=None)",
        ),
        # Slow tokenizers took arrays and columns.
        ("tokenizer.batch_encode_plus(frame.text.values)", "tokenizer(list(frame.text.values))"),
        ("tokenizer.batch_encode_plus(batch_text_or_text_pairs=x)", "tokenizer(text=list(x))"),
        ("tokenizer.batch_encode_plus(['a', 'b'])", "tokenizer(['a', 'b'])"),
        ("tokenizer.batch_encode_plus([a for a in x])", "tokenizer([a for a in x])"),
        ("tokenizer.batch_encode_plus(x.tolist()[:5])", "tokenizer(x.tolist()[:5])"),
        ("tokenizer.batch_encode_plus(['a'] + list(x))", "tokenizer(['a'] + list(x))"),
        ("tokenizer.batch_encode_plus(['a'] + x)", "tokenizer(list(['a'] + x))"),
    ],
)
def test_a_safe_fix_keeps_what_the_tokenizer_gave(before: str, after: str) -> None:
    assert fixed(before) == after
    assert fixed(after) == after


@pytest.mark.parametrize(
    "call",
    [
        "tokenizer(x, pad_to_max_length=True, max_length=5, **more)",  # may hold `truncation` or `padding`
        "tokenizer(x, pad_to_max_length=True, max_length=5 if x else None)",
        "tokenizer(x, pad_to_max_length=True, max_length=5, truncation_strategy='only_first')",
        "tokenizer.batch_encode_plus(a for a in x)",
        "tokenizer.batch_encode_plus(x); list = 3",
    ],
)
def test_what_depends_on_the_code_is_left(call: str) -> None:
    assert fixed(call, unsafe=True) == call


@pytest.mark.parametrize(
    ("call", "advice"),
    [
        ("tokenizer(x, pad_to_max_length=True)", "pass padding=True"),
        ("tokenizer(x, pad_to_max_length=True, max_length=None)", "pass padding=True"),
        (
            "tokenizer(x, pad_to_max_length=True, max_length=5)",
            'pass padding="max_length" and truncation=True',
        ),
    ],
)
def test_the_message_says_what_the_fix_does(call: str, advice: str) -> None:
    source = Source("script.py", (BEGIN + call + "\n").encode())
    (found,) = engine.lint(source, select(["TLP403"]), Settings(">=4.46", strict=True))
    assert found.message.endswith(f": {advice}")


@pytest.mark.parametrize(
    "more",
    [
        "tokenizer.encode_plus = own\n",
        "with mock.patch.object(tokenizer, 'encode_plus'): ...\n",
        "class Own:\n    def encode_plus(self, text): ...\n",
    ],
)
def test_a_method_that_the_file_makes_is_called_by_its_name(more: str) -> None:
    code = more + "tokenizer.encode_plus('a')"
    assert fixed(code) == code
    assert fixed(code, unsafe=True).endswith("tokenizer('a')")


@pytest.mark.parametrize(
    ("test", "safe"),
    [
        ("stub.encode_plus.return_value = {}\n", False),
        ("class Stub:\n    def encode_plus(self, text): ...\n", False),
        ("stub.return_value = {}\n", True),
    ],
)
def test_a_method_that_a_test_stands_in_for_is_called_by_its_name(
    test: str, safe: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / ".git").mkdir()
    (tmp_path / "main.py").write_text(BEGIN + "tokenizer.encode_plus('a')\n")
    (tmp_path / "test_main.py").write_text(test)
    monkeypatch.chdir(tmp_path)
    cli.run(["check", "-q", "--no-cache", "--strict", "--select", "TLP403", "--fix", "main.py"])
    assert ("encode_plus" not in (tmp_path / "main.py").read_text()) is safe


def test_padding_is_no_safe_fix_where_the_old_argument_did_nothing() -> None:
    call = "tokenizer(x, pad_to_max_length=True, max_length=5)"
    assert fixed(call, ">=5.0") == call
    assert fixed(call, ">=5.0", unsafe=True) != call


@pytest.mark.parametrize(("version", "safe"), [(">=4.38", True), (">=4.46", True), (">=4.36", False)])
def test_a_template_is_told_what_every_release_takes(version: str, safe: bool) -> None:
    code = "ids = tokenizer.apply_chat_template(chat, return_tensors='pt')\nprint(ids.shape)"
    after = code.replace("(chat, ", "(chat, return_dict=False, ")
    assert fixed(code, version) == (after if safe else code)
    assert fixed(code, version, unsafe=True) == after
