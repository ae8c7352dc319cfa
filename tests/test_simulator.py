"""The simulator: its tokens, its responses and its faults."""

import json
import time
import uuid
from typing import Any

import httpx
import pytest
from commands import VERIFIED
from conftest import CHECK, TOKEN, Caller, key
from starlette.requests import Request
from wonder_payment import (
    APIError,
    AuthenticationError,
    BadRequestError,
    NetworkError,
    NotFoundError,
    RequestTimeoutError,
    RetryPolicy,
    ServerError,
    WonderError,
    check_token,
)
from wonder_payment.signing import WonderAuth, sign, string_to_sign
from wonder_payment.simulator import TEST_TOKENS, Fault, SimulatedGateway, SimulatedToken, TestToken
from wonder_payment.simulator.state import SimulatorState
from wonder_payment.simulator.variant import Variant

NEVER = RetryPolicy.never()


@pytest.mark.parametrize(
    ("settings", "seen"),
    [
        ({"states": ["success"]}, ["success"] * 3),
        ({"states": ("pending", "failed")}, ["pending", "failed", "failed"]),
        ({"states": ["success"], "after": 3600}, ["pending"] * 3),
        ({"states": ["pending", "success"], "after": 0}, ["success"] * 3),
    ],
)
def test_a_token_goes_through_its_states_by_polls_or_by_time(settings: dict[str, Any], seen: list[str]) -> None:
    token = SimulatedToken(**settings)
    assert [token.poll()["state"] for _ in seen] == seen
    assert token.polls == len(seen)


@pytest.mark.parametrize("states", ["success", [], [1], None])
def test_states_must_be_a_list_of_texts(states: Any) -> None:
    with pytest.raises(ValueError, match="states must be a list"):
        SimulatedToken(states=states)


@pytest.mark.parametrize(
    "settings",
    [
        {"broken": "reset before the response"},
        {"status": "502"},
        {"status": 99},
        {"status": 9999},
        {"headers": {"X": 1}},
        {"delay": -1},
        {"drip": -1},
        {"times": 0},
        {"body": {"code": 0}},
        {"clock_minutes": "40"},
    ],
    ids=str,
)
def test_a_fault_with_a_wrong_value_is_an_error_that_names_it(settings: dict[str, Any]) -> None:
    with pytest.raises((ValueError, TypeError), match=next(iter(settings))):
        Fault(**settings)


def respond(body: bytes, *, customer: str = "uuid", **headers: str) -> tuple[int, str | int]:
    """Return the status and the code of the response to a signed request."""
    path = CHECK.replace("/uuid/", f"/{customer}/")
    credential, nonce = time.strftime("app/%Y%m%d%H%M%S/Wonder-RSA-SHA256", time.gmtime()), uuid.uuid4().hex[:16]
    signature = sign(key(), string_to_sign(credential, nonce, "POST", path, body))
    headers |= {"Credential": credential, "Nonce": nonce, "Signature": signature}
    raw = [(name.lower().replace("_", "-").encode(), value.encode("latin-1")) for name, value in headers.items()]
    request = Request({"type": "http", "path_params": {"customer_uuid": customer}, "headers": raw})
    state = SimulatorState("app", key().public_key(), Variant())
    response, _ = state.respond("POST", path, request, body)
    recorded = state.requests[0]
    assert (recorded.status, recorded.path, recorded.customer_uuid) == (response.status_code, path, customer)
    assert (recorded.request_id, recorded.language) == (headers.get("x_request_id"), headers.get("x_i18n_lang"))
    return response.status_code, json.loads(bytes(response.body))["code"]


@pytest.mark.parametrize(
    "body",
    [b"", b"{}", b"[]", b"null", b'{"payment_token": {"token": "x"}}', b"[" * 100_000],
    ids=["empty", "object", "list", "null", "no UUID", "deep"],
)
def test_a_body_without_a_token_is_a_bad_request(body: bytes) -> None:
    assert respond(body) == (400, "SIM_BODY")


@pytest.mark.parametrize(
    ("verify_uuid", "expected"),
    [
        (TOKEN.upper(), (200, 0)),  # compared only if the variant requires it
        ("", (400, "SIM_VERIFY_UUID")),
        (None, (400, "SIM_VERIFY_UUID")),
        (TOKEN.replace("-", ""), (400, "SIM_VERIFY_UUID")),
    ],
)
def test_a_verify_uuid_is_optional_and_must_be_a_uuid(verify_uuid: object, expected: tuple[int, str | int]) -> None:
    body = {"payment_token": {"token": VERIFIED, "verify_uuid": verify_uuid}}
    assert respond(json.dumps(body).encode()) == expected


@pytest.mark.parametrize(
    ("request_", "expected"),
    [
        ({}, (200, 0)),
        ({"customer": "1B9D6BCD-bbfd-4b2d-9b5d-ab8dfbbd4bed"}, (200, 0)),
        ({"customer": "UUID"}, (400, "SIM_CUSTOMER")),
        ({"customer": "1b9d6bcdbbfd4b2d9b5dab8dfbbd4bed"}, (400, "SIM_CUSTOMER")),
        *(({"x_request_id": value}, (200, 0)) for value in ("", "a b", "x" * 300, TOKEN, TOKEN.upper(), "é")),
        ({"x_request_id": "req_1b9d6bcd"}, (200, 0)),  # as the vendor's PHP SDK sends it
        ({"x_i18n_lang": "zh-HK"}, (200, 0)),
        ({"x_i18n_lang": ""}, (400, "SIM_LANGUAGE")),
        ({"x_i18n_lang": "fr"}, (400, "SIM_LANGUAGE")),
    ],
    ids=str,
)
def test_a_parameter_that_breaks_the_contract_is_rejected_by_name(
    request_: dict[str, str], expected: tuple[int, str | int]
) -> None:
    assert respond(json.dumps({"payment_token": {"token": VERIFIED}}).encode(), **request_) == expected


TEST_TOKEN_RESULTS: dict[int, Any] = {
    1: ["success"],
    2: ["failed"],
    3: ["pending", "pending", "success", "success"],
    4: ["pending"] * 4,
    5: ["success"],
    6: ["reviewing"],
    7: ["success"],
    8: [429, 429, "success"],
    9: [502, 502, "success"],
    10: [520] * 4,
    11: [RequestTimeoutError] * 2,
}


@pytest.mark.parametrize("test", TEST_TOKENS, ids=lambda test: test.behaviour)
def test_a_test_token_behaves_as_listed(gateway: SimulatedGateway, test: TestToken) -> None:
    expected = TEST_TOKEN_RESULTS[int(test.token[-12:])]
    seen: list[Any] = []
    with gateway.client(retry=NEVER, timeout=0.2 if test.behaviour == "never responds" else 10.0) as wonder:
        for _ in expected:
            try:
                seen.append(str(wonder.check_token(test.token).state))
            except APIError as error:
                seen.append(error.status_code)
            except WonderError as error:
                seen.append(type(error))
    assert seen == expected


def test_a_late_response_of_another_content_type_is_read(gateway: SimulatedGateway) -> None:
    gateway.inject(Fault(delay=0.05, drip=0.0, headers={"Content-Type": "text/html"}))
    with gateway.client(retry=NEVER) as wonder:
        assert wonder.check_token(VERIFIED).is_verified


def test_a_fault_sends_any_status_body_and_headers(gateway: SimulatedGateway) -> None:
    gateway.inject(Fault(status=422))
    gateway.inject(Fault(status=599, body='{"code": "E9", "message": "m"}', headers={"Retry-After": "9"}))
    with gateway.client(retry=NEVER) as wonder:
        with pytest.raises(BadRequestError, match="SIM_FAULT"):
            wonder.check_token(VERIFIED)
        with pytest.raises(ServerError) as caught:
            wonder.check_token(VERIFIED)
    assert (caught.value.status_code, caught.value.code, caught.value.retry_after) == (599, "E9", 9.0)


def test_a_fault_of_a_token_applies_to_that_token_only(gateway: SimulatedGateway) -> None:
    faulty, other = gateway.add_token(), gateway.add_token()
    gateway.inject(Fault(status=500), token=faulty)
    with gateway.client(retry=NEVER) as wonder:
        assert wonder.check_token(other).is_pending
        with pytest.raises(ServerError):
            wonder.check_token(faulty)
        assert wonder.check_token(faulty).is_pending


def test_a_token_is_checked_until_it_is_verified(caller: Caller, gateway: SimulatedGateway) -> None:
    token = gateway.add_token(states=["pending", "pending", "success"])
    assert caller.check(token).is_pending
    assert caller.check(token).is_pending
    assert caller.check(token, times=2).is_verified
    assert [request.verdict.rejection for request in gateway.requests] == [None] * 4


@pytest.mark.parametrize("minutes", [40, -40, 60 * 24 * 365])
def test_a_wrong_clock_is_corrected_once_and_remembered(
    caller: Caller, gateway: SimulatedGateway, minutes: int
) -> None:
    token = gateway.add_token(states=["success"])
    gateway.clock_offset = minutes * 60.0
    assert caller.check(token, times=3).is_verified
    rejections = [request.verdict.rejection for request in gateway.requests]
    assert [rejection and rejection.code for rejection in rejections] == ["SIM_TIME", None, None, None]


def test_a_date_that_did_not_help_is_not_remembered(gateway: SimulatedGateway) -> None:
    gateway.inject(Fault(status=403, headers={"Date": "Mon, 01 Jan 2024 00:00:00 GMT"}, times=2))
    with gateway.client(retry=NEVER) as wonder:
        with pytest.raises(AuthenticationError):
            wonder.check_token(VERIFIED)
        assert wonder.check_token(VERIFIED).is_verified
    assert [request.status for request in gateway.requests] == [403, 403, 200]


@pytest.mark.usefixtures("in_environment")
def test_the_one_liner_makes_one_client_from_the_environment(
    gateway: SimulatedGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    token = gateway.add_token(states=["pending", "success"])
    assert check_token(token).is_pending
    monkeypatch.delenv("WONDER_APP_ID")  # no longer needed
    assert check_token(token).is_verified


def test_approve_and_decline_complete_3d_secure(gateway: SimulatedGateway) -> None:
    token = gateway.add_token()
    with gateway.client() as wonder:
        assert wonder.check_token(token).is_pending
        gateway.approve(token)
        assert wonder.check_token(token).is_verified
        gateway.decline(token.upper(), error_code="E1", error_message="declined")
        result = wonder.check_token(token)
    assert (result.is_failed, result.error_code, result.error_message) == (True, "E1", "declined")


def test_an_unknown_token_is_not_found(gateway: SimulatedGateway) -> None:
    with gateway.client() as wonder, pytest.raises(NotFoundError, match="SIM_TOKEN"):
        wonder.check_token(TOKEN)
    assert gateway.requests[0].status == 404
    with pytest.raises(ValueError, match="has no token nope"):
        gateway.approve("nope")


def test_the_query_string_is_part_of_what_is_signed(gateway: SimulatedGateway) -> None:
    body = json.dumps({"payment_token": {"token": VERIFIED}}).encode()
    auth = WonderAuth(gateway.app_id, gateway.private_key, origin=gateway.base_url)
    with httpx.Client(auth=auth) as plain:
        assert plain.post(gateway.base_url + CHECK + "?a=1&b=%20", content=body).status_code == 200


def test_two_simulators_run_side_by_side_and_free_their_ports() -> None:
    with SimulatedGateway() as first, SimulatedGateway() as second:
        assert first.base_url != second.base_url
        first_client, second_client = first.client(retry=NEVER), second.client(retry=NEVER)
        assert first_client.check_token(VERIFIED).is_verified
    with second_client, pytest.raises(NetworkError):
        second_client.check_token(VERIFIED)
    first_client.close()
