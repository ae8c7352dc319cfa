"""Compare PollPolicy's defaults with other polling schedules in a simulation of 3-D Secure.

`nox -s simulate`, or `python benchmarks/polling.py` with wonder_payment and matplotlib installed, writes
polling.md and polling.svg, and fails if the defaults miss their targets. The same seeds give the same files.
"""

import math
import random
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from statistics import NormalDist, median, quantiles

import attrs
import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from wonder_payment import PollPolicy

# (seconds waited so far, polls so far) -> seconds until the next poll
Schedule = Callable[[float, int], float]

SEEDS = range(1, 6)  # the table and the chart show the first one; the targets hold for each
ROUND_TRIP = 0.1  # seconds; a poll reaches the gateway in the middle of it

# The cardholders: frictionless, or with a challenge. Times in seconds.
FRICTIONLESS = 4_000
CHALLENGED = 6_000
FRICTIONLESS_MAX = 3.0
CHALLENGED_MEDIAN = 25.0
CHALLENGED_P95 = 120.0
TOLERANCE = 0.1  # the share by which a sample's percentile may be off

DEFAULT = "PollPolicy()"
VENDOR = "fixed 1 s (vendor's SDK)"
# Each counts from the response to the last poll.
SCHEDULES: dict[str, Schedule] = {
    DEFAULT: lambda elapsed, _polls: PollPolicy().delay(elapsed),
    VENDOR: lambda _elapsed, _polls: 1.0,
    "fixed 2 s": lambda _elapsed, _polls: 2.0,
    "0.5 s, doubled up to 8 s": lambda _elapsed, polls: min(8.0, 0.5 * 2.0 ** (polls - 1)),
}

# The targets of the default: a share of the vendor's requests, and seconds.
MAX_REQUESTS = 0.5
MAX_MEDIAN = 1.0
MAX_P95 = 3.0

BLUE, GREY, RED = "#0969da", "#8c959f", "#cf222e"

HEADER = ("", "requests per cardholder", "total", "relative to vendor", "delay: median", "95th percentile", "max")


@attrs.frozen
class Result:
    """What a schedule costs: requests, and seconds from the end of 3-D Secure until the caller has the result."""

    requests: int
    per_cardholder: float
    of_vendor: float
    median: float
    p95: float
    maximum: float

    def cells(self) -> tuple[str, ...]:
        """Return the figures as a row of the table."""
        delays = (f"{seconds:.2f} s" for seconds in (self.median, self.p95, self.maximum))
        return (f"{self.per_cardholder:.1f}", f"{self.requests:,}", f"{self.of_vendor:.1%}", *delays)


def cardholders(seed: int) -> list[float]:
    """Return when 3-D Secure completes for each cardholder, in seconds from the first poll."""
    rng = random.Random(seed)
    sigma = math.log(CHALLENGED_P95 / CHALLENGED_MEDIAN) / NormalDist().inv_cdf(0.95)
    frictionless = [rng.uniform(0, FRICTIONLESS_MAX) for _ in range(FRICTIONLESS)]
    challenged = [rng.lognormvariate(math.log(CHALLENGED_MEDIAN), sigma) for _ in range(CHALLENGED)]
    last, middle, high = max(frictionless), median(challenged), p95(challenged)
    print(
        f"seed {seed}: {FRICTIONLESS:,} frictionless, the last after {last:.2f} s; "
        f"{CHALLENGED:,} challenged, median {middle:.1f} s, 95th percentile {high:.1f} s"
    )
    off = max(abs(middle / CHALLENGED_MEDIAN - 1), abs(high / CHALLENGED_P95 - 1))
    if last > FRICTIONLESS_MAX or off > TOLERANCE:
        sys.exit("The sample does not have the distribution above.")
    return frictionless + challenged


def p95(values: Iterable[float]) -> float:
    """Return the 95th percentile."""
    return quantiles(values, n=20)[-1]


def wait(schedule: Schedule, end: float) -> tuple[int, float]:
    """Return the number of polls, and the seconds from the end of 3-D Secure to the response that shows it."""
    sent, polls = 0.0, 1
    while sent + ROUND_TRIP / 2 < end:
        received = sent + ROUND_TRIP
        sent = received + schedule(received, polls)
        polls += 1
    return polls, sent + ROUND_TRIP - end


def simulate(seed: int) -> dict[str, Result]:
    """Return what each schedule costs with the same cardholders. None of them gives up."""
    ends = cardholders(seed)
    waits = {}
    for name, schedule in SCHEDULES.items():
        random.seed(seed)  # the jitter of PollPolicy
        waits[name] = [wait(schedule, end) for end in ends]
    requests = {name: sum(polls for polls, _ in of_all) for name, of_all in waits.items()}
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
    """Return an aligned Markdown table."""
    rows = [
        HEADER,
        *((name, *result.cells()) for name, result in results.items()),
        (f"{DEFAULT}, worst of {len(SEEDS)} seeds", *of_default.cells()),
        ("target", "", "", f"≤ {MAX_REQUESTS:.0%}", f"< {MAX_MEDIAN:g} s", f"< {MAX_P95:g} s", ""),
    ]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [[row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])] for row in rows]
    lines.insert(1, ["-" * widths[0], *("-" * (width - 1) + ":" for width in widths[1:])])
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def page(figures: str) -> str:
    """Return polling.md."""
    return (
        "# Polls until 3-D Secure completes\n\n"
        f"{figures}\n"
        f"The simulation has {FRICTIONLESS + CHALLENGED:,} cardholders: {FRICTIONLESS:,} frictionless, within "
        f"{FRICTIONLESS_MAX:g} s, and {CHALLENGED:,} with a challenge (log-normal, median {CHALLENGED_MEDIAN:g} s, "
        f"95th percentile {CHALLENGED_P95:g} s). The first poll is at second 0, and a round trip takes "
        f"{ROUND_TRIP:g} s. The delay is the time from the end of 3-D Secure until the caller has the result. Fewer "
        "requests mean a longer delay: a good schedule is low in both.\n"
    )


def plot(results: dict[str, Result], path: Path) -> None:
    """Draw requests and delays, a row for each schedule, with the targets of the default."""
    figure = Figure(figsize=(7.2, 2.5), layout=ConstrainedLayoutEngine(w_pad=0.1, h_pad=0.1))
    left, right = figure.subplots(1, 2, sharey=True, width_ratios=[2, 3])
    for row, (name, result) in enumerate(results.items()):
        color = BLUE if name == DEFAULT else GREY
        left.barh(row, result.per_cardholder, height=0.45, color=color)
        left.text(result.per_cardholder + 0.8, row, f"{result.per_cardholder:.1f}", va="center")
        right.plot([result.median, result.p95], [row, row], color=color, linewidth=2.5, zorder=1)
        right.scatter(result.median, row, s=50, color=color)
        right.scatter(result.p95, row, s=50, facecolor="white", edgecolor=color, linewidth=2)
        delays = f"{result.median:.1f} s to {result.p95:.1f} s"
        right.text(1, row, delays, transform=right.get_yaxis_transform(), ha="right", va="center")
    left.set_yticks(range(len(results)), list(results))
    left.set_ylim(len(results) - 0.5, -0.5)
    finish(left, "Requests per cardholder", results[VENDOR].per_cardholder, room=1.35)
    finish(right, "Delay: median ● to 95th percentile ○", max(result.p95 for result in results.values()), room=1.6)
    target(left, results[VENDOR].per_cardholder * MAX_REQUESTS, "half the vendor's")
    target(right, MAX_MEDIAN, f"● {MAX_MEDIAN:g} s")
    target(right, MAX_P95, f"○ {MAX_P95:g} s")
    # With a fixed salt and no date, the same figures give the same bytes.
    with mpl.rc_context({"svg.hashsalt": path.name}):
        figure.savefig(path, metadata={"Date": None})


def finish(axes: Axes, title: str, maximum: float, room: float) -> None:
    """Give half of the chart a title, space for the numbers beside the rows, and no frame."""
    axes.set_title(title, fontsize=10, loc="left")
    axes.set_xlim(0, maximum * room)
    axes.set_xticks([])
    axes.tick_params(left=False)
    axes.spines[:].set_visible(False)


def target(axes: Axes, value: float, label: str) -> None:
    """Draw a line; the default must stay left of it."""
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
    """Simulate, write the files, and fail if a target is missed."""
    by_seed = [simulate(seed) for seed in SEEDS]
    of_default = worst([results[DEFAULT] for results in by_seed])
    figures = table(by_seed[0], of_default)
    print(f"\n{figures}", end="")
    here = Path(__file__).parent
    (here / "polling.md").write_text(page(figures), encoding="utf-8", newline="\n")
    plot(by_seed[0], here / "polling.svg")
    if of_default.of_vendor > MAX_REQUESTS or of_default.median >= MAX_MEDIAN or of_default.p95 >= MAX_P95:
        sys.exit(f"{DEFAULT} misses a target.")


if __name__ == "__main__":
    main()
