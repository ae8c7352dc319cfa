"""The connections of ``transport="fast"`` for the async client: aiohttp (extra ``fast``)."""

import asyncio
import base64
import ssl
from contextlib import suppress
from typing import Any

import aiohttp
import httpx
import yarl

from wonder_payment.errors import ConfigurationError

from .connections import IDLE_SECONDS, left, read_async
from .received import RawResponse, joined

# Bytes of one header: as in httpcore.
_MAX_HEADER = 64 * 1024


class AiohttpConnection:
    """A session of aiohttp, which all requests of an event loop share.

    Raises:
        ConfigurationError: The proxy is a SOCKS proxy.
    """

    def __init__(self, origin: str, verify: ssl.SSLContext, proxy: httpx.Proxy | None) -> None:
        if proxy and proxy.url.scheme.startswith("socks"):
            problem = "transport='fast' of AsyncWonderClient cannot use a SOCKS proxy."
            raise ConfigurationError(f"{problem} Omit transport=, or use an http:// proxy.", attempts=0)
        self._origin, self._verify = origin, verify
        url, proxy_headers = str(proxy.url) if proxy else None, dict[str, str]()
        if proxy and proxy.raw_auth:
            proxy_headers["Proxy-Authorization"] = f"Basic {base64.b64encode(b':'.join(proxy.raw_auth)).decode()}"
        # aiohttp sends the proxy's headers with CONNECT only; a plain request itself is for the proxy.
        self._headers = {} if origin.startswith("https:") else proxy_headers
        self._options: dict[str, Any] = {"allow_redirects": False, "proxy": url, "proxy_headers": proxy_headers}
        self._session: aiohttp.ClientSession | None = None

    def _open_session(self) -> aiohttp.ClientSession:
        # The pool limits the connections, and send() the time: aiohttp rounds a timeout above 5 s up. With
        # trust_env=True, aiohttp would send the passwords of ~/.netrc to the gateway.
        connector = aiohttp.TCPConnector(ssl=self._verify, limit=0, keepalive_timeout=IDLE_SECONDS)
        return aiohttp.ClientSession(
            connector=connector,
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(total=None),
            auto_decompress=False,
            max_line_size=_MAX_HEADER,
            max_field_size=_MAX_HEADER,
        )

    async def send(self, method: str, uri: str, headers: dict[str, str], body: bytes, deadline: float) -> RawResponse:
        """Send a request; see `SyncConnection.send`."""
        self._session = self._session or self._open_session()
        url, content = yarl.URL(self._origin + uri, encoded=True), None
        try:
            async with (
                asyncio.timeout(left(deadline)),
                self._session.request(
                    method, url, headers=self._headers | headers, data=body, **self._options
                ) as response,
            ):
                received = joined(response.raw_headers)
                try:
                    content = await read_async(response.content.iter_any(), received, deadline)
                finally:
                    if content is None and response.connection and response.connection.transport:
                        # Closing a TLS connection would wait for the other side.
                        response.connection.transport.abort()
        except asyncio.CancelledError as error:
            task = asyncio.current_task()
            if self._session.closed and task and not task.cancelling():
                # aiohttp cancelled its own wait for the host's address, and not the task.
                raise httpx.ReadError("The session was closed.") from error
            raise
        except aiohttp.ClientHttpProxyError as error:
            raise httpx.ProxyError(f"{error.status} {error.message}") from error
        except aiohttp.ClientResponseError as error:
            # Its text, and that of a ServerDisconnectedError, may quote headers.
            raise httpx.RemoteProtocolError(type(error.__cause__ or error).__name__) from error
        except aiohttp.ServerDisconnectedError as error:
            raise httpx.ReadError("Server disconnected") from error
        except aiohttp.ClientError as error:
            # Some are SSLErrors themselves, without the reason that their cause has.
            raise httpx.NetworkError(str(error)) from error.__cause__ or error
        return RawResponse(response.status, received, content)

    async def aclose(self) -> None:
        """Close the session and its connections."""
        if self._session:
            await self._session.close()
            await asyncio.sleep(0)  # in which the event loop closes the sockets

    def drop(self) -> None:
        """Close the session from outside its event loop, so that aiohttp does not complain about it."""
        if self._session and self._session.connector:
            with suppress(RuntimeError):  # the loop is closed
                # Of the ways to close a connector, the only one that is no coroutine.
                self._session.connector.__exit__(None, None, None)
