"""The connections: as many as requests are under way, kept for the next ones, not for ever; and whom they trust."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
from conftest import TOKEN, Clock, key
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from faults.making import GOOD, VERIFIED
from wonder_payment import AsyncWonderClient, NetworkError, RequestTimeoutError, RetryPolicy


class Server:
    """Answers when it is let, and knows its connections and how many requests it has at a time."""

    def __init__(self) -> None:
        self.made = self.open = self.under_way = self.most = 0
        self.lets = asyncio.Event()
        self.lets.set()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.made += 1
        self.open += 1
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                length = head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0]
                await reader.readexactly(int(length))
                self.under_way += 1
                self.most = max(self.most, self.under_way)
                await self.lets.wait()
                self.under_way -= 1
                writer.write(GOOD)
        except asyncio.IncompleteReadError:
            self.open -= 1
            writer.close()


async def reached(condition: Callable[[], bool]) -> None:
    while not condition():  # noqa: ASYNC110 (what changes it is in this very loop)
        await asyncio.sleep(0)


@asynccontextmanager
async def a_client(**settings: Any) -> AsyncIterator[tuple[AsyncWonderClient, Server]]:
    server = Server()
    async with await asyncio.start_server(server.serve, "127.0.0.1", 0, backlog=1024) as listening:
        origin = f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}"
        settings = {"app_id": "app", "private_key": key(), "environment": None, "base_url": origin} | settings
        async with AsyncWonderClient(**settings) as client:
            yield client, server
        await reached(lambda: server.open == 0)


async def burst(client: AsyncWonderClient, server: Server, count: int, *, until: int) -> None:
    server.lets.clear()
    checks = [asyncio.create_task(client.check_token(VERIFIED)) for _ in range(count)]
    await reached(lambda: server.under_way >= until)
    server.lets.set()
    await asyncio.gather(*checks)


def test_one_check_after_the_other_has_one_connection() -> None:
    async def main() -> int:
        async with a_client() as (client, server):
            for _ in range(30):
                await client.check_token(VERIFIED)
            return server.made

    assert asyncio.run(main()) == 1


def test_a_second_burst_has_the_connections_of_the_first() -> None:
    async def main() -> int:
        async with a_client() as (client, server):
            for _ in range(3):
                await burst(client, server, 40, until=40)
            return server.made

    assert asyncio.run(main()) == 40


def test_no_more_than_100_are_under_way_and_the_others_wait_for_them() -> None:
    async def main() -> tuple[int, int]:
        async with a_client() as (client, server):
            await burst(client, server, 250, until=100)
            return server.made, server.most

    assert asyncio.run(main()) == (100, 100)


def test_what_a_burst_left_is_closed_when_nobody_used_it_for_five_seconds(clock: Clock) -> None:
    async def main() -> int:
        async with a_client() as (client, server):
            await burst(client, server, 10, until=10)
            for _ in range(10):
                clock.skip(1.0)
                await client.check_token(VERIFIED)
            # Each check closes one: nine are old, after five seconds.
            for _ in range(5):
                await client.check_token(VERIFIED)
            await reached(lambda: server.open == 1)
            return server.made

    assert asyncio.run(main()) == 10


def test_checks_that_were_cut_off_give_their_places_back() -> None:
    async def main() -> bool:
        async with a_client(retry=RetryPolicy.never(), timeout=0.3) as (client, server):
            server.lets.clear()
            checks = [client.check_token(TOKEN) for _ in range(120)]
            errors = await asyncio.gather(*checks, return_exceptions=True)
            assert {type(error) for error in errors} == {RequestTimeoutError}
            server.lets.set()
            # A busy machine may need more than one attempt of 0.3 s.
            return (await client.wait_for_token(VERIFIED, timeout=30.0)).is_verified

    assert asyncio.run(main())


@pytest.mark.parametrize("count", [1, 5])
def test_closing_the_client_closes_all_that_are_idle(count: int) -> None:
    async def main() -> int:
        async with a_client() as (client, server):
            await burst(client, server, count, until=count)
        return server.open

    assert asyncio.run(main()) == 0


def key_that_tells(when_it_signs: Callable[[], None]) -> RSAPrivateKey:
    """A key as that of a key service: nothing but sign() works."""

    def sign(_self: object, *arguments: Any) -> bytes:
        when_it_signs()
        return key().sign(*arguments)

    names: dict[str, Any] = dict.fromkeys(RSAPrivateKey.__abstractmethods__)
    methods = names | {"sign": sign, "key_size": 2048, "public_key": lambda _self: key().public_key()}
    made: RSAPrivateKey = type("Telling", (RSAPrivateKey,), methods)()
    return made


@pytest.mark.parametrize("transport", [None, "aiohttp"])
def test_checks_that_begin_at_once_are_signed_in_turns_and_others_run_between_them(transport: str | None) -> None:
    others, seen = 0, list[int]()

    async def other() -> None:
        nonlocal others
        while True:
            await asyncio.sleep(0)
            others += 1

    async def main() -> None:
        private_key = key_that_tells(lambda: seen.append(others))
        async with a_client(private_key=private_key, transport=transport) as (client, server):
            task = asyncio.create_task(other())
            await burst(client, server, 20, until=20)
            task.cancel()

    asyncio.run(main())
    assert len(set(seen)) == len(seen) == 20


@pytest.mark.parametrize(
    ("settings", "times"),
    [
        ({"base_url": "http://127.0.0.1:9"}, 0),
        ({"base_url": "https://127.0.0.1:9"}, 1),
        ({"base_url": "https://127.0.0.1:9", "transport": "aiohttp"}, 1),
        ({"base_url": "https://127.0.0.1:9", "transport": httpx.AsyncHTTPTransport(verify=False)}, 0),
    ],
    ids=["no TLS", "TLS", "TLS with aiohttp", "a transport that is brought along"],
)
def test_certificates_are_read_once_however_many_loops_use_them_and_only_for_tls(
    settings: dict[str, Any], times: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = list[str]()
    really = ssl.SSLContext.load_verify_locations

    def counted(context: ssl.SSLContext, *arguments: Any, **options: Any) -> None:
        read.append("")
        really(context, *arguments, **options)

    monkeypatch.setattr(ssl.SSLContext, "load_verify_locations", counted)
    client = AsyncWonderClient(app_id="app", private_key=key(), environment=None, retry=RetryPolicy.never(), **settings)
    for _ in range(2):
        with pytest.raises(NetworkError):
            asyncio.run(client.check_token(TOKEN))
    assert len(read) == times
