"""Makes each fault of the matrix: with the simulator, or with a server, a certificate, a proxy or a name."""

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
from faults.responses import good, written
from wonder_payment.simulator import Fault, SimulatedGateway

# The simulator's test token that is verified.
VERIFIED = "00000000-0000-4000-8000-000000000001"

# This machine by an address that is not a loopback one, so that the environment's certificates and proxies apply.
HERE = "0.0.0.0"  # noqa: S104 (nothing listens on it)

# A name that never resolves (RFC 6761).
NOWHERE = "wonder.invalid"


@attrs.define
class Lab:
    """What a fault is made with.

    Attributes:
        gateway: The simulator.
        is_once: Whether the fault happens to the first connection or request only.
        timeout: The timeout of the client's attempts, in seconds.
        fix: Ends the fault. Called after the first attempt.
        between: Called between a first check, which succeeds, and the one observed, if a fault needs two.
    """

    gateway: SimulatedGateway
    is_once: bool
    timeout: float
    fix: Callable[[], object] | None = None
    between: Callable[[], object] | None = None


Maker = Callable[[Lab], AbstractContextManager[dict[str, Any]]]


def simulated(**fault: Any) -> Maker:
    """Return what injects a fault into the simulator; ``drip`` is a multiple of the client's timeout."""

    @contextmanager
    def make(lab: Lab) -> Iterator[dict[str, Any]]:
        drip = {"drip": fault["drip"] * lab.timeout} if "drip" in fault else {}
        lab.gateway.inject(Fault(**{"times": 1 if lab.is_once else math.inf} | fault | drip))
        yield {"base_url": lab.gateway.base_url}

    return make


BODY = written(good(token=VERIFIED)).encode()
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
GOOD = b"%sContent-Length: %d\r\n\r\n%s" % (HEAD, len(BODY), BODY)

# What a server does with a connection before it closes it.
Script = Callable[[socket.socket], object]


def serve(listener: socket.socket, script: Script, afterwards: Script | None) -> Callable[[], None]:
    """Run a script on each connection, or another one from the second connection on; return what ends the server."""
    threads = list[threading.Thread]()
    numbers = count()

    def handle(connection: socket.socket, number: int) -> None:
        # Many faults are a reset or a TLS alert.
        with connection, suppress(OSError):
            (afterwards if afterwards and number else script)(connection)

    def start(run: Callable[..., None], *arguments: Any) -> None:
        threads.append(threading.Thread(target=run, args=arguments, daemon=True))
        threads[-1].start()

    def accept() -> None:
        with suppress(OSError):  # the listener is closed
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
    """A server that runs a script on each connection; yields its port."""
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


def responding(response: bytes = GOOD) -> Script:
    """Return a script that sends these bytes after each request."""

    def script(connection: socket.socket) -> None:
        with connection.makefile("rb") as stream:
            while read_request(stream):
                connection.sendall(response)

    return script


def responding_once(response: bytes, *, then: Script = lambda _: None) -> Script:
    """Return a script that sends these bytes after one request, then runs another script, then closes."""

    def script(connection: socket.socket) -> None:
        with connection.makefile("rb") as stream:
            read_request(stream)
        connection.sendall(response)
        then(connection)

    return script


def reset(connection: socket.socket) -> None:
    """Wait for the next bytes, then reset the connection."""
    connection.recv(1)
    # A close that does not wait for unsent and unread bytes is a reset.
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def silent(connection: socket.socket) -> None:
    """Read everything and send nothing."""
    while connection.recv(65536):
        pass


def endless(piece: bytes) -> Script:
    """Return a script that sends a piece again and again, as fast as it is read."""

    def script(connection: socket.socket) -> None:
        while True:
            connection.sendall(piece)

    return responding_once(HEAD, then=script)


def plain(script: Script) -> Maker:
    """Return what makes a server of plain HTTP that runs this script."""

    @contextmanager
    def make(lab: Lab) -> Iterator[dict[str, Any]]:
        with a_server(script, responding() if lab.is_once else None) as port:
            yield {"base_url": f"http://127.0.0.1:{port}"}

    return make


@contextmanager
def environment(**variables: str) -> Iterator[None]:
    """An environment with these variables, and without the machine's own proxies and certificates."""
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
    """An environment whose certificates are those of the authority, as in a company's network."""
    with authority().cert_pem.tempfile() as file, environment(SSL_CERT_FILE=file, **variables):
        yield


def over_tls(certificate: trustme.LeafCert, script: Script) -> Script:
    """Return a script that runs this one within TLS."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate.configure_cert(context)

    def wrapped(connection: socket.socket) -> None:
        with context.wrap_socket(connection, server_side=True) as inner:
            script(inner)

    return wrapped


def good_tls(host: str = HERE) -> Script:
    """Return a script of good responses, with a good certificate."""
    return over_tls(authority().issue_cert(host), responding())


def encrypted(script: Callable[[Lab], Script]) -> Maker:
    """Return what makes a server that runs this script where TLS is expected."""

    @contextmanager
    def make(lab: Lab) -> Iterator[dict[str, Any]]:
        with trusted(), a_server(script(lab), good_tls() if lab.is_once else None) as port:
            yield {"base_url": f"https://{HERE}:{port}"}

    return make


def with_certificate(certificate: Callable[[], trustme.LeafCert]) -> Maker:
    """Return what makes a server with this certificate."""
    return encrypted(lambda _: over_tls(certificate(), responding()))


def expired() -> trustme.LeafCert:
    """Return an expired certificate of the trusted authority."""
    now = time.time()
    first, last = (datetime.fromtimestamp(now - days * 86_400, UTC) for days in (30, 1))
    return authority().issue_cert(HERE, not_before=first, not_after=last)


def self_signed() -> trustme.LeafCert:
    """Return a self-signed certificate."""
    other = trustme.CA()
    return trustme.LeafCert(other.private_key_pem.bytes(), other.cert_pem.bytes(), [])


def dripping(head: bytes, body: bytes) -> Callable[[Lab], Script]:
    """Return what makes a script that sends the body byte by byte over TLS, for ten timeouts."""

    def make(lab: Lab) -> Script:
        def script(connection: socket.socket) -> None:
            for byte in body:
                connection.sendall(bytes([byte]))
                time.sleep(10 * lab.timeout / len(body))

        return over_tls(authority().issue_cert(HERE), responding_once(head, then=script))

    return make


@contextmanager
def a_port(lab: Lab, afterwards: Script) -> Iterator[int]:
    """A port that refuses connections: it is bound, so that no other process gets it, and not listening."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        ends = list[Callable[[], None]]()

        def fix() -> None:
            listener.listen()
            ends.append(serve(listener, afterwards, None))

        lab.fix = fix if lab.is_once else None
        try:
            yield listener.getsockname()[1]
        finally:
            for end in ends:
                end()


@contextmanager
def refused(lab: Lab) -> Iterator[dict[str, Any]]:
    with a_port(lab, responding()) as port:
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
        lab.fix = (lambda: ends.append(serve(listener, responding(), None))) if lab.is_once else None
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
    """Return what makes a proxy that runs this script."""

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
    """Return the script of a proxy that works: the gateway's certificate and response are in the tunnel."""
    return responding_once(b"HTTP/1.1 200 Connection established\r\n\r\n", then=good_tls(NOWHERE))


def idle(then: Script) -> Maker:
    """Return what makes a server that responds well, then runs this script on the connection in the client's pool."""

    @contextmanager
    def make(lab: Lab) -> Iterator[dict[str, Any]]:
        lab.between = lambda: None
        with a_server(responding_once(GOOD, then=then), responding()) as port:
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
