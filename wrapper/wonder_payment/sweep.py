"""Many tokens: the outcome of each, the pace that all share, and the loops over them."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncGenerator, AsyncIterable
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from contextvars import copy_context
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any, TypeVar

import attrs

from .call import Call, error_of
from .errors import APIError, ConfigurationError, RateLimitError, WonderError, last_four

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Generator, Iterable

    from tenacity import RetryCallState

    from .call import Attempt
    from .token import PaymentToken

__all__ = ["Outcome", "Pace", "SweptCall", "failed", "in_tasks", "in_threads"]

_TokenT = TypeVar("_TokenT")

# How often a token may meet a rate limit, for each attempt of the policy, though others get through.
_MOST_LIMITS = 8


@attrs.frozen(kw_only=True)
class Outcome:
    """What became of one token of a sweep: an answer, or an error.

    Attributes:
        token_id: The token that was asked for, as it was given. Only its last four characters are shown by ``repr``.
        token: The answer; None where there is none.
        error: Why there is none.
    """

    token_id: str = attrs.field(repr=last_four)
    token: PaymentToken | None = None
    error: WonderError | None = None


def failed(token: object, error: WonderError) -> Outcome:
    """Return the outcome of a token without an answer.

    Raises:
        ConfigurationError: It is the client that was closed, and so for all the tokens after it.
    """
    if isinstance(error, ConfigurationError):
        raise error
    return Outcome(token_id=str(token), error=error)


class Pace:
    """When the next request of a sweep may go out, whoever sends it: a rate limit is for all of them."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._resume_at = 0.0
        self.pauses = 0  # in a row, without any other answer in between

    def hold(self, seconds: float, *, asked_at: float) -> None:
        """Let nobody ask for so long. What was asked before the last pause had ended tells of no other one."""
        with self._lock:
            self.pauses += asked_at >= self._resume_at
            self._resume_at = max(self._resume_at, time.monotonic() + seconds)

    def go_on(self) -> None:
        """Take note that the gateway said something else."""
        self.pauses = 0

    def left(self) -> float:
        """Return the seconds until a request may go out."""
        return self._resume_at - time.monotonic()

    def sleep(self, seconds: float = 0.0) -> None:
        """Sleep so long, and on until a request may go out.

        Raises:
            CancelledError: The sweep is to stop.
        """
        while (seconds := max(seconds, self.left())) > 0 and not self._stop.wait(seconds):
            seconds = 0.0
        if self._stop.is_set():
            raise CancelledError

    async def asleep(self, seconds: float = 0.0) -> None:
        """Do the same for asyncio."""
        while (seconds := max(seconds, self.left())) > 0:
            await asyncio.sleep(seconds)
            seconds = 0.0

    def stop(self) -> None:
        """Let nobody ask any more."""
        self._stop.set()


@attrs.define
class SweptCall(Call):
    """One call of a sweep. A rate limit costs it none of its attempts and none of its time.

    It gives up when the sweep has paused ``max_attempts`` times and the gateway had no other answer in between, or when
    it has met eight times as many limits itself.
    """

    pace: Pace = attrs.field(kw_only=True)
    limited: int = 0

    def is_repeated(self, error: BaseException) -> bool:
        """Take note of what is no rate limit; tell whether the attempt may be repeated."""
        if not _is_limit(error):
            self.pace.go_on()
        return super().is_repeated(error)

    def is_over(self, state: RetryCallState) -> bool:
        """Tell whether the error is the last word; a rate limit holds all the sweep."""
        if not _is_limit(error_of(state)):
            return self.attempts - self.limited >= self.retry.max_attempts or self.is_late(state)
        self.limited += 1
        now = time.monotonic()
        self.pace.hold(state.upcoming_sleep, asked_at=now - self.took)
        self.deadline = now + state.upcoming_sleep + self.retry.max_elapsed
        most = self.retry.max_attempts
        return self.pace.pauses >= most or self.limited >= _MOST_LIMITS * most

    def sleep(self, seconds: float) -> None:
        """Sleep so long, and on until a request may go out, which costs none of the call's time."""
        began = time.monotonic()
        self.pace.sleep(seconds)
        self.deadline += max(0.0, time.monotonic() - began - seconds)

    async def asleep(self, seconds: float) -> None:
        """Do the same for asyncio."""
        began = time.monotonic()
        await self.pace.asleep(seconds)
        self.deadline += max(0.0, time.monotonic() - began - seconds)

    def answer(self, parsed: Any, attempt: Attempt) -> PaymentToken:
        """Return in plain types what the generated client parsed, and take note that there was an answer."""
        self.pace.go_on()
        return super().answer(parsed, attempt)


def _is_limit(error: BaseException) -> bool:
    return isinstance(error, RateLimitError) or (isinstance(error, APIError) and error.retry_after is not None)


def in_threads(
    tokens: Iterable[_TokenT], outcome: Callable[[_TokenT], Outcome], concurrency: int, pace: Pace
) -> Generator[Outcome]:
    """Yield the outcomes as they finish, from so many threads."""
    finished: SimpleQueue[Future[Outcome]] = SimpleQueue()
    running = 0
    with ThreadPoolExecutor(concurrency, "wonder-payment") as pool:
        try:
            for token in tokens:
                # In the caller's context, for the caller's trace.
                pool.submit(copy_context().run, outcome, token).add_done_callback(finished.put)
                running += 1
                while running == concurrency or not finished.empty():
                    yield finished.get().result()
                    running -= 1
            while running:
                yield finished.get().result()
                running -= 1
        finally:
            pace.stop()


async def in_tasks(
    tokens: Iterable[_TokenT] | AsyncIterable[_TokenT],
    outcome: Callable[[_TokenT], Coroutine[Any, Any, Outcome]],
    concurrency: int,
) -> AsyncGenerator[Outcome]:
    """Yield the outcomes as they finish, from so many tasks; one more feeds them."""
    finished: asyncio.Queue[asyncio.Task[Any]] = asyncio.Queue()
    running: set[asyncio.Task[Any]] = set()
    room = asyncio.Semaphore(concurrency)

    def start(coroutine: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        task = asyncio.create_task(coroutine)
        running.add(task)
        task.add_done_callback(finished.put_nowait)
        return task

    async def feed() -> None:
        await room.acquire()
        async for token in _each(tokens):
            start(outcome(token))
            await room.acquire()

    feeder = start(feed())
    try:
        while running:
            task = await finished.get()
            running.discard(task)
            result = task.result()
            if task is not feeder:
                room.release()
                yield result
    finally:
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
        if isinstance(tokens, AsyncGenerator):
            await tokens.aclose()


async def _each(tokens: Iterable[_TokenT] | AsyncIterable[_TokenT]) -> AsyncGenerator[_TokenT]:
    """Return the tokens one by one, however they come."""
    if isinstance(tokens, AsyncIterable):
        async for token in tokens:
            yield token
    else:
        for token in tokens:
            yield token
