"""Bad responses, and a second, strict parser of them that decides what the caller must get.

The parser shares nothing with the package or with Python's `json`: it has its own grammar (RFC 8259), and the fields as
the contract lists them. pytest and the fuzzer both compare with it.
"""

import copy
import json
import pickle
import re
from collections.abc import Iterator
from typing import Any, cast

import attrs
from hypothesis import strategies as st
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
from wonder_payment._http.received import RawResponse
from wonder_payment._http.response import checked_response
from wonder_payment_client.models import CheckPaymentTokenResponse

TOKEN = "1b9d6bcd-bbfd-4b2d-9b5d-ab8dfbbd4bed"
HOLDER = "SAM SAMPLE"
MAX_CONTAINERS = 50


def outcome_of(body: bytes | None, status: int = 200, **headers: str) -> PaymentToken | WonderError:
    """Return what the caller gets for a response, whether it is returned or raised."""
    received = {name.replace("_", "-").lower(): value for name, value in headers.items()}
    try:
        checked = checked_response(RawResponse(status, received, body), token=TOKEN)
    except WonderError as error:
        return error
    return PaymentToken.from_model(CheckPaymentTokenResponse.from_dict(checked.json()), request_id=None)


# The second parser

_LEXEME = re.compile(
    r"""[ \t\n\r]*(?:
        (?P<mark>[][{}:,])
      | "(?P<text>[^"\\\x00-\x1f]*(?:\\(?:["\\/bfnrt]|u[0-9A-Fa-f]{4})[^"\\\x00-\x1f]*)*)"
      | (?P<number>-?(?:0|[1-9][0-9]*)(?P<fraction>(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?))
      | (?P<word>true|false|null)
    )""",
    re.VERBOSE,
)
_ESCAPE = re.compile(r"\\(?:u(....)|(.))")
_ESCAPED = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t"}
_WORDS = {"true": True, "false": False, "null": None}
_SURROGATE = re.compile("[\ud800-\udfff]")


class _Reader:
    """Parse one JSON text. A ValueError: it is not JSON, is ambiguous, or has a number too large for Python."""

    def __init__(self, text: str) -> None:
        self._lexemes = self._split(text)
        self._next = next(self._lexemes)
        self.has_lone_surrogate = False

    def document(self) -> Any:
        value = self._value()
        if next(self._lexemes, None) is not None:
            raise ValueError("more than one value")
        return value

    @staticmethod
    def _split(text: str) -> Iterator[re.Match[str]]:
        end, position = len(text.rstrip(" \t\n\r")), 0
        while position < end:
            if (lexeme := _LEXEME.match(text, position)) is None:
                raise ValueError("no JSON")
            yield lexeme
            position = lexeme.end()
        if not end:
            raise ValueError("nothing")

    def _advance(self) -> re.Match[str]:
        lexeme = next(self._lexemes, None)
        if lexeme is None:
            raise ValueError("cut off")
        self._next = lexeme
        return lexeme

    def _value(self) -> Any:
        lexeme = self._next
        if (text := lexeme["text"]) is not None:
            return self._text(text)
        if (number := lexeme["number"]) is not None:
            return _number(number, is_whole=not lexeme["fraction"])
        if (word := lexeme["word"]) is not None:
            return _WORDS[word]
        if lexeme["mark"] not in ("[", "{"):
            raise ValueError("no value")
        return self._list() if lexeme["mark"] == "[" else self._object()

    def _list(self) -> list[Any]:
        values: list[Any] = []
        if self._advance()["mark"] == "]":
            return values
        while True:
            values.append(self._value())
            mark = self._advance()["mark"]
            if mark == "]":
                return values
            self._expect(",")
            self._advance()

    def _object(self) -> dict[str, Any]:
        values: dict[str, Any] = {}
        if self._advance()["mark"] == "}":
            return values
        while True:
            if (raw := self._next["text"]) is None or (name := self._text(raw)) in values:
                raise ValueError("no name, or one name twice")
            self._advance()
            self._expect(":")
            self._advance()
            values[name] = self._value()
            mark = self._advance()["mark"]
            if mark == "}":
                return values
            self._expect(",")
            self._advance()

    def _expect(self, mark: str) -> None:
        if self._next["mark"] != mark:
            raise ValueError(f"no {mark}")

    def _text(self, raw: str) -> str:
        text = _ESCAPE.sub(lambda found: chr(int(found[1], 16)) if found[1] else _ESCAPED.get(found[2], found[2]), raw)
        if _SURROGATE.search(text):
            text = text.encode("utf-16", "surrogatepass").decode("utf-16", "surrogatepass")
            self.has_lone_surrogate |= _SURROGATE.search(text) is not None
        return text


def _number(text: str, *, is_whole: bool) -> float:
    if is_whole:
        return int(text)
    value = float(text)
    if value in (float("inf"), float("-inf")):
        raise ValueError("beyond a float")
    return value


def _parsed(body: bytes) -> tuple[Any, bool]:
    """Return the value of a JSON text in UTF-8, and whether every parser must read it.

    A parser may also reject a byte order mark and half a surrogate pair.
    """
    if body.count(b"[") + body.count(b"{") > MAX_CONTAINERS:
        raise ValueError("too many containers")
    text = body.decode()
    reader = _Reader(text.removeprefix("\ufeff"))
    return reader.document(), not (text.startswith("\ufeff") or reader.has_lone_surrogate)


# What the caller must get

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
        document, is_plain = _parsed(body)
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


# The responses


@attrs.frozen
class Raw:
    """A piece of a body as it is on the wire, JSON or not."""

    text: str

    def __repr__(self) -> str:
        return f"Raw({self.text[:30]!r}…, {len(self.text)})"


@attrs.frozen
class Twice:
    """Two values under one name."""

    first: Any
    second: Any


def written(value: Any) -> str:
    """Return the JSON of a value, with its raw pieces as they are."""
    if isinstance(value, Raw):
        return value.text
    if isinstance(value, list):
        return f"[{','.join(map(written, value))}]"
    if isinstance(value, dict):
        members = [
            f"{json.dumps(name)}:{written(one)}"
            for name, member in value.items()
            for one in ((member.first, member.second) if isinstance(member, Twice) else (member,))
        ]
        return f"{{{','.join(members)}}}"
    return json.dumps(value, ensure_ascii=False)


def good(**fields: Any) -> dict[str, Any]:
    """Return a good envelope with these fields of the payment token changed."""
    card = {
        "number": "411111******1111",
        "exp_month": "12",
        "exp_year": "30",
        "holder_name": HOLDER,
        "brand": "visa",
        "billing_currency": "HKD",
    }
    known = {"token_type": "CreditCard", "token": TOKEN, "state": "success", "default": True, "credit_card": card}
    return {"code": 0, "message": "success", "data": {"payment_token": known | fields}}


def nested(start: str, end: str, depth: int) -> Raw:
    return Raw(start * depth + end * depth)


RAW = [
    *map(Raw, ("NaN", "Infinity", "-Infinity", "nan", "1e999", "-1e999", "1e-999", "1" * 4000, "9" * 5000)),
    *map(Raw, ("-" + "9" * 5000, "0." + "1" * 5000, "-0", "-0.0", "0e5", "200.0", "2e2", "1e400", "1E+2")),
    *map(Raw, ("01", "+1", "1.", ".5", "0x10", "1_0", "--1", "-", "\u0661", "tru", "True", "nulll", "undefined")),
    *map(Raw, (r'"\ud800"', r'"\udc00\ud800"', r'"\ud83d\ude00"', r'"\uD800x"', '"\ud800"', r'"\u00zz"', r'"\x41"')),
    *map(Raw, ('"\x00"', '"\n"', '"\x7f"', "'a'", '"', '"\\"', "//", "/* */0", "", ",", "0,", "]", "}", "\ufeff0")),
    *(nested("[", "]", depth) for depth in (1, 40, 45, 46, 47, 48, 49, 50, 51, 60, 900, 10_000)),
    *(Raw('{"a":' * depth + "0" + "}" * depth) for depth in (1, 44, 47, 48, 49, 50, 51, 60, 10_000)),
    Raw("[" * 10_000),
]

_text = st.text(st.characters(), max_size=20)
_names = st.sampled_from(
    [
        *("code", "message", "data", "payment_token", "token", "token_type", "state", "default", "error_code"),
        *("error_msg", "error_message", "credit_card", "number", "exp_month", "holder_name", "extra", "self", ""),
    ]
)
_values = st.one_of(
    st.sampled_from(RAW),
    st.sampled_from(
        [0, 1, 200, 200.0, 400, 401, 404, 429, 500, 999, 1000, -1, "0", "200", "503", "E1", "", TOKEN.upper()]
    ),
    st.sampled_from(["success", "failed", "pending", "SUCCESS", " success", "CreditCard", "4111111111111111"]),
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | _text,
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_names | _text, inner, max_size=3),
        max_leaves=8,
    ),
)


def _objects(value: Any) -> list[dict[str, Any]]:
    if not isinstance(value, dict):
        return []
    return [value, *(inner for member in value.values() for inner in _objects(member))]


@st.composite
def bodies(draw: st.DrawFn) -> bytes:
    """A good body with fields changed, removed, added or duplicated, in any encoding."""
    document = good()
    for _ in range(draw(st.integers(0, 3))):
        target = draw(st.sampled_from(_objects(document)))
        name = draw(st.sampled_from([*target, *target, None])) or draw(_names | _text)
        match draw(st.sampled_from(["change", "change", "leave out", "twice"])):
            case "leave out":
                target.pop(name, None)
            case "twice":
                first = target.get(name)
                if not isinstance(first, Twice):
                    target[name] = Twice(first, draw(st.just(first) | _values))
            case _:
                target[name] = draw(_values)
    text = written(document)
    body = text.encode(draw(st.sampled_from(["utf-8"] * 12 + OTHER_ENCODINGS)), "surrogatepass")
    if draw(st.integers(0, 9)) == 0:
        first, last = sorted(draw(st.tuples(st.integers(0, len(body)), st.integers(0, len(body)))))
        body = body[:first] + draw(st.binary(max_size=8)) + body[last:]
    return body


OTHER_ENCODINGS = ["utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-le", "utf-32-be"]
