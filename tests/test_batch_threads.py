"""The threads and the event loops that a batch may use."""

import asyncio
import itertools
import queue
import threading
from typing import Any, NoReturn

import httpx
import pytest
from batches import A_LONG_TIME, QUICK, CallerError, Wire, check_all, threads, uuids, verified
from conftest import TOKEN, caller_of
from wonder_payment import CheckResult, ConfigurationError, WonderError
from wonder_payment.simulator import SimulatedGateway


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
