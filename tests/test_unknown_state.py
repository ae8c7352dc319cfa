"""A token of an unknown state counts as pending, and each client logs the state once."""

import logging
import sys
from threading import Barrier, Thread

import httpx
import pytest
from conftest import Kind, for_both_clients
from faults.responses import TOKEN, good, received
from playing import SUCCESS, Player, policy, token
from transports import caller
from wonder_payment import PaymentToken, TokenState
from wonder_payment._flow import Policy, attempts, check, wait
from wonder_payment.retry import PollPolicy


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    assert {record.name for record in caplog.records} <= {"wonder_payment"}
    return [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]


def check_each(play: Player, policy: Policy, *states: str) -> None:
    for state in states:
        assert play(check(policy), token(state)).state == state


@pytest.mark.parametrize("state", ["reviewing", "SUCCESS", "", "Success "])
def test_an_unknown_state_counts_as_pending(play: Player, state: str) -> None:
    result = received(good(state=state))
    assert isinstance(result, PaymentToken)
    assert (result.state, result.is_pending, result.is_verified, result.is_failed) == (state, True, False, False)
    steps = wait(policy(), timeout=60.0, poll=PollPolicy(jitter=0.0), on_poll=None)
    assert play(steps, token(state), SUCCESS) is SUCCESS


def test_an_unknown_state_is_logged_once_per_client(play: Player, caplog: pytest.LogCaptureFixture) -> None:
    one, other = policy(), policy()
    check_each(play, one, *TokenState, "reviewing", "reviewing", "another")
    message = "unknown state reviewing counts as pending (request id the request of a reviewing token)"
    assert warnings(caplog) == [message]
    check_each(play, other, "reviewing")
    assert warnings(caplog) == [message, message]


def test_the_log_quotes_no_secret_of_a_state(play: Player, caplog: pytest.LogCaptureFixture) -> None:
    check_each(play, policy(), f"see {TOKEN}\n4111 1111 1111 1111")
    assert [text.partition(" (")[0] for text in warnings(caplog)] == ["unknown state see …4bed …1111 counts as pending"]


@for_both_clients
def test_a_client_logs_an_unknown_state_once(kind: Kind, caplog: pytest.LogCaptureFixture) -> None:
    call = caller(kind, lambda _request: httpx.Response(200, json=good(state="reviewing")))
    result = call.check(times=3)
    assert result.is_pending
    assert len(warnings(caplog)) == 1
    assert "unknown state reviewing" in warnings(caplog)[0]
    call.check()
    assert len(warnings(caplog)) == 2


def test_threads_that_share_a_client_log_an_unknown_state_once(caplog: pytest.LogCaptureFixture) -> None:
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        for _ in range(50):
            caplog.clear()
            shared, together = policy(), Barrier(16)

            def attempt(shared: Policy = shared, together: Barrier = together) -> None:
                steps = attempts(shared)
                next(steps)
                together.wait()
                with pytest.raises(StopIteration):
                    steps.send(token("reviewing"))

            threads = [Thread(target=attempt) for _ in range(16)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            assert len(warnings(caplog)) == 1
    finally:
        sys.setswitchinterval(interval)
