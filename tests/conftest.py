"""What the tests share: a simulator, a caller for both clients, and a clock on which sleeping takes no time."""

import asyncio
import gc
import selectors
import signal
import threading
import time
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any
from unittest.mock import patch

import attrs
import certifi
import pytest
from arrivals import Arrivals
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, NoEncryption, PrivateFormat
from playing import TOKEN, Player
from wonder_payment import AsyncWonderClient, PaymentToken, RetryPolicy, WonderClient, _keys, client
from wonder_payment.simulator import SimulatedGateway

__all__ = [
    "CHECK",
    "TOKEN",
    "Caller",
    "Clock",
    "Kind",
    "caller_of",
    "for_all_transports",
    "for_both_clients",
    "key",
    "pem",
]

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
    """Keep what pytest has collected out of every later gc.collect(), so that it is quick."""
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True, scope="session")
def default_ctrl_c() -> None:
    """A shell makes background jobs ignore Ctrl-C: these tests, and the programs that they run."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True, scope="session")
def keys_loaded_once() -> Iterator[None]:
    """Load each key once: the check of its primes would be most of what a client costs."""
    loaders = {name: cache(getattr(_keys, name)) for name in ("load_pem_private_key", "load_der_private_key")}
    with patch.multiple(_keys, **loaders):
        yield


@pytest.fixture(autouse=True, scope="session")
def two_authorities(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Trust two public authorities, not a hundred: loading those would be most of what a client with TLS costs."""
    end = "-----END CERTIFICATE-----\n"
    first, second, *_ = Path(certifi.where()).read_text("utf-8").split(end)
    file = tmp_path_factory.mktemp("certifi") / "cacert.pem"
    file.write_text(first + end + second + end, "utf-8")
    with patch.object(certifi, "where", lambda: str(file)):
        yield


@pytest.fixture(autouse=True)
def own_default_client() -> Iterator[None]:
    """Forget the client of `wonder_payment.check_token`, which would keep the settings of another test."""
    yield
    client._default_client.cache_clear()  # noqa: SLF001 (no caller needs to forget it)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """The file of the tokens of a batch on the command line."""
    return tmp_path / "tokens.txt"


@pytest.fixture
def output(tmp_path: Path) -> Path:
    """The file of the results of a batch on the command line."""
    return tmp_path / "results.jsonl"


@pytest.fixture
def gateway(wonder_gateway: SimulatedGateway) -> SimulatedGateway:
    """The simulator of our own pytest plugin."""
    return wonder_gateway


@pytest.fixture
def arrivals(gateway: SimulatedGateway, monkeypatch: pytest.MonkeyPatch) -> Arrivals:
    return Arrivals(gateway, monkeypatch)


@pytest.fixture
def in_environment(gateway: SimulatedGateway, monkeypatch: pytest.MonkeyPatch) -> None:
    """Put the simulator's settings into the environment."""
    for name, value in gateway.environ.items():
        monkeypatch.setenv(name, value)


@attrs.frozen
class Caller:
    """Makes a call with the sync or the async client, so that one test serves both."""

    is_async: bool
    settings: dict[str, Any]

    def make(self, **settings: Any) -> WonderClient | AsyncWonderClient:
        kind = AsyncWonderClient if self.is_async else WonderClient
        return kind(**self.settings | settings)

    def check(self, token: Any = TOKEN, *, times: int = 1, customer_uuid: Any = None, **settings: Any) -> PaymentToken:
        """Check a token ``times`` times with one client and return the last result. There are no retries by default."""
        settings = {"retry": RetryPolicy.never()} | settings
        return self._call("check_token", token, settings, times=times, customer_uuid=customer_uuid)

    def wait(self, token: Any = TOKEN, *, settings: dict[str, Any] | None = None, **options: Any) -> PaymentToken:
        """Wait for a token."""
        return self._call("wait_for_token", token, settings or {}, **options)

    def _call(self, method: str, token: Any, settings: dict[str, Any], *, times: int = 1, **options: Any) -> Any:
        client = self.make(**settings)
        if isinstance(client, WonderClient):
            with client:
                return [getattr(client, method)(token, **options) for _ in range(times)][-1]

        async def call() -> Any:
            async with client:
                return [await getattr(client, method)(token, **options) for _ in range(times)][-1]

        return asyncio.run(call())


# The path of a check without a customer's UUID.
CHECK = "/svc/payment/api/v1/openapi/customers/uuid/payment_tokens/check"

TRANSPORTS = ("sync", "sync fast", "async", "async fast")
for_all_transports = pytest.mark.parametrize("name", TRANSPORTS)


@pytest.fixture(params=["sync", "async"])
def caller(request: pytest.FixtureRequest, gateway: SimulatedGateway) -> Caller:
    return caller_of(request.param, gateway)


def caller_of(name: str, gateway: SimulatedGateway, **others: Any) -> Caller:
    """Return the caller of one of these names: sync, sync fast, async, async fast; with other settings."""
    settings: dict[str, Any] = {
        "app_id": gateway.app_id,
        "private_key": gateway.private_key,
        "environment": None,
        "base_url": gateway.base_url,
    }
    if name.endswith("fast"):
        settings["transport"] = "fast"
    return Caller(is_async=name.startswith("async"), settings=settings | others)


class Clock:
    """The time for the test's own thread and the client's threads: it passes by sleeping only, and no sleep is real.

    So the time is the same on a busy machine. The timers of the event loop run on the time in which the loop is idle.
    Sockets and all other threads, such as the simulator's, use the real time.

    Args:
        monkeypatch: Sets the clock until the test ends.
        is_still: Whether the real time does not pass; False for timeouts that must fire.
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
    def _is_batch_thread(self) -> bool:
        return threading.current_thread().name.startswith("wonder-payment")

    @property
    def _is_ours(self) -> bool:
        return threading.get_ident() == self._thread or self._is_batch_thread

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
            # The threads of a batch sleep by waiting for its end.
            if timeout is None or not self._is_batch_thread:
                return really(event, timeout)
            if not event.is_set():
                self._sleep(timeout)
            return event.is_set()

        return wait

    async def _async_sleep(self, seconds: float, result: object = None) -> object:
        if self._is_ours and seconds:  # sleep(0) only lets other tasks run
            self.slept.append(seconds)
            self.skip(seconds)
            seconds = 0
        return await self._real_async_sleep(seconds, result)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


@pytest.fixture
def play(monkeypatch: pytest.MonkeyPatch) -> Player:
    """The gateway and the time for the flows of a test."""
    player = Player()
    for module in ("_flow", "batch"):
        monkeypatch.setattr(f"wonder_payment.{module}.time", player)
    return player
