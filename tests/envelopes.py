"""A good envelope to change, an error of the gateway to read, and a date."""

import json
from datetime import UTC, datetime
from typing import Any

from faults.responses import TOKEN, outcome_of
from wonder_payment import APIError

HTML = b"<html><body><h1>502 Bad Gateway</h1></body></html>"
CARD = {
    "number": "411111******1111",
    "exp_month": "12",
    "exp_year": "30",
    "holder_name": "SAM SAMPLE",
    "brand": "visa",
    "billing_currency": "HKD",
}
ERROR = {"code": "E1", "message": "Nope."}

DATE = "Wed, 21 Oct 2026 07:28:00 GMT"
NOW = datetime(2026, 10, 21, 7, 28, tzinfo=UTC).timestamp()


def envelope(code: Any = 0, *, without: str = "", **fields: Any) -> dict[str, Any]:
    """Return a good envelope with these fields of the payment token changed, or one removed."""
    token = {"token_type": "CreditCard", "token": TOKEN, "state": "success", "default": True, **fields}
    token.pop(without, None)
    return {"code": code, "message": "success", "data": {"payment_token": token}}


def api_error(status: int, body: object = b"", **headers: str) -> APIError:
    error = outcome_of(body if isinstance(body, bytes) else json.dumps(body).encode(), status, **headers)
    assert isinstance(error, APIError)
    return error
