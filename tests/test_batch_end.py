"""How a batch ends: early, with an error, or with its client."""

import asyncio
import gc
import itertools
import queue
import threading
import traceback
from collections.abc import Generator, Iterator
from contextlib import aclosing, suppress
from typing import Any, NoReturn

import httpx
import pytest
from batches import (
    A_LONG_TIME,
    LAZY_SOURCES,
    QUICK,
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
from wonder_payment import (
    AsyncWonderClient,
    CheckResult,
    ConfigurationError,
    RetryPolicy,
    WonderClient,
    WonderError,
)
from wonder_payment.simulator import SimulatedGateway


class CallerError(Exception):
    pass


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


# What the process allows


@pytest.mark.parametrize("allowed", [0, 1, 3])
def test_a_batch_goes_on_with_the_threads_that_the_system_has(
    gateway: SimulatedGateway, monkeypatch: pytest.MonkeyPatch, allowed: int
) -> None:
    start = threading.Thread.start

    def start_if_allowed(thread: threading.Thread) -> None:
        if len(threads()) >= allowed and thread.name.startswith("wonder-payment"):
            raise RuntimeError("can't start new thread")
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", start_if_allowed)
    wire = Wire()
    tokens = list(itertools.islice(uuids(), 20))
    results = check_all(caller_of("sync", gateway), [*tokens, "no UUID"], settings={"transport": wire})
    assert (verified(results), len(results)) == (sorted(tokens), 21)
    assert wire.max_in_flight <= allowed + 1


def test_an_error_in_the_calling_thread_keeps_the_results_so_far(
    gateway: SimulatedGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_thread: threading.Thread) -> NoReturn:
        raise RuntimeError("can't start new thread")

    def on_retry(_error: WonderError, _delay: float) -> NoReturn:
        raise CallerError

    good, bad = itertools.islice(uuids(), 2)
    wire = Wire(errors={bad: httpx.ConnectError("refused")})
    with gateway.client(transport=wire, on_retry=on_retry) as client:
        monkeypatch.setattr(threading.Thread, "start", fail)
        results = client.check_tokens([good, bad])
        assert next(results).token_id == good
        with pytest.raises(CallerError):
            next(results)


def test_a_batch_follows_a_patch_that_is_made_after_the_import(
    gateway: SimulatedGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = list[Any]()

    class Patched(queue.Queue[Any]):
        def __init__(self) -> None:
            super().__init__()
            made.append(self)

    with gateway.client(transport=Wire()) as client:
        monkeypatch.setattr(queue, "SimpleQueue", Patched)
        assert len(verified(client.check_tokens(itertools.islice(uuids(), 20)))) == 20
    assert len(made) == 2


def test_a_batch_that_is_collected_in_a_thread_of_its_own_ends(gateway: SimulatedGateway) -> None:
    good, bad = itertools.islice(uuids(), 2)
    kept, collected = list[Any](), threading.Event()

    def on_retry(_error: WonderError, _delay: float) -> None:
        kept.clear()
        collected.set()

    held = {bad}
    wire = Wire(held.__contains__, {bad: httpx.ConnectError("refused")})
    with gateway.client(transport=wire, retry=QUICK, on_retry=on_retry) as client:
        kept.append(client.check_tokens([bad, good], concurrency=2))
        assert next(kept[0]).token_id == good  # and the other one is in flight
        held.clear()
        wire.notify()
        assert collected.wait(A_LONG_TIME)
        for thread in threads():
            thread.join(A_LONG_TIME)
        assert threads() == []
        assert wire.sent.count(bad) == 1
        assert client.check_token(TOKEN).is_verified


@pytest.mark.parametrize("is_closed", [False, True], ids=["that goes on", "that was closed"])
def test_the_results_of_an_async_batch_cannot_be_read_in_another_loop(
    gateway: SimulatedGateway, *, is_closed: bool
) -> None:
    results = gateway.async_client(transport=Wire()).check_tokens(itertools.islice(uuids(), 1), concurrency=1)

    async def read() -> CheckResult:
        return await anext(results)

    first = asyncio.new_event_loop()
    try:
        assert first.run_until_complete(read()).token
        if is_closed:
            first.close()
        with asyncio.Runner() as other, pytest.raises(ConfigurationError, match="another event loop"):
            other.run(read())
    finally:
        if not is_closed:
            first.run_until_complete(asyncio.sleep(0))
        first.close()
