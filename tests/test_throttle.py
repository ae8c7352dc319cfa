"""The rate limit that the tokens of a batch share, step by step."""

import math
from concurrent.futures import CancelledError
from typing import Any

import pytest
from playing import HANGS, SUCCESS, Player, failed, policy
from wonder_payment import NetworkError, RequestTimeoutError, ServerError, WonderError
from wonder_payment._flow import Attempt, Steps, attempts
from wonder_payment.batch import Result, Throttle


def checked(throttle: Throttle, **settings: Any) -> Steps[tuple[Result, int]]:
    return attempts(policy(**{"backoff_initial": 1.0} | settings), throttle=throttle)


@pytest.mark.parametrize(
    ("pauses", "left"),
    [
        pytest.param([], 0.0, id="no pause"),
        pytest.param([(0.0, 5.0)], 5.0, id="one"),
        pytest.param([(0.0, 5.0), (0.0, 2.0)], 5.0, id="a shorter one during it"),
        pytest.param([(0.0, 5.0), (0.0, 9.0)], 9.0, id="a longer one during it"),
        pytest.param([(0.0, 5.0), (6.0, 2.0)], 2.0, id="one after it"),
    ],
)
def test_a_throttle_keeps_the_longest_pause(play: Player, pauses: list[tuple[float, float]], left: float) -> None:
    throttle = Throttle()
    for play.now, seconds in pauses:
        throttle.pause(seconds)
    assert throttle.slot() == play.now + left


def test_a_stopped_throttle_ends_all_sleeps_and_gives_no_slots() -> None:
    throttle = Throttle()
    throttle.sleep(0.0)
    throttle.stop()
    assert throttle.slot() == math.inf
    with pytest.raises(CancelledError):
        throttle.sleep(3600.0)


@pytest.mark.parametrize(
    ("status", "retry_after", "pause"),
    [(429, "20", 20.0), (503, "20", 20.0), (408, "20", 20.0), (429, "soon", 1.0), (502, "", None), (404, "20", None)],
)
def test_a_rate_limit_pauses_the_whole_batch(play: Player, status: int, retry_after: str, pause: float | None) -> None:
    throttle = Throttle()
    play(checked(throttle, max_attempts=1), failed(status, Retry_After=retry_after))
    step = next(checked(throttle))
    assert step == pause if pause else isinstance(step, Attempt)


def test_a_rate_limit_costs_a_token_no_attempts_and_no_time(play: Player) -> None:
    failures = [
        (9.0, failed(status, Retry_After="15" if status == 429 else "")) for status in (429, 502, 429, 429, 502)
    ]
    result, number = play(checked(Throttle(), max_attempts=3, max_elapsed=40.0), *failures, SUCCESS)
    assert (result, number, play.sleeps) == (SUCCESS, 6, [15.0, 2.0, 15.0, 15.0, 8.0])


def test_other_failures_between_rate_limits_count(play: Player) -> None:
    result, number = play(checked(Throttle(), max_attempts=2), *map(failed, (429, 502, 429, 502)))
    assert isinstance(result, ServerError)
    assert (number, result.attempts) == (4, 4)


def test_a_pause_costs_the_other_tokens_none_of_their_time(play: Player) -> None:
    throttle = Throttle()
    other = checked(throttle, timeout=60.0, max_elapsed=30.0)
    assert next(other) == Attempt(60.0, 30.0)
    assert other.send(failed(502)) == 1.0
    throttle.pause(40.0)
    play.now = 1.0
    assert next(other) == 39.0
    throttle.pause(59.0)
    play.now = 40.0
    assert next(other) == 20.0
    play.now = 60.0
    # Its own delay counts, and the rest of the pause does not.
    assert next(other) == Attempt(60.0, 30.0 + 59.0)


@pytest.mark.parametrize(("max_attempts", "made"), [(4, 3 * 8 + 1), (2, 8 + 1), (1, 1)])
@pytest.mark.parametrize("spent", [0, 500], ids=["quota left", "quota spent"])
def test_a_rate_limit_without_end_ends_in_its_error(play: Player, max_attempts: int, made: int, spent: int) -> None:
    shared, error = policy(max_attempts=max_attempts), failed(429, Retry_After="5")
    shared.quota.spent = spent
    result, number = play(attempts(shared, throttle=Throttle()), error)
    assert (result, number) == (error, made)


def test_a_timeout_after_a_rate_limit_is_not_another_rate_limit(play: Player) -> None:
    throttle, error = Throttle(), failed(429, Retry_After="1")
    result, number = play(checked(throttle, timeout=10.0, max_elapsed=5.0), error, HANGS)
    assert (result, number, play.sleeps) == (error, 2, [1.0])
    assert isinstance(next(checked(throttle)), Attempt)


def test_on_retry_is_called_for_a_rate_limit(play: Player) -> None:
    calls: list[Any] = []

    def on_retry(error: WonderError, delay: float) -> None:
        calls.append((error.attempts, delay))

    play(checked(Throttle(), on_retry=on_retry), *[failed(429, Retry_After="5") for _ in range(2)], SUCCESS)
    assert calls == [(1, 5.0), (2, 5.0)]


# With max_per_second, each request has a slot.


@pytest.mark.parametrize(
    ("max_per_second", "asked_at", "slots"),
    [
        pytest.param(None, [0.0, 0.0, 5.0], [0.0, 0.0, 5.0], id="no limit"),
        pytest.param(4.0, [0.0] * 4, [0.0, 0.25, 0.5, 0.75], id="all at once"),
        pytest.param(4, [0.0, 0.125, 0.125], [0.0, 0.25, 0.5], id="early"),
        pytest.param(4.0, [0.0, 0.5, 0.875], [0.0, 0.5, 0.875], id="slower than the limit"),
        pytest.param(4.0, [0.0, 60.0, 60.0], [0.0, 60.0, 60.25], id="no burst after a silence"),
        pytest.param(0.001, [0.0] * 3, [0.0, 1000.0, 2000.0], id="slow"),
    ],
)
def test_slots_are_evenly_spaced(
    play: Player, max_per_second: float | None, asked_at: list[float], slots: list[float]
) -> None:
    throttle, taken = Throttle(max_per_second), []
    for play.now in asked_at:
        taken.append(throttle.slot())
    assert taken == slots


@pytest.mark.parametrize(("woke_at", "sent"), [(0.5, 2), (0.75, 2), (0.8, 1), (5.0, 1)])
def test_tokens_that_wake_too_late_for_their_slots_make_no_burst(play: Player, woke_at: float, sent: int) -> None:
    throttle = Throttle(4.0)
    throttle.slot()
    flows = [checked(throttle) for _ in range(3)]
    assert [next(flow) for flow in flows] == [0.25, 0.5, 0.75]
    play.now = woke_at
    assert [isinstance(next(flow), Attempt) for flow in flows].count(True) == sent


def test_a_retry_takes_a_slot_too(play: Player) -> None:
    play(checked(Throttle(0.25)), failed(502), failed(502), SUCCESS)
    assert play.sleeps == [1.0, 3.0, 2.0, 2.0]
    assert play.began == [0.0, 4.0, 8.0]


def test_the_time_until_a_slot_is_not_the_tokens_time(play: Player) -> None:
    throttle = Throttle(0.01)
    throttle.slot()
    assert play(checked(throttle, max_elapsed=30.0), HANGS)[1] == 3
    assert (play.sleeps, play.deadlines) == ([100.0, 1.0, 89.0, 2.0, 88.0], [110.0, 210.0, 307.0])


def test_a_token_that_sleeps_longer_than_until_its_slot_loses_none_of_its_time(play: Player) -> None:
    throttle = Throttle(0.01)
    throttle.slot()
    flow = checked(throttle, max_elapsed=30.0)
    assert next(flow) == 100.0
    play.now = 150.0  # a blocked event loop, or a process that was stopped
    assert flow.send(None) == Attempt(timeout=10.0, until=180.0)


def test_each_token_takes_another_slot_after_a_pause(play: Player) -> None:
    throttle = Throttle(0.5)
    flows = [checked(throttle) for _ in range(3)]
    throttle.pause(9.0)
    assert [next(flow) for flow in flows] == [9.0, 11.0, 13.0]
    throttle.pause(20.0)
    play.now = 9.0
    assert [next(flow) for flow in flows] == [11.0, 13.0, 15.0]
    play.now = 20.0
    assert isinstance(next(flows[0]), Attempt)


# While the retry quota is spent, a failure pauses the batch.


def in_outage(throttle: Throttle, **settings: Any) -> Steps[tuple[Result, int]]:
    shared = policy(**settings)
    shared.quota.spent = 500
    return attempts(shared, throttle=throttle)


@pytest.mark.parametrize("cause", [503, NetworkError, RequestTimeoutError])
def test_a_failure_in_an_outage_pauses_the_whole_batch(play: Player, cause: Any) -> None:
    throttle = Throttle()
    flows = [in_outage(throttle, backoff_initial=2.0) for _ in range(3)]
    assert [next(flow) for flow in flows] == [Attempt(10.0, 30.0)] * 3
    assert [flow.send(failed(cause)) for flow in flows] == [2.0] * 3
    assert next(in_outage(throttle)) == 2.0
    play.now = 2.0
    assert [next(flow) for flow in flows] == [Attempt(10.0, 32.0)] * 3
    assert flows[0].send(failed(cause)) == 4.0


def test_an_outage_costs_a_token_no_attempts_and_no_time(play: Player) -> None:
    failures = [(5.0, failed(503)) for _ in range(20)]
    result, number = play(in_outage(Throttle(), max_attempts=4, max_elapsed=30.0), *failures, SUCCESS)
    assert (result, number, play.sleeps) == (SUCCESS, 21, [1.0, 1.0, 2.0, 4.0] + [8.0] * 16)


@pytest.mark.parametrize(("max_attempts", "made"), [(4, 3 * 8 + 1), (2, 8 + 1), (1, 1)])
def test_an_outage_without_end_ends_in_its_error(play: Player, max_attempts: int, made: int) -> None:
    result, number = play(in_outage(Throttle(), max_attempts=max_attempts, backoff_initial=8.0), failed(503))
    assert isinstance(result, ServerError)
    assert (number, result.attempts, play.now) == (made, made, 8.0 * (made - 1))


def test_a_pause_in_an_outage_takes_at_least_a_second_and_on_retry_gets_it(play: Player) -> None:
    delays = list[float]()
    flow = in_outage(Throttle(), backoff_initial=0.0, on_retry=lambda _error, delay: delays.append(delay))
    play(flow, failed(503), SUCCESS)
    assert delays == play.sleeps == [1.0]


def test_a_rate_limit_takes_nothing_from_the_quota(play: Player) -> None:
    shared = policy()
    play(attempts(shared, throttle=Throttle()), failed(429), SUCCESS)
    assert shared.quota.spent == 0
    shared.quota.spent = 500
    _result, number = play(attempts(shared, throttle=Throttle()), failed(429), SUCCESS)
    assert (number, shared.quota.spent) == (2, 499)
