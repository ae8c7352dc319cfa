"""How many connections a client has at most, and the checks that wait for one."""

import asyncio
import threading
import time
from typing import Any

import pytest
from conftest import Kind, for_both_clients, key
from connections import Connection, SyncConnection, a_client, burst, reached, until
from faults.servers import VERIFIED
from wonder_payment import ConfigurationError, RequestTimeoutError, RetryPolicy, StillPendingError
from wonder_payment._http.pool import AsyncPool, SyncPool


class CannotConnectError(Exception):
    pass


@pytest.mark.parametrize(
    ("bursts", "connections"), [([1] * 30, 1), ([40] * 3, 40), ([250], 100)], ids=["one by one", "bursts", "too many"]
)
def test_connections_are_used_again_and_there_are_100_at_most(bursts: list[int], connections: int) -> None:
    async def main() -> tuple[int, int]:
        async with a_client() as (client, server):
            for count in bursts:
                await burst(client, server, count, until=min(count, 100))
            return server.made, server.max_in_flight

    assert asyncio.run(main()) == (connections, connections)


def test_checks_that_are_cut_off_give_their_places_back() -> None:
    async def main() -> bool:
        async with a_client() as (client, server):
            checks = [asyncio.create_task(client.check_token(VERIFIED)) for _ in range(120)]
            await reached(lambda: server.in_flight == 100)
            for check in checks:
                check.cancel()
            await asyncio.wait(checks)
            server.may_respond.set()
            return (await client.check_token(VERIFIED)).is_verified

    assert asyncio.run(main())


@pytest.mark.parametrize("transport", [None, "fast"], ids=["default", "fast"])
def test_closing_a_client_ends_the_checks_that_wait_for_a_connection_and_cancels_no_task(transport: str | None) -> None:
    async def main() -> None:
        async with a_client(transport=transport) as (client, server):
            checks = [asyncio.create_task(client.check_token(VERIFIED)) for _ in range(120)]
            await reached(lambda: server.in_flight == 100)
            await client.aclose()
            server.may_respond.set()
            results = await asyncio.gather(*checks, return_exceptions=True)
            assert [type(result) for result in results] == [ConfigurationError] * 120
            assert server.max_in_flight == 100

    asyncio.run(main())


QUEUE = (
    "The deadline of this call passed while it waited for a connection. Increase max_connections=, or make fewer calls "
    "at a time."
)


@pytest.mark.parametrize("transport", [None, "fast"], ids=["default", "fast"])
def test_an_attempt_begins_when_it_has_its_connection(transport: str | None) -> None:
    async def main() -> tuple[int, set[bool]]:
        settings = {"max_connections": 10, "transport": transport, "timeout": 60.0, "retry": RetryPolicy.never()}
        async with a_client(**settings) as (client, server):
            checks = [asyncio.create_task(client.check_token(VERIFIED)) for _ in range(100)]
            await reached(lambda: server.in_flight == 10)
            server.may_respond.set()
            return server.max_in_flight, {token.is_verified for token in await asyncio.gather(*checks)}

    assert asyncio.run(main()) == (10, {True})


def test_a_call_whose_time_ends_in_the_queue_says_so() -> None:
    async def main() -> None:
        async with a_client(max_connections=1) as (client, server):
            first = asyncio.create_task(client.check_token(VERIFIED))
            await reached(lambda: server.in_flight == 1)
            with pytest.raises(StillPendingError) as caught:
                await client.wait_for_token(VERIFIED, timeout=0.05)
            error = caught.value.last_error
            assert type(error) is RequestTimeoutError
            assert error.args == (QUEUE,)
            assert (error.request_id, error.attempts, caught.value.attempts) == (None, 0, 0)
            server.may_respond.set()
            await first

    asyncio.run(main())


def test_a_sync_call_whose_time_ends_in_the_queue_says_so() -> None:
    pool = SyncPool(SyncConnection, 1)
    connection = pool.acquire(until())
    with pytest.raises(RequestTimeoutError) as caught:
        pool.acquire(time.monotonic())
    assert caught.value.args == (QUEUE,)
    pool.release(connection)
    assert pool.acquire(time.monotonic()) is connection


def test_threads_get_a_connection_in_the_order_in_which_they_asked() -> None:
    pool, served, threads = SyncPool(SyncConnection, 1), list[int](), list[threading.Thread]()

    def use(number: int) -> None:
        connection = pool.acquire(until())
        served.append(number)
        pool.release(connection)

    connection = pool.acquire(until())
    for number in range(4):
        threads.append(threading.Thread(target=use, args=(number,), daemon=True))
        threads[-1].start()
        while len(pool._waiting) <= number:  # noqa: SLF001
            time.sleep(0)
    pool.release(connection)
    pool.release(pool.acquire(until()))  # this thread asks again, and waits for the others
    assert served == [0, 1, 2, 3]
    for thread in threads:
        thread.join()


def test_a_thread_that_is_interrupted_in_the_queue_takes_no_place(monkeypatch: pytest.MonkeyPatch) -> None:
    def wait(_event: threading.Event, _timeout: float) -> bool:
        raise KeyboardInterrupt

    pool = SyncPool(SyncConnection, 1)
    connection = pool.acquire(until())
    with monkeypatch.context() as patched:
        patched.setattr(threading.Event, "wait", wait)
        with pytest.raises(KeyboardInterrupt):
            pool.acquire(until())
    pool.release(connection)
    assert pool.acquire(time.monotonic()) is connection


def test_a_call_that_waits_for_nobody_sends_its_request_however_little_time_it_has() -> None:
    async def main() -> None:
        pool = AsyncPool(Connection, 1)
        pool.release(await pool.acquire(time.monotonic() - 1.0))

    asyncio.run(main())


def test_the_time_of_an_async_call_also_bounds_its_turn() -> None:
    async def main() -> None:
        pool = AsyncPool(Connection, 2)
        await pool._turn.acquire()  # noqa: SLF001
        first = asyncio.create_task(pool.acquire(until()))
        await asyncio.sleep(0)
        with pytest.raises(RequestTimeoutError) as caught:
            await pool.acquire(time.monotonic() + 0.01)
        assert caught.value.args == (QUEUE,)
        pool._turn.release()  # noqa: SLF001
        with pytest.raises(RequestTimeoutError):  # the turn is the first call's, though its task has not run yet
            await pool.acquire(time.monotonic())
        pool.release(await first)
        for _ in range(2):
            await pool.acquire(until())

    asyncio.run(main())


def test_a_connection_that_cannot_be_made_gives_its_place_back() -> None:
    def connect() -> SyncConnection:
        if made:
            raise CannotConnectError
        made.append(None)
        return SyncConnection()

    made = list[None]()
    pool = SyncPool(connect, 2)
    connection = pool.acquire(until())
    for _ in range(3):
        with pytest.raises(CannotConnectError):
            pool.acquire(time.monotonic())
    pool.release(connection)
    assert pool.acquire(time.monotonic()) is connection


@for_both_clients
@pytest.mark.parametrize("value", [0, -1, 1.5, 10_001, "8", True, None])
def test_max_connections_is_checked(kind: Kind, value: Any) -> None:
    with pytest.raises(ConfigurationError, match=r"^max_connections= must be a"):
        kind("app", key(), environment="sandbox", max_connections=value)
