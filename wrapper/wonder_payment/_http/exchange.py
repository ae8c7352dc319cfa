"""One attempt over HTTP: sign the exact bytes, send them, and read the response, all before a deadline.

The generated client gets an exchange in the place of an httpx client, and calls its ``request`` once. Only what goes
wrong in the transport becomes a network error; a bug, and an error of the caller's own mock transport, propagate
unchanged.
"""

import asyncio
import json as json_format
import platform
import time
from functools import partial
from typing import Any, Generic, TypeVar

import attrs
import httpx

from wonder_payment import errors
from wonder_payment._threads import in_thread
from wonder_payment._version import __version__
from wonder_payment.signing import Signatures, WonderAuth, next_signature

from .connections import AsyncConnection, SyncConnection, left
from .failures import TRANSPORT_ERRORS, network_error
from .pool import AsyncPool, SyncPool, closed_error
from .received import RawResponse
from .response import CheckedResponse, checked_response

_PoolT = TypeVar("_PoolT", SyncPool, AsyncPool)

_JSON = json_format.JSONEncoder(ensure_ascii=False, separators=(",", ":"))
_USER_AGENT = f"wonder-payment/{__version__} python/{platform.python_version()} httpx/{httpx.__version__}"
_HEADERS = {"Accept": "application/json", "Accept-Encoding": "identity", "User-Agent": _USER_AGENT}


@attrs.define(eq=False)
class _Exchange(Generic[_PoolT]):
    """What both exchanges share.

    Attributes:
        pool: Where the connections are.
        auth: What signs the requests.
        token: The token that is checked, in lower case.
        timeout: Seconds for the attempt, once it has a connection.
        until: When the call must end at the latest (time.monotonic()).
        deadline: When the attempt must end at the latest (time.monotonic()); 0 until it begins.
        request_id: The X-Request-ID of the last HTTP request; None before the first one.
    """

    pool: _PoolT
    auth: WonderAuth
    token: str = attrs.field(repr=False)
    timeout: float
    until: float
    deadline: float = 0.0
    request_id: str | None = None

    def _begin(self, method: str, uri: str, json: Any) -> tuple[bytes, Signatures]:
        """Start the time of the attempt. Return the exact bytes to send, and the generator of their signatures."""
        self.deadline = min(time.monotonic() + self.timeout, self.until)
        body = _JSON.encode(json).encode()
        return body, self.auth.signatures(method, uri, body)

    def _signed(self, headers: dict[str, str], signature: dict[str, str]) -> dict[str, str]:
        """Return the headers of the signed request.

        Raises:
            ConfigurationError: The client was closed while a signer signed.
        """
        if self.pool.is_closed:
            raise closed_error()
        self.request_id = signature["X-Request-ID"]
        return _HEADERS | headers | signature

    def _slow_signer(self) -> errors.WonderError:
        """Return the error of an attempt whose signer did not sign in time."""
        problem = "The signer did not sign in time; the request was not sent."
        # The end of a call may leave little time: that is not the signer's fault, and says nothing about the next call.
        return errors.RequestTimeoutError(problem) if self.deadline >= self.until else errors.SigningError(problem)

    def _failure(self, error: BaseException) -> errors.WonderError | None:
        """Return what an error of the transport means to the caller; None if it is another error."""
        if isinstance(error, RuntimeError) and "shutdown" in str(error):
            return errors.ConfigurationError("Python is shutting down: it can no longer look up the gateway's host.")
        is_closed = self.pool.is_closed
        kinds = (*TRANSPORT_ERRORS, RuntimeError) if is_closed else TRANSPORT_ERRORS
        # httpcore lets the errors of a SOCKS proxy through.
        if not isinstance(error, kinds) and not type(error).__module__.startswith("socksio."):
            return None
        return closed_error() if is_closed else network_error(error, is_late=time.monotonic() >= self.deadline)


class SyncExchange(_Exchange[SyncPool]):
    """One blocking attempt."""

    def request(self, method: str, url: str, *, headers: dict[str, str], json: Any) -> CheckedResponse:
        """Send a request, and once more if only its time was wrong. Called by the generated client.

        Raises:
            WonderError: There is no good response.
        """
        connection = self.pool.acquire(self.until)
        try:
            body, signatures = self._begin(method, url, json)
            response: Any = None
            while signature := self._sign(signatures, response):
                response = self._send(connection, method, url, self._signed(headers, signature), body, self.deadline)
            return checked_response(response, token=self.token)
        finally:
            self.pool.release(connection)

    def _sign(self, signatures: Signatures, response: RawResponse | None) -> dict[str, str] | None:
        """Return the next signature: from a thread, and until the deadline, if a signer makes it."""
        if not self.auth.is_remote(response):
            return next_signature(signatures, response)
        try:
            signature = in_thread(partial(next_signature, signatures, response)).result(left(self.deadline))
        except TimeoutError:
            raise self._slow_signer() from None
        if time.monotonic() > self.deadline:  # without a thread, nothing ended it in time
            raise self._slow_signer()
        return signature

    def _send(self, connection: SyncConnection, *request: Any) -> RawResponse:
        """Send a request and translate the errors of the transport; any other exception propagates unchanged."""
        try:
            return connection.send(*request)
        except BaseException as error:
            self.pool.discard(connection)
            failure = self._failure(error)
            if not failure:
                raise
        # Raised outside the handler, so that its context is the caller's own and not the transport's error.
        raise failure


class AsyncExchange(_Exchange[AsyncPool]):
    """One attempt for asyncio."""

    async def request(self, method: str, url: str, *, headers: dict[str, str], json: Any) -> CheckedResponse:
        """Send a request; see `SyncExchange.request`."""
        connection = await self.pool.acquire(self.until)
        try:
            body, signatures = self._begin(method, url, json)
            response: Any = None
            while signature := await self._sign(signatures, response):
                # Signing and sending take a millisecond each. This lets the event loop run other tasks in between, and
                # lets aiohttp notice which of its connections have ended.
                await asyncio.sleep(0)
                response = await self._send(
                    connection, method, url, self._signed(headers, signature), body, self.deadline
                )
            return checked_response(response, token=self.token)
        finally:
            self.pool.release(connection)

    async def _sign(self, signatures: Signatures, response: RawResponse | None) -> dict[str, str] | None:
        """Return the next signature; see `SyncExchange._sign`."""
        if not self.auth.is_remote(response):
            return next_signature(signatures, response)
        try:
            async with asyncio.timeout(left(self.deadline)):
                signature = await asyncio.wrap_future(in_thread(partial(next_signature, signatures, response)))
        except TimeoutError:
            raise self._slow_signer() from None
        await self.pool.take_turn()  # signatures that end together would block the loop, too
        return signature

    async def _send(self, connection: AsyncConnection, *request: Any) -> RawResponse:
        """Send a request; see `SyncExchange._send`."""
        try:
            return await connection.send(*request)
        except (Exception, asyncio.CancelledError) as error:
            await self.pool.discard(connection)
            failure = self._failure(error)
            if not failure:
                raise
        raise failure
