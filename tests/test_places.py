"""Where a client's pools are made and closed: one for each process, or for each event loop."""

import asyncio
import gc
import os
import ssl
from collections.abc import Iterator
from typing import Any

import attrs
import httpx
import pytest
from connections import until
from faults.servers import environment
from wonder_payment import ConfigurationError
from wonder_payment._http.places import LoopPools, ProcessPools


@attrs.define(eq=False)
class Transport(httpx.BaseTransport, httpx.AsyncBaseTransport):
    """A transport that counts how often it is closed."""

    closes: int = 0

    def close(self) -> None:
        self.closes += 1

    async def aclose(self) -> None:
        self.closes += 1


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


def test_a_client_makes_new_connections_after_a_late_gevent_patch(monkeypatch: pytest.MonkeyPatch) -> None:
    """gevent replaces the class; a TLS context from before raises a TypeError in each request after it."""
    contexts = list[type]()

    def certificates(_origin: str, _ca_file: object) -> ssl.SSLContext:
        contexts.append(ssl.SSLContext)
        return native(ssl.PROTOCOL_TLS_CLIENT)

    native, patched = ssl.SSLContext, type("SSLContext", (ssl.SSLContext,), {})
    monkeypatch.setattr("wonder_payment._http.environment.certificates", certificates)
    pools = ProcessPools(TLS, None, 100)
    before = pools.here()
    monkeypatch.setattr(ssl, "SSLContext", patched)
    after = pools.here()
    assert contexts == [native, patched]
    pools.close()
    assert (before.is_closed, after.is_closed) == (False, True)
