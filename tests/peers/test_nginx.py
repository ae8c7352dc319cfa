"""nginx in front of the gateway: TLS, HTTP/2, compression, and connections that it closes early."""

import asyncio
import http.client
import ssl

import httpx
import pytest
from commands import VERIFIED
from conftest import Caller, caller_of
from peers.serving import Nginx
from wonder_payment import AsyncWonderClient, NetworkError, RetryPolicy, WonderClient
from wonder_payment.simulator import SimulatedGateway


def wait_for_idle_end(nginx: Nginx) -> None:
    """Wait until nginx closes a connection that has just become idle, and so all that became idle before."""
    context = ssl.create_default_context(cafile=nginx.authority)
    connection = http.client.HTTPSConnection("127.0.0.1", nginx.port, context=context, timeout=30)
    connection.request("GET", "/")
    connection.getresponse().read()
    assert connection.sock.recv(1) == b""
    connection.close()


def test_requests_over_tls_share_a_connection(nginx: Nginx, caller: Caller) -> None:
    assert caller.check(VERIFIED, times=3, base_url=nginx.base_url).is_verified
    assert [protocol for protocol, *_ in nginx.seen()] == ["HTTP/1.1"] * 3
    assert len({connection for _, connection, _ in nginx.seen()}) == 1


def test_a_response_that_a_proxy_compressed_is_read(nginx: Nginx, caller: Caller) -> None:
    assert caller.check(VERIFIED, base_url=nginx.compressed_base_url).is_verified
    assert [compression for *_, compression in nginx.seen()] == ["gzip"]


def test_a_certificate_of_an_unknown_authority_is_rejected(
    nginx: Nginx, caller: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SSL_CERT_FILE")
    with pytest.raises(NetworkError, match="certificate"):
        caller.check(VERIFIED, base_url=nginx.base_url)
    assert nginx.seen() == []


@pytest.mark.parametrize(("name", "kind"), [("sync", httpx.HTTPTransport), ("async", httpx.AsyncHTTPTransport)])
def test_http_2_works_with_a_transport_of_the_caller(
    nginx: Nginx, gateway: SimulatedGateway, name: str, kind: type[httpx.HTTPTransport | httpx.AsyncHTTPTransport]
) -> None:
    trusted = ssl.create_default_context(cafile=nginx.authority)
    transport = kind(http2=True, verify=trusted)
    assert caller_of(name, gateway).check(VERIFIED, times=2, base_url=nginx.base_url, transport=transport).is_verified
    assert [protocol for protocol, _, _ in nginx.seen()] == ["HTTP/2.0"] * 2


def test_a_connection_that_nginx_closed_while_it_was_idle_is_replaced_without_a_retry(
    nginx: Nginx, caller: Caller
) -> None:
    client = caller.make(base_url=nginx.base_url, retry=RetryPolicy.never())
    if isinstance(client, WonderClient):
        with client:
            client.check_token(VERIFIED)
            wait_for_idle_end(nginx)
            client.check_token(VERIFIED)
    else:
        asyncio.run(check_twice(client, nginx))
    first, _, second = [connection for _, connection, _ in nginx.seen()]
    assert first != second


async def check_twice(client: AsyncWonderClient, nginx: Nginx) -> None:
    async with client:
        await client.check_token(VERIFIED)
        await asyncio.to_thread(wait_for_idle_end, nginx)
        await client.check_token(VERIFIED)
