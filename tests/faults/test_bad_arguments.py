"""Any object as an argument: it is good, or a clear error names the argument and does not quote the object.

The objects are given to the functions that check arguments; one bad object for each argument also goes to each client.
"""

import asyncio
import functools
import re
from collections.abc import Callable
from decimal import Decimal
from enum import Enum
from fractions import Fraction
from functools import partial
from typing import Any
from unittest import mock
from urllib.parse import urlsplit
from uuid import UUID

import attrs
import httpx
import pytest
from conftest import TOKEN, Kind, for_both_clients, key, pem
from faults.responses import good
from hypothesis import example, given, settings
from hypothesis import strategies as st
from wonder_payment import ConfigurationError, PaymentToken, PollPolicy, RetryPolicy, WonderClient, WonderError
from wonder_payment.config import (
    LANGUAGES,
    check_batch,
    check_callback,
    check_wait,
    checked_app_id,
    checked_choice,
    checked_customer,
    checked_origin,
    checked_transport,
    checked_uuid,
    described,
    origin_of,
    resolved_origin,
)
from wonder_payment.retry import number
from wonder_payment.signing import load_private_key

CUSTOMER = "7f1a3c52-8f0e-4d0c-9d6b-3f5b7b0f6a11"
PASSPHRASE = "correct horse"

# The same examples on every machine, and no database of examples.
stable = settings(derandomize=True, database=None, deadline=None, max_examples=100)


def _client(**settings: Any) -> WonderClient:
    return WonderClient(**{"app_id": "app", "private_key": key(), "environment": "sandbox"} | settings)


# What checks each argument.
CHECKS: dict[str, Callable[[Any], Any]] = {
    "token": partial(checked_uuid, "token"),
    "customer_uuid": checked_customer,
    "verify_uuid": partial(checked_uuid, "verify_uuid"),
    "app_id": checked_app_id,
    "environment": lambda value: resolved_origin(value, None),
    "base_url": checked_origin,
    "language": partial(checked_choice, name="language=", choices=LANGUAGES),
    "timeout": partial(number, "timeout", above=True),
    "retry": lambda value: _client(retry=value),
    "poll": lambda value: check_wait(1.0, value, None),
    "on_retry": partial(check_callback, "on_retry"),
    "transport": lambda value: checked_transport(value, httpx.BaseTransport),
    "private key": load_private_key,
    "passphrase": lambda value: load_private_key(pem(PASSPHRASE), value),
    "tokens": lambda value: check_batch(value, list, 1, None),
    "concurrency": lambda value: check_batch([], list, value, None),
}


def error_of(check: Callable[[Any], Any], value: Any) -> WonderError | None:
    try:
        check(value)
    except WonderError as error:
        return error
    return None


def rejection(name: str, check: Callable[[Any], Any], value: Any) -> str:
    """Return the message of the error that a check raises; fail if it raises none, or one that is not clear."""
    error = error_of(check, value)
    assert error is not None, f"{name} was accepted: {type(value)}"
    assert (error.attempts, error.request_id, error.__cause__) == (0, None, None)
    assert error.__suppress_context__ or error.__context__ is None
    message = str(error)
    assert message.endswith("(nothing was sent)")
    assert name in message.lower()
    assert len(message) < 300
    assert "hunter2" not in message
    return message


# Objects that misbehave


def _fail(*_arguments: object) -> Any:
    raise RuntimeError("of the argument's own: hunter2")


METHODS = ["eq", "ne", "lt", "le", "gt", "ge", "str", "repr", "hash", "bool", "len", "iter", "format", "contains"]


def _hostile() -> Any:
    """Return an object whose every method raises."""
    return type("Hostile", (), {f"__{name}__": _fail for name in METHODS})()


def _pretending(kind: type) -> Any:
    """Return an object that says it is of this class, as lazy objects and mocks do."""
    return type("Pretending", (), {"__class__": property(lambda _self: kind)})()


OBJECTS = {
    "whose methods raise": _hostile(),
    "equal to everything": mock.ANY,
    "a mock": mock.Mock(),
    "a magic mock": mock.MagicMock(),
    **{f"pretending to be {kind.__name__}": _pretending(kind) for kind in (str, bytes, UUID, float, int)},
    "a lazy text": mock.NonCallableMagicMock(spec=str),
    "a class": str,
    "a number-like text": "1e3",
    "Decimal": Decimal(1),
    "Fraction": Fraction(1),
    "NaN": float("nan"),
    "infinity": float("inf"),
    "minus infinity": float("-inf"),
    "a complex number": 1j,
    "an int beyond a float": 10**400,
    "an int of 5,000 digits": 10**5000,
    "True": True,
    "False": False,
    "0": 0,
    "-1": -1,
    "bytes": b"sandbox",
    "bytearray": bytearray(b"en"),
    "an empty text": "",
    "a lone surrogate": "\ud800",
    "NUL": "\0",
    "a line break": "en\r\nX-Evil: 1",
    "long text": "hunter2 " * 200_000,
    "an exception": RuntimeError("hunter2"),
    "a coroutine function": asyncio.sleep,
    "a tuple": ("en",),
    "a list": ["en"],
    "a set": {"en"},
    "a dict": {"en": "en"},
    "Ellipsis": ...,
}
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
        client = kind("app", key(), environment="sandbox", transport=httpx.MockTransport(_fail))
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


class Written(str):
    """A text that shows other characters, as secrets do."""

    __slots__ = ()

    def __str__(self) -> str:
        return "***"

    __repr__ = __str__

    def __format__(self, _spec: str) -> str:
        return "***"


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


# Anything

_anything = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.integers(-3, 3),
    st.floats(),
    st.complex_numbers(),
    st.decimals(),
    st.text(st.characters(), max_size=60),
    st.text(st.characters(), max_size=60).map(Written),
    st.binary(max_size=60),
    st.uuids(),
    st.lists(st.none() | st.text(), max_size=3),
    st.dictionaries(st.text(), st.text(), max_size=3),
    st.sampled_from(["en", "zh-HK", "sandbox", "production", TOKEN, TOKEN.upper(), "uuid", PASSPHRASE, 1e9, 1e-9]),
)


def _is_text(value: Any, pattern: str) -> bool:
    return isinstance(value, str) and re.fullmatch(pattern, str.__str__(value)) is not None


def _is_uuid(value: Any) -> bool:
    return isinstance(value, UUID) or _is_text(value, r"(?i:[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12})")


def _is_number(value: Any, minimum: float, maximum: float = 1e9) -> bool:
    return type(value) in (int, float) and minimum <= value <= maximum


# What is good, stated a second time; False for everything that is not listed.
IS_GOOD: dict[str, Callable[[Any], bool]] = {
    "token": _is_uuid,
    "customer_uuid": lambda value: value is None or _is_uuid(value) or _is_text(value, "uuid"),
    "verify_uuid": _is_uuid,
    "app_id": lambda value: _is_text(value, "[!-~]+") and "/" not in value,
    "environment": lambda value: _is_text(value, "sandbox|production"),
    "language": lambda value: value is None or _is_text(value, "en|zh-HK|zh-CN"),
    "timeout": lambda value: _is_number(value, 0) and value > 0,
    "passphrase": lambda value: value in (PASSPHRASE, PASSPHRASE.encode()),
    "on_retry": lambda value: value is None,
    "transport": lambda value: value is None,
    "tokens": lambda value: isinstance(value, list),
    "concurrency": lambda value: type(value) is int and 1 <= value <= 10_000,
}


@pytest.mark.parametrize("argument", CHECKS)
@stable
@given(value=_anything)
def test_anything_is_good_or_an_error(argument: str, value: Any) -> None:
    if IS_GOOD.get(argument, lambda _value: False)(value):
        CHECKS[argument](value)
        return
    name = "private key" if argument == "passphrase" and not value and value is not False else argument
    message = rejection("" if argument == "passphrase" else name, CHECKS[argument], value)
    if isinstance(value, str) and len(value) > 7 and described(value) != str.__repr__(value):
        assert str.__str__(value) not in message


QUOTA = ("quota", "quota_per_retry", "quota_per_timeout", "quota_per_success")
FIELDS = [(policy, field.name) for policy in (RetryPolicy, PollPolicy) for field in attrs.fields(policy)]


@pytest.mark.parametrize(("policy", "field"), FIELDS, ids=lambda value: getattr(value, "__name__", value))
@stable
@given(value=_anything)
def test_anything_as_a_field_of_a_policy_is_good_or_an_error(policy: Any, field: str, value: Any) -> None:
    bounds = {
        "max_attempts": (1, 1e9),
        "quota": (10, 1e9),
        "quota_per_retry": (1, 500),
        "quota_per_timeout": (1, 500),
        "quota_per_success": (1, 1e9),
        "jitter": (0, 1.0 if policy is RetryPolicy else 0.99),
        "interval_max": (0.6, 1e9),
    }
    conditions: dict[str, Callable[[Any], bool]] = {
        **dict.fromkeys(("max_attempts", *QUOTA), lambda value: type(value) is int),
        "max_elapsed": lambda value: value > 0,
        "interval_initial": lambda value: 0 < value <= PollPolicy().interval_max,
    }
    if _is_number(value, *bounds.get(field, (0, 1e9))) and conditions.get(field, lambda _value: True)(value):
        assert getattr(policy(**{field: value}), field) == value
        return
    if (field, value) == ("quota", None):
        assert policy(quota=None).quota is None
        return
    # Of two fields that contradict each other, either may be named.
    name = "interval_max" if field == "interval_initial" and _is_number(value, 3) else field
    name = "quota" if field in {"quota_per_retry", "quota_per_timeout"} and _is_number(value, 501) else name
    rejection(name, lambda value: policy(**{field: value}), value)


@stable
@given(
    base_url=st.from_regex(r"(?i:https?)://([a-z0-9äß應.:@\[\]%_?#/\\ -]|[\x00-\xff]){1,30}", fullmatch=True)
    | st.text(st.characters(), max_size=30).map("https://".__add__)
)
@example(base_url="https://a")
@example(base_url="HTTPS://a:443/")
def test_a_base_url_is_an_error_or_exactly_its_host_and_port(base_url: str) -> None:
    if error_of(checked_origin, base_url):
        rejection("base_url", checked_origin, base_url)
        return
    origin, given = httpx.URL(checked_origin(base_url)), urlsplit(base_url)
    host = given.hostname or ""
    assert origin.host == (host.lower() if host.isascii() else origin.host)
    assert origin.raw_host.isascii()
    assert (origin.port or 443) == (given.port or 443) or origin.scheme == "http"
    assert (origin.username, origin.password, origin.path, origin.query, origin.fragment) == ("", "", "/", b"", "")
    assert (given.username, given.password) == (None, None)
    assert given.path.strip("/") + given.query + given.fragment == ""
    assert origin.scheme == "https" or host in ("localhost", "::1") or host.startswith("127.")
    # The origin of a request to it is the same, or nothing would be signed.
    assert origin_of(origin.join("/svc")) == checked_origin(base_url)


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


@stable
@given(data=st.data())
def test_a_damaged_pem_is_an_error_or_still_the_key(data: st.DataObject) -> None:
    text = pem()
    start, end = sorted(data.draw(st.tuples(st.integers(0, len(text)), st.integers(0, len(text)))))
    damaged = text[:start] + data.draw(st.text(st.characters(), max_size=5)) + text[end:]
    if error_of(load_private_key, damaged):
        assert text.splitlines()[3] not in rejection("private key", load_private_key, damaged)


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
