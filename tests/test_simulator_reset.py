"""The simulator's reset: it drops connections, requests and faults, and the simulator goes on."""

import math
import socket
from concurrent.futures import ThreadPoolExecutor

import pytest
from commands import VERIFIED
from conftest import CHECK, key
from wonder_payment import BadRequestError, PollPolicy, RetryPolicy, StillPendingError
from wonder_payment.simulator import TEST_TOKENS, Fault, SimulatedGateway

REQUEST = f"POST {CHECK} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 2\r\n\r\n{{}}".encode()
NEVER = RetryPolicy.never()


@pytest.mark.parametrize("sent", [0, 20, None], ids=["nothing sent", "half sent", "waiting for its response"])
def test_reset_drops_open_connections_with_their_requests(gateway: SimulatedGateway, sent: int | None) -> None:
    gateway.inject(Fault(delay=math.inf))
    with socket.create_connection(("127.0.0.1", int(gateway.base_url.rpartition(":")[2])), timeout=30) as connection:
        connection.sendall(REQUEST[:sent])
        gateway.reset()
        try:
            connection.sendall(REQUEST[len(REQUEST[:sent]) :])
            received = connection.recv(1)
        except ConnectionError:
            received = b""
    assert (received, gateway.requests) == (b"", [])


@pytest.mark.parametrize(
    "fault",
    [Fault(delay=math.inf), Fault(drip=60), Fault(drip=60, drip_headers=True)],
    ids=["delay", "body", "headers"],
)
def test_a_request_that_was_given_up_does_not_take_a_fault_after_a_reset(
    gateway: SimulatedGateway, fault: Fault
) -> None:
    address = ("127.0.0.1", int(gateway.base_url.rpartition(":")[2]))
    gateway.inject(fault)
    for _ in range(20):
        with socket.create_connection(address, timeout=30) as connection:
            connection.sendall(REQUEST * 3)  # the second one waits for the response to the first one
    gateway.reset()
    gateway.inject(Fault(status=422))
    with gateway.client(retry=NEVER) as wonder, pytest.raises(BadRequestError):
        wonder.check_token(VERIFIED)
    assert [request.status for request in gateway.requests] == [422]


def test_several_threads_may_reset_a_simulator_at_once(gateway: SimulatedGateway) -> None:
    with ThreadPoolExecutor(8) as threads:
        assert list(threads.map(lambda _: gateway.reset(), range(80))) == [None] * 80


def test_a_wait_goes_on_after_a_reset(gateway: SimulatedGateway) -> None:
    with gateway.client() as wonder:
        polls = list[object]()

        def on_poll(token: object) -> None:
            polls.append(token)
            gateway.reset()

        poll = PollPolicy(interval_initial=0.01, interval_max=0.01)
        token = next(test.token for test in TEST_TOKENS if test.make().states[0] == "pending")
        with pytest.raises(StillPendingError):
            wonder.wait_for_token(token, timeout=0.5, poll=poll, on_poll=on_poll)
    assert len(polls) > 1


def test_a_client_survives_a_reset(gateway: SimulatedGateway) -> None:
    with gateway.client(retry=NEVER) as wonder:
        for _ in range(20):
            assert wonder.check_token(VERIFIED).is_verified
            gateway.reset()


def test_a_simulator_that_is_not_running_can_be_reset() -> None:
    gateway = SimulatedGateway(private_key=key())
    token = gateway.add_token()
    gateway.reset()
    with pytest.raises(ValueError, match="has no token"):
        gateway.approve(token)
