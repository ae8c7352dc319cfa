"""The Django view on a real WSGI server."""

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
    """One thread per request, as Django is deployed."""

    request_queue_size = 64


class Quiet(WSGIRequestHandler):
    def log_message(self, *arguments: object) -> None:
        """Print nothing."""


@pytest.fixture(scope="session")
def example() -> ModuleType:
    """The example as the only app of a project. A process has one set of Django settings.

    Of the session, not of the module: pytest-xdist can give a worker other modules' tests in between.
    """
    from django.conf import settings  # noqa: PLC0415 (after the skip)

    example = load("django_view")
    settings.configure(
        ALLOWED_HOSTS=["127.0.0.1"], LOGGING_CONFIG=None, ROOT_URLCONF=example, SECRET_KEY=os.urandom(16).hex()
    )
    django.setup()
    return example


@pytest.fixture(scope="module")
def port(example: ModuleType) -> Iterator[int]:  # noqa: ARG001 (sets Django up)
    """The port of the site."""
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
    """The browser's side of the site, which starts with a new client."""
    with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=30, trust_env=False) as page:
        yield page
    example.wonder.cache_clear()


def verify(page: httpx.Client, token: str) -> httpx.Response:
    return page.post("/verification", data={"token": token})


def test_the_response_has_the_final_state(page: httpx.Client, gateway: SimulatedGateway) -> None:
    verified = verify(page, gateway.add_token(states=["success"]))
    failed = verify(page, gateway.add_token(states=["failed"], error_code="E1"))
    assert (verified.status_code, verified.json()) == (200, {"state": "success", "error_code": None})
    assert (failed.status_code, failed.json()) == (200, {"state": "failed", "error_code": "E1"})


def test_a_pending_token_is_202_with_retry_after(page: httpx.Client, gateway: SimulatedGateway) -> None:
    response = verify(page, gateway.add_token())
    assert (response.status_code, response.headers["Retry-After"], response.json()) == (202, "2", {"state": "pending"})
    assert len(gateway.requests) == 1


@pytest.mark.parametrize(
    "token", ["1b9d6bcd-bbfd-4b2d-9b5d-ab8dfbbd4bed", "4111111111111111", ""], ids=["unknown", "no UUID", "empty"]
)
def test_an_unknown_token_is_404(page: httpx.Client, token: str) -> None:
    response = verify(page, token)
    assert (response.status_code, response.json()["error"]) == (404, "no such token")


@pytest.mark.parametrize(
    ("fault", "retry_after"),
    [
        (Fault(status=401), "5"),
        (Fault(status=503, times=2), "5"),
        (Fault(status=429, headers={"Retry-After": "17"}), "17"),
    ],
    ids=["rejected", "server error", "rate limit"],
)
def test_an_error_is_logged_and_the_response_has_the_request_id(
    page: httpx.Client,
    gateway: SimulatedGateway,
    fault: Fault,
    retry_after: str,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(time, "sleep", lambda _seconds: None)
    gateway.inject(fault)
    token = gateway.add_token(states=["success"])
    response = verify(page, token)
    assert (response.status_code, response.headers["Retry-After"]) == (503, retry_after)
    assert response.json() == {"error": "retry later", "request_id": gateway.requests[-1].request_id}
    logged = [record.getMessage() for record in caplog.records]
    assert len([line for line in logged if str(gateway.requests[-1].request_id) in line and "Error: " in line]) == 1
    assert token not in response.text + "".join(logged)


def test_only_post_is_allowed(page: httpx.Client, gateway: SimulatedGateway) -> None:
    token = gateway.add_token()
    assert page.get("/verification", params={"token": token}).status_code == 405
    assert gateway.requests == []


def test_concurrent_requests_share_one_client(
    example: ModuleType, page: httpx.Client, gateway: SimulatedGateway
) -> None:
    client = example.wonder()
    tokens = [gateway.add_token(states=["success"]) for _ in range(40)]
    with ThreadPoolExecutor(16) as pool:
        states = list(pool.map(lambda token: verify(page, token).json()["state"], tokens))
    assert states == ["success"] * len(tokens)
    assert example.wonder() is client


def test_a_django_error_report_does_not_have_the_token(
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
