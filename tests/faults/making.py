"""How each fault of the matrix is made: by the simulator, or by a server, a certificate, a proxy, a name below it."""

import json
import math
import os
import socket
import ssl
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from datetime import UTC, datetime
from functools import cache
from itertools import count
from typing import Any, BinaryIO
from unittest.mock import patch

import attrs
import trustme
from wonder_payment.simulator import WELL_KNOWN, Fault, SimulatedGateway, SimulatedToken

VERIFIED = WELL_KNOWN[0].token

# This machine by an address that is not a loopback one: the environment's certificates and proxies are for it.
HERE = "0.0.0.0"  # noqa: S104 (nothing listens on it)

# Nobody has this name, ever (RFC 6761).
NOWHERE = "wonder.invalid"


@attrs.define
class Lab:
    """What a fault is made with.

    Attributes:
        gateway: The simulated gateway.
        is_once: Whether the fault happens to the first connection or request alone.
        timeout: The client's, in seconds.
        mend: Called after the first attempt.
        between: Called between the first check and the one looked at, where a fault needs two.
    """

    gateway: SimulatedGateway
    is_once: bool
    timeout: float
    mend: Callable[[], object] | None = None
    between: Callable[[], object] | None = None


Maker = Callable[[Lab], AbstractContextManager[dict[str, Any]]]


def simulated(**fault: Any) -> Maker:
    """Return what makes a fault of the simulator; ``drip`` counts in the client's timeouts."""

    @contextmanager
    def make(lab: Lab) -> Iterator[dict[str, Any]]:
        drip = {"drip": fault["drip"] * lab.timeout} if "drip" in fault else {}
        lab.gateway.inject(Fault(**{"times": 1 if lab.is_once else math.inf} | fault | drip))
        yield {"base_url": lab.gateway.base_url}

    return make


def envelope(**changes: Any) -> bytes:
    """Return a good answer, or one with something else in its payment token."""
    token = SimulatedToken(token=VERIFIED, states=["success"]).look() | changes
    return json.dumps({"code": 0, "message": "success", "data": {"payment_token": token}}).encode()


ANSWER = envelope()
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
GOOD = b"%sContent-Length: %d\r\n\r\n%s" % (HEAD, len(ANSWER), ANSWER)

# What a server does with a connection, until it has no more to do with it.
Script = Callable[[socket.socket], object]


def serve(listener: socket.socket, script: Script, afterwards: Script | None) -> Callable[[], None]:
    """Do this with each connection, and something else from the second one on; return what ends it."""
    threads = list[threading.Thread]()
    numbers = count()

    def handle(connection: socket.socket, number: int) -> None:
        # A reset or a TLS alert is what many a fault is about.
        with connection, suppress(OSError):
            (afterwards if afterwards and number else script)(connection)

    def start(run: Callable[..., None], *arguments: Any) -> None:
        threads.append(threading.Thread(target=run, args=arguments, daemon=True))
        threads[-1].start()

    def accept() -> None:
        with suppress(OSError):  # it is over
            while True:
                connection, _ = listener.accept()
                start(handle, connection, next(numbers))

    def end() -> None:
        listener.shutdown(socket.SHUT_RDWR)
        for thread in threads:
            thread.join(5)

    start(accept)
    return end


@contextmanager
def a_server(script: Script, afterwards: Script | None) -> Iterator[int]:
    """A server that does this with each connection; yields its port."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        end = serve(listener, script, afterwards)
        try:
            yield listener.getsockname()[1]
        finally:
            end()


def read_request(stream: BinaryIO) -> bool:
    """Read one request to its end; return whether there was one."""
    length = 0
    while (line := stream.readline()).strip():
        name, _, value = line.partition(b":")
        length = int(value) if name.lower() == b"content-length" else length
    return bool(line) and bool(stream.read(length))


def answering(answer: bytes = GOOD) -> Script:
    """Return what answers every request with these bytes."""

    def script(connection: socket.socket) -> None:
        with connection.makefile("rb") as stream:
            while read_request(stream):
                connection.sendall(answer)

    return script


def answering_once(answer: bytes, *, then: Script = lambda _: None) -> Script:
    """Return what answers one request with these bytes, and then does something else: closes."""

    def script(connection: socket.socket) -> None:
        with connection.makefile("rb") as stream:
            read_request(stream)
        connection.sendall(answer)
        then(connection)

    return script


def reset(connection: socket.socket) -> None:
    """Wait for the next bytes, and break the connection off."""
    connection.recv(1)
    # Closing without a wait for what is unsent and unread is a reset.
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def silent(connection: socket.socket) -> None:
    """Read all that comes and say nothing."""
    while connection.recv(65536):
        pass


def endless(piece: bytes) -> Script:
    """Return what sends a piece again and again, as fast as it is read."""

    def script(connection: socket.socket) -> None:
        while True:
            connection.sendall(piece)

    return answering_once(HEAD, then=script)


def plain(script: Script) -> Maker:
    """Return what makes a server of plain HTTP that does this."""

    @contextmanager
    def make(lab: Lab) -> Iterator[dict[str, Any]]:
        with a_server(script, answering() if lab.is_once else None) as port:
            yield {"base_url": f"http://127.0.0.1:{port}"}

    return make


@contextmanager
def environment(**variables: str) -> Iterator[None]:
    """An environment with these variables, and none of the machine's own for proxies and certificates."""
    own = ("_proxy", "ssl_cert_file", "ssl_cert_dir", "sslkeylogfile")
    kept = {name: value for name, value in os.environ.items() if not name.lower().endswith(own)}
    with patch.dict(os.environ, kept | variables, clear=True):
        yield


@cache
def authority() -> trustme.CA:
    """The certificate authority that the clients trust."""
    return trustme.CA()


@contextmanager
def trusted(**variables: str) -> Iterator[None]:
    """An environment that names the authority, as a company's own would be."""
    with authority().cert_pem.tempfile() as file, environment(SSL_CERT_FILE=file, **variables):
        yield


def over_tls(certificate: trustme.LeafCert, script: Script) -> Script:
    """Return what does this within TLS."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate.configure_cert(context)

    def wrapped(connection: socket.socket) -> None:
        with context.wrap_socket(connection, server_side=True) as inner:
            script(inner)

    return wrapped


def good_tls(host: str = HERE) -> Script:
    """Return what answers well, with a good certificate."""
    return over_tls(authority().issue_cert(host), answering())


def encrypted(script: Callable[[Lab], Script]) -> Maker:
    """Return what makes a server that does this where TLS is expected."""

    @contextmanager
    def make(lab: Lab) -> Iterator[dict[str, Any]]:
        with trusted(), a_server(script(lab), good_tls() if lab.is_once else None) as port:
            yield {"base_url": f"https://{HERE}:{port}"}

    return make


def with_certificate(certificate: Callable[[], trustme.LeafCert]) -> Maker:
    """Return what makes a server with this certificate."""
    return encrypted(lambda _: over_tls(certificate(), answering()))


def expired() -> trustme.LeafCert:
    """Return a certificate of the trusted authority whose time is over."""
    now = time.time()
    first, last = (datetime.fromtimestamp(now - days * 86_400, UTC) for days in (30, 1))
    return authority().issue_cert(HERE, not_before=first, not_after=last)


def self_signed() -> trustme.LeafCert:
    """Return a certificate that vouches for itself."""
    other = trustme.CA()
    return trustme.LeafCert(other.private_key_pem.bytes(), other.cert_pem.bytes(), [])


def dripping(lab: Lab) -> Script:
    """Return what answers a byte at a time, and would take ten timeouts."""

    def script(connection: socket.socket) -> None:
        for byte in ANSWER:
            connection.sendall(bytes([byte]))
            time.sleep(10 * lab.timeout / len(ANSWER))

    head = b"%sContent-Length: %d\r\n\r\n" % (HEAD, len(ANSWER))
    return over_tls(authority().issue_cert(HERE), answering_once(head, then=script))


@contextmanager
def a_port(lab: Lab, afterwards: Script) -> Iterator[int]:
    """A port that refuses connections: bound, so that nobody else gets it, and not listening."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        ends = list[Callable[[], None]]()

        def mend() -> None:
            listener.listen()
            ends.append(serve(listener, afterwards, None))

        lab.mend = mend if lab.is_once else None
        try:
            yield listener.getsockname()[1]
        finally:
            for end in ends:
                end()


@contextmanager
def refused(lab: Lab) -> Iterator[dict[str, Any]]:
    with a_port(lab, answering()) as port:
        yield {"base_url": f"http://127.0.0.1:{port}"}


@contextmanager
def never_accepted(lab: Lab) -> Iterator[dict[str, Any]]:
    """A listening socket whose queue is full: connecting to it hangs."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as listener:
        ends = list[Callable[[], None]]()
        fillers = [socket.socket() for _ in range(4)]
        for filler in fillers:
            filler.settimeout(0)
            filler.connect_ex(listener.getsockname())
        lab.mend = (lambda: ends.append(serve(listener, answering(), None))) if lab.is_once else None
        try:
            yield {"base_url": f"http://127.0.0.1:{listener.getsockname()[1]}"}
        finally:
            for filler in fillers:
                filler.close()
            for end in ends:
                end()


@contextmanager
def no_such_name(_lab: Lab) -> Iterator[dict[str, Any]]:
    with environment():
        yield {"base_url": f"https://{NOWHERE}"}


@contextmanager
def plain_http_on_https(lab: Lab) -> Iterator[dict[str, Any]]:
    yield {"base_url": lab.gateway.base_url.replace("http:", "https:")}


def through_proxy(script: Script) -> Maker:
    """Return what makes a proxy that does this."""

    @contextmanager
    def make(lab: Lab) -> Iterator[dict[str, Any]]:
        with (
            a_server(script, tunnel() if lab.is_once else None) as port,
            trusted(HTTPS_PROXY=f"http://127.0.0.1:{port}"),
        ):
            yield {"base_url": f"https://{NOWHERE}"}

    return make


@contextmanager
def refused_by_proxy(lab: Lab) -> Iterator[dict[str, Any]]:
    with a_port(lab, tunnel()) as port, trusted(HTTPS_PROXY=f"http://127.0.0.1:{port}"):
        yield {"base_url": f"https://{NOWHERE}"}


def tunnel() -> Script:
    """Return what a proxy does when all is well; the gateway's certificate and answer are in the tunnel."""
    return answering_once(b"HTTP/1.1 200 Connection established\r\n\r\n", then=good_tls(NOWHERE))


def idle(then: Script) -> Maker:
    """Return what makes a server that answers well, and then does this with the connection in the client's pool."""

    @contextmanager
    def make(lab: Lab) -> Iterator[dict[str, Any]]:
        lab.between = lambda: None
        with a_server(answering_once(GOOD, then=then), answering()) as port:
            yield {"base_url": f"http://127.0.0.1:{port}"}

    return make


@contextmanager
def closed_while_idle(lab: Lab) -> Iterator[dict[str, Any]]:
    closed = threading.Event()

    def close(connection: socket.socket) -> None:
        connection.close()
        closed.set()

    with idle(close)(lab) as settings:
        lab.between = lambda: closed.wait(5)
        yield settings
