"""Dashboards as pictures: each widget where the dashboard's grid has it, with its lines, numbers or rows.

A widget's frame is a group of the SVG whose id says which one it is and where it stands, and which holds its title, so
that a test can hold the picture against the template.
"""

import math
import re
import textwrap
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import matplotlib as mpl
from matplotlib import dates
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch
from matplotlib.ticker import FuncFormatter, MaxNLocator

from tests.support.cloudwatch.boards import Board, Widget
from tests.support.cloudwatch.insights import Line
from tests.support.cloudwatch.metrics import Metrics, Series, Window

# Inches of a unit of the grid, and the room for the board's own title.
_COLUMN, _ROW, _TOP = 0.66, 0.46, 0.55
_COLOURS = (
    "#1f77b4",
    "#ff7f0e",
    "#2ca02c",
    "#d62728",
    "#9467bd",
    "#8c564b",
    "#e377c2",
    "#7f7f7f",
    "#bcbd22",
    "#17becf",
)
_INK, _FAINT = "#16191f", "#687078"
_ROWS_SHOWN = 9
_SOURCE = "AWS's own metric"
# Of so few points each is to be seen, since none may have another beside it.
_FEW = 30
_DAY_S = 24 * 60 * 60
mpl.rcParams |= {
    "svg.fonttype": "none",
    # The same picture of the same figures.
    "svg.hashsalt": "pantheon",
    "font.size": 7,
    "axes.edgecolor": "#d5dbdb",
    "axes.labelcolor": _FAINT,
    "xtick.color": _FAINT,
    "ytick.color": _FAINT,
}


def draw(board: Board, metrics: Metrics, lines: Sequence[Line], end: float, path: Path) -> None:
    """Write the board's picture, as it looks when it is opened at `end`, in seconds."""
    window = Window(end - board.seconds, end)
    rows = max(widget.y + widget.height for widget in board.widgets)
    figure = Figure(figsize=(24 * _COLUMN, rows * _ROW + _TOP), facecolor="#f2f3f3")
    height = float(figure.get_figheight())
    span = f"{_day(window.start)} to {_day(window.end)}, UTC"
    figure.text(0.008, 1 - 0.3 / height, board.name, fontsize=13, weight="bold", color=_INK)
    figure.text(0.992, 1 - 0.3 / height, span, fontsize=9, color=_FAINT, ha="right")
    for number, widget in enumerate(board.widgets):
        box = (
            widget.x / 24,
            1 - (_TOP + (widget.y + widget.height) * _ROW) / height,
            widget.width / 24,
            widget.height * _ROW / height,
        )
        _frame(figure, widget, number, box)
        if widget.kind != "text":
            inner = _inside(box, float(figure.get_figwidth()), height)
            _fill(figure.add_axes(inner), widget, metrics, lines, window)
    figure.savefig(path, format="svg", metadata={"Date": None, "Title": board.name})


def _frame(figure: Figure, widget: Widget, number: int, box: tuple[float, float, float, float]) -> None:
    x, y, width, height = box
    across, up = 0.05 / float(figure.get_figwidth()), 0.05 / float(figure.get_figheight())
    card = FancyBboxPatch(
        (x + across, y + up), width - 2 * across, height - 2 * up, boxstyle="square,pad=0", fc="white", ec="#d5dbdb",
        lw=0.6, transform=figure.transFigure, zorder=-1,
    )  # fmt: skip
    figure.add_artist(card)
    stands = f"widget-{number}-{widget.x}-{widget.y}-{widget.width}-{widget.height}"
    place = (x + 3 * across, y + height - 0.24 / float(figure.get_figheight()))
    if widget.kind == "text":
        written = "\n".join(textwrap.wrap(widget.title, widget.width * 9))
        figure.text(*place, written, va="top", fontsize=8, color=_INK, linespacing=1.5, gid=stands)
    else:
        figure.text(*place, widget.title, fontsize=8.5, weight="bold", color=_INK, gid=stands)
    if widget.by_aws:
        place = (x + width - 3 * across, y + height - 0.24 / float(figure.get_figheight()))
        figure.text(*place, _SOURCE, fontsize=6.5, style="italic", color=_FAINT, ha="right")


def _inside(
    box: tuple[float, float, float, float], inches: float, inches_high: float
) -> tuple[float, float, float, float]:
    """Where there is room beside title, ticks and legend."""
    x, y, width, height = box
    left, right, top, bottom = 0.56 / inches, 0.16 / inches, 0.42 / inches_high, 0.62 / inches_high
    return x + left, y + bottom, width - left - right, height - top - bottom


def _fill(axes: Axes, widget: Widget, metrics: Metrics, lines: Sequence[Line], window: Window) -> None:
    if widget.kind == "log":
        _tabulate(axes, *widget.table(lines))
    elif widget.properties["view"] == "singleValue":
        _number(axes, widget.lines(metrics, window))
    else:
        _plot(axes, widget, widget.lines(metrics, window), window)


def _plot(axes: Axes, widget: Widget, shown: Sequence[tuple[str, Series]], window: Window) -> None:
    moments = sorted({moment for _, series in shown for moment in series})
    times = [moment / _DAY_S for moment in moments]
    below = [0.0] * len(moments)
    for number, (label, series) in enumerate(shown):
        colour = _COLOURS[number % len(_COLOURS)]
        if widget.properties.get("stacked"):
            above = [low + series.get(moment, 0.0) for low, moment in zip(below, moments, strict=True)]
            axes.fill_between(times, below, above, color=colour, alpha=0.75, lw=0.4, label=label)
            below = above
        else:
            found = [moment / _DAY_S for moment in series]
            lonely = "." if len(series) <= _FEW else ""
            axes.plot(found, list(series.values()), color=colour, lw=1.0, marker=lonely, ms=4, label=label)
    # Matplotlib counts days.
    axes.set_xlim(window.start / _DAY_S, window.end / _DAY_S)
    if not moments:
        axes.text(0.5, 0.5, "no data", ha="center", color=_FAINT, transform=axes.transAxes)
    top = max([*below, *(value for _, series in shown for value in series.values()), 0.0])
    axes.set_ylim(widget.properties["yAxis"]["left"]["min"], top * 1.12 or 1.0)
    axes.yaxis.set_major_locator(MaxNLocator(4, integer=top >= 4))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: _short(value)))
    locator = dates.AutoDateLocator(minticks=3, maxticks=6 if widget.width < 8 else 8)
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_major_formatter(dates.DateFormatter("%m/%d" if window.end - window.start > _DAY_S else "%H:%M"))
    axes.set_axisbelow(True)
    axes.grid(axis="y", color="#eaeded", lw=0.6)
    axes.tick_params(length=2, labelsize=6.5)
    axes.spines[["top", "right"]].set_visible(False)
    columns = max(1, min(len(shown), math.floor(widget.width * 12 / (max(len(label) for label, _ in shown) + 5))))
    if shown:
        axes.legend(
            loc="upper left", bbox_to_anchor=(-0.02, -0.13), ncols=columns, fontsize=5.8, frameon=False,
            handlelength=1.0, columnspacing=1.0, borderaxespad=0.2, labelspacing=0.15, labelcolor=_INK,
        )  # fmt: skip


def _number(axes: Axes, shown: Sequence[tuple[str, Series]]) -> None:
    """The newest value of each."""
    axes.set_axis_off()
    for number, (label, series) in enumerate(shown):
        across = (number + 0.02) / len(shown)
        newest = f"{series[max(series)]:,.6g}" if series else "--"
        axes.text(across, 0.35, newest, fontsize=17, color=_INK, transform=axes.transAxes)
        axes.text(across, -0.15, label, fontsize=7.5, color=_FAINT, transform=axes.transAxes)


def _tabulate(axes: Axes, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    axes.set_axis_off()
    shown = rows[-_ROWS_SHOWN:] if columns[0].startswith("bin") else rows[:_ROWS_SHOWN]
    widths = [max(len(row[number]) for row in [columns, *shown]) + 3 for number in range(len(columns))]
    starts = [sum(widths[:number]) / sum(widths) for number in range(len(columns))]
    for line, row in enumerate([columns, *shown]):
        for start, cell in zip(starts, row, strict=True):
            bold = "bold" if line == 0 else "normal"
            height = 0.96 - line * 1.14 / (_ROWS_SHOWN + 1)
            axes.text(start - 0.04, height, cell, fontsize=7, weight=bold, color=_INK, transform=axes.transAxes)


def _short(value: float) -> str:
    """As CloudWatch has it: 1.5k, 20M, 93G."""
    for size, unit in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= size:
            return f"{value / size:.4g}{unit}"
    return f"{value:.4g}" if abs(value) >= 0.0001 or value == 0 else re.sub("e-0", "e-", f"{value:.1e}")


def _day(moment: float) -> str:
    return f"{datetime.fromtimestamp(moment, UTC):%Y-%m-%d %H:%M}"
