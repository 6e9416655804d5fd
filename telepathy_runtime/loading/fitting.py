"""Makes a tokenizer and a model consistent: pad id, vocabulary size, stop ids, chat template.

The two are saved together but may disagree, which causes an index error, a batch that raises, or text that
does not stop. Differences are corrected where that is safe, and always reported.
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
_MARK = "telepathy"  # a made-up answer, rendered to see which token follows it
_SHOWN = 3


@dataclass(frozen=True)
class FitReport:
    """The changes made to the model, as name -> [before, after], and what was found.

    `vocabulary` is the highest id of the tokenizer plus one; `embeddings` is the number of rows in the
    model's embedding table, None if it has none.
    """

    model_id: str
    changed: Mapping[str, Any]
    vocabulary: int
    embeddings: int | None
    chat_template: bool
    warnings: tuple[str, ...] = field(default=())

    def to_json(self) -> str:
        """The report as one line of JSON."""
        content = {name: plain(value) for name, value in asdict(self).items()}
        return json.dumps({"event": "tokenizer_fit", **content}, sort_keys=True)

    def describe(self) -> str:
        """The report as one line for a log."""
        changed = (
            ", ".join(f"{name} {before} -> {after}" for name, (before, after) in self.changed.items())
            or "as shipped"
        )
        rows = "no embeddings" if self.embeddings is None else f"{self.embeddings} embeddings"
        template = "a chat template" if self.chat_template else "no chat template"
        return f"fitted {self.model_id}: {changed}; {self.vocabulary} tokens for {rows}; {template}"

    def publish(self, target: Target = None) -> None:
        """Log the report and pass it to `target`: a path (a JSON line is appended) or a callable."""
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
    """Make `model` and `tokenizer` consistent, and report the changes. For a processor, its tokenizer is used.

    - The pad id of the model's config and generation config becomes the tokenizer's: without one, classifying
      a batch raises. An encoder-decoder model keeps its own pad id, because training shifts labels with it.
    - A tokenizer with more ids than the model has embeddings gives a warning; `resize=True` adds rows with
      new values.
    - The tokenizer's end of text, and the token with which its chat template ends a turn, are added to the
      shipped stop ids. `generates=False` leaves the generation config unchanged.
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
                f"{vocabulary - rows} rows were added to the embeddings, with untrained values: train them"
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
    """The highest id that `tokenizer` produces. len() counts tokens, and added ones may leave gaps."""
    added = getattr(tokenizer, "added_tokens_decoder", None) or {}
    try:
        length = len(tokenizer)
    except (TypeError, NotImplementedError):
        length = 0
    return max([length - 1, *(int(index) for index in added)])


def embedding_rows(model: Any) -> int | None:
    """The number of rows in the embedding table of `model`; None if it has none."""
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
    # Not setattr, which would mark them as the caller's and write them into saved files.
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
    """The id of the special token that the chat template puts after an answer; None if there is none.

    Adds a warning if the template cannot be rendered.
    """
    talk = [{"role": "user", "content": "?"}, {"role": "assistant", "content": _MARK}]
    try:
        text = tokenizer.apply_chat_template(talk, tokenize=False)
        ids = tokenizer(text.rpartition(_MARK)[2], add_special_tokens=False)["input_ids"]
    except ImportError as error:
        warnings.append(f"the chat template was not read for its stop token: {error}")
        return None
    except Exception:
        return None  # the template raised an error, because it expects other messages
    special = set(getattr(tokenizer, "all_special_ids", ()))
    special |= {int(index) for index in getattr(tokenizer, "added_tokens_decoder", None) or {}}
    return next((int(index) for index in ids if index in special), None)
