"""Faults between a client and the gateway, and what the caller gets.

test_matrix.py tests each row with every transport, and write_matrix.py writes docs/contributing/faults.md from them.
What a caller gets for a status or a body is a matter of no transport: test_response.py and test_api_errors.py test it.
"""

import gzip

import attrs
import trustme
from faults.making import (
    Maker,
    closed_while_idle,
    dripping,
    encrypted,
    idle,
    never_accepted,
    no_such_name,
    plain,
    plain_http_on_https,
    refused,
    refused_by_proxy,
    simulated,
    through_proxy,
    with_certificate,
)
from faults.servers import BODY, HEAD, HERE, authority, endless, expired, reset, responding_once, self_signed, silent
from wonder_payment import (
    APIError,
    InvalidResponseError,
    NetworkError,
    PollPolicy,
    RequestTimeoutError,
    RetryPolicy,
    ServerError,
    WonderError,
)

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


NONE = Time("no delay")
BACKOFF = Time("the backoffs", (0.1, 0.2))
TIMEOUT = Time("the attempts' timeouts and the backoffs", (0.1, 0.2), (1.0, 1.0))
CONNECTING = Time("the attempts' timeouts (half of each) and the backoffs", (0.1, 0.2), (0.5, 0.5))
HEADERS = Time("the attempts' timeouts (sync: all the headers) and the backoffs", (0.1, 0.2), (1.0, 1.0))


@attrs.frozen
class Row:
    """A fault and what it leads to.

    Attributes:
        fault: Its name.
        make: What makes it, and yields the client's settings.
        kind: The class that check_token() raises; None if it returns the token.
        attempts: How many attempts that takes.
        time: How long it takes.
        can_pass: Whether the fault can be made to happen only once.
    """

    fault: str
    make: Maker
    kind: type[WonderError] | None
    attempts: int
    time: Time
    can_pass: bool = False

    @property
    def is_slow(self) -> bool:
        """Whether real time has to pass."""
        return any(self.time.timeouts)

    @property
    def ends_wait(self) -> bool:
        """Whether wait_for_token() gets the same; if not, it polls until its time is over."""
        return self.kind is None or self.attempts == 1

    @property
    def cells(self) -> list[str]:
        """The row of the page, without the measured time."""
        name = f"`{self.kind.__name__}`" if self.kind else "the token"
        waited = name if self.ends_wait else f"`StillPendingError` from {name}"
        once = "the token" if self.can_pass else ""
        return [self.fault, name, str(self.attempts), self.time.words, waited, once, "0"]


def permanent(fault: str, make: Maker, kind: type[WonderError]) -> Row:
    """Return the row of a fault that is not retried."""
    return Row(fault, make, kind, 1, NONE)


def transient(fault: str, make: Maker, kind: type[WonderError], *, time: Time = BACKOFF, can_pass: bool = True) -> Row:
    """Return the row of a fault that may pass."""
    return Row(fault, make, kind, RETRY.max_attempts, time, can_pass)


def handled(fault: str, make: Maker, *, attempts: int = 1, time: Time = NONE) -> Row:
    """Return the row of a fault that the client handles by itself."""
    return Row(fault, make, None, attempts, time)


WITH_LENGTH = b"%sContent-Length: %d\r\n\r\n" % (HEAD, len(BODY))
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
HTML = {"Content-Type": "text/html"}
ZIPPED = {"body": gzip.compress(BODY), "headers": {"Content-Encoding": "gzip"}}

ROWS: list[Row] = [
    # Responses that a transport may change, reject or follow.
    permanent("HTTP 302: a redirect", simulated(status=302, headers={"Location": "/elsewhere"}), APIError),
    permanent(
        "HTTP 302: a redirect to an invalid URL", simulated(status=302, headers={"Location": "http://[/"}), APIError
    ),
    permanent("HTTP 204", simulated(status=204, body=""), InvalidResponseError),
    handled("HTTP 200 with a compressed body", simulated(**ZIPPED)),
    permanent(
        "HTTP 200 with a body compressed in another way",
        simulated(body=BODY, headers={"Content-Encoding": "br"}),
        InvalidResponseError,
    ),
    permanent(
        "a response without a length that is cut off",
        plain(responding_once(b"HTTP/1.1 200 OK\r\n\r\n" + BODY[:100])),
        InvalidResponseError,
    ),
    permanent("a response without end", plain(endless(b"\r\n" + b"a" * 65_536)), InvalidResponseError),
    transient("HTTP 520 with a page of HTML", simulated(status=520, headers=HTML), ServerError),
    transient("HTTP 502 with a compressed body", simulated(status=502, **ZIPPED), ServerError),
    transient("HTTP 503 with a body of 2 MiB", simulated(status=503, body=b"a" * 2**21, headers=HTML), ServerError),
    handled("the gateway's clock is 40 minutes ahead", simulated(clock_minutes=40)),
    # No response, or only a part of it.
    transient("no response", simulated(delay=float("inf")), RequestTimeoutError, time=TIMEOUT),
    transient("a body byte by byte", simulated(drip=0.02), RequestTimeoutError, time=TIMEOUT),
    transient(
        "a body byte by byte within TLS", encrypted(dripping(WITH_LENGTH, BODY)), RequestTimeoutError, time=TIMEOUT
    ),
    transient(
        "a chunk's length byte by byte within TLS",
        encrypted(dripping(CHUNKED, b"1f0;extension=" + b"a" * 200)),
        RequestTimeoutError,
        time=TIMEOUT,
    ),
    transient("headers byte by byte", simulated(drip=0.02, drip_headers=True), RequestTimeoutError, time=HEADERS),
    transient("connection reset before the response", simulated(broken="reset before"), NetworkError),
    transient("connection reset within the response", simulated(broken="reset in the middle"), NetworkError),
    transient("connection closed within the response", simulated(broken="truncated"), NetworkError),
    transient("connection closed without a response", plain(responding_once(b"")), NetworkError),
    transient("connection closed at once", plain(lambda _: None), NetworkError),
    transient("a chunk that is cut off", plain(responding_once(CHUNKED + b"ff\r\n{")), NetworkError),
    permanent("a chunk whose length is not a number", plain(responding_once(CHUNKED + b"many\r\n{")), NetworkError),
    permanent(
        "a length that is not a number",
        plain(responding_once(b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n")),
        NetworkError,
    ),
    permanent("a protocol other than HTTP", plain(responding_once(b"220 mail.example ESMTP\r\n\r\n")), NetworkError),
    permanent("headers without end", plain(endless(b"X-More: and more\r\n")), NetworkError),
    # The connection in the pool.
    handled("connection closed by the gateway while idle", closed_while_idle),
    handled("idle connection reset when it is used again", idle(reset), attempts=2, time=BACKOFF),
    handled("idle connection lost silently", idle(silent), attempts=2, time=TIMEOUT),
    # No connection.
    transient("connection refused", refused, NetworkError),
    transient("connection never accepted", never_accepted, RequestTimeoutError, time=CONNECTING),
    transient("a name that does not resolve", no_such_name, NetworkError, can_pass=False),
    # TLS.
    transient("connection reset in the TLS handshake", encrypted(lambda _: reset), NetworkError),
    transient("no response in the TLS handshake", encrypted(lambda _: silent), RequestTimeoutError, time=CONNECTING),
    permanent("plain HTTP on the port for HTTPS", plain_http_on_https, NetworkError),
    permanent("an expired certificate", with_certificate(expired), NetworkError),
    permanent("a self-signed certificate", with_certificate(self_signed), NetworkError),
    permanent(
        "a certificate of an unknown authority", with_certificate(lambda: trustme.CA().issue_cert(HERE)), NetworkError
    ),
    permanent(
        "a certificate for another host",
        with_certificate(lambda: authority().issue_cert("gateway.example")),
        NetworkError,
    ),
    # The environment's proxy.
    transient("a proxy that refuses the connection", refused_by_proxy, NetworkError),
    *(
        row(
            f"a proxy that returns HTTP {status}",
            through_proxy(responding_once(f"HTTP/1.1 {status} No\r\nContent-Length: 0\r\n\r\n".encode())),
            NetworkError,
        )
        for row, status in ((permanent, 403), (permanent, 407), (transient, 502))
    ),
    transient("a proxy that closes the connection", through_proxy(responding_once(b"")), NetworkError),
    transient("a proxy that does not respond", through_proxy(silent), RequestTimeoutError, time=TIMEOUT),
]
