"""WonderClient and AsyncWonderClient: what a service talks to.

The decisions of a call stand once, in `_Call`; the two clients differ in their loops alone.
"""

from __future__ import annotations

import os
import time
from functools import cache
from typing import TYPE_CHECKING, Any, Generic, NoReturn, Self, TypeVar, Unpack

import httpx
from tenacity import AsyncRetrying, Retrying
from wonder_payment_client import Client
from wonder_payment_client.api.payment_tokens import check_payment_token
from wonder_payment_client.models import CheckPaymentTokenRequest, Language, PaymentTokenReference

from .call import SEALED, Attempt, Call
from .config import (
    Environment,
    Settings,
    checked_language,
    checked_listener,
    checked_uuid,
    resolved_origin,
    settings_from,
)
from .connections import LoopConnections, ProcessConnections
from .errors import ConfigurationError, InvalidResponseError, WonderError, redact
from .gateway import http_options
from .retry import PollPolicy, RetryPolicy, number
from .signing import WonderAuth, load_private_key
from .token import PaymentToken
from .wait import Wait

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from uuid import UUID

    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

__all__ = ["AsyncWonderClient", "WonderClient", "check_token"]

# What the contract has in the path when no customer is named: the literal.
_ANY_CUSTOMER = "uuid"

_TransportT = TypeVar("_TransportT", httpx.BaseTransport, httpx.AsyncBaseTransport)
_ConnectionsT = TypeVar("_ConnectionsT", ProcessConnections, LoopConnections)


def _answer(parsed: Any, asked: UUID, attempt: Attempt) -> PaymentToken:
    """Return in plain types what the generated client parsed."""
    try:
        answer = PaymentToken.from_model(parsed, request_id=attempt.request_id)
    except TypeError as error:
        problem = str(error)
    else:
        if answer.token.lower() == str(asked):
            return answer
        problem = "it is about another token than the one asked"
    raise InvalidResponseError(f"The gateway's answer breaks the contract: {problem}.")


class _Client(Generic[_TransportT, _ConnectionsT]):
    """What both clients share: the settings, checked once, and what a call is made of."""

    _transport_type: type[httpx.BaseTransport | httpx.AsyncBaseTransport]
    _connections_type: type[_ConnectionsT]
    _connections: _ConnectionsT

    def __init__(
        self,
        app_id: str,
        private_key: str | bytes | RSAPrivateKey,
        *,
        environment: Environment | str | None,
        base_url: str | None = None,
        passphrase: str | bytes | None = None,
        language: str | None = None,
        timeout: float = 10.0,
        retry: RetryPolicy = RetryPolicy(),
        on_retry: Callable[[WonderError, float], object] | None = None,
        transport: _TransportT | None = None,
    ) -> None:
        number("timeout", timeout, above=True)
        if not isinstance(retry, RetryPolicy):
            raise ConfigurationError("retry must be a RetryPolicy; RetryPolicy.never() turns retrying off.")
        checked_listener("on_retry", on_retry)
        if not isinstance(transport, self._transport_type | None):
            raise ConfigurationError(f"transport must be an httpx.{self._transport_type.__name__}, or None.")
        self._app_id = app_id
        self._origin = resolved_origin(environment, base_url)
        self._language = checked_language(language)
        self._timeout = timeout
        self._retry = retry
        self._on_retry = on_retry
        auth = WonderAuth(app_id, load_private_key(private_key, passphrase), origin=self._origin)
        try:
            self._connections = self._connections_type(**http_options(auth, self._origin), transport=transport)
        except (OSError, ValueError, ImportError, httpx.InvalidURL) as error:
            problem = redact(str(error))
        else:
            return
        raise ConfigurationError(f"The environment's proxy or TLS settings can't be used: {problem}")

    @classmethod
    def from_env(cls, environ: Mapping[str, str] = os.environ, **overrides: Unpack[Settings]) -> Self:
        r"""Return a client with its settings from environment variables.

        ``WONDER_APP_ID``; ``WONDER_PRIVATE_KEY`` (a PEM, in which a literal ``\n`` is a line break) or
        ``WONDER_PRIVATE_KEY_FILE``; ``WONDER_PRIVATE_KEY_PASSPHRASE`` if it is encrypted; ``WONDER_ENVIRONMENT``
        (``sandbox`` or ``production``) or ``WONDER_BASE_URL``; ``WONDER_LANGUAGE`` (optional).

        Args:
            environ: Where to read them.
            overrides: Arguments of the client, each in place of its variable.

        Raises:
            ConfigurationError: A setting is missing or wrong; all that are missing are named.
        """
        return cls(**settings_from(environ, overrides))

    def __repr__(self) -> str:
        return f"{type(self).__name__}(app_id={self._app_id!r}, base_url={self._origin!r})"

    def __reduce__(self) -> NoReturn:
        raise TypeError(
            f"{type(self).__name__} can't be pickled or copied: it holds a private key and connections. Make one in "
            "each process, as with from_env()."
        )

    def _api(self) -> Client:
        """Return the generated client on the connections of here."""
        raise NotImplementedError

    def _call(self, token: str | UUID, customer_uuid: str | UUID | None) -> Call:
        """Check the arguments and return the call they make."""
        asked = checked_uuid("token", token)
        arguments: dict[str, Any] = {
            "client": self._api(),
            "body": CheckPaymentTokenRequest(PaymentTokenReference(asked)),
        }
        if customer_uuid is not None and customer_uuid != _ANY_CUSTOMER:
            arguments["customer_uuid"] = str(checked_uuid("customer_uuid", customer_uuid))
        if self._language:
            arguments["x_i18n_lang"] = Language(self._language)
        deadline = time.monotonic() + self._retry.max_elapsed
        return Call(asked, arguments, self._retry, self._timeout, deadline, self._on_retry)


class WonderClient(_Client[httpx.BaseTransport, ProcessConnections]):
    """Asks the gateway, and blocks until it has answered.

    Make one and keep it: threads share it, and so do processes that are forked off, each with connections of its own.

    Args:
        app_id: What the vendor gave you for your public key.
        private_key: Your RSA private key: a PEM (PKCS#1 or PKCS#8) as text or bytes, or the key itself.
        environment: ``"sandbox"`` or ``"production"``; there is no default. None only together with ``base_url``.
        base_url: Scheme, host and maybe port to talk to instead; https, or http on a loopback host.
        passphrase: What the PEM is encrypted with, if it is.
        language: The language of the gateway's error messages: ``en``, ``zh-HK`` or ``zh-CN``.
        timeout: Seconds for one attempt, from connecting to the last byte of the answer.
        retry: When a failed attempt is repeated.
        on_retry: Called before an attempt is repeated, with the failed one's error and the delay in seconds, to count
            retries. What it raises ends the call and reaches the caller.
        transport: What carries the requests instead of httpx's own: a proxy, a mock.

    Raises:
        ConfigurationError: An argument is wrong. Nothing is sent before the first check.
    """

    _transport_type = httpx.BaseTransport
    _connections_type = ProcessConnections

    def _api(self) -> Client:
        return Client(base_url=self._origin).set_httpx_client(self._connections.here())

    def check_token(self, token: str | UUID, *, customer_uuid: str | UUID | None = None) -> PaymentToken:
        """Ask once how far a token is. A failed token is an answer, too.

        Args:
            token: The payment token's UUID.
            customer_uuid: The customer's UUID; the gateway does not need it.

        Raises:
            InvalidTokenError: ``token`` or ``customer_uuid`` is not a UUID. Nothing was sent.
            NetworkError: No answer came, on any attempt; `RequestTimeoutError` when it was not in time.
            APIError: The gateway answered with an error; its subclasses tell which.
            InvalidResponseError: The gateway's answer is not what the contract says.
        """
        with SEALED:
            call = self._call(token, customer_uuid)
            del token  # crash reporters print the locals of a stack
            return self._ask(call)

    def wait_for_token(
        self,
        token: str | UUID,
        *,
        timeout: float = 60.0,
        customer_uuid: str | UUID | None = None,
        poll: PollPolicy = PollPolicy(),
        on_poll: Callable[[PaymentToken], object] | None = None,
    ) -> PaymentToken:
        """Ask until 3-D Secure has ended, and return the verified or failed token.

        Two things httpx leaves no way to bound: a name that takes long to resolve, and headers that come byte by byte.

        A look that fails in a way that may pass (network, 429, 500 and up) does not end the wait. An unknown state
        counts as not ended.

        Args:
            token: The payment token's UUID.
            timeout: Seconds for everything: the looks, their retries, and the delays between them.
            customer_uuid: The customer's UUID; the gateway does not need it.
            poll: How long to wait between two looks.
            on_poll: Called with each answer, for a progress bar. What it raises ends the wait and reaches the caller.

        Raises:
            StillPendingError: The time is over. Its cause is the last look's error, if that one failed.
            InvalidTokenError: ``token`` or ``customer_uuid`` is not a UUID. Nothing was sent.
            ConfigurationError: ``timeout`` or ``poll`` is wrong. Nothing was sent.
            APIError: The gateway refuses, and will refuse again: 400, 401, 403, 404 and other statuses below 500.
            InvalidResponseError: The gateway's answer is not what the contract says.
        """
        with SEALED:
            wait = Wait(self._call(token, customer_uuid), timeout, poll, on_poll)
            del token

            def look() -> PaymentToken:
                call = wait.call()
                try:
                    seen: PaymentToken | WonderError = self._ask(call)
                except WonderError as error:
                    seen = error
                return wait.note(seen, call)

            return Retrying(**wait.loop())(look)

    def _ask(self, call: Call) -> PaymentToken:
        def attempt() -> PaymentToken:
            with call.attempt() as this:
                return _answer(check_payment_token.sync(**call.arguments), call.asked, this)

        return Retrying(**call.loop())(attempt)

    def close(self) -> None:
        """Close the connections. A closed client can't be used again."""
        self._connections.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


class AsyncWonderClient(_Client[httpx.AsyncBaseTransport, LoopConnections]):
    """The same for asyncio: the arguments, the answers and the errors are those of `WonderClient`.

    Several event loops may use it, each with connections of its own. Close it in the last: what is open in another one
    is closed by that loop, if it still runs.
    """

    _transport_type = httpx.AsyncBaseTransport
    _connections_type = LoopConnections

    def _api(self) -> Client:
        return Client(base_url=self._origin).set_async_httpx_client(self._connections.here())

    async def check_token(self, token: str | UUID, *, customer_uuid: str | UUID | None = None) -> PaymentToken:
        """Ask once how far a token is; see `WonderClient.check_token`."""
        with SEALED:
            call = self._call(token, customer_uuid)
            del token
            return await self._ask(call)

    async def wait_for_token(
        self,
        token: str | UUID,
        *,
        timeout: float = 60.0,  # noqa: ASYNC109 (one budget for both clients, kept by the looks themselves)
        customer_uuid: str | UUID | None = None,
        poll: PollPolicy = PollPolicy(),
        on_poll: Callable[[PaymentToken], object] | None = None,
    ) -> PaymentToken:
        """Ask until 3-D Secure has ended; see `WonderClient.wait_for_token`."""
        with SEALED:
            wait = Wait(self._call(token, customer_uuid), timeout, poll, on_poll)
            del token

            async def look() -> PaymentToken:
                call = wait.call()
                try:
                    seen: PaymentToken | WonderError = await self._ask(call)
                except WonderError as error:
                    seen = error
                return wait.note(seen, call)

            return await AsyncRetrying(**wait.loop())(look)

    async def _ask(self, call: Call) -> PaymentToken:
        async def attempt() -> PaymentToken:
            with call.attempt() as this:
                return _answer(await check_payment_token.asyncio(**call.arguments), call.asked, this)

        return await AsyncRetrying(**call.loop())(attempt)

    async def aclose(self) -> None:
        """Close the connections. A closed client can't be used again."""
        await self._connections.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *error: object) -> None:
        await self.aclose()


@cache
def _default_client() -> WonderClient:
    return WonderClient.from_env()


def check_token(token: str | UUID, *, customer_uuid: str | UUID | None = None) -> PaymentToken:
    """Ask once how far a token is, with one client a process, made from the environment at the first call.

    Takes, returns and raises what `WonderClient.check_token` does; and ConfigurationError, as `WonderClient.from_env`.
    """
    return _default_client().check_token(token, customer_uuid=customer_uuid)
