"""A key that never leaves its module: an object with sign() in the place of a key."""

import asyncio
import threading
from collections.abc import Callable
from functools import partial
from typing import Any

import attrs
import httpx
import pytest
from batches import Wire, check_all
from commands import VERIFIED
from conftest import TRANSPORTS, Caller, Clock, Kind, caller_of, for_all_transports, for_both_clients, key
from cryptography.hazmat.primitives.asymmetric import ec, padding
from cryptography.hazmat.primitives.hashes import SHA256
from wonder_payment import (
    AsyncWonderClient,
    ConfigurationError,
    PaymentToken,
    RequestTimeoutError,
    RetryPolicy,
    Signer,
    SigningError,
    StillPendingError,
    WonderClient,
)
from wonder_payment._http.received import RawResponse
from wonder_payment.signing import WonderAuth
from wonder_payment.simulator import SimulatedGateway


class ModuleError(Exception):
    pass


@attrs.define(eq=False)
class Module:
    """A module that signs with the simulator's key."""

    gateway: SimulatedGateway
    error: BaseException | None = None
    threads: list[threading.Thread] = attrs.field(factory=list)
    meeting: threading.Barrier | None = None
    released: threading.Event | None = None
    on_sign: Callable[[], object] | None = None

    def sign(self, message: bytes) -> bytes:
        self.threads.append(threading.current_thread())
        if self.on_sign:
            self.on_sign()
        if self.meeting:
            self.meeting.wait(60)
        if self.released:
            self.released.wait(60)
        if self.error:
            raise self.error
        return self.gateway.private_key.sign(message, padding.PKCS1v15(), SHA256())


@pytest.fixture(params=TRANSPORTS)
def caller(request: pytest.FixtureRequest, gateway: SimulatedGateway) -> Caller:
    return caller_of(request.param, gateway)


def test_a_signer_signs_in_a_thread_of_its_own(caller: Caller, gateway: SimulatedGateway) -> None:
    module = Module(gateway)
    assert isinstance(module, Signer)
    assert caller.check(gateway.add_token(), times=2, private_key=module).is_pending
    assert len(module.threads) == 2
    assert threading.main_thread() not in module.threads


def test_a_slow_signer_does_not_block_the_event_loop(gateway: SimulatedGateway) -> None:
    module = Module(gateway, meeting=threading.Barrier(16))
    token = gateway.add_token()

    async def main() -> None:
        async with gateway.async_client(private_key=module) as client:
            await asyncio.gather(*(client.check_token(token) for _ in range(16)))

    asyncio.run(main())
    assert len(module.threads) == 16


def test_signatures_that_end_together_are_sent_in_turns_of_the_event_loop(gateway: SimulatedGateway) -> None:
    module = Module(gateway, meeting=threading.Barrier(16))
    turn, sent_in = 0, list[int]()

    class Recorder(Wire):
        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            sent_in.append(turn)
            return await super().handle_async_request(request)

    async def count_turns() -> None:
        nonlocal turn
        while True:
            await asyncio.sleep(0)
            turn += 1

    async def main() -> None:
        async with gateway.async_client(private_key=module, transport=Recorder()) as client:
            counter = asyncio.create_task(count_turns())
            await asyncio.gather(*(client.check_token(VERIFIED) for _ in range(16)))
            counter.cancel()

    asyncio.run(main())
    assert len(set(sent_in)) == len(sent_in) == 16


@pytest.mark.parametrize(
    ("status", "is_remote"), [(None, True), (200, False), (401, True), (403, True), (404, False), (502, False)]
)
def test_only_a_step_that_may_sign_needs_a_thread(
    gateway: SimulatedGateway, status: int | None, *, is_remote: bool
) -> None:
    origin = "https://gateway.test"
    response = status and RawResponse(status, {}, b"")
    assert WonderAuth("app", Module(gateway), origin=origin).is_remote(response) is is_remote
    assert not WonderAuth("app", gateway.private_key, origin=origin).is_remote(response)


def test_a_failure_of_a_signer_is_not_retried(caller: Caller, gateway: SimulatedGateway) -> None:
    module = Module(gateway, ModuleError("PIN 1234"))
    with pytest.raises(SigningError, match="The signer failed with ModuleError; the request was not sent") as caught:
        caller.check(gateway.add_token(), private_key=module, retry=RetryPolicy())
    assert caught.value.__cause__ is module.error
    assert (len(module.threads), caught.value.attempts, caught.value.request_id) == (1, 0, None)
    assert "1234" not in str(caught.value)
    assert not gateway.requests


def test_a_failure_of_a_signer_ends_a_wait(caller: Caller, gateway: SimulatedGateway) -> None:
    module = Module(gateway, ModuleError())
    with pytest.raises(SigningError):
        caller.wait(gateway.add_token(), settings={"private_key": module})
    assert len(module.threads) == 1


def test_a_signer_that_hangs_ends_with_the_attempt(caller: Caller, gateway: SimulatedGateway) -> None:
    module = Module(gateway, released=threading.Event())
    with pytest.raises(SigningError, match="did not sign in time"):
        caller.check(gateway.add_token(), private_key=module, timeout=0.05, retry=RetryPolicy())
    assert module.released
    module.released.set()
    for thread in module.threads:
        thread.join()
    assert not gateway.requests


def test_a_signer_must_return_bytes(caller: Caller, gateway: SimulatedGateway) -> None:
    class Wrong:
        def sign(self, _message: bytes) -> str:
            return "a signature"

    with pytest.raises(SigningError, match="failed with TypeError"):
        caller.check(gateway.add_token(), private_key=Wrong())


@for_both_clients
@pytest.mark.parametrize(
    "value",
    [ec.generate_private_key(ec.SECP256R1()), Module, object(), key().public_key()],
    ids=lambda value: type(value).__name__,
)
def test_other_keys_and_objects_without_sign_are_rejected(kind: Kind, value: Any) -> None:
    with pytest.raises(ConfigurationError, match=r"^private_key= must be .*, or an object with sign\(message\), not"):
        kind("app", value, environment="sandbox")


@pytest.mark.parametrize("name", ["sync", "async"])
def test_a_failure_of_a_signer_ends_a_batch_before_the_module_locks_itself(
    gateway: SimulatedGateway, name: str
) -> None:
    module = Module(gateway, ModuleError())
    tokens = [gateway.add_token() for _ in range(9)]
    with pytest.raises(SigningError):
        check_all(caller_of(name, gateway), tokens, settings={"private_key": module}, concurrency=1)
    assert len(module.threads) == 1


def test_a_signer_that_the_end_of_a_wait_cuts_short_does_not_end_it_for_good(
    caller: Caller, gateway: SimulatedGateway
) -> None:
    module = Module(gateway, released=threading.Event())
    with pytest.raises(StillPendingError) as caught:
        caller.wait(gateway.add_token(), timeout=0.05, settings={"private_key": module})
    assert isinstance(caught.value.last_error, RequestTimeoutError)
    assert "The signer did not sign in time" in str(caught.value.last_error)
    assert module.released
    module.released.set()
    for thread in module.threads:
        thread.join()
    assert not gateway.requests


@for_all_transports
def test_a_client_that_is_closed_while_a_signer_signs_sends_nothing(gateway: SimulatedGateway, name: str) -> None:
    module = Module(gateway)
    client = caller_of(name, gateway).make(private_key=module)

    async def check(client: AsyncWonderClient) -> PaymentToken:
        loop = asyncio.get_running_loop()
        module.on_sign = lambda: asyncio.run_coroutine_threadsafe(client.aclose(), loop).result(60)
        return await client.check_token(VERIFIED)

    if isinstance(client, WonderClient):
        module.on_sign = client.close
        call = partial(client.check_token, VERIFIED)
    else:
        call = partial(asyncio.run, check(client))
    with pytest.raises(ConfigurationError, match="closed during the call"):
        call()
    assert not gateway.requests


@pytest.fixture
def no_thread_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    class NoThread(threading.Thread):
        def start(self) -> None:
            if self.name == "wonder-payment":
                raise RuntimeError("can't start new thread")
            super().start()

    monkeypatch.setattr(threading, "Thread", NoThread)


@pytest.mark.usefixtures("no_thread_is_left")
def test_a_signer_signs_in_the_calling_thread_if_no_other_is_left(caller: Caller, gateway: SimulatedGateway) -> None:
    module = Module(gateway)
    assert caller.check(gateway.add_token(), private_key=module).is_pending
    assert module.threads == [threading.main_thread()]


@pytest.mark.usefixtures("no_thread_is_left")
def test_a_signature_that_is_late_is_not_sent(gateway: SimulatedGateway, clock: Clock) -> None:
    module = Module(gateway, on_sign=lambda: clock.skip(11.0))
    with pytest.raises(SigningError, match="did not sign in time"):
        caller_of("sync", gateway).check(gateway.add_token(), private_key=module, timeout=10.0)
    assert not gateway.requests
