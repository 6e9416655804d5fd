"""Vision towers and their projectors on a tape: the operations of CLIP's and SigLIP's layers, and of Qwen2.5-VL's.

A program makes a model's parameters once, and then runs a forward: from the pixels to the features that take the places of the image's
tokens.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

from telepathy_runtime.memory.eager_attention import Eager, eager
from telepathy_runtime.memory.lora import PROJECTOR, Target, tower_targets
from telepathy_runtime.memory.operations import Matrix, Model
from telepathy_runtime.memory.programs import attend, checkpointed
from telepathy_runtime.memory.tape import Tape, Tensor
from telepathy_runtime.memory.workload import Workload
from telepathy_runtime.models.spec import ModelSpec, element_size
from telepathy_runtime.models.towers import CLIP, Tower, images_in, sides_of, windows_of

Adapters = tuple[Matrix, Matrix]


class Features(NamedTuple):
    """What a tower's forward leaves."""

    image: Tensor  # the features, which are put between the embeddings
    returned: list[Tensor]  # what the model's outputs hold
    frame: list[Tensor]  # what its code holds until the text's layers are done


RETURNED_SINCE = (5, 24)
"""The first transformers whose outputs hold all that the tower returned, not the features alone."""
SELECTED_SINCE = (5, 23)
"""The first transformers whose LLaVA keeps one hidden state of the tower, not all."""


class _Job(NamedTuple):
    """The model, and how its images are read."""

    tape: Tape
    tower: Tower
    model: Model
    projector: Model
    work: Workload
    images: int
    width: int  # of the text's stream
    targets: list[Target]  # the matrices of a layer, and of the projector, that have adapters
    soft: bool  # the output of the first convolution is made to take a gradient

    def linear(self, x: Tensor, by: Matrix, site: str, adapters: dict[str, Adapters]) -> Tensor:
        """A product with a matrix, and with its adapter if it has one."""
        return self.model.adapted(x, by, adapters.get(site), self.work.lora_dropout)

    def features(self, image: Tensor, seen: list[Tensor], named: bool = True) -> Features:
        """What the forward leaves: the features, and what the tower returned; `named`: the outputs have a place for the features."""
        if self.work.version >= RETURNED_SINCE:
            return Features(image, seen, [])
        return Features(image, [image] * named, seen)

    def adapters(self, ends: bool = False) -> dict[str, Adapters]:
        """The adapters of one layer, or of the projector."""
        element = element_size(self.work.lora_dtype)
        return {
            each.site: self.model.adapters(self.work.lora_rank, each.outputs, each.inputs, element)
            for each in self.targets
            if (each.site in PROJECTOR) == ends
        }


def program(
    tape: Tape, spec: ModelSpec, work: Workload, tower: Tower, models: tuple[Model, Model], soft: bool
) -> Callable[[Tensor], Features]:
    """The forward of a model's tower and projector, whose parameters are those of two `models`.

    `soft`: PEFT makes the output of the first convolution take a gradient. Raises ValueError for tokens that are no whole number of images.
    """
    images = work.batch * (
        images_in(work.image_tokens, tower.tokens, spec.architecture) if tower.tokens else 1
    )
    job = _Job(tape, tower, *models, work, images, spec.hidden, tower_targets(spec, work), soft)
    if spec.architecture == "qwen2_5_vl":
        return _windowed(job)
    read = _fixed(job, kept=spec.architecture == "llava")
    return (_llava if spec.architecture == "llava" else _gemma3)(job, read)


def pixels_of(tower: Tower, work: Workload) -> int:
    """The numbers that the images of a batch have."""
    number = work.batch * work.image_tokens
    if tower.tokens:
        return number // tower.tokens * tower.channels * tower.image**2
    return number * tower.merge**2 * tower.channels * tower.frames * tower.patch**2


class _Layer:
    """The parameters of a layer of CLIP or SigLIP."""

    def __init__(self, job: _Job) -> None:
        h, i, model = job.tower.hidden, job.tower.intermediate, job.model
        # CLIP's attention is before its norm.
        first = model.norm(h) if job.tower.kind != CLIP else None
        self.k, self.v, self.q, self.o = (model.matrix(h, h) for _ in range(4))
        self.attended = first or model.norm(h)
        second = model.norm(h) if job.tower.kind != CLIP else None
        self.up, self.down = model.matrix(i, h), model.matrix(h, i)
        self.fed = second or model.norm(h)
        self.adapters = job.adapters()


def _attention(job: _Job, x: Tensor, layer: _Layer) -> Tensor:
    model, tower, length = job.model, job.tower, x.number // job.images // job.tower.hidden
    q = job.linear(x, layer.q, "q", layer.adapters)
    k = job.linear(x, layer.k, "k", layer.adapters)
    v = job.linear(x, layer.v, "v", layer.adapters)
    if job.work.attn == "eager":
        several = job.images > 1
        how = Eager(tower.attention_dropout, copied=(several, several, several))
        out, _ = eager(model, q, k, v, job.images * tower.heads * length**2, how)
    else:
        out = attend(model, q, k, v, tower.heads, (job.images, length, length), None)
    return job.linear(out, layer.o, "o", layer.adapters)


def _layer(x: Tensor, job: _Job, layer: _Layer) -> Tensor:
    model, h = job.model, job.tower.hidden
    y = model.layer_norm(x, layer.attended, h)
    z = _attention(job, y, layer)
    y = rest = model.add(x, z)
    del z
    y = model.layer_norm(y, layer.fed, h)
    z = job.linear(y, layer.up, "up", layer.adapters)
    z = model.activation(job.tower.activation, z)
    z = job.linear(z, layer.down, "down", layer.adapters)
    return model.add(rest, z)


class _Read(NamedTuple):
    """What CLIP's and SigLIP's towers return."""

    last: Tensor
    pooled: Tensor | None
    selected: Tensor | None
    states: list[Tensor]  # the outputs of all layers, where it keeps them


def _fixed(job: _Job, kept: bool) -> Callable[[Tensor], _Read]:
    """CLIP's or SigLIP's tower; `kept`: with the output of the layer that LLaVA reads."""
    tape, tower, model = job.tape, job.tower, job.model
    h, patches, clip = tower.hidden, tower.patches, tower.kind == CLIP
    numbers = tower.channels * tower.patch**2
    first = model.vector(h) if clip else None
    weight = model.vector(h * numbers, h * tower.channels * 2 * tower.patch)
    convolution = model.matrix(h, numbers, bias=not clip, weight=weight)
    places = model.table(patches + clip, h)
    before = model.norm(h) if clip else None
    read = [_Layer(job) for _ in range(tower.layers - tower.skipped * kept)]
    with model.unread(kept):
        layers = [*read, *(_Layer(job) for _ in range(tower.layers - len(read)))]
        after = model.norm(h)

    def embedded(pixels: Tensor) -> Tensor:
        number = job.images * patches * h
        x = (
            tape.leaf(number, model.half or model.element)
            if job.soft
            else model.convolved(pixels, convolution, number)
        )
        joined = x
        if first is not None:
            joined = tape.new(number + job.images * h, max(x.element, first.element))
            joined = tape.record(joined, (x, first), passes=True)
        return model.add(joined, model.embed(places, places.number // h, h))

    def forward(pixels: Tensor) -> _Read:
        selected = None
        with tape.part("images, embedding"):
            x = embedded(pixels)
            if before is not None:
                x = model.layer_norm(x, before, h)
        start = x  # which the tower's code holds
        every = kept and job.work.version < SELECTED_SINCE
        states = [x] * every
        for number, layer in enumerate(layers):
            if kept and number == len(read):
                selected = x
            with tape.part("images, layers"):
                x = checkpointed(tape, job.work, partial(_layer, job=job, layer=layer), x)
            if every:
                states.append(x)
        if kept and selected is None:
            selected = x
        with tape.part("images, end"):
            if clip:
                pooled = tape.record(Tensor(x.storage, job.images * h, x.element), (x,))
                return _Read(x, model.layer_norm(pooled, after, h), selected, states)
            x = model.layer_norm(x, after, h)
        del start
        return _Read(x, None, selected, states)

    return forward


def _llava(job: _Job, read: Callable[[Tensor], _Read]) -> Callable[[Tensor], Features]:
    """LLaVA's projector: two matrices, which read one of the tower's layers."""
    tape, tower, model, h = job.tape, job.tower, job.projector, job.tower.hidden
    first = model.matrix(job.width, h, bias=tower.projector_bias)
    second = model.matrix(job.width, job.width, bias=tower.projector_bias)
    number, adapters = job.images * tower.tokens * h, job.adapters(ends=True)

    def forward(pixels: Tensor) -> Features:
        seen = read(pixels)
        x = selected = seen.selected
        assert x is not None and selected is not None
        with tape.part("images, projector"):
            if x.number > number:  # without the first token, which a product of several images copies
                x = tape.record(Tensor(x.storage, number, x.element), (x,))
                x = model.copied(x) if job.images > 1 else x
            y = job.linear(x, first, "first", adapters)
            del x
            y = model.activation(tower.projector_activation, y)
            y = job.linear(y, second, "second", adapters)
            # A list of images, which is joined again.
            joined = tape.record(tape.new(y.number, y.element), (y,))
        return job.features(joined, [seen.last, selected, y, *seen.states])

    return forward


def _gemma3(job: _Job, read: Callable[[Tensor], _Read]) -> Callable[[Tensor], Features]:
    """Gemma 3's projector: means of several patches, a norm and a matrix."""
    tape, tower, model, h = job.tape, job.tower, job.projector, job.tower.hidden
    weight = model.table(h, job.width)
    norm = model.vector(h)
    number = job.images * tower.tokens * h

    def forward(pixels: Tensor) -> Features:
        seen = read(pixels)
        with tape.part("images, projector"):
            x = model.copied(seen.last)
            pooled = tape.result(number, (x,), (x,))
            y = model.raised_norm(pooled, norm, h, in_float=True)
            held = y
            y = model.copied(y)
            y = model.linear(y, Matrix(job.width, h, weight, None))
        del x, pooled, held
        return job.features(y, [seen.last, y])

    return forward


class _Block:
    """The parameters of a layer of Qwen2.5-VL's tower."""

    def __init__(self, job: _Job) -> None:
        h, i, model = job.tower.hidden, job.tower.intermediate, job.model
        self.attended, self.fed = model.vector(h), model.vector(h)
        self.qkv, self.o = model.matrix(3 * h, h), model.matrix(h, h)
        self.gate, self.up, self.down = model.matrix(i, h), model.matrix(i, h), model.matrix(h, i)
        self.adapters = job.adapters()


def _turned(model: Model, x: Tensor, cosines: Tensor, sines: Tensor) -> Tensor:
    """Queries or keys, rotated in 32 bits: the second half of each head, negated, changes places with the first."""
    tape = model.tape
    straight = model.times(x, cosines)
    half = tape.new(x.number // 2, x.element)
    turned = tape.record(tape.new(x.number, x.element), (x,), working=x.size)
    del half
    turned = model.times(turned, sines)
    return model.add(straight, turned)


def _rotated(model: Model, q: Tensor, k: Tensor, tables: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
    element = q.element
    q, k = model.cast(q, 4), model.cast(k, 4)
    turned_q = _turned(model, q, *tables)
    turned_k = _turned(model, k, *tables)
    turned_q = model.cast(turned_q, element)
    return turned_q, model.cast(turned_k, element)


def _block_attention(
    job: _Job, x: Tensor, layer: _Block, tables: tuple[Tensor, Tensor], sizes: dict[int, int]
) -> Tensor:
    """Attention within pieces of so many patches."""
    model, tower, tape = job.model, job.tower, job.tape
    whole = job.linear(x, layer.qkv, "qkv", layer.adapters)
    q, k, v = tape.views(whole, [x.number] * 3)
    del whole
    q, k = _rotated(model, q, k, tables)
    parts = [model.viewed(each) for each in (q, k, v)]
    if job.work.attn == "eager":
        out = _eager_pieces(job, parts, sizes)
    else:
        round_up = 1 if (model.half or model.element) == 2 else 32
        widths = [(size * tower.hidden, many) for size, many in sizes.items()]
        rows = [(-(-size // round_up) * round_up * tower.heads, many) for size, many in sizes.items()]
        out = model.flash_pieces(parts, widths, rows)
    joined = tape.record(tape.new(x.number, out.element), (out,), passes=True)
    return job.linear(joined, layer.o, "o", layer.adapters)


def _eager_pieces(job: _Job, parts: list[Tensor], sizes: dict[int, int]) -> Tensor:
    """Eager attention within pieces; what only one of them needs at a time is counted once."""
    model, heads = job.model, job.tower.heads
    if sum(sizes.values()) > 1:
        widths = [(size * job.tower.hidden, many) for size, many in sizes.items()]
        pairs = [(size**2 * heads, many) for size, many in sizes.items()]
        return model.eager_pieces(parts, widths, pairs)
    (size,) = sizes
    q, k, v = parts
    return eager(model, q, k, v, size**2 * heads, Eager())[0]


def _block(
    x: Tensor, job: _Job, layer: _Block, tables: tuple[Tensor, Tensor], sizes: dict[int, int]
) -> Tensor:
    model, h = job.model, job.tower.hidden
    x = model.add(x, _block_attention(job, model.raised_norm(x, layer.attended, h), layer, tables, sizes))
    return model.add(x, _gated(job, model.raised_norm(x, layer.fed, h), layer))


def _gated(job: _Job, x: Tensor, layer: _Block) -> Tensor:
    gate = job.linear(x, layer.gate, "gate", layer.adapters)
    gate = job.model.activation(job.tower.activation, gate)
    up = job.linear(x, layer.up, "up", layer.adapters)
    product = job.model.times(gate, up)
    del gate, up
    return job.linear(product, layer.down, "down", layer.adapters)


def _windowed(job: _Job) -> Callable[[Tensor], Features]:
    """Qwen2.5-VL's tower and its merger, which joins patches to tokens."""
    tape, tower, model, h = job.tape, job.tower, job.model, job.tower.hidden
    numbers = tower.channels * tower.frames * tower.patch**2
    means = h * tower.channels * tower.frames * 2 * tower.patch
    convolution = model.matrix(h, numbers, bias=False, weight=model.vector(h * numbers, means))
    blocks = [_Block(job) for _ in range(tower.layers)]
    ends, wide = job.projector, h * tower.merge**2
    norm = ends.vector(h)
    first, second = ends.matrix(wide, wide), ends.matrix(job.width, wide)
    adapters = job.adapters(ends=True)
    rows, columns = sides_of(job.work.image_tokens, tower.merge)
    patches = job.images * rows * columns
    whole = {rows * columns: job.images}
    windows = windows_of(job.work.image_tokens, tower.merge, tower.window)
    cut = {size: many * job.images for size, many in windows.items()}

    def forward(pixels: Tensor) -> Features:
        with tape.part("images, embedding"):
            places = tape.new(2 * patches, 8)
            order = tape.new(patches // tower.merge**2, 8)
            x = (
                tape.leaf(patches * h, model.half or model.element)
                if job.soft
                else model.convolved(pixels, convolution, patches * h)
            )
            x = tape.record(tape.new(x.number, x.element), (x,), (order,))
            tables = tape.new(patches * h // tower.heads, 4), tape.new(patches * h // tower.heads, 4)
        for number, layer in enumerate(blocks):
            sizes = whole if number in tower.whole else cut
            with tape.part("images, layers"):
                run = partial(_block, job=job, layer=layer, tables=tables, sizes=sizes)
                x = checkpointed(tape, job.work, run, x)
        with tape.part("images, merger"):
            y = ends.raised_norm(x, norm, h)
            y = job.linear(y, first, "first", adapters)
            y = ends.kernel(y)
            y = job.linear(y, second, "second", adapters)
            back = tape.new(order.number, 8)
            y = tape.record(tape.new(y.number, y.element), (y,), (back,))
            del places, tables, order, back
            # A list of images, which is joined again.
            joined = tape.record(tape.new(y.number, y.element), (y,))
        return job.features(joined, [x, y], named=False)

    return forward
