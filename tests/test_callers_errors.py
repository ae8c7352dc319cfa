"""Errors of the caller's callbacks and tokens reach the caller, and crash reports have no secret."""

from collections.abc import Iterator
from typing import Any

import pytest
from conftest import Kind, for_both_clients, key
from crashes import NUMBER, SECRET_TOKEN
from operations import ORDER, Call, assert_no_secret, each_operation, failure, frame_of
from wonder_payment import (
    ConfigurationError,
    InvalidTokenError,
    PaymentToken,
    RetryPolicy,
    ServerError,
    TokenReference,
    WonderError,
)


@pytest.fixture
def call(kind: Kind, operation: str) -> Call:
    return Call(kind, operation)


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
