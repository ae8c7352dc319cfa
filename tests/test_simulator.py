"""The clients against a running gateway that verifies every signature, and that gateway itself."""

import asyncio
import json
import math
import time
import uuid
from typing import Any, Literal

import httpx
import pytest
from conftest import TOKEN, Caller, Clock
from wonder_payment import (
    APIError,
    AsyncWonderClient,
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
from wonder_payment.simulator import WELL_KNOWN, Fault, SimulatedGateway

CHECK = "/svc/payment/api/v1/openapi/customers/uuid/payment_tokens/check"
QUICK = RetryPolicy(backoff_initial=0.0)


def test_a_token_is_checked_until_it_is_verified(caller: Caller, gateway: SimulatedGateway) -> None:
    token = gateway.add_token(states=["pending", "pending", "success"])
    assert caller.check(token).is_pending
    assert caller.check(token).is_pending
    assert caller.check(token, times=2).is_verified
    assert [request.verdict.refusal for request in gateway.requests] == [None] * 4


def test_a_failed_token_carries_its_error(caller: Caller, gateway: SimulatedGateway) -> None:
    answer = caller.check(gateway.add_token(states=["failed"], error_code="E1", error_message="declined"))
    assert (answer.is_failed, answer.error_code, answer.error_message) == (True, "E1", "declined")


def test_each_attempt_has_its_own_nonce_and_time_as_the_gateway_sees_it(
    caller: Caller, gateway: SimulatedGateway, clock: Clock
) -> None:
    token = gateway.add_token(states=["success"])
    gateway.inject(Fault(status=500, times=2), token=token)
    assert caller.check(token, retry=RetryPolicy(backoff_initial=1.0, jitter=0.0)).is_verified
    requests = gateway.requests
    assert [request.status for request in requests] == [500, 500, 200]
    assert [request.verdict.refusal for request in requests] == [None] * 3
    assert len({request.nonce for request in requests}) == 3
    assert len({request.verdict.credential for request in requests}) == 3
    assert len({request.request_id for request in requests}) == 3
    assert clock.slept == [1.0, 2.0]


@pytest.mark.parametrize("minutes", [40, -40, 60 * 24 * 365])
def test_a_clock_that_is_off_is_made_up_for_and_remembered(
    caller: Caller, gateway: SimulatedGateway, minutes: int
) -> None:
    token = gateway.add_token(states=["success"])
    gateway.clock_offset = minutes * 60.0
    assert caller.check(token, times=3).is_verified
    refusals = [request.verdict.refusal for request in gateway.requests]
    assert [refusal.code if refusal else None for refusal in refusals] == ["SIM_TIME", None, None, None]


def test_the_language_and_the_customer_reach_the_gateway(caller: Caller, gateway: SimulatedGateway) -> None:
    customer = str(uuid.uuid4())
    caller.check(gateway.add_token(), customer_uuid=customer, language="zh-CN")
    assert (gateway.requests[0].customer_uuid, gateway.requests[0].language) == (customer, "zh-CN")


WELL_KNOWN_ANSWERS: dict[int, Any] = {
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


@pytest.mark.parametrize("known", WELL_KNOWN, ids=lambda known: known.behaviour)
def test_a_well_known_token_behaves_as_listed(caller: Caller, gateway: SimulatedGateway, known: Any) -> None:
    expected = WELL_KNOWN_ANSWERS[int(known.token[-12:])]
    seen: list[Any] = []
    for _ in expected:
        try:
            seen.append(str(caller.check(known.token, timeout=0.2 if "never" in known.behaviour else 10.0).state))
        except APIError as error:
            seen.append(error.status_code)
        except WonderError as error:
            seen.append(type(error))
    assert seen == expected
    assert {request.token for request in gateway.requests} == {known.token}


@pytest.mark.parametrize("broken", ["reset before", "reset in the middle", "truncated"])
def test_a_broken_connection_is_a_network_error_and_the_next_attempt_mends_it(
    caller: Caller, gateway: SimulatedGateway, broken: Literal["reset before", "reset in the middle", "truncated"]
) -> None:
    token = gateway.add_token(states=["success"])
    gateway.inject(Fault(broken=broken))
    with pytest.raises(NetworkError) as caught:
        caller.check(token)
    assert type(caught.value) is NetworkError
    gateway.inject(Fault(broken=broken, times=2))
    assert caller.check(token, retry=QUICK).is_verified


@pytest.mark.parametrize(
    "fault",
    [
        pytest.param(Fault(delay=math.inf), id="never answers"),
        pytest.param(Fault(drip=0.2), id="drips the body"),
        pytest.param(Fault(drip=0.2, drip_headers=True), id="drips the headers"),
    ],
)
def test_an_attempt_ends_with_its_timeout_whatever_the_gateway_does(
    caller: Caller, gateway: SimulatedGateway, fault: Fault
) -> None:
    if fault.drip_headers and not caller.is_async:
        pytest.skip("httpx's sync client waits anew for each piece of the headers")
    gateway.inject(fault)
    began = time.monotonic()
    with pytest.raises(RequestTimeoutError):
        caller.check(gateway.add_token(), timeout=0.3)
    # The whole answer would take minutes.
    assert time.monotonic() - began < 30.0


def test_the_last_attempts_timeout_is_cut_to_what_is_left_of_the_budget(caller: Caller, clock: Clock) -> None:
    given = list[float]()

    def answer(request: httpx.Request) -> httpx.Response:
        # Connecting gets a quarter of the attempt's time from the sync client and half from the async one.
        given.append(request.extensions["timeout"].get("connect") * (2 if caller.is_async else 4))
        clock.skip(given[-1] + 0.5)  # 0.5 s too late
        raise httpx.ReadTimeout("no answer")

    retry = RetryPolicy(max_attempts=9, max_elapsed=13.0, backoff_initial=0.0)
    with pytest.raises(RequestTimeoutError) as caught:
        caller.check(transport=httpx.MockTransport(answer), timeout=10.0, retry=retry)
    assert given == pytest.approx([10.0, 2.5])
    assert caught.value.attempts == 2


def test_a_slow_answer_within_the_timeout_is_an_answer(caller: Caller, gateway: SimulatedGateway) -> None:
    gateway.inject(Fault(delay=0.05, drip=0.0))
    assert caller.check(gateway.add_token()).is_pending


def test_a_fault_answers_any_status_body_and_headers(caller: Caller, gateway: SimulatedGateway) -> None:
    gateway.inject(Fault(status=599, body='{"code": "E9", "message": "m"}', headers={"Retry-After": "9"}))
    with pytest.raises(ServerError) as caught:
        caller.check(gateway.add_token())
    assert (caught.value.status_code, caught.value.code, caught.value.retry_after) == (599, "E9", 9.0)


def test_a_right_answer_of_the_wrong_content_type_is_read(caller: Caller, gateway: SimulatedGateway) -> None:
    gateway.inject(Fault(headers={"Content-Type": "text/html"}))
    assert caller.check(gateway.add_token()).is_pending


def test_a_fault_of_a_token_happens_to_that_token_alone(caller: Caller, gateway: SimulatedGateway) -> None:
    faulty, other = gateway.add_token(), gateway.add_token()
    gateway.inject(Fault(status=500), token=faulty)
    assert caller.check(other).is_pending
    with pytest.raises(ServerError):
        caller.check(faulty)
    assert caller.check(faulty).is_pending


def test_approve_and_decline_end_3ds(caller: Caller, gateway: SimulatedGateway) -> None:
    token = gateway.add_token()
    assert caller.check(token).is_pending
    gateway.approve(token)
    assert caller.check(token).is_verified
    gateway.decline(token.upper(), error_code="E1")
    assert caller.check(token).error_code == "E1"


def test_a_token_with_a_time_is_pending_until_then(caller: Caller, gateway: SimulatedGateway) -> None:
    late, done = gateway.add_token(states=["success"], after=3600), gateway.add_token(states=["success"], after=0)
    assert caller.check(late, times=3).is_pending
    assert caller.check(done).is_verified


def test_an_unknown_token_is_not_found(caller: Caller, gateway: SimulatedGateway) -> None:
    with pytest.raises(NotFoundError) as caught:
        caller.check(TOKEN)
    assert caught.value.code == "SIM_TOKEN"
    assert gateway.requests[0].status == 404


@pytest.mark.parametrize("app_id", ["another-app", "5f0d3c62-8a4e-4b57-9d0a-0c6b1f2e7a93"])
def test_another_app_is_refused(caller: Caller, gateway: SimulatedGateway, app_id: str) -> None:
    with pytest.raises(AuthenticationError, match="SIM_APP_ID"):
        caller.check(gateway.add_token(), app_id=app_id)


def test_another_key_is_refused(caller: Caller, gateway: SimulatedGateway) -> None:
    with SimulatedGateway() as other, pytest.raises(AuthenticationError, match="SIM_SIGNATURE"):
        caller.check(gateway.add_token(), private_key=other.private_key)


def signed(gateway: SimulatedGateway, body: bytes, *, path: str = CHECK, **changed: str) -> httpx.Request:
    """A request signed by hand, with these headers changed before signing."""
    now = time.strftime("%Y%m%d%H%M%S", time.gmtime())
    headers = {"Credential": f"{gateway.app_id}/{now}/Wonder-RSA-SHA256", "Nonce": uuid.uuid4().hex[:16], **changed}
    if "Signature" not in headers and headers["Credential"].endswith("/Wonder-RSA-SHA256"):
        digest = string_to_sign(headers["Credential"], headers["Nonce"], "POST", path, body)
        headers["Signature"] = sign(gateway.private_key, digest)
    return httpx.Request("POST", gateway.base_url + path, headers=headers, content=body)


APP = "{app_id}"


@pytest.mark.parametrize(
    ("changed", "status", "code"),
    [
        ({"Credential": "nonsense"}, 400, "E000002"),
        ({"Credential": APP + "/20260101/Wonder-RSA-SHA256"}, 400, "E000002"),
        ({"Credential": APP + "/20260101000000/HMAC"}, 400, "E000002"),
        ({"Credential": APP + "/20269999000000/Wonder-RSA-SHA256"}, 401, "SIM_TIME"),
        ({"Credential": APP + "/20200101000000/Wonder-RSA-SHA256"}, 401, "SIM_TIME"),
        ({"Nonce": "short"}, 400, "SIM_NONCE_FORMAT"),
        ({"Nonce": "0123456789abcde-"}, 400, "SIM_NONCE_FORMAT"),
        ({"Signature": "AAAA"}, 401, "SIM_SIGNATURE"),
        ({"Signature": "not base64!"}, 401, "SIM_SIGNATURE"),
    ],
)
def test_a_wrong_part_of_the_signature_is_refused_by_name(
    gateway: SimulatedGateway, changed: dict[str, str], status: int, code: str
) -> None:
    body = json.dumps({"payment_token": {"token": gateway.add_token()}}).encode()
    changed = {name: value.replace(APP, gateway.app_id) for name, value in changed.items()}
    with httpx.Client() as plain:
        response = plain.send(signed(gateway, body, **changed))
    assert (response.status_code, response.json()["code"]) == (status, code)
    refusal = gateway.requests[0].verdict.refusal
    assert refusal
    assert refusal.code == code


def test_a_nonce_is_good_once(gateway: SimulatedGateway) -> None:
    body = json.dumps({"payment_token": {"token": gateway.add_token()}}).encode()
    request = signed(gateway, body)
    with httpx.Client() as plain:
        assert [plain.send(request).status_code for _ in range(2)] == [200, 401]
    assert [request.verdict.refusal and request.verdict.refusal.code for request in gateway.requests] == [
        None,
        "SIM_NONCE_USED",
    ]


@pytest.mark.parametrize("body", [b"", b"{}", b"[]", b"null", b'{"payment_token": {"token": "x"}}', b"[" * 100_000])
def test_a_body_without_a_token_is_a_bad_request(gateway: SimulatedGateway, body: bytes) -> None:
    with httpx.Client() as plain:
        response = plain.send(signed(gateway, body))
    assert (response.status_code, response.json()["code"]) == (400, "SIM_BODY")


@pytest.mark.parametrize(
    ("customer", "headers", "status", "code"),
    [
        ("uuid", {}, 200, 0),
        ("1B9D6BCD-bbfd-4b2d-9b5d-ab8dfbbd4bed", {}, 200, 0),
        ("UUID", {}, 400, "SIM_CUSTOMER"),
        ("1b9d6bcdbbfd4b2d9b5dab8dfbbd4bed", {}, 400, "SIM_CUSTOMER"),
        ("uuid", {"X-Request-ID": ""}, 400, "SIM_REQUEST_ID"),
        ("uuid", {"X-Request-ID": "1B9D6BCD-BBFD-4B2D-9B5D-AB8DFBBD4BED"}, 400, "SIM_REQUEST_ID"),
        ("uuid", {"X-Request-ID": "1b9d6bcd-bbfd-1b2d-9b5d-ab8dfbbd4bed"}, 400, "SIM_REQUEST_ID"),
        ("uuid", {"x-i18n-lang": ""}, 400, "SIM_LANGUAGE"),
        ("uuid", {"x-i18n-lang": "fr"}, 400, "SIM_LANGUAGE"),
    ],
)
def test_a_parameter_that_breaks_the_contract_is_refused_by_name(
    gateway: SimulatedGateway, customer: str, headers: dict[str, str], status: int, code: str | int
) -> None:
    body = json.dumps({"payment_token": {"token": gateway.add_token()}}).encode()
    path = CHECK.replace("/uuid/", f"/{customer}/")
    with httpx.Client() as plain:
        response = plain.send(signed(gateway, body, path=path, **headers))
    assert (response.status_code, response.json()["code"]) == (status, code)


def test_the_query_string_is_part_of_what_is_signed(gateway: SimulatedGateway) -> None:
    body = json.dumps({"payment_token": {"token": gateway.add_token()}}).encode()
    auth = WonderAuth(gateway.app_id, gateway.private_key, origin=gateway.base_url)
    with httpx.Client(auth=auth) as plain:
        assert plain.post(gateway.base_url + CHECK + "?a=1&b=%20", content=body).status_code == 200


@pytest.mark.usefixtures("in_environment")
def test_the_one_liner_makes_one_client_from_the_environment(
    gateway: SimulatedGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    token = gateway.add_token(states=["pending", "success"])
    assert check_token(token).is_pending
    monkeypatch.delenv("WONDER_APP_ID")  # no longer needed
    assert check_token(token).is_verified


def test_two_gateways_run_side_by_side_and_leave_their_ports_free(caller: Caller) -> None:
    with SimulatedGateway() as first, SimulatedGateway() as second:
        assert first.base_url != second.base_url
        with first.client() as wonder:
            assert wonder.check_token(WELL_KNOWN[0].token).is_verified
    with pytest.raises(NetworkError):
        caller.check(base_url=second.base_url)


def test_a_malformed_request_to_the_contract_is_told_so(caller: Caller, gateway: SimulatedGateway) -> None:
    gateway.inject(Fault(status=422))
    with pytest.raises(BadRequestError):
        caller.check(gateway.add_token())


def test_what_is_for_this_machine_goes_to_no_proxy(
    caller: Caller, gateway: SimulatedGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    assert caller.check(gateway.add_token()).is_pending


def test_a_date_that_did_not_help_is_not_kept(caller: Caller, gateway: SimulatedGateway) -> None:
    token = gateway.add_token(states=["success"])
    wrong = {"Date": "Mon, 01 Jan 2024 00:00:00 GMT"}
    gateway.inject(Fault(status=403, headers=wrong, times=2))
    with pytest.raises(AuthenticationError):
        caller.check(token)
    gateway.inject(Fault(status=403, headers=wrong, times=2))
    client = caller.make(retry=RetryPolicy.never())
    if isinstance(client, AsyncWonderClient):

        async def both() -> None:
            async with client:
                with pytest.raises(AuthenticationError):
                    await client.check_token(token)
                assert (await client.check_token(token)).is_verified

        asyncio.run(both())
    else:
        with client:
            with pytest.raises(AuthenticationError):
                client.check_token(token)
            assert client.check_token(token).is_verified
    assert gateway.requests[-1].verdict.refusal is None
    assert len(gateway.requests) == 5


@pytest.mark.parametrize(
    "settings",
    [
        {"broken": "reset before the answer"},
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
)
def test_a_fault_that_makes_no_sense_is_told(settings: dict[str, Any]) -> None:
    with pytest.raises((ValueError, TypeError), match=next(iter(settings))):
        Fault(**settings)


@pytest.mark.parametrize("states", ["success", [], [1], None])
def test_states_that_make_no_sense_are_told(gateway: SimulatedGateway, states: Any) -> None:
    with pytest.raises(ValueError, match="states must be a list"):
        gateway.add_token(states=states)


def test_an_unknown_token_is_told_to_a_test(gateway: SimulatedGateway) -> None:
    with pytest.raises(ValueError, match="has no token nope"):
        gateway.approve("nope")
