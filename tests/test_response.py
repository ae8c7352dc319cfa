"""checked_response(): status, headers and body in; a payment token or the right error out. No client, no I/O."""

import gzip
import json
import zlib
from typing import Any

import pytest
from envelopes import CARD, ERROR, HTML, api_error, envelope
from faults.responses import TOKEN, outcome_of
from wonder_payment import (
    AuthenticationError,
    Card,
    InvalidResponseError,
    PaymentToken,
    ServerError,
    TokenState,
    TokenType,
)
from wonder_payment._http.received import MAX_BYTES, RawResponse
from wonder_payment._http.response import checked_response

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
NO_CODE = "`code` and `error_code` are missing, or the value is not text or a number"
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


def test_a_body_may_have_1_mib() -> None:
    assert MAX_BYTES == 1_048_576
