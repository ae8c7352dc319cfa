"""Retrying, without a single real sleep: see the clock in conftest.py."""

import logging
import re
from email.utils import formatdate
from typing import Any

import httpx
import pytest
from conftest import Caller, Clock
from pytest_httpx import HTTPXMock
from test_check import envelope
from wonder_payment import (
    APIError,
    ConfigurationError,
    InvalidResponseError,
    NetworkError,
    PaymentToken,
    PollPolicy,
    RateLimitError,
    RequestTimeoutError,
    RetryPolicy,
    ServerError,
    WonderError,
)

Answer = dict[str, Any] | Exception


def play(httpx_mock: HTTPXMock, *answers: Answer) -> None:
    """Answer like this, in turn; an exception breaks the connection."""
    for answer in answers:
        if isinstance(answer, Exception):
            httpx_mock.add_exception(answer)
        else:
            httpx_mock.add_response(**answer)


GOOD: Answer = {"json": envelope()}
STEADY = RetryPolicy(jitter=0.0)


def status(code: int, **headers: str) -> Answer:
    return {"status_code": code, "headers": {name.replace("_", "-"): value for name, value in headers.items()}}


MAY_PASS: list[Answer] = [
    *(status(code) for code in (408, 425, 429, 500, 501, 502, 503, 504, 520, 527, 530, 599)),
    httpx.ConnectError("refused"),
    httpx.ReadError("reset"),
    httpx.RemoteProtocolError("cut off"),
    httpx.ReadTimeout("slow"),
    {"json": {"code": 500, "message": "in a 200"}},
]

WILL_NOT_CHANGE: list[Answer] = [
    *(status(code) for code in (301, 400, 401, 403, 404, 405, 407, 409, 418, 422, 424, 426)),
    {"content": b""},
    {"json": envelope(state=None)},
    {"json": {"code": "E000002", "message": "in a 200"}},
]


@pytest.mark.parametrize("failure", MAY_PASS, ids=str)
def test_what_may_pass_is_tried_again(caller: Caller, httpx_mock: HTTPXMock, clock: Clock, failure: Answer) -> None:
    play(httpx_mock, failure, failure, failure, GOOD)
    assert caller.check(retry=STEADY).is_verified
    assert clock.slept == [0.5, 1.0, 2.0]


@pytest.mark.parametrize("failure", WILL_NOT_CHANGE, ids=str)
def test_what_will_not_change_is_not_tried_again(
    caller: Caller, httpx_mock: HTTPXMock, clock: Clock, failure: Answer
) -> None:
    play(httpx_mock, failure)
    with pytest.raises(WonderError) as caught:
        caller.check(retry=STEADY)
    assert isinstance(caught.value, APIError | InvalidResponseError)
    assert caught.value.attempts == 1
    assert clock.slept == []


@pytest.mark.parametrize(
    ("failure", "is_transient"),
    [*((failure, True) for failure in MAY_PASS), *((failure, False) for failure in WILL_NOT_CHANGE)],
    ids=str,
)
def test_an_error_tells_whether_it_may_pass(
    caller: Caller, httpx_mock: HTTPXMock, failure: Answer, *, is_transient: bool
) -> None:
    play(httpx_mock, failure)
    with pytest.raises(WonderError) as caught:
        caller.check()
    assert caught.value.is_transient is is_transient


def test_the_last_error_is_raised_with_the_number_of_attempts(
    caller: Caller, httpx_mock: HTTPXMock, clock: Clock
) -> None:
    play(httpx_mock, httpx.ConnectError("refused"), status(502), status(503))
    with pytest.raises(ServerError, match="HTTP 503") as caught:
        caller.check(retry=RetryPolicy(max_attempts=3, jitter=0.0))
    assert caught.value.attempts == 3
    assert caught.value.request_id == httpx_mock.get_requests()[-1].headers["X-Request-ID"]
    assert str(caught.value).endswith(f"(request id {caught.value.request_id}, 3 attempts)")
    assert clock.slept == [0.5, 1.0]


def test_never_makes_one_attempt(caller: Caller, httpx_mock: HTTPXMock, clock: Clock) -> None:
    play(httpx_mock, status(500))
    with pytest.raises(ServerError):
        caller.check(retry=RetryPolicy.never())
    assert clock.slept == []


@pytest.mark.parametrize("code", [429, 503])
@pytest.mark.parametrize(
    ("retry_after", "slept"),
    [
        ("7", 7.0),
        ("1.5", 1.5),
        ("0", 0.5),
        ("soon", 0.5),
        ("-3", 0.5),
        (formatdate(1_800_000_012, usegmt=True), 12.0),
        (formatdate(1_700_000_000, usegmt=True), 0.5),
    ],
)
def test_retry_after_is_honoured_and_never_below_the_backoff(
    caller: Caller, httpx_mock: HTTPXMock, clock: Clock, code: int, retry_after: str, slept: float
) -> None:
    # The date is counted from the answer's own, whatever our clock says.
    play(httpx_mock, status(code, Retry_After=retry_after, Date=formatdate(1_800_000_000, usegmt=True)), GOOD)
    assert caller.check(retry=STEADY).is_verified
    assert clock.slept == [slept]


@pytest.mark.parametrize(("retry_after", "seconds"), [("30", 30.0), ("3600", 3600.0), ("9" * 400, 1e9)])
def test_a_retry_after_that_does_not_fit_ends_the_call_at_once(
    caller: Caller, httpx_mock: HTTPXMock, clock: Clock, retry_after: str, seconds: float
) -> None:
    play(httpx_mock, status(429, Retry_After=retry_after))
    with pytest.raises(RateLimitError, match="asked again in") as caught:
        caller.check()
    assert caught.value.retry_after == seconds
    assert clock.slept == []


def test_the_budget_is_never_slept_past(caller: Caller, httpx_mock: HTTPXMock, clock: Clock) -> None:
    play(httpx_mock, *[status(500)] * 5)
    with pytest.raises(ServerError) as caught:
        caller.check(retry=RetryPolicy(max_attempts=100, max_elapsed=10.0, jitter=0.0))
    # The next delay, 8 s, would end after 15.5 s.
    assert clock.slept == [0.5, 1.0, 2.0, 4.0]
    assert caught.value.attempts == 5


@pytest.mark.parametrize(
    ("timeout", "kind", "request_number"),
    [(60.0, ServerError, 0), (1.0, RequestTimeoutError, 1)],
    ids=["the budget's end", "its own timeout"],
)
def test_an_attempt_that_the_budget_cut_short_leaves_the_failure_before_it(
    caller: Caller,
    httpx_mock: HTTPXMock,
    clock: Clock,
    timeout: float,
    kind: type[WonderError],
    request_number: int,
) -> None:
    play(httpx_mock, status(503), httpx.ReadTimeout("slow"))
    with pytest.raises(kind) as caught:
        caller.check(timeout=timeout, retry=RetryPolicy(max_attempts=2, max_elapsed=20.0))
    assert type(caught.value) is kind
    request = httpx_mock.get_requests()[request_number]
    assert (caught.value.attempts, caught.value.request_id) == (2, request.headers["X-Request-ID"])
    assert caught.value.__context__ is None
    assert clock.slept


def test_backoff_stops_growing_at_its_maximum() -> None:
    policy = RetryPolicy(backoff_initial=1.0, backoff_max=5.0, jitter=0.0)
    assert [policy.delay(None, attempt) for attempt in (1, 2, 3, 4, 5, 5_000)] == [1, 2, 4, 5, 5, 5]


@pytest.mark.parametrize(
    ("field", "value", "told"),
    [
        ("max_attempts", 0, "max_attempts must be a number from 1 up to 1,000,000,000."),
        ("max_elapsed", 0, "max_elapsed must be a number above 0 up to 1,000,000,000."),
        ("backoff_max", 1e9 + 1, "backoff_max must be a number from 0 up to 1,000,000,000."),
        ("jitter", 1.5, "jitter must be a number from 0 up to 1."),
    ],
)
def test_a_value_out_of_its_bounds_is_told_the_bounds(field: str, value: float, told: str) -> None:
    with pytest.raises(ConfigurationError, match=re.escape(told)):
        RetryPolicy(**{field: value})  # type: ignore[arg-type]


def test_a_bound_is_in_bounds() -> None:
    assert RetryPolicy(backoff_max=1e9).backoff_max == 1e9
    assert PollPolicy(jitter=0.99).jitter == 0.99
    assert PollPolicy(shortest=2.0, longest=2.0).longest == 2.0


def test_a_poll_policy_has_the_documented_defaults() -> None:
    assert PollPolicy() == PollPolicy(shortest=0.6, longest=3.0, growth=0.35, jitter=0.1)


@pytest.mark.parametrize("kind", [RetryPolicy, PollPolicy])
def test_a_policy_takes_its_fields_by_name_alone(kind: type) -> None:
    with pytest.raises(TypeError, match="positional"):
        kind(1)


@pytest.mark.parametrize(("jitter", "least"), [(1.0, 0.0), (0.25, 3.0)])
def test_jitter_is_the_random_share_of_the_backoff(jitter: float, least: float) -> None:
    policy = RetryPolicy(backoff_initial=4.0, jitter=jitter)
    delays = [policy.delay(None, 1) for _ in range(2_000)]
    assert least <= min(delays) < least + 0.1 * (4 - least)
    assert 4 - 0.1 * (4 - least) < max(delays) <= 4.0


def test_a_retry_is_one_warning_and_an_attempt_one_debug_line(
    caller: Caller, httpx_mock: HTTPXMock, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    play(httpx_mock, status(502), httpx.ConnectError("refused"), GOOD)
    with caplog.at_level(logging.DEBUG, "wonder_payment"):
        caller.check(retry=STEADY)
    ids = [request.headers["X-Request-ID"] for request in httpx_mock.get_requests()]
    ours = [record for record in caplog.records if record.name == "wonder_payment"]
    assert [record.getMessage() for record in ours if record.levelno == logging.WARNING] == [
        f"attempt 1: HTTP 502; again in 0.50 s (request id {ids[0]})",
        f"attempt 2: NetworkError; again in 1.00 s (request id {ids[1]})",
    ]
    debug = [record.getMessage() for record in ours if record.levelno == logging.DEBUG]
    assert [line.split(" after ")[0] for line in debug] == [
        "attempt 1: HTTP 502",
        "attempt 2: NetworkError",
        "attempt 3: answered",
    ]
    assert [line.endswith(f"(request id {request_id})") for line, request_id in zip(debug, ids, strict=True)]
    assert clock.slept == [0.5, 1.0]


def test_attempts_have_their_own_nonce_signature_and_request_id(
    caller: Caller, httpx_mock: HTTPXMock, clock: Clock
) -> None:
    play(httpx_mock, status(500), status(500), GOOD)
    answer = caller.check(retry=RetryPolicy(backoff_initial=1.0, jitter=0.0))
    requests = httpx_mock.get_requests()
    for header in ("Nonce", "Signature", "X-Request-ID", "Credential"):
        assert len({request.headers[header] for request in requests}) == 3, header
    assert isinstance(answer, PaymentToken)
    assert answer.request_id == requests[-1].headers["X-Request-ID"]
    assert clock.slept == [1.0, 2.0]


def test_a_network_error_names_its_cause(caller: Caller, httpx_mock: HTTPXMock) -> None:
    play(httpx_mock, httpx.ConnectError("[Errno 111] Connection refused"))
    with pytest.raises(NetworkError, match="Connection refused"):
        caller.check()
