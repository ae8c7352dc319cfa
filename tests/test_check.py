"""check_token(): what the server answers, times what the caller gets, for both clients."""

import asyncio
import gzip
import json
import math
import re
import threading
import time
import traceback
from collections.abc import AsyncIterator, Callable, Iterator
from email.utils import formatdate
from typing import Any

import httpx
import pytest
from conftest import TOKEN, Caller, Clock
from pytest_httpx import HTTPXMock
from wonder_payment import (
    APIError,
    AsyncWonderClient,
    AuthenticationError,
    BadRequestError,
    Card,
    ConfigurationError,
    InvalidResponseError,
    NetworkError,
    NotFoundError,
    PaymentToken,
    RateLimitError,
    RequestTimeoutError,
    RetryPolicy,
    ServerError,
    TokenState,
    TokenType,
    WonderClient,
    WonderError,
)
from wonder_payment.simulator import Fault, SimulatedGateway

HTML = "<html><body><h1>502 Bad Gateway</h1></body></html>"
CARD = {
    "number": "411111******1111",
    "exp_month": "12",
    "exp_year": "30",
    "holder_name": "SAM SAMPLE",
    "brand": "visa",
    "billing_currency": "HKD",
}


def envelope(code: Any = 0, *, without: str = "", **fields: Any) -> dict[str, Any]:
    """A good answer, with these fields of the payment token changed or one left out."""
    token = {"token_type": "CreditCard", "token": TOKEN, "state": "success", "default": True, **fields}
    token.pop(without, None)
    return {"code": code, "message": "success", "data": {"payment_token": token}}


GOOD = [
    pytest.param(envelope(), {"state": TokenState.SUCCESS, "is_verified": True, "is_default": True}, id="success"),
    pytest.param(envelope(code=200), {"is_verified": True}, id="code 200"),
    pytest.param(envelope(code=0.0), {"is_verified": True}, id="code 0.0: a number, too"),
    pytest.param(envelope(state="pending"), {"is_pending": True, "is_verified": False}, id="pending"),
    pytest.param(
        envelope(state="failed", error_code="3DS_1", error_msg="declined"),
        {"is_failed": True, "is_pending": False, "error_code": "3DS_1", "error_message": "declined"},
        id="failed is an answer, not an exception",
    ),
    pytest.param(envelope(state="reviewing"), {"state": "reviewing", "is_pending": True}, id="unknown state"),
    pytest.param(envelope(token_type="Alipay"), {"token_type": "Alipay"}, id="unknown token type"),
    pytest.param(
        envelope(token_type="AlipayAutoDebit", credit_card=None),
        {"token_type": TokenType.ALIPAY_AUTO_DEBIT, "card": None},
        id="null card",
    ),
    pytest.param(
        envelope(error_code=None, error_msg=None), {"error_code": None, "error_message": None}, id="null errors"
    ),
    pytest.param(envelope(credit_card=CARD), {"card": Card(**CARD)}, id="card"),
    pytest.param(envelope(credit_card={}), {"card": Card()}, id="empty card"),
    pytest.param(envelope(credit_card=dict.fromkeys(CARD)), {"card": Card()}, id="card of nulls"),
    pytest.param(
        envelope(verify_url="https://3ds.example", credit_card={"tier": "gold"}),
        {"extra": {"verify_url": "https://3ds.example", "credit_card": {"tier": "gold"}}, "card": Card()},
        id="unknown fields are kept",
    ),
    pytest.param(
        {**envelope(), "trace": "t", "data": {**envelope()["data"], "verify_uuid": "v"}},
        {"extra": {"trace": "t", "verify_uuid": "v"}, "is_verified": True},
        id="unknown fields around the token are kept, too",
    ),
    pytest.param(envelope(extra=json.loads("[" * 47 + "]" * 47)), {"is_verified": True}, id="nested 50 deep"),
    pytest.param(
        envelope(extra=json.loads("[" * 47 + "]" * 47), more=[[]] * 100), {"is_verified": True}, id="50 deep, and wide"
    ),
    pytest.param(envelope(extra=[[]] * 100), {"is_verified": True}, id="many lists that are not nested"),
    pytest.param(envelope(token=TOKEN.upper()), {"token": TOKEN.upper()}, id="the token in upper case"),
]


@pytest.mark.parametrize(("answer", "expected"), GOOD)
def test_a_good_answer_is_a_payment_token(
    caller: Caller, httpx_mock: HTTPXMock, answer: dict[str, Any], expected: dict[str, Any]
) -> None:
    httpx_mock.add_response(json=answer)
    token = caller.check()
    assert isinstance(token, PaymentToken)
    assert {name: getattr(token, name) for name in expected} == expected
    assert token.request_id == httpx_mock.get_requests()[0].headers["X-Request-ID"]


def error(code: Any = "E1", message: Any = "Nope.") -> bytes:
    return json.dumps({"code": code, "message": message}).encode()


STATUSES = [
    (400, BadRequestError),
    (401, AuthenticationError),
    (403, AuthenticationError),
    (404, NotFoundError),
    (405, APIError),
    (408, APIError),
    (409, APIError),
    (418, APIError),
    (422, BadRequestError),
    (425, APIError),
    (429, RateLimitError),
    *((status, ServerError) for status in (500, 501, 502, 503, 504, 520, 521, 522, 523, 524, 525, 526, 527, 530, 599)),
]


@pytest.mark.parametrize("body", [error(), HTML.encode(), b"", b'{"code": ', b"[]", b"\xff\xfe\x00"])
@pytest.mark.parametrize(("status", "kind"), STATUSES)
def test_an_error_status_is_an_api_error_whatever_the_body(
    caller: Caller, httpx_mock: HTTPXMock, status: int, kind: type[APIError], body: bytes
) -> None:
    httpx_mock.add_response(status_code=status, content=body)
    with pytest.raises(APIError) as caught:
        caller.check()
    request_id = httpx_mock.get_requests()[0].headers["X-Request-ID"]
    assert type(caught.value) is kind
    assert caught.value.status_code == status
    assert (caught.value.code, caught.value.message) == (("E1", "Nope.") if body == error() else (None, None))
    assert caught.value.attempts == 1
    assert str(caught.value).endswith(f"(request id {request_id}, 1 attempt)")
    assert f"HTTP {status}" in str(caught.value)


@pytest.mark.parametrize(
    ("body", "code", "message"),
    [
        pytest.param({"code": 400, "message": "m"}, 400, "m", id="a number"),
        pytest.param({"code": "E000002", "message": "m"}, "E000002", "m", id="a string"),
        pytest.param({"error_code": "E000002", "error_message": "m"}, "E000002", "m", id="the older names"),
        pytest.param({"code": None, "error_code": "E9", "message": None}, "E9", None, id="null beside the older name"),
        pytest.param({"code": True, "message": ["m"]}, None, None, id="of no use"),
        pytest.param({"code": 4111111111111111, "message": "m"}, None, "m", id="a card's number"),
        pytest.param({"code": 999_999_999, "message": "m"}, 999_999_999, "m", id="the longest code"),
        pytest.param({"code": 1_000_000_000, "message": "m"}, None, "m", id="too long for a code"),
        pytest.param({"code": -1_000_000_000, "message": "m"}, None, "m", id="too long for a code, below 0"),
    ],
)
def test_the_errors_of_old_pages_and_new_are_read(
    caller: Caller, httpx_mock: HTTPXMock, body: dict[str, Any], code: Any, message: str | None
) -> None:
    httpx_mock.add_response(status_code=400, json=body)
    with pytest.raises(BadRequestError) as caught:
        caller.check()
    assert (caught.value.code, caught.value.message) == (code, message)


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (400, BadRequestError),
        (400.0, BadRequestError),
        (401, AuthenticationError),
        (404, NotFoundError),
        (429, RateLimitError),
        (499, APIError),
        (500, ServerError),
        (999, ServerError),
        (1000, APIError),
        (-1, APIError),
        (1, APIError),
        (199, APIError),
        (201, APIError),
        ("E000002", APIError),
        ("0", APIError),
    ],
)
def test_an_error_code_in_a_200_is_an_api_error(
    caller: Caller, httpx_mock: HTTPXMock, code: Any, kind: type[APIError]
) -> None:
    httpx_mock.add_response(content=json.dumps(envelope(code=code)).encode())
    with pytest.raises(APIError) as caught:
        caller.check()
    assert type(caught.value) is kind
    assert caught.value.status_code == 200
    assert str(caught.value.code) == str(code)


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        ({"status_code": 418}, "The gateway answered HTTP 418."),
        ({"status_code": 418, "content": error()}, "The gateway answered HTTP 418, code E1: Nope."),
        ({"status_code": 404, "json": {"code": 0}}, "The gateway answered HTTP 404, code 0. Check that the token"),
        ({"status_code": 404, "json": {"message": "No"}}, "The gateway answered HTTP 404: No. Check that the token"),
        ({"json": envelope(code=429)}, "The gateway answered HTTP 200, code 429: success. Ask less often."),
        ({"status_code": 429, "headers": {"Retry-After": "1.5"}}, "HTTP 429. It wants to be asked again in 1.5 s."),
        ({"status_code": 429, "headers": {"Retry-After": "0"}}, "HTTP 429. It wants to be asked again in 0 s."),
        ({"status_code": 429}, "HTTP 429. Ask less often."),
        ({"status_code": 503, "headers": {"Retry-After": "1.5"}}, "HTTP 503. Ask again later."),
        (
            {"status_code": 302, "headers": {"Location": "/"}},
            "HTTP 302. A redirect is not followed: the signature is for one origin alone. Check base_url.",
        ),
    ],
)
def test_an_api_error_tells_what_the_gateway_said_and_what_to_do(
    caller: Caller, httpx_mock: HTTPXMock, answer: dict[str, Any], told: str
) -> None:
    httpx_mock.add_response(**answer)
    with pytest.raises(APIError, match=re.escape(told)):
        caller.check()


@pytest.mark.parametrize("encoding", ["identity", "Identity", " ", ""])
def test_an_answer_that_says_it_is_not_compressed_is_read(caller: Caller, httpx_mock: HTTPXMock, encoding: str) -> None:
    httpx_mock.add_response(json=envelope(), headers={"Content-Encoding": encoding})
    assert caller.check().is_verified


def test_an_answer_of_1_mib_is_read(caller: Caller, httpx_mock: HTTPXMock) -> None:
    httpx_mock.add_response(content=json.dumps(envelope()).encode().ljust(1024 * 1024))
    assert caller.check().is_verified


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_an_error_and_not_followed(caller: Caller, httpx_mock: HTTPXMock, status: int) -> None:
    httpx_mock.add_response(status_code=status, headers={"Location": "https://elsewhere.example/"})
    with pytest.raises(APIError, match="redirect is not followed") as caught:
        caller.check()
    assert type(caught.value) is APIError
    assert len(httpx_mock.get_requests()) == 1


DEEP = b"[" * 100_000
TWO_STATES = json.dumps(envelope()).replace('"state"', '"state": "pending", "state"').encode()
BAD = [
    pytest.param({"content": b""}, "no JSON object", id="empty"),
    pytest.param({"content": json.dumps(envelope()).encode()[:-3]}, "no JSON object", id="truncated"),
    pytest.param({"html": HTML}, "no JSON object", id="HTML"),
    pytest.param({"json": [envelope()]}, "no JSON object", id="a list"),
    pytest.param({"json": None}, "no JSON object", id="null"),
    pytest.param({"content": DEEP}, "no JSON object", id="nested 100,000 deep"),
    pytest.param({"json": envelope(extra=json.loads("[" * 48 + "]" * 48))}, "plain meaning", id="nested 51 deep"),
    pytest.param(
        {"json": envelope(extra=json.loads('{"a":' * 48 + "1" + "}" * 48))}, "plain meaning", id="objects 51 deep"
    ),
    pytest.param({"content": TWO_STATES}, "plain meaning", id="one name twice"),
    pytest.param({"content": json.dumps(envelope(code=math.nan)).encode()}, "plain meaning", id="NaN"),
    pytest.param({"content": b"\xff\xfe\xfd"}, "no JSON object", id="not UTF-8"),
    pytest.param({"content": b" " * (1024 * 1024 + 1)}, "larger than 1 MiB", id="too large"),
    pytest.param(
        {"content": gzip.compress(json.dumps(envelope()).encode()), "headers": {"Content-Encoding": "gzip"}},
        "no JSON object",
        id="compressed though none was asked for",
    ),
    pytest.param({"json": {}}, "no code", id="an empty object"),
    pytest.param({"json": envelope(code=None)}, "no code", id="null code"),
    pytest.param({"json": envelope(code=False)}, "no code", id="false is no code, though it equals 0"),
    pytest.param({"json": envelope(code=[0])}, "no code", id="a list for a code"),
    pytest.param({"json": {"code": 0, "message": "m"}}, "no payment token", id="no data"),
    pytest.param({"json": {"code": 0, "message": "m", "data": {}}}, "no payment token", id="no token in data"),
    pytest.param({"json": {"code": 0, "message": "m", "data": []}}, "no payment token", id="a list for data"),
    pytest.param(
        {"json": {"code": 0, "message": "m", "data": [["payment_token", envelope()["data"]["payment_token"]]]}},
        "no payment token",
        id="pairs for data",
    ),
    pytest.param(
        {"json": {"code": 0, "message": "m", "data": {"payment_token": None}}}, "no payment token", id="null token"
    ),
    pytest.param({"json": {"code": 0, "data": envelope()["data"]}}, "`message` is missing", id="no message"),
    *(
        pytest.param({"json": envelope(without=name)}, f"`{name}` is missing", id=f"no {name}")
        for name in ("token_type", "token", "state", "default")
    ),
    *(
        pytest.param({"json": envelope(**{name: value})}, f"{field} is {type(value).__name__}", id=f"{name} {value}")
        for name, field, values in (
            ("token_type", "token_type", (None, 1, [], {})),
            ("token", "token", (None, 1, [])),
            ("state", "state", (None, 1, True, ["success"])),
            ("default", "is_default", (None, 1, "true")),
            ("error_code", "error_code", (0, False, [])),
            ("error_msg", "error_message", (0, {})),
            ("credit_card", "credit_card", ("4111", [], 0, False)),
        )
        for value in values
    ),
    *(
        pytest.param({"json": envelope(credit_card={name: 1})}, f"{name} is int, not str or None", id=f"card.{name} 1")
        for name in CARD
    ),
    pytest.param({"json": envelope(token="00000000-0000-4000-8000-000000000000")}, "another token", id="another token"),
    pytest.param({"json": envelope(), "status_code": 201}, "only HTTP 200", id="201"),
    pytest.param({"status_code": 204}, "no JSON object", id="204"),
]


@pytest.mark.parametrize(("answer", "problem"), BAD)
def test_a_good_status_that_breaks_the_contract_is_an_invalid_response(
    caller: Caller, httpx_mock: HTTPXMock, answer: dict[str, Any], problem: str
) -> None:
    httpx_mock.add_response(**answer)
    with pytest.raises(InvalidResponseError, match=problem) as caught:
        caller.check()
    request_id = httpx_mock.get_requests()[0].headers["X-Request-ID"]
    assert str(caught.value).endswith(f"(request id {request_id}, 1 attempt)")


@pytest.mark.parametrize(
    ("failure", "kind"),
    [
        (httpx.ConnectTimeout("slow"), RequestTimeoutError),
        (httpx.ReadTimeout("slow"), RequestTimeoutError),
        (httpx.WriteTimeout("slow"), RequestTimeoutError),
        (httpx.PoolTimeout("slow"), RequestTimeoutError),
        (httpx.ConnectError("refused"), NetworkError),
        (httpx.ReadError("reset"), NetworkError),
        (httpx.WriteError("broken pipe"), NetworkError),
        (httpx.RemoteProtocolError("garbage"), NetworkError),
        (httpx.ProxyError("no way"), NetworkError),
        (httpx.UnsupportedProtocol("what"), NetworkError),
        (httpx.DecodingError("what"), NetworkError),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else "",
)
def test_a_failure_of_the_transport_is_a_network_error(
    caller: Caller, httpx_mock: HTTPXMock, failure: Exception, kind: type[WonderError]
) -> None:
    httpx_mock.add_exception(failure)
    with pytest.raises(NetworkError) as caught:
        caller.check()
    assert type(caught.value) is kind
    assert caught.value.request_id
    assert type(caught.value.__cause__) is type(failure)
    assert caught.value.__cause__.__traceback__ is None


class OddError(Exception):
    """One that can't be made anew with a text alone."""

    def __init__(self, text: str, _more: int) -> None:
        super().__init__(text)


@pytest.mark.parametrize(
    "failure",
    [
        RuntimeError("Event loop is closed"),
        OSError(5, "of all things"),
        UnicodeError("label too long"),
        OddError("odd", 1),
        OSError(),
    ],
    ids=repr,
)
def test_an_exception_nobody_expects_of_a_transport_is_a_network_error(
    caller: Caller, httpx_mock: HTTPXMock, failure: Exception
) -> None:
    httpx_mock.add_exception(failure)
    with pytest.raises(NetworkError) as caught:
        caller.check()
    assert type(caught.value) is NetworkError
    assert f"No answer from the gateway: {str(failure) or 'OSError'}." in str(caught.value)
    assert type(caught.value.__cause__) is Exception


def test_an_answer_quoted_by_the_transport_stays_inside(caller: Caller, httpx_mock: HTTPXMock) -> None:
    httpx_mock.add_exception(httpx.RemoteProtocolError(f"illegal status line: {TOKEN} 4111111111111111"))
    with pytest.raises(NetworkError) as caught:
        caller.check()
    assert str(caught.value).startswith("No answer from the gateway: illegal status line.")
    error: BaseException | None = caught.value
    while error:
        assert TOKEN not in "".join(traceback.format_exception(error)) + str(vars(error))
        assert "4111111111111111" not in "".join(traceback.format_exception(error)) + str(vars(error))
        error = error.__cause__ or error.__context__


@pytest.mark.parametrize("location", ["/", "mailto:x", "https://xn--a/", "http://[::1", "\x00"])
def test_a_redirect_to_nowhere_is_like_any_other(caller: Caller, httpx_mock: HTTPXMock, location: str) -> None:
    httpx_mock.add_response(status_code=302, headers={"Location": location})
    with pytest.raises(APIError, match="redirect is not followed"):
        caller.check()


def test_each_step_of_an_attempt_has_the_seconds_that_are_left_and_connecting_a_quarter(
    gateway: SimulatedGateway, clock: Clock
) -> None:
    given: list[list[float]] = []

    def answer(request: httpx.Request) -> httpx.Response:
        for passed in (0.0, 4.0, 3.5, 0.5, 60.0):
            clock.skip(passed)
            given.append([request.extensions["timeout"].get(step) for step in ("pool", "connect", "write", "read")])
        raise httpx.ReadTimeout("late")

    wonder = gateway.client(timeout=8.0, transport=httpx.MockTransport(answer), retry=RetryPolicy.never())
    with wonder, pytest.raises(RequestTimeoutError):
        wonder.check_token(TOKEN)
    # Each is looked up when its step begins, and never 0: that is a socket's word for "do not wait".
    quarters = [[left, left / 4, left, left] for left in (8.0, 4.0, 0.5)]
    assert given[:3] == [pytest.approx(row, abs=0.1) for row in quarters]
    assert given[3:] == [[0.001] * 4] * 2


def test_each_step_of_an_async_attempt_has_one_deadline_and_connecting_half_of_the_seconds(
    gateway: SimulatedGateway, clock: Clock
) -> None:
    given: list[dict[str, float]] = []

    def answer(request: httpx.Request) -> httpx.Response:
        given.append(request.extensions["timeout"])
        clock.skip(1.0)
        raise httpx.ReadTimeout("late")

    async def check(seconds: float) -> None:
        options: dict[str, Any] = {"transport": httpx.MockTransport(answer), "retry": RetryPolicy.never()}
        async with gateway.async_client(timeout=seconds, **options) as wonder:
            with pytest.raises(RequestTimeoutError):
                await wonder.check_token(TOKEN)

    for seconds in (8.0, 3.0, 0.001):
        asyncio.run(check(seconds))
    # Never 0: that is a socket's word for "do not wait".
    assert given == [{"connect": pytest.approx(half, abs=0.1)} for half in (4.0, 1.5, 0.001)]
    assert given[-1] == {"connect": 0.001}


def streaming(caller: Caller, content: Callable[[], Iterator[bytes]], **headers: str) -> httpx.MockTransport:
    """What answers in these pieces, made as they are read."""

    async def content_async() -> AsyncIterator[bytes]:
        for piece in content():
            yield piece

    def answer(_request: httpx.Request) -> httpx.Response:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return httpx.Response(200, headers=named, content=content_async() if caller.is_async else content())

    return httpx.MockTransport(answer)


def test_a_large_delay_within_an_answer_ends_it_though_its_last_bytes_come(caller: Caller, clock: Clock) -> None:
    def content() -> Iterator[bytes]:
        yield b"{"
        clock.skip(9.0)
        yield b"}"

    with pytest.raises(RequestTimeoutError):
        caller.check(transport=streaming(caller, content), timeout=8.0)


@pytest.mark.parametrize("is_told", [True, False])
def test_a_large_answer_is_left_alone_when_its_length_is_told_and_else_read_to_1_mib(
    caller: Caller, *, is_told: bool
) -> None:
    size, pieces, read = 64 * 1024, 100, 0

    def content() -> Iterator[bytes]:
        nonlocal read
        for _ in range(pieces):
            read += size
            yield b" " * size

    headers = {"Content_Length": str(size * pieces)} if is_told else {}
    with pytest.raises(InvalidResponseError, match="larger than 1 MiB"):
        caller.check(transport=streaming(caller, content, **headers))
    assert read == (0 if is_told else 1024 * 1024 + size)


@pytest.mark.parametrize("fault", [Fault(delay=0.2), Fault(drip=0.0005)], ids=["late", "dripping"])
def test_an_attempt_may_take_its_whole_timeout(caller: Caller, gateway: SimulatedGateway, fault: Fault) -> None:
    gateway.inject(fault)
    assert caller.check(gateway.add_token(), timeout=30.0).is_pending


@pytest.mark.parametrize("fault", [Fault(delay=0.1), Fault(drip=0.0005)], ids=["late", "dripping"])
def test_a_machine_that_has_just_started_waits_as_long(
    caller: Caller, gateway: SimulatedGateway, clock: Clock, fault: Fault
) -> None:
    clock.skip(0.05 - time.monotonic())
    gateway.inject(fault)
    assert caller.check(gateway.add_token(), timeout=30.0).is_pending


def test_an_answer_that_is_all_there_needs_no_thread(
    caller: Caller, gateway: SimulatedGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(threading, "Timer")
    assert caller.check(gateway.add_token()).is_pending


def test_the_thread_that_guards_a_dripping_answer_ends_it_with_the_attempt_and_keeps_no_process_from_exiting(
    gateway: SimulatedGateway, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[threading.Timer] = []

    class Timer(threading.Timer):
        def start(self) -> None:
            made.append(self)
            super().start()

    monkeypatch.setattr(threading, "Timer", Timer)
    gateway.inject(Fault(drip=0.001))
    with gateway.client(timeout=30.0) as wonder:
        assert wonder.check_token(gateway.add_token()).is_pending
    assert [(timer.interval, timer.daemon) for timer in made] == [(pytest.approx(30.0), True)]
    assert clock.slept == []


def test_a_client_closed_while_it_asks_says_so(caller: Caller, httpx_mock: HTTPXMock) -> None:
    client = caller.make()

    def close(_request: httpx.Request) -> None:
        assert isinstance(client, WonderClient)
        client.close()
        raise RuntimeError("closed")

    async def aclose(_request: httpx.Request) -> None:
        assert isinstance(client, AsyncWonderClient)
        await client.aclose()
        raise RuntimeError("closed")

    httpx_mock.add_callback(aclose if caller.is_async else close)  # type: ignore[arg-type]
    with pytest.raises(ConfigurationError, match="closed while it was asking"):
        asyncio.run(client.check_token(TOKEN)) if isinstance(client, AsyncWonderClient) else client.check_token(TOKEN)


def test_ctrl_c_gets_out(caller: Caller, httpx_mock: HTTPXMock) -> None:
    httpx_mock.add_exception(KeyboardInterrupt())  # type: ignore[arg-type]
    with pytest.raises(KeyboardInterrupt):
        caller.check()


def test_the_request_is_the_contracts(caller: Caller, httpx_mock: HTTPXMock) -> None:
    httpx_mock.add_response(json=envelope())
    caller.check(TOKEN.upper(), language="zh-HK")
    request = httpx_mock.get_requests()[0]
    assert request.method == "POST"
    assert request.url.path == "/svc/payment/api/v1/openapi/customers/uuid/payment_tokens/check"
    assert json.loads(request.content) == {"payment_token": {"token": TOKEN}}
    assert request.headers["Content-Type"] == "application/json"
    assert request.headers["x-i18n-lang"] == "zh-HK"
    assert request.headers["Accept-Encoding"] == "identity"
    assert request.headers["User-Agent"].startswith("wonder-payment/")


@pytest.mark.parametrize(
    ("customer_uuid", "segment"),
    [
        (None, "uuid"),
        ("uuid", "uuid"),
        ("4d0f7f0e-0d5c-4f43-9a4c-0d0d7e6d5d11", "4d0f7f0e-0d5c-4f43-9a4c-0d0d7e6d5d11"),
    ],
)
def test_the_customers_uuid_stands_in_the_path(
    caller: Caller, httpx_mock: HTTPXMock, customer_uuid: str | None, segment: str
) -> None:
    httpx_mock.add_response(json=envelope())
    caller.check(customer_uuid=customer_uuid)
    assert httpx_mock.get_requests()[0].url.path.split("/")[-3] == segment


@pytest.mark.parametrize(
    ("date", "expected"),
    [
        ("Thu, 01 Jan 1970 00:00:00 GMT", r"clock is \d+ minutes behind this machine's"),
        ("Fri, 01 Jan 2100 00:00:00 GMT", r"clock is \d+ minutes ahead of this machine's"),
        ("not a date", "refuse it"),
    ],
)
def test_a_refusal_says_so_when_the_clocks_differ(
    caller: Caller, httpx_mock: HTTPXMock, date: str, expected: str
) -> None:
    httpx_mock.add_response(
        status_code=401, headers={"Date": date}, json={"code": "E1", "message": "refuse it"}, is_reusable=True
    )
    with pytest.raises(AuthenticationError, match=expected):
        caller.check()


@pytest.mark.parametrize(
    ("ahead", "told"),
    [
        (0, None),
        (-120, None),
        (300, None),
        (-300, None),
        (301, "5 minutes ahead of"),
        (-301, "5 minutes behind"),
        (3590, "60 minutes ahead of"),
        (-7200, "120 minutes behind"),
    ],
)
def test_clocks_differ_when_they_are_more_than_5_minutes_apart(
    caller: Caller, httpx_mock: HTTPXMock, monkeypatch: pytest.MonkeyPatch, ahead: int, told: str | None
) -> None:
    now = 1_800_000_000.0
    monkeypatch.setattr(time, "time", lambda: now)
    date = formatdate(now + ahead, usegmt=True)
    httpx_mock.add_response(status_code=401, headers={"Date": date}, is_reusable=True)
    with pytest.raises(AuthenticationError) as caught:
        caller.check()
    assert ("clock" in str(caught.value)) == bool(told)
    assert not told or f" The gateway's clock is {told} this machine's: set the clock." in str(caught.value)


def test_the_clock_is_no_reason_where_no_signature_was_refused(caller: Caller, httpx_mock: HTTPXMock) -> None:
    httpx_mock.add_response(status_code=400, headers={"Date": "Thu, 01 Jan 1970 00:00:00 GMT"})
    with pytest.raises(BadRequestError) as caught:
        caller.check()
    assert "clock" not in str(caught.value)


def test_a_token_in_an_error_message_is_not_quoted(caller: Caller, httpx_mock: HTTPXMock) -> None:
    httpx_mock.add_response(status_code=404, json={"code": "E1", "message": f"no {TOKEN} with 4111 1111 1111 1111"})
    with pytest.raises(NotFoundError) as caught:
        caller.check()
    assert caught.value.message == "no …4bed with …1111"
