"""Checks of many tokens: the result of each, the rate limit that all share, and the loops over them."""

import asyncio
import math
import queue
import sys
import threading
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine, Generator, Iterator
from concurrent.futures import CancelledError, Future
from contextvars import copy_context
from functools import partial
from typing import Any, TypeAlias, TypeVar

import attrs

from ._http.places import running_loop
from ._redact import clear_locals, clears_locals, last_four
from ._threads import settle
from .errors import ConfigurationError, SigningError, WonderError
from .models import PaymentToken, TokenReference

_TokenT = TypeVar("_TokenT")
Result: TypeAlias = PaymentToken | WonderError

# Seconds by which a request of a batch may be late for its slot.
_MAX_LATE = 0.1


@attrs.frozen(kw_only=True)
class CheckResult:
    """The result of one token of a batch: a payment token, or an error.

    Attributes:
        token_id: The token as you passed it. ``repr`` shows its last four characters only.
        token: The payment token; None if the check failed.
        error: Why the check failed; None if it succeeded.
    """

    token_id: str = attrs.field(repr=last_four)
    token: PaymentToken | None = None
    error: WonderError | None = None


def check_result(token: object, result: Result) -> CheckResult:
    """Return the result of a token.

    Raises:
        ConfigurationError: The client was closed, so no later token can be checked either.
        SigningError: The signer failed. Some modules lock themselves after a few failures.
    """
    if isinstance(result, ConfigurationError | SigningError):
        raise result
    token_id = str(token.token if isinstance(token, TokenReference) else token)
    if isinstance(result, PaymentToken):
        return CheckResult(token_id=token_id, token=result)
    return CheckResult(token_id=token_id, error=result)


class Throttle:
    """Decides when the next request of a batch may be sent, for all its tokens. Threads may share it."""

    def __init__(self, max_per_second: float | None = None) -> None:
        self._stopped = threading.Event()
        self._spacing = 1 / max_per_second if max_per_second else 0.0
        self._free_at = self._resume_at = 0.0
        self._lock = threading.RLock()  # the garbage collector may call stop() while this thread has it

    def slot(self, current: float = -math.inf) -> float:
        """Return when a token may send its request (time.monotonic()), and reserve this slot.

        Args:
            current: The token's slot, if it has one. The token keeps it, unless the batch has paused since then or the
                token is late. If late tokens sent at once, their requests would be a burst.
        """
        with self._lock:
            now = time.monotonic()
            if current < self._resume_at or now > current + max(self._spacing, _MAX_LATE):
                current = max(self._free_at, now)
                self._free_at = current + self._spacing
            return current

    def pause(self, seconds: float) -> None:
        """Let no token send a request for ``seconds``."""
        with self._lock:
            self._resume_at = max(self._resume_at, time.monotonic() + seconds)
            self._free_at = max(self._free_at, self._resume_at)

    def sleep(self, seconds: float) -> None:
        """Sleep in a thread of the batch.

        Raises:
            CancelledError: The batch was stopped.
        """
        if self._stopped.wait(min(seconds, threading.TIMEOUT_MAX)):
            raise CancelledError

    def stop(self) -> None:
        """End all sleeps, and with them the remaining checks.

        A pause without end makes each check sleep before its next request.
        """
        self._stopped.set()
        self.pause(math.inf)


def in_threads(
    tokens: Iterator[_TokenT], check: Callable[[_TokenT], CheckResult], concurrency: int, throttle: Throttle
) -> Generator[CheckResult]:
    """Yield the results as they complete, from up to ``concurrency`` threads.

    A ThreadPoolExecutor would fail once the main thread has ended, and where the system has no thread left. These
    threads are daemons, so that a batch that is never read to its end does not keep the interpreter from exiting.
    """
    # gevent replaces the class in its module, perhaps after this module was imported.
    jobs: queue.SimpleQueue[Any] = queue.SimpleQueue()
    completed: queue.SimpleQueue[Future[CheckResult]] = queue.SimpleQueue()
    workers: list[threading.Thread] = []
    running = 0

    def work() -> None:
        while job := jobs.get():
            future: Future[CheckResult] = Future()
            settle(future, job)
            completed.put(future)
            del job, future  # and their token, while this waits for another job

    try:
        for token in tokens:
            # In the caller's context, so that the requests belong to the caller's trace.
            jobs.put(partial(copy_context().run, check, token))
            del token  # from this frame, which a crash reporter may show
            running += 1
            if running > len(workers):
                worker = threading.Thread(target=work, name="wonder-payment", daemon=True)
                try:
                    worker.start()
                    workers.append(worker)
                except RuntimeError:  # no thread is left, or the interpreter is ending
                    if not workers:
                        jobs.put(None)
                        work()  # in the calling thread
            while running == concurrency or not completed.empty():
                yield _completed(completed.get())
                running -= 1
        for _ in range(running):
            yield _completed(completed.get())
    finally:
        throttle.stop()
        for _ in workers:
            jobs.put(None)
        _join(workers)


def _join(workers: list[threading.Thread]) -> None:
    """Wait until the workers have ended, unless a worker itself or the end of the interpreter closes their batch.

    A worker cannot join itself, and daemon threads do not go on at the end.
    """
    if threading.current_thread() not in workers and not sys.is_finalizing():
        for worker in workers:
            worker.join()


async def in_tasks(
    source: AsyncIterator[_TokenT], check: Callable[[_TokenT], Coroutine[Any, Any, CheckResult]], concurrency: int
) -> AsyncGenerator[CheckResult]:
    """Yield the results as they complete, from ``concurrency`` tasks; one more task feeds them.

    Raises:
        ConfigurationError: asyncio runs no event loop, or another one than at the first result.
    """
    loop = running_loop()
    completed: asyncio.Queue[asyncio.Task[Any]] = asyncio.Queue()
    running: set[asyncio.Task[Any]] = set()
    free = asyncio.Semaphore(concurrency)

    def start(coroutine: Coroutine[Any, Any, CheckResult | None]) -> None:
        task = asyncio.create_task(coroutine)
        running.add(task)
        task.add_done_callback(completed.put_nowait)

    async def feed() -> None:
        await free.acquire()
        async for token in source:
            start(check(token))
            await free.acquire()

    start(feed())
    try:
        while running:
            task = await completed.get()
            running.remove(task)
            if result := _completed(task):
                free.release()
                yield result
            if running_loop() is not loop:
                raise ConfigurationError("This batch began in another event loop. Read all its results in one loop.")
    finally:
        if running_loop() is loop:
            for task in running:
                task.cancel()
            await asyncio.gather(*running, return_exceptions=True)
        if isinstance(source, AsyncGenerator):
            await source.aclose()


@clears_locals
def _completed(check: Future[CheckResult] | asyncio.Task[Any]) -> Any:
    """Return the result of a check, or None for the task that reads the tokens. Raise its error if it failed.

    The locals of the ended frames are cleared.
    """
    result = check.result()
    if result and result.error:
        clear_locals(result.error)
    return result


async def as_async(tokens: Iterator[_TokenT]) -> AsyncGenerator[_TokenT]:
    """Yield the tokens of an iterator, and close it if it is a generator."""
    try:
        for token in tokens:
            yield token
    finally:
        if isinstance(tokens, Generator):
            tokens.close()
