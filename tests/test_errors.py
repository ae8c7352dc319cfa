"""The exceptions, what may be quoted in them, and what the headers of an answer say."""

import base64
import copy
import pickle
import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
import wonder_payment
from wonder_payment import (
    APIError,
    AuthenticationError,
    BadRequestError,
    ConfigurationError,
    InvalidResponseError,
    InvalidTokenError,
    NetworkError,
    NotFoundError,
    RateLimitError,
    RequestTimeoutError,
    ServerError,
    StillPendingError,
    WonderError,
    errors,
)
from wonder_payment.errors import redact
from wonder_payment.headers import clock_difference, http_date, retry_after

REQUEST_ID = "7f1a3c52-8f0e-4d0c-9d6b-3f5b7b0f6a11"

# The tree


NAMES = [name for name, thing in vars(errors).items() if isinstance(thing, type) and issubclass(thing, Exception)]


def drawn_tree() -> Iterator[tuple[str, str | None]]:
    """The names and their parents in the drawing of the module's docstring."""
    branch: list[tuple[int, str]] = []
    drawing = re.compile(r"(?P<lines>[ │├└─]+)(?P<name>[A-Za-z]+)(\s{2,}.*)?")
    for line in (errors.__doc__ or "").splitlines():
        if drawn := drawing.fullmatch(line):
            depth = len(drawn["lines"])
            branch = [(parent_depth, parent) for parent_depth, parent in branch if parent_depth < depth]
            yield drawn["name"], branch[-1][1] if branch else None
            branch.append((depth, drawn["name"]))


def test_the_classes_are_the_tree_of_the_docstring() -> None:
    real = {name: getattr(errors, name).__bases__[0].__name__ for name in NAMES}
    assert {**real, "WonderError": None} == dict(drawn_tree())


@pytest.mark.parametrize("name", NAMES)
def test_every_error_is_a_wonder_error_exported_and_documented(name: str) -> None:
    kind = getattr(errors, name)
    assert issubclass(kind, WonderError)
    assert getattr(wonder_payment, name) is kind
    assert kind.__doc__


def test_an_invalid_token_is_a_value_error_too_and_no_other_error_is() -> None:
    assert [name for name in NAMES if issubclass(getattr(errors, name), ValueError)] == ["InvalidTokenError"]


# What each of them carries

API: dict[str, Any] = {
    "status_code": 418,
    "code": "E000002",
    "message": "Invalid Credential Format.",
    "retry_after": 2.5,
}

ERRORS: list[WonderError] = [
    *[
        kind("What happened.", request_id=REQUEST_ID, attempts=3)
        for kind in (WonderError, ConfigurationError, InvalidTokenError, NetworkError, RequestTimeoutError)
    ],
    InvalidResponseError("What happened.", request_id=REQUEST_ID, attempts=3),
    StillPendingError("What happened.", request_id=REQUEST_ID, attempts=3, token=None, elapsed=60.0, polls=2),
    *[
        kind("What happened.", request_id=REQUEST_ID, attempts=3, **API)
        for kind in (APIError, BadRequestError, AuthenticationError, NotFoundError, RateLimitError, ServerError)
    ],
]
BARE_ERRORS: list[WonderError] = [
    kind("Nothing more.", status_code=500) if issubclass(kind, APIError) else kind("Nothing more.")
    for kind in (type(error) for error in ERRORS)
]


def test_these_are_all_the_errors() -> None:
    assert {type(error).__name__ for error in ERRORS} == set(NAMES)


def pickled(protocol: int) -> Callable[[Any], Any]:
    return lambda thing: pickle.loads(pickle.dumps(thing, protocol))  # noqa: S301


WAYS = {
    "copy": copy.copy,
    "deepcopy": copy.deepcopy,
    **{f"pickle {protocol}": pickled(protocol) for protocol in range(pickle.HIGHEST_PROTOCOL + 1)},
}


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
@pytest.mark.parametrize("error", [*ERRORS, *BARE_ERRORS], ids=lambda error: type(error).__name__)
def test_every_error_survives_pickle_and_copy(error: WonderError, way: Callable[[Any], Any]) -> None:
    again = way(error)
    assert again is not error
    assert type(again) is type(error)
    assert str(again) == str(error)
    assert repr(again) == repr(error)
    assert again.args == error.args
    assert vars(again) == vars(error)


def test_a_note_survives_pickle() -> None:
    error = ServerError("What happened.", status_code=500)
    error.add_note("while checking out")
    assert pickle.loads(pickle.dumps(error)).__notes__ == ["while checking out"]  # noqa: S301


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
def test_every_error_carries_its_request_id_and_attempts(error: WonderError) -> None:
    assert (error.request_id, error.attempts) == (REQUEST_ID, 3)


@pytest.mark.parametrize("error", BARE_ERRORS, ids=lambda error: type(error).__name__)
def test_an_error_before_any_request_has_no_request_id_and_no_attempts(error: WonderError) -> None:
    assert (error.request_id, error.attempts) == (None, 0)


@pytest.mark.parametrize(
    "error", [error for error in ERRORS if isinstance(error, APIError)], ids=lambda error: type(error).__name__
)
def test_an_api_error_carries_what_the_gateway_said(error: APIError) -> None:
    assert {name: getattr(error, name) for name in API} == API


def test_an_api_error_may_know_no_more_than_the_status() -> None:
    error = APIError("What happened.", status_code=418)
    assert (error.status_code, error.code, error.message, error.retry_after) == (418, None, None, None)


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
def test_a_message_ends_with_what_support_asks_for(error: WonderError) -> None:
    assert str(error) == f"What happened. (request id {REQUEST_ID}, 3 attempts)"


@pytest.mark.parametrize(
    ("request_id", "attempts", "told"),
    [
        (None, 0, "What happened. (nothing was sent)"),
        (REQUEST_ID, 1, f"What happened. (request id {REQUEST_ID}, 1 attempt)"),
        (REQUEST_ID, 2, f"What happened. (request id {REQUEST_ID}, 2 attempts)"),
    ],
)
def test_a_message_tells_how_often_was_asked(request_id: str | None, attempts: int, told: str) -> None:
    assert str(NetworkError("What happened.", request_id=request_id, attempts=attempts)) == told


def test_a_message_tells_what_is_learned_later() -> None:
    error = NetworkError("What happened.")
    error.request_id, error.attempts = REQUEST_ID, 4
    assert str(error) == f"What happened. (request id {REQUEST_ID}, 4 attempts)"


# What may be quoted of a foreign text

UUID_TOKEN = "1b9d6bcd-bbfd-4b2d-9b5d-ab8dfbbd4bed"
SIGNATURE = base64.b64encode(bytes(range(256))).decode()


@pytest.mark.parametrize(
    ("text", "quoted"),
    [
        (UUID_TOKEN, "…4bed"),
        (UUID_TOKEN.upper(), "…4BED"),
        (UUID_TOKEN.replace("-", ""), "…4bed"),
        (f"token {UUID_TOKEN} is unknown", "token …4bed is unknown"),
        (f'"{UUID_TOKEN}"', '"…4bed"'),
        (f"({UUID_TOKEN}, {UUID_TOKEN})", "(…4bed, …4bed)"),
        (f"令牌{UUID_TOKEN}無效", "令牌…4bed無效"),
        ("4111111111111234", "…1234"),
        ("4111 1111 1111 1234", "…1234"),
        ("4111-1111-1111-1234", "…1234"),
        ("4111  1111\n1111\t1234", "…1234"),
        ("4111\u00a01111\u00a01111\u00a01234", "…1234"),
        ("378282246310005", "…0005"),
        ("3782 822463 10005", "…0005"),
        ("6011000990139424123", "…4123"),
        ("card 4111111111111234 declined", "card …1234 declined"),
        ("卡號4111111111111234無效", "卡號…1234無效"),
        # What is not printable is dropped, and must not be what kept a secret from being seen.
        ("4111\u200b1111\u200b1111\u200b1234", "…1234"),
        ("4111\x001111\x001111\x001234", "…1234"),
        ("1b9d6bcd-bbfd-4b2d-\x009b5d-ab8dfbbd4bed", "…4bed"),
        (SIGNATURE, f"…{SIGNATURE[-4:]}"),
        (f"Signature: {SIGNATURE}", f"Signature: …{SIGNATURE[-4:]}"),
        ("a\nb", "a b"),
        ("a\r\nERROR forged line", "a ERROR forged line"),
        ("a\x1b[31mb", "a[31mb"),
        ("\x00a\x07\x7f\u202eb\u2028c", "ab c"),
        ("  a \t\v\f b  ", "a b"),
        ("a " * 100, "a " * 99 + "a"),
        ("a " * 101, "a " * 100 + "…"),
        ("請 " * 100_000, "請 " * 100 + "…"),
        ("a" * 100_000, "…"),
        ("", ""),
    ],
    ids=lambda text: repr(text)[:40],
)
def test_a_quote_is_one_short_line_without_secrets(text: str, quoted: str) -> None:
    assert redact(text) == quoted


@pytest.mark.parametrize(
    "text",
    [
        "Invalid Credential Format.",
        "E000002",
        "3-D Secure was not completed within 300 s (step 2 of 4).",
        "持卡人驗證失敗, 請重試",
        "签名无效: 请检查您的密钥",
        "Retry after 2026-07-22 10:11:12 UTC",
        "amount 1234567.89 HKD exceeds 99999.99",
        "call +852 2123 4567",
        "order 12345678901",
        "ERR_CARD_DECLINED / insufficient_funds",
        "Die Gültigkeit der Karte ist abgelaufen: bitte prüfen",
        "[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed: unable to get local issuer certificate",
        "[Errno 111] Connection refused",
    ],
)
def test_an_ordinary_message_is_quoted_unharmed(text: str) -> None:
    assert redact(text) == text


# What the package exports

EXPORTED = {
    *NAMES,
    "AsyncWonderClient",
    "Card",
    "Environment",
    "Outcome",
    "PaymentToken",
    "PollPolicy",
    "RetryPolicy",
    "TokenChecker",
    "TokenState",
    "TokenType",
    "WonderClient",
    "__version__",
    "check_token",
}


def test_all_names_each_thing_a_user_imports_once() -> None:
    assert set(wonder_payment.__all__) == EXPORTED
    assert len(wonder_payment.__all__) == len(EXPORTED)


def test_all_can_be_imported_and_is_all_that_is_public() -> None:
    assert set(dir(wonder_payment)) == EXPORTED
    assert [name for name in EXPORTED if getattr(wonder_payment, name, None) is None] == []


# The headers of an answer

DATE = "Wed, 21 Oct 2026 07:28:00 GMT"
THEN = datetime(2026, 10, 21, 7, 28, tzinfo=UTC)
NOW = THEN.timestamp()

UNREADABLE = [None, "", " ", "soon", "0", "-1", "Wed, 32 Oct 2026 07:28:00 GMT", "Wed, 21 Oct 2026 25:61:00 GMT"]
UNREADABLE += [
    "2026-10-21T07:28:00Z",
    "Wed, 21 Oct 99999 07:28:00 GMT",
    "Wed, 21 Oct 2026 07:28:00 +9999",
    "\0",
    "日期",
]


@pytest.mark.parametrize(
    ("value", "wanted"),
    [
        (DATE, THEN),
        ("Wednesday, 21-Oct-26 07:28:00 GMT", THEN),
        ("Wed Oct 21 07:28:00 2026", THEN),
        ("21 Oct 2026 07:28:00 GMT", THEN),
        ("Wed, 21 Oct 2026 07:28:00 UTC", THEN),
        ("Wed, 21 Oct 2026 07:28:00 +0000", THEN),
        ("Wed, 21 Oct 2026 07:28:00 -0000", THEN),
        ("Wed, 21 Oct 2026 15:28:00 +0800", THEN),
        ("Wed, 21 Oct 2026 07:28:00", THEN),
        ("wed, 21 oct 2026 07:28:00 gmt", THEN),
        (f"  {DATE} ", THEN),
        *[(value, None) for value in UNREADABLE],
    ],
)
def test_an_http_date_is_read_in_each_of_its_forms(value: str | None, wanted: datetime | None) -> None:
    date = http_date(value)
    assert date == wanted
    assert date is None or date.tzinfo is UTC


@pytest.mark.parametrize(
    ("value", "date", "now", "wanted"),
    [
        ("0", None, NOW, 0.0),
        ("2", None, NOW, 2.0),
        ("120", DATE, 0.0, 120.0),
        ("1.5", None, NOW, 1.5),
        ("0.25", None, NOW, 0.25),
        (" 3 ", None, NOW, 3.0),
        ("007", None, NOW, 7.0),
        ("Wed, 21 Oct 2026 07:28:30 GMT", None, NOW, 30.0),
        ("Wed, 21 Oct 2026 07:28:30 GMT", None, NOW + 0.5, 29.5),
        ("Wed, 21 Oct 2026 07:28:30 GMT", DATE, NOW, 30.0),
        ("Wed, 21 Oct 2026 07:28:30 GMT", DATE, NOW + 3600, 30.0),
        ("Wed, 21 Oct 2026 07:28:30 GMT", DATE, NOW - 3600, 30.0),
        ("Wed, 21 Oct 2026 07:28:30 GMT", "nonsense", NOW - 30, 60.0),
        ("Wed, 21 Oct 2026 07:28:30 GMT", "", NOW - 30, 60.0),
        (DATE, DATE, 0.0, 0.0),
        ("Wed, 21 Oct 2026 07:27:00 GMT", DATE, NOW - 3600, 0.0),
        ("Wed, 21 Oct 2020 07:28:00 GMT", None, NOW, 0.0),
        *[(value, DATE, NOW, None) for value in UNREADABLE if value != "0"],
        *[(value, DATE, NOW, None) for value in ("-5", "+5", "1,5", "1e3", "nan", "inf", "5 s", ".5", "5.", "\u0665")],
    ],
)
def test_retry_after_is_in_seconds_from_the_answers_own_date(
    value: str | None, date: str | None, now: float, wanted: float | None
) -> None:
    assert retry_after(value, date=date, now=now) == wanted


@pytest.mark.parametrize(
    ("date", "now", "wanted"),
    [
        (DATE, NOW, 0.0),
        (DATE, NOW - 3600, 3600.0),
        (DATE, NOW + 3600, -3600.0),
        (DATE, NOW + 0.25, -0.25),
        ("Wed, 21 Oct 2026 15:28:00 +0800", NOW - 1, 1.0),
        *[(value, NOW, 0.0) for value in UNREADABLE],
    ],
)
def test_a_clock_difference_is_how_far_the_gateway_is_ahead(date: str | None, now: float, wanted: float) -> None:
    assert clock_difference(date, now=now) == wanted
