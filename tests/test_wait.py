"""wait_for_token(): until 3-D Secure ends, within one budget, for both clients."""

import asyncio
import contextlib
import logging
import math
import pickle
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import pytest
from arrivals import Arrivals
from conftest import TOKEN, Caller, Clock
from pytest_httpx import HTTPXMock
from test_check import envelope
from wonder_payment import (
    APIError,
    AsyncWonderClient,
    AuthenticationError,
    BadRequestError,
    ConfigurationError,
    InvalidResponseError,
    InvalidTokenError,
    NetworkError,
    NotFoundError,
    PaymentToken,
    PollPolicy,
    RateLimitError,
    RequestTimeoutError,
    RetryPolicy,
    ServerError,
    StillPendingError,
    WonderClient,
    WonderError,
)
from wonder_payment.simulator import WELL_KNOWN, Fault, SimulatedGateway

STEADY = PollPolicy(shortest=1.0, longest=4.0, growth=0.5, jitter=0.0)
ONCE = {"retry": RetryPolicy.never()}


@pytest.mark.parametrize("end", ["success", "failed"])
def test_a_wait_returns_the_token_once_3ds_has_ended(
    caller: Caller, gateway: SimulatedGateway, clock: Clock, end: str
) -> None:
    token = gateway.add_token(states=["pending", "reviewing", "pending", end])
    seen: list[PaymentToken] = []
    answer = caller.wait(token, poll=STEADY, on_poll=seen.append)
    assert (answer.state, answer.is_pending) == (end, False)
    assert [look.state for look in seen] == ["pending", "reviewing", "pending", end]
    assert seen[-1] is answer
    assert clock.slept == pytest.approx([1.0, 1.5, 2.25], abs=0.5)


def test_a_token_that_is_finished_already_costs_one_look(
    caller: Caller, gateway: SimulatedGateway, clock: Clock
) -> None:
    assert caller.wait(WELL_KNOWN[0].token).is_verified
    assert len(gateway.requests) == 1
    assert clock.slept == []


def test_a_wait_sees_what_another_thread_approves(caller: Caller, gateway: SimulatedGateway) -> None:
    token = gateway.add_token()
    looked = threading.Event()
    threading.Thread(target=lambda: (looked.wait(), gateway.approve(token))).start()
    answer = caller.wait(token, poll=PollPolicy(shortest=0.02), on_poll=lambda _: looked.set())
    assert answer.is_verified
    assert len(gateway.requests) >= 2


def test_when_the_time_is_over_the_last_answer_is_in_the_error(
    caller: Caller, gateway: SimulatedGateway, clock: Clock
) -> None:
    token = gateway.add_token(states=["reviewing"])
    with pytest.raises(StillPendingError, match="the state is reviewing") as caught:
        caller.wait(token, timeout=10.0, poll=STEADY)
    error = caught.value
    assert not isinstance(error, APIError | NetworkError)
    assert error.token
    assert error.token.state == "reviewing"
    assert error.elapsed == pytest.approx(10.0, abs=0.5)
    # At 0, 1, 2.5, 4.75, 8.1 s, and at the end, once more or twice.
    assert error.polls == error.attempts == len(gateway.requests)
    assert error.polls in (6, 7)
    assert error.request_id == gateway.requests[-1].request_id
    assert error.__cause__ is None
    assert sum(clock.slept) == pytest.approx(10.0, abs=0.5)
    assert pickle.loads(pickle.dumps(error)).token == error.token  # noqa: S301


TRANSIENT: list[Any] = [
    httpx.ConnectError("refused"),
    httpx.ReadTimeout("slow"),
    *({"status_code": status} for status in (408, 425, 429, 500, 502, 520, 599)),
    {"status_code": 429, "headers": {"Retry-After": "7"}},
]


def add(httpx_mock: HTTPXMock, answer: Any, **options: Any) -> None:
    if isinstance(answer, Exception):
        httpx_mock.add_exception(answer, **options)
    else:
        httpx_mock.add_response(**answer, **options)


@pytest.mark.parametrize("failure", TRANSIENT, ids=str)
def test_a_failure_that_may_pass_does_not_end_a_wait(
    caller: Caller, httpx_mock: HTTPXMock, clock: Clock, failure: Any
) -> None:
    for answer in ({"json": envelope(state="pending")}, failure, failure, {"json": envelope()}):
        add(httpx_mock, answer)
    assert caller.wait(settings=ONCE, poll=STEADY).is_verified
    assert len(httpx_mock.get_requests()) == 4
    assert clock.slept == pytest.approx([1.0, 7.0, 7.0] if "Retry-After" in str(failure) else [1.0, 1.5, 2.25], abs=0.5)


@pytest.mark.parametrize("failure", TRANSIENT, ids=str)
def test_a_wait_that_ends_in_a_failure_has_it_as_its_cause(
    caller: Caller, httpx_mock: HTTPXMock, clock: Clock, failure: Any
) -> None:
    httpx_mock.add_response(json=envelope(state="pending"))
    add(httpx_mock, failure, is_reusable=True)
    with pytest.raises(StillPendingError) as caught:
        caller.wait(settings=ONCE, timeout=5.0, poll=STEADY)
    cause = caught.value.__cause__
    assert isinstance(cause, NetworkError | APIError)
    assert cause.request_id == caught.value.request_id == httpx_mock.get_requests()[-1].headers["X-Request-ID"]
    assert caught.value.token
    assert caught.value.token.is_pending
    assert sum(clock.slept) == pytest.approx(5.0, abs=0.5)


def test_a_wait_whose_looks_all_fail_knows_no_token(caller: Caller, httpx_mock: HTTPXMock, clock: Clock) -> None:
    httpx_mock.add_response(status_code=503, is_reusable=True)
    with pytest.raises(StillPendingError, match="none was answered") as caught:
        caller.wait(timeout=20.0)
    assert caught.value.token is None
    assert isinstance(caught.value.__cause__, ServerError)
    assert caught.value.attempts == len(httpx_mock.get_requests()) > caught.value.polls
    assert 18.5 < sum(clock.slept) <= 20.0


def test_a_last_look_that_the_budget_cut_short_leaves_the_failure_before_it(
    caller: Caller, httpx_mock: HTTPXMock, clock: Clock
) -> None:
    httpx_mock.add_response(status_code=503)
    httpx_mock.add_exception(httpx.ReadTimeout("slow"), is_reusable=True)
    with pytest.raises(StillPendingError) as caught:
        caller.wait(settings=ONCE, timeout=5.0)
    assert isinstance(caught.value.__cause__, ServerError)
    assert caught.value.attempts == len(httpx_mock.get_requests()) > 1
    assert caught.value.request_id == httpx_mock.get_requests()[0].headers["X-Request-ID"]
    assert clock.slept


def test_a_failure_that_passed_is_no_longer_the_cause(caller: Caller, httpx_mock: HTTPXMock, clock: Clock) -> None:
    httpx_mock.add_response(status_code=500)
    httpx_mock.add_response(json=envelope(state="pending"), is_reusable=True)
    with pytest.raises(StillPendingError) as caught:
        caller.wait(settings=ONCE, timeout=5.0)
    assert caught.value.__cause__ is None
    assert clock.slept


def test_a_retry_after_longer_than_the_budget_leaves_one_last_look(
    caller: Caller, httpx_mock: HTTPXMock, clock: Clock
) -> None:
    httpx_mock.add_response(status_code=429, headers={"Retry-After": "3600"})
    httpx_mock.add_response(json=envelope())
    assert caller.wait(timeout=30.0).is_verified
    assert len(clock.slept) == 1
    assert 25.0 < clock.slept[0] < 30.0


def test_retries_and_looks_share_one_budget(caller: Caller, httpx_mock: HTTPXMock, clock: Clock) -> None:
    httpx_mock.add_response(status_code=429, headers={"Retry-After": "3"}, is_reusable=True)
    with pytest.raises(StillPendingError) as caught:
        caller.wait(timeout=8.0, settings={"retry": RetryPolicy(max_attempts=50, max_elapsed=600.0)})
    assert isinstance(caught.value.__cause__, RateLimitError)
    assert 7.0 < sum(clock.slept) <= 8.0


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        ({"status_code": 400}, BadRequestError),
        ({"status_code": 401}, AuthenticationError),
        ({"status_code": 403}, AuthenticationError),
        ({"status_code": 404}, NotFoundError),
        ({"status_code": 302, "headers": {"Location": "/"}}, APIError),
        ({"json": envelope(state=None)}, InvalidResponseError),
        ({"content": b""}, InvalidResponseError),
        ({"json": {"code": "E1", "message": "in a 200"}}, APIError),
    ],
)
def test_a_refusal_that_will_not_change_ends_a_wait_at_once(
    caller: Caller, httpx_mock: HTTPXMock, clock: Clock, answer: Any, kind: type[WonderError]
) -> None:
    httpx_mock.add_response(json=envelope(state="pending"))
    add(httpx_mock, answer)
    with pytest.raises(kind) as caught:
        caller.wait(poll=STEADY)
    assert type(caught.value) is kind
    assert len(clock.slept) == 1


@contextmanager
def a_port_nobody_accepts_on() -> Iterator[str]:
    """A listening socket whose queue is full: connecting to it hangs."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as listener:
        address = listener.getsockname()
        fillers = [socket.socket() for _ in range(4)]
        for filler in fillers:
            filler.settimeout(0)
            filler.connect_ex(address)
        try:
            yield f"http://127.0.0.1:{address[1]}"
        finally:
            for filler in fillers:
                filler.close()


A_LONG_TIME = 30.0

HANGING = [
    pytest.param(Fault(delay=math.inf, times=math.inf), id="before it answers"),
    pytest.param(Fault(drip=0.05, times=math.inf), id="dripping the body"),
    pytest.param(Fault(drip=0.25, times=math.inf), id="dripping the body slowly"),
    pytest.param(Fault(drip=0.05, drip_headers=True, times=math.inf), id="dripping the headers"),
    pytest.param(None, id="on connect"),
]


@pytest.mark.parametrize("fault", HANGING)
def test_a_wait_keeps_its_budget_when_the_gateway_hangs(
    caller: Caller, gateway: SimulatedGateway, fault: Fault | None
) -> None:
    if fault and fault.drip_headers and not caller.is_async:
        pytest.skip("httpx's sync client waits anew for each piece of the headers")
    token = gateway.add_token()
    with a_port_nobody_accepts_on() as url:
        if fault:
            gateway.inject(fault)
        began = time.monotonic()
        with pytest.raises(StillPendingError) as caught:
            caller.wait(token, timeout=0.3, settings={"timeout": A_LONG_TIME} | ({} if fault else {"base_url": url}))
    # A busy machine may take a while, but nothing has waited for the attempt's own timeout.
    assert time.monotonic() - began < A_LONG_TIME
    assert isinstance(caught.value.__cause__, RequestTimeoutError)


@contextmanager
def a_server_that_drips(answer: bytes, *, head: bytes) -> Iterator[str]:
    """A server that answers with a head at once, and then with a byte every 0.25 s."""

    def serve() -> None:
        with contextlib.suppress(OSError):  # it is over
            while True:
                connection, _ = listener.accept()
                connections.append(connection)
                connection.recv(65536)
                connection.sendall(head)
                for byte in answer:
                    if over.wait(0.25):
                        return
                    connection.sendall(bytes([byte]))

    over, connections = threading.Event(), list[socket.socket]()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            over.set()
            listener.shutdown(socket.SHUT_RDWR)
            thread.join()
            for connection in connections:
                connection.close()


def test_a_wait_keeps_its_budget_when_a_chunk_never_begins(caller: Caller) -> None:
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    began = time.monotonic()
    with a_server_that_drips(b"1f0;extension=" + b"a" * 100, head=head) as url, pytest.raises(StillPendingError):
        caller.wait(timeout=0.3, settings={"base_url": url, "timeout": A_LONG_TIME})
    assert time.monotonic() - began < A_LONG_TIME


class Stop(Exception):  # noqa: N818
    """Whatever a caller's own code raises."""


@pytest.mark.parametrize("error", [Stop(), NetworkError("of the caller's own making"), KeyboardInterrupt()], ids=repr)
def test_what_on_poll_raises_reaches_the_caller(
    caller: Caller, gateway: SimulatedGateway, error: BaseException
) -> None:
    def stop(_token: PaymentToken) -> None:
        raise error

    with pytest.raises(type(error)) as caught:
        caller.wait(gateway.add_token(), on_poll=stop)
    assert caught.value is error
    assert len(gateway.requests) == 1


@pytest.mark.parametrize("number", [4, 11], ids=["between two looks", "during a look"])
def test_cancelling_ends_a_wait_at_once_and_leaves_the_client_usable(
    gateway: SimulatedGateway, arrivals: Arrivals, number: int
) -> None:
    async def main() -> None:
        async with gateway.async_client(timeout=A_LONG_TIME) as wonder:
            token, seen = WELL_KNOWN[number - 1].token, asyncio.Event()
            poll = PollPolicy(shortest=A_LONG_TIME, longest=A_LONG_TIME)
            options: dict[str, Any] = {"timeout": 10 * A_LONG_TIME, "poll": poll, "on_poll": lambda _: seen.set()}
            waiting = asyncio.create_task(wonder.wait_for_token(token, **options))
            await asyncio.to_thread(arrivals.wait_until, bool)
            if number == 4:
                await seen.wait()
            waiting.cancel()
            # Whoever waited for the answer or for the next poll would take longer.
            async with asyncio.timeout(A_LONG_TIME / 2):
                with pytest.raises(asyncio.CancelledError):
                    await waiting
            assert (await wonder.check_token(WELL_KNOWN[0].token)).is_verified

    asyncio.run(main())
    assert len(gateway.requests) == 2


def test_ctrl_c_ends_a_wait_at_once_and_leaves_the_client_usable(
    gateway: SimulatedGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(_seconds: float) -> None:
        raise KeyboardInterrupt

    with gateway.client() as wonder:
        with monkeypatch.context() as patch:
            patch.setattr(time, "sleep", interrupt)
            with pytest.raises(KeyboardInterrupt):
                wonder.wait_for_token(WELL_KNOWN[3].token)
        assert wonder.check_token(WELL_KNOWN[0].token).is_verified


async def a_coroutine_function(_token: PaymentToken) -> None:
    """Nobody would await it."""


@pytest.mark.parametrize(
    ("options", "kind"),
    [
        ({"token": "4111"}, InvalidTokenError),
        ({"customer_uuid": "me"}, InvalidTokenError),
        *(({"timeout": timeout}, ConfigurationError) for timeout in (0, -1, math.nan, math.inf, "60", None, True)),
        ({"poll": 1.0}, ConfigurationError),
        ({"poll": None}, ConfigurationError),
        ({"on_poll": "print"}, ConfigurationError),
        ({"on_poll": a_coroutine_function}, ConfigurationError),
    ],
)
def test_bad_arguments_are_told_before_anything_is_sent(
    caller: Caller, gateway: SimulatedGateway, options: dict[str, Any], kind: type[WonderError]
) -> None:
    with pytest.raises(kind, match="nothing was sent"):
        caller.wait(**{"token": TOKEN, **options})
    assert gateway.requests == []


@pytest.mark.parametrize("field", ["shortest", "longest", "growth", "jitter"])
@pytest.mark.parametrize("value", [-1, math.nan, math.inf, "1", None, True, 10**400])
def test_a_poll_policy_refuses_a_value_out_of_bounds_and_names_the_field(field: str, value: Any) -> None:
    with pytest.raises(ConfigurationError, match=field):
        PollPolicy(**{field: value})


@pytest.mark.parametrize(
    "settings", [{"shortest": 0}, {"longest": 0}, {"shortest": 2.0, "longest": 1.0}, {"jitter": 1}]
)
def test_a_poll_policy_never_stands_still(settings: dict[str, float]) -> None:
    with pytest.raises(ConfigurationError):
        PollPolicy(**settings)


def test_the_delay_between_looks_grows_with_the_time_waited_up_to_its_bound() -> None:
    policy = PollPolicy(shortest=0.5, longest=3.0, growth=0.1, jitter=0.0)
    assert [policy.delay(elapsed) for elapsed in (0, 5, 10, 25, 1e9)] == [0.5, 1.0, 1.5, 3.0, 3.0]


def test_the_delay_is_off_at_random_by_the_jitter_and_no_more() -> None:
    delays = [PollPolicy(shortest=1.0, growth=0.0, jitter=0.2).delay(0) for _ in range(2_000)]
    assert 0.8 <= min(delays) < 0.82
    assert 1.18 < max(delays) <= 1.2


def test_a_policy_is_pickled_and_compared_by_value() -> None:
    policy = PollPolicy(shortest=0.7)
    assert pickle.loads(pickle.dumps(policy)) == policy  # noqa: S301


def test_both_clients_wait_alike() -> None:
    assert WonderClient.wait_for_token.__kwdefaults__ == AsyncWonderClient.wait_for_token.__kwdefaults__


def test_a_wait_logs_no_token(caller: Caller, gateway: SimulatedGateway, caplog: pytest.LogCaptureFixture) -> None:
    token = gateway.add_token(states=["pending", "success"])
    with caplog.at_level(logging.DEBUG, "wonder_payment"):
        caller.wait(token, poll=PollPolicy(shortest=0.01))
    assert len([record for record in caplog.records if record.name == "wonder_payment"]) == 2
    assert token not in caplog.text
