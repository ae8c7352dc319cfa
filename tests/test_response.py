"""checked_response(): status, headers and body in; a payment token or the right error out. No client, no I/O."""

import gzip
import json
import time
import zlib
from datetime import UTC, datetime
from email.utils import formatdate
from typing import Any

import pytest
from faults.responses import TOKEN, outcome_of
from wonder_payment import (
    APIError,
    AuthenticationError,
    BadRequestError,
    Card,
    InvalidResponseError,
    NotFoundError,
    PaymentToken,
    RateLimitError,
    ServerError,
    TokenState,
    TokenType,
)
from wonder_payment._http.received import MAX_BYTES, RawResponse
from wonder_payment._http.response import checked_response, http_date, retry_after

HTML = b"<html><body><h1>502 Bad Gateway</h1></body></html>"
CARD = {
    "number": "411111******1111",
    "exp_month": "12",
    "exp_year": "30",
    "holder_name": "SAM SAMPLE",
    "brand": "visa",
    "billing_currency": "HKD",
}


def envelope(code: Any = 0, *, without: str = "", **fields: Any) -> dict[str, Any]:
    """Return a good envelope with these fields of the payment token changed, or one removed."""
    token = {"token_type": "CreditCard", "token": TOKEN, "state": "success", "default": True, **fields}
    token.pop(without, None)
    return {"code": code, "message": "success", "data": {"payment_token": token}}


# A token

GOOD = {
    "success": (envelope(), {"state": TokenState.SUCCESS, "is_verified": True, "is_default": True}),
    "code 200": (envelope(code=200), {"is_verified": True}),
    "code 0.0": (envelope(code=0.0), {"is_verified": True}),
    "code '0'": (envelope(code="0"), {"is_verified": True, "extra": {}}),
    "a good code under the older name only": (
        {"error_code": 0, "message": "m", "data": envelope()["data"]},
        {"is_verified": True, "extra": {}},
    ),
    "no message": ({"code": 0, "data": envelope()["data"]}, {"is_verified": True}),
    "no default": (envelope(without="default"), {"is_default": None, "is_verified": True}),
    "null default": (envelope(default=None), {"is_default": None, "is_verified": True}),
    "pending": (envelope(state="pending"), {"is_pending": True, "is_verified": False}),
    "failed is a result, not an exception": (
        envelope(state="failed", error_code="3DS_1", error_msg="declined"),
        {"is_failed": True, "is_pending": False, "error_code": "3DS_1", "error_message": "declined"},
    ),
    "an unknown state": (envelope(state="reviewing"), {"state": "reviewing", "is_pending": True}),
    "an unknown token type": (envelope(token_type="Alipay"), {"token_type": "Alipay"}),
    "no card": (
        envelope(token_type="AlipayAutoDebit", credit_card=None),
        {"token_type": TokenType.ALIPAY_AUTO_DEBIT, "card": None},
    ),
    "null errors": (envelope(error_code=None, error_msg=None), {"error_code": None, "error_message": None}),
    "a card": (envelope(credit_card=CARD), {"card": Card(**CARD)}),
    "an empty card": (envelope(credit_card={}), {"card": Card()}),
    "a card of nulls": (envelope(credit_card=dict.fromkeys(CARD)), {"card": Card()}),
    "unknown fields of the token and the card": (
        envelope(verify_url="https://3ds.example", credit_card={"tier": "gold"}),
        {"extra": {"verify_url": "https://3ds.example", "credit_card": {"tier": "gold"}}, "card": Card()},
    ),
    "unknown fields around the token": (
        {**envelope(), "trace": "t", "data": {**envelope()["data"], "verify_uuid": "v"}},
        {"extra": {"trace": "t", "verify_uuid": "v"}, "is_verified": True},
    ),
    "50 containers": (envelope(extra=[[]] * 46), {"is_verified": True}),
    "the token in upper case": (envelope(token=TOKEN.upper()), {"token": TOKEN.upper()}),
}


@pytest.mark.parametrize(("body", "expected"), GOOD.values(), ids=GOOD)
def test_a_good_response_is_a_payment_token(body: dict[str, Any], expected: dict[str, Any]) -> None:
    token = outcome_of(json.dumps(body).encode())
    assert isinstance(token, PaymentToken)
    assert {name: getattr(token, name) for name in expected} == expected


def test_a_checked_response_has_what_the_generated_parser_reads_and_shows_no_value() -> None:
    checked = checked_response(RawResponse(200, {}, json.dumps(envelope()).encode()), token=TOKEN)
    assert (checked.status_code, checked.content, checked.headers) == (200, b"", None)
    assert checked.json() == envelope()
    assert repr(checked) == "CheckedResponse()"


# An error of the gateway


def api_error(status: int, body: object = b"", **headers: str) -> APIError:
    error = outcome_of(body if isinstance(body, bytes) else json.dumps(body).encode(), status, **headers)
    assert isinstance(error, APIError)
    return error


STATUSES = {
    **dict.fromkeys((300, 301, 302, 303, 307, 308, 405, 407, 409, 418, 424, 426), APIError),
    **dict.fromkeys((400, 422), BadRequestError),
    **dict.fromkeys((401, 403), AuthenticationError),
    404: NotFoundError,
    **dict.fromkeys((408, 425), APIError),
    429: RateLimitError,
    **dict.fromkeys((*range(500, 505), *range(520, 528), 530, 599, 999), ServerError),
}
ERROR = {"code": "E1", "message": "Nope."}


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


# A broken contract

WRONG = (
    ("token_type", "str", (1, [], {})),
    ("token", "str", (1, [])),
    ("state", "str", (1, True, ["success"])),
    ("default", "bool", (1, "true", [])),
    ("error_code", "str", (0, False, [])),
    ("error_msg", "str", (0, {})),
    ("credit_card", "dict", ("4111", [], 0, False)),
)
NO_CODE = "`code` or `error_code` is missing, or of a wrong type"
NO_TOKEN, NOT_JSON = "`data.payment_token` is missing", "it is empty, or not one unambiguous JSON object"
TWO_STATES = json.dumps(envelope()).replace('"state"', '"state": "pending", "state"').encode()
# name: (body, problem[, status])
BAD: dict[str, tuple[Any, ...]] = {
    "not read": (None, "its body is larger than 1 MiB, and was not read to its end"),
    "empty": (b"", NOT_JSON),
    "truncated": (json.dumps(envelope()).encode()[:-3], NOT_JSON),
    "HTML": (HTML, NOT_JSON),
    "a list": ([envelope()], NOT_JSON),
    "a text": (b'"a"', NOT_JSON),
    "null": (b"null", NOT_JSON),
    "51 lists": (envelope(extra=[[]] * 47), NOT_JSON),
    "a duplicate name": (TWO_STATES, NOT_JSON),
    "NaN": (envelope(code=float("nan")), NOT_JSON),
    "1e999": (json.dumps(envelope(extra=5)).replace("5", "1e999").encode(), NOT_JSON),
    "not UTF-8": (b"\xff\xfe\xfd", NOT_JSON),
    "an empty object": ({}, NOT_JSON),
    "null code": (envelope(code=None), NO_CODE),
    "false is no code, though it equals 0": (envelope(code=False), NO_CODE),
    "a list for a code": (envelope(code=[0]), NO_CODE),
    "no code of either name": ({"message": "m", "data": envelope()["data"]}, NO_CODE),
    "false under the older name": (
        {"error_code": False, "message": "m", "data": envelope()["data"]},
        NO_CODE,
    ),
    "no data": ({"code": 0, "message": "m"}, NO_TOKEN),
    "no token in data": ({"code": 0, "message": "m", "data": {}}, NO_TOKEN),
    "a list for data": ({"code": 0, "message": "m", "data": []}, NO_TOKEN),
    "pairs for data": ({"code": 0, "message": "m", "data": [["payment_token", {}]]}, NO_TOKEN),
    "null token": ({"code": 0, "message": "m", "data": {"payment_token": None}}, NO_TOKEN),
    **{f"no {name}": (envelope(without=name), f"`{name}` is missing") for name in ("token_type", "token", "state")},
    **{f"{name} null": (envelope(**{name: None}), f"`{name}` is missing") for name in ("token_type", "token", "state")},
    **{
        f"{name} {value}": (envelope(**{name: value}), f"`{name}` is {type(value).__name__}, not {kind}")
        for name, kind, values in WRONG
        for value in values
    },
    **{f"card.{name} 1": (envelope(credit_card={name: 1}), f"`{name}` is int, not str") for name in CARD},
    "another token": (
        envelope(token="00000000-0000-4000-8000-000000000000"),
        "it is about a different token",
    ),
    "201": (envelope(), "the contract defines only HTTP 200", 201),
    "204": (b"", NOT_JSON, 204),
}


@pytest.mark.parametrize("case", BAD.values(), ids=BAD)
def test_a_good_status_that_breaks_the_contract_is_an_invalid_response(case: tuple[Any, ...]) -> None:
    body, problem, status = case if len(case) == 3 else (*case, 200)
    content = body if isinstance(body, bytes | None) else json.dumps(body).encode()
    error = outcome_of(content, status)
    assert isinstance(error, InvalidResponseError)
    # The field is named and its value is not quoted.
    size = "" if content is None else f", {len(content)} bytes"
    assert error.args == (f"The response (HTTP {status}{size}) breaks the contract: {problem}.",)
    assert not error.is_transient


# Compressed bodies

GOOD_BODY = json.dumps(envelope()).encode()
ZLIB = zlib.compress(GOOD_BODY)
COMPRESSED = {
    "gzip": ("gzip", gzip.compress(GOOD_BODY)),
    "capitals": (" GZIP ", gzip.compress(GOOD_BODY)),
    "x-gzip": ("x-gzip", gzip.compress(GOOD_BODY)),
    "deflate": ("deflate", ZLIB),
    "deflate without a header": ("deflate", ZLIB[2:-4]),
    "identity": ("identity", GOOD_BODY),
    "1 MiB": ("gzip", gzip.compress(GOOD_BODY + b" " * (MAX_BYTES - len(GOOD_BODY)))),
}
UNREADABLE = {
    "br": ("br", GOOD_BODY, "its Content-Encoding is br, and only gzip and deflate can be read"),
    "two codings": ("gzip, br", GOOD_BODY, "its Content-Encoding is gzip, br, and only gzip and deflate can be read"),
    "not gzip": ("gzip", GOOD_BODY, "its body is not one whole gzip stream"),
    "empty": ("gzip", b"", "its body is not one whole gzip stream"),
    "cut off": ("gzip", gzip.compress(GOOD_BODY)[:-9], "its body is not one whole gzip stream"),
    "two streams": ("gzip", gzip.compress(GOOD_BODY) * 2, "its body is not one whole gzip stream"),
    "deflate cut off": ("deflate", ZLIB[:-9], "its body is not one whole deflate stream"),
    "a bomb": ("gzip", gzip.compress(b" " * (MAX_BYTES + 1)), "its body is larger than 1 MiB"),
    "a deflate bomb": ("deflate", zlib.compress(b" " * (100 * MAX_BYTES)), "its body is larger than 1 MiB"),
}


@pytest.mark.parametrize(("encoding", "body"), COMPRESSED.values(), ids=COMPRESSED)
def test_gzip_and_deflate_are_read(encoding: str, body: bytes) -> None:
    assert isinstance(outcome_of(body, content_encoding=encoding), PaymentToken)


def test_a_compressed_error_keeps_its_code() -> None:
    error = api_error(401, gzip.compress(json.dumps(ERROR).encode()), content_encoding="gzip")
    assert (type(error), error.code, error.message) == (AuthenticationError, "E1", "Nope.")


@pytest.mark.parametrize(("encoding", "body", "problem"), UNREADABLE.values(), ids=UNREADABLE)
def test_a_body_that_cannot_be_decompressed_is_an_error_that_names_the_reason(
    encoding: str, body: bytes, problem: str
) -> None:
    for status, kind in ((200, InvalidResponseError), (401, AuthenticationError), (502, ServerError)):
        error = outcome_of(body, status, content_encoding=encoding)
        assert type(error) is kind
        assert problem in str(error)


# The headers

DATE = "Wed, 21 Oct 2026 07:28:00 GMT"
NOW = datetime(2026, 10, 21, 7, 28, tzinfo=UTC).timestamp()
LATER = "Wed, 21 Oct 2026 07:28:30 GMT"

UNREADABLE = [
    *(None, "", " ", "soon", "-1", "\0", "日期", "2026-10-21T07:28:00Z", "Wed, 32 Oct 2026 07:28:00 GMT"),
    *("Wed, 21 Oct 2026 25:61:00 GMT", "Wed, 21 Oct 99999 07:28:00 GMT", "Wed, 21 Oct 2026 07:28:00 +9999"),
]


@pytest.mark.parametrize(
    "value",
    [
        *(DATE, "Wednesday, 21-Oct-26 07:28:00 GMT", "Wed Oct 21 07:28:00 2026", "21 Oct 2026 07:28:00 GMT"),
        *(f"Wed, 21 Oct 2026 {clock}" for clock in ("07:28:00 UTC", "07:28:00 +0000", "07:28:00 -0000", "07:28:00")),
        *("Wed, 21 Oct 2026 15:28:00 +0800", "wed, 21 oct 2026 07:28:00 gmt", f"  {DATE} "),
    ],
)
def test_an_http_date_is_read_in_each_of_its_forms(value: str) -> None:
    assert http_date(value) == NOW


@pytest.mark.parametrize("value", [*UNREADABLE, "0"])
def test_a_text_that_is_no_date_is_none(value: str | None) -> None:
    assert http_date(value) is None


@pytest.mark.parametrize(
    ("value", "date", "now", "seconds"),
    [
        *((value, None, NOW, float(value)) for value in ("0", "2", "1.5", "0.25", " 3 ", "007")),
        ("120", DATE, 0.0, 120.0),
        ("9" * 400, None, NOW, 1e9),
        ("Wed, 21 Oct 9026 07:28:00 GMT", None, NOW, 1e9),
        (LATER, None, NOW, 30.0),
        (LATER, None, NOW + 0.5, 29.5),
        *((LATER, DATE, NOW + difference, 30.0) for difference in (0, 3600, -3600)),
        *((LATER, unreadable, NOW - 30, 60.0) for unreadable in ("nonsense", "")),
        (DATE, DATE, 0.0, 0.0),
        ("Wed, 21 Oct 2026 07:27:00 GMT", DATE, NOW - 3600, 0.0),
        ("Wed, 21 Oct 2020 07:28:00 GMT", None, NOW, 0.0),
        *((value, DATE, NOW, None) for value in UNREADABLE),
        *((value, DATE, NOW, None) for value in ("-5", "+5", "1,5", "1e3", "nan", "inf", "5 s", ".5", "5.", "\u0665")),
    ],
)
def test_retry_after_is_in_seconds_from_the_date_of_the_response(
    value: str | None, date: str | None, now: float, seconds: float | None
) -> None:
    assert retry_after(value, date=date, now=now) == seconds


def test_a_body_may_have_1_mib() -> None:
    assert MAX_BYTES == 1_048_576
