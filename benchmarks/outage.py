"""Simulate outages of the gateway, and what the retry quota changes: pure simulation with the code of the clients.

`nox -s simulate`, or `python benchmarks/outage.py` with wonder_payment installed, writes outage.md, and fails if
the quota misses its target. The same seed gives the same file.
"""

import heapq
import itertools
import logging
import math
import random
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import attrs
from wonder_payment import PaymentToken, RetryPolicy, ServerError, WonderError, _flow, batch
from wonder_payment._flow import Attempt, Policy, Steps

# Whether the gateway is up at a time in seconds; it then returns a token, and otherwise HTTP 503.
Gateway = Callable[[float], bool]

CALLS = 10_000
SECONDS = 60.0
ROUND_TRIP = 0.1  # seconds; the gateway decides when the request is sent
TIMEOUT = 10.0

BATCH = 100_000
CONCURRENCY = 16
OUTAGE = (60.0, 660.0)  # of the batch, in seconds

# The target of the default: requests per call once the quota is spent.
MAX_REQUESTS = 1.2

DEFAULT, WITHOUT = RetryPolicy(), RetryPolicy(quota=None)
DOWN = ServerError("HTTP 503", status_code=503, request_id="sent")
TOKEN = PaymentToken(token="", token_type="", state="success", is_default=False, request_id="sent")


class Simulation:
    """Carries out flows at the same time, on a clock of its own.

    Attributes:
        now: The time in seconds.
        requests: When each request was sent.
        results: When each flow ended, and its result.
    """

    def __init__(self, gateway: Gateway) -> None:
        self.now = 0.0
        self.requests: list[float] = []
        self.results: list[tuple[float, batch.Result]] = []
        self._gateway = gateway
        self._events: list[tuple[float, int, Steps[tuple[batch.Result, int]], Any]] = []
        self._number = itertools.count()

    def add(self, steps: Steps[tuple[batch.Result, int]], result: object = None, *, after: float = 0.0) -> None:
        """Continue a flow after some seconds with the result of its last step."""
        heapq.heappush(self._events, (self.now + after, next(self._number), steps, result))

    def run(self, flows: Iterable[Steps[tuple[batch.Result, int]]] = ()) -> None:
        """Run until all flows have ended, and start one of ``flows`` whenever one ends."""
        flows = iter(flows)
        with self._clock():
            while self._events:
                self.now, _, steps, result = heapq.heappop(self._events)
                try:
                    step = steps.send(result)
                except StopIteration as end:
                    self.results.append((self.now, end.value[0]))
                    for following in itertools.islice(flows, 1):
                        self.add(following)
                    continue
                if isinstance(step, Attempt):
                    self.requests.append(self.now)
                    is_up = self._gateway(self.now)
                    error = ServerError("HTTP 503", status_code=503, request_id="sent")
                    self.add(steps, TOKEN if is_up else error, after=ROUND_TRIP)
                else:
                    self.add(steps, after=step)

    @contextmanager
    def _clock(self) -> Iterator[None]:
        clock: Any = SimpleNamespace(monotonic=lambda: self.now)
        real = _flow.time
        vars(_flow)["time"] = vars(batch)["time"] = clock
        try:
            yield
        finally:
            vars(_flow)["time"] = vars(batch)["time"] = real


@attrs.frozen
class Calls:
    """What single calls cost: requests per call, the same once the quota is spent, and the share that failed."""

    per_call: float
    per_call_spent: float | None
    failed: float


def simulate_calls(retry: RetryPolicy, gateway: Gateway, *, calls: int = CALLS, seconds: float = SECONDS) -> Calls:
    """Return what calls of one client cost that begin at an even pace."""
    random.seed(1)  # the jitter, and the gateway
    policy = Policy(retry, TIMEOUT)
    simulation = Simulation(gateway)
    for number in range(calls):
        simulation.add(_flow.attempts(policy), after=seconds * number / calls)
    simulation.run()
    errors = [(when, result) for when, result in simulation.results if isinstance(result, WonderError)]
    spent_at = min((when for when, error in errors if "retry quota" in str(error)), default=math.inf)
    begun = sum(seconds * number / calls >= spent_at for number in range(calls))
    sent = sum(when >= spent_at for when in simulation.requests)
    return Calls(len(simulation.requests) / calls, sent / begun if begun else None, len(errors) / calls)


def simulate_recovery(retry: RetryPolicy, per_second: float) -> tuple[float, float]:
    """Return the seconds from the end of an outage until a call can retry, and until nothing of the quota is spent."""
    policy = Policy(retry, TIMEOUT)
    while policy.quota.take(retry, DOWN):
        pass
    spent = policy.quota.spent
    simulation, seconds = Simulation(lambda _now: True), list[float]()
    for number in range(spent):
        simulation.now = number / per_second
        simulation.add(_flow.attempts(policy))
        simulation.run()
        seconds.append(simulation.now)
    if policy.quota.spent:
        sys.exit("The quota has not recovered.")
    return seconds[retry.quota_per_retry - 1], seconds[-1]


@attrs.frozen
class Batch:
    """What a batch costs: how many tokens failed, the requests per second during the outage, seconds in all."""

    failed: int
    per_second: float
    seconds: float


def simulate_batch(retry: RetryPolicy, *, tokens: int = BATCH, outage: tuple[float, float] = OUTAGE) -> Batch:
    """Return what a batch costs that meets an outage."""
    random.seed(1)
    policy, throttle = Policy(retry, TIMEOUT), batch.Throttle()
    simulation = Simulation(lambda now: not outage[0] <= now < outage[1])
    flows = (_flow.attempts(policy, throttle=throttle) for _ in range(tokens))
    for steps in itertools.islice(flows, CONCURRENCY):
        simulation.add(steps)
    simulation.run(flows)
    failed = sum(isinstance(result, WonderError) for _, result in simulation.results)
    requests = sum(outage[0] <= when < outage[1] for when in simulation.requests)
    return Batch(failed, requests / (outage[1] - outage[0]), simulation.now)


def failing(share: float) -> Gateway:
    """Return a gateway that is down for this share of the requests, at random."""
    return lambda _now: random.random() >= share


def per_call(requests: float | None) -> str:
    """Return the requests per call for a table; a dash if the quota was never spent."""
    return "-" if requests is None else f"{requests:.2f}"


def table(header: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """Return an aligned Markdown table."""
    lines = [list(header), *map(list, rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    cells = [[row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])] for row in lines]
    cells.insert(1, ["-" * widths[0], *("-" * (width - 1) + ":" for width in widths[1:])])
    return "".join(f"| {' | '.join(line)} |\n" for line in cells)


def page(calls: str, recovery: str, batches: str) -> str:
    """Return outage.md."""
    return (
        "# An outage of the gateway\n\n"
        f"{calls}\n"
        f"One client makes {CALLS:,} calls within {SECONDS:g} s, and the first column is the share of the responses "
        f"that are a 503. A round trip takes {ROUND_TRIP:g} s. If every response is a 503, the target is at most "
        f"{MAX_REQUESTS:g} requests per call after the quota is spent; - means that it never was.\n\n"
        "When the gateway is back after an outage, each success gives one point back:\n\n"
        f"{recovery}\n"
        f"A batch of {BATCH:,} tokens, {CONCURRENCY} at a time, meets an outage of "
        f"{(OUTAGE[1] - OUTAGE[0]) / 60:g} minutes:\n\n"
        f"{batches}\n"
        "Without the quota, a failed token has had four attempts within seconds. With it, each failure pauses the "
        "batch during the outage, and a token fails after it has caused `8 * (max_attempts - 1)` pauses.\n"
    )


def main() -> None:
    """Simulate, write the file, and fail if the target is missed."""
    logging.disable()
    rows, spent = [], list[float]()
    for share in (0.01, 0.1, 0.3, 0.5, 1.0):
        with_quota = simulate_calls(DEFAULT, failing(share))
        without = simulate_calls(WITHOUT, failing(share))
        spent.append(with_quota.per_call_spent or 0.0)
        requests = (without.per_call, with_quota.per_call, with_quota.per_call_spent)
        shares = (without.failed, with_quota.failed)
        rows.append(
            [
                f"{share:.0%}",
                *map(per_call, requests),
                *(f"{one:.1%}" for one in shares),
            ]
        )
    header = (
        "503s",
        "requests per call, no quota",
        "with the quota",
        "after it is spent",
        "failed calls, no quota",
        "with the quota",
    )
    of_calls = table(header, rows)
    rows = [
        [f"{rate:.0f}", *(f"{seconds:.1f} s" for seconds in simulate_recovery(DEFAULT, rate))]
        for rate in (1_000, CALLS / SECONDS, 10, 1)
    ]
    of_recovery = table(("calls per second", "first retry after", "whole quota after"), rows)
    policies = {
        "RetryPolicy(quota=None)": WITHOUT,
        "RetryPolicy()": DEFAULT,
        "RetryPolicy(max_attempts=20)": RetryPolicy(max_attempts=20),
    }
    results = {name: simulate_batch(retry) for name, retry in policies.items()}
    of_batches = table(
        ("", "failed tokens", "requests per second in the outage", "duration"),
        [[name, f"{one.failed:,}", f"{one.per_second:.1f}", f"{one.seconds:,.0f} s"] for name, one in results.items()],
    )
    text = page(of_calls, of_recovery, of_batches)
    print(text)
    (Path(__file__).parent / "outage.md").write_text(text, encoding="utf-8", newline="\n")
    if spent[-1] > MAX_REQUESTS:
        sys.exit(f"More than {MAX_REQUESTS:g} requests per call.")


if __name__ == "__main__":
    main()
