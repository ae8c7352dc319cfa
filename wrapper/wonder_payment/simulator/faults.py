"""Faults on demand: wrong responses, late responses and broken connections."""

from collections import deque
from http import HTTPStatus
from typing import Literal, TypeAlias, get_args

import attrs
from attrs.validators import ge, in_, instance_of, le, optional
from starlette.responses import JSONResponse, Response

from .variant import Envelope, error_body

__all__ = ["Fault", "take"]

_HTML_PAGE = "<!doctype html><title>Bad gateway</title><h1>The simulator plays a CDN's error page</h1>"

Broken: TypeAlias = Literal["reset before", "reset in the middle", "truncated"]


def _text_headers(_fault: object, _attribute: object, headers: dict[str, str]) -> None:
    if not all(isinstance(text, str) for header in headers.items() for text in header):
        raise TypeError("headers must be text, names and values")


@attrs.frozen(kw_only=True)
class Fault:
    """What goes wrong with a response.

    Attributes:
        status: The HTTP status, from 200 to 999; None keeps the simulator's own.
        body: The body; None keeps the simulator's own, or sends an error of the simulator if ``status`` is given.
        headers: Headers to add or to replace, for example ``Retry-After`` or ``Content-Type``.
        delay: Seconds before the response; with ``math.inf`` no response is sent.
        drip: Seconds between two bytes of the body; None sends them all at once.
        drip_headers: Whether the status line and the headers drip, too.
        broken: Where the connection breaks: ``"reset before"`` the response, ``"reset in the middle"`` of its body, or
            closed in the middle as if the body ended there (``"truncated"``).
        clock_minutes: Minutes by which the simulator's clock is ahead for this request.
        times: The number of requests that the fault applies to; ``math.inf`` for all.

    Raises:
        ValueError: A value is out of bounds.
        TypeError: A value has the wrong type.
    """

    status: int | None = attrs.field(default=None, validator=optional([instance_of(int), ge(200), le(999)]))
    body: str | bytes | None = attrs.field(default=None, validator=optional(instance_of((str, bytes))))
    headers: dict[str, str] = attrs.field(factory=dict[str, str], validator=_text_headers)
    delay: float = attrs.field(default=0.0, validator=ge(0.0))
    drip: float | None = attrs.field(default=None, validator=optional(ge(0.0)))
    drip_headers: bool = False
    broken: Broken | None = attrs.field(default=None, validator=optional(in_(get_args(Broken))))
    clock_minutes: float = attrs.field(default=0.0, validator=instance_of((int, float)))
    times: float = attrs.field(default=1, validator=ge(1))

    def response(self, envelope: Envelope) -> Response:
        """Return the response to send instead of the simulator's own."""
        status = self.status or HTTPStatus.OK
        if self.body is None and self.headers.get("Content-Type") != "text/html":
            content = error_body(envelope, "SIM_FAULT", f"A fault on demand: {status}.")
            return JSONResponse(content, status_code=status)
        body = _HTML_PAGE if self.body is None else self.body
        return Response(body, status_code=status, media_type="application/json")


def take(faults: list[Fault] | deque[Fault]) -> Fault | None:
    """Return the first fault and count it down; None if there is none."""
    if not faults:
        return None
    fault = faults[0]
    if fault.times > 1:
        faults[0] = attrs.evolve(fault, times=fault.times - 1)
    else:
        del faults[0]
    return fault
