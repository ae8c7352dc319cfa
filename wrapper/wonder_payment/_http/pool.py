"""The connections of a client: one pool for each process (sync) or event loop (async), which share nothing."""

import asyncio
import os
import ssl
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable
from functools import cache
from typing import Any, Generic, TypeVar

import httpx

from wonder_payment.errors import ConfigurationError, RequestTimeoutError

from .connections import IDLE_SECONDS, AsyncConnection, AsyncHttpxConnection, HttpxConnection, SyncConnection
from .environment import certificates, environment_proxy
from .fast import HttpcoreConnection

_ConnectionT = TypeVar("_ConnectionT")
_PlaceT = TypeVar("_PlaceT")
_PoolT = TypeVar("_PoolT", bound="SyncPool | AsyncPool")


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
            self._idle.append((time.monotonic(), connection))
            self.in_flight -= 1

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


class SyncPool(_Pool[SyncConnection]):
    """The connections of one process."""

    def __init__(self, connect: Callable[[], SyncConnection], max_connections: int, *, is_shared: bool = False) -> None:
        super().__init__(connect, is_shared=is_shared)
        self._free = threading.Semaphore(max_connections)

    def acquire(self, until: float) -> SyncConnection:
        """Return a connection for one request; wait while all are in use.

        Args:
            until: When to stop waiting (time.monotonic()).

        Raises:
            RequestTimeoutError: No connection was free by ``until``.
            ConfigurationError: The client is closed.
        """
        if not self._free.acquire(timeout=min(max(until - time.monotonic(), 0), threading.TIMEOUT_MAX)):
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
        try:
            async with asyncio.timeout(until - time.monotonic()):
                await self._free.acquire()
        except TimeoutError:
            raise _queue_error() from None
        try:
            await self._take_turn()
            for expired in self._take_expired():
                await expired.aclose()
            return self._take()
        except BaseException:
            self._free.release()
            raise

    def release(self, connection: AsyncConnection) -> None:
        """Keep the connection for another request."""
        self._put(connection)
        self._free.release()

    async def _take_turn(self) -> None:
        """Wait until no other request is about to begin and the event loop has handled everything else.

        Requests that begin at once would sign and write one right after the other, for a millisecond each, and block
        the loop. (A thread for the signatures costs more than it saves: each signature hands the GIL over twice.)
        """
        await asyncio.sleep(0)  # also lets aiohttp note which of its connections have ended
        async with self._turn:
            await asyncio.sleep(0)

    async def aclose(self) -> None:
        """Close all connections, including those in use."""
        for connection in self._take_all():
            await connection.aclose()

    def drop(self) -> None:
        """Close all connections from outside their event loop, as far as that is possible."""
        for connection in self._take_all():
            connection.drop()


class _Pools(Generic[_PlaceT, _PoolT]):
    """One pool for each place (a process or an event loop), made at the first call there.

    Args:
        make: Makes a pool. It is called once at the start, so that wrong settings fail early.
        close_all: Closes the pools that it is given.
    """

    def __init__(self, make: Callable[[], _PoolT], close_all: Callable[[dict[_PlaceT, _PoolT]], None]) -> None:
        self._make = make
        self._pools: dict[_PlaceT, _PoolT] = {}
        self._is_closed = False
        make()
        weakref.finalize(self, _close_unused, close_all, self._pools)

    def here(self) -> _PoolT:
        """Return the pool of this place.

        Raises:
            ConfigurationError: The client is closed, or no asyncio event loop is running.
        """
        if self._is_closed:
            raise ConfigurationError("This client is closed: make a new one.", attempts=0)
        place = self._place()
        return self._pools.get(place) or self._pools.setdefault(place, self._make())  # two threads may each make one

    def _place(self) -> _PlaceT:
        raise NotImplementedError


class ProcessPools(_Pools[tuple[int, type], SyncPool]):
    """The pools of a sync client. A forked child must neither use nor close its parent's pool."""

    def __init__(self, origin: str, transport: httpx.BaseTransport | str | None, max_connections: int) -> None:
        options = _options(origin)

        def make() -> SyncPool:
            if isinstance(transport, httpx.BaseTransport):
                shared = HttpxConnection(transport, origin)
                return SyncPool(lambda: shared, max_connections, is_shared=True)
            if transport == "fast":
                return SyncPool(lambda: HttpcoreConnection(origin, **options()), max_connections)
            return SyncPool(
                lambda: HttpxConnection(httpx.HTTPTransport(**options()), origin, options()["proxy"]), max_connections
            )

        super().__init__(make, _close_own)

    def _place(self) -> tuple[int, type]:
        return _process()

    def close(self) -> None:
        """Close the pool of this process, for good."""
        self._is_closed = True
        _close_own(self._pools)


class LoopPools(_Pools[asyncio.AbstractEventLoop, AsyncPool]):
    """The pools of an async client."""

    def __init__(self, origin: str, transport: httpx.AsyncBaseTransport | str | None, max_connections: int) -> None:
        options = _options(origin)

        def make() -> AsyncPool:
            if transport == "fast":
                shared = _aiohttp_connection(origin, **options())
            elif isinstance(transport, httpx.AsyncBaseTransport):
                shared = AsyncHttpxConnection(transport, origin)
            else:
                return AsyncPool(
                    lambda: AsyncHttpxConnection(httpx.AsyncHTTPTransport(**options()), origin), max_connections
                )
            return AsyncPool(lambda: shared, max_connections, is_shared=True)

        super().__init__(make, _close_soon)

    def _place(self) -> asyncio.AbstractEventLoop:
        loop = running_loop()
        for ended in [known for known in list(self._pools) if known.is_closed()]:
            if pool := self._pools.pop(ended, None):
                pool.drop()
        return loop

    async def aclose(self) -> None:
        """Close the pool of the running event loop; the others can only be closed in their own loops."""
        loop = running_loop()
        self._is_closed = True
        own = self._pools.pop(loop, None)
        _close_soon(self._pools)
        if own:
            await own.aclose()


def closed_error() -> ConfigurationError:
    """Return the error of a call whose client is closed before it ends."""
    return ConfigurationError("This client was closed during the call. Close it after its last call.")


def _queue_error() -> RequestTimeoutError:
    return RequestTimeoutError(
        "No connection was free before the deadline of this call. Increase max_connections=, or make fewer calls at a "
        "time."
    )


def _process() -> tuple[int, type]:
    """Return the process and its class of TLS contexts: gevent replaces the class, and older contexts then fail."""
    return os.getpid(), ssl.SSLContext


def running_loop() -> asyncio.AbstractEventLoop:
    """Return the running event loop.

    Raises:
        ConfigurationError: No asyncio event loop is running.
    """
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        problem = "AsyncWonderClient needs a running asyncio event loop; in trio, use WonderClient in a thread."
        raise ConfigurationError(problem, attempts=0) from None


def _options(origin: str) -> Callable[[], dict[str, Any]]:
    """Return a function that gives a transport's options: made once, and once more after a late patch by gevent."""

    @cache
    def options(_context: type) -> dict[str, Any]:
        return {"verify": certificates(origin), "proxy": environment_proxy(origin)}

    return lambda: options(ssl.SSLContext)


def _close_unused(close_all: Callable[[dict[Any, Any]], None], pools: dict[Any, Any]) -> None:
    """Close the pools of a client that nobody closed, except where a daemon thread still has a request in flight."""
    close_all({place: pool for place, pool in list(pools.items()) if not pool.in_flight})


def _close_own(pools: dict[tuple[int, type], SyncPool]) -> None:
    own = pools.get(_process())
    if own:
        own.close()


def _close_soon(pools: dict[asyncio.AbstractEventLoop, AsyncPool]) -> None:
    for loop, pool in list(pools.items()):
        if loop.is_running():
            asyncio.run_coroutine_threadsafe(pool.aclose(), loop)
        else:
            pool.drop()


def _aiohttp_connection(origin: str, verify: ssl.SSLContext, proxy: httpx.Proxy | None) -> AsyncConnection:
    """Return a connection of aiohttp.

    Raises:
        ConfigurationError: The extra ``fast`` is not installed.
    """
    try:
        from .fast_async import AiohttpConnection  # noqa: PLC0415 (it needs an extra)
    except ModuleNotFoundError as error:
        problem = f"{error}: transport='fast' of AsyncWonderClient needs `pip install 'wonder-payment[fast]'`."
        raise ConfigurationError(problem, attempts=0) from None
    return AiohttpConnection(origin, verify, proxy)
