"""Connections through httpx's transports: each sends a request and reads the response, by the deadline."""

import asyncio
import socket
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from functools import lru_cache
from typing import Any, Protocol

import httpx

from .failures import TRANSPORT_ERRORS
from .received import MAX_BYTES, RawResponse, joined

# How long an idle connection is kept: as in httpx.
IDLE_SECONDS = 5.0


class SyncConnection(Protocol):
    """What sends the requests of a sync client."""

    def send(self, method: str, uri: str, headers: dict[str, str], body: bytes, deadline: float) -> RawResponse:
        """Send a request and return the response.

        Args:
            method: The HTTP method.
            uri: The path with its query string, exactly as signed.
            headers: The headers of the request.
            body: The exact bytes signed.
            deadline: When the response must be complete (time.monotonic()).

        Raises:
            httpx.TransportError: There is no whole response in time; or an OSError.
        """
        ...

    def close(self) -> None:
        """Close the connection, also while it is in use."""


class AsyncConnection(Protocol):
    """What sends the requests of an async client."""

    async def send(self, method: str, uri: str, headers: dict[str, str], body: bytes, deadline: float) -> RawResponse:
        """Send a request and return the response; see `SyncConnection.send`."""
        ...

    async def aclose(self) -> None:
        """Close the connection, also while it is in use."""

    def drop(self) -> None:
        """Close the connection from outside its event loop, as far as that is possible."""


class HttpxConnection:
    """A sync transport of httpx.

    Args:
        origin: The gateway's scheme, host and port.
        transport: The caller's own transport; by default, one with these options.
    """

    def __init__(self, origin: str, transport: httpx.BaseTransport | None = None, **options: Any) -> None:
        self._origin, self._transport = origin, transport or httpx.HTTPTransport(**options)
        proxy: httpx.Proxy | None = options.get("proxy")
        self._host = (proxy.url if proxy else httpx.URL(origin)).host

    def send(self, method: str, uri: str, headers: dict[str, str], body: bytes, deadline: float) -> RawResponse:
        """Send a request; see `SyncConnection.send`."""
        request = _request(method, self._origin + uri, headers, body, TimeLeft(deadline, self._host))
        response = self._transport.handle_request(request)
        received = joined(response.headers.raw)
        return RawResponse(response.status_code, received, read(response, received, deadline))

    def close(self) -> None:
        """Close the transport."""
        self._transport.close()


class AsyncHttpxConnection:
    """An async transport of httpx; see `HttpxConnection`."""

    def __init__(self, origin: str, transport: httpx.AsyncBaseTransport | None = None, **options: Any) -> None:
        self._origin, self._transport = origin, transport or httpx.AsyncHTTPTransport(**options)

    async def send(self, method: str, uri: str, headers: dict[str, str], body: bytes, deadline: float) -> RawResponse:
        """Send a request; see `SyncConnection.send`."""
        # Half of the time for TCP and half for TLS: if cancelled in either, httpcore leaves the socket open.
        request = _request(method, self._origin + uri, headers, body, {"connect": left(deadline) / 2})
        response = None
        try:
            async with asyncio.timeout(left(deadline)):
                response = await self._transport.handle_async_request(request)
                received = joined(response.headers.raw)
                content = await read_async(response.stream, received, deadline)
                return RawResponse(response.status_code, received, content)
        finally:
            if response:
                # Outside the timeout: a close that is cancelled leaves the connection in the pool forever.
                with suppress(*TRANSPORT_ERRORS):
                    await response.aclose()

    async def aclose(self) -> None:
        """Close the transport."""
        await self._transport.aclose()

    def drop(self) -> None:
        """Leave the transport to the garbage collector, which closes its sockets."""


def _request(method: str, url: str, headers: dict[str, str], body: bytes, timeout: dict[str, float]) -> httpx.Request:
    # From a stream: for a content, httpx would search the headers for those that are missing.
    target, stream, extensions = _url(url), httpx.ByteStream(body), {"timeout": timeout}
    headers = {"Host": target.netloc.decode("ascii"), "Content-Length": str(len(body)), **headers}
    request = httpx.Request(method, target, headers=headers, stream=stream, extensions=extensions)
    request.read()  # mock transports may read its content
    return request


# Parsing its URL is half of the cost of an httpx.Request.
_url = lru_cache(maxsize=64)(httpx.URL)


class TimeLeft(dict[str, float]):
    """The timeout of each step of a sync request: the time that is left when the step begins.

    httpcore has a timeout for each step (pool, connect, write, read) and none for the whole. It looks up a step's
    timeout when the step begins, so computing it then makes one budget of the four. Connecting uses its timeout for
    each address of the host in turn, and once more for TLS: each gets an equal share.
    """

    def __init__(self, deadline: float, host: str) -> None:
        super().__init__()
        self._deadline, self._host = deadline, host

    def get(self, step: str, _default: object = None) -> float:
        shares = _count_addresses(self._host) + 1 if step == "connect" else 1
        return left(self._deadline) / shares


def left(deadline: float) -> float:
    """Return the seconds that are left; never 0, which tells a socket not to wait at all."""
    return max(deadline - time.monotonic(), 0.001)


def _count_addresses(host: str) -> int:
    try:
        return len(socket.getaddrinfo(host, None, type=socket.SOCK_STREAM))
    except (OSError, UnicodeError):
        return 1  # connecting fails, too, and says why


def read(response: Any, headers: Mapping[str, str], deadline: float) -> bytes | None:
    """Return the body of a response of httpx or httpcore, and close it. Return None if it is larger than 1 MiB.

    Raises:
        TimeoutError: The deadline is over.
    """
    content, watchdog = b"", None
    try:
        if _is_too_large(headers):
            return None
        # Small responses come in one piece with their length, and need no thread.
        if "content-length" not in headers:
            watchdog = _watchdog(response, deadline)
        for chunk in response.stream:
            content += chunk
            if time.monotonic() > deadline:
                raise TimeoutError
            if len(content) > MAX_BYTES:
                return None
            if not watchdog and headers.get("content-length") != str(len(content)):
                watchdog = _watchdog(response, deadline)
        return content
    finally:
        if watchdog:
            watchdog.cancel()
        with suppress(*TRANSPORT_ERRORS):
            response.stream.close()


def _watchdog(response: Any, deadline: float) -> threading.Timer | None:
    """Shut the connection down at the deadline.

    A read timeout restarts with each read: it ends a response that hangs, but not one that comes byte by byte.
    """
    network_stream = response.extensions.get("network_stream")
    connection = network_stream and network_stream.get_extra_info("socket")
    if connection is None:
        return None

    def shut_down() -> None:
        with suppress(OSError):  # it is closed already
            # Not a TLS socket's own shutdown(), which another thread may not call during a read.
            socket.socket.shutdown(connection, socket.SHUT_RDWR)

    watchdog = threading.Timer(deadline - time.monotonic(), shut_down)
    watchdog.daemon = True
    with suppress(RuntimeError):  # no thread is left: only the timeout of each read applies
        watchdog.start()
    return watchdog


async def read_async(stream: Any, headers: Mapping[str, str], deadline: float) -> bytes | None:
    """Return the body; see `read`."""
    if _is_too_large(headers):
        return None
    content = b""
    async for chunk in stream:
        content += chunk
        if time.monotonic() > deadline:
            raise TimeoutError
        if len(content) > MAX_BYTES:
            return None
    return content


def _is_too_large(headers: Mapping[str, str]) -> bool:
    length = headers.get("content-length", "")
    return length.isdecimal() and int(length[:20]) > MAX_BYTES
