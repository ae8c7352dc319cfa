"""The two httpx clients, sync and async, whose send() lets only good answers through.

They stand below the generated parser, which must never see what it can't read: a CDN's status, HTML, an error envelope.
"""

from __future__ import annotations

import asyncio
import json
import platform
import socket
import threading
import time
from contextlib import contextmanager, suppress
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, NoReturn, cast

import httpx

from . import errors
from ._version import __version__
from .call import current_attempt
from .config import is_loopback
from .headers import clock_difference, retry_after
from .signing import CLOCK_TOLERANCE, WonderAuth

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable

__all__ = ["AsyncGatewayClient", "GatewayClient", "goes_by_environment", "http_options"]

_USER_AGENT = f"wonder-payment/{__version__} python/{platform.python_version()} httpx/{httpx.__version__}"

# An answer has some 500 bytes. What is larger than this is not read to its end.
_MOST_BYTES = 1024 * 1024

# An answer has four levels. Code that can't recurse into what is deeper than some hundreds is pickle, copy, repr.
_DEEPEST = 50

# The page's example has 0, the vendor's mobile SDK takes 200 as the only success.
_GOOD_CODES = (0, 200)

# A longer number is no code, and may be a card's.
_LONGEST_CODE = 10**9

_ERRORS: dict[float, type[errors.APIError]] = {
    400: errors.BadRequestError,
    401: errors.AuthenticationError,
    403: errors.AuthenticationError,
    404: errors.NotFoundError,
    422: errors.BadRequestError,
    429: errors.RateLimitError,
}


def http_options(auth: WonderAuth, origin: str) -> dict[str, Any]:
    """Return what both httpx clients are made with."""
    return {
        "auth": auth,
        "base_url": origin,
        "follow_redirects": False,
        "headers": {"Accept": "application/json", "Accept-Encoding": "identity", "User-Agent": _USER_AGENT},
        "trust_env": goes_by_environment(origin),
    }


def goes_by_environment(origin: str) -> bool:
    """Tell whether the environment's proxy is for this origin: what is for this machine alone goes to no proxy."""
    return not is_loopback(httpx.URL(origin).host)


class GatewayClient(httpx.Client):
    """Sends one attempt; returns a good answer, or raises one of our errors."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options, event_hooks={"response": [_forget_redirect]})

    def send(self, request: httpx.Request, **options: Any) -> httpx.Response:
        """Send a request and read its answer, within the attempt's deadline."""
        with _our_errors(self, request):
            request.extensions["timeout"] = _TimeLeft(current_attempt.get().deadline)
            options["stream"] = True
            response = super().send(request, **options)
            body, guard = _Body(), None
            try:
                if not _is_compressed(response):
                    # Small answers come in one piece with their length, and need no thread.
                    guard = None if "Content-Length" in response.headers else _guard(response, body)
                    for chunk in response.iter_bytes():
                        body.add(chunk)
                        guard = guard or _guard(response, body)
            finally:
                if guard:
                    guard.cancel()
                response.close()
        return good_answer(response, bytes(body.content))


class AsyncGatewayClient(httpx.AsyncClient):
    """The same, for asyncio."""

    def __init__(self, **options: Any) -> None:
        async def forget_redirect(response: httpx.Response) -> None:
            _forget_redirect(response)

        super().__init__(**options, event_hooks={"response": [forget_redirect]})

    async def send(self, request: httpx.Request, **options: Any) -> httpx.Response:
        """Send a request and read its answer, within the attempt's deadline."""
        with _our_errors(self, request):
            request.extensions["timeout"] = {}
            async with asyncio.timeout(current_attempt.get().deadline - time.monotonic()):
                options["stream"] = True
                response = await super().send(request, **options)
                try:
                    body = _Body()
                    if not _is_compressed(response):
                        async for chunk in response.aiter_bytes():
                            body.add(chunk)
                finally:
                    await response.aclose()
        return good_answer(response, bytes(body.content))


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
    """The bytes of an answer as they come in, refused when they are too many or too slow."""

    def __init__(self) -> None:
        self.content = bytearray()

    def add(self, chunk: bytes) -> None:
        self.content += chunk
        if len(self.content) > _MOST_BYTES:
            raise errors.InvalidResponseError("The gateway's answer is larger than 1 MiB and was not read to its end.")
        if time.monotonic() > current_attempt.get().deadline:
            raise TimeoutError


def _guard(response: httpx.Response, body: _Body) -> threading.Timer | None:
    """Let the connection end with the attempt, for an answer whose body is not all there.

    The timeout of a step holds for each read anew: a hanging answer it ends in time, a dripping one it does not.
    """
    stream = response.extensions.get("network_stream")
    connection = stream.get_extra_info("socket") if stream else None
    if connection is None or response.headers.get("Content-Length") == str(len(body.content)):
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
    response.headers.pop("Location", None)


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
        what = errors.redact(str(error)) or type(error).__name__
        kind = type(error) if type(error).__module__ == "httpx" else Exception
        cause = kind(what)
        is_late = isinstance(error, httpx.TimeoutException | TimeoutError) or time.monotonic() >= attempt.deadline
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


def good_answer(response: httpx.Response, body: bytes) -> httpx.Response:
    """Return the answer if it is one the generated parser may see.

    Raises:
        APIError: The status, or the ``code`` in the body, tells of an error.
        InvalidResponseError: The status is good and the body is not the contract's.
    """
    envelope = _json_object(body)
    code = _first(envelope or {}, "code", "error_code")
    if not response.is_success:
        raise _api_error(response, envelope or {})
    if envelope is None:
        problem = "it is no JSON object, or none with one plain meaning"
    elif type(code) not in (str, int, float):
        problem = "there is no code in it"
    elif code not in _GOOD_CODES:
        raise _api_error(response, envelope)
    elif response.status_code != HTTPStatus.OK:
        problem = "only HTTP 200 is in it"
    elif not isinstance(_first(envelope, "data"), dict) or not isinstance(envelope["data"].get("payment_token"), dict):
        problem = "there is no payment token in it"
    else:
        return _GoodAnswer(envelope)
    status = response.status_code
    raise errors.InvalidResponseError(
        f"The gateway's answer (HTTP {status}, {len(body)} bytes) breaks the contract: {problem}."
    )


def _is_compressed(response: httpx.Response) -> bool:
    """Tell whether the body is compressed. None was asked for, and a bomb may be in it: it is not read."""
    return str(response.headers.get("Content-Encoding", "")).strip().lower() not in ("", "identity")


class _GoodAnswer(httpx.Response):
    """What the generated parser reads: the very object that was looked at here."""

    def __init__(self, envelope: dict[str, Any]) -> None:
        super().__init__(HTTPStatus.OK)
        self._envelope = envelope

    def json(self, **_options: Any) -> dict[str, Any]:
        return self._envelope


def _json_object(body: bytes) -> dict[str, Any] | None:
    """Return the body's JSON object; None where it is anything else, or has two meanings, or is nested too deep."""
    try:
        content = json.loads(body, object_pairs_hook=_unambiguous, parse_constant=_no_json)
    except (ValueError, RecursionError):
        return None
    return cast("dict[str, Any]", content) if isinstance(content, dict) and not _is_deeper(content, _DEEPEST) else None


def _unambiguous(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    content = dict(pairs)
    if len(content) < len(pairs):
        raise ValueError("one name twice: which of the two states holds?")
    return content


def _no_json(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is Python's alone")


def _is_deeper(content: Any, levels: int) -> bool:
    if not isinstance(content, dict | list):
        return False
    inner = cast("Iterable[Any]", content.values() if isinstance(content, dict) else content)
    return levels == 0 or any(_is_deeper(value, levels - 1) for value in inner)


def _first(envelope: dict[str, Any], *names: str) -> Any:
    """Return the first of these fields that is there: current pages and older ones name them differently."""
    return next((envelope[name] for name in names if envelope.get(name) is not None), None)


def _api_error(response: httpx.Response, envelope: dict[str, Any]) -> errors.APIError:
    code, message = _first(envelope, "code", "error_code"), _first(envelope, "message", "error_message")
    if isinstance(code, str):
        code = errors.redact(code)
    elif type(code) not in (int, float) or abs(code) >= _LONGEST_CODE:
        code = None
    message = errors.redact(message) if isinstance(message, str) else None
    # In a good status the code of the body counts: some are HTTP's own numbers.
    status = code if response.is_success and isinstance(code, int | float) else response.status_code
    kind = errors.ServerError if 500 <= status <= 999 else _ERRORS.get(status, errors.APIError)  # noqa: PLR2004
    now = time.time()
    seconds = retry_after(response.headers.get("Retry-After"), date=response.headers.get("Date"), now=now)
    summary = [f"The gateway answered HTTP {response.status_code}"]
    summary += [f", code {code}"] if code is not None else []
    summary += [f": {message.rstrip('.')}." if message else "."]
    if response.is_redirect:
        summary += [" A redirect is not followed: the signature is for one origin alone. Check base_url."]
    elif kind is errors.RateLimitError and seconds is not None:
        summary += [f" It wants to be asked again in {seconds:g} s."]
    elif kind is not errors.APIError:
        summary += [f" {kind.advice}"]
    if kind is errors.AuthenticationError:
        difference = clock_difference(response.headers.get("Date"), now=now)
        if abs(difference) > CLOCK_TOLERANCE:
            way = "ahead of" if difference > 0 else "behind"
            summary += [
                f" The gateway's clock is {abs(difference) / 60:.0f} minutes {way} this machine's: set the clock."
            ]
    return kind("".join(summary), status_code=response.status_code, code=code, message=message, retry_after=seconds)
