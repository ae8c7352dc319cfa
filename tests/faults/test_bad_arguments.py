"""Any object as an argument: it is good, or a clear error names the argument and does not quote the object.

The objects are given to the functions that check arguments; one bad object for each argument also goes to each client.
"""

import asyncio
import functools
from collections.abc import Callable
from enum import Enum
from typing import Any
from unittest import mock
from uuid import UUID

import httpx
import pytest
from conftest import TOKEN, Kind, for_both_clients, key, pem
from faults.arguments import CHECKS, CUSTOMER, OBJECTS, Written, fail, rejection
from faults.responses import good
from wonder_payment import ConfigurationError, PaymentToken, PollPolicy, RetryPolicy, WonderClient
from wonder_payment.config import check_wait
from wonder_payment.signing import load_private_key

# Objects that misbehave


# What an argument may be, though it is odd.
ALLOWED = {("app_id", "a number-like text"), ("tokens", "a list")}


@pytest.mark.parametrize("what", OBJECTS)
def test_no_object_passes_that_is_not_what_the_argument_must_be(what: str) -> None:
    for name, check in CHECKS.items():
        is_callable = name == "on_retry" and callable(OBJECTS[what]) and what != "a coroutine function"
        is_empty_passphrase = name == "passphrase" and what == "an empty text"
        if not is_callable and (name, what) not in ALLOWED:
            rejection("private key" if is_empty_passphrase else name, check, OBJECTS[what])


@for_both_clients
@pytest.mark.parametrize(
    "argument", ["token", "customer_uuid", "verify_uuid", "timeout", "poll", "on_poll", "tokens", "concurrency"]
)
@pytest.mark.parametrize("what", ["infinity", "pretending to be str", "a number-like text"])
def test_the_methods_of_both_clients_check_their_arguments_before_they_send(
    kind: Kind, argument: str, what: str
) -> None:
    def call(value: Any) -> None:
        client = kind("app", key(), environment="sandbox", transport=httpx.MockTransport(fail))
        arguments: dict[str, Any] = {"token": TOKEN, argument: value}
        if argument in ("tokens", "concurrency"):
            client.check_tokens(**{"tokens": [TOKEN], argument: value})
            return
        method = client.check_token if argument in ("token", "customer_uuid", "verify_uuid") else client.wait_for_token
        result: Any = method(**arguments)
        if not isinstance(client, WonderClient):
            asyncio.run(result)

    rejection(argument, call, OBJECTS[what])


@for_both_clients
@pytest.mark.parametrize("argument", ["app_id", "private_key", "environment", "base_url", "language", "passphrase"])
def test_an_override_of_from_env_is_checked_like_the_argument(kind: Kind, argument: str) -> None:
    environ = {"WONDER_APP_ID": "app", "WONDER_PRIVATE_KEY": pem(), "WONDER_ENVIRONMENT": "sandbox"}
    with pytest.raises(ConfigurationError, match=f"^{argument}="):
        kind.from_env(environ, **{argument: OBJECTS["whose methods raise"]})


# Kinds of text


def _chosen(text: str) -> str:
    return Enum("Chosen", {"ONE": text}, type=str)["ONE"]


@pytest.mark.parametrize("make", [Written, _chosen], ids=["a str that shows other text", "a str enum"])
@pytest.mark.parametrize(
    ("argument", "text", "checked"),
    [
        ("app_id", "app", "app"),
        ("environment", "sandbox", "https://gateway-stg.wonder.today"),
        ("base_url", "https://gateway.example", "https://gateway.example"),
        ("language", "en", "en"),
        ("token", TOKEN, UUID(TOKEN)),
        ("customer_uuid", CUSTOMER, CUSTOMER),
        ("customer_uuid", "uuid", None),
        ("verify_uuid", CUSTOMER, UUID(CUSTOMER)),
    ],
)
def test_a_subclass_of_text_is_its_characters(
    argument: str, text: str, checked: object, make: Callable[[str], str]
) -> None:
    value = CHECKS[argument](make(text))
    assert value == checked
    assert type(value) is type(checked)


# Keys and passphrases


@pytest.mark.parametrize(
    "private_key",
    [
        *("", " ", "\0", "\ud800", "-----BEGIN", "-----BEGIN PRIVATE KEY-----", b"\xff\xfe"),
        "-----BEGIN PRIVATE KEY-----\nhunter2hunter2\n-----END PRIVATE KEY-----",
        "-----BEGIN PRIVATE KEY-----\nhunter2 \ud800 \0\n-----END PRIVATE KEY-----",
        "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4\nDEK-Info: hunter2\n\nA\n-----END RSA PRIVATE KEY-----",
        pytest.param(f"-----BEGIN PRIVATE KEY-----\n{'A' * 1_000_000}\n-----END PRIVATE KEY-----", id="1 MB"),
        "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----",
        "-----BEGIN PUBLIC KEY-----\nhunter2\n-----END PUBLIC KEY-----",
    ],
    ids=lambda value: ascii(value)[:50],
)
@pytest.mark.parametrize("passphrase", [None, "hunter2"])
def test_text_that_is_not_a_key_is_an_error(private_key: str | bytes, passphrase: str | None) -> None:
    rejection("private key", lambda value: load_private_key(value, passphrase), private_key)


@pytest.mark.parametrize(
    "passphrase", ["\0", "\ud800", "hunter2" * 1000, b"\xff", b"hunter2\0"], ids=lambda value: ascii(value)[:20]
)
def test_a_wrong_passphrase_of_any_form_is_an_error(passphrase: str | bytes) -> None:
    rejection("passphrase", CHECKS["passphrase"], passphrase)


@pytest.mark.parametrize("what", ["whose methods raise", "NaN", "a tuple", "pretending to be str"])
def test_a_passphrase_is_checked_also_if_the_key_is_loaded_already(what: str) -> None:
    rejection("passphrase", lambda value: load_private_key(key(), value), OBJECTS[what])


# Callbacks


class Seen(list[object]):
    """A callback that keeps its arguments; it is false while it has none."""

    def __call__(self, *arguments: object) -> None:
        self.append(arguments)


@for_both_clients
def test_a_callback_that_is_false_is_called(kind: Kind) -> None:
    on_retry, on_poll = Seen(), Seen()
    responses = iter([httpx.Response(503), httpx.Response(200, json=good(token=TOKEN))])
    transport = httpx.MockTransport(lambda _request: next(responses))
    settings: dict[str, Any] = {"retry": RetryPolicy(backoff_initial=0.0), "on_retry": on_retry, "transport": transport}
    client = kind("app", key(), environment="sandbox", **settings)
    result: Any = client.wait_for_token(TOKEN, on_poll=on_poll)
    assert isinstance(result if isinstance(client, WonderClient) else asyncio.run(result), PaymentToken)
    assert (len(on_retry), len(on_poll)) == (1, 1)


async def _async(*_arguments: object) -> None:
    pytest.fail("an async function was called")


class _Async:
    async def __call__(self, *_arguments: object) -> None:
        pytest.fail("an async function was called")


@pytest.mark.parametrize(
    "function",
    [_async, functools.partial(_async, 1), _Async().__call__, _Async(), mock.AsyncMock()],
    ids=["a function", "a partial one", "a method", "an object", "a mock"],
)
def test_an_async_callback_is_an_error(function: Any) -> None:
    rejection("on_retry", CHECKS["on_retry"], function)
    rejection("on_poll", lambda value: check_wait(1.0, PollPolicy(), value), function)


# The bounds


@for_both_clients
@pytest.mark.parametrize("seconds", [0.5, 1, 1e9, 10**9])
def test_the_bounds_of_all_numbers_are_good_together(kind: Kind, seconds: float) -> None:
    retry = RetryPolicy(max_attempts=10**9, max_elapsed=seconds, backoff_initial=1e9, backoff_max=1e9, jitter=1)
    poll = PollPolicy(interval_initial=1e-9 if seconds < 2 else 1e9, interval_max=1e9, growth=1e9)
    transport = httpx.MockTransport(lambda _request: httpx.Response(200, json=good(token=TOKEN)))
    client = kind("a" * 100_000, key(), environment="sandbox", timeout=seconds, retry=retry, transport=transport)
    result: Any = client.wait_for_token(TOKEN, timeout=seconds, poll=poll)
    assert isinstance(result if isinstance(client, WonderClient) else asyncio.run(result), PaymentToken)
