"""`telepathy-runtime models | estimate | plan | compare`: print tables or JSON, or draw a chart.

Exit codes: 0 fine, 1 does not fit or something was found, 2 could not do it.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from telepathy_runtime.commands import from_script, models, trace_own
from telepathy_runtime.commands.guard import guarded
from telepathy_runtime.commands.job_options import (
    Given,
    cards_of,
    exit_code,
    given,
    job_options,
    pair_options,
    traced_option,
    workload,
)
from telepathy_runtime.commands.models import find
from telepathy_runtime.memory import log, render
from telepathy_runtime.memory.advice import Advice, advice
from telepathy_runtime.memory.chart import draw, draw_steps
from telepathy_runtime.memory.estimate import Estimate, estimate
from telepathy_runtime.memory.fallback import estimate_or_trace
from telepathy_runtime.memory.pair import Adapter, PerceiverBridge, estimate_pair
from telepathy_runtime.memory.plan import MOST, Fit, max_batch, max_tokens, search, search_few
from telepathy_runtime.memory.runs import check_runs, longest
from telepathy_runtime.memory.traceable import check_traceable
from telepathy_runtime.memory.units import gib
from telepathy_runtime.memory.workload import Workload
from telepathy_runtime.models import lookup, registry
from telepathy_runtime.models.spec import ModelSpec, NotModelledError, UnknownOptionError

#: What `plan` shows where no model is named: the sizes that most experiments use.
_SHOWN = (
    *("meta-llama/Llama-3.2-1B", "meta-llama/Llama-3.2-3B", "meta-llama/Llama-3.1-8B"),
    *("mistralai/Mistral-7B-v0.3", "Qwen/Qwen2.5-1.5B", "Qwen/Qwen2.5-3B", "Qwen/Qwen2.5-7B"),
)


def add_parsers(subparsers: Any) -> None:
    """Register the four commands; each parser's `run` takes the parsed arguments and returns the exit code."""
    listed = subparsers.add_parser("models", help="list the models with known dimensions")
    listed.add_argument(
        "model", nargs="?", help="model id, or a folder or file with a config.json; default: all models"
    )
    listed.add_argument(
        "--search", metavar="TEXT", help="only models whose id or family contains these words"
    )
    models.add_source_options(listed)
    listed.add_argument("--json", action="store_true", help="print JSON, with all sizes in bytes")
    listed.set_defaults(run=guarded(models.run))

    one = subparsers.add_parser("estimate", help="estimate the peak memory of a job, by component")
    one.usage = "telepathy-runtime estimate [OPTIONS] [MODEL]"
    one.add_argument(
        "model", nargs="?", help="model id, or a folder or file with a config.json; default: the script's"
    )
    job_options(one)
    pair_options(one)
    traced_option(one)
    one.set_defaults(run=guarded(_estimate))

    plan = subparsers.add_parser("plan", help="find the largest batch that fits on a GPU")
    plan.usage = "telepathy-runtime plan [OPTIONS] [MODEL]"
    plan.add_argument(
        "model",
        nargs="?",
        help="model id or config.json; default: seven models with 1 to 8 billion parameters",
    )
    job_options(plan, batch=False)
    pair_options(plan)
    plan.add_argument(
        "--context", action="store_true", help="find the longest sequence instead of the largest batch"
    )
    plan.add_argument(
        "--batch",
        action=Given,
        type=int,
        default=1,
        help="with --context and --explain: sequences per device",
    )
    plan.add_argument(
        "--explain", action="store_true", help="show what to change to save memory, also if the job fits"
    )
    plan.add_argument("--trace", metavar="MODULE:FUNCTION", help="trace your own step on the meta device")
    traced_option(plan)
    plan.set_defaults(run=guarded(_plan))

    compare = subparsers.add_parser("compare", help="compare estimates and measurements in a monitor's log")
    compare.add_argument("log", help="JSON-lines file written by the monitor")
    compare.add_argument("--json", action="store_true", help="print JSON, with all sizes in bytes")
    compare.add_argument(
        "--plot",
        metavar="FILE",
        help="draw planned and measured over the steps, as .svg or .png (needs matplotlib)",
    )
    compare.set_defaults(run=guarded(_compare))


def _estimate(args: argparse.Namespace) -> int:
    notes = from_script.apply(args)
    if args.model is None:
        raise UnknownOptionError("estimate needs a model, or a script with --from-script")
    work, cards = workload(args), cards_of(args)
    if args.plot and len(cards) > 1:
        raise UnknownOptionError("--plot needs exactly one GPU: pass one with --gpu")
    spec = find(args, args.model)
    work, shorter = _within(args, spec, work)
    result = _estimated(args, spec, work)
    result = dataclasses.replace(result, notes=(*notes, *shorter, *result.notes))
    if args.plot:
        bars = [(instant.name, instant) for instant in result.instants]
        title = f"{' + '.join(result.models)}, {render.workload_text(result.workloads[-1])}"
        draw(args.plot, bars, cards[0], args.reserve, title)
    if args.json:
        print(json.dumps(render.estimate_json(result, cards, args.reserve), indent=2))
    else:
        print(render.estimate_text(result, cards, args.reserve))
    return exit_code(result.peak_allocated, cards, args.reserve)


def _within(args: argparse.Namespace, spec: ModelSpec, work: Workload) -> tuple[Workload, list[str]]:
    """The job with the longest sequence that the model reads, where the default length is longer, and a note of it."""
    most = longest(spec)
    if not 0 < most < work.seq_len or "seq_len" in given(args) or work.seq_len != Workload.seq_len:
        return work, []
    return work.but(seq_len=most), [f"{most} tokens, all that {spec.id} reads"]


def _estimated(args: argparse.Namespace, spec: ModelSpec, work: Workload) -> Estimate:
    """The estimate; a trace, or a lower bound, if the model's activations have no closed form."""
    if args.target or args.traced:
        return _at(args, spec, work)
    return estimate_or_trace(spec, work, _traceable(args, spec))


def _plan(args: argparse.Namespace) -> int:
    if args.trace:
        return trace_own.run(args)
    notes = from_script.apply(args)
    work = workload(args)
    if not args.model and (work.image_tokens or work.tower != Workload.tower):
        raise UnknownOptionError(
            "--image-tokens and --tower need a model that reads images, such as llava-hf/llava-1.5-7b-hf"
        )
    specs = [find(args, args.model)] if args.model else [registry.get(each) for each in _SHOWN]
    work, shorter = _within(args, specs[0], work)
    notes = [*notes, *shorter]
    fits = [(spec.id, _fit(args, spec, work, card)) for spec in specs for card in cards_of(args)]
    if args.model:  # what holds for the job whatever its batch
        notes = [*notes, *dict.fromkeys(note for _, fit in fits for note in notes_of(fit))]
    found = _advice(args, specs, work, fits)
    if args.plot:
        _draw_fits(args, fits, work)
    if args.json:
        shown = [{"model": label} | render.fit_json(fit, args.reserve) for label, fit in fits]
        if notes:
            shown[0]["notes"] = notes
        if found is not None:
            shown[0]["advice"] = render.advice_json(found)
        print(json.dumps(shown, indent=2))
    else:
        print(_searched(args, work))
        print(render.fits_table(fits, "tokens" if args.context else "batch", args.reserve))
        if found is not None:
            print(f"\n{render.advice_text(found, fits[0][1].budget_bytes, work.batch)}")
        for note in notes:
            print(f"note: {note}")
    return 0 if all(fit.batch for _, fit in fits) else 1


def notes_of(fit: Fit) -> tuple[str, ...]:
    """What is to be said of the job that was found, or of the smallest, which does not fit."""
    shown = fit.at or fit.above
    return shown.notes if shown is not None else ()


def _advice(
    args: argparse.Namespace, specs: Sequence[ModelSpec], work: Workload, fits: Sequence[tuple[str, Fit]]
) -> list[Advice] | None:
    """The advice, if it was requested, or if a single job does not fit; None otherwise."""
    possible = len(fits) == 1 and not (args.target or args.traced or args.context)
    if args.explain and not possible:
        raise UnknownOptionError(
            "--explain is for one model on one GPU, without --target, --traced and --context"
        )
    if not args.explain and (not possible or fits[0][1].batch):
        return None
    spec, card = specs[0], fits[0][1].gpu
    return advice(
        work,
        lambda job: estimate(spec, job),
        lambda job: max_batch(spec, job, device=card, reserve=args.reserve),
    )


def _searched(args: argparse.Namespace, work: Workload) -> str:
    """The job in words, without the number that is being searched."""
    text = render.workload_text(work)
    return text.replace(f", {work.seq_len} tokens" if args.context else f", batch {work.batch}", "")


def _draw_fits(args: argparse.Namespace, fits: list[tuple[str, Fit]], work: Workload) -> None:
    card = fits[0][1].gpu  # one picture has one card's limits
    what = "tokens" if args.context else "batch"
    bars = [
        (f"{label.rpartition('/')[2]}\n{what} {fit.batch}", fit.at.peak)
        for label, fit in fits
        if fit.at and fit.gpu == card
    ]
    if not bars:
        raise UnknownOptionError(f"nothing fits {card.name}, so there is nothing to draw")
    draw(args.plot, bars, card, args.reserve, f"Largest that fits: {_searched(args, work)}")


def _fit(args: argparse.Namespace, spec: ModelSpec, work: Workload, card: Any) -> Fit:
    if args.target:
        return search(lambda n: _at(args, spec, work.but(batch=n)), device=card, reserve=args.reserve)
    if not args.traced:
        find_most = max_tokens if args.context else max_batch
        try:
            return find_most(spec, work, device=card, reserve=args.reserve)
        except NotModelledError as error:
            _traces(args, spec, work, error)
    field, most = ("seq_len", spec.max_positions) if args.context else ("batch", MOST)
    return search_few(
        lambda n: _traced(args, spec, work.but(**{field: n})), device=card, reserve=args.reserve, limit=most
    )


def _traces(args: argparse.Namespace, spec: ModelSpec, work: Workload, reason: NotModelledError) -> None:
    """Say that a model without a closed form is traced, or raise the error if it cannot be."""
    if spec.head_rows >= 0 or spec.stored_bytes:
        raise NotModelledError(f"{reason}; only language models in 16 or 32 bits are traced") from reason
    if not spec.architecture or (args.model and Path(args.model).suffix in (".safetensors", ".gguf")):
        raise NotModelledError(f"{reason}; give the folder of its config.json") from reason
    if find_spec("torch") is None or find_spec("transformers") is None:
        raise NotModelledError(f"{reason}; with torch and transformers they are traced") from reason
    try:
        check_traceable(work)
    except UnknownOptionError as error:
        raise NotModelledError(f"{reason}, and it is not traced: {error}") from reason
    text = f"{reason}: transformers' own step is traced, seconds for each batch or length that is tried"
    print(text, file=sys.stderr)
    args.traced = True


def _at(args: argparse.Namespace, spec: ModelSpec, work: Workload) -> Estimate:
    """The estimate of one job, or of a pair if there is a target; its trace if requested."""
    if args.traced:
        if args.target:
            raise UnknownOptionError("--traced does not support pairs; trace your own step with plan --trace")
        return _traced(args, spec, work)
    if not args.target:
        return estimate(spec, work)
    target = find(args, args.target)
    for name, least in (("latents", 1), ("depth", 0), ("adapter_params", 0), ("target_seq_len", 1)):
        number = getattr(args, name)
        if number is not None and number < least:
            flag = "--" + name.replace("_", "-")
            raise UnknownOptionError(f"{flag} must be a whole number of at least {least}, not {number}")
    bridge: PerceiverBridge | Adapter = PerceiverBridge(spec.hidden, target.hidden, args.latents, args.depth)
    if args.adapter_params is not None:
        bridge = Adapter(args.adapter_params)
    same = {
        name: getattr(work, name) for name in ("seq_len", "batch", "dtype", "attn", "padded", "transformers")
    }
    read = Workload(hidden_states=True, **same)
    length = args.target_seq_len or work.seq_len
    write = work.but(regime="frozen_grad", seq_len=length, hidden_states=False)
    return estimate_pair(
        spec,
        target,
        read,
        write,
        bridge,
        target_frozen=not args.target_unfrozen,
        share_weights=spec.id == target.id,
    )


def _traced(args: argparse.Namespace, spec: ModelSpec, work: Workload) -> Estimate:
    from telepathy_runtime.memory.standard_step import trace_workload
    from telepathy_runtime.memory.tracing import TraceError

    check_runs(spec, work)
    try:
        return trace_workload(_traceable(args, spec), work)
    except TraceError as error:
        raise ValueError(str(error)) from error


def _traceable(args: argparse.Namespace, spec: ModelSpec) -> ModelSpec | Path:
    """The path of the model's config.json, or the spec of a listed model."""
    if not args.model:
        return spec
    path = Path(args.model)
    return path if path.exists() else lookup.cached(args.model) or spec


def _compare(args: argparse.Namespace) -> int:
    result = log.compare(args.log)
    if args.plot:
        draw_steps(args.plot, log.lines(args.log), f"Memory of the steps in {Path(args.log).name}")
    if args.json:
        print(
            json.dumps(dataclasses.asdict(result) | {"summary": result.summary, "bad": result.bad}, indent=2)
        )
        return int(result.bad)
    header = ("event", "what", "device", "step", "estimate", "measured", "ratio", "verdict")
    rows = [
        (
            row.event,
            row.label or "-",
            row.device,
            row.step,
            gib(row.estimated) if row.estimated is not None else "-",
            gib(row.measured) if row.measured is not None else "not measured",
            f"{row.ratio:.3f}" if row.ratio is not None else "-",
            row.verdict,
        )
        for row in result.rows
    ]
    print(render.table(header, rows, left=3) if rows else "no record has an estimate to compare")
    summary = result.summary
    if summary["measured"]:
        print(
            f"\nestimate / measured over {summary['measured']} records:\nmin {summary['min']:.3f}, "
            f"median {summary['median']:.3f}, max {summary['max']:.3f}, below 1: {summary['below_1']:.0%}"
        )
    for device, code, message in result.findings:
        print(f"{device}: {code}: {message}")
    return int(result.bad)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the four commands on their own."""
    parser = argparse.ArgumentParser(prog="telepathy-runtime", description=__doc__)
    add_parsers(parser.add_subparsers(required=True, metavar="COMMAND"))
    args = parser.parse_args(arguments)
    code: int = args.run(args)
    return code


if __name__ == "__main__":
    sys.exit(main())
