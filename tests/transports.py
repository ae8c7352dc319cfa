"""Mock transports for both clients: handlers, and bodies that are made piece by piece."""

from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import attrs
import httpx
from conftest import Caller, Kind, key
from faults.responses import good, written
from wonder_payment import AsyncWonderClient

BODY = written(good()).encode()

Handler = Callable[[httpx.Request], Any]


def caller(kind: Kind, handler: Handler, **settings: Any) -> Caller:
    own = {"app_id": "app", "private_key": key(), "environment": "sandbox", "transport": httpx.MockTransport(handler)}
    return Caller(kind is AsyncWonderClient, own | settings)


def always(make: Callable[[], httpx.Response]) -> tuple[Handler, list[httpx.Request]]:
    """Return a handler with one response to all requests, and the list of the requests."""
    requests: list[httpx.Request] = []

    def handler(request: httpx.Request) -> httpx.Response:
        requests.append(httpx.Request(request.method, request.url, headers=request.headers, content=request.content))
        return make()

    return handler, requests


def verified() -> httpx.Response:
    return httpx.Response(200, content=BODY)


def failing(error: BaseException) -> Handler:
    def handler(_request: httpx.Request) -> httpx.Response:
        raise error

    return handler


@attrs.define(eq=False)
class Pieces(httpx.SyncByteStream, httpx.AsyncByteStream):
    """A body for both clients, made piece by piece as it is read."""

    make: Callable[[], Iterator[bytes]]
    close_error: Exception | None = None
    closes: int = 0

    def __iter__(self) -> Iterator[bytes]:
        return self.make()

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for piece in self.make():
            yield piece

    def close(self) -> None:
        self.closes += 1
        if self.close_error:
            raise self.close_error

    async def aclose(self) -> None:
        self.close()


def breaking(error: BaseException) -> Pieces:
    def body() -> Iterator[bytes]:
        yield BODY[:1]
        raise error

    return Pieces(body)
