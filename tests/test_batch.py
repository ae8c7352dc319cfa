"""check_tokens(): what is checked and how much at a time. The rate limit is in test_throttle.py."""

import asyncio
import gc
import itertools
import pickle
import time
import traceback
import weakref
from collections import deque
from collections.abc import AsyncIterator, Iterator
from contextvars import ContextVar
from typing import Any
from uuid import UUID, uuid4

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
    errors,
    sync_and_async,
    uuids,
    verified,
)
from conftest import TOKEN, Caller, Clock, caller_of
from wonder_payment import (
    AsyncWonderClient,
    ConfigurationError,
    InvalidResponseError,
    InvalidTokenError,
    NetworkError,
    NotFoundError,
    RequestTimeoutError,
    RetryPolicy,
    ServerError,
    TokenReference,
    WonderClient,
    WonderError,
)
from wonder_payment.batch import check_result
from wonder_payment.simulator import Fault, SimulatedGateway

SOURCES = sync_and_async(
    sync_list=list,
    sync_set=set,
    sync_deque=deque,
    sync_dict=dict.fromkeys,
    sync_view=lambda tokens: dict(enumerate(tokens)).values(),
    sync_generator_of_UUIDs=lambda tokens: (UUID(token) for token in tokens),
    async_list=list,
    async_generator=lambda tokens: aiter(Source(tokens)),
    async_iterable=Source,
)


@pytest.mark.parametrize(("client", "kind"), SOURCES)
def test_each_token_of_an_iterable_is_checked_once(gateway: SimulatedGateway, client: str, kind: Any) -> None:
    tokens = add_verified(gateway, 20)
    assert verified(check_all(caller_of(client, gateway), kind(tokens))) == sorted(tokens)
    assert sorted(str(request.token) for request in gateway.requests) == sorted(tokens)


def test_a_batch_checks_tokens_as_a_single_check_does(caller: Caller, gateway: SimulatedGateway) -> None:
    twice, failed, upper = gateway.add_token(states=["pending", "success"]), gateway.add_token(states=["failed"]), TOKEN
    upper, *limited = add_verified(gateway, 5)
    gateway.inject(Fault(status=429, headers={"Retry-After": "0.05"}), token=limited[0])
    gateway.inject(Fault(status=502, times=3), token=limited[1])
    customer = uuid4()
    tokens = [twice, twice, failed, upper.upper(), *limited]
    results = check_all(caller, [TokenReference(token, customer) for token in tokens], concurrency=1)
    assert [result.token_id for result in results] == tokens
    assert [result.token and result.token.state for result in results] == ["pending", "success", "failed"] + [
        "success"
    ] * 5
    assert errors(results) == {}
    assert {request.customer_uuid for request in gateway.requests} == {str(customer)}
    assert len(gateway.requests) == len(tokens) + 1 + 3
    assert check_all(caller, []) == []


def test_a_bad_token_does_not_stop_the_batch(caller: Caller, gateway: SimulatedGateway) -> None:
    bad: list[tuple[Any, type[WonderError], int]] = [
        *((token, InvalidTokenError, 0) for token in ("4111111111111111", "", None, 17, TOKEN.encode(), [TOKEN])),
        (TOKEN, NotFoundError, 1),
        (Fault(body="{", times=4), InvalidResponseError, 1),
        (Fault(status=500, times=4), ServerError, 4),
        (Fault(broken="reset in the middle", times=4), NetworkError, 4),
    ]
    good = add_verified(gateway, len(bad))
    tokens, expected = list[Any](), dict[str, tuple[type[WonderError], int]]()
    for token, (what, kind, attempts) in zip(good, bad, strict=True):
        bad_token = gateway.add_token() if isinstance(what, Fault) else what
        if isinstance(what, Fault):
            gateway.inject(what, token=bad_token)
        tokens += [bad_token, token]
        expected[str(bad_token)] = kind, attempts
    results = check_all(caller, tokens)
    assert verified(results) == sorted(good)
    failures = errors(results)
    assert {token: (type(error), error.attempts) for token, error in failures.items()} == expected
    requests = {request.request_id: request.token for request in gateway.requests} | {None: None}
    assert all(requests[error.request_id] in (token, None) for token, error in failures.items())


def test_a_token_that_hangs_does_not_delay_the_others(caller: Caller) -> None:
    hanging, *others = itertools.islice(uuids(), 40)
    held = {hanging}
    wire = Wire(held.__contains__, {hanging: httpx.ReadTimeout("late")})
    with batch(caller, [hanging, *others], settings={"transport": wire}, concurrency=4) as results:
        assert verified(itertools.islice(results, 39)) == sorted(others)
        held.clear()
        wire.notify()
        (error,) = errors(results).values()
    assert (type(error), error.attempts) == (RequestTimeoutError, 4)


def test_a_result_does_not_wait_for_the_next_token_of_a_slow_source(gateway: SimulatedGateway) -> None:
    tokens, seen = add_verified(gateway, 3), asyncio.Queue[str]()

    async def source() -> AsyncIterator[str]:
        for token in tokens:
            yield token
            async with asyncio.timeout(A_LONG_TIME):
                assert await seen.get() == token

    with batch(caller_of("async", gateway), source()) as results:
        for result in results:
            seen.put_nowait(result.token_id)
    assert seen.empty()


@pytest.mark.parametrize("concurrency", [1, 3, 16])
def test_concurrency_bounds_the_requests_in_flight(caller: Caller, concurrency: int) -> None:
    # Each request waits until as many as allowed were in flight.
    wire = Wire(lambda _token: wire.max_in_flight < concurrency)
    tokens = list(itertools.islice(uuids(), 5 * concurrency))
    options = {"concurrency": concurrency} if concurrency != 16 else {}
    assert verified(check_all(caller, tokens, settings={"transport": wire}, **options)) == sorted(tokens)
    assert wire.max_in_flight == concurrency


def test_max_per_second_spaces_the_requests_evenly(caller: Caller, gateway: SimulatedGateway, clock: Clock) -> None:
    tokens = add_verified(gateway, 3)
    gateway.inject(Fault(status=502), token=tokens[1])
    began = time.monotonic()
    results = check_all(caller, tokens, settings={"retry": RetryPolicy(jitter=0.0)}, concurrency=1, max_per_second=0.25)
    assert (verified(results), len(gateway.requests)) == (sorted(tokens), 4)
    assert time.monotonic() - began == pytest.approx(12.0)
    assert clock.slept == pytest.approx([4.0, 0.5, 3.5, 4.0])


@pytest.mark.parametrize(("client", "kind"), LAZY_SOURCES)
@pytest.mark.parametrize("concurrency", [1, 4])
def test_an_endless_source_is_read_as_far_as_needed_and_closed(
    gateway: SimulatedGateway, client: str, kind: Any, concurrency: int
) -> None:
    source, settings = Source(), {"transport": Wire()}
    with batch(caller_of(client, gateway), kind(source), settings=settings, concurrency=concurrency) as results:
        assert source.taken == []
        for number, _ in enumerate(itertools.islice(results, 50), start=1):
            assert len(source.taken) <= number + concurrency - (client == "sync")
        assert not source.has_ended
    assert source.has_ended


def test_a_result_does_not_wait_until_as_many_as_allowed_are_in_flight(gateway: SimulatedGateway) -> None:
    source, settings = Source(), {"transport": Wire()}
    with batch(caller_of("sync", gateway), iter(source), settings=settings, concurrency=500) as results:
        next(results)
        assert len(source.taken) < 500


@pytest.mark.parametrize("is_good", [True, False])
def test_memory_is_constant(caller: Caller, *, is_good: bool) -> None:
    class Token(str):
        __slots__ = ("__weakref__",)

    kept, given = list[Any](), list[Any]()

    def source() -> Iterator[str]:
        for uuid in itertools.islice(uuids(), 200):
            token = Token(uuid if is_good else "no UUID")
            given.append(weakref.ref(token))
            yield token
            del token

    def note(result: Any) -> None:
        kept.append(result)
        if len(kept) % 50 == 0:
            gc.collect()  # an error and its frames refer to each other
            assert sum(one() is not None for one in kept) <= 4
            assert sum(one() is not None for one in given) <= 4 + 3

    async def in_one_run(client: AsyncWonderClient) -> None:
        # An error keeps the frames of the loop that it passed through, and so the results of earlier runs.
        async with client:
            async for result in client.check_tokens(source(), concurrency=4):
                note(weakref.ref(result))
                del result

    client = caller.make(retry=QUICK, transport=Wire())
    if isinstance(client, AsyncWonderClient):
        asyncio.run(in_one_run(client))
    else:
        with client:
            for result in client.check_tokens(source(), concurrency=4):
                note(weakref.ref(result))
                del result
    assert len(kept) == len(given) == 200


BAD_ARGUMENTS: list[tuple[str, Any]] = [
    *(("concurrency", value) for value in (0, -1, 1.5, 2.0, True, "4", None, 10**9, float("nan"))),
    *(("max_per_second", value) for value in (0, -1, 0.0001, True, "4", float("nan"), float("inf"))),
    *(
        ("tokens", value)
        for value in (TOKEN, TOKEN.encode(), UUID(TOKEN), TokenReference(TOKEN), None, 17, Source, object)
    ),
]


@pytest.mark.parametrize(("name", "value"), BAD_ARGUMENTS)
def test_a_bad_argument_is_an_error_of_the_call_itself(gateway: SimulatedGateway, name: str, value: Any) -> None:
    arguments = {"tokens": [TOKEN]} | {name: value}
    message = f"{name} must be .*nothing was sent"
    with gateway.client() as client, pytest.raises(ConfigurationError, match=message) as caught:
        client.check_tokens(**arguments)
    assert TOKEN not in str(caught.value)


def test_both_clients_have_the_same_defaults_and_checks(gateway: SimulatedGateway) -> None:
    assert WonderClient.check_tokens.__kwdefaults__ == AsyncWonderClient.check_tokens.__kwdefaults__
    with pytest.raises(ConfigurationError, match="concurrency"):
        gateway.async_client().check_tokens([TOKEN], concurrency=0)
    with gateway.client() as client, pytest.raises(ConfigurationError, match="iterable"):
        client.check_tokens(aiter(Source()))  # type: ignore[arg-type]


def test_the_error_of_a_closed_client_is_not_the_result_of_a_token() -> None:
    with pytest.raises(ConfigurationError):
        check_result(TOKEN, ConfigurationError("This client was closed during the call. Close it after its last call."))


def test_a_result_is_pickled_and_compared_by_value_and_shows_no_secret(
    caller: Caller, gateway: SimulatedGateway
) -> None:
    card = {"number": "4111111111111111", "holder_name": "SAM SAMPLE", "brand": "visa"}
    token, unknown = gateway.add_token(states=["success"], card=card), str(uuid4())
    good, bad, wrong = check_all(caller, [token, unknown, "4111111111111111"], concurrency=1)
    shown = repr([good, bad, wrong])
    assert [shown.count(end) > 0 for end in ("CheckResult(token_id=", token[-4:], unknown[-4:], "1111")] == [True] * 4
    assert not [secret for secret in (token, unknown, "4111111111111111", "SAM") if secret in shown]
    assert pickle.loads(pickle.dumps(good)) == good  # noqa: S301
    for result in (bad, wrong):
        assert str(pickle.loads(pickle.dumps(result)).error) == str(result.error)  # noqa: S301


def test_the_error_of_a_result_keeps_its_frames_without_their_locals(caller: Caller, gateway: SimulatedGateway) -> None:
    gateway.inject(Fault(broken="reset before", times=8))
    failures = errors(check_all(caller, [*add_verified(gateway, 1), "no UUID"]))
    assert len(failures) == 2
    for error in failures.values():
        frames = [frame for frame, _ in traceback.walk_tb(error.__traceback__)]
        assert frames
        assert [frame.f_locals for frame in frames] == [{}] * len(frames)


tenant: ContextVar[str] = ContextVar("tenant", default="nobody")


def test_the_checks_run_in_copies_of_the_callers_context(caller: Caller, gateway: SimulatedGateway) -> None:
    tokens = add_verified(gateway, 8)
    for token in tokens:
        gateway.inject(Fault(status=502), token=token)
    seen: list[str] = []

    def on_retry(_error: WonderError, _delay: float) -> None:
        seen.append(tenant.get())
        tenant.set("another")

    reset = tenant.set("the caller")
    try:
        assert verified(check_all(caller, tokens, settings={"on_retry": on_retry})) == sorted(tokens)
        assert (seen, tenant.get()) == (["the caller"] * 8, "the caller")
    finally:
        tenant.reset(reset)
