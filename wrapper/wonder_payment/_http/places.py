"""Where a client's pools are: one for each process (sync) or event loop (async), which share no connections."""

import asyncio
import os
import ssl
import weakref
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from typing import Any, Generic, TypeVar

import httpx

from wonder_payment.errors import ConfigurationError

from .connections import AsyncConnection, AsyncHttpxConnection, HttpxConnection
from .environment import network_options
from .pool import AsyncPool, SyncPool

_PlaceT = TypeVar("_PlaceT")
_PoolT = TypeVar("_PoolT", bound=SyncPool | AsyncPool)


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
            raise ConfigurationError("This client is closed. Make a new one.", attempts=0)
        place = self._place()
        return self._pools.get(place) or self._pools.setdefault(place, self._make())  # two threads may each make one

    def _place(self) -> _PlaceT:
        raise NotImplementedError


class ProcessPools(_Pools[tuple[int, type], SyncPool]):
    """The pools of a sync client. A forked child must neither use nor close its parent's pool."""

    def __init__(
        self, origin: str, transport: httpx.BaseTransport | str | None, max_connections: int, **network: Any
    ) -> None:
        options = _options(origin, network)

        def make() -> SyncPool:
            if isinstance(transport, httpx.BaseTransport):
                shared = HttpxConnection(transport, origin)
                return SyncPool(lambda: shared, max_connections, is_shared=True)
            if transport == "fast":
                from .fast import HttpcoreConnection  # noqa: PLC0415 (it loads httpcore)

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

    def __init__(
        self, origin: str, transport: httpx.AsyncBaseTransport | str | None, max_connections: int, **network: Any
    ) -> None:
        options = _options(origin, network)

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


def _options(origin: str, network: dict[str, Any]) -> Callable[[], dict[str, Any]]:
    """Return a function that gives a transport's options: made once, and once more after a late patch by gevent."""

    @cache
    def options(_context: type) -> dict[str, Any]:
        return network_options(origin, **network)

    return lambda: options(ssl.SSLContext)


def _close_unused(close_all: Callable[[dict[Any, Any]], None], pools: dict[Any, Any]) -> None:
    """Close the pools of a client that nobody closed, except where a daemon thread still has a request in flight."""
    close_all({place: pool for place, pool in list(pools.items()) if not pool.in_flight})


def _close_own(pools: dict[tuple[int, type], SyncPool]) -> None:
    own = pools.get(_process())
    if own:
        own.close()


def _close_soon(pools: dict[asyncio.AbstractEventLoop, AsyncPool]) -> None:
    here = None
    with suppress(RuntimeError):
        here = asyncio.get_running_loop()
    for loop, pool in list(pools.items()):
        if loop is here or not loop.is_running():
            pool.drop()  # at once: the loop that runs here may be about to end
        if loop.is_running():
            asyncio.run_coroutine_threadsafe(pool.aclose(), loop)


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
