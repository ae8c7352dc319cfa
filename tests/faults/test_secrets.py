"""No secret or cardholder name in what a client shows, logs, raises or sends in a URL."""

import asyncio
import copy
import json
import logging
import math
import os
import pickle
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from uuid import UUID

import attrs
import pytest
import wonder_payment
from arrivals import Arrivals
from conftest import Caller, Clock
from crashes import CARD, HOLDER, NUMBER, PASSPHRASE, SECRET_VERIFY, crash_report, frames, leaks, pem_of, pieces
from crashes import SECRET_TOKEN as TOKEN
from crashes import secrets_of as secrets_of_key
from faults.responses import good
from typer.testing import CliRunner
from wonder_payment import (
    APIError,
    AsyncWonderClient,
    AuthenticationError,
    ConfigurationError,
    InvalidResponseError,
    InvalidTokenError,
    NetworkError,
    NotFoundError,
    PaymentToken,
    PollPolicy,
    RateLimitError,
    RequestTimeoutError,
    RetryPolicy,
    ServerError,
    StillPendingError,
    WonderClient,
    WonderError,
)
from wonder_payment.cli import app
from wonder_payment.signing import sign
from wonder_payment.simulator import Fault, SimulatedGateway

DOTTED, SPACED, DASHED = (separator.join(re.findall("....", NUMBER)) for separator in ".\x20-")

CLOSED_PORT = "http://127.0.0.1:1"

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


# How a call ends


class StopHere(Exception):  # noqa: N818 (it is not one of our errors)
    """The error of a callback."""


def stop(*_seen: object) -> None:
    raise StopHere


@attrs.frozen
class Ending:
    """How a call ends. The first attempt gets a 503 and is retried, except in a call that times out.

    Attributes:
        check: What check_token() raises; None if it returns a token.
        wait: The same for wait_for_token().
        fault: What the simulator does with every later request.
        settings: The settings of the client.
        options: The options of wait_for_token().
        token: The token.
        is_closed: Whether the client is closed before the call.
    """

    check: type[BaseException] | None
    wait: type[BaseException] | None
    fault: Fault | None = None
    settings: Mapping[str, Any] = attrs.field(factory=dict)
    options: Mapping[str, Any] = attrs.field(factory=dict)
    token: object = TOKEN
    is_closed: bool = False

    @property
    def times_out(self) -> bool:
        """Whether attempts end by a real timeout: on a busy machine, any attempt might."""
        return "timeout" in self.settings


def responded(check: type[BaseException] | None, wait: type[BaseException] | None = None, **fault: Any) -> Ending:
    """Return how calls end after this response; with one class, both end in it."""
    body = fault.pop("json", None)
    if body is not None:
        fault["body"] = json.dumps(body)
    return Ending(check, wait or check, Fault(times=math.inf, **fault))


def error_body(message: str, code: object = "E000404") -> dict[str, Any]:
    return {"code": code, "message": message}


LATER = StillPendingError
GOOD = good(token=TOKEN, credit_card=CARD)
PENDING = good(token=TOKEN, credit_card=CARD, state="pending")

ENDINGS = {
    "verified": responded(None, json=GOOD),
    "failed": responded(None, json=good(token=TOKEN, credit_card=CARD, state="failed", error_msg=f"{DOTTED} {TOKEN}")),
    "pending": responded(None, LATER, json=PENDING),
    "a state that is the card": responded(None, LATER, json=good(token=TOKEN, credit_card=CARD, state=DOTTED)),
    "400": responded(APIError, status=400, json=error_body(f"customer {TOKEN}", NUMBER)),
    "401": responded(AuthenticationError, status=401, json=error_body(f"{TOKEN.replace('-', '%2D')}")),
    "401 far off the clock": responded(AuthenticationError, status=401, clock_minutes=90, json=error_body(TOKEN)),
    "404": responded(NotFoundError, status=404, json=error_body(f"no token {TOKEN.upper()}, card {NUMBER}")),
    "404 with all groupings": responded(NotFoundError, status=404, json=error_body(f"{DOTTED} {SPACED} {DASHED}")),
    "429": responded(RateLimitError, LATER, status=429, json=error_body(f"{UUID(TOKEN)!r} {DASHED}")),
    "502 with a page": responded(ServerError, LATER, status=502, body=f"<p>{TOKEN} {NUMBER} {HOLDER}</p>"),
    "302": responded(APIError, status=302, headers={"Location": f"https://elsewhere.example/{TOKEN}"}),
    "an error in a good status": responded(APIError, json=error_body(SPACED, f"E {TOKEN}")),
    "no JSON": responded(InvalidResponseError, body=f'{{"code": 0, "token": "{TOKEN}", "number": "{NUMBER}'),
    "no token": responded(InvalidResponseError, json={"code": 0, "message": TOKEN, "data": {"card": CARD}}),
    "a token of two fields": responded(
        InvalidResponseError, json={"code": 0, "data": {"payment_token": {"token": TOKEN, "credit_card": CARD}}}
    ),
    "another token": responded(InvalidResponseError, json=GOOD | good(token=str(UUID(int=0)), credit_card=CARD)),
    "a state that is a list": responded(InvalidResponseError, json=good(token=TOKEN, credit_card=CARD, state=[NUMBER])),
    "a brand that is a number": responded(
        InvalidResponseError, json=good(token=TOKEN, credit_card=CARD | {"brand": int(NUMBER)})
    ),
    "a card that is text": responded(InvalidResponseError, json=good(token=TOKEN, credit_card=NUMBER)),
    "reset in the middle": responded(NetworkError, LATER, broken="reset in the middle", json=GOOD),
    "truncated": responded(NetworkError, LATER, broken="truncated", json=GOOD),
    "timeout": attrs.evolve(responded(RequestTimeoutError, LATER, delay=math.inf), settings={"timeout": 0.1}),
    "timeout in the middle": attrs.evolve(
        responded(RequestTimeoutError, LATER, drip=0.01, json=GOOD), settings={"timeout": 0.1}
    ),
    "connection refused": Ending(NetworkError, LATER, settings={"base_url": CLOSED_PORT}),
    "a card number for a token": Ending(InvalidTokenError, InvalidTokenError, token=NUMBER),
    "a token without dashes": Ending(InvalidTokenError, InvalidTokenError, token=TOKEN.replace("-", "")),
    "a card for a token": Ending(InvalidTokenError, InvalidTokenError, token=CARD),
    "a closed client": Ending(ConfigurationError, ConfigurationError, is_closed=True),
    "on_retry raises": Ending(StopHere, StopHere, settings={"on_retry": stop}),
    "on_poll raises": attrs.evolve(responded(None, StopHere, json=PENDING), options={"on_poll": stop}),
}

CALLS = pytest.mark.parametrize("method", ["check_token", "wait_for_token"])


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


@pytest.mark.parametrize(
    ("method", "ending"),
    [
        *(pytest.param("check_token", ending, id=f"check: {name}") for name, ending in ENDINGS.items()),
        # The other waits end like their checks.
        *(
            pytest.param("wait_for_token", ending, id=f"wait: {name}")
            for name, ending in ENDINGS.items()
            if ending.wait is not ending.check
        ),
    ],
)
def test_nothing_secret_is_shown_logged_raised_or_sent_in_a_url(
    caller: Caller,
    gateway: SimulatedGateway,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    ending: Ending,
    method: str,
) -> None:
    Clock(monkeypatch, is_still=not ending.times_out)
    if not ending.times_out:
        gateway.inject(Fault(status=503, body=f"{TOKEN} {NUMBER}"))
    if ending.fault:
        gateway.inject(ending.fault)
    is_wait = method == "wait_for_token"
    seconds = 0.3 if ending.times_out else 30.0
    poll = PollPolicy(interval_initial=10.0, interval_max=10.0)
    options = {"timeout": seconds, "poll": poll} | ending.options if is_wait else {}
    client = client_of(caller, gateway, **ending.settings)
    shown: list[str] = []
    result: PaymentToken | BaseException
    with caplog.at_level(1, "wonder_payment"):
        try:
            result = call(client, method, ending.token, shown, is_closed=ending.is_closed, **options)
        except (WonderError, StopHere) as error:
            result = error
    expected = ending.wait if is_wait else ending.check
    assert isinstance(result, expected or PaymentToken)
    if isinstance(result, BaseException):
        assert_cleared(result)
        shown += [*crash_report(result), *pickled(result)]
    shown += [repr(result), str(result), *logged(caplog), *(request.verdict.uri for request in gateway.requests)]
    assert leaks(secrets_of(gateway), shown) == {}
    # The test would also pass if nothing was shown.
    assert type(client).__name__ in "".join(shown)
    if ending.times_out:
        assert "attempt 1: RequestTimeoutError" in "".join(shown)
    else:
        assert not gateway.requests or "attempt 1: HTTP 503" in "".join(shown)
        assert ending.fault is None or "attempt 2" in "".join(shown)


def test_the_tracebacks_that_a_program_prints_have_no_secret(gateway: SimulatedGateway) -> None:
    endings = ["404", "no JSON", "another token", "truncated"]
    for ending in endings:
        fault = ENDINGS[ending].fault
        assert fault
        gateway.inject(attrs.evolve(fault, times=4 if fault.broken else 1))
    # As the interpreter does at its end.
    program = f"""
import sys, time, wonder_payment
time.sleep = lambda seconds: None
for _ in range({len(endings)}):
    try:
        wonder_payment.check_token("{TOKEN}")
    except wonder_payment.WonderError:
        sys.excepthook(*sys.exc_info())
"""
    result = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, **gateway.environ},
        check=True,
        capture_output=True,
        text=True,
    )
    printed = re.findall(r"^wonder_payment\.errors\.(\w+)", result.stderr, re.MULTILINE)
    assert printed == ["NotFoundError", "InvalidResponseError", "InvalidResponseError", "NetworkError"]
    # Python 3.13 and newer quote the lines of the program.
    quoted = {line.strip() for line in program.splitlines()}
    shown = [line for line in result.stderr.splitlines() if line.strip() not in quoted]
    assert leaks(secrets_of(gateway), [*shown, result.stdout]) == {}


# A client that cannot be made

WRONG_PASSPHRASE = {"passphrase": f"{PASSPHRASE} {PASSPHRASE}"}


@pytest.mark.parametrize(
    "changed",
    [
        WRONG_PASSPHRASE,
        {"passphrase": None},
        {"passphrase": [PASSPHRASE]},
        {"app_id": "app/id"},
        {"environment": "live"},
        {"base_url": "http://gateway.example"},
        {"base_url": "https://gateway.example/path"},
        {"language": "de"},
        {"timeout": 0},
        {"retry": None},
        {"transport": "direct"},
        {"on_retry": "print"},
    ],
    ids=[
        *("a wrong passphrase", "no passphrase", "a passphrase in a list", "app_id", "environment", "plain HTTP"),
        *("a path in base_url", "language", "timeout", "retry", "transport", "on_retry"),
    ],
)
def test_the_error_about_a_wrong_setting_has_nothing_of_the_key(
    caller: Caller, gateway: SimulatedGateway, changed: dict[str, Any]
) -> None:
    with pytest.raises(ConfigurationError) as caught:
        client_of(caller, gateway, **changed)
    assert leaks(secrets_of(gateway), [*crash_report(caught.value), *pickled(caught.value)]) == {}


@pytest.mark.parametrize("damage", ["cut short", "damaged", "public"])
def test_the_error_about_a_damaged_key_has_nothing_of_it(
    caller: Caller, gateway: SimulatedGateway, damage: str
) -> None:
    pem = pem_of(gateway.private_key, None)
    damaged = {
        "cut short": pem[: len(pem) // 2],
        "damaged": "-----BEGIN PRIVATE KEY-----\n" + pem.split("\n", 1)[1].replace("A", "B"),
        "public": pem.replace("PRIVATE KEY", "PUBLIC KEY"),
    }[damage]
    with pytest.raises(ConfigurationError) as caught:
        caller.make(private_key=damaged)
    key = {f"piece {i}": piece for i, piece in enumerate(pieces("".join(damaged.splitlines()[1:])))}
    secrets = secrets_of(gateway) | key
    assert leaks(secrets, [*crash_report(caught.value), *pickled(caught.value)]) == {}


WRONG_VARIABLES = {
    "a wrong passphrase": {"WONDER_PRIVATE_KEY_PASSPHRASE": f"{PASSPHRASE} {PASSPHRASE}"},
    "no passphrase": {"WONDER_PRIVATE_KEY_PASSPHRASE": ""},
    "two keys": {"WONDER_PRIVATE_KEY_FILE": "/key.pem"},
    "no app id": {"WONDER_APP_ID": ""},
    "no gateway": {"WONDER_BASE_URL": ""},
    "another environment": {"WONDER_ENVIRONMENT": "live"},
    "an unusable proxy": {"WONDER_BASE_URL": "https://gateway.example", "ALL_PROXY": "gopher://proxy.example"},
}


@pytest.mark.parametrize("changed", WRONG_VARIABLES.values(), ids=WRONG_VARIABLES)
@pytest.mark.parametrize(
    "make",
    [WonderClient.from_env, AsyncWonderClient.from_env, lambda: wonder_payment.check_token(TOKEN)],
    ids=["sync", "async", "the one-liner"],
)
def test_the_error_about_a_wrong_variable_has_nothing_of_the_key(
    gateway: SimulatedGateway, monkeypatch: pytest.MonkeyPatch, make: Callable[[], object], changed: dict[str, str]
) -> None:
    key = {
        "WONDER_PRIVATE_KEY": pem_of(gateway.private_key, PASSPHRASE),
        "WONDER_PRIVATE_KEY_PASSPHRASE": PASSPHRASE,
    }
    for name, value in {**gateway.environ, **key, **changed}.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(ConfigurationError) as caught:
        make()
    assert leaks(secrets_of(gateway), [*crash_report(caught.value), *pickled(caught.value)]) == {}


# Ctrl-C and cancellation


class OnLine(logging.Handler):
    """Calls a function when a line with these words is logged."""

    def __init__(self, words: str, function: Callable[[], object]) -> None:
        super().__init__()
        self._words, self._function = words, function

    def emit(self, record: logging.LogRecord) -> None:
        if self._words in record.getMessage():
            self._function()


@contextmanager
def when_logged(words: str, function: Callable[[], object]) -> Iterator[None]:
    """Call a function when the client, or its connection, logs a line with these words."""
    handler = OnLine(words, function)
    loggers = {logger: logger.level for logger in map(logging.getLogger, ("httpcore", "wonder_payment"))}
    for logger in loggers:
        logger.addHandler(handler)
        logger.setLevel(logging.DEBUG)
    try:
        yield
    finally:
        for logger, level in loggers.items():
            logger.removeHandler(handler)
            logger.setLevel(level)


@contextmanager
def ctrl_c(words: str, arrivals: Arrivals) -> Iterator[None]:
    """Press Ctrl-C when the simulator has a request and these words are logged."""
    reached = threading.Event()

    def press() -> None:
        if reached.wait(60):
            arrivals.wait_until(bool)
            os.kill(os.getpid(), signal.SIGINT)

    pressing = threading.Thread(target=press)
    pressing.start()
    try:
        with when_logged(words, reached.set):
            yield
    finally:
        pressing.join()


# What is logged when the client is about to wait there.
MIDDLES = {
    "a request": (Fault(delay=math.inf), "receive_response_headers.started"),
    "a response": (Fault(drip=0.05, body=json.dumps(GOOD)), "receive_response_body.started"),
    "a delay before the next attempt": (Fault(status=503, body=f"{TOKEN} {NUMBER}"), "attempt 1: HTTP 503; retry in"),
}
LONG = RetryPolicy(backoff_initial=8.0, jitter=0.0)


@CALLS
@pytest.mark.parametrize(("fault", "words"), MIDDLES.values(), ids=MIDDLES)
def test_ctrl_c_during_a_call_has_no_secret_in_its_traceback(
    caller: Caller, gateway: SimulatedGateway, arrivals: Arrivals, method: str, fault: Fault, words: str
) -> None:
    gateway.inject(fault)
    client = client_of(caller, gateway, retry=LONG)
    shown: list[str] = []
    with pytest.raises(KeyboardInterrupt) as caught, ctrl_c(words, arrivals):
        call(client, method, TOKEN, shown)
    assert leaks(secrets_of(gateway), [*shown, *crash_report(caught.value)]) == {}
    assert_cleared(caught.value)
    assert gateway.requests


@CALLS
@pytest.mark.parametrize(("fault", "words"), MIDDLES.values(), ids=MIDDLES)
def test_a_cancelled_call_has_no_secret_in_its_traceback(
    gateway: SimulatedGateway, arrivals: Arrivals, method: str, fault: Fault, words: str
) -> None:
    gateway.inject(fault)

    async def main() -> list[str]:
        async with gateway.async_client(retry=LONG) as wonder:
            reached = asyncio.Event()
            with when_logged(words, reached.set):
                task = asyncio.create_task(getattr(wonder, method)(TOKEN))
                await asyncio.wait_for(reached.wait(), 60)
            await asyncio.to_thread(arrivals.wait_until, bool)
            task.cancel()
            with pytest.raises(asyncio.CancelledError) as caught:
                await task
            assert_cleared(caught.value)
            return [*crash_report(caught.value), *dump(wonder)]

    assert leaks(secrets_of(gateway), asyncio.run(main())) == {}


# The gateway's messages

MESSAGES = {
    "token": f"no token {TOKEN} here",
    "token in upper case": f"no token {TOKEN.upper()} here",
    "token without dashes": f"no token {TOKEN.replace('-', '')} here",
    "token's repr": f"no token {UUID(TOKEN)!r} here",
    "token percent-encoded": f"no token {TOKEN.replace('-', '%2D')} here",
    "token percent-encoded in lower case": f"no token {TOKEN.replace('-', '%2d')} here",
    "token in a URL": f"no token https://gateway.example/tokens/{TOKEN}?a=b here",
    "token in a URN": f"no token {UUID(TOKEN).urn} here",
    "card number": f"no card {NUMBER} here",
    "card number with dots": f"no card {DOTTED} here",
    "card number with spaces": f"no card {SPACED} here",
    "card number with dashes": f"no card {DASHED} here",
    "card number between others": f"no card 1,{NUMBER},2 here",
}


@pytest.mark.parametrize("message", MESSAGES.values(), ids=MESSAGES)
def test_secrets_are_cut_out_of_the_gateways_message_and_the_rest_is_kept(
    caller: Caller, gateway: SimulatedGateway, message: str
) -> None:
    gateway.inject(Fault(status=404, body=json.dumps(error_body(message))))
    with pytest.raises(NotFoundError) as caught:
        caller.check(TOKEN)
    shown = [str(caught.value), repr(caught.value), str(caught.value.message)]
    assert leaks(secrets_of(gateway), shown) == {}
    assert re.fullmatch(r"no (token|card) .*….* here", str(caught.value.message))
    assert f"HTTP 404, code E000404: {caught.value.message}." in str(caught.value)


# On the command line

COMMANDS = {
    "check": ["check", TOKEN],
    "wait": ["wait", TOKEN, "--timeout", "30"],
    "doctor": ["doctor"],
    "check a card": ["check", NUMBER],
    "wait for a card": ["wait", NUMBER],
    "check a token without dashes": ["check", TOKEN.replace("-", "")],
    "check two": ["check", TOKEN, TOKEN],
    "check a card with spaces": ["check", *SPACED.split()],
    "a token for a command": [TOKEN],
    "a token for a time": ["wait", TOKEN, "--timeout", TOKEN],
    "a token for an option": ["check", f"--{TOKEN}"],
    "a wrong customer": ["check", TOKEN, "--customer-uuid", NUMBER],
}
SHOWN_BY_COMMANDS = {name: ENDINGS[name].fault for name in ("verified", "failed", "pending", "404", "another token")}


@pytest.mark.parametrize("fault", SHOWN_BY_COMMANDS.values(), ids=SHOWN_BY_COMMANDS)
@pytest.mark.parametrize("command", ["check", "wait", "doctor"])
@pytest.mark.usefixtures("clock")
def test_the_command_line_shows_nothing_secret(gateway: SimulatedGateway, command: str, fault: Fault) -> None:
    gateway.inject(fault)
    assert leaks(secrets_of(gateway), typed(gateway, COMMANDS[command])) == {}
    assert gateway.requests


@pytest.mark.parametrize("command", [name for name in COMMANDS if name not in ("check", "wait", "doctor")])
def test_the_command_line_does_not_quote_wrong_arguments(gateway: SimulatedGateway, command: str) -> None:
    assert leaks(secrets_of(gateway), typed(gateway, COMMANDS[command])) == {}
    assert gateway.requests == []


@pytest.mark.parametrize("changed", WRONG_VARIABLES.values(), ids=WRONG_VARIABLES)
@pytest.mark.parametrize("command", ["check", "doctor"])
def test_the_command_line_quotes_no_secret_setting(
    gateway: SimulatedGateway, command: str, changed: dict[str, str]
) -> None:
    assert leaks(secrets_of(gateway), typed(gateway, COMMANDS[command], **changed)) == {}


def typed(gateway: SimulatedGateway, arguments: list[str], **changed: str) -> list[str]:
    """Return what a command shows on both streams."""
    key = {"WONDER_PRIVATE_KEY": pem_of(gateway.private_key, PASSPHRASE), "WONDER_PRIVATE_KEY_PASSPHRASE": PASSPHRASE}
    result = CliRunner().invoke(app, arguments, env={**gateway.environ, **key, **changed})
    assert result.output
    unexpected = result.exception and not isinstance(result.exception, SystemExit)
    return [result.output, *(crash_report(result.exception) if unexpected and result.exception else [])]
