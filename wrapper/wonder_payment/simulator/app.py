"""The gateway's side of the contract, as a Starlette application."""

from __future__ import annotations

import json
import re
import threading
import time
from collections import deque
from email.utils import formatdate
from itertools import count
from typing import TYPE_CHECKING, Any

import attrs
from starlette.applications import Starlette
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from wonder_payment.config import LANGUAGES, checked_uuid
from wonder_payment.errors import InvalidTokenError

from .faults import Fault, play, take
from .page import page_routes
from .tokens import WELL_KNOWN, SimulatedToken
from .verification import Refusal, Verdict, Verifier

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
    from starlette.requests import Request

__all__ = ["GatewayState", "SimulatedRequest", "application"]

CHECK_PATH = "/svc/payment/api/v1/openapi/customers/{customer_uuid}/payment_tokens/check"

_MOST_REQUESTS = 10_000

_REQUEST_ID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")

_NO_CUSTOMER = Refusal(400, "SIM_CUSTOMER", "The customer in the path is no UUID, and not the literal uuid.")
_NO_REQUEST_ID = Refusal(400, "SIM_REQUEST_ID", "X-Request-ID is no UUID4, 8-4-4-4-12 lower-case hexadecimal digits.")
_NO_LANGUAGE = Refusal(400, "SIM_LANGUAGE", f"x-i18n-lang is none of {', '.join(LANGUAGES)}.")
_NO_BODY = Refusal(400, "SIM_BODY", "The body has no payment_token.token that is a UUID.")
_NO_TOKEN = Refusal(404, "SIM_TOKEN", "This gateway has no such payment token.")


@attrs.frozen(kw_only=True)
class SimulatedRequest:
    """A request that came in.

    Attributes:
        number: Counts the gateway's requests, from 1 on.
        time: When (Unix time, UTC, by the gateway's clock).
        request_id: Its X-Request-ID.
        nonce: Its Nonce: each attempt has its own.
        verdict: What the gateway made of its signature.
        status: The HTTP status of the answer, whether or not a fault kept it from arriving.
        token: The token it asked for, where one could be read.
        customer_uuid: The customer in its path, or the literal ``uuid``.
        language: Its x-i18n-lang, if it had one.
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


class GatewayState:
    """What a simulated gateway knows: its tokens, its clock, what came in, and what is to go wrong.

    Args:
        app_id: The only app it knows.
        public_key: What that app's signatures are checked with.
    """

    def __init__(self, app_id: str, public_key: RSAPublicKey) -> None:
        self.verifier = Verifier(app_id, public_key)
        self.lock = threading.RLock()
        self.tokens: dict[str, SimulatedToken] = {}
        self.requests: deque[SimulatedRequest] = deque(maxlen=_MOST_REQUESTS)
        self.faults: deque[Fault] = deque()
        self._numbers = count(1)
        # Seconds the gateway's clock is ahead of the machine's.
        self.clock_offset = 0.0
        self.reset()

    def reset(self) -> None:
        """Go back to the start: the well-known tokens, no request, no fault, the right time."""
        with self.lock:
            self.tokens = {known.token: known.make() for known in WELL_KNOWN}
            self.requests.clear()
            self.faults.clear()
            self.clock_offset = 0.0

    def now(self) -> float:
        """Return the time by the gateway's clock (Unix time, UTC)."""
        return time.time() + self.clock_offset

    def respond(self, method: str, uri: str, request: Request, body: bytes) -> tuple[Response, Fault | None]:
        """Judge a request, note it, and return its answer and what goes wrong with it."""
        asked = _asked_token(body)
        with self.lock:
            token = self.tokens.get(asked) if asked else None
            fault = take(self.faults) or (take(token.faults) if token else None)
            now = self.now() + (fault.clock_minutes * 60 if fault else 0)
            verdict = self.verifier.judge(method, uri, request.headers, body, now=now)
            refusal = verdict.refusal or _parameter_refusal(request)
            if fault and (fault.status is not None or fault.body is not None):
                answer = fault.answer()
            elif refusal is None and token is not None:
                answer = JSONResponse({"code": 0, "message": "success", "data": {"payment_token": token.look()}})
            else:
                refusal = refusal or (_NO_TOKEN if asked else _NO_BODY)
                answer = JSONResponse({"code": refusal.code, "message": refusal.message}, status_code=refusal.status)
            answer.headers["Date"] = formatdate(now, usegmt=True)
            self.requests.append(
                SimulatedRequest(
                    number=next(self._numbers),
                    time=now,
                    request_id=request.headers.get("X-Request-ID"),
                    nonce=verdict.nonce,
                    verdict=verdict,
                    status=answer.status_code,
                    token=asked,
                    customer_uuid=request.path_params["customer_uuid"],
                    language=request.headers.get("x-i18n-lang"),
                )
            )
        return answer, fault


def application(state: GatewayState) -> Starlette:
    """Return the gateway's HTTP side, for programs and for people."""

    async def check(request: Request) -> Response:
        uri = request.scope["raw_path"].decode("ascii")
        if request.scope["query_string"]:
            uri += "?" + request.scope["query_string"].decode("ascii")
        answer, fault = state.respond(request.method, uri, request, await request.body())
        return answer if fault is None else await play(fault, answer, request)

    return Starlette(routes=[Route(CHECK_PATH, check, methods=["POST"]), *page_routes(state)])


def _parameter_refusal(request: Request) -> Refusal | None:
    """Return what is wrong with the parameters in the path and in the headers, those of the signature left out."""
    customer = request.path_params["customer_uuid"]
    try:
        if customer != "uuid":
            checked_uuid("customer_uuid", customer)
    except InvalidTokenError:
        return _NO_CUSTOMER
    # Both headers may be missing.
    if not all(_REQUEST_ID.fullmatch(value) for value in request.headers.getlist("X-Request-ID")):
        return _NO_REQUEST_ID
    if not all(value in LANGUAGES for value in request.headers.getlist("x-i18n-lang")):
        return _NO_LANGUAGE
    return None


def _asked_token(body: bytes) -> str | None:
    try:
        content: Any = json.loads(body)
        return str(checked_uuid("token", content["payment_token"]["token"]))
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return None
