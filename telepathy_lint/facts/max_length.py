"""Finds where a file passes `max_length` for generation; a config's `max_new_tokens` would take precedence over it."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cached_property

from telepathy_lint.flow.file import File
from telepathy_lint.knowledge import transformers_names as catalog
from telepathy_lint.sites.site import Site


class Lengths:
    """The calls in one file that pass `max_length` to `generate`, directly or through a pipeline."""

    def __init__(self, file: File) -> None:
        self.file = file
        self.tree = file.tree

    def given(self, site: Site) -> bool:
        """Whether the load itself gets one, or a `generate` call in the file, or a pipeline with the model."""
        return (
            self._says(site.call) or self._at_generate or any(self._pipes(call, site) for call in self._piped)
        )

    def _says(self, call: ast.Call) -> bool:
        return self.file.arguments.gives(call, "max_length", self.tree.context_of(call))

    @cached_property
    def _at_generate(self) -> bool:
        return any(self._says(call) for call in self._generating())

    def _generating(self) -> Iterator[ast.Call]:
        """The calls of `generate`, and those that get it as an argument: threads, `partial`."""
        for use in self.file.uses.of("generate"):
            parent = self.tree.parent.get(use)
            if isinstance(parent, ast.keyword):
                parent = self.tree.parent.get(parent)
            if isinstance(parent, ast.Call):
                yield parent

    @cached_property
    def _piped(self) -> list[ast.Call]:
        """The calls that may create or call a pipeline, and pass `max_length`."""
        if "ipeline" not in self.tree.text:
            return []
        words = self.file.words
        offsets = words.find("max_length", "generate_kwargs") + words.find("**", whole=False)
        calls = [node for node in self.tree.visit(self.tree.lines_of(offsets)) if isinstance(node, ast.Call)]
        return [call for call in calls if self._says(call)]

    def _pipes(self, call: ast.Call, site: Site) -> bool:
        """Whether a call creates a pipeline with the model, or calls such a pipeline."""
        objects, context = self.file.objects, self.tree.context_of(call)
        if self._makes_pipeline(call):
            given = [*call.args, *(keyword.value for keyword in call.keywords if keyword.arg == "model")]
            return any(site.call in objects.makers(each, context) for each in given)
        called = objects.makers(call.func, context)
        return site.call in called and any(
            isinstance(each, ast.Call) and self._makes_pipeline(each) for each in called
        )

    def _makes_pipeline(self, call: ast.Call) -> bool:
        """Whether a call is one of `pipeline` or of a pipeline class."""
        values = self.file.values.evaluate(call.func, self.tree.context_of(call))
        names = [str(value.data) for value in values if value.kind == "symbol"]
        return any(catalog.in_transformers(name) and name.lower().endswith("pipeline") for name in names)
