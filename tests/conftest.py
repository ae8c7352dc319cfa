"""What the tests share: a gateway, a caller for both clients, and a clock that nobody waits for."""

import asyncio
import gc
import selectors
import signal
import threading
import time
from collections.abc import Callable, Iterator
from functools import cache
from http.client import HTTPConnection
from typing import Any

import attrs
import pytest
from arrivals import Arrivals
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, NoEncryption, PrivateFormat
from wonder_payment import AsyncWonderClient, PaymentToken, RetryPolicy, WonderClient, client
from wonder_payment.simulator import SimulatedGateway

TOKEN = "1b9d6bcd-bbfd-4b2d-9b5d-ab8dfbbd4bed"

Kind = type[WonderClient] | type[AsyncWonderClient]

for_both_clients = pytest.mark.parametrize("kind", [WonderClient, AsyncWonderClient])


@cache
def key() -> RSAPrivateKey:
    return generate_private_key(65537, 2048)


@cache
def pem(passphrase: str | None = None) -> str:
    encryption = BestAvailableEncryption(passphrase.encode()) if passphrase else NoEncryption()
    return key().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption).decode()


def pytest_collection_finish() -> None:
    """Keep what pytest has collected out of every later gc.collect(): some tests need one, and it has to be quick."""
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True, scope="session")
def ctrl_c_as_ever() -> None:
    """A shell lets what it runs in the background ignore Ctrl-C, and so these tests, and the programs they run."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True)
def each_test_makes_its_own_default_client() -> Iterator[None]:
    """It lives as long as the process, and would keep the settings of another test."""
    yield
    client._default_client.cache_clear()  # noqa: SLF001 (no caller needs to forget it)


@pytest.fixture
def gateway(wonder_gateway: SimulatedGateway) -> Iterator[SimulatedGateway]:
    """The gateway of our own pytest plugin."""
    yield wonder_gateway
    # What a test has sent and not waited for is seen by now, and not in the middle of the next test.
    connection = HTTPConnection("127.0.0.1", int(wonder_gateway.base_url.rpartition(":")[2]), timeout=30.0)
    for _ in range(2):
        connection.request("GET", "/nothing")
        connection.getresponse().read()
    connection.close()


@pytest.fixture
def arrivals(gateway: SimulatedGateway, monkeypatch: pytest.MonkeyPatch) -> Arrivals:
    return Arrivals(gateway, monkeypatch)


@pytest.fixture
def in_environment(gateway: SimulatedGateway, monkeypatch: pytest.MonkeyPatch) -> None:
    """The gateway's settings are this process's variables."""
    for name, value in gateway.environ.items():
        monkeypatch.setenv(name, value)


@attrs.frozen
class Caller:
    """Makes a call with the sync or the async client, so that one table serves both."""

    is_async: bool
    settings: dict[str, Any]

    def make(self, **settings: Any) -> WonderClient | AsyncWonderClient:
        kind = AsyncWonderClient if self.is_async else WonderClient
        return kind(**self.settings | settings)

    def check(self, token: Any = TOKEN, *, times: int = 1, customer_uuid: Any = None, **settings: Any) -> PaymentToken:
        """Check a token this often with one client and return the last answer. Never retries unless told."""
        client = self.make(**{"retry": RetryPolicy.never()} | settings)
        if isinstance(client, WonderClient):
            with client:
                return [client.check_token(token, customer_uuid=customer_uuid) for _ in range(times)][-1]

        async def check() -> PaymentToken:
            async with client:
                return [await client.check_token(token, customer_uuid=customer_uuid) for _ in range(times)][-1]

        return asyncio.run(check())

    def wait(self, token: Any = TOKEN, *, settings: dict[str, Any] | None = None, **options: Any) -> PaymentToken:
        """Wait for a token with one client."""
        client = self.make(**settings or {})
        if isinstance(client, WonderClient):
            with client:
                return client.wait_for_token(token, **options)

        async def wait() -> PaymentToken:
            async with client:
                return await client.wait_for_token(token, **options)

        return asyncio.run(wait())


@pytest.fixture(params=["sync", "async"])
def caller(request: pytest.FixtureRequest, gateway: SimulatedGateway) -> Caller:
    return caller_of(request.param, gateway)


def caller_of(name: str, gateway: SimulatedGateway) -> Caller:
    """A caller by its name; "aiohttp" is the async one with the other transport."""
    settings: dict[str, Any] = {
        "app_id": gateway.app_id,
        "private_key": gateway.private_key,
        "environment": None,
        "base_url": gateway.base_url,
    }
    if name == "aiohttp":
        settings["transport"] = name
    return Caller(is_async=name != "sync", settings=settings)


class Clock:
    """Time as the test's own thread and the client's threads see it: it passes only by sleeping, which takes none.

    So the clock is the same on a busy machine. The timers of the event loop go by the time in which it had nothing to
    do. Sockets and other threads, the simulator's among them, go by the real time.

    Args:
        monkeypatch: Puts the clock in place until the test ends.
        is_still: False: the real time passes on it, too, for a test of timeouts that have to fire.
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *, is_still: bool = True) -> None:
        self.slept: list[float] = []
        self._is_still = is_still
        self._skipped = 0.0
        self._thread = threading.get_ident()
        self._real = {name: getattr(time, name) for name in ("sleep", "monotonic", "time")}
        self._began = {name: self._real[name]() for name in ("monotonic", "time")}
        self._real_async_sleep = asyncio.sleep
        monkeypatch.setattr(time, "sleep", self._sleep)
        monkeypatch.setattr(time, "monotonic", lambda: self._now("monotonic"))
        monkeypatch.setattr(time, "time", lambda: self._now("time"))
        monkeypatch.setattr(asyncio, "sleep", self._async_sleep)
        monkeypatch.setattr(threading.Event, "wait", self._waiting(threading.Event.wait))
        self._idle = 0.0
        monkeypatch.setattr(asyncio.BaseEventLoop, "time", lambda _loop: self._loop_time())
        monkeypatch.setattr(selectors, "DefaultSelector", self._selector())

    def skip(self, seconds: float) -> None:
        """Let time pass."""
        self._skipped += seconds

    @property
    def _is_clients(self) -> bool:
        return threading.current_thread().name.startswith("wonder-payment")

    @property
    def _is_ours(self) -> bool:
        return threading.get_ident() == self._thread or self._is_clients

    def _now(self, name: str) -> float:
        if not self._is_ours:
            return self._real[name]()
        return (self._began[name] if self._is_still else self._real[name]()) + self._skipped

    def _loop_time(self) -> float:
        return self._began["monotonic"] + self._idle if self._is_ours else self._real["monotonic"]()

    def _selector(self) -> type[selectors.BaseSelector]:
        clock = self

        class Selector(selectors.DefaultSelector):
            def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
                events = super().select(timeout)
                if timeout and not events and clock._is_ours:
                    clock._idle += timeout
                return events

        return Selector

    def _sleep(self, seconds: float) -> None:
        if self._is_ours:
            self.slept.append(seconds)
            self.skip(seconds)
        else:
            self._real["sleep"](seconds)

    def _waiting(self, really: Callable[..., bool]) -> Callable[..., bool]:
        def wait(event: threading.Event, timeout: float | None = None) -> bool:
            # So the client's threads sleep: until the time is over or they are stopped.
            if timeout is None or not self._is_clients:
                return really(event, timeout)
            if not event.is_set():
                self._sleep(timeout)
            return event.is_set()

        return wait

    async def _async_sleep(self, seconds: float, result: object = None) -> object:
        if self._is_ours and seconds:  # none at all is no delay: it lets other tasks run
            self.slept.append(seconds)
            self.skip(seconds)
            seconds = 0
        return await self._real_async_sleep(seconds, result)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)
