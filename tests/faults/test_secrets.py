"""No key, signature, token, card number or holder name in what a client shows, logs, raises or leaves behind.

A crash reporter (Sentry and the like) takes the local variables of every frame of a traceback and the reprs of what is
in them. The frames of the tests' own files are left out: they hold what the caller has anyway.
"""

import asyncio
import copy
import http.client
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
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from types import FrameType, ModuleType
from typing import Any
from urllib.parse import quote
from uuid import UUID

import attrs
import pytest
import wonder_payment
from arrivals import Arrivals
from conftest import Caller, Clock
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
)
from test_check import envelope
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

TESTS = str(Path(__file__).parents[1])

TOKEN = "5f0e8d2c-9b5d-4b2d-8a66-ab8dfbbd4bed"
NUMBER = "4539148803436467"
DOTTED, SPACED, DASHED = (separator.join(re.findall("....", NUMBER)) for separator in ".\x20-")
HOLDER = "ZERLINDE QUUXFORD"
PASSPHRASE = "correct horse battery staple"
CARD = {"number": NUMBER, "exp_month": "12", "exp_year": "2030", "holder_name": HOLDER, "brand": "visa"}

REFUSING = "http://127.0.0.1:1"


# What is secret, and where it shows


@cache
def pem_of(key: RSAPrivateKey, passphrase: str | None) -> str:
    encryption = BestAvailableEncryption(passphrase.encode()) if passphrase else NoEncryption()
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption).decode()


def secrets_of(gateway: SimulatedGateway) -> dict[str, str]:
    """What must not show, by what it is; long ones in pieces, because what shows may be cut short."""
    private = gateway.private_key.private_numbers()
    numbers = {"d": private.d, "p": private.p, "q": private.q, "dmp1": private.dmp1, "iqmp": private.iqmp}
    signed = [digest for request in gateway.requests if (digest := request.verdict.string_to_sign)]
    long = {
        "key": "".join(pem_of(gateway.private_key, None).splitlines()[1:-1]),
        "encrypted key": "".join(pem_of(gateway.private_key, PASSPHRASE).splitlines()[1:-1]),
        **{f"{name} of the key": f"{number}" for name, number in numbers.items()},
        **{f"{name} of the key in hex": f"{number:x}" for name, number in numbers.items()},
        **{f"signature {i}": sign(gateway.private_key, digest) for i, digest in enumerate(signed)},
    }
    first, last = HOLDER.split()
    return {
        "token": TOKEN,
        "token without dashes": TOKEN.replace("-", ""),
        "token percent-encoded": quote(TOKEN).replace("-", "%2D"),
        "token as a number": str(UUID(TOKEN).int),
        "card number": NUMBER,
        "holder's first name": first,
        "holder's last name": last,
        "passphrase": PASSPHRASE,
        **{f"{name}, piece {i}": piece for name, text in long.items() for i, piece in enumerate(pieces(text))},
    }


def pieces(text: str) -> list[str]:
    return re.findall(".{20}", text)


def leaks(secrets: Mapping[str, str], shown: list[str]) -> dict[str, str]:
    """The secrets that show, each with what is around it."""
    text = "\n".join(shown).lower()
    # A card number may be grouped.
    digits = re.sub(r"(?<=\d)[ .\-\u00a0]+(?=\d)", "", text)
    found: dict[str, str] = {}
    for name, secret in secrets.items():
        within = digits if secret == NUMBER else text
        if (at := within.find(secret.lower())) >= 0:
            found[name] = within[max(0, at - 100) : at + 100]
    return found


def is_foreign(frame: FrameType) -> bool:
    return not frame.f_code.co_filename.startswith(TESTS)


def parts(thing: object) -> list[object]:
    """What is one level down: attributes, fields, items."""
    if isinstance(thing, Mapping):
        return [*thing.keys(), *thing.values()]
    if isinstance(thing, list | tuple | set | frozenset):
        return [*thing]
    if isinstance(thing, type | ModuleType):
        return []
    slots = (slot for kind in type(thing).__mro__ for slot in getattr(kind, "__slots__", ()))
    slotted = [getattr(thing, slot) for slot in slots if slot != "__weakref__" and hasattr(thing, slot)]
    return [*getattr(thing, "__dict__", {}).values(), *slotted]


def chain(error: BaseException) -> list[BaseException]:
    """The error with all that came before it, what is not printed included."""
    links: list[BaseException] = []
    left: list[BaseException | None] = [error]
    while left:
        link = left.pop()
        if link is not None and not any(link is known for known in links):
            links.append(link)
            left += [link.__cause__, link.__context__]
    return links


def safe_repr(thing: object) -> str:
    try:
        return repr(thing)
    except Exception as error:  # noqa: BLE001 (a crash reporter goes on, too)
        return f"{type(thing)} {error}"


def crash_report(error: BaseException) -> Iterator[str]:
    """What a crash reporter takes of an error and of its chain."""
    yield "".join(traceback.format_exception(error))
    for link in chain(error):
        yield f"{link!r} {link} {vars(link)!r} {link.args!r}"
        frames = [(frame, line) for frame, line in traceback.walk_tb(link.__traceback__) if is_foreign(frame)]
        yield from traceback.StackSummary.extract(iter(frames), capture_locals=True).format()
        for frame, _ in frames:
            for value in frame.f_locals.values():
                yield from map(safe_repr, [value, *parts(value)])


def foreign_files(error: BaseException) -> list[str]:
    """The files of all frames of an error and of its chain but for the tests' own and asyncio's."""
    frames = (frame for link in chain(error) for frame, _ in traceback.walk_tb(link.__traceback__))
    files = [frame.f_code.co_filename for frame in frames if is_foreign(frame)]
    return [file for file in files if Path(file).parent.name != "asyncio"]


def pickled(error: BaseException) -> Iterator[str]:
    """The error's pickles, without the token that a StillPendingError carries for its caller."""
    if isinstance(error, StillPendingError):
        error = copy.copy(error)
        error.token = None
    for protocol in (0, pickle.HIGHEST_PROTOCOL):
        yield pickle.dumps(error, protocol).decode("latin-1")


def dump(thing: object, seen: dict[int, object] | None = None) -> Iterator[str]:
    """The repr of a thing and, where it belongs to the client or to httpx, of all that is in it."""
    seen = {} if seen is None else seen
    if id(thing) in seen:
        return
    seen[id(thing)] = thing
    yield repr(thing)
    is_ours = type(thing).__module__.partition(".")[0] in {
        "wonder_payment",
        "wonder_payment_client",
        "httpx",
        "httpcore",
    }
    if is_ours or isinstance(thing, Mapping | list | tuple | set):
        for part in parts(thing):
            yield from dump(part, seen)


def logged(caplog: pytest.LogCaptureFixture) -> Iterator[str]:
    for record in caplog.records:
        if record.name.split(".")[0] == "wonder_payment":
            yield f"{record.getMessage()} {record.args!r} {record.__dict__!r} {record.exc_text}"


# How a call ends


class StopHere(Exception):  # noqa: N818 (it is no error of ours)
    """What a caller's own function raises."""


def stop(*_seen: object) -> None:
    raise StopHere


@attrs.frozen
class Outcome:
    """What makes a call end how; a first 503 has it retried before that, but for a call that times out.

    Attributes:
        check: What check_token() raises; None: it answers.
        wait: The same for wait_for_token().
        fault: What the gateway does, at every request but that first one.
        settings: Of the client.
        options: Of wait_for_token().
        token: What is asked for.
        is_closed: Whether the client is closed before.
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
        """Whether attempts end after a real timeout: on a busy machine, any attempt might."""
        return "timeout" in self.settings


def answered(check: type[BaseException] | None, wait: type[BaseException] | None = None, **fault: Any) -> Outcome:
    """An outcome by what the gateway answers; with one class, both calls end in it."""
    body = fault.pop("json", None)
    if body is not None:
        fault["body"] = json.dumps(body)
    return Outcome(check, wait or check, Fault(times=math.inf, **fault))


def error_body(message: str, code: object = "E000404") -> dict[str, Any]:
    return {"code": code, "message": message}


LATER = StillPendingError
GOOD = envelope(token=TOKEN, credit_card=CARD)
PENDING = envelope(token=TOKEN, credit_card=CARD, state="pending")

OUTCOMES = {
    "verified": answered(None, json=GOOD),
    "failed": answered(
        None, json=envelope(token=TOKEN, credit_card=CARD, state="failed", error_msg=f"{DOTTED} {TOKEN}")
    ),
    "pending": answered(None, LATER, json=PENDING),
    "a state that is the card": answered(None, LATER, json=envelope(token=TOKEN, credit_card=CARD, state=DOTTED)),
    "400": answered(APIError, status=400, json=error_body(f"customer {TOKEN}", NUMBER)),
    "401": answered(AuthenticationError, status=401, json=error_body(f"{TOKEN.replace('-', '%2D')}")),
    "401 far off the clock": answered(AuthenticationError, status=401, clock_minutes=90, json=error_body(TOKEN)),
    "404": answered(NotFoundError, status=404, json=error_body(f"no token {TOKEN.upper()}, card {NUMBER}")),
    "404 with all groupings": answered(NotFoundError, status=404, json=error_body(f"{DOTTED} {SPACED} {DASHED}")),
    "429": answered(RateLimitError, LATER, status=429, json=error_body(f"{UUID(TOKEN)!r} {DASHED}")),
    "502 with a page": answered(ServerError, LATER, status=502, body=f"<p>{TOKEN} {NUMBER} {HOLDER}</p>"),
    "302": answered(APIError, status=302, headers={"Location": f"https://elsewhere.example/{TOKEN}"}),
    "an error in a good status": answered(APIError, json=error_body(SPACED, f"E {TOKEN}")),
    "no JSON": answered(InvalidResponseError, body=f'{{"code": 0, "token": "{TOKEN}", "number": "{NUMBER}'),
    "no token": answered(InvalidResponseError, json={"code": 0, "message": TOKEN, "data": {"card": CARD}}),
    "a token of two fields": answered(
        InvalidResponseError, json={"code": 0, "data": {"payment_token": {"token": TOKEN, "credit_card": CARD}}}
    ),
    "another token": answered(InvalidResponseError, json=GOOD | envelope(token=str(UUID(int=0)), credit_card=CARD)),
    "a state that is a list": answered(
        InvalidResponseError, json=envelope(token=TOKEN, credit_card=CARD, state=[NUMBER])
    ),
    "a brand that is a number": answered(
        InvalidResponseError, json=envelope(token=TOKEN, credit_card=CARD | {"brand": int(NUMBER)})
    ),
    "a card that is text": answered(InvalidResponseError, json=envelope(token=TOKEN, credit_card=NUMBER)),
    "reset in the middle": answered(NetworkError, LATER, broken="reset in the middle", json=GOOD),
    "truncated": answered(NetworkError, LATER, broken="truncated", json=GOOD),
    "timeout": attrs.evolve(answered(RequestTimeoutError, LATER, delay=math.inf), settings={"timeout": 0.1}),
    "timeout in the middle": attrs.evolve(
        answered(RequestTimeoutError, LATER, drip=0.01, json=GOOD), settings={"timeout": 0.1}
    ),
    "refused": Outcome(NetworkError, LATER, settings={"base_url": REFUSING}),
    "a card number for a token": Outcome(InvalidTokenError, InvalidTokenError, token=NUMBER),
    "a token without dashes": Outcome(InvalidTokenError, InvalidTokenError, token=TOKEN.replace("-", "")),
    "a card for a token": Outcome(InvalidTokenError, InvalidTokenError, token=CARD),
    "a closed client": Outcome(ConfigurationError, ConfigurationError, is_closed=True),
    "on_retry raises": Outcome(StopHere, StopHere, settings={"on_retry": stop}),
    "on_poll raises": attrs.evolve(answered(None, StopHere, json=PENDING), options={"on_poll": stop}),
}

CALLS = pytest.mark.parametrize("method", ["check_token", "wait_for_token"])


@pytest.fixture
def gateway(wonder_gateway: SimulatedGateway) -> SimulatedGateway:
    """The gateway with nothing left in flight: a request that an earlier test gave up must not come in late."""
    connection = http.client.HTTPConnection("127.0.0.1", int(wonder_gateway.base_url.rpartition(":")[2]))
    # The simulator's loop takes requests in turn: when the second is answered, all that came before the first are done.
    for _ in range(2):
        connection.request("GET", "/nothing")
        connection.getresponse().read()
    connection.close()
    wonder_gateway.reset()
    return wonder_gateway


def client_of(caller: Caller, gateway: SimulatedGateway, **settings: Any) -> WonderClient | AsyncWonderClient:
    once_more = RetryPolicy(max_attempts=2, backoff_initial=0.0)
    key = {"private_key": pem_of(gateway.private_key, PASSPHRASE), "passphrase": PASSPHRASE}
    return caller.make(**{"retry": once_more, **key} | settings)


def ask(
    client: WonderClient | AsyncWonderClient,
    method: str,
    token: Any,
    shown: list[str],
    *,
    is_closed: bool,
    **options: Any,
) -> PaymentToken:
    """Make the call, and show the client before it is closed."""
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


@CALLS
@pytest.mark.parametrize("outcome", OUTCOMES.values(), ids=OUTCOMES)
def test_nothing_secret_is_shown_logged_raised_or_sent_in_a_url(
    caller: Caller,
    gateway: SimulatedGateway,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    outcome: Outcome,
    method: str,
) -> None:
    Clock(monkeypatch, is_still=not outcome.times_out)
    if not outcome.times_out:
        gateway.inject(Fault(status=503, body=f"{TOKEN} {NUMBER}"))
    if outcome.fault:
        gateway.inject(outcome.fault)
    is_wait = method == "wait_for_token"
    patience = 0.3 if outcome.times_out else 30.0
    options = (
        {"timeout": patience, "poll": PollPolicy(shortest=10.0, longest=10.0)} | outcome.options if is_wait else {}
    )
    client = client_of(caller, gateway, **outcome.settings)
    shown: list[str] = []
    result: PaymentToken | BaseException
    with caplog.at_level(1, "wonder_payment"):
        try:
            result = ask(client, method, outcome.token, shown, is_closed=outcome.is_closed, **options)
        except (WonderError, StopHere) as error:
            result = error
            shown += [*crash_report(error), *pickled(error)]
    wanted = outcome.wait if is_wait else outcome.check
    assert isinstance(result, wanted or PaymentToken)
    # What is not there can't be taken: a traceback ends in the caller's own line.
    assert not isinstance(result, BaseException) or foreign_files(result) == []
    shown += [repr(result), str(result), *logged(caplog), *(request.verdict.uri for request in gateway.requests)]
    assert leaks(secrets_of(gateway), shown) == {}
    # Not for want of having been shown anything.
    assert type(client).__name__ in "".join(shown)
    if outcome.times_out:
        assert "attempt 1: RequestTimeoutError" in "".join(shown)
    else:
        assert not gateway.requests or "attempt 1: HTTP 503" in "".join(shown)
        assert outcome.fault is None or "attempt 2" in "".join(shown)


@pytest.mark.parametrize("outcome", ["404", "no JSON", "another token", "truncated"])
def test_the_one_liner_that_fails_leaves_no_frame_but_the_callers(gateway: SimulatedGateway, outcome: str) -> None:
    fault = OUTCOMES[outcome].fault
    assert fault
    gateway.inject(attrs.evolve(fault, times=4))
    # Nobody waits for the retries.
    no_delay = "import time; time.sleep = lambda seconds: None"
    program = f"{no_delay}; import wonder_payment; wonder_payment.check_token('{TOKEN}')"
    result = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, **gateway.environ},
        check=False,
        capture_output=True,
        text=True,
    )
    assert gateway.requests
    assert "wonder_payment.errors." in result.stderr
    assert set(re.findall('File "(.*?)"', result.stderr)) == {"<string>"}
    # Python 3.13 and newer quote the program's own line.
    shown = result.stderr.replace(program, "")
    assert leaks(secrets_of(gateway), [shown, result.stdout]) == {}


# A client that can't be made

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
def test_a_client_that_cannot_be_made_leaves_nothing_of_the_key(
    caller: Caller, gateway: SimulatedGateway, changed: dict[str, Any]
) -> None:
    with pytest.raises(ConfigurationError) as caught:
        client_of(caller, gateway, **changed)
    assert leaks(secrets_of(gateway), [*crash_report(caught.value), *pickled(caught.value)]) == {}


@pytest.mark.parametrize("damage", ["cut short", "damaged", "public"])
def test_a_key_that_cannot_be_read_is_not_quoted(caller: Caller, gateway: SimulatedGateway, damage: str) -> None:
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
    "a key too many": {"WONDER_PRIVATE_KEY_FILE": "/key.pem"},
    "no app id": {"WONDER_APP_ID": ""},
    "no gateway": {"WONDER_BASE_URL": ""},
    "another environment": {"WONDER_ENVIRONMENT": "live"},
    "a proxy that is none": {"WONDER_BASE_URL": "https://gateway.example", "ALL_PROXY": "gopher://proxy.example"},
}


@pytest.mark.parametrize("changed", WRONG_VARIABLES.values(), ids=WRONG_VARIABLES)
@pytest.mark.parametrize(
    "make",
    [WonderClient.from_env, AsyncWonderClient.from_env, lambda: wonder_payment.check_token(TOKEN)],
    ids=["sync", "async", "the one-liner"],
)
def test_an_environment_that_is_wrong_leaves_nothing_of_the_key(
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


# What ends a call from outside


class Listener(logging.Handler):
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
    listener = Listener(words, function)
    loggers = {logger: logger.level for logger in map(logging.getLogger, ("httpcore", "wonder_payment"))}
    for logger in loggers:
        logger.addHandler(listener)
        logger.setLevel(logging.DEBUG)
    try:
        yield
    finally:
        for logger, level in loggers.items():
            logger.removeHandler(listener)
            logger.setLevel(level)


@contextmanager
def ctrl_c(words: str, arrivals: Arrivals) -> Iterator[None]:
    """Press Ctrl-C when the gateway has a request, and these words are logged."""
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


# Each with what is logged when the client is about to wait there.
MIDDLES = {
    "a request": (Fault(delay=math.inf), "receive_response_headers.started"),
    "an answer": (Fault(drip=0.05, body=json.dumps(GOOD)), "receive_response_body.started"),
    "a delay before the next attempt": (Fault(status=503, body=f"{TOKEN} {NUMBER}"), "attempt 1: HTTP 503; again in"),
}
LONG = RetryPolicy(backoff_initial=8.0, jitter=0.0)


@CALLS
@pytest.mark.parametrize(("fault", "words"), MIDDLES.values(), ids=MIDDLES)
def test_ctrl_c_in_the_middle_leaves_nothing_secret_in_its_traceback(
    caller: Caller, gateway: SimulatedGateway, arrivals: Arrivals, method: str, fault: Fault, words: str
) -> None:
    gateway.inject(fault)
    client = client_of(caller, gateway, retry=LONG)
    shown: list[str] = []
    with pytest.raises(KeyboardInterrupt) as caught, ctrl_c(words, arrivals):
        ask(client, method, TOKEN, shown, is_closed=False)
    assert leaks(secrets_of(gateway), [*shown, *crash_report(caught.value)]) == {}
    assert foreign_files(caught.value) == []
    assert gateway.requests


@CALLS
@pytest.mark.parametrize(("fault", "words"), MIDDLES.values(), ids=MIDDLES)
def test_cancelling_in_the_middle_leaves_nothing_secret_in_its_traceback(
    gateway: SimulatedGateway, arrivals: Arrivals, method: str, fault: Fault, words: str
) -> None:
    gateway.inject(fault)

    async def main() -> list[str]:
        async with gateway.async_client(retry=LONG) as wonder:
            reached = asyncio.Event()
            with when_logged(words, reached.set):
                asking = asyncio.create_task(getattr(wonder, method)(TOKEN))
                await asyncio.wait_for(reached.wait(), 60)
            await asyncio.to_thread(arrivals.wait_until, bool)
            asking.cancel()
            with pytest.raises(asyncio.CancelledError) as caught:
                await asking
            assert foreign_files(caught.value) == []
            return [*crash_report(caught.value), *dump(wonder)]

    assert leaks(secrets_of(gateway), asyncio.run(main())) == {}


# What the gateway's own words hold

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
def test_what_is_secret_is_cut_out_of_the_gateways_words_and_the_rest_is_kept(
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
    "a customer that is none": ["check", TOKEN, "--customer-uuid", NUMBER],
}
SHOWN_BY_COMMANDS = {name: OUTCOMES[name].fault for name in ("verified", "failed", "pending", "404", "another token")}


@pytest.mark.parametrize("fault", SHOWN_BY_COMMANDS.values(), ids=SHOWN_BY_COMMANDS)
@pytest.mark.parametrize("command", ["check", "wait", "doctor"])
@pytest.mark.usefixtures("clock")
def test_the_command_line_shows_nothing_secret(gateway: SimulatedGateway, command: str, fault: Fault) -> None:
    gateway.inject(fault)
    assert leaks(secrets_of(gateway), typed(gateway, COMMANDS[command])) == {}
    assert gateway.requests


@pytest.mark.parametrize("command", [name for name in COMMANDS if name not in ("check", "wait", "doctor")])
def test_the_command_line_does_not_repeat_what_was_typed_wrongly(gateway: SimulatedGateway, command: str) -> None:
    assert leaks(secrets_of(gateway), typed(gateway, COMMANDS[command])) == {}
    assert gateway.requests == []


@pytest.mark.parametrize("changed", WRONG_VARIABLES.values(), ids=WRONG_VARIABLES)
@pytest.mark.parametrize("command", ["check", "doctor"])
def test_the_command_line_quotes_no_setting_that_is_secret(
    gateway: SimulatedGateway, command: str, changed: dict[str, str]
) -> None:
    assert leaks(secrets_of(gateway), typed(gateway, COMMANDS[command], **changed)) == {}


def typed(gateway: SimulatedGateway, arguments: list[str], **changed: str) -> list[str]:
    """What a command shows on a terminal's two streams."""
    key = {"WONDER_PRIVATE_KEY": pem_of(gateway.private_key, PASSPHRASE), "WONDER_PRIVATE_KEY_PASSPHRASE": PASSPHRASE}
    result = CliRunner().invoke(app, arguments, env={**gateway.environ, **key, **changed})
    assert result.output
    # What it ends in when it does not end as it should.
    unexpected = result.exception and not isinstance(result.exception, SystemExit)
    return [result.output, *(crash_report(result.exception) if unexpected and result.exception else [])]
