"""Clients with secrets, and what could show those: logs, errors and all that a client holds."""

import asyncio
import copy
import pickle
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from conftest import Caller
from crashes import PASSPHRASE, SECRET_VERIFY, frames, pem_of
from crashes import secrets_of as secrets_of_key
from wonder_payment import AsyncWonderClient, PaymentToken, RetryPolicy, StillPendingError, WonderClient
from wonder_payment.signing import sign
from wonder_payment.simulator import SimulatedGateway

# Frames of these packages lose their locals.
CLEARED = ("wonder_payment", "httpx", "httpcore", "h11", "anyio", "ssl", "json")


def secrets_of(gateway: SimulatedGateway) -> dict[str, str]:
    """Return what must not be shown, by its name."""
    signed = [digest for request in gateway.requests if (digest := request.verdict.string_to_sign)]
    return secrets_of_key(gateway.private_key, [sign(gateway.private_key, digest) for digest in signed])


def assert_cleared(error: BaseException) -> None:
    """Fail unless the frames of the package and of the HTTP libraries are there, and have no locals."""
    of_libraries = [frame for frame in frames(error) if str(frame.f_globals["__name__"]).split(".")[0] in CLEARED]
    assert of_libraries
    # The frame that clears the others still runs.
    left = {name for frame in of_libraries for name in frame.f_locals if "call" not in frame.f_code.co_name}
    assert left == set()


def pickled(error: BaseException) -> Iterator[str]:
    """Yield the error's pickles, without the token that a StillPendingError carries for its caller."""
    if isinstance(error, StillPendingError):
        error = copy.copy(error)
        error.token = None
    for protocol in (0, pickle.HIGHEST_PROTOCOL):
        yield pickle.dumps(error, protocol).decode("latin-1")


def dump(thing: object, seen: dict[int, object] | None = None) -> Iterator[str]:
    """Yield the repr of a thing and, if it belongs to the client or to httpx, of everything in it."""
    seen = {} if seen is None else seen
    if id(thing) in seen:
        return
    seen[id(thing)] = thing
    yield repr(thing)
    package = type(thing).__module__.partition(".")[0]
    if package in {"wonder_payment", "wonder_payment_client", "httpx", "httpcore"}:
        slots = (slot for kind in type(thing).__mro__ for slot in getattr(kind, "__slots__", ()))
        slotted = [getattr(thing, slot) for slot in slots if slot != "__weakref__" and hasattr(thing, slot)]
        for part in [*getattr(thing, "__dict__", {}).values(), *slotted]:
            yield from dump(part, seen)
    elif isinstance(thing, Mapping):
        for part in [*thing.keys(), *thing.values()]:
            yield from dump(part, seen)
    elif isinstance(thing, list | tuple | set):
        for part in thing:
            yield from dump(part, seen)


def logged(caplog: pytest.LogCaptureFixture) -> Iterator[str]:
    for record in caplog.records:
        if record.name.split(".")[0] == "wonder_payment":
            yield f"{record.getMessage()} {record.args!r} {record.__dict__!r} {record.exc_text}"


def client_of(caller: Caller, gateway: SimulatedGateway, **settings: Any) -> WonderClient | AsyncWonderClient:
    once_more = RetryPolicy(max_attempts=2, backoff_initial=0.0)
    key = {"private_key": pem_of(gateway.private_key, PASSPHRASE), "passphrase": PASSPHRASE}
    return caller.make(**{"retry": once_more, **key} | settings)


def call(
    client: WonderClient | AsyncWonderClient,
    method: str,
    token: Any,
    shown: list[str],
    *,
    is_closed: bool = False,
    **options: Any,
) -> PaymentToken:
    """Make the call, and show the client before it is closed."""
    options |= {"verify_uuid": SECRET_VERIFY}
    if isinstance(client, WonderClient):
        with client:
            if is_closed:
                client.close()
            try:
                return getattr(client, method)(token, **options)
            finally:
                shown.extend(dump(client))

    async def main() -> PaymentToken:
        async with client:
            if is_closed:
                await client.aclose()
            try:
                return await getattr(client, method)(token, **options)
            finally:
                shown.extend(dump(client))

    return asyncio.run(main())


WRONG_VARIABLES = {
    "a wrong passphrase": {"WONDER_PRIVATE_KEY_PASSPHRASE": f"{PASSPHRASE} {PASSPHRASE}"},
    "no passphrase": {"WONDER_PRIVATE_KEY_PASSPHRASE": ""},
    "two keys": {"WONDER_PRIVATE_KEY_FILE": "/key.pem"},
    "no app id": {"WONDER_APP_ID": ""},
    "no gateway": {"WONDER_BASE_URL": ""},
    "another environment": {"WONDER_ENVIRONMENT": "live"},
    "an unusable proxy": {"WONDER_BASE_URL": "https://gateway.example", "ALL_PROXY": "gopher://proxy.example"},
}
