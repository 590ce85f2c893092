"""Draw a dashboard: each widget at its place in the grid, with its title and its lines or numbers.

The id of a title's group in the SVG says which widget it is and its place. A test compares them with the template.
"""

import textwrap
from pathlib import Path

import matplotlib as mpl
from matplotlib import dates
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from tests.support.cloudwatch.boards import Board, Widget
from tests.support.cloudwatch.metrics import Metrics, Series, Window

# Inches of a unit of the grid, and of the line with the dashboard's name.
_COLUMN, _ROW, _TOP = 0.66, 0.46, 0.5
_GREY = "#687078"
_DAY_S = 24 * 60 * 60
_FEW = 30
# The same figures give the same file.
mpl.rcParams |= {"svg.fonttype": "none", "svg.hashsalt": "pantheon", "font.size": 6.5}


def draw(board: Board, metrics: Metrics, end: float, path: Path) -> None:
    """Write the dashboard as it looks when a person opens it at `end`, in seconds."""
    window = Window(end - board.seconds, end)
    high = max(widget.y + widget.height for widget in board.widgets) * _ROW + _TOP
    figure = Figure(figsize=(24 * _COLUMN, high), facecolor="#f2f3f3")
    figure.text(0.008, 1 - 0.3 / high, board.name, fontsize=13, weight="bold")
    for number, widget in enumerate(board.widgets):
        left, width = widget.x / 24, widget.width / 24
        top, height = 1 - (_TOP + widget.y * _ROW) / high, widget.height * _ROW / high
        card = (left + 0.002, top - height + 0.05 / high), width - 0.004, height - 0.1 / high
        figure.add_artist(Rectangle(*card, facecolor="white", transform=figure.transFigure, zorder=-1))
        _write_title(figure, widget, number, left + 0.007, top - 0.12 / high)
        if widget.kind == "metric":
            inner = (left + 0.03, top - height + 0.65 / high, width - 0.04, height - 1.1 / high)
            _fill(figure.add_axes(inner), widget, metrics, window)
    figure.savefig(path, format="svg", metadata={"Date": None, "Title": board.name})


def _write_title(figure: Figure, widget: Widget, number: int, x: float, y: float) -> None:
    place = f"widget-{number}-{widget.x}-{widget.y}-{widget.width}-{widget.height}"
    title = widget.title if widget.kind != "text" else "\n".join(textwrap.wrap(widget.title, widget.width * 9))
    figure.text(x, y, title, va="top", fontsize=8.5, gid=place)
    if widget.kind == "log":
        # Each command of the query is a line.
        query = widget.properties["query"].replace("| ", "\n| ").replace("\n\n", "\n")
        figure.text(x, y - 0.01, query, va="top", fontsize=6, color=_GREY)


def _fill(axes: Axes, widget: Widget, metrics: Metrics, window: Window) -> None:
    shown = widget.lines(metrics, window)
    if widget.properties["view"] == "singleValue":
        _write_numbers(axes, shown)
        return
    axes.margins(y=0.1)
    # Matplotlib counts days.
    below = dict.fromkeys(sorted({moment for _, series in shown for moment in series}), 0.0)
    for label, series in shown:
        if widget.properties.get("stacked"):
            above = {moment: low + series.get(moment, 0.0) for moment, low in below.items()}
            times = [moment / _DAY_S for moment in below]
            axes.fill_between(times, list(below.values()), list(above.values()), label=label)
            below = above
        else:
            # A line through few points may be a single one.
            marker = "." if len(series) < _FEW else ""
            axes.plot([moment / _DAY_S for moment in series], list(series.values()), lw=1.0, marker=marker, label=label)
    axes.set_xlim(window.start / _DAY_S, window.end / _DAY_S)
    axes.set_ylim(bottom=widget.properties["yAxis"]["left"]["min"])
    axes.xaxis.set_major_locator(dates.AutoDateLocator(minticks=3, maxticks=6))
    axes.xaxis.set_major_formatter(dates.DateFormatter("%m/%d" if window.end - window.start > _DAY_S else "%H:%M"))
    axes.grid(axis="y", color="#eaeded", lw=0.6)
    axes.tick_params(length=2, colors=_GREY)
    if shown:
        columns = max(1, widget.width * 12 // (max(len(label) for label, _ in shown) + 5))
        axes.legend(loc="upper left", bbox_to_anchor=(-0.02, -0.13), ncols=columns, fontsize=5.8, frameon=False)


def _write_numbers(axes: Axes, shown: list[tuple[str, Series]]) -> None:
    """Write the newest value of each line."""
    axes.set_axis_off()
    for number, (label, series) in enumerate(shown):
        newest = f"{series[max(series)]:,.6g}" if series else "--"
        axes.text(number / len(shown), 0.35, newest, fontsize=17, transform=axes.transAxes)
        axes.text(number / len(shown), -0.15, label, fontsize=7.5, color=_GREY, transform=axes.transAxes)
