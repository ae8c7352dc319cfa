"""A pool of connections: which one a request uses, and how many there are."""

import asyncio
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Generic, NoReturn, TypeVar

from wonder_payment.errors import ConfigurationError, RequestTimeoutError

from .connections import IDLE_SECONDS, AsyncConnection, SyncConnection

_ConnectionT = TypeVar("_ConnectionT")
_EventT = TypeVar("_EventT", threading.Event, asyncio.Event)


class _Pool(Generic[_ConnectionT]):
    """Connections, each with one request in flight at a time.

    The time that httpcore's own pool needs for a request grows with its connections and with the requests that wait for
    one (encode/httpx issue 3215). In a burst, requests could arrive faster than that pool handled them. It also closes
    a connection after its request while there are more than 20. So each connection here has an httpcore pool of its
    own. Idle connections are reused, the most recent first.

    Args:
        connect: Returns a connection.
        max_in_flight: How many requests may be in flight at a time. Further ones wait, and are served in their order.
        is_shared: Whether ``connect`` returns the same connection each time: requests share it, and it stays open until
            the pool is closed.

    Attributes:
        in_flight: How many requests are in flight, or are about to begin.
        is_closed: Whether the client was closed.
    """

    def __init__(self, connect: Callable[[], _ConnectionT], max_in_flight: int, *, is_shared: bool = False) -> None:
        self._connect, self._max_in_flight, self._is_shared = connect, max_in_flight, is_shared
        self._connections: set[_ConnectionT] = {connect()}
        self._idle = deque((time.monotonic(), connection) for connection in self._connections)
        self._waiting = deque[threading.Event | asyncio.Event]()
        self._lock = threading.Lock()
        self.in_flight, self.is_closed = 0, False

    def _begin(self, event: type[_EventT]) -> _EventT | None:
        """Count a request that is about to begin; if there are too many, return an event that is set at its turn.

        With threading.Semaphore, a thread that asks again right after its request would get its place back at once, and
        the others would starve.
        """
        with self._lock:
            if self.in_flight < self._max_in_flight:
                self.in_flight += 1
                return None
            turn = event()
            self._waiting.append(turn)
            return turn

    def _end(self, turn: threading.Event | asyncio.Event | None = None) -> None:
        """Let the request that has waited longest begin, or stop waiting for a turn that has not come."""
        with self._lock:
            if turn and not turn.is_set():
                self._waiting.remove(turn)
            elif self._waiting:
                self._waiting.popleft().set()
            else:
                self.in_flight -= 1

    def _take(self) -> _ConnectionT:
        """Return an idle connection or a new one.

        Raises:
            ConfigurationError: The client is closed. A new connection would never be closed.
        """
        with self._lock:
            if self.is_closed:
                raise closed_error()
            connection = self._idle.pop()[1] if self._idle else self._connect()
            self._connections.add(connection)
        return connection

    def _take_expired(self) -> _ConnectionT | None:
        """Return a connection that is idle for too long.

        Closing one with each request soon closes all that a burst left behind.
        """
        with self._lock:
            is_expired = self._idle and self._idle[0][0] + IDLE_SECONDS < time.monotonic()
            return self._idle.popleft()[1] if is_expired else None

    def _forget(self, connection: _ConnectionT) -> bool:
        """Return whether a connection must be closed; it will not be used again."""
        if not self._is_shared:
            self._connections.discard(connection)
        return not self._is_shared

    def release(self, connection: _ConnectionT) -> None:
        """End a request, and keep its connection for another one unless it was discarded."""
        if connection in self._connections:
            self._idle.append((time.monotonic(), connection))
        self._end()

    def _close(self) -> list[_ConnectionT]:
        """Return all connections, including those in use. There will be no others."""
        with self._lock:
            self.is_closed = True
            return list(self._connections)


class SyncPool(_Pool[SyncConnection]):
    """The connections of one process."""

    def acquire(self, until: float) -> SyncConnection:
        """Return a connection for one request; wait while all are in use.

        Args:
            until: When to stop waiting (time.monotonic()).

        Raises:
            RequestTimeoutError: No connection was free by ``until``.
            ConfigurationError: The client is closed.
        """
        turn = self._begin(threading.Event)
        try:
            if turn and not turn.wait(min(max(until - time.monotonic(), 0), threading.TIMEOUT_MAX)):
                _raise_late()
            if expired := self._take_expired():
                self.discard(expired)
            return self._take()
        except BaseException:
            self._end(turn)
            raise

    def discard(self, connection: SyncConnection) -> None:
        """Close a connection that failed or expired, if it is not shared.

        httpcore keeps some failures in its own pool, such as a tunnel whose TLS handshake failed.
        """
        if self._forget(connection):
            connection.close()

    def close(self) -> None:
        """Close all connections, including those in use."""
        for connection in self._close():
            connection.close()


class AsyncPool(_Pool[AsyncConnection]):
    """The connections of one event loop."""

    def __init__(self, connect: Callable[[], AsyncConnection], max_in_flight: int, *, is_shared: bool = False) -> None:
        super().__init__(connect, max_in_flight, is_shared=is_shared)
        self._turn = asyncio.Semaphore(1)  # unlike a lock's, its locked() counts those that wait

    async def acquire(self, until: float) -> AsyncConnection:
        """Return a connection for one request; see `SyncPool.acquire`."""
        turn = self._begin(asyncio.Event)
        # A call that waits for nobody sends its request, however little time it has.
        is_busy = turn or self._turn.locked()
        try:
            async with asyncio.timeout(until - time.monotonic() if is_busy else None):
                if turn:
                    await turn.wait()
                await self.take_turn()
            if expired := self._take_expired():
                await self.discard(expired)
            return self._take()
        except BaseException as error:
            self._end(turn)
            if isinstance(error, TimeoutError):
                _raise_late()
            raise

    async def take_turn(self) -> None:
        """Wait until no other request is about to begin and the event loop has handled everything else.

        Requests that begin at once would sign and write one right after the other, for a millisecond each, and block
        the loop. (A thread for the signatures costs more than it saves: each signature hands the GIL over twice.)
        """
        async with self._turn:
            await asyncio.sleep(0)

    async def discard(self, connection: AsyncConnection) -> None:
        """Close a connection that failed or expired; see `SyncPool.discard`."""
        if self._forget(connection):
            await connection.aclose()

    async def aclose(self) -> None:
        """Close all connections, including those in use."""
        for connection in self._close():
            await connection.aclose()

    def drop(self) -> None:
        """Close all connections from outside their event loop, as far as that is possible."""
        for connection in self._close():
            connection.drop()


def closed_error() -> ConfigurationError:
    """Return the error of a call whose client is closed before it ends."""
    return ConfigurationError("This client was closed during the call. Close it after its last call.")


def _raise_late() -> NoReturn:
    problem = "The deadline of this call passed while it waited for a connection."
    raise RequestTimeoutError(f"{problem} Increase max_connections=, or make fewer calls at a time.") from None
