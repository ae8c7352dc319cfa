"""Decides what the caller must get for a response, by the second parser and by the fields of the contract."""

import copy
import pickle
import re
from typing import Any, cast

import attrs
from faults.responses import TOKEN
from faults.second_parser import parsed
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
    WonderError,
)

_CARD = ("number", "exp_month", "exp_year", "holder_name", "brand", "billing_currency")
_TEXT, _TEXT_OR_NULL = (str,), (str, type(None))
_FIELDS: dict[str, tuple[str, tuple[type, ...]]] = {
    "token": ("token", _TEXT),
    "token_type": ("token_type", _TEXT),
    "state": ("state", _TEXT),
    "default": ("is_default", (bool, type(None))),
    "error_code": ("error_code", _TEXT_OR_NULL),
    "error_msg": ("error_message", _TEXT_OR_NULL),
}
_ENVELOPE = ("code", "message", "error_code", "error_message", "data")
_ERRORS: dict[float, type[APIError]] = {
    400: BadRequestError,
    401: AuthenticationError,
    403: AuthenticationError,
    404: NotFoundError,
    422: BadRequestError,
    429: RateLimitError,
}


def _error_of(document: dict[str, Any]) -> type[WonderError] | None:
    """Return the error that the codes of an envelope mean; None if they are good."""
    codes = [_judged(document.get(name)) for name in ("code", "error_code")]
    if bad := [number for judgement, number in codes if judgement == "bad"]:
        return _kind(bad[0])
    (new, _), (old, _) = codes
    if new == "empty":
        return APIError
    return None if (old if new == "absent" else new) in ("good", "empty") else InvalidResponseError


def _judged(code: object) -> tuple[str, float]:
    """Return whether a code is absent, no code, empty, good or bad; and the number that it stands for, or -1."""
    if type(code) not in (str, int, float):
        return "absent" if code is None else "no code", -1
    if code in ("", 0, 200, "0", "200"):
        return "empty" if code == "" else "good", -1
    if isinstance(code, str):
        return "bad", int(code) if re.fullmatch("[0-9]{1,9}", code) else -1
    return "bad", float(cast("float", code)) if abs(cast("float", code)) < 1e9 else -1


def _kind(status: float) -> type[APIError]:
    return ServerError if 500 <= status < 1000 else _ERRORS.get(status, APIError)


def _fields(document: dict[str, Any]) -> dict[str, Any] | None:
    """Return the fields of the PaymentToken in an envelope; None if a type breaks the contract."""
    data = document.get("data")
    token = data.get("payment_token") if isinstance(data, dict) else None
    if not isinstance(data, dict) or not isinstance(token, dict):
        return None
    fields: dict[str, Any] = {}
    for name, (attribute, types) in _FIELDS.items():
        if type(value := token.get(name)) not in types:
            return None
        fields[attribute] = value
    card = token.get("credit_card")
    if type(card) not in (dict, type(None)) or fields["token"].lower() != TOKEN:
        return None
    # The fields that the contract does not know. A name at several levels has its innermost value.
    extra = {name: value for name, value in document.items() if name not in _ENVELOPE} | data
    del extra["payment_token"]
    if card is not None:
        if any(type(card.get(name)) not in _TEXT_OR_NULL for name in _CARD):
            return None
        unknown = {name: value for name, value in card.items() if name not in _CARD}
        extra |= {"credit_card": unknown} if unknown else {}
        card = {name: card.get(name) for name in _CARD}
    extra |= {name: value for name, value in token.items() if name not in {*_FIELDS, "credit_card"}}
    return fields | {"card": card, "extra": extra}


def _expected(body: bytes, status: int) -> tuple[set[type[Any]], dict[str, Any] | None]:
    """Return the classes that the caller may get, and the fields if one is PaymentToken."""
    if status // 100 != 2:
        return {_kind(status)}, None
    try:
        document, is_plain = parsed(body)
    except ValueError:
        document, is_plain = None, False
    if not isinstance(document, dict):
        return {InvalidResponseError}, None
    if (error := _error_of(document)) is not None:
        return {error} if is_plain else {error, InvalidResponseError}, None
    fields = _fields(document)
    if fields is None or status != 200:
        return {InvalidResponseError}, None
    return {PaymentToken} if is_plain else {PaymentToken, InvalidResponseError}, fields


def _same(one: Any, other: Any) -> bool:
    """Return whether two values and their types are equal: 1, 1.0 and True are different."""
    if type(one) is not type(other):
        return False
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(_same(value, other[name]) for name, value in one.items())
    if isinstance(one, list):
        return len(one) == len(other) and all(map(_same, one, other))
    return bool(one == other)


def judge(outcome: object, body: bytes, *, status: int = 200) -> None:
    """Fail unless the caller of a check must get this for that response."""
    expected, fields = _expected(body, status)
    assert type(outcome) in expected, (outcome, expected, body[:1000])
    if isinstance(outcome, PaymentToken):
        got = {attribute.name: getattr(outcome, attribute.name) for attribute in attrs.fields(PaymentToken)}
        del got["request_id"]
        assert isinstance(got["card"], Card | None)
        got["card"] = attrs.asdict(outcome.card) if outcome.card else None
        for name, kind in (("state", TokenState), ("token_type", TokenType)):
            assert isinstance(got[name], kind) == (got[name] in set(kind))
            got[name] = str(got[name])
        assert _same(got, fields), (got, fields)
        assert outcome.is_verified is (got["state"] == "success")
        assert outcome.is_failed is (got["state"] == "failed")
        assert_usable(outcome)
    else:
        assert isinstance(outcome, WonderError)
        assert str(outcome)


def assert_usable(token: PaymentToken) -> None:
    """Fail unless a token can be shown, hashed, compared, copied and pickled."""
    shown = repr(token) + str(token)
    assert TOKEN not in shown.lower()
    shown.encode()
    for again in (pickle.loads(pickle.dumps(token)), copy.deepcopy(token)):  # noqa: S301 (written here)
        assert again == token
        assert hash(again) == hash(token)
        assert repr(again) == repr(token)
    assert attrs.asdict(token)["token"] == token.token
    assert token.card is None or token.card.expires_on is None or token.card.is_expired() in (True, False)
