"""Check many tokens with faults: every call returns the right token or raises a WonderError, and nothing leaks.

`nox -s soak`, or `python -m benchmarks.soak` with wonder_payment[simulator] and psutil installed, on Linux or macOS. A
simulator runs in a process of its own; threads share a WonderClient, tasks an AsyncWonderClient. The script prints its
progress, writes docs/contributing/soak.md, and fails if a result is wrong or if memory, open files or threads grow.
"""

import argparse
import asyncio
import gc
import multiprocessing
import os
import platform
import random
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Self

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

from .soak_simulator import FAULT_SHARE, TOKENS, Report, card, serve, state

CHECKS = 200_000
THREADS = 10
TASKS = 20
ROUND = 2_000  # checks, half of them by the threads and half by the tasks
WARM_UP = 0.2  # the share of the checks after which nothing may grow
MAX_GROWTH = 0.05  # of resident memory

# Fewer attempts than by default, so that some calls fail, and almost no backoff.
RETRY = RetryPolicy(max_attempts=3, backoff_initial=0.001, backoff_max=0.001)
# The errors that those faults may cause. Any other error fails the run.
EXPECTED = (NetworkError, RateLimitError, ServerError, InvalidResponseError)
RIGHT, WRONG = "the right token", "something wrong: "


@attrs.frozen
class Sample:
    """Memory, open files and threads of this process."""

    rss: int
    fds: int
    threads: int

    @classmethod
    def take(cls) -> Self:
        """Measure them after a garbage collection."""
        gc.collect()
        process = psutil.Process()
        return cls(process.memory_info().rss, process.num_fds(), process.num_threads())


@attrs.define
class Soak:
    """A run: the results of its calls, and samples before, after the warm-up, at the end and after the close."""

    tokens: list[str]
    wanted: int
    transport: str | None
    deadline: float
    results: Counter[str] = attrs.field(factory=Counter[str])
    retries: int = 0
    seconds: float = 0.0
    samples: tuple[Sample, ...] = ()
    lock: threading.Lock = attrs.field(factory=threading.Lock)

    def go(self, environ: dict[str, str]) -> None:
        """Check the tokens in rounds."""
        began = time.monotonic()
        settings: Any = {"retry": RETRY, "on_retry": self._count_retry, "transport": self.transport}
        client = WonderClient.from_env(environ, **settings)
        async_client = AsyncWonderClient.from_env(environ, **settings)

        async def tasks() -> None:
            await asyncio.gather(*(self._check_async(async_client) for _ in range(TASKS)))

        with asyncio.Runner() as runner, ThreadPoolExecutor(THREADS) as pool:
            runner.get_loop()  # it opens files
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
            except Exception as error:  # noqa: BLE001 (any other kind fails the run)
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

    def _note(self, number: int, result: PaymentToken | Exception) -> None:
        if isinstance(result, PaymentToken):
            is_right = (result.token, result.state, result.card) == (
                self.tokens[number],
                state(number),
                Card(**card(number)),
            )
            name = RIGHT if is_right else f"{WRONG}another token"
        else:
            name = f"{'' if isinstance(result, EXPECTED) else WRONG}{type(result).__name__}"
        with self.lock:
            self.results[name] += 1

    def _count_retry(self, _error: WonderError, _delay: float) -> None:
        with self.lock:
            self.retries += 1

    @property
    def done(self) -> int:
        """The number of checks so far."""
        return self.results.total()

    @property
    def failed_attempts(self) -> int:
        """The number of failed attempts: those that were retried, and the last one of each call that failed."""
        return self.retries + self.done - self.results[RIGHT]

    def problems(self, report: Report) -> list[str]:
        """Return what is wrong, in sentences."""
        before, warm, end, closed = self.samples
        nonces, growth = report.nonces + report.repeated, end.rss / warm.rss - 1
        checks = (
            (self.done < self.wanted, f"The time limit came after {self.done:,} of {self.wanted:,} checks."),
            *((WRONG in name, f"{times:,} calls ended with {name}.") for name, times in self.results.items()),
            # Without a fault, every attempt succeeds.
            (self.failed_attempts > report.faults, f"{self.failed_attempts:,} attempts failed, more than faults."),
            (report.repeated, f"{report.repeated:,} nonces were repeated."),
            (nonces != report.requests, f"{nonces:,} nonces were compared, of {report.requests:,} requests."),
            (growth > MAX_GROWTH, f"The memory grew by {growth:.1%} after the warm-up."),
            # Up to one connection for each call in flight stays open, depending on which ones broke last.
            (end.fds > before.fds + THREADS + TASKS, f"{end.fds - before.fds} connections were open at the end."),
            (closed.fds > before.fds, f"{closed.fds - before.fds} files stayed open after the clients were closed."),
            (end.threads > warm.threads, f"The threads grew from {warm.threads} to {end.threads}."),
        )
        return [problem for is_wrong, problem in checks if is_wrong]

    def page(self, report: Report) -> str:
        """Return docs/contributing/soak.md."""
        figures = [
            ("", ""),
            ("machine", f"{platform.system()}, {os.cpu_count()} cores, Python {platform.python_version()}"),
            ("checks", f"{self.done:,} in {self.seconds:,.0f} s: {self.done / self.seconds:,.0f} a second"),
            ("requests", f"{report.requests:,}"),
            ("faults", f"{report.faults:,}"),
            ("failed attempts", f"{self.failed_attempts:,}"),
            ("retries", f"{self.retries:,}"),
            *((f"calls that ended with {name}", f"{times:,}") for name, times in self.results.most_common()),
            ("nonces", f"{report.nonces:,}, and {report.repeated:,} repeated"),
        ]
        held = [
            ("the process", "before", "after the warm-up", "at the end", "both clients closed"),
            ("resident memory", *(f"{sample.rss / 1e6:.1f} MB" for sample in self.samples)),
            ("open files", *(str(sample.fds) for sample in self.samples)),
            ("threads", *(str(sample.threads) for sample in self.samples)),
        ]
        return (
            "# Soak test\n\n"
            f"{THREADS} threads share a `WonderClient` and {TASKS} tasks share an `AsyncWonderClient`. They check "
            f"{TOKENS:,} tokens again and again at a simulator in another process, which adds a fault to "
            f"{FAULT_SHARE:.0%} of the responses: 429, 500, an HTML page with 502 or 520, a connection reset before or "
            "in the middle of the response, a truncated response, broken JSON, 2 MiB, or a short delay. The run passes "
            "if:\n\n"
            "- every call returns the token that it checked, or raises an error that a fault explains\n"
            "- no nonce is used twice\n"
            f"- after the warm-up ({WARM_UP:.0%} of the checks), memory grows by at most {MAX_GROWTH:.0%} and no "
            "thread is added\n"
            f"- at most one connection stays open for each of the {THREADS + TASKS} calls in flight, and none after "
            "the clients are closed\n\n"
            f"{table(figures)}\n{table(held)}\n"
            f"{' '.join(self.problems(report)) or 'Passed.'} `nox -s soak` writes this page.\n"
        )


def table(rows: Sequence[tuple[str, ...]]) -> str:
    """Return an aligned Markdown table."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [[row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])] for row in rows]
    lines.insert(1, ["-" * widths[0], *("-" * (width - 1) + ":" for width in widths[1:])])
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def main() -> None:
    """Run, write the page, and fail if something is wrong."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--checks", type=int, default=CHECKS, help="with fewer than %(default)s, only print")
    parser.add_argument("--minutes", type=float, default=25.0, help="the time limit; fewer checks fail (%(default)s)")
    parser.add_argument("--transport", choices=["fast"], help="only print; default: httpx's transports")
    options = parser.parse_args()
    # Not forked: the simulator would share this process's memory and files.
    context = multiprocessing.get_context("spawn")
    pipe, other_end = context.Pipe()
    simulator = context.Process(target=serve, args=(other_end,), daemon=True)
    simulator.start()
    other_end.close()
    environ, tokens = pipe.recv()
    soak = Soak(tokens, options.checks, transport=options.transport, deadline=time.monotonic() + options.minutes * 60)
    soak.go(environ)
    pipe.send("report")
    report = pipe.recv()
    simulator.join()
    page = soak.page(report)
    if options.checks >= CHECKS and not options.transport:
        path = Path(__file__).parents[1] / "docs" / "contributing" / "soak.md"
        path.write_text(page, encoding="utf-8", newline="\n")
    print(f"\n{page}", end="")
    if problems := soak.problems(report):
        sys.exit(" ".join(problems))


if __name__ == "__main__":
    main()
