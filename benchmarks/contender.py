"""One contender in a process of its own.

`bench.py` runs `python -m benchmarks.contender sync|async CONTENDER`. It writes the settings of a turn as a line of
JSON and reads the result as another. The settings of the clients are in the environment.
"""

import asyncio
import gc
import json
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import cycle
from typing import Any

import attrs

from .by_hand import TOKENS

TICK = 0.01  # seconds


@attrs.define
class Clock:
    """The time and the CPU time of a turn."""

    began: float = attrs.field(factory=time.perf_counter)
    began_cpu: float = attrs.field(factory=time.process_time)

    def figures(self, calls: int) -> dict[str, Any]:
        """Return what the turn took."""
        seconds, cpu = time.perf_counter() - self.began, time.process_time() - self.began_cpu
        return {"calls": calls, "seconds": seconds, "cpu": cpu}


def take_turns(name: str) -> None:
    """Take the turns of a sync contender."""
    from .sync_contenders import SYNC, Check  # noqa: PLC0415 (the other kind is not loaded)

    def go(check: Check, tokens: Iterator[str], end: float) -> int:
        calls = 0
        while calls == 0 or time.perf_counter() < end:
            if check(next(tokens)) != "success":
                raise AssertionError
            calls += 1
        return calls

    with SYNC[name]() as check, ThreadPoolExecutor(64) as pool:
        for line in sys.stdin:
            turn = json.loads(line)
            threads: int = turn["threads"]
            of_each = [cycle(TOKENS[number:]) for number in range(threads)]
            gc.collect()
            go(check, of_each[0], time.perf_counter())
            clock = Clock()
            end = clock.began + turn["seconds"]
            if threads == 1:
                calls = go(check, of_each[0], end)
            else:
                calls = sum(pool.map(lambda tokens, end=end: go(check, tokens, end), of_each))
            print(json.dumps(clock.figures(calls)), flush=True)


async def tick(until: float) -> list[float]:
    """Return how late each tick of the event loop was, in seconds."""
    lags = list[float]()
    while (began := time.perf_counter()) < until:
        await asyncio.sleep(TICK)
        lags.append(time.perf_counter() - began - TICK)
    return lags


async def take_async_turns(name: str) -> None:
    """Take the turns of an async contender."""
    from .async_contenders import ASYNC  # noqa: PLC0415

    async with ASYNC[name]() as check:
        tokens = cycle(TOKENS)

        async def go(end: float) -> int:
            calls = 0
            while time.perf_counter() < end:
                if await check(next(tokens)) != "success":
                    raise AssertionError
                calls += 1
            return calls

        for line in sys.stdin:
            turn = json.loads(line)
            gc.collect()
            clock = Clock()
            end = clock.began + turn["seconds"]
            lags, *calls = await asyncio.gather(tick(end), *(go(end) for _ in range(turn["concurrency"])))
            print(json.dumps(clock.figures(sum(calls)) | {"lags": lags}), flush=True)


if __name__ == "__main__":
    if sys.argv[1] == "sync":
        take_turns(sys.argv[2])
    else:
        asyncio.run(take_async_turns(sys.argv[2]))
