"""What checks each argument, objects that it may get, and the error about a bad one."""

import asyncio
from collections.abc import Callable
from decimal import Decimal
from fractions import Fraction
from functools import partial
from typing import Any
from unittest import mock
from uuid import UUID

import httpx
from conftest import key, pem
from wonder_payment import WonderClient, WonderError
from wonder_payment.config import (
    LANGUAGES,
    check_batch,
    check_callback,
    check_wait,
    checked_app_id,
    checked_choice,
    checked_customer,
    checked_origin,
    checked_transport,
    checked_uuid,
    resolved_origin,
)
from wonder_payment.retry import number
from wonder_payment.signing import load_private_key

CUSTOMER = "7f1a3c52-8f0e-4d0c-9d6b-3f5b7b0f6a11"
PASSPHRASE = "correct horse"


def _client(**settings: Any) -> WonderClient:
    return WonderClient(**{"app_id": "app", "private_key": key(), "environment": "sandbox"} | settings)


# What checks each argument.
CHECKS: dict[str, Callable[[Any], Any]] = {
    "token": partial(checked_uuid, "token"),
    "customer_uuid": checked_customer,
    "verify_uuid": partial(checked_uuid, "verify_uuid"),
    "app_id": checked_app_id,
    "environment": lambda value: resolved_origin(value, None),
    "base_url": checked_origin,
    "language": partial(checked_choice, name="language=", choices=LANGUAGES),
    "timeout": partial(number, "timeout", above=True),
    "retry": lambda value: _client(retry=value),
    "poll": lambda value: check_wait(1.0, value, None),
    "on_retry": partial(check_callback, "on_retry"),
    "transport": lambda value: checked_transport(value, httpx.BaseTransport),
    "private key": load_private_key,
    "passphrase": lambda value: load_private_key(pem(PASSPHRASE), value),
    "tokens": lambda value: check_batch(value, list, 1, None),
    "concurrency": lambda value: check_batch([], list, value, None),
}


def error_of(check: Callable[[Any], Any], value: Any) -> WonderError | None:
    try:
        check(value)
    except WonderError as error:
        return error
    return None


def rejection(name: str, check: Callable[[Any], Any], value: Any) -> str:
    """Return the message of the error that a check raises; fail if it raises none, or one that is not clear."""
    error = error_of(check, value)
    assert error is not None, f"{name} was accepted: {type(value)}"
    assert (error.attempts, error.request_id, error.__cause__) == (0, None, None)
    assert error.__suppress_context__ or error.__context__ is None
    message = str(error)
    assert message.endswith("(nothing was sent)")
    assert name in message.lower()
    assert len(message) < 300
    assert "hunter2" not in message
    return message


def fail(*_arguments: object) -> Any:
    raise RuntimeError("of the argument's own: hunter2")


METHODS = ["eq", "ne", "lt", "le", "gt", "ge", "str", "repr", "hash", "bool", "len", "iter", "format", "contains"]


def _hostile() -> Any:
    """Return an object whose every method raises."""
    return type("Hostile", (), {f"__{name}__": fail for name in METHODS})()


def _pretending(kind: type) -> Any:
    """Return an object that says it is of this class, as lazy objects and mocks do."""
    return type("Pretending", (), {"__class__": property(lambda _self: kind)})()


OBJECTS = {
    "whose methods raise": _hostile(),
    "equal to everything": mock.ANY,
    "a mock": mock.Mock(),
    "a magic mock": mock.MagicMock(),
    **{f"pretending to be {kind.__name__}": _pretending(kind) for kind in (str, bytes, UUID, float, int)},
    "a lazy text": mock.NonCallableMagicMock(spec=str),
    "a class": str,
    "a number-like text": "1e3",
    "Decimal": Decimal(1),
    "Fraction": Fraction(1),
    "NaN": float("nan"),
    "infinity": float("inf"),
    "minus infinity": float("-inf"),
    "a complex number": 1j,
    "an int beyond a float": 10**400,
    "an int of 5,000 digits": 10**5000,
    "True": True,
    "False": False,
    "0": 0,
    "-1": -1,
    "bytes": b"sandbox",
    "bytearray": bytearray(b"en"),
    "an empty text": "",
    "a lone surrogate": "\ud800",
    "NUL": "\0",
    "a line break": "en\r\nX-Evil: 1",
    "long text": "hunter2 " * 200_000,
    "an exception": RuntimeError("hunter2"),
    "a coroutine function": asyncio.sleep,
    "a tuple": ("en",),
    "a list": ["en"],
    "a set": {"en"},
    "a dict": {"en": "en"},
    "Ellipsis": ...,
}


class Written(str):
    """A text that shows other characters, as secrets do."""

    __slots__ = ()

    def __str__(self) -> str:
        return "***"

    __repr__ = __str__

    def __format__(self, _spec: str) -> str:
        return "***"
