"""The FastAPI service on a real server."""

import asyncio
import logging
import math
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from types import ModuleType

import httpx
import pytest
import uvicorn
import wonder_payment
from arrivals import Arrivals
from conftest import Clock
from examples.programs import LONG_FINAL_POLL, load
from wonder_payment import _flow
from wonder_payment.simulator import Fault, SimulatedGateway

pytest.importorskip("fastapi")


pytestmark = pytest.mark.usefixtures("in_environment")


@pytest.fixture
def example() -> ModuleType:
    return load("fastapi_service")


class Server(uvicorn.Server):
    """Ends without polling every tenth of a second whether it should."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.stopped = threading.Event()

    async def main_loop(self) -> None:
        await asyncio.to_thread(self.stopped.wait)


@pytest.fixture
def page(example: ModuleType) -> Iterator[httpx.Client]:
    """The browser's side of the service."""
    # A connection made before the service runs waits in the socket's queue.
    listener = socket.create_server(("127.0.0.1", 0))
    server = Server(uvicorn.Config(example.app, lifespan="on", log_config=None, ws="none"))
    # With this name, the thread uses the test's clock, if the test has one.
    thread = threading.Thread(target=server.run, args=([listener],), name="wonder-payment-example")
    thread.start()
    base_url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    try:
        with httpx.Client(base_url=base_url, timeout=30, trust_env=False) as page:
            yield page
    finally:
        server.stopped.set()
        thread.join()
        listener.close()


@pytest.fixture
def long_final_poll(example: ModuleType, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> Clock:
    """Half of the wait is left for a slow final poll. The other half passes by sleeping, which takes no time."""
    monkeypatch.setattr(example, "TIMEOUT", 10.0)
    for name, value in LONG_FINAL_POLL.items():
        monkeypatch.setattr(_flow, name, value)
    return clock


def verify(page: httpx.Client, token: str) -> httpx.Response:
    return page.post("/verification", json={"token": token})


@pytest.mark.usefixtures("clock")
def test_the_response_has_the_final_state(page: httpx.Client, gateway: SimulatedGateway) -> None:
    verified = verify(page, gateway.add_token(states=["pending", "success"]))
    failed = verify(page, gateway.add_token(states=["failed"], error_code="E1"))
    assert (verified.status_code, verified.json()) == (200, {"state": "success"})
    assert (failed.status_code, failed.json()) == (200, {"state": "failed", "error_code": "E1"})


def test_a_pending_token_is_202_with_retry_after(
    page: httpx.Client, gateway: SimulatedGateway, long_final_poll: Clock
) -> None:
    response = verify(page, gateway.add_token())
    assert (response.status_code, response.headers["Retry-After"], response.json()) == (202, "2", {"state": "pending"})
    assert sum(long_final_poll.slept) == pytest.approx(5.0)


def test_waits_do_not_block_each_other(
    example: ModuleType,
    page: httpx.Client,
    gateway: SimulatedGateway,
    arrivals: Arrivals,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(example, "TIMEOUT", 25.0)
    tokens = [gateway.add_token() for _ in range(20)]
    with ThreadPoolExecutor(len(tokens)) as pool:
        responses = [pool.submit(verify, page, token) for token in tokens]
        # Each is polled before the first one completes.
        arrivals.wait_until(lambda requests: {request.token for request in requests} == set(tokens))
        for token in reversed(tokens):
            gateway.approve(token)
        assert [response.result().json() for response in responses] == [{"state": "success"}] * len(tokens)


ERRORS = [
    (Fault(status=400), 422, "BadRequestError"),
    (Fault(status=401), 500, "AuthenticationError"),
    (Fault(status=404), 404, "NotFoundError"),
    (Fault(status=302), 502, "APIError"),
    (Fault(body="<html>"), 502, "InvalidResponseError"),
    (Fault(status=503, times=math.inf), 502, "ServerError"),
    (Fault(broken="reset before", times=math.inf), 502, "NetworkError"),
    (Fault(delay=math.inf, times=math.inf), 504, "RequestTimeoutError"),
]


@pytest.mark.parametrize(("fault", "status", "error"), ERRORS, ids=[error for _, _, error in ERRORS])
def test_an_error_becomes_a_problem_with_the_request_id_and_no_secret(
    fault: Fault,
    status: int,
    error: str,
    request: pytest.FixtureRequest,
    example: ModuleType,
    page: httpx.Client,
    gateway: SimulatedGateway,
    caplog: pytest.LogCaptureFixture,
) -> None:
    if error == "RequestTimeoutError":
        example.TIMEOUT = 2.0  # of real time
    else:
        request.getfixturevalue("long_final_poll")
    gateway.inject(fault)
    token = gateway.add_token(states=["success"])
    response = verify(page, token)
    problem = response.json()
    assert response.headers["Content-Type"] == "application/problem+json"
    assert (response.status_code, problem["status"], problem["error"]) == (status, status, error)
    assert problem["title"] == response.reason_phrase
    assert problem["request_id"] in {request.request_id for request in gateway.requests}
    (line,) = [record.getMessage() for record in caplog.records if record.name == example.__name__]
    assert line.startswith(f"{error}: ")
    assert problem["request_id"] in line
    assert token not in response.text + "".join(record.getMessage() for record in caplog.records)


@pytest.mark.usefixtures("long_final_poll")
def test_the_retry_after_of_a_rate_limit_is_passed_on(page: httpx.Client, gateway: SimulatedGateway) -> None:
    gateway.inject(Fault(status=429, headers={"Retry-After": "17"}, times=math.inf))
    response = verify(page, gateway.add_token())
    problem = (response.status_code, response.headers["Retry-After"], response.json()["error"])
    assert problem == (503, "17", "RateLimitError")


def test_an_invalid_token_is_not_sent(page: httpx.Client, gateway: SimulatedGateway) -> None:
    response = verify(page, "4111111111111111")
    assert (response.status_code, response.json()["error"]) == (422, "InvalidTokenError")
    assert "4111" not in response.text
    assert gateway.requests == []


def test_every_error_has_a_status(example: ModuleType, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.CRITICAL)
    names = [name for name in wonder_payment.__all__ if name.endswith("Error")]
    statuses = {name: asyncio.run(example.problem(None, getattr(wonder_payment, name)())).status_code for name in names}
    assert set(statuses.values()) == {404, 422, 500, 502, 503, 504}
    assert statuses["ConfigurationError"] == 500
    assert statuses["StillPendingError"] == 502


def test_the_client_is_closed_with_the_service(example: ModuleType, gateway: SimulatedGateway) -> None:
    token = gateway.add_token(states=["success"])

    async def serve() -> None:
        async with example.lifespan(example.app) as state:
            assert (await state["wonder"].check_token(token)).is_verified
        with pytest.raises(wonder_payment.ConfigurationError, match="closed"):
            await state["wonder"].check_token(token)

    asyncio.run(serve())


def test_a_service_without_settings_does_not_start(example: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WONDER_APP_ID")

    async def serve() -> None:
        async with example.lifespan(example.app):
            pytest.fail("The service started.")

    with pytest.raises(wonder_payment.ConfigurationError, match="WONDER_APP_ID"):
        asyncio.run(serve())
