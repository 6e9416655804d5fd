"""`save_pretrained(..., safe_serialization=...)` of models that the file surely loads."""

from __future__ import annotations

from collections.abc import Iterator

from telepathy_lint.flow.file import File
from telepathy_lint.flow.objects import IS_ITSELF
from telepathy_lint.sites.loads import loads_of
from telepathy_lint.sites.site import Site


def find(file: File) -> Iterator[Site]:
    """A site for each call; what wraps a model, as PEFT does, saves in a way of its own and is left out."""
    if "safe_serialization" not in file.tree.text:
        return
    for node, method in file.uses.method_calls("save_pretrained"):
        context = file.tree.context_of(node)
        about = loads_of(file, method.value, context, "model", policy=IS_ITSELF)
        if about:
            arguments, opaque = file.arguments.read(node, context, ("save_directory",))
            classes = ("transformers.PreTrainedModel.save_pretrained",)
            yield Site(
                "saving", file, node, context, classes, arguments, opaque, about[0].model_id, about=about
            )
