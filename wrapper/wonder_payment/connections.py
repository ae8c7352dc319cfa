"""Who may use which connections: no two processes, and no two event loops, can share one."""

from __future__ import annotations

import asyncio
import os
import weakref
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from .errors import ConfigurationError
from .gateway import AsyncGatewayClient, GatewayClient

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["LoopConnections", "ProcessConnections"]

_HttpT = TypeVar("_HttpT", GatewayClient, AsyncGatewayClient)
_PlaceT = TypeVar("_PlaceT")


class _Connections(Generic[_PlaceT, _HttpT]):
    """The httpx client of each place that asks, made at its first call there.

    Args:
        options: What each is made with. The first is made at once, so that wrong settings show early.
    """

    _kind: type[_HttpT]

    def __init__(self, **options: Any) -> None:
        self._options = options
        self._unused: list[_HttpT] = [self._kind(**options)]
        self._in_use: dict[_PlaceT, _HttpT] = {}
        self._is_closed = False

    def at(self, place: _PlaceT) -> _HttpT:
        """Return the client of this place.

        Raises:
            ConfigurationError: They are closed.
        """
        if self._is_closed:
            raise ConfigurationError("This client is closed: make a new one.")
        known = self._in_use.get(place)
        if known is None:
            try:
                made = self._unused.pop()
            except IndexError:
                made = self._kind(**self._options)
            known = self._in_use.setdefault(place, made)  # two threads may have made one
        return known


class ProcessConnections(_Connections[int, GatewayClient]):
    """Those of a process. A forked child lets its parent's alone: to use or to close them would disturb the parent."""

    _kind = GatewayClient

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        weakref.finalize(self, _close_unused, _close_own, self._in_use)

    def here(self) -> GatewayClient:
        """Return the client of this process."""
        return self.at(os.getpid())

    def close(self) -> None:
        """Close those of this process, for good."""
        self._is_closed = True
        _close_own(self._in_use)


class LoopConnections(_Connections[asyncio.AbstractEventLoop, AsyncGatewayClient]):
    """Those of an event loop."""

    _kind = AsyncGatewayClient

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        weakref.finalize(self, _close_unused, _close_soon, self._in_use)

    def here(self) -> AsyncGatewayClient:
        """Return the client of the running event loop, and forget those of loops that are closed."""
        loop = asyncio.get_running_loop()
        if loop not in self._in_use:
            for ended in [known for known in list(self._in_use) if known.is_closed()]:
                self._in_use.pop(ended, None)
        return self.at(loop)

    async def aclose(self) -> None:
        """Close those of the running event loop; the others can be closed in their own loops alone."""
        self._is_closed = True
        own = self._in_use.pop(asyncio.get_running_loop(), None)
        _close_soon(self._in_use)
        if own:
            await own.aclose()


def _close_unused(close: Callable[[dict[_PlaceT, _HttpT]], None], in_use: dict[_PlaceT, _HttpT]) -> None:
    """Close for who did not. At the interpreter's end a daemon thread may still ask, and would complain."""
    close({place: client for place, client in list(in_use.items()) if not client.under_way})


def _close_own(in_use: dict[int, GatewayClient]) -> None:
    own = in_use.get(os.getpid())
    if own:
        own.close()


def _close_soon(in_use: dict[asyncio.AbstractEventLoop, AsyncGatewayClient]) -> None:
    for loop, client in list(in_use.items()):
        if loop.is_running():
            asyncio.run_coroutine_threadsafe(client.aclose(), loop)
