"""The two httpx clients, sync and async, whose send() lets only good answers through.

They stand below the generated parser, which must never see what it can't read: a CDN's status, HTML, an error envelope.
"""

from __future__ import annotations

import asyncio
import platform
import re
import socket
import ssl
import threading
import time
from contextlib import AsyncExitStack, contextmanager, suppress
from functools import lru_cache
from typing import TYPE_CHECKING, Any, cast

import httpx

from . import errors
from ._version import __version__
from .answer import MOST_BYTES, good_answer
from .call import current_attempt
from .config import is_loopback
from .transports import PoolEach, aiohttp_transport

if TYPE_CHECKING:
    from collections.abc import Generator

    from .signing import WonderAuth

__all__ = ["AsyncGatewayClient", "GatewayClient", "goes_by_environment", "http_options"]

_QUOTE = re.compile(r":|\b(?:b|bytearray\(b)?['\"]")

_USER_AGENT = f"wonder-payment/{__version__} python/{platform.python_version()} httpx/{httpx.__version__}"

_HEADERS = {"Accept": "application/json", "Accept-Encoding": "identity", "User-Agent": _USER_AGENT}


def http_options(auth: WonderAuth, origin: str, transport: object) -> dict[str, Any]:
    """Return what both httpx clients are made with."""
    trust_env = goes_by_environment(origin)
    # Who brings a transport has brought what it trusts; where there is no TLS nobody need be trusted. To read the
    # certificates takes longer than many a check, and so it is done once for a client, however many loops use it.
    needs_certificates = httpx.URL(origin).scheme == "https" and (transport is None or isinstance(transport, str))
    return {
        "auth": auth,
        "base_url": origin,
        "trust_env": trust_env,
        "transport": transport,
        "verify": httpx.create_ssl_context(trust_env=trust_env)
        if needs_certificates
        else ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT),
    }


def goes_by_environment(origin: str) -> bool:
    """Tell whether the environment's proxy is for this origin: what is for this machine alone goes to no proxy."""
    return not is_loopback(httpx.URL(origin).host)


@lru_cache(maxsize=1024)  # a URL for each customer, if they are named
def _joined(origin: httpx.URL, path: str) -> httpx.URL:
    return origin.join(path)


class GatewayClient(httpx.Client):
    """Sends one attempt; returns a good answer, or raises one of our errors.

    It hands requests to httpx's transports itself: cookies, redirects and merged headers, which httpx's own send() adds
    for a tenth of a check's time, have no place here.

    Attributes:
        under_way: One thing for each request that is.
    """

    def __init__(self, *, auth: WonderAuth, **options: Any) -> None:
        super().__init__(**options)
        self.under_way = set[object]()
        self._signer = auth

    def build_request(self, method: str, url: httpx.URL | str, **options: Any) -> httpx.Request:
        """Build a request of what the generated code gives."""
        return _built(self.base_url, method, str(url), options)

    def send(self, request: httpx.Request, **_options: Any) -> httpx.Response:
        """Send a request and read its answer, within the attempt's deadline."""
        with _our_errors(self, request):
            request.extensions["timeout"] = _TimeLeft(current_attempt.get().deadline)
            transport = self._transport_for_url(request.url)
            signing = self._signer.auth_flow(request)
            response = transport.handle_request(next(signing))
            with suppress(StopIteration):
                once_more = signing.send(response)
                response.close()
                response = transport.handle_request(once_more)
                signing.send(response)
            body, guard = _Body(response), None
            try:
                if body.is_wanted:
                    # Small answers come in one piece with their length, and need no thread.
                    guard = None if "Content-Length" in response.headers else _guard(response, body)
                    for chunk in cast("httpx.SyncByteStream", response.stream):
                        if not body.takes(chunk):
                            break
                        guard = guard or _guard(response, body)
            finally:
                if guard:
                    guard.cancel()
                response.close()
        return good_answer(response, body.content)


class AsyncGatewayClient(httpx.AsyncClient):
    """The same, for asyncio."""

    def __init__(
        self, *, auth: WonderAuth, transport: Any, trust_env: bool, verify: ssl.SSLContext, **options: Any
    ) -> None:
        if transport == "aiohttp":
            transport = aiohttp_transport(verify, trust_env=trust_env)
        super().__init__(transport=transport or PoolEach(verify, trust_env=trust_env), **options)
        self.under_way = set[object]()
        self._signer = auth
        self._turn = asyncio.Lock()

    def build_request(self, method: str, url: httpx.URL | str, **options: Any) -> httpx.Request:
        """Build a request of what the generated code gives."""
        return _built(self.base_url, method, str(url), options)

    async def send(self, request: httpx.Request, **_options: Any) -> httpx.Response:
        """Send a request and read its answer, within the attempt's deadline."""
        with _our_errors(self, request):
            left = current_attempt.get().deadline - time.monotonic()
            # Half of it for the connection and half for TLS: httpcore closes neither that is cancelled midway.
            request.extensions["timeout"] = {"connect": max(left / 2, 0.001)}
            transport = self._transport_for_url(request.url)
            signing = self._signer.auth_flow(request)
            # Closed out of the timeout: a close that is cancelled leaves the connection in the pool for ever.
            async with AsyncExitStack() as closing, asyncio.timeout(left):
                await self._take_turn()
                response = await transport.handle_async_request(next(signing))
                closing.push_async_callback(response.aclose)
                with suppress(StopIteration):
                    once_more = signing.send(response)
                    await response.aclose()
                    response = await transport.handle_async_request(once_more)
                    closing.push_async_callback(response.aclose)
                    signing.send(response)
                body = _Body(response)
                if body.is_wanted:
                    async for chunk in cast("httpx.AsyncByteStream", response.stream):
                        if not body.takes(chunk):
                            break
        return good_answer(response, body.content)

    async def _take_turn(self) -> None:
        """Wait until no other request is about to begin, and the event loop has seen to everything else.

        Many that begin at once would sign and write, for a millisecond each, one straight after the other. (A thread
        for the signatures costs more than it saves: each hands Python's lock over twice.)
        """
        await asyncio.sleep(0)  # and so aiohttp knows which of its connections have ended
        async with self._turn:
            await asyncio.sleep(0)


def _built(origin: httpx.URL, method: str, path: str, options: dict[str, Any]) -> httpx.Request:
    headers: dict[str, str] = options["headers"]
    return httpx.Request(method, _joined(origin, path), headers=_HEADERS | headers, json=options["json"])


class _TimeLeft(dict[str, float]):
    """The timeout of each step of a sync request: what is left until the deadline when the step begins.

    httpx has a timeout for each step (pool, connect, write, read) and none for the whole. Its transports look the
    step's up as the step begins, so that an answer computed then makes one budget of four. Connecting spends its
    timeout on each address of the host anew, and on TLS: it gets a quarter.
    """

    def __init__(self, deadline: float) -> None:
        super().__init__()
        self._deadline = deadline

    def get(self, step: str, _default: object = None) -> float:
        left = self._deadline - time.monotonic()
        # Never 0: that is a socket's word for "do not wait at all".
        return max(left / 4 if step == "connect" else left, 0.001)


class _Body:
    """The bytes of an answer as they come in, refused when they are too slow.

    Attributes:
        is_wanted: Whether to read it at all.
        content: What was read; None where it is too much.
    """

    def __init__(self, response: httpx.Response) -> None:
        # None was asked for in a compressed form, and a bomb may be in it.
        is_plain = response.headers.get("Content-Encoding", "").strip().lower() in ("", "identity")
        is_small = int(response.headers.get("Content-Length", "0")[:20]) <= MOST_BYTES
        self.is_wanted = is_plain and is_small
        self.content: bytes | None = b"" if is_small else None

    def takes(self, chunk: bytes) -> bool:
        if time.monotonic() > current_attempt.get().deadline:
            raise TimeoutError
        self.content = (self.content or b"") + chunk
        if len(self.content) > MOST_BYTES:
            self.content = None
        return self.content is not None


def _guard(response: httpx.Response, body: _Body) -> threading.Timer | None:
    """Let the connection end with the attempt, for an answer whose body is not all there.

    The timeout of a step holds for each read anew: a hanging answer it ends in time, a dripping one it does not.
    """
    stream = response.extensions.get("network_stream")
    connection = stream.get_extra_info("socket") if stream else None
    if connection is None or response.headers.get("Content-Length") == str(len(body.content or b"")):
        return None

    def end() -> None:
        with suppress(OSError):  # it has ended
            # Past a TLS socket's own shutdown(), which another thread may not call during a read.
            socket.socket.shutdown(connection, socket.SHUT_RDWR)

    guard = threading.Timer(current_attempt.get().deadline - time.monotonic(), end)
    guard.daemon = True
    guard.start()
    return guard


@contextmanager
def _our_errors(client: GatewayClient | AsyncGatewayClient, request: httpx.Request) -> Generator[None]:
    """Turn whatever is raised on the way to an answer into an error of ours; until then a request is under way."""
    attempt = current_attempt.get()
    client.under_way.add(this := object())
    try:
        yield
    except errors.WonderError:
        raise
    except Exception as error:  # noqa: BLE001 (a closed event loop, a name that is no name: no answer, all of them)
        # Named anew, without its frames and its request: they hold the signed headers, and its text may hold an answer.
        text = str(error)
        # Parsers quote the answer behind what is wrong with it; what the system says is told whole.
        text = text if isinstance(error, httpx.ConnectError | OSError) else _QUOTE.split(text)[0]
        what = errors.redact(text) or type(error).__name__
        kind = type(error) if type(error).__module__ == "httpx" else Exception
        cause = kind(what)
        is_late = _is_timeout(error) or time.monotonic() >= attempt.deadline
    else:
        return
    finally:
        client.under_way.discard(this)
        attempt.request_id = request.headers.get("X-Request-ID")
    if client.is_closed:
        raise errors.ConfigurationError("This client was closed while it was asking.") from None
    # What breaks off at the deadline was broken off for it.
    if is_late:
        raise errors.RequestTimeoutError("The gateway did not answer in time. Ask again later.") from cause
    raise errors.NetworkError(f"No answer from the gateway: {what.rstrip('.')}. Ask again later.") from cause


def _is_timeout(error: Exception) -> bool:
    # httpx-aiohttp calls any connection that is lost a ConnectTimeout.
    cause = error.__cause__ if type(error.__cause__).__module__.startswith("aiohttp") else error
    return isinstance(cause, httpx.TimeoutException | TimeoutError)
