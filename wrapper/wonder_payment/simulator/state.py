"""The state of a simulator: its tokens, clock, faults and requests; and how it responds to a request."""

import math
import threading
import time
from collections import deque
from email.utils import formatdate
from itertools import count
from typing import Literal
from uuid import UUID

import attrs
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from .checks import Sent, read_body, rejection_of
from .faults import Broken, Fault, InjectedFault, take
from .tokens import TEST_TOKENS, SimulatedToken
from .variant import Variant, error_body
from .verification import Verdict, Verifier

__all__ = ["SimulatedRequest", "SimulatorState"]

_MAX_REQUESTS = 10_000


@attrs.frozen(kw_only=True)
class SimulatedRequest:
    """A request that the simulator received.

    Attributes:
        number: The number of the request, from 1.
        time: When it was received (Unix time, UTC, by the simulator's clock).
        request_id: Its X-Request-ID header. Any value is accepted.
        nonce: Its Nonce header. Each attempt has its own.
        verdict: The result of verifying its signature.
        status: The HTTP status of the response; None if a fault kept the response from arriving whole.
        broken: What happened instead of a whole response: the ``broken`` of the fault, or ``"no response"``. None if
            the response was sent.
        path: Its path, as received. For an echo request, it is one of `ECHO_PATHS`.
        token: The token in its body; None for an echo request, or if the body has no readable token.
        verify_uuid: The ``verify_uuid`` in its body; None if there is none.
        customer_uuid: The customer in its path, or the literal ``uuid``; None for an echo request.
        language: Its x-i18n-lang header.
    """

    number: int
    time: float
    request_id: str | None
    nonce: str
    verdict: Verdict
    status: int | None
    broken: Broken | Literal["no response"] | None
    path: str
    token: str | None
    verify_uuid: str | None
    customer_uuid: str | None
    language: str | None


class SimulatorState:
    """Everything a simulator knows. Threads share it; they hold ``lock`` while they change more than one thing.

    Args:
        app_id: The only app id that is accepted.
        public_key: The key that the app's signatures are verified with.
        variant: What it requires, and how it responds.
    """

    def __init__(self, app_id: str, public_key: RSAPublicKey, variant: Variant) -> None:
        self.variant = variant
        self.verifier = Verifier(app_id, public_key)
        self.lock = threading.RLock()
        self.tokens: dict[str, SimulatedToken] = {}
        self.requests: deque[SimulatedRequest] = deque(maxlen=_MAX_REQUESTS)
        self.faults: list[InjectedFault] = []  # injected, in the order in which they apply
        self._own_faults: list[InjectedFault] = []  # of tokens that consist of them
        self._numbers = count(1)
        # Seconds by which the simulator's clock is ahead of the machine's.
        self.clock_offset = 0.0
        self.reset()

    def reset(self) -> None:
        """Return to the initial state: the test tokens, no requests, no faults, the machine's time."""
        with self.lock:
            self.tokens.clear()
            self.requests.clear()
            self.faults.clear()
            self._own_faults.clear()
            for test in TEST_TOKENS:
                self.add(test.make())
            self.clock_offset = 0.0

    def find(self, token: str | UUID) -> SimulatedToken | None:
        """Return the token with this UUID; None if there is none."""
        return self.tokens.get(str(token).lower())

    def add(self, token: SimulatedToken) -> None:
        """Add a token with its own faults."""
        with self.lock:
            self.tokens[token.token] = token
            self._own_faults += [InjectedFault(fault, token.token) for fault in token.faults]

    def delete(self, token: SimulatedToken) -> None:
        """Delete a token and its faults."""
        with self.lock:
            self.tokens.pop(token.token, None)
            for faults in (self.faults, self._own_faults):
                faults[:] = [injected for injected in faults if injected.token != token.token]

    def settle(
        self, token: SimulatedToken, state: str, error_code: str | None = None, error_message: str | None = None
    ) -> SimulatedToken:
        """Complete 3-D Secure: the token stays in this state.

        Raises:
            ValueError: ``error_code`` or ``error_message`` is not a string.
        """
        with self.lock:
            settled = attrs.evolve(
                token, states=[state], after=None, error_code=error_code, error_message=error_message
            )
            self.tokens[token.token] = settled
        return settled

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
        # The echo request has no parameters; its body does not matter.
        customer_uuid: str | None = request.path_params.get("customer_uuid")
        sent = Sent() if customer_uuid is None else read_body(body)
        with self.lock:
            token = self.tokens.get(sent.token) if sent.token else None
            known = token.token if token else None
            fault = take(self.faults, known) or take(self._own_faults, known)
            now = self.now() + (fault.clock_minutes * 60 if fault else 0)
            verdict = self.verifier.judge(method, uri, request.headers, body, now=now)
            rejection = verdict.rejection
            if rejection is None and customer_uuid is not None:
                rejection = rejection_of(request, sent, token, self.variant)
            if fault and (fault.status is not None or fault.body is not None):
                response = fault.response(self.variant.envelope)
            elif rejection is not None:
                content = error_body(self.variant.envelope, rejection.code, rejection.message)
                response = JSONResponse(content, status_code=rejection.status)
            elif token is not None:
                response = JSONResponse(self.variant.good_body(data={"payment_token": token.poll()}))
            else:
                response = JSONResponse(self.variant.good_body())
            broken: Broken | Literal["no response"] | None = None
            if fault:
                broken = "no response" if fault.delay == math.inf else fault.broken
            response.headers["Date"] = formatdate(now, usegmt=True)
            self.requests.append(
                SimulatedRequest(
                    number=next(self._numbers),
                    time=now,
                    request_id=request.headers.get("X-Request-ID"),
                    nonce=verdict.nonce,
                    verdict=verdict,
                    status=None if broken else response.status_code,
                    broken=broken,
                    path=uri.partition("?")[0],
                    token=sent.token,
                    verify_uuid=sent.verify_uuid,
                    customer_uuid=customer_uuid,
                    language=request.headers.get("x-i18n-lang"),
                )
            )
        return response, fault
