"""How often to ask whether 3-D Secure has ended: PollPolicy's defaults against other schedules, simulated.

`nox -s bench_polling`, or `python benchmarks/polling.py` with wonder_payment and matplotlib installed: prints a table,
writes polling.md and polling.svg beside itself, and fails when the defaults miss what is wanted of them. The same seeds
give the same files.
"""

from __future__ import annotations

import math
import random
import sys
from pathlib import Path
from statistics import NormalDist, median, quantiles
from typing import TYPE_CHECKING

import attrs
import matplotlib as mpl
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from wonder_payment.retry import PollPolicy

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from matplotlib.axes import Axes

    # (seconds waited so far, looks so far) -> seconds until the next look
    Schedule = Callable[[float, int], float]

SEEDS = range(1, 6)  # the table and the chart are the first one's; the goals hold for each
ROUND_TRIP = 0.1  # seconds; the gateway sees a look in the middle of it

# The card holders: frictionless ones, waved through, and challenged ones, who have to act. Times in seconds.
FRICTIONLESS = 4_000
CHALLENGED = 6_000
FRICTIONLESS_MOST = 3.0
CHALLENGED_MEDIAN = 25.0
CHALLENGED_P95 = 120.0
TOLERANCE = 0.1  # the share by which a sample's percentile may be off

DEFAULT = "PollPolicy()"
VENDOR = "fixed 1 s (vendor's SDK)"
# Each counts from the answer to the last look.
SCHEDULES: dict[str, Schedule] = {
    DEFAULT: lambda elapsed, _looks: PollPolicy().delay(elapsed),
    VENDOR: lambda _elapsed, _looks: 1.0,
    "fixed 2 s": lambda _elapsed, _looks: 2.0,
    "0.5 s, doubled up to 8 s": lambda _elapsed, looks: min(8.0, 0.5 * 2.0 ** (looks - 1)),
}

# What is wanted of the default: a share of the vendor's requests, and seconds.
MOST_REQUESTS = 0.5
MOST_MEDIAN = 1.0
MOST_P95 = 3.0

BLUE, GREY, RED = "#0969da", "#8c959f", "#cf222e"

HEADER = ("", "requests per card holder", "in all", "of the vendor's", "delay: median", "95th percentile", "max")


@attrs.frozen
class Result:
    """What a schedule costs: requests sent, and the seconds from the end of 3-D Secure until the caller knows."""

    requests: int
    per_holder: float
    of_vendor: float
    median: float
    p95: float
    longest: float

    def cells(self) -> tuple[str, ...]:
        """Return the figures as a row of the table."""
        delays = (f"{seconds:.2f} s" for seconds in (self.median, self.p95, self.longest))
        return (f"{self.per_holder:.1f}", f"{self.requests:,}", f"{self.of_vendor:.1%}", *delays)


def card_holders(seed: int) -> list[float]:
    """Return when 3-D Secure ends for each card holder, in seconds from the first look, checked against its claim."""
    rng = random.Random(seed)
    sigma = math.log(CHALLENGED_P95 / CHALLENGED_MEDIAN) / NormalDist().inv_cdf(0.95)
    frictionless = [rng.uniform(0, FRICTIONLESS_MOST) for _ in range(FRICTIONLESS)]
    challenged = [rng.lognormvariate(math.log(CHALLENGED_MEDIAN), sigma) for _ in range(CHALLENGED)]
    last, middle, high = max(frictionless), median(challenged), p95(challenged)
    print(
        f"seed {seed}: {FRICTIONLESS:,} frictionless, the last after {last:.2f} s; "
        f"{CHALLENGED:,} challenged, median {middle:.1f} s, 95th percentile {high:.1f} s"
    )
    off = max(abs(middle / CHALLENGED_MEDIAN - 1), abs(high / CHALLENGED_P95 - 1))
    if last > FRICTIONLESS_MOST or off > TOLERANCE:
        sys.exit("The sample is not distributed as it claims to be.")
    return frictionless + challenged


def p95(values: Iterable[float]) -> float:
    """Return the 95th percentile."""
    return quantiles(values, n=20)[-1]


def wait(schedule: Schedule, end: float) -> tuple[int, float]:
    """Return the looks it takes to see that 3-D Secure ended, and the seconds from its end to that look's answer."""
    sent, looks = 0.0, 1
    while sent + ROUND_TRIP / 2 < end:
        answered = sent + ROUND_TRIP
        sent = answered + schedule(answered, looks)
        looks += 1
    return looks, sent + ROUND_TRIP - end


def simulate(seed: int) -> dict[str, Result]:
    """Return what each schedule costs with the same card holders, none of whom gives up."""
    ends = card_holders(seed)
    waits = {}
    for name, schedule in SCHEDULES.items():
        random.seed(seed)  # the jitter of PollPolicy
        waits[name] = [wait(schedule, end) for end in ends]
    requests = {name: sum(looks for looks, _ in of_all) for name, of_all in waits.items()}
    delays = {name: [delay for _, delay in of_all] for name, of_all in waits.items()}
    return {
        name: Result(
            requests[name],
            requests[name] / len(ends),
            requests[name] / requests[VENDOR],
            median(delays[name]),
            p95(delays[name]),
            max(delays[name]),
        )
        for name in SCHEDULES
    }


def worst(results: list[Result]) -> Result:
    """Return the largest of each figure."""
    return Result(*(max(column) for column in zip(*map(attrs.astuple, results), strict=True)))


def table(results: dict[str, Result], of_default: Result) -> str:
    """Return the table, in Markdown that lines up as plain text, too."""
    rows = [
        HEADER,
        *((name, *result.cells()) for name, result in results.items()),
        (f"{DEFAULT}, worst of {len(SEEDS)} seeds", *of_default.cells()),
        ("wanted of it", "", "", f"≤ {MOST_REQUESTS:.0%}", f"< {MOST_MEDIAN:g} s", f"< {MOST_P95:g} s", ""),
    ]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [[row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])] for row in rows]
    lines.insert(1, ["-" * widths[0], *("-" * (width - 1) + ":" for width in widths[1:])])
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def page(figures: str) -> str:
    """Return polling.md."""
    return (
        "# Looks at a token until 3-D Secure ends\n\n"
        f"{figures}\n"
        f"{FRICTIONLESS + CHALLENGED:,} simulated card holders, {FRICTIONLESS:,} waved through within "
        f"{FRICTIONLESS_MOST:g} s and {CHALLENGED:,} challenged (log-normal, median {CHALLENGED_MEDIAN:g} s, 95th "
        f"percentile {CHALLENGED_P95:g} s), are looked at from second 0 until a look finds that 3-D Secure ended, each "
        f"look taking {ROUND_TRIP:g} s there and back. The delay is the time from that end until the caller knows; "
        "fewer requests cost a longer delay, and a good schedule is low in both, so read a row's requests and delays "
        "together.\n"
    )


def plot(results: dict[str, Result], path: Path) -> None:
    """Draw requests and delays, a row for each schedule, with what is wanted of the default."""
    figure = Figure(figsize=(7.2, 2.5), layout=ConstrainedLayoutEngine(w_pad=0.1, h_pad=0.1))
    left, right = figure.subplots(1, 2, sharey=True, width_ratios=[2, 3])
    for row, (name, result) in enumerate(results.items()):
        color = BLUE if name == DEFAULT else GREY
        left.barh(row, result.per_holder, height=0.45, color=color)
        left.text(result.per_holder + 0.8, row, f"{result.per_holder:.1f}", va="center")
        right.plot([result.median, result.p95], [row, row], color=color, linewidth=2.5, zorder=1)
        right.scatter(result.median, row, s=50, color=color)
        right.scatter(result.p95, row, s=50, facecolor="white", edgecolor=color, linewidth=2)
        delays = f"{result.median:.1f} s to {result.p95:.1f} s"
        right.text(1, row, delays, transform=right.get_yaxis_transform(), ha="right", va="center")
    left.set_yticks(range(len(results)), list(results))
    left.set_ylim(len(results) - 0.5, -0.5)
    finish(left, "Requests per card holder", results[VENDOR].per_holder, room=1.35)
    finish(right, "Delay: median ● to 95th percentile ○", max(result.p95 for result in results.values()), room=1.6)
    goal(left, results[VENDOR].per_holder * MOST_REQUESTS, "half the vendor's")
    goal(right, MOST_MEDIAN, f"● {MOST_MEDIAN:g} s")
    goal(right, MOST_P95, f"○ {MOST_P95:g} s")
    # A salt of its own and no date: the same figures give the same bytes.
    with mpl.rc_context({"svg.hashsalt": path.name}):
        figure.savefig(path, metadata={"Date": None})


def finish(axes: Axes, title: str, most: float, room: float) -> None:
    """Give a half of the chart its title, room for the numbers beside its rows, and no frame."""
    axes.set_title(title, fontsize=10, loc="left")
    axes.set_xlim(0, most * room)
    axes.set_xticks([])
    axes.tick_params(left=False)
    axes.spines[:].set_visible(False)


def goal(axes: Axes, value: float, label: str) -> None:
    """Draw a line that the default has to stay left of."""
    axes.axvline(value, color=RED, linewidth=1, linestyle="dashed", zorder=0)
    axes.annotate(
        label,
        (value, 0),
        (0, -3),
        xycoords=axes.get_xaxis_transform(),
        textcoords="offset points",
        color=RED,
        ha="center",
        va="top",
    )


def main() -> None:
    """Simulate, write the files, and fail when a goal is missed."""
    by_seed = [simulate(seed) for seed in SEEDS]
    of_default = worst([results[DEFAULT] for results in by_seed])
    figures = table(by_seed[0], of_default)
    print(f"\n{figures}", end="")
    here = Path(__file__).parent
    (here / "polling.md").write_text(page(figures), encoding="utf-8", newline="\n")
    plot(by_seed[0], here / "polling.svg")
    if of_default.of_vendor > MOST_REQUESTS or of_default.median >= MOST_MEDIAN or of_default.p95 >= MOST_P95:
        sys.exit(f"{DEFAULT} misses what is wanted of it.")


if __name__ == "__main__":
    main()
