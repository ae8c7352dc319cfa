"""A proxy that asks for a password, proxy URLs that cannot be used, and the proxy of an environment."""

import base64
import re
import socket
from itertools import takewhile

from faults.servers import GOOD, NOWHERE, Script, authority, environment, over_tls
from wonder_payment._http.environment import environment_proxy

ORIGIN = "https://gateway.example"
PROXY = "http://proxy.example:3128"

BAD_URL = "its URL must be http://host:port, with special characters percent-encoded"
BAD_URLS = [
    *("ftp://proxy.example", "socks://proxy.example:1080", "://", "http://", "http://:3128", "http://[::1"),
    *("http://proxy.example:port", "http://proxy.example:0", "http://proxy.example:99999", "http://proxy..example"),
    *(f"http://{'x' * 64}.example", "http:/proxy.example", "//proxy.example", "http://proxy.example/path"),
    *(" http://proxy.example", "http://proxy.example\r", "http://svc:\udce4@proxy.example", "http://svc:Tr0ub@"),
    *(f"http://svc:{password}@proxy.example:3128" for password in ("Tr0ub/4dor", "12/4dor", "12?4dor", "12#4dor")),
    *("svc:12/4dor@proxy.example:3128", "svc:Tr0ub://4dor@proxy.example", "http://s%3Avc:Tr0ub@proxy.example"),
]

PASSWORD = "p@s:s/w#o?r%d"
WRONG = b"Tr0ub/4dor"
CREDENTIALS = b"Basic " + base64.b64encode(f"svc:{PASSWORD}".encode())


def recording(heads: list[bytes], response: bytes) -> Script:
    """Return a script that keeps the head of each request, and responds to each."""

    def script(connection: socket.socket) -> None:
        with connection.makefile("rb") as stream:
            while head := b"".join(takewhile(lambda line: line.strip(), stream)):
                heads.append(head)
                length = re.search(rb"(?i)content-length: ([0-9]+)", head)
                stream.read(int(length[1]) if length else 0)
                connection.sendall(response)

    return script


def connect_proxy(heads: list[bytes], inside: Script | None = None) -> Script:
    """Return the script of a proxy that wants a user and a password, with the gateway, or a script, in its tunnel."""
    inside = inside or over_tls(authority().issue_cert(NOWHERE), recording(heads, GOOD))

    def script(connection: socket.socket) -> None:
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            head += connection.recv(1)
        heads.append(head)
        if CREDENTIALS not in head:
            connection.sendall(b"HTTP/1.1 407 not svc:%s\r\nContent-Length: 0\r\n\r\n" % WRONG)
        else:
            connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
            inside(connection)

    return script


def proxy(origin: str = ORIGIN, **variables: str) -> str | None:
    """Return the URL of the proxy in an environment with these variables only."""
    with environment(**variables):
        found = environment_proxy(origin)
    return found and str(found.url)
