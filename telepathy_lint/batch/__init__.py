"""Lints many sources that are rows of a dataset, such as Parquet files of public code: `lint_batch` and `survey`."""

from __future__ import annotations

from telepathy_lint.batch.columns import lint_batch, schema

__all__ = ["lint_batch", "schema"]
