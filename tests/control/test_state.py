"""The tokens, faults and requests that the control API adds, lists and deletes, and its reset."""

import math
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest
from commands import PENDING, VERIFIED
from conftest import CHECK, TOKEN
from control.calling import Control
from wonder_payment import NetworkError, RetryPolicy, ServerError
from wonder_payment.simulator import TEST_TOKENS, Fault, SimulatedGateway

NEVER = RetryPolicy.never()


def test_a_token_is_added_listed_settled_and_deleted(gateway: SimulatedGateway, control: Control) -> None:
    token = control("POST", "/tokens", {"states": ["pending", "success"]})
    path = f"/tokens/{token['token']}"
    assert (token["state"], token["polls"], token["behaviour"]) == ("pending", 0, None)
    with gateway.client() as wonder:
        assert wonder.check_token(token["token"]).is_pending
        assert control("GET", path) == token | {"state": "success", "polls": 1}
        assert control("GET", "/tokens")["tokens"][-1] == token | {"state": "success", "polls": 1}
        assert control("POST", f"{path}/decline", {"error_code": "E1", "error_message": "m"})["state"] == "failed"
        result = wonder.check_token(token["token"])
        assert (result.error_code, result.error_message) == ("E1", "m")
        assert control("POST", f"{path.upper().replace('/TOKENS', '/tokens')}/approve")["error_code"] is None
        assert wonder.check_token(token["token"]).is_verified
    control("DELETE", path)
    assert control.send("GET", path).status_code == 404


def test_the_test_tokens_are_listed_with_their_behaviours(control: Control) -> None:
    listed = [(token["token"], token["behaviour"]) for token in control("GET", "/tokens")["tokens"]]
    assert listed == [(test.token, test.behaviour) for test in TEST_TOKENS]


def test_the_page_shows_the_rest_after_a_test_token_was_deleted(gateway: SimulatedGateway, control: Control) -> None:
    control("DELETE", f"/tokens/{VERIFIED}")
    page = httpx.get(gateway.base_url, trust_env=False)
    assert (page.status_code, VERIFIED in page.text, PENDING in page.text) == (200, False, True)


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"states": ["failed"], "error_code": "E1", "error_message": "m"},
        {"states": ["success"], "after": 0.5},
        {"token_type": "AlipayAutoDebit", "card": None},
        {"card": {"number": "1", "brand": None}},
        {"customer_uuid": TOKEN, "verify_uuid": TOKEN.upper()},
        {"customer_uuid": None, "verify_uuid": None, "after": None, "error_code": None},
    ],
    ids=str,
)
def test_a_new_token_has_the_fields_that_were_sent(control: Control, body: dict[str, Any]) -> None:
    token = control("POST", "/tokens", body)
    for name, value in body.items():
        if value is None and name.endswith("uuid"):
            continue
        assert token[name] == (value.lower() if name.endswith("uuid") else value)


def test_faults_are_added_listed_and_cleared(gateway: SimulatedGateway, control: Control) -> None:
    token = gateway.add_token(states=["success"])
    first = control("POST", "/faults", {"status": 502, "times": 2})
    second = control("POST", "/faults", {"status": 503, "times": "forever", "token": token.upper()})
    assert (first["token"], second["token"], second["times"]) == (None, token, "forever")
    assert control("GET", "/faults") == {"faults": [first, second]}
    with gateway.client(retry=NEVER) as wonder:
        for status in (502, 502, 503, 503):
            with pytest.raises(ServerError) as caught:
                wonder.check_token(token)
            assert caught.value.status_code == status
        assert control("GET", "/faults") == {"faults": [second]}
        assert wonder.check_token(VERIFIED).is_verified
        control("DELETE", "/faults")
        assert wonder.check_token(token).is_verified
    assert control("GET", "/faults") == {"faults": []}


def test_clearing_faults_leaves_the_test_tokens_their_own(gateway: SimulatedGateway, control: Control) -> None:
    control("DELETE", "/faults")
    with gateway.client(retry=NEVER) as wonder, pytest.raises(ServerError):
        wonder.check_token(TEST_TOKENS[8].token)


@pytest.mark.parametrize(
    "fault",
    [
        {"delay": "forever"},
        {"broken": "truncated", "drip": None},
        {"body": "<p>é</p>", "headers": {"Content-Type": "text/html", "X": ""}, "status": 520},
        {"times": 2.0, "status": 502.0},
        {"clock_minutes": -40.5, "drip": 0.5, "drip_headers": True, "delay": 1.5},
        {},
    ],
    ids=str,
)
def test_a_fault_has_the_fields_that_were_sent(control: Control, fault: dict[str, Any]) -> None:
    added = control("POST", "/faults", fault)
    assert fault.items() <= added.items()


def test_a_fault_that_python_injected_is_listed(gateway: SimulatedGateway, control: Control) -> None:
    gateway.inject(Fault(body=b"\xff", delay=math.inf))
    (fault,) = control("GET", "/faults")["faults"]
    assert (fault["body"], fault["delay"]) == (r"\xff", "forever")


def test_a_deleted_token_takes_its_faults_along(gateway: SimulatedGateway, control: Control) -> None:
    token = gateway.add_token()
    gateway.inject(Fault(status=502), token=token)
    control("DELETE", f"/tokens/{token}")
    assert control("GET", "/faults") == {"faults": []}


def test_requests_are_listed_and_cleared(gateway: SimulatedGateway, control: Control) -> None:
    with gateway.client() as wonder:
        wonder.check_token(VERIFIED)
        gateway.inject(Fault(broken="reset before"))
        with pytest.raises(NetworkError):
            wonder.with_options(retry=NEVER).check_token(VERIFIED)
    for time in ("20260101000000", "20261399000000", "now"):
        headers = {"Credential": f"{gateway.app_id}/{time}/Wonder-RSA-SHA256"}
        httpx.post(gateway.base_url + CHECK, headers=headers, content=b"\xff", trust_env=False)
    requests = control("GET", "/requests")["requests"]
    assert [request["status"] for request in requests] == [200, None, 401, 401, 400]
    assert [request["broken"] for request in requests] == [None, "reset before", None, None, None]
    good, _, *bad = requests
    assert (good["token"], good["verdict"]["rejection"], good["number"]) == (
        VERIFIED,
        None,
        gateway.requests[0].number,
    )
    assert good["request_id"] == gateway.requests[0].request_id
    assert [request["verdict"]["rejection"]["code"] for request in bad] == ["SIM_TIME", "SIM_TIME", "E000002"]
    assert [request["verdict"]["body"] for request in bad] == [r"\xff"] * 3
    control("DELETE", "/requests")
    assert (control("GET", "/requests"), gateway.requests) == ({"requests": []}, [])


def test_reset_returns_to_the_initial_state_and_drops_other_connections(
    gateway: SimulatedGateway, control: Control, arrivals: Any
) -> None:
    control("POST", "/tokens")
    control("POST", "/faults", {"delay": "forever"})
    gateway.clock_offset = 60.0
    with ThreadPoolExecutor(1) as threads, gateway.client(retry=NEVER, timeout=30) as wonder:
        waiting = threads.submit(wonder.check_token, PENDING)
        arrivals.wait_until(bool)
        control("POST", "/faults", {"status": 502})
        control("POST", "/reset")
        assert isinstance(waiting.exception(30), NetworkError)
    assert [token["token"] for token in control("GET", "/tokens")["tokens"]] == [test.token for test in TEST_TOKENS]
    assert (control("GET", "/faults"), control("GET", "/requests")) == ({"faults": []}, {"requests": []})
    assert gateway.clock_offset == 0
