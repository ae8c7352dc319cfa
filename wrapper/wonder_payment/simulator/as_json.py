"""Tokens, faults and requests as the control API shows them."""

import math
from datetime import UTC, datetime
from typing import Any

import attrs

from .faults import Fault, InjectedFault
from .state import SimulatedRequest
from .tokens import TEST_TOKENS, SimulatedToken

__all__ = ["FAULT_FIELDS", "FOREVER", "TOKEN_FIELDS", "fault_json", "request_json", "token_json"]

# JSON has no infinity.
FOREVER = "forever"

# What a caller may choose.
TOKEN_FIELDS = (
    "states",
    "after",
    "token_type",
    "card",
    "error_code",
    "error_message",
    "customer_uuid",
    "verify_uuid",
)
FAULT_FIELDS = tuple(field.name for field in attrs.fields(Fault))

_BEHAVIOURS = {test.token: test.behaviour for test in TEST_TOKENS}


def token_json(token: SimulatedToken) -> dict[str, Any]:
    """Return a token, with the state that its next poll returns."""
    return {
        "token": token.token,
        "state": token.state,
        "behaviour": _BEHAVIOURS.get(token.token),
        "polls": token.polls,
        **{name: getattr(token, name) for name in TOKEN_FIELDS},
    }


def fault_json(injected: InjectedFault) -> dict[str, Any]:
    """Return a fault, with the token whose requests it applies to."""
    values = {name: getattr(injected.fault, name) for name in FAULT_FIELDS}
    for name, value in values.items():
        if value == math.inf:
            values[name] = FOREVER
        elif isinstance(value, bytes):
            values[name] = _text(value)
    return {"token": injected.token, **values}


def request_json(request: SimulatedRequest) -> dict[str, Any]:
    """Return a recorded request, with all that its signature was verified from."""
    verdict = attrs.asdict(request.verdict)
    verdict["body"] = _text(request.verdict.body)
    if verdict["seconds_off"] == math.inf:
        verdict["seconds_off"] = None
    time = datetime.fromtimestamp(request.time, UTC).isoformat(timespec="milliseconds")
    return attrs.asdict(request) | {"time": time, "verdict": verdict}


def _text(content: bytes) -> str:
    return content.decode(errors="backslashreplace")
