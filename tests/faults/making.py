"""Makes each fault of the matrix: with the simulator, or with a server, a certificate, a proxy or a name."""

import math
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import attrs
import trustme
from faults.servers import (
    GOOD,
    HERE,
    NOWHERE,
    Script,
    a_server,
    authority,
    environment,
    good_tls,
    over_tls,
    responding,
    responding_once,
    serve,
    trusted,
)
from wonder_payment.simulator import Fault, SimulatedGateway


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


def plain(script: Script) -> Maker:
    """Return what makes a server of plain HTTP that runs this script."""

    @contextmanager
    def make(lab: Lab) -> Iterator[dict[str, Any]]:
        with a_server(script, responding() if lab.is_once else None) as port:
            yield {"base_url": f"http://127.0.0.1:{port}"}

    return make


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
