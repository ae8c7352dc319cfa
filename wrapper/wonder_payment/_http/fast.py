"""The connections of ``transport="fast"`` for the sync client: httpcore without httpx's objects around it."""

import ssl
from contextlib import suppress
from typing import Any

import httpcore
import httpx

from .connections import IDLE_SECONDS, TimeLeft, read
from .received import RawResponse, joined

# httpx has a class of the same name for each.
_ERRORS = (httpcore.NetworkError, httpcore.TimeoutException, httpcore.ProtocolError, httpcore.ProxyError)


class _JoinedWrites:
    """A network stream that keeps writes until the next read. Head and body of a request are then sent together.

    httpcore writes the body after the head, which takes two system calls and two packets.
    """

    def __init__(self, stream: httpcore.NetworkStream) -> None:
        self._stream, self._unsent = stream, b""
        self.close, self.get_extra_info = stream.close, stream.get_extra_info

    def write(self, buffer: bytes, timeout: float | None = None) -> None:  # noqa: ARG002 (it is sent by the read)
        self._unsent += buffer

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        unsent, self._unsent = self._unsent, b""
        if unsent:
            with suppress(httpcore.WriteError):  # as httpcore does: the server may have responded and closed
                self._stream.write(unsent, timeout)
        return self._stream.read(max_bytes, timeout)

    def start_tls(self, *arguments: Any, **options: Any) -> Any:
        return _JoinedWrites(self._stream.start_tls(*arguments, **options))


class _Backend(httpcore.SyncBackend):
    def connect_tcp(self, *arguments: Any, **options: Any) -> Any:
        return _JoinedWrites(super().connect_tcp(*arguments, **options))


class HttpcoreConnection:
    """A connection of httpcore, for the sync client."""

    def __init__(self, origin: str, verify: ssl.SSLContext, proxy: httpx.Proxy | None) -> None:
        url = httpx.URL(origin)
        self._netloc = url.netloc.decode("ascii")
        self._url = _url(url)
        self._host = (proxy.url if proxy else url).host
        proxy_ = httpcore.Proxy(_url(proxy.url), proxy.raw_auth, ssl_context=proxy.ssl_context) if proxy else None
        # The pool makes the kind of connection that the proxy requires. A request through the pool itself would first
        # search for a free connection: this one always is.
        self._pool = httpcore.ConnectionPool(
            verify, proxy=proxy_, keepalive_expiry=IDLE_SECONDS, network_backend=_Backend()
        )
        self._connection = self._pool.create_connection(self._url.origin)

    def send(self, method: str, uri: str, headers: dict[str, str], body: bytes, deadline: float) -> RawResponse:
        """Send a request; see `SyncConnection.send`."""
        url = httpcore.URL(scheme=self._url.scheme, host=self._url.host, port=self._url.port, target=uri)
        lines = [("Host", self._netloc), ("Content-Length", str(len(body))), *headers.items()]
        timeout = {"timeout": TimeLeft(deadline, self._host)}
        request = httpcore.Request(method.upper(), url, headers=lines, content=body, extensions=timeout)
        try:
            if self._connection.is_closed() or self._connection.has_expired():
                self._connection.close()
                self._connection = self._pool.create_connection(self._url.origin)
            response: Any = self._connection.handle_request(request)
            received = joined(response.headers)
            return RawResponse(response.status, received, read(response, received, deadline))
        except (*_ERRORS, httpcore.ConnectionNotAvailable) as error:  # the last: close() in another thread came between
            kind: type[httpx.TransportError] = getattr(httpx, type(error).__name__, httpx.ConnectError)
            raise kind(str(error)) from error

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()


def _url(url: httpx.URL) -> httpcore.URL:
    return httpcore.URL(scheme=url.raw_scheme, host=url.raw_host, port=url.port, target="/")
