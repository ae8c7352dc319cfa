"""The public API as a user writes it. Type-checked, never run; docs/guides/types.md shows what is asserted here."""

# pyright: strict
import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Generator
from datetime import date
from pathlib import Path
from typing import Any, assert_type
from uuid import UUID

import httpx
import wonder_payment
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey
from wonder_payment import (
    APIError,
    AsyncWonderClient,
    AttemptEvent,
    AuthenticationError,
    BadRequestError,
    Card,
    CheckResult,
    ConfigurationError,
    Environment,
    InvalidResponseError,
    InvalidSignatureError,
    InvalidTokenError,
    NetworkError,
    NotFoundError,
    PaymentToken,
    PollPolicy,
    RateLimitError,
    RequestTimeoutError,
    RetryPolicy,
    ServerError,
    Signer,
    SigningError,
    StillPendingError,
    TokenChecker,
    TokenReference,
    TokenState,
    TokenType,
    WonderClient,
    WonderError,
    check_token,
)
from wonder_payment.models import CardDict, PaymentTokenDict
from wonder_payment.signing import SCHEME, WonderAuth, load_private_key, sign, string_to_sign, verify, verify_request


def settings(pem: str, key: RSAPrivateKey) -> None:
    assert_type(WonderClient.from_env(), WonderClient)
    assert_type(AsyncWonderClient.from_env(), AsyncWonderClient)
    assert_type(RetryPolicy.never(), RetryPolicy)
    assert_type(wonder_payment.__version__, str)
    WonderClient("app", pem, environment="sandbox")
    WonderClient("app", key, environment=Environment.PRODUCTION, passphrase=b"secret", language="zh-HK")
    WonderClient("app", pem.encode(), environment=None, base_url=Environment.SANDBOX.base_url, timeout=5)
    WonderClient("app", pem, environment="sandbox", retry=RetryPolicy(max_attempts=2), on_retry=count)
    WonderClient("app", pem, environment="sandbox", transport=httpx.HTTPTransport())
    AsyncWonderClient("app", pem, environment="sandbox", transport=httpx.AsyncHTTPTransport())
    AsyncWonderClient("app", pem, environment="sandbox", transport="fast")
    AsyncWonderClient.from_env({"WONDER_APP_ID": "app"}, timeout=2.0)
    WonderClient("app")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    WonderClient.from_env(nonsense=1)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    WonderClient("app", pem, environment="sandbox", transport="fast", max_connections=10, on_attempt=observe)
    WonderClient("app", pem, environment="sandbox", proxy="http://proxy.example:3128", ca_file="ca.pem")
    AsyncWonderClient("app", pem, environment="sandbox", client_certificate=("service.pem", Path("service.key")))
    WonderClient.from_env(ca_file=Path("ca.pem"), client_certificate=("service.pem", "service.key", b"secret"))
    WonderClient.from_env(client_certificate=("a", "b", "c", "d"))  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    WonderClient("app", pem, environment="sandbox", transport="aiohttp")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


class Module:
    def sign(self, message: bytes) -> bytes:
        return message


def signers(module: Signer) -> None:
    assert_type(module.sign(b""), bytes)
    WonderClient("app", Module(), environment="sandbox")
    AsyncWonderClient("app", module, environment="sandbox")
    WonderClient.from_env(private_key=module, on_attempt=observe)
    WonderClient.from_env(private_key=1)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    WonderClient.from_env(on_attempt=count)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    WonderAuth("app", module, origin="https://gateway.wonder.today")


def observe(event: AttemptEvent) -> None:
    assert_type(event.number, int)
    assert_type(event.status, int | None)
    assert_type(event.error, WonderError | None)
    assert_type(event.seconds, float)
    assert_type(event.request_id, str | None)


def count(error: WonderError, delay: float) -> None:
    assert_type((error.attempts, delay), tuple[int | None, float])


def as_json(token: PaymentToken) -> None:
    assert_type(token.to_dict(), PaymentTokenDict)
    assert_type(token.to_dict(secrets=True)["card"], CardDict | None)


def clients(wonder: WonderClient, token: str | UUID, tokens: list[str]) -> None:
    assert_type(wonder.check_token(token), PaymentToken)
    assert_type(wonder.wait_for_token(token), PaymentToken)
    assert_type(wonder.check_tokens(tokens), Generator[CheckResult])
    assert_type(check_token(token), PaymentToken)
    assert_type(wonder.close(), None)
    assert_type(wonder.with_options(timeout=2.0, retry=RetryPolicy.never(), language="en"), WonderClient)
    check_token(token, customer_uuid=UUID(int=1), verify_uuid=UUID(int=2))
    wonder.check_token(token, customer_uuid="uuid", verify_uuid=None)
    seen: list[PaymentToken] = []
    wonder.wait_for_token(token, timeout=60, poll=PollPolicy(interval_initial=0.3), on_poll=seen.append)
    wonder.wait_for_token(token, customer_uuid=None, verify_uuid=str(token), on_poll=print)
    wonder.check_tokens((UUID(line) for line in tokens), concurrency=4, max_per_second=100)
    wonder.check_tokens([*tokens, TokenReference(token, UUID(int=1)), UUID(int=3)])
    wonder.check_tokens(map(TokenReference, tokens))
    wonder.check_tokens(tokens, customer_uuid=UUID(int=1))  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    wonder.check_token(1)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    with wonder as same:
        assert_type(same, WonderClient)


async def async_clients(wonder: AsyncWonderClient, token: str | UUID, tokens: list[str]) -> None:
    assert_type(wonder.with_options(timeout=2.0), AsyncWonderClient)
    assert_type(await wonder.check_token(token), PaymentToken)
    assert_type(await wonder.wait_for_token(token), PaymentToken)
    assert_type(wonder.check_tokens(tokens), AsyncGenerator[CheckResult])
    assert_type(await wonder.aclose(), None)
    assert_type(await asyncio.gather(*(wonder.check_token(token) for token in tokens)), list[PaymentToken])
    await wonder.wait_for_token(token, timeout=5.0, verify_uuid=UUID(int=2), on_poll=print)
    wonder.check_tokens(arriving(), concurrency=4, max_per_second=0.5)
    wonder.check_tokens([TokenReference(token, verify_uuid=UUID(int=2)), token])
    async with wonder as same:
        assert_type(same, AsyncWonderClient)


async def arriving() -> AsyncIterator[str]:
    await asyncio.sleep(0)
    yield "1b9d6bcd-bbfd-4b2d-9b5d-ab8dfbbd4bed"


def results(token: PaymentToken, card: Card, result: CheckResult) -> None:
    assert_type(token.token, str)
    assert_type(token.state, TokenState | str)
    assert_type(token.token_type, TokenType | str)
    assert_type(token.is_verified, bool)
    assert_type(token.is_failed, bool)
    assert_type(token.is_pending, bool)
    assert_type(token.is_default, bool | None)
    assert_type(token.error_code, str | None)
    assert_type(token.error_message, str | None)
    assert_type(token.request_id, str | None)
    assert_type(token.extra, dict[str, Any])
    assert_type(token.card, Card | None)
    assert_type(card.number, str | None)
    assert_type(card.last4, str | None)
    assert_type(card.brand, str | None)
    assert_type(card.holder_name, str | None)
    assert_type(card.billing_currency, str | None)
    assert_type(card.exp_month, str | None)
    assert_type(card.exp_year, str | None)
    assert_type(card.expires_on, date | None)
    assert_type(card.is_expired(), bool)
    assert_type(result.token_id, str)
    assert_type(result.token, PaymentToken | None)
    assert_type(result.error, WonderError | None)
    card.is_expired(on=date(2030, 1, 1))
    reference = TokenReference(token.token, customer_uuid=UUID(int=1), verify_uuid=None)
    assert_type(reference.token, str | UUID)
    assert_type(reference.customer_uuid, str | UUID | None)
    assert_type(reference.verify_uuid, str | UUID | None)
    reference.token = "another"  # type: ignore[misc]  # pyright: ignore[reportAttributeAccessIssue]
    token.state = "success"  # type: ignore[misc]  # pyright: ignore[reportAttributeAccessIssue]


def errors(error: WonderError, api_error: APIError, still_pending: StillPendingError) -> None:
    assert_type(error.request_id, str | None)
    assert_type(error.attempts, int | None)
    assert_type(api_error.status_code, int | None)
    assert_type(api_error.code, str | float | None)
    assert_type(api_error.message, str | None)
    assert_type(api_error.retry_after, float | None)
    assert_type(still_pending.token, PaymentToken | None)
    assert_type(still_pending.last_error, WonderError | None)
    assert_type(still_pending.elapsed, float | None)
    assert_type(still_pending.polls, int | None)


def caught(wonder: WonderClient, token: str) -> None:
    try:
        wonder.check_token(token)
    except RateLimitError as error:
        assert_type(error.retry_after, float | None)
    except (BadRequestError, AuthenticationError, NotFoundError, ServerError) as error:
        assert_type(error.status_code, int | None)
    except (ConfigurationError, InvalidResponseError, RequestTimeoutError, SigningError) as error:
        assert_type(error.request_id, str | None)


def kinds(bad_token: InvalidTokenError, too_late: RequestTimeoutError) -> tuple[ValueError, NetworkError]:
    return bad_token, too_late


def take(checker: TokenChecker[PaymentToken], slow: TokenChecker[Awaitable[PaymentToken]]) -> None:
    assert_type(checker.check_token("1b9d6bcd-bbfd-4b2d-9b5d-ab8dfbbd4bed"), PaymentToken)
    assert_type(slow.check_token(UUID(int=0), customer_uuid=None), Awaitable[PaymentToken])
    checker.check_token("1b9d6bcd-bbfd-4b2d-9b5d-ab8dfbbd4bed", verify_uuid=UUID(int=2))


def give(wonder: WonderClient, slow: AsyncWonderClient) -> None:
    take(wonder, slow)
    take(slow, wonder)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


def policies(retry: RetryPolicy, poll: PollPolicy, error: WonderError) -> None:
    assert_type(retry.delay(error, attempt=1), float)
    assert_type(poll.delay(elapsed=0.0), float)
    for number in (retry.max_attempts, retry.quota_per_retry, retry.quota_per_timeout, retry.quota_per_success):
        assert_type(number, int)
    assert_type(retry.quota, int | None)
    for seconds in (
        retry.max_elapsed,
        retry.backoff_initial,
        retry.backoff_max,
        poll.interval_initial,
        poll.interval_max,
    ):
        assert_type(seconds, float)
    for share in (retry.jitter, poll.jitter, poll.growth):
        assert_type(share, float)


def signing(
    pem: bytes,
    private_key: RSAPrivateKey,
    public_key: RSAPublicKey,
    credential: str,
    nonce: str,
    method: str,
    uri: str,
    body: bytes | None,
) -> None:
    assert_type(load_private_key(pem), RSAPrivateKey)
    assert_type(string_to_sign(credential, nonce, method, uri, body), str)
    assert_type(sign(private_key, string_to_sign(credential, nonce, method, uri, body)), str)
    assert_type(verify(public_key, "", credential=credential, nonce=nonce, method=method, uri=uri, body=body), bool)
    assert_type(verify_request(public_key, method=method, uri=uri, headers={"Nonce": nonce}, body=body), None)
    try:
        verify_request(public_key, method=method, uri=uri, headers=httpx.Headers(), body=body, tolerance=60)
    except InvalidSignatureError as error:
        assert_type(error.is_transient, bool)
    string_to_sign(f"app/20260101000000/{SCHEME}", nonce, "GET", "/", None)
    httpx.Client(auth=WonderAuth("app", private_key, origin="https://gateway.example"))
    httpx.AsyncClient(auth=WonderAuth("app", b"a PEM", origin=httpx.URL("https://gateway.example")))
