"""The pools: which connections a request uses, how many there are, and where a client's pools are made and closed."""

import asyncio
import gc
import os
import ssl
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from typing import Any

import attrs
import httpx
import pytest
from conftest import Clock, Kind, for_both_clients, key
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from faults.making import GOOD, VERIFIED, environment
from wonder_payment import AsyncWonderClient, ConfigurationError, RequestTimeoutError, RetryPolicy, StillPendingError
from wonder_payment._http.exchange import AsyncExchange
from wonder_payment._http.places import LoopPools, ProcessPools
from wonder_payment._http.pool import AsyncPool, SyncPool
from wonder_payment.signing import WonderAuth


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


class CannotConnectError(Exception):
    pass


@attrs.define(eq=False)
class Transport(httpx.BaseTransport, httpx.AsyncBaseTransport):
    """A transport that counts how often it is closed."""

    closes: int = 0

    def close(self) -> None:
        self.closes += 1

    async def aclose(self) -> None:
        self.closes += 1


# Real connections


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


# Waiting for a connection

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
        while len(pool._free._waiting) <= number:  # noqa: SLF001
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


# Which connection a request uses


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


# When an async request begins


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


# One pool for each process or event loop

HTTP = "http://127.0.0.1:9"


@pytest.fixture
def pools() -> ProcessPools:
    return ProcessPools(HTTP, None, 100)


def test_a_process_has_one_pool_and_a_forked_child_another(
    pools: ProcessPools, monkeypatch: pytest.MonkeyPatch
) -> None:
    parent = pools.here()
    assert pools.here() is parent
    monkeypatch.setattr(os, "getpid", lambda: 0)
    child = pools.here()
    assert child is not parent
    pools.close()
    assert (child.is_closed, parent.is_closed) == (True, False)


def test_a_closed_client_has_no_pool(pools: ProcessPools) -> None:
    pools.close()
    with pytest.raises(ConfigurationError, match="This client is closed"):
        pools.here()


@pytest.mark.parametrize("in_flight", [False, True])
def test_a_dropped_client_closes_its_connections_unless_a_request_is_in_flight(*, in_flight: bool) -> None:
    transport = Transport()
    pools = ProcessPools(HTTP, transport, 100)
    if in_flight:
        pools.here().acquire(until())
    pools.here()
    del pools
    gc.collect()
    assert transport.closes == (0 if in_flight else 1)


def test_an_event_loop_has_one_pool_and_another_loop_another() -> None:
    pools = LoopPools(HTTP, None, 100)

    async def here() -> Any:
        assert pools.here() is pools.here()
        return pools.here()

    first, second = asyncio.run(here()), asyncio.run(here())
    assert first is not second


def test_closing_an_async_client_closes_the_pool_of_the_running_loop() -> None:
    transport = Transport()
    pools = LoopPools(HTTP, transport, 100)

    async def main() -> None:
        pool = pools.here()
        await pools.aclose()
        await pools.aclose()
        assert (pool.is_closed, transport.closes) == (True, 1)
        with pytest.raises(ConfigurationError, match="This client is closed"):
            pools.here()

    asyncio.run(main())


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[None]]:
    """One entry for each time that certificates are read."""
    read = list[None]()
    load = ssl.SSLContext.load_verify_locations

    def counted(context: ssl.SSLContext, *arguments: Any, **options: Any) -> None:
        read.append(None)
        load(context, *arguments, **options)

    monkeypatch.setattr(ssl.SSLContext, "load_verify_locations", counted)
    with environment():
        yield read


TLS = "https://127.0.0.1:9"


@pytest.mark.parametrize(
    ("make", "origin", "transport", "times"),
    [
        *((make, HTTP, None, 0) for make in (ProcessPools, LoopPools)),
        *((make, TLS, None, 1) for make in (ProcessPools, LoopPools)),
        *((make, TLS, Transport(), 0) for make in (ProcessPools, LoopPools)),
        (ProcessPools, TLS, "fast", 1),
        (LoopPools, TLS, "fast", 1),
    ],
    ids=lambda value: getattr(value, "__name__", None) or str(value).partition("(")[0],
)
def test_certificates_are_read_once_for_all_processes_and_event_loops_and_only_for_tls(
    reads: list[None], monkeypatch: pytest.MonkeyPatch, make: Any, origin: str, transport: Any, times: int
) -> None:
    pools = make(origin, transport, 100)

    async def main() -> None:
        pools.here()

    for process in (1, 2):
        monkeypatch.setattr(os, "getpid", lambda process=process: process)
        asyncio.run(main())
    assert len(reads) == times
