"""The state of a simulator: its tokens, clock, faults and requests; and how it responds to a request."""

import json
import threading
import time
from collections import deque
from email.utils import formatdate
from itertools import count
from typing import Any

import attrs
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from wonder_payment.config import LANGUAGES, checked_customer, checked_uuid

from .faults import Fault, take
from .tokens import TEST_TOKENS, SimulatedToken
from .verification import Rejection, Verdict, Verifier

__all__ = ["SimulatedRequest", "SimulatorState"]

_MAX_REQUESTS = 10_000

_BAD_CUSTOMER = Rejection(400, "SIM_CUSTOMER", "The customer in the path is neither a UUID nor the literal uuid.")
_BAD_LANGUAGE = Rejection(400, "SIM_LANGUAGE", f"x-i18n-lang must be one of {', '.join(LANGUAGES)}.")
_BAD_BODY = Rejection(400, "SIM_BODY", "payment_token.token in the body is missing or not a UUID.")
_UNKNOWN_TOKEN = Rejection(404, "SIM_TOKEN", "The simulator has no such payment token.")


@attrs.frozen(kw_only=True)
class SimulatedRequest:
    """A request that the simulator received.

    Attributes:
        number: The number of the request, from 1.
        time: When it was received (Unix time, UTC, by the simulator's clock).
        request_id: Its X-Request-ID header; any value is accepted.
        nonce: Its Nonce header. Every attempt has its own.
        verdict: The result of verifying its signature.
        status: The HTTP status of the response, even if a fault kept the response from arriving.
        token: The token in its body; None if none could be read.
        customer_uuid: The customer in its path, or the literal ``uuid``.
        language: Its x-i18n-lang header.
    """

    number: int
    time: float
    request_id: str | None
    nonce: str
    verdict: Verdict
    status: int
    token: str | None
    customer_uuid: str
    language: str | None


class SimulatorState:
    """Everything a simulator knows. Threads share it; they hold ``lock`` while they change more than one thing.

    Args:
        app_id: The only app id that is accepted.
        public_key: The key that the app's signatures are verified with.
    """

    def __init__(self, app_id: str, public_key: RSAPublicKey) -> None:
        self.verifier = Verifier(app_id, public_key)
        self.lock = threading.RLock()
        self.tokens: dict[str, SimulatedToken] = {}
        self.requests: deque[SimulatedRequest] = deque(maxlen=_MAX_REQUESTS)
        self.faults: deque[Fault] = deque()
        self._numbers = count(1)
        # Seconds by which the simulator's clock is ahead of the machine's.
        self.clock_offset = 0.0
        self.reset()

    def reset(self) -> None:
        """Return to the initial state: the test tokens, no requests, no faults, the machine's time."""
        with self.lock:
            self.tokens = {test.token: test.make() for test in TEST_TOKENS}
            self.requests.clear()
            self.faults.clear()
            self.clock_offset = 0.0

    def now(self) -> float:
        """Return the time by the simulator's clock (Unix time, UTC)."""
        return time.time() + self.clock_offset

    def respond(self, method: str, uri: str, request: Request, body: bytes) -> tuple[Response, Fault | None]:
        """Verify and record a request; return its response and the fault to apply to it.

        Args:
            method: The HTTP method.
            uri: The path with its query string, as received.
            request: The request, for its headers and path parameters.
            body: The bytes received.
        """
        uuid = _token_in(body)
        with self.lock:
            token = self.tokens.get(uuid) if uuid else None
            fault = take(self.faults) or (take(token.faults) if token else None)
            now = self.now() + (fault.clock_minutes * 60 if fault else 0)
            verdict = self.verifier.judge(method, uri, request.headers, body, now=now)
            rejection = verdict.rejection or _parameter_rejection(request)
            if fault and (fault.status is not None or fault.body is not None):
                response = fault.response()
            elif rejection is None and token is not None:
                response = JSONResponse({"code": 0, "message": "success", "data": {"payment_token": token.poll()}})
            else:
                rejection = rejection or (_UNKNOWN_TOKEN if uuid else _BAD_BODY)
                content = {"code": rejection.code, "message": rejection.message}
                response = JSONResponse(content, status_code=rejection.status)
            response.headers["Date"] = formatdate(now, usegmt=True)
            self.requests.append(
                SimulatedRequest(
                    number=next(self._numbers),
                    time=now,
                    request_id=request.headers.get("X-Request-ID"),
                    nonce=verdict.nonce,
                    verdict=verdict,
                    status=response.status_code,
                    token=uuid,
                    customer_uuid=request.path_params["customer_uuid"],
                    language=request.headers.get("x-i18n-lang"),
                )
            )
        return response, fault


def _parameter_rejection(request: Request) -> Rejection | None:
    """Return what is wrong with the parameters that are not part of the signature; None if nothing is."""
    try:
        checked_customer(request.path_params["customer_uuid"])
    except ValueError:
        return _BAD_CUSTOMER
    # The header is optional.
    if not all(value in LANGUAGES for value in request.headers.getlist("x-i18n-lang")):
        return _BAD_LANGUAGE
    return None


def _token_in(body: bytes) -> str | None:
    try:
        content: Any = json.loads(body)
        return str(checked_uuid("token", content["payment_token"]["token"]))
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return None
