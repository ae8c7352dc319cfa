"""Bugs and errors of the caller's code propagate unchanged after one attempt, and crash reports have no secret."""

import asyncio
import traceback
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any

import attrs
import httpx
import pytest
import respx
from conftest import Kind, for_both_clients, key
from crashes import CARD, NUMBER, SECRET_TOKEN, crash_report, frames, leaks, pem_of, secrets_of
from pytest_httpx import HTTPXMock
from wonder_payment import (
    ConfigurationError,
    InvalidTokenError,
    NetworkError,
    NotFoundError,
    PaymentToken,
    RequestTimeoutError,
    RetryPolicy,
    ServerError,
    StillPendingError,
    TokenReference,
    WonderClient,
    WonderError,
)

FIELDS = {"token_type": "CreditCard", "token": SECRET_TOKEN, "default": True, "credit_card": CARD}
ORDER = "the caller's order 4711"

each_operation = pytest.mark.parametrize("operation", ["check", "wait", "batch"])


def body(state: str = "success") -> dict[str, Any]:
    return {"code": 0, "message": "", "data": {"payment_token": FIELDS | {"state": state}}}


@attrs.define
class Call:
    """Makes each of the operations with one of the clients, over a mock transport.

    Attributes:
        kind: The client.
        operation: check, wait or batch.
        responses: Statuses, or states of the token; the last one comes again and again.
        requests: What was sent.
    """

    kind: Kind
    operation: str
    responses: list[int | str] = attrs.field(factory=lambda: ["success"])
    requests: list[httpx.Request] = attrs.field(factory=list)

    def respond(self, request: httpx.Request) -> httpx.Response:
        # The client signs the same object again.
        self.requests.append(httpx.Request(request.method, request.url, headers=request.headers))
        response = self.responses.pop(0) if len(self.responses) > 1 else self.responses[0]
        if isinstance(response, int):
            return httpx.Response(response, json={"code": "E1", "message": f"{SECRET_TOKEN} {NUMBER}"})
        return httpx.Response(200, json=body(response))

    def __call__(self, tokens: Any = (SECRET_TOKEN,), **settings: Any) -> Any:
        transport = {} if settings.pop("is_mocked", False) else {"transport": httpx.MockTransport(self.respond)}
        options = {name: settings.pop(name) for name in ("timeout", "on_poll") if name in settings}
        client = self.kind("app", pem_of(key()), environment="sandbox", **transport | settings)
        if isinstance(client, WonderClient):
            with client:
                if self.operation == "batch":
                    return list(client.check_tokens(tokens))
                method = client.check_token if self.operation == "check" else client.wait_for_token
                return method(*tokens, **options)

        async def call() -> Any:
            async with client:
                if self.operation == "batch":
                    return [result async for result in client.check_tokens(tokens)]
                method = client.check_token if self.operation == "check" else client.wait_for_token
                return await method(*tokens, **options)

        return asyncio.run(call())

    def secrets(self) -> dict[str, str]:
        return secrets_of(key(), [request.headers["Signature"] for request in self.requests])


@pytest.fixture
def call(kind: Kind, operation: str) -> Call:
    return Call(kind, operation)


def assert_no_secret(call: Call, error: BaseException) -> None:
    report = list(crash_report(error))
    assert leaks(call.secrets(), report) == {}
    ours = [frame for frame in frames(error) if str(frame.f_globals["__name__"]).startswith("wonder_payment")]
    assert ours  # the traceback leads through the package


def frame_of(error: BaseException, name: str) -> FrameType:
    (found,) = [frame for frame, _ in traceback.walk_tb(error.__traceback__) if frame.f_code.co_name == name]
    return found


# Bugs of this package

BUGS = {
    "signing": ("wonder_payment.signing.string_to_sign", 0),
    "the body": ("wonder_payment._http.connections._is_too_large", 1),
    "reading": ("wonder_payment._http.exchange.checked_response", 1),
    "parsing": ("wonder_payment_client.models.CheckPaymentTokenResponse.from_dict", 1),
    "the result": ("wonder_payment.models.PaymentToken.from_model", 1),
    "retrying": ("wonder_payment.retry.RetryPolicy.delay", 1),
}
NETWORK = ("the body", TimeoutError)


@for_both_clients
@each_operation
@pytest.mark.parametrize(
    ("place", "error"),
    # A timeout while the body is read is one of the network.
    [(place, error) for place in BUGS for error in (AttributeError, TimeoutError) if (place, error) != NETWORK],
)
def test_a_bug_of_this_package_propagates_unchanged_after_one_attempt(
    call: Call, monkeypatch: pytest.MonkeyPatch, place: str, error: type[Exception]
) -> None:
    name, requests = BUGS[place]
    call.responses = [503] if place == "retrying" else ["success"]

    def bug(*_arguments: Any, **_options: Any) -> Any:
        raise error("a bug")

    monkeypatch.setattr(name, bug)
    with pytest.raises(error, match="a bug") as caught:
        call()
    assert type(caught.value) is error
    assert len(call.requests) == requests
    assert traceback.extract_tb(caught.value.__traceback__)[-1].name == "bug"
    assert (caught.value.__cause__, caught.value.__context__) == (None, None)
    assert_no_secret(call, caught.value)


# Mock transports


@for_both_clients
@each_operation
@pytest.mark.parametrize("error", [AssertionError, KeyError, RuntimeError, httpx.InvalidURL])
def test_an_error_of_the_callers_mock_transport_propagates_unchanged_and_keeps_its_locals(
    call: Call, error: type[Exception]
) -> None:
    def handler(request: httpx.Request) -> httpx.Response:
        order = ORDER
        call.respond(request)
        raise error(f"the mock's own, for {len(order)}")

    with pytest.raises(error, match="the mock's own") as caught:
        call(transport=httpx.MockTransport(handler))
    assert len(call.requests) == 1
    assert traceback.extract_tb(caught.value.__traceback__)[-1].name == "handler"
    assert frame_of(caught.value, "handler").f_locals["order"] == ORDER
    assert_no_secret(call, caught.value)


@for_both_clients
@each_operation
def test_an_unmatched_route_of_respx_propagates_unchanged(call: Call) -> None:
    with respx.mock(assert_all_called=False) as mock:
        mock.post("https://another.example/").respond(json={})
        with pytest.raises(AssertionError, match="not mocked") as caught:
            call(is_mocked=True)
    # The frames of respx, which the test brought, hold the request.
    assert leaks(call.secrets(), crash_report(caught.value, attributes=False)) == {}


@for_both_clients
@each_operation
@pytest.mark.httpx_mock(assert_all_requests_were_expected=False)
def test_an_unmatched_request_of_pytest_httpx_is_a_timeout_with_the_text_of_the_mock_as_its_cause(
    call: Call, httpx_mock: HTTPXMock
) -> None:
    options = {"timeout": 0.001} if call.operation == "wait" else {}
    error = failure(call, is_mocked=True, retry=RetryPolicy.never(), **options)
    timeout = error.__cause__ if isinstance(error, StillPendingError) else error
    assert isinstance(timeout, RequestTimeoutError)
    assert isinstance(timeout.__cause__, httpx.TimeoutException)
    assert "No response can be found for POST request" in str(timeout.__cause__)
    call.requests = httpx_mock.get_requests()
    assert_no_secret(call, error)


def failure(call: Call, **settings: Any) -> WonderError:
    """Return the error that an operation ends in."""
    if call.operation == "batch":
        (result,) = call(**settings)
        assert result.error
        return result.error
    with pytest.raises(WonderError) as caught:
        call(**settings)
    return caught.value


# Callbacks

MINE = pytest.mark.parametrize("kind_of_error", [LookupError, TimeoutError, AssertionError, ServerError])


@for_both_clients
@each_operation
@MINE
def test_an_error_of_on_retry_ends_the_call_and_reaches_the_caller(call: Call, kind_of_error: type[Exception]) -> None:
    call.responses = [503]
    error = kind_of_error("mine")

    def on_retry(*_seen: object) -> None:
        order = ORDER
        raise error if order else AssertionError

    with pytest.raises(kind_of_error) as caught:
        call(on_retry=on_retry)
    assert caught.value is error
    assert len(call.requests) == 1
    assert frame_of(error, "on_retry").f_locals["order"] == ORDER
    assert_no_secret(call, error)


@for_both_clients
@pytest.mark.parametrize("operation", ["wait"])
@MINE
def test_an_error_of_on_poll_ends_the_wait_and_reaches_the_caller(call: Call, kind_of_error: type[Exception]) -> None:
    call.responses = ["pending"]
    error = kind_of_error("mine")

    def on_poll(token: PaymentToken) -> None:
        order = ORDER
        raise error if token.is_pending and order else AssertionError

    with pytest.raises(kind_of_error) as caught:
        call(on_poll=on_poll)
    assert caught.value is error
    assert len(call.requests) == 1
    assert frame_of(error, "on_poll").f_locals["order"] == ORDER
    assert_no_secret(call, error)


@for_both_clients
@pytest.mark.parametrize("operation", ["check", "wait"])
def test_ctrl_c_in_a_callback_ends_the_call(call: Call) -> None:
    call.responses = [503]

    def on_retry(*_seen: object) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt) as caught:
        call(on_retry=on_retry)
    assert len(call.requests) == 1
    assert_no_secret(call, caught.value)


@for_both_clients
@each_operation
def test_the_error_that_on_retry_gets_has_no_secret_in_its_frames(call: Call) -> None:
    call.responses = [503, "success"]
    seen: list[WonderError] = []

    def on_retry(error: WonderError, _delay: float) -> None:
        assert_no_secret(call, error)
        seen.append(error)

    call(on_retry=on_retry, retry=RetryPolicy(backoff_initial=0.0))
    assert [type(error) for error in seen] == [ServerError]


# The tokens of a batch


@for_both_clients
@pytest.mark.parametrize("operation", ["batch"])
def test_an_error_of_the_callers_iterable_ends_the_batch_and_reaches_the_caller(call: Call) -> None:
    def tokens() -> Iterator[str]:
        order = ORDER
        yield SECRET_TOKEN
        raise LookupError(order)

    with pytest.raises(LookupError, match=ORDER) as caught:
        call(tokens())
    assert frame_of(caught.value, "tokens").f_locals["order"] == ORDER
    assert_no_secret(call, caught.value)


@for_both_clients
@pytest.mark.parametrize("operation", ["batch"])
@pytest.mark.parametrize("tokens", [SECRET_TOKEN, TokenReference(SECRET_TOKEN)], ids=["a token", "a reference"])
def test_a_wrong_argument_of_a_batch_is_not_in_its_crash_report(call: Call, tokens: Any) -> None:
    with pytest.raises(ConfigurationError) as caught:
        call.kind("app", key(), environment="sandbox").check_tokens(tokens)
    assert_no_secret(call, caught.value)


@for_both_clients
@pytest.mark.parametrize("operation", ["batch"])
@pytest.mark.parametrize(
    "reference",
    [TokenReference(SECRET_TOKEN, NUMBER), TokenReference(SECRET_TOKEN, None, NUMBER), TokenReference(NUMBER)],
    ids=["a wrong customer", "a wrong verify_uuid", "a wrong token"],
)
def test_a_wrong_reference_of_a_batch_is_not_in_the_crash_report_of_its_error(
    call: Call, reference: TokenReference
) -> None:
    error = failure(call, tokens=[reference])
    assert isinstance(error, InvalidTokenError)
    assert_no_secret(call, error)


# What the caller was handling already


def _no_connection(request: httpx.Request) -> httpx.Response:
    raise httpx.ConnectError("connection refused", request=request)


def _bug(_request: httpx.Request) -> httpx.Response:
    raise KeyError("a bug")


@for_both_clients
@pytest.mark.parametrize(
    ("operation", "respond", "kind_of_error"),
    [
        ("check", lambda _request: httpx.Response(404), NotFoundError),
        ("check", _no_connection, NetworkError),
        ("check", _bug, KeyError),
        ("wait", lambda _request: httpx.Response(200, json=body("pending")), StillPendingError),
        ("wait", lambda _request: httpx.Response(503), StillPendingError),
    ],
    ids=["404", "no connection", "a bug", "still pending", "still pending after a 503"],
)
def test_an_error_keeps_the_callers_own_context_with_its_locals(
    call: Call, respond: Callable[[httpx.Request], httpx.Response], kind_of_error: type[Exception]
) -> None:
    with pytest.raises(httpx.InvalidURL) as handled:
        httpx.URL("https://[::1")  # has frames of httpx
    frames_of_mine = [frame for frame, _ in traceback.walk_tb(handled.value.__traceback__)][1:]
    held = [dict(frame.f_locals) for frame in frames_of_mine]
    options = {"timeout": 0.001} if call.operation == "wait" else {}

    def call_while_handling() -> None:
        try:
            raise handled.value
        except httpx.InvalidURL:
            call(transport=httpx.MockTransport(respond), retry=RetryPolicy.never(), **options)

    with pytest.raises(kind_of_error) as caught:
        call_while_handling()
    assert caught.value.__context__ is handled.value
    assert all(held)
    assert [frame.f_locals for frame in frames_of_mine] == held
