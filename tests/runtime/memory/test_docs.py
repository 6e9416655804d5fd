"""docs/memory.md: its generated tables are current, its commands run, its names exist."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from benchmarks import memory_public
from benchmarks import memory_review_text as review_text
from telepathy_runtime.commands.memory import main
from tests.runtime.memory.fms_acceleration import rows

DOCUMENT = Path(__file__).resolve().parents[3] / "docs" / "memory.md"
TEXT = DOCUMENT.read_text(encoding="utf-8")
COMMANDS = re.findall(r"^\$ telepathy-runtime (.+)$", TEXT, re.MULTILINE)


def test_the_generated_tables_are_current() -> None:
    assert review_text.document(TEXT) == TEXT, "run: python -m benchmarks.memory_review_text docs/memory.md"


def test_the_table_of_public_measurements_is_current() -> None:
    shown = TEXT.partition("<!-- public: runs -->\n")[2].partition("\n<!-- end public -->")[0]
    assert shown == memory_public.table(), "run: python -m benchmarks.memory_public"


def test_a_document_without_its_marks_is_an_error() -> None:
    with pytest.raises(ValueError, match="review: batches"):
        review_text.document("nothing")


@pytest.mark.parametrize("command", COMMANDS)
def test_documented_commands_run(command: str, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    words = shlex.split(command)
    if "--plot" in words:
        pytest.importorskip("matplotlib")
        words[words.index("--plot") + 1] = str(tmp_path / Path(words[words.index("--plot") + 1]).name)
    if "--traced" in words:
        pytest.importorskip("transformers")
    if "--trace" in words or words[0] == "compare":
        pytest.skip("needs the reader's own file")
    code = main(words)
    out, err = capsys.readouterr()
    assert code in (0, 1), err
    assert out


def test_there_are_commands() -> None:
    assert len(COMMANDS) > 6


def test_documented_python_runs() -> None:
    (code,) = re.findall(r"```python\n# runs as it is\n(.*?)```", TEXT, re.DOTALL)
    names: dict[str, object] = {}
    exec(code, names)
    assert names["fit"].batch >= 1  # type: ignore[attr-defined]


def test_the_reason_says_how_many_runs_had_autocast() -> None:
    adapted = [row for row in rows() if row.work.quantized == "none" and row.work.regime == "lora"]
    cast = [row for row in adapted if row.work.autocast and not row.spec.stored_bytes]
    other = [row for row in adapted if not row.work.autocast]
    assert len(cast) > 30 and len(other) > 3
    assert memory_public.why("LoRA", "16 bits", cast[:3]) == "under autocast"
    assert memory_public.why("LoRA", "16 bits", [*cast[:3], other[0]]) == "3 under autocast"
    assert memory_public.why("LoRA", "16 bits", other) == ""
