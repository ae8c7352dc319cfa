"""WonderClient and AsyncWonderClient: what a service talks to. They differ in their loops alone."""

from __future__ import annotations

from collections.abc import AsyncIterable, Iterable
from functools import cache
from typing import TYPE_CHECKING, Any, Literal, Self

import httpx
from tenacity import AsyncRetrying, Retrying
from wonder_payment_client import Client
from wonder_payment_client.api.payment_tokens import check_payment_token

from .base import BaseClient
from .call import Call
from .connections import LoopConnections, ProcessConnections
from .errors import SEALED, WonderError
from .retry import PollPolicy
from .sweep import Outcome, Pace, SweptCall, failed, in_tasks, in_threads
from .wait import Wait

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Generator
    from uuid import UUID

    from .token import PaymentToken

__all__ = ["AsyncWonderClient", "WonderClient", "check_token"]


class WonderClient(BaseClient[httpx.BaseTransport, ProcessConnections]):
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
        transport: What carries the requests instead of httpx's own: a proxy, a mock. It is used as it is in every
            process and event loop: for one that can't be shared by them, make a client in each.

    Raises:
        ConfigurationError: An argument is wrong. Nothing is sent before the first check.
    """

    _transport_type = httpx.BaseTransport
    _many_tokens = Iterable
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
            call = self._call(Call, token, customer_uuid)
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
            wait = Wait(self._call(Call, token, customer_uuid), timeout, poll, on_poll)
            del token
            return Retrying(**wait.loop())(lambda: self._ask(wait.call()))

    def check_tokens(
        self, tokens: Iterable[str | UUID], *, concurrency: int = 16, customer_uuid: str | UUID | None = None
    ) -> Generator[Outcome]:
        """Ask once for each of many tokens, several at a time, and yield what became of them as they finish.

        One bad token stops nothing: its outcome has the error. A rate limit slows the whole sweep: nobody asks before
        the time the gateway gave, and the token is asked for again. Memory is for ``concurrency`` tokens, however many
        there are. Closing the generator, or dropping it, ends the sweep once the attempts under way are over.

        Args:
            tokens: The payment tokens' UUIDs; taken one by one, in the thread that iterates.
            concurrency: How many to ask for at a time.
            customer_uuid: The customer's UUID; the gateway does not need it.

        Raises:
            ConfigurationError: ``concurrency`` is wrong, ``tokens`` is one token, or the client is closed.
            InvalidTokenError: ``customer_uuid`` is not a UUID.
        """
        self._check_sweep(tokens, concurrency, customer_uuid)
        pace = Pace()

        def outcome(token: str | UUID) -> Outcome:
            try:
                with SEALED:
                    pace.sleep()
                    call = self._call(SweptCall, token, customer_uuid, pace=pace)
                    answer = self._ask(call, sleep=call.sleep)
            except WonderError as error:
                return failed(token, error)
            return Outcome(token_id=str(token), token=answer)

        return in_threads(tokens, outcome, concurrency, pace)

    def _ask(self, call: Call, **options: Any) -> PaymentToken:
        def attempt() -> PaymentToken:
            with call.attempt() as this:
                return call.answer(check_payment_token.sync(**call.arguments), this)

        return Retrying(**call.loop(), **options)(attempt)

    def close(self) -> None:
        """Close the connections. A closed client can't be used again."""
        self._connections.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


class AsyncWonderClient(BaseClient[httpx.AsyncBaseTransport | Literal["aiohttp"], LoopConnections]):
    """The same for asyncio: the arguments, the answers and the errors are those of `WonderClient`.

    But for ``transport``, which may also be ``"aiohttp"`` (extra ``aiohttp``): with many requests under way it takes
    some two thirds of the default's time.

    Several event loops may use it, each with connections of its own. Close it in the last: what is open in another one
    is closed by that loop, if it still runs.
    """

    _transport_type = httpx.AsyncBaseTransport
    _transport_names = ("aiohttp",)
    _many_tokens = (Iterable, AsyncIterable)
    _connections_type = LoopConnections

    def _api(self) -> Client:
        return Client(base_url=self._origin).set_async_httpx_client(self._connections.here())

    async def check_token(self, token: str | UUID, *, customer_uuid: str | UUID | None = None) -> PaymentToken:
        """Ask once how far a token is; see `WonderClient.check_token`."""
        with SEALED:
            call = self._call(Call, token, customer_uuid)
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
            wait = Wait(self._call(Call, token, customer_uuid), timeout, poll, on_poll)
            del token

            async def look() -> PaymentToken:
                return await self._ask(wait.call())

            return await AsyncRetrying(**wait.loop())(look)

    def check_tokens(
        self,
        tokens: Iterable[str | UUID] | AsyncIterable[str | UUID],
        *,
        concurrency: int = 16,
        customer_uuid: str | UUID | None = None,
    ) -> AsyncGenerator[Outcome]:
        """Ask once for each of many tokens; see `WonderClient.check_tokens`.

        The tokens may come from an async iterable, too. Closing the generator ends the sweep at once: who may leave a
        loop over it early does so within ``contextlib.aclosing``.
        """
        self._check_sweep(tokens, concurrency, customer_uuid)
        pace = Pace()

        async def outcome(token: str | UUID) -> Outcome:
            try:
                with SEALED:
                    await pace.asleep()
                    call = self._call(SweptCall, token, customer_uuid, pace=pace)
                    answer = await self._ask(call, sleep=call.asleep)
            except WonderError as error:
                return failed(token, error)
            return Outcome(token_id=str(token), token=answer)

        return in_tasks(tokens, outcome, concurrency)

    async def _ask(self, call: Call, **options: Any) -> PaymentToken:
        async def attempt() -> PaymentToken:
            with call.attempt() as this:
                return call.answer(await check_payment_token.asyncio(**call.arguments), this)

        return await AsyncRetrying(**call.loop(), **options)(attempt)

    async def aclose(self) -> None:
        """Close the connections. A closed client can't be used again."""
        await self._connections.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *error: object) -> None:
        await self.aclose()


@cache
@SEALED
def _default_client() -> WonderClient:
    return WonderClient.from_env()


def check_token(token: str | UUID, *, customer_uuid: str | UUID | None = None) -> PaymentToken:
    """Ask once how far a token is, with one client a process, made from the environment at the first call.

    Takes, returns and raises what `WonderClient.check_token` does; and ConfigurationError, as `WonderClient.from_env`.
    """
    with SEALED:
        return _default_client().check_token(token, customer_uuid=customer_uuid)
