"""The targets of bench.py: each compares two contenders, round by round."""

from collections.abc import Callable, Sequence

import attrs

from .rounds import Round, Spread, Turn, cpu_of, lag_of, time_of

# A target that is missed by less is met.
TOLERANCE = 0.05

ONE_BY_ONE, THREADS, IN_FLIGHT, IMPORT = "one call at a time", "8 threads", "64 in flight", "import"


@attrs.frozen
class Figure:
    """What is compared, and how."""

    name: str
    bound: str
    unit: str
    compare: Callable[[Turn, Turn], float]


CPU = Figure("CPU relative to", "at most", " x", lambda ours, theirs: cpu_of(ours) / cpu_of(theirs))
SPEED = Figure("speed relative to", "at least", " x", lambda ours, theirs: time_of(theirs) / time_of(ours))
TIME = Figure("time relative to", "at most", " x", lambda ours, theirs: time_of(ours) / time_of(theirs))
LAG = Figure("event loop lag, p99, over", "at most", " ms", lambda ours, theirs: 1000 * (lag_of(ours) - lag_of(theirs)))


@attrs.frozen
class Target:
    """A bound for the median of the rounds."""

    group: str
    ours: str
    figure: Figure
    theirs: str
    bound: float

    def row(self, rounds: Sequence[Round]) -> tuple[str, str, str, str]:
        """Return the row of the table."""
        figure = self.figure
        measured = Spread.of(figure.compare(one[self.ours], one[self.theirs]) for one in rounds)
        if figure.bound == "at most":
            is_met = measured.middle <= self.bound * (1 + TOLERANCE)
        else:
            is_met = measured.middle >= self.bound * (1 - TOLERANCE)
        what = f"{self.ours}, {self.group}: {figure.name} {self.theirs}"
        return what, f"{figure.bound} {self.bound:g}{figure.unit}", f"{measured:.2f}{figure.unit}", MET[is_met]


MET = {True: "yes", False: "**no**"}

TARGETS = (
    Target(ONE_BY_ONE, "WonderClient", CPU, "httpx by hand", 0.95),
    Target(ONE_BY_ONE, "WonderClient", SPEED, "requests by hand", 25),
    Target(ONE_BY_ONE, "WonderClient, fast", CPU, "httpx by hand", 0.85),
    Target(ONE_BY_ONE, "WonderClient, fast", CPU, "urllib3 by hand", 1.05),
    Target(ONE_BY_ONE, "WonderClient, fast", SPEED, "openapi-generator", 1.2),
    Target(THREADS, "WonderClient", SPEED, "httpx by hand", 1),
    Target(THREADS, "WonderClient, fast", SPEED, "httpx by hand", 1),
    Target(IN_FLIGHT, "AsyncWonderClient", SPEED, "httpx by hand", 2.2),
    Target(IN_FLIGHT, "AsyncWonderClient, fast", SPEED, "httpx by hand", 4),
    Target(IN_FLIGHT, "AsyncWonderClient, fast", SPEED, "aiohttp by hand", 0.78),
    Target(IN_FLIGHT, "AsyncWonderClient", LAG, "idle", 6),
    Target(IN_FLIGHT, "AsyncWonderClient, fast", LAG, "idle", 4),
    Target(IMPORT, "wonder_payment", TIME, "its dependencies", 1.2),
)


def missed(rows: Sequence[tuple[str, ...]]) -> list[str]:
    """Return the targets that these rows miss, in words."""
    return [f"{what}: {measured}, wanted {bound}" for what, bound, measured, met in rows if met == MET[False]]
