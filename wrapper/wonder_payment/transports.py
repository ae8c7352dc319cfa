"""What carries the requests of the async client: httpx's own transport, many times, or aiohttp's."""

from __future__ import annotations

import asyncio
import time
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any, cast

import httpx

from .errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from ssl import SSLContext

__all__ = ["PoolEach", "aiohttp_transport"]

# As many as httpx's own pool has at most, and as many seconds as it keeps one that nobody uses.
_MOST_CONNECTIONS = 100
_KEPT = 5.0


class PoolEach(httpx.AsyncBaseTransport):
    """httpx's own transports, with a connection pool for each request under way.

    The time that a pool of httpcore's takes for a request grows with its connections and with those that queue for one
    (encode/httpx issue 3215), so that a burst could grow faster than it was worked off. It also closes each connection
    at its end while there are more than 20. A pool that has one knows neither. What is idle is used again, the last
    one first.

    Args:
        certificates: Whom to trust.
        trust_env: Whether the environment's proxies are used.
    """

    def __init__(self, certificates: SSLContext, *, trust_env: bool) -> None:
        self._options: dict[str, Any] = {"trust_env": trust_env, "verify": certificates}
        self._room = asyncio.Semaphore(_MOST_CONNECTIONS)
        self._pools = set[_Pool]()
        # Since when, the longest first. The first is made at once, so that a wrong proxy shows early.
        self._idle = {self._made(): time.monotonic()}

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request; its pool is free again when the response is closed."""
        async with AsyncExitStack() as closing:
            await closing.enter_async_context(self._room)
            await self._close_one_unused()
            pool = self._idle.popitem()[0] if self._idle else self._made()
            closing.callback(lambda: self._idle.update({pool: time.monotonic()}))
            response = await pool.carry(request)
            stream = cast("httpx.AsyncByteStream", response.stream)
            closing.push_async_callback(stream.aclose)
            response.stream = _Stream(stream, closing.pop_all())
        return response

    async def aclose(self) -> None:
        """Close all connections, also those in use."""
        while self._pools:
            await self._pools.pop().aclose()

    def _made(self) -> _Pool:
        pool = _Pool(**self._options)
        self._pools.add(pool)
        return pool

    async def _close_one_unused(self) -> None:
        """Close what a burst left behind; one for each request is soon all of them."""
        pool, since = next(iter(self._idle.items()), (None, 0.0))
        if pool and since + _KEPT < time.monotonic():
            del self._idle[pool]
            self._pools.discard(pool)
            await pool.aclose()


class _Pool(httpx.AsyncClient):
    async def carry(self, request: httpx.Request) -> httpx.Response:
        """Send a request the way that the environment says, through a proxy or not."""
        return await self._transport_for_url(request.url).handle_async_request(request)


class _Stream(httpx.AsyncByteStream):
    def __init__(self, stream: httpx.AsyncByteStream, closing: AsyncExitStack) -> None:
        self._stream, self._closing = stream, closing

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self._stream.__aiter__()

    async def aclose(self) -> None:
        await self._closing.aclose()


def aiohttp_transport(certificates: SSLContext, *, trust_env: bool) -> httpx.AsyncBaseTransport:
    """Return what costs less than httpx's own transports.

    Raises:
        ConfigurationError: The extra ``aiohttp`` is not installed.
    """
    try:
        from aiohttp import ClientSession, DummyCookieJar, TCPConnector  # noqa: PLC0415 (it needs an extra)
        from httpx_aiohttp import AiohttpTransport  # noqa: PLC0415
    except ModuleNotFoundError as error:
        problem = f"{error}: transport='aiohttp' needs `pip install 'wonder-payment[aiohttp]'`."
        raise ConfigurationError(problem) from None

    def session() -> ClientSession:
        return ClientSession(connector=TCPConnector(ssl=certificates), cookie_jar=DummyCookieJar(), trust_env=trust_env)

    return AiohttpTransport(verify=certificates, client=session)
