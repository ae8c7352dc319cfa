"""Connections without a network for a pool, and a real client with a server that counts its connections."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import attrs
from conftest import key
from faults.servers import GOOD, VERIFIED
from wonder_payment import AsyncWonderClient


def until() -> float:
    return time.monotonic() + 60.0


@attrs.define(eq=False)
class Connection:
    """A connection that counts how often it is closed."""

    closes: int = 0

    async def send(self, *_request: Any) -> Any:
        raise NotImplementedError

    async def aclose(self) -> None:
        self.closes += 1

    def drop(self) -> None:
        self.closes += 1


class SyncConnection:
    """A connection that is never used."""

    def send(self, *_request: Any) -> Any:
        raise NotImplementedError

    def close(self) -> None:
        raise NotImplementedError


class Server:
    """Responds when it may, and counts its connections and its requests in flight."""

    def __init__(self) -> None:
        self.made = self.open = self.in_flight = self.max_in_flight = 0
        self.may_respond = asyncio.Event()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.made += 1
        self.open += 1
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                length = head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0]
                await reader.readexactly(int(length))
                self.in_flight += 1
                self.max_in_flight = max(self.max_in_flight, self.in_flight)
                await self.may_respond.wait()
                self.in_flight -= 1
                writer.write(GOOD)
        except asyncio.IncompleteReadError:
            self.open -= 1
            writer.close()


async def reached(condition: Callable[[], bool]) -> None:
    while not condition():  # noqa: ASYNC110 (what changes it is in this event loop)
        await asyncio.sleep(0)


@asynccontextmanager
async def a_client(**settings: Any) -> AsyncIterator[tuple[AsyncWonderClient, Server]]:
    """A client of a server; in the end all connections must be closed."""
    server = Server()
    async with await asyncio.start_server(server.serve, "127.0.0.1", 0, backlog=1024) as listening:
        origin = f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}"
        own = {"app_id": "app", "private_key": key(), "environment": None, "base_url": origin}
        async with AsyncWonderClient(**own | settings) as client:
            yield client, server
        await reached(lambda: server.open == 0)


async def burst(client: AsyncWonderClient, server: Server, count: int, *, until: int) -> None:
    """Check many tokens at once; the server responds when ``until`` requests are in flight."""
    server.may_respond.clear()
    checks = [asyncio.create_task(client.check_token(VERIFIED)) for _ in range(count)]
    await reached(lambda: server.in_flight >= until)
    server.may_respond.set()
    await asyncio.gather(*checks)
