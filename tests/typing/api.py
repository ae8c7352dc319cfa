"""The public API as a user writes it. Type-checked, never run."""

import asyncio
from collections.abc import Awaitable
from datetime import date
from typing import assert_type
from uuid import UUID

import httpx
import wonder_payment
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey
from wonder_payment import (
    APIError,
    AsyncWonderClient,
    Card,
    Environment,
    PaymentToken,
    PollPolicy,
    RateLimitError,
    RetryPolicy,
    StillPendingError,
    TokenChecker,
    TokenState,
    TokenType,
    WonderClient,
    WonderError,
)
from wonder_payment.signing import WonderAuth, sign, string_to_sign, verify
from wonder_payment.simulator import Fault, SimulatedGateway


def settings(pem: str, key: RSAPrivateKey) -> None:
    WonderClient("app", pem, environment="sandbox")
    WonderClient("app", key, environment=Environment.PRODUCTION, passphrase=b"secret", language="zh-HK")
    WonderClient("app", pem.encode(), environment=None, base_url="https://gateway.example", timeout=5)
    WonderClient("app", pem, environment="sandbox", retry=RetryPolicy.never(), transport=httpx.HTTPTransport())
    AsyncWonderClient("app", pem, environment="sandbox", transport=httpx.AsyncHTTPTransport())
    WonderClient("app", pem)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    assert_type(WonderClient.from_env(), WonderClient)
    assert_type(AsyncWonderClient.from_env({"WONDER_APP_ID": "app"}, timeout=2.0), AsyncWonderClient)
    WonderClient.from_env(nonsense=1)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]


def check() -> None:
    with WonderClient.from_env() as wonder:
        token = assert_type(wonder.check_token("1b9d6bcd-bbfd-4b2d-9b5d-ab8dfbbd4bed"), PaymentToken)
        wonder.check_token(UUID(int=0), customer_uuid=UUID(int=1))
    assert_type(wonder_payment.check_token(token.token, customer_uuid="uuid"), PaymentToken)
    assert_type(token.is_verified, bool)
    assert_type(token.state, TokenState | str)
    assert_type(token.token_type, TokenType | str)
    assert_type(token.error_code, str | None)
    if card := assert_type(token.card, Card | None):
        assert_type(card.expires_on, date | None)
        assert_type(card.is_expired(on=date(2030, 1, 1)), bool)
    token.state = "success"  # type: ignore[misc]  # pyright: ignore[reportAttributeAccessIssue]


def take(checker: TokenChecker[PaymentToken], slow: TokenChecker[Awaitable[PaymentToken]]) -> None:
    assert_type(checker.check_token(UUID(int=0)), PaymentToken)
    assert_type(slow.check_token("1b9d6bcd-bbfd-4b2d-9b5d-ab8dfbbd4bed", customer_uuid=None), Awaitable[PaymentToken])


def give(wonder: WonderClient, slow: AsyncWonderClient) -> None:
    take(wonder, slow)
    take(slow, wonder)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


def wait(wonder: WonderClient) -> None:
    seen: list[PaymentToken] = []
    token = wonder.wait_for_token(UUID(int=0), timeout=60, poll=PollPolicy(shortest=0.3), on_poll=seen.append)
    assert_type(token, PaymentToken)
    wonder.wait_for_token("1b9d6bcd-bbfd-4b2d-9b5d-ab8dfbbd4bed", on_poll=print)
    try:
        wonder.wait_for_token("1b9d6bcd-bbfd-4b2d-9b5d-ab8dfbbd4bed", customer_uuid=UUID(int=1))
    except StillPendingError as error:
        assert_type(error.token, PaymentToken | None)
        assert_type(error.elapsed, float)
        assert_type(error.polls, int)


async def wait_async(wonder: AsyncWonderClient) -> None:
    assert_type(await wonder.wait_for_token(UUID(int=0), timeout=5.0), PaymentToken)


def simulate(wonder_gateway: SimulatedGateway) -> None:
    token = assert_type(wonder_gateway.add_token(states=["pending", "success"], after=1.5, card=None), str)
    wonder_gateway.inject(Fault(status=502, headers={"Retry-After": "1"}, times=2), token=token)
    wonder_gateway.approve(token)
    wonder_gateway.decline(UUID(token), error_code="E1")
    assert_type(wonder_gateway.client(timeout=1.0), WonderClient)
    assert_type(wonder_gateway.async_client(), AsyncWonderClient)
    assert_type(wonder_gateway.environ, dict[str, str])
    assert_type([request.request_id for request in wonder_gateway.requests], list[str | None])


async def check_many(tokens: list[str]) -> list[PaymentToken]:
    async with AsyncWonderClient.from_env() as wonder:
        return await asyncio.gather(*(wonder.check_token(token) for token in tokens))


def errors(wonder: WonderClient) -> None:
    try:
        wonder.check_token("1b9d6bcd-bbfd-4b2d-9b5d-ab8dfbbd4bed")
    except RateLimitError as error:
        assert_type(error.retry_after, float | None)
    except APIError as error:
        assert_type(error.status_code, int)
        assert_type(error.code, str | float | None)
        assert_type(error.message, str | None)
    except WonderError as error:
        assert_type(error.attempts, int)
        assert_type(error.request_id, str | None)


def signing(private_key: RSAPrivateKey, public_key: RSAPublicKey) -> None:
    digest = assert_type(string_to_sign("app/20260101000000/Wonder-RSA-SHA256", "0" * 16, "GET", "/", None), str)
    signature = assert_type(sign(private_key, digest), str)
    assert_type(verify(public_key, signature, credential="app", nonce="0" * 16, method="GET", uri="/", body=b""), bool)
    httpx.Client(auth=WonderAuth("app", private_key, origin="https://gateway.example"))
