"""Maps kinds of sites to the finders that find them; each finder is imported and run on first use."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from importlib import import_module

from telepathy_lint.flow.file import File
from telepathy_lint.sites.site import LOADS, Kind, Site

#: Finders that are only imported if the text of a file has one of these words; most files have none.
_WORDS = {
    "cache_paths": ("environ",),
    "trainings": ("per_device_train_batch_size",),
    "object_pipelines": ("pipeline",),
    "added_tokens": ("add_special_tokens", "add_tokens"),
    "mixed_precision": ("fp16",),
    "arrays": (".numpy(",),
}
#: The modules that have `find(file)`, with the kinds of sites that they find.
_FINDERS: tuple[tuple[str, tuple[Kind, ...]], ...] = (
    ("loads", LOADS),
    ("configs_and_processors", ("config", "processor", "generation_config")),
    ("moves", ("move",)),
    ("cache_paths", ("path",)),
    ("generation", ("generate", "decoding", "collator")),
    ("written_ids", ("identifier",)),
    ("trainings", ("training",)),
    ("unused_ids", ("entry",)),
    ("object_pipelines", ("object_pipeline",)),
    ("casts", ("cast",)),
    ("added_tokens", ("added_token",)),
    ("mixed_precision", ("mixed_precision",)),
    ("arrays", ("array",)),
    ("training_calls", ("training_config", "trainer")),
    ("training_reads", ("training_read", "trainer_read")),
    ("trainer_overrides", ("trainer_override",)),
    ("model_attributes", ("model_read", "config_write")),
    ("tokenizer_uses", ("tokenizer_use",)),
    ("removed_names", ("removed_name",)),
    ("pipeline_tasks", ("pipeline_task",)),
    ("pipeline_lengths", ("pipeline_call",)),
    ("savings", ("saving",)),
)
KINDS: frozenset[Kind] = frozenset(kind for _, kinds in _FINDERS for kind in kinds)


def sites_of(file: File, kinds: frozenset[Kind]) -> tuple[Site, ...]:
    """The sites of the given kinds in a file, in reading order."""
    file.fact(_finder("loads"))  # all other finders need the loads
    found = [
        site
        for name, made in _FINDERS
        if not kinds.isdisjoint(made) and _may_find(name, file.tree.text)
        for site in file.fact(_finder(name))
        if site.kind in kinds
    ]
    return tuple(sorted(found, key=lambda site: site.start))


def _may_find(name: str, text: str) -> bool:
    return name not in _WORDS or any(word in text for word in _WORDS[name])


def _finder(name: str) -> Callable[[File], Iterable[Site]]:
    """The finder function of a module, whose result is cached."""
    finder = _LOADED.get(name)
    if finder is None:
        find: Callable[[File], Iterable[Site]] = import_module(f"telepathy_lint.sites.{name}").find

        def finder(file: File) -> tuple[Site, ...]:
            return tuple(find(file))

        _LOADED[name] = finder
    return finder


_LOADED: dict[str, Callable[[File], Iterable[Site]]] = {}
