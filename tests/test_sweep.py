"""check_tokens(): many tokens at a time, at one pace, for both clients."""

import asyncio
import gc
import itertools
import json
import math
import pickle
import threading
import time
import traceback
import weakref
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Generator, Iterable, Iterator
from contextlib import aclosing, closing, contextmanager, suppress
from contextvars import ContextVar
from typing import Any, NoReturn
from uuid import UUID, uuid4

import attrs
import httpx
import pytest
from conftest import TOKEN, Caller, Clock
from wonder_payment import (
    APIError,
    AsyncWonderClient,
    AuthenticationError,
    ConfigurationError,
    InvalidResponseError,
    InvalidTokenError,
    NetworkError,
    NotFoundError,
    Outcome,
    RateLimitError,
    RequestTimeoutError,
    RetryPolicy,
    ServerError,
    WonderClient,
    WonderError,
)
from wonder_payment.simulator import Fault, SimulatedGateway
from wonder_payment.sweep import Pace, SweptCall

QUICK = RetryPolicy(backoff_initial=0.01, backoff_max=0.01, jitter=0.0)
ALWAYS = 10**9
A_LONG_TIME = 30.0


@contextmanager
def sweeping(
    caller: Caller, tokens: Any, *, settings: dict[str, Any] | None = None, **options: Any
) -> Iterator[Iterator[Outcome]]:
    """The outcomes of a sweep, one by one; it is closed at the end, and what it leaves behind is looked for."""
    client = caller.make(**{"retry": QUICK} | (settings or {}))
    if isinstance(client, WonderClient):
        with client:
            with closing(client.check_tokens(tokens, **options)) as outcomes:
                yield outcomes
            assert workers() == []
        return

    async def begin() -> Any:
        return client.check_tokens(tokens, **options)

    with asyncio.Runner() as runner:
        outcomes = runner.run(begin())

        def each() -> Iterator[Outcome]:
            async def step() -> Outcome | None:
                return await anext(outcomes, None)

            while outcome := runner.run(step()):
                yield outcome

        async def end() -> set[Any]:
            await outcomes.aclose()
            left = asyncio.all_tasks() - {asyncio.current_task()}
            await client.aclose()
            return left

        try:
            yield each()
        finally:
            assert runner.run(end()) == set()


def workers() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name.startswith("wonder-payment")]


def sweep(caller: Caller, tokens: Any, **options: Any) -> list[Outcome]:
    with sweeping(caller, tokens, **options) as outcomes:
        return list(outcomes)


def good(gateway: SimulatedGateway, count: int) -> list[str]:
    return [gateway.add_token(states=["success"]) for _ in range(count)]


def answered(outcomes: Iterable[Outcome]) -> list[str]:
    """The tokens that have an answer, and their own."""
    answers = [(outcome.token_id, outcome.token) for outcome in outcomes if outcome.token]
    assert all(asked == answer.token for asked, answer in answers)
    return sorted(asked for asked, _ in answers)


def errors(outcomes: Iterable[Outcome]) -> dict[str, WonderError]:
    return {outcome.token_id: outcome.error for outcome in outcomes if outcome.error}


class Wire(httpx.BaseTransport, httpx.AsyncBaseTransport):
    """Carries requests to nowhere: it answers itself, once `hold` lets it, and counts how many are in flight.

    Args:
        hold: Whether the answer to a token has to wait, given the token and how many requests are in flight.
        failures: What comes before the good answer to a token, the first one first.
    """

    def __init__(
        self,
        hold: Callable[[str, int], bool] = lambda _token, _running: False,
        failures: dict[str, list[httpx.Response | Exception]] | None = None,
    ) -> None:
        self.asked: list[str] = []
        self.asked_at: list[float] = []
        self.failed_at: list[float] = []
        self.request_ids: dict[str, str] = {}  # of the last attempts
        self.running = self.most = 0
        self._hold = hold
        self._failures = failures or {}
        self._changed = threading.Condition()

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        token = self._begin(request)
        with self._changed:
            self._changed.wait_for(lambda: not self._hold(token, self.running), timeout=A_LONG_TIME)
        return self._end(token)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        token = self._begin(request)
        async with asyncio.timeout(A_LONG_TIME):
            while self._hold(token, self.running):  # noqa: ASYNC110 (what changes it is in this very loop)
                await asyncio.sleep(0)
        return self._end(token)

    def notify(self) -> None:
        """Let what is held see that something has changed."""
        with self._changed:
            self._changed.notify_all()

    def _begin(self, request: httpx.Request) -> str:
        token = json.loads(request.content)["payment_token"]["token"]
        with self._changed:
            self.asked.append(token)
            self.asked_at.append(time.monotonic())
            self.request_ids[token] = request.headers["X-Request-ID"]
            self.running += 1
            self.most = max(self.most, self.running)
            self._changed.notify_all()
        return token

    def _end(self, token: str) -> httpx.Response:
        with self._changed:
            self.running -= 1
            failures = self._failures.get(token)
            failure = failures.pop(0) if failures else None
            if failure:
                self.failed_at.append(time.monotonic())
            self._changed.notify_all()
        if isinstance(failure, Exception):
            raise failure
        answer = {"token_type": "CreditCard", "token": token, "state": "success", "default": False}
        good = httpx.Response(200, json={"code": 0, "message": "success", "data": {"payment_token": answer}})
        return failure or good


def limit(retry_after: str) -> httpx.Response:
    return httpx.Response(429, headers={"Retry-After": retry_after})


class Wave:
    """Holds the first answers of a sweep back until so many requests are in flight."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._is_full = False

    def __call__(self, _token: str, running: int) -> bool:
        self._is_full = self._is_full or running >= self._size
        return not self._is_full


def uuids() -> Iterator[str]:
    return map(str, (uuid4() for _ in itertools.count()))


# What is asked, and what becomes of it


async def awaited(tokens: Iterable[Any]) -> AsyncIterator[Any]:
    for token in tokens:
        await asyncio.sleep(0)
        yield token


@attrs.frozen
class Awaited:
    """An async iterable that is no generator."""

    tokens: list[str]

    def __aiter__(self) -> AsyncIterator[str]:
        return awaited(self.tokens)


@attrs.frozen
class Indexed:
    """What has a length and a way through, and is no collection by its class."""

    tokens: list[str]

    def __len__(self) -> int:
        return len(self.tokens)

    def __iter__(self) -> Iterator[str]:
        return iter(self.tokens)


ITERABLES: list[Any] = [
    *(list, tuple, set, frozenset, deque, dict.fromkeys, Indexed, iter, reversed),
    pytest.param(lambda tokens: (token for token in tokens), id="generator"),
    pytest.param(lambda tokens: dict.fromkeys(tokens).keys(), id="keys"),
    pytest.param(lambda tokens: dict(enumerate(tokens)).values(), id="values"),
    pytest.param(lambda tokens: map(UUID, tokens), id="UUIDs"),
]


@pytest.mark.parametrize("kind", ITERABLES)
def test_each_token_of_any_iterable_is_asked_once(caller: Caller, gateway: SimulatedGateway, kind: Any) -> None:
    tokens = good(gateway, 5)
    outcomes = sweep(caller, kind(tokens))
    assert answered(outcomes) == sorted(tokens)
    assert {outcome.error for outcome in outcomes} == {None}
    assert sorted(str(request.token) for request in gateway.requests) == sorted(tokens)


@pytest.mark.parametrize("kind", [awaited, Awaited])
def test_the_async_client_takes_async_iterables(caller: Caller, gateway: SimulatedGateway, kind: Any) -> None:
    if not caller.is_async:
        pytest.skip("the sync client refuses them, which another test claims")
    tokens = good(gateway, 40)
    assert answered(sweep(caller, kind(tokens))) == sorted(tokens)


@pytest.mark.parametrize("concurrency", [1, 16])
def test_no_token_makes_no_outcome(caller: Caller, gateway: SimulatedGateway, concurrency: int) -> None:
    assert sweep(caller, [], concurrency=concurrency) == []
    assert gateway.requests == []


def test_a_token_that_comes_twice_is_asked_twice(caller: Caller, gateway: SimulatedGateway) -> None:
    token = gateway.add_token(states=["pending", "success"])
    states = [outcome.token.state for outcome in sweep(caller, [token, token], concurrency=1) if outcome.token]
    assert states == ["pending", "success"]


@pytest.mark.parametrize("form", [str.upper, UUID])
def test_an_outcome_names_the_token_as_it_was_given(caller: Caller, gateway: SimulatedGateway, form: Any) -> None:
    given = form(good(gateway, 1)[0])
    (outcome,) = sweep(caller, [given])
    assert outcome.token_id == str(given)
    assert outcome.token
    assert outcome.token.is_verified


def test_a_token_that_failed_3ds_is_an_answer(caller: Caller, gateway: SimulatedGateway) -> None:
    (outcome,) = sweep(caller, [gateway.add_token(states=["failed"])])
    assert outcome.token
    assert (outcome.token.is_failed, outcome.error) == (True, None)


def test_the_customer_is_named_in_each_request(caller: Caller, gateway: SimulatedGateway) -> None:
    customer = uuid4()
    sweep(caller, good(gateway, 3), customer_uuid=customer)
    assert [request.customer_uuid for request in gateway.requests] == [str(customer)] * 3


def test_a_slow_token_holds_no_other_back(caller: Caller) -> None:
    slow, *others = itertools.islice(uuids(), 40)
    held = {slow}
    wire = Wire(lambda token, _running: token in held)
    with sweeping(caller, [slow, *others], settings={"transport": wire}, concurrency=4) as outcomes:
        assert answered(itertools.islice(outcomes, 39)) == sorted(others)
        held.clear()
        wire.notify()
        assert answered(outcomes) == [slow]


def test_an_outcome_does_not_wait_for_the_next_token_of_a_slow_async_source(
    caller: Caller, gateway: SimulatedGateway
) -> None:
    if not caller.is_async:
        pytest.skip("a sync source has the thread while it makes its next token")
    tokens, seen = good(gateway, 3), asyncio.Queue[str]()

    async def source() -> AsyncIterator[str]:
        for token in tokens:
            yield token
            async with asyncio.timeout(A_LONG_TIME):  # they would wait for each other
                assert await seen.get() == token

    with sweeping(caller, source()) as outcomes:
        for outcome in outcomes:
            seen.put_nowait(outcome.token_id)
    assert seen.empty()


BAD: dict[str, tuple[Any, type[WonderError], int]] = {
    "no UUID": ("4111111111111111", InvalidTokenError, 0),
    "empty": ("", InvalidTokenError, 0),
    "null": (None, InvalidTokenError, 0),
    "number": (17, InvalidTokenError, 0),
    "bytes": (TOKEN.encode(), InvalidTokenError, 0),
    "list": ([TOKEN], InvalidTokenError, 0),
    "unknown": (TOKEN, NotFoundError, 1),
    "400": (Fault(status=400, times=ALWAYS), APIError, 1),
    "403": (Fault(status=403, times=ALWAYS), AuthenticationError, 1),
    "500": (Fault(status=500, times=ALWAYS), ServerError, 4),
    "302": (Fault(status=302, headers={"Location": "/"}, times=ALWAYS), APIError, 1),
    "broken answer": (Fault(body="{", times=ALWAYS), InvalidResponseError, 1),
    "another answer": (Fault(body='{"code": 0, "data": []}', times=ALWAYS), InvalidResponseError, 1),
    "reset": (Fault(broken="reset in the middle", times=ALWAYS), NetworkError, 4),
}


@pytest.mark.parametrize("concurrency", [1, 16])
def test_a_bad_token_stops_no_other(caller: Caller, gateway: SimulatedGateway, concurrency: int) -> None:
    tokens, expected = list[Any](), dict[str, tuple[type[WonderError], int]]()
    others = good(gateway, len(BAD) + 1)
    for other, (bad, kind, attempts) in zip(others, BAD.values(), strict=False):
        token = bad
        if isinstance(bad, Fault):
            token = gateway.add_token()
            gateway.inject(bad, token=token)
        tokens += [other, token]
        expected[str(token)] = kind, attempts
    outcomes = sweep(caller, [*tokens, others[-1]], concurrency=concurrency)
    assert answered(outcomes) == sorted(others)
    failures = errors(outcomes)
    assert len(outcomes) == len(others) + len(failures)
    assert set(failures) == set(expected)
    requests = {request.request_id: request.token for request in gateway.requests}
    for token, (kind, attempts) in expected.items():
        error = failures[token]
        assert isinstance(error, kind)
        assert error.attempts == attempts
        assert requests[error.request_id] == token if attempts else error.request_id is None


@pytest.mark.parametrize("concurrency", [1, 16])
def test_a_token_that_hangs_stops_no_other(caller: Caller, concurrency: int) -> None:
    hanging, *others = itertools.islice(uuids(), 10)
    answers = set[str]()

    def hold(token: str, _running: int) -> bool:
        if token == hanging:
            # One at a time: its timeout comes first. Else it comes when all the others have been answered.
            return concurrency > 1 and not answers.issuperset(others)
        answers.add(token)
        return False

    wire = Wire(hold, {hanging: [httpx.ReadTimeout("no answer") for _ in range(4)]})
    outcomes = sweep(caller, [hanging, *others], concurrency=concurrency, settings={"transport": wire})
    assert answered(outcomes) == sorted(others)
    error = errors(outcomes)[hanging]
    assert len(outcomes) == 10
    assert isinstance(error, RequestTimeoutError)
    assert error.attempts == wire.asked.count(hanging) == 4
    assert error.request_id == wire.request_ids[hanging]


def test_a_token_that_hangs_ends_with_its_timeouts(caller: Caller, gateway: SimulatedGateway) -> None:
    (hanging,) = good(gateway, 1)
    gateway.inject(Fault(delay=math.inf, times=ALWAYS), token=hanging)
    (outcome,) = sweep(caller, [hanging], settings={"timeout": 0.1})
    assert isinstance(outcome.error, RequestTimeoutError)
    assert outcome.error.attempts == 4


def test_a_retry_gets_its_answer(caller: Caller, gateway: SimulatedGateway) -> None:
    tokens = good(gateway, 10)
    for token in tokens:
        gateway.inject(Fault(status=502, times=3), token=token)
    assert answered(sweep(caller, tokens)) == sorted(tokens)
    assert len(gateway.requests) == 40


# How much at a time


@pytest.mark.parametrize("concurrency", [1, 3, None])
def test_as_many_requests_are_under_way_as_allowed_and_no_more(caller: Caller, concurrency: int | None) -> None:
    allowed = concurrency or 16
    wire = Wire(Wave(allowed))
    options = {"concurrency": concurrency} if concurrency else {}
    tokens = list(itertools.islice(uuids(), 5 * allowed))
    outcomes = sweep(caller, tokens, settings={"transport": wire}, **options)
    assert answered(outcomes) == sorted(tokens)
    assert wire.most == allowed


@pytest.mark.parametrize("is_awaited", [False, True])
@pytest.mark.parametrize("concurrency", [1, 4])
def test_an_endless_source_is_read_no_further_than_needed(
    caller: Caller, concurrency: int, *, is_awaited: bool
) -> None:
    if is_awaited and not caller.is_async:
        pytest.skip("the sync client takes none")
    taken = 0

    def source() -> Iterator[str]:
        nonlocal taken
        for token in uuids():
            taken += 1
            yield token

    ahead = list[int]()
    with sweeping(
        caller,
        awaited(source()) if is_awaited else source(),
        settings={"transport": Wire()},
        concurrency=concurrency,
    ) as outcomes:
        assert taken == 0
        for number, _ in enumerate(itertools.islice(outcomes, 50)):
            ahead.append(taken - number)  # the one in hand is counted
    assert max(ahead) <= concurrency + 1
    assert taken <= 50 + concurrency + 1


class Kept(str):
    """A token that tells when nobody has it any more."""

    __slots__ = ("__weakref__",)


@pytest.mark.parametrize("is_bad", [False, True])
def test_no_more_is_kept_than_what_is_under_way(caller: Caller, *, is_bad: bool) -> None:
    concurrency, tokens, outcomes_kept = 4, list[Any](), list[Any]()

    def source() -> Iterator[str]:
        for token in itertools.islice(uuids(), 200):
            one = Kept("no UUID" if is_bad else token)
            tokens.append(weakref.ref(one))
            yield one
            del one

    with sweeping(caller, source(), settings={"transport": Wire()}, concurrency=concurrency) as outcomes:
        for number, outcome in enumerate(outcomes, start=1):
            outcomes_kept.append(weakref.ref(outcome))
            del outcome
            if number % 50 == 0:
                gc.collect()  # an exception has its frames, which have it
                assert sum(one() is not None for one in outcomes_kept) <= concurrency
                assert sum(one() is not None for one in tokens) <= concurrency + 3
    assert len(tokens) == len(outcomes_kept) == 200


# Who stops, and how


class ConsumerError(Exception):
    pass


def use_after(client: Any, gateway: SimulatedGateway) -> None:
    """What a client that swept is still good for, and that nothing else asks any more."""
    before = len(gateway.requests)
    assert client.check_token(good(gateway, 1)[0]).is_verified
    assert len(gateway.requests) == before + 1
    assert workers() == []


@pytest.mark.parametrize("way", ["break", "close", "error", "throw", "return"])
def test_a_sync_sweep_ends_with_its_consumer(gateway: SimulatedGateway, way: str) -> None:
    tokens = good(gateway, 100)
    ended = list[bool]()

    def source() -> Iterator[str]:
        try:
            yield from tokens
        finally:
            ended.append(True)

    def consume(outcomes: Generator[Outcome]) -> None:
        for number, _ in enumerate(outcomes):
            if number == 10:
                if way == "break":
                    break
                if way == "return":
                    return
                if way == "close":
                    outcomes.close()
                elif way == "throw":
                    outcomes.throw(ConsumerError)
                else:
                    raise ConsumerError

    with gateway.client() as client:
        if way in ("error", "throw"):
            with pytest.raises(ConsumerError):
                consume(client.check_tokens(source(), concurrency=4))
        else:
            consume(client.check_tokens(source(), concurrency=4))
        gc.collect()
        assert len(gateway.requests) <= 10 + 1 + 4 + 1
        assert ended == [True]
        use_after(client, gateway)


async def breaks(outcomes: AsyncGenerator[Outcome], _stuck: asyncio.Event) -> None:
    async for _ in outcomes:
        break


async def closes(outcomes: AsyncGenerator[Outcome], _stuck: asyncio.Event) -> None:
    await anext(outcomes)
    await outcomes.aclose()


async def raises(outcomes: AsyncGenerator[Outcome], _stuck: asyncio.Event) -> None:
    async for _ in outcomes:
        raise ConsumerError


async def waits(outcomes: AsyncGenerator[Outcome], stuck: asyncio.Event) -> None:
    for _ in range(10):
        await anext(outcomes)
    stuck.set()
    await anext(outcomes)


async def is_busy(outcomes: AsyncGenerator[Outcome], stuck: asyncio.Event) -> None:
    await anext(outcomes)
    stuck.set()
    await asyncio.Event().wait()


@pytest.mark.parametrize("consume", [breaks, closes, raises, waits, is_busy])
@pytest.mark.parametrize("is_awaited", [False, True])
def test_an_async_sweep_ends_with_its_consumer(gateway: SimulatedGateway, consume: Any, *, is_awaited: bool) -> None:
    tokens = good(gateway, 100)
    for token in tokens[10:]:
        gateway.inject(Fault(delay=float("inf")), token=token)
    ended = list[bool]()

    async def source() -> AsyncIterator[str]:
        try:
            for token in tokens:
                yield token
        finally:
            ended.append(True)

    async def sweep_for(client: AsyncWonderClient, stuck: asyncio.Event) -> None:
        async with aclosing(client.check_tokens(source() if is_awaited else tokens, concurrency=4)) as outcomes:
            await consume(outcomes, stuck)

    async def main() -> None:
        # What hangs is not waited for.
        async with gateway.async_client(timeout=2 * A_LONG_TIME) as client, asyncio.timeout(A_LONG_TIME):
            stuck = asyncio.Event()
            sweeping = asyncio.create_task(sweep_for(client, stuck))
            # Two consumers do not end on their own: they are cancelled.
            if consume in (waits, is_busy):
                await stuck.wait()
                sweeping.cancel()
            with suppress(ConsumerError, asyncio.CancelledError):
                await sweeping
            assert asyncio.all_tasks() == {asyncio.current_task()}
            assert ended == [True] * is_awaited
            answer = await client.check_token(good(gateway, 1)[0])
            assert answer.is_verified
            assert len(gateway.requests) <= 10 + 4 + 1

    asyncio.run(main())


def test_a_sweep_that_is_stopped_waits_for_no_retry_after(caller: Caller, gateway: SimulatedGateway) -> None:
    first, limited, *others = good(gateway, 10)
    gateway.inject(Fault(status=429, headers={"Retry-After": "3600"}), token=limited)
    began = time.monotonic()
    with sweeping(caller, [first, limited, *others], concurrency=1) as outcomes:
        assert next(outcomes).token_id == first
    assert time.monotonic() - began < A_LONG_TIME
    assert len(gateway.requests) <= 3


def test_a_sweep_that_is_stopped_repeats_nothing(caller: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    first, bad = itertools.islice(uuids(), 2)
    stopped, stop = threading.Event(), Pace.stop

    def stop_and_tell(pace: Pace) -> None:
        stop(pace)
        stopped.set()
        wire.notify()

    # Its second attempt is in flight until the sweep is stopped.
    wire = Wire(
        lambda token, _running: token == bad and wire.asked.count(bad) == 2 and not stopped.is_set(),
        {bad: [httpx.Response(502) for _ in range(10)]},
    )
    monkeypatch.setattr(Pace, "stop", stop_and_tell)
    retry = RetryPolicy(max_attempts=10_000, max_elapsed=A_LONG_TIME, backoff_initial=0.0)
    settings = {"transport": wire, "retry": retry}
    with sweeping(caller, [bad, first], concurrency=2, settings=settings) as outcomes:
        assert next(outcomes).token_id == first
    assert wire.asked.count(bad) <= 2


def test_a_sweep_that_nobody_began_costs_nothing(caller: Caller, gateway: SimulatedGateway) -> None:
    taken = list[bool]()
    source = (taken.append(True) for _ in range(3))
    with sweeping(caller, source):
        pass
    assert (taken, gateway.requests) == ([], [])


class SourceError(Exception):
    pass


@pytest.mark.parametrize("good_ones", [0, 1, 30])
@pytest.mark.parametrize("is_awaited", [False, True])
def test_an_error_of_the_source_reaches_the_caller_with_its_frames(
    caller: Caller, gateway: SimulatedGateway, good_ones: int, *, is_awaited: bool
) -> None:
    if is_awaited and not caller.is_async:
        pytest.skip("the sync client takes none")
    tokens = good(gateway, good_ones)

    def read_the_database() -> NoReturn:
        raise SourceError("the cursor is gone")

    def source() -> Iterator[str]:
        yield from tokens
        read_the_database()

    with pytest.raises(SourceError, match="the cursor is gone") as caught:  # noqa: SIM117 (the error passes through it)
        with sweeping(caller, awaited(source()) if is_awaited else source()) as outcomes:
            list(outcomes)
    names = [frame.f_code.co_name for frame, _ in traceback.walk_tb(caught.value.__traceback__)]
    assert names[-2:] == ["source", "read_the_database"]
    assert caught.value.__cause__ is None
    asked = [request.token for request in gateway.requests]
    assert set(asked) <= set(tokens)
    assert len(asked) == len(set(asked))


def test_a_client_is_good_for_another_sweep_and_for_two_at_once(caller: Caller, gateway: SimulatedGateway) -> None:
    tokens = good(gateway, 20)
    client = caller.make()
    if isinstance(client, WonderClient):
        with client:
            for _ in range(2):
                both = zip(client.check_tokens(tokens), client.check_tokens(tokens), strict=True)
                one, other = zip(*both, strict=True)
                assert answered(one) == answered(other) == sorted(tokens)
        return

    async def main() -> None:
        async with client:
            for _ in range(2):
                one, other = await asyncio.gather(collect(client, tokens), collect(client, tokens))
                assert answered(one) == answered(other) == sorted(tokens)

    asyncio.run(main())


async def collect(client: AsyncWonderClient, tokens: Any, **options: Any) -> list[Outcome]:
    return [outcome async for outcome in client.check_tokens(tokens, **options)]


# One pace for all


@pytest.mark.parametrize(
    ("status", "headers", "retry"),
    [
        pytest.param(429, {"Retry-After": "0.2"}, QUICK, id="429 with Retry-After"),
        pytest.param(503, {"Retry-After": "0.2"}, QUICK, id="503 with Retry-After"),
        pytest.param(429, {}, RetryPolicy(backoff_initial=0.2, jitter=0.0), id="429 without"),
    ],
)
def test_a_rate_limit_is_for_the_whole_sweep(
    caller: Caller, status: int, headers: dict[str, str], retry: RetryPolicy
) -> None:
    tokens = list(itertools.islice(uuids(), 40))
    limited, *others = tokens[:4]
    told = list[WonderError]()

    def hold(token: str, running: int) -> bool:
        # The limit is told to one of four in flight. The others are answered during the pause, and their places go to
        # further tokens.
        return (token == limited and not told and running < 4) or (token in others and not told)

    def on_retry(error: WonderError, _delay: float) -> None:
        told.append(error)
        wire.notify()

    wire = Wire(hold, {limited: [httpx.Response(status, headers=headers)]})
    outcomes = sweep(caller, tokens, concurrency=4, settings={"transport": wire, "retry": retry, "on_retry": on_retry})
    assert answered(outcomes) == sorted(tokens)
    assert [moment for moment in wire.asked_at[4:] if moment < wire.failed_at[0] + 0.2] == []
    assert len(wire.asked) == 41
    assert wire.asked.count(limited) == 2


def test_the_longest_retry_after_holds(caller: Caller) -> None:
    tokens = list(itertools.islice(uuids(), 12))
    told = list[WonderError]()

    def on_retry(error: WonderError, _delay: float) -> None:
        told.append(error)
        wire.notify()

    wire = Wire(
        # The shorter one is told after the longer one.
        lambda token, running: (token == tokens[0] and not told and running < 2) or (token == tokens[1] and not told),
        {tokens[0]: [limit("0.3")], tokens[1]: [limit("0.01")]},
    )
    settings = {"transport": wire, "on_retry": on_retry}
    assert answered(sweep(caller, tokens, concurrency=2, settings=settings)) == sorted(tokens)
    assert [moment for moment in wire.asked_at[2:] if moment < wire.failed_at[0] + 0.3] == []


def test_a_limit_costs_a_token_no_attempts_and_no_time(caller: Caller, gateway: SimulatedGateway, clock: Clock) -> None:
    (token,) = good(gateway, 1)
    for status in (429, 502, 429, 429, 502, 429):
        gateway.inject(Fault(status=status, headers={"Retry-After": "15"} if status == 429 else {}), token=token)
    retry = RetryPolicy(max_attempts=3, max_elapsed=50.0, backoff_initial=1.0, jitter=0.0)
    (outcome,) = sweep(caller, [token], settings={"retry": retry})
    assert outcome.token
    assert [request.status for request in gateway.requests] == [429, 502, 429, 429, 502, 429, 200]
    assert sum(clock.slept) > 60.0


def test_the_other_attempts_still_count_beside_a_limit(caller: Caller, gateway: SimulatedGateway) -> None:
    (token,) = good(gateway, 1)
    for status in (429, 502, 429, 502):
        gateway.inject(Fault(status=status), token=token)
    retry = attrs.evolve(QUICK, max_attempts=2)
    (outcome,) = sweep(caller, [token], settings={"retry": retry})
    assert isinstance(outcome.error, ServerError)
    assert outcome.error.attempts == len(gateway.requests) == 4


@pytest.mark.parametrize("is_async", [False, True], ids=["sync", "async"])
def test_a_pause_costs_the_others_none_of_their_time(clock: Clock, *, is_async: bool) -> None:
    now, pace = time.monotonic(), Pace()
    call = SweptCall(UUID(TOKEN), {}, RetryPolicy(), timeout=10.0, deadline=now + 30.0, pace=pace)
    # All are told to come back soon, and then one of them that it must be later.
    pace.hold(40.0, asked_at=now)
    pace.hold(100.0, asked_at=now)
    if is_async:
        asyncio.run(call.asleep(1.0))
    else:
        thread = threading.Thread(target=call.sleep, args=(1.0,), name="wonder-payment")
        thread.start()
        thread.join()
    assert clock.slept == [pytest.approx(100.0)]
    # Its own delay counts, and the rest of the pause does not.
    assert call.deadline - time.monotonic() == pytest.approx(30.0 - 1.0)


def test_limits_told_to_what_was_in_flight_already_are_one_pause(caller: Caller) -> None:
    tokens = list(itertools.islice(uuids(), 8))
    told = list[WonderError]()

    def hold(token: str, running: int) -> bool:
        if wire.asked.count(token) > 1:
            return len(told) < 8  # no other answer comes in between
        is_first = not told and token == tokens[0]
        return running < 8 if is_first else len(told) < tokens.index(token)

    def on_retry(error: WonderError, _delay: float) -> None:
        told.append(error)
        wire.notify()

    wire = Wire(hold, {token: [httpx.Response(429)] for token in tokens})
    retry = RetryPolicy(backoff_initial=0.0)  # each pause is over before the next limit is told
    settings = {"transport": wire, "retry": retry, "on_retry": on_retry}
    outcomes = sweep(caller, tokens, concurrency=8, settings=settings)
    assert errors(outcomes) == {}
    assert len(wire.asked) == 16


@pytest.mark.parametrize("headers", [{}, {"Retry-After": "0.02"}])
def test_a_limit_that_never_ends_ends_each_token_in_its_error(
    caller: Caller, gateway: SimulatedGateway, headers: dict[str, str]
) -> None:
    tokens = good(gateway, 20)
    gateway.inject(Fault(status=429, headers=headers, times=ALWAYS))
    outcomes = sweep(caller, tokens, concurrency=4)
    failures = errors(outcomes)
    assert set(failures) == set(tokens)
    assert {type(error) for error in failures.values()} == {RateLimitError}
    assert sum(error.attempts for error in failures.values()) == len(gateway.requests) <= 20 * 4


def test_a_token_that_alone_is_limited_for_ever_holds_the_others_up_for_a_while_only(
    caller: Caller, gateway: SimulatedGateway
) -> None:
    limited, *others = good(gateway, 150)
    gateway.inject(Fault(status=429, times=ALWAYS), token=limited)
    retry = attrs.evolve(QUICK, backoff_initial=0.001, backoff_max=0.001)
    outcomes = sweep(caller, [limited, *others], concurrency=2, settings={"retry": retry})
    assert answered(outcomes) == sorted(others)
    assert isinstance(errors(outcomes)[limited], RateLimitError)
    assert sum(request.token == limited for request in gateway.requests) <= 50


def test_who_never_repeats_repeats_no_limited_token(caller: Caller, gateway: SimulatedGateway) -> None:
    tokens = good(gateway, 5)
    gateway.inject(Fault(status=429), token=tokens[2])
    outcomes = sweep(caller, tokens, settings={"retry": RetryPolicy.never()})
    assert set(errors(outcomes)) == {tokens[2]}
    assert len(gateway.requests) == 5


# Arguments


BAD_ARGUMENTS: list[Any] = [
    *({"concurrency": concurrency} for concurrency in (0, -1, 1.5, 2.0, True, "4", None, 10**9, float("nan"))),
    *({"tokens": tokens} for tokens in (TOKEN, TOKEN.encode(), UUID(TOKEN), None, 17)),
    pytest.param({"tokens": awaited}, id="tokens=a function"),
    pytest.param({"tokens": object()}, id="tokens=an object"),
    *({"customer_uuid": customer} for customer in ("no UUID", 17, b"uuid", "")),
]


@pytest.mark.parametrize(
    "arguments",
    BAD_ARGUMENTS,
    ids=lambda arguments: ", ".join(f"{name}={value!r}" for name, value in arguments.items()),
)
def test_a_bad_argument_is_an_error_of_the_call_itself(
    caller: Caller, gateway: SimulatedGateway, arguments: dict[str, Any]
) -> None:
    client = caller.make()
    arguments = {"tokens": good(gateway, 1)} | arguments
    kind = InvalidTokenError if "customer_uuid" in arguments else ConfigurationError
    with pytest.raises(kind) as caught:
        client.check_tokens(**arguments)
    assert caught.value.attempts == 0
    assert TOKEN not in str(caught.value)
    assert gateway.requests == []


def test_the_sync_client_takes_no_async_iterable(gateway: SimulatedGateway) -> None:
    with gateway.client() as client, pytest.raises(ConfigurationError, match="iterable"):
        client.check_tokens(Awaited([TOKEN]))  # type: ignore[arg-type]


def test_both_clients_sweep_alike() -> None:
    assert WonderClient.check_tokens.__kwdefaults__ == AsyncWonderClient.check_tokens.__kwdefaults__


def test_a_closed_client_sweeps_no_more(caller: Caller, gateway: SimulatedGateway) -> None:
    client = caller.make()
    if isinstance(client, WonderClient):
        client.close()
        with pytest.raises(ConfigurationError, match="closed"):
            list(client.check_tokens([TOKEN]))
    else:

        async def main() -> None:
            await client.aclose()
            with pytest.raises(ConfigurationError, match="closed"):
                await collect(client, [TOKEN])
            assert asyncio.all_tasks() == {asyncio.current_task()}

        asyncio.run(main())
    assert gateway.requests == []
    assert workers() == []


def test_a_client_that_is_closed_meanwhile_ends_the_sweep(caller: Caller, gateway: SimulatedGateway) -> None:
    tokens = good(gateway, 100)
    client = caller.make()
    seen = list[Outcome]()
    if isinstance(client, WonderClient):
        with pytest.raises(ConfigurationError, match="closed"):  # noqa: PT012
            for outcome in client.check_tokens(tokens):
                seen.append(outcome)
                client.close()
    else:

        async def main() -> None:
            with pytest.raises(ConfigurationError, match="closed"):  # noqa: PT012
                async for outcome in client.check_tokens(tokens):
                    seen.append(outcome)
                    await client.aclose()

        asyncio.run(main())
    assert 1 <= len(seen) < 100
    assert workers() == []


# What is shown, and where it runs


def test_an_outcome_shows_no_token(caller: Caller, gateway: SimulatedGateway) -> None:
    card = {"number": "4111111111111111", "holder_name": "SAM SAMPLE", "brand": "visa"}
    token, unknown = gateway.add_token(states=["success"], card=card), str(uuid4())
    shown = repr(sweep(caller, [token, unknown, "4111111111111111"]))
    assert shown.count("Outcome(") == 3
    assert f"…{token[-4:]}" in shown
    assert f"…{unknown[-4:]}" in shown
    assert not [secret for secret in (token, unknown, "4111111111111111", "SAM") if secret in shown]


def test_the_error_of_an_outcome_has_no_frames(caller: Caller, gateway: SimulatedGateway) -> None:
    gateway.inject(Fault(broken="reset before", times=ALWAYS))
    failures = errors(sweep(caller, [*good(gateway, 2), "no UUID"]))
    for error in failures.values():
        chain: BaseException | None = error
        while chain:
            assert (chain.__traceback__, chain.__context__) == (None, None)
            chain = chain.__cause__
    assert len(failures) == 3


def test_an_outcome_is_pickled_and_compared_by_value(caller: Caller, gateway: SimulatedGateway) -> None:
    (outcome,) = sweep(caller, good(gateway, 1))
    assert pickle.loads(pickle.dumps(outcome)) == outcome  # noqa: S301
    (failure,) = sweep(caller, ["no UUID"])
    assert isinstance(pickle.loads(pickle.dumps(failure)).error, InvalidTokenError)  # noqa: S301


tenant: ContextVar[str] = ContextVar("tenant", default="nobody")


def test_the_calls_see_the_callers_context(caller: Caller, gateway: SimulatedGateway) -> None:
    tokens = good(gateway, 8)
    for token in tokens:
        gateway.inject(Fault(status=502), token=token)
    seen = list[str]()

    def on_retry(_error: WonderError, _delay: float) -> None:
        seen.append(tenant.get())
        tenant.set("somebody else")  # in a call of its own: the others do not see it

    reset = tenant.set("the caller")
    try:
        assert answered(sweep(caller, tokens, settings={"on_retry": on_retry})) == sorted(tokens)
        assert seen == ["the caller"] * 8
        assert tenant.get() == "the caller"
    finally:
        tenant.reset(reset)


def test_on_retry_is_told_of_rate_limits(caller: Caller, gateway: SimulatedGateway) -> None:
    (token,) = good(gateway, 1)
    gateway.inject(Fault(status=429, headers={"Retry-After": "0.05"}, times=2), token=token)
    told = list[tuple[type[WonderError], float, int]]()
    sweep(
        caller,
        [token],
        settings={"on_retry": lambda error, delay: told.append((type(error), delay, error.attempts))},
    )
    assert told == [(RateLimitError, 0.05, 1), (RateLimitError, 0.05, 2)]


@pytest.mark.parametrize("kind", [ConsumerError, KeyboardInterrupt])
def test_what_on_retry_raises_ends_the_sweep_and_reaches_the_caller(caller: Caller, kind: type[BaseException]) -> None:
    if caller.is_async and kind is KeyboardInterrupt:
        pytest.skip("asyncio lets Ctrl-C out of its loop on its own way")
    tokens = list(itertools.islice(uuids(), 200))
    told = list[WonderError]()

    def on_retry(error: WonderError, _delay: float) -> NoReturn:
        told.append(error)
        wire.notify()
        raise kind("enough")

    # The later ones are in flight until it is raised.
    wire = Wire(lambda token, _running: tokens.index(token) > 40 and not told, {tokens[20]: [httpx.Response(502)]})

    with pytest.raises(kind, match="enough") as caught:  # noqa: SIM117 (the error passes through it)
        with sweeping(caller, tokens, settings={"transport": wire, "on_retry": on_retry}) as outcomes:
            list(outcomes)
    names = [frame.f_code.co_name for frame, _ in traceback.walk_tb(caught.value.__traceback__)]
    assert names[-1] == "on_retry"
    assert len(wire.asked) < 100
