"""The report's sections about memory: of each model, of models loaded together, and of numbers in the code."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping

from telepathy_lint.audit.blocks import Block, Cell, Statement, Table, counted, places_cell, where_chosen
from telepathy_lint.audit.data import TOO_LARGE, Checked, Gpu, Model, Place
from telepathy_lint.audit.outcome import Audit
from telepathy_lint.audit.overview import unlisted_of
from telepathy_lint.audit.sizes import REGIMES, TOKENS

GIB = 2**30
#: The texts for verdicts, most urgent first.
_VERDICTS = {
    "too large": "too large",
    "too large to train": "too large to train",
    "differs": "differs",
    "depends": "fits some jobs",
    "far below": "far below what fits",
    "agrees": "fits",
}
_FIGURES = {**_VERDICTS, "depends": "more than the weights", "agrees": "agrees"}


def memory(audit: Audit) -> Iterator[Block]:
    card = audit.gpu
    sized = [model for model in audit.models if model.weight_bytes]
    if not sized:
        yield from _unlisted(audit)
        yield from _logging(audit)
        return
    yield Statement(
        "note",
        f"One {card.name} offers {card.usable_bytes / GIB:.2f} GiB to tensors ({card.total_bytes / GIB:.2f} GiB less the "
        f"CUDA context). Weights are exact; peaks are estimates for one sequence of {TOKENS:,} tokens (or as many as the model reads) in bfloat16, "
        "unpadded: `telepathy-runtime estimate MODEL` has options for every other case.",
    )
    alike: dict[tuple[object, ...], list[Model]] = defaultdict(list)
    for model in sized:
        alike[model.weight_bytes, model.peaks].append(model)
    rows = [
        (
            Cell(
                ", ".join(sorted({model.canonical or model.model_id for model in group})),
                tuple(place for model in group for place in model.loads or where_chosen(model)),
            ),
            _size(group[0].weight_bytes or 0, card),
            *(_size(dict(group[0].peaks).get(regime), card) for regime in REGIMES),
        )
        for group in alike.values()
    ]
    yield Table(
        ("model", "weights", "inference", "frozen, gradients pass through", "full training, AdamW"),
        tuple(sorted(rows, key=lambda row: -(row[1].sort or 0))),
        f"GiB, and the share of one {card.name}",
    )
    yield from _unlisted(audit)
    yield from _logging(audit)


def _unlisted(audit: Audit) -> Iterator[Block]:
    """List the models without a size, which are not in the table."""
    unlisted = unlisted_of(audit)
    if unlisted:
        names = ", ".join(f"`{model.model_id}`" for model in unlisted)
        yield Statement(
            "note",
            f"{counted(len(unlisted), 'model')} not listed, so {'its' if len(unlisted) == 1 else 'their'} memory is not known; "
            f"`telepathy-runtime estimate` takes the folder or file of a config.json: {names}",
        )


def _logging(audit: Audit) -> Iterator[Block]:
    """The statement about whether loads log their memory."""
    silent = tuple(load.place for load in audit.loaders if not load.logs_memory)
    total = len(audit.loaders)
    if total:
        yield Statement(
            "good" if not silent else "note",
            f"Memory is queried or logged in the files of {total - len(silent):,} of {counted(total, 'model load')}",
            silent,
        )


def _size(size: int | None, card: Gpu, unknown: str = "not modelled") -> Cell:
    """A size compared with the GPU."""
    if size is None:
        return Cell(unknown, sort=0.0)
    share = size / card.usable_bytes
    text = f"{size / GIB:.3f} GiB, " + (f"{100 * share:.1f} %" if share <= 1 else "does not fit")
    return Cell(text, sort=size, share=min(share, 1.0))


def held_together(audit: Audit) -> Iterator[Block]:
    """Report pairs and larger groups of models that one job holds in memory."""
    if not audit.together:
        return
    jobs = {job for one in audit.together for job in one.jobs}
    card = audit.gpu
    yield Statement(
        "note",
        f"{counted(len(jobs), 'place')} in the code {'holds' if len(jobs) == 1 else 'hold'} several models at once: loaded in "
        "one function, script or notebook, under different names, none deleted in between",
    )
    if any(one.weight_bytes is not None for one in audit.together):
        yield Statement(
            "note",
            f"Weights are exact for bfloat16, all on one {card.name}. The peak of a pair is an estimate for one sequence of "
            f"{TOKENS:,} tokens in bfloat16: one model reads it and keeps its hidden states, gradients pass through the other, "
            "both frozen; of the two ways round, the one that takes more. Weights that are trained between them add to it. The batch keeps 10 % of the GPU free "
            "for fragmentation.",
        )
    rows = []
    for one in audit.together:
        batch = (
            Cell("", sort=-1) if one.batch is None
            else Cell(counted(one.batch, "sequence"), sort=one.batch)
        )  # fmt: skip
        rows.append(
            (
                Cell(" + ".join(one.models)),
                places_cell(tuple(job[0] for job in one.jobs)),
                _size(one.weight_bytes, card, "not listed"),
                _size(
                    one.peak_bytes,
                    card,
                    "" if one.weight_bytes is None or len(one.models) > 2 else "not modelled",
                ),
                batch,
            )
        )
    yield Table(
        (
            "models",
            "held together in",
            "weights",
            "one reads, gradients pass through the other",
            "largest batch of that",
        ),
        tuple(rows),
        f"GiB, and the share of one {card.name}",
    )


# ---- numbers in the code


def written_batches(audit: Audit) -> Iterator[Block]:
    """Batch sizes and memory figures in the code, compared with the planner."""
    batches = [one for one in audit.checked if one.quantity == "batch size"]
    if batches:
        large = [one for one in batches if one.verdict in TOO_LARGE]
        below = sum(1 for one in batches if one.verdict == "far below")
        yield Statement(
            "bad" if large else "good",
            f"{len(large)} of {counted(len(batches), 'batch size')} given by model in the code {'is' if len(large) == 1 else 'are'} "
            f"above what the planner fits in training on one {audit.gpu.name}, {below} use a quarter or less of it",
            tuple(one.number.place for one in large),
        )
        yield Table(
            ("where", "name", "for", "written", "planner's largest", "verdict", "holds for"),
            tuple(_rows(batches, _VERDICTS)),
            "Batch sizes in sequences. The planner's is for frozen weights that gradients pass through: training them takes more, "
            "inference takes less. The code seldom says which of these a number is for.",
        )
    figures = [one for one in audit.checked if one.quantity == "memory"]
    if figures:
        wrong = [one for one in figures if not one.agrees]
        yield Statement(
            "bad" if wrong else "good",
            f"{counted(len(figures), 'memory figure')} given by model in the code, {len(wrong)} of them differing from the "
            "exact weights by more than 8 %",
        )
        yield Table(
            ("where", "name", "for", "written", "exact", "verdict", "holds for"),
            tuple(_rows(figures, _FIGURES)),
            "Memory in GB (10^9 bytes)",
        )


def _rows(found: Iterable[Checked], verdicts: Mapping[str, str]) -> Iterator[tuple[Cell, ...]]:
    """Yield one row per number and place, for all models that share it and its verdict."""
    groups: dict[tuple[Place, str, float, float, str], list[Checked]] = defaultdict(list)
    for one in found:
        number = one.number
        groups[number.place, number.table, number.value, one.exact, one.basis].append(one)
    order = list(_VERDICTS)
    for (place, table, value, exact, basis), group in sorted(
        groups.items(), key=lambda item: (order.index(item[1][0].verdict), item[0][0])
    ):
        number = group[0].number
        models = ", ".join(dict.fromkeys(" + ".join(one.number.models) for one in group))
        yield (
            Cell(str(place), (place,)),
            Cell(f"{table}, if {number.when}" if number.when else table),
            Cell(models),
            Cell(f"{'at most ' if number.bound else ''}{value:g}", sort=value),
            Cell(f"{exact:g}", sort=exact),
            Cell(verdicts[group[0].verdict], sort=order.index(group[0].verdict)),
            Cell(basis),
        )


def written_dimensions(audit: Audit) -> Iterator[Block]:
    """Parameters, layers and dimensions in the code, compared with the registry."""
    found = [one for one in audit.checked if one.quantity not in ("batch size", "memory")]
    if not found:
        return
    wrong = [one for one in found if not one.agrees]
    yield Statement(
        "bad" if wrong else "good",
        f"{len(found) - len(wrong)} of {counted(len(found), 'number')} given by model in the code (parameters, layers, "
        "dimensions; in tables and `if` chains) agree with the registry to 0.5 %",
        tuple(dict.fromkeys(one.number.place for one in found)),
    )
    groups: dict[tuple[Place, str, float, str, float], list[Checked]] = defaultdict(list)
    for one in wrong:
        groups[one.number.place, one.number.table, one.number.value, one.unit, one.exact].append(one)
    for (place, table, value, unit, exact), group in sorted(groups.items(), key=lambda item: item[0][0]):
        when = f" where `{group[0].number.when}`" if group[0].number.when else ""
        models = ", ".join(f"`{one.number.models[0]}`" for one in group)
        yield Statement("bad", f"`{table}` is {value:g}{when}; {models}: {exact:g} {unit}", (place,))
