"""The transports of a client: one pool for each process (sync) or event loop (async), which share no connections."""

import asyncio
import base64
import os
import ssl
import time
import weakref
from collections.abc import Callable
from functools import cache
from typing import Any, Generic, TypeVar

import httpx

from wonder_payment.errors import ConfigurationError

from .environment import certificates, environment_proxy

_PlaceT = TypeVar("_PlaceT")
_PoolT = TypeVar("_PoolT", bound="SyncPool | AsyncPool")

# The limits of httpx's own pool.
_MAX_CONNECTIONS = 100
_IDLE_SECONDS = 5.0


class SyncPool:
    """The transport of one process.

    Attributes:
        in_flight: One object for each request in flight.
        is_closed: Whether the client was closed.
    """

    def __init__(self, transport: httpx.BaseTransport) -> None:
        self.transport, self.in_flight, self.is_closed = transport, set[object](), False

    def close(self) -> None:
        """Close the connections."""
        self.is_closed = True
        self.transport.close()


class AsyncPool:
    """The transport of one event loop, which all requests share."""

    def __init__(self, transport: httpx.AsyncBaseTransport) -> None:
        self._transports, self.in_flight, self.is_closed = {transport}, set[object](), False
        self._turn = asyncio.Lock()

    async def acquire(self) -> httpx.AsyncBaseTransport:
        """Return a transport for one request."""
        return next(iter(self._transports))

    def release(self, transport: httpx.AsyncBaseTransport) -> None:
        """Take the transport back."""

    async def take_turn(self) -> None:
        """Wait until no other request is about to begin and the event loop has handled everything else.

        Requests that begin at once would sign and write one right after the other, for a millisecond each, and block
        the loop. (A thread for the signatures costs more than it saves: each signature hands Python's lock over twice.)
        """
        await asyncio.sleep(0)  # also lets aiohttp note which of its connections have ended
        async with self._turn:
            await asyncio.sleep(0)

    async def aclose(self) -> None:
        """Close all connections, including those in use."""
        self.is_closed = True
        while self._transports:
            await self._transports.pop().aclose()


class PerRequestPool(AsyncPool):
    """httpx's own transports, each with one request in flight at a time.

    The time that httpcore's pool needs for a request grows with its connections and with the requests that wait for one
    (encode/httpx issue 3215), so that a burst could grow faster than it was handled. It also closes each connection
    after its request while there are more than 20. A pool with one connection does neither. Idle ones are used again,
    the most recent first.

    Args:
        make: Makes a transport.
    """

    def __init__(self, make: Callable[[], httpx.AsyncBaseTransport]) -> None:
        super().__init__(make())
        self._make = make
        self._free = asyncio.Semaphore(_MAX_CONNECTIONS)
        self._idle = dict.fromkeys(self._transports, time.monotonic())  # when each became idle, the oldest first

    async def acquire(self) -> httpx.AsyncBaseTransport:
        """Return an idle transport or a new one; wait while 100 are in use."""
        oldest, since = next(iter(self._idle.items()), (None, 0.0))
        if oldest and since + _IDLE_SECONDS < time.monotonic():
            # Closing one with each request soon closes all that a burst left behind.
            del self._idle[oldest]
            self._transports.discard(oldest)
            await oldest.aclose()
        await self._free.acquire()
        transport = self._idle.popitem()[0] if self._idle else self._make()
        self._transports.add(transport)
        return transport

    def release(self, transport: httpx.AsyncBaseTransport) -> None:
        """Keep the transport for another request."""
        self._idle[transport] = time.monotonic()
        self._free.release()


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
            ConfigurationError: The client is closed.
        """
        if self._is_closed:
            raise ConfigurationError("This client is closed: make a new one.", attempts=0)
        place = self._place()
        return self._pools.get(place) or self._pools.setdefault(place, self._make())  # two threads may each make one

    def _place(self) -> _PlaceT:
        raise NotImplementedError


class ProcessPools(_Pools[tuple[int, type], SyncPool]):
    """The pools of a sync client. A forked child must neither use nor close its parent's pool."""

    def __init__(self, origin: str, transport: httpx.BaseTransport | None) -> None:
        options = _options(origin)
        super().__init__(lambda: SyncPool(transport or httpx.HTTPTransport(**options())), _close_own)

    def _place(self) -> tuple[int, type]:
        return _process()

    def close(self) -> None:
        """Close the pool of this process, for good."""
        self._is_closed = True
        _close_own(self._pools)


class LoopPools(_Pools[asyncio.AbstractEventLoop, AsyncPool]):
    """The pools of an async client."""

    def __init__(self, origin: str, transport: httpx.AsyncBaseTransport | str | None) -> None:
        options = _options(origin)

        def make() -> AsyncPool:
            if isinstance(transport, httpx.AsyncBaseTransport):
                return AsyncPool(transport)
            if transport == "aiohttp":
                return AsyncPool(_aiohttp_transport(**options()))
            return PerRequestPool(lambda: httpx.AsyncHTTPTransport(**options()))

        super().__init__(make, _close_soon)

    def _place(self) -> asyncio.AbstractEventLoop:
        loop = asyncio.get_running_loop()
        for ended in [known for known in list(self._pools) if known.is_closed()]:
            self._pools.pop(ended, None)
        return loop

    async def aclose(self) -> None:
        """Close the pool of the running event loop; the others can only be closed in their own loops."""
        self._is_closed = True
        own = self._pools.pop(asyncio.get_running_loop(), None)
        _close_soon(self._pools)
        if own:
            await own.aclose()


def _process() -> tuple[int, type]:
    """Return the process and its class of TLS contexts: gevent replaces the class, and older contexts then fail."""
    return os.getpid(), ssl.SSLContext


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


def _aiohttp_transport(verify: ssl.SSLContext, proxy: httpx.Proxy | None) -> httpx.AsyncBaseTransport:
    """Return a transport that costs less CPU than httpx's own.

    Raises:
        ConfigurationError: The extra ``aiohttp`` is not installed, or aiohttp does not know the kind of proxy.
    """
    try:
        from aiohttp import ClientSession, DummyCookieJar, TCPConnector  # noqa: PLC0415 (it needs an extra)
        from httpx_aiohttp import AiohttpTransport  # noqa: PLC0415
    except ModuleNotFoundError as error:
        problem = f"{error}: transport='aiohttp' needs `pip install 'wonder-payment[aiohttp]'`."
        raise ConfigurationError(problem, attempts=0) from None
    if proxy and proxy.url.scheme.startswith("socks"):
        raise ConfigurationError("transport='aiohttp' cannot use a SOCKS proxy.", attempts=0)

    if proxy and proxy.raw_auth:
        # aiohttp deprecates the way in which httpx-aiohttp passes credentials, and encodes them as Latin-1.
        basic = b"Basic " + base64.b64encode(b":".join(proxy.raw_auth))
        proxy = httpx.Proxy(proxy.url, headers={"Proxy-Authorization": basic.decode()})

    def session() -> ClientSession:
        # Without trust_env, which would send the passwords of ~/.netrc to the gateway.
        return ClientSession(connector=TCPConnector(ssl=verify), cookie_jar=DummyCookieJar(), trust_env=False)

    return AiohttpTransport(verify=verify, client=session, proxy=proxy)
