"""What goes wrong on demand: wrong answers, late ones, and connections that break."""

from __future__ import annotations

import asyncio
import math
import socket
import struct
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Literal, get_args
from weakref import WeakValueDictionary

import attrs
from attrs.validators import ge, in_, instance_of, le, optional
from starlette.responses import Response
from uvicorn.protocols.http.h11_impl import H11Protocol

if TYPE_CHECKING:
    from collections import deque

    from starlette.requests import Request

__all__ = ["ConnectionProtocol", "Fault", "play", "take"]

_HTML_PAGE = "<!doctype html><title>Bad gateway</title><h1>The simulator's idea of a CDN's error page</h1>"


Broken = Literal["reset before", "reset in the middle", "truncated"]


def _text_headers(_fault: object, _attribute: object, headers: dict[str, str]) -> None:
    if not all(isinstance(text, str) for header in headers.items() for text in header):
        raise TypeError("headers must be text, names and values")


@attrs.frozen(kw_only=True)
class Fault:
    """What goes wrong with an answer, instead of it or on its way.

    Attributes:
        status: The HTTP status to answer; None: what the gateway would answer.
        body: The body to answer; None: the gateway's own, or an error of the simulator where ``status`` is given.
        headers: Headers to add, or to put in place of the answer's own: ``Retry-After``, ``Content-Type``, and so on.
        delay: Seconds before the answer; ``math.inf``: none ever comes.
        drip: Seconds between one byte of the body and the next; None: all at once.
        drip_headers: Whether the status line and the headers drip, too.
        broken: Where the connection breaks: ``"reset before"`` the answer, ``"reset in the middle"`` of it, or closed
            there as if the body ended (``"truncated"``).
        clock_minutes: By how many minutes the gateway's clock is ahead.
        times: How many requests it happens to; ``math.inf``: all.

    Raises:
        ValueError, TypeError: A value is none of these.
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

    def answer(self) -> Response:
        """Return the answer that stands in for the gateway's."""
        status = self.status or HTTPStatus.OK
        body = self.body
        if body is None:
            is_html = self.headers.get("Content-Type") == "text/html"
            body = _HTML_PAGE if is_html else f'{{"code": "SIM_FAULT", "message": "A fault on demand: {status}."}}'
        return Response(body, status_code=status, media_type="application/json")


def take(faults: list[Fault] | deque[Fault]) -> Fault | None:
    """Return the first fault, and count it down."""
    if not faults:
        return None
    fault = faults[0]
    if fault.times > 1:
        faults[0] = attrs.evolve(fault, times=fault.times - 1)
    else:
        del faults[0]
    return fault


# The connections under way by the two addresses of each: ASGI shows the addresses, not the connection.
_transports: WeakValueDictionary[Any, asyncio.Transport] = WeakValueDictionary()


class ConnectionProtocol(H11Protocol):
    """uvicorn's HTTP/1.1, with a way from a request to its connection."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Remember the connection. Called by asyncio."""
        super().connection_made(transport)
        _transports[transport.get_extra_info("peername"), transport.get_extra_info("sockname")] = transport


async def play(fault: Fault, answer: Response, request: Request) -> Response:
    """Return the answer as the fault leaves it. Does not return before the client has gone, where none is left."""
    answer.headers.update(fault.headers)
    if fault.delay == math.inf:
        await _gone(request)
    await asyncio.sleep(fault.delay)
    if fault.drip is None and fault.broken is None:
        return answer
    transport = _transports[tuple(request.scope["client"]), tuple(request.scope["server"])]
    head, body = _raw(answer)
    if fault.drip is not None:
        at_once, slowly = (b"", head + body) if fault.drip_headers else (head, body)
        transport.write(at_once)
        for byte in slowly:
            if transport.is_closing():
                break
            transport.write(bytes([byte]))
            await asyncio.sleep(fault.drip)
    elif fault.broken != "reset before":
        transport.write(head + body[: len(body) // 2])
        await asyncio.sleep(0.01)  # for the client to read that much
    if fault.broken in ("reset before", "reset in the middle"):
        # Not waiting for what is unsent to be read turns the close into a reset.
        transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        transport.abort()
    transport.close()
    await _gone(request)
    return answer


def _raw(answer: Response) -> tuple[bytes, bytes]:
    phrase = HTTPStatus(answer.status_code).phrase if answer.status_code in list(HTTPStatus) else "Unregistered"
    lines = [
        f"HTTP/1.1 {answer.status_code} {phrase}".encode(),
        *(name + b": " + value for name, value in answer.raw_headers),
    ]
    return b"\r\n".join([*lines, b"Connection: close", b"", b""]), bytes(answer.body)


async def _gone(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
