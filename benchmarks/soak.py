"""Many checks under faults: every call ends in the right token or in an error of ours, and nothing leaks.

`nox -s soak`, or `python benchmarks/soak.py` with wonder_payment[simulator] and psutil installed, on Linux or macOS: a
simulated gateway in a process of its own, one WonderClient shared by threads, one AsyncWonderClient shared by tasks.
Prints how it goes, writes docs/soak.md, and fails when a call was answered wrongly or something grew.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import itertools
import multiprocessing
import os
import platform
import random
import sys
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Self

import attrs
import psutil
from wonder_payment import (
    AsyncWonderClient,
    Card,
    InvalidResponseError,
    NetworkError,
    PaymentToken,
    RateLimitError,
    RetryPolicy,
    ServerError,
    WonderClient,
    WonderError,
)
from wonder_payment.simulator import Fault, SimulatedGateway

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from multiprocessing.connection import Connection

TOKENS = 1_000
THREADS = 10
TASKS = 20
ROUND = 2_000  # checks, half of them by the threads and half by the tasks
WARM_UP = 0.2  # the share of the checks after which nothing may grow any more
MOST_GROWTH = 0.05  # of resident memory

FAULT_SHARE = 0.1  # faults for each request
LOOK = 0.05  # seconds between two looks of the gateway's process at what came in
HTML = {"Content-Type": "text/html"}
FAULTS = (
    Fault(status=429, headers={"Retry-After": "0"}),
    Fault(status=500),
    Fault(status=502, headers=HTML),
    Fault(status=520, headers=HTML),
    Fault(broken="reset before"),
    Fault(broken="reset in the middle"),
    Fault(broken="truncated"),
    Fault(body='{"code": 0, "data": {"payment_token": {'),
    Fault(body=b" " * 2 * 1024 * 1024),
    Fault(delay=0.02),
)
# Fewer attempts than by default, so that some calls run out of them, and no time lost between them.
RETRY = RetryPolicy(max_attempts=3, backoff_initial=0.001, backoff_max=0.001)
# What those faults may end a call in. Any other error, of ours or not, fails the run.
EXPECTED = (NetworkError, RateLimitError, ServerError, InvalidResponseError)
RIGHT, BAD = "the right token", "something wrong: "


def card(number: int) -> dict[str, str | None]:
    """Return the card of one token: no other has its last four digits, or its holder."""
    brand = ("visa", "mastercard", "amex")[number % 3]
    return {"number": f"411111******{number:04}", "holder_name": f"HOLDER {number}", "brand": brand}


def state(number: int) -> str:
    """Return how far one token is."""
    return ("success", "failed", "pending")[number % 3]


@attrs.frozen
class Report:
    """What the gateway's process saw."""

    requests: int
    faults: int
    nonces: int
    repeated: int


def serve(pipe: Connection) -> None:
    """Run the gateway in a process of its own until told to report."""
    requests, faults, repeated, nonces = 0, 0, 0, set[str]()
    with SimulatedGateway() as gateway:
        tokens = [gateway.add_token(states=[state(number)], card=card(number)) for number in range(TOKENS)]
        pipe.send((gateway.environ, tokens))
        mix = itertools.cycle(FAULTS)
        stopped = False
        while not stopped:
            stopped = pipe.poll(LOOK)
            # The gateway keeps the last 10,000: more than come in between two looks.
            for request in gateway.requests:
                if request.number > requests:
                    requests = request.number
                    repeated += request.nonce in nonces
                    nonces.add(request.nonce)
            while faults < FAULT_SHARE * requests:
                gateway.inject(next(mix), token=random.choice(tokens))
                faults += 1
    pipe.send(Report(requests, faults, len(nonces), repeated))


@attrs.frozen
class Sample:
    """What this process holds."""

    rss: int
    fds: int
    threads: int

    @classmethod
    def take(cls) -> Self:
        """Measure it, without what is no longer used."""
        gc.collect()
        process = psutil.Process()
        return cls(process.memory_info().rss, process.num_fds(), process.num_threads())


@attrs.define
class Soak:
    """A run: how its calls ended, and what the process held before, after the warm-up, at the end, and all closed."""

    tokens: list[str]
    wanted: int
    deadline: float
    outcomes: Counter[str] = attrs.field(factory=Counter[str])
    retries: int = 0
    seconds: float = 0.0
    samples: tuple[Sample, ...] = ()
    lock: threading.Lock = attrs.field(factory=threading.Lock)

    def go(self, environ: dict[str, str]) -> None:
        """Check in rounds."""
        began = time.monotonic()
        client = WonderClient.from_env(environ, retry=RETRY, on_retry=self._count_retry)
        async_client = AsyncWonderClient.from_env(environ, retry=RETRY, on_retry=self._count_retry)

        async def tasks() -> None:
            await asyncio.gather(*(self._check_async(async_client) for _ in range(TASKS)))

        with asyncio.Runner() as runner, ThreadPoolExecutor(THREADS) as pool:
            runner.get_loop()  # opens files of its own
            before = warm = end = Sample.take()
            while self.done < self.wanted and time.monotonic() < self.deadline:
                is_warm = self.done >= WARM_UP * self.wanted
                list(pool.map(self._check, [client] * THREADS))
                runner.run(tasks())
                end = Sample.take()
                warm = warm if is_warm else end
                print(f"{self.done:>9,} checks: {end}", flush=True)
            client.close()
            runner.run(async_client.aclose())
            self.samples = before, warm, end, Sample.take()
        self.seconds = time.monotonic() - began

    def _check(self, client: WonderClient) -> None:
        for number in self._numbers(ROUND // 2 // THREADS):
            try:
                self._note(number, client.check_token(self.tokens[number]))
            except Exception as error:  # noqa: BLE001 (that there is no other kind is what is tried)
                self._note(number, error)

    async def _check_async(self, client: AsyncWonderClient) -> None:
        for number in self._numbers(ROUND // 2 // TASKS):
            try:
                self._note(number, await client.check_token(self.tokens[number]))
            except Exception as error:  # noqa: BLE001
                self._note(number, error)

    def _numbers(self, times: int) -> Iterator[int]:
        for _ in range(times):
            if time.monotonic() < self.deadline:
                yield random.randrange(TOKENS)

    def _note(self, number: int, seen: PaymentToken | Exception) -> None:
        if isinstance(seen, PaymentToken):
            is_right = (seen.token, seen.state, seen.card) == (self.tokens[number], state(number), Card(**card(number)))
            outcome = RIGHT if is_right else f"{BAD}another token"
        else:
            outcome = f"{'' if isinstance(seen, EXPECTED) else BAD}{type(seen).__name__}"
        with self.lock:
            self.outcomes[outcome] += 1

    def _count_retry(self, _error: WonderError, _delay: float) -> None:
        with self.lock:
            self.retries += 1

    @property
    def done(self) -> int:
        """How many checks were made."""
        return self.outcomes.total()

    @property
    def failed_attempts(self) -> int:
        """How many attempts failed: those made again, and the last one of each call that ended in an error."""
        return self.retries + self.done - self.outcomes[RIGHT]

    def problems(self, report: Report) -> list[str]:
        """Return in plain sentences what is not as it should be."""
        before, warm, end, closed = self.samples
        nonces, growth = report.nonces + report.repeated, end.rss / warm.rss - 1
        checks = (
            (self.done < self.wanted, f"The time was over after {self.done:,} of {self.wanted:,} checks."),
            *((BAD in name, f"{times:,} calls ended in {name}.") for name, times in self.outcomes.items()),
            # Without a fault, every attempt succeeds.
            (self.failed_attempts > report.faults, f"{self.failed_attempts:,} attempts failed, more than faults."),
            (report.repeated, f"{report.repeated:,} nonces were repeated."),
            (nonces != report.requests, f"The nonces of {nonces:,} of {report.requests:,} requests were looked at."),
            (growth > MOST_GROWTH, f"The memory grew by {growth:.1%} after the warm-up."),
            # A connection for each call under way may stay open; how many do depends on which ones broke last.
            (end.fds > before.fds + THREADS + TASKS, f"{end.fds - before.fds} connections were open at the end."),
            (closed.fds > before.fds, f"{closed.fds - before.fds} files stayed open when the clients were closed."),
            (end.threads > warm.threads, f"The threads grew from {warm.threads} to {end.threads}."),
        )
        return [problem for is_so, problem in checks if is_so]

    def page(self, report: Report) -> str:
        """Return docs/soak.md."""
        figures = [
            ("", ""),
            ("machine", f"{platform.system()}, {os.cpu_count()} cores, Python {platform.python_version()}"),
            ("checks", f"{self.done:,} in {self.seconds:,.0f} s: {self.done / self.seconds:,.0f} a second"),
            ("requests", f"{report.requests:,}"),
            ("faults", f"{report.faults:,}"),
            ("attempts that failed", f"{self.failed_attempts:,}"),
            ("retries", f"{self.retries:,}"),
            *((f"calls that ended in {name}", f"{times:,}") for name, times in self.outcomes.most_common()),
            ("nonces", f"{report.nonces:,}, and {report.repeated:,} repeated"),
        ]
        held = [
            ("what the process holds", "before", "after the warm-up", "at the end", "both clients closed"),
            ("resident memory", *(f"{sample.rss / 1e6:.1f} MB" for sample in self.samples)),
            ("open files", *(str(sample.fds) for sample in self.samples)),
            ("threads", *(str(sample.threads) for sample in self.samples)),
        ]
        return (
            "# Nothing lost, nothing leaked\n\n"
            f"A `WonderClient` shared by {THREADS} threads and an `AsyncWonderClient` shared by {TASKS} tasks check "
            f"{TOKENS:,} tokens at a simulated gateway in another process, which adds a fault to {FAULT_SHARE:.0%} of "
            "the answers: 429, 500, an HTML page with 502 or 520, a connection reset before or in the middle of the "
            "answer, a truncated one, broken JSON, 2 MiB, or a short delay. Every call has to end in the token it "
            "asked for or in an error that a fault explains, no nonce may come twice, and after the warm-up "
            f"({WARM_UP:.0%} of the checks) memory may not grow by more than {MOST_GROWTH:.0%}, open files by no more "
            f"than a connection for each of the {THREADS + TASKS} calls at once, and threads not at all.\n\n"
            f"{table(figures)}\n{table(held)}\n"
            f"{' '.join(self.problems(report)) or 'Passed.'} `nox -s soak` writes this page.\n"
        )


def table(rows: Sequence[tuple[str, ...]]) -> str:
    """Return a table, in Markdown that lines up as plain text, too."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [[row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])] for row in rows]
    lines.insert(1, ["-" * widths[0], *("-" * (width - 1) + ":" for width in widths[1:])])
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def main() -> None:
    """Run, write the page, and fail when something is not as it should be."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--checks", type=int, default=200_000, help=f"rounded up to rounds of {ROUND:,} (%(default)s)")
    parser.add_argument("--minutes", type=float, default=25.0, help="when to stop with fewer, and fail (%(default)s)")
    options = parser.parse_args()
    # Not forked: the gateway would share this process's memory, and its files.
    context = multiprocessing.get_context("spawn")
    pipe, other_end = context.Pipe()
    gateway = context.Process(target=serve, args=(other_end,), daemon=True)
    gateway.start()
    other_end.close()
    environ, tokens = pipe.recv()
    soak = Soak(tokens, options.checks, deadline=time.monotonic() + options.minutes * 60)
    soak.go(environ)
    pipe.send("report")
    report = pipe.recv()
    gateway.join()
    page = soak.page(report)
    path = Path(__file__).parents[1] / "docs" / "soak.md"
    path.parent.mkdir(exist_ok=True)
    path.write_text(page, encoding="utf-8", newline="\n")
    print(f"\n{page}", end="")
    if problems := soak.problems(report):
        sys.exit(" ".join(problems))


if __name__ == "__main__":
    main()
