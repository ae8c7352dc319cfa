"""The gateway's errors: their class, code and message, and what each of them says to do."""

import json
import time
from email.utils import formatdate
from typing import Any

import pytest
from envelopes import DATE, ERROR, HTML, NOW, api_error, envelope
from faults.responses import TOKEN, outcome_of
from wonder_payment import APIError, AuthenticationError, BadRequestError, NotFoundError, RateLimitError, ServerError

STATUSES = {
    **dict.fromkeys((300, 301, 302, 303, 307, 308, 405, 407, 409, 418, 424, 426), APIError),
    **dict.fromkeys((400, 422), BadRequestError),
    **dict.fromkeys((401, 403), AuthenticationError),
    404: NotFoundError,
    **dict.fromkeys((408, 425), APIError),
    429: RateLimitError,
    **dict.fromkeys((*range(500, 505), *range(520, 528), 530, 599, 999), ServerError),
}


@pytest.mark.parametrize(("status", "kind"), STATUSES.items(), ids=str)
def test_an_error_status_is_an_api_error_whatever_the_body(status: int, kind: type[APIError]) -> None:
    bodies = [
        json.dumps(ERROR).encode(),
        HTML,
        b"",
        b'{"code": ',
        b"[]",
        b"\xff\xfe\x00",
        json.dumps(envelope()).encode(),
    ]
    for error in (api_error(status, bodies[0]), *(outcome_of(body, status) for body in (*bodies[1:], None))):
        assert type(error) is kind
        assert (error.status_code, error.retry_after) == (status, None)
        assert f"HTTP {status}" in str(error)
        assert error.is_transient is (status in (408, 425, 429) or status >= 500)
    assert (api_error(status, ERROR).code, api_error(status, ERROR).message) == ("E1", "Nope.")
    assert (api_error(status, HTML).code, api_error(status, HTML).message) == (None, None)


@pytest.mark.parametrize(
    ("body", "code", "message"),
    [
        pytest.param({"code": 400, "message": "m"}, 400, "m", id="a number"),
        pytest.param({"code": "E000002", "message": "m"}, "E000002", "m", id="a string"),
        pytest.param({"error_code": "E000002", "error_message": "m"}, "E000002", "m", id="the older names"),
        pytest.param({"code": None, "error_code": "E9", "message": None}, "E9", None, id="null beside the older name"),
        pytest.param({"code": True, "message": ["m"]}, None, None, id="other types"),
        pytest.param({"code": 4111111111111111, "message": "m"}, None, "m", id="a card number"),
        pytest.param({"code": "4111111111111111", "message": "m"}, "…1111", "m", id="a card number in a string"),
        pytest.param({"code": 999_999_999, "message": "m"}, 999_999_999, "m", id="the longest code"),
        pytest.param({"code": 1_000_000_000, "message": "m"}, None, "m", id="a number too long for a code"),
        pytest.param({"code": -1_000_000_000, "message": "m"}, None, "m", id="a negative one"),
        pytest.param({"message": f"no {TOKEN}, 4111 1111 1111 1111"}, None, "no …4bed, …1111", id="secrets"),
    ],
)
def test_the_code_and_the_message_are_read_under_current_and_older_names(
    body: dict[str, Any], code: Any, message: str | None
) -> None:
    error = api_error(400, body)
    assert (error.code, error.message) == (code, message)
    assert TOKEN not in str(error)


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        *((code, STATUSES[code]) for code in (400, 401, 404, 429, 500)),
        (400.0, BadRequestError),
        (999, ServerError),
        *((code, APIError) for code in (499, 1000, -1, 1, 199, 201, 408, "E000002", "00")),
    ],
    ids=repr,
)
def test_an_error_code_in_a_200_is_an_api_error(code: Any, kind: type[APIError]) -> None:
    error = api_error(200, envelope(code=code))
    assert type(error) is kind
    assert (error.status_code, str(error.code)) == (200, str(code))
    assert error.is_transient is kind.is_transient


REDIRECT = "HTTP 302. Redirects are not followed, because the signature is for one origin. Check base_url."
SIGNATURE = "Check the app id and the environment, and that the vendor has the public half of this private key."
BLOCKED = "The app id may be restricted to other IP addresses, or a firewall may block this one."
ROUTE = "Check base_url, and whether a proxy or a firewall changes the request."
PARAMETERS = "If the error is about the token, pass customer_uuid and verify_uuid: the gateway may require both."
UNKNOWN_TOKEN = (
    "Check that the token was created in this environment, for this app and this customer. "
    "Pass customer_uuid if you know it."
)
CREDENTIAL = {"code": "E000002", "message": "Invalid Credential Format."}
CHECK_CREDENTIAL = "Check the app id, and that no proxy changes the Credential header."
PROXY = "The request did not reach the gateway: check the user name and the password in the proxy's URL."
SUMMARIES = [
    (api_error(418), "The gateway returned HTTP 418."),
    (api_error(418, ERROR), "The gateway returned HTTP 418, code E1: Nope."),
    (api_error(404, {"code": 0}), f"The gateway returned HTTP 404, code 0. {UNKNOWN_TOKEN}"),
    (api_error(404, {"message": "No"}), f"The gateway returned HTTP 404: No. {UNKNOWN_TOKEN}"),
    *((api_error(status), f"The gateway returned HTTP {status}. {PARAMETERS}") for status in (400, 422)),
    *(
        (
            api_error(status, CREDENTIAL),
            f"The gateway returned HTTP {status}, code E000002: Invalid Credential Format. {CHECK_CREDENTIAL}",
        )
        for status in (200, 400, 401, 422)
    ),
    (api_error(401), f"The gateway returned HTTP 401. {SIGNATURE}"),
    (api_error(403), f"The gateway returned HTTP 403. {SIGNATURE} {BLOCKED}"),
    *(
        (api_error(status), f"The gateway returned HTTP {status}. {ROUTE}")
        for status in (405, 406, 411, 413, 414, 415, 431)
    ),
    (api_error(407, HTML), f"A proxy returned HTTP 407. {PROXY}"),
    (api_error(200, {"code": 407}), "The gateway returned HTTP 200, code 407."),
    (api_error(200, {"code": 405}), "The gateway returned HTTP 200, code 405."),
    (api_error(200, {"code": 401}), f"The gateway returned HTTP 200, code 401. {SIGNATURE}"),
    *((api_error(status), f"The gateway returned HTTP {status}. Retry later.") for status in (408, 425, 500, 599)),
    (
        api_error(451),
        "The gateway returned HTTP 451. Access from this network is blocked for legal reasons. Ask the vendor.",
    ),
    (api_error(200, envelope(code=429)), "The gateway returned HTTP 200, code 429: success. Send fewer requests."),
    (api_error(429, Retry_After="1.5"), "The gateway returned HTTP 429. Retry after 1.5 s."),
    (api_error(429, Retry_After="0"), "The gateway returned HTTP 429. Retry after 0 s."),
    (api_error(429), "The gateway returned HTTP 429. Send fewer requests."),
    (api_error(503, Retry_After="1.5"), "The gateway returned HTTP 503. Retry later."),
    *(
        (api_error(302, Location=location), f"The gateway returned {REDIRECT}")
        for location in ("/", "https://elsewhere.example/", "mailto:x", "https://xn--a/", "http://[::1", "\x00")
    ),
]


@pytest.mark.parametrize(("error", "summary"), SUMMARIES, ids=lambda value: value if isinstance(value, str) else "")
def test_an_api_error_says_what_the_gateway_said_and_what_to_do(error: APIError, summary: str) -> None:
    assert error.args == (summary,)


def test_retry_after_is_an_attribute_of_every_api_error() -> None:
    assert api_error(503, Retry_After="1.5").retry_after == 1.5
    assert api_error(400, Retry_After="Wed, 21 Oct 2026 07:28:30 GMT", Date=DATE).retry_after == 30.0


@pytest.mark.parametrize(
    ("status", "ahead", "hint"),
    [
        *((401, ahead, "") for ahead in (0, -120, 300, -300)),
        (401, 301, "5 minutes ahead of"),
        (401, -301, "5 minutes behind"),
        (401, 3590, "60 minutes ahead of"),
        (403, -7200, "120 minutes behind"),
        (400, -7200, ""),
        (429, -7200, ""),
        (500, -7200, ""),
    ],
)
def test_a_rejected_signature_has_a_hint_if_the_clocks_differ_by_more_than_5_minutes(
    monkeypatch: pytest.MonkeyPatch, status: int, ahead: int, hint: str
) -> None:
    monkeypatch.setattr(time, "time", lambda: NOW)
    text = str(api_error(status, Date=formatdate(NOW + ahead, usegmt=True)))
    assert ("clock" in text) == bool(hint)
    assert not hint or f" The gateway's clock is {hint} this machine's. Set the clock." in text


def test_a_date_that_cannot_be_read_gives_no_hint() -> None:
    assert "clock" not in str(api_error(401, Date="not a date"))
