"""How a fault is applied to the connection itself, below HTTP."""

import asyncio
import math
import socket
import struct
from http import HTTPStatus

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

from .faults import Fault

__all__ = ["TRANSPORT", "ConnectionProtocol", "play"]

# What a request's scope calls the transport of its connection.
TRANSPORT = "wonder_payment.transport"


class ConnectionProtocol(H11Protocol):
    """uvicorn's HTTP/1.1, which passes the transport of a request to the application."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Add the transport to the scope of each request. Called by asyncio."""
        super().connection_made(transport)
        app = self.app

        async def app_with_transport(scope: Scope, receive: Receive, send: Send) -> None:
            await app({**scope, TRANSPORT: transport}, receive, send)

        self.app = app_with_transport


async def play(fault: Fault, response: Response, request: Request) -> Response:
    """Return the response after the fault.

    If the fault leaves nothing to send, this waits until the client disconnects.
    """
    response.headers.update(fault.headers)
    if fault.delay == math.inf:
        await _disconnect(request)
    await asyncio.sleep(fault.delay)
    if fault.drip is None and fault.broken is None:
        return response
    transport: asyncio.Transport = request.scope[TRANSPORT]
    head, body = _raw(response)
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
        # A close that does not wait for unsent data becomes a reset.
        transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        transport.abort()
    transport.close()
    await _disconnect(request)
    return response


def _raw(response: Response) -> tuple[bytes, bytes]:
    phrase = HTTPStatus(response.status_code).phrase if response.status_code in list(HTTPStatus) else "Unregistered"
    lines = [
        f"HTTP/1.1 {response.status_code} {phrase}".encode(),
        *(name + b": " + value for name, value in response.raw_headers),
    ]
    return b"\r\n".join([*lines, b"Connection: close", b"", b""]), bytes(response.body)


async def _disconnect(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
