"""The rotation of queries and keys on a tape, in the order of transformers' code."""

from __future__ import annotations

from collections.abc import Sequence

from telepathy_runtime.memory.families import family
from telepathy_runtime.memory.layers import autocast
from telepathy_runtime.memory.operations import Model
from telepathy_runtime.memory.rotary import rotated_share
from telepathy_runtime.memory.tape import Tensor
from telepathy_runtime.memory.workload import Workload
from telepathy_runtime.models.spec import ModelSpec, element_size


class Rotation:
    """How a layer rotates its queries and keys."""

    def __init__(self, model: Model, spec: ModelSpec, work: Workload) -> None:
        self.model, self.spec, self.work = model, spec, work
        self.tape, self.how = model.tape, family(spec)

    def both(self, q: Tensor, k: Tensor, held: list[Tensor]) -> tuple[Tensor, Tensor]:
        """Queries and keys, rotated; `held` is what the attention's code holds of them until it returns."""
        model, how, element = self.model, self.how, q.element
        share = rotated_share(self.spec)
        if not how.joined and not how.tables[0]:
            # Cohere converts both before, and OLMo 2 both behind.
            first = 4 if how.norm == "cohere" else element
            parts = [self.rotated(each) for each in [model.cast(each, first) for each in (q, k)]]
            q, k = (model.cast(each, element) if how.rotates_in_float else each for each in parts)
            return q, k
        tables = self.tables(share) if how.tables[0] == 2 else []
        whole = (k, q) if how.tables[0] == 4 else (q, k)
        parts = []
        for each in whole:
            if how.tables[0] == 4:
                tables = self.tables(share)
            parts.append(self.rotated(self.part(each, round(each.number * share)), tables))
        del tables
        if how.holds_parts:
            held += [*whole, *parts]
        joined = []
        for each in whole:
            some = parts.pop(0)
            rest = self.part(each, each.number)
            joined.append(self.tape.joined(self.tape.new(each.number, some.element), (some, rest)))
            del some, rest
        q, k = joined if whole[0] is q else reversed(joined)
        return q, k

    def part(self, x: Tensor, number: int) -> Tensor:
        """A view of so many numbers, whose gradient is made as large as the whole."""
        return self.tape.record(Tensor(x.storage, number, x.element), (x,))

    def tables(self, share: float) -> list[Tensor]:
        """Sines and cosines of a share of a head that a layer makes itself."""
        element = 4 if autocast(self.work) else element_size(self.work.dtype)
        number = round(self.work.seq_len * self.spec.head_dim * share)
        return [self.tape.new(number, element) for _ in range(2)]

    def rotated(self, x: Tensor, tables: Sequence[Tensor] = ()) -> Tensor:
        """Queries or keys, rotated: the second half of each head, negated, changes places with the first."""
        tape, new = self.tape, self.tape.new
        element = 4 if autocast(self.work) or self.how.rotates_in_float else x.element
        wide = x.number * element
        straight = tape.record(new(x.number, element), (x,), tables, made=wide)
        first, second = (self.part(x, x.number // 2) for _ in range(2))
        negated = tape.record(new(x.number // 2, x.element), (second,))
        turned = tape.joined(new(x.number, x.element), (negated, first))
        del negated, first, second
        turned = tape.record(new(x.number, element), (turned,), tables, made=wide)
        return tape.record(new(x.number, element), (straight, turned), passes=True)
