"""Charts of memory: stacked bars compared with the GPU's capacity, and the peaks of a job's steps. Needs matplotlib."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from textwrap import wrap
from typing import Any, NamedTuple

from telepathy_runtime.memory.gpus import GIB, Gpu
from telepathy_runtime.memory.instants import COMPONENTS, Instant
from telepathy_runtime.models.spec import UnknownOptionError

# Okabe and Ito's colours, which colour-blind readers can distinguish.
COLOURS = {
    "weights": "#0072B2",
    "gradients": "#E69F00",
    "optimizer": "#D55E00",
    "activations": "#009E73",
    "logits": "#CC79A7",
    "kv_cache": "#56B4E9",
    "transient": "#999999",
}
TITLE_WIDTH = 90  # characters
ROOM = 1.03
"""Width of the plot divided by its largest number."""


def draw(
    path: str | os.PathLike[str], bars: Sequence[tuple[str, Instant]], card: Gpu, reserve: float, title: str
) -> None:
    """Write an SVG or PNG with one bar per instant, stacked by component, and the card's budget and capacity.

    Raises UnknownOptionError for another suffix, or if matplotlib is missing (with the command to install
    it); OSError if the file cannot be written.
    """
    figure = _figure(path, 9.5, 1.9 + 0.42 * len(bars))
    axes = figure.add_subplot()
    _bars(axes, bars)
    _limits(axes, bars, card, reserve)
    axes.set_title("\n".join(wrap(title, TITLE_WIDTH)), loc="left", fontsize=11, pad=22)
    axes.set_xlabel("GiB allocated on one device")
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.tick_params(axis="y", length=0)
    axes.set_axisbelow(True)
    axes.grid(axis="x", color="#dddddd", linewidth=0.6)
    figure.legend(loc="outside lower center", ncols=7, frameon=False, fontsize=9, handlelength=1.1)
    _save(figure, path)


def draw_steps(path: str | os.PathLike[str], lines: Sequence[Line], title: str) -> None:
    """Write an SVG or PNG of the measured peak of each step, a line for each device, with the plan and the capacity.

    Raises UnknownOptionError and OSError as `draw`.
    """
    figure = _figure(path, 9.5, 4.6)
    axes = figure.add_subplot()
    colours = list(COLOURS.values())
    for number, each in enumerate(lines):
        colour = colours[number % len(colours)]
        steps, sizes = [step for step, _ in each.points], [size / GIB for _, size in each.points]
        axes.plot(steps, sizes, color=colour, marker="o", markersize=4, label=f"{each.device}, {each.what}")
    # Ranks of one job have the same plan, and devices of one kind the same capacity.
    for size, style, name in sorted({limit for each in lines for limit in each.limits}):
        axes.axhline(size / GIB, color="#222222", linewidth=1.1, linestyle=style)
        axes.annotate(
            f"{name} {size / GIB:.1f}", (1, size / GIB), (0, 3), xycoords=axes.get_yaxis_transform(),
            textcoords="offset points", ha="right", fontsize=9,
        )  # fmt: skip
    axes.set_ylim(bottom=0)
    axes.xaxis.get_major_locator().set_params(integer=True)
    axes.set_title("\n".join(wrap(title, TITLE_WIDTH)), loc="left", fontsize=11)
    axes.set_xlabel("step")
    axes.set_ylabel("GiB on one device")
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="y", color="#dddddd", linewidth=0.6)
    figure.legend(loc="outside lower center", ncols=3, frameon=False, fontsize=9)
    _save(figure, path)


class Line(NamedTuple):
    """The measurements of one device in one process: (step, bytes), and horizontal lines: bytes, style, name."""

    device: str
    what: str
    points: Sequence[tuple[int, int]]
    limits: Sequence[tuple[int, str, str]]


def _figure(path: str | os.PathLike[str], width: float, height: float) -> Any:
    file = Path(path)
    if file.suffix not in (".svg", ".png"):
        raise UnknownOptionError(f"a picture is .svg or .png, not {file.suffix or file.name!r}")
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.backends.backend_svg import FigureCanvasSVG
        from matplotlib.figure import Figure
    except ImportError as error:
        raise UnknownOptionError("a picture needs matplotlib: pip install 'telepathy-lint[plot]'") from error
    figure = Figure(figsize=(width, height), layout="constrained")
    (FigureCanvasSVG if file.suffix == ".svg" else FigureCanvasAgg)(figure)
    return figure


def _save(figure: Any, path: str | os.PathLike[str]) -> None:
    from matplotlib import rc_context

    file = Path(path)
    # No date and no random names, so that the same plan gives the same file.
    with rc_context({"svg.hashsalt": "telepathy"}):
        try:
            figure.savefig(file, dpi=150, metadata={"Date": None} if file.suffix == ".svg" else None)
        except OSError as error:  # the error of a full disk does not name the file
            raise OSError(error.errno, error.strerror, str(file)) from error


def _bars(axes: Any, bars: Sequence[tuple[str, Instant]]) -> None:
    places = list(range(len(bars)))[::-1]
    left = [0.0] * len(bars)
    for name in COMPONENTS:
        sizes = [getattr(instant, name) / GIB for _, instant in bars]
        if not any(sizes):
            continue
        label = "KV cache" if name == "kv_cache" else name
        axes.barh(places, sizes, left=left, color=COLOURS[name], label=label, height=0.68, linewidth=0)
        left = [start + size for start, size in zip(left, sizes, strict=True)]
    highest = max(left)
    for place, end in zip(places, left, strict=True):
        weight = "bold" if end == highest else "normal"
        # In a separate column, because the limits would cross labels at the ends of the bars.
        axes.annotate(
            f"{end:.1f}", (1.01, place), xycoords=axes.get_yaxis_transform(), va="center", fontsize=9,
            fontweight=weight,
        )  # fmt: skip
    axes.set_yticks(places, [label for label, _ in bars], fontsize=9)


def _limits(axes: Any, bars: Sequence[tuple[str, Instant]], card: Gpu, reserve: float) -> None:
    """Two lines above the bars: the memory to plan with, and the card's capacity."""
    highest = max(instant.total for _, instant in bars) / GIB
    budget, total = card.budget(reserve) / GIB, card.total_bytes / GIB
    # A card many times larger than the bars would make them invisible; then only the text names it.
    shown = total < 3 * highest
    axes.set_xlim(0, max(highest, total if shown else 0) * ROOM)
    axes.set_ylim(-0.6, len(bars) - 0.4)
    if not shown:
        text = f"{card.name}: {budget:.1f} GiB to plan with, {total:.1f} GiB in all (beyond the plot)"
        axes.annotate(
            text, (1, 1), (0, 5), xycoords="axes fraction", textcoords="offset points", ha="right", fontsize=9
        )
        return
    top = axes.get_xaxis_transform()
    for place, style in ((budget, "--"), (total, "-")):
        axes.axvline(place, color="#222222", linewidth=1.1, linestyle=style, zorder=4)
    axes.annotate(
        f"to plan with {budget:.1f}  ", (budget, 1), (0, 5), xycoords=top, textcoords="offset points",
        ha="right", fontsize=9,
    )  # fmt: skip
    axes.annotate(
        f"{card.name} {total:.1f}", (total, 1), (0, 5), xycoords=top, textcoords="offset points",
        ha="center", fontsize=9,
    )  # fmt: skip
