"""`occurs` answers as `re.search` does and `matches` as `re.fullmatch`, for every pattern that the linter asks with them."""

from __future__ import annotations

import ast
import importlib
import re
from functools import cache
from pathlib import Path
from types import ModuleType

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import telepathy_lint
from telepathy_lint.facts import evidence
from telepathy_lint.knowledge import sdpa, shipped_decoding
from telepathy_lint.source.occurs import lower_case, matches, occurs, places

ROOT = Path(telepathy_lint.__file__).parent


#: Patterns that come from tables, by how calls name them.
_WRITTEN = {
    "family": [family for family, _ in shipped_decoding._SHIPPED],
    "_NAMES[publisher]": [*sdpa._NAMES.values()],
    "SIGNS[kind]": [*evidence.SIGNS.values()],
}


def _asked() -> list[str]:
    """The patterns of all calls of `occurs` in the package."""
    found = []
    for path in sorted(ROOT.rglob("*.py")):
        text = path.read_text(encoding="utf-8")
        if "from telepathy_lint.source.occurs import" not in text:
            continue
        module = importlib.import_module(
            ".".join(("telepathy_lint", *path.relative_to(ROOT).with_suffix("").parts))
        )
        for node in ast.walk(ast.parse(text)):
            if (
                isinstance(node, ast.Call)
                and isinstance(node.func, ast.Name)
                and node.func.id in ("occurs", "matches")
            ):
                found += _WRITTEN.get(ast.unparse(node.args[0])) or [_written(node.args[0], module)]
    return found


def _written(pattern: ast.expr, module: ModuleType) -> str:
    """The pattern of a call; a name that it takes from the source is `name`."""
    if isinstance(pattern, ast.JoinedStr):
        return "".join(
            str(part.value) if isinstance(part, ast.Constant) else "name" for part in pattern.values
        )
    return str(pattern.value if isinstance(pattern, ast.Constant) else getattr(module, ast.unparse(pattern)))


ASKED = _asked()
#: Shapes that a pattern may have and that none asked today has.
OTHERS = [
    "a|b+c|de?f|g{2}", r"[|\]]x|y[^]|]|z", r"(?:a|b)|c", r"\|a|b\\|\(c", r"(?<!a)b|(?=c)cd|\bef\b", "", "a|", "(?m)^a|b$",
    r"\d|x", r"(?i)K\(|É",
]  # fmt: skip


def test_patterns_are_found() -> None:
    assert len(ASKED) > 10


PIECES = st.sampled_from([*"abcdefgxyz|]()\\ =.\n\"'", "Model", "_map", "dict"])
AROUND = st.lists(PIECES, max_size=4).map("".join)


@cache
def matching(pattern: str) -> st.SearchStrategy[str]:
    """Made once for all examples of a pattern: that is a quarter of the time."""
    found = st.from_regex(re.compile(pattern, re.ASCII), alphabet=st.characters(max_codepoint=127))
    return found | AROUND


@pytest.mark.parametrize("pattern", [*ASKED, *OTHERS])
@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_occurs_answers_as_search_does_and_fits_as_fullmatch(pattern: str, data: st.DataObject) -> None:
    text = data.draw(AROUND) + data.draw(matching(pattern)) + data.draw(AROUND)
    cut = data.draw(st.integers(0, len(text)))
    for each in (text, text[:cut] + text[cut + 1 :], text.upper()):
        assert occurs(pattern, each) == (re.search(pattern, each) is not None), each
        assert matches(pattern, each) == (re.fullmatch(pattern, each) is not None), each


def test_alternatives_that_begin_otherwise_are_not_compiled(monkeypatch: pytest.MonkeyPatch) -> None:
    compiled: list[str] = []
    fullmatch = re.fullmatch
    monkeypatch.setattr(
        re, "fullmatch", lambda pattern, text: compiled.append(pattern) or fullmatch(pattern, text)
    )
    assert matches(r"gpt2-\w+|facebook/opt-[\d.]+b", "facebook/opt-1.3b")
    assert compiled == [r"facebook/opt-[\d.]+b"]


def test_words_are_tried_everywhere_and_not_only_first() -> None:
    assert occurs(r"(?<!_)dict\(", "a_dict(b) dict(c)")
    assert not occurs(r"(?<!_)dict\(", "a_dict(b) b_dict(c)")


@pytest.mark.parametrize(
    "pattern", [r"\.cuda\(|\.to\(|\bdevice\s*=", r"\bimport\b", r"\.weight\b|\.bias\b", r"[xy]+z|end"]
)
def test_places_are_those_of_finditer(pattern: str) -> None:
    text = "import a\nx.cuda(), y.to(device), reimport\ndevice  = 1; my_device=2; a.weight.bias, weights; yz end.weights"
    assert sorted(places(pattern, text)) == [match.start() for match in re.finditer(pattern, text)]


def test_the_lower_case_of_one_text_is_not_that_of_the_next() -> None:
    assert [occurs("(?i)ab|cd", text) for text in ("xAB", "xAC", "CD", "xAC")] == [True, False, True, False]


@given(st.text() | st.text(alphabet="aZkſK\u0130éÉ\ud800→"))
def test_only_ascii_letters_are_put_in_lower_case_so_that_offsets_stay(text: str) -> None:
    assert lower_case(text) == "".join(each.lower() if each.isascii() else each for each in text)
