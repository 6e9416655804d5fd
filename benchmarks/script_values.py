"""What whole scripts get in place of models, datasets and unbound names; see benchmarks/run_whole_script.py.

Models are those of benchmarks/stand_ins.py, in float32: transformers 4 and 5 differ in the dtype that they choose for others,
which is no matter of a rename. Trainings end after two steps.
"""

from __future__ import annotations

import io
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import stand_ins

#: Losses and tokens since the last statement began.
LOGGED: list[Any] = []
_STATE: dict[str, Any] = {}
_NOT_COLUMNS = {
    "input_ids", "attention_mask", "labels", "token_type_ids", "loss", "logits", "generated_text", "train", "test",
    "validation", "eval", "dev", "accuracy", "f1", "precision", "recall", "role", "content", "pixel_values", "input_features",
    "epoch", "score", "rouge1", "rouge2", "rougeL", "bleu", "path", "array", "sampling_rate", "start", "end", "offset_mapping",
    "overflow_to_sample_mapping", "value", "from", "num_train_epochs", "length",
}  # fmt: skip


class Nothing:
    """Stands for everything of a library that is not installed."""

    def __init__(self, *_: Any, **__: Any) -> None:
        pass

    def __getattr__(self, name: str) -> Any:
        if name.startswith(("__", "_hf")):
            raise AttributeError(name)
        return Nothing()

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        # As a decorator it gives back what it decorates.
        if len(args) == 1 and not kwargs and callable(args[0]) and not isinstance(args[0], Nothing):
            return args[0]
        return Nothing()

    def __getitem__(self, _: Any) -> Any:
        return Nothing()

    def __setitem__(self, *_: Any) -> None:
        pass

    def __iter__(self) -> Iterator[Any]:
        return iter(())

    def __len__(self) -> int:
        return 0

    def __contains__(self, _: Any) -> bool:
        return False

    def __enter__(self) -> Any:
        return self

    def __exit__(self, *_: Any) -> None:
        pass

    def __repr__(self) -> str:
        return "nothing"

    def __instancecheck__(self, _: Any) -> bool:
        return False

    def __format__(self, _: str) -> str:
        return "nothing"

    def __fspath__(self) -> str:
        return "nothing"

    def _number(self, *_: Any) -> Any:
        return Nothing()

    __add__ = __radd__ = __sub__ = __rsub__ = __mul__ = __rmul__ = __truediv__ = __rtruediv__ = _number
    __neg__ = __floordiv__ = __mod__ = _number

    def _less(self, _: Any) -> bool:
        return False

    __lt__ = __le__ = __gt__ = __ge__ = _less

    def __float__(self) -> float:
        return 0.5

    def __int__(self) -> int:
        return 1


def begin(text: str) -> None:
    """Say which script comes next."""
    _STATE.clear()
    columns = dict.fromkeys(re.findall(r"\w\[\s*[\"']([A-Za-z]\w{1,30})[\"']\s*\]", text))
    columns |= dict.fromkeys(re.findall(r"(?:text_field|_column(?:_name)?)\s*=\s*[\"'](\w+)[\"']", text))
    columns |= dict.fromkeys(re.findall(r"rename_columns?\(\s*\{?\s*[\"'](\w+)[\"']", text))
    _STATE["columns"] = [name for name in columns if name not in _NOT_COLUMNS and not name.isupper()][:20]
    kinds = re.findall(
        r"\bAutoModelFor\w+|\b\w+For(?:ConditionalGeneration|SequenceClassification|CTC)\b", text
    )
    _STATE["kind"] = kinds[0] if kinds else "AutoModelForCausalLM"
    _STATE["dpo"] = "DPO" in text or "ORPO" in text


#: Annotation of a parameter -> a value.
_ANNOTATED = {
    "str": "Hello world",
    "int": 8,
    "float": 0.5,
    "bool": False,
    "List[str]": ["Hello world", "Hi"],
    "list[str]": ["Hello world", "Hi"],
}


def parameter(name: str, annotation: str) -> Any:
    """A value for a parameter: by its name, else by its annotation."""
    found = value(name)
    return _ANNOTATED.get(annotation, found) if isinstance(found, Nothing) else found


def value(name: str) -> Any:
    """A value for a name that nothing binds; the same in every run of a script."""
    import transformers

    lower = name.lower()
    if re.fullmatch(r"(?:\w*_)?(?:tokenizer|tok|processor|feature_extractor|image_processor)", lower):
        return transformers.AutoTokenizer.from_pretrained("guessed/bert-tokenizer")
    if re.fullmatch(r"(?:\w*_)?(?:model|network|llm)", lower):
        cls = getattr(transformers, _STATE["kind"], transformers.AutoModelForCausalLM)
        return cls.from_pretrained("guessed/model")
    if lower == "self":
        return Self()
    if re.fullmatch(r"\w*trainer", lower):
        return Nothing()
    if re.fullmatch(r"(?:data_)?(?:collator|collate_fn)|callbacks?|compute_metrics", name):
        return None
    if re.fullmatch(
        r"(?:\w+_)?(?:train|test|val|valid|validation|eval|dev)(?:_?(?:data|dataset|ds|set|split))?", name
    ):
        return tokenized_splits()["train"]
    if re.fullmatch(r"\w*(?:datasets?|data|ds|dd)", name):
        return tokenized_splits()
    if re.fullmatch(r"(?:examples|batch|samples)", lower):
        return {column: [_cell(column)] * 2 for column in _columns()}
    if re.fullmatch(r"(?:ex|example|sample|item|row|entry|data_point|datapoint)", lower):
        return {column: _cell(column) for column in _columns()}
    if re.fullmatch(r"\w*(?:messages|conversations?|chat|dialog\w*|history)", lower):
        return _CHAT
    found = stand_ins.guess(name)
    unset = re.search(r"cache|token$|auth|revision|peft|lora|adapter|quant|resume|bnb", lower)
    return Nothing() if found is None and not unset else found


class Self(stand_ins.Lenient):
    """Stands for the object of a method."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        found = value(name)
        setattr(self, name, found)
        return found


_SPLITS = ("validation", "test", "val", "dev", "eval", "valid")
_CHAT = [{"role": "user", "content": "Hello"}, {"role": "assistant", "content": "Hi there"}]


def _columns() -> list[str]:
    found = list(_STATE["columns"])
    if _STATE["dpo"]:
        found = ["prompt", "chosen", "rejected"]
    if "SequenceClassification" in _STATE["kind"] and "label" not in found:
        found.append("label")
    return found or ["text", "label"]


def _cell(column: str, row: int = 0) -> Any:
    lower = column.lower()
    if lower in ("label", "target", "rating", "stars", "id", "idx") or lower.endswith(("_id", "_label")):
        return row % 2
    if re.search(r"messages|conversation|chat$", lower):
        return _CHAT
    if lower == "audio":
        import numpy as np

        return {"array": np.zeros(1600, dtype="float32"), "sampling_rate": 16000, "path": "a.wav"}
    if re.search(r"^(?:image|img|pixel)", lower):
        from PIL import Image

        return Image.new("RGB", (32, 32))
    if lower == "answers":
        return {"text": ["Hello"], "answer_start": [0]}
    if lower == "tokens":
        return ["Hello", "world"]
    if lower.endswith("_tags"):
        return [0, 1]
    if lower == "translation":
        return dict.fromkeys(("en", "fr", "de", "ro", "hi", "zh"), "Hello")
    return f"Hello {column} {row}"


def raw_splits() -> Any:
    import datasets

    def split(count: int) -> Any:
        return datasets.Dataset.from_list(
            [{column: _cell(column, row) for column in _columns()} for row in range(count)]
        )

    return datasets.DatasetDict({"train": split(8), **{name: split(4) for name in _SPLITS}})


def tokenized_splits() -> Any:
    """Rows of ids and labels, as scripts make them before they train."""
    import datasets

    single = "Sequence" in _STATE["kind"]
    rows = [
        {
            "input_ids": [5 + row, 6, 7, 8],
            "attention_mask": [1, 1, 1, 1],
            "labels": row % 2 if single else [5, 6, 7, 8],
        }
        for row in range(8)
    ]
    made = datasets.Dataset.from_list(rows)
    return datasets.DatasetDict({"train": made, **dict.fromkeys(_SPLITS, made)})


def load_dataset(*_: Any, split: Any = None, streaming: bool = False, **__: Any) -> Any:
    found = raw_splits()
    if split is None:
        return found
    if isinstance(split, (list, tuple)):
        return [found["train"] for _ in split]
    name = re.match(r"\w+", str(split))
    return found[name.group() if name is not None and name.group() in found else "train"]


def opened(file: Any, mode: str = "r", *args: Any, **kwargs: Any) -> Any:
    """`open`, with rows made up for a table that is not there."""
    if isinstance(file, (str, Path)) and "r" in mode and not Path(file).exists():
        text = _written(Path(file).suffix)
        if text is not None and not Path(file).is_absolute():
            Path(file).parent.mkdir(parents=True, exist_ok=True)
            Path(file).write_text(text)
        elif text is not None:
            return io.BytesIO(text.encode()) if "b" in mode else io.StringIO(text)
    return open(file, mode, *args, **kwargs)


def _written(suffix: str) -> str | None:
    rows = [
        {
            column: cell if isinstance(cell := _cell(column, row), (str, int, list, dict)) else 0
            for column in _columns()
        }
        for row in range(8)
    ]
    if suffix in (".json", ".jsonl"):
        lines = [json.dumps(row, default=str) for row in rows]
        return "\n".join(lines) + "\n" if suffix == ".jsonl" else f"[{', '.join(lines)}]"
    if suffix == ".csv":
        return frame().to_csv(index=False)  # type: ignore[no-any-return]
    return "Hello world\n" * 8 if suffix == ".txt" else None


def frame(*_: Any, **__: Any) -> Any:
    """A table of pandas."""
    import pandas

    return pandas.DataFrame([{column: _cell(column, row) for column in _columns()} for row in range(8)])


def described(thing: Any, depth: int = 0) -> Any:
    """What can be compared of a value, to three digits."""
    import numpy as np
    import torch

    if isinstance(thing, Nothing):
        return "nothing"
    if isinstance(thing, torch.Tensor):
        thing = thing.detach().to("cpu")
        if thing.is_floating_point():
            return ["tensor", str(thing.dtype), list(thing.shape), round(float(thing.float().sum()), 2)]
        return ["tensor", str(thing.dtype), list(thing.shape), int(thing.long().sum())]
    if isinstance(thing, np.ndarray):
        return ["array", str(thing.dtype), list(thing.shape)]
    if isinstance(thing, float):
        return round(thing, 3)
    if isinstance(thing, (str, int, bool, type(None))):
        return str(thing)[:200]
    if isinstance(thing, (list, tuple)) and depth < 3:
        return [described(each, depth + 1) for each in list(thing)[:8]]
    if isinstance(thing, dict) and depth < 3:
        return {str(key): described(each, depth + 1) for key, each in sorted(thing.items(), key=str)[:8]}
    if isinstance(thing, type):
        return "class"
    if hasattr(thing, "convert_tokens_to_ids"):
        return "tokenizer"
    if hasattr(thing, "input_ids") and hasattr(thing, "keys") and depth < 3:
        return {"encoding": {str(key): described(thing[key], depth + 1) for key in sorted(thing.keys())}}
    return type(thing).__name__
