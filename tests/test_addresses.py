"""A host with several addresses, of which some never accept a connection."""

import socket
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from conftest import caller_of, for_all_transports
from faults.servers import VERIFIED
from wonder_payment import RetryPolicy
from wonder_payment.simulator import SimulatedGateway

# On a busy machine a timeout may also end an attempt that would get its response: this makes as many as it takes.
PATIENT = RetryPolicy(max_attempts=1_000, max_elapsed=1e6, backoff_initial=0.0)


@pytest.fixture
def port(gateway: SimulatedGateway, monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """The port of ``localhost`` with seven dead addresses before the simulator's."""
    port = int(gateway.base_url.rpartition(":")[2])
    hosts = [*(f"127.0.1.{number}" for number in range(1, 8)), "127.0.0.1"]
    look_up = socket.getaddrinfo

    def eight(host: Any, port: Any, *arguments: Any, **options: Any) -> Any:
        if host not in ("localhost", b"localhost"):
            return look_up(host, port, *arguments, **options)
        return [(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", (host, port or 0)) for host in hosts]

    with ExitStack() as stack:
        for host in hosts[:-1]:
            # The queue of the listening socket is full: connecting to it hangs.
            stack.enter_context(socket.create_server((host, port), backlog=0))
            for _ in range(4):
                filler = stack.enter_context(socket.socket())
                filler.settimeout(0)
                filler.connect_ex((host, port))
        monkeypatch.setattr(socket, "getaddrinfo", eight)
        yield port


@for_all_transports
def test_the_one_good_address_among_eight_is_reached_within_the_timeout(
    gateway: SimulatedGateway, port: int, name: str
) -> None:
    # The async transports try the next address after a quarter of a second.
    timeout = 5.0 if name.startswith("async") else 1.0
    settings = {"base_url": f"http://localhost:{port}", "timeout": timeout, "retry": PATIENT}
    assert caller_of(name, gateway).check(VERIFIED, **settings).is_verified
