"""A gateway that keeps the requests that WonderAuth signs, and says whether they are signed."""

import time
from datetime import UTC, datetime
from email.utils import formatdate
from typing import Any

import httpx
from conftest import key
from wonder_payment.signing import WonderAuth, verify

APP_ID = "d900da8b-6e16-4a85-8a66-05d29ac53f24"
ORIGIN = "https://gateway.example"
CHECK = f"{ORIGIN}/svc/payment/check"


def wonder_auth(origin: str = ORIGIN) -> WonderAuth:
    return WonderAuth(APP_ID, key(), origin=origin)


class Gateway:
    """Drives the auth like httpx does, with the responses of a gateway whose clock may differ.

    Attributes:
        statuses: The next responses; 200 after the last one.
        ahead: Seconds by which the gateway's clock is ahead; None: its responses have no date.
        requests: What was sent.
    """

    def __init__(self, *statuses: int, ahead: float | None = 0.0) -> None:
        self.statuses = list(statuses)
        self.ahead = ahead
        self.requests: list[httpx.Request] = []

    def respond(self, request: httpx.Request) -> httpx.Response:
        # The auth signs the same object again: keep a copy of what was sent.
        self.requests.append(
            httpx.Request(request.method, request.url, headers=request.headers, content=request.read())
        )
        date = {} if self.ahead is None else {"Date": formatdate(time.time() + self.ahead, usegmt=True)}
        return httpx.Response(self.statuses.pop(0) if self.statuses else 200, headers=date)

    def send(self, auth: WonderAuth, url: str = CHECK, **request: Any) -> int:
        """Send a request and return the status of its final response."""
        flow = auth.auth_flow(httpx.Request(request.pop("method", "POST"), url, **request))
        signed = next(flow)
        while True:
            response = self.respond(signed)
            try:
                signed = flow.send(response)
            except StopIteration:
                return response.status_code

    @property
    def clocks(self) -> list[float]:
        """The seconds by which each request's signed time is ahead of ours."""
        return [signed_time(request).timestamp() - time.time() for request in self.requests]


def signed_time(request: httpx.Request) -> datetime:
    return datetime.strptime(request.headers["Credential"].split("/")[1], "%Y%m%d%H%M%S").replace(tzinfo=UTC)


def is_signed(request: httpx.Request) -> bool:
    return verify(
        key().public_key(),
        request.headers["Signature"],
        credential=request.headers["Credential"],
        nonce=request.headers["Nonce"],
        method=request.method,
        uri=request.url.raw_path.decode(),
        body=request.content,
    )


def equal_headers(*requests: httpx.Request) -> list[str]:
    """Return which of the headers that must differ are equal in two requests."""
    first, second = (request.headers for request in requests)
    return [name for name in ("Nonce", "X-Request-ID", "Signature") if first[name] == second[name]]
