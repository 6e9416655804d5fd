"""Lints a batch: columns of paths and sources in, columns of findings and facts out.

The batch may be a dict of lists or arrays (Hugging Face `datasets`), a `pyarrow.Table` (Ray Data, Spark's `mapInArrow`)
or a `pandas.DataFrame` (Dask, Spark's `mapInPandas`); the result has the same type. pyarrow and pandas are not imported
here unless the batch is one of theirs.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from telepathy_lint.batch.records import SETTINGS, Examined, Plan, examine
from telepathy_lint.rules import select as select_rules
from telepathy_lint.settings import Settings

#: The columns that are added for each source.
COLUMNS = ("loads", "generates", "findings", "error")


def lint_batch(
    batch: Any,
    *,
    path: str = "path",
    content: str = "content",
    keep: Sequence[str] = (),
    settings: Settings | None = None,
    select: Sequence[str] | None = None,
    ignore: Sequence[str] = (),
    extend_select: Sequence[str] = (),
    edits: bool = False,
) -> Any:
    """Lint every row of a batch; a row with a problem costs only that row.

    Args:
        batch: columns by name: a dict of sequences, a `pyarrow.Table` or `RecordBatch`, or a `pandas.DataFrame`.
        path, content: names of the columns with each source's path and its text or bytes. A path that ends in
            `.ipynb` is a notebook.
        keep: other columns to copy into the result, such as the repository or the year.
        settings, select, ignore, extend_select: as in `telepathy_lint.lint`.
        edits: whether findings include the edits of their fixes.

    Returns:
        Columns of the same type as `batch`, one row per source: `path`, the columns in `keep`, and
        `loads`: a list of the calls that load a model, tokenizer or pipeline: place, class, model id, and for each
        setting its value and whether it is set (None if this cannot be decided);
        `generates`: a list of the `generate` calls and the decoding arguments that they state;
        `findings`: a list of the rules' findings, with message and fix;
        `error`: why the source could not be linted, or None.
        `schema` gives the types.

    Raises:
        KeyError: the batch does not have one of the columns.
        ValueError: a selector matches no rule.
    """
    plan = Plan(select_rules(select, ignore, extend_select), settings or Settings(), edits)
    names = (path, content, *keep)
    columns = _columns(batch, names)
    rows = [examine(one, text, plan) for one, text in zip(columns[path], columns[content], strict=True)]
    result = {name: columns[name] for name in (path, *keep)} | in_columns(rows)
    return _like(batch, result, keep=(path, *keep))


def in_columns(rows: Iterable[Examined]) -> dict[str, list[Any]]:
    """The results as columns."""
    rows = list(rows)
    return {name: [getattr(row, name) for row in rows] for name in COLUMNS}


def schema() -> Any:
    """The types of the columns `loads`, `generates`, `findings` and `error`, as a `pyarrow.Schema`.

    Raises:
        ImportError: pyarrow is not installed.
    """
    import pyarrow as pa

    text, number = pa.string(), pa.int32()
    place = [("cell", number), ("line", number), ("column", number)]
    span = [*place, ("end_line", number), ("end_column", number)]
    setting = pa.struct([("set", pa.bool_()), ("value", text)])
    load = pa.struct(
        [
            *place,
            ("kind", text),
            ("callee", text),
            ("library", text),
            ("class", text),
            ("model_id", text),
            ("indirect", pa.bool_()),
            *((name, setting) for name in SETTINGS),
        ]
    )
    generate = pa.struct([*place, ("states", pa.list_(text)), ("opaque", pa.bool_())])
    edit = pa.struct([*span, ("text", text)])
    finding = pa.struct(
        [
            *span,
            ("code", text),
            ("name", text),
            ("message", text),
            ("fix", text),
            ("fix_message", text),
            ("edits", pa.list_(edit)),
        ]
    )
    return pa.schema(
        [
            ("loads", pa.list_(load)),
            ("generates", pa.list_(generate)),
            ("findings", pa.list_(finding)),
            ("error", text),
        ]
    )


def _columns(batch: Any, names: Sequence[str]) -> dict[str, list[Any]]:
    present = _names(batch)
    for name in names:
        if name not in present:
            raise KeyError(
                f"the batch has no column {name!r}; it has {', '.join(map(repr, present)) or 'none'}"
            )
    return {name: _values(batch[name]) for name in names}


def _names(batch: Any) -> list[str]:
    if hasattr(batch, "column_names"):  # pyarrow.Table
        return list(batch.column_names)
    schema = getattr(batch, "schema", None)  # pyarrow.RecordBatch
    return [str(name) for name in (schema.names if schema is not None else batch)]


def _values(column: Any) -> list[Any]:
    for method in ("to_pylist", "tolist"):  # pyarrow; NumPy and pandas
        if hasattr(column, method):
            return list(getattr(column, method)())
    return list(column)


def _like(batch: Any, columns: dict[str, list[Any]], keep: Sequence[str]) -> Any:
    """The columns in the type of the batch."""
    origin = type(batch).__module__.partition(".")[0]
    if origin == "pyarrow":
        import pyarrow as pa

        kept = [batch.schema.field(name) for name in dict.fromkeys(keep)]
        return type(batch).from_pydict(columns, schema=pa.schema([*kept, *schema()]))
    if origin == "pandas":
        import pandas

        return pandas.DataFrame(columns, index=batch.index)
    return columns
