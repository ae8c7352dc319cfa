"""What bench.py writes: figures with their spread, what is wanted of them, a page and a chart."""

from __future__ import annotations

from statistics import median
from typing import TYPE_CHECKING, Self

import attrs
import matplotlib as mpl
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

BLUE, GREY, RED = "#0969da", "#8c959f", "#cf222e"

FARTHEST = 3.0  # of the chart, in times of what is wanted


def percentile(values: Iterable[float], percent: float) -> float:
    """Return the value that so many percent are not above, in a straight line between two."""
    ordered = sorted(values)
    place = percent / 100 * (len(ordered) - 1)
    below = int(place)
    return ordered[below] + (place - below) * (ordered[min(below + 1, len(ordered) - 1)] - ordered[below])


@attrs.frozen
class Spread:
    """What several rounds gave: the median, the 10th and the 90th percentile."""

    middle: float
    low: float
    high: float

    @classmethod
    def of(cls, values: Iterable[float]) -> Self:
        """Take in what each round gave."""
        seen = list(values)
        return cls(median(seen), percentile(seen, 10), percentile(seen, 90))

    def __format__(self, form: str) -> str:
        if self.low == self.high:
            return format(self.middle, form)
        return f"{self.middle:{form}} ({self.low:{form}} to {self.high:{form}})"


@attrs.frozen(kw_only=True)
class Goal:
    """Something that is wanted, at most or at least, and what was measured of it."""

    what: str
    measured: Spread
    most: float | None = None
    least: float | None = None
    unit: str = ""
    form: str = ".2f"
    remark: str = ""

    @property
    def is_met(self) -> bool:
        """Whether the median is what is wanted."""
        return self.share(self.measured.middle) <= 1

    def share(self, value: float) -> float:
        """Return a value in times of what is wanted, turned so that less is better."""
        if self.least is not None:
            return self.least / value
        return value / self.most if self.most else 1 + value

    def cells(self) -> tuple[str, ...]:
        """Return a row of the table."""
        bound = f"at most {self.most:g}" if self.least is None else f"at least {self.least:g}"
        measured = f"{self.measured:{self.form}}{self.unit}{self.remark}"
        return self.what, f"{bound}{self.unit}", measured, "yes" if self.is_met else "**no**"


HEADER = ("what", "wanted", "measured", "met")
FIGURES = ("", "time of a call", "CPU of a call", "calls a second", "event loop lag, p99 / idle")


def table(rows: Sequence[tuple[str, ...]]) -> str:
    """Return a table, in Markdown that lines up as plain text, too."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [[cell.ljust(width) for cell, width in zip(row, widths, strict=True)] for row in rows]
    lines.insert(1, ["-" * width for width in widths])
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def page(goals: Sequence[Goal], figures: Sequence[tuple[str, ...]], *notes: str) -> str:
    """Return RESULTS.md."""
    return (
        "# How fast, and how much memory\n\n"
        f"{table([HEADER, *(goal.cells() for goal in goals)])}\n"
        "![Each figure in times of what is wanted](results.svg)\n\n"
        "Before the parentheses stands the median of the rounds, in them their 10th and 90th percentiles. In the "
        "chart, what is left of the dashed line is better than wanted.\n\n"
        "## Each contender's own figures\n\n"
        f"{table([FIGURES, *figures])}\n" + "\n".join(f"{note.strip()}\n" for note in notes)
    )


def plot(goals: Sequence[Goal], path: Path) -> None:
    """Draw each figure in times of what is wanted, with its spread."""
    figure = Figure(figsize=(13, 0.6 + 0.3 * len(goals)), layout=ConstrainedLayoutEngine(w_pad=0.1, h_pad=0.1))
    axes = figure.subplots()
    for row, goal in enumerate(goals):
        color = BLUE if goal.is_met else RED
        ends = sorted(min(goal.share(value), FARTHEST) for value in (goal.measured.low, goal.measured.high))
        middle = min(goal.share(goal.measured.middle), FARTHEST)
        axes.plot(ends, [row, row], color=color, linewidth=2.5, zorder=1)
        axes.scatter(middle, row, s=40, color=color, marker=">" if middle == FARTHEST else "o")
    axes.axvline(1, color=GREY, linewidth=1, linestyle="dashed", zorder=0)
    axes.set_yticks(range(len(goals)), [goal.what for goal in goals], fontsize=8)
    axes.set_ylim(len(goals) - 0.5, -0.5)
    axes.set_xlim(0, FARTHEST * 1.05)
    right = axes.secondary_yaxis("right")
    right.set_yticks(range(len(goals)), [f"{goal.cells()[2]}, wanted {goal.cells()[1]}" for goal in goals], fontsize=8)
    right.tick_params(right=False)
    right.spines[:].set_visible(False)
    axes.set_xticks([0, 1, 2, 3], ["0", "1: as wanted", "2", "3 or more"], fontsize=8)
    axes.tick_params(left=False)
    axes.spines[:].set_visible(False)
    # A salt of its own and no date: the same figures give the same bytes.
    with mpl.rc_context({"svg.hashsalt": path.name}):
        figure.savefig(path, metadata={"Date": None})
