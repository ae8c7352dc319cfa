"""The async contenders of bench.py: this package's client, and what people use instead, with the same signature."""

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import httpx
from wonder_payment import AsyncWonderClient

from .by_hand import TOKENS, URI, body_of, load_key, signed_headers, state_of, url

# Checks a token and returns its state.
AsyncCheck = Callable[[str], Awaitable[str]]


@asynccontextmanager
async def wonder(**settings: Any) -> AsyncIterator[AsyncCheck]:
    """Use this package."""
    async with AsyncWonderClient.from_env(**settings) as client:

        async def check(token: str) -> str:
            return (await client.check_token(token)).state

        yield check


@asynccontextmanager
async def httpx_by_hand() -> AsyncIterator[AsyncCheck]:
    """Keep one httpx.AsyncClient and one key."""
    private_key = load_key()
    async with httpx.AsyncClient() as client:

        async def check(token: str) -> str:
            body = body_of(token)
            response = await client.post(url(), content=body, headers=signed_headers(private_key, body))
            return state_of(response.raise_for_status().json())

        yield check


@asynccontextmanager
async def aiohttp_by_hand() -> AsyncIterator[AsyncCheck]:
    """Keep one aiohttp.ClientSession and one key."""
    private_key = load_key()
    async with aiohttp.ClientSession(raise_for_status=True) as session:

        async def check(token: str) -> str:
            body = body_of(token)
            async with session.post(url(), data=body, headers=signed_headers(private_key, body)) as response:
                return state_of(await response.json())

        yield check


class Wire(asyncio.Protocol):
    """A connection that knows the length of a response, and does not parse it."""

    def connection_made(self, transport: Any) -> None:
        """Store the transport."""
        self.transport = transport
        self.missing = self.length = 0

    def send(self, request: bytes) -> asyncio.Future[None]:
        """Send a request, and return a future that is done when the response is complete."""
        self.transport.write(request)
        self.missing, self.received = self.length, asyncio.get_running_loop().create_future()
        return self.received

    def data_received(self, data: bytes) -> None:
        """Count the bytes."""
        self.length = self.length or len(data)  # the first response comes in one piece
        self.missing = (self.missing or self.length) - len(data)
        if not self.missing:
            self.received.set_result(None)


@asynccontextmanager
async def nothing_but_bytes() -> AsyncIterator[AsyncCheck]:
    """Send the same unsigned bytes again and again: a lower bound for the speed of the server."""
    host, port = os.environ["WONDER_BASE_URL"].removeprefix("http://").split(":")
    body = body_of(TOKENS[0])
    request = b"POST %b HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%b" % (URI.encode(), len(body), body)
    idle = list[Wire]()

    async def check(_token: str) -> str:
        wire = idle.pop() if idle else (await asyncio.get_running_loop().create_connection(Wire, host, int(port)))[1]
        await wire.send(request)
        idle.append(wire)
        return "success"

    yield check


@asynccontextmanager
async def nothing() -> AsyncIterator[AsyncCheck]:
    """Leave the event loop idle."""

    async def check(_token: str) -> str:
        await asyncio.sleep(1.0)
        return "success"

    yield check


ASYNC = {
    "AsyncWonderClient": wonder,
    "AsyncWonderClient, fast": lambda: wonder(transport="fast"),
    "httpx by hand": httpx_by_hand,
    "aiohttp by hand": aiohttp_by_hand,
    "bytes alone": nothing_but_bytes,
    "idle": nothing,
}
