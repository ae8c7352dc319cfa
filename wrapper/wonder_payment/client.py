"""WonderClient and AsyncWonderClient. They differ only in their drivers."""

import time
from collections.abc import AsyncGenerator, AsyncIterable, Awaitable, Callable, Generator, Iterable
from functools import cache
from typing import Any, Literal, Self, cast

import httpx
from wonder_payment_client import Client
from wonder_payment_client.api.payment_tokens import check_payment_token

from ._base import BaseClient
from ._flow import Attempt, attempts, check, drive, drive_async, wait
from ._http.exchange import AsyncExchange, SyncExchange
from ._http.places import LoopPools, ProcessPools
from ._redact import clears_locals
from .batch import CheckResult, Result, Throttle, as_async, check_result, in_tasks, in_threads
from .config import check_batch, checked_transport
from .errors import InvalidTokenError, WonderError
from .models import PaymentToken, TokenReference, UUIDLike, reference_to
from .retry import PollPolicy

__all__ = ["AsyncWonderClient", "WonderClient", "check_token"]


class WonderClient(BaseClient[httpx.BaseTransport | Literal["fast"]]):
    """The synchronous client.

    Make one client and keep it. Threads can share it, and so can forked processes: each has its own connections.

    Args:
        app_id: The app id that the vendor gave you for your public key.
        private_key: Your RSA private key: text or bytes (PEM, DER), the `pathlib.Path` of its file, or the key object.
            Or a `Signer`, whose key never leaves its module. It is called in a thread, within the attempt's timeout.
        environment: ``"sandbox"`` or ``"production"``. There is no default. You may omit it if you pass ``base_url``.
        base_url: A scheme, host and optional port to use instead: https, or http on a loopback host.
        passphrase: The passphrase of an encrypted key.
        language: The language of the gateway's error messages: ``en``, ``zh-HK`` or ``zh-CN``.
        timeout: Seconds for one attempt, from connecting to the last byte of the response. Time spent waiting for a
            free connection does not count.
        retry: When a failed attempt is retried.
        on_retry: Called before each retry with the error and the delay in seconds, for example to count retries. If it
            raises an error, the call ends with that error.
        on_attempt: Called after each attempt with an `AttemptEvent`. Its errors end the call, too.
        transport: ``"fast"`` uses less CPU time, but tools that instrument or mock httpx do not see its requests. Or
            pass an httpx transport, for example a mock. All processes and event loops then use that one object. If
            they cannot share it, make a client in each.
        max_connections: How many requests may be in flight at a time in each process or event loop, from 1 to 10,000.
            Further calls wait for a free connection until their deadline (``max_elapsed``, or a wait's ``timeout``),
            and then raise `RequestTimeoutError`.
        proxy: The URL of a proxy for all requests: ``http://user:password@host:port``, with special characters
            percent-encoded. By default, the environment's proxy is used.
        ca_file: The path of a PEM file with the only authorities to trust. By default, the environment's are trusted.
        client_certificate: Your certificate for mutual TLS: the path of a PEM file with certificate and key, or a tuple
            of the two paths. If the key has a password, add it as the third item.

    Raises:
        ConfigurationError: An argument is wrong. Nothing is sent before the first check.
    """

    def _open(self, transport: httpx.BaseTransport | Literal["fast"] | None, **network: Any) -> None:
        checked = checked_transport(transport, httpx.BaseTransport, **network)
        self._pools = ProcessPools(self._origin, checked, self._max_connections, **network)

    @clears_locals
    def check_token(
        self, token: UUIDLike, *, customer_uuid: UUIDLike | None = None, verify_uuid: UUIDLike | None = None
    ) -> PaymentToken:
        """Check a token once, and retry transient failures. A failed token is a result, not an error.

        Args:
            token: The payment token's UUID.
            customer_uuid: The UUID of the token's customer. Pass it if you know it. The gateway most likely needs it,
                although the vendor's reference page shows a literal in its place.
            verify_uuid: The ``verify_uuid`` of the response that created the token. Older vendor pages require it.

        Raises:
            InvalidTokenError: ``token``, ``customer_uuid`` or ``verify_uuid`` is not a UUID. Nothing was sent.
            SigningError: The signer failed.
            NetworkError: No attempt got a complete response. It is a `RequestTimeoutError` if time ran out.
            APIError: The gateway returned an error. Each kind has a subclass.
            InvalidResponseError: The response breaks the contract.
        """
        return drive(check(self._policy), self._attempts(TokenReference(token, customer_uuid, verify_uuid)), time.sleep)

    @clears_locals
    def wait_for_token(
        self,
        token: UUIDLike,
        *,
        timeout: float = 60.0,
        customer_uuid: UUIDLike | None = None,
        verify_uuid: UUIDLike | None = None,
        poll: PollPolicy = PollPolicy(),
        on_poll: Callable[[PaymentToken], object] | None = None,
    ) -> PaymentToken:
        """Poll until 3-D Secure completes, and return the verified or failed token.

        A poll that fails with a transient error (a timeout, a broken connection, 429, 500 and above) does not end the
        wait. An unknown state counts as pending. A sync wait can exceed its timeout where httpcore has none: in a slow
        name lookup, in headers that arrive byte by byte, in TLS within a proxy's tunnel (by half of the timeout at
        most), and in the handshake of a SOCKS proxy that does not respond.

        Args:
            token: The payment token's UUID.
            timeout: Seconds for all polls, their retries and the delays between them.
            customer_uuid: The UUID of the token's customer. Pass it if you know it. The gateway most likely needs it,
                although the vendor's reference page shows a literal in its place.
            verify_uuid: The ``verify_uuid`` of the response that created the token. Older vendor pages require it.
            poll: How long to wait between two polls.
            on_poll: Called with each result, for example to update a progress bar. If it raises an error, the wait ends
                with that error.

        Raises:
            StillPendingError: 3-D Secure did not complete in time. If the last poll failed, its error is the cause.
            InvalidTokenError: ``token``, ``customer_uuid`` or ``verify_uuid`` is not a UUID. Nothing was sent.
            ConfigurationError: ``timeout``, ``poll`` or ``on_poll`` is wrong. Nothing was sent.
            SigningError: The signer failed.
            NetworkError: A failure that is not transient, such as a wrong certificate.
            APIError: The gateway rejected the request, and a retry cannot help: 400, 401, 403, 404 and others.
            InvalidResponseError: The response breaks the contract.
        """
        steps = wait(self._policy, timeout=timeout, poll=poll, on_poll=on_poll)
        return drive(steps, self._attempts(TokenReference(token, customer_uuid, verify_uuid)), time.sleep)

    @clears_locals
    def check_tokens(
        self, tokens: Iterable[UUIDLike | TokenReference], *, concurrency: int = 16, max_per_second: float | None = None
    ) -> Generator[CheckResult]:
        """Check many tokens, several at a time, and yield their results as they complete.

        A bad token does not stop the batch: its result has the error. A `SigningError` does. All tokens share one rate
        limit. After a ``Retry-After``, no token sends a request before that time, and the rejected token is checked
        again. While the retry quota is spent, any transient failure pauses the batch in the same way. Memory stays
        constant. If you close or drop the generator, the batch ends after the attempts in flight.

        Args:
            tokens: The payment tokens' UUIDs, or `TokenReference` objects with the UUID of each token's customer. They
                are taken one by one, in the thread that iterates.
            concurrency: How many tokens to check at a time, from 1 to 10,000, and at most ``max_connections``.
            max_per_second: How many requests to start per second, at least 0.001. Retries count, and requests are
                evenly spaced. None: as many as ``concurrency`` allows.

        Raises:
            ConfigurationError: A number is wrong, ``tokens`` is one token, or the client is closed.
            SigningError: The signer failed. Some modules lock themselves after a few failures.
        """
        check_batch(tokens, Iterable, concurrency, max_per_second)
        throttle = Throttle(max_per_second)

        def check_one(token: UUIDLike | TokenReference) -> CheckResult:
            try:
                attempt = self._attempts(reference_to(token))
            except InvalidTokenError as error:
                return check_result(token, error)
            result, _number = drive(attempts(self._policy, throttle=throttle), attempt, throttle.sleep)
            return check_result(token, result)

        return in_threads(iter(tokens), check_one, min(concurrency, self._max_connections), throttle)

    def _attempts(self, reference: TokenReference) -> Callable[[Attempt], Result]:
        """Check the arguments of a call, and return the function that makes one attempt of it."""
        uuid, arguments = self._request(reference)
        pool = self._pools.here()

        def attempt(step: Attempt) -> Result:
            exchange = SyncExchange(pool, self._auth, uuid, step.timeout, step.until)
            # The generated function calls request() and nothing else of its httpx client.
            api = Client(base_url=self._origin).set_httpx_client(cast("httpx.Client", exchange))
            try:
                response: Any = check_payment_token.sync(client=api, **arguments)
            except WonderError as error:
                error.request_id = exchange.request_id
                return error
            return PaymentToken.from_model(response, request_id=exchange.request_id)

        return attempt

    def close(self) -> None:
        """Close the connections. A closed client cannot be used again."""
        self._pools.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


class AsyncWonderClient(BaseClient[httpx.AsyncBaseTransport | Literal["fast"]]):
    """The client for asyncio. Its arguments, results and errors are those of `WonderClient`.

    ``transport="fast"`` uses aiohttp. It needs the extra ``fast`` and does not support SOCKS proxies.

    Several event loops can use one client, each with its own connections. Close the client in the last loop. Another
    loop closes its own connections, if it still runs.
    """

    def _open(self, transport: httpx.AsyncBaseTransport | Literal["fast"] | None, **network: Any) -> None:
        checked = checked_transport(transport, httpx.AsyncBaseTransport, **network)
        self._pools = LoopPools(self._origin, checked, self._max_connections, **network)

    @clears_locals
    async def check_token(
        self, token: UUIDLike, *, customer_uuid: UUIDLike | None = None, verify_uuid: UUIDLike | None = None
    ) -> PaymentToken:
        """Check a token once; see `WonderClient.check_token`."""
        return await drive_async(check(self._policy), self._attempts(TokenReference(token, customer_uuid, verify_uuid)))

    @clears_locals
    async def wait_for_token(
        self,
        token: UUIDLike,
        *,
        timeout: float = 60.0,  # noqa: ASYNC109 (one budget for both clients, kept by the polls themselves)
        customer_uuid: UUIDLike | None = None,
        verify_uuid: UUIDLike | None = None,
        poll: PollPolicy = PollPolicy(),
        on_poll: Callable[[PaymentToken], object] | None = None,
    ) -> PaymentToken:
        """Poll until 3-D Secure completes; see `WonderClient.wait_for_token`."""
        steps = wait(self._policy, timeout=timeout, poll=poll, on_poll=on_poll)
        return await drive_async(steps, self._attempts(TokenReference(token, customer_uuid, verify_uuid)))

    @clears_locals
    def check_tokens(
        self,
        tokens: Iterable[UUIDLike | TokenReference] | AsyncIterable[UUIDLike | TokenReference],
        *,
        concurrency: int = 16,
        max_per_second: float | None = None,
    ) -> AsyncGenerator[CheckResult]:
        """Check many tokens; see `WonderClient.check_tokens`.

        ``tokens`` can also be an async iterable. Closing the generator ends the batch at once. If you may exit the loop
        early, wrap the generator in ``contextlib.aclosing``.
        """
        check_batch(tokens, (Iterable, AsyncIterable), concurrency, max_per_second)
        throttle = Throttle(max_per_second)

        async def check_one(token: UUIDLike | TokenReference) -> CheckResult:
            try:
                attempt = self._attempts(reference_to(token))
            except InvalidTokenError as error:
                return check_result(token, error)
            result, _number = await drive_async(attempts(self._policy, throttle=throttle), attempt)
            return check_result(token, result)

        # An iterator shows none of its tokens in a crash report.
        source = aiter(tokens) if isinstance(tokens, AsyncIterable) else as_async(iter(tokens))
        return in_tasks(source, check_one, min(concurrency, self._max_connections))

    def _attempts(self, reference: TokenReference) -> Callable[[Attempt], Awaitable[Result]]:
        uuid, arguments = self._request(reference)
        pool = self._pools.here()

        async def attempt(step: Attempt) -> Result:
            exchange = AsyncExchange(pool, self._auth, uuid, step.timeout, step.until)
            api = Client(base_url=self._origin).set_async_httpx_client(cast("httpx.AsyncClient", exchange))
            try:
                response: Any = await check_payment_token.asyncio(client=api, **arguments)
            except WonderError as error:
                error.request_id = exchange.request_id
                return error
            return PaymentToken.from_model(response, request_id=exchange.request_id)

        return attempt

    async def aclose(self) -> None:
        """Close the connections. A closed client cannot be used again."""
        await self._pools.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *error: object) -> None:
        await self.aclose()


_default_client = cache(WonderClient.from_env)


@clears_locals
def check_token(
    token: UUIDLike, *, customer_uuid: UUIDLike | None = None, verify_uuid: UUIDLike | None = None
) -> PaymentToken:
    """Check a token once. The first call makes a client from the environment, and later calls use the same one.

    The arguments, the result and the errors are those of `WonderClient.check_token`.

    Raises:
        ConfigurationError: A variable is missing or wrong; see `WonderClient.from_env`.
    """
    return _default_client().check_token(token, customer_uuid=customer_uuid, verify_uuid=verify_uuid)
