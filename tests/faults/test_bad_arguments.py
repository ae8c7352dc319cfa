"""Anything as an argument: it is good, or a clear error names it, does not quote it, and nothing is sent."""

import asyncio
import functools
import json
import re
from collections.abc import Callable
from decimal import Decimal
from enum import Enum
from fractions import Fraction
from typing import Any
from unittest import mock
from urllib.parse import urlsplit
from uuid import UUID

import attrs
import httpx
import pytest
from conftest import Kind, for_both_clients, key, pem
from faults.answers import TOKEN, good
from hypothesis import example, given, settings
from hypothesis import strategies as st
from wonder_payment import (
    ConfigurationError,
    PaymentToken,
    PollPolicy,
    RetryPolicy,
    WonderClient,
    WonderError,
)

CUSTOMER = "7f1a3c52-8f0e-4d0c-9d6b-3f5b7b0f6a11"
PASSPHRASE = "correct horse"

# The same examples on every machine, and none kept in a folder.
stable = settings(derandomize=True, database=None, deadline=None, max_examples=100)


# Nothing is sent unless all is good


@attrs.define
class Wire:
    """What a client sends, and the errors that it raised."""

    kind: Kind
    sent: list[httpx.Request] = attrs.field(factory=list)

    def call(self, **arguments: Any) -> PaymentToken | WonderError:
        """Make a client with these arguments, wait for a token with the others, and return what the caller gets.

        Any exception that is not ours gets out.
        """

        def answer(request: httpx.Request) -> httpx.Response:
            self.sent.append(request)
            return httpx.Response(200, json=good(token=json.loads(request.content)["payment_token"]["token"]))

        of_wait = {name: arguments.pop(name) for name in ("timeout of wait", "poll", "on_poll") if name in arguments}
        of_check = {name: arguments.pop(name) for name in ("token", "customer_uuid") if name in arguments}
        options = {"token": TOKEN} | of_check
        if "timeout of wait" in of_wait:
            of_wait["timeout"] = of_wait.pop("timeout of wait")
        policies = {"retry": RetryPolicy, "poll": PollPolicy}
        try:
            for policy, fields in [(policy, arguments.pop(f"{policy} field", None)) for policy in policies]:
                if fields:
                    (arguments if policy == "retry" else of_wait)[policy] = policies[policy](**fields)
            known = {"app_id": "app", "private_key": key(), "environment": "sandbox"}
            client = self.kind(**known | {"transport": httpx.MockTransport(answer)} | arguments)
            if isinstance(client, WonderClient):
                with client:
                    return client.wait_for_token(**options | of_wait) if of_wait else client.check_token(**options)

            async def ask() -> PaymentToken:
                async with client:
                    if of_wait:
                        return await client.wait_for_token(**options | of_wait)
                    return await client.check_token(**options)

            return asyncio.run(ask())
        except WonderError as error:
            return error

    def refuses(self, name: str, **arguments: Any) -> str:
        """Fail unless it refuses and names the argument, with nothing sent; return the error's text."""
        outcome = self.call(**arguments)
        assert isinstance(outcome, WonderError), f"{name} was taken"
        assert not self.sent
        assert (outcome.attempts, outcome.request_id) == (0, None)
        told = str(outcome)
        assert told.endswith("(nothing was sent)")
        assert name in told.lower()
        assert outcome.__cause__ is None
        assert outcome.__suppress_context__ or outcome.__context__ is None
        return told

    def request(self, **arguments: Any) -> httpx.Request:
        """Fail unless it takes the arguments; return the one request."""
        outcome = self.call(**arguments)
        assert isinstance(outcome, PaymentToken), outcome
        assert outcome.is_verified
        (request,) = self.sent
        return request


# Objects that do not behave


def _fail(*_arguments: object) -> Any:
    raise RuntimeError("of the argument's own: hunter2")


HOSTILE_METHODS = (
    "eq",
    "ne",
    "lt",
    "le",
    "gt",
    "ge",
    "str",
    "repr",
    "hash",
    "bool",
    "len",
    "iter",
    "format",
    "contains",
)


def hostile() -> Any:
    """Return an object whose every method raises."""
    return type("Hostile", (), {f"__{name}__": _fail for name in HOSTILE_METHODS})()


def pretending(kind: type) -> Any:
    """Return an object that says it is of this class, as lazy objects and mocks do."""
    return type("Pretending", (), {"__class__": property(lambda _self: kind)})()


OBJECTS = {
    "whose methods raise": hostile(),
    "equal to everything": mock.ANY,
    "a mock": mock.Mock(),
    "a magic mock": mock.MagicMock(),
    "pretending to be text": pretending(str),
    "pretending to be bytes": pretending(bytes),
    "pretending to be a UUID": pretending(UUID),
    "pretending to be a float": pretending(float),
    "pretending to be an int": pretending(int),
    "a lazy text": mock.NonCallableMagicMock(spec=str),
    "a class": str,
    "a number-like text": "1e3",
    "Decimal": Decimal(1),
    "Fraction": Fraction(1),
    "NaN": float("nan"),
    "infinity": float("inf"),
    "an int beyond a float": 10**400,
    "an int of 5,000 digits": 10**5000,
    "bytes": b"sandbox",
    "bytearray": bytearray(b"en"),
    "a lone surrogate": "\ud800",
    "NUL": "\0",
    "a line break": "en\r\nX-Evil: 1",
    "long text": "hunter2 " * 200_000,
    "an exception": RuntimeError("hunter2"),
    "a coroutine function": asyncio.sleep,
    "a tuple": ("en",),
    "a set": {"en"},
    "a dict": {"en": "en"},
    "Ellipsis": ...,
}
NAMES = {
    **{name: name for name in ("token", "customer_uuid", "app_id", "environment", "base_url", "language", "timeout")},
    **{name: name for name in ("retry", "on_retry", "transport", "poll", "on_poll")},
    "timeout of wait": "timeout",
    "private_key": "private key",
    "passphrase": "passphrase",
}


@for_both_clients
@pytest.mark.parametrize("what", OBJECTS)
@pytest.mark.parametrize("argument", NAMES)
def test_no_object_gets_through_that_is_not_what_the_argument_is(kind: Kind, argument: str, what: str) -> None:
    if argument in ("on_poll", "on_retry") and callable(OBJECTS[what]) and what != "a coroutine function":
        pytest.skip("may be called")
    if argument == "app_id" and what == "a number-like text":
        pytest.skip("may be an app's id")
    settings = {"private_key": pem(PASSPHRASE)} if argument == "passphrase" else {}
    told = Wire(kind).refuses(NAMES[argument], **settings | {argument: OBJECTS[what]})
    assert "hunter2" not in told
    assert len(told) < 300


FIELDS = [
    *(("retry", field.name) for field in attrs.fields(RetryPolicy)),
    *(("poll", field.name) for field in attrs.fields(PollPolicy)),
]


@pytest.mark.parametrize("what", OBJECTS)
@pytest.mark.parametrize(("policy", "field"), FIELDS)
def test_no_object_is_a_field_of_a_policy_but_a_number(policy: str, field: str, what: str) -> None:
    told = Wire(WonderClient).refuses(field, **{f"{policy} field": {field: OBJECTS[what]}})
    assert "hunter2" not in told


@for_both_clients
@pytest.mark.parametrize("argument", ["app_id", "private_key", "environment", "base_url", "language", "passphrase"])
def test_an_override_of_from_env_is_refused_like_the_argument(kind: Kind, argument: str) -> None:
    environ = {"WONDER_APP_ID": "app", "WONDER_PRIVATE_KEY": pem(PASSPHRASE), "WONDER_ENVIRONMENT": "sandbox"}
    with pytest.raises(ConfigurationError, match=NAMES[argument]):
        kind.from_env(environ, **{argument: OBJECTS["whose methods raise"]})


# Texts that are more than texts


class Written(str):
    """A text that shows itself otherwise, as secrets do."""

    __slots__ = ()

    def __str__(self) -> str:
        return "***"

    __repr__ = __str__

    def __format__(self, _spec: str) -> str:
        return "***"


class Chosen(str, Enum):  # noqa: UP042 (what a user may have)
    sandbox = "sandbox"
    EN = "en"
    APP = "app"
    TOKEN = TOKEN
    CUSTOMER = CUSTOMER
    ANY = "uuid"
    URL = "https://gateway.example"


# Anything at all

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


def _is_number(value: Any, least: float, most: float = 1e9) -> bool:
    return type(value) in (int, float) and least <= value <= most


# What is good, said a second time.
IS_GOOD: dict[str, Callable[[Any], bool]] = {
    "token": _is_uuid,
    "customer_uuid": lambda value: value is None or _is_uuid(value) or _is_text(value, "uuid"),
    "app_id": lambda value: _is_text(value, "[!-~]+") and "/" not in value,
    "environment": lambda value: _is_text(value, "sandbox|production"),
    "base_url": lambda value: value is None,
    "language": lambda value: value is None or _is_text(value, "en|zh-HK|zh-CN"),
    "timeout": lambda value: _is_number(value, 0) and value > 0,
    "timeout of wait": lambda value: _is_number(value, 0) and value > 0,
    "private_key": lambda _value: False,
    "passphrase": lambda value: value == PASSPHRASE,
    "retry": lambda _value: False,
    "poll": lambda _value: False,
    "on_retry": lambda value: value is None,
    "on_poll": lambda value: value is None,
    "transport": lambda _value: False,
}


@for_both_clients
@pytest.mark.parametrize("argument", [name for name in IS_GOOD if name != "transport"])
@stable
@given(value=_anything)
def test_anything_as_an_argument_is_good_or_refused(kind: Kind, argument: str, value: Any) -> None:
    settings = {"private_key": pem(PASSPHRASE)} if argument == "passphrase" else {}
    wire = Wire(kind)
    if IS_GOOD[argument](value):
        if not argument.startswith("timeout"):  # a nanosecond is one, and too short
            wire.request(**settings | {argument: value})
        return
    told = wire.refuses(NAMES[argument], **settings | {argument: value})
    if isinstance(value, str) and len(value) > 7:
        assert str.__str__(value) not in told


@pytest.mark.parametrize(("policy", "field"), FIELDS)
@stable
@given(value=_anything)
def test_anything_as_a_field_of_a_policy_is_good_or_refused(policy: str, field: str, value: Any) -> None:
    bounds = {"max_attempts": (1, 1e9), "jitter": (0, 1.0 if policy == "retry" else 0.99), "longest": (0.6, 1e9)}
    is_good = _is_number(value, *bounds.get(field, (0, 1e9)))
    if is_good:
        is_good = {
            "max_attempts": type(value) is int,
            "max_elapsed": value > 0,
            "shortest": 0 < value <= PollPolicy().longest,
        }.get(field, True)
    if is_good:
        kind: Any = RetryPolicy if policy == "retry" else PollPolicy
        assert getattr(kind(**{field: value}), field) == value
    else:
        # Of two that contradict each other, either may be named.
        name = "longest" if field == "shortest" and _is_number(value, 3) else field
        Wire(WonderClient).refuses(name, **{f"{policy} field": {field: value}})


def _sent(request: httpx.Request) -> dict[str, str]:
    return {
        "app_id": request.headers["Credential"].split("/")[0],
        "environment": {"gateway-stg.wonder.today": "sandbox"}.get(request.url.host, request.url.host),
        "base_url": f"{request.url.scheme}://{request.url.host}",
        "language": request.headers.get("x-i18n-lang", ""),
        "token": json.loads(request.content)["payment_token"]["token"],
        "customer_uuid": request.url.path.split("/")[-3],
    }


@for_both_clients
@pytest.mark.parametrize(
    ("argument", "value"),
    [
        *(
            (argument, make(text))
            for make in (Written, Chosen)
            for argument, text in (
                ("app_id", "app"),
                ("environment", "sandbox"),
                ("base_url", "https://gateway.example"),
                ("language", "en"),
                ("token", TOKEN),
                ("customer_uuid", CUSTOMER),
                ("customer_uuid", "uuid"),
            )
        )
    ],
    ids=lambda value: type(value).__name__ if type(value) is not str else value,
)
def test_a_kind_of_text_is_sent_as_its_characters_or_refused(kind: Kind, argument: str, value: str) -> None:
    wire = Wire(kind)
    outcome = wire.call(**{argument: value})
    if isinstance(outcome, WonderError):
        assert not wire.sent
        assert outcome.attempts == 0
        assert argument in str(outcome)
    else:
        assert _sent(wire.sent[0])[argument] == str.__str__(value)


# Where to send it


@for_both_clients
@pytest.mark.parametrize(
    ("base_url", "origin"),
    [
        ("https://gätewäy.example", "https://xn--gtewy-grad.example"),
        ("https://GATEWAY.Example:8443", "https://gateway.example:8443"),
        ("https://應用.example", f"https://{'應用'.encode('idna').decode()}.example"),
        ("https://[2001:db8::1]:8443/", "https://[2001:db8::1]:8443"),
        ("https://gateway_1.internal", "https://gateway_1.internal"),
        ("https://xn--gtewy-grad.example", "https://xn--gtewy-grad.example"),
        ("https://localhost:1", "https://localhost:1"),
        ("http://[::1]:65535", "http://[::1]:65535"),
    ],
)
def test_a_host_of_any_script_is_asked_by_its_name_in_ascii(kind: Kind, base_url: str, origin: str) -> None:
    request = Wire(kind).request(base_url=base_url)
    assert str(request.url.copy_with(path="/")).rstrip("/") == origin
    assert request.headers["Host"] == urlsplit(origin).netloc


@for_both_clients
@pytest.mark.parametrize(
    "base_url",
    [
        "https://gateway.example/prefix/svc",
        "https://gateway.example;hunter2",
        "https://gateway.example,another.example",
        "https://$GATEWAY",
        "https://{host}",
        "https://<host>",
        "https://*.example",
        'https://gate"way.example',
        "https://gate|way.example",
        "https://gate`way.example",
        "https://..",
        "https://gateway..example",
        "https://.gateway.example",
        "https://" + "a" * 64 + ".example",
        "https://" + "a." * 127 + "example",
        "https://" + "ä" * 60 + ".example",
        "https://gate\u200bway.example",
        "https://gate\u00adway.example",
        "https://gateway.example\u2028",
        "https://gateway\uff0fexample",
        "https://gateway\uff20example",
        "https://gateway.example\uff1a443",
        "https://gateway.example:\uff14\uff14\uff13",
        "https://gateway.example:0x1bb",
        "https://gateway.example:443:443",
        "https://gateway.example: 443",
        "https://gateway.example:+443",
        "https://[fe80::1%25eth0]",
        "https://[fe80::1%eth0]",
        "https://[::1]x",
        "https://::1",
        "https://[gateway.example]",
        "https://[v1.hunter2]",
        "http://[::1%25lo]",
        "http://127.0.0.1.",
        "http://localhost.",
        "http://127.1",
        "http://2130706433",
        "http://0x7f000001",
        "http://ⓛocalhost",
        "http://localhost\u3002example",
        "https://gateway.example\x85",
        "https://gateway.example\x1b[31m",
        "javascript://gateway.example",
        "https:gateway.example",
        "https:/gateway.example",
        "https:\\\\gateway.example",
        "hhttps://gateway.example",
        "https\u017f://gateway.example",
    ],
    ids=lambda url: ascii(url).replace("0x", "hex "),
)
def test_what_is_no_host_is_refused_as_a_base_url(kind: Kind, base_url: str) -> None:
    told = Wire(kind).refuses("base_url", base_url=base_url)
    assert "hunter2" not in told


@stable
@given(
    base_url=st.from_regex(r"(?i:https?)://([a-z0-9äß應.:@\[\]%_?#/\\ -]|[\x00-\xff]){1,30}", fullmatch=True)
    | st.text(st.characters(), max_size=30).map("https://".__add__)
)
@example(base_url="https://a")
def test_a_base_url_is_refused_or_asked_at_just_its_host_and_port(base_url: str) -> None:
    wire = Wire(WonderClient)
    if isinstance(wire.call(base_url=base_url), WonderError):
        wire.refuses("base_url", base_url=base_url)
        return
    asked = urlsplit(base_url)
    sent = wire.sent[0].url
    host = asked.hostname or ""
    assert sent.host == (host.lower() if host.isascii() else sent.host)
    assert sent.raw_host.isascii()
    assert (sent.port or 443) == (asked.port or 443) or sent.scheme == "http"
    assert (sent.username, sent.password, sent.query, sent.fragment) == ("", "", b"", "")
    assert sent.path.startswith("/svc/payment/")
    assert (asked.username, asked.password, asked.query, asked.fragment, asked.path.strip("/")) == (
        None,
        None,
        "",
        "",
        "",
    )
    assert sent.scheme == "https" or host in ("localhost", "::1") or host.startswith("127.")


# Keys and passphrases


@for_both_clients
@pytest.mark.parametrize(
    "private_key",
    [
        *("", " ", "\0", "\ud800", "-----BEGIN", "-----BEGIN PRIVATE KEY-----", b"\xff\xfe"),
        "-----BEGIN PRIVATE KEY-----\nhunter2hunter2\n-----END PRIVATE KEY-----",
        "-----BEGIN PRIVATE KEY-----\nhunter2 \ud800 \0\n-----END PRIVATE KEY-----",
        "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4\nDEK-Info: hunter2\n\nA\n-----END RSA PRIVATE KEY-----",
        "-----BEGIN PRIVATE KEY-----\n" + "A" * 1_000_000 + "\n-----END PRIVATE KEY-----",
        "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----",
        "-----BEGIN PUBLIC KEY-----\nhunter2\n-----END PUBLIC KEY-----",
    ],
    ids=lambda value: ascii(value)[:40],
)
@pytest.mark.parametrize("passphrase", [None, "hunter2"])
def test_what_is_no_key_is_refused(kind: Kind, private_key: str | bytes, passphrase: str | None) -> None:
    told = Wire(kind).refuses("private key", private_key=private_key, passphrase=passphrase)
    assert "hunter2" not in told


@stable
@given(data=st.data())
def test_a_damaged_pem_is_refused_or_still_the_key(data: st.DataObject) -> None:
    text = pem()
    start, end = sorted(data.draw(st.tuples(st.integers(0, len(text)), st.integers(0, len(text)))))
    damaged = text[:start] + data.draw(st.text(st.characters(), max_size=5)) + text[end:]
    wire = Wire(WonderClient)
    if isinstance(wire.call(private_key=damaged), WonderError):
        told = wire.refuses("private key", private_key=damaged)
        assert text.splitlines()[3] not in told


@for_both_clients
@pytest.mark.parametrize(
    "passphrase", ["\0", "\ud800", "hunter2" * 1000, b"\xff", b"hunter2\0"], ids=lambda x: ascii(x)[:20]
)
def test_a_wrong_passphrase_of_any_form_is_refused(kind: Kind, passphrase: str | bytes) -> None:
    told = Wire(kind).refuses("passphrase", private_key=pem(PASSPHRASE), passphrase=passphrase)
    assert "hunter2" not in told


@for_both_clients
@pytest.mark.parametrize("what", ["whose methods raise", "NaN", "a tuple", "pretending to be text"])
def test_a_passphrase_is_looked_at_where_the_key_is_loaded_already_too(kind: Kind, what: str) -> None:
    Wire(kind).refuses("passphrase", passphrase=OBJECTS[what])


# What is to be called


class Seen(list[object]):
    """A list that takes in what it is called with; an empty list is false."""

    def __call__(self, *what: object) -> None:
        self.append(what)


@for_both_clients
def test_a_function_that_is_false_is_called_all_the_same(kind: Kind) -> None:
    seen = Seen()
    Wire(kind).request(on_poll=seen)
    assert len(seen) == 1


@for_both_clients
def test_a_function_that_is_false_is_called_before_a_retry_all_the_same(kind: Kind) -> None:
    seen = Seen()
    answers = iter([httpx.Response(503), httpx.Response(200, json=good())])
    retry = RetryPolicy(backoff_initial=0.0)
    outcome = Wire(kind).call(transport=httpx.MockTransport(lambda _request: next(answers)), retry=retry, on_retry=seen)
    assert isinstance(outcome, PaymentToken)
    assert len(seen) == 1


async def _asynchronous(*_what: object) -> None:
    pytest.fail("an async function was called")


class _Asynchronous:
    async def __call__(self, *_what: object) -> None:
        pytest.fail("an async function was called")


@for_both_clients
@pytest.mark.parametrize(
    "function",
    [_asynchronous, functools.partial(_asynchronous, 1), _Asynchronous().__call__, _Asynchronous(), mock.AsyncMock()],
    ids=["a function", "a partial one", "a method", "an object", "a mock"],
)
@pytest.mark.parametrize("argument", ["on_poll", "on_retry"])
def test_an_async_function_is_refused_in_all_its_forms(kind: Kind, argument: str, function: Any) -> None:
    Wire(kind).refuses(argument, **{argument: function})


# The ends of what is good


@for_both_clients
@pytest.mark.parametrize("argument", ["timeout", "timeout of wait"])
@pytest.mark.parametrize("seconds", [0.5, 1, 1e9, 10**9])
def test_the_longest_timeout_is_a_good_one(kind: Kind, argument: str, seconds: float) -> None:
    Wire(kind).request(**{argument: seconds})


@for_both_clients
def test_the_ends_of_the_policies_are_good_together(kind: Kind) -> None:
    most = {"max_attempts": 10**9, "max_elapsed": 1e9, "backoff_initial": 1e9, "backoff_max": 1e9, "jitter": 1}
    Wire(kind).request(**{"retry field": most, "poll field": {"shortest": 1e9, "longest": 1e9, "growth": 1e9}})
    least = {"max_attempts": 1, "max_elapsed": 1, "backoff_initial": 0, "backoff_max": 0, "jitter": 0}
    Wire(kind).request(**{"retry field": least, "poll field": {"shortest": 1e-9, "longest": 1e-9, "growth": 0}})


@for_both_clients
def test_a_long_app_id_is_sent_whole_or_refused(kind: Kind) -> None:
    wire = Wire(kind)
    if isinstance(wire.call(app_id="a" * 100_000), WonderError):
        wire.refuses("app_id", app_id="a" * 100_000)
    else:
        assert _sent(wire.sent[0])["app_id"] == "a" * 100_000
