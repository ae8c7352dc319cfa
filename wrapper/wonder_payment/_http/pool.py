"""A pool of connections: which one a request uses, and how many there are."""

import asyncio
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Generic, TypeVar

from wonder_payment.errors import ConfigurationError, RequestTimeoutError

from .connections import IDLE_SECONDS, AsyncConnection, SyncConnection

_ConnectionT = TypeVar("_ConnectionT")


class _Pool(Generic[_ConnectionT]):
    """Connections, each with one request in flight at a time.

    The time that httpcore's own pool needs for a request grows with its connections and with the requests that wait for
    one (encode/httpx issue 3215). In a burst, requests could arrive faster than that pool handled them. It also closes
    a connection after its request while there are more than 20. So each connection here has an httpcore pool of its
    own. Idle connections are reused, the most recent first.

    Args:
        connect: Returns a connection.
        is_shared: Whether ``connect`` returns the same connection each time: requests share it, and it is not closed
            when idle.

    Attributes:
        in_flight: How many requests are in flight.
        is_closed: Whether the client was closed.
    """

    def __init__(self, connect: Callable[[], _ConnectionT], *, is_shared: bool) -> None:
        self._connect, self._is_shared = connect, is_shared
        self._connections: set[_ConnectionT] = {connect()}
        self._idle = deque((time.monotonic(), connection) for connection in self._connections)
        self._lock = threading.Lock()
        self.in_flight, self.is_closed = 0, False

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
            self.in_flight += 1
        return connection

    def _put(self, connection: _ConnectionT) -> None:
        with self._lock:
            if connection in self._connections:
                self._idle.append((time.monotonic(), connection))
            self.in_flight -= 1

    def _forget(self, connection: _ConnectionT) -> bool:
        """Return whether a connection that failed must be closed; it will not be used again.

        httpcore keeps some failures in its own pool, such as a tunnel whose TLS handshake failed.
        """
        with self._lock:
            if not self._is_shared:
                self._connections.discard(connection)
            return not self._is_shared

    def _take_expired(self) -> list[_ConnectionT]:
        """Return a connection to close, if one is idle for too long.

        Closing one with each request soon closes all that a burst left behind.
        """
        with self._lock:
            if self._is_shared or not self._idle or self._idle[0][0] + IDLE_SECONDS >= time.monotonic():
                return []
            expired = self._idle.popleft()[1]
            self._connections.discard(expired)
            return [expired]

    def _take_all(self) -> set[_ConnectionT]:
        with self._lock:
            self.is_closed = True
            connections, self._connections = self._connections, set[_ConnectionT]()
            self._idle.clear()
        return connections


class _Slots:
    """A semaphore that serves threads in their order.

    With threading.Semaphore, a thread that asks again right after it released a slot gets it, and the others starve.
    """

    def __init__(self, free: int) -> None:
        self._free = free
        self._lock = threading.Lock()
        self._waiting = deque[threading.Event]()

    def acquire(self, timeout: float) -> bool:
        """Return whether there was a slot within ``timeout`` seconds."""
        with self._lock:
            if self._free:
                self._free -= 1
                return True
            turn = threading.Event()
            self._waiting.append(turn)
        try:
            turn.wait(min(timeout, threading.TIMEOUT_MAX))
        except BaseException:
            if not self._withdraw(turn):
                self.release()
            raise
        return not self._withdraw(turn)

    def _withdraw(self, turn: threading.Event) -> bool:
        """Stop waiting; return False if the turn has come."""
        with self._lock:
            if not turn.is_set():
                self._waiting.remove(turn)
            return not turn.is_set()

    def release(self) -> None:
        """Give the slot to the thread that has waited longest."""
        with self._lock:
            if self._waiting:
                self._waiting.popleft().set()
            else:
                self._free += 1


class SyncPool(_Pool[SyncConnection]):
    """The connections of one process."""

    def __init__(self, connect: Callable[[], SyncConnection], max_connections: int, *, is_shared: bool = False) -> None:
        super().__init__(connect, is_shared=is_shared)
        self._free = _Slots(max_connections)

    def acquire(self, until: float) -> SyncConnection:
        """Return a connection for one request; wait while all are in use.

        Args:
            until: When to stop waiting (time.monotonic()).

        Raises:
            RequestTimeoutError: No connection was free by ``until``.
            ConfigurationError: The client is closed.
        """
        if not self._free.acquire(max(until - time.monotonic(), 0)):
            raise _queue_error()
        try:
            for expired in self._take_expired():
                expired.close()
            return self._take()
        except BaseException:
            self._free.release()
            raise

    def release(self, connection: SyncConnection) -> None:
        """Keep the connection for another request."""
        self._put(connection)
        self._free.release()

    def discard(self, connection: SyncConnection) -> None:
        """Close a connection that failed, if it is not shared."""
        if self._forget(connection):
            connection.close()

    def close(self) -> None:
        """Close all connections, including those in use."""
        for connection in self._take_all():
            connection.close()


class AsyncPool(_Pool[AsyncConnection]):
    """The connections of one event loop."""

    def __init__(
        self, connect: Callable[[], AsyncConnection], max_connections: int, *, is_shared: bool = False
    ) -> None:
        super().__init__(connect, is_shared=is_shared)
        self._free, self._turn = asyncio.Semaphore(max_connections), asyncio.Lock()

    async def acquire(self, until: float) -> AsyncConnection:
        """Return a connection for one request; see `SyncPool.acquire`."""
        # A call that waits for nobody sends its request, however little time it has.
        is_busy = self._free.locked() or self._turn.locked()
        has_slot = False
        try:
            async with asyncio.timeout(until - time.monotonic() if is_busy else None):
                has_slot = await self._free.acquire()
                await self.take_turn()
            for expired in self._take_expired():
                await expired.aclose()
            return self._take()
        except BaseException as error:
            if has_slot:
                self._free.release()
            if isinstance(error, TimeoutError):
                raise _queue_error() from None
            raise

    def release(self, connection: AsyncConnection) -> None:
        """Keep the connection for another request."""
        self._put(connection)
        self._free.release()

    async def take_turn(self) -> None:
        """Wait until no other request is about to begin and the event loop has handled everything else.

        Requests that begin at once would sign and write one right after the other, for a millisecond each, and block
        the loop. (A thread for the signatures costs more than it saves: each signature hands the GIL over twice.)
        """
        async with self._turn:
            await asyncio.sleep(0)

    async def discard(self, connection: AsyncConnection) -> None:
        """Close a connection that failed, if it is not shared."""
        if self._forget(connection):
            await connection.aclose()

    async def aclose(self) -> None:
        """Close all connections, including those in use."""
        for connection in self._take_all():
            await connection.aclose()

    def drop(self) -> None:
        """Close all connections from outside their event loop, as far as that is possible."""
        self.is_closed = True
        for connection in list(self._connections):
            connection.drop()


def closed_error() -> ConfigurationError:
    """Return the error of a call whose client is closed before it ends."""
    return ConfigurationError("This client was closed during the call. Close it after its last call.")


def _queue_error() -> RequestTimeoutError:
    return RequestTimeoutError(
        "The deadline of this call passed while it waited for a connection. Increase max_connections=, or make fewer "
        "calls at a time."
    )
