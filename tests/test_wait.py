"""A wait, step by step, and both clients' calls through the simulator."""

import asyncio
import math
import pickle
from types import SimpleNamespace
from typing import Any

import pytest
from arrivals import Arrivals
from conftest import Caller, Clock, caller_of
from playing import HANGS, ONCE, PENDING, SUCCESS, Player, failed, for_permanent, for_transient, policy, token
from wonder_payment import (
    APIError,
    AsyncWonderClient,
    ConfigurationError,
    InvalidTokenError,
    NetworkError,
    PaymentToken,
    PollPolicy,
    RetryPolicy,
    StillPendingError,
    WonderClient,
    WonderError,
)
from wonder_payment._flow import Policy, Steps, wait
from wonder_payment.simulator import Fault, SimulatedGateway


def poll(timeout: float = 60.0, policy: Policy = ONCE, on_poll: Any = None) -> Steps[PaymentToken]:
    steady = PollPolicy(interval_initial=1.0, interval_max=4.0, growth=0.5, jitter=0.0)
    return wait(policy, timeout=timeout, poll=steady, on_poll=on_poll)


@pytest.mark.parametrize("end", ["success", "failed"])
def test_a_wait_returns_the_token_when_3ds_completes(play: Player, end: str) -> None:
    seen: list[PaymentToken] = []
    results = [token(state) for state in ("pending", "reviewing", "pending", end)]
    assert play(poll(on_poll=seen.append), *results) is results[-1]
    assert (seen, play.sleeps) == (results, [1.0, 1.5, 2.25])


def test_a_token_that_has_completed_costs_one_poll(play: Player) -> None:
    assert play(poll(), SUCCESS) is SUCCESS
    assert (play.began, play.sleeps) == ([0.0], [])


def test_a_wait_that_times_out_has_the_last_result(play: Player) -> None:
    last = token("reviewing")
    with pytest.raises(StillPendingError, match=r"after 9\.0 s and 6 polls: 3-D Secure was still reviewing") as caught:
        play(poll(timeout=10.0), PENDING, last)
    error = caught.value
    assert not isinstance(error, APIError | NetworkError)
    assert play.sleeps == [1.0, 1.5, 2.25, 3.375, 0.875]
    assert (error.token, error.elapsed, error.request_id) == (last, 9.0, last.request_id)
    assert (error.polls, error.attempts, error.__cause__) == (6, 6, None)
    assert pickle.loads(pickle.dumps(error)).token == last  # noqa: S301


@pytest.mark.parametrize(
    ("timeout", "final"), [(0.5, 0.45), (10.0, 9.0), (30.0, 29.0)], ids=["10% of the timeout", "both", "at most 1 s"]
)
def test_the_final_poll_runs_just_before_the_deadline(play: Player, timeout: float, final: float) -> None:
    with pytest.raises(StillPendingError):
        play(poll(timeout=timeout), PENDING)
    assert play.began[-1] == pytest.approx(final)


@for_transient
def test_a_transient_failure_does_not_end_a_wait(play: Player, failure: Any) -> None:
    assert play(poll(), PENDING, failed(failure), failed(failure), SUCCESS) is SUCCESS
    assert play.sleeps == [1.0, 1.5, 2.25]


@for_permanent
def test_a_permanent_failure_ends_a_wait_at_once(play: Player, failure: Any) -> None:
    error = failed(failure)
    with pytest.raises(type(error)) as caught:
        play(poll(), PENDING, error)
    assert (caught.value, play.sleeps) == (error, [1.0])


@for_transient
def test_a_wait_that_ends_in_a_failure_has_it_as_its_cause(play: Player, failure: Any) -> None:
    error = failed(failure)
    with pytest.raises(StillPendingError) as caught:
        play(poll(timeout=5.0), PENDING, error)
    assert (caught.value.last_error, caught.value.__cause__) == (error, error)
    assert caught.value.request_id == f"request {len(play.began)}"
    assert (caught.value.token, sum(play.sleeps)) == (PENDING, 4.5)


def test_a_wait_with_a_single_poll_says_so_in_the_singular(play: Player) -> None:
    with pytest.raises(StillPendingError, match="and 1 poll: "):
        play(poll(timeout=1.0), (0.95, PENDING))


def test_a_wait_without_a_successful_poll_has_no_token(play: Player) -> None:
    error = failed(503)
    with pytest.raises(StillPendingError, match="no poll succeeded") as caught:
        play(poll(timeout=20.0, policy=policy()), error)
    assert (caught.value.token, caught.value.__cause__) == (None, error)
    assert caught.value.attempts == len(play.began)
    assert caught.value.polls in range(2, len(play.began))


def test_a_final_poll_cut_short_by_the_deadline_leaves_the_failure_before_it(play: Player) -> None:
    error = failed(503)
    with pytest.raises(StillPendingError) as caught:
        play(poll(timeout=5.0), error, HANGS)
    assert (caught.value.last_error, caught.value.__cause__, caught.value.request_id) == (error, error, "request 1")
    assert (caught.value.attempts, caught.value.polls, play.now) == (2, 2, 5.0)


def test_a_failure_before_a_successful_poll_is_not_the_cause(play: Player) -> None:
    with pytest.raises(StillPendingError) as caught:
        play(poll(timeout=5.0), failed(500), PENDING)
    assert (caught.value.last_error, caught.value.__cause__) == (None, None)


@pytest.mark.parametrize(("retry_after", "slept"), [("0.1", 1.0), ("7", 7.0), ("3600", 59.0)])
def test_retry_after_delays_the_next_poll_but_not_past_the_final_one(
    play: Player, retry_after: str, slept: float
) -> None:
    assert play(poll(), failed(429, Retry_After=retry_after), SUCCESS) is SUCCESS
    assert play.sleeps == [slept]


def test_a_wait_polls_on_without_retries_while_the_quota_is_spent(play: Player) -> None:
    shared = policy()
    shared.quota.spent = 500
    errors = [failed(503) for _ in range(3)]
    assert play(poll(policy=shared), *errors, *[PENDING] * 2, SUCCESS) is SUCCESS
    assert play.sleeps == [1.0, 1.5, 2.25, 3.375, 4.0]
    assert shared.quota.spent == 500 - 3


def test_a_wait_that_ends_with_a_spent_quota_says_so_once(play: Player) -> None:
    shared, error = policy(), failed(503)
    shared.quota.spent = 500
    with pytest.raises(StillPendingError) as caught:
        play(poll(timeout=5.0, policy=shared), error, HANGS)
    assert caught.value.__cause__ is error
    assert str(error).count("retry quota") == 1


POLICIES = {"once": ONCE, "default": policy(), "many": policy(timeout=60.0, max_attempts=50, max_elapsed=600.0)}
RESPONSES = {
    "none": lambda: HANGS,
    "pending": lambda: (0.7, PENDING),
    "503": lambda: (1.3, failed(503)),
    "429": lambda: failed(429, Retry_After="3"),
}


@pytest.mark.parametrize("timeout", [0.01, 0.3, 8.0, 60.0])
@pytest.mark.parametrize("policy", POLICIES.values(), ids=POLICIES)
@pytest.mark.parametrize("response", RESPONSES.values(), ids=RESPONSES)
def test_polls_retries_and_delays_share_one_timeout(
    play: Player, policy: Policy, response: Any, timeout: float
) -> None:
    with pytest.raises(StillPendingError) as caught:
        play(poll(timeout, policy), response())
    assert max(play.deadlines) <= timeout
    assert caught.value.elapsed == pytest.approx(0.9 * timeout, abs=0.1 * timeout)


# Both clients


def test_a_check_retries_with_requests_of_their_own(caller: Caller, gateway: SimulatedGateway, clock: Clock) -> None:
    token = gateway.add_token(states=["success"])
    gateway.inject(Fault(status=502, times=2))
    result = caller.check(token, retry=RetryPolicy(jitter=0.0))
    requests = gateway.requests
    assert (result.is_verified, result.request_id) == (True, requests[-1].request_id)
    assert [request.status for request in requests] == [502, 502, 200]
    assert len({request.nonce for request in requests}) == len({request.request_id for request in requests}) == 3
    assert clock.slept == [0.5, 1.0]


def test_a_wait_polls_until_3ds_completes(caller: Caller, gateway: SimulatedGateway, clock: Clock) -> None:
    token = gateway.add_token()
    seen: list[PaymentToken] = []

    def on_poll(result: PaymentToken) -> None:
        seen.append(result)
        if len(seen) == 2:
            gateway.approve(token)

    assert caller.wait(token, on_poll=on_poll) is seen[2]
    assert [result.state for result in seen] == ["pending", "pending", "success"]
    assert len(clock.slept) == 2


def test_a_wait_times_out(caller: Caller, gateway: SimulatedGateway, clock: Clock) -> None:
    with pytest.raises(StillPendingError) as caught:
        caller.wait(gateway.add_token(), timeout=20.0)
    assert caught.value.request_id == gateway.requests[-1].request_id
    assert caught.value.polls == len(gateway.requests) == len(clock.slept) + 1


@pytest.mark.parametrize("is_in_flight", [False, True], ids=["between two polls", "during a poll"])
def test_cancelling_a_wait_ends_it_at_once_and_leaves_the_client_usable(
    gateway: SimulatedGateway, arrivals: Arrivals, *, is_in_flight: bool
) -> None:
    token, verified = gateway.add_token(), gateway.add_token(states=["success"])
    if is_in_flight:
        gateway.inject(Fault(delay=math.inf), token=token)

    async def main() -> None:
        async with gateway.async_client(timeout=120.0) as wonder, asyncio.timeout(60.0):
            polled = asyncio.Event()
            options: dict[str, Any] = {"timeout": 600.0, "on_poll": lambda _: polled.set()}
            poll = PollPolicy(interval_initial=120.0, interval_max=120.0)
            waiting = asyncio.create_task(wonder.wait_for_token(token, poll=poll, **options))
            await (asyncio.to_thread(arrivals.wait_until, bool) if is_in_flight else polled.wait())
            waiting.cancel()
            with pytest.raises(asyncio.CancelledError):
                await waiting
            assert (await wonder.check_token(verified)).is_verified

    asyncio.run(main())
    assert len(gateway.requests) == 2


def test_ctrl_c_ends_a_wait_at_once_and_leaves_the_client_usable(
    gateway: SimulatedGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(_seconds: float) -> None:
        raise KeyboardInterrupt

    with gateway.client() as wonder:
        with monkeypatch.context() as patch:
            patch.setattr("wonder_payment.client.time", SimpleNamespace(sleep=interrupt))
            with pytest.raises(KeyboardInterrupt):
                wonder.wait_for_token(gateway.add_token())
        assert wonder.check_token(gateway.add_token(states=["success"])).is_verified


async def a_coroutine_function(_token: PaymentToken) -> None: ...


@pytest.mark.parametrize(
    ("options", "kind"),
    [
        ({"token": "4111"}, InvalidTokenError),
        ({"customer_uuid": "me"}, InvalidTokenError),
        *(({"timeout": timeout}, ConfigurationError) for timeout in (0, -1, math.nan, math.inf, "60", None, True)),
        *(({"poll": poll}, ConfigurationError) for poll in (1.0, None)),
        *(({"on_poll": on_poll}, ConfigurationError) for on_poll in ("print", a_coroutine_function)),
    ],
    ids=lambda value: next(iter(value), None) if isinstance(value, dict) else value.__name__,
)
def test_a_bad_argument_of_a_wait_is_an_error_before_anything_is_sent(
    gateway: SimulatedGateway, options: dict[str, Any], kind: type[WonderError]
) -> None:
    with pytest.raises(kind, match=f"{next(iter(options))}.*nothing was sent"):
        caller_of("sync", gateway).wait(**options)
    assert gateway.requests == []


def test_both_clients_have_the_same_defaults_and_checks_of_a_wait(gateway: SimulatedGateway) -> None:
    assert WonderClient.wait_for_token.__kwdefaults__ == AsyncWonderClient.wait_for_token.__kwdefaults__
    with pytest.raises(ConfigurationError, match="timeout"):
        caller_of("async", gateway).wait(timeout=0)
