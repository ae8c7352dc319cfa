"""What the tests share: a gateway, a caller for both clients, and a clock that nobody waits for."""

import asyncio
import signal
import threading
import time
from functools import cache
from typing import Any

import attrs
import pytest
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, NoEncryption, PrivateFormat
from wonder_payment import AsyncWonderClient, PaymentToken, RetryPolicy, WonderClient
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


@pytest.fixture(autouse=True, scope="session")
def ctrl_c_as_ever() -> None:
    """A shell lets what it runs in the background ignore Ctrl-C, and so these tests, and the programs they run."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture
def gateway(wonder_gateway: SimulatedGateway) -> SimulatedGateway:
    """The gateway of our own pytest plugin."""
    return wonder_gateway


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
    """Time as the test's own thread and the client's see it: sleeping takes none, and moves every clock on.

    Other threads, the gateway's among them, sleep and live by the real one.
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.slept: list[float] = []
        self._skipped = 0.0
        self._thread = threading.get_ident()
        self._real = {name: getattr(time, name) for name in ("sleep", "monotonic", "time")}
        self._real_async_sleep = asyncio.sleep
        monkeypatch.setattr(time, "sleep", self._sleep)
        monkeypatch.setattr(time, "monotonic", lambda: self._now("monotonic"))
        monkeypatch.setattr(time, "time", lambda: self._now("time"))
        monkeypatch.setattr(asyncio, "sleep", self._async_sleep)

    def skip(self, seconds: float) -> None:
        """Let time pass."""
        self._skipped += seconds

    @property
    def _is_ours(self) -> bool:
        # The client's own threads have the test's time, too.
        return threading.get_ident() == self._thread or threading.current_thread().name.startswith("wonder-payment")

    def _now(self, name: str) -> float:
        return self._real[name]() + (self._skipped if self._is_ours else 0.0)

    def _sleep(self, seconds: float) -> None:
        if self._is_ours:
            self.slept.append(seconds)
            self.skip(seconds)
        else:
            self._real["sleep"](seconds)

    async def _async_sleep(self, seconds: float, result: object = None) -> object:
        if self._is_ours and seconds:  # none at all is no delay: it lets other tasks run
            self.slept.append(seconds)
            self.skip(seconds)
            seconds = 0
        return await self._real_async_sleep(seconds, result)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)
