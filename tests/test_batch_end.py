"""How a batch ends: early, with an error, or with its client."""

import asyncio
import gc
import itertools
import traceback
from collections.abc import Generator, Iterator
from contextlib import aclosing, suppress
from typing import Any, NoReturn

import httpx
import pytest
from batches import (
    A_LONG_TIME,
    LAZY_SOURCES,
    CallerError,
    Source,
    Wire,
    add_verified,
    batch,
    check_all,
    collect,
    threads,
    uuids,
    verified,
)
from conftest import TOKEN, Caller, caller_of
from wonder_payment import AsyncWonderClient, CheckResult, ConfigurationError, RetryPolicy, WonderClient, WonderError
from wonder_payment.simulator import SimulatedGateway


@pytest.mark.parametrize("way", ["break", "close", "throw", "raise"])
def test_a_sync_batch_ends_with_its_loop(gateway: SimulatedGateway, way: str) -> None:
    source = Source()

    def consume(results: Generator[CheckResult]) -> None:
        for _ in itertools.islice(results, 10):
            pass
        if way == "close":
            results.close()
        elif way == "throw":
            results.throw(CallerError)
        elif way == "raise":
            raise CallerError

    with gateway.client(transport=Wire()) as client:
        with suppress(CallerError):
            consume(client.check_tokens(iter(source), concurrency=4))
        gc.collect()
        assert (source.has_ended, threads()) == (True, [])
        assert len(source.taken) <= 10 + 4
        assert client.check_token(TOKEN).is_verified


@pytest.mark.parametrize("way", ["break", "close", "raise", "cancel while it waits", "cancel while it is busy"])
@pytest.mark.parametrize(
    "kind", [iter, aiter, lambda source: source], ids=["sync", "async generator", "async iterable"]
)
def test_an_async_batch_ends_at_once_with_its_loop(gateway: SimulatedGateway, way: str, kind: Any) -> None:
    source = Source()
    wire = Wire(lambda token: token in source.taken[10:])

    async def consume(client: AsyncWonderClient, stuck: asyncio.Event) -> None:
        async with aclosing(client.check_tokens(kind(source), concurrency=4)) as results:
            for _ in range(10):
                await anext(results)
            if way == "close":
                await results.aclose()
            elif way == "raise":
                raise CallerError
            elif way != "break":
                stuck.set()
                await (anext(results) if way == "cancel while it waits" else asyncio.Event().wait())

    async def main() -> None:
        async with (
            gateway.async_client(transport=wire, timeout=2 * A_LONG_TIME) as client,
            asyncio.timeout(A_LONG_TIME),
        ):
            stuck = asyncio.Event()
            consuming = asyncio.create_task(consume(client, stuck))
            if way.startswith("cancel"):
                await stuck.wait()
                consuming.cancel()
            with suppress(CallerError, asyncio.CancelledError):
                await consuming
            assert asyncio.all_tasks() == {asyncio.current_task()}
            assert source.has_ended or kind is iter
            assert (await client.check_token(TOKEN)).is_verified

    asyncio.run(main())
    assert len(source.taken) <= 10 + 4


def test_a_batch_that_is_closed_does_not_wait_for_a_delay_and_does_not_retry(caller: Caller) -> None:
    bad, good = itertools.islice(uuids(), 2)
    retries: list[WonderError] = []

    def on_retry(error: WonderError, _delay: float) -> None:
        retries.append(error)
        wire.notify()

    wire = Wire(lambda token: token == good and not retries, {bad: httpx.ConnectError("refused")})
    retry = RetryPolicy(backoff_initial=5.0, jitter=0.0)
    settings = {"transport": wire, "retry": retry, "on_retry": on_retry}
    with batch(caller, [bad, good], settings=settings) as results:
        assert next(results).token_id == good
    assert sorted(wire.sent) == sorted([bad, good])


class SourceError(Exception):
    pass


@pytest.mark.parametrize(("client", "kind"), LAZY_SOURCES)
@pytest.mark.parametrize("count", [0, 1, 30])
def test_an_error_of_the_source_reaches_the_caller_with_its_frames(
    gateway: SimulatedGateway, client: str, kind: Any, count: int
) -> None:
    tokens = add_verified(gateway, count)

    def read_the_database() -> NoReturn:
        raise SourceError("the cursor is gone")

    def source() -> Iterator[str]:
        yield from tokens
        read_the_database()

    with pytest.raises(SourceError, match="the cursor is gone") as caught:
        check_all(caller_of(client, gateway), kind(Source(source())))
    names = [frame.f_code.co_name for frame, _ in traceback.walk_tb(caught.value.__traceback__)]
    assert names[-2:] == ["source", "read_the_database"]
    assert (caught.value.__cause__, caught.value.__context__) == (None, None)
    sent = [request.token for request in gateway.requests]
    assert len(sent) == len(set(sent)) <= count


@pytest.mark.parametrize(
    ("client", "kind"), [("sync", CallerError), ("sync", KeyboardInterrupt), ("async", CallerError)]
)
def test_an_error_of_on_retry_ends_the_batch_and_reaches_the_caller(
    gateway: SimulatedGateway, client: str, kind: type[BaseException]
) -> None:
    source, calls = Source(), list[WonderError]()
    tokens = iter(source)
    bad = next(tokens)

    def on_retry(error: WonderError, _delay: float) -> NoReturn:
        calls.append(error)
        raise kind("enough")

    wire = Wire(lambda _token: False, {bad: httpx.ConnectError("refused")})
    settings = {"transport": wire, "on_retry": on_retry}
    with pytest.raises(kind, match="enough") as caught:
        check_all(caller_of(client, gateway), itertools.chain([bad], tokens), settings=settings)
    names = [frame.f_code.co_name for frame, _ in traceback.walk_tb(caught.value.__traceback__)]
    assert names[-1] == "on_retry"
    assert len(calls) == 1


def test_a_client_can_run_one_batch_after_another_and_two_at_once(caller: Caller, gateway: SimulatedGateway) -> None:
    tokens = add_verified(gateway, 20)
    client = caller.make()
    if isinstance(client, WonderClient):
        with client:
            for _ in range(2):
                both = list(zip(client.check_tokens(tokens), client.check_tokens(tokens), strict=True))
                assert [verified(results) for results in zip(*both, strict=True)] == [sorted(tokens)] * 2
        return

    async def main() -> None:
        async with client:
            for _ in range(2):
                both = await asyncio.gather(collect(client, tokens), collect(client, tokens))
                assert [verified(results) for results in both] == [sorted(tokens)] * 2

    asyncio.run(main())


@pytest.mark.parametrize("is_closed_first", [True, False], ids=["before the batch", "during the batch"])
def test_a_closed_client_ends_a_batch(caller: Caller, *, is_closed_first: bool) -> None:
    client = caller.make(transport=Wire())
    seen: list[CheckResult] = []
    if isinstance(client, WonderClient):
        if is_closed_first:
            client.close()
        with pytest.raises(ConfigurationError, match="closed"):  # noqa: PT012
            for result in client.check_tokens(Source()):
                seen.append(result)
                client.close()
    else:

        async def main() -> None:
            if is_closed_first:
                await client.aclose()
            with pytest.raises(ConfigurationError, match="closed"):  # noqa: PT012
                async for result in client.check_tokens(Source()):
                    seen.append(result)
                    await client.aclose()
            assert asyncio.all_tasks() == {asyncio.current_task()}

        asyncio.run(main())
    assert bool(seen) != is_closed_first
    assert threads() == []
