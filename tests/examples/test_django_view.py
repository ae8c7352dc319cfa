"""The Django example, asked through a real WSGI server."""

import os
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from socketserver import ThreadingMixIn
from types import ModuleType
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer

import httpx
import pytest
from examples.programs import load
from wonder_payment.simulator import Fault, SimulatedGateway

django = pytest.importorskip("django")

pytestmark = pytest.mark.usefixtures("in_environment")


class Server(ThreadingMixIn, WSGIServer):
    """One thread a request, as Django is deployed."""

    request_queue_size = 64


class Quiet(WSGIRequestHandler):
    def log_message(self, *arguments: object) -> None:
        """Print nothing."""


@pytest.fixture(scope="module")
def example() -> ModuleType:
    """The example in a project that has nothing else; a process has one set of Django's settings."""
    from django.conf import settings  # noqa: PLC0415 (after the skip)

    example = load("django_view")
    settings.configure(
        ALLOWED_HOSTS=["127.0.0.1"], LOGGING_CONFIG=None, ROOT_URLCONF=example, SECRET_KEY=os.urandom(16).hex()
    )
    django.setup()
    return example


@pytest.fixture(scope="module")
def port(example: ModuleType) -> Iterator[int]:  # noqa: ARG001 (it sets Django up)
    """Where the site is."""
    from django.core.wsgi import get_wsgi_application  # noqa: PLC0415

    with Server(("127.0.0.1", 0), Quiet) as server:
        server.set_app(get_wsgi_application())
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server.server_port
        server.shutdown()
        thread.join()


@pytest.fixture
def page(example: ModuleType, port: int) -> Iterator[httpx.Client]:
    """A browser's side of the site, whose client is a new one."""
    with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=30, trust_env=False) as page:
        yield page
    example.wonder.cache_clear()


def ask(page: httpx.Client, token: str) -> httpx.Response:
    return page.post("/verification", data={"token": token})


def test_the_page_hears_how_3_d_secure_ended(page: httpx.Client, gateway: SimulatedGateway) -> None:
    verified = ask(page, gateway.add_token(states=["success"]))
    failed = ask(page, gateway.add_token(states=["failed"], error_code="E1"))
    assert (verified.status_code, verified.json()) == (200, {"state": "success", "error_code": None})
    assert (failed.status_code, failed.json()) == (200, {"state": "failed", "error_code": "E1"})


def test_while_it_lasts_the_page_is_told_to_ask_again(page: httpx.Client, gateway: SimulatedGateway) -> None:
    answer = ask(page, gateway.add_token())
    assert (answer.status_code, answer.headers["Retry-After"], answer.json()) == (202, "2", {"state": "pending"})
    assert len(gateway.requests) == 1


@pytest.mark.parametrize("token", ["1b9d6bcd-bbfd-4b2d-9b5d-ab8dfbbd4bed", "4111111111111111", ""])
def test_what_is_no_token_is_not_found(page: httpx.Client, token: str) -> None:
    answer = ask(page, token)
    assert (answer.status_code, answer.json()["error"]) == (404, "no such token")


@pytest.mark.parametrize(
    ("fault", "again"),
    [
        (Fault(status=401), "5"),
        (Fault(status=503, times=2), "5"),
        (Fault(status=429, headers={"Retry-After": "17"}), "17"),
    ],
    ids=["refused", "in trouble", "rate limit"],
)
def test_an_error_is_for_the_log_and_the_page_gets_the_request_id(
    page: httpx.Client,
    gateway: SimulatedGateway,
    fault: Fault,
    again: str,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(time, "sleep", lambda _seconds: None)  # nobody waits for the retries
    gateway.inject(fault)
    token = gateway.add_token(states=["success"])
    answer = ask(page, token)
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, again)
    assert answer.json() == {"error": "ask again later", "request_id": gateway.requests[-1].request_id}
    told = [record.getMessage() for record in caplog.records]
    assert len([line for line in told if str(gateway.requests[-1].request_id) in line and "Error: " in line]) == 1
    assert token not in answer.text + "".join(told)


def test_it_is_asked_by_post_alone(page: httpx.Client, gateway: SimulatedGateway) -> None:
    token = gateway.add_token()
    assert page.get("/verification", params={"token": token}).status_code == 405
    assert gateway.requests == []


def test_many_pages_share_one_client(example: ModuleType, page: httpx.Client, gateway: SimulatedGateway) -> None:
    client = example.wonder()
    tokens = [gateway.add_token(states=["success"]) for _ in range(40)]
    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda token: ask(page, token).json()["state"], tokens))
    assert answers == ["success"] * len(tokens)
    assert example.wonder() is client


def test_an_error_report_of_django_has_no_token(
    example: ModuleType, gateway: SimulatedGateway, page: httpx.Client
) -> None:
    from django.test import RequestFactory  # noqa: PLC0415
    from django.views.debug import ExceptionReporter  # noqa: PLC0415

    token = gateway.add_token()
    request = RequestFactory(SERVER_NAME=page.base_url.host).post("/verification", {"token": token})
    assert example.verification(request).status_code == 202
    report = ExceptionReporter(request, None, None, None).get_traceback_text()
    assert "'********************'" in report
    assert token not in report
