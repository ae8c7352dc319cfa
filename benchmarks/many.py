"""Many waits, or many tokens, in a process of their own: what they hold, how late they are, what each one costs.

`bench.py` runs `python benchmarks/many.py waits|sync|async [TRANSPORT]` and talks to it as to `peers.py`. It imports
little, so that what grows shows.
"""

from __future__ import annotations

import asyncio
import gc
import json
import sys
import time
from contextlib import aclosing, closing
from itertools import count, islice
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import attrs
import psutil
from wonder_payment import AsyncWonderClient, PaymentToken, PollPolicy, WonderClient

if TYPE_CHECKING:
    from collections.abc import Iterator

FIRST = "00000000-0000-4000-8000-ffffffffffff"
LOOK = 0.05  # seconds between two looks at the memory
SOME = 100  # tokens between two looks at the memory


def held() -> int:
    """Return how many bytes of memory this process holds."""
    rss: int = psutil.Process().memory_info().rss
    return rss


def tell(**figures: Any) -> None:
    """Answer the parent."""
    print(json.dumps(figures), flush=True)


def tokens() -> Iterator[str]:
    """Make tokens, no two alike."""
    return (f"00000000-0000-4000-8000-{number:012x}" for number in count())


@attrs.frozen(kw_only=True)
class Watched(PollPolicy):
    """The policy, and of one wait when each look was to come, and by how much later it came in at the gateway."""

    due: list[float] = attrs.field(factory=lambda: [time.monotonic()])
    late: list[float] = attrs.field(factory=list)

    def delay(self, elapsed: float) -> float:
        """Note when the next look is to come."""
        seconds = super().delay(elapsed)
        self.due.append(time.monotonic() + seconds)
        return seconds

    def note(self, token: PaymentToken) -> None:
        """Note by how much this look was late."""
        self.late.append(token.extra["received"] - self.due[-1])


async def wait(client: AsyncWonderClient) -> None:
    """Start waits, evenly over some seconds."""
    await client.check_token(FIRST)
    for line in sys.stdin:
        turn = json.loads(line)
        started, under_way, most_at_once = list[Watched](), set[asyncio.Task[PaymentToken]](), 0
        gc.collect()
        idle = most = held()
        began = time.monotonic()
        while under_way or len(started) < turn["waits"]:
            to_be_started = int((time.monotonic() - began) / turn["over"] * turn["waits"]) + 1
            for _ in range(min(to_be_started, turn["waits"]) - len(started)):
                token, policy = f"{turn['looks']:08x}{str(uuid4())[8:]}", Watched()
                started.append(policy)
                look = client.wait_for_token(token, timeout=600, poll=policy, on_poll=policy.note)
                under_way.add(asyncio.create_task(look))
            most_at_once, most = max(most_at_once, len(under_way)), max(most, held())
            await asyncio.sleep(LOOK)
            ended = {task for task in under_way if task.done()}
            under_way -= ended
            for task in ended:
                task.result()
        late = [seconds for policy in started for seconds in policy.late]
        tell(idle=idle, most=most, late=late, at_once=most_at_once, seconds=time.monotonic() - began)


@attrs.define
class Count:
    """What is counted in a turn of a sweep: some tokens of the long one, or a short one from its begin to its end."""

    idle: int
    wanted: int
    began: float = attrs.field(factory=time.perf_counter)
    calls: int = 0
    most: int = 0

    def is_last(self, outcome: Any) -> bool:
        """Take in an outcome, and tell whether it is the turn's last one."""
        if outcome.error:
            raise outcome.error
        if self.calls % SOME == 0:
            self.most = max(self.most, held())
        self.calls += 1
        return self.calls == self.wanted

    def tell(self) -> None:
        """Answer the parent."""
        tell(calls=self.calls, seconds=time.perf_counter() - self.began, idle=self.idle, most=self.most)


def sweep(client: WonderClient) -> None:
    """Check many tokens."""
    client.check_token(FIRST)
    gc.collect()
    idle = held()
    with closing(client.check_tokens(tokens())) as long:
        for line in sys.stdin:
            turn = json.loads(line)
            counted = Count(idle, turn["tokens"])
            for outcome in long if turn["long"] else client.check_tokens(islice(tokens(), turn["tokens"])):
                if counted.is_last(outcome) and turn["long"]:
                    break
            counted.tell()


async def sweep_async(client: AsyncWonderClient) -> None:
    """Check many tokens."""
    await client.check_token(FIRST)
    gc.collect()
    idle = held()
    async with aclosing(client.check_tokens(tokens())) as long:
        for line in sys.stdin:
            turn = json.loads(line)
            counted = Count(idle, turn["tokens"])
            async for outcome in long if turn["long"] else client.check_tokens(islice(tokens(), turn["tokens"])):
                if counted.is_last(outcome) and turn["long"]:
                    break
            counted.tell()


async def main_async(kind: str, settings: dict[str, Any]) -> None:
    """Make the async client's turns."""
    async with AsyncWonderClient.from_env(**settings) as client:
        await (wait if kind == "waits" else sweep_async)(client)


def main() -> None:
    """Make the turns of the client that the arguments name."""
    kind, *transport = sys.argv[1:]
    if kind == "sync":
        with WonderClient.from_env() as client:
            sweep(client)
    else:
        asyncio.run(main_async(kind, {"transport": transport[0]} if transport else {}))


if __name__ == "__main__":
    main()
