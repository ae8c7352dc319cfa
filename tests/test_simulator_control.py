"""The simulator's control API, as its OpenAPI description says. tests/contract has it with generated requests, too."""

import math
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import Any

import httpx
import pytest
import yaml
from conftest import TOKEN
from jsonschema import Draft202012Validator
from wonder_payment import NetworkError, RetryPolicy, ServerError
from wonder_payment.simulator import TEST_TOKENS, Fault, SimulatedGateway

API = "/_simulator"
VERIFIED, PENDING = TEST_TOKENS[0].token, TEST_TOKENS[3].token
NEVER = RetryPolicy.never()
JSON = {"Content-Type": "application/json"}


@cache
def parsed(description: str) -> Any:
    return yaml.safe_load(description)


class Control:
    """Calls the control API, and checks each response against the description that the simulator serves."""

    def __init__(self, gateway: SimulatedGateway, connection: httpx.Client) -> None:
        self.address = gateway.base_url + API
        self._http = connection
        self.description = parsed(connection.get(f"{self.address}/openapi.yaml").text)

    def send(self, method: str, path: str, body: object = None, **options: Any) -> httpx.Response:
        if body is not None:
            options["json"] = body
        response = self._http.request(method, self.address + path, **options)
        operation = self._operation(method, path)
        content = operation["responses"][str(response.status_code)]
        if "$ref" in content:
            content = self.description["components"]["responses"][content["$ref"].rpartition("/")[2]]
        if "content" in content:
            self._validator(content["content"]["application/json"]["schema"]).validate(response.json())
        else:
            assert response.content == b""
        if body is not None and response.status_code != 415:
            schema = operation["requestBody"]["content"]["application/json"]["schema"]
            assert self._validator(schema).is_valid(body) is (response.status_code != 400)
        return response

    def __call__(self, method: str, path: str, body: object = None) -> Any:
        """Return the content of a good response; None if it has none."""
        response = self.send(method, path, body)
        assert response.is_success, response.text
        return response.json() if response.content else None

    def _operation(self, method: str, path: str) -> Any:
        described = re.sub("^/tokens/[^/]+", "/tokens/{token}", path)
        return self.description["paths"][described][method.lower()]

    def _validator(self, schema: Any) -> Draft202012Validator:
        return Draft202012Validator(schema | {"components": self.description["components"]})


@pytest.fixture
def control(gateway: SimulatedGateway) -> Iterator[Control]:
    with httpx.Client(trust_env=False, timeout=30) as connection:
        yield Control(gateway, connection)


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
    path = "/svc/payment/api/v1/openapi/customers/uuid/payment_tokens/check"
    for time in ("20260101000000", "20261399000000", "now"):
        headers = {"Credential": f"{gateway.app_id}/{time}/Wonder-RSA-SHA256"}
        httpx.post(gateway.base_url + path, headers=headers, content=b"\xff", trust_env=False)
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


def test_every_operation_of_the_description_exists(gateway: SimulatedGateway, control: Control) -> None:
    for path, operations in control.description["paths"].items():
        address = f"{gateway.base_url}{API}{path.replace('{token}', PENDING)}"
        allowed = httpx.options(address, trust_env=False).headers["Allow"]
        described = {method.upper() for method in operations if method != "parameters"}
        assert {method.strip() for method in allowed.split(",")} - {"HEAD"} == described


def test_the_examples_of_the_description_work(control: Control) -> None:
    for path, operations in control.description["paths"].items():
        for method, operation in operations.items():
            content = operation.get("requestBody", {}).get("content", {}) if method != "parameters" else {}
            for example in content.get("application/json", {}).get("examples", {}).values():
                control(method, path.replace("{token}", PENDING), example["value"])
