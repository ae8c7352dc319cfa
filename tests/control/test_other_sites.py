"""Another site in the browser can neither change nor read anything through the control API."""

import httpx
import pytest
from commands import PENDING
from control.calling import Control
from wonder_payment.simulator import Fault, SimulatedGateway


@pytest.mark.parametrize("content_type", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", ""])
@pytest.mark.parametrize("body", [b"{}", b""], ids=["body", "no body"])
def test_a_form_of_another_site_is_no_request(control: Control, content_type: str, body: bytes) -> None:
    response = control.send("POST", "/reset", content=body, headers={"Content-Type": content_type})
    assert (response.status_code, "Content-Type" in response.json()["message"]) == (415, True)


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/tokens"),
        ("DELETE", f"/tokens/{PENDING}"),
        ("POST", f"/tokens/{PENDING}/approve"),
        ("POST", f"/tokens/{PENDING}/decline"),
        ("POST", "/faults"),
        ("DELETE", "/faults"),
        ("DELETE", "/requests"),
        ("POST", "/reset"),
    ],
)
@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Origin": "https://elsewhere.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": "http://127.0.0.1:1"}, 403),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Sec-Fetch-Site": "same-site"}, 403),
        ({"Host": "rebound.example", "Origin": "http://rebound.example", "Sec-Fetch-Site": "same-origin"}, 400),
    ],
    ids=str,
)
def test_another_site_cannot_change_anything(
    gateway: SimulatedGateway, control: Control, method: str, path: str, headers: dict[str, str], status: int
) -> None:
    gateway.inject(Fault(status=502))
    before = control("GET", "/tokens"), control("GET", "/faults")
    assert control.send(method, path, headers=headers).status_code == status
    assert (control("GET", "/tokens"), control("GET", "/faults")) == before


@pytest.mark.parametrize("path", ["/tokens", f"/tokens/{PENDING}", "/faults", "/requests", "/openapi.yaml"])
def test_another_site_cannot_read_anything(control: Control, path: str) -> None:
    assert control.send("GET", path, headers={"Host": "rebound.example"}).status_code == 400
    # Without these headers a browser shows no response to another site, and asks before it sends JSON or a DELETE.
    response = httpx.get(control.address + path, headers={"Origin": "https://elsewhere.example"}, trust_env=False)
    assert not [name for name in response.headers if name.lower().startswith("access-control")]
    assert httpx.options(control.address + path, trust_env=False).status_code == 405


def test_the_api_works_under_both_names_of_this_machine(gateway: SimulatedGateway, control: Control) -> None:
    for origin in (gateway.base_url, gateway.base_url.replace("127.0.0.1", "localhost")):
        headers = {"Host": origin.removeprefix("http://"), "Origin": origin, "Sec-Fetch-Site": "same-origin"}
        assert control.send("POST", "/tokens", headers=headers).status_code == 201
