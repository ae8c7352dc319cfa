"""The pool: which connection a request uses, when it is closed, and when an async request begins."""

import asyncio
from collections.abc import Callable
from typing import Any

import attrs
import pytest
from conftest import Clock, key
from connections import Connection, a_client, burst, until
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from faults.servers import VERIFIED
from wonder_payment._http.exchange import AsyncExchange
from wonder_payment._http.pool import AsyncPool
from wonder_payment.signing import WonderAuth


def test_the_most_recent_idle_connection_is_reused_first() -> None:
    async def main() -> None:
        pool = AsyncPool(Connection, 100)
        one, two = await pool.acquire(until()), await pool.acquire(until())
        assert one is not two
        pool.release(one)
        pool.release(two)
        assert [await pool.acquire(until()), await pool.acquire(until())] == [two, one]

    asyncio.run(main())


def test_connections_that_are_idle_for_5_seconds_are_closed_one_with_each_request(clock: Clock) -> None:
    async def main() -> None:
        pool = AsyncPool(Connection, 100)
        connections = [await pool.acquire(until()) for _ in range(3)]
        for connection in connections:
            pool.release(connection)
        clock.skip(5.0)
        pool.release(await pool.acquire(until()))
        assert [connection.closes for connection in connections] == [0, 0, 0]
        clock.skip(0.1)
        for closes in ([1, 0, 0], [1, 1, 0], [1, 1, 0]):
            pool.release(await pool.acquire(until()))
            assert [connection.closes for connection in connections] == closes

    asyncio.run(main())


def test_a_connection_that_failed_is_closed_and_not_used_again() -> None:
    async def main() -> None:
        pool = AsyncPool(Connection, 100)
        failed = await pool.acquire(until())
        await pool.discard(failed)
        pool.release(failed)
        assert (failed.closes, pool.in_flight) == (1, 0)
        assert await pool.acquire(until()) is not failed

    asyncio.run(main())


def test_a_connection_whose_request_is_cancelled_is_closed() -> None:
    @attrs.define(eq=False)
    class Hanging(Connection):
        sent: asyncio.Event = attrs.field(factory=asyncio.Event)

        async def send(self, *_request: Any) -> Any:
            self.sent.set()
            await asyncio.Event().wait()

    async def main() -> None:
        connection = Hanging()
        pool = AsyncPool(lambda: connection, 100)
        auth = WonderAuth("app", key(), origin="https://gateway.test")
        exchange = AsyncExchange(pool, auth, VERIFIED, 60.0, until())
        request = asyncio.create_task(exchange.request("POST", "/", headers={}, json={}))
        await connection.sent.wait()
        request.cancel()
        with pytest.raises(asyncio.CancelledError):
            await request
        assert (connection.closes, pool.in_flight) == (1, 0)

    asyncio.run(main())


def test_a_shared_connection_that_failed_stays_open() -> None:
    async def main() -> None:
        shared = Connection()
        pool = AsyncPool(lambda: shared, 100, is_shared=True)
        await pool.discard(await pool.acquire(until()))
        pool.release(shared)
        assert shared.closes == 0
        assert await pool.acquire(until()) is shared

    asyncio.run(main())


def test_closing_a_pool_closes_its_connections_in_use_and_idle() -> None:
    async def main() -> None:
        pool = AsyncPool(Connection, 100)
        connections = [await pool.acquire(until()) for _ in range(3)]
        pool.release(connections[0])
        await pool.aclose()
        assert [connection.closes for connection in connections] == [1, 1, 1]
        assert pool.is_closed

    asyncio.run(main())


def key_with_callback(on_sign: Callable[[], None]) -> RSAPrivateKey:
    """A key as that of a key service: only sign() works."""

    def sign(_self: object, *arguments: Any) -> bytes:
        on_sign()
        return key().sign(*arguments)

    names: dict[str, Any] = dict.fromkeys(RSAPrivateKey.__abstractmethods__)
    methods = names | {"sign": sign, "key_size": 2048, "public_key": lambda _self: key().public_key()}
    made: RSAPrivateKey = type("KeyWithCallback", (RSAPrivateKey,), methods)()
    return made


@pytest.mark.parametrize("transport", [None, "fast"], ids=["default", "fast"])
def test_requests_that_begin_at_once_are_signed_in_turns_and_other_tasks_run_between_them(
    transport: str | None,
) -> None:
    others, seen = 0, list[int]()

    async def other() -> None:
        nonlocal others
        while True:
            await asyncio.sleep(0)
            others += 1

    async def main() -> None:
        private_key = key_with_callback(lambda: seen.append(others))
        async with a_client(private_key=private_key, transport=transport) as (client, server):
            task = asyncio.create_task(other())
            await burst(client, server, 20, until=20)
            task.cancel()

    asyncio.run(main())
    assert len(set(seen)) == len(seen) == 20
