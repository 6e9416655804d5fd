"""Fitting a tokenizer and a model to each other: pad id, vocabulary against embeddings, stop ids, chat template.

The two are saved side by side and may still disagree. What disagrees costs an index error, a batch that raises, or a text
that does not stop; here it is set where that is safe, and said everywhere.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Union

from telepathy_runtime.choose import generation, traits
from telepathy_runtime.choose.choice import plain
from telepathy_runtime.publishing import publish

Target = Union[str, "os.PathLike[str]", Callable[["FitReport"], object], None]
_MARK = "telepathy"  # the answer of a conversation that is only written to see what ends it
_SHOWN = 3


@dataclass(frozen=True)
class FitReport:
    """What fitting changed of the model, as name -> [before, after], and what it found.

    `vocabulary` is one more than the highest id that the tokenizer gives out, `embeddings` the rows that the model has
    for them; None where it has no such table.
    """

    model_id: str
    changed: Mapping[str, Any]
    vocabulary: int
    embeddings: int | None
    chat_template: bool
    warnings: tuple[str, ...] = field(default=())

    def to_json(self) -> str:
        """One line of JSON."""
        content = {name: plain(value) for name, value in asdict(self).items()}
        return json.dumps({"event": "tokenizer_fit", **content}, sort_keys=True)

    def describe(self) -> str:
        """One line for a log."""
        changed = (
            ", ".join(f"{name} {before} -> {after}" for name, (before, after) in self.changed.items())
            or "as shipped"
        )
        rows = "no embeddings" if self.embeddings is None else f"{self.embeddings} embeddings"
        template = "a chat template" if self.chat_template else "no chat template"
        return f"fitted {self.model_id}: {changed}; {self.vocabulary} tokens for {rows}; {template}"

    def publish(self, target: Target = None) -> None:
        """Log, and hand over to `target`: a path (a JSON line is appended) or a callable."""
        publish(self, target)


def fit_tokenizer(
    model: Any,
    tokenizer: Any,
    *,
    resize: bool = False,
    generates: bool = True,
    model_id: str = "",
    report: Target = None,
) -> FitReport:
    """Make `model` and `tokenizer` agree, and say what was changed. A processor counts as the tokenizer in it.

    - The pad id of the model's config and generation config becomes the tokenizer's: without one, classifying a batch
      raises. Where an encoder-decoder model ships another it stays, since training shifts its labels with it.
    - A tokenizer with more ids than the model has embeddings is a warning; `resize=True` adds the rows, with new numbers.
    - The tokenizer's end of text, and what its chat template ends a turn with, become stop ids beside the shipped ones.
      `generates=False` leaves the generation config alone.
    """
    inner = getattr(tokenizer, "tokenizer", None)
    inner = inner if hasattr(inner, "pad_token_id") else tokenizer
    changed: dict[str, Any] = {}
    warnings: list[str] = []
    config = getattr(model, "config", None)
    vocabulary = highest_id(inner) + 1
    rows = embedding_rows(model)
    if rows is not None and vocabulary > rows:
        if resize:
            model.resize_token_embeddings(vocabulary)
            changed["embeddings"] = [rows, vocabulary]
            warnings.append(
                f"{vocabulary - rows} rows were added to the embeddings, with numbers that no training has seen: train them"
            )
            rows = vocabulary
        else:
            warnings.append(_too_many(inner, vocabulary, rows))
    changed |= dict(_pad_ids(config, inner, warnings))
    template = getattr(tokenizer, "chat_template", None) or getattr(inner, "chat_template", None)
    if generates and generation.generates(model):
        changed |= dict(_generation(model, inner, template, warnings))
    made = FitReport(
        model_id or str(getattr(config, "_name_or_path", "")),
        changed,
        vocabulary,
        rows,
        bool(template),
        tuple(warnings),
    )
    made.publish(report)
    return made


def highest_id(tokenizer: Any) -> int:
    """The highest id that `tokenizer` gives out. len() counts tokens, and added ones may leave a gap."""
    added = getattr(tokenizer, "added_tokens_decoder", None) or {}
    try:
        length = len(tokenizer)
    except (TypeError, NotImplementedError):
        length = 0
    return max([length - 1, *(int(index) for index in added)])


def embedding_rows(model: Any) -> int | None:
    """How many ids `model` has a row for; None where it has no table of embeddings."""
    try:
        table = model.get_input_embeddings()
    except (AttributeError, NotImplementedError):
        return None
    rows = getattr(table, "num_embeddings", None)
    if isinstance(rows, int):
        return rows
    shape = getattr(getattr(table, "weight", None), "shape", None)
    return int(shape[0]) if shape is not None and len(shape) == 2 else None


def _too_many(tokenizer: Any, vocabulary: int, rows: int) -> str:
    added = getattr(tokenizer, "added_tokens_decoder", None) or {}
    beyond = [str(token) for index, token in sorted(added.items()) if int(index) >= rows][:_SHOWN]
    named = f" ({', '.join(beyond)})" if beyond else ""
    return (
        f"the tokenizer has {vocabulary} ids and the model {rows} embeddings: an id beyond them{named} is an index error; "
        "pass resize=True, which adds rows, or the tokenizer that the model was trained with"
    )


def _pad_ids(config: Any, tokenizer: Any, warnings: list[str]) -> Iterator[tuple[str, Any]]:
    pad = getattr(tokenizer, "pad_token_id", None)
    if config is None or pad is None:
        return
    named = {"": config, **{name: getattr(config, name, None) for name in traits.sub_configs(config)}}
    for name, part in named.items():
        if part is None or (name and not hasattr(part, "vocab_size")):
            continue
        shipped = getattr(part, "pad_token_id", None)
        if shipped == pad:
            continue
        field_name = f"{name}.pad_token_id" if name else "pad_token_id"
        if isinstance(shipped, int) and shipped >= 0 and getattr(config, "is_encoder_decoder", False):
            warnings.append(
                f"the model pads with id {shipped} ({field_name}) and the tokenizer with {pad}: pass pad_token= of the "
                "token that the model has"
            )
            continue
        part.pad_token_id = pad
        yield field_name, [shipped, pad]


def _generation(
    model: Any, tokenizer: Any, template: Any, warnings: list[str]
) -> Iterator[tuple[str, list[Any]]]:
    config = model.generation_config
    # Not by setattr: what the caller did not say is not written into saved files.
    fields = vars(config)
    turn = turn_end(tokenizer, warnings) if template else None
    stops = generation.union(fields.get("eos_token_id"), getattr(tokenizer, "eos_token_id", None), turn)
    if turn is not None and stops != generation.union(fields.get("eos_token_id"), tokenizer.eos_token_id):
        warnings.append(
            f"the chat template ends a turn with {tokenizer.convert_ids_to_tokens(turn)!r}, which the checkpoint does not "
            "stop at: it was added to the stop ids"
        )
    pad = getattr(tokenizer, "pad_token_id", None)
    wanted = {"eos_token_id": stops} | ({"pad_token_id": pad} if pad is not None else {})
    if pad is not None and getattr(model.config, "is_encoder_decoder", False):
        wanted["pad_token_id"] = fields.get("pad_token_id", pad)
    for name, value in wanted.items():
        before = fields.get(name)
        if before != value:
            fields[name] = value
            yield f"generation_config.{name}", [before, value]


def turn_end(tokenizer: Any, warnings: list[str]) -> int | None:
    """The id of the special token that the chat template puts behind an answer; None where there is none.

    Adds a warning where the template cannot be rendered here at all.
    """
    talk = [{"role": "user", "content": "?"}, {"role": "assistant", "content": _MARK}]
    try:
        text = tokenizer.apply_chat_template(talk, tokenize=False)
        ids = tokenizer(text.rpartition(_MARK)[2], add_special_tokens=False)["input_ids"]
    except ImportError as error:
        warnings.append(f"the chat template was not read for its stop token: {error}")
        return None
    except Exception:
        return None  # a template is a program: this one wants other messages
    special = set(getattr(tokenizer, "all_special_ids", ()))
    special |= {int(index) for index in getattr(tokenizer, "added_tokens_decoder", None) or {}}
    return next((int(index) for index in ids if index in special), None)
