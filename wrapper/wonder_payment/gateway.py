"""The two httpx clients, sync and async, whose send() lets only good answers through.

They stand below the generated parser, which must never see what it can't read: a CDN's status, HTML, an error envelope.
"""

from __future__ import annotations

import asyncio
import platform
import re
import socket
import threading
import time
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import AsyncExitStack, contextmanager, suppress
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import httpx

from . import errors
from ._version import __version__
from .answer import MOST_BYTES, good_answer
from .call import current_attempt
from .config import is_loopback

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Generator

    from .signing import WonderAuth

__all__ = ["AsyncGatewayClient", "GatewayClient", "goes_by_environment", "http_options"]

# httpx's own most; it keeps but 20 of them open, and opens the others anew for each request.
_MOST_CONNECTIONS = 100

_SIGNERS = 2

_QUOTE = re.compile(r":|\b(?:b|bytearray\(b)?['\"]")

_USER_AGENT = f"wonder-payment/{__version__} python/{platform.python_version()} httpx/{httpx.__version__}"


def http_options(auth: WonderAuth, origin: str) -> dict[str, Any]:
    """Return what both httpx clients are made with."""
    return {
        "auth": auth,
        "base_url": origin,
        "follow_redirects": False,
        "headers": {"Accept": "application/json", "Accept-Encoding": "identity", "User-Agent": _USER_AGENT},
        "limits": httpx.Limits(max_connections=_MOST_CONNECTIONS, max_keepalive_connections=_MOST_CONNECTIONS),
        "trust_env": goes_by_environment(origin),
    }


def goes_by_environment(origin: str) -> bool:
    """Tell whether the environment's proxy is for this origin: what is for this machine alone goes to no proxy."""
    return not is_loopback(httpx.URL(origin).host)


class _NoCookies(httpx.Cookies):
    """Keeps no cookie: no answer is to bear on the next request."""

    def extract_cookies(self, response: httpx.Response) -> None:
        pass


_NO_COOKIES = _NoCookies()


class _Cookieless:
    """What the two clients have in common."""

    @property
    def cookies(self) -> httpx.Cookies:
        """None, and that for ever."""
        return _NO_COOKIES

    @cookies.setter
    def cookies(self, cookies: object) -> None:
        pass


class GatewayClient(_Cookieless, httpx.Client):
    """Sends one attempt; returns a good answer, or raises one of our errors."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options, event_hooks={"response": [_forget_redirect]})

    def build_request(self, method: str, url: httpx.URL | str, **options: Any) -> httpx.Request:
        """Build a request, without working the URL out anew each time."""
        return super().build_request(method, _joined(self.base_url, str(url)), **options)

    def send(self, request: httpx.Request, **options: Any) -> httpx.Response:
        """Send a request and read its answer, within the attempt's deadline."""
        with _our_errors(self, request):
            request.extensions["timeout"] = _TimeLeft(current_attempt.get().deadline)
            options["stream"] = True
            response = super().send(request, **options)
            body, guard = _Body(response), None
            try:
                if body.is_wanted:
                    # Small answers come in one piece with their length, and need no thread.
                    guard = None if "Content-Length" in response.headers else _guard(response, body)
                    for chunk in response.iter_bytes():
                        if not body.takes(chunk):
                            break
                        guard = guard or _guard(response, body)
            finally:
                if guard:
                    guard.cancel()
                response.close()
        return good_answer(response, body.content)


class AsyncGatewayClient(_Cookieless, httpx.AsyncClient):
    """The same, for asyncio."""

    def __init__(self, *, auth: httpx.Auth, transport: Any, trust_env: bool, **options: Any) -> None:
        async def forget_redirect(response: httpx.Response) -> None:
            _forget_redirect(response)

        # Not the loop's own, which may be busy with what takes long.
        self._signers = ThreadPoolExecutor(_SIGNERS, "wonder-payment-signer")
        super().__init__(
            **options,
            auth=_OffLoop(auth, self._signers),
            transport=_aiohttp_transport(trust_env=trust_env) if transport == "aiohttp" else transport,
            trust_env=trust_env,
            event_hooks={"response": [forget_redirect]},
        )

    def build_request(self, method: str, url: httpx.URL | str, **options: Any) -> httpx.Request:
        """Build a request, without working the URL out anew each time."""
        return super().build_request(method, _joined(self.base_url, str(url)), **options)

    async def send(self, request: httpx.Request, **options: Any) -> httpx.Response:
        """Send a request and read its answer, within the attempt's deadline."""
        with _our_errors(self, request):
            left = current_attempt.get().deadline - time.monotonic()
            # Half of it for the connection and half for TLS: httpcore closes neither that is cancelled midway.
            request.extensions["timeout"] = {"connect": max(left / 2, 0.001)}
            options["stream"] = True
            # Closed out of the timeout: a close that is cancelled leaves the connection in the pool for ever.
            async with AsyncExitStack() as closing, asyncio.timeout(left):
                response = await super().send(request, **options)
                closing.push_async_callback(response.aclose)
                body = _Body(response)
                if body.is_wanted:
                    async for chunk in response.aiter_bytes():
                        if not body.takes(chunk):
                            break
        return good_answer(response, body.content)

    async def aclose(self) -> None:
        """Close the connections, and end the threads that sign."""
        self._signers.shutdown(wait=False)
        await super().aclose()


class _OffLoop(httpx.Auth):
    """Signs in another thread: it takes half a millisecond, nearly all of it without Python's lock."""

    requires_request_body = True

    def __init__(self, auth: httpx.Auth, executor: Executor) -> None:
        self._auth = auth
        self._executor = executor

    async def async_auth_flow(self, request: httpx.Request) -> AsyncGenerator[httpx.Request, httpx.Response]:
        await request.aread()
        flow = self._auth.auth_flow(request)
        signed = await asyncio.get_running_loop().run_in_executor(self._executor, next, flow)
        with suppress(StopIteration):
            while True:
                # What is signed once more is rare, and may take the loop's time.
                signed = flow.send((yield signed))


def _aiohttp_transport(*, trust_env: bool) -> httpx.AsyncBaseTransport:
    """Return what costs less than httpx's own when many requests are under way (encode/httpx issue 3215)."""
    try:
        from aiohttp import ClientSession, DummyCookieJar, TCPConnector  # noqa: PLC0415 (it needs an extra)
        from httpx_aiohttp import AiohttpTransport  # noqa: PLC0415
    except ModuleNotFoundError as error:
        problem = f"{error}: transport='aiohttp' needs `pip install 'wonder-payment[aiohttp]'`."
        raise errors.ConfigurationError(problem) from None
    context = httpx.create_ssl_context(trust_env=trust_env)

    def session() -> ClientSession:
        connector = TCPConnector(limit=_MOST_CONNECTIONS, ssl=context)
        return ClientSession(connector=connector, cookie_jar=DummyCookieJar(), trust_env=trust_env)

    return AiohttpTransport(verify=context, client=session)


@lru_cache(maxsize=1024)  # a URL for each customer, if they are named
def _joined(origin: httpx.URL, path: str) -> httpx.URL:
    return origin.join(path)


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


def _forget_redirect(response: httpx.Response) -> None:
    """Keep httpx from working out a redirect that is not followed: it fails on a Location that is no URL."""
    if response.has_redirect_location:
        del response.headers["Location"]


@contextmanager
def _our_errors(client: httpx.Client | httpx.AsyncClient, request: httpx.Request) -> Generator[None]:
    """Turn whatever is raised on the way to an answer into an error of ours."""
    attempt = current_attempt.get()
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
