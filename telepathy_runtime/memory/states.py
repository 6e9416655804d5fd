"""Bytes that do not depend on the batch: weights, gradients and optimizer states, with sharding and offloading."""

from __future__ import annotations

from dataclasses import dataclass, replace

from telepathy_runtime.memory.image_bytes import image_bytes
from telepathy_runtime.memory.lora import Target, lora_params, targets, tower_matrices, tower_params
from telepathy_runtime.memory.optimizers import Trained, optimizer_bytes, step_transient
from telepathy_runtime.memory.shapes import Shape, first_tables, layer_tensors
from telepathy_runtime.memory.workload import Workload
from telepathy_runtime.models.matrices import layer_bytes, layer_matrices, norm_params, quantized_bytes
from telepathy_runtime.models.spec import ModelSpec, NotModelledError, element_size


@dataclass(frozen=True)
class States:
    """Bytes of a job on one device that do not depend on the batch."""

    weights: int
    gradients: int  # after a backward pass
    optimizer: int
    step_transient: int  # in addition to gradients, inside optimizer.step()
    root: int = (
        0  # gathered parameters outside layers (embedding, head), from the forward to the end of the backward
    )
    unit: int = 0  # gathered parameters of one layer
    bucket: int = 0  # DDP's copy of the gradients


def states(spec: ModelSpec, work: Workload) -> States:
    """Weights, gradients and optimizer states of one device, sharded and offloaded according to the workload."""
    what = trained(spec, work)
    weights = weights_of(spec, work)
    if work.regime == "lora":  # a step of text alone leaves the tower's adapters without gradients
        weights += (lora_params(spec, work) + tower_params(spec, work)) * what.element
    weights += weights_of(spec, work) * work.copies_model
    gradients = what.params * what.element
    optimizer = optimizer_bytes(work.optimizer, what)
    transient = step_transient(work, what)
    if work.modules_to_save:  # copies of whole modules, in the dtype of the weights
        table = (spec.vocab, spec.embed_dim or spec.hidden)
        tables = (table,) * len(work.modules_to_save)
        size = spec.embedding_params * len(tables)
        whole_modules = Trained(size, element_size(work.held_dtype), (), tables)
        gradients += whole_modules.params * whole_modules.element
        weights += whole_modules.params * whole_modules.element
        optimizer += optimizer_bytes(work.optimizer, whole_modules)
        transient = steps_together(work, transient, step_transient(work, whole_modules))
    if work.opt_in_backward:
        gradients = what.largest * what.element
        transient = min(transient, step_transient(work, what.one()))
    whole = States(weights, gradients, optimizer, transient)
    return _offload(work, _shard(spec, work, whole))


def steps_together(work: Workload, one: int, other: int) -> int:
    """Bytes inside the optimizer's step where adapters and copies of modules have their own dtypes.

    PyTorch steps the tensors of a dtype together, and holds what that needed until the next ones have theirs.
    """
    return one + other if work.optimizer == "adamw" and work.opt_impl == "foreach" else max(one, other)


def trained(spec: ModelSpec, work: Workload) -> Trained:
    """The trained parameters and their shapes."""
    if work.regime == "full":
        e = element_size(work.held_dtype)
        unread = _unread(spec, work)
        params, inside = spec.trained_params - unread, tuple(layer_tensors(spec) * spec.layers)
        tables = tuple(first_tables(spec))
        head = () if spec.tied or spec.head_rows >= 0 else tables[:1]
        # Beside layers that are known one by one, the tower's tensors are not.
        beside = params - sum(rows * columns for rows, columns in (*tables, *head))
        unknown = spec.tower - unread if inside else beside
        return Trained(params, e, inside, tables, head, max(unknown, 0))
    if work.regime == "lora":
        shapes = [shape for each in targets(spec, work) for shape in _pair(each, work)]
        number = lora_params(spec, work)
        more: tuple[Shape, ...] = ()
        if work.shard != "none":  # see _unread
            number, more = number + tower_params(spec, work), adapter_shapes(spec, work)
        return Trained(number, element_size(work.lora_dtype), (*more, *shapes * spec.layers))
    return Trained(0, element_size(work.dtype), ())


def adapter_shapes(spec: ModelSpec, work: Workload, skipped: int = 0) -> tuple[Shape, ...]:
    """The shapes of the adapters on a vision tower and its projector, without those of so many `skipped` layers."""
    there = tower_matrices(spec, work, skipped)
    return tuple(shape for each, layers in there for shape in _pair(each, work) * layers)


def _pair(target: Target, work: Workload) -> tuple[Shape, ...]:
    """The shapes of one adapter."""
    return (work.lora_rank, target.inputs), (target.outputs, work.lora_rank)


def _unread(spec: ModelSpec, work: Workload) -> int:
    """Parameters of a vision tower that a step of text alone leaves without gradients, so an optimizer has no states for them.

    Shards are parts of whole buffers, which have both for all parameters.
    """
    if work.shard != "none":
        return 0
    if not work.image_tokens:
        return spec.tower
    try:
        return spec.tower - image_bytes(spec, work).trained
    except NotModelledError:
        return spec.tower * (work.tower == "frozen")


def weights_of(spec: ModelSpec, work: Workload) -> int:
    """Bytes of the model's weights on a device that has all of them."""
    if work.quantized != "none" and not spec.stored_bytes:
        whole = quantized_bytes(spec, work.quantized, element_size(work.held_dtype))
        return whole + (4 - element_size(work.dtype)) * norm_params(spec) * (work.prepared == "norms")
    return spec.bytes_in(work.held_dtype)


def _offload(work: Workload, held: States) -> States:
    """Remove the parts that are offloaded to host memory; the optimizer then steps there."""
    if "optimizer" in work.offload:
        held = replace(held, optimizer=0, step_transient=0)
    if "weights" in work.offload:
        # FSDP's CPUOffload and ZeRO-3's parameter offload: gradients are offloaded with their weights.
        held = replace(held, weights=0, gradients=0, optimizer=0, step_transient=0)
    return held


def _shard(spec: ModelSpec, work: Workload, whole: States) -> States:
    """Divide the parts that each scheme shards; activations and logits are only divided by tensor parallelism."""
    ranks, kind = work.ranks, work.shard
    if kind == "none" or ranks == 1:
        return whole
    if kind == "ddp":
        return replace(whole, bucket=whole.gradients)
    if kind == "tp":
        return _tensor_parallel(spec, work, whole)
    e = element_size(work.dtype)
    change: dict[str, int] = {}
    if kind in ("zero2", "zero3", "fsdp"):
        change["gradients"] = _part(whole.gradients, ranks)
    if kind in ("zero3", "fsdp"):
        change["weights"] = _part(whole.weights, ranks)
        if kind == "fsdp":
            # FSDP's root module keeps the parameters outside layers for the whole step; they are gathered
            # once.
            change["unit"] = _layer_bytes(spec, work, e)
            change["root"] = (spec.embedding_params + spec.head_params) * e
        else:
            change["root"] = 2 * max(spec.layer_params, spec.embedding_params) * e
    if work.kernels == "adapters" and kind == "fsdp":
        # These functions read whole adapters, which are left out of the shards and reduced as in DDP.
        own = trained(spec, work)
        size = own.params * own.element
        return replace(
            whole, weights=_part(whole.weights - size, ranks) + size, unit=change["unit"], root=change["root"]
        )
    optimizer, transient = _part(whole.optimizer, ranks), _part(whole.step_transient, ranks)
    return replace(whole, optimizer=optimizer, step_transient=transient, **change)


def _layer_bytes(spec: ModelSpec, work: Workload, e: int) -> int:
    """Bytes of one layer as it is stored; of a quantised checkpoint, without embedding and head."""
    if not spec.layer_params:
        return 0
    if spec.stored_bytes:
        return (spec.stored_bytes - (spec.embedding_params + spec.head_params) * e) // spec.layers
    return layer_bytes(spec, work.quantized, e)


def _tensor_parallel(spec: ModelSpec, work: Workload, whole: States) -> States:
    """transformers' plans split the matrices of each layer and the head; norms and the embedding are not split."""
    split = spec.layers * sum(outputs * inputs for outputs, inputs in layer_matrices(spec))
    split += 0 if spec.tied else spec.embedding_params
    share = split / max(spec.params, 1)

    def divided(size: int) -> int:
        return int(size * (1 - share)) + _part(int(size * share), work.ranks)

    return States(
        *(divided(each) for each in (whole.weights, whole.gradients, whole.optimizer, whole.step_transient))
    )


def _part(size: int, ranks: int) -> int:
    return -(-size // ranks)
