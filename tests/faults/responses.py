"""Good and bad responses, and what the caller gets for one."""

import json
from typing import Any

import attrs
from hypothesis import strategies as st
from wonder_payment import PaymentToken, WonderError
from wonder_payment._http.received import RawResponse
from wonder_payment._http.response import checked_response
from wonder_payment_client.models import CheckPaymentTokenResponse

TOKEN = "1b9d6bcd-bbfd-4b2d-9b5d-ab8dfbbd4bed"
HOLDER = "SAM SAMPLE"


def outcome_of(body: bytes | None, status: int = 200, **headers: str) -> PaymentToken | WonderError:
    """Return what the caller gets for a response, whether it is returned or raised."""
    received = {name.replace("_", "-").lower(): value for name, value in headers.items()}
    try:
        checked = checked_response(RawResponse(status, received, body), token=TOKEN)
    except WonderError as error:
        return error
    return PaymentToken.from_model(CheckPaymentTokenResponse.from_dict(checked.json()), request_id=None)


def received(body: object, status: int = 200) -> PaymentToken | WonderError:
    return outcome_of(json.dumps(body).encode(), status)


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
