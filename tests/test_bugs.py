"""Bugs and errors of mock transports propagate unchanged after one attempt, and crash reports have no secret."""

import traceback
from collections.abc import Callable
from typing import Any

import httpx
import pytest
import respx
from conftest import Kind, for_both_clients
from crashes import crash_report, leaks
from operations import ORDER, Call, assert_no_secret, body, each_operation, failure, frame_of
from pytest_httpx import HTTPXMock
from wonder_payment import NetworkError, NotFoundError, RequestTimeoutError, RetryPolicy, StillPendingError


@pytest.fixture
def call(kind: Kind, operation: str) -> Call:
    return Call(kind, operation)


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
