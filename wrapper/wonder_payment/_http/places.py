"""Where a client's pools are: one for each process (sync) or event loop (async), which share no connections."""

import asyncio
import os
import ssl
import weakref
from collections.abc import Callable
from contextlib import suppress
from functools import cache, partial
from typing import Any, Generic, TypeVar

import httpx

from wonder_payment.errors import ConfigurationError

from .connections import AsyncConnection, AsyncHttpxConnection, HttpxConnection, SyncConnection
from .environment import network_options
from .pool import AsyncPool, SyncPool

_PlaceT = TypeVar("_PlaceT")
_PoolT = TypeVar("_PoolT", bound=SyncPool | AsyncPool)


class _Pools(Generic[_PlaceT, _PoolT]):
    """One pool for each place (a process or an event loop), made at the first call there.

    One more is made at the start, so that wrong settings fail early.
    """

    _close_all: Callable[[dict[_PlaceT, _PoolT]], None]

    def __init__(self, origin: str, transport: Any, max_connections: int, **network: Any) -> None:
        self._origin, self._transport, self._max_connections = origin, transport, max_connections

        @cache  # so that they are made once, and once more after a late patch by gevent
        def options(_context: type) -> dict[str, Any]:
            return network_options(origin, **network)

        self._options = options
        self._pools: dict[_PlaceT, _PoolT] = {}
        self._is_closed = False
        self._make()
        weakref.finalize(self, _close_unused, self._close_all, self._pools)

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

    def _make(self) -> _PoolT:
        """Return a new pool. It must not refer to this object, which could then never be collected."""
        raise NotImplementedError


def _process() -> tuple[int, type]:
    """Return the process and its class of TLS contexts: gevent replaces the class, and older contexts then fail."""
    return os.getpid(), ssl.SSLContext


def _close_unused(close_all: Callable[[dict[Any, Any]], None], pools: dict[Any, Any]) -> None:
    """Close the pools of a client that nobody closed, except where a daemon thread still has a request in flight."""
    close_all({place: pool for place, pool in list(pools.items()) if not pool.in_flight})


def _close_own(pools: dict[tuple[int, type], SyncPool]) -> None:
    if own := pools.pop(_process(), None):
        own.close()


class ProcessPools(_Pools[tuple[int, type], SyncPool]):
    """The pools of a sync client. A forked child must neither use nor close its parent's pool."""

    _close_all = staticmethod(_close_own)

    def _place(self) -> tuple[int, type]:
        return _process()

    def _make(self) -> SyncPool:
        if isinstance(self._transport, httpx.BaseTransport):
            shared = HttpxConnection(self._origin, self._transport)
            return SyncPool(lambda: shared, self._max_connections, is_shared=True)
        kind: Callable[..., SyncConnection] = HttpxConnection
        if self._transport == "fast":
            from .fast import HttpcoreConnection  # noqa: PLC0415 (it loads httpcore)

            kind = HttpcoreConnection
        return SyncPool(partial(kind, self._origin, **self._options(ssl.SSLContext)), self._max_connections)

    def close(self) -> None:
        """Close the pool of this process, for good."""
        self._is_closed = True
        _close_own(self._pools)


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


def _close_soon(pools: dict[asyncio.AbstractEventLoop, AsyncPool]) -> None:
    here = None
    with suppress(RuntimeError):
        here = asyncio.get_running_loop()
    for loop, pool in list(pools.items()):
        if loop is here or not loop.is_running():
            pool.drop()  # at once: the loop that runs here may be about to end
        if loop.is_running():
            asyncio.run_coroutine_threadsafe(pool.aclose(), loop)


class LoopPools(_Pools[asyncio.AbstractEventLoop, AsyncPool]):
    """The pools of an async client."""

    _close_all = staticmethod(_close_soon)

    def _place(self) -> asyncio.AbstractEventLoop:
        for ended in [known for known in list(self._pools) if known.is_closed()]:
            if pool := self._pools.pop(ended, None):
                pool.drop()
        return running_loop()

    def _make(self) -> AsyncPool:
        if self._transport is None:
            connect = partial(AsyncHttpxConnection, self._origin, **self._options(ssl.SSLContext))
            return AsyncPool(connect, self._max_connections)
        if self._transport == "fast":
            try:
                from .fast_async import AiohttpConnection  # noqa: PLC0415 (it needs an extra)
            except ModuleNotFoundError as error:
                problem = f"{error}: transport='fast' of AsyncWonderClient needs `pip install 'wonder-payment[fast]'`."
                raise ConfigurationError(problem, attempts=0) from None
            shared: AsyncConnection = AiohttpConnection(self._origin, **self._options(ssl.SSLContext))
        else:
            shared = AsyncHttpxConnection(self._origin, self._transport)
        return AsyncPool(lambda: shared, self._max_connections, is_shared=True)

    async def aclose(self) -> None:
        """Close the pool of the running event loop; the others can only be closed in their own loops."""
        own = self._pools.pop(running_loop(), None)
        self._is_closed = True
        _close_soon(self._pools)
        if own:
            await own.aclose()
