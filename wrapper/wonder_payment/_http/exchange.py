"""One attempt over HTTP: sign the exact bytes, send them, and read the response, all before a deadline.

The generated client gets an exchange in the place of an httpx client, and calls its ``request`` once. Only what goes
wrong in the transport becomes a network error; a bug, and an error of the caller's own mock transport, leave as
themselves.
"""

import asyncio
import platform
import re
import socket
import ssl
import threading
import time
from collections.abc import Awaitable, Callable, Generator
from contextlib import suppress
from typing import Any, TypeAlias, TypeVar, cast

import attrs
import httpx

from wonder_payment import errors
from wonder_payment._redact import redact
from wonder_payment._version import __version__
from wonder_payment.signing import WonderAuth

from .environment import proxy_failure
from .response import MAX_BYTES, CheckedResponse, checked_response

_T = TypeVar("_T")
_Signing: TypeAlias = Generator[httpx.Request, httpx.Response, None]

_USER_AGENT = f"wonder-payment/{__version__} python/{platform.python_version()} httpx/{httpx.__version__}"
_HEADERS = {"Accept": "application/json", "Accept-Encoding": "identity", "User-Agent": _USER_AGENT}

_TRANSPORT_ERRORS = (httpx.TransportError, OSError)

_CLOSED = "This client was closed during the call."

# Parsers quote the bytes of the response that they cannot read; they may hold a cardholder's name.
_QUOTED_BYTES = re.compile(r"(bytearray\()?\bb['\"].*", re.DOTALL)


@attrs.define(eq=False)
class _Exchange:
    """What both exchanges share.

    Attributes:
        pool: Where the requests go.
        auth: What signs them.
        origin: The gateway's scheme, host and port.
        token: The token that is checked, in lower case.
        deadline: When the attempt must end (time.monotonic()).
        request_id: The X-Request-ID of the last HTTP request; None before the first one.
    """

    pool: Any
    auth: WonderAuth
    origin: str
    token: str = attrs.field(repr=False)
    deadline: float
    request_id: str | None = None

    def _begin(self, method: str, url: str, timeout: dict[str, float], **rest: Any) -> tuple[httpx.Request, _Signing]:
        """Return the signed request, and the generator that can sign it again.

        Raises:
            ConfigurationError: The client is closed. Its transport would open new connections, which nothing closes.
        """
        if self.pool.is_closed:
            raise errors.ConfigurationError(_CLOSED)
        request = httpx.Request(method, self.origin + url, extensions={"timeout": timeout}, **rest)
        signing = self.auth.auth_flow(request)
        return next(signing), signing

    def _is_signed_again(self, signing: _Signing, response: httpx.Response) -> bool:
        """Sign the same request again if only its time was wrong; return False if the response is final."""
        try:
            signing.send(response)
        except StopIteration:
            return False
        return True

    def _left(self) -> float:
        # Never 0, which tells a socket not to wait at all.
        return max(self.deadline - time.monotonic(), 0.001)

    def _is_from_transport(self, error: Exception) -> bool:
        kinds = (*_TRANSPORT_ERRORS, RuntimeError) if self.pool.is_closed else _TRANSPORT_ERRORS
        # httpx-aiohttp lets some of aiohttp's errors through.
        return isinstance(error, kinds) or type(error).__module__.startswith("aiohttp.")

    def _failure(self, error: Exception) -> errors.WonderError:
        """Return what an error of the transport means to the caller."""
        if self.pool.is_closed:
            return errors.ConfigurationError(_CLOSED)
        text = proxy_failure(error) or redact(_QUOTED_BYTES.sub("…", str(error))) or type(error).__name__
        failure = errors.NetworkError(f"No response from the gateway: {text.rstrip('.')}. Retry later.")
        # httpx-aiohttp raises ConnectTimeout for any connection that is lost.
        cause = error.__cause__ if type(error.__cause__).__module__.startswith("aiohttp") else error
        # The deadline itself closes the connection, so a failure after it is a timeout.
        if isinstance(cause, httpx.TimeoutException | TimeoutError) or time.monotonic() >= self.deadline:
            failure = errors.RequestTimeoutError("The gateway did not respond in time. Retry later.")
        # A fresh exception: the frames and the request of the original hold the signed headers.
        kind = type(error) if type(error).__module__ in ("builtins", "httpx", "socket", "ssl") else OSError
        # The text of an SSLError is its second argument.
        failure.__cause__ = kind(error.errno, text) if isinstance(error, ssl.SSLError) else kind(text)
        return failure


class SyncExchange(_Exchange):
    """One blocking attempt, on one pool."""

    def request(self, method: str, url: str, *, headers: dict[str, str], json: Any) -> CheckedResponse:
        """Send a request, and once more if only its time was wrong. Called by the generated client.

        Raises:
            WonderError: There is no good response.
        """
        self.pool.in_flight.add(self)
        try:
            request, signing = self._begin(method, url, _TimeLeft(self._left), headers=_HEADERS | headers, json=json)
            while True:
                self.request_id = request.headers["X-Request-ID"]
                response = self._call(self.pool.transport.handle_request, request)
                try:
                    body = self._call(self._read, response)
                finally:
                    with suppress(*_TRANSPORT_ERRORS):
                        response.close()
                if not self._is_signed_again(signing, response):
                    return checked_response(response, body, token=self.token)
        finally:
            self.pool.in_flight.discard(self)

    def _call(self, io: Callable[..., _T], *arguments: Any) -> _T:
        """Call the transport and translate its errors; any other exception propagates unchanged."""
        try:
            return io(*arguments)
        except Exception as error:
            if not self._is_from_transport(error):
                raise
            failure = self._failure(error)
        # Raised outside the handler, so that its context is the caller's own and not the transport's error.
        raise failure

    def _read(self, response: httpx.Response) -> bytes | None:
        if not _is_readable(response):
            return None
        content = b""
        # Small responses come in one piece with their length, and need no thread.
        watchdog = None if "Content-Length" in response.headers else self._watchdog(response, content)
        try:
            for chunk in cast("httpx.SyncByteStream", response.stream):
                content += chunk
                if time.monotonic() > self.deadline:
                    raise TimeoutError
                if len(content) > MAX_BYTES:
                    return None
                watchdog = watchdog or self._watchdog(response, content)
        finally:
            if watchdog:
                watchdog.cancel()
        return content

    def _watchdog(self, response: httpx.Response, content: bytes) -> threading.Timer | None:
        """Shut the connection down at the deadline, unless the content is complete.

        A read timeout restarts with each read: it ends a response that hangs, but not one that comes byte by byte.
        """
        stream = response.extensions.get("network_stream")
        connection = stream.get_extra_info("socket") if stream else None
        if connection is None or response.headers.get("Content-Length") == str(len(content)):
            return None

        def shut_down() -> None:
            with suppress(OSError):  # it is closed already
                # Not a TLS socket's own shutdown(), which another thread may not call during a read.
                socket.socket.shutdown(connection, socket.SHUT_RDWR)

        watchdog = threading.Timer(self.deadline - time.monotonic(), shut_down)
        watchdog.daemon = True
        watchdog.start()
        return watchdog


class AsyncExchange(_Exchange):
    """One attempt for asyncio, on one pool."""

    async def request(self, method: str, url: str, *, headers: dict[str, str], json: Any) -> CheckedResponse:
        """Send a request; see `SyncExchange.request`."""
        self.pool.in_flight.add(self)
        transport = None
        try:
            transport = await self._call(self.pool.acquire)
            await self.pool.take_turn()
            # Half of the time for the connection and half for TLS: httpcore closes neither if it is cancelled.
            timeout = {"connect": self._left() / 2}
            request, signing = self._begin(method, url, timeout, headers=_HEADERS | headers, json=json)
            while True:
                self.request_id = request.headers["X-Request-ID"]
                response = await self._call(transport.handle_async_request, request)
                try:
                    body = await self._call(self._read, response)
                finally:
                    # Outside the timeout: a close that is cancelled leaves the connection in the pool forever.
                    with suppress(*_TRANSPORT_ERRORS):
                        await response.aclose()
                if not self._is_signed_again(signing, response):
                    return checked_response(response, body, token=self.token)
        finally:
            self.pool.in_flight.discard(self)
            if transport:
                self.pool.release(transport)

    async def _call(self, io: Callable[..., Awaitable[_T]], *arguments: Any) -> _T:
        try:
            async with asyncio.timeout(self._left()):
                return await io(*arguments)
        except asyncio.CancelledError:
            # A connector of aiohttp that is closed cancels what waits for a connection; the task itself goes on.
            task = asyncio.current_task()
            if not self.pool.is_closed or (task and task.cancelling()):
                raise
            failure: errors.WonderError = errors.ConfigurationError(_CLOSED)
        except Exception as error:
            if not self._is_from_transport(error):
                raise
            failure = self._failure(error)
        raise failure

    async def _read(self, response: httpx.Response) -> bytes | None:
        if not _is_readable(response):
            return None
        content = b""
        async for chunk in cast("httpx.AsyncByteStream", response.stream):
            content += chunk
            if time.monotonic() > self.deadline:
                raise TimeoutError
            if len(content) > MAX_BYTES:
                return None
        return content


class _TimeLeft(dict[str, float]):
    """The timeout of each step of a sync request: the time that is left when the step begins.

    httpx has a timeout for each step (pool, connect, write, read) and none for the whole. Its transports look up a
    step's timeout when the step begins, so computing it then makes one budget of the four. Connecting uses its timeout
    for each address of the host in turn, and for TLS: it gets a quarter.
    """

    def __init__(self, left: Callable[[], float]) -> None:
        super().__init__()
        self._left = left

    def get(self, step: str, _default: object = None) -> float:
        return self._left() / (4 if step == "connect" else 1)


def _is_readable(response: httpx.Response) -> bool:
    # We ask for no compression; a compressed body may expand without bound.
    is_plain = response.headers.get("Content-Encoding", "").strip().lower() in ("", "identity")
    return is_plain and int(response.headers.get("Content-Length", "0")[:20]) <= MAX_BYTES
