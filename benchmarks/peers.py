"""One contender in a process of its own: this package's clients, and what people use instead, with the same signature.

`bench.py` runs `python benchmarks/peers.py sync|async CONTENDER`. It writes the settings of a turn as a line of JSON
and reads the result as another. The settings of the clients are in the environment.
"""

import asyncio
import gc
import importlib
import json
import os
import secrets
import sys
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager
from itertools import cycle
from typing import Any

import aiohttp
import attrs
import httpx
import requests
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from wonder_payment import AsyncWonderClient, WonderClient
from wonder_payment.signing import SCHEME, sign, string_to_sign

# Checks a token and returns its state.
Check = Callable[[str], str]
AsyncCheck = Callable[[str], Awaitable[str]]

TOKENS = [f"00000000-0000-4000-8000-{number:012}" for number in range(1_000)]
URI = "/svc/payment/api/v1/openapi/customers/uuid/payment_tokens/check"
TICK = 0.01  # seconds


def key() -> RSAPrivateKey:
    """Load the PEM."""
    loaded: Any = load_pem_private_key(os.environ["WONDER_PRIVATE_KEY"].encode(), None)
    return loaded


def body_of(token: str) -> bytes:
    """Return the request's body."""
    return json.dumps({"payment_token": {"token": token}}).encode()


def headers(private_key: RSAPrivateKey, body: bytes) -> dict[str, str]:
    """Return the headers of a signed request."""
    credential = f"{os.environ['WONDER_APP_ID']}/{time.strftime('%Y%m%d%H%M%S', time.gmtime())}/{SCHEME}"
    nonce = secrets.token_hex(8)
    return {
        "Content-Type": "application/json",
        "Credential": credential,
        "Nonce": nonce,
        "Signature": sign(private_key, string_to_sign(credential, nonce, "POST", URI, body)),
        "X-Request-ID": str(uuid.uuid4()),
    }


def url() -> str:
    """Return the URL of the check."""
    return os.environ["WONDER_BASE_URL"] + URI


def state_of(envelope: Any) -> str:
    """Return the state in the JSON of a response."""
    state: str = envelope["data"]["payment_token"]["state"]
    return state


@contextmanager
def wonder() -> Iterator[Check]:
    """Use this package with its defaults."""
    with WonderClient.from_env() as client:
        yield lambda token: client.check_token(token).state


@contextmanager
def httpx_by_hand() -> Iterator[Check]:
    """Keep one httpx.Client and one key: the lower bound."""
    private_key = key()
    with httpx.Client() as client:

        def check(token: str) -> str:
            body = body_of(token)
            response = client.post(url(), content=body, headers=headers(private_key, body))
            return state_of(response.raise_for_status().json())

        yield check


@contextmanager
def requests_by_hand() -> Iterator[Check]:
    """Keep nothing, as in a first script."""

    def check(token: str) -> str:
        body = body_of(token)
        response = requests.post(url(), data=body, headers=headers(key(), body), timeout=10)
        response.raise_for_status()
        return state_of(response.json())

    yield check


@contextmanager
def openapi_generator() -> Iterator[Check]:
    """Sign where the generated client sends a request."""
    generated: Any = importlib.import_module("wonder_openapi_generator")
    private_key = key()

    class SigningClient(generated.ApiClient):  # type: ignore[misc]
        def call_api(self, method: str, url: str, header_params: Any, body: Any, *others: Any, **options: Any) -> Any:
            header_params |= headers(private_key, json.dumps(body).encode())
            return super().call_api(method, url, header_params, body, *others, **options)

    api = generated.PaymentTokensApi(SigningClient(generated.Configuration(host=os.environ["WONDER_BASE_URL"])))

    def check(token: str) -> str:
        reference = generated.PaymentTokenReference(token=token)
        response = api.check_payment_token("uuid", generated.CheckPaymentTokenRequest(payment_token=reference))
        return str(response.data.payment_token.state.actual_instance.value)

    yield check


@contextmanager
def signature() -> Iterator[Check]:
    """Sign, and send nothing."""
    private_key = key()

    def check(token: str) -> str:
        headers(private_key, body_of(token))
        return "success"

    yield check


@asynccontextmanager
async def async_wonder(**settings: Any) -> AsyncIterator[AsyncCheck]:
    """Use this package."""
    async with AsyncWonderClient.from_env(**settings) as client:

        async def check(token: str) -> str:
            return (await client.check_token(token)).state

        yield check


@asynccontextmanager
async def async_httpx_by_hand() -> AsyncIterator[AsyncCheck]:
    """Keep one httpx.AsyncClient and one key."""
    private_key = key()
    async with httpx.AsyncClient() as client:

        async def check(token: str) -> str:
            body = body_of(token)
            response = await client.post(url(), content=body, headers=headers(private_key, body))
            return state_of(response.raise_for_status().json())

        yield check


@asynccontextmanager
async def aiohttp_by_hand() -> AsyncIterator[AsyncCheck]:
    """Keep one aiohttp.ClientSession and one key."""
    private_key = key()
    async with aiohttp.ClientSession(raise_for_status=True) as session:

        async def check(token: str) -> str:
            body = body_of(token)
            async with session.post(url(), data=body, headers=headers(private_key, body)) as response:
                return state_of(await response.json())

        yield check


class Wire(asyncio.Protocol):
    """A connection that knows the length of a response, and does not parse it."""

    def connection_made(self, transport: Any) -> None:
        """Store the transport."""
        self.transport = transport
        self.missing = self.length = 0

    def send(self, request: bytes) -> asyncio.Future[None]:
        """Send a request, and return a future that is done when the response is complete."""
        self.transport.write(request)
        self.missing, self.received = self.length, asyncio.get_running_loop().create_future()
        return self.received

    def data_received(self, data: bytes) -> None:
        """Count the bytes."""
        self.length = self.length or len(data)  # the first response comes in one piece
        self.missing = (self.missing or self.length) - len(data)
        if not self.missing:
            self.received.set_result(None)


@asynccontextmanager
async def nothing_but_bytes() -> AsyncIterator[AsyncCheck]:
    """Send the same unsigned bytes again and again: a lower bound for the speed of the server."""
    host, port = os.environ["WONDER_BASE_URL"].removeprefix("http://").split(":")
    body = body_of(TOKENS[0])
    request = b"POST %b HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%b" % (URI.encode(), len(body), body)
    idle = list[Wire]()

    async def check(_token: str) -> str:
        wire = idle.pop() if idle else (await asyncio.get_running_loop().create_connection(Wire, host, int(port)))[1]
        await wire.send(request)
        idle.append(wire)
        return "success"

    yield check


SYNC = {
    "WonderClient": wonder,
    "httpx by hand": httpx_by_hand,
    "requests by hand": requests_by_hand,
    "openapi-generator": openapi_generator,
    "signature alone": signature,
}
ASYNC = {
    "AsyncWonderClient": async_wonder,
    "AsyncWonderClient[fast]": lambda: async_wonder(transport="fast"),
    "httpx by hand": async_httpx_by_hand,
    "aiohttp by hand": aiohttp_by_hand,
    "bytes alone": nothing_but_bytes,
}


@attrs.define
class Clock:
    """The time and the CPU time of a turn."""

    began: float = attrs.field(factory=time.perf_counter)
    began_cpu: float = attrs.field(factory=time.process_time)

    def figures(self, calls: int) -> dict[str, Any]:
        """Return what the turn took."""
        seconds, cpu = time.perf_counter() - self.began, time.process_time() - self.began_cpu
        return {"calls": calls, "seconds": seconds, "cpu": cpu}


def take_turns() -> None:
    """Take the turns of a sync contender."""

    def go(check: Check, tokens: Iterator[str], end: float) -> int:
        calls = 0
        while calls == 0 or time.perf_counter() < end:
            if check(next(tokens)) != "success":
                raise AssertionError
            calls += 1
        return calls

    with SYNC[sys.argv[2]]() as check, ThreadPoolExecutor(64) as pool:
        for line in sys.stdin:
            turn = json.loads(line)
            threads: int = turn["threads"]
            of_each = [cycle(TOKENS[number:]) for number in range(threads)]
            gc.collect()
            go(check, of_each[0], time.perf_counter())
            clock = Clock()
            end = clock.began + turn["seconds"]
            if threads == 1:
                calls = go(check, of_each[0], end)
            else:
                calls = sum(pool.map(lambda tokens, end=end: go(check, tokens, end), of_each))
            print(json.dumps(clock.figures(calls)), flush=True)


async def tick(until: float) -> list[float]:
    """Return how late each tick of the event loop was, in seconds."""
    lags = list[float]()
    while (began := time.perf_counter()) < until:
        await asyncio.sleep(TICK)
        lags.append(time.perf_counter() - began - TICK)
    return lags


async def take_async_turns() -> None:
    """Take the turns of an async contender."""
    async with ASYNC[sys.argv[2]]() as check:
        tokens = cycle(TOKENS)

        async def go(end: float) -> int:
            calls = 0
            while time.perf_counter() < end:
                if await check(next(tokens)) != "success":
                    raise AssertionError
                calls += 1
            return calls

        for line in sys.stdin:
            turn = json.loads(line)
            gc.collect()
            clock = Clock()
            end = clock.began + turn["seconds"]
            lags, *calls = await asyncio.gather(tick(end), *(go(end) for _ in range(turn["concurrency"])))
            print(json.dumps(clock.figures(sum(calls)) | {"lags": lags}), flush=True)


if __name__ == "__main__":
    if sys.argv[1] == "sync":
        take_turns()
    else:
        asyncio.run(take_async_turns())
