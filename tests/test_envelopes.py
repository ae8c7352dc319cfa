"""The envelopes that the gateway may use: of current and of older pages, with numbers and with strings."""

import json
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from faults.responses import good, received
from playing import SUCCESS, Player, failed, policy
from transports import caller
from wonder_payment import (
    APIError,
    AuthenticationError,
    BadRequestError,
    InvalidResponseError,
    NotFoundError,
    PaymentToken,
    RateLimitError,
    RetryPolicy,
    ServerError,
    TokenState,
    WonderClient,
)
from wonder_payment._flow import check
from wonder_payment_client.models import CheckPaymentTokenRequest

ABSENT: Any = object()


def envelope(*, data: Any = ABSENT, **fields: Any) -> dict[str, Any]:
    """Return an envelope with a verified token and these fields, without those that are ABSENT."""
    fields["data"] = good()["data"] if data is ABSENT else data
    return {name: value for name, value in fields.items() if value is not ABSENT}


def api_error(body: object, status: int = 200) -> APIError:
    error = received(body, status)
    assert isinstance(error, APIError), error
    return error


# Good codes

MESSAGES = {
    "a message": {"message": "success"},
    "no message": {},
    "null": {"message": None},
    "empty": {"message": ""},
    "the older name": {"error_message": ""},
    "null under the older name": {"error_message": None},
}


@pytest.mark.parametrize("message", MESSAGES.values(), ids=MESSAGES)
@pytest.mark.parametrize("code", [0, 200, 0.0, 200.0, "0", "200"], ids=repr)
def test_a_good_code_is_0_or_200_whatever_the_message(code: Any, message: dict[str, Any]) -> None:
    for older in (ABSENT, None, "", 0, 200, "0", "200"):
        result = received(envelope(code=code, error_code=older, **message))
        assert isinstance(result, PaymentToken)
        assert (result.is_verified, result.extra) == (True, {})


@pytest.mark.parametrize("message", MESSAGES.values(), ids=MESSAGES)
@pytest.mark.parametrize("code", ["", "0", "200", 0, 200], ids=repr)
def test_the_envelope_of_older_pages_is_good_with_an_empty_code_too(code: Any, message: dict[str, Any]) -> None:
    for current in (ABSENT, None):
        result = received(envelope(code=current, error_code=code, **message))
        assert isinstance(result, PaymentToken)
        assert (result.is_verified, result.extra) == (True, {})


@pytest.mark.parametrize("code", ["", "0", "200", 0, 200], ids=repr)
@pytest.mark.parametrize("data", [None, {}, {"payment_token": None}, []], ids=repr)
def test_the_envelope_of_older_pages_is_not_good_without_a_token(code: Any, data: Any) -> None:
    error = received(envelope(error_code=code, error_message="", data=data))
    assert isinstance(error, InvalidResponseError)
    assert "`data.payment_token` is missing" in str(error)


@pytest.mark.parametrize("older", [ABSENT, None, True, [""]], ids=["absent", "null", "true", "a list"])
def test_an_envelope_without_any_code_breaks_the_contract(older: Any) -> None:
    for current in (ABSENT, None):
        error = received(envelope(code=current, error_code=older, message="success"))
        assert isinstance(error, InvalidResponseError)
        assert "`code` and `error_code` are missing" in str(error)


@pytest.mark.parametrize(("default", "expected"), [(True, True), (False, False), (None, None), (ABSENT, None)])
def test_the_default_flag_is_none_if_the_response_does_not_say(default: Any, *, expected: bool | None) -> None:
    body = good(default=default)
    if default is ABSENT:
        del body["data"]["payment_token"]["default"]
    result = received(body)
    assert isinstance(result, PaymentToken)
    assert result.is_default is expected


# Bad codes


@pytest.mark.parametrize(
    "current",
    [0, 200, "0", "200", "", None, ABSENT, False, [0]],
    ids=["0", "200", "'0'", "'200'", "''", "null", "absent", "false", "a list"],
)
@pytest.mark.parametrize(
    ("older", "kind"),
    [
        ("E000002", APIError),
        (1, APIError),
        ("00", APIError),
        (" ", APIError),
        (404, NotFoundError),
        ("401", AuthenticationError),
        ("503", ServerError),
    ],
    ids=repr,
)
def test_a_bad_error_code_is_an_error_beside_any_code_that_is_not_bad(
    current: Any, older: Any, kind: type[APIError]
) -> None:
    error = api_error(envelope(code=current, message="success", error_code=older, error_message="Declined."))
    assert (type(error), error.code or " ", error.message, error.status_code) == (kind, older, "Declined.", 200)
    assert error.is_transient is kind.is_transient


@pytest.mark.parametrize("current", [0, "200"], ids=repr)
@pytest.mark.parametrize("older", [True, False, {"code": 1}, []], ids=repr)
def test_an_error_code_that_is_no_code_breaks_the_contract_beside_a_good_code(current: Any, older: Any) -> None:
    error = received(envelope(code=current, error_code=older))
    assert isinstance(error, InvalidResponseError)
    assert "the value is not text or a number" in str(error)


@pytest.mark.parametrize("older", [ABSENT, None, "", "0", 200, "E9"], ids=["absent", "null", "''", "'0'", "200", "E9"])
def test_a_bad_code_is_an_error_beside_any_error_code(older: Any) -> None:
    error = api_error(envelope(code=404, message="No such token.", error_code=older, error_message=""))
    assert (type(error), error.code, error.message) == (NotFoundError, 404, "No such token.")


@pytest.mark.parametrize("older", [ABSENT, None, "", 0, "200"], ids=["absent", "null", "''", "0", "'200'"])
def test_an_empty_code_under_its_current_name_is_an_error(older: Any) -> None:
    error = api_error(envelope(code="", message="success", error_code=older))
    assert (type(error), error.code) == (APIError, None)
    assert error.args == ("The gateway returned HTTP 200: success.",)


def test_a_bad_status_is_an_error_whatever_the_envelope() -> None:
    for code in (0, 200, "0", "200", "", None, ABSENT):
        for fields in ({"code": code}, {"error_code": code}):
            assert type(api_error(envelope(**fields), 503)) is ServerError
    error = api_error({"code": 0, "error_code": "E000002", "message": "", "error_message": "Invalid."}, 400)
    assert (type(error), error.code, error.message) == (BadRequestError, "E000002", "Invalid.")


@pytest.mark.parametrize("name", ["code", "error_code"])
def test_a_numeric_string_chooses_the_class_and_the_retry_as_the_number_does(name: str) -> None:
    def choice(code: Any) -> tuple[type[APIError], bool, int]:
        error = api_error(envelope(**{name: code}))
        assert error.code == code
        return type(error), error.is_transient, error.status_code

    numbers = {number: choice(number) for number in range(400, 600)}
    assert {number: choice(str(number)) for number in numbers} == numbers
    assert {number for number, (_, is_transient, _) in numbers.items() if is_transient} == {429, *range(500, 600)}
    assert [numbers[number][0] for number in (400, 401, 403, 404, 422, 429, 499)] == [
        *(BadRequestError, AuthenticationError, AuthenticationError, NotFoundError, BadRequestError),
        *(RateLimitError, APIError),
    ]


@pytest.mark.parametrize("code", ["-503", "+503", "503.0", "5e2", " 503", "٥٠٣", "0x1f7", "1000", "9" * 12, "1"])
def test_another_string_is_an_api_error_that_is_not_retried(code: str) -> None:
    error = api_error(envelope(code=code))
    assert (type(error), error.is_transient) == (APIError, False)


@pytest.mark.parametrize("body", ['{"code": "503"}', '{"error_code": "429"}', '{"code": "0", "error_code": "500"}'])
def test_a_transient_code_in_a_string_is_retried(play: Player, body: str) -> None:
    assert play(check(policy()), failed(body.encode()), SUCCESS) is SUCCESS
    assert play.sleeps == [0.5]


# The examples of the contract

CONTRACT = yaml.safe_load((Path(__file__).parent.parent / "openapi.yaml").read_text(encoding="utf-8"))
(OPERATION,) = [path["post"] for path in CONTRACT["paths"].values()]
REQUESTS = OPERATION["requestBody"]["content"]["application/json"]["examples"]
RESPONSES = OPERATION["responses"]["200"]["content"]["application/json"]["examples"]


def test_the_contract_has_a_license_and_an_example_of_each_state() -> None:
    assert (CONTRACT["info"]["version"], CONTRACT["info"]["license"]["identifier"]) == ("2.0.0", "MIT")
    assert {*TokenState} <= RESPONSES.keys()


@pytest.mark.parametrize("name", RESPONSES)
def test_an_example_of_a_response_is_the_token_that_its_name_says(name: str) -> None:
    result = received(RESPONSES[name]["value"])
    assert isinstance(result, PaymentToken)
    assert result.state == ("success" if name == "old" else name)
    assert isinstance(result.state, TokenState)
    assert (result.error_code is not None, result.extra) == (name == "failed", {})


@pytest.mark.parametrize("name", REQUESTS)
def test_an_example_of_a_request_is_what_a_client_sends(name: str) -> None:
    value = REQUESTS[name]["value"]
    assert CheckPaymentTokenRequest.from_dict(value).to_dict() == value
    reference = dict(value["payment_token"])
    sent: list[Any] = []

    def respond(request: httpx.Request) -> httpx.Response:
        sent.append(json.loads(request.content))
        return httpx.Response(200, json=good())

    with caller(WonderClient, respond).make(retry=RetryPolicy.never()) as wonder:
        assert isinstance(wonder, WonderClient)
        wonder.check_token(reference.pop("token"), **reference)
    assert sent == [value]


def test_the_example_of_an_error_is_an_api_error() -> None:
    example = OPERATION["responses"]["400"]["content"]["application/json"]["example"]
    error = api_error(example, 400)
    assert (type(error), error.code, error.message) == (BadRequestError, "E000002", "Invalid Credential Format.")
