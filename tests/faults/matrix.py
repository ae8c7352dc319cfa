"""Everything that can go wrong between a client and the gateway, and what the caller gets.

A row is what is promised. test_matrix.py holds both clients to it, write_matrix.py writes docs/faults.md from it.
"""

import asyncio
import gzip
import logging
import os
import socket
import stat
import time
from contextlib import suppress
from typing import Any

import attrs
import trustme
from conftest import Caller
from faults.making import (
    HERE,
    VERIFIED,
    Lab,
    Maker,
    answering_once,
    authority,
    closed_while_idle,
    dripping,
    encrypted,
    endless,
    envelope,
    expired,
    idle,
    never_accepted,
    no_such_name,
    plain,
    plain_http_on_https,
    refused,
    refused_by_proxy,
    reset,
    self_signed,
    silent,
    simulated,
    through_proxy,
    with_certificate,
)
from wonder_payment import (
    APIError,
    AuthenticationError,
    BadRequestError,
    InvalidResponseError,
    NetworkError,
    NotFoundError,
    PaymentToken,
    PollPolicy,
    RateLimitError,
    RequestTimeoutError,
    RetryPolicy,
    ServerError,
    WonderClient,
    WonderError,
)
from wonder_payment.simulator import SimulatedGateway

RETRY = RetryPolicy(max_attempts=3, backoff_initial=0.1, jitter=0.0)
POLL = PollPolicy(jitter=0.0)


@attrs.frozen
class Time:
    """How long a call takes.

    Attributes:
        words: In words, for the page.
        delays: The seconds between its attempts.
        timeouts: How much of an attempt's timeout passes at least, for the sync client and for the async one.
    """

    words: str
    delays: tuple[float, ...] = ()
    timeouts: tuple[float, float] = (0.0, 0.0)


AT_ONCE = Time("at once")
BACKOFF = Time("the backoffs", (0.1, 0.2))
ASKED_FOR = Time("the delays asked for", (1.0, 1.0))
TIMEOUT = Time("the attempts' timeouts and the backoffs", (0.1, 0.2), (1.0, 1.0))
CONNECTING = Time(
    "the attempts' timeouts (sync: a quarter of each, async: half) and the backoffs", (0.1, 0.2), (0.25, 0.5)
)
HEADERS = Time("the attempts' timeouts (sync: all the headers) and the backoffs", (0.1, 0.2), (1.0, 1.0))


@attrs.frozen
class Row:
    """A fault and what it leads to.

    Attributes:
        fault: Its name.
        make: What makes it, and yields the client's settings.
        kind: The class that check_token() raises; None: it answers.
        attempts: How many attempts that takes.
        time: How long it takes.
        ends_wait: Whether the same ends wait_for_token(); otherwise it goes on until its time is over.
        can_pass: Whether the fault can be made to happen once, and not again.
    """

    fault: str
    make: Maker
    kind: type[WonderError] | None
    attempts: int
    time: Time
    ends_wait: bool = False
    can_pass: bool = True

    @property
    def is_slow(self) -> bool:
        """Whether real time has to pass."""
        return any(self.time.timeouts)

    @property
    def is_mendable(self) -> bool:
        """Whether the fault can be made to happen once, and asking again is any use then."""
        return self.can_pass and not self.ends_wait

    @property
    def cells(self) -> list[str]:
        """What the page says of it, but for the measured time."""
        name = f"`{self.kind.__name__}`" if self.kind else "the answer"
        lasting = f"{name} at once" if self.ends_wait else f"`StillPendingError` from {name}"
        once = "the answer" if self.is_mendable else ""
        if self.is_mendable and self.attempts == 1:
            once = f"{name}; `wait_for_token`: the answer"
        waited = lasting if self.kind else name
        return [self.fault, name, str(self.attempts), self.time.words, waited, once, "0"]


def lasting(fault: str, make: Maker, kind: type[WonderError], *, attempts: int = 1) -> Row:
    """Return the row of a fault that asking again does not mend."""
    return Row(fault, make, kind, attempts, AT_ONCE, ends_wait=True)


def passing(fault: str, make: Maker, kind: type[WonderError], *, time: Time = BACKOFF, can_pass: bool = True) -> Row:
    """Return the row of a fault that may pass."""
    return Row(fault, make, kind, RETRY.max_attempts, time, can_pass=can_pass)


def mended(fault: str, make: Maker, *, attempts: int = 1, time: Time = AT_ONCE) -> Row:
    """Return the row of a fault that the client mends by itself."""
    return Row(fault, make, None, attempts, time, can_pass=False)


CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
HTML = {"Content-Type": "text/html"}
BIG = b"a" * (2 * 1024 * 1024)
ZIPPED = {"body": gzip.compress(envelope()), "headers": {"Content-Encoding": "gzip"}}

ROWS: list[Row] = [
    # The gateway refuses.
    *(
        lasting(f"HTTP {status}", simulated(status=status), kind)
        for status, kind in {
            400: BadRequestError,
            401: AuthenticationError,
            403: AuthenticationError,
            404: NotFoundError,
            405: APIError,
            409: APIError,
            422: BadRequestError,
        }.items()
    ),
    *(
        lasting(f"HTTP {status}: a redirect", simulated(status=status, headers={"Location": "/elsewhere"}), APIError)
        for status in (301, 302, 307, 308)
    ),
    lasting(
        "HTTP 302: a redirect to what is no URL", simulated(status=302, headers={"Location": "http://[/"}), APIError
    ),
    lasting("an error code in an HTTP 200", simulated(body='{"code": "E000002", "message": "no"}'), APIError),
    # The gateway is in trouble.
    *(passing(f"HTTP {status}", simulated(status=status), APIError) for status in (408, 425)),
    passing("HTTP 429", simulated(status=429), RateLimitError),
    passing(
        "HTTP 429, `Retry-After: 1`",
        simulated(status=429, headers={"Retry-After": "1"}),
        RateLimitError,
        time=ASKED_FOR,
    ),
    Row(
        "HTTP 429, `Retry-After: 3600`, which is beyond `max_elapsed`",
        simulated(status=429, headers={"Retry-After": "3600"}),
        RateLimitError,
        attempts=1,
        time=AT_ONCE,
    ),
    *(passing(f"HTTP {status}", simulated(status=status), ServerError) for status in (500, 502, 503, 504, 520, 599)),
    passing(
        "HTTP 503, `Retry-After: 1`", simulated(status=503, headers={"Retry-After": "1"}), ServerError, time=ASKED_FOR
    ),
    passing("HTTP 502 with a page of HTML", simulated(status=502, headers=HTML), ServerError),
    passing("HTTP 502 with a compressed body", simulated(status=502, **ZIPPED), ServerError),
    passing("HTTP 503 with 2 MiB of body", simulated(status=503, body=BIG, headers=HTML), ServerError),
    passing("the code 500 in an HTTP 200", simulated(body='{"code": 500, "message": "no"}'), ServerError),
    # The answer is not the contract's.
    *(
        lasting(f"HTTP 200 with {what}", simulated(body=body, headers=headers), InvalidResponseError)
        for what, body, headers in [
            ("a page of HTML", "<!doctype html><title>Sign in</title>", HTML),
            ("nothing in it", b"", {}),
            ("half of the JSON", envelope()[:100], {}),
            ("JSON that is no object", b"[]", {}),
            ("JSON of something else", b'{"status": "ok"}', {}),
            ("no payment token", b'{"code": 0, "data": {}}', {}),
            ("another payment token", envelope(token="00000000-0000-4000-8000-000000000002"), {}),
            ("no state", envelope(state=None), {}),
            ("a number for a state", envelope(state=1), {}),
            ("bytes that are no text", b"\xff\xfe" + envelope(), {}),
            ("2 MiB of body", BIG, {}),
        ]
    ),
    lasting("HTTP 200 with a compressed body, which was not asked for", simulated(**ZIPPED), InvalidResponseError),
    lasting("HTTP 204", simulated(status=204, body=""), InvalidResponseError),
    lasting("HTTP 202 with a good answer", simulated(status=202, body=envelope()), InvalidResponseError),
    lasting(
        "an answer cut off that told no length",
        plain(answering_once(b"HTTP/1.1 200 OK\r\n\r\n" + envelope()[:100])),
        InvalidResponseError,
    ),
    lasting("an answer without end", plain(endless(b"\r\n" + b"a" * 65_536)), InvalidResponseError),
    # The clocks.
    mended("the gateway's clock is 40 minutes ahead", simulated(clock_minutes=40)),
    mended("the gateway's clock is 40 minutes behind", simulated(clock_minutes=-40)),
    lasting(
        "a gateway of many machines, of which one is 40 minutes ahead and answers first",
        simulated(clock_minutes=40, times=1),
        AuthenticationError,
    ),
    # The answer does not come, or does not come whole.
    passing("no answer", simulated(delay=float("inf")), RequestTimeoutError, time=TIMEOUT),
    passing("a body byte by byte", simulated(drip=0.02), RequestTimeoutError, time=TIMEOUT),
    passing("a body byte by byte within TLS", encrypted(dripping), RequestTimeoutError, time=TIMEOUT),
    passing("headers byte by byte", simulated(drip=0.02, drip_headers=True), RequestTimeoutError, time=HEADERS),
    passing("connection reset before the answer", simulated(broken="reset before"), NetworkError),
    passing("connection reset in the middle of the answer", simulated(broken="reset in the middle"), NetworkError),
    passing("connection closed in the middle of the answer", simulated(broken="truncated"), NetworkError),
    passing("connection closed without an answer", plain(answering_once(b"")), NetworkError),
    passing("connection closed at once", plain(lambda _: None), NetworkError),
    passing("a chunk that is cut off", plain(answering_once(CHUNKED + b"ff\r\n{")), NetworkError),
    passing("a chunk whose length is no number", plain(answering_once(CHUNKED + b"many\r\n{")), NetworkError),
    passing("something other than HTTP", plain(answering_once(b"220 mail.example ESMTP\r\n\r\n")), NetworkError),
    passing("headers without end", plain(endless(b"X-More: and more\r\n")), NetworkError),
    # The connection in the pool.
    mended("connection closed by the gateway while idle", closed_while_idle),
    mended("idle connection reset when it is used again", idle(reset), attempts=2, time=BACKOFF),
    mended("idle connection gone silently", idle(silent), attempts=2, time=TIMEOUT),
    # No connection.
    passing("connection refused", refused, NetworkError),
    passing("nobody accepts the connection", never_accepted, RequestTimeoutError, time=CONNECTING),
    passing("a name that does not resolve", no_such_name, NetworkError, can_pass=False),
    # TLS.
    passing("connection reset in the TLS handshake", encrypted(lambda _: reset), NetworkError),
    passing("no answer in the TLS handshake", encrypted(lambda _: silent), RequestTimeoutError, time=CONNECTING),
    passing("plain HTTP on the port for HTTPS", plain_http_on_https, NetworkError, can_pass=False),
    passing("an expired certificate", with_certificate(expired), NetworkError),
    passing("a self-signed certificate", with_certificate(self_signed), NetworkError),
    passing(
        "a certificate of an unknown authority", with_certificate(lambda: trustme.CA().issue_cert(HERE)), NetworkError
    ),
    passing(
        "a certificate for another host",
        with_certificate(lambda: authority().issue_cert("gateway.example")),
        NetworkError,
    ),
    # The environment's proxy.
    passing("a proxy that refuses the connection", refused_by_proxy, NetworkError),
    *(
        passing(
            f"a proxy that answers HTTP {status}",
            through_proxy(answering_once(f"HTTP/1.1 {status} No\r\nContent-Length: 0\r\n\r\n".encode())),
            NetworkError,
        )
        for status in (403, 407, 502)
    ),
    passing("a proxy that closes the connection", through_proxy(answering_once(b"")), NetworkError),
    passing("a proxy that does not answer", through_proxy(silent), RequestTimeoutError, time=TIMEOUT),
]


class Attempts(logging.Handler):
    """Counts the attempts by the line that the library logs for each, and mends a fault after the first."""

    def __init__(self, lab: Lab) -> None:
        super().__init__(logging.DEBUG)
        self.made = 0
        self._lab = lab

    def emit(self, record: logging.LogRecord) -> None:
        if record.levelno == logging.DEBUG:
            self.made += 1
            if self.made == 1 and self._lab.mend:
                self._lab.mend()


@attrs.frozen
class Outcome:
    """What came of a call.

    Attributes:
        got: What was returned or raised.
        attempts: How many attempts were made.
        seconds: How long it took.
        left_open: How many sockets the client has left open.
    """

    got: PaymentToken | Exception
    attempts: int
    seconds: float
    left_open: int


def observe(
    row: Row,
    caller: Caller,
    gateway: SimulatedGateway,
    method: str,
    *,
    timeout: float,
    is_once: bool = False,
    retry: RetryPolicy = RETRY,
    options: dict[str, Any] | None = None,
) -> Outcome:
    """Make the fault, call a client's method, close the client, and tell what came of it.

    Args:
        row: The fault.
        caller: Which of the clients.
        gateway: The simulated gateway.
        method: ``check_token`` or ``wait_for_token``.
        timeout: The client's, for one attempt.
        is_once: Whether the fault happens once only.
        retry: The client's, for ``check_token``.
        options: The method's own.
    """
    if method == "wait_for_token":
        retry = RetryPolicy.never()  # each poll is one attempt: the wait has to go on by itself
    lab = Lab(gateway, is_once, timeout)
    attempts = Attempts(lab)
    logger = logging.getLogger("wonder_payment")
    with row.make(lab) as settings:
        before = client_sockets()
        level = logger.level
        logger.setLevel(logging.DEBUG)
        logger.addHandler(attempts)
        try:
            got, seconds = _ask(caller, lab, method, {"timeout": timeout, "retry": retry} | settings, options or {})
        finally:
            logger.removeHandler(attempts)
            logger.setLevel(level)
        # What was raised is still held here, with whatever it holds.
        left_open = len(client_sockets() - before)
    return Outcome(got, attempts.made - bool(lab.between), seconds, left_open)


def _ask(
    caller: Caller, lab: Lab, method: str, settings: dict[str, Any], options: dict[str, Any]
) -> tuple[PaymentToken | Exception, float]:
    client = caller.make(**settings)
    if isinstance(client, WonderClient):
        with client:
            if lab.between:
                client.check_token(VERIFIED)
                lab.between()
            began = time.monotonic()
            try:
                got: PaymentToken | Exception = getattr(client, method)(VERIFIED, **options)
            except Exception as error:  # noqa: BLE001 (whether it may come is what is judged)
                got = error
            return got, time.monotonic() - began

    async def ask() -> tuple[PaymentToken | Exception, float]:
        async with client:
            if lab.between:
                await client.check_token(VERIFIED)
                lab.between()
            began = time.monotonic()
            try:
                got: PaymentToken | Exception = await getattr(client, method)(VERIFIED, **options)
            except Exception as error:  # noqa: BLE001 (as above)
                got = error
            return got, time.monotonic() - began

    return asyncio.run(ask())


def client_sockets() -> set[tuple[int, int]]:
    """Return this process's sockets of the internet that are no server's: neither listening, nor accepted."""
    found, listening = dict[tuple[int, int], int](), set[int]()
    for name in os.listdir("/dev/fd"):  # noqa: PTH208
        # A server's thread may close one at any time.
        with suppress(OSError):
            status = os.fstat(int(name))
            if not stat.S_ISSOCK(status.st_mode):
                continue
            this = socket.socket(fileno=int(name))
            try:
                if this.family in (socket.AF_INET, socket.AF_INET6):
                    port = this.getsockname()[1]
                    found[int(name), status.st_ino] = port
                    if this.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
                        listening.add(port)
            finally:
                this.detach()
    return {this for this, port in found.items() if port not in listening}
