"""A call, step by step: what is retried, when, and which error is raised."""

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress
from email.utils import formatdate
from functools import partial
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

import pytest
from playing import HANGS, PENDING, SUCCESS, TOKEN, Player, failed, for_permanent, for_transient, policy
from wonder_payment import NetworkError, PollPolicy, RateLimitError, RequestTimeoutError, ServerError, WonderError
from wonder_payment._flow import Attempt, Steps, check, drive, drive_async, wait


@for_transient
def test_a_transient_failure_is_retried(play: Player, failure: Any) -> None:
    errors = [failed(failure) for _ in range(3)]
    assert play(check(policy()), *errors, SUCCESS) is SUCCESS
    assert play.sleeps == [0.5, 1.0, 2.0]
    assert {error.is_transient for error in errors} == {True}


@for_permanent
def test_a_permanent_failure_is_raised_at_once(play: Player, failure: Any) -> None:
    error = failed(failure)
    with pytest.raises(type(error)) as caught:
        play(check(policy()), error)
    assert caught.value is error
    assert (error.is_transient, error.attempts, play.sleeps) == (False, 1, [])


@pytest.mark.parametrize(("max_attempts", "sleeps"), [(1, []), (2, [0.5]), (3, [0.5, 1.0])])
def test_the_last_error_is_raised_with_the_number_of_attempts(
    play: Player, max_attempts: int, sleeps: list[float]
) -> None:
    errors = [failed(NetworkError), failed(502), failed(503)][-max_attempts:]
    with pytest.raises(ServerError, match="HTTP 503") as caught:
        play(check(policy(max_attempts=max_attempts)), *errors)
    assert (caught.value, caught.value.attempts, play.sleeps) == (errors[-1], max_attempts, sleeps)
    made = "1 attempt" if max_attempts == 1 else f"{max_attempts} attempts"
    assert str(caught.value).endswith(f"(request id request {max_attempts}, {made})")


@pytest.mark.parametrize("status", [429, 503])
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
def test_the_delay_is_retry_after_but_not_less_than_the_backoff(
    play: Player, status: int, retry_after: str, slept: float
) -> None:
    error = failed(status, Retry_After=retry_after, Date=formatdate(1_800_000_000, usegmt=True))
    play(check(policy()), error, SUCCESS)
    assert play.sleeps == [slept]


@pytest.mark.parametrize(("retry_after", "seconds"), [("30", 30.0), ("3600", 3600.0), ("9" * 99, 1e9)])
def test_a_retry_after_that_does_not_fit_ends_the_call_at_once(play: Player, retry_after: str, seconds: float) -> None:
    with pytest.raises(RateLimitError, match="Retry after") as caught:
        play(check(policy(max_elapsed=30.0)), failed(429, Retry_After=retry_after))
    assert (caught.value.retry_after, play.sleeps) == (seconds, [])


def test_a_backoff_that_does_not_fit_ends_the_call_at_once(play: Player) -> None:
    with pytest.raises(ServerError) as caught:
        play(check(policy(max_attempts=100, max_elapsed=10.0)), failed(500))
    # The next delay, 8 s, would end after 15.5 s.
    assert (caught.value.attempts, play.sleeps) == (5, [0.5, 1.0, 2.0, 4.0])


def test_an_attempt_ends_by_its_timeout_and_by_the_end_of_the_call(play: Player) -> None:
    with pytest.raises(RequestTimeoutError) as caught:
        play(check(policy(timeout=4.0, max_elapsed=10.0)), HANGS)
    assert (play.deadlines, play.now) == ([4.0, 8.5, 10.0], 10.0)
    assert (caught.value.attempts, caught.value.request_id) == (3, "request 3")


@pytest.mark.parametrize(
    ("timeout", "kind", "request_id"),
    [(60.0, ServerError, "request 1"), (1.0, RequestTimeoutError, "request 2")],
    ids=["the end of the call", "its own timeout"],
)
def test_an_attempt_cut_short_by_the_end_of_the_call_leaves_the_failure_before_it(
    play: Player, timeout: float, kind: type[WonderError], request_id: str
) -> None:
    with pytest.raises(kind) as caught:
        play(check(policy(timeout=timeout, max_attempts=2, max_elapsed=20.0)), failed(503), HANGS)
    assert type(caught.value) is kind
    assert (caught.value.attempts, caught.value.request_id, caught.value.__context__) == (2, request_id, None)


def test_a_timeout_long_before_the_end_of_the_call_replaces_the_failure_before_it(play: Player) -> None:
    early = (1.0, failed(RequestTimeoutError))
    with pytest.raises(RequestTimeoutError) as caught:
        play(check(policy(max_attempts=2, max_elapsed=5.0)), failed(503), early)
    assert (caught.value.attempts, caught.value.request_id) == (2, "request 2")


def test_an_attempt_logs_a_debug_line_and_a_retry_a_warning(play: Player, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG, "wonder_payment"):
        play(check(policy()), (0.25, failed(502)), failed(NetworkError), SUCCESS)
    assert [f"{record.levelname} {record.getMessage()}" for record in caplog.records] == [
        "DEBUG attempt 1: HTTP 502 after 0.250 s (request id request 1)",
        "WARNING attempt 1: HTTP 502; retry in 0.50 s (request id request 1)",
        "DEBUG attempt 2: NetworkError after 0.000 s (request id request 2)",
        "WARNING attempt 2: NetworkError; retry in 1.00 s (request id request 2)",
        "DEBUG attempt 3: succeeded after 0.000 s (request id the request of a success token)",
    ]
    assert TOKEN not in caplog.text


def test_on_retry_is_called_before_each_delay_and_not_for_the_last_error(play: Player) -> None:
    calls: list[Any] = []

    def on_retry(error: WonderError, delay: float) -> None:
        calls.append((error, error.attempts, delay, list(play.sleeps)))

    errors = [failed(502), failed(429, Retry_After="3"), failed(502)]
    with pytest.raises(ServerError):
        play(check(policy(on_retry=on_retry, max_attempts=3)), *errors)
    assert calls == [(errors[0], 1, 0.5, []), (errors[1], 2, 3.0, [0.5])]


# The retry quota

SPENT = "No more retries: the retry quota of this client is spent, because too many requests failed."


@pytest.mark.parametrize(
    ("failure", "attempts"),
    [
        (503, [4, 4, 4, 2, 1, 1]),
        (429, [4, 4, 4, 2, 1, 1]),
        (NetworkError, [4, 4, 4, 2, 1, 1]),
        (RequestTimeoutError, [4, 3, 1, 1]),
    ],
)
def test_the_calls_of_a_client_share_the_retry_quota(play: Player, failure: Any, attempts: list[int]) -> None:
    shared = policy(quota=50)
    errors = []
    for made in attempts:
        with pytest.raises(WonderError) as caught:
            play(check(shared), *(failed(failure) for _ in range(made)))
        errors.append(caught.value)
    assert [error.attempts for error in errors] == attempts
    assert [str(error).count(SPENT) for error in errors] == [made < 4 for made in attempts]
    with pytest.raises(WonderError) as caught:
        play(check(policy(quota=50)), failed(failure), *(failed(failure) for _ in range(3)))
    assert caught.value.attempts == 4  # another client has its own


def test_a_spent_quota_says_so_and_costs_no_delay(play: Player) -> None:
    calls = list[float]()
    shared = policy(quota=10, on_retry=lambda _error, delay: calls.append(delay))
    with pytest.raises(ServerError) as caught:
        play(check(shared), *(failed(503) for _ in range(3)))
    message = f"The gateway returned HTTP 503. Retry later. {SPENT} (request id request 3, 3 attempts)"
    assert (str(caught.value), caught.value.is_transient) == (message, True)
    assert play.sleeps == calls == [0.5, 1.0]


@pytest.mark.parametrize(
    ("responses", "spent"),
    [
        ([SUCCESS], 99),
        ([failed(404)], 100),
        ([failed(503), SUCCESS], 100),
        ([failed(503), failed(503), SUCCESS], 105),
        ([failed(503), failed(RequestTimeoutError), SUCCESS], 105),
        ([failed(RequestTimeoutError), failed(503), SUCCESS], 110),
        ([failed(503), failed(404)], 105),
    ],
    ids=["a success", "404", "a retry", "two retries", "503, timeout", "timeout, 503", "a retry that fails"],
)
def test_a_success_gives_back_what_the_last_retry_took(play: Player, responses: list[Any], spent: int) -> None:
    shared = policy()
    shared.quota.spent = 100
    with suppress(WonderError):
        play(check(shared), *responses)
    assert shared.quota.spent == spent


def test_without_a_quota_every_call_retries(play: Player) -> None:
    shared = policy(quota=None)
    for _ in range(200):
        with pytest.raises(ServerError) as caught:
            play(check(shared), failed(503))
        assert (caught.value.attempts, SPENT in str(caught.value)) == (4, False)


class CallerError(Exception):
    pass


FOREIGN = pytest.mark.parametrize(
    "error",
    [CallerError(), NetworkError("the caller's own"), KeyboardInterrupt()],
    ids=lambda error: type(error).__name__,
)


@FOREIGN
@pytest.mark.parametrize("callback", ["on_retry", "on_poll"])
def test_an_error_of_a_callback_propagates_unchanged(play: Player, callback: str, error: BaseException) -> None:
    def stop(*_arguments: object) -> None:
        raise error

    on_retry, on_poll = (stop, None) if callback == "on_retry" else (None, stop)
    steps = wait(policy(on_retry=on_retry), timeout=60.0, poll=PollPolicy(), on_poll=on_poll)
    with pytest.raises(type(error)) as caught:
        play(steps, failed(502) if on_retry else PENDING)
    assert (caught.value, caught.value.__context__, play.sleeps) == (error, None, [])


NOT_SENT = RequestTimeoutError("No connection was free.")


@pytest.mark.parametrize("failures", [0, 1], ids=["first", "retry"])
def test_an_attempt_that_was_never_sent_does_not_count_and_is_reported(play: Player, failures: int) -> None:
    play.now = 0.0
    steps = check(policy(max_elapsed=10.0))
    assert isinstance(next(steps), Attempt)
    for _ in range(failures):
        assert steps.send(failed(503, request_id="sent")) == 0.5
        assert isinstance(next(steps), Attempt)
    play.now = 10.0
    with pytest.raises(RequestTimeoutError) as caught:
        steps.send(NOT_SENT)
    assert caught.value is NOT_SENT
    assert caught.value.attempts == failures


def run(steps: Steps[Any], attempt: Callable[[Attempt], object], sleep: Callable[[float], object]) -> Any:
    async def call(function: Callable[[Any], object], argument: Any) -> object:
        return function(argument)

    # In this module only: the simulator's thread sleeps, too.
    with patch("wonder_payment._flow.asyncio", SimpleNamespace(sleep=partial(call, sleep))):
        return asyncio.run(drive_async(steps, partial(call, attempt)))


both_drivers = pytest.mark.parametrize("driver", [drive, run], ids=["drive", "drive_async"])


@both_drivers
def test_both_drivers_carry_out_the_same_steps(driver: Any) -> None:
    def flow() -> Steps[list[object]]:
        return [(yield Attempt(1.0, 2.0)), (yield 2.0), (yield Attempt(3.0, 4.0))]

    done: list[Any] = []

    def attempt(step: Attempt) -> int:
        done.append(step)
        return len(done)

    returned = driver(flow(), attempt, done.append)
    assert done == [Attempt(1.0, 2.0), 2.0, Attempt(3.0, 4.0)]
    assert returned == [1, None, 3]


@both_drivers
@FOREIGN
@pytest.mark.parametrize("step", [Attempt(1.0, 2.0), 2.0], ids=["attempt", "delay"])
def test_an_error_of_a_step_leaves_both_drivers_as_itself(
    driver: Any, step: Attempt | float, error: BaseException
) -> None:
    def flow() -> Steps[None]:
        yield step

    def stop(_argument: object) -> None:
        raise error

    with pytest.raises(type(error)) as caught:
        driver(flow(), stop, stop)
    assert caught.value is error
