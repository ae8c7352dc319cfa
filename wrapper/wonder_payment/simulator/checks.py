"""What is wrong with a check request, apart from its signature."""

import json
from typing import Any

import attrs
from starlette.requests import Request

from wonder_payment.config import LANGUAGES, checked_customer, checked_uuid

from .tokens import SimulatedToken
from .variant import Variant
from .verification import Rejection

__all__ = ["Sent", "read_body", "rejection_of"]

_BAD_CUSTOMER = Rejection(400, "SIM_CUSTOMER", "The customer in the path is neither a UUID nor the literal uuid.")
_BAD_LANGUAGE = Rejection(400, "SIM_LANGUAGE", f"x-i18n-lang must be one of {', '.join(LANGUAGES)}.")
_BAD_BODY = Rejection(400, "SIM_BODY", "payment_token.token in the body is missing or not a UUID.")
_BAD_VERIFY_UUID = Rejection(400, "SIM_VERIFY_UUID", "payment_token.verify_uuid in the body is missing or not a UUID.")
_UNKNOWN_TOKEN = Rejection(404, "SIM_TOKEN", "The simulator has no such payment token.")

# Only some variants send these. A gateway that requires a UUID most plausibly cannot parse the literal in its place,
# and finds no token under another UUID.
_NO_CUSTOMER = Rejection(400, "SIM_CUSTOMER", "The path must have the customer's UUID, not the literal uuid.")
_OTHER_CUSTOMER = Rejection(404, "SIM_TOKEN", "The payment token belongs to another customer.")
_OTHER_VERIFY_UUID = Rejection(404, "SIM_TOKEN", "The payment token has another verify_uuid.")


@attrs.frozen(kw_only=True)
class Sent:
    """What the body of a check request has, and what is wrong with it."""

    token: str | None = None
    verify_uuid: str | None = None
    rejection: Rejection | None = None


def read_body(body: bytes) -> Sent:
    """Return what a body has."""
    try:
        reference: Any = json.loads(body)["payment_token"]
        token = str(checked_uuid("token", reference["token"]))
    except (ValueError, TypeError, KeyError, RecursionError):
        return Sent(rejection=_BAD_BODY)
    if "verify_uuid" not in reference:
        return Sent(token=token)
    try:
        return Sent(token=token, verify_uuid=str(checked_uuid("verify_uuid", reference["verify_uuid"])))
    except ValueError:
        return Sent(token=token, rejection=_BAD_VERIFY_UUID)


def rejection_of(request: Request, sent: Sent, token: SimulatedToken | None, variant: Variant) -> Rejection | None:
    """Return why a variant rejects a check request with a good signature; None if it does not.

    Args:
        request: The request, for its headers and its path.
        sent: What its body has.
        token: The token in its body, if there is such a token.
        variant: What is required.
    """
    customer_uuid = str(request.path_params["customer_uuid"])
    needs_customer, needs_verify = variant.requires_customer_uuid, variant.requires_verify_uuid
    checks = (
        (_is_customer(customer_uuid), _BAD_CUSTOMER),
        # The header is optional.
        (all(value in LANGUAGES for value in request.headers.getlist("x-i18n-lang")), _BAD_LANGUAGE),
        (sent.rejection is None, sent.rejection),
        (not needs_customer or customer_uuid != "uuid", _NO_CUSTOMER),
        (not needs_verify or sent.verify_uuid, _BAD_VERIFY_UUID),
        (token, _UNKNOWN_TOKEN),
        (not needs_customer or (token and customer_uuid.lower() == token.customer_uuid), _OTHER_CUSTOMER),
        (not needs_verify or (token and sent.verify_uuid == token.verify_uuid), _OTHER_VERIFY_UUID),
    )
    return next((rejection for good, rejection in checks if not good), None)


def _is_customer(customer_uuid: str) -> bool:
    try:
        checked_customer(customer_uuid)
    except ValueError:
        return False
    return True
