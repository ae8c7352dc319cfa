"""What the tests of check_tokens() share: results of both clients, sources of tokens, and a transport that waits."""

import asyncio
import itertools
import json
import threading
from collections.abc import AsyncIterator, Callable, Generator, Iterable, Iterator
from contextlib import closing, contextmanager
from typing import Any
from uuid import uuid4

import httpx
import pytest
from conftest import Caller
from wonder_payment import AsyncWonderClient, CheckResult, RetryPolicy, WonderClient, WonderError
from wonder_payment.simulator import SimulatedGateway

QUICK = RetryPolicy(backoff_initial=0.01, backoff_max=0.01, jitter=0.0)
A_LONG_TIME = 60.0


def threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name.startswith("wonder-payment")]


@contextmanager
def batch(
    caller: Caller, tokens: Any, *, settings: dict[str, Any] | None = None, **options: Any
) -> Iterator[Iterator[CheckResult]]:
    """Give the results of a batch one by one; at the end, close it and check that no thread or task is left."""
    client = caller.make(**{"retry": QUICK} | (settings or {}))
    if isinstance(client, WonderClient):
        with client, closing(client.check_tokens(tokens, **options)) as results:
            yield results
        assert threads() == []
        return
    results_async = client.check_tokens(tokens, **options)

    async def step() -> CheckResult | None:
        return await anext(results_async, None)

    async def end() -> set[Any]:
        await results_async.aclose()
        left = asyncio.all_tasks() - {asyncio.current_task()}
        await client.aclose()
        return left

    with asyncio.Runner() as runner:
        try:
            yield iter(lambda: runner.run(step()), None)
        finally:
            assert runner.run(end()) == set()


def check_all(caller: Caller, tokens: Any, **options: Any) -> list[CheckResult]:
    with batch(caller, tokens, **options) as results:
        return list(results)


async def collect(client: AsyncWonderClient, tokens: Any) -> list[CheckResult]:
    return [result async for result in client.check_tokens(tokens)]


def add_verified(gateway: SimulatedGateway, count: int) -> list[str]:
    return [gateway.add_token(states=["success"]) for _ in range(count)]


def verified(results: Iterable[CheckResult]) -> list[str]:
    tokens = [result.token for result in results if result.token and result.token.token == result.token_id.lower()]
    return sorted(token.token for token in tokens if token.is_verified)


def errors(results: Iterable[CheckResult]) -> dict[str, WonderError]:
    return {result.token_id: result.error for result in results if result.error}


def uuids() -> Iterator[str]:
    return map(str, (uuid4() for _ in itertools.count()))


class Source:
    """An iterable and async iterable that records the tokens taken and its end; endless by default."""

    def __init__(self, tokens: Iterable[str] | None = None) -> None:
        self.taken, self.has_ended = list[str](), False
        self._tokens = uuids() if tokens is None else tokens

    def __iter__(self) -> Generator[str]:
        try:
            for token in self._tokens:
                self.taken.append(token)
                yield token
        finally:
            self.has_ended = True

    async def __aiter__(self) -> AsyncIterator[str]:
        with closing(iter(self)) as tokens:
            for token in tokens:
                await asyncio.sleep(0)
                yield token


def sync_and_async(**kinds: Callable[[Any], Any]) -> list[Any]:
    return [pytest.param(name.partition("_")[0], kind, id=name.replace("_", " ")) for name, kind in kinds.items()]


LAZY_SOURCES = sync_and_async(sync_generator=iter, async_sync=iter, async_generator=aiter, async_iterable=lambda it: it)


class Wire(httpx.BaseTransport, httpx.AsyncBaseTransport):
    """Returns verified tokens, and counts the requests in flight.

    Args:
        is_held: Whether the response for a token has to wait.
        errors: What the transport raises instead for a token.
    """

    def __init__(
        self, is_held: Callable[[str], bool] = lambda _token: False, errors: dict[str, Exception] | None = None
    ) -> None:
        self.sent: list[str] = []
        self.in_flight = self.max_in_flight = 0
        self._is_held, self._errors = is_held, errors or {}
        self._changed = threading.Condition()

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        token = self._begin(request)
        with self._changed:
            self._changed.wait_for(lambda: not self._is_held(token), timeout=A_LONG_TIME)
        return self._end(token)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        token = self._begin(request)
        async with asyncio.timeout(A_LONG_TIME):
            while self._is_held(token):  # noqa: ASYNC110 (a task of this loop changes it)
                await asyncio.sleep(0)
        return self._end(token)

    def notify(self) -> None:
        with self._changed:
            self._changed.notify_all()

    def _begin(self, request: httpx.Request) -> str:
        token = str(json.loads(request.content)["payment_token"]["token"])
        with self._changed:
            self.sent.append(token)
            self.in_flight += 1
            self.max_in_flight = max(self.max_in_flight, self.in_flight)
            self._changed.notify_all()
        return token

    def _end(self, token: str) -> httpx.Response:
        with self._changed:
            self.in_flight -= 1
            self._changed.notify_all()
        if token in self._errors:
            raise self._errors[token]
        fields = {"token_type": "CreditCard", "token": token, "state": "success", "default": False}
        return httpx.Response(200, json={"code": 0, "message": "success", "data": {"payment_token": fields}})


class CallerError(Exception):
    pass
