"""Faults on demand: wrong responses, late responses and broken connections."""

import re
from http import HTTPStatus
from typing import Any, Literal, TypeAlias, get_args

import attrs
from starlette.responses import JSONResponse, Response

from .values import is_number, is_text_map, is_whole_number, must_be, optional, or_infinite
from .variant import Envelope, error_body

__all__ = ["Fault", "InjectedFault", "take"]

_HTML_PAGE = "<!doctype html><title>Bad gateway</title><h1>The simulator's copy of a CDN's error page</h1>"

Broken: TypeAlias = Literal["reset before", "reset in the middle", "truncated"]

_SECONDS = "a number of seconds, at least 0"


def _is_bool(value: object) -> bool:
    return isinstance(value, bool)


def _is_broken(value: object) -> bool:
    return value in get_args(Broken)


# As in RFC 9110, sections 5.1 and 5.5: anything else cannot be sent.
_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_VALUE = re.compile(r"|[!-~\xa0-\xff]([\t -~\xa0-\xff]*[!-~\xa0-\xff])?")


def _is_headers(value: Any) -> bool:
    return is_text_map(value) and all(
        _NAME.fullmatch(name) and text is not None and _VALUE.fullmatch(text) for name, text in value.items()
    )


@attrs.frozen(kw_only=True)
class Fault:
    """What goes wrong with a response.

    Attributes:
        status: The HTTP status, from 200 to 999; None keeps the simulator's own.
        body: The body. None keeps the simulator's own, or sends an error of the simulator if ``status`` is set.
        headers: Headers to add or to replace, for example ``Retry-After`` or ``Content-Type``.
        delay: Seconds before the response. With ``math.inf``, no response is sent.
        drip: Seconds between two bytes of the body; None sends them all at once.
        drip_headers: Whether the status line and the headers drip, too.
        broken: How the connection breaks: ``"reset before"`` the response, ``"reset in the middle"`` of its body, or
            ``"truncated"``: closed in the middle, as if the body ended there.
        clock_minutes: Minutes by which the simulator's clock is ahead for this request.
        times: The number of requests that the fault applies to; ``math.inf`` for all.

    Raises:
        ValueError: A value is wrong. The message names the attribute.
    """

    status: int | None = attrs.field(
        default=None,
        validator=must_be("a whole number from 200 to 999", optional(is_whole_number(200, 999))),
    )
    body: str | bytes | None = attrs.field(
        default=None, validator=must_be("a string", lambda value: isinstance(value, str | bytes | None))
    )
    headers: dict[str, str] = attrs.field(
        factory=dict[str, str], validator=must_be("an object of header names and string values", _is_headers)
    )
    delay: float = attrs.field(default=0.0, validator=must_be(_SECONDS, or_infinite(is_number(0))))
    drip: float | None = attrs.field(default=None, validator=must_be(_SECONDS, optional(is_number(0))))
    drip_headers: bool = attrs.field(default=False, validator=must_be("true or false", _is_bool))
    broken: Broken | None = attrs.field(
        default=None, validator=must_be(f"one of: {', '.join(get_args(Broken))}", optional(_is_broken))
    )
    clock_minutes: float = attrs.field(default=0.0, validator=must_be("a number of minutes", is_number(-(10**9))))
    times: float = attrs.field(
        default=1, validator=must_be("a whole number of requests, at least 1", or_infinite(is_whole_number(1)))
    )

    def response(self, envelope: Envelope) -> Response:
        """Return the response to send instead of the simulator's own."""
        status = self.status or HTTPStatus.OK
        if self.body is None and self.headers.get("Content-Type") != "text/html":
            content = error_body(envelope, "SIM_FAULT", f"An injected fault: {status}.")
            return JSONResponse(content, status_code=status)
        body = _HTML_PAGE if self.body is None else self.body
        return Response(body, status_code=status, media_type="application/json")


@attrs.frozen
class InjectedFault:
    """A fault, and the token whose requests it applies to; None for all requests."""

    fault: Fault
    token: str | None


def take(faults: list[InjectedFault], token: str | None) -> Fault | None:
    """Return the first fault for a request about this token, and count it down; None if there is none."""
    for place, injected in enumerate(faults):
        if injected.token in (None, token):
            fault = injected.fault
            if fault.times > 1:
                faults[place] = attrs.evolve(injected, fault=attrs.evolve(fault, times=fault.times - 1))
            else:
                del faults[place]
            return fault
    return None
