"""The rate limit that the tokens of a batch share, step by step."""

from concurrent.futures import CancelledError
from typing import Any

import pytest
from playing import HANGS, SUCCESS, Player, failed, policy
from wonder_payment import NetworkError, ServerError, WonderError
from wonder_payment._flow import Attempt, Outcome, Sleep, Steps, attempts
from wonder_payment.batch import Throttle


def checked(throttle: Throttle, **settings: Any) -> Steps[Outcome]:
    return attempts(policy(**{"backoff_initial": 1.0} | settings), throttle=throttle)


@pytest.mark.parametrize(
    ("holds", "pauses", "left"),
    [
        pytest.param([], 0, 0.0, id="no rate limit"),
        pytest.param([(0.0, 0.0, 5.0)], 1, 5.0, id="one"),
        pytest.param([(0.0, 0.0, 5.0), (0.0, 0.0, 2.0)], 1, 5.0, id="a shorter one during it"),
        pytest.param([(0.0, 0.0, 5.0), (0.0, 0.0, 9.0)], 1, 9.0, id="a longer one during it"),
        pytest.param([(0.0, 0.0, 5.0), (6.0, 4.0, 2.0)], 1, 2.0, id="for a request sent before the pause ended"),
        pytest.param([(0.0, 0.0, 5.0), (6.0, 5.0, 2.0)], 2, 2.0, id="for a request sent after it"),
    ],
)
def test_a_throttle_keeps_the_longest_pause_and_counts_pauses_in_a_row(
    play: Player, holds: list[tuple[float, float, float]], pauses: int, left: float
) -> None:
    throttle = Throttle()
    for play.now, sent_at, seconds in holds:
        throttle.hold(seconds, sent_at=sent_at)
    assert (throttle.pauses, throttle.take_turn()) == (pauses, left)
    throttle.resume(is_up=False)
    assert (throttle.pauses, throttle.take_turn()) == (0, left)


def test_a_stopped_throttle_ends_all_sleeps() -> None:
    throttle = Throttle()
    throttle.sleep(0.0)
    throttle.stop()
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
    assert step == Sleep(pause) if pause else isinstance(step, Attempt)


@pytest.mark.parametrize("response", [SUCCESS, 502, 404, NetworkError], ids=["success", "502", "404", "network error"])
def test_any_other_response_ends_a_row_of_pauses(play: Player, response: Any) -> None:
    throttle = Throttle()
    throttle.hold(5.0, sent_at=0.0)
    play(checked(throttle, max_attempts=1), response if response is SUCCESS else failed(response))
    assert (throttle.pauses, play.sleeps) == (0, [5.0])


def test_a_rate_limit_costs_a_token_no_attempts_and_no_time(play: Player) -> None:
    failures = [
        (9.0, failed(status, Retry_After="15" if status == 429 else "")) for status in (429, 502, 429, 429, 502)
    ]
    outcome = play(checked(Throttle(), max_attempts=3, max_elapsed=40.0), *failures, SUCCESS)
    assert (outcome.result, outcome.attempts, play.sleeps) == (SUCCESS, 6, [15.0, 2.0, 15.0, 15.0, 8.0])


def test_other_failures_between_rate_limits_count(play: Player) -> None:
    outcome = play(checked(Throttle(), max_attempts=2), *map(failed, (429, 502, 429, 502)))
    assert isinstance(outcome.result, ServerError)
    assert (outcome.attempts, outcome.result.attempts) == (4, 4)


def test_a_pause_costs_the_other_tokens_none_of_their_time(play: Player) -> None:
    throttle = Throttle()
    other = checked(throttle, timeout=60.0, max_elapsed=30.0)
    assert next(other) == Attempt(60.0, 30.0)
    assert other.send(failed(502)) == Sleep(1.0)
    throttle.hold(40.0, sent_at=0.0)
    play.now = 1.0
    assert next(other) == Sleep(39.0)
    throttle.hold(59.0, sent_at=0.0)
    play.now = 40.0
    assert next(other) == Sleep(20.0)
    play.now = 60.0
    # Its own delay counts, and the rest of the pause does not.
    assert next(other) == Attempt(60.0, 30.0 + 59.0)


def test_rate_limits_of_requests_that_were_in_flight_together_are_one_pause(play: Player) -> None:
    throttle = Throttle()
    flows = [checked(throttle, backoff_initial=0.0) for _ in range(8)]
    assert [next(flow) for flow in flows] == [Attempt(10.0, 30.0)] * 8
    for flow in flows:
        play.now += 0.1  # each pause is over before the next rate limit arrives
        assert isinstance(flow.send(failed(429)), Attempt)
    assert throttle.pauses == 1


@pytest.mark.parametrize(
    ("max_attempts", "is_alone", "made"),
    [(4, False, 4), (4, True, 32), (1, False, 1)],
    ids=["for all tokens", "for one token", "without retries"],
)
def test_a_rate_limit_without_end_ends_in_its_error(
    play: Player, max_attempts: int, made: int, *, is_alone: bool
) -> None:
    throttle = Throttle()

    def on_retry(_error: WonderError, _delay: float) -> None:
        if is_alone:
            throttle.resume(is_up=True)  # the other tokens get through

    error = failed(429, Retry_After="5")
    outcome = play(checked(throttle, max_attempts=max_attempts, on_retry=on_retry), error)
    assert (outcome.result, outcome.attempts) == (error, made)


def test_a_timeout_after_a_rate_limit_is_not_another_rate_limit(play: Player) -> None:
    throttle, error = Throttle(), failed(429, Retry_After="1")
    outcome = play(checked(throttle, timeout=10.0, max_elapsed=5.0), error, HANGS)
    assert (outcome.result, outcome.attempts, play.sleeps, throttle.pauses) == (error, 2, [1.0], 0)


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
        taken.append(play.now + throttle.take_slot())
    assert taken == slots


@pytest.mark.parametrize(("woke_at", "sent"), [(0.5, 3), (0.75, 2), (0.8, 1), (5.0, 1)])
def test_tokens_that_wake_too_late_for_their_slots_make_no_burst(play: Player, woke_at: float, sent: int) -> None:
    throttle = Throttle(4.0)
    throttle.take_slot()
    flows = [checked(throttle) for _ in range(3)]
    assert [next(flow) for flow in flows] == [Sleep(0.25), Sleep(0.5), Sleep(0.75)]
    play.now = woke_at
    assert [isinstance(next(flow), Attempt) for flow in flows].count(True) == sent


def test_the_time_by_which_a_token_wakes_late_is_not_its_time(play: Player) -> None:
    throttle = Throttle(1.0)
    throttle.take_slot()
    flow = checked(throttle, max_elapsed=30.0)
    assert next(flow) == Sleep(1.0)
    play.now = 1.5
    assert next(flow) == Attempt(10.0, 31.5)


def test_a_retry_takes_a_slot_too(play: Player) -> None:
    play(checked(Throttle(0.25)), failed(502), failed(502), SUCCESS)
    assert play.sleeps == [1.0, 3.0, 2.0, 2.0]
    assert play.began == [0.0, 4.0, 8.0]


def test_the_time_until_a_slot_is_not_the_tokens_time(play: Player) -> None:
    throttle = Throttle(0.01)
    throttle.take_slot()
    assert play(checked(throttle, max_elapsed=30.0), HANGS).attempts == 3
    assert (play.sleeps, play.deadlines) == ([100.0, 1.0, 89.0, 2.0, 88.0], [110.0, 210.0, 307.0])


def test_each_token_takes_another_slot_after_a_pause(play: Player) -> None:
    throttle = Throttle(0.5)
    flows = [checked(throttle) for _ in range(3)]
    throttle.hold(9.0, sent_at=0.0)
    assert [next(flow) for flow in flows] == [Sleep(9.0), Sleep(2.0), Sleep(4.0)]
    play.now = 4.0
    assert [next(flow) for flow in flows[1:]] == [Sleep(5.0)] * 2
    play.now = 9.0
    assert isinstance(next(flows[0]), Attempt)
    assert [next(flow) for flow in flows[1:]] == [Sleep(2.0), Sleep(4.0)]


def test_a_low_limit_costs_a_token_no_patience_in_an_outage(play: Player) -> None:
    throttle = Throttle(0.01)
    throttle.take_slot()
    outcome = play(in_outage(throttle, max_elapsed=30.0), failed(503), failed(503), SUCCESS)
    assert (outcome.result, play.began) == (SUCCESS, [100.0, 200.0, 300.0])


# While the retry quota is spent, the tokens take turns.


def in_outage(throttle: Throttle, **settings: Any) -> Steps[Outcome]:
    shared = policy(**{"backoff_initial": 2.0} | settings)
    shared.quota.spent = 500
    return attempts(shared, throttle=throttle)


def test_one_token_at_a_time_sends_a_request_in_an_outage(play: Player) -> None:
    throttle = Throttle()
    flows = [in_outage(throttle) for _ in range(3)]
    assert [next(flow) for flow in flows] == [Attempt(10.0, 30.0)] * 3
    assert [flow.send(failed(503)) for flow in flows] == [Sleep(2.0)] * 3
    play.now = 2.0
    assert next(flows[0]) == Attempt(10.0, 32.0)
    assert [next(flow) for flow in flows[1:]] == [Sleep(2.0)] * 2
    assert next(in_outage(throttle)) == Sleep(2.0)
    play.now = 2.5
    assert flows[0].send(failed(NetworkError)) == Sleep(4.0)


@pytest.mark.parametrize("response", [SUCCESS, failed(404)], ids=["success", "404"])
def test_a_response_that_is_no_transient_failure_ends_the_turns(play: Player, response: Any) -> None:
    throttle = Throttle()
    flow = in_outage(throttle)
    next(flow)
    assert flow.send(failed(503)) == Sleep(2.0)
    assert next(in_outage(throttle)) == Sleep(2.0)
    play.now = 2.0
    assert isinstance(next(flow), Attempt)
    with pytest.raises(StopIteration):
        flow.send(response)
    assert [isinstance(next(in_outage(throttle)), Attempt) for _ in range(3)] == [True] * 3


@pytest.mark.parametrize("response", [503, 429, NetworkError])
def test_a_transient_failure_does_not_end_the_turns(play: Player, response: Any) -> None:
    throttle = Throttle()
    throttle.slow_down(5.0, sent_at=0.0)
    play(in_outage(throttle, max_attempts=1), failed(response))
    assert play.sleeps == [5.0]
    assert isinstance(next(in_outage(throttle)), Sleep)


@pytest.mark.parametrize(("max_elapsed", "made"), [(30.0, 16), (5.0, 4)])
def test_a_token_gives_up_after_max_elapsed_in_an_outage(play: Player, max_elapsed: float, made: int) -> None:
    outcome = play(in_outage(Throttle(), max_elapsed=max_elapsed, backoff_max=2.0), *(failed(503) for _ in range(made)))
    assert (outcome.attempts, play.now) == (made, max_elapsed)
    assert isinstance(outcome.result, ServerError)
    assert str(outcome.result).count("retry quota of this client is spent") == 1


def test_a_token_without_a_turn_sends_one_request_before_it_gives_up(play: Player) -> None:
    throttle = Throttle()
    throttle.slow_down(100.0, sent_at=0.0)
    outcome = play(in_outage(throttle), failed(503))
    assert (outcome.attempts, play.began, play.deadlines) == (1, [30.0], [40.0])


def test_a_delay_of_nothing_is_a_second_in_an_outage(play: Player) -> None:
    outcome = play(in_outage(Throttle(), backoff_initial=0.0), *(failed(503) for _ in range(31)))
    assert (outcome.attempts, play.sleeps) == (31, [1.0] * 30)


def test_the_attempts_of_a_token_count_while_others_succeed(play: Player) -> None:
    throttle = Throttle()
    flow = in_outage(throttle)
    step = next(flow)
    for _ in range(3):
        assert isinstance(step, Attempt)
        play.now += 0.5
        play(in_outage(throttle), SUCCESS)
        step = flow.send(failed(503))
        assert isinstance(step, Sleep)
        play.now += step.seconds
        step = next(flow)
    with pytest.raises(StopIteration) as end:
        flow.send(failed(503))
    assert end.value.value.attempts == 4


def test_a_rate_limit_takes_nothing_from_the_quota(play: Player) -> None:
    shared = policy()
    play(attempts(shared, throttle=Throttle()), failed(429), SUCCESS)
    assert shared.quota.spent == 0
    shared.quota.spent = 500
    outcome = play(attempts(shared, throttle=Throttle()), failed(429), SUCCESS)
    assert (outcome.attempts, shared.quota.spent) == (2, 499)
