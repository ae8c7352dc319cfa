"""What faults are made with: servers that run a script on each connection, their certificates, and the environment."""

import os
import socket
import ssl
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from functools import cache
from itertools import count
from typing import Any, BinaryIO
from unittest.mock import patch

import trustme
from faults.responses import good, written

# The simulator's test token that is verified.
VERIFIED = "00000000-0000-4000-8000-000000000001"

# This machine by an address that is not a loopback one, so that the environment's certificates and proxies apply.
HERE = "0.0.0.0"  # noqa: S104 (nothing listens on it)

# A name that never resolves (RFC 6761).
NOWHERE = "wonder.invalid"

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


def expired() -> trustme.LeafCert:
    """Return an expired certificate of the trusted authority."""
    now = time.time()
    first, last = (datetime.fromtimestamp(now - days * 86_400, UTC) for days in (30, 1))
    return authority().issue_cert(HERE, not_before=first, not_after=last)


def self_signed() -> trustme.LeafCert:
    """Return a self-signed certificate."""
    other = trustme.CA()
    return trustme.LeafCert(other.private_key_pem.bytes(), other.cert_pem.bytes(), [])
