"""The requests that the control API rejects, with a message; tests/contract generates more of them."""

import httpx
import pytest
from commands import PENDING
from conftest import TOKEN
from control.calling import Control

JSON = {"Content-Type": "application/json"}


@pytest.mark.parametrize(
    ("path", "body", "message"),
    [
        ("/tokens", {"states": "success"}, "states must be"),
        ("/tokens", {"states": []}, "states must be"),
        ("/tokens", {"states": [1]}, "states must be"),
        ("/tokens", {"after": -1}, "after must be"),
        ("/tokens", {"after": "1"}, "after must be"),
        ("/tokens", {"after": True}, "after must be"),
        ("/tokens", {"after": 10**400}, "after must be"),
        ("/tokens", {"token_type": None}, "token_type must be"),
        ("/tokens", {"card": []}, "card must be"),
        ("/tokens", {"card": {"number": 1}}, "card must be"),
        ("/tokens", {"error_code": 1}, "error_code must be"),
        ("/tokens", {"error_message": {}}, "error_message must be"),
        ("/tokens", {"customer_uuid": "uuid"}, "customer_uuid must be"),
        ("/tokens", {"verify_uuid": 1}, "verify_uuid must be"),
        ("/tokens", {"state": "success"}, "state is unknown. Known fields: states, after"),
        ("/tokens", ["success"], "The body must be a JSON object"),
        (f"/tokens/{PENDING}/decline", {"error_code": 1}, "error_code must be"),
        (f"/tokens/{PENDING}/decline", {"error": "E1"}, "error is unknown"),
        ("/faults", {"status": 99}, "status must be"),
        ("/faults", {"status": "502"}, "status must be"),
        ("/faults", {"status": True}, "status must be"),
        ("/faults", {"body": {}}, "body must be"),
        ("/faults", {"headers": {"a b": "c"}}, "headers must be"),
        ("/faults", {"headers": {"a": "b\r\nc: d"}}, "headers must be"),
        ("/faults", {"headers": {"a": None}}, "headers must be"),
        ("/faults", {"headers": ["a"]}, "headers must be"),
        ("/faults", {"delay": "long"}, "delay must be"),
        ("/faults", {"delay": None}, "delay must be"),
        ("/faults", {"drip": "forever"}, "drip must be"),
        ("/faults", {"drip_headers": 1}, "drip_headers must be"),
        ("/faults", {"broken": "reset"}, "broken must be"),
        ("/faults", {"broken": []}, "broken must be"),
        ("/faults", {"clock_minutes": "40"}, "clock_minutes must be"),
        ("/faults", {"clock_minutes": 10**12}, "clock_minutes must be"),
        ("/faults", {"times": 0}, "times must be"),
        ("/faults", {"times": 1.5}, "times must be"),
        ("/faults", {"token": "nonsense"}, "token must be"),
        ("/faults", {"token": 1}, "token must be"),
        ("/faults", {"time": 2}, "time is unknown"),
    ],
    ids=str,
)
def test_a_wrong_field_is_named_and_changes_nothing(control: Control, path: str, body: object, message: str) -> None:
    before = control("GET", "/tokens"), control("GET", "/faults")
    response = control.send("POST", path, body)
    assert response.status_code == 400
    assert response.json()["message"].startswith(message)
    assert (control("GET", "/tokens"), control("GET", "/faults")) == before


@pytest.mark.parametrize(
    "body",
    [b"{", b"\xff", b'{"after": 1e999}', b"NaN", b'{"after": NaN}', b'{"token_type": "\\ud800"}', b"[" * 100_000],
    ids=["cut", "no text", "infinity", "NaN", "NaN inside", "half a pair", "deep"],
)
def test_a_body_that_is_no_json_is_a_bad_request(control: Control, body: bytes) -> None:
    response = control.send("POST", "/tokens", content=body, headers=JSON)
    assert (response.status_code, response.json()["message"].startswith("The body must be JSON")) == (400, True)


def test_a_fault_of_an_unknown_token_is_not_found(control: Control) -> None:
    assert control.send("POST", "/faults", {"token": TOKEN}).status_code == 404


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/nothing", 404),
        ("GET", "", 404),
        ("GET", "/tokens/a%0Ab", 404),
        ("PUT", "/tokens", 405),
        ("GET", "/reset", 405),
        ("POST", f"/tokens/{TOKEN}/approve", 404),
        ("POST", "/tokens/nonsense/decline", 404),
        ("DELETE", f"/tokens/{TOKEN}", 404),
    ],
)
def test_an_unknown_path_token_or_method_gets_a_message(control: Control, method: str, path: str, status: int) -> None:
    response = httpx.request(method, control.address + path, trust_env=False, follow_redirects=True)
    assert (response.status_code, list(response.json())) == (status, ["message"])
