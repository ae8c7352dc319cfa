"""The connections of ``transport="fast"`` for the sync client: httpcore without httpx's objects around it."""

import ssl
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any, cast

import httpcore
import httpx

from .connections import IDLE_SECONDS, TimeLeft, read
from .received import RawResponse, joined


class HttpcoreConnection:
    """A connection of httpcore, for the sync client."""

    def __init__(self, origin: str, verify: ssl.SSLContext, proxy: httpx.Proxy | None) -> None:
        url = httpx.URL(origin)
        self._origin = (url.raw_scheme, url.raw_host, url.port)
        self._netloc = url.netloc.decode("ascii")
        self._host = (proxy.url if proxy else url).host
        proxy_ = None
        if proxy:
            scheme, host, port = proxy.url.raw_scheme, proxy.url.raw_host, proxy.url.port
            address = httpcore.URL(scheme=scheme, host=host, port=port, target="/")
            proxy_ = httpcore.Proxy(address, proxy.raw_auth, ssl_context=proxy.ssl_context)
        self._pool = httpcore.ConnectionPool(verify, proxy=proxy_, max_connections=1, keepalive_expiry=IDLE_SECONDS)

    def send(self, method: str, uri: str, headers: dict[str, str], body: bytes, deadline: float) -> RawResponse:
        """Send a request; see `SyncConnection.send`."""
        scheme, host, port = self._origin
        url = httpcore.URL(scheme=scheme, host=host, port=port, target=uri)
        lines = [("Host", self._netloc), ("Content-Length", str(len(body))), *headers.items()]
        timeout = {"timeout": TimeLeft(deadline, self._host)}
        request = httpcore.Request(method.upper(), url, headers=lines, content=body, extensions=timeout)
        with self._httpx_errors():
            response: Any = self._pool.handle_request(request)
            received = joined((name.decode("latin-1"), value.decode("latin-1")) for name, value in response.headers)
            try:
                content = read(response.iter_stream(), received, response.extensions["network_stream"], deadline)
            finally:
                response.close()
        return RawResponse(response.status, received, content)

    def close(self) -> None:
        """Close the connection."""
        self._pool.close()

    @contextmanager
    def _httpx_errors(self) -> Generator[None]:
        try:
            yield
        except (httpcore.NetworkError, httpcore.TimeoutException, httpcore.ProtocolError, httpcore.ProxyError) as error:
            # httpx has a class of the same name for each.
            raise cast("type[httpx.TransportError]", getattr(httpx, type(error).__name__))(str(error)) from error
        except Exception:
            raise
        except BaseException:
            # Ctrl-C may come when httpcore has returned the response and nothing closes it yet.
            self._pool.close()
            raise
