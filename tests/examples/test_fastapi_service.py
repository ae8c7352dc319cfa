"""The FastAPI example, run by a real server and asked over HTTP as its page would."""

import asyncio
import logging
import math
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from types import ModuleType
from typing import Any

import httpx
import pytest
import uvicorn
import wonder_payment
import wonder_payment.wait
from arrivals import Arrivals
from conftest import Clock
from examples.programs import LONG_LAST_POLL, load
from wonder_payment.simulator import Fault, SimulatedGateway

pytest.importorskip("fastapi")


pytestmark = pytest.mark.usefixtures("in_environment")


@pytest.fixture
def example() -> ModuleType:
    return load("fastapi_service")


class Server(uvicorn.Server):
    """Does not wake up every tenth of a second to see whether it is over."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.over = threading.Event()

    async def main_loop(self) -> None:
        await asyncio.to_thread(self.over.wait)


@pytest.fixture
def page(example: ModuleType) -> Iterator[httpx.Client]:
    """A browser's side of the service."""
    # Who connects before the service runs waits in the socket's queue.
    listener = socket.create_server(("127.0.0.1", 0))
    server = Server(uvicorn.Config(example.app, lifespan="on", log_config=None, ws="none"))
    # With this name, the thread lives by the test's clock, where the test has one.
    thread = threading.Thread(target=server.run, args=([listener],), name="wonder-payment-example")
    thread.start()
    try:
        with httpx.Client(
            base_url=f"http://127.0.0.1:{listener.getsockname()[1]}", timeout=30, trust_env=False
        ) as page:
            yield page
    finally:
        server.over.set()
        thread.join()
        listener.close()


@pytest.fixture
def long_last_poll(example: ModuleType, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> Clock:
    """Half of the wait is for the last poll, whose answer may be slow; the other half is slept, which takes no time."""
    monkeypatch.setattr(example, "PATIENCE", 10.0)
    for name, value in LONG_LAST_POLL.items():
        monkeypatch.setattr(wonder_payment.wait, name, value)
    return clock


def ask(page: httpx.Client, token: str) -> httpx.Response:
    return page.post("/verification", json={"token": token})


@pytest.mark.usefixtures("clock")
def test_the_page_hears_how_3_d_secure_ended(page: httpx.Client, gateway: SimulatedGateway) -> None:
    verified = gateway.add_token(states=["pending", "success"])
    failed = gateway.add_token(states=["failed"], error_code="E1")
    assert (ask(page, verified).status_code, ask(page, verified).json()) == (200, {"state": "success"})
    assert ask(page, failed).json() == {"state": "failed", "error_code": "E1"}


def test_while_it_lasts_the_page_is_told_to_ask_again(
    page: httpx.Client, gateway: SimulatedGateway, long_last_poll: Clock
) -> None:
    answer = ask(page, gateway.add_token())
    assert sum(long_last_poll.slept) == pytest.approx(5.0)
    assert (answer.status_code, answer.headers["Retry-After"], answer.json()) == (202, "2", {"state": "pending"})


def test_pages_that_wait_do_not_wait_for_each_other(
    example: ModuleType,
    page: httpx.Client,
    gateway: SimulatedGateway,
    arrivals: Arrivals,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(example, "PATIENCE", 25.0)
    tokens = [gateway.add_token() for _ in range(20)]
    with ThreadPoolExecutor(len(tokens)) as pool:
        answers = [pool.submit(ask, page, token) for token in tokens]
        # Each has looked before the first one ends.
        arrivals.wait_until(lambda requests: {request.token for request in requests} == set(tokens))
        for token in reversed(tokens):
            gateway.approve(token)
        assert [answer.result().json() for answer in answers] == [{"state": "success"}] * len(tokens)


@pytest.mark.parametrize(
    ("fault", "status", "error"),
    [
        (Fault(status=400), 422, "BadRequestError"),
        (Fault(status=401), 500, "AuthenticationError"),
        (Fault(status=404), 404, "NotFoundError"),
        (Fault(status=302), 502, "APIError"),
        (Fault(body="<html>"), 502, "InvalidResponseError"),
        (Fault(status=503, times=math.inf), 502, "ServerError"),
        (Fault(broken="reset before", times=math.inf), 502, "NetworkError"),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
@pytest.mark.usefixtures("long_last_poll")
def test_an_error_is_a_problem_that_names_the_request_and_no_secret(
    fault: Fault,
    status: int,
    error: str,
    example: ModuleType,
    page: httpx.Client,
    gateway: SimulatedGateway,
    caplog: pytest.LogCaptureFixture,
) -> None:
    gateway.inject(fault)
    answer_is_a_problem(status, error, example, page, gateway, caplog)


def test_a_gateway_that_does_not_answer_is_a_problem_too(
    example: ModuleType,
    page: httpx.Client,
    gateway: SimulatedGateway,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    # Real time has to pass: so much that the request comes in within it.
    monkeypatch.setattr(example, "PATIENCE", 2.0)
    gateway.inject(Fault(delay=math.inf, times=math.inf))
    answer_is_a_problem(504, "RequestTimeoutError", example, page, gateway, caplog)


def answer_is_a_problem(
    status: int,
    error: str,
    example: ModuleType,
    page: httpx.Client,
    gateway: SimulatedGateway,
    caplog: pytest.LogCaptureFixture,
) -> None:
    token = gateway.add_token(states=["success"])
    answer = ask(page, token)
    assert answer.headers["Content-Type"] == "application/problem+json"
    problem = answer.json()
    assert (answer.status_code, problem["status"], problem["error"]) == (status, status, error)
    assert problem["title"] == answer.reason_phrase
    assert problem["request_id"] in {request.request_id for request in gateway.requests}
    (line,) = [record.getMessage() for record in caplog.records if record.name == example.__name__]
    assert line.startswith(f"{error}: ")
    assert problem["request_id"] in line
    assert token not in answer.text + "".join(record.getMessage() for record in caplog.records)


@pytest.mark.usefixtures("long_last_poll")
def test_a_rate_limit_is_passed_on(page: httpx.Client, gateway: SimulatedGateway) -> None:
    gateway.inject(Fault(status=429, headers={"Retry-After": "17"}, times=math.inf))
    answer = ask(page, gateway.add_token())
    assert (answer.status_code, answer.headers["Retry-After"], answer.json()["error"]) == (503, "17", "RateLimitError")


def test_what_is_no_token_is_not_sent(page: httpx.Client, gateway: SimulatedGateway) -> None:
    answer = ask(page, "4111111111111111")
    assert (answer.status_code, answer.json()["error"]) == (422, "InvalidTokenError")
    assert "4111" not in answer.text
    assert gateway.requests == []


def kinds(kind: type[Any] = wonder_payment.WonderError) -> Iterator[type[Any]]:
    yield kind
    for subclass in kind.__subclasses__():
        yield from kinds(subclass)


def test_every_error_has_a_status(example: ModuleType, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.CRITICAL)
    statuses = {
        kind.__name__: asyncio.run(example.problem(None, kind("It went wrong."))).status_code for kind in kinds()
    }
    assert set(statuses) == {name for name in wonder_payment.__all__ if name.endswith("Error")}
    assert statuses["ConfigurationError"] == 500
    assert statuses["StillPendingError"] == 502


def test_the_client_lives_as_long_as_the_service(example: ModuleType, gateway: SimulatedGateway) -> None:
    token = gateway.add_token(states=["success"])

    async def live() -> None:
        async with example.lifespan(example.app) as state:
            assert (await state["wonder"].check_token(token)).is_verified
        with pytest.raises(wonder_payment.ConfigurationError, match="closed"):
            await state["wonder"].check_token(token)

    asyncio.run(live())


def test_a_service_without_its_settings_does_not_start(example: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WONDER_APP_ID")

    async def live() -> None:
        async with example.lifespan(example.app):
            pytest.fail("It started.")

    with pytest.raises(wonder_payment.ConfigurationError, match="WONDER_APP_ID"):
        asyncio.run(live())
