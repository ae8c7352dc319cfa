"""Many tokens: the outcome of each, the pace that all share, and the loops over them."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterable
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from contextvars import copy_context
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any, TypeVar

import attrs

from .call import Call, error_of
from .errors import APIError, ConfigurationError, RateLimitError, WonderError, last_four

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Coroutine, Generator, Iterable

    from tenacity import RetryCallState

    from .call import Attempt
    from .token import PaymentToken

__all__ = ["Outcome", "Pace", "SweptCall", "failed", "in_tasks", "in_threads"]

_TokenT = TypeVar("_TokenT")


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

    def hold(self, seconds: float) -> None:
        """Let nobody ask for so long."""
        with self._lock:
            now = time.monotonic()
            self.pauses += now >= self._resume_at
            self._resume_at = max(self._resume_at, now + seconds)

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
        while (seconds := max(seconds, self.left())) > 0:
            if self._stop.wait(seconds):
                raise CancelledError
            seconds = 0.0

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

    It gives up when the sweep has paused ``max_attempts`` times, and the gateway had no other answer in between.
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
        self.pace.hold(state.upcoming_sleep)
        self.deadline = time.monotonic() + state.upcoming_sleep + self.retry.max_elapsed
        return self.pace.pauses >= self.retry.max_attempts

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
    """Yield the outcomes as they finish, from so many tasks; one more waits for the next token."""
    finished: asyncio.Queue[asyncio.Task[Any]] = asyncio.Queue()
    running: set[asyncio.Task[Any]] = set()

    def start(coroutine: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        task = asyncio.create_task(coroutine)
        running.add(task)
        task.add_done_callback(finished.put_nowait)
        return task

    source = _each(tokens)
    upcoming: asyncio.Task[_TokenT | None] | None = start(_next(source))
    try:
        while running:
            task = await finished.get()
            running.discard(task)
            if task is not upcoming:
                yield task.result()
            elif (token := task.result()) is None:
                upcoming = None
            else:
                start(outcome(token))
            if upcoming and upcoming not in running and len(running) < concurrency:
                upcoming = start(_next(source))
    finally:
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)


async def _each(tokens: Iterable[_TokenT] | AsyncIterable[_TokenT]) -> AsyncGenerator[_TokenT]:
    """Return the tokens one by one, however they come."""
    if isinstance(tokens, AsyncIterable):
        async for token in tokens:
            yield token
    else:
        for token in tokens:
            yield token


async def _next(source: AsyncGenerator[_TokenT]) -> _TokenT | None:
    return await anext(source, None)
