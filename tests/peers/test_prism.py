"""Prism: a gateway made from openapi.yaml alone, and a proxy that validates requests and responses against it."""

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from commands import ALIPAY, FAILED, PENDING, VERIFIED
from conftest import TOKEN, Caller, caller_of
from peers.serving import free_port, serving
from wonder_payment import (
    AuthenticationError,
    BadRequestError,
    NotFoundError,
    RateLimitError,
    ServerError,
    WonderError,
)
from wonder_payment.simulator import TEST_CUSTOMER_UUID, TEST_VERIFY_UUID, SimulatedGateway

CONTRACT = str(Path(__file__).parents[2] / "openapi.yaml")


class Preferring(httpx.HTTPTransport):
    """Asks Prism for one of the contract's responses."""

    def __init__(self, preference: str) -> None:
        super().__init__()
        self._preference = preference

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        request.headers["Prefer"] = self._preference
        return super().handle_request(request)


@pytest.fixture(scope="module")
def mock(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A gateway that has only the contract."""
    port = free_port()
    command = ["prism", "mock", CONTRACT, "--host", "127.0.0.1", "--port", str(port)]
    with serving(command, tmp_path_factory.mktemp("prism"), port):
        yield f"http://127.0.0.1:{port}"


@pytest.fixture
def proxy(gateway: SimulatedGateway, tmp_path: Path) -> Iterator[str]:
    """A proxy in front of the simulator. It responds with an error to a request or a response against the contract."""
    port = free_port()
    command = ["prism", "proxy", CONTRACT, gateway.base_url, "--errors", "--host", "127.0.0.1", "--port", str(port)]
    with serving(command, tmp_path, port):
        yield f"http://127.0.0.1:{port}"


def test_a_gateway_made_from_the_contract_is_understood(mock: str, caller: Caller) -> None:
    assert caller.check(base_url=mock).is_pending


@pytest.mark.parametrize(
    ("example", "state"), [("pending", "pending"), ("success", "success"), ("failed", "failed"), ("old", "success")]
)
def test_every_example_of_the_contract_is_a_result(
    mock: str, gateway: SimulatedGateway, example: str, state: str
) -> None:
    transport = Preferring(f"example={example}")
    assert caller_of("sync", gateway).check(base_url=mock, transport=transport).state == state


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, BadRequestError),
        (401, AuthenticationError),
        (403, AuthenticationError),
        (404, NotFoundError),
        (422, BadRequestError),
        (429, RateLimitError),
        (500, ServerError),
    ],
)
def test_every_error_response_of_the_contract_is_its_error(
    mock: str, gateway: SimulatedGateway, status: int, kind: type[WonderError]
) -> None:
    with pytest.raises(kind):
        caller_of("sync", gateway).check(base_url=mock, transport=Preferring(f"code={status}"))


def test_requests_and_responses_pass_a_validating_proxy(proxy: str, gateway: SimulatedGateway, caller: Caller) -> None:
    states = [caller.check(token, base_url=proxy).state for token in (VERIFIED, FAILED, PENDING, ALIPAY)]
    assert states == ["success", "failed", "pending", "success"]
    with_all = {"customer_uuid": TEST_CUSTOMER_UUID, "verify_uuid": TEST_VERIFY_UUID}
    assert caller.wait(VERIFIED, settings={"base_url": proxy, "language": "zh-HK"}, **with_all).is_verified
    with pytest.raises(NotFoundError):
        caller.check(TOKEN, base_url=proxy)
    assert [request.status for request in gateway.requests] == [200, 200, 200, 200, 200, 404]


def test_the_proxy_stops_a_request_against_the_contract(proxy: str, gateway: SimulatedGateway) -> None:
    response = httpx.post(f"{proxy}/svc/payment/api/v1/openapi/customers/uuid/payment_tokens/check", json={})
    assert response.is_client_error
    assert gateway.requests == []
